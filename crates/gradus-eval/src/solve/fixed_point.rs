//! `fix x from x0 of e`: the fixed point of `e`, found by an iteration of the library, with the derivative of its equation.

use super::implicit::{Diff, Equation};
use crate::env::Env;
use crate::interp::Interp;
use crate::value::{Eval, Stop, Value};
use gradus_ir::BinaryOp;
use gradus_syntax::ast::Fix;
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

impl Interp<'_> {
    pub(crate) fn eval_fix(&mut self, f: &Arc<Fix>, env: &Env, span: Span) -> Eval<Value> {
        let start = self.eval(&f.init, env)?;
        let start = self.real_tree(&start, f.init.span)?;
        let diff = self.diff_clause(f.clauses.diff.as_ref(), env)?;
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
        let x = self.on_vectors(&map, &start, span, |s, g, x0| s.call_values(&by, &[g, x0], span))?;
        let x = self.conform(&self.type_tree(&start, f.init.span)?, x, span, "the fixed point")?;
        match diff {
            Diff::Unroll => Ok(x),
            Diff::None => self.held_still(&x, span),
            Diff::Implicit { linear, tolerance } => {
                let eq = Equation { label: "fix", symmetric: false, linear, tolerance, span };
                self.attach(&x, &eq, &mut |s, x| {
                    let y = s.call_values(&map, std::slice::from_ref(x), span)?;
                    s.arith(BinaryOp::Sub, x, &y, span, span, span)
                })
            }
        }
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
