//! The contract against a reference in double-double arithmetic (about 100 bits), which shares nothing with the code
//! under test.
#![allow(clippy::unwrap_used)]

use super::*;

mod single;
use std::ops::{Add, Div, Mul, Sub};

/// An unevaluated sum of two numbers, the second below the last bit of the first.
#[derive(Clone, Copy, Debug)]
struct DD(f64, f64);

fn sum(a: f64, b: f64) -> DD {
    let s = a + b;
    let v = s - a;
    DD(s, (a - (s - v)) + (b - v))
}

impl Add for DD {
    type Output = DD;
    fn add(self, o: DD) -> DD {
        let (s, t) = (sum(self.0, o.0), sum(self.1, o.1));
        let s = sum(s.0, s.1 + t.0);
        sum(s.0, s.1 + t.1)
    }
}

impl Sub for DD {
    type Output = DD;
    fn sub(self, o: DD) -> DD {
        self + DD(-o.0, -o.1)
    }
}

impl Mul for DD {
    type Output = DD;
    fn mul(self, o: DD) -> DD {
        let p = self.0 * o.0;
        sum(p, self.0.mul_add(o.0, -p) + (self.0 * o.1 + self.1 * o.0))
    }
}

impl Div for DD {
    type Output = DD;
    fn div(self, o: DD) -> DD {
        let a = self.0 / o.0;
        let r = self - o * DD(a, 0.0);
        let b = r.0 / o.0;
        let r = r - o * DD(b, 0.0);
        sum(a, b) + DD(r.0 / o.0, 0.0)
    }
}

const ONE: DD = DD(1.0, 0.0);
const TWO: DD = DD(2.0, 0.0);
const LN2: DD = DD(std::f64::consts::LN_2, 2.3190468138462996e-17);

fn dd(x: f64) -> DD {
    DD(x, 0.0)
}

fn scale(x: DD, k: i32) -> DD {
    // In two steps, each factor a normal number.
    let (a, b) = (2f64.powi(k / 2), 2f64.powi(k - k / 2));
    DD(x.0 * a * b, x.1 * a * b)
}

/// `(k, exp(r) - 1)` of `x = k log 2 + r`.
fn exp_parts(x: DD) -> (i32, DD) {
    let k = (x.0 / LN2.0).round();
    let r = x - LN2 * dd(k);
    // A tail that ends by itself: r^n / n! below 2^-110 of r.
    let s = (2..=28).rev().fold(ONE, |s, n| ONE + r * s / dd(f64::from(n)));
    (k as i32, r * s)
}

fn exp_dd(x: DD) -> DD {
    let (k, e) = exp_parts(x);
    scale(ONE + e, k)
}

fn expm1_dd(x: DD) -> DD {
    match exp_parts(x) {
        (0, e) => e,
        (k, e) => scale(ONE + e, k) - ONE,
    }
}

/// `log(1 + f)` for `|f| <= 1/2`.
fn log_near_one(f: DD) -> DD {
    let s = f / (TWO + f);
    let z = s * s;
    let series = (0..32).rev().fold(dd(0.0), |t, n| ONE / dd(f64::from(2 * n + 1)) + z * t);
    TWO * s * series
}

fn log_dd(mut x: DD) -> DD {
    let mut k = 0;
    while x.0 >= 1.5 {
        let step = if x.0 > 1e30 { 64 } else { 1 };
        x = scale(x, -step);
        k += step;
    }
    while x.0 < 0.75 {
        let step = if x.0 < 1e-30 { 64 } else { 1 };
        x = scale(x, step);
        k -= step;
    }
    log_near_one(x - ONE) + LN2 * dd(f64::from(k))
}

fn log1p_dd(x: DD) -> DD {
    if x.0.abs() < 1e-290 {
        // The series would underflow; the next term is far below the last bit.
        return x;
    }
    if x.0.abs() < 0.4 { log_near_one(x) } else { log_dd(ONE + x) }
}

fn tanh_dd(x: f64) -> DD {
    let e = expm1_dd(dd(2.0 * x.abs().min(100.0)));
    let y = e / (e + TWO);
    if x < 0.0 { dd(0.0) - y } else { y }
}

fn sigmoid_dd(x: f64) -> DD {
    let e = exp_dd(dd(-x.abs()));
    if x >= 0.0 { ONE / (ONE + e) } else { e / (ONE + e) }
}

fn softplus_dd(x: f64) -> DD {
    let l = log1p_dd(exp_dd(dd(-x.abs())));
    if x > 0.0 { l + dd(x) } else { l }
}

/// Sine and cosine of a moderate number: pi in pieces whose products with the quarter turns are exact.
fn turn(x: f64) -> (DD, DD) {
    const QUARTER: [f64; 4] = [1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.478427660368899e-32];
    let k = (x / QUARTER[0]).round();
    let r = QUARTER.iter().fold(dd(x), |r, p| r - dd(k) * dd(*p));
    let z = r * r;
    let series = |first: u32| {
        // 1 - z / (m (m + 1)) (1 - …), from the far end.
        (0..16).rev().fold(ONE, |s, n| {
            let m = f64::from(first + 2 * n);
            ONE - z * s / dd(m * (m + 1.0))
        })
    };
    let (sin, cos) = (r * series(2), series(1));
    let minus = |a: DD| DD(-a.0, -a.1);
    match k.rem_euclid(4.0) as u32 {
        0 => (sin, cos),
        1 => (cos, minus(sin)),
        2 => (minus(sin), minus(cos)),
        _ => (minus(cos), sin),
    }
}

/// `2 x exp(-x^2) / sqrt(pi)` times a series of positive terms.
fn erf_dd(x: f64) -> DD {
    if x.abs() > 6.5 {
        return dd(1f64.copysign(x));
    }
    let z = dd(x) * dd(x);
    let s = (1..200).rev().fold(ONE, |s, n| ONE + z * s * TWO / dd(f64::from(2 * n + 1)));
    const TWO_OVER_ROOT_PI: DD = DD(std::f64::consts::FRAC_2_SQRT_PI, 1.533545961316588e-17);
    TWO_OVER_ROOT_PI * dd(x) * exp_dd(DD(-z.0, -z.1)) * s
}

/// The distance of `found` from `want` in units of the last place of `want`.
fn ulps(found: f64, want: DD) -> f64 {
    if want.0.is_infinite() || found.is_infinite() {
        return if found == want.0 { 0.0 } else { f64::INFINITY };
    }
    let exponent = ((want.0.abs().to_bits() >> 52) as i32).max(1) - 1075;
    // Both steps are exact: the difference of near numbers, and powers of two.
    let d = (found - want.0) - want.1;
    d.abs() * 2f64.powi(-(exponent / 2)) * 2f64.powi(-(exponent - exponent / 2))
}

/// Even steps over the interval, jittered by a fixed sequence, and every binary order of magnitude of both signs in it.
fn samples(low: f64, high: f64) -> Vec<f64> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let (even, per_order) = (40_000, 8);
    let mut x: Vec<f64> = (0..even).map(|k| low + (high - low) * ((f64::from(k) + next()) / f64::from(even))).collect();
    for e in -1074..1024 {
        for k in 0..per_order {
            let m = 1.0 + (f64::from(k) + next()) / f64::from(per_order);
            let v = m * 2f64.powi(e / 2) * 2f64.powi(e - e / 2);
            x.extend([v, -v]);
        }
    }
    // Near one, where the logarithm vanishes.
    x.extend((-300..300).map(|k| 1.0 + f64::from(k) * f64::EPSILON));
    x.extend((0..20_000).map(|k| 0.6 + f64::from(k) * 5e-5 + next() * 1e-5));
    x.retain(|v| *v >= low && *v <= high);
    x
}

fn worst(name: &str, f: fn(f64) -> f64, want: impl Fn(f64) -> DD, low: f64, high: f64) -> f64 {
    let (mut worst, mut at) = (0.0, 0.0);
    for x in samples(low, high) {
        let u = ulps(f(x), want(x));
        // A NaN counts as the worst.
        if !(u <= worst) {
            (worst, at) = (u, x);
        }
        assert!(u <= MAX_ULP, "{name}({x:e}) = {:e}, {u} ulp from {:e}", f(x), want(x).0);
    }
    println!("{name}: {worst:.3} ulp at {at:e}");
    worst
}

const EDGES: [f64; 12] = [
    0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, f64::MIN_POSITIVE, 1e300, -1e300, f64::INFINITY, f64::NEG_INFINITY, f64::NAN,
];

fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// What is exact is exact, with the sign of zero.
#[test]
fn edge_values() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    let exact: [(&str, fn(f64) -> f64, [f64; 12]); 5] = [
        ("exp", exp, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, inf, 0.0, inf, 0.0, nan]),
        ("expm1", expm1, [0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, f64::MIN_POSITIVE, inf, -1.0, inf, -1.0, nan]),
        ("tanh", tanh, [0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, f64::MIN_POSITIVE, 1.0, -1.0, 1.0, -1.0, nan]),
        ("sigmoid", sigmoid, [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 1.0, 0.0, 1.0, 0.0, nan]),
        ("log1p", log1p, [0.0, -0.0, 5e-324, -5e-324, 1e-310, -1e-310, f64::MIN_POSITIVE, 1e300f64.ln(), nan, inf, nan, nan]),
    ];
    for (name, f, want) in exact {
        for (x, w) in EDGES.into_iter().zip(want) {
            assert!(same(f(x), w), "{name}({x:e}) = {:e}, not {w:e}", f(x));
        }
    }
    for (x, w) in [(0.0, -inf), (-0.0, -inf), (1.0, 0.0), (-5e-324, nan), (-1.0, nan), (inf, inf), (-inf, nan), (nan, nan)] {
        assert!(same(log(x), w), "log({x:e}) = {:e}", log(x));
    }
    for (x, w) in [(1e300, 1e300), (-1e300, 0.0), (inf, inf), (-inf, 0.0), (nan, nan)] {
        assert!(same(softplus(x), w), "softplus({x:e}) = {:e}", softplus(x));
    }
    for (x, w) in [(-1.0, -inf), (-1.0 - f64::EPSILON, nan)] {
        assert!(same(log1p(x), w), "log1p({x:e}) = {:e}", log1p(x));
    }
    // Overflow and underflow begin where they should.
    assert!(exp(709.782_712_893_383_9).is_finite() && exp(709.782_712_893_384_1) == inf);
    assert!(expm1(709.782_712_893_383_9).is_finite() && expm1(709.782_712_893_384_1) == inf);
    assert!(exp(-745.133_219_101_941_1) == 5e-324 && exp(-745.133_219_101_941_3) == 0.0);
    assert!(sigmoid(-745.133_219_101_941_1) == 5e-324 && softplus(-745.133_219_101_941_1) == 5e-324);
}

#[test]
fn edge_values_of_turns_and_powers() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    for x in EDGES {
        assert!(same(erf(x), if x.abs() > 1.0 { 1f64.copysign(x) } else if x.is_nan() { nan } else { libm::erf(x) }), "erf({x:e}) = {:e}", erf(x));
        assert!(same(sin(x), libm::sin(x)) || ulps(sin(x), dd(libm::sin(x))) <= 1.0, "sin({x:e}) = {:e}", sin(x));
        assert!(same(cos(x), libm::cos(x)) || ulps(cos(x), dd(libm::cos(x))) <= 1.0, "cos({x:e}) = {:e}", cos(x));
    }
    assert!(same(sin(-0.0), -0.0) && sin(inf).is_nan() && cos(-inf).is_nan());
    // Where IEEE 754 says what comes out, it does; elsewhere the standard library is near.
    let mut numbers = EDGES.to_vec();
    numbers.extend([1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 1e-5, 1.0 + f64::EPSILON, 1.0 - f64::EPSILON / 2.0, 1e16, -1e16]);
    numbers.extend([4_503_599_627_370_497.0, 9_007_199_254_740_991.0, -9_007_199_254_740_991.0, f64::MAX, 1e20, 700.5, -700.0]);
    for &x in &numbers {
        for &y in &numbers {
            let (found, want) = (pow(x, y), x.powf(y));
            assert!(same(found, want) || ulps(found, dd(want)) <= 2.0, "pow({x:e}, {y:e}) = {found:e}, not {want:e}");
            let (found, want) = (hypot(x, y), x.hypot(y));
            assert!(same(found, want) || ulps(found, dd(want)) <= 1.0, "hypot({x:e}, {y:e}) = {found:e}, not {want:e}");
        }
    }
}

/// Far arguments go to the scalar function; near ones are good next to multiples of a quarter turn.
#[test]
fn turns_within_the_contract() {
    let mut x = samples(-1.6e6, 1.6e6);
    x.extend((1..200_000).step_by(7).flat_map(|k| {
        let q = f64::from(k) * std::f64::consts::FRAC_PI_2;
        [q, -q, f64::from_bits(q.to_bits() + 1)]
    }));
    let mut worst = (0.0, 0.0);
    for x in x {
        let (s, c) = turn(x);
        let u = (ulps(sin(x), s), ulps(cos(x), c));
        assert!(u.0 <= MAX_ULP && u.1 <= MAX_ULP, "at {x:e}: {u:?} ulp");
        worst = (u.0.max(worst.0), u.1.max(worst.1));
    }
    println!("sin, cos: {worst:?} ulp");
    assert!(worst.0 <= 0.86 && worst.1 <= 0.91, "{worst:?}");
    for x in [1.6e6, 1.7e6, 1e9, 1e22, 1e300] {
        assert!(ulps(sin(x), dd(libm::sin(x))) <= 1.0 && ulps(cos(x), dd(libm::cos(x))) <= 1.0, "{x:e}");
    }
}

#[test]
fn powers_within_the_contract() {
    let mut state = 0x1234_5678_9abc_def1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut worst = 0.0;
    for k in 0..200_000 {
        // Bases of all sizes and near one; exponents that take the result over its whole range.
        let x = match k % 3 {
            0 => 2f64.powf(next() * 2000.0 - 1000.0),
            1 => 0.5 + next(),
            _ => 1.0 + (next() - 0.5) * 2f64.powf(-50.0 * next()),
        };
        if x == 1.0 {
            continue;
        }
        let l = log_dd(dd(x));
        let y = (next() * 1416.0 - 708.0) / l.0;
        let want = exp_dd(l * dd(y));
        let u = ulps(pow(x, y), want);
        assert!(u <= MAX_ULP, "pow({x:e}, {y:e}) = {:e}: {u} ulp", pow(x, y));
        worst = u.max(worst);
    }
    println!("pow: {worst} ulp");
    assert!(worst <= 1.05, "{worst}");
}

/// Measured maxima; each may grow by a twentieth before the test says so, all stay below the contract.
#[test]
fn within_the_contract() {
    let measured: [(&str, f64, f64); 8] = [
        ("erf", 1.3, worst("erf", erf, erf_dd, -7.0, 7.0)),
        ("exp", 1.0, worst("exp", exp, |x| exp_dd(dd(x)), -745.1, 709.78)),
        ("expm1", 0.91, worst("expm1", expm1, |x| if x < -80.0 { dd(-1.0) } else { expm1_dd(dd(x)) }, -745.1, 709.78)),
        ("tanh", 1.0, worst("tanh", tanh, tanh_dd, -40.0, 40.0)),
        ("sigmoid", 1.57, worst("sigmoid", sigmoid, sigmoid_dd, -745.1, 745.0)),
        ("softplus", 1.31, worst("softplus", softplus, softplus_dd, -745.1, 1e6)),
        ("log", 0.82, worst("log", log, |x| log_dd(dd(x)), 5e-324, f64::MAX)),
        ("log1p", 0.75, worst("log1p", log1p, |x| log1p_dd(dd(x)), -1.0 + 1e-16, f64::MAX)),
    ];
    for (name, expected, found) in measured {
        assert!(found <= expected * 1.05, "{name}: {found} ulp");
    }
}
