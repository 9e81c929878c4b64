//! Powers, and the length of two sides.
//!
//! A power is `exp(y log x)`; since the product may be 745, its logarithm is a sum of two numbers, good to about 2^-65. Products
//! that must be exact are made of halves of the mantissa.

use super::{double, if_else, polynomial};

const LN2_HI: f64 = 0.693147180559663;
const LN2_LO: f64 = 2.8235290563031577e-13;
const TWO_THIRDS: f64 = 2.0 / 3.0;
const TWO_THIRDS_REST: f64 = 3.700743415417188e-17;
/// `2^52`.
const WHOLE: f64 = 4_503_599_627_370_496.0;

/// `((2 atanh(s) / s - 2) / z - 2/3) / z` in `z = s^2`; error of the logarithm below `2^-70`.
const LOG: [f64; 8] = [
    0.4,
    0.28571428571429366,
    0.22222222221655886,
    0.18181818335392802,
    0.15384594962518432,
    0.1333480469384731,
    0.11706236339491207,
    0.11723178623876517,
];

/// The number without the lower half of its mantissa: products of two such numbers are exact.
#[inline(always)]
fn upper(x: f64) -> f64 {
    f64::from_bits(x.to_bits() & 0xffff_ffff_f800_0000)
}

/// `log x` of a positive finite number, as a sum of two.
#[inline(always)]
fn log_pair(x: f64) -> (f64, f64) {
    const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    const ONE: u64 = 0x3ff0_0000_0000_0000;
    let subnormal = x < f64::MIN_POSITIVE;
    let u = if_else(subnormal, x * (1u64 << 54) as f64, x);
    let moved = u.to_bits().wrapping_add(ONE - ROOT_HALF);
    let m = f64::from_bits((moved & 0x000f_ffff_ffff_ffff).wrapping_add(ROOT_HALF));
    let k = f64::from_bits((moved >> 52) | WHOLE.to_bits()) - (WHOLE + 1023.0) - if_else(subnormal, 54.0, 0.0);
    // s = f / d with its rest; f is exact, d is a sum of two.
    let f = m - 1.0;
    let d = m + 1.0;
    let d_rest = m - (d - 1.0);
    let inverse = 1.0 / d;
    let s_high = upper(f * inverse);
    let d_high = upper(d);
    let s_low = (((f - s_high * d_high) - s_high * (d - d_high)) - s_high * d_rest) * inverse;
    let s = s_high + s_low;
    // z = s^2
    let z_first = s_high * s_high;
    let z = z_first + s_low * (s + s_high);
    let z_rest = (z_first - z) + s_low * (s + s_high);
    // c = 2/3 + z p(z), v = 2 + z c, log m = s v
    let (even, odd) = polynomial(z * z, &LOG);
    let p = z * (even + z * odd);
    let c = TWO_THIRDS + p;
    let c_rest = (TWO_THIRDS - c) + p + TWO_THIRDS_REST;
    let (z_high, c_high) = (upper(z), upper(c));
    let w = z_high * c_high;
    let w_rest = z_high * ((c - c_high) + c_rest) + ((z - z_high) + z_rest) * c;
    let v = 2.0 + w;
    let v_rest = (2.0 - v) + w + w_rest;
    let v_high = upper(v);
    let l = s_high * v_high;
    let l_rest = s_high * ((v - v_high) + v_rest) + s_low * (v + v_rest);
    // k log 2 is the larger part, or zero.
    let whole = k * LN2_HI;
    let sum = whole + l;
    let t = sum - whole;
    let e = (whole - (sum - t)) + (l - t);
    let rest = (e + l_rest) + k * LN2_LO;
    let high = sum + rest;
    (high, (sum - high) + rest)
}

/// What a sign, zero, one, infinity or NaN makes of the power `p` of `|x|`.
#[inline(always)]
fn with_edges(x: f64, y: f64, p: f64) -> f64 {
    let (a, b) = (x.abs(), y.abs());
    let inf = f64::INFINITY;
    // Zero and infinity to a power, then anything to an infinite one: whether it grows is a matter of two signs.
    let p = if_else(a == 0.0 || a == inf, if_else((a == inf) == (y > 0.0), inf, 0.0), p);
    let p = if_else(b == inf, if_else((a > 1.0) == (y > 0.0), inf, 0.0), p);
    // Negative numbers have powers with whole exponents only, and odd ones keep the sign.
    let is_whole = b >= WHOLE || (b + WHOLE) - WHOLE == b;
    let h = b * 0.5;
    let is_odd = is_whole && h < WHOLE && (h + WHOLE) - WHOLE != h;
    let p = if_else(x < 0.0 && a < inf && b < inf && !is_whole, f64::NAN, p);
    let p = if_else(is_odd && x.is_sign_negative(), -p, p);
    let p = if_else(x.is_nan() || y.is_nan(), f64::NAN, p);
    if_else(y == 0.0 || x == 1.0 || (x == -1.0 && b == inf), 1.0, p)
}

/// `x` to the power `y`, edge cases as IEEE 754 has them.
#[inline(always)]
pub fn pow(x: f64, y: f64) -> f64 {
    let (log, log_rest) = log_pair(x.abs());
    // No logarithm but zero is so small that more would change something.
    let b = if_else(y > 1e20, 1e20, y);
    let b = if_else(b < -1e20, -1e20, b);
    let p = b * log;
    let (b_high, log_high) = (upper(b), upper(log));
    let (b_low, log_low) = (b - b_high, log - log_high);
    let rest = (((b_high * log_high - p) + b_high * log_low + b_low * log_high) + b_low * log_low) + b * log_rest;
    // Past these the result is infinite or zero, whatever the rest.
    let far = p > 800.0 || p < -800.0;
    with_edges(x, y, double::exp_sum(p, if_else(far, 0.0, rest)))
}

/// In double precision, rounded once.
#[inline(always)]
pub fn pow_single(x: f32, y: f32) -> f32 {
    let (x, y) = (f64::from(x), f64::from(y));
    with_edges(x, y, double::exp(y * double::log(x.abs()))) as f32
}

/// `sqrt(x^2 + y^2)` without overflow: sides that are far from 1 are scaled by a power of two.
#[inline(always)]
pub fn hypot(x: f64, y: f64) -> f64 {
    // 2^600 and its inverse: squares of what is scaled neither overflow nor vanish.
    const UP: f64 = f64::from_bits((1023 + 600) << 52);
    const DOWN: f64 = f64::from_bits((1023 - 600) << 52);
    let (a, b) = (x.abs(), y.abs());
    let m = if_else(a > b, a, b);
    let (large, small) = (m > 1e150, m < 1e-150);
    let scale = if_else(large, DOWN, if_else(small, UP, 1.0));
    let back = if_else(large, UP, if_else(small, DOWN, 1.0));
    let (a, b) = (a * scale, b * scale);
    let h = (a * a + b * b).sqrt() * back;
    if_else(x.abs() == f64::INFINITY || y.abs() == f64::INFINITY, f64::INFINITY, h)
}

/// In double precision, rounded once more.
#[inline(always)]
pub fn hypot_single(x: f32, y: f32) -> f32 {
    let (a, b) = (f64::from(x), f64::from(y));
    let h = (a * a + b * b).sqrt() as f32;
    if_else(x.abs() == f32::INFINITY || y.abs() == f32::INFINITY, f32::INFINITY, h)
}
