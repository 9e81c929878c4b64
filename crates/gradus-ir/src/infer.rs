//! Shape and dtype rules: what each op makes of the types of its inputs.

use crate::dim::Dim;
use crate::error::{IrError, IrResult};
use crate::op::{BinaryOp, Implicit, Loop, Op, ReduceOp, Trip, UnaryOp};
use crate::ty::{DType, Shape, Ty};
use smallvec::{SmallVec, smallvec};

type Types = SmallVec<[Ty; 1]>;

/// The types of the op's outputs. `inputs` holds, for each input node, all its output types.
pub fn infer(op: &Op, inputs: &[&[Ty]]) -> IrResult<Types> {
    let name = op.name();
    let arg = |k: usize| -> IrResult<&Ty> {
        inputs
            .get(k)
            .and_then(|t| t.first())
            .ok_or_else(|| IrError::Internal(format!("{name}: operand {k} is missing")))
    };
    let arity = |n: usize| -> IrResult<()> {
        if inputs.len() == n {
            Ok(())
        } else {
            Err(IrError::Internal(format!("{name} takes {n} operands, found {}", inputs.len())))
        }
    };
    let one = |t: Ty| -> IrResult<Types> { Ok(smallvec![t]) };
    match op {
        Op::Param(_) => Err(IrError::Internal("a parameter has no rule".into())),
        Op::Const(_, d) => one(Ty::scalar(*d)),
        Op::Literal(a) => one(a.ty()),
        Op::DimValue(_) => one(Ty::scalar(DType::Int)),
        Op::Iota(n) | Op::Permutation(n) => one(Ty::new(DType::Int, Shape::new([n.clone()]))),
        Op::Unary(u) => {
            arity(1)?;
            unary(*u, arg(0)?).and_then(one)
        }
        Op::Binary(b) => {
            arity(2)?;
            binary(*b, arg(0)?, arg(1)?).and_then(one)
        }
        Op::Select => {
            arity(3)?;
            let (c, a, b) = (arg(0)?, arg(1)?, arg(2)?);
            if c.dtype != DType::Bool {
                return Err(IrError::Element { op: "where", index: 0, found: c.dtype, expected: "bool" });
            }
            let ab = stretch("where", a, b)?;
            let shape = stretch("where", c, &Ty::new(DType::Bool, ab))?;
            one(Ty::new(a.dtype.max(b.dtype), shape))
        }
        Op::Reduce(r, axes) => {
            arity(1)?;
            let a = arg(0)?;
            let mut shape = Shape::scalar();
            for ax in axes {
                if *ax >= a.shape.rank() {
                    return Err(IrError::Axis { op: name, axis: *ax as i64, found: a.clone() });
                }
            }
            for (k, d) in a.shape.dims().iter().enumerate() {
                if !axes.contains(&k) {
                    shape.0.push(d.clone());
                }
            }
            let dtype = match r {
                ReduceOp::LogSumExp => DType::Real,
                ReduceOp::Sum | ReduceOp::Prod if a.dtype == DType::Bool => DType::Int,
                _ => a.dtype,
            };
            one(Ty::new(dtype, shape))
        }
        Op::ArgReduce { axis, .. } => {
            arity(1)?;
            let a = has_axis(name, arg(0)?, *axis)?;
            one(Ty::new(DType::Int, a.shape.without(*axis)))
        }
        Op::Broadcast(shape) => {
            arity(1)?;
            let a = arg(0)?;
            match Shape::broadcast(&a.shape, shape) {
                Ok(s) if s == *shape => one(Ty::new(a.dtype, s)),
                _ => Err(IrError::Mismatch {
                    op: name,
                    what: "cannot be stretched".into(),
                    left: a.clone(),
                    right: Ty::new(a.dtype, shape.clone()),
                }),
            }
        }
        Op::Reshape(shape) => {
            arity(1)?;
            let a = arg(0)?;
            if a.shape.count() != shape.count() {
                return Err(IrError::Reshape { from: a.clone(), to: shape.dims().to_vec() });
            }
            one(Ty::new(a.dtype, shape.clone()))
        }
        Op::Transpose(perm) => {
            arity(1)?;
            let a = arg(0)?;
            let mut seen: Vec<usize> = perm.clone();
            seen.sort_unstable();
            if seen.iter().enumerate().any(|(k, p)| k != *p) || perm.len() != a.shape.rank() {
                return Err(IrError::Operand {
                    op: name,
                    index: 0,
                    found: a.clone(),
                    expected: format!("{} axes", perm.len()),
                });
            }
            one(Ty::new(a.dtype, Shape::new(perm.iter().map(|&p| a.shape.dims()[p].clone()))))
        }
        Op::Slice { axis, start, len } => {
            arity(1)?;
            let a = has_axis(name, arg(0)?, *axis)?;
            let end = start.add(len);
            let room = a.shape.dims()[*axis].sub(&end);
            let bad = |d: &Dim| d.known().is_some_and(|k| k < 0);
            if bad(start) || bad(len) || bad(&room) {
                return Err(IrError::Range { op: name, found: a.clone(), axis: *axis, from: start.clone(), to: end });
            }
            one(Ty::new(a.dtype, a.shape.with(*axis, len.clone())))
        }
        Op::Pad { axis, before, after } => {
            arity(1)?;
            let a = has_axis(name, arg(0)?, *axis)?;
            let n = a.shape.dims()[*axis].add(before).add(after);
            one(Ty::new(a.dtype, a.shape.with(*axis, n)))
        }
        Op::Concat { axis } => {
            let first = has_axis(name, arg(0)?, *axis)?;
            let mut total = Dim::Known(0);
            let mut dtype = first.dtype;
            for k in 0..inputs.len() {
                let a = has_axis(name, arg(k)?, *axis)?;
                if a.shape.without(*axis) != first.shape.without(*axis) {
                    return Err(IrError::Mismatch {
                        op: name,
                        what: format!("lengths off axis {axis} differ"),
                        left: first.clone(),
                        right: a.clone(),
                    });
                }
                dtype = dtype.max(a.dtype);
                total = total.add(&a.shape.dims()[*axis]);
            }
            one(Ty::new(dtype, first.shape.with(*axis, total)))
        }
        Op::Reverse { axis } | Op::Sort { axis, .. } => {
            arity(1)?;
            has_axis(name, arg(0)?, *axis).cloned().and_then(one)
        }
        Op::Cumulative { axis, .. } => {
            arity(1)?;
            let a = has_axis(name, arg(0)?, *axis)?;
            one(Ty::new(a.dtype.max(DType::Int), a.shape.clone()))
        }
        Op::ArgSort { axis, .. } => {
            arity(1)?;
            let a = has_axis(name, arg(0)?, *axis)?;
            one(Ty::new(DType::Int, a.shape.clone()))
        }
        Op::Take { axis } => {
            arity(2)?;
            let a = has_axis(name, arg(0)?, *axis)?;
            let i = integral(name, 1, arg(1)?)?;
            one(Ty::new(a.dtype, taken(&a.shape, &i.shape, *axis)))
        }
        Op::TakeAlong { axis } => {
            arity(2)?;
            let a = has_axis(name, arg(0)?, *axis)?;
            let i = integral(name, 1, arg(1)?)?;
            along(name, a, i, *axis)?;
            one(Ty::new(a.dtype, i.shape.clone()))
        }
        Op::ScatterAdd { axis } | Op::ScatterSet { axis } => {
            arity(3)?;
            let a = has_axis(name, arg(0)?, *axis)?;
            let i = integral(name, 1, arg(1)?)?;
            let u = arg(2)?;
            let want = taken(&a.shape, &i.shape, *axis);
            if u.shape != want {
                return Err(IrError::Mismatch {
                    op: name,
                    what: "the update does not have the shape of what it replaces".into(),
                    left: u.clone(),
                    right: Ty::new(a.dtype, want),
                });
            }
            one(Ty::new(a.dtype.max(u.dtype), a.shape.clone()))
        }
        Op::ScatterAddAlong { axis } => {
            arity(3)?;
            let a = has_axis(name, arg(0)?, *axis)?;
            let i = integral(name, 1, arg(1)?)?;
            let u = arg(2)?;
            along(name, a, i, *axis)?;
            if u.shape != i.shape {
                return Err(IrError::Mismatch {
                    op: name,
                    what: "updates and indices differ".into(),
                    left: u.clone(),
                    right: i.clone(),
                });
            }
            one(Ty::new(a.dtype.max(u.dtype), a.shape.clone()))
        }
        Op::TopK(k) => {
            arity(1)?;
            let a = arg(0)?;
            let Some(axis) = a.shape.rank().checked_sub(1) else { return Err(operand(name, 0, a, "at least one axis")) };
            let outside = |d: &Dim| d.known().is_some_and(|k| k < 0);
            if outside(k) || outside(&a.shape.dims()[axis].sub(k)) {
                return Err(IrError::Range { op: name, found: a.clone(), axis, from: Dim::Known(0), to: k.clone() });
            }
            let shape = a.shape.with(axis, k.clone());
            Ok(smallvec![Ty::new(a.dtype, shape.clone()), Ty::new(DType::Int, shape)])
        }
        Op::Knapsack => {
            arity(5)?;
            let v = arg(0)?;
            let Some(axis) = v.shape.rank().checked_sub(1) else { return Err(operand(name, 0, v, "at least one axis")) };
            let rows = v.shape.without(axis);
            for k in 1..5 {
                let a = arg(k)?;
                let want = if k == 4 { &rows } else { &v.shape };
                if !a.shape.is_scalar() && a.shape != *want {
                    return Err(IrError::Mismatch {
                        op: name,
                        what: "an operand has neither the shape of the values nor is a scalar".into(),
                        left: v.clone(),
                        right: a.clone(),
                    });
                }
            }
            Ok(smallvec![Ty::real(v.shape.clone()), Ty::real(rows)])
        }
        Op::Isotonic => {
            arity(2)?;
            let (y, w) = (arg(0)?, arg(1)?);
            if y.shape.is_scalar() {
                return Err(operand(name, 0, y, "at least one axis"));
            }
            if y.shape != w.shape {
                return Err(IrError::Mismatch {
                    op: name,
                    what: "values and weights differ".into(),
                    left: y.clone(),
                    right: w.clone(),
                });
            }
            one(Ty::real(y.shape.clone()))
        }
        Op::MatMul => {
            arity(2)?;
            matmul(arg(0)?, arg(1)?).and_then(one)
        }
        Op::Diagonal => {
            arity(1)?;
            let a = square(name, 0, arg(0)?)?;
            one(Ty::new(a.dtype, Shape::new([a.shape.dims()[0].clone()])))
        }
        Op::DiagMatrix => {
            arity(1)?;
            let a = arg(0)?;
            match a.shape.dims() {
                [n] => one(Ty::new(a.dtype, Shape::new([n.clone(), n.clone()]))),
                _ => Err(operand(name, 0, a, "a vector")),
            }
        }
        Op::Cholesky => {
            arity(1)?;
            let a = square(name, 0, arg(0)?)?;
            one(Ty::real(a.shape.clone()))
        }
        Op::Det => {
            arity(1)?;
            square(name, 0, arg(0)?)?;
            one(Ty::scalar(DType::Real))
        }
        Op::SlogDet => {
            arity(1)?;
            square(name, 0, arg(0)?)?;
            Ok(smallvec![Ty::scalar(DType::Real), Ty::scalar(DType::Real)])
        }
        Op::SparseMatMul { transposed, rows } => {
            arity(4)?;
            let vector = |k: usize| -> IrResult<&Ty> {
                let a = arg(k)?;
                if a.shape.rank() == 1 { Ok(a) } else { Err(operand(name, k, a, "a vector")) }
            };
            let (starts, columns, values, x) = (vector(0)?, vector(1)?, vector(2)?, arg(3)?);
            integral(name, 0, starts)?;
            integral(name, 1, columns)?;
            if columns.shape != values.shape {
                return Err(IrError::Mismatch {
                    op: name,
                    what: "columns and values differ in length".into(),
                    left: columns.clone(),
                    right: values.clone(),
                });
            }
            let Some(length) = x.shape.dims().first().filter(|_| x.shape.rank() <= 2) else {
                return Err(operand(name, 3, x, "a vector or a matrix"));
            };
            let own = starts.shape.count().sub(&Dim::Known(1));
            if *(if *transposed { length } else { rows }) != own {
                return Err(IrError::Mismatch {
                    op: name,
                    what: "the matrix has another number of rows".into(),
                    left: starts.clone(),
                    right: x.clone(),
                });
            }
            one(Ty::real(x.shape.with(0, rows.clone())))
        }
        Op::Fft { .. } => {
            arity(2)?;
            let (re, im) = (arg(0)?, arg(1)?);
            if re.shape.is_scalar() {
                return Err(operand(name, 0, re, "at least one axis"));
            }
            if re.shape != im.shape {
                return Err(IrError::Mismatch {
                    op: name,
                    what: "real and imaginary parts differ".into(),
                    left: re.clone(),
                    right: im.clone(),
                });
            }
            let ty = Ty::real(re.shape.clone());
            Ok(smallvec![ty.clone(), ty])
        }
        Op::TriangularSolve { .. } | Op::Solve { .. } => {
            arity(2)?;
            let a = square(name, 0, arg(0)?)?;
            let b = arg(1)?;
            let fits = (1..=2).contains(&b.shape.rank()) && b.shape.dims()[0] == a.shape.dims()[0];
            if !fits {
                return Err(IrError::Mismatch {
                    op: name,
                    what: "the right-hand side does not fit the matrix".into(),
                    left: a.clone(),
                    right: b.clone(),
                });
            }
            one(Ty::real(b.shape.clone()))
        }
        Op::Eigh => {
            arity(1)?;
            let a = square(name, 0, arg(0)?)?;
            let n = a.shape.dims()[0].clone();
            Ok(smallvec![Ty::real(Shape::new([n])), Ty::real(a.shape.clone())])
        }
        Op::Svd => {
            arity(1)?;
            let (m, n) = matrix(name, arg(0)?)?;
            let k = match (m.known(), n.known()) {
                (Some(a), Some(b)) => Dim::Known(a.min(b)),
                _ if m == n => m.clone(),
                _ => Dim::sym(format!("min({m}, {n})")),
            };
            Ok(smallvec![
                Ty::real(Shape::new([m, k.clone()])),
                Ty::real(Shape::new([k.clone()])),
                Ty::real(Shape::new([n, k])),
            ])
        }
        Op::Qr => {
            arity(1)?;
            let (m, n) = matrix(name, arg(0)?)?;
            if m.known().zip(n.known()).is_some_and(|(a, b)| a < b) {
                return Err(operand(name, 0, arg(0)?, "a matrix with at least as many rows as columns"));
            }
            Ok(smallvec![Ty::real(Shape::new([m, n.clone()])), Ty::real(Shape::new([n.clone(), n]))])
        }
        Op::Key => {
            arity(1)?;
            scalar(name, 0, arg(0)?)?;
            one(key_type())
        }
        Op::KeyFold => {
            arity(2)?;
            key(name, arg(0)?)?;
            scalar(name, 1, arg(1)?)?;
            one(key_type())
        }
        Op::Uniform(s) | Op::Normal(s) => {
            arity(1)?;
            key(name, arg(0)?)?;
            one(Ty::real(s.clone()))
        }
        Op::Loop(l) => loop_types(l, inputs),
        Op::Cond { then, other } => {
            let c = arg(0)?;
            scalar(name, 0, c)?;
            let caps = inputs.get(1..).unwrap_or_default();
            region_params(name, then, caps)?;
            region_params(name, other, caps)?;
            let (a, b) = (output_types(then), output_types(other));
            if a.len() != b.len() {
                return Err(IrError::Internal("the branches have different numbers of results".into()));
            }
            a.iter()
                .zip(&b)
                .map(|(x, y)| {
                    if x.shape == y.shape {
                        Ok(Ty::new(x.dtype.max(y.dtype), x.shape.clone()))
                    } else {
                        Err(IrError::Mismatch {
                            op: "if",
                            what: "the branches differ in shape".into(),
                            left: x.clone(),
                            right: y.clone(),
                        })
                    }
                })
                .collect()
        }
        Op::Implicit(i) => implicit_types(i, inputs),
        Op::Tally(_) => {
            arity(4)?;
            one(arg(0)?.clone())
        }
        Op::Stationary | Op::Recall(_) | Op::Store(_) => {
            arity(1)?;
            one(arg(0)?.clone())
        }
        Op::Check(_) => {
            arity(2)?;
            scalar(name, 1, arg(1)?)?;
            one(Ty::real(arg(0)?.shape.clone()))
        }
        Op::Get(k) => {
            let tys = inputs.first().copied().unwrap_or_default();
            match tys.get(*k as usize) {
                Some(t) => one(t.clone()),
                None => Err(IrError::Internal(format!("get {k} of a node with {} outputs", tys.len()))),
            }
        }
        Op::NoGrad(_) => {
            arity(1)?;
            one(arg(0)?.clone())
        }
        Op::Clock => one(Ty::scalar(DType::Real)),
    }
}

fn operand(op: &'static str, index: usize, found: &Ty, expected: &str) -> IrError {
    IrError::Operand { op, index, found: found.clone(), expected: expected.into() }
}

fn unary(u: UnaryOp, a: &Ty) -> IrResult<Ty> {
    use UnaryOp::*;
    let dtype = match u {
        Neg | Abs | Sign | Square => a.dtype.max(DType::Int),
        Floor | Ceil | Round if a.dtype == DType::Int => DType::Int,
        Not if a.dtype == DType::Bool => DType::Bool,
        Not => return Err(IrError::Element { op: "not", index: 0, found: a.dtype, expected: "bool" }),
        IsNan | IsFinite => DType::Bool,
        StopGrad => a.dtype,
        ToInt => DType::Int,
        _ => DType::Real,
    };
    Ok(Ty::new(dtype, a.shape.clone()))
}

fn binary(b: BinaryOp, x: &Ty, y: &Ty) -> IrResult<Ty> {
    use BinaryOp::*;
    let shape = stretch(b.name(), x, y)?;
    let dtype = match b {
        And | Or => {
            for (k, t) in [x, y].into_iter().enumerate() {
                if t.dtype != DType::Bool {
                    return Err(IrError::Element { op: b.name(), index: k, found: t.dtype, expected: "bool" });
                }
            }
            DType::Bool
        }
        Lt | Le | Gt | Ge | Eq | Ne => DType::Bool,
        Div | Atan2 | Hypot => DType::Real,
        Max | Min => x.dtype.max(y.dtype),
        Add | Sub | Mul | Mod | Pow => x.dtype.max(y.dtype).max(DType::Int),
    };
    Ok(Ty::new(dtype, shape))
}

fn stretch(op: &'static str, a: &Ty, b: &Ty) -> IrResult<Shape> {
    Shape::broadcast(&a.shape, &b.shape).map_err(|e| IrError::Broadcast {
        op,
        left: a.clone(),
        right: b.clone(),
        axis: e.axis,
        left_dim: e.left,
        right_dim: e.right,
    })
}

fn has_axis<'a>(op: &'static str, a: &'a Ty, axis: usize) -> IrResult<&'a Ty> {
    if axis < a.shape.rank() { Ok(a) } else { Err(IrError::Axis { op, axis: axis as i64, found: a.clone() }) }
}

fn integral<'a>(op: &'static str, index: usize, a: &'a Ty) -> IrResult<&'a Ty> {
    if a.dtype == DType::Int {
        Ok(a)
    } else {
        Err(IrError::Element { op, index, found: a.dtype, expected: "int" })
    }
}

fn scalar(op: &'static str, index: usize, a: &Ty) -> IrResult<()> {
    if a.shape.is_scalar() { Ok(()) } else { Err(operand(op, index, a, "a scalar")) }
}

fn matrix(op: &'static str, a: &Ty) -> IrResult<(Dim, Dim)> {
    match a.shape.dims() {
        [m, n] => Ok((m.clone(), n.clone())),
        _ => Err(operand(op, 0, a, "a matrix")),
    }
}

fn square<'a>(op: &'static str, index: usize, a: &'a Ty) -> IrResult<&'a Ty> {
    match a.shape.dims() {
        [m, n] if m == n => Ok(a),
        _ => Err(operand(op, index, a, "a square matrix")),
    }
}

/// The type of a random key: two 32-bit words.
pub fn key_type() -> Ty {
    Ty::new(DType::Int, Shape::of(&[2]))
}

fn key(op: &'static str, a: &Ty) -> IrResult<()> {
    if *a == key_type() { Ok(()) } else { Err(operand(op, 0, a, "a random key")) }
}

fn taken(a: &Shape, index: &Shape, axis: usize) -> Shape {
    let mut s = Shape::scalar();
    for (k, d) in a.dims().iter().enumerate() {
        if k == axis {
            s.0.extend(index.dims().iter().cloned());
        } else {
            s.0.push(d.clone());
        }
    }
    s
}

fn along(op: &'static str, a: &Ty, i: &Ty, axis: usize) -> IrResult<()> {
    if a.shape.rank() == i.shape.rank() && a.shape.without(axis) == i.shape.without(axis) {
        Ok(())
    } else {
        Err(IrError::Mismatch {
            op,
            what: format!("lengths off axis {axis} differ"),
            left: a.clone(),
            right: i.clone(),
        })
    }
}

fn matmul(a: &Ty, b: &Ty) -> IrResult<Ty> {
    let (ra, rb) = (a.shape.rank(), b.shape.rank());
    if ra == 0 || rb == 0 {
        let (index, found) = if ra == 0 { (0, a) } else { (1, b) };
        return Err(operand("matmul", index, found, "a vector or a matrix"));
    }
    let (da, db) = (a.shape.dims(), b.shape.dims());
    let inner_a = &da[ra - 1];
    let inner_b = if rb == 1 { &db[0] } else { &db[rb - 2] };
    if inner_a != inner_b {
        return Err(IrError::Contract {
            left: a.clone(),
            right: b.clone(),
            left_dim: inner_a.clone(),
            right_dim: inner_b.clone(),
        });
    }
    let batch_a = &da[..ra.saturating_sub(2)];
    let batch_b = &db[..rb.saturating_sub(2)];
    let batch = match (batch_a, batch_b) {
        (x, y) if x == y => x,
        (x, []) => x,
        ([], y) => y,
        _ => {
            return Err(IrError::Mismatch {
                op: "matmul",
                what: "the leading (batch) axes differ".into(),
                left: a.clone(),
                right: b.clone(),
            });
        }
    };
    let mut shape = Shape::new(batch.iter().cloned());
    if ra >= 2 {
        shape.0.push(da[ra - 2].clone());
    }
    if rb >= 2 {
        shape.0.push(db[rb - 1].clone());
    }
    Ok(Ty::new(a.dtype.max(b.dtype).max(DType::Int), shape))
}

pub(crate) fn output_types(g: &crate::graph::Graph) -> Vec<Ty> {
    g.outputs.iter().map(|o| g.ty(*o).clone()).collect()
}

/// The types that a region's parameters have must be those of the values given to it.
fn region_params(op: &'static str, g: &crate::graph::Graph, given: &[&[Ty]]) -> IrResult<()> {
    if g.params().len() != given.len() {
        return Err(IrError::Internal(format!(
            "{op}: a region with {} parameters is given {}",
            g.params().len(),
            given.len()
        )));
    }
    for (k, (p, t)) in g.params().iter().zip(given).enumerate() {
        let (want, found) = (g.ty(*p), t.first());
        if found.is_none_or(|f| f.shape != want.shape || f.dtype > want.dtype) {
            return Err(IrError::Internal(format!(
                "{op}: parameter {k} is {want}, given {}",
                found.map(|f| f.to_string()).unwrap_or_default()
            )));
        }
    }
    Ok(())
}

fn implicit_types(i: &Implicit, inputs: &[&[Ty]]) -> IrResult<Types> {
    if i.values == 0 || inputs.len() < i.values {
        return Err(IrError::Internal("implicit: too few inputs".into()));
    }
    let tys: Types = inputs[..i.values].iter().filter_map(|t| t.first().cloned()).collect();
    if let Some((k, t)) = tys.iter().enumerate().find(|(_, t)| t.dtype != DType::Real) {
        return Err(operand("implicit", k, t, "a real array"));
    }
    region_params("implicit residual", &i.residual, inputs)?;
    let given: Vec<&[Ty]> = inputs[..i.values].iter().chain(inputs).copied().collect();
    region_params("implicit forward solve", &i.forward, &given)?;
    region_params("implicit adjoint solve", &i.adjoint, &given)?;
    for region in [&i.residual, &i.forward, &i.adjoint] {
        if output_types(region).as_slice() != tys.as_slice() {
            return Err(IrError::Internal("implicit: a region's results do not have the types of the solution".into()));
        }
    }
    Ok(tys)
}

fn loop_types(l: &Loop, inputs: &[&[Ty]]) -> IrResult<Types> {
    if inputs.len() < l.carries + l.scanned {
        return Err(IrError::Internal("loop: too few inputs".into()));
    }
    let first = |k: usize| -> IrResult<Ty> {
        inputs
            .get(k)
            .and_then(|t| t.first())
            .cloned()
            .ok_or_else(|| IrError::Internal("loop: an input has no type".into()))
    };
    let bound = l.trip.bound().clone();
    let step = Ty::scalar(DType::Int);
    let carries: Vec<Ty> = (0..l.carries).map(first).collect::<IrResult<_>>()?;
    let mut slices = Vec::new();
    for k in l.carries..l.carries + l.scanned {
        let t = first(k)?;
        match t.shape.dims().first() {
            Some(n) if *n == bound => slices.push(Ty::new(t.dtype, t.shape.without(0))),
            _ => return Err(operand("loop", k, &t, "an array whose first axis is the number of steps")),
        }
    }
    let captures: Vec<Ty> = (l.carries + l.scanned..inputs.len()).map(first).collect::<IrResult<_>>()?;
    let given: Vec<Ty> = std::iter::once(step.clone())
        .chain(carries.iter().cloned())
        .chain(slices)
        .chain(captures.iter().cloned())
        .collect();
    let wrap: Vec<&[Ty]> = given.iter().map(std::slice::from_ref).collect();
    region_params("loop", &l.body, &wrap)?;
    match (&l.trip, &l.cond) {
        (Trip::Count(_), None) => {}
        (Trip::While { .. }, Some(cond)) => {
            let given: Vec<Ty> =
                std::iter::once(step.clone()).chain(carries.iter().cloned()).chain(captures).collect();
            let wrap: Vec<&[Ty]> = given.iter().map(std::slice::from_ref).collect();
            region_params("loop condition", cond, &wrap)?;
        }
        _ => return Err(IrError::Internal("loop: a condition is there exactly for while".into())),
    }
    let outs = output_types(&l.body);
    if outs.len() != l.carries + l.collected {
        return Err(IrError::Internal(format!(
            "loop: the body has {} results, expected {}",
            outs.len(),
            l.carries + l.collected
        )));
    }
    for (k, (out, init)) in outs.iter().zip(&carries).enumerate() {
        if out.shape != init.shape || out.dtype > init.dtype {
            return Err(IrError::Mismatch {
                op: "loop",
                what: format!("carried value {k} changes its type"),
                left: init.clone(),
                right: out.clone(),
            });
        }
    }
    let mut tys: Types = smallvec![step];
    tys.extend(carries);
    tys.extend(outs.iter().skip(l.carries).map(|t| Ty::new(t.dtype, t.shape.stacked(bound.clone()))));
    Ok(tys)
}
