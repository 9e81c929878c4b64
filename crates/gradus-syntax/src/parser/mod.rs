//! Tokens to tree: recursive descent for items and statements, operator precedence for expressions.
//!
//! Two habits keep errors apart. Brackets always balance when parsing starts (`brackets.rs`), so whatever goes wrong
//! inside a bracket ends at its closer. And a second complaint at the same token is never made.

mod binder;
mod body;
mod expr;
mod item;
mod primary;
mod stmt;
mod types;

use crate::ast::{Expr, ExprKind, Ident, Module};
use crate::brackets::balance;
use crate::diagnostic::Diagnostic;
use crate::lexer::{Comment, CommentKind, lex};
use crate::span::{FileId, Span};
use crate::token::{Tok, Token, Word};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// Deepest nesting of one expression, type or pattern, counted in calls of the parser (about two a bracket). It is
/// chosen so that plain recursion over the tree (as in `Drop`) stays within a 2 MB stack.
pub(crate) const MOST_LEVELS: u32 = 5_000;

/// After so many errors the rest of the text is not looked at.
const MOST_ERRORS: usize = 100;

/// What holds inside the innermost bracket.
#[derive(Clone, Copy, Default)]
struct Context {
    /// Line breaks end nothing (inside parentheses, brackets and records).
    free: bool,
    /// `in` ends the expression instead of asking for membership (the value of a `let`).
    no_in: bool,
    /// Inside `x[…]`: a range may lack its end.
    index: bool,
    /// Inside `until` and `stop`: `time 10 s` is a condition.
    until: bool,
}

pub(crate) struct Parser<'a> {
    file: FileId,
    text: &'a str,
    tokens: &'a [Token],
    comments: &'a [Comment],
    at: usize,
    cx: Context,
    depth: u32,
    /// Height of the tree built last, from above.
    height: u32,
    names: HashMap<&'a str, Arc<str>, BuildHasherDefault<NameHasher>>,
    diagnostics: Vec<Diagnostic>,
    /// The token of the last complaint.
    complained: usize,
    /// The first token of the innermost statement: the line break before it is not one that ends it.
    line_start: usize,
    /// Something is nested too deeply: the rest of the text is not looked at, and nothing is said about it.
    given_up: bool,
    /// What each token does where its spelling does not tell; only the formatter asks.
    marks: Option<Vec<Mark>>,
}

/// What the formatter must know about a token beyond its kind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mark {
    /// The first token of a statement or of a line in a body.
    pub start: bool,
    pub role: Role,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Role {
    #[default]
    Plain,
    /// A minus or `not` that has one operand.
    Prefix,
    /// An operator between two operands, with its binding power.
    Infix(u8),
    /// A word that starts a binder: its clauses align with it.
    Binder,
    /// `of`, `by`, `diff` and `subject` of the binder at that token.
    Clause(u32),
    /// The `in` of the `let … in` at that token.
    InOf(u32),
    /// A clause of a `solve`, or a word that continues a declaration.
    Continuation,
    /// `=`, `~` or `by` that may line up with those above and below.
    Align,
    /// The parenthesis of a call or of parameters: it touches what stands before it.
    Touch,
    /// Braces that hold statements.
    Body,
}

/// Parses one text. Whatever could not be read is an `Error` node in the tree and a diagnostic in the list; the
/// diagnostics are in order of position.
pub fn parse(file: FileId, text: &str) -> (Module, Vec<Diagnostic>) {
    let (module, diagnostics, _) = parse_marked(file, text, false);
    (module, diagnostics)
}

/// Everything one parse yields. The marks are empty unless asked for.
pub(crate) fn parse_marked(file: FileId, text: &str, marks: bool) -> (Module, Vec<Diagnostic>, Parsed) {
    let mut lexed = lex(file, text);
    balance(file, text, &mut lexed.tokens, &mut lexed.diagnostics);
    let mut parser = Parser {
        file,
        text,
        tokens: &lexed.tokens,
        comments: &lexed.comments,
        at: 0,
        cx: Context::default(),
        depth: 0,
        height: 0,
        names: HashMap::default(),
        diagnostics: lexed.diagnostics,
        complained: usize::MAX,
        line_start: 0,
        given_up: false,
        marks: marks.then(|| vec![Mark::default(); lexed.tokens.len()]),
    };
    let module = parser.module();
    let marks = parser.marks.take().unwrap_or_default();
    let mut diagnostics = std::mem::take(&mut parser.diagnostics);
    diagnostics.sort_by_key(|d| (d.primary.span.start, d.primary.span.end));
    (module, diagnostics, Parsed { tokens: lexed.tokens, comments: lexed.comments, marks })
}

pub(crate) struct Parsed {
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
    pub marks: Vec<Mark>,
}

/// Names are short and come from a text of one's own: a multiplicative hash will do, and is quick.
#[derive(Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        self.0 ^= self.0 >> 32;
    }
}

impl<'a> Parser<'a> {
    // ---- the cursor

    fn token(&self) -> Token {
        self.tokens[self.at]
    }

    fn kind(&self) -> Tok {
        self.tokens[self.at].kind
    }

    fn word(&self) -> Word {
        self.tokens[self.at].word
    }

    /// The token that many ahead; the end of the text beyond it.
    fn ahead(&self, n: usize) -> Token {
        self.tokens[(self.at + n).min(self.tokens.len() - 1)]
    }

    fn bump(&mut self) -> Token {
        let token = self.tokens[self.at];
        if token.kind != Tok::Eof {
            self.at += 1;
        }
        token
    }

    fn eat(&mut self, kind: Tok) -> bool {
        let hit = self.kind() == kind;
        if hit {
            self.at += 1;
        }
        hit
    }

    fn eat_word(&mut self, word: Word) -> bool {
        let hit = self.word() == word;
        if hit {
            self.at += 1;
        }
        hit
    }

    /// The current token starts a new line where lines count.
    fn at_break(&self) -> bool {
        self.token().nl && !self.cx.free && self.at != self.line_start
    }

    /// The current token ends a statement: a line break, `;`, a closer or the end of the text.
    fn at_end(&self) -> bool {
        self.at_break() || matches!(self.kind(), Tok::Semi | Tok::Eof) || self.kind().is_close()
    }

    // ---- spans and names

    fn span_of(&self, token: Token) -> Span {
        Span { file: self.file, start: token.start, end: token.end }
    }

    fn here(&self) -> Span {
        self.span_of(self.token())
    }

    /// The token just read.
    fn last(&self) -> Span {
        match self.at.checked_sub(1) {
            Some(i) => self.span_of(self.tokens[i]),
            None => Span { file: self.file, start: 0, end: 0 },
        }
    }

    /// From there up to the token just read.
    fn since(&self, start: Span) -> Span {
        Span { file: self.file, start: start.start, end: self.last().end.max(start.end) }
    }

    fn text_of(&self, token: Token) -> &'a str {
        &self.text[token.start as usize..token.end as usize]
    }

    fn name_of(&mut self, token: Token) -> Arc<str> {
        let text = self.text_of(token);
        self.names.entry(text).or_insert_with(|| Arc::from(text)).clone()
    }

    fn ident_of(&mut self, token: Token) -> Ident {
        Ident { name: self.name_of(token), span: self.span_of(token) }
    }

    fn missing_name(&self) -> Ident {
        Ident { name: Arc::from("?"), span: self.here() }
    }

    fn error_expr(&self) -> Expr {
        Expr { kind: Box::new(ExprKind::Error), span: Span { end: self.token().start, ..self.here() } }
    }

    // ---- complaints

    fn complain(&mut self, d: Diagnostic) {
        // What the lexer could not read it has complained about, and behind a bracket that was closed by guess nothing
        // is certain.
        let guessed = self.at > 0 && self.tokens[self.at - 1].virt;
        if self.complained != self.at && self.kind() != Tok::Bad && !guessed {
            self.report(d);
        }
        self.complained = self.at;
        if self.diagnostics.len() >= MOST_ERRORS {
            self.at = self.tokens.len() - 1;
            self.complained = self.at;
        }
    }

    /// A complaint that is about something other than the current token, and silences nothing.
    fn report(&mut self, d: Diagnostic) {
        if self.diagnostics.len() < MOST_ERRORS && !self.given_up {
            self.diagnostics.push(d);
        }
    }

    /// What stands at the cursor, for a message.
    fn found(&self) -> String {
        if self.at_break() {
            return if self.kind() == Tok::Eof { "the end of the text".into() } else { "the end of the line".into() };
        }
        self.describe(self.token())
    }

    fn describe(&self, token: Token) -> String {
        match token.kind {
            Tok::Eof => "the end of the text".into(),
            Tok::Int | Tok::Real => format!("the number `{}`", self.text_of(token)),
            Tok::Str => "a text".into(),
            Tok::Name => format!("`{}`", self.text_of(token)),
            Tok::Bad => format!("`{}`", self.text_of(token).chars().take(20).collect::<String>().escape_debug()),
            kind => format!("`{}`", kind.spelling()),
        }
    }

    /// Where a complaint about the current token points: at it, or behind the last one when the line ends.
    fn spot(&self) -> Span {
        if self.at_break() || self.token().virt {
            let end = self.last().end;
            return Span { file: self.file, start: end, end };
        }
        self.here()
    }

    fn expected(&self, code: &'static str, what: &str) -> Diagnostic {
        let found = self.found();
        Diagnostic::error(code, self.spot(), format!("expected {what}, found {found}")).at(format!("expected {what}"))
    }

    /// Reads a token of that kind or says that it is missing.
    fn want(&mut self, kind: Tok, after: &str) -> bool {
        if self.eat(kind) {
            return true;
        }
        let d = self.expected("E0021", &format!("`{}` {after}", kind.spelling()));
        self.complain(d);
        false
    }

    /// Reads a name, or says that `what` is missing.
    fn want_name(&mut self, what: &str) -> Ident {
        let token = self.token();
        // A line may break after a comma or `of`, as before any operand.
        let broken = self.at_break() && !(self.at > 0 && matches!(self.tokens[self.at - 1].kind, Tok::Comma | Tok::Of));
        if token.kind == Tok::Name && !broken {
            self.at += 1;
            return self.ident_of(token);
        }
        if token.kind.is_reserved() && !broken {
            let word = token.kind.spelling();
            let d = Diagnostic::error("E0023", self.here(), format!("`{word}` is a reserved word"))
                .at(format!("expected {what}"))
                .help(format!("another name will do, for example `{word}_`"));
            self.complain(d);
            // Taken for the name that was meant, when what follows fits a name.
            if matches!(self.ahead(1).kind, Tok::Eq | Tok::Colon | Tok::LParen | Tok::Comma | Tok::RParen | Tok::Tilde | Tok::LArrow) {
                self.at += 1;
                return self.ident_of(token);
            }
            return self.missing_name();
        }
        let d = self.expected("E0022", what);
        self.complain(d);
        self.missing_name()
    }

    // ---- brackets and depth

    /// Runs `inside` between an opener, which is the current token, and its closer, and leaves the cursor behind the
    /// closer whatever happened. `free` says whether line breaks mean nothing inside.
    fn bracketed<T>(&mut self, free: bool, what: &str, inside: impl FnOnce(&mut Self) -> T) -> T {
        let opener = self.bump();
        let close = opener.mate as usize;
        let cx = self.cx;
        self.cx = Context { free, no_in: false, index: false, until: cx.until && free };
        let out = inside(self);
        if self.at < close {
            let d = self.expected("E0021", &format!("{what}`{}`", opener.kind.closer().spelling()));
            let d = d.label(self.span_of(opener), "to close this");
            self.complain(d);
        }
        self.cx = cx;
        if self.at <= close {
            self.at = close + 1;
        }
        out
    }

    /// A comma-separated list up to the closer of the bracket that is open.
    fn commas<T>(&mut self, close: Tok, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut out = Vec::new();
        while self.kind() != close && self.kind() != Tok::Eof {
            out.push(one(self));
            if !self.eat(Tok::Comma) {
                break;
            }
        }
        out
    }

    /// One level down: grows the stack where needed, refuses what is nested beyond reason.
    fn deeper<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::take(&mut self.height);
        self.depth += 1;
        if self.depth > MOST_LEVELS {
            self.too_deep();
        }
        let out = stacker::maybe_grow(64 * 1024, 1024 * 1024, || run(self));
        self.depth -= 1;
        self.height = outer.max(self.height + 1);
        out
    }

    /// The tree under construction gets one level higher on its left side, where no call nests: `a + b + c …`.
    fn grow(&mut self) {
        self.height += 1;
        if self.height > MOST_LEVELS {
            self.too_deep();
        }
    }

    /// Gives up on the rest of the text: at such depth nothing sensible can be said about it.
    fn too_deep(&mut self) {
        let d = Diagnostic::error("E0040", self.here(), "this is nested too deeply")
            .at(format!("more than {MOST_LEVELS} levels"))
            .help("give the inner parts names with `let`, or write a long sum as `sum([…])`");
        self.report(d);
        self.given_up = true;
        self.at = self.tokens.len() - 1;
    }

    // ---- marks and documentation

    fn role(&mut self, at: usize, role: Role) {
        if let Some(mark) = self.marks.as_mut().and_then(|m| m.get_mut(at)) {
            mark.role = role;
        }
    }

    fn starts_here(&mut self) {
        let at = self.at;
        if let Some(mark) = self.marks.as_mut().and_then(|m| m.get_mut(at)) {
            mark.start = true;
        }
    }

    /// The `///` lines right above the current token.
    fn doc(&self) -> Option<Arc<str>> {
        let at = self.at as u32;
        // Empty statements do not come between an item and its documentation.
        let from = at - self.tokens[..self.at].iter().rev().take_while(|t| t.kind == Tok::Semi).count() as u32;
        let first = self.comments.partition_point(|c| c.before < from);
        let mut doc: Option<String> = None;
        for c in self.comments[first..].iter().take_while(|c| c.before <= at) {
            if c.kind == CommentKind::Doc {
                let line = &self.text[c.start as usize + 3..c.end as usize];
                let line = line.strip_prefix(' ').unwrap_or(line);
                match &mut doc {
                    Some(doc) => {
                        doc.push('\n');
                        doc.push_str(line);
                    }
                    None => doc = Some(line.to_string()),
                }
            }
        }
        doc.map(Arc::from)
    }
}
