//! Text to syntax tree: `&str -> (Module, Vec<Diagnostic>)`.
//!
//! Owns:    spans and file ids, `Diagnostic` as plain data, lexer, parser with recovery, syntax tree, formatter.
//! Never:   knows the library's names; fails (a broken text still yields a tree); reads files.
//! Reads:   one source text.
//! Returns: a `Module` in which every broken piece is an `ExprKind::Error`, and the diagnostics that explain them.

pub mod ast;
pub mod diagnostic;
pub mod span;

pub use diagnostic::{Diagnostic, Help, Label, Severity};
pub use span::{FileId, Span};
