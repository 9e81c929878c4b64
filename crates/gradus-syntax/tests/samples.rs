//! The samples of `grammar/`: what must parse, and what must be refused with which codes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_syntax::{FileId, line_column, parse, print_ast};
use std::path::{Path, PathBuf};

fn samples(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../grammar").join(folder);
    let mut out: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "opt")).collect();
    out.sort();
    out
}

#[test]
fn every_ok_sample_parses() {
    let samples = samples("ok");
    assert!(samples.len() >= 40, "{} samples", samples.len());
    let mut wrong = Vec::new();
    for path in samples {
        let text = std::fs::read_to_string(&path).unwrap();
        let (module, diagnostics) = parse(FileId(1), &text);
        for d in &diagnostics {
            let (line, column) = line_column(&text, d.primary.span.start as usize);
            wrong.push(format!("{}:{line}:{column}: {} {}", path.display(), d.code, d.message));
        }
        if print_ast(&module).lines().any(|l| l.trim() == "error") {
            wrong.push(format!("{}: an error in the tree, and no diagnostic", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_err_sample_is_refused_with_its_codes() {
    let samples = samples("err");
    assert!(samples.len() >= 25, "{} samples", samples.len());
    let mut wrong = Vec::new();
    for path in samples {
        let text = std::fs::read_to_string(&path).unwrap();
        let expected = text.lines().next().and_then(|l| l.strip_prefix("//! ")).expect("the first line names the codes");
        let (_, diagnostics) = parse(FileId(1), &text);
        let found: Vec<&str> = diagnostics.iter().map(|d| d.code).collect();
        if found.join(" ") != expected {
            let list: Vec<String> = diagnostics
                .iter()
                .map(|d| {
                    let (line, column) = line_column(&text, d.primary.span.start as usize);
                    format!("  {line}:{column}: {} {} [{}]", d.code, d.message, d.primary.text)
                })
                .collect();
            wrong.push(format!("{}: expected {expected}\n{}", path.display(), list.join("\n")));
        }
        for d in &diagnostics {
            let sound = |s: gradus_syntax::Span| s.start <= s.end && s.end as usize <= text.len() && text.get(s.start as usize..s.end as usize).is_some();
            assert!(sound(d.primary.span) && d.labels.iter().all(|l| sound(l.span)), "{}: {d:?}", path.display());
            assert!(!d.primary.text.is_empty(), "{}: a message without a remark: {d:?}", path.display());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every code that the parser can give has a sample.
#[test]
fn every_code_has_a_sample() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut codes = std::collections::BTreeSet::new();
    let mut folders = vec![sources];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            for (at, _) in text.match_indices("\"E0") {
                codes.insert(text[at + 1..at + 6].to_string());
            }
        }
    }
    // A text of 4 GB is no sample.
    codes.remove("E0006");
    let seen: String = samples("err").iter().map(|p| std::fs::read_to_string(p).unwrap().lines().next().unwrap_or("").to_string()).collect();
    let missing: Vec<&String> = codes.iter().filter(|c| !seen.contains(c.as_str())).collect();
    assert!(codes.len() > 20 && missing.is_empty(), "without a sample: {missing:?}");
}
