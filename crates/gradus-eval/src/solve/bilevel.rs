//! Two levels: methods that are given an objective and the `argmin` inside it as functions of both unknowns.
//!
//! The problem is written as any nested one. A method `for min x in X of F with argmin y in Y of f subject to g` gets `F(x, y)`: the
//! objective with the inner solution replaced by y; `f(x, y)` and `g(x, y)`: the inner problem's own, at x. No inner solve runs in its
//! loop. How good y is, is measured afterwards by one: `lower.gap` = f(x, y) - min f(x, .).

use super::decompose::{Split, set_nums};
use super::driver::{Request, Runner};
use super::method::{Ran, Recorded, Task};
use super::problem::Problem;
use super::prox::ProxFn;
use super::report::{Finished, LowerLevel};
use crate::builtins::{arguments, given};
use crate::env::Env;
use crate::interp::Interp;
use crate::tree::TypeTree;
use crate::value::{Eval, MethodValue, Num, SetValue, Stop, Value};
use gradus_ir::{BinaryOp, DType, Ty, UnaryOp};
use gradus_syntax::ast::{LowerForm, Sense};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// The evaluation of an objective in which the inner problem is looked for, and its solution replaced.
pub(crate) struct Watch {
    /// Inside a loop or a branch, one value cannot stand for all inner solutions.
    depth: usize,
    /// What stands for the inner solution: the default start where absent.
    point: Option<Value>,
    found: Option<Arc<Problem>>,
}

/// What a method for two levels is given beside the upper unknown and its set.
#[derive(Clone)]
pub struct Levels {
    /// The lower unknown in the method's text, one of its states.
    pub unknown: Arc<str>,
    pub start: Value,
    pub upper: Value,
    pub lower: Value,
    pub set: Option<Arc<SetValue>>,
    pub constraints: Value,
}

/// Two levels, taken apart.
struct Parts {
    lower: Arc<Problem>,
    /// The upper objective as a function of the pair, to be minimized.
    joint: Split,
    /// Is the lower objective smooth in y, as far as is known?
    rough: Option<Span>,
}

pub(super) fn form(r: &Runner) -> Option<(&Arc<MethodValue>, &LowerForm)> {
    match r {
        Runner::Method(m) => m.decl.form.lower.as_ref().map(|l| (m, l)),
        Runner::Rule(_) => None,
    }
}

impl Interp<'_> {
    /// Called for every `argmin`: its stand-in, while a method for two levels looks at the objective.
    pub(super) fn stand_in(&mut self, p: &Arc<Problem>) -> Eval<Option<Value>> {
        let depth = self.tracer.depth();
        let Some(w) = &mut self.watch else { return Ok(None) };
        if let Some(first) = &w.found {
            return Err(Diagnostic::error("E5040", p.span, "the objective has more than one inner problem")
                .at("another one")
                .label(first.span, "the first")
                .help("name the inner solution by `let` and use it twice, or join both problems to one with two unknowns")
                .into());
        }
        if w.depth != depth {
            return Err(Diagnostic::error("E5040", p.span, "the inner problem stands in a loop or a branch")
                .at("solved more than once, or not always")
                .help("methods for two levels see one inner problem; give it an unknown with one row for each item")
                .into());
        }
        w.found = Some(p.clone());
        match w.point.clone() {
            Some(y) => self.conform(&p.tree, y, p.span, "the lower unknown").map(Some),
            None => self.default_start(&p.tree, p.span).map(Some),
        }
    }

    /// The upper objective at (x, y), and the inner problem as it is at x.
    fn look(&mut self, p: &Arc<Problem>, x: &Value, y: Option<Value>) -> Eval<(Num, Arc<Problem>)> {
        let saved = self.watch.replace(Watch { depth: self.tracer.depth(), point: y, found: None });
        let key = self.step_key;
        // Outside the steps of a solve the batches do not matter.
        self.step_key = Some(self.current_key(p.span)?);
        let value = self.eval(&p.objective, &p.scope(x));
        self.step_key = key;
        let watch = std::mem::replace(&mut self.watch, saved);
        let value = self.scalar(&value?, p.objective.span)?;
        match watch.and_then(|w| w.found) {
            Some(lower) => Ok((value, lower)),
            None => Err(Diagnostic::error("E5040", p.objective.span, "the objective has no inner problem")
                .at("no `argmin` in here")
                .help("write `of let y = argmin y: … of f(x, y) in F(x, y)`, or choose a method for one level")
                .into()),
        }
    }

    fn scalar(&mut self, v: &Value, span: Span) -> Eval<Num> {
        let n = self.num(v, span)?;
        if !self.ty(n).shape.is_scalar() {
            return Err(Diagnostic::error("E3008", span, "an objective is one number").at("this gives an array").into());
        }
        if self.ty(n).dtype == DType::Real { Ok(n) } else { self.un(UnaryOp::ToReal, n, span) }
    }

    fn signed(&mut self, sense: Sense, n: Num, span: Span) -> Eval<Num> {
        if sense == Sense::Max { self.un(UnaryOp::Neg, n, span) } else { Ok(n) }
    }

    /// The lower objective at (x, y), to be minimized.
    fn lower_value(&mut self, p: &Arc<Problem>, x: &Value, y: &Value) -> Eval<Num> {
        let (_, lower) = self.look(p, x, Some(y.clone()))?;
        let v = self.eval(&lower.objective, &lower.scope(y))?;
        let n = self.scalar(&v, lower.objective.span)?;
        self.signed(lower.sense, n, lower.objective.span)
    }

    /// A function of both unknowns for the text of a method.
    fn of_both(
        name: &'static str,
        f: impl Fn(&mut Interp<'_>, &Value, &Value) -> Eval<Value> + Send + Sync + 'static,
    ) -> Value {
        Value::native(name, move |s, args, span| {
            let [x, y] = arguments(args, ["x", "y"], 2, name, span)?;
            f(s, &given(x, span)?.value, &given(y, span)?.value)
        })
    }

    fn level_functions(&self, p: &Arc<Problem>, lower: &Arc<Problem>, start: Value, unknown: Arc<str>) -> Levels {
        let (upper_of, lower_of, constraints_of) = (p.clone(), p.clone(), p.clone());
        Levels {
            unknown,
            start,
            upper: Self::of_both("the upper objective", move |s, x, y| {
                let (n, _) = s.look(&upper_of, x, Some(y.clone()))?;
                s.signed(upper_of.sense, n, upper_of.objective.span).map(Value::Num)
            }),
            lower: Self::of_both("the lower objective", move |s, x, y| s.lower_value(&lower_of, x, y).map(Value::Num)),
            set: lower.set.clone(),
            constraints: Self::of_both("the lower constraints", move |s, x, y| {
                let (_, lower) = s.look(&constraints_of, x, Some(y.clone()))?;
                let r = s.residuals(&lower, y)?;
                Ok(Value::record(vec![(Arc::from("eq"), Value::record(r.eq)), (Arc::from("ineq"), Value::record(r.ineq))]))
            }),
        }
    }

    /// `from { … }` may name unknowns of both levels.
    #[allow(clippy::type_complexity)]
    fn split_start(&self, r: &Request, lower: &Problem) -> Eval<(Option<(Value, Span)>, Option<(Value, Span)>)> {
        let p = &r.problem;
        let Some((Value::Record(fields), at)) = &r.start else { return Ok((r.start.clone(), None)) };
        let below = |n: &Arc<str>| lower.unknowns.contains(n) && !p.unknowns.contains(n);
        if !fields.iter().any(|(n, _)| below(n)) {
            return Ok((r.start.clone(), None));
        }
        if let Some((odd, _)) = fields.iter().find(|(n, _)| !below(n) && !p.unknowns.contains(n)) {
            let names: Vec<&str> = p.unknowns.iter().chain(&lower.unknowns).map(|u| &**u).collect();
            return Err(Diagnostic::error("E1203", *at, format!("the problem has no unknown `{odd}`"))
                .at("in this starting point")
                .note(format!("its unknowns are {}", names.join(", ")))
                .into());
        }
        let (inner, outer): (Vec<_>, Vec<_>) = fields.iter().cloned().partition(|(n, _)| below(n));
        // An only unknown is started by its value, several by a record.
        let point = |names: &[Arc<str>], mut given: Vec<(Arc<str>, Value)>| match names.len() {
            1 => given.pop().map(|(_, v)| (v, *at)),
            _ => Some((Value::record(given), *at)),
        };
        Ok((point(&p.unknowns, outer), point(&lower.unknowns, inner)))
    }

    fn level_start(&mut self, r: &Request, p: &Arc<Problem>, start: Option<(Value, Span)>) -> Eval<Value> {
        let stages = Vec::new();
        self.starting_point(&Request { problem: p.clone(), stages, start, until: None, trace: Recorded::Nothing, samples: None, cut: None, warm: None, span: r.span })
    }

    /// Trace both levels once, as functions of the pair.
    fn parts(&mut self, p: &Arc<Problem>, at: Span) -> Eval<Parts> {
        let x0 = self.default_start(&p.tree, at)?;
        let (_, lower) = self.look(p, &x0, None)?;
        let tree = TypeTree::List(vec![p.tree.clone(), lower.tree.clone()]);
        let leaves = tree.leaves();
        let mut params: Vec<Ty> = leaves.clone();
        params.push(gradus_ir::infer::key_type());
        let upper_leaves = p.tree.leaves().len();
        let mut moved: Option<Span> = None;
        let saved = (self.step_key, self.batch_sites, std::mem::take(&mut self.draws.loops));
        let mut drew = false;
        let region = self.region(&params, p.span, |s, args| {
            s.step_key = args.get(leaves.len()).copied();
            s.batch_sites = 0;
            let mut xs = args.iter().copied();
            let x = p.tree.build(&mut xs).ok_or(Stop::Poisoned)?;
            let y = lower.tree.build(&mut xs).ok_or(Stop::Poisoned)?;
            let (all, below) = s.look(p, &x, Some(y.clone()))?;
            if let Some(set) = &below.set {
                let mut nums = Vec::new();
                set_nums(set, &mut nums);
                if nums.iter().any(|n| s.tracer.depends(*n, &args[..upper_leaves.min(args.len())])) {
                    moved = Some(below.span);
                }
            }
            let f = s.signed(p.sense, all, p.objective.span)?;
            let low = s.lower_value(p, &x, &y)?;
            drew = s.batch_sites > 0;
            Ok(vec![f, all, low])
        });
        (self.step_key, self.batch_sites, self.draws.loops) = saved;
        let region = region?;
        if let Some(span) = moved {
            return Err(Diagnostic::error("E5041", span, "the lower set depends on the upper unknown")
                .at("this set is another one at every upper point")
                .label(at, "a method for two levels is given one lower set")
                .help("state what couples the levels as `subject to`")
                .into());
        }
        let fail = |e: gradus_ir::IrError| Stop::from(crate::errors::from_ir(&e, p.span, &[]));
        let mut make = |k: usize| self.region_function(&region, k, &tree, leaves.len(), drew).map_err(fail);
        let (smooth, objective, low) = (make(0)?, make(1)?, make(2)?);
        let mut rough = None;
        for (f, span) in [(&smooth, p.objective.span), (&low, lower.objective.span)] {
            if !self.function_facts(f).is_smooth() {
                rough = Some(span);
            }
        }
        let prox = ProxFn { tree, parts: Vec::new() };
        Ok(Parts { lower, joint: Split { smooth: smooth.clone(), prox, objective, stochastic: drew, mapped: Vec::new(), plain: smooth }, rough })
    }

    /// Does the method take both levels as they are?
    fn check_levels(&mut self, runner: &Runner, p: &Problem, parts: &Parts, at: Span) -> Eval<()> {
        let name = runner.name();
        let Some((m, form)) = form(runner) else {
            return Err(Diagnostic::error("E5042", at, format!("`{name}` does not look at two levels, the methods beside it do"))
                .at("one of several stages")
                .help("solve with one of them, and start the other at its result with `from`")
                .into());
        };
        let refuse = |what: String, span: Span, help: &str| -> Eval<()> {
            Err(Diagnostic::error("E5043", at, format!("`{name}` {what}"))
                .at("chosen here")
                .label(span, "stated here")
                .help(help.to_string())
                .into())
        };
        if let Some(c) = p.constraints.first() {
            return refuse("knows no `subject to` of the upper level".into(), c.expr.span, "put the constraint into the set of the upper unknown");
        }
        if let Some(c) = parts.lower.constraints.first()
            && form.constraints.is_none()
        {
            return refuse("knows no `subject to` of the lower level".into(), c.expr.span, "use `lv_hba`");
        }
        for (set, known, level) in [(&p.set, &m.decl.form.set, "upper"), (&parts.lower.set, &form.set, "lower")] {
            let Some(s) = set else { continue };
            let span = if level == "upper" { p.span } else { parts.lower.span };
            if known.is_none() {
                return refuse(format!("knows no set of the {level} level"), span, "use `lv_hba`");
            }
            if !s.can_project() {
                return refuse(format!("projects onto the {level} set, and no projection is known for `{}`", s.describe()), span, "choose a set with a projection");
            }
        }
        if let Some(span) = parts.rough {
            return refuse("differentiates both levels; this objective is not smooth".into(), span, "smooth it (`huber` for `norm1`)");
        }
        Ok(())
    }

    /// Methods for two levels are not differentiated through: only `solve` runs them.
    pub(super) fn one_level(&self, stages: &[(Value, Span)]) -> Eval<()> {
        for (v, at) in stages {
            if let Value::Method(m) = v
                && m.decl.form.lower.is_some()
            {
                return Err(Diagnostic::error("E5042", *at, format!("`{}` stands inside a problem", m.decl.name.name))
                    .at("its answer has no derivative")
                    .help("choose a method for one level here, or state the outer problem with `problem` and `solve` it")
                    .into());
            }
        }
        Ok(())
    }

    /// All stages of a solve by methods for two levels.
    pub(super) fn run_levels(&mut self, r: &Request, runners: Vec<(Runner, Span)>) -> Eval<(Finished, Split)> {
        let p = r.problem.clone();
        let parts = self.parts(&p, r.span)?;
        for (runner, at) in &runners {
            self.check_levels(runner, &p, &parts, *at)?;
        }
        self.stage("ir", "upper objective", &parts.joint.smooth.graph);
        let lower = parts.lower.clone();
        let (above, below) = self.split_start(r, &lower)?;
        let start = self.level_start(r, &p, above)?;
        let lower_start = self.level_start(r, &lower, below)?;
        let mut task = Task {
            smooth: parts.joint.smooth.clone(),
            prox: Arc::new(ProxFn { tree: parts.joint.prox.tree.clone(), parts: Vec::new() }),
            rest: None,
            set: p.set.clone(),
            constraints: None,
            operator: None,
            levels: Some(self.level_functions(&p, &lower, lower_start, Arc::from(""))),
            objective: parts.joint.objective.clone(),
            start,
            until: r.until.clone(),
            trace: r.trace,
            cut: None,
            warm: None,
            span: r.span,
        };
        let mut runs: Vec<(Runner, Ran)> = Vec::new();
        for (runner, _) in runners {
            let (Some((m, form)), Some(levels)) = (form(&runner), &mut task.levels) else { return Err(Stop::Poisoned) };
            levels.unknown = form.unknown.name.clone();
            let ran = self.run_method(m, &task)?;
            let Some((_, y)) = ran.states.iter().find(|(n, _)| *n == form.unknown.name) else { return Err(Stop::Poisoned) };
            task.start = ran.x.clone();
            if let Some(levels) = &mut task.levels {
                levels.start = y.clone();
            }
            runs.push((runner, ran));
        }
        let Some(y) = task.levels.as_ref().map(|l| l.start.clone()) else { return Err(Stop::Poisoned) };
        let fin = self.measure_levels(&task, &p, &lower, y, runs)?;
        Ok((fin, parts.joint))
    }

    fn measure_levels(&mut self, task: &Task, p: &Arc<Problem>, lower: &Arc<Problem>, y: Value, runs: Vec<(Runner, Ran)>) -> Eval<Finished> {
        let span = task.span;
        let Some((_, last)) = runs.last() else { return Err(Stop::Poisoned) };
        let x = self.conform(&p.tree, last.x.clone(), span, "the answer")?;
        let y = self.conform(&lower.tree, y, span, "the lower answer")?;
        let value = self.objective_value(task, &Value::list(vec![x.clone(), y.clone()]), span)?;
        let (_, at_x) = self.look(p, &x, Some(y.clone()))?;
        let mut violations = if p.set.is_some() { self.all_violations(p, &x, span)? } else { Vec::new() };
        if at_x.set.is_some() || !at_x.constraints.is_empty() {
            let below = self.all_violations(&at_x, &y, span)?;
            violations.extend(below.into_iter().map(|(n, v)| (if &*n == "set" { Arc::from("lower set") } else { n }, v)));
        }
        let mut fields = self.unknown_fields(&at_x, &y);
        if !task.smooth.stochastic {
            let own = self.lower_value(p, &x, &y)?;
            // What the lower level could still gain, found apart from the method.
            let mut stages = Vec::new();
            if let Some(by) = &at_x.by {
                stages.push((self.eval(by, &at_x.env)?, by.span));
            }
            let start = Some((y.clone(), span));
            let again = Request { problem: at_x.clone(), stages, start, until: None, trace: Recorded::Nothing, samples: None, cut: None, warm: None, span };
            let (best, _) = self.run_stages(&again)?;
            let best = self.signed(at_x.sense, best.value, span)?;
            let gap = self.bin(BinaryOp::Sub, own, best, span)?;
            let own = self.signed(at_x.sense, own, span)?;
            fields.push((Arc::from("value"), Value::Num(own)));
            fields.push((Arc::from("gap"), Value::Num(gap)));
        }
        let dual = last.states.iter().find(|(n, _)| &**n == "dual").map(|(_, v)| v.clone());
        let why = String::new();
        let facts = "two levels".to_string();
        let lower = Some(LowerLevel { point: y, fields });
        Ok(Finished { x, value, kkt: None, gap: None, violations, dual, lower, runs, why, facts })
    }
}

/// The scope of a method for two levels: its functions take both unknowns, `start` has one field for each.
pub(super) fn level_scope(env: Env, m: &MethodValue, levels: &Levels, start: &Value, everything: Value) -> Env {
    let form = &m.decl.form;
    let Some(low) = &form.lower else { return env };
    let mut env = env.bind(form.smooth.name.clone(), levels.upper.clone()).bind(low.objective.name.clone(), levels.lower.clone());
    if let Some(c) = &low.set {
        env = env.bind(c.name.clone(), levels.set.clone().map_or(everything, Value::Set));
    }
    if let Some(g) = &low.constraints {
        env = env.bind(g.name.clone(), levels.constraints.clone());
    }
    let starts = vec![(form.unknown.name.clone(), start.clone()), (low.unknown.name.clone(), levels.start.clone())];
    env.bind("start", Value::record(starts))
}
