//! The programs of `benches/` beside what a person would write by hand for the same step.
//!
//! Owns:    the hand-written versions; measuring both in one process, in turn.
//! Never:   is needed to build or test the rest; asks Gradus how it does something.
//! Reads:   `benches/*.opt`, their data in `target/bench-data`.
//! Returns: a table of times and ratios; an exit code of 1 where the two do not agree on the objective.

mod data;
mod elementwise;
mod least_squares;
mod logistic;
mod math;
mod matrices;
mod network;
mod valley;

use gradus::bench::{Purpose, Recorded, cpu_seconds};
use gradus::{Output, Session, Status};
use std::process::ExitCode;
use std::time::Instant;

/// A hand-written program.
trait Hand {
    /// The whole loop, from its start.
    fn run(&mut self);
    /// The objective at the point that the last run ended at.
    fn objective(&self) -> f64;
}

struct Program {
    script: &'static str,
    /// The printed value that is the objective.
    objective: &'static str,
    /// Relative difference of the objectives that rounding explains.
    tolerance: f64,
    hand: fn() -> Result<Box<dyn Hand>, String>,
}

const fn program(script: &'static str, hand: fn() -> Result<Box<dyn Hand>, String>) -> Program {
    Program { script, objective: "objective", tolerance: 1e-9, hand }
}

const PROGRAMS: &[Program] = &[
    Program { objective: "valley(x)", ..program("w1_rosenbrock_fixed", valley::fixed) },
    // Line searches turn on the last digit.
    Program { objective: "valley(x)", tolerance: 1e-3, ..program("w1_rosenbrock_armijo", valley::armijo) },
    program("w2_logistic_small", logistic::small),
    program("w2_logistic_large", logistic::large),
    program("w3_lasso", least_squares::lasso),
    program("w4_least_squares_simplex", least_squares::simplex),
    program("w4_least_squares_l1", least_squares::l1),
    program("w4_least_squares_l2", least_squares::l2),
    program("w4p_projection_simplex", least_squares::rows_simplex),
    program("w4p_projection_l1", least_squares::rows_l1),
    program("w5_adam", elementwise::adam),
    program("w5_chain", elementwise::chain),
    Program { tolerance: 1e-6, ..program("w6_digits", network::digits_network) },
    program("w9_saddle", matrices::saddle),
    program("w10_sinkhorn", matrices::sinkhorn),
];

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let filter = args.next().unwrap_or_default();
    let runs = args.next().and_then(|n| n.parse().ok()).unwrap_or(7);
    let mut failed = false;
    println!(
        "{:<26} {:>6} {:>12} {:>12} {:>7} {:>12} {:>12} {:>7} {:>9}",
        "per step, µs", "steps", "gradus", "by hand", "ratio", "gradus cpu", "hand cpu", "ratio", "differ"
    );
    for p in PROGRAMS.iter().filter(|p| p.script.contains(&filter)) {
        match compare(p, runs) {
            Ok(agree) => failed |= !agree,
            Err(e) => {
                println!("{:<26} {e}", p.script);
                failed = true;
            }
        }
    }
    ExitCode::from(u8::from(failed))
}

/// Seconds of the wall clock and of the processor, of each run.
#[derive(Default)]
struct Times {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Times {
    fn take(&mut self, run: &mut dyn FnMut()) {
        let (cpu, start) = (cpu_seconds(), Instant::now());
        run();
        self.wall.push(start.elapsed().as_secs_f64());
        self.cpu.extend(cpu.zip(cpu_seconds()).map(|(a, b)| b - a));
    }

    fn median(&mut self) -> f64 {
        self.wall.sort_by(f64::total_cmp);
        self.wall.get(self.wall.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Of all threads; what a busy machine disturbs least.
    fn best_cpu(&self) -> f64 {
        self.cpu.iter().copied().min_by(f64::total_cmp).unwrap_or(f64::NAN)
    }
}

/// Measures both and prints a row; do they agree?
fn compare(p: &Program, runs: usize) -> Result<bool, String> {
    let mut session = Session::builder().build();
    let path = data::root().join("benches").join(format!("{}.opt", p.script));
    let script = session.open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let (outcome, recorded) = session.record(script, &mut gradus::Silent);
    if outcome.status != Status::Done {
        return Err(format!("{:?}", outcome.diagnostics.first().map(|d| &d.message)));
    }
    let objective = match outcome.value(p.objective) {
        Some(Output::Array(a)) => a.as_scalar().unwrap_or(f64::NAN),
        _ => return Err(format!("does not print `{}`", p.objective)),
    };
    let (main, steps) = heaviest(&recorded)?;
    let mut executor = main.executor();
    let mut hand = (p.hand)()?;
    let mut failure = None;
    let mut gradus = || {
        if let Err(e) = main.run(&mut executor) {
            failure = Some(format!("{e:?}"));
        }
    };
    let mut other = || hand.run();
    // Both once to warm up; then in turn, each first every second time.
    gradus();
    other();
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for k in 0..runs {
        if k % 2 == 0 {
            ours.take(&mut gradus);
            theirs.take(&mut other);
        } else {
            theirs.take(&mut other);
            ours.take(&mut gradus);
        }
    }
    if let Some(e) = failure {
        return Err(e);
    }
    let found = hand.objective();
    let difference = (found - objective).abs() / objective.abs().max(1e-12);
    let us = |seconds: f64| seconds / steps as f64 * 1e6;
    let (a, b) = (us(ours.median()), us(theirs.median()));
    let (best_a, best_b) = (us(ours.best_cpu()), us(theirs.best_cpu()));
    let agree = difference <= p.tolerance;
    println!(
        "{:<26} {steps:>6} {a:>12.4} {b:>12.4} {:>7.2} {best_a:>12.4} {best_b:>12.4} {:>7.2} {difference:>9.1e}{}",
        p.script,
        a / b,
        best_a / best_b,
        if agree { "" } else { "  THE OBJECTIVES DIFFER" }
    );
    Ok(agree)
}

/// The computation of the script with the most work, and its steps.
fn heaviest(recorded: &[Recorded]) -> Result<(&Recorded, u64), String> {
    let mut best: Option<(&Recorded, u64, f64)> = None;
    for r in recorded.iter().filter(|r| r.purpose != Purpose::Measure) {
        let mut executor = r.executor();
        r.run(&mut executor).map_err(|e| format!("{e:?}"))?;
        let work = r.plan.work(executor.steps());
        let steps = r.plan.main_loop(executor.steps()).map_or(1, |(_, n, _)| n.max(1));
        let weight = work.flops + work.read + work.written;
        if best.as_ref().is_none_or(|b| weight > b.2) {
            best = Some((r, steps, weight));
        }
    }
    best.map(|(r, steps, _)| (r, steps)).ok_or_else(|| "has no computation".to_string())
}
