//! `min`, `argmin`, `max`, `argmax` as expressions: an inner solve, and the equation of its solution.
//!
//! The point has the derivative of the conditions of optimality: of the gradient, of the fixed point of a proximal step, or of the
//! conditions of Karush, Kuhn and Tucker. The value has that of the envelope theorem, and through the point beyond the first.

use super::implicit::{Diff, Equation};
use super::inner::Inner;
use super::method::Task;
use super::problem::Problem;
use super::prox::ProxPart;
use super::{decompose::Split, decompose::set_nums};
use crate::env::Env;
use crate::interp::Interp;
use crate::value::{Eval, Num, Stop, TermKind, Value};
use gradus_ir::{BinaryOp, Op, UnaryOp};
use gradus_syntax::Span;
use gradus_syntax::ast::{Optimize, Sense};
use std::sync::Arc;

impl Interp<'_> {
    /// `min x … of e` as an expression: its optimal value or point.
    pub(crate) fn eval_optimize(&mut self, o: &Arc<Optimize>, env: &Env, span: Span) -> Eval<Value> {
        let problem = Arc::new(self.make_problem(o, env, Arc::from("inner problem"), span)?);
        if o.arg && let Some(y) = self.stand_in(&problem)? {
            return Ok(y);
        }
        let label = match (o.arg, o.sense) {
            (true, Sense::Min) => "argmin",
            (true, Sense::Max) => "argmax",
            (false, Sense::Min) => "min",
            (false, Sense::Max) => "max",
        };
        let inner = self.solve_inner(&problem, &o.clauses, env, label, o.objective.span, span)?;
        let Inner { x, split, task, diff, unsolved, warm, .. } = &inner;
        let value = match diff {
            Diff::Unroll { .. } if o.arg => x.clone(),
            Diff::Unroll { .. } => self.apply_region(&split.objective, x, span)?,
            // A point that minibatches led to solves no equation that could be written down.
            Diff::Implicit { .. } if !split.stochastic => {
                let Diff::Implicit { linear, tolerance } = diff.clone() else { return Err(Stop::Poisoned) };
                let symmetric = split.prox.is_zero() && problem.constraints.is_empty();
                let (unsolved, warm) = (*unsolved, warm.clone());
                let eq = Equation { label, symmetric, linear, tolerance, unsolved, warm, at: o.objective.span, span };
                // Terms of linear maps that a splitting method took apart have no one proximal step.
                let parted = task.rest.is_some() && !split.mapped.is_empty();
                let solved = if parted { None } else { self.optimality(&problem, split, inner.dual.as_ref(), x, &eq)? };
                match solved {
                    Some((x, _)) if o.arg => x,
                    Some((x, dual)) => self.optimal_value(&problem, split, &x, dual.as_ref(), span)?,
                    None => {
                        let plain = self.plain(o.arg, task, x, span)?;
                        self.without_derivative(&plain, span)?
                    }
                }
            }
            Diff::None | Diff::Implicit { .. } => {
                let plain = self.plain(o.arg, task, x, span)?;
                if let Diff::None = diff { self.held_still(&plain, span)? } else { self.without_derivative(&plain, span)? }
            }
        };
        if !o.arg || problem.unknowns.len() == 1 {
            return Ok(value);
        }
        Ok(Value::record(problem.unknowns.iter().filter_map(|n| value.field(n).map(|v| (n.clone(), v.clone()))).collect()))
    }

    /// The point, or the objective there.
    fn plain(&mut self, point: bool, task: &Task, x: &Value, span: Span) -> Eval<Value> {
        if point {
            return Ok(x.clone());
        }
        Ok(Value::Num(self.objective_value(task, x, span)?))
    }

    fn without_derivative(&mut self, v: &Value, span: Span) -> Eval<Value> {
        self.map_tree(v, span, &mut |s, n| s.emit(Op::NoGrad(Arc::from("this inner problem")), &[n], span))
    }

    /// The point (and its multipliers) as the solution of the conditions of optimality; none where these are not at hand.
    fn optimality(
        &mut self,
        p: &Arc<Problem>,
        split: &Split,
        dual: Option<&Value>,
        x: &Value,
        eq: &Equation<'_>,
    ) -> Eval<Option<(Value, Option<Value>)>> {
        let span = eq.span;
        if split.prox.obstacle().is_some() {
            return Ok(None);
        }
        let smooth = split.smooth.clone().value();
        let prox = split.prox_fn();
        let t = if prox.is_zero() { self.real(1.0)? } else { self.natural_step(&smooth, x, span)? };
        let target = |s: &mut Interp<'_>, g: &Value, x: &Value| -> Eval<Value> {
            let g = s.arith(BinaryOp::Mul, &Value::Num(t), g, span, span, span)?;
            s.arith(BinaryOp::Sub, x, &g, span, span, span)
        };
        let step = |s: &mut Interp<'_>, g: Value, x: &Value| -> Eval<Value> {
            if prox.is_zero() {
                return Ok(g);
            }
            let v = target(s, &g, x)?;
            let moved = s.prox_apply(&prox, &v, t, span)?;
            s.arith(BinaryOp::Sub, x, &moved, span, span, span)
        };
        // What may have a kink, with `e` added to the argument of each: the gradient, the proximal step.
        let bent = |s: &mut Interp<'_>, f: &Value, x: &Value, e: &Value| -> Eval<Value> {
            let there = s.arith(BinaryOp::Add, x, e, span, span, span)?;
            let (_, g) = s.value_and_gradient(f, &[there], 0, span)?;
            if prox.is_zero() {
                return Ok(g);
            }
            let (_, here) = s.value_and_gradient(f, std::slice::from_ref(x), 0, span)?;
            let v = target(s, &here, x)?;
            let v = s.arith(BinaryOp::Add, &v, e, span, span, span)?;
            Ok(Value::list(vec![g, s.prox_apply(&prox, &v, t, span)?]))
        };
        if p.constraints.is_empty() {
            let mut kink = |s: &mut Interp<'_>, x: &Value, e: &Value| bent(s, &smooth, x, e);
            let y = self.attach(
                x,
                eq,
                &mut |s, x| {
                    let (_, g) = s.value_and_gradient(&smooth, std::slice::from_ref(x), 0, span)?;
                    step(s, g, x)
                },
                Some(&mut kink),
            )?;
            return Ok(Some((y, None)));
        }
        let Some(dual) = dual else { return Ok(None) };
        let both = Value::list(vec![x.clone(), dual.clone()]);
        let pair = |v: &Value| match v {
            Value::List(l) if l.len() == 2 => Ok((l[0].clone(), l[1].clone())),
            _ => Err(Stop::Poisoned),
        };
        let mut kink = |s: &mut Interp<'_>, v: &Value, e: &Value| -> Eval<Value> {
            let ((x, dual), (ex, ed)) = (pair(v)?, pair(e)?);
            let first = bent(s, &s.lagrangian(&split.smooth, p, &dual), &x, &ex)?;
            // An inequality that holds exactly and has a zero multiplier is neither active nor inactive.
            let r = s.residuals(p, &x)?;
            let mut all = vec![first];
            for (n, g) in r.ineq {
                let part = |d: &Value| d.field("ineq").and_then(|d| d.field(&n)).cloned().ok_or(Stop::Poisoned);
                let sum = s.arith(BinaryOp::Add, &part(&dual)?, &g, span, span, span)?;
                let sum = s.arith(BinaryOp::Add, &sum, &part(&ed)?, span, span, span)?;
                let zero = Value::Num(s.real(0.0)?);
                all.push(s.arith(BinaryOp::Max, &sum, &zero, span, span, span)?);
            }
            Ok(Value::list(all))
        };
        let mut residual = |s: &mut Interp<'_>, v: &Value| -> Eval<Value> {
            let (x, dual) = &pair(v)?;
            let lagrangian = s.lagrangian(&split.smooth, p, dual);
            let (_, g) = s.value_and_gradient(&lagrangian, std::slice::from_ref(x), 0, span)?;
            let first = step(s, g, x)?;
            let r = s.residuals(p, x)?;
            let mut ineq = Vec::new();
            for (n, g) in r.ineq {
                // max(m + g, 0) = m says: m >= 0, g <= 0, m g = 0.
                let Some(m) = dual.field("ineq").and_then(|d| d.field(&n)).cloned() else { return Err(Stop::Poisoned) };
                let sum = s.arith(BinaryOp::Add, &m, &g, span, span, span)?;
                let zero = Value::Num(s.real(0.0)?);
                let held = s.arith(BinaryOp::Max, &sum, &zero, span, span, span)?;
                ineq.push((n, s.arith(BinaryOp::Sub, &m, &held, span, span, span)?));
            }
            let rest = Value::record(vec![(Arc::from("eq"), Value::record(r.eq)), (Arc::from("ineq"), Value::record(ineq))]);
            Ok(Value::list(vec![first, rest]))
        };
        let solved = self.attach(&both, eq, &mut residual, Some(&mut kink))?;
        let (x, dual) = pair(&solved)?;
        Ok(Some((x, Some(dual))))
    }

    /// A step of the size of the inverse of the Hessian, so that a proximal step tells active from inactive parts.
    fn natural_step(&mut self, smooth: &Value, x: &Value, span: Span) -> Eval<Num> {
        let x = self.held_still(x, span)?;
        let ones = self.filled_like(&x, 1.0, span)?;
        let h = self.hessian_vector(smooth, &x, &ones, span)?;
        let (a, b) = (self.norm_tree(&ones, span)?, self.norm_tree(&h, span)?);
        let (zero, one) = (self.real(0.0)?, self.real(1.0)?);
        let flat = self.bin(BinaryOp::Gt, b, zero, span)?;
        let t = self.bin(BinaryOp::Div, a, b, span)?;
        let t = self.emit(Op::Select, &[flat, t, one], span)?;
        self.un(UnaryOp::StopGrad, t, span)
    }

    /// The objective at the solution, with the derivative of the envelope theorem.
    fn optimal_value(
        &mut self,
        p: &Arc<Problem>,
        split: &Split,
        x: &Value,
        dual: Option<&Value>,
        span: Span,
    ) -> Eval<Value> {
        // A set that moves with a parameter moves the value beyond what the objective tells.
        if split.prox.parts.iter().any(|part| self.moves(part)) {
            return self.apply_region(&split.objective, x, span);
        }
        let passed = |s: &mut Self, v: &Value| s.map_tree(v, span, &mut |s, n| s.emit(Op::Stationary, &[n], span));
        let x = passed(self, x)?;
        let value = self.apply_region(&split.objective, &x, span)?;
        let Some(dual) = dual else { return Ok(value) };
        let dual = passed(self, dual)?;
        let value = self.num(&value, span)?;
        // The multipliers' share is zero at the solution; its derivative is not.
        let share = self.weighted_constraints(p, &x, &dual, span)?;
        let still = self.un(UnaryOp::StopGrad, share, span)?;
        let share = self.bin(BinaryOp::Sub, share, still, span)?;
        let op = if p.sense == Sense::Min { BinaryOp::Add } else { BinaryOp::Sub };
        Ok(Value::Num(self.bin(op, value, share, span)?))
    }

    /// Is it a set with a parameter that is neither constant nor known before the solve?
    fn moves(&self, part: &ProxPart) -> bool {
        let TermKind::Indicator(s) = &part.term.kind else { return false };
        let mut nums = Vec::new();
        set_nums(s, &mut nums);
        if let Some((a, b)) = &part.affine {
            nums.push(*a);
            nums.extend(*b);
        }
        nums.iter().any(|n| !self.tracer.is_session(*n) && self.tracer.graph_of(*n).is_none_or(|g| g.constant(n.id).is_none()))
    }
}
