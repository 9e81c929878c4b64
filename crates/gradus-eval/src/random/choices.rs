//! The lines of a model: scopes, and sites with their distributions.

use super::dist::Dist;
use crate::env::Env;
use crate::interp::Interp;
use crate::value::Eval;
use gradus_ir::Shape;
use gradus_syntax::ast::{Expr, Ident, ModelDecl, ModelStmt};
use gradus_syntax::Diagnostic;
use std::sync::Arc;

/// A random choice of a model.
pub struct Site {
    pub name: Ident,
    pub dist: Arc<Dist>,
    pub strategy: Option<Expr>,
}

/// What a line of a model gives.
pub enum Line {
    Scope(Env),
    Site(Site),
}

/// The names of the choices, in order.
pub fn site_names(decl: &ModelDecl) -> Vec<&Ident> {
    decl.body
        .iter()
        .filter_map(|s| match s {
            ModelStmt::Sample { name, .. } => Some(name),
            _ => None,
        })
        .collect()
}

impl Interp<'_> {
    /// What a model says that this release does not run. Told once, where it is declared.
    pub(crate) fn check_model(&self, decl: &ModelDecl) -> Option<Diagnostic> {
        for st in &decl.body {
            match st {
                ModelStmt::Let(..) | ModelStmt::Sample { .. } => {}
                ModelStmt::For { var, .. } => {
                    return Some(
                        Diagnostic::error("E4018", var.span, "a loop in a model is not in this release")
                            .at("this loop")
                            .help("make independent copies with a plate: `x ~ normal(mu, 1) [n]`"),
                    );
                }
                ModelStmt::Return(e) => {
                    return Some(
                        Diagnostic::error("E4018", e.span, "`return` in a model is not in this release")
                            .at("the value of a model is the record of its choices")
                            .help("compute it from the record: `expect z ~ q of f(z.mu)`"),
                    );
                }
            }
        }
        None
    }

    pub(super) fn model_line(&mut self, st: &ModelStmt, env: &Env) -> Eval<Line> {
        match st {
            ModelStmt::Let(p, ty, e) => Ok(Line::Scope(self.eval_let(p, ty.as_ref(), e, env)?)),
            ModelStmt::Sample { name, dist, plates, strategy } => {
                let old = self.at(dist.span);
                let site = self.site(name, dist, plates, strategy, env);
                self.tracer.origin = old;
                site.map(Line::Site)
            }
            // Told where the model is declared.
            ModelStmt::For { .. } | ModelStmt::Return(_) => Err(crate::value::Stop::Poisoned),
        }
    }

    fn site(&mut self, name: &Ident, dist: &Expr, plates: &[Expr], strategy: &Option<Expr>, env: &Env) -> Eval<Site> {
        let v = self.eval_dist(dist, env)?;
        let mut d = self.as_dist(&v, dist.span)?;
        if !plates.is_empty() {
            if d.declared().is_none() {
                return Err(Diagnostic::error("E4019", dist.span, format!("no copies of {} in this release", d.kind()))
                    .at("this is not one number or array")
                    .help("give its own choices plates")
                    .into());
            }
            let mut shape = Shape::scalar();
            for p in plates {
                shape.0.push(self.dim_of(p, env)?);
            }
            d = Arc::new(Dist::Plates { of: d, plates: shape });
        }
        Ok(Site { name: name.clone(), dist: d, strategy: strategy.clone() })
    }

}
