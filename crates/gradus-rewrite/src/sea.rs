//! The sea: one flat list of nodes for a graph and the bodies of its loops.
//!
//! Bodies are taken apart so that captured values are simply operands and the outputs of a body are operands of the loop. A node
//! then belongs to the deepest loop whose parameters it depends on: moving invariant work out of loops is not a rule but what
//! putting the regions together again (`export.rs`) does by itself. Branches of `cond` stay regions, since their work is only done
//! when they are taken.

use egg::Id;
use gradus_ir::{Dim, F64, Op, Origin, Trip, Ty};
use indexmap::IndexMap;
use smallvec::SmallVec;
use std::sync::Arc;

pub type Kids = SmallVec<[Id; 4]>;
pub type Types = SmallVec<[Ty; 1]>;
/// Sorted ids of the loops a value depends on.
pub type Deps = SmallVec<[u32; 2]>;

/// An operation of the sea.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sop {
    /// An op of the graph language (never a loop; `Get` and `Param` included).
    Ir(Op),
    /// An op that must not leave the loops `within`: it may fault, and they may run zero times.
    Pinned { op: Op, within: Deps },
    /// An op that is never shared with another of its kind (the clock).
    Unique { op: Op, within: Option<u32>, serial: u32 },
    /// A parameter of a loop body: `[step, carries.., slices..]`.
    LoopParam { of: u32, index: u32 },
    /// Kids: initial carries, scanned arrays, condition (where there is one), then the outputs of the body.
    Loop(u32),
    /// `constant + sum of coefficient * kid`, real, kids broadcast. Kids are sorted and different.
    Lin { coeffs: SmallVec<[F64; 4]>, constant: F64 },
    /// Product of powers of kids, real, kids broadcast. Kids are sorted and different; exponents are never zero.
    Prod(SmallVec<[i32; 4]>),
}

impl Sop {
    /// The op of the graph language, also where it is pinned.
    pub fn ir(&self) -> Option<&Op> {
        match self {
            Sop::Ir(op) | Sop::Pinned { op, .. } | Sop::Unique { op, .. } => Some(op),
            _ => None,
        }
    }
}

/// A loop taken apart.
#[derive(Clone, Debug)]
pub struct LoopInfo {
    pub trip: Trip,
    pub carries: usize,
    /// Which carried and which collected values of the source are kept, and how many it carried.
    pub kept: Vec<usize>,
    pub kept_collected: Vec<usize>,
    pub source_carries: usize,
    pub scanned: usize,
    pub collected: usize,
    pub has_cond: bool,
    pub label: Arc<str>,
    /// The loop around it in the source.
    pub parent: Option<u32>,
    /// Types of `[step, carries.., slices..]`.
    pub params: Vec<Ty>,
    /// Types of the outputs of the node.
    pub outputs: Types,
}

impl LoopInfo {
    /// How often the body is taken to run.
    pub fn trips(&self) -> f64 {
        trips(&self.trip)
    }
}

/// Size that a length nobody knows yet is taken to have.
pub const NOMINAL: f64 = 100.0;

pub fn size(d: &Dim) -> f64 {
    d.known().map_or(NOMINAL, |n| n.max(0) as f64)
}

pub fn trips(t: &Trip) -> f64 {
    match t {
        Trip::Count(d) => size(d),
        Trip::While { limit } => size(limit).min(NOMINAL),
    }
}

#[derive(Clone, Debug)]
pub struct SeaNode {
    pub op: Sop,
    pub kids: Kids,
    pub origin: Origin,
    pub tys: Types,
    /// The loop whose body it was written in.
    pub written: Option<u32>,
}

#[derive(Clone, Debug, Default)]
pub struct Sea {
    pub nodes: Vec<SeaNode>,
    pub loops: Vec<LoopInfo>,
    pub params: Vec<(Ty, Origin)>,
    pub outputs: Vec<Id>,
    pub shared: IndexMap<(Sop, Kids), Id>,
    pub serial: u32,
    /// The loop whose body is being read.
    pub open: Option<u32>,
}

impl Sea {
    pub fn node(&self, id: Id) -> &SeaNode {
        &self.nodes[usize::from(id)]
    }

    /// How many nodes use each.
    pub fn uses(&self) -> Vec<u32> {
        let mut uses = vec![0u32; self.nodes.len()];
        for n in &self.nodes {
            for k in &n.kids {
                uses[usize::from(*k)] += 1;
            }
        }
        for o in &self.outputs {
            uses[usize::from(*o)] += 1;
        }
        uses
    }
}

pub fn deps_union(a: &mut Deps, b: &Deps) {
    for x in b {
        if let Err(at) = a.binary_search(x) {
            a.insert(at, *x);
        }
    }
}

/// What a node depends on, from what its kids depend on.
pub fn deps_of<'d>(op: &Sop, kids: impl Iterator<Item = &'d Deps>) -> Deps {
    let mut d = Deps::new();
    for k in kids {
        deps_union(&mut d, k);
    }
    match op {
        Sop::LoopParam { of, .. } => deps_union(&mut d, &Deps::from_slice(&[*of])),
        Sop::Pinned { within, .. } => deps_union(&mut d, within),
        Sop::Unique { within: Some(within), .. } => deps_union(&mut d, &Deps::from_slice(&[*within])),
        Sop::Loop(l) => d.retain(|x| x != l),
        _ => {}
    }
    d
}

/// Work so small that it is done where it is needed rather than carried there.
pub fn is_free(op: &Sop) -> bool {
    matches!(
        op,
        Sop::Ir(Op::Const(..) | Op::Literal(_) | Op::DimValue(_) | Op::Iota(_) | Op::Broadcast(_) | Op::Reshape(_))
    )
}
