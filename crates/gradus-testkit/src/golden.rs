//! Golden files: one program, and every stage of it as text.
//!
//! Headings: `META` (optional; `stages = ir, report` keeps a file short), `SOURCE` with an `opt` block and blocks with
//! `file=NAME`, then `AST`, `CHECK`, `IR`, `GRAD`, `REWRITE`, `PLAN`, `REPORT` with a `text` block each.

use crate::markdown::{Block, blocks};
use crate::{compare, files, root, scratch, shown, updating};
use gradus::report::{Style, render};
use gradus::{Emit, Event, Printer, Session, Sources};
use std::fmt::Write;
use std::path::Path;

/// The stages in the order of a file.
pub const STAGES: [&str; 7] = ["AST", "CHECK", "IR", "GRAD", "REWRITE", "PLAN", "REPORT"];

/// Complaints about all golden files.
pub fn check() -> Vec<String> {
    let folder = root().join("tests/golden");
    let all = files(&folder, ".md");
    if all.is_empty() {
        return vec!["there are no golden files".into()];
    }
    all.iter().flat_map(|path| one(path)).collect()
}

/// Collects stage texts and the report.
struct Collector {
    stages: Vec<(String, String, String)>,
    printer: Printer<Vec<u8>>,
}

impl Emit for Collector {
    fn event(&mut self, event: &Event, sources: &Sources) {
        if let Event::Stage { stage, title, text } = event {
            self.stages.push((stage.to_uppercase(), title.clone(), text.clone()));
        }
        self.printer.event(event, sources);
    }
}

fn one(path: &Path) -> Vec<String> {
    let name = shown(path);
    let Ok(document) = std::fs::read_to_string(path) else { return vec![format!("{name} cannot be read")] };
    let all = blocks(&document);
    let Some(source) = all.iter().find(|b| b.heading == "SOURCE" && b.language == "opt" && b.attribute("file").is_none()) else {
        return vec![format!("{name} has no SOURCE")];
    };
    let mut complaints: Vec<String> = all
        .iter()
        .filter(|b| !STAGES.contains(&b.heading.as_str()) && b.heading != "SOURCE")
        .map(|b| format!("{name}:{}: the heading `{}` is no stage", b.line + 1, b.heading))
        .collect();
    let wanted = wanted(&document);
    let attached: Vec<&Block> = all.iter().filter(|b| b.attribute("file").is_some() || b.attribute("copy").is_some()).collect();
    let found = match artifacts(source, &attached, &wanted) {
        Ok(found) => found,
        Err(e) => return vec![format!("{name}: {e}")],
    };
    if updating() {
        let new = rewritten(&document, &found);
        if new != document && std::fs::write(path, new).is_err() {
            complaints.push(format!("{name} cannot be written"));
        }
        return complaints;
    }
    for (stage, text) in &found {
        let Some(block) = all.iter().find(|b| b.heading == *stage) else {
            complaints.push(format!("{name} has no {stage} (UPDATE=1 adds it)"));
            continue;
        };
        let same = if *stage == "REPORT" { compare::with_tolerance(&block.text, text) } else { compare::exact(&block.text, text) };
        if let Err(e) = same {
            complaints.push(format!("{name}: {stage} differs (UPDATE=1 rewrites it), {e}"));
        }
    }
    for b in all.iter().filter(|b| STAGES.contains(&b.heading.as_str())) {
        if !found.iter().any(|(s, _)| *s == b.heading) {
            complaints.push(format!("{name}:{}: {} is not among the stages of this file", b.line + 1, b.heading));
        }
    }
    complaints
}

/// The stages that the META section names; all of them without one.
fn wanted(document: &str) -> Vec<&'static str> {
    let line = document.lines().take_while(|l| *l != "# SOURCE").find_map(|l| l.strip_prefix("stages = "));
    let Some(line) = line else { return STAGES.to_vec() };
    let names: Vec<String> = line.split(',').map(|s| s.trim().to_uppercase()).collect();
    STAGES.iter().copied().filter(|s| names.iter().any(|n| n == s)).collect()
}

fn artifacts(source: &Block, attached: &[&Block], wanted: &[&'static str]) -> Result<Vec<(&'static str, String)>, String> {
    let dir = scratch::folder(attached).map_err(|e| format!("no scratch folder: {e}"))?;
    let mut session = Session::builder().build();
    let script = session.text_in("program.opt", &source.text, dir.path());
    let (tree, _) = session.syntax_tree(script);
    let check = session.check(script);
    let mut collector = Collector { stages: Vec::new(), printer: Printer::new(Vec::new(), Style::default()) };
    let stages = ["types", "ir", "grad", "rewrite", "plan"];
    let outcome = session.explain(script, &stages, &mut collector);
    let mut report = String::from_utf8_lossy(&collector.printer.out).into_owned();
    for d in &outcome.diagnostics {
        report.push_str(&render(d, session.sources(), Style::default()));
    }
    let _ = writeln!(report, "({})", outcome.status.name());
    let complaints: String = check.diagnostics.iter().map(|d| render(d, session.sources(), Style::default())).collect();
    let mut out = Vec::new();
    for stage in wanted {
        let text = match *stage {
            "AST" => tree.clone(),
            "CHECK" => {
                let types = collector.stages.iter().filter(|(s, _, _)| s == "TYPES").map(|(_, _, t)| t.as_str());
                format!("{}{}", if complaints.is_empty() { "in order\n" } else { &complaints }, types.collect::<String>())
            }
            "REPORT" => report.clone(),
            _ => {
                let mut text = String::new();
                for (_, title, artifact) in collector.stages.iter().filter(|(s, _, _)| s == stage) {
                    let _ = writeln!(text, "-- {title}\n{}", artifact.trim_end());
                }
                text
            }
        };
        if !text.trim().is_empty() {
            out.push((*stage, text));
        }
    }
    Ok(out)
}

/// The document up to its first stage, then the stages as they are now.
fn rewritten(document: &str, found: &[(&'static str, String)]) -> String {
    let mut out = String::new();
    for line in document.lines() {
        if line.strip_prefix("# ").is_some_and(|h| STAGES.contains(&h)) {
            break;
        }
        out.push_str(line);
        out.push('\n');
    }
    let mut out = out.trim_end().to_string();
    out.push('\n');
    for (stage, text) in found {
        let text: String = text.trim_end().lines().map(|l| format!("{}\n", l.trim_end())).collect();
        let _ = write!(out, "# {stage}\n```text\n{text}```\n");
    }
    out
}

/// What every golden program prints is the same (up to rounding) at every level of rewriting.
pub fn same_at_every_level() -> Vec<String> {
    use gradus::Level;
    let mut complaints = Vec::new();
    for path in files(&root().join("tests/golden"), ".md") {
        let Ok(document) = std::fs::read_to_string(&path) else { continue };
        // Safer forms give numbers where the plain ones give NaN; a file about that says so in its META.
        if document.lines().take_while(|l| *l != "# SOURCE").any(|l| l.starts_with("stabilised = ")) {
            continue;
        }
        let all = blocks(&document);
        let attached: Vec<&Block> = all.iter().filter(|b| b.attribute("file").is_some() || b.attribute("copy").is_some()).collect();
        let Some(source) = all.iter().find(|b| b.heading == "SOURCE" && b.language == "opt") else { continue };
        let run = |level| printed(source, &attached, level);
        match (run(Level::Off), run(Level::Strict), run(Level::Default)) {
            (Ok(off), Ok(strict), Ok(default)) => {
                for (name, text) in [("strict", strict), ("default", default)] {
                    complaints.extend(
                        compare::with_tolerance(&off, &text)
                            .err()
                            .map(|e| format!("{}: `--rewrites {name}` differs from `off`, {e}", shown(&path))),
                    );
                }
            }
            (a, b, c) => complaints.extend([a.err(), b.err(), c.err()].into_iter().flatten()),
        }
    }
    complaints
}

/// What every golden program and example prints and solves has the same bits with native code for every loop and for none.
pub fn same_in_every_tier() -> Vec<String> {
    let mut programs = Vec::new();
    for path in files(&root().join("tests/golden"), ".md") {
        let Ok(document) = std::fs::read_to_string(&path) else { continue };
        let all = blocks(&document);
        let attached: Vec<&Block> = all.iter().filter(|b| b.attribute("file").is_some() || b.attribute("copy").is_some()).collect();
        let Some(source) = all.iter().find(|b| b.heading == "SOURCE" && b.language == "opt") else { continue };
        match scratch::folder(&attached) {
            Ok(dir) => programs.push((shown(&path), source.text.clone(), dir.path().to_path_buf(), Some(dir))),
            Err(e) => return vec![format!("no scratch folder: {e}")],
        }
    }
    for path in files(&root().join("examples"), ".opt") {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        programs.push((shown(&path), text, root().join("examples"), None));
    }
    let mut complaints = Vec::new();
    for (name, text, folder, _kept) in &programs {
        let run = |native| {
            let mut session = Session::builder().native(native).build();
            let script = session.text_in("program.opt", text, folder);
            let outcome = session.run(script, &mut gradus::Silent);
            format!("{:?}\n{:#?}\n{:#?}", outcome.status, outcome.values, outcome.solves)
        };
        let (off, on) = (run(gradus::NativeCode::Off), run(gradus::NativeCode::On));
        if let Some((a, b)) = off.lines().zip(on.lines()).find(|(a, b)| a != b) {
            complaints.push(format!("{name}: native code gives `{}`, the interpreter `{}`", b.trim(), a.trim()));
        }
    }
    complaints
}

fn printed(source: &Block, attached: &[&Block], level: gradus::Level) -> Result<String, String> {
    let dir = scratch::folder(attached).map_err(|e| format!("no scratch folder: {e}"))?;
    let mut session = Session::builder().rewrites(level).build();
    let script = session.text_in("program.opt", &source.text, dir.path());
    let mut printer = Printer::new(Vec::new(), Style::default());
    printer.quiet = true;
    let outcome = session.run(script, &mut printer);
    Ok(format!("{}({})\n", String::from_utf8_lossy(&printer.out), outcome.status.name()))
}
