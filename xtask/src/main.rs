//! Chores of the project: `cargo x pages`, `cargo x update`, `cargo x check`, `cargo x bench`.
//!
//! Owns:    what a contributor would otherwise type by hand.
//! Never:   checks anything itself (ordinary tests do), is needed to build or test.
//! Reads:   the folders of the workspace.
//! Returns: an exit code.

mod ops;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "cargo x COMMAND
  pages    list the pages of crates/gradus/explain in its pages.in
  update   rewrite golden files, snapshots and transcripts (then read the difference)
  check    what continuous integration runs
  bench    time the scripts of benches/ and the long programs of `ops`, five runs each
  ops N    print a program of N operations with its gradient (`ops N solve`: in a solve)";

/// Runs of each benchmark.
const RUNS: usize = 5;

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let done = match command.as_deref() {
        Some("pages") => pages(),
        Some("update") => cargo(&["test", "--release", "-p", "gradus-cli", "--test", "suite"], &[("UPDATE", "1")]),
        Some("bench") => bench(),
        Some("ops") => ops(),
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
    scripts.extend(long_programs()?);
    println!(
        "{:<16} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "ms", "exec best", "median", "compile best", "median", "total best", "median"
    );
    for script in scripts {
        let (mut exec, mut compile, mut total) = (Vec::new(), Vec::new(), Vec::new());
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
            compile.extend(row(&text, "total").zip(row(&text, "exec")).map(|(t, e)| t - e));
        }
        let name = script.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        print!("{name:<16}");
        for times in [&mut exec, &mut compile, &mut total] {
            let (best, median) = best_and_median(times);
            print!(" {best:>12.2} {median:>12.2}");
        }
        println!();
    }
    Ok(true)
}

/// Where compiling is the work: written anew for each bench, since they are as long as dull.
fn long_programs() -> std::io::Result<Vec<PathBuf>> {
    let folder = target().join("benches");
    std::fs::create_dir_all(&folder)?;
    let mut paths = Vec::new();
    for (n, solve) in [(100, false), (1000, false), (5000, false), (1000, true), (5000, true)] {
        let path = folder.join(format!("w14_{}{n}.opt", if solve { "solve" } else { "ops" }));
        std::fs::write(&path, ops::program(n, solve))?;
        paths.push(path);
    }
    Ok(paths)
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
