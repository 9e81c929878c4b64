//! The Gram form of least squares: `A' (A x - b)` as `G x - c`, with `G = A' A` and `c = A' b` known before the loop.
//!
//! The condition number of G is the square of that of A, so the class is `Conditioning`: `probe.rs` compares both forms on the data,
//! and the plain form is run where they differ too much. The guard allows only what promises to pay for that: at least twice as
//! many rows as columns, A known and unchanging, and a loop of some length (the cost decides the rest).

use super::matrix::product;
use super::{
    Case, Family, Head, Rule, as_product, at, first, flip, lin, linear, matmul, node, nothing, prod, products, rank, transposed, varies_apart, varies_long,
};
use crate::report::Class;
use crate::sea::Sop;
use crate::space::{Term, View};
use egg::Id;
use gradus_ir::{Dim, Op, ReduceOp, Shape};

/// Steps of a loop below which the Gram matrix is not worth its making and its probe.
const LEAST: f64 = 16.0;

/// Is one the transpose of the other?
pub(super) fn is_pair(v: &dyn View, a: Id, b: Id) -> bool {
    let (a, b) = (v.find(a), v.find(b));
    transposed(v, a) == Some(b) || transposed(v, b) == Some(a)
}

/// At least twice as many rows as columns, both known.
fn tall(v: &dyn View, a: Id) -> bool {
    match v.fact(a).shape().dims() {
        [n, d] => n.known().zip(d.known()).is_some_and(|(n, d)| n >= 2 * d && d > 0),
        _ => false,
    }
}

fn gram(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((a, bc)) = product(v, op, kids) else { return nothing() };
    let mut out = Vec::new();
    for (b, c) in products(v, bc) {
        if rank(v, b) == 2 && rank(v, c) <= 2 && is_pair(v, a, b) && tall(v, b) && varies_long(v, &[a, b], c, LEAST) {
            out.push(matmul(matmul(at(a), at(b)), at(c)));
        }
    }
    // (A x)' A, as reverse differentiation writes it.
    if rank(v, a) == 1 {
        let m = bc;
        for (b, c) in products(v, a) {
            if rank(v, c) == 1 && v.find(b) == v.find(m) && tall(v, m) && varies_long(v, &[m], c, LEAST) {
                out.push(matmul(matmul(flip(v, m), at(m)), at(c)));
            }
        }
    }
    out
}

/// `A' (d * (A x - b))` with known weights `d` as `(A' diag(d) A) x - A' (d * b)`.
fn weighted(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((a, r)) = product(v, op, kids) else { return nothing() };
    if rank(v, a) != 2 || rank(v, r) != 1 {
        return nothing();
    }
    let found = first(v, r, |op, kids| {
        let f = as_product(op, kids, v).filter(|f| f.len() > 1)?;
        f.iter().enumerate().filter(|(_, (_, e))| *e == 1).find_map(|(i, (m, _))| {
            let weights: Vec<(Id, i32)> = f.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, f)| *f).collect();
            if weights.iter().any(|(w, _)| rank(v, *w) > 1) || weights.iter().all(|(w, _)| rank(v, *w) == 0) {
                return None;
            }
            // The residual: one term is the product, the others are known.
            let (terms, constant) = linear(v, *m);
            let (j, b, x) = terms.iter().enumerate().find_map(|(j, (_, k))| {
                let fits = |(b, x): &(Id, Id)| rank(v, *b) == 2 && rank(v, *x) == 1 && is_pair(v, a, *b) && tall(v, *b);
                products(v, *k).into_iter().find(fits).map(|(b, x)| (j, b, x))
            })?;
            let mut known: Vec<Id> = weights.iter().map(|(w, _)| *w).chain([a, b]).collect();
            known.extend(terms.iter().enumerate().filter(|(k, _)| *k != j).map(|(_, (_, k))| *k));
            varies_apart(v, &known, x).then_some((weights, terms, constant, j, b, x))
        })
    });
    let Some((weights, terms, constant, j, b, x)) = found else { return nothing() };
    let n = v.fact(r).shape().dims().first().cloned().unwrap_or(Dim::Known(1));
    let mut rows: Vec<(Term, i32)> = weights
        .iter()
        .map(|(w, e)| match rank(v, *w) {
            0 => (at(*w), *e),
            _ => (node(Op::Reshape(Shape::new([n.clone(), Dim::Known(1)])), vec![at(*w)]), *e),
        })
        .collect();
    rows.push((at(b), 1));
    let gram = matmul(matmul(at(a), prod(rows)), at(x));
    let mut out = vec![(terms[j].0, gram)];
    let rest: Vec<(f64, Term)> =
        terms.iter().enumerate().filter(|(k, _)| *k != j).map(|(_, (c, k))| (*c, at(*k))).collect();
    if !rest.is_empty() || constant != 0.0 {
        // One known term keeps its scale outside.
        let (scale, rest) = match rest.as_slice() {
            [(c, k)] if constant == 0.0 => (*c, vec![(1.0, k.clone())]),
            _ => (1.0, rest),
        };
        let rest = if rest.is_empty() { Term::Real(constant) } else { lin(rest, constant) };
        let mut all: Vec<(Term, i32)> = weights.iter().map(|(w, e)| (at(*w), *e)).collect();
        all.push((rest, 1));
        out.push((scale, matmul(at(a), node(Op::Broadcast(Shape::new([n])), vec![prod(all)]))));
    }
    vec![lin(out, 0.0)]
}

/// The operand, where the form is the sum of the squares of a vector.
fn squared_norm(v: &dyn View, op: &Sop, kids: &[Id]) -> Option<Id> {
    match (op.ir(), kids) {
        (Some(Op::MatMul), [a, b]) if v.find(*a) == v.find(*b) && rank(v, *a) == 1 => Some(*a),
        (Some(Op::Reduce(ReduceOp::Sum, axes)), [s]) if axes.as_slice() == [0] && rank(v, *s) == 1 => {
            first(v, *s, |op, kids| match as_product(op, kids, v)?.as_slice() {
                [(r, 2)] => Some(*r),
                _ => None,
            })
        }
        _ => None,
    }
}

/// `|A x + r|^2` as `x' G x + 2 x' A' r + r' r`.
fn gram_value(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(r) = squared_norm(v, op, kids) else { return nothing() };
    let shape = v.fact(r).shape().clone();
    let mut out = Vec::new();
    v.forms(r, &mut |op, all| {
        let kids = all;
        let Sop::Lin { coeffs, constant } = op else { return };
        if constant.get() != 0.0 || kids.iter().any(|k| v.fact(*k).shape() != &shape) {
            return;
        }
        for (j, (c, k)) in coeffs.iter().zip(kids).enumerate() {
            for (a, x) in products(v, *k) {
                let others: Vec<Id> = kids.iter().enumerate().filter(|(i, _)| *i != j).map(|(_, k)| *k).collect();
                let mut known = others.clone();
                known.push(a);
                if rank(v, a) != 2 || rank(v, x) != 1 || !tall(v, a) || !varies_long(v, &known, x, LEAST) {
                    continue;
                }
                let scales: Vec<f64> =
                    coeffs.iter().enumerate().filter(|(i, _)| *i != j).map(|(_, c)| c.get()).collect();
                // One known term keeps its scale outside.
                let (s, rest) = match (scales.as_slice(), others.as_slice()) {
                    ([s], [k]) => (*s, at(*k)),
                    _ => (1.0, lin(scales.iter().copied().zip(others.iter().map(|k| at(*k))).collect(), 0.0)),
                };
                v.used(r, op, all);
                let c = c.get();
                let gx = matmul(matmul(flip(v, a), at(a)), at(x));
                let mut terms = vec![(c * c, matmul(at(x), gx))];
                if !others.is_empty() {
                    terms.push((2.0 * c * s, matmul(at(x), matmul(flip(v, a), rest.clone()))));
                    terms.push((s * s, matmul(rest.clone(), rest)));
                }
                out.push(lin(terms, 0.0));
            }
        }
    });
    out
}

/// The rule that only fires when `Options::gram_value` asks for it: near the optimum its terms cancel.
pub const VALUE: &str = "matrix/gram-value";

pub const RULES: &[Rule] = &[
    Rule {
    name: "matrix/gram",
    class: Class::Conditioning,
    family: Family::Matrix,
    reason: "a loop over the d x d Gram matrix in place of the n x d data; digits are lost where the data is ill-conditioned",
    heads: &[Head::MatMul],
    directed: false,
    apply: gram,
    cases: &[
        Case { vars: "a:8,3 ~x:3", start: "(matmul (t a) (matmul a x))", goal: "(matmul (matmul (t a) a) x)" },
        Case { vars: "a:8,3 ~x:3,2", start: "(matmul (t a) (matmul a x))", goal: "(matmul (matmul (t a) a) x)" },
        Case { vars: "a:8,3 ~x:3", start: "(matmul (matmul a x) a)", goal: "(matmul (matmul (t a) a) x)" },
    ],
    refused: &[
        Case { vars: "a:5,3 ~x:3", start: "(matmul (t a) (matmul a x))", goal: "(matmul (matmul (t a) a) x)" },
        Case { vars: "a:8,3 x:3", start: "(matmul (t a) (matmul a x))", goal: "(matmul (matmul (t a) a) x)" },
        Case { vars: "~a:8,3 ~x:3", start: "(matmul (t a) (matmul a x))", goal: "(matmul (matmul (t a) a) x)" },
        Case { vars: "a:8,3 b:8,3 ~x:3", start: "(matmul (t b) (matmul a x))", goal: "(matmul (matmul (t b) a) x)" },
    ],
},
    rule!("matrix/weighted-gram", Conditioning, Matrix, [MatMul], weighted,
        "a loop over the d x d weighted Gram matrix in place of the n x d data; digits are lost where the data is ill-conditioned",
        ["a:8,3 ~x:3 d:8": "(matmul (t a) (mul d (matmul a x)))" => "(matmul (matmul (t a) (mul (col d) a)) x)",
         "a:8,3 ~x:3 d:8 b:8": "(matmul (t a) (mul d (sub (matmul a x) b)))"
            => "(sub (matmul (matmul (t a) (mul (col d) a)) x) (matmul (t a) (mul d b)))"],
        ["a:8,3 ~x:3 ~d:8": "(matmul (t a) (mul d (matmul a x)))" => "(matmul (matmul (t a) (mul (col d) a)) x)",
         "a:5,3 ~x:3 d:5": "(matmul (t a) (mul d (matmul a x)))" => "(matmul (matmul (t a) (mul (col d) a)) x)"]),
    Rule {
        name: VALUE,
        class: Class::Conditioning,
        family: Family::Matrix,
        reason: "a loop over the d x d Gram matrix in place of the n x d data; the value loses as many digits as it is smaller than its terms",
        heads: &[Head::MatMul, Head::Reduce(ReduceOp::Sum)],
        directed: false,
        apply: gram_value,
        cases: &[
            Case {
                vars: "a:8,3 ~x:3 b:8",
                start: "(sum (square (sub (matmul a x) b)))",
                goal: "(add (sub (matmul x (matmul (matmul (t a) a) x)) (mul 2 (matmul x (matmul (t a) b)))) (matmul b b))",
            },
        ],
        refused: &[Case {
            vars: "a:5,3 ~x:3 b:5",
            start: "(sum (square (sub (matmul a x) b)))",
            goal: "(add (sub (matmul x (matmul (matmul (t a) a) x)) (mul 2 (matmul x (matmul (t a) b)))) (matmul b b))",
        }],
    },
];
