//! Distributions as values: draws, densities, and what is made of them.

use super::{arguments, given, integer};
use crate::interp::Interp;
use crate::random::Dist;
use crate::value::{CallArg, Eval, Stop, Value};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

fn dist(s: &mut Interp<'_>, a: Option<&CallArg>, span: Span) -> Eval<Arc<Dist>> {
    let a = given(a, span)?;
    s.as_dist(&a.value, a.span)
}

/// `sample(d, key)`; of a model also `sample(m, key, given = {mu = 1.0})`.
pub(super) fn sample(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [d, key, fixed] = arguments(args, ["d", "key", "given"], 2, "sample", span)?;
    let (d, key) = (dist(s, d, span)?, given(key, span)?);
    match fixed {
        Some(g) => s.draw_given(&d, &key.value, &g.value, g.span),
        None => s.draw(&d, &key.value, key.span),
    }
}

pub(super) fn sample_path(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [d, key] = arguments(args, ["d", "key"], 2, "sample_path", span)?;
    let at = s.choice_span(span);
    let (d, key) = (dist(s, d, span)?, given(key, span)?);
    s.draw_path(&d, &key.value, at)
}

pub(super) fn log_density(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [d, x] = arguments(args, ["d", "x"], 2, "log_density", span)?;
    let (d, x) = (dist(s, d, span)?, given(x, span)?);
    Ok(Value::Num(s.log_density(&d, &x.value, x.span)?))
}

pub(super) fn log_densities(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [d, x] = arguments(args, ["d", "x"], 2, "log_densities", span)?;
    let (d, x) = (dist(s, d, span)?, given(x, span)?);
    Ok(Value::Num(s.log_densities(&d, &x.value, None, x.span)?))
}

pub(super) fn all_values(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [d] = arguments(args, ["d"], 1, "all_values", span)?;
    let at = s.choice_span(span);
    let d = dist(s, d, span)?;
    Ok(Value::Num(s.all_values(&d, at)?))
}

pub(super) fn weak_derivative(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [d, key] = arguments(args, ["d", "key"], 2, "weak_derivative", span)?;
    let at = s.choice_span(span);
    let (d, key) = (dist(s, d, span)?, given(key, span)?);
    s.weak_derivative(&d, &key.value, at)
}

pub(super) fn weighted(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [d] = arguments(args, ["d"], 1, "weighted", span)?;
    let d = dist(s, d, span)?;
    Ok(Value::Dist(Arc::new(Dist::Weighted(d))))
}

fn count(s: &mut Interp<'_>, a: &CallArg, least: i64) -> Eval<usize> {
    let n = integer(s, a)?;
    if n < least {
        return Err(Diagnostic::error("E4025", a.span, format!("a number of draws is at least {least}, found {n}")).at("this number").into());
    }
    Ok(usize::try_from(n).unwrap_or_default())
}

pub(super) fn copies(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [d, n] = arguments(args, ["d", "n"], 2, "copies", span)?;
    let (d, n) = (dist(s, d, span)?, given(n, span)?);
    let n = count(s, n, 1)?;
    Ok(Value::Dist(Arc::new(Dist::Copies(d, n))))
}

/// `marginal(q, keep = ["x", "y"], particles = 5)`
pub(super) fn marginal(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [d, keep, particles] = arguments(args, ["d", "keep", "particles"], 2, "marginal", span)?;
    let (d, keep) = (dist(s, d, span)?, given(keep, span)?);
    let names = match &keep.value {
        Value::List(l) => l
            .iter()
            .map(|v| match v {
                Value::Str(s) => Ok(s.clone()),
                other => Err(s.not_a_site(other, keep.span)),
            })
            .collect::<Eval<Vec<_>>>()?,
        other => return Err(s.not_a_site(other, keep.span)),
    };
    let particles = match particles {
        Some(p) => count(s, p, 1)?,
        None => 1,
    };
    s.sites_exist(&d, &names, keep.span)?;
    Ok(Value::Dist(Arc::new(Dist::Marginal { of: d, keep: names, particles })))
}

/// `runs(() -> e, n, key)`: e in n independent runs, along a new first axis.
pub(super) fn runs(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [f, n, key] = arguments(args, ["f", "n", "key"], 3, "runs", span)?;
    let (f, n, key) = (given(f, span)?, given(n, span)?, given(key, span)?);
    let count = s.num(&n.value, n.span)?;
    let Some(count) = s.static_dim(count)? else {
        return Err(Diagnostic::error("E2011", n.span, "the number of runs must be known before the run").into());
    };
    let key = s.key_of(&key.value, key.span)?;
    let (f, at) = (f.value.clone(), f.span);
    let saved = (s.batch_sites, s.draws.samples.take());
    s.batch_sites = 0;
    let out = s.many_runs(&count, key, span, &mut |s| {
        let v = s.call_values(&f, &[], at)?;
        s.map_tree(&v, at, &mut |s, n| if s.ty(n).dtype == gradus_ir::DType::Real { Ok(n) } else { s.un(gradus_ir::UnaryOp::ToReal, n, at) })
    });
    (s.batch_sites, s.draws.samples) = saved;
    out
}

impl Interp<'_> {
    fn not_a_site(&self, v: &Value, span: Span) -> Stop {
        Diagnostic::error("E4026", span, format!("the sites to keep are a list of names, found {}", v.kind()))
            .at(format!("this is {}", v.kind()))
            .help("write `keep = [\"x\", \"y\"]`")
            .into()
    }
}
