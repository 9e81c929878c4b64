//! The interpreter: `Module -> values`, emitting numeric work as IR.
//!
//! Owns:    evaluation of declarations and expressions, tracing of numeric work, problems, methods and rules, the chooser.
//! Never:   knows egg, plans or devices; reads files; prints. It asks its `Host`.
//! Reads:   syntax trees whose names `gradus-check` has resolved.
//! Returns: events (prints, solve records, tests) and diagnostics.

pub mod builtins;
mod certify;
mod data;
mod env;
mod errors;
mod expr;
pub mod host;
mod interp;
mod lanes;
mod laws;
mod memo;
mod modules;
mod output;
mod parameters;
mod random;
mod run;
mod script;
mod slopes;
mod solve;
mod tracer;
mod tree;
mod types;
mod value;

pub use host::{Engine, Event, Fault, Host, Library, NonFinite, Output, StatedLaw, Unfit};
pub use interp::{Mode, Options};
pub use memo::Memo;
pub use run::{check_script, known_names, run_script};
pub use script::Outcome;
