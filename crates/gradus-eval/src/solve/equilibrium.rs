//! `find x: T in S of F`: the x in S with `F(x) . (z - x) >= 0` for all z in S; over everything, the root of F.

use super::decompose::Split;
use super::driver::{Iterated, Request, Runner};
use super::implicit::{Diff, Equation};
use super::inner::Inner;
use super::method::{Ran, Task};
use super::problem::Problem;
use super::prox::ProxFn;
use super::region_fn::RegionFn;
use super::report::Finished;
use super::saddle::equilibrium_method;
use crate::env::Env;
use crate::interp::Interp;
use crate::tree::TypeTree;
use crate::value::{Eval, Stop, Value};
use gradus_ir::BinaryOp;
use gradus_syntax::ast::Find;
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

impl Interp<'_> {
    /// `find` over a set or everywhere, as an expression.
    pub(crate) fn eval_equilibrium(&mut self, f: &Arc<Find>, env: &Env, span: Span) -> Eval<Value> {
        let problem = Arc::new(self.make_equilibrium(f, env, Arc::from("inner problem"), span)?);
        let Inner { x, split, diff, unsolved, warm, .. } = self.solve_inner(&problem, &f.clauses, env, "find", f.operator.span, span)?;
        match diff {
            Diff::Unroll { .. } => Ok(x),
            Diff::None => self.held_still(&x, span),
            Diff::Implicit { linear, tolerance } => {
                let eq = Equation { label: "find", symmetric: false, linear, tolerance, unsolved, warm, at: f.operator.span, span };
                let (operator, prox) = (self.operator_of(&problem)?, split.prox_fn());
                let mut kink = |s: &mut Interp<'_>, x: &Value, e: &Value| s.natural_kink(&operator, &prox, x, e, span);
                self.attach(&x, &eq, &mut |s, x| s.natural_map(&operator, &prox, x, span), Some(&mut kink))
            }
        }
    }

    /// The operator as a function of the unknown, whose value has the structure of the unknown.
    fn operator_of(&mut self, p: &Arc<Problem>) -> Eval<Value> {
        let p = p.clone();
        if !p.ascending.is_empty() {
            let phi = self.saddle_function(&p)?;
            return Ok(Value::native("operator", move |s, args, span| {
                let x = s.one_arg(args, "the operator", span)?;
                s.saddle_operator(&p, &phi, &x, span)
            }));
        }
        Ok(Value::native("operator", move |s, args, span| {
            let x = s.one_arg(args, "the operator", span)?;
            let v = s.eval(&p.objective, &p.scope(&x))?;
            // With several unknowns their parts may be given in order.
            let v = match (&p.tree, &v) {
                (TypeTree::Record(fields), Value::List(parts)) if fields.len() == parts.len() => {
                    Value::record(fields.iter().zip(parts.iter()).map(|((n, _), v)| (n.clone(), v.clone())).collect())
                }
                _ => v,
            };
            let v = s.real_tree(&v, p.objective.span)?;
            s.conform(&p.tree, v, p.objective.span, "the operator's value")
        }))
    }

    /// `x - P(x - F(x))`: zero exactly at an equilibrium.
    fn natural_map(&mut self, operator: &Value, set: &ProxFn, x: &Value, span: Span) -> Eval<Value> {
        let f = self.call_values(operator, std::slice::from_ref(x), span)?;
        if set.is_zero() {
            return Ok(f);
        }
        let v = self.arith(BinaryOp::Sub, x, &f, span, span, span)?;
        let one = self.real(1.0)?;
        let p = self.prox_apply(set, &v, one, span)?;
        self.arith(BinaryOp::Sub, x, &p, span, span, span)
    }

    /// What the natural map is made of, with `e` added to the argument of each: `F(x + e)`, `P(x - F(x) + e)`.
    fn natural_kink(&mut self, operator: &Value, set: &ProxFn, x: &Value, e: &Value, span: Span) -> Eval<Value> {
        let there = self.arith(BinaryOp::Add, x, e, span, span, span)?;
        let f = self.call_values(operator, &[there], span)?;
        if set.is_zero() {
            return Ok(f);
        }
        let here = self.call_values(operator, std::slice::from_ref(x), span)?;
        let v = self.arith(BinaryOp::Sub, x, &here, span, span, span)?;
        let v = self.arith(BinaryOp::Add, &v, e, span, span, span)?;
        let one = self.real(1.0)?;
        Ok(Value::list(vec![f, self.prox_apply(set, &v, one, span)?]))
    }

    /// The norm of the natural map as a traced function, and the set as a part with a projection.
    fn equilibrium_parts(&mut self, p: &Arc<Problem>) -> Eval<Split> {
        let leaves = p.tree.leaves();
        let mut parts = Vec::new();
        if let Some(s) = &p.set {
            self.set_parts(s, &p.tree, 0, p.span, &mut parts);
        }
        let prox = ProxFn { tree: p.tree.clone(), parts };
        if let Some((at, why)) = prox.obstacle() {
            return Err(Diagnostic::error("E3009", at, why)
                .at("the unknown is in this set")
                .help("give the set a `project v = …`")
                .into());
        }
        let operator = self.operator_of(p)?;
        let span = p.objective.span;
        let region = self.region(&leaves, span, |s, args| {
            let x = p.tree.build(&mut args.iter().copied()).ok_or(Stop::Poisoned)?;
            let r = s.natural_map(&operator, &prox, &x, span)?;
            Ok(vec![s.norm_tree(&r, span)?])
        })?;
        let residual = RegionFn {
            graph: Arc::new(region.graph),
            tree: p.tree.clone(),
            leaves: leaves.len(),
            stochastic: false,
            captures: region.captures,
        };
        let objective = if p.ascending.is_empty() { residual.clone() } else { self.saddle_function(p)? };
        Ok(Split { smooth: residual.clone(), prox, objective, stochastic: false, mapped: Vec::new(), plain: residual })
    }

    /// All stages of a solve whose problem is a `find`.
    pub(super) fn iterate_equilibrium(&mut self, r: &Request) -> Eval<Iterated> {
        let p = r.problem.clone();
        let split = self.equilibrium_parts(&p)?;
        self.stage("ir", "residual", &split.smooth.graph);
        let mut runners = Vec::new();
        let mut why = String::new();
        if r.stages.is_empty() {
            let (name, reason) = equilibrium_method(&p);
            why = reason;
            runners.push(self.library_method(name, r.span)?);
        }
        for (v, at) in &r.stages {
            let runner = self.runner(v, *at)?;
            let fits = matches!(&runner, Runner::Method(m) if m.decl.form.find);
            if !fits {
                return Err(Diagnostic::error("E3039", *at, format!("`{}` minimizes; this problem is a `find`", runner.name()))
                    .at("chosen here")
                    .label(p.span, "an equilibrium is asked for")
                    .help("methods for `find`: `golden_ratio`, `extragradient`, `mirror_prox`, `optimistic_gradient`, `newton_equation`")
                    .into());
            }
            let Runner::Method(m) = &runner else { return Err(Stop::Poisoned) };
            if p.set.is_some() && m.decl.form.set.is_none() {
                return Err(Diagnostic::error("E3029", *at, format!("`{}` knows no constraint sets", runner.name()))
                    .at("chosen here")
                    .help("use `extragradient` or `golden_ratio`")
                    .into());
            }
            runners.push(runner);
        }
        let mut task = Task {
            smooth: split.smooth.clone(),
            prox: split.prox_fn(),
            rest: None,
            set: p.set.clone(),
            constraints: None,
            operator: Some(self.operator_of(&p)?),
            levels: None,
            objective: split.objective.clone(),
            start: self.starting_point(r)?,
            until: r.until.clone(),
            trace: r.trace,
            cut: r.cut.clone(),
            warm: r.warm.clone(),
            span: r.span,
        };
        let start = task.start.clone();
        let mut runs: Vec<(Runner, Ran)> = Vec::new();
        for runner in runners {
            let Runner::Method(m) = &runner else { return Err(Stop::Poisoned) };
            let ran = self.run_method(m, &task)?;
            task.start = ran.x.clone();
            runs.push((runner, ran));
        }
        Ok(Iterated { task, start, split, runs, why, facts: None })
    }

    /// The residual and the violations at the returned point.
    pub(super) fn measure_equilibrium(&mut self, task: &Task, p: &Arc<Problem>, runs: Vec<(Runner, Ran)>, why: String) -> Eval<Finished> {
        let span = task.span;
        let Some((_, last)) = runs.last() else { return Err(Stop::Poisoned) };
        let x = self.conform(&p.tree, last.x.clone(), span, "the answer")?;
        let residual = self.apply_region(&task.smooth, &x, span)?;
        let residual = self.num(&residual, span)?;
        let (value, gap) = if p.ascending.is_empty() {
            (residual, None)
        } else {
            let v = self.apply_region(&task.objective, &x, span)?;
            (self.num(&v, span)?, self.saddle_gap(p, &task.objective, &x, span)?)
        };
        let violations = if p.set.is_some() { self.all_violations(p, &x, span)? } else { Vec::new() };
        Ok(Finished {
            x,
            value,
            kkt: Some(residual),
            gap,
            violations,
            dual: None,
            lower: None,
            runs,
            why,
            facts: if p.ascending.is_empty() { "an equilibrium" } else { "a saddle point" }.to_string(),
        })
    }
}
