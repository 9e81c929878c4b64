//! The order of the project: edges between crates, sizes, headers, codes.

use crate::docs::{ITEMS, internal};
use crate::{files, root, shown};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const MOST_LINES: usize = 900;

/// Rust sources of a crate, without its tests.
fn sources(crate_folder: &Path) -> Vec<PathBuf> {
    files(&crate_folder.join("src"), ".rs")
        .into_iter()
        .filter(|p| !p.components().any(|c| matches!(c.as_os_str().to_str(), Some("tests" | "testing"))))
        .filter(|p| p.file_name().is_none_or(|n| n != "tests.rs" && n != "testing.rs"))
        .collect()
}

fn crates() -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = std::fs::read_dir(root().join("crates"))
        .map(|d| d.flatten().map(|e| e.path()).filter(|p| p.join("Cargo.toml").is_file()).collect())
        .unwrap_or_default();
    out.push(root().join("xtask"));
    out.sort();
    out
}

fn name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The text without its `#[cfg(test)]` module, which stands last.
fn without_tests(text: &str) -> &str {
    match text.find("#[cfg(test)]\nmod ") {
        // `mod tests;` has no body here; only a module with one ends the file.
        Some(k) if text[k..].lines().nth(1).is_some_and(|l| l.trim_end().ends_with('{')) => &text[..k],
        _ => text,
    }
}

/// Dependencies of each crate are those that `layers.toml` allows.
pub fn layers() -> Vec<String> {
    let path = root().join("crates/layers.toml");
    let table = match std::fs::read_to_string(&path).map_err(|e| e.to_string()).and_then(|t| t.parse::<toml::Table>().map_err(|e| e.to_string())) {
        Ok(t) => t,
        Err(e) => return vec![format!("crates/layers.toml: {e}")],
    };
    let mut complaints = Vec::new();
    let list = |entry: &toml::Value, key: &str| -> BTreeSet<String> {
        entry.get(key).and_then(|v| v.as_array()).into_iter().flatten().filter_map(|v| v.as_str().map(str::to_string)).collect()
    };
    for folder in crates() {
        let crate_name = name(&folder);
        let Some(entry) = table.get(&crate_name) else {
            complaints.push(format!("crates/layers.toml says nothing about {crate_name}"));
            continue;
        };
        let allowed: BTreeSet<String> = list(entry, "ours").union(&list(entry, "external")).cloned().collect();
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).ok().and_then(|t| t.parse::<toml::Table>().ok());
        let found: BTreeSet<String> = manifest
            .as_ref()
            .and_then(|m| m.get("dependencies"))
            .and_then(|d| d.as_table())
            .map(|d| d.keys().cloned().collect())
            .unwrap_or_default();
        for extra in found.difference(&allowed) {
            complaints.push(format!("{crate_name} depends on {extra}, which crates/layers.toml does not allow"));
        }
        for gone in allowed.difference(&found) {
            complaints.push(format!("crates/layers.toml allows {crate_name} → {gone}, which is not used"));
        }
    }
    for (word, owners) in table.get("allowed_only_in").and_then(|t| t.as_table()).into_iter().flatten() {
        let owners: Vec<&str> = owners.as_array().into_iter().flatten().filter_map(|v| v.as_str()).collect();
        for folder in crates() {
            if owners.contains(&name(&folder).as_str()) {
                continue;
            }
            for file in sources(&folder) {
                let text = std::fs::read_to_string(&file).unwrap_or_default();
                if let Some(k) = without_tests(&text).lines().position(|l| l.contains(word.as_str()) && !l.trim_start().starts_with("//")) {
                    complaints.push(format!("{}:{}: `{word}` is for {} only", shown(&file), k + 1, owners.join(", ")));
                }
            }
        }
    }
    complaints
}

/// No file is over the limit; every `lib.rs` has the four words.
pub fn sizes_and_headers() -> Vec<String> {
    let mut complaints = Vec::new();
    for folder in crates() {
        for file in files(&folder, ".rs") {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            let lines = text.lines().count();
            if lines > MOST_LINES {
                complaints.push(format!("{} has {lines} lines, the limit is {MOST_LINES}", shown(&file)));
            }
            if file.ends_with("src/lib.rs") || file.ends_with("src/main.rs") {
                for word in ["//! Owns:", "//! Never:", "//! Reads:", "//! Returns:"] {
                    if !text.lines().any(|l| l.starts_with(word)) {
                        complaints.push(format!("{} has no line `{word}`", shown(&file)));
                    }
                }
            }
            if text.lines().any(|l| l.ends_with([' ', '\t'])) {
                complaints.push(format!("{} has blanks at the end of a line", shown(&file)));
            }
        }
    }
    complaints
}

/// Nothing in the sources can panic on purpose, and nothing is left undone.
pub fn no_panics() -> Vec<String> {
    let mut complaints = Vec::new();
    let words = [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "dbg!("];
    for folder in crates() {
        let harness = name(&folder) == "gradus-testkit";
        for file in sources(&folder) {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            for (k, line) in without_tests(&text).lines().enumerate() {
                let code = line.split("//").next().unwrap_or("");
                // A parser's own `self.expect` is no `Option::expect`.
                let code = code.replace("self.expect(", "");
                if !harness && words.iter().any(|w| code.contains(w)) {
                    complaints.push(format!("{}:{}: {}", shown(&file), k + 1, line.trim()));
                }
            }
        }
    }
    complaints
}

/// Codes in the sources, with a place where each is used.
pub fn codes() -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for folder in crates().into_iter().filter(|c| name(c) != "gradus-testkit") {
        for file in sources(&folder) {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            for (k, line) in without_tests(&text).lines().enumerate() {
                let code = if line.trim_start().starts_with("//") { "" } else { line };
                for piece in code.split('"').skip(1).step_by(2) {
                    if is_code(piece) {
                        out.entry(piece.to_string()).or_insert_with(|| format!("{}:{}", shown(&file), k + 1));
                    }
                }
            }
        }
    }
    out
}

pub(crate) fn is_code(text: &str) -> bool {
    text.len() == 5 && text.starts_with(['E', 'W']) && text[1..].bytes().all(|b| b.is_ascii_digit())
}

/// Every code has a page and a UI test, and there is no page or test for a code that is gone.
pub fn codes_are_explained() -> Vec<String> {
    let used = codes();
    let mut complaints = Vec::new();
    let pages: BTreeSet<&str> = gradus::explain::codes().collect();
    let on_disk: BTreeSet<String> =
        files(&root().join("crates/gradus/explain"), ".md").iter().map(|p| name(p).trim_end_matches(".md").to_string()).collect();
    let cases: String = files(&root().join("tests/ui"), ".md").iter().filter_map(|p| std::fs::read_to_string(p).ok()).collect();
    for (code, place) in &used {
        if !pages.contains(code.as_str()) {
            complaints.push(format!("{code} ({place}) has no page in crates/gradus/explain (and its pages.in)"));
        }
        if !internal(code) && !cases.contains(&format!("\n[{code}] ")) {
            complaints.push(format!("{code} ({place}) has no UI test that shows it"));
        }
    }
    for page in &on_disk {
        if !used.contains_key(page) {
            complaints.push(format!("crates/gradus/explain/{page}.md is about a code that no source has"));
        }
        if !pages.contains(page.as_str()) {
            complaints.push(format!("crates/gradus/explain/pages.in leaves {page} out"));
        }
    }
    complaints
}

/// The embedded library is the folder, and every item of it has a doc comment.
pub fn library() -> Vec<String> {
    let folder = root().join("stdlib");
    let mut complaints = Vec::new();
    let embedded: BTreeSet<String> = gradus::stdlib::MODULES.iter().map(|(n, _)| n.to_string()).collect();
    let on_disk: BTreeSet<String> = files(&folder, ".opt")
        .iter()
        .filter_map(|p| p.strip_prefix(&folder).ok().map(|p| p.to_string_lossy().trim_end_matches(".opt").replace('\\', "/")))
        .collect();
    for missing in on_disk.symmetric_difference(&embedded) {
        complaints.push(format!("stdlib/{missing}.opt and the table in crates/gradus/src/stdlib.rs disagree"));
    }
    for path in files(&folder, ".opt") {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut before = "";
        for (k, line) in text.lines().enumerate() {
            if line.split_once(' ').is_some_and(|(word, _)| ITEMS.contains(&word)) && !before.starts_with("///") {
                complaints.push(format!("{}:{}: no doc comment: {line}", shown(&path), k + 1));
            }
            before = line;
        }
    }
    complaints
}
