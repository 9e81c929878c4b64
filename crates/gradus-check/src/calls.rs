//! The arguments of declarations that are known: `f(1, y = 2)` against `fn f(x, y)`.

use crate::diagnostics as say;
use crate::known::{Kind, KnownName};
use crate::walker::Walker;
use gradus_syntax::ast::{Arg, Expr, TypeExpr};
use gradus_syntax::{Span, nearest};

impl<'a> Walker<'a> {
    /// Checks a call. Positional arguments fill the parameters in order of declaration, passing over those that were
    /// given by name before. With `partial` more arguments may follow (`x |> f(2)`), so that none is missing.
    pub fn arguments(&mut self, callee: &'a KnownName, decl: Option<Span>, args: &'a [Arg], call: Span, partial: bool) {
        let Some(params) = &callee.params else { return };
        let mut given: Vec<Option<Span>> = vec![None; params.len()];
        let mut sound = true;
        let mut next = 0;
        let mut positional = 0;
        for arg in args {
            let Some(name) = &arg.name else {
                positional += 1;
                while given.get(next).is_some_and(Option::is_some) && !params[next].variadic {
                    next += 1;
                }
                match given.get_mut(next) {
                    Some(slot) => *slot = Some(arg.value.span),
                    None => {
                        if sound {
                            self.report(say::too_many_arguments(arg.value.span, callee, params.len(), positional, decl));
                        }
                        sound = false;
                    }
                }
                continue;
            };
            match params.iter().position(|p| p.name == name.name) {
                Some(k) => match given[k] {
                    Some(first) => {
                        self.report(say::argument_twice(name.span, &name.name, first));
                        sound = false;
                    }
                    None => given[k] = Some(arg.value.span),
                },
                None if callee.kind.takes_settings() && self.known.settings.contains(&name.name) => {}
                None => {
                    let settings = self.known.settings.iter().filter(|_| callee.kind.takes_settings());
                    let near = nearest(&name.name, params.iter().map(|p| &*p.name).chain(settings.map(|s| &**s)));
                    let d = say::unknown_argument(name, callee, params, near, decl);
                    self.report(d);
                    sound = false;
                }
            }
        }
        if partial || !sound {
            return;
        }
        let missing: Vec<&str> =
            params.iter().zip(&given).filter(|(p, g)| p.required && g.is_none()).map(|(p, _)| &*p.name).collect();
        if !missing.is_empty() {
            self.report(say::missing_arguments(call, callee, &missing, decl));
        }
    }

    /// `mlp[64, 128, 10]` against `type mlp(sizes: int...)`.
    pub fn type_arguments(&mut self, ty: &'a KnownName, whole: &'a TypeExpr, args: &'a [Expr]) {
        let Some(params) = &ty.params else { return };
        if params.iter().any(|p| p.variadic) {
            return;
        }
        if let Some(extra) = args.get(params.len()) {
            self.report(say::too_many_arguments(extra.span, ty, params.len(), args.len(), None));
            return;
        }
        let missing: Vec<&str> = params.iter().skip(args.len()).filter(|p| p.required).map(|p| &*p.name).collect();
        if !missing.is_empty() {
            self.report(say::missing_arguments(whole.span, ty, &missing, None));
        }
    }

    /// `solve lasso` where `lasso` has parameters that must be given.
    pub fn solved_bare(&mut self, problem: &'a KnownName, decl: Option<Span>, at: Span) {
        if problem.kind == Kind::Problem {
            self.arguments(problem, decl, &[], at, false);
        }
    }
}
