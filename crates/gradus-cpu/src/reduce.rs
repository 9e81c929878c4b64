//! Reductions in a fixed order: within blocks by eight lanes, over blocks by pairs, so that rounding grows with the
//! logarithm of the length and never depends on how the work is shared.

use crate::columns;
use crate::real::Real;
use crate::simd::Kernels;
use crate::special;
use gradus_ir::ReduceOp;
use gradus_plan::BLOCK;

/// The value of a reduction over nothing.
pub(crate) fn identity<T: Real>(op: ReduceOp) -> T {
    match op {
        ReduceOp::Sum => T::ZERO,
        ReduceOp::Prod => T::ONE,
        ReduceOp::Max | ReduceOp::LogSumExp => T::NEG_INFINITY,
        ReduceOp::Min => T::INFINITY,
    }
}

/// Eight running values side by side, then joined by pairs.
#[inline(always)]
fn lanes<T: Real>(x: &[T], start: T, f: impl Fn(T, T) -> T) -> T {
    let mut acc = [start; 8];
    let mut chunks = x.chunks_exact(8);
    for c in &mut chunks {
        for k in 0..8 {
            acc[k] = f(acc[k], c[k]);
        }
    }
    for (a, v) in acc.iter_mut().zip(chunks.remainder()) {
        *a = f(*a, *v);
    }
    pairs(&acc, f)
}

#[inline(always)]
fn pairs<T: Real>(acc: &[T; 8], f: impl Fn(T, T) -> T) -> T {
    f(f(f(acc[0], acc[4]), f(acc[2], acc[6])), f(f(acc[1], acc[5]), f(acc[3], acc[7])))
}

/// The sum of a short slice.
#[inline(always)]
fn sum<T: Real>(x: &[T]) -> T {
    lanes(x, T::ZERO, |a, b| a + b)
}

#[inline(always)]
fn largest<T: Real>(x: &[T]) -> T {
    lanes(x, T::NEG_INFINITY, special::max)
}

/// Sums of blocks added like the digits of a binary counter.
#[derive(Clone)]
struct Cascade<T> {
    partial: [T; 56],
    count: u64,
}

impl<T: Real> Cascade<T> {
    fn add(&mut self, mut x: T) {
        let mut level = 0;
        while self.count >> level & 1 == 1 {
            x += self.partial[level];
            level += 1;
        }
        self.partial[level] = x;
        self.count += 1;
    }

    fn total(&self) -> T {
        let mut total = T::ZERO;
        for level in 0..56 {
            if self.count >> level & 1 == 1 {
                total += self.partial[level];
            }
        }
        total
    }
}

/// A reduction under way, fed block by block.
#[derive(Clone)]
pub(crate) struct Acc<T> {
    op: ReduceOp,
    /// Product or extreme so far; for `LogSumExp` the largest element.
    value: T,
    /// For `LogSumExp`: the sum of `exp(x - value)`.
    scaled: T,
    sums: Cascade<T>,
}

impl<T: Real> Acc<T> {
    pub fn new(op: ReduceOp) -> Acc<T> {
        Acc { op, value: identity(op), scaled: T::ZERO, sums: Cascade { partial: [T::ZERO; 56], count: 0 } }
    }

    pub fn reset(&mut self, op: ReduceOp) {
        self.op = op;
        self.value = identity(op);
        self.scaled = T::ZERO;
        self.sums.count = 0;
    }

    pub fn add(&mut self, x: &[T], k: &Kernels<T>) {
        match self.op {
            ReduceOp::Sum | ReduceOp::Prod | ReduceOp::Max | ReduceOp::Min => self.block(k.reduce(self.op, x)),
            ReduceOp::LogSumExp => {
                let top = special::max(self.value, k.reduce(ReduceOp::Max, x));
                // Infinite or NaN tops are the answer; subtracting them would make NaN.
                if top.is_finite() {
                    // The first block has nothing before it; what was summed from minus infinity is nothing.
                    let before = if self.value == top { self.scaled } else { self.scaled * (self.value - top).exp() };
                    let s = if self.scaled == T::ZERO { T::ZERO } else { before } + k.sum_of_exponentials(x, top);
                    self.scaled = s;
                }
                self.value = top;
            }
        }
    }

    /// The value of a block; not for `LogSumExp`.
    fn block(&mut self, x: T) {
        match self.op {
            ReduceOp::Sum => self.sums.add(x),
            ReduceOp::Prod => self.value *= x,
            ReduceOp::Max => self.value = special::max(self.value, x),
            ReduceOp::Min => self.value = special::min(self.value, x),
            ReduceOp::LogSumExp => {}
        }
    }

    /// A block of which every eighth element has been reduced, but for the last ones; not for `LogSumExp`.
    pub fn add_lanes(&mut self, lanes: &[T; 8], rest: &[T]) {
        let mut acc = *lanes;
        macro_rules! finish {
            ($f:expr) => {{
                for (k, v) in rest.iter().enumerate() {
                    acc[k % 8] = $f(acc[k % 8], *v);
                }
                pairs(&acc, $f)
            }};
        }
        self.block(match self.op {
            ReduceOp::Sum => finish!(|a, b| a + b),
            ReduceOp::Prod => finish!(|a, b| a * b),
            ReduceOp::Max | ReduceOp::LogSumExp => finish!(special::max),
            ReduceOp::Min => finish!(special::min),
        });
    }

    pub fn result(&self) -> T {
        match self.op {
            ReduceOp::Sum => self.sums.total(),
            ReduceOp::LogSumExp if self.value.is_finite() => self.value + self.scaled.log(),
            _ => self.value,
        }
    }
}

/// The reduction of one short slice. Always inlined: `simd` compiles it for several widths.
#[inline(always)]
pub(crate) fn slice<T: Real>(op: ReduceOp, x: &[T]) -> T {
    match op {
        ReduceOp::Sum => sum(x),
        ReduceOp::Prod => lanes(x, T::ONE, |a, b| a * b),
        ReduceOp::Max => largest(x),
        ReduceOp::Min => lanes(x, T::INFINITY, special::min),
        ReduceOp::LogSumExp => {
            let top = largest(x);
            if !top.is_finite() {
                return top;
            }
            top + columns::sum_of_exponentials(x, top).log()
        }
    }
}

/// The reductions of runs of `segment` elements each, at most `BLOCK` of them together. Always inlined, see `simd`.
#[inline(always)]
pub(crate) fn rows<T: Real>(op: ReduceOp, segment: usize, x: &[T], out: &mut [T]) {
    if op != ReduceOp::LogSumExp || segment > SHORT || x.len() > BLOCK {
        for (y, x) in out.iter_mut().zip(x.chunks_exact(segment)) {
            *y = slice(op, x);
        }
        return;
    }
    // Short runs: the exponentials of all of them in one go, and so the logarithms.
    let (mut d, mut sums) = ([T::ZERO; BLOCK], [T::ONE; BLOCK]);
    for ((y, x), d) in out.iter_mut().zip(x.chunks_exact(segment)).zip(d.chunks_exact_mut(segment)) {
        *y = largest(x);
        let from = if y.is_finite() { *y } else { T::ZERO };
        for (d, v) in d.iter_mut().zip(x) {
            *d = *v - from;
        }
    }
    for d in &mut d[..x.len()] {
        *d = d.exp_of_difference();
    }
    for (s, d) in sums.iter_mut().zip(d.chunks_exact(segment)).take(out.len()) {
        *s = sum(d);
    }
    for s in &mut sums[..out.len()] {
        *s = s.log();
    }
    for (y, s) in out.iter_mut().zip(&sums) {
        *y = if y.is_finite() { *y + *s } else { *y };
    }
}

/// Runs that are too short for vectors of their own.
const SHORT: usize = 48;

/// Columns that `middle` treats at a time.
const WIDTH: usize = 64;

/// `out[o, j]` reduces `x[o, .., j]`: rows are added to rows, by pairs of runs. Always inlined, see `simd`.
#[inline(always)]
pub(crate) fn middle<T: Real>(op: ReduceOp, [outer, n, inner]: [usize; 3], x: &[T], out: &mut [T]) {
    if n == 0 {
        out.fill(identity(op));
        return;
    }
    for o in 0..outer {
        let (x, out) = (&x[o * n * inner..(o + 1) * n * inner], &mut out[o * inner..(o + 1) * inner]);
        for from in (0..inner).step_by(WIDTH) {
            let width = WIDTH.min(inner - from);
            let target = &mut out[from..from + width];
            match op {
                ReduceOp::Sum => column_sums(x, n, inner, from, target),
                ReduceOp::Prod => columns(x, n, inner, from, target, T::ONE, |a, b| a * b),
                ReduceOp::Max => columns(x, n, inner, from, target, T::NEG_INFINITY, special::max),
                ReduceOp::Min => columns(x, n, inner, from, target, T::INFINITY, special::min),
                ReduceOp::LogSumExp => columns::log_sum_exp_of_all(inner, &x[from..], target),
            }
        }
    }
}

#[inline(always)]
fn columns<T: Real>(x: &[T], n: usize, inner: usize, from: usize, out: &mut [T], start: T, f: impl Fn(T, T) -> T) {
    out.fill(start);
    for r in 0..n {
        for (t, v) in out.iter_mut().zip(&x[r * inner + from..]) {
            *t = f(*t, *v);
        }
    }
}

/// Rows that are added in order before runs are added by pairs.
const RUN: usize = 64;

/// Sums of columns: runs of rows in order, the runs like the digits of a binary counter.
#[inline(always)]
fn column_sums<T: Real>(x: &[T], n: usize, inner: usize, from: usize, out: &mut [T]) {
    let width = out.len();
    if n <= RUN {
        return columns(x, n, inner, from, out, T::ZERO, |a, b| a + b);
    }
    // Enough levels for any number of rows that memory can hold.
    let mut partial = [[T::ZERO; WIDTH]; 40];
    let (mut row, mut count) = (0usize, 0u64);
    while row < n {
        let mut sum = [T::ZERO; WIDTH];
        for r in row..(row + RUN).min(n) {
            for (t, v) in sum[..width].iter_mut().zip(&x[r * inner + from..][..width]) {
                *t += *v;
            }
        }
        let mut level = 0;
        while count >> level & 1 == 1 {
            for (t, v) in sum[..width].iter_mut().zip(&partial[level]) {
                *t += *v;
            }
            level += 1;
        }
        partial[level] = sum;
        count += 1;
        row += RUN;
    }
    out.fill(T::ZERO);
    for (level, p) in partial.iter().enumerate() {
        if count >> level & 1 == 1 {
            for (t, v) in out.iter_mut().zip(p) {
                *t += *v;
            }
        }
    }
}
