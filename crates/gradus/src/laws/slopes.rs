//! Derivatives of an oracle: forward against differences, reverse against forward.

use super::points::{Draws, dot, minus, plus, shown, size};
use super::runs::{Failure, Subject};
use super::{Verdict, judged};

/// Of the steps of the differences.
const STEP: f64 = 1e-6;

/// `body` maps `x[0]` to an array like it.
pub fn check(subject: &Subject, body: &str, points: &[Vec<f64>]) -> Result<Verdict, Failure> {
    let n = subject.len();
    let mut draws = Draws::new(11);
    let ways: Vec<(Vec<f64>, Vec<f64>)> = points.iter().map(|_| (draws.point(n, 1.0), draws.point(n, 1.0))).collect();
    let lanes: Vec<Vec<&[f64]>> = points.iter().zip(&ways).map(|(p, (d, w))| vec![p.as_slice(), d, w]).collect();
    let function = format!("u -> {}", body.replace("x[0]", "u"));
    let at = |step: &str| body.replace("x[0]", &format!("(x[0] {step} * x[1])"));
    let forward = format!("{{ let (_, s) = jvp({function}, x[0], x[1])\n s }}");
    let backward = format!("{{ let (_, s) = vjp({function}, x[0], x[2])\n s }}");
    let (ahead, behind) = (at(&format!("+ {STEP}")), at(&format!("- {STEP}")));
    let found = subject.batch(&lanes, &[body, &ahead, &behind, &forward, &backward])?;
    let [here, ahead, behind, slope, reverse] = found.as_slice() else { return Ok(Verdict::Holds) };
    let mut smooth = 0;
    let wrong = (0..points.len()).find_map(|k| {
        let (up, down) = (minus(&ahead[k], &here[k]), minus(&here[k], &behind[k]));
        let large = size(&up).max(size(&down)) / STEP;
        // At a kink both sides differ.
        if large.is_nan() || size(&minus(&up, &down)) / STEP > 1e-3 * (1.0 + large) {
            return None;
        }
        smooth += 1;
        let difference: Vec<f64> = minus(&ahead[k], &behind[k]).iter().map(|d| d / (2.0 * STEP)).collect();
        let off = size(&plus(&slope[k], -1.0, &difference));
        let allowed = (1e-4_f64).max(subject.item.accuracy / STEP) * (1.0 + large);
        if off.is_nan() || off > allowed {
            return Some(format!("the derivative at {} is off by {off:.1e}", shown(&points[k])));
        }
        let (a, b) = (dot(&slope[k], &ways[k].1), dot(&reverse[k], &ways[k].0));
        ((a - b).is_nan() || (a - b).abs() > 1e-6 * (1.0 + large) * n as f64)
            .then(|| format!("forward and reverse derivative differ by {:.1e} at {}", (a - b).abs(), shown(&points[k])))
    });
    Ok(match wrong {
        None if smooth == 0 => Verdict::Idle("every point tried is at a kink".into()),
        wrong => judged(wrong),
    })
}
