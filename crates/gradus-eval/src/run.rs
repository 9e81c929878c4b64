//! The two things a script is for: being checked before any data is read, and being run.

use crate::builtins;
use crate::host::Host;
use crate::interp::{Interp, Mode, Options};
use crate::memo::Memo;
use crate::script::Outcome;
use crate::value::Stop;
use gradus_check::{Kind, Known, KnownModule, KnownName};
use gradus_syntax::Diagnostic;
use gradus_syntax::ast::Module;
use std::sync::Arc;

/// Evaluate a script with its data as inputs of unknown size: every shape, fact and name is checked, nothing is run.
/// `memo` may then be given to `run_script`.
pub fn check_script(ast: &Module, text: &Arc<str>, host: &mut dyn Host, options: &Options, memo: &mut Memo) -> Vec<Diagnostic> {
    let mut i = Interp::new(host, Mode::Check, options.clone());
    i.traced = gradus_check::trace_wanted(ast);
    i.memo = std::mem::take(memo);
    i.memo.traced = Some(i.traced.clone());
    let m = i.add_module("script", ast.file, text.clone(), false);
    i.bind_seed(m);
    i.declare_items(m, ast);
    let r = i.run_items(m, ast, true);
    if let Err(Stop::Diagnostic(d)) = r {
        i.diagnostics.push(*d);
    }
    i.check_functions(m, ast);
    i.types_stage(m);
    *memo = i.memo;
    i.diagnostics
}

/// Run a script that was checked.
pub fn run_script(ast: &Module, text: &Arc<str>, host: &mut dyn Host, options: &Options, memo: Memo) -> Outcome {
    let mut i = Interp::new(host, Mode::Run, options.clone());
    i.memo = memo;
    i.traced = i.memo.traced.take().unwrap_or_else(|| gradus_check::trace_wanted(ast));
    let m = i.add_module("script", ast.file, text.clone(), false);
    i.bind_seed(m);
    i.declare_items(m, ast);
    let r = i.run_items(m, ast, options.tests);
    i.tell_skipped();
    let mut out = Outcome { cancelled: matches!(r, Err(Stop::Cancelled)), ..Outcome::default() };
    if let Err(Stop::Diagnostic(d)) = r {
        i.diagnostics.push(*d);
    }
    out.failed = i.diagnostics.iter().filter(|d| d.code.starts_with("E8")).count();
    out.tests_passed = i.tests.iter().filter(|t| **t).count();
    out.tests_failed = i.tests.iter().filter(|t| !**t).count();
    out.diagnostics = i.diagnostics;
    out
}

/// The names that a script finds without declaring them: builtins, words, and the library's, by module.
pub fn known_names(host: &dyn Host) -> Known {
    let mut known = Known::default();
    known.names.extend(builtins::functions().map(|n| KnownName::new(n, Kind::Function)));
    let words = builtins::SYMBOLS.iter().copied().chain(builtins::CONSTANTS.iter().map(|(n, _)| *n));
    known.names.extend(words.chain(["seed"]).map(|n| KnownName::new(n, Kind::Value)));
    known.settings = crate::solve::rule::DRIVER_SETTINGS.iter().map(|s| Arc::from(*s)).collect();
    known.of_dist = builtins::of_dist().map(Arc::from).collect();
    let prelude = host.prelude().to_vec();
    for name in host.modules() {
        let Some(library) = host.library(name) else { continue };
        let names = gradus_check::public_names(&library.tree);
        if prelude.contains(&name) {
            let only_methods = name.starts_with(crate::modules::METHODS);
            known.names.extend(names.iter().filter(|n| !only_methods || n.kind == Kind::Method).cloned());
        }
        known.modules.push(KnownModule { name: Arc::from(name), names });
    }
    known
}

impl Interp<'_> {
    /// `seed` is the run's seed.
    fn bind_seed(&mut self, module: usize) {
        let v = self.bind_run_seed();
        if let (Ok(n), Some(m)) = (v, self.modules.get_mut(module)) {
            m.names.insert(Arc::from("seed"), crate::value::Value::Num(n));
        }
    }

    /// Functions and problems whose parameters all have types are checked even where nothing calls them.
    fn check_functions(&mut self, module: usize, ast: &Module) {
        for item in &ast.items {
            let gradus_syntax::ast::ItemKind::Fn(f) = &item.kind else { continue };
            if f.params.is_empty() || !f.params.iter().all(|p| p.ty.is_some()) {
                continue;
            }
            if let Err(Stop::Diagnostic(d)) = self.check_function(module, f)
                && !self.diagnostics.iter().any(|e| e.code == d.code && e.primary.span == d.primary.span)
            {
                self.diagnostics.push(*d);
            }
        }
    }

    fn check_function(&mut self, module: usize, f: &gradus_syntax::ast::FnDecl) -> crate::value::Eval<()> {
        let mut env = crate::env::Env::module(module);
        let mut tys = Vec::new();
        for p in &f.params {
            let Some(t) = &p.ty else { return Ok(()) };
            let Some(tree) = self.symbolic_type(t, &mut env)? else { return Ok(()) };
            tys.extend(tree.leaves());
            let mut leaves = Vec::new();
            for ty in tree.leaves() {
                leaves.push(self.bind_symbolic(ty)?);
            }
            let v = tree.build(&mut leaves.into_iter()).ok_or(Stop::Poisoned)?;
            env = env.bind(p.name.name.clone(), v);
        }
        if self.checked.contains(&(f.body.span, tys)) {
            return Ok(());
        }
        let v = self.eval(&f.body, &env)?;
        if let Some(t) = &f.ret {
            self.check_type(t, v, &env, f.body.span, &format!("the result of `{}`", f.name.name))?;
        }
        Ok(())
    }

    /// The tree of a parameter's type, with dimensions that are not bound as symbols of their own.
    fn symbolic_type(
        &mut self,
        t: &gradus_syntax::ast::TypeExpr,
        env: &mut crate::env::Env,
    ) -> crate::value::Eval<Option<crate::tree::TypeTree>> {
        use gradus_syntax::ast::{ExprKind, TypeKind};
        match &*t.kind {
            TypeKind::Name(id) if crate::types::element(&id.name).is_none() => Ok(None),
            TypeKind::Array(_, dims) => {
                for d in dims {
                    if let ExprKind::Name(id) = &*d.kind
                        && env.local(&id.name).is_none()
                    {
                        let n = self.dim_num(&gradus_ir::Dim::sym(id.name.clone()))?;
                        *env = env.bind(id.name.clone(), crate::value::Value::Num(n));
                    }
                }
                self.type_of(t, env).map(Some)
            }
            TypeKind::Name(_) => self.type_of(t, env).map(Some),
            _ => Ok(None),
        }
    }
}
