//! The tree as text: one node a line, indented, without positions. The same tree always prints the same, so printing
//! is also how two trees are compared up to spans.

mod flat;
mod words;

use crate::ast::*;
use flat::flat;
use std::fmt::Write;
use words::{binary_word, compare_word, let_head, names, param_head, pattern, ty, unary_word};

/// The tree of a module, for `explain --stage ast` and for golden tests.
pub fn print_ast(module: &Module) -> String {
    let mut p = Printer { out: String::new(), level: 0 };
    for item in &module.items {
        p.item(item);
    }
    p.out
}

struct Printer {
    out: String,
    level: usize,
}

/// Lists longer than this stand one element a line.
const SHORT: usize = 72;

impl Printer {
    fn line(&mut self, text: &str) {
        for _ in 0..self.level {
            self.out.push_str("  ");
        }
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn under(&mut self, head: &str, inside: impl FnOnce(&mut Self)) {
        self.line(head);
        self.level += 1;
        inside(self);
        self.level -= 1;
    }

    fn labelled(&mut self, label: &str, e: &Expr) {
        let flat = flat(e, SHORT);
        match flat {
            Some(text) => self.line(&format!("{label} {text}")),
            None => self.under(label, |p| p.expr(e)),
        }
    }

    fn maybe(&mut self, label: &str, e: &Option<Expr>) {
        if let Some(e) = e {
            self.labelled(label, e);
        }
    }

    fn item(&mut self, item: &Item) {
        if let Some(doc) = &item.doc {
            for line in doc.lines() {
                self.line(format!("/// {line}").trim_end());
            }
        }
        match &item.kind {
            ItemKind::Use(u) => {
                let mut text = match &u.path {
                    UsePath::Library(path) => format!("use {}", names(path, ".")),
                    UsePath::File(path, _) => format!("use {path:?}"),
                };
                if let Some(list) = &u.names {
                    let _ = write!(text, " {{{}}}", names(list, ", "));
                }
                self.line(&text);
            }
            ItemKind::Data(d) => {
                let head = format!("data {}: {}", d.name.name, ty(&d.ty));
                self.under(&head, |p| p.maybe("from", &d.source));
            }
            ItemKind::Fn(f) => self.function("fn", f),
            ItemKind::Stop(f) => self.function("stop", f),
            ItemKind::Type(t) => {
                let head = format!("type {}", t.name.name);
                self.under(&head, |p| {
                    p.params(&t.params);
                    p.line(&format!("is {}", ty(&t.ty)));
                    p.oracles(&t.oracles);
                });
            }
            ItemKind::Set(s) => {
                let head = format!("set {}", s.name.name);
                self.under(&head, |p| {
                    p.params(&s.params);
                    p.param("of", &s.element);
                    for e in &s.members {
                        p.labelled("where", e);
                    }
                    p.facts("is", &s.facts);
                    p.oracles(&s.oracles);
                });
            }
            ItemKind::Term(t) => {
                let head = format!("term {}", t.name.name);
                self.under(&head, |p| {
                    p.params(&t.params);
                    p.labelled("=", &t.body);
                    p.facts("is", &t.facts);
                    p.oracles(&t.oracles);
                });
            }
            ItemKind::Law(l) => {
                let head = format!("law {}", l.name.name);
                self.under(&head, |p| {
                    p.params(&l.params);
                    p.labelled("left", &l.lhs);
                    p.labelled("right", &l.rhs);
                    p.facts("is", &l.facts);
                    for c in &l.conditions {
                        p.labelled("when", c);
                    }
                });
            }
            ItemKind::Rule(r) => {
                let head = format!("rule {} on {}", r.name.name, r.gradient.name);
                self.under(&head, |p| {
                    p.params(&r.params);
                    for (name, e) in &r.states {
                        p.labelled(&format!("state {} =", name.name), e);
                    }
                    p.steps(&r.body);
                });
            }
            ItemKind::Schedule(s) => {
                let head = format!("schedule {} at {}", s.name.name, s.time.name);
                self.under(&head, |p| {
                    p.params(&s.params);
                    p.labelled("=", &s.body);
                });
            }
            ItemKind::Method(m) => self.method(m),
            ItemKind::Dist(d) => {
                let head = format!("dist {}", d.name.name);
                self.under(&head, |p| {
                    p.params(&d.params);
                    p.param("of", &d.element);
                    p.facts("is", &d.facts);
                    p.oracles(&d.oracles);
                });
            }
            ItemKind::Model(m) => {
                let head = format!("{} {}", if m.guide { "guide" } else { "model" }, m.name.name);
                self.under(&head, |p| {
                    p.params(&m.params);
                    p.model(&m.body);
                });
            }
            ItemKind::Problem(d) => {
                let head = format!("problem {}", d.name.name);
                self.under(&head, |p| {
                    p.params(&d.params);
                    p.labelled("=", &d.body);
                });
            }
            ItemKind::Test(t) => {
                let head = format!("test {:?}", t.name);
                self.under(&head, |p| t.body.iter().for_each(|s| p.stmt(s)));
            }
            ItemKind::Stmt(s) => self.stmt(s),
            ItemKind::Error => self.line("error"),
        }
    }

    fn function(&mut self, word: &str, f: &FnDecl) {
        let mut head = format!("{word} {}", f.name.name);
        if let Some(ret) = &f.ret {
            let _ = write!(head, ": {}", ty(ret));
        }
        self.under(&head, |p| {
            p.params(&f.params);
            p.labelled("=", &f.body);
        });
    }

    fn method(&mut self, m: &MethodDecl) {
        let f = &m.form;
        let mut form = format!("for {} {}", if f.find { "find" } else { "min" }, f.unknown.name);
        if let Some(set) = &f.set {
            let _ = write!(form, " in {}", set.name);
        }
        let _ = write!(form, " of {}", f.smooth.name);
        if let Some(h) = &f.prox {
            let _ = write!(form, " + {}", h.name);
        }
        if let Some(h) = &f.rest {
            let _ = write!(form, " + {}", h.name);
        }
        if let Some(k) = &f.map {
            let _ = write!(form, "({})", k.name);
        }
        if let Some(g) = &f.constraints {
            let _ = write!(form, " subject to {}", g.name);
        }
        if let Some(l) = &f.lower {
            let _ = write!(form, " with argmin {}", l.unknown.name);
            if let Some(set) = &l.set {
                let _ = write!(form, " in {}", set.name);
            }
            let _ = write!(form, " of {}", l.objective.name);
            if let Some(g) = &l.constraints {
                let _ = write!(form, " subject to {}", g.name);
            }
        }
        let head = format!("method {} {form}", m.name.name);
        self.under(&head, |p| {
            p.params(&m.params);
            for (name, facts) in &m.requires {
                p.facts(&format!("where {} is", name.name), facts);
            }
            for line in &m.prelude {
                match line {
                    Prelude::State(name, e) => p.labelled(&format!("state {} =", name.name), e),
                    Prelude::Let(pat, t, e) => p.let_line(pat, t, e),
                }
            }
            p.under("step", |p| p.steps(&m.step));
            for e in &m.stop {
                p.labelled("stop when", e);
            }
            p.maybe("certificate", &m.certificate);
            p.maybe("return", &m.result);
        });
    }

    fn params(&mut self, params: &[Param]) {
        for param in params {
            self.param("param", param);
        }
    }

    fn param(&mut self, word: &str, param: &Param) {
        let text = format!("{word} {}", param_head(param));
        match &param.default {
            Some(e) => self.labelled(&format!("{text} ="), e),
            None => self.line(&text),
        }
    }

    fn facts(&mut self, word: &str, facts: &[Fact]) {
        for fact in facts {
            let head = format!("{word} {}", fact.name.name);
            if fact.args.is_empty() {
                self.line(&head);
            } else {
                self.under(&head, |p| fact.args.iter().for_each(|e| p.expr(e)));
            }
        }
    }

    fn oracles(&mut self, oracles: &[Oracle]) {
        for o in oracles {
            let head = format!("oracle {}({}) =", o.name.name, names(&o.params, ", "));
            self.labelled(&head, &o.body);
        }
    }

    fn let_line(&mut self, pat: &Pattern, t: &Option<TypeExpr>, e: &Expr) {
        self.labelled(&format!("{} =", let_head(pat, t)), e);
    }

    fn steps(&mut self, steps: &[StepStmt]) {
        for s in steps {
            match s {
                StepStmt::Let(pat, t, e) => self.let_line(pat, t, e),
                StepStmt::Assign(name, e) => self.labelled(&format!("{} <-", name.name), e),
                StepStmt::Step(e) => self.labelled("step", e),
            }
        }
    }

    fn model(&mut self, body: &[ModelStmt]) {
        for s in body {
            match s {
                ModelStmt::Let(pat, t, e) => self.let_line(pat, t, e),
                ModelStmt::Sample { name, dist, plates, strategy } => {
                    self.labelled(&format!("{} ~", name.name), dist);
                    self.level += 1;
                    plates.iter().for_each(|e| self.labelled("plate", e));
                    self.maybe("by", strategy);
                    self.level -= 1;
                }
                ModelStmt::For { var, range, body } => {
                    self.labelled(&format!("for {} in", var.name), range);
                    self.level += 1;
                    self.model(body);
                    self.level -= 1;
                }
                ModelStmt::Return(e) => self.labelled("return", e),
            }
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Let(pat, t, e) => self.let_line(pat, t, e),
            StmtKind::Print(list) => self.under("print", |p| list.iter().for_each(|e| p.expr(e))),
            StmtKind::Plot(args) => self.under("plot", |p| p.args(args)),
            StmtKind::Save(e, to) => {
                self.labelled("save", e);
                self.labelled("to", to);
            }
            StmtKind::Assert(e, message) => {
                self.labelled("assert", e);
                self.maybe("message", message);
            }
            StmtKind::Certify(e, list) => {
                self.labelled("certify", e);
                self.level += 1;
                list.iter().for_each(|e| self.expr(e));
                self.level -= 1;
            }
            StmtKind::Expr(e) => self.expr(e),
            StmtKind::Error => self.line("error"),
        }
    }

    fn args(&mut self, args: &[Arg]) {
        for a in args {
            match &a.name {
                Some(name) => self.labelled(&format!("{} =", name.name), &a.value),
                None => self.expr(&a.value),
            }
        }
    }

    /// On one line when it is short, else the head with the parts below it.
    fn expr(&mut self, e: &Expr) {
        if let Some(text) = flat(e, SHORT) {
            return self.line(&text);
        }
        stacker::maybe_grow(64 * 1024, 1024 * 1024, || self.tall(e));
    }

    fn tall(&mut self, e: &Expr) {
        match &*e.kind {
            ExprKind::Optimize(o) => self.under(optimize_word(o), |p| {
                p.unknowns(&o.unknowns);
                p.labelled("of", &o.objective);
                for c in &o.constraints {
                    let name = c.name.as_ref().map_or("subject to".to_string(), |n| format!("subject to {}:", n.name));
                    p.labelled(&name, &c.expr);
                }
                p.clauses(&o.clauses);
            }),
            ExprKind::Find(f) => self.under("find", |p| {
                p.unknowns(&f.unknowns);
                p.labelled("of", &f.operator);
                p.clauses(&f.clauses);
            }),
            ExprKind::Fix(f) => self.under(&format!("fix {}", pattern(&f.unknown)), |p| {
                p.labelled("from", &f.init);
                p.labelled("of", &f.body);
                p.clauses(&f.clauses);
            }),
            ExprKind::Expect(x) => self.under(&format!("expect {}", pattern(&x.pattern)), |p| {
                p.labelled("~", &x.dist);
                p.maybe("by", &x.strategy);
                p.labelled("of", &x.body);
            }),
            ExprKind::Solve(s) => self.under("solve", |p| {
                p.expr(&s.problem);
                s.stages.iter().for_each(|e| p.labelled("by", e));
                p.maybe("from", &s.start);
                p.maybe("until", &s.until);
                for w in &s.with {
                    match w {
                        With::Setting(name, e) => p.labelled(&format!("with {} =", name.name), e),
                        With::Inner(name, e) => p.labelled(&format!("with {} by", name.name), e),
                    }
                }
            }),
            ExprKind::Block(stmts, value) => self.under("block", |p| {
                stmts.iter().for_each(|s| p.stmt(s));
                p.labelled("value", value);
            }),
            ExprKind::LetIn(pat, t, value, body) => {
                self.let_line(pat, t, value);
                self.labelled("in", body);
            }
            ExprKind::Lambda(l) => self.under("lambda", |p| {
                p.params(&l.params);
                p.labelled("->", &l.body);
            }),
            ExprKind::If(c, a, b) => self.under("if", |p| {
                p.expr(c);
                p.labelled("then", a);
                p.labelled("else", b);
            }),
            ExprKind::For { var, over, state, init, body } => self.fold("for", var, over, state, init, body),
            ExprKind::Scan { var, over, state, init, body } => self.fold("scan", var, over, state, init, body),
            ExprKind::While { cond, state, init, limit, body } => self.under("while", |p| {
                p.expr(cond);
                p.labelled(&format!("from {} =", pattern(state)), init);
                p.maybe("upto", limit);
                p.labelled("do", body);
            }),
            ExprKind::Call(f, args) => self.under("call", |p| {
                p.expr(f);
                p.args(args);
            }),
            ExprKind::Index(x, indices) => self.under("index", |p| {
                p.expr(x);
                for i in indices {
                    match i {
                        Index::At(e) => p.expr(e),
                        Index::Slice { from, to, inclusive, .. } => p.under(if *inclusive { "slice=" } else { "slice" }, |p| {
                            p.maybe("from", from);
                            p.maybe("to", to);
                        }),
                        Index::NewAxis(_) => p.line("None"),
                    }
                }
            }),
            ExprKind::Record(fields) => self.under("record", |p| {
                for (name, value) in fields {
                    match value {
                        Some(e) => p.labelled(&format!("{} =", name.name), e),
                        None => p.line(&name.name),
                    }
                }
            }),
            ExprKind::Comprehension { body, clauses, filter } => self.under("comprehension", |p| {
                p.expr(body);
                for (pat, over) in clauses {
                    p.labelled(&format!("for {} in", pattern(pat)), over);
                }
                p.maybe("if", filter);
            }),
            ExprKind::Range { from, to, inclusive } => self.under(if *inclusive { "..=" } else { ".." }, |p| {
                p.expr(from);
                p.expr(to);
            }),
            ExprKind::Compare(list, ops) => {
                let ops: Vec<&str> = ops.iter().map(|&o| compare_word(o)).collect();
                self.under(&format!("compare {}", ops.join(" ")), |p| list.iter().for_each(|e| p.expr(e)));
            }
            ExprKind::Tuple(list) => self.under("tuple", |p| list.iter().for_each(|e| p.expr(e))),
            ExprKind::List(list) => self.under("list", |p| list.iter().for_each(|e| p.expr(e))),
            ExprKind::Unary(op, x) => self.under(unary_word(*op), |p| p.expr(x)),
            ExprKind::Binary(op, a, b) => self.under(binary_word(*op), |p| {
                p.expr(a);
                p.expr(b);
            }),
            ExprKind::Transpose(x) => self.under("transpose", |p| p.expr(x)),
            ExprKind::Field(x, name) => self.under("field", |p| {
                p.expr(x);
                p.line(&name.name);
            }),
            ExprKind::Budget(name, amount, unit) => self.under("reached", |p| {
                p.line(&name.name);
                p.expr(amount);
                if let Some(unit) = unit {
                    p.line(&unit.name);
                }
            }),
            ExprKind::Real(_) | ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::Str(_) | ExprKind::Name(_) | ExprKind::Error => {
                let text = flat(e, usize::MAX).unwrap_or_default();
                self.line(&text);
            }
        }
    }

    fn fold(&mut self, word: &str, var: &Pattern, over: &Expr, state: &Pattern, init: &Expr, body: &Expr) {
        self.under(&format!("{word} {}", pattern(var)), |p| {
            p.labelled("in", over);
            p.labelled(&format!("from {} =", pattern(state)), init);
            p.labelled("do", body);
        });
    }

    fn unknowns(&mut self, unknowns: &[Unknown]) {
        for u in unknowns {
            let mut text = format!("unknown {}", u.name.name);
            if let Some(t) = &u.ty {
                let _ = write!(text, ": {}", ty(t));
            }
            match &u.set {
                Some(set) => self.labelled(&format!("{text} in"), set),
                None => self.line(&text),
            }
        }
    }

    fn clauses(&mut self, clauses: &Clauses) {
        self.maybe("by", &clauses.by);
        self.maybe("diff", &clauses.diff);
        if let Some(on) = clauses.warm {
            self.line(if on { "warm on" } else { "warm off" });
        }
    }
}

fn optimize_word(o: &Optimize) -> &'static str {
    match (o.sense, o.arg) {
        (Sense::Min, false) => "min",
        (Sense::Max, false) => "max",
        (Sense::Min, true) => "argmin",
        (Sense::Max, true) => "argmax",
    }
}
