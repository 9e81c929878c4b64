//! Items: the declarations of a script. Each begins with a word that is a keyword only there, before a name.

use super::{Parser, Role};
use crate::ast::*;
use crate::diagnostic::Diagnostic;
use crate::lexer::unquote;
use crate::span::Span;
use crate::token::{Tok, Token, Word};
use std::sync::Arc;

impl Parser<'_> {
    pub(super) fn module(&mut self) -> Module {
        let mut items = Vec::new();
        while self.kind() != Tok::Eof {
            self.lines(|p| {
                let item = p.item();
                items.push(item);
            });
            // Brackets balance, so no closer is left over; if one were, this would still come to an end.
            if self.kind() != Tok::Eof {
                self.at += 1;
            }
        }
        Module { file: self.file, items }
    }

    /// The keyword of the item at the cursor. It is one when a name follows on the same line (or a text, after `use` and
    /// `test`); a reserved word in place of the name is a mistake in an item.
    pub(super) fn item_word(&self) -> Option<Token> {
        let token = self.token();
        if !(Word::Use as u8..=Word::Workers as u8).contains(&(token.word as u8)) {
            return None;
        }
        let (next, then) = (self.ahead(1), self.ahead(2));
        // What follows shows that the word between is meant as a name.
        let names = matches!(then.kind, Tok::LParen | Tok::Colon) && !then.space || then.kind == Tok::Eq;
        let fits = match next.kind {
            _ if next.nl => false,
            Tok::Name if matches!(next.word, Word::Mod | Word::After) => names,
            Tok::Name => true,
            Tok::Str => matches!(token.word, Word::Use | Word::Test),
            Tok::LBrace => token.word == Word::Test,
            Tok::LParen => self.tokens[next.mate as usize + 1].kind == Tok::Eq,
            kind => kind.is_reserved() && names,
        };
        fits.then_some(token)
    }

    pub(super) fn item(&mut self) -> Item {
        let doc = self.doc();
        let start = self.here();
        let kind = match self.item_word() {
            Some(word) => {
                self.at += 1;
                self.declaration(word)
            }
            None => match self.stmt() {
                Stmt { kind: StmtKind::Error, .. } => ItemKind::Error,
                stmt => ItemKind::Stmt(stmt),
            },
        };
        Item { doc, kind, span: self.since(start) }
    }

    fn declaration(&mut self, word: Token) -> ItemKind {
        match word.word {
            Word::Use => self.use_decl(),
            Word::Data => self.data(),
            Word::Fn => ItemKind::Fn(Arc::new(self.fn_decl("the name of a function", true))),
            Word::Stop => ItemKind::Stop(Arc::new(self.fn_decl("the name of a stopping test", false))),
            Word::Type => self.type_decl(),
            Word::Set => self.set(),
            Word::Term => self.term(),
            Word::Law => self.law(),
            Word::Rule => self.rule(),
            Word::Schedule => self.schedule(),
            Word::Method => self.method(),
            Word::Dist => self.dist(),
            Word::Model | Word::Guide => self.model(word.word == Word::Guide),
            Word::Problem => self.problem(),
            Word::Test => self.test(),
            _ => {
                let text = self.text_of(word);
                let d = Diagnostic::error("E0050", self.span_of(word), format!("`{text}` is not in this release"))
                    .at("this declaration is known, but not yet supported");
                self.report(d);
                self.skip_line();
                ItemKind::Error
            }
        }
    }

    /// `use nn`, `use nn.{mlp}`, `use nn.mlp`, `use "file.opt"`, `use "file.opt".{f}`.
    fn use_decl(&mut self) -> ItemKind {
        let token = self.token();
        let path = if token.kind == Tok::Str {
            self.at += 1;
            UsePath::File(Arc::from(unquote(self.text_of(token))), self.span_of(token))
        } else {
            let mut path = vec![self.want_name("the name of a library module")];
            while self.kind() == Tok::Dot && self.ahead(1).kind == Tok::Name {
                self.at += 1;
                path.push(self.want_name("the name of a library module"));
            }
            UsePath::Library(path)
        };
        let mut names = None;
        if self.kind() == Tok::Dot && !self.at_break() {
            self.at += 1;
            if self.kind() == Tok::LBrace {
                names = Some(self.bracketed(true, "`,` or ", |p| p.commas(Tok::RBrace, |p| p.want_name("the name of something to use"))));
            } else {
                let d = self.expected("E0022", "a name or `{` after `.`").help("write `use nn.mlp` or `use nn.{mlp, accuracy}`");
                self.complain(d);
            }
        }
        ItemKind::Use(UseDecl { path, names })
    }

    fn data(&mut self) -> ItemKind {
        let name = self.want_name("the name of the data");
        let ty = if self.want(Tok::Colon, "and a type after the name of the data") {
            self.type_expr()
        } else {
            TypeExpr { kind: Box::new(TypeKind::Error), span: self.spot() }
        };
        self.align();
        let source = (!self.at_break() && self.eat(Tok::Eq)).then(|| self.expr());
        ItemKind::Data(DataDecl { name, ty, source })
    }

    /// The token at the cursor lines up with its like above and below.
    pub(super) fn align(&mut self) {
        if matches!(self.kind(), Tok::Eq | Tok::Tilde | Tok::By) {
            self.role(self.at, Role::Align);
        }
    }

    fn fn_decl(&mut self, what: &str, typed: bool) -> FnDecl {
        let name = self.want_name(what);
        let params = self.params();
        let ret = if typed { self.annotation() } else { None };
        let ret = if typed && ret.is_none() && self.kind() == Tok::Arrow && !self.at_break() {
            let d = self.expected("E0021", "`=` and the value of the function").fix("the result's type follows `:`", self.here(), ":");
            self.complain(d);
            self.at += 1;
            Some(self.type_expr())
        } else {
            ret
        };
        let body = self.definition(!typed);
        FnDecl { name, params, ret, body }
    }

    /// `= e`. In a stopping test `time 10 s` is a condition.
    fn definition(&mut self, condition: bool) -> Expr {
        if self.kind() == Tok::LBrace && !self.at_break() {
            let d = self.expected("E0021", "`=` and a value").fix("write `=` before the block", Span { end: self.here().start, ..self.here() }, "= ");
            self.complain(d);
            return self.expr();
        }
        if !self.want(Tok::Eq, "and a value") {
            return self.error_expr();
        }
        if condition { self.condition() } else { self.expr() }
    }

    fn type_decl(&mut self) -> ItemKind {
        let name = self.want_name("the name of a type");
        let params = self.params();
        let ty = if self.want(Tok::Eq, "and a type") {
            self.type_expr()
        } else {
            TypeExpr { kind: Box::new(TypeKind::Error), span: self.spot() }
        };
        let oracles = self.optional_oracles("type").oracles;
        ItemKind::Type(Arc::new(TypeDecl { name, params, ty, oracles }))
    }

    fn set(&mut self) -> ItemKind {
        let name = self.want_name("the name of a set");
        let params = self.params();
        let element = self.element_clause("set");
        let body = self.oracle_body("set");
        ItemKind::Set(Arc::new(SetDecl { name, params, element, members: body.members, facts: body.facts, oracles: body.oracles }))
    }

    fn dist(&mut self) -> ItemKind {
        let name = self.want_name("the name of a distribution");
        let params = self.params();
        let element = self.element_clause("dist");
        let body = self.oracle_body("dist");
        ItemKind::Dist(Arc::new(DistDecl { name, params, element, facts: body.facts, oracles: body.oracles }))
    }

    fn element_clause(&mut self, word: &str) -> Param {
        if self.want(Tok::Of, &format!("and the element in a `{word}`")) {
            return self.element();
        }
        Param { name: self.missing_name(), ty: None, default: None, variadic: false }
    }

    fn term(&mut self) -> ItemKind {
        let name = self.want_name("the name of a term");
        let params = self.params();
        let body = self.definition(false);
        let facts = self.optional_oracles("term");
        ItemKind::Term(Arc::new(TermDecl { name, params, body, facts: facts.facts, oracles: facts.oracles }))
    }

    /// `law NAME(params): a == b is rewrite when c, d`.
    fn law(&mut self) -> ItemKind {
        let name = self.want_name("the name of a law");
        let params = self.params();
        self.want(Tok::Colon, "after the name of a law");
        let statement = self.expr();
        let span = statement.span;
        let (lhs, rhs) = match *statement.kind {
            ExprKind::Compare(mut sides, ops) if ops == [CompareOp::Eq] && sides.len() == 2 => {
                let rhs = sides.pop();
                let lhs = sides.pop();
                (lhs.unwrap_or_else(|| self.error_expr()), rhs.unwrap_or_else(|| self.error_expr()))
            }
            kind => {
                if self.kind() == Tok::Eq {
                    self.equality_meant();
                    self.at += 1;
                    let rhs = self.expr();
                    (Expr { kind: Box::new(kind), span }, rhs)
                } else {
                    if !matches!(kind, ExprKind::Error) {
                        let d = Diagnostic::error("E0051", span, "a law states an equality")
                            .at("expected `left == right`")
                            .help("write `law name: left == right when condition`");
                        self.complain(d);
                    }
                    (Expr { kind: Box::new(kind), span }, self.error_expr())
                }
            }
        };
        let mut facts = Vec::new();
        if self.word() == Word::Is && (!self.at_break() || self.ahead(1).kind != Tok::Eq) {
            self.role(self.at, Role::Continuation);
            self.at += 1;
            facts = self.facts();
        }
        let mut conditions = Vec::new();
        if self.word() == Word::When && (!self.at_break() || self.ahead(1).kind != Tok::Eq) {
            self.role(self.at, Role::Continuation);
            self.at += 1;
            conditions.push(self.expr());
            while self.eat(Tok::Comma) {
                conditions.push(self.expr());
            }
        }
        ItemKind::Law(Arc::new(LawDecl { name, params, lhs, rhs, facts, conditions }))
    }

    /// `schedule NAME(params) at t = e`.
    fn schedule(&mut self) -> ItemKind {
        let name = self.want_name("the name of a schedule");
        let params = self.params();
        let time = if self.eat_word(Word::At) {
            self.want_name("the name of the step counter")
        } else {
            let d = self.expected("E0021", "`at` and the name of the step counter").help("write `schedule name(rate) at t = rate / t`");
            self.complain(d);
            self.missing_name()
        };
        let body = self.definition(false);
        ItemKind::Schedule(Arc::new(ScheduleDecl { name, params, time, body }))
    }

    fn problem(&mut self) -> ItemKind {
        let name = self.want_name("the name of a problem");
        let params = self.params();
        let body = self.definition(false);
        ItemKind::Problem(Arc::new(ProblemDecl { name, params, body }))
    }

    fn test(&mut self) -> ItemKind {
        let token = self.token();
        let name: Arc<str> = match token.kind {
            Tok::Str => {
                self.at += 1;
                Arc::from(unquote(self.text_of(token)))
            }
            Tok::Name => {
                let text = self.text_of(token);
                let d = self.expected("E0022", "the name of the test in quotes").fix("quote it", self.here(), format!("\"{text}\""));
                self.complain(d);
                self.at += 1;
                Arc::from(text)
            }
            _ => {
                let d = self.expected("E0022", "the name of the test in quotes");
                self.complain(d);
                Arc::from("?")
            }
        };
        let body = self.braced("test", |p| p.statements()).unwrap_or_default();
        ItemKind::Test(TestDecl { name, name_span: self.span_of(token), body })
    }
}
