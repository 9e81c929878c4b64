//! The names of distributions and strategies, which in their place come before functions of the same name.

use super::{Dist, DistDecl};
use crate::env::Env;
use crate::interp::Interp;
use crate::value::{Eval, Value};
use gradus_syntax::ast::Expr;
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// Where the library declares distributions, and how expectations over them are estimated.
pub const CHANCES: &[&str] =
    &["dists/samplers", "dists/continuous", "dists/positive", "dists/discrete", "dists/multivariate", "strategies"];

impl Interp<'_> {
    /// A name of the script, else a distribution or strategy of the library.
    pub(crate) fn find_chance(&mut self, module: usize, name: &str, span: Span) -> Eval<Option<Value>> {
        if let Some(v) = self.modules.get(module).and_then(|m| m.names.get(name)) {
            return Ok(Some(v.clone()));
        }
        // All are loaded together: they use each other's helpers.
        let mut found = None;
        for library in CHANCES {
            let k = self.library_module(library, span)?;
            let v = self.modules.get(k).and_then(|m| m.names.get(name));
            found = found.or_else(|| v.cloned());
        }
        Ok(found)
    }

    /// A strategy of the library.
    pub(super) fn library_strategy(&mut self, name: &str, span: Span) -> Eval<Value> {
        match self.find_chance(usize::MAX, name, span)? {
            Some(v) => Ok(v),
            None => Err(Diagnostic::error("E9005", span, format!("the library has no strategy `{name}`")).into()),
        }
    }

    /// The text of a distribution.
    pub(crate) fn eval_dist(&mut self, e: &Expr, env: &Env) -> Eval<Value> {
        self.eval(e, &env.for_chances())
    }

    /// The value as a distribution; one that is declared without parameters, or with defaults for all, needs no call.
    pub(crate) fn as_dist(&mut self, v: &Value, span: Span) -> Eval<Arc<Dist>> {
        match v {
            Value::Dist(d) => Ok(d.clone()),
            Value::DistDecl(d) => self.apply_dist(d, &[], span),
            Value::Poison => Err(crate::value::Stop::Poisoned),
            other => Err(Diagnostic::error("E4002", span, format!("expected a distribution, found {}", other.kind()))
                .at(format!("this is {}", other.kind()))
                .help("for example `normal(0, 1)`, `bernoulli(0.3)`, a `model` or `guide` with its arguments, or `minibatch((X, Y), 128)`")
                .into()),
        }
    }

    /// `normal(mu, sigma)`: the distribution with these parameters.
    pub(crate) fn apply_dist(&mut self, d: &Arc<DistDecl>, args: &[crate::value::CallArg], span: Span) -> Eval<Arc<Dist>> {
        let (params, env, name) = match &**d {
            DistDecl::Dist { decl, env } => (&decl.params, env, &decl.name.name),
            DistDecl::Model { decl, env } => (&decl.params, env, &decl.name.name),
        };
        let (scope, bound) = self.bind_params(params, args, env, name, span)?;
        Ok(Arc::new(match &**d {
            DistDecl::Dist { decl, .. } => Dist::Declared { decl: decl.clone(), scope, bound },
            DistDecl::Model { decl, .. } => Dist::Model { decl: decl.clone(), scope },
        }))
    }
}
