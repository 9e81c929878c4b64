//! Laws that all oracles share: batches, single precision, points that are no numbers, lengths of one and none.

use super::points::{minus, shown, size};
use super::runs::{Failure, Subject};
use super::{Verdict, judged};

/// Some points alone, against the batch that had them all.
pub fn batch(subject: &Subject, body: &str, points: &[Vec<f64>], batch: &[Vec<f64>]) -> Result<Verdict, Failure> {
    let mut wrong = None;
    for k in [0, points.len() / 2] {
        let (Some(v), Some(p)) = (points.get(k), batch.get(k)) else { continue };
        let alone = subject.alone(&[v], &body.replace("x[0]", "(x[0])"))?;
        let off = size(&minus(&alone, p));
        if off.is_nan() || off > 1e-12 * (1.0 + size(v) + size(p)) {
            wrong = Some(format!("{} alone gives another result than in a batch, by {off:.1e}", shown(v)));
        }
    }
    Ok(judged(wrong))
}

/// The same in single precision. What is not convex may take another of two equal members, so there only that it is a number counts.
pub fn single(subject: &Subject, body: &str, points: &[Vec<f64>], double: &[Vec<f64>], convex: bool) -> Verdict {
    let lanes: Vec<Vec<&[f64]>> = points.iter().map(|p| vec![p.as_slice()]).collect();
    let found = match subject.in_f32().batch(&lanes, &[body]) {
        Ok(found) => found,
        Err(f) => return Verdict::Fails(f.message),
    };
    let allowed = 2e-4_f64.max(subject.item.accuracy.sqrt());
    let wrong = found.iter().flatten().zip(double).zip(points).find_map(|((p, q), v)| {
        let off = size(&minus(p, q));
        let far = off.is_nan() || off > allowed * (1.0 + size(v) + size(q));
        (far && (convex || off.is_nan())).then(|| format!("{off:.1e} off at {}", shown(v)))
    });
    judged(wrong)
}

/// `+inf` and `-inf` in one entry. With `violation`, what comes out must then be in the set.
pub fn infinite(subject: &Subject, body: &str, violation: Option<&str>) -> Verdict {
    let n = subject.len();
    if n == 0 {
        return Verdict::Idle("no entries".into());
    }
    let mut points = Vec::new();
    for x in [f64::INFINITY, f64::NEG_INFINITY] {
        let mut v: Vec<f64> = (0..n).map(|k| 0.5 - 0.25 * k as f64).collect();
        v[0] = x;
        points.push(v);
    }
    let lanes: Vec<Vec<&[f64]>> = points.iter().map(|p| vec![p.as_slice()]).collect();
    let mut bodies = vec![body];
    bodies.extend(violation);
    let found = match subject.batch(&lanes, &bodies) {
        Ok(found) => found,
        Err(f) => return Verdict::Idle(format!("refused: {}", f.message)),
    };
    let wrong = (0..points.len()).find_map(|k| {
        let p = &found[0][k];
        if p.iter().any(|x| x.is_nan()) {
            return None;
        }
        let v = found.get(1).and_then(|all| all[k].first().copied())?;
        (v > 1e-6 * (1.0 + p.iter().filter(|x| x.is_finite()).fold(0.0, |m: f64, x| m.max(x.abs()))))
            .then(|| format!("{} gives {}, which violates the set by {v:.1e}", shown(&points[k]), shown(p)))
    });
    judged(wrong)
}

pub fn nan(subject: &Subject, body: &str) -> Verdict {
    let n = subject.len();
    if n == 0 {
        return Verdict::Idle("no entries".into());
    }
    let mut v: Vec<f64> = (0..n).map(|k| 0.5 - 0.25 * k as f64).collect();
    v[0] = f64::NAN;
    match subject.batch(&[vec![v.as_slice()]], &[body]) {
        Err(f) => Verdict::Idle(format!("refused: {}", f.message)),
        Ok(found) => {
            let p = found.first().and_then(|f| f.first()).cloned().unwrap_or_default();
            judged((!p.iter().any(|x| x.is_nan())).then(|| format!("NaN in an entry gives {}", shown(&p))))
        }
    }
}

/// Every length `n`. What cannot have it says so.
pub fn sized(subject: &Subject, body: &str, n: usize, violation: Option<&str>) -> Verdict {
    if subject.shape.is_empty() {
        return Verdict::Idle("a number has no length".into());
    }
    let other = subject.with_shape(vec![n; subject.shape.len()]);
    let v = vec![0.5; other.len()];
    let mut bodies = vec![body];
    bodies.extend(violation);
    let mut all = Vec::new();
    for b in bodies {
        match other.alone(&[&v], b) {
            Ok(p) => all.push(p),
            // Sizes fixed by parameters, or a reduction of nothing.
            Err(f) if f.code.starts_with("E2") || f.code.starts_with("E1") || f.code.starts_with("E3") => {
                return Verdict::Idle(format!("refused: {}", f.message));
            }
            Err(f) => return Verdict::Fails(f.message),
        }
    }
    let p = all.first().cloned().unwrap_or_default();
    if p.len() != v.len() {
        return Verdict::Idle("its parameters fix the length".into());
    }
    if p.iter().any(|x| x.is_nan()) {
        return Verdict::Fails(format!("{} gives {}", shown(&v), shown(&p)));
    }
    let off = all.get(1).and_then(|v| v.first().copied()).unwrap_or(0.0);
    judged((n > 0 && (off.is_nan() || off > 1e-6)).then(|| format!("{} gives {}, which violates the set by {off:.1e}", shown(&v), shown(&p))))
}
