//! Laws of logarithms and exponentials over sums and products of any length.

use crate::bank::Id;
use crate::form::{lin, prod, scaled};
use crate::index::Forms;
use crate::laws::Case;
use gradus_ir::{BinaryOp, DType, Dim, F64, Op, ReduceOp, Shape, UnaryOp};

type Done<T> = Result<T, String>;

/// Sums and products within one another.
const DEEPEST: usize = 8;

fn un(c: &mut Case<'_>, u: UnaryOp, x: Id) -> Done<Id> {
    c.bank.op_term(Op::Unary(u), &[x])
}

fn bin(c: &mut Case<'_>, b: BinaryOp, x: Id, y: Id) -> Done<Id> {
    c.bank.op_term(Op::Binary(b), &[x, y])
}

fn number(c: &mut Case<'_>, v: f64) -> Done<Id> {
    c.bank.op_term(Op::Const(F64::new(v), DType::Real), &[])
}

fn is(u: UnaryOp) -> impl Fn(&Op) -> bool {
    move |op| *op == Op::Unary(u)
}

/// `k * x + d`, written out.
fn affine(c: &mut Case<'_>, k: f64, x: Id, d: f64) -> Done<Id> {
    let k = number(c, k)?;
    let t = bin(c, BinaryOp::Mul, k, x)?;
    let d = number(c, d)?;
    bin(c, BinaryOp::Add, t, d)
}

fn fitted(c: &mut Case<'_>, x: Id, shape: &Shape) -> Done<Id> {
    if c.bank.ty(x).shape == *shape { Ok(x) } else { c.bank.op_term(Op::Broadcast(shape.clone()), &[x]) }
}

/// The logarithm of what is `exp(x)` or `sum(exp x)`, possibly scaled, reshaped or stretched.
fn log_of(c: &mut Case<'_>, id: Id, depth: usize) -> Done<Option<Id>> {
    if let Some(x) = c.of(id, is(UnaryOp::Exp)) {
        return Ok(Some(x));
    }
    if depth == 0 {
        return Ok(None);
    }
    if let Some((k, x)) = scaled(c.bank, id)
        && k > 0.0
    {
        return match log_of(c, x, depth - 1)? {
            Some(l) => affine(c, 1.0, l, k.ln()).map(Some),
            None => Ok(None),
        };
    }
    let (Some(op), Some(k)) = (c.op(id).cloned(), c.kid(id, 0)) else { return Ok(None) };
    match op {
        Op::Reduce(ReduceOp::Sum, axes) => match c.of(k, is(UnaryOp::Exp)) {
            Some(x) => c.bank.op_term(Op::Reduce(ReduceOp::LogSumExp, axes), &[x]).map(Some),
            None => Ok(None),
        },
        Op::Reshape(_) | Op::Broadcast(_) => match log_of(c, k, depth - 1)? {
            Some(l) => c.bank.op_term(op, &[l]).map(Some),
            None => Ok(None),
        },
        _ => Ok(None),
    }
}

/// Terms and constant of a sum, through sums and scales within it.
fn linear(c: &Case<'_>, id: Id) -> (Vec<(f64, Id)>, f64) {
    let (mut out, mut constant) = (Vec::new(), 0.0);
    let mut todo = vec![(1.0, id, 0)];
    while let Some((k, x, depth)) = todo.pop() {
        if let Some(v) = c.bank.constant(x) {
            constant += k * v;
            continue;
        }
        match lin(c.bank, x).filter(|_| depth < DEEPEST && !c.cut.contains(&x)) {
            Some((terms, d)) => {
                constant += k * d;
                todo.extend(terms.into_iter().map(|(e, y)| (k * e, y, depth + 1)));
            }
            None => out.push((k, x)),
        }
    }
    (out, constant)
}

/// Factors, through products within; and their scale.
fn factors(c: &Case<'_>, id: Id) -> (Vec<(Id, i32)>, f64) {
    let (mut out, mut scale) = (Vec::new(), 1.0);
    let mut todo = vec![(id, 1, 0)];
    while let Some((x, e, depth)) = todo.pop() {
        if let Some(v) = c.bank.constant(x).filter(|v| *v > 0.0) {
            scale *= v.powi(e);
            continue;
        }
        let inside = depth < DEEPEST && !c.cut.contains(&x);
        if let (true, Some((k, y))) = (inside, scaled(c.bank, x)) {
            scale *= k.powi(e);
            todo.push((y, e, depth + 1));
        } else if let (true, Some(f)) = (inside, prod(c.bank, x)) {
            todo.extend(f.into_iter().map(|(y, d)| (y, e * d, depth + 1)));
        } else {
            out.push((x, e));
        }
    }
    (out, scale)
}

/// `exp(x) / d` is `exp(x - log d)`, where d is a sum of exponentials; in a product with others too.
pub fn softmax(c: &mut Case<'_>) -> Done<bool> {
    let parts = c.parts();
    for up in &parts {
        let Some(x) = c.of(*up, is(UnaryOp::Exp)) else { continue };
        for down in &parts {
            if c.of(*down, is(UnaryOp::Exp)).is_some() {
                continue;
            }
            let Some(l) = log_of(c, *down, DEEPEST)? else { continue };
            let Ok(d) = bin(c, BinaryOp::Sub, x, l) else { continue };
            let new = un(c, UnaryOp::Exp, d)?;
            let Ok(old) = bin(c, BinaryOp::Div, *up, *down) else { continue };
            if Forms::new(c.bank, c.facts, c.cut).same_but_for(c.lhs, old, c.rhs, new)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// `log(sum of exponentials)` in a form that does not overflow.
pub fn log_add_exp(c: &mut Case<'_>) -> Done<bool> {
    let Some(s) = c.of(c.lhs, is(UnaryOp::Log)) else { return Ok(false) };
    let (terms, constant) = linear(c, s);
    if terms.is_empty() || terms.iter().any(|(k, _)| *k <= 0.0) || constant < 0.0 {
        return Ok(false);
    }
    let shape = c.bank.ty(c.rhs).shape.clone();
    let mut logs = Vec::new();
    for (k, x) in &terms {
        let Some(l) = log_of(c, *x, DEEPEST)? else { return Ok(false) };
        logs.push(if *k == 1.0 { l } else { affine(c, 1.0, l, k.ln())? });
    }
    if let [l] = logs.as_slice() {
        let want = if constant == 0.0 {
            *l
        } else {
            let x = affine(c, 1.0, *l, -constant.ln())?;
            let soft = un(c, UnaryOp::Softplus, x)?;
            affine(c, 1.0, soft, constant.ln())?
        };
        let want = fitted(c, want, &shape)?;
        return c.same(c.rhs, want);
    }
    if constant > 0.0 {
        let v = number(c, constant.ln())?;
        logs.push(v);
    }
    // Over a new axis, in any order.
    let rows = c.of(c.rhs, |op| *op == Op::Reduce(ReduceOp::LogSumExp, vec![0]));
    let Some(rows) = rows.filter(|r| matches!(c.op(*r), Some(Op::Concat { axis: 0 }))) else { return Ok(false) };
    let row = Shape::new(std::iter::once(Dim::Known(1)).chain(shape.dims().iter().cloned()));
    let mut left = Vec::new();
    for l in logs {
        let full = fitted(c, l, &shape)?;
        left.push(c.bank.op_term(Op::Reshape(row.clone()), &[full])?);
    }
    for r in c.bank.term(rows).kids.clone() {
        let mut at = None;
        for (k, l) in left.iter().enumerate() {
            if c.same(r, *l)? {
                at = Some(k);
                break;
            }
        }
        let Some(k) = at else { return Ok(false) };
        left.remove(k);
    }
    Ok(left.is_empty())
}

/// The logarithm of a product of which all but one factor have a logarithm that is known, or of one power.
pub fn log_of_product(c: &mut Case<'_>) -> Done<bool> {
    let Some(s) = c.of(c.lhs, is(UnaryOp::Log)) else { return Ok(false) };
    let shape = c.bank.ty(c.rhs).shape.clone();
    let (f, scale) = factors(c, s);
    if scale <= 0.0 {
        return Ok(false);
    }
    let want = match f.as_slice() {
        [(x, 1)] if c.of(*x, is(UnaryOp::Sqrt)).is_some() => {
            let x = c.kid(*x, 0).ok_or("a root of nothing")?;
            let l = un(c, UnaryOp::Log, x)?;
            affine(c, 0.5, l, scale.ln())?
        }
        [(x, e)] if *e != 1 && c.of(*x, is(UnaryOp::Exp)).is_none() => {
            // The logarithm of an even power is that of the size.
            let x = if e % 2 == 0 { un(c, UnaryOp::Abs, *x)? } else { *x };
            let l = un(c, UnaryOp::Log, x)?;
            affine(c, f64::from(*e), l, scale.ln())?
        }
        _ => {
            let mut total = number(c, scale.ln())?;
            let mut rest: Option<Id> = None;
            let mut found = false;
            for (x, e) in &f {
                match log_of(c, *x, DEEPEST)? {
                    Some(l) => {
                        found = true;
                        let t = affine(c, f64::from(*e), l, 0.0)?;
                        total = bin(c, BinaryOp::Add, total, t)?;
                    }
                    None => {
                        let e = number(c, f64::from(*e))?;
                        let p = bin(c, BinaryOp::Pow, *x, e)?;
                        rest = Some(match rest {
                            Some(r) => bin(c, BinaryOp::Mul, r, p)?,
                            None => p,
                        });
                    }
                }
            }
            if !found {
                return Ok(false);
            }
            match rest {
                Some(r) => {
                    let l = un(c, UnaryOp::Log, r)?;
                    bin(c, BinaryOp::Add, total, l)?
                }
                None => total,
            }
        }
    };
    let want = fitted(c, want, &shape)?;
    c.same(c.rhs, want)
}

/// `log(x^k)` is `k log x`, where the power of no negative number is positive.
pub fn log_power(c: &mut Case<'_>) -> Done<bool> {
    let Some(p) = c.of(c.lhs, is(UnaryOp::Log)) else { return Ok(false) };
    let (Some(Op::Binary(BinaryOp::Pow)), Some(x), Some(e)) = (c.op(p), c.kid(p, 0), c.kid(p, 1)) else { return Ok(false) };
    let Some(k) = c.bank.constant(e) else { return Ok(false) };
    if k.fract() == 0.0 && k.abs() % 2.0 != 1.0 {
        if !c.facts.nonneg(c.bank, x) {
            return Ok(false);
        }
        c.licence.push(format!("the base is never negative: {}", crate::form::describe(c.bank, x, 3)));
    }
    let l = un(c, UnaryOp::Log, x)?;
    let k = number(c, k)?;
    let want = bin(c, BinaryOp::Mul, k, l)?;
    c.same(c.rhs, want)
}

/// The logarithm of a product over axes is the sum of the logarithms, where no factor is negative.
pub fn log_of_reduced_product(c: &mut Case<'_>) -> Done<bool> {
    let Some(p) = c.of(c.lhs, is(UnaryOp::Log)) else { return Ok(false) };
    let (Some(Op::Reduce(ReduceOp::Prod, axes)), Some(x)) = (c.op(p).cloned(), c.kid(p, 0)) else { return Ok(false) };
    if !c.facts.nonneg(c.bank, x) {
        return Ok(false);
    }
    c.licence.push(format!("no factor is negative: {}", crate::form::describe(c.bank, x, 3)));
    let l = un(c, UnaryOp::Log, x)?;
    let want = c.bank.op_term(Op::Reduce(ReduceOp::Sum, axes), &[l])?;
    c.same(c.rhs, want)
}
