//! Kernels on lines of the last axis: the largest, the knapsack problem, isotonic regression.

use crate::delta::{Delta, plus, zeros};
use crate::error::{GradResult, internal};
use gradus_ir::build::Build;
use gradus_ir::{Cumulative, Dim, NodeId, Op, ReduceOp};

fn last_axis(b: &Build, a: NodeId) -> GradResult<usize> {
    b.shape(a).rank().checked_sub(1).ok_or_else(|| internal("a scalar has no lines"))
}

/// Values and indices; those of the values come from where the values came from.
pub(crate) fn push_top_k(b: &mut Build, ys: &[NodeId], ts: &[Option<Delta>]) -> GradResult<Vec<Option<Delta>>> {
    let ([values, indices], Some(t)) = (ys, ts.first().copied().flatten()) else { return Ok(vec![None; ys.len()]) };
    let axis = last_axis(b, *values)?;
    let taken = b.op(Op::TakeAlong { axis }, &[t.id, *indices])?;
    Ok(vec![Some(t.with(taken)), None])
}

/// Of `sum(w clip(v - t w, l, u)) = total`: with the entries F that are free, B at the lower and A at the upper bound,
/// `dt = (sum_F w dv + (v - 2 t w) dw + sum_B w dl + l dw + sum_A w du + u dw - dtotal) / sum_F w^2`, and of x it is
/// `dv - t dw - w dt` on F, `dl` on B, `du` on A.
pub(crate) fn push_knapsack(b: &mut Build, xs: &[NodeId], ys: &[NodeId], ts: &[Option<Delta>]) -> GradResult<Vec<Option<Delta>>> {
    let ([v, w, l, u, total], [x, t]) = (xs, ys) else { return Err(internal("knapsack has five operands and two results")) };
    let axis = last_axis(b, *v)?;
    let shape = b.shape(*v);
    let t = b.expand(*t, axis)?;
    let below = b.le(*x, *l)?;
    let above = {
        let (reached, not) = (b.ge(*x, *u)?, b.not(below)?);
        b.and(reached, not)?
    };
    let free = {
        let some = b.or(below, above)?;
        b.not(some)?
    };
    let zero = b.real(0.0)?;
    // Entries that no mask takes must not count even where their factor is infinite.
    let part = |b: &mut Build, mask: NodeId, d: Delta, by: NodeId| -> GradResult<Option<Delta>> {
        let p = b.mul(d.id, by)?;
        Ok(Some(Delta::new(b.select(mask, p, zero)?, true)))
    };
    let mut sum = None;
    for (k, mask) in [(0, free), (2, below), (3, above)] {
        if let Some(d) = ts[k] {
            let p = part(b, mask, d, *w)?;
            sum = plus(b, sum, p)?;
        }
    }
    if let Some(d) = ts[1] {
        let (shift, two) = (b.mul(t, *w)?, b.real(2.0)?);
        let shift = b.mul(two, shift)?;
        let pull = b.sub(*v, shift)?;
        for (mask, by) in [(free, pull), (below, *l), (above, *u)] {
            let p = part(b, mask, d, by)?;
            sum = plus(b, sum, p)?;
        }
    }
    let mut right = None;
    if let Some(d) = sum {
        let full = b.broadcast(d.id, &shape)?;
        right = Some(d.with(b.reduce(ReduceOp::Sum, full, &[axis])?));
    }
    if let Some(d) = ts[4] {
        let (minus, rows) = (b.neg(d.id)?, shape.without(axis));
        let minus = if b.shape(*total).is_scalar() { b.broadcast(minus, &rows)? } else { minus };
        right = plus(b, right, Some(d.with(minus)))?;
    }
    let Some(right) = right else { return Ok(vec![None; 2]) };
    let square = b.square(*w)?;
    let square = b.select(free, square, zero)?;
    let square = b.broadcast(square, &shape)?;
    let weight = b.reduce(ReduceOp::Sum, square, &[axis])?;
    // No free entry: every t of an interval solves the equation, and what is made of t does not change.
    let some = b.gt(weight, zero)?;
    let one = b.real(1.0)?;
    let weight = b.select(some, weight, one)?;
    let d = b.div(right.id, weight)?;
    let dt = b.select(some, d, zero)?;
    let inner = {
        let d = b.expand(dt, axis)?;
        let mut inner = b.mul(*w, d)?;
        if let Some(dw) = ts[1] {
            let moved = b.mul(t, dw.id)?;
            inner = b.add(inner, moved)?;
        }
        match ts[0] {
            Some(dv) => b.sub(dv.id, inner)?,
            None => b.neg(inner)?,
        }
    };
    let bound = match (ts[2], ts[3]) {
        (None, None) => zero,
        (dl, du) => b.select(below, dl.map_or(zero, |d| d.id), du.map_or(zero, |d| d.id))?,
    };
    let dx = b.select(free, inner, bound)?;
    let dx = b.broadcast(dx, &shape)?;
    Ok(vec![Some(Delta::new(dx, true)), Some(Delta::new(dt, true))])
}

/// In each block of equal values `sum(w dy + (y - x) dw) / sum(w)`.
pub(crate) fn push_isotonic(b: &mut Build, xs: &[NodeId], x: NodeId, ts: &[Option<Delta>]) -> GradResult<Option<Delta>> {
    let [y, w] = xs else { return Err(internal("isotonic has two operands")) };
    let axis = last_axis(b, x)?;
    let shape = b.shape(x);
    let n = shape.dims()[axis].clone();
    if n.known() == Some(0) {
        return Ok(ts[0].or(ts[1]));
    }
    // The number of the block of each element.
    let one = Dim::Known(1);
    let before = b.slice(x, axis, Dim::Known(0), n.sub(&one))?;
    let after = b.slice(x, axis, one.clone(), n.sub(&one))?;
    let changed = b.ne(before, after)?;
    let begins = b.op(Op::Pad { axis, before: one, after: Dim::Known(0) }, &[changed])?;
    let block = b.op(Op::Cumulative { op: Cumulative::Sum, axis, reverse: false }, &[begins])?;
    let sums = |b: &mut Build, a: NodeId| -> GradResult<NodeId> {
        let base = zeros(b, &shape)?;
        let totals = b.op(Op::ScatterAddAlong { axis }, &[base, block, a])?;
        Ok(b.op(Op::TakeAlong { axis }, &[totals, block])?)
    };
    let mut sum = None;
    if let Some(d) = ts[0] {
        sum = Some(d.with(b.mul(*w, d.id)?));
    }
    if let Some(d) = ts[1] {
        let off = b.sub(*y, x)?;
        let p = b.mul(off, d.id)?;
        sum = plus(b, sum, Some(d.with(p)))?;
    }
    let Some(d) = sum else { return Ok(None) };
    let (top, weight) = (sums(b, d.id)?, sums(b, *w)?);
    Ok(Some(d.with(b.div(top, weight)?)))
}
