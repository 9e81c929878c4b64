//! Plain walks over trees that need no scopes.

use gradus_syntax::ast::{Expr, ExprKind, Ident, Index, Stmt, StmtKind, TypeExpr, TypeKind, With};

/// Recursion on trees of any depth: grows the stack where it runs short.
pub(crate) fn deep<R>(f: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, f)
}

/// Calls `f` for every name that is read in `e` or below, whatever it is bound to.
pub(crate) fn names<'a>(e: &'a Expr, f: &mut dyn FnMut(&'a Ident)) {
    deep(|| match &*e.kind {
        ExprKind::Name(id) => f(id),
        _ => children(e, &mut |c| names(c, f)),
    });
}

/// Calls `f` for the expressions right below `e`, in source order.
pub(crate) fn children<'a>(e: &'a Expr, f: &mut dyn FnMut(&'a Expr)) {
    match &*e.kind {
        ExprKind::Real(_) | ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::Str(_) | ExprKind::Name(_) | ExprKind::Error => {}
        ExprKind::Field(a, _) | ExprKind::Unary(_, a) | ExprKind::Transpose(a) | ExprKind::Budget(_, a, _) => f(a),
        ExprKind::Call(callee, args) => {
            f(callee);
            args.iter().for_each(|a| f(&a.value));
        }
        ExprKind::Index(a, indices) => {
            f(a);
            for index in indices {
                match index {
                    Index::At(e) => f(e),
                    Index::Slice { from, to, .. } => from.iter().chain(to).for_each(&mut *f),
                    Index::NewAxis(_) => {}
                }
            }
        }
        ExprKind::Binary(_, a, b) => {
            f(a);
            f(b);
        }
        ExprKind::Range { from, to, .. } => {
            f(from);
            f(to);
        }
        ExprKind::Compare(parts, _) | ExprKind::Tuple(parts) | ExprKind::List(parts) => parts.iter().for_each(f),
        ExprKind::Comprehension { body, clauses, filter } => {
            f(body);
            clauses.iter().for_each(|(_, e)| f(e));
            filter.iter().for_each(f);
        }
        ExprKind::Record(fields) => fields.iter().filter_map(|(_, e)| e.as_ref()).for_each(f),
        ExprKind::Block(stmts, value) => {
            stmts.iter().for_each(|s| stmt(s, f));
            f(value);
        }
        ExprKind::LetIn(_, ty, value, body) => {
            ty.iter().for_each(|t| type_exprs(t, f));
            f(value);
            f(body);
        }
        ExprKind::Lambda(l) => {
            for p in &l.params {
                p.ty.iter().for_each(|t| type_exprs(t, f));
                p.default.iter().for_each(&mut *f);
            }
            f(&l.body);
        }
        ExprKind::If(c, a, b) => {
            f(c);
            f(a);
            f(b);
        }
        ExprKind::For { over, init, body, .. } | ExprKind::Scan { over, init, body, .. } => {
            f(over);
            f(init);
            f(body);
        }
        ExprKind::While { cond, init, limit, body, .. } => {
            f(cond);
            f(init);
            limit.iter().for_each(&mut *f);
            f(body);
        }
        ExprKind::Optimize(o) => {
            for u in &o.unknowns {
                u.ty.iter().for_each(|t| type_exprs(t, f));
                u.set.iter().for_each(&mut *f);
            }
            f(&o.objective);
            o.constraints.iter().for_each(|c| f(&c.expr));
            o.clauses.by.iter().chain(&o.clauses.diff).for_each(f);
        }
        ExprKind::Find(o) => {
            for u in &o.unknowns {
                u.ty.iter().for_each(|t| type_exprs(t, f));
                u.set.iter().for_each(&mut *f);
            }
            f(&o.operator);
            o.clauses.by.iter().chain(&o.clauses.diff).for_each(f);
        }
        ExprKind::Fix(o) => {
            f(&o.init);
            f(&o.body);
            o.clauses.by.iter().chain(&o.clauses.diff).for_each(f);
        }
        ExprKind::Expect(o) => {
            f(&o.dist);
            f(&o.body);
            o.strategy.iter().for_each(f);
        }
        ExprKind::Solve(s) => {
            f(&s.problem);
            s.stages.iter().chain(&s.start).chain(&s.until).for_each(&mut *f);
            for w in &s.with {
                let (With::Setting(_, e) | With::Inner(_, e)) = w;
                f(e);
            }
        }
    }
}

pub(crate) fn stmt<'a>(s: &'a Stmt, f: &mut dyn FnMut(&'a Expr)) {
    match &s.kind {
        StmtKind::Let(_, ty, e) => {
            ty.iter().for_each(|t| type_exprs(t, f));
            f(e);
        }
        StmtKind::Print(items) => items.iter().for_each(f),
        StmtKind::Plot(args) => args.iter().for_each(|a| f(&a.value)),
        StmtKind::Save(a, b) => {
            f(a);
            f(b);
        }
        StmtKind::Assert(a, b) => std::iter::once(a).chain(b).for_each(f),
        StmtKind::Certify(a, conditions) => std::iter::once(a).chain(conditions).for_each(f),
        StmtKind::Expr(e) => f(e),
        StmtKind::Error => {}
    }
}

/// The expressions inside a type.
fn type_exprs<'a>(ty: &'a TypeExpr, f: &mut dyn FnMut(&'a Expr)) {
    deep(|| match &*ty.kind {
        TypeKind::Name(_) | TypeKind::Error => {}
        TypeKind::Array(base, dims) => {
            type_exprs(base, f);
            dims.iter().for_each(f);
        }
        TypeKind::Record(fields) => fields.iter().for_each(|(_, t)| type_exprs(t, f)),
        TypeKind::Tuple(parts) => parts.iter().for_each(|t| type_exprs(t, f)),
        TypeKind::List { body, over, .. } => {
            type_exprs(body, f);
            f(over);
        }
        TypeKind::Fn(a, b) => {
            type_exprs(a, f);
            type_exprs(b, f);
        }
        TypeKind::SetOf(t) | TypeKind::DistOf(t) => type_exprs(t, f),
    });
}
