//! `gradus bench` and `gradus calibrate`.

use crate::args::{BenchArgs, CalibrateArgs};
use crate::machine;
use crate::output;
use crate::units::{short, si};
use gradus::bench::profile::Profile;
use gradus::bench::{Item, Purpose, Report, Settings};
use gradus::report::Style;
use gradus::report::json::json;
use gradus::{Output, Stage, Status};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where a wrapper that starts this program says when it did so (seconds since 1970).
const STARTED: &str = "PEERS_T0";

pub fn bench(args: BenchArgs, err: Style) -> u8 {
    let began = Instant::now();
    let spawned = std::env::var(STARTED).ok().and_then(|t| t.parse::<f64>().ok());
    let Ok(profile) = machine::measured(&args.session) else { return crate::USAGE };
    let Some(mut session) = output::session(&args.session) else { return crate::USAGE };
    let settings = Settings { repeat: args.repeat, filter: args.filter.clone(), measures: args.measures };
    let mut code = 0;
    for path in &args.files {
        let Some(script) = output::open(&mut session, path) else {
            code = output::worse(code, 1);
            continue;
        };
        let mut first = FirstResult { began, spawned, seconds: None, cpu: None };
        let report = session.bench(script, &settings, &mut first);
        output::complain(&report.outcome.diagnostics, session.sources(), err);
        code = output::worse(code, report.outcome.status.exit_code());
        if report.items.is_empty() && report.outcome.status == Status::Done {
            let what = args.filter.as_ref().map_or("nothing to measure".to_string(), |f| format!("nothing to measure has `{f}` in its text"));
            eprintln!("gradus: {}: {what}", path.display());
            code = output::worse(code, 1);
        }
        if args.json {
            for item in &report.items {
                output::say(line(path, &report, item, &first, profile.as_ref()));
            }
        } else {
            show(path, &report, profile.as_ref());
        }
        if report.outcome.status == Status::Interrupted {
            break;
        }
    }
    code
}

pub fn calibrate(args: CalibrateArgs) -> u8 {
    let Some(path) = args.output.or_else(machine::cache_file) else {
        eprintln!("gradus: this user has no folder for caches; say where with `--output FILE`");
        return 1;
    };
    let Some(profile) = machine::measure(&path) else { return 1 };
    output::say(format_args!("products of matrices  {}flop/s", si(profile.flops)));
    for s in &profile.streams {
        output::say(format_args!("memory of {}B  reads {}B/s, writes {}B/s", si(s.bytes), si(s.read), si(s.write)));
    }
    output::say(format_args!("written to {}", path.display()));
    0
}

/// Takes the time when the script has run once, which is when its last event has come.
struct FirstResult {
    began: Instant,
    spawned: Option<f64>,
    seconds: Option<f64>,
    cpu: Option<f64>,
}

impl gradus::Emit for FirstResult {
    fn event(&mut self, _: &gradus::Event, _: &gradus::Sources) {
        let since = |t: f64| SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|now| now.as_secs_f64() - t);
        self.seconds = self.spawned.and_then(since).or(Some(self.began.elapsed().as_secs_f64()));
        self.cpu = gradus::bench::cpu_seconds();
    }
}

/// What the figures of an item are compared with.
struct Share {
    /// Operations in a second, and their part of what products of matrices reach.
    flops: f64,
    of_flops: Option<f64>,
    /// Bytes in a second, their part of what memory of such a size reaches, and that size.
    bytes: f64,
    of_bytes: Option<(f64, f64)>,
}

fn share(item: &Item, profile: Option<&Profile>) -> Share {
    let seconds = item.median();
    let (read, written) = item.bytes();
    let (flops, bytes) = (item.flops() / seconds, (read + written) / seconds);
    // What one step touches cannot be more than its traffic, nor than everything there is.
    let size = (read + written).min((item.plan_bytes + item.input_bytes) as f64);
    let of_bytes = profile.and_then(|p| p.stream_seconds(size, read, written)).map(|(least, s)| (least / seconds, s.bytes));
    Share { flops, of_flops: profile.map(|p| flops / p.flops), bytes, of_bytes }
}

fn show(path: &Path, report: &Report, profile: Option<&Profile>) {
    let t = &report.outcome.timings;
    let stages: Vec<String> = Stage::ALL.iter().map(|s| format!("{} {}s", s.name(), si(t.of(*s).as_secs_f64()))).collect();
    output::say(format_args!("{}  ({})", path.display(), stages.join(", ")));
    for item in &report.items {
        let times = if item.runs > 1 { format!("  ({} times)", item.runs) } else { String::new() };
        let what = if item.purpose == Purpose::Measure { "measured at the answer of " } else { "" };
        output::say(format_args!("\n{what}{}{times}", item.title));
        let per = match &item.loop_label {
            Some(l) => {
                output::say(format_args!("  {} steps of `{l}`, {} kernels a step", item.steps, short(item.kernels)));
                "a step"
            }
            None => {
                output::say(format_args!("  {} kernels", short(item.kernels)));
                "a run"
            }
        };
        let spread = 100.0 * item.spread();
        let n = item.seconds.len();
        output::say(format_args!("  time      {}s {per}, best {}s, spread {spread:.0} %, {n} runs", si(item.median()), si(item.best())));
        let (read, written) = item.bytes();
        output::say(format_args!("  work      {}flop {per}, reads {}B, writes {}B", si(item.flops()), si(read), si(written)));
        let s = share(item, profile);
        let of = |p: Option<f64>, what: &str| p.map_or(String::new(), |p| format!(" ({:.0} % of {what})", 100.0 * p));
        let products = of(s.of_flops, "products of matrices");
        let memory = s.of_bytes.map_or(String::new(), |(p, size)| of(Some(p), &format!("memory of {}B", si(size))));
        output::say(format_args!("  rate      {}flop/s{products}, {}B/s{memory}", si(s.flops), si(s.bytes)));
        output::say(format_args!("  memory    {}B, inputs {}B", si(item.plan_bytes as f64), si(item.input_bytes as f64)));
        let (rewrite, planning) = (item.rewrite.as_secs_f64(), item.planning.as_secs_f64());
        output::say(format_args!("  compiled  rewrite {}s, plan {}s", si(rewrite), si(planning)));
        if let Some(v) = item.objective {
            output::say(format_args!("  value     {v}"));
        }
    }
}

/// One line of JSON with the fields that other programs measured beside this one print too.
fn line(path: &Path, report: &Report, item: &Item, first: &FirstResult, profile: Option<&Profile>) -> String {
    let t = &report.outcome.timings;
    let of = |stages: &[Stage]| stages.iter().map(|s| t.of(*s)).sum::<Duration>().as_secs_f64();
    let name = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let us = |s: f64| s * 1e6;
    // What the script prints as `objective` counts before the value that a solve reports.
    let printed = match report.outcome.value("objective") {
        Some(Output::Array(a)) => a.as_scalar(),
        _ => None,
    };
    let s = share(item, profile);
    let (read, written) = item.bytes();
    let load = std::fs::read_to_string("/proc/loadavg").ok().and_then(|l| l.split(' ').next()?.parse::<f64>().ok());
    let value = json!({
        "workload": name,
        "item": item.title,
        "peer": "gradus",
        "dtype": if item.width == 8 { "f64" } else { "f32" },
        "setup_s": of(&[Stage::Syntax, Stage::Check, Stage::Eval, Stage::Rewrite, Stage::Plan]),
        "compile_s": (item.rewrite + item.planning).as_secs_f64(),
        "first_result_s": first.seconds,
        "per_iter_us": us(item.median()),
        "per_iter_us_min": us(item.best()),
        "per_iter_cpu_us_min": item.best_cpu().map(us),
        "iters": item.steps,
        "run_s": item.median() * item.steps as f64,
        "reps": item.seconds.len(),
        "final_objective": printed.or(item.objective),
        "extra": {
            "spread": item.spread(),
            "flops_per_iter": item.flops(),
            "read_bytes_per_iter": read,
            "written_bytes_per_iter": written,
            "kernels_per_iter": item.kernels,
            "gflops": s.flops * 1e-9,
            "gbytes_per_s": s.bytes * 1e-9,
            "of_peak_flops": s.of_flops,
            "of_peak_bandwidth": s.of_bytes.map(|(part, _)| part),
            "plan_bytes": item.plan_bytes,
            "rewrite_s": item.rewrite.as_secs_f64(),
            "plan_s": item.planning.as_secs_f64(),
            "import_s": 0.0,
            "data_s": of(&[Stage::Data]),
            "trace_s": of(&[Stage::Syntax, Stage::Check, Stage::Eval]),
            "first_result_cpu_s": first.cpu,
            "load1": load,
        },
    });
    value.to_string()
}
