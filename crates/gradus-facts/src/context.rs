//! What every rule reads: the region, which nodes depend on the variables, and the facts found so far.

use crate::combo::Combo;
use crate::interval::Interval;
use crate::kinds::{Assume, Curvature, Monotone, Smoothness};
use crate::piecewise::Piecewise;
use crate::quadratic::Form;
use gradus_ir::{Array, BinaryOp, DType, Graph, Node, NodeId, Op, UnaryOp};
use std::rc::Rc;

/// Everything known of one node as a function of the variables.
#[derive(Clone, Debug)]
pub struct NodeFacts {
    /// Does it depend on a variable at all?
    pub depends: bool,
    /// What every element lies in.
    pub range: Interval,
    /// Element by element, on the set where the value is finite.
    pub curvature: Curvature,
    pub monotone: Monotone,
    /// The curvature of its logarithm; `Unknown` where it is not known to be positive.
    pub log_curvature: Curvature,
    /// The degree as a polynomial in the variables, where it is one (an upper bound).
    pub degree: Option<u32>,
    pub smoothness: Smoothness,
    /// The rule that gave the curvature.
    pub(crate) rule: String,
    /// The nodes the rule reads.
    pub(crate) premises: Vec<NodeId>,
    /// The curvature is that of the one value it reads.
    pub(crate) passes_on: bool,
    /// The curvature is that of a sum's terms.
    pub(crate) is_sum: bool,
}

pub(crate) struct Cx<'a> {
    pub g: &'a Graph,
    pub vars: Vec<NodeId>,
    pub assume: Assume<'a>,
    pub dep: Vec<bool>,
    pub facts: Vec<NodeFacts>,
    pub combos: Vec<Rc<Combo>>,
    pub forms: Vec<Option<Rc<Form>>>,
    pub pieces: Vec<Option<Rc<Piecewise>>>,
}

impl<'a> Cx<'a> {
    pub fn node(&self, id: NodeId) -> &'a Node {
        self.g.node(id)
    }
    pub fn op(&self, id: NodeId) -> &'a Op {
        &self.g.node(id).op
    }
    pub fn input(&self, id: NodeId, k: usize) -> Option<NodeId> {
        self.node(id).inputs.get(k).copied()
    }
    pub fn depends(&self, id: NodeId) -> bool {
        self.dep[id.index()]
    }
    pub fn f(&self, id: NodeId) -> &NodeFacts {
        &self.facts[id.index()]
    }
    pub fn range(&self, id: NodeId) -> Interval {
        self.facts[id.index()].range
    }
    pub fn curvature(&self, id: NodeId) -> Curvature {
        self.facts[id.index()].curvature
    }
    pub fn is_affine(&self, id: NodeId) -> bool {
        self.curvature(id).is_affine()
    }

    /// The operand of a unary op of this kind.
    pub fn unary(&self, id: NodeId, u: UnaryOp) -> Option<NodeId> {
        match self.op(id) {
            Op::Unary(v) if *v == u => self.input(id, 0),
            _ => None,
        }
    }

    pub fn binary(&self, id: NodeId) -> Option<(BinaryOp, NodeId, NodeId)> {
        match self.op(id) {
            Op::Binary(b) => Some((*b, self.input(id, 0)?, self.input(id, 1)?)),
            _ => None,
        }
    }

    /// The node behind ops that do not change values: broadcasting, conversion, derivative stops.
    pub fn bare(&self, mut id: NodeId) -> NodeId {
        loop {
            let through = matches!(self.op(id), Op::Broadcast(_) | Op::NoGrad(_) | Op::Unary(UnaryOp::StopGrad | UnaryOp::ToReal));
            match self.input(id, 0) {
                Some(a) if through => id = a,
                _ => return id,
            }
        }
    }

    /// The one number that all elements of a constant are, where it is a number in the text or known to the oracle.
    pub fn number(&self, id: NodeId) -> Option<f64> {
        let combo = &self.combos[id.index()];
        if combo.terms.is_empty() {
            return Some(combo.constant);
        }
        if self.depends(id) {
            return None;
        }
        self.range(id).as_point()
    }

    /// The elements of a constant: a literal, or what the oracle knows.
    pub fn value(&self, id: NodeId) -> Option<&'a Array> {
        if self.depends(id) {
            return None;
        }
        match self.op(id) {
            Op::Literal(a) => Some(a),
            _ => self.assume.oracle.and_then(|o| o.value(id)),
        }
    }

    pub fn is_numeric(&self, id: NodeId) -> bool {
        self.g.dtype(id) != DType::Bool
    }

    pub fn rank(&self, id: NodeId) -> usize {
        self.g.shape(id).rank()
    }
}
