//! Types: their names, their dimensions, and the dimensions they bind.

use crate::diagnostics as say;
use crate::known::{Kind, KnownName};
use crate::scope::What;
use crate::walker::{Unresolved, Walker};
use gradus_syntax::ast::{Expr, ExprKind, Ident, TypeExpr, TypeKind};
use gradus_syntax::nearest;

/// Names that are types without a declaration.
pub const TYPE_NAMES: &[&str] = &[
    "real", "int", "bool", "string", "key", "any", "tree", "list", "schedule", "rule", "method", "set", "term", "fn", "type",
    "problem",
];

/// Types whose brackets hold dimensions; those of other types hold arguments.
const ARRAY_ELEMENTS: &[&str] = &["real", "int", "bool"];

/// What a name in a dimension does when nothing is bound to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dims {
    /// It is bound to the length of that axis.
    Bind,
    /// It must be known.
    Known,
}

impl<'a> Walker<'a> {
    pub fn type_expr(&mut self, ty: &'a TypeExpr, dims: Dims) {
        crate::visit::deep(|| self.type_kind(ty, dims));
    }

    fn type_kind(&mut self, ty: &'a TypeExpr, dims: Dims) {
        match &*ty.kind {
            TypeKind::Name(id) => {
                self.type_name(id);
            }
            TypeKind::Array(base, lengths) => match &*base.kind {
                TypeKind::Name(id) if ARRAY_ELEMENTS.contains(&&*id.name) => {
                    lengths.iter().for_each(|e| self.dimension(e, dims));
                }
                TypeKind::Name(id) => {
                    let known = self.type_name(id);
                    lengths.iter().for_each(|e| self.expr(e));
                    if let Some(known) = known {
                        self.type_arguments(known, ty, lengths);
                    }
                }
                _ => {
                    self.type_expr(base, dims);
                    lengths.iter().for_each(|e| self.dimension(e, dims));
                }
            },
            TypeKind::Record(fields) => {
                for (k, (name, field)) in fields.iter().enumerate() {
                    if let Some((first, _)) = fields[..k].iter().find(|(n, _)| n.name == name.name) {
                        self.report(say::field_twice(&name.name, first.span, name.span));
                    }
                    self.type_expr(field, dims);
                }
            }
            TypeKind::Tuple(parts) => parts.iter().for_each(|t| self.type_expr(t, dims)),
            TypeKind::List { body, pattern, over } => {
                self.expr(over);
                self.scoped(|w| {
                    w.define_pattern(pattern, What::Bound, None);
                    w.type_expr(body, dims);
                });
            }
            TypeKind::Fn(from, to) => {
                self.type_expr(from, dims);
                self.type_expr(to, dims);
            }
            TypeKind::SetOf(t) | TypeKind::DistOf(t) => self.type_expr(t, dims),
            TypeKind::Error => self.broken += 1,
        }
    }

    /// One length in `real[n, d + 1]`. A name that stands alone may be bound here, one in a computation must be known.
    fn dimension(&mut self, e: &'a Expr, dims: Dims) {
        match &*e.kind {
            ExprKind::Name(id) if *id.name == *"_" => {}
            ExprKind::Name(id) if dims == Dims::Bind && !self.is_known(&id.name) => self.define(id, What::Dimension),
            ExprKind::Name(id) if dims == Dims::Bind => {
                // Even one that is a value of the top level further down: its own axis comes first.
                if let Some(binding) = self.scopes.get_mut(&id.name) {
                    binding.used = true;
                }
            }
            _ => self.expr(e),
        }
    }

    /// Resolves the name of a type; what is known about a declared one.
    fn type_name(&mut self, id: &'a Ident) -> Option<&'a KnownName> {
        if TYPE_NAMES.contains(&&*id.name) {
            return None;
        }
        let found = match self.scopes.get_mut(&id.name) {
            Some(binding) => {
                binding.used = true;
                match binding.what {
                    What::Declared(known) | What::Imported(Some(known)) => Some(known),
                    // A value, a parameter of a type or a name of a file that is not known: the evaluator will see.
                    _ => return None,
                }
            }
            None => self.builtin(&id.name),
        };
        match found {
            Some(known) if known.kind == Kind::Type => Some(known),
            Some(known) => {
                if self.told.insert(&id.name) {
                    self.report(say::not_a_type(id, known.kind));
                }
                None
            }
            None => {
                self.unknown_type(id);
                None
            }
        }
    }

    fn unknown_type(&mut self, id: &'a Ident) {
        let module = self.known.modules.iter().any(|m| m.names.iter().any(|n| n.name == id.name && n.kind == Kind::Type));
        if module {
            // Says which `use` it needs.
            self.name(id);
            return;
        }
        if self.unresolved != Unresolved::Report || !self.told.insert(&id.name) {
            return;
        }
        let declared = self.scopes.visible().filter(|b| {
            matches!(b.what, What::Declared(k) | What::Imported(Some(k)) if k.kind == Kind::Type)
        });
        let builtin = self.known.names.iter().filter(|n| n.kind == Kind::Type).map(|n| &*n.name);
        let near = nearest(&id.name, declared.map(|b| b.name).chain(builtin).chain(TYPE_NAMES.iter().copied()));
        if self.patchy && near.is_none() {
            return;
        }
        let d = say::unknown_type(id, near);
        self.report(d);
    }
}
