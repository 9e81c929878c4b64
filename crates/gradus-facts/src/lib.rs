//! What is known of functions: curvature, sign, smoothness, structure, each with the reason.
//!
//! Owns:    the facts of the nodes of a region as functions of chosen variables, their derivations, and the summary of a function.
//! Never:   changes a graph; says yes where it only could not say no.
//! Reads:   a region, its variables, and what the caller knows (ranges of variables, numbers of constants).
//! Returns: `Facts`, `FunctionFacts`, `Composite`, and the `Culprit` behind a missing property.

mod analyze;
mod combo;
mod composite;
mod context;
mod culprit;
mod curvature;
mod facts;
mod interval;
mod kinds;
mod logs;
mod matrix;
mod monomial;
mod patterns;
mod piecewise;
mod print;
mod quadratic;
mod range;
mod separable;
mod smooth;
mod summary;
mod unary;
mod words;

pub use composite::{Composite, Function, Part, Scale};
pub use context::NodeFacts;
pub use culprit::Culprit;
pub use facts::{Facts, analyze, analyze_assuming, decompose};
pub use interval::Interval;
pub use kinds::{Assume, Curvature, Monotone, Oracle, Smoothness, Tri};
pub use summary::{FunctionFacts, StrongConvexity};
