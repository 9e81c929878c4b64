//! Where the nodes of a graph came from, apart from the graph: the text form does not carry it.

use crate::error::{IrError, IrResult};
use crate::graph::{Graph, NodeId, Origin};
use crate::op::{Implicit, Loop, Op};
use std::sync::Arc;

impl Graph {
    /// The origins of the nodes that the text form shows, in its order: parameters, then live nodes, each followed by those of its
    /// regions.
    pub fn origins(&self) -> Vec<Origin> {
        let mut out = Vec::new();
        self.collect_origins(&mut out);
        out
    }

    fn collect_origins(&self, out: &mut Vec<Origin>) {
        let live = self.live();
        out.extend(self.params().iter().map(|p| self.node(*p).origin));
        for (id, node) in self.nodes() {
            if live[id.index()] && !matches!(node.op, Op::Param(_)) {
                out.push(node.origin);
                node.op.regions().iter().for_each(|r| r.collect_origins(out));
            }
        }
    }

    /// A graph that was read from its text form, with these origins in that order.
    pub fn located(&self, origins: &[Origin]) -> IrResult<Graph> {
        let mut rest = origins.iter().copied();
        let graph = self.locate(&mut rest)?;
        match rest.next() {
            None => Ok(graph),
            Some(_) => Err(IrError::Internal("more origins than nodes".into())),
        }
    }

    fn locate(&self, origins: &mut impl Iterator<Item = Origin>) -> IrResult<Graph> {
        let mut take = || origins.next().ok_or_else(|| IrError::Internal("fewer origins than nodes".into()));
        let mut g = Graph::new();
        let mut map: Vec<Option<NodeId>> = vec![None; self.len()];
        for p in self.params() {
            map[p.index()] = Some(g.param(self.ty(*p).clone(), take()?));
        }
        for (id, node) in self.nodes() {
            if map[id.index()].is_some() {
                continue;
            }
            let origin = origins.next().ok_or_else(|| IrError::Internal("fewer origins than nodes".into()))?;
            let op = match &node.op {
                Op::Loop(l) => {
                    let cond = l.cond.as_ref().map(|c| c.locate(origins)).transpose()?.map(Arc::new);
                    let body = Arc::new(l.body.locate(origins)?);
                    Op::Loop(Box::new(Loop { cond, body, ..(**l).clone() }))
                }
                Op::Implicit(i) => {
                    let residual = Arc::new(i.residual.locate(origins)?);
                    let forward = Arc::new(i.forward.locate(origins)?);
                    let adjoint = Arc::new(i.adjoint.locate(origins)?);
                    Op::Implicit(Box::new(Implicit { residual, forward, adjoint, ..(**i).clone() }))
                }
                Op::Cond { then, other } => {
                    Op::Cond { then: Arc::new(then.locate(origins)?), other: Arc::new(other.locate(origins)?) }
                }
                op => op.clone(),
            };
            let inputs = node
                .inputs
                .iter()
                .map(|i| map[i.index()].ok_or_else(|| IrError::Internal("an input does not come before its use".into())))
                .collect::<IrResult<Vec<_>>>()?;
            map[id.index()] = Some(g.add_plain(op, &inputs, origin)?);
        }
        g.outputs = self
            .outputs
            .iter()
            .map(|o| map[o.index()].ok_or_else(|| IrError::Internal("an output is not in the graph".into())))
            .collect::<IrResult<_>>()?;
        Ok(g)
    }
}
