//! What work costs: a simple machine in nanoseconds (one core, doubles), times how often loops run.

use crate::emit::shape_size;
use crate::sea::{Sop, size, trips};
use gradus_ir::{BinaryOp, Graph, Op, ReduceOp, Ty, UnaryOp};

/// What the cost model knows of a machine: times in nanoseconds of one core on doubles. Only ratios decide anything.
///
/// The defaults are round numbers of an ordinary machine: 40 GFLOP/s in matrix products, a matrix streamed from memory at
/// 11 GB/s and from cache at 32 GB/s, elementwise work fused. Numbers that are measured instead must be finite and positive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Machine {
    /// Starting any op at all.
    pub start: f64,
    /// Starting an op that runs in a library kernel.
    pub call: f64,
    /// One element of cheap arithmetic in a fused loop.
    pub cheap: f64,
    /// One element moved.
    pub moved: f64,
    /// One element of a division or a square root.
    pub divide: f64,
    /// One element of `exp`.
    pub exp: f64,
    /// One element of `log`, `tanh`, `sigmoid` and their kin.
    pub log: f64,
    /// One element of `sin`, `cos`, `softplus` and their kin.
    pub sin: f64,
    /// One element of `erf`, and of inverse trigonometric functions.
    pub erf: f64,
    /// One element of `pow`.
    pub pow: f64,
    /// One multiplication and addition of a product of two matrices.
    pub product: f64,
    /// One element of a matrix times a vector: of a matrix of at most `cache` elements, and of a larger one.
    pub near: f64,
    pub far: f64,
    /// Elements of a matrix that still comes from cache.
    pub cache: f64,
}

impl Default for Machine {
    fn default() -> Machine {
        Machine {
            start: 4.0,
            call: 40.0,
            cheap: 0.25,
            moved: 0.5,
            divide: 0.8,
            exp: 2.0,
            log: 3.0,
            sin: 4.0,
            erf: 6.0,
            pow: 10.0,
            product: 0.05,
            near: 0.25,
            far: 0.7,
            // A megabyte of doubles.
            cache: 131_072.0,
        }
    }
}

/// Nanoseconds of work that are too little for a search to pay.
const SMALL: f64 = 25_000.0;
/// Nodes that are searched whatever it takes, and the search of one more.
const SEARCHED: usize = 500;
const SEARCH: f64 = 5_000.0;

fn count(t: &Ty) -> f64 {
    shape_size(&t.shape)
}

fn dim(t: Option<&Ty>, k: usize) -> f64 {
    t.and_then(|t| t.shape.dims().get(k)).map_or(1.0, size)
}

impl Machine {
    /// Every number with its name: what a file of a measured machine holds, and what a key of cached plans covers.
    pub fn fields(&self) -> [(&'static str, f64); 14] {
        let mut m = *self;
        m.fields_mut().map(|(name, v)| (name, *v))
    }

    /// The same, to be set.
    pub fn fields_mut(&mut self) -> [(&'static str, &mut f64); 14] {
        let Machine { start, call, cheap, moved, divide, exp, log, sin, erf, pow, product, near, far, cache } = self;
        [
            ("start", start),
            ("call", call),
            ("cheap", cheap),
            ("moved", moved),
            ("divide", divide),
            ("exp", exp),
            ("log", log),
            ("sin", sin),
            ("erf", erf),
            ("pow", pow),
            ("product", product),
            ("near", near),
            ("far", far),
            ("cache", cache),
        ]
    }

    fn unary(&self, u: UnaryOp) -> f64 {
        use UnaryOp::*;
        match u {
            Neg | Abs | Square | Not | IsNan | IsFinite | ToReal | ToInt | StopGrad => self.cheap,
            Sign | Floor | Ceil | Round => 1.6 * self.cheap,
            Recip | Sqrt => self.divide,
            Exp => self.exp,
            Log | Expm1 | Log1p | Sigmoid | Tanh => self.log,
            Softplus | Sin | Cos | Sinh | Cosh => self.sin,
            Tan | Asin | Acos | Atan | Erf => self.erf,
            Lgamma | Digamma | Trigamma => 5.0 * self.erf,
        }
    }

    fn binary(&self, b: BinaryOp) -> f64 {
        use BinaryOp::*;
        match b {
            Div => self.divide,
            Mod | Hypot => self.log,
            Pow => self.pow,
            Atan2 => 0.8 * self.pow,
            _ => self.cheap,
        }
    }

    /// Time of one run of an op, without its regions.
    pub fn op_cost(&self, op: &Op, ins: &[&Ty], outs: &[Ty]) -> f64 {
        let out: f64 = outs.first().map_or(0.0, count);
        let first: f64 = ins.first().map_or(0.0, |t| count(t));
        let n = dim(ins.first().copied(), 0);
        match op {
            Op::Param(_) | Op::Const(..) | Op::Literal(_) | Op::DimValue(_) | Op::Get(_) => 0.0,
            Op::Reshape(_) | Op::NoGrad(_) | Op::Stationary | Op::Implicit(_) | Op::Check(_) | Op::Recall(_) | Op::Store(_) | Op::Tally(_) => 1.0,
            Op::Broadcast(_) => 1.0 + 0.02 * out,
            Op::Iota(_) => self.start + self.cheap * out,
            Op::Unary(u) => self.start + self.unary(*u) * out,
            Op::Binary(b) => self.start + self.binary(*b) * out,
            Op::Select => self.start + 1.6 * self.cheap * out,
            Op::Reduce(ReduceOp::LogSumExp, _) => self.start + 1.75 * self.exp * first,
            Op::Reduce(..) => self.start + self.cheap * first,
            Op::ArgReduce { .. } => self.start + self.moved * first,
            // Read in place by products; rarely copied.
            Op::Transpose(_) => 1.0 + if outs.first().is_some_and(|t| t.shape.rank() < 2) { 0.0 } else { 0.2 * out },
            Op::Slice { .. } | Op::Pad { .. } | Op::Concat { .. } | Op::Reverse { .. } => self.start + self.moved * out,
            Op::Take { .. } | Op::TakeAlong { .. } => self.start + 2.0 * self.moved * out,
            Op::ScatterAdd { .. } | Op::ScatterAddAlong { .. } | Op::ScatterSet { .. } => {
                self.start + self.moved * (first + 2.0 * ins.get(2).map_or(0.0, |t| count(t)))
            }
            Op::Cumulative { .. } => self.start + self.moved * out,
            Op::Sort { .. } | Op::ArgSort { .. } => self.call + 5.0 * out * (out.max(2.0)).log2(),
            Op::TopK(_) => self.call + 5.0 * first,
            Op::Knapsack => self.call + 2.5 * first,
            Op::Isotonic => self.call + 10.0 * first,
            Op::MatMul => self.matmul(ins),
            Op::Diagonal => self.start + self.moved * out,
            Op::DiagMatrix => self.start + self.moved * out,
            Op::Cholesky => self.call + 0.4 * self.product * n * n * n + self.moved * n * n,
            Op::Det => self.call + 0.8 * self.product * n * n * n + n * n,
            Op::TriangularSolve { .. } => self.call + 0.5 * n * ins.get(1).map_or(0.0, |t| count(t)),
            Op::Solve { .. } => self.call + 0.8 * self.product * n * n * n + n * ins.get(1).map_or(0.0, |t| count(t)),
            Op::SlogDet => self.call + 0.8 * self.product * n * n * n + n * n,
            Op::SparseMatMul { .. } => {
                let width = ins.get(3).filter(|t| t.shape.rank() == 2).map_or(1.0, |t| dim(Some(*t), 1));
                self.call + 1.5 * ins.get(2).map_or(0.0, |t| count(t)) * width
            }
            Op::Fft { .. } => self.call + 2.0 * first * first.max(2.0).log2(),
            Op::Eigh => self.call + 14.0 * self.product * n * n * n,
            Op::Svd => self.call + 28.0 * self.product * first * n.min(dim(ins.first().copied(), 1)),
            Op::Qr => self.call + 2.0 * self.product * first * dim(ins.first().copied(), 1),
            Op::Key | Op::KeyFold => 20.0,
            Op::Uniform(_) => self.start + 3.0 * out,
            Op::Normal(_) => self.start + 8.0 * out,
            Op::Permutation(_) => self.start + 10.0 * out,
            Op::Loop(_) | Op::Cond { .. } => 10.0,
            Op::Clock => 30.0,
        }
    }

    /// A product streams a matrix when the other side is a vector, and computes when both are matrices.
    fn matmul(&self, ins: &[&Ty]) -> f64 {
        let (Some(a), Some(b)) = (ins.first(), ins.get(1)) else { return self.call };
        let (ra, rb) = (a.shape.rank(), b.shape.rank());
        let inner = dim(Some(*a), ra.saturating_sub(1)).max(1.0);
        let (ca, cb) = (count(a), count(b));
        if ra <= 1 && rb <= 1 {
            // Operands that are computed must be stored first, where a sum of products would be fused with them.
            return 2.0 * self.start + 0.6 * inner;
        }
        if ra <= 1 || rb <= 1 {
            let streamed = if ra > 1 { ca } else { cb };
            let each = if streamed > self.cache { self.far } else { self.near };
            return self.start + self.call / 2.0 + each * streamed;
        }
        let m = ca / inner;
        let n = cb / inner;
        self.call + self.product * m * n * inner + self.moved * (ca + cb + m * n) * 0.3
    }

    /// Time of the ops that a normal form is written as.
    pub fn sop_cost(&self, op: &Sop, ins: &[&Ty], outs: &[Ty]) -> f64 {
        match op {
            Sop::LoopParam { .. } => 0.0,
            Sop::Loop(_) => 10.0,
            Sop::Lin { coeffs, constant } => {
                let mut total = self.start;
                let mut sizes: Vec<f64> = ins.iter().map(|t| count(t)).collect();
                let first = coeffs.first().map_or(1.0, |c| c.get().abs());
                let same = coeffs.len() > 1 && coeffs.iter().all(|c| c.get().abs() == first);
                let out = outs.first().map_or(0.0, count);
                if same && first != 1.0 {
                    total += self.cheap * out;
                } else {
                    for (c, t) in coeffs.iter().zip(ins) {
                        total += if c.get().abs() == 1.0 { 0.0 } else { self.cheap * count(t) + 0.5 };
                    }
                }
                if coeffs.iter().all(|c| c.get() == -1.0) && constant.get() == 0.0 {
                    total += self.cheap * out;
                }
                sizes.sort_by(f64::total_cmp);
                total += sizes.iter().skip(1).map(|s| self.cheap * s + 0.5).sum::<f64>();
                if constant.get() != 0.0 {
                    total += self.cheap * sizes.first().copied().unwrap_or(1.0) + 0.5;
                }
                total
            }
            Sop::Prod(exps) => {
                let mut total = self.start;
                let mut up: Vec<f64> = Vec::new();
                let mut down: Vec<f64> = Vec::new();
                for (e, t) in exps.iter().zip(ins) {
                    let n = count(t);
                    total += self.cheap * n * f64::from(31 - e.unsigned_abs().max(1).leading_zeros().min(31));
                    if *e > 0 { up.push(n) } else { down.push(n) }
                }
                for side in [&mut up, &mut down] {
                    side.sort_by(f64::total_cmp);
                    total += side.iter().skip(1).map(|s| self.cheap * s + 0.5).sum::<f64>();
                }
                if !down.is_empty() {
                    total += self.divide * outs.first().map_or(0.0, count);
                }
                total
            }
            other => other.ir().map_or(0.0, |op| self.op_cost(op, ins, outs)) + self.regions(other.ir()),
        }
    }

    /// The dearer branch.
    fn regions(&self, op: Option<&Op>) -> f64 {
        match op {
            Some(Op::Cond { then, other }) => self.graph_cost(then).max(self.graph_cost(other)),
            _ => 0.0,
        }
    }

    /// Time of one run of a graph: every live node once, bodies as often as their loop runs.
    pub fn graph_cost(&self, g: &Graph) -> f64 {
        let live = g.live();
        let mut total = 0.0;
        for (id, node) in g.nodes() {
            if !live[id.index()] {
                continue;
            }
            let ins: Vec<&Ty> = node.inputs.iter().filter_map(|i| g.node(*i).tys.first()).collect();
            total += self.op_cost(&node.op, &ins, &node.tys);
            match &node.op {
                Op::Loop(l) => {
                    let once = self.graph_cost(&l.body) + l.cond.as_deref().map_or(0.0, |c| self.graph_cost(c));
                    total += trips(&l.trip) * once;
                }
                op => total += self.regions(Some(op)),
            }
        }
        total
    }

    /// Is a graph that runs so often too little work for a search to pay? `nodes` with those of its regions.
    pub fn is_small(&self, g: &Graph, nodes: usize, times: f64) -> bool {
        fn has_loop(g: &Graph) -> bool {
            g.nodes().any(|(_, n)| matches!(n.op, Op::Loop(_)) || n.op.regions().iter().any(|r| has_loop(r)))
        }
        let work = self.graph_cost(g) * times;
        let search = SEARCH * nodes.saturating_sub(SEARCHED) as f64;
        work < search || work < search + SMALL && !has_loop(g)
    }
}
