//! Operators, loosest first: `->` and binders · `|> after` · `or` · `and` · `not` · comparisons, `in` · `&` · `.. ..=` ·
//! `+ -` · `* / @ mod` · ` . ` · unary `-` · `^` · call, index, field, transpose.

use super::{Parser, Role};
use crate::ast::{Arg, BinaryOp, CompareOp, Expr, ExprKind, Index, UnaryOp};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::token::{Tok, Token, Word};

const PIPE: u8 = 2;
const OR: u8 = 4;
const AND: u8 = 6;
const NOT: u8 = 8;
const COMPARE: u8 = 10;
const MEET: u8 = 12;
const RANGE: u8 = 14;
const ADD: u8 = 16;
const MUL: u8 = 18;
const NEG: u8 = 20;
const COMPOSE: u8 = 22;
const POW: u8 = 24;

#[derive(Clone, Copy)]
enum Infix {
    Op(BinaryOp),
    Compare(CompareOp),
    Range(bool),
}

impl Parser<'_> {
    pub(super) fn expr(&mut self) -> Expr {
        self.operators(0)
    }

    /// An expression that stops before a comparison: a set after `in`, an operand.
    pub(super) fn set_expr(&mut self) -> Expr {
        self.operators(MEET)
    }

    pub(super) fn make(&self, start: Span, kind: ExprKind) -> Expr {
        Expr { kind: Box::new(kind), span: self.since(start) }
    }

    /// The operator at the cursor with its binding power.
    fn infix(&self, token: Token) -> Option<(Infix, u8)> {
        use BinaryOp as B;
        use CompareOp as C;
        use Infix::*;
        Some(match token.kind {
            Tok::Plus => (Op(B::Add), ADD),
            Tok::Minus => (Op(B::Sub), ADD),
            Tok::Star => (Op(B::Mul), MUL),
            Tok::Slash => (Op(B::Div), MUL),
            Tok::At => (Op(B::MatMul), MUL),
            Tok::Name if token.word == Word::Mod => (Op(B::Mod), MUL),
            Tok::Name if token.word == Word::After => (Op(B::After), PIPE),
            Tok::Caret => (Op(B::Pow), POW),
            Tok::Compose => (Op(B::Compose), COMPOSE),
            Tok::DotDot => (Range(false), RANGE),
            Tok::DotDotEq => (Range(true), RANGE),
            Tok::Amp => (Op(B::Meet), MEET),
            Tok::EqEq => (Compare(C::Eq), COMPARE),
            Tok::Ne => (Compare(C::Ne), COMPARE),
            Tok::Lt => (Compare(C::Lt), COMPARE),
            Tok::Le => (Compare(C::Le), COMPARE),
            Tok::Gt => (Compare(C::Gt), COMPARE),
            Tok::Ge => (Compare(C::Ge), COMPARE),
            Tok::In if !self.cx.no_in => (Op(B::In), COMPARE),
            Tok::And => (Op(B::And), AND),
            Tok::Or => (Op(B::Or), OR),
            Tok::Pipe => (Op(B::Pipe), PIPE),
            _ => return None,
        })
    }

    /// An operator at the start of a line continues the line above, except where it could also start a statement:
    /// `-x` (a minus that touches its operand), `mod(…)` and `after(…)`.
    fn continues(&self, token: Token) -> bool {
        let next = self.ahead(1);
        match token.kind {
            Tok::Minus => next.space,
            Tok::Name => next.kind == Tok::Name && !next.nl,
            _ => true,
        }
    }

    /// Reads operands and operators that bind at least as tightly as `min`.
    pub(super) fn operators(&mut self, min: u8) -> Expr {
        self.deeper(|p| p.operators_here(min))
    }

    fn operators_here(&mut self, min: u8) -> Expr {
        let start = self.here();
        let mut left = self.operand();
        loop {
            let token = self.token();
            let Some((infix, power)) = self.infix(token) else {
                if token.kind == Tok::LArrow && !self.at_break() {
                    self.less_than_minus();
                }
                break;
            };
            if power < min || (self.at_break() && !self.continues(token)) {
                break;
            }
            let open_end = self.ahead(1).kind;
            if self.cx.index && matches!(infix, Infix::Range(_)) && matches!(open_end, Tok::Comma | Tok::RBracket) {
                break;
            }
            self.role(self.at, Role::Infix(power));
            self.at += 1;
            let kind = match infix {
                Infix::Op(BinaryOp::Pow) => ExprKind::Binary(BinaryOp::Pow, left, self.operators(POW)),
                Infix::Op(op) => ExprKind::Binary(op, left, self.operators(power + 1)),
                Infix::Range(inclusive) => ExprKind::Range { from: left, to: self.operators(power + 1), inclusive },
                Infix::Compare(op) => self.chain(left, op),
            };
            left = self.make(start, kind);
            self.grow();
        }
        left
    }

    /// `0 <= x <= 1` after its first operator.
    fn chain(&mut self, first: Expr, op: CompareOp) -> ExprKind {
        let mut ops = vec![op];
        let mut operands = vec![first, self.operators(COMPARE + 1)];
        while let Some((Infix::Compare(op), _)) = self.infix(self.token()) {
            self.role(self.at, Role::Infix(COMPARE));
            self.at += 1;
            ops.push(op);
            operands.push(self.operators(COMPARE + 1));
        }
        ExprKind::Compare(operands, ops)
    }

    /// `x<-1` reads as an assignment.
    fn less_than_minus(&mut self) {
        let span = self.here();
        let d = Diagnostic::error("E0039", span, "`<-` cannot stand inside an expression")
            .at("it gives a state its new value, in the step of a rule or method")
            .fix("to compare with a negative number write `< -`", span, "< -");
        self.complain(d);
    }

    fn operand(&mut self) -> Expr {
        let start = self.here();
        if self.at_break() && self.at > 0 && self.starts_statement() && self.tokens[self.at - 1].kind != Tok::LBrace {
            return self.no_expression();
        }
        match self.kind() {
            Tok::Minus => {
                self.role(self.at, Role::Prefix);
                self.at += 1;
                let value = self.operators(NEG);
                self.make(start, ExprKind::Unary(UnaryOp::Neg, value))
            }
            Tok::Not => {
                self.role(self.at, Role::Prefix);
                self.at += 1;
                let value = self.operators(NOT);
                self.make(start, ExprKind::Unary(UnaryOp::Not, value))
            }
            _ => {
                let (value, closed) = self.primary();
                if closed { self.postfix(start, value) } else { value }
            }
        }
    }

    /// Calls, indices, fields and transposes. A call may have a space before its parenthesis, an index may not.
    pub(super) fn postfix(&mut self, start: Span, mut value: Expr) -> Expr {
        loop {
            let token = self.token();
            if token.nl && (!self.cx.free || token.kind != Tok::Dot) {
                break;
            }
            match token.kind {
                Tok::LParen => {
                    if matches!(*value.kind, ExprKind::Int(_) | ExprKind::Real(_)) {
                        if token.space {
                            break;
                        }
                        self.number_called(token);
                    }
                    let args = self.args();
                    value = self.make(start, ExprKind::Call(value, args));
                }
                Tok::LBracket if !token.space => {
                    let indices = self.bracketed(true, "`,` or ", |p| {
                        p.cx.index = true;
                        p.commas(Tok::RBracket, Self::index)
                    });
                    value = self.make(start, ExprKind::Index(value, indices));
                }
                Tok::Prime => {
                    self.at += 1;
                    value = self.make(start, ExprKind::Transpose(value));
                }
                Tok::Dot => {
                    self.at += 1;
                    if !self.kind().is_word() || self.token().nl {
                        let d = self.expected("E0022", "the name of a field after `.`");
                        self.complain(d);
                        break;
                    }
                    let name = self.bump();
                    let name = self.ident_of(name);
                    value = self.make(start, ExprKind::Field(value, name));
                }
                _ => break,
            }
            self.grow();
        }
        value
    }

    fn number_called(&mut self, paren: Token) {
        let span = self.span_of(paren);
        let d = Diagnostic::error("E0020", span, "a number cannot be called")
            .at("read as a call")
            .fix("write the product with `*`", Span { end: span.start, ..span }, " * ");
        self.complain(d);
    }

    /// `(a, name = b)`.
    fn args(&mut self) -> Vec<Arg> {
        self.role(self.at, Role::Touch);
        self.bracketed(true, "`,` or ", |p| p.commas(Tok::RParen, Self::arg))
    }

    pub(super) fn arg(&mut self) -> Arg {
        if self.kind().is_word() && self.ahead(1).kind == Tok::Eq {
            let name = self.bump();
            let name = self.ident_of(name);
            self.at += 1;
            return Arg { name: Some(name), value: self.expr() };
        }
        Arg { name: None, value: self.expr() }
    }

    /// One index between brackets: `i`, `a..b` with either end left out, `:`, `None`.
    fn index(&mut self) -> Index {
        let start = self.here();
        match self.kind() {
            Tok::Colon => {
                self.at += 1;
                if !matches!(self.kind(), Tok::Comma | Tok::RBracket) {
                    self.colon_slice(start);
                    let to = Some(self.expr());
                    return Index::Slice { from: None, to, inclusive: false, span: self.since(start) };
                }
                return Index::Slice { from: None, to: None, inclusive: false, span: start };
            }
            Tok::DotDot | Tok::DotDotEq => {
                let inclusive = self.bump().kind == Tok::DotDotEq;
                let open = matches!(self.kind(), Tok::Comma | Tok::RBracket);
                let to = (!open).then(|| self.operators(ADD));
                return Index::Slice { from: None, to, inclusive, span: self.since(start) };
            }
            Tok::Name if self.text_of(self.token()) == "None" && matches!(self.ahead(1).kind, Tok::Comma | Tok::RBracket) => {
                self.at += 1;
                return Index::NewAxis(start);
            }
            _ => {}
        }
        let value = self.expr();
        match self.kind() {
            Tok::DotDot | Tok::DotDotEq => {
                let inclusive = self.bump().kind == Tok::DotDotEq;
                return Index::Slice { from: Some(value), to: None, inclusive, span: self.since(start) };
            }
            Tok::Colon => {
                self.colon_slice(self.here());
                self.at += 1;
                let open = matches!(self.kind(), Tok::Comma | Tok::RBracket);
                let to = (!open).then(|| self.expr());
                return Index::Slice { from: Some(value), to, inclusive: false, span: self.since(start) };
            }
            _ => {}
        }
        if !matches!(*value.kind, ExprKind::Range { .. }) {
            return Index::At(value);
        }
        let span = value.span;
        match *value.kind {
            ExprKind::Range { from, to, inclusive } => Index::Slice { from: Some(from), to: Some(to), inclusive, span },
            kind => Index::At(Expr { kind: Box::new(kind), span }),
        }
    }

    fn colon_slice(&mut self, colon: Span) {
        let d = Diagnostic::error("E0020", colon, "a slice is written with `..`")
            .at("`:` alone takes the whole axis")
            .fix("write `a..b`, the end not included", colon, "..");
        self.complain(d);
    }
}
