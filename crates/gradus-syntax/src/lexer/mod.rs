//! Text to tokens, byte by byte. Never fails: what it cannot read becomes a diagnostic and a best guess.

mod slips;
mod values;

use crate::diagnostic::Diagnostic;
use crate::span::{FileId, Span};
use crate::token::{Tok, Token, Word, classify};
use values::escape_len;
pub(crate) use values::{parse_int, parse_real, unquote};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommentKind {
    /// `//`
    Line,
    /// `///`: documents the item below.
    Doc,
}

/// A comment, kept beside the tokens for the formatter and for documentation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comment {
    pub kind: CommentKind,
    pub start: u32,
    /// Without the line break.
    pub end: u32,
    /// The index of the token that follows.
    pub before: u32,
}

pub(crate) struct Lexed {
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
    pub diagnostics: Vec<Diagnostic>,
}

/// More complaints than this about characters help nobody.
const MOST_DIAGNOSTICS: usize = 100;

pub(crate) fn lex(file: FileId, text: &str) -> Lexed {
    let mut lexer = Lexer {
        file,
        text,
        bytes: text.as_bytes(),
        at: 0,
        nl: true,
        space: true,
        out: Lexed {
            tokens: Vec::with_capacity(text.len() / 4 + 8),
            comments: Vec::new(),
            diagnostics: Vec::new(),
        },
    };
    lexer.run();
    lexer.out
}

struct Lexer<'a> {
    file: FileId,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    nl: bool,
    space: bool,
    out: Lexed,
}

fn is_word_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

impl Lexer<'_> {
    fn run(&mut self) {
        if self.text.len() >= u32::MAX as usize {
            let span = Span::new(self.file, 0, 0);
            self.report(Diagnostic::error("E0006", span, "the text is longer than 4 GB"));
            self.push(Tok::Eof, 0);
            return;
        }
        if self.text.starts_with('\u{feff}') {
            self.at = 3;
        }
        while let Some(&b) = self.bytes.get(self.at) {
            match b {
                b' ' | b'\t' | b'\r' => {
                    self.at += 1;
                    self.space = true;
                }
                b'\n' => {
                    self.at += 1;
                    self.nl = true;
                    self.space = true;
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(),
                b'0'..=b'9' => self.number(),
                b'"' => self.string(),
                b'/' if self.peek(1) == b'/' => self.comment(2),
                b'/' if self.peek(1) == b'*' => self.block_comment(),
                b'#' => {
                    let start = self.at;
                    let end = self.line_end();
                    self.report(
                        Diagnostic::error("E0001", self.span(start, start + 1), "`#` is not used in this language")
                            .at("here")
                            .fix("a comment starts with `//`", self.span(start, start + 1), "//"),
                    );
                    self.at = end;
                    self.space = true;
                }
                b'\'' => self.prime(),
                _ if b < 0x80 => self.operator(b),
                _ => self.foreign(),
            }
        }
        self.nl = true;
        self.space = true;
        self.push(Tok::Eof, self.at);
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    fn report(&mut self, d: Diagnostic) {
        if self.out.diagnostics.len() < MOST_DIAGNOSTICS {
            self.out.diagnostics.push(d);
        }
    }

    fn line_end(&self) -> usize {
        self.bytes[self.at..].iter().position(|&b| b == b'\n').map_or(self.bytes.len(), |n| self.at + n)
    }

    fn push(&mut self, kind: Tok, start: usize) {
        self.push_word(kind, Word::None, start);
    }

    fn push_word(&mut self, kind: Tok, word: Word, start: usize) {
        self.out.tokens.push(Token {
            kind,
            word,
            nl: self.nl,
            space: self.space,
            virt: false,
            start: start as u32,
            end: self.at as u32,
            mate: 0,
        });
        self.nl = false;
        self.space = false;
    }

    fn word(&mut self) {
        let start = self.at;
        loop {
            match self.bytes.get(self.at) {
                Some(&b) if is_word_byte(b) => self.at += 1,
                Some(&b) if b >= 0x80 => match self.text[self.at..].chars().next() {
                    Some(c) if c.is_alphanumeric() => self.at += c.len_utf8(),
                    _ => break,
                },
                _ => break,
            }
        }
        let (kind, word) = classify(&self.text[start..self.at]);
        self.push_word(kind, word, start);
    }

    /// `1`, `1.5`, `1e-3`, `1_000`, `30%`. A dot belongs to the number only when a digit follows, so `0..10` is a range.
    fn number(&mut self) {
        let start = self.at;
        if self.peek(0) == b'0' && matches!(self.peek(1), b'x' | b'b' | b'o') && is_word_byte(self.peek(2)) {
            self.skip_word();
            self.bad_number(start, "numbers are decimal", None);
            return;
        }
        let mut real = false;
        self.digits();
        if self.peek(0) == b'.' && self.peek(1).is_ascii_digit() {
            real = true;
            self.at += 1;
            self.digits();
        } else if self.peek(0) == b'.' && self.peek(1) != b'.' && !self.dot_may_follow() {
            let text = self.text[start..self.at].to_string();
            self.at += 1;
            let exponent = self.exponent();
            let rest = self.text[self.at - exponent..self.at].to_string();
            self.bad_number(start, "a digit must follow the decimal point", Some(format!("{text}.0{rest}")));
            return;
        }
        real |= self.exponent() > 0;
        if self.peek(0) == b'%' && !is_word_byte(self.peek(1)) && self.peek(1) != b'(' {
            real = true;
            self.at += 1;
        }
        let body = &self.text[start..self.at];
        if body.ends_with('_') || body.contains("__") {
            self.bad_number(start, "`_` stands between two digits", None);
            return;
        }
        if is_word_byte(self.peek(0)) || (self.peek(0) >= 0x80 && self.letter_ahead()) {
            let split = self.at;
            self.skip_word();
            let tail = &self.text[split..self.at];
            // A unit of time after a number, as in `until time 10s`: two tokens.
            if matches!(tail, "s" | "ms" | "min") {
                self.at = split;
            } else {
                let (head, tail) = (self.text[start..split].to_string(), tail.to_string());
                self.bad_number(start, "a number runs into a name", Some(format!("{head} * {tail}")));
                return;
            }
        }
        if real {
            if parse_real(&self.text[start..self.at]).is_none_or(|v| !v.is_finite()) {
                self.bad_number(start, "this is beyond the largest number, about 1.8e308", None);
                return;
            }
        } else if parse_int(&self.text[start..self.at]).is_none() {
            let float = format!("{}.0", self.text[start..self.at].replace('_', ""));
            self.bad_number(start, "integers are exact only up to 2^53", Some(float));
            return;
        }
        self.push(if real { Tok::Real } else { Tok::Int }, start);
    }

    fn digits(&mut self) {
        while self.peek(0).is_ascii_digit() || (self.peek(0) == b'_' && (self.peek(1).is_ascii_digit() || self.peek(1) == b'_')) {
            self.at += 1;
        }
    }

    /// After the digits of a number: is this dot a field, a composition or a range rather than a decimal point?
    fn dot_may_follow(&self) -> bool {
        let next = self.peek(1);
        let exponent = matches!(next, b'e' | b'E') && (self.peek(2).is_ascii_digit() || matches!(self.peek(2), b'-' | b'+'));
        (next.is_ascii_alphabetic() || next == b'_') && !exponent
    }

    /// Length of the exponent read.
    fn exponent(&mut self) -> usize {
        if !matches!(self.peek(0), b'e' | b'E') {
            return 0;
        }
        let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
        if !self.peek(1 + sign).is_ascii_digit() {
            return 0;
        }
        let start = self.at;
        self.at += 1 + sign;
        self.digits();
        self.at - start
    }

    fn letter_ahead(&self) -> bool {
        self.text[self.at..].chars().next().is_some_and(char::is_alphanumeric)
    }

    fn skip_word(&mut self) {
        while is_word_byte(self.peek(0)) || (self.peek(0) >= 0x80 && self.letter_ahead()) {
            self.at += self.text[self.at..].chars().next().map_or(1, char::len_utf8);
        }
    }

    fn bad_number(&mut self, start: usize, why: &str, cure: Option<String>) {
        let span = self.span(start, self.at);
        let text = &self.text[start..self.at];
        let mut d = Diagnostic::error("E0003", span, format!("`{text}` is not a number")).at(why);
        if let Some(cure) = cure {
            d = d.fix(format!("write `{cure}`"), span, cure);
        }
        self.report(d);
        self.push(Tok::Bad, start);
    }

    fn string(&mut self) {
        let start = self.at;
        self.at += 1;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    break;
                }
                None | Some(b'\n') => {
                    let span = self.span(start, start + 1);
                    let end = self.span(self.at, self.at);
                    self.report(
                        Diagnostic::error("E0002", span, "this text is never closed")
                            .at("it starts here and its line ends without a closing `\"`")
                            .fix("close it with `\"`; `\\n` writes a line break inside a text", end, "\""),
                    );
                    break;
                }
                Some(b'\\') => {
                    let here = self.at;
                    let len = escape_len(&self.text[here..]);
                    if len == 0 {
                        let width = 1 + self.text[here + 1..].chars().next().map_or(0, char::len_utf8);
                        let span = self.span(here, here + width);
                        let text = self.text[here..here + width].trim_end().to_string();
                        self.report(
                            Diagnostic::error("E0004", span, format!("`{text}` is no escape"))
                                .at("in this text")
                                .help("the escapes are `\\n`, `\\t`, `\\\\`, `\\\"` and `\\u{1F600}`"),
                        );
                        self.at += 1;
                    } else {
                        self.at += len;
                    }
                }
                Some(_) => self.at += 1,
            }
        }
        self.push(Tok::Str, start);
    }

    fn comment(&mut self, marker: usize) {
        let start = self.at;
        let end = self.line_end();
        let text = &self.bytes[start + marker..end];
        let kind = if text.first() == Some(&b'/') && text.get(1) != Some(&b'/') { CommentKind::Doc } else { CommentKind::Line };
        let trimmed = self.text[start..end].trim_end().len();
        self.out.comments.push(Comment {
            kind,
            start: start as u32,
            end: (start + trimmed) as u32,
            before: self.out.tokens.len() as u32,
        });
        self.at = end;
        self.space = true;
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let end = self.text[start + 2..].find("*/").map_or(self.bytes.len(), |n| start + 2 + n + 2);
        self.report(
            Diagnostic::error("E0005", self.span(start, start + 2), "`/*` is not used in this language")
                .at("here")
                .help("start every line of a comment with `//`"),
        );
        self.nl |= self.bytes[start..end].contains(&b'\n');
        self.at = end;
        self.space = true;
    }

    /// `x'` is the transpose; a quote elsewhere looks like a text in the wrong quotes.
    fn prime(&mut self) {
        let start = self.at;
        let touches = !self.space
            && self.out.tokens.last().is_some_and(|t| {
                t.kind.is_close() || matches!(t.kind, Tok::Name | Tok::Prime | Tok::Int | Tok::Real | Tok::Str)
            });
        self.at += 1;
        if touches {
            self.push(Tok::Prime, start);
            return;
        }
        let rest = &self.bytes[self.at..self.line_end()];
        if let Some(close) = rest.iter().position(|&b| b == b'\'') {
            let text = self.text[self.at..self.at + close].to_string();
            self.at += close + 1;
            let span = self.span(start, self.at);
            self.report(
                Diagnostic::error("E0001", span, "a text stands in double quotes")
                    .at("`'` is the transpose, as in `w'`")
                    .fix("use double quotes", span, format!("\"{text}\"")),
            );
            self.push(Tok::Str, start);
        } else {
            self.report(
                Diagnostic::error("E0001", self.span(start, self.at), "nothing to transpose before `'`")
                    .at("`'` follows what it transposes without a space, as in `w'`"),
            );
            self.push(Tok::Bad, start);
        }
    }

    fn operator(&mut self, b: u8) {
        use Tok::*;
        let (n1, n2) = (self.peek(1), self.peek(2));
        let (kind, len) = match b {
            b'(' => (LParen, 1),
            b')' => (RParen, 1),
            b'[' => (LBracket, 1),
            b']' => (RBracket, 1),
            b'{' => (LBrace, 1),
            b'}' => (RBrace, 1),
            b',' => (Comma, 1),
            b';' => (Semi, 1),
            b'~' => (Tilde, 1),
            b'@' => (At, 1),
            b'^' => (Caret, 1),
            b'.' if n1 == b'.' && n2 == b'.' => (Ellipsis, 3),
            b'.' if n1 == b'.' && n2 == b'=' && self.peek(3) != b'=' => (DotDotEq, 3),
            b'.' if n1 == b'.' => (DotDot, 2),
            b'.' if n1.is_ascii_digit() && (self.space || !self.out.tokens.last().is_some_and(|t| ends_operand(t.kind))) => {
                let start = self.at;
                self.at += 1;
                self.digits();
                self.exponent();
                let text = self.text[start..self.at].to_string();
                self.bad_number(start, "a digit must stand before the decimal point", Some(format!("0{text}")));
                return;
            }
            b'.' if self.space && matches!(n1, b' ' | b'\n' | b'\r' | b'\t') => (Compose, 1),
            b'.' => (Dot, 1),
            b'=' if n1 == b'=' && n2 == b'=' => return self.slip(EqEq, 3, "==", "equality is"),
            b'=' if n1 == b'=' => (EqEq, 2),
            b'=' if n1 == b'>' => return self.slip(Arrow, 2, "->", "the arrow of a function is"),
            b'=' => (Eq, 1),
            b'!' if n1 == b'=' => (Ne, 2),
            b'!' => return self.slip(Not, 1, "not", "negation is"),
            b'<' if n1 == b'=' => (Le, 2),
            b'<' if n1 == b'-' => (LArrow, 2),
            b'<' if n1 == b'>' => return self.slip(Ne, 2, "!=", "inequality is"),
            b'<' => (Lt, 1),
            b'>' if n1 == b'=' => (Ge, 2),
            b'>' => (Gt, 1),
            b'-' if n1 == b'>' => (Arrow, 2),
            b'+' | b'-' | b'*' | b'/' if n1 == b'=' && n2 != b'=' => return self.slip_assign(),
            b'-' => (Minus, 1),
            b'+' => (Plus, 1),
            b'*' if n1 == b'*' => return self.slip(Caret, 2, "^", "the power is"),
            b'*' => (Star, 1),
            b'/' => (Slash, 1),
            b'&' if n1 == b'&' => return self.slip(And, 2, "and", "logical and is"),
            b'&' => (Amp, 1),
            b'|' if n1 == b'>' => (Pipe, 2),
            b'|' if n1 == b'|' => return self.slip(Or, 2, "or", "logical or is"),
            b':' if n1 == b'=' => return self.slip(Eq, 2, "=", "a definition is"),
            b':' => (Colon, 1),
            b'%' => return self.slip(Name, 1, "mod", "the remainder is"),
            _ => return self.unknown(),
        };
        let start = self.at;
        self.at += len;
        self.push(kind, start);
    }
}

fn ends_operand(kind: Tok) -> bool {
    kind.is_close() || matches!(kind, Tok::Name | Tok::Prime | Tok::Int | Tok::Real | Tok::Str)
}
