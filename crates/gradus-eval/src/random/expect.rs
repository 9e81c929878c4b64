//! `expect z ~ D by S of e`: the strategies of the choices are applied from the outside in, each to what follows it.
//!
//! A strategy is a function `(d, key, rest)` of the library or the script: `rest` is the remainder of the expression as a function of the
//! value of this choice. What a strategy returns has the expectation as its mean, and as the mean of its derivative the derivative.

use super::choices::Line;
use super::dist::Dist;
use crate::env::Env;
use crate::interp::Interp;
use crate::value::{CallArg, Eval, Fields, Num, Stop, Value};
use gradus_ir::{BinaryOp, Dim, Op, ReduceOp};
use gradus_syntax::ast::{Expect, Expr, ExprKind, ModelDecl};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// The remainder of an expectation, from the value of a choice on.
type Rest = Arc<dyn Fn(&mut Interp<'_>, Value) -> Eval<Value> + Send + Sync>;

impl Interp<'_> {
    pub(crate) fn eval_expect(&mut self, x: &Arc<Expect>, env: &Env, span: Span) -> Eval<Value> {
        // Outermost, and several runs are wanted.
        if let (Some(base), Some(runs)) = (self.step_key, self.draws.samples.take()) {
            let out = self.mean_of_runs(x, env, base, &runs, span);
            self.draws.samples = Some(runs);
            let out = out?;
            self.note_estimate(&out, base, span)?;
            return Ok(out);
        }
        let out = self.expect_once(x, env, span)?;
        if let Some(key) = self.step_key {
            self.note_estimate(&out, key, span)?;
        }
        Ok(out)
    }

    fn mean_of_runs(&mut self, x: &Arc<Expect>, env: &Env, base: Num, runs: &Dim, span: Span) -> Eval<Value> {
        self.batch_sites += 1;
        let site = self.int(self.batch_sites as i64)?;
        let base = self.emit(Op::KeyFold, &[base, site], span)?;
        let all = self.many_runs(runs, base, span, &mut |s| s.expect_once(x, env, span))?;
        let n = self.dim_num(runs)?;
        self.map_tree(&all, span, &mut |s, v| {
            let total = s.emit(Op::Reduce(ReduceOp::Sum, vec![0]), &[v], span)?;
            s.bin(BinaryOp::Div, total, n, span)
        })
    }

    fn expect_once(&mut self, x: &Arc<Expect>, env: &Env, span: Span) -> Eval<Value> {
        let d = self.eval_dist(&x.dist, env)?;
        if let Value::Minibatch(m) = &d {
            let batch = self.batch_of(m, x.dist.span, span)?;
            let env = self.bind_pattern(&x.pattern, batch, env, x.dist.span)?;
            return self.eval(&x.body, &env);
        }
        let d = self.as_dist(&d, x.dist.span)?;
        let how = match &x.strategy {
            Some(e) => Some(self.strategy(e, env)?),
            None => None,
        };
        let (inner, e) = (env.clone(), x.clone());
        let before = self.drawing.len();
        let rest: Rest = Arc::new(move |s, v| {
            let env = s.bind_pattern(&e.pattern, v, &inner, e.dist.span)?;
            s.eval(&e.body, &env)
        });
        let out = self.expect_over(&d, how.as_ref(), rest, x.dist.span);
        self.drawing.truncate(before);
        out
    }

    /// `by score`, `by score(baseline = 1)`: a function of the distribution, the key and the rest, which a call leaves out.
    fn strategy(&mut self, e: &Expr, env: &Env) -> Eval<Value> {
        let env = env.for_chances();
        let made = match &*e.kind {
            ExprKind::Call(callee, args) => {
                let f = self.eval(callee, &env)?;
                let more = self.eval_args(args, &env)?;
                let at = e.span;
                match f {
                    Value::Fn(_) => Value::native("strategy", move |s, first: &[CallArg], _| {
                        let args: Vec<CallArg> = first.iter().chain(&more).cloned().collect();
                        s.apply(&f, &args, at)
                    }),
                    other => other,
                }
            }
            _ => self.eval(e, &env)?,
        };
        match made {
            Value::Fn(_) => Ok(made),
            Value::Poison => Err(Stop::Poisoned),
            other => Err(Diagnostic::error("E4023", e.span, format!("`by` takes a strategy here, found {}", other.kind()))
                .at(format!("this is {}", other.kind()))
                .help("`reparam`, `score`, `enum`, `mvd`, `implicit`, or a function of (distribution, key, rest)")
                .into()),
        }
    }

    fn expect_over(&mut self, d: &Arc<Dist>, how: Option<&Value>, rest: Rest, span: Span) -> Eval<Value> {
        match &**d {
            Dist::Model { decl, scope } => self.choose_sites(decl, 0, scope.clone(), Vec::new(), how, rest, span),
            Dist::Weighted(of) => {
                if let Dist::Marginal { of: whole, keep, particles } = &**of {
                    let whole_model = whole.clone();
                    let (keep, particles) = (keep.clone(), *particles);
                    let then: Rest = Arc::new(move |s, all| {
                        let Dist::Model { decl, scope } = &*whole_model else { return Err(s.no_such(&whole_model, "sites to keep", span)) };
                        let x = super::draw::kept(&all, &keep);
                        // The draw that made x is one of the particles: without it the mean of 1 / w would not be 1 / p(x).
                        let mut logs = vec![s.log_density_model(decl, scope, &all, Some(&keep), span)?];
                        for _ in 1..particles {
                            logs.push(s.log_kept(decl, scope, &keep, &x, span)?);
                        }
                        let lw = s.log_mean(&logs, span)?;
                        rest(s, Value::list(vec![x, Value::Num(lw)]))
                    });
                    return self.expect_over(whole, how, then, span);
                }
                let inner = of.clone();
                let then: Rest = Arc::new(move |s, v| {
                    let lw = s.log_density(&inner, &v, span)?;
                    rest(s, Value::list(vec![v, Value::Num(lw)]))
                });
                self.expect_over(of, how, then, span)
            }
            Dist::Copies(of, n) => self.copies(of.clone(), *n, Vec::new(), how.cloned(), rest, span),
            Dist::Marginal { of, keep, .. } => {
                let keep = keep.clone();
                let then: Rest = Arc::new(move |s, all| rest(s, super::draw::kept(&all, &keep)));
                self.expect_over(of, how, then, span)
            }
            Dist::Declared { .. } | Dist::Plates { .. } => self.apply_strategy(d, how, rest, span),
        }
    }

    fn copies(&mut self, of: Arc<Dist>, left: usize, have: Vec<Value>, how: Option<Value>, rest: Rest, span: Span) -> Eval<Value> {
        if left == 0 {
            return rest(self, Value::list(have));
        }
        let (next, strategy) = (of.clone(), how.clone());
        let then: Rest = Arc::new(move |s, v| {
            let have = have.iter().cloned().chain([v]).collect();
            s.copies(next.clone(), left - 1, have, strategy.clone(), rest.clone(), span)
        });
        self.expect_over(&of, how.as_ref(), then, span)
    }

    /// The lines of a model from number `k` on.
    #[allow(clippy::too_many_arguments)]
    fn choose_sites(
        &mut self,
        decl: &Arc<ModelDecl>,
        mut k: usize,
        mut env: Env,
        trace: Fields,
        how: Option<&Value>,
        rest: Rest,
        span: Span,
    ) -> Eval<Value> {
        while let Some(st) = decl.body.get(k) {
            k += 1;
            let site = match self.model_line(st, &env)? {
                Line::Scope(next) => {
                    env = next;
                    continue;
                }
                Line::Site(site) => site,
            };
            let own = match &site.strategy {
                Some(e) => Some(self.strategy(e, &env)?),
                None => how.cloned(),
            };
            let (decl, how, name) = (decl.clone(), how.cloned(), site.name.name.clone());
            let then: Rest = Arc::new(move |s, v| {
                let mut trace = trace.clone();
                trace.push((name.clone(), v.clone()));
                s.choose_sites(&decl, k, env.bind(name.clone(), v), trace, how.as_ref(), rest.clone(), span)
            });
            return self.expect_over(&site.dist, own.as_ref(), then, site.name.span);
        }
        self.drawing.push(decl.clone());
        let out = rest(self, Value::record(trace));
        self.drawing.pop();
        out
    }

    fn apply_strategy(&mut self, d: &Arc<Dist>, how: Option<&Value>, rest: Rest, span: Span) -> Eval<Value> {
        let how = match how {
            Some(f) => f.clone(),
            None => self.natural_strategy(d, span)?,
        };
        let key = self.fresh_key(span)?;
        let calls = self.calls;
        let rest = Value::native("rest", move |s: &mut Interp<'_>, args: &[CallArg], at| {
            let v = s.one_arg(args, "the rest of an expectation", at)?;
            // The rest belongs to other choices.
            let sites = std::mem::take(&mut s.draws.sites);
            let out = rest(s, v.clone());
            s.draws.sites = sites;
            let out = out?;
            s.check_jumps(&v, &out, span)?;
            Ok(out)
        });
        let args = [Value::Dist(d.clone()), key, rest];
        self.draws.sites.push(span);
        let out = self.call_values(&how, &args, span);
        self.draws.sites.pop();
        self.calls = calls;
        let out = out?;
        self.leaves(&out, span)?;
        Ok(out)
    }

    /// Where none is named: along the path if there is one, else all values of a single choice among few, else by the score.
    fn natural_strategy(&mut self, d: &Arc<Dist>, span: Span) -> Eval<Value> {
        let name = if d.has_path() {
            "reparam"
        } else if d.has("values") && self.draw_shape(d, span)?.1.is_scalar() {
            "enum"
        } else {
            "score"
        };
        self.library_strategy(name, span)
    }
}
