//! What is known without a declaration in the script, and what a declaration makes known.

use gradus_syntax::ast::{ItemKind, Module, Param, Pattern, SetDecl, StmtKind, TypeExpr, TypeKind};
use std::fmt;
use std::sync::Arc;

/// Everything a script can name without declaring it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Builtins and the prelude: visible everywhere, and shadowed by any declaration of the script.
    pub names: Vec<KnownName>,
    /// Library modules (`nn`, `methods/gradient`), and script files by the path that `use "path"` gives. A file that is
    /// not listed is taken to have every name.
    pub modules: Vec<KnownModule>,
    /// Settings that every rule takes besides its own parameters (`steps`, `batch`, …).
    pub settings: Vec<Arc<str>>,
    /// Functions whose first argument is a distribution, called by the names of distributions.
    pub of_dist: Vec<Arc<str>>,
    /// A session a line at a time: a bare expression is shown, so it is no mistake.
    pub interactive: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KnownModule {
    pub name: Arc<str>,
    /// Its public names.
    pub names: Vec<KnownName>,
}

/// A name with what can be called about it.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownName {
    pub name: Arc<str>,
    pub kind: Kind,
    /// `None`: its arguments are checked where it is evaluated.
    pub params: Option<Vec<KnownParam>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct KnownParam {
    pub name: Arc<str>,
    /// A call must give it. Dimensions of a set that its element tells are not required.
    pub required: bool,
    /// Takes all remaining positional arguments.
    pub variadic: bool,
    /// Declared as `dist of …`: its argument is named as distributions are.
    pub dist: bool,
}

impl KnownName {
    /// A name whose arguments are not checked here.
    pub fn new(name: impl Into<Arc<str>>, kind: Kind) -> Self {
        KnownName { name: name.into(), kind, params: None }
    }

    /// A name with parameters. `x` is required, `tol?` is not, `xs...` takes the rest.
    pub fn with_params(name: impl Into<Arc<str>>, kind: Kind, params: &[&str]) -> Self {
        let params = params.iter().map(|p| KnownParam::written(p)).collect();
        KnownName { name: name.into(), kind, params: Some(params) }
    }
}

impl KnownParam {
    fn written(text: &str) -> Self {
        let variadic = text.ends_with("...");
        let name = text.trim_end_matches("...").trim_end_matches('?');
        KnownParam { name: name.into(), required: !variadic && !text.ends_with('?'), variadic, dist: false }
    }
}

/// What kind of thing a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number, array, record, string or word (`inf`, `auto`, `ascending`).
    Value,
    Function,
    Type,
    Set,
    Term,
    Rule,
    Schedule,
    Stop,
    Method,
    Problem,
    Dist,
    Model,
    /// A law has a name of its own space, and is never called.
    Law,
    /// A format of `data`: `csv`, `npy`. Not visible elsewhere.
    Reader,
}

impl Kind {
    /// Rules take the driver's settings besides their own parameters.
    pub(crate) fn takes_settings(self) -> bool {
        matches!(self, Kind::Rule)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Value => "value",
            Kind::Function => "function",
            Kind::Type => "type",
            Kind::Set => "set",
            Kind::Term => "term",
            Kind::Rule => "rule",
            Kind::Schedule => "schedule",
            Kind::Stop => "stopping test",
            Kind::Method => "method",
            Kind::Problem => "problem",
            Kind::Dist => "distribution",
            Kind::Model => "model",
            Kind::Law => "law",
            Kind::Reader => "data format",
        })
    }
}

/// The names a module offers to those that `use` it: all its declarations and top-level values except names that begin
/// with `_`, laws, tests and data.
pub fn public_names(module: &Module) -> Vec<KnownName> {
    let mut out = Vec::new();
    for item in &module.items {
        if let ItemKind::Stmt(stmt) = &item.kind {
            if let StmtKind::Let(pattern, ..) = &stmt.kind {
                pattern_names(pattern, &mut out);
            }
        } else if let Some(name) = declared(&item.kind).filter(|n| n.kind != Kind::Law) {
            out.push(name);
        }
    }
    out.retain(|n| !n.name.starts_with('_'));
    out
}

fn pattern_names(pattern: &Pattern, out: &mut Vec<KnownName>) {
    match pattern {
        Pattern::Name(id) => out.push(KnownName::new(id.name.clone(), Kind::Value)),
        Pattern::Wild(_) => {}
        Pattern::Tuple(parts, _) => parts.iter().for_each(|p| pattern_names(p, out)),
        Pattern::Record(fields, _) => out.extend(fields.iter().map(|id| KnownName::new(id.name.clone(), Kind::Value))),
    }
}

/// What an item declares, with its parameters; `None` for `use`, `data`, tests and statements.
pub(crate) fn declared(item: &ItemKind) -> Option<KnownName> {
    let (name, kind, params) = match item {
        ItemKind::Fn(d) => (&d.name, Kind::Function, params(&d.params)),
        ItemKind::Type(d) => (&d.name, Kind::Type, params(&d.params)),
        ItemKind::Set(d) => (&d.name, Kind::Set, set_params(d)),
        ItemKind::Term(d) => {
            // A term may be named without its argument, as in `prox(huber(delta = 0.5), v, t)`.
            let mut all = params(&d.params);
            if let Some(argument) = all.first_mut() {
                argument.required = false;
            }
            (&d.name, Kind::Term, all)
        }
        ItemKind::Rule(d) => (&d.name, Kind::Rule, params(&d.params)),
        ItemKind::Schedule(d) => (&d.name, Kind::Schedule, params(&d.params)),
        ItemKind::Stop(d) => (&d.name, Kind::Stop, params(&d.params)),
        ItemKind::Method(d) => (&d.name, Kind::Method, params(&d.params)),
        ItemKind::Problem(d) => (&d.name, Kind::Problem, params(&d.params)),
        ItemKind::Dist(d) => (&d.name, Kind::Dist, params(&d.params)),
        ItemKind::Model(d) => (&d.name, Kind::Model, params(&d.params)),
        ItemKind::Law(d) => (&d.name, Kind::Law, Vec::new()),
        ItemKind::Use(_) | ItemKind::Data(_) | ItemKind::Test(_) | ItemKind::Stmt(_) | ItemKind::Error => return None,
    };
    Some(KnownName { name: name.name.clone(), kind, params: Some(params) })
}

fn params(params: &[Param]) -> Vec<KnownParam> {
    params
        .iter()
        .map(|p| KnownParam {
            name: p.name.name.clone(),
            required: p.default.is_none() && !p.variadic,
            variadic: p.variadic,
            dist: matches!(p.ty.as_ref().map(|t| &*t.kind), Some(TypeKind::DistOf(_))),
        })
        .collect()
}

/// `x in simplex` leaves `d` to be told by `x`: parameters that stand in the element's type may be left out.
fn set_params(set: &SetDecl) -> Vec<KnownParam> {
    let mut dims = Vec::new();
    if let Some(ty) = &set.element.ty {
        type_names(ty, &mut dims);
    }
    let mut out = params(&set.params);
    for p in &mut out {
        p.required &= !dims.contains(&&*p.name);
    }
    out
}

/// Every name in the dimensions of a type.
fn type_names<'a>(ty: &'a TypeExpr, out: &mut Vec<&'a str>) {
    crate::visit::deep(|| match &*ty.kind {
        TypeKind::Name(id) => out.push(&id.name),
        TypeKind::Array(base, dims) => {
            type_names(base, out);
            dims.iter().for_each(|d| crate::visit::names(d, &mut |id| out.push(&id.name)));
        }
        TypeKind::Record(fields) => fields.iter().for_each(|(_, t)| type_names(t, out)),
        TypeKind::Tuple(parts) => parts.iter().for_each(|t| type_names(t, out)),
        TypeKind::List { body, over, .. } => {
            type_names(body, out);
            crate::visit::names(over, &mut |id| out.push(&id.name));
        }
        TypeKind::Fn(a, b) => {
            type_names(a, out);
            type_names(b, out);
        }
        TypeKind::SetOf(t) | TypeKind::DistOf(t) => type_names(t, out),
        TypeKind::Error => {}
    });
}
