//! Exponentials, logarithms and their kin as straight-line lane code: no branch, no table, no call, so that a loop over a block
//! becomes vector instructions of whatever width it is compiled for. The same text serves both precisions.
//!
//! Every function is a fixed sequence of IEEE operations without fused multiply-add, so all widths, and single numbers,
//! give the same bits. Edge cases are chosen by selects at the end, after both sides have been computed. Integer work is
//! limited to what SSE2 has: add, and, logical shifts. Polynomials interpolate at Chebyshev nodes or are fitted to the largest
//! error; the comment at each gives its error. Only sine and cosine of very large arguments need more: the caller replaces
//! them one by one.

mod erf;
mod pow;
mod trig;

pub use double::{exp, exp_of_difference, expm1, log, log1p, sigmoid, softplus, tanh};
pub use erf::{erf, erf_single};
pub use pow::{hypot, hypot_single, pow, pow_single};
pub use trig::{cos, cos_single, sin, sin_single};
pub(crate) use trig::{cos_near, cos_near_single, is_far, is_far_single, sin_near, sin_near_single};

use gradus_native::vector::{Operand, Value};
use std::ops::{Add, Mul};

/// The contract of every function here, against the exact value: at most this many units in the last place. The standard
/// library's functions err by up to about one such unit as well, and differ between systems; two are what a short
/// polynomial with a division can promise everywhere. The tests say what was measured.
pub const MAX_ULP: f64 = 2.0;

#[inline(always)]
fn if_else<T>(c: bool, x: T, y: T) -> T {
    if c { x } else { y }
}

/// What numbers have in common with values of a program: comparisons and constants.
trait Number<S>: Sized {
    /// The same for all elements.
    fn number(self, c: S) -> Self;
    /// Times `2^k`, rounded once, where there is an instruction for it.
    #[inline(always)]
    fn scaled(self, _k: Self) -> Option<Self> {
        None
    }
}

/// A choice by a comparison, as a mask of vector code has it.
trait Choice {
    fn select<T>(self, x: T, y: T) -> T;
}

impl Choice for bool {
    #[inline(always)]
    fn select<T>(self, x: T, y: T) -> T {
        if_else(self, x, y)
    }
}

/// Comparisons under the names that they have in vector code.
trait Compare: PartialOrd + Copy {
    #[inline(always)]
    fn above(self, y: Self) -> bool {
        self > y
    }
    #[inline(always)]
    fn below(self, y: Self) -> bool {
        self < y
    }
    #[inline(always)]
    fn at_least(self, y: Self) -> bool {
        self >= y
    }
    #[inline(always)]
    fn equals(self, y: Self) -> bool {
        self == y
    }
}

impl Compare for f64 {}
impl Compare for f32 {}

impl Number<f64> for f64 {
    #[inline(always)]
    fn number(self, c: f64) -> f64 {
        c
    }
}

impl Number<f32> for f32 {
    #[inline(always)]
    fn number(self, c: f32) -> f32 {
        c
    }
}

impl<'a, S: Operand<'a>> Number<S> for Value<'a> {
    fn number(self, c: S) -> Value<'a> {
        Value::number(self, c)
    }
    fn scaled(self, k: Value<'a>) -> Option<Value<'a>> {
        Value::scaled(self, k)
    }
}

/// The even and the odd part of a polynomial with these coefficients, by powers of the square `w`: two short chains instead
/// of a long one. The polynomial is `even + x odd`.
#[inline(always)]
fn polynomial<T, S: Copy, const N: usize>(w: T, c: &[S; N]) -> (T, T)
where
    T: Copy + Add<Output = T> + Mul<Output = T> + Number<S>,
{
    let last = |from: usize| from + (N - 1 - from) / 2 * 2;
    let half = |from: usize| {
        let mut k = last(from);
        let mut s = w.number(c[k]);
        while k > from {
            k -= 2;
            s = w.number(c[k]) + w * s;
        }
        s
    };
    (half(0), half(1))
}

/// The functions of one precision over its constants.
macro_rules! functions {
    ($t:ident, $u:ident, $n:ty $(, $l:lifetime)?) => {
        /// `2^(h - SHIFT)` for a whole number `h - SHIFT` that is the exponent of a normal number.
        #[inline(always)]
        fn power_of_two$(<$l>)?(h: $n) -> $n {
            <$n>::from_bits((h.to_bits() << MANTISSA).wrapping_add(BIAS << MANTISSA))
        }

        /// `y 2^k` for a `y` near one, rounded once.
        #[inline(always)]
        fn scale$(<$l>)?(y: $n, k: $n) -> $n {
            if let Some(v) = y.scaled(k) {
                return v;
            }
            // The scale in two halves: each is a normal number where the product is not. The last product rounds once.
            let half = k * 0.5 + SHIFT;
            let other = (k - (half - SHIFT)) + SHIFT;
            (y * power_of_two(half)) * power_of_two(other)
        }

        /// `(k, h, t)` with `exp(x + more) = 2^(k - SHIFT) (1 + h + t)`, `|h| <= log(2) / 2` and `t` small against `h`.
        #[inline(always)]
        fn reduce$(<$l>)?(x: $n, more: $n) -> ($n, $n, $n) {
            let shifted = x * INV_LN2 + SHIFT;
            let k = shifted - SHIFT;
            let high = x - k * LN2_HI;
            let low = k * LN2_LO - more;
            let r = high - low;
            let rest = (high - r) - low;
            let z = r * r;
            let (even, odd) = polynomial(z, &EXP);
            // exp(r + rest) - 1 = r + rest (1 + r) + r^2 q(r), up to terms far below the last bit.
            (shifted, r, z * (even + r * odd) + (rest + rest * r))
        }

        #[inline(always)]
        pub fn exp$(<$l>)?(x: $n) -> $n {
            exp_sum(x, x.number(0.0))
        }

        /// `exp(x + low)`, where `low` is small against `x`.
        #[inline(always)]
        pub(super) fn exp_sum$(<$l>)?(x: $n, low: $n) -> $n {
            // Beyond these bounds the result is inf or 0. A NaN fails both tests and stays.
            let c = x.above(TOP).select(TOP, x);
            let c = c.below(BOTTOM).select(BOTTOM, c);
            let (k, h, t) = reduce(c, low);
            scale(1.0 + (h + t), k - SHIFT)
        }

        /// Half of `exp(x) - 1` as a sum of two numbers, the second small; without the sign of zero. `x` in `FLAT..=TOP`.
        #[inline(always)]
        fn half_expm1$(<$l>)?(x: $n) -> ($n, $n) {
            let (k, h, t) = reduce(x, x.number(0.0));
            // Half the scale, since 2^1024 is no number.
            let s = power_of_two(k - 1.0);
            let (a, b) = (s - 0.5, s * h);
            // a + b with its rounding error: a is nothing or larger than b.
            let sum = a + b;
            let e = b - (sum - a);
            (sum, e + s * t)
        }

        #[inline(always)]
        pub fn expm1$(<$l>)?(x: $n) -> $n {
            let c = x.above(TOP).select(TOP, x);
            let c = c.below(FLAT).select(FLAT, c);
            let (high, low) = half_expm1(c);
            let y = (high + low) * 2.0;
            x.abs().below(TINY).select(x, y)
        }

        #[inline(always)]
        pub fn tanh$(<$l>)?(x: $n) -> $n {
            let a = x.abs();
            // e / (e + 1) with e = (exp(2a) - 1) / 2; from half of `FLAT` on the result is 1.
            let b = a + a;
            let (high, low) = half_expm1(b.above(-FLAT).select(-FLAT, b));
            let e = high + low;
            let e_rest = low - (e - high);
            let d = e + 1.0;
            let v = d - e;
            let d_rest = (e - (d - v)) + (1.0 - v);
            let q = e / d;
            // The first-order effect of both roundings; 1 / d is 1 - q.
            let y = q + (e_rest - q * (d_rest + e_rest)) * (1.0 - q);
            a.below(TINY).select(x, y.copysign(x))
        }

        /// `1 / (1 + exp(-x))`, to full relative precision on both sides.
        #[inline(always)]
        pub fn sigmoid$(<$l>)?(x: $n) -> $n {
            let e = exp(-x.abs());
            let d = 1.0 + e;
            let d_rest = e - (d - 1.0);
            let q = x.at_least(0.0).select(1.0, e) / d;
            // The first-order effect of the rounding of d; 1 / d is q or 1 - q.
            q - q * (d_rest * x.at_least(0.0).select(q, 1.0 - q))
        }

        /// `log(u) + c` for a positive normal `u` and a small correction `c`; also where the exponent is to be lowered by `drop`.
        #[inline(always)]
        fn log_core$(<$l>)?(u: $n, c: $n, drop: $n) -> $n {
            // Moves the exponent so that the mantissa lies between sqrt(1/2) and sqrt(2).
            let moved = u.to_bits().wrapping_add(ONE - ROOT_HALF);
            let m = <$n>::from_bits((moved & (((1 as $u) << MANTISSA) - 1)).wrapping_add(ROOT_HALF));
            // A small whole number in the low bits of a large one.
            let k = <$n>::from_bits((moved >> MANTISSA) | WHOLE.to_bits()) - (WHOLE + BIAS as $t) - drop;
            let f = m - 1.0;
            let s = f / (2.0 + f);
            let z = s * s;
            let (even, odd) = polynomial(z * z, &LOG);
            let half = 0.5 * f * f;
            // log(1 + f) = 2s + s z p(z) = f - f^2/2 + s (f^2/2 + z p(z)).
            let small = s * (half + z * (even + z * odd)) + (k * LN2_LO + c);
            k * LN2_HI + (f - (half - small))
        }

        #[inline(always)]
        pub fn log$(<$l>)?(x: $n) -> $n {
            let subnormal = x.below($t::MIN_POSITIVE);
            let y = log_core(subnormal.select(x * (1.0 / TINY), x), x.number(0.0), subnormal.select(TINY_BITS, 0.0));
            // Infinity and NaN stay.
            let y = x.below($t::INFINITY).select(y, x);
            let y = x.below(0.0).select($t::NAN, y);
            x.equals(0.0).select($t::NEG_INFINITY, y)
        }

        /// `log(1 + x)` for `x` from 0 to a power of two below the largest or in (-1, 0), without the sign of zero.
        #[inline(always)]
        fn log1p_core$(<$l>)?(x: $n) -> $n {
            // 1 + x and its rounding error.
            let u = 1.0 + x;
            let v = u - 1.0;
            let e = (1.0 - (u - v)) + (x - v);
            log_core(u, e / u, x.number(0.0))
        }

        #[inline(always)]
        pub fn log1p$(<$l>)?(x: $n) -> $n {
            let y = log1p_core(x);
            let y = x.below($t::INFINITY).select(y, x);
            let y = x.abs().below(TINY).select(x, y);
            let y = x.equals(-1.0).select($t::NEG_INFINITY, y);
            x.below(-1.0).select($t::NAN, y)
        }

        /// `log(1 + exp(x))`.
        #[inline(always)]
        pub fn softplus$(<$l>)?(x: $n) -> $n {
            let e = exp(-x.abs());
            let y = e.below(TINY).select(e, log1p_core(e));
            // A NaN is in both terms.
            x.below(0.0).select(0.0, x) + y
        }
    };
}

/// Functions for reductions, which have no vector code of their own.
macro_rules! for_reductions {
    ($t:ident) => {
        /// `exp(x)` for `x` up to 2 with half the work: nothing overflows, and what is below the normal numbers is 0. For sums of
        /// exponentials of differences from the largest.
        #[inline(always)]
        pub fn exp_of_difference(x: $t) -> $t {
            let c = x.below(LEAST).select(LEAST, x);
            let (k, h, t) = reduce(c, x.number(0.0));
            let y = (1.0 + (h + t)) * power_of_two(k);
            x.below(LEAST).select(0.0, y)
        }
    };
}

/// Double precision.
pub mod double {
    use super::{Choice, Compare, Number, polynomial};

    const MANTISSA: u32 = 52;
    const BIAS: u64 = 1023;
    /// `1.5 * 2^52`: adding it rounds to a whole number, which then stands in the low bits.
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    const WHOLE: f64 = 4_503_599_627_370_496.0;
    const INV_LN2: f64 = std::f64::consts::LOG2_E;
    /// The first 41 bits of `log 2`, so that a product with an exponent is exact, and the rest.
    const LN2_HI: f64 = 0.693147180559663;
    const LN2_LO: f64 = 2.8235290563031577e-13;
    const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    /// Below this, `expm1`, `log1p` and `tanh` are their argument to the last bit.
    const TINY: f64 = 1.0 / (1u64 << 54) as f64;
    const TINY_BITS: f64 = 54.0;
    /// Exponentials of this are still normal numbers.
    const LEAST: f64 = -708.0;
    /// Exponentials are infinite from here on, zero from here down, and less than half a unit in the last place of 1 from there.
    const TOP: f64 = 710.0;
    const BOTTOM: f64 = -746.0;
    const FLAT: f64 = -40.0;

    /// `(exp(r) - 1 - r) / r^2` for `|r| <= log(2) / 2`; with it `exp(r) - 1` has a relative error below `2^-60`.
    const EXP: [f64; 11] = [
        0.5,
        0.1666666666666667,
        0.04166666666666667,
        0.008333333333326136,
        0.0013888888888883748,
        0.00019841269874820627,
        2.4801587325547743e-05,
        2.7557255400206422e-06,
        2.75572736431103e-07,
        2.5105217004720745e-08,
        2.0914686968086876e-09,
    ];

    /// `(2 atanh(s) / s - 2) / s^2` in `z = s^2`, for `|s| <= (sqrt 2 - 1) / (sqrt 2 + 1)`; relative error of the logarithm
    /// below `2^-57`.
    const LOG: [f64; 7] = [
        0.666666666666667,
        0.39999999999899444,
        0.2857142862600327,
        0.22222211130259878,
        0.18182889455674947,
        0.15331710618210773,
        0.14616585424888623,
    ];

    functions!(f64, u64, f64);
    for_reductions!(f64);

    /// Vector code.
    pub(crate) mod code {
        use super::{BIAS, BOTTOM, EXP, FLAT, INV_LN2, LN2_HI, LN2_LO, LOG, MANTISSA, ONE, ROOT_HALF, SHIFT, TINY, TINY_BITS, TOP};
        use super::{WHOLE, polynomial};
        use gradus_native::vector::Value;

        functions!(f64, u64, Value<'a>, 'a);
    }
}

/// Single precision.
pub mod single {
    use super::{Choice, Compare, Number, polynomial};

    const MANTISSA: u32 = 23;
    const BIAS: u32 = 127;
    /// `1.5 * 2^23`: adding it rounds to a whole number, which then stands in the low bits.
    const SHIFT: f32 = 12_582_912.0;
    const WHOLE: f32 = 8_388_608.0;
    const INV_LN2: f32 = std::f32::consts::LOG2_E;
    /// The first 15 bits of `log 2`, so that a product with an exponent is exact, and the rest.
    const LN2_HI: f32 = 0.693_145_75;
    const LN2_LO: f32 = 1.428_606_8e-6;
    const ROOT_HALF: u32 = 0x3f35_04f3;
    const ONE: u32 = 0x3f80_0000;
    /// Below this, `expm1`, `log1p` and `tanh` are their argument to the last bit.
    const TINY: f32 = 1.0 / (1u32 << 25) as f32;
    const TINY_BITS: f32 = 25.0;
    /// Exponentials of this are still normal numbers.
    const LEAST: f32 = -87.0;
    /// Exponentials are infinite from here on, zero from here down, and less than half a unit in the last place of 1 from there.
    const TOP: f32 = 89.0;
    const BOTTOM: f32 = -105.0;
    const FLAT: f32 = -20.0;

    /// As in double precision; relative error of `exp(r) - 1` below `2^-30`.
    const EXP: [f32; 6] = [0.500_000_001_3, 0.166_666_666_8, 0.041_666_464_93, 0.008_333_310_925, 0.001_393_365, 0.000_198_909_908_2];

    /// As in double precision; relative error of the logarithm below `2^-28`.
    const LOG: [f32; 3] = [0.666_666_850_5, 0.399_887_782_8, 0.295_800_530_4];

    functions!(f32, u32, f32);
    for_reductions!(f32);

    /// Vector code.
    pub(crate) mod code {
        use super::{BIAS, BOTTOM, EXP, FLAT, INV_LN2, LN2_HI, LN2_LO, LOG, MANTISSA, ONE, ROOT_HALF, SHIFT, TINY, TINY_BITS, TOP};
        use super::{WHOLE, polynomial};
        use gradus_native::vector::Value;

        functions!(f32, u32, Value<'a>, 'a);
    }
}

#[cfg(test)]
mod tests;
