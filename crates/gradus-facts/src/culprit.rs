//! The innermost sub-expression that keeps a function from being convex (concave, affine), and the rule it breaks.

use crate::context::Cx;
use crate::curvature::scaled;
use crate::interval::Interval;
use crate::kinds::Curvature;
use crate::print::expression;
use crate::smooth::is_linear;
use crate::unary;
use gradus_ir::{BinaryOp, NodeId, Op, ReduceOp, UnaryOp};

/// Why a property is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Culprit {
    /// The innermost offending node.
    pub node: NodeId,
    /// It as an expression.
    pub expression: String,
    /// What was wanted of this node (inside a decreasing function, the opposite of what was asked).
    pub wanted: Curvature,
    /// The composition rule that failed.
    pub rule: String,
    /// A rewrite that would pass, where one is known.
    pub hint: Option<String>,
}

/// Where to look next, or what is wrong here.
enum Step {
    Into(NodeId, Curvature),
    Here(String, Option<String>),
}

pub(crate) fn culprit(cx: &Cx<'_>, id: NodeId, want: Curvature) -> Option<Culprit> {
    if cx.curvature(id).meets(want) {
        return None;
    }
    let (mut node, mut wanted) = (id, want);
    // Every step goes to an earlier node.
    loop {
        let next = if wanted == Curvature::Affine { affine(cx, node) } else { bent(cx, node, wanted) };
        match next {
            Step::Into(n, w) if n < node && !cx.curvature(n).meets(w) => (node, wanted) = (n, w),
            Step::Into(..) => return Some(found(cx, node, wanted, "no rule shows it".into(), None)),
            Step::Here(rule, hint) => return Some(found(cx, node, wanted, rule, hint)),
        }
    }
}

fn found(cx: &Cx<'_>, node: NodeId, wanted: Curvature, rule: String, hint: Option<String>) -> Culprit {
    Culprit { node, expression: expression(cx, node), wanted, rule, hint }
}

fn affine(cx: &Cx<'_>, id: NodeId) -> Step {
    match cx.node(id).inputs.iter().find(|i| !cx.is_affine(**i)) {
        Some(i) => Step::Into(*i, Curvature::Affine),
        None => Step::Here(format!("{} is not affine in values that depend on the variables", name(cx, id)), None),
    }
}

fn name(cx: &Cx<'_>, id: NodeId) -> String {
    match cx.op(id) {
        Op::Binary(BinaryOp::Mul) | Op::MatMul => "a product".into(),
        Op::Binary(BinaryOp::Div) => "a quotient".into(),
        op => format!("`{}`", op.name()),
    }
}

fn bent(cx: &Cx<'_>, id: NodeId, want: Curvature) -> Step {
    let combo = &cx.combos[id.index()];
    if combo.terms.iter().all(|(l, _)| *l != id) {
        let failing = combo.terms.iter().find(|(l, c)| !scaled(cx.curvature(*l), Interval::point(*c)).meets(want));
        return match failing {
            Some((l, c)) => Step::Into(*l, if *c > 0.0 { want } else { want.flipped() }),
            None => Step::Here("the sum is of unknown curvature".into(), None),
        };
    }
    let inputs = &cx.node(id).inputs;
    let live: Vec<NodeId> = inputs.iter().copied().filter(|i| cx.depends(*i)).collect();
    let failing = |w: Curvature| live.iter().find(|i| !cx.curvature(**i).meets(w)).map(|i| Step::Into(*i, w));
    let here = |rule: String, hint: Option<&str>| Step::Here(rule, hint.map(str::to_string));
    let (one, only) = (inputs.first().copied(), live.len() == 1);
    match cx.op(id) {
        Op::Unary(u) => match one {
            Some(x) => unary_step(cx, *u, x, want),
            None => here("an op without operand".into(), None),
        },
        Op::Binary(BinaryOp::Max) | Op::Reduce(ReduceOp::Max | ReduceOp::LogSumExp, _) if want == Curvature::Concave => {
            here(format!("{} is convex; a concave value is wanted here", name(cx, id)), None)
        }
        Op::Binary(BinaryOp::Min) | Op::Reduce(ReduceOp::Min, _) if want == Curvature::Convex => {
            here(format!("{} is concave; a convex value is wanted here", name(cx, id)), Some("use `max`, or ask for the largest value of a concave objective"))
        }
        Op::Binary(BinaryOp::Max | BinaryOp::Min) | Op::Reduce(ReduceOp::Max | ReduceOp::Min | ReduceOp::LogSumExp | ReduceOp::Sum, _) => {
            failing(want).unwrap_or_else(|| here("no rule shows it".into(), None))
        }
        Op::Binary(BinaryOp::Mul | BinaryOp::Div) | Op::MatMul if only && (live[0] == inputs[0] || !matches!(cx.op(id), Op::Binary(BinaryOp::Div))) => {
            let constant = if live[0] == inputs[0] { inputs[1] } else { inputs[0] };
            let r = cx.range(constant);
            match (r.is_nonneg(), r.is_nonpos()) {
                _ if cx.forms[id.index()].is_some() && cx.f(id).degree == Some(2) && cx.curvature(live[0]).is_affine() => here("its quadratic form is not known to be definite".into(), Some("a matrix `X' @ X`, a covariance or `diag` of nonnegative numbers is known to be positive semidefinite")),
                (true, _) => Step::Into(live[0], want),
                (_, true) => Step::Into(live[0], want.flipped()),
                _ => here(
                    format!("the sign of the constant factor `{}` is not known", expression(cx, constant)),
                    Some("give the factor a known sign, e.g. `abs(c)`, or bind it before the check (a run knows its value)"),
                ),
            }
        }
        Op::Binary(BinaryOp::Mul) | Op::MatMul => product(cx, id, want),
        Op::Binary(BinaryOp::Div) => here(
            "a quotient whose divisor depends on the variables is convex only as a square over a positive affine value".into(),
            Some("keep the divisor positive (declare the variable's set), or multiply it out"),
        ),
        Op::Binary(BinaryOp::Pow) => here(
            "a power is convex only with an exponent that is a number: at least 1 or negative on nonnegative values, or even".into(),
            None,
        ),
        Op::Select => here(
            "a choice that depends on the variables is convex only where the pieces meet with rising slopes".into(),
            Some("write it with `max`, `abs` or `huber`"),
        ),
        Op::Loop(l) => here(format!("the curvature of a loop (`{}`) is not analyzed", l.label), None),
        _ if is_linear(cx, id) => failing(want).unwrap_or_else(|| here("no rule shows it".into(), None)),
        op => here(format!("there is no curvature rule for `{}`", op.name()), None),
    }
}

fn product(cx: &Cx<'_>, id: NodeId, want: Curvature) -> Step {
    let rule = match cx.f(id).degree {
        Some(2) => "a product of two affine values that both depend on the variables is neither convex nor concave unless it is a square",
        _ => "a product of two values that both depend on the variables has no sign of curvature in general",
    };
    let squared = matches!(cx.node(id).inputs.as_slice(), [a, b] if a == b);
    if squared && want == Curvature::Concave {
        return Step::Here("a square is convex; a concave value is wanted here".into(), None);
    }
    let hint = "fix one factor (it is then affine in the other), or, for positive factors, work with their logarithms";
    Step::Here(rule.into(), Some(hint.into()))
}

fn unary_step(cx: &Cx<'_>, u: UnaryOp, x: NodeId, want: Curvature) -> Step {
    let r = cx.range(x);
    let s = unary::shape(u, r);
    let arg = cx.curvature(x);
    let wanted = if want == Curvature::Convex { (s.convex, "convex") } else { (s.concave, "concave") };
    if !wanted.0 {
        let (rule, hint) = match (s.convex, s.concave) {
            (true, false) => (format!("`{}` is convex; a concave value is wanted here", u.name()), None),
            (false, true) => (format!("`{}` is concave; a convex value is wanted here", u.name()), concave_hint(u)),
            _ => (format!("`{}` is neither convex nor concave on {r}", u.name()), neither_hint(u)),
        };
        return Step::Here(rule, hint.map(str::to_string));
    }
    let inner = match (s.increasing, s.decreasing) {
        (true, _) => want,
        (_, true) => want.flipped(),
        _ if arg == Curvature::Unknown => return Step::Into(x, Curvature::Affine),
        _ => {
            let rule = format!("`{}` is {} but not monotone on {r}, so its argument must be affine; it is {arg}", u.name(), wanted.1);
            let hint = match u {
                UnaryOp::Square | UnaryOp::Abs if arg == Curvature::Convex => Some("where the argument is nonnegative, say so: square `max(0, …)`"),
                _ => None,
            };
            return Step::Here(rule, hint.map(str::to_string));
        }
    };
    if arg.is_affine() || arg.meets(inner) {
        return Step::Here("no rule shows it".into(), None);
    }
    if arg == inner.flipped() && arg != Curvature::Unknown {
        let direction = if s.increasing { "nondecreasing" } else { "nonincreasing" };
        return Step::Here(format!("`{}` is {} and {direction}, so its argument must be {inner}; it is {arg}", u.name(), wanted.1), None);
    }
    Step::Into(x, inner)
}

fn concave_hint(u: UnaryOp) -> Option<&'static str> {
    match u {
        UnaryOp::Log => Some("a log-likelihood is to be maximized: use `max`, or minimize `-log(…)`"),
        UnaryOp::Sqrt => Some("the root of a sum of squares of affine values is a norm and convex; drop the root, or write the argument as such a sum"),
        _ => None,
    }
}

fn neither_hint(u: UnaryOp) -> Option<&'static str> {
    match u {
        UnaryOp::Sigmoid => Some("`-log(sigmoid(z))` is convex, `sigmoid(z)` is not"),
        UnaryOp::Recip => Some("with a positive argument `1/x` is convex: keep the variable in a positive set"),
        _ => None,
    }
}
