//! From pieces with line breaks to lines with indentation and columns.

use super::pieces::{Kind, Piece};
use super::{INDENT, WIDTH, space};
use crate::parser::Role;
use crate::token::Tok;

/// One line of output: the pieces `from..to`, the first at column `indent`.
pub(super) struct Line {
    pub from: usize,
    pub to: usize,
    pub indent: usize,
    /// Spaces behind each piece; none behind the last.
    gaps: Vec<usize>,
    /// A blank line stands above.
    blank: bool,
}

/// An open bracket, or the text as a whole.
struct Frame {
    /// Indentation of what stands inside on a line of its own.
    base: usize,
    /// Indentation of a line that continues the one above.
    cont: usize,
    /// Holds statements, as opposed to elements.
    body: bool,
    /// A line broke right behind the opener.
    hanging: bool,
}

impl Line {
    /// The column of a piece on this line.
    fn column(&self, pieces: &[Piece], piece: usize) -> usize {
        let before = pieces[self.from..piece].iter().zip(&self.gaps);
        self.indent + before.map(|(p, gap)| width(p.text) + gap).sum::<usize>()
    }

    /// The width without a comment at its end.
    pub fn code_width(&self, pieces: &[Piece]) -> usize {
        let mut end = self.to;
        if end > self.from + 1 && pieces[end - 1].kind == Kind::Comment {
            end -= 1;
        }
        self.column(pieces, end - 1) + width(pieces[end - 1].text)
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The lines, each piece in its place.
pub(super) fn lines(pieces: &[Piece]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut frames = vec![Frame { base: 0, cont: INDENT, body: true, hanging: true }];
    // The line of each piece, to find the column of a binder.
    let mut line_of: Vec<usize> = Vec::with_capacity(pieces.len());
    let mut i = 0;
    while i < pieces.len() {
        let mut to = i + 1;
        while to < pieces.len() && pieces[to].breaks == 0 {
            to += 1;
        }
        let indent = indentation(pieces, i, &mut frames, &lines, &line_of);
        let mut gaps: Vec<usize> = (i + 1..to).map(|at| space::between(pieces, at)).collect();
        gaps.push(0);
        if to > i + 1 && matches!(pieces[i].tok(), Some(Tok::Of | Tok::In)) && pieces[i + 1].kind != Kind::Comment {
            // `of  e` under `min x`: the expressions line up.
            gaps[0] = 2;
        }
        line_of.resize(to, lines.len());
        lines.push(Line { from: i, to, indent, gaps, blank: pieces[i].breaks > 1 });
        for (at, piece) in pieces.iter().enumerate().take(to).skip(i) {
            if piece.opens() {
                let body = piece.role == Role::Body;
                let hanging = at + 1 == to;
                let base = indent + INDENT;
                let cont = if body || hanging { base + INDENT } else { base };
                frames.push(Frame { base, cont, body, hanging });
            } else if piece.closes() && frames.len() > 1 {
                frames.pop();
            } else if piece.start
                && let Some(frame) = frames.last_mut()
            {
                frame.cont = frame.base + INDENT;
            }
        }
        i = to;
    }
    align(pieces, &mut lines);
    lines
}

/// Where the line that starts with piece `i` begins.
fn indentation(pieces: &[Piece], i: usize, frames: &mut [Frame], lines: &[Line], line_of: &[usize]) -> usize {
    let first = &pieces[i];
    let Some(frame) = frames.last_mut() else { return 0 };
    if first.closes() {
        return frame.base.saturating_sub(INDENT);
    }
    if first.kind == Kind::Comment {
        let next = pieces[i..].iter().find(|p| p.kind != Kind::Comment);
        let free = next.is_none_or(|p| p.start || p.closes()) || begins_element(pieces, i);
        return if free { frame.base } else { frame.cont };
    }
    if first.start || (first.role == Role::Body && frame.body) {
        return frame.base;
    }
    let anchor = match first.role {
        Role::Clause(binder) => Some(binder as usize),
        Role::InOf(opener) => Some(opener as usize),
        _ => None,
    };
    if let Some(anchor) = anchor.filter(|&a| a < i) {
        let line = &lines[line_of[anchor]];
        // A binder right behind an `of` that begins its line counts as beginning that line.
        let leads = anchor == line.from || (anchor == line.from + 1 && matches!(pieces[line.from].tok(), Some(Tok::Of | Tok::In)));
        let column = if leads { line.indent } else { line.column(pieces, anchor) };
        frame.cont = column + if matches!(first.tok(), Some(Tok::Of | Tok::In)) { 4 } else { INDENT };
        return column;
    }
    if frame.body {
        return if first.role == Role::Continuation { frame.base + INDENT } else { frame.cont };
    }
    if begins_element(pieces, i) || (frame.hanging && !continues(pieces, i)) { frame.base } else { frame.cont }
}

/// The piece is the first of an element of a list: it follows the opener or a comma.
fn begins_element(pieces: &[Piece], i: usize) -> bool {
    let before = pieces[..i].iter().rev().find(|p| p.kind != Kind::Comment);
    before.is_none_or(|p| p.opens() || p.is(Tok::Comma))
}

/// The piece continues an expression that was left open: it is an operator, or follows one.
fn continues(pieces: &[Piece], i: usize) -> bool {
    let before = pieces[..i].iter().rev().find(|p| p.kind != Kind::Comment);
    let operator = |p: &Piece| matches!(p.role, Role::Infix(_)) || p.is(Tok::Eq);
    operator(&pieces[i]) || before.is_some_and(operator)
}

/// Lines up `=`, `~` and `by` in neighbouring lines where the author did, and the comments behind neighbouring lines.
fn align(pieces: &[Piece], lines: &mut [Line]) {
    let mut from = 0;
    while from < lines.len() {
        let mut to = from + 1;
        while to < lines.len() && !lines[to].blank && pieces[lines[to].from].kind != Kind::Comment {
            to += 1;
        }
        for nth in 0..2 {
            let mut start = from;
            while start < to {
                let mut end = start;
                while end < to && (end == start || lines[end].indent == lines[start].indent) && marked(pieces, &lines[end], nth).is_some() {
                    end += 1;
                }
                align_marks(pieces, &mut lines[start..end], nth);
                start = end.max(start + 1);
            }
        }
        let mut start = from;
        while start < to {
            let mut end = start;
            while end < to && comment_at_end(pieces, &lines[end]) {
                end += 1;
            }
            align_comments(pieces, &mut lines[start..end]);
            start = end.max(start + 1);
        }
        from = to;
    }
}

/// The `nth` piece of a line that may line up.
fn marked(pieces: &[Piece], line: &Line, nth: usize) -> Option<usize> {
    (line.from..line.to).filter(|&at| at > line.from && pieces[at].role == Role::Align).nth(nth)
}

fn align_marks(pieces: &[Piece], lines: &mut [Line], nth: usize) {
    let places: Vec<usize> = lines.iter().filter_map(|l| marked(pieces, l, nth)).collect();
    // Only where the author lined them up: more than one space somewhere.
    if places.len() < 2 || !places.iter().any(|&at| pieces[at].wide) {
        return;
    }
    let columns: Vec<usize> = lines.iter().zip(&places).map(|(l, &at)| l.column(pieces, at)).collect();
    let Some(&target) = columns.iter().max() else { return };
    let fits = lines.iter().zip(&columns).all(|(l, c)| l.code_width(pieces) + target - c <= WIDTH);
    if fits {
        for ((line, at), column) in lines.iter_mut().zip(places).zip(columns) {
            let gap = at - 1 - line.from;
            line.gaps[gap] += target - column;
        }
    }
}

fn comment_at_end(pieces: &[Piece], line: &Line) -> bool {
    line.to > line.from + 1 && pieces[line.to - 1].kind == Kind::Comment
}

fn align_comments(pieces: &[Piece], lines: &mut [Line]) {
    let columns: Vec<usize> = lines.iter().map(|l| l.column(pieces, l.to - 1)).collect();
    let Some(&target) = columns.iter().max() else { return };
    let fits = lines.iter().all(|l| target + width(pieces[l.to - 1].text) <= WIDTH);
    if fits {
        for (line, column) in lines.iter_mut().zip(columns) {
            let gap = line.to - 2 - line.from;
            line.gaps[gap] += target - column;
        }
    }
}

pub(super) fn print(pieces: &[Piece], lines: Vec<Line>) -> String {
    let mut out = String::new();
    for line in &lines {
        if line.blank {
            out.push('\n');
        }
        out.extend(std::iter::repeat_n(' ', line.indent));
        for (piece, &gap) in pieces[line.from..line.to].iter().zip(&line.gaps) {
            out.push_str(piece.text);
            out.extend(std::iter::repeat_n(' ', gap));
        }
        out.push('\n');
    }
    out
}
