//! Single precision against double, which has its own test: every 4001st of all bit patterns, and every edge.

use crate::transcendental as t;

/// The distance in units of the last place of the exact value.
fn ulps(found: f32, want: f64) -> f64 {
    let nearest = want as f32;
    if nearest.is_infinite() || found.is_infinite() {
        // Overflow begins within an unit.
        let edge = f64::from(f32::MAX) * (1.0 + 1.2e-7);
        return if found == nearest || (want.abs() <= edge && want.abs() >= f64::from(f32::MAX) * (1.0 - 1.2e-7)) { 0.0 } else { f64::INFINITY };
    }
    let exponent = ((nearest.abs().to_bits() >> 23) as i32).max(1) - 150;
    (f64::from(found) - want).abs() * 2f64.powi(-exponent)
}

fn patterns() -> impl Iterator<Item = f32> {
    let edges = [0u32, 1, 0x007f_ffff, 0x0080_0000, 0x3f80_0000, 0x3f7f_ffff, 0x3f80_0001, 0x7f7f_ffff, 0x7f80_0000, 0x7fc0_0000];
    let overflow = [88.722_83f32, 88.722_84, -103.972_08, -103.278_93, -87.336_54, 9.0, 9.011, 16.6, 17.4];
    let signs = |b: u32| [f32::from_bits(b), f32::from_bits(b | 1 << 31)];
    (0..=u32::MAX).step_by(4001).map(f32::from_bits).chain(edges.into_iter().flat_map(signs)).chain(overflow)
}

fn worst(name: &str, f: fn(f32) -> f32, want: fn(f64) -> f64) -> f64 {
    let mut worst: f64 = 0.0;
    for x in patterns() {
        let (y, w) = (f(x), want(f64::from(x)));
        if w.is_nan() || y.is_nan() {
            assert!(w.is_nan() && y.is_nan(), "{name}({x:e}) = {y:e}, not {w:e}");
            continue;
        }
        if y == 0.0 && w == 0.0 {
            assert_eq!(y.is_sign_negative(), w.is_sign_negative(), "{name}({x:e}): the sign of zero");
        }
        let u = ulps(y, w);
        assert!(u <= t::MAX_ULP, "{name}({x:e}) = {y:e}, {u} ulp from {w:e}");
        worst = worst.max(u);
    }
    println!("{name}: {worst:.3} ulp");
    worst
}

/// Measured maxima, each with room for a twentieth.
#[test]
fn within_the_contract() {
    let measured: [(&str, f64, f64); 10] = [
        ("exp", 0.81, worst("exp", t::single::exp, t::exp)),
        ("expm1", 1.04, worst("expm1", t::single::expm1, t::expm1)),
        ("log", 0.77, worst("log", t::single::log, t::log)),
        ("log1p", 0.77, worst("log1p", t::single::log1p, t::log1p)),
        ("tanh", 1.22, worst("tanh", t::single::tanh, t::tanh)),
        ("sigmoid", 1.63, worst("sigmoid", t::single::sigmoid, t::sigmoid)),
        ("softplus", 1.49, worst("softplus", t::single::softplus, t::softplus)),
        ("erf", 1.4, worst("erf", t::erf_single, t::erf)),
        ("sin", 1.44, worst("sin", t::sin_single, t::sin)),
        ("cos", 1.41, worst("cos", t::cos_single, t::cos)),
    ];
    for (name, expected, found) in measured {
        assert!(found <= expected * 1.05, "{name}: {found} ulp");
    }
}

#[test]
fn pairs_within_the_contract() {
    let few: Vec<f32> = patterns().step_by(2251).chain([0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, 3.3, -2.5, f32::INFINITY, f32::NEG_INFINITY, f32::NAN]).collect();
    for &x in &few {
        for &y in &few {
            let two: [(&str, f32, f64); 2] = [
                ("pow", t::pow_single(x, y), t::pow(x.into(), y.into())),
                ("hypot", t::hypot_single(x, y), t::hypot(x.into(), y.into())),
            ];
            for (name, found, want) in two {
                let good = (found.is_nan() && want.is_nan()) || ulps(found, want) <= 0.51;
                assert!(good, "{name}({x:e}, {y:e}) = {found:e}, not {want:e}");
            }
        }
    }
}
