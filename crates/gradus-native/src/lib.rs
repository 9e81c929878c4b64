//! Native code: whole loops of a plan, whose scalars and small vectors stay in registers from step to step, and elementwise
//! programs over arrays.
//!
//! Owns:    which loops pay for compilation, which cells of the arena become values, the code of a loop (by Cranelift);
//!          the assembler of vector code.
//! Never:   changes a plan or a bit of a result; computes anything itself (the host's functions do what is not arithmetic).
//! Reads:   a `Plan` and one of its loops.
//! Returns: a [`Native`] function that runs steps of the loop, or why there is none; [`survey`] says which loops suit.
//!
//! The code works on the executor's own memory, so that a run may change from the interpreter to native code between any
//! two steps. Instructions that have no native form are handed back to the host one by one.

mod access;
mod calls;
mod cells;
mod cost;
mod emit;
mod host;
mod lanes;
mod live;
mod module;
mod small;
pub mod vector;

pub use cost::{Survey, Verdict, survey};
pub use host::{Float, Host};
pub use module::{Ended, Memory, Native, Refusal, compile};
