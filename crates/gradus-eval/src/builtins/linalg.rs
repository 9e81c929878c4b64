//! Linear algebra by name.

use super::{arguments, flag, given, two};
use crate::interp::Interp;
use crate::value::{CallArg, Eval, Num, Value};
use gradus_ir::{BinaryOp, Dim, Op, ReduceOp, Shape, UnaryOp};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

fn single(s: &mut Interp<'_>, args: &[CallArg], who: &str, op: Op, span: Span) -> Eval<Value> {
    let v = s.one_arg(args, who, span)?;
    let at = args.first().map(|a| a.span).unwrap_or(span);
    let n = s.num(&v, at)?;
    Ok(Value::Num(s.emit_blaming(op, &[n], span, &[at])?))
}

pub(super) fn cholesky(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    single(s, args, "cholesky", Op::Cholesky, span)
}

pub(super) fn det(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    single(s, args, "det", Op::Det, span)
}

pub(super) fn solve(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let (a, b) = two(args, "solve", span)?;
    let (m, v) = (s.num(&a.value, a.span)?, s.num(&b.value, b.span)?);
    Ok(Value::Num(s.emit_blaming(Op::Solve { transposed: false }, &[m, v], span, &[a.span, b.span])?))
}

pub(super) fn solve_triangular(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [l, b, lower, transposed] = arguments(args, ["L", "b", "lower", "transposed"], 2, "solve_triangular", span)?;
    let (l, b) = (given(l, span)?, given(b, span)?);
    let op = Op::TriangularSolve { lower: flag(s, lower, true)?, transposed: flag(s, transposed, false)? };
    let (m, v) = (s.num(&l.value, l.span)?, s.num(&b.value, b.span)?);
    Ok(Value::Num(s.emit_blaming(op, &[m, v], span, &[l.span, b.span])?))
}

pub(super) fn inv(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "inv", span)?;
    let n = s.num(&v, span)?;
    let shape = s.ty(n).shape;
    let Some(d) = shape.dims().first().cloned() else {
        return Err(Diagnostic::error("E2003", span, "`inv` needs a square matrix").into());
    };
    let one = s.real(1.0)?;
    let ones = s.emit(Op::Broadcast(Shape::new([d])), &[one], span)?;
    let eye = s.emit(Op::DiagMatrix, &[ones], span)?;
    Ok(Value::Num(s.emit_blaming(Op::Solve { transposed: false }, &[n, eye], span, &[span, span])?))
}

/// 2 Σ log L_ii with A = L L'; NaN where A is not positive definite.
pub(super) fn logdet(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "logdet", span)?;
    let n = s.num(&v, span)?;
    let l = s.emit_blaming(Op::Cholesky, &[n], span, &[span])?;
    let d = s.emit(Op::Diagonal, &[l], span)?;
    let logs = s.un(UnaryOp::Log, d, span)?;
    let sum = s.emit(Op::Reduce(ReduceOp::Sum, vec![0]), &[logs], span)?;
    let two = s.real(2.0)?;
    Ok(Value::Num(s.bin(BinaryOp::Mul, two, sum, span)?))
}

fn several(s: &mut Interp<'_>, args: &[CallArg], who: &str, op: Op, names: &[&str], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, who, span)?;
    let at = args.first().map(|a| a.span).unwrap_or(span);
    let n = s.num(&v, at)?;
    let node = s.emit_blaming(op, &[n], span, &[at])?;
    let mut fields = Vec::new();
    for (k, name) in names.iter().enumerate() {
        fields.push((Arc::from(*name), Value::Num(s.emit(Op::Get(k as u32), &[node], span)?)));
    }
    Ok(Value::record(fields))
}

pub(super) fn eigh(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    several(s, args, "eigh", Op::Eigh, &["values", "vectors"], span)
}

pub(super) fn svd(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    several(s, args, "svd", Op::Svd, &["u", "s", "v"], span)
}

pub(super) fn qr(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    several(s, args, "qr", Op::Qr, &["q", "r"], span)
}

pub(super) fn trace(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "trace", span)?;
    let n = s.num(&v, span)?;
    let d = s.emit_blaming(Op::Diagonal, &[n], span, &[span])?;
    Ok(Value::Num(s.emit(Op::Reduce(ReduceOp::Sum, vec![0]), &[d], span)?))
}

/// `{sign, log}`
pub(super) fn slogdet(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    several(s, args, "slogdet", Op::SlogDet, &["sign", "log"], span)
}

/// Of a vector or matrix of at least one axis, its first length.
fn first_length(s: &mut Interp<'_>, n: Num, at: Span) -> Eval<Dim> {
    match s.ty(n).shape.dims().first() {
        Some(d) => Ok(d.clone()),
        None => Err(Diagnostic::error("E2003", at, format!("expected a vector or a matrix, found `{}`", s.ty(n))).into()),
    }
}

pub(super) fn sparse_matmul(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let found = arguments(args, ["starts", "columns", "values", "x"], 4, "sparse_matmul", span)?;
    let (mut nums, mut spans) = (Vec::new(), Vec::new());
    for a in found {
        let a = given(a, span)?;
        nums.push(s.num(&a.value, a.span)?);
        spans.push(a.span);
    }
    let rows = first_length(s, nums[0], spans[0])?.sub(&Dim::Known(1));
    Ok(Value::Num(s.emit_blaming(Op::SparseMatMul { transposed: false, rows }, &nums, span, &spans)?))
}

pub(super) fn sparse_matmul_transposed(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [starts, columns, values, x, n] =
        arguments(args, ["starts", "columns", "values", "x", "n"], 5, "sparse_matmul_transposed", span)?;
    let (mut nums, mut spans) = (Vec::new(), Vec::new());
    for a in [starts, columns, values, x] {
        let a = given(a, span)?;
        nums.push(s.num(&a.value, a.span)?);
        spans.push(a.span);
    }
    let n = given(n, span)?;
    let count = s.num(&n.value, n.span)?;
    let Some(rows) = s.static_dim(count)?.filter(|d| d.known().is_none_or(|k| k >= 0)) else {
        return Err(Diagnostic::error("E1214", n.span, "expected an integer known before the run").into());
    };
    Ok(Value::Num(s.emit_blaming(Op::SparseMatMul { transposed: true, rows }, &nums, span, &spans)?))
}

/// `{re, im}`
fn transform(s: &mut Interp<'_>, args: &[CallArg], who: &str, inverse: bool, span: Span) -> Eval<Value> {
    let [re, im] = arguments(args, ["re", "im"], 1, who, span)?;
    let re = given(re, span)?;
    let a = s.num(&re.value, re.span)?;
    let shape = s.ty(a).shape;
    let b = match im {
        Some(im) => s.num(&im.value, im.span)?,
        None => {
            let zero = s.real(0.0)?;
            s.emit(Op::Broadcast(shape.clone()), &[zero], span)?
        }
    };
    let node = s.emit_blaming(Op::Fft { inverse }, &[a, b], span, &[re.span, im.map_or(span, |a| a.span)])?;
    let mut fields = Vec::new();
    for (k, name) in ["re", "im"].into_iter().enumerate() {
        let mut out = s.emit(Op::Get(k as u32), &[node], span)?;
        if inverse {
            let n = shape.dims().last().cloned().unwrap_or(Dim::Known(1));
            let n = s.emit(Op::DimValue(n), &[], span)?;
            out = s.bin(BinaryOp::Div, out, n, span)?;
        }
        fields.push((Arc::from(name), Value::Num(out)));
    }
    Ok(Value::record(fields))
}

pub(super) fn fft(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    transform(s, args, "fft", false, span)
}

/// With the factor 1 / n.
pub(super) fn ifft(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    transform(s, args, "ifft", true, span)
}
