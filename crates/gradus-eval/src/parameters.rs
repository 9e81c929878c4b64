//! Numbers that are inputs of a plan although they are known: a script's parameters.
//!
//! A plan is kept by the structure of its graph, and constants are part of the structure. So the numbers that a script
//! is run again with (arguments of a problem, its `let`s, the seed, the items of a list it goes through) become
//! inputs whose value is known: whatever must be known while tracing (a size, an exponent, which branch) still is.

use crate::interp::{Interp, Mode};
use crate::value::{Bound, Eval, Num, Value};
use crate::env::Env;
use gradus_ir::{Array, DType, Op, UnaryOp};
use gradus_syntax::ast::{Param, TypeExpr, TypeKind};
use gradus_syntax::Span;
use std::sync::Arc;

impl Interp<'_> {
    /// The value with its real constants as inputs; `real`: whole numbers, too, as reals.
    pub fn as_parameter(&mut self, v: &Value, real: bool) -> Eval<Value> {
        if self.mode != Mode::Run {
            return Ok(v.clone());
        }
        crate::tree::level(|| Ok(match v {
            Value::Num(n) => Value::Num(self.number_parameter(*n, real)?),
            Value::Record(f) => {
                let fields = f.iter().map(|(k, v)| Ok((k.clone(), self.as_parameter(v, real)?))).collect::<Eval<Vec<_>>>()?;
                Value::record(fields)
            }
            Value::List(l) => Value::list(l.iter().map(|v| self.as_parameter(v, real)).collect::<Eval<_>>()?),
            other => other.clone(),
        }))
    }

    fn number_parameter(&mut self, mut n: Num, real: bool) -> Eval<Num> {
        if real && self.ty(n).dtype == DType::Int {
            n = self.un(UnaryOp::ToReal, n, Span::default())?;
        }
        if self.ty(n).dtype != DType::Real {
            return Ok(n);
        }
        let array = match self.tracer.graph_of(n).map(|g| &g.node(n.id).op) {
            Some(Op::Const(v, dtype)) => Array { dtype: *dtype, ..Array::scalar(v.get()) },
            Some(Op::Literal(a)) => Array::clone(a),
            _ => return Ok(n),
        };
        self.bind_input(array)
    }

    /// What the parameters of a problem are bound to, with the numbers among them as inputs.
    pub(crate) fn problem_parameters(&mut self, params: &[Param], bound: Bound, mut env: Env) -> Eval<Env> {
        for (name, value) in bound {
            let real = params.iter().any(|p| p.name.name == name && p.ty.as_ref().is_some_and(is_real_scalar));
            env = env.bind(name, self.as_parameter(&value, real)?);
        }
        Ok(env)
    }

    /// The rows of a known array, each as an input where it is not a whole number.
    pub(crate) fn known_rows(&mut self, n: Num) -> Eval<Vec<Value>> {
        let all = self.force(n)?;
        let Some((rows, shape)) = all.shape.split_first() else { return Ok(Vec::new()) };
        let size: usize = shape.iter().product();
        (0..*rows)
            .map(|k| {
                let data = all.data.get(k * size..(k + 1) * size).unwrap_or_default().to_vec();
                let row = Array { dtype: all.dtype, shape: shape.to_vec(), data: Arc::new(data) };
                // Whole numbers may be sizes, and then each makes a plan of its own anyway.
                let n = if row.dtype == DType::Real { self.bind_input(row)? } else { self.bind_array(row)? };
                Ok(Value::Num(n))
            })
            .collect()
    }

    /// A scalar exponent that is known, as a constant: `x^2` has a form of its own.
    pub(crate) fn known_exponent(&mut self, n: Num) -> Eval<Num> {
        let known = self.mode == Mode::Run && self.tracer.is_session(n) && self.ty(n).shape.is_scalar();
        match self.known.get(&n.id).and_then(Array::as_scalar) {
            Some(v) if known => self.emit(Op::Const(gradus_ir::F64::new(v), self.ty(n).dtype), &[], Span::default()),
            _ => Ok(n),
        }
    }

    /// The run's seed: known, and an input, so that another seed runs the same plan.
    pub(crate) fn bind_run_seed(&mut self) -> Eval<Num> {
        if let Some(n) = self.run_seed {
            return Ok(n);
        }
        let n = match self.mode {
            Mode::Run => self.bind_input(Array { dtype: DType::Int, ..Array::scalar(self.options.seed as f64) })?,
            Mode::Check => self.tracer.emit_in_session(
                Op::Const(gradus_ir::F64::new(self.options.seed as f64), DType::Int), &[])
                .map_err(|e| crate::errors::from_ir(&e, Span::default(), &[]))?,
        };
        self.run_seed = Some(n);
        Ok(n)
    }
}

fn is_real_scalar(t: &TypeExpr) -> bool {
    matches!(&*t.kind, TypeKind::Name(id) if &*id.name == "real")
}
