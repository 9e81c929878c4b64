//! The rules of curvature: composition, and the patterns it does not see (quadratic forms, norms, entropies, powers, pieces).

use crate::context::Cx;
use crate::interval::Interval;
use crate::kinds::Curvature;
use crate::logs::Log;
use crate::monomial;
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
struct Found {
    convex: bool,
    concave: bool,
    rule: String,
    premises: Vec<NodeId>,
    kind: Kind,
}

impl Found {
    fn note(&mut self, convex: bool, concave: bool, rule: impl Into<String>, premises: &[NodeId]) {
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
    if !found.convex && !found.concave || found.convex && !found.concave && cx.pieces[id.index()].is_some() {
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

/// Terms `c u log u - d u log v` with c >= d >= 0; all other terms convex.
fn relative_entropy(cx: &Cx<'_>, live: &[(NodeId, f64)]) -> bool {
    let times_log = |leaf: NodeId| -> Option<(NodeId, NodeId)> {
        let (BinaryOp::Mul, a, b) = cx.binary(leaf)? else { return None };
        let of = |u: NodeId, l: NodeId| cx.unary(l, UnaryOp::Log).filter(|v| cx.is_affine(u) && cx.is_affine(*v) && cx.depends(u)).map(|v| (u, v));
        of(a, b).or_else(|| of(b, a))
    };
    // What is left of each entropy term after paying for the cross terms of the same u.
    let mut left: Vec<(NodeId, f64)> = Vec::new();
    for (l, c) in live {
        if let Some((u, v)) = times_log(*l)
            && *c > 0.0
            && proportional(cx, v, u)
        {
            left.push((u, *c));
        }
    }
    live.iter().all(|(l, c)| {
        if scaled(cx.curvature(*l), Interval::point(*c)).is_convex() {
            return true;
        }
        let Some((u, _)) = times_log(*l).filter(|_| *c < 0.0) else { return false };
        match left.iter_mut().find(|(w, rest)| *w == u && *rest >= -c) {
            Some((_, rest)) => {
                *rest += c;
                true
            }
            None => false,
        }
    })
}

/// Singular values and eigenvalues of an affine matrix: their sum (of singular values), largest and smallest.
fn spectral(cx: &Cx<'_>, id: NodeId, found: &mut Found) {
    let (Op::Reduce(r, _), Some(g)) = (cx.op(id), cx.input(id, 0)) else { return };
    if let Op::Get(k) = cx.op(g)
        && let Some(f) = cx.input(g, 0)
        && let Some(m) = cx.input(f, 0)
        && cx.is_affine(m)
    {
        match (cx.op(f), k, r) {
            (Op::Svd, 1, ReduceOp::Sum) => found.note(true, false, "nuclear norm of an affine matrix", &[m]),
            (Op::Svd, 1, ReduceOp::Max) => found.note(true, false, "spectral norm of an affine matrix", &[m]),
            (Op::Eigh, 0, ReduceOp::Max) => found.note(true, false, "largest eigenvalue of an affine matrix", &[m]),
            (Op::Eigh, 0, ReduceOp::Min) => found.note(false, true, "smallest eigenvalue of an affine matrix", &[m]),
            _ => {}
        }
    }
    // log det A = 2 sum(log(diagonal(cholesky(A))))
    if let (ReduceOp::Sum, Some(d)) = (r, cx.unary(g, UnaryOp::Log))
        && let Op::Diagonal = cx.op(d)
        && let Some(l) = cx.input(d, 0)
        && let Op::Cholesky = cx.op(l)
        && let Some(m) = cx.input(l, 0)
        && cx.is_affine(m)
    {
        found.note(false, true, "log-determinant of an affine matrix", &[m]);
    }
}

/// `sqrt` of a sum of squares.
fn norm_rule(cx: &Cx<'_>, id: NodeId, found: &mut Found) -> Option<bool> {
    let a = cx.input(id, 0)?;
    if let Some(form) = &cx.forms[a.index()]
        && verdict(cx, form).sum_of_squares
    {
        found.note(true, false, "euclidean norm of an affine map", &affine_parts(cx, a, 12));
        return Some(cx.range(a).lo > 0.0);
    }
    if squares(cx, a, 16) {
        found.note(true, false, "euclidean norm of nonnegative convex values", &[a]);
    }
    None
}

/// Sums of squares of values that are affine or nonnegative and convex, and nonnegative constants.
fn squares(cx: &Cx<'_>, id: NodeId, depth: usize) -> bool {
    let id = cx.bare(id);
    if depth == 0 {
        return false;
    }
    if !cx.depends(id) {
        return cx.range(id).is_nonneg();
    }
    let fits = |u: NodeId| cx.is_affine(u) || cx.curvature(u).is_convex() && cx.range(u).is_nonneg();
    let input = |k: usize| cx.input(id, k);
    let inner = |k: usize| input(k).is_some_and(|i| squares(cx, i, depth - 1));
    let factor = |k: usize| input(k).is_some_and(|i| !cx.depends(i) && cx.range(i).is_nonneg());
    match cx.op(id) {
        Op::Unary(UnaryOp::Square) => input(0).is_some_and(fits),
        Op::Binary(BinaryOp::Pow) if input(1).and_then(|e| cx.number(e)) == Some(2.0) => input(0).is_some_and(fits),
        Op::Binary(BinaryOp::Mul) if input(0) == input(1) => input(0).is_some_and(fits),
        Op::MatMul if input(0) == input(1) && input(0).is_some_and(|i| cx.rank(i) == 1) => input(0).is_some_and(fits),
        Op::Binary(BinaryOp::Mul) => factor(0) && inner(1) || factor(1) && inner(0),
        Op::Binary(BinaryOp::Div) => factor(1) && inner(0),
        Op::Binary(BinaryOp::Add) => inner(0) && inner(1),
        Op::Reduce(ReduceOp::Sum, _) => inner(0),
        _ => false,
    }
}

fn patterns(cx: &Cx<'_>, logs: &[Log], id: NodeId, found: &mut Found) {
    let inputs = cx.node(id).inputs.to_vec();
    let input = |k: usize| inputs.get(k).copied();
    match cx.op(id) {
        Op::Unary(UnaryOp::Log) => {
            if let Some(l) = input(0).map(|a| logs[a.index()]) {
                found.note(l.convex, l.concave, if l.convex { "logarithm of sums, products and powers of exponentials" } else { "logarithm of products and powers of positive concave values" }, &inputs);
            }
        }
        Op::Unary(UnaryOp::Log1p) => {
            if input(0).is_some_and(|a| logs[a.index()].convex) {
                found.note(true, false, "log(1 + e) with e the exponential of a convex value (softplus)", &inputs);
            }
        }
        Op::Binary(BinaryOp::Mul) => {
            if let (Some(a), Some(b)) = (input(0), input(1)) {
                entropy(cx, a, b, found);
                entropy(cx, b, a, found);
            }
        }
        Op::Binary(BinaryOp::Pow) => root_of_powers(cx, id, found),
        Op::Reduce(ReduceOp::Sum, axes) => {
            if let Some(a) = input(0) {
                largest(cx, a, axes, found);
            }
            spectral(cx, id, found);
        }
        Op::Reduce(..) => spectral(cx, id, found),
        _ => {}
    }
    if !found.convex
        && matches!(cx.op(id), Op::Unary(UnaryOp::Recip | UnaryOp::Sqrt | UnaryOp::Square) | Op::Binary(BinaryOp::Mul | BinaryOp::Div | BinaryOp::Pow))
    {
        if let Op::Binary(BinaryOp::Div) = cx.op(id)
            && let (Some(a), Some(b)) = (input(0), input(1))
            && cx.depends(b)
            && over(cx, a, b)
        {
            found.note(true, false, "sum of squares of an affine map over a positive concave value", &inputs);
        }
        if let Some(m) = monomial::monomial(cx, id) {
            let (convex, concave, why) = monomial::rule(cx, &m);
            let bases: Vec<NodeId> = m.bases.keys().copied().collect();
            found.note(convex, concave, why, &bases);
        }
    }
}

/// Numerator terms that are convex over a positive concave divisor: squares of affine or nonnegative convex values, nonnegative constants.
fn over(cx: &Cx<'_>, a: NodeId, b: NodeId) -> bool {
    cx.range(b).is_nonneg() && cx.curvature(b).is_concave() && (squares(cx, a, 16) || whole_squares(cx, a))
}

/// A sum of squares that only the quadratic form shows.
fn whole_squares(cx: &Cx<'_>, a: NodeId) -> bool {
    cx.forms[cx.bare(a).index()].as_ref().is_some_and(|f| verdict(cx, f).sum_of_squares)
}

/// `u log u`, `u log(u / v)`, `u (log u - log v)`, with u and v affine.
fn entropy(cx: &Cx<'_>, u: NodeId, l: NodeId, found: &mut Found) {
    if !cx.depends(u) || !cx.is_affine(u) {
        return;
    }
    let combo = &cx.combos[l.index()];
    if combo.constant != 0.0 && combo.terms.is_empty() {
        return;
    }
    // l = s log u + constant, or s (log u - log v) + constant.
    let logs: Vec<(NodeId, f64)> = combo.terms.iter().filter(|(n, _)| cx.depends(*n)).copied().collect();
    let rest_constant = combo.terms.iter().all(|(n, _)| !cx.depends(*n) || cx.unary(*n, UnaryOp::Log).is_some());
    if !rest_constant {
        return;
    }
    let log_of = |n: NodeId| cx.unary(n, UnaryOp::Log);
    let sign = match logs.as_slice() {
        [(n, c)] => match log_of(*n) {
            Some(a) if proportional(cx, a, u) => *c,
            Some(a) => match cx.binary(cx.bare(a)) {
                // Both could be negative; a known sign of one gives the other's.
                Some((BinaryOp::Div, p, q)) if cx.is_affine(p) && cx.is_affine(q) && (cx.range(p).is_nonneg() || cx.range(q).is_nonneg()) => {
                    if proportional(cx, p, u) {
                        *c
                    } else if proportional(cx, q, u) {
                        -c
                    } else {
                        return;
                    }
                }
                _ => return,
            },
            None => return,
        },
        [(m, c), (n, d)] if c + d == 0.0 => match (log_of(*m), log_of(*n)) {
            (Some(a), Some(b)) if cx.is_affine(a) && cx.is_affine(b) => {
                if proportional(cx, a, u) {
                    *c
                } else if proportional(cx, b, u) {
                    *d
                } else {
                    return;
                }
            }
            _ => return,
        },
        _ => return,
    };
    let rule = "entropy: x log(x) (or x log(x/y)) of nonnegative affine values";
    found.note(sign > 0.0, sign < 0.0, rule, &[u, l]);
}

/// Is a a positive multiple of b?
fn proportional(cx: &Cx<'_>, a: NodeId, b: NodeId) -> bool {
    let (x, y) = (&cx.combos[a.index()], &cx.combos[b.index()]);
    let (Some((_, p)), Some((_, q))) = (x.terms.first(), y.terms.first()) else { return false };
    let k = p / q;
    let near = |s: f64, t: f64| (s - k * t).abs() <= 1e-14 * s.abs();
    k > 0.0
        && x.terms.len() == y.terms.len()
        && near(x.constant, y.constant)
        && x.terms.iter().zip(&y.terms).all(|((m, s), (n, t))| m == n && near(*s, *t))
}

/// `sum(|u|^p)^(1/p)` with p >= 1.
fn root_of_powers(cx: &Cx<'_>, id: NodeId, found: &mut Found) {
    let Some((_, a, e)) = cx.binary(id) else { return };
    let Some(e) = cx.number(e) else { return };
    let a = cx.bare(a);
    let (Op::Reduce(ReduceOp::Sum, _), Some(t)) = (cx.op(a), cx.input(a, 0)) else { return };
    let Some(m) = monomial::monomial(cx, t) else { return };
    if let Some((base, p)) = m.bases.first()
        && m.bases.len() == 1
        && m.coefficient.is_nonneg()
        && p.exponent >= 1.0
        && (p.exponent * e - 1.0).abs() < 1e-12
    {
        let c = cx.curvature(*base);
        let fits = p.absolute && c.is_affine() || cx.range(*base).is_nonneg() && c.is_convex();
        found.note(fits, false, "p-norm with p >= 1 of an affine map", &[*base]);
    }
}

/// The sum of the k largest of convex values.
fn largest(cx: &Cx<'_>, a: NodeId, axes: &[usize], found: &mut Found) {
    let Op::Slice { axis, start, .. } = cx.op(a) else { return };
    let Some(s) = cx.input(a, 0) else { return };
    let (Op::Sort { axis: along, descending }, Some(x)) = (cx.op(s), cx.input(s, 0)) else { return };
    if axis == along && axes.contains(axis) && start.known() == Some(0) {
        let c = cx.curvature(x);
        found.note(*descending && c.is_convex(), !descending && c.is_concave(), "sum of the largest (or smallest) values", &[x]);
    }
}

fn pieces(cx: &Cx<'_>, id: NodeId, found: &mut Found) {
    if let Some(p) = &cx.pieces[id.index()] {
        let base: Vec<NodeId> = p.base.iter().map(|(n, _)| *n).filter(|n| cx.depends(*n)).collect();
        found.note(p.is_convex(), p.is_concave(), if p.is_convex() { "piecewise quadratic of an affine value with rising slopes" } else { "piecewise quadratic of an affine value with falling slopes" }, &base);
    }
}
