//! The laws of sets.

use super::declared::{Instance, Item};
use super::points::{Draws, Points, distance, dot, minus, plus, shown, size};
use super::runs::{Failure, Subject};
use super::{Verdict, edges, judged, slopes};

const PROJECT: &str = "project(it, x[0])";

/// What the laws of one instance look at.
struct Seen<'a> {
    item: &'a Item,
    /// Points, their projections, what those violate, and their projections.
    points: Vec<Vec<f64>>,
    onto: Vec<Vec<f64>>,
    violation: Vec<f64>,
    again: Vec<Vec<f64>>,
    /// Members found without regard to the points.
    members: Vec<Vec<f64>>,
    /// Where the random points, the ties and the scales end.
    random: usize,
    ties: usize,
}

pub fn check(item: &Item, instance: &Instance) -> Vec<(&'static str, Verdict)> {
    let subject = Subject::new(item, instance);
    match checked(item, &subject) {
        Ok(found) => found,
        Err(f) => vec![("member", Verdict::Fails(f.message))],
    }
}

fn checked(item: &Item, subject: &Subject) -> Result<Vec<(&'static str, Verdict)>, Failure> {
    let n = subject.len();
    let points = Points::new(n);
    let all = points.all();
    let lanes: Vec<Vec<&[f64]>> = all.iter().map(|p| vec![p.as_slice()]).collect();
    let twice = "violation(it, project(it, x[0]))";
    let mut found = subject.batch(&lanes, &[PROJECT, twice, "project(it, project(it, x[0]))"])?.into_iter();
    let (onto, violation, again) = (found.next().unwrap_or_default(), found.next().unwrap_or_default(), found.next().unwrap_or_default());
    let members = members(subject, &points, &onto)?;
    let (random, ties) = (points.random.len(), points.random.len() + points.ties.len());
    let violation = violation.into_iter().flatten().collect();
    let seen = Seen { item, points: all, onto, violation, again, members, random, ties };
    let part = |range: std::ops::Range<usize>| judged(range.into_iter().find_map(|k| seen.wrong_at(k)));
    let mut out = vec![
        ("member", judged((0..seen.random).find_map(|k| seen.not_in(k)))),
        ("nearest", judged((0..seen.random).find_map(|k| seen.not_nearest(k)))),
        ("firm", if item.is("convex") { judged(seen.not_firm()) } else { Verdict::Idle("it is not declared convex".into()) }),
        ("ties", part(seen.random..seen.ties)),
        ("scales", part(seen.ties..seen.points.len())),
        ("facts", facts(&seen, subject)?),
        ("derivative", slopes::check(subject, PROJECT, &points.random)?),
        ("batch", edges::batch(subject, PROJECT, &seen.points, &seen.onto)?),
        ("f32", edges::single(subject, PROJECT, &points.random, &seen.onto, item.is("convex"))),
        ("infinite", edges::infinite(subject, PROJECT, Some("violation(it, project(it, x[0]))"))),
        ("nan", edges::nan(subject, PROJECT)),
        ("one", edges::sized(subject, PROJECT, 1, Some(twice))),
        ("empty", edges::sized(subject, PROJECT, 0, Some(twice))),
    ];
    let (linear, conjugate) = linear(&seen, subject)?;
    out.extend([("linear", linear), ("conjugate", conjugate), ("biject", biject(&seen, subject)?), ("manifold", manifold(&seen, subject)?)]);
    Ok(out)
}

/// Projections of other points: of every part of the first ones (for sparse sets: of all supports), of points around the
/// projections, and of points far from all.
fn members(subject: &Subject, points: &Points, onto: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Failure> {
    let n = subject.len();
    let mut draws = Draws::new(77);
    let mut from: Vec<Vec<f64>> = Vec::new();
    for v in points.random.iter().take(3) {
        for mask in 0..1u32 << n.min(5) {
            from.push(v.iter().enumerate().map(|(k, x)| if mask >> (k % 5) & 1 == 1 { *x } else { 0.0 }).collect());
        }
    }
    for p in onto.iter().take(points.random.len()) {
        for near in [1e-4, 1e-2, 0.3, 2.0] {
            let u = draws.point(n, 1.0);
            from.push(plus(p, near, &u));
        }
    }
    from.extend((0..8).map(|_| draws.point(n, 2.0)));
    let lanes: Vec<Vec<&[f64]>> = from.iter().map(|p| vec![p.as_slice()]).collect();
    let found = subject.batch(&lanes, &[PROJECT, "violation(it, project(it, x[0]))", "violation(it, x[0])"])?;
    let [onto, violation, outside] = found.as_slice() else { return Ok(Vec::new()) };
    let tolerance = |p: &[f64]| subject.item.accuracy * 10.0 * (1.0 + size(p));
    let mut out: Vec<Vec<f64>> =
        onto.iter().zip(violation).filter(|(p, v)| v.first().is_some_and(|v| *v <= tolerance(p))).map(|(p, _)| p.clone()).collect();
    // Points that are in the set as they are, whatever the projection says.
    out.extend(from.iter().zip(outside).filter(|(_, v)| v.first() == Some(&0.0)).map(|(p, _)| p.clone()));
    Ok(out)
}

impl Seen<'_> {
    /// What counts as nothing at a point.
    fn small(&self, k: usize) -> f64 {
        self.item.accuracy * size(&self.points[k]).max(size(&self.onto[k])).max(1e-3)
    }

    fn not_in(&self, k: usize) -> Option<String> {
        let (p, v) = (&self.onto[k], &self.points[k]);
        let moved = size(&minus(&self.again[k], p));
        let far = |x: f64| x.is_nan() || x > self.small(k);
        if far(self.violation[k]) {
            return Some(format!("the projection of {} violates the set by {:.1e}", shown(v), self.violation[k]));
        }
        far(moved).then(|| format!("projecting {} twice moves it by {moved:.1e}", shown(v)))
    }

    fn not_nearest(&self, k: usize) -> Option<String> {
        let (v, p) = (&self.points[k], &self.onto[k]);
        let r = minus(v, p);
        self.members.iter().find_map(|z| {
            let slack = 10.0 * self.small(k) * (size(&r).max(size(p)) + size(z) + 1e-3) * v.len() as f64;
            if self.item.is("convex") {
                let angle = dot(&r, &minus(z, p));
                return (angle.is_nan() || angle > slack)
                    .then(|| format!("the projection {} of {} is not nearest: <v - p, z - p> = {angle:.1e} at {}", shown(p), shown(v), shown(z)));
            }
            let (mine, its) = (dot(&r, &r), distance(v, z).powi(2));
            (mine.is_nan() || mine > its + slack).then(|| format!("{} is nearer to {} than its projection {}", shown(z), shown(v), shown(p)))
        })
    }

    fn wrong_at(&self, k: usize) -> Option<String> {
        self.not_in(k).or_else(|| self.not_nearest(k))
    }

    /// |p - q|^2 <= <p - q, v - w>
    fn not_firm(&self) -> Option<String> {
        let pairs = (0..self.points.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        pairs.into_iter().find_map(|(i, j)| {
            let (d, e) = (minus(&self.onto[i], &self.onto[j]), minus(&self.points[i], &self.points[j]));
            let excess = dot(&d, &d) - dot(&d, &e);
            let slack = 10.0 * d.len() as f64 * (self.small(i) + self.small(j)) * (size(&d) + size(&e) + 1e-3);
            (excess.is_nan() || excess > slack).then(|| format!("{excess:.1e} at {} and {}", shown(&self.points[i]), shown(&self.points[j])))
        })
    }
}

/// The linear minimizer, and with it that the residual of a projection is a normal of the set.
fn linear(seen: &Seen, subject: &Subject) -> Result<(Verdict, Verdict), Failure> {
    let convex = seen.item.is("convex");
    if !seen.item.has("minimize_linear") {
        let none = Verdict::Idle("no linear minimizer is declared".into());
        if !(convex && seen.item.is("cone")) {
            return Ok((none.clone(), none));
        }
        // Of a cone, the residual is orthogonal to the projection and in the polar cone.
        let wrong = (0..seen.random).find_map(|k| {
            let r = minus(&seen.points[k], &seen.onto[k]);
            let slack = 10.0 * seen.small(k) * (size(&seen.points[k]) + 1.0) * r.len() as f64;
            let (along, out) = (dot(&r, &seen.onto[k]).abs(), seen.members.iter().map(|z| dot(&r, z) / (1.0 + size(z))).fold(0.0, f64::max));
            (along > slack || out > slack || along.is_nan()).then(|| format!("the residual at {} is no normal: {along:.1e}, {out:.1e}", shown(&seen.points[k])))
        });
        return Ok((none, judged(wrong)));
    }
    let outward: Vec<Vec<f64>> = (0..seen.random).map(|k| minus(&seen.onto[k], &seen.points[k])).collect();
    let g: Vec<&Vec<f64>> = seen.points.iter().take(seen.ties).chain(&outward).collect();
    let lanes: Vec<Vec<&[f64]>> = g.iter().map(|g| vec![g.as_slice()]).collect();
    let found = match subject.batch(&lanes, &["minimize_linear(it, x[0])", "violation(it, minimize_linear(it, x[0]))"]) {
        // A set made of others has what they have.
        Err(f) if f.code == "E3012" => {
            let none = Verdict::Idle("its parts have no linear minimizer".into());
            return Ok((none.clone(), none));
        }
        found => found?,
    };
    let [least, violation] = found.as_slice() else { return Ok((Verdict::Holds, Verdict::Holds)) };
    let slack = |k: usize| seen.item.accuracy * (1.0 + size(g[k])) * (1.0 + size(&least[k])) * 10.0;
    let wrong = (0..g.len()).find_map(|k| {
        let v = violation[k].first().copied().unwrap_or(0.0);
        if v.is_nan() || v > slack(k) {
            return Some(format!("the minimizer for {} violates the set by {v:.1e}", shown(g[k])));
        }
        let better = seen.members.iter().find(|z| dot(g[k], z) < dot(g[k], &least[k]) - slack(k))?;
        Some(format!("{} is better than {} for {}", shown(better), shown(&least[k]), shown(g[k])))
    });
    if !convex {
        return Ok((judged(wrong), Verdict::Idle("it is not declared convex".into())));
    }
    let apart = (0..seen.random).find_map(|k| {
        let (r, m) = (&outward[k], &least[seen.ties + k]);
        let gap = dot(r, &minus(&seen.onto[k], m));
        (gap.is_nan() || gap.abs() > slack(seen.ties + k) * 10.0 * r.len() as f64)
            .then(|| format!("the support function at the residual of {} is larger than there by {gap:.1e}", shown(&seen.points[k])))
    });
    Ok((judged(wrong), judged(apart)))
}

fn biject(seen: &Seen, subject: &Subject) -> Result<Verdict, Failure> {
    if !seen.item.has("biject") {
        return Ok(Verdict::Idle("no map from free vectors is declared".into()));
    }
    let lanes: Vec<Vec<&[f64]>> = seen.points.iter().take(seen.ties).map(|p| vec![p.as_slice()]).collect();
    let found = subject.batch(&lanes, &["violation(it, biject(it, x[0]))"])?;
    let wrong = found.iter().flatten().flatten().zip(&seen.points).find(|(v, _)| v.is_nan() || **v > seen.item.accuracy);
    Ok(judged(wrong.map(|(v, u)| format!("the image of {} violates the set by {v:.1e}", shown(u)))))
}

/// A tangent projection is one, and a retraction is a step along it to first order.
fn manifold(seen: &Seen, subject: &Subject) -> Result<Verdict, Failure> {
    if !(seen.item.has("tangent") && seen.item.has("retract")) {
        return Ok(Verdict::Idle("it is not declared a manifold".into()));
    }
    let n = subject.len();
    let mut draws = Draws::new(5);
    let ways: Vec<(Vec<f64>, Vec<f64>)> = (0..seen.random).map(|_| (draws.point(n, 1.0), draws.point(n, 1.0))).collect();
    let lanes: Vec<Vec<&[f64]>> = (0..seen.random).map(|k| vec![seen.onto[k].as_slice(), &ways[k].0, &ways[k].1]).collect();
    let found = subject.batch(
        &lanes,
        &[
            "tangent(it, x[0], x[1])",
            "tangent(it, x[0], tangent(it, x[0], x[1]))",
            "tangent(it, x[0], x[2])",
            "retract(it, x[0], 1e-6 * tangent(it, x[0], x[1]))",
            "violation(it, retract(it, x[0], 0.3 * tangent(it, x[0], x[1])))",
            "retract(it, x[0], 0 * x[1])",
        ],
    )?;
    let [t, again, other, near, violation, still] = found.as_slice() else { return Ok(Verdict::Holds) };
    let wrong = (0..lanes.len()).find_map(|k| {
        let (u, w) = (&ways[k].0, &ways[k].1);
        let tests = [
            ("a tangent is projected again", size(&minus(&t[k], &again[k])), 1e-9),
            ("the tangent projection is not symmetric", (dot(&t[k], w) - dot(u, &other[k])).abs(), 1e-9),
            ("a retraction does not begin along its tangent", size(&plus(&minus(&near[k], &seen.onto[k]), -1e-6, &t[k])) * 1e6, 1e-4),
            ("a retraction leaves the set", violation[k].first().copied().unwrap_or(0.0), 1e-9),
            ("no step is a step", size(&minus(&still[k], &seen.onto[k])), 1e-9),
        ];
        let (why, by, _) = tests.into_iter().find(|(_, by, allowed)| by.is_nan() || by > allowed)?;
        Some(format!("{why}, by {by:.1e} at {}", shown(&seen.onto[k])))
    });
    Ok(judged(wrong))
}

fn facts(seen: &Seen, subject: &Subject) -> Result<Verdict, Failure> {
    let item = seen.item;
    let lanes: Vec<Vec<&[f64]>> = seen.points.iter().take(seen.random).map(|p| vec![p.as_slice()]).collect();
    let found = subject.batch(&lanes, &["project(it, 2 * x[0])", "project(it, -x[0])"])?;
    let [double, opposite] = found.as_slice() else { return Ok(Verdict::Holds) };
    let mut wrong = None;
    for k in 0..seen.random {
        let (p, at) = (&seen.onto[k], shown(&seen.points[k]));
        if item.is("cone") && size(&plus(&double[k], -2.0, p)) > 10.0 * seen.small(k) {
            wrong = Some(format!("no cone at {at}"));
        }
        if item.is("symmetric") && size(&plus(&opposite[k], 1.0, p)) > 10.0 * seen.small(k) {
            wrong = Some(format!("not symmetric at {at}"));
        }
    }
    if item.is("bounded") && let Some(p) = seen.onto.iter().find(|p| size(p) > 1e4) {
        wrong = Some(format!("not bounded: {}", shown(p)));
    }
    if item.is("separable") && subject.len() > 1 {
        let mut moved: Vec<Vec<f64>> = seen.points.iter().take(seen.random).cloned().collect();
        moved.iter_mut().for_each(|p| p[0] += 1.5);
        let lanes: Vec<Vec<&[f64]>> = moved.iter().map(|p| vec![p.as_slice()]).collect();
        let found = subject.batch(&lanes, &[PROJECT])?;
        for (k, p) in found.iter().flatten().enumerate() {
            if size(&minus(&p[1..], &seen.onto[k][1..])) > 0.0 {
                wrong = Some(format!("not separable at {}", shown(&seen.points[k])));
            }
        }
    }
    let testable = ["cone", "symmetric", "bounded", "separable"];
    Ok(match (wrong, testable.iter().any(|f| item.is(f))) {
        (Some(why), _) => Verdict::Fails(why),
        (None, true) => Verdict::Holds,
        (None, false) => Verdict::Idle("no such fact is declared".into()),
    })
}
