//! Forms that neither overflow nor lose small numbers. These also run before differentiation.

use super::{Rule, as_product, as_sum, at, lin, linear, of_unary, one_plus, prod, un};
use crate::sea::Sop;
use crate::space::{Term, View};
use egg::Id;
use gradus_ir::{Op, UnaryOp};

/// The operand, where the form is that unary op.
fn is(op: &Sop, kids: &[Id], u: UnaryOp) -> Option<Id> {
    match (op.ir(), kids) {
        (Some(Op::Unary(w)), [x]) if *w == u => Some(*x),
        _ => None,
    }
}

fn softplus(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match is(op, kids, UnaryOp::Log1p).and_then(|e| of_unary(v, e, UnaryOp::Exp)) {
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
    let Some(s) = is(op, kids, UnaryOp::Log) else { return Vec::new() };
    match linear(v, s) {
        (t, 1.0) if t.len() == 1 => vec![un(UnaryOp::Log1p, lin(vec![(t[0].0, at(t[0].1))], 0.0))],
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
    rule!("stable/softplus", directed Real, Stable, [Unary(U::Log1p)], softplus, "exp overflows beyond 709, and 1 + exp(x) rounds to 1 below -37",
        ["x:5": "(log1p (exp x))" => "(softplus x)"], ["x:5": "(log1p (expm1 x))" => "(softplus x)"]),
    rule!("stable/log-sigmoid", directed Real, Stable, [Unary(U::Log)], log_sigmoid, "sigmoid underflows to 0 below -745, where its log is still x",
        ["x:5": "(log (sigmoid x))" => "(neg (softplus (neg x)))"], []),
    rule!("stable/log-one-minus-sigmoid", directed Real, Stable, [Unary(U::Log)], log_one_minus_sigmoid, "1 - sigmoid(x) is 0 beyond 37, where its log is still -x",
        ["x:5": "(log (sub 1 (sigmoid x)))" => "(neg (softplus x))"], []),
    rule!("stable/norm-squared", directed Real, Stable, [Product], norm_squared, "the norm has no derivative at 0, its square has",
        ["x:5": "(square (sqrt (sum (square x))))" => "(sum (square x))",
         "x:5": "(pow (sqrt (sum (abs x))) 4)" => "(square (sum (abs x)))"],
        ["x:5": "(square (sqrt x))" => "x"]),
    rule!("stable/log1p", directed Real, Stable, [Unary(U::Log)], log1p, "1 + x loses the digits of a small x",
        ["x:5": "(log (add 1 x))" => "(log1p x)", "x:5": "(log (sub 1 (mul 3 x)))" => "(log1p (mul -3 x))"], ["x:5": "(log (add 2 x))" => "(log1p x)"]),
    rule!("stable/sigmoid", directed Real, Stable, [Product], sigmoid, "one function in place of three, and no overflow",
        ["x:5": "(div 1 (add 1 (exp (neg x))))" => "(sigmoid x)",
         "x:5": "(div (exp x) (add 1 (exp x)))" => "(sigmoid x)",
         "x:5 y:5": "(div y (add 1 (exp (neg x))))" => "(mul y (sigmoid x))"],
        ["x:5": "(div 1 (add 2 (exp (neg x))))" => "(sigmoid x)"]),
    rule!("stable/one-minus-sigmoid", directed Real, Stable, [Sum], one_minus_sigmoid, "1 - sigmoid(x) loses the digits of a small difference",
        ["x:5": "(sub 1 (sigmoid x))" => "(sigmoid (neg x))"], ["x:5": "(add 1 (sigmoid x))" => "(sigmoid (neg x))"]),
];
