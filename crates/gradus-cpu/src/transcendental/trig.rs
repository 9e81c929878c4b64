//! Sine and cosine. Arguments up to `FAR` are reduced to a quarter turn by lane code; `sin` and `cos` send larger ones to a
//! scalar function with a table of digits of pi. A block takes the `near` form of all elements and replaces the far ones.

use super::{if_else, polynomial};

const TWO_OVER_PI: f64 = std::f64::consts::FRAC_2_PI;
/// `1.5 * 2^52`: adding it rounds to a whole number, which then stands in the low bits.
const SHIFT: f64 = 6_755_399_441_055_744.0;
/// `pi / 2` in two pieces of 33 bits, whose products with a number of quarter turns below 2^20 are exact, and the rest.
const QUARTER: [f64; 3] = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21];
/// The rest after the first piece, for single precision.
const QUARTER_REST: f64 = 6.077100506506192e-11;
/// Here reduction by lane code ends; less than 2^20 quarter turns.
const FAR: f64 = 1.6e6;
/// Below these a sine is its argument to the last bit.
const TINY: f64 = 1.0 / (1u64 << 27) as f64;
const TINY_SINGLE: f32 = 1.0 / (1u32 << 13) as f32;

/// `(sin r - r) / r^3` in `z = r^2` for `|r| <= pi / 4`: error below `2^-56` of `r`.
const SIN: [f64; 6] = [
    -0.16666666666666665,
    0.0083333333333309246,
    -0.00019841269836722418,
    2.7557316083816359e-06,
    -2.5051127944014188e-08,
    1.5917848524808261e-10,
];
/// `(cos r - 1 + z / 2) / z^2`: error below `2^-60`.
const COS: [f64; 6] = [
    0.041666666666666665,
    -0.0013888888888887382,
    2.4801587298743069e-05,
    -2.7557317260008838e-07,
    2.0876143827993132e-09,
    -1.1382456778061306e-11,
];
/// The same for single precision: errors below `2^-35` and `2^-29`.
const SIN_SINGLE: [f32; 4] = [-0.166_666_67, 0.008_333_332, -0.000_198_400_82, 2.724_931_4e-6];
const COS_SINGLE: [f32; 3] = [0.041_666_664, -0.001_388_830_1, 2.454_743_7e-5];

/// Must the caller replace the near form? Infinities and NaN are far: the scalar function knows them.
#[inline(always)]
pub(crate) fn is_far(x: f64) -> bool {
    !(x.abs() <= FAR)
}

#[inline(always)]
pub(crate) fn is_far_single(x: f32) -> bool {
    !(x.abs() <= FAR as f32)
}

/// The sine of a number of quarter turns more than `x`, in double precision.
#[inline(always)]
fn turned(x: f64, turns: u64) -> f64 {
    let shifted = x * TWO_OVER_PI + SHIFT;
    let k = shifted - SHIFT;
    // Exact: the product, and the difference of near numbers.
    let a = x - k * QUARTER[0];
    let b = k * QUARTER[1];
    // a - b with its rounding error, then the rest of pi.
    let high = a - b;
    let v = high - a;
    let low = ((a - (high - v)) - (b + v)) - k * QUARTER[2];
    let r = high + low;
    let rest = (high - r) + low;
    let z = r * r;
    let (even, odd) = polynomial(z * z, &SIN);
    let p = even + z * odd;
    // sin(r + rest) and cos(r + rest), with the first order of the rest.
    let sin = r + ((z * r) * p + (rest - 0.5 * z * rest));
    let (even, odd) = polynomial(z * z, &COS);
    let half = 0.5 * z;
    let w = 1.0 - half;
    let cos = w + (((1.0 - w) - half) + (z * (z * (even + z * odd)) - r * rest));
    // The quarter picks one of the two and the sign.
    let q = shifted.to_bits().wrapping_add(turns);
    let odd = 0u64.wrapping_sub(q & 1);
    f64::from_bits(((sin.to_bits() & !odd) | (cos.to_bits() & odd)) ^ ((q & 2) << 62))
}

/// The same in single precision; only the reduction needs more bits.
#[inline(always)]
fn turned_single(x: f32, turns: u32) -> f32 {
    let x = f64::from(x);
    let shifted = x * TWO_OVER_PI + SHIFT;
    let k = shifted - SHIFT;
    let r = ((x - k * QUARTER[0]) - k * QUARTER_REST) as f32;
    let z = r * r;
    let (even, odd) = polynomial(z * z, &SIN_SINGLE);
    let sin = r + (r * z) * (even + z * odd);
    let (even, odd) = polynomial(z * z, &COS_SINGLE);
    let half = 0.5 * z;
    let w = 1.0 - half;
    let cos = w + (((1.0 - w) - half) + z * (z * (even + z * odd)));
    let q = (shifted.to_bits() as u32).wrapping_add(turns);
    let odd = 0u32.wrapping_sub(q & 1);
    f32::from_bits(((sin.to_bits() & !odd) | (cos.to_bits() & odd)) ^ ((q & 2) << 30))
}

#[inline(always)]
pub(crate) fn sin_near(x: f64) -> f64 {
    if_else(x.abs() < TINY, x, turned(x, 0))
}

#[inline(always)]
pub(crate) fn cos_near(x: f64) -> f64 {
    turned(x, 1)
}

#[inline(always)]
pub(crate) fn sin_near_single(x: f32) -> f32 {
    if_else(x.abs() < TINY_SINGLE, x, turned_single(x, 0))
}

#[inline(always)]
pub(crate) fn cos_near_single(x: f32) -> f32 {
    turned_single(x, 1)
}

#[inline]
pub fn sin(x: f64) -> f64 {
    if is_far(x) { libm::sin(x) } else { sin_near(x) }
}

#[inline]
pub fn cos(x: f64) -> f64 {
    if is_far(x) { libm::cos(x) } else { cos_near(x) }
}

#[inline]
pub fn sin_single(x: f32) -> f32 {
    if is_far_single(x) { libm::sin(f64::from(x)) as f32 } else { sin_near_single(x) }
}

#[inline]
pub fn cos_single(x: f32) -> f32 {
    if is_far_single(x) { libm::cos(f64::from(x)) as f32 } else { cos_near_single(x) }
}
