//! The error function: an odd polynomial up to 1, one minus a scaled exponential above.

use super::{double, if_else, polynomial, single};

/// `erf(x) / x - 1` in `z = x^2` for `|x| <= 1`: relative error below `2^-56`.
const NEAR: [f64; 12] = [
    0.12837916709551257,
    -0.3761263890318354,
    0.11283791670945006,
    -0.02686617064323777,
    0.0052239776071164227,
    -0.00085483259753896921,
    0.00012055294904839708,
    -1.492473690741966e-05,
    1.6447424703317362e-06,
    -1.6208483801871706e-07,
    1.3720064546777686e-08,
    -7.7958988270021422e-10,
];
/// `exp(x^2) erfc(x)` in `t = 1 / (2 + x)` for `1 <= x <= 6`: times `exp(-x^2)` the error is below `2^-55`.
const BEYOND: [f64; 12] = [
    2.8557795223773193e-05,
    0.5629444643615113,
    1.152867038790926,
    1.6890693676834146,
    4.9996774348239397,
    -8.5796600129790526,
    38.802760669535711,
    -92.126578814436382,
    73.097593330353423,
    40.493052784480246,
    -103.24260965526633,
    50.030090306565383,
];
/// The same in single precision, up to 4: errors below `2^-29` and `2^-26`.
const NEAR_SINGLE: [f32; 7] =
    [0.128_379_17, -0.376_126_27, 0.112_835_95, -0.026_854_212, 0.005_189_087_4, -0.000_801_686_43, 7.875_875e-5];
const BEYOND_SINGLE: [f32; 5] = [-0.013_507_182, 0.784_932_1, -0.245_853_56, 5.789_383_1, -0.620_279_95];

#[inline(always)]
pub fn erf(x: f64) -> f64 {
    let a = x.abs();
    let z = a * a;
    let (even, odd) = polynomial(z * z, &NEAR);
    let near = x + x * (even + z * odd);
    // From 6 on the result is 1; a NaN stays.
    let b = if_else(a > 6.0, 6.0, a);
    let t = 1.0 / (2.0 + b);
    let (even, odd) = polynomial(t * t, &BEYOND);
    let beyond = (1.0 - double::exp(-(b * b)) * (even + t * odd)).copysign(x);
    if_else(a < 1.0, near, beyond)
}

#[inline(always)]
pub fn erf_single(x: f32) -> f32 {
    let a = x.abs();
    let z = a * a;
    let (even, odd) = polynomial(z * z, &NEAR_SINGLE);
    let near = x + x * (even + z * odd);
    let b = if_else(a > 4.0, 4.0, a);
    let t = 1.0 / (2.0 + b);
    let (even, odd) = polynomial(t * t, &BEYOND_SINGLE);
    let beyond = (1.0 - single::exp(-(b * b)) * (even + t * odd)).copysign(x);
    if_else(a < 1.0, near, beyond)
}
