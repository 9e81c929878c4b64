//! Scalar functions that the standard library lacks or that need care at the edges.

use crate::real::Real;
use std::f64::consts::PI;

#[inline(always)]
pub fn sign<T: Real>(x: T) -> T {
    if x > T::ZERO {
        T::ONE
    } else if x < T::ZERO {
        -T::ONE
    } else {
        // Zero gives +0, NaN gives NaN.
        x.abs()
    }
}

/// The maximum that keeps a NaN.
#[inline(always)]
pub fn max<T: Real>(a: T, b: T) -> T {
    if a > b || a.is_nan() { a } else { b }
}

/// The minimum that keeps a NaN.
#[inline(always)]
pub fn min<T: Real>(a: T, b: T) -> T {
    if a < b || a.is_nan() { a } else { b }
}

/// `x - y floor(x / y)`: the result has the sign of `y`.
#[inline(always)]
pub fn modulo<T: Real>(x: T, y: T) -> T {
    x - y * (x / y).floor()
}

/// Powers; small whole exponents by multiplication.
#[inline(always)]
pub fn pow<T: Real>(x: T, y: T) -> T {
    // Selects, not branches: blocks become vector code.
    let p = x.powf(y);
    let p = if y == T::ONE { x } else { p };
    let p = if y == T::of(2.0) { x * x } else { p };
    if y == T::of(3.0) { x * x * x } else { p }
}

/// `log |Gamma(x)|`; +inf at 0, -1, -2, ….
pub fn lgamma(x: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        return f64::INFINITY;
    }
    libm::lgamma(x)
}

fn is_pole(x: f64) -> bool {
    x <= 0.0 && x.fract() == 0.0
}

/// The coefficients `c[k] / z^(2k)` added up from the smallest.
fn series(z: f64, c: &[f64]) -> f64 {
    let w = 1.0 / (z * z);
    c.iter().rev().fold(0.0, |s, c| s * w + c)
}

/// From here on the asymptotic series are exact to the last digits.
const FAR: f64 = 12.0;

/// The derivative of `lgamma`; NaN at 0, -1, -2, ….
pub fn digamma(x: f64) -> f64 {
    if x.is_nan() || is_pole(x) || x == f64::NEG_INFINITY {
        return f64::NAN;
    }
    if x < 0.0 {
        // Reflection; the tangent of the distance to the nearest integer, which is exact.
        return digamma(1.0 - x) - PI / (PI * (x - x.round())).tan();
    }
    let (mut z, mut below) = (x, 0.0);
    while z < FAR {
        below += 1.0 / z;
        z += 1.0;
    }
    // Bernoulli numbers B(2k) / 2k.
    const C: [f64; 8] = [
        1.0 / 12.0,
        -1.0 / 120.0,
        1.0 / 252.0,
        -1.0 / 240.0,
        1.0 / 132.0,
        -691.0 / 32760.0,
        1.0 / 12.0,
        -3617.0 / 8160.0,
    ];
    z.ln() - 0.5 / z - series(z, &C) / (z * z) - below
}

/// The derivative of `digamma`; +inf at 0, -1, -2, ….
pub fn trigamma(x: f64) -> f64 {
    if x.is_nan() || x == f64::NEG_INFINITY {
        return f64::NAN;
    }
    if is_pole(x) {
        return f64::INFINITY;
    }
    if x < 0.0 {
        let s = (PI * (x - x.round())).sin();
        return (PI / s) * (PI / s) - trigamma(1.0 - x);
    }
    if x.is_infinite() {
        return 0.0;
    }
    let (mut z, mut below) = (x, 0.0);
    while z < FAR {
        below += 1.0 / (z * z);
        z += 1.0;
    }
    // Bernoulli numbers B(2k).
    const C: [f64; 8] = [
        1.0 / 6.0,
        -1.0 / 30.0,
        1.0 / 42.0,
        -1.0 / 30.0,
        5.0 / 66.0,
        -691.0 / 2730.0,
        7.0 / 6.0,
        -3617.0 / 510.0,
    ];
    below + 1.0 / z + 0.5 / (z * z) + series(z, &C) / (z * z * z)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-14 * b.abs().max(1.0), "{a} against {b}");
    }

    /// Values to 20 digits from the literature (Abramowitz and Stegun, NIST DLMF).
    #[test]
    fn known_values() {
        near(digamma(1.0), -0.577_215_664_901_532_9);
        near(digamma(0.5), -1.963_510_026_021_423_5);
        near(digamma(10.0), 2.251_752_589_066_721);
        near(digamma(-0.5), 0.036_489_973_978_576_52);
        near(trigamma(1.0), PI * PI / 6.0);
        near(trigamma(0.5), PI * PI / 2.0);
        near(trigamma(-0.5), 8.934_802_200_544_68);
        near(lgamma(0.5), 0.572_364_942_924_700_1);
        near(lgamma(10.0), 12.801_827_480_081_469);
    }

    #[test]
    fn edges() {
        assert!(sign(f64::NAN).is_nan());
        assert!(max(f64::NAN, 1.0).is_nan() && max(1.0, f64::NAN).is_nan());
        assert!(min(f64::NAN, 1.0).is_nan() && min(1.0, f64::NAN).is_nan());
        assert_eq!(modulo(-1.0f64, 3.0), 2.0);
        assert_eq!(lgamma(0.0), f64::INFINITY);
        assert_eq!(lgamma(-3.0), f64::INFINITY);
        assert!(digamma(0.0).is_nan());
        assert_eq!(trigamma(-2.0), f64::INFINITY);
        assert_eq!(sign(-0.0f64).to_bits(), 0f64.to_bits());
    }
}
