//! Which solves must record their trace. A trace costs memory and time at every step, so a solve keeps one only where
//! the script can ask for it.

use crate::visit;
use gradus_syntax::ast::{Expr, ExprKind, Item, ItemKind, Module, Pattern, Stmt, StmtKind};
use indexmap::IndexSet;
use std::collections::HashSet;
use std::sync::Arc;

/// The answer of [`trace_wanted`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceWanted {
    /// Names given by `let name = solve …`, in the order in which their traces are asked for.
    pub names: IndexSet<Arc<str>>,
    /// Also the solves that are not named so: in a list, in a function, written where they are used.
    pub unnamed: bool,
    /// Some trace is asked for the unknown after every step (`fit.trace.x`), not only for its value.
    pub points: bool,
}

impl TraceWanted {
    /// Must the solve that is given this name record its trace?
    pub fn wants(&self, name: Option<&str>) -> bool {
        match name {
            Some(name) => self.names.contains(name),
            None => self.unnamed,
        }
    }
}

/// The solutions whose `.trace` may be read, by the text alone: `fit.trace` anywhere, `fit` printed, plotted or saved
/// whole, and any solution that is passed on when a trace is read of something else than a solution by its name.
///
/// It may name more than will be read, never less.
pub fn trace_wanted(module: &Module) -> TraceWanted {
    let mut finder = Finder::default();
    finder.definitions(module);
    each_stmt(module, &mut |s| finder.stmt(s));
    for item in &module.items {
        match &item.kind {
            ItemKind::Fn(f) => finder.expr(&f.body),
            ItemKind::Problem(p) => finder.expr(&p.body),
            _ => {}
        }
    }
    let Finder { mut wanted, passed_on, indirect, .. } = finder;
    if indirect {
        wanted.names.extend(passed_on);
        wanted.unnamed = true;
    }
    wanted
}

#[derive(Default)]
struct Finder<'a> {
    /// Names bound to a solve itself.
    solutions: HashSet<&'a str>,
    /// Names of values and functions that have solutions inside, or give them.
    holders: HashSet<&'a str>,
    /// Names of record fields that have solutions inside.
    carriers: HashSet<&'a str>,
    wanted: TraceWanted,
    /// Solutions used whole: in a call, in a list, under another name.
    passed_on: IndexSet<Arc<str>>,
    /// A trace is read, or a solution shown, of something that is not a solution by its name.
    indirect: bool,
}

impl<'a> Finder<'a> {
    /// Which names stand for solutions, which hold some.
    fn definitions(&mut self, module: &'a Module) {
        let mut others: Vec<(&'a str, &'a Expr)> = Vec::new();
        each_stmt(module, &mut |s| {
            let StmtKind::Let(pattern, _, value) = &s.kind else { return };
            match (pattern, &*value.kind) {
                (Pattern::Name(id), ExprKind::Solve(_)) => {
                    self.solutions.insert(&id.name);
                }
                _ => bound(pattern, &mut |name| others.push((name, value))),
            }
        });
        for item in &module.items {
            if let ItemKind::Fn(f) = &item.kind {
                others.push((&f.name.name, &f.body));
            }
        }
        // What is made of a holder holds, too.
        loop {
            let before = (self.holders.len(), self.carriers.len());
            for (name, value) in &others {
                if !self.holders.contains(name) && self.holds(value) {
                    self.holders.insert(name);
                }
            }
            if before == (self.holders.len(), self.carriers.len()) {
                return;
            }
        }
    }

    /// Is there a solve in `e`, or a solution without a field after it? Notes the fields that have them.
    fn holds(&mut self, e: &'a Expr) -> bool {
        visit::deep(|| match &*e.kind {
            ExprKind::Solve(_) => true,
            ExprKind::Name(id) => self.holds_name(&id.name),
            ExprKind::Field(base, name) => match &*base.kind {
                ExprKind::Name(_) => self.carriers.contains(&*name.name),
                _ => self.holds(base) && self.carriers.contains(&*name.name),
            },
            ExprKind::Record(fields) => {
                let mut any = false;
                for (name, value) in fields {
                    let found = match value {
                        Some(value) => self.holds(value),
                        None => self.holds_name(&name.name),
                    };
                    if found {
                        self.carriers.insert(&name.name);
                        any = true;
                    }
                }
                any
            }
            _ => {
                let mut any = false;
                visit::children(e, &mut |c| any |= self.holds(c));
                any
            }
        })
    }

    fn holds_name(&self, name: &str) -> bool {
        self.solutions.contains(name) || self.holders.contains(name)
    }

    fn stmt(&mut self, s: &'a Stmt) {
        match &s.kind {
            StmtKind::Print(items) => items.iter().for_each(|e| self.shown(e)),
            StmtKind::Plot(args) => args.iter().for_each(|a| self.shown(&a.value)),
            StmtKind::Save(e, _) => self.shown(e),
            StmtKind::Let(pattern, _, value) => self.taken_apart(pattern, value),
            _ => {}
        }
        visit::stmt(s, &mut |e| self.expr(e));
    }

    /// `let {w, trace} = solve …`.
    fn taken_apart(&mut self, pattern: &'a Pattern, value: &'a Expr) {
        let Pattern::Record(names, _) = pattern else { return };
        if names.iter().any(|id| &*id.name == "trace") {
            self.read(value);
        }
    }

    /// A trace is read of `of`.
    fn read(&mut self, of: &'a Expr) {
        match &*of.kind {
            ExprKind::Name(id) if self.solutions.contains(&*id.name) => {
                self.wanted.names.insert(id.name.clone());
            }
            _ => self.indirect = true,
        }
    }

    fn expr(&mut self, e: &'a Expr) {
        visit::deep(|| match &*e.kind {
            ExprKind::Field(base, name) => {
                if &*name.name == "trace" {
                    self.read(base);
                }
                if let ExprKind::Field(_, of) = &*base.kind {
                    self.wanted.points |= &*of.name == "trace" && &*name.name != "value";
                }
                if !matches!(*base.kind, ExprKind::Name(_)) {
                    self.expr(base);
                }
            }
            ExprKind::Name(id) => self.whole(&id.name),
            ExprKind::Record(fields) => {
                for (name, value) in fields {
                    match value {
                        Some(e) => self.expr(e),
                        None => self.whole(&name.name),
                    }
                }
            }
            kind => {
                match kind {
                    ExprKind::LetIn(pattern, _, value, _) => self.taken_apart(pattern, value),
                    ExprKind::Block(stmts, _) => stmts.iter().for_each(|s| {
                        if let StmtKind::Let(pattern, _, value) = &s.kind {
                            self.taken_apart(pattern, value);
                        }
                    }),
                    _ => {}
                }
                visit::children(e, &mut |c| self.expr(c));
            }
        });
    }

    fn whole(&mut self, name: &Arc<str>) {
        if self.solutions.contains(&**name) {
            self.passed_on.insert(name.clone());
        }
    }

    /// What is shown with all its fields: names and solves that stand in `e` without a field after them.
    fn shown(&mut self, e: &'a Expr) {
        visit::deep(|| match &*e.kind {
            ExprKind::Name(id) => self.shown_name(&id.name),
            ExprKind::Field(_, name) => self.indirect |= self.carriers.contains(&*name.name),
            ExprKind::Record(fields) => {
                for (name, value) in fields {
                    match value {
                        Some(e) => self.shown(e),
                        None => self.shown_name(&name.name),
                    }
                }
            }
            ExprKind::Solve(_) => self.wanted.unnamed = true,
            _ => visit::children(e, &mut |c| self.shown(c)),
        });
    }

    fn shown_name(&mut self, name: &Arc<str>) {
        if self.solutions.contains(&**name) {
            self.wanted.names.insert(name.clone());
        }
        self.indirect |= self.holders.contains(&**name);
    }
}

/// Every statement of the top level and of tests.
fn each_stmt<'a>(module: &'a Module, f: &mut dyn FnMut(&'a Stmt)) {
    for Item { kind, .. } in &module.items {
        match kind {
            ItemKind::Stmt(s) => f(s),
            ItemKind::Test(t) => t.body.iter().for_each(&mut *f),
            _ => {}
        }
    }
}

fn bound<'a>(pattern: &'a Pattern, f: &mut dyn FnMut(&'a str)) {
    match pattern {
        Pattern::Name(id) => f(&id.name),
        Pattern::Wild(_) => {}
        Pattern::Tuple(parts, _) => parts.iter().for_each(|p| bound(p, f)),
        Pattern::Record(names, _) => names.iter().for_each(|id| f(&id.name)),
    }
}
