//! The bodies of sets, terms, types and distributions; of rules, methods and models.

use super::{Parser, Role};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::token::{Tok, Word};
use std::sync::Arc;

/// What the braces of a set, term, type or distribution hold.
#[derive(Default)]
pub(super) struct OracleBody {
    pub members: Vec<Expr>,
    pub facts: Vec<Fact>,
    pub oracles: Vec<Oracle>,
}

impl Parser<'_> {
    /// The body in braces of a declaration that must have one.
    pub(super) fn braced<T>(&mut self, word: &str, inside: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.kind() != Tok::LBrace {
            let d = self.expected("E0021", &format!("`{{` before the body of the {word}"));
            self.complain(d);
            if !self.skip_to_body() {
                return None;
            }
        }
        self.role(self.at, Role::Body);
        Some(self.bracketed(false, "", inside))
    }

    /// Behind a broken head: goes to the `{` of its body, if one comes before the next line that is not further in.
    fn skip_to_body(&mut self) -> bool {
        let column = self.column(self.tokens[self.line_start]);
        let mut at = self.at;
        loop {
            let token = self.tokens[at];
            if token.kind == Tok::LBrace {
                self.at = at;
                return true;
            }
            if token.kind == Tok::Eof || token.kind.is_close() || (token.nl && self.column(token) <= column) {
                return false;
            }
            at = if token.kind.is_open() { (token.mate as usize).max(at) + 1 } else { at + 1 };
        }
    }

    pub(super) fn optional_oracles(&mut self, word: &str) -> OracleBody {
        if self.kind() == Tok::LBrace && !self.at_break() { self.oracle_body(word) } else { OracleBody::default() }
    }

    pub(super) fn oracle_body(&mut self, word: &str) -> OracleBody {
        let mut body = OracleBody::default();
        self.braced(word, |p| p.lines(|p| p.oracle_line(word, &mut body)));
        body
    }

    /// `where e, e`, `is fact, fact`, `name x y = e`, `name(x, y) = e`, `name = e`.
    fn oracle_line(&mut self, word: &str, body: &mut OracleBody) {
        let next = self.ahead(1);
        let start = self.here();
        match self.word() {
            Word::Where if next.kind != Tok::Eq && word == "set" => {
                self.at += 1;
                body.members.push(self.expr());
                while self.eat(Tok::Comma) {
                    body.members.push(self.expr());
                }
                if self.kind() == Tok::Eq && !self.at_break() {
                    self.equality_meant();
                }
            }
            Word::Is if next.kind == Tok::Name && word != "type" => {
                self.at += 1;
                body.facts.extend(self.facts());
            }
            _ => {
                if self.kind() != Tok::Name {
                    let what = match word {
                        "set" => "`where`, `is` or an oracle such as `project v = …`",
                        "type" => "an oracle such as `init key = …`",
                        _ => "`is` or an oracle such as `prox(v, t) = …`",
                    };
                    let d = self.expected("E0052", what);
                    self.complain(d);
                    return self.skip_line();
                }
                let name = self.want_name("an oracle");
                let mut params = Vec::new();
                if self.kind() == Tok::LParen {
                    self.role(self.at, Role::Touch);
                    params = self.bracketed(true, "`,` or ", |p| p.commas(Tok::RParen, |p| p.want_name("the name of a parameter")));
                } else {
                    while self.kind() == Tok::Name && !self.at_break() {
                        params.push(self.want_name("the name of a parameter"));
                    }
                }
                self.align();
                if !self.want(Tok::Eq, &format!("and a value in the oracle `{}`", name.name)) {
                    return;
                }
                let oracle = Oracle { name, params, body: self.expr() };
                if let Some(first) = body.oracles.iter().find(|o| o.name.name == oracle.name.name) {
                    let d = Diagnostic::error("E0037", start, format!("`{}` is given twice", oracle.name.name))
                        .at("the second time")
                        .label(first.name.span, "the first time");
                    self.report(d);
                }
                body.oracles.push(oracle);
            }
        }
    }

    /// `convex, homogeneous(1)`; stops before `h is …`.
    pub(super) fn facts(&mut self) -> Vec<Fact> {
        let mut out = vec![self.fact()];
        while self.kind() == Tok::Comma && self.ahead(2).word != Word::Is {
            self.at += 1;
            out.push(self.fact());
        }
        out
    }

    fn fact(&mut self) -> Fact {
        let name = self.want_name("a fact such as `convex`");
        let args = if self.kind() == Tok::LParen && !self.at_break() {
            self.role(self.at, Role::Touch);
            self.bracketed(true, "`,` or ", |p| p.commas(Tok::RParen, Self::expr))
        } else {
            Vec::new()
        };
        Fact { name, args }
    }

    /// `rule NAME(params) on g { state …  x <- …  step … }`.
    pub(super) fn rule(&mut self) -> ItemKind {
        let name = self.want_name("the name of a rule");
        let params = self.params();
        let gradient = if self.eat_word(Word::On) {
            self.want_name("the name of the gradient")
        } else {
            let d = self.expected("E0021", "`on` and the name of the gradient").help("write `rule name(lr = 0.1) on g { step -lr * g }`");
            self.complain(d);
            self.missing_name()
        };
        let (mut states, mut body) = (Vec::new(), Vec::new());
        let start = self.here();
        let mut steps = 0;
        self.braced("rule", |p| {
            p.lines(|p| {
                if p.keyword(Word::State) {
                    p.states(|name, value| states.push((name, value)));
                } else if p.word() == Word::Step && p.ahead(1).kind != Tok::LArrow {
                    steps += 1;
                    if steps > 1 {
                        p.second("step", p.here());
                    }
                    p.at += 1;
                    body.push(StepStmt::Step(p.expr()));
                } else if let Some(stmt) = p.step_stmt("`state`, `let`, `name <- …` or `step …`") {
                    body.push(stmt);
                }
            });
        });
        if steps == 0 && self.diagnostics.iter().all(|d| d.primary.span.start < start.start) {
            let d = Diagnostic::error("E0053", name.span, format!("the rule `{}` has no `step`", name.name))
                .at("nothing moves the unknown")
                .help("end the rule with `step …`: what is added to the unknown, for example `step -lr * g`");
            self.report(d);
        }
        ItemKind::Rule(Arc::new(RuleDecl { name, params, gradient, states, body }))
    }

    /// Is the word at the cursor a keyword here: followed by a name on the same line?
    fn keyword(&self, word: Word) -> bool {
        self.word() == word && self.ahead(1).kind.is_word() && !self.ahead(1).nl
    }

    fn second(&mut self, what: &str, at: Span) {
        let d = Diagnostic::error("E0037", at, format!("`{what}` is given twice")).at("the second time");
        self.report(d);
    }

    /// `state x = e, y = e`.
    fn states(&mut self, mut take: impl FnMut(Ident, Expr)) {
        self.at += 1;
        loop {
            let name = self.want_name("the name of a state");
            if !self.want(Tok::Eq, &format!("and a first value for the state `{}`", name.name)) {
                return;
            }
            let value = self.expr();
            take(name, value);
            if !self.eat(Tok::Comma) {
                return;
            }
        }
    }

    /// `let p = e` and `x <- e`.
    fn step_stmt(&mut self, what: &str) -> Option<StepStmt> {
        if self.kind() == Tok::Let {
            let (pattern, ty, value) = self.let_head();
            if self.kind() == Tok::In {
                let d = self.expected("E0026", "the end of the statement").help("a `let` in a step holds for the lines below; leave `in` out");
                self.complain(d);
            }
            return Some(StepStmt::Let(pattern, ty, value));
        }
        if self.kind() == Tok::Name && matches!(self.ahead(1).kind, Tok::LArrow | Tok::Eq) {
            let name = self.bump();
            let name = self.ident_of(name);
            if self.kind() == Tok::Eq {
                let d = Diagnostic::error("E0039", self.here(), format!("`=` does not change `{}`", name.name))
                    .at("in a step")
                    .fix("a state gets its new value by `<-`", self.here(), "<-")
                    .help("a new name is given by `let`");
                self.complain(d);
            }
            self.at += 1;
            return Some(StepStmt::Assign(name, self.expr()));
        }
        let mut d = self.expected("E0052", what);
        if self.word() == Word::State {
            d = d.help("a state has a name and a first value: `state m = 0`");
        }
        self.complain(d);
        self.at += 1;
        self.skip_line();
        None
    }

    /// `method NAME(params) for min x of f + h where … { … }`.
    pub(super) fn method(&mut self) -> ItemKind {
        let name = self.want_name("the name of a method");
        let params = self.params();
        self.role(self.at, Role::Continuation);
        let form = if self.eat(Tok::For) {
            self.method_form()
        } else {
            let d = self.expected("E0021", "`for` and the kind of problem").help("write `method name(steps = 100) for min x of f { … }`");
            self.complain(d);
            let nothing = self.missing_name();
            MethodForm { find: false, unknown: nothing.clone(), set: None, smooth: nothing, prox: None, rest: None, map: None, constraints: None, lower: None }
        };
        let mut requires = Vec::new();
        if self.word() == Word::Where {
            self.role(self.at, Role::Continuation);
            self.at += 1;
            loop {
                let subject = self.want_name("the name of a part of the objective");
                if !self.eat_word(Word::Is) {
                    let d = self.expected("E0021", "`is` and a fact").help("write `where f is smooth, h is proxable`");
                    self.complain(d);
                    break;
                }
                requires.push((subject, self.facts()));
                if !self.eat(Tok::Comma) {
                    break;
                }
            }
        }
        let mut method =
            MethodDecl { name, params, form, requires, prelude: Vec::new(), step: Vec::new(), stop: Vec::new(), certificate: None, result: None };
        let start = self.here();
        let mut stepped = false;
        self.braced("method", |p| p.lines(|p| p.method_line(&mut method, &mut stepped)));
        if !stepped && self.diagnostics.iter().all(|d| d.primary.span.start < start.start) {
            let d = Diagnostic::error("E0053", method.name.span, format!("the method `{}` has no `step`", method.name.name))
                .at("nothing moves the unknown")
                .help("add `step { x <- … }`");
            self.report(d);
        }
        ItemKind::Method(Arc::new(method))
    }

    fn method_line(&mut self, method: &mut MethodDecl, stepped: &mut bool) {
        let start = self.here();
        let next = self.ahead(1);
        if self.keyword(Word::State) {
            let late = *stepped;
            self.states(|name, value| method.prelude.push(Prelude::State(name, value)));
            if late {
                self.misplaced("state", start);
            }
        } else if self.kind() == Tok::Let {
            if *stepped {
                self.misplaced("let", start);
            }
            let (pattern, ty, value) = self.let_head();
            method.prelude.push(Prelude::Let(pattern, ty, value));
        } else if self.word() == Word::Step && next.kind == Tok::LBrace {
            if std::mem::replace(stepped, true) {
                self.second("step", start);
            }
            self.at += 1;
            self.role(self.at, Role::Body);
            method.step.extend(self.bracketed(false, "", |p| {
                let mut out = Vec::new();
                p.lines(|p| out.extend(p.step_stmt("`let` or `name <- …`")));
                out
            }));
        } else if self.word() == Word::Stop && next.word == Word::When {
            self.at += 2;
            method.stop.push(self.condition());
        } else if self.word() == Word::Certificate && next.kind != Tok::LArrow {
            self.at += 1;
            if method.certificate.is_some() {
                self.second("certificate", start);
            }
            method.certificate = Some(self.expr());
        } else if self.word() == Word::Return && next.kind != Tok::LArrow {
            self.at += 1;
            if method.result.is_some() {
                self.second("return", start);
            }
            method.result = Some(self.expr());
        } else {
            let mut d = self.expected("E0052", "`state`, `let`, `step { … }`, `stop when …`, `certificate …` or `return …`");
            if matches!(next.kind, Tok::LArrow | Tok::Eq) {
                d = d.help("states change inside `step { … }`");
            }
            self.complain(d);
            self.at += 1;
            self.skip_line();
        }
    }

    fn misplaced(&mut self, word: &str, at: Span) {
        let d = Diagnostic::error("E0053", at, format!("`{word}` stands after the step"))
            .at("move it before `step`")
            .help("what stands outside the step is computed once, before it");
        self.report(d);
    }

    /// `min x in C of f + h subject to g`, `min x of f + g + h(K)`, `find x in C of F`, `min x in C of F with argmin y in D of f subject to g`.
    fn method_form(&mut self) -> MethodForm {
        let find = self.eat_word(Word::Find);
        if !find && !self.eat_word(Word::Min) {
            let d = self.expected("E0021", "`min`").help("a method is for `min x of f`, `min x in C of f`, `min x of f + h` or `find x in C of F`");
            self.complain(d);
        }
        let unknown = self.want_name("the name of the unknown");
        let set = self.eat(Tok::In).then(|| self.want_name("the name of the set"));
        self.want(Tok::Of, "and the name of the objective");
        let smooth = self.want_name("the name of the objective");
        if find {
            return MethodForm { find, unknown, set, smooth, prox: None, rest: None, map: None, constraints: None, lower: None };
        }
        let mut prox = self.eat(Tok::Plus).then(|| self.want_name("the name of the proxable part"));
        let mut rest = (prox.is_some() && self.eat(Tok::Plus)).then(|| self.want_name("the name of the other proxable part"));
        let mut map = None;
        if prox.is_some() && self.kind() == Tok::LParen {
            self.role(self.at, Role::Touch);
            map = self.bracketed(true, "", |p| p.commas(Tok::RParen, |p| p.want_name("the name of the linear map"))).into_iter().next();
            if rest.is_none() {
                rest = prox.take();
            }
        }
        let constraints = self.form_constraints();
        let lower = self.eat(Tok::With).then(|| self.lower_form());
        MethodForm { find, unknown, set, smooth, prox, rest, map, constraints, lower }
    }

    /// `argmin y in D of f subject to g`.
    fn lower_form(&mut self) -> LowerForm {
        if !self.eat_word(Word::Argmin) {
            let d = self.expected("E0021", "`argmin`").help("a method for two levels is for `min x of F with argmin y of f`");
            self.complain(d);
        }
        let unknown = self.want_name("the name of the lower unknown");
        let set = self.eat(Tok::In).then(|| self.want_name("the name of the lower set"));
        self.want(Tok::Of, "and the name of the lower objective");
        let objective = self.want_name("the name of the lower objective");
        LowerForm { unknown, set, objective, constraints: self.form_constraints() }
    }

    fn form_constraints(&mut self) -> Option<Ident> {
        (self.word() == Word::Subject && self.ahead(1).word == Word::To).then(|| {
            self.at += 2;
            self.want_name("the name of the constraints")
        })
    }

    /// `model NAME(params) { x ~ d … }`, and `guide`.
    pub(super) fn model(&mut self, guide: bool) -> ItemKind {
        let word = if guide { "guide" } else { "model" };
        let name = self.want_name(&format!("the name of a {word}"));
        let params = self.params();
        let body = self.braced(word, Self::model_lines).unwrap_or_default();
        ItemKind::Model(Arc::new(ModelDecl { guide, name, params, body }))
    }

    fn model_lines(&mut self) -> Vec<ModelStmt> {
        let mut out = Vec::new();
        self.deeper(|p| p.lines(|p| out.extend(p.model_stmt())));
        out
    }

    fn model_stmt(&mut self) -> Option<ModelStmt> {
        let next = self.ahead(1);
        match self.kind() {
            Tok::Let => {
                let (pattern, ty, value) = self.let_head();
                return Some(ModelStmt::Let(pattern, ty, value));
            }
            Tok::For => {
                self.at += 1;
                let var = self.want_name("the name of an index");
                self.want(Tok::In, "and a range after the index of `for`");
                let range = self.expr();
                let body = self.braced("loop", Self::model_lines).unwrap_or_default();
                return Some(ModelStmt::For { var, range, body });
            }
            Tok::Name if next.kind == Tok::Tilde => {
                let name = self.bump();
                let name = self.ident_of(name);
                self.align();
                self.at += 1;
                let dist = self.expr();
                let mut plates = Vec::new();
                if self.kind() == Tok::LBracket && !self.at_break() {
                    plates = self.bracketed(true, "`,` or ", |p| p.commas(Tok::RBracket, Self::expr));
                }
                let strategy = (self.kind() == Tok::By).then(|| {
                    self.align();
                    self.at += 1;
                    self.expr()
                });
                return Some(ModelStmt::Sample { name, dist, plates, strategy });
            }
            Tok::Name if self.word() == Word::Return && !next.nl => {
                self.at += 1;
                return Some(ModelStmt::Return(self.expr()));
            }
            _ => {}
        }
        let mut d = self.expected("E0052", "`name ~ distribution`, `let`, `for` or `return`");
        if next.kind == Tok::Eq {
            d = d.help("a value is named by `let name = …`, a random choice by `name ~ …`");
        }
        self.complain(d);
        self.at += 1;
        self.skip_line();
        None
    }
}
