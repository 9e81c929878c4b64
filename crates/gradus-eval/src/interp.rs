//! The interpreter's state and its ground operations: emitting ops, forcing values, types of numbers.

use crate::env::Env;
use crate::errors::{from_ir, from_ir_named};
use crate::memo::Memo;
use crate::host::{Event, Fault, Host, Purpose};
use crate::modules::ModuleScope;
use crate::tracer::{Region, Tracer};
use crate::value::{Eval, Num, Stop, Value};
use gradus_ir::{Array, BinaryOp, DType, Dim, F64, NodeId, Op, Origin, Precision, Ty, UnaryOp};
use gradus_check::TraceWanted;
use gradus_syntax::{Diagnostic, Span};
use std::collections::{HashMap, HashSet};

/// Check: `data` has symbolic shapes and nothing is run. Run: everything is concrete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Check,
    Run,
}

/// What the caller chose for a run.
#[derive(Clone, Debug)]
pub struct Options {
    pub seed: u64,
    /// Run `test` blocks as well as statements.
    pub tests: bool,
    /// Only these tests (substring), where not empty.
    pub filter: Option<String>,
    /// Skip `print`, `plot` and `save` (when only tests are wanted).
    pub silent: bool,
    /// Record the trace of every solve, mentioned or not.
    pub trace_all: bool,
    /// Compare each derivative with differences.
    pub check_slopes: bool,
    /// Send `Event::Stage` for the graphs that are built.
    pub stages: bool,
    /// The float type of runs.
    pub precision: Precision,
}

impl Default for Options {
    fn default() -> Self {
        Options { seed: 0, tests: false, filter: None, silent: false, trace_all: false, check_slopes: false, stages: false, precision: Precision::F64 }
    }
}

/// How deep calls of the language may nest.
const MAX_CALLS: usize = 2_000;

/// Expressions between two looks at the limits of the run.
const BETWEEN_LIMITS: u32 = 256;

pub struct Interp<'h> {
    pub host: &'h mut dyn Host,
    pub mode: Mode,
    pub options: Options,
    pub tracer: Tracer,
    pub modules: Vec<ModuleScope>,
    /// Values of session nodes that were computed already.
    pub known: HashMap<NodeId, Array>,
    pub diagnostics: Vec<Diagnostic>,
    /// Solutions whose trace the script asks for.
    pub traced: TraceWanted,
    /// Files whose expressions do not become origins (the library's), so that a message points at the user's call.
    pub library_files: HashSet<u32>,
    pub(crate) calls: usize,
    /// Expressions evaluated since the limits were looked at.
    since: u32,
    fresh: usize,
    /// The value of a session node that was asked for as a size while checking.
    sizes: HashMap<NodeId, Dim>,
    /// The random key of the solve step being traced, for `minibatch`.
    pub(crate) step_key: Option<Num>,
    pub(crate) batch_sites: u64,
    pub(crate) draws: crate::random::Draws,
    /// The file of the expression being evaluated.
    pub(crate) here: gradus_syntax::FileId,
    /// The models and guides whose choices are being made, innermost last.
    pub(crate) drawing: Vec<std::sync::Arc<gradus_syntax::ast::ModelDecl>>,
    /// The inner problem of an objective is being looked for.
    pub(crate) watch: Option<crate::solve::bilevel::Watch>,
    /// The duality gap traced last: a method's own certificate is often the gap of the record.
    pub(crate) last_gap: Option<crate::solve::certificate::LastGap>,
    /// The key of the run's seed, once it was asked for.
    pub(crate) root_key: Option<Num>,
    pub(crate) run_seed: Option<Num>,
    /// What the list of solves being evaluated is doing.
    pub(crate) lanes: crate::lanes::Lanes,
    /// Bodies of functions that the check has traced, with the types of their arguments.
    pub(crate) checked: HashSet<(Span, Vec<Ty>)>,
    /// What was made of graphs before.
    pub(crate) memo: Memo,
    /// What the inner solves of the solve being run did.
    pub(crate) levels: Vec<crate::host::Level>,
    /// Does the script itself ask for the derivative that is taken next? Then it may be compared with differences.
    pub(crate) asked: bool,
    /// Derivatives compared so far, by place and kind, and places where none could be.
    pub(crate) slopes_at: HashMap<(Span, &'static str), usize>,
    pub(crate) slopes_skipped: std::collections::BTreeSet<Span>,
    /// Results of the tests so far.
    pub(crate) tests: Vec<bool>,
    /// For each tested law the number of instances, and how far apart its sides were.
    pub(crate) laws: HashMap<Span, (u64, Option<f64>)>,
}

impl<'h> Interp<'h> {
    pub fn new(host: &'h mut dyn Host, mode: Mode, options: Options) -> Self {
        Interp {
            host,
            mode,
            options,
            tracer: Tracer::new(),
            modules: Vec::new(),
            known: HashMap::new(),
            diagnostics: Vec::new(),
            traced: TraceWanted::default(),
            library_files: HashSet::new(),
            calls: 0,
            since: 0,
            fresh: 0,
            sizes: HashMap::new(),
            step_key: None,
            batch_sites: 0,
            draws: Default::default(),
            here: gradus_syntax::FileId(0),
            drawing: Vec::new(),
            watch: None,
            last_gap: None,
            root_key: None,
            run_seed: None,
            lanes: Default::default(),
            checked: HashSet::new(),
            memo: Memo::default(),
            levels: Vec::new(),
            asked: false,
            slopes_at: HashMap::new(),
            slopes_skipped: Default::default(),
            tests: Vec::new(),
            laws: HashMap::new(),
        }
    }

    /// Set the origin of the nodes to come; the old one is returned, to be put back.
    pub fn at(&mut self, span: Span) -> Origin {
        let old = self.tracer.origin;
        if !self.library_files.contains(&span.file.0) && span.file.0 != 0 {
            self.tracer.origin = Origin { file: span.file.0, start: span.start, end: span.end };
        }
        old
    }

    pub fn call_guard(&mut self, span: Span) -> Eval<()> {
        if self.calls >= MAX_CALLS {
            return Err(Diagnostic::error("E1301", span, format!("calls nest deeper than {MAX_CALLS}"))
                .at("this call")
                .help("a recursive function needs a case that ends it, decided by values known before the run")
                .into());
        }
        self.calls += 1;
        Ok(())
    }

    /// Every so many expressions: may the run go on?
    pub(crate) fn poll(&mut self) -> Eval<()> {
        self.since += 1;
        if self.since < BETWEEN_LIMITS {
            return Ok(());
        }
        self.since = 0;
        self.host.limits(self.tracer.bytes()).map_err(|f| self.fault(f))
    }

    pub fn emit(&mut self, op: Op, inputs: &[Num], span: Span) -> Eval<Num> {
        self.emit_blaming(op, inputs, span, &[])
    }

    /// Like `emit`; `operands` are the spans that a shape error blames.
    pub fn emit_blaming(&mut self, op: Op, inputs: &[Num], span: Span, operands: &[Span]) -> Eval<Num> {
        let jump = crate::random::is_jump(&op);
        match self.tracer.emit(op, inputs) {
            Ok(n) => {
                if jump {
                    self.note_jump(n);
                }
                Ok(n)
            }
            Err(e) => {
                let names: Vec<String> = operands.iter().map(|s| self.text_at(*s).unwrap_or_default().to_string()).collect();
                Err(from_ir_named(&e, span, operands, &names).into())
            }
        }
    }

    pub fn ty(&self, n: Num) -> Ty {
        self.tracer.ty(n).cloned().unwrap_or_else(|| Ty::scalar(DType::Real))
    }

    pub fn real(&mut self, v: f64) -> Eval<Num> {
        self.emit(Op::Const(F64::new(v), DType::Real), &[], Span::default())
    }

    pub fn int(&mut self, v: i64) -> Eval<Num> {
        self.emit(Op::Const(F64::new(v as f64), DType::Int), &[], Span::default())
    }

    pub fn bool(&mut self, v: bool) -> Eval<Num> {
        self.emit(Op::Const(F64::new(if v { 1.0 } else { 0.0 }), DType::Bool), &[], Span::default())
    }

    pub fn dim_num(&mut self, d: &Dim) -> Eval<Num> {
        self.emit(Op::DimValue(d.clone()), &[], Span::default())
    }

    pub fn bin(&mut self, op: BinaryOp, a: Num, b: Num, span: Span) -> Eval<Num> {
        self.emit(Op::Binary(op), &[a, b], span)
    }

    pub fn un(&mut self, op: UnaryOp, a: Num, span: Span) -> Eval<Num> {
        self.emit(Op::Unary(op), &[a], span)
    }

    /// A dimension that only the run will know.
    pub fn fresh_dim(&mut self, stem: &str) -> Dim {
        self.fresh += 1;
        Dim::sym(format!("{stem}?{}", self.fresh))
    }

    /// The value of a scalar known while tracing (a constant, or a session value that was or can be computed).
    pub fn static_value(&mut self, n: Num) -> Eval<Option<f64>> {
        if let Some(v) = self.tracer.graph_of(n).and_then(|g| g.constant(n.id)) {
            return Ok(Some(v));
        }
        if self.tracer.is_session(n) && self.mode == Mode::Run {
            return Ok(self.force(n)?.as_scalar());
        }
        Ok(None)
    }

    /// A size: a constant, a dimension, or (in the session) a computed integer.
    pub fn static_dim(&mut self, n: Num) -> Eval<Option<Dim>> {
        if let Some(g) = self.tracer.graph_of(n)
            && let Op::DimValue(d) = &g.node(n.id).op
        {
            return Ok(Some(d.clone()));
        }
        if let Some(v) = self.static_value(n)? {
            return Ok((v.fract() == 0.0 && v.abs() < 9e15).then_some(Dim::Known(v as i64)));
        }
        if self.tracer.is_session(n) && self.mode == Mode::Check && self.ty(n).dtype == DType::Int {
            if let Some(d) = self.sizes.get(&n.id) {
                return Ok(Some(d.clone()));
            }
            let d = self.fresh_dim("size");
            self.sizes.insert(n.id, d.clone());
            return Ok(Some(d));
        }
        Ok(None)
    }

    /// Compute a session value now.
    pub fn force(&mut self, n: Num) -> Eval<Array> {
        let mut v = self.force_all(&[n])?;
        v.pop().ok_or(Stop::Poisoned)
    }

    /// Compute session values now, in one run. In check mode this is a mistake of the caller.
    pub fn force_all(&mut self, nums: &[Num]) -> Eval<Vec<Array>> {
        self.force_by(nums, false)
    }

    /// Like `force_all`, without rewriting: for measurements.
    pub fn force_as_written(&mut self, nums: &[Num]) -> Eval<Vec<Array>> {
        self.force_by(nums, true)
    }

    fn force_by(&mut self, nums: &[Num], as_written: bool) -> Eval<Vec<Array>> {
        let span = self.origin_span();
        let internal = |t: &str| Stop::from(Diagnostic::error("E9002", span, format!("internal error: {t}")));
        if self.mode == Mode::Check {
            return Err(internal("a value was asked for while checking"));
        }
        let missing: Vec<NodeId> = {
            let mut m = Vec::new();
            for n in nums {
                if !self.tracer.is_session(*n) {
                    return Err(internal("the value of a running solve was asked for"));
                }
                if let Some(v) = self.tracer.graph_of(*n).and_then(|g| written(&g.node(n.id).op)) {
                    self.known.entry(n.id).or_insert(v);
                    continue;
                }
                if !self.known.contains_key(&n.id) && !m.contains(&n.id) {
                    m.push(n.id);
                }
            }
            m
        };
        if !missing.is_empty() {
            let (graph, inputs) = self.closed_graph(&missing)?;
            if self.options.stages && !graph.is_empty() {
                let title = self.text_at(span).unwrap_or("value").lines().next().unwrap_or_default().to_string();
                self.stage("ir", &title, &graph);
            }
            self.about(if as_written { Purpose::Measure } else { Purpose::Value }, span);
            let engine = self.host.engine();
            let ran = if as_written { engine.run_as_written(&graph, &inputs) } else { engine.run(&graph, &inputs) };
            let outs = match ran {
                Ok(outs) => outs,
                Err(fault) => return Err(self.fault(fault)),
            };
            let levels = self.host.engine().counted();
            if !as_written {
                self.warn_levels(&levels);
            }
            // A check that failed is told; NaN for any other reason is a value like others.
            if outs.iter().any(|a| a.data.iter().any(|v| v.is_nan()))
                && let Some(stop) = self.failed_check(&graph, &inputs)
            {
                return Err(stop);
            }
            for (id, a) in missing.iter().zip(outs) {
                self.known.insert(*id, a);
            }
        }
        nums.iter()
            .map(|n| self.known.get(&n.id).cloned().ok_or_else(|| internal("a run gave fewer values than asked for")))
            .collect()
    }

    /// Tells the engine what the next run is for.
    pub fn about(&mut self, purpose: Purpose, span: Span) {
        let text = self.text_at(span).unwrap_or_default().to_string();
        self.host.engine().about(purpose, &text);
    }

    /// The part of the session's graph that computes `targets` from known values, with those values.
    pub fn closed_graph(&mut self, targets: &[NodeId]) -> Eval<(gradus_ir::Graph, Vec<Array>)> {
        let span = self.origin_span();
        let known = &self.known;
        let session = self.tracer.session().map_err(|e| Stop::from(from_ir(&e, span, &[])))?;
        let all = &session.graph;
        // A constant that was asked for stays a constant: a plan must not depend on what was computed before it.
        let (graph, feeds) = all
            .extract(targets, |id| known.contains_key(&id) && !matches!(all.node(id).op, Op::Const(..) | Op::DimValue(_)))
            .map_err(|e| Stop::from(from_ir(&e, span, &[])))?;
        let inputs: Option<Vec<Array>> = feeds.iter().map(|f| known.get(f).cloned()).collect();
        match inputs {
            Some(i) => Ok((graph, i)),
            None => Err(Diagnostic::error("E6012", span, "a value this needs was never bound")
                .help("bind it with `--data NAME=PATH`, or give the `data` declaration a source")
                .into()),
        }
    }

    /// A tolerance that is meant for f64, at the precision of the run: as many of its digits in proportion.
    pub fn tolerance(&self, t: f64) -> f64 {
        match self.options.precision {
            Precision::F64 => t,
            // log(2^-23) / log(2^-52)
            Precision::F32 => t.powf(23.0 / 52.0),
        }
    }

    /// Where the evaluator is, for messages that have no expression of their own.
    pub fn origin_span(&self) -> Span {
        span_of(self.tracer.origin)
    }

    /// A run-time fault in words.
    pub fn fault(&mut self, fault: Fault) -> Stop {
        match fault {
            Fault::Cancelled => Stop::Cancelled,
            Fault::TimeLimit => Diagnostic::error("E7006", self.origin_span(), "the time limit was reached")
                .help("raise the limit, or bound the work with `until steps N`")
                .into(),
            Fault::Index { origin, index, len } => {
                Diagnostic::error("E7005", span_of(origin), format!("index {index} is outside an axis of length {len}"))
                    .at("evaluated here")
                    .help("indices count from 0; clip them with `clip(i, 0, n - 1)` where that is meant")
                    .into()
            }
            Fault::Memory { needed, limit } => {
                let have = if limit == 0 { "more than the machine gives".to_string() } else { format!("the limit is {limit}") };
                Diagnostic::error("E7007", self.origin_span(), format!("this needs {needed} bytes of memory, {have}"))
                    .at("computed here")
                    .help("work on smaller pieces, or keep matrices as products of smaller ones")
                    .into()
            }
            Fault::Whole { origin, value } => {
                let at = origin.map(span_of).filter(|s| s.file.0 != 0).unwrap_or_else(|| self.origin_span());
                let p = self.options.precision;
                Diagnostic::error("E7008", at, format!("the whole number {value} is not exact in {p}"))
                    .at("counted here")
                    .note(format!("in {p} whole numbers are exact below {}", p.whole()))
                    .help("run with `--precision f64`")
                    .into()
            }
            Fault::Internal(text) => Diagnostic::error("E9003", self.origin_span(), format!("internal error while running: {text}"))
                .note("this is a mistake of Gradus, not of the script; please report it with the script")
                .into(),
        }
    }

    /// A session value for a concrete array: a literal scalar becomes a constant, everything else an input.
    pub fn bind_array(&mut self, a: Array) -> Eval<Num> {
        if let Some(v) = a.as_scalar()
            && a.shape.is_empty()
        {
            return self.emit(Op::Const(F64::new(v), a.dtype), &[], Span::default());
        }
        self.bind_input(a)
    }

    /// A session input whose value is known.
    pub fn bind_input(&mut self, a: Array) -> Eval<Num> {
        let origin = self.tracer.origin;
        let session = self.tracer.session().map_err(|e| Stop::from(from_ir(&e, Span::default(), &[])))?;
        let id = session.graph.param(a.ty(), origin);
        let n = Num { level: session.uid, id };
        self.known.insert(id, a);
        Ok(n)
    }

    /// A session input whose value will only be known when run.
    pub fn bind_symbolic(&mut self, ty: Ty) -> Eval<Num> {
        let origin = self.tracer.origin;
        let session = self.tracer.session().map_err(|e| Stop::from(from_ir(&e, Span::default(), &[])))?;
        let id = session.graph.param(ty, origin);
        Ok(Num { level: session.uid, id })
    }

    /// Trace a region: `body` gets its parameters and returns its outputs. On failure the half-built graph is dropped.
    pub fn region(
        &mut self,
        params: &[Ty],
        span: Span,
        body: impl FnOnce(&mut Self, &[Num]) -> Eval<Vec<Num>>,
    ) -> Eval<Region> {
        let depth = self.tracer.depth();
        let args = self.tracer.begin(params).map_err(|e| Stop::from(from_ir(&e, span, &[])))?;
        match body(self, &args) {
            Ok(outs) => {
                let r = self.tracer.end(&outs).map_err(|e| Stop::from(from_ir(&e, span, &[])));
                if r.is_err() {
                    self.tracer.abandon(depth);
                }
                r
            }
            Err(e) => {
                self.tracer.abandon(depth);
                Err(e)
            }
        }
    }

    pub fn inline(&mut self, region: &gradus_ir::Graph, args: &[Num], span: Span) -> Eval<Vec<Num>> {
        self.tracer.inline(region, args).map_err(|e| Stop::from(from_ir(&e, span, &[])))
    }

    pub fn warn(&mut self, d: Diagnostic) {
        if self.mode == Mode::Run {
            self.host.emit(Event::Warning(d));
        } else {
            self.diagnostics.push(d);
        }
    }

    /// The value of a name, from the innermost scope outwards: locals, the module, the prelude, the builtins.
    pub fn lookup(&mut self, name: &str, env: &Env, span: Span) -> Eval<Value> {
        if let Some(v) = env.local(name) {
            return self.not_poisoned(v.clone());
        }
        if env.chances
            && let Some(v) = self.find_chance(env.module, name, span)?
        {
            return self.not_poisoned(v);
        }
        match self.find_in_module(env.module, name)? {
            Some(v) => self.not_poisoned(v),
            None => Err(self.unknown_name(name, env, span)),
        }
    }

    fn not_poisoned(&self, v: Value) -> Eval<Value> {
        if let Value::Poison = v { Err(Stop::Poisoned) } else { Ok(v) }
    }
}

/// The value of a number or an array that stands in the text.
fn written(op: &Op) -> Option<Array> {
    match op {
        Op::Const(v, dtype) => Some(Array { dtype: *dtype, ..Array::scalar(v.get()) }),
        Op::Literal(a) => Some(Array::clone(a)),
        Op::DimValue(d) => d.known().map(|v| Array { dtype: DType::Int, ..Array::scalar(v as f64) }),
        _ => None,
    }
}

pub fn span_of(o: Origin) -> Span {
    Span { file: gradus_syntax::FileId(o.file), start: o.start, end: o.end }
}
