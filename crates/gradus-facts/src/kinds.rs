//! The words in which facts are stated.

use crate::interval::Interval;
use gradus_ir::{Array, NodeId};
use indexmap::IndexMap;
use std::fmt;

/// How a value bends as a function of the variables, element by element, on the set where it is finite. Terms that cancel are gone with
/// their domain: `f - f` is constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curvature {
    Constant,
    Affine,
    Convex,
    Concave,
    Unknown,
}

impl Curvature {
    pub fn of(convex: bool, concave: bool) -> Curvature {
        match (convex, concave) {
            (true, true) => Curvature::Affine,
            (true, false) => Curvature::Convex,
            (false, true) => Curvature::Concave,
            (false, false) => Curvature::Unknown,
        }
    }
    /// Convex in the wide sense: constants and affine values are.
    pub fn is_convex(self) -> bool {
        matches!(self, Curvature::Constant | Curvature::Affine | Curvature::Convex)
    }
    pub fn is_concave(self) -> bool {
        matches!(self, Curvature::Constant | Curvature::Affine | Curvature::Concave)
    }
    pub fn is_affine(self) -> bool {
        matches!(self, Curvature::Constant | Curvature::Affine)
    }
    /// Of the negated value.
    pub fn flipped(self) -> Curvature {
        match self {
            Curvature::Convex => Curvature::Concave,
            Curvature::Concave => Curvature::Convex,
            c => c,
        }
    }
    /// Is this at least as much as `want`?
    pub fn meets(self, want: Curvature) -> bool {
        match want {
            Curvature::Constant => self == Curvature::Constant,
            Curvature::Affine => self.is_affine(),
            Curvature::Convex => self.is_convex(),
            Curvature::Concave => self.is_concave(),
            Curvature::Unknown => true,
        }
    }
}

impl fmt::Display for Curvature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Curvature::Constant => "constant",
            Curvature::Affine => "affine",
            Curvature::Convex => "convex",
            Curvature::Concave => "concave",
            Curvature::Unknown => "of unknown curvature",
        })
    }
}

/// Yes and no are proved; unknown is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tri {
    Yes,
    No,
    Unknown,
}

impl Tri {
    pub fn is_yes(self) -> bool {
        self == Tri::Yes
    }
    pub fn and(self, o: Tri) -> Tri {
        match (self, o) {
            (Tri::No, _) | (_, Tri::No) => Tri::No,
            (Tri::Yes, Tri::Yes) => Tri::Yes,
            _ => Tri::Unknown,
        }
    }
}

impl fmt::Display for Tri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tri::Yes => "yes",
            Tri::No => "no",
            Tri::Unknown => "unknown",
        })
    }
}

/// How a value moves, element by element, when any element of any variable grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Monotone {
    Constant,
    Nondecreasing,
    Nonincreasing,
    Unknown,
}

impl Monotone {
    pub fn flipped(self) -> Monotone {
        match self {
            Monotone::Nondecreasing => Monotone::Nonincreasing,
            Monotone::Nonincreasing => Monotone::Nondecreasing,
            m => m,
        }
    }
    pub fn join(self, o: Monotone) -> Monotone {
        match (self, o) {
            (Monotone::Constant, m) | (m, Monotone::Constant) => m,
            (a, b) if a == b => a,
            _ => Monotone::Unknown,
        }
    }
}

/// Is a value differentiable, is its gradient Lipschitz, is it Lipschitz itself (on all of space)?
#[derive(Clone, Debug, PartialEq)]
pub struct Smoothness {
    pub differentiable: Tri,
    pub lipschitz_gradient: Tri,
    pub lipschitz: bool,
    /// The node that spoils it, and how.
    pub reason: Option<(NodeId, String)>,
}

impl Smoothness {
    pub fn smooth(lipschitz: bool) -> Smoothness {
        Smoothness { differentiable: Tri::Yes, lipschitz_gradient: Tri::Yes, lipschitz, reason: None }
    }
}

/// The numbers of constants, where they are known (in a run; not in a check).
pub trait Oracle {
    fn value(&self, node: NodeId) -> Option<&Array>;
}

/// What is known beside the graph.
#[derive(Clone, Default)]
pub struct Assume<'a> {
    pub oracle: Option<&'a dyn Oracle>,
    /// Ranges of variables (a set they are kept in) and of constants (a declared sign).
    pub ranges: IndexMap<NodeId, Interval>,
    /// Constant square matrices declared positive semidefinite.
    pub psd: Vec<NodeId>,
    /// What to call nodes in derivations; parameters without a name are `p0`, `p1`, ….
    pub names: IndexMap<NodeId, String>,
}
