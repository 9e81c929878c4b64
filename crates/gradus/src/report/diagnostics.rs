//! Diagnostics as text, with the lines they point at.

use crate::sources::Sources;
use ariadne::{Cache, Color, Config, IndexType, Label, Report, ReportKind, Source};
use gradus_syntax::{Diagnostic, FileId, Severity, Span};
use std::collections::HashMap;
use std::fmt;

/// How text is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    pub color: bool,
    /// Columns that a line may take.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Style {
        Style { color: false, width: 100 }
    }
}

/// At most so many call sites are listed.
const TRACE: usize = 6;

/// A diagnostic with its source lines, labels, notes and suggestions; ends with a newline.
pub fn render(d: &Diagnostic, sources: &Sources, style: Style) -> String {
    let (kind, color) = match d.severity {
        Severity::Error => (ReportKind::Error, Color::Red),
        Severity::Warning => (ReportKind::Warning, Color::Yellow),
    };
    let text = |s: Span| sources.text(s.file);
    // What is about a whole script has no line to show.
    let nowhere = d.primary.span.start == 0 && d.primary.span.end == 0 && d.primary.text.is_empty() && d.labels.is_empty();
    if text(d.primary.span).is_empty() || nowhere {
        return bare(d);
    }
    let mut spans = std::iter::once(d.primary.span).chain(d.labels.iter().map(|l| l.span));
    if spans.any(|s| line_around(s, text(s)).len() > LONG_LINE) {
        return narrow(d, sources);
    }
    let config = Config::default().with_color(style.color).with_index_type(IndexType::Byte).with_tab_width(4);
    let place = |s: Span| (s.file, range(s, text(s)));
    let mut report = Report::build(kind, place(d.primary.span))
        .with_config(config)
        .with_code(d.code)
        .with_message(&d.message);
    let primary = Label::new(place(d.primary.span)).with_color(color).with_priority(1);
    // A lone label without words would not be drawn at all.
    let words = if d.primary.text.is_empty() && d.labels.is_empty() { "here" } else { &d.primary.text };
    let mut labels = vec![(d.primary.span, if words.is_empty() { primary } else { primary.with_message(words) })];
    let colors = [Color::Cyan, Color::Magenta, Color::Blue, Color::Green];
    for (label, color) in d.labels.iter().zip(colors.iter().cycle()) {
        if !text(label.span).is_empty() {
            labels.push((label.span, Label::new(place(label.span)).with_message(&label.text).with_color(*color)));
        }
    }
    // Ariadne begins a new excerpt at each step back in a file, so the labels of a file come by their lines.
    labels.sort_by_key(|(s, _)| match s.file == d.primary.span.file {
        true => (0, 0, last_line(*s, text(*s))),
        false => (1, s.file.0, last_line(*s, text(*s))),
    });
    report.add_labels(labels.into_iter().map(|(_, l)| l));
    for site in d.trace.iter().take(TRACE) {
        report.add_note(format!("{} at {}", site.text, sources.place(site.span)));
    }
    if d.trace.len() > TRACE {
        report.add_note(format!("and {} more calls", d.trace.len() - TRACE));
    }
    for note in &d.notes {
        report.add_note(note);
    }
    for help in &d.helps {
        report.add_help(suggestion(help, sources));
    }
    let mut out = Vec::new();
    let cache = Texts { sources, parsed: HashMap::new() };
    match report.finish().write(cache, &mut out) {
        Ok(()) => tidy(&String::from_utf8_lossy(&out)),
        Err(_) => bare(d),
    }
}

/// `did you mean …: write …`, where the text to write is not in the sentence already.
fn suggestion(help: &gradus_syntax::Help, sources: &Sources) -> String {
    match &help.edit {
        Some((span, new)) if !new.is_empty() && !help.text.contains(new.trim()) => {
            let old = sources.snippet(*span);
            match old.contains('\n') || old.is_empty() || new.contains('\n') {
                true => format!("{}: write `{}`", help.text, new.trim()),
                false => format!("{}: write `{}` for `{old}`", help.text, new.trim()),
            }
        }
        _ => help.text.clone(),
    }
}

/// The line on which a span ends, from 0.
fn last_line(span: Span, text: &str) -> usize {
    let end = range(span, text).end.saturating_sub(1).max(span.start as usize);
    text.bytes().take(end).filter(|b| *b == b'\n').count()
}

fn range(span: Span, text: &str) -> std::ops::Range<usize> {
    let floor = |mut k: usize| {
        k = k.min(text.len());
        while !text.is_char_boundary(k) {
            k -= 1;
        }
        k
    };
    let (start, end) = (floor(span.start as usize), floor(span.end as usize));
    start..end.max(start)
}

/// A line of more bytes is shown in part.
const LONG_LINE: usize = 400;
/// So many characters of it on each side.
const BESIDE: usize = 30;

/// The lines that a span touches.
fn line_around(span: Span, text: &str) -> &str {
    let r = range(span, text);
    let start = text[..r.start].rfind('\n').map_or(0, |k| k + 1);
    let end = text[r.end..].find('\n').map_or(text.len(), |k| r.end + k);
    &text[start..end]
}

/// For endless lines: each place with a few characters around it.
fn narrow(d: &Diagnostic, sources: &Sources) -> String {
    let (first, rest) = match bare(d).split_once('\n') {
        Some((a, b)) => (a.to_string(), b.to_string()),
        None => return bare(d),
    };
    let mut out = format!("{first}\n");
    for l in std::iter::once(&d.primary).chain(&d.labels) {
        let text = sources.text(l.span.file);
        let r = range(l.span, text);
        let shown = |part: &str| part.replace(['\n', '\r', '\t'], " ");
        let before: String = text[..r.start].chars().rev().take_while(|c| *c != '\n').take(BESIDE).collect();
        let before: String = shown(&before).chars().rev().collect();
        let inside: String = shown(&text[r.clone()]).chars().take(BESIDE).collect();
        let after: String = text[r.end..].chars().take_while(|c| *c != '\n').take(BESIDE).collect();
        let after = if text[r.clone()].chars().count() > BESIDE { "…".to_string() } else { shown(&after) };
        let marks = "^".repeat(inside.chars().count().max(1));
        let colon = if l.text.is_empty() { "" } else { ": " };
        out.push_str(&format!("  at {}{colon}{}\n", sources.place(l.span), l.text));
        out.push_str(&format!("    {before}{inside}{after}\n    {}{marks}\n", " ".repeat(before.chars().count())));
    }
    out + &rest
}

/// Without source lines, for a span that is in no known text.
fn bare(d: &Diagnostic) -> String {
    let kind = if d.is_error() { "Error" } else { "Warning" };
    let mut out = format!("[{}] {kind}: {}\n", d.code, d.message);
    for n in &d.notes {
        out.push_str(&format!("  note: {n}\n"));
    }
    for h in &d.helps {
        out.push_str(&format!("  help: {}\n", h.text));
    }
    out
}

/// No blanks at the ends of lines.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The session's texts as the renderer wants them; lines are counted when they are needed.
struct Texts<'s> {
    sources: &'s Sources,
    parsed: HashMap<FileId, Source<String>>,
}

struct Unknown;

impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such text")
    }
}

impl Cache<FileId> for Texts<'_> {
    type Storage = String;

    fn fetch(&mut self, id: &FileId) -> Result<&Source<String>, impl fmt::Debug> {
        let sources = self.sources;
        Ok::<_, Unknown>(self.parsed.entry(*id).or_insert_with(|| Source::from(sources.text(*id).to_string())))
    }

    fn display<'a>(&self, id: &'a FileId) -> Option<impl fmt::Display + 'a> {
        Some(self.sources.name(*id))
    }
}

/// The last line of a run that complained: `2 errors, 1 warning`.
pub fn summary(diagnostics: &[Diagnostic]) -> Option<String> {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let warnings = diagnostics.len() - errors;
    let count = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => None,
        (e, 0) => Some(count(e, "error")),
        (0, w) => Some(count(w, "warning")),
        (e, w) => Some(format!("{}, {}", count(e, "error"), count(w, "warning"))),
    }
}
