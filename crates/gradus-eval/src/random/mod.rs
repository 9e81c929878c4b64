//! Random choices: distributions, models, expectations.
//!
//! Every choice has a key of its own, made from the key of the step, the number of the site, and the indices of the loops around it. So a
//! draw depends on the seed and its place alone. An expectation is traced as one number whose value is an unbiased estimate and whose
//! derivative is one, too: how, is up to the strategy of each choice, a function of the library.

mod batch;
mod choices;
mod density;
mod dist;
mod draw;
mod expect;
mod jumps;
mod lanes;
mod linear;
mod scope;

pub use dist::{Dist, DistDecl};
pub(crate) use jumps::is_jump;
pub(crate) use lanes::Draws;

use crate::interp::Interp;
use crate::value::{Eval, Num, Value};
use gradus_ir::Op;
use gradus_syntax::{Diagnostic, Span};

/// What stands for a key where nothing draws: only a strategy that draws looks at it.
const NO_KEY: &str = "no key";

impl Interp<'_> {
    /// The key of a new site.
    pub(crate) fn fresh_key(&mut self, span: Span) -> Eval<Value> {
        let Some(base) = self.step_key else { return Ok(Value::Symbol(NO_KEY)) };
        // Every place that draws has a stream of its own.
        self.batch_sites += 1;
        let mut key = match self.lane_key(base, self.batch_sites, span)? {
            Some(key) => key,
            None => {
                let site = self.int(self.batch_sites as i64)?;
                self.emit(Op::KeyFold, &[base, site], span)?
            }
        };
        for i in self.draws.loops.clone() {
            key = self.emit(Op::KeyFold, &[key, i], span)?;
        }
        Ok(Value::Num(key))
    }

    /// What `dist`, `model` or `guide` declare.
    pub(crate) fn declared_dist(&mut self, d: DistDecl) -> Value {
        if let DistDecl::Model { decl, .. } = &d
            && let Some(e) = self.check_model(decl)
        {
            self.diagnostics.push(e);
            return Value::Poison;
        }
        Value::DistDecl(std::sync::Arc::new(d))
    }

    /// Where the choice is made whose strategy is running, else the place of the call.
    pub(crate) fn choice_span(&self, span: Span) -> Span {
        self.draws.sites.last().copied().unwrap_or(span)
    }

    /// `d.mean`, `d.cdf(x)`: what a distribution declares.
    pub(crate) fn dist_field(&mut self, d: &std::sync::Arc<Dist>, name: &gradus_syntax::ast::Ident, span: Span) -> Eval<Value> {
        let Some(o) = d.oracle(&name.name).cloned() else { return Err(self.no_such(d, &format!("`{}`", name.name), span)) };
        if o.params.is_empty() && !dist::OF_ELEMENT.contains(&&*name.name) {
            return match self.dist_oracle(d, &name.name, &[])? {
                Some(v) => Ok(v),
                None => Err(self.no_such(d, &format!("`{}`", name.name), span)),
            };
        }
        let (d, name) = (d.clone(), name.name.clone());
        Ok(Value::native(name.clone(), move |s, args, span| {
            let values: Vec<Value> = args.iter().map(|a| a.value.clone()).collect();
            match s.dist_oracle(&d, &name, &values)? {
                Some(v) => Ok(v),
                None => Err(s.no_such(&d, &format!("`{name}`"), span)),
            }
        }))
    }

    /// The key that a builtin was given.
    pub(crate) fn key_of(&mut self, v: &Value, span: Span) -> Eval<Num> {
        match v {
            Value::Symbol(NO_KEY) => Err(Diagnostic::error("E4003", span, "nothing draws random numbers here")
                .at("an expectation is known through draws, and those are made by a solve or by `estimate`")
                .help("estimate it: `estimate(() -> expect …, draws = 1000)`; a choice of few values is exact with `by enum`")
                .into()),
            other => self.num(other, span),
        }
    }
}
