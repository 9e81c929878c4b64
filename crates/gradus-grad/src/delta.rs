//! Tangents and cotangents while a rule runs, and their products with local derivatives.

use gradus_ir::build::Build;
use gradus_ir::{DType, Dim, Graph, IrResult, NodeId, Op, ReduceOp, Shape, UnaryOp};

/// A tangent or a cotangent; zero ones are absent (`Option<Delta>`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delta {
    pub id: NodeId,
    /// Some elements may be zero because the value there is not taken (`where`, `max`, a slice). Products with a local
    /// derivative then must stay zero even where that is infinite or NaN. Tracked so that only such products pay.
    pub masked: bool,
}

impl Delta {
    pub fn new(id: NodeId, masked: bool) -> Delta {
        Delta { id, masked }
    }
    pub fn with(self, id: NodeId) -> Delta {
        Delta { id, ..self }
    }
}

/// A local derivative. Its shape stretches to that of the op's result.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Factor {
    Zero,
    One,
    Minus,
    Times(NodeId),
    Over(NodeId),
    /// Times `share` where `mask` holds, and exactly zero elsewhere.
    Chosen {
        mask: NodeId,
        share: NodeId,
    },
}

/// `d * f`, of the shape that the two share.
pub(crate) fn product(b: &mut Build, d: Delta, f: Factor) -> IrResult<Option<Delta>> {
    let (factor, safe) = match f {
        Factor::Zero => return Ok(None),
        Factor::One => return Ok(Some(d)),
        Factor::Minus => return Ok(Some(d.with(b.neg(d.id)?))),
        Factor::Chosen { mask, share } => {
            let zero = b.real(0.0)?;
            let part = b.mul(d.id, share)?;
            return Ok(Some(Delta::new(b.select(mask, part, zero)?, true)));
        }
        Factor::Times(p) => (p, finite(b.graph, p, 12)),
        Factor::Over(q) => (q, b.graph.constant(q).is_some_and(|v| v != 0.0 && !v.is_nan())),
    };
    let id = strip(b.graph, d.id, factor);
    let raw = match f {
        Factor::Over(q) => b.div(id, q)?,
        _ => b.mul(id, factor)?,
    };
    if !d.masked || safe {
        return Ok(Some(d.with(raw)));
    }
    // Not merely `id == 0`: there a further derivative by `id` itself must survive, unless the factor is no number.
    let zero = b.real(0.0)?;
    let none = b.eq(id, zero)?;
    let broken = b.un(UnaryOp::IsNan, raw)?;
    let mask = b.and(none, broken)?;
    Ok(Some(d.with(b.select(mask, zero, raw)?)))
}

/// The operand of a `Broadcast` where stretching it against `other` gives the same shape.
fn strip(g: &Graph, id: NodeId, other: NodeId) -> NodeId {
    if let Op::Broadcast(shape) = &g.node(id).op {
        let inner = g.node(id).inputs[0];
        if Shape::broadcast(g.shape(inner), g.shape(other)).is_ok_and(|s| s == *shape) {
            return inner;
        }
    }
    id
}

/// Is the value certainly neither infinite nor NaN?
fn finite(g: &Graph, id: NodeId, depth: usize) -> bool {
    let node = g.node(id);
    if node.ty().dtype != DType::Real {
        return true;
    }
    if depth == 0 {
        return false;
    }
    match &node.op {
        Op::Const(v, _) => v.get().is_finite(),
        Op::Literal(a) => a.data.iter().all(|v| v.is_finite()),
        Op::Unary(UnaryOp::Neg | UnaryOp::Abs | UnaryOp::Sign | UnaryOp::ToReal)
        | Op::Broadcast(_)
        | Op::Reshape(_)
        | Op::Transpose(_)
        | Op::Reverse { .. } => finite(g, node.inputs[0], depth - 1),
        Op::Select => node.inputs[1..].iter().all(|i| finite(g, *i, depth - 1)),
        _ => false,
    }
}

/// The sum of two deltas of equal shape.
pub(crate) fn plus(b: &mut Build, x: Option<Delta>, y: Option<Delta>) -> IrResult<Option<Delta>> {
    Ok(match (x, y) {
        (Some(x), Some(y)) => Some(Delta::new(b.add(x.id, y.id)?, x.masked || y.masked)),
        (x, y) => x.or(y),
    })
}

pub(crate) fn zeros(b: &mut Build, shape: &Shape) -> IrResult<NodeId> {
    b.full(0.0, shape)
}

/// The node, or zeros of that shape.
pub(crate) fn or_zeros(b: &mut Build, d: Option<Delta>, shape: &Shape) -> IrResult<NodeId> {
    match d {
        Some(d) => Ok(d.id),
        None => zeros(b, shape),
    }
}

/// Undo a reduction over `axes` by stretching: from the reduced shape to `shape`.
pub(crate) fn unreduce(b: &mut Build, a: NodeId, axes: &[usize], shape: &Shape) -> IrResult<NodeId> {
    let a = keep(b, a, axes, shape)?;
    b.broadcast(a, shape)
}

/// Put axes of length one where a reduction over `axes` of something of `shape` removed them.
pub(crate) fn keep(b: &mut Build, a: NodeId, axes: &[usize], shape: &Shape) -> IrResult<NodeId> {
    let first_kept = (0..shape.rank()).find(|k| !axes.contains(k)).unwrap_or(shape.rank());
    if (first_kept..shape.rank()).all(|k| !axes.contains(&k)) {
        // Only leading axes are missing: those are added by every elementwise op.
        return Ok(a);
    }
    let kept = Shape::new(
        shape.dims().iter().enumerate().map(|(k, d)| if axes.contains(&k) { Dim::Known(1) } else { d.clone() }),
    );
    b.reshape(a, &kept)
}

/// `x`, with infinity for zero: a denominator whose quotient, and all its derivatives, are 0 at the singular point.
pub(crate) fn nonzero(b: &mut Build, x: NodeId) -> IrResult<NodeId> {
    let zero = b.real(0.0)?;
    let inf = b.real(f64::INFINITY)?;
    let at = b.eq(x, zero)?;
    b.select(at, inf, x)
}

/// Where all the cotangents `from` are zero and the result is not finite, zero: for ops whose result is not elementwise.
pub(crate) fn guard_whole(b: &mut Build, from: &[Option<Delta>], d: Delta) -> IrResult<Delta> {
    if !from.iter().flatten().any(|c| c.masked) {
        return Ok(d);
    }
    let zero = b.real(0.0)?;
    let mut mask = {
        let good = b.un(UnaryOp::IsFinite, d.id)?;
        let bad = b.not(good)?;
        any(b, bad)?
    };
    for c in from.iter().flatten() {
        let some = b.ne(c.id, zero)?;
        let some = any(b, some)?;
        let none = b.not(some)?;
        mask = b.and(mask, none)?;
    }
    Ok(Delta::new(b.select(mask, zero, d.id)?, true))
}

fn any(b: &mut Build, a: NodeId) -> IrResult<NodeId> {
    let axes: Vec<usize> = (0..b.shape(a).rank()).collect();
    if axes.is_empty() {
        return Ok(a);
    }
    let count = b.reduce(ReduceOp::Sum, a, &axes)?;
    let zero = b.int(0)?;
    b.gt(count, zero)
}
