//! Matrix products: own loops for vectors and tiny matrices, where a library call costs more than the work, faer's
//! kernels for the rest.

use crate::real::Real;
use crate::simd::Kernels;
use faer::{Accum, MatMut, MatRef, Par};
use gradus_plan::Matrix;

/// An operand with its address.
#[derive(Clone, Copy)]
pub(crate) struct Operand<T> {
    pub p: *const T,
    pub rows: usize,
    pub cols: usize,
    pub rs: isize,
    pub cs: isize,
}

impl<T> Operand<T> {
    pub fn new(m: &Matrix, p: *const T) -> Operand<T> {
        Operand { p, rows: m.rows, cols: m.cols, rs: m.row_stride, cs: m.col_stride }
    }
}

/// Multiplications below which own loops win, and elements of the right-hand matrix that they can take.
const SMALL: usize = 8000;
const PACKED: usize = 1024;
/// Rows or columns of a narrow product.
const NARROW: usize = 16;

/// `out[rows, cols] = a @ b`, dense row-major; added to what is there if `add`.
///
/// SAFETY: the operands and `out` lie in valid memory, and `out` overlaps neither.
pub(crate) unsafe fn product<T: Real>(a: Operand<T>, b: Operand<T>, out: *mut T, add: bool, kernels: &Kernels<T>) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    if m == 0 || n == 0 {
        return;
    }
    // SAFETY: the caller's; all slices below are parts of the operands.
    unsafe {
        let y = std::slice::from_raw_parts_mut(out, m * n);
        if k == 0 {
            if !add {
                y.fill(T::ZERO);
            }
        } else if n == 1 && (b.rs == 1 || k == 1) {
            let x = std::slice::from_raw_parts(b.p, k);
            if m == 1 && (a.cs == 1 || k == 1) {
                let d = kernels.dot(std::slice::from_raw_parts(a.p, k), x);
                y[0] = if add { y[0] + d } else { d };
            } else if a.cs == 1 && !add {
                kernels.rows(a.p, a.rs as usize, x, y);
            } else if a.rs == 1 {
                kernels.columns(a.p, a.cs as usize, x, y, add);
            } else {
                library(a, b, out, add);
            }
        } else if m == 1 && (a.cs == 1 || k == 1) {
            // The transposed problem.
            let x = std::slice::from_raw_parts(a.p, k);
            if b.rs == 1 && !add {
                kernels.rows(b.p, b.cs as usize, x, y);
            } else if b.cs == 1 {
                kernels.columns(b.p, b.rs as usize, x, y, add);
            } else {
                library(a, b, out, add);
            }
        } else if k == 1 && !add {
            for (i, row) in y.chunks_exact_mut(n).enumerate() {
                let s = *a.p.offset(i as isize * a.rs);
                for (j, t) in row.iter_mut().enumerate() {
                    *t = s * *b.p.offset(j as isize * b.cs);
                }
            }
        } else if m * k * n <= SMALL && k * n <= PACKED || is_narrow(a, b) {
            kernels.small(a, b, y, add);
        } else {
            library(a, b, out, add);
        }
    }
}

/// A few columns or a few rows, and a right-hand matrix that stays in the first-level cache: the library is made for other
/// shapes.
fn is_narrow<T>(a: Operand<T>, b: Operand<T>) -> bool {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    m.min(n) <= NARROW && if n < 8 || b.cs != 1 { k * n.max(8) <= PACKED } else { k * n <= 4 * PACKED }
}

/// SAFETY: as for `product`.
unsafe fn library<T: Real>(a: Operand<T>, b: Operand<T>, out: *mut T, add: bool) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    // SAFETY: the caller's.
    unsafe {
        // It prefers columns: the transposed problem, whose result by columns is ours by rows.
        let a = MatRef::from_raw_parts(a.p, k, m, a.cs, a.rs);
        let b = MatRef::from_raw_parts(b.p, n, k, b.cs, b.rs);
        let c = MatMut::from_raw_parts_mut(out, n, m, 1, n as isize);
        let accum = if add { Accum::Add } else { Accum::Replace };
        faer::linalg::matmul::matmul(c, accum, b, a, T::ONE, Par::Seq);
    }
}

/// The functions from here on are always inlined: `simd` compiles them for several widths.
#[inline(always)]
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut acc = [[T::ZERO; 8]; 4];
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let (mut p, mut q) = (a.chunks_exact(32), b.chunks_exact(32));
    for (x, y) in (&mut p).zip(&mut q) {
        for (j, acc) in acc.iter_mut().enumerate() {
            for t in 0..8 {
                acc[t] += x[8 * j + t] * y[8 * j + t];
            }
        }
    }
    let mut s = [T::ZERO; 8];
    for t in 0..8 {
        s[t] = (acc[0][t] + acc[1][t]) + (acc[2][t] + acc[3][t]);
    }
    let (mut p, mut q) = (p.remainder().chunks_exact(8), q.remainder().chunks_exact(8));
    for (x, y) in (&mut p).zip(&mut q) {
        for t in 0..8 {
            s[t] += x[t] * y[t];
        }
    }
    let mut sum = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
    for (x, y) in p.remainder().iter().zip(q.remainder()) {
        sum += *x * *y;
    }
    sum
}

/// `y = sum x[l] column l` of 8 to 32 rows: eight results at a time stay in registers over all columns. The last eight may overlap
/// those before, and are then computed twice.
#[inline(always)]
pub(crate) unsafe fn short_columns<T: Real>(a: *const T, stride: usize, x: &[T], y: &mut [T]) {
    let m = y.len();
    let mut from = 0;
    loop {
        // SAFETY: eight elements of column `l`, which has `m >= from + 8`.
        let piece = |l: usize| unsafe { &*a.add(l * stride + from).cast::<[T; 8]>() };
        let mut acc = [[T::ZERO; 8]; 4];
        let mut l = 0;
        while l + 4 <= x.len() {
            for (j, acc) in acc.iter_mut().enumerate() {
                let (p, v) = (piece(l + j), x[l + j]);
                for t in 0..8 {
                    acc[t] += p[t] * v;
                }
            }
            l += 4;
        }
        while l < x.len() {
            let (p, v) = (piece(l), x[l]);
            for t in 0..8 {
                acc[0][t] += p[t] * v;
            }
            l += 1;
        }
        for t in 0..8 {
            y[from + t] = (acc[0][t] + acc[1][t]) + (acc[2][t] + acc[3][t]);
        }
        if from + 8 == m {
            return;
        }
        from = (from + 8).min(m - 8);
    }
}

/// `y = a b` for small matrices, or `y += a b`: tiles of four rows and eight columns stay in registers over the inner axis.
/// The last columns may overlap those before, and are then computed twice.
#[inline(always)]
pub(crate) unsafe fn small<T: Real>(a: Operand<T>, b: Operand<T>, y: &mut [T], add: bool) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    // SAFETY: indices inside the operands; what is packed fits, see `product`.
    unsafe {
        let mut packed = [std::mem::MaybeUninit::<T>::uninit(); PACKED];
        let (mut p, mut stride) = (b.p, b.rs);
        if n < 8 && k * 8 > PACKED {
            return few_columns(a, b, y, add);
        }
        if b.cs != 1 || n < 8 {
            let width = n.max(8);
            for l in 0..k {
                for j in 0..width {
                    let v = if j < n { *b.p.offset(l as isize * b.rs + j as isize * b.cs) } else { T::ZERO };
                    packed[l * width + j].write(v);
                }
            }
            (p, stride) = (packed.as_ptr().cast(), width as isize);
        }
        let mut i = 0;
        while i < m {
            let rows = if i + 4 <= m { 4 } else { 1 };
            let left = a.p.offset(i as isize * a.rs);
            let mut j = 0;
            // Columns of the tile that the one before it has done.
            let mut done = 0;
            loop {
                let mut acc = [[T::ZERO; 8]; 4];
                if rows == 4 {
                    for l in 0..k as isize {
                        let v = &*p.offset(l * stride + j as isize).cast::<[T; 8]>();
                        for (r, acc) in acc.iter_mut().enumerate() {
                            let s = *left.offset(r as isize * a.rs + l * a.cs);
                            for t in 0..8 {
                                acc[t] += s * v[t];
                            }
                        }
                    }
                } else {
                    for l in 0..k as isize {
                        let v = &*p.offset(l * stride + j as isize).cast::<[T; 8]>();
                        let s = *left.offset(l * a.cs);
                        for t in 0..8 {
                            acc[0][t] += s * v[t];
                        }
                    }
                }
                for (r, acc) in acc.iter().enumerate().take(rows) {
                    let from = (i + r) * n + j;
                    for (y, v) in y[from + done..(from + 8).min((i + r + 1) * n)].iter_mut().zip(&acc[done..]) {
                        *y = if add { *y + *v } else { *v };
                    }
                }
                if j + 8 >= n {
                    break;
                }
                let next = (j + 8).min(n - 8);
                done = j + 8 - next;
                j = next;
            }
            i += rows;
        }
    }
}

/// The same for fewer than eight columns and a long inner axis.
#[inline(always)]
unsafe fn few_columns<T: Real>(a: Operand<T>, b: Operand<T>, y: &mut [T], add: bool) {
    let n = b.cols;
    if !add {
        y.fill(T::ZERO);
    }
    for (i, row) in y.chunks_exact_mut(n).enumerate() {
        for l in 0..a.cols {
            // SAFETY: indices inside the operands.
            unsafe {
                let s = *a.p.offset(i as isize * a.rs + l as isize * a.cs);
                let q = b.p.offset(l as isize * b.rs);
                for (j, t) in row.iter_mut().enumerate() {
                    *t += s * *q.offset(j as isize * b.cs);
                }
            }
        }
    }
}
