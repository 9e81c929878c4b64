//! From the sea back to regions: every node goes to the deepest loop it depends on; what a loop needs from outside is captured.

use crate::emit;
use crate::sea::{Deps, Sea, Sop, deps_of, is_free};
use egg::Id;
use gradus_ir::{Graph, IrError, IrResult, Loop, NodeId, Op, Ty};
use std::sync::Arc;

/// Where the nodes of a sea belong.
pub struct Homes {
    pub deps: Vec<Deps>,
    /// The deepest loop a node depends on.
    pub home: Vec<Option<u32>>,
}

/// Nodes must be in order, operands first.
pub fn homes(sea: &Sea) -> Homes {
    let mut deps: Vec<Deps> = Vec::with_capacity(sea.nodes.len());
    for n in &sea.nodes {
        let d = deps_of(&n.op, n.kids.iter().map(|k| &deps[usize::from(*k)]));
        deps.push(d);
    }
    // A loop stands after the loops inside it.
    let mut depth = vec![0u32; sea.loops.len()];
    for (n, d) in sea.nodes.iter().zip(&deps).rev() {
        if let Sop::Loop(l) = n.op {
            depth[l as usize] = 1 + d.iter().map(|m| depth[*m as usize]).max().unwrap_or(0);
        }
    }
    let home = deps.iter().map(|d| d.iter().copied().max_by_key(|l| depth[*l as usize])).collect();
    Homes { deps, home }
}

/// How many ops leave the loop they were written in.
pub fn moved(sea: &Sea) -> usize {
    let homes = homes(sea);
    let leaves = |(n, h): &(&crate::sea::SeaNode, &Option<u32>)| {
        n.written != **h && !is_free(&n.op) && !matches!(n.op, Sop::LoopParam { .. } | Sop::Ir(Op::Param(_) | Op::Get(_)))
    };
    sea.nodes.iter().zip(&homes.home).filter(leaves).count()
}

struct Frame {
    of: Option<u32>,
    graph: Graph,
    map: Vec<Option<NodeId>>,
    captures: Vec<Id>,
}

struct Export<'s> {
    sea: &'s Sea,
    homes: Homes,
    /// The nodes of each loop (and, last, of no loop), in order.
    members: Vec<Vec<usize>>,
    frames: Vec<Frame>,
}

fn internal<T>(what: &str) -> IrResult<T> {
    Err(IrError::Internal(what.into()))
}

/// The graph of a sea whose nodes are in order, with the same parameters and outputs.
pub fn export(sea: &Sea) -> IrResult<Graph> {
    let homes = homes(sea);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); sea.loops.len() + 1];
    for (k, h) in homes.home.iter().enumerate() {
        members[h.map_or(sea.loops.len(), |l| l as usize)].push(k);
    }
    let mut root = Frame { of: None, graph: Graph::new(), map: vec![None; sea.nodes.len()], captures: Vec::new() };
    let params: Vec<NodeId> = sea.params.iter().map(|(t, o)| root.graph.param(t.clone(), *o)).collect();
    for (k, n) in sea.nodes.iter().enumerate() {
        if let Sop::Ir(Op::Param(p)) = n.op {
            root.map[k] = params.get(p as usize).copied();
        }
    }
    let mut x = Export { sea, homes, members, frames: vec![root] };
    let outputs = x.fill(&sea.outputs)?;
    let Some(mut root) = x.frames.pop() else { return internal("no region") };
    root.graph.outputs = outputs;
    root.graph.compact()
}

impl Export<'_> {
    /// Add what the targets need to the innermost open region; returns where they are in it.
    fn fill(&mut self, targets: &[Id]) -> IrResult<Vec<NodeId>> {
        let Some(top) = self.frames.len().checked_sub(1) else { return internal("no region") };
        let of = self.frames[top].of;
        // What the targets reach without leaving the loop.
        let inside = |k: usize| of.is_none_or(|l| self.homes.deps[k].contains(&l));
        let mut need = vec![false; self.sea.nodes.len()];
        let mut work: Vec<usize> = targets.iter().map(|t| usize::from(*t)).collect();
        while let Some(k) = work.pop() {
            if !inside(k) || std::mem::replace(&mut need[k], true) {
                continue;
            }
            work.extend(self.sea.nodes[k].kids.iter().map(|i| usize::from(*i)));
        }
        let list = of.map_or(self.sea.loops.len(), |l| l as usize);
        for at in 0..self.members[list].len() {
            let k = self.members[list][at];
            if need[k] && !is_free(&self.sea.nodes[k].op) && self.frames[top].map[k].is_none() {
                let id = self.node(top, k)?;
                self.frames[top].map[k] = Some(id);
            }
        }
        targets.iter().map(|t| self.value(top, *t)).collect()
    }

    /// Where a value is in an open region; captured from outside where it belongs there.
    fn value(&mut self, frame: usize, id: Id) -> IrResult<NodeId> {
        let k = usize::from(id);
        if let Some(v) = self.frames[frame].map[k] {
            return Ok(v);
        }
        let v = if is_free(&self.sea.nodes[k].op) {
            self.node(frame, k)?
        } else {
            let Some(outer) = frame.checked_sub(1) else { return internal("a value is used outside its loop") };
            let from = self.value(outer, id)?;
            let node = self.frames[outer].graph.node(from);
            let (ty, origin) = (node.ty().clone(), node.origin);
            self.frames[frame].captures.push(id);
            self.frames[frame].graph.param(ty, origin)
        };
        self.frames[frame].map[k] = Some(v);
        Ok(v)
    }

    fn node(&mut self, frame: usize, k: usize) -> IrResult<NodeId> {
        let node = &self.sea.nodes[k];
        if let Sop::Loop(l) = node.op {
            return self.enter(frame, k, l);
        }
        let mut kids = Vec::with_capacity(node.kids.len());
        for i in &node.kids {
            kids.push(self.value(frame, *i)?);
        }
        let g = &mut self.frames[frame].graph;
        let real = Ty::scalar(gradus_ir::DType::Real);
        let ty = node.tys.first().unwrap_or(&real);
        match &node.op {
            Sop::Ir(op) | Sop::Pinned { op, .. } | Sop::Unique { op, .. } => g.add(op.clone(), &kids, node.origin),
            Sop::Lin { coeffs, constant } => {
                let terms: Vec<(f64, NodeId)> = coeffs.iter().map(|c| c.get()).zip(kids).collect();
                emit::lin(g, &terms, constant.get(), ty, node.origin)
            }
            Sop::Prod(exps) => {
                let factors: Vec<(NodeId, i32)> = kids.into_iter().zip(exps.iter().copied()).collect();
                emit::prod(g, &factors, ty, node.origin)
            }
            Sop::LoopParam { .. } => internal("a loop parameter outside its loop"),
            Sop::Loop(_) => internal("unreachable"),
        }
    }

    /// A region of loop `l`: its graph with `targets` as outputs, and what it captures.
    fn region(&mut self, l: u32, params: usize, targets: &[Id]) -> IrResult<(Graph, Vec<Id>)> {
        let mut graph = Graph::new();
        let mut map = vec![None; self.sea.nodes.len()];
        let info = &self.sea.loops[l as usize];
        let at = self.sea.node(targets.first().copied().unwrap_or_default()).origin;
        let own: Vec<NodeId> = info.params.iter().take(params).map(|t| graph.param(t.clone(), at)).collect();
        for k in &self.members[l as usize] {
            if let Sop::LoopParam { of, index } = self.sea.nodes[*k].op
                && of == l
            {
                map[*k] = own.get(index as usize).copied();
            }
        }
        self.frames.push(Frame { of: Some(l), graph, map, captures: Vec::new() });
        let outputs = self.fill(targets)?;
        let Some(mut f) = self.frames.pop() else { return internal("no region") };
        f.graph.outputs = outputs;
        Ok((f.graph, f.captures))
    }

    fn enter(&mut self, frame: usize, k: usize, l: u32) -> IrResult<NodeId> {
        let info = self.sea.loops[l as usize].clone();
        let node = &self.sea.nodes[k];
        let kids = node.kids.clone();
        let given = info.carries + info.scanned;
        if kids.len() < given + usize::from(info.has_cond) + info.carries + info.collected {
            return internal("loop: an operand is missing");
        }
        let start = given + usize::from(info.has_cond);
        let (mut body, mut captures) = self.region(l, 1 + given, &kids[start..])?;
        let cond = if info.has_cond {
            let (cond, own) = self.region(l, 1 + info.carries, &kids[given..start])?;
            let frame = &self.frames[frame];
            for c in &own {
                if !captures.contains(c) {
                    let from = frame.map[usize::from(*c)].ok_or_else(|| IrError::Internal("a capture is lost".into()))?;
                    body.param(frame.graph.ty(from).clone(), node.origin);
                    captures.push(*c);
                }
            }
            // The same parameters in the same order for both.
            let mut both = Graph::new();
            let mut args: Vec<NodeId> =
                info.params.iter().take(1 + info.carries).map(|t| both.param(t.clone(), node.origin)).collect();
            let mut captured = Vec::new();
            for c in &captures {
                let from = frame.map[usize::from(*c)].ok_or_else(|| IrError::Internal("a capture is lost".into()))?;
                captured.push(both.param(frame.graph.ty(from).clone(), node.origin));
            }
            for c in &own {
                args.extend(captures.iter().position(|d| d == c).and_then(|j| captured.get(j)).copied());
            }
            both.outputs = both.inline(&cond, &args)?;
            Some(Arc::new(both))
        } else {
            None
        };
        let mut inputs = Vec::new();
        for i in kids.iter().take(given).chain(&captures) {
            inputs.push(self.value(frame, *i)?);
        }
        let op = Op::Loop(Box::new(Loop {
            trip: info.trip.clone(),
            carries: info.carries,
            scanned: info.scanned,
            collected: info.collected,
            cond,
            body: Arc::new(body.compact()?),
            label: info.label.clone(),
        }));
        self.frames[frame].graph.add(op, &inputs, node.origin)
    }
}
