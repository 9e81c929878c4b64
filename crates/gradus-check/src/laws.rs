//! Laws: equations between patterns.

use crate::scope::What;
use crate::walker::{Unresolved, Walker};
use gradus_syntax::ast::{Expr, ExprKind, LawDecl};

impl<'a> Walker<'a> {
    /// Where a law names its variables, nothing else may be unknown. Where it does not, unknown names are its
    /// variables: those of the left side and the conditions stand for anything, the right side must do with them.
    pub fn law(&mut self, law: &'a LawDecl) {
        self.scoped(|w| {
            w.params(&law.params);
            if !law.params.is_empty() {
                w.expr(&law.lhs);
                law.conditions.iter().for_each(|c| w.law_condition(c));
                w.expr(&law.rhs);
                return;
            }
            let collected = w.with_unresolved(Unresolved::Collect(Vec::new()), |w| {
                w.expr(&law.lhs);
                law.conditions.iter().for_each(|c| w.law_condition(c));
            });
            if let Unresolved::Collect(names) = collected {
                for name in names {
                    if w.scopes.here(name).is_none() {
                        w.scopes.define(name, None, What::Bound, None);
                    }
                }
            }
            w.expr(&law.rhs);
        });
    }

    /// `convex(f)` names a fact: of such only the arguments are expressions.
    fn law_condition(&mut self, e: &'a Expr) {
        match &*e.kind {
            ExprKind::Call(callee, args) if matches!(&*callee.kind, ExprKind::Name(id) if !self.is_known(&id.name)) => {
                args.iter().for_each(|a| self.expr(&a.value));
            }
            _ => self.expr(e),
        }
    }
}
