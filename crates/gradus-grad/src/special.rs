//! Derivatives that no op computes, built from elementary ones.

use gradus_ir::build::Build;
use gradus_ir::{IrResult, NodeId};
use std::f64::consts::PI;

/// Steps of the recurrence; from 7.5 on the series below is exact to rounding.
const SHIFT: usize = 7;

/// Coefficients of `z^-2, z^-3, z^-4, z^-6, z^-8, …` in the asymptotic series of the second derivative of digamma
/// (Abramowitz & Stegun 6.4.13): the derivative of `1/z + 1/(2 z^2) + sum B_2k / z^(2k+1)`.
const SERIES: [(i32, f64); 10] = [
    (2, -1.0),
    (3, -1.0),
    (4, -0.5),
    (6, 1.0 / 6.0),
    (8, -1.0 / 6.0),
    (10, 0.3),
    (12, -5.0 / 6.0),
    (14, 691.0 / 210.0),
    (16, -17.5),
    (18, 3617.0 / 30.0),
];

/// The derivative of trigamma (the second derivative of digamma).
pub(crate) fn tetragamma(b: &mut Build, x: NodeId) -> IrResult<NodeId> {
    let half = b.real(0.5)?;
    let one = b.real(1.0)?;
    let left = b.lt(x, half)?;
    let mirrored = b.sub(one, x)?;
    // Reflected to the right half: psi''(x) = psi''(1 - x) - 2 pi^3 cot(pi x) / sin(pi x)^2.
    let z = b.select(left, mirrored, x)?;
    let main = right(b, z)?;
    let pi = b.real(PI)?;
    let angle = b.mul(pi, x)?;
    let (s, c) = (b.sin(angle)?, b.cos(angle)?);
    let ratio = b.div(c, s)?;
    let s2 = b.square(s)?;
    let ratio = b.div(ratio, s2)?;
    let scale = b.real(2.0 * PI * PI * PI)?;
    let correction = b.mul(scale, ratio)?;
    let reflected = b.sub(main, correction)?;
    b.select(left, reflected, main)
}

fn right(b: &mut Build, x: NodeId) -> IrResult<NodeId> {
    let three = b.real(3.0)?;
    let mut sum = b.real(0.0)?;
    for k in 0..SHIFT {
        let k = b.real(k as f64)?;
        let z = b.add(x, k)?;
        let cube = b.pow(z, three)?;
        let term = b.recip(cube)?;
        sum = b.add(sum, term)?;
    }
    let two = b.real(2.0)?;
    let mut total = b.mul(two, sum)?;
    total = b.neg(total)?;
    let shift = b.real(SHIFT as f64)?;
    let z = b.add(x, shift)?;
    // Horner in 1/z^2 over the even powers, the odd one apart.
    let inv = b.recip(z)?;
    let inv2 = b.square(inv)?;
    let mut tail = b.real(0.0)?;
    for (_, c) in SERIES.iter().rev().filter(|(p, _)| p % 2 == 0) {
        let c = b.real(*c)?;
        let scaled = b.mul(tail, inv2)?;
        tail = b.add(scaled, c)?;
    }
    let even = b.mul(tail, inv2)?;
    let odd = b.mul(inv2, inv)?;
    let series = b.sub(even, odd)?;
    b.add(total, series)
}
