//! The Gram form of least squares: `A' (A x - b)` as `G x - c`, with `G = A' A` and `c = A' b` known before the loop.
//!
//! The condition number of G is the square of that of A, so the class is `Conditioning`: a run-time probe that compares both
//! forms belongs beside the plan. Until it exists the guard allows only what costs least to trust: at least twice as many rows as
//! columns, A known and unchanging, and a loop long enough to pay (which the cost decides).

use super::matrix::product;
use super::{Case, Family, Rule, at, flip, matmul, nothing, products, rank, transposed, varies_apart};
use crate::report::Class;
use crate::sea::Sop;
use crate::space::{Term, View};
use egg::Id;

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
        if rank(v, b) == 2 && rank(v, c) <= 2 && is_pair(v, a, b) && tall(v, b) && varies_apart(v, &[a, b], c) {
            out.push(matmul(matmul(at(a), at(b)), at(c)));
        }
    }
    // (A x)' A, as reverse differentiation writes it.
    if rank(v, a) == 1 {
        let m = bc;
        for (b, c) in products(v, a) {
            if rank(v, c) == 1 && v.find(b) == v.find(m) && tall(v, m) && varies_apart(v, &[m], c) {
                out.push(matmul(matmul(flip(v, m), at(m)), at(c)));
            }
        }
    }
    out
}

pub const RULES: &[Rule] = &[Rule {
    name: "matrix/gram",
    class: Class::Conditioning,
    family: Family::Matrix,
    reason: "a loop over the d x d Gram matrix in place of the n x d data; digits are lost where the data is ill-conditioned",
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
}];
