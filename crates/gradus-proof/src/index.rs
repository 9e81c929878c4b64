//! Sums and products in index notation: the normal form that decides whether two terms are equal by the rules of rings.
//!
//! A term becomes a sum of monomials; a monomial is a number times powers of *atoms*, each with an index for each of its axes. An
//! index is one of the result's axes or is summed over. Sums, products, powers, matrix products, transposes, reductions by `sum`,
//! diagonals and changes of shape that only concern axes of length one all are such sums; everything else is an atom. Two terms
//! are equal if their monomials are, up to the names of the indices that are summed over and the order of factors.
//!
//! With positive parts, `max(a, b)` is `b + pos(a - b)`, `min(a, b)` is `a - pos(a - b)` and `abs(z)` is `2 pos(z) - z`, where
//! `pos(-z) = pos(z) - z` and `pos(c z) = c pos(z)` for `c > 0`: what follows from that alone has one form.
//!
//! As in the language, `x / x` is 1 and `0 * x` is 0 only where x is known to be finite (and not zero).

use crate::bank::{Bank, Id};
use crate::facts::Facts;
use gradus_ir::{BinaryOp, Dim, Op, ReduceOp, Shape, UnaryOp};
use std::collections::{HashMap, HashSet};

/// Monomials of a form beyond which it is not worked out.
const MOST: usize = 2000;
/// Monomials that a power of a sum may have.
const MOST_POWER: usize = 64;
/// Terms that are opened one in another.
const DEEPEST: usize = 2000;

/// The head of the atom that is the positive part of its argument.
const POSITIVE: &str = "positive part";

type Done<T> = Result<T, String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Ix {
    /// An axis of length one.
    One,
    /// An axis of the result.
    Free(usize),
    /// Summed over.
    Bound(usize),
}

#[derive(Clone, Debug)]
struct Factor {
    atom: usize,
    exp: i32,
    at: Vec<Ix>,
}

#[derive(Clone, Debug)]
struct Mono {
    coef: f64,
    factors: Vec<Factor>,
    bound: Vec<Dim>,
    /// Pairs of indices that must be equal for the monomial to count (from diagonal matrices).
    equal: Vec<(Ix, Ix)>,
}

/// A sum of monomials over the axes of a shape.
#[derive(Clone, Debug)]
pub struct Poly {
    shape: Shape,
    terms: Vec<Mono>,
}

/// What an atom is: a class of the bank, or an operation on forms.
struct Atom {
    class: Option<Id>,
    made: Option<(String, Vec<Poly>)>,
    /// A term it stands for, for what is known of its values.
    of: Option<Id>,
}

/// Works out forms of terms, down to the terms in `cut`.
pub struct Forms<'b> {
    bank: &'b Bank,
    facts: &'b Facts,
    cut: &'b HashSet<Id>,
    atoms: Vec<Atom>,
    /// By class.
    memo: HashMap<Id, Poly>,
    depth: usize,
    parts: bool,
}

fn lead(from: &Shape, to: &Shape) -> usize {
    to.rank().saturating_sub(from.rank())
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-12 * a.abs().max(b.abs()) || a.is_nan() && b.is_nan()
}

impl Poly {
    fn number(v: f64, shape: &Shape) -> Poly {
        Poly { shape: shape.clone(), terms: vec![Mono { coef: v, factors: Vec::new(), bound: Vec::new(), equal: Vec::new() }] }
    }

    fn scaled(mut self, c: f64) -> Poly {
        self.terms.iter_mut().for_each(|t| t.coef *= c);
        self
    }

    /// The same as a value of a larger shape.
    fn stretched(self, to: &Shape) -> Poly {
        let by = lead(&self.shape, to);
        self.moved(to.clone(), |k| Ix::Free(k + by))
    }

    fn moved(mut self, shape: Shape, f: impl Fn(usize) -> Ix) -> Poly {
        let go = |i: &mut Ix| {
            if let Ix::Free(k) = *i {
                *i = f(k);
            }
        };
        self.terms.iter_mut().for_each(|t| t.each_index(go));
        self.shape = shape;
        self
    }

    /// Sum over the axes, which vanish.
    fn summed(mut self, axes: &[usize]) -> Poly {
        let dims = self.shape.dims().to_vec();
        let kept: Vec<usize> = (0..dims.len()).filter(|k| !axes.contains(k)).collect();
        let shape = Shape::new(kept.iter().map(|k| dims[*k].clone()));
        for t in &mut self.terms {
            let base = t.bound.len();
            t.bound.extend(axes.iter().filter_map(|a| dims.get(*a).cloned()));
            let go = |i: &mut Ix| {
                if let Ix::Free(k) = *i {
                    *i = match axes.iter().position(|a| *a == k) {
                        Some(j) => Ix::Bound(base + j),
                        None => Ix::Free(kept.iter().position(|j| *j == k).unwrap_or(k)),
                    };
                }
            };
            t.each_index(go);
        }
        self.shape = shape;
        self
    }
}

impl Mono {
    /// Every index of the factors and of the axes that are equal.
    fn each_index(&mut self, mut f: impl FnMut(&mut Ix)) {
        self.factors.iter_mut().flat_map(|x| &mut x.at).for_each(&mut f);
        for (a, b) in &mut self.equal {
            f(a);
            f(b);
        }
    }
}

fn times(a: &Mono, b: &Mono) -> Mono {
    let by = a.bound.len();
    let shift = |i: Ix| if let Ix::Bound(k) = i { Ix::Bound(k + by) } else { i };
    let mut out = a.clone();
    out.coef *= b.coef;
    out.bound.extend(b.bound.iter().cloned());
    out.factors.extend(b.factors.iter().map(|f| Factor { at: f.at.iter().map(|i| shift(*i)).collect(), ..f.clone() }));
    out.equal.extend(b.equal.iter().map(|(x, y)| (shift(*x), shift(*y))));
    out
}

impl<'b> Forms<'b> {
    pub fn new(bank: &'b Bank, facts: &'b Facts, cut: &'b HashSet<Id>) -> Forms<'b> {
        Forms { bank, facts, cut, atoms: Vec::new(), memo: HashMap::new(), depth: 0, parts: false }
    }

    /// Forms in which maxima, minima and sizes are sums with positive parts.
    pub fn with_parts(bank: &'b Bank, facts: &'b Facts, cut: &'b HashSet<Id>) -> Forms<'b> {
        Forms { parts: true, ..Forms::new(bank, facts, cut) }
    }

    /// Are two terms equal by the rules of rings?
    ///
    /// # Errors
    /// A form is too large to work out.
    pub fn same(&mut self, a: Id, b: Id) -> Done<bool> {
        let (p, q) = (self.form(a)?, self.form(b)?);
        Ok(self.equal(&p, &q))
    }

    /// Is `whole` the product of `part` and something, and `other` the product of `new` and the same?
    ///
    /// # Errors
    /// A form is too large to work out.
    pub fn same_but_for(&mut self, whole: Id, part: Id, other: Id, new: Id) -> Done<bool> {
        let (w, p) = (self.form(whole)?, self.form(part)?);
        let (o, n) = (self.form(other)?, self.form(new)?);
        if o.shape != w.shape {
            return Ok(false);
        }
        let (p, n) = (p.stretched(&w.shape), n.stretched(&w.shape));
        let ([w], [p]) = (w.terms.as_slice(), p.terms.as_slice()) else { return Ok(false) };
        if !w.bound.is_empty() || !p.bound.is_empty() || p.coef == 0.0 {
            return Ok(false);
        }
        let mut rest = w.clone();
        for f in &p.factors {
            let Some(at) = rest.factors.iter().position(|g| g.atom == f.atom && g.at == f.at && g.exp.signum() == f.exp.signum() && g.exp.abs() >= f.exp.abs())
            else {
                return Ok(false);
            };
            rest.factors[at].exp -= f.exp;
            if rest.factors[at].exp == 0 {
                rest.factors.remove(at);
            }
        }
        rest.coef /= p.coef;
        let product = Poly { shape: o.shape.clone(), terms: n.terms.iter().map(|t| times(&rest, t)).collect() };
        let product = self.tidy(product)?;
        Ok(self.equal(&product, &o))
    }

    fn form(&mut self, id: Id) -> Done<Poly> {
        if self.cut.contains(&id) && self.bank.constant(id).is_none() {
            return Ok(self.atom(id));
        }
        // What is known to be equal has one form, however it is spelled.
        let class = self.bank.find(id);
        if let Some(p) = self.memo.get(&class) {
            return Ok(p.clone());
        }
        self.depth += 1;
        let made = if self.depth > DEEPEST { Err("a term is too deep".to_string()) } else { self.work_out(id) };
        self.depth -= 1;
        let made = self.tidy(made?)?;
        // A term may hold another of its class.
        Ok(self.memo.entry(class).or_insert(made).clone())
    }

    fn work_out(&mut self, id: Id) -> Done<Poly> {
        let shape = self.bank.ty(id).shape.clone();
        if let Some(v) = self.bank.constant(id) {
            return Ok(Poly::number(v, &shape));
        }
        let kids = self.bank.term(id).kids.clone();
        let Some(op) = self.bank.op(id).cloned() else { return Ok(self.atom(id)) };
        let shape_of = |k: usize| self.bank.ty(kids[k]).shape.clone();
        match (&op, kids.len()) {
            (Op::Unary(u), 1) => match u {
                UnaryOp::Neg => Ok(self.form(kids[0])?.scaled(-1.0)),
                UnaryOp::ToReal => self.form(kids[0]),
                UnaryOp::Square => self.power(kids[0], 2),
                UnaryOp::Recip => self.power(kids[0], -1),
                UnaryOp::Abs if self.parts => {
                    let z = self.form(kids[0])?;
                    let mut p = self.positive(z.clone())?.scaled(2.0);
                    p.terms.extend(z.scaled(-1.0).terms);
                    Ok(p)
                }
                _ => self.opaque(id),
            },
            (Op::Binary(b), 2) => {
                let (x, y) = (kids[0], kids[1]);
                match b {
                    BinaryOp::Add | BinaryOp::Sub => {
                        let mut p = self.form(x)?.stretched(&shape);
                        let q = self.form(y)?.stretched(&shape);
                        p.terms.extend(if *b == BinaryOp::Sub { q.scaled(-1.0) } else { q }.terms);
                        Ok(p)
                    }
                    BinaryOp::Mul => {
                        let (p, q) = (self.form(x)?, self.form(y)?);
                        self.product(p.stretched(&shape), q.stretched(&shape))
                    }
                    BinaryOp::Div => {
                        let (p, q) = (self.form(x)?, self.power(y, -1)?);
                        let q = self.tidy(q)?;
                        self.product(p.stretched(&shape), q.stretched(&shape))
                    }
                    BinaryOp::Max | BinaryOp::Min if self.parts => {
                        let (p, q) = (self.form(x)?.stretched(&shape), self.form(y)?.stretched(&shape));
                        let mut d = p.clone();
                        d.terms.extend(q.clone().scaled(-1.0).terms);
                        let d = self.tidy(d)?;
                        let part = self.positive(d)?;
                        let (mut out, part) = if *b == BinaryOp::Max { (q, part) } else { (p, part.scaled(-1.0)) };
                        out.terms.extend(part.terms);
                        Ok(out)
                    }
                    BinaryOp::Pow => match self.bank.constant(y) {
                        Some(e) if e.fract() == 0.0 && e != 0.0 && e.abs() <= 64.0 => {
                            Ok(self.power(x, e as i32)?.stretched(&shape))
                        }
                        _ => self.opaque(id),
                    },
                    _ => self.opaque(id),
                }
            }
            (Op::Reduce(ReduceOp::Sum, axes), 1) => Ok(self.form(kids[0])?.summed(axes)),
            (Op::Broadcast(s), 1) => Ok(self.form(kids[0])?.stretched(s)),
            (Op::Transpose(perm), 1) => {
                let p = self.form(kids[0])?;
                Ok(p.moved(shape, |k| Ix::Free(perm.iter().position(|j| *j == k).unwrap_or(k))))
            }
            (Op::Reshape(s), 1) => {
                let from = shape_of(0);
                let long = |s: &Shape| -> Vec<(usize, Dim)> {
                    s.dims().iter().cloned().enumerate().filter(|(_, d)| !d.is_one()).collect()
                };
                let (a, b) = (long(&from), long(s));
                if a.iter().map(|t| &t.1).ne(b.iter().map(|t| &t.1)) {
                    return self.opaque(id);
                }
                let to: HashMap<usize, usize> = a.iter().zip(&b).map(|(x, y)| (x.0, y.0)).collect();
                Ok(self.form(kids[0])?.moved(shape, |k| to.get(&k).map_or(Ix::One, |j| Ix::Free(*j))))
            }
            (Op::DiagMatrix, 1) => {
                let mut p = self.form(kids[0])?.moved(shape, Ix::Free);
                p.terms.iter_mut().for_each(|t| t.equal.push((Ix::Free(0), Ix::Free(1))));
                Ok(p)
            }
            (Op::Diagonal, 1) => Ok(self.form(kids[0])?.moved(shape, |_| Ix::Free(0))),
            (Op::MatMul, 2) => {
                let (a, b) = (self.form(kids[0])?, self.form(kids[1])?);
                let (ra, rb) = (a.shape.rank(), b.shape.rank());
                if ra == 0 || rb == 0 {
                    return self.opaque(id);
                }
                // The result with the summed axis put last.
                let mut dims: Vec<Dim> = shape.dims().to_vec();
                let last = dims.len();
                dims.push(a.shape.dims()[ra - 1].clone());
                let wide = Shape::new(dims);
                let cols = usize::from(rb > 1);
                let a = a.moved(wide.clone(), |k| if k + 1 == ra { Ix::Free(last) } else if k + 2 == ra { Ix::Free(last - 1 - cols) } else { Ix::Free(k) });
                let b = b.moved(wide, |k| {
                    if rb == 1 || k + 2 == rb {
                        Ix::Free(last)
                    } else if k + 1 == rb {
                        Ix::Free(last - 1)
                    } else {
                        Ix::Free(k)
                    }
                });
                let mut p = self.product(a, b)?.summed(&[last]);
                p.shape = shape;
                Ok(p)
            }
            _ => self.opaque(id),
        }
    }

    fn product(&mut self, a: Poly, b: Poly) -> Done<Poly> {
        if a.terms.len().saturating_mul(b.terms.len()) > MOST {
            return Err("a product of sums is too long to work out".into());
        }
        // Zero times what may be infinite is not nothing.
        let nothing = |p: &Poly| Poly::number(0.0, &p.shape).terms;
        let (mut a, mut b) = (a, b);
        if a.terms.is_empty() {
            a.terms = nothing(&a);
        }
        if b.terms.is_empty() {
            b.terms = nothing(&b);
        }
        let mut terms = Vec::with_capacity(a.terms.len() * b.terms.len());
        for x in &a.terms {
            terms.extend(b.terms.iter().map(|y| times(x, y)));
        }
        self.tidy(Poly { shape: a.shape, terms })
    }

    /// The positive part.
    fn positive(&mut self, z: Poly) -> Done<Poly> {
        let scale = z.terms.iter().map(|t| t.coef.abs()).fold(0.0, f64::max);
        if scale == 0.0 {
            return Ok(z);
        }
        if let [t] = z.terms.as_slice()
            && t.factors.is_empty()
            && t.bound.is_empty()
            && t.equal.is_empty()
        {
            return Ok(Poly::number(t.coef.max(0.0), &z.shape));
        }
        let scale = if scale.is_normal() { scale } else { 1.0 };
        let (one, shape) = (z.clone().scaled(1.0 / scale), z.shape.clone());
        let turned = one.clone().scaled(-1.0);
        let known = self.atoms.iter().any(|a| a.made.as_ref().is_some_and(|(h, x)| h == POSITIVE && x.len() == 1 && self.equal(&x[0], &turned)));
        if !known {
            return Ok(self.made(POSITIVE.into(), vec![one], &shape, None).scaled(scale));
        }
        let mut out = self.made(POSITIVE.into(), vec![turned], &shape, None).scaled(scale);
        out.terms.extend(z.terms);
        self.tidy(out)
    }

    fn power(&mut self, id: Id, e: i32) -> Done<Poly> {
        let p = self.form(id)?;
        if let [t] = p.terms.as_slice()
            && t.bound.is_empty()
            && t.equal.is_empty()
        {
            let mut t = t.clone();
            t.coef = t.coef.powi(e);
            t.factors.iter_mut().for_each(|f| f.exp *= e);
            return Ok(Poly { shape: p.shape, terms: vec![t] });
        }
        if p.terms.is_empty() {
            return Ok(Poly::number(0f64.powi(e), &p.shape));
        }
        if e > 0 && (p.terms.len() as f64).powi(e) <= MOST_POWER as f64 {
            let mut out = p.clone();
            for _ in 1..e {
                out = self.product(out, p.clone())?;
            }
            return Ok(out);
        }
        // The base without its scale, so that 1 / (2 x + 2 y) is 0.5 / (x + y).
        let scale = p.terms.iter().map(|t| t.coef.abs()).fold(0.0, f64::max);
        let scale = if scale.is_normal() { scale } else { 1.0 };
        let shape = p.shape.clone();
        let base = self.made("base".into(), vec![p.scaled(1.0 / scale)], &shape, None);
        let mut out = base.scaled(scale.powi(e));
        out.terms.iter_mut().flat_map(|t| &mut t.factors).for_each(|f| f.exp = e);
        Ok(out)
    }

    fn indices(shape: &Shape) -> Vec<Ix> {
        shape.dims().iter().enumerate().map(|(k, d)| if d.is_one() { Ix::One } else { Ix::Free(k) }).collect()
    }

    fn of_atom(&self, atom: usize, shape: &Shape) -> Poly {
        let f = Factor { atom, exp: 1, at: Self::indices(shape) };
        Poly { shape: shape.clone(), terms: vec![Mono { coef: 1.0, factors: vec![f], bound: Vec::new(), equal: Vec::new() }] }
    }

    /// The term as it is, by its class.
    fn atom(&mut self, id: Id) -> Poly {
        let class = self.bank.find(id);
        let at = self.atoms.iter().position(|a| a.class == Some(class)).unwrap_or_else(|| {
            self.atoms.push(Atom { class: Some(class), made: None, of: Some(id) });
            self.atoms.len() - 1
        });
        self.of_atom(at, &self.bank.ty(id).shape)
    }

    /// An operation that is no sum or product, on the forms of its operands.
    fn opaque(&mut self, id: Id) -> Done<Poly> {
        let shape = self.bank.ty(id).shape.clone();
        let t = self.bank.term(id);
        if t.tys.len() > 1 {
            return Ok(self.atom(id));
        }
        let head = match t.head.op() {
            Some(op) => format!("{op:?}"),
            None => return Ok(self.atom(id)),
        };
        if matches!(t.head, crate::bank::Head::Regions(..)) {
            return Ok(self.atom(id));
        }
        let mut args = Vec::with_capacity(t.kids.len());
        for k in t.kids.clone() {
            // Of an op with several outputs only the class is known.
            args.push(if self.bank.term(k).tys.len() > 1 { self.atom(k) } else { self.form(k)? });
        }
        Ok(self.made(head, args, &shape, Some(id)))
    }

    fn made(&mut self, head: String, args: Vec<Poly>, shape: &Shape, of: Option<Id>) -> Poly {
        let class = of.map(|id| self.bank.find(id));
        for k in 0..self.atoms.len() {
            let a = &self.atoms[k];
            let by_class = class.is_some() && a.class == class;
            let by_form = a.made.as_ref().is_some_and(|(h, x)| {
                *h == head && x.len() == args.len() && x.iter().zip(&args).all(|(p, q)| self.equal(p, q))
            });
            if by_class || by_form {
                return self.of_atom(k, shape);
            }
        }
        self.atoms.push(Atom { class, made: Some((head, args)), of });
        self.of_atom(self.atoms.len() - 1, shape)
    }

    fn cancels(&self, atom: usize) -> bool {
        self.atoms[atom].of.is_some_and(|id| self.facts.finite(self.bank, id) && self.facts.nonzero(self.bank, id))
    }

    fn finite(&self, m: &Mono) -> bool {
        m.factors.iter().all(|f| f.exp > 0 && self.atoms[f.atom].of.is_some_and(|id| self.facts.finite(self.bank, id)))
    }

    /// Like factors and like terms together.
    fn tidy(&mut self, p: Poly) -> Done<Poly> {
        if p.terms.len() > MOST {
            return Err("a sum is too long to work out".into());
        }
        let mut out: Vec<(Mono, f64)> = Vec::with_capacity(p.terms.len());
        for t in p.terms {
            let t = self.simple(t);
            let like = out.iter().position(|(o, _)| self.alike(o, &t));
            match like {
                Some(k) => {
                    out[k].1 = out[k].1.max(t.coef.abs());
                    out[k].0.coef += t.coef;
                }
                None => {
                    let size = t.coef.abs();
                    out.push((t, size));
                }
            }
        }
        let mut terms = Vec::with_capacity(out.len());
        for (mut t, size) in out {
            if t.coef.abs() <= 1e-14 * size {
                t.coef = 0.0;
            }
            // What is 0 times something finite is nothing. Positive parts take out and put back what the terms never held.
            if t.coef != 0.0 || !self.parts && !self.finite(&t) {
                terms.push(t);
            }
        }
        Ok(Poly { shape: p.shape, terms })
    }

    fn simple(&self, mut t: Mono) -> Mono {
        // An index that must equal another is the other.
        while let Some((a, b)) = t.equal.iter().copied().find(|(a, b)| a == b || matches!(a, Ix::Bound(_) | Ix::One) || matches!(b, Ix::Bound(_) | Ix::One)) {
            t.equal.retain(|p| *p != (a, b));
            let (from, to) = match (a, b) {
                (a, b) if a == b => continue,
                (a @ Ix::Bound(_), b) => (a, b),
                (a, b @ Ix::Bound(_)) => (b, a),
                _ => continue,
            };
            let go = |i: &mut Ix| {
                if *i == from {
                    *i = to;
                }
            };
            t.each_index(go);
            if let Ix::Bound(k) = from {
                t.bound[k] = Dim::Known(1);
            }
        }
        t.equal.iter_mut().for_each(|p| {
            if let (Ix::Free(a), Ix::Free(b)) = *p
                && b < a
            {
                *p = (Ix::Free(b), Ix::Free(a));
            }
        });
        t.equal.sort_by_key(|p| format!("{p:?}"));
        t.equal.dedup();
        // Of axes that must be equal the first stands for all.
        for (to, from) in &t.equal {
            for i in t.factors.iter_mut().flat_map(|f| &mut f.at).filter(|i| *i == from) {
                *i = *to;
            }
        }
        let mut merged: Vec<Factor> = Vec::with_capacity(t.factors.len());
        for f in t.factors {
            let like = merged
                .iter()
                .position(|g| g.atom == f.atom && g.at == f.at && ((g.exp > 0) == (f.exp > 0) || self.cancels(f.atom)));
            match like {
                Some(k) => merged[k].exp += f.exp,
                None => merged.push(f),
            }
        }
        merged.retain(|f| f.exp != 0);
        // Indices that nothing depends on are counted where their number is known.
        let mut used = vec![false; t.bound.len()];
        for i in merged.iter().flat_map(|f| &f.at) {
            if let Ix::Bound(k) = i {
                used[*k] = true;
            }
        }
        let mut number = vec![0; t.bound.len()];
        let mut bound = Vec::new();
        for (k, d) in t.bound.iter().enumerate() {
            match d.known() {
                Some(n) if !used[k] => t.coef *= n as f64,
                _ => {
                    number[k] = bound.len();
                    bound.push(d.clone());
                }
            }
        }
        for i in merged.iter_mut().flat_map(|f| &mut f.at) {
            if let Ix::Bound(k) = i {
                *i = Ix::Bound(number[*k]);
            }
        }
        Mono { coef: t.coef, factors: merged, bound, equal: t.equal }
    }

    /// The same monomial but for its number?
    fn alike(&self, a: &Mono, b: &Mono) -> bool {
        if a.factors.len() != b.factors.len() || a.bound.len() != b.bound.len() || a.equal != b.equal {
            return false;
        }
        let mut left: Vec<bool> = vec![true; b.factors.len()];
        let mut map: Vec<Option<usize>> = vec![None; a.bound.len()];
        let mut budget = 20_000;
        pair(a, b, 0, &mut left, &mut map, &mut budget)
    }

    fn equal(&self, p: &Poly, q: &Poly) -> bool {
        if p.terms.len() != q.terms.len() || p.shape != q.shape {
            return false;
        }
        let mut left = vec![true; q.terms.len()];
        p.terms.iter().all(|t| {
            let at = q.terms.iter().enumerate().position(|(k, u)| left[k] && close(t.coef, u.coef) && self.alike(t, u));
            if let Some(k) = at {
                left[k] = false;
            }
            at.is_some()
        })
    }
}

/// Pairs the factors of two monomials from the k-th on, with one renaming of the indices that are summed over.
fn pair(a: &Mono, b: &Mono, k: usize, left: &mut [bool], map: &mut Vec<Option<usize>>, budget: &mut usize) -> bool {
    let Some(f) = a.factors.get(k) else {
        // Indices that only the monomial itself counts must match in number and length.
        let mut rest: Vec<usize> = (0..b.bound.len()).filter(|j| !map.contains(&Some(*j))).collect();
        return (0..a.bound.len()).filter(|i| map[*i].is_none()).all(|i| {
            let at = rest.iter().position(|j| a.bound[i] == b.bound[*j]);
            at.map(|j| rest.remove(j)).is_some()
        });
    };
    for (j, g) in b.factors.iter().enumerate() {
        if *budget == 0 {
            return false;
        }
        *budget -= 1;
        if !left[j] || g.atom != f.atom || g.exp != f.exp || g.at.len() != f.at.len() {
            continue;
        }
        let saved = map.clone();
        let fits = f.at.iter().zip(&g.at).all(|(x, y)| match (x, y) {
            (Ix::Bound(i), Ix::Bound(j)) => match map[*i] {
                Some(m) => m == *j,
                None => {
                    let free = !map.contains(&Some(*j)) && a.bound[*i] == b.bound[*j];
                    if free {
                        map[*i] = Some(*j);
                    }
                    free
                }
            },
            (x, y) => x == y,
        });
        if fits {
            left[j] = false;
            if pair(a, b, k + 1, left, map, budget) {
                return true;
            }
            left[j] = true;
        }
        *map = saved;
    }
    false
}
