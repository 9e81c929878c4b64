//! `solve`: from a problem to a record. Splits the objective, picks or checks the method, runs the stages, certifies.

use super::choose::Choice;
use super::decompose::Split;
use super::facts::SolveFacts;
use super::method::{Ran, Task, code, Recorded};
use super::problem::Problem;
use super::report::Finished;
use crate::env::Env;
use crate::interp::{Interp, Mode};
use crate::value::{Eval, MethodValue, RuleValue, Stop, Value};
use gradus_ir::Op;
use gradus_syntax::ast::{Expr, ExprKind, Solve, With};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// What runs one stage.
#[derive(Clone)]
pub enum Runner {
    Method(Arc<MethodValue>),
    Rule(Arc<RuleValue>),
}

impl Runner {
    pub fn name(&self) -> String {
        match self {
            Runner::Method(m) => m.decl.name.name.to_string(),
            Runner::Rule(r) => super::rule::rule_name(r),
        }
    }
}

/// A solve before it is run.
pub struct Request {
    pub problem: Arc<Problem>,
    pub stages: Vec<(Value, Span)>,
    pub start: Option<(Value, Span)>,
    pub until: Option<(Expr, Env)>,
    pub trace: Recorded,
    /// Where `with samples = …` stands.
    pub samples: Option<Span>,
    /// Of an inner solve whose last steps only are differentiated through: how many.
    pub cut: Option<gradus_ir::Dim>,
    /// Of an inner solve that starts where it ended before: the name under which that is remembered.
    pub warm: Option<Arc<str>>,
    pub span: Span,
}

/// A solve whose stages have run, before anything is measured.
pub struct Iterated {
    pub task: Task,
    /// Where the first stage started.
    pub start: Value,
    pub split: Split,
    pub runs: Vec<(Runner, Ran)>,
    pub why: String,
    /// None of an equilibrium.
    pub facts: Option<SolveFacts>,
}

fn within(part: Span, whole: Span) -> bool {
    part.file == whole.file && whole.start <= part.start && part.end <= whole.end
}

impl Interp<'_> {
    pub(crate) fn eval_solve(&mut self, s: &Arc<Solve>, env: &Env, span: Span, name: Option<Arc<str>>) -> Eval<Value> {
        // A problem may be written where it is solved.
        let p = match &*s.problem.kind {
            ExprKind::Optimize(_) => self.problem_from(&s.problem, env, Arc::from("problem"), s.problem.span)?,
            _ => self.eval(&s.problem, env)?,
        };
        let problem = self.as_problem(&p, s.problem.span)?;
        let mut stages = Vec::new();
        for e in &s.stages {
            stages.push((self.eval(e, env)?, e.span));
        }
        if stages.is_empty()
            && let Some(by) = &problem.by
        {
            stages.push((self.eval(by, &problem.env.clone())?, by.span));
        }
        let start = match &s.start {
            Some(e) => Some((self.eval(e, env)?, e.span)),
            None => None,
        };
        let problem = self.as_saddle(problem, &stages)?;
        let start = self.saddle_start(&problem, start);
        let samples = self.samples_setting(&s.with, env)?;
        let trace = match self.options.trace_all || self.traced.wants(name.as_deref()) {
            false => Recorded::Nothing,
            true if self.traced.points => Recorded::Points,
            true => Recorded::Values,
        };
        let request = Request {
            problem,
            stages,
            start,
            until: s.until.as_ref().map(|e| (e.clone(), env.clone())),
            trace,
            samples: samples.as_ref().map(|(_, at)| *at),
            cut: None,
            warm: None,
            span,
        };
        let outer = std::mem::replace(&mut self.draws.samples, samples.map(|(n, _)| n));
        let outcome = self.solve(&request, name);
        self.draws.samples = outer;
        // A complaint inside the library, or about a problem declared elsewhere, says which solve met it.
        outcome.map_err(|e| match e {
            Stop::Diagnostic(d) if !d.labels.iter().any(|l| within(l.span, span)) && !within(d.primary.span, span) => {
                Stop::Diagnostic(Box::new(d.label(span, "in this solve")))
            }
            other => other,
        })
    }

    /// `with samples = 16`: so many draws of each outermost expectation at every step.
    fn samples_setting(&mut self, with: &[With], env: &Env) -> Eval<Option<(gradus_ir::Dim, Span)>> {
        let mut samples = None;
        for w in with {
            match w {
                With::Setting(n, e) if &*n.name == "samples" => samples = Some((self.dim_of(e, env)?, n.span)),
                With::Setting(n, _) | With::Inner(n, _) => {
                    return Err(Diagnostic::error("E3022", n.span, format!("`with {}` is not in this release", n.name))
                        .at("this setting")
                        .help("give settings to the method itself: `by adam(steps = 500)`")
                        .into());
                }
            }
        }
        Ok(samples)
    }

    pub fn as_problem(&mut self, p: &Value, span: Span) -> Eval<Arc<Problem>> {
        match p {
            Value::Problem(p) => Ok(p.clone()),
            Value::ProblemDecl(d) => {
                let d = Value::ProblemDecl(d.clone());
                match self.apply(&d, &[], span)? {
                    Value::Problem(p) => Ok(p),
                    _ => Err(Stop::Poisoned),
                }
            }
            Value::Poison => Err(Stop::Poisoned),
            other => Err(Diagnostic::error("E3023", span, format!("`solve` takes a problem, found {}", other.kind()))
                .at(format!("this is {}", other.kind()))
                .help("declare it: `problem p = min x: real[n] of …`; a linear system is `solve(A, b)`")
                .into()),
        }
    }

    pub(super) fn runner(&mut self, v: &Value, span: Span) -> Eval<Runner> {
        match v {
            Value::Method(m) => Ok(Runner::Method(m.clone())),
            Value::Rule(r) => Ok(Runner::Rule(r.clone())),
            Value::Poison => Err(Stop::Poisoned),
            other => Err(Diagnostic::error("E3024", span, format!("`by` takes a method or a rule, found {}", other.kind()))
                .at(format!("this is {}", other.kind()))
                .into()),
        }
    }

    /// The whole solve; at the level of the script its values are computed at once.
    fn solve(&mut self, r: &Request, name: Option<Arc<str>>) -> Eval<Value> {
        if self.at_session()
            && let Some(p) = self.replayed(r.span)
        {
            let (fin, split, traced) = p.taken();
            return self.finish(r, fin, &split, name, Some(traced));
        }
        let (fin, split) = self.run_stages(r)?;
        if self.at_session() {
            if let crate::lanes::Lanes::Collecting(None) = self.lanes {
                return Err(self.later(r, fin, split)?);
            }
            return self.finish(r, fin, &split, name, None);
        }
        self.abstract_record(r, &fin, &split)
    }

    /// Where the iterations begin: given, made by the unknown's type, or zero; moved into the set.
    pub(crate) fn starting_point(&mut self, r: &Request) -> Eval<Value> {
        let p = &r.problem;
        let v = match &r.start {
            Some((v, at)) => {
                // With several unknowns, those that are not given start at their default.
                let v = match (v, p.unknowns.len()) {
                    (Value::Record(fields), n) if n > 1 => {
                        if let Some((odd, _)) = fields.iter().find(|(f, _)| !p.unknowns.contains(f)) {
                            let names: Vec<&str> = p.unknowns.iter().map(|u| &**u).collect();
                            return Err(Diagnostic::error("E1203", *at, format!("the problem has no unknown `{odd}`"))
                                .at("in this starting point")
                                .note(format!("its unknowns are {}", names.join(", ")))
                                .into());
                        }
                        let d = self.default_start(&p.tree, r.span)?;
                        match (&d, v) {
                            (Value::Record(fields), given) => Value::record(
                                fields.iter().map(|(n, x)| (n.clone(), given.field(n).cloned().unwrap_or_else(|| x.clone()))).collect(),
                            ),
                            _ => v.clone(),
                        }
                    }
                    _ => v.clone(),
                };
                let v = self.real_tree(&v, *at)?;
                self.conform(&p.tree, v, *at, "the starting point")?
            }
            None => self.default_start(&p.tree, r.span)?,
        };
        let v = self.recalled(&v, r.warm.as_deref(), r.span)?;
        match &p.set {
            Some(s) if s.can_project() => self.project(s, &v, r.span),
            _ => Ok(v),
        }
    }

    pub(super) fn default_start(&mut self, tree: &crate::tree::TypeTree, span: Span) -> Eval<Value> {
        use crate::tree::TypeTree;
        match tree {
            TypeTree::Typed(ty, inner) => match self.type_oracle(ty, "init", None) {
                Some(f) => {
                    let k = self.seed_key(span)?;
                    let site = self.int(0x1417)?;
                    let k = self.emit(Op::KeyFold, &[k, site], span)?;
                    self.call_values(&f, &[Value::Num(k)], span)
                }
                None => {
                    let v = self.default_start(inner, span)?;
                    Ok(Value::Typed(Arc::new(crate::value::Typed { ty: ty.clone(), value: v })))
                }
            },
            TypeTree::Record(fields) => {
                let mut out = Vec::new();
                for (n, t) in fields {
                    out.push((n.clone(), self.default_start(t, span)?));
                }
                Ok(Value::record(out))
            }
            TypeTree::List(items) => {
                Ok(Value::list(items.iter().map(|t| self.default_start(t, span)).collect::<Eval<_>>()?))
            }
            TypeTree::Leaf(t) => {
                let z = self.real(0.0)?;
                Ok(Value::Num(self.emit(Op::Broadcast(t.shape.clone()), &[z], span)?))
            }
        }
    }

    /// What the stages name.
    fn runners(&mut self, r: &Request) -> Eval<Vec<(Runner, Span)>> {
        r.stages.iter().map(|(v, at)| Ok((self.runner(v, *at)?, *at))).collect()
    }

    pub(super) fn run_stages(&mut self, r: &Request) -> Eval<(Finished, Split)> {
        let p = r.problem.clone();
        if !p.equilibrium {
            let given = self.runners(r)?;
            if given.iter().any(|(r, _)| super::bilevel::form(r).is_some()) {
                return self.run_levels(r, given);
            }
        }
        let Iterated { task, split, runs, why, facts, .. } = self.iterate(r)?;
        let fin = match facts {
            Some(facts) => self.measure(&task, &p, runs, why, &facts)?,
            None => self.measure_equilibrium(&task, &p, runs, why)?,
        };
        Ok((fin, split))
    }

    /// All stages, traced.
    pub(super) fn iterate(&mut self, r: &Request) -> Eval<Iterated> {
        let p = r.problem.clone();
        if p.equilibrium {
            return self.iterate_equilibrium(r);
        }
        let given = self.runners(r)?;
        let split = self.split(&p)?;
        if let (Some(at), false) = (r.samples, split.stochastic) {
            return Err(Diagnostic::error("E3022", at, "`with samples`: the objective draws no random numbers")
                .at("nothing to draw more of")
                .help("leave it out, or write the expectation: `expect z ~ normal(0, 1) of …`")
                .into());
        }
        self.check_scales(&split, r.span)?;
        self.stage("ir", "objective", &split.smooth.graph);
        let facts = self.function_facts(&split.smooth);
        let mut runners = given;
        let mut why = String::new();
        if runners.is_empty() {
            let Choice { runner, reason } = self.choose(&p, &split, &facts, r.span)?;
            why = reason;
            runners.push((runner, r.span));
        }
        self.facts_stage(&p, &split, &facts, &runners);
        for (runner, at) in &runners {
            self.check_fit(runner, &p, &split, &facts, *at)?;
        }
        let constraints = (!p.constraints.is_empty()).then(|| self.constraint_function(&p));
        let prox = split.prox_fn();
        let mut task = Task {
            smooth: split.smooth.clone(),
            prox: prox.clone(),
            rest: None,
            set: p.set.clone(),
            constraints,
            operator: None,
            levels: None,
            objective: split.objective.clone(),
            start: self.starting_point(r)?,
            until: r.until.clone(),
            trace: r.trace,
            cut: None,
            warm: r.warm.clone().filter(|_| !split.stochastic),
            span: r.span,
        };
        let start = task.start.clone();
        let mut runs: Vec<(Runner, Ran)> = Vec::new();
        let count = runners.len();
        for (k, (runner, at)) in runners.into_iter().enumerate() {
            task.cut = r.cut.clone().filter(|_| k + 1 == count);
            let split_form = match &runner {
                Runner::Method(m) if m.decl.form.rest.is_some() => Some(m.decl.form.clone()),
                _ => None,
            };
            (task.smooth, task.prox, task.rest) = match split_form {
                Some(form) => {
                    let s = self.splitting(&p, &split, &form, &runner.name(), at)?;
                    (s.smooth, s.prox, Some(s.rest))
                }
                None => (split.smooth.clone(), prox.clone(), None),
            };
            let ran = match &runner {
                Runner::Method(m) => self.run_method(m, &task)?,
                Runner::Rule(rule) => self.run_rule(rule, &task)?,
            };
            task.start = ran.x.clone();
            runs.push((runner, ran));
        }
        self.warn_truncated(&split, &runs, r.span);
        Ok(Iterated { task, start, split, runs, why, facts: Some(facts) })
    }

    /// What a check found out about a problem: its objective, what is added to it, and what will solve it.
    fn facts_stage(&mut self, p: &Problem, split: &Split, facts: &super::facts::SolveFacts, runners: &[(Runner, Span)]) {
        if self.mode != Mode::Check {
            return;
        }
        let mut text = facts.to_string();
        if !split.prox.is_zero() {
            text.push_str(&format!("; with {}", split.prox.describe()));
        }
        if !p.constraints.is_empty() {
            let n = p.constraints.len();
            text.push_str(&format!("; {n} constraint{}", if n == 1 { "" } else { "s" }));
        }
        let names: Vec<String> = runners.iter().map(|(r, _)| r.name()).collect();
        text.push_str(&format!(" -> {}", names.join(" then ")));
        self.host.emit(crate::host::Event::Stage { stage: "facts", title: p.name.to_string(), text });
    }

    /// A term's factor must not be negative: its proximal operator would mean nothing.
    fn check_scales(&mut self, split: &Split, span: Span) -> Eval<()> {
        if self.mode != Mode::Run {
            return Ok(());
        }
        for p in &split.prox.parts {
            self.check_scale(p.scale, &p.term, p.span, span)?;
        }
        Ok(())
    }

    /// `span` is the solve, `at` the term.
    pub(super) fn check_scale(&mut self, scale: Option<crate::value::Num>, term: &crate::value::TermValue, at: Span, span: Span) -> Eval<()> {
        if let Some(s) = scale
            && let Some(v) = self.static_value(s)?
            && !(v >= 0.0)
        {
            return Err(Diagnostic::error("E3016", at, format!("the factor of `{}` is {v}", term.describe()))
                .at("a term with a proximal operator needs a factor of at least zero")
                .label(span, "in this solve")
                .into());
        }
        Ok(())
    }
}

/// The words for a status code.
pub fn status_word(c: f64) -> &'static str {
    if c == code::CONVERGED || c == code::UNTIL {
        "converged"
    } else if c == code::RUNNING {
        "step limit"
    } else if c == code::DIVERGED {
        "diverged"
    } else {
        "not finite"
    }
}
