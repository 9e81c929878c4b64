//! Exact simplifications made while a graph is built: constants of scalars, dimension arithmetic, identities.
//!
//! Only what gives the same floats is done here; everything else is the rewriter's. Two exceptions to bit equality are
//! accepted because no result can depend on them but the sign of a zero: `x + 0` and `x - 0`.

use crate::dim::Dim;
use crate::error::IrResult;
use crate::graph::{Graph, NodeId, Origin};
use crate::op::{BinaryOp, F64, Op, UnaryOp};
use crate::ty::{DType, Shape};

/// The node that the op would equal, where it need not be added.
pub(crate) fn fold(g: &mut Graph, op: &Op, inputs: &[NodeId], origin: Origin) -> IrResult<Option<NodeId>> {
    match (op, inputs) {
        (Op::DimValue(Dim::Known(n)), _) => int(g, *n, origin),
        (Op::Unary(u), [a]) => unary(g, *u, *a, origin),
        (Op::Binary(b), [x, y]) => binary(g, *b, *x, *y, origin),
        (Op::Select, [c, a, b]) => {
            let same = g.ty(*a) == g.ty(*b);
            match g.constant(*c) {
                Some(v) if same => Ok(Some(if v != 0.0 { *a } else { *b })),
                _ if a == b && g.shape(*c).is_scalar() => Ok(Some(*a)),
                _ => Ok(None),
            }
        }
        (Op::Broadcast(s) | Op::Reshape(s), [a]) if g.shape(*a) == s => Ok(Some(*a)),
        (Op::Reshape(s), [a]) => match &g.node(*a).op {
            // One element of a literal vector is a constant.
            Op::Slice { start: Dim::Known(k), len: Dim::Known(1), .. } if s.is_scalar() => {
                let base = g.node(*a).inputs[0];
                let Op::Literal(l) = &g.node(base).op else { return Ok(None) };
                let value = if l.shape.len() == 1 { usize::try_from(*k).ok().and_then(|k| l.data.get(k)) } else { None };
                match (value, l.dtype) {
                    (Some(v), dtype) => {
                        let op = Op::Const(F64::new(*v), dtype);
                        g.add_plain(op, &[], origin).map(Some)
                    }
                    _ => Ok(None),
                }
            }
            Op::Reshape(_) => {
                let inner = g.node(*a).inputs[0];
                if g.shape(inner).count() == s.count() {
                    g.add(Op::Reshape(s.clone()), &[inner], origin).map(Some)
                } else {
                    Ok(None)
                }
            }
            _ => Ok(None),
        },
        (Op::Transpose(p), [a]) => {
            if p.iter().enumerate().all(|(k, q)| k == *q) {
                return Ok(Some(*a));
            }
            match &g.node(*a).op {
                Op::Transpose(inner) if inner.len() == p.len() => {
                    let perm: Vec<usize> = p.iter().filter_map(|k| inner.get(*k).copied()).collect();
                    let base = g.node(*a).inputs[0];
                    if perm.len() == p.len() { g.add(Op::Transpose(perm), &[base], origin).map(Some) } else { Ok(None) }
                }
                _ => Ok(None),
            }
        }
        (Op::Reduce(r, axes), [a]) if axes.is_empty() => match r {
            crate::op::ReduceOp::Sum | crate::op::ReduceOp::Prod if g.dtype(*a) == DType::Bool => Ok(None),
            _ => Ok(Some(*a)),
        },
        (Op::Slice { axis, start: Dim::Known(0), len }, [a]) if g.shape(*a).dims().get(*axis) == Some(len) => {
            Ok(Some(*a))
        }
        (Op::Pad { before: Dim::Known(0), after: Dim::Known(0), .. }, [a]) => Ok(Some(*a)),
        (Op::Concat { .. }, [a]) => Ok(Some(*a)),
        _ => Ok(None),
    }
}

fn int(g: &mut Graph, n: i64, origin: Origin) -> IrResult<Option<NodeId>> {
    g.add_plain(Op::Const(F64::new(n as f64), DType::Int), &[], origin).map(Some)
}

/// A dimension expression behind an int scalar.
pub(crate) fn as_dim(g: &Graph, a: NodeId) -> Option<Dim> {
    match &g.node(a).op {
        Op::DimValue(d) => Some(d.clone()),
        Op::Const(v, DType::Int) => Some(Dim::Known(v.get() as i64)),
        _ => None,
    }
}

fn unary(g: &mut Graph, u: UnaryOp, a: NodeId, origin: Origin) -> IrResult<Option<NodeId>> {
    use UnaryOp::*;
    if u == ToReal && g.dtype(a) == DType::Real || u == ToInt && g.dtype(a) == DType::Int {
        return Ok(Some(a));
    }
    if let Some(d) = as_dim(g, a)
        && u == Neg
    {
        return g.add(Op::DimValue(d.neg()), &[], origin).map(Some);
    }
    if let Some(v) = g.constant(a) {
        let folded = match u {
            Neg => Some(-v),
            Abs => Some(v.abs()),
            Square => Some(v * v),
            Sqrt => Some(v.sqrt()),
            Recip => Some(1.0 / v),
            Floor => Some(v.floor()),
            Ceil => Some(v.ceil()),
            Not => Some(if v == 0.0 { 1.0 } else { 0.0 }),
            ToReal | StopGrad => Some(v),
            ToInt => Some(v.trunc()),
            _ => None,
        };
        if let Some(v) = folded {
            let dtype = crate::infer::infer(&Op::Unary(u), &[&g.node(a).tys])?[0].dtype;
            return g.add_plain(Op::Const(F64::new(v), dtype), &[], origin).map(Some);
        }
    }
    match (u, &g.node(a).op) {
        (Neg, Op::Unary(Neg)) | (Not, Op::Unary(Not)) => Ok(Some(g.node(a).inputs[0])),
        (StopGrad, Op::Unary(StopGrad)) => Ok(Some(a)),
        _ => Ok(None),
    }
}

fn binary(g: &mut Graph, b: BinaryOp, x: NodeId, y: NodeId, origin: Origin) -> IrResult<Option<NodeId>> {
    use BinaryOp::*;
    let (cx, cy) = (g.constant(x), g.constant(y));
    if let (Some(p), Some(q)) = (cx, cy) {
        let t = |c: bool| if c { 1.0 } else { 0.0 };
        let v = match b {
            Add => p + q,
            Sub => p - q,
            Mul => p * q,
            Div => p / q,
            Pow => p.powf(q),
            Mod => p - q * (p / q).floor(),
            Max | Min if p.is_nan() || q.is_nan() => f64::NAN,
            // NaN passes through, as in the kernels.
            Max | Min if p.is_nan() || q.is_nan() => f64::NAN,
            Max => p.max(q),
            Min => p.min(q),
            Atan2 => p.atan2(q),
            Hypot => p.hypot(q),
            Lt => t(p < q),
            Le => t(p <= q),
            Gt => t(p > q),
            Ge => t(p >= q),
            Eq => t(p == q),
            Ne => t(p != q),
            And => t(p != 0.0 && q != 0.0),
            Or => t(p != 0.0 || q != 0.0),
        };
        let dtype = crate::infer::infer(&Op::Binary(b), &[&g.node(x).tys, &g.node(y).tys])?[0].dtype;
        return g.add_plain(Op::Const(F64::new(v), dtype), &[], origin).map(Some);
    }
    if let (Some(p), Some(q)) = (as_dim(g, x), as_dim(g, y)) {
        let d = match b {
            Add => Some(p.add(&q)),
            Sub => Some(p.sub(&q)),
            Mul => Some(p.mul(&q)),
            _ => None,
        };
        if let Some(d) = d {
            return g.add(Op::DimValue(d), &[], origin).map(Some);
        }
        if p == q && b == Eq {
            return g.add_plain(Op::Const(F64::new(1.0), DType::Bool), &[], origin).map(Some);
        }
    }
    // The other operand, where it already has the result's type.
    let keeps = |g: &Graph, a: NodeId, other: NodeId| -> bool {
        let shape = Shape::broadcast(g.shape(a), g.shape(other));
        shape.is_ok_and(|s| s == *g.shape(a)) && g.dtype(a) >= g.dtype(other) && g.dtype(a) >= DType::Int
    };
    Ok(match b {
        Add if cx == Some(0.0) && keeps(g, y, x) => Some(y),
        Add | Sub if cy == Some(0.0) && keeps(g, x, y) => Some(x),
        Mul if cx == Some(1.0) && keeps(g, y, x) => Some(y),
        Mul if cy == Some(1.0) && keeps(g, x, y) => Some(x),
        Div if cy == Some(1.0) && g.dtype(x) == DType::Real => Some(x),
        Pow if cy == Some(1.0) && keeps(g, x, y) => Some(x),
        Pow if cy == Some(2.0) && g.dtype(x) >= g.dtype(y) => Some(g.add(Op::Unary(UnaryOp::Square), &[x], origin)?),
        Max | Min if x == y => Some(x),
        _ => None,
    })
}
