//! Is there a space between two neighbours on one line?

use super::pieces::{Kind, Piece};
use crate::parser::Role;
use crate::token::Tok;

/// The number of spaces between piece `i - 1` and piece `i` when they share a line.
pub(super) fn between(pieces: &[Piece], i: usize) -> usize {
    let (Some(left), Some(right)) = (pieces.get(i.wrapping_sub(1)), pieces.get(i)) else { return 0 };
    let (Kind::Token(a), Kind::Token(b)) = (left.kind, right.kind) else { return INLINE_COMMENT };
    // After a dot even a reserved word is the name of a field.
    let field = i >= 2 && pieces[i - 2].is(Tok::Dot);
    let operand = a.is_close() || matches!(a, Tok::Name | Tok::Int | Tok::Real | Tok::Str | Tok::Prime) || (field && a.is_word());
    let touches = match (a, b) {
        (Tok::LBrace, Tok::RBrace) => true,
        (Tok::LBrace, _) => left.role != Role::Body,
        (_, Tok::RBrace) => pieces[right.mate].role != Role::Body,
        (Tok::LParen | Tok::LBracket | Tok::Dot, _) => true,
        (_, Tok::RParen | Tok::RBracket | Tok::Dot | Tok::Prime | Tok::Ellipsis) => true,
        (_, Tok::Comma | Tok::Semi) => true,
        (Tok::Comma | Tok::Semi, _) => false,
        (_, Tok::Colon) => true,
        (Tok::DotDot | Tok::DotDotEq | Tok::Caret, _) | (_, Tok::DotDot | Tok::DotDotEq | Tok::Caret) => true,
        (Tok::Minus, _) if left.role == Role::Prefix => true,
        (_, Tok::LParen) => right.role == Role::Touch,
        (_, Tok::LBracket) => operand && !right.space,
        // `8/255` and `2*h` may stay as tight as they were written.
        (_, Tok::Star | Tok::Slash) => tight(pieces, i),
        (Tok::Star | Tok::Slash, _) => tight(pieces, i - 1),
        _ => false,
    };
    usize::from(!touches)
}

/// Spaces before a comment that follows something on its line.
pub(super) const INLINE_COMMENT: usize = 2;

/// An operator between two plain numbers or names that was written without spaces.
fn tight(pieces: &[Piece], op: usize) -> bool {
    let plain = |at: usize| pieces.get(at).and_then(Piece::tok).is_some_and(|t| matches!(t, Tok::Name | Tok::Int | Tok::Real));
    let breaks = |at: usize| pieces.get(at).is_some_and(|p| p.breaks > 0 || p.space);
    let lonely = |at: usize| pieces.get(at).and_then(Piece::tok).is_none_or(|t| !matches!(t, Tok::LParen | Tok::LBracket | Tok::Dot | Tok::Caret | Tok::Prime));
    op > 0 && plain(op - 1) && plain(op + 1) && !breaks(op) && !breaks(op + 1) && lonely(op + 2)
}
