//! Products of powers: `x^2/y`, geometric means, reciprocals of products, however they are spelled.

use crate::context::Cx;
use crate::interval::Interval;
use gradus_ir::{BinaryOp, NodeId, Op, UnaryOp};
use indexmap::IndexMap;

/// A base and what is known of how it enters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Power {
    pub exponent: f64,
    /// Every power taken was even: the absolute value enters.
    pub absolute: bool,
    /// A root or a broken power was taken, so the base is nonnegative wherever the value is finite.
    pub implied: bool,
    /// Some absolute value entered with a power that is not even: then `x |x|` is not `|x|^2`.
    loose: bool,
}

/// `coefficient * product of base^power`; the coefficient is a constant of which the range is known.
#[derive(Clone, Debug)]
pub(crate) struct Monomial {
    pub coefficient: Interval,
    pub bases: IndexMap<NodeId, Power>,
}

pub(crate) fn monomial(cx: &Cx<'_>, id: NodeId) -> Option<Monomial> {
    let mut m = Monomial { coefficient: Interval::point(1.0), bases: IndexMap::new() };
    collect(cx, id, 1.0, Power { exponent: 1.0, ..Power::default() }, &mut m, 12)?;
    for p in m.bases.values_mut() {
        p.absolute |= !p.loose && is_even(p.exponent);
    }
    // A base that cancels leaves its domain behind, which need not be convex.
    if m.bases.iter().any(|(b, p)| p.exponent == 0.0 && !cx.range(*b).nonzero) {
        return None;
    }
    m.bases.retain(|_, p| p.exponent != 0.0);
    Some(m)
}

fn is_whole(p: f64) -> bool {
    p.fract() == 0.0
}

fn is_even(p: f64) -> bool {
    is_whole(p) && is_whole(p / 2.0)
}

fn collect(cx: &Cx<'_>, id: NodeId, p: f64, how: Power, m: &mut Monomial, depth: usize) -> Option<()> {
    let id = cx.bare(id);
    if !cx.depends(id) {
        let r = cx.range(id);
        let factor = if p == 1.0 {
            r
        } else if p == -1.0 {
            r.recip()
        } else if p == 2.0 {
            r.square()
        } else if r.is_pos() {
            Interval::POSITIVE
        } else if r.is_nonneg() {
            Interval::NONNEGATIVE
        } else {
            return None;
        };
        m.coefficient = m.coefficient.mul(factor);
        return Some(());
    }
    if depth == 0 || m.bases.len() > 16 {
        return None;
    }
    if let Some((leaf, c)) = cx.combos[id.index()].single()
        && leaf != id
        && cx.combos[id.index()].constant == 0.0
        && (c > 0.0 || p == 1.0 && !how.implied && !how.absolute)
    {
        m.coefficient = m.coefficient.mul(if p == 1.0 { Interval::point(c) } else { Interval::POSITIVE });
        return collect(cx, leaf, p, how, m, depth - 1);
    }
    let input = |k: usize| cx.input(id, k);
    // A power inside a broken outer power would lose a sign: (x^2)^0.5 is |x|.
    let outer_whole = is_whole(p);
    match cx.op(id) {
        Op::Binary(BinaryOp::Mul) if outer_whole && p.abs() <= 2.0 && !how.absolute || matches!(cx.op(id), Op::Binary(BinaryOp::Mul)) && nonneg(cx, id) => {
            collect(cx, input(0)?, p, how, m, depth - 1)?;
            return collect(cx, input(1)?, p, how, m, depth - 1);
        }
        Op::Binary(BinaryOp::Div) if outer_whole && !how.absolute => {
            collect(cx, input(0)?, p, how, m, depth - 1)?;
            return collect(cx, input(1)?, -p, how, m, depth - 1);
        }
        Op::Unary(UnaryOp::Recip) if outer_whole && !how.absolute => return collect(cx, input(0)?, -p, how, m, depth - 1),
        Op::Unary(UnaryOp::Square) => return collect(cx, input(0)?, 2.0 * p, Power { absolute: true, ..how }, m, depth - 1),
        Op::Unary(UnaryOp::Sqrt) => {
            let how = Power { implied: true, ..how };
            return collect(cx, input(0)?, 0.5 * p, how, m, depth - 1);
        }
        Op::Binary(BinaryOp::Pow) => {
            if let Some(e) = input(1).and_then(|e| cx.number(e)) {
                let even = is_even(e);
                if outer_whole || even || !is_whole(e) || nonneg(cx, input(0)?) {
                    let how = Power { absolute: how.absolute || even, implied: how.implied || !is_whole(e), ..how };
                    return collect(cx, input(0)?, e * p, how, m, depth - 1);
                }
            }
        }
        _ => {}
    }
    let entry = m.bases.entry(id).or_insert(Power { exponent: 0.0, absolute: true, implied: false, loose: false });
    entry.exponent += p;
    entry.absolute &= how.absolute;
    entry.implied |= how.implied && !how.absolute;
    entry.loose |= how.absolute && !is_even(p);
    Some(())
}

fn nonneg(cx: &Cx<'_>, id: NodeId) -> bool {
    cx.range(id).is_nonneg() && [0, 1].iter().all(|k| cx.input(id, *k).is_none_or(|i| cx.range(i).is_nonneg()))
}

/// Convex and concave, with the rule.
pub(crate) fn rule(cx: &Cx<'_>, m: &Monomial) -> (bool, bool, &'static str) {
    let known = |b: NodeId, p: &Power| cx.range(b).is_nonneg() || p.implied;
    let concave_base = |b: &NodeId, p: &Power| known(*b, p) && cx.curvature(*b).is_concave();
    let upper: Vec<_> = m.bases.iter().filter(|(_, p)| p.exponent > 0.0).collect();
    let lower: Vec<_> = m.bases.iter().filter(|(_, p)| p.exponent < 0.0).collect();
    let below: f64 = lower.iter().map(|(_, p)| -p.exponent).sum();
    let above: f64 = upper.iter().map(|(_, p)| p.exponent).sum();
    let lower_fits = lower.iter().all(|(b, p)| concave_base(b, p));
    let (mut convex, mut concave, mut why) = (false, false, "");
    match upper.as_slice() {
        [] if !lower.is_empty() && lower_fits => (convex, why) = (true, "reciprocal of a product of positive concave factors"),
        [(b, p)] if p.exponent >= 1.0 + below && lower_fits => {
            let c = cx.curvature(**b);
            // A root's domain {u >= 0} is convex for affine u, not for convex u.
            let fits = (p.absolute || p.implied) && c.is_affine() || cx.range(**b).is_nonneg() && c.is_convex() || p.absolute && cx.range(**b).is_nonpos() && c.is_concave();
            if fits {
                convex = true;
                why = if lower.is_empty() { "power of at least one of a nonnegative convex (or even power of an affine) value" } else { "power over positive concave values (as the square of an affine map over an affine one)" };
            }
        }
        _ => {}
    }
    if lower.is_empty() && !upper.is_empty() && above <= 1.0 + 1e-12 && upper.iter().all(|(b, p)| concave_base(b, p)) {
        // With several factors the signs must be known: the product of two negative numbers has a root, too.
        if upper.len() == 1 || upper.iter().all(|(b, _)| cx.range(**b).is_nonneg()) {
            concave = true;
            why = "geometric mean (or root) of nonnegative concave values";
        }
    }
    let s = m.coefficient;
    match (s.is_nonneg(), s.is_nonpos()) {
        (true, _) => (convex, concave, why),
        (_, true) => (concave, convex, why),
        _ => (false, false, ""),
    }
}
