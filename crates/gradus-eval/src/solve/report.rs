//! What a solve reports: measured at the point it returned, apart from the solver, and put into a record.

use super::decompose::Split;
use super::driver::{Request, Runner, status_word};
use super::method::{Ran, Task, code};
use super::problem::Problem;
use crate::host::{Event, Output};
use crate::interp::{Interp, span_of};
use crate::lanes::Part;
use crate::value::{Eval, Fields, Num, Stop, TermKind, Value};
use super::facts::SolveFacts;
use gradus_ir::{Array, BinaryOp, Precision};
use gradus_syntax::ast::Sense;
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// Violations above this (relative to the point) mean that the constraints do not hold; in f32, above what it can tell.
pub(super) const FEASIBLE: f64 = 1e-6;

/// A residual above this (relative to the value and the point) is not what convergence leaves.
const STALLED: f64 = 1e-4;

/// A value and an unknown beyond this, both of them, have run away.
const FAR: f64 = 1e10;

/// Everything measured after the stages have run, still as nodes.
pub struct Finished {
    pub x: Value,
    pub value: Num,
    pub kkt: Option<Num>,
    pub gap: Option<Num>,
    pub violations: Vec<(Arc<str>, Num)>,
    pub dual: Option<Value>,
    pub lower: Option<LowerLevel>,
    pub runs: Vec<(Runner, Ran)>,
    pub why: String,
    /// The facts that the method was chosen by, in words.
    pub facts: String,
}

/// What is reported of the lower of two levels.
pub struct LowerLevel {
    pub point: Value,
    pub fields: Fields,
}

/// What a solve computes.
struct Wanted {
    fields: Fields,
    numbers: Fields,
    solve: Vec<Num>,
    measured: Vec<Num>,
}

impl Interp<'_> {
    /// Value, certificate and violations at the returned point.
    pub fn measure(
        &mut self,
        task: &Task,
        p: &Arc<Problem>,
        runs: Vec<(Runner, Ran)>,
        why: String,
        facts: &SolveFacts,
    ) -> Eval<Finished> {
        let span = task.span;
        let Some((_, last)) = runs.last() else { return Err(Stop::Poisoned) };
        let x = p.conformed(self, &last.x, span)?;
        let value = self.objective_value(task, &x, span)?;
        let mut dual = last.states.iter().find(|(n, _)| &**n == "dual").map(|(_, v)| v.clone());
        let (mut kkt, mut gap) = (None, None);
        if let Some(rest) = &task.rest {
            if let Some(y) = dual.take() {
                kkt = Some(self.splitting_residual(task, rest, &x, &y, span)?);
                dual = (!p.constraints.is_empty()).then(|| self.named_multipliers(rest, &y));
            }
        } else if !task.smooth.stochastic {
            kkt = match (&task.constraints, &dual) {
                (Some(_), Some(d)) => Some(self.kkt_at(task, p, &x, d, span)?),
                (Some(_), None) => None,
                (None, _) if task.prox.obstacle().is_none() => Some(self.natural_residual(&task.smooth, &task.prox, &x, span)?),
                _ => None,
            };
            if task.constraints.is_none() && facts.is_convex() {
                gap = self.gap_at(&task.smooth, &task.prox, &x, span)?;
            }
        }
        let violations = if p.constraints.is_empty() && p.set.is_none() {
            Vec::new()
        } else {
            self.all_violations(p, &x, span)?
        };
        Ok(Finished { x, value, kkt, gap, violations, dual, lower: None, runs, why, facts: facts.to_string() })
    }

    /// The objective at a point, of a stochastic problem its mean over fresh batches.
    pub(super) fn objective_value(&mut self, task: &Task, x: &Value, span: Span) -> Eval<Num> {
        if task.smooth.stochastic {
            return self.average_value(task, x, span);
        }
        let v = self.apply_region(&task.objective, x, span)?;
        self.num(&v, span)
    }

    fn average_value(&mut self, task: &Task, x: &Value, span: Span) -> Eval<Num> {
        const BATCHES: i64 = 32;
        let saved = self.step_key;
        let base = self.seed_key(span)?;
        let site = self.int(0x7a1e)?;
        let base = self.emit(gradus_ir::Op::KeyFold, &[base, site], span)?;
        let values = self.map_range(gradus_ir::Dim::Known(BATCHES), span, &mut |s, k| {
            s.step_key = Some(s.emit(gradus_ir::Op::KeyFold, &[base, k], span)?);
            let v = s.apply_region(&task.objective, x, span)?;
            s.num(&v, span)
        });
        self.step_key = saved;
        let total = self.emit(gradus_ir::Op::Reduce(gradus_ir::ReduceOp::Sum, vec![0]), &[values?], span)?;
        let n = self.real(BATCHES as f64)?;
        self.bin(BinaryOp::Div, total, n, span)
    }

    /// The record of a solve that is still being traced (in a check, or inside another computation).
    pub fn abstract_record(&mut self, r: &Request, fin: &Finished, split: &Split) -> Eval<Value> {
        let mut fields = self.unknown_fields(&r.problem, &fin.x);
        fields.push((Arc::from("value"), Value::Num(fin.value)));
        if let Some((_, last)) = fin.runs.last() {
            fields.push((Arc::from("steps"), Value::Num(last.steps)));
        }
        if self.mode == crate::interp::Mode::Check && self.tracer.depth() == 1 {
            fields.push((Arc::from("status"), Value::Str(Arc::from("not run"))));
            let kept = fin.runs.last().map(|(_, l)| l.trace.clone()).unwrap_or_default();
            // Its length is the number of steps, which only the run knows.
            let steps = self.fresh_dim("steps");
            let mut columns = Vec::with_capacity(kept.len());
            for n in kept {
                let mut ty = self.ty(n);
                if let Some(first) = ty.shape.0.first_mut() {
                    *first = steps.clone();
                }
                columns.push(self.bind_symbolic(ty)?);
            }
            let trace = self.trace_fields(&r.problem, columns, &fin.x, r.span)?;
            fields.push((Arc::from("trace"), trace));
            self.static_fields(fin, &mut fields);
        }
        self.number_fields(fin, split, r.span, &mut fields)?;
        Ok(Value::record(fields))
    }

    pub(super) fn unknown_fields(&mut self, p: &Arc<Problem>, x: &Value) -> Fields {
        match p.unknowns.as_slice() {
            [only] => vec![(only.clone(), x.clone())],
            names => names.iter().filter_map(|n| x.field(n).map(|v| (n.clone(), v.clone()))).collect(),
        }
    }

    fn static_fields(&self, fin: &Finished, fields: &mut Fields) {
        let method: Vec<String> = fin.runs.iter().map(|(r, _)| r.name()).collect();
        fields.push((Arc::from("method"), Value::Str(Arc::from(method.join(" then ")))));
        fields.push((Arc::from("why"), Value::Str(Arc::from(fin.why.clone()))));
        if self.options.precision != Precision::F64 {
            fields.push((Arc::from("precision"), Value::Str(Arc::from(self.options.precision.name()))));
        }
    }

    fn number_fields(&mut self, fin: &Finished, split: &Split, span: Span, fields: &mut Fields) -> Eval<()> {
        if let Some(g) = fin.gap {
            fields.push((Arc::from("gap"), Value::Num(g)));
        }
        if let Some(k) = fin.kkt {
            fields.push((Arc::from("kkt"), Value::Num(k)));
            fields.push((Arc::from("residual"), Value::Num(k)));
        }
        if let Some(c) = fin.runs.last().and_then(|(_, r)| r.certificate) {
            fields.push((Arc::from("certificate"), Value::Num(c)));
        }
        if !fin.violations.is_empty() {
            let mut worst = self.real(0.0)?;
            for (_, v) in &fin.violations {
                worst = self.bin(BinaryOp::Max, worst, *v, span)?;
            }
            fields.push((Arc::from("feasible"), Value::Num(worst)));
        }
        if let Some(d) = &fin.dual {
            let mut all: Fields = Vec::new();
            for side in ["eq", "ineq"] {
                if let Some(Value::Record(f)) = d.field(side) {
                    all.extend(f.iter().cloned());
                }
            }
            let mut active: Fields = Vec::new();
            if let Some(Value::Record(f)) = d.field("ineq") {
                for (n, v) in f.iter() {
                    let zero = Value::Num(self.real(0.0)?);
                    active.push((n.clone(), self.arith(BinaryOp::Gt, v, &zero, span, span, span)?));
                }
            }
            fields.push((Arc::from("dual"), Value::record(all)));
            fields.push((Arc::from("active"), Value::record(active)));
        }
        if let Some(l) = &fin.lower {
            fields.push((Arc::from("lower"), Value::record(l.fields.clone())));
        }
        if split.stochastic {
            let yes = self.bool(true)?;
            fields.push((Arc::from("value_is_estimate"), Value::Num(yes)));
        }
        Ok(())
    }

    /// What a solve computes: the fields of its record, those that are only numbers, the values of the solve, what is measured.
    fn wanted(&mut self, r: &Request, fin: &Finished, split: &Split) -> Eval<Wanted> {
        let span = r.span;
        let mut fields = self.unknown_fields(&r.problem, &fin.x);
        fields.push((Arc::from("value"), Value::Num(fin.value)));
        let mut numbers: Fields = Vec::new();
        self.number_fields(fin, split, span, &mut numbers)?;
        // The solve is one run; what is measured at its answer is another, so that no form the rewriter chose for the
        // iterations (and no value the solver kept) takes part in the certificate.
        let mut solve: Vec<Num> = self.leaves(&fin.x, span)?;
        if let Some(d) = &fin.dual {
            solve.extend(self.leaves(d, span)?);
        }
        if let Some(l) = &fin.lower {
            solve.extend(self.leaves(&l.point, span)?);
        }
        for (_, ran) in &fin.runs {
            solve.extend([ran.steps, ran.code]);
            solve.extend(ran.trace.iter().copied());
        }
        solve.extend(self.certificate_needs(fin)?);
        let mut measured: Vec<Num> = vec![fin.value];
        for (_, v) in fields.iter().chain(&numbers) {
            measured.extend(self.leaves(v, span)?);
        }
        measured.extend(fin.violations.iter().map(|(_, v)| *v));
        Ok(Wanted { fields, numbers, solve, measured })
    }

    /// The solve of one of many items, traced and kept for a run with the others.
    pub fn later(&mut self, r: &Request, fin: Finished, split: Split) -> Eval<Stop> {
        let wanted = self.wanted(r, &fin, &split)?;
        self.postpone(fin, split, &wanted.solve, wanted.measured, r.span)
    }

    /// Run the solve and give its record, with the status in words. `traced`: its graph, where it has run already.
    pub fn finish(&mut self, r: &Request, fin: Finished, split: &Split, name: Option<Arc<str>>, traced: Option<Part>) -> Eval<Value> {
        let span = r.span;
        let Wanted { mut fields, numbers, solve, measured } = self.wanted(r, &fin, split)?;
        let part = match traced {
            Some(p) => p,
            None => self.part(&solve)?,
        };
        self.run_solve(&part, &measured, &fin, !Self::has_terms(split), span)?;
        let Some((_, last)) = fin.runs.last() else { return Err(Stop::Poisoned) };
        let c = self.known_scalar(last.code)?;
        let steps = self.known_scalar(last.steps)?;
        if c == code::DIVERGED || self.ran_away(r, &fin)? {
            return Err(self.unbounded(r, &fin, steps)?);
        }
        let mut status = status_word(c);
        let violated = self.violated(&fin)?;
        // A rule need not stay in the set, but a method does wherever the set has members.
        let method = matches!(fin.runs.last(), Some((Runner::Method(_), _)));
        if !violated.is_empty() && (method || !r.problem.constraints.is_empty()) {
            status = "infeasible";
            self.warn_infeasible(r, &violated);
        } else if c == code::RUNNING && last.limit.known() != Some(steps as i64) {
            status = "step limit";
        }
        if status == "converged" && c == code::CONVERGED && self.is_stalled(&fin)? {
            status = "stalled";
            self.warn(
                Diagnostic::warning("W7004", span, "the method stopped before the conditions of optimality held")
                    .at("no progress was possible, but the residual is not small")
                    .help("start elsewhere with `from`, rescale the problem, or choose another method with `by`"),
            );
        }
        if status == "step limit" {
            self.warn_limit(r, &fin, steps, split)?;
        }
        fields.push((Arc::from("status"), Value::Str(Arc::from(status))));
        let mut total = 0.0;
        for (_, ran) in &fin.runs {
            total += self.known_scalar(ran.steps)?;
        }
        fields.push((Arc::from("steps"), Value::Num(self.int(total as i64)?)));
        fields.push((Arc::from("trace"), self.trace_record(&r.problem, &fin, span)?));
        fields.extend(numbers);
        self.static_fields(&fin, &mut fields);
        fields.push((Arc::from("facts"), Value::Str(Arc::from(fin.facts.clone()))));
        let record = Value::record(fields);
        let mut out = self.output(&record, span)?;
        self.check_solve(r, &split.smooth, &fin.x)?;
        let levels = std::mem::take(&mut self.levels);
        self.warn_levels(&levels);
        if let (Output::Record(fields), false) = (&mut out, levels.is_empty()) {
            fields.push((Arc::from("levels"), self.level_records(&levels)));
        }
        self.host.emit(Event::Solved { name: name.map(|n| n.to_string()), record: out, span });
        Ok(record)
    }

    /// The last states that the method's own certificate speaks of: without their values measuring it would iterate again.
    fn certificate_needs(&mut self, fin: &Finished) -> Eval<Vec<Num>> {
        let Some((_, ran)) = fin.runs.last() else { return Ok(Vec::new()) };
        let Some(c) = ran.certificate else { return Ok(Vec::new()) };
        let mut states = Vec::new();
        for (_, v) in &ran.states {
            states.extend(self.leaves(v, Span::default())?);
        }
        states.push(ran.steps);
        let Some(graph) = self.tracer.graph_of(c) else { return Ok(Vec::new()) };
        let mut seen = vec![false; graph.len()];
        let mut todo = vec![c.id];
        while let Some(id) = todo.pop() {
            if !std::mem::replace(&mut seen[id.index()], true) && !states.iter().any(|s| s.id == id) {
                todo.extend(graph.node(id).inputs.iter().copied());
            }
        }
        Ok(states.into_iter().filter(|s| seen[s.id.index()]).collect())
    }

    pub fn known_scalar(&mut self, n: Num) -> Eval<f64> {
        self.force(n)?.as_scalar().ok_or(Stop::Poisoned)
    }

    /// Run the solve, then measure; a status that is not finite becomes a diagnostic naming what broke first.
    /// `plain`: no term of the objective may be infinite on purpose.
    fn run_solve(&mut self, part: &Part, measured: &[Num], fin: &Finished, plain: bool, span: Span) -> Eval<()> {
        if !self.has_run(part) {
            self.run_part(part, span)?;
        }
        let (graph, inputs) = (&part.graph, part.inputs.as_slice());
        for (_, ran) in &fin.runs {
            let c = self.known_scalar(ran.code)?;
            if c == code::NONFINITE {
                let steps = self.known_scalar(ran.steps)?;
                return Err(self.nonfinite(graph, inputs, steps, span));
            }
        }
        self.force_as_written(measured)?;
        // A line search may stand still before a NaN; that is not convergence either.
        let value = self.known_scalar(fin.value)?;
        if plain && value.is_infinite() {
            return Err(self.outside_domain(fin, span)?);
        }
        if value.is_nan() {
            let steps = match fin.runs.last() {
                Some((_, ran)) => self.known_scalar(ran.steps)?,
                None => 0.0,
            };
            return Err(self.nonfinite(graph, inputs, steps, span));
        }
        Ok(())
    }

    /// Did the method stop by its own test where the natural residual says otherwise?
    fn is_stalled(&mut self, fin: &Finished) -> Eval<bool> {
        let Some(k) = fin.kkt else { return Ok(false) };
        let residual = self.known_scalar(k)?;
        let value = self.known_scalar(fin.value)?;
        let stalled = self.tolerance(1e-6).max(STALLED);
        Ok(!(residual <= stalled * value.abs().max(self.scale(fin)?)))
    }

    /// The size of the point: its largest entry, and at least one.
    fn scale(&mut self, fin: &Finished) -> Eval<f64> {
        let mut scale: f64 = 1.0;
        for n in self.leaves(&fin.x, Span::default())? {
            for v in self.force(n)?.data.iter() {
                scale = scale.max(v.abs());
            }
        }
        Ok(scale)
    }

    fn nonfinite(&mut self, graph: &gradus_ir::Graph, inputs: &[Array], steps: f64, span: Span) -> Stop {
        match self.host.engine().first_nonfinite(graph, inputs) {
            Some(n) => {
                if let Some(stop) = self.check_that_failed(graph, n.origin, span) {
                    return stop;
                }
                let at = span_of(n.origin);
                let at = if at.file.0 == 0 { span } else { at };
                let what = if n.value.is_nan() { "NaN" } else { "infinity" };
                let when = match n.steps.first() {
                    Some(s) => format!("at step {}", s + 1),
                    None => "before the first step".to_string(),
                };
                Diagnostic::error("E7001", at, format!("{what} arose {when}"))
                    .at(format!("`{}` gave {} here first", n.op, n.value))
                    .label(span, "in this solve")
                    .help("keep the argument in the domain (a `max`, a `where`), start elsewhere with `from`, or take smaller steps")
                    .into()
            }
            None => Diagnostic::error("E7001", span, format!("the iterates stopped being finite at step {steps}"))
                .help("start elsewhere with `from`, or take smaller steps")
                .into(),
        }
    }

    /// The objective is infinite where the method ended: name the expression that is so first.
    fn outside_domain(&mut self, fin: &Finished, span: Span) -> Eval<Stop> {
        let value = self.known.remove(&fin.value.id);
        let (graph, inputs) = self.closed_graph(&[fin.value.id])?;
        let found = self.host.engine().first_nonfinite(&graph, &inputs);
        self.known.extend(value.map(|v| (fin.value.id, v)));
        let at = found.as_ref().map(|n| span_of(n.origin)).filter(|s| s.file.0 != 0).unwrap_or(span);
        let d = Diagnostic::error("E7001", at, "the objective is infinite at the point where the method ended");
        Ok(match &found {
            Some(n) => d.at(format!("`{}` gave {} here first", n.op, n.value)),
            None => d.at("this solve"),
        }
        .label(span, "in this solve")
        .help("start inside the domain with `from`, or keep the argument in it (a `max`, a `where`)")
        .into())
    }

    /// Did the unknown and the value run away together? Tests relative to their size, and residuals, mean nothing there.
    fn ran_away(&mut self, r: &Request, fin: &Finished) -> Eval<bool> {
        let value = self.known_scalar(fin.value)?;
        let better = if r.problem.sense == Sense::Min { -value } else { value };
        Ok(better > FAR && self.scale(fin)? > FAR)
    }

    fn unbounded(&mut self, r: &Request, fin: &Finished, steps: f64) -> Eval<Stop> {
        let value = self.known_scalar(fin.value)?;
        let worse = if r.problem.sense == Sense::Min { value } else { -value };
        let count = if steps == 1.0 { "1 step".to_string() } else { format!("{steps} steps") };
        let names = fin.runs.iter().map(|(r, _)| r.name()).collect::<Vec<_>>().join(" then ");
        if worse > FAR {
            return Ok(Diagnostic::error("E7002", r.span, format!("the iterates ran away in {count}, and the value got worse"))
                .at(format!("the steps of {names} are too long"))
                .help("use shorter steps (a smaller `lr`), or a method with a line search: `lbfgs`, `proximal_gradient`")
                .into());
        }
        let word = if r.problem.sense == Sense::Min { "below" } else { "above" };
        Ok(Diagnostic::error("E7002", r.problem.objective.span, format!("the objective looks unbounded {word}: the iterates ran away in {count}"))
            .at(format!("this is {value:.0e} by now and keeps improving"))
            .label(r.span, format!("solved by {names} here"))
            .help("bound the unknown (`in box(lo, hi)`), add a penalty, or use shorter steps")
            .into())
    }

    /// Names and amounts of what is violated.
    fn violated(&mut self, fin: &Finished) -> Eval<Vec<(Arc<str>, f64)>> {
        let scale = self.scale(fin)?;
        let mut out = Vec::new();
        for (name, v) in &fin.violations {
            let a = self.known_scalar(*v)?;
            if !(a <= self.tolerance(1e-9).max(FEASIBLE) * scale) {
                out.push((name.clone(), a));
            }
        }
        Ok(out)
    }

    fn warn_infeasible(&mut self, r: &Request, violated: &[(Arc<str>, f64)]) {
        let (message, why) = match r.problem.constraints.is_empty() {
            true => ("the point found is not in the set of the unknown", "the set may have no members"),
            false => ("the constraints do not hold at the point found", "they may contradict each other"),
        };
        let mut d = Diagnostic::warning("W7003", r.span, message)
            .at(why)
            .help("`status` is \"infeasible\"; loosen what is named here");
        for (name, amount) in violated {
            let at = r.problem.constraints.iter().enumerate().find_map(|(k, c)| {
                let own = match &c.name {
                    Some(n) => n.name.to_string(),
                    None => format!("c{}", k + 1),
                };
                (**name == *own || name.starts_with(&format!("{own}_"))).then_some(c.expr.span)
            });
            match at {
                Some(at) => d = d.label(at, format!("violated by {amount:.3e}")),
                None => d = d.note(format!("the {name} is violated by {amount:.3e}")),
            }
        }
        self.warn(d);
    }

    fn warn_limit(&mut self, r: &Request, fin: &Finished, steps: f64, split: &Split) -> Eval<()> {
        // A rule, and a method without a test of its own, are meant to end there.
        let meant = match fin.runs.last() {
            Some((Runner::Rule(_), _)) => true,
            Some((Runner::Method(m), _)) => m.decl.stop.is_empty(),
            None => false,
        };
        if meant || split.stochastic {
            return Ok(());
        }
        let mut d = Diagnostic::warning("W7001", r.span, format!("the step limit was reached after {steps} steps"))
            .at("not converged");
        if let Some(k) = fin.kkt {
            let v = self.known_scalar(k)?;
            d = d.note(format!("the residual is {v:.3e}"));
        }
        self.warn(d.help("give it more: `by method(steps = …)`"));
        Ok(())
    }

    /// The trace of all stages, one after the other, without the room that was not used.
    fn trace_record(&mut self, p: &Arc<Problem>, fin: &Finished, span: Span) -> Eval<Value> {
        // The length of a row, and all rows, of each thing that is kept.
        let mut columns: Vec<(Vec<usize>, Vec<f64>)> = Vec::new();
        for (_, ran) in &fin.runs {
            let n = self.known_scalar(ran.steps)? as usize;
            columns.resize(ran.trace.len(), Default::default());
            for ((shape, all), kept) in columns.iter_mut().zip(&ran.trace) {
                let part = self.force(*kept)?;
                *shape = part.shape.iter().skip(1).copied().collect();
                all.extend(part.data.iter().take(n * shape.iter().product::<usize>()));
            }
        }
        let mut bound = Vec::with_capacity(columns.len());
        for (row, all) in columns {
            let steps = all.len() / row.iter().product::<usize>().max(1);
            let shape = std::iter::once(steps).chain(row).collect();
            bound.push(self.bind_array(Array::new(gradus_ir::DType::Real, shape, all).ok_or(Stop::Poisoned)?)?);
        }
        let columns = bound;
        self.trace_fields(p, columns, &fin.x, span)
    }

    /// `value` and the unknowns by name, a row for every step.
    fn trace_fields(&mut self, p: &Arc<Problem>, columns: Vec<Num>, x: &Value, span: Span) -> Eval<Value> {
        let mut it = columns.into_iter();
        let Some(value) = it.next() else { return Ok(Value::record(Vec::new())) };
        let mut fields: Fields = vec![(Arc::from("value"), Value::Num(value))];
        let rest: Vec<Num> = it.collect();
        if !rest.is_empty() {
            let mut rest = rest.into_iter();
            let points = self.map_tree(x, span, &mut |_, _| rest.next().ok_or(Stop::Poisoned))?;
            fields.extend(self.unknown_fields(p, &points));
        }
        Ok(Value::record(fields))
    }

    /// Is some summand an indicator or a term?
    pub fn has_terms(split: &Split) -> bool {
        split.prox.parts.iter().any(|p| !matches!(p.term.kind, TermKind::Indicator(_)))
    }
}

impl Problem {
    /// The point with the structure of the unknown.
    fn conformed(&self, s: &mut Interp<'_>, x: &Value, span: Span) -> Eval<Value> {
        s.conform(&self.tree, x.clone(), span, "the answer")
    }
}
