//! Values that a function or problem reads must be there when a statement calls it.

use crate::diagnostics as say;
use crate::known::KnownName;
use crate::scope::What;
use crate::walker::Walker;
use gradus_syntax::Span;
use gradus_syntax::ast::Ident;
use std::collections::{HashMap, HashSet};

/// Who surely reads and calls what. Only what is evaluated whenever the body is counts: not the bodies of lambdas,
/// not the branches of an `if`.
#[derive(Default)]
pub(crate) struct Order<'a> {
    /// The declaration being walked.
    pub inside: Option<&'a str>,
    /// In a part that may not be evaluated.
    pub unsure: usize,
    reads: HashMap<&'a str, Vec<Read<'a>>>,
    calls: HashMap<&'a str, Vec<&'a str>>,
    /// Calls by statements: index of the item, callee, where.
    statements: Vec<(usize, &'a str, Span)>,
}

/// A value of the top level, read in a declaration.
struct Read<'a> {
    id: &'a Ident,
    definition: Span,
    position: usize,
}

impl<'a> Walker<'a> {
    pub fn unsurely<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        self.order.unsure += 1;
        let result = f(self);
        self.order.unsure -= 1;
        result
    }

    /// Notes that a declaration reads a value that some item makes.
    pub fn note_read(&mut self, id: &'a Ident) {
        let Some(inside) = self.order.inside.filter(|_| self.order.unsure == 0) else { return };
        let Some(binding) = self.scopes.get(&id.name) else { return };
        if let (Some(definition), Some(position), What::Top) = (binding.span, binding.position, binding.what)
            && self.builtin(&id.name).is_none()
        {
            self.order.reads.entry(inside).or_default().push(Read { id, definition, position });
        }
    }

    /// Notes a call of a declared function, or the solve of a declared problem.
    pub fn note_call(&mut self, callee: &'a KnownName, declared: Option<Span>, at: Span) {
        if self.order.unsure > 0 || declared.is_none() {
            return;
        }
        match (self.order.inside, self.at) {
            (Some(inside), _) => self.order.calls.entry(inside).or_default().push(&callee.name),
            (None, Some(position)) => self.order.statements.push((position, &callee.name, at)),
            (None, None) => {}
        }
    }

    /// Tells which statements call something that reads a value from further down; each value once.
    pub fn check_order(&mut self) {
        let order = std::mem::take(&mut self.order);
        let mut told: HashSet<Span> = HashSet::new();
        for (position, callee, at) in &order.statements {
            let mut seen: HashSet<&str> = HashSet::from([*callee]);
            let mut next = vec![*callee];
            while let Some(name) = next.pop() {
                for read in order.reads.get(name).into_iter().flatten().filter(|r| r.position >= *position) {
                    if told.insert(read.definition) {
                        self.report(say::read_before(read.id, read.definition, callee, *at));
                    }
                }
                next.extend(order.calls.get(name).into_iter().flatten().filter(|c| seen.insert(c)));
            }
        }
    }
}
