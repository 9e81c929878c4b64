//! The test harness: golden files, UI cases, command transcripts, documentation examples and the checks of the project's order.
//!
//! Owns:    how tests are written down as Markdown, compared and (with `UPDATE=1`) rewritten.
//! Never:   is a normal dependency; knows a stage crate.
//! Reads:   `tests/`, `stdlib/`, `examples/`, `grammar/`, the documentation and the sources of the crates.
//! Returns: a list of complaints; a test passes when it is empty.

pub mod compare;
pub mod differential;
pub mod docs;
pub mod fuzz;
pub mod golden;
pub mod markdown;
mod mask;
pub mod proofs;
pub mod scratch;
pub mod tidy;
pub mod transcript;
pub mod ui;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
}

/// Files below a folder whose names end so, sorted.
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut work = vec![folder.to_path_buf()];
    while let Some(dir) = work.pop() {
        let Ok(entries) = std::fs::read_dir(&dir) else { continue };
        for e in entries.flatten() {
            let path = e.path();
            if path.is_dir() {
                work.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                out.push(path);
            }
        }
    }
    out.sort();
    out
}

/// The path as it is written in the project.
pub fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// Whether expectations are to be rewritten instead of compared.
pub fn updating() -> bool {
    std::env::var_os("UPDATE").is_some_and(|v| v == "1")
}

/// Fail with all complaints at once.
///
/// # Panics
/// When there is a complaint; this is how a test fails.
#[allow(clippy::panic)]
pub fn settle(complaints: &[String]) {
    if !complaints.is_empty() {
        panic!("{} complaint(s)\n\n{}\n", complaints.len(), complaints.join("\n\n"));
    }
}
