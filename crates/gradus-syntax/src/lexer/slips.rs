//! Characters and operators that are not ours: complained about once, then read as what was probably meant.

use super::Lexer;
use crate::diagnostic::Diagnostic;
use crate::token::{Tok, Word};

impl Lexer<'_> {
    /// An operator of another language: complain once, then go on as if ours had been written.
    pub(super) fn slip(&mut self, kind: Tok, len: usize, ours: &str, what: &str) {
        let start = self.at;
        self.at += len;
        let span = self.span(start, self.at);
        let text = &self.text[start..self.at];
        let spaced = ours.as_bytes()[0].is_ascii_alphabetic();
        let pad = |on: bool| if spaced && on { " " } else { "" };
        let cure = format!("{}{ours}{}", pad(!self.space && kind != Tok::Not), pad(self.peek(0) != b' '));
        self.report(
            Diagnostic::error("E0007", span, format!("`{text}` is not an operator of this language"))
                .at(format!("{what} written `{ours}`"))
                .fix(format!("write `{ours}`"), span, cure),
        );
        let word = if kind == Tok::Name { Word::Mod } else { Word::None };
        self.push_word(kind, word, start);
    }

    pub(super) fn slip_assign(&mut self) {
        let start = self.at;
        self.at += 2;
        let span = self.span(start, self.at);
        let text = self.text[start..self.at].to_string();
        self.report(
            Diagnostic::error("E0007", span, format!("`{text}` is not an operator of this language"))
                .at("values do not change")
                .help(format!("give the new value a name with `let`, or in the step of a rule or method write `x <- x {} …`", &text[..1])),
        );
        self.push(Tok::Bad, start);
    }

    /// A run of characters that mean nothing here: one complaint for all of them.
    pub(super) fn unknown(&mut self) {
        let start = self.at;
        while matches!(self.peek(0), b'$' | b'?' | b'\\' | b'`' | b'|' | 1..=8 | 11..=12 | 14..=31 | 127)
            || (self.peek(0) == 0 && self.at < self.bytes.len())
        {
            self.at += 1;
        }
        let shown: String = self.text[start..self.at].chars().take(12).collect();
        let mut d = Diagnostic::error("E0001", self.span(start, self.at), format!("unexpected `{}`", shown.escape_debug()))
            .at("this means nothing here");
        if shown.starts_with('|') {
            d = d.help("the absolute value is `abs(x)`, a choice is `or`, a pipe is `|>`");
        }
        self.report(d);
        self.push(Tok::Bad, start);
    }

    /// A character beyond ASCII: a letter starts a name, a look-alike is taken for what it looks like.
    pub(super) fn foreign(&mut self) {
        use Tok::*;
        let start = self.at;
        let Some(c) = self.text[start..].chars().next() else { return };
        if c.is_alphabetic() {
            return self.word();
        }
        self.at += c.len_utf8();
        if c.is_whitespace() {
            self.space = true;
            return;
        }
        let twin = match c {
            '−' | '–' | '—' => Some((Minus, "-")),
            '×' | '·' | '∙' | '⋅' => Some((Star, "*")),
            '÷' => Some((Slash, "/")),
            '≤' => Some((Le, "<=")),
            '≥' => Some((Ge, ">=")),
            '≠' => Some((Ne, "!=")),
            '→' => Some((Arrow, "->")),
            '←' => Some((LArrow, "<-")),
            '∈' => Some((In, "in")),
            '∧' => Some((And, "and")),
            '∨' => Some((Or, "or")),
            '¬' => Some((Not, "not")),
            '’' | '′' | 'ᵀ' | '⊤' => Some((Prime, "'")),
            '∩' => Some((Amp, "&")),
            '∼' => Some((Tilde, "~")),
            '…' => Some((Ellipsis, "...")),
            _ => None,
        };
        let span = self.span(start, self.at);
        if let Some((kind, ours)) = twin {
            self.report(
                Diagnostic::error("E0001", span, format!("`{c}` (U+{:04X}) is not used in this language", c as u32))
                    .at(format!("it looks like `{ours}`"))
                    .fix(format!("write `{ours}`"), span, ours),
            );
            self.push(kind, start);
            return;
        }
        while let Some(more) = self.text[self.at..].chars().next() {
            if (more as u32) < 0x80 || more.is_alphabetic() || more.is_whitespace() {
                break;
            }
            self.at += more.len_utf8();
        }
        let mut d = Diagnostic::error("E0001", self.span(start, self.at), format!("unexpected `{}` (U+{:04X})", c.escape_debug(), c as u32))
            .at("this means nothing here");
        if matches!(c, '“' | '”' | '„' | '‘') {
            d = d.help("a text stands in straight double quotes, `\"`");
        }
        self.report(d);
        self.push(Bad, start);
    }
}
