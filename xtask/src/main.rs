//! Chores of the project: `cargo x pages`, `cargo x update`, `cargo x check`, `cargo x bench`.
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
  check    what continuous integration runs
  bench    time the scripts of benches/, five runs each";

/// Runs of each benchmark.
const RUNS: usize = 5;

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let done = match command.as_deref() {
        Some("pages") => pages(),
        Some("update") => cargo(&["test", "--release", "-p", "gradus-cli", "--test", "suite"], &[("UPDATE", "1")]),
        Some("bench") => bench(),
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

/// Best and median of the executor's time and of the whole, for each script of `benches/`.
fn bench() -> std::io::Result<bool> {
    if !cargo(&["build", "--release", "--quiet", "-p", "gradus-cli"], &[])? {
        return Ok(false);
    }
    let gradus = target().join("release/gradus");
    let mut scripts: Vec<_> = std::fs::read_dir(root().join("benches"))?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "opt"))
        .collect();
    scripts.sort();
    println!("{:<16} {:>12} {:>12} {:>12} {:>12}", "ms", "exec best", "median", "total best", "median");
    for script in scripts {
        let (mut exec, mut total) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let out = Command::new(&gradus).args(["run", "--quiet", "--timings"]).arg(&script).output()?;
            if !out.status.success() {
                eprintln!("{} failed:\n{}", script.display(), String::from_utf8_lossy(&out.stderr));
                return Ok(false);
            }
            let text = [out.stdout, out.stderr].concat();
            let text = String::from_utf8_lossy(&text);
            exec.extend(row(&text, "exec"));
            total.extend(row(&text, "total"));
        }
        let name = script.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let ((a, b), (c, d)) = (best_and_median(&mut exec), best_and_median(&mut total));
        println!("{name:<16} {a:>12.2} {b:>12.2} {c:>12.2} {d:>12.2}");
    }
    Ok(true)
}

fn target() -> std::path::PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map(Into::into).unwrap_or_else(|| root().join("target"))
}

/// The milliseconds of a row of `--timings`.
fn row(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|l| l.split_whitespace().next() == Some(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn best_and_median(times: &mut [f64]) -> (f64, f64) {
    times.sort_by(f64::total_cmp);
    let at = |k: usize| times.get(k).copied().unwrap_or(f64::NAN);
    (at(0), at(times.len() / 2))
}
