//! N-ary normal forms of sums and products: constants collected, like terms merged, operands sorted, subtraction a coefficient -1.
//!
//! This is what replaces associativity and commutativity as rules. A sum is flattened into the sum around it only where nothing
//! else uses it (decided at import), so sharing is never lost.

use crate::sea::{Kids, Sop};
use crate::space::{Space, View};
use egg::Id;
use gradus_ir::{BinaryOp, F64, Op, Origin, Shape, UnaryOp};

/// Longest sum or product that is made by flattening, and that rules look at.
pub const LONGEST: usize = 64;

/// The normal form of a binary or unary arithmetic op with a real result.
pub fn arithmetic(s: &mut Space, op: &Op, kids: &[Id], by: u16, origin: Origin) -> Option<Id> {
    let (a, b) = (*kids.first()?, kids.get(1).copied());
    let real = s.is_real(a) || b.is_some_and(|b| s.is_real(b));
    match (op, b) {
        (Op::Binary(BinaryOp::Div), Some(b)) => prod(s, vec![(a, 1), (b, -1)], None, by, origin),
        (Op::Unary(UnaryOp::Recip), _) => prod(s, vec![(a, -1)], None, by, origin),
        _ if !real => None,
        (Op::Binary(BinaryOp::Add), Some(b)) => lin(s, vec![(1.0, a), (1.0, b)], 0.0, None, by, origin),
        (Op::Binary(BinaryOp::Sub), Some(b)) => lin(s, vec![(1.0, a), (-1.0, b)], 0.0, None, by, origin),
        (Op::Binary(BinaryOp::Mul), Some(b)) => prod(s, vec![(a, 1), (b, 1)], None, by, origin),
        (Op::Unary(UnaryOp::Neg), _) => lin(s, vec![(-1.0, a)], 0.0, None, by, origin),
        (Op::Unary(UnaryOp::Square), _) => prod(s, vec![(a, 2)], None, by, origin),
        (Op::Binary(BinaryOp::Pow), Some(b)) => {
            let e = s.graph[b].data.constant?.get();
            let whole = e.fract() == 0.0 && (1.0..=8.0).contains(&e.abs());
            (whole && s.graph[b].data.shape().is_scalar()).then(|| prod(s, vec![(a, e as i32)], None, by, origin))?
        }
        _ => None,
    }
}

fn shape_of(s: &Space, ids: impl Iterator<Item = Id>) -> Option<Shape> {
    let mut shape = Shape::scalar();
    for k in ids {
        shape = Shape::broadcast(&shape, s.graph[k].data.shape()).ok()?;
    }
    Some(shape)
}

/// The operand without a broadcast that the other operands make unnecessary.
fn bare(s: &Space, id: Id) -> Id {
    for n in &s.graph[id].nodes {
        if let (Sop::Ir(Op::Broadcast(_)), Some(k)) = (s.graph.analysis.op(n.op), n.kids.first()) {
            return s.graph.find(*k);
        }
    }
    id
}

fn strip(s: &Space, ids: &mut [Id], want: &Shape) {
    for k in 0..ids.len() {
        let inner = bare(s, ids[k]);
        if inner == ids[k] || !s.is_real(inner) {
            continue;
        }
        let others = ids.iter().enumerate().map(|(j, id)| if j == k { inner } else { *id });
        if shape_of(s, others).as_ref() == Some(want) {
            note(s, ids[k], |op| matches!(op, Sop::Ir(Op::Broadcast(_))));
            ids[k] = inner;
        }
    }
}

/// Tells the record of a proof by which form of a class the normal form went.
fn note(s: &Space, id: Id, is: impl Fn(&Sop) -> bool) {
    if s.record.is_some()
        && let Some(n) = s.graph[id].nodes.iter().find(|n| is(s.graph.analysis.op(n.op)))
    {
        s.used(id, s.graph.analysis.op(n.op), &n.kids);
    }
}

fn is_scaled(op: &Sop) -> bool {
    matches!(op, Sop::Lin { coeffs, constant } if coeffs.len() == 1 && constant.get() == 0.0)
}

/// A form of the class that is a scaled value, `c * x`.
fn scaled(s: &Space, id: Id) -> Option<(f64, Id)> {
    s.graph[id].nodes.iter().find_map(|n| match s.graph.analysis.op(n.op) {
        Sop::Lin { coeffs, constant } if coeffs.len() == 1 && constant.get() == 0.0 => {
            n.kids.first().map(|k| (coeffs[0].get(), s.graph.find(*k)))
        }
        _ => None,
    })
}

/// Stretches a value that lost the operand that gave it its shape.
fn stretched(s: &mut Space, id: Id, want: &Shape, by: u16, origin: Origin) -> Option<Id> {
    let id = if s.is_real(id) { id } else { s.node(Sop::Ir(Op::Unary(UnaryOp::ToReal)), &[id], by, origin)? };
    if s.graph[id].data.shape() == want {
        return Some(id);
    }
    s.node(Sop::Ir(Op::Broadcast(want.clone())), &[id], by, origin)
}

/// `constant + sum of c * term`, of shape `want` (the broadcast of the terms where not given).
pub fn lin(
    s: &mut Space,
    terms: Vec<(f64, Id)>,
    mut constant: f64,
    want: Option<Shape>,
    by: u16,
    origin: Origin,
) -> Option<Id> {
    let want = match want {
        Some(w) => w,
        None => shape_of(s, terms.iter().map(|(_, k)| *k))?,
    };
    let mut merged: Vec<(f64, Id)> = Vec::with_capacity(terms.len());
    for (c, k) in terms {
        let k = s.graph.find(k);
        if let Some(v) = s.graph[k].data.constant {
            constant += c * v.get();
            continue;
        }
        let (c, k) = match scaled(s, k) {
            // A product of coefficients that leaves the range of floats stays two steps.
            Some((d, x)) if (c * d).is_normal() => {
                note(s, k, is_scaled);
                (c * d, x)
            }
            _ => (c, k),
        };
        merged.push((c, k));
    }
    let mut ids: Vec<Id> = merged.iter().map(|t| t.1).collect();
    strip(s, &mut ids, &want);
    for (t, id) in merged.iter_mut().zip(&ids) {
        t.1 = *id;
        // What a broadcast hid may be a constant.
        if let Some((d, x)) = scaled(s, *id)
            && (t.0 * d).is_normal()
        {
            note(s, *id, is_scaled);
            *t = (t.0 * d, x);
        }
    }
    merged.sort_by_key(|t| t.1);
    let mut out: Vec<(f64, Id)> = Vec::with_capacity(merged.len());
    for (c, k) in merged {
        match out.last_mut() {
            Some((d, l)) if *l == k => *d += c,
            _ => out.push((c, k)),
        }
    }
    // `0 * x` is not 0 where x is infinite or NaN.
    out.retain(|(c, k)| *c != 0.0 || !s.graph[*k].data.values.finite());
    if out.is_empty() {
        let id = s.real(constant, by, origin)?;
        return stretched(s, id, &want, by, origin);
    }
    if let [(c, k)] = out.as_slice()
        && *c == 1.0
        && constant == 0.0
    {
        return stretched(s, *k, &want, by, origin);
    }
    let coeffs = out.iter().map(|(c, _)| F64::new(*c)).collect();
    let kids: Kids = out.iter().map(|(_, k)| *k).collect();
    // Minus zero would make two forms of one.
    let constant = F64::new(constant + 0.0);
    let id = s.node(Sop::Lin { coeffs, constant }, &kids, by, origin)?;
    stretched(s, id, &want, by, origin)
}

/// The product of powers, of shape `want` (the broadcast of the factors where not given).
pub fn prod(s: &mut Space, factors: Vec<(Id, i32)>, want: Option<Shape>, by: u16, origin: Origin) -> Option<Id> {
    let want = match want {
        Some(w) => w,
        None => shape_of(s, factors.iter().map(|(k, _)| *k))?,
    };
    let mut scale = 1.0f64;
    let mut merged: Vec<(Id, i32)> = Vec::with_capacity(factors.len());
    for (k, e) in factors {
        let k = s.graph.find(k);
        if let Some(v) = s.graph[k].data.constant {
            let p = scale * v.get().powi(e);
            // Scales of ordinary size are collected; zero, infinities and what would round away stay operands.
            if p.is_normal() {
                scale = p;
            } else {
                merged.push((k, e));
            }
            continue;
        }
        match scaled(s, k) {
            Some((c, x)) if (scale * c.powi(e)).is_normal() => {
                note(s, k, is_scaled);
                scale *= c.powi(e);
                merged.push((x, e));
            }
            _ => merged.push((k, e)),
        }
    }
    let mut ids: Vec<Id> = merged.iter().map(|t| t.0).collect();
    strip(s, &mut ids, &want);
    for (t, id) in merged.iter_mut().zip(&ids) {
        t.0 = *id;
        if let Some((c, x)) = scaled(s, *id)
            && (scale * c.powi(t.1)).is_normal()
        {
            note(s, *id, is_scaled);
            scale *= c.powi(t.1);
            t.0 = x;
        }
    }
    // Powers of one value merge where that cannot make or unmake an infinity: both up or both down.
    merged.sort_by_key(|t| (t.0, t.1 < 0));
    let mut out: Vec<(Id, i32)> = Vec::with_capacity(merged.len());
    for (k, e) in merged {
        match out.last_mut() {
            Some((l, d)) if *l == k && (*d > 0) == (e > 0) => *d = d.saturating_add(e),
            Some((l, d)) if *l == k && cancels(s, k) && *d + e != 0 => *d += e,
            Some((l, _)) if *l == k && cancels(s, k) => {
                out.pop();
            }
            // A node holds each operand once: the rest becomes a factor of its own.
            Some((l, _)) if *l == k => {
                let inverse = s.node(Sop::Prod(std::iter::once(e).collect()), &[k], by, origin)?;
                out.push((inverse, 1));
            }
            _ => out.push((k, e)),
        }
    }
    out.sort_by_key(|t| t.0);
    let base = match out.as_slice() {
        [] => s.real(1.0, by, origin)?,
        [(k, 1)] => *k,
        _ => {
            let exps = out.iter().map(|(_, e)| *e).collect();
            let kids: Kids = out.iter().map(|(k, _)| *k).collect();
            s.node(Sop::Prod(exps), &kids, by, origin)?
        }
    };
    let base = stretched(s, base, &want, by, origin)?;
    if scale == 1.0 {
        return Some(base);
    }
    lin(s, vec![(scale, base)], 0.0, Some(want), by, origin)
}

/// x/x is 1 only where x is neither zero nor infinite nor NaN.
fn cancels(s: &Space, k: Id) -> bool {
    let v = s.graph[k].data.values;
    v.finite() && v.nonzero()
}
