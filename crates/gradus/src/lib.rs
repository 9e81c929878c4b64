//! The embedding facade: a script in, values, reports and diagnostics out.
//!
//! Owns:    the order of the stages, the source texts, the embedded library, data files, the plan cache, all rendering.
//! Never:   panics on user input; holds globals; knows the command line.
//! Reads:   scripts, data files, bindings and settings of the embedding application.
//! Returns: an `Outcome` with every diagnostic and value; nothing is printed unless an `Emit` does it.

pub mod bench;
mod bindings;
pub mod data;
pub mod docs;
mod emit;
mod engine;
pub mod explain;
mod host;
pub mod laws;
mod options;
mod outcome;
mod pipeline;
mod plan_cache;
pub mod proofs;
pub mod report;
mod rewriting;
mod session;
mod sources;
pub mod stdlib;
mod timings;

pub use emit::{Emit, Printer, Silent};
pub use gradus_cpu::NativeCode;
pub use gradus_eval::Output;
pub use gradus_eval::host::{Event, Slope, Verdict};
pub use gradus_ir::{Array, DType, Precision};
pub use gradus_rewrite::Machine;
pub use gradus_syntax::{Diagnostic, FileId, Severity, Span};
pub use options::{Binding, CancelToken, Limits, Options};
pub use outcome::{Outcome, Solved, Status, TestResult};
pub use rewriting::Level;
pub use session::{Builder, Session};
pub use sources::Sources;
pub use timings::{Stage, Timings};

/// The Rust example of the README is a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
