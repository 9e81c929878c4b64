//! Inner loops compiled for several vector widths; the widest that this machine has is chosen once per executor.
//!
//! The arithmetic is the same in every version: no version contracts products and sums, and reductions have a fixed
//! number of running values. So the choice changes no bit of a result.

use crate::elementwise::{self, Arg};
use crate::knapsack::{self, Line, Sums};
use crate::matmul::{self, Operand};
use crate::{columns, gemv};
use crate::real::Real;
use crate::reduce;
use gradus_ir::ReduceOp;
use gradus_plan::LaneOp;

/// The inner loops. Each is safe to call where `Kernels::detect` chose it.
#[derive(Clone, Copy)]
pub(crate) struct Kernels<T: 'static> {
    lane: for<'a> unsafe fn(LaneOp, &'a mut [T], [Arg<'a, T>; 4]),
    reduce: unsafe fn(ReduceOp, &[T]) -> T,
    middle: unsafe fn(ReduceOp, [usize; 3], &[T], &mut [T]),
    runs: unsafe fn(ReduceOp, usize, &[T], &mut [T]),
    exponentials: unsafe fn(&[T], T) -> T,
    block: unsafe fn(ReduceOp, usize, &[T], &mut [T], bool),
    dot: unsafe fn(&[T], &[T]) -> T,
    rows: unsafe fn(*const T, usize, &[T], &mut [T]),
    columns: unsafe fn(*const T, usize, &[T], &mut [T], bool),
    small: unsafe fn(Operand<T>, Operand<T>, &mut [T], bool),
    knapsack: for<'a> unsafe fn(&Line<'a, T>, T) -> Sums<T>,
    survey: for<'a> unsafe fn(&Line<'a, T>) -> (bool, Sums<T>),
    members: for<'a> unsafe fn(&Line<'a, T>, T, T, &mut [T]),
}

macro_rules! version {
    ($name:ident $(, $features:literal)?) => {
        mod $name {
            use super::*;
            $(#[target_feature(enable = $features)])?
            unsafe fn lane<'a, T: Real>(op: LaneOp, out: &'a mut [T], args: [Arg<'a, T>; 4]) {
                elementwise::lane(op, out, args);
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn reduce<T: Real>(op: ReduceOp, x: &[T]) -> T {
                reduce::slice(op, x)
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn middle<T: Real>(op: ReduceOp, dims: [usize; 3], x: &[T], out: &mut [T]) {
                reduce::middle(op, dims, x, out);
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn runs<T: Real>(op: ReduceOp, segment: usize, x: &[T], out: &mut [T]) {
                reduce::rows(op, segment, x, out);
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn exponentials<T: Real>(x: &[T], top: T) -> T {
                columns::sum_of_exponentials(x, top)
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn block<T: Real>(op: ReduceOp, inner: usize, x: &[T], target: &mut [T], first: bool) {
                columns::block(op, inner, x, target, first);
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn dot<T: Real>(a: &[T], b: &[T]) -> T {
                matmul::dot(a, b)
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn rows<T: Real>(a: *const T, stride: usize, x: &[T], y: &mut [T]) {
                // SAFETY: the caller's.
                unsafe { gemv::rows(a, stride, x, y) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn columns<T: Real>(a: *const T, stride: usize, x: &[T], y: &mut [T], add: bool) {
                // SAFETY: the caller's.
                unsafe { gemv::sum_of_rows(a, stride, x, y, add) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn small<T: Real>(a: Operand<T>, b: Operand<T>, y: &mut [T], add: bool) {
                // SAFETY: the caller's.
                unsafe { matmul::small(a, b, y, add) }
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn knapsack<T: Real>(line: &Line<'_, T>, t: T) -> Sums<T> {
                knapsack::sums(line, t)
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn survey<T: Real>(line: &Line<'_, T>) -> (bool, Sums<T>) {
                knapsack::survey(line)
            }
            $(#[target_feature(enable = $features)])?
            unsafe fn members<T: Real>(line: &Line<'_, T>, t: T, rest: T, out: &mut [T]) {
                knapsack::members(line, t, rest, out);
            }
            pub(super) fn all<T: Real>() -> Kernels<T> {
                Kernels { lane, reduce, middle, runs, exponentials, block, dot, rows, columns, small, knapsack, survey, members }
            }
        }
    };
}

version!(baseline);
#[cfg(target_arch = "x86_64")]
version!(avx2, "avx2");
#[cfg(target_arch = "x86_64")]
version!(avx512, "avx2,avx512f,avx512dq,avx512vl");

impl<T: Real> Kernels<T> {
    pub fn detect() -> Kernels<T> {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
                return avx512::all();
            }
            if is_x86_feature_detected!("avx2") {
                return avx2::all();
            }
        }
        baseline::all()
    }

    /// One lane over `out.len()` elements; `out` is none of the operands.
    #[inline]
    pub fn lane(&self, op: LaneOp, out: &mut [T], args: [Arg<'_, T>; 4]) {
        // SAFETY: `detect` chose a version that this machine can run.
        unsafe { (self.lane)(op, out, args) }
    }

    /// The reduction of a short slice.
    #[inline]
    pub fn reduce(&self, op: ReduceOp, x: &[T]) -> T {
        // SAFETY: as above.
        unsafe { (self.reduce)(op, x) }
    }

    /// `out[o, j]` reduces `x[o, .., j]` of `[outer, n, inner]`.
    #[inline]
    pub fn middle(&self, op: ReduceOp, dims: [usize; 3], x: &[T], out: &mut [T]) {
        // SAFETY: as above.
        unsafe { (self.middle)(op, dims, x, out) }
    }

    /// The reductions of runs of `segment` elements.
    #[inline]
    pub fn runs(&self, op: ReduceOp, segment: usize, x: &[T], out: &mut [T]) {
        // SAFETY: as above.
        unsafe { (self.runs)(op, segment, x, out) }
    }

    /// `sum(exp(x - top))` for elements up to `top`.
    #[inline]
    pub fn sum_of_exponentials(&self, x: &[T], top: T) -> T {
        // SAFETY: as above.
        unsafe { (self.exponentials)(x, top) }
    }

    /// Joins a block of rows with the results of the rows before; see `columns::block`.
    #[inline]
    pub fn columns_of_block(&self, op: ReduceOp, inner: usize, x: &[T], target: &mut [T], first: bool) {
        // SAFETY: as above.
        unsafe { (self.block)(op, inner, x, target, first) }
    }

    #[inline]
    pub fn dot(&self, a: &[T], b: &[T]) -> T {
        // SAFETY: as above.
        unsafe { (self.dot)(a, b) }
    }

    /// `y[i] = row i . x`. SAFETY: row `i` is the `x.len()` elements from `a + i * stride`.
    #[inline]
    pub unsafe fn rows(&self, a: *const T, stride: usize, x: &[T], y: &mut [T]) {
        // SAFETY: the caller's, and as above.
        unsafe { (self.rows)(a, stride, x, y) }
    }

    /// `y = sum x[l] column l`, added to `y` if `add`. SAFETY: column `l` is the `y.len()` elements from `a + l * stride`.
    #[inline]
    pub unsafe fn columns(&self, a: *const T, stride: usize, x: &[T], y: &mut [T], add: bool) {
        // SAFETY: the caller's, and as above.
        unsafe { (self.columns)(a, stride, x, y, add) }
    }

    /// `y = a b` of small matrices, or `y += a b`. SAFETY: the operands are valid and `y` overlaps neither.
    #[inline]
    pub unsafe fn small(&self, a: Operand<T>, b: Operand<T>, y: &mut [T], add: bool) {
        // SAFETY: the caller's, and as above.
        unsafe { (self.small)(a, b, y, add) }
    }

    /// `sum(w clip(v - t w, lower, upper))` of a line, and how fast it falls.
    #[inline]
    pub fn knapsack(&self, line: &Line<'_, T>, t: T) -> Sums<T> {
        // SAFETY: `detect` chose a version that this machine can run.
        unsafe { (self.knapsack)(line, t) }
    }

    /// Is a number of the line NaN, and the sums without bounds.
    #[inline]
    pub fn survey(&self, line: &Line<'_, T>) -> (bool, Sums<T>) {
        // SAFETY: as above.
        unsafe { (self.survey)(line) }
    }

    /// `clip((v - t w) - rest w, lower, upper)` of a line.
    #[inline]
    pub fn members(&self, line: &Line<'_, T>, t: T, rest: T, out: &mut [T]) {
        // SAFETY: as above.
        unsafe { (self.members)(line, t, rest, out) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::knapsack::Entries;
    use gradus_ir::{BinaryOp, UnaryOp};

    /// Every version gives the same bits.
    fn agree<T: Real>() {
        let of = |n: usize, f: &dyn Fn(f64) -> f64| -> Vec<T> { (0..n).map(|k| T::of(f(k as f64))).collect() };
        let mut x = of(301, &|k| (k * 0.37).sin() * 3.0);
        // Where exponentials overflow, vanish and are subnormal, in either precision.
        for (k, v) in x[200..].iter_mut().enumerate() {
            *v = T::of(match k {
                0 => f64::INFINITY,
                1 => f64::NEG_INFINITY,
                2 => -0.0,
                3 => 5e-324,
                4 => 1e-45,
                5 => 1e-40,
                _ if k % 2 == 0 => (k as f64 - 50.0) * 15.0,
                _ => (k as f64 - 50.0) * 2.0,
            });
        }
        let y = of(301, &|k| (k * 0.91).cos() + 0.1);
        let a = of(40 * 301, &|k| (k * 0.13).sin());
        let zero = Arg::Splat(T::ZERO);
        let run = |k: &Kernels<T>| {
            let mut all = Vec::new();
            let mut out = vec![T::ZERO; 301];
            let mut keep = |v: &[T]| all.extend(v.iter().map(|v| v.wide().to_bits()));
            for u in UnaryOp::ALL {
                k.lane(LaneOp::Unary(*u), &mut out, [Arg::Slice(&x), zero, zero, zero]);
                keep(&out);
            }
            for b in BinaryOp::ALL {
                k.lane(LaneOp::Binary(*b), &mut out, [Arg::Slice(&x), Arg::Slice(&y), zero, zero]);
                keep(&out);
            }
            let (x4, y4, one) = (Arg::Slice(&x), Arg::Slice(&y), Arg::Splat(T::of(1.25)));
            for op in [LaneOp::MulAdd, LaneOp::MulMul, LaneOp::MulAddMul, LaneOp::MulSubMul, LaneOp::SubThenMul, LaneOp::DivRoot] {
                for args in [[x4, y4, y4, x4], [one, x4, one, y4], [x4, y4, one, one]] {
                    k.lane(op, &mut out, args);
                    keep(&out);
                }
            }
            for r in ReduceOp::ALL {
                keep(&[k.reduce(*r, &x), k.sum_of_exponentials(&y, T::of(1.2))]);
                k.runs(*r, 7, &y[..252], &mut out[..36]);
                keep(&out[..36]);
                k.middle(*r, [1, 40, 301], &a, &mut out);
                keep(&out);
                let mut running = vec![T::ZERO; 602];
                let target = if *r == ReduceOp::LogSumExp { &mut running[..] } else { &mut running[..301] };
                k.columns_of_block(*r, 301, &a[..20 * 301], target, true);
                k.columns_of_block(*r, 301, &a[20 * 301..], target, false);
                keep(&running);
            }
            keep(&[k.dot(&x, &y)]);
            for (w, upper) in [(Entries::All(T::of(0.7)), Entries::All(T::of(0.4))), (Entries::Each(&y), Entries::Each(&a[..301]))] {
                let line = Line { v: &y, w, lower: Entries::All(T::of(-0.3)), upper };
                let s = k.knapsack(&line, T::of(0.2));
                let (broken, open) = k.survey(&line);
                assert!(!broken);
                keep(&[s.value, s.slope, open.value, open.slope]);
                k.members(&line, T::of(0.2), T::of(1e-9), &mut out);
                keep(&out);
            }
            let mut z = vec![T::ZERO; 40];
            // SAFETY: `a` has 40 rows (columns) of 301 elements.
            unsafe {
                k.rows(a.as_ptr(), 301, &x, &mut z);
                k.columns(a.as_ptr(), 301, &y[..40], &mut out, false);
            }
            keep(&z);
            keep(&out);
            let left = Operand { p: a.as_ptr(), rows: 11, cols: 17, rs: 17, cs: 1 };
            let right = Operand { p: x.as_ptr(), rows: 17, cols: 13, rs: 1, cs: 17 };
            let mut y = vec![T::ZERO; 11 * 13];
            // SAFETY: both operands are inside their vectors.
            unsafe { k.small(left, right, &mut y, false) };
            keep(&y);
            all
        };
        let want = run(&baseline::all());
        assert!(want == run(&Kernels::detect()));
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            assert!(want == run(&avx2::all()));
        }
    }

    #[test]
    fn versions_agree() {
        agree::<f64>();
        agree::<f32>();
    }
}
