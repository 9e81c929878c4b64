//! Ops that are linear in their operands: the tangent takes the op itself, the cotangent its transpose.

use crate::delta::{Delta, Factor, or_zeros, plus, product, unreduce, zeros};
use crate::error::{GradResult, internal};
use gradus_ir::build::Build;
use gradus_ir::{Cumulative, Dim, NodeId, Op, ReduceOp, Shape};

pub(crate) fn is_linear(op: &Op) -> bool {
    matches!(
        op,
        Op::Reduce(ReduceOp::Sum, _)
            | Op::Broadcast(_)
            | Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Concat { .. }
            | Op::Reverse { .. }
            | Op::Take { .. }
            | Op::TakeAlong { .. }
            | Op::ScatterAdd { .. }
            | Op::ScatterAddAlong { .. }
            | Op::ScatterSet { .. }
            | Op::Cumulative { op: Cumulative::Sum, .. }
            | Op::MatMul
            | Op::Diagonal
            | Op::DiagMatrix
    )
}

/// Tangent of `op(xs)`; at least one of `ts` is there.
pub(crate) fn push(b: &mut Build, op: &Op, xs: &[NodeId], ts: &[Option<Delta>]) -> GradResult<Option<Delta>> {
    let masked = ts.iter().flatten().any(|t| t.masked)
        || matches!(
            op,
            Op::Pad { .. }
                | Op::DiagMatrix
                | Op::Concat { .. }
                | Op::ScatterAdd { .. }
                | Op::ScatterAddAlong { .. }
                | Op::ScatterSet { .. }
        );
    let id = match op {
        Op::MatMul => {
            let mut sum = None;
            for (k, t) in ts.iter().enumerate() {
                if let Some(t) = t {
                    let id = if k == 0 { b.matmul(t.id, xs[1])? } else { b.matmul(xs[0], t.id)? };
                    sum = plus(b, sum, Some(t.with(id)))?;
                }
            }
            return Ok(sum);
        }
        Op::Concat { .. } => {
            let mut parts = Vec::with_capacity(xs.len());
            for (x, t) in xs.iter().zip(ts) {
                let shape = b.shape(*x);
                parts.push(or_zeros(b, *t, &shape)?);
            }
            b.op(op.clone(), &parts)?
        }
        Op::Take { .. } | Op::TakeAlong { .. } => match ts[0] {
            Some(t) => b.op(op.clone(), &[t.id, xs[1]])?,
            None => return Ok(None),
        },
        Op::ScatterAdd { .. } | Op::ScatterAddAlong { .. } | Op::ScatterSet { .. } => {
            let adds = !matches!(op, Op::ScatterSet { .. });
            match (ts[0], ts[2]) {
                (Some(t), None) if adds => return Ok(Some(t)),
                (t, u) => {
                    let (base, update) = (b.shape(xs[0]), b.shape(xs[2]));
                    let (t, u) = (or_zeros(b, t, &base)?, or_zeros(b, u, &update)?);
                    b.op(op.clone(), &[t, xs[1], u])?
                }
            }
        }
        _ => match ts.first().copied().flatten() {
            Some(t) => b.op(op.clone(), &[t.id])?,
            None => return Ok(None),
        },
    };
    Ok(Some(Delta::new(id, masked)))
}

/// Cotangents of the wanted operands of `y = op(xs)`.
pub(crate) fn pull(b: &mut Build, op: &Op, xs: &[NodeId], ct: Delta, want: &[bool]) -> GradResult<Vec<Option<Delta>>> {
    let mut cts = vec![None; xs.len()];
    let shape = match xs.first() {
        Some(x) => b.shape(*x),
        None => return Err(internal(format!("{} without operands", op.name()))),
    };
    let dim = |axis: usize| shape.dims()[axis].clone();
    let masked = Delta { masked: true, ..ct };
    match op {
        Op::Reduce(ReduceOp::Sum, axes) => cts[0] = Some(ct.with(unreduce(b, ct.id, axes, &shape)?)),
        Op::Broadcast(_) => cts[0] = Some(ct.with(b.unbroadcast(ct.id, &shape)?)),
        Op::Reshape(_) => cts[0] = Some(ct.with(b.reshape(ct.id, &shape)?)),
        Op::Transpose(perm) => cts[0] = Some(ct.with(b.transpose(ct.id, &inverse(perm))?)),
        Op::Slice { axis, start, len } => {
            let after = dim(*axis).sub(&start.add(len));
            let id = b.op(Op::Pad { axis: *axis, before: start.clone(), after }, &[ct.id])?;
            cts[0] = Some(masked.with(id));
        }
        Op::Pad { axis, before, .. } => cts[0] = Some(ct.with(b.slice(ct.id, *axis, before.clone(), dim(*axis))?)),
        Op::Concat { axis } => {
            let mut at = Dim::Known(0);
            for (k, x) in xs.iter().enumerate() {
                let len = b.shape(*x).dims()[*axis].clone();
                if want[k] {
                    cts[k] = Some(ct.with(b.slice(ct.id, *axis, at.clone(), len.clone())?));
                }
                at = at.add(&len);
            }
        }
        Op::Reverse { .. } => cts[0] = Some(ct.with(b.op(op.clone(), &[ct.id])?)),
        Op::Cumulative { axis, reverse, .. } => {
            let back = Op::Cumulative { op: Cumulative::Sum, axis: *axis, reverse: !reverse };
            cts[0] = Some(ct.with(b.op(back, &[ct.id])?));
        }
        Op::Take { axis } => {
            let base = zeros(b, &shape)?;
            cts[0] = Some(masked.with(b.op(Op::ScatterAdd { axis: *axis }, &[base, xs[1], ct.id])?));
        }
        Op::TakeAlong { axis } => {
            let base = zeros(b, &shape)?;
            cts[0] = Some(masked.with(b.op(Op::ScatterAddAlong { axis: *axis }, &[base, xs[1], ct.id])?));
        }
        Op::ScatterAdd { axis } => {
            cts[0] = want[0].then_some(ct);
            if want[2] {
                cts[2] = Some(ct.with(b.take(ct.id, xs[1], *axis)?));
            }
        }
        Op::ScatterAddAlong { axis } => {
            cts[0] = want[0].then_some(ct);
            if want[2] {
                cts[2] = Some(ct.with(b.op(Op::TakeAlong { axis: *axis }, &[ct.id, xs[1]])?));
            }
        }
        Op::ScatterSet { axis } => {
            if want[0] {
                let update = b.shape(xs[2]);
                let none = zeros(b, &update)?;
                cts[0] = Some(masked.with(b.op(op.clone(), &[ct.id, xs[1], none])?));
            }
            if want[2] {
                let read = b.take(ct.id, xs[1], *axis)?;
                cts[2] = Some(last_written(b, Delta::new(read, ct.masked), xs[1], &shape, *axis)?);
            }
        }
        Op::Diagonal => cts[0] = Some(masked.with(b.op(Op::DiagMatrix, &[ct.id])?)),
        Op::DiagMatrix => cts[0] = Some(ct.with(b.op(Op::Diagonal, &[ct.id])?)),
        Op::MatMul => {
            for k in 0..2 {
                if want[k] {
                    cts[k] =
                        Some(if k == 0 { pull_left(b, xs[0], xs[1], ct)? } else { pull_right(b, xs[0], xs[1], ct)? });
                }
            }
        }
        _ => return Err(internal(format!("{} is not linear", op.name()))),
    }
    Ok(cts)
}

pub(crate) fn inverse(perm: &[usize]) -> Vec<usize> {
    let mut inv = vec![0; perm.len()];
    for (k, p) in perm.iter().enumerate() {
        inv[*p] = k;
    }
    inv
}

/// Of updates with equal indices only the last is seen: zero for the others.
fn last_written(b: &mut Build, d: Delta, index: NodeId, base: &Shape, axis: usize) -> GradResult<Delta> {
    let places = b.shape(index);
    if places.is_scalar() {
        return Ok(d);
    }
    // Who wrote last is found by scattering the number of the writer.
    let numbers = b.op(Op::Iota(places.count()), &[])?;
    let numbers = b.reshape(numbers, &places)?;
    let minus = b.int(-1)?;
    let nobody = b.broadcast(minus, &Shape::new([base.dims()[axis].clone()]))?;
    let writer = b.op(Op::ScatterSet { axis: 0 }, &[nobody, index, numbers])?;
    let seen = b.take(writer, index, 0)?;
    let wins = b.eq(seen, numbers)?;
    let mut shape = places;
    shape.0.extend((axis + 1..base.rank()).map(|_| Dim::Known(1)));
    let wins = b.reshape(wins, &shape)?;
    let zero = b.real(0.0)?;
    Ok(Delta::new(b.select(wins, d.id, zero)?, true))
}

/// All leading axes of an array of rank >= 2 folded into the second-to-last one.
fn flat_rows(b: &mut Build, a: NodeId) -> GradResult<NodeId> {
    let s = b.shape(a);
    let (rows, last) = match s.dims() {
        [rows @ .., last] => (Dim::product(rows), last.clone()),
        [] => return Err(internal("a scalar has no rows")),
    };
    Ok(b.reshape(a, &Shape::new([rows, last]))?)
}

/// `[batch.., r, n]` as `[r, batch * n]`.
fn flat_columns(b: &mut Build, a: NodeId) -> GradResult<NodeId> {
    let s = b.shape(a);
    let rank = s.rank();
    let row = rank.checked_sub(2).ok_or_else(|| internal("a vector has no columns"))?;
    let perm: Vec<usize> = std::iter::once(row).chain((0..rank).filter(|k| *k != row)).collect();
    let moved = b.transpose(a, &perm)?;
    let s = b.shape(moved);
    let shape = Shape::new([s.dims()[0].clone(), Dim::product(&s.dims()[1..])]);
    Ok(b.reshape(moved, &shape)?)
}

fn flat(b: &mut Build, a: NodeId) -> GradResult<NodeId> {
    let n = b.shape(a).count();
    Ok(b.reshape(a, &Shape::new([n]))?)
}

/// Cotangent of `x` in `x @ y`.
fn pull_left(b: &mut Build, x: NodeId, y: NodeId, ct: Delta) -> GradResult<Delta> {
    let (rx, ry) = (b.shape(x).rank(), b.shape(y).rank());
    let id = match (rx, ry) {
        (1, 1) => return scaled(b, ct, y),
        (_, 1) => {
            let at = b.shape(ct.id).rank();
            let column = b.expand(ct.id, at)?;
            return scaled(b, ct.with(column), y);
        }
        (1, 2) => b.matmul(y, ct.id)?,
        (1, _) => {
            let (m, v) = (flat_columns(b, y)?, flat(b, ct.id)?);
            b.matmul(m, v)?
        }
        (2, r) if r > 2 => {
            let (m, n) = (flat_columns(b, ct.id)?, flat_columns(b, y)?);
            let n = b.swap(n)?;
            b.matmul(m, n)?
        }
        _ => {
            let t = b.swap(y)?;
            b.matmul(ct.id, t)?
        }
    };
    Ok(ct.with(id))
}

/// Cotangent of `y` in `x @ y`.
fn pull_right(b: &mut Build, x: NodeId, y: NodeId, ct: Delta) -> GradResult<Delta> {
    let (rx, ry) = (b.shape(x).rank(), b.shape(y).rank());
    let id = match (rx, ry) {
        (1, 1) => return scaled(b, ct, x),
        (_, 1) => {
            let (rows, v) = (flat_rows(b, x)?, flat(b, ct.id)?);
            let t = b.swap(rows)?;
            b.matmul(t, v)?
        }
        (1, _) => {
            let at = b.shape(ct.id).rank().saturating_sub(1);
            let row = b.expand(ct.id, at)?;
            let column = b.expand(x, 1)?;
            return scaled(b, ct.with(row), column);
        }
        (r, 2) if r > 2 => {
            let (m, n) = (flat_rows(b, x)?, flat_rows(b, ct.id)?);
            let t = b.swap(m)?;
            b.matmul(t, n)?
        }
        _ => {
            let t = b.swap(x)?;
            b.matmul(t, ct.id)?
        }
    };
    Ok(ct.with(id))
}

fn scaled(b: &mut Build, d: Delta, by: NodeId) -> GradResult<Delta> {
    product(b, d, Factor::Times(by))?.ok_or_else(|| internal("a product vanished"))
}
