//! Moving nodes between graphs: inlining a region, copying what some outputs need.

use crate::build::Build;
use crate::dim::Dim;
use crate::error::{IrError, IrResult};
use crate::graph::{Graph, NodeId, Origin};
use crate::op::{Op, UnaryOp};
use crate::ty::Ty;
use std::sync::Arc;
use smallvec::SmallVec;

impl Graph {
    /// Copy the nodes of `region` into this graph with `args` for its parameters; returns its outputs.
    /// Equal nodes are shared with those that are here already.
    pub fn inline(&mut self, region: &Graph, args: &[NodeId]) -> IrResult<Vec<NodeId>> {
        let map = self.inline_all(region, args)?;
        region.outputs.iter().map(|o| mapped(&map, *o)).collect()
    }

    /// Like `inline`; returns for every node of the region where it went.
    /// Nodes that no output needs are left out (`None`).
    pub fn inline_all(&mut self, region: &Graph, args: &[NodeId]) -> IrResult<Vec<Option<NodeId>>> {
        if args.len() != region.params().len() {
            return Err(IrError::Internal(format!(
                "inline: {} arguments for {} parameters",
                args.len(),
                region.params().len()
            )));
        }
        let live = region.live();
        self.reserve(live.iter().filter(|l| **l).count());
        let mut map: Vec<Option<NodeId>> = vec![None; region.len()];
        for (p, a) in region.params().iter().zip(args) {
            map[p.index()] = Some(*a);
        }
        for (id, node) in region.nodes() {
            if map[id.index()].is_some() || !live[id.index()] {
                continue;
            }
            let inputs = node.inputs.iter().map(|i| mapped(&map, *i)).collect::<IrResult<SmallVec<[_; 4]>>>()?;
            map[id.index()] = Some(self.add(node.op.clone(), &inputs, node.origin)?);
        }
        Ok(map)
    }

    /// Which nodes some output depends on.
    pub fn live(&self) -> Vec<bool> {
        self.reaching(&self.outputs, |_| false)
    }

    /// Which nodes the targets depend on, not looking behind nodes at which `stop` holds.
    pub fn reaching(&self, targets: &[NodeId], stop: impl Fn(NodeId) -> bool) -> Vec<bool> {
        let mut live = vec![false; self.len()];
        let mut work: Vec<NodeId> = targets.to_vec();
        while let Some(id) = work.pop() {
            if std::mem::replace(&mut live[id.index()], true) || stop(id) {
                continue;
            }
            work.extend(self.node(id).inputs.iter().copied());
        }
        live
    }

    /// Which nodes depend on one of `sources`.
    pub fn depending(&self, sources: &[NodeId]) -> Vec<bool> {
        let mut dep = vec![false; self.len()];
        for s in sources {
            dep[s.index()] = true;
        }
        for (id, node) in self.nodes() {
            if node.inputs.iter().any(|i| dep[i.index()]) {
                dep[id.index()] = true;
            }
        }
        dep
    }

    /// The same region without nodes that no output needs; parameters stay.
    pub fn compact(&self) -> IrResult<Graph> {
        let mut live = self.live();
        self.params().iter().for_each(|p| live[p.index()] = true);
        if !live.contains(&false) {
            return Ok(self.clone());
        }
        let mut g = Graph::new();
        let args: Vec<NodeId> = self.params().iter().map(|p| g.param(self.ty(*p).clone(), self.node(*p).origin)).collect();
        g.outputs = g.inline(self, &args)?;
        Ok(g)
    }

    /// The graph with other lengths in place of its named ones.
    ///
    /// # Errors
    /// The lengths do not fit its operations.
    pub fn with_dims(&self, f: &dyn Fn(&str) -> Option<Dim>) -> IrResult<Graph> {
        let mut g = Graph::new();
        let mut map: Vec<Option<NodeId>> = vec![None; self.len()];
        for p in self.params() {
            let ty = self.ty(*p);
            map[p.index()] = Some(g.param(Ty::new(ty.dtype, ty.shape.substitute(f)), self.node(*p).origin));
        }
        for (id, node) in self.nodes() {
            if map[id.index()].is_none() {
                let kids: Vec<NodeId> = node.inputs.iter().filter_map(|i| map[i.index()]).collect();
                map[id.index()] = Some(g.add_plain(node.op.with_dims(f), &kids, node.origin)?);
            }
        }
        g.outputs = self.outputs.iter().filter_map(|o| map[o.index()]).collect();
        Ok(g)
    }

    /// The graph without what only derivatives need: solutions without their equations, no marks, checks as selections. For after
    /// the last derivative.
    pub fn settled(&self) -> IrResult<Graph> {
        let live = self.live();
        let mut g = Graph::new();
        let mut map: Vec<Option<NodeId>> = vec![None; self.len()];
        for p in self.params() {
            map[p.index()] = Some(g.param(self.ty(*p).clone(), self.node(*p).origin));
        }
        for (id, node) in self.nodes() {
            if !live[id.index()] || map[id.index()].is_some() {
                continue;
            }
            let first = node.inputs.first().copied();
            map[id.index()] = match (&node.op, first) {
                (Op::NoGrad(_) | Op::Stationary | Op::Unary(UnaryOp::StopGrad), Some(a)) => Some(mapped(&map, a)?),
                // With several values its outputs are picked below.
                (Op::Implicit(i), Some(a)) if i.values == 1 => Some(mapped(&map, a)?),
                (Op::Implicit(_), _) => None,
                (Op::Check(_), Some(a)) => {
                    let ok = node.inputs.get(1).copied().unwrap_or(a);
                    // A NaN made from finite numbers, which the search for the first one finds.
                    let b = &mut Build::new(&mut g, node.origin);
                    let (good, bad) = (b.real(1.0)?, b.real(-1.0)?);
                    let sign = b.select(mapped(&map, ok)?, good, bad)?;
                    let factor = b.sqrt(sign)?;
                    Some(b.mul(mapped(&map, a)?, factor)?)
                }
                (Op::Get(k), Some(a)) if matches!(self.node(a).op, Op::Implicit(_)) => {
                    let value = self.node(a).inputs.get(*k as usize).copied();
                    Some(mapped(&map, value.unwrap_or(a))?)
                }
                _ => {
                    let inputs = node.inputs.iter().map(|i| mapped(&map, *i)).collect::<IrResult<Vec<_>>>()?;
                    Some(g.add(settled_op(&node.op)?, &inputs, node.origin)?)
                }
            };
        }
        g.outputs = self.outputs.iter().map(|o| mapped(&map, *o)).collect::<IrResult<_>>()?;
        Ok(g)
    }

    /// Is there anything here, at any depth, that `settled` would change?
    pub fn has_marks(&self) -> bool {
        self.nodes().any(|(_, n)| {
            matches!(n.op, Op::NoGrad(_) | Op::Stationary | Op::Check(_) | Op::Implicit(_) | Op::Unary(UnaryOp::StopGrad))
                || n.op.regions().iter().any(|r| r.has_marks())
        })
    }

    /// The subgraph that computes `targets` from the nodes at which `is_input` holds (and from its own parameters):
    /// the new graph, and for each of its parameters the node here that feeds it.
    pub fn extract(
        &self,
        targets: &[NodeId],
        is_input: impl Fn(NodeId) -> bool,
    ) -> IrResult<(Graph, Vec<NodeId>)> {
        let input = |id: NodeId| is_input(id) || matches!(self.node(id).op, Op::Param(_));
        // Work in proportion to what is reached: the graph may be long, and this is asked for each of its values in turn.
        let mut place = vec![0u32; self.len()];
        let mut reached: Vec<NodeId> = Vec::new();
        let mut work: Vec<NodeId> = targets.to_vec();
        while let Some(id) = work.pop() {
            if std::mem::replace(&mut place[id.index()], 1) != 0 {
                continue;
            }
            reached.push(id);
            if !input(id) {
                work.extend(self.node(id).inputs.iter().copied());
            }
        }
        reached.sort_unstable();
        for (k, id) in reached.iter().enumerate() {
            place[id.index()] = k as u32;
        }
        let mut g = Graph::new();
        g.reserve(reached.len());
        let mut map: Vec<Option<NodeId>> = vec![None; reached.len()];
        let feeds: Vec<NodeId> = reached.iter().copied().filter(|id| input(*id)).collect();
        for f in &feeds {
            let node = self.node(*f);
            map[place[f.index()] as usize] = Some(g.param(node.ty().clone(), node.origin));
        }
        let at = |map: &[Option<NodeId>], id: NodeId| mapped(map, NodeId(place[id.index()]));
        for (k, id) in reached.iter().enumerate() {
            if map[k].is_none() {
                let node = self.node(*id);
                let inputs = node.inputs.iter().map(|i| at(&map, *i)).collect::<IrResult<SmallVec<[_; 4]>>>()?;
                map[k] = Some(g.add(node.op.clone(), &inputs, node.origin)?);
            }
        }
        g.outputs = targets.iter().map(|t| at(&map, *t)).collect::<IrResult<_>>()?;
        Ok((g, feeds))
    }
}

fn settled_op(op: &Op) -> IrResult<Op> {
    let region = |g: &Arc<Graph>| -> IrResult<Arc<Graph>> {
        if g.has_marks() { Ok(Arc::new(g.settled()?)) } else { Ok(g.clone()) }
    };
    Ok(match op {
        Op::Loop(l) => {
            let mut l = l.clone();
            l.body = region(&l.body)?;
            l.cond = l.cond.as_ref().map(region).transpose()?;
            Op::Loop(l)
        }
        Op::Cond { then, other } => Op::Cond { then: region(then)?, other: region(other)? },
        other => other.clone(),
    })
}

fn mapped(map: &[Option<NodeId>], id: NodeId) -> IrResult<NodeId> {
    map.get(id.index())
        .copied()
        .flatten()
        .ok_or_else(|| IrError::Internal(format!("node %{} was not copied before its use", id.0)))
}

/// No source text.
pub const NOWHERE: Origin = Origin { file: 0, start: 0, end: 0 };
