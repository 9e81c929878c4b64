//! Inner loops compiled for several vector widths; the widest that this machine has is chosen once per executor.
//!
//! The arithmetic is the same in every version: no version contracts products and sums, and reductions have a fixed
//! number of running values. So the choice changes no bit of a result.

use crate::elementwise::{self, Arg};
use crate::matmul::{self, Operand};
use crate::reduce;
use gradus_ir::ReduceOp;
use gradus_plan::LaneOp;

/// The inner loops. Each is safe to call where `Kernels::detect` chose it.
#[derive(Clone, Copy)]
pub(crate) struct Kernels {
    lane: for<'a> unsafe fn(LaneOp, &'a mut [f64], Arg<'a>, Arg<'a>, Arg<'a>),
    reduce: unsafe fn(ReduceOp, &[f64]) -> f64,
    middle: unsafe fn(ReduceOp, [usize; 3], &[f64], &mut [f64]),
    dot: unsafe fn(&[f64], &[f64]) -> f64,
    rows: unsafe fn(*const f64, usize, &[f64], &mut [f64]),
    columns: unsafe fn(*const f64, usize, &[f64], &mut [f64]),
    small: unsafe fn(Operand, Operand, &mut [f64]),
}

macro_rules! version {
    ($name:ident $(, $features:literal)?) => {
        mod $name {
            use super::*;
            $(#[target_feature(enable = $features)])?
            unsafe fn lane<'a>(op: LaneOp, out: &'a mut [f64], a: Arg<'a>, b: Arg<'a>, c: Arg<'a>) {
                elementwise::lane(op, out, a, b, c);
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn reduce(op: ReduceOp, x: &[f64]) -> f64 {
                reduce::slice(op, x)
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn middle(op: ReduceOp, dims: [usize; 3], x: &[f64], out: &mut [f64]) {
                reduce::middle(op, dims, x, out);
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn dot(a: &[f64], b: &[f64]) -> f64 {
                matmul::dot(a, b)
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn rows(a: *const f64, stride: usize, x: &[f64], y: &mut [f64]) {
                // SAFETY: the caller's.
                unsafe { matmul::rows_times_vector(a, stride, x, y) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn columns(a: *const f64, stride: usize, x: &[f64], y: &mut [f64]) {
                // SAFETY: the caller's.
                unsafe { matmul::columns_times_vector(a, stride, x, y) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn small(a: Operand, b: Operand, y: &mut [f64]) {
                // SAFETY: the caller's.
                unsafe { matmul::small(a, b, y) }
            }
            pub(super) const ALL: Kernels = Kernels { lane, reduce, middle, dot, rows, columns, small };
        }
    };
}

version!(baseline);
#[cfg(target_arch = "x86_64")]
version!(avx2, "avx2");
#[cfg(target_arch = "x86_64")]
version!(avx512, "avx2,avx512f,avx512dq,avx512vl");

impl Kernels {
    pub fn detect() -> Kernels {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
                return avx512::ALL;
            }
            if is_x86_feature_detected!("avx2") {
                return avx2::ALL;
            }
        }
        baseline::ALL
    }

    /// One lane over `out.len()` elements; `out` is none of the operands.
    #[inline]
    pub fn lane(&self, op: LaneOp, out: &mut [f64], a: Arg<'_>, b: Arg<'_>, c: Arg<'_>) {
        // SAFETY: `detect` chose a version that this machine can run.
        unsafe { (self.lane)(op, out, a, b, c) }
    }

    /// The reduction of a short slice.
    #[inline]
    pub fn reduce(&self, op: ReduceOp, x: &[f64]) -> f64 {
        // SAFETY: as above.
        unsafe { (self.reduce)(op, x) }
    }

    /// `out[o, j]` reduces `x[o, .., j]` of `[outer, n, inner]`.
    #[inline]
    pub fn middle(&self, op: ReduceOp, dims: [usize; 3], x: &[f64], out: &mut [f64]) {
        // SAFETY: as above.
        unsafe { (self.middle)(op, dims, x, out) }
    }

    #[inline]
    pub fn dot(&self, a: &[f64], b: &[f64]) -> f64 {
        // SAFETY: as above.
        unsafe { (self.dot)(a, b) }
    }

    /// `y[i] = row i . x`. SAFETY: row `i` is the `x.len()` elements from `a + i * stride`.
    #[inline]
    pub unsafe fn rows(&self, a: *const f64, stride: usize, x: &[f64], y: &mut [f64]) {
        // SAFETY: the caller's, and as above.
        unsafe { (self.rows)(a, stride, x, y) }
    }

    /// `y = sum x[l] column l`. SAFETY: column `l` is the `y.len()` elements from `a + l * stride`.
    #[inline]
    pub unsafe fn columns(&self, a: *const f64, stride: usize, x: &[f64], y: &mut [f64]) {
        // SAFETY: the caller's, and as above.
        unsafe { (self.columns)(a, stride, x, y) }
    }

    /// `y = a b` of small matrices. SAFETY: the operands are valid and `y` overlaps neither.
    #[inline]
    pub unsafe fn small(&self, a: Operand, b: Operand, y: &mut [f64]) {
        // SAFETY: the caller's, and as above.
        unsafe { (self.small)(a, b, y) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_ir::{BinaryOp, UnaryOp};

    /// Every version gives the same bits.
    #[test]
    fn versions_agree() {
        let mut x: Vec<f64> = (0..301).map(|k| (k as f64 * 0.37).sin() * 3.0).collect();
        // Where exponentials overflow, vanish and are subnormal.
        for (k, v) in x[200..].iter_mut().enumerate() {
            *v = match k {
                0 => f64::INFINITY,
                1 => f64::NEG_INFINITY,
                2 => -0.0,
                3 => 5e-324,
                _ => (k as f64 - 50.0) * 15.0,
            };
        }
        let y: Vec<f64> = (0..301).map(|k| (k as f64 * 0.91).cos() + 0.1).collect();
        let a: Vec<f64> = (0..40 * 301).map(|k| (k as f64 * 0.13).sin()).collect();
        let run = |k: &Kernels| {
            let mut all = Vec::new();
            let mut out = vec![0.0; 301];
            for u in UnaryOp::ALL {
                k.lane(LaneOp::Unary(*u), &mut out, Arg::Slice(&x), Arg::Splat(0.0), Arg::Splat(0.0));
                all.extend(out.iter().map(|v| v.to_bits()));
            }
            for b in BinaryOp::ALL {
                k.lane(LaneOp::Binary(*b), &mut out, Arg::Slice(&x), Arg::Slice(&y), Arg::Splat(0.0));
                all.extend(out.iter().map(|v| v.to_bits()));
            }
            k.lane(LaneOp::MulAdd, &mut out, Arg::Slice(&x), Arg::Slice(&y), Arg::Slice(&y));
            all.extend(out.iter().map(|v| v.to_bits()));
            for r in ReduceOp::ALL {
                all.push(k.reduce(*r, &x).to_bits());
                k.middle(*r, [1, 40, 301], &a, &mut out);
                all.extend(out.iter().map(|v| v.to_bits()));
            }
            all.push(k.dot(&x, &y).to_bits());
            let mut z = vec![0.0; 40];
            // SAFETY: `a` has 40 rows (columns) of 301 elements.
            unsafe {
                k.rows(a.as_ptr(), 301, &x, &mut z);
                k.columns(a.as_ptr(), 301, &y[..40], &mut out);
            }
            all.extend(z.iter().chain(&out).map(|v| v.to_bits()));
            let left = Operand { p: a.as_ptr(), rows: 11, cols: 17, rs: 17, cs: 1 };
            let right = Operand { p: x.as_ptr(), rows: 17, cols: 13, rs: 1, cs: 17 };
            let mut y = vec![0.0; 11 * 13];
            // SAFETY: both operands are inside their vectors.
            unsafe { k.small(left, right, &mut y) };
            all.extend(y.iter().map(|v| v.to_bits()));
            all
        };
        let want = run(&baseline::ALL);
        assert!(want == run(&Kernels::detect()));
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            assert!(want == run(&avx2::ALL));
        }
    }
}
