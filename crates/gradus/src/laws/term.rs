//! The laws of terms.

use super::declared::{Instance, Item};
use super::points::{Draws, Points, dot, minus, plus, shown, size};
use super::runs::{Failure, Subject};
use super::{Verdict, edges, judged, slopes};

/// Steps of the proximal operators that are tried.
const STEPS: [f64; 2] = [0.3, 2.0];
/// Numbers on each side of 0 in the grid of the law `grid`, and how far it goes.
const GRID: i32 = 2000;
const REACH: f64 = 8.0;

fn prox(t: f64) -> String {
    format!("prox(it, x[0], {t:?})")
}

pub fn check(item: &Item, instance: &Instance) -> Vec<(&'static str, Verdict)> {
    let subject = Subject::new(item, instance);
    match checked(item, &subject) {
        Ok(found) => found,
        Err(f) => vec![("nearest", Verdict::Fails(f.message))],
    }
}

struct Seen<'a> {
    item: &'a Item,
    subject: &'a Subject<'a>,
    points: Vec<Vec<f64>>,
    /// By step, then by point.
    onto: Vec<Vec<Vec<f64>>>,
    random: usize,
    ties: usize,
}

fn checked(item: &Item, subject: &Subject) -> Result<Vec<(&'static str, Verdict)>, Failure> {
    let points = Points::new(subject.len());
    let all = points.all();
    let lanes: Vec<Vec<&[f64]>> = all.iter().map(|p| vec![p.as_slice()]).collect();
    let has_prox = item.has("prox");
    let bodies = STEPS.map(prox);
    let bodies = bodies.each_ref().map(String::as_str);
    let onto = if has_prox { subject.batch(&lanes, &bodies)? } else { Vec::new() };
    let (random, ties) = (points.random.len(), points.random.len() + points.ties.len());
    let seen = Seen { item, subject, points: all, onto, random, ties };
    let none = || Verdict::Idle("no proximal operator is declared".into());
    let mut out = vec![("facts", facts(&seen)?), ("conjugate", conjugate(&seen)?)];
    if !has_prox {
        let value = "it(x[0]) + 0 * x[0]";
        out.extend(["nearest", "grid", "firm", "ties", "scales", "f32", "infinite", "nan"].map(|l| (l, none())));
        out.push(("derivative", slopes::check(subject, value, &points.random)?));
        out.push(("batch", none()));
        return Ok(out);
    }
    let body = prox(STEPS[0]);
    let random = seen.random;
    out.extend([
        ("nearest", judged(seen.beaten(0..random)?)),
        ("ties", judged(seen.beaten(random..seen.ties)?)),
        ("scales", judged(seen.beaten(seen.ties..seen.points.len())?)),
        ("grid", grid(item, subject)?),
        ("firm", if item.is("convex") { judged(seen.not_firm()) } else { Verdict::Idle("it is not declared convex".into()) }),
        ("derivative", slopes::check(subject, &body, &points.random)?),
        ("batch", edges::batch(subject, &body, &seen.points, &seen.onto[0])?),
        ("f32", edges::single(subject, &body, &points.random, &seen.onto[0], item.is("convex"))),
        ("infinite", edges::infinite(subject, &body, None)),
        ("nan", edges::nan(subject, &body)),
        ("one", edges::sized(subject, &body, 1, None)),
        ("empty", edges::sized(subject, &body, 0, None)),
    ]);
    Ok(out)
}

impl Seen<'_> {
    /// A competitor with a smaller t h(z) + |z - v|^2 / 2 than the prox.
    fn beaten(&self, range: std::ops::Range<usize>) -> Result<Option<String>, Failure> {
        let n = self.subject.len();
        let mut draws = Draws::new(200 + range.start as u64);
        for (t, onto) in STEPS.iter().zip(&self.onto) {
            let mut rivals: Vec<(usize, Vec<f64>)> = Vec::new();
            for k in range.clone() {
                let (v, p) = (&self.points[k], &onto[k]);
                let scale = size(v).max(size(p)).max(1e-3);
                if p.iter().any(|x| x.is_nan()) {
                    return Ok(Some(format!("the prox of {t} at {} is {}", shown(v), shown(p))));
                }
                rivals.push((k, p.clone()));
                rivals.extend([v.clone(), vec![0.0; n], p.iter().map(|x| -x).collect()].map(|z| (k, z)));
                for e in 0..7 {
                    let u = draws.point(n, scale * 10f64.powi(-e));
                    rivals.push((k, plus(p, 1.0, &u)));
                    // One entry alone moves.
                    let mut z = p.clone();
                    z[e as usize % n.max(1)] += u[e as usize % n.max(1)];
                    rivals.push((k, z));
                }
                for mask in 0..1u32 << n.min(4) {
                    let some = |from: &[f64]| from.iter().enumerate().map(|(i, x)| if mask >> (i % 4) & 1 == 1 { *x } else { 0.0 }).collect();
                    rivals.push((k, some(v)));
                    rivals.push((k, some(p)));
                }
            }
            let lanes: Vec<Vec<&[f64]>> = rivals.iter().map(|(_, z)| vec![z.as_slice()]).collect();
            let h: Vec<f64> = self.subject.batch(&lanes, &["it(x[0])"])?.into_iter().flatten().flatten().collect();
            let objective = |i: usize| {
                let (k, z) = &rivals[i];
                let d = minus(z, &self.points[*k]);
                t * h[i] + dot(&d, &d) / 2.0
            };
            let mut mine = (usize::MAX, 0.0);
            for i in 0..rivals.len() {
                let (k, z) = &rivals[i];
                let its = objective(i);
                if mine.0 != *k {
                    mine = (*k, its);
                    if its.is_nan() {
                        return Ok(Some(format!("the value at the prox {} is NaN", shown(z))));
                    }
                }
                let v = &self.points[*k];
                let slack = self.item.accuracy * (1e-3 * mine.1.abs() + size(v).powi(2).max(1e-6)) * n as f64;
                // Infinite minus infinite is no improvement.
                if its < mine.1 - slack {
                    return Ok(Some(format!("the prox of {t} at {} has {}, {} has {its}", shown(v), mine.1, shown(z))));
                }
            }
        }
        Ok(None)
    }

    fn not_firm(&self) -> Option<String> {
        self.onto.iter().find_map(|onto| {
            (0..onto.len()).flat_map(|i| (0..i).map(move |j| (i, j))).find_map(|(i, j)| {
                let (d, e) = (minus(&onto[i], &onto[j]), minus(&self.points[i], &self.points[j]));
                let excess = dot(&d, &d) - dot(&d, &e);
                let slack = self.item.accuracy * 10.0 * d.len() as f64 * (size(&d) + size(&e) + 1e-3).powi(2);
                (excess.is_nan() || excess > slack).then(|| format!("{excess:.1e} at {} and {}", shown(&self.points[i]), shown(&self.points[j])))
            })
        })
    }
}

/// One number against all numbers of a grid.
fn grid(item: &Item, subject: &Subject) -> Result<Verdict, Failure> {
    if !item.is("separable") {
        return Ok(Verdict::Idle("it is no sum over entries".into()));
    }
    if subject.shape.len() != 1 {
        return Ok(Verdict::Idle("tried on vectors only".into()));
    }
    let one = subject.with_shape(vec![1]);
    let grid: Vec<Vec<f64>> = (-GRID..=GRID).map(|k| vec![REACH * f64::from(k) / f64::from(GRID)]).collect();
    let lanes: Vec<Vec<&[f64]>> = grid.iter().map(|p| vec![p.as_slice()]).collect();
    let values: Vec<f64> = match one.batch(&lanes, &["it(x[0])"]) {
        Ok(found) => found.into_iter().flatten().flatten().collect(),
        Err(f) => return Ok(Verdict::Idle(format!("its parameters fix the length: {}", f.message))),
    };
    let v: Vec<Vec<f64>> = (-30..=30).map(|k| vec![f64::from(k) * 0.13]).collect();
    let lanes: Vec<Vec<&[f64]>> = v.iter().map(|p| vec![p.as_slice()]).collect();
    for t in [0.1, 0.3, 0.8, 2.0] {
        let found = one.batch(&lanes, &[&prox(t), &format!("it({})", prox(t))])?;
        let [p, h] = found.as_slice() else { continue };
        for k in 0..v.len() {
            let objective = |x: f64, h: f64| t * h + (x - v[k][0]).powi(2) / 2.0;
            let mine = objective(p[k][0], h[k][0]);
            let best = grid.iter().zip(&values).map(|(x, h)| objective(x[0], *h)).fold(f64::INFINITY, f64::min);
            if mine.is_nan() || mine > best + 1e-9 * (1.0 + mine.abs()) {
                return Ok(Verdict::Fails(format!("the prox of {t} at {} is {}, with {mine}; the grid has {best}", v[k][0], p[k][0])));
            }
        }
    }
    Ok(Verdict::Holds)
}

/// h(p) + h*(s) = <p, s> at a subgradient s of h at p, and never less.
fn conjugate(seen: &Seen) -> Result<Verdict, Failure> {
    let item = seen.item;
    if !item.has("conjugate") {
        return Ok(Verdict::Idle("no conjugate is declared".into()));
    }
    // A subgradient may lie a rounding outside the domain of the conjugate; it is taken a hair inside.
    let inside = 1.0 - 1e-11;
    let (mut p, mut s): (Vec<Vec<f64>>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
    match seen.onto.as_slice() {
        [] => {
            let lanes: Vec<Vec<&[f64]>> = seen.points[..seen.random].iter().map(|p| vec![p.as_slice()]).collect();
            let slopes = seen.subject.batch(&lanes, &["grad(u -> it(u))(x[0])"])?;
            for (x, g) in seen.points.iter().zip(slopes.into_iter().flatten()) {
                p.push(x.clone());
                s.push(g.iter().map(|g| g * inside).collect());
            }
        }
        onto => {
            for (t, onto) in STEPS.iter().zip(onto) {
                for k in 0..seen.random {
                    s.push(minus(&seen.points[k], &onto[k]).iter().map(|r| r / t * inside).collect());
                    p.push(onto[k].clone());
                }
            }
        }
    }
    let mut lanes: Vec<Vec<&[f64]>> = p.iter().zip(&s).map(|(p, s)| vec![p.as_slice(), s]).collect();
    let equal = lanes.len();
    for i in 0..equal {
        lanes.push(vec![&p[i], &s[(i + 1) % equal]]);
    }
    let found = match seen.subject.batch(&lanes, &["it(x[0])", "conjugate(it)(x[1])"]) {
        // A term made of others has what they have.
        Err(f) if f.code == "E3011" || f.code == "E3012" => return Ok(Verdict::Idle("its parts have no conjugate".into())),
        found => found?,
    };
    let [h, c] = found.as_slice() else { return Ok(Verdict::Holds) };
    let wrong = lanes.iter().enumerate().find_map(|(k, lane)| {
        let (h, c, inner) = (h[k][0], c[k][0], dot(lane[0], lane[1]));
        let gap = h + c - inner;
        let slack = 1e-8_f64.max(item.accuracy) * (1.0 + h.abs() + inner.abs());
        let wrong = gap.is_nan() || gap < -slack || k < equal && gap > slack;
        wrong.then(|| format!("h + h* - <p, s> = {gap:.1e} at {} and {}", shown(lane[0]), shown(lane[1])))
    });
    Ok(judged(wrong))
}

fn facts(seen: &Seen) -> Result<Verdict, Failure> {
    let item = seen.item;
    let mut draws = Draws::new(41);
    let n = seen.subject.len();
    let x: Vec<&Vec<f64>> = seen.points.iter().take(seen.ties).collect();
    let y: Vec<Vec<f64>> = x.iter().map(|_| draws.point(n, 1.0)).collect();
    let lanes: Vec<Vec<&[f64]>> = x.iter().zip(&y).map(|(x, y)| vec![x.as_slice(), y]).collect();
    let number = |fact: &str| item.argument(fact).unwrap_or("0").to_string();
    let mut bodies =
        vec!["it(x[0])", "it(x[1])", "it((x[0] + x[1]) / 2)", "it(2.5 * x[0])"].into_iter().map(str::to_string).collect::<Vec<_>>();
    let differentiable = item.is("smooth") || item.is("strongly_convex");
    bodies.extend(["homogeneous", "lipschitz", "smooth", "strongly_convex"].map(|f| format!("({}) + 0 * it(x[0])", number(f))));
    if differentiable {
        bodies.extend(["grad(u -> it(u))(x[0])".to_string(), "grad(u -> it(u))(x[1])".to_string()]);
    }
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let found = seen.subject.batch(&lanes, &bodies)?;
    let at = |b: usize, k: usize| found.get(b).and_then(|all| all.get(k)).and_then(|v| v.first()).copied().unwrap_or(f64::NAN);
    let wrong = (0..lanes.len()).find_map(|k| {
        let (a, b, middle, long) = (at(0, k), at(1, k), at(2, k), at(3, k));
        let tol = 1e-9_f64.max(item.accuracy) * (1.0 + a.abs() + b.abs());
        let d = minus(x[k], &y[k]);
        let length = dot(&d, &d).sqrt();
        let said = |why: &str| Some(format!("not {why} at {} and {}", shown(x[k]), shown(&y[k])));
        if a.is_nan() {
            return Some(format!("the value at {} is NaN", shown(x[k])));
        }
        if item.is("convex") && middle > (a + b) / 2.0 + tol {
            return said("convex");
        }
        if item.is("nonnegative") && a < 0.0 {
            return said("nonnegative");
        }
        if item.is("homogeneous") && a.is_finite() && (long - 2.5_f64.powf(at(4, k)) * a).abs() > tol * 20.0 {
            return said("homogeneous");
        }
        if item.is("lipschitz") && (a - b).abs() > at(5, k) * length * (1.0 + 1e-9) + tol {
            return said("lipschitz");
        }
        if differentiable {
            let (ga, gb) = (&found[8][k], &found[9][k]);
            let change = minus(ga, gb);
            if item.is("smooth") && dot(&change, &change).sqrt() > at(6, k) * length * (1.0 + 1e-9) + tol {
                return said("smooth");
            }
            if item.is("strongly_convex") && b < a - dot(ga, &d) + at(7, k) / 2.0 * length * length - tol * 10.0 {
                return said("strongly convex");
            }
        }
        None
    });
    if wrong.is_some() {
        return Ok(judged(wrong));
    }
    if item.is("separable") && seen.subject.shape.len() == 1 {
        // What an entry adds does not depend on the others.
        let mut lanes: Vec<Vec<f64>> = Vec::new();
        for k in 0..x.len() {
            let (mut z, mut w) = (x[k].clone(), y[k].clone());
            if let (Some(a), Some(b)) = (z.first_mut(), w.first_mut()) {
                std::mem::swap(a, b);
            }
            lanes.extend([z, w]);
        }
        let given: Vec<Vec<&[f64]>> = lanes.iter().map(|z| vec![z.as_slice()]).collect();
        let values: Vec<f64> = seen.subject.batch(&given, &["it(x[0])"])?.into_iter().flatten().flatten().collect();
        for k in 0..x.len() {
            let (before, after) = (at(0, k) + at(1, k), values[2 * k] + values[2 * k + 1]);
            if before.is_finite() && (before - after).abs() > 1e-9 * (1.0 + before.abs()) {
                return Ok(Verdict::Fails(format!("not separable at {}", shown(x[k]))));
            }
        }
    }
    let known = ["convex", "nonnegative", "homogeneous", "lipschitz", "smooth", "strongly_convex", "separable"];
    Ok(if known.iter().any(|f| item.is(f)) { Verdict::Holds } else { Verdict::Idle("no such fact is declared".into()) })
}
