//! A draw that is a smooth function of the parameters must be used smoothly: at a jump the derivative of the expectation has a part that
//! no derivative of a single run contains.

use crate::interp::{Interp, span_of};
use crate::value::{Eval, Stop, Value};
use gradus_ir::{BinaryOp, DType, Graph, NodeId, Op, Origin, UnaryOp};
use gradus_syntax::{Diagnostic, Span};

/// Is its result constant except for jumps?
pub(crate) fn is_jump(op: &Op) -> bool {
    use BinaryOp::{Eq, Ge, Gt, Le, Lt, Mod, Ne};
    match op {
        Op::Binary(b) => matches!(b, Lt | Le | Gt | Ge | Eq | Ne | Mod),
        Op::Unary(u) => matches!(u, UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round | UnaryOp::Sign | UnaryOp::ToInt),
        Op::ArgReduce { .. } | Op::ArgSort { .. } => true,
        _ => false,
    }
}

impl Interp<'_> {
    /// An op of the library's own text, or of a density, is known to be used where it does no harm: `where(x > 0, x, 0)` has no jump.
    pub(crate) fn note_jump(&mut self, n: crate::value::Num) {
        if self.draws.densities > 0 || self.library_files.contains(&self.here.0) {
            self.draws.harmless.insert(n);
        }
    }

    /// Does `out` depend on the draw `v` through a jump? `site`: where it was drawn.
    pub(super) fn check_jumps(&mut self, v: &Value, out: &Value, site: Span) -> Eval<()> {
        let fail = |e: gradus_ir::IrError| Stop::from(crate::errors::from_ir(&e, site, &[]));
        let mut from = Vec::new();
        for n in self.leaves(v, site)? {
            let still = |g: &Graph| matches!(g.node(n.id).op, Op::Unary(UnaryOp::StopGrad) | Op::Const(..) | Op::Literal(_));
            if self.ty(n).dtype == DType::Real && !self.tracer.graph_of(n).is_some_and(still) {
                from.push(self.tracer.use_node(n).map_err(fail)?);
            }
        }
        if from.is_empty() {
            return Ok(());
        }
        let mut to = Vec::new();
        for n in self.leaves(out, site)? {
            to.push(self.tracer.use_node(n).map_err(fail)?);
        }
        let top = self.tracer.top().map_err(fail)?;
        let (uid, graph) = (top.uid, &top.graph);
        let harmless = &self.draws.harmless;
        let found = jump(graph, &from, &to, &|id| harmless.contains(&crate::value::Num { level: uid, id }));
        let Some(origin) = found else { return Ok(()) };
        let at = span_of(origin);
        let at = if at.file.0 == 0 { site } else { at };
        Err(Diagnostic::error("E4030", at, "a pathwise derivative runs through a jump")
            .at("this jumps when the draw moves, and the derivative of one run does not see it")
            .label(site, "drawn here along its path (`reparam`)")
            .help("draw it `by score` (or `by mvd`), write the jump smoothly, or say `stop_grad(…)` where its derivative is meant to be left out")
            .into())
    }
}

/// The first jump on the way from `from` to `to`, along which derivatives pass.
fn jump(g: &Graph, from: &[NodeId], to: &[NodeId], harmless: &dyn Fn(NodeId) -> bool) -> Option<Origin> {
    let stops = |id: NodeId| matches!(g.node(id).op, Op::Unary(UnaryOp::StopGrad) | Op::NoGrad(_));
    let mut wanted = vec![false; g.len()];
    let mut work = to.to_vec();
    while let Some(id) = work.pop() {
        if std::mem::replace(&mut wanted[id.index()], true) || stops(id) {
            continue;
        }
        work.extend(g.node(id).inputs.iter().copied());
    }
    let mut moves = vec![false; g.len()];
    for id in from {
        moves[id.index()] = true;
    }
    for (id, node) in g.nodes() {
        let fed: Vec<bool> = node.inputs.iter().map(|i| moves[i.index()]).collect();
        if !fed.contains(&true) || stops(id) {
            continue;
        }
        moves[id.index()] = true;
        if !wanted[id.index()] {
            continue;
        }
        if is_jump(&node.op) && !harmless(id) {
            return Some(node.origin);
        }
        if let Some(o) = inside(&node.op, &fed) {
            return Some(o);
        }
    }
    None
}

/// The same in the regions of an op. Their text is that of a loop or branch of the script.
fn inside(op: &Op, fed: &[bool]) -> Option<Origin> {
    // Parameters of a region before those that stand for the op's inputs, and inputs before those.
    let (own, skip) = match op {
        Op::Loop(_) => (1, 0),
        Op::Cond { .. } => (0, 1),
        _ => return None,
    };
    op.regions().into_iter().find_map(|r| {
        let from: Vec<NodeId> =
            r.params().iter().skip(own).zip(fed.iter().skip(skip)).filter(|(_, f)| **f).map(|(p, _)| *p).collect();
        jump(r, &from, &r.outputs, &|_| false)
    })
}
