//! From a graph with known shapes to a plan: instructions in order, memory laid out, nothing left to decide at run time.
//!
//! Owns:    instruction selection, fusion of elementwise chains, views, buffer lifetimes and reuse, the text of a plan.
//! Never:   computes with tensor data, rewrites algebra (that is the rewriter's), depends on a backend.
//! Reads:   a `Graph` whose every shape is known.
//! Returns: a `Plan`; executing it allocates nothing inside its loops.

mod alloc;
mod control;
mod cost;
mod find_sweeps;
mod group;
mod keys;
mod lower;
mod plan;
mod planner;
mod program;
mod region;
mod rows;
mod sweep;
mod text;
mod top;
mod view;
mod visit;
mod whole;
mod work;

use gradus_ir::{Graph, Origin, Precision};

pub use plan::{
    Access, BLOCK, Block, Buffer, Call, CondPlan, Func, Fused, Instr, Kind, Lane, LaneOp, LoopPlan, MatMul, Matrix, Out,
    Output, Pattern, Place, Plan, Scalar, Src, Swap, Tensor,
};
pub use sweep::{Step, Sweep, Task};
pub use work::Work;

pub use whole::Whole;

/// What the planner may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Put chains of elementwise ops and their reductions into one instruction.
    pub fuse: bool,
    /// Let results overwrite operands that die.
    pub in_place: bool,
    /// Let instructions go through the same rows together, and share large ones among threads.
    pub sweep: bool,
    /// The float type of every buffer.
    pub precision: Precision,
}

impl Default for Options {
    fn default() -> Options {
        Options { fuse: true, in_place: true, sweep: true, precision: Precision::F64 }
    }
}

impl Options {
    /// One instruction per op, operands intact afterwards: what a search for the first NaN needs.
    pub const TRACE: Options = Options { fuse: false, in_place: false, sweep: false, precision: Precision::F64 };
}

/// Why a graph has no plan.
#[derive(Clone, Debug, PartialEq)]
pub enum PlanError {
    /// A shape is not known.
    Unknown { origin: Origin, ty: String },
    /// An array has more elements than memory has addresses.
    TooLarge { origin: Origin, ty: String },
    /// A whole number that the precision does not have.
    Whole { origin: Origin, value: f64, precision: Precision },
    /// A mistake of the compiler.
    Internal(String),
}

impl std::fmt::Display for PlanError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PlanError::Unknown { ty, .. } => write!(f, "plan: the shape of `{ty}` is not known"),
            PlanError::TooLarge { ty, .. } => write!(f, "plan: `{ty}` is too large"),
            PlanError::Whole { value, precision, .. } => write!(f, "plan: the whole number {value} is not exact in {precision}"),
            PlanError::Internal(m) => write!(f, "internal: plan: {m}"),
        }
    }
}

impl std::error::Error for PlanError {}

/// The plan of a graph whose shapes are all known.
pub fn plan(graph: &Graph) -> Result<Plan, PlanError> {
    plan_with(graph, Options::default())
}

/// The plan under given options; see [`Options::TRACE`].
pub fn plan_with(graph: &Graph, options: Options) -> Result<Plan, PlanError> {
    top::plan(graph, options)
}
