//! Tokens and comments in one sequence, with the line breaks between them.

use crate::parser::{Mark, Parsed, Role};
use crate::token::{Tok, Token};

/// A token or a comment.
pub(super) struct Piece<'a> {
    pub text: &'a str,
    pub kind: Kind,
    /// Line breaks before it: none, one, or one and a blank line.
    pub breaks: u8,
    /// In the source, something stands between it and the piece before.
    pub space: bool,
    /// In the source, more than one space stands before it.
    pub wide: bool,
    pub start: bool,
    pub role: Role,
    /// For a bracket: the index of its partner among the pieces.
    pub mate: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Token(Tok),
    Comment,
}

impl Piece<'_> {
    pub fn tok(&self) -> Option<Tok> {
        match self.kind {
            Kind::Token(tok) => Some(tok),
            Kind::Comment => None,
        }
    }

    pub fn is(&self, tok: Tok) -> bool {
        self.kind == Kind::Token(tok)
    }

    pub fn opens(&self) -> bool {
        self.tok().is_some_and(Tok::is_open)
    }

    pub fn closes(&self) -> bool {
        self.tok().is_some_and(Tok::is_close)
    }
}

pub(super) fn collect<'a>(text: &'a str, parsed: &Parsed) -> Vec<Piece<'a>> {
    let mut out: Vec<Piece<'a>> = Vec::with_capacity(parsed.tokens.len() + parsed.comments.len());
    // Where each token went, to translate the indices of mates and binders.
    let mut places: Vec<usize> = Vec::with_capacity(parsed.tokens.len());
    let mut comments = parsed.comments.iter().peekable();
    let mut end = 0;
    let mut carried = 0;
    for (i, token) in parsed.tokens.iter().enumerate() {
        while let Some(c) = comments.next_if(|c| c.before as usize == i) {
            let breaks = breaks_between(text, end, c.start as usize).max(carried);
            carried = 0;
            push(&mut out, &text[c.start as usize..c.end as usize], Kind::Comment, breaks, Mark::default());
            end = c.end as usize;
        }
        places.push(out.len());
        if token.kind == Tok::Eof {
            break;
        }
        let breaks = breaks_between(text, end, token.start as usize).max(carried);
        end = token.end as usize;
        if token.kind == Tok::Semi && superfluous(&parsed.tokens, i, out.last()) {
            carried = breaks;
            continue;
        }
        carried = 0;
        let mark = parsed.marks.get(i).copied().unwrap_or_default();
        push(&mut out, &text[token.start as usize..token.end as usize], Kind::Token(token.kind), breaks, mark);
        if let Some(piece) = out.last_mut() {
            piece.space = token.space;
            piece.wide = text[..token.start as usize].ends_with("  ");
            piece.mate = token.mate as usize;
        }
    }
    for piece in &mut out {
        let place = |t: u32| places.get(t as usize).copied().unwrap_or(0) as u32;
        piece.role = match piece.role {
            Role::Clause(t) => Role::Clause(place(t)),
            Role::InOf(t) => Role::InOf(place(t)),
            role => role,
        };
        piece.mate = places.get(piece.mate).copied().unwrap_or(0);
    }
    out
}

/// A semicolon is left out where a line break or a bracket ends the statement anyway.
fn superfluous(tokens: &[Token], i: usize, before: Option<&Piece>) -> bool {
    tokens[i].nl
        || before.is_none_or(Piece::opens)
        || tokens.get(i + 1).is_none_or(|t| t.nl || matches!(t.kind, Tok::Eof | Tok::Semi | Tok::RBrace))
}

fn push<'a>(out: &mut Vec<Piece<'a>>, text: &'a str, kind: Kind, breaks: u8, mark: Mark) {
    let closes = matches!(kind, Kind::Token(k) if k.is_close());
    let breaks = match out.last() {
        None => 0,
        // What follows a comment stands on a line of its own.
        Some(last) if last.kind == Kind::Comment => breaks.clamp(1, if closes { 1 } else { 2 }),
        // No blank line at the edges of a bracket.
        Some(last) if last.opens() || closes => breaks.min(1),
        // `} else`
        Some(last) if kind == Kind::Token(Tok::Else) && last.is(Tok::RBrace) => 0,
        _ => breaks,
    };
    out.push(Piece { text, kind, breaks, space: true, wide: false, start: mark.start, role: mark.role, mate: 0 });
}

fn breaks_between(text: &str, from: usize, to: usize) -> u8 {
    let gap = text.get(from..to).unwrap_or("");
    gap.bytes().filter(|&b| b == b'\n').count().min(2) as u8
}
