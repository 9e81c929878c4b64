//! Proofs of rewritten graphs, and the checker that trusts none of them.
//!
//! Owns:    the form of a proof, the laws stated apart from the rules that apply them, facts and normal forms derived anew.
//! Never:   shares code with the rewriter or its search; takes a step, a fact or a normal form on trust.
//! Reads:   a proof: both graphs, terms, and steps `left = right` by a law.
//! Returns: what was verified, or the first thing that does not follow.
//!
//! Equality means: over the real numbers, wherever the values on the way are defined. What floats make of it is the business of
//! a rule's class. The conclusion follows from the steps by congruence (`bank.rs`); loops are compared value by value of what they
//! carry (`import.rs`).

mod bank;
mod check;
mod facts;
mod file;
mod form;
mod import;
mod index;
mod laws;
mod logs;
mod pattern;
mod piecewise;
mod reductions;
mod stated;
mod systems;
mod write;
#[cfg(test)]
mod tests;

pub use check::check;
pub use file::File;
pub use import::LoopMap;
pub use laws::{Law, NORMAL, law, laws};
pub use write::{Claim, Draft, finish};

use std::collections::BTreeMap;

/// One equation of a proof. Terms are written `%7: real[3]`, by their numbers in `Proof::terms`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    pub law: String,
    pub left: String,
    pub right: String,
    /// The substitution: the terms at which both sides end, by the law's names (or by numbers, where it has none).
    pub with: Vec<(String, String)>,
    /// Names of the law that stand for numbers.
    pub numbers: Vec<(String, f64)>,
    pub axes: Option<Vec<usize>>,
    /// What licensed the step, each with what it follows from.
    pub facts: Vec<String>,
}

/// A law that a proof takes from its script: nobody has proved it, and whoever accepts the proof accepts it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// `law NAME`.
    pub law: String,
    /// Names of the graph's parameters.
    pub variables: Vec<String>,
    /// Outputs: left side, right side, conditions. Lengths may be names.
    pub graph: String,
    /// On how many random instances it was found to hold.
    pub tested: usize,
}

/// A proof that two graphs give the same outputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proof {
    pub before: String,
    pub after: String,
    pub loops: Vec<LoopMap>,
    pub given: Vec<Given>,
    /// `%7: real[3] out of fista#0`: work that left a loop.
    pub hoisted: Vec<String>,
    /// What the parameters of `terms` are.
    pub atoms: Vec<String>,
    /// The terms of the steps, as a graph.
    pub terms: String,
    pub steps: Vec<Step>,
    /// Proofs of rewritten branches.
    pub branches: Vec<Proof>,
    /// What was done to the graph `after`: at most one proof, which begins where this one ends.
    pub then: Vec<Proof>,
}

impl Proof {
    /// The graph that the proof ends with.
    pub fn last(&self) -> &str {
        self.then.last().map_or(&self.after, |p| p.last())
    }
}

/// What a proof was found to be made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub steps: usize,
    pub hoisted: usize,
    /// How often each law was used.
    pub laws: BTreeMap<String, usize>,
    /// The script's laws that it rests on, with the number of instances on which each was tested.
    pub given: BTreeMap<String, usize>,
}

/// Why a proof is not accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub step: Option<usize>,
    pub law: String,
    pub what: String,
}

impl Refused {
    pub(crate) fn whole(what: String) -> Refused {
        Refused { step: None, law: String::new(), what }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.step {
            Some(k) => write!(f, "step {k} ({}): {}", self.law, self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for Refused {}
