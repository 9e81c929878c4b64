//! Text to syntax tree: `&str -> (Module, Vec<Diagnostic>)`.
//!
//! Owns:    spans and file ids, `Diagnostic` as plain data, lexer, parser with recovery, syntax tree, formatter.
//! Never:   knows the library's names; fails (a broken text still yields a tree); reads files.
//! Reads:   one source text.
//! Returns: a `Module` in which every broken piece is an `ExprKind::Error`, and the diagnostics that explain them.

pub mod ast;
mod brackets;
mod deep;
pub mod diagnostic;
mod format;
mod lexer;
mod nearest;
mod parser;
mod print;
pub mod span;
mod text;
mod token;

pub use diagnostic::{Diagnostic, Help, Label, Severity};
pub use format::format;
pub use nearest::nearest;
pub use parser::parse;
pub use print::print_ast;
pub use span::{FileId, Span};
pub use text::line_column;
