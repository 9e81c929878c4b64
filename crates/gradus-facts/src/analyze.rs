//! The pass: one walk over the region in order, all facts of a node from those of its inputs.

use crate::context::{Cx, NodeFacts};
use crate::curvature::{self, Kind, Ruling};
use crate::interval::Interval;
use crate::kinds::{Assume, Curvature, Monotone, Smoothness, Tri};
use crate::logs::{self, Log};
use crate::smooth::{self, Given};
use crate::{combo, piecewise, quadratic, range};
use gradus_ir::{BinaryOp, Graph, NodeId, Op, ReduceOp, UnaryOp};
use std::rc::Rc;

/// All facts of all nodes.
pub(crate) fn run<'a>(g: &'a Graph, vars: &[NodeId], assume: Assume<'a>) -> Cx<'a> {
    let blank = NodeFacts {
        depends: false,
        range: Interval::ALL,
        curvature: Curvature::Unknown,
        monotone: Monotone::Unknown,
        log_curvature: Curvature::Unknown,
        degree: None,
        smoothness: Smoothness { differentiable: Tri::Unknown, lipschitz_gradient: Tri::Unknown, lipschitz: false, reason: None },
        rule: String::new(),
        premises: Vec::new(),
        passes_on: false,
        is_sum: false,
    };
    let n = g.len();
    let nothing = Rc::new(combo::Combo::number(0.0));
    let mut cx = Cx {
        g,
        vars: vars.to_vec(),
        assume,
        dep: g.depending(vars),
        facts: vec![blank; n],
        combos: vec![nothing; n],
        forms: vec![None; n],
        pieces: vec![None; n],
    };
    let mut logs = vec![Log { convex: false, concave: false, smooth: false }; n];
    let ids: Vec<NodeId> = g.nodes().map(|(id, _)| id).collect();
    for id in ids {
        let k = id.index();
        cx.facts[k].depends = cx.dep[k];
        cx.combos[k] = Rc::new(combo::combo(&cx, id));
        cx.facts[k].range = range::range(&cx, id);
        let degree = degree(&cx, id);
        cx.facts[k].degree = degree;
        cx.forms[k] = quadratic::form(&cx, id, degree);
        cx.pieces[k] = piecewise::piecewise(&cx, id, degree);
        let Ruling { curvature, rule, premises, norm, nonneg, kind } = curvature::rule(&cx, &logs, id, degree);
        if nonneg {
            let r = cx.facts[k].range;
            cx.facts[k].range = r.meet(Interval::NONNEGATIVE);
        }
        let f = &mut cx.facts[k];
        (f.curvature, f.rule, f.premises) = (curvature, rule, premises);
        (f.passes_on, f.is_sum) = (kind == Kind::PassesOn, kind == Kind::Sum);
        logs[k] = logs::log(&cx, &logs, id, cx.range(id).is_pos(), curvature.is_concave());
        let l = logs[k];
        cx.facts[k].log_curvature = l.curvature(cx.dep[k]);
        // A value whose logarithm is convex is convex.
        if l.convex && cx.dep[k] && !curvature.is_convex() {
            let f = &mut cx.facts[k];
            f.curvature = Curvature::of(true, curvature.is_concave());
            f.rule = "the exponential of a convex value (its logarithm is convex)".into();
            f.premises = cx.g.node(id).inputs.to_vec();
            (f.passes_on, f.is_sum) = (false, false);
        }
        let given = Given { degree, norm, logs: &logs };
        let s = smooth::smoothness(&cx, id, &given);
        cx.facts[k].smoothness = s;
        let m = monotone(&cx, id);
        cx.facts[k].monotone = m;
        // The log's smoothness reads that of the node's operands only, so it was complete before.
    }
    cx
}

/// An upper bound of the degree as a polynomial of the variables.
fn degree(cx: &Cx<'_>, id: NodeId) -> Option<u32> {
    if !cx.depends(id) {
        return Some(0);
    }
    if cx.vars.contains(&id) {
        return Some(1);
    }
    let of = |k: usize| cx.input(id, k).and_then(|i| cx.f(i).degree);
    let all = || cx.node(id).inputs.iter().map(|i| cx.f(*i).degree).try_fold(0, |m, d| d.map(|d| m.max(d)));
    let plus = |a: Option<u32>, b: Option<u32>| Some(a?.saturating_add(b?));
    let combo = &cx.combos[id.index()];
    if !cx.is_numeric(id) {
        return None;
    }
    // Terms that cancel do not count.
    if combo.terms.is_empty() {
        return Some(0);
    }
    if combo.terms.iter().all(|(l, _)| *l != id) {
        return combo.terms.iter().map(|(l, _)| cx.f(*l).degree).try_fold(0, |m, d| d.map(|d| m.max(d)));
    }
    match cx.op(id) {
        Op::Unary(UnaryOp::Neg | UnaryOp::ToReal | UnaryOp::StopGrad) => of(0),
        Op::Unary(UnaryOp::Square) => {
            let a = cx.bare(cx.input(id, 0)?);
            match (cx.unary(a, UnaryOp::Abs), cx.unary(a, UnaryOp::Sqrt)) {
                (Some(u), _) => cx.f(u).degree.map(|d| d.saturating_mul(2)),
                (_, Some(u)) => cx.f(u).degree,
                _ => of(0).map(|d| d.saturating_mul(2)),
            }
        }
        Op::Binary(BinaryOp::Add | BinaryOp::Sub) => all(),
        Op::Binary(BinaryOp::Mul) => {
            let (a, b) = (cx.bare(cx.input(id, 0)?), cx.bare(cx.input(id, 1)?));
            match (cx.unary(a, UnaryOp::Abs), cx.unary(b, UnaryOp::Abs)) {
                (Some(u), Some(v)) if u == v => cx.f(u).degree.map(|d| d.saturating_mul(2)),
                _ => plus(of(0), of(1)),
            }
        }
        Op::Binary(BinaryOp::Div) if of(1) == Some(0) => of(0),
        Op::Binary(BinaryOp::Pow) => {
            let e = cx.number(cx.input(id, 1)?)?;
            (e.fract() == 0.0 && (0.0..100.0).contains(&e)).then(|| of(0).map(|d| d.saturating_mul(e as u32)))?
        }
        Op::Reduce(ReduceOp::Sum, _) => of(0),
        Op::MatMul => plus(of(0), of(1)),
        Op::Solve { .. } | Op::TriangularSolve { .. } if of(0) == Some(0) => of(1),
        Op::Select if of(0) == Some(0) => all(),
        _ if smooth::is_linear(cx, id) => all(),
        _ => None,
    }
}

fn monotone(cx: &Cx<'_>, id: NodeId) -> Monotone {
    if !cx.depends(id) {
        return Monotone::Constant;
    }
    if cx.vars.contains(&id) {
        return Monotone::Nondecreasing;
    }
    let of = |k: usize| cx.input(id, k).map_or(Monotone::Unknown, |i| cx.f(i).monotone);
    let range = |k: usize| cx.input(id, k).map_or(Interval::ALL, |i| cx.range(i));
    let signed = |m: Monotone, s: Interval| {
        if m == Monotone::Constant || s.is_nonneg() {
            m
        } else if s.is_nonpos() {
            m.flipped()
        } else {
            Monotone::Unknown
        }
    };
    let join = || cx.node(id).inputs.iter().map(|i| cx.f(*i).monotone).fold(Monotone::Constant, Monotone::join);
    match cx.op(id) {
        Op::Unary(u) => {
            let s = crate::unary::shape(*u, range(0));
            match (s.increasing, s.decreasing) {
                (true, _) => of(0),
                (_, true) => of(0).flipped(),
                _ => Monotone::Unknown,
            }
        }
        Op::Binary(BinaryOp::Add | BinaryOp::Max | BinaryOp::Min) => join(),
        Op::Binary(BinaryOp::Sub) => of(0).join(of(1).flipped()),
        Op::Binary(BinaryOp::Mul) | Op::MatMul => signed(of(0), range(1)).join(signed(of(1), range(0))),
        Op::Binary(BinaryOp::Div) => {
            let (a, b) = (range(0), range(1));
            if !b.is_pos() && !b.is_neg() {
                return if of(1) == Monotone::Constant { signed(of(0), b.recip()) } else { Monotone::Unknown };
            }
            signed(of(0), b).join(signed(of(1).flipped(), a))
        }
        Op::Reduce(ReduceOp::Sum | ReduceOp::Max | ReduceOp::Min | ReduceOp::LogSumExp, _) | Op::Sort { .. } => of(0),
        Op::Select if of(0) == Monotone::Constant => join(),
        _ if smooth::is_linear(cx, id) => join(),
        _ => Monotone::Unknown,
    }
}
