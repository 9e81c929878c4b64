//! Laws of reductions that are more than sums, of what is moved, joined or drawn.

use crate::bank::Id;
use crate::laws::{Case, Law, own, ring};
use crate::piecewise::extreme_of_map;
use gradus_ir::{BinaryOp, Dim, Op, ReduceOp, Shape};

type Done<T> = Result<T, String>;

pub const LAWS: &[Law] = &[
    own("reduce/of-moved", of_moved),
    own("reduce/of-concat", of_concat),
    ring("reduce/of-diagonal", |c| c.summed(c.lhs).is_some_and(|x| matches!(c.op(x), Some(Op::DiagMatrix)))),
    ring("reduce/of-outer", |c| {
        let sums = c.product_of(c.rhs).is_some_and(|f| f.len() == 2 && f.iter().all(|(x, e)| *e == 1 && c.summed(*x).is_some()));
        sums && c.summed(c.lhs).is_some_and(|x| c.rank(x) == 2)
    }),
    ring("reduce/outer-products", |c| c.summed(c.lhs).is_some_and(|x| c.rank(x) == 3) && c.product(c.rhs).is_some()),
    own("reduce/extreme-of-broadcast", |c| {
        let Some((_, axes, x)) = c.extreme_along(c.lhs) else { return Ok(false) };
        let Some(whole) = again(c, c.rhs, &axes, x)? else { return Ok(false) };
        Ok(matches!(c.op(x), Some(Op::Broadcast(_))) && c.same(whole, x)?)
    }),
    own("reduce/extreme-again", |c| {
        let (Some((l, axes, x)), Some((m, inner, y))) = (c.extreme_along(c.lhs), c.extreme_along(c.rhs)) else { return Ok(false) };
        let moved = match c.op(x) {
            Some(Op::Reshape(_)) => true,
            _ => c.extreme_along(x).is_some_and(|(k, ..)| k == l),
        };
        // The largest of all elements, in whatever order they stand.
        let all = axes.len() == c.rank(x) && inner.len() == c.rank(y);
        Ok(l == m && all && moved && c.kid(x, 0).is_some_and(|k| c.bank.equal(k, y)))
    }),
    own("reduce/extreme-of-map", extreme_of_map),
    own("reduce/extreme-of-scaled", extreme_of_scaled),
    own("reduce/shift-out", shift_out),
    own("random/reshape", |c| {
        let moved = matches!(c.op(c.lhs), Some(Op::Reshape(_)));
        // The same numbers in the same order.
        Ok(moved && drawn_alike(c))
    }),
    own("random/fewer", |c| {
        let first = matches!(c.op(c.lhs), Some(Op::Slice { axis: 0, start, .. }) if start.known() == Some(0));
        // Numbers are drawn row by row: the first rows of more are all of fewer.
        Ok(first && drawn_alike(c))
    }),
];

/// Is one side made of a draw, and the other a draw of the same kind by the same key?
fn drawn_alike(c: &Case<'_>) -> bool {
    let Some(x) = c.kid(c.lhs, 0) else { return false };
    let kind = matches!(
        (c.op(x), c.op(c.rhs)),
        (Some(Op::Normal(_)), Some(Op::Normal(_))) | (Some(Op::Uniform(_)), Some(Op::Uniform(_)))
    );
    kind && c.kid(x, 0).zip(c.kid(c.rhs, 0)).is_some_and(|(k, l)| c.bank.equal(k, l))
}

/// The shape with those axes of length one.
fn flat(full: &Shape, axes: &[usize]) -> Shape {
    Shape::new(full.dims().iter().enumerate().map(|(k, d)| if axes.contains(&k) { Dim::Known(1) } else { d.clone() }))
}

/// A reduction's result as a value of the operand's shape.
fn again(c: &mut Case<'_>, id: Id, axes: &[usize], x: Id) -> Done<Option<Id>> {
    let full = c.bank.ty(x).shape.clone();
    let Ok(kept) = c.bank.op_term(Op::Reshape(flat(&full, axes)), &[id]) else { return Ok(None) };
    c.bank.op_term(Op::Broadcast(full), &[kept]).map(Some)
}

fn of_moved(c: &mut Case<'_>) -> Done<bool> {
    let (Some(Op::Reduce(r, axes)), Some(x)) = (c.op(c.lhs).cloned(), c.kid(c.lhs, 0)) else { return Ok(false) };
    let (Some(op), Some(y)) = (c.op(x).cloned(), c.kid(x, 0)) else { return Ok(false) };
    let inner = match op {
        Op::Transpose(p) => {
            let mut inner: Vec<usize> = axes.iter().filter_map(|a| p.get(*a).copied()).collect();
            inner.sort_unstable();
            let kept: Vec<usize> = p.iter().copied().filter(|k| !inner.contains(k)).collect();
            if !kept.windows(2).all(|w| w[0] < w[1]) {
                return Ok(false);
            }
            inner
        }
        Op::Reverse { axis } | Op::Sort { axis, .. } if axes.contains(&axis) => axes,
        // Zeros change no sum.
        Op::Pad { axis, .. } if axes.contains(&axis) && r == ReduceOp::Sum => axes,
        _ => return Ok(false),
    };
    let want = c.bank.op_term(Op::Reduce(r, inner), &[y])?;
    Ok(c.bank.equal(c.rhs, want))
}

fn of_concat(c: &mut Case<'_>) -> Done<bool> {
    let (Some(Op::Reduce(r, axes)), Some(x)) = (c.op(c.lhs).cloned(), c.kid(c.lhs, 0)) else { return Ok(false) };
    let by = match r {
        ReduceOp::Sum => BinaryOp::Add,
        ReduceOp::Max => BinaryOp::Max,
        ReduceOp::Min => BinaryOp::Min,
        _ => return Ok(false),
    };
    if !matches!(c.op(x), Some(Op::Concat { axis }) if axes.contains(axis)) {
        return Ok(false);
    }
    let mut whole: Option<Id> = None;
    for k in c.bank.term(x).kids.clone() {
        let part = c.bank.op_term(Op::Reduce(r, axes.clone()), &[k])?;
        whole = Some(match whole {
            None => part,
            Some(w) => c.bank.op_term(Op::Binary(by), &[w, part])?,
        });
    }
    whole.map_or(Ok(false), |w| c.same(c.rhs, w))
}

fn extreme_of_scaled(c: &mut Case<'_>) -> Done<bool> {
    let Some((larger, axes, x)) = c.extreme_along(c.lhs) else { return Ok(false) };
    let Some((s, y)) = c.scale(x).filter(|(s, y)| *s != 0.0 && s.is_finite() && c.bank.ty(*y).shape == c.bank.ty(x).shape) else {
        return Ok(false);
    };
    let r = if larger == (s > 0.0) { ReduceOp::Max } else { ReduceOp::Min };
    let m = c.bank.op_term(Op::Reduce(r, axes), &[y])?;
    let want = c.times(s, m)?;
    c.same(c.rhs, want)
}

/// What does not vary along the axes comes out of a largest element and of a log of a sum of exponentials.
fn shift_out(c: &mut Case<'_>) -> Done<bool> {
    let (Some(Op::Reduce(r, axes)), Some(x)) = (c.op(c.lhs).cloned(), c.kid(c.lhs, 0)) else { return Ok(false) };
    if r != ReduceOp::LogSumExp && c.extreme_along(c.lhs).is_none() {
        return Ok(false);
    }
    let Some((terms, _)) = c.sum(c.rhs) else { return Ok(false) };
    for (_, t) in terms.iter().filter(|(k, _)| *k == 1.0) {
        let Some(Op::Reduce(s, inner)) = c.op(*t).cloned() else { continue };
        let Some(y) = c.kid(*t, 0).filter(|y| s == r && inner == axes && c.bank.ty(*y).shape == c.bank.ty(x).shape) else { continue };
        // Along the axes x and y differ by what the right side adds to its reduction.
        let (Some(own), Some(whole)) = (again(c, *t, &axes, x)?, again(c, c.rhs, &axes, x)?) else { continue };
        let l = c.bank.op_term(Op::Binary(BinaryOp::Add), &[x, own])?;
        let r = c.bank.op_term(Op::Binary(BinaryOp::Add), &[y, whole])?;
        if c.same(l, r)? {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Case<'_> {
    /// The operand, where the term is a sum over axes.
    pub fn summed(&self, id: Id) -> Option<Id> {
        self.of(id, |op| matches!(op, Op::Reduce(ReduceOp::Sum, _)))
    }

    /// The largest (true) or smallest element along axes that are known not to be empty.
    pub fn extreme_along(&self, id: Id) -> Option<(bool, Vec<usize>, Id)> {
        let (larger, axes) = match self.op(id)? {
            Op::Reduce(ReduceOp::Max, axes) => (true, axes.clone()),
            Op::Reduce(ReduceOp::Min, axes) => (false, axes.clone()),
            _ => return None,
        };
        let x = self.kid(id, 0)?;
        let full = &self.bank.ty(x).shape;
        let some = axes.iter().all(|a| full.dims().get(*a).and_then(|d| d.known()).is_some_and(|n| n > 0));
        some.then_some((larger, axes, x))
    }
}
