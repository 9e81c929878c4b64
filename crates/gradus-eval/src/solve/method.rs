//! Running a method: its states are carried by one loop, whose step, stopping tests and trace are traced together.

use super::bilevel::{Levels, level_scope};
use super::prox::ProxFn;
use super::region_fn::RegionFn;
use super::splitting::Rest;
use crate::env::Env;
use crate::interp::Interp;
use crate::tracer::Region;
use crate::tree::TypeTree;
use crate::value::{CallArg, Eval, MethodValue, Num, SetValue, Stop, Value};
use gradus_ir::{BinaryOp, DType, Dim, Op, ReduceOp, Ty, UnaryOp};
use gradus_syntax::ast::{Expr, Prelude, StepStmt};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// Codes of the status that the loop carries.
pub mod code {
    pub const RUNNING: f64 = 0.0;
    pub const CONVERGED: f64 = 1.0;
    /// An `until` clause held.
    pub const UNTIL: f64 = 2.0;
    pub const NONFINITE: f64 = 3.0;
    pub const DIVERGED: f64 = 4.0;
}

/// Entries of the unknown beyond this mean that it runs away.
const RUNAWAY: f64 = 1e30;

/// What a method or rule is run on.
pub struct Task {
    pub smooth: RegionFn,
    pub prox: Arc<ProxFn>,
    /// What a splitting method gets beside them.
    pub rest: Option<Arc<Rest>>,
    pub set: Option<Arc<SetValue>>,
    pub constraints: Option<Value>,
    /// Of a `find`: the operator. Then the smooth part is its natural residual, and the objective too unless it is a saddle's.
    pub operator: Option<Value>,
    /// Of a method for two levels: then the smooth part and the objective take the pair of both unknowns.
    pub levels: Option<Levels>,
    /// The user's objective, for the trace.
    pub objective: RegionFn,
    pub start: Value,
    /// `until`, with the scope it stands in.
    pub until: Option<(Expr, Env)>,
    pub trace: Recorded,
    /// A derivative goes through so many of the last steps only.
    pub cut: Option<Dim>,
    /// The name under which an inner solve remembers its multipliers.
    pub warm: Option<Arc<str>>,
    pub span: Span,
}

/// What a solve keeps of every step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recorded {
    Nothing,
    /// The objective.
    Values,
    /// The objective and the unknown.
    Points,
}

impl Task {
    /// What a run moves: the unknown, with two levels the pair of both.
    fn whole(&self, x: Value, scope: &Env) -> Eval<Value> {
        match &self.levels {
            None => Ok(x),
            Some(l) => Ok(Value::list(vec![x, scope.local(&l.unknown).cloned().ok_or(Stop::Poisoned)?])),
        }
    }
}

/// What an `until` clause may speak of.
struct Quantities<'a> {
    x: &'a Value,
    before: Option<&'a Value>,
    after: &'a Env,
    count: Num,
    task: &'a Task,
}

/// What a run of one stage gives.
pub struct Ran {
    pub x: Value,
    pub steps: Num,
    pub code: Num,
    pub limit: Dim,
    /// What is kept of each step: the objective, then the leaves of the unknown, as far as asked for.
    pub trace: Vec<Num>,
    /// The multipliers it started with, where it has some.
    pub start_dual: Option<Value>,
    /// The last values of the method's states, by name.
    pub states: Vec<(Arc<str>, Value)>,
    /// The method's `certificate` clause at `x`.
    pub certificate: Option<Num>,
}

/// One loop in the making: carried trees by name.
pub struct Carried {
    pub name: Arc<str>,
    pub tree: TypeTree,
    pub init: Vec<Num>,
}

impl Interp<'_> {
    /// The scope of a method's text: its parameters, the functions it is given, the start.
    fn method_scope(&mut self, m: &MethodValue, task: &Task) -> Eval<Env> {
        let args: Vec<CallArg> = m
            .args
            .iter()
            .map(|(n, v)| CallArg { name: Some(n.clone()), value: v.clone(), span: task.span })
            .collect();
        let (mut env, _) = self.bind_params(&m.decl.params, &args, &m.env, &m.decl.name.name, task.span)?;
        let form = &m.decl.form;
        let main = task.operator.clone().unwrap_or_else(|| task.smooth.clone().value());
        env = env.bind(form.smooth.name.clone(), main);
        if let Some(h) = &form.prox {
            env = env.bind(h.name.clone(), Value::Prox(task.prox.clone()));
        }
        if let Some(rest) = &task.rest {
            if let Some(h) = &form.rest {
                env = env.bind(h.name.clone(), Value::Prox(rest.prox.clone()));
            }
            if let (Some(k), Some(map)) = (&form.map, &rest.map) {
                env = env.bind(k.name.clone(), map.clone());
            }
        }
        let Some(everything) = self.find_in_module(env.module, "reals")? else {
            return Err(Diagnostic::error("E9005", task.span, "the library has no set `reals`").into());
        };
        if let Some(c) = &form.set {
            env = env.bind(c.name.clone(), task.set.clone().map_or(everything.clone(), Value::Set));
        }
        if let Some(levels) = &task.levels {
            return Ok(level_scope(env, m, levels, &task.start, everything));
        }
        if let Some(g) = &form.constraints {
            let c = match &task.constraints {
                Some(c) => c.clone(),
                None => Value::native("constraints", |_, _, _| {
                    let none = || Value::record(Vec::new());
                    Ok(Value::record(vec![(Arc::from("eq"), none()), (Arc::from("ineq"), none())]))
                }),
            };
            env = env.bind(g.name.clone(), c);
        }
        Ok(env.bind("start", task.start.clone()))
    }

    pub fn run_method(&mut self, m: &MethodValue, task: &Task) -> Eval<Ran> {
        let decl = m.decl.clone();
        let env = self.method_scope(m, task)?;
        let limit = self.step_limit(&env, 1000, task.span)?;
        for round in 0..2 {
            let mut scope = env.clone();
            let mut start_dual = None;
            let mut carried: Vec<Carried> = Vec::new();
            let saved = self.step_key;
            if task.smooth.stochastic {
                // The steps count from one.
                let (k, zero) = (self.seed_key(task.span)?, self.int(0)?);
                self.step_key = Some(self.emit(Op::KeyFold, &[k, zero], task.span)?);
            }
            for p in &decl.prelude {
                match p {
                    Prelude::Let(pat, ty, e) => scope = self.eval_let(pat, ty.as_ref(), e, &scope)?,
                    Prelude::State(name, e) => {
                        let v = self.eval(e, &scope)?;
                        // After a first try, whole numbers that become fractions start as reals.
                        let v = if round > 0 { self.real_tree(&v, e.span)? } else { v };
                        // Multipliers go on from those of the solve before, like the unknown.
                        let dual = task.warm.as_ref().filter(|_| &*name.name == "dual").map(|w| format!("{w} dual"));
                        let v = self.recalled(&v, dual.as_deref(), e.span)?;
                        if dual.is_some() {
                            start_dual = Some(v.clone());
                        }
                        let tree = self.type_tree(&v, e.span)?;
                        let init = self.leaves(&v, e.span)?;
                        scope = scope.bind(name.name.clone(), v);
                        carried.push(Carried { name: name.name.clone(), tree, init });
                    }
                }
            }
            self.step_key = saved;
            let answer = decl.form.unknown.name.clone();
            let below = decl.form.lower.as_ref().map(|l| l.unknown.name.clone());
            let missing = |n: &Arc<str>| !carried.iter().any(|c| c.name == *n);
            if let Some(n) = below.filter(missing).or_else(|| decl.result.is_none().then(|| answer.clone()).filter(missing)) {
                return Err(Diagnostic::error("E3017", decl.name.span, format!("the method has no state `{n}`"))
                    .at("the answer is the state named like the unknown")
                    .help(format!("add `state {n} = start`, or `return` another state"))
                    .into());
            }
            let mut promoted = false;
            let step = &mut |s: &mut Self, env: &Env| -> Eval<(Env, Option<Num>)> {
                let mut env = env.clone();
                for st in &decl.step {
                    match st {
                        StepStmt::Let(p, ty, e) => env = s.eval_let(p, ty.as_ref(), e, &env)?,
                        StepStmt::Assign(name, e) => {
                            let v = s.eval(e, &env)?;
                            env = env.bind(name.name.clone(), v);
                        }
                        // The parser has complained of it.
                        StepStmt::Step(_) => return Err(Stop::Poisoned),
                    }
                }
                let mut stop: Option<Num> = None;
                for e in &decl.stop {
                    let v = s.eval(e, &env)?;
                    let n = s.num(&v, e.span)?;
                    s.truth(n, e.span)?;
                    stop = Some(match stop {
                        None => n,
                        Some(o) => s.bin(BinaryOp::Or, o, n, e.span)?,
                    });
                }
                Ok((env, stop))
            };
            let result = self.run_loop(&scope, &carried, &answer, &decl.name.name, limit.clone(), task, step, round == 0, &mut promoted);
            if promoted && round == 0 {
                continue;
            }
            let (last, steps, code, trace) = result?;
            let mut scope = scope;
            let mut states = Vec::new();
            for (n, v) in last {
                scope = scope.bind(n.clone(), v.clone());
                states.push((n, v));
            }
            let x = match &decl.result {
                Some(e) => self.eval(e, &scope)?,
                None => scope.local(&answer).cloned().ok_or(Stop::Poisoned)?,
            };
            let certificate = match &decl.certificate {
                // A random objective has no one value to certify.
                Some(e) if !task.smooth.stochastic => {
                    let scope = scope.bind(answer, x.clone()).bind("steps", Value::Num(steps));
                    Some(self.certificate_clause(e, &scope)?)
                }
                _ => None,
            };
            return Ok(Ran { x, steps, code, limit, trace, start_dual, states, certificate });
        }
        Err(Stop::Poisoned)
    }

    /// The bound on steps: the parameter `steps` of the method or rule.
    pub fn step_limit(&mut self, env: &Env, default: i64, span: Span) -> Eval<Dim> {
        let Some(v) = env.local("steps").cloned() else { return Ok(Dim::Known(default)) };
        let Value::Num(n) = v else { return Ok(Dim::Known(default)) };
        match self.static_dim(n)? {
            Some(d) if d.known().is_none_or(|k| k >= 1) => Ok(d),
            _ => Err(Diagnostic::error("E3019", span, "`steps` must be a positive integer known before the run")
                .at("in this solve")
                .into()),
        }
    }

    pub fn real_tree(&mut self, v: &Value, span: Span) -> Eval<Value> {
        self.map_tree(v, span, &mut |s, n| {
            if s.ty(n).dtype == DType::Real { Ok(n) } else { s.un(UnaryOp::ToReal, n, span) }
        })
    }

    /// The loop of a solve. `step` gets the scope with the carried values and gives the scope after the step and a
    /// stopping test. Returns the last carried values, the number of steps, the status code and the trace.
    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    pub fn run_loop(
        &mut self,
        scope: &Env,
        carried: &[Carried],
        answer: &str,
        label: &str,
        limit: Dim,
        task: &Task,
        step: &mut dyn FnMut(&mut Self, &Env) -> Eval<(Env, Option<Num>)>,
        may_promote: bool,
        promoted: &mut bool,
    ) -> Eval<(Vec<(Arc<str>, Value)>, Num, Num, Vec<Num>)> {
        let span = task.span;
        // An observer may ask for a larger bound than the method's own.
        let limit = self.until_limit(task, limit)?;
        let running = self.real(code::RUNNING)?;
        let mut carries: Vec<Num> = vec![running];
        carries.extend(carried.iter().flat_map(|c| c.init.iter().copied()));
        let tys: Vec<Ty> = carries.iter().map(|n| self.ty(*n)).collect();
        let mut params = vec![Ty::scalar(DType::Int)];
        params.extend(tys.iter().cloned());
        let saved = (self.step_key, self.draws.loops.clone());
        let mut grew = false;
        let body = self.region(&params, span, |s, args| {
            let mut it = args.iter().copied();
            let i = it.next().ok_or(Stop::Poisoned)?;
            let _code = it.next();
            let mut env = scope.clone();
            let mut before = None;
            for c in carried {
                let v = c.tree.build(&mut it).ok_or(Stop::Poisoned)?;
                if *c.name == *answer {
                    before = Some(v.clone());
                }
                env = env.bind(c.name.clone(), v);
            }
            before = before.map(|x| task.whole(x, &env)).transpose()?;
            let one = s.int(1)?;
            let count = s.bin(BinaryOp::Add, i, one, span)?;
            env = env.bind("steps", Value::Num(count));
            if task.smooth.stochastic {
                let k = s.seed_key(span)?;
                s.step_key = Some(s.emit(Op::KeyFold, &[k, count], span)?);
                s.draws.loops.clear();
            }
            let (after, stop) = step(s, &env)?;
            let mut outs = Vec::new();
            for c in carried {
                let Some(v) = after.local(&c.name).cloned() else { return Err(Stop::Poisoned) };
                let new = s.leaves(&v, span)?;
                let want = c.tree.leaves();
                let same = new.len() == want.len() && new.iter().zip(&want).all(|(n, w)| s.ty(*n).shape == w.shape);
                if !same {
                    let found = s.type_tree(&v, span)?.describe();
                    // The state of a rule is called `name#part`, the unknown itself `x`.
                    let shown = c.name.split('#').next().unwrap_or_default();
                    return Err(Diagnostic::error(
                        "E2012",
                        span,
                        format!("the state `{shown}` of `{label}` starts as `{}` and becomes `{found}`", c.tree.describe()),
                    )
                    .at(format!("`{label}` runs here"))
                    .help("a state keeps its shape: start it in the shape that the step gives, for example from `zeros_like(start)`")
                    .into());
                }
                for (n, w) in new.iter().zip(&want) {
                    if s.ty(*n).dtype > w.dtype {
                        grew = true;
                    }
                }
                outs.extend(new);
            }
            if grew && may_promote {
                return Err(Stop::Poisoned);
            }
            let Some(x) = after.local(answer).cloned() else { return Err(Stop::Poisoned) };
            let x = task.whole(x, &after)?;
            let status = s.step_status(&x, before.as_ref(), stop, &after, count, task, span)?;
            let mut all = vec![status];
            all.extend(outs);
            if task.trace >= Recorded::Values {
                let v = s.apply_region(&task.objective, &x, span)?;
                all.push(s.num(&v, span)?);
            }
            if task.trace >= Recorded::Points {
                all.extend(s.leaves(&x, span)?);
            }
            Ok(all)
        });
        (self.step_key, self.draws.loops) = saved;
        if grew && may_promote {
            *promoted = true;
            return Err(Stop::Poisoned);
        }
        let body = body?;
        let test = self.region(&params, span, |s, args| {
            let c = args.get(1).copied().ok_or(Stop::Poisoned)?;
            let zero = s.real(code::RUNNING)?;
            Ok(vec![s.bin(BinaryOp::Eq, c, zero, span)?])
        })?;
        let outs = self.while_loop(limit.clone(), &carries, &body, &test, label, span)?;
        // The number of steps is output 0 of the loop node; `while_loop` gives those after it.
        let first = outs.first().copied().ok_or(Stop::Poisoned)?;
        let steps = self.loop_steps(first, span)?;
        let code = outs.first().copied().ok_or(Stop::Poisoned)?;
        let trace = outs.get(carries.len()..).unwrap_or_default().to_vec();
        let ends = match &task.cut {
            Some(k) => self.last_steps(k, limit, &carries, &body, steps, label, span)?,
            None => outs,
        };
        let mut it = ends.iter().copied().skip(1);
        let mut last = Vec::new();
        for c in carried {
            last.push((c.name.clone(), c.tree.build(&mut it).ok_or(Stop::Poisoned)?));
        }
        Ok((last, steps, code, trace))
    }

    /// The carried values after `steps` steps again, with a derivative through the last `k` only: the steps before are taken once
    /// more and held still, so that memory is that of `k` steps.
    #[allow(clippy::too_many_arguments)]
    fn last_steps(&mut self, k: &Dim, limit: Dim, carries: &[Num], body: &Region, steps: Num, label: &str, span: Span) -> Eval<Vec<Num>> {
        let steps = self.un(UnaryOp::StopGrad, steps, span)?;
        let (n, zero) = (self.dim_num(k)?, self.int(0)?);
        let before = self.bin(BinaryOp::Sub, steps, n, span)?;
        let before = self.bin(BinaryOp::Max, before, zero, span)?;
        let mut params = vec![Ty::scalar(DType::Int)];
        params.extend(carries.iter().map(|c| self.ty(*c)));
        let mut state: Vec<Num> = carries.to_vec();
        for (from, to, bound) in [(zero, before, limit), (before, steps, k.clone())] {
            let held = state.iter().map(|c| self.un(UnaryOp::StopGrad, *c, span)).collect::<Eval<Vec<_>>>()?;
            let step = self.region(&params, span, |s, args| {
                let (i, rest) = args.split_first().ok_or(Stop::Poisoned)?;
                let i = s.bin(BinaryOp::Add, *i, from, span)?;
                let all: Vec<Num> = std::iter::once(i).chain(rest.iter().copied()).chain(body.captures.iter().copied()).collect();
                let mut outs = s.inline(&body.graph, &all, span)?;
                outs.truncate(rest.len());
                Ok(outs)
            })?;
            let test = self.region(&params, span, |s, args| {
                let i = args.first().copied().ok_or(Stop::Poisoned)?;
                let i = s.bin(BinaryOp::Add, i, from, span)?;
                Ok(vec![s.bin(BinaryOp::Lt, i, to, span)?])
            })?;
            state = self.while_loop(bound, &held, &step, &test, label, span)?;
        }
        Ok(state)
    }

    /// Output 0 of the loop behind one of its outputs.
    fn loop_steps(&mut self, out: Num, span: Span) -> Eval<Num> {
        let node = self
            .tracer
            .graph_of(out)
            .and_then(|g| g.node(out.id).inputs.first().copied())
            .map(|id| Num { level: out.level, id })
            .ok_or(Stop::Poisoned)?;
        self.emit(Op::Get(0), &[node], span)
    }

    /// `until steps N` with a larger N than the method's own limit raises it.
    fn until_limit(&mut self, task: &Task, limit: Dim) -> Eval<Dim> {
        let Some((e, env)) = &task.until else { return Ok(limit) };
        let mut best = limit;
        let mut found = Vec::new();
        step_budgets(e, &mut found);
        for b in found {
            let v = self.eval(&b, env)?;
            if let Value::Num(n) = v
                && let Some(d) = self.static_dim(n)?
            {
                best = match (best.known(), d.known()) {
                    (Some(a), Some(b)) => Dim::Known(a.max(b)),
                    _ => best,
                };
            }
        }
        Ok(best)
    }

    #[allow(clippy::too_many_arguments)]
    fn step_status(
        &mut self,
        x: &Value,
        before: Option<&Value>,
        stop: Option<Num>,
        after: &Env,
        count: Num,
        task: &Task,
        span: Span,
    ) -> Eval<Num> {
        let mut status = self.real(code::RUNNING)?;
        if let Some((e, scope)) = &task.until {
            let n = self.until_test(e, scope, x, before, after, count, task)?;
            let c = self.real(code::UNTIL)?;
            status = self.emit(Op::Select, &[n, c, status], span)?;
        }
        if let Some(n) = stop {
            let c = self.real(code::CONVERGED)?;
            status = self.emit(Op::Select, &[n, c, status], span)?;
        }
        let mut worst = self.real(0.0)?;
        for n in self.leaves(x, span)? {
            let a = self.un(UnaryOp::Abs, n, span)?;
            let axes = (0..self.ty(n).shape.rank()).collect();
            let m = self.emit(Op::Reduce(ReduceOp::Max, axes), &[a], span)?;
            worst = self.bin(BinaryOp::Max, worst, m, span)?;
        }
        // NaN compares false with everything, so it ends in the last branch.
        let bound = self.real(RUNAWAY)?;
        let tame = self.bin(BinaryOp::Le, worst, bound, span)?;
        let finite = self.un(UnaryOp::IsFinite, worst, span)?;
        let (d, nf) = (self.real(code::DIVERGED)?, self.real(code::NONFINITE)?);
        let bad = self.emit(Op::Select, &[finite, d, nf], span)?;
        self.emit(Op::Select, &[tame, status, bad], span)
    }

    /// `until`: the quantities of the run by name, then the method's states, then the script's own names.
    #[allow(clippy::too_many_arguments)]
    fn until_test(
        &mut self,
        e: &Expr,
        scope: &Env,
        x: &Value,
        before: Option<&Value>,
        after: &Env,
        count: Num,
        task: &Task,
    ) -> Eval<Num> {
        let q = Quantities { x, before, after, count, task };
        let env = self.bind_quantities(e, scope, &q)?;
        let v = self.eval_until(e, &env, &q)?;
        let n = self.num(&v, e.span)?;
        self.truth(n, e.span)?;
        Ok(n)
    }

    /// The scope with the quantities that `e` mentions.
    fn bind_quantities(&mut self, e: &Expr, scope: &Env, q: &Quantities<'_>) -> Eval<Env> {
        let mut names = Vec::new();
        mentioned(e, &mut names);
        let mut env = scope.clone();
        for name in names {
            if let Some(v) = self.quantity(&name, e.span, q)? {
                env = env.bind(name, v);
            }
        }
        Ok(env)
    }

    fn quantity(&mut self, name: &str, at: Span, q: &Quantities<'_>) -> Eval<Option<Value>> {
        let (x, task) = (q.x, q.task);
        let span = task.span;
        Ok(Some(match name {
            "steps" => Value::Num(q.count),
            "time" => Value::Num(self.emit(Op::Clock, &[q.count], span)?),
            "value" => self.apply_region(&task.objective, x, span)?,
            "change" => {
                let Some(b) = q.before else { return Ok(None) };
                let d = self.arith(BinaryOp::Sub, x, b, span, span, span)?;
                Value::Num(self.norm_tree(&d, span)?)
            }
            "kkt" | "residual" if task.operator.is_some() => self.apply_region(&task.smooth, x, span)?,
            "kkt" | "residual" | "gap" if task.levels.is_some() => {
                return Err(Diagnostic::error("E3020", at, format!("`{name}` is not known while a method works on two levels"))
                    .at("it would take a solve of the lower level at every step")
                    .help("stop on `value`, `change`, or a state of the method")
                    .into());
            }
            "kkt" | "residual" if task.rest.is_some() => match (&task.rest, q.after.local("dual").cloned()) {
                (Some(rest), Some(y)) => Value::Num(self.splitting_residual(task, rest, x, &y, span)?),
                _ => return Ok(None),
            },
            "kkt" | "residual" => Value::Num(self.natural_residual(&task.smooth, &task.prox, x, span)?),
            "gap" if task.rest.is_some() => return Err(no_gap(at)),
            "gap" => match self.gap_at(&task.smooth, &task.prox, x, span)? {
                Some(n) => Value::Num(n),
                None => return Err(no_gap(at)),
            },
            other => match q.after.local(other) {
                Some(v) => v.clone(),
                None => return Ok(None),
            },
        }))
    }

    /// An `until` expression, in which budgets are comparisons and stopping tests are values.
    fn eval_until(&mut self, e: &Expr, env: &Env, quantities: &Quantities<'_>) -> Eval<Value> {
        use gradus_syntax::ast::{BinaryOp as B, ExprKind};
        match &*e.kind {
            ExprKind::Budget(name, amount, unit) => {
                let q = self.lookup(&name.name, env, name.span)?;
                let a = self.eval(amount, env)?;
                let factor = match unit.as_ref().map(|u| (&*u.name, u.span)) {
                    None | Some(("s", _)) => 1.0,
                    Some(("ms", _)) => 1e-3,
                    Some(("min", _)) => 60.0,
                    Some(("h", _)) => 3600.0,
                    // The parser takes no other unit.
                    Some(_) => return Err(Stop::Poisoned),
                };
                let f = Value::Num(self.real(factor)?);
                let a = self.arith(BinaryOp::Mul, &a, &f, e.span, e.span, e.span)?;
                self.arith(BinaryOp::Ge, &q, &a, e.span, e.span, e.span)
            }
            ExprKind::Binary(op @ (B::And | B::Or), a, b) => {
                let (x, y) = (self.eval_until(a, env, quantities)?, self.eval_until(b, env, quantities)?);
                let op = if *op == B::And { BinaryOp::And } else { BinaryOp::Or };
                self.arith(op, &x, &y, e.span, a.span, b.span)
            }
            _ => match self.eval(e, env)? {
                Value::StopTest(t) => {
                    // The test's text sees the run's quantities.
                    let inner = self.bind_quantities(&t.body, &t.env, quantities)?;
                    self.eval_until(&t.body, &inner, quantities)
                }
                v => Ok(v),
            },
        }
    }
}

fn no_gap(at: Span) -> Stop {
    Diagnostic::error("E3020", at, "no duality gap is known for this problem")
        .at("a gap needs a convex objective made of parts with known conjugates")
        .help("stop on `kkt < …` instead")
        .into()
}

/// The names that an expression of an `until` clause uses.
pub fn mentioned(e: &Expr, out: &mut Vec<Arc<str>>) {
    use gradus_syntax::ast::ExprKind as K;
    match &*e.kind {
        K::Name(id) => {
            if !out.contains(&id.name) {
                out.push(id.name.clone());
            }
        }
        K::Budget(id, a, _) => {
            if !out.contains(&id.name) {
                out.push(id.name.clone());
            }
            mentioned(a, out);
        }
        K::Binary(_, a, b) => {
            mentioned(a, out);
            mentioned(b, out);
        }
        K::Unary(_, a) | K::Transpose(a) | K::Field(a, _) => mentioned(a, out),
        K::Compare(v, _) | K::Tuple(v) | K::List(v) => v.iter().for_each(|a| mentioned(a, out)),
        K::Call(f, args) => {
            mentioned(f, out);
            args.iter().for_each(|a| mentioned(&a.value, out));
        }
        K::Index(a, _) => mentioned(a, out),
        _ => {}
    }
}

/// The amounts of `steps N` in an `until` clause.
fn step_budgets(e: &Expr, out: &mut Vec<Expr>) {
    use gradus_syntax::ast::ExprKind as K;
    match &*e.kind {
        K::Budget(id, a, _) if &*id.name == "steps" => out.push(a.clone()),
        K::Binary(_, a, b) => {
            step_budgets(a, out);
            step_budgets(b, out);
        }
        _ => {}
    }
}
