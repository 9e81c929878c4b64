//! Modules: the script, files it uses, and the library, with the names each declares.

use crate::builtins;
use crate::env::Env;
use crate::interp::Interp;
use crate::random::DistDecl;
use crate::value::{
    CallArg, Eval, Function, MethodValue, ProblemDeclValue, RuleValue, SetKind, SetValue, Stop, StopValue, TermKind, TermValue,
    TypeValue, Value,
};
use gradus_syntax::ast::{Item, ItemKind, Module, UseDecl, UsePath};
use gradus_syntax::{Diagnostic, FileId, Span};
use indexmap::IndexMap;
use std::sync::Arc;

pub struct ModuleScope {
    pub name: Arc<str>,
    pub file: FileId,
    pub text: Arc<str>,
    pub names: IndexMap<Arc<str>, Value>,
    pub library: bool,
}

/// The pseudo-module that holds the prelude's names.
const PRELUDE: &str = "<prelude>";

/// Where the methods of the library are.
pub const METHODS: &str = "methods/";

impl Interp<'_> {
    pub fn add_module(&mut self, name: impl Into<Arc<str>>, file: FileId, text: Arc<str>, library: bool) -> usize {
        if library {
            self.library_files.insert(file.0);
        }
        self.modules.push(ModuleScope { name: name.into(), file, text, names: IndexMap::new(), library });
        self.modules.len() - 1
    }

    /// The text of an expression, for headings of printed values.
    pub fn text_of(&self, e: &gradus_syntax::ast::Expr) -> Option<String> {
        self.text_at(e.span).map(str::to_string)
    }

    pub fn text_at(&self, span: Span) -> Option<&str> {
        let m = self.modules.iter().find(|m| m.file == span.file)?;
        m.text.get(span.start as usize..span.end as usize)
    }

    /// Make the values of a module's declarations; statements are left to the caller.
    pub fn declare_items(&mut self, module: usize, ast: &Module) {
        for item in &ast.items {
            if let Some((name, value)) = self.declare(module, item)
                && let Some(m) = self.modules.get_mut(module)
            {
                m.names.insert(name, value);
            }
        }
    }

    fn declare(&mut self, module: usize, item: &Item) -> Option<(Arc<str>, Value)> {
        let env = Env::module(module);
        Some(match &item.kind {
            ItemKind::Fn(d) => (
                d.name.name.clone(),
                Value::Fn(Arc::new(Function::Closure {
                    name: d.name.name.clone(),
                    params: d.params.clone().into(),
                    ret: d.ret.clone(),
                    body: d.body.clone(),
                    env,
                })),
            ),
            ItemKind::Type(d) => {
                (d.name.name.clone(), Value::Type(Arc::new(TypeValue { decl: d.clone(), env, args: Vec::new() })))
            }
            ItemKind::Set(d) => {
                let kind = SetKind::Declared { decl: d.clone(), env, args: Vec::new() };
                (d.name.name.clone(), Value::Set(Arc::new(SetValue { kind })))
            }
            ItemKind::Term(d) => {
                let kind = TermKind::Declared { decl: d.clone(), env, args: Vec::new() };
                (d.name.name.clone(), Value::Term(Arc::new(TermValue { kind })))
            }
            ItemKind::Rule(d) => {
                let r = RuleValue::Declared { decl: d.clone(), env, args: Vec::new(), settings: Vec::new() };
                (d.name.name.clone(), Value::Rule(Arc::new(r)))
            }
            ItemKind::Method(d) => {
                (d.name.name.clone(), Value::Method(Arc::new(MethodValue { decl: d.clone(), env, args: Vec::new() })))
            }
            ItemKind::Problem(d) => {
                (d.name.name.clone(), Value::ProblemDecl(Arc::new(ProblemDeclValue { decl: d.clone(), env })))
            }
            ItemKind::Schedule(d) => (d.name.name.clone(), schedule(d.clone(), env)),
            ItemKind::Stop(d) => {
                let name = d.name.name.clone();
                if d.params.is_empty() {
                    (name.clone(), Value::StopTest(Arc::new(StopValue { name, body: d.body.clone(), env })))
                } else {
                    let d = d.clone();
                    let v = Value::native(name.clone(), move |s: &mut Interp<'_>, args: &[CallArg], span| {
                        let (env, _) = s.bind_params(&d.params, args, &env, &d.name.name, span)?;
                        Ok(Value::StopTest(Arc::new(StopValue { name: d.name.name.clone(), body: d.body.clone(), env })))
                    });
                    (name, v)
                }
            }
            ItemKind::Dist(d) => {
                let v = DistDecl::Dist { decl: d.clone(), env };
                (d.name.name.clone(), self.declared_dist(v))
            }
            ItemKind::Model(d) => {
                let v = DistDecl::Model { decl: d.clone(), env };
                (d.name.name.clone(), self.declared_dist(v))
            }
            ItemKind::Use(_)
            | ItemKind::Data(_)
            | ItemKind::Law(_)
            | ItemKind::Test(_)
            | ItemKind::Stmt(_)
            | ItemKind::Error => return None,
        })
    }

    /// The prelude's module, loaded when a name is first looked for there.
    fn prelude(&mut self) -> Eval<usize> {
        if let Some(k) = self.modules.iter().position(|m| &*m.name == PRELUDE) {
            return Ok(k);
        }
        let names: Vec<String> = self.host.prelude().iter().map(|s| s.to_string()).collect();
        // Registered first: the library's own modules look names up here, too.
        let index = self.add_module(PRELUDE, FileId(0), Arc::from(""), true);
        for name in names {
            let k = self.library_module(&name, Span::default())?;
            let Some(m) = self.modules.get(k) else { continue };
            // The modules of methods keep their line searches and other helpers to themselves.
            let only_methods = name.starts_with(METHODS);
            let entries: Vec<(Arc<str>, Value)> = m
                .names
                .iter()
                .filter(|(_, v)| !only_methods || matches!(v, Value::Method(_)))
                .map(|(n, v)| (n.clone(), v.clone()))
                .collect();
            if let Some(p) = self.modules.get_mut(index) {
                p.names.extend(entries);
            }
        }
        Ok(index)
    }

    /// A library module, loaded once.
    pub fn library_module(&mut self, name: &str, span: Span) -> Eval<usize> {
        if let Some(k) = self.modules.iter().position(|m| m.library && &*m.name == name) {
            return Ok(k);
        }
        let Some(library) = self.host.library(name) else {
            return Err(Diagnostic::error("E1101", span, format!("there is no library module `{name}`")).into());
        };
        let index = self.add_module(name, library.file, library.text, true);
        if let Some(d) = library.broken {
            return Err(d.into());
        }
        self.declare_items(index, &library.tree);
        for item in &library.tree.items {
            if let ItemKind::Law(l) = &item.kind {
                self.state_law(index, l)?;
            }
        }
        Ok(index)
    }

    /// A function that the evaluator itself calls.
    pub(crate) fn library_function(&mut self, module: &str, name: &str, span: Span) -> Eval<Value> {
        let index = self.library_module(module, span)?;
        match self.find_in_module(index, name)? {
            Some(f) => Ok(f),
            None => Err(Diagnostic::error("E9005", span, format!("the library has no `{name}`")).into()),
        }
    }

    /// A name of the module, else of the prelude, else a builtin.
    pub fn find_in_module(&mut self, module: usize, name: &str) -> Eval<Option<Value>> {
        if let Some(v) = self.modules.get(module).and_then(|m| m.names.get(name)) {
            return Ok(Some(v.clone()));
        }
        if let Some(v) = builtins::find(name) {
            return Ok(Some(v));
        }
        if let Some((_, v)) = builtins::CONSTANTS.iter().find(|(n, _)| *n == name) {
            return Ok(Some(Value::Num(self.real(*v)?)));
        }
        let p = self.prelude()?;
        if let Some(v) = self.modules.get(p).and_then(|m| m.names.get(name)) {
            return Ok(Some(v.clone()));
        }
        // The library's modules also see each other's helpers.
        let inside = self.modules.get(module).is_some_and(|m| m.library);
        let helper = self.modules.iter().filter(|m| inside && m.library).find_map(|m| m.names.get(name));
        Ok(helper.cloned())
    }

    /// A name of the library that a builtin of the same name hides.
    pub fn find_prelude(&mut self, name: &str) -> Eval<Option<Value>> {
        let p = self.prelude()?;
        Ok(self.modules.get(p).and_then(|m| m.names.get(name)).cloned())
    }

    pub fn unknown_name(&mut self, name: &str, env: &Env, span: Span) -> Stop {
        let mut candidates: Vec<String> = Vec::new();
        if let Some(m) = self.modules.get(env.module) {
            candidates.extend(m.names.keys().map(|k| k.to_string()));
        }
        if let Some(m) = self.modules.iter().find(|m| &*m.name == PRELUDE) {
            candidates.extend(m.names.keys().map(|k| k.to_string()));
        }
        candidates.extend(builtins::names().map(str::to_string));
        let d = Diagnostic::error("E1001", span, format!("unknown name `{name}`")).at("not found in this scope");
        match gradus_syntax::nearest(name, candidates.iter().map(String::as_str)) {
            Some(near) => d.fix(format!("did you mean `{near}`?"), span, near).into(),
            None => d.into(),
        }
    }

    /// `use nn.{mlp}`: bring names of a module into this one.
    pub fn use_module(&mut self, module: usize, u: &UseDecl, span: Span) -> Eval<()> {
        let (source, last, at) = match &u.path {
            UsePath::Library(path) => {
                // `use nn.mlp` names a member; `use nn` the module.
                let full: Vec<&str> = path.iter().map(|i| &*i.name).collect();
                let whole = full.join("/");
                if self.host.library(&whole).is_some() || path.len() < 2 {
                    let k = self.library_module(&whole, span)?;
                    (k, path.last().cloned(), span)
                } else {
                    let (head, member) = full.split_at(full.len() - 1);
                    let k = self.library_module(&head.join("/"), span)?;
                    let name = member.first().copied().unwrap_or_default();
                    let at = path.last().map(|i| i.span).unwrap_or(span);
                    return self.import(module, k, name, at);
                }
            }
            UsePath::File(path, at) => {
                let from = self.modules.get(module).map(|m| m.file).unwrap_or_default();
                let (file, text) = self
                    .host
                    .script(path, from)
                    .map_err(|e| Stop::from(Diagnostic::error("E6001", *at, format!("cannot read `{path}`: {e}"))
                .at("used here")))?;
                if let Some(k) = self.modules.iter().position(|m| m.file == file) {
                    (k, None, *at)
                } else {
                    let (ast, diagnostics) = gradus_syntax::parse(file, &text);
                    if diagnostics.iter().any(Diagnostic::is_error) {
                        self.diagnostics.extend(diagnostics);
                        return Err(Stop::Poisoned);
                    }
                    let k = self.add_module(&**path, file, text, false);
                    self.declare_items(k, &ast);
                    self.run_items(k, &ast, false)?;
                    (k, None, *at)
                }
            }
        };
        match (&u.names, last) {
            (Some(names), _) => {
                for id in names {
                    self.import(module, source, &id.name, id.span)?;
                }
            }
            (None, Some(id)) => {
                if let Some(m) = self.modules.get_mut(module) {
                    m.names.insert(id.name.clone(), Value::Module(source));
                }
            }
            (None, None) => {
                let names: Vec<Arc<str>> =
                    self.modules.get(source).map(|m| m.names.keys().cloned().collect()).unwrap_or_default();
                for n in names {
                    self.import(module, source, &n, at)?;
                }
            }
        }
        Ok(())
    }

    fn import(&mut self, into: usize, from: usize, name: &str, span: Span) -> Eval<()> {
        let Some(v) = self.modules.get(from).and_then(|m| m.names.get(name)).cloned() else {
            let m = self.modules.get(from);
            let title = m.map(|m| m.name.to_string()).unwrap_or_default();
            let d = Diagnostic::error("E1102", span, format!("`{title}` has no `{name}`"));
            let near = m.and_then(|m| gradus_syntax::nearest(name, m.names.keys().map(|k| &**k)).map(str::to_string));
            return Err(match near {
                Some(n) => d.fix(format!("did you mean `{n}`?"), span, n).into(),
                None => d.into(),
            });
        };
        if let Some(m) = self.modules.get_mut(into) {
            m.names.insert(Arc::from(name), v);
        }
        Ok(())
    }
}

/// `schedule cosine(peak, steps) at t = e`: called with its parameters it gives a function of the step.
fn schedule(d: Arc<gradus_syntax::ast::ScheduleDecl>, env: Env) -> Value {
    Value::native(d.name.name.clone(), move |s: &mut Interp<'_>, args: &[CallArg], span| {
        let (env, _) = s.bind_params(&d.params, args, &env, &d.name.name, span)?;
        let param = gradus_syntax::ast::Param { name: d.time.clone(), ty: None, default: None, variadic: false };
        Ok(Value::Fn(Arc::new(Function::Closure {
            name: d.name.name.clone(),
            params: vec![param].into(),
            ret: None,
            body: d.body.clone(),
            env,
        })))
    })
}
