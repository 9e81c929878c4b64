//! Ranges of values: closed intervals, with a mark for "never zero".

use std::fmt;

/// What every element of a value lies in. `lo` and `hi` may be infinite; NaN never occurs in them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub lo: f64,
    pub hi: f64,
    /// No element is exactly zero (as of `exp`, whose range is otherwise `[0, inf)`).
    pub nonzero: bool,
}

/// A product in which zero times anything is zero: the bound of a limit, not a float product.
fn times(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

// Named like the operators on purpose: interval arithmetic reads as arithmetic, but is no ring.
#[allow(clippy::should_implement_trait)]
impl Interval {
    pub const ALL: Interval = Interval { lo: f64::NEG_INFINITY, hi: f64::INFINITY, nonzero: false };
    pub const NONNEGATIVE: Interval = Interval { lo: 0.0, hi: f64::INFINITY, nonzero: false };
    pub const POSITIVE: Interval = Interval { lo: 0.0, hi: f64::INFINITY, nonzero: true };

    pub fn new(lo: f64, hi: f64) -> Interval {
        if lo.is_nan() || hi.is_nan() || lo > hi {
            return Interval::ALL;
        }
        Interval { lo, hi, nonzero: lo > 0.0 || hi < 0.0 }
    }

    pub fn point(x: f64) -> Interval {
        Interval::new(x, x)
    }

    /// Of all these numbers; everything where one is NaN or there are none.
    pub fn of(xs: &[f64]) -> Interval {
        if xs.is_empty() || xs.iter().any(|x| x.is_nan()) {
            return Interval::ALL;
        }
        let lo = xs.iter().copied().fold(f64::INFINITY, f64::min);
        let hi = xs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Interval { nonzero: xs.iter().all(|x| *x != 0.0), ..Interval::new(lo, hi) }
    }

    pub fn is_nonneg(self) -> bool {
        self.lo >= 0.0
    }
    pub fn is_nonpos(self) -> bool {
        self.hi <= 0.0
    }
    pub fn is_pos(self) -> bool {
        self.lo > 0.0 || self.lo == 0.0 && self.nonzero
    }
    pub fn is_neg(self) -> bool {
        self.hi < 0.0 || self.hi == 0.0 && self.nonzero
    }
    pub fn is_bounded(self) -> bool {
        self.lo.is_finite() && self.hi.is_finite()
    }
    pub fn as_point(self) -> Option<f64> {
        (self.lo == self.hi && self.lo.is_finite()).then_some(self.lo)
    }

    pub fn neg(self) -> Interval {
        Interval { lo: -self.hi, hi: -self.lo, nonzero: self.nonzero }
    }

    pub fn add(self, o: Interval) -> Interval {
        let mut r = Interval::new(self.lo + o.lo, self.hi + o.hi);
        let (p, n) = (self.is_pos() && o.is_nonneg() || self.is_nonneg() && o.is_pos(), self.is_neg() && o.is_nonpos() || self.is_nonpos() && o.is_neg());
        r.nonzero |= p || n;
        r
    }

    pub fn sub(self, o: Interval) -> Interval {
        self.add(o.neg())
    }

    pub fn mul(self, o: Interval) -> Interval {
        let ends = [times(self.lo, o.lo), times(self.lo, o.hi), times(self.hi, o.lo), times(self.hi, o.hi)];
        let mut r = Interval::of(&ends);
        r.nonzero = self.nonzero && o.nonzero;
        r
    }

    pub fn recip(self) -> Interval {
        if self.is_pos() || self.is_neg() {
            let inverse = |x: f64, zero: f64| if x == 0.0 { zero } else { 1.0 / x };
            let zero = if self.is_pos() { f64::INFINITY } else { f64::NEG_INFINITY };
            return Interval { nonzero: true, ..Interval::new(inverse(self.hi, zero), inverse(self.lo, zero)) };
        }
        // Of a value that may be zero only its sign survives.
        match (self.is_nonneg(), self.is_nonpos()) {
            (true, false) => Interval { nonzero: true, ..Interval::new(if self.hi > 0.0 { 1.0 / self.hi } else { 0.0 }, f64::INFINITY) },
            (false, true) => Interval { nonzero: true, ..Interval::new(f64::NEG_INFINITY, if self.lo < 0.0 { 1.0 / self.lo } else { 0.0 }) },
            _ => Interval::ALL,
        }
    }

    pub fn abs(self) -> Interval {
        let r = if self.is_nonneg() {
            self
        } else if self.is_nonpos() {
            self.neg()
        } else {
            Interval::new(0.0, self.hi.max(-self.lo))
        };
        Interval { nonzero: self.nonzero, ..r }
    }

    pub fn square(self) -> Interval {
        let a = self.abs();
        Interval { nonzero: self.nonzero, ..Interval::new(times(a.lo, a.lo), times(a.hi, a.hi)) }
    }

    pub fn max(self, o: Interval) -> Interval {
        Interval { nonzero: self.is_pos() || o.is_pos() || self.nonzero && o.nonzero, ..Interval::new(self.lo.max(o.lo), self.hi.max(o.hi)) }
    }

    pub fn min(self, o: Interval) -> Interval {
        self.neg().max(o.neg()).neg()
    }

    pub fn join(self, o: Interval) -> Interval {
        Interval { nonzero: self.nonzero && o.nonzero, ..Interval::new(self.lo.min(o.lo), self.hi.max(o.hi)) }
    }

    /// What both say; the first where they contradict.
    pub fn meet(self, o: Interval) -> Interval {
        let (lo, hi) = (self.lo.max(o.lo), self.hi.min(o.hi));
        if lo > hi { self } else { Interval { nonzero: self.nonzero || o.nonzero, ..Interval::new(lo, hi) } }
    }

    /// Through a nondecreasing function, given by its values (its limits at infinities).
    pub fn map(self, f: impl Fn(f64) -> f64) -> Interval {
        Interval::new(f(self.lo), f(self.hi))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = |x: f64| x.is_infinite() || x == 0.0 && self.nonzero;
        let (l, r) = (if open(self.lo) { '(' } else { '[' }, if open(self.hi) { ')' } else { ']' });
        write!(f, "{l}{}, {}{r}", self.lo, self.hi)
    }
}
