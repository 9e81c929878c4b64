//! How proofs write sums and products: `c1 * x1 + c2 * x2 + … + c` from the left with every coefficient written, and
//! `x1^e1 * x2^e2 * …` with every exponent written. That way no operand is mistaken for a part of the sum it stands in.

use crate::bank::{Bank, Head, Id};
use gradus_ir::{BinaryOp, Op};

fn constant(bank: &Bank, id: Id) -> Option<f64> {
    match bank.op(id) {
        Some(Op::Const(v, _)) => Some(v.get()),
        _ => None,
    }
}

fn parts(bank: &Bank, id: Id, op: BinaryOp) -> Option<(Id, Id)> {
    match (bank.op(id), bank.term(id).kids.as_slice()) {
        (Some(Op::Binary(b)), [x, y]) if *b == op => Some((*x, *y)),
        _ => None,
    }
}

/// `c * x`
pub fn scaled(bank: &Bank, id: Id) -> Option<(f64, Id)> {
    let (c, x) = parts(bank, id, BinaryOp::Mul)?;
    Some((constant(bank, c)?, x))
}

/// Terms and constant of a written sum; of a scaled value too.
pub fn lin(bank: &Bank, id: Id) -> Option<(Vec<(f64, Id)>, f64)> {
    let mut terms = Vec::new();
    let mut at = id;
    let mut total = 0.0;
    let mut first = true;
    loop {
        if let Some(t) = scaled(bank, at) {
            terms.push(t);
            break;
        }
        let (left, right) = parts(bank, at, BinaryOp::Add)?;
        match (scaled(bank, right), constant(bank, right)) {
            (Some(t), _) => terms.push(t),
            (None, Some(c)) if first => total = c,
            _ => return None,
        }
        first = false;
        at = left;
    }
    terms.reverse();
    Some((terms, total))
}

/// Factors of a written product.
pub fn prod(bank: &Bank, id: Id) -> Option<Vec<(Id, i32)>> {
    let power = |x: Id| {
        let (b, e) = parts(bank, x, BinaryOp::Pow)?;
        let e = constant(bank, e)?;
        (e.fract() == 0.0 && e.abs() < 1e9).then_some((b, e as i32))
    };
    let mut out = Vec::new();
    let mut at = id;
    loop {
        if let Some(f) = power(at) {
            out.push(f);
            break;
        }
        let (left, right) = parts(bank, at, BinaryOp::Mul)?;
        out.push(power(right)?);
        at = left;
    }
    out.reverse();
    Some(out)
}

/// The numbers that occur in some terms, and one.
pub fn numbers(bank: &Bank, ids: &[Id]) -> Vec<f64> {
    let mut out = vec![1.0, 2.0];
    for id in ids {
        for k in &bank.term(*id).kids {
            if let Some(v) = constant(bank, *k)
                && !out.contains(&v)
            {
                out.push(v);
            }
        }
    }
    out
}

/// The axes of the reductions among some terms.
pub fn axes(bank: &Bank, ids: &[Id]) -> Vec<Vec<usize>> {
    let mut out: Vec<Vec<usize>> = Vec::new();
    for id in ids {
        if let Some(Op::Reduce(_, axes)) = bank.op(*id)
            && !out.contains(axes)
        {
            out.push(axes.clone());
        }
    }
    out
}

/// A term in words, cut at a depth.
pub fn describe(bank: &Bank, id: Id, depth: usize) -> String {
    let t = bank.term(id);
    match &t.head {
        Head::Atom(name) => name.clone(),
        Head::Op(Op::Const(v, _)) => format!("{}", v.get()),
        Head::Op(Op::Param(k)) => format!("input {k}"),
        Head::Op(op) | Head::Regions(op, _) => {
            if t.kids.is_empty() {
                return op.name().to_string();
            }
            if depth == 0 {
                return format!("{}(…)", op.name());
            }
            let kids: Vec<String> = t.kids.iter().map(|k| describe(bank, *k, depth - 1)).collect();
            format!("{}({})", op.name(), kids.join(", "))
        }
    }
}
