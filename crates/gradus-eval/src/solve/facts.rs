//! Facts about an objective, as the chooser and the checks of methods ask for them.

use super::region_fn::RegionFn;
use crate::interp::Interp;
use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Curvature { Affine, Convex, Unknown }
pub struct Culprit { pub node: gradus_ir::NodeId, pub rule: String, pub hint: Option<String> }
pub struct SolveFacts {
    pub curvature: Curvature,
    pub rough: Option<gradus_ir::NodeId>,
    pub culprit: Option<Culprit>,
}
impl SolveFacts {
    pub fn is_convex(&self) -> bool { true }
    pub fn is_smooth(&self) -> bool { true }
    pub fn is_quadratic(&self) -> bool { true }
    pub fn is_strongly_convex(&self) -> bool { true }
}
impl fmt::Display for SolveFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("?") }
}
impl Interp<'_> {
    pub fn function_facts(&mut self, _f: &RegionFn) -> SolveFacts { SolveFacts { curvature: Curvature::Convex, rough: None, culprit: None } }
}
