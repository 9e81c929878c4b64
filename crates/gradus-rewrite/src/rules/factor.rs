//! Linear systems: no inverses, no elimination where the form of the matrix says what it is, small systems in place of large ones.

use super::{Rule, at, first, flip, lin, matmul, node, nothing, prod, products, rank, transposed};
use super::matrix::{is_diagonal, product};
use crate::sea::Sop;
use crate::space::{Term, View};
use egg::Id;
use gradus_ir::{BinaryOp, Dim, Op, ReduceOp, Shape, UnaryOp};

/// How deep a matrix is taken apart to see what it is.
const DEPTH: usize = 4;

/// Transposed or not, matrix and right side, where the form is a solve.
fn system(v: &dyn View, op: &Sop, kids: &[Id]) -> Option<(bool, Id, Id)> {
    match (op.ir(), kids) {
        (Some(Op::Solve { transposed }), [a, b]) if rank(v, *a) == 2 && rank(v, *b) <= 2 => {
            Some((*transposed, v.find(*a), v.find(*b)))
        }
        _ => None,
    }
}

fn solve(transposed: bool, a: Term, b: Term) -> Term {
    node(Op::Solve { transposed }, vec![a, b])
}

fn is_identity(v: &dyn View, id: Id) -> bool {
    is_diagonal(v, id).is_some_and(|d| v.fact(d).constant.is_some_and(|c| c.get() == 1.0))
}

/// `(A^-1 B) x` as `A^-1 (B x)`.
fn solve_first(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((s, x)) = product(v, op, kids) else { return nothing() };
    let found = first(v, s, |op, kids| system(v, op, kids).filter(|(_, _, b)| rank(v, *b) == 2));
    let Some((t, a, b)) = found else { return nothing() };
    vec![solve(t, at(a), if is_identity(v, b) { at(x) } else { matmul(at(b), at(x)) })]
}

/// `x' (A^-1 B)` as `(A'^-1 x)' B`.
fn solve_left(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((x, s)) = product(v, op, kids).filter(|(x, _)| rank(v, *x) == 1) else { return nothing() };
    let found = first(v, s, |op, kids| system(v, op, kids).filter(|(_, _, b)| rank(v, *b) == 2));
    let Some((t, a, b)) = found else { return nothing() };
    let y = solve(!t, at(a), at(x));
    vec![if is_identity(v, b) { y } else { matmul(y, at(b)) }]
}

/// A vector as what scales the rows of a value of that rank.
fn rows(v: &dyn View, d: Id, rank: usize) -> Term {
    let n = v.fact(d).shape().dims().first().cloned().unwrap_or(Dim::Known(1));
    if rank == 1 { at(d) } else { node(Op::Reshape(Shape::new([n, Dim::Known(1)])), vec![at(d)]) }
}

/// A singular system is infinite everywhere, which a division by its one zero would not be.
fn diagonal(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((_, a, b)) = system(v, op, kids) else { return nothing() };
    let Some(d) = is_diagonal(v, a) else { return nothing() };
    let divided = prod(vec![(at(b), 1), (rows(v, d, rank(v, b)), -1)]);
    if v.fact(d).values.nonzero() {
        return vec![divided];
    }
    let least = node(Op::Reduce(ReduceOp::Min, vec![0]), vec![super::un(UnaryOp::Abs, at(d))]);
    let singular = node(Op::Binary(BinaryOp::Eq), vec![least, Term::Real(0.0)]);
    vec![node(Op::Select, vec![singular, Term::Real(f64::INFINITY), divided])]
}

/// What the form of a matrix tells.
#[derive(Clone, Copy, PartialEq)]
struct Triangle {
    lower: bool,
    /// No pivot is zero: it is positive or not a number.
    regular: bool,
}

fn triangular(v: &dyn View, id: Id, depth: usize) -> Option<Triangle> {
    if depth == 0 || rank(v, id) != 2 {
        return None;
    }
    let all = |kids: &[Id]| -> Option<Triangle> {
        let parts: Vec<Triangle> = kids.iter().map(|k| triangular(v, *k, depth - 1)).collect::<Option<_>>()?;
        let lower = parts.first()?.lower;
        parts.iter().all(|t| t.lower == lower).then(|| Triangle { lower, regular: parts.iter().all(|t| t.regular) })
    };
    first(v, id, |op, kids| match (op, op.ir(), kids) {
        (_, Some(Op::Cholesky), _) => Some(Triangle { lower: true, regular: true }),
        (_, Some(Op::Get(1)), [q]) => first(v, *q, |op, _| matches!(op.ir(), Some(Op::Qr)).then_some(()))
            .map(|()| Triangle { lower: false, regular: false }),
        (_, Some(Op::Transpose(p)), [x]) if p.as_slice() == [1, 0] => {
            triangular(v, *x, depth - 1).map(|t| Triangle { lower: !t.lower, ..t })
        }
        // Small pivots multiply to zero.
        (_, Some(Op::MatMul), [_, _]) => all(kids).map(|t| Triangle { regular: false, ..t }),
        (Sop::Lin { coeffs, constant }, _, _) if constant.get() == 0.0 => {
            let up = coeffs.iter().all(|c| c.get() >= 1.0);
            all(kids).map(|t| Triangle { regular: t.regular && up, ..t })
        }
        _ => None,
    })
}

fn substitution(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((transposed, a, b)) = system(v, op, kids) else { return nothing() };
    let found = triangular(v, a, DEPTH).filter(|t| t.regular);
    found.map(|t| node(Op::TriangularSolve { lower: t.lower, transposed }, vec![at(a), at(b)])).into_iter().collect()
}

fn determinant(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let (Some(Op::Det), [a]) = (op.ir(), kids) else { return nothing() };
    let of = |d: Term| vec![node(Op::Reduce(ReduceOp::Prod, vec![0]), vec![d])];
    if let Some(d) = is_diagonal(v, *a) {
        return of(at(d));
    }
    match triangular(v, *a, DEPTH) {
        Some(_) => of(node(Op::Diagonal, vec![at(*a)])),
        None => nothing(),
    }
}

fn root_of_diagonal(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let (Some(Op::Cholesky), [a]) = (op.ir(), kids) else { return nothing() };
    is_diagonal(v, *a)
        .filter(|d| v.fact(*d).values.positive())
        .map(|d| node(Op::DiagMatrix, vec![super::un(UnaryOp::Sqrt, at(d))]))
        .into_iter()
        .collect()
}

/// Equal to its transpose by its form.
pub(super) fn symmetric(v: &dyn View, id: Id, depth: usize) -> bool {
    if depth == 0 || rank(v, id) != 2 {
        return false;
    }
    first(v, id, |op, kids| match (op, op.ir(), kids) {
        (_, Some(Op::DiagMatrix), _) => Some(()),
        (_, Some(Op::MatMul), [a, b]) => super::gram::is_pair(v, *a, *b).then_some(()),
        (Sop::Lin { .. }, _, _) => {
            kids.iter().all(|k| v.fact(*k).shape().is_scalar() || symmetric(v, *k, depth - 1)).then_some(())
        }
        _ => None,
    })
    .is_some()
}

fn symmetric_system(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match system(v, op, kids) {
        Some((true, a, b)) if symmetric(v, a, DEPTH) => vec![solve(false, at(a), at(b))],
        _ => nothing(),
    }
}

/// `c diag(d) + e U U'` with `U` of fewer columns than rows: `(c, d, e, U, U')`.
fn low_rank(v: &dyn View, m: Id, share: i64) -> Option<(f64, Id, f64, Id, Id)> {
    first(v, m, |op, kids| {
        let (Sop::Lin { coeffs, constant }, [_, _]) = (op, kids) else { return None };
        if constant.get() != 0.0 || coeffs.iter().any(|c| !(c.get() > 0.0 && c.get().is_finite())) {
            return None;
        }
        let (i, d) = kids.iter().enumerate().find_map(|(k, id)| is_diagonal(v, *id).map(|d| (k, d)))?;
        if !v.fact(d).values.positive() {
            return None;
        }
        let (u, w) = products(v, kids[1 - i]).into_iter().find(|(u, w)| super::gram::is_pair(v, *u, *w))?;
        match v.fact(u).shape().dims() {
            [n, k] if n.known()? >= share * k.known()? && k.known()? > 0 => {
                Some((coeffs[i].get(), d, coeffs[1 - i].get(), u, w))
            }
            _ => None,
        }
    })
}

fn scaled_identity(c: f64, n: &Dim) -> Term {
    node(Op::DiagMatrix, vec![node(Op::Broadcast(Shape::new([n.clone()])), vec![Term::Real(c)])])
}

/// `(c D + e U U')^-1 b` by a system of the size of the rank.
fn woodbury(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((_, m, b)) = system(v, op, kids) else { return nothing() };
    let Some((c, d, e, u, w)) = low_rank(v, m, 2) else { return nothing() };
    let Some(k) = v.fact(u).shape().dims().get(1).cloned() else { return nothing() };
    let over = |x: Id| lin(vec![(1.0 / c, prod(vec![(at(x), 1), (rows(v, d, rank(v, x)), -1)]))], 0.0);
    let (y, ud) = (over(b), over(u));
    let small = lin(vec![(1.0, matmul(at(w), ud.clone())), (1.0, scaled_identity(1.0 / e, &k))], 0.0);
    let z = solve(false, small, matmul(at(w), y.clone()));
    vec![lin(vec![(1.0, y), (-1.0, matmul(ud, z))], 0.0)]
}

/// `U' (c I + e U U')^-1 b` as `(c I + e U' U)^-1 U' b`.
fn push_through(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((l, s)) = product(v, op, kids) else { return nothing() };
    let Some((_, m, b)) = first(v, s, |op, kids| system(v, op, kids)) else { return nothing() };
    let Some((c, d, e, u, w)) = low_rank(v, m, 1) else { return nothing() };
    let Some(k) = v.fact(u).shape().dims().get(1).cloned() else { return nothing() };
    let Some(d) = v.fact(d).constant.map(|d| d.get()).filter(|_| l == w) else { return nothing() };
    // The two sides are the same form for a square U.
    if v.fact(u).shape().dims().first() == Some(&k) {
        return nothing();
    }
    let small = lin(vec![(e, matmul(at(w), at(u))), (1.0, scaled_identity(c * d, &k))], 0.0);
    vec![solve(false, small, matmul(at(w), at(b)))]
}

/// A square orthogonal factor is inverted by transposing it.
fn orthogonal(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((t, a, b)) = system(v, op, kids) else { return nothing() };
    let factor = |id: Id| {
        first(v, id, |op, kids| match (op.ir(), kids) {
            (Some(Op::Get(0)), [q]) => first(v, *q, |op, _| matches!(op.ir(), Some(Op::Qr)).then_some(())),
            (Some(Op::Get(1)), [q]) => first(v, *q, |op, _| matches!(op.ir(), Some(Op::Eigh)).then_some(())),
            _ => None,
        })
        .is_some()
    };
    if factor(a) || transposed(v, a).is_some_and(factor) {
        return vec![matmul(if t { at(a) } else { flip(v, a) }, at(b))];
    }
    nothing()
}

pub const RULES: &[Rule] = &[
    rule!("factor/solve-first", Real, Factor, [MatMul], solve_first, "a solution in place of an inverse",
        ["a:4,3 x:3": "(matmul (solve (add (matmul (t a) a) (diag (fill3 0.5))) (diag (fill3 1))) x)" => "(solve (add (matmul (t a) a) (diag (fill3 0.5))) x)",
         "a:4,3 b:3,3 x:3": "(matmul (solve (add (matmul (t a) a) (diag (fill3 0.5))) b) x)" => "(solve (add (matmul (t a) a) (diag (fill3 0.5))) (matmul b x))"], []),
    rule!("factor/solve-left", Real, Factor, [MatMul], solve_left, "a solution in place of an inverse",
        ["a:4,3 x:3": "(matmul x (solve (add (matmul (t a) a) (diag (fill3 0.5))) (diag (fill3 1))))" => "(solve' (add (matmul (t a) a) (diag (fill3 0.5))) x)",
         "a:4,3 b:3,3 x:3": "(matmul x (solve (add (matmul (t a) a) (diag (fill3 0.5))) b))" => "(matmul (solve' (add (matmul (t a) a) (diag (fill3 0.5))) x) b)"], []),
    rule!("factor/diagonal", Real, Factor, [Solve], diagonal, "a diagonal system is a division",
        ["d:4 b:4": "(solve (diag d) b)" => "(select (eq (min0 (abs d)) 0) inf (div b d))",
         "d:4 b:4,3": "(solve (diag d) b)" => "(select (eq (min0 (abs d)) 0) inf (div b (col d)))",
         "b:5": "(solve (diag (fill5 4)) b)" => "(div b 4)"],
        ["a:3,3 b:3": "(solve a b)" => "(div b (diagonal a))"]),
    rule!("factor/triangular", Real, Factor, [Solve], substitution, "a triangular system needs no elimination",
        ["a:4,3 b:3": "(solve (cholesky (add (matmul (t a) a) (diag (fill3 0.5)))) b)" => "(lsolve (cholesky (add (matmul (t a) a) (diag (fill3 0.5)))) b)",
         "a:4,3 b:3": "(solve (t (cholesky (add (matmul (t a) a) (diag (fill3 0.5))))) b)" => "(usolve (t (cholesky (add (matmul (t a) a) (diag (fill3 0.5))))) b)"],
        ["a:3,3 b:3": "(solve a b)" => "(lsolve a b)", "a:3,3 b:3": "(solve (r a) b)" => "(usolve (r a) b)"]),
    rule!("factor/determinant", Real, Factor, [Det], determinant, "the determinant of a triangular matrix is the product of its diagonal",
        ["d:4": "(det (diag d))" => "(prod d)",
         "a:4,3": "(det (cholesky (add (matmul (t a) a) (diag (fill3 0.5)))))" => "(prod (diagonal (cholesky (add (matmul (t a) a) (diag (fill3 0.5))))))"],
        ["a:3,3": "(det a)" => "(prod (diagonal a))"]),
    rule!("factor/root-of-diagonal", Real, Factor, [Cholesky], root_of_diagonal, "the factor of a diagonal matrix is its root",
        ["": "(cholesky (diag (fill3 2)))" => "(diag (sqrt (fill3 2)))"], ["d:4": "(cholesky (diag d))" => "(diag (sqrt d))"]),
    rule!("factor/symmetric", Real, Factor, [Solve], symmetric_system, "a symmetric matrix is its transpose, and one factorization serves both",
        ["a:4,3 b:3": "(solve' (add (matmul (t a) a) (diag (fill3 0.5))) b)" => "(solve (add (matmul (t a) a) (diag (fill3 0.5))) b)"],
        ["a:3,3 b:3": "(solve' a b)" => "(solve a b)"]),
    rule!("factor/woodbury", Conditioning, Factor, [Solve], woodbury, "a system of the size of the rank in place of that of the matrix",
        ["u:6,2 b:6": "(solve (add (matmul u (t u)) (diag (fill6 0.5))) b)"
            => "(sub (mul 2 b) (matmul (mul 2 u) (solve (add (matmul (t u) (mul 2 u)) (diag (fill2 1))) (matmul (t u) (mul 2 b)))))"],
        ["u:6,4 b:6": "(solve (add (matmul u (t u)) (diag (fill6 0.5))) b)"
            => "(sub (mul 2 b) (matmul (mul 2 u) (solve (add (matmul (t u) (mul 2 u)) (diag (fill4 1))) (matmul (t u) (mul 2 b)))))",
         "u:6,2 d:6 b:6": "(solve (add (matmul u (t u)) (diag d)) b)"
            => "(sub (div b d) (matmul (div u (col d)) (solve (add (matmul (t u) (div u (col d))) (diag (fill2 1))) (matmul (t u) (div b d)))))"]),
    rule!("factor/push-through", Conditioning, Factor, [MatMul], push_through, "the smaller of two equivalent systems",
        ["u:6,2 b:6": "(matmul (t u) (solve (add (matmul u (t u)) (diag (fill6 0.5))) b))"
            => "(solve (add (matmul (t u) u) (diag (fill2 0.5))) (matmul (t u) b))"],
        ["u:6,2 w:6,2 b:6": "(matmul (t w) (solve (add (matmul u (t u)) (diag (fill6 0.5))) b))"
            => "(solve (add (matmul (t w) u) (diag (fill2 0.5))) (matmul (t w) b))"]),
    rule!("factor/orthogonal", Real, Factor, [Solve], orthogonal, "an orthogonal matrix is inverted by transposing it",
        ["a:3,3 b:3": "(solve (q a) b)" => "(matmul (t (q a)) b)"], ["a:3,3 b:3": "(solve a b)" => "(matmul (t a) b)"]),
];
