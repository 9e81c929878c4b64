//! Running graphs: rewrite, plan, execute, with a cache of what was planned.

use crate::bench::{Purpose, Recorder};
use crate::plan_cache::PlanCache;
use crate::timings::{Stage, Timings};
use gradus_cpu::{Control, Executor};
use gradus_eval::host::{Engine, Fault, NonFinite};
use gradus_ir::{Array, Graph, Precision};
use gradus_rewrite::Machine;
use crate::rewriting::Level;
use gradus_plan::{Options as PlanOptions, PlanError};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Plans kept at once, and the bytes their memory may take together.
const MOST_PLANS: usize = 256;
const MOST_BYTES: usize = 256 << 20;

/// Which stage texts are wanted; all of them cost time to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub rewrite: bool,
    pub plan: bool,
}

/// The engine of a session.
pub struct CpuEngine {
    pub level: Level,
    /// What the rewriter prices with.
    pub machine: Machine,
    pub control: Control,
    pub wanted: Wanted,
    pub timings: Timings,
    /// Stage texts since they were last taken.
    pub texts: Vec<(&'static str, String)>,
    /// Mistakes of the rewriter, which leave a graph as it was.
    pub failures: Vec<String>,
    /// Keeps what runs, where asked for.
    pub recorder: Option<Recorder>,
    /// The float type of runs; what is measured at an answer is always f64.
    pub precision: Precision,
    /// What was wrong with files of the plan cache.
    pub cache_failures: Vec<String>,
    /// Where rewritten graphs are kept from one process to the next.
    pub cache: Option<PlanCache>,
    plans: HashMap<(u128, bool, Precision), Entry>,
    clock: u64,
}

struct Entry {
    executor: Executor,
    /// What the executor says it holds.
    bytes: usize,
    used: u64,
}

impl CpuEngine {
    pub fn new(level: Level, precision: Precision, machine: Machine, control: Control) -> CpuEngine {
        CpuEngine {
            level,
            precision,
            machine,
            control,
            wanted: Wanted::default(),
            timings: Timings::default(),
            texts: Vec::new(),
            failures: Vec::new(),
            recorder: None,
            cache_failures: Vec::new(),
            cache: None,
            plans: HashMap::new(),
            clock: 0,
        }
    }

    fn compile(&mut self, graph: &Graph, structure: u128, level: Level, precision: Precision) -> Result<Executor, Fault> {
        let (wanted, machine) = (self.wanted, self.machine);
        let (texts, failures, complaints) = (&mut self.texts, &mut self.failures, &mut self.cache_failures);
        // What the rewriter did is told by the rewriter.
        let cache = self.cache.as_ref().filter(|_| level != Level::Off && !wanted.rewrite && PlanCache::wants(graph));
        let mut loaded = false;
        let rewritten = self.timings.time(Stage::Rewrite, |_| -> Result<Graph, Fault> {
            let key = PlanCache::key(structure, level, &machine);
            match cache.map(|c| c.load(key, graph)) {
                Some(Ok(Some(found))) => {
                    loaded = true;
                    return Ok(found);
                }
                Some(Err(e)) => complaints.push(e),
                Some(Ok(None)) | None => {}
            }
            let done = crate::rewriting::rewrite(graph, level, &machine)
                .map_err(|e| Fault::Internal(format!("rewrite: {e}")))?;
            failures.extend(done.report.failure.clone());
            if wanted.rewrite {
                texts.push(("rewrite", format!("{}\n{}", done.report, done.graph.brief())));
            }
            gradus_ir::verify(&done.graph).map_err(|e| Fault::Internal(format!("after rewriting: {e}")))?;
            if let (Some(c), None) = (cache, &done.report.failure)
                && let Err(e) = c.store(key, &done.graph)
            {
                complaints.push(e);
            }
            Ok(done.graph)
        })?;
        let plan = self
            .timings
            .time(Stage::Plan, |_| gradus_plan::plan_with(&rewritten, PlanOptions { precision, ..PlanOptions::default() }))
            .map_err(|e| match e {
                PlanError::Whole { origin, value, .. } => Fault::Whole { origin: Some(origin), value },
                e => Fault::Internal(e.to_string()),
            })?;
        if wanted.plan {
            self.texts.push(("plan", format!("{plan}{}", gradus_cpu::tiers(&plan))));
        }
        self.timings.planned += 1;
        self.timings.loaded += usize::from(loaded);
        Ok(Executor::new(Arc::new(plan)))
    }

    /// Drop the plans that were not used for longest.
    fn make_room(&mut self, bytes: usize) {
        let mut total: usize = self.plans.values().map(|e| e.bytes).sum::<usize>() + bytes;
        while self.plans.len() >= MOST_PLANS || (total > MOST_BYTES && !self.plans.is_empty()) {
            let Some((&key, _)) = self.plans.iter().min_by_key(|(_, e)| e.used) else { return };
            if let Some(e) = self.plans.remove(&key) {
                total -= e.bytes;
            }
        }
    }

    fn run_at(&mut self, level: Level, precision: Precision, graph: &Graph, inputs: &[Array]) -> Result<Vec<Array>, Fault> {
        let graph = &*settled(graph)?;
        // A plan belongs to a graph, the level it was rewritten at, and its precision.
        let structure = gradus_ir::structure(graph);
        let key = (structure, level == Level::Off, precision);
        self.clock += 1;
        let mut compiled = None;
        if self.plans.contains_key(&key) {
            self.timings.reused += 1;
        } else {
            let spent = |t: &Timings| (t.of(Stage::Rewrite), t.of(Stage::Plan));
            let before = spent(&self.timings);
            let executor = self.compile(graph, structure, level, precision)?;
            let after = spent(&self.timings);
            compiled = Some((after.0.saturating_sub(before.0), after.1.saturating_sub(before.1)));
            let threads = self.control.threads.as_ref().map_or(1, |t| t.count());
            let bytes = executor.bytes_with(threads);
            self.make_room(bytes);
            self.plans.insert(key, Entry { executor, bytes, used: self.clock });
        }
        let Some(entry) = self.plans.get_mut(&key) else {
            return Err(Fault::Internal("a plan vanished from the cache".into()));
        };
        entry.used = self.clock;
        self.timings.largest_plan = self.timings.largest_plan.max(entry.bytes);
        if let Some(r) = &mut self.recorder {
            r.ran(entry.executor.plan(), inputs, compiled);
        }
        let control = &self.control;
        self.timings.time(Stage::Exec, |_| entry.executor.run(inputs, control)).map_err(fault)
    }
}

impl Engine for CpuEngine {
    fn about(&mut self, purpose: Purpose, text: &str) {
        if let Some(r) = &mut self.recorder {
            r.about(purpose, text);
        }
    }

    fn run(&mut self, graph: &Graph, inputs: &[Array]) -> Result<Vec<Array>, Fault> {
        self.run_at(self.level, self.precision, graph, inputs)
    }

    fn run_as_written(&mut self, graph: &Graph, inputs: &[Array]) -> Result<Vec<Array>, Fault> {
        self.run_at(Level::Off, Precision::F64, graph, inputs)
    }

    fn stabilise(&mut self, graph: &Graph) -> Graph {
        crate::rewriting::stabilise(graph, self.level)
    }

    fn first_nonfinite(&mut self, graph: &Graph, inputs: &[Array]) -> Option<NonFinite> {
        let plan = gradus_plan::plan_with(&*settled(graph).ok()?, PlanOptions { precision: self.precision, ..PlanOptions::TRACE }).ok()?;
        let control = Control { trap_nonfinite: true, ..self.control.clone() };
        match Executor::new(Arc::new(plan)).run(inputs, &control) {
            Err(gradus_cpu::Fault::NonFinite { origin, op, value, steps }) => Some(NonFinite { origin, op, value, steps }),
            _ => None,
        }
    }
}

/// What runs: all derivatives are taken, so what stands for them only is left out.
fn settled(graph: &Graph) -> Result<Cow<'_, Graph>, Fault> {
    if !graph.has_marks() {
        return Ok(Cow::Borrowed(graph));
    }
    graph.settled().map(Cow::Owned).map_err(|e| Fault::Internal(e.to_string()))
}

pub(crate) fn fault(f: gradus_cpu::Fault) -> Fault {
    use gradus_cpu::Fault as Cpu;
    match f {
        Cpu::Index { origin, index, len } => Fault::Index { origin, index, len },
        Cpu::Cancelled => Fault::Cancelled,
        Cpu::TimeLimit => Fault::TimeLimit,
        Cpu::Memory { needed, limit } => Fault::Memory { needed, limit },
        Cpu::NonFinite { op, value, .. } => Fault::Internal(format!("{op} gave {value}, which was not asked for")),
        Cpu::Whole { value } => Fault::Whole { origin: None, value },
        Cpu::Internal(text) => Fault::Internal(text),
    }
}
