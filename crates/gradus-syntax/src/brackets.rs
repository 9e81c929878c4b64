//! Makes brackets balance before parsing, so that one missing bracket is one complaint and the rest still parses.
//!
//! Well-formed text passes through a single cheap loop. Only when that loop finds a bracket without partner does the
//! second one run; it uses indentation to guess where the bracket was meant to end and inserts a closer there.

use crate::diagnostic::Diagnostic;
use crate::span::{FileId, Span};
use crate::token::{Tok, Token, Word};

pub(crate) fn balance(file: FileId, text: &str, tokens: &mut Vec<Token>, diagnostics: &mut Vec<Diagnostic>) {
    if !pair(tokens) {
        *tokens = repair(file, text, tokens, diagnostics);
        pair(tokens);
    }
}

/// Links every bracket with its partner; false when one has none.
fn pair(tokens: &mut [Token]) -> bool {
    let mut open: Vec<usize> = Vec::new();
    for i in 0..tokens.len() {
        let kind = tokens[i].kind;
        if kind.is_open() {
            open.push(i);
        } else if kind.is_close() {
            match open.pop() {
                Some(o) if tokens[o].kind.closer() == kind => {
                    tokens[o].mate = i as u32;
                    tokens[i].mate = o as u32;
                }
                _ => return false,
            }
        }
    }
    open.is_empty()
}

/// The complaints, up to a number that helps.
struct Reports<'a>(&'a mut Vec<Diagnostic>);

impl Reports<'_> {
    fn push(&mut self, d: Diagnostic) {
        if self.0.len() < 100 {
            self.0.push(d);
        }
    }
}

struct Open {
    token: Token,
    /// Indentation of the line it stands on.
    indent: usize,
}

fn repair(file: FileId, text: &str, tokens: &[Token], reports: &mut Vec<Diagnostic>) -> Vec<Token> {
    let mut diagnostics = Reports(reports);
    let diagnostics = &mut diagnostics;
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len() + 4);
    let mut open: Vec<Open> = Vec::new();
    let mut indent = 0;
    for (i, &token) in tokens.iter().enumerate() {
        if token.nl {
            let column = column(text, token.start as usize);
            indent = column;
            if starts_something(tokens, i) {
                while open.last().is_some_and(|o| o.indent >= column) {
                    let Some(o) = open.pop() else { break };
                    unclosed(file, &o, diagnostics);
                    close(&mut out, o.token.kind);
                }
            }
        }
        if token.kind == Tok::Eof {
            while let Some(o) = open.pop() {
                unclosed(file, &o, diagnostics);
                close(&mut out, o.token.kind);
            }
        } else if token.kind.is_open() {
            open.push(Open { token, indent });
        } else if let Some(at) = missing_opener(text, &out, token, open.last()) {
            let end = out[at - 1].end;
            let spot = Span::new(file, end as usize, end as usize);
            let span = Span::new(file, token.start as usize, token.end as usize);
            diagnostics.push(
                Diagnostic::error("E0011", span, "`}` closes nothing")
                    .at("no brace is open at this indentation")
                    .label(spot, "the `{` may be missing here")
                    .fix("open the body with `{`", spot, " {"),
            );
            out.insert(at, Token { kind: Tok::LBrace, start: end, end, nl: false, virt: true, ..token });
        } else if token.kind.is_close() {
            let partner = open.iter().rposition(|o| o.token.kind.closer() == token.kind);
            match (partner, open.last()) {
                (Some(at), _) => {
                    while open.len() > at + 1 {
                        let Some(o) = open.pop() else { break };
                        unclosed(file, &o, diagnostics);
                        close(&mut out, o.token.kind);
                    }
                    open.pop();
                }
                // Braces hold lines: a `)` too many among them does not end them.
                (None, Some(o)) if o.token.kind != Tok::LBrace => {
                    let want = o.token.kind.closer();
                    let span = Span::new(file, token.start as usize, token.end as usize);
                    let here = Span::new(file, o.token.start as usize, o.token.end as usize);
                    diagnostics.push(
                        Diagnostic::error("E0011", span, format!("`{}` does not close `{}`", token.kind.spelling(), o.token.kind.spelling()))
                            .at(format!("expected `{}`", want.spelling()))
                            .label(here, "opened here")
                            .fix(format!("write `{}`", want.spelling()), span, want.spelling()),
                    );
                    out.push(Token { kind: want, ..token });
                    open.pop();
                    continue;
                }
                (None, _) => {
                    let span = Span::new(file, token.start as usize, token.end as usize);
                    diagnostics.push(
                        Diagnostic::error("E0011", span, format!("`{}` closes nothing", token.kind.spelling()))
                            .at(format!("no `{}` is open here", opener_of(token.kind).spelling()))
                            .fix("remove it", span, ""),
                    );
                    continue;
                }
            }
        }
        out.push(token);
    }
    out
}

fn opener_of(closer: Tok) -> Tok {
    match closer {
        Tok::RParen => Tok::LParen,
        Tok::RBracket => Tok::LBracket,
        _ => Tok::LBrace,
    }
}

fn unclosed(file: FileId, o: &Open, diagnostics: &mut Reports) {
    let span = Span::new(file, o.token.start as usize, o.token.end as usize);
    let (open, close) = (o.token.kind.spelling(), o.token.kind.closer().spelling());
    diagnostics.push(
        Diagnostic::error("E0010", span, format!("`{open}` is never closed"))
            .at("opened here")
            .help(format!("add the missing `{close}`")),
    );
}

/// A closer of no width right behind what came before.
fn close(out: &mut Vec<Token>, opener: Tok) {
    let at = out.last().map_or(0, |t| t.end);
    out.push(Token { kind: opener.closer(), word: Word::None, nl: false, space: false, virt: true, start: at, end: at, mate: 0 });
}

/// Where the `{` is missing that a `}` at the start of a line was meant to close: at the end of the nearest line above
/// with the same indentation, when deeper lines follow it.
fn missing_opener(text: &str, out: &[Token], closer: Token, open: Option<&Open>) -> Option<usize> {
    /// Bodies are short; a search through a whole broken text would be slow.
    const FARTHEST: usize = 2_000;
    if closer.kind != Tok::RBrace || !closer.nl {
        return None;
    }
    let indent = column(text, closer.start as usize);
    if open.is_some_and(|o| o.token.kind == Tok::LBrace && o.indent >= indent) {
        return None;
    }
    let (mut deeper, mut depth) = (None, 0);
    for at in (0..out.len()).rev().take(FARTHEST) {
        let token = out[at];
        if token.kind.is_close() {
            depth += 1;
        } else if token.kind.is_open() {
            depth -= 1;
            if depth < 0 {
                return None;
            }
        }
        // Only between brackets, never inside a pair.
        if depth != 0 || !token.nl || token.kind == Tok::Semi {
            continue;
        }
        let column = column(text, token.start as usize);
        if column <= indent {
            return deeper.filter(|_| column == indent && !token.kind.is_close());
        }
        deeper = Some(at);
    }
    None
}

fn column(text: &str, at: usize) -> usize {
    let line = text.as_bytes()[..at].iter().rposition(|&b| b == b'\n').map_or(0, |n| n + 1);
    at - line
}

/// A token at the start of a line that begins a statement or an item.
fn starts_something(tokens: &[Token], i: usize) -> bool {
    let (token, next) = (tokens[i], tokens.get(i + 1).copied());
    if token.kind == Tok::Let {
        return true;
    }
    let Some(next) = next.filter(|n| !n.nl) else { return false };
    match token.word {
        Word::Print | Word::Plot | Word::Save | Word::Assert | Word::Certify => {
            next.kind.is_word() || matches!(next.kind, Tok::Str | Tok::Int | Tok::Real)
        }
        Word::Test | Word::Use => matches!(next.kind, Tok::Str | Tok::Name),
        w if (Word::Use as u8..=Word::Workers as u8).contains(&(w as u8)) => next.kind == Tok::Name,
        _ => false,
    }
}
