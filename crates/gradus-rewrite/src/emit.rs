//! Writing the n-ary normal forms as ops again: small operands first, subtraction where a coefficient is negative, common scale
//! factors once.

use crate::sea::size;
use gradus_ir::build::Build;
use gradus_ir::{BinaryOp, DType, Graph, IrResult, NodeId, Op, Origin, Shape, Ty, UnaryOp};

fn elements(g: &Graph, a: NodeId) -> f64 {
    shape_size(g.shape(a))
}

pub fn shape_size(s: &Shape) -> f64 {
    s.dims().iter().map(size).product()
}

/// `constant + sum of coefficient * term`, as a value of type `ty` (a real).
pub fn lin(g: &mut Graph, terms: &[(f64, NodeId)], constant: f64, ty: &Ty, origin: Origin) -> IrResult<NodeId> {
    let mut terms: Vec<(f64, NodeId)> = terms.to_vec();
    // Stable: equal sizes keep their order, which is the order in which the values arose.
    terms.sort_by(|a, b| elements(g, a.1).total_cmp(&elements(g, b.1)));
    let scale = match terms.first() {
        Some((c, _)) if terms.len() > 1 && c.abs() != 1.0 && *c != 0.0 && terms.iter().all(|(d, _)| d.abs() == c.abs()) => c.abs(),
        _ => 1.0,
    };
    let split = scale != 1.0;
    // The sum starts from the first positive term, so that no negation is needed.
    if let Some(k) = terms.iter().position(|(c, _)| *c > 0.0) {
        let first = terms.remove(k);
        terms.insert(0, first);
    }
    let mut b = Build::new(g, origin);
    let mut rest = constant;
    let mut acc: Option<NodeId> = None;
    if !split && rest != 0.0 && terms.first().is_none_or(|(c, t)| *c < 0.0 && b.shape(*t).is_scalar() || *c == -1.0) {
        acc = Some(b.real(rest)?);
        rest = 0.0;
    }
    for (c, t) in &terms {
        let c = if split { c / scale } else { *c };
        if c == 0.0 {
            // What cancelled: zero of either sign is zero here, infinities and NaN stay visible.
            let nil = b.sub(*t, *t)?;
            acc = Some(match acc {
                None => nil,
                Some(a) => b.add(a, nil)?,
            });
            continue;
        }
        acc = Some(match acc {
            None if c == 1.0 => *t,
            None if c == -1.0 => b.neg(*t)?,
            None => {
                let k = b.real(c)?;
                b.mul(k, *t)?
            }
            Some(a) if c == 1.0 => b.add(a, *t)?,
            Some(a) if c == -1.0 => b.sub(a, *t)?,
            Some(a) => {
                let k = b.real(c.abs())?;
                let x = b.mul(k, *t)?;
                if c < 0.0 { b.sub(a, x)? } else { b.add(a, x)? }
            }
        });
        // A constant joins while the sum is still a scalar.
        if let Some(a) = acc
            && !split
            && rest != 0.0
            && b.shape(a).is_scalar()
        {
            let k = b.real(rest)?;
            acc = Some(b.add(a, k)?);
            rest = 0.0;
        }
    }
    if split && let Some(a) = acc {
        let k = b.real(scale)?;
        acc = Some(b.mul(k, a)?);
    }
    let out = match acc {
        None => b.real(rest)?,
        Some(a) if rest != 0.0 => {
            let k = b.real(rest.abs())?;
            if rest < 0.0 { b.sub(a, k)? } else { b.add(a, k)? }
        }
        Some(a) => a,
    };
    fit(&mut b, out, ty)
}

/// The product of the powers, as a value of type `ty` (a real).
pub fn prod(g: &mut Graph, factors: &[(NodeId, i32)], ty: &Ty, origin: Origin) -> IrResult<NodeId> {
    let mut factors = factors.to_vec();
    factors.sort_by(|a, b| elements(g, a.0).total_cmp(&elements(g, b.0)));
    let mut b = Build::new(g, origin);
    let mut up: Option<NodeId> = None;
    let mut down: Option<NodeId> = None;
    for (x, e) in factors {
        let p = power(&mut b, x, e.unsigned_abs())?;
        let side = if e > 0 { &mut up } else { &mut down };
        *side = Some(match *side {
            None => p,
            Some(a) => b.mul(a, p)?,
        });
    }
    let out = match (up, down) {
        (Some(u), Some(d)) => b.div(u, d)?,
        (Some(u), None) => u,
        (None, Some(d)) => b.recip(d)?,
        (None, None) => b.real(1.0)?,
    };
    fit(&mut b, out, ty)
}

fn power(b: &mut Build<'_>, x: NodeId, e: u32) -> IrResult<NodeId> {
    match e {
        1 => Ok(x),
        e if e > 16 => {
            let k = b.real(f64::from(e))?;
            b.op(Op::Binary(BinaryOp::Pow), &[x, k])
        }
        e => {
            let half = power(b, x, e / 2)?;
            let even = b.square(half)?;
            if e % 2 == 0 { Ok(even) } else { b.mul(even, x) }
        }
    }
}

/// Stretched and made real where a dropped term had done that.
fn fit(b: &mut Build<'_>, a: NodeId, ty: &Ty) -> IrResult<NodeId> {
    let a = if b.graph.dtype(a) == DType::Real { a } else { b.un(UnaryOp::ToReal, a)? };
    b.broadcast(a, &ty.shape)
}
