//! Differentiability, Lipschitz gradients and Lipschitz values, with the node that spoils them.

use crate::context::Cx;
use crate::curvature::affine_parts;
use crate::kinds::{Smoothness, Tri};
use crate::logs::Log;
use crate::unary;
use gradus_ir::{BinaryOp, NodeId, Op, ReduceOp, UnaryOp};

/// What the rule reads beside the inputs' facts.
pub(crate) struct Given<'a> {
    pub degree: Option<u32>,
    /// A norm: the root of a sum of squares of affine values; and whether it is bounded away from zero.
    pub norm: Option<bool>,
    pub logs: &'a [Log],
}

fn fail(id: NodeId, differentiable: Tri, gradient: Tri, lipschitz: bool, why: impl Into<String>) -> Smoothness {
    Smoothness { differentiable, lipschitz_gradient: gradient, lipschitz, reason: Some((id, why.into())) }
}

/// Of sums and other constant linear maps of several values.
fn join<'s>(all: impl Iterator<Item = &'s Smoothness>) -> Smoothness {
    let mut s = Smoothness::smooth(true);
    for x in all {
        s.differentiable = s.differentiable.and(x.differentiable);
        // A sum is smooth where all terms are; kinks of several terms may cancel, so a "no" of one is only "unknown" of the sum.
        s.lipschitz_gradient = s.lipschitz_gradient.and(x.lipschitz_gradient);
        s.lipschitz &= x.lipschitz;
        if s.reason.is_none() {
            s.reason = x.reason.clone();
        }
    }
    s
}

pub(crate) fn smoothness(cx: &Cx<'_>, id: NodeId, given: &Given<'_>) -> Smoothness {
    if !cx.depends(id) || given.degree.is_some_and(|d| d <= 1) {
        return Smoothness::smooth(true);
    }
    if let Some(p) = &cx.pieces[id.index()]
        && cx.is_numeric(id)
    {
        if p.is_smooth() {
            return Smoothness::smooth(p.is_lipschitz());
        }
        return fail(id, Tri::No, Tri::No, p.is_lipschitz(), "has a kink");
    }
    if given.degree == Some(2) {
        return Smoothness::smooth(false);
    }
    if let Some(away) = given.norm {
        if away {
            return Smoothness::smooth(true);
        }
        // Of variables themselves the argument is zero somewhere; of other affine values perhaps nowhere.
        let parts = cx.input(id, 0).map(|a| affine_parts(cx, a, 12)).unwrap_or_default();
        let met = !parts.is_empty() && parts.iter().all(|p| cx.vars.contains(p)) && cx.range(id).lo <= 0.0 && cx.input(id, 0).is_some_and(|a| cx.combos[a.index()].constant == 0.0);
        let kink = if met { Tri::No } else { Tri::Unknown };
        return fail(id, kink, kink, true, "a norm has a kink where its argument is zero");
    }
    let f = |k: usize| cx.input(id, k).map(|i| &cx.f(i).smoothness);
    let inputs = || cx.node(id).inputs.iter().map(|i| &cx.f(*i).smoothness);
    let affine = |k: usize| cx.input(id, k).is_some_and(|i| cx.f(i).degree.is_some_and(|d| d <= 1));
    let unknown = |why: &str| fail(id, Tri::Unknown, Tri::Unknown, false, why);
    match cx.op(id) {
        Op::Unary(UnaryOp::Log | UnaryOp::Log1p) if cx.input(id, 0).is_some_and(|i| given.logs[i.index()].smooth) => Smoothness::smooth(true),
        Op::Unary(u) => {
            let (Some(x), Some(s)) = (cx.input(id, 0), f(0)) else { return unknown("has no operand") };
            let shape = unary::shape(*u, cx.range(x));
            if !shape.differentiable {
                // Where an affine operand moves through all values, the kink is met.
                let met = affine(0);
                let d = if met { Tri::No } else { Tri::Unknown };
                return fail(id, d, d, shape.slope && s.lipschitz, format!("{} is not differentiable everywhere", u.name()));
            }
            let bend = shape.bend && s.lipschitz_gradient.is_yes() && (affine(0) || shape.slope && s.lipschitz);
            if s.differentiable.is_yes() && bend {
                return Smoothness::smooth(shape.slope && s.lipschitz);
            }
            let mut out = fail(id, s.differentiable, Tri::Unknown, shape.slope && s.lipschitz, format!("the slope of {} grows without bound", u.name()));
            if !s.lipschitz_gradient.is_yes() && s.reason.is_some() {
                out.reason = s.reason.clone();
            }
            out
        }
        Op::Binary(BinaryOp::Add | BinaryOp::Sub) => join(inputs()),
        Op::Binary(BinaryOp::Mul) => {
            let (a, b) = (cx.node(id).inputs[0], cx.node(id).inputs[1]);
            product(cx, id, a, b)
        }
        Op::Binary(BinaryOp::Div) => {
            let (a, b) = (cx.node(id).inputs[0], cx.node(id).inputs[1]);
            if !cx.depends(b) {
                return cx.f(a).smoothness.clone();
            }
            let d = cx.f(a).smoothness.differentiable.and(cx.f(b).smoothness.differentiable);
            let d = if cx.range(b).nonzero { d } else { Tri::Unknown };
            fail(id, d, Tri::Unknown, false, "a quotient's gradient may grow where the divisor is small")
        }
        Op::Binary(BinaryOp::Max | BinaryOp::Min | BinaryOp::Hypot) => {
            let name = cx.op(id).name();
            fail(id, Tri::Unknown, Tri::Unknown, inputs().all(|s| s.lipschitz), format!("{name} has kinks where its operands meet"))
        }
        Op::Binary(BinaryOp::Pow) => unknown("a power's gradient may grow without bound"),
        Op::Reduce(ReduceOp::Sum, _) => join(inputs()),
        Op::Reduce(ReduceOp::LogSumExp, _) => match f(0) {
            Some(s) if s.lipschitz && s.lipschitz_gradient.is_yes() => Smoothness::smooth(true),
            Some(s) => fail(id, s.differentiable, Tri::Unknown, s.lipschitz, "logsumexp of values with unbounded slopes"),
            None => unknown("has no operand"),
        },
        Op::Reduce(ReduceOp::Max | ReduceOp::Min, _) => {
            let name = cx.op(id).name();
            fail(id, Tri::Unknown, Tri::Unknown, inputs().all(|s| s.lipschitz), format!("{name} has kinks where the largest changes"))
        }
        Op::MatMul => {
            let (a, b) = (cx.node(id).inputs[0], cx.node(id).inputs[1]);
            if cx.depends(a) && cx.depends(b) { product(cx, id, a, b) } else { join(inputs()) }
        }
        op if is_linear(cx, id) => {
            let _ = op;
            join(inputs())
        }
        Op::Select if cx.input(id, 0).is_some_and(|c| !cx.depends(c)) => join(inputs()),
        op => unknown(&format!("nothing is known of the derivative of {}", op.name())),
    }
}

fn product(cx: &Cx<'_>, id: NodeId, a: NodeId, b: NodeId) -> Smoothness {
    let (x, y) = (&cx.f(a).smoothness, &cx.f(b).smoothness);
    if !cx.depends(a) {
        return y.clone();
    }
    if !cx.depends(b) {
        return x.clone();
    }
    let good = |n: NodeId, s: &Smoothness| s.lipschitz && s.lipschitz_gradient.is_yes() && cx.range(n).is_bounded();
    if good(a, x) && good(b, y) {
        return Smoothness::smooth(true);
    }
    fail(id, x.differentiable.and(y.differentiable), Tri::Unknown, false, "the gradient of a product of unbounded factors may grow without bound")
}

/// Ops that move or add elements with constant positions: linear in all operands that may depend on the variables.
pub(crate) fn is_linear(cx: &Cx<'_>, id: NodeId) -> bool {
    let constant = |k: usize| cx.input(id, k).is_none_or(|i| !cx.depends(i));
    match cx.op(id) {
        Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice { .. } | Op::Pad { .. } | Op::Concat { .. } => true,
        Op::Reverse { .. } | Op::Diagonal | Op::DiagMatrix | Op::NoGrad(_) => true,
        Op::Cumulative { op: gradus_ir::Cumulative::Sum, .. } => true,
        Op::Take { .. } | Op::TakeAlong { .. } | Op::ScatterAdd { .. } | Op::ScatterAddAlong { .. } | Op::ScatterSet { .. } => constant(1),
        _ => false,
    }
}
