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

/// Of sums and other constant linear maps of several values. Kinks may cancel: a "no" stays one only where `kinks_stay`.
fn join<'s>(all: impl Iterator<Item = &'s Smoothness>, kinks_stay: bool) -> Smoothness {
    let mut s = Smoothness::smooth(true);
    for x in all {
        s.differentiable = s.differentiable.and(x.differentiable);
        s.lipschitz_gradient = s.lipschitz_gradient.and(x.lipschitz_gradient);
        s.lipschitz &= x.lipschitz;
        if s.reason.is_none() {
            s.reason = x.reason.clone();
        }
    }
    if !kinks_stay {
        let weak = |t: Tri| if t == Tri::No { Tri::Unknown } else { t };
        (s.differentiable, s.lipschitz_gradient) = (weak(s.differentiable), weak(s.lipschitz_gradient));
    }
    s
}

/// Do the kinks of the operands all turn the same way, or is there only one that has any?
fn kinks_stay(cx: &Cx<'_>, id: NodeId) -> bool {
    let inputs = &cx.node(id).inputs;
    let rough: Vec<NodeId> = inputs.iter().copied().filter(|i| !cx.f(*i).smoothness.differentiable.is_yes()).collect();
    match cx.op(id) {
        Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::NoGrad(_) | Op::Reverse { .. } => true,
        Op::Reduce(ReduceOp::Sum, _) => rough.iter().all(|i| cx.curvature(*i).is_convex()) || rough.iter().all(|i| cx.curvature(*i).is_concave()),
        Op::Binary(BinaryOp::Add | BinaryOp::Sub) => {
            let second_flips = matches!(cx.op(id), Op::Binary(BinaryOp::Sub));
            let turned = |i: &NodeId| if second_flips && inputs.get(1) == Some(i) { cx.curvature(*i).flipped() } else { cx.curvature(*i) };
            rough.len() == 1 || rough.iter().all(|i| turned(i).is_convex()) || rough.iter().all(|i| turned(i).is_concave())
        }
        _ => false,
    }
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
            // A kink passes through a function whose slope is nowhere zero.
            let passes = matches!(u, UnaryOp::Neg | UnaryOp::Exp | UnaryOp::Expm1 | UnaryOp::Log | UnaryOp::Log1p | UnaryOp::Softplus | UnaryOp::Sigmoid | UnaryOp::Tanh | UnaryOp::Sinh | UnaryOp::Atan);
            let d = if passes || s.differentiable != Tri::No { s.differentiable } else { Tri::Unknown };
            let mut out = fail(id, d, Tri::Unknown, shape.slope && s.lipschitz, format!("the slope of {} grows without bound", u.name()));
            if !s.lipschitz_gradient.is_yes() && s.reason.is_some() {
                out.reason = s.reason.clone();
            }
            out
        }
        Op::Binary(BinaryOp::Add | BinaryOp::Sub) => join(inputs(), kinks_stay(cx, id)),
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
            let d = if cx.range(b).nonzero && d != Tri::No { d } else { Tri::Unknown };
            fail(id, d, Tri::Unknown, false, "a quotient's gradient may grow where the divisor is small")
        }
        Op::Binary(BinaryOp::Max | BinaryOp::Min | BinaryOp::Hypot) => {
            let name = cx.op(id).name();
            fail(id, Tri::Unknown, Tri::Unknown, inputs().all(|s| s.lipschitz), format!("{name} has kinks where its operands meet"))
        }
        Op::Binary(BinaryOp::Pow) => unknown("a power's gradient may grow without bound"),
        Op::Reduce(ReduceOp::Sum, _) => join(inputs(), kinks_stay(cx, id)),
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
            if cx.depends(a) && cx.depends(b) { product(cx, id, a, b) } else { join(inputs(), kinks_stay(cx, id)) }
        }
        op if is_linear(cx, id) => {
            let _ = op;
            join(inputs(), kinks_stay(cx, id))
        }
        Op::Select if cx.input(id, 0).is_some_and(|c| !cx.depends(c)) => join(inputs(), kinks_stay(cx, id)),
        op => unknown(&format!("nothing is known of the derivative of {}", op.name())),
    }
}

fn product(cx: &Cx<'_>, id: NodeId, a: NodeId, b: NodeId) -> Smoothness {
    let (x, y) = (&cx.f(a).smoothness, &cx.f(b).smoothness);
    if !cx.depends(a) || !cx.depends(b) {
        let (s, constant) = if cx.depends(a) { (x, b) } else { (y, a) };
        let mut s = s.clone();
        // Times zero, a kink is gone.
        if !cx.range(constant).nonzero {
            let weak = |t: Tri| if t == Tri::No { Tri::Unknown } else { t };
            (s.differentiable, s.lipschitz_gradient) = (weak(s.differentiable), weak(s.lipschitz_gradient));
        }
        return s;
    }
    let good = |n: NodeId, s: &Smoothness| s.lipschitz && s.lipschitz_gradient.is_yes() && cx.range(n).is_bounded();
    if good(a, x) && good(b, y) {
        return Smoothness::smooth(true);
    }
    let d = x.differentiable.and(y.differentiable);
    // Where the other factor vanishes a kink does.
    let d = if d == Tri::No { Tri::Unknown } else { d };
    fail(id, d, Tri::Unknown, false, "the gradient of a product of unbounded factors may grow without bound")
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
