//! Exponentials and squares that overflow on the way to an ordinary number: softmax, sums of exponentials, powers under a
//! logarithm, lengths, variances. These also run before differentiation.

use super::{Rule, as_product, at, bare, factors_of, first, lin, linear, node, of_unary, one_plus, opposite, prod, scaled, sum, un};
use crate::sea::Sop;
use crate::space::{Term, View};
use egg::Id;
use gradus_ir::{BinaryOp, Dim, Op, ReduceOp, Shape, UnaryOp};

/// The operand, where the form is that unary op.
fn is(op: &Sop, kids: &[Id], u: UnaryOp) -> Option<Id> {
    match (op.ir(), kids) {
        (Some(Op::Unary(w)), [x]) if *w == u => Some(*x),
        _ => None,
    }
}

/// Axes and `x`, where the class is `sum(exp x)`.
pub(super) fn sum_exp(v: &dyn View, id: Id) -> Option<(Vec<usize>, Id)> {
    first(v, id, |op, kids| match (op.ir(), kids) {
        (Some(Op::Reduce(ReduceOp::Sum, axes)), [e]) => of_unary(v, *e, UnaryOp::Exp).map(|x| (axes.clone(), x)),
        _ => None,
    })
}

pub(super) fn lse(axes: Vec<usize>, x: Id) -> Term {
    node(Op::Reduce(ReduceOp::LogSumExp, axes), vec![at(x)])
}

/// The logarithm of a class and the `x` in it, where the class is `exp(x)` or `sum(exp x)`, possibly scaled, reshaped or stretched.
fn log_of(v: &dyn View, id: Id, depth: usize) -> Option<(Term, Id)> {
    if let Some(x) = of_unary(v, id, UnaryOp::Exp) {
        return Some((at(x), v.find(x)));
    }
    if let Some((axes, x)) = sum_exp(v, id) {
        return Some((lse(axes, x), v.find(x)));
    }
    if depth == 0 {
        return None;
    }
    if let Some((c, k)) = scaled(v, id).filter(|(c, k)| *c > 0.0 && c.is_finite() && v.fact(*k).shape() == v.fact(id).shape()) {
        return log_of(v, k, depth - 1).map(|(t, x)| (lin(vec![(1.0, t)], c.ln()), x));
    }
    first(v, id, |op, kids| match (op.ir(), kids) {
        (Some(op @ (Op::Reshape(_) | Op::Broadcast(_))), [k]) => {
            log_of(v, *k, depth - 1).map(|(t, x)| (node(op.clone(), vec![t]), x))
        }
        _ => None,
    })
}

/// Is the class a difference from a largest element, which cannot overflow under `exp`?
fn shifted(v: &dyn View, id: Id) -> bool {
    let is_max = |k: Id| {
        let mut k = v.find(k);
        for _ in 0..3 {
            if first(v, k, |op, _| matches!(op.ir(), Some(Op::Reduce(ReduceOp::Max, _))).then_some(())).is_some() {
                return true;
            }
            k = bare(v, k);
        }
        false
    };
    linear(v, id).0.iter().any(|(c, k)| *c < 0.0 && is_max(*k))
}

/// `exp(x) / sum(exp x)` as `exp(x - logsumexp x)`.
fn softmax(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(f) = factors_of(v, op, kids) else { return Vec::new() };
    for (i, (up, _)) in f.iter().enumerate().filter(|(_, (_, e))| *e == 1) {
        let Some(x) = of_unary(v, *up, UnaryOp::Exp) else { continue };
        for (j, (down, _)) in f.iter().enumerate().filter(|(_, (_, e))| *e == -1) {
            let same = |(_, y): &(Term, Id)| *y == v.find(x) && of_unary(v, *down, UnaryOp::Exp).is_none();
            let Some((l, _)) = log_of(v, *down, 4).filter(same) else { continue };
            if shifted(v, x) {
                continue;
            }
            let e = un(UnaryOp::Exp, lin(vec![(1.0, at(x)), (-1.0, l)], 0.0));
            if f.len() == 2 {
                return vec![e];
            }
            let mut rest: Vec<(Term, i32)> =
                f.iter().enumerate().filter(|(k, _)| *k != i && *k != j).map(|(_, (k, e))| (at(*k), *e)).collect();
            rest.push((e, 1));
            return vec![prod(rest)];
        }
    }
    Vec::new()
}

/// `log(exp x + exp y + c)` as a stable sum of exponentials over a new axis.
fn log_add_exp(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(s) = is(op, kids, UnaryOp::Log) else { return Vec::new() };
    let (terms, constant) = linear(v, s);
    if terms.len() > 8 || terms.iter().any(|(c, _)| *c <= 0.0) || constant < 0.0 || !constant.is_finite() {
        return Vec::new();
    }
    let mut logs = Vec::new();
    for (c, k) in &terms {
        let Some((l, _)) = log_of(v, *k, 3) else { return Vec::new() };
        logs.push(if *c == 1.0 { l } else { lin(vec![(1.0, l)], c.ln()) });
    }
    match logs.len() {
        1 if constant == 0.0 => vec![logs.remove(0)],
        1 => {
            let c = constant.ln();
            let x = if c == 0.0 { logs.remove(0) } else { lin(vec![(1.0, logs.remove(0))], -c) };
            let soft = un(UnaryOp::Softplus, x);
            vec![if c == 0.0 { soft } else { lin(vec![(1.0, soft)], c) }]
        }
        0 => Vec::new(),
        _ => {
            if constant > 0.0 {
                logs.push(Term::Real(constant.ln()));
            }
            let shape = v.fact(s).shape().clone();
            let row = Shape::new(std::iter::once(Dim::Known(1)).chain(shape.dims().iter().cloned()));
            let rows = logs
                .into_iter()
                .map(|l| node(Op::Reshape(row.clone()), vec![node(Op::Broadcast(shape.clone()), vec![l])]))
                .collect();
            vec![node(Op::Reduce(ReduceOp::LogSumExp, vec![0]), vec![node(Op::Concat { axis: 0 }, rows)])]
        }
    }
}

/// The logarithm of a product in which something has a logarithm that is known, or of a power.
fn log_of_product(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(s) = is(op, kids, UnaryOp::Log) else { return Vec::new() };
    let (scale, inner) = scaled(v, s).filter(|(c, _)| *c > 0.0).unwrap_or((1.0, v.find(s)));
    let root = of_unary(v, inner, UnaryOp::Sqrt);
    if let Some(x) = root {
        return vec![lin(vec![(0.5, un(UnaryOp::Log, at(x)))], scale.ln())];
    }
    let Some(f) = first(v, inner, |op, kids| factors_of(v, op, kids)) else { return Vec::new() };
    if let [(x, e)] = f.as_slice()
        && *e != 1
    {
        // 1 / -inf is zero, of which the log is not that of -inf.
        if *e < 0 && e % 2 != 0 && !v.fact(*x).values.nonneg() {
            return Vec::new();
        }
        let x = if e % 2 == 0 { un(UnaryOp::Abs, at(*x)) } else { at(*x) };
        return vec![lin(vec![(f64::from(*e), un(UnaryOp::Log, x))], scale.ln())];
    }
    let (mut terms, mut rest, mut constant) = (Vec::new(), Vec::new(), scale.ln());
    for (k, e) in &f {
        match (v.fact(*k).constant, log_of(v, *k, 3)) {
            (Some(c), _) if c.get() > 0.0 => constant += f64::from(*e) * c.get().ln(),
            (_, Some((l, _))) => terms.push((f64::from(*e), l)),
            _ => rest.push((at(*k), *e)),
        }
    }
    if terms.is_empty() {
        return Vec::new();
    }
    if !rest.is_empty() {
        terms.push((1.0, un(UnaryOp::Log, prod(rest))));
    }
    vec![lin(terms, constant)]
}

fn log_power(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(s) = is(op, kids, UnaryOp::Log) else { return Vec::new() };
    let found = first(v, s, |op, kids| match (op.ir(), kids) {
        (Some(Op::Binary(BinaryOp::Pow)), [x, p]) => {
            let c = v.fact(*p).constant?.get();
            // An even power makes a negative number positive, and any but an odd one minus infinity.
            let safe = c > 0.0 && c % 2.0 == 1.0 || v.fact(*x).values.nonneg();
            (c.is_finite() && c != 0.0 && safe).then_some((*x, c))
        }
        _ => None,
    });
    found.map(|(x, c)| lin(vec![(c, un(UnaryOp::Log, at(x)))], 0.0)).into_iter().collect()
}

fn log_of_reduced_product(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(s) = is(op, kids, UnaryOp::Log) else { return Vec::new() };
    let found = first(v, s, |op, kids| match (op.ir(), kids) {
        (Some(Op::Reduce(ReduceOp::Prod, axes)), [x]) if v.fact(*x).values.nonneg() => Some((axes.clone(), *x)),
        _ => None,
    });
    found.map(|(axes, x)| sum(&axes, un(UnaryOp::Log, at(x)))).into_iter().collect()
}

/// `c exp(x) - c` as `c expm1(x)`.
fn expm1(v: &dyn View, id: Id, op: &Sop, _: &[Id]) -> Vec<Term> {
    // One level of a scale is a sum too, of which this would be no part.
    if matches!(op, Sop::Lin { coeffs, constant } if coeffs.len() != 1 || constant.get() == 0.0) {
        return Vec::new();
    }
    match linear(v, id) {
        (t, c) if t.len() == 1 && c != 0.0 && t[0].0 == -c => match of_unary(v, t[0].1, UnaryOp::Exp) {
            Some(x) => vec![lin(vec![(t[0].0, un(UnaryOp::Expm1, at(x)))], 0.0)],
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// `exp x` and `exp(-x)` of a class that is their sum (sign 1) or difference (sign -1): `x`.
fn two_sided(v: &dyn View, id: Id, sign: f64) -> Option<Id> {
    match linear(v, id) {
        (t, 0.0) if t.len() == 2 => {
            let exp = |k: Id| of_unary(v, k, UnaryOp::Exp);
            let (x, y) = (exp(t[0].1)?, exp(t[1].1)?);
            let (x, y, c) = if t[0].0 == 1.0 { (x, y, t[1].0) } else { (y, x, t[0].0) };
            let one = t.iter().any(|(c, _)| *c == 1.0);
            (one && c == sign && opposite(v, x, y)).then(|| v.find(x))
        }
        _ => None,
    }
}

fn tanh(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(f) = as_product(op, kids, v) else { return Vec::new() };
    let (Some((up, 1)), Some((down, -1))) = (f.iter().find(|(_, e)| *e == 1), f.iter().find(|(_, e)| *e == -1)) else {
        return Vec::new();
    };
    if f.len() != 2 {
        return Vec::new();
    }
    // (exp x - exp(-x)) / (exp x + exp(-x))
    if let (Some(x), Some(y)) = (two_sided(v, *up, -1.0), two_sided(v, *down, 1.0))
        && (v.find(x) == v.find(y) || opposite(v, x, y))
    {
        return vec![un(UnaryOp::Tanh, at(x))];
    }
    // expm1(y) / (1 + exp y)
    let (c, e) = scaled(v, *up).unwrap_or((1.0, v.find(*up)));
    match (of_unary(v, e, UnaryOp::Expm1), one_plus(v, *down, 1.0).and_then(|k| of_unary(v, k, UnaryOp::Exp))) {
        (Some(y), Some(z)) if v.find(y) == v.find(z) => {
            vec![lin(vec![(c, un(UnaryOp::Tanh, lin(vec![(0.5, at(y))], 0.0)))], 0.0)]
        }
        _ => Vec::new(),
    }
}

fn square_of(v: &dyn View, id: Id) -> Option<Id> {
    first(v, id, |op, kids| match as_product(op, kids, v)?.as_slice() {
        [(x, 2)] => Some(v.find(*x)),
        [(x, 1), (y, 1)] if v.find(*x) == v.find(*y) => Some(v.find(*x)),
        _ => None,
    })
}

fn hypot(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(s) = is(op, kids, UnaryOp::Sqrt) else { return Vec::new() };
    match linear(v, s) {
        (t, 0.0) if t.len() == 2 && t.iter().all(|(c, _)| *c == 1.0) => {
            match (square_of(v, t[0].1), square_of(v, t[1].1)) {
                (Some(x), Some(y)) => vec![node(Op::Binary(BinaryOp::Hypot), vec![at(x), at(y)])],
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// `c (sum(x^2) - sum(x)^2 / n)` as `c sum((x - sum(x) / n)^2)`: two passes, and nothing cancels.
fn variance(v: &dyn View, id: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    // Of sums within sums the innermost.
    if as_sum_of_two(v, op, kids).is_none() {
        return Vec::new();
    }
    let (terms, constant) = linear(v, id);
    for (i, (c1, k)) in terms.iter().enumerate() {
        let total = |k: Id| {
            first(v, k, |op, kids| match (op.ir(), kids) {
                (Some(Op::Reduce(ReduceOp::Sum, axes)), [x]) => Some((axes.clone(), v.find(*x))),
                _ => None,
            })
        };
        let Some((axes, squares)) = total(*k) else { continue };
        let Some(x) = square_of(v, squares) else { continue };
        for (j, (c2, p)) in terms.iter().enumerate() {
            let Some(mean) = square_of(v, *p).filter(|_| i != j) else { continue };
            let (d, s) = scaled(v, mean).unwrap_or((1.0, mean));
            if total(s) != Some((axes.clone(), x)) {
                continue;
            }
            let full = v.fact(x).shape().clone();
            let count: Option<i64> = axes.iter().map(|a| full.dims().get(*a).and_then(|d| d.known())).product();
            let Some(n) = count.filter(|n| *n > 0).map(|n| n as f64) else { continue };
            if !((-c2 * d * d / c1 * n - 1.0).abs() < 1e-12) {
                continue;
            }
            let kept = Shape::new(
                full.dims().iter().enumerate().map(|(k, d)| if axes.contains(&k) { Dim::Known(1) } else { d.clone() }),
            );
            // Leading axes align by themselves.
            let leads = axes.iter().enumerate().all(|(k, a)| k == *a);
            let wide = if leads { at(s) } else { node(Op::Reshape(kept), vec![at(s)]) };
            let apart = un(UnaryOp::Square, lin(vec![(1.0, at(x)), (-1.0 / n, wide)], 0.0));
            let mut out: Vec<(f64, Term)> =
                terms.iter().enumerate().filter(|(k, _)| *k != i && *k != j).map(|(_, (c, k))| (*c, at(*k))).collect();
            out.push((*c1, sum(&axes, apart)));
            return vec![lin(out, constant)];
        }
    }
    Vec::new()
}

/// A sum of two operands at least.
fn as_sum_of_two(v: &dyn View, op: &Sop, kids: &[Id]) -> Option<()> {
    super::as_sum(op, kids, v).filter(|(t, _)| t.len() >= 2).map(|_| ())
}

pub const RULES: &[Rule] = &[
    rule!("stable/softmax", directed Real, Stable, [Product], softmax, "exp overflows beyond 709 although the quotient does not",
        ["x:5": "(div (exp x) (sum (exp x)))" => "(exp (sub x (lse x)))",
         "x:4,3": "(div (exp x) (col (sum1 (exp x))))" => "(exp (sub x (col (lse1 x))))",
         "x:5 y:5": "(div (mul y (exp x)) (sum (exp x)))" => "(mul y (exp (sub x (lse x))))",
         "x:5": "(div (exp x) (mul 0.2 (sum (exp x))))" => "(mul 5 (exp (sub x (lse x))))"],
        ["x:5 y:5": "(div (exp x) (sum (exp y)))" => "(exp (sub x (lse y)))",
         "x:5": "(div (exp (sub x (max0 x))) (sum (exp (sub x (max0 x)))))" => "(exp (sub (sub x (max0 x)) (lse (sub x (max0 x)))))"]),
    rule!("stable/log-add-exp", directed Real, Stable, [Unary(U::Log)], log_add_exp, "exp overflows beyond 709 although the log of the sum does not",
        ["x:5 y:5": "(log (add (exp x) (exp y)))" => "(lse0 (stack x y))",
         "x:5": "(log (exp x))" => "x",
         "x:5": "(log (sum (exp x)))" => "(lse x)",
         "x:4,3": "(log (sum1 (exp x)))" => "(lse1 x)",
         "x:5": "(log (mul 0.2 (sum (exp x))))" => "(sub (lse x) 1.6094379124341003)",
         "x:5": "(log (add 1 (exp x)))" => "(softplus x)",
         "x:5": "(log (add 2 (exp x)))" => "(add (softplus (sub x 0.6931471805599453)) 0.6931471805599453)",
         "x:5": "(log (add 1 (sum (exp x))))" => "(softplus (lse x))"],
        ["x:5": "(log (mul -0.2 (sum (exp x))))" => "(sub (lse x) 1.6094379124341003)",
         "x:5 y:5": "(log (sub (exp x) (exp y)))" => "(lse0 (stack x y))",
         "x:5 y:5": "(log (add (exp x) y))" => "(lse0 (stack x (log y)))"]),
    rule!("stable/log-of-product", directed Real, Stable, [Unary(U::Log)], log_of_product, "a product or power overflows where its log is an ordinary number",
        ["x:5": "(log (div (exp x) (sum (exp x))))" => "(sub x (lse x))",
         "x:4,3": "(log (div (exp x) (col (sum1 (exp x)))))" => "(sub x (col (lse1 x)))",
         "x:5 y:5": "(log (mul y (exp x)))" => "(add x (log y))",
         "x:5": "(log (square x))" => "(mul 2 (log (abs x)))",
         "x:5": "(log (recip (abs x)))" => "(neg (log (abs x)))",
         "x:5": "(log (mul 2 (sqrt x)))" => "(add (mul 0.5 (log x)) 0.6931471805599453)"],
        ["x:5 y:5": "(log (mul x y))" => "(add (log x) (log y))"]),
    rule!("stable/log-power", directed Real, Stable, [Unary(U::Log)], log_power, "a power overflows where its log is an ordinary number",
        ["x:5": "(log (pow (square x) 2.5))" => "(mul 2.5 (log (square x)))", "x:5": "(log (pow x 9))" => "(mul 9 (log x))", "x:5": "(log (pow (exp x) 10))" => "(mul 10 (log (exp x)))"],
        ["x:5": "(log (pow x 10))" => "(mul 10 (log x))", "x:5": "(log (pow x 2.5))" => "(mul 2.5 (log x))", "x:5 p:": "(log (pow x p))" => "(mul p (log x))"]),
    rule!("stable/log-of-reduced-product", directed Real, Stable, [Unary(U::Log)], log_of_reduced_product, "a product of many numbers overflows where the sum of their logs does not",
        ["x:5": "(log (prod (exp x)))" => "(sum (log (exp x)))", "x:4,3": "(log (prod1 (exp x)))" => "(sum1 (log (exp x)))"],
        ["x:5": "(log (prod x))" => "(sum (log x))"]),
    rule!("stable/expm1", directed Real, Stable, [Sum], expm1, "exp(x) - 1 loses the digits of a small x",
        ["x:5": "(sub (exp x) 1)" => "(expm1 x)", "x:5": "(sub 1 (exp x))" => "(neg (expm1 x))",
         "x:5": "(sub (mul 3 (exp x)) 3)" => "(mul 3 (expm1 x))"],
        ["x:5": "(add (exp x) 1)" => "(expm1 x)", "x:5": "(sub (exp x) 2)" => "(expm1 x)"]),
    rule!("stable/tanh", directed Real, Stable, [Product], tanh, "one function in place of two exponentials, and no overflow",
        ["x:5": "(div (sub (exp x) (exp (neg x))) (add (exp x) (exp (neg x))))" => "(tanh x)",
         "x:5": "(div (expm1 (mul 2 x)) (add 1 (exp (mul 2 x))))" => "(tanh x)"],
        ["x:5 y:5": "(div (sub (exp x) (exp y)) (add (exp x) (exp y)))" => "(tanh x)"]),
    rule!("stable/hypot", directed Real, Stable, [Unary(U::Sqrt)], hypot, "a square overflows where the length does not",
        ["x:5 y:5": "(sqrt (add (square x) (square y)))" => "(hypot x y)"],
        ["x:5 y:5": "(sqrt (sub (square x) (square y)))" => "(hypot x y)", "x:5": "(sqrt (add (square x) 1))" => "(hypot x 1)"]),
    rule!("stable/variance", directed Real, Stable, [Sum], variance, "a mean of squares less a squared mean cancels",
        ["x:5": "(sub (mul 0.2 (sum (square x))) (square (mul 0.2 (sum x))))" => "(mul 0.2 (sum (square (sub x (mul 0.2 (sum x))))))",
         "x:4,3": "(sub (div (sum0 (square x)) 4) (square (div (sum0 x) 4)))" => "(mul 0.25 (sum0 (square (sub x (mul 0.25 (sum0 x))))))"],
        ["x:5": "(sub (mul 0.2 (sum (square x))) (square (sum x)))" => "(mul 0.2 (sum (square (sub x (mul 0.2 (sum x))))))"]),
];
