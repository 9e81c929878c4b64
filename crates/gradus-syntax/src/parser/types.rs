//! Types, patterns and parameters.

use super::{Parser, Role};
use crate::ast::{Expr, Ident, Param, Pattern, TypeExpr, TypeKind};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::token::{Tok, Word};

impl Parser<'_> {
    /// `T`, `T -> U`, `T[n, d]`, `{a: T}`, `(T, U)`, `[T for p in e]`, `set of T`, `dist of T`.
    pub(super) fn type_expr(&mut self) -> TypeExpr {
        self.deeper(|p| {
            let left = p.type_operand();
            if p.kind() == Tok::Arrow && !p.at_break() {
                p.role(p.at, Role::Infix(0));
                p.at += 1;
                let right = p.type_expr();
                let span = left.span.to(right.span);
                return TypeExpr { kind: Box::new(TypeKind::Fn(left, right)), span };
            }
            left
        })
    }

    fn type_operand(&mut self) -> TypeExpr {
        let start = self.here();
        let mut ty = self.type_atom(start);
        while self.kind() == Tok::LBracket && !self.token().space {
            let dims = self.bracketed(true, "`,` or ", |p| p.commas(Tok::RBracket, Self::expr));
            ty = TypeExpr { kind: Box::new(TypeKind::Array(ty, dims)), span: self.since(start) };
            self.grow();
        }
        ty
    }

    fn type_atom(&mut self, start: Span) -> TypeExpr {
        let token = self.token();
        if self.at_break() {
            return self.no_type();
        }
        let kind = match token.kind {
            Tok::Name if matches!(token.word, Word::Set | Word::Dist) && self.ahead(1).kind == Tok::Of => {
                self.at += 2;
                let element = self.type_expr();
                if token.word == Word::Set { TypeKind::SetOf(element) } else { TypeKind::DistOf(element) }
            }
            Tok::Name => {
                self.at += 1;
                TypeKind::Name(self.ident_of(token))
            }
            Tok::LBrace => TypeKind::Record(self.bracketed(true, "`,` or ", |p| {
                p.commas(Tok::RBrace, |p| {
                    let name = p.field_name();
                    if p.kind() == Tok::Eq {
                        let d = Diagnostic::error("E0021", p.here(), "expected `:` after the name of a field, found `=`")
                            .at("this is a type")
                            .fix("write `:`", p.here(), ":");
                        p.complain(d);
                        p.at += 1;
                    } else {
                        p.want(Tok::Colon, "after the name of a field");
                    }
                    (name, p.type_expr())
                })
            })),
            Tok::LParen => {
                let (mut parts, comma) = self.bracketed(true, "`,` or ", |p| {
                    let parts = p.commas(Tok::RParen, Self::type_expr);
                    (parts, p.tokens[p.at - 1].kind == Tok::Comma)
                });
                match parts.pop() {
                    Some(only) if parts.is_empty() && !comma => return TypeExpr { span: self.since(start), ..only },
                    Some(last) => parts.push(last),
                    None => {}
                }
                TypeKind::Tuple(parts)
            }
            Tok::LBracket => self.bracketed(true, "", |p| {
                let body = p.type_expr();
                p.want(Tok::For, "in a list of types `[T for p in e]`");
                let pattern = p.pattern();
                p.want(Tok::In, "after the name in a list of types");
                let over = p.expr();
                TypeKind::List { body, pattern, over }
            }),
            _ => return self.no_type(),
        };
        TypeExpr { kind: Box::new(kind), span: self.since(start) }
    }

    fn no_type(&mut self) -> TypeExpr {
        let d = self.expected("E0024", "a type").help("types are `real`, `int[n]`, `real[n, d]`, `{a: real, b: int}`, `A -> B`, …");
        self.complain(d);
        TypeExpr { kind: Box::new(TypeKind::Error), span: self.spot() }
    }

    /// The name of a field or of an argument: reserved words are allowed, since something must follow them.
    pub(super) fn field_name(&mut self) -> Ident {
        let token = self.token();
        if token.kind.is_word() {
            self.at += 1;
            return self.ident_of(token);
        }
        self.want_name("the name of a field")
    }

    /// `x`, `_`, `(a, b)`, `{a, b}`.
    pub(super) fn pattern(&mut self) -> Pattern {
        self.deeper(|p| {
            let token = p.token();
            let start = p.here();
            match token.kind {
                Tok::Name if p.text_of(token) == "_" => {
                    p.at += 1;
                    Pattern::Wild(start)
                }
                Tok::LParen if !p.at_break() => {
                    let (mut parts, comma) = p.bracketed(true, "`,` or ", |p| {
                        let parts = p.commas(Tok::RParen, Self::pattern);
                        (parts, p.tokens[p.at - 1].kind == Tok::Comma)
                    });
                    match parts.pop() {
                        Some(only) if parts.is_empty() && !comma => return only,
                        Some(last) => parts.push(last),
                        None => {}
                    }
                    Pattern::Tuple(parts, p.since(start))
                }
                Tok::LBrace if !p.at_break() => {
                    let names = p.bracketed(true, "`,` or ", |p| p.commas(Tok::RBrace, |p| p.want_name("the name of a field")));
                    Pattern::Record(names, p.since(start))
                }
                _ => Pattern::Name(p.want_name("a name")),
            }
        })
    }

    /// `(a, b: T, c: T = e, d: T...)`, or nothing.
    pub(super) fn params(&mut self) -> Vec<Param> {
        if self.kind() != Tok::LParen || self.at_break() {
            return Vec::new();
        }
        if self.at > 0 && self.tokens[self.at - 1].kind == Tok::Name {
            self.role(self.at, Role::Touch);
        }
        self.bracketed(true, "`,` or ", |p| p.commas(Tok::RParen, Self::param))
    }

    fn param(&mut self) -> Param {
        let name = self.want_name("the name of a parameter");
        let ty = self.eat(Tok::Colon).then(|| self.type_expr());
        let variadic = self.eat(Tok::Ellipsis);
        let default: Option<Expr> = self.eat(Tok::Eq).then(|| self.expr());
        Param { name, ty, default, variadic }
    }

    /// `x: T`, the element of a set or of a distribution.
    pub(super) fn element(&mut self) -> Param {
        let name = self.want_name("the name of an element");
        let ty = self.eat(Tok::Colon).then(|| self.type_expr());
        Param { name, ty, default: None, variadic: false }
    }

    pub(super) fn annotation(&mut self) -> Option<TypeExpr> {
        (!self.at_break() && self.eat(Tok::Colon)).then(|| self.type_expr())
    }
}
