//! Scripts: statements from top to bottom, then tests.

use crate::env::Env;
use crate::host::Event;
use crate::interp::{Interp, Mode};
use crate::value::{Eval, Stop, Value};
use gradus_ir::DType;
use gradus_syntax::ast::{Arg, Expr, ExprKind, Ident, ItemKind, Module, Pattern, Stmt, StmtKind, TestDecl};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// How a script ended.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub diagnostics: Vec<Diagnostic>,
    /// Assertions and certificates that did not hold.
    pub failed: usize,
    pub tests_passed: usize,
    pub tests_failed: usize,
    pub cancelled: bool,
}

impl Interp<'_> {
    /// Everything at the top of a module. `tests`: also its test blocks.
    pub fn run_items(&mut self, module: usize, ast: &Module, tests: bool) -> Eval<()> {
        for item in &ast.items {
            if self.host.cancelled() {
                return Err(Stop::Cancelled);
            }
            let result = match &item.kind {
                ItemKind::Use(u) => self.use_module(module, u, item.span),
                ItemKind::Data(d) => self.data(module, d),
                ItemKind::Stmt(s) => self.top_stmt(module, s),
                ItemKind::Law(l) => self.state_law(module, l),
                _ => Ok(()),
            };
            self.settle(result)?;
        }
        if tests {
            for item in &ast.items {
                match &item.kind {
                    ItemKind::Test(t) => self.test(module, t)?,
                    ItemKind::Law(l) => {
                        let r = self.law(module, l);
                        self.settle(r)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Keep a diagnostic and go on; only a cancelled run stops.
    fn settle(&mut self, r: Eval<()>) -> Eval<()> {
        match r {
            Err(Stop::Diagnostic(d)) => {
                self.diagnostics.push(*d);
                Ok(())
            }
            Err(Stop::Poisoned) => Ok(()),
            other => other,
        }
    }

    fn define(&mut self, module: usize, name: Arc<str>, v: Value) {
        if let Some(m) = self.modules.get_mut(module) {
            m.names.insert(name, v);
        }
    }

    fn top_stmt(&mut self, module: usize, s: &Stmt) -> Eval<()> {
        let env = Env::module(module);
        if let StmtKind::Let(p, ty, e) = &s.kind {
            let out = self.top_let(&env, p, ty.as_ref(), e);
            match out {
                Ok(env) => {
                    for (n, v) in env.locals() {
                        self.define(module, n, v);
                    }
                    Ok(())
                }
                Err(stop) => {
                    for n in pattern_names(p) {
                        self.define(module, n.name.clone(), Value::Poison);
                    }
                    Err(stop)
                }
            }
        } else {
            self.stmt(s, &env).map(|_| ())
        }
    }

    /// A `let` of the script: its numbers are computed at once.
    fn top_let(&mut self, env: &Env, p: &Pattern, ty: Option<&gradus_syntax::ast::TypeExpr>, e: &Expr) -> Eval<Env> {
        let name = match p {
            Pattern::Name(id) => Some(id.name.clone()),
            _ => None,
        };
        let setting = name.as_ref().and_then(|n| self.host.setting(n));
        let v = match setting {
            Some(text) => self.setting_value(&text, env, e.span)?,
            None => match &*e.kind {
                ExprKind::Solve(s) => {
                    let old = self.at(e.span);
                    let v = self.eval_solve(s, env, e.span, name);
                    self.tracer.origin = old;
                    v?
                }
                _ => self.eval_typed(ty, e, env)?,
            },
        };
        let (v, env) = match ty {
            Some(t) => self.check_type(t, v, env, e.span, "the value")?,
            None => (v, env.clone()),
        };
        let v = if self.mode == Mode::Run {
            let old = self.at(e.span);
            let r = self.compute(&v).and_then(|_| self.as_parameter(&v, false));
            self.tracer.origin = old;
            r?
        } else {
            v
        };
        self.bind_pattern(p, v, &env, e.span)
    }

    /// Compute the numbers inside a value; functions and sets have none.
    fn compute(&mut self, v: &Value) -> Eval<()> {
        let mut nums = Vec::new();
        crate::output::collect(v, &mut nums);
        nums.retain(|n| self.tracer.is_session(*n));
        self.force_all(&nums).map(|_| ())
    }

    /// `--set name=value`: the text is an expression of the language.
    fn setting_value(&mut self, text: &str, env: &Env, span: Span) -> Eval<Value> {
        let (ast, diagnostics) = gradus_syntax::parse(gradus_syntax::FileId(0), &format!("let value = {text}\n"));
        let bad = || Stop::from(Diagnostic::error("E1305", span, format!("`--set` gave `{text}`, which is no expression")).at("set from outside"));
        if diagnostics.iter().any(Diagnostic::is_error) {
            return Err(bad());
        }
        match ast.items.first().map(|i| &i.kind) {
            Some(ItemKind::Stmt(Stmt { kind: StmtKind::Let(_, _, e), .. })) => self.eval(e, env),
            _ => Err(bad()),
        }
    }

    /// A statement in a block of statements (a test, or the script itself); returns the scope after it.
    pub fn stmt(&mut self, s: &Stmt, env: &Env) -> Eval<Env> {
        let old = self.at(s.span);
        let r = self.stmt_inner(s, env);
        self.tracer.origin = old;
        r
    }

    fn stmt_inner(&mut self, s: &Stmt, env: &Env) -> Eval<Env> {
        let show = self.mode == Mode::Run && !self.options.silent;
        match &s.kind {
            StmtKind::Let(p, ty, e) => return self.top_let(env, p, ty.as_ref(), e),
            StmtKind::Print(items) => {
                let mut out = Vec::with_capacity(items.len());
                for e in items {
                    let v = self.eval(e, env)?;
                    if self.mode == Mode::Run {
                        let name = match &*e.kind {
                            ExprKind::Str(_) => None,
                            _ => self.text_of(e),
                        };
                        out.push((name, self.output(&v, e.span)?));
                    }
                }
                if show {
                    self.host.emit(Event::Print { items: out, span: s.span });
                }
            }
            StmtKind::Plot(args) => {
                let (mut items, mut settings) = (Vec::new(), Vec::new());
                for a in args {
                    let v = self.eval(&a.value, env)?;
                    if self.mode == Mode::Run {
                        let o = self.output(&v, a.value.span)?;
                        match &a.name {
                            Some(n) => settings.push((n.name.to_string(), o)),
                            None => items.push((self.text_of(&a.value).unwrap_or_default(), o)),
                        }
                    }
                }
                if show {
                    self.host.emit(Event::Plot { items, settings, span: s.span });
                }
            }
            StmtKind::Save(e, path) => {
                let v = self.eval(e, env)?;
                let p = self.eval(path, env)?;
                let Value::Str(p) = p else {
                    return Err(Diagnostic::error("E1202", path.span, format!("a file name is a string, found {}", p.kind())).into());
                };
                if show {
                    let value = self.output(&v, e.span)?;
                    self.host.emit(Event::Save { value, path: p.to_string(), span: s.span });
                }
            }
            StmtKind::Assert(e, message) => self.assert(e, message.as_ref(), env)?,
            StmtKind::Certify(e, conditions) => self.certify(e, conditions, env)?,
            StmtKind::Expr(e) => {
                self.eval(e, env)?;
            }
            StmtKind::Error => return Err(Stop::Poisoned),
        }
        Ok(env.clone())
    }

    fn assert(&mut self, e: &Expr, message: Option<&Expr>, env: &Env) -> Eval<()> {
        let v = self.eval(e, env)?;
        let leaves = self.leaves(&v, e.span)?;
        for n in &leaves {
            if self.ty(*n).dtype != DType::Bool {
                return Err(Diagnostic::error("E1201", e.span, format!("`assert` needs a truth value, found `{}`", self.ty(*n)))
                    .at("neither true nor false")
                    .help("compare: `assert x <= 1e-8`")
                    .into());
            }
        }
        let text = match message {
            Some(m) => match self.eval(m, env)? {
                Value::Str(s) => Some(s),
                _ => None,
            },
            None => None,
        };
        if self.mode == Mode::Check {
            return Ok(());
        }
        let truths: Vec<f64> = self.force_all(&leaves)?.iter().flat_map(|a| a.data.to_vec()).collect();
        if truths.iter().all(|x| *x != 0.0) {
            return Ok(());
        }
        let mut d = Diagnostic::error("E8001", e.span, text.map(|t| t.to_string()).unwrap_or_else(|| "the assertion does not hold".into()));
        d = d.at(match truths.len() {
            1 => "this is false".to_string(),
            k => format!("false for {} of {k} elements", truths.iter().filter(|x| **x == 0.0).count()),
        });
        // Both sides of a comparison, so that the reader need not print them.
        if let ExprKind::Compare(operands, _) = &*e.kind {
            for o in operands {
                if matches!(&*o.kind, ExprKind::Int(_) | ExprKind::Real(_) | ExprKind::Str(_)) {
                    continue;
                }
                let v = self.eval(o, env)?;
                if let Ok(out) = self.output(&v, o.span) {
                    d = d.label(o.span, format!("is {}", brief(&out)));
                }
            }
        }
        Err(d.into())
    }

    fn test(&mut self, module: usize, t: &TestDecl) -> Eval<()> {
        if let Some(f) = &self.options.filter
            && !t.name.contains(f.as_str())
        {
            return Ok(());
        }
        let before = self.diagnostics.len();
        let mut env = Env::module(module);
        // A statement that used a value whose making failed has not been tested.
        let mut whole = true;
        for s in &t.body {
            match self.stmt(s, &env) {
                Ok(e) => env = e,
                Err(Stop::Diagnostic(d)) => {
                    self.diagnostics.push(*d);
                    if let StmtKind::Let(p, _, _) = &s.kind {
                        for n in pattern_names(p) {
                            env = env.bind(n.name.clone(), Value::Poison);
                        }
                    }
                }
                Err(Stop::Poisoned) => {
                    whole = false;
                    if let StmtKind::Let(p, _, _) = &s.kind {
                        for n in pattern_names(p) {
                            env = env.bind(n.name.clone(), Value::Poison);
                        }
                    }
                }
                Err(Stop::Cancelled) => return Err(Stop::Cancelled),
            }
        }
        if self.mode == Mode::Run {
            let new: Vec<Diagnostic> = self.diagnostics.get(before..).unwrap_or_default().to_vec();
            let passed = whole && !new.iter().any(Diagnostic::is_error);
            self.host.emit(Event::Test { name: t.name.clone(), passed, diagnostics: new });
            self.tests.push(passed);
        }
        Ok(())
    }

    /// Arguments by name, for declarations that read files.
    pub(crate) fn named<'a>(args: &'a [Arg], name: &str) -> Option<&'a Arg> {
        args.iter().find(|a| a.name.as_ref().is_some_and(|n| &*n.name == name))
    }
}

pub fn pattern_names(p: &Pattern) -> Vec<&Ident> {
    match p {
        Pattern::Name(id) => vec![id],
        Pattern::Wild(_) => Vec::new(),
        Pattern::Tuple(parts, _) => parts.iter().flat_map(pattern_names).collect(),
        Pattern::Record(names, _) => names.iter().collect(),
    }
}

/// A value in a few characters.
fn brief(o: &crate::host::Output) -> String {
    use crate::host::Output;
    match o {
        Output::Array(a) => match a.data.as_slice() {
            [x] if a.dtype == DType::Bool => (if *x != 0.0 { "true" } else { "false" }).into(),
            [x] => format!("{x}"),
            data => {
                let head: Vec<String> = data.iter().take(4).map(|x| format!("{x:.6}")).collect();
                let more = if data.len() > 4 { ", …" } else { "" };
                format!("[{}{more}] of {} elements", head.join(", "), data.len())
            }
        },
        Output::Text(t) => format!("\"{t}\""),
        Output::Record(f) => format!("a record of {} fields", f.len()),
        Output::List(l) => format!("a list of {}", l.len()),
        Output::Opaque(t) => t.clone(),
    }
}
