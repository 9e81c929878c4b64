//! Declarations and the top level.

use crate::diagnostics as say;
use crate::known::{Kind, KnownModule, KnownName};
use crate::scope::What;
use crate::types::Dims;
use crate::walker::Walker;
use gradus_syntax::ast::*;
use gradus_syntax::{Span, nearest};
use std::collections::HashMap;

impl<'a> Walker<'a> {
    /// The whole module: first every name of the top level, then what stands behind them.
    pub fn module(&mut self, module: &'a Module, declared: &'a [Option<KnownName>]) {
        self.scopes.define("seed", None, What::Implicit, None);
        let mut laws: HashMap<&str, Span> = HashMap::new();
        let mut tests: HashMap<&str, Span> = HashMap::new();
        for (position, (item, declared)) in module.items.iter().zip(declared).enumerate() {
            match (&item.kind, declared) {
                (ItemKind::Law(law), _) => {
                    if let Some(first) = laws.insert(&law.name.name, law.name.span) {
                        self.report(say::defined_twice(&law.name.name, Some(first), law.name.span));
                    }
                }
                (ItemKind::Test(test), _) => {
                    if let Some(first) = tests.insert(&test.name, test.name_span) {
                        self.report(say::test_twice(&test.name, first, test.name_span));
                    }
                }
                (ItemKind::Use(u), _) => self.use_decl(u),
                (ItemKind::Data(data), _) => {
                    self.define_at(&data.name, What::Top, Some(position));
                    self.top_dimensions(&data.ty, position);
                }
                (ItemKind::Stmt(Stmt { kind: StmtKind::Let(pattern, ty, _), .. }), _) => {
                    self.define_pattern(pattern, What::Top, Some(position));
                    ty.iter().for_each(|t| self.top_dimensions(t, position));
                }
                (kind, Some(known)) => {
                    if let Some(id) = declared_name(kind) {
                        self.define(id, What::Declared(known));
                    }
                }
                _ => {}
            }
        }
        let mut told = std::mem::take(&mut self.told);
        for (position, item) in module.items.iter().enumerate() {
            match &item.kind {
                // All statements share what was told.
                ItemKind::Data(_) | ItemKind::Stmt(_) => {
                    std::mem::swap(&mut self.told, &mut told);
                    self.at = Some(position);
                    self.one_item(|w| w.item(&item.kind));
                    self.at = None;
                    std::mem::swap(&mut self.told, &mut told);
                }
                kind => {
                    self.told.clear();
                    self.order.inside = match kind {
                        ItemKind::Fn(_) | ItemKind::Problem(_) => declared_name(kind).map(|id| &*id.name),
                        _ => None,
                    };
                    self.one_item(|w| w.item(kind));
                    self.order.inside = None;
                }
            }
        }
        self.check_order();
    }

    /// Names alone in the dimensions of `data` and of annotated `let`s are known from there on.
    fn top_dimensions(&mut self, ty: &'a TypeExpr, position: usize) {
        match &*ty.kind {
            TypeKind::Array(base, dims) if matches!(&*base.kind, TypeKind::Name(id) if matches!(&*id.name, "real" | "int" | "bool")) => {
                for dim in dims {
                    if let ExprKind::Name(id) = &*dim.kind
                        && self.scopes.here(&id.name).is_none()
                        && *id.name != *"_"
                    {
                        self.scopes.define(&id.name, Some(id.span), What::Dimension, Some(position));
                    }
                }
            }
            TypeKind::Array(base, _) => self.top_dimensions(base, position),
            TypeKind::Record(fields) => fields.iter().for_each(|(_, t)| self.top_dimensions(t, position)),
            TypeKind::Tuple(parts) => parts.iter().for_each(|t| self.top_dimensions(t, position)),
            _ => {}
        }
    }

    fn item(&mut self, kind: &'a ItemKind) {
        match kind {
            ItemKind::Use(_) | ItemKind::Error => {}
            ItemKind::Data(d) => self.data(d),
            ItemKind::Fn(d) => self.function(d),
            ItemKind::Type(d) => self.type_decl(d),
            ItemKind::Set(d) => self.set(d),
            ItemKind::Term(d) => self.term(d),
            ItemKind::Law(d) => self.law(d),
            ItemKind::Rule(d) => self.rule(d),
            ItemKind::Schedule(d) => self.scoped(|w| {
                w.params(&d.params);
                w.define(&d.time, What::Bound);
                w.expr(&d.body);
            }),
            ItemKind::Stop(d) => self.scoped(|w| {
                w.params(&d.params);
                w.condition(&d.body);
            }),
            ItemKind::Method(d) => self.method(d),
            ItemKind::Dist(d) => self.dist(d),
            ItemKind::Model(d) => self.scoped(|w| {
                w.params(&d.params);
                w.choices(&d.body);
            }),
            ItemKind::Problem(d) => self.scoped(|w| {
                w.params(&d.params);
                if let ExprKind::Optimize(o) = &*d.body.kind {
                    w.hiding_unknowns(o);
                }
                w.expr(&d.body);
            }),
            ItemKind::Test(d) => self.scoped(|w| {
                w.blocks.push(&d.body);
                d.body.iter().for_each(|s| w.test_stmt(s));
                w.blocks.pop();
            }),
            ItemKind::Stmt(s) => self.top_stmt(s),
        }
    }

    fn data(&mut self, data: &'a DataDecl) {
        self.type_expr(&data.ty, Dims::Bind);
        let Some(source) = &data.source else { return };
        match &*source.kind {
            // The format is a word of `data`, no function.
            ExprKind::Call(callee, args) if matches!(&*callee.kind, ExprKind::Name(_)) => {
                if let ExprKind::Name(id) = &*callee.kind {
                    self.reader(id);
                }
                args.iter().for_each(|a| self.expr(&a.value));
            }
            _ => self.expr(source),
        }
    }

    fn reader(&mut self, id: &'a Ident) {
        let known = || self.known.names.iter().filter(|n| n.kind == Kind::Reader).map(|n| &*n.name);
        if known().next().is_none() || known().any(|n| *n == *id.name) {
            return;
        }
        let d = say::unknown_reader(id, nearest(&id.name, known()), &known().collect::<Vec<_>>());
        self.report(d);
    }

    fn function(&mut self, f: &'a FnDecl) {
        self.scoped(|w| {
            w.params(&f.params);
            w.expr(&f.body);
            f.ret.iter().for_each(|t| w.type_expr(t, Dims::Bind));
        });
    }

    fn type_decl(&mut self, d: &'a TypeDecl) {
        self.scoped(|w| {
            w.params(&d.params);
            w.type_expr(&d.ty, Dims::Known);
            w.scoped(|w| {
                w.define_implicit(&["self"]);
                if let TypeKind::Record(fields) = &*d.ty.kind {
                    fields.iter().for_each(|(name, _)| w.scopes.define(&name.name, Some(name.span), What::Bound, None));
                }
                w.oracles(&d.oracles);
            });
        });
    }

    fn set(&mut self, d: &'a SetDecl) {
        self.scoped(|w| {
            w.params(&d.params);
            d.element.ty.iter().for_each(|t| w.type_expr(t, Dims::Bind));
            w.scoped(|w| {
                w.define(&d.element.name, What::Bound);
                d.members.iter().for_each(|e| w.expr(e));
            });
            w.facts(&d.facts);
            w.oracles(&d.oracles);
        });
    }

    fn dist(&mut self, d: &'a DistDecl) {
        self.scoped(|w| {
            w.params(&d.params);
            d.element.ty.iter().for_each(|t| w.type_expr(t, Dims::Bind));
            w.facts(&d.facts);
            w.scoped(|w| {
                w.define(&d.element.name, What::Bound);
                w.oracles(&d.oracles);
            });
        });
    }

    /// The lines of a model: every choice is a name for the lines below it.
    fn choices(&mut self, body: &'a [ModelStmt]) {
        for line in body {
            match line {
                ModelStmt::Let(pattern, ty, value) => {
                    self.expr(value);
                    ty.iter().for_each(|t| self.type_expr(t, Dims::Bind));
                    self.define_pattern(pattern, What::Let, None);
                }
                ModelStmt::Sample { name, dist, plates, strategy } => {
                    self.random(dist);
                    plates.iter().for_each(|e| self.expr(e));
                    strategy.iter().for_each(|e| self.random(e));
                    self.define(name, What::Bound);
                }
                ModelStmt::For { var, range, body } => {
                    self.expr(range);
                    self.scoped(|w| {
                        w.define(var, What::Bound);
                        w.choices(body);
                    });
                }
                ModelStmt::Return(e) => self.expr(e),
            }
        }
    }

    fn term(&mut self, d: &'a TermDecl) {
        self.scoped(|w| {
            w.params(&d.params);
            w.expr(&d.body);
            w.facts(&d.facts);
            w.oracles(&d.oracles);
        });
    }

    fn facts(&mut self, facts: &'a [Fact]) {
        facts.iter().flat_map(|f| &f.args).for_each(|e| self.expr(e));
    }

    fn oracles(&mut self, oracles: &'a [Oracle]) {
        for oracle in oracles {
            self.scoped(|w| {
                for (k, p) in oracle.params.iter().enumerate() {
                    match oracle.params[..k].iter().find(|q| q.name == p.name && &*q.name != "_") {
                        Some(first) => w.report(say::parameter_twice(&p.name, first.span, p.span)),
                        None => w.define(p, What::Parameter),
                    }
                }
                w.expr(&oracle.body);
            });
        }
    }

    // ---- use

    fn use_decl(&mut self, u: &'a UseDecl) {
        match &u.path {
            UsePath::File(path, at) => {
                let module = self.known.modules.iter().find(|m| m.name == *path);
                match (&u.names, module) {
                    (Some(names), module) => self.import(names, module),
                    // A file's names come in all at once.
                    (None, Some(module)) => {
                        for name in &module.names {
                            self.scopes.define(&name.name, Some(*at), What::Imported(Some(name)), None);
                        }
                    }
                    (None, None) => self.open = true,
                }
            }
            UsePath::Library(path) => self.use_library(path, u.names.as_deref()),
        }
    }

    fn use_library(&mut self, path: &'a [Ident], names: Option<&'a [Ident]>) {
        let Some((last, before)) = path.split_last() else { return };
        if let Some(module) = self.library(path) {
            match names {
                Some(names) => self.import(names, Some(module)),
                None => {
                    self.whole.push((&module.name, &last.name));
                    self.define(last, What::Module(Some(module)));
                }
            }
            return;
        }
        // `use nn.mlp`: one name of a module.
        if names.is_none()
            && !before.is_empty()
            && let Some(module) = self.library(before)
        {
            self.import(std::slice::from_ref(last), Some(module));
            return;
        }
        self.unknown_module(path);
        // What it would have brought is known, so that nothing else is said about it.
        match names {
            Some(names) => names.iter().for_each(|id| self.define(id, What::Imported(None))),
            None => self.define(last, What::Module(None)),
        }
    }

    fn unknown_module(&mut self, path: &'a [Ident]) {
        let Some(id) = path.first() else { return };
        let all: Vec<&str> = self.known.modules.iter().map(|m| &*m.name).collect();
        let folders = all.iter().filter_map(|m| m.split_once('/')).map(|(folder, _)| folder);
        // In a folder of modules it is the second name that is wrong.
        let (wrong, candidates): (&Ident, Vec<&str>) = match path.get(1) {
            Some(second) if folders.clone().any(|f| *f == *id.name) => {
                (second, all.iter().filter_map(|m| m.split_once('/')).filter(|(f, _)| **f == *id.name).map(|(_, m)| m).collect())
            }
            _ => (id, all.iter().copied().filter(|m| !m.contains('/')).collect()),
        };
        let near = nearest(&wrong.name, candidates.iter().copied());
        let d = say::unknown_module(wrong, near, &candidates);
        self.report(d);
    }

    fn library(&self, path: &[Ident]) -> Option<&'a KnownModule> {
        let known = self.known;
        known.modules.iter().find(|m| m.name.split('/').eq(path.iter().map(|id| &*id.name)))
    }

    fn import(&mut self, names: &'a [Ident], module: Option<&'a KnownModule>) {
        for id in names {
            let found = module.map(|m| (m, m.names.iter().find(|n| n.name == id.name)));
            match found {
                Some((_, Some(known))) => self.define(id, What::Imported(Some(known))),
                Some((module, None)) => {
                    self.not_in_module(id, module);
                    self.define(id, What::Imported(None));
                }
                None => self.define(id, What::Imported(None)),
            }
        }
    }
}

fn declared_name(kind: &ItemKind) -> Option<&Ident> {
    Some(match kind {
        ItemKind::Fn(d) | ItemKind::Stop(d) => &d.name,
        ItemKind::Type(d) => &d.name,
        ItemKind::Set(d) => &d.name,
        ItemKind::Term(d) => &d.name,
        ItemKind::Rule(d) => &d.name,
        ItemKind::Schedule(d) => &d.name,
        ItemKind::Method(d) => &d.name,
        ItemKind::Dist(d) => &d.name,
        ItemKind::Model(d) => &d.name,
        ItemKind::Problem(d) => &d.name,
        _ => return None,
    })
}
