//! The state of the walk, and what a name resolves to.

use crate::diagnostics::{self as say, Meant};
use crate::known::{Kind, Known, KnownModule, KnownName};
use crate::order::Order;
use crate::scope::{Binding, Scopes, What};
use crate::types::Dims;
use gradus_syntax::ast::{Ident, ItemKind, Module, Param, Pattern, Stmt, StmtKind};
use gradus_syntax::{Diagnostic, Span, nearest};
use std::collections::{HashMap, HashSet};

/// What the parser calls a name that is not there.
const MISSING: &str = "?";

/// What happens to a name that nothing defines.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unresolved<'a> {
    /// It is a mistake.
    Report,
    /// The evaluator knows more (states of the running method, random strategies).
    Leave,
    /// It is a pattern variable of a law.
    Collect(Vec<&'a str>),
}

/// What a name turned out to be.
#[derive(Clone, Copy)]
pub(crate) enum Resolved<'a> {
    /// Something with a kind, perhaps with parameters, and where it is declared if in this module.
    Named(&'a KnownName, Option<Span>),
    Module(Option<&'a KnownModule>),
    /// Known, and no more can be said.
    Value,
    Nothing,
}

pub(crate) struct Walker<'a> {
    pub known: &'a Known,
    names: HashMap<&'a str, &'a KnownName>,
    pub scopes: Scopes<'a>,
    pub out: Vec<Diagnostic>,
    pub unresolved: Unresolved<'a>,
    /// At the top level: the index of the item being evaluated. Values of later items are not there yet.
    pub at: Option<usize>,
    /// Unknown names told already, in this declaration or among the top-level statements.
    pub told: HashSet<&'a str>,
    /// Statements of the blocks around: what is defined further down.
    pub blocks: Vec<&'a [Stmt]>,
    /// Number of broken pieces passed so far.
    pub broken: usize,
    /// Reads and calls of declarations.
    pub order: Order<'a>,
    /// Number of names called unknown so far.
    pub misnamed: usize,
    /// Some declaration could not be read: names may be missing through no fault of their user.
    pub patchy: bool,
    /// A file that is not known brought in all its names: no name can be called unknown.
    pub open: bool,
    /// Modules used whole, with the name they have here.
    pub whole: Vec<(&'a str, &'a str)>,
    /// Where a `use` line would go.
    pub use_here: Span,
}

impl<'a> Walker<'a> {
    pub fn new(module: &'a Module, known: &'a Known) -> Self {
        let mut names: HashMap<&str, &KnownName> = HashMap::with_capacity(known.names.len());
        for name in &known.names {
            names.entry(&name.name).or_insert(name);
        }
        let start = Span::new(module.file, 0, 0);
        let last_use = module.items.iter().rev().find(|i| matches!(i.kind, ItemKind::Use(_)));
        let use_here = last_use.map_or(start, |i| Span { start: i.span.end, ..i.span });
        let patchy = module.items.iter().any(|i| {
            matches!(i.kind, ItemKind::Error) || matches!(&i.kind, ItemKind::Stmt(Stmt { kind: StmtKind::Error, .. }))
        });
        Walker {
            known,
            names,
            scopes: Scopes::default(),
            out: Vec::new(),
            unresolved: Unresolved::Report,
            at: None,
            told: HashSet::new(),
            blocks: Vec::new(),
            broken: 0,
            misnamed: 0,
            order: Order::default(),
            patchy,
            open: false,
            whole: Vec::new(),
            use_here,
        }
    }

    /// What was found, in source order.
    pub fn finish(mut self) -> Vec<Diagnostic> {
        self.out.sort_by_key(|d| (d.primary.span.file, d.primary.span.start, d.primary.span.end));
        self.out
    }

    pub fn report(&mut self, d: Diagnostic) {
        self.out.push(d);
    }

    /// Does `f` for one item. Where a piece of it could not be read, a name that resembles nothing was likely meant to
    /// be bound in that piece, and is not told.
    pub fn one_item(&mut self, f: impl FnOnce(&mut Self)) {
        let (broken, told) = (self.broken, self.out.len());
        f(self);
        if self.broken > broken {
            let mut place = 0;
            self.out.retain(|d| {
                place += 1;
                place <= told || d.code != "E1001" || d.helps.iter().any(|h| h.edit.is_some())
            });
        }
    }

    // ---- scopes

    /// Does `f` inside a new scope, then tells which `let`s of that scope nobody used.
    pub fn scoped<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        let (broken, misnamed) = (self.broken, self.misnamed);
        self.scopes.push();
        let result = f(self);
        for binding in self.scopes.pop() {
            let Some(span) = binding.span else { continue };
            let unused = matches!(binding.what, What::Let) && !binding.used && !binding.name.starts_with('_');
            // Where a name is unknown or a piece unreadable, that may have been the use.
            if unused && self.broken == broken && self.misnamed == misnamed {
                self.report(say::unused_let(binding.name, span));
            }
        }
        result
    }

    /// Binds a name that is written in the text; a second definition in the same scope is told.
    pub fn define(&mut self, id: &'a Ident, what: What<'a>) {
        self.define_at(id, what, None);
    }

    pub fn define_at(&mut self, id: &'a Ident, what: What<'a>, position: Option<usize>) {
        if matches!(&*id.name, "_" | MISSING) {
            self.broken += usize::from(*id.name == *MISSING);
            return;
        }
        if let Some(first) = self.scopes.here(&id.name) {
            match first.what {
                // A dimension may be named again, as in `let n = size(y)`: it is known from where it was first.
                What::Dimension => return,
                What::Implicit => {}
                What::State => {
                    let d = say::state_hidden(&id.name, first.span, id.span);
                    self.report(d);
                }
                _ => {
                    let d = say::defined_twice(&id.name, first.span, id.span);
                    self.report(d);
                    // At the top level uses between the two mean the first.
                    if position.is_some() {
                        return;
                    }
                }
            }
        }
        self.scopes.define(&id.name, Some(id.span), what, position);
    }

    pub fn define_implicit(&mut self, names: &[&'static str]) {
        for name in names {
            self.scopes.define(name, None, What::Implicit, None);
        }
    }

    pub fn define_pattern(&mut self, pattern: &'a Pattern, what: What<'a>, position: Option<usize>) {
        match pattern {
            Pattern::Name(id) => self.define_at(id, what, position),
            Pattern::Wild(_) => {}
            Pattern::Tuple(parts, _) => parts.iter().for_each(|p| self.define_pattern(p, what, position)),
            Pattern::Record(names, _) => names.iter().for_each(|id| self.define_at(id, what, position)),
        }
    }

    /// Binds parameters as a call does, one after the other: a default sees those before it, a type binds dimensions.
    pub fn params(&mut self, params: &'a [Param]) {
        for p in params {
            if let Some(default) = &p.default {
                self.unsurely(|w| w.expr(default));
            }
            if let Some(ty) = &p.ty {
                self.type_expr(ty, Dims::Bind);
            }
            match self.scopes.here(&p.name.name).map(|b| (b.what, b.span)) {
                Some((What::Parameter, Some(first))) => self.report(say::parameter_twice(&p.name.name, first, p.name.span)),
                _ => self.define(&p.name, What::Parameter),
            }
        }
    }

    // ---- names

    /// Resolves a name that is read.
    pub fn name(&mut self, id: &'a Ident) -> Resolved<'a> {
        self.note_read(id);
        let found = match self.scopes.get_mut(&id.name) {
            Some(binding) => {
                binding.used = true;
                let later = later(self.at, binding);
                Some((binding.what, binding.span, later))
            }
            None => None,
        };
        let builtin = self.names.get(&*id.name).copied().filter(|n| n.kind != Kind::Reader);
        match (found, builtin) {
            (Some((_, Some(definition), true)), None) => {
                if self.told.insert(&id.name) {
                    self.report(say::used_before(id, definition));
                }
                Resolved::Nothing
            }
            // The value of that name comes later: here it still is what it was without it.
            (Some((_, _, true)) | None, Some(known)) => Resolved::Named(known, None),
            (Some((what, span, _)), _) => match what {
                What::Declared(known) => Resolved::Named(known, span),
                What::Imported(Some(known)) => Resolved::Named(known, None),
                What::Module(module) => Resolved::Module(module),
                _ => Resolved::Value,
            },
            (None, None) => {
                self.unknown(id);
                Resolved::Nothing
            }
        }
    }

    /// Is that name bound or known, whatever its place?
    pub fn is_known(&self, name: &str) -> bool {
        self.scopes.get(name).is_some() || self.names.get(name).is_some_and(|n| n.kind != Kind::Reader)
    }

    pub fn builtin(&self, name: &str) -> Option<&'a KnownName> {
        self.names.get(name).copied()
    }

    fn unknown(&mut self, id: &'a Ident) {
        if *id.name == *MISSING {
            self.broken += 1;
            return;
        }
        match &mut self.unresolved {
            Unresolved::Report => {}
            Unresolved::Leave => return,
            Unresolved::Collect(names) => return names.push(&id.name),
        }
        if self.open || !self.told.insert(&id.name) {
            return;
        }
        if let Some(definition) = self.defined_below(&id.name) {
            return self.report(say::used_before(id, definition));
        }
        self.misnamed += 1;
        let meant = self.meant(&id.name);
        if self.patchy && matches!(meant, Meant::Nothing) {
            return;
        }
        let d = say::unknown_name(id, meant);
        self.report(d);
    }

    /// A `let` of that name in one of the blocks around, further down.
    fn defined_below(&self, name: &str) -> Option<Span> {
        self.blocks.iter().rev().find_map(|stmts| {
            stmts.iter().find_map(|s| match &s.kind {
                StmtKind::Let(pattern, ..) => in_pattern(pattern, name),
                _ => None,
            })
        })
    }

    fn meant(&self, name: &str) -> Meant<'a> {
        let modules: Vec<&str> =
            self.known.modules.iter().filter(|m| m.names.iter().any(|n| *n.name == *name)).map(|m| &*m.name).collect();
        if let Some(first) = modules.first() {
            let used_whole = self.whole.iter().find(|(module, _)| module == first).map(|(_, here)| *here);
            return Meant::InModules { modules, used_whole, insert: self.use_here };
        }
        if let Some(module) = self.known.modules.iter().find(|m| m.name.rsplit('/').next() == Some(name)) {
            return Meant::Module { path: &module.name, insert: self.use_here };
        }
        let at = self.at;
        let in_sight = self.scopes.visible().filter(|b| !later(at, b)).map(|b| b.name);
        let builtin = self.known.names.iter().filter(|n| n.kind != Kind::Reader).map(|n| &*n.name);
        if let Some(near) = nearest(name, in_sight.chain(builtin)) {
            return Meant::Near(near);
        }
        for module in &self.known.modules {
            if let Some(near) = nearest(name, module.names.iter().map(|n| &*n.name)) {
                return Meant::NearInModule { name: near, module: &module.name };
            }
        }
        Meant::Nothing
    }

    // ---- modes

    /// Does `f` with another way to treat unknown names; gives back what was collected.
    pub fn with_unresolved(&mut self, how: Unresolved<'a>, f: impl FnOnce(&mut Self)) -> Unresolved<'a> {
        let before = std::mem::replace(&mut self.unresolved, how);
        f(self);
        std::mem::replace(&mut self.unresolved, before)
    }
}

/// Is the value of that binding made further down than item `at`, or by it?
fn later(at: Option<usize>, binding: &Binding<'_>) -> bool {
    match (at, binding.position, binding.what) {
        // The dimensions of an item are there as soon as its type is read.
        (Some(at), Some(position), What::Dimension) => position > at,
        (Some(at), Some(position), _) => position >= at,
        _ => false,
    }
}

fn in_pattern(pattern: &Pattern, name: &str) -> Option<Span> {
    match pattern {
        Pattern::Name(id) => (*id.name == *name).then_some(id.span),
        Pattern::Wild(_) => None,
        Pattern::Tuple(parts, _) => parts.iter().find_map(|p| in_pattern(p, name)),
        Pattern::Record(names, _) => names.iter().find(|id| *id.name == *name).map(|id| id.span),
    }
}
