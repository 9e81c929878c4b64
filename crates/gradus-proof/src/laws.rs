//! The laws, stated once more: what each of the rewriter's rules may claim.
//!
//! Most laws are patterns: an equation between two expressions over names, with what must be known of the names. Laws about sums
//! and products of any length give the form of both sides; that the sides are equal is then decided in index notation
//! (`index.rs`). A proof that uses a law that is not stated is refused.
//!
//! Maxima and choices are in `piecewise.rs`, other reductions in `reductions.rs`, linear systems in `systems.rs`.
//!
//! To add one: a line in one of the lists under the rule's name. `pattern(name, [(left, right), …], needs)` is enough wherever both sides can
//! be written down; `factor(…)` where the left side may stand in a product with others.

use crate::bank::{Bank, Id};
use crate::facts::Facts;
use crate::form::{self, lin, prod};
use crate::index::Forms;
use crate::logs;
use crate::pattern::{Names, Pattern};
use gradus_ir::{BinaryOp, Op, ReduceOp, UnaryOp};
use std::collections::HashSet;

/// What must be known of a name for a law to hold.
#[derive(Clone, Copy, Debug)]
pub enum Need {
    NonNeg(&'static str),
    /// A number of the pattern is an even integer.
    Even(&'static str),
}

pub struct Law {
    pub name: &'static str,
    kind: Kind,
}

enum Kind {
    Pattern { forms: &'static [(&'static str, &'static str)], needs: &'static [Need], factor: bool },
    /// The forms of both sides; the equality is decided by index notation.
    Ring(fn(&mut Case<'_>) -> bool),
    /// Decides by itself.
    Own(fn(&mut Case<'_>) -> Result<bool, String>),
}

/// A step under examination.
pub struct Case<'b> {
    pub bank: &'b mut Bank,
    pub facts: &'b Facts,
    pub lhs: Id,
    pub rhs: Id,
    /// Terms that are not looked into.
    pub cut: &'b HashSet<Id>,
    pub names: &'b Names,
    /// What the law needed to know here, in words; also with what it followed from.
    pub licence: Vec<String>,
}

impl Case<'_> {
    pub fn same(&self, a: Id, b: Id) -> Result<bool, String> {
        Forms::new(self.bank, self.facts, self.cut).same(a, b)
    }

    /// The same with positive parts in normal form, see `Forms::with_parts`.
    pub fn same_in_parts(&self, a: Id, b: Id) -> Result<bool, String> {
        Forms::with_parts(self.bank, self.facts, self.cut).same(a, b)
    }

    /// Is the left side the product of `part` and something, and the right side that of `new` and the same?
    pub fn same_but_for(&self, part: Id, new: Id) -> Result<bool, String> {
        Forms::with_parts(self.bank, self.facts, self.cut).same_but_for(self.lhs, part, self.rhs, new)
    }

    /// The terms of the left side, down to where it ends.
    pub fn parts(&self) -> Vec<Id> {
        self.parts_of(self.lhs)
    }

    /// The terms of one side, down to where it ends.
    pub fn parts_of(&self, side: Id) -> Vec<Id> {
        let mut out = Vec::new();
        let mut todo = vec![side];
        while let Some(id) = todo.pop() {
            if out.len() < 200 && !out.contains(&id) {
                out.push(id);
                if !self.cut.contains(&id) {
                    todo.extend(self.bank.term(id).kids.iter().copied());
                }
            }
        }
        out
    }

    pub fn op(&self, id: Id) -> Option<&Op> {
        self.bank.op(id)
    }

    pub fn kid(&self, id: Id, k: usize) -> Option<Id> {
        self.bank.term(id).kids.get(k).copied()
    }

    pub fn rank(&self, id: Id) -> usize {
        self.bank.ty(id).shape.rank()
    }

    /// The operand of an operation, where the term is that.
    pub fn of(&self, id: Id, is: impl Fn(&Op) -> bool) -> Option<Id> {
        if self.op(id).is_some_and(is) { self.kid(id, 0) } else { None }
    }

    pub fn product(&self, id: Id) -> Option<(Id, Id)> {
        matches!(self.op(id), Some(Op::MatMul)).then_some(())?;
        Some((self.kid(id, 0)?, self.kid(id, 1)?))
    }

    /// Terms and constant of a sum or a scaled value, however it is written.
    pub fn sum(&self, id: Id) -> Option<(Vec<(f64, Id)>, f64)> {
        let (terms, mut constant) = form::lin(self.bank, id).or_else(|| {
            let (x, y) = (self.kid(id, 0)?, self.kid(id, 1));
            match (self.op(id)?, y) {
                (Op::Unary(UnaryOp::Neg), _) => Some((vec![(-1.0, x)], 0.0)),
                (Op::Binary(BinaryOp::Add), Some(y)) => Some((vec![(1.0, x), (1.0, y)], 0.0)),
                (Op::Binary(BinaryOp::Sub), Some(y)) => Some((vec![(1.0, x), (-1.0, y)], 0.0)),
                (Op::Binary(BinaryOp::Mul), Some(y)) => match (self.bank.constant(x), self.bank.constant(y)) {
                    (Some(k), None) => Some((vec![(k, y)], 0.0)),
                    (None, Some(k)) => Some((vec![(k, x)], 0.0)),
                    _ => None,
                },
                (Op::Binary(BinaryOp::Div), Some(y)) => self.bank.constant(y).map(|k| (vec![(1.0 / k, x)], 0.0)),
                _ => None,
            }
        })?;
        let mut rest = Vec::with_capacity(terms.len());
        for (k, x) in terms {
            match self.bank.constant(x) {
                Some(v) => constant += k * v,
                None => rest.push((k, x)),
            }
        }
        Some((rest, constant))
    }

    /// `k` and `x`, where the term is `k * x`.
    pub fn scale(&self, id: Id) -> Option<(f64, Id)> {
        match self.sum(id)? {
            (terms, 0.0) if terms.len() == 1 => Some(terms[0]),
            _ => None,
        }
    }

    /// Factors and exponents of a product, however it is written.
    pub fn product_of(&self, id: Id) -> Option<Vec<(Id, i32)>> {
        form::prod(self.bank, id).or_else(|| {
            let (x, y) = (self.kid(id, 0)?, self.kid(id, 1));
            match (self.op(id)?, y) {
                (Op::Binary(BinaryOp::Mul), Some(y)) => Some(vec![(x, 1), (y, 1)]),
                (Op::Binary(BinaryOp::Div), Some(y)) => Some(vec![(x, 1), (y, -1)]),
                (Op::Unary(UnaryOp::Square), _) => Some(vec![(x, 2)]),
                (Op::Unary(UnaryOp::Recip), _) => Some(vec![(x, -1)]),
                _ => None,
            }
        })
    }

    /// Is one the transpose of the other, as written?
    pub fn pair(&self, a: Id, b: Id) -> bool {
        let flip = |x: Id, y: Id| self.of(x, is_transpose).is_some_and(|z| self.bank.equal(z, y));
        flip(a, b) || flip(b, a)
    }

    /// Notes that `xs` do not vary in some loop in which `z` does; false where there is none.
    fn apart(&mut self, xs: &[Id], z: Id) -> bool {
        let mut known: Vec<String> = Vec::new();
        for x in xs {
            known.extend(self.facts.loops(self.bank, *x));
        }
        let Some(l) = self.facts.loops(self.bank, z).into_iter().find(|l| !known.contains(l)) else { return false };
        self.licence.push(format!("only one side varies in the loop `{l}`"));
        true
    }
}

fn is_transpose(op: &Op) -> bool {
    matches!(op, Op::Transpose(p) if p.as_slice() == [1, 0])
}

fn is_sum(op: &Op) -> bool {
    matches!(op, Op::Reduce(ReduceOp::Sum, _))
}

pub(crate) const fn pattern(name: &'static str, forms: &'static [(&'static str, &'static str)], needs: &'static [Need]) -> Law {
    Law { name, kind: Kind::Pattern { forms, needs, factor: false } }
}

pub(crate) const fn factor(name: &'static str, forms: &'static [(&'static str, &'static str)], needs: &'static [Need]) -> Law {
    Law { name, kind: Kind::Pattern { forms, needs, factor: true } }
}

pub(crate) const fn ring(name: &'static str, f: fn(&mut Case<'_>) -> bool) -> Law {
    Law { name, kind: Kind::Ring(f) }
}

pub(crate) const fn own(name: &'static str, f: fn(&mut Case<'_>) -> Result<bool, String>) -> Law {
    Law { name, kind: Kind::Own(f) }
}

/// The equality of normal forms: what takes the place of associativity, commutativity and neutral elements.
pub const NORMAL: &str = "normal-form";

const OWN: &[Law] = &[
    ring(NORMAL, |_| true),
    own("constant", constant),
    pattern("stable/softplus", &[("(log1p (exp x))", "(softplus x)")], &[]),
    pattern("stable/log-sigmoid", &[("(log (sigmoid x))", "(neg (softplus (neg x)))")], &[]),
    pattern("stable/log-one-minus-sigmoid", &[("(log (sub 1 (sigmoid x)))", "(neg (softplus x))")], &[]),
    factor("stable/norm-squared", &[("(pow (sqrt x) e)", "(pow x (half e))")], &[Need::NonNeg("x"), Need::Even("e")]),
    pattern("stable/log1p", &[("(log (add 1 (mul c x)))", "(log1p (mul c x))")], &[]),
    factor("stable/sigmoid", &[("(div (exp x) (add 1 (exp x)))", "(sigmoid x)"), ("(recip (add 1 (exp x)))", "(sigmoid (neg x))")], &[]),
    pattern("stable/one-minus-sigmoid", &[("(sub 1 (sigmoid x))", "(sigmoid (neg x))")], &[]),
    own("stable/softmax", logs::softmax),
    own("stable/log-add-exp", logs::log_add_exp),
    own("stable/log-of-product", logs::log_of_product),
    own("stable/log-power", logs::log_power),
    own("stable/log-of-reduced-product", logs::log_of_reduced_product),
    pattern("stable/expm1", &[("(sub (mul c (exp x)) c)", "(mul c (expm1 x))")], &[]),
    pattern(
        "stable/tanh",
        &[
            ("(div (sub (exp x) (exp (neg x))) (add (exp x) (exp (neg x))))", "(tanh x)"),
            ("(div (mul c (expm1 x)) (add 1 (exp x)))", "(mul c (tanh (mul 0.5 x)))"),
        ],
        &[],
    ),
    pattern("stable/hypot", &[("(sqrt (add (square x) (square y)))", "(hypot x y)")], &[]),
    ring("stable/variance", |c| {
        let spread = |x: Id| c.of(x, is_sum).and_then(|x| c.of(x, |op| *op == Op::Unary(UnaryOp::Square))).is_some();
        lin(c.bank, c.lhs).is_some() && lin(c.bank, c.rhs).is_some_and(|(t, _)| t.iter().any(|(_, x)| spread(*x)))
    }),
    pattern("algebra/abs-nonneg", &[("(abs x)", "x")], &[Need::NonNeg("x")]),
    pattern("algebra/abs-neg", &[("(abs (neg x))", "(abs x)")], &[]),
    factor("algebra/even-power", &[("(pow (abs x) e)", "(pow x e)"), ("(pow (neg x) e)", "(pow x e)")], &[Need::Even("e")]),
    pattern("algebra/root-of-square", &[("(sqrt (square x))", "(abs x)")], &[]),
    pattern("algebra/exp-log", &[("(exp (log x))", "x")], &[Need::NonNeg("x")]),
    own("algebra/exp-product", exp_product),
    factor("algebra/sign-abs", &[("(mul (sign x) (abs x))", "x")], &[]),
    pattern("algebra/root-power", &[("(pow x 0.5)", "(sqrt x)")], &[Need::NonNeg("x")]),
    ring("algebra/factor-common", |c| sums_only(c).is_some()),
    ring("algebra/merge-sums", |c| sums_only(c) == Some(true)),
    ring("algebra/collect", |c| c.lhs == c.rhs),
    own("algebra/fold-constant", constant),
    ring("reduce/scale-out", |c| {
        let inner = c.of(c.lhs, is_sum).and_then(|x| form::scaled(c.bank, x));
        let outer = form::scaled(c.bank, c.rhs).and_then(|(d, x)| Some((d, c.of(x, is_sum)?)));
        matches!((inner, outer), (Some((c, _)), Some((d, _))) if c == d)
    }),
    ring("reduce/factor-out", |c| {
        let inner = c.of(c.lhs, is_sum).is_some_and(|x| prod(c.bank, x).is_some());
        inner && prod(c.bank, c.rhs).is_some_and(|f| f.iter().any(|(x, _)| c.of(*x, is_sum).is_some()))
    }),
    ring("reduce/split", |c| {
        c.of(c.lhs, is_sum).and_then(|x| lin(c.bank, x)).is_some_and(|(t, k)| t.len() + usize::from(k != 0.0) > 1) && lin(c.bank, c.rhs).is_some()
    }),
    ring("reduce/of-broadcast", |c| {
        c.of(c.lhs, is_sum).is_some_and(|x| matches!(c.op(x), Some(Op::Broadcast(_)))) && form::scaled(c.bank, c.rhs).is_some()
    }),
    own("reduce/nested", |c| {
        let inner = |op: &Op| is_sum(op) || matches!(op, Op::Reshape(_) | Op::Transpose(_));
        let (Some(x), Some(y)) = (c.of(c.lhs, is_sum).and_then(|x| c.of(x, inner)), c.of(c.rhs, is_sum)) else { return Ok(false) };
        // The sum of all elements, in whatever order they stand.
        Ok(c.bank.equal(x, y) && c.rank(c.lhs) == 0 && c.rank(c.rhs) == 0)
    }),
    ring("reduce/matrix-vector", |c| {
        c.of(c.lhs, is_sum).is_some_and(|x| prod(c.bank, x).is_some()) && c.product(c.rhs).is_some()
    }),
    ring("reduce/of-product", |c| {
        c.of(c.lhs, is_sum).is_some_and(|x| c.product(x).is_some()) && c.product(c.rhs).is_some()
    }),
    ring("matrix/vector-left", |c| match (c.product(c.lhs), c.product(c.rhs)) {
        (Some((a, b)), Some((x, y))) => match (c.rank(a), c.rank(b)) {
            (1, 2) => c.bank.equal(y, a) && c.pair(x, b),
            (2, 1) => c.bank.equal(x, b) && c.pair(y, a),
            _ => false,
        },
        _ => false,
    }),
    ring("matrix/right", |c| inwards(c, c.lhs, c.rhs)),
    ring("matrix/left", |c| {
        // With a matrix and its own transpose this would be the Gram form, which is a law of its own.
        inwards(c, c.rhs, c.lhs) && !c.product(c.rhs).and_then(|(ab, _)| c.product(ab)).is_some_and(|(a, b)| c.pair(a, b))
    }),
    ring("matrix/gram", gram),
    ring("matrix/gram-value", gram_value),
    ring("matrix/weighted-gram", weighted_gram),
    ring("matrix/transpose-product", |c| c.of(c.lhs, is_transpose).is_some_and(|x| c.product(x).is_some()) && c.product(c.rhs).is_some()),
    ring("matrix/transpose-twice", |c| c.of(c.lhs, is_transpose).and_then(|x| c.of(x, is_transpose)).is_some_and(|x| c.bank.equal(x, c.rhs))),
    ring("matrix/transpose-sum", |c| c.of(c.lhs, is_transpose).is_some_and(|x| lin(c.bank, x).is_some()) && lin(c.bank, c.rhs).is_some()),
    ring("matrix/scale-out", |c| {
        let outside = form::scaled(c.bank, c.rhs).is_some_and(|(_, x)| c.product(x).is_some())
            || prod(c.bank, c.rhs).is_some_and(|f| {
                f.iter().filter(|(x, e)| *e == 1 && c.product(*x).is_some()).count() == 1
                    && f.iter().all(|(x, _)| c.rank(*x) == 0 || c.product(*x).is_some())
            });
        c.product(c.lhs).is_some() && outside
    }),
    ring("matrix/distribute", |c| {
        let longer = |x: Id| lin(c.bank, x).is_some_and(|(t, k)| t.len() + usize::from(k != 0.0) > 1);
        c.product(c.lhs).is_some_and(|(a, b)| longer(a) || longer(b)) && longer(c.rhs)
    }),
    ring("matrix/diagonal-factor", |c| {
        let diagonal = |x: Id| matches!(c.op(x), Some(Op::DiagMatrix));
        c.product(c.lhs).is_some_and(|(a, b)| diagonal(a) || diagonal(b)) && prod(c.bank, c.rhs).is_some()
    }),
    ring("matrix/diagonal-of-product", |c| {
        c.of(c.lhs, |op| matches!(op, Op::Diagonal)).is_some_and(|x| c.product(x).is_some()) && c.of(c.rhs, is_sum).is_some()
    }),
    ring("matrix/trace-of-product", |c| {
        let trace = c.of(c.lhs, is_sum).and_then(|x| c.of(x, |op| matches!(op, Op::Diagonal)));
        trace.is_some_and(|x| c.product(x).is_some()) && c.of(c.rhs, is_sum).is_some_and(|x| prod(c.bank, x).is_some())
    }),
    own("matrix/factor-once", factor_once),
    ring("matrix/outer-times", |c| {
        c.product(c.lhs).is_some_and(|(m, _)| prod(c.bank, m).is_some())
            && prod(c.bank, c.rhs).is_some_and(|f| {
                f.len() == 2 && f.iter().any(|(x, _)| matches!(c.op(*x), Some(Op::Reshape(_)))) && f.iter().any(|(x, _)| c.product(*x).is_some())
            })
    }),
];

/// All laws, each under the name of its rule.
pub fn laws() -> impl Iterator<Item = &'static Law> {
    [OWN, crate::piecewise::LAWS, crate::reductions::LAWS, crate::systems::LAWS].into_iter().flatten()
}

/// The law of that name.
pub fn law(name: &str) -> Option<&'static Law> {
    laws().find(|l| l.name == name)
}

impl Law {
    /// Is `lhs = rhs` an instance? On success the licence holds the facts it rests on.
    ///
    /// # Errors
    /// Why it is not, where that can be said.
    pub fn holds(&self, case: &mut Case<'_>) -> Result<(), String> {
        let no = || format!("the two sides are no instance of `{}`", self.name);
        if case.bank.ty(case.lhs) != case.bank.ty(case.rhs) {
            return Err("the two sides have different types".into());
        }
        match &self.kind {
            Kind::Ring(form) => {
                if form(case) && case.same(case.lhs, case.rhs)? { Ok(()) } else { Err(no()) }
            }
            Kind::Own(decide) => if decide(case)? { Ok(()) } else { Err(no()) },
            Kind::Pattern { forms, needs, factor } => {
                let mut why = no();
                for (l, r) in *forms {
                    match instance(case, (l, r), needs, *factor) {
                        Ok(true) => return Ok(()),
                        Ok(false) => {}
                        Err(e) => why = e,
                    }
                }
                Err(why)
            }
        }
    }

    /// Names under which the law holds of a step whose own parts are `parts`; for those who write proofs.
    pub fn names(&self, case: &mut Case<'_>, parts: &[Id]) -> Option<Names> {
        let Kind::Pattern { forms, .. } = &self.kind else {
            return self.holds(case).is_ok().then(Names::default);
        };
        let numbers = form::numbers(case.bank, parts);
        let axes = form::axes(case.bank, parts);
        for (l, r) in *forms {
            let (l, r) = (Pattern::read(l).ok()?, Pattern::read(r).ok()?);
            let mut all = Vec::new();
            l.names(&mut all);
            r.names(&mut all);
            let axes: Vec<Option<Vec<usize>>> = if l.has_axes() { axes.iter().cloned().map(Some).collect() } else { vec![None] };
            for axes in axes {
                let mut names = Names { axes, ..Names::default() };
                if self.search(case, &all, parts, &numbers, &mut names) {
                    return Some(names);
                }
            }
        }
        None
    }

    fn search(&self, case: &mut Case<'_>, left: &[String], parts: &[Id], numbers: &[f64], names: &mut Names) -> bool {
        let Some((first, rest)) = left.split_first() else {
            let mut cut = case.cut.clone();
            cut.extend(names.terms.values());
            let mut inner = Case { bank: case.bank, facts: case.facts, lhs: case.lhs, rhs: case.rhs, cut: &cut, names, licence: Vec::new() };
            let ok = self.holds(&mut inner).is_ok();
            let licence = inner.licence;
            if ok {
                case.licence = licence;
            }
            return ok;
        };
        // Names of numbers are `c`, `e` and what follows them; all others stand for terms.
        if matches!(first.as_str(), "c" | "e") {
            for v in numbers {
                names.numbers.insert(first.clone(), *v);
                if self.search(case, rest, parts, numbers, names) {
                    return true;
                }
            }
            names.numbers.remove(first);
            return false;
        }
        for p in parts {
            names.terms.insert(first.clone(), *p);
            if self.search(case, rest, parts, numbers, names) {
                return true;
            }
        }
        names.terms.remove(first);
        false
    }
}

fn instance(case: &mut Case<'_>, sides: (&str, &str), needs: &[Need], factor: bool) -> Result<bool, String> {
    let (l, r) = (Pattern::read(sides.0)?, Pattern::read(sides.1)?);
    let (Ok(l), Ok(mut r)) = (l.term(case.bank, case.names), r.term(case.bank, case.names)) else { return Ok(false) };
    let mut forms = Forms::new(case.bank, case.facts, case.cut);
    let fits = if factor {
        forms.same_but_for(case.lhs, l, case.rhs, r)?
    } else {
        if !forms.same(case.lhs, l)? {
            return Ok(false);
        }
        let want = case.bank.ty(case.rhs).shape.clone();
        if case.bank.ty(r).shape != want {
            r = case.bank.op_term(Op::Broadcast(want), &[r])?;
        }
        case.same(case.rhs, r)?
    };
    if !fits {
        return Ok(false);
    }
    case.licence.clear();
    for n in needs {
        let (name, word, known) = match *n {
            Need::Even(n) if !case.names.numbers.contains_key(n) => continue,
            Need::Even(name) => (name, "even", case.names.numbers[name] % 2.0 == 0.0 && case.names.numbers[name] != 0.0),
            Need::NonNeg(name) => {
                let Some(x) = case.names.terms.get(name).copied() else { continue };
                let known = case.facts.nonneg(case.bank, x);
                if known {
                    case.licence.push(format!("{name} is never negative: {}", form::describe(case.bank, x, 3)));
                }
                (name, "never negative", known)
            }
        };
        if !known {
            return Err(format!("`{name}` is not known to be {word}"));
        }
    }
    Ok(true)
}

/// A term without anything unknown in it, worked out by the reference interpreter.
fn constant(c: &mut Case<'_>) -> Result<bool, String> {
    let Some(want) = c.bank.constant(c.rhs) else { return Ok(false) };
    let mut g = gradus_ir::Graph::new();
    let mut budget = 60;
    let Some(out) = closed(c, c.lhs, &mut g, &mut budget) else { return Ok(false) };
    g.outputs = vec![out];
    let found = gradus_ir::reference::run(&g, &[]).map_err(|e| format!("{e:?}"))?;
    let close = |v: &f64| *v == want || (v - want).abs() <= 1e-13 * v.abs() || v.is_nan() && want.is_nan();
    Ok(found.first().is_some_and(|a| a.data.iter().all(close)))
}

fn closed(c: &Case<'_>, id: Id, g: &mut gradus_ir::Graph, budget: &mut usize) -> Option<gradus_ir::NodeId> {
    *budget = budget.checked_sub(1)?;
    let ty = c.bank.ty(id);
    if let (Some(v), true) = (c.bank.constant(id), ty.shape.is_scalar()) {
        return g.add_plain(Op::Const(gradus_ir::F64::new(v), ty.dtype), &[], Default::default()).ok();
    }
    let op = match &c.bank.term(id).head {
        crate::bank::Head::Op(op) => op.clone(),
        _ => return None,
    };
    let kids: Option<Vec<_>> = c.bank.term(id).kids.iter().map(|k| closed(c, *k, g, budget)).collect();
    g.add_plain(op, &kids?, Default::default()).ok()
}

/// Exponentials in a product are one exponential of a sum.
fn exp_product(c: &mut Case<'_>) -> Result<bool, String> {
    let (Some(before), Some(after)) = (prod(c.bank, c.lhs), prod(c.bank, c.rhs)) else { return Ok(false) };
    let exp = |c: &Case<'_>, x: Id| c.of(x, |op| *op == Op::Unary(UnaryOp::Exp));
    let mut sum: Option<Id> = None;
    let mut rest = Vec::new();
    for (x, e) in before {
        match exp(c, x).filter(|_| e.abs() == 1) {
            Some(y) => {
                let y = if e < 0 { c.bank.op_term(Op::Unary(UnaryOp::Neg), &[y])? } else { y };
                sum = Some(match sum {
                    None => y,
                    Some(s) => c.bank.op_term(Op::Binary(BinaryOp::Add), &[s, y])?,
                });
            }
            None => rest.push((c.bank.find(x), e)),
        }
    }
    let Some(sum) = sum else { return Ok(false) };
    let mut found = false;
    for (x, e) in after {
        let s = exp(c, x).filter(|_| e == 1 && !found);
        if let Some(s) = s
            && c.bank.ty(s) == c.bank.ty(sum)
            && c.same(s, sum)?
        {
            found = true;
            continue;
        }
        let Some(at) = rest.iter().position(|t| *t == (c.bank.find(x), e)) else { return Ok(false) };
        rest.remove(at);
    }
    Ok(found && rest.is_empty())
}

/// A sum whose terms and those of a sum within it make the sum on the right: true where nothing else occurs there.
fn sums_only(c: &mut Case<'_>) -> Option<bool> {
    let (terms, _) = lin(c.bank, c.lhs)?;
    let mut known: Vec<Id> = Vec::new();
    let mut nested = false;
    for (_, k) in &terms {
        known.push(c.bank.find(*k));
        if let Some((inner, _)) = lin(c.bank, *k) {
            nested = true;
            known.extend(inner.iter().map(|(_, x)| c.bank.find(*x)));
        }
    }
    let Some((after, _)) = lin(c.bank, c.rhs) else { return prod(c.bank, c.rhs).map(|_| false) };
    Some(nested && after.iter().all(|(_, x)| known.contains(&c.bank.find(*x))))
}

/// Is one side `(a b) c` and the other `a (b c)`?
fn inwards(c: &Case<'_>, outer: Id, inner: Id) -> bool {
    let sides = || {
        let (ab, z) = c.product(outer)?;
        let (a, b) = c.product(ab)?;
        let (x, yz) = c.product(inner)?;
        let (y, w) = c.product(yz)?;
        Some(c.bank.equal(a, x) && c.bank.equal(b, y) && c.bank.equal(z, w))
    };
    sides().unwrap_or(false)
}

/// At least twice as many rows as columns, both known.
fn tall(c: &Case<'_>, a: Id) -> bool {
    match c.bank.ty(a).shape.dims() {
        [n, d] => n.known().zip(d.known()).is_some_and(|(n, d)| n >= 2 * d && d > 0),
        _ => false,
    }
}

/// `A' (A x)` is `(A' A) x`; A is tall and does not vary where x does.
fn gram(c: &mut Case<'_>) -> bool {
    let Some((g, x)) = c.product(c.rhs) else { return false };
    let Some((at, a)) = c.product(g) else { return false };
    let Some((l, r)) = c.product(c.lhs) else { return false };
    let straight = c.product(r).is_some_and(|(b, y)| c.bank.equal(l, at) && c.bank.equal(b, a) && c.bank.equal(y, x));
    // (A x)' A, as reverse differentiation writes it.
    let turned = c.product(l).is_some_and(|(b, y)| c.rank(l) == 1 && c.bank.equal(r, a) && c.bank.equal(b, a) && c.bank.equal(y, x));
    if !(straight || turned) || !c.pair(at, a) || !tall(c, a) || !c.apart(&[a], x) {
        return false;
    }
    c.licence.push(format!("the matrix is {}", c.bank.ty(a)));
    true
}

/// `|A x + r|^2` by the Gram matrix.
fn gram_value(c: &mut Case<'_>) -> bool {
    let square = c.product(c.lhs).is_some_and(|(a, b)| c.bank.equal(a, b) && c.rank(a) == 1) || c.of(c.lhs, is_sum).is_some();
    let Some((terms, _)) = lin(c.bank, c.rhs) else { return false };
    let form = terms.iter().find_map(|(_, t)| {
        let (x, gx) = c.product(*t)?;
        let (g, y) = c.product(gx)?;
        let (at, a) = c.product(g)?;
        (c.bank.equal(x, y) && c.pair(at, a) && tall(c, a)).then_some((a, x))
    });
    match form {
        Some((a, x)) if square => c.apart(&[a], x),
        _ => false,
    }
}

/// `A' (d * (A x + r))` by the Gram matrix of `A` with the weights `d`.
fn weighted_gram(c: &mut Case<'_>) -> bool {
    if c.product(c.lhs).is_none() {
        return false;
    }
    let found = c.parts_of(c.rhs).into_iter().find_map(|t| {
        let (g, x) = c.product(t)?;
        let (at, rows) = c.product(g)?;
        let weighted = c.product_of(rows)?.iter().any(|(a, e)| *e == 1 && c.pair(at, *a) && tall(c, *a));
        weighted.then_some((g, x))
    });
    found.is_some_and(|(g, x)| c.apart(&[g], x))
}

/// Is the matrix positive definite by its form: Gram matrices and a positive diagonal, all with positive scales?
fn definite(c: &Case<'_>, m: Id) -> bool {
    let Some((terms, k)) = lin(c.bank, m) else { return false };
    let term = |x: Id| -> (bool, bool) {
        if let Some(d) = c.of(x, |op| matches!(op, Op::DiagMatrix)) {
            let r = c.facts.range(c.bank, d);
            return (r.lo >= 0.0 && !r.nan, c.facts.positive(c.bank, d));
        }
        (c.product(x).is_some_and(|(a, b)| c.pair(a, b)), false)
    };
    let parts: Vec<(bool, bool)> = terms.iter().map(|(_, x)| term(*x)).collect();
    k == 0.0 && terms.iter().all(|(s, _)| *s > 0.0) && parts.iter().all(|p| p.0) && parts.iter().any(|p| p.1)
}

/// A solve with a definite matrix that does not vary, by its factors.
fn factor_once(c: &mut Case<'_>) -> Result<bool, String> {
    if !matches!(c.op(c.lhs), Some(Op::Solve { .. })) {
        return Ok(false);
    }
    let (Some(a), Some(b)) = (c.kid(c.lhs, 0), c.kid(c.lhs, 1)) else { return Ok(false) };
    let names = Names { terms: [("a".to_string(), a), ("b".to_string(), b)].into(), ..Names::default() };
    let want = Pattern::read("(rsolve (second (qr a)) (matmul (t (first (qr a))) b))")?.term(c.bank, &names)?;
    if !c.bank.equal(c.rhs, want) || !definite(c, a) || !c.apart(&[a], b) {
        return Ok(false);
    }
    c.licence.push("the matrix is positive definite: Gram matrices and a positive diagonal".into());
    Ok(true)
}
