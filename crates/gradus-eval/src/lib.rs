//! The interpreter: `Module -> values`, emitting numeric work as IR.
//!
//! Owns:    evaluation of declarations and expressions, tracing of numeric work, problems, methods and rules, the chooser.
//! Never:   knows egg, plans or devices; reads files; prints. It asks its `Host`.
//! Reads:   syntax trees whose names `gradus-check` has resolved.
//! Returns: events (prints, solve records, tests) and diagnostics.

pub mod host;

pub use host::{Engine, Event, Fault, Host, NonFinite, Output};
