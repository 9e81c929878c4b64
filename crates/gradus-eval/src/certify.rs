//! `certify s: kkt <= 1e-8`: the quantity is computed again from the solution and the data by the reference interpreter,
//! which shares nothing with the executor that solved the problem.

use crate::env::Env;
use crate::interp::{Interp, Mode};
use crate::value::{Eval, Num, Value};
use gradus_syntax::ast::{Expr, ExprKind};
use gradus_syntax::{Diagnostic, Span};

impl Interp<'_> {
    pub(crate) fn certify(&mut self, e: &Expr, conditions: &[Expr], env: &Env) -> Eval<()> {
        let record = self.eval(e, env)?;
        for c in conditions {
            let ExprKind::Compare(operands, ops) = &*c.kind else {
                return Err(not_a_condition(c.span));
            };
            let ([q, bound], [_]) = (operands.as_slice(), ops.as_slice()) else { return Err(not_a_condition(c.span)) };
            let ExprKind::Name(name) = &*q.kind else { return Err(not_a_condition(c.span)) };
            let Some(Value::Num(n)) = record.field(&name.name).cloned() else {
                let have: Vec<&str> = match &record {
                    Value::Record(f) => f.iter().map(|(n, _)| &**n).filter(|n| ["gap", "kkt", "certificate", "feasible", "value"].contains(n)).collect(),
                    _ => Vec::new(),
                };
                return Err(Diagnostic::error("E3033", name.span, format!("this solution has no `{}` to certify", name.name))
                .at("not measured")
                    .note(format!("it has {}", if have.is_empty() { "none".to_string() } else { have.join(", ") }))
                    .into());
            };
            if self.mode == Mode::Check {
                self.eval(bound, env)?;
                continue;
            }
            let again = self.recompute(n, q.span)?;
            let scope = env.bind(name.name.clone(), Value::Num(self.real(again)?));
            let v = self.eval(c, &scope)?;
            let t = self.num(&v, c.span)?;
            if self.force(t)?.as_scalar() != Some(1.0) {
                return Err(Diagnostic::error("E8002", c.span, "the certificate does not hold")
                    .at(format!("`{}` is {again:e} when computed again", name.name))
                    .into());
            }
        }
        Ok(())
    }

    /// A session value from the values it is made of, by the reference interpreter.
    pub fn recompute(&mut self, n: Num, span: Span) -> Eval<f64> {
        let known = self.known.remove(&n.id);
        let built = self.closed_graph(&[n.id]);
        if let Some(a) = known {
            self.known.insert(n.id, a);
        }
        let (graph, inputs) = built?;
        let outs = gradus_ir::reference::run(&graph, &inputs)
            .map_err(|e| Diagnostic::error("E9007", span, format!("internal error in the reference interpreter: {e}")))?;
        outs.first().and_then(|a| a.as_scalar()).ok_or_else(|| not_a_condition(span))
    }
}

fn not_a_condition(span: Span) -> crate::value::Stop {
    Diagnostic::error("E3034", span, "a certificate is a comparison of a measured quantity: `kkt <= 1e-8`")
        .at("not of that form")
        .help("quantities are `gap`, `kkt`, `certificate`, `feasible` and `value`")
        .into()
}
