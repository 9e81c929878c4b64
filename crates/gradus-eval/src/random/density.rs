//! Log densities: of one draw, of the trace of a model.

use super::choices::{Line, Site};
use super::dist::Dist;
use crate::env::Env;
use crate::interp::Interp;
use crate::value::{Eval, Num, Stop, Value};
use gradus_ir::{BinaryOp, Op, ReduceOp};
use gradus_syntax::ast::ModelDecl;
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

impl Interp<'_> {
    /// The log density of a draw: of all its entries together.
    pub(crate) fn log_density(&mut self, d: &Dist, x: &Value, span: Span) -> Eval<Num> {
        match d {
            Dist::Model { decl, scope } => self.log_density_model(decl, scope, x, None, span),
            Dist::Marginal { of, keep, particles } => self.log_marginal(of, keep, *particles, x, span),
            Dist::Copies(of, n) => {
                let Value::List(items) = x else { return Err(self.not_numeric(x, span)) };
                if items.len() != *n {
                    return Err(Diagnostic::error("E4013", span, format!("{n} draws expected, found {}", items.len())).into());
                }
                let mut total = self.real(0.0)?;
                for v in items.iter() {
                    let l = self.log_density(of, v, span)?;
                    total = self.bin(BinaryOp::Add, total, l, span)?;
                }
                Ok(total)
            }
            Dist::Weighted(_) => Err(self.no_such(d, "density: its draws carry their own", span)),
            Dist::Declared { .. } | Dist::Plates { .. } => {
                let each = self.log_densities(d, x, None, span)?;
                self.sum_all(each, span)
            }
        }
    }

    fn sum_all(&mut self, n: Num, span: Span) -> Eval<Num> {
        let axes: Vec<usize> = (0..self.ty(n).shape.rank()).collect();
        if axes.is_empty() { Ok(n) } else { self.emit(Op::Reduce(ReduceOp::Sum, axes), &[n], span) }
    }

    /// The log density of every independent entry of a draw. `site`: where a model makes it.
    pub(crate) fn log_densities(&mut self, d: &Dist, x: &Value, site: Option<&Site>, span: Span) -> Eval<Num> {
        if d.declared().is_none() {
            return Err(self.no_such(d, "densities of single entries", span));
        }
        let (_, shape) = self.draw_shape(d, span)?;
        let Value::Num(n) = *x else { return Err(self.not_numeric(x, span)) };
        let found = self.ty(n);
        if found.shape != shape {
            return Err(self.wrong_shape(d, &found, &shape, site, span));
        }
        let none = |s: &Self| s.no_such(d, "log density", span);
        if d.by_entry() || d.plates().is_scalar() {
            let v = self.dist_oracle(d, "log_density", &[x.clone()])?.ok_or_else(|| none(self))?;
            let l = self.num(&v, span)?;
            return if d.by_entry() { self.spread_to(l, &shape, span) } else { Ok(l) };
        }
        let (_, own) = self.draw_type(d, span)?;
        let count = d.plates().count();
        let rows = self.emit(Op::Reshape(own.stacked(count.clone())), &[n], span)?;
        self.map_range(count, span, &mut |s, i| {
            let row = s.emit(Op::Take { axis: 0 }, &[rows, i], span)?;
            let v = s.dist_oracle(d, "log_density", &[Value::Num(row)])?.ok_or_else(|| none(s))?;
            s.num(&v, span)
        })
    }

    fn wrong_shape(&self, d: &Dist, found: &gradus_ir::Ty, shape: &gradus_ir::Shape, site: Option<&Site>, span: Span) -> Stop {
        let want = gradus_ir::Ty::new(found.dtype, shape.clone());
        let Some(site) = site else {
            return Diagnostic::error("E4013", span, format!("a draw of `{}` is `{want}`, found `{found}`", d.name()))
                .at(format!("this is `{found}`"))
                .help("give its parameters that shape, or compare entry by entry")
                .into();
        };
        let name = &site.name.name;
        let e = Diagnostic::error("E4013", site.name.span, format!("the site `{name}` is `{want}`, the value given for it `{found}`"))
            .at(format!("here it is `{want}`"))
            .label(span, format!("given a `{name}` of type `{found}`"));
        let e = match self.drawing.iter().rev().find_map(|g| site_span(g, name)) {
            Some(other) if other != site.name.span => e.label(other, "chosen here"),
            _ => e,
        };
        if shape.is_scalar() && !found.shape.is_scalar() {
            return e.help(format!("make independent copies: `{name} ~ {}(…) [{}]`", d.name(), found.shape)).into();
        }
        e.into()
    }

    /// The log density of a trace; where `only` is given, of those sites, the others being known.
    pub(super) fn log_density_model(
        &mut self,
        decl: &Arc<ModelDecl>,
        scope: &Env,
        trace: &Value,
        only: Option<&[Arc<str>]>,
        span: Span,
    ) -> Eval<Num> {
        let Value::Record(fields) = trace else {
            return Err(self.not_a_trace(decl, trace, span));
        };
        self.no_extra_sites(decl, fields.iter().map(|(n, _)| n), span)?;
        let mut total = self.real(0.0)?;
        let mut env = scope.clone();
        for st in &decl.body {
            env = match self.model_line(st, &env)? {
                Line::Scope(env) => env,
                Line::Site(site) => {
                    let name = site.name.name.clone();
                    let Some(v) = trace.field(&name).cloned() else {
                        return Err(self.missing_site(decl, &site.name, fields.iter().map(|(n, _)| n), span));
                    };
                    if only.is_none_or(|o| o.contains(&name)) {
                        let l = match &*site.dist {
                            Dist::Declared { .. } | Dist::Plates { .. } => {
                                let each = self.log_densities(&site.dist, &v, Some(&site), span)?;
                                self.sum_all(each, span)?
                            }
                            d => self.log_density(d, &v, span)?,
                        };
                        total = self.bin(BinaryOp::Add, total, l, span)?;
                    }
                    env.bind(name, v)
                }
            };
        }
        Ok(total)
    }

    fn not_a_trace(&self, decl: &ModelDecl, v: &Value, span: Span) -> Stop {
        Diagnostic::error("E4014", span, format!("the density of `{}` is that of a record of its sites, found {}", decl.name.name, v.kind()))
            .at(format!("this is {}", v.kind()))
            .help("give every site a value by name: `{mu = 0.5, y = data}`")
            .into()
    }

    fn missing_site<'a>(&self, decl: &ModelDecl, site: &gradus_syntax::ast::Ident, have: impl Iterator<Item = &'a Arc<str>>, span: Span) -> Stop {
        let name = &site.name;
        let have: Vec<&Arc<str>> = have.collect();
        let word = if decl.guide { "guide" } else { "model" };
        let e = Diagnostic::error("E4015", span, format!("no value for the site `{name}` of the {word} `{}`", decl.name.name))
            .at(format!("the values given are for {}", have.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ")))
            .label(site.span, "this choice needs one");
        let e = match self.drawing.last() {
            Some(g) if g.name.span != decl.name.span => {
                let word = if g.guide { "guide" } else { "model" };
                e.label(g.name.span, format!("this {word} chooses no `{name}`"))
            }
            _ => e,
        };
        match gradus_syntax::nearest(name, have.iter().map(|n| &***n)) {
            Some(near) => e.help(format!("is `{near}` meant? the names of the sites must be the same")).into(),
            None => e.help(format!("choose it in the guide, or give it: `z & {{{name} = …}}`")).into(),
        }
    }

    pub(super) fn no_extra_sites<'a>(&self, decl: &ModelDecl, have: impl Iterator<Item = &'a Arc<str>>, span: Span) -> Eval<()> {
        let sites = super::choices::site_names(decl);
        for n in have {
            if sites.iter().any(|s| s.name == *n) {
                continue;
            }
            let word = if decl.guide { "guide" } else { "model" };
            let e = Diagnostic::error("E4016", span, format!("the {word} `{}` has no site `{n}`", decl.name.name))
                .at(format!("a value for `{n}` is given"))
                .label(decl.name.span, format!("its sites are {}", sites.iter().map(|s| format!("`{}`", s.name)).collect::<Vec<_>>().join(", ")));
            let e = match self.drawing.iter().rev().find_map(|g| site_span(g, n)) {
                Some(at) => e.label(at, "chosen here"),
                None => e,
            };
            return Err(match gradus_syntax::nearest(n, sites.iter().map(|s| &*s.name)) {
                Some(near) => e.help(format!("is `{near}` meant? the names of the sites must be the same")).into(),
                None => e.into(),
            });
        }
        Ok(())
    }

    /// An estimate of the density of the sites kept: the mean over draws of the others from the model itself.
    fn log_marginal(&mut self, of: &Arc<Dist>, keep: &[Arc<str>], particles: usize, x: &Value, span: Span) -> Eval<Num> {
        let Dist::Model { decl, scope } = &**of else { return Err(self.no_such(of, "sites to keep", span)) };
        let Value::Record(fields) = x else { return Err(self.not_a_trace(decl, x, span)) };
        self.no_extra_sites(decl, fields.iter().map(|(n, _)| n), span)?;
        if let Some(name) = super::choices::site_names(decl).into_iter().find(|n| keep.contains(&n.name) && x.field(&n.name).is_none()) {
            return Err(self.missing_site(decl, name, fields.iter().map(|(n, _)| n), span));
        }
        let logs = (0..particles).map(|_| self.log_kept(decl, scope, keep, x, span)).collect::<Eval<Vec<_>>>()?;
        self.log_mean(&logs, span)
    }

    /// The log density of the sites kept, the others drawn as the model says.
    pub(super) fn log_kept(&mut self, decl: &Arc<ModelDecl>, scope: &Env, keep: &[Arc<str>], x: &Value, span: Span) -> Eval<Num> {
        let key = self.fresh_key(span)?;
        let all = self.draw_model(decl, scope, &key, Some(x), true, span)?;
        self.log_density_model(decl, scope, &all, Some(keep), span)
    }

    /// log(mean(exp(logs))).
    pub(super) fn log_mean(&mut self, logs: &[Num], span: Span) -> Eval<Num> {
        if let [one] = logs {
            return Ok(*one);
        }
        let all = self.stack(logs, span)?;
        let sum = self.emit(Op::Reduce(ReduceOp::LogSumExp, vec![0]), &[all], span)?;
        let n = self.real((logs.len() as f64).ln())?;
        self.bin(BinaryOp::Sub, sum, n, span)
    }
}

impl Interp<'_> {
    /// Are these sites of the model?
    pub(crate) fn sites_exist(&self, d: &Dist, names: &[Arc<str>], span: Span) -> Eval<()> {
        match d {
            Dist::Model { decl, .. } => self.no_extra_sites(decl, names.iter(), span),
            _ => Err(self.no_such(d, "sites to keep", span)),
        }
    }
}

/// Where a model makes the choice of that name.
fn site_span(decl: &ModelDecl, name: &str) -> Option<Span> {
    super::choices::site_names(decl).iter().find(|s| &*s.name == name).map(|s| s.span)
}
