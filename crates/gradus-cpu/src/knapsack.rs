//! The continuous quadratic knapsack problem: the x in `[lower, upper]` with `sum(w x) = total` nearest to v, and its multiplier, the t with
//! `x = clip(v - t w, lower, upper)`.
//!
//! The sum is a falling, piecewise linear function of t. Newton's method ends at its root exactly once it is on the right piece, after a
//! few passes over the line; a bracket keeps it from cycling.

use crate::real::Real;
use crate::simd::Kernels;
use crate::special;
use gradus_ir::ReduceOp;

/// An operand: one number for each entry of the line, or one for all.
#[derive(Clone, Copy)]
pub(crate) enum Entries<'a, T> {
    Each(&'a [T]),
    All(T),
}

impl<'a, T: Real> Entries<'a, T> {
    /// Line `r` of an operand that is either as long as all lines or a single number.
    fn of(a: &'a [T], r: usize, n: usize) -> Entries<'a, T> {
        match a {
            [x] => Entries::All(*x),
            _ => Entries::Each(&a[r * n..(r + 1) * n]),
        }
    }
    fn at(self, k: usize) -> T {
        match self {
            Entries::Each(a) => a[k],
            Entries::All(a) => a,
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Line<'a, T> {
    pub v: &'a [T],
    pub w: Entries<'a, T>,
    pub lower: Entries<'a, T>,
    pub upper: Entries<'a, T>,
}

/// What one pass at some t finds.
#[derive(Clone, Copy)]
pub(crate) struct Sums<T> {
    /// `sum(w clip(v - t w, lower, upper))`
    pub value: T,
    /// `sum(w^2)` over the entries at no bound.
    pub slope: T,
}

const LANES: usize = 16;

/// An operand whose kind is known where the loop is compiled.
trait Source<T>: Copy {
    fn lanes(self, base: usize) -> [T; LANES];
    fn one(self, k: usize) -> T;
}

#[derive(Clone, Copy)]
struct Splat<T>(T);

impl<T: Real> Source<T> for Splat<T> {
    #[inline(always)]
    fn lanes(self, _: usize) -> [T; LANES] {
        [self.0; LANES]
    }
    #[inline(always)]
    fn one(self, _: usize) -> T {
        self.0
    }
}

impl<T: Real> Source<T> for &[T] {
    #[inline(always)]
    fn lanes(self, base: usize) -> [T; LANES] {
        let mut out = [T::ZERO; LANES];
        out.copy_from_slice(&self[base..base + LANES]);
        out
    }
    #[inline(always)]
    fn one(self, k: usize) -> T {
        self[k]
    }
}

/// The body with `$w`, `$l`, `$u` as sources of the kinds that the line has.
macro_rules! with_sources {
    ($line:expr, |$w:ident, $l:ident, $u:ident| $body:expr) => {
        match ($line.w, $line.lower, $line.upper) {
            (Entries::All(w), Entries::All(l), Entries::All(u)) => {
                let ($w, $l, $u) = (Splat(w), Splat(l), Splat(u));
                $body
            }
            (Entries::Each($w), Entries::All(l), Entries::All(u)) => {
                let ($l, $u) = (Splat(l), Splat(u));
                $body
            }
            (Entries::All(w), Entries::Each($l), Entries::Each($u)) => {
                let $w = Splat(w);
                $body
            }
            (Entries::All(w), Entries::Each($l), Entries::All(u)) => {
                let ($w, $u) = (Splat(w), Splat(u));
                $body
            }
            (Entries::All(w), Entries::All(l), Entries::Each($u)) => {
                let ($w, $l) = (Splat(w), Splat(l));
                $body
            }
            (Entries::Each($w), Entries::Each($l), Entries::All(u)) => {
                let $u = Splat(u);
                $body
            }
            (Entries::Each($w), Entries::All(l), Entries::Each($u)) => {
                let $l = Splat(l);
                $body
            }
            (Entries::Each($w), Entries::Each($l), Entries::Each($u)) => $body,
        }
    };
}

#[inline(always)]
fn clip<T: Real>(y: T, l: T, u: T) -> T {
    let p = if y > l { y } else { l };
    if p < u { p } else { u }
}

#[inline(always)]
fn join<T: Real>(mut a: [T; LANES]) -> T {
    let mut n = LANES / 2;
    while n > 0 {
        for k in 0..n {
            a[k] = a[k] + a[k + n];
        }
        n /= 2;
    }
    a[0]
}

/// Sixteen entries at a time, in a fixed order.
#[inline(always)]
fn pass<T: Real>(v: &[T], w: impl Source<T>, l: impl Source<T>, u: impl Source<T>, t: T) -> Sums<T> {
    let (mut value, mut slope) = ([T::ZERO; LANES], [T::ZERO; LANES]);
    let whole = v.len() / LANES * LANES;
    let mut base = 0;
    while base < whole {
        let (x, w, l, u) = (v.lanes(base), w.lanes(base), l.lanes(base), u.lanes(base));
        for k in 0..LANES {
            let y = x[k] - t * w[k];
            value[k] = value[k] + w[k] * clip(y, l[k], u[k]);
            slope[k] = slope[k] + if (y > l[k]) & (y < u[k]) { w[k] * w[k] } else { T::ZERO };
        }
        base += LANES;
    }
    for at in whole..v.len() {
        let (k, w, l, u) = (at - whole, w.one(at), l.one(at), u.one(at));
        let y = v[at] - t * w;
        value[k] = value[k] + w * clip(y, l, u);
        slope[k] = slope[k] + if (y > l) & (y < u) { w * w } else { T::ZERO };
    }
    Sums { value: join(value), slope: join(slope) }
}

#[inline(always)]
pub(crate) fn sums<T: Real>(line: &Line<'_, T>, t: T) -> Sums<T> {
    with_sources!(line, |w, l, u| pass(line.v, w, l, u, t))
}

/// The x that belongs to `t + rest`: `t` is near v, where it is large, and `rest` is what its digits do not hold.
#[inline(always)]
pub(crate) fn members<T: Real>(line: &Line<'_, T>, t: T, rest: T, out: &mut [T]) {
    with_sources!(line, |w, l, u| for (k, (x, v)) in out.iter_mut().zip(line.v).enumerate() {
        let w = w.one(k);
        *x = clip((*v - t * w) - rest * w, l.one(k), u.one(k));
    });
}

/// Whether a number of the line is NaN, and the sums if no entry were at a bound.
#[inline(always)]
pub(crate) fn survey<T: Real>(line: &Line<'_, T>) -> (bool, Sums<T>) {
    let free = Line { lower: Entries::All(T::NEG_INFINITY), upper: Entries::All(T::INFINITY), ..*line };
    let nan = |a: Entries<'_, T>| match a {
        Entries::All(x) => x.is_nan(),
        Entries::Each(a) => a.iter().fold(false, |b, x| b | x.is_nan()),
    };
    let broken = nan(Entries::Each(line.v)) | nan(line.w) | nan(line.lower) | nan(line.upper);
    (broken, sums(&free, T::ZERO))
}

/// Is an entry of v infinite where nothing bounds it? Such a line has no nearest point.
fn unbounded<T: Real>(line: &Line<'_, T>) -> bool {
    line.v.iter().enumerate().any(|(k, v)| !v.is_finite() && (*v == line.lower.at(k) || *v == line.upper.at(k)))
}

/// The largest (or smallest) finite t at which an entry comes to a bound.
fn outermost<T: Real>(line: &Line<'_, T>, largest: bool) -> Option<T> {
    let mut best: Option<T> = None;
    for (k, v) in line.v.iter().enumerate() {
        let w = line.w.at(k);
        for bound in [line.lower.at(k), line.upper.at(k)] {
            let t = (*v - bound) / w;
            if t.is_finite() && best.is_none_or(|b| if largest { t > b } else { t < b }) {
                best = Some(t);
            }
        }
    }
    best
}

/// Is the sum over saturated entries the total, up to rounding?
fn near<T: Real>(line: &Line<'_, T>, t: T, total: T, excess: T) -> bool {
    let mut scale = Real::abs(total);
    for (k, v) in line.v.iter().enumerate() {
        let w = line.w.at(k);
        if w != T::ZERO {
            scale += Real::abs(w * clip(*v - t * w, line.lower.at(k), line.upper.at(k)));
        }
    }
    Real::abs(excess) <= Real::sqrt(T::EPSILON) * scale
}

/// The multiplier as `t` and a `rest`. NaN where there is none.
fn multiplier<T: Real>(line: &Line<'_, T>, total: T, kernels: &Kernels<T>) -> (T, T) {
    let (broken, open) = kernels.survey(line);
    if broken || Real::is_nan(total) {
        return (T::NAN, T::ZERO);
    }
    if !Real::is_finite(open.value) && unbounded(line) {
        return (T::NAN, T::ZERO);
    }
    let mut t = (open.value - total) / open.slope;
    if let (Entries::All(w), Entries::All(l), Entries::All(u)) = (line.w, line.lower, line.upper)
        && w > T::ZERO
        && l == T::ZERO
        && u == T::INFINITY
    {
        // The simplex: the largest entry alone is at most the total, which is often the better beginning.
        let top = kernels.reduce(ReduceOp::Max, line.v);
        t = special::max(t, (top - total / w) / w);
    }
    if !Real::is_finite(t) {
        t = T::ZERO;
    }
    let two = T::ONE + T::ONE;
    let (mut low, mut high) = (T::NEG_INFINITY, T::INFINITY);
    let mut last = T::INFINITY;
    // Where the bracket has closed, what is left from its ends to the root, if the piece beside them falls.
    let (mut from_low, mut from_high) = (None, None);
    // Newton's method needs a handful of these; a bisection of all numbers there are ends within.
    for _ in 0..2200 {
        let s = kernels.knapsack(line, t);
        let excess = s.value - total;
        if Real::is_nan(excess) {
            return (T::NAN, T::ZERO);
        }
        let step = if s.slope > T::ZERO { excess / s.slope } else { T::ZERO };
        let rounding = T::of(4.0) * T::EPSILON * (Real::abs(s.value) + Real::abs(total));
        if excess == T::ZERO || (s.slope > T::ZERO && (Real::abs(excess) <= rounding || t + step == t)) {
            return (t, step);
        }
        let left = (s.slope > T::ZERO).then_some(step);
        if excess > T::ZERO {
            (low, from_low) = (t, left);
        } else {
            (high, from_high) = (t, left);
        }
        let newton = t + step;
        let inside = s.slope > T::ZERO && newton > low && newton < high;
        let bracketed = Real::is_finite(low) && Real::is_finite(high);
        let next = if inside && (!bracketed || Real::abs(excess) <= last) {
            newton
        } else if bracketed {
            low + (high - low) / two
        } else {
            // All entries are at bounds as far as is known: what comes next is beyond the last of them, or nothing.
            match outermost(line, excess > T::ZERO) {
                Some(end) if (excess > T::ZERO && end > t) || (excess < T::ZERO && end < t) => end,
                _ if near(line, t, total, excess) => return (t, T::ZERO),
                _ => return (T::NAN, T::ZERO),
            }
        };
        if next == low || next == high {
            return match (from_low, from_high) {
                (Some(step), _) if step <= high - low => (low, step),
                (_, Some(step)) if -step <= high - low => (high, step),
                _ => (t, T::ZERO),
            };
        }
        last = Real::abs(excess) / two;
        t = next;
    }
    (t, T::ZERO)
}

/// All lines: operands as long as all of them or single numbers.
pub(crate) fn solve<T: Real>(n: usize, [v, w, lower, upper, total]: [&[T]; 5], x: &mut [T], ts: &mut [T], kernels: &Kernels<T>) {
    for (r, t) in ts.iter_mut().enumerate() {
        let [w, lower, upper] = [w, lower, upper].map(|a| Entries::of(a, r, n));
        let line = Line { v: &v[r * n..(r + 1) * n], w, lower, upper };
        let x = &mut x[r * n..(r + 1) * n];
        let (near, rest) = multiplier(&line, if total.len() == 1 { total[0] } else { total[r] }, kernels);
        if Real::is_nan(near) {
            x.fill(T::NAN);
        } else {
            kernels.members(&line, near, rest, x);
        }
        *t = near + rest;
    }
}
