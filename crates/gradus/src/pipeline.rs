//! The stages in order: text, syntax, check, evaluation (which rewrites, plans and executes through the engine), outcome.

use crate::bindings::{self, Bound};
use crate::data::Reader;
use crate::emit::Emit;
use crate::engine::{CpuEngine, Wanted};
use crate::host::{Found, SessionHost};
use crate::options::Options;
use crate::outcome::{Outcome, Status};
use crate::sources::Sources;
use crate::timings::{Stage, Timings};
use gradus_eval::host::{Slope, Verdict};
use gradus_eval::{Memo, Mode, check_script, known_names, run_script};
use gradus_syntax::{Diagnostic, FileId};
use std::collections::HashSet;

/// What is to be done with a script.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Check,
    Run,
    /// With the filter on the names of tests.
    Test(Option<String>),
    /// Run with the tests, and compare each derivative with differences.
    CheckSlopes,
    /// Run, and show the artifacts of these stages.
    Explain(Vec<String>),
}

/// One command on one script, from its text to its outcome.
pub fn run(
    command: &Command,
    script: FileId,
    sources: &mut Sources,
    reader: &mut Reader,
    engine: &mut CpuEngine,
    options: &Options,
    emit: &mut dyn Emit,
) -> Outcome {
    engine.timings = Timings::default();
    engine.texts.clear();
    engine.proofs.clear();
    engine.laws = Default::default();
    engine.wanted = Wanted { rewrite: shows(command, "rewrite"), plan: shows(command, "plan"), proof: shows(command, "proof") };
    let mut outcome = stages(command, script, sources, reader, engine, options, emit);
    outcome.timings = std::mem::take(&mut engine.timings);
    outcome
}

fn shows(command: &Command, stage: &str) -> bool {
    matches!(command, Command::Explain(stages) if stages.iter().any(|s| s == stage))
}

fn stages(
    command: &Command,
    script: FileId,
    sources: &mut Sources,
    reader: &mut Reader,
    engine: &mut CpuEngine,
    options: &Options,
    emit: &mut dyn Emit,
) -> Outcome {
    let text = sources.shared_text(script);

    // syntax
    let (module, mut diagnostics) = engine.timings.time(Stage::Syntax, |_| gradus_syntax::parse(script, &text));
    diagnostics.extend(bindings::unknown_names(&module, options));

    // check: names first, then the script evaluated with data of unknown size
    let unbound = Bound::default();
    let mut memo = Memo::default();
    let started = std::time::Instant::now();
    let settings = eval_options(command, options);
    let mut host = SessionHost::new(sources, reader, engine, options, &unbound, emit, Mode::Check);
    let broken = has_errors(&diagnostics);
    let ends: Vec<usize> = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(k, _)| k).collect();
    let line = |d: &Diagnostic| ends.partition_point(|e| *e < d.primary.span.start as usize);
    // Where a line does not parse, its names mean little.
    let torn: HashSet<usize> = diagnostics.iter().filter(|d| d.code.starts_with("E0") && d.is_error()).map(line).collect();
    let named = gradus_check::check(&module, &known_names(&host));
    diagnostics.extend(named.into_iter().filter(|d| !torn.contains(&line(d))));
    if !broken {
        // The evaluator meets wrong names again; each place is told once.
        let found = check_script(&module, &text, &mut host, &settings, &mut memo);
        let told = |e: &Diagnostic, d: &Diagnostic| {
            let (a, b) = (e.primary.span, d.primary.span);
            e.is_error() && a.file == b.file && (a == b || (e.code == d.code && line(e) == line(d)))
        };
        let new = found.into_iter().filter(|d| !diagnostics.iter().any(|e| told(e, d)));
        let new: Vec<Diagnostic> = new.collect();
        diagnostics.extend(new);
        host.flush();
    }
    merge(&mut diagnostics, std::mem::take(&mut host.found).diagnostics);
    engine.timings.add(Stage::Check, started.elapsed());
    // Tests that do not need what is wrong run all the same.
    let tests = matches!(command, Command::Test(_)) && !broken && !options.cancel.is_cancelled();
    if *command == Command::Check || has_errors(&diagnostics) && !tests {
        let status = if options.cancel.is_cancelled() { Status::Interrupted } else { status_of(&diagnostics) };
        return Outcome::new(status, diagnostics);
    }

    // data from outside
    let bound = match engine.timings.time(Stage::Data, |_| bindings::bind(&module, options, reader, sources)) {
        Ok(bound) => bound,
        Err(errors) => {
            diagnostics.extend(errors);
            return Outcome::new(Status::Failed, diagnostics);
        }
    };

    // eval, and through the engine: rewrite, plan, exec
    let before = engine.timings.total();
    let started = std::time::Instant::now();
    let mut host = SessionHost::new(sources, reader, engine, options, &bound, emit, Mode::Run);
    host.saves = matches!(command, Command::Run);
    let ended = run_script(&module, &text, &mut host, &settings, memo);
    host.flush();
    let found = std::mem::take(&mut host.found);
    let inner = engine.timings.total().saturating_sub(before);
    engine.timings.add(Stage::Eval, started.elapsed().saturating_sub(inner));
    conclude(diagnostics, ended, found)
}

fn eval_options(command: &Command, options: &Options) -> gradus_eval::Options {
    let (tests, filter) = match command {
        Command::Test(filter) => (true, filter.clone()),
        Command::CheckSlopes => (true, None),
        _ => (false, None),
    };
    gradus_eval::Options {
        seed: options.seed,
        tests,
        filter,
        silent: tests,
        trace_all: false,
        check_slopes: *command == Command::CheckSlopes,
        stages: matches!(command, Command::Explain(_)),
        precision: options.precision,
    }
}

/// One list of diagnostics, those of failed tests apart, and the status that follows.
fn conclude(mut diagnostics: Vec<Diagnostic>, ended: gradus_eval::Outcome, found: Found) -> Outcome {
    let of_tests: Vec<&Diagnostic> = found.tests.iter().flat_map(|t| &t.diagnostics).collect();
    // What the check has said is not said again by a run that was made for the tests.
    let same = |a: &Diagnostic, b: &Diagnostic| a.code == b.code && a.primary.span == b.primary.span;
    let wrong = has_errors(&diagnostics);
    let told = |d: &Diagnostic| of_tests.contains(&d) || wrong && diagnostics.iter().any(|e| same(e, d));
    let rest: Vec<Diagnostic> = ended.diagnostics.into_iter().filter(|d| !told(d)).collect();
    diagnostics.retain(|d| !d.is_error() || !of_tests.iter().any(|t| same(t, d)));
    merge(&mut diagnostics, found.diagnostics.into_iter().filter(|d| !of_tests.contains(&d)).collect());
    merge(&mut diagnostics, rest);
    let wrong_slope = |s: &Slope| matches!(s.verdict, Verdict::Differs | Verdict::Failed);
    let failed = found.tests.iter().any(|t| !t.passed) || found.slopes.iter().any(wrong_slope);
    let status = match status_of(&diagnostics) {
        _ if ended.cancelled => Status::Interrupted,
        Status::Done | Status::TestFailed if wrong => Status::Failed,
        Status::Done if failed => Status::TestFailed,
        status => status,
    };
    Outcome { values: found.values, solves: found.solves, tests: found.tests, proofs: found.proofs, slopes: found.slopes, ..Outcome::new(status, diagnostics) }
}

fn merge(into: &mut Vec<Diagnostic>, more: Vec<Diagnostic>) {
    for d in more {
        if !into.contains(&d) {
            into.push(d);
        }
    }
}

fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}

/// Failed assertions and certificates (`E8xxx`) alone are a failed test.
fn status_of(diagnostics: &[Diagnostic]) -> Status {
    let mut errors = diagnostics.iter().filter(|d| d.is_error()).peekable();
    if errors.peek().is_none() {
        return Status::Done;
    }
    if errors.all(|d| d.code.starts_with("E8")) { Status::TestFailed } else { Status::Failed }
}
