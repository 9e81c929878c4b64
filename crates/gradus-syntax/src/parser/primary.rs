//! The innermost expressions: literals, names, brackets, `if`, `let … in`, lambdas.

use super::{Parser, Role};
use crate::ast::{Expr, ExprKind, Ident, Lambda, Param, Stmt, StmtKind};
use crate::diagnostic::Diagnostic;
use crate::lexer::{parse_int, parse_real, unquote};
use crate::span::Span;
use crate::token::{Tok, Token, Word};
use std::sync::Arc;

impl Parser<'_> {
    /// The expression, and whether a call, an index, a field or a transpose may follow it.
    pub(super) fn primary(&mut self) -> (Expr, bool) {
        let start = self.here();
        let token = self.token();
        let kind = match token.kind {
            Tok::Int => {
                self.at += 1;
                ExprKind::Int(parse_int(self.text_of(token)).unwrap_or(0))
            }
            Tok::Real => {
                self.at += 1;
                ExprKind::Real(parse_real(self.text_of(token)).unwrap_or(0.0))
            }
            Tok::Str => {
                self.at += 1;
                ExprKind::Str(Arc::from(unquote(self.text_of(token))))
            }
            Tok::True | Tok::False => {
                self.at += 1;
                ExprKind::Bool(token.kind == Tok::True)
            }
            Tok::Name => return self.name_or_binder(token),
            Tok::LParen if self.tokens.get(token.mate as usize + 1).is_some_and(|t| t.kind == Tok::Arrow) => {
                return (self.lambda(start), false);
            }
            Tok::LParen => return (self.parens(), true),
            Tok::LBracket => return (self.list(), true),
            Tok::LBrace => return (self.block_or_record(), true),
            Tok::If => return self.if_else(),
            Tok::Let => return (self.let_in(), false),
            Tok::For => return (self.for_fold(), true),
            Tok::While => return (self.while_fold(), true),
            Tok::Bad => {
                // The lexer has complained.
                self.at += 1;
                self.complained = self.at;
                ExprKind::Error
            }
            _ => return (self.no_expression(), false),
        };
        (self.make(start, kind), true)
    }

    pub(super) fn no_expression(&mut self) -> Expr {
        let mut d = self.expected("E0020", "an expression");
        if !self.at_break() {
            d = match self.kind() {
                Tok::Plus => d.fix("leave the sign out", self.here(), ""),
                Tok::EqEq | Tok::Eq if self.at > 0 && self.tokens[self.at - 1].kind == Tok::Gt => {
                    d.help("at least is written `>=`, at most `<=`")
                }
                Tok::Colon => d.help("`:` alone is an index, as in `x[:, 0]`; a range is `a..b`"),
                kind if kind.is_reserved() => d.help(format!("`{}` is a reserved word", kind.spelling())),
                _ => d,
            };
        }
        self.complain(d);
        self.error_expr()
    }

    fn name_or_binder(&mut self, token: Token) -> (Expr, bool) {
        let start = self.here();
        let next = self.ahead(1);
        if next.kind == Tok::Arrow && (!next.nl || self.cx.free) {
            return (self.lambda(start), false);
        }
        if token.word as u8 >= Word::Min as u8 && token.word as u8 <= Word::Scan as u8 && self.binder_follows(token.word) {
            return self.binder(token.word);
        }
        if self.cx.until
            && let Some(budget) = self.budget(token)
        {
            return (budget, false);
        }
        if next.kind == Tok::Name && !next.nl {
            let text = self.text_of(token);
            if text == "lambda" && matches!(self.ahead(2).kind, Tok::Colon | Tok::Comma) {
                return (self.python_lambda(token), false);
            }
            if text == "log" && self.text_of(next) == "density" {
                // The log density of a model is one operation, not the logarithm of another.
                self.at += 2;
                let ident = Ident { name: Arc::from("log_density"), span: self.since(start) };
                return (self.make(start, ExprKind::Name(ident)), true);
            }
        }
        self.at += 1;
        let ident = self.ident_of(token);
        (self.make(start, ExprKind::Name(ident)), true)
    }

    /// `lambda x: e` as in Python.
    fn python_lambda(&mut self, token: Token) -> Expr {
        let start = self.span_of(token);
        self.at += 1;
        let mut params = vec![self.ahead(0)];
        self.at += 1;
        while self.kind() == Tok::Comma && self.ahead(1).kind == Tok::Name {
            params.push(self.ahead(1));
            self.at += 2;
        }
        let shown: Vec<&str> = params.iter().map(|&t| self.text_of(t)).collect();
        let ours = if shown.len() == 1 { format!("{} ->", shown[0]) } else { format!("({}) ->", shown.join(", ")) };
        let whole = start.to(self.here());
        let d = Diagnostic::error("E0033", start, "a function without a name is written with `->`")
            .at("`lambda` is an ordinary name here")
            .fix(format!("write `{ours} …`"), whole, ours);
        self.report(d);
        self.eat(Tok::Colon);
        let body = self.expr();
        let params = params
            .into_iter()
            .map(|t| Param { name: self.ident_of(t), ty: None, default: None, variadic: false })
            .collect();
        self.make(start, ExprKind::Lambda(Arc::new(Lambda { params, body })))
    }

    /// `x -> e`, `(x: real[n], y) -> e`.
    fn lambda(&mut self, start: Span) -> Expr {
        let params = if self.kind() == Tok::LParen {
            self.params()
        } else {
            let name = self.bump();
            vec![Param { name: self.ident_of(name), ty: None, default: None, variadic: false }]
        };
        self.role(self.at, Role::Infix(0));
        self.want(Tok::Arrow, "after the parameters of a function");
        let body = self.expr();
        self.make(start, ExprKind::Lambda(Arc::new(Lambda { params, body })))
    }

    fn parens(&mut self) -> Expr {
        let start = self.here();
        let (mut parts, comma) = self.bracketed(true, "`,` or ", |p| {
            let parts = p.commas(Tok::RParen, Self::expr);
            (parts, p.tokens[p.at - 1].kind == Tok::Comma)
        });
        let span = self.since(start);
        match parts.pop() {
            Some(only) if parts.is_empty() && !comma => return Expr { kind: only.kind, span },
            Some(last) => parts.push(last),
            None => {}
        }
        Expr { kind: Box::new(ExprKind::Tuple(parts)), span }
    }

    /// `[a, b]` and `[e for x in xs, y in ys if c]`.
    fn list(&mut self) -> Expr {
        let start = self.here();
        let kind = self.bracketed(true, "`,` or ", |p| {
            if p.kind() == Tok::RBracket {
                return ExprKind::List(Vec::new());
            }
            let first = p.expr();
            if p.kind() != Tok::For {
                let mut items = vec![first];
                if p.eat(Tok::Comma) {
                    items.extend(p.commas(Tok::RBracket, Self::expr));
                }
                return ExprKind::List(items);
            }
            let mut clauses = Vec::new();
            while matches!(p.kind(), Tok::For | Tok::Comma) {
                p.at += 1;
                let pattern = p.pattern();
                p.want(Tok::In, "after the name in a comprehension");
                clauses.push((pattern, p.expr()));
            }
            let filter = p.eat(Tok::If).then(|| p.expr());
            ExprKind::Comprehension { body: first, clauses, filter }
        });
        self.make(start, kind)
    }

    /// `{a = 1, b}` is a record, `{}` the empty one; all else in braces is a block.
    pub(super) fn block_or_record(&mut self) -> Expr {
        let (one, two) = (self.ahead(1), self.ahead(2));
        let record = one.kind == Tok::RBrace && !one.virt
            || (one.kind.is_word() && two.kind == Tok::Eq)
            || (one.kind == Tok::Name && matches!(two.kind, Tok::Comma | Tok::Colon));
        if record { self.record() } else { self.block() }
    }

    fn record(&mut self) -> Expr {
        let start = self.here();
        let opener = self.token();
        let fields = self.bracketed(true, "", |p| {
            let fields = p.commas(Tok::RBrace, |p| {
                let name = p.field_name();
                if p.kind() == Tok::Colon {
                    let d = Diagnostic::error("E0021", p.here(), "expected `=` after the name of a field, found `:`")
                        .at("`:` gives a type, `=` a value")
                        .fix("write `=`", p.here(), " =");
                    p.complain(d);
                    p.at += 1;
                    return (name, Some(p.expr()));
                }
                p.align();
                let value = p.eat(Tok::Eq).then(|| p.expr());
                (name, value)
            });
            if (p.at as u32) < opener.mate {
                let d = p.expected("E0021", "`,` or `}`").label(p.span_of(opener), "in this record");
                p.complain(d.help("if this is a block, its names need `let`: `{ let a = 1; a + 1 }`"));
            }
            fields
        });
        self.make(start, ExprKind::Record(fields))
    }

    /// `{ let a = e; e }`.
    pub(super) fn block(&mut self) -> Expr {
        let start = self.here();
        self.role(self.at, Role::Body);
        let mut stmts = self.bracketed(false, "", |p| p.statements());
        let span = self.since(start);
        let value = match stmts.pop() {
            Some(Stmt { kind: StmtKind::Expr(value), .. }) => value,
            Some(Stmt { kind: StmtKind::Error, span }) => Expr { kind: Box::new(ExprKind::Error), span },
            last => {
                let close = self.last();
                let mut d = Diagnostic::error("E0036", close, "this block has no value").at("expected an expression before this");
                if let Some(last) = &last {
                    d = d.label(last.span, "the last line is a statement");
                }
                self.report(d.help("the value of a block is its last line, an expression"));
                stmts.extend(last);
                Expr { kind: Box::new(ExprKind::Error), span: close }
            }
        };
        Expr { kind: Box::new(ExprKind::Block(stmts, value)), span }
    }

    /// `if c then a else b`, `if c { a } else { b }`. Only the form that ends in a brace may be called or indexed.
    fn if_else(&mut self) -> (Expr, bool) {
        let start = self.here();
        self.at += 1;
        let cond = self.expr();
        if self.kind() == Tok::Eq {
            self.equality_meant();
            self.at += 1;
            self.expr();
        }
        let yes = if self.kind() == Tok::LBrace {
            self.block_or_record()
        } else {
            if self.kind() == Tok::Colon {
                let d = self.expected("E0021", "`then`").fix("write `then`", self.here(), " then");
                self.complain(d);
                self.at += 1;
            } else {
                self.want(Tok::Then, "or `{` after the condition of `if`");
            }
            self.expr()
        };
        let mut closed = false;
        let no = if self.eat(Tok::Else) {
            if self.kind() == Tok::LBrace {
                closed = true;
                self.block_or_record()
            } else {
                self.expr()
            }
        } else if self.kind() == Tok::Name && matches!(self.text_of(self.token()), "elif" | "elsif" | "elseif") {
            let span = self.here();
            let d = Diagnostic::error("E0033", span, format!("`{}` is not a word of this language", self.text_of(self.token())))
                .at("a further condition is `else if`")
                .fix("write `else if`", span, "else if");
            self.report(d);
            // The parser goes on as if `else if` stood here: this token plays the `if`.
            self.if_else().0
        } else {
            let d = self.expected("E0034", "`else`").label(start, "this `if` needs a value in both cases");
            self.complain(d.help("in `if c then a else b` both cases have a value"));
            self.error_expr()
        };
        (self.make(start, ExprKind::If(cond, yes, no)), closed)
    }

    /// The current token is `=` where a truth value was being read.
    pub(super) fn equality_meant(&mut self) {
        let d = Diagnostic::error("E0031", self.here(), "`=` does not compare")
            .at("equality is written `==`")
            .fix("write `==`", self.here(), "==");
        self.complain(d);
    }

    /// `let p = e in e`.
    fn let_in(&mut self) -> Expr {
        let start = self.here();
        let at = self.at;
        let (pattern, ty, value) = self.let_head();
        if self.kind() != Tok::In {
            let d = self
                .expected("E0035", "`in`")
                .label(start, "this `let` stands where a value is expected, so it needs `in` and the value")
                .help("write `let name = … in …`, or a block `{ let name = …; … }`");
            self.complain(d);
            let error = self.error_expr();
            return self.make(start, ExprKind::LetIn(pattern, ty, value, error));
        }
        self.let_body(start, at, pattern, ty, value)
    }

    /// From the `in` of a `let … in` that began at token `at`.
    pub(super) fn let_body(
        &mut self,
        start: Span,
        at: usize,
        pattern: crate::ast::Pattern,
        ty: Option<crate::ast::TypeExpr>,
        value: Expr,
    ) -> Expr {
        self.role(self.at, Role::InOf(at as u32));
        self.at += 1;
        let body = self.expr();
        self.grow();
        self.make(start, ExprKind::LetIn(pattern, ty, value, body))
    }

    /// `time 10 s`, `steps 500`: a name, a number or another name, and perhaps a unit.
    fn budget(&mut self, token: Token) -> Option<Expr> {
        let amount = self.ahead(1);
        let fits = match amount.kind {
            Tok::Int | Tok::Real => true,
            Tok::Name => !matches!(amount.word, Word::Mod | Word::After | Word::Upto | Word::Subject | Word::Diff | Word::Warm | Word::To | Word::When),
            _ => false,
        };
        if !fits || amount.nl {
            return None;
        }
        let start = self.here();
        self.at += 1;
        let quantity = self.ident_of(token);
        let number = self.here();
        let value = match self.bump() {
            t if t.kind == Tok::Name => ExprKind::Name(self.ident_of(t)),
            t if t.kind == Tok::Int => ExprKind::Int(parse_int(self.text_of(t)).unwrap_or(0)),
            t => ExprKind::Real(parse_real(self.text_of(t)).unwrap_or(0.0)),
        };
        let value = self.make(number, value);
        let unit: Option<Ident> = (self.kind() == Tok::Name && !self.at_break() && matches!(self.text_of(self.token()), "s" | "ms" | "min"))
            .then(|| {
                let unit = self.bump();
                self.ident_of(unit)
            });
        Some(self.make(start, ExprKind::Budget(quantity, value, unit)))
    }
}
