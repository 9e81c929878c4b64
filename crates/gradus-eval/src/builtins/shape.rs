//! Making arrays, changing their shape, ordering and picking elements.

use super::{arguments, flag, given, integer, two};
use crate::interp::Interp;
use crate::value::{CallArg, Eval, Num, Value};
use gradus_ir::{BinaryOp, Cumulative, DType, Dim, IrError, Op, Shape, Ty, UnaryOp};
use gradus_syntax::{Diagnostic, Span};

fn x_num(s: &mut Interp<'_>, a: Option<&CallArg>, span: Span) -> Eval<(Num, Span)> {
    let a = given(a, span)?;
    Ok((s.num(&a.value, a.span)?, a.span))
}

fn axis_of(s: &mut Interp<'_>, n: Num, a: Option<&CallArg>, default: i64, who: &'static str, span: Span) -> Eval<usize> {
    let (k, at) = match a {
        Some(a) => (integer(s, a)?, a.span),
        None => (default, span),
    };
    let ty = s.ty(n);
    ty.shape.axis(k).ok_or_else(|| {
        crate::errors::from_ir(&IrError::Axis { op: who, axis: k, found: ty.clone() }, at, &[]).into()
    })
}

/// A list of lengths, as `shape(x)` gives it, stands for its items.
fn items(a: &CallArg) -> Vec<CallArg> {
    match &a.value {
        Value::List(l) => l.iter().map(|v| CallArg { name: None, value: v.clone(), span: a.span }).collect(),
        _ => vec![a.clone()],
    }
}

/// Dimensions given as separate integers (`zeros(n, m)`) or as lists of them.
pub(super) fn dims(s: &mut Interp<'_>, args: &[CallArg]) -> Eval<Shape> {
    let mut shape = Shape::scalar();
    for a in &args.iter().flat_map(items).collect::<Vec<_>>() {
        let n = s.num(&a.value, a.span)?;
        match s.static_dim(n)? {
            Some(d) if d.known().is_none_or(|k| k >= 0) => shape.0.push(d),
            Some(d) => return Err(Diagnostic::error("E2011", a.span, format!("a dimension cannot be {d}"))
                .at("lengths are at least 0").into()),
            None => {
                let why = if s.ty(n).dtype == DType::Real { "this is no integer" } else { "this depends on the run" };
                return Err(Diagnostic::error("E2011", a.span, "a dimension must be an integer that is known before the run")
                    .at(why)
                    .into());
            }
        }
    }
    Ok(shape)
}

pub(super) fn size(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "size", span)?;
    let mut total = Dim::Known(0);
    for n in s.leaves(&v, span)? {
        total = total.add(&s.ty(n).shape.count());
    }
    Ok(Value::Num(s.dim_num(&total)?))
}

pub(super) fn shape(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "shape", span)?;
    let n = s.num(&v, span)?;
    let mut out = Vec::new();
    for d in s.ty(n).shape.dims() {
        out.push(Value::Num(s.dim_num(d)?));
    }
    Ok(Value::list(out))
}

pub(super) fn len(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "len", span)?;
    match &v {
        Value::List(l) => Ok(Value::Num(s.int(l.len() as i64)?)),
        _ => {
            let n = s.num(&v, span)?;
            match s.ty(n).shape.dims().first() {
                Some(d) => Ok(Value::Num(s.dim_num(d)?)),
                None => Err(Diagnostic::error("E2003", span, "a scalar has no length").into()),
            }
        }
    }
}

fn filled(s: &mut Interp<'_>, v: Num, shape: Shape, span: Span) -> Eval<Value> {
    Ok(Value::Num(s.emit(Op::Broadcast(shape), &[v], span)?))
}

pub(super) fn zeros(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let shape = dims(s, args)?;
    let v = s.real(0.0)?;
    filled(s, v, shape, span)
}

pub(super) fn ones(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let shape = dims(s, args)?;
    let v = s.real(1.0)?;
    filled(s, v, shape, span)
}

pub(super) fn full(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let Some((first, rest)) = args.split_first() else {
        return Err(Diagnostic::error("E1106", span, "`full` needs a value and dimensions").into());
    };
    let v = s.num(&first.value, first.span)?;
    let shape = dims(s, rest)?;
    filled(s, v, shape, span)
}

pub(super) fn eye(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let shape = dims(s, args)?;
    let [n] = shape.dims() else {
        return Err(Diagnostic::error("E1107", span, "`eye` takes one dimension").into());
    };
    let one = s.real(1.0)?;
    let v = s.emit(Op::Broadcast(Shape::new([n.clone()])), &[one], span)?;
    Ok(Value::Num(s.emit(Op::DiagMatrix, &[v], span)?))
}

pub(super) fn range(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let shape = dims(s, args)?;
    let [n] = shape.dims() else {
        return Err(Diagnostic::error("E1107", span, "`range` takes one integer; write `a..b` for other ends").into());
    };
    Ok(Value::Num(s.emit(Op::Iota(n.clone()), &[], span)?))
}

pub(super) fn linspace(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [a, b, n] = arguments(args, ["from", "to", "n"], 3, "linspace", span)?;
    let ((a, _), (b, _)) = (x_num(s, a, span)?, x_num(s, b, span)?);
    let n = given(n, span)?;
    let count = dims(s, std::slice::from_ref(n))?;
    let [d] = count.dims() else { return Err(Diagnostic::error("E1107", n.span, "expected one integer").into()) };
    if d.known().is_some_and(|k| k < 2) {
        return Err(Diagnostic::error("E2011", n.span, "`linspace` needs at least two points").into());
    }
    let i = s.emit(Op::Iota(d.clone()), &[], span)?;
    let last = s.dim_num(&d.sub(&Dim::Known(1)))?;
    // Weighted ends, so that the last point is exactly `to`.
    let t = s.bin(BinaryOp::Div, i, last, span)?;
    let one = s.real(1.0)?;
    let u = s.bin(BinaryOp::Sub, one, t, span)?;
    let x = s.bin(BinaryOp::Mul, u, a, span)?;
    let y = s.bin(BinaryOp::Mul, t, b, span)?;
    Ok(Value::Num(s.bin(BinaryOp::Add, x, y, span)?))
}

fn like(s: &mut Interp<'_>, args: &[CallArg], who: &str, value: f64, span: Span) -> Eval<Value> {
    let v = s.one_arg(args, who, span)?;
    s.filled_like(&v, value, span)
}

pub(super) fn zeros_like(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    like(s, args, "zeros_like", 0.0, span)
}

pub(super) fn ones_like(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    like(s, args, "ones_like", 1.0, span)
}

/// `tree_map(f, t)` and `tree_map(f, t, u)`: leaf by leaf.
pub(super) fn tree_map(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let Some((f, trees)) = args.split_first() else {
        return Err(Diagnostic::error("E1106", span, "`tree_map` needs a function and a tree").into());
    };
    let f = f.value.clone();
    let Some((first, others)) = trees.split_first() else {
        return Err(Diagnostic::error("E1107", span, "`tree_map` takes a function and one tree or more").into());
    };
    // Leaves of the other trees, in the order in which those of the first are met; a number goes with every leaf.
    let mut columns = Vec::new();
    for t in others {
        let mut column = Vec::new();
        s.zip_tree(&first.value, &t.value, t.span, &mut |_, x, y| {
            column.push(y);
            Ok(x)
        })?;
        columns.push(column.into_iter());
    }
    s.map_tree(&first.value, span, &mut |s, n| {
        let mut leaves = vec![Value::Num(n)];
        leaves.extend(columns.iter_mut().filter_map(|c| c.next()).map(Value::Num));
        let v = s.call_values(&f, &leaves, span)?;
        s.num(&v, span)
    })
}

/// `sweep(f, x)`: field by field, the record gets that field of f of itself (Gauss-Seidel). Anything but a record is one field.
pub(super) fn sweep(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [f, x] = arguments(args, ["f", "x"], 2, "sweep", span)?;
    let (f, x) = (given(f, span)?.value.clone(), given(x, span)?.value.clone());
    let Value::Record(fields) = &x else { return s.call_values(&f, &[x], span) };
    let mut now = fields.to_vec();
    for k in 0..now.len() {
        let v = s.call_values(&f, &[Value::record(now.clone())], span)?;
        if let Some((n, slot)) = now.get_mut(k) {
            let Some(new) = v.field(n) else {
                return Err(Diagnostic::error("E1203", span, format!("the map of `sweep` gives no field `{n}`"))
                    .at("it must give a record like its argument")
                    .into());
            };
            *slot = new.clone();
        }
    }
    Ok(Value::record(now))
}

pub(super) fn reshape(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let Some((x, rest)) = args.split_first() else {
        return Err(Diagnostic::error("E1106", span, "`reshape` needs an array and dimensions").into());
    };
    let n = s.num(&x.value, x.span)?;
    // One length may be left to be found, written -1.
    let mut open = None;
    let mut given = Vec::new();
    for a in rest.iter().flat_map(items) {
        let d = s.num(&a.value, a.span)?;
        match s.static_dim(d)? {
            Some(d) if d.known() == Some(-1) && open.is_none() => open = Some((given.len(), a.span)),
            _ => given.push(a),
        }
    }
    let mut shape = dims(s, &given)?;
    if let Some((place, at)) = open {
        let (have, by) = (s.ty(n).shape.count(), shape.count());
        let Some(d) = have.div(&by) else {
            return Err(Diagnostic::error("E2011", at, format!("{have} elements do not fill rows of {by}"))
                .at("no length fits here")
                .into());
        };
        shape.0.insert(place, d);
    }
    Ok(Value::Num(s.emit(Op::Reshape(shape), &[n], span)?))
}

pub(super) fn flatten(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "flatten", span)?;
    Ok(Value::Num(s.flattened(&v, span)?))
}

pub(super) fn unflatten(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [v, like] = arguments(args, ["v", "like"], 2, "unflatten", span)?;
    let (v, like) = (given(v, span)?, given(like, span)?);
    let tree = s.type_tree(&like.value, like.span)?;
    let n = s.num(&v.value, v.span)?;
    let total = tree.leaves().iter().fold(Dim::Known(0), |n, t| n.add(&t.shape.count()));
    if s.ty(n).shape != Shape::new([total.clone()]) {
        return Err(Diagnostic::error("E2017", v.span, format!("the vector is `{}`, the tree has {total} elements", s.ty(n)))
            .at(format!("this should be `real[{total}]`"))
            .label(like.span, format!("this is `{}`", tree.describe()))
            .into());
    }
    s.unflatten(n, &tree, span)
}

pub(super) fn concat(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let (axis, parts): (Vec<&CallArg>, Vec<&CallArg>) = args.iter().partition(|a| a.name.as_deref() == Some("axis"));
    // A list of arrays of one shape has become an array by itself: its rows are joined, as those of any other list are.
    if let [one] = parts.as_slice()
        && let Value::Num(n) = one.value
        && s.ty(n).shape.rank() >= 2
    {
        return join_rows(s, n, axis.first().copied(), span);
    }
    let mut nums = Vec::new();
    let mut spans = Vec::new();
    for p in parts {
        match &p.value {
            Value::List(l) => {
                for v in l.iter() {
                    nums.push(s.num(v, p.span)?);
                    spans.push(p.span);
                }
            }
            v => {
                nums.push(s.num(v, p.span)?);
                spans.push(p.span);
            }
        }
    }
    let Some(first) = nums.first().copied() else {
        return Err(Diagnostic::error("E1106", span, "`concat` needs at least one array").into());
    };
    let axis = axis_of(s, first, axis.first().copied(), 0, "concat", span)?;
    Ok(Value::Num(s.emit_blaming(Op::Concat { axis }, &nums, span, &spans)?))
}

/// The rows of `n` joined along an axis of theirs.
fn join_rows(s: &mut Interp<'_>, n: Num, axis: Option<&CallArg>, span: Span) -> Eval<Value> {
    let all = s.ty(n);
    let row = Ty::new(all.dtype, all.shape.without(0));
    let (k, span_k) = match axis {
        Some(a) => (integer(s, a)?, a.span),
        None => (0, span),
    };
    let at = row.shape.axis(k).ok_or_else(|| {
        crate::value::Stop::from(crate::errors::from_ir(&IrError::Axis { op: "concat", axis: k, found: row.clone() }, span_k, &[]))
    })?;
    // The first axis moves in front of the one it is joined with, and the two become one.
    let mut order: Vec<usize> = (1..all.shape.rank()).collect();
    order.insert(at, 0);
    let moved = s.emit(Op::Transpose(order), &[n], span)?;
    let mut joined = row.shape;
    if let (Some(d), Some(rows)) = (joined.0.get_mut(at), all.shape.dims().first()) {
        *d = d.mul(rows);
    }
    Ok(Value::Num(s.emit(Op::Reshape(joined), &[moved], span)?))
}

pub(super) fn stack(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [items, axis] = arguments(args, ["items", "axis"], 1, "stack", span)?;
    let items = given(items, span)?;
    let nums = match &items.value {
        Value::List(l) => l.iter().map(|v| s.num(v, items.span)).collect::<Eval<Vec<_>>>()?,
        Value::Num(n) => return stack_rows(s, *n, axis, span),
        other => return Err(s.not_numeric(other, items.span)),
    };
    let Some(first) = nums.first().copied() else {
        return Err(Diagnostic::error("E1106", span, "`stack` needs at least one array").into());
    };
    let rank = s.ty(first).shape.rank() as i64 + 1;
    let k = match axis {
        Some(a) => integer(s, a)?,
        None => 0,
    };
    let at = if k < 0 { k + rank } else { k };
    if !(0..rank).contains(&at) {
        return Err(Diagnostic::error("E2004", span, format!("`stack`: the result has no axis {k}")).into());
    }
    let at = at as usize;
    let mut parts = Vec::new();
    for n in nums {
        let mut shape = s.ty(n).shape;
        shape.0.insert(at, Dim::Known(1));
        parts.push(s.emit(Op::Reshape(shape), &[n], span)?);
    }
    Ok(Value::Num(s.emit(Op::Concat { axis: at }, &parts, span)?))
}

/// The rows of an array (as a comprehension gives them) along another axis.
fn stack_rows(s: &mut Interp<'_>, n: Num, axis: Option<&CallArg>, span: Span) -> Eval<Value> {
    let rank = s.ty(n).shape.rank();
    if rank == 0 {
        return Err(Diagnostic::error("E2003", span, "`stack` needs a list or an array, found a scalar").into());
    }
    let to = axis_of(s, n, axis, 0, "stack", span)?;
    let mut perm: Vec<usize> = (1..rank).collect();
    perm.insert(to, 0);
    Ok(Value::Num(s.emit(Op::Transpose(perm), &[n], span)?))
}

/// `transpose(x)` swaps the last two axes, `transpose(x, 1, 0, 2)` orders them as said.
pub(super) fn transpose(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let Some((x, rest)) = args.split_first() else {
        return Err(Diagnostic::error("E1106", span, "`transpose` needs an array").into());
    };
    if rest.is_empty() {
        return s.transpose_value(&x.value, x.span);
    }
    let n = s.num(&x.value, x.span)?;
    let mut perm = Vec::new();
    for a in rest {
        perm.push(axis_of(s, n, Some(a), 0, "transpose", span)?);
    }
    Ok(Value::Num(s.emit(Op::Transpose(perm), &[n], span)?))
}

pub(super) fn diag(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "diag", span)?;
    let n = s.num(&v, span)?;
    let op = if s.ty(n).shape.rank() == 1 { Op::DiagMatrix } else { Op::Diagonal };
    Ok(Value::Num(s.emit(op, &[n], span)?))
}

fn triangle(s: &mut Interp<'_>, args: &[CallArg], who: &str, keep: BinaryOp, span: Span) -> Eval<Value> {
    let v = s.one_arg(args, who, span)?;
    let n = s.num(&v, span)?;
    let shape = s.ty(n).shape;
    let [r, c] = shape.dims() else {
        return Err(Diagnostic::error("E2003", span, format!("`{who}` needs a matrix, found `{}`", s.ty(n))).into());
    };
    let i = s.emit(Op::Iota(r.clone()), &[], span)?;
    let i = s.emit(Op::Reshape(Shape::new([r.clone(), Dim::Known(1)])), &[i], span)?;
    let j = s.emit(Op::Iota(c.clone()), &[], span)?;
    let mask = s.bin(keep, i, j, span)?;
    let zero = s.real(0.0)?;
    Ok(Value::Num(s.emit(Op::Select, &[mask, n, zero], span)?))
}

pub(super) fn tril(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    triangle(s, args, "tril", BinaryOp::Ge, span)
}

pub(super) fn triu(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    triangle(s, args, "triu", BinaryOp::Le, span)
}

pub(super) fn outer(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let (a, b) = two(args, "outer", span)?;
    let (x, y) = (s.num(&a.value, a.span)?, s.num(&b.value, b.span)?);
    for (n, at) in [(x, a.span), (y, b.span)] {
        if s.ty(n).shape.rank() != 1 {
            return Err(Diagnostic::error("E2003", at, format!("`outer` needs vectors, found `{}`", s.ty(n))).into());
        }
    }
    let mut col = s.ty(x).shape;
    col.0.push(Dim::Known(1));
    let c = s.emit(Op::Reshape(col), &[x], span)?;
    Ok(Value::Num(s.bin(BinaryOp::Mul, c, y, span)?))
}

pub(super) fn reverse(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [x, axis] = arguments(args, ["x", "axis"], 1, "reverse", span)?;
    let (n, _) = x_num(s, x, span)?;
    let axis = axis_of(s, n, axis, 0, "reverse", span)?;
    Ok(Value::Num(s.emit(Op::Reverse { axis }, &[n], span)?))
}

/// The order named by `ascending` or `descending`.
fn order(a: Option<&CallArg>) -> Eval<bool> {
    match a {
        None => Ok(false),
        Some(a) => match a.value {
            Value::Symbol("descending") => Ok(true),
            Value::Symbol("ascending") => Ok(false),
            _ => Err(Diagnostic::error("E1202", a.span, "the order is `ascending` or `descending`").into()),
        },
    }
}

fn sorted(s: &mut Interp<'_>, args: &[CallArg], who: &'static str, indices: bool, span: Span) -> Eval<Value> {
    let [x, o, axis] = arguments(args, ["x", "order", "axis"], 1, who, span)?;
    let (n, _) = x_num(s, x, span)?;
    let descending = order(o)?;
    let axis = axis_of(s, n, axis, -1, who, span)?;
    let op = if indices { Op::ArgSort { axis, descending } } else { Op::Sort { axis, descending } };
    Ok(Value::Num(s.emit(op, &[n], span)?))
}

pub(super) fn sort(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    sorted(s, args, "sort", false, span)
}

pub(super) fn argsort(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    sorted(s, args, "argsort", true, span)
}

pub(super) fn cumulative(s: &mut Interp<'_>, op: Cumulative, who: &'static str, args: &[CallArg], span: Span) -> Eval<Value> {
    let [x, axis, rev] = arguments(args, ["x", "axis", "reverse"], 1, who, span)?;
    let (n, _) = x_num(s, x, span)?;
    let axis = axis_of(s, n, axis, -1, who, span)?;
    let reverse = flag(s, rev, false)?;
    Ok(Value::Num(s.emit(Op::Cumulative { op, axis, reverse }, &[n], span)?))
}

pub(super) fn take(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [x, i, axis] = arguments(args, ["x", "indices", "axis"], 2, "take", span)?;
    let (n, at) = x_num(s, x, span)?;
    let (i, at_i) = x_num(s, i, span)?;
    let axis = axis_of(s, n, axis, 0, "take", span)?;
    Ok(Value::Num(s.emit_blaming(Op::Take { axis }, &[n, i], span, &[at, at_i])?))
}

/// A scalar update fills whole rows.
fn filling(s: &mut Interp<'_>, n: Num, i: Num, v: Num, axis: usize, span: Span) -> Eval<Num> {
    let base = s.ty(n).shape;
    let index = s.ty(i).shape;
    let mut want = Shape::scalar();
    for (k, d) in base.dims().iter().enumerate() {
        if k == axis { want.0.extend(index.dims().iter().cloned()) } else { want.0.push(d.clone()) }
    }
    if s.ty(v).shape.is_scalar() && !want.is_scalar() { s.emit(Op::Broadcast(want), &[v], span) } else { Ok(v) }
}

pub(super) fn set_at(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [x, i, v, axis] = arguments(args, ["x", "index", "value", "axis"], 3, "set_at", span)?;
    let ((n, a), (i, b), (v, c)) = (x_num(s, x, span)?, x_num(s, i, span)?, x_num(s, v, span)?);
    let axis = axis_of(s, n, axis, 0, "set_at", span)?;
    let v = filling(s, n, i, v, axis, span)?;
    Ok(Value::Num(s.emit_blaming(Op::ScatterSet { axis }, &[n, i, v], span, &[a, b, c])?))
}

/// Updates at equal indices add up.
pub(super) fn add_at(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [x, i, v, axis] = arguments(args, ["x", "index", "value", "axis"], 3, "add_at", span)?;
    let ((n, a), (i, b), (v, c)) = (x_num(s, x, span)?, x_num(s, i, span)?, x_num(s, v, span)?);
    let axis = axis_of(s, n, axis, 0, "add_at", span)?;
    let v = filling(s, n, i, v, axis, span)?;
    Ok(Value::Num(s.emit_blaming(Op::ScatterAdd { axis }, &[n, i, v], span, &[a, b, c])?))
}

pub(super) fn one_hot(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [i, n] = arguments(args, ["index", "n"], 2, "one_hot", span)?;
    let (i, at) = x_num(s, i, span)?;
    let n = given(n, span)?;
    let count = dims(s, std::slice::from_ref(n))?;
    let Some(d) = count.dims().first() else { return Err(Diagnostic::error("E1107", n.span, "expected one integer").into()) };
    if s.ty(i).dtype != DType::Int {
        return Err(Diagnostic::error("E1201", at, format!("`one_hot` needs integer indices, found `{}`", s.ty(i)))
            .help("labels are integers: declare them as `int[n]`")
            .into());
    }
    let mut col = s.ty(i).shape;
    col.0.push(Dim::Known(1));
    let c = s.emit(Op::Reshape(col), &[i], span)?;
    let iota = s.emit(Op::Iota(d.clone()), &[], span)?;
    let eq = s.bin(BinaryOp::Eq, c, iota, span)?;
    let mut out = s.un(UnaryOp::ToReal, eq, span)?;
    if s.ty(i).shape.is_scalar() {
        out = s.emit(Op::Reshape(Shape::new([d.clone()])), &[out], span)?;
    }
    Ok(Value::Num(out))
}

/// `windows([a, b, c])` = `[(a, b), (b, c)]`: neighbouring layers of a network.
pub(super) fn windows(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "windows", span)?;
    let items: Vec<Value> = match &v {
        Value::List(l) => l.to_vec(),
        Value::Num(n) => {
            let ty: Ty = s.ty(*n);
            let Some(count) = ty.shape.dims().first().and_then(Dim::size) else {
                return Err(Diagnostic::error("E1214", span, "the number of items must be known before the run").into());
            };
            let mut out = Vec::new();
            for k in 0..count {
                let i = s.int(k as i64)?;
                out.push(Value::Num(s.index_scalar(*n, 0, i, span)?));
            }
            out
        }
        other => return Err(s.not_numeric(other, span)),
    };
    Ok(Value::list(items.iter().zip(items.iter().skip(1)).map(|(a, b)| Value::list(vec![a.clone(), b.clone()])).collect()))
}
