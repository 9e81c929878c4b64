//! Reductions: over all elements (of all leaves), or along axes.

use super::{arguments, flag, given, integer, two};
use crate::interp::Interp;
use crate::value::{CallArg, Eval, Num, Value};
use gradus_ir::{BinaryOp, DType, Dim, IrError, Op, ReduceOp, Shape, UnaryOp};
use gradus_syntax::{Diagnostic, Span};

/// Which axes a call reduces: all, or those named.
fn axes(s: &mut Interp<'_>, axis: Option<&CallArg>, shape: &Shape, who: &'static str, n: Num) -> Eval<Vec<usize>> {
    let Some(a) = axis else { return Ok((0..shape.rank()).collect()) };
    let list: Vec<i64> = match &a.value {
        Value::List(l) => {
            let mut out = Vec::new();
            for v in l.iter() {
                out.push(integer(s, &CallArg { name: None, value: v.clone(), span: a.span })?);
            }
            out
        }
        _ => vec![integer(s, a)?],
    };
    let mut out = Vec::new();
    for k in list {
        match shape.axis(k) {
            Some(ax) => out.push(ax),
            None => {
                let e = IrError::Axis { op: who, axis: k, found: s.ty(n) };
                return Err(crate::errors::from_ir(&e, a.span, &[]).into());
            }
        }
    }
    out.sort_unstable();
    out.dedup();
    Ok(out)
}

fn kept(s: &mut Interp<'_>, out: Num, shape: &Shape, axes: &[usize], span: Span) -> Eval<Num> {
    let mut k = shape.clone();
    for a in axes {
        k = k.with(*a, Dim::Known(1));
    }
    s.emit(Op::Reshape(k), &[out], span)
}

pub(super) fn reduce(s: &mut Interp<'_>, r: ReduceOp, who: &'static str, args: &[CallArg], span: Span) -> Eval<Value> {
    let [x, axis, keep] = arguments(args, ["x", "axis", "keep"], 1, who, span)?;
    let x = given(x, span)?;
    if let Value::Num(n) = x.value {
        return Ok(Value::Num(reduce_num(s, r, who, n, axis, keep, span)?));
    }
    if axis.is_some() {
        return Err(s.not_numeric(&x.value, x.span));
    }
    let mut total: Option<Num> = None;
    for n in s.leaves(&x.value, x.span)? {
        let part = reduce_num(s, r, who, n, None, None, span)?;
        let join = match r {
            ReduceOp::Sum => BinaryOp::Add,
            ReduceOp::Prod => BinaryOp::Mul,
            ReduceOp::Max => BinaryOp::Max,
            ReduceOp::Min => BinaryOp::Min,
            ReduceOp::LogSumExp => return Err(s.not_numeric(&x.value, x.span)),
        };
        total = Some(match total {
            None => part,
            Some(t) => s.bin(join, t, part, span)?,
        });
    }
    match total {
        Some(t) => Ok(Value::Num(t)),
        None => Ok(Value::Num(s.real(0.0)?)),
    }
}

fn reduce_num(
    s: &mut Interp<'_>,
    r: ReduceOp,
    who: &'static str,
    n: Num,
    axis: Option<&CallArg>,
    keep: Option<&CallArg>,
    span: Span,
) -> Eval<Num> {
    let shape = s.ty(n).shape;
    let ax = axes(s, axis, &shape, who, n)?;
    let out = s.emit(Op::Reduce(r, ax.clone()), &[n], span)?;
    if flag(s, keep, false)? { kept(s, out, &shape, &ax, span) } else { Ok(out) }
}

pub(super) fn max(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    extreme(s, BinaryOp::Max, ReduceOp::Max, "max", args, span)
}

pub(super) fn min(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    extreme(s, BinaryOp::Min, ReduceOp::Min, "min", args, span)
}

fn extreme(
    s: &mut Interp<'_>,
    pair: BinaryOp,
    over: ReduceOp,
    who: &'static str,
    args: &[CallArg],
    span: Span,
) -> Eval<Value> {
    let positional = args.iter().filter(|a| a.name.is_none()).count();
    if positional < 2 {
        return reduce(s, over, who, args, span);
    }
    let mut items = args.iter();
    let Some(first) = items.next() else { return reduce(s, over, who, args, span) };
    let mut v = first.value.clone();
    for a in items {
        v = s.arith(pair, &v, &a.value, span, first.span, a.span)?;
    }
    Ok(v)
}

pub(super) fn mean(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [x, axis, keep] = arguments(args, ["x", "axis", "keep"], 1, "mean", span)?;
    let x = given(x, span)?;
    let n = s.num(&x.value, x.span)?;
    let shape = s.ty(n).shape;
    let ax = axes(s, axis, &shape, "mean", n)?;
    let count = Dim::product(ax.iter().filter_map(|a| shape.dims().get(*a)));
    if count == Dim::Known(0) {
        return Err(Diagnostic::error("E2015", x.span, "the mean of nothing").at(format!("this is `{}`", s.ty(n))).into());
    }
    let total = s.emit(Op::Reduce(ReduceOp::Sum, ax.clone()), &[n], span)?;
    let count = s.dim_num(&count)?;
    let out = s.bin(BinaryOp::Div, total, count, span)?;
    Ok(Value::Num(if flag(s, keep, false)? { kept(s, out, &shape, &ax, span)? } else { out }))
}

fn truth(s: &mut Interp<'_>, args: &[CallArg], who: &'static str, r: ReduceOp, span: Span) -> Eval<Value> {
    let [x, axis] = arguments(args, ["x", "axis"], 1, who, span)?;
    let x = given(x, span)?;
    let n = s.num(&x.value, x.span)?;
    let ty = s.ty(n);
    if ty.dtype != DType::Bool {
        return Err(Diagnostic::error("E1201", x.span, format!("`{who}` needs truth values, found `{ty}`"))
            .at(format!("this is `{ty}`"))
            .help("compare first, for example `x > 0`")
            .into());
    }
    let ax = axes(s, axis, &ty.shape, who, n)?;
    Ok(Value::Num(s.emit(Op::Reduce(r, ax), &[n], span)?))
}

pub(super) fn any(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    truth(s, args, "any", ReduceOp::Max, span)
}

pub(super) fn all(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    truth(s, args, "all", ReduceOp::Min, span)
}

pub(super) fn count(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    truth(s, args, "count", ReduceOp::Sum, span)
}

fn arg_reduce(s: &mut Interp<'_>, args: &[CallArg], max: bool, span: Span) -> Eval<Value> {
    let who = if max { "argmax_index" } else { "argmin_index" };
    let [x, axis] = arguments(args, ["x", "axis"], 1, who, span)?;
    let x = given(x, span)?;
    let mut n = s.num(&x.value, x.span)?;
    let shape = s.ty(n).shape;
    let axis = match axis {
        Some(_) => axes(s, axis, &shape, who, n)?.first().copied().unwrap_or(0),
        None => {
            let flat = Shape::new([shape.count()]);
            n = s.emit(Op::Reshape(flat), &[n], span)?;
            0
        }
    };
    Ok(Value::Num(s.emit(Op::ArgReduce { max, axis }, &[n], span)?))
}

pub(super) fn argmax(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    arg_reduce(s, args, true, span)
}

pub(super) fn argmin(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    arg_reduce(s, args, false, span)
}

pub(super) fn dot(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let (a, b) = two(args, "dot", span)?;
    let p = s.arith(BinaryOp::Mul, &a.value, &b.value, span, a.span, b.span)?;
    Ok(Value::Num(s.sum_tree(&p, span)?))
}

impl Interp<'_> {
    /// The sum of all elements of all leaves.
    pub fn sum_tree(&mut self, v: &Value, span: Span) -> Eval<Num> {
        let mut total: Option<Num> = None;
        for n in self.leaves(v, span)? {
            let axes = (0..self.ty(n).shape.rank()).collect();
            let part = self.emit(Op::Reduce(ReduceOp::Sum, axes), &[n], span)?;
            total = Some(match total {
                None => part,
                Some(t) => self.bin(BinaryOp::Add, t, part, span)?,
            });
        }
        match total {
            Some(t) => Ok(t),
            None => self.real(0.0),
        }
    }

    /// The Euclidean norm over all leaves.
    pub fn norm_tree(&mut self, v: &Value, span: Span) -> Eval<Num> {
        let sq = self.unary_value(UnaryOp::Square, v, span, span)?;
        let t = self.sum_tree(&sq, span)?;
        self.un(UnaryOp::Sqrt, t, span)
    }
}
