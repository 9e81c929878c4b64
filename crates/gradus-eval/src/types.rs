//! Type expressions: binding dimension names by values, and building the unknowns that a type describes.

use crate::env::Env;
use crate::interp::Interp;
use crate::tree::TypeTree;
use crate::value::{Eval, Stop, Typed, TypeValue, Value};
use gradus_ir::{DType, Dim, Op, Shape, Ty, UnaryOp};
use gradus_syntax::ast::{Expr, ExprKind, Pattern, TypeExpr, TypeKind};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// Names that are types but no declarations.
pub const TYPE_NAMES: &[&str] = &[
    "real", "int", "bool", "string", "key", "any", "tree", "list", "schedule", "rule", "method", "set", "term", "fn", "type",
    "problem",
];

impl Interp<'_> {
    /// Does the value have the type? Returns it (numbers lifted where the type says so) and the scope with the
    /// dimensions that the type named for the first time.
    pub fn check_type(&mut self, ty: &TypeExpr, value: Value, env: &Env, span: Span, who: &str) -> Eval<(Value, Env)> {
        match &*ty.kind {
            TypeKind::Name(id) => {
                let v = self.check_named(ty, &id.name, value, env, span, who)?;
                Ok((v, env.clone()))
            }
            TypeKind::Array(base, dims) => {
                if let TypeKind::Name(id) = &*base.kind
                    && let Some(dtype) = element(&id.name)
                {
                    return self.check_array(ty, dtype, dims, value, env, span, who);
                }
                let tree = self.type_of(ty, env)?;
                Ok((self.conform(&tree, value, span, who)?, env.clone()))
            }
            TypeKind::Record(fields) => {
                let mut env = env.clone();
                let mut out = Vec::with_capacity(fields.len());
                for (name, t) in fields {
                    let Some(v) = value.field(&name.name) else {
                        return Err(Diagnostic::error("E1203", span, format!("{who} has no field `{}`", name.name))
                            .at(format!("this is {}", value.kind()))
                            .label(name.span, "expected here")
                            .into());
                    };
                    let (v, e) = self.check_type(t, v.clone(), &env, span, &format!("{who}.{}", name.name))?;
                    out.push((name.name.clone(), v));
                    env = e;
                }
                Ok((Value::record(out), env))
            }
            TypeKind::Tuple(items) => match &value {
                Value::List(l) if l.len() == items.len() => {
                    let mut env = env.clone();
                    let mut out = Vec::with_capacity(items.len());
                    for (t, v) in items.iter().zip(l.iter()) {
                        let (v, e) = self.check_type(t, v.clone(), &env, span, who)?;
                        out.push(v);
                        env = e;
                    }
                    Ok((Value::list(out), env))
                }
                other => Err(expected(span, who, &format!("a tuple of {}", items.len()), other.kind(), ty.span)),
            },
            TypeKind::Fn(..) => match value {
                Value::Fn(_) | Value::Term(_) | Value::Prox(_) | Value::Typed(_) => Ok((value, env.clone())),
                other => Err(expected(span, who, "a function", other.kind(), ty.span)),
            },
            TypeKind::SetOf(_) => match value {
                Value::Set(_) => Ok((value, env.clone())),
                other => Err(expected(span, who, "a set", other.kind(), ty.span)),
            },
            TypeKind::List { .. } => {
                let tree = self.type_of(ty, env)?;
                Ok((self.conform(&tree, value, span, who)?, env.clone()))
            }
            TypeKind::DistOf(_) => {
                let d = self.as_dist(&value, span)?;
                Ok((Value::Dist(d), env.clone()))
            }
            TypeKind::Error => Err(Stop::Poisoned),
        }
    }

    fn check_named(&mut self, ty: &TypeExpr, name: &str, value: Value, env: &Env, span: Span, who: &str) -> Eval<Value> {
        if let Some(dtype) = element(name) {
            return Ok(self.check_array(ty, dtype, &[], value, env, span, who)?.0);
        }
        let ok = match (name, &value) {
            ("any", _) => true,
            ("tree", Value::Num(_) | Value::Record(_) | Value::List(_) | Value::Typed(_)) => true,
            ("string", Value::Str(_)) => true,
            ("list", Value::List(_)) => true,
            ("key", Value::Num(n)) => self.ty(*n) == gradus_ir::infer::key_type(),
            ("schedule", Value::Num(n)) => {
                // A number is the schedule that never changes.
                let n = *n;
                return Ok(Value::native("constant", move |_, _, _| Ok(Value::Num(n))));
            }
            ("schedule" | "fn", Value::Fn(_) | Value::Term(_) | Value::Prox(_) | Value::Typed(_)) => true,
            ("rule", Value::Rule(_)) | ("method", Value::Method(_) | Value::Rule(_)) => true,
            ("set", Value::Set(_)) | ("term", Value::Term(_) | Value::Prox(_)) | ("type", Value::Type(_)) => true,
            ("problem", Value::Problem(_) | Value::ProblemDecl(_)) => true,
            _ if TYPE_NAMES.contains(&name) => false,
            _ => {
                let tree = self.type_of(ty, env)?;
                return self.conform(&tree, value, span, who);
            }
        };
        if ok { Ok(value) } else { Err(expected(span, who, &format!("a {name}"), value.kind(), ty.span)) }
    }

    #[allow(clippy::too_many_arguments)]
    fn check_array(
        &mut self,
        ty: &TypeExpr,
        dtype: DType,
        dims: &[Expr],
        value: Value,
        env: &Env,
        span: Span,
        who: &str,
    ) -> Eval<(Value, Env)> {
        // `auto` and friends pass where a number is expected: "not given".
        if let Value::Symbol(_) = value {
            return Ok((value, env.clone()));
        }
        let Value::Num(mut n) = value else {
            return Err(expected(span, who, &format!("`{}`", self.written(dtype, dims)), value.kind(), ty.span));
        };
        let found = self.ty(n);
        let fits = found.dtype == dtype || (dtype == DType::Real && found.dtype == DType::Int);
        // A whole real that is known stands for an integer (as `1e4` for a count of steps).
        let whole = dtype == DType::Int && found.dtype == DType::Real && found.shape.is_scalar() && {
            self.static_value(n)?.is_some_and(|v| v.fract() == 0.0)
        };
        if !fits && !whole {
            return Err(expected(span, who, &format!("`{}`", self.written(dtype, dims)), &format!("`{found}`"), ty.span));
        }
        if whole {
            n = self.un(UnaryOp::ToInt, n, span)?;
        }
        if found.shape.rank() != dims.len() {
            let mut d = Diagnostic::error(
                "E2009",
                span,
                format!("{who} must be `{}`, found `{found}`", self.written(dtype, dims)),
            )
            .at(format!("this is `{found}`"));
            d = d.label(ty.span, format!("declared as `{}`", self.written(dtype, dims)));
            return Err(d.into());
        }
        let mut env = env.clone();
        for (k, (e, actual)) in dims.iter().zip(found.shape.dims().to_vec()).enumerate() {
            if let ExprKind::Name(id) = &*e.kind
                && env.local(&id.name).is_none()
            {
                if &*id.name == "_" {
                    continue;
                }
                let v = self.dim_num(&actual)?;
                env = env.bind(id.name.clone(), Value::Num(v));
                continue;
            }
            let want = self.dim_of(e, &env)?;
            if want != actual {
                let name = self.text_of(e).unwrap_or_else(|| want.to_string());
                let want_text = if name == want.to_string() { name } else { format!("{name} = {want}") };
                return Err(Diagnostic::error(
                    "E2010",
                    span,
                    format!("{who}: axis {k} has length `{actual}`, expected `{want_text}`"),
                )
                .at(format!("this is `{found}`"))
                .label(ty.span, format!("declared as `{}`", self.written(dtype, dims)))
                .into());
            }
        }
        Ok((Value::Num(n), env))
    }

    /// `real[n, d]` as it was written.
    fn written(&self, dtype: DType, dims: &[Expr]) -> String {
        if dims.is_empty() {
            return dtype.to_string();
        }
        let d: Vec<String> = dims.iter().map(|e| self.text_of(e).unwrap_or_else(|| "…".into())).collect();
        format!("{dtype}[{}]", d.join(", "))
    }

    /// A dimension expression over names that are bound.
    pub fn dim_of(&mut self, e: &Expr, env: &Env) -> Eval<Dim> {
        let v = self.eval(e, env)?;
        let Value::Num(n) = v else {
            return Err(Diagnostic::error("E2011", e.span, format!("a dimension must be an integer, found {}", v.kind()))
                .at(format!("this is {}", v.kind())).into());
        };
        match self.static_dim(n)? {
            Some(d) if d.known().is_none_or(|k| k >= 0) => Ok(d),
            Some(d) => Err(Diagnostic::error("E2011", e.span, format!("a dimension cannot be {d}")).into()),
            None => {
                let why = if self.ty(n).dtype == DType::Real { "this is no integer" } else { "this depends on the run" };
                Err(Diagnostic::error("E2011", e.span, "a dimension must be an integer that is known before the run").at(why).into())
            }
        }
    }

    /// The tree that a type describes; every dimension must be bound.
    pub fn type_of(&mut self, ty: &TypeExpr, env: &Env) -> Eval<TypeTree> {
        match &*ty.kind {
            TypeKind::Name(id) => match element(&id.name) {
                Some(d) => Ok(TypeTree::Leaf(Ty::scalar(d))),
                None => self.declared_type(&id.name, &[], env, ty.span),
            },
            TypeKind::Array(base, dims) => {
                if let TypeKind::Name(id) = &*base.kind {
                    if let Some(d) = element(&id.name) {
                        let mut shape = Shape::scalar();
                        for e in dims {
                            shape.0.push(self.dim_of(e, env)?);
                        }
                        return Ok(TypeTree::Leaf(Ty::new(d, shape)));
                    }
                    return self.declared_type(&id.name, dims, env, ty.span);
                }
                Err(Diagnostic::error("E1204", ty.span, "this type takes no dimensions").into())
            }
            TypeKind::Record(fields) => Ok(TypeTree::Record(
                fields.iter().map(|(n, t)| Ok((n.name.clone(), self.type_of(t, env)?))).collect::<Eval<_>>()?,
            )),
            TypeKind::Tuple(items) => {
                Ok(TypeTree::List(items.iter().map(|t| self.type_of(t, env)).collect::<Eval<_>>()?))
            }
            TypeKind::List { body, pattern, over } => {
                let items = self.static_items(over, env)?;
                let mut out = Vec::with_capacity(items.len());
                for item in items {
                    let env = self.bind_pattern(pattern, item, env, over.span)?;
                    out.push(self.type_of(body, &env)?);
                }
                Ok(TypeTree::List(out))
            }
            TypeKind::Fn(..) | TypeKind::SetOf(_) | TypeKind::DistOf(_) => {
                Err(Diagnostic::error("E1204", ty.span, "an unknown must be made of numbers")
                    .at("no numbers are in this type")
                    .into())
            }
            TypeKind::Error => Err(Stop::Poisoned),
        }
    }

    /// The items of a list known while tracing.
    fn static_items(&mut self, over: &Expr, env: &Env) -> Eval<Vec<Value>> {
        match self.eval(over, env)? {
            Value::List(l) => Ok(l.to_vec()),
            other => Err(expected(over.span, "the list of a type", "a list", other.kind(), over.span)),
        }
    }

    fn declared_type(&mut self, name: &str, dims: &[Expr], env: &Env, span: Span) -> Eval<TypeTree> {
        let v = self.lookup(name, env, span)?;
        let Value::Type(t) = v else {
            return Err(Diagnostic::error("E1204", span, format!("`{name}` is {}, not a type", v.kind()))
            .at("a type is needed here")
            .help("write `real[n]`, or declare one by `type`").into());
        };
        let t = if dims.is_empty() {
            t
        } else {
            let mut args = Vec::with_capacity(dims.len());
            for e in dims {
                let d = self.dim_of(e, env)?;
                args.push(crate::value::CallArg { name: None, value: Value::Num(self.dim_num(&d)?), span: e.span });
            }
            self.apply_type(&t, &args, span)?
        };
        self.expand_type(&t, span)
    }

    /// `mlp[64, 10]`: the type with its parameters.
    pub fn apply_type(&mut self, t: &Arc<TypeValue>, args: &[crate::value::CallArg], span: Span) -> Eval<Arc<TypeValue>> {
        let (_, bound) = self.bind_params(&t.decl.params, args, &t.env, &t.decl.name.name, span)?;
        Ok(Arc::new(TypeValue { decl: t.decl.clone(), env: t.env.clone(), args: bound }))
    }

    pub fn expand_type(&mut self, t: &Arc<TypeValue>, span: Span) -> Eval<TypeTree> {
        if t.args.len() < t.decl.params.len() {
            return Err(Diagnostic::error("E1205", span, format!("`{}` needs its parameters", t.decl.name.name))
                .at("given without them")
                .help(format!("write `{}[…]`", t.decl.name.name))
                .into());
        }
        let mut env = t.env.clone();
        for (n, v) in &t.args {
            env = env.bind(n.clone(), v.clone());
        }
        let inner = self.type_of(&t.decl.ty, &env)?;
        Ok(TypeTree::Typed(t.clone(), Box::new(inner)))
    }

    /// The value as a member of the type: same structure and shapes.
    pub fn conform(&mut self, tree: &TypeTree, value: Value, span: Span, who: &str) -> Eval<Value> {
        let fail = |s: &Self, v: &Value| {
            let found = s.type_tree(v, span).map(|t| t.describe()).unwrap_or_else(|_| v.kind().to_string());
            Stop::from(
                Diagnostic::error("E2009", span, format!("{who} must be `{}`, found `{found}`", tree.describe()))
                    .at(format!("this is `{found}`")),
            )
        };
        match (tree, &value) {
            (TypeTree::Leaf(t), Value::Num(n)) => {
                let found = self.ty(*n);
                if found.shape != t.shape || found.dtype > t.dtype {
                    return Err(fail(self, &value));
                }
                Ok(value)
            }
            (TypeTree::Typed(ty, inner), v) => {
                let v = match v {
                    Value::Typed(t) => t.value.clone(),
                    other => other.clone(),
                };
                let value = self.conform(inner, v, span, who)?;
                Ok(Value::Typed(Arc::new(Typed { ty: ty.clone(), value })))
            }
            (TypeTree::Record(fields), Value::Record(r)) if r.len() == fields.len() => {
                let mut out = Vec::with_capacity(fields.len());
                for (n, t) in fields {
                    let Some(v) = value.field(n) else { return Err(fail(self, &value)) };
                    out.push((n.clone(), self.conform(t, v.clone(), span, who)?));
                }
                Ok(Value::record(out))
            }
            (TypeTree::List(items), Value::List(l)) if l.len() == items.len() => {
                let mut out = Vec::with_capacity(items.len());
                for (t, v) in items.iter().zip(l.iter()) {
                    out.push(self.conform(t, v.clone(), span, who)?);
                }
                Ok(Value::list(out))
            }
            _ => Err(fail(self, &value)),
        }
    }

    /// Bind the names of a pattern.
    pub fn bind_pattern(&mut self, p: &Pattern, value: Value, env: &Env, span: Span) -> Eval<Env> {
        Ok(match p {
            Pattern::Name(id) => env.bind(id.name.clone(), value),
            Pattern::Wild(_) => env.clone(),
            Pattern::Tuple(parts, at) => {
                let items: Vec<Value> = match &value {
                    Value::List(l) => l.to_vec(),
                    Value::Record(r) => r.iter().map(|(_, v)| v.clone()).collect(),
                    Value::Num(n) => self.rows(*n, parts.len(), span)?,
                    other => return Err(expected(span, "the value", &format!("a tuple of {}", parts.len()), other.kind(), *at)),
                };
                if items.len() != parts.len() {
                    return Err(Diagnostic::error(
                        "E1206",
                        span,
                        format!("{} names for {} values", parts.len(), items.len()),
                    )
                    .at(format!("{} values", items.len()))
                    .label(*at, format!("{} names", parts.len()))
                    .into());
                }
                let mut env = env.clone();
                for (p, v) in parts.iter().zip(items) {
                    env = self.bind_pattern(p, v, &env, span)?;
                }
                env
            }
            Pattern::Record(names, at) => {
                let mut env = env.clone();
                for id in names {
                    let Some(v) = value.field(&id.name) else {
                        return Err(Diagnostic::error("E1203", id.span, format!("the value has no field `{}`", id.name))
                            .label(span, format!("this is {}", value.kind()))
                            .label(*at, "taken apart here")
                            .into());
                    };
                    env = env.bind(id.name.clone(), v.clone());
                }
                env
            }
        })
    }

    /// The rows of an array whose first axis has that known length.
    fn rows(&mut self, n: crate::value::Num, count: usize, span: Span) -> Eval<Vec<Value>> {
        let ty = self.ty(n);
        match ty.shape.dims().first().and_then(Dim::size) {
            Some(len) if len == count => (0..count)
                .map(|k| {
                    let s = self.emit(Op::Slice { axis: 0, start: Dim::from(k), len: Dim::Known(1) }, &[n], span)?;
                    Ok(Value::Num(self.emit(Op::Reshape(ty.shape.without(0)), &[s], span)?))
                })
                .collect(),
            _ => Err(expected(span, "the value", &format!("a tuple of {count}"), &format!("`{ty}`"), span)),
        }
    }
}

/// `real`, `int`, `bool`.
pub fn element(name: &str) -> Option<DType> {
    match name {
        "real" => Some(DType::Real),
        "int" => Some(DType::Int),
        "bool" => Some(DType::Bool),
        _ => None,
    }
}

pub fn expected(span: Span, who: &str, want: &str, found: &str, declared: Span) -> Stop {
    let mut d = Diagnostic::error("E1202", span, format!("{who} must be {want}, found {found}")).at(format!("this is {found}"));
    if declared != span && declared.file.0 != 0 {
        d = d.label(declared, format!("declared as {want}"));
    }
    d.into()
}
