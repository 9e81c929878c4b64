//! What every element of a node lies in.

use crate::context::Cx;
use crate::interval::Interval;
use crate::unary;
use gradus_ir::{BinaryOp, DType, Dim, NodeId, Op, ReduceOp};

/// From the op, the assumptions and the oracle.
pub(crate) fn range(cx: &Cx<'_>, id: NodeId) -> Interval {
    let mut r = by_op(cx, id);
    if let Some(given) = cx.assume.ranges.get(&id) {
        r = r.meet(*given);
    }
    if !cx.depends(id)
        && let Some(v) = cx.value(id)
    {
        r = r.meet(Interval::of(&v.data));
    }
    if cx.g.dtype(id) == DType::Bool {
        r = r.meet(Interval::new(0.0, 1.0));
    }
    r
}

fn dim(d: &Dim) -> Interval {
    match d {
        Dim::Known(n) => Interval::point(*n as f64),
        // A length that data names is at least one; of differences the sign is open.
        Dim::Poly(_) if d.to_string().contains('-') => Interval::ALL,
        Dim::Poly(_) => Interval::new(1.0, f64::INFINITY),
    }
}

fn by_op(cx: &Cx<'_>, id: NodeId) -> Interval {
    let of = |k: usize| cx.input(id, k).map_or(Interval::ALL, |i| cx.range(i));
    let join = || cx.node(id).inputs.iter().map(|i| cx.range(*i)).reduce(Interval::join).unwrap_or(Interval::ALL);
    let zero = Interval::point(0.0);
    let count = |axes: &[usize]| -> Option<f64> {
        let s = cx.g.shape(cx.input(id, 0)?);
        axes.iter().map(|a| s.dims().get(*a).and_then(Dim::size).map(|n| n as f64)).product()
    };
    match cx.op(id) {
        Op::Const(v, _) => Interval::of(&[v.get()]),
        Op::DimValue(d) => dim(d),
        Op::Iota(n) => match n.known() {
            Some(n) => Interval::new(0.0, (n - 1).max(0) as f64),
            None => Interval::NONNEGATIVE,
        },
        Op::Permutation(_) | Op::ArgReduce { .. } | Op::ArgSort { .. } | Op::Clock => Interval::NONNEGATIVE,
        Op::Uniform(_) => Interval::new(0.0, 1.0),
        // A value times itself is a square.
        Op::Binary(BinaryOp::Mul) if cx.input(id, 0) == cx.input(id, 1) => of(0).square(),
        Op::Unary(u) => unary::range(*u, of(0)),
        Op::Binary(b) => binary(cx, id, *b, of(0), of(1)),
        Op::Select => of(1).join(of(2)),
        Op::Reduce(r, axes) => match r {
            ReduceOp::Sum => sum(of(0), count(axes)),
            ReduceOp::Max | ReduceOp::Min => of(0),
            ReduceOp::Prod if of(0).is_nonneg() => Interval { nonzero: of(0).is_pos(), ..Interval::NONNEGATIVE },
            ReduceOp::Prod => Interval::ALL,
            // At least one term, so at least the smallest.
            ReduceOp::LogSumExp => Interval::new(of(0).lo, f64::INFINITY),
        },
        Op::Cumulative { op: gradus_ir::Cumulative::Sum, .. } => sum(of(0), None),
        Op::Cumulative { op: gradus_ir::Cumulative::Max, .. } => of(0),
        Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice { .. } | Op::Reverse { .. } => of(0),
        Op::Take { .. } | Op::TakeAlong { .. } | Op::Sort { .. } | Op::Diagonal | Op::NoGrad(_) => of(0),
        Op::Pad { .. } | Op::DiagMatrix => of(0).join(zero),
        Op::Concat { .. } => join(),
        Op::ScatterSet { .. } => of(0).join(of(2)),
        Op::ScatterAdd { .. } | Op::ScatterAddAlong { .. } => of(0).add(sum(of(2), None).join(zero)),
        Op::MatMul if cx.input(id, 0) == cx.input(id, 1) && cx.input(id, 0).is_some_and(|a| cx.rank(a) == 1) => Interval { nonzero: false, ..sum(of(0).square(), None) },
        Op::MatMul => sum(of(0).mul(of(1)), None),
        Op::Get(k) => match cx.input(id, 0).map(|i| (cx.op(i), k)) {
            // Singular values; the number of steps of a loop.
            Some((Op::Svd, 1)) | Some((Op::Loop(_), 0)) => Interval::NONNEGATIVE,
            _ => Interval::ALL,
        },
        _ => Interval::ALL,
    }
}

/// Of the sum of `n` (or of at least one) such elements.
fn sum(x: Interval, n: Option<f64>) -> Interval {
    match n {
        Some(n) if n >= 1.0 => {
            let scale = |v: f64| if v == 0.0 { 0.0 } else { v * n };
            Interval { nonzero: x.is_pos() || x.is_neg() || n == 1.0 && x.nonzero, ..Interval::new(scale(x.lo), scale(x.hi)) }
        }
        Some(_) => Interval::point(0.0),
        None if x.is_nonneg() => Interval { nonzero: x.is_pos(), ..Interval::new(x.lo, f64::INFINITY) },
        None if x.is_nonpos() => Interval { nonzero: x.is_neg(), ..Interval::new(f64::NEG_INFINITY, x.hi) },
        None => Interval::ALL,
    }
}

fn binary(cx: &Cx<'_>, id: NodeId, b: BinaryOp, x: Interval, y: Interval) -> Interval {
    match b {
        BinaryOp::Add => x.add(y),
        BinaryOp::Sub => match (cx.input(id, 0), cx.input(id, 1)) {
            // max(x) - x and logsumexp(x) - x are nonnegative, whatever the axes.
            (Some(p), Some(q)) if dominates(cx, p, q) => x.sub(y).meet(Interval::NONNEGATIVE),
            _ => x.sub(y),
        },
        BinaryOp::Mul => x.mul(y),
        BinaryOp::Div => x.mul(y.recip()),
        BinaryOp::Pow => power(x, y),
        BinaryOp::Max => x.max(y),
        BinaryOp::Min => x.min(y),
        BinaryOp::Hypot => Interval { nonzero: x.nonzero || y.nonzero, ..Interval::new(x.abs().lo.max(y.abs().lo), f64::INFINITY) },
        BinaryOp::Atan2 => Interval::new(-std::f64::consts::PI, std::f64::consts::PI),
        BinaryOp::Mod => match y.as_point() {
            Some(m) if m > 0.0 => Interval::new(0.0, m),
            _ => Interval::ALL,
        },
        _ => Interval::new(0.0, 1.0),
    }
}

/// Is p a largest (or log-sum-exp) over all elements of q?
fn dominates(cx: &Cx<'_>, p: NodeId, q: NodeId) -> bool {
    let p = cx.bare(p);
    match cx.op(p) {
        Op::Reduce(ReduceOp::Max | ReduceOp::LogSumExp, axes) => cx.input(p, 0) == Some(q) && axes.len() == cx.rank(q),
        _ => false,
    }
}

fn power(x: Interval, y: Interval) -> Interval {
    match y.as_point() {
        Some(e) if e > 0.0 && e.fract() == 0.0 && (e / 2.0).fract() == 0.0 => {
            let a = x.abs();
            Interval { nonzero: x.nonzero, ..a.map(|v| v.powf(e)) }
        }
        Some(e) if e > 0.0 && e.fract() == 0.0 => Interval { nonzero: x.nonzero, ..x.map(|v| v.powf(e)) },
        Some(e) if e > 0.0 => Interval { nonzero: x.is_pos(), ..x.meet(Interval::NONNEGATIVE).map(|v| v.max(0.0).powf(e)) },
        Some(e) if e < 0.0 && (e.fract() != 0.0 || (e / 2.0).fract() == 0.0 || x.is_nonneg()) => Interval::POSITIVE,
        _ if x.is_pos() => Interval::POSITIVE,
        _ if x.is_nonneg() => Interval::NONNEGATIVE,
        _ => Interval::ALL,
    }
}
