//! Laws of linear systems, triangular and symmetric matrices, and of rows picked from a matrix.

use crate::bank::Id;
use crate::form::describe;
use crate::laws::{Case, Law, own, ring};
use gradus_ir::{BinaryOp, DType, Dim, F64, Op, ReduceOp, Shape, UnaryOp};

type Done<T> = Result<T, String>;

/// How deep a matrix is taken apart to see what it is.
const DEPTH: usize = 4;

pub const LAWS: &[Law] = &[
    own("factor/solve-first", |c| {
        let Some((s, x)) = c.product(c.lhs) else { return Ok(false) };
        let Some((t, a, b)) = c.system(s).filter(|(_, _, b)| c.rank(*b) == 2) else { return Ok(false) };
        let right = c.bank.op_term(Op::MatMul, &[b, x])?;
        let Some((u, m, y)) = c.system(c.rhs) else { return Ok(false) };
        Ok(t == u && c.bank.equal(a, m) && c.same(y, right)?)
    }),
    own("factor/solve-left", |c| {
        let Some((x, s)) = c.product(c.lhs).filter(|(x, _)| c.rank(*x) == 1) else { return Ok(false) };
        let Some((t, a, b)) = c.system(s).filter(|(_, _, b)| c.rank(*b) == 2) else { return Ok(false) };
        let y = c.bank.op_term(Op::Solve { transposed: !t }, &[a, x])?;
        let want = c.bank.op_term(Op::MatMul, &[y, b])?;
        c.same(c.rhs, want)
    }),
    own("factor/diagonal", diagonal),
    own("factor/triangular", |c| {
        let Some((t, a, b)) = c.system(c.lhs) else { return Ok(false) };
        let Some(form) = triangular(c, a, DEPTH).filter(|f| f.regular) else { return Ok(false) };
        c.licence.push(format!("{} triangular, no pivot is zero: {}", if form.lower { "lower" } else { "upper" }, describe(c.bank, a, 3)));
        let want = c.bank.op_term(Op::TriangularSolve { lower: form.lower, transposed: t }, &[a, b])?;
        Ok(c.bank.equal(c.rhs, want))
    }),
    own("factor/determinant", |c| {
        let Some(a) = c.of(c.lhs, |op| matches!(op, Op::Det)) else { return Ok(false) };
        let Some(d) = c.of(c.rhs, |op| *op == Op::Reduce(ReduceOp::Prod, vec![0])) else { return Ok(false) };
        if let Some(e) = c.diagonal_of(a) {
            return Ok(c.bank.equal(d, e));
        }
        Ok(triangular(c, a, DEPTH).is_some() && c.of(d, |op| matches!(op, Op::Diagonal)).is_some_and(|b| c.bank.equal(a, b)))
    }),
    own("factor/root-of-diagonal", |c| {
        let Some(d) = c.of(c.lhs, |op| matches!(op, Op::Cholesky)).and_then(|a| c.diagonal_of(a)) else { return Ok(false) };
        if !c.facts.positive(c.bank, d) {
            return Ok(false);
        }
        c.licence.push(format!("positive: {}", describe(c.bank, d, 3)));
        let root = c.bank.op_term(Op::Unary(UnaryOp::Sqrt), &[d])?;
        let want = c.bank.op_term(Op::DiagMatrix, &[root])?;
        c.same(c.rhs, want)
    }),
    own("factor/symmetric", |c| match (c.system(c.lhs), c.system(c.rhs)) {
        (Some((t, a, b)), Some((u, m, y))) => {
            let turned = c.bank.op_term(Op::Transpose(vec![1, 0]), &[a])?;
            Ok(t != u && c.bank.equal(a, m) && c.bank.equal(b, y) && c.same(turned, a)?)
        }
        _ => Ok(false),
    }),
    own("factor/woodbury", woodbury),
    own("factor/push-through", push_through),
    own("factor/orthogonal", |c| {
        let Some((t, a, b)) = c.system(c.lhs) else { return Ok(false) };
        let Some((q, x)) = c.product(c.rhs).filter(|(_, x)| c.bank.equal(*x, b)) else { return Ok(false) };
        let factor = |id: Id| match (c.op(id), c.kid(id, 0).and_then(|k| c.op(k))) {
            (Some(Op::Get(0)), Some(Op::Qr)) | (Some(Op::Get(1)), Some(Op::Eigh)) => true,
            _ => false,
        };
        let known = factor(a) || c.of(a, |op| *op == Op::Transpose(vec![1, 0])).is_some_and(factor);
        Ok(known && c.bank.equal(x, b) && if t { c.bank.equal(q, a) } else { c.pair(q, a) })
    }),
    ring("matrix/diagonals", |c| {
        let both = c.product(c.lhs).is_some_and(|(a, b)| c.diagonal_of(a).is_some() && c.diagonal_of(b).is_some());
        both && c.diagonal_of(c.rhs).is_some()
    }),
    ring("matrix/diagonal-of-diagonal", |c| {
        let moved = |op: &Op| matches!(op, Op::Diagonal) || *op == Op::Transpose(vec![1, 0]);
        c.of(c.lhs, moved).is_some_and(|x| c.diagonal_of(x).is_some())
    }),
    ring("matrix/diagonal-of-elements", |c| c.of(c.lhs, |op| matches!(op, Op::Diagonal)).is_some_and(|x| c.product_of(x).is_some())),
    ring("matrix/transpose-elements", |c| {
        c.of(c.lhs, |op| *op == Op::Transpose(vec![1, 0])).is_some_and(|x| c.product_of(x).is_some()) && c.product_of(c.rhs).is_some()
    }),
    // That the matrix is symmetric is what its normal form shows.
    ring("matrix/transpose-symmetric", |c| c.of(c.lhs, |op| *op == Op::Transpose(vec![1, 0])).is_some_and(|x| c.bank.equal(x, c.rhs))),
    own("matrix/one-hot", one_hot),
];

/// A vector as what scales the rows of a value of that rank.
fn rows(c: &mut Case<'_>, d: Id, rank: usize) -> Done<Id> {
    if rank == 1 {
        return Ok(d);
    }
    let n = c.bank.ty(d).shape.dims().first().cloned().unwrap_or(Dim::Known(1));
    c.bank.op_term(Op::Reshape(Shape::new([n, Dim::Known(1)])), &[d])
}

/// A singular system is infinite everywhere, which a division by its one zero would not be.
fn diagonal(c: &mut Case<'_>) -> Done<bool> {
    let Some((_, a, b)) = c.system(c.lhs) else { return Ok(false) };
    let Some(d) = c.diagonal_of(a) else { return Ok(false) };
    let rank = c.rank(b);
    let scale = rows(c, d, rank)?;
    let divided = c.bank.op_term(Op::Binary(BinaryOp::Div), &[b, scale])?;
    if c.facts.nonzero(c.bank, d) && c.same(c.rhs, divided)? {
        c.licence.push(format!("never zero: {}", describe(c.bank, d, 3)));
        return Ok(true);
    }
    let Some((p, x, y)) = c.choice(c.rhs) else { return Ok(false) };
    let size = c.bank.op_term(Op::Unary(UnaryOp::Abs), &[d])?;
    let least = c.bank.op_term(Op::Reduce(ReduceOp::Min, vec![0]), &[size])?;
    let zero = c.number(0.0)?;
    let singular = c.bank.op_term(Op::Binary(BinaryOp::Eq), &[least, zero])?;
    Ok(c.bank.equal(p, singular) && c.bank.constant(x) == Some(f64::INFINITY) && c.same(y, divided)?)
}

/// What the form of a matrix tells.
#[derive(Clone, Copy)]
struct Triangle {
    lower: bool,
    /// No pivot is zero: it is positive or not a number.
    regular: bool,
}

fn triangular(c: &Case<'_>, id: Id, depth: usize) -> Option<Triangle> {
    if depth == 0 || c.rank(id) != 2 {
        return None;
    }
    let all = |kids: &[Id]| -> Option<Triangle> {
        let parts: Vec<Triangle> = kids.iter().map(|k| triangular(c, *k, depth - 1)).collect::<Option<_>>()?;
        let lower = parts.first()?.lower;
        parts.iter().all(|t| t.lower == lower).then(|| Triangle { lower, regular: parts.iter().all(|t| t.regular) })
    };
    match c.op(id)? {
        Op::Cholesky => Some(Triangle { lower: true, regular: true }),
        Op::Get(1) if matches!(c.op(c.kid(id, 0)?), Some(Op::Qr)) => Some(Triangle { lower: false, regular: false }),
        Op::Transpose(p) if p.as_slice() == [1, 0] => triangular(c, c.kid(id, 0)?, depth - 1).map(|t| Triangle { lower: !t.lower, ..t }),
        // Small pivots multiply to zero.
        Op::MatMul => all(&c.bank.term(id).kids).map(|t| Triangle { regular: false, ..t }),
        _ => {
            let (terms, constant) = c.sum(id).filter(|(_, k)| *k == 0.0)?;
            let kids: Vec<Id> = terms.iter().map(|(_, x)| *x).collect();
            let up = terms.iter().all(|(k, _)| *k >= 1.0) && constant == 0.0;
            all(&kids).map(|t| Triangle { regular: t.regular && up, ..t })
        }
    }
}

/// `c D + e U U'` as (c, d, e, U, U'), D diagonal.
fn low_rank(c: &Case<'_>, m: Id) -> Option<(f64, Id, f64, Id, Id)> {
    let (terms, constant) = c.sum(m)?;
    let [p, q] = terms.as_slice() else { return None };
    if constant != 0.0 || !(p.0 > 0.0 && q.0 > 0.0) {
        return None;
    }
    [(p, q), (q, p)].into_iter().find_map(|(p, q)| {
        let d = c.diagonal_of(p.1)?;
        let (u, w) = c.product(q.1).filter(|(u, w)| c.pair(*u, *w))?;
        Some((p.0, d, q.0, u, w))
    })
}

fn scaled_identity(c: &mut Case<'_>, v: f64, n: Dim) -> Done<Id> {
    let v = c.bank.op_term(Op::Const(F64::new(v), DType::Real), &[])?;
    let d = c.bank.op_term(Op::Broadcast(Shape::new([n])), &[v])?;
    c.bank.op_term(Op::DiagMatrix, &[d])
}

/// `(c D + e U U')^-1 b` is `y - V (U' V + I / e)^-1 U' y` with `y = D^-1 b / c` and `V = D^-1 U / c`.
fn woodbury(c: &mut Case<'_>) -> Done<bool> {
    let Some((_, m, b)) = c.system(c.lhs) else { return Ok(false) };
    let Some((s, d, e, u, w)) = low_rank(c, m) else { return Ok(false) };
    if !c.facts.positive(c.bank, d) {
        return Ok(false);
    }
    c.licence.push(format!("positive: {}", describe(c.bank, d, 3)));
    let Some(k) = c.bank.ty(u).shape.dims().get(1).cloned() else { return Ok(false) };
    let mut over = Vec::new();
    for x in [b, u] {
        let rank = c.rank(x);
        let scale = rows(c, d, rank)?;
        let x = c.bank.op_term(Op::Binary(BinaryOp::Div), &[x, scale])?;
        over.push(c.times(1.0 / s, x)?);
    }
    let (y, v) = (over[0], over[1]);
    // The small system may be spelled in another way: what is solved must be the same.
    let Some((terms, constant)) = c.sum(c.rhs).filter(|(t, _)| t.len() == 2) else { return Ok(false) };
    let Some(z) = terms.iter().find_map(|(_, t)| c.product(*t).map(|p| p.1).filter(|z| c.system(*z).is_some())) else { return Ok(false) };
    let Some((_, small, right)) = c.system(z) else { return Ok(false) };
    let wv = c.bank.op_term(Op::MatMul, &[w, v])?;
    let id = scaled_identity(c, 1.0 / e, k)?;
    let matrix = c.bank.op_term(Op::Binary(BinaryOp::Add), &[wv, id])?;
    let wy = c.bank.op_term(Op::MatMul, &[w, y])?;
    let vz = c.bank.op_term(Op::MatMul, &[v, z])?;
    let want = c.bank.op_term(Op::Binary(BinaryOp::Sub), &[y, vz])?;
    Ok(constant == 0.0 && c.same(small, matrix)? && c.same(right, wy)? && c.same(c.rhs, want)?)
}

/// `U' (c I + e U U')^-1 b` is `(c I + e U' U)^-1 U' b`.
fn push_through(c: &mut Case<'_>) -> Done<bool> {
    let Some((l, s)) = c.product(c.lhs) else { return Ok(false) };
    let Some((_, m, b)) = c.system(s) else { return Ok(false) };
    let Some((k, d, e, u, w)) = low_rank(c, m) else { return Ok(false) };
    let Some(v) = c.bank.constant(d).filter(|v| *v > 0.0 && c.bank.equal(l, w)) else { return Ok(false) };
    let Some(n) = c.bank.ty(u).shape.dims().get(1).cloned() else { return Ok(false) };
    let Some((_, small, right)) = c.system(c.rhs) else { return Ok(false) };
    let wu = c.bank.op_term(Op::MatMul, &[w, u])?;
    let wu = c.times(e, wu)?;
    let id = scaled_identity(c, k * v, n)?;
    let matrix = c.bank.op_term(Op::Binary(BinaryOp::Add), &[wu, id])?;
    let wb = c.bank.op_term(Op::MatMul, &[w, b])?;
    Ok(c.same(small, matrix)? && c.same(right, wb)?)
}

/// Are all elements of an int array indices of an axis of that length, by the form?
fn indexes(c: &Case<'_>, id: Id, length: &Dim, depth: usize) -> bool {
    let fits = |n: &Dim| n == length || n.known().zip(length.known()).is_some_and(|(n, k)| n <= k);
    if depth == 0 {
        return false;
    }
    let inside = c.kid(id, 0);
    match c.op(id) {
        Some(Op::Iota(n) | Op::Permutation(n)) => fits(n),
        Some(Op::ArgReduce { axis, .. } | Op::ArgSort { axis, .. }) => {
            inside.is_some_and(|x| c.bank.ty(x).shape.dims().get(*axis).is_some_and(fits))
        }
        Some(Op::Literal(a)) => length.known().is_some_and(|n| a.data.iter().all(|x| *x >= 0.0 && *x < n as f64)),
        Some(Op::Reshape(_) | Op::Broadcast(_) | Op::Slice { .. } | Op::Reverse { .. } | Op::Transpose(_)) => {
            inside.is_some_and(|x| indexes(c, x, length, depth - 1))
        }
        _ => false,
    }
}

/// Rows picked by zeros and ones are rows taken.
fn one_hot(c: &mut Case<'_>) -> Done<bool> {
    let Some((h, w)) = c.product(c.lhs) else { return Ok(false) };
    let Some(length) = c.bank.ty(w).shape.dims().first().cloned() else { return Ok(false) };
    let Some(p) = c.of(h, |op| *op == Op::Unary(UnaryOp::ToReal)) else { return Ok(false) };
    let (Some(Op::Binary(BinaryOp::Eq)), Some(a), Some(b)) = (c.op(p), c.kid(p, 0), c.kid(p, 1)) else { return Ok(false) };
    let iota = |k: Id| matches!(c.op(k), Some(Op::Iota(n)) if *n == length);
    let Some(i) = [(a, b), (b, a)].into_iter().find(|(_, k)| iota(*k)).map(|t| t.0) else { return Ok(false) };
    if c.bank.ty(i).dtype != DType::Int || !indexes(c, i, &length, 5) {
        return Ok(false);
    }
    let n = match (c.bank.ty(i).shape.dims(), c.bank.ty(h).shape.dims()) {
        ([n, one], [m, _]) if one.is_one() && n == m => n.clone(),
        _ => return Ok(false),
    };
    c.licence.push(format!("indices of rows: {}", describe(c.bank, i, 3)));
    let flat = c.bank.op_term(Op::Reshape(Shape::new([n])), &[i])?;
    let want = c.bank.op_term(Op::Take { axis: 0 }, &[w, flat])?;
    Ok(c.bank.equal(c.rhs, want))
}

impl Case<'_> {
    /// Transposed or not, matrix and right side, where the term is a solve.
    pub fn system(&self, id: Id) -> Option<(bool, Id, Id)> {
        match self.op(id)? {
            Op::Solve { transposed } => Some((*transposed, self.kid(id, 0)?, self.kid(id, 1)?)),
            _ => None,
        }
    }

    /// The diagonal, where the term is a diagonal matrix.
    pub fn diagonal_of(&self, id: Id) -> Option<Id> {
        self.of(id, |op| matches!(op, Op::DiagMatrix))
    }
}
