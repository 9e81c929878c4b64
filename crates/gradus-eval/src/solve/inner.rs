//! What all inner problems share: their clauses, where they start, and what is done about one that did not converge.

use super::decompose::Split;
use super::driver::{Iterated, Request, Runner};
use super::implicit::{Diff, Unsolved};
use super::method::{Ran, Recorded, Task, code};
use super::problem::Problem;
use super::report::FEASIBLE;
use crate::env::Env;
use crate::interp::{Interp, span_of};
use crate::value::{Eval, Num, Stop, Value};
use gradus_ir::{BinaryOp, Graph, Op, Origin, UnaryOp};
use gradus_syntax::{Diagnostic, Span};
use gradus_syntax::ast::Clauses;
use std::sync::Arc;

/// An inner problem after its iterations.
pub(super) struct Inner {
    /// The point, or NaN where it is none.
    pub x: Value,
    pub dual: Option<Value>,
    pub split: Split,
    pub task: Task,
    pub diff: Diff,
    pub unsolved: Unsolved,
    pub warm: Option<Arc<str>>,
}

/// What the tally of a solve that is meant to end early is called.
pub(super) const TRUNCATED: &str = " (truncated)";

impl Interp<'_> {
    /// Run an inner problem. `at`: a place of its own, by which a check that fails is found again.
    pub(super) fn solve_inner(
        &mut self,
        problem: &Arc<Problem>,
        clauses: &Clauses,
        env: &Env,
        label: &str,
        at: Span,
        span: Span,
    ) -> Eval<Inner> {
        let (diff, unsolved) = self.diff_clause(clauses.diff.as_ref(), env)?;
        let mut stages = Vec::new();
        if let Some(by) = &problem.by {
            stages.push((self.eval(by, env)?, by.span));
        }
        self.one_level(&stages)?;
        // A rule ends after its steps, and an unrolled solve is a function of where it starts: there the start is part of the answer.
        let free = !matches!(diff, Diff::Unroll { .. }) && stages.iter().all(|(s, _)| matches!(s, Value::Method(_)));
        let warm = clauses.warm.unwrap_or(free).then(|| slot(label, at));
        let cut = match &diff {
            Diff::Unroll { last } => last.clone(),
            _ => None,
        };
        let r = Request { problem: problem.clone(), stages, start: None, until: None, trace: Recorded::Nothing, samples: None, cut, warm, span };
        let it = self.iterate(&r)?;
        let old = self.at(at);
        let end = self.settled(problem, &it, label, unsolved, &diff, span);
        self.tracer.origin = old;
        let (x, dual) = end?;
        let warm = it.task.warm.clone();
        Ok(Inner { x, dual, split: it.split, task: it.task, diff, unsolved, warm })
    }

    /// The values that the solve of that name ended with in the step before, else `v`.
    pub(super) fn recalled(&mut self, v: &Value, name: Option<&str>, span: Span) -> Eval<Value> {
        self.noted(v, name, span, Op::Recall)
    }

    fn noted(&mut self, v: &Value, name: Option<&str>, span: Span, op: fn(Arc<str>) -> Op) -> Eval<Value> {
        let Some(name) = name else { return Ok(v.clone()) };
        let mut k = 0;
        self.map_tree(v, span, &mut |s, n| {
            k += 1;
            s.emit(op(Arc::from(format!("{name} {k}"))), &[n], span)
        })
    }

    /// `v` remembered, where `ok`; else what was there before.
    pub(super) fn stored(&mut self, v: &Value, before: &Value, ok: Num, name: Option<&str>, span: Span) -> Eval<Value> {
        if name.is_none() {
            return Ok(v.clone());
        }
        let old = self.leaves(before, span)?;
        let mut old = old.into_iter();
        let v = self.map_tree(v, span, &mut |s, n| {
            let Some(o) = old.next() else { return Err(Stop::Poisoned) };
            s.emit(Op::Select, &[ok, n, o], span)
        })?;
        self.noted(&v, name, span, Op::Store)
    }

    /// The point and the multipliers at the end of the iterations, counted, remembered, and NaN where there is no answer.
    fn settled(
        &mut self,
        p: &Arc<Problem>,
        it: &Iterated,
        label: &str,
        unsolved: Unsolved,
        diff: &Diff,
        span: Span,
    ) -> Eval<(Value, Option<Value>)> {
        let (task, warm) = (&it.task, it.task.warm.as_deref());
        let Some((runner, last)) = it.runs.last() else { return Err(Stop::Poisoned) };
        let rule = matches!(runner, Runner::Rule(_));
        let x = self.conform(&p.tree, last.x.clone(), span, "the answer")?;
        let bound = self.real(code::NONFINITE)?;
        let sane = self.bin(BinaryOp::Lt, last.code, bound, span)?;
        let mut ends = last.code;
        if rule {
            // It was told how many steps to take.
            let done = self.real(code::CONVERGED)?;
            ends = self.bin(BinaryOp::Max, ends, done, span)?;
        }
        let first_start = it.runs.first().and_then(|(_, r)| r.start_dual.clone());
        let x = self.stored(&x, &it.start, sane, warm, span)?;
        let dual = match last.states.iter().find(|(n, _)| &**n == "dual").map(|(_, v)| v.clone()) {
            Some(d) => {
                let name = warm.map(|w| format!("{w} dual"));
                Some(match &first_start {
                    Some(before) => self.stored(&d, before, sane, name.as_deref(), span)?,
                    None => d,
                })
            }
            None => None,
        };
        // Checks are for the point that is handed on, measures for the one that was found.
        let mut conditions: Vec<(Num, String, Span)> = Vec::new();
        let mut residual = None;
        let mut dual = dual;
        if let Some(rest) = &task.rest {
            if let Some(y) = dual.take() {
                residual = Some(self.splitting_residual(task, rest, &x, &y, span)?);
                dual = (!p.constraints.is_empty()).then(|| self.named_multipliers(rest, &y));
            }
        } else if !task.smooth.stochastic {
            residual = match (&task.operator, &task.constraints, &dual) {
                (Some(_), _, _) => {
                    let r = self.apply_region(&task.smooth, &x, span)?;
                    Some(self.num(&r, span)?)
                }
                (None, Some(_), Some(d)) => Some(self.kkt_at(task, p, &x, d, span)?),
                (None, Some(_), None) => None,
                _ if task.prox.obstacle().is_none() => Some(self.natural_residual(&task.smooth, &task.prox, &x, span)?),
                _ => None,
            };
        }
        if !p.constraints.is_empty() && !task.smooth.stochastic {
            let holds = self.feasible(p, &x, span)?;
            if unsolved.goes_on() {
                let running = self.real(code::RUNNING)?;
                ends = self.emit(Op::Select, &[holds, ends, running], span)?;
            } else {
                let place = p.constraints.first().map_or(span, |c| c.expr.span);
                conditions.push((holds, format!("the constraints of this `{label}` do not hold at the point found"), place));
            }
        }
        let place = p.objective.span;
        if unsolved == Unsolved::Error {
            let running = self.real(code::RUNNING)?;
            let done = self.bin(BinaryOp::Ne, ends, running, span)?;
            let done = self.bin(BinaryOp::And, sane, done, span)?;
            // Where it is an error there is nothing to warn of.
            let told = self.real(code::CONVERGED)?;
            ends = self.bin(BinaryOp::Max, ends, told, span)?;
            conditions.push((done, format!("the iterations of this `{label}` did not converge"), place));
        } else {
            conditions.push((sane, format!("the iterations of this `{label}` ran away"), place));
        }
        let mut steps = self.int(0)?;
        for (_, ran) in &it.runs {
            steps = self.bin(BinaryOp::Add, steps, ran.steps, span)?;
        }
        let residual = match residual {
            Some(r) => r,
            None => self.real(f64::NAN)?,
        };
        let truncated = rule || matches!(diff, Diff::Unroll { last: Some(_) });
        let name: Arc<str> = Arc::from(format!("{label}{}", if truncated { TRUNCATED } else { "" }));
        let mut x = self.tallied(&x, name, ends, steps, residual, span)?;
        for (ok, text, at) in conditions {
            // Each has a place of its own, by which it is found again.
            let old = self.at(at);
            let text: Arc<str> = Arc::from(text);
            let checked = self.map_tree(&x, span, &mut |s, n| s.emit(Op::Check(text.clone()), &[n, ok], span));
            self.tracer.origin = old;
            x = checked?;
        }
        Ok((x, dual))
    }

    /// `v`, and how its solve ended is counted under that name.
    pub(super) fn tallied(&mut self, v: &Value, name: Arc<str>, ends: Num, steps: Num, residual: Num, span: Span) -> Eval<Value> {
        let mut first = true;
        self.map_tree(v, span, &mut |s, n| {
            if !std::mem::take(&mut first) {
                return Ok(n);
            }
            let mut held = [ends, steps, residual];
            for h in &mut held {
                *h = s.un(UnaryOp::StopGrad, *h, span)?;
            }
            s.emit(Op::Tally(name.clone()), &[n, held[0], held[1], held[2]], span)
        })
    }

    /// A method that compares values and gradients of an objective whose inner solves are cut short may stop at the wrong place.
    pub(super) fn warn_truncated(&mut self, split: &Split, runs: &[(Runner, Ran)], at: Span) {
        let Some(name) = runs.iter().find_map(|(r, _)| matches!(r, Runner::Method(_)).then(|| r.name())) else { return };
        let Some((what, origin)) = truncated(&split.smooth.graph) else { return };
        let place = span_of(origin);
        let mut d = Diagnostic::warning("W5004", at, format!("`{name}` needs exact gradients, and an inner solve is cut short"))
            .at("this solve")
            .help("let the inner problem converge (`by lbfgs`, `diff implicit`), or use a rule here: `by adam(lr = 0.01, steps = 200)`");
        if place.file.0 != 0 && place != at {
            d = d.label(place, format!("the {what} ends after a number of steps"));
        }
        self.warn(d);
    }

    fn feasible(&mut self, p: &Arc<Problem>, x: &Value, span: Span) -> Eval<Num> {
        let mut worst = self.real(0.0)?;
        for (_, v) in self.all_violations(p, x, span)? {
            worst = self.bin(BinaryOp::Max, worst, v, span)?;
        }
        let size = self.norm_tree(x, span)?;
        let one = self.real(1.0)?;
        let scale = self.bin(BinaryOp::Max, size, one, span)?;
        let most = self.real(self.tolerance(1e-9).max(FEASIBLE))?;
        let most = self.bin(BinaryOp::Mul, most, scale, span)?;
        self.bin(BinaryOp::Le, worst, most, span)
    }
}

/// An inner solve that is meant to end early, in a region.
fn truncated(g: &Graph) -> Option<(String, Origin)> {
    let live = g.live();
    g.nodes().filter(|(id, _)| live[id.index()]).find_map(|(_, n)| match &n.op {
        Op::Tally(name) => name.strip_suffix(TRUNCATED).map(|w| (w.to_string(), n.origin)),
        op => op.regions().iter().find_map(|r| truncated(r)),
    })
}

/// The name under which the solves of one place are remembered.
pub(super) fn slot(label: &str, at: Span) -> Arc<str> {
    Arc::from(format!("{label} {}:{}-{}", at.file.0, at.start, at.end))
}
