//! Chores of the project: `cargo x pages`, `cargo x update`, `cargo x check`.
//!
//! Owns:    what a contributor would otherwise type by hand.
//! Never:   checks anything itself (ordinary tests do), is needed to build or test.
//! Reads:   the folders of the workspace.
//! Returns: an exit code.

use std::path::Path;
use std::process::{Command, ExitCode};

const HELP: &str = "cargo x COMMAND
  pages    list the pages of crates/gradus/explain in its pages.in
  update   rewrite golden files, snapshots and transcripts (then read the difference)
  check    what continuous integration runs";

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let done = match command.as_deref() {
        Some("pages") => pages(),
        Some("update") => cargo(&["test", "--release", "-p", "gradus-cli", "--test", "suite"], &[("UPDATE", "1")]),
        Some("check") => cargo(&["test", "--release", "--workspace"], &[]),
        _ => {
            println!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("xtask: {e}");
            ExitCode::FAILURE
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The list that the facade embeds, in order.
fn pages() -> std::io::Result<bool> {
    let folder = root().join("crates/gradus/explain");
    let mut codes: Vec<String> = std::fs::read_dir(&folder)?
        .flatten()
        .filter_map(|e| e.file_name().to_string_lossy().strip_suffix(".md").map(str::to_string))
        .collect();
    codes.sort();
    let rows: String = codes.iter().map(|c| format!("    \"{c}\",\n")).collect();
    std::fs::write(folder.join("pages.in"), format!("pages![\n{rows}]\n"))?;
    Ok(true)
}

fn cargo(args: &[&str], env: &[(&str, &str)]) -> std::io::Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(args).envs(env.iter().copied()).current_dir(root()).status()?;
    Ok(status.success())
}
