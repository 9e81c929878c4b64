//! What works on whole lines of the last axis: the largest, multipliers, isotonic regression. Slow and plain on purpose.

use super::{Context, ReferenceError};
use crate::array::Array;

/// The lines along the last axis.
fn lines(a: &Array) -> impl Iterator<Item = &[f64]> {
    let n = a.shape.last().copied().unwrap_or(1);
    let count: usize = a.shape.iter().rev().skip(1).product();
    (0..count).map(move |k| &a.data[k * n..(k + 1) * n])
}

pub(super) fn top_k(c: &Context<'_>, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let k = c.shape(0)?.last().copied().unwrap_or(0);
    if a.shape.last().is_none_or(|n| *n < k) {
        return c.fault(format!("the {k} largest of an array of shape {:?}", a.shape));
    }
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for line in lines(a) {
        let mut order: Vec<usize> = (0..line.len()).collect();
        // Stable, so the first of equals comes first.
        order.sort_by(|i, j| match (line[*i].is_nan(), line[*j].is_nan()) {
            (false, false) => line[*j].partial_cmp(&line[*i]).unwrap_or(std::cmp::Ordering::Equal),
            (x, y) => x.cmp(&y),
        });
        values.extend(order.iter().take(k).map(|i| line[*i]));
        places.extend(order.iter().take(k).map(|i| *i as f64));
    }
    Ok(vec![c.output(0, values)?, c.output(1, places)?])
}

/// One line: entries `(v, w, lower, upper)`.
fn multiplier(entries: &[[f64; 4]], total: f64) -> f64 {
    if total.is_nan() || entries.iter().flatten().any(|x| x.is_nan()) {
        return f64::NAN;
    }
    // An infinite entry that nothing bounds.
    if entries.iter().any(|[v, _, l, u]| v.is_infinite() && (v == l || v == u)) {
        return f64::NAN;
    }
    let entries: Vec<[f64; 4]> = entries.iter().copied().filter(|e| e[1] != 0.0).collect();
    let clip = |[v, w, l, u]: [f64; 4], t: f64| w * (v - t * w).max(l).min(u);
    let sum = |t: f64| -> f64 { entries.iter().map(|e| clip(*e, t)).sum() };
    let slope = |t: f64| -> f64 {
        let free = |[v, w, l, u]: [f64; 4]| v - t * w > l && v - t * w < u;
        entries.iter().filter(|e| free(**e)).map(|e| e[1] * e[1]).sum()
    };
    // The exact root of the piece that `inside` lies in, from a point at its border.
    let solve = |from: f64, inside: f64| {
        let (excess, k) = (sum(from) - total, slope(inside));
        let scale = total.abs() + entries.iter().map(|e| clip(*e, from).abs()).sum::<f64>();
        match () {
            _ if k > 0.0 => from + excess / k,
            _ if excess.abs() <= f64::EPSILON.sqrt() * scale => from,
            _ => f64::NAN,
        }
    };
    let mut breaks: Vec<f64> = entries.iter().flat_map(|[v, w, l, u]| [(v - l) / w, (v - u) / w]).filter(|t| t.is_finite()).collect();
    breaks.sort_by(f64::total_cmp);
    let Some(first) = breaks.first() else { return solve(0.0, 0.0) };
    match breaks.iter().rposition(|t| sum(*t) >= total) {
        None => solve(*first, first - 1.0),
        Some(k) => match breaks.get(k + 1) {
            Some(next) => solve(breaks[k], (breaks[k] + next) / 2.0),
            None => solve(breaks[k], breaks[k] + 1.0),
        },
    }
}

pub(super) fn knapsack(c: &Context<'_>, [v, w, l, u, total]: [&Array; 5]) -> Result<Vec<Array>, ReferenceError> {
    let n = v.shape.last().copied().unwrap_or(1);
    let of = |a: &Array, at: usize| if a.shape.is_empty() { a.data[0] } else { a.data[at] };
    let rows = v.shape.iter().rev().skip(1).product();
    let (mut xs, mut ts) = (Vec::new(), Vec::new());
    for r in 0..rows {
        let entries: Vec<[f64; 4]> = (r * n..(r + 1) * n).map(|at| [v, w, l, u].map(|a| of(a, at))).collect();
        let t = multiplier(&entries, of(total, r));
        xs.extend(entries.iter().map(|[v, w, l, u]| if t.is_nan() { t } else { (v - t * w).max(*l).min(*u) }));
        ts.push(t);
    }
    Ok(vec![c.output(0, xs)?, c.output(1, ts)?])
}

/// Blocks of a mean, a weight and a length; neighbours in the wrong order become one.
pub(super) fn isotonic(c: &Context<'_>, y: &Array, w: &Array) -> Result<Vec<Array>, ReferenceError> {
    let mut out = Vec::new();
    for (y, w) in lines(y).zip(lines(w)) {
        if y.iter().any(|y| y.is_nan()) || w.iter().any(|w| w.is_nan() || *w <= 0.0) {
            out.extend(std::iter::repeat_n(f64::NAN, y.len()));
            continue;
        }
        let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
        for (y, w) in y.iter().zip(w) {
            let mut last = (*y, *w, 1);
            while let Some(before) = blocks.pop_if(|b| b.0 > last.0) {
                let weight = before.1 + last.1;
                last = (before.0 + (last.0 - before.0) * (last.1 / weight), weight, before.2 + last.2);
            }
            blocks.push(last);
        }
        blocks.iter().for_each(|(mean, _, n)| out.extend(std::iter::repeat_n(*mean, *n)));
    }
    c.one(out)
}
