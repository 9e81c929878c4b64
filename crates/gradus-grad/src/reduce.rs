//! Reductions are sums with weights; running reductions and sorting.

use crate::delta::{Delta, Factor, keep, unreduce};
use crate::elementwise::weigh;
use crate::error::GradResult;
use crate::linear::inverse;
use gradus_ir::build::Build;
use gradus_ir::{BinaryOp, Cumulative, Dim, Graph, IrResult, Loop, NodeId, Op, ReduceOp, Shape, Trip, Ty};
use std::sync::Arc;

/// Derivative of `y = reduce(x)` by each element of `x`.
fn weights(b: &mut Build, r: ReduceOp, axes: &[usize], x: NodeId, y: NodeId) -> GradResult<Factor> {
    let shape = b.shape(x);
    Ok(match r {
        ReduceOp::Sum => Factor::One,
        ReduceOp::Prod => Factor::Times(product_of_others(b, axes, x)?),
        ReduceOp::Max | ReduceOp::Min => {
            let kept = keep(b, y, axes, &shape)?;
            let mask = b.eq(x, kept)?;
            let count = b.reduce(ReduceOp::Sum, mask, axes)?;
            let share = b.recip(count)?;
            Factor::Chosen { mask, share: keep(b, share, axes, &shape)? }
        }
        ReduceOp::LogSumExp => {
            // Where all are -inf the weights are exp(-inf), not exp(NaN).
            let low = b.real(f64::NEG_INFINITY)?;
            let zero = b.real(0.0)?;
            let empty = b.eq(y, low)?;
            let safe = b.select(empty, zero, y)?;
            let kept = keep(b, safe, axes, &shape)?;
            let d = b.sub(x, kept)?;
            Factor::Times(b.exp(d)?)
        }
    })
}

pub(crate) fn push(
    b: &mut Build,
    r: ReduceOp,
    axes: &[usize],
    x: NodeId,
    y: NodeId,
    t: Delta,
) -> GradResult<Option<Delta>> {
    let shape = b.shape(x);
    let f = weights(b, r, axes, x, y)?;
    Ok(match weigh(b, t, f, &shape)? {
        Some(d) => Some(d.with(b.reduce(ReduceOp::Sum, d.id, axes)?)),
        None => None,
    })
}

pub(crate) fn pull(
    b: &mut Build,
    r: ReduceOp,
    axes: &[usize],
    x: NodeId,
    y: NodeId,
    ct: Delta,
) -> GradResult<Option<Delta>> {
    let shape = b.shape(x);
    let f = weights(b, r, axes, x, y)?;
    let id = unreduce(b, ct.id, axes, &shape)?;
    Ok(weigh(b, ct.with(id), f, &shape)?)
}

/// For each element the product of the others in its group, exact also where some are zero.
fn product_of_others(b: &mut Build, axes: &[usize], x: NodeId) -> GradResult<NodeId> {
    let shape = b.shape(x);
    let rank = shape.rank();
    let perm: Vec<usize> = (0..rank).filter(|k| !axes.contains(k)).chain(axes.iter().copied()).collect();
    let kept = rank - axes.len();
    let moved = b.transpose(x, &perm)?;
    let full = b.shape(moved);
    let n = Dim::product(&full.dims()[kept..]);
    let mut group = Shape::new(full.dims()[..kept].iter().cloned());
    let mut edge = group.clone();
    edge.0.push(Dim::Known(1));
    group.0.push(n.clone());
    let rows = b.reshape(moved, &group)?;
    let one = b.full(1.0, &edge)?;
    // Products of all before, and of all after.
    let before = b.op(Op::Concat { axis: kept }, &[one, rows])?;
    let before = b.op(Op::Cumulative { op: Cumulative::Prod, axis: kept, reverse: false }, &[before])?;
    let before = b.slice(before, kept, Dim::Known(0), n.clone())?;
    let after = b.op(Op::Concat { axis: kept }, &[rows, one])?;
    let after = b.op(Op::Cumulative { op: Cumulative::Prod, axis: kept, reverse: true }, &[after])?;
    let after = b.slice(after, kept, Dim::Known(1), n)?;
    let others = b.mul(before, after)?;
    let others = b.reshape(others, &full)?;
    Ok(b.transpose(others, &inverse(&perm))?)
}

/// Tangent of a running product or maximum.
pub(crate) fn push_cumulative(
    b: &mut Build,
    op: Cumulative,
    axis: usize,
    reverse: bool,
    x: NodeId,
    t: Delta,
) -> GradResult<Delta> {
    let flip = |b: &mut Build, a: NodeId| -> IrResult<NodeId> {
        if reverse { b.op(Op::Reverse { axis }, &[a]) } else { Ok(a) }
    };
    let (x, d) = (flip(b, x)?, flip(b, t.id)?);
    let out = match op {
        Cumulative::Sum => b.op(Op::Cumulative { op, axis, reverse: false }, &[d])?,
        Cumulative::Prod => running_product(b, axis, x, d)?,
        Cumulative::Max => {
            let index = running_argmax(b, axis, x)?;
            b.op(Op::TakeAlong { axis }, &[d, index])?
        }
    };
    Ok(t.with(flip(b, out)?))
}

/// `t_j = t_(j-1) x_j + p_(j-1) dx_j`: exact where some are zero.
fn running_product(b: &mut Build, axis: usize, x: NodeId, d: NodeId) -> GradResult<NodeId> {
    let rank = b.shape(x).rank();
    let perm: Vec<usize> = std::iter::once(axis).chain((0..rank).filter(|k| *k != axis)).collect();
    let (x, d) = (b.transpose(x, &perm)?, b.transpose(d, &perm)?);
    let shape = b.shape(x);
    let n = shape.dims()[0].clone();
    let slice = shape.without(0);
    let ty = Ty::real(slice.clone());
    let mut body = Graph::new();
    body.param(Ty::scalar(gradus_ir::DType::Int), b.origin);
    let (p, t) = (body.param(ty.clone(), b.origin), body.param(ty.clone(), b.origin));
    let (xi, di) = (body.param(ty.clone(), b.origin), body.param(ty, b.origin));
    let mut c = Build::new(&mut body, b.origin);
    let (old, new) = (c.mul(t, xi)?, c.mul(p, di)?);
    let (t, p) = (c.add(old, new)?, c.mul(p, xi)?);
    body.outputs = vec![p, t, t];
    let run = Loop {
        trip: Trip::Count(n),
        carries: 2,
        scanned: 2,
        collected: 1,
        cond: None,
        body: Arc::new(body),
        label: "cumprod".into(),
    };
    let (one, zero) = (b.full(1.0, &slice)?, b.full(0.0, &slice)?);
    let done = b.op(Op::Loop(Box::new(run)), &[one, zero, x, d])?;
    let out = b.get(done, 3)?;
    Ok(b.transpose(out, &inverse(&perm))?)
}

/// Where the first largest element so far is.
fn running_argmax(b: &mut Build, axis: usize, x: NodeId) -> GradResult<NodeId> {
    let shape = b.shape(x);
    let n = shape.dims()[axis].clone();
    let low = b.full(f64::NEG_INFINITY, &shape.with(axis, Dim::Known(1)))?;
    let before = b.op(Op::Concat { axis }, &[low, x])?;
    let before = b.op(Op::Cumulative { op: Cumulative::Max, axis, reverse: false }, &[before])?;
    let before = b.slice(before, axis, Dim::Known(0), n.clone())?;
    let record = b.gt(x, before)?;
    let mut along = Shape::new((0..shape.rank()).map(|_| Dim::Known(1)));
    along = along.with(axis, n.clone());
    let places = b.op(Op::Iota(n), &[])?;
    let places = b.reshape(places, &along)?;
    let zero = b.int(0)?;
    let places = b.select(record, places, zero)?;
    Ok(b.op(Op::Cumulative { op: Cumulative::Max, axis, reverse: false }, &[places])?)
}

pub(crate) fn push_sort(b: &mut Build, axis: usize, descending: bool, x: NodeId, t: Delta) -> GradResult<Delta> {
    let order = b.op(Op::ArgSort { axis, descending }, &[x])?;
    Ok(t.with(b.op(Op::TakeAlong { axis }, &[t.id, order])?))
}

/// The mask of a triangle as 0 and 1: `rows op columns`.
pub(crate) fn triangle(b: &mut Build, n: &Dim, op: BinaryOp) -> IrResult<NodeId> {
    let i = b.op(Op::Iota(n.clone()), &[])?;
    let rows = b.expand(i, 1)?;
    let m = b.bin(op, rows, i)?;
    b.un(gradus_ir::UnaryOp::ToReal, m)
}
