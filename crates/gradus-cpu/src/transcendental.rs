//! Exponentials and logarithms as straight-line lane code: no branch, no table, no call, so that a loop over a block
//! becomes vector instructions of whatever width it is compiled for.
//!
//! Every function is a fixed sequence of IEEE operations without fused multiply-add, so all widths, and single numbers,
//! give the same bits. Edge cases are chosen by selects at the end, after both sides have been computed. Integer work is
//! limited to what SSE2 has for 64-bit lanes: add, and, logical shifts. Polynomials interpolate at Chebyshev nodes; the
//! comment at each gives its error.

/// The contract of every function here, against the exact value: at most this many units in the last place. The standard
/// library's functions err by up to about one such unit as well, and differ between systems; two are what a short
/// polynomial with a division can promise everywhere. The tests say what was measured.
pub const MAX_ULP: f64 = 2.0;

/// `1.5 * 2^52`: adding it rounds to a whole number, which then stands in the low bits.
const SHIFT: f64 = 6_755_399_441_055_744.0;
const INV_LN2: f64 = std::f64::consts::LOG2_E;
/// The first 41 bits of `log 2`, so that a product with an exponent is exact, and the rest.
const LN2_HI: f64 = 0.693147180559663;
const LN2_LO: f64 = 2.8235290563031577e-13;
/// Below this, `expm1`, `log1p` and `tanh` are their argument to the last bit.
const TINY: f64 = 1.0 / (1u64 << 54) as f64;

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

/// `2^(h - SHIFT)` for a whole number `h - SHIFT` in `-1022..=1023`.
#[inline(always)]
fn power_of_two(h: f64) -> f64 {
    f64::from_bits((h.to_bits() << 52).wrapping_add(1023 << 52))
}

#[inline(always)]
fn if_else(c: bool, x: f64, y: f64) -> f64 {
    if c { x } else { y }
}

/// `(k, h, t)` with `exp(x) = 2^k (1 + h + t)`, `|h| <= log(2) / 2` and `t` small against `h`.
#[inline(always)]
fn reduce(x: f64) -> (f64, f64, f64) {
    let k = (x * INV_LN2 + SHIFT) - SHIFT;
    let high = x - k * LN2_HI;
    let low = k * LN2_LO;
    let r = high - low;
    let rest = (high - r) - low;
    let z = r * r;
    // Even and odd powers apart: two short chains instead of a long one.
    let w = z;
    let even = EXP[0] + w * (EXP[2] + w * (EXP[4] + w * (EXP[6] + w * (EXP[8] + w * EXP[10]))));
    let odd = EXP[1] + w * (EXP[3] + w * (EXP[5] + w * (EXP[7] + w * EXP[9])));
    // exp(r + rest) - 1 = r + rest (1 + r) + r^2 q(r), up to terms far below the last bit.
    (k, r, z * (even + r * odd) + (rest + rest * r))
}

#[inline(always)]
pub fn exp(x: f64) -> f64 {
    // Beyond these bounds the result is inf or 0. A NaN fails both tests and stays.
    let c = if_else(x > 710.0, 710.0, x);
    let c = if_else(c < -746.0, -746.0, c);
    let (k, h, t) = reduce(c);
    // The scale in two halves: each is a normal number where the product is not. The last product rounds once.
    let half = k * 0.5 + SHIFT;
    let other = (k - (half - SHIFT)) + SHIFT;
    ((1.0 + (h + t)) * power_of_two(half)) * power_of_two(other)
}

/// `exp(x)` for `x` up to 2 with half the work: nothing overflows, and what is below the normal numbers is 0. For sums of
/// exponentials of differences from the largest.
#[inline(always)]
pub fn exp_of_difference(x: f64) -> f64 {
    const LEAST: f64 = -708.0;
    let c = if_else(x < LEAST, LEAST, x);
    let (k, h, t) = reduce(c);
    let y = (1.0 + (h + t)) * power_of_two(k + SHIFT);
    if_else(x < LEAST, 0.0, y)
}

/// Half of `exp(x) - 1` as a sum of two numbers, the second small; without the sign of zero. `x` in -40..=710.
#[inline(always)]
fn half_expm1(x: f64) -> (f64, f64) {
    let (k, h, t) = reduce(x);
    // Half the scale, since 2^1024 is no number.
    let s = power_of_two((k - 1.0) + SHIFT);
    let (a, b) = (s - 0.5, s * h);
    // a + b with its rounding error.
    let sum = a + b;
    let v = sum - a;
    let e = (a - (sum - v)) + (b - v);
    (sum, e + s * t)
}

#[inline(always)]
pub fn expm1(x: f64) -> f64 {
    let c = if_else(x > 710.0, 710.0, x);
    let c = if_else(c < -40.0, -40.0, c);
    let (high, low) = half_expm1(c);
    let y = (high + low) * 2.0;
    if_else(x.abs() < TINY, x, y)
}

#[inline(always)]
pub fn tanh(x: f64) -> f64 {
    let a = x.abs();
    // e / (e + 1) with e = (exp(2a) - 1) / 2; from 20 on the result is 1.
    let (high, low) = half_expm1(if_else(a > 30.0, 60.0, a + a));
    let e = high + low;
    let e_rest = low - (e - high);
    let d = e + 1.0;
    let v = d - e;
    let d_rest = (e - (d - v)) + (1.0 - v);
    let q = e / d;
    // The first-order effect of both roundings; 1 / d is 1 - q.
    let y = q + (e_rest - q * (d_rest + e_rest)) * (1.0 - q);
    if_else(a < TINY, x, y.copysign(x))
}

/// `1 / (1 + exp(-x))`, to full relative precision on both sides.
#[inline(always)]
pub fn sigmoid(x: f64) -> f64 {
    let e = exp(-x.abs());
    let d = 1.0 + e;
    let d_rest = e - (d - 1.0);
    let q = if_else(x >= 0.0, 1.0, e) / d;
    // The first-order effect of the rounding of d; 1 / d is q or 1 - q.
    q - q * (d_rest * if_else(x >= 0.0, q, 1.0 - q))
}

/// `log(u) + c` for a positive normal `u` and a small correction `c`; also where the exponent is to be lowered by `drop`.
#[inline(always)]
fn log_core(u: f64, c: f64, drop: f64) -> f64 {
    // Moves the exponent so that the mantissa lies between sqrt(1/2) and sqrt(2).
    const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    let moved = u.to_bits().wrapping_add(ONE - ROOT_HALF);
    let m = f64::from_bits((moved & 0x000f_ffff_ffff_ffff).wrapping_add(ROOT_HALF));
    // A small whole number in the low bits of 2^52.
    let k = f64::from_bits((moved >> 52) | 0x4330_0000_0000_0000) - (4_503_599_627_370_496.0 + 1023.0) - drop;
    let f = m - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let w = z * z;
    let even = LOG[0] + w * (LOG[2] + w * (LOG[4] + w * LOG[6]));
    let odd = LOG[1] + w * (LOG[3] + w * LOG[5]);
    let half = 0.5 * f * f;
    // log(1 + f) = 2s + s z p(z) = f - f^2/2 + s (f^2/2 + z p(z)).
    let small = s * (half + z * (even + z * odd)) + (k * LN2_LO + c);
    k * LN2_HI + (f - (half - small))
}

#[inline(always)]
pub fn log(x: f64) -> f64 {
    const SCALE: f64 = (1u64 << 54) as f64;
    let subnormal = x < f64::MIN_POSITIVE;
    let y = log_core(if_else(subnormal, x * SCALE, x), 0.0, if_else(subnormal, 54.0, 0.0));
    // Infinity and NaN stay.
    let y = if_else(x < f64::INFINITY, y, x);
    let y = if_else(x < 0.0, f64::NAN, y);
    if_else(x == 0.0, f64::NEG_INFINITY, y)
}

/// `log(1 + x)` for `x` from 0 to 2^1000 or in (-1, 0), without the sign of zero.
#[inline(always)]
fn log1p_core(x: f64) -> f64 {
    // 1 + x and its rounding error.
    let u = 1.0 + x;
    let v = u - 1.0;
    let e = (1.0 - (u - v)) + (x - v);
    log_core(u, e / u, 0.0)
}

#[inline(always)]
pub fn log1p(x: f64) -> f64 {
    let y = log1p_core(x);
    let y = if_else(x < f64::INFINITY, y, x);
    let y = if_else(x.abs() < TINY, x, y);
    let y = if_else(x == -1.0, f64::NEG_INFINITY, y);
    if_else(x < -1.0, f64::NAN, y)
}

/// `log(1 + exp(x))`.
#[inline(always)]
pub fn softplus(x: f64) -> f64 {
    let e = exp(-x.abs());
    let y = if_else(e < TINY, e, log1p_core(e));
    // A NaN is in both terms.
    if_else(x < 0.0, 0.0, x) + y
}

#[cfg(test)]
mod tests;
