//! Names: `(&Module, &Known) -> Vec<Diagnostic>`, before anything is evaluated.
//!
//! Owns:    which name means what where: lexical scopes, order at the top level, duplicates, the arguments of known declarations,
//!          misplaced statements, unused `let`s; which solves must record their trace.
//! Never:   knows a library name by itself (they are handed in as `Known`); looks at shapes or values; fails.
//! Reads:   a tree of `gradus-syntax`, broken pieces included, and the names that are there without a declaration.
//! Returns: diagnostics in source order, one for each mistake; a name that is unknown is told once in each declaration.

mod calls;
mod expr;
mod items;
mod known;
mod laws;
mod order;
mod scope;
mod steps;
mod stmt;
mod trace;
mod types;
mod visit;
mod walker;

pub mod diagnostics;

#[cfg(test)]
mod tests;

pub use diagnostics::CODES;
pub use known::{Kind, Known, KnownModule, KnownName, KnownParam, public_names};
pub use types::TYPE_NAMES;
pub use trace::{TraceWanted, trace_wanted};

use gradus_syntax::Diagnostic;
use gradus_syntax::ast::Module;

/// Checks every name of a module. Errors have codes `E10xx` to `E13xx`, lints `W10xx`; see [`CODES`].
///
/// The list is in source order and empty for a module whose names are all in order. A tree with `Error` nodes is
/// welcome: nothing is said about them, nor about names that a broken declaration may have meant to declare.
pub fn check(module: &Module, known: &Known) -> Vec<Diagnostic> {
    let declared: Vec<Option<KnownName>> = module.items.iter().map(|item| known::declared(&item.kind)).collect();
    let mut walker = walker::Walker::new(module, known);
    walker.module(module, &declared);
    walker.finish()
}
