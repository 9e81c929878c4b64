//! The proxable part of an objective: terms and sets on leaves of the unknown, with one proximal operator for all.

use crate::interp::Interp;
use crate::tree::TypeTree;
use crate::value::{Eval, Num, SetKind, SetValue, Stop, TermKind, TermValue, Value};
use gradus_ir::{BinaryOp, UnaryOp};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// One summand: `scale * term(factor * leaves + shift)`.
#[derive(Clone)]
pub struct ProxPart {
    /// Which leaves of the unknown it reads, and the structure they have for it.
    pub leaves: Vec<usize>,
    pub tree: TypeTree,
    pub term: Arc<TermValue>,
    /// 1 where absent. Not negative.
    pub scale: Option<Num>,
    /// `(factor, shift)` of a single leaf; the leaf itself where absent.
    pub affine: Option<(Num, Option<Num>)>,
    pub span: Span,
}

pub struct ProxFn {
    pub tree: TypeTree,
    pub parts: Vec<ProxPart>,
}

impl ProxFn {
    /// Parts that act on the same leaves, in order.
    pub fn groups(&self) -> Vec<Vec<&ProxPart>> {
        let mut out: Vec<Vec<&ProxPart>> = Vec::new();
        for p in &self.parts {
            match out.iter_mut().find(|g| g.first().is_some_and(|q| q.leaves == p.leaves)) {
                Some(g) => g.push(p),
                None => out.push(vec![p]),
            }
        }
        out
    }

    pub fn has_fact(&self, name: &str) -> bool {
        self.parts.iter().all(|p| p.term.has_fact(name))
    }

    pub fn is_zero(&self) -> bool {
        self.parts.is_empty()
    }

    /// Only sets: an indicator.
    pub fn is_indicator(&self) -> bool {
        self.parts.iter().all(|p| matches!(p.term.kind, TermKind::Indicator(_)))
    }

    /// Why the sum has no closed proximal operator, at the part that breaks it.
    pub fn obstacle(&self) -> Option<(Span, String)> {
        for p in &self.parts {
            if !p.term.has_prox() {
                return Some((p.span, format!("`{}` has no proximal operator", p.term.describe())));
            }
        }
        let groups = self.groups();
        for (k, g) in groups.iter().enumerate() {
            for other in groups.iter().skip(k + 1) {
                if let (Some(a), Some(b)) = (g.first(), other.first())
                    && a.leaves.iter().any(|l| b.leaves.contains(l))
                {
                    return Some((b.span, format!("`{}` and `{}` share a part of the unknown", a.term.describe(), b.term.describe())));
                }
            }
            // One term, then sets: exact where all act entry by entry (a clipped one-dimensional minimizer stays one).
            let terms = g.iter().filter(|p| !matches!(p.term.kind, TermKind::Indicator(_))).count();
            if g.len() > 1 && (terms > 1 || !g.iter().all(|p| p.term.has_fact("separable") && p.affine.is_none())) {
                let names: Vec<String> = g.iter().map(|p| format!("`{}`", p.term.describe())).collect();
                let at = g.last().map(|p| p.span).unwrap_or_default();
                return Some((at, format!("no proximal operator is known for the sum of {}", names.join(" and "))));
            }
        }
        None
    }

    pub fn describe(&self) -> String {
        let names: Vec<String> = self.parts.iter().map(|p| p.term.describe()).collect();
        names.join(" + ")
    }
}

impl Interp<'_> {
    /// A set on the whole unknown as parts, one for each field of a product, and for each side of an intersection that acts entry by entry.
    pub fn set_parts(&self, s: &Arc<SetValue>, tree: &TypeTree, first: usize, span: Span, out: &mut Vec<ProxPart>) {
        match (&s.kind, tree) {
            (SetKind::Meet(a, b), _) if s.has_fact("separable") => {
                self.set_parts(a, tree, first, span, out);
                self.set_parts(b, tree, first, span, out);
            }
            (SetKind::Product(parts), TypeTree::Record(fields)) => {
                let mut at = first;
                for (n, t) in fields {
                    if let Some((_, p)) = parts.iter().find(|(m, _)| m == n) {
                        self.set_parts(p, t, at, span, out);
                    }
                    at += t.leaves().len();
                }
            }
            _ => out.push(ProxPart {
                leaves: (first..first + tree.leaves().len()).collect(),
                tree: tree.clone(),
                term: Arc::new(TermValue { kind: TermKind::Indicator(s.clone()) }),
                scale: None,
                affine: None,
                span,
            }),
        }
    }

    /// The argument that a part sees when the unknown is `leaves`.
    pub fn part_argument(&mut self, p: &ProxPart, leaves: &[Num], span: Span) -> Eval<Value> {
        let picked: Vec<Num> = p.leaves.iter().filter_map(|k| leaves.get(*k).copied()).collect();
        let v = p.tree.build(&mut picked.into_iter()).ok_or(Stop::Poisoned)?;
        match &p.affine {
            None => Ok(v),
            Some((a, b)) => {
                let v = self.arith(BinaryOp::Mul, &Value::Num(*a), &v, span, span, span)?;
                match b {
                    Some(b) => self.arith(BinaryOp::Add, &v, &Value::Num(*b), span, span, span),
                    None => Ok(v),
                }
            }
        }
    }

    /// The value of the proxable part.
    pub fn prox_value(&mut self, h: &ProxFn, x: &Value, span: Span) -> Eval<Num> {
        let leaves = self.leaves(x, span)?;
        let mut total = self.real(0.0)?;
        for p in &h.parts {
            let arg = self.part_argument(p, &leaves, span)?;
            let mut v = self.term_value(&p.term, &arg, span)?;
            if let Some(s) = p.scale {
                v = self.bin(BinaryOp::Mul, s, v, span)?;
            }
            total = self.bin(BinaryOp::Add, total, v, span)?;
        }
        Ok(total)
    }

    /// argmin_x t h(x) + |x - v|^2 / 2.
    pub fn prox_apply(&mut self, h: &ProxFn, v: &Value, t: Num, span: Span) -> Eval<Value> {
        if let Some((at, why)) = h.obstacle() {
            return Err(Diagnostic::error("E3009", at, why).at("this part").into());
        }
        let mut leaves = self.leaves(v, span)?;
        for g in h.groups() {
            // Terms first, then the sets that clip their result.
            let (sets, terms): (Vec<&ProxPart>, Vec<&ProxPart>) =
                g.into_iter().partition(|p| matches!(p.term.kind, TermKind::Indicator(_)));
            for p in terms.into_iter().chain(sets) {
                self.prox_part(p, &mut leaves, t, span)?;
            }
        }
        self.rebuild(v, &leaves, span)
    }

    fn prox_part(&mut self, p: &ProxPart, leaves: &mut [Num], t: Num, span: Span) -> Eval<()> {
        let arg = self.part_argument(p, leaves, span)?;
        let mut step = match p.scale {
            Some(s) => self.bin(BinaryOp::Mul, s, t, span)?,
            None => t,
        };
        // prox of f(a x + b): shift and scale, with the step multiplied by a^2.
        if let Some((a, _)) = p.affine {
            let sq = self.un(UnaryOp::Square, a, span)?;
            step = self.bin(BinaryOp::Mul, sq, step, span)?;
        }
        let mut out = self.term_prox(&p.term, &arg, step, span)?;
        if let Some((a, b)) = &p.affine {
            if let Some(b) = b {
                out = self.arith(BinaryOp::Sub, &out, &Value::Num(*b), span, span, span)?;
            }
            out = self.arith(BinaryOp::Div, &out, &Value::Num(*a), span, span, span)?;
        }
        let new = self.leaves(&out, span)?;
        for (k, n) in p.leaves.iter().zip(new) {
            if let Some(slot) = leaves.get_mut(*k) {
                if self.ty(*slot).shape != self.ty(n).shape {
                    return Err(Diagnostic::error(
                        "E3013",
                        p.span,
                        format!("the proximal operator of `{}` changes the shape `{}` to `{}`", p.term.describe(), self.ty(*slot), self.ty(n)),
                    )
                    .into());
                }
                *slot = n;
            }
        }
        Ok(())
    }
}
