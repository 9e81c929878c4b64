//! The embedding facade: a script in, values, reports and diagnostics out.
//!
//! Owns:    the order of the stages, the source texts, the embedded library, data files, the plan cache, all rendering.
//! Never:   panics on user input; holds globals; knows the command line.
//! Reads:   scripts, data files, bindings and settings of the embedding application.
//! Returns: an `Outcome` with every diagnostic and value; nothing is printed unless an `Emit` does it.

pub mod data;
pub mod report;
pub mod sources;
pub mod stdlib;

pub use sources::Sources;
