//! Facts about an objective, as the chooser and the checks of methods ask for them.

use super::region_fn::RegionFn;
use crate::interp::{Interp, Mode};
use gradus_facts::{Assume, Composite, Culprit, Curvature, FunctionFacts, Interval, Tri, analyze_assuming};
use gradus_ir::{Array, NodeId};
use std::collections::HashMap;
use std::fmt;

pub struct SolveFacts {
    pub function: FunctionFacts,
    /// What keeps the objective from being convex.
    pub culprit: Option<Culprit>,
    /// The node that has a kink.
    pub rough: Option<NodeId>,
    /// A check found no proof of convexity, but the numbers of the data may give one (a sign, a definite matrix).
    pub waits_for_data: bool,
}

/// The numbers of captured constants.
struct Numbers(HashMap<NodeId, Array>);

impl gradus_facts::Oracle for Numbers {
    fn value(&self, node: NodeId) -> Option<&Array> {
        self.0.get(&node)
    }
}

impl SolveFacts {
    pub fn is_convex(&self) -> bool {
        self.function.curvature.is_convex()
    }
    /// Differentiable, as far as is known: only a proved kink counts against it.
    pub fn is_concave(&self) -> bool {
        self.function.curvature.is_concave()
    }
    pub fn is_smooth(&self) -> bool {
        self.function.differentiable != Tri::No
    }
    pub fn is_quadratic(&self) -> bool {
        self.function.quadratic.is_yes()
    }
    pub fn is_strongly_convex(&self) -> bool {
        self.function.strongly_convex.is.is_yes()
    }
    /// Does it not depend on the unknown?
    pub fn is_zero(&self) -> bool {
        self.function.curvature == Curvature::Constant
    }
    pub fn is_affine(&self) -> bool {
        self.function.curvature == Curvature::Affine
    }
}

impl fmt::Display for SolveFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.function.fmt(f)
    }
}

impl Interp<'_> {
    /// What is known of a traced objective as a function of its unknown.
    pub fn function_facts(&mut self, f: &RegionFn) -> SolveFacts {
        self.facts_in(f, 0..f.leaves)
    }

    /// What is known of it as a function of some leaves of its unknown, the others held.
    pub fn facts_in(&mut self, f: &RegionFn, leaves: std::ops::Range<usize>) -> SolveFacts {
        let numbers = self.numbers_of(f);
        let (psd, ranges) = if self.mode == Mode::Check { self.structure_of(f) } else { Default::default() };
        let variables: Vec<NodeId> = f.graph.params().iter().take(leaves.end).skip(leaves.start).copied().collect();
        let assume = Assume { oracle: Some(&numbers), psd, ranges, ..Assume::default() };
        let facts = analyze_assuming(&f.graph, &variables, assume);
        let out = f.graph.outputs.first().copied().unwrap_or(NodeId(0));
        let function = facts.function(out);
        let culprit = facts.culprit(out, Curvature::Convex);
        let rough = match function.differentiable {
            Tri::No => function.rough.as_ref().map(|(n, _)| *n),
            _ => None,
        };
        let waits_for_data = self.mode == Mode::Check
            && culprit.as_ref().is_some_and(|c| {
                let g = &f.graph;
                let unknown = |n: NodeId| {
                    let made_of_data = g.reaching(&[n], |_| false).iter().enumerate().any(|(k, live)| {
                        *live && matches!(g.node(NodeId(k as u32)).op, gradus_ir::Op::Param(_))
                    });
                    !facts.node(n).depends && made_of_data
                };
                g.node(c.node).inputs.iter().any(|i| unknown(*i))
            });
        SolveFacts { function, culprit, rough, waits_for_data }
    }

    /// The objective as a sum of known functions of affine maps.
    pub fn composite(&mut self, f: &RegionFn) -> Option<Composite> {
        let numbers = self.numbers_of(f);
        let variables: Vec<NodeId> = f.graph.params().iter().take(f.leaves).copied().collect();
        let assume = Assume { oracle: Some(&numbers), ..Assume::default() };
        let out = f.graph.outputs.first().copied()?;
        analyze_assuming(&f.graph, &variables, assume).decompose(out)
    }

    /// Captured parameters whose session values are known.
    fn numbers_of(&self, f: &RegionFn) -> Numbers {
        let mut out = HashMap::new();
        for (p, c) in self.captured(f) {
            if self.tracer.is_session(c)
                && let Some(a) = self.known.get(&c.id)
            {
                out.insert(p, a.clone());
            }
        }
        Numbers(out)
    }

    /// The parameters that stand for captured values, with those values.
    fn captured(&self, f: &RegionFn) -> Vec<(NodeId, crate::value::Num)> {
        let own = f.leaves + usize::from(f.stochastic);
        f.graph.params().iter().skip(own).copied().zip(f.captures.iter().copied()).collect()
    }

    /// Before the data is read: captured square matrices that are positive semidefinite by the way they are made, and the ranges of
    /// captured values (a literal's, a square's).
    fn structure_of(&self, f: &RegionFn) -> (Vec<NodeId>, indexmap::IndexMap<NodeId, Interval>) {
        let captured: Vec<(NodeId, crate::value::Num)> =
            self.captured(f).into_iter().filter(|(_, c)| self.tracer.is_session(*c)).collect();
        let Some((_, first)) = captured.first() else { return Default::default() };
        let Some(graph) = self.tracer.graph_of(*first) else { return Default::default() };
        let facts = analyze_assuming(graph, &[], Assume::default());
        let square = |n: &crate::value::Num| matches!(self.ty(*n).shape.dims(), [a, b] if a == b);
        let psd = captured.iter().filter(|(_, c)| square(c) && facts.is_psd(c.id).is_yes()).map(|(p, _)| *p).collect();
        let ranges = captured.iter().map(|(p, c)| (*p, facts.node(c.id).range)).collect();
        (psd, ranges)
    }
}
