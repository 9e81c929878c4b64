//! What work costs: a simple machine in nanoseconds (one core, doubles), times how often loops run.
//!
//! The constants are round numbers of an ordinary machine: 40 GFLOP/s in matrix products, a matrix in cache streamed at 8 GB/s per
//! gigabyte-sized one and faster when small, elementwise work fused. Only their ratios decide anything.

use crate::emit::shape_size;
use crate::sea::{Sop, size, trips};
use gradus_ir::{BinaryOp, Graph, Op, ReduceOp, Ty, UnaryOp};

/// Starting any op at all.
const START: f64 = 4.0;
/// Starting an op that runs in a library kernel.
const CALL: f64 = 40.0;
/// One element of cheap arithmetic in a fused loop.
const CHEAP: f64 = 0.25;
/// Work of about 1e5 cheap operations.
const SMALL: f64 = 25_000.0;
/// One element moved.
const MOVE: f64 = 0.5;

fn count(t: &Ty) -> f64 {
    shape_size(&t.shape)
}

fn dim(t: Option<&Ty>, k: usize) -> f64 {
    t.and_then(|t| t.shape.dims().get(k)).map_or(1.0, size)
}

fn unary(u: UnaryOp) -> f64 {
    use UnaryOp::*;
    match u {
        Neg | Abs | Square | Not | IsNan | IsFinite | ToReal | ToInt | StopGrad => CHEAP,
        Sign | Floor | Ceil | Round => 0.4,
        Recip | Sqrt => 0.8,
        Exp => 2.0,
        Log | Expm1 | Log1p | Sigmoid | Tanh => 3.0,
        Softplus | Sin | Cos | Sinh | Cosh => 4.0,
        Tan | Asin | Acos | Atan => 6.0,
        Erf => 6.0,
        Lgamma | Digamma | Trigamma => 30.0,
    }
}

fn binary(b: BinaryOp) -> f64 {
    use BinaryOp::*;
    match b {
        Div => 0.8,
        Mod | Hypot => 3.0,
        Pow => 10.0,
        Atan2 => 8.0,
        _ => CHEAP,
    }
}

/// Time of one run of an op, without its regions.
pub fn op_cost(op: &Op, ins: &[&Ty], outs: &[Ty]) -> f64 {
    let out: f64 = outs.first().map_or(0.0, count);
    let first: f64 = ins.first().map_or(0.0, |t| count(t));
    let n = dim(ins.first().copied(), 0);
    match op {
        Op::Param(_) | Op::Const(..) | Op::Literal(_) | Op::DimValue(_) | Op::Get(_) => 0.0,
        Op::Reshape(_) | Op::NoGrad(_) => 1.0,
        Op::Broadcast(_) => 1.0 + 0.02 * out,
        Op::Iota(_) => START + CHEAP * out,
        Op::Unary(u) => START + unary(*u) * out,
        Op::Binary(b) => START + binary(*b) * out,
        Op::Select => START + 0.4 * out,
        Op::Reduce(ReduceOp::LogSumExp, _) => START + 3.5 * first,
        Op::Reduce(..) => START + CHEAP * first,
        Op::ArgReduce { .. } => START + MOVE * first,
        // Read in place by products; rarely copied.
        Op::Transpose(_) => 1.0 + if outs.first().is_some_and(|t| t.shape.rank() < 2) { 0.0 } else { 0.2 * out },
        Op::Slice { .. } | Op::Pad { .. } | Op::Concat { .. } | Op::Reverse { .. } => START + MOVE * out,
        Op::Take { .. } | Op::TakeAlong { .. } => START + 2.0 * MOVE * out,
        Op::ScatterAdd { .. } | Op::ScatterAddAlong { .. } | Op::ScatterSet { .. } => {
            START + MOVE * (first + 2.0 * ins.get(2).map_or(0.0, |t| count(t)))
        }
        Op::Cumulative { .. } => START + MOVE * out,
        Op::Sort { .. } | Op::ArgSort { .. } => CALL + 5.0 * out * (out.max(2.0)).log2(),
        Op::MatMul => matmul(ins),
        Op::Diagonal => START + MOVE * out,
        Op::DiagMatrix => START + MOVE * out,
        Op::Cholesky => CALL + n * n * n * 0.02 + n * n * 0.5,
        Op::Det => CALL + n * n * n * 0.04 + n * n,
        Op::TriangularSolve { .. } => CALL + 0.5 * n * ins.get(1).map_or(0.0, |t| count(t)),
        Op::Solve { .. } => CALL + n * n * n * 0.04 + n * ins.get(1).map_or(0.0, |t| count(t)),
        Op::Eigh => CALL + 0.7 * n * n * n,
        Op::Svd => CALL + 1.4 * first * n.min(dim(ins.first().copied(), 1)),
        Op::Qr => CALL + 0.1 * first * dim(ins.first().copied(), 1),
        Op::Key | Op::KeyFold => 20.0,
        Op::Uniform(_) => START + 3.0 * out,
        Op::Normal(_) => START + 8.0 * out,
        Op::Permutation(_) => START + 10.0 * out,
        Op::Loop(_) | Op::Cond { .. } => 10.0,
        Op::Clock => 30.0,
    }
}

/// A product streams a matrix when the other side is a vector, and computes when both are matrices.
fn matmul(ins: &[&Ty]) -> f64 {
    let (Some(a), Some(b)) = (ins.first(), ins.get(1)) else { return CALL };
    let (ra, rb) = (a.shape.rank(), b.shape.rank());
    let inner = dim(Some(*a), ra.saturating_sub(1)).max(1.0);
    let (ca, cb) = (count(a), count(b));
    if ra <= 1 && rb <= 1 {
        // Operands that are computed must be stored first, where a sum of products would be fused with them.
        return 2.0 * START + 0.6 * inner;
    }
    if ra <= 1 || rb <= 1 {
        let streamed = if ra > 1 { ca } else { cb };
        // 128 Ki doubles are a megabyte: beyond it the matrix comes from memory.
        let each = if streamed > 131_072.0 { 0.7 } else { 0.25 };
        return START + CALL / 2.0 + each * streamed;
    }
    let m = ca / inner;
    let n = cb / inner;
    CALL + 0.05 * m * n * inner + MOVE * (ca + cb + m * n) * 0.3
}

/// Time of the ops that a normal form is written as.
pub fn sop_cost(op: &Sop, ins: &[&Ty], outs: &[Ty]) -> f64 {
    match op {
        Sop::LoopParam { .. } => 0.0,
        Sop::Loop(_) => 10.0,
        Sop::Lin { coeffs, constant } => {
            let mut total = START;
            let mut sizes: Vec<f64> = ins.iter().map(|t| count(t)).collect();
            let first = coeffs.first().map_or(1.0, |c| c.get().abs());
            let same = coeffs.len() > 1 && coeffs.iter().all(|c| c.get().abs() == first);
            let out = outs.first().map_or(0.0, count);
            if same && first != 1.0 {
                total += CHEAP * out;
            } else {
                for (c, t) in coeffs.iter().zip(ins) {
                    total += if c.get().abs() == 1.0 { 0.0 } else { CHEAP * count(t) + 0.5 };
                }
            }
            if coeffs.iter().all(|c| c.get() == -1.0) && constant.get() == 0.0 {
                total += CHEAP * out;
            }
            sizes.sort_by(f64::total_cmp);
            total += sizes.iter().skip(1).map(|s| CHEAP * s + 0.5).sum::<f64>();
            if constant.get() != 0.0 {
                total += CHEAP * sizes.first().copied().unwrap_or(1.0) + 0.5;
            }
            total
        }
        Sop::Prod(exps) => {
            let mut total = START;
            let mut up: Vec<f64> = Vec::new();
            let mut down: Vec<f64> = Vec::new();
            for (e, t) in exps.iter().zip(ins) {
                let n = count(t);
                total += CHEAP * n * f64::from(31 - e.unsigned_abs().max(1).leading_zeros().min(31));
                if *e > 0 { up.push(n) } else { down.push(n) }
            }
            for side in [&mut up, &mut down] {
                side.sort_by(f64::total_cmp);
                total += side.iter().skip(1).map(|s| CHEAP * s + 0.5).sum::<f64>();
            }
            if !down.is_empty() {
                total += 0.8 * outs.first().map_or(0.0, count);
            }
            total
        }
        other => other.ir().map_or(0.0, |op| op_cost(op, ins, outs)) + regions(other.ir()),
    }
}

/// The dearer branch.
fn regions(op: Option<&Op>) -> f64 {
    match op {
        Some(Op::Cond { then, other }) => graph_cost(then).max(graph_cost(other)),
        _ => 0.0,
    }
}

/// Time of one run of a graph: every live node once, bodies as often as their loop runs.
pub fn graph_cost(g: &Graph) -> f64 {
    let live = g.live();
    let mut total = 0.0;
    for (id, node) in g.nodes() {
        if !live[id.index()] {
            continue;
        }
        let ins: Vec<&Ty> = node.inputs.iter().filter_map(|i| g.node(*i).tys.first()).collect();
        total += op_cost(&node.op, &ins, &node.tys);
        match &node.op {
            Op::Loop(l) => {
                let once = graph_cost(&l.body) + l.cond.as_deref().map_or(0.0, graph_cost);
                total += trips(&l.trip) * once;
            }
            op => total += regions(Some(op)),
        }
    }
    total
}

/// Is a graph that runs so often too little work for a search to pay?
pub fn is_small(g: &Graph, times: f64) -> bool {
    fn has_loop(g: &Graph) -> bool {
        g.nodes().any(|(_, n)| matches!(n.op, Op::Loop(_)) || n.op.regions().iter().any(|r| has_loop(r)))
    }
    graph_cost(g) * times < SMALL && !has_loop(g)
}
