//! Evaluation of expressions: dispatch, names, literals, lists and records.

mod arithmetic;
mod call;
mod control;
mod index;
mod lists;

use crate::env::Env;
use crate::interp::Interp;
use crate::value::{Eval, Fields, Function, Stop, Value};
use gradus_syntax::ast::{Expr, ExprKind, Lambda, Stmt, StmtKind};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// Stack that must be free before another level of evaluation; more is allocated where it is not.
const RED_ZONE: usize = 192 * 1024;
const GROWTH: usize = 4 * 1024 * 1024;

impl Interp<'_> {
    pub fn eval(&mut self, e: &Expr, env: &Env) -> Eval<Value> {
        self.poll()?;
        stacker::maybe_grow(RED_ZONE, GROWTH, || {
            let old = self.at(e.span);
            let here = std::mem::replace(&mut self.here, e.span.file);
            let out = self.eval_kind(e, env);
            self.here = here;
            self.tracer.origin = old;
            out
        })
    }

    fn eval_kind(&mut self, e: &Expr, env: &Env) -> Eval<Value> {
        match &*e.kind {
            ExprKind::Real(v) => Ok(Value::Num(self.real(*v)?)),
            ExprKind::Int(v) => Ok(Value::Num(self.int(*v)?)),
            ExprKind::Bool(v) => Ok(Value::Num(self.bool(*v)?)),
            ExprKind::Str(s) => Ok(Value::Str(s.clone())),
            ExprKind::Name(id) => self.lookup(&id.name, env, id.span),
            ExprKind::Field(base, name) => {
                let v = self.eval(base, env)?;
                self.field(&v, name, base.span)
            }
            ExprKind::Call(callee, args) => self.eval_call(callee, args, env, e.span),
            ExprKind::Index(base, parts) => self.eval_index(base, parts, env, e.span),
            ExprKind::Unary(op, a) => self.eval_unary(*op, a, env, e.span),
            ExprKind::Binary(op, a, b) => self.eval_binary(*op, a, b, env, e.span),
            ExprKind::Compare(operands, ops) => self.eval_compare(operands, ops, env, e.span),
            ExprKind::Transpose(a) => {
                let v = self.eval(a, env)?;
                self.transpose_value(&v, a.span)
            }
            ExprKind::Tuple(items) => {
                let items = items.iter().map(|i| self.eval(i, env)).collect::<Eval<Vec<_>>>()?;
                Ok(Value::list(items))
            }
            ExprKind::List(items) => self.eval_list(items, env, e.span),
            ExprKind::Comprehension { body, clauses, filter } => {
                self.eval_comprehension(body, clauses, filter.as_ref(), env, e.span)
            }
            ExprKind::Range { from, to, inclusive } => self.eval_range(from, to, *inclusive, env, e.span),
            ExprKind::Record(fields) => {
                let mut out: Fields = Vec::with_capacity(fields.len());
                for (name, value) in fields {
                    let v = match value {
                        Some(v) => self.eval(v, env)?,
                        None => self.lookup(&name.name, env, name.span)?,
                    };
                    if out.iter().any(|(n, _)| *n == name.name) {
                        return Err(Diagnostic::error("E1104", name.span, format!("field `{}` is given twice", name.name)).into());
                    }
                    out.push((name.name.clone(), v));
                }
                Ok(Value::record(out))
            }
            ExprKind::Block(stmts, last) => {
                let mut env = env.clone();
                for s in stmts {
                    env = self.block_stmt(s, env)?;
                }
                self.eval(last, &env)
            }
            ExprKind::LetIn(p, ty, value, body) => {
                let env = self.eval_let(p, ty.as_ref(), value, env)?;
                self.eval(body, &env)
            }
            ExprKind::Lambda(l) => Ok(lambda(l, env)),
            ExprKind::If(c, a, b) => self.eval_if(c, a, b, env, e.span),
            ExprKind::For { var, over, state, init, body } => self.eval_for(var, over, state, init, body, env, e.span),
            ExprKind::While { cond, state, init, limit, body } => {
                self.eval_while(cond, state, init, limit.as_ref(), body, env, e.span)
            }
            ExprKind::Scan { var, over, state, init, body } => self.eval_scan(var, over, state, init, body, env, e.span),
            ExprKind::Optimize(o) => self.eval_optimize(o, env, e.span),
            ExprKind::Find(f) => self.eval_find(f, env, e.span),
            ExprKind::Fix(f) => self.eval_fix(f, env, e.span),
            ExprKind::Expect(x) => self.eval_expect(x, env, e.span),
            ExprKind::Solve(s) => self.eval_solve(s, env, e.span, None),
            ExprKind::Budget(name, _, _) => Err(Diagnostic::error(
                "E1302",
                e.span,
                format!("`{} …` only has a meaning in an `until` clause", name.name),
            )
            .at("a budget stands alone there, or between `and` and `or`")
            .help(format!("compare instead: `{} >= …`", name.name))
            .into()),
            ExprKind::Error => Err(Stop::Poisoned),
        }
    }

    fn block_stmt(&mut self, s: &Stmt, env: Env) -> Eval<Env> {
        match &s.kind {
            StmtKind::Let(p, ty, value) => self.eval_let(p, ty.as_ref(), value, &env),
            StmtKind::Error => Err(Stop::Poisoned),
            _ => Err(Diagnostic::error("E1303", s.span, "only `let` may stand before the value of a block").into()),
        }
    }

    pub fn eval_let(
        &mut self,
        p: &gradus_syntax::ast::Pattern,
        ty: Option<&gradus_syntax::ast::TypeExpr>,
        value: &Expr,
        env: &Env,
    ) -> Eval<Env> {
        let v = self.eval_typed(ty, value, env)?;
        let (v, env) = match ty {
            Some(t) => self.check_type(t, v, env, value.span, "the value")?,
            None => (v, env.clone()),
        };
        self.bind_pattern(p, v, &env, value.span)
    }

    /// The value of a `let`: a distribution by the names of distributions.
    pub(crate) fn eval_typed(&mut self, ty: Option<&gradus_syntax::ast::TypeExpr>, value: &Expr, env: &Env) -> Eval<Value> {
        match ty.map(|t| &*t.kind) {
            Some(gradus_syntax::ast::TypeKind::DistOf(_)) => self.eval_dist(value, env),
            _ => self.eval(value, env),
        }
    }

    /// `v.name`
    pub fn field(&mut self, v: &Value, name: &gradus_syntax::ast::Ident, span: Span) -> Eval<Value> {
        if let Some(x) = v.field(&name.name) {
            return if let Value::Poison = x { Err(Stop::Poisoned) } else { Ok(x.clone()) };
        }
        match v {
            Value::Module(k) => match self.modules.get(*k).and_then(|m| m.names.get(&name.name)) {
                Some(x) => Ok(x.clone()),
                None => Err(self.no_field(v, name, span)),
            },
            Value::Typed(t) => match self.type_oracle(&t.ty, &name.name, Some(v.clone())) {
                Some(f) => Ok(f),
                None => Err(self.no_field(v, name, span)),
            },
            Value::Type(t) => match self.type_oracle(t, &name.name, None) {
                Some(f) => Ok(f),
                None => Err(self.no_field(v, name, span)),
            },
            Value::Set(s) => {
                let set = s.clone();
                match &*name.name {
                    "project" => Ok(Value::native("project", move |i, a, span| {
                        let v = i.one_arg(a, "project", span)?;
                        i.project(&set, &v, span)
                    })),
                    "contains" => Ok(Value::native("contains", move |i, a, span| {
                        let v = i.one_arg(a, "contains", span)?;
                        i.contains(&set, &v, i.tolerance(1e-9), span)
                    })),
                    _ => Err(self.no_field(v, name, span)),
                }
            }
            Value::Dist(d) => self.dist_field(d, name, span),
            // The field of every item: a list of records and a record of arrays are read alike.
            Value::List(items) if items.first().is_some_and(|i| matches!(i, Value::Record(_) | Value::Typed(_))) => {
                let each = items.iter().map(|i| self.field(i, name, span)).collect::<Eval<Vec<_>>>()?;
                self.list_or_array(each, span)
            }
            Value::Poison => Err(Stop::Poisoned),
            _ => Err(self.no_field(v, name, span)),
        }
    }

    fn no_field(&self, v: &Value, name: &gradus_syntax::ast::Ident, span: Span) -> Stop {
        let fields: Vec<&str> = match v {
            Value::Record(f) => f.iter().map(|(n, _)| &**n).collect(),
            Value::Typed(t) => match &t.value {
                Value::Record(f) => f.iter().map(|(n, _)| &**n).collect(),
                _ => Vec::new(),
            },
            Value::Module(k) => self.modules.get(*k).map(|m| m.names.keys().map(|n| &**n).collect()).unwrap_or_default(),
            _ => Vec::new(),
        };
        let d = Diagnostic::error("E1203", name.span, format!("no field `{}`", name.name))
            .at("not here")
            .label(span, format!("this is {}", v.kind()));
        match gradus_syntax::nearest(&name.name, fields.iter().copied()) {
            Some(near) => d.fix(format!("did you mean `{near}`?"), name.span, near).into(),
            None if !fields.is_empty() => d.note(format!("its fields are {}", fields.join(", "))).into(),
            // What other languages write behind a dot is a function here.
            None if matches!(v, Value::Num(_)) => {
                let x = self.text_at(span).filter(|t| t.len() <= 24).unwrap_or("x").to_string();
                match &*name.name {
                    "T" => d.help(format!("the transpose is `{x}'`")).into(),
                    f if crate::builtins::names().any(|b| b == f) => d.help(format!("write `{f}({x})`")).into(),
                    _ => d.into(),
                }
            }
            None => d.into(),
        }
    }
}

/// A closure over the scope it is written in.
fn lambda(l: &Arc<Lambda>, env: &Env) -> Value {
    Value::Fn(Arc::new(Function::Closure {
        name: Arc::from("function"),
        params: l.params.clone().into(),
        ret: None,
        body: l.body.clone(),
        env: env.clone(),
    }))
}
