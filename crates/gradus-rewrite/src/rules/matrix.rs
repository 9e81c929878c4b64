//! Products of matrices: order, what can be known before a loop, and special factors.

use super::{
    Rule, as_product, at, first, flip, lin, matmul, node, nothing, prod, products, rank, stretch, sum,
    transposed, varies_apart, varies_long,
};
use crate::sea::{Sop, size};
use crate::space::{Term, View};
use egg::Id;
use gradus_ir::{Dim, Op, ReduceOp, Shape};

/// The operands, where the form is a product of matrices or vectors (no batches).
pub(super) fn product(v: &dyn View, op: &Sop, kids: &[Id]) -> Option<(Id, Id)> {
    match (op.ir(), kids) {
        (Some(Op::MatMul), [a, b]) if rank(v, *a) <= 2 && rank(v, *b) <= 2 => Some((v.find(*a), v.find(*b))),
        _ => None,
    }
}

fn vector_left(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((a, b)) = product(v, op, kids) else { return nothing() };
    match (rank(v, a), rank(v, b)) {
        (1, 2) => vec![matmul(flip(v, b), at(a))],
        (2, 1) => transposed(v, a).map(|m| matmul(at(b), at(m))).into_iter().collect(),
        _ => nothing(),
    }
}

fn dims(v: &dyn View, a: Id) -> (f64, f64) {
    let d = v.fact(a).shape();
    (d.dims().first().map_or(1.0, size), d.dims().get(1).map_or(1.0, size))
}

fn right(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((ab, c)) = product(v, op, kids) else { return nothing() };
    let inner = products(v, ab).into_iter().filter(|(a, b)| rank(v, *b) == 2 && rank(v, *a) <= 2);
    inner.map(|(a, b)| matmul(at(a), matmul(at(b), at(c)))).collect()
}

fn left(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((a, bc)) = product(v, op, kids) else { return nothing() };
    let mut out = Vec::new();
    for (b, c) in products(v, bc) {
        if rank(v, b) != 2 || rank(v, c) > 2 || super::gram::is_pair(v, a, b) {
            continue;
        }
        // Either the product of the two is known before a loop, or it is the cheaper order.
        let ((_, k), (m, n)) = (dims(v, b), dims(v, a));
        let (m, n) = if rank(v, a) == 1 { (1.0, m) } else { (m, n) };
        let cols = if rank(v, c) == 1 { 1.0 } else { dims(v, c).1 };
        let cheaper = m * n * k + m * k * cols < n * k * cols + m * n * cols;
        if varies_apart(v, &[a, b], c) || cheaper {
            out.push(matmul(matmul(at(a), at(b)), at(c)));
        }
    }
    out
}

fn transpose_product(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(x) = transpose_of(op, kids, v) else { return nothing() };
    products(v, x)
        .into_iter()
        .filter(|(a, b)| rank(v, *a) == 2 && rank(v, *b) == 2)
        .map(|(a, b)| matmul(flip(v, b), flip(v, a)))
        .collect()
}

fn transpose_of(op: &Sop, kids: &[Id], v: &dyn View) -> Option<Id> {
    match (op.ir(), kids) {
        (Some(Op::Transpose(p)), [x]) if p.as_slice() == [1, 0] => Some(v.find(*x)),
        _ => None,
    }
}

fn transpose_twice(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    transpose_of(op, kids, v).and_then(|x| transposed(v, x)).map(at).into_iter().collect()
}

fn transpose_sum(v: &dyn View, id: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some(x) = transpose_of(op, kids, v) else { return nothing() };
    let shape = v.fact(x).shape().clone();
    let found = first(v, x, |op, kids| match op {
        // A sum that contains its own transpose would grow for ever.
        Sop::Lin { coeffs, constant } if !kids.iter().any(|k| v.find(*k) == id) => {
            let useful = kids.iter().any(|k| transposed(v, *k).is_some() || !products(v, *k).is_empty());
            (useful || coeffs.len() == 1).then(|| (coeffs.clone(), constant.get(), kids.to_vec()))
        }
        _ => None,
    });
    let Some((coeffs, constant, kids)) = found else { return nothing() };
    if kids.iter().any(|k| v.fact(*k).shape() != &shape && !v.fact(*k).shape().is_scalar()) {
        return nothing();
    }
    let terms = coeffs.iter().zip(&kids).map(|(c, k)| (c.get(), flip(v, *k))).collect();
    vec![lin(terms, constant)]
}

type Factors = Vec<(Id, i32)>;

/// Scalar factors of a class, and the rest of it.
fn scalars(v: &dyn View, id: Id) -> Option<(Factors, Factors)> {
    let shape = v.fact(id).shape().clone();
    first(v, id, |op, kids| {
        let Sop::Prod(_) = op else { return None };
        let (s, rest): (Factors, Factors) =
            as_product(op, kids, v)?.into_iter().partition(|(k, _)| v.fact(*k).shape().is_scalar());
        let mut whole = Shape::scalar();
        for (k, _) in &rest {
            whole = Shape::broadcast(&whole, v.fact(*k).shape()).ok()?;
        }
        (!s.is_empty() && whole == shape).then_some((s, rest))
    })
}

fn scale_out(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((a, b)) = product(v, op, kids) else { return nothing() };
    let mut out = Vec::new();
    let again = |x: Term, is_left: bool| if is_left { matmul(x, at(b)) } else { matmul(at(a), x) };
    for (side, is_left) in [(a, true), (b, false)] {
        let scaled = first(v, side, |op, kids| match op {
            Sop::Lin { coeffs, constant } if coeffs.len() == 1 && constant.get() == 0.0 => {
                kids.first().filter(|k| v.fact(**k).shape() == v.fact(side).shape()).map(|k| (coeffs[0].get(), *k))
            }
            _ => None,
        });
        if let Some((c, x)) = scaled {
            out.push(lin(vec![(c, again(at(x), is_left))], 0.0));
        }
        if let Some((s, rest)) = scalars(v, side) {
            let inner = prod(rest.into_iter().map(|(k, e)| (at(k), e)).collect());
            let mut all: Vec<(Term, i32)> = s.into_iter().map(|(k, e)| (at(k), e)).collect();
            all.push((again(inner, is_left), 1));
            out.push(prod(all));
        }
    }
    out
}

pub(super) fn is_diagonal(v: &dyn View, id: Id) -> Option<Id> {
    first(v, id, |op, kids| match op.ir() {
        Some(Op::DiagMatrix) => kids.first().copied(),
        _ => None,
    })
}

/// A product with a sum, taken apart where a term is itself a product, a diagonal, or known before a loop.
fn distribute(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((a, b)) = product(v, op, kids) else { return nothing() };
    let mut out = Vec::new();
    for (side, other, is_left) in [(a, b, true), (b, a, false)] {
        let shape = v.fact(side).shape().clone();
        let found = first(v, side, |op, kids| match op {
            Sop::Lin { coeffs, constant } if kids.len() + usize::from(constant.get() != 0.0) > 1 => {
                Some((coeffs.clone(), constant.get(), kids.to_vec()))
            }
            _ => None,
        });
        let Some((coeffs, constant, kids)) = found else { continue };
        let has_product = |k: Id| {
            products(v, k).iter().any(|(x, y)| {
                // The product with the other side can be formed before, or is cheaper.
                let near = if is_left { *y } else { *x };
                let far = if is_left { *x } else { *y };
                rank(v, near) == 2 && (varies_apart(v, &[near, other], far) || is_left)
            }) || scalars(v, k).is_some_and(|(_, rest)| rest.iter().any(|(r, _)| !products(v, *r).is_empty()))
        };
        let single = |k: Id| {
            has_product(k)
                || is_diagonal(v, k).is_some()
                || kids.iter().any(|o| varies_apart(v, &[k, other], *o)) && kids.iter().any(|o| has_product(*o))
        };
        if !kids.iter().any(|k| has_product(*k) || is_diagonal(v, *k).is_some()) {
            continue;
        }
        let again = |x: Term| if is_left { matmul(x, at(other)) } else { matmul(at(other), x) };
        let mut terms = Vec::new();
        let mut rest = Vec::new();
        for (c, k) in coeffs.iter().zip(&kids) {
            if single(*k) {
                terms.push((c.get(), again(stretch(v, *k, &shape))));
            } else {
                rest.push((c.get(), stretch(v, *k, &shape)));
            }
        }
        if constant != 0.0 && rest.is_empty() {
            let full = node(Op::Broadcast(shape.clone()), vec![Term::Real(constant)]);
            terms.push((1.0, again(full)));
        } else if !rest.is_empty() {
            terms.push((1.0, again(lin(rest, constant))));
        }
        if terms.len() > 1 {
            out.push(lin(terms, 0.0));
        }
    }
    out
}

fn diagonal_factor(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((a, b)) = product(v, op, kids) else { return nothing() };
    let mut out = Vec::new();
    if let Some(d) = is_diagonal(v, a) {
        let rows = v.fact(d).shape().dims().first().cloned().unwrap_or(Dim::Known(1));
        let d = if rank(v, b) == 1 { at(d) } else { node(Op::Reshape(Shape::new([rows, Dim::Known(1)])), vec![at(d)]) };
        out.push(prod(vec![(d, 1), (at(b), 1)]));
    }
    if let Some(d) = is_diagonal(v, b) {
        out.push(prod(vec![(at(a), 1), (at(d), 1)]));
    }
    out
}

fn diagonal_of_product(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let (Some(Op::Diagonal), [x]) = (op.ir(), kids) else { return nothing() };
    products(v, *x)
        .into_iter()
        .filter(|(a, b)| rank(v, *a) == 2 && rank(v, *b) == 2)
        .map(|(a, b)| sum(&[1], prod(vec![(at(a), 1), (flip(v, b), 1)])))
        .collect()
}

fn trace_of_product(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let (Some(Op::Reduce(ReduceOp::Sum, axes)), [x]) = (op.ir(), kids) else { return nothing() };
    if axes.as_slice() != [0] {
        return nothing();
    }
    let m = first(v, *x, |op, kids| match op.ir() {
        Some(Op::Diagonal) => kids.first().copied(),
        _ => None,
    });
    let Some(m) = m else { return nothing() };
    products(v, m)
        .into_iter()
        .filter(|(a, b)| rank(v, *a) == 2 && rank(v, *b) == 2)
        .map(|(a, b)| sum(&[0, 1], prod(vec![(at(a), 1), (flip(v, b), 1)])))
        .collect()
}

/// `(u v') w`, the outer product written elementwise.
fn outer_times(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((m, w)) = product(v, op, kids) else { return nothing() };
    if rank(v, m) != 2 || rank(v, w) != 1 {
        return nothing();
    }
    let full = v.fact(m).shape().clone();
    let [rows, cols] = full.dims() else { return nothing() };
    let found = first(v, m, |op, kids| match as_product(op, kids, v)?.as_slice() {
        [(a, 1), (b, 1)] => [(*a, *b), (*b, *a)].into_iter().find(|(u, x)| {
            let (us, xs) = (v.fact(*u).shape(), v.fact(*x).shape());
            us.rank() == 2 && us.dims()[0] == *rows && us.dims()[1].is_one()
                && xs.dims().last() == Some(cols) && (xs.rank() == 1 || xs.dims()[0].is_one())
        }),
        _ => None,
    });
    let Some((u, x)) = found else { return nothing() };
    let flat = |id: Id, n: &Dim| node(Op::Reshape(Shape::new([n.clone()])), vec![at(id)]);
    vec![prod(vec![(flat(u, rows), 1), (matmul(flat(x, cols), at(w)), 1)])]
}

/// Is the matrix positive definite by its form: a sum of Gram matrices and a positive diagonal, all with positive scales?
fn definite(v: &dyn View, m: Id) -> bool {
    // (semidefinite, definite) of a term.
    let term = |k: Id| -> (bool, bool) {
        if let Some(d) = is_diagonal(v, k) {
            let d = v.fact(d).values;
            return (d.nonneg() && d.never_nan(), d.positive());
        }
        (products(v, k).into_iter().any(|(a, b)| super::gram::is_pair(v, a, b)), false)
    };
    first(v, m, |op, kids| {
        let Sop::Lin { coeffs, constant } = op else { return None };
        if constant.get() != 0.0 || coeffs.iter().any(|c| c.get() <= 0.0) {
            return None;
        }
        let parts: Vec<(bool, bool)> = kids.iter().map(|k| term(*k)).collect();
        (parts.iter().all(|(semi, _)| *semi) && parts.iter().any(|(_, def)| *def)).then_some(())
    })
    .is_some()
}

/// Steps of a loop below which solving each time costs no more than factors and their probe.
const LEAST: f64 = 8.0;

/// Solves with a positive definite matrix that does not vary: factored before the loop. The factors are orthogonal and triangular,
/// so that a matrix that is definite only over the reals gives numbers all the same.
fn factor_once(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let (Some(Op::Solve { .. }), [a, b]) = (op.ir(), kids) else { return nothing() };
    if !varies_long(v, &[*a], *b, LEAST) || !definite(v, *a) {
        return nothing();
    }
    let part = |k: u32| node(Op::Get(k), vec![node(Op::Qr, vec![at(*a)])]);
    let q = node(Op::Transpose(vec![1, 0]), vec![part(0)]);
    vec![node(Op::TriangularSolve { lower: false, transposed: false }, vec![part(1), matmul(q, at(*b))])]
}

pub const RULES: &[Rule] = &[
    rule!("matrix/vector-left", Real, Matrix, [MatMul], vector_left, "a row vector times a matrix needs no transpose",
        ["a:4,3 x:4": "(matmul (t a) x)" => "(matmul x a)", "a:4,3 x:4": "(matmul x a)" => "(matmul (t a) x)"], []),
    rule!("matrix/right", Real, Matrix, [MatMul], right, "two products with a vector in place of one of matrices",
        ["u:6,2 w:2,6 x:6": "(matmul (matmul u w) x)" => "(matmul u (matmul w x))",
         "u:6,2 w:6,2 x:6": "(matmul (matmul u (t w)) x)" => "(matmul u (matmul (t w) x))"], []),
    rule!("matrix/left", Real, Matrix, [MatMul], left, "a product that does not vary is formed before the loop, or the other order is cheaper",
        ["a:3,4 b:4,5 ~x:5": "(matmul a (matmul b x))" => "(matmul (matmul a b) x)",
         "a:2,9 b:9,2 c:2,9": "(matmul a (matmul b c))" => "(matmul (matmul a b) c)"],
        ["a:3,4 b:4,5 x:5": "(matmul a (matmul b x))" => "(matmul (matmul a b) x)",
         "a:3,4 ~b:4,5 ~x:5": "(matmul a (matmul b x))" => "(matmul (matmul a b) x)"]),
    rule!("matrix/transpose-product", Real, Matrix, [Transpose], transpose_product, "shows what a transposed product is made of",
        ["a:4,3 b:3,5": "(t (matmul a b))" => "(matmul (t b) (t a))"], []),
    rule!("matrix/transpose-twice", Exact, Matrix, [Transpose], transpose_twice, "the functions undo each other", [], []),
    rule!("matrix/transpose-sum", Real, Matrix, [Transpose], transpose_sum, "shows what a transposed sum is made of",
        ["a:4,3 b:3,5 c:4,5": "(t (add (matmul a b) c))" => "(add (t (matmul a b)) (t c))",
         "a:4,3": "(t (mul 2 a))" => "(mul 2 (t a))"], []),
    rule!("matrix/scale-out", Real, Matrix, [MatMul], scale_out, "a scalar factor belongs outside a product",
        ["a:4,3 x:3": "(matmul a (mul 2 x))" => "(mul 2 (matmul a x))",
         "a:4,3 x:3 s:": "(matmul a (mul x s))" => "(mul s (matmul a x))",
         "a:4,3 x:3 s:": "(matmul (div a s) x)" => "(div (matmul a x) s)"],
        ["a:3,3 x:3 y:3": "(matmul a (mul x y))" => "(mul y (matmul a x))"]),
    rule!("matrix/distribute", Real, Matrix, [MatMul], distribute, "a part of a sum that is a product can be ordered anew",
        ["a:3,4 b:4,5 ~x:5 c:4": "(matmul a (sub (matmul b x) c))" => "(sub (matmul a (matmul b x)) (matmul a c))",
         "a:4,4 d:4 x:4": "(matmul (add a (diag d)) x)" => "(add (matmul a x) (matmul (diag d) x))",
         "a:3,4 b:4,5 ~x:5 c:4 s:": "(matmul a (sub (mul s (matmul b x)) c))" => "(sub (matmul a (mul s (matmul b x))) (matmul a c))"],
        ["a:3,4 x:4 y:4": "(matmul a (sub x y))" => "(sub (matmul a x) (matmul a y))"]),
    rule!("matrix/diagonal-factor", Real, Matrix, [MatMul], diagonal_factor, "a diagonal matrix scales rows or columns",
        ["d:4 x:4": "(matmul (diag d) x)" => "(mul d x)", "d:4 a:4,3": "(matmul (diag d) a)" => "(mul (col d) a)",
         "d:3 a:4,3": "(matmul a (diag d))" => "(mul a d)"], []),
    rule!("matrix/diagonal-of-product", Real, Matrix, [Diagonal], diagonal_of_product, "only the diagonal is needed",
        ["a:4,3 b:3,4": "(diagonal (matmul a b))" => "(sum1 (mul a (t b)))"], []),
    rule!("matrix/trace-of-product", Real, Matrix, [Reduce(R::Sum)], trace_of_product, "the trace of a product is a sum of products",
        ["a:4,3 b:3,4": "(sum (diagonal (matmul a b)))" => "(sum (mul a (t b)))"], []),
    rule!("matrix/factor-once", Conditioning, Matrix, [Solve], factor_once, "a matrix that does not vary is factored before the loop",
        ["a:4,3 ~b:3": "(solve (add (matmul (t a) a) (diag (fill3 0.5))) b)"
            => "(rsolve (add (matmul (t a) a) (diag (fill3 0.5))) (matmul (t (q (add (matmul (t a) a) (diag (fill3 0.5))))) b))"],
        ["a:3,3 ~b:3": "(solve a b)" => "(rsolve a (matmul (t (q a)) b))",
         "a:4,3 s: ~b:3": "(solve (add (matmul (t a) a) (diag (fill3 s))) b)"
            => "(rsolve (add (matmul (t a) a) (diag (fill3 s))) (matmul (t (q (add (matmul (t a) a) (diag (fill3 s))))) b))",
         "~a:4,3 ~b:3": "(solve (add (matmul (t a) a) (diag (fill3 0.5))) b)"
            => "(rsolve (add (matmul (t a) a) (diag (fill3 0.5))) (matmul (t (q (add (matmul (t a) a) (diag (fill3 0.5))))) b))"]),
    rule!("matrix/outer-times", Real, Matrix, [MatMul], outer_times, "an outer product times a vector needs no matrix",
        ["u:4 w:3 x:3": "(matmul (mul (col u) w) x)" => "(mul u (matmul w x))"], []),
];
