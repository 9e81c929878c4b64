//! Parameter trees: records and lists of arrays, worked on leaf by leaf.

use crate::interp::Interp;
use crate::value::{Eval, Num, Typed, Value};
use gradus_ir::{Op, Ty, UnaryOp};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// Run one level of a walk over a tree. A recursive function of the script can nest a tree deeper than any stack holds.
pub fn level<T>(walk: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, walk)
}

/// The structure of a tree, with the type of each leaf.
#[derive(Clone)]
pub enum TypeTree {
    Leaf(Ty),
    Record(Vec<(Arc<str>, TypeTree)>),
    List(Vec<TypeTree>),
    Typed(Arc<crate::value::TypeValue>, Box<TypeTree>),
}

impl TypeTree {
    pub fn leaves(&self) -> Vec<Ty> {
        let mut out = Vec::new();
        self.collect(&mut out);
        out
    }

    fn collect(&self, out: &mut Vec<Ty>) {
        level(|| match self {
            TypeTree::Leaf(t) => out.push(t.clone()),
            TypeTree::Record(f) => f.iter().for_each(|(_, t)| t.collect(out)),
            TypeTree::List(l) => l.iter().for_each(|t| t.collect(out)),
            TypeTree::Typed(_, t) => t.collect(out),
        })
    }

    /// A tree of this structure with the given leaves.
    pub fn build(&self, leaves: &mut dyn Iterator<Item = Num>) -> Option<Value> {
        level(|| self.build_level(leaves))
    }

    fn build_level(&self, leaves: &mut dyn Iterator<Item = Num>) -> Option<Value> {
        Some(match self {
            TypeTree::Leaf(_) => Value::Num(leaves.next()?),
            TypeTree::Record(f) => {
                let mut fields = Vec::with_capacity(f.len());
                for (n, t) in f {
                    fields.push((n.clone(), t.build(leaves)?));
                }
                Value::record(fields)
            }
            TypeTree::List(l) => {
                let mut items = Vec::with_capacity(l.len());
                for t in l {
                    items.push(t.build(leaves)?);
                }
                Value::list(items)
            }
            TypeTree::Typed(ty, t) => Value::Typed(Arc::new(Typed { ty: ty.clone(), value: t.build(leaves)? })),
        })
    }

    /// How messages name it.
    pub fn describe(&self) -> String {
        level(|| self.describe_level())
    }

    fn describe_level(&self) -> String {
        match self {
            TypeTree::Leaf(t) => t.to_string(),
            TypeTree::Record(f) => {
                let fields: Vec<String> = f.iter().map(|(n, t)| format!("{n}: {}", t.describe())).collect();
                format!("{{{}}}", fields.join(", "))
            }
            TypeTree::List(l) => {
                let items: Vec<String> = l.iter().map(TypeTree::describe).collect();
                format!("({})", items.join(", "))
            }
            TypeTree::Typed(ty, _) => ty.decl.name.name.to_string(),
        }
    }
}

impl Interp<'_> {
    /// The leaves of a tree in order. Anything that is no number is an error at `span`.
    pub fn leaves(&self, v: &Value, span: Span) -> Eval<Vec<Num>> {
        let mut out = Vec::new();
        self.collect_leaves(v, span, &mut out)?;
        Ok(out)
    }

    fn collect_leaves(&self, v: &Value, span: Span, out: &mut Vec<Num>) -> Eval<()> {
        level(|| self.collect_level(v, span, out))
    }

    fn collect_level(&self, v: &Value, span: Span, out: &mut Vec<Num>) -> Eval<()> {
        match v {
            Value::Num(n) => out.push(*n),
            Value::Record(f) => {
                for (_, x) in f.iter() {
                    self.collect_leaves(x, span, out)?;
                }
            }
            Value::List(l) => {
                for x in l.iter() {
                    self.collect_leaves(x, span, out)?;
                }
            }
            Value::Typed(t) => self.collect_leaves(&t.value, span, out)?,
            other => return Err(self.not_numeric(other, span)),
        }
        Ok(())
    }

    pub fn not_numeric(&self, v: &Value, span: Span) -> crate::value::Stop {
        if let Value::Poison = v {
            return crate::value::Stop::Poisoned;
        }
        Diagnostic::error("E1202", span, format!("expected a number, an array or a tree of them, found {}", v.kind()))
            .at(format!("this is {}", v.kind()))
            .into()
    }

    /// The structure and leaf types of a tree.
    pub fn type_tree(&self, v: &Value, span: Span) -> Eval<TypeTree> {
        level(|| self.type_level(v, span))
    }

    fn type_level(&self, v: &Value, span: Span) -> Eval<TypeTree> {
        Ok(match v {
            Value::Num(n) => TypeTree::Leaf(self.ty(*n)),
            Value::Record(f) => TypeTree::Record(
                f.iter().map(|(n, x)| Ok((n.clone(), self.type_tree(x, span)?))).collect::<Eval<_>>()?,
            ),
            Value::List(l) => TypeTree::List(l.iter().map(|x| self.type_tree(x, span)).collect::<Eval<_>>()?),
            Value::Typed(t) => TypeTree::Typed(t.ty.clone(), Box::new(self.type_tree(&t.value, span)?)),
            other => return Err(self.not_numeric(other, span)),
        })
    }

    /// The same structure with other leaves.
    pub fn rebuild(&self, like: &Value, leaves: &[Num], span: Span) -> Eval<Value> {
        let tree = self.type_tree(like, span)?;
        tree.build(&mut leaves.iter().copied()).ok_or_else(|| {
            Diagnostic::error("E9004", span, "internal error: a tree lost a leaf").into()
        })
    }

    /// A tree of that structure, filled with one number.
    pub(crate) fn filled_like(&mut self, v: &Value, value: f64, span: Span) -> Eval<Value> {
        self.map_tree(v, span, &mut |s, n| {
            let c = s.real(value)?;
            let shape = s.ty(n).shape;
            s.emit(Op::Broadcast(shape), &[c], span)
        })
    }

    /// The tree, which counts as constant for derivatives.
    pub(crate) fn held_still(&mut self, v: &Value, span: Span) -> Eval<Value> {
        self.map_tree(v, span, &mut |s, n| s.un(UnaryOp::StopGrad, n, span))
    }

    /// Apply `f` to every leaf.
    pub fn map_tree(&mut self, v: &Value, span: Span, f: &mut dyn FnMut(&mut Self, Num) -> Eval<Num>) -> Eval<Value> {
        level(|| self.map_level(v, span, f))
    }

    fn map_level(&mut self, v: &Value, span: Span, f: &mut dyn FnMut(&mut Self, Num) -> Eval<Num>) -> Eval<Value> {
        Ok(match v {
            Value::Num(n) => Value::Num(f(self, *n)?),
            Value::Record(r) => {
                let mut out = Vec::with_capacity(r.len());
                for (n, x) in r.iter() {
                    out.push((n.clone(), self.map_tree(x, span, f)?));
                }
                Value::record(out)
            }
            Value::List(l) => {
                let mut out = Vec::with_capacity(l.len());
                for x in l.iter() {
                    out.push(self.map_tree(x, span, f)?);
                }
                Value::list(out)
            }
            Value::Typed(t) => {
                Value::Typed(Arc::new(Typed { ty: t.ty.clone(), value: self.map_tree(&t.value, span, f)? }))
            }
            other => return Err(self.not_numeric(other, span)),
        })
    }

    /// Apply `f` to leaves that stand at the same place; a lone number goes with every leaf of the other tree.
    pub fn zip_tree(
        &mut self,
        a: &Value,
        b: &Value,
        span: Span,
        f: &mut dyn FnMut(&mut Self, Num, Num) -> Eval<Num>,
    ) -> Eval<Value> {
        level(|| self.zip_level(a, b, span, f))
    }

    fn zip_level(
        &mut self,
        a: &Value,
        b: &Value,
        span: Span,
        f: &mut dyn FnMut(&mut Self, Num, Num) -> Eval<Num>,
    ) -> Eval<Value> {
        match (a, b) {
            (Value::Num(x), Value::Num(y)) => Ok(Value::Num(f(self, *x, *y)?)),
            (Value::Typed(t), Value::Typed(u)) => {
                let value = self.zip_tree(&t.value, &u.value, span, f)?;
                Ok(Value::Typed(Arc::new(Typed { ty: t.ty.clone(), value })))
            }
            (Value::Typed(t), other) => {
                let value = self.zip_tree(&t.value, other, span, f)?;
                Ok(Value::Typed(Arc::new(Typed { ty: t.ty.clone(), value })))
            }
            (other, Value::Typed(t)) => {
                let value = self.zip_tree(other, &t.value, span, f)?;
                Ok(Value::Typed(Arc::new(Typed { ty: t.ty.clone(), value })))
            }
            (Value::Num(x), tree @ (Value::Record(_) | Value::List(_))) => {
                let x = *x;
                self.map_tree(tree, span, &mut |s, y| f(s, x, y))
            }
            (tree @ (Value::Record(_) | Value::List(_)), Value::Num(y)) => {
                let y = *y;
                self.map_tree(tree, span, &mut |s, x| f(s, x, y))
            }
            (Value::Record(r), Value::Record(q)) => {
                if r.len() != q.len() {
                    return Err(self.trees_differ(a, b, span));
                }
                let mut out = Vec::with_capacity(r.len());
                for (n, x) in r.iter() {
                    let Some(y) = b.field(n) else { return Err(self.trees_differ(a, b, span)) };
                    out.push((n.clone(), self.zip_tree(x, y, span, f)?));
                }
                Ok(Value::record(out))
            }
            (Value::List(p), Value::List(q)) if p.len() == q.len() => {
                let mut out = Vec::with_capacity(p.len());
                for (x, y) in p.iter().zip(q.iter()) {
                    out.push(self.zip_tree(x, y, span, f)?);
                }
                Ok(Value::list(out))
            }
            (Value::Record(_) | Value::List(_), Value::Record(_) | Value::List(_)) => Err(self.trees_differ(a, b, span)),
            (Value::Num(_) | Value::Record(_) | Value::List(_), other) => Err(self.not_numeric(other, span)),
            (other, _) => Err(self.not_numeric(other, span)),
        }
    }

    fn trees_differ(&self, a: &Value, b: &Value, span: Span) -> crate::value::Stop {
        let describe = |v: &Value| self.type_tree(v, span).map(|t| t.describe()).unwrap_or_else(|_| v.kind().into());
        Diagnostic::error("E2008", span, "the two trees do not have the same fields")
            .at(format!("`{}` against `{}`", describe(a), describe(b)))
            .into()
    }
}
