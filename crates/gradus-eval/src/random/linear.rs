//! An expectation that is known through draws may be added, scaled, and multiplied with independent ones. The logarithm, the square or the
//! maximum of an estimate is not an estimate of the logarithm, the square or the maximum.

use crate::interp::{Interp, span_of};
use crate::value::{Eval, Num, Stop, Value};
use gradus_ir::{BinaryOp, Graph, NodeId, Op, Origin, ReduceOp, UnaryOp};
use gradus_syntax::{Diagnostic, Span};

/// The value of an expectation, and where it stands.
pub struct Estimate {
    value: Num,
    span: Span,
}

impl Interp<'_> {
    /// Remember the value of an expectation in an objective, if draws are in it.
    pub(super) fn note_estimate(&mut self, v: &Value, key: Num, span: Span) -> Eval<()> {
        for value in self.leaves(v, span)? {
            if self.tracer.depends(value, &[key]) {
                self.draws.estimates.push(Estimate { value, span });
            }
        }
        Ok(())
    }

    /// Complain where the summands of an objective use an estimate in a way that biases it.
    pub(crate) fn check_estimates(&mut self, summands: &[Num], whole: Span) -> Eval<()> {
        let made = std::mem::take(&mut self.draws.estimates);
        if made.is_empty() {
            return Ok(());
        }
        let fail = |e: gradus_ir::IrError| Stop::from(crate::errors::from_ir(&e, whole, &[]));
        let to: Vec<NodeId> = summands.iter().map(|n| self.tracer.use_node(*n).map_err(fail)).collect::<Eval<_>>()?;
        let top = self.tracer.top().map_err(fail)?;
        let roots: Vec<(NodeId, usize)> =
            made.iter().enumerate().filter(|(_, e)| e.value.level == top.uid).map(|(k, e)| (e.value.id, k)).collect();
        let Some((origin, root)) = biased(&top.graph, &roots, &to) else { return Ok(()) };
        let at = span_of(origin);
        let at = if at.file.0 == 0 { whole } else { at };
        let from = made.get(root).map(|e| e.span).unwrap_or(whole);
        Err(Diagnostic::error("E4031", at, "an expectation known through draws is used nonlinearly")
            .at("this of an estimate is no estimate of this")
            .label(from, "an estimate from draws")
            .help("take it inside the expectation, sum the choice exactly with `by enum`, or say `stop_grad(…)` where it only scales the rest")
            .into())
    }
}

/// The first op on the way to `to` that is not linear in an estimate, and which estimate that is.
fn biased(g: &Graph, roots: &[(NodeId, usize)], to: &[NodeId]) -> Option<(Origin, usize)> {
    let mut wanted = vec![false; g.len()];
    let mut work = to.to_vec();
    while let Some(id) = work.pop() {
        if !std::mem::replace(&mut wanted[id.index()], true) {
            work.extend(g.node(id).inputs.iter().copied());
        }
    }
    // For each node the estimates in it.
    let mut held: Vec<Vec<usize>> = vec![Vec::new(); g.len()];
    for (id, node) in g.nodes() {
        let own: Vec<usize> = roots.iter().filter(|(r, _)| *r == id).map(|(_, k)| *k).collect();
        let fed: Vec<&Vec<usize>> = node.inputs.iter().map(|i| &held[i.index()]).collect();
        let mut all = own.clone();
        for f in &fed {
            all.extend(f.iter().filter(|k| !own.contains(k)));
        }
        all.sort_unstable();
        all.dedup();
        if all.is_empty() || !wanted[id.index()] {
            continue;
        }
        let at = |k: usize| fed.get(k).is_some_and(|f| !f.is_empty());
        let shared = || fed.first().zip(fed.get(1)).is_some_and(|(a, b)| a.iter().any(|k| b.contains(k)));
        let linear = match &node.op {
            // What makes the estimate itself is its own affair.
            _ if !own.is_empty() => true,
            Op::Binary(BinaryOp::Add | BinaryOp::Sub) => true,
            Op::Binary(BinaryOp::Mul) | Op::MatMul => !shared(),
            Op::Binary(BinaryOp::Div) => !at(1),
            Op::Unary(UnaryOp::Neg | UnaryOp::ToReal) | Op::Reduce(ReduceOp::Sum, _) => true,
            Op::Unary(UnaryOp::StopGrad) => {
                continue;
            }
            Op::Unary(_) | Op::Binary(_) | Op::Reduce(..) | Op::ArgReduce { .. } | Op::Sort { .. } | Op::ArgSort { .. } => false,
            Op::Select => !at(0),
            // Shapes, and loops whose inside is not looked at.
            _ => true,
        };
        if !linear {
            return all.first().map(|k| (node.origin, *k));
        }
        held[id.index()] = all;
    }
    None
}
