//! Running graphs: rewrite, plan, execute, with a cache of what was planned.

use crate::bench::{Purpose, Recorder};
use crate::plan_cache::PlanCache;
use crate::timings::{Stage, Timings};
use gradus_cpu::{Control, Executor};
use gradus_eval::host::{Engine, Fault, Level as InnerLevel, NonFinite, StatedLaw, Unfit};
use gradus_ir::{Array, COUNTS, Counted, Graph, Origin, Precision};
use gradus_proof::Proof;
use gradus_rewrite::Machine;
use crate::rewriting::{Laws, Level};
use gradus_plan::{Options as PlanOptions, PlanError};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Plans kept at once, and the bytes their memory may take together.
const MOST_PLANS: usize = 256;
const MOST_BYTES: usize = 256 << 20;

/// How far the values of a form that may lose digits may be from those of the plain form, relative to them: the square root of
/// the unit roundoff, so that half of the digits are left.
const MOST_APART: f64 = 1e-8;
const MOST_APART_SINGLE: f64 = 3e-4;

/// Which stage texts are wanted; all of them cost time to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub rewrite: bool,
    pub plan: bool,
    pub proof: bool,
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
    /// Proofs of rewritten graphs since they were last taken, each with what keeps it from being accepted.
    pub proofs: Vec<(Proof, Option<String>)>,
    /// Forms that lost too many digits and were run as they were written.
    pub dropped: Vec<Dropped>,
    /// What inner solves did in the runs since it was asked for.
    counted: Vec<InnerLevel>,
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
    /// Laws of the script that runs.
    pub laws: Laws,
    plans: HashMap<(u128, Form, Precision, u64), Entry>,
    clock: u64,
}

/// A form of class `conditioning` whose values differed too much from those of the plain form.
#[derive(Clone, Debug)]
pub struct Dropped {
    pub rules: Vec<&'static str>,
    /// The difference, relative to the plain values.
    pub by: f64,
    pub allowed: f64,
    /// The source text behind the first of the forms.
    pub origin: Origin,
}

/// How a graph is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Form {
    Written,
    Rewritten,
    /// Without rules that may lose digits.
    Plain,
}

/// The conditioning rules of a plan, and the source text behind the first.
type Probed = (Vec<&'static str>, Origin);

struct Entry {
    executor: Executor,
    /// The last output says how much these rules cost in digits.
    probed: Option<Probed>,
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
            proofs: Vec::new(),
            dropped: Vec::new(),
            counted: Vec::new(),
            failures: Vec::new(),
            recorder: None,
            cache_failures: Vec::new(),
            cache: None,
            laws: Laws::default(),
            plans: HashMap::new(),
            clock: 0,
        }
    }

    fn compile(
        &mut self,
        graph: &Graph,
        structure: u128,
        form: Form,
        precision: Precision,
    ) -> Result<(Executor, Option<Probed>), Fault> {
        let level = if form == Form::Written { Level::Off } else { self.level };
        let (wanted, machine) = (self.wanted, self.machine);
        let laws = self.laws.clone();
        let (texts, failures, complaints, proofs) =
            (&mut self.texts, &mut self.failures, &mut self.cache_failures, &mut self.proofs);
        // What the rewriter did is told by the rewriter.
        let fit = form == Form::Rewritten && !wanted.rewrite && !wanted.proof && PlanCache::wants(graph);
        let cache = self.cache.as_ref().filter(|_| fit);
        let mut loaded = false;
        let (rewritten, probed) = self.timings.time(Stage::Rewrite, |_| -> Result<(Graph, bool), Fault> {
            let key = PlanCache::key(structure, level, &machine, laws.key);
            match cache.map(|c| c.load(key, graph)) {
                Some(Ok(Some(found))) => {
                    loaded = true;
                    let probed = found.outputs.len() > graph.outputs.len();
                    return Ok((found, probed));
                }
                Some(Err(e)) => complaints.push(e),
                Some(Ok(None)) | None => {}
            }
            let failed = |e| Fault::Internal(format!("rewrite: {e}"));
            let mut plain = form == Form::Plain;
            let mut done = crate::rewriting::rewrite(graph, level, &machine, plain, &laws).map_err(failed)?;
            // Where the forms cannot be compared, the plain one is taken.
            let mut probed = None;
            if gradus_rewrite::wants(&done) {
                match gradus_rewrite::probed(graph, &done) {
                    Some(g) => probed = Some(g),
                    None => {
                        plain = true;
                        done = crate::rewriting::rewrite(graph, level, &machine, plain, &laws).map_err(failed)?;
                    }
                }
            }
            failures.extend(done.report.failure.clone());
            if wanted.rewrite {
                texts.push(("rewrite", format!("{}\n{}", done.report, done.graph.brief())));
            }
            if wanted.proof && level != Level::Off {
                let proved = crate::rewriting::prove(graph, level, &machine, plain, &laws, &done.graph.to_string());
                proofs.push(proved.map_err(|e| Fault::Internal(format!("proof: {e}")))?);
            }
            gradus_ir::verify(&done.graph).map_err(|e| Fault::Internal(format!("after rewriting: {e}")))?;
            let (new, probed) = match probed {
                Some(g) => (g, true),
                None => (done.graph, false),
            };
            if let (Some(c), None) = (cache, &done.report.failure)
                && let Err(e) = c.store(key, &new)
            {
                complaints.push(e);
            }
            Ok((new, probed))
        })?;
        let probed = probed.then(|| gradus_rewrite::compared(&rewritten));
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
        Ok((Executor::new(Arc::new(plan)), probed))
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

    fn run_at(&mut self, form: Form, precision: Precision, written: &Graph, inputs: &[Array]) -> Result<Vec<Array>, Fault> {
        let (ready, counted) = settled(written)?;
        let graph = &*ready;
        // A plan belongs to a graph, the form it was compiled in, and its precision.
        let structure = gradus_ir::structure(graph);
        let key = (structure, form, precision, if form == Form::Written { 0 } else { self.laws.key });
        self.clock += 1;
        let mut compiled = None;
        if self.plans.contains_key(&key) {
            self.timings.reused += 1;
        } else {
            let spent = |t: &Timings| (t.of(Stage::Rewrite), t.of(Stage::Plan));
            let before = spent(&self.timings);
            let (executor, probed) = self.compile(graph, structure, form, precision)?;
            let after = spent(&self.timings);
            compiled = Some((after.0.saturating_sub(before.0), after.1.saturating_sub(before.1)));
            let threads = self.control.threads.as_ref().map_or(1, |t| t.count());
            let bytes = executor.bytes_with(threads);
            self.make_room(bytes);
            self.plans.insert(key, Entry { executor, probed, bytes, used: self.clock });
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
        let probed = entry.probed.clone();
        let mut outs = self.timings.time(Stage::Exec, |_| entry.executor.run(inputs, control)).map_err(fault)?;
        let by = probed.as_ref().map(|_| outs.pop().and_then(|a| a.as_scalar()).unwrap_or(f64::NAN));
        let allowed = if precision == Precision::F64 { MOST_APART } else { MOST_APART_SINGLE };
        let (Some((rules, origin)), Some(by)) = (probed, by.filter(|by| !(*by <= allowed))) else {
            let numbers = outs.split_off(outs.len().saturating_sub(COUNTS * counted.len()));
            self.count(counted, numbers);
            return Ok(outs);
        };
        self.dropped.push(Dropped { rules, by, allowed, origin });
        self.run_at(Form::Plain, precision, written, inputs)
    }

    fn count(&mut self, places: Vec<Counted>, numbers: Vec<Array>) {
        for (c, n) in places.into_iter().zip(numbers.chunks(COUNTS)) {
            if let [sums, least, most] = n {
                self.counted.extend(InnerLevel::new(c.name, c.origin, &sums.data, &least.data, &most.data));
            }
        }
    }

    /// A plan that is there, on several threads, one run on each at a time: runs that share nothing pay for threads at any size. None where
    /// there is one thread, too little memory, or something that looks at every run.
    fn side_by_side(&mut self, graph: &Graph, inputs: &[Vec<Array>]) -> Option<Vec<Result<Vec<Array>, Fault>>> {
        let threads = self.control.threads.as_ref().map_or(1, |t| t.count()).min(inputs.len());
        let (ready, counted) = settled(graph).ok()?;
        let form = self.form();
        let key = (gradus_ir::structure(&ready), form, self.precision, if form == Form::Written { 0 } else { self.laws.key });
        let entry = self.plans.get(&key).filter(|e| threads >= 2 && e.probed.is_none() && self.recorder.is_none() && counted.is_empty())?;
        let plan = entry.executor.plan().clone();
        let limit = self.control.memory_limit.unwrap_or(MOST_BYTES);
        if Executor::new(plan.clone()).bytes_with(1).saturating_mul(threads) > limit {
            return None;
        }
        let control = Control { threads: None, ..self.control.clone() };
        let next = std::sync::atomic::AtomicUsize::new(0);
        let run = || {
            let mut executor = Executor::new(plan.clone());
            let mut done = Vec::new();
            loop {
                let k = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let Some(own) = inputs.get(k) else { return done };
                done.push((k, executor.run(own, &control).map_err(fault)));
            }
        };
        let found = self.timings.time(Stage::Exec, |_| {
            std::thread::scope(|s| {
                // As much stack as a main thread has: nested blocks recurse.
                let thread = || std::thread::Builder::new().stack_size(8 << 20);
                let others: Vec<_> = (1..threads).filter_map(|_| thread().spawn_scoped(s, run).ok()).collect();
                let mut all = run();
                for o in others {
                    all.extend(o.join().unwrap_or_default());
                }
                all
            })
        });
        let mut out: Vec<Option<Result<Vec<Array>, Fault>>> = (0..inputs.len()).map(|_| None).collect();
        for (k, r) in found {
            out[k] = Some(r);
        }
        self.timings.reused += inputs.len();
        out.into_iter().collect()
    }

    /// How graphs are compiled at this session's level.
    fn form(&self) -> Form {
        if self.level == Level::Off { Form::Written } else { Form::Rewritten }
    }
}

impl Engine for CpuEngine {
    fn about(&mut self, purpose: Purpose, text: &str) {
        if let Some(r) = &mut self.recorder {
            r.about(purpose, text);
        }
    }

    fn run(&mut self, graph: &Graph, inputs: &[Array]) -> Result<Vec<Array>, Fault> {
        self.run_at(self.form(), self.precision, graph, inputs)
    }

    fn counted(&mut self) -> Vec<InnerLevel> {
        std::mem::take(&mut self.counted)
    }

    fn run_many(&mut self, graph: &Graph, inputs: &[Vec<Array>]) -> Vec<Result<Vec<Array>, Fault>> {
        let Some((first, rest)) = inputs.split_first() else { return Vec::new() };
        let mut all = vec![self.run(graph, first)];
        match self.side_by_side(graph, rest) {
            Some(outs) => all.extend(outs),
            None => all.extend(rest.iter().map(|i| self.run(graph, i))),
        }
        all
    }

    fn run_as_written(&mut self, graph: &Graph, inputs: &[Array]) -> Result<Vec<Array>, Fault> {
        self.run_at(Form::Written, Precision::F64, graph, inputs)
    }

    fn stabilise(&mut self, graph: &Graph) -> Graph {
        crate::rewriting::stabilise(graph, self.level)
    }

    fn learn(&mut self, law: StatedLaw) -> Result<(), Unfit> {
        self.laws.learn(law)
    }

    fn first_nonfinite(&mut self, graph: &Graph, inputs: &[Array]) -> Option<NonFinite> {
        let plan = gradus_plan::plan_with(&settled(graph).ok()?.0, PlanOptions { precision: self.precision, ..PlanOptions::TRACE }).ok()?;
        let control = Control { trap_nonfinite: true, ..self.control.clone() };
        match Executor::new(Arc::new(plan)).run(inputs, &control) {
            Err(gradus_cpu::Fault::NonFinite { origin, op, value, steps }) => Some(NonFinite { origin, op, value, steps }),
            _ => None,
        }
    }
}

/// What runs: all derivatives are taken, so what stands for them only is left out.
/// Loops carry what inner solves remember, and what is counted of them comes last.
fn settled(graph: &Graph) -> Result<(Cow<'_, Graph>, Vec<Counted>), Fault> {
    let internal = |e: gradus_ir::IrError| Fault::Internal(e.to_string());
    let plain = match graph.has_marks() {
        true => Cow::Owned(graph.settled().map_err(internal)?),
        false => Cow::Borrowed(graph),
    };
    if !plain.has_notes() {
        return Ok((plain, Vec::new()));
    }
    let (carrying, counted) = plain.carrying().map_err(internal)?;
    Ok((Cow::Owned(carrying), counted))
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
