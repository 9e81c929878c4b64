//! Expressions.

use crate::diagnostics as say;
use crate::known::Kind;
use crate::scope::What;
use crate::types::Dims;
use crate::walker::{Resolved, Unresolved, Walker};
use gradus_syntax::ast::*;
use gradus_syntax::{Span, nearest};

/// What a running solve tells its `until` and `stop when`.
pub(crate) const QUANTITIES: &[&str] = &["value", "steps", "time", "gap", "kkt", "residual", "change"];

/// What else a certificate may speak of.
const CERTIFIED: &[&str] = &["feasible", "certificate"];

/// The fields that every solution has besides its unknowns.
pub(crate) const SOLUTION_FIELDS: &[&str] =
    &["value", "status", "steps", "trace", "gap", "kkt", "residual", "certificate", "method", "why", "dual", "active"];

/// Words of a `diff` clause.
const DERIVATIVES: &[&str] = &["implicit", "unroll", "none"];

impl<'a> Walker<'a> {
    pub fn expr(&mut self, e: &'a Expr) {
        crate::visit::deep(|| self.expr_kind(e));
    }

    fn exprs(&mut self, list: &'a [Expr]) {
        list.iter().for_each(|e| self.expr(e));
    }

    fn expr_kind(&mut self, e: &'a Expr) {
        match &*e.kind {
            ExprKind::Real(_) | ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::Str(_) => {}
            ExprKind::Name(id) => {
                self.name(id);
            }
            ExprKind::Field(base, name) => {
                self.field(base, name);
            }
            ExprKind::Call(callee, args) => self.call(e, callee, args, false),
            ExprKind::Index(base, indices) => {
                self.expr(base);
                for index in indices {
                    match index {
                        Index::At(e) => self.expr(e),
                        Index::Slice { from, to, .. } => from.iter().chain(to).for_each(|e| self.expr(e)),
                        Index::NewAxis(_) => {}
                    }
                }
            }
            ExprKind::Unary(_, a) | ExprKind::Transpose(a) | ExprKind::Budget(_, a, _) => self.expr(a),
            ExprKind::Binary(op, a, b) => {
                // Around `|>`, `after` and ` . ` functions and rules may still wait for an argument.
                let partial = matches!(op, BinaryOp::Pipe | BinaryOp::After | BinaryOp::Compose);
                self.operand(a, partial);
                self.operand(b, partial);
            }
            ExprKind::Compare(parts, _) | ExprKind::Tuple(parts) | ExprKind::List(parts) => self.exprs(parts),
            ExprKind::Range { from, to, .. } => {
                self.expr(from);
                self.expr(to);
            }
            ExprKind::Comprehension { body, clauses, filter } => self.scoped(|w| {
                for (pattern, over) in clauses {
                    w.expr(over);
                    w.define_pattern(pattern, What::Bound, None);
                }
                w.unsurely(|w| {
                    filter.iter().for_each(|e| w.expr(e));
                    w.expr(body);
                });
            }),
            ExprKind::Record(fields) => self.record(fields),
            ExprKind::Block(stmts, value) => self.scoped(|w| {
                w.blocks.push(stmts);
                stmts.iter().for_each(|s| w.block_stmt(s));
                w.blocks.pop();
                w.expr(value);
            }),
            ExprKind::LetIn(pattern, ty, value, body) => {
                self.expr(value);
                self.scoped(|w| {
                    ty.iter().for_each(|t| w.type_expr(t, Dims::Bind));
                    w.define_pattern(pattern, What::Let, None);
                    w.expr(body);
                });
            }
            ExprKind::Lambda(lambda) => {
                // The body runs when it is called: by then values from further down may be there.
                let at = self.at.take();
                self.unsurely(|w| {
                    w.scoped(|w| {
                        w.params(&lambda.params);
                        w.expr(&lambda.body);
                    });
                });
                self.at = at;
            }
            ExprKind::If(c, a, b) => {
                self.expr(c);
                self.unsurely(|w| {
                    w.expr(a);
                    w.expr(b);
                });
            }
            ExprKind::For { var, over, state, init, body } | ExprKind::Scan { var, over, state, init, body } => {
                self.expr(over);
                self.expr(init);
                self.scoped(|w| {
                    w.define_pattern(var, What::Bound, None);
                    w.define_pattern(state, What::Bound, None);
                    w.expr(body);
                });
            }
            ExprKind::While { cond, state, init, limit, body } => {
                self.expr(init);
                limit.iter().for_each(|e| self.expr(e));
                self.scoped(|w| {
                    w.define_pattern(state, What::Bound, None);
                    w.expr(cond);
                    w.expr(body);
                });
            }
            ExprKind::Optimize(o) => self.optimize(o),
            ExprKind::Find(f) => self.scoped(|w| {
                w.unknowns(&f.unknowns);
                w.expr(&f.operator);
                w.iteration(&f.clauses);
            }),
            ExprKind::Fix(f) => {
                self.expr(&f.init);
                self.scoped(|w| {
                    w.define_pattern(&f.unknown, What::Unknown, None);
                    w.expr(&f.body);
                    w.iteration(&f.clauses);
                });
            }
            ExprKind::Expect(x) => {
                self.random(&x.dist);
                x.strategy.iter().for_each(|s| self.random(s));
                self.scoped(|w| {
                    w.define_pattern(&x.pattern, What::Bound, None);
                    w.expr(&x.body);
                });
            }
            ExprKind::Solve(s) => self.solve(s),
            ExprKind::Error => self.broken += 1,
        }
    }

    fn operand(&mut self, e: &'a Expr, partial: bool) {
        match &*e.kind {
            ExprKind::Call(callee, args) if partial => self.call(e, callee, args, true),
            _ => self.expr(e),
        }
    }

    fn record(&mut self, fields: &'a [(Ident, Option<Expr>)]) {
        for (k, (name, value)) in fields.iter().enumerate() {
            if let Some((first, _)) = fields[..k].iter().find(|(n, _)| n.name == name.name) {
                self.report(say::field_twice(&name.name, first.span, name.span));
            }
            match value {
                Some(e) => self.expr(e),
                None => {
                    self.name(name);
                }
            }
        }
    }

    // ---- fields and calls

    /// `e.name`; where `e` is a module, the name must be in it.
    fn field(&mut self, base: &'a Expr, name: &'a Ident) -> Resolved<'a> {
        let ExprKind::Name(id) = &*base.kind else {
            self.expr(base);
            return Resolved::Value;
        };
        let Resolved::Module(Some(module)) = self.name(id) else { return Resolved::Value };
        match module.names.iter().find(|n| n.name == name.name) {
            Some(known) => Resolved::Named(known, None),
            None => {
                self.not_in_module(name, module);
                Resolved::Nothing
            }
        }
    }

    pub fn not_in_module(&mut self, name: &'a Ident, module: &'a crate::KnownModule) {
        let near = nearest(&name.name, module.names.iter().map(|n| &*n.name));
        let elsewhere =
            self.known.modules.iter().find(|m| m.names.iter().any(|n| n.name == name.name)).map(|m| &*m.name);
        let d = say::not_in_module(name, &module.name, near, elsewhere);
        self.report(d);
    }

    fn call(&mut self, whole: &'a Expr, callee: &'a Expr, args: &'a [Arg], partial: bool) {
        let resolved = match &*callee.kind {
            // States of a running method are no functions: what is called must be known even in `until`.
            ExprKind::Name(id) if self.unresolved == Unresolved::Leave => {
                let mut resolved = Resolved::Nothing;
                self.with_unresolved(Unresolved::Report, |w| resolved = w.name(id));
                resolved
            }
            ExprKind::Name(id) => self.name(id),
            ExprKind::Field(base, name) => self.field(base, name),
            _ => {
                self.expr(callee);
                Resolved::Value
            }
        };
        let of_dist = match &*callee.kind {
            ExprKind::Name(id) => self.scopes.get(&id.name).is_none() && self.known.of_dist.contains(&id.name),
            _ => false,
        };
        let params = match &resolved {
            Resolved::Named(known, _) => known.params.as_deref().unwrap_or_default(),
            _ => &[],
        };
        for (k, a) in args.iter().enumerate() {
            let param = match &a.name {
                Some(n) => params.iter().find(|p| p.name == n.name),
                None => params.get(k),
            };
            let dist = of_dist && k == 0 || param.is_some_and(|p| p.dist);
            if dist { self.random(&a.value) } else { self.expr(&a.value) }
        }
        if let Resolved::Named(known, decl) = resolved {
            if known.kind == Kind::Function && !partial {
                self.note_call(known, decl, whole.span);
            }
            self.arguments(known, decl, args, whole.span, partial);
        }
    }

    // ---- binders

    fn optimize(&mut self, o: &'a Optimize) {
        self.scoped(|w| {
            w.unknowns(&o.unknowns);
            w.expr(&o.objective);
            let mut names: Vec<(&str, Span)> = Vec::new();
            for constraint in &o.constraints {
                if let Some(id) = &constraint.name {
                    match names.iter().find(|(n, _)| *n == &*id.name) {
                        Some((_, first)) => w.report(say::constraint_twice(&id.name, *first, id.span)),
                        None => names.push((&id.name, id.span)),
                    }
                }
                w.expr(&constraint.expr);
            }
            w.clauses(&o.clauses);
        });
    }

    /// Unknowns with their types and sets; a set may depend on the unknowns before it.
    fn unknowns(&mut self, unknowns: &'a [Unknown]) {
        for u in unknowns {
            u.ty.iter().for_each(|t| self.type_expr(t, Dims::Bind));
            u.set.iter().for_each(|s| self.expr(s));
            self.define(&u.name, What::Unknown);
        }
    }

    /// `by …` and `diff …` of a binder.
    fn clauses(&mut self, clauses: &'a Clauses) {
        clauses.by.iter().for_each(|e| self.expr(e));
        self.derivative(clauses);
    }

    /// The same of `find` and `fix`, whose iterations are functions with their first arguments left out.
    fn iteration(&mut self, clauses: &'a Clauses) {
        if let Some(e) = &clauses.by {
            match &*e.kind {
                ExprKind::Call(callee, args) => self.call(e, callee, args, true),
                _ => self.expr(e),
            }
        }
        self.derivative(clauses);
    }

    fn derivative(&mut self, clauses: &'a Clauses) {
        if let Some(diff) = &clauses.diff {
            self.scopes.push();
            self.define_implicit(DERIVATIVES);
            self.strategy(diff);
            self.scopes.pop();
        }
    }

    /// A distribution or a strategy: the evaluator alone knows their names, so of those only the arguments are checked.
    pub fn random(&mut self, e: &'a Expr) {
        match &*e.kind {
            ExprKind::Name(id) => {
                self.with_unresolved(Unresolved::Leave, |w| {
                    w.name(id);
                });
            }
            ExprKind::Call(callee, args) => {
                let own = match &*callee.kind {
                    ExprKind::Name(id) => self.scopes.get(&id.name).is_some(),
                    _ => true,
                };
                if own {
                    self.call(e, callee, args, true);
                } else {
                    args.iter().for_each(|a| self.random(&a.value));
                }
            }
            _ => self.expr(e),
        }
    }

    /// `implicit(cg(steps = 20))`: a solver of a `diff` clause leaves the operator and the right-hand side out.
    fn strategy(&mut self, e: &'a Expr) {
        match &*e.kind {
            ExprKind::Call(callee, args) if matches!(*callee.kind, ExprKind::Name(_)) => {
                args.iter().for_each(|a| self.strategy(&a.value));
            }
            _ => self.random(e),
        }
    }

    fn solve(&mut self, s: &'a Solve) {
        match &*s.problem.kind {
            ExprKind::Name(id) => {
                if let Resolved::Named(known, decl) = self.name(id) {
                    self.solved_bare(known, decl, id.span);
                    self.note_call(known, decl, id.span);
                }
            }
            ExprKind::Call(callee, _) => {
                self.expr(&s.problem);
                if let ExprKind::Name(id) = &*callee.kind
                    && let Some(What::Declared(known)) = self.scopes.get(&id.name).map(|b| b.what)
                    && known.kind == Kind::Problem
                {
                    self.note_call(known, Some(id.span), s.problem.span);
                }
            }
            ExprKind::Optimize(o) => {
                self.hiding_unknowns(o);
                self.expr(&s.problem);
            }
            _ => self.expr(&s.problem),
        }
        s.stages.iter().chain(&s.start).for_each(|e| self.expr(e));
        if let Some(until) = &s.until {
            self.condition(until);
        }
        for with in &s.with {
            let (With::Setting(_, e) | With::Inner(_, e)) = with;
            self.expr(e);
        }
    }

    /// An unknown called `value` or `trace` makes the solution's own field unreachable.
    pub fn hiding_unknowns(&mut self, o: &'a Optimize) {
        for u in &o.unknowns {
            if SOLUTION_FIELDS.contains(&&*u.name.name) {
                self.report(say::unknown_hides_field(&u.name));
            }
        }
    }

    /// A test over a running solve: its quantities are there, and names of the method's states, which only the
    /// evaluator knows.
    pub fn condition(&mut self, e: &'a Expr) {
        self.scopes.push();
        self.define_implicit(QUANTITIES);
        self.with_unresolved(Unresolved::Leave, |w| w.expr(e));
        self.scopes.pop();
    }

    /// `certify s: kkt <= 1e-8`.
    pub fn certified(&mut self, e: &'a Expr) {
        self.scopes.push();
        self.define_implicit(CERTIFIED);
        self.condition(e);
        self.scopes.pop();
    }
}
