//! Calls: evaluating arguments, binding parameters, applying whatever can be applied.

use crate::env::Env;
use crate::interp::{Interp, Mode};
use crate::value::{
    Bound, CallArg, Eval, Function, MethodValue, RuleValue, SetKind, SetValue, Stop, TermKind, TermValue, TypeValue, Value,
};
use gradus_syntax::ast::{Arg, Expr, Param};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

impl Function {
    pub fn name(&self) -> &str {
        match self {
            Function::Closure { name, .. } | Function::Native { name, .. } => name,
            Function::Builtin(b) => b.name,
            Function::Region(_) => "objective",
        }
    }
}

impl Interp<'_> {
    pub fn eval_args(&mut self, args: &[Arg], env: &Env) -> Eval<Vec<CallArg>> {
        args.iter()
            .map(|a| {
                Ok(CallArg { name: a.name.as_ref().map(|n| n.name.clone()), value: self.eval(&a.value, env)?, span: a.value.span })
            })
            .collect()
    }

    pub(super) fn eval_call(&mut self, callee: &Expr, args: &[Arg], env: &Env, span: Span) -> Eval<Value> {
        let f = self.eval(callee, env)?;
        // What is declared as a distribution is named as distributions are.
        let args = match &f {
            Value::Fn(g) if !env.chances => {
                let mut all = Vec::with_capacity(args.len());
                for (k, a) in args.iter().enumerate() {
                    let scope = if takes_dist(g, k, a) { &env.for_chances() } else { env };
                    all.extend(self.eval_args(std::slice::from_ref(a), scope)?);
                }
                all
            }
            _ => self.eval_args(args, env)?,
        };
        self.apply_at(&f, &args, span, callee.span)
    }

    pub fn apply(&mut self, f: &Value, args: &[CallArg], span: Span) -> Eval<Value> {
        self.apply_at(f, args, span, span)
    }

    /// Apply a function to values.
    pub fn call_values(&mut self, f: &Value, args: &[Value], span: Span) -> Eval<Value> {
        let args: Vec<CallArg> = args.iter().map(|v| CallArg { name: None, value: v.clone(), span }).collect();
        self.apply(f, &args, span)
    }

    fn apply_at(&mut self, f: &Value, args: &[CallArg], span: Span, callee: Span) -> Eval<Value> {
        match f {
            Value::Fn(f) => match &**f {
                Function::Closure { name, params, ret, body, env } => {
                    self.call_guard(span)?;
                    let out = self.call_closure(name, params, ret.as_ref(), body, env, args, span);
                    self.calls -= 1;
                    out.map_err(|e| e.called_from(name, span))
                }
                Function::Builtin(b) => self.call_builtin(b, args, span),
                Function::Native { call, .. } => call(self, args, span),
                Function::Region(r) => {
                    let v = self.one_arg(args, "the objective", span)?;
                    self.apply_region(r, &v, span)
                }
            },
            Value::Term(t) => self.apply_term(t, args, span),
            Value::Prox(h) => {
                let v = self.one_arg(args, "the term", span)?;
                Ok(Value::Num(self.prox_value(h, &v, span)?))
            }
            Value::Set(s) => self.apply_set(s, args, span),
            Value::Type(t) => {
                let t: Arc<TypeValue> = self.apply_type(t, args, span)?;
                Ok(Value::Type(t))
            }
            Value::Typed(t) => match self.type_oracle(&t.ty, "apply", Some(f.clone())) {
                Some(g) => self.apply(&g, args, span),
                None => Err(not_callable(f, callee)),
            },
            Value::Rule(r) => self.apply_rule_args(r, args, span),
            Value::Method(m) => {
                let (_, bound) = self.bind_params(&m.decl.params, args, &m.env, &m.decl.name.name, span)?;
                Ok(Value::Method(Arc::new(MethodValue { decl: m.decl.clone(), env: m.env.clone(), args: bound })))
            }
            Value::ProblemDecl(p) => {
                let (env, bound) = self.bind_params(&p.decl.params, args, &p.env, &p.decl.name.name, span)?;
                let env = self.problem_parameters(&p.decl.params, bound, env)?;
                let e = &p.decl.body;
                self.problem_from(e, &env, p.decl.name.name.clone(), span)
            }
            Value::DistDecl(d) => self.apply_dist(d, args, span).map(Value::Dist),
            Value::Poison => Err(Stop::Poisoned),
            other => Err(not_callable(other, callee)),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn call_closure(
        &mut self,
        name: &str,
        params: &[Param],
        ret: Option<&gradus_syntax::ast::TypeExpr>,
        body: &Expr,
        env: &Env,
        args: &[CallArg],
        span: Span,
    ) -> Eval<Value> {
        let (env, _) = self.bind_params(params, args, env, name, span)?;
        let old = self.tracer.origin;
        let out = self.eval(body, &env);
        self.tracer.origin = old;
        let out = out?;
        let out = match ret {
            Some(t) => self.check_type(t, out, &env, body.span, &format!("the result of `{name}`"))?.0,
            None => out,
        };
        self.note_checked(body.span, args);
        Ok(out)
    }

    /// A function that a check has traced with arguments of which only the types are known need not be checked by itself.
    pub(crate) fn note_checked(&mut self, body: Span, args: &[CallArg]) {
        if self.mode != Mode::Check {
            return;
        }
        let unknown = |a: &CallArg| match a.value {
            Value::Num(n) => {
                let node = self.tracer.graph_of(n)?.node(n.id);
                matches!(node.op, gradus_ir::Op::Param(_)).then(|| node.ty().clone())
            }
            _ => None,
        };
        if let Some(tys) = args.iter().map(unknown).collect::<Option<Vec<_>>>() {
            self.checked.insert((body, tys));
        }
    }

    /// Give arguments to parameters. Returns the scope with the parameters (and the dimensions their types name), and the
    /// parameters in order of declaration.
    pub fn bind_params(&mut self, params: &[Param], args: &[CallArg], env: &Env, who: &str, span: Span) -> Eval<(Env, Bound)> {
        self.bind_some(params, args, env, who, span, &|_| false)
    }

    /// Like `bind_params`; a parameter for which `open` says so may be left out.
    pub fn bind_some(
        &mut self,
        params: &[Param],
        args: &[CallArg],
        env: &Env,
        who: &str,
        span: Span,
        open: &dyn Fn(&str) -> bool,
    ) -> Eval<(Env, Bound)> {
        let mut given: Vec<Option<CallArg>> = vec![None; params.len()];
        let mut rest: Vec<Value> = Vec::new();
        let mut next = 0;
        for a in args {
            match &a.name {
                Some(name) => {
                    let Some(k) = params.iter().position(|p| p.name.name == *name) else {
                        let d = Diagnostic::error("E1105", a.span, format!("`{who}` has no parameter `{name}`"));
                        let near = gradus_syntax::nearest(name, params.iter().map(|p| &*p.name.name));
                        return Err(match near {
                            Some(n) => d.help(format!("did you mean `{n}`?")).into(),
                            None => d.note(signature(who, params)).into(),
                        });
                    };
                    if let Some(slot) = given.get_mut(k) {
                        if slot.is_some() {
                            return Err(Diagnostic::error("E1108", a.span, format!("`{name}` is given twice")).into());
                        }
                        *slot = Some(a.clone());
                    }
                }
                None => {
                    while given.get(next).is_some_and(Option::is_some) {
                        next += 1;
                    }
                    match params.get(next) {
                        Some(p) if p.variadic => rest.push(a.value.clone()),
                        Some(_) => {
                            if let Some(slot) = given.get_mut(next) {
                                *slot = Some(a.clone());
                            }
                        }
                        None => {
                            return Err(Diagnostic::error("E1107", a.span, format!("`{who}` takes {} arguments", params.len()))
                                .at("one too many")
                                .note(signature(who, params))
                                .into());
                        }
                    }
                }
            }
        }
        let mut env = env.clone();
        let mut bound: Bound = Vec::with_capacity(params.len());
        for (p, slot) in params.iter().zip(given) {
            let name = p.name.name.clone();
            if p.variadic {
                let v = Value::list(std::mem::take(&mut rest));
                env = env.bind(name.clone(), v.clone());
                bound.push((name, v));
                continue;
            }
            let (value, at) = match (slot, &p.default) {
                (Some(a), _) => (a.value, a.span),
                (None, Some(d)) => (self.eval(d, &env)?, span),
                (None, None) if open(&name) => continue,
                (None, None) => {
                    return Err(Diagnostic::error("E1106", span, format!("`{who}` needs `{name}`"))
                        .at("an argument is missing")
                        .note(signature(who, params))
                        .into());
                }
            };
            let value = match &p.ty {
                Some(t) => {
                    let (v, e) = self.check_type(t, value, &env, at, &format!("`{name}`"))?;
                    env = e;
                    v
                }
                None => value,
            };
            env = env.bind(name.clone(), value.clone());
            bound.push((name, value));
        }
        Ok((env, bound))
    }

    fn apply_set(&mut self, s: &Arc<SetValue>, args: &[CallArg], span: Span) -> Eval<Value> {
        let SetKind::Declared { decl, env, .. } = &s.kind else {
            return Err(Diagnostic::error("E1210", span, "this set takes no parameters")
                .at("called with arguments here")
                .help("use it as it is, without `(…)`").into());
        };
        // A dimension of the element may be left out: the element will tell.
        let dims: Vec<String> = element_dims(decl);
        let (_, bound) =
            self.bind_some(&decl.params, args, env, &decl.name.name, span, &|n| dims.iter().any(|d| d == n))?;
        let kind = SetKind::Declared { decl: decl.clone(), env: env.clone(), args: bound };
        Ok(Value::Set(Arc::new(SetValue { kind })))
    }

    /// A term called with its argument gives its value; called with parameters only, the term with them.
    fn apply_term(&mut self, t: &Arc<TermValue>, args: &[CallArg], span: Span) -> Eval<Value> {
        if let TermKind::Declared { decl, env, args: have } = &t.kind {
            let first = decl.params.first().map(|p| p.name.name.clone()).unwrap_or_default();
            let positional = args.iter().any(|a| a.name.is_none()) || args.iter().any(|a| a.name.as_ref() == Some(&first));
            if !positional && !args.is_empty() {
                let rest = decl.params.get(1..).unwrap_or_default();
                let mut merged: Vec<CallArg> = have
                    .iter()
                    .filter(|(n, _)| !args.iter().any(|a| a.name.as_ref() == Some(n)))
                    .map(|(n, v)| CallArg { name: Some(n.clone()), value: v.clone(), span })
                    .collect();
                merged.extend(args.iter().cloned());
                let (_, bound) = self.bind_params(rest, &merged, env, &decl.name.name, span)?;
                let kind = TermKind::Declared { decl: decl.clone(), env: env.clone(), args: bound };
                return Ok(Value::Term(Arc::new(TermValue { kind })));
            }
        }
        let (x, t) = self.term_call(t, args, span)?;
        Ok(Value::Num(self.term_value(&t, &x, span)?))
    }

    /// The argument and the fully bound term of a call `term(x, params)`.
    pub fn term_call(&mut self, t: &Arc<TermValue>, args: &[CallArg], span: Span) -> Eval<(Value, Arc<TermValue>)> {
        match &t.kind {
            TermKind::Declared { decl, env, args: have } => {
                let first = decl.params.first().map(|p| p.name.name.clone()).unwrap_or_default();
                let mut rest_args: Vec<CallArg> = Vec::new();
                let mut x: Option<CallArg> = None;
                for a in args {
                    if a.name.as_ref() == Some(&first) || (a.name.is_none() && x.is_none()) {
                        x = Some(a.clone());
                    } else {
                        rest_args.push(a.clone());
                    }
                }
                let Some(x) = x else {
                    return Err(Diagnostic::error("E1106", span, format!("`{}` needs its argument", decl.name.name)).into());
                };
                for (n, v) in have {
                    if !rest_args.iter().any(|a| a.name.as_ref() == Some(n)) {
                        rest_args.push(CallArg { name: Some(n.clone()), value: v.clone(), span });
                    }
                }
                let rest = decl.params.get(1..).unwrap_or_default();
                // Positional extras come first, so that named remembered ones do not take their place twice.
                let positional = rest_args.iter().filter(|a| a.name.is_none()).count();
                rest_args.retain(|a| match &a.name {
                    Some(n) => !rest.iter().take(positional).any(|p| p.name.name == *n) || args.iter().any(|b| b.name.as_ref() == Some(n)),
                    None => true,
                });
                let (_, bound) = self.bind_params(rest, &rest_args, env, &decl.name.name, span)?;
                let kind = TermKind::Declared { decl: decl.clone(), env: env.clone(), args: bound };
                Ok((x.value, Arc::new(TermValue { kind })))
            }
            _ => Ok((self.one_arg(args, "the term", span)?, t.clone())),
        }
    }

    fn apply_rule_args(&mut self, r: &Arc<RuleValue>, args: &[CallArg], span: Span) -> Eval<Value> {
        let RuleValue::Declared { decl, env, .. } = &**r else {
            return Err(Diagnostic::error("E1211", span, "a combined rule takes no arguments")
                .at("called with arguments here")
                .help("give arguments to the rules it is made of").into());
        };
        // Settings of the driver (`steps`, `tol`) may stand among the rule's own parameters.
        let own = |n: &str| decl.params.iter().any(|p| &*p.name.name == n);
        let (mine, driver): (Vec<CallArg>, Vec<CallArg>) = args.iter().cloned().partition(|a| match &a.name {
            Some(n) => own(n) || !crate::solve::rule::DRIVER_SETTINGS.contains(&&**n),
            None => true,
        });
        let (_, bound) = self.bind_params(&decl.params, &mine, env, &decl.name.name, span)?;
        let settings = driver.into_iter().filter_map(|a| a.name.map(|n| (n, a.value))).collect();
        Ok(Value::Rule(Arc::new(RuleValue::Declared { decl: decl.clone(), env: env.clone(), args: bound, settings })))
    }

    /// `init`, `apply` and other functions that a type declares; with the value they belong to as first argument.
    pub fn type_oracle(&mut self, t: &Arc<TypeValue>, name: &str, this: Option<Value>) -> Option<Value> {
        let oracle = t.decl.oracles.iter().find(|o| &*o.name.name == name)?.clone();
        let t = t.clone();
        Some(Value::native(Arc::from(name), move |s, args, span| {
            let mut env = t.env.clone();
            for (n, v) in &t.args {
                env = env.bind(n.clone(), v.clone());
            }
            let mut names = oracle.params.iter();
            if let Some(v) = &this {
                // Declared as `apply x = …` with the value itself under the name `self`, or as `apply(net, x) = …`.
                if names.len() > args.len() {
                    if let Some(p) = names.next() {
                        env = env.bind(p.name.clone(), v.clone());
                    }
                } else {
                    env = env.bind("self", v.clone());
                }
            }
            if names.len() != args.len() {
                return Err(Diagnostic::error(
                    "E1106",
                    span,
                    format!("`{}` takes {} arguments, found {}", oracle.name.name, names.len(), args.len()),
                )
                .into());
            }
            for (p, a) in names.zip(args) {
                env = env.bind(p.name.clone(), a.value.clone());
            }
            let out = s.eval(&oracle.body, &env)?;
            if &*oracle.name.name == "init" {
                let tree = s.expand_type(&t, span)?;
                return s.conform(&tree, out, span, "the initial value");
            }
            Ok(out)
        }))
    }

    /// The only argument of a call.
    pub fn one_arg(&mut self, args: &[CallArg], who: &str, span: Span) -> Eval<Value> {
        match args {
            [a] if a.name.is_none() => Ok(a.value.clone()),
            _ => Err(Diagnostic::error("E1107", span, format!("{who} takes one argument, found {}", args.len())).into()),
        }
    }
}

/// Does the function take a distribution as its k-th argument?
fn takes_dist(f: &Function, k: usize, arg: &Arg) -> bool {
    match f {
        Function::Builtin(b) => k == 0 && b.takes_dist(),
        Function::Closure { params, .. } => {
            let param = match &arg.name {
                Some(n) => params.iter().find(|p| p.name.name == n.name),
                None => params.get(k),
            };
            param.and_then(|p| p.ty.as_ref()).is_some_and(|t| matches!(&*t.kind, gradus_syntax::ast::TypeKind::DistOf(_)))
        }
        _ => false,
    }
}

/// Names that stand alone as dimensions of a set's element.
pub fn element_dims(decl: &gradus_syntax::ast::SetDecl) -> Vec<String> {
    use gradus_syntax::ast::{ExprKind, TypeKind};
    match decl.element.ty.as_ref().map(|t| &*t.kind) {
        Some(TypeKind::Array(_, dims)) => dims
            .iter()
            .filter_map(|d| match &*d.kind {
                ExprKind::Name(id) => Some(id.name.to_string()),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn signature(who: &str, params: &[Param]) -> String {
    let names: Vec<String> = params
        .iter()
        .map(|p| if p.default.is_some() { format!("{} = …", p.name.name) } else { p.name.name.to_string() })
        .collect();
    format!("it is declared as `{who}({})`", names.join(", "))
}

fn not_callable(v: &Value, span: Span) -> Stop {
    if let Value::Poison = v {
        return Stop::Poisoned;
    }
    let d = Diagnostic::error("E1212", span, format!("{} cannot be called", v.kind())).at(format!("this is {}", v.kind()));
    match v {
        Value::Num(_) => d.help("to multiply, write `*`").into(),
        _ => d.into(),
    }
}
