//! What a run may use, and why it can end early.

use crate::threads::Threads;
use gradus_ir::Origin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Which loops run as native code, and which elementwise instructions as vector code. Results are the same bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NativeCode {
    /// Where it pays for the time to compile it.
    #[default]
    Auto,
    /// All that can.
    On,
    Off,
}

/// Limits of a run. The default has none.
#[derive(Clone, Debug, Default)]
pub struct Control {
    /// Set by someone else to end the run.
    pub cancel: Option<Arc<AtomicBool>>,
    /// Where `clock` counts from; the beginning of this run if not given.
    pub started: Option<Instant>,
    /// The run ends here, whatever it has reached.
    pub deadline: Option<Instant>,
    /// The threads that large instructions may use; without them everything runs on the caller's.
    pub threads: Option<Arc<Threads>>,
    /// Bytes that the plan may use.
    pub memory_limit: Option<usize>,
    /// Look at every instruction's results: see [`Fault::NonFinite`]. Needs a plan made with
    /// `gradus_plan::Options::TRACE`, whose instructions are single ops.
    pub trap_nonfinite: bool,
    pub native: NativeCode,
}

impl Control {
    /// Is the run allowed to go on? Reads the clock only if told to.
    pub fn check(&self, read_clock: bool) -> Result<(), Fault> {
        if let Some(c) = &self.cancel
            && c.load(Ordering::Relaxed)
        {
            return Err(Fault::Cancelled);
        }
        if read_clock
            && let Some(d) = self.deadline
            && Instant::now() >= d
        {
            return Err(Fault::TimeLimit);
        }
        Ok(())
    }
}

/// Why a run did not give its outputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// An index outside its axis. An empty axis from which something is picked has length 0.
    Index { origin: Origin, index: f64, len: usize },
    Cancelled,
    TimeLimit,
    /// The plan needs more memory (bytes) than the limit, or than there is.
    Memory { needed: usize, limit: usize },
    /// With `trap_nonfinite`: the first op that made a NaN of operands without one, or else (at the end of the run) the
    /// first that made an infinity of finite operands; that one, too, where the NaN was made of an infinity. `steps` are those of the enclosing loops, outermost first.
    NonFinite { origin: Origin, op: &'static str, value: f64, steps: Vec<u64> },
    /// An input or a result is a whole number that the precision of the plan does not have.
    Whole { value: f64 },
    /// A mistake of the compiler or of the caller; the text says which.
    Internal(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Index { index, len, .. } => write!(f, "index {index} is outside an axis of length {len}"),
            Fault::Cancelled => write!(f, "cancelled"),
            Fault::TimeLimit => write!(f, "the time limit was reached"),
            Fault::Memory { needed, limit } => write!(f, "{needed} bytes are needed, the limit is {limit}"),
            Fault::NonFinite { op, value, .. } => write!(f, "{op} gave {value}"),
            Fault::Whole { value } => write!(f, "the whole number {value} is not exact in single precision"),
            Fault::Internal(m) => write!(f, "internal: {m}"),
        }
    }
}

impl std::error::Error for Fault {}
