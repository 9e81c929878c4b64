//! Forms that neither overflow nor lose small numbers. These also run before differentiation.

use super::{Rule, as_product, as_sum, at, first, lin, node, of_unary, one_plus, prod, un};
use crate::sea::Sop;
use crate::space::{Term, View};
use egg::Id;
use gradus_ir::{Op, ReduceOp, UnaryOp};

/// The operand, where the form is that unary op.
fn is(op: &Sop, kids: &[Id], u: UnaryOp) -> Option<Id> {
    match (op.ir(), kids) {
        (Some(Op::Unary(w)), [x]) if *w == u => Some(*x),
        _ => None,
    }
}

/// Axes and `x`, where the class is `sum(exp x)`.
fn sum_exp(v: &dyn View, id: Id) -> Option<(Vec<usize>, Id)> {
    first(v, id, |op, kids| match (op.ir(), kids) {
        (Some(Op::Reduce(ReduceOp::Sum, axes)), [e]) => of_unary(v, *e, UnaryOp::Exp).map(|x| (axes.clone(), x)),
        _ => None,
    })
}

fn lse(axes: Vec<usize>, x: Id) -> Term {
    node(Op::Reduce(ReduceOp::LogSumExp, axes), vec![at(x)])
}

fn log_sum_exp(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(s) = is(op, kids, UnaryOp::Log) else { return Vec::new() };
    if let Some((axes, x)) = sum_exp(v, s) {
        return vec![lse(axes, x)];
    }
    // Scaled, as in the log of a mean.
    let scaled = first(v, s, |op, kids| match as_sum(op, kids, v) {
        Some((t, 0.0)) if t.len() == 1 && t[0].0 > 0.0 => Some(t[0]),
        _ => None,
    });
    match scaled.and_then(|(c, k)| sum_exp(v, k).map(|(axes, x)| (c, axes, x))) {
        Some((c, axes, x)) => vec![lin(vec![(1.0, lse(axes, x))], c.ln())],
        None => Vec::new(),
    }
}

fn softplus(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let e = match is(op, kids, UnaryOp::Log) {
        Some(s) => one_plus(v, s, 1.0),
        None => is(op, kids, UnaryOp::Log1p),
    };
    match e.and_then(|e| of_unary(v, e, UnaryOp::Exp)) {
        Some(x) => vec![un(UnaryOp::Softplus, at(x))],
        None => Vec::new(),
    }
}

fn log_sigmoid(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match is(op, kids, UnaryOp::Log).and_then(|s| of_unary(v, s, UnaryOp::Sigmoid)) {
        Some(x) => vec![un(UnaryOp::Neg, un(UnaryOp::Softplus, un(UnaryOp::Neg, at(x))))],
        None => Vec::new(),
    }
}

fn log_one_minus_sigmoid(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let s = is(op, kids, UnaryOp::Log).and_then(|s| one_plus(v, s, -1.0));
    match s.and_then(|s| of_unary(v, s, UnaryOp::Sigmoid)) {
        Some(x) => vec![un(UnaryOp::Neg, un(UnaryOp::Softplus, at(x)))],
        None => Vec::new(),
    }
}

/// The log of a class that is `sum(exp y)`, possibly reshaped or stretched.
fn log_of_sum_exp(v: &dyn View, id: Id, depth: usize) -> Option<Term> {
    if let Some((axes, y)) = sum_exp(v, id) {
        return Some(lse(axes, y));
    }
    if depth == 0 {
        return None;
    }
    first(v, id, |op, kids| match (op.ir(), kids) {
        (Some(op @ (Op::Reshape(_) | Op::Broadcast(_))), [k]) => {
            log_of_sum_exp(v, *k, depth - 1).map(|t| node(op.clone(), vec![t]))
        }
        _ => None,
    })
}

fn log_softmax(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(q) = is(op, kids, UnaryOp::Log) else { return Vec::new() };
    let found = first(v, q, |op, kids| {
        let f = as_product(op, kids, v)?;
        let up = f.iter().find(|(_, e)| *e == 1)?;
        let down = f.iter().find(|(_, e)| *e == -1)?;
        if f.len() != 2 {
            return None;
        }
        let x = of_unary(v, up.0, UnaryOp::Exp)?;
        Some(lin(vec![(1.0, at(x)), (-1.0, log_of_sum_exp(v, down.0, 3)?)], 0.0))
    });
    found.into_iter().collect()
}

fn norm_squared(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(mut factors) = as_product(op, kids, v) else { return Vec::new() };
    for k in 0..factors.len() {
        let (root, e) = factors[k];
        // sqrt(x) is NaN for negative x, where x^1 would not be: then nothing is lost, but x must be what it stands for.
        if e % 2 == 0
            && let Some(x) = of_unary(v, root, UnaryOp::Sqrt)
            && v.fact(x).values.nonneg()
        {
            factors[k] = (x, e / 2);
            return vec![prod(factors.into_iter().map(|(k, e)| (at(k), e)).collect())];
        }
    }
    Vec::new()
}

fn log1p(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let x = is(op, kids, UnaryOp::Log).and_then(|s| one_plus(v, s, 1.0));
    x.map(|x| un(UnaryOp::Log1p, at(x))).into_iter().collect()
}

fn expm1(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match as_sum(op, kids, v) {
        Some((t, -1.0)) if t.len() == 1 && t[0].0 == 1.0 => {
            of_unary(v, t[0].1, UnaryOp::Exp).map(|x| un(UnaryOp::Expm1, at(x))).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn sigmoid(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(f) = as_product(op, kids, v) else { return Vec::new() };
    let find = |e: i32| f.iter().position(|(k, d)| *d == e && (e > 0 || one_plus(v, *k, 1.0).is_some()));
    let Some(down) = find(-1) else { return Vec::new() };
    let Some(x) = one_plus(v, f[down].0, 1.0).and_then(|e| of_unary(v, e, UnaryOp::Exp)) else { return Vec::new() };
    let others = |skip: &[usize], s: Term| {
        let mut all: Vec<(Term, i32)> =
            f.iter().enumerate().filter(|(k, _)| !skip.contains(k)).map(|(_, (k, e))| (at(*k), *e)).collect();
        all.push((s, 1));
        vec![if all.len() == 1 { all.remove(0).0 } else { prod(all) }]
    };
    // exp(x) / (1 + exp x)
    let up = f.iter().position(|(k, e)| {
        *e == 1 && of_unary(v, *k, UnaryOp::Exp).is_some_and(|y| v.find(y) == v.find(x))
    });
    match up {
        Some(up) => others(&[up, down], un(UnaryOp::Sigmoid, at(x))),
        None => others(&[down], un(UnaryOp::Sigmoid, un(UnaryOp::Neg, at(x)))),
    }
}

fn one_minus_sigmoid(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match as_sum(op, kids, v) {
        Some((t, 1.0)) if t.len() == 1 && t[0].0 == -1.0 => of_unary(v, t[0].1, UnaryOp::Sigmoid)
            .map(|x| un(UnaryOp::Sigmoid, un(UnaryOp::Neg, at(x))))
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

pub const RULES: &[Rule] = &[
    rule!("stable/log-sum-exp", directed Real, Stable, [Unary(U::Log)], log_sum_exp, "exp overflows beyond 709 although the log of the sum does not",
        ["x:5": "(log (sum (exp x)))" => "(lse x)",
         "x:4,3": "(log (sum1 (exp x)))" => "(lse1 x)",
         "x:5": "(log (mul 0.2 (sum (exp x))))" => "(sub (lse x) 1.6094379124341003)"],
        ["x:5": "(log (mul -0.2 (sum (exp x))))" => "(sub (lse x) 1.6094379124341003)"]),
    rule!("stable/softplus", directed Real, Stable, [Unary(U::Log), Unary(U::Log1p)], softplus, "exp overflows beyond 709, and 1 + exp(x) rounds to 1 below -37",
        ["x:5": "(log (add 1 (exp x)))" => "(softplus x)", "x:5": "(log1p (exp x))" => "(softplus x)"],
        ["x:5": "(log (add 2 (exp x)))" => "(softplus x)"]),
    rule!("stable/log-sigmoid", directed Real, Stable, [Unary(U::Log)], log_sigmoid, "sigmoid underflows to 0 below -745, where its log is still x",
        ["x:5": "(log (sigmoid x))" => "(neg (softplus (neg x)))"], []),
    rule!("stable/log-one-minus-sigmoid", directed Real, Stable, [Unary(U::Log)], log_one_minus_sigmoid, "1 - sigmoid(x) is 0 beyond 37, where its log is still -x",
        ["x:5": "(log (sub 1 (sigmoid x)))" => "(neg (softplus x))"], []),
    rule!("stable/log-softmax", directed Real, Stable, [Unary(U::Log)], log_softmax, "a softmax underflows to 0 where its log is an ordinary number",
        ["x:5": "(log (div (exp x) (sum (exp x))))" => "(sub x (lse x))",
         "x:4,3": "(log (div (exp x) (col (sum1 (exp x)))))" => "(sub x (col (lse1 x)))"],
        ["x:5 y:1": "(log (div (exp x) y))" => "(sub x (log y))"]),
    rule!("stable/norm-squared", directed Real, Stable, [Product], norm_squared, "the norm has no derivative at 0, its square has",
        ["x:5": "(square (sqrt (sum (square x))))" => "(sum (square x))",
         "x:5": "(pow (sqrt (sum (abs x))) 4)" => "(square (sum (abs x)))"],
        ["x:5": "(square (sqrt x))" => "x"]),
    rule!("stable/log1p", directed Real, Stable, [Unary(U::Log)], log1p, "1 + x loses the digits of a small x",
        ["x:5": "(log (add 1 x))" => "(log1p x)"], ["x:5": "(log (add 2 x))" => "(log1p x)"]),
    rule!("stable/expm1", directed Real, Stable, [Sum], expm1, "exp(x) - 1 loses the digits of a small x",
        ["x:5": "(sub (exp x) 1)" => "(expm1 x)"], ["x:5": "(add (exp x) 1)" => "(expm1 x)"]),
    rule!("stable/sigmoid", directed Real, Stable, [Product], sigmoid, "one function in place of three, and no overflow",
        ["x:5": "(div 1 (add 1 (exp (neg x))))" => "(sigmoid x)",
         "x:5": "(div (exp x) (add 1 (exp x)))" => "(sigmoid x)",
         "x:5 y:5": "(div y (add 1 (exp (neg x))))" => "(mul y (sigmoid x))"],
        ["x:5": "(div 1 (add 2 (exp (neg x))))" => "(sigmoid x)"]),
    rule!("stable/one-minus-sigmoid", directed Real, Stable, [Sum], one_minus_sigmoid, "1 - sigmoid(x) loses the digits of a small difference",
        ["x:5": "(sub 1 (sigmoid x))" => "(sigmoid (neg x))"], ["x:5": "(add 1 (sigmoid x))" => "(sigmoid (neg x))"]),
];
