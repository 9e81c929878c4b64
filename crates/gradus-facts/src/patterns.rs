//! Patterns that composition does not see: norms, entropies, spectral functions, powers and quotients.

use crate::context::Cx;
use crate::curvature::{Found, affine_parts, scaled};
use crate::interval::Interval;
use crate::logs::Log;
use crate::monomial;
use crate::quadratic::verdict;
use gradus_ir::{BinaryOp, NodeId, Op, ReduceOp, UnaryOp};

/// Terms `c u log u - d u log v` with c >= d >= 0; all other terms convex.
pub(crate) fn relative_entropy(cx: &Cx<'_>, live: &[(NodeId, f64)]) -> bool {
    let times_log = |leaf: NodeId| -> Option<(NodeId, NodeId)> {
        let (BinaryOp::Mul, a, b) = cx.binary(leaf)? else { return None };
        let of = |u: NodeId, l: NodeId| cx.unary(l, UnaryOp::Log).filter(|v| cx.is_affine(u) && cx.is_affine(*v) && cx.depends(u)).map(|v| (u, v));
        of(a, b).or_else(|| of(b, a))
    };
    // What is left of each entropy term after paying for the cross terms of the same u.
    let mut left: Vec<(NodeId, f64)> = Vec::new();
    for (l, c) in live {
        if let Some((u, v)) = times_log(*l)
            && *c > 0.0
            && proportional(cx, v, u)
        {
            left.push((u, *c));
        }
    }
    live.iter().all(|(l, c)| {
        if scaled(cx.curvature(*l), Interval::point(*c)).is_convex() {
            return true;
        }
        let Some((u, _)) = times_log(*l).filter(|_| *c < 0.0) else { return false };
        match left.iter_mut().find(|(w, rest)| *w == u && *rest >= -c) {
            Some((_, rest)) => {
                *rest += c;
                true
            }
            None => false,
        }
    })
}

/// Singular values and eigenvalues of an affine matrix: their sum (of singular values), largest and smallest.
fn spectral(cx: &Cx<'_>, id: NodeId, found: &mut Found) {
    let (Op::Reduce(r, _), Some(g)) = (cx.op(id), cx.input(id, 0)) else { return };
    if let Op::Get(k) = cx.op(g)
        && let Some(f) = cx.input(g, 0)
        && let Some(m) = cx.input(f, 0)
        && cx.is_affine(m)
    {
        match (cx.op(f), k, r) {
            (Op::Svd, 1, ReduceOp::Sum) => found.note(true, false, "nuclear norm of an affine matrix", &[m]),
            (Op::Svd, 1, ReduceOp::Max) => found.note(true, false, "spectral norm of an affine matrix", &[m]),
            (Op::Eigh, 0, ReduceOp::Max) => found.note(true, false, "largest eigenvalue of an affine matrix", &[m]),
            (Op::Eigh, 0, ReduceOp::Min) => found.note(false, true, "smallest eigenvalue of an affine matrix", &[m]),
            _ => {}
        }
    }
    // log det A = 2 sum(log(diagonal(cholesky(A))))
    if let (ReduceOp::Sum, Some(d)) = (r, cx.unary(g, UnaryOp::Log))
        && let Op::Diagonal = cx.op(d)
        && let Some(l) = cx.input(d, 0)
        && let Op::Cholesky = cx.op(l)
        && let Some(m) = cx.input(l, 0)
        && cx.is_affine(m)
    {
        found.note(false, true, "log-determinant of an affine matrix", &[m]);
    }
}

/// `sqrt` of a sum of squares.
pub(crate) fn norm_rule(cx: &Cx<'_>, id: NodeId, found: &mut Found) -> Option<bool> {
    let a = cx.input(id, 0)?;
    if let Some(form) = &cx.forms[a.index()]
        && verdict(cx, form).sum_of_squares
    {
        found.note(true, false, "euclidean norm of an affine map", &affine_parts(cx, a, 12));
        return Some(cx.range(a).lo > 0.0);
    }
    if squares(cx, a, 16) {
        found.note(true, false, "euclidean norm of nonnegative convex values", &[a]);
    }
    None
}

/// Sums of squares of values that are affine or nonnegative and convex, and nonnegative constants.
fn squares(cx: &Cx<'_>, id: NodeId, depth: usize) -> bool {
    let id = cx.bare(id);
    if depth == 0 {
        return false;
    }
    if !cx.depends(id) {
        return cx.range(id).is_nonneg();
    }
    let fits = |u: NodeId| cx.is_affine(u) || cx.curvature(u).is_convex() && cx.range(u).is_nonneg();
    let input = |k: usize| cx.input(id, k);
    let inner = |k: usize| input(k).is_some_and(|i| squares(cx, i, depth - 1));
    let factor = |k: usize| input(k).is_some_and(|i| !cx.depends(i) && cx.range(i).is_nonneg());
    match cx.op(id) {
        Op::Unary(UnaryOp::Square) => input(0).is_some_and(fits),
        Op::Binary(BinaryOp::Pow) if input(1).and_then(|e| cx.number(e)) == Some(2.0) => input(0).is_some_and(fits),
        Op::Binary(BinaryOp::Mul) if input(0) == input(1) => input(0).is_some_and(fits),
        Op::MatMul if input(0) == input(1) && input(0).is_some_and(|i| cx.rank(i) == 1) => input(0).is_some_and(fits),
        Op::Binary(BinaryOp::Mul) => factor(0) && inner(1) || factor(1) && inner(0),
        Op::Binary(BinaryOp::Div) => factor(1) && inner(0),
        Op::Binary(BinaryOp::Add) => inner(0) && inner(1),
        Op::Reduce(ReduceOp::Sum, _) => inner(0),
        _ => false,
    }
}

pub(crate) fn patterns(cx: &Cx<'_>, logs: &[Log], id: NodeId, found: &mut Found) {
    let inputs = cx.node(id).inputs.to_vec();
    let input = |k: usize| inputs.get(k).copied();
    match cx.op(id) {
        Op::Unary(UnaryOp::Log) => {
            if let Some(l) = input(0).map(|a| logs[a.index()]) {
                found.note(l.convex, l.concave, if l.convex { "logarithm of sums, products and powers of exponentials" } else { "logarithm of products and powers of positive concave values" }, &inputs);
            }
        }
        Op::Unary(UnaryOp::Log1p) if input(0).is_some_and(|a| logs[a.index()].convex) => {
            found.note(true, false, "log(1 + e) with e the exponential of a convex value (softplus)", &inputs);
        }
        Op::Binary(BinaryOp::Mul) => {
            if let (Some(a), Some(b)) = (input(0), input(1)) {
                entropy(cx, a, b, found);
                entropy(cx, b, a, found);
            }
        }
        Op::Binary(BinaryOp::Pow) => root_of_powers(cx, id, found),
        Op::Reduce(ReduceOp::Sum, axes) => {
            if let Some(a) = input(0) {
                largest(cx, a, axes, found);
            }
            spectral(cx, id, found);
        }
        Op::Reduce(..) => spectral(cx, id, found),
        _ => {}
    }
    if !found.convex
        && matches!(cx.op(id), Op::Unary(UnaryOp::Recip | UnaryOp::Sqrt | UnaryOp::Square) | Op::Binary(BinaryOp::Mul | BinaryOp::Div | BinaryOp::Pow))
    {
        if let Op::Binary(BinaryOp::Div) = cx.op(id)
            && let (Some(a), Some(b)) = (input(0), input(1))
            && cx.depends(b)
            && over(cx, a, b)
        {
            found.note(true, false, "sum of squares of an affine map over a positive concave value", &inputs);
        }
        if let Some(m) = monomial::monomial(cx, id) {
            let (convex, concave, why) = monomial::rule(cx, &m);
            let bases: Vec<NodeId> = m.bases.keys().copied().collect();
            found.note(convex, concave, why, &bases);
        }
    }
}

/// Numerator terms that are convex over a positive concave divisor: squares of affine or nonnegative convex values, nonnegative constants.
fn over(cx: &Cx<'_>, a: NodeId, b: NodeId) -> bool {
    cx.range(b).is_nonneg() && cx.curvature(b).is_concave() && (squares(cx, a, 16) || whole_squares(cx, a))
}

/// A sum of squares that only the quadratic form shows.
fn whole_squares(cx: &Cx<'_>, a: NodeId) -> bool {
    cx.forms[cx.bare(a).index()].as_ref().is_some_and(|f| verdict(cx, f).sum_of_squares)
}

/// `u log u`, `u log(u / v)`, `u (log u - log v)`, with u and v affine.
fn entropy(cx: &Cx<'_>, u: NodeId, l: NodeId, found: &mut Found) {
    if !cx.depends(u) || !cx.is_affine(u) {
        return;
    }
    let combo = &cx.combos[l.index()];
    if combo.constant != 0.0 && combo.terms.is_empty() {
        return;
    }
    // l = s log u + constant, or s (log u - log v) + constant.
    let logs: Vec<(NodeId, f64)> = combo.terms.iter().filter(|(n, _)| cx.depends(*n)).copied().collect();
    let rest_constant = combo.terms.iter().all(|(n, _)| !cx.depends(*n) || cx.unary(*n, UnaryOp::Log).is_some());
    if !rest_constant {
        return;
    }
    let log_of = |n: NodeId| cx.unary(n, UnaryOp::Log);
    let sign = match logs.as_slice() {
        [(n, c)] => match log_of(*n) {
            Some(a) if proportional(cx, a, u) => *c,
            Some(a) => match cx.binary(cx.bare(a)) {
                // Both could be negative; a known sign of one gives the other's.
                Some((BinaryOp::Div, p, q)) if cx.is_affine(p) && cx.is_affine(q) && (cx.range(p).is_nonneg() || cx.range(q).is_nonneg()) => {
                    if proportional(cx, p, u) {
                        *c
                    } else if proportional(cx, q, u) {
                        -c
                    } else {
                        return;
                    }
                }
                _ => return,
            },
            None => return,
        },
        [(m, c), (n, d)] if c + d == 0.0 => match (log_of(*m), log_of(*n)) {
            (Some(a), Some(b)) if cx.is_affine(a) && cx.is_affine(b) => {
                if proportional(cx, a, u) {
                    *c
                } else if proportional(cx, b, u) {
                    *d
                } else {
                    return;
                }
            }
            _ => return,
        },
        _ => return,
    };
    let rule = "entropy: x log(x) (or x log(x/y)) of nonnegative affine values";
    found.note(sign > 0.0, sign < 0.0, rule, &[u, l]);
}

/// Is a a positive multiple of b?
fn proportional(cx: &Cx<'_>, a: NodeId, b: NodeId) -> bool {
    let (x, y) = (&cx.combos[a.index()], &cx.combos[b.index()]);
    let (Some((_, p)), Some((_, q))) = (x.terms.first(), y.terms.first()) else { return false };
    let k = p / q;
    let near = |s: f64, t: f64| (s - k * t).abs() <= 1e-14 * s.abs();
    k > 0.0
        && x.terms.len() == y.terms.len()
        && near(x.constant, y.constant)
        && x.terms.iter().zip(&y.terms).all(|((m, s), (n, t))| m == n && near(*s, *t))
}

/// `sum(|u|^p)^(1/p)` with p >= 1.
fn root_of_powers(cx: &Cx<'_>, id: NodeId, found: &mut Found) {
    let Some((_, a, e)) = cx.binary(id) else { return };
    let Some(e) = cx.number(e) else { return };
    let a = cx.bare(a);
    let (Op::Reduce(ReduceOp::Sum, _), Some(t)) = (cx.op(a), cx.input(a, 0)) else { return };
    let Some(m) = monomial::monomial(cx, t) else { return };
    if let Some((base, p)) = m.bases.first()
        && m.bases.len() == 1
        && m.coefficient.is_nonneg()
        && p.exponent >= 1.0
        && (p.exponent * e - 1.0).abs() < 1e-12
    {
        let c = cx.curvature(*base);
        let fits = p.absolute && c.is_affine() || cx.range(*base).is_nonneg() && c.is_convex();
        found.note(fits, false, "p-norm with p >= 1 of an affine map", &[*base]);
    }
}

/// The sum of the k largest of convex values.
fn largest(cx: &Cx<'_>, a: NodeId, axes: &[usize], found: &mut Found) {
    let Op::Slice { axis, start, .. } = cx.op(a) else { return };
    let Some(s) = cx.input(a, 0) else { return };
    let (Op::Sort { axis: along, descending }, Some(x)) = (cx.op(s), cx.input(s, 0)) else { return };
    if axis == along && axes.contains(axis) && start.known() == Some(0) {
        let c = cx.curvature(x);
        found.note(*descending && c.is_convex(), !descending && c.is_concave(), "sum of the largest (or smallest) values", &[x]);
    }
}
