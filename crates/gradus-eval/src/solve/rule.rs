//! Running an update rule: gradient, step, projection, in one loop.

use super::method::{Carried, Ran, Task};
use crate::env::Env;
use crate::interp::Interp;
use crate::value::{CallArg, Eval, Num, RuleValue, Stop, Value};
use gradus_ir::{BinaryOp, DType, Dim, Op, UnaryOp};
use gradus_syntax::ast::StepStmt;
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// Settings that belong to the loop around a rule, given among the rule's own arguments.
pub const DRIVER_SETTINGS: &[&str] = &["steps", "tol"];

/// Steps of a rule where none are given.
const DEFAULT_STEPS: i64 = 1000;

/// A rule with its parameters bound, and the carried states of the loop that are its own.
struct Part {
    rule: Arc<RuleValue>,
    env: Env,
    /// Names of its states in the loop.
    states: Vec<Arc<str>>,
}

impl Interp<'_> {
    fn rule_parts(rule: &Arc<RuleValue>) -> Vec<Arc<RuleValue>> {
        match &**rule {
            RuleValue::Chain(parts) => parts.clone(),
            _ => vec![rule.clone()],
        }
    }

    /// A setting of the driver, looked for in every rule of a chain.
    fn rule_setting(rule: &Arc<RuleValue>, name: &str) -> Option<Value> {
        Self::rule_parts(rule).iter().find_map(|r| match &**r {
            RuleValue::Declared { settings, .. } => settings.iter().find(|(n, _)| &**n == name).map(|(_, v)| v.clone()),
            _ => None,
        })
    }

    pub fn run_rule(&mut self, rule: &Arc<RuleValue>, task: &Task) -> Eval<Ran> {
        let span = task.span;
        let top = match Self::rule_setting(rule, "steps") {
            Some(v) => Env::module(0).bind("steps", v),
            None => Env::module(0),
        };
        let limit: Dim = self.step_limit(&top, DEFAULT_STEPS, span)?;
        let tol = match Self::rule_setting(rule, "tol") {
            Some(v) => Some(self.num(&v, span)?),
            None => None,
        };
        let x0 = self.real_tree(&task.start, span)?;
        let mut carried = vec![Carried {
            name: Arc::from("x"),
            tree: self.type_tree(&x0, span)?,
            init: self.leaves(&x0, span)?,
        }];
        let mut parts = Vec::new();
        for (k, r) in Self::rule_parts(rule).into_iter().enumerate() {
            let RuleValue::Declared { decl, env, args, .. } = &*r else {
                continue;
            };
            let given: Vec<CallArg> =
                args.iter().map(|(n, v)| CallArg { name: Some(n.clone()), value: v.clone(), span }).collect();
            let (env, _) = self.bind_params(&decl.params, &given, env, &decl.name.name, span)?;
            let mut states = Vec::new();
            for (name, init) in &decl.states {
                let e = env.bind("x", x0.clone());
                let v = self.eval(init, &e)?;
                let v = self.spread(&v, &x0, span)?;
                let slot: Arc<str> = Arc::from(format!("{}#{k}", name.name));
                carried.push(Carried { name: slot.clone(), tree: self.type_tree(&v, span)?, init: self.leaves(&v, span)? });
                states.push(slot);
            }
            parts.push(Part { rule: r.clone(), env, states });
        }
        let label = rule_name(rule);
        let task_scope = Env::module(0);
        let step = &mut |s: &mut Self, scope: &Env| -> Eval<(Env, Option<Num>)> {
            let x = scope.local("x").cloned().ok_or(Stop::Poisoned)?;
            let t = scope.local("steps").cloned().ok_or(Stop::Poisoned)?;
            let total = s.total_objective(task);
            let (_, mut g) = s.value_and_gradient(&total, std::slice::from_ref(&x), 0, span)?;
            let mut out = scope.clone();
            for p in &parts {
                g = s.rule_step(p, &g, &x, &t, &mut out, span)?;
            }
            let (point, moved) = (s.type_tree(&x, span)?.describe(), s.type_tree(&g, span)?.describe());
            if !s.same_shapes(&x, &g, span)? {
                return Err(Diagnostic::error("E2012", span, format!("the step of `{label}` is `{moved}`, the unknown `{point}`"))
                    .at(format!("`{label}` runs here"))
                    .help("a step has the shape of the unknown, as the gradient has")
                    .into());
            }
            let mut x1 = s.arith(BinaryOp::Add, &x, &g, span, span, span)?;
            if let Some(set) = &task.set {
                x1 = s.project(set, &x1, span)?;
            }
            let stop = match tol {
                None => None,
                Some(tol) => {
                    let d = s.arith(BinaryOp::Sub, &x1, &x, span, span, span)?;
                    let n = s.norm_tree(&d, span)?;
                    Some(s.bin(BinaryOp::Le, n, tol, span)?)
                }
            };
            out = out.bind("x", x1);
            Ok((out, stop))
        };
        let mut promoted = false;
        let (last, steps, code, trace) =
            self.run_loop(&task_scope, &carried, "x", &label, limit.clone(), task, step, false, &mut promoted)?;
        let x = last.first().map(|(_, v)| v.clone()).ok_or(Stop::Poisoned)?;
        Ok(Ran { x, steps, code, limit, trace, start_dual: None, states: last, certificate: None })
    }

    /// The function whose gradient a rule follows: smooth part plus terms (their subgradient), without the set.
    fn total_objective(&mut self, task: &Task) -> Value {
        let smooth = task.smooth.clone();
        let h = task.prox.clone();
        Value::native("objective", move |s, args, span| {
            let x = s.one_arg(args, "the objective", span)?;
            let f = s.apply_region(&smooth, &x, span)?;
            let mut total = s.num(&f, span)?;
            let leaves = s.leaves(&x, span)?;
            for p in &h.parts {
                if matches!(p.term.kind, crate::value::TermKind::Indicator(_)) {
                    continue;
                }
                let arg = s.part_argument(p, &leaves, span)?;
                let mut v = s.term_value(&p.term, &arg, span)?;
                if let Some(c) = p.scale {
                    v = s.bin(BinaryOp::Mul, c, v, span)?;
                }
                total = s.bin(BinaryOp::Add, total, v, span)?;
            }
            Ok(Value::Num(total))
        })
    }

    /// Scalars fit everywhere.
    fn same_shapes(&mut self, x: &Value, g: &Value, span: Span) -> Eval<bool> {
        let (a, b) = (self.leaves(x, span)?, self.leaves(g, span)?);
        Ok(a.iter().zip(&b).all(|(a, b)| self.ty(*b).shape.is_scalar() || self.ty(*a).shape == self.ty(*b).shape))
    }

    /// A scalar state becomes one value per entry of the unknown.
    fn spread(&mut self, v: &Value, like: &Value, span: Span) -> Eval<Value> {
        let v = self.real_tree(v, span)?;
        match v {
            Value::Num(n) if self.ty(n).shape.is_scalar() => self.map_tree(like, span, &mut |s, leaf| {
                let shape = s.ty(leaf).shape;
                s.emit(Op::Broadcast(shape), &[n], span)
            }),
            other => Ok(other),
        }
    }

    fn rule_step(&mut self, p: &Part, g: &Value, x: &Value, t: &Value, out: &mut Env, span: Span) -> Eval<Value> {
        let RuleValue::Declared { decl, .. } = &*p.rule else { return Err(Stop::Poisoned) };
        let mut env = p.env.bind(decl.gradient.name.clone(), g.clone()).bind("x", x.clone()).bind("t", t.clone());
        for ((name, _), slot) in decl.states.iter().zip(&p.states) {
            let v = out.local(slot).cloned().ok_or(Stop::Poisoned)?;
            env = env.bind(name.name.clone(), v);
        }
        let mut step = None;
        for st in &decl.body {
            match st {
                StepStmt::Let(pat, ty, e) => env = self.eval_let(pat, ty.as_ref(), e, &env)?,
                StepStmt::Assign(name, e) => {
                    let v = self.eval(e, &env)?;
                    env = env.bind(name.name.clone(), v);
                }
                StepStmt::Step(e) => step = Some(self.eval(e, &env)?),
            }
        }
        for ((name, _), slot) in decl.states.iter().zip(&p.states) {
            let v = env.local(&name.name).cloned().ok_or(Stop::Poisoned)?;
            *out = out.bind(slot.clone(), v);
        }
        match step {
            Some(v) => self.map_tree(&v, span, &mut |s, n| {
                if s.ty(n).dtype == DType::Real { Ok(n) } else { s.un(UnaryOp::ToReal, n, span) }
            }),
            // The parser has complained of a rule without a step.
            None => Err(Stop::Poisoned),
        }
    }
}

pub fn rule_name(r: &RuleValue) -> String {
    match r {
        RuleValue::Declared { decl, .. } => decl.name.name.to_string(),
        RuleValue::Project => "project".into(),
        RuleValue::Chain(parts) => {
            let names: Vec<String> = parts.iter().map(|p| rule_name(p)).collect();
            names.join(" |> ")
        }
    }
}
