//! `min`, `argmin`, `max`, `argmax` as expressions: an inner solve, and the equation of its solution.
//!
//! The point has the derivative of the conditions of optimality: of the gradient, of the fixed point of a proximal step, or of the
//! conditions of Karush, Kuhn and Tucker. The value has that of the envelope theorem, and through the point beyond the first.

use super::driver::{Request, Runner};
use super::implicit::{Diff, Equation};
use super::method::{Recorded, code};
use super::problem::Problem;
use super::prox::ProxPart;
use super::report::Finished;
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
        let diff = self.diff_clause(o.clauses.diff.as_ref(), env)?;
        let mut stages = Vec::new();
        if let Some(by) = &problem.by {
            stages.push((self.eval(by, env)?, by.span));
        }
        self.one_level(&stages)?;
        let r = Request { problem: problem.clone(), stages, start: None, until: None, trace: Recorded::Nothing, samples: None, span };
        let (fin, split) = self.run_stages(&r)?;
        let label = match (o.arg, o.sense) {
            (true, Sense::Min) => "argmin",
            (true, Sense::Max) => "argmax",
            (false, Sense::Min) => "min",
            (false, Sense::Max) => "max",
        };
        // A place of its own, by which a check that fails is found again.
        let old = self.at(o.objective.span);
        let x = self.settled_point(&fin, label, span);
        self.tracer.origin = old;
        let x = x?;
        let plain = if o.arg { x.clone() } else { Value::Num(fin.value) };
        let value = match diff {
            Diff::Unroll if o.arg => x,
            Diff::Unroll => self.apply_region(&split.objective, &x, span)?,
            Diff::None => self.held_still(&plain, span)?,
            // A point that minibatches led to solves no equation that could be written down.
            _ if split.stochastic => self.without_derivative(&plain, span)?,
            Diff::Implicit { linear, tolerance } => {
                let symmetric = split.prox.is_zero() && problem.constraints.is_empty();
                let eq = Equation { label, symmetric, linear, tolerance, span };
                match self.optimality(&problem, &split, &fin, &x, &eq)? {
                    Some((x, _)) if o.arg => x,
                    Some((x, dual)) => self.optimal_value(&problem, &split, &x, dual.as_ref(), span)?,
                    None => self.without_derivative(&plain, span)?,
                }
            }
        };
        if !o.arg || problem.unknowns.len() == 1 {
            return Ok(value);
        }
        Ok(Value::record(problem.unknowns.iter().filter_map(|n| value.field(n).map(|v| (n.clone(), v.clone()))).collect()))
    }

    fn without_derivative(&mut self, v: &Value, span: Span) -> Eval<Value> {
        self.map_tree(v, span, &mut |s, n| s.emit(Op::NoGrad(Arc::from("this inner problem")), &[n], span))
    }

    /// The point, or NaN where the inner iterations ran away.
    pub(super) fn settled_point(&mut self, fin: &Finished, label: &str, span: Span) -> Eval<Value> {
        let Some((_, last)) = fin.runs.last() else { return Err(Stop::Poisoned) };
        let bound = self.real(code::NONFINITE)?;
        let ok = self.bin(BinaryOp::Lt, last.code, bound, span)?;
        let text: Arc<str> = Arc::from(format!("the iterations of this `{label}` ran away"));
        self.map_tree(&fin.x, span, &mut |s, n| s.emit(Op::Check(text.clone()), &[n, ok], span))
    }

    /// The point (and its multipliers) as the solution of the conditions of optimality; none where these are not at hand.
    fn optimality(
        &mut self,
        p: &Arc<Problem>,
        split: &Split,
        fin: &Finished,
        x: &Value,
        eq: &Equation<'_>,
    ) -> Eval<Option<(Value, Option<Value>)>> {
        let span = eq.span;
        let parted = matches!(fin.runs.last(), Some((Runner::Method(m), _)) if m.decl.form.rest.is_some());
        if split.prox.obstacle().is_some() || parted && !split.mapped.is_empty() {
            return Ok(None);
        }
        let smooth = split.smooth.clone().value();
        let prox = split.prox_fn();
        let t = if prox.is_zero() { self.real(1.0)? } else { self.natural_step(&smooth, x, span)? };
        let step = move |s: &mut Interp<'_>, g: Value, x: &Value| -> Eval<Value> {
            if prox.is_zero() {
                return Ok(g);
            }
            let g = s.arith(BinaryOp::Mul, &Value::Num(t), &g, span, span, span)?;
            let v = s.arith(BinaryOp::Sub, x, &g, span, span, span)?;
            let moved = s.prox_apply(&prox, &v, t, span)?;
            s.arith(BinaryOp::Sub, x, &moved, span, span, span)
        };
        if p.constraints.is_empty() {
            let y = self.attach(x, eq, &mut |s, x| {
                let (_, g) = s.value_and_gradient(&smooth, std::slice::from_ref(x), 0, span)?;
                step(s, g, x)
            })?;
            return Ok(Some((y, None)));
        }
        let Some(dual) = &fin.dual else { return Ok(None) };
        let both = Value::list(vec![x.clone(), dual.clone()]);
        let solved = self.attach(&both, eq, &mut |s, v| {
            let Value::List(parts) = v else { return Err(Stop::Poisoned) };
            let [x, dual] = parts.as_slice() else { return Err(Stop::Poisoned) };
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
        })?;
        match &solved {
            Value::List(l) => match l.as_slice() {
                [x, dual] => Ok(Some((x.clone(), Some(dual.clone())))),
                _ => Err(Stop::Poisoned),
            },
            _ => Err(Stop::Poisoned),
        }
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
