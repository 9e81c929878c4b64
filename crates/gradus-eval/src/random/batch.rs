//! Minibatches: an expectation over rows of data.

use crate::env::Env;
use crate::interp::Interp;
use crate::value::{Eval, Minibatch, Stop, Value};
use gradus_ir::{BinaryOp, Dim, Op, Shape, UnaryOp};
use gradus_syntax::ast::{Expect, Expr, ExprKind};
use gradus_syntax::{Diagnostic, Span};

impl Interp<'_> {
    /// `expect (x, t) ~ minibatch(D, k)`: the scope with a fresh batch. `None` where the expectation is over something else.
    pub(crate) fn batch_scope(&mut self, x: &Expect, env: &Env, span: Span) -> Eval<Option<Env>> {
        if self.draws.samples.is_some() || !self.may_be_batch(&x.dist, env) {
            return Ok(None);
        }
        let Value::Minibatch(m) = self.eval_dist(&x.dist, env)? else { return Ok(None) };
        let batch = self.batch_of(&m, x.dist.span, span)?;
        self.bind_pattern(&x.pattern, batch, env, x.dist.span).map(Some)
    }

    /// A call of `minibatch`, or a name, whose value costs nothing to look at.
    fn may_be_batch(&mut self, e: &Expr, env: &Env) -> bool {
        match &*e.kind {
            ExprKind::Call(f, _) => {
                matches!(&*f.kind, ExprKind::Name(id) if &*id.name == "minibatch" && env.local("minibatch").is_none())
            }
            ExprKind::Name(_) => true,
            _ => false,
        }
    }

    /// Rows drawn independently, so that the mean over the batch is unbiased whatever the sizes.
    pub(super) fn batch_of(&mut self, m: &Minibatch, at: Span, span: Span) -> Eval<Value> {
        let key = self.fresh_key(span)?;
        let key = self.key_of(&key, span)?;
        let size = match self.static_dim(m.size)? {
            Some(d) => d,
            None => return Err(Diagnostic::error("E2011", at, "the batch size must be known before the run").into()),
        };
        let leaves = self.leaves(&m.data, at)?;
        let Some(rows) = leaves.first().and_then(|n| self.ty(*n).shape.dims().first().cloned()) else {
            return Err(Stop::Poisoned);
        };
        let u = self.emit(Op::Uniform(Shape::new([size])), &[key], span)?;
        let n = self.dim_num(&rows)?;
        let scaled = self.bin(BinaryOp::Mul, u, n, span)?;
        let index = self.un(UnaryOp::ToInt, scaled, span)?;
        // Rounding may give n itself for the largest uniform number.
        let last = self.dim_num(&rows.sub(&Dim::Known(1)))?;
        let index = self.bin(BinaryOp::Min, index, last, span)?;
        self.map_tree(&m.data, span, &mut |s, n| s.emit(Op::Take { axis: 0 }, &[n, index], span))
    }
}
