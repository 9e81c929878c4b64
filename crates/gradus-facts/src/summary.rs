//! One scalar output as a function: the line that `check` and `explain` print.

use crate::analyze;
use crate::context::Cx;
use crate::curvature::affine_parts;
use crate::interval::Interval;
use crate::kinds::{Curvature, Monotone, Tri};
use crate::matrix::{Definite, definite, psd};
use crate::quadratic::{Form, Stage, Symbol, groups};
use crate::separable;
use crate::words::LinOp;
use gradus_ir::{NodeId, Op};
use std::fmt;

/// Everything known of a scalar function of the variables.
#[derive(Clone, Debug)]
pub struct FunctionFacts {
    pub curvature: Curvature,
    /// The rule behind the curvature.
    pub reason: String,
    pub differentiable: Tri,
    /// Differentiable with a Lipschitz gradient on all of space.
    pub smooth: Tri,
    /// The node that spoils smoothness, and how.
    pub rough: Option<(NodeId, String)>,
    /// Is the Hessian constant?
    pub quadratic: Tri,
    pub strongly_convex: StrongConvexity,
    /// A sum of functions of single elements of the variables.
    pub separable: Tri,
    /// Affine in each of several variables, but not in all together.
    pub bilinear: Tri,
    pub monotone: Monotone,
    /// A number that the value never falls below.
    pub lower_bound: Option<f64>,
    /// The outermost affine sub-expressions.
    pub affine_parts: Vec<NodeId>,
}

/// `f(x) - modulus/2 |x|^2` is convex.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StrongConvexity {
    pub is: Tri,
    pub modulus: Option<f64>,
    /// A constant node that the modulus is a multiple of, where its number is not known.
    pub node: Option<NodeId>,
}

pub(crate) fn function(cx: &Cx<'_>, id: NodeId) -> FunctionFacts {
    let f = cx.f(id);
    let quadratic = if f.degree.is_some_and(|d| d <= 2) { Tri::Yes } else { Tri::Unknown };
    let parts = if f.degree == Some(1) { vec![id] } else { affine_parts(cx, id, 24) };
    FunctionFacts {
        curvature: f.curvature,
        reason: if f.curvature == Curvature::Unknown { String::new() } else { reason(cx, id) },
        differentiable: f.smoothness.differentiable,
        smooth: f.smoothness.lipschitz_gradient,
        rough: if f.smoothness.lipschitz_gradient.is_yes() { None } else { f.smoothness.reason.clone() },
        quadratic,
        strongly_convex: strong(cx, id),
        separable: separable::separable(cx, id),
        bilinear: bilinear(cx, id),
        monotone: f.monotone,
        lower_bound: f.range.lo.is_finite().then_some(f.range.lo),
        affine_parts: parts,
    }
}

/// The rule of the first step that says more than "a sum of such" or "a multiple of such"; of a sum, the rules of its terms.
fn reason(cx: &Cx<'_>, id: NodeId) -> String {
    let mut at = id;
    for _ in 0..12 {
        let f = cx.f(at);
        match f.premises.as_slice() {
            [one] if f.passes_on && !cx.is_affine(*one) => at = *one,
            _ => break,
        }
    }
    let f = cx.f(at);
    if f.is_sum {
        let mut terms: Vec<String> = Vec::new();
        for p in f.premises.iter().filter(|p| !cx.is_affine(**p)) {
            let r = if *p < at { reason(cx, *p) } else { f.rule.clone() };
            for part in r.split(" + ") {
                if !terms.iter().any(|t| t == part) {
                    terms.push(part.to_string());
                }
            }
        }
        if (1..=3).contains(&terms.len()) {
            return terms.join(" + ");
        }
    }
    f.rule.clone()
}

fn bilinear(cx: &Cx<'_>, id: NodeId) -> Tri {
    if cx.vars.len() < 2 || cx.f(id).degree != Some(2) {
        return if cx.f(id).degree.is_some_and(|d| d <= 1) { Tri::No } else { Tri::Unknown };
    }
    let each = cx.vars.iter().all(|v| {
        let alone = analyze::run(cx.g, &[*v], cx.assume.clone());
        alone.f(id).degree.is_some_and(|d| d <= 1)
    });
    if each { Tri::Yes } else { Tri::Unknown }
}

const UNKNOWN: StrongConvexity = StrongConvexity { is: Tri::Unknown, modulus: None, node: None };

/// From the quadratic terms of a convex sum: how much of every variable's square they hold.
fn strong(cx: &Cx<'_>, id: NodeId) -> StrongConvexity {
    let curvature = cx.curvature(id);
    if matches!(curvature, Curvature::Affine | Curvature::Constant | Curvature::Concave) {
        return StrongConvexity { is: Tri::No, modulus: None, node: None };
    }
    if curvature != Curvature::Convex {
        return UNKNOWN;
    }
    let mut joint = Form::default();
    let mut at = (id, Interval::point(1.0), None);
    // Through positive multiples of the whole.
    while let Some((inner, s, node)) = multiple(cx, at.0) {
        at = (inner, at.1.mul(s), at.2.or(node));
    }
    let (id, outer, outer_node) = at;
    let combo = &cx.combos[id.index()];
    let mut others = true;
    for (l, c) in combo.terms.iter().filter(|(l, _)| cx.depends(*l)) {
        let Some(form) = cx.forms[l.index()].as_ref().filter(|_| cx.f(*l).degree.is_some_and(|d| d <= 2)) else {
            others &= crate::curvature::scaled(cx.curvature(*l), Interval::point(*c)).is_convex();
            continue;
        };
        for (p, d) in &form.terms {
            *joint.terms.entry(p.clone()).or_insert(0.0) += c * d;
        }
    }
    // In the grouping that is read below: there every group must be convex by itself.
    if !others || !crate::quadratic::one_verdict(cx, &joint, true).convex {
        return UNKNOWN;
    }
    let mut held: Vec<(f64, bool, Option<NodeId>)> = vec![(0.0, false, None); cx.vars.len()];
    for g in groups(cx, &joint, true) {
        let (scale, node) = scale(cx, &g.stages);
        if !scale.is_pos() {
            continue;
        }
        let n = g.symbols.len();
        let free: Vec<usize> = (0..n).filter(|k| matches!(g.symbols[*k], Symbol::Chain(_)) || matches!(g.symbols[*k], Symbol::Leaf(l) if cx.depends(l))).collect();
        let block: Vec<f64> = free.iter().flat_map(|i| free.iter().map(|j| g.matrix[i * n + j]).collect::<Vec<_>>()).collect();
        for (v, var) in cx.vars.iter().enumerate() {
            let Some((k, definite)) = free.iter().enumerate().find_map(|(k, s)| plain(cx, &g.symbols[*s], *var, &g.stages).map(|d| (k, d))) else { continue };
            let mu = removable(&block, free.len(), k);
            if mu > 0.0 {
                // A variable's own square: a number; through a definite matrix: only that it is positive.
                let sure = if definite == Plain::Itself { mu * scale.lo } else { 0.0 };
                held[v].0 += sure;
                held[v].1 = true;
                held[v].2 = held[v].2.or(node);
            }
        }
    }
    if held.iter().any(|h| !h.1) {
        return UNKNOWN;
    }
    // Several variables taken from one form share it; each could then be removed only in part.
    let shared = if cx.vars.len() > 1 { cx.vars.len() as f64 } else { 1.0 };
    let modulus = held.iter().map(|h| 2.0 * h.0 * outer.lo / shared).fold(f64::INFINITY, f64::min);
    let node = held.iter().find_map(|h| h.2).or(outer_node);
    StrongConvexity { is: Tri::Yes, modulus: (modulus > 0.0 && modulus.is_finite()).then_some(modulus), node }
}

/// `c * inner` with c a positive constant of the graph.
fn multiple(cx: &Cx<'_>, id: NodeId) -> Option<(NodeId, Interval, Option<NodeId>)> {
    if cx.rank(id) != 0 {
        return None;
    }
    let combo = &cx.combos[id.index()];
    if let Some((l, c)) = combo.single()
        && l != id
        && c > 0.0
    {
        return Some((l, Interval::point(c), None));
    }
    let (a, b) = (cx.input(id, 0)?, cx.input(id, 1)?);
    let (c, x, over) = match cx.op(id) {
        Op::Binary(gradus_ir::BinaryOp::Mul) if !cx.depends(a) => (a, b, false),
        Op::Binary(gradus_ir::BinaryOp::Mul) if !cx.depends(b) => (b, a, false),
        Op::Binary(gradus_ir::BinaryOp::Div) if !cx.depends(b) => (b, a, true),
        _ => return None,
    };
    let r = if over { cx.range(c).recip() } else { cx.range(c) };
    (r.is_pos() && cx.rank(c) == 0).then_some((x, r, Some(c)))
}

#[derive(Clone, Copy, PartialEq)]
enum Plain {
    Itself,
    Definite,
}

/// Is the symbol the whole variable, or a definite root of it?
fn plain(cx: &Cx<'_>, s: &Symbol, var: NodeId, stages: &[Stage]) -> Option<Plain> {
    match s {
        Symbol::Leaf(l) => (*l == var && cx.rank(var) == 0 && !stages.iter().any(|s| matches!(s, Stage::Apply(..)))).then_some(Plain::Itself),
        Symbol::Chain(c) if c.root == var => match c.ops.as_slice() {
            [] => Some(Plain::Itself),
            [LinOp::Root(p)] => match &**p {
                LinOp::Left(m, _) | LinOp::Right(m, _) | LinOp::Inverse(m, _) => {
                    matches!(definite(cx, *m), Definite::Positive { strict: true } | Definite::Negative { strict: true }).then_some(Plain::Definite)
                }
                LinOp::Scale(m) => (cx.range(*m).is_pos() || cx.range(*m).is_neg()).then_some(Plain::Definite),
                LinOp::Root(_) => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// The positive scale that the functional multiplies a full sum (or a scalar) with, and the constant it hangs on.
fn scale(cx: &Cx<'_>, stages: &[Stage]) -> (Interval, Option<NodeId>) {
    let (mut s, mut node) = (Interval::point(1.0), None);
    for stage in stages {
        match stage {
            Stage::Sum(..) => {}
            Stage::Scale(c, over) => {
                s = s.mul(if *over { cx.range(*c).recip() } else { cx.range(*c) });
                node = node.or(Some(*c));
            }
            Stage::Apply(..) => return (Interval::ALL, None),
        }
    }
    (s, node)
}

/// The largest multiple of the k-th square that the form can lose and stay positive semidefinite (by bisection).
fn removable(m: &[f64], n: usize, k: usize) -> f64 {
    let without = |mu: f64| {
        let mut less = m.to_vec();
        less[k * n + k] -= mu;
        less
    };
    let scale = m.iter().fold(0.0, |s: f64, x| s.max(x.abs()));
    let fits = |mu: f64| psd(&without(mu), n, 1e-13 * scale);
    let (mut lo, mut hi) = (0.0, m[k * n + k]);
    if hi <= 0.0 || !fits(0.0) {
        return 0.0;
    }
    if fits(hi) {
        return hi;
    }
    for _ in 0..60 {
        let mid = 0.5 * (lo + hi);
        if fits(mid) { lo = mid } else { hi = mid }
    }
    // What is left is rounding.
    if lo <= 1e-9 * scale { 0.0 } else { lo }
}

impl fmt::Display for FunctionFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.curvature {
            Curvature::Unknown => write!(f, "not known to be convex or concave")?,
            Curvature::Constant | Curvature::Affine => write!(f, "{}", self.curvature)?,
            c => write!(f, "{c} ({})", self.reason)?,
        }
        if matches!(self.curvature, Curvature::Constant | Curvature::Affine) {
            return Ok(());
        }
        match (self.smooth, self.differentiable) {
            (Tri::Yes, _) => write!(f, ", smooth")?,
            (_, Tri::Yes) => write!(f, ", differentiable")?,
            (_, Tri::No) => write!(f, ", nonsmooth")?,
            _ => {}
        }
        let flags = [(self.quadratic, "quadratic"), (self.separable, "separable"), (self.bilinear, "bilinear")];
        for (is, name) in flags {
            if is.is_yes() {
                write!(f, ", {name}")?;
            }
        }
        match (self.strongly_convex.is, self.strongly_convex.modulus) {
            (Tri::Yes, Some(m)) => write!(f, ", strongly convex (modulus {m})")?,
            (Tri::Yes, None) => write!(f, ", strongly convex")?,
            _ => {}
        }
        Ok(())
    }
}
