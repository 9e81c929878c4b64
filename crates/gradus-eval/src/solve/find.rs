//! `find t in (lo, hi) of F`: the root of a monotone function of one number, for every entry of a batch at once.

use super::implicit::{Diff, Equation, Linear};
use crate::env::Env;
use crate::interp::Interp;
use crate::value::{Eval, Num, Stop, Value};
use gradus_ir::{BinaryOp, DType, Dim, Loop, Op, Shape, Trip, Ty, UnaryOp};
use gradus_syntax::ast::{ExprKind, Find};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// Halvings of the bracket: the width falls by 2^-100, below the spacing of floats around any root that is not zero.
const HALVINGS: i64 = 100;

impl Interp<'_> {
    pub(crate) fn eval_find(&mut self, f: &Arc<Find>, env: &Env, span: Span) -> Eval<Value> {
        let bracket = match f.unknowns.as_slice() {
            [u] => u.set.as_ref().and_then(|s| match &*s.kind {
                ExprKind::Tuple(ends) => Some((u, s, ends)),
                _ => None,
            }),
            _ => None,
        };
        let Some((u, set, ends)) = bracket else { return self.eval_equilibrium(f, env, span) };
        if let Some(c) = &f.clauses.by {
            return Err(no_choice(c.span, "a bracketed root is found by bisection, there is nothing to choose"));
        }
        let (diff, unsolved) = self.diff_clause(f.clauses.diff.as_ref(), env)?;
        let [lo, hi] = ends.as_slice() else {
            return Err(Diagnostic::error("E5004", set.span, "a bracket has two ends: `(lo, hi)`")
                .at("these are not two").into());
        };
        let (a, b) = (self.eval(lo, env)?, self.eval(hi, env)?);
        let (a, b) = (self.num(&a, lo.span)?, self.num(&b, hi.span)?);
        let shape = Shape::broadcast(&self.ty(a).shape, &self.ty(b).shape).map_err(|_| {
            Stop::from(
                Diagnostic::error("E2007", set.span, "the ends of the bracket have different shapes")
                    .label(lo.span, format!("this is `{}`", self.ty(a)))
                    .label(hi.span, format!("this is `{}`", self.ty(b))),
            )
        })?;
        let a = self.spread_real(a, &shape, span)?;
        let b = self.spread_real(b, &shape, span)?;
        let name = u.name.name.clone();
        let value = |s: &mut Interp<'_>, t: Num| -> Eval<Num> {
            let e = env.bind(name.clone(), Value::Num(t));
            let v = s.eval(&f.operator, &e)?;
            let n = s.num(&v, f.operator.span)?;
            if s.ty(n).shape != shape {
                return Err(Diagnostic::error(
                    "E5005",
                    f.operator.span,
                    format!("the function gives `{}` for an unknown of shape `{shape}`", s.ty(n)),
                )
                .help("a batch of roots needs one value for each entry of the bracket")
                .into());
            }
            Ok(n)
        };
        let (fa, fb) = (value(self, a)?, value(self, b)?);
        let zero = self.real(0.0)?;
        // Rising where the value at the lower end is not positive.
        let rising = self.bin(BinaryOp::Le, fa, fb, span)?;
        let real = Ty::real(shape.clone());
        let region = self.region(&[Ty::scalar(DType::Int), real.clone(), real], span, |s, p| {
            let [_, lo, hi] = p else { return Err(Stop::Poisoned) };
            let half = s.real(0.5)?;
            let l = s.bin(BinaryOp::Mul, half, *lo, span)?;
            let h = s.bin(BinaryOp::Mul, half, *hi, span)?;
            let mid = s.bin(BinaryOp::Add, l, h, span)?;
            let v = value(s, mid)?;
            let zero = s.real(0.0)?;
            let below_up = s.bin(BinaryOp::Lt, v, zero, span)?;
            let below_down = s.bin(BinaryOp::Gt, v, zero, span)?;
            let left = s.emit(Op::Select, &[rising, below_up, below_down], span)?;
            let new_lo = s.emit(Op::Select, &[left, mid, *lo], span)?;
            let new_hi = s.emit(Op::Select, &[left, *hi, mid], span)?;
            Ok(vec![new_lo, new_hi])
        })?;
        let mut inputs = vec![a, b];
        inputs.extend(region.captures.iter().copied());
        let l = Loop {
            trip: Trip::Count(Dim::Known(HALVINGS)),
            carries: 2,
            scanned: 0,
            collected: 0,
            cond: None,
            body: Arc::new(region.graph),
            label: Arc::from("find"),
        };
        let node = self.emit(Op::Loop(Box::new(l)), &inputs, span)?;
        let root = self.emit(Op::Get(2), &[node], span)?;
        // No change of sign: no root, and no number that looks like one.
        let prod = self.bin(BinaryOp::Mul, fa, fb, span)?;
        let ok = self.bin(BinaryOp::Le, prod, zero, span)?;
        let nan = self.real(f64::NAN)?;
        let root = self.emit(Op::Select, &[ok, root, nan], span)?;
        let root = Value::Num(root);
        match diff {
            Diff::None => self.held_still(&root, span),
            Diff::Unroll { .. } => Err(no_choice(span, "the halvings of a bracketed root have no derivative to unroll")),
            Diff::Implicit { tolerance, linear } => {
                let linear = if let Linear::Auto = linear { Linear::Diagonal } else { linear };
                let at = f.operator.span;
                let eq = Equation { label: "find", symmetric: true, linear, tolerance, unsolved, warm: None, at, span };
                let mut residual = |s: &mut Interp<'_>, t: &Value| {
                    let t = s.num(t, span)?;
                    Ok(Value::Num(value(s, t)?))
                };
                let mut kink = |s: &mut Interp<'_>, t: &Value, e: &Value| {
                    let there = s.arith(BinaryOp::Add, t, e, span, span, span)?;
                    let there = s.num(&there, span)?;
                    Ok(Value::Num(value(s, there)?))
                };
                self.attach(&root, &eq, &mut residual, Some(&mut kink))
            }
        }
    }

    fn spread_real(&mut self, n: Num, shape: &Shape, span: Span) -> Eval<Num> {
        let n = self.un(UnaryOp::ToReal, n, span)?;
        self.emit(Op::Broadcast(shape.clone()), &[n], span)
    }
}

fn no_choice(span: Span, what: &str) -> Stop {
    Diagnostic::error("E5003", span, what.to_string())
        .at("leave this clause out")
        .help("the derivative comes from the equation, `diff implicit`")
        .into()
}
