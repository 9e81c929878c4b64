//! A session: the texts it has read, its plan cache, and the commands.

use crate::bench::{self, Recorded, Recorder};
use crate::data::Reader;
use crate::emit::Emit;
use crate::engine::CpuEngine;
use crate::options::{Binding, CancelToken, Limits, Options};
use crate::outcome::{Outcome, Status};
use crate::pipeline::{self, Command};
use crate::rewriting::Level;
use crate::sources::Sources;
use gradus_cpu::{Control, NativeCode, Threads};
use gradus_ir::{Array, Precision};
use gradus_rewrite::Machine;
use gradus_syntax::{Diagnostic, FileId};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Runs scripts. Plans and data files are kept from one command to the next.
///
/// ```
/// let mut session = gradus::Session::builder().seed(7).build();
/// let script = session.text("sum.opt", "let x = [1, 2, 3]\nprint sum(x)\n");
/// let outcome = session.run(script, &mut gradus::Silent);
/// assert_eq!(outcome.status, gradus::Status::Done);
/// let Some(gradus::Output::Array(total)) = outcome.value("sum(x)") else { panic!("not printed") };
/// assert_eq!(total.as_scalar(), Some(6.0));
/// ```
pub struct Session {
    options: Options,
    sources: Sources,
    reader: Reader,
    engine: CpuEngine,
}

/// Settings of a session to be.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    options: Options,
}

impl Builder {
    /// What `seed` is in the script, and the root of its random numbers.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = seed;
        self
    }

    /// Replace the value of the top-level `let NAME` by that of a text in the language.
    pub fn set(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.settings.push((name.into(), value.into()));
        self
    }

    /// The array of `data NAME`.
    pub fn data(mut self, name: impl Into<String>, array: Array) -> Self {
        self.options.bindings.push((name.into(), Binding::Array(array)));
        self
    }

    /// The file of `data NAME`, relative to the current folder.
    pub fn data_file(mut self, name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        self.options.bindings.push((name.into(), Binding::File(path.into())));
        self
    }

    pub fn rewrites(mut self, level: Level) -> Self {
        self.options.rewrites = level;
        self
    }

    /// The float type that scripts run in. Certificates are measured in f64 always.
    pub fn precision(mut self, precision: Precision) -> Self {
        self.options.precision = precision;
        self
    }

    /// What the rewriter prices work with: the built-in numbers, unless said otherwise.
    pub fn machine(mut self, machine: Machine) -> Self {
        self.options.machine = machine;
        self
    }

    /// A folder in which rewritten graphs are kept for other processes; it is made where it is missing, and grows without bound.
    /// A file in it that is damaged or not of this release is passed over with a warning.
    pub fn plan_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.options.plan_cache = Some(folder.into());
        self
    }

    /// What runs as native code; results are the same bits.
    pub fn native(mut self, native: NativeCode) -> Self {
        self.options.native = native;
        self
    }

    /// Bounds on what each command may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// How many threads large operations may use: all cores, unless said otherwise. They start when the first plan with
    /// enough work runs, and no result depends on their number.
    pub fn threads(mut self, count: NonZeroUsize) -> Self {
        self.options.threads = Some(count);
        self
    }

    /// A token that ends a command under way.
    pub fn cancel(mut self, token: CancelToken) -> Self {
        self.options.cancel = token;
        self
    }

    pub fn build(self) -> Session {
        let threads = self.options.threads.map_or_else(Threads::all, Threads::new);
        let control = Control {
            threads: Some(Arc::new(threads)),
            cancel: Some(self.options.cancel.0.clone()),
            memory_limit: self.options.limits.memory.or_else(installed_memory),
            native: self.options.native,
            ..Control::default()
        };
        let mut engine = CpuEngine::new(self.options.rewrites, self.options.precision, self.options.machine, control);
        engine.cache = self.options.plan_cache.clone().map(crate::plan_cache::PlanCache::new);
        Session { options: self.options, sources: Sources::new(), reader: Reader::new(), engine }
    }
}

impl Session {
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Read a script from a file. Errors are those of reading it, or that it is not UTF-8.
    pub fn open(&mut self, path: &Path) -> io::Result<FileId> {
        self.sources.open(path)
    }

    /// A script that is in no file; its data are relative to the current folder.
    pub fn text(&mut self, name: impl Into<String>, text: &str) -> FileId {
        self.text_in(name, text, "")
    }

    /// A script that is in no file, with the folder that its paths are relative to.
    pub fn text_in(&mut self, name: impl Into<String>, text: &str, folder: impl Into<PathBuf>) -> FileId {
        self.sources.add(name, text, folder)
    }

    /// The texts that spans of diagnostics point into.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Names, shapes and facts, before any data is read.
    pub fn check(&mut self, script: FileId) -> Outcome {
        self.check_with(script, &mut crate::emit::Silent)
    }

    /// Like `check`; what was found out about each problem comes as `Event::Stage` with the stage `facts`.
    pub fn check_with(&mut self, script: FileId, emit: &mut dyn Emit) -> Outcome {
        self.command(Command::Check, script, emit)
    }

    /// Check, then evaluate top to bottom.
    pub fn run(&mut self, script: FileId, emit: &mut dyn Emit) -> Outcome {
        self.command(Command::Run, script, emit)
    }

    /// Check, evaluate, and run the `test` blocks (those with `filter` in their name); nothing is printed or saved.
    pub fn test(&mut self, script: FileId, filter: Option<&str>, emit: &mut dyn Emit) -> Outcome {
        self.command(Command::Test(filter.map(str::to_string)), script, emit)
    }

    /// Run the script and its tests, and compare every derivative that they take with differences at the same data.
    pub fn check_slopes(&mut self, script: FileId, emit: &mut dyn Emit) -> Outcome {
        self.command(Command::CheckSlopes, script, emit)
    }

    /// Like `run`, with `Event::Stage` for each artifact of the stages named (`ir`, `grad`, `rewrite`, `plan`, `types`).
    pub fn explain(&mut self, script: FileId, stages: &[&str], emit: &mut dyn Emit) -> Outcome {
        self.command(Command::Explain(stages.iter().map(|s| s.to_string()).collect()), script, emit)
    }

    /// Run the script once, keeping each computation with its inputs, so that it can be run again apart from the script.
    pub fn record(&mut self, script: FileId, emit: &mut dyn Emit) -> (Outcome, Vec<Recorded>) {
        self.engine.recorder = Some(Recorder::default());
        let outcome = self.command(Command::Run, script, emit);
        let recorder = self.engine.recorder.take().unwrap_or_default();
        (outcome, recorder.items)
    }

    /// Run the script once, then measure each of its computations that the settings ask for. Where the script fails, or a
    /// measurement is interrupted, the outcome says so and the list ends there.
    pub fn bench(&mut self, script: FileId, settings: &bench::Settings, emit: &mut dyn Emit) -> bench::Report {
        let (mut outcome, recorded) = self.record(script, emit);
        let mut items = Vec::new();
        if outcome.status != Status::Done {
            return bench::Report { outcome, items };
        }
        let wanted = |r: &&Recorded| {
            (settings.measures || r.purpose != bench::Purpose::Measure)
                // Numbers that are known while planning leave nothing to run.
                && r.plan.instructions() > 0
                && settings.filter.as_ref().is_none_or(|f| r.title.contains(f.as_str()))
        };
        for r in recorded.iter().filter(wanted) {
            match bench::measure(r, settings, &self.engine.control) {
                Ok(item) => items.push(item),
                // It ran before: only someone from outside can end it.
                Err(_) => {
                    outcome.status = Status::Interrupted;
                    break;
                }
            }
        }
        bench::Report { outcome, items }
    }

    /// The script in the standard layout, or its syntax errors.
    pub fn format(&self, script: FileId) -> Result<String, Vec<Diagnostic>> {
        gradus_syntax::format(script, self.sources.text(script))
    }

    /// The syntax tree as text.
    pub fn syntax_tree(&self, script: FileId) -> (String, Vec<Diagnostic>) {
        let (module, diagnostics) = gradus_syntax::parse(script, self.sources.text(script));
        (gradus_syntax::print_ast(&module), diagnostics)
    }

    fn command(&mut self, command: Command, script: FileId, emit: &mut dyn Emit) -> Outcome {
        let now = std::time::Instant::now();
        self.engine.control.started = Some(now);
        self.engine.control.deadline = self.options.limits.time.and_then(|t: Duration| now.checked_add(t));
        pipeline::run(&command, script, &mut self.sources, &mut self.reader, &mut self.engine, &self.options, emit)
    }
}

/// Bytes of memory that the machine has, where it tells: what no computation can hold is refused instead of ending the process.
fn installed_memory() -> Option<usize> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kilobytes = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?.trim().strip_suffix("kB")?.trim();
    kilobytes.parse::<usize>().ok()?.checked_mul(1024)
}
