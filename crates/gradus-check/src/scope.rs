//! Lexical scopes: a stack of bindings, and for every name the bindings it has at the moment, innermost last.

use crate::known::{KnownModule, KnownName};
use gradus_syntax::Span;
use std::collections::HashMap;

/// What a name is bound to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What<'a> {
    /// A declaration of this module.
    Declared(&'a KnownName),
    /// A name of another module; `None` where that module is not known.
    Imported(Option<&'a KnownName>),
    /// A whole module; `None` where it is not known.
    Module(Option<&'a KnownModule>),
    /// A top-level value: usable from below its item.
    Top,
    Let,
    Parameter,
    Dimension,
    State,
    Unknown,
    /// Loop variables, pattern variables, oracle arguments, the gradient: bound by the syntax around.
    Bound,
    /// Known without being written: `t`, `x`, `start`, `seed`, the quantities of a solve.
    Implicit,
}

#[derive(Debug)]
pub(crate) struct Binding<'a> {
    pub name: &'a str,
    /// Where it is written; `None` for an implicit one.
    pub span: Option<Span>,
    pub what: What<'a>,
    /// For values of the top level: the index of the item that makes them.
    pub position: Option<usize>,
    pub used: bool,
    depth: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Scopes<'a> {
    bindings: Vec<Binding<'a>>,
    by_name: HashMap<&'a str, Vec<usize>>,
    /// Number of bindings at the start of each scope above the outermost.
    starts: Vec<usize>,
}

impl<'a> Scopes<'a> {
    pub fn push(&mut self) {
        self.starts.push(self.bindings.len());
    }

    /// Leaves the innermost scope; its bindings, in the order they were made.
    pub fn pop(&mut self) -> Vec<Binding<'a>> {
        let start = self.starts.pop().unwrap_or(0);
        for binding in &self.bindings[start..] {
            if let Some(stack) = self.by_name.get_mut(binding.name) {
                stack.pop();
            }
        }
        self.bindings.split_off(start)
    }

    /// Binds a name in the innermost scope. The binding that this scope had for it already, if any, is hidden.
    pub fn define(&mut self, name: &'a str, span: Option<Span>, what: What<'a>, position: Option<usize>) {
        let depth = self.starts.len();
        self.by_name.entry(name).or_default().push(self.bindings.len());
        self.bindings.push(Binding { name, span, what, position, used: false, depth });
    }

    pub fn get(&self, name: &str) -> Option<&Binding<'a>> {
        self.by_name.get(name)?.last().map(|&i| &self.bindings[i])
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Binding<'a>> {
        let i = *self.by_name.get(name)?.last()?;
        self.bindings.get_mut(i)
    }

    /// The binding of that name in the innermost scope itself.
    pub fn here(&self, name: &str) -> Option<&Binding<'a>> {
        self.get(name).filter(|b| b.depth == self.starts.len())
    }

    /// Every name in sight, innermost first.
    pub fn visible(&self) -> impl Iterator<Item = &Binding<'a>> {
        self.bindings.iter().rev()
    }
}
