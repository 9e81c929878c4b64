//! Laws of maxima, minima, clips and choices.
//!
//! What is a matter of sums and positive parts alone (`max(a, b) = b + pos(a - b)`) is decided by the normal form with positive
//! parts; the rest is said case by case. A NaN goes through a maximum, and makes a comparison false.

use crate::bank::Id;
use crate::facts::Range;
use crate::form::describe;
use crate::laws::{Case, Law, own};
use gradus_ir::{BinaryOp, DType, Op, UnaryOp};

type Done<T> = Result<T, String>;

pub const LAWS: &[Law] = &[
    own("piecewise/same", |c| match c.extreme(c.lhs) {
        Some((_, x, y)) if c.bank.equal(x, y) => c.same(c.rhs, x),
        _ => Ok(false),
    }),
    own("piecewise/known", known),
    own("piecewise/again", again),
    own("piecewise/absorb", absorb),
    own("piecewise/clip-order", clip_order),
    own("piecewise/clip-again", clip_again),
    own("piecewise/abs", |c| {
        let size = c.parts_of(c.rhs).into_iter().any(|x| c.of(x, is(UnaryOp::Abs)).is_some());
        Ok(size && c.extreme(c.lhs).is_some() && c.same_in_parts(c.lhs, c.rhs)?)
    }),
    own("piecewise/parts", |c| {
        let half = |x: Id| c.extreme(x).is_some_and(|(_, a, b)| [a, b].iter().any(|k| c.bank.constant(*k) == Some(0.0)));
        let halves = c.parts().into_iter().filter(|x| half(*x)).count();
        Ok(halves > 1 && c.same_in_parts(c.lhs, c.rhs)?)
    }),
    own("piecewise/scale-out", |c| {
        let outside = c.scale(c.rhs).is_some_and(|(_, x)| c.extreme(x).is_some());
        Ok(outside && c.extreme(c.lhs).is_some() && c.same_in_parts(c.lhs, c.rhs)?)
    }),
    own("piecewise/shift-out", |c| {
        let outside = c.sum(c.rhs).is_some_and(|(t, _)| t.iter().any(|(_, x)| c.extreme(*x).is_some()));
        Ok(outside && c.extreme(c.lhs).is_some() && c.same_in_parts(c.lhs, c.rhs)?)
    }),
    own("piecewise/monotone", monotone),
    own("piecewise/equal-branches", |c| match c.choice(c.lhs) {
        Some((_, a, b)) if c.bank.equal(a, b) => c.same(c.rhs, a),
        _ => Ok(false),
    }),
    own("piecewise/known-condition", known_condition),
    own("piecewise/known-comparison", |c| {
        let Some(yes) = outcome(c, c.lhs) else { return Ok(false) };
        let truth = f64::from(u8::from(yes));
        c.licence.push(format!("the comparison always comes out {yes}: {}", describe(c.bank, c.lhs, 3)));
        Ok(c.bank.constant(c.rhs) == Some(truth))
    }),
    own("piecewise/negated", |c| match (c.choice(c.lhs), c.choice(c.rhs)) {
        (Some((n, a, b)), Some((p, x, y))) => {
            Ok(c.of(n, is(UnaryOp::Not)).is_some_and(|q| c.bank.equal(p, q)) && c.bank.equal(a, y) && c.bank.equal(b, x))
        }
        _ => Ok(false),
    }),
    own("piecewise/choice-again", choice_again),
    own("piecewise/merge-choices", merge_choices),
    own("piecewise/compared", compared),
    own("piecewise/soft", soft),
];

fn is(u: UnaryOp) -> impl Fn(&Op) -> bool {
    move |op| *op == Op::Unary(u)
}

fn of(larger: bool) -> Op {
    Op::Binary(if larger { BinaryOp::Max } else { BinaryOp::Min })
}

fn known(c: &mut Case<'_>) -> Done<bool> {
    let Some((larger, x, y)) = c.extreme(c.lhs) else { return Ok(false) };
    for (x, y) in [(x, y), (y, x)] {
        let (a, b) = (c.facts.range(c.bank, x), c.facts.range(c.bank, y));
        let covers = !b.nan && if larger { a.lo >= b.hi } else { a.hi <= b.lo };
        if covers && c.same(c.rhs, x)? {
            c.licence.push(format!("never beyond the other: {}", describe(c.bank, y, 3)));
            return Ok(true);
        }
    }
    Ok(false)
}

/// The operands of extremes of one kind within one another, each once, and their numbers as one.
fn operands(c: &Case<'_>, id: Id, larger: bool) -> (Vec<Id>, Option<f64>) {
    let (mut ids, mut number): (Vec<Id>, Option<f64>) = (Vec::new(), None);
    let mut todo = vec![(id, 0)];
    while let Some((x, depth)) = todo.pop() {
        if let Some(v) = c.bank.constant(x) {
            number = Some(match number {
                None => v,
                Some(w) if v.is_nan() || w.is_nan() => f64::NAN,
                Some(w) => if larger { v.max(w) } else { v.min(w) },
            });
            continue;
        }
        let inside = c.extreme(x).filter(|(l, ..)| *l == larger && depth < 6);
        let stretched = c.of(x, |op| matches!(op, Op::Broadcast(_)));
        if let Some((_, a, b)) = inside {
            todo.extend([(a, depth + 1), (b, depth + 1)]);
        } else if let Some(y) = stretched.filter(|_| depth < 6) {
            todo.push((y, depth + 1));
        } else if !ids.contains(&c.bank.find(x)) {
            ids.push(c.bank.find(x));
        }
    }
    ids.sort_unstable();
    (ids, number)
}

fn again(c: &mut Case<'_>) -> Done<bool> {
    let Some((larger, ..)) = c.extreme(c.lhs) else { return Ok(false) };
    let (before, after) = (operands(c, c.lhs, larger), operands(c, c.rhs, larger));
    let number = |v: Option<f64>| v.map(f64::to_bits);
    Ok(c.extreme(c.rhs).is_some_and(|(l, ..)| l == larger) && before.0 == after.0 && number(before.1) == number(after.1))
}

fn absorb(c: &mut Case<'_>) -> Done<bool> {
    let Some((larger, x, y)) = c.extreme(c.lhs) else { return Ok(false) };
    for (z, m) in [(x, y), (y, x)] {
        let Some((_, a, b)) = c.extreme(m).filter(|(l, ..)| *l != larger) else { continue };
        for (p, other) in [(a, b), (b, a)] {
            if c.bank.equal(p, z) && !c.facts.range(c.bank, other).nan && c.same(c.rhs, z)? {
                c.licence.push(format!("always a number: {}", describe(c.bank, other, 3)));
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The operand, the inner and the outer bound of a clip, where both bounds are numbers.
fn bounded(c: &Case<'_>) -> Option<(bool, Id, f64, f64)> {
    let (larger, x, y) = c.extreme(c.lhs)?;
    [(x, y), (y, x)].into_iter().find_map(|(m, k)| {
        let outer = c.bank.constant(k)?;
        let (_, a, b) = c.extreme(m).filter(|(l, ..)| *l != larger)?;
        [(a, b), (b, a)].into_iter().find_map(|(t, k)| c.bank.constant(k).map(|inner| (larger, t, inner, outer)))
    })
}

fn clip_order(c: &mut Case<'_>) -> Done<bool> {
    let Some((larger, t, inner, outer)) = bounded(c) else { return Ok(false) };
    if if larger { outer <= inner } else { inner <= outer } {
        let (o, i) = (c.number(outer)?, c.number(inner)?);
        let first = c.bank.op_term(of(larger), &[t, o])?;
        let both = c.bank.op_term(of(!larger), &[first, i])?;
        return c.same(c.rhs, both);
    }
    let free = c.facts.range(c.bank, t).nan || inner.is_nan() || outer.is_nan();
    if !free && c.bank.constant(c.rhs) == Some(outer) {
        c.licence.push(format!("always a number: {}", describe(c.bank, t, 3)));
        return Ok(true);
    }
    Ok(false)
}

fn clip_again(c: &mut Case<'_>) -> Done<bool> {
    let Some((larger, x, y)) = c.extreme(c.lhs) else { return Ok(false) };
    // An extreme of that kind with that operand: the other operand.
    let with = |c: &Case<'_>, id: Id, larger: bool, k: Id| -> Option<Id> {
        let (_, a, b) = c.extreme(id).filter(|(l, ..)| *l == larger)?;
        if c.bank.equal(a, k) { Some(b) } else { c.bank.equal(b, k).then_some(a) }
    };
    for (p, h) in [(x, y), (y, x)] {
        let Some((_, a, b)) = c.extreme(p).filter(|(l, ..)| *l != larger) else { continue };
        for (q, l) in [(a, b), (b, a)] {
            let clipped = with(c, q, larger, h).is_some_and(|r| with(c, r, !larger, l).is_some());
            if clipped && c.same(c.rhs, q)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The function that both are made by, if it increases; those with a domain count only inside of it.
fn increasing(c: &mut Case<'_>, ids: &[Id]) -> Option<(UnaryOp, Vec<Id>)> {
    use UnaryOp::*;
    for u in [Exp, Expm1, Tanh, Sigmoid, Softplus, Erf, Atan, Sinh, Log, Log1p, Sqrt] {
        let Some(kids) = ids.iter().map(|x| c.of(*x, is(u))).collect::<Option<Vec<Id>>>() else { continue };
        if matches!(u, Log | Log1p | Sqrt) {
            if kids.iter().any(|k| !c.facts.nonneg(c.bank, *k)) {
                return None;
            }
            c.licence.extend(kids.iter().map(|k| format!("never negative: {}", describe(c.bank, *k, 3))));
        }
        return Some((u, kids));
    }
    None
}

fn monotone(c: &mut Case<'_>) -> Done<bool> {
    let Some((larger, x, y)) = c.extreme(c.lhs) else { return Ok(false) };
    let Some((u, kids)) = increasing(c, &[x, y]) else { return Ok(false) };
    let m = c.bank.op_term(of(larger), &kids)?;
    let want = c.bank.op_term(Op::Unary(u), &[m])?;
    c.same(c.rhs, want)
}

/// The largest (or smallest) of what an increasing function makes.
pub fn extreme_of_map(c: &mut Case<'_>) -> Done<bool> {
    let Some((_, axes, x)) = c.extreme_along(c.lhs) else { return Ok(false) };
    let Some(Op::Reduce(r, _)) = c.op(c.lhs).cloned() else { return Ok(false) };
    let Some((u, kids)) = increasing(c, &[x]) else { return Ok(false) };
    let m = c.bank.op_term(Op::Reduce(r, axes), &kids)?;
    let want = c.bank.op_term(Op::Unary(u), &[m])?;
    c.same(c.rhs, want)
}

/// What a comparison always comes out as.
fn outcome(c: &Case<'_>, id: Id) -> Option<bool> {
    let Some(Op::Binary(b)) = c.op(id) else { return None };
    always(*b, c.facts.range(c.bank, c.kid(id, 0)?), c.facts.range(c.bank, c.kid(id, 1)?))
}

/// The same, of values in such ranges.
pub fn always(b: BinaryOp, p: Range, q: Range) -> Option<bool> {
    use BinaryOp::*;
    let numbers = !p.nan && !q.nan;
    let (p, q) = if matches!(b, Gt | Ge) { (q, p) } else { (p, q) };
    match b {
        Lt | Gt if numbers && p.hi < q.lo => Some(true),
        Lt | Gt if q.hi <= p.lo => Some(false),
        Le | Ge if numbers && p.hi <= q.lo => Some(true),
        Le | Ge if q.hi < p.lo => Some(false),
        Eq | Ne if p.hi < q.lo || q.hi < p.lo => Some(b == Ne),
        _ => None,
    }
}

fn known_condition(c: &mut Case<'_>) -> Done<bool> {
    let Some((p, a, b)) = c.choice(c.lhs) else { return Ok(false) };
    let Some(yes) = c.bank.constant(p).map(|v| v != 0.0).or_else(|| outcome(c, p)) else { return Ok(false) };
    c.licence.push(format!("the condition is always {yes}: {}", describe(c.bank, p, 3)));
    c.same(c.rhs, if yes { a } else { b })
}

fn choice_again(c: &mut Case<'_>) -> Done<bool> {
    let (Some((p, a, b)), Some((q, x, y))) = (c.choice(c.lhs), c.choice(c.rhs)) else { return Ok(false) };
    if !c.bank.equal(p, q) {
        return Ok(false);
    }
    let shape = c.bank.ty(p).shape.clone();
    // The branch that the same condition takes inside, where it has an element for each of the condition's.
    let inner = |k: Id, first: bool| {
        let (r, u, v) = c.choice(k)?;
        let taken = if first { u } else { v };
        let fits = c.bank.ty(taken).shape == shape || c.rank(taken) == 0;
        (c.bank.equal(r, p) && fits).then_some(taken)
    };
    let alike = |old: Id, new: Id, first: bool| c.bank.equal(old, new) || inner(old, first).is_some_and(|t| c.bank.equal(t, new));
    Ok(alike(a, x, true) && alike(b, y, false))
}

/// Two masks of one condition in a sum are one choice.
fn merge_choices(c: &mut Case<'_>) -> Done<bool> {
    let Some((terms, constant)) = c.sum(c.lhs) else { return Ok(false) };
    let zero = |c: &Case<'_>, k: Id| c.bank.constant(k) == Some(0.0);
    for (i, (k, s)) in terms.iter().enumerate() {
        let Some((p, a, b)) = c.choice(*s) else { continue };
        for (j, (d, t)) in terms.iter().enumerate().filter(|(j, _)| *j > i) {
            let Some((q, x, y)) = c.choice(*t) else { continue };
            if !c.bank.equal(p, q) {
                continue;
            }
            let (up, down) = if zero(c, b) && zero(c, x) {
                ((*k, a), (*d, y))
            } else if zero(c, a) && zero(c, y) {
                ((*d, x), (*k, b))
            } else {
                continue;
            };
            let (up, down) = (c.times(up.0, up.1)?, c.times(down.0, down.1)?);
            let mut want = c.bank.op_term(Op::Select, &[p, up, down])?;
            for (n, (e, r)) in terms.iter().enumerate() {
                if n != i && n != j {
                    let r = c.times(*e, *r)?;
                    want = c.bank.op_term(Op::Binary(BinaryOp::Add), &[want, r])?;
                }
            }
            let constant = c.number(constant)?;
            want = c.bank.op_term(Op::Binary(BinaryOp::Add), &[want, constant])?;
            if c.same(c.rhs, want)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn compared(c: &mut Case<'_>) -> Done<bool> {
    use BinaryOp::*;
    let Some((p, a, b)) = c.choice(c.lhs) else { return Ok(false) };
    let (Some(Op::Binary(o)), Some(x), Some(y)) = (c.op(p).cloned(), c.kid(p, 0), c.kid(p, 1)) else { return Ok(false) };
    let larger = match o {
        Gt | Ge => true,
        Lt | Le => false,
        _ => return Ok(false),
    };
    let e = |x: Id, y: Id| c.bank.equal(x, y);
    let larger = if e(x, a) && e(y, b) {
        larger
    } else if e(x, b) && e(y, a) {
        !larger
    } else {
        return Ok(false);
    };
    // A NaN of the first branch would have been hidden.
    if c.facts.range(c.bank, a).nan {
        return Ok(false);
    }
    c.licence.push(format!("always a number: {}", describe(c.bank, a, 3)));
    let want = c.bank.op_term(of(larger), &[a, b])?;
    c.same(c.rhs, want)
}

/// `sign(x) max(|x| - t, 0)` is `x - min(max(x, -t), t)` for `t` that is never negative; in a product with others too.
fn soft(c: &mut Case<'_>) -> Done<bool> {
    let parts = c.parts();
    let signs: Vec<Id> = parts.iter().copied().filter(|x| c.of(*x, is(UnaryOp::Sign)).is_some()).collect();
    let halves: Vec<Id> = parts.iter().copied().filter(|x| c.extreme(*x).is_some_and(|(l, ..)| l)).collect();
    for s in signs {
        let Some(x) = c.kid(s, 0) else { continue };
        for m in &halves {
            let Some((_, a, b)) = c.extreme(*m) else { continue };
            let Some(inner) = [(a, b), (b, a)].into_iter().find(|(_, k)| c.bank.constant(*k) == Some(0.0)).map(|t| t.0) else { continue };
            let Some((terms, constant)) = c.sum(inner) else { continue };
            let size = |k: Id| c.of(k, is(UnaryOp::Abs)).is_some_and(|y| c.bank.equal(x, y));
            let Some(at) = terms.iter().position(|(e, k)| *e == 1.0 && size(*k)) else { continue };
            let t = match (terms.as_slice(), constant) {
                ([_], v) if v <= 0.0 => c.number(-v)?,
                ([_, _], 0.0) => {
                    let (e, k) = terms[1 - at];
                    c.times(-e, k)?
                }
                _ => continue,
            };
            let range = c.facts.range(c.bank, t);
            if range.nan || range.lo < 0.0 {
                continue;
            }
            let old = c.bank.op_term(Op::Binary(BinaryOp::Mul), &[s, *m])?;
            let low = c.times(-1.0, t)?;
            let up = c.bank.op_term(of(true), &[x, low])?;
            let clip = c.bank.op_term(of(false), &[up, t])?;
            let new = c.bank.op_term(Op::Binary(BinaryOp::Sub), &[x, clip])?;
            if c.same_but_for(old, new)? {
                c.licence.push(format!("never negative: {}", describe(c.bank, t, 3)));
                return Ok(true);
            }
        }
    }
    Ok(false)
}

impl Case<'_> {
    /// `max` (true) or `min` of two reals or integers.
    pub fn extreme(&self, id: Id) -> Option<(bool, Id, Id)> {
        let larger = match self.op(id)? {
            Op::Binary(BinaryOp::Max) => true,
            Op::Binary(BinaryOp::Min) => false,
            _ => return None,
        };
        Some((larger, self.kid(id, 0)?, self.kid(id, 1)?))
    }

    /// Condition and branches.
    pub fn choice(&self, id: Id) -> Option<(Id, Id, Id)> {
        matches!(self.op(id)?, Op::Select).then_some(())?;
        Some((self.kid(id, 0)?, self.kid(id, 1)?, self.kid(id, 2)?))
    }

    pub fn number(&mut self, v: f64) -> Done<Id> {
        self.bank.op_term(Op::Const(gradus_ir::F64::new(v), DType::Real), &[])
    }

    /// `v * x`, and `x` itself where v is one.
    pub fn times(&mut self, v: f64, x: Id) -> Done<Id> {
        if v == 1.0 {
            return Ok(x);
        }
        let v = self.number(v)?;
        self.bank.op_term(Op::Binary(BinaryOp::Mul), &[v, x])
    }
}
