//! Logarithms of positive values: products become sums, sums of exponentials stay convex. This is how log-sum-exp, softplus, softmax and
//! products of exponentials are understood in any spelling.

use crate::context::Cx;
use crate::kinds::Curvature;
use gradus_ir::{BinaryOp, NodeId, Op, ReduceOp, UnaryOp};

/// What is known of `log(node)`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub convex: bool,
    pub concave: bool,
    /// Lipschitz with a Lipschitz gradient, except where it is affine.
    pub smooth: bool,
}

const NOTHING: Log = Log { convex: false, concave: false, smooth: false };

impl Log {
    pub fn curvature(self, depends: bool) -> Curvature {
        if depends || !(self.convex && self.concave) { Curvature::of(self.convex, self.concave) } else { Curvature::Constant }
    }
    fn plus(self, o: Log) -> Log {
        Log { convex: self.convex && o.convex, concave: self.concave && o.concave, smooth: self.smooth && o.smooth }
    }
    fn minus(self, o: Log) -> Log {
        self.plus(Log { convex: o.concave, concave: o.convex, ..o })
    }
    fn times(self, c: f64) -> Log {
        if c >= 0.0 { self } else { Log { convex: self.concave, concave: self.convex, ..self } }
    }
    /// Of a sum of such values.
    fn sum(self) -> Log {
        Log { concave: false, ..self }
    }
}

/// Of a node that is `positive` and `concave` or not; reads the logs of its inputs.
pub(crate) fn log(cx: &Cx<'_>, logs: &[Log], id: NodeId, positive: bool, concave: bool) -> Log {
    if !cx.depends(id) {
        return if positive { Log { convex: true, concave: true, smooth: true } } else { NOTHING };
    }
    let input = |k: usize| cx.input(id, k);
    let of = |k: usize| input(k).map_or(NOTHING, |i| logs[i.index()]);
    let value = |k: usize| -> Log {
        // The node whose exponential this is: its own facts.
        input(k).map_or(NOTHING, |i| {
            let f = cx.f(i);
            Log { convex: f.curvature.is_convex(), concave: f.curvature.is_concave(), smooth: f.smoothness.lipschitz && f.smoothness.lipschitz_gradient.is_yes() }
        })
    };
    let both_positive = |a: Log, b: Log| (a.convex || a.concave) && (b.convex || b.concave);
    let found = match cx.op(id) {
        Op::Unary(UnaryOp::Exp) => value(0),
        Op::Unary(UnaryOp::Sigmoid) => Log { convex: false, ..value(0) },
        Op::Unary(UnaryOp::Softplus) => Log { convex: false, smooth: false, ..value(0) },
        Op::Unary(UnaryOp::Cosh) => {
            let v = value(0);
            Log { convex: v.convex && v.concave, concave: false, smooth: v.smooth }
        }
        Op::Unary(UnaryOp::ToReal | UnaryOp::StopGrad) => of(0),
        Op::Unary(UnaryOp::Sqrt | UnaryOp::Square) => of(0),
        Op::Unary(UnaryOp::Recip) => of(0).times(-1.0),
        Op::Binary(BinaryOp::Mul) if both_positive(of(0), of(1)) => of(0).plus(of(1)),
        Op::Binary(BinaryOp::Div) if both_positive(of(0), of(1)) => of(0).minus(of(1)),
        Op::Binary(BinaryOp::Add) => of(0).plus(of(1)).sum(),
        Op::Binary(BinaryOp::Max) => Log { smooth: false, ..of(0).plus(of(1)).sum() },
        Op::Binary(BinaryOp::Min) => Log { convex: false, smooth: false, ..of(0).plus(of(1)) },
        Op::Binary(BinaryOp::Pow) => match input(1).and_then(|e| cx.number(e)) {
            Some(e) => of(0).times(e),
            // log(c^x) = x log(c)
            None => match input(0).and_then(|c| cx.number(c)) {
                Some(c) if c > 0.0 => value(1).times(c.ln()),
                _ => NOTHING,
            },
        },
        Op::Reduce(ReduceOp::Sum, _) => of(0).sum(),
        Op::Reduce(ReduceOp::Prod, _) => of(0),
        Op::Reduce(ReduceOp::Max, _) => Log { smooth: false, ..of(0).sum() },
        Op::Reduce(ReduceOp::Min, _) => Log { convex: false, smooth: false, ..of(0) },
        Op::MatMul => of(0).plus(of(1)).sum(),
        Op::NoGrad(_) | Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice { .. } | Op::Reverse { .. } | Op::Diagonal => of(0),
        Op::Take { .. } | Op::TakeAlong { .. } if input(1).is_some_and(|i| !cx.depends(i)) => of(0),
        Op::Concat { .. } => cx.node(id).inputs.iter().map(|i| logs[i.index()]).reduce(Log::plus).unwrap_or(NOTHING),
        _ => NOTHING,
    };
    // The logarithm of a positive concave value is concave.
    if positive && concave && !found.concave { Log { concave: true, ..found } } else { found }
}
