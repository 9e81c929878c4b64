//! Along an axis: running reductions, sorting, positions of extremes, the largest, isotonic regression.

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

/// The `k` largest of each line in descending order, and where they are: of equal ones the first, NaN last. Linear in the line.
/// `work` holds one line.
pub(crate) fn top_k<T: Real>(n: usize, k: usize, x: &[T], values: &mut [T], indices: &mut [T], work: &mut [T]) {
    if k == 0 {
        return;
    }
    for ((x, values), indices) in x.chunks_exact(n).zip(values.chunks_exact_mut(k)).zip(indices.chunks_exact_mut(k)) {
        let mut numbers = 0;
        for v in x {
            if !v.is_nan() {
                // One zero, so that bit patterns order as numbers do.
                work[numbers] = *v + T::ZERO;
                numbers += 1;
            }
        }
        let mut found = 0;
        let mut put = |i: usize, found: &mut usize| {
            indices[*found] = T::of(i as f64);
            *found += 1;
        };
        if k < numbers {
            let least = *work[..numbers].select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a)).1;
            let mut room = k - x.iter().filter(|v| **v > least).count();
            for (i, v) in x.iter().enumerate() {
                let equal = *v == least && room > 0;
                if *v > least || equal {
                    room -= usize::from(equal);
                    put(i, &mut found);
                }
            }
        } else {
            x.iter().enumerate().filter(|(_, v)| !v.is_nan()).for_each(|(i, _)| put(i, &mut found));
            x.iter().enumerate().filter(|(_, v)| v.is_nan()).take(k - numbers).for_each(|(i, _)| put(i, &mut found));
        }
        indices.sort_unstable_by(|a, b| compare(x[a.index()], x[b.index()], true).then(a.total_cmp(b)));
        for (v, i) in values.iter_mut().zip(indices.iter()) {
            *v = x[i.index()];
        }
    }
}

/// The nondecreasing line nearest to each, by pooling neighbours in the wrong order. `work` holds three lines.
pub(crate) fn isotonic<T: Real>(n: usize, y: &[T], w: &[T], out: &mut [T], work: &mut [T]) {
    if n == 0 {
        return;
    }
    let (means, work) = work.split_at_mut(n);
    let (weights, ends) = work.split_at_mut(n);
    for ((y, w), out) in y.chunks_exact(n).zip(w.chunks_exact(n)).zip(out.chunks_exact_mut(n)) {
        if y.iter().any(|y| y.is_nan()) || !w.iter().all(|w| *w > T::ZERO) {
            out.fill(T::NAN);
            continue;
        }
        let mut blocks = 0;
        for (k, (y, w)) in y.iter().zip(w).enumerate() {
            let (mut mean, mut weight) = (*y, *w);
            while blocks > 0 && means[blocks - 1] > mean {
                blocks -= 1;
                let total = weights[blocks] + weight;
                mean = means[blocks] + (mean - means[blocks]) * (weight / total);
                weight = total;
            }
            (means[blocks], weights[blocks], ends[blocks]) = (mean, weight, T::of((k + 1) as f64));
            blocks += 1;
        }
        let mut from = 0;
        for (mean, end) in means[..blocks].iter().zip(&ends[..blocks]) {
            out[from..end.index()].fill(*mean);
            from = end.index();
        }
    }
}
