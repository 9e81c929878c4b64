//! `cargo x bench`: what the programs of `benches/` take, beside what is written by hand; `cargo x peer`: one of them in the words of
//! other programs that are measured beside this one.

use crate::{cargo, data, ops, root, target};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs of each program where compiling is the work.
const RUNS: usize = 5;

/// Where the scripts of `benches/` find their data.
fn data_folder() -> PathBuf {
    root().join("target/bench-data")
}

pub fn write_data() -> std::io::Result<bool> {
    data::write(&data_folder()).map(|()| true)
}

fn build(package: &str) -> std::io::Result<bool> {
    cargo(&["build", "--release", "--quiet", "-p", package], &[])
}

/// Every script of `benches/` with `filter` in its name by `gradus bench`; then those with a hand-written counterpart beside it; then the
/// programs that only take compiling.
pub fn bench(filter: &str) -> std::io::Result<bool> {
    if !(write_data()? && build("gradus-cli")? && build("gradus-hand")?) {
        return Ok(false);
    }
    let gradus = target().join("release/gradus");
    let mut scripts: Vec<_> = std::fs::read_dir(root().join("benches"))?
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "opt") && stem(p).contains(filter))
        .collect();
    scripts.sort();
    let mut fine = true;
    for script in &scripts {
        fine &= Command::new(&gradus).arg("bench").arg(script).status()?.success();
        println!();
    }
    fine &= Command::new(target().join("release/gradus-hand")).arg(filter).status()?.success();
    let long: Vec<PathBuf> = long_programs()?.into_iter().filter(|p| stem(p).contains(filter)).collect();
    Ok(compile_times(&gradus, &long)? && fine)
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Best and median of the executor's time, of everything else, and of the whole, for scripts where compiling is the work.
fn compile_times(gradus: &Path, scripts: &[PathBuf]) -> std::io::Result<bool> {
    if scripts.is_empty() {
        return Ok(true);
    }
    println!(
        "\n{:<16} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "ms", "exec best", "median", "compile best", "median", "total best", "median"
    );
    for script in scripts {
        let (mut exec, mut compile, mut total) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let out = Command::new(gradus).args(["run", "--quiet", "--timings"]).arg(script).output()?;
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
        print!("{:<16}", stem(script));
        for times in [&mut exec, &mut compile, &mut total] {
            let (best, median) = best_and_median(times);
            print!(" {best:>12.2} {median:>12.2}");
        }
        println!();
    }
    Ok(true)
}

/// Written anew for each bench, since they are as long as dull.
fn long_programs() -> std::io::Result<Vec<PathBuf>> {
    let programs = [(100, false), (1000, false), (5000, false), (1000, true), (5000, true)];
    programs.into_iter().map(|(n, solve)| long_program(n, solve)).collect()
}

fn long_program(n: usize, solve: bool) -> std::io::Result<PathBuf> {
    let folder = target().join("benches");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("w14_{}{n}.opt", if solve { "solve" } else { "ops" }));
    std::fs::write(&path, ops::program(n, solve))?;
    Ok(path)
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

/// `WORKLOAD PEER --size S --dtype D`: that workload by `gradus bench --json`, whose line has the fields that the others print. Nothing
/// is built: this may be timed from outside.
pub fn peer(args: &[String]) -> std::io::Result<bool> {
    let option = |name: &str| args.iter().position(|a| a == name).and_then(|k| args.get(k + 1)).map(String::as_str);
    let workload = args.first().map(String::as_str).unwrap_or_default();
    let (size, dtype) = (option("--size").unwrap_or_default(), option("--dtype").unwrap_or("f64"));
    let (script, item) = match (workload, size) {
        ("W1", "fixed") => ("w1_rosenbrock_fixed", ""),
        ("W1", "armijo") => ("w1_rosenbrock_armijo", ""),
        ("W2", "small") => ("w2_logistic_small", "solve"),
        ("W2", "large") => ("w2_logistic_large", "solve"),
        ("W3", "std") => ("w3_lasso", "for k"),
        ("W4", "simplex") => ("w4_least_squares_simplex", "for k"),
        ("W4", "l1") => ("w4_least_squares_l1", "for k"),
        ("W4", "l2") => ("w4_least_squares_l2", "for k"),
        ("W4P", "simplex") => ("w4p_projection_simplex", "project"),
        ("W4P", "l1") => ("w4p_projection_l1", "project"),
        ("W4P", "boxhyper") => ("w4p_projection_box", "project"),
        ("W5", "adam") => ("w5_adam", "solve"),
        ("W5", "chain") => ("w5_chain", "for i"),
        ("W6", "digits") => ("w6_digits", "for t"),
        ("W8", "hyperclean") => ("w8_cleaning", "solve"),
        ("W9", "std") => ("w9_saddle", "for k"),
        ("W10", "sinkhorn") => ("w10_sinkhorn", "for k"),
        ("W14", "script") => ("w14_value_and_gradient", "value_and_grad"),
        _ => match size.strip_prefix("ops").and_then(|n| n.parse().ok()) {
            Some(n) if workload == "W14" => {
                return run_peer(&long_program(n, false)?, "value_and_grad", dtype);
            }
            _ => {
                eprintln!("there is no script for {workload} {size}");
                return Ok(false);
            }
        },
    };
    run_peer(&root().join("benches").join(format!("{script}.opt")), item, dtype)
}

fn run_peer(script: &Path, item: &str, dtype: &str) -> std::io::Result<bool> {
    let gradus = target().join("release/gradus");
    let args = ["bench", "--json", "--precision", dtype, "--filter", item];
    Ok(Command::new(gradus).args(args).arg(script).status()?.success())
}
