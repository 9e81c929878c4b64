//! Breaks lines that are too long, at the place that reads best: before clauses, else before loose operators, else
//! inside the widest bracket.

use super::WIDTH;
use super::layout::Line;
use super::pieces::{Kind, Piece};
use crate::parser::Role;
use crate::token::Tok;

/// Adds line breaks to every line that is too long and can be broken; false when there was none.
pub(super) fn break_long_lines(pieces: &mut [Piece], lines: &[Line]) -> bool {
    let mut changed = false;
    for line in lines {
        if line.code_width(pieces) > WIDTH {
            let cuts = cuts(pieces, line);
            changed |= !cuts.is_empty();
            for at in cuts {
                pieces[at].breaks = 1;
            }
        }
    }
    changed
}

/// The pieces of the line that should begin new lines.
fn cuts(pieces: &[Piece], line: &Line) -> Vec<usize> {
    let top = top_level(pieces, line);
    let clauses = clauses(pieces, &top);
    if !clauses.is_empty() {
        return clauses;
    }
    // Operators looser than a comparison or sums; products and powers stay together.
    let loosest = top.iter().filter_map(|&at| infix(pieces, at)).min();
    if let Some(power) = loosest.filter(|&p| p <= 16 && p != 14) {
        let cuts: Vec<usize> = top.iter().copied().filter(|&at| infix(pieces, at) == Some(power)).collect();
        let mut from = line.from;
        let mut longest = 0;
        for &cut in cuts.iter().chain([&line.to]) {
            longest = longest.max(pieces[from..cut].iter().map(|p| p.text.len() + 1).sum::<usize>() + line.indent);
            from = cut;
        }
        if longest <= WIDTH || widest_bracket(pieces, line).is_none() {
            return cuts;
        }
    }
    // The value on a line of its own, where there is nothing better, or where the head of a declaration is what is long.
    let value = top.iter().copied().find(|&at| pieces[at - 1].is(Tok::Eq));
    match (widest_bracket(pieces, line), value) {
        (Some(open), Some(value)) if open < value && !pieces[line.to - 1].opens() => vec![value],
        (Some(open), _) => inside(pieces, open),
        (None, value) => value.into_iter().collect(),
    }
}

/// The pieces of a line, without its first, that stand in no bracket which opens on the line.
fn top_level(pieces: &[Piece], line: &Line) -> Vec<usize> {
    let mut out = Vec::new();
    let mut at = line.from;
    while at < line.to {
        if at > line.from && pieces[at].kind != Kind::Comment {
            out.push(at);
        }
        at = if pieces[at].opens() { pieces[at].mate.max(at + 1) } else { at + 1 };
    }
    out
}

/// Clause words, and a binder that follows the `=` of a declaration.
fn clauses(pieces: &[Piece], top: &[usize]) -> Vec<usize> {
    let clause = |at: usize| {
        matches!(pieces[at].role, Role::Clause(_) | Role::InOf(_) | Role::Continuation)
            || (pieces[at].is(Tok::Then) || pieces[at].is(Tok::Else) && !pieces[at - 1].is(Tok::RBrace))
    };
    let cuts: Vec<usize> = top.iter().copied().filter(|&at| clause(at)).collect();
    match cuts.first() {
        None => Vec::new(),
        Some(&first) => {
            let binder = top.iter().copied().find(|&at| at < first && pieces[at].role == Role::Binder && pieces[at - 1].is(Tok::Eq));
            let binder = binder.filter(|&b| pieces[first].role == Role::Clause(b as u32));
            binder.into_iter().chain(cuts).collect()
        }
    }
}

/// The binding power of an operator before which a line may break. A word cannot begin a line safely.
fn infix(pieces: &[Piece], at: usize) -> Option<u8> {
    match pieces[at].role {
        Role::Infix(power) if power > 0 && !pieces[at].is(Tok::Name) => Some(power),
        _ => None,
    }
}

/// The bracket on the line, outermost first, that holds most.
fn widest_bracket(pieces: &[Piece], line: &Line) -> Option<usize> {
    let mut best: Option<(usize, usize)> = None;
    let mut at = line.from;
    while at < line.to {
        if pieces[at].opens() && pieces[at].mate < line.to {
            let mate = pieces[at].mate;
            let size: usize = pieces[at + 1..mate].iter().map(|p| p.text.len() + 1).sum();
            if mate > at + 1 && best.is_none_or(|(_, most)| size > most) {
                best = Some((at, size));
            }
            at = mate;
        }
        at += 1;
    }
    best.map(|(at, _)| at)
}

/// Behind the opener, behind every comma or semicolon (before `for` in a comprehension), before the closer.
fn inside(pieces: &[Piece], open: usize) -> Vec<usize> {
    let close = pieces[open].mate;
    let mut cuts = vec![open + 1];
    let mut at = open + 1;
    while at < close {
        let piece = &pieces[at];
        if piece.opens() {
            at = piece.mate + 1;
            continue;
        }
        if matches!(piece.tok(), Some(Tok::Comma | Tok::Semi)) && at + 1 < close {
            cuts.push(at + 1);
        } else if piece.is(Tok::For) && pieces[open].is(Tok::LBracket) {
            cuts.push(at);
        }
        at += 1;
    }
    cuts.push(close);
    cuts
}
