//! Random numbers from keys, and minibatches.

use super::{arguments, given, shape::dims};
use crate::interp::Interp;
use crate::value::{CallArg, Eval, Minibatch, Value};
use gradus_ir::{BinaryOp, Op};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

pub(super) fn key(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "key", span)?;
    let n = s.num(&v, span)?;
    Ok(Value::Num(s.emit_blaming(Op::Key, &[n], span, &[span])?))
}

pub(super) fn fold(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [k, i] = arguments(args, ["key", "number"], 2, "fold", span)?;
    let (k, i) = (given(k, span)?, given(i, span)?);
    let (a, b) = (s.key_of(&k.value, k.span)?, s.num(&i.value, i.span)?);
    Ok(Value::Num(s.emit_blaming(Op::KeyFold, &[a, b], span, &[k.span, i.span])?))
}

fn draw(
    s: &mut Interp<'_>,
    args: &[CallArg],
    who: &str,
    span: Span,
    op: fn(gradus_ir::Shape) -> Op,
) -> Eval<Value> {
    let Some((k, rest)) = args.split_first() else {
        return Err(Diagnostic::error("E1106", span, format!("`{who}` needs a key"))
            .help(format!("write `{who}(key(seed), n)`"))
            .into());
    };
    let n = s.key_of(&k.value, k.span)?;
    let shape = dims(s, rest)?;
    Ok(Value::Num(s.emit_blaming(op(shape), &[n], span, &[k.span])?))
}

pub(super) fn uniform(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    draw(s, args, "uniform", span, Op::Uniform)
}

pub(super) fn normal(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    draw(s, args, "normal", span, Op::Normal)
}

/// `bernoulli(key, p, n, …)`
pub(super) fn bernoulli(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [k, p, rest @ ..] = args else {
        return Err(Diagnostic::error("E1106", span, "`bernoulli` needs a key and a probability").into());
    };
    let n = s.num(&k.value, k.span)?;
    let shape = dims(s, rest)?;
    let u = s.emit_blaming(Op::Uniform(shape), &[n], span, &[k.span])?;
    let p = s.num(&p.value, p.span)?;
    Ok(Value::Num(s.bin(BinaryOp::Lt, u, p, span)?))
}

pub(super) fn permutation(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [k, n] = arguments(args, ["key", "n"], 2, "permutation", span)?;
    let (k, n) = (given(k, span)?, given(n, span)?);
    let key = s.num(&k.value, k.span)?;
    let shape = dims(s, std::slice::from_ref(n))?;
    let Some(d) = shape.dims().first().cloned() else {
        return Err(Diagnostic::error("E1107", n.span, "expected one integer").into());
    };
    Ok(Value::Num(s.emit_blaming(Op::Permutation(d), &[key], span, &[k.span])?))
}

/// `minibatch(D, k)`: D an array or a tree of arrays that share their first axis.
pub(super) fn minibatch(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [d, k] = arguments(args, ["data", "size"], 2, "minibatch", span)?;
    let (d, k) = (given(d, span)?, given(k, span)?);
    let leaves = s.leaves(&d.value, d.span)?;
    let mut rows = None;
    for n in leaves {
        let ty = s.ty(n);
        let Some(first) = ty.shape.dims().first().cloned() else {
            return Err(Diagnostic::error("E2003", d.span, "a minibatch draws rows, found a scalar").into());
        };
        match &rows {
            None => rows = Some(first),
            Some(r) if *r == first => {}
            Some(r) => {
                return Err(Diagnostic::error("E2007", d.span, format!("the parts of the data have {r} and {first} rows")).into());
            }
        }
    }
    let size = s.num(&k.value, k.span)?;
    Ok(Value::Minibatch(Arc::new(Minibatch { data: d.value.clone(), size })))
}

pub(super) fn clock(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let dummy = match args.first() {
        Some(a) => s.num(&a.value, a.span)?,
        None => s.real(0.0)?,
    };
    Ok(Value::Num(s.emit(Op::Clock, &[dummy], span)?))
}
