//! Reductions of columns, fed one block of rows after the other.

use crate::real::Real;
use crate::special;
use gradus_ir::ReduceOp;

/// Columns that stay in registers while a block's rows go by.
const WIDTH: usize = 32;

/// A running largest element is replaced by one that exceeds it by more than this. Until then exponentials are up to
/// `e` times larger than they need be, which costs nothing; replacing costs another exponential.
const SLACK: f64 = 1.0;

/// Joins a block of rows of `inner` elements with what the chunk's rows before gave (`first`: there were none). Always
/// inlined: `simd` compiles it for several widths.
///
/// `target` has `inner` elements; for `LogSumExp` twice as many: the reference points, then the sums of exponentials of
/// differences from them.
#[inline(always)]
pub(crate) fn block<T: Real>(op: ReduceOp, inner: usize, x: &[T], target: &mut [T], first: bool) {
    match op {
        ReduceOp::Sum => fold(inner, x, target, first, T::ZERO, |a, b| a + b),
        ReduceOp::Prod => fold(inner, x, target, first, T::ONE, |a, b| a * b),
        ReduceOp::Max => fold(inner, x, target, first, T::NEG_INFINITY, special::max),
        ReduceOp::Min => fold(inner, x, target, first, T::INFINITY, special::min),
        ReduceOp::LogSumExp => log_sum_exp(inner, x, target, first),
    }
}

/// The block's rows by themselves, then the result with the rows before.
#[inline(always)]
fn fold<T: Real>(inner: usize, x: &[T], target: &mut [T], first: bool, start: T, f: impl Fn(T, T) -> T) {
    let mut j = 0;
    while let Some(target) = target.get_mut(j..).and_then(|t| t.first_chunk_mut::<WIDTH>()) {
        let mut acc = [start; WIDTH];
        for row in x.chunks_exact(inner) {
            let Some(row) = row[j..].first_chunk::<WIDTH>() else { continue };
            for t in 0..WIDTH {
                acc[t] = f(acc[t], row[t]);
            }
        }
        for t in 0..WIDTH {
            target[t] = if first { acc[t] } else { f(target[t], acc[t]) };
        }
        j += WIDTH;
    }
    if j < inner {
        // Fewer columns: rows one after the other.
        let rest = &mut target[j..inner];
        let mut rows = x.chunks_exact(inner);
        if first {
            rest.fill(start);
        }
        for row in &mut rows {
            for (t, v) in rest.iter_mut().zip(&row[j..]) {
                *t = f(*t, *v);
            }
        }
    }
}

#[inline(always)]
fn log_sum_exp<T: Real>(inner: usize, x: &[T], target: &mut [T], first: bool) {
    let (tops, sums) = target.split_at_mut(inner);
    let mut j = 0;
    while j < inner {
        let (x, tops, sums) = (&x[j..], &mut tops[j..], &mut sums[j..]);
        j += if running::<T, WIDTH>(inner, x, tops, sums, first) {
            WIDTH
        } else if running::<T, 8>(inner, x, tops, sums, first) {
            8
        } else {
            running::<T, 1>(inner, x, tops, sums, first);
            1
        };
    }
}

/// `N` columns from the first of `x` on; rows are `inner` elements apart. False where there are not so many columns.
#[inline(always)]
fn running<T: Real, const N: usize>(inner: usize, x: &[T], tops: &mut [T], sums: &mut [T], first: bool) -> bool {
    let (Some(tops), Some(sums)) = (tops.first_chunk_mut::<N>(), sums.first_chunk_mut::<N>()) else { return false };
    let mut most = [T::NEG_INFINITY; N];
    for row in x.chunks(inner) {
        let Some(row) = row.first_chunk::<N>() else { continue };
        for t in 0..N {
            most[t] = special::max(most[t], row[t]);
        }
    }
    let (mut top, mut sum) = (most, [T::ZERO; N]);
    if !first {
        (top, sum) = (*tops, *sums);
        let slack = T::of(SLACK);
        // A NaN counts as more.
        if (0..N).any(|t| !(most[t] <= top[t] + slack)) {
            for t in 0..N {
                let new = special::max(top[t], most[t]);
                // From minus infinity nothing has been summed; at an infinity the sum does not matter.
                let scale = if new == top[t] { T::ONE } else { (top[t] - new).exp_of_difference() };
                sum[t] = if sum[t] == T::ZERO { T::ZERO } else { sum[t] * scale };
                top[t] = new;
            }
        }
    }
    let mut from = top;
    for f in &mut from {
        // The difference from an infinity would be NaN.
        *f = if f.is_finite() { *f } else { T::ZERO };
    }
    for row in x.chunks(inner) {
        let Some(row) = row.first_chunk::<N>() else { continue };
        for t in 0..N {
            sum[t] += (row[t] - from[t]).exp_of_difference();
        }
    }
    *tops = top;
    *sums = sum;
    true
}

/// `log(sum(exp(x)))` of the first columns of rows that are `inner` elements apart, all rows at once.
#[inline(always)]
pub(crate) fn log_sum_exp_of_all<T: Real>(inner: usize, x: &[T], out: &mut [T]) {
    let mut sums = [T::ZERO; WIDTH];
    let mut j = 0;
    while j < out.len() {
        let (x, out) = (&x[j..], &mut out[j..]);
        let n = if running::<T, WIDTH>(inner, x, out, &mut sums, true) {
            WIDTH
        } else if running::<T, 8>(inner, x, out, &mut sums, true) {
            8
        } else {
            running::<T, 1>(inner, x, out, &mut sums, true);
            1
        };
        for (o, s) in out.iter_mut().zip(&sums).take(n) {
            *o = if o.is_finite() { *o + s.log() } else { *o };
        }
        j += n;
    }
}

/// `sum(exp(x - top))`, for elements up to the finite `top`. Always inlined.
#[inline(always)]
pub(crate) fn sum_of_exponentials<T: Real>(x: &[T], top: T) -> T {
    let mut acc = [T::ZERO; 16];
    let mut rest = x;
    while let Some((c, more)) = rest.split_first_chunk::<16>() {
        for t in 0..16 {
            acc[t] += (c[t] - top).exp_of_difference();
        }
        rest = more;
    }
    for (a, v) in acc.iter_mut().zip(rest) {
        *a += (*v - top).exp_of_difference();
    }
    let mut n = 8;
    while n > 0 {
        for t in 0..n {
            acc[t] = acc[t] + acc[t + n];
        }
        n /= 2;
    }
    acc[0]
}

/// The results from the partial results of chunks, in their order. For `LogSumExp` a chunk has twice as many.
pub(crate) fn join<T: Real>(op: ReduceOp, parts: &[T], out: &mut [T]) {
    let n = out.len();
    if n == 0 {
        return;
    }
    let f = match op {
        ReduceOp::Sum => |a: T, b: T| a + b,
        ReduceOp::Prod => |a: T, b: T| a * b,
        ReduceOp::Max => special::max,
        ReduceOp::Min => special::min,
        ReduceOp::LogSumExp => {
            for (j, o) in out.iter_mut().enumerate() {
                let chunks = || parts.chunks_exact(2 * n);
                let top = chunks().fold(T::NEG_INFINITY, |m, c| special::max(m, c[j]));
                *o = if top.is_finite() {
                    let sum = chunks().fold(T::ZERO, |s, c| {
                        // A chunk of nothing but minus infinity has no sum.
                        if c[n + j] == T::ZERO { s } else { s + c[n + j] * (c[j] - top).exp() }
                    });
                    top + sum.log()
                } else {
                    top
                };
            }
            return;
        }
    };
    let mut chunks = parts.chunks_exact(n);
    if let Some(c) = chunks.next() {
        out.copy_from_slice(c);
    }
    for c in chunks {
        for (o, v) in out.iter_mut().zip(c) {
            *o = f(*o, *v);
        }
    }
}
