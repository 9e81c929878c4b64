//! The five binders with their clauses, loops, and `solve`.

use super::{Parser, Role};
use crate::ast::{
    Clauses, Constraint, Expect, Expr, ExprKind, Find, Fix, Optimize, Pattern, Sense, Solve, TypeExpr, Unknown, With,
};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::token::{Tok, Word};
use std::sync::Arc;

impl Parser<'_> {
    /// Is the word at the cursor a binder here, and not a name? It is when the next thing can only be what it binds.
    pub(super) fn binder_follows(&self, word: Word) -> bool {
        let next = self.ahead(1);
        if next.nl && !self.cx.free {
            return false;
        }
        match next.kind {
            Tok::Name if matches!(next.word, Word::Mod | Word::After | Word::Subject | Word::Diff | Word::Warm | Word::Upto | Word::To | Word::When) => {
                matches!(self.ahead(2).kind, Tok::Colon | Tok::In | Tok::Of | Tok::From | Tok::Tilde)
            }
            Tok::Name => true,
            // A pattern: `fix (a, b) from`, `scan (i, x) in`, `expect (x, t) ~`.
            Tok::LParen | Tok::LBrace => {
                let after = self.tokens.get(next.mate as usize + 1).map_or(Tok::Eof, |t| t.kind);
                match word {
                    Word::Fix => after == Tok::From,
                    Word::Scan => after == Tok::In,
                    Word::Expect => after == Tok::Tilde,
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// The binder at the cursor, and whether it may be called or indexed (a loop that ends in a brace).
    pub(super) fn binder(&mut self, word: Word) -> (Expr, bool) {
        self.role(self.at, Role::Binder);
        match word {
            Word::Find => (self.find(), false),
            Word::Fix => (self.fix(), false),
            Word::Expect => (self.expect(), false),
            Word::Solve => (self.solve(), false),
            Word::Scan => (self.scan_fold(), true),
            _ => (self.optimize(true), false),
        }
    }

    /// `min x: T in S of e subject to c`; the clauses `by` and `diff` are left to the caller when `clauses` is false.
    fn optimize(&mut self, clauses: bool) -> Expr {
        let (start, at) = (self.here(), self.at);
        let word = self.bump().word;
        let (sense, arg) = match word {
            Word::Min => (Sense::Min, false),
            Word::Max => (Sense::Max, false),
            Word::Argmin => (Sense::Min, true),
            _ => (Sense::Max, true),
        };
        let unknowns = self.unknowns();
        let objective = self.objective(start, at);
        let (constraints, clauses) = self.clauses(at, true, clauses);
        self.make(start, ExprKind::Optimize(Arc::new(Optimize { sense, arg, unknowns, objective, constraints, clauses })))
    }

    fn unknowns(&mut self) -> Vec<Unknown> {
        let mut out = Vec::new();
        loop {
            let name = self.want_name("the name of an unknown");
            let ty: Option<TypeExpr> = self.eat(Tok::Colon).then(|| self.type_expr());
            let set = self.eat(Tok::In).then(|| self.set_expr());
            out.push(Unknown { name, ty, set });
            if !self.eat(Tok::Comma) {
                return out;
            }
        }
    }

    /// `of e` of the binder at `start`. Where `of` is missing, whatever stands in its place is taken for it.
    fn objective(&mut self, start: Span, at: usize) -> Expr {
        if self.kind() == Tok::Of {
            self.role(self.at, Role::Clause(at as u32));
            self.at += 1;
            return self.expr();
        }
        let word = &self.text[start.start as usize..start.end as usize];
        let spot = self.spot();
        let d = self
            .expected("E0030", "`of`")
            .label(start, format!("this `{word}` needs `of` and the expression it is about"))
            .help(format!("write `{word} x: real[n] of …`"));
        let stand_in = !self.at_break() && matches!(self.kind(), Tok::Eq | Tok::Colon | Tok::Arrow | Tok::Comma | Tok::Semi);
        let starts = !self.at_break()
            && matches!(self.kind(), Tok::Name | Tok::Int | Tok::Real | Tok::LParen | Tok::LBrace | Tok::Minus | Tok::LBracket);
        let d = if stand_in {
            d.fix("write `of`", self.here(), if self.token().space { "of" } else { " of" })
        } else if starts {
            d.fix("insert `of`", Span { end: spot.start, ..spot }, "of ")
        } else {
            d
        };
        self.complain(d);
        if stand_in {
            self.at += 1;
        }
        if stand_in || starts { self.expr() } else { self.error_expr() }
    }

    /// `subject to …`, `by …`, `diff …`, `warm on`, `warm off` in any order, each once, on the same line or at the start of the next ones.
    fn clauses(&mut self, at: usize, subject: bool, by: bool) -> (Vec<Constraint>, Clauses) {
        let mut constraints = Vec::new();
        let mut clauses = Clauses::default();
        loop {
            let here = self.here();
            let next = self.ahead(1);
            if subject && self.word() == Word::Subject && next.word == Word::To && !next.nl {
                self.role(self.at, Role::Clause(at as u32));
                self.at += 2;
                if !constraints.is_empty() {
                    self.twice("subject to", here);
                }
                constraints.extend(self.constraints());
            } else if by && self.kind() == Tok::By {
                self.role(self.at, Role::Clause(at as u32));
                self.at += 1;
                if clauses.by.is_some() {
                    self.twice("by", here);
                }
                clauses.by = Some(self.expr());
            } else if by && self.word() == Word::Diff && next.kind == Tok::Name && !next.nl {
                self.role(self.at, Role::Clause(at as u32));
                self.at += 1;
                if clauses.diff.is_some() {
                    self.twice("diff", here);
                }
                clauses.diff = Some(self.expr());
            } else if by && self.word() == Word::Warm && next.kind == Tok::Name && matches!(&*self.name_of(next), "on" | "off") && !next.nl {
                self.role(self.at, Role::Clause(at as u32));
                self.at += 1;
                if clauses.warm.is_some() {
                    self.twice("warm", here);
                }
                let token = self.bump();
                clauses.warm = Some(&*self.name_of(token) == "on");
            } else {
                return (constraints, clauses);
            }
        }
    }

    fn twice(&mut self, clause: &str, at: Span) {
        let d = Diagnostic::error("E0037", at, format!("`{clause}` is given twice"))
            .at("the second time")
            .help("each clause stands at most once");
        self.report(d);
    }

    /// `cap: w <= 0.1, sum(w) == 1`.
    fn constraints(&mut self) -> Vec<Constraint> {
        let mut out = Vec::new();
        loop {
            let named = self.kind() == Tok::Name && self.ahead(1).kind == Tok::Colon;
            let name = named.then(|| {
                let token = self.bump();
                self.at += 1;
                self.ident_of(token)
            });
            let expr = self.expr();
            if self.kind() == Tok::Eq && !self.at_break() {
                self.equality_meant();
                self.at += 1;
                self.expr();
            }
            out.push(Constraint { name, expr });
            if !self.eat(Tok::Comma) {
                return out;
            }
        }
    }

    /// `find x: T in S of F`.
    fn find(&mut self) -> Expr {
        let (start, at) = (self.here(), self.at);
        self.at += 1;
        let unknowns = self.unknowns();
        let operator = self.objective(start, at);
        let (_, clauses) = self.clauses(at, false, true);
        self.make(start, ExprKind::Find(Arc::new(Find { unknowns, operator, clauses })))
    }

    /// `fix x from x0 of e`.
    fn fix(&mut self) -> Expr {
        let (start, at) = (self.here(), self.at);
        self.at += 1;
        let unknown = self.pattern();
        let init = if self.want(Tok::From, "and a starting point after the unknown of `fix`") { self.expr() } else { self.error_expr() };
        let body = self.objective(start, at);
        let (_, clauses) = self.clauses(at, false, true);
        self.make(start, ExprKind::Fix(Arc::new(Fix { unknown, init, body, clauses })))
    }

    /// `expect z ~ D by S of e`.
    fn expect(&mut self) -> Expr {
        let (start, at) = (self.here(), self.at);
        self.at += 1;
        let pattern = self.pattern();
        let dist = if self.want(Tok::Tilde, "and a distribution after the name in `expect`") { self.expr() } else { self.error_expr() };
        let strategy = self.eat(Tok::By).then(|| self.expr());
        let body = self.objective(start, at);
        self.make(start, ExprKind::Expect(Arc::new(Expect { pattern, dist, body, strategy })))
    }

    /// `solve p by m then n from x0 until c with k = v, y by m`.
    fn solve(&mut self) -> Expr {
        let start = self.here();
        self.at += 1;
        let problem = self.solved();
        let mut solve = Solve { problem, stages: Vec::new(), start: None, until: None, with: Vec::new() };
        loop {
            let here = self.here();
            let kind = self.kind();
            if !matches!(kind, Tok::By | Tok::From | Tok::Until | Tok::With) {
                break;
            }
            self.role(self.at, Role::Continuation);
            self.at += 1;
            match kind {
                Tok::By => {
                    if !solve.stages.is_empty() {
                        self.twice("by", here);
                    }
                    solve.stages.push(self.expr());
                    while self.kind() == Tok::Then {
                        self.role(self.at, Role::Continuation);
                        self.at += 1;
                        solve.stages.push(self.expr());
                    }
                }
                Tok::From => {
                    if solve.start.is_some() {
                        self.twice("from", here);
                    }
                    solve.start = Some(self.expr());
                }
                Tok::Until => {
                    if solve.until.is_some() {
                        self.twice("until", here);
                    }
                    solve.until = Some(self.condition());
                }
                _ => self.with(&mut solve.with),
            }
        }
        self.make(start, ExprKind::Solve(Arc::new(solve)))
    }

    /// What is solved: a problem with its arguments, or a binder written in place, whose `by` is then the solve's.
    fn solved(&mut self) -> Expr {
        let start = self.here();
        let word = self.word();
        if matches!(word, Word::Min | Word::Max | Word::Argmin | Word::Argmax) && self.binder_follows(word) {
            self.role(self.at, Role::Binder);
            return self.deeper(|p| p.optimize(false));
        }
        let (value, closed) = self.primary();
        if closed { self.postfix(start, value) } else { value }
    }

    /// A stopping test: an expression in which `time 10 s` is a condition.
    pub(super) fn condition(&mut self) -> Expr {
        let cx = self.cx;
        self.cx.until = true;
        let cond = self.expr();
        self.cx = cx;
        cond
    }

    fn with(&mut self, out: &mut Vec<With>) {
        loop {
            let name = self.want_name("the name of a setting after `with`");
            match self.kind() {
                Tok::By => {
                    self.at += 1;
                    out.push(With::Inner(name, self.expr()));
                }
                Tok::Eq => {
                    self.at += 1;
                    out.push(With::Setting(name, self.expr()));
                }
                _ => {
                    let d = self.expected("E0021", "`=` or `by`").help("settings are `with samples = 16`, inner methods `with delta by pgd(…)`");
                    self.complain(d);
                    return;
                }
            }
            let more = self.kind() == Tok::Comma
                && self.ahead(1).kind == Tok::Name
                && matches!(self.ahead(2).kind, Tok::Eq | Tok::By);
            if !more {
                return;
            }
            self.at += 1;
        }
    }

    // ---- loops

    /// `for i in xs from s = s0 { e }`.
    pub(super) fn for_fold(&mut self) -> Expr {
        let start = self.here();
        self.at += 1;
        let (var, over) = self.each("for");
        let (state, init) = self.carried(start, "for");
        let body = self.loop_body("for");
        self.make(start, ExprKind::For { var, over, state, init, body })
    }

    /// `scan x in xs from s = s0 { (s1, out) }`.
    fn scan_fold(&mut self) -> Expr {
        let start = self.here();
        self.at += 1;
        let (var, over) = self.each("scan");
        let (state, init) = self.carried(start, "scan");
        let body = self.loop_body("scan");
        self.make(start, ExprKind::Scan { var, over, state, init, body })
    }

    /// `while c from s = s0 upto n { e }`.
    pub(super) fn while_fold(&mut self) -> Expr {
        let start = self.here();
        self.at += 1;
        let cond = self.expr();
        let (state, init) = self.carried(start, "while");
        self.role(self.at, Role::Continuation);
        let limit = self.eat_word(Word::Upto).then(|| self.expr());
        let body = self.loop_body("while");
        self.make(start, ExprKind::While { cond, state, init, limit, body })
    }

    fn each(&mut self, word: &str) -> (Pattern, Expr) {
        let var = self.pattern();
        let over = if self.want(Tok::In, &format!("after the name in `{word}`")) { self.expr() } else { self.error_expr() };
        (var, over)
    }

    /// `from s = s0`: what a loop carries along.
    fn carried(&mut self, start: Span, word: &str) -> (Pattern, Expr) {
        self.role(self.at, Role::Continuation);
        if !self.eat(Tok::From) {
            let d = self
                .expected("E0038", "`from` and the value that the loop carries")
                .label(start, format!("a `{word}` is an expression: it carries a value from step to step"))
                .help(format!("write `{word} … from s = 0 {{ s + 1 }}`, or a comprehension `[e for x in xs]`"));
            self.complain(d);
            return (Pattern::Wild(self.spot()), self.error_expr());
        }
        let state = self.pattern();
        let init = if self.want(Tok::Eq, "and a first value after the name that a loop carries") { self.expr() } else { self.error_expr() };
        (state, init)
    }

    fn loop_body(&mut self, word: &str) -> Expr {
        if self.kind() == Tok::LBrace {
            return self.block_or_record();
        }
        let d = self.expected("E0021", &format!("`{{` before the body of `{word}`"));
        self.complain(d);
        self.error_expr()
    }
}
