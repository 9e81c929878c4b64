//! The tensor graph every numeric expression becomes: ops, types with symbolic shapes, regions for loops and branches.
//!
//! Owns:    the op table (names, arities, shape and dtype rules), `Graph`, its builder with hash-consing and constant folding.
//! Never:   holds a pass; knows syntax, devices or where data comes from.
//! Reads:   ops pushed one at a time.
//! Returns: a `Graph` whose every node has a type; an ill-shaped op is an `IrError`, never a node.

pub mod array;
pub mod build;
mod carried;
pub mod dim;
pub mod error;
mod fold;
pub mod graph;
pub mod infer;
mod located;
pub mod op;
pub mod parse;
mod precision;
pub mod reference;
pub mod region;
mod structure;
pub mod testing;
mod text;
pub mod ty;
pub mod verify;

pub use array::Array;
pub use carried::{COUNTS, Counted};
pub use dim::Dim;
pub use error::{IrError, IrResult};
pub use graph::{Graph, Node, NodeId, Origin};
pub use op::{BinaryOp, Cumulative, F64, Implicit, Loop, Op, ReduceOp, Trip, UnaryOp};
pub use parse::{ParseError, parse};
pub use precision::Precision;
pub use structure::structure;
pub use text::Brief;
pub use ty::{DType, Shape, Ty};
pub use verify::verify;
