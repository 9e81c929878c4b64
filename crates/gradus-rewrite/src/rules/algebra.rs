//! Elementwise algebra.

use super::{Rule, as_product, at, first, lin, of_unary, prod, un};
use crate::sea::Sop;
use crate::space::{Term, View};
use egg::Id;
use gradus_ir::{BinaryOp, Op, UnaryOp};

fn is(op: &Sop, kids: &[Id], u: UnaryOp) -> Option<Id> {
    match (op.ir(), kids) {
        (Some(Op::Unary(w)), [x]) if *w == u => Some(*x),
        _ => None,
    }
}

fn abs_nonneg(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match is(op, kids, UnaryOp::Abs) {
        Some(x) if v.fact(x).values.nonneg() => vec![at(x)],
        _ => Vec::new(),
    }
}

fn abs_neg(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(x) = is(op, kids, UnaryOp::Abs) else { return Vec::new() };
    let neg = first(v, x, |op, kids| match op {
        Sop::Lin { coeffs, constant } if constant.get() == 0.0 && coeffs.len() == 1 && coeffs[0].get() == -1.0 => {
            kids.first().copied()
        }
        _ => is(op, kids, UnaryOp::Neg),
    });
    neg.map(|y| un(UnaryOp::Abs, at(y))).into_iter().collect()
}

fn even_power(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    if let Some(x) = is(op, kids, UnaryOp::Square) {
        let inner = of_unary(v, x, UnaryOp::Abs).or_else(|| of_unary(v, x, UnaryOp::Neg));
        return inner.map(|y| un(UnaryOp::Square, at(y))).into_iter().collect();
    }
    let Sop::Prod(exps) = op else { return Vec::new() };
    let mut changed = false;
    let factors = kids
        .iter()
        .zip(exps)
        .map(|(k, e)| match of_unary(v, *k, UnaryOp::Abs) {
            Some(x) if e % 2 == 0 => {
                changed = true;
                (at(x), *e)
            }
            _ => (at(*k), *e),
        })
        .collect();
    if changed { vec![prod(factors)] } else { Vec::new() }
}

fn root_of_square(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(s) = is(op, kids, UnaryOp::Sqrt) else { return Vec::new() };
    let x = first(v, s, |op, kids| match as_product(op, kids, v)?.as_slice() {
        [(x, 2)] => Some(*x),
        _ => None,
    });
    x.map(|x| un(UnaryOp::Abs, at(x))).into_iter().collect()
}

fn exp_log(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match is(op, kids, UnaryOp::Exp).and_then(|l| of_unary(v, l, UnaryOp::Log)) {
        Some(x) if v.fact(x).values.nonneg() => vec![at(x)],
        _ => Vec::new(),
    }
}

fn exp_product(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Sop::Prod(exps) = op else { return Vec::new() };
    let mut sum = Vec::new();
    let mut rest = Vec::new();
    for (k, e) in kids.iter().zip(exps) {
        match of_unary(v, *k, UnaryOp::Exp) {
            Some(x) if e.abs() == 1 => sum.push((f64::from(*e), at(x))),
            _ => rest.push((at(*k), *e)),
        }
    }
    if sum.len() < 2 {
        return Vec::new();
    }
    rest.push((un(UnaryOp::Exp, lin(sum, 0.0)), 1));
    vec![prod(rest)]
}

fn sign_abs(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(f) = as_product(op, kids, v) else { return Vec::new() };
    for (k, (s, e)) in f.iter().enumerate() {
        let Some(x) = of_unary(v, *s, UnaryOp::Sign).filter(|_| *e == 1) else { continue };
        let abs = f.iter().position(|(a, e)| {
            *e == 1 && of_unary(v, *a, UnaryOp::Abs).is_some_and(|y| v.find(y) == v.find(x))
        });
        if let Some(j) = abs {
            if f.len() == 2 {
                return vec![at(x)];
            }
            let mut rest: Vec<(Term, i32)> =
                f.iter().enumerate().filter(|(i, _)| *i != k && *i != j).map(|(_, (k, e))| (at(*k), *e)).collect();
            rest.push((at(x), 1));
            return vec![prod(rest)];
        }
    }
    Vec::new()
}

fn root_power(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match (op.ir(), kids) {
        (Some(Op::Binary(BinaryOp::Pow)), [x, e])
            if v.fact(*e).constant.is_some_and(|c| c.get() == 0.5) && v.fact(*x).values.nonneg() =>
        {
            vec![un(UnaryOp::Sqrt, at(*x))]
        }
        _ => Vec::new(),
    }
}

/// Factors of a class, itself included.
fn factors(v: &dyn View, id: Id) -> Vec<(Id, i32)> {
    let id = v.find(id);
    first(v, id, |op, kids| match op {
        Sop::Prod(_) => as_product(op, kids, v),
        _ => None,
    })
    .unwrap_or_else(|| vec![(id, 1)])
}

fn factor_common(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Sop::Lin { coeffs, constant } = op else { return Vec::new() };
    if kids.len() < 2 {
        return Vec::new();
    }
    let split: Vec<Vec<(Id, i32)>> = kids.iter().map(|k| factors(v, *k)).collect();
    // The factor that most terms share; the earliest of equals.
    let mut best: Option<(usize, Id, i32)> = None;
    for f in &split {
        for (x, e) in f {
            let e = e.signum();
            let n = split.iter().filter(|g| g.iter().any(|(y, d)| y == x && d.signum() == e)).count();
            if n >= 2 && best.is_none_or(|(m, ..)| n > m) {
                best = Some((n, *x, e));
            }
        }
    }
    let Some((_, x, e)) = best else { return Vec::new() };
    let (mut inside, mut outside) = (Vec::new(), Vec::new());
    for ((c, k), f) in coeffs.iter().zip(kids).zip(&split) {
        if !f.iter().any(|(y, d)| *y == x && d.signum() == e) {
            outside.push((c.get(), at(*k)));
            continue;
        }
        let rest: Vec<(Term, i32)> = f
            .iter()
            .filter_map(|(y, d)| {
                let d = if *y == x && d.signum() == e { d - e } else { *d };
                (d != 0).then(|| (at(*y), d))
            })
            .collect();
        inside.push((c.get(), if rest.is_empty() { Term::Real(1.0) } else { prod(rest) }));
    }
    let factored = prod(vec![(at(x), e), (lin(inside, 0.0), 1)]);
    if outside.is_empty() && constant.get() == 0.0 {
        return vec![factored];
    }
    outside.push((1.0, factored));
    vec![lin(outside, constant.get())]
}

fn merge_sums(v: &dyn View, id: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Sop::Lin { coeffs, constant } = op else { return Vec::new() };
    for (k, kid) in kids.iter().enumerate() {
        let kid = v.find(*kid);
        if kid == id || v.fact(kid).shape() != v.fact(id).shape() {
            continue;
        }
        let inner = first(v, kid, |op, inner| match op {
            Sop::Lin { coeffs: c, constant: d } => {
                let shares = inner.iter().any(|x| kids.iter().any(|y| v.find(*x) == v.find(*y)));
                let both = d.get() != 0.0 && constant.get() != 0.0;
                (shares || both).then(|| (c.clone(), d.get(), inner.to_vec()))
            }
            _ => None,
        });
        let Some((c, d, inner)) = inner else { continue };
        let scale = coeffs[k].get();
        let mut terms: Vec<(f64, Term)> =
            coeffs.iter().zip(kids).enumerate().filter(|(j, _)| *j != k).map(|(_, (c, x))| (c.get(), at(*x))).collect();
        terms.extend(c.iter().zip(&inner).map(|(c, x)| (scale * c.get(), at(*x))));
        return vec![lin(terms, constant.get() + scale * d)];
    }
    Vec::new()
}

fn fold_constant(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let (Some(Op::Unary(u)), [x]) = (op.ir(), kids) else { return Vec::new() };
    let Some(c) = v.fact(*x).constant else { return Vec::new() };
    let c = c.get();
    let y = match u {
        UnaryOp::Exp => c.exp(),
        UnaryOp::Log => c.ln(),
        UnaryOp::Sqrt => c.sqrt(),
        UnaryOp::Log1p => c.ln_1p(),
        UnaryOp::Expm1 => c.exp_m1(),
        UnaryOp::Sin => c.sin(),
        UnaryOp::Cos => c.cos(),
        UnaryOp::Tanh => c.tanh(),
        UnaryOp::Abs => c.abs(),
        UnaryOp::Neg => -c,
        _ => return Vec::new(),
    };
    vec![Term::Real(y)]
}

/// What unions brought together after a sum or product was made: constants, scales, equal operands.
fn collect(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    if !matches!(op, Sop::Lin { .. } | Sop::Prod(_)) {
        return Vec::new();
    }
    let scaled = |k: Id| {
        first(v, k, |op, _| match op {
            Sop::Lin { coeffs, constant } if coeffs.len() == 1 && constant.get() == 0.0 => Some(()),
            _ => None,
        })
        .is_some()
    };
    // Sorted, so that long sums (and all their partial sums) cost no more than their lengths.
    let mut roots: Vec<Id> = kids.iter().map(|k| v.find(*k)).collect();
    roots.sort_unstable();
    let again = roots.windows(2).any(|w| w[0] == w[1]) || kids.iter().any(|k| v.fact(*k).constant.is_some() || scaled(*k));
    if again { vec![Term::Node(op.clone(), kids.iter().map(|k| at(*k)).collect())] } else { Vec::new() }
}

pub const RULES: &[Rule] = &[
    rule!("algebra/abs-nonneg", Exact, Algebra, [Unary(U::Abs)], abs_nonneg, "nothing to do where the sign is known",
        ["x:5": "(abs (square x))" => "(square x)", "x:5": "(abs (exp x))" => "(exp x)", "x:5": "(abs (abs x))" => "(abs x)"],
        ["x:5": "(abs x)" => "x", "x:5": "(abs (log x))" => "(log x)"]),
    rule!("algebra/abs-neg", Exact, Algebra, [Unary(U::Abs)], abs_neg, "the sign does not matter",
        ["x:5": "(abs (neg x))" => "(abs x)"], ["x:5": "(abs (sub 1 x))" => "(abs x)"]),
    rule!("algebra/even-power", Exact, Algebra, [Product], even_power, "the sign does not matter",
        ["x:5": "(square (abs x))" => "(square x)"], ["x:5": "(pow (abs x) 3)" => "(pow x 3)"]),
    rule!("algebra/root-of-square", directed Real, Algebra, [Unary(U::Sqrt)], root_of_square, "a square overflows where its root does not",
        ["x:5": "(sqrt (square x))" => "(abs x)"], ["x:5": "(sqrt (pow x 3))" => "(abs x)"]),
    rule!("algebra/exp-log", directed Real, Algebra, [Unary(U::Exp)], exp_log, "the functions undo each other",
        ["x:5": "(exp (log (square x)))" => "(square x)"], ["x:5": "(exp (log x))" => "x"]),
    rule!("algebra/exp-product", directed Real, Algebra, [Product], exp_product, "one exponential in place of two",
        ["x:5 y:5": "(mul (exp x) (exp y))" => "(exp (add x y))",
         "x:5 y:5 z:5": "(div (mul z (exp x)) (exp y))" => "(mul z (exp (sub x y)))"],
        ["x:5 y:5": "(mul (exp x) (sinh y))" => "(exp (add x y))"]),
    rule!("algebra/sign-abs", Exact, Algebra, [Product], sign_abs, "the sign and the size make the number",
        ["x:5": "(mul (sign x) (abs x))" => "x"], ["x:5 y:5": "(mul (sign x) (abs y))" => "x"]),
    rule!("algebra/root-power", Real, Algebra, [Binary(B::Pow)], root_power, "a root costs less than a power",
        ["x:5": "(pow (square x) 0.5)" => "(sqrt (square x))"], ["x:5": "(pow x 0.5)" => "(sqrt x)"]),
    rule!("algebra/factor-common", Real, Algebra, [Sum], factor_common, "one product in place of several",
        ["x:5 y:5 s:": "(add (mul s x) (mul s y))" => "(mul s (add x y))",
         "x:5 y:5 z:5 s:": "(sub (add (mul s x) z) (mul s y))" => "(add z (mul s (sub x y)))",
         "x:5 y:5 s:": "(add (div x s) (div y s))" => "(div (add x y) s)"],
        ["x:5 y:5 s:": "(add (mul s x) (div y s))" => "(mul s (add x y))"]),
    rule!("algebra/merge-sums", Real, Algebra, [Sum], merge_sums, "equal terms of a sum and of a sum within it are counted together",
        ["x:5 y:5": "(mul (add (add x y) y) (add x y))" => "(mul (add x (mul 2 y)) (add x y))"],
        ["x:5 y:5 z:5": "(mul (add (add x y) z) (add x y))" => "(mul (add (add x z) y) (add x y))"]),
    rule!("algebra/collect", Real, Algebra, [Sum, Product], collect, "constants and equal operands are counted together", [], []),
    rule!("algebra/fold-constant", Real, Algebra, [Unary(U::Exp), Unary(U::Log), Unary(U::Sqrt), Unary(U::Log1p), Unary(U::Expm1), Unary(U::Sin), Unary(U::Cos), Unary(U::Tanh), Unary(U::Abs)], fold_constant, "a constant is computed once, here",
        ["x:": "(exp 2)" => "7.38905609893065"], []),
];
