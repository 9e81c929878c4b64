//! What the commands share: sessions from arguments, diagnostics, JSON, timings, Ctrl-C.

use crate::args::{Native, Rewrites, SessionArgs};
use crate::machine;
use crate::units::si;
use gradus::report::{self, Style};
use gradus::{CancelToken, Diagnostic, FileId, Level, Limits, Machine, NativeCode, Outcome, Precision, Session, Sources, Stage, Timings};
use signal_hook::consts::SIGINT;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A session as the arguments say, whose token Ctrl-C sets; a second Ctrl-C ends the process at once. `None` after a complaint.
pub fn session(args: &SessionArgs) -> Option<Session> {
    let machine = machine::profile(args).ok()?.map_or_else(Machine::default, |p| p.machine);
    let limits = Limits { time: args.time_limit, memory: args.memory };
    let mut builder = Session::builder().seed(args.seed).machine(machine).precision(args.precision).limits(limits).cancel(interrupt()).rewrites(match args.rewrites {
        Rewrites::Off => Level::Off,
        Rewrites::Strict => Level::Strict,
        Rewrites::Default => Level::Default,
    });
    if let Some(n) = args.threads {
        builder = builder.threads(n);
    }
    builder = builder.native(match args.native {
        Native::On => NativeCode::On,
        Native::Off => NativeCode::Off,
        Native::Auto => NativeCode::Auto,
    });
    for (name, value) in &args.set {
        builder = builder.set(name, value);
    }
    for (name, path) in &args.data {
        builder = builder.data_file(name, path);
    }
    if let Some(folder) = &args.plan_cache {
        builder = builder.plan_cache(folder);
    }
    Some(builder.build())
}

fn interrupt() -> CancelToken {
    let flag = Arc::new(AtomicBool::new(false));
    // The order matters: the handler that ends the process looks at the flag before the other one sets it.
    let second = signal_hook::flag::register_conditional_shutdown(SIGINT, 130, flag.clone());
    if second.and_then(|_| signal_hook::flag::register(SIGINT, flag.clone())).is_err() {
        eprintln!("gradus: Ctrl-C cannot be caught here; it ends the process at once");
    }
    CancelToken::from_flag(flag)
}

/// A line on the standard output. A reader that has gone away (`| head`) is no mistake.
pub fn say(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Read a script; a complaint is printed.
pub fn open(session: &mut Session, path: &Path) -> Option<FileId> {
    match session.open(path) {
        Ok(file) => Some(file),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("gradus: there is no file `{}`", path.display());
            None
        }
        Err(e) => {
            eprintln!("gradus: `{}` could not be read: {e}", path.display());
            None
        }
    }
}

/// Diagnostics on the standard error, with a summary where there are several.
pub fn complain(diagnostics: &[Diagnostic], sources: &Sources, style: Style) {
    let mut text = String::new();
    for d in diagnostics {
        text.push_str(&report::render(d, sources, style));
    }
    if diagnostics.len() > 1
        && let Some(summary) = report::summary(diagnostics)
    {
        text.push_str(&summary);
        text.push('\n');
    }
    if let Some(first) = diagnostics.iter().find(|d| d.is_error()) {
        text.push_str(&format!("`gradus explain {}` tells more.\n", first.code));
    }
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Write text to a file, or to the standard output for `-`.
pub fn write(path: &Path, text: &str) -> bool {
    let done = match path.as_os_str() == "-" {
        true => std::io::stdout().write_all(text.as_bytes()),
        false => std::fs::write(path, text),
    };
    if let Err(e) = &done {
        eprintln!("gradus: `{}` could not be written: {e}", path.display());
    }
    done.is_ok()
}

/// One row per stage.
pub fn timings(t: &Timings) {
    let mut text = String::new();
    for stage in Stage::ALL {
        let ms = t.of(stage).as_secs_f64() * 1e3;
        let note = match stage {
            Stage::Plan => {
                let loaded = if t.loaded > 0 { format!(" ({} from the plan cache)", t.loaded) } else { String::new() };
                format!("   {} plans made{loaded}, {} reused", t.planned, t.reused)
            }
            Stage::Exec => format!("   {} runs, the largest plan holds {}B", t.planned + t.reused, si(t.largest_plan as f64)),
            _ => String::new(),
        };
        text.push_str(&format!("{:8} {ms:9.2} ms{note}\n", stage.name()));
    }
    text.push_str(&format!("{:8} {:9.2} ms\n", "total", t.total().as_secs_f64() * 1e3));
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The worse of two exit codes: interrupted, then wrong, then a failed test.
pub fn worse(a: u8, b: u8) -> u8 {
    let rank = |c: u8| match c {
        130 => 4,
        2 => 3,
        1 => 2,
        3 => 1,
        _ => 0,
    };
    if rank(b) > rank(a) { b } else { a }
}

/// Several outcomes as one JSON text: the object itself where there is one script.
pub fn json(outcomes: &[(String, Outcome)], session: &Session, seed: u64, precision: Precision) -> String {
    let mut values: Vec<report::json::Value> =
        outcomes.iter().map(|(name, o)| report::json::outcome(name, o, session.sources(), seed, precision)).collect();
    let value = if values.len() == 1 { values.remove(0) } else { report::json::Value::Array(values) };
    report::json::text(&value)
}
