//! Pages of the library, from its doc comments: one a module, an index by problem, an index by paper.

use crate::stdlib;
use gradus_syntax::FileId;
use gradus_syntax::ast::ItemKind;
use std::collections::BTreeMap;
use std::fmt::Write;

/// One item of the library with what its doc comment says.
#[derive(Clone, Debug)]
pub struct Entry {
    pub module: &'static str,
    /// `set`, `term`, `fn`, …
    pub word: &'static str,
    pub name: String,
    /// Its declaration up to the body.
    pub signature: String,
    /// What stands before the headings.
    pub summary: String,
    /// Headings and their texts, in order.
    pub sections: Vec<(String, String)>,
}

impl Entry {
    pub fn section(&self, heading: &str) -> Option<&str> {
        self.sections.iter().find(|(h, _)| h == heading).map(|(_, t)| t.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Markdown,
    Html,
}

/// A page: its path without ending, and its text.
pub struct Page {
    pub path: String,
    pub text: String,
}

/// Every documented item, in the order of the modules.
pub fn entries() -> Vec<Entry> {
    let mut out = Vec::new();
    for (module, text) in stdlib::MODULES {
        let (tree, _) = gradus_syntax::parse(FileId(0), text);
        for item in &tree.items {
            let (word, name) = match &item.kind {
                ItemKind::Fn(d) => ("fn", &d.name),
                ItemKind::Type(d) => ("type", &d.name),
                ItemKind::Set(d) => ("set", &d.name),
                ItemKind::Term(d) => ("term", &d.name),
                ItemKind::Rule(d) => ("rule", &d.name),
                ItemKind::Schedule(d) => ("schedule", &d.name),
                ItemKind::Stop(d) => ("stop", &d.name),
                ItemKind::Method(d) => ("method", &d.name),
                ItemKind::Problem(d) => ("problem", &d.name),
                _ => continue,
            };
            let Some(doc) = &item.doc else { continue };
            let source = text.get(item.span.start as usize..item.span.end as usize).unwrap_or("");
            let from = source.find(&format!("{word} {}", name.name)).unwrap_or(0);
            let summary: Vec<&str> = doc.lines().map(str::trim).take_while(|l| !l.starts_with("## ")).collect();
            out.push(Entry {
                module,
                word,
                name: name.name.to_string(),
                signature: head(source.get(from..).unwrap_or("")),
                summary: summary.join(" ").trim().to_string(),
                sections: crate::laws::sections(doc),
            });
        }
    }
    out
}

/// The declaration up to its body: the first ` = ` or ` {` outside brackets.
fn head(source: &str) -> String {
    let mut depth = 0;
    let mut end = source.len();
    for (k, c) in source.char_indices() {
        let rest = source.get(k..).unwrap_or("");
        if depth == 0 && (rest.starts_with(" = ") || rest.starts_with(" =\n") || rest.starts_with(" {")) {
            end = k;
            break;
        }
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    source.get(..end).unwrap_or(source).split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(").replace(" )", ")")
}

/// All pages: the index, the modules, by problem, by paper.
pub fn pages(format: Format) -> Vec<Page> {
    let entries = entries();
    let mut out = vec![index(&entries, format), by_problem(&entries, format), by_paper(&entries, format)];
    for (module, text) in stdlib::MODULES {
        let own: Vec<&Entry> = entries.iter().filter(|e| e.module == *module).collect();
        if own.is_empty() {
            continue;
        }
        let mut p = Writer::new(format, module);
        let preamble: Vec<&str> =
            text.lines().take_while(|l| l.starts_with("//") && !l.starts_with("///")).map(|l| l.trim_start_matches("//").trim()).collect();
        p.paragraph(&preamble.join(" "));
        own.iter().for_each(|e| p.entry(e));
        out.push(Page { path: file_of(module), text: p.end() });
    }
    out
}

/// One item as plain text.
pub fn item(entry: &Entry) -> String {
    let mut text = format!("{}\n\n{}\n\n", entry.signature, entry.summary);
    for (heading, body) in &entry.sections {
        let _ = writeln!(text, "{heading:<9} {body}");
    }
    text
}

fn file_of(module: &str) -> String {
    module.replace('/', "-")
}

fn index(entries: &[Entry], format: Format) -> Page {
    let mut p = Writer::new(format, "The library");
    p.paragraph("Everything here is Gradus code. The examples are run by the tests, and sets and terms keep the laws that `gradus test --laws std` shows.");
    p.list(&[p.link("by-problem", "By problem: what do I have?"), p.link("by-paper", "By paper")]);
    for (module, _) in stdlib::MODULES {
        let own: Vec<&Entry> = entries.iter().filter(|e| e.module == *module).collect();
        if own.is_empty() {
            continue;
        }
        p.heading(2, &p.link(&file_of(module), module));
        let rows: Vec<String> = own.iter().map(|e| format!("{}: {}", p.reference(e), p.plain(first_sentence(&e.summary)))).collect();
        p.list(&rows);
    }
    Page { path: "index".into(), text: p.end() }
}

/// What items say that they are for, in alphabetical order.
fn by_problem(entries: &[Entry], format: Format) -> Page {
    let mut uses: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
    for e in entries {
        for u in e.section("use").into_iter().flat_map(|u| u.split(';')) {
            uses.entry(u.trim().to_string()).or_default().push(e);
        }
    }
    let mut p = Writer::new(format, "By problem");
    for (title, words) in [
        ("I have a bound or a condition on the unknown", ["set"].as_slice()),
        ("I have a sum of a loss and a penalty", ["term"].as_slice()),
        ("I have something to compute, or a solver to choose", ["fn", "type", "rule", "schedule", "stop", "method", "problem"].as_slice()),
    ] {
        p.heading(2, title);
        let rows: Vec<String> = uses
            .iter()
            .filter_map(|(u, all)| {
                let own: Vec<String> = all.iter().filter(|e| words.contains(&e.word)).map(|e| p.reference(e)).collect();
                (!own.is_empty()).then(|| format!("{}: {}", p.plain(u), own.join(", ")))
            })
            .collect();
        p.list(&rows);
    }
    Page { path: "by-problem".into(), text: p.end() }
}

fn by_paper(entries: &[Entry], format: Format) -> Page {
    let mut papers: BTreeMap<String, Vec<&Entry>> = BTreeMap::new();
    for e in entries {
        for paper in e.section("paper").into_iter().flat_map(|t| t.split(';')) {
            papers.entry(paper.trim().to_string()).or_default().push(e);
        }
    }
    let mut p = Writer::new(format, "By paper");
    let rows: Vec<String> = papers
        .iter()
        .map(|(paper, all)| format!("{}: {}", p.plain(paper), all.iter().map(|e| p.reference(e)).collect::<Vec<_>>().join(", ")))
        .collect();
    p.list(&rows);
    Page { path: "by-paper".into(), text: p.end() }
}

fn first_sentence(text: &str) -> &str {
    text.find(". ").and_then(|k| text.get(..=k)).unwrap_or(text)
}

struct Writer {
    format: Format,
    text: String,
}

impl Writer {
    fn new(format: Format, title: &str) -> Writer {
        let mut w = Writer { format, text: String::new() };
        if format == Format::Html {
            let style = "body{max-width:60rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 sans-serif}pre,code{background:#f3f3f3}pre{padding:.5rem;overflow-x:auto}dt{font-weight:bold}";
            let _ = writeln!(w.text, "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{}</title>\n<style>{style}</style>", escaped(title));
        }
        w.heading(1, &w.plain(title));
        w
    }

    fn end(self) -> String {
        self.text
    }

    /// Text that is not markup.
    fn plain(&self, text: &str) -> String {
        match self.format {
            Format::Markdown => text.replace('*', "\\*").replace('<', "\\<").replace('|', "\\|").replace('_', "\\_"),
            Format::Html => escaped(text),
        }
    }

    fn link(&self, to: &str, text: &str) -> String {
        match self.format {
            Format::Markdown => format!("[{text}]({to}.md)"),
            Format::Html => format!("<a href=\"{to}.html\">{}</a>", escaped(text)),
        }
    }

    fn reference(&self, e: &Entry) -> String {
        let file = file_of(e.module);
        match self.format {
            Format::Markdown => format!("[`{}`]({file}.md#{})", e.name, e.name),
            Format::Html => format!("<a href=\"{file}.html#{}\"><code>{}</code></a>", e.name, e.name),
        }
    }

    fn heading(&mut self, level: usize, inner: &str) {
        let _ = match self.format {
            Format::Markdown => writeln!(self.text, "{} {inner}\n", "#".repeat(level)),
            Format::Html => writeln!(self.text, "<h{level}>{inner}</h{level}>"),
        };
    }

    fn paragraph(&mut self, text: &str) {
        let text = self.plain(text);
        let _ = match self.format {
            Format::Markdown => writeln!(self.text, "{text}\n"),
            Format::Html => writeln!(self.text, "<p>{text}</p>"),
        };
    }

    /// Rows that are marked up already.
    fn list(&mut self, rows: &[String]) {
        for r in rows {
            let _ = match self.format {
                Format::Markdown => writeln!(self.text, "- {r}"),
                Format::Html => writeln!(self.text, "<li>{r}"),
            };
        }
        self.text.push('\n');
    }

    fn entry(&mut self, e: &Entry) {
        let _ = match self.format {
            Format::Markdown => writeln!(self.text, "## {}\n\n```opt\n{}\n```\n", e.name, e.signature),
            Format::Html => writeln!(self.text, "<h2 id=\"{0}\">{0}</h2>\n<pre>{1}</pre>", escaped(&e.name), escaped(&e.signature)),
        };
        self.paragraph(&e.summary);
        if self.format == Format::Html {
            self.text.push_str("<dl>\n");
        }
        for (heading, body) in &e.sections {
            let code = matches!(heading.as_str(), "example" | "laws");
            let body = match (self.format, code) {
                (Format::Markdown, true) => format!("`{body}`"),
                (Format::Html, true) => format!("<code>{}</code>", escaped(body)),
                (_, false) => self.plain(body),
            };
            let _ = match self.format {
                Format::Markdown => writeln!(self.text, "- **{heading}** {body}"),
                Format::Html => writeln!(self.text, "<dt>{heading}<dd>{body}"),
            };
        }
        self.text.push_str(if self.format == Format::Html { "</dl>\n" } else { "\n" });
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
