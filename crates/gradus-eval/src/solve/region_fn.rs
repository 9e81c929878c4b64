//! A traced function of one tree: what an objective becomes once its unknown is known.

use crate::interp::Interp;
use crate::tree::TypeTree;
use crate::value::{Eval, Function, Num, Stop, Value};
use gradus_ir::Graph;
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// A region over the leaves of a tree, then (where it draws random numbers) a key, then captured values.
#[derive(Clone)]
pub struct RegionFn {
    pub graph: Arc<Graph>,
    pub tree: TypeTree,
    /// How many leaves the argument has.
    pub leaves: usize,
    /// Does the function draw a minibatch? Then the parameter after the leaves is the step's key.
    pub stochastic: bool,
    pub captures: Vec<Num>,
}

impl RegionFn {
    pub fn value(self) -> Value {
        Value::Fn(Arc::new(Function::Region(self)))
    }
}

impl Interp<'_> {
    pub fn apply_region(&mut self, f: &RegionFn, x: &Value, span: Span) -> Eval<Value> {
        let outs = self.apply_region_all(f, x, span)?;
        outs.first().copied().map(Value::Num).ok_or(Stop::Poisoned)
    }

    /// All outputs of the region at `x`.
    pub fn apply_region_all(&mut self, f: &RegionFn, x: &Value, span: Span) -> Eval<Vec<Num>> {
        let mut args = self.leaves(x, span)?;
        let want = f.tree.leaves();
        let fits = args.len() == want.len() && args.iter().zip(&want).all(|(a, w)| self.ty(*a).shape == w.shape);
        if !fits {
            let found = self.type_tree(x, span)?.describe();
            return Err(Diagnostic::error("E2017", span, format!("the objective takes `{}`, found `{found}`", f.tree.describe())).into());
        }
        if f.stochastic {
            args.push(self.current_key(span)?);
        }
        args.extend(f.captures.iter().copied());
        self.inline(&f.graph, &args, span)
    }

    /// The key of the solve step being traced; outside a solve, the run's own.
    pub fn current_key(&mut self, span: Span) -> Eval<Num> {
        match self.step_key {
            Some(k) => Ok(k),
            None => self.seed_key(span),
        }
    }

    /// The key of the run's seed.
    pub fn seed_key(&mut self, span: Span) -> Eval<Num> {
        if let Some(k) = self.root_key {
            return Ok(k);
        }
        let seed = self.bind_run_seed()?;
        let k = self
            .tracer
            .emit_in_session(gradus_ir::Op::Key, &[seed])
            .map_err(|e| Stop::from(crate::errors::from_ir(&e, span, &[])))?;
        self.root_key = Some(k);
        Ok(k)
    }
}
