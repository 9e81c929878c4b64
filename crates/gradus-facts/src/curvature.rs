//! The rules of curvature: composition, sums, quadratic forms and pieces; `patterns` has what these do not see.

use crate::context::Cx;
use crate::interval::Interval;
use crate::kinds::Curvature;
use crate::logs::Log;
use crate::patterns::{norm_rule, patterns, relative_entropy};
use crate::quadratic::{Form, verdict};
use crate::smooth::is_linear;
use crate::unary::{self, Shape};
use gradus_ir::{BinaryOp, Cumulative, NodeId, Op, ReduceOp, UnaryOp};

/// What the rules say of one node.
pub(crate) struct Ruling {
    pub curvature: Curvature,
    pub rule: String,
    pub premises: Vec<NodeId>,
    /// A norm of an affine map: is it bounded away from zero?
    pub norm: Option<bool>,
    /// Found to be nonnegative on the way.
    pub nonneg: bool,
    pub kind: Kind,
}

/// What kind of step a rule is, for summaries.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Kind {
    /// The curvature of the only value read.
    PassesOn,
    /// That of the terms of a sum.
    Sum,
    /// Something of its own.
    #[default]
    Own,
}

/// Convex and concave so far, each proved or not.
#[derive(Default)]
pub(crate) struct Found {
    pub convex: bool,
    pub concave: bool,
    rule: String,
    premises: Vec<NodeId>,
    kind: Kind,
}

impl Found {
    pub fn note(&mut self, convex: bool, concave: bool, rule: impl Into<String>, premises: &[NodeId]) {
        self.note_as(Kind::Own, convex, concave, rule, premises);
    }

    fn note_as(&mut self, kind: Kind, convex: bool, concave: bool, rule: impl Into<String>, premises: &[NodeId]) {
        let news = convex && !self.convex || concave && !self.concave;
        if news {
            self.convex |= convex;
            self.concave |= concave;
            self.rule = rule.into();
            self.premises = premises.to_vec();
            self.kind = kind;
        }
    }
}

pub(crate) fn rule(cx: &Cx<'_>, logs: &[Log], id: NodeId, degree: Option<u32>) -> Ruling {
    let plain = |curvature: Curvature, rule: &str| Ruling { curvature, rule: rule.into(), premises: Vec::new(), norm: None, nonneg: false, kind: Kind::Own };
    if !cx.depends(id) {
        return plain(Curvature::Constant, "does not depend on the variables");
    }
    if cx.vars.contains(&id) {
        return plain(Curvature::Affine, "a variable");
    }
    if !cx.is_numeric(id) {
        return plain(Curvature::Unknown, "a condition has no curvature");
    }
    if degree.is_some_and(|d| d <= 1) {
        let premises = cx.node(id).inputs.iter().copied().filter(|i| cx.depends(*i)).collect();
        return Ruling { premises, ..plain(if degree == Some(0) { Curvature::Constant } else { Curvature::Affine }, "a linear map of affine values, plus a constant") };
    }
    let mut found = Found::default();
    let (mut norm, mut nonneg) = (None, false);
    if degree == Some(2)
        && let Some(form) = &cx.forms[id.index()]
    {
        nonneg = quadratic(cx, id, form, &mut found);
    }
    composition(cx, id, &mut found);
    if let Op::Unary(UnaryOp::Sqrt) = cx.op(id) {
        norm = norm_rule(cx, id, &mut found);
    }
    patterns(cx, logs, id, &mut found);
    if !found.concave {
        pieces(cx, id, &mut found);
    }
    let curvature = Curvature::of(found.convex, found.concave);
    Ruling { curvature, rule: found.rule, premises: found.premises, norm, nonneg, kind: found.kind }
}

/// Returns whether the form is a sum of squares.
fn quadratic(cx: &Cx<'_>, id: NodeId, form: &Form, found: &mut Found) -> bool {
    let v = verdict(cx, form);
    let squares = if v.sum_of_squares { "sum of squares of an affine map" } else { "positive semidefinite quadratic form" };
    let rule = match (v.convex, v.concave) {
        (true, true) => "the squares cancel: affine",
        (true, false) => squares,
        _ => "negative semidefinite quadratic form",
    };
    found.note(v.convex, v.concave, rule, &affine_parts(cx, id, 12));
    v.sum_of_squares
}

/// The outermost affine nodes below this one.
pub(crate) fn affine_parts(cx: &Cx<'_>, id: NodeId, depth: usize) -> Vec<NodeId> {
    let mut out: Vec<NodeId> = Vec::new();
    let mut work = vec![(id, depth)];
    let mut seen = std::collections::BTreeSet::new();
    while let Some((n, d)) = work.pop() {
        for i in &cx.node(n).inputs {
            if !cx.depends(*i) || !seen.insert(*i) {
                continue;
            }
            if cx.f(*i).degree.is_some_and(|d| d <= 1) {
                out.push(*i);
            } else if d > 0 {
                work.push((*i, d - 1));
            }
        }
    }
    out.truncate(4);
    out
}

/// The composition rule of a function of one argument.
fn compose(s: Shape, arg: Curvature) -> (bool, bool) {
    let bend = |convex: bool, concave: bool, up: bool, down: bool| {
        (
            convex && (arg.is_affine() || up && arg.is_convex() || down && arg.is_concave()),
            concave && (arg.is_affine() || up && arg.is_concave() || down && arg.is_convex()),
        )
    };
    bend(s.convex, s.concave, s.increasing, s.decreasing)
}

/// Of values scaled by a constant of this range.
pub(crate) fn scaled(c: Curvature, s: Interval) -> Curvature {
    if c.is_affine() {
        return c;
    }
    match (s.is_nonneg(), s.is_nonpos()) {
        (true, true) => Curvature::Constant,
        (true, _) => c,
        (_, true) => c.flipped(),
        _ => Curvature::Unknown,
    }
}

fn composition(cx: &Cx<'_>, id: NodeId, found: &mut Found) {
    let inputs = &cx.node(id).inputs;
    let of = |k: usize| inputs.get(k).map_or(Curvature::Unknown, |i| cx.curvature(*i));
    let range = |k: usize| inputs.get(k).map_or(Interval::ALL, |i| cx.range(*i));
    let all = |f: fn(Curvature) -> bool, skip: usize| inputs.iter().skip(skip).all(|i| f(cx.curvature(*i)));
    let constant = |k: usize| inputs.get(k).is_some_and(|i| !cx.depends(*i));
    let live: Vec<NodeId> = inputs.iter().copied().filter(|i| cx.depends(*i)).collect();
    let kind = |wide: &'static str| if live.iter().all(|i| cx.is_affine(*i)) { "affine" } else { wide };
    let combo = cx.combos[id.index()].clone();
    if combo.terms.iter().all(|(l, _)| *l != id) {
        sum(cx, id, found);
        return;
    }
    match cx.op(id) {
        Op::Unary(u) => {
            let (v, c) = compose(unary::shape(*u, range(0)), of(0));
            found.note(v, c, format!("{} of {} {} value", u.name(), article(of(0)), of(0)), &live);
        }
        Op::Binary(b) => match b {
            BinaryOp::Max => found.note(all(Curvature::is_convex, 0), false, format!("maximum of {} values", kind("convex")), &live),
            BinaryOp::Min => found.note(false, all(Curvature::is_concave, 0), format!("minimum of {} values", kind("concave")), &live),
            BinaryOp::Mul if constant(0) || constant(1) => {
                let (k, c) = if constant(0) { (range(0), of(1)) } else { (range(1), of(0)) };
                let r = scaled(c, k);
                found.note_as(Kind::PassesOn, r.is_convex(), r.is_concave(), format!("{} multiple of {} {c} value", sign_word(k), article(c)), &live);
            }
            BinaryOp::Div if constant(1) => {
                let r = scaled(of(0), range(1).recip());
                found.note_as(Kind::PassesOn, r.is_convex(), r.is_concave(), format!("{} multiple of {} {} value", sign_word(range(1)), article(of(0)), of(0)), &live);
            }
            BinaryOp::Hypot => {
                let fits = |k: usize| of(k).is_affine() || of(k).is_convex() && range(k).is_nonneg();
                found.note(fits(0) && fits(1), false, "euclidean norm of affine (or nonnegative convex) values", &live);
            }
            _ => {}
        },
        Op::Reduce(r, _) => match r {
            ReduceOp::Sum => found.note_as(Kind::PassesOn, of(0).is_convex(), of(0).is_concave(), format!("sum of {} values", of(0)), &live),
            ReduceOp::Max => found.note(of(0).is_convex(), false, format!("largest of {} values", kind("convex")), &live),
            ReduceOp::Min => found.note(false, of(0).is_concave(), format!("smallest of {} values", kind("concave")), &live),
            ReduceOp::LogSumExp => found.note(of(0).is_convex(), false, format!("log-sum-exp of {} values", kind("convex")), &live),
            ReduceOp::Prod => {}
        },
        Op::Cumulative { op: Cumulative::Max, .. } => found.note(of(0).is_convex(), false, format!("largest of {} values", kind("convex")), &live),
        Op::MatMul if constant(0) || constant(1) => {
            let (k, c) = if constant(0) { (range(0), of(1)) } else { (range(1), of(0)) };
            let r = scaled(c, k);
            found.note_as(Kind::PassesOn, r.is_convex(), r.is_concave(), format!("{} combination of {c} values", sign_word(k)), &live);
        }
        Op::Select if constant(0) => {
            found.note(all(Curvature::is_convex, 1), all(Curvature::is_concave, 1), "a constant choice among values", &live);
        }
        _ if is_linear(cx, id) => {
            let values = || live.iter().map(|i| cx.curvature(*i));
            found.note_as(Kind::PassesOn, values().all(Curvature::is_convex), values().all(Curvature::is_concave), "rearranged values", &live);
        }
        _ => {}
    }
}

pub(crate) fn article(c: Curvature) -> &'static str {
    match c {
        Curvature::Affine => "an",
        _ => "a",
    }
}

fn sign_word(s: Interval) -> &'static str {
    match (s.is_nonneg(), s.is_nonpos()) {
        (true, _) => "nonnegative",
        (_, true) => "nonpositive",
        _ => "(of unknown sign)",
    }
}

/// A linear combination: what is quadratic is judged together, the rest term by term.
fn sum(cx: &Cx<'_>, id: NodeId, found: &mut Found) {
    let combo = &cx.combos[id.index()];
    let live: Vec<(NodeId, f64)> = combo.terms.iter().copied().filter(|(l, _)| cx.depends(*l)).collect();
    let leaves: Vec<NodeId> = live.iter().map(|(l, _)| *l).collect();
    let by_term = |leaf: NodeId, c: f64| scaled(cx.curvature(leaf), Interval::point(c));
    let separately = (live.iter().all(|(l, c)| by_term(*l, *c).is_convex()), live.iter().all(|(l, c)| by_term(*l, *c).is_concave()));
    let text = |c: bool| if live.len() == 1 { "a multiple of one value" } else if c { "sum of convex terms" } else { "sum of concave terms" };
    let kind = if live.len() == 1 { Kind::PassesOn } else { Kind::Sum };
    found.note_as(kind, separately.0, separately.1, text(separately.0), &leaves);
    if separately.0 || separately.1 {
        return;
    }
    if relative_entropy(cx, &live) {
        found.note(true, false, "relative entropy, x log(x) - x log(y), written out", &leaves);
    }
    let mut joint = Form::default();
    let (mut convex, mut concave, mut any) = (true, true, false);
    for (l, c) in &live {
        match &cx.forms[l.index()] {
            Some(f) if cx.f(*l).degree == Some(2) => {
                any = true;
                for (p, d) in &f.terms {
                    *joint.terms.entry(p.clone()).or_insert(0.0) += c * d;
                }
            }
            _ => {
                let t = by_term(*l, *c);
                convex &= t.is_convex();
                concave &= t.is_concave();
            }
        }
    }
    if any && (convex || concave) {
        let v = verdict(cx, &joint);
        found.note(convex && v.convex, concave && v.concave, "the quadratic terms together are a definite form; the others agree", &leaves);
    }
}

fn pieces(cx: &Cx<'_>, id: NodeId, found: &mut Found) {
    if let Some(p) = &cx.pieces[id.index()] {
        let base: Vec<NodeId> = p.base.iter().map(|(n, _)| *n).filter(|n| cx.depends(*n)).collect();
        found.note(p.is_convex(), p.is_concave(), if p.is_convex() { "piecewise quadratic of an affine value with rising slopes" } else { "piecewise quadratic of an affine value with falling slopes" }, &base);
    }
}
