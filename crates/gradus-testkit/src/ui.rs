//! UI cases: a Markdown file with scripts, the codes they must give, and how that looks.
//!
//! A case is an ```` ```opt ```` block and what belongs to it: blocks with `file=NAME` before it are written beside the
//! script; `set=NAME=VALUE` and `data=NAME=FILE` on the block are the options of the run, `time=SECONDS` and
//! `memory=BYTES` its limits, `precision=f32` its float type; a `snapshot` block after it is
//! the rendered outcome. In the script, `// error: E1001` (or `// warning: …`) at the end of a line says what is
//! complained about on that line; a case says all its complaints so, or with `codes=E1001,E1002` on the block, or has none.

use crate::markdown::{Block, blocks, replaced};
use crate::{compare, scratch, shown, updating};
use gradus::report::{Style, render};
use gradus::{Diagnostic, Limits, Outcome, Session, Silent};
use std::path::Path;
use std::time::Duration;

/// What a script did.
pub struct Ran {
    pub outcome: Outcome,
    /// Every complaint: those of the run, then those of tests.
    pub diagnostics: Vec<Diagnostic>,
    /// Line (from 1) and code of each.
    pub places: Vec<(usize, String)>,
    pub rendered: String,
}

/// Run a script (its tests, too) in a folder of its own.
pub fn run(block: &Block, attached: &[&Block]) -> Result<Ran, String> {
    let parts: Vec<&Block> = attached.iter().copied().chain([block]).collect();
    let dir = scratch::folder(&parts).map_err(|e| format!("no scratch folder: {e}"))?;
    let mut builder = Session::builder();
    for s in block.all("set") {
        let (name, value) = s.split_once('=').ok_or("`set=NAME=VALUE`")?;
        builder = builder.set(name, value);
    }
    for d in block.all("data") {
        let (name, file) = d.split_once('=').ok_or("`data=NAME=FILE`")?;
        builder = builder.data_file(name, dir.path().join(file));
    }
    builder = builder.limits(Limits {
        time: block.attribute("time").and_then(|t| t.parse().ok()).map(Duration::from_secs_f64),
        memory: block.attribute("memory").and_then(|m| m.parse().ok()),
    });
    if let Some(p) = block.attribute("precision") {
        builder = builder.precision(p.parse()?);
    }
    let mut session = builder.build();
    let script = session.text_in("case.opt", &block.text, dir.path());
    let mut outcome = session.run(script, &mut Silent);
    if outcome.status == gradus::Status::Done {
        let tests = session.test(script, None, &mut Silent);
        outcome.status = tests.status;
        outcome.tests = tests.tests;
    }
    let mut diagnostics = outcome.diagnostics.clone();
    diagnostics.extend(outcome.tests.iter().flat_map(|t| t.diagnostics.iter().cloned()));
    let sources = session.sources();
    let places = diagnostics
        .iter()
        .map(|d| {
            let before = sources.text(d.primary.span.file).get(..d.primary.span.start as usize).unwrap_or("");
            (before.matches('\n').count() + 1, d.code.to_string())
        })
        .collect();
    let rendered = diagnostics.iter().map(|d| render(d, sources, Style::default())).collect::<Vec<_>>().join("");
    let rendered = rendered.replace(&format!("{}/", dir.path().display()), "").replace(&dir.path().display().to_string(), ".");
    Ok(Ran { outcome, diagnostics, places, rendered })
}

/// Complaints about one file of cases.
pub fn check(path: &Path) -> Vec<String> {
    let Ok(mut document) = std::fs::read_to_string(path) else { return vec![format!("{} cannot be read", shown(path))] };
    let mut complaints = Vec::new();
    let all = blocks(&document);
    let mut attached: Vec<&Block> = Vec::new();
    let mut cases = 0;
    for (k, block) in all.iter().enumerate() {
        if block.attribute("file").is_some() {
            attached.push(block);
        } else if block.language == "opt" {
            cases += 1;
            let snapshot = all.get(k + 1).filter(|b| b.language == "snapshot");
            match case(block, &attached, snapshot) {
                Ok(None) => {}
                Ok(Some(new)) if updating() => {
                    if let Some(s) = snapshot.map(|s| relocated(&document, s)) {
                        document = replaced(&document, &s, &new);
                    }
                }
                Ok(Some(_)) => {}
                Err(e) => complaints.push(format!("{}:{}: {e}", shown(path), block.line + 1)),
            }
            attached.clear();
        }
    }
    if cases == 0 {
        complaints.push(format!("{} has no case", shown(path)));
    }
    if updating() && std::fs::write(path, document).is_err() {
        complaints.push(format!("{} cannot be written", shown(path)));
    }
    complaints
}

/// The block after earlier blocks were replaced; it is found by its number of the same kind.
fn relocated(document: &str, block: &Block) -> Block {
    let same = |b: &Block| b.language == block.language && b.heading == block.heading && b.text == block.text;
    blocks(document).into_iter().find(same).unwrap_or_else(|| block.clone())
}

/// The rendered outcome where it differs from the snapshot and is to be updated.
fn case(block: &Block, attached: &[&Block], snapshot: Option<&Block>) -> Result<Option<String>, String> {
    let ran = run(block, attached)?;
    let expected = expected(block);
    let mut found = ran.places.clone();
    found.sort();
    found.dedup();
    match block.attribute("codes") {
        Some(codes) => {
            let mut want: Vec<&str> = codes.split(',').collect();
            let mut have: Vec<&str> = found.iter().map(|(_, c)| c.as_str()).collect();
            (want.sort_unstable(), have.sort_unstable());
            have.dedup();
            if want != have {
                return Err(format!("expected {want:?}, found {found:?}\n{}", ran.rendered));
            }
        }
        None if found != expected => return Err(format!("expected {expected:?}, found {found:?}\n{}", ran.rendered)),
        None => {}
    }
    let Some(snapshot) = snapshot else { return Ok(None) };
    match compare::with_tolerance(&snapshot.text, &ran.rendered) {
        Ok(()) => Ok(None),
        Err(_) if updating() => Ok(Some(ran.rendered)),
        Err(e) => Err(format!("the snapshot differs (UPDATE=1 rewrites it)\n{e}")),
    }
}

/// Line and code of each expectation comment.
pub fn expected(block: &Block) -> Vec<(usize, String)> {
    let mut out = Vec::new();
    for (k, line) in block.text.lines().enumerate() {
        for mark in ["// error: ", "// warning: "] {
            if let Some((_, rest)) = line.split_once(mark) {
                out.extend(rest.split([',', ' ']).filter(|c| !c.is_empty()).map(|c| (k + 1, c.to_string())));
            }
        }
    }
    out.sort();
    out
}
