//! The element types a run can have. Every kernel is written once, over this trait, and compiled for both.

use crate::{special, transcendental};
use faer::traits::RealField;
use gradus_ir::Precision;
use std::cmp::Ordering;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f64 {}
    impl Sealed for f32 {}
}

/// `f64` or `f32`. Functions of the same name as those of the standard library mean the same; edge cases are those of
/// `transcendental` and `special`.
pub trait Real: sealed::Sealed + RealField + Copy + Default + Send + Sync + 'static {
    const PRECISION: Precision;
    const ZERO: Self;
    const ONE: Self;
    const NAN: Self;
    const INFINITY: Self;
    const NEG_INFINITY: Self;
    /// The distance from one to the next number.
    const EPSILON: Self;

    /// The nearest number of this type.
    fn of(x: f64) -> Self;
    /// A constant of the program: one that is neither zero nor infinite does not become so by rounding, since guards such as
    /// `max(x, 1e-300)` are made of them.
    fn constant(x: f64) -> Self;
    fn wide(self) -> f64;
    /// The whole number below, 0 for what is negative or NaN.
    fn index(self) -> usize;
    /// The numbers of an array, where it has this type already.
    fn share(data: &[f64]) -> Option<&[Self]>;
    /// A random word as a number in [0, 1).
    fn unit(word: u64) -> Self;
    /// A word of a random key. A whole number of which this type is sure stands for itself; at single precision the other words
    /// are the other bit patterns, which may be moved but mean nothing as numbers.
    fn of_word(word: u32) -> Self;
    fn word(self) -> u32;

    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn round_ties_even(self) -> Self;
    fn trunc(self) -> Self;
    fn is_nan(self) -> bool;
    fn is_finite(self) -> bool;
    fn total_cmp(&self, other: &Self) -> Ordering;

    fn exp(self) -> Self;
    /// `exp` of a number up to 2; 0 where that is no normal number.
    fn exp_of_difference(self) -> Self;
    fn expm1(self) -> Self;
    fn log(self) -> Self;
    fn log1p(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    /// The same where `is_far` is false: lane code. Elsewhere it means nothing.
    fn sin_near(self) -> Self;
    fn cos_near(self) -> Self;
    fn is_far(self) -> bool;
    fn tan(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    fn sinh(self) -> Self;
    fn cosh(self) -> Self;
    fn tanh(self) -> Self;
    fn sigmoid(self) -> Self;
    fn softplus(self) -> Self;
    fn erf(self) -> Self;
    fn lgamma(self) -> Self;
    fn digamma(self) -> Self;
    fn trigamma(self) -> Self;
    fn powf(self, e: Self) -> Self;
    fn atan2(self, x: Self) -> Self;
    fn hypot(self, y: Self) -> Self;
}

/// What the standard library has for both types.
macro_rules! standard {
    ($t:ident) => {
        const ZERO: $t = 0.0;
        const ONE: $t = 1.0;
        const NAN: $t = $t::NAN;
        const INFINITY: $t = $t::INFINITY;
        const NEG_INFINITY: $t = $t::NEG_INFINITY;
        const EPSILON: $t = $t::EPSILON;

        #[inline(always)]
        fn of(x: f64) -> $t {
            x as $t
        }
        #[inline(always)]
        fn index(self) -> usize {
            self as usize
        }
        #[inline(always)]
        fn is_nan(self) -> bool {
            self.is_nan()
        }
        #[inline(always)]
        fn is_finite(self) -> bool {
            self.is_finite()
        }
        #[inline(always)]
        fn total_cmp(&self, other: &$t) -> Ordering {
            $t::total_cmp(self, other)
        }
        standard!(unary $t: abs sqrt floor ceil round_ties_even trunc);
    };
    (unary $t:ident: $($f:ident)*) => {
        $(
            #[inline(always)]
            fn $f(self) -> $t {
                $t::$f(self)
            }
        )*
    };
    (binary $t:ident: $($f:ident)*) => {
        $(
            #[inline(always)]
            fn $f(self, y: $t) -> $t {
                $t::$f(self, y)
            }
        )*
    };
}

/// What `transcendental` has, for one number and for two.
macro_rules! lanes {
    ($t:ident: $($f:ident $($g:ident)::+),*) => {
        $(
            #[inline(always)]
            fn $f(self) -> $t {
                transcendental::$($g)::+(self)
            }
        )*
    };
}
macro_rules! pairs {
    ($t:ident: $($f:ident $g:ident),*) => {
        $(
            #[inline(always)]
            fn $f(self, y: $t) -> $t {
                transcendental::$g(self, y)
            }
        )*
    };
}

impl Real for f64 {
    const PRECISION: Precision = Precision::F64;
    standard!(f64);
    standard!(unary f64: tan asin acos atan sinh cosh);
    standard!(binary f64: atan2);
    lanes!(f64: exp double::exp, exp_of_difference double::exp_of_difference, expm1 double::expm1, log double::log, log1p double::log1p, tanh double::tanh,
        sigmoid double::sigmoid, softplus double::softplus, erf erf, sin sin, cos cos);
    lanes!(f64: sin_near sin_near, cos_near cos_near);
    pairs!(f64: powf pow, hypot hypot);

    #[inline(always)]
    fn constant(x: f64) -> f64 {
        x
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    fn share(data: &[f64]) -> Option<&[f64]> {
        Some(data)
    }
    #[inline(always)]
    fn unit(word: u64) -> f64 {
        (word >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
    #[inline(always)]
    fn of_word(word: u32) -> f64 {
        f64::from(word)
    }
    #[inline(always)]
    fn word(self) -> u32 {
        self as u32
    }
    #[inline(always)]
    fn is_far(self) -> bool {
        transcendental::is_far(self)
    }
    fn lgamma(self) -> f64 {
        special::lgamma(self)
    }
    fn digamma(self) -> f64 {
        special::digamma(self)
    }
    fn trigamma(self) -> f64 {
        special::trigamma(self)
    }
}

/// The whole number below 2^24 that this is.
fn small(x: f32) -> Option<u32> {
    let n = x as u32;
    (n < 1 << 24 && (n as f32).to_bits() == x.to_bits()).then_some(n)
}

/// Functions of single precision that are computed in double precision and rounded.
macro_rules! through_f64 {
    ($($f:ident)*) => {
        $(
            #[inline(always)]
            fn $f(self) -> f32 {
                Real::$f(f64::from(self)) as f32
            }
        )*
    };
}

impl Real for f32 {
    const PRECISION: Precision = Precision::F32;
    standard!(f32);
    through_f64!(tan asin acos atan sinh cosh lgamma digamma trigamma);
    lanes!(f32: exp single::exp, exp_of_difference single::exp_of_difference, expm1 single::expm1, log single::log, log1p single::log1p, tanh single::tanh,
        sigmoid single::sigmoid, softplus single::softplus, erf erf_single, sin sin_single, cos cos_single);
    lanes!(f32: sin_near sin_near_single, cos_near cos_near_single);
    pairs!(f32: powf pow_single, hypot hypot_single);

    #[inline(always)]
    fn constant(x: f64) -> f32 {
        if x == 0.0 || !x.is_finite() {
            return x as f32;
        }
        (x.abs() as f32).clamp(f32::MIN_POSITIVE, f32::MAX).copysign(x as f32)
    }
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    fn share(_: &[f64]) -> Option<&[f32]> {
        None
    }
    #[inline(always)]
    fn unit(word: u64) -> f32 {
        (word >> 40) as f32 * (1.0 / (1u64 << 24) as f32)
    }
    #[inline(always)]
    fn of_word(word: u32) -> f32 {
        // Words below 2^24 take the patterns of those numbers, and leave their own to the words that these patterns are of.
        match small(f32::from_bits(word)) {
            _ if word < 1 << 24 => word as f32,
            Some(n) => f32::from_bits(n),
            None => f32::from_bits(word),
        }
    }
    #[inline(always)]
    fn word(self) -> u32 {
        match small(self) {
            Some(n) => n,
            None if self.to_bits() < 1 << 24 => (self.to_bits() as f32).to_bits(),
            None => self.to_bits(),
        }
    }
    #[inline(always)]
    fn is_far(self) -> bool {
        transcendental::is_far_single(self)
    }
    #[inline(always)]
    fn atan2(self, x: f32) -> f32 {
        f64::from(self).atan2(f64::from(x)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words survive, and small whole numbers are themselves.
    #[test]
    fn words_are_kept() {
        let mut words: Vec<u32> = (0..1 << 32).step_by(65_521).map(|w: u64| w as u32).collect();
        for n in [0, 1, 2, 3, 5, 7, 1000, (1 << 24) - 1, 1 << 24, (1 << 24) + 1] {
            words.extend([n, (n as f32).to_bits(), u32::MAX - n, (-(n as f32)).to_bits()]);
        }
        words.extend([f32::NAN.to_bits(), 0x7f80_0001, 0xff80_0001, f32::INFINITY.to_bits(), 1 << 31]);
        for w in words {
            assert_eq!(f32::of_word(w).word(), w, "{w:#x}");
            assert_eq!(f64::of_word(w).word(), w);
            if w < 1 << 24 {
                assert_eq!(f32::of_word(w), w as f32);
            }
        }
    }
}
