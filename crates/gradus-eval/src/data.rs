//! `data` declarations: shapes before the file is read, then the file.

use crate::env::Env;
use crate::host::{ColumnRef, Columns, DataFormat, DataRequest, Header};
use crate::interp::{Interp, Mode};
use crate::types::element;
use crate::value::{Eval, Value};
use gradus_ir::{DType, Dim, Shape, Ty};
use gradus_syntax::ast::{Arg, DataDecl, Expr, ExprKind, TypeKind};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

impl Interp<'_> {
    pub(crate) fn data(&mut self, module: usize, d: &DataDecl) -> Eval<()> {
        let name = d.name.name.clone();
        let result = self.data_value(module, d);
        let (v, env) = match result {
            Ok(x) => x,
            Err(e) => {
                if let Some(m) = self.modules.get_mut(module) {
                    // Its dimensions are unknown, too, which is no further mistake.
                    if let TypeKind::Array(_, dims) = &*d.ty.kind {
                        for dim in dims {
                            if let ExprKind::Name(id) = &*dim.kind {
                                m.names.entry(id.name.clone()).or_insert(Value::Poison);
                            }
                        }
                    }
                    m.names.insert(name, Value::Poison);
                }
                return Err(e);
            }
        };
        if let Some(m) = self.modules.get_mut(module) {
            for (n, dim) in env.locals() {
                m.names.insert(n, dim);
            }
            m.names.insert(name, v);
        }
        Ok(())
    }

    fn data_value(&mut self, module: usize, d: &DataDecl) -> Eval<(Value, Env)> {
        let (dtype, dims) = self.data_type(d)?;
        let env = Env::module(module);
        let request = match &d.source {
            Some(e) => Some(self.request(d, e, dtype, dims.len(), &env)?),
            None => None,
        };
        let old = self.at(d.name.span);
        let out = match self.mode {
            Mode::Check => self.symbolic_data(module, d, dtype, &dims, request.as_ref()),
            Mode::Run => self.concrete_data(module, d, dtype, request.as_ref()),
        };
        self.tracer.origin = old;
        out
    }

    fn data_type<'a>(&self, d: &'a DataDecl) -> Eval<(DType, Vec<&'a Expr>)> {
        let bad = || {
            Diagnostic::error("E6002", d.ty.span, "data is an array of numbers")
                .at("expected `real`, `int` or `bool`, with dimensions")
                .help("for example `data X: real[n, d] = csv(\"file.csv\")`")
        };
        match &*d.ty.kind {
            TypeKind::Name(id) => element(&id.name).map(|t| (t, Vec::new())).ok_or_else(|| bad().into()),
            TypeKind::Array(base, dims) => match &*base.kind {
                TypeKind::Name(id) => element(&id.name).map(|t| (t, dims.iter().collect())).ok_or_else(|| bad().into()),
                _ => Err(bad().into()),
            },
            _ => Err(bad().into()),
        }
    }

    /// Is the dimension name known in the module already (from data above)?
    fn module_dim(&self, module: usize, name: &str) -> Option<Value> {
        self.modules.get(module).and_then(|m| m.names.get(name)).cloned()
    }

    fn symbolic_data(
        &mut self,
        module: usize,
        d: &DataDecl,
        dtype: DType,
        dims: &[&Expr],
        request: Option<&DataRequest>,
    ) -> Eval<(Value, Env)> {
        let mut env = Env::module(module);
        let mut shape = Shape::scalar();
        // The number of columns may stand in the declaration's source.
        let columns = request.and_then(|r| match &r.columns {
            Columns::Range(a, b) => Some(b.saturating_sub(*a)),
            Columns::Many(l) => Some(l.len()),
            _ => None,
        });
        let rows = request.and_then(|r| match r.rows {
            Some((a, Some(b))) => Some(b.saturating_sub(a)),
            _ => None,
        });
        for (k, e) in dims.iter().enumerate() {
            let from_file = if k == 1 { columns } else if k == 0 { rows } else { None };
            if let ExprKind::Name(id) = &*e.kind
                && env.local(&id.name).is_none()
                && self.module_dim(module, &id.name).is_none()
            {
                let dim = match from_file {
                    Some(n) => Dim::from(n),
                    None => Dim::sym(id.name.clone()),
                };
                let v = self.dim_num(&dim)?;
                env = env.bind(id.name.clone(), Value::Num(v));
                shape.0.push(dim);
                continue;
            }
            let want = self.dim_of(e, &env)?;
            if let (Some(n), Some(w)) = (from_file, want.known())
                && n as i64 != w
            {
                let what = if k == 1 { "columns" } else { "rows" };
                return Err(Diagnostic::error("E6009", e.span, format!("`{}` has {n} {what}, declared {want}", d.name.name))
                    .at(format!("declared as {want}"))
                    .label(request.map(|r| r.source).unwrap_or(d.name.span), format!("this reads {n}"))
                    .into());
            }
            shape.0.push(want);
        }
        let n = self.bind_symbolic(Ty::new(dtype, shape))?;
        Ok((Value::Num(n), env))
    }

    fn concrete_data(
        &mut self,
        module: usize,
        d: &DataDecl,
        dtype: DType,
        request: Option<&DataRequest>,
    ) -> Eval<(Value, Env)> {
        let array = match (self.host.bound(&d.name.name), request) {
            (Some(a), _) => a,
            (None, Some(r)) => self.host.load(r)?,
            (None, None) => {
                return Err(Diagnostic::error("E6012", d.name.span, format!("`{}` was never bound", d.name.name))
                    .at("declared without a source")
                    .help(format!("run with `--data {}=FILE`, or write a source: `= csv(\"…\")`", d.name.name))
                    .into());
            }
        };
        let mut array = array;
        if array.dtype != dtype {
            let whole = array.data.iter().all(|v| v.fract() == 0.0);
            let fits = match dtype {
                DType::Real => true,
                DType::Int => whole,
                DType::Bool => array.data.iter().all(|v| *v == 0.0 || *v == 1.0),
            };
            if !fits {
                let odd = |v: &f64| if dtype == DType::Int { v.fract() != 0.0 } else { *v != 0.0 && *v != 1.0 };
                let first = array.data.iter().enumerate().find(|(_, v)| odd(v));
                let mut e = Diagnostic::error("E6010", d.ty.span, format!("`{}` has numbers that are no {dtype}", d.name.name))
                    .at(format!("declared as {dtype}"));
                if let Some((k, v)) = first {
                    let row = array.shape.iter().skip(1).product::<usize>().max(1);
                    e = e.note(format!("the first is {v}, in row {} of the data (counted from 0)", k / row));
                }
                return Err(e.into());
            }
            array.dtype = dtype;
        }
        let n = self.bind_array(array)?;
        // Dimensions that data above has named are checked against this file.
        let mut env = Env::module(module);
        let old: Vec<(Arc<str>, Value)> = match &*d.ty.kind {
            TypeKind::Array(_, dims) => dims
                .iter()
                .filter_map(|e| match &*e.kind {
                    ExprKind::Name(id) => self.module_dim(module, &id.name).map(|v| (id.name.clone(), v)),
                    _ => None,
                })
                .collect(),
            _ => Vec::new(),
        };
        for (name, v) in old {
            env = env.bind(name, v);
        }
        let at = request.map(|r| r.source).unwrap_or(d.name.span);
        let who = match request {
            Some(r) => format!("`{}` (from {})", d.name.name, r.path),
            None => format!("`{}`", d.name.name),
        };
        let (v, env) = self.check_type(&d.ty, Value::Num(n), &env, at, &who)?;
        Ok((v, env))
    }

    /// What a source expression asks for.
    fn request(&mut self, d: &DataDecl, e: &Expr, dtype: DType, rank: usize, env: &Env) -> Eval<DataRequest> {
        let bad = |span: Span, text: &str| {
            Diagnostic::error("E6003", span, text.to_string())
            .at("the source of the data")
                .help("sources are `csv(\"f.csv\", columns = 0..3)`, `npy(\"f.npy\")` and `npz(\"f.npz\", \"name\")`")
        };
        let ExprKind::Call(callee, args) = &*e.kind else { return Err(bad(e.span, "data comes from a file").into()) };
        let ExprKind::Name(id) = &*callee.kind else { return Err(bad(e.span, "data comes from a file").into()) };
        let format = match &*id.name {
            "csv" => DataFormat::Csv,
            "npy" => DataFormat::Npy,
            "npz" => DataFormat::Npz,
            other => return Err(bad(id.span, &format!("`{other}` is no data source")).into()),
        };
        let mut positional = args.iter().filter(|a| a.name.is_none());
        let Some(first) = positional.next() else { return Err(bad(e.span, "a data source needs a file name").into()) };
        let path = self.string(&first.value, env)?;
        let member = match positional.next() {
            Some(a) if format == DataFormat::Npz => Some(self.string(&a.value, env)?),
            Some(a) => return Err(bad(a.value.span, "this argument has no meaning").into()),
            None => None,
        };
        let known = ["columns", "column", "rows", "header", "sep"];
        if let Some(n) = args.iter().filter_map(|a| a.name.as_ref()).find(|n| !known.contains(&&*n.name)) {
            let d = Diagnostic::error("E1105", n.span, format!("`{}` has no parameter `{}`", id.name, n.name))
                .note(format!("its parameters are {}", known.join(", ")));
            return Err(match gradus_syntax::nearest(&n.name, known) {
                Some(near) => d.fix(format!("did you mean `{near}`?"), n.span, near).into(),
                None => d.into(),
            });
        }
        if let (true, Some(a)) = (format != DataFormat::Csv, args.iter().find(|a| a.name.is_some())) {
            return Err(bad(a.value.span, &format!("`{}` takes no settings", id.name)).into());
        }
        let columns = match (Self::named(args, "column"), Self::named(args, "columns")) {
            (Some(a), None) => Columns::One(self.column(&a.value, env)?),
            (None, Some(a)) => self.columns(a, env)?,
            (None, None) => Columns::All,
            (Some(a), Some(_)) => return Err(bad(a.value.span, "`column` and `columns` exclude each other").into()),
        };
        let rows = match Self::named(args, "rows") {
            None => None,
            Some(a) => Some(self.row_range(a, env)?),
        };
        let header = match Self::named(args, "header") {
            None => Header::Auto,
            Some(a) => match self.eval(&a.value, env)? {
                Value::Symbol("auto") => Header::Auto,
                v => {
                    let n = self.num(&v, a.value.span)?;
                    match self.static_value(n)? {
                        Some(v) if v != 0.0 => Header::Yes,
                        Some(_) => Header::No,
                        None => return Err(bad(a.value.span, "`header` is true, false or auto").into()),
                    }
                }
            },
        };
        let separator = match Self::named(args, "sep") {
            None => None,
            Some(a) => {
                let s = self.string(&a.value, env)?;
                let mut chars = s.chars();
                match (chars.next(), chars.next()) {
                    (Some(c), None) if c.is_ascii() => Some(c),
                    _ => return Err(bad(a.value.span, "`sep` is one character").into()),
                }
            }
        };
        Ok(DataRequest {
            name: d.name.name.clone(),
            format,
            path,
            columns,
            rows,
            header,
            separator,
            member,
            rank,
            integers: dtype != DType::Real,
            span: d.name.span.to(d.ty.span),
            source: e.span,
        })
    }

    fn string(&mut self, e: &Expr, env: &Env) -> Eval<Arc<str>> {
        match self.eval(e, env)? {
            Value::Str(s) => Ok(s),
            other => Err(Diagnostic::error("E1202", e.span, format!("expected a string, found {}", other.kind())).into()),
        }
    }

    fn position(&mut self, e: &Expr, env: &Env) -> Eval<usize> {
        let k = self.known_int(e, env)?;
        usize::try_from(k).map_err(|_| Diagnostic::error("E6004", e.span, format!("{k} is no position")).at("columns and rows count from 0").into())
    }

    fn column(&mut self, e: &Expr, env: &Env) -> Eval<ColumnRef> {
        if let ExprKind::Str(s) = &*e.kind {
            return Ok(ColumnRef::Name(s.clone()));
        }
        Ok(ColumnRef::Position(self.position(e, env)?))
    }

    fn columns(&mut self, a: &Arg, env: &Env) -> Eval<Columns> {
        match &*a.value.kind {
            ExprKind::Range { from, to, inclusive } => {
                let (x, y) = (self.position(from, env)?, self.position(to, env)?);
                Ok(Columns::Range(x, y + usize::from(*inclusive)))
            }
            ExprKind::List(items) => {
                Ok(Columns::Many(items.iter().map(|e| self.column(e, env)).collect::<Eval<_>>()?))
            }
            _ => Err(Diagnostic::error("E6004", a.value.span, "`columns` is a range or a list")
                .help("for example `columns = 0..10` or `columns = [\"age\", \"bmi\"]`; one column is `column = 3`")
                .into()),
        }
    }

    fn row_range(&mut self, a: &Arg, env: &Env) -> Eval<(usize, Option<usize>)> {
        match &*a.value.kind {
            ExprKind::Range { from, to, inclusive } => {
                Ok((self.position(from, env)?, Some(self.position(to, env)? + usize::from(*inclusive))))
            }
            _ => Err(Diagnostic::error("E6004", a.value.span, "`rows` is a range").help("for example `rows = 0..100`").into()),
        }
    }
}
