//! Reductions, running reductions and sorting: everything that works along axes.

use super::{Context, ReferenceError, flatten, indices};
use crate::array::Array;
use crate::op::{Cumulative, ReduceOp};
use std::cmp::Ordering;

fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

fn smaller(a: f64, b: f64) -> f64 {
    -larger(-a, -b)
}

fn fold(r: ReduceOp, xs: &[f64]) -> f64 {
    match r {
        ReduceOp::Sum => xs.iter().fold(0.0, |a, x| a + x),
        ReduceOp::Prod => xs.iter().fold(1.0, |a, x| a * x),
        ReduceOp::Max => xs.iter().fold(f64::NEG_INFINITY, |a, x| larger(a, *x)),
        ReduceOp::Min => xs.iter().fold(f64::INFINITY, |a, x| smaller(a, *x)),
        ReduceOp::LogSumExp => {
            let top = fold(ReduceOp::Max, xs);
            // An infinite largest element is the answer itself; subtracting it would make NaN.
            if !top.is_finite() { top } else { top + xs.iter().map(|x| (x - top).exp()).sum::<f64>().ln() }
        }
    }
}

pub(super) fn reduce(c: &Context<'_>, r: ReduceOp, axes: &[usize], a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let shape = c.shape(0)?;
    let mut groups: Vec<Vec<f64>> = vec![Vec::new(); shape.iter().product()];
    for i in indices(&a.shape) {
        let kept: Vec<usize> = (0..i.len()).filter(|k| !axes.contains(k)).map(|k| i[k]).collect();
        groups[flatten(&kept, &shape)].push(a.data[flatten(&i, &a.shape)]);
    }
    c.one(groups.iter().map(|xs| fold(r, xs)).collect())
}

/// The elements along `axis` through each index of the other axes, with where they stand in the data.
fn lanes(a: &Array, axis: usize) -> Vec<Vec<(usize, f64)>> {
    let mut others = a.shape.clone();
    others.remove(axis);
    let mut lanes: Vec<Vec<(usize, f64)>> = vec![Vec::new(); others.iter().product()];
    for i in indices(&a.shape) {
        let mut rest = i.clone();
        rest.remove(axis);
        let at = flatten(&i, &a.shape);
        lanes[flatten(&rest, &others)].push((at, a.data[at]));
    }
    lanes
}

pub(super) fn arg_reduce(c: &Context<'_>, max: bool, axis: usize, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let mut out = Vec::new();
    for lane in lanes(a, axis) {
        let Some((_, first)) = lane.first() else { return c.fault("the axis has no elements to pick from") };
        let (mut best, mut best_at) = (*first, 0);
        for (k, (_, x)) in lane.iter().enumerate() {
            let better = if max { *x > best } else { *x < best };
            if !best.is_nan() && (better || x.is_nan()) {
                (best, best_at) = (*x, k);
            }
        }
        out.push(best_at as f64);
    }
    c.one(out)
}

pub(super) fn cumulative(c: &Context<'_>, op: Cumulative, axis: usize, reverse: bool, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let mut out = vec![0.0; a.len()];
    for mut lane in lanes(a, axis) {
        if reverse {
            lane.reverse();
        }
        let mut total = None;
        for (at, x) in lane {
            let next = match (op, total) {
                (_, None) => x,
                (Cumulative::Sum, Some(t)) => t + x,
                (Cumulative::Prod, Some(t)) => t * x,
                (Cumulative::Max, Some(t)) => larger(t, x),
            };
            total = Some(next);
            out[at] = next;
        }
    }
    c.one(out)
}

/// Stable; NaN last in either direction.
pub(super) fn sort(c: &Context<'_>, axis: usize, descending: bool, index: bool, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let mut out = vec![0.0; a.len()];
    for lane in lanes(a, axis) {
        let mut order: Vec<usize> = (0..lane.len()).collect();
        order.sort_by(|p, q| {
            let (x, y) = (lane[*p].1, lane[*q].1);
            match (x.is_nan(), y.is_nan()) {
                (false, false) if descending => y.partial_cmp(&x).unwrap_or(Ordering::Equal),
                (false, false) => x.partial_cmp(&y).unwrap_or(Ordering::Equal),
                (p, q) => p.cmp(&q),
            }
        });
        for (k, from) in order.iter().enumerate() {
            out[lane[k].0] = if index { *from as f64 } else { lane[*from].1 };
        }
    }
    c.one(out)
}
