//! Along an axis: running reductions, sorting, positions of extremes.

use crate::real::Real;
use crate::special;
use gradus_ir::Cumulative;
use std::cmp::Ordering;

/// `x` seen as `[outer, n, inner]`.
#[derive(Clone, Copy)]
pub(crate) struct Lines {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
}

impl Lines {
    /// Position of the first element of each line.
    fn starts(self) -> impl Iterator<Item = usize> {
        (0..self.outer).flat_map(move |o| (0..self.inner).map(move |j| o * self.n * self.inner + j))
    }
}

pub(crate) fn cumulative<T: Real>(l: Lines, op: Cumulative, reverse: bool, x: &[T], out: &mut [T]) {
    let f = |a: T, b: T| match op {
        Cumulative::Sum => a + b,
        Cumulative::Prod => a * b,
        Cumulative::Max => special::max(a, b),
    };
    for o in 0..l.outer {
        // Whole rows at a time: the inner axis is contiguous.
        let base = o * l.n * l.inner;
        for k in 0..l.n {
            let row = if reverse { l.n - 1 - k } else { k };
            let at = base + row * l.inner;
            if k == 0 {
                out[at..at + l.inner].copy_from_slice(&x[at..at + l.inner]);
                continue;
            }
            let before = if reverse { at + l.inner } else { at - l.inner };
            for j in 0..l.inner {
                out[at + j] = f(out[before + j], x[at + j]);
            }
        }
    }
}

/// Index of the first largest (smallest) element; the first NaN, if there is one. `false` where the axis is empty.
pub(crate) fn arg_reduce<T: Real>(l: Lines, max: bool, x: &[T], out: &mut [T]) -> bool {
    if l.n == 0 {
        return out.is_empty();
    }
    for (start, y) in l.starts().zip(out) {
        let (mut best, mut at) = (x[start], 0);
        for k in 1..l.n {
            let v = x[start + k * l.inner];
            let better = if max { v > best } else { v < best };
            if better || (v.is_nan() && !best.is_nan()) {
                (best, at) = (v, k);
            }
        }
        *y = T::of(at as f64);
    }
    true
}

fn compare<T: Real>(x: T, y: T, descending: bool) -> Ordering {
    match (x.is_nan(), y.is_nan()) {
        (false, false) => {
            let o = x.partial_cmp(&y).unwrap_or(Ordering::Equal);
            if descending { o.reverse() } else { o }
        }
        (a, b) => a.cmp(&b),
    }
}

/// Sorts one line: NaN to the end, the rest by a comparison that has no special cases left.
fn sort_line<T: Real>(v: &mut [T], descending: bool) {
    let mut n = v.len();
    let mut k = 0;
    while k < n {
        if v[k].is_nan() {
            n -= 1;
            v.swap(k, n);
        } else {
            k += 1;
        }
    }
    if descending {
        v[..n].sort_unstable_by(|a, b| b.total_cmp(a));
    } else {
        v[..n].sort_unstable_by(T::total_cmp);
    }
}

/// `work` holds one line.
pub(crate) fn sort<T: Real>(l: Lines, descending: bool, x: &[T], out: &mut [T], work: &mut [T]) {
    if l.inner == 1 {
        out.copy_from_slice(x);
        if l.n > 0 {
            out.chunks_exact_mut(l.n).for_each(|v| sort_line(v, descending));
        }
        return;
    }
    for start in l.starts() {
        for (k, w) in work.iter_mut().enumerate() {
            *w = x[start + k * l.inner];
        }
        sort_line(work, descending);
        for (k, w) in work.iter().enumerate() {
            out[start + k * l.inner] = *w;
        }
    }
}

/// Stable: equal elements keep their order. `work` holds a line of values and a line of positions.
pub(crate) fn arg_sort<T: Real>(l: Lines, descending: bool, x: &[T], out: &mut [T], work: &mut [T]) {
    let (values, positions) = work.split_at_mut(l.n);
    for start in l.starts() {
        for (k, v) in values.iter_mut().enumerate() {
            *v = x[start + k * l.inner];
            positions[k] = T::of(k as f64);
        }
        // Ties are broken by position, so no order is left to an unstable sort.
        positions.sort_unstable_by(|a, b| {
            let o = compare(values[a.index()], values[b.index()], descending);
            o.then(a.total_cmp(b))
        });
        for (k, p) in positions.iter().enumerate() {
            out[start + k * l.inner] = *p;
        }
    }
}
