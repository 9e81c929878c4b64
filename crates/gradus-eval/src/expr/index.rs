//! Indexing and slicing: `x[i]`, `x[a..b]`, `x[:, 0]`, `x[v]`, `x[:, None]`, and members of lists.

use crate::env::Env;
use crate::interp::Interp;
use crate::value::{CallArg, Eval, Num, Value};
use gradus_ir::{BinaryOp, DType, Dim, Op};
use gradus_syntax::ast::{Expr, ExprKind, Index};
use gradus_syntax::{Diagnostic, Span};

impl Interp<'_> {
    pub(super) fn eval_index(&mut self, base: &Expr, parts: &[Index], env: &Env, span: Span) -> Eval<Value> {
        let v = self.eval(base, env)?;
        match &v {
            Value::Num(n) => self.index_array(*n, parts, env, span, base.span),
            Value::List(l) => self.index_list(l, parts, env, span),
            Value::Type(t) => {
                let mut args = Vec::new();
                for p in parts {
                    match p {
                        Index::At(e) => args.push(CallArg { name: None, value: self.eval(e, env)?, span: e.span }),
                        _ => return Err(Diagnostic::error("E1204", span, "a type's parameters are values").into()),
                    }
                }
                Ok(Value::Type(self.apply_type(t, &args, span)?))
            }
            Value::Set(_) => {
                let mut args = Vec::new();
                for p in parts {
                    if let Index::At(e) = p {
                        args.push(CallArg { name: None, value: self.eval(e, env)?, span: e.span });
                    }
                }
                self.apply(&v, &args, span)
            }
            other => Err(Diagnostic::error("E1213", span, format!("{} has no elements to index", other.kind()))
                .label(base.span, format!("this is {}", other.kind()))
                .into()),
        }
    }

    fn index_list(&mut self, items: &[Value], parts: &[Index], env: &Env, span: Span) -> Eval<Value> {
        let len = items.len() as i64;
        match parts {
            [Index::At(e)] => {
                let k = self.known_int(e, env)?;
                let k = if k < 0 { k + len } else { k };
                usize::try_from(k).ok().and_then(|k| items.get(k)).cloned().ok_or_else(|| {
                    Diagnostic::error("E2006", e.span, format!("index {k} leaves a list of {len}"))
                        .at("indices count from 0")
                        .into()
                })
            }
            [Index::Slice { from, to, inclusive, span: at }] => {
                let a = from.as_ref().map(|e| self.known_int(e, env)).transpose()?.unwrap_or(0);
                let b = to.as_ref().map(|e| self.known_int(e, env)).transpose()?.unwrap_or(len);
                let wrap = |k: i64| if k < 0 { k + len } else { k };
                let (a, b) = (wrap(a), wrap(b) + i64::from(*inclusive));
                if a < 0 || b > len || a > b {
                    return Err(Diagnostic::error("E2006", *at, format!("{a}..{b} leaves a list of {len}")).into());
                }
                Ok(Value::list(items.iter().skip(a as usize).take((b - a) as usize).cloned().collect()))
            }
            _ => Err(Diagnostic::error("E1213", span, "a list takes one index").into()),
        }
    }

    /// An integer that is known while tracing.
    pub fn known_int(&mut self, e: &Expr, env: &Env) -> Eval<i64> {
        let v = self.eval(e, env)?;
        if let Value::Num(n) = v
            && let Some(d) = self.static_dim(n)?
            && let Some(k) = d.known()
        {
            return Ok(k);
        }
        Err(Diagnostic::error("E1214", e.span, "this integer must be known before the run").at("this depends on the run").into())
    }

    fn index_array(&mut self, mut n: Num, parts: &[Index], env: &Env, span: Span, base: Span) -> Eval<Value> {
        let written = parts.iter().filter(|p| !matches!(p, Index::NewAxis(_))).count();
        let rank = self.ty(n).shape.rank();
        if written > rank {
            return Err(Diagnostic::error("E2004", span, format!("{written} indices for `{}`", self.ty(n)))
                .label(base, format!("this is `{}`", self.ty(n)))
                .into());
        }
        let mut axis = 0;
        for p in parts {
            match p {
                Index::NewAxis(_) => {
                    let mut shape = self.ty(n).shape;
                    shape.0.insert(axis, Dim::Known(1));
                    n = self.emit(Op::Reshape(shape), &[n], span)?;
                    axis += 1;
                }
                Index::Slice { from, to, inclusive, span: at } => {
                    n = self.slice_axis(n, axis, from.as_ref(), to.as_ref(), *inclusive, env, *at)?;
                    axis += 1;
                }
                Index::At(e) => {
                    if let ExprKind::Range { from, to, inclusive } = &*e.kind {
                        n = self.slice_axis(n, axis, Some(from), Some(to), *inclusive, env, e.span)?;
                        axis += 1;
                        continue;
                    }
                    let i = self.eval(e, env)?;
                    let Value::Num(i) = i else { return Err(self.not_numeric(&i, e.span)) };
                    let ity = self.ty(i);
                    if ity.dtype == DType::Bool {
                        return Err(Diagnostic::error("E1201", e.span, "a mask has no known number of elements, so it cannot select")
                            .at("this is a bool array")
                            .help("keep the shape: `where(mask, x, 0)`, or multiply by the mask")
                            .into());
                    }
                    if ity.shape.is_scalar() {
                        n = self.index_scalar(n, axis, i, e.span)?;
                    } else {
                        n = self.emit_blaming(Op::Take { axis }, &[n, i], span, &[base, e.span])?;
                        axis += ity.shape.rank();
                    }
                }
            }
        }
        Ok(Value::Num(n))
    }

    /// One element (or sub-array) along an axis; the axis vanishes.
    pub fn index_scalar(&mut self, n: Num, axis: usize, i: Num, span: Span) -> Eval<Num> {
        let ty = self.ty(n);
        let len = ty.shape.dims().get(axis).cloned().unwrap_or(Dim::Known(0));
        let written = self.tracer.graph_of(i).filter(|g| g.dtype(i.id) == DType::Int).and_then(|g| g.constant(i.id));
        if let Some(v) = written.filter(|v| !(v.abs() < 9e15)) {
            let what = if v.is_infinite() { "an infinite index".into() } else { format!("index {v}") };
            return Err(Diagnostic::error("E2006", span, format!("{what} is outside axis {axis} of `{ty}`"))
                .at(format!("the axis has length {len}; indices count from 0"))
                .into());
        }
        // Only what is a constant of the graph becomes a slice: computed indices stay indices.
        let fixed = self.tracer.graph_of(i).and_then(|g| match &g.node(i.id).op {
            Op::Const(v, DType::Int) => Some(Dim::Known(v.get() as i64)),
            Op::DimValue(d) => Some(d.clone()),
            _ => None,
        });
        if let Some(k) = fixed {
            let negative = k.known().is_some_and(|v| v < 0);
            let start = if negative { k.add(&len) } else { k };
            let s = self.emit(Op::Slice { axis, start, len: Dim::Known(1) }, &[n], span)?;
            return self.emit(Op::Reshape(ty.shape.without(axis)), &[s], span);
        }
        self.emit_blaming(Op::Take { axis }, &[n, i], span, &[span, span])
    }

    #[allow(clippy::too_many_arguments)]
    fn slice_axis(
        &mut self,
        n: Num,
        axis: usize,
        from: Option<&Expr>,
        to: Option<&Expr>,
        inclusive: bool,
        env: &Env,
        span: Span,
    ) -> Eval<Num> {
        let len = self.ty(n).shape.dims().get(axis).cloned().unwrap_or(Dim::Known(0));
        let bound = |s: &mut Self, e: Option<&Expr>, default: Dim| -> Eval<Result<Dim, Num>> {
            let Some(e) = e else { return Ok(Ok(default)) };
            let v = s.eval(e, env)?;
            let Value::Num(k) = v else { return Err(s.not_numeric(&v, e.span)) };
            Ok(match s.static_dim(k)? {
                Some(d) if d.known().is_some_and(|v| v < 0) => Ok(d.add(&len)),
                Some(d) => Ok(d),
                None => Err(k),
            })
        };
        let a = bound(self, from, Dim::Known(0))?;
        let b = bound(self, to, len.clone())?;
        match (a, b) {
            (Ok(a), Ok(b)) => {
                let end = if inclusive { b.add(&Dim::Known(1)) } else { b };
                let count = end.sub(&a);
                self.emit(Op::Slice { axis, start: a, len: count }, &[n], span)
            }
            _ => Err(Diagnostic::error("E1214", span, "the ends of a slice must be known before the run")
                .at("this depends on the run")
                .help("gather with an index vector instead: `x[start + range(k)]`")
                .into()),
        }
    }

    /// `a..b` as an int vector.
    pub(super) fn eval_range(&mut self, from: &Expr, to: &Expr, inclusive: bool, env: &Env, span: Span) -> Eval<Value> {
        let (start, len) = self.range_bounds(from, to, inclusive, env, span)?;
        let iota = self.emit(Op::Iota(len), &[], span)?;
        let start = self.dim_num(&start)?;
        Ok(Value::Num(self.bin(BinaryOp::Add, iota, start, span)?))
    }

    /// Start and length of a range whose ends are known before the run.
    pub(super) fn range_bounds(&mut self, from: &Expr, to: &Expr, inclusive: bool, env: &Env, span: Span) -> Eval<(Dim, Dim)> {
        let end = |s: &mut Self, e: &Expr| -> Eval<Dim> {
            let v = s.eval(e, env)?;
            let Value::Num(k) = v else { return Err(s.not_numeric(&v, e.span)) };
            match s.static_dim(k)? {
                Some(d) => Ok(d),
                None => Err(Diagnostic::error("E1214", e.span, "the ends of a range must be integers known before the run")
                    .at("this is not")
                    .help("loop with `while i < k from i = 0 { … }` where the end is computed")
                    .into()),
            }
        };
        let a = end(self, from)?;
        let b = end(self, to)?;
        let len = b.sub(&a).add(&Dim::Known(i64::from(inclusive)));
        let len = match len.known() {
            Some(k) if k < 0 => Dim::Known(0),
            Some(k) if k > 1 << 40 => {
                return Err(Diagnostic::error("E2011", span, format!("a range of {k} elements is too long")).into());
            }
            _ => len,
        };
        Ok((a, len))
    }
}
