//! Rules and methods: states, the implicit names around them, and what may be assigned.

use crate::diagnostics as say;
use crate::expr::QUANTITIES;
use crate::scope::What;
use crate::types::Dims;
use crate::walker::Walker;
use gradus_syntax::ast::{Expr, Ident, MethodDecl, Prelude, RuleDecl, StepStmt};
use gradus_syntax::nearest;

impl<'a> Walker<'a> {
    pub fn rule(&mut self, rule: &'a RuleDecl) {
        self.scopes.push();
        self.define_implicit(&["t", "x"]);
        self.scoped(|w| {
            w.params(&rule.params);
            w.define(&rule.gradient, What::Bound);
            w.scoped(|w| {
                for (name, init) in &rule.states {
                    w.state(name, init);
                }
                w.steps(&rule.body, true);
            });
        });
        self.scopes.pop();
    }

    pub fn method(&mut self, method: &'a MethodDecl) {
        self.scopes.push();
        self.define_implicit(QUANTITIES);
        self.define_implicit(&["start"]);
        self.scoped(|w| {
            w.params(&method.params);
            let form = &method.form;
            let parts = [Some(&form.unknown), form.set.as_ref(), Some(&form.smooth), form.prox.as_ref(), form.rest.as_ref(), form.map.as_ref(), form.constraints.as_ref()];
            parts.into_iter().flatten().for_each(|part| w.define(part, What::Unknown));
            if let Some(l) = &form.lower {
                let parts = [Some(&l.unknown), l.set.as_ref(), Some(&l.objective), l.constraints.as_ref()];
                parts.into_iter().flatten().for_each(|part| w.define(part, What::Unknown));
            }
            for (part, facts) in &method.requires {
                w.name(part);
                facts.iter().flat_map(|f| &f.args).for_each(|e| w.expr(e));
            }
            w.scoped(|w| {
                for line in &method.prelude {
                    match line {
                        Prelude::State(name, init) => w.state(name, init),
                        Prelude::Let(pattern, ty, value) => {
                            w.expr(value);
                            ty.iter().for_each(|t| w.type_expr(t, Dims::Bind));
                            w.define_pattern(pattern, What::Let, None);
                        }
                    }
                }
                w.steps(&method.step, false);
                method.stop.iter().chain(&method.certificate).chain(&method.result).for_each(|e| w.expr(e));
            });
        });
        self.scopes.pop();
    }

    fn state(&mut self, name: &'a Ident, init: &'a Expr) {
        self.expr(init);
        match self.scopes.here(&name.name).map(|b| (b.what, b.span)) {
            Some((What::State, first)) => self.report(say::state_twice(&name.name, first, name.span)),
            _ => self.define(name, What::State),
        }
    }

    fn steps(&mut self, body: &'a [StepStmt], rule: bool) {
        for line in body {
            match line {
                StepStmt::Let(pattern, ty, value) => {
                    self.expr(value);
                    ty.iter().for_each(|t| self.type_expr(t, Dims::Bind));
                    self.define_pattern(pattern, What::Let, None);
                }
                StepStmt::Assign(name, value) => {
                    self.expr(value);
                    self.assigned(name, rule);
                }
                StepStmt::Step(e) => self.expr(e),
            }
        }
    }

    /// Only states change.
    fn assigned(&mut self, name: &'a Ident, rule: bool) {
        let (is, definition) = match self.scopes.get(&name.name) {
            Some(b) => match b.what {
                What::State => return,
                What::Implicit if rule && &*name.name == "x" => {
                    self.report(say::unknown_moved(name));
                    return;
                }
                What::Implicit => ("set by the solver", None),
                What::Parameter => ("a parameter", b.span),
                What::Let => ("a value named by `let`", b.span),
                What::Unknown => ("a part of the problem", b.span),
                What::Bound => ("the gradient", b.span),
                What::Dimension => ("a dimension", b.span),
                _ => ("defined outside", b.span),
            },
            None => ("not declared", None),
        };
        let states = self.scopes.visible().filter(|b| matches!(b.what, What::State)).map(|b| b.name);
        let near = nearest(&name.name, states).filter(|_| definition.is_none());
        let d = say::not_a_state(name, is, near, definition);
        self.report(d);
    }
}
