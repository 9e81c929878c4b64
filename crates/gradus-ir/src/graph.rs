//! The graph: nodes in topological order, each with its type and where it came from.

use crate::error::{IrError, IrResult};
use crate::fold;
use crate::infer::infer;
use crate::op::Op;
use crate::ty::{DType, Shape, Ty};
use hashbrown::HashTable;
use rustc_hash::FxHasher;
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};

/// A node of one graph. For an op with several outputs it stands for the whole tuple; `Op::Get` picks one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

impl NodeId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The source text behind a node: file number and byte range; all zero where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    pub file: u32,
    pub start: u32,
    pub end: u32,
}

#[derive(Clone, Debug)]
pub struct Node {
    pub op: Op,
    pub inputs: SmallVec<[NodeId; 3]>,
    /// One type, or several for an op with several outputs.
    pub tys: SmallVec<[Ty; 1]>,
    pub origin: Origin,
}

impl Node {
    /// The type of a node with one output; of a tuple, the type of its first.
    pub fn ty(&self) -> &Ty {
        &self.tys[0]
    }
}

/// A region: parameters in, outputs out. Nodes only refer to earlier nodes.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    params: Vec<NodeId>,
    pub outputs: Vec<NodeId>,
    /// Pure nodes by op and inputs. Nothing iterates over it.
    shared: HashTable<NodeId>,
}

fn key(op: &Op, inputs: &[NodeId]) -> u64 {
    let mut h = FxHasher::default();
    op.hash(&mut h);
    inputs.hash(&mut h);
    h.finish()
}

impl Graph {
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Make room for so many more nodes.
    pub fn reserve(&mut self, more: usize) {
        self.nodes.reserve(more);
        let nodes = &self.nodes;
        self.shared.reserve(more, |k| {
            let n = &nodes[k.index()];
            key(&n.op, &n.inputs)
        });
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub fn params(&self) -> &[NodeId] {
        &self.params
    }

    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> + ExactSizeIterator {
        self.nodes.iter().enumerate().map(|(k, n)| (NodeId(k as u32), n))
    }

    pub fn ty(&self, id: NodeId) -> &Ty {
        self.node(id).ty()
    }

    pub fn shape(&self, id: NodeId) -> &Shape {
        &self.node(id).ty().shape
    }

    pub fn dtype(&self, id: NodeId) -> DType {
        self.node(id).ty().dtype
    }

    /// A new parameter, after those that exist.
    pub fn param(&mut self, ty: Ty, origin: Origin) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        let op = Op::Param(self.params.len() as u32);
        self.nodes.push(Node { op, inputs: SmallVec::new(), tys: smallvec::smallvec![ty], origin });
        self.params.push(id);
        id
    }

    /// Add an op, or find the equal node that is there already. Constants are folded and identities removed, exactly
    /// (`fold.rs`); the result's type is that of the op's rule (`infer.rs`).
    pub fn add(&mut self, op: Op, inputs: &[NodeId], origin: Origin) -> IrResult<NodeId> {
        if let Some(id) = fold::fold(self, &op, inputs, origin)? {
            return Ok(id);
        }
        self.add_plain(op, inputs, origin)
    }

    /// Like `add`, without folding.
    pub fn add_plain(&mut self, op: Op, inputs: &[NodeId], origin: Origin) -> IrResult<NodeId> {
        if let Op::Param(_) = op {
            return Err(IrError::Internal("a parameter is added by `param`".into()));
        }
        if let Some(bad) = inputs.iter().find(|i| i.index() >= self.nodes.len()) {
            return Err(IrError::Internal(format!("input %{} of {} is not in the graph", bad.0, op.name())));
        }
        let pure = op.is_pure();
        let hash = if pure { key(&op, inputs) } else { 0 };
        let same = |id: &NodeId| {
            let n = self.node(*id);
            n.inputs.as_slice() == inputs && n.op == op
        };
        if pure && let Some(id) = self.shared.find(hash, same) {
            return Ok(*id);
        }
        let tys = {
            let types: SmallVec<[&[Ty]; 4]> = inputs.iter().map(|i| self.node(*i).tys.as_slice()).collect();
            infer(&op, &types)?
        };
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(Node { op, inputs: SmallVec::from_slice(inputs), tys, origin });
        if pure {
            let nodes = &self.nodes;
            self.shared.insert_unique(hash, id, |k| {
                let n = &nodes[k.index()];
                key(&n.op, &n.inputs)
            });
        }
        Ok(id)
    }

    /// The value of a scalar constant.
    pub fn constant(&self, id: NodeId) -> Option<f64> {
        match &self.node(id).op {
            Op::Const(v, _) => Some(v.get()),
            _ => None,
        }
    }
}
