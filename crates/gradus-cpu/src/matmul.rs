//! Matrix products: own loops for vectors and tiny matrices, where a library call costs more than the work, faer's
//! kernels for the rest.

use faer::{Accum, MatMut, MatRef, Par};
use gradus_plan::Matrix;

/// An operand with its address.
#[derive(Clone, Copy)]
pub(crate) struct Operand {
    pub p: *const f64,
    pub rows: usize,
    pub cols: usize,
    pub rs: isize,
    pub cs: isize,
}

impl Operand {
    pub fn new(m: &Matrix, p: *const f64) -> Operand {
        Operand { p, rows: m.rows, cols: m.cols, rs: m.row_stride, cs: m.col_stride }
    }
}

/// Multiplications below which own loops win.
const TINY: usize = 600;

/// `out[rows, cols] = a @ b`, dense row-major.
///
/// SAFETY: the operands and `out` lie in valid memory, and `out` overlaps neither.
pub(crate) unsafe fn product(a: Operand, b: Operand, out: *mut f64) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the caller's; all slices below are parts of the operands.
    unsafe {
        let y = std::slice::from_raw_parts_mut(out, m * n);
        if k == 0 {
            y.fill(0.0);
        } else if n == 1 {
            let x = std::slice::from_raw_parts(b.p, k);
            if m == 1 {
                y[0] = dot(std::slice::from_raw_parts(a.p, k), x);
            } else if a.cs == 1 {
                rows_times_vector(a.p, a.rs as usize, x, y);
            } else {
                columns_times_vector(a.p, a.cs as usize, x, y);
            }
        } else if m == 1 {
            // The transposed problem.
            let x = std::slice::from_raw_parts(a.p, k);
            if b.rs == 1 {
                rows_times_vector(b.p, b.cs as usize, x, y);
            } else {
                columns_times_vector(b.p, b.rs as usize, x, y);
            }
        } else if k == 1 {
            for (i, row) in y.chunks_exact_mut(n).enumerate() {
                let s = *a.p.offset(i as isize * a.rs);
                for (j, t) in row.iter_mut().enumerate() {
                    *t = s * *b.p.offset(j as isize * b.cs);
                }
            }
        } else if m * k * n <= TINY {
            y.fill(0.0);
            for (i, row) in y.chunks_exact_mut(n).enumerate() {
                for l in 0..k {
                    let s = *a.p.offset(i as isize * a.rs + l as isize * a.cs);
                    let q = b.p.offset(l as isize * b.rs);
                    for (j, t) in row.iter_mut().enumerate() {
                        *t += s * *q.offset(j as isize * b.cs);
                    }
                }
            }
        } else {
            let a = MatRef::from_raw_parts(a.p, m, k, a.rs, a.cs);
            let b = MatRef::from_raw_parts(b.p, k, n, b.rs, b.cs);
            let c = MatMut::from_raw_parts_mut(out, m, n, n as isize, 1);
            faer::linalg::matmul::matmul(c, Accum::Replace, a, b, 1.0, Par::Seq);
        }
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut acc = [0.0; 16];
    let (mut p, mut q) = (a.chunks_exact(16), b.chunks_exact(16));
    for (x, y) in (&mut p).zip(&mut q) {
        for k in 0..16 {
            acc[k] += x[k] * y[k];
        }
    }
    for (k, (x, y)) in p.remainder().iter().zip(q.remainder()).enumerate() {
        acc[k] += x * y;
    }
    let mut half = 8;
    while half > 0 {
        for k in 0..half {
            acc[k] += acc[k + half];
        }
        half /= 2;
    }
    acc[0]
}

/// `y[i] = row i . x`, four rows at a time so that `x` is read once for them.
unsafe fn rows_times_vector(a: *const f64, stride: usize, x: &[f64], y: &mut [f64]) {
    let k = x.len();
    // SAFETY: row `i` starts at `i * stride` and has `k` elements.
    let row = |i: usize| unsafe { std::slice::from_raw_parts(a.add(i * stride), k) };
    let mut i = 0;
    while i + 4 <= y.len() {
        let r = [row(i), row(i + 1), row(i + 2), row(i + 3)];
        let mut acc = [[0.0f64; 8]; 4];
        let whole = k / 8 * 8;
        let mut l = 0;
        while l < whole {
            let xs = &x[l..l + 8];
            for (acc, r) in acc.iter_mut().zip(r) {
                let rs = &r[l..l + 8];
                for t in 0..8 {
                    acc[t] += rs[t] * xs[t];
                }
            }
            l += 8;
        }
        for (j, (acc, r)) in acc.iter_mut().zip(r).enumerate() {
            for t in whole..k {
                acc[t - whole] += r[t] * x[t];
            }
            y[i + j] = ((acc[0] + acc[4]) + (acc[2] + acc[6])) + ((acc[1] + acc[5]) + (acc[3] + acc[7]));
        }
        i += 4;
    }
    while i < y.len() {
        y[i] = dot(row(i), x);
        i += 1;
    }
}

/// `y = sum x[l] column l`, four columns at a time.
unsafe fn columns_times_vector(a: *const f64, stride: usize, x: &[f64], y: &mut [f64]) {
    let m = y.len();
    // SAFETY: column `l` starts at `l * stride` and has `m` elements.
    let column = |l: usize, from: usize, n: usize| unsafe { std::slice::from_raw_parts(a.add(l * stride + from), n) };
    // Pieces of `y` that stay in the first-level cache.
    const PIECE: usize = 1024;
    let mut from = 0;
    while from < m {
        let n = PIECE.min(m - from);
        let y = &mut y[from..from + n];
        y.fill(0.0);
        let mut l = 0;
        while l + 4 <= x.len() {
            let (p, q, r, s) = (column(l, from, n), column(l + 1, from, n), column(l + 2, from, n), column(l + 3, from, n));
            let (a, b, c, d) = (x[l], x[l + 1], x[l + 2], x[l + 3]);
            for ((((y, p), q), r), s) in y.iter_mut().zip(p).zip(q).zip(r).zip(s) {
                *y += (p * a + q * b) + (r * c + s * d);
            }
            l += 4;
        }
        while l < x.len() {
            let v = x[l];
            for (y, p) in y.iter_mut().zip(column(l, from, n)) {
                *y += p * v;
            }
            l += 1;
        }
        from += n;
    }
}
