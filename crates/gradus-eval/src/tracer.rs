//! The graphs being built: a stack of levels, the session's graph at the bottom, one more for each region in the making.
//!
//! A value of an outer level that is used inside a region becomes a parameter of the region (a capture), once.

use crate::value::Num;
use gradus_ir::{Graph, IrError, NodeId, Op, Origin, Ty};
use indexmap::IndexMap;
use std::cell::RefCell;

pub struct Level {
    pub uid: u64,
    pub graph: Graph,
    /// For each captured outer value, the parameter that stands for it.
    captures: IndexMap<Num, NodeId>,
    reached: RefCell<Reached>,
}

/// Which nodes depend on some of them, as far as the graph was looked at: a graph only grows at its end.
#[derive(Default)]
struct Reached {
    from: Vec<NodeId>,
    nodes: Vec<bool>,
}

impl Level {
    fn depends(&self, id: NodeId, from: &[NodeId]) -> bool {
        let mut r = self.reached.borrow_mut();
        if r.from != from {
            *r = Reached { from: from.to_vec(), nodes: Vec::new() };
        }
        for k in r.nodes.len()..self.graph.len() {
            let k = NodeId(k as u32);
            let yes = from.contains(&k) || self.graph.node(k).inputs.iter().any(|i| r.nodes[i.index()]);
            r.nodes.push(yes);
        }
        r.nodes.get(id.index()).copied().unwrap_or(false)
    }
}

pub struct Tracer {
    levels: Vec<Level>,
    next_uid: u64,
    pub origin: Origin,
}

/// A finished region: its parameters are those asked for, then one for each captured value.
pub struct Region {
    pub graph: Graph,
    pub captures: Vec<Num>,
}

impl Default for Tracer {
    fn default() -> Self {
        Tracer::new()
    }
}

impl Tracer {
    pub fn new() -> Tracer {
        let mut t = Tracer { levels: Vec::new(), next_uid: 0, origin: Origin::default() };
        t.push();
        t
    }

    pub fn depth(&self) -> usize {
        self.levels.len()
    }

    fn push(&mut self) {
        let uid = self.next_uid;
        self.next_uid += 1;
        self.levels.push(Level { uid, graph: Graph::new(), captures: IndexMap::new(), reached: RefCell::default() });
    }

    fn internal(text: &str) -> IrError {
        IrError::Internal(text.to_string())
    }

    pub fn top(&mut self) -> Result<&mut Level, IrError> {
        self.levels.last_mut().ok_or_else(|| Tracer::internal("no graph is being built"))
    }

    /// The session's own graph.
    pub fn session(&mut self) -> Result<&mut Level, IrError> {
        self.levels.first_mut().ok_or_else(|| Tracer::internal("no session graph"))
    }

    pub fn is_session(&self, n: Num) -> bool {
        self.levels.first().is_some_and(|l| l.uid == n.level)
    }

    /// The value that a capture stands for, as far out as it goes.
    pub fn source(&self, n: Num) -> Num {
        let mut at = n;
        while let Some(from) = self
            .levels
            .iter()
            .find(|l| l.uid == at.level)
            .and_then(|l| l.captures.iter().find(|(_, p)| **p == at.id).map(|(outer, _)| *outer))
        {
            at = from;
        }
        at
    }

    pub fn graph_of(&self, n: Num) -> Option<&Graph> {
        self.levels.iter().rev().find(|l| l.uid == n.level).map(|l| &l.graph)
    }

    /// Does a value depend on one of `xs`, which are values of one graph? A value of another graph does not.
    pub fn depends(&self, n: Num, xs: &[Num]) -> bool {
        let Some(level) = xs.first().map(|x| x.level) else { return false };
        let from: Vec<NodeId> = xs.iter().map(|x| x.id).collect();
        n.level == level && self.levels.iter().rev().find(|l| l.uid == level).is_some_and(|l| l.depends(n.id, &from))
    }

    /// Bytes of all graphs under construction, without what their ops hold.
    pub fn bytes(&self) -> usize {
        self.levels.iter().map(|l| l.graph.len() * size_of::<gradus_ir::Node>()).sum()
    }

    pub fn ty(&self, n: Num) -> Option<&Ty> {
        self.graph_of(n).map(|g| g.ty(n.id))
    }

    /// The node of the innermost graph that stands for `n`.
    pub fn use_node(&mut self, n: Num) -> Result<NodeId, IrError> {
        let at = self
            .levels
            .iter()
            .rposition(|l| l.uid == n.level)
            .ok_or_else(|| Tracer::internal("a value outlived the region it was made in"))?;
        let mut id = n.id;
        for k in at + 1..self.levels.len() {
            let (outer, inner) = self.levels.split_at_mut(k);
            let (Some(from), Some(to)) = (outer.last(), inner.first_mut()) else { break };
            let node = from.graph.node(id);
            // Constants are made again rather than carried in.
            if let Op::Const(..) | Op::DimValue(_) = node.op {
                id = to.graph.add(node.op.clone(), &[], node.origin)?;
                continue;
            }
            let key = Num { level: from.uid, id };
            id = match to.captures.get(&key) {
                Some(p) => *p,
                None => {
                    let p = to.graph.param(node.ty().clone(), node.origin);
                    to.captures.insert(key, p);
                    p
                }
            };
        }
        Ok(id)
    }

    /// Add an op to the innermost graph.
    pub fn emit(&mut self, op: Op, inputs: &[Num]) -> Result<Num, IrError> {
        let ids = inputs.iter().map(|n| self.use_node(*n)).collect::<Result<Vec<_>, _>>()?;
        let origin = self.origin;
        let top = self.top()?;
        let id = top.graph.add(op, &ids, origin)?;
        Ok(Num { level: top.uid, id })
    }

    /// Add an op to the session's graph, whatever is being traced.
    pub fn emit_in_session(&mut self, op: Op, inputs: &[Num]) -> Result<Num, IrError> {
        self.emit_at(1, op, inputs)
    }

    /// Add an op to the graph that is the innermost of the first `depth`.
    pub fn emit_at(&mut self, depth: usize, op: Op, inputs: &[Num]) -> Result<Num, IrError> {
        let inner = self.levels.split_off(depth.clamp(1, self.levels.len()));
        let out = self.emit(op, inputs);
        self.levels.extend(inner);
        out
    }

    /// Run `body` with a new graph whose first parameters have the given types; its results are the outputs.
    pub fn begin(&mut self, params: &[Ty]) -> Result<Vec<Num>, IrError> {
        self.push();
        let origin = self.origin;
        let top = self.top()?;
        let uid = top.uid;
        Ok(params.iter().map(|t| Num { level: uid, id: top.graph.param(t.clone(), origin) }).collect())
    }

    /// Close the innermost graph with these outputs.
    pub fn end(&mut self, outputs: &[Num]) -> Result<Region, IrError> {
        let outs = outputs.iter().map(|n| self.use_node(*n)).collect::<Result<Vec<_>, _>>();
        let Some(level) = self.levels.pop() else { return Err(Tracer::internal("no graph to close")) };
        let mut graph = level.graph;
        graph.outputs = outs?;
        // Captures were added as parameters in the order of first use, so they follow the given ones.
        Ok(Region { graph, captures: level.captures.into_keys().collect() })
    }

    /// Drop the innermost graph after a failure.
    pub fn abandon(&mut self, depth: usize) {
        self.levels.truncate(depth.max(1));
    }

    /// Copy a region into the innermost graph.
    pub fn inline(&mut self, region: &Graph, args: &[Num]) -> Result<Vec<Num>, IrError> {
        let ids = args.iter().map(|n| self.use_node(*n)).collect::<Result<Vec<_>, _>>()?;
        let top = self.top()?;
        let uid = top.uid;
        Ok(top.graph.inline(region, &ids)?.into_iter().map(|id| Num { level: uid, id }).collect())
    }
}
