//! Matrix times vector, with the matrix in row-major order: the products of rows, and the sum of rows. All functions are
//! always inlined: `simd` compiles them for several widths.
//!
//! Each result is made by the same operations in the same order however many rows one call has, so that whoever cuts a
//! matrix into blocks gets the same bits for each row.

use crate::matmul;
use crate::real::Real;

/// Running values of one row.
const LANES: usize = 16;
/// Rows side by side: they share what is read of the vector.
const ROWS: usize = 4;

/// The sum of the running values, by pairs.
#[inline(always)]
fn total<T: Real>(acc: [T; LANES]) -> T {
    let mut s = [T::ZERO; 8];
    for t in 0..8 {
        s[t] = acc[t] + acc[t + 8];
    }
    ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

/// `N` rows that begin `stride` elements apart.
#[inline(always)]
unsafe fn dots<T: Real, const N: usize>(a: *const T, stride: usize, x: &[T]) -> [T; N] {
    let k = x.len();
    let mut acc = [[T::ZERO; LANES]; N];
    let mut l = 0;
    // SAFETY: each row has `k` elements.
    unsafe {
        while l + LANES <= k {
            let v = &*x.as_ptr().add(l).cast::<[T; LANES]>();
            for (r, acc) in acc.iter_mut().enumerate() {
                let p = &*a.add(r * stride + l).cast::<[T; LANES]>();
                for t in 0..LANES {
                    acc[t] += p[t] * v[t];
                }
            }
            l += LANES;
        }
        if l + 8 <= k {
            let v = &*x.as_ptr().add(l).cast::<[T; 8]>();
            for (r, acc) in acc.iter_mut().enumerate() {
                let p = &*a.add(r * stride + l).cast::<[T; 8]>();
                for t in 0..8 {
                    acc[t] += p[t] * v[t];
                }
            }
            l += 8;
        }
        let mut y = [T::ZERO; N];
        for (r, y) in y.iter_mut().enumerate() {
            *y = total(acc[r]);
            for j in l..k {
                *y += *a.add(r * stride + j) * x[j];
            }
        }
        y
    }
}

/// `y[i] = row i . x`. SAFETY: row `i` is the `x.len()` elements from `a + i * stride`.
#[inline(always)]
pub(crate) unsafe fn rows<T: Real>(a: *const T, stride: usize, x: &[T], y: &mut [T]) {
    let mut groups = y.chunks_exact_mut(ROWS);
    let mut i = 0;
    // SAFETY: the caller's.
    unsafe {
        for g in &mut groups {
            g.copy_from_slice(&dots::<T, ROWS>(a.add(i * stride), stride, x));
            i += ROWS;
        }
        for g in groups.into_remainder() {
            *g = dots::<T, 1>(a.add(i * stride), stride, x)[0];
            i += 1;
        }
    }
}

/// Pieces of `y` that stay in the first-level cache.
const PIECE: usize = 1024;

/// `y = sum x[l] row l`, added to what is in `y` if `add`. Rows are taken eight at a time.
///
/// SAFETY: row `l` is the `y.len()` elements from `a + l * stride`.
#[inline(always)]
pub(crate) unsafe fn sum_of_rows<T: Real>(a: *const T, stride: usize, x: &[T], y: &mut [T], add: bool) {
    let m = y.len();
    if (8..=32).contains(&m) {
        if !add {
            // SAFETY: the caller's.
            return unsafe { matmul::short_columns(a, stride, x, y) };
        }
        let mut sum = [T::ZERO; 32];
        // SAFETY: the caller's.
        unsafe { matmul::short_columns(a, stride, x, &mut sum[..m]) };
        for (y, s) in y.iter_mut().zip(sum) {
            *y += s;
        }
        return;
    }
    let mut from = 0;
    while from < m {
        let n = PIECE.min(m - from);
        let y = &mut y[from..from + n];
        if !add {
            y.fill(T::ZERO);
        }
        // SAFETY: the caller's.
        let row = |l: usize| unsafe { std::slice::from_raw_parts(a.add(l * stride + from), n) };
        let mut l = 0;
        while l + 8 <= x.len() {
            let r: [&[T]; 8] = std::array::from_fn(|k| row(l + k));
            let v: [T; 8] = std::array::from_fn(|k| x[l + k]);
            for j in 0..n {
                let p = (r[0][j] * v[0] + r[1][j] * v[1]) + (r[2][j] * v[2] + r[3][j] * v[3]);
                let q = (r[4][j] * v[4] + r[5][j] * v[5]) + (r[6][j] * v[6] + r[7][j] * v[7]);
                y[j] += p + q;
            }
            l += 8;
        }
        while l < x.len() {
            let (v, p) = (x[l], row(l));
            for j in 0..n {
                y[j] += p[j] * v;
            }
            l += 1;
        }
        from += n;
    }
}
