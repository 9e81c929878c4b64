//! Which constant matrices are symmetric, and positive or negative semidefinite.

use crate::context::Cx;
use crate::interval::Interval;
use gradus_ir::{Array, BinaryOp, NodeId, Op, UnaryOp};

/// How deep the structure of a constant is read.
const DEPTH: usize = 24;

/// The sign of a quadratic form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Definite {
    /// v'Av >= 0; strictly for v != 0 where `strict`.
    Positive { strict: bool },
    Negative { strict: bool },
    Unknown,
}

impl Definite {
    fn flipped(self) -> Definite {
        match self {
            Definite::Positive { strict } => Definite::Negative { strict },
            Definite::Negative { strict } => Definite::Positive { strict },
            d => d,
        }
    }
    fn plus(self, o: Definite) -> Definite {
        match (self, o) {
            (Definite::Positive { strict: a }, Definite::Positive { strict: b }) => Definite::Positive { strict: a || b },
            (Definite::Negative { strict: a }, Definite::Negative { strict: b }) => Definite::Negative { strict: a || b },
            _ => Definite::Unknown,
        }
    }
    fn times(self, s: Interval) -> Definite {
        let weak = |d: Definite, keep: bool| match d {
            Definite::Positive { strict } => Definite::Positive { strict: strict && keep },
            Definite::Negative { strict } => Definite::Negative { strict: strict && keep },
            d => d,
        };
        if s.is_nonneg() {
            weak(self, s.is_pos())
        } else if s.is_nonpos() {
            weak(self.flipped(), s.is_neg())
        } else {
            Definite::Unknown
        }
    }
}

/// Is the matrix the other's transpose, as written?
pub(crate) fn transposes(cx: &Cx<'_>, a: NodeId, b: NodeId) -> bool {
    let flip = |x: NodeId, y: NodeId| matches!(cx.op(x), Op::Transpose(p) if p == &[1, 0]) && cx.input(x, 0) == Some(y);
    flip(a, b) || flip(b, a) || a == b && symmetric(cx, a)
}

/// Is the constant matrix symmetric by its structure (or its numbers)?
pub(crate) fn symmetric(cx: &Cx<'_>, a: NodeId) -> bool {
    symmetric_to(cx, a, DEPTH)
}

fn symmetric_to(cx: &Cx<'_>, a: NodeId, depth: usize) -> bool {
    if cx.depends(a) || cx.rank(a) != 2 || depth == 0 {
        return false;
    }
    if cx.assume.psd.contains(&a) {
        return true;
    }
    let both = |k: usize| cx.input(a, k).is_some_and(|i| symmetric_to(cx, i, depth - 1) || cx.rank(i) == 0);
    match cx.op(a) {
        Op::DiagMatrix => true,
        Op::Unary(_) | Op::NoGrad(_) => both(0),
        Op::Transpose(_) => both(0),
        Op::Binary(BinaryOp::Add | BinaryOp::Mul) if sum_with_transpose(cx, a) => true,
        Op::Binary(_) => both(0) && both(1),
        Op::Broadcast(_) => cx.input(a, 0).is_some_and(|i| cx.rank(i) == 0),
        Op::MatMul => gram(cx, a).is_some() || sandwich(cx, a).is_some_and(|m| symmetric_to(cx, m, depth - 1)),
        Op::Literal(_) | Op::Param(_) => cx.value(a).is_some_and(numerically_symmetric),
        _ => cx.value(a).is_some_and(numerically_symmetric) || identity(cx, a),
    }
}

fn sum_with_transpose(cx: &Cx<'_>, a: NodeId) -> bool {
    matches!(cx.binary(a), Some((_, x, y)) if x != y && transposes(cx, x, y))
}

fn numerically_symmetric(a: &Array) -> bool {
    let [m, n] = a.shape.as_slice() else { return false };
    m == n && (0..*m).all(|i| (0..i).all(|j| a.data[i * n + j] == a.data[j * n + i]))
}

/// `B` where the matrix is `B' B` or `B B'`.
fn gram(cx: &Cx<'_>, a: NodeId) -> Option<NodeId> {
    let (x, y) = matmul(cx, a)?;
    (cx.rank(x) == 2 && cx.rank(y) == 2 && transposes(cx, x, y)).then_some(y)
}

fn matmul(cx: &Cx<'_>, a: NodeId) -> Option<(NodeId, NodeId)> {
    match cx.op(a) {
        Op::MatMul => Some((cx.input(a, 0)?, cx.input(a, 1)?)),
        _ => None,
    }
}

/// `M` where the matrix is `B' M B`, bracketed either way.
fn sandwich(cx: &Cx<'_>, a: NodeId) -> Option<NodeId> {
    let (x, y) = matmul(cx, a)?;
    if let Some((p, m)) = matmul(cx, x)
        && cx.rank(m) == 2
        && transposes(cx, p, y)
    {
        return Some(m);
    }
    let (m, q) = matmul(cx, y)?;
    (cx.rank(m) == 2 && transposes(cx, x, q)).then_some(m)
}

/// `X = B * w` with w stretched over its rows, `B' X`: a weighted Gram matrix; the weights.
fn weighted_gram(cx: &Cx<'_>, a: NodeId) -> Option<NodeId> {
    let (x, y) = matmul(cx, a)?;
    let scaled = |s: NodeId, other: NodeId| -> Option<NodeId> {
        let (b, p, q) = cx.binary(s)?;
        let weights = if b == BinaryOp::Mul && transposes(cx, p, other) {
            q
        } else if b == BinaryOp::Mul && transposes(cx, q, other) {
            p
        } else {
            return None;
        };
        (cx.rank(weights) <= 2).then_some(weights)
    };
    let along_contraction = |w: NodeId, left: bool| {
        let d = cx.g.shape(w).dims();
        // `(w * B')` scales the contracted axis where w is a row of it; `(w[:, None] * B)` where it is a column.
        cx.rank(w) == 0 || if left { cx.rank(w) == 1 } else { cx.rank(w) == 2 && d[1].is_one() && !d[0].is_one() }
    };
    scaled(x, y).filter(|w| along_contraction(*w, true)).or_else(|| scaled(y, x).filter(|w| along_contraction(*w, false)))
}

/// The identity as `where`/comparison of the two indices.
fn identity(cx: &Cx<'_>, a: NodeId) -> bool {
    let bare = cx.bare(a);
    let indices = |b: NodeId| matches!(cx.op(b), Op::Iota(_));
    let column = |b: NodeId| matches!(cx.op(b), Op::Reshape(s) if s.rank() == 2 && s.dims()[1].is_one()) && cx.input(b, 0).is_some_and(indices);
    let equal = |c: NodeId| match cx.binary(c) {
        Some((BinaryOp::Eq, x, y)) => indices(x) && column(y) || indices(y) && column(x),
        _ => false,
    };
    match cx.op(bare) {
        Op::Binary(BinaryOp::Eq) => equal(bare),
        Op::Select => {
            let number = |k: usize| cx.input(bare, k).and_then(|i| cx.number(i));
            cx.input(bare, 0).is_some_and(equal) && number(1) == Some(1.0) && number(2) == Some(0.0)
        }
        _ => false,
    }
}

/// The definiteness of the symmetric part of a constant matrix.
pub(crate) fn definite(cx: &Cx<'_>, a: NodeId) -> Definite {
    let structural = structure(cx, a, DEPTH);
    match (structural, cx.value(a)) {
        (Definite::Positive { strict: true } | Definite::Negative { strict: true }, _) | (_, None) => structural,
        (s, Some(v)) => match numeric(v) {
            Definite::Unknown => s,
            n => n,
        },
    }
}

fn structure(cx: &Cx<'_>, a: NodeId, depth: usize) -> Definite {
    if cx.depends(a) || cx.rank(a) != 2 || depth == 0 {
        return Definite::Unknown;
    }
    let weak = Definite::Positive { strict: false };
    if cx.assume.psd.contains(&a) {
        return weak;
    }
    let of = |k: usize| cx.input(a, k).map_or(Definite::Unknown, |i| structure(cx, i, depth - 1));
    let range = |k: usize| cx.input(a, k).map_or(Interval::ALL, |i| cx.range(i));
    let scalar = |k: usize| cx.input(a, k).is_some_and(|i| cx.rank(i) == 0);
    if identity(cx, a) {
        return Definite::Positive { strict: true };
    }
    match cx.op(a) {
        Op::DiagMatrix => {
            let r = range(0);
            match (r.is_nonneg(), r.is_nonpos()) {
                (true, _) => Definite::Positive { strict: r.is_pos() },
                (_, true) => Definite::Negative { strict: r.is_neg() },
                _ => Definite::Unknown,
            }
        }
        Op::Unary(UnaryOp::Neg) => of(0).flipped(),
        Op::Unary(UnaryOp::ToReal | UnaryOp::StopGrad) | Op::NoGrad(_) | Op::Transpose(_) => of(0),
        Op::Binary(BinaryOp::Add) => match cx.binary(a) {
            // (P + P')/2 has the form of P.
            Some((_, x, y)) if transposes(cx, x, y) => structure(cx, x, depth - 1),
            _ => of(0).plus(of(1)),
        },
        Op::Binary(BinaryOp::Sub) => of(0).plus(of(1).flipped()),
        Op::Binary(BinaryOp::Mul) if scalar(0) => of(1).times(range(0)),
        Op::Binary(BinaryOp::Mul) if scalar(1) => of(0).times(range(1)),
        // The elementwise product of two positive semidefinite matrices is one (Schur).
        Op::Binary(BinaryOp::Mul) => match (of(0), of(1), cx.input(a, 0).zip(cx.input(a, 1))) {
            (Definite::Positive { .. }, Definite::Positive { .. }, Some((x, y))) if symmetric(cx, x) && symmetric(cx, y) => weak,
            _ => Definite::Unknown,
        },
        Op::Binary(BinaryOp::Div) if scalar(1) => of(0).times(range(1)),
        // All elements equal: c 1 1'.
        Op::Broadcast(_) if scalar(0) => weak.times(range(0)),
        Op::MatMul => {
            if gram(cx, a).is_some() {
                return weak;
            }
            if let Some(w) = weighted_gram(cx, a) {
                return weak.times(cx.range(w));
            }
            match sandwich(cx, a).map(|m| structure(cx, m, depth - 1)) {
                Some(Definite::Positive { .. }) => weak,
                Some(Definite::Negative { .. }) => weak.flipped(),
                _ => Definite::Unknown,
            }
        }
        // The inverse of a definite matrix.
        Op::Solve { .. } if cx.input(a, 1).is_some_and(|i| identity(cx, i) || matches!(structure(cx, i, depth - 1), Definite::Positive { strict: true } if is_identity_diagonal(cx, i))) => {
            match of(0) {
                d @ (Definite::Positive { strict: true } | Definite::Negative { strict: true }) => d,
                _ => Definite::Unknown,
            }
        }
        _ => Definite::Unknown,
    }
}

/// `diag(1, …, 1)`.
fn is_identity_diagonal(cx: &Cx<'_>, a: NodeId) -> bool {
    matches!(cx.op(a), Op::DiagMatrix) && cx.input(a, 0).and_then(|v| cx.number(v)) == Some(1.0)
}

/// Above this size a factorization at check time would be felt.
const LARGEST: usize = 1500;

/// By Cholesky with a shift of rounding size.
fn numeric(a: &Array) -> Definite {
    let [n, m] = a.shape.as_slice() else { return Definite::Unknown };
    if n != m || *n == 0 || *n > LARGEST || a.data.iter().any(|x| !x.is_finite()) {
        return Definite::Unknown;
    }
    let half: Vec<f64> = (0..n * n).map(|k| 0.5 * (a.data[k] + a.data[(k % n) * n + k / n])).collect();
    let scale = half.iter().fold(0.0, |s: f64, x| s.max(x.abs()));
    let jitter = 1e-12 * scale * (*n as f64).max(1.0);
    let minus: Vec<f64> = half.iter().map(|x| -x).collect();
    if psd(&half, *n, jitter) {
        Definite::Positive { strict: psd(&half, *n, -jitter) }
    } else if psd(&minus, *n, jitter) {
        Definite::Negative { strict: psd(&minus, *n, -jitter) }
    } else {
        Definite::Unknown
    }
}

/// Does `a + jitter * I` (row-major, symmetric, n by n) have a Cholesky factor with positive pivots? All-zero counts as yes.
pub(crate) fn psd(a: &[f64], n: usize, jitter: f64) -> bool {
    if jitter >= 0.0 && a.iter().all(|x| *x == 0.0) {
        return true;
    }
    let mut l = vec![0.0; n * n];
    for j in 0..n {
        for i in j..n {
            let s: f64 = (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum();
            let v = a[i * n + j] - s + if i == j { jitter } else { 0.0 };
            if i == j {
                if v.is_nan() || v <= 0.0 {
                    return false;
                }
                l[j * n + j] = v.sqrt();
            } else {
                l[i * n + j] = v / l[j * n + j];
            }
        }
    }
    true
}
