//! The rules, by family, and the words they are written in.
//!
//! A rule looks at one form of a class and proposes equal ones. Its guards read facts; what is not known counts as false.
//!
//! A new rule also needs its law in `gradus-proof`, under the same name: there a proof is checked by people who do not
//! trust what is written here. A test (`tests/proofs.rs`) proves every case by that law. For the proof to say what a rule went by,
//! read forms by `first` and `products`, or call `v.used` beside `v.forms`.


/// A rule: name, class (after `directed` where the old form must not stand for the new one), family, heads of the forms it looks
/// at, function, reason, cases where it fires, cases where it must not.
macro_rules! rule {
    ($name:literal, directed $($rest:tt)*) => { $crate::rules::rule!(@ true, $name, $($rest)*) };
    ($name:literal, $class:ident, $($rest:tt)*) => { $crate::rules::rule!(@ false, $name, $class, $($rest)*) };
    (@ $directed:literal, $name:literal, $class:ident, $family:ident, [$($head:expr),* $(,)?], $apply:ident, $reason:literal,
     [$($vars:literal : $start:literal => $goal:literal),* $(,)?], [$($rv:literal : $rs:literal => $rg:literal),* $(,)?]) => {
        $crate::rules::Rule {
            name: $name,
            class: $crate::report::Class::$class,
            family: $crate::rules::Family::$family,
            reason: $reason,
            heads: {
                #[allow(unused_imports)]
                use {gradus_ir::BinaryOp as B, gradus_ir::ReduceOp as R, gradus_ir::UnaryOp as U, $crate::rules::Head::*};
                &[$($head),*]
            },
            directed: $directed,
            apply: $apply,
            cases: &[$($crate::rules::Case { vars: $vars, start: $start, goal: $goal }),*],
            refused: &[$($crate::rules::Case { vars: $rv, start: $rs, goal: $rg }),*],
        }
    };
}
pub(crate) use rule;

pub mod algebra;
pub mod factor;
pub mod gram;
pub mod head;
pub mod matrix;
pub mod overflow;
pub mod piecewise;
pub mod reduce;
pub mod spread;
pub mod stable;

use crate::law::Law;
use crate::report::Class;
use crate::sea::{Deps, Kids, Sop, deps_union};
use crate::space::{Term, View};
use egg::Id;
use gradus_ir::{BinaryOp, F64, Op, ReduceOp, Shape, UnaryOp};
pub(crate) use head::Head;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Stable,
    Algebra,
    Piecewise,
    Reduce,
    Matrix,
    Factor,
    /// Laws of the script.
    Stated,
}

/// An instance of a rule, for its tests: typed variables, and two expressions over them.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    #[cfg_attr(not(test), allow(dead_code))]
    /// `name:shape` separated by blanks; a `~` before the name means that it varies in a loop of 1000 steps.
    pub vars: &'static str,
    pub start: &'static str,
    pub goal: &'static str,
}

pub struct Rule {
    /// `family/what`.
    pub name: &'static str,
    pub class: Class,
    pub family: Family,
    pub reason: &'static str,
    /// What the forms begin with that it looks at.
    pub heads: &'static [Head],
    /// The old form must not stand for the new one: it overflows, or loses digits, where the new one does not. Such a form is
    /// not chosen where there is another.
    pub directed: bool,
    pub apply: fn(&dyn View, Id, &Sop, &[Id]) -> Vec<Term>,
    /// Where it must fire.
    pub cases: &'static [Case],
    /// Where it must not (the goal is what a rule without the guard would give).
    #[cfg_attr(not(test), allow(dead_code))]
    pub refused: &'static [Case],
}

/// What a search applies: a rule, or a law of the script.
#[derive(Clone, Copy)]
pub(crate) enum Active<'a> {
    Rule(&'a Rule),
    Law(&'a Law),
}

/// A form that one of them proposes.
pub(crate) struct Proposal {
    pub term: Term,
    /// What a law's variables stand for.
    pub variables: Vec<(Arc<str>, Id)>,
    /// The forms that a law went by; rules tell by themselves.
    pub used: Vec<(Id, Sop, Kids)>,
}

impl Active<'_> {
    pub fn name(&self) -> Arc<str> {
        match self {
            Active::Rule(r) => r.name.into(),
            Active::Law(l) => l.name.clone(),
        }
    }

    pub fn class(&self) -> Class {
        match self {
            Active::Rule(r) => r.class,
            Active::Law(l) => l.statement.class,
        }
    }

    pub fn family(&self) -> Family {
        match self {
            Active::Rule(r) => r.family,
            Active::Law(_) => Family::Stated,
        }
    }

    pub fn reason(&self) -> &str {
        match self {
            Active::Rule(r) => r.reason,
            Active::Law(l) => &l.reason,
        }
    }

    pub fn directed(&self) -> bool {
        matches!(self, Active::Rule(r) if r.directed)
    }

    pub fn heads(&self) -> Vec<Head> {
        match self {
            Active::Rule(r) => r.heads.to_vec(),
            Active::Law(l) => vec![l.head()],
        }
    }

    pub fn apply(&self, v: &dyn View, id: Id, op: &Sop, kids: &[Id]) -> Vec<Proposal> {
        match self {
            Active::Rule(r) => {
                let forms = (r.apply)(v, id, op, kids).into_iter();
                forms.map(|term| Proposal { term, variables: Vec::new(), used: Vec::new() }).collect()
            }
            Active::Law(l) => l.apply(v, id, op, kids),
        }
    }
}

/// A rule as it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Listed {
    /// `family/what`.
    pub name: &'static str,
    pub class: Class,
    /// Why the rule is worth having.
    pub reason: &'static str,
    /// An instance: typed variables, what is there, and what it becomes.
    pub example: Option<(&'static str, &'static str, &'static str)>,
}

/// All rules as they are shown, in a fixed order.
pub fn listed() -> Vec<Listed> {
    all()
        .into_iter()
        .map(|r| Listed {
            name: r.name,
            class: r.class,
            reason: r.reason,
            example: r.cases.first().map(|c| (c.vars, c.start, c.goal)),
        })
        .collect()
}

/// All rules, in a fixed order.
pub fn all() -> Vec<&'static Rule> {
    [
        overflow::RULES,
        stable::RULES,
        algebra::RULES,
        piecewise::RULES,
        reduce::RULES,
        spread::RULES,
        matrix::RULES,
        gram::RULES,
        factor::RULES,
    ]
    .into_iter()
    .flatten()
    .collect()
}

pub(crate) fn at(id: Id) -> Term {
    Term::At(id)
}

pub(crate) fn node(op: Op, kids: Vec<Term>) -> Term {
    Term::Node(Sop::Ir(op), kids)
}

pub(crate) fn un(u: UnaryOp, x: Term) -> Term {
    node(Op::Unary(u), vec![x])
}

pub(crate) fn matmul(a: Term, b: Term) -> Term {
    node(Op::MatMul, vec![a, b])
}

pub(crate) fn sum(axes: &[usize], x: Term) -> Term {
    node(Op::Reduce(ReduceOp::Sum, axes.to_vec()), vec![x])
}

/// `constant + sum of c * term`.
pub(crate) fn lin(terms: Vec<(f64, Term)>, constant: f64) -> Term {
    let (coeffs, kids): (Vec<f64>, Vec<Term>) = terms.into_iter().unzip();
    Term::Node(Sop::Lin { coeffs: coeffs.into_iter().map(F64::new).collect(), constant: F64::new(constant) }, kids)
}

pub(crate) fn prod(factors: Vec<(Term, i32)>) -> Term {
    let (kids, exps): (Vec<Term>, Vec<i32>) = factors.into_iter().unzip();
    Term::Node(Sop::Prod(exps.into_iter().collect()), kids)
}

/// Stretched to a shape, where it does not have it.
pub(crate) fn stretch(v: &dyn View, id: Id, shape: &Shape) -> Term {
    if v.fact(id).shape() == shape { at(id) } else { node(Op::Broadcast(shape.clone()), vec![at(id)]) }
}

/// The operand of a form of the class with that unary op.
pub(crate) fn of_unary(v: &dyn View, id: Id, u: UnaryOp) -> Option<Id> {
    first(v, id, |op, kids| match op.ir() {
        Some(Op::Unary(w)) if *w == u => kids.first().copied(),
        _ => None,
    })
}

/// The first answer over the forms of a class.
pub(crate) fn first<T>(v: &dyn View, id: Id, mut f: impl FnMut(&Sop, &[Id]) -> Option<T>) -> Option<T> {
    let mut out = None;
    v.forms(id, &mut |op, kids| {
        if out.is_none() {
            out = f(op, kids);
            if out.is_some() {
                v.used(id, op, kids);
            }
        }
    });
    out
}

/// The operands of the matrix products among the forms of a class.
pub(crate) fn products(v: &dyn View, id: Id) -> Vec<(Id, Id)> {
    let mut out = Vec::new();
    v.forms(id, &mut |op, kids| {
        if let (Some(Op::MatMul), [a, b]) = (op.ir(), kids) {
            v.used(id, op, kids);
            out.push((v.find(*a), v.find(*b)));
        }
    });
    out
}

pub(crate) fn rank(v: &dyn View, id: Id) -> usize {
    v.fact(id).shape().rank()
}

/// A form of the class that transposes a matrix.
pub(crate) fn transposed(v: &dyn View, id: Id) -> Option<Id> {
    first(v, id, |op, kids| match op.ir() {
        Some(Op::Transpose(p)) if p.as_slice() == [1, 0] => kids.first().map(|k| v.find(*k)),
        _ => None,
    })
}

/// The transpose of a matrix (of a vector: itself), without transposing twice.
pub(crate) fn flip(v: &dyn View, id: Id) -> Term {
    if rank(v, id) < 2 {
        return at(id);
    }
    transposed(v, id).map_or_else(|| node(Op::Transpose(vec![1, 0]), vec![at(id)]), at)
}

/// The class as a sum of two or more operands or of one and a constant: terms and constant.
pub(crate) fn as_sum(op: &Sop, kids: &[Id], v: &dyn View) -> Option<(Vec<(f64, Id)>, f64)> {
    let (terms, mut constant) = match (op, op.ir(), kids) {
        (Sop::Lin { coeffs, constant }, _, _) => {
            (coeffs.iter().map(|c| c.get()).zip(kids.iter().copied()).collect(), constant.get())
        }
        (_, Some(Op::Binary(BinaryOp::Add)), [a, b]) => (vec![(1.0, *a), (1.0, *b)], 0.0),
        (_, Some(Op::Binary(BinaryOp::Sub)), [a, b]) => (vec![(1.0, *a), (-1.0, *b)], 0.0),
        (_, Some(Op::Unary(UnaryOp::Neg)), [a]) => (vec![(-1.0, *a)], 0.0),
        _ => return None,
    };
    let mut rest = Vec::new();
    for (c, k) in terms {
        match v.fact(k).constant {
            Some(x) => constant += c * x.get(),
            None => rest.push((c, v.find(k))),
        }
    }
    Some((rest, constant))
}

/// The form as a product of powers.
pub(crate) fn as_product(op: &Sop, kids: &[Id], v: &dyn View) -> Option<Vec<(Id, i32)>> {
    Some(match (op, op.ir(), kids) {
        (Sop::Prod(exps), _, _) => {
            let mut out: Vec<(Id, i32)> = Vec::with_capacity(kids.len());
            for (k, e) in kids.iter().map(|k| v.find(*k)).zip(exps.iter().copied()) {
                // What was found equal since is one factor; above and below the line stay apart, as in the normal form.
                match out.iter_mut().find(|(x, d)| *x == k && (*d > 0) == (e > 0)) {
                    Some((_, d)) => *d = d.saturating_add(e),
                    None => out.push((k, e)),
                }
            }
            out
        }
        (_, Some(Op::Binary(BinaryOp::Mul)), [a, b]) => vec![(*a, 1), (*b, 1)],
        (_, Some(Op::Binary(BinaryOp::Div)), [a, b]) => vec![(*a, 1), (*b, -1)],
        (_, Some(Op::Unary(UnaryOp::Square)), [a]) => vec![(*a, 2)],
        (_, Some(Op::Unary(UnaryOp::Recip)), [a]) => vec![(*a, -1)],
        _ => return None,
    })
}

/// `x` where the class is `1 + x` (sign +1) or `1 - x` (sign -1).
pub(crate) fn one_plus(v: &dyn View, id: Id, sign: f64) -> Option<Id> {
    first(v, id, |op, kids| match as_sum(op, kids, v)? {
        (terms, 1.0) if terms.len() == 1 && terms[0].0 == sign => Some(terms[0].1),
        _ => None,
    })
}

/// Does `z` vary in a loop in which none of `xs` does?
pub(crate) fn varies_apart(v: &dyn View, xs: &[Id], z: Id) -> bool {
    let mut d = Deps::new();
    for x in xs {
        deps_union(&mut d, &v.fact(*x).deps);
    }
    v.fact(z).deps.iter().any(|l| !d.contains(l))
}

/// Does `z` vary in a loop of so many steps in which none of `xs` does?
pub(crate) fn varies_long(v: &dyn View, xs: &[Id], z: Id, steps: f64) -> bool {
    let mut d = Deps::new();
    for x in xs {
        deps_union(&mut d, &v.fact(*x).deps);
    }
    v.fact(z).deps.iter().any(|l| !d.contains(l) && v.trips(*l) >= steps)
}

pub(crate) fn nothing() -> Vec<Term> {
    Vec::new()
}

/// `c` and `x` where the class is `c * x`, the scale a number.
pub(crate) fn scaled(v: &dyn View, id: Id) -> Option<(f64, Id)> {
    let constant = |k: Id| v.fact(k).constant.map(|c| c.get());
    first(v, id, |op, kids| match (op, op.ir(), kids) {
        (Sop::Lin { coeffs, constant }, _, [k]) if constant.get() == 0.0 => Some((coeffs[0].get(), v.find(*k))),
        (_, Some(Op::Unary(UnaryOp::Neg)), [k]) => Some((-1.0, v.find(*k))),
        (_, Some(Op::Binary(BinaryOp::Mul)), [a, b]) => match (constant(*a), constant(*b)) {
            (Some(c), None) => Some((c, v.find(*b))),
            (None, Some(c)) => Some((c, v.find(*a))),
            _ => None,
        },
        (_, Some(Op::Binary(BinaryOp::Div)), [a, b]) => match (constant(*a), constant(*b)) {
            (None, Some(c)) => Some((1.0 / c, v.find(*a))),
            _ => None,
        },
        _ => None,
    })
}

/// Operands that are taken apart at most.
const PARTS: usize = 16;

/// The class as `constant + sum of c * term`, through sums and scales within sums.
pub(crate) fn linear(v: &dyn View, id: Id) -> (Vec<(f64, Id)>, f64) {
    let (mut out, mut constant): (Vec<(f64, Id)>, f64) = (Vec::new(), 0.0);
    let mut work = vec![(1.0, v.find(id), 6)];
    while let Some((c, k, depth)) = work.pop() {
        if let Some(x) = v.fact(k).constant {
            constant += c * x.get();
            continue;
        }
        let parts = if depth == 0 || out.len() + work.len() > PARTS {
            None
        } else {
            let whole = first(v, k, |op, kids| as_sum(op, kids, v).filter(|(t, _)| t.len() <= PARTS));
            whole.or_else(|| scaled(v, k).map(|t| (vec![t], 0.0)))
        };
        match parts {
            Some((terms, d)) => {
                constant += c * d;
                work.extend(terms.into_iter().rev().map(|(e, x)| (c * e, v.find(x), depth - 1)));
            }
            // Equal terms are counted together, or a part could be taken for the whole.
            None => match out.iter_mut().find(|(_, x)| *x == k) {
                Some((d, _)) => *d += c,
                None => out.push((c, k)),
            },
        }
    }
    (out, constant)
}

/// The form as a product of powers, through products within it.
pub(crate) fn factors_of(v: &dyn View, op: &Sop, kids: &[Id]) -> Option<Vec<(Id, i32)>> {
    let mut work: Vec<(Id, i32, u32)> = as_product(op, kids, v)?.into_iter().rev().map(|(k, e)| (v.find(k), e, 4)).collect();
    let mut out = Vec::new();
    while let Some((k, e, depth)) = work.pop() {
        let inner = if depth == 0 || out.len() + work.len() > PARTS || v.fact(k).constant.is_some() {
            None
        } else {
            first(v, k, |op, kids| as_product(op, kids, v))
        };
        match inner {
            Some(f) => work.extend(f.into_iter().rev().map(|(x, d)| (v.find(x), d.saturating_mul(e), depth - 1))),
            None => out.push((k, e)),
        }
    }
    Some(out)
}

/// The operand of a class that only reshapes or stretches it.
pub(crate) fn bare(v: &dyn View, id: Id) -> Id {
    first(v, id, |op, kids| match (op.ir(), kids) {
        (Some(Op::Reshape(_) | Op::Broadcast(_)), [k]) => Some(v.find(*k)),
        _ => None,
    })
    .unwrap_or_else(|| v.find(id))
}

/// Is one the negative of the other?
pub(crate) fn opposite(v: &dyn View, a: Id, b: Id) -> bool {
    let sorted = |id: Id, sign: f64| {
        let (mut t, c) = linear(v, id);
        t.sort_by_key(|(_, k)| *k);
        (t.into_iter().map(|(c, k)| (sign * c, k)).collect::<Vec<_>>(), sign * c + 0.0)
    };
    sorted(a, 1.0) == sorted(b, -1.0)
}
