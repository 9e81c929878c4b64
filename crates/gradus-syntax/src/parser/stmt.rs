//! Statements, in scripts, tests and blocks.

use super::Parser;
use crate::ast::{Expr, Pattern, Stmt, StmtKind, TypeExpr};
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use crate::token::{Tok, Token, Word};

impl Parser<'_> {
    /// The statements up to the closer of the braces that are open.
    pub(super) fn statements(&mut self) -> Vec<Stmt> {
        let mut out = Vec::new();
        self.lines(|p| {
            if let Some(word) = p.item_word() {
                return p.item_in_body(word);
            }
            let stmt = p.stmt();
            out.push(stmt);
        });
        out
    }

    /// Runs `line` for each line of a body, sees to it that each ends where it should, and recovers where it does not.
    pub(super) fn lines(&mut self, mut line: impl FnMut(&mut Self)) {
        loop {
            while self.eat(Tok::Semi) {}
            if self.kind() == Tok::Eof || self.kind().is_close() {
                return;
            }
            let before = self.at;
            self.starts_here();
            self.line_start = before;
            line(self);
            if self.at == before {
                self.at += 1;
                self.skip_line();
            }
            self.end_line();
        }
    }

    /// The end of a statement; what stands in its way is complained about and skipped.
    pub(super) fn end_line(&mut self) {
        if self.at_end() {
            // A broken statement may go on in the next line; a clause there belongs to what was just complained about.
            if self.complained == self.at && self.at_break() {
                self.skip_line();
            }
            self.complained = usize::MAX;
            return;
        }
        let mut d = self.expected("E0026", "the end of the statement");
        let token = self.token();
        d = match token.kind {
            Tok::Eq => d.help("a new name is given by `let name = …`; equality is written `==`"),
            Tok::LBracket if token.space => d.help("an index touches what it indexes: `x[i]`"),
            Tok::Arrow => d.help("a function is written `x -> …` or `(x, y) -> …`"),
            Tok::LBrace => d.help("only a declaration, a loop or `if` has a body in braces"),
            Tok::Colon => d.help("types stand in `let x: T = …`, in parameters and after the unknown of a binder"),
            Tok::Ellipsis => d.help("a range is written `a..b`, the end not included, or `a..=b`"),
            Tok::Comma => d.help("several values in one are a tuple, `(a, b)`"),
            Tok::Name | Tok::Int | Tok::Real | Tok::Str => d.help("statements are separated by line breaks or `;`"),
            _ => d,
        };
        self.complain(d);
        self.skip_line();
        self.complained = usize::MAX;
    }

    /// Skips to the end of the statement, brackets as a whole, along with lines that can only continue it.
    pub(super) fn skip_line(&mut self) {
        loop {
            let token = self.token();
            if token.kind == Tok::Eof || token.kind == Tok::Semi || token.kind.is_close() || (token.nl && !goes_on(token)) {
                return;
            }
            self.at = if token.kind.is_open() { (token.mate as usize).max(self.at) + 1 } else { self.at + 1 };
        }
    }

    /// Does an expression start right behind the word at the cursor, on the same line? Then the word is a keyword.
    fn takes_operand(&self) -> bool {
        let next = self.ahead(1);
        if next.nl {
            return false;
        }
        match next.kind {
            Tok::Name => !matches!(next.word, Word::Mod | Word::After),
            Tok::Int | Tok::Real | Tok::Str | Tok::LParen | Tok::LBrace => true,
            Tok::LBracket => next.space,
            Tok::Not | Tok::True | Tok::False | Tok::If | Tok::Let | Tok::For | Tok::While | Tok::Bad => true,
            Tok::Minus => next.space && !self.ahead(2).space,
            _ => false,
        }
    }

    /// Does the token at the cursor start a statement or an item, and not an expression?
    pub(super) fn starts_statement(&self) -> bool {
        let word = self.word();
        // A `let` that is not further in than the statement begins the next one.
        if self.kind() == Tok::Let {
            return self.column(self.token()) <= self.column(self.tokens[self.line_start]);
        }
        self.item_word().is_some() || ((Word::Print as u8..=Word::Certify as u8).contains(&(word as u8)) && self.takes_operand())
    }

    pub(super) fn column(&self, token: Token) -> usize {
        let at = token.start as usize;
        at - self.text.as_bytes()[..at].iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1)
    }

    pub(super) fn stmt(&mut self) -> Stmt {
        let start = self.here();
        let kind = self.stmt_kind(start);
        Stmt { kind, span: self.since(start) }
    }

    fn stmt_kind(&mut self, start: Span) -> StmtKind {
        match self.kind() {
            Tok::Let => {
                let at = self.at;
                let (pattern, ty, value) = self.let_head();
                if self.kind() == Tok::In {
                    return StmtKind::Expr(self.let_body(start, at, pattern, ty, value));
                }
                return StmtKind::Let(pattern, ty, value);
            }
            Tok::Name => {}
            _ => return self.bare(start),
        }
        match self.ahead(1).kind {
            Tok::Eq => return self.without_let(start),
            Tok::LArrow => {
                let d = Diagnostic::error("E0039", self.span_of(self.ahead(1)), "`<-` stands only in the step of a rule or method")
                    .at("values do not change elsewhere")
                    .help("give the new value a name: `let y = …`");
                self.report(d);
                self.at += 2;
                self.expr();
                return StmtKind::Error;
            }
            _ => {}
        }
        let word = self.word();
        if (Word::Print as u8..=Word::Certify as u8).contains(&(word as u8)) && self.takes_operand() {
            self.at += 1;
            return match word {
                Word::Print => StmtKind::Print(self.some(Self::expr)),
                Word::Plot => StmtKind::Plot(self.some(Self::arg)),
                Word::Save => self.save(),
                Word::Assert => self.assert(),
                _ => self.certify(),
            };
        }
        if let Some(d) = self.foreign_word() {
            self.complain(d);
            self.at += 1;
            self.skip_line();
            return StmtKind::Error;
        }
        self.bare(start)
    }

    fn bare(&mut self, start: Span) -> StmtKind {
        let value = self.expr();
        if self.here() == start || matches!(*value.kind, crate::ast::ExprKind::Error) {
            return StmtKind::Error;
        }
        StmtKind::Expr(value)
    }

    /// `a, b, c`.
    fn some<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut out = vec![one(self)];
        while self.kind() == Tok::Comma && !self.at_break() {
            self.at += 1;
            out.push(one(self));
        }
        out
    }

    /// `let pattern: T = value`; the value ends before `in`.
    pub(super) fn let_head(&mut self) -> (Pattern, Option<TypeExpr>, Expr) {
        self.at += 1;
        let pattern = self.pattern();
        if let (Pattern::Name(name), Tok::LParen) = (&pattern, self.kind())
            && !self.token().space
        {
            let d = Diagnostic::error("E0021", self.here(), format!("expected `=` after `let {}`, found `(`", name.name))
                .at("`let` has no parameters")
                .help(format!("a function is `fn {0}(x) = …` at the top level, or `let {0} = x -> …` anywhere", name.name));
            self.complain(d);
            self.params();
        }
        let ty = self.annotation();
        if !self.want(Tok::Eq, "and a value in `let`") {
            let value = self.error_expr();
            return (pattern, ty, value);
        }
        let cx = self.cx;
        self.cx.no_in = true;
        let value = self.expr();
        self.cx = cx;
        (pattern, ty, value)
    }

    /// `x = 3`.
    fn without_let(&mut self, start: Span) -> StmtKind {
        let name = self.bump();
        let name = self.ident_of(name);
        let d = Diagnostic::error("E0039", start, format!("`{}` is given a value without `let`", name.name));
        let bound = self.tokens.get(..self.at).unwrap_or_default().windows(2).find_map(|w| match w {
            [l, n] if l.kind == Tok::Let && self.text_of(*n) == &*name.name => Some(self.span_of(*n)),
            _ => None,
        });
        let d = match bound {
            Some(first) => d
                .at("this does not change it")
                .label(first, "it has a value from here")
                .help(format!("values do not change: give the new one a name of its own, `let {}2 = …`", name.name)),
            None => d.at("a new name?").fix("write `let` before it", Span { end: start.start, ..start }, "let "),
        };
        self.report(d);
        self.at += 1;
        StmtKind::Let(Pattern::Name(name), None, self.expr())
    }

    fn save(&mut self) -> StmtKind {
        let value = self.expr();
        if !self.eat_word(Word::To) {
            let d = self.expected("E0021", "`to` and a file name").help("write `save w to \"w.npy\"`");
            self.complain(d);
            return StmtKind::Save(value, self.error_expr());
        }
        StmtKind::Save(value, self.expr())
    }

    fn assert(&mut self) -> StmtKind {
        let cond = self.expr();
        if self.kind() == Tok::Eq && !self.at_break() {
            self.equality_meant();
            self.at += 1;
            self.expr();
        }
        let message = (!self.at_break() && self.eat(Tok::Comma)).then(|| self.expr());
        StmtKind::Assert(cond, message)
    }

    /// `certify s: kkt <= 1e-8, feasible <= 1e-10`.
    fn certify(&mut self) -> StmtKind {
        let what = self.expr();
        if !self.want(Tok::Colon, "and the conditions after what is certified") {
            return StmtKind::Certify(what, Vec::new());
        }
        StmtKind::Certify(what, self.some(Self::expr))
    }

    /// Words that start statements elsewhere.
    fn foreign_word(&self) -> Option<Diagnostic> {
        let (token, next) = (self.token(), self.ahead(1));
        if next.nl || !matches!(next.kind, Tok::Name | Tok::Str | Tok::LBrace | Tok::Int | Tok::Real) {
            return None;
        }
        let word = self.text_of(token);
        let help = match word {
            "def" | "function" | "func" | "fun" => "a function is `fn f(x) = …`",
            "var" | "const" | "val" | "mut" => "a value is named by `let x = …`",
            "import" | "include" | "require" => "library names come by `use nn.{mlp}`",
            "return" => "the value of a block is its last line; there is no `return`",
            "elif" | "elsif" | "elseif" => "a further condition is `else if`",
            "minimize" | "minimise" => "write `min x: real[n] of …`",
            "maximize" | "maximise" => "write `max x: real[n] of …`",
            "class" | "struct" => "a record type is `type t = {a: real, b: real[n]}`",
            _ => return None,
        };
        Some(
            Diagnostic::error("E0033", self.span_of(token), format!("`{word}` is not a word of this language"))
                .at("read as a name, and no name follows another")
                .help(help),
        )
    }

    /// An item where only statements may stand: parsed for its own errors, and refused.
    fn item_in_body(&mut self, word: Token) {
        let text = self.text_of(word);
        let cure = match word.word {
            Word::Fn => "inside a block a function is `let f = x -> …`",
            _ => "move it to the top level of the script",
        };
        let d = Diagnostic::error("E0027", self.span_of(word), format!("`{text}` stands only at the top level"))
            .at("inside a body")
            .help(cure);
        self.report(d);
        self.item();
    }
}

/// Can a line that starts with this token only be the continuation of the line above?
fn goes_on(token: Token) -> bool {
    matches!(
        token.kind,
        Tok::In
            | Tok::Then
            | Tok::Else
            | Tok::Of
            | Tok::By
            | Tok::From
            | Tok::Until
            | Tok::With
            | Tok::And
            | Tok::Or
            | Tok::Comma
            | Tok::Compose
            | Tok::DotDot
            | Tok::DotDotEq
            | Tok::Eq
            | Tok::EqEq
            | Tok::Ne
            | Tok::Lt
            | Tok::Le
            | Tok::Gt
            | Tok::Ge
            | Tok::Arrow
            | Tok::Tilde
            | Tok::Plus
            | Tok::Star
            | Tok::Slash
            | Tok::At
            | Tok::Caret
            | Tok::Amp
            | Tok::Pipe
    )
}
