//! What sets and terms can do: project, contain, minimize linear functions; values, proximal operators, conjugates.

use crate::builtins::{arguments, given};
use crate::env::Env;
use crate::interp::Interp;
use crate::value::{Bound, CallArg, Eval, Num, SetKind, SetValue, Stop, TermKind, TermValue, Value};
use gradus_ir::{BinaryOp, DType, Op, ReduceOp, UnaryOp};
use gradus_syntax::ast::{CompareOp, Expr, ExprKind, Fact, Oracle, Param, SetDecl, TermDecl};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

fn find_oracle<'a>(oracles: &'a [Oracle], name: &str) -> Option<&'a Oracle> {
    oracles.iter().find(|o| &*o.name.name == name)
}

/// Is the fact declared? One whose arguments name sets or terms, as in `is convex(C)`, is theirs to have.
pub(crate) fn has_fact(facts: &[Fact], name: &str, bound: &Bound) -> bool {
    let theirs = |e: &Expr| {
        let ExprKind::Name(n) = &*e.kind else { return true };
        match bound.iter().find(|(b, _)| *b == n.name) {
            Some((_, Value::Set(s))) => s.has_fact(name),
            Some((_, Value::Term(t))) => t.has_fact(name),
            _ => true,
        }
    };
    facts.iter().any(|f| &*f.name.name == name && f.args.iter().all(theirs))
}

impl SetValue {
    pub fn has_fact(&self, name: &str) -> bool {
        match &self.kind {
            SetKind::Declared { decl, args, .. } => has_fact(&decl.facts, name, args),
            SetKind::Interval(..) => matches!(name, "convex" | "separable" | "bounded" | "polyhedral"),
            SetKind::Meet(a, b) => match name {
                "bounded" => a.has_fact(name) || b.has_fact(name),
                "convex" | "separable" | "polyhedral" => a.has_fact(name) && b.has_fact(name),
                _ => false,
            },
            SetKind::Product(parts) => match name {
                "convex" => parts.iter().all(|(_, s)| s.has_fact(name)),
                _ => false,
            },
        }
    }

    pub fn describe(&self) -> String {
        match &self.kind {
            SetKind::Declared { decl, .. } => decl.name.name.to_string(),
            SetKind::Interval(..) => "interval".into(),
            SetKind::Meet(a, b) => format!("{} & {}", a.describe(), b.describe()),
            SetKind::Product(p) => {
                let parts: Vec<String> = p.iter().map(|(n, s)| format!("{n} in {}", s.describe())).collect();
                parts.join(", ")
            }
        }
    }

    /// Is there a way to project on it? Convex sets meet by Dykstra's algorithm where they do not act entry by entry.
    pub fn can_project(&self) -> bool {
        match &self.kind {
            SetKind::Declared { decl, .. } => find_oracle(&decl.oracles, "project").is_some(),
            SetKind::Interval(..) => true,
            SetKind::Meet(a, b) => {
                a.can_project() && b.can_project() && (self.has_fact("separable") || self.has_fact("convex"))
            }
            SetKind::Product(p) => p.iter().all(|(_, s)| s.can_project()),
        }
    }
}

impl TermValue {
    pub fn has_fact(&self, name: &str) -> bool {
        match &self.kind {
            TermKind::Declared { decl, args, .. } => has_fact(&decl.facts, name, args),
            TermKind::Indicator(s) => match name {
                "convex" | "separable" => s.has_fact(name),
                _ => false,
            },
            TermKind::Scaled(_, t) => t.has_fact(name),
        }
    }

    pub fn has_prox(&self) -> bool {
        match &self.kind {
            TermKind::Declared { decl, .. } => find_oracle(&decl.oracles, "prox").is_some(),
            TermKind::Indicator(s) => s.can_project(),
            TermKind::Scaled(_, t) => t.has_prox(),
        }
    }

    pub fn describe(&self) -> String {
        match &self.kind {
            TermKind::Declared { decl, .. } => decl.name.name.to_string(),
            TermKind::Indicator(s) => format!("indicator({})", s.describe()),
            TermKind::Scaled(_, t) => t.describe(),
        }
    }
}

impl Interp<'_> {
    /// The scope of a declared set for an element like `v`: parameters, and the dimensions that `v` tells.
    fn set_scope(&mut self, decl: &SetDecl, env: &Env, args: &[(Arc<str>, Value)], v: &Value, span: Span) -> Eval<Env> {
        let mut scope = env.clone();
        // Parameters that are not given have their defaults; those that are dimensions come from the element.
        for p in &decl.params {
            let name = &p.name.name;
            match (args.iter().find(|(n, _)| n == name), &p.default) {
                (Some((_, value)), _) => scope = self.setting_scope(p, value, &scope, span)?,
                (None, Some(d)) => {
                    let value = self.eval(d, &scope)?;
                    scope = scope.bind(name.clone(), value);
                }
                (None, None) => {}
            }
        }
        if let Some(t) = &decl.element.ty {
            let who = format!("an element of `{}`", decl.name.name);
            scope = self.check_type(t, v.clone(), &scope, span, &who)?.1;
        }
        for p in &decl.params {
            if scope.local(&p.name.name).is_none() {
                return Err(Diagnostic::error("E1106", span, format!("the set `{}` needs `{}`", decl.name.name, p.name.name))
                    .at("a parameter is missing")
                    .into());
            }
        }
        Ok(scope)
    }

    /// A scope with a parameter's value, and with the lengths that its type names.
    fn setting_scope(&mut self, p: &Param, value: &Value, scope: &Env, span: Span) -> Eval<Env> {
        let (value, scope) = match &p.ty {
            Some(t) => self.check_type(t, value.clone(), scope, span, &format!("the parameter `{}`", p.name.name))?,
            None => (value.clone(), scope.clone()),
        };
        Ok(scope.bind(p.name.name.clone(), value))
    }

    /// An oracle of a declared set at a point, or at a point and a direction. `None` where the set has no such oracle.
    fn set_oracle(&mut self, s: &Arc<SetValue>, name: &str, at: &[&Value], span: Span) -> Eval<Option<Value>> {
        let SetKind::Declared { decl, env, args } = &s.kind else { return Ok(None) };
        let Some(o) = find_oracle(&decl.oracles, name).cloned() else { return Ok(None) };
        let Some(first) = at.first() else { return Ok(None) };
        let mut scope = self.set_scope(decl, env, args, first, span)?;
        for (p, v) in o.params.iter().zip(at) {
            scope = scope.bind(p.name.clone(), (*v).clone());
        }
        self.eval(&o.body, &scope).map(Some)
    }

    /// The nearest point of the set.
    pub fn project(&mut self, s: &Arc<SetValue>, v: &Value, span: Span) -> Eval<Value> {
        match &s.kind {
            SetKind::Declared { decl, .. } => match self.set_oracle(s, "project", &[v], span)? {
                Some(p) => Ok(p),
                None => Err(Diagnostic::error("E3005", span, format!("the set `{}` has no projection", decl.name.name))
                .at("a projection is needed here").into()),
            },
            SetKind::Interval(lo, hi) => {
                let m = self.arith(BinaryOp::Max, v, lo, span, span, span)?;
                self.arith(BinaryOp::Min, &m, hi, span, span, span)
            }
            SetKind::Meet(a, b) => {
                if !s.can_project() {
                    return Err(Diagnostic::error("E3005", span, format!("no projection is known for `{}`", s.describe()))
                        .help("state one of the two as a constraint: `subject to x in …`")
                        .into());
                }
                if s.has_fact("separable") {
                    let p = self.project(a, v, span)?;
                    return self.project(b, &p, span);
                }
                let dykstra = self.library_function("sets/elementary", "dykstra", span)?;
                self.call_values(&dykstra, &[Value::Set(a.clone()), Value::Set(b.clone()), v.clone()], span)
            }
            SetKind::Product(parts) => {
                let Value::Record(fields) = v else { return Err(self.not_numeric(v, span)) };
                let mut out = Vec::with_capacity(fields.len());
                for (n, x) in fields.iter() {
                    let p = match parts.iter().find(|(m, _)| m == n) {
                        Some((_, part)) => self.project(part, x, span)?,
                        None => x.clone(),
                    };
                    out.push((n.clone(), p));
                }
                Ok(Value::record(out))
            }
        }
    }

    /// How far each member condition is from holding: zero where it holds. One number per condition.
    pub fn violations(&mut self, s: &Arc<SetValue>, x: &Value, span: Span) -> Eval<Vec<Num>> {
        match &s.kind {
            SetKind::Declared { decl, env, args } => {
                let mut scope = self.set_scope(decl, env, args, x, span)?;
                scope = scope.bind(decl.element.name.name.clone(), x.clone());
                let mut out = Vec::new();
                for m in &decl.members {
                    out.extend(self.violation_of(m, &scope)?);
                }
                Ok(out)
            }
            SetKind::Interval(lo, hi) => {
                let a = self.arith(BinaryOp::Sub, lo, x, span, span, span)?;
                let b = self.arith(BinaryOp::Sub, x, hi, span, span, span)?;
                Ok(vec![self.positive_max(&a, span)?, self.positive_max(&b, span)?])
            }
            SetKind::Meet(a, b) => {
                let mut out = self.violations(a, x, span)?;
                out.extend(self.violations(b, x, span)?);
                Ok(out)
            }
            SetKind::Product(parts) => {
                let mut out = Vec::new();
                for (n, part) in parts {
                    if let Some(v) = x.field(n).cloned() {
                        out.extend(self.violations(part, &v, span)?);
                    }
                }
                Ok(out)
            }
        }
    }

    /// The largest positive entry of a tree (0 where there is none).
    pub fn positive_max(&mut self, v: &Value, span: Span) -> Eval<Num> {
        let mut worst = self.real(0.0)?;
        for n in self.leaves(v, span)? {
            let axes = (0..self.ty(n).shape.rank()).collect();
            let m = self.emit(Op::Reduce(ReduceOp::Max, axes), &[n], span)?;
            worst = self.bin(BinaryOp::Max, worst, m, span)?;
        }
        Ok(worst)
    }

    /// The violations of a condition written as a comparison (or several joined by `and`), or `e in S`.
    pub fn violation_of(&mut self, e: &Expr, env: &Env) -> Eval<Vec<Num>> {
        match &*e.kind {
            ExprKind::Compare(operands, ops) => {
                let values = operands.iter().map(|o| self.eval(o, env)).collect::<Eval<Vec<_>>>()?;
                let mut out = Vec::new();
                for (k, op) in ops.iter().enumerate() {
                    let (Some(a), Some(b)) = (values.get(k), values.get(k + 1)) else { continue };
                    let d = match op {
                        CompareOp::Le | CompareOp::Lt => self.arith(BinaryOp::Sub, a, b, e.span, e.span, e.span)?,
                        CompareOp::Ge | CompareOp::Gt => self.arith(BinaryOp::Sub, b, a, e.span, e.span, e.span)?,
                        CompareOp::Eq => {
                            let d = self.arith(BinaryOp::Sub, a, b, e.span, e.span, e.span)?;
                            self.unary_value(UnaryOp::Abs, &d, e.span, e.span)?
                        }
                        CompareOp::Ne => {
                            return Err(Diagnostic::error("E3006", e.span, "`!=` describes no closed set").into());
                        }
                    };
                    out.push(self.positive_max(&d, e.span)?);
                }
                Ok(out)
            }
            ExprKind::Binary(gradus_syntax::ast::BinaryOp::And, a, b) => {
                let mut out = self.violation_of(a, env)?;
                out.extend(self.violation_of(b, env)?);
                Ok(out)
            }
            // Of two sets the nearer counts. Other conditions may be meant entry by entry.
            ExprKind::Binary(gradus_syntax::ast::BinaryOp::Or, a, b) if is_membership(a) && is_membership(b) => {
                let (p, q) = (self.violation_of(a, env)?, self.violation_of(b, env)?);
                let (p, q) = (self.worst(p, e.span)?, self.worst(q, e.span)?);
                Ok(vec![self.bin(BinaryOp::Min, p, q, e.span)?])
            }
            ExprKind::Binary(gradus_syntax::ast::BinaryOp::In, a, s) => {
                let (x, s_value) = (self.eval(a, env)?, self.eval(s, env)?);
                let set = self.as_set(&s_value, s.span)?;
                self.violations(&set, &x, e.span)
            }
            ExprKind::LetIn(p, ty, v, body) => {
                let env = self.eval_let(p, ty.as_ref(), v, env)?;
                self.violation_of(body, &env)
            }
            _ => {
                // A condition of another form holds or does not.
                let v = self.eval(e, env)?;
                let n = self.num(&v, e.span)?;
                if self.ty(n).dtype != DType::Bool {
                    return Err(Diagnostic::error("E3007", e.span, "a condition is a comparison or `x in S`").into());
                }
                let axes = (0..self.ty(n).shape.rank()).collect();
                let ok = self.emit(Op::Reduce(ReduceOp::Min, axes), &[n], e.span)?;
                let zero = self.real(0.0)?;
                let inf = self.real(f64::INFINITY)?;
                Ok(vec![self.emit(Op::Select, &[ok, zero, inf], e.span)?])
            }
        }
    }

    fn worst(&mut self, violations: Vec<Num>, span: Span) -> Eval<Num> {
        let mut worst = self.real(0.0)?;
        for v in violations {
            worst = self.bin(BinaryOp::Max, worst, v, span)?;
        }
        Ok(worst)
    }

    pub fn contains(&mut self, s: &Arc<SetValue>, x: &Value, tol: f64, span: Span) -> Eval<Value> {
        let mut ok = self.bool(true)?;
        let t = self.real(tol)?;
        for v in self.violations(s, x, span)? {
            let c = self.bin(BinaryOp::Le, v, t, span)?;
            ok = self.bin(BinaryOp::And, ok, c, span)?;
        }
        Ok(Value::Num(ok))
    }

    /// The scope of a term for an argument like `v`.
    pub fn term_scope(&mut self, decl: &TermDecl, env: &Env, args: &[(Arc<str>, Value)], v: &Value, span: Span) -> Eval<Env> {
        let mut scope = env.clone();
        for p in decl.params.iter().skip(1) {
            let name = &p.name.name;
            match (args.iter().find(|(n, _)| n == name), &p.default) {
                (Some((_, value)), _) => scope = self.setting_scope(p, value, &scope, span)?,
                (None, Some(d)) => {
                    let value = self.eval(d, &scope)?;
                    scope = scope.bind(name.clone(), value);
                }
                (None, None) => {
                    return Err(Diagnostic::error("E1106", span, format!("the term `{}` needs `{name}`", decl.name.name)).into());
                }
            }
        }
        if let Some(p) = decl.params.first() {
            let mut value = v.clone();
            if let Some(t) = &p.ty {
                let who = format!("the argument of `{}`", decl.name.name);
                let (v, e) = self.check_type(t, v.clone(), &scope, span, &who)?;
                value = v;
                scope = e;
            }
            scope = scope.bind(p.name.name.clone(), value);
        }
        Ok(scope)
    }

    pub fn term_value(&mut self, t: &Arc<TermValue>, x: &Value, span: Span) -> Eval<Num> {
        match &t.kind {
            TermKind::Declared { decl, env, args } => {
                let scope = self.term_scope(decl, env, args, x, span)?;
                let v = self.eval(&decl.body, &scope)?;
                let n = self.num(&v, span)?;
                if !self.ty(n).shape.is_scalar() {
                    return Err(Diagnostic::error("E3008", span, format!("the term `{}` must give a scalar", decl.name.name))
                .at("this gives an array")
                .help("a term is one number: sum it, as in `sum(abs(x))`").into());
                }
                Ok(n)
            }
            TermKind::Indicator(s) => {
                let inside = self.contains(s, x, self.tolerance(1e-9), span)?;
                let inside = self.num(&inside, span)?;
                let (zero, inf) = (self.real(0.0)?, self.real(f64::INFINITY)?);
                self.emit(Op::Select, &[inside, zero, inf], span)
            }
            TermKind::Scaled(a, t) => {
                let v = self.term_value(t, x, span)?;
                self.bin(BinaryOp::Mul, *a, v, span)
            }
        }
    }

    /// prox of t * term at v.
    pub fn term_prox(&mut self, term: &Arc<TermValue>, v: &Value, t: Num, span: Span) -> Eval<Value> {
        match &term.kind {
            TermKind::Declared { decl, env, args } => {
                let Some(o) = find_oracle(&decl.oracles, "prox").cloned() else {
                    return Err(Diagnostic::error("E3009", span, format!("the term `{}` has no proximal operator", decl.name.name)).into());
                };
                let mut scope = self.term_scope(decl, env, args, v, span)?;
                let mut names = o.params.iter();
                if let Some(p) = names.next() {
                    scope = scope.bind(p.name.clone(), v.clone());
                }
                if let Some(p) = names.next() {
                    scope = scope.bind(p.name.clone(), Value::Num(t));
                }
                self.eval(&o.body, &scope)
            }
            TermKind::Indicator(s) => self.project(s, v, span),
            TermKind::Scaled(a, inner) => {
                let t = self.bin(BinaryOp::Mul, *a, t, span)?;
                self.term_prox(inner, v, t, span)
            }
        }
    }

    /// The conjugate as a value: a term or a function. `None` where none is declared.
    pub fn term_conjugate(&mut self, term: &Arc<TermValue>, like: &Value, span: Span) -> Eval<Option<Value>> {
        match &term.kind {
            TermKind::Declared { decl, env, args } => {
                let Some(o) = find_oracle(&decl.oracles, "conjugate").cloned() else { return Ok(None) };
                let scope = self.term_scope(decl, env, args, like, span)?;
                let [name] = o.params.as_slice() else { return self.eval(&o.body, &scope).map(Some) };
                // `conjugate(s) = …` is short for `conjugate = s -> …`.
                let (name, body) = (name.name.clone(), o.body.clone());
                Ok(Some(Value::native("conjugate", move |i, args, span| {
                    let s = i.one_arg(args, "conjugate", span)?;
                    i.eval(&body, &scope.bind(name.clone(), s))
                })))
            }
            TermKind::Indicator(s) => {
                // The support function, where a linear function can be minimized over the set.
                let set = s.clone();
                let probe = self.linear_minimizer(&set, like, span)?;
                if probe.is_none() {
                    return Ok(None);
                }
                Ok(Some(Value::native("support", move |i, args, span| {
                    let v = i.one_arg(args, "support", span)?;
                    let neg = i.unary_value(UnaryOp::Neg, &v, span, span)?;
                    let Some(z) = i.linear_minimizer(&set, &neg, span)? else { return Err(Stop::Poisoned) };
                    let p = i.arith(BinaryOp::Mul, &v, &z, span, span, span)?;
                    Ok(Value::Num(i.sum_tree(&p, span)?))
                })))
            }
            TermKind::Scaled(..) => Ok(None),
        }
    }

    /// A member of the set with the least inner product with `g`, where the set knows one.
    pub fn linear_minimizer(&mut self, s: &Arc<SetValue>, g: &Value, span: Span) -> Eval<Option<Value>> {
        match &s.kind {
            SetKind::Declared { .. } => self.set_oracle(s, "minimize_linear", &[g], span),
            SetKind::Interval(lo, hi) => {
                let zero = Value::Num(self.real(0.0)?);
                let (lo, hi) = (lo.clone(), hi.clone());
                let c = self.arith(BinaryOp::Gt, g, &zero, span, span, span)?;
                let (Value::Num(c), Value::Num(a), Value::Num(b)) = (c, lo, hi) else { return Ok(None) };
                Ok(Some(Value::Num(self.emit(Op::Select, &[c, a, b], span)?)))
            }
            SetKind::Meet(..) => Ok(None),
            SetKind::Product(parts) => {
                let Value::Record(fields) = g else { return Ok(None) };
                let mut out = Vec::new();
                for (n, v) in fields.iter() {
                    let Some((_, part)) = parts.iter().find(|(m, _)| m == n) else { return Ok(None) };
                    let Some(z) = self.linear_minimizer(part, v, span)? else { return Ok(None) };
                    out.push((n.clone(), z));
                }
                Ok(Some(Value::record(out)))
            }
        }
    }
}

impl Interp<'_> {
    /// A step of mirror descent from the member `v` against `g`: `argmin_u <g, u> + D(u, v)` over the set, with the divergence of the set's
    /// own `mirror_step`; a set without one has half the squared distance, and the step is a projection.
    pub fn mirror_step(&mut self, s: &Arc<SetValue>, v: &Value, g: &Value, span: Span) -> Eval<Value> {
        if let SetKind::Product(parts) = &s.kind {
            let (Value::Record(points), Value::Record(_)) = (v, g) else { return Err(self.not_numeric(v, span)) };
            let mut out = Vec::with_capacity(points.len());
            for (n, x) in points.iter() {
                let Some(d) = g.field(n) else { return Err(self.not_numeric(g, span)) };
                let moved = match parts.iter().find(|(m, _)| m == n) {
                    Some((_, part)) => self.mirror_step(part, x, d, span)?,
                    None => self.arith(BinaryOp::Sub, x, d, span, span, span)?,
                };
                out.push((n.clone(), moved));
            }
            return Ok(Value::record(out));
        }
        if let Some(moved) = self.set_oracle(s, "mirror_step", &[v, g], span)? {
            return Ok(moved);
        }
        let moved = self.arith(BinaryOp::Sub, v, g, span, span, span)?;
        self.project(s, &moved, span)
    }
}

pub(crate) fn mirror_step(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [set, v, g] = arguments(args, ["set", "point", "gradient"], 3, "mirror_step", span)?;
    let (set, v, g) = (given(set, span)?, given(v, span)?, given(g, span)?);
    let set = set_arg(s, set)?;
    s.mirror_step(&set, &v.value, &g.value, span)
}

fn is_membership(e: &Expr) -> bool {
    matches!(&*e.kind, ExprKind::Binary(gradus_syntax::ast::BinaryOp::In, ..))
}

fn set_arg(s: &mut Interp<'_>, a: &CallArg) -> Eval<Arc<SetValue>> {
    s.as_set(&a.value, a.span)
}

pub(crate) fn project(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [set, v] = arguments(args, ["set", "point"], 2, "project", span)?;
    let (set, v) = (given(set, span)?, given(v, span)?);
    let set = set_arg(s, set)?;
    s.project(&set, &v.value, span)
}

pub(crate) fn contains(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [set, v, tol] = arguments(args, ["set", "point", "tol"], 2, "contains", span)?;
    let (set, v) = (given(set, span)?, given(v, span)?);
    let set = set_arg(s, set)?;
    let tol = match tol {
        Some(t) => {
            let n = s.num(&t.value, t.span)?;
            s.static_value(n)?.unwrap_or(s.tolerance(1e-9))
        }
        None => s.tolerance(1e-9),
    };
    s.contains(&set, &v.value, tol, span)
}

pub(crate) fn violation(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [set, v] = arguments(args, ["set", "point"], 2, "violation", span)?;
    let (set, v) = (given(set, span)?, given(v, span)?);
    let set = set_arg(s, set)?;
    let all = s.violations(&set, &v.value, span)?;
    Ok(Value::Num(s.worst(all, span)?))
}

pub(crate) fn biject(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [set, u] = arguments(args, ["set", "point"], 2, "biject", span)?;
    let (set, u) = (given(set, span)?, given(u, span)?);
    let set = set_arg(s, set)?;
    match s.set_oracle(&set, "biject", &[&u.value], span)? {
        Some(v) => Ok(v),
        None => Err(Diagnostic::error("E3051", span, format!("no map from free vectors to the set `{}` is known", set.describe()))
            .at("such a map is needed here")
            .help("add `biject u = …` to the set: a member for every u")
            .into()),
    }
}

pub(crate) fn tangent(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    at_a_point(s, args, "tangent", span)
}

pub(crate) fn retract(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    at_a_point(s, args, "retract", span)
}

/// An oracle of a manifold: at a member, for a direction.
fn at_a_point(s: &mut Interp<'_>, args: &[CallArg], name: &str, span: Span) -> Eval<Value> {
    let [set, x, u] = arguments(args, ["set", "point", "direction"], 3, name, span)?;
    let (set, x, u) = (given(set, span)?, given(x, span)?, given(u, span)?);
    let set = set_arg(s, set)?;
    match s.set_oracle(&set, name, &[&x.value, &u.value], span)? {
        Some(v) => Ok(v),
        None => Err(Diagnostic::error("E3050", span, format!("the set `{}` has no `{name}`", set.describe()))
            .at("a manifold is needed here")
            .help("a set becomes one by its oracles `tangent(x, u) = …` and `retract(x, u) = …`")
            .into()),
    }
}

pub(crate) fn prox(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [h, v, t] = arguments(args, ["term", "point", "step"], 3, "prox", span)?;
    let (h, v, t) = (given(h, span)?, given(v, span)?, given(t, span)?);
    let step = s.num(&t.value, t.span)?;
    match &h.value {
        Value::Prox(p) => s.prox_apply(p, &v.value, step, span),
        Value::Term(term) => s.term_prox(term, &v.value, step, span),
        Value::Set(set) => s.project(set, &v.value, span),
        other => Err(Diagnostic::error("E3010", h.span, format!("`prox` takes a term, found {}", other.kind()))
                .at(format!("this is {}", other.kind()))
                .help("for example `prox(norm1, v, t)`").into()),
    }
}

pub(crate) fn conjugate(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let h = s.one_arg(args, "conjugate", span)?;
    let Value::Term(t) = &h else {
        return Err(Diagnostic::error("E3010", span, format!("`conjugate` takes a term, found {}", h.kind())).into());
    };
    let t = t.clone();
    Ok(Value::native("conjugate", move |i: &mut Interp<'_>, args: &[CallArg], span| {
        let v = i.one_arg(args, "the conjugate", span)?;
        match i.term_conjugate(&t, &v, span)? {
            Some(c) => i.call_values(&c, &[v], span),
            None => Err(Diagnostic::error("E3011", span, format!("the term `{}` declares no conjugate", t.describe()))
                .at("a conjugate is needed here")
                .help("add `conjugate(z) = …` to the term").into()),
        }
    }))
}

pub(crate) fn minimize_linear(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [set, g] = arguments(args, ["set", "gradient"], 2, "minimize_linear", span)?;
    let (set, g) = (given(set, span)?, given(g, span)?);
    let set = set_arg(s, set)?;
    match s.linear_minimizer(&set, &g.value, span)? {
        Some(z) => Ok(z),
        None => Err(Diagnostic::error("E3012", span, format!("the set `{}` has no linear minimization", set.describe()))
                .at("nothing bounds it")
            .help("a linear function needs a bounded set with a `minimize_linear` oracle")
            .into()),
    }
}

pub(crate) fn indicator(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "indicator", span)?;
    let set = s.as_set(&v, span)?;
    Ok(Value::Term(Arc::new(TermValue { kind: TermKind::Indicator(set) })))
}
