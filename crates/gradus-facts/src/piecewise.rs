//! Piecewise quadratics of one affine value: absolute values, hinges, Huber losses and `where`, in any spelling with numeric constants.

use crate::context::Cx;
use gradus_ir::{BinaryOp, NodeId, Op, UnaryOp};
use std::rc::Rc;

/// Functions with more breaks are left undecided.
const MOST: usize = 24;

type Poly = [f64; 3];

/// A function of `base`, an affine combination of leaves (the same for every element). Between breaks a quadratic; at each break its value.
#[derive(Clone, Debug)]
pub(crate) struct Piecewise {
    /// Empty for a constant; else leaves with coefficients, the first of which is 1.
    pub base: Vec<(NodeId, f64)>,
    pub breaks: Vec<f64>,
    pub pieces: Vec<Poly>,
    pub points: Vec<f64>,
}

fn at(p: &Poly, t: f64) -> f64 {
    p[0] + t * (p[1] + t * p[2])
}

fn slope(p: &Poly, t: f64) -> f64 {
    p[1] + 2.0 * t * p[2]
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-12 * (1.0 + a.abs().max(b.abs()))
}

impl Piecewise {
    fn constant(c: f64) -> Piecewise {
        Piecewise { base: Vec::new(), breaks: Vec::new(), pieces: vec![[c, 0.0, 0.0]], points: Vec::new() }
    }

    fn value(&self, t: f64) -> f64 {
        match self.breaks.iter().position(|b| *b == t) {
            Some(k) => self.points[k],
            None => at(&self.pieces[self.piece(t)], t),
        }
    }

    fn piece(&self, t: f64) -> usize {
        self.breaks.iter().filter(|b| **b < t).count()
    }

    /// A point inside each stretch between breaks.
    fn inside(breaks: &[f64]) -> Vec<f64> {
        match (breaks.first(), breaks.last()) {
            (Some(a), Some(b)) => {
                let mut all = vec![a - 1.0];
                all.extend(breaks.windows(2).map(|w| 0.5 * (w[0] + w[1])));
                all.push(b + 1.0);
                all
            }
            _ => vec![0.0],
        }
    }

    fn continuous(&self) -> bool {
        self.breaks.iter().enumerate().all(|(k, t)| {
            let (l, r) = (at(&self.pieces[k], *t), at(&self.pieces[k + 1], *t));
            close(l, r) && close(self.points[k], l)
        })
    }

    pub fn is_convex(&self) -> bool {
        let bends = self.pieces.iter().all(|p| p[2] >= 0.0);
        let turns = self.breaks.iter().enumerate().all(|(k, t)| {
            let (l, r) = (slope(&self.pieces[k], *t), slope(&self.pieces[k + 1], *t));
            l <= r || close(l, r)
        });
        bends && turns && self.continuous()
    }

    pub fn is_concave(&self) -> bool {
        let neg = |p: &Poly| p.map(|x| -x);
        let flipped = Piecewise {
            pieces: self.pieces.iter().map(neg).collect(),
            points: self.points.iter().map(|x| -x).collect(),
            ..self.clone()
        };
        flipped.is_convex()
    }

    /// Continuously differentiable (then its derivative is Lipschitz).
    pub fn is_smooth(&self) -> bool {
        let same = |(k, t): (usize, &f64)| close(slope(&self.pieces[k], *t), slope(&self.pieces[k + 1], *t));
        self.continuous() && self.breaks.iter().enumerate().all(same)
    }

    pub fn is_lipschitz(&self) -> bool {
        self.continuous() && self.pieces.first().is_some_and(|p| p[2] == 0.0) && self.pieces.last().is_some_and(|p| p[2] == 0.0)
    }

    /// Breaks at which nothing happens are removed.
    fn tidy(mut self) -> Piecewise {
        let mut k = 0;
        while k < self.breaks.len() {
            if self.pieces[k] == self.pieces[k + 1] && at(&self.pieces[k], self.breaks[k]) == self.points[k] {
                self.breaks.remove(k);
                self.points.remove(k);
                self.pieces.remove(k + 1);
            } else {
                k += 1;
            }
        }
        self
    }
}

/// Where the quadratic changes sign or touches zero.
fn roots(p: &Poly) -> Vec<f64> {
    let [c, b, a] = *p;
    if a == 0.0 {
        return if b == 0.0 { Vec::new() } else { vec![-c / b] };
    }
    let d = b * b - 4.0 * a * c;
    if d < 0.0 {
        return Vec::new();
    }
    let q = -0.5 * (b + d.sqrt().copysign(b));
    if q == 0.0 { vec![0.0] } else { vec![q / a, c / q] }
}

/// Combine two functions of the same base: piece by piece with `polys`, point by point with `points`; `extra` gives more breaks.
fn zip(
    x: &Piecewise,
    y: &Piecewise,
    extra: impl Fn(&Poly, &Poly) -> Vec<f64>,
    polys: impl Fn(&Poly, &Poly, f64) -> Option<Poly>,
    points: impl Fn(f64, f64) -> f64,
) -> Option<Piecewise> {
    let base = match (x.base.is_empty(), y.base.is_empty()) {
        (true, _) => &y.base,
        (_, true) => &x.base,
        _ if x.base == y.base => &x.base,
        _ => return None,
    };
    let mut breaks: Vec<f64> = x.breaks.iter().chain(&y.breaks).copied().collect();
    breaks.sort_by(f64::total_cmp);
    breaks.dedup();
    let mut more = Vec::new();
    for t in Piecewise::inside(&breaks) {
        let (p, q) = (&x.pieces[x.piece(t)], &y.pieces[y.piece(t)]);
        let k = breaks.iter().filter(|b| **b < t).count();
        let (lo, hi) = (k.checked_sub(1).map(|k| breaks[k]), breaks.get(k).copied());
        more.extend(extra(p, q).into_iter().filter(|r| {
            r.is_finite() && lo.is_none_or(|l| *r > l && !close(*r, l)) && hi.is_none_or(|h| *r < h && !close(*r, h))
        }));
    }
    breaks.extend(more);
    breaks.sort_by(f64::total_cmp);
    breaks.dedup_by(|a, b| close(*a, *b));
    if breaks.len() > MOST {
        return None;
    }
    let mut pieces = Vec::new();
    for t in Piecewise::inside(&breaks) {
        pieces.push(polys(&x.pieces[x.piece(t)], &y.pieces[y.piece(t)], t)?);
    }
    let at_breaks = breaks.iter().map(|t| points(x.value(*t), y.value(*t))).collect();
    Some(Piecewise { base: base.clone(), breaks, pieces, points: at_breaks }.tidy())
}

fn none(_: &Poly, _: &Poly) -> Vec<f64> {
    Vec::new()
}

fn minus(p: &Poly, q: &Poly) -> Poly {
    [p[0] - q[0], p[1] - q[1], p[2] - q[2]]
}

fn times(p: &Poly, q: &Poly) -> Option<Poly> {
    let cubic = p[1] * q[2] + p[2] * q[1];
    (cubic == 0.0 && p[2] * q[2] == 0.0)
        .then(|| [p[0] * q[0], p[0] * q[1] + p[1] * q[0], p[0] * q[2] + p[1] * q[1] + p[2] * q[0]])
}

fn truth(c: bool) -> f64 {
    if c { 1.0 } else { 0.0 }
}

fn compare(b: BinaryOp, x: f64, y: f64) -> bool {
    let equal = close(x, y);
    match b {
        BinaryOp::Lt => x < y && !equal,
        BinaryOp::Le => x < y || equal,
        BinaryOp::Gt => x > y && !equal,
        BinaryOp::Ge => x > y || equal,
        BinaryOp::Eq => equal,
        _ => !equal,
    }
}

fn binary(b: BinaryOp, x: &Piecewise, y: &Piecewise) -> Option<Piecewise> {
    let cross = |p: &Poly, q: &Poly| roots(&minus(p, q));
    match b {
        BinaryOp::Add => zip(x, y, none, |p, q, _| Some([p[0] + q[0], p[1] + q[1], p[2] + q[2]]), |a, b| a + b),
        BinaryOp::Sub => zip(x, y, none, |p, q, _| Some(minus(p, q)), |a, b| a - b),
        BinaryOp::Mul => zip(x, y, none, |p, q, _| times(p, q), |a, b| a * b),
        BinaryOp::Div if y.base.is_empty() && y.pieces[0][0] != 0.0 => {
            let c = y.pieces[0][0];
            zip(x, y, none, |p, _, _| Some(p.map(|v| v / c)), |a, _| a / c)
        }
        BinaryOp::Max => zip(x, y, cross, |p, q, t| Some(if at(p, t) >= at(q, t) { *p } else { *q }), f64::max),
        BinaryOp::Min => zip(x, y, cross, |p, q, t| Some(if at(p, t) <= at(q, t) { *p } else { *q }), f64::min),
        b if b.is_comparison() => zip(
            x,
            y,
            cross,
            |p, q, t| Some([truth(compare(b, at(p, t), at(q, t))), 0.0, 0.0]),
            |x, y| truth(compare(b, x, y)),
        ),
        BinaryOp::And => zip(x, y, none, |p, q, _| Some([p[0] * q[0], 0.0, 0.0]), |a, b| a * b),
        BinaryOp::Or => zip(x, y, none, |p, q, _| Some([p[0].max(q[0]), 0.0, 0.0]), f64::max),
        _ => None,
    }
}

fn unary(u: UnaryOp, x: &Piecewise) -> Option<Piecewise> {
    let zero = Piecewise::constant(0.0);
    match u {
        UnaryOp::ToReal | UnaryOp::StopGrad => Some(x.clone()),
        UnaryOp::Neg => binary(BinaryOp::Sub, &zero, x),
        UnaryOp::Square => binary(BinaryOp::Mul, x, x),
        UnaryOp::Abs => binary(BinaryOp::Max, x, &unary(UnaryOp::Neg, x)?),
        UnaryOp::Sign => {
            let above = binary(BinaryOp::Gt, x, &zero)?;
            binary(BinaryOp::Sub, &above, &binary(BinaryOp::Lt, x, &zero)?)
        }
        UnaryOp::Not => binary(BinaryOp::Sub, &Piecewise::constant(1.0), x),
        _ => None,
    }
}

/// `c ? a : b` as `c a + (1 - c) b`, which is exact where c is 0 or 1.
fn select(c: &Piecewise, a: &Piecewise, b: &Piecewise) -> Option<Piecewise> {
    let other = unary(UnaryOp::Not, c)?;
    binary(BinaryOp::Add, &binary(BinaryOp::Mul, c, a)?, &binary(BinaryOp::Mul, &other, b)?)
}

/// The function of a node, from those of its inputs.
pub(crate) fn piecewise(cx: &Cx<'_>, id: NodeId, degree: Option<u32>) -> Option<Rc<Piecewise>> {
    let of = |k: usize| cx.input(id, k).and_then(|i| cx.pieces[i.index()].clone());
    if cx.is_numeric(id) && degree.is_some_and(|d| d <= 1) {
        let combo = &cx.combos[id.index()];
        let Some((_, first)) = combo.terms.first().copied() else {
            return Some(Rc::new(Piecewise::constant(combo.constant)));
        };
        if !cx.depends(id) {
            return None;
        }
        let base = combo.terms.iter().map(|(l, c)| (*l, c / first)).collect();
        return Some(Rc::new(Piecewise { base, breaks: Vec::new(), pieces: vec![[combo.constant, first, 0.0]], points: Vec::new() }));
    }
    match cx.op(id) {
        Op::Broadcast(_) | Op::NoGrad(_) => of(0),
        Op::Unary(u) => unary(*u, &*of(0)?).map(Rc::new),
        Op::Binary(BinaryOp::Pow) if cx.input(id, 1).and_then(|e| cx.number(e)) == Some(2.0) => unary(UnaryOp::Square, &*of(0)?).map(Rc::new),
        Op::Binary(b) => binary(*b, &*of(0)?, &*of(1)?).map(Rc::new),
        Op::Select => select(&*of(0)?, &*of(1)?, &*of(2)?).map(Rc::new),
        _ => None,
    }
}
