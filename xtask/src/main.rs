//! Chores of the project: `cargo x pages`, `cargo x update`, `cargo x check`, `cargo x bench`, ….
//!
//! Owns:    what a contributor would otherwise type by hand.
//! Never:   checks anything itself (ordinary tests do), is needed to build or test.
//! Reads:   the folders of the workspace.
//! Returns: an exit code.

mod bench;
mod data;
mod ops;

use std::path::Path;
use std::process::{Command, ExitCode};

const HELP: &str = "cargo x COMMAND
  pages    list the pages of crates/gradus/explain in its pages.in
  update   rewrite golden files, snapshots and transcripts (then read the difference)
  check    what continuous integration runs
  nightly  a hundred thousand random programs through all rewrite rules (minutes)
  bench    time the scripts of benches/ (`bench TEXT`: those with TEXT in their name), also beside hand-written programs
  bench-data  write the data that those scripts read
  peer W … one of them in the words of other programs that are measured beside this one
  ops N    print a program of N operations with its gradient (`ops N solve`: in a solve)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some("pages") => pages(),
        Some("update") => cargo(&["test", "--release", "-p", "gradus-cli", "--test", "suite"], &[("UPDATE", "1")]),
        Some("bench") => bench::bench(args.get(1).map(String::as_str).unwrap_or_default()),
        Some("bench-data") => bench::write_data(),
        Some("peer") => bench::peer(&args[1..]),
        Some("ops") => ops(),
        Some("nightly") => cargo(
            &["test", "--release", "-p", "gradus-rewrite", "rules_together_agree", "--", "--nocapture"],
            &[("GRADUS_SAMPLE", "100000")],
        ),
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

fn ops() -> std::io::Result<bool> {
    let mut args = std::env::args().skip(2);
    let Some(n) = args.next().and_then(|n| n.parse().ok()) else {
        println!("{HELP}");
        return Ok(false);
    };
    print!("{}", ops::program(n, args.next().as_deref() == Some("solve")));
    Ok(true)
}

fn target() -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map(Into::into).unwrap_or_else(|| root().join("target"))
}
