//! Maxima, minima, clips and choices. A NaN goes through `max` and `min`, and makes a comparison false.

use super::{Rule, as_product, as_sum, at, first, lin, linear, node, nothing, of_unary, opposite, un};
use crate::sea::Sop;
use crate::space::{Term, View};
use egg::Id;
use gradus_ir::{BinaryOp, DType, F64, Op, UnaryOp};

/// The operands, where the form is that binary op.
fn binary(v: &dyn View, op: &Sop, kids: &[Id]) -> Option<(BinaryOp, Id, Id)> {
    match (op.ir(), kids) {
        (Some(Op::Binary(b)), [x, y]) => Some((*b, v.find(*x), v.find(*y))),
        _ => None,
    }
}

/// `max` (true) or `min` and its operands.
fn extreme(v: &dyn View, op: &Sop, kids: &[Id]) -> Option<(bool, Id, Id)> {
    match binary(v, op, kids)? {
        (BinaryOp::Max, x, y) => Some((true, x, y)),
        (BinaryOp::Min, x, y) => Some((false, x, y)),
        _ => None,
    }
}

/// The operands of the forms of a class that are `max` (or `min`).
fn extremes(v: &dyn View, id: Id, larger: bool) -> Vec<(Id, Id)> {
    let mut out = Vec::new();
    v.forms(id, &mut |op, kids| {
        if let Some((l, x, y)) = extreme(v, op, kids)
            && l == larger
        {
            v.used(id, op, kids);
            out.push((x, y));
        }
    });
    out
}

fn of(larger: bool, x: Term, y: Term) -> Term {
    node(Op::Binary(if larger { BinaryOp::Max } else { BinaryOp::Min }), vec![x, y])
}

fn number(v: &dyn View, id: Id) -> Option<f64> {
    v.fact(id).constant.map(|c| c.get())
}

fn real(v: &dyn View, id: Id) -> bool {
    v.fact(id).dtype() == DType::Real
}

fn same(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match extreme(v, op, kids) {
        Some((_, x, y)) if x == y => vec![at(x)],
        _ => nothing(),
    }
}

/// An operand that the other is never beyond.
fn known(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((larger, x, y)) = extreme(v, op, kids) else { return nothing() };
    let covers = |x: Id, y: Id| {
        let (a, b) = (v.fact(x).values, v.fact(y).values);
        // The other must not be NaN, which would go through.
        b.never_nan() && if larger { a.least() >= b.greatest() } else { a.greatest() <= b.least() }
    };
    [(x, y), (y, x)].into_iter().filter(|(x, y)| covers(*x, *y)).map(|(x, _)| at(x)).take(1).collect()
}

fn again(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((larger, x, y)) = extreme(v, op, kids) else { return nothing() };
    for (m, z) in [(x, y), (y, x)] {
        for (a, b) in extremes(v, m, larger) {
            if a == z || b == z {
                return vec![at(m)];
            }
            let (Some(d), numbers) = (number(v, z), [(a, number(v, b)), (b, number(v, a))]) else { continue };
            for (t, c) in numbers {
                let Some(c) = c.filter(|_| number(v, t).is_none() && real(v, t)) else { continue };
                let both = if c.is_nan() || d.is_nan() { f64::NAN } else if larger { c.max(d) } else { c.min(d) };
                return vec![of(larger, at(t), Term::Real(both))];
            }
        }
    }
    nothing()
}

fn absorb(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((larger, x, y)) = extreme(v, op, kids) else { return nothing() };
    for (z, m) in [(x, y), (y, x)] {
        for (a, b) in extremes(v, m, !larger) {
            let other = if a == z { b } else { a };
            if (a == z || b == z) && v.fact(other).values.never_nan() {
                return vec![at(z)];
            }
        }
    }
    nothing()
}

/// `max(min(t, b), c)` and `min(max(t, c), b)` are one for numbers `c <= b`.
fn clip_order(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((larger, x, y)) = extreme(v, op, kids) else { return nothing() };
    for (m, k) in [(x, y), (y, x)] {
        let Some(outer) = number(v, k) else { continue };
        for (a, b) in extremes(v, m, !larger) {
            for (t, k) in [(a, b), (b, a)] {
                let Some(inner) = number(v, k).filter(|_| number(v, t).is_none() && real(v, t)) else { continue };
                let ordered = if larger { outer <= inner } else { inner <= outer };
                if ordered {
                    return vec![of(!larger, of(larger, at(t), Term::Real(outer)), Term::Real(inner))];
                }
                if v.fact(t).values.never_nan() && !inner.is_nan() && !outer.is_nan() {
                    return vec![Term::Real(outer)];
                }
            }
        }
    }
    nothing()
}

/// A clip to the same bounds, whatever they are: `min(max(min(max(x, l), h), l), h)`, and the other way round.
fn clip_again(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((larger, x, y)) = extreme(v, op, kids) else { return nothing() };
    for (p, h) in [(x, y), (y, x)] {
        for (a, b) in extremes(v, p, !larger) {
            for (q, l) in [(a, b), (b, a)] {
                let inner = extremes(v, q, larger).into_iter().find_map(|(a, b)| match (a == h, b == h) {
                    (true, _) => Some(b),
                    (_, true) => Some(a),
                    _ => None,
                });
                let clipped = inner.is_some_and(|r| extremes(v, r, !larger).iter().any(|(a, b)| *a == l || *b == l));
                if clipped {
                    return vec![at(q)];
                }
            }
        }
    }
    nothing()
}

fn abs(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match extreme(v, op, kids) {
        Some((larger, x, y)) if real(v, x) && real(v, y) && opposite(v, x, y) => {
            vec![lin(vec![(if larger { 1.0 } else { -1.0 }, un(UnaryOp::Abs, at(x)))], 0.0)]
        }
        _ => nothing(),
    }
}

/// `x` and whether the class is `max(x, 0)`; else it is `min(x, 0)`.
fn part(v: &dyn View, id: Id) -> Option<(Id, bool)> {
    let zero = |k: Id| number(v, k) == Some(0.0);
    for larger in [true, false] {
        for (a, b) in extremes(v, id, larger) {
            if zero(b) && real(v, a) {
                return Some((a, larger));
            }
            if zero(a) && real(v, b) {
                return Some((b, larger));
            }
        }
    }
    None
}

/// The positive and the negative part together.
fn parts(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((terms, constant)) = as_sum(op, kids, v) else { return nothing() };
    let found: Vec<(usize, f64, Id, bool)> =
        terms.iter().enumerate().filter_map(|(k, (c, t))| part(v, *t).map(|(x, up)| (k, *c, x, up))).collect();
    for (n, (i, c, x, up)) in found.iter().enumerate() {
        for (j, d, y, other) in &found[n + 1..] {
            let opposed = if up == other { opposite(v, *x, *y) } else { x == y };
            // The coefficient of the parts of x and of -x, as positive parts.
            let d = if up == other { -*d } else { *d };
            let whole = if !opposed {
                continue;
            } else if d == *c {
                (*c, at(*x))
            } else if d == -*c {
                (if *up { *c } else { -*c }, un(UnaryOp::Abs, at(*x)))
            } else {
                continue;
            };
            let mut out: Vec<(f64, Term)> =
                terms.iter().enumerate().filter(|(k, _)| k != i && k != j).map(|(_, (c, k))| (*c, at(*k))).collect();
            out.push(whole);
            return vec![lin(out, constant)];
        }
    }
    nothing()
}

fn scale_out(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((larger, x, y)) = extreme(v, op, kids) else { return nothing() };
    match (super::scaled(v, x), super::scaled(v, y)) {
        (Some((c, a)), Some((d, b))) if c == d && c != 0.0 && c.is_finite() => {
            vec![lin(vec![(c, of(larger == (c > 0.0), at(a), at(b)))], 0.0)]
        }
        _ => nothing(),
    }
}

/// A term that both operands have.
fn shift_out(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((larger, x, y)) = extreme(v, op, kids) else { return nothing() };
    if !real(v, x) || !real(v, y) {
        return nothing();
    }
    let ((a, c), (b, d)) = (linear(v, x), linear(v, y));
    let common: Vec<(f64, Id)> = a.iter().copied().filter(|t| b.contains(t)).collect();
    let rest = |t: &[(f64, Id)]| -> Vec<(f64, Id)> { t.iter().copied().filter(|t| !common.contains(t)).collect() };
    let (a, b) = (rest(&a), rest(&b));
    // Otherwise nothing is saved.
    if common.is_empty() || a.len() + usize::from(c != 0.0) > 1 || b.len() + usize::from(d != 0.0) > 1 {
        return nothing();
    }
    let side = |t: Vec<(f64, Id)>, c: f64| if t.is_empty() { Term::Real(c) } else { lin(t.into_iter().map(|(c, k)| (c, at(k))).collect(), c) };
    let mut out: Vec<(f64, Term)> = common.iter().map(|(c, k)| (*c, at(*k))).collect();
    out.push((1.0, of(larger, side(a, c), side(b, d))));
    vec![lin(out, 0.0)]
}

/// Increasing functions; of those with a domain only where both operands are in it.
fn monotone(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    use UnaryOp::*;
    let Some((larger, x, y)) = extreme(v, op, kids) else { return nothing() };
    for u in [Exp, Expm1, Tanh, Sigmoid, Softplus, Erf, Atan, Sinh, Log, Log1p, Sqrt] {
        if let (Some(a), Some(b)) = (of_unary(v, x, u), of_unary(v, y, u)) {
            let inside = |k: Id| !matches!(u, Log | Log1p | Sqrt) || v.fact(k).values.nonneg();
            if inside(a) && inside(b) && real(v, a) && real(v, b) {
                return vec![un(u, of(larger, at(a), at(b)))];
            }
        }
    }
    nothing()
}

fn choice(v: &dyn View, op: &Sop, kids: &[Id]) -> Option<(Id, Id, Id)> {
    match (op.ir(), kids) {
        (Some(Op::Select), [c, a, b]) => Some((v.find(*c), v.find(*a), v.find(*b))),
        _ => None,
    }
}

fn choices(v: &dyn View, id: Id) -> Option<(Id, Id, Id)> {
    first(v, id, |op, kids| choice(v, op, kids))
}

fn select(c: Term, a: Term, b: Term) -> Term {
    node(Op::Select, vec![c, a, b])
}

fn equal_branches(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match choice(v, op, kids) {
        Some((_, a, b)) if a == b => vec![at(a)],
        _ => nothing(),
    }
}

/// What a comparison always comes out as.
fn outcome(v: &dyn View, op: &Sop, kids: &[Id]) -> Option<bool> {
    let (b, x, y) = binary(v, op, kids)?;
    crate::value::compared(b, v.fact(x).values, v.fact(y).values)
}

fn known_condition(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((c, a, b)) = choice(v, op, kids) else { return nothing() };
    let known = match number(v, c) {
        Some(x) => Some(x != 0.0),
        None => first(v, c, |op, kids| outcome(v, op, kids)),
    };
    known.map(|yes| at(if yes { a } else { b })).into_iter().collect()
}

fn known_comparison(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let known = outcome(v, op, kids);
    known.map(|k| node(Op::Const(F64::new(f64::from(u8::from(k))), DType::Bool), Vec::new())).into_iter().collect()
}

fn negated(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((c, a, b)) = choice(v, op, kids) else { return nothing() };
    of_unary(v, c, UnaryOp::Not).map(|c| select(at(c), at(b), at(a))).into_iter().collect()
}

/// A choice by the same condition inside a choice.
fn choice_again(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((c, a, b)) = choice(v, op, kids) else { return nothing() };
    let shape = v.fact(c).shape().clone();
    let fits = |k: Id| v.fact(k).shape() == &shape || v.fact(k).shape().is_scalar();
    if let Some((d, x, _)) = choices(v, a)
        && d == c
        && fits(x)
    {
        return vec![select(at(c), at(x), at(b))];
    }
    if let Some((d, _, y)) = choices(v, b)
        && d == c
        && fits(y)
    {
        return vec![select(at(c), at(a), at(y))];
    }
    nothing()
}

/// Two masks of one condition that do not overlap.
fn merge_choices(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((terms, constant)) = as_sum(op, kids, v) else { return nothing() };
    let found: Vec<(usize, f64, (Id, Id, Id))> = terms
        .iter()
        .enumerate()
        .filter_map(|(k, (c, t))| choices(v, *t).map(|s| (k, *c, s)))
        .filter(|(_, _, (_, a, b))| real(v, *a) && real(v, *b))
        .collect();
    let zero = |k: Id| number(v, k) == Some(0.0);
    let times = |c: f64, k: Id| if c == 1.0 { at(k) } else { lin(vec![(c, at(k))], 0.0) };
    for (n, (i, c, (p, a, b))) in found.iter().enumerate() {
        for (j, d, (q, x, y)) in &found[n + 1..] {
            let merged = if p != q {
                continue;
            } else if zero(*b) && zero(*x) {
                select(at(*p), times(*c, *a), times(*d, *y))
            } else if zero(*a) && zero(*y) {
                select(at(*p), times(*d, *x), times(*c, *b))
            } else {
                continue;
            };
            let mut out: Vec<(f64, Term)> =
                terms.iter().enumerate().filter(|(k, _)| k != i && k != j).map(|(_, (c, k))| (*c, at(*k))).collect();
            out.push((1.0, merged));
            return vec![lin(out, constant)];
        }
    }
    nothing()
}

/// `x if x > y else y`; a NaN of `x` would have been hidden.
fn compared(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    use BinaryOp::*;
    let Some((c, a, b)) = choice(v, op, kids) else { return nothing() };
    if !real(v, a) || !real(v, b) || !v.fact(a).values.never_nan() {
        return nothing();
    }
    let found = first(v, c, |op, kids| {
        let (o, x, y) = binary(v, op, kids)?;
        let larger = match o {
            Gt | Ge => true,
            Lt | Le => false,
            _ => return None,
        };
        match ((x, y) == (a, b), (x, y) == (b, a)) {
            (true, _) => Some(larger),
            (_, true) => Some(!larger),
            _ => None,
        }
    });
    found.map(|larger| of(larger, at(a), at(b))).into_iter().collect()
}

/// Soft thresholding: `sign(x) max(|x| - t, 0)` is what a clip to `[-t, t]` leaves.
fn soft(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(f) = as_product(op, kids, v) else { return nothing() };
    for (i, (s, e)) in f.iter().enumerate() {
        let Some(x) = of_unary(v, *s, UnaryOp::Sign).filter(|_| *e == 1) else { continue };
        for (j, (m, d)) in f.iter().enumerate() {
            let Some((y, true)) = part(v, *m).filter(|_| *d == 1 && i != j) else { continue };
            let (terms, constant) = linear(v, y);
            let size = terms.iter().position(|(c, k)| *c == 1.0 && of_unary(v, *k, UnaryOp::Abs).map(|z| v.find(z)) == Some(v.find(x)));
            let Some(size) = size else { continue };
            let (t, known) = match (terms.as_slice(), constant) {
                ([_], c) if c <= 0.0 => (Term::Real(-c), true),
                ([_, _], 0.0) => {
                    let (c, k) = terms[1 - size];
                    let w = v.fact(k).values;
                    (lin(vec![(-c, at(k))], 0.0), c < 0.0 && w.nonneg() && w.never_nan())
                }
                _ => continue,
            };
            if !known {
                continue;
            }
            let clip = of(false, of(true, at(x), lin(vec![(-1.0, t.clone())], 0.0)), t);
            let whole = lin(vec![(1.0, at(x)), (-1.0, clip)], 0.0);
            if f.len() == 2 {
                return vec![whole];
            }
            let mut rest: Vec<(Term, i32)> =
                f.iter().enumerate().filter(|(k, _)| *k != i && *k != j).map(|(_, (k, e))| (at(*k), *e)).collect();
            rest.push((whole, 1));
            return vec![super::prod(rest)];
        }
    }
    nothing()
}

pub const RULES: &[Rule] = &[
    rule!("piecewise/same", Exact, Piecewise, [Binary(B::Max), Binary(B::Min)], same, "the larger of two equals is both",
        ["x:5": "(max (exp x) (exp x))" => "(exp x)", "x:5": "(min x x)" => "x"], ["x:5 y:5": "(max x y)" => "x"]),
    rule!("piecewise/known", Exact, Piecewise, [Binary(B::Max), Binary(B::Min)], known, "a bound that always holds needs no test",
        ["x:5": "(max (square x) 0)" => "(square x)", "x:5": "(max -2 (tanh x))" => "(tanh x)", "x:5": "(min (sigmoid x) 1)" => "(sigmoid x)"],
        ["x:5": "(max x 0)" => "x", "x:5": "(max (square x) 0.5)" => "(square x)", "x:5": "(max 2 (tanh x))" => "2"]),
    rule!("piecewise/again", Exact, Piecewise, [Binary(B::Max), Binary(B::Min)], again, "one bound in place of two",
        ["x:5": "(max (max x 1) 2)" => "(max x 2)", "x:5": "(min 3 (min 1 x))" => "(min x 1)", "x:5 y:5": "(max (max x y) x)" => "(max x y)"],
        ["x:5": "(max (min x 1) 2)" => "(max x 2)", "x:5 y:5 z:5": "(max (max x y) z)" => "(max x y)"]),
    rule!("piecewise/absorb", Exact, Piecewise, [Binary(B::Max), Binary(B::Min)], absorb, "the smaller of two is not beyond either",
        ["x:5 y:5": "(max x (min x (sign (is_nan y))))" => "x", "x:5": "(min x (max 3 x))" => "x"], ["x:5 y:5": "(max x (min x y))" => "x"]),
    rule!("piecewise/clip-order", Exact, Piecewise, [Binary(B::Max), Binary(B::Min)], clip_order, "bounds in one order can be merged",
        ["x:5": "(max (min x 2) 1)" => "(min (max x 1) 2)", "x:5": "(min (max x -1) 1)" => "(max (min x 1) -1)"],
        ["x:5": "(max (min x 1) 2)" => "(min (max x 2) 1)", "x:5": "(max (min x 1) 2)" => "(fill5 2)"]),
    rule!("piecewise/clip-again", Exact, Piecewise, [Binary(B::Max), Binary(B::Min)], clip_again, "a clip of a clip to the same bounds is the clip",
        ["x:5 l: h:": "(min (max (min (max x l) h) l) h)" => "(min (max x l) h)",
         "x:5 l: h:": "(max (min (max (min x h) l) h) l)" => "(max (min x h) l)"],
        ["x:5 l: h: k:": "(min (max (min (max x l) h) k) h)" => "(min (max x l) h)"]),
    rule!("piecewise/abs", Real, Piecewise, [Binary(B::Max), Binary(B::Min)], abs, "the larger of a number and its negative is its size",
        ["x:5": "(max x (neg x))" => "(abs x)", "x:5": "(min x (neg x))" => "(neg (abs x))", "x:5 y:5": "(max (sub x y) (sub y x))" => "(abs (sub x y))"],
        ["x:5": "(max x (mul -2 x))" => "(abs x)"]),
    rule!("piecewise/parts", Real, Piecewise, [Sum], parts, "the positive and the negative part make the number, or its size",
        ["x:5": "(sub (max x 0) (max (neg x) 0))" => "x", "x:5": "(add (max x 0) (max (neg x) 0))" => "(abs x)",
         "x:5": "(add (max x 0) (min x 0))" => "x", "x:5": "(sub (min x 0) (max 0 x))" => "(neg (abs x))",
         "x:5 y:5": "(sub (add y (mul 2 (max x 0))) (mul 2 (max (neg x) 0)))" => "(add y (mul 2 x))",
         "x:5": "(add (min x 0) (min (neg x) 0))" => "(neg (abs x))"],
        ["x:5": "(sub (max x 0) (max (neg x) 1))" => "x", "x:5 y:5": "(sub (max x 0) (max (neg y) 0))" => "x"]),
    rule!("piecewise/scale-out", Real, Piecewise, [Binary(B::Max), Binary(B::Min)], scale_out, "one product in place of two",
        ["x:5 y:5": "(max (mul 3 x) (mul 3 y))" => "(mul 3 (max x y))", "x:5 y:5": "(max (neg x) (neg y))" => "(neg (min x y))"],
        ["x:5 y:5": "(max (mul 3 x) (mul 2 y))" => "(mul 3 (max x y))"]),
    rule!("piecewise/shift-out", Real, Piecewise, [Binary(B::Max), Binary(B::Min)], shift_out, "one sum in place of two",
        ["x:5 y:5 z:5": "(max (add x z) (add y z))" => "(add z (max x y))", "x:5 z:5": "(min (sub x z) (sub 1 z))" => "(sub (min x 1) z)"],
        ["x:5 y:5 z:5": "(max (add x z) (sub y z))" => "(add z (max x y))"]),
    rule!("piecewise/monotone", Real, Piecewise, [Binary(B::Max), Binary(B::Min)], monotone, "one function in place of two",
        ["x:5 y:5": "(max (exp x) (exp y))" => "(exp (max x y))", "x:5 y:5": "(min (sqrt (abs x)) (sqrt (square y)))" => "(sqrt (min (abs x) (square y)))"],
        ["x:5 y:5": "(max (sin x) (sin y))" => "(sin (max x y))", "x:5 y:5": "(max (log x) (log y))" => "(log (max x y))"]),
    rule!("piecewise/equal-branches", Exact, Piecewise, [Select], equal_branches, "both branches are the same",
        ["x:5 y:5": "(select (lt x y) (exp x) (exp x))" => "(exp x)"], ["x:5 y:5": "(select (lt x y) x y)" => "x"]),
    rule!("piecewise/known-condition", Exact, Piecewise, [Select], known_condition, "the branch is known",
        ["x:5 y:5": "(select (lt (fill5 0) 1) x y)" => "x", "x:5 y:5": "(select (lt (fill5 1) 0) x y)" => "y"],
        ["x:5 y:5": "(select (lt x 1) x y)" => "x"]),
    rule!("piecewise/known-comparison", Exact, Piecewise,
        [Binary(B::Lt), Binary(B::Le), Binary(B::Gt), Binary(B::Ge), Binary(B::Eq), Binary(B::Ne)], known_comparison,
        "a comparison that always comes out the same needs none",
        ["x:5": "(to_real (lt (square x) 0))" => "(to_real (lt (fill5 1) 0))", "x:5": "(to_real (le (to_real (is_nan x)) 1))" => "(to_real (le (fill5 0) 1))",
         "x:5": "(to_real (eq (exp x) -1))" => "(to_real (lt (fill5 1) 0))", "x:5": "(to_real (ne (exp x) -1))" => "(to_real (le (fill5 0) 1))"],
        ["x:5": "(to_real (ge (square x) 0))" => "(to_real (le (fill5 0) 1))", "x:5": "(to_real (gt (square x) 0))" => "(to_real (le (fill5 0) 1))",
         "x:5": "(to_real (lt (tanh x) 1))" => "(to_real (le (fill5 0) 1))"]),
    rule!("piecewise/negated", Exact, Piecewise, [Select], negated, "the branches trade places",
        ["x:5 y:5": "(select (not (lt x y)) x y)" => "(select (lt x y) y x)"], []),
    rule!("piecewise/choice-again", Exact, Piecewise, [Select], choice_again, "the condition is known inside the branch",
        ["x:5 y:5 z:5": "(select (lt x y) (select (lt x y) x y) z)" => "(select (lt x y) x z)",
         "x:5 y:5 z:5": "(select (lt x y) z (select (lt x y) x y))" => "(select (lt x y) z y)"],
        ["x:5 y:5 z:5": "(select (lt x y) (select (lt y x) x y) z)" => "(select (lt x y) x z)"]),
    rule!("piecewise/merge-choices", Real, Piecewise, [Sum], merge_choices, "two masks that do not overlap are one choice",
        ["x:5 y:5 z:5": "(add (select (lt x y) z 0) (select (lt x y) 0 x))" => "(select (lt x y) z x)",
         "x:5 y:5 z:5": "(sub (select (lt x y) 0 z) (select (lt x y) x 0))" => "(select (lt x y) (neg x) z)"],
        ["x:5 y:5 z:5": "(add (select (lt x y) z 0) (select (lt y x) 0 x))" => "(select (lt x y) z x)",
         "x:5 y:5 z:5": "(add (select (lt x y) z 1) (select (lt x y) 0 x))" => "(select (lt x y) z x)"]),
    rule!("piecewise/compared", Real, Piecewise, [Select], compared, "the larger of two needs no mask",
        ["x:5 y:5": "(select (gt (to_real (is_nan x)) (to_real (is_nan y))) (to_real (is_nan x)) (to_real (is_nan y)))"
            => "(max (to_real (is_nan x)) (to_real (is_nan y)))",
         "x:5 y:5": "(select (lt (to_real (is_nan x)) y) (to_real (is_nan x)) y)" => "(min (to_real (is_nan x)) y)"],
        ["x:5 y:5": "(select (gt x y) x y)" => "(max x y)"]),
    rule!("piecewise/soft", Real, Piecewise, [Product], soft, "a clip in place of sign, size and product",
        ["x:5": "(mul (sign x) (max (sub (abs x) 0.5) 0))" => "(sub x (min (max x -0.5) 0.5))",
         "x:5 y:5": "(div (mul (sign x) (max (sub (abs x) 0.5) 0)) y)" => "(div (sub x (min (max x -0.5) 0.5)) y)"],
        ["x:5 t:": "(mul (sign x) (max (sub (abs x) t) 0))" => "(sub x (min (max x (neg t)) t))",
         "x:5": "(mul (sign x) (max (add (abs x) 0.5) 0))" => "(sub x (min (max x 0.5) -0.5))"]),
];
