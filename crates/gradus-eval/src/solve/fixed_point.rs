//! `fix x from x0 of e`: the fixed point of `e`, found by an iteration of the library, with the derivative of its equation.

use super::implicit::{Diff, Equation, Unsolved};
use super::inner::slot;
use crate::env::Env;
use crate::interp::Interp;
use crate::value::{Eval, Stop, Value};
use gradus_ir::{BinaryOp, Op, UnaryOp};
use gradus_syntax::ast::Fix;
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// A map that moves the point less than this (relative to it) has settled.
const SETTLED: f64 = 1e-8;

impl Interp<'_> {
    pub(crate) fn eval_fix(&mut self, f: &Arc<Fix>, env: &Env, span: Span) -> Eval<Value> {
        let start = self.eval(&f.init, env)?;
        let start = self.real_tree(&start, f.init.span)?;
        let (diff, unsolved) = self.diff_clause(f.clauses.diff.as_ref(), env)?;
        let by = match &f.clauses.by {
            Some(e) => self.left_out(e, env)?,
            None => self.library_function("fixed_points", "picard", span)?,
        };
        let want = self.type_tree(&start, f.init.span)?;
        let (fix, scope) = (f.clone(), env.clone());
        let map = Value::native("map", move |s, args, _| {
            let x = s.one_arg(args, "the map", span)?;
            let env = s.bind_pattern(&fix.unknown, x, &scope, fix.init.span)?;
            let v = s.eval(&fix.body, &env)?;
            let v = s.real_tree(&v, fix.body.span)?;
            let (found, leaves) = (s.type_tree(&v, fix.body.span)?, s.leaves(&v, fix.body.span)?);
            let shapes = want.leaves();
            if leaves.len() != shapes.len() || leaves.iter().zip(&shapes).any(|(a, t)| s.ty(*a).shape != t.shape) {
                return Err(Diagnostic::error("E5005", fix.body.span, format!("the map gives `{}` for an unknown `{}`", found.describe(), want.describe()))
                    .at("a map into itself keeps the shape of its argument")
                    .label(fix.init.span, "the unknown starts here")
                    .into());
            }
            Ok(v)
        });
        let free = !matches!(diff, Diff::Unroll { .. });
        let warm = f.clauses.warm.unwrap_or(free).then(|| slot("fix", f.body.span));
        let start = self.recalled(&start, warm.as_deref(), span)?;
        let x = self.on_vectors(&map, &start, span, |s, g, x0| s.call_values(&by, &[g, x0], span))?;
        let x = self.conform(&self.type_tree(&start, f.init.span)?, x, span, "the fixed point")?;
        let old = self.at(f.body.span);
        let x = self.settled_fix(&map, &x, &start, unsolved, warm.as_deref(), span);
        self.tracer.origin = old;
        let x = x?;
        match diff {
            Diff::Unroll { last: Some(_) } => Err(Diagnostic::error("E5007", span, "the iterations of `fix` are not cut: `last` is for `argmin`")
                .at("write `diff unroll`, or better `diff implicit`")
                .into()),
            Diff::Unroll { last: None } => Ok(x),
            Diff::None => self.held_still(&x, span),
            Diff::Implicit { linear, tolerance } => {
                let eq = Equation { label: "fix", symmetric: false, linear, tolerance, unsolved, warm, at: f.body.span, span };
                let mut kink = |s: &mut Interp<'_>, x: &Value, e: &Value| {
                    let there = s.arith(BinaryOp::Add, x, e, span, span, span)?;
                    s.call_values(&map, &[there], span)
                };
                let mut residual = |s: &mut Interp<'_>, x: &Value| {
                    let y = s.call_values(&map, std::slice::from_ref(x), span)?;
                    s.arith(BinaryOp::Sub, x, &y, span, span, span)
                };
                self.attach(&x, &eq, &mut residual, Some(&mut kink))
            }
        }
    }

    /// The point counted and remembered; it is settled where the map moves it no further than its accuracy.
    fn settled_fix(&mut self, map: &Value, x: &Value, start: &Value, unsolved: Unsolved, warm: Option<&str>, span: Span) -> Eval<Value> {
        let y = self.call_values(map, std::slice::from_ref(x), span)?;
        let off = self.arith(BinaryOp::Sub, x, &y, span, span, span)?;
        let (off, size) = (self.norm_tree(&off, span)?, self.norm_tree(&y, span)?);
        let one = self.real(1.0)?;
        let scale = self.bin(BinaryOp::Add, one, size, span)?;
        let relative = self.bin(BinaryOp::Div, off, scale, span)?;
        let most = self.real(self.tolerance(SETTLED))?;
        let ok = self.bin(BinaryOp::Le, relative, most, span)?;
        let sane = self.un(UnaryOp::IsFinite, off, span)?;
        let ends = match unsolved {
            Unsolved::Error => self.real(1.0)?,
            _ => self.un(UnaryOp::ToReal, ok, span)?,
        };
        let x = self.stored(x, start, sane, warm, span)?;
        let unknown = self.real(f64::NAN)?;
        let x = self.tallied(&x, Arc::from("fix"), ends, unknown, relative, span)?;
        let (ok, text) = match unsolved {
            Unsolved::Error => (ok, "the iterations of this `fix` did not converge"),
            _ => (sane, "the iterations of this `fix` ran away"),
        };
        self.map_tree(&x, span, &mut |s, n| s.emit(Op::Check(Arc::from(text)), &[n, ok], span))
    }

    /// A function of the library with its first arguments left out, as in `by anderson(memory = 5)`.
    fn left_out(&mut self, e: &gradus_syntax::ast::Expr, env: &Env) -> Eval<Value> {
        match self.partial_call(e, env)? {
            Some(f) => Ok(f),
            None => Err(Stop::from(
                Diagnostic::error("E5008", e.span, "an iteration is a function of the map and the start")
                    .at("this is none")
                    .help("write `picard(steps = 100)`, `anderson(memory = 5)`, or a function `(g, x0) -> …`"),
            )),
        }
    }
}
