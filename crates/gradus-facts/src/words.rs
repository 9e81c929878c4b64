//! Chains of constant linear operators, and inner products of them: `w' X' X w` is `|X w|^2` however it is bracketed.

use crate::context::Cx;
use crate::matrix::{Definite, definite, symmetric};
use gradus_ir::{BinaryOp, NodeId, Op};

/// One constant linear operator on arrays.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum LinOp {
    /// Multiplication by the matrix (its transpose) from the left.
    Left(NodeId, bool),
    /// Multiplication from the right.
    Right(NodeId, bool),
    /// Elementwise, by a constant of the same shape (or one that stretches to it).
    Scale(NodeId),
    /// The inverse of the matrix (its transpose), from the left.
    Inverse(NodeId, bool),
    /// A root of a semidefinite operator: only its square is meant.
    Root(Box<LinOp>),
}

/// A linear function of a node: operators applied last to first, so `ops[0]` is the outermost.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Chain {
    pub root: NodeId,
    pub ops: Vec<LinOp>,
}

impl LinOp {
    fn adjoint(&self) -> LinOp {
        match self {
            LinOp::Left(m, t) => LinOp::Left(*m, !t),
            LinOp::Right(m, t) => LinOp::Right(*m, !t),
            LinOp::Inverse(m, t) => LinOp::Inverse(*m, !t),
            o => o.clone(),
        }
    }
}

/// The constant matrix as a product of factors, each with its transposition, outermost first.
fn factors(cx: &Cx<'_>, m: NodeId, t: bool, out: &mut Vec<(NodeId, bool)>, depth: usize) {
    match cx.op(m) {
        Op::Transpose(p) if p == &[1, 0] && depth > 0 => {
            if let Some(a) = cx.input(m, 0) {
                return factors(cx, a, !t, out, depth - 1);
            }
        }
        Op::MatMul if depth > 0 => {
            if let (Some(a), Some(b)) = (cx.input(m, 0), cx.input(m, 1))
                && cx.rank(a) == 2
                && cx.rank(b) == 2
            {
                let (first, last) = if t { (b, a) } else { (a, b) };
                factors(cx, first, t, out, depth - 1);
                return factors(cx, last, t, out, depth - 1);
            }
        }
        _ => {}
    }
    out.push((m, t && !symmetric(cx, m)));
}

/// Peel constant linear operators off a node: a multiple of a chain. Constant products are split into factors `split` deep.
fn peel(cx: &Cx<'_>, node: NodeId, split: usize) -> (f64, Chain) {
    let mut chain = Chain { root: node, ops: Vec::new() };
    let mut scale = 1.0;
    // Chains are as deep as the script is; longer ones keep their inner part as the root.
    for _ in 0..32 {
        if let Some((leaf, c)) = cx.combos[chain.root.index()].single()
            && cx.combos[chain.root.index()].constant == 0.0
            && leaf != chain.root
            && cx.g.shape(leaf) == cx.g.shape(chain.root)
        {
            scale *= c;
            chain.root = leaf;
            continue;
        }
        let id = chain.root;
        let (Some(a), Some(b)) = (cx.input(id, 0), cx.input(id, 1)) else { break };
        let mut parts = Vec::new();
        match cx.op(id) {
            Op::MatMul if !cx.depends(a) && cx.rank(a) == 2 && (1..=2).contains(&cx.rank(b)) => {
                factors(cx, a, false, &mut parts, split);
                chain.ops.extend(parts.into_iter().map(|(m, t)| LinOp::Left(m, t)));
                chain.root = b;
            }
            // A row times a matrix is the transposed matrix times it.
            Op::MatMul if !cx.depends(b) && cx.rank(b) == 2 && cx.rank(a) == 1 => {
                factors(cx, b, true, &mut parts, split);
                chain.ops.extend(parts.into_iter().map(|(m, t)| LinOp::Left(m, t)));
                chain.root = a;
            }
            Op::MatMul if !cx.depends(b) && cx.rank(b) == 2 && cx.rank(a) == 2 => {
                factors(cx, b, true, &mut parts, split);
                chain.ops.extend(parts.into_iter().map(|(m, t)| LinOp::Right(m, t)));
                chain.root = a;
            }
            Op::Solve { transposed } if !cx.depends(a) => {
                chain.ops.push(LinOp::Inverse(a, *transposed));
                chain.root = b;
            }
            Op::Binary(BinaryOp::Mul) if !cx.depends(a) && cx.g.shape(b) == cx.g.shape(id) => {
                chain.ops.push(LinOp::Scale(a));
                chain.root = b;
            }
            Op::Binary(BinaryOp::Mul) if !cx.depends(b) && cx.g.shape(a) == cx.g.shape(id) => {
                chain.ops.push(LinOp::Scale(b));
                chain.root = a;
            }
            _ => break,
        }
    }
    (scale, chain)
}

/// `<L a, R b>` in a form that does not depend on the bracketing: a multiple and two chains, equal where it is a square.
pub(crate) fn pair(cx: &Cx<'_>, left: NodeId, right: NodeId) -> (f64, Chain, Chain) {
    // A product that is no square of its factors may be one as a whole (a weighted Gram matrix).
    for split in [8, 0] {
        let ((p, l), (q, r)) = (peel(cx, left, split), peel(cx, right, split));
        if l.root == r.root
            && let Some((sign, half)) = square(cx, &word(&l, &r))
        {
            let chain = Chain { root: l.root, ops: half };
            return (p * q * sign, chain.clone(), chain);
        }
    }
    let ((p, l), (q, r)) = (peel(cx, left, 8), peel(cx, right, 8));
    let c = p * q;
    let mut word = word(&l, &r);
    // No square: split in the middle, in an order that both spellings of a product share.
    let (mut a, mut b) = (l.root, r.root);
    let mirrored: Vec<LinOp> = word.iter().rev().map(LinOp::adjoint).collect();
    if (b, &mirrored) < (a, &word) {
        std::mem::swap(&mut a, &mut b);
        word = mirrored;
    }
    let cut = word.len() / 2;
    let right_ops = word[..cut].iter().rev().map(LinOp::adjoint).collect();
    (c, Chain { root: a, ops: word[cut..].to_vec() }, Chain { root: b, ops: right_ops })
}

/// The whole word between the roots: `r.root' r.ops' l.ops l.root`.
fn word(l: &Chain, r: &Chain) -> Vec<LinOp> {
    r.ops.iter().rev().map(LinOp::adjoint).chain(l.ops.iter().cloned()).collect()
}

/// Where the word is `V' P V` with P the identity or semidefinite: the sign and `sqrt(P) V`.
fn square(cx: &Cx<'_>, word: &[LinOp]) -> Option<(f64, Vec<LinOp>)> {
    let n = word.len();
    for k in 0..n / 2 {
        if word[k] != word[n - 1 - k].adjoint() {
            return None;
        }
    }
    let half = word[n.div_ceil(2)..].to_vec();
    if n.is_multiple_of(2) {
        return Some((1.0, half));
    }
    let centre = &word[n / 2];
    let sign = match centre {
        LinOp::Left(m, _) | LinOp::Right(m, _) => match definite(cx, *m) {
            Definite::Positive { .. } => 1.0,
            Definite::Negative { .. } => -1.0,
            Definite::Unknown => return None,
        },
        LinOp::Inverse(m, _) => match definite(cx, *m) {
            Definite::Positive { strict: true } => 1.0,
            Definite::Negative { strict: true } => -1.0,
            _ => return None,
        },
        LinOp::Scale(c) => {
            let r = cx.range(*c);
            match (r.is_nonneg(), r.is_nonpos()) {
                (true, _) => 1.0,
                (_, true) => -1.0,
                _ => return None,
            }
        }
        LinOp::Root(_) => return None,
    };
    let mut ops = vec![LinOp::Root(Box::new(canonical(centre)))];
    ops.extend(half);
    Some((sign, ops))
}

/// v'Mv = v'M'v.
fn canonical(o: &LinOp) -> LinOp {
    match o {
        LinOp::Left(m, _) => LinOp::Left(*m, false),
        LinOp::Right(m, _) => LinOp::Right(*m, false),
        LinOp::Inverse(m, _) => LinOp::Inverse(*m, false),
        o => o.clone(),
    }
}
