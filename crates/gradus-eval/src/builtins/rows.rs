//! Kernels on whole lines by name: the largest, isotonic regression, the knapsack problem.

use super::{arguments, given};
use crate::interp::Interp;
use crate::value::{CallArg, Eval, Num, Value};
use gradus_ir::{BinaryOp, Dim, Op, Shape};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// `{values, indices}`
pub(super) fn top_k(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [x, k] = arguments(args, ["x", "k"], 2, "top_k", span)?;
    let (x, k) = (given(x, span)?, given(k, span)?);
    let n = s.num(&x.value, x.span)?;
    let count = s.num(&k.value, k.span)?;
    let Some(d) = s.static_dim(count)? else {
        return Err(Diagnostic::error("E1214", k.span, "expected an integer known before the run").into());
    };
    let node = s.emit_blaming(Op::TopK(d), &[n], span, &[x.span])?;
    pair(s, node, ["values", "indices"], span)
}

/// A bool array: which entries are the `k` largest along the last axis. Unlike that of `top_k`, this number may be computed.
pub(super) fn among_largest(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [x, k] = arguments(args, ["x", "k"], 2, "among_largest", span)?;
    let (x, k) = (given(x, span)?, given(k, span)?);
    let (n, shape) = lines(s, x, "among_largest")?;
    let axis = shape.rank().saturating_sub(1);
    let count = s.num(&k.value, k.span)?;
    let length = shape.dims().last().cloned().unwrap_or(Dim::Known(0));
    let known = s.static_dim(count)?.filter(|d| d.known().zip(length.known()).is_some_and(|(k, n)| 0 <= k && k <= n));
    if let Some(d) = known {
        let node = s.emit_blaming(Op::TopK(d), &[n], span, &[x.span])?;
        let places = s.emit(Op::Get(1), &[node], span)?;
        let (zero, one) = (s.int(0)?, s.int(1)?);
        let base = s.emit(Op::Broadcast(shape), &[zero], span)?;
        let ones = s.ty(places).shape;
        let ones = s.emit(Op::Broadcast(ones), &[one], span)?;
        let marked = s.emit(Op::ScatterAddAlong { axis }, &[base, places, ones], span)?;
        return Ok(Value::Num(s.bin(BinaryOp::Gt, marked, zero, span)?));
    }
    let order = s.emit(Op::ArgSort { axis, descending: true }, &[n], span)?;
    let rank = s.emit(Op::ArgSort { axis, descending: false }, &[order], span)?;
    Ok(Value::Num(s.bin(BinaryOp::Lt, rank, count, span)?))
}

fn pair(s: &mut Interp<'_>, node: Num, names: [&str; 2], span: Span) -> Eval<Value> {
    let mut fields = Vec::new();
    for (i, name) in names.into_iter().enumerate() {
        fields.push((Arc::from(name), Value::Num(s.emit(Op::Get(i as u32), &[node], span)?)));
    }
    Ok(Value::record(fields))
}

/// Stretched to a shape; a scalar stays one.
fn stretched(s: &mut Interp<'_>, a: &CallArg, shape: &Shape) -> Eval<Num> {
    let n = s.num(&a.value, a.span)?;
    let own = s.ty(n).shape;
    if own.is_scalar() || own == *shape {
        return Ok(n);
    }
    s.emit_blaming(Op::Broadcast(shape.clone()), &[n], a.span, &[a.span])
}

fn lines(s: &mut Interp<'_>, a: &CallArg, who: &str) -> Eval<(Num, Shape)> {
    let n = s.num(&a.value, a.span)?;
    let shape = s.ty(n).shape;
    if shape.is_scalar() {
        return Err(Diagnostic::error("E2003", a.span, format!("`{who}` needs at least one axis, found `{}`", s.ty(n))).into());
    }
    Ok((n, shape))
}

pub(super) fn isotonic(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [y, w] = arguments(args, ["y", "weights"], 1, "isotonic_regression", span)?;
    let y = given(y, span)?;
    let (n, shape) = lines(s, y, "isotonic_regression")?;
    let w = match w {
        Some(w) => stretched(s, w, &shape)?,
        None => s.real(1.0)?,
    };
    let w = if s.ty(w).shape.is_scalar() { s.emit(Op::Broadcast(shape), &[w], span)? } else { w };
    Ok(Value::Num(s.emit(Op::Isotonic, &[n, w], span)?))
}

/// `{x, multiplier}`
pub(super) fn knapsack(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let names = ["v", "w", "lower", "upper", "total"];
    let [v, w, lower, upper, total] = arguments(args, names, 5, "knapsack", span)?;
    let v = given(v, span)?;
    let (n, shape) = lines(s, v, "knapsack")?;
    let mut operands = vec![n];
    for a in [w, lower, upper] {
        let a = given(a, span)?;
        operands.push(stretched(s, a, &shape)?);
    }
    let rows = shape.without(shape.rank().saturating_sub(1));
    let total = given(total, span)?;
    operands.push(stretched(s, total, &rows)?);
    let node = s.emit(Op::Knapsack, &operands, span)?;
    pair(s, node, ["x", "multiplier"], span)
}
