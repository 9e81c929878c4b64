//! Draws from distributions: plain, along a path that has a derivative, and all values that a draw can have.

use super::dist::Dist;
use super::lanes::Noise;
use crate::interp::Interp;
use crate::value::{Eval, Fields, Num, Stop, Value};
use gradus_ir::{BinaryOp, DType, Dim, Op, Shape};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// Most values of a choice that are enumerated.
const MOST_VALUES: usize = 4096;

impl Interp<'_> {
    /// A draw that counts as constant for derivatives. Of a model: a record of its sites.
    pub(crate) fn draw(&mut self, d: &Arc<Dist>, key: &Value, span: Span) -> Eval<Value> {
        let v = match &**d {
            Dist::Model { decl, scope } => self.draw_model(decl, scope, key, None, false, span)?,
            Dist::Weighted(of) => {
                let x = self.draw(of, key, span)?;
                let lw = self.log_density(of, &x, span)?;
                Value::list(vec![x, Value::Num(lw)])
            }
            Dist::Copies(of, n) => {
                let key = self.key_of(key, span)?;
                let draws = (0..*n).map(|k| {
                    let k = self.int(k as i64)?;
                    let key = self.emit(Op::KeyFold, &[key, k], span)?;
                    self.draw(of, &Value::Num(key), span)
                });
                Value::list(draws.collect::<Eval<_>>()?)
            }
            Dist::Marginal { of, keep, .. } => {
                let all = self.draw(of, key, span)?;
                kept(&all, keep)
            }
            Dist::Declared { .. } | Dist::Plates { .. } => {
                let key = self.key_of(key, span)?;
                Value::Num(self.draw_array(d, key, span)?)
            }
        };
        self.held_still(&v, span)
    }

    /// A draw of a model whose sites in `given` are known.
    pub(crate) fn draw_given(&mut self, d: &Arc<Dist>, key: &Value, given: &Value, span: Span) -> Eval<Value> {
        let (Dist::Model { decl, scope }, Value::Record(fields)) = (&**d, given) else {
            return Err(Diagnostic::error("E4014", span, "`given` is a record of sites of a model").at(format!("this is {}", given.kind())).into());
        };
        self.no_extra_sites(decl, fields.iter().map(|(n, _)| n), span)?;
        let v = self.draw_model(decl, scope, key, Some(given), false, span)?;
        self.held_still(&v, span)
    }

    /// The derivative of a distribution by its parameters: a list of (parameter, factor, draw above, draw below).
    pub(crate) fn weak_derivative(&mut self, d: &Arc<Dist>, key: &Value, span: Span) -> Eval<Value> {
        if !d.has("weak") {
            return Err(Diagnostic::error("E4024", span, format!("`mvd` of `{}`, which has no measure-valued derivative", d.name()))
                .at("no pair of distributions is known for it")
                .help("take `by score`, or `by reparam` where there is a path")
                .into());
        }
        let (_, shape) = self.draw_shape(d, span)?;
        if !shape.is_scalar() {
            return Err(Diagnostic::error("E4024", span, format!("`mvd` moves one number, this draw of `{}` is [{shape}]", d.name()))
                .at("an array of choices")
                .help("each entry would need two runs of its own: take `by score`, or `by reparam` where there is a path")
                .into());
        }
        let key = Value::Num(self.key_of(key, span)?);
        self.dist_oracle(d, "weak", &[key])?.ok_or(Stop::Poisoned)
    }

    /// A draw as a smooth function of the parameters.
    pub(crate) fn draw_path(&mut self, d: &Arc<Dist>, key: &Value, span: Span) -> Eval<Value> {
        if d.declared().is_none() {
            return Err(self.no_such(d, "path of its own: its sites have strategies", span));
        }
        if !d.has_path() {
            return Err(self.no_path(d, span));
        }
        let key = self.key_of(key, span)?;
        self.draw_array(d, key, span).map(Value::Num)
    }

    fn no_path(&self, d: &Dist, span: Span) -> Stop {
        let name = d.name();
        let (why, help) = if d.is("discrete") {
            (format!("`reparam` on a discrete choice: `{name}`"), "a discrete draw jumps when its parameters change: take `by enum` (few values) or `by score`")
        } else if d.has("cdf") {
            (format!("`reparam` of `{name}`, which has no path"), "take `by implicit`, which uses its distribution function, or `by score`")
        } else {
            (format!("`reparam` of `{name}`, which has no path"), "take `by score`")
        };
        let e = Diagnostic::error("E4020", span, why).at("no derivative goes through this draw").help(help);
        match d.declared() {
            Some((decl, ..)) if !self.library_files.contains(&decl.name.span.file.0) => {
                e.label(decl.name.span, "it declares neither `standard z`, nor `quantile u`, nor `path(key, like)`").into()
            }
            _ => e.into(),
        }
    }

    /// One draw of a declared distribution with its plates.
    fn draw_array(&mut self, d: &Dist, key: Num, span: Span) -> Eval<Num> {
        let (dtype, shape) = self.draw_shape(d, span)?;
        let plates = d.plates();
        if plates.is_scalar() || d.by_entry() {
            let noise = self.base_noise(d, &shape, key, span)?;
            let x = self.from_noise(d, noise, key, &shape, span)?;
            return self.as_draw(d, x, dtype, &shape, span);
        }
        // Draws that are arrays themselves: their noise at once, then one after the other (or all as lanes).
        let (_, own) = self.draw_type(d, span)?;
        let noise = self.base_noise(d, &shape, key, span)?;
        let count = plates.count();
        let flat = match noise {
            Some(n) => {
                let rows = own.stacked(count.clone());
                Some(self.emit(Op::Reshape(rows), &[n], span)?)
            }
            None => None,
        };
        let all = self.map_range(count, span, &mut |s, i| {
            let noise = match flat {
                Some(n) => Some(s.emit(Op::Take { axis: 0 }, &[n, i], span)?),
                None => None,
            };
            let key = s.emit(Op::KeyFold, &[key, i], span)?;
            let x = s.from_noise(d, noise, key, &own, span)?;
            s.as_draw(d, x, dtype, &own, span)
        })?;
        self.emit(Op::Reshape(shape), &[all], span)
    }

    /// The noise that the sampler transforms, where it says so.
    fn base_noise(&mut self, d: &Dist, shape: &Shape, key: Num, span: Span) -> Eval<Option<Num>> {
        if d.has("standard") {
            return self.noise(Noise::Normal, shape.clone(), key, span).map(Some);
        }
        if d.has("quantile") && !d.has("draw") {
            let u = self.noise(Noise::Uniform, shape.clone(), key, span)?;
            // Zero is drawn once in 2^53 times, and has no finite quantile.
            let least = self.real(0.5f64.powi(54))?;
            return self.bin(BinaryOp::Max, u, least, span).map(Some);
        }
        Ok(None)
    }

    fn from_noise(&mut self, d: &Dist, noise: Option<Num>, key: Num, shape: &Shape, span: Span) -> Eval<Value> {
        let made = match noise {
            Some(z) if d.has("standard") => self.dist_oracle(d, "standard", &[Value::Num(z)])?,
            Some(u) => self.dist_oracle(d, "quantile", &[Value::Num(u)])?,
            None => {
                let zero = self.real(0.0)?;
                let like = self.emit(Op::Broadcast(shape.clone()), &[zero], span)?;
                let name = if d.has("path") { "path" } else { "draw" };
                self.dist_oracle(d, name, &[Value::Num(key), Value::Num(like)])?
            }
        };
        made.ok_or_else(|| self.no_such(d, "sampler", span))
    }

    /// What a sampler gave, as a draw.
    fn as_draw(&mut self, d: &Dist, v: Value, dtype: DType, shape: &Shape, span: Span) -> Eval<Num> {
        let Value::Num(n) = v else { return Err(self.not_numeric(&v, span)) };
        let found = self.ty(n);
        if Shape::broadcast(&found.shape, shape).ok().as_ref() != Some(shape) {
            return Err(Diagnostic::error("E4010", span, format!("the sampler of `{}` gives `{found}`, a draw is [{shape}]", d.name()))
                .at("drawn here")
                .into());
        }
        let n = self.spread_to(n, shape, span)?;
        match dtype {
            DType::Int if found.dtype != DType::Int => self.un(gradus_ir::UnaryOp::ToInt, n, span),
            DType::Real if found.dtype != DType::Real => self.un(gradus_ir::UnaryOp::ToReal, n, span),
            _ => Ok(n),
        }
    }

    /// Every value of a draw, along a new first axis.
    pub(crate) fn all_values(&mut self, d: &Dist, span: Span) -> Eval<Num> {
        let Some(v) = self.dist_oracle(d, "values", &[])? else {
            let why = if d.is("discrete") { "its values have no end" } else { "its values are not countable" };
            let help = if d.has_path() { "take `by reparam`" } else { "take `by score`" };
            return Err(Diagnostic::error("E4021", span, format!("`enum` over `{}`: {why}", d.name()))
                .at("not a choice among finitely many values")
                .help(help)
                .into());
        };
        let own = self.num(&v, span)?;
        let (_, shape) = self.draw_shape(d, span)?;
        if shape.is_scalar() {
            return Ok(own);
        }
        // One value for each entry, in all combinations.
        let (m, c) = (self.ty(own).shape.dims().first().and_then(Dim::size), shape.count().size());
        let (Some(m), Some(c)) = (m, c) else {
            return Err(Diagnostic::error("E4022", span, format!("`enum` over `{}` with a number of entries that only the data tell", d.name()))
                .at("their combinations cannot be listed")
                .help("sum each entry out by itself: `mixture(weights, components)`, or take `by score`")
                .into());
        };
        let total = u32::try_from(c).ok().and_then(|c| m.checked_pow(c)).filter(|t| *t <= MOST_VALUES);
        let Some(total) = total else {
            return Err(Diagnostic::error("E4022", span, format!("`enum` over {c} entries with {m} values each: too many combinations"))
                .at(format!("more than {MOST_VALUES}"))
                .help("sum each entry out by itself: `mixture(weights, components)`, or take `by score`")
                .into());
        };
        let digits: Vec<f64> = (0..total).flat_map(|r| (0..c).map(move |j| (r / m.pow(j as u32) % m) as f64)).collect();
        let digits = gradus_ir::Array::new(DType::Int, vec![total, c], digits).ok_or(Stop::Poisoned)?;
        let digits = self.emit(Op::Literal(Arc::new(digits)), &[], span)?;
        let all = self.emit(Op::Take { axis: 0 }, &[own, digits], span)?;
        self.emit(Op::Reshape(shape.stacked(Dim::from(total))), &[all], span)
    }

    /// A record of the sites of a model, drawn one after the other; those `given` keep their values. `path`: as smooth functions of the parameters.
    pub(super) fn draw_model(
        &mut self,
        decl: &Arc<gradus_syntax::ast::ModelDecl>,
        scope: &crate::env::Env,
        key: &Value,
        given: Option<&Value>,
        path: bool,
        span: Span,
    ) -> Eval<Value> {
        let key = self.key_of(key, span)?;
        let mut trace: Fields = Vec::new();
        let mut env = scope.clone();
        let mut count = 0;
        for st in &decl.body {
            env = match self.model_line(st, &env)? {
                super::choices::Line::Scope(env) => env,
                super::choices::Line::Site(site) => {
                    let v = match given.and_then(|g| g.field(&site.name.name)) {
                        Some(v) => v.clone(),
                        None => {
                            count += 1;
                            let k = self.int(count)?;
                            let key = self.emit(Op::KeyFold, &[key, k], span)?;
                            match path {
                                true => self.draw_path(&site.dist, &Value::Num(key), site.name.span)?,
                                false => self.draw(&site.dist, &Value::Num(key), span)?,
                            }
                        }
                    };
                    trace.push((site.name.name.clone(), v.clone()));
                    env.bind(site.name.name.clone(), v)
                }
            };
        }
        Ok(Value::record(trace))
    }
}

/// Only these fields.
pub(super) fn kept(trace: &Value, keep: &[Arc<str>]) -> Value {
    let fields = keep.iter().filter_map(|n| Some((n.clone(), trace.field(n)?.clone()))).collect();
    Value::record(fields)
}
