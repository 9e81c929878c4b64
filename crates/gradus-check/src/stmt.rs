//! Statements: at the top level, in tests, and in blocks.

use crate::diagnostics as say;
use crate::scope::What;
use crate::types::Dims;
use crate::walker::Walker;
use gradus_syntax::ast::{Expr, ExprKind, Stmt, StmtKind, TypeExpr, TypeKind};

impl<'a> Walker<'a> {
    /// A statement of a script or test; what a `let` binds is left to `bind`.
    fn stmt(&mut self, s: &'a Stmt) {
        match &s.kind {
            StmtKind::Let(_, ty, value) => {
                self.typed(ty.as_ref(), value);
                ty.iter().for_each(|t| self.type_expr(t, Dims::Bind));
            }
            StmtKind::Print(items) => items.iter().for_each(|e| self.expr(e)),
            StmtKind::Plot(args) => args.iter().for_each(|a| self.expr(&a.value)),
            StmtKind::Save(value, to) => {
                self.expr(value);
                self.expr(to);
            }
            StmtKind::Assert(condition, message) => {
                self.expr(condition);
                message.iter().for_each(|e| self.expr(e));
            }
            StmtKind::Certify(what, conditions) => {
                self.expr(what);
                conditions.iter().for_each(|e| self.certified(e));
            }
            StmtKind::Expr(e) => {
                let misnamed = self.misnamed;
                self.expr(e);
                // A solve reports itself; a line with an unknown name was meant to be something else.
                let idle = !matches!(*e.kind, ExprKind::Solve(_) | ExprKind::Error);
                if idle && !self.known.interactive && self.misnamed == misnamed {
                    self.report(say::bare_expression(e.span));
                }
            }
            StmtKind::Error => self.broken += 1,
        }
    }

    /// A statement of the top level, whose names are bound already.
    pub fn top_stmt(&mut self, s: &'a Stmt) {
        self.stmt(s);
    }

    pub fn test_stmt(&mut self, s: &'a Stmt) {
        self.stmt(s);
        if let StmtKind::Let(pattern, ..) = &s.kind {
            // Tests may name what they do not look at.
            self.define_pattern(pattern, What::Bound, None);
        }
    }

    /// A value with a declared type: of a distribution, by the names of distributions.
    fn typed(&mut self, ty: Option<&TypeExpr>, value: &'a Expr) {
        match ty.map(|t| &*t.kind) {
            Some(TypeKind::DistOf(_)) => self.random(value),
            _ => self.expr(value),
        }
    }

    pub fn block_stmt(&mut self, s: &'a Stmt) {
        let word = match &s.kind {
            StmtKind::Let(pattern, ty, value) => {
                self.typed(ty.as_ref(), value);
                ty.iter().for_each(|t| self.type_expr(t, Dims::Bind));
                self.define_pattern(pattern, What::Let, None);
                return;
            }
            StmtKind::Expr(e) => {
                self.expr(e);
                if !matches!(*e.kind, ExprKind::Error) {
                    self.report(say::bare_in_block(e.span));
                }
                return;
            }
            StmtKind::Print(_) => "print",
            StmtKind::Plot(_) => "plot",
            StmtKind::Save(..) => "save",
            StmtKind::Assert(..) => "assert",
            StmtKind::Certify(..) => "certify",
            StmtKind::Error => {
                self.broken += 1;
                return;
            }
        };
        self.report(say::statement_in_block(word, s.span));
        crate::visit::stmt(s, &mut |e| self.expr(e));
    }
}
