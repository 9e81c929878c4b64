//! The interpreter's view of a session.

use crate::bindings::{Bound, unknown_format};
use crate::data::{self, Reader};
use crate::emit::Emit;
use crate::engine::{CpuEngine, fault};
use crate::options::Options;
use crate::outcome::{Solved, TestResult};
use crate::report::save;
use crate::report::series::Plot;
use crate::sources::Sources;
use crate::stdlib;
use crate::timings::Stage;
use gradus_eval::host::{DataRequest, Engine, Event, Fault, Host};
use gradus_eval::{Library, Mode, Output};
use gradus_ir::Array;
use gradus_syntax::{Diagnostic, FileId, Span};
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Bytes of graphs under construction where no limit is set: a script that asks for more has lost its way.
const MOST_TRACED: usize = 1 << 30;

/// One command's host: passes events on and keeps what the outcome needs.
pub struct SessionHost<'s> {
    pub sources: &'s mut Sources,
    pub reader: &'s mut Reader,
    pub engine: &'s mut CpuEngine,
    pub options: &'s Options,
    pub bound: &'s Bound,
    pub emit: &'s mut dyn Emit,
    /// A check reads no data, and what it says again when it runs is not passed on.
    mode: Mode,
    /// Whether `save` writes files.
    pub saves: bool,
    pub found: Found,
    /// The title of the graph that was last shown.
    title: String,
    /// Stage texts that were shown already; the same graph may be built several times.
    shown: HashSet<(&'static str, String)>,
}

/// What a run has said so far.
#[derive(Debug, Default)]
pub struct Found {
    pub diagnostics: Vec<Diagnostic>,
    pub values: Vec<(String, Output)>,
    pub solves: Vec<Solved>,
    pub tests: Vec<TestResult>,
    pub slopes: Vec<gradus_eval::host::Slope>,
    pub proofs: Vec<(String, gradus_proof::Proof)>,
}

impl<'s> SessionHost<'s> {
    pub fn new(
        sources: &'s mut Sources,
        reader: &'s mut Reader,
        engine: &'s mut CpuEngine,
        options: &'s Options,
        bound: &'s Bound,
        emit: &'s mut dyn Emit,
        mode: Mode,
    ) -> Self {
        let (found, title) = (Found::default(), String::new());
        let shown = HashSet::new();
        SessionHost { sources, reader, engine, options, bound, emit, mode, saves: false, found, title, shown }
    }

    /// Pass on the texts of the engine's stages, and say where the rewriter gave up.
    pub fn flush(&mut self) {
        for text in std::mem::take(&mut self.engine.failures) {
            let d = Diagnostic::warning("E9008", Span::default(), format!("internal error while rewriting: {text}"))
                .note("the graph ran as it was written; this is a mistake of Gradus, please report it with the script");
            self.keep(&Event::Warning(d));
        }
        for text in std::mem::take(&mut self.engine.cache_failures) {
            let d = Diagnostic::warning("E9009", Span::default(), format!("the plan cache: {text}"))
                .note("the plan was made anew; the results are the same");
            self.keep(&Event::Warning(d));
        }
        for d in std::mem::take(&mut self.engine.dropped) {
            let at = Span { file: FileId(d.origin.file), start: d.origin.start, end: d.origin.end };
            let rules = d.rules.join(", ");
            let w = Diagnostic::warning("W7005", at, "a faster form lost too many digits on these data; the plain form was run")
                .at(format!("rewritten by {rules}"))
                .note(format!("both forms differ by {:.0e} of the plain value, and {:.0e} is allowed", d.by, d.allowed))
                .help("the result is that of the plain form; columns that are nearly dependent make it slow: center and scale them, or drop some");
            self.keep(&Event::Warning(w));
        }
        for (proof, gap) in std::mem::take(&mut self.engine.proofs) {
            if let Some(gap) = gap {
                let d = Diagnostic::warning("E9010", Span::default(), format!("the proof of a rewritten graph is refused: {gap}"))
                    .note(format!("the graph is `{}`", self.title))
                    .note("the graph is used all the same; please report it with the script");
                self.keep(&Event::Warning(d));
            }
            if !self.found.proofs.iter().any(|(_, p)| *p == proof) {
                self.found.proofs.push((self.title.clone(), proof));
            }
        }
        for (stage, text) in std::mem::take(&mut self.engine.texts) {
            if !self.shown.insert((stage, text.clone())) {
                continue;
            }
            self.emit.event(&Event::Stage { stage, title: self.title.clone(), text }, self.sources);
        }
    }

    fn keep(&mut self, event: &Event) {
        match event {
            Event::Print { items, .. } => {
                for (name, value) in items {
                    if let Some(name) = name {
                        self.found.values.push((crate::report::values::one_line(name), value.clone()));
                    }
                }
            }
            Event::Solved { name, record, .. } => {
                if let Some(r) = &mut self.engine.recorder {
                    r.solved(number_of(record, "value"));
                }
                self.found.solves.push(Solved { name: name.clone(), record: record.clone() });
            }
            Event::Test { name, passed, diagnostics } => {
                self.found.tests.push(TestResult { name: name.clone(), passed: *passed, diagnostics: diagnostics.clone() });
            }
            Event::Slope(s) => self.found.slopes.push(s.clone()),
            Event::Warning(d) => {
                if !self.found.diagnostics.contains(d) {
                    self.found.diagnostics.push(d.clone());
                }
            }
            Event::Plot { items, settings, span } => {
                if let Err(d) = Plot::new(items, settings, *span) {
                    self.found.diagnostics.push(*d);
                }
            }
            Event::Save { value, path, span } if self.saves => {
                let target = self.sources.folder(span.file).join(path);
                if let Err(d) = save::save(value, &target, path, *span) {
                    self.found.diagnostics.push(*d);
                }
            }
            Event::Stage { title, .. } => self.title = title.clone(),
            Event::Save { .. } => {}
        }
    }
}

impl Host for SessionHost<'_> {
    fn library(&self, module: &str) -> Option<Library> {
        self.sources.library(module)
    }

    fn prelude(&self) -> &[&'static str] {
        stdlib::PRELUDE
    }

    fn modules(&self) -> Vec<&'static str> {
        stdlib::MODULES.iter().map(|(name, _)| *name).collect()
    }

    fn script(&mut self, path: &str, from: FileId) -> Result<(FileId, Arc<str>), String> {
        let full = self.sources.folder(from).join(path);
        let file = self.sources.open(&full).map_err(|e| e.to_string())?;
        Ok((file, self.sources.shared_text(file)))
    }

    fn load(&mut self, request: &DataRequest) -> Result<Array, Box<Diagnostic>> {
        let (reader, sources, bound) = (&mut *self.reader, &*self.sources, self.bound);
        self.engine.timings.time(Stage::Data, |_| match bound.files.get(&*request.name) {
            None => reader.load(request, sources),
            Some(path) => replaced(request, path, reader, sources),
        })
    }

    fn bound(&mut self, name: &str) -> Option<Array> {
        self.bound.arrays.get(name).cloned()
    }

    fn setting(&self, name: &str) -> Option<Arc<str>> {
        self.options.settings.iter().rev().find(|(n, _)| n == name).map(|(_, v)| Arc::from(v.as_str()))
    }

    fn engine(&mut self) -> &mut dyn Engine {
        self.engine
    }

    fn emit(&mut self, event: Event) {
        if self.mode == Mode::Check {
            self.engine.texts.clear();
            self.engine.proofs.clear();
            match &event {
                Event::Warning(_) => self.keep(&event),
                // What a check finds out about the script; its graphs are shown as they are run.
                Event::Stage { stage: "types" | "facts", .. } => self.emit.event(&event, self.sources),
                _ => {}
            }
            return;
        }
        self.flush();
        self.keep(&event);
        if let Event::Stage { stage, text, .. } = &event
            && !self.shown.insert((*stage, text.clone()))
        {
            return;
        }
        let started = std::time::Instant::now();
        self.emit.event(&event, self.sources);
        self.engine.timings.add(Stage::Report, started.elapsed());
    }

    fn cancelled(&self) -> bool {
        self.options.cancel.is_cancelled()
    }

    fn limits(&self, bytes: usize) -> Result<(), Fault> {
        let control = &self.engine.control;
        control.check(true).map_err(fault)?;
        match control.memory_limit.map_or(MOST_TRACED, |m| m.min(MOST_TRACED)) {
            limit if bytes > limit => Err(Fault::Memory { needed: bytes, limit }),
            _ => Ok(()),
        }
    }
}

/// A number of a record.
fn number_of(record: &Output, field: &str) -> Option<f64> {
    let Output::Record(fields) = record else { return None };
    match fields.iter().find(|(n, _)| &**n == field) {
        Some((_, Output::Array(a))) => a.as_scalar(),
        _ => None,
    }
}

/// The same columns and rows of another file.
fn replaced(request: &DataRequest, path: &Path, reader: &mut Reader, sources: &Sources) -> Result<Array, Box<Diagnostic>> {
    let shown = path.display().to_string();
    let Some(format) = data::format_of(&shown) else {
        return Err(Box::new(unknown_format(&shown, request.source)));
    };
    let request = DataRequest { path: shown.into(), format, ..request.clone() };
    reader.load_from(&request, path, sources)
}
