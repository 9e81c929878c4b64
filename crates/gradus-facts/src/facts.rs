//! The answers: facts of nodes, their derivations, and summaries.

use crate::analyze::run;
use crate::composite::{self, Composite};
use crate::context::{Cx, NodeFacts};
use crate::culprit::{self, Culprit};
use crate::kinds::{Assume, Curvature, Tri};
use crate::matrix::{Definite, definite};
use crate::print::expression;
use crate::summary::{self, FunctionFacts};
use gradus_ir::{Graph, NodeId};

/// The facts of every node of a region as functions of the chosen variables.
pub struct Facts<'a> {
    pub(crate) cx: Cx<'a>,
}

/// Facts of all nodes as functions of `variables` (nodes of the region, usually parameters); everything else is constant.
pub fn analyze<'a>(region: &'a Graph, variables: &[NodeId]) -> Facts<'a> {
    analyze_assuming(region, variables, Assume::default())
}

/// The same with what the caller knows beside the graph. Every conclusion holds under these assumptions.
pub fn analyze_assuming<'a>(region: &'a Graph, variables: &[NodeId], assume: Assume<'a>) -> Facts<'a> {
    Facts { cx: run(region, variables, assume) }
}

impl Facts<'_> {
    pub fn node(&self, id: NodeId) -> &NodeFacts {
        self.cx.f(id)
    }

    pub fn curvature(&self, id: NodeId) -> Curvature {
        self.cx.curvature(id)
    }

    pub fn is_convex(&self, id: NodeId) -> bool {
        self.curvature(id).is_convex()
    }

    /// The node as a short expression in the names of the assumptions.
    pub fn expression(&self, id: NodeId) -> String {
        expression(&self.cx, id)
    }

    /// The derivation of a node's curvature: one line per step, the conclusion first, premises indented below it.
    pub fn why(&self, id: NodeId) -> Vec<String> {
        let mut lines = Vec::new();
        let mut seen = Vec::new();
        self.derive(id, 0, &mut lines, &mut seen);
        lines
    }

    fn derive(&self, id: NodeId, depth: usize, lines: &mut Vec<String>, seen: &mut Vec<NodeId>) {
        // Derivations are for reading: the outer steps tell the story.
        if depth > 8 || lines.len() > 40 || seen.contains(&id) {
            return;
        }
        seen.push(id);
        let f = self.cx.f(id);
        let indent = "  ".repeat(depth);
        let rule = if f.curvature == Curvature::Unknown { "no rule applies" } else { f.rule.as_str() };
        lines.push(format!("{indent}`{}` is {}: {rule}", self.expression(id), f.curvature));
        if f.curvature.is_affine() {
            return;
        }
        for p in &f.premises {
            self.derive(*p, depth + 1, lines, seen);
        }
    }

    /// What keeps the node from having this curvature; `None` where it has it.
    pub fn culprit(&self, id: NodeId, want: Curvature) -> Option<Culprit> {
        culprit::culprit(&self.cx, id, want)
    }

    /// Everything known of a scalar output as a function.
    pub fn function(&self, id: NodeId) -> FunctionFacts {
        summary::function(&self.cx, id)
    }

    /// The function as a sum of known convex functions of affine maps, where all of it can be read so.
    pub fn decompose(&self, id: NodeId) -> Option<Composite> {
        composite::decompose(&self.cx, id)
    }

    /// Is the symmetric part of a constant matrix positive semidefinite? "No" is said only of what is negative semidefinite and strictly so.
    pub fn is_psd(&self, id: NodeId) -> Tri {
        match definite(&self.cx, id) {
            Definite::Positive { .. } => Tri::Yes,
            Definite::Negative { strict: true } => Tri::No,
            _ => Tri::Unknown,
        }
    }
}

/// `Facts::decompose` of the first output of a region in the variables `x`.
pub fn decompose(region: &Graph, x: &[NodeId]) -> Option<Composite> {
    let out = region.outputs.first()?;
    analyze(region, x).decompose(*out)
}
