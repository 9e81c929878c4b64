//! Sums over axes.

use super::{Rule, as_product, at, first, lin, matmul, node, nothing, prod, products, rank, stretch, sum, varies_apart};
use crate::sea::Sop;
use crate::space::{Term, View};
use egg::Id;
use gradus_ir::{Op, ReduceOp, Shape};

/// Axes and operand, where the form is a sum over axes of a real.
pub(super) fn summed<'k>(op: &'k Sop, kids: &[Id], v: &dyn View) -> Option<(&'k [usize], Id)> {
    match (op.ir(), kids) {
        (Some(Op::Reduce(ReduceOp::Sum, axes)), [x]) if v.fact(*x).dtype() == gradus_ir::DType::Real => Some((axes, *x)),
        _ => None,
    }
}

fn scale_out(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((axes, x)) = summed(op, kids, v) else { return nothing() };
    let scaled = first(v, x, |op, kids| match op {
        Sop::Lin { coeffs, constant } if coeffs.len() == 1 && constant.get() == 0.0 => {
            Some((coeffs[0].get(), *kids.first()?))
        }
        _ => None,
    });
    match scaled {
        Some((c, y)) if v.fact(y).shape() == v.fact(x).shape() => vec![lin(vec![(c, sum(axes, at(y)))], 0.0)],
        _ => nothing(),
    }
}

/// Does the operand not vary along any of the axes of a value of that rank?
pub(super) fn constant_along(shape: &Shape, rank: usize, axes: &[usize]) -> bool {
    let lead = rank - shape.rank().min(rank);
    axes.iter().all(|a| *a < lead || shape.dims().get(a - lead).is_some_and(|d| d.is_one()))
}

/// The operand of the sum as an operand of the result: without the axes that are summed.
pub(super) fn squeezed(v: &dyn View, id: Id, rank: usize, axes: &[usize]) -> Term {
    let shape = v.fact(id).shape();
    let lead = rank - shape.rank();
    let kept = shape.dims().iter().enumerate().filter(|(k, _)| !axes.contains(&(k + lead))).map(|(_, d)| d.clone());
    let target = Shape::new(kept);
    if target == *shape { at(id) } else { node(Op::Reshape(target), vec![at(id)]) }
}

fn factor_out(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((axes, x)) = summed(op, kids, v) else { return nothing() };
    let full = v.fact(x).shape().clone();
    let found = first(v, x, |op, kids| {
        let Sop::Prod(_) = op else { return None };
        let f = as_product(op, kids, v)?;
        let (out, inside): (Vec<_>, Vec<_>) =
            f.into_iter().partition(|(k, _)| constant_along(v.fact(*k).shape(), full.rank(), axes));
        // What stays must still have the whole shape, or it would be summed too few times.
        let mut shape = Shape::scalar();
        for (k, _) in &inside {
            shape = Shape::broadcast(&shape, v.fact(*k).shape()).ok()?;
        }
        (!out.is_empty() && !inside.is_empty() && shape == full).then_some((out, inside))
    });
    let Some((out, inside)) = found else { return nothing() };
    let inner = prod(inside.into_iter().map(|(k, e)| (at(k), e)).collect());
    let mut all: Vec<(Term, i32)> =
        out.into_iter().map(|(k, e)| (squeezed(v, k, full.rank(), axes), e)).collect();
    all.push((sum(axes, inner), 1));
    vec![prod(all)]
}

/// A sum of sums, where one of them is known without the loop, or is a product that may be.
fn split(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((axes, x)) = summed(op, kids, v) else { return nothing() };
    let full = v.fact(x).shape().clone();
    let count: Option<f64> = axes.iter().map(|a| full.dims().get(*a).and_then(|d| d.known()).map(|n| n as f64)).product();
    let found = first(v, x, |op, kids| match op {
        Sop::Lin { coeffs, constant } if kids.len() + usize::from(constant.get() != 0.0) > 1 => {
            Some((coeffs.clone(), constant.get(), kids.to_vec()))
        }
        _ => None,
    });
    let Some((coeffs, constant, kids)) = found else { return nothing() };
    let apart = |k: Id| {
        kids.iter().any(|o| varies_apart(v, &[k], *o)) || !products(v, k).is_empty() || v.fact(k).shape() != &full
    };
    if constant != 0.0 && count.is_none() || !(kids.iter().any(|k| apart(*k)) || constant != 0.0) {
        return nothing();
    }
    let mut terms = Vec::new();
    let mut rest = Vec::new();
    for (c, k) in coeffs.iter().zip(&kids) {
        if apart(*k) {
            terms.push((c.get(), sum(axes, stretch(v, *k, &full))));
        } else {
            rest.push((c.get(), at(*k)));
        }
    }
    if !rest.is_empty() {
        terms.push((1.0, sum(axes, lin(rest, 0.0))));
    }
    vec![lin(terms, constant * count.unwrap_or(0.0))]
}

fn of_broadcast(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((axes, x)) = summed(op, kids, v) else { return nothing() };
    let full = v.fact(x).shape().clone();
    let found = first(v, x, |op, kids| match (op.ir(), kids) {
        (Some(Op::Broadcast(_)), [y]) if constant_along(v.fact(*y).shape(), full.rank(), axes) => Some(*y),
        _ => None,
    });
    let Some(y) = found else { return nothing() };
    let Some(n) = axes.iter().map(|a| full.dims().get(*a).and_then(|d| d.known())).product::<Option<i64>>() else {
        return nothing();
    };
    // An empty sum is 0 also of an infinity.
    if n == 0 {
        return nothing();
    }
    vec![lin(vec![(n as f64, squeezed(v, y, full.rank(), axes))], 0.0)]
}

fn nested(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((axes, x)) = summed(op, kids, v) else { return nothing() };
    if axes.len() != rank(v, x) {
        return nothing();
    }
    let inner = first(v, x, |op, kids| match (op.ir(), kids) {
        (Some(Op::Reduce(ReduceOp::Sum, _) | Op::Reshape(_) | Op::Transpose(_)), [y])
            if v.fact(*y).dtype() == gradus_ir::DType::Real =>
        {
            Some(*y)
        }
        _ => None,
    });
    inner.map(|y| sum(&(0..rank(v, y)).collect::<Vec<_>>(), at(y))).into_iter().collect()
}

/// A sum over one axis of a product of a matrix and a vector along that axis.
fn matrix_vector(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((&[axis], x)) = summed(op, kids, v) else { return nothing() };
    if rank(v, x) > 2 {
        return nothing();
    }
    let full = v.fact(x).shape().clone();
    let found = first(v, x, |op, kids| match as_product(op, kids, v)?.as_slice() {
        [(a, 1), (b, 1)] => Some((*a, *b)),
        _ => None,
    });
    let Some((a, b)) = found else { return nothing() };
    if full.rank() == 1 {
        let both = v.fact(a).shape() == &full && v.fact(b).shape() == &full;
        return if both { vec![matmul(at(a), at(b))] } else { nothing() };
    }
    for (m, w) in [(a, b), (b, a)] {
        if v.fact(m).shape() != &full {
            continue;
        }
        let w_shape = v.fact(w).shape();
        let n = full.dims()[axis].clone();
        let vector = if axis == 1 && w_shape.rank() == 1 {
            at(w)
        } else if w_shape.rank() == 2 && w_shape.dims()[1 - axis].is_one() && w_shape.dims()[axis] == n {
            node(Op::Reshape(Shape::new([n])), vec![at(w)])
        } else {
            continue;
        };
        return vec![if axis == 1 { matmul(at(m), vector) } else { matmul(vector, at(m)) }];
    }
    nothing()
}

/// The sum of the elements of a product needs only the sums of its factors' columns or rows.
fn of_product(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((axes, x)) = summed(op, kids, v) else { return nothing() };
    let mut out = Vec::new();
    for (a, b) in products(v, x) {
        match (rank(v, a), rank(v, b), axes) {
            (2, 1, [0]) => out.push(matmul(sum(&[0], at(a)), at(b))),
            (1, 2, [0]) => out.push(matmul(at(a), sum(&[1], at(b)))),
            (2, 2, [0]) => out.push(matmul(sum(&[0], at(a)), at(b))),
            (2, 2, [1]) => out.push(matmul(at(a), sum(&[1], at(b)))),
            (2, 2, [0, 1]) => out.push(matmul(sum(&[0], at(a)), sum(&[1], at(b)))),
            _ => {}
        }
    }
    out
}

pub const RULES: &[Rule] = &[
    rule!("reduce/scale-out", Real, Reduce, [Reduce(R::Sum)], scale_out, "one product in place of many",
        ["x:5": "(sum (mul 3 x))" => "(mul 3 (sum x))", "x:4,3": "(sum1 (div x 4))" => "(div (sum1 x) 4)"], []),
    rule!("reduce/factor-out", Real, Reduce, [Reduce(R::Sum)], factor_out, "one product in place of many",
        ["x:5 s:": "(sum (mul s x))" => "(mul s (sum x))",
         "x:4,3 y:4": "(sum1 (mul (col y) x))" => "(mul y (sum1 x))",
         "x:4,3 s:": "(sum0 (div x s))" => "(div (sum0 x) s)"],
        ["x:4,4 y:4": "(sum1 (mul y x))" => "(mul y (sum1 x))"]),
    rule!("reduce/split", Real, Reduce, [Reduce(R::Sum)], split, "a part that does not vary is summed once",
        ["~x:5 y:5": "(sum (add x y))" => "(add (sum x) (sum y))", "x:5": "(sum (add x 2))" => "(add (sum x) 10)",
         "x:5 s:": "(sum (sub x s))" => "(sub (sum x) (sum (fill5 s)))"], []),
    rule!("reduce/of-broadcast", Real, Reduce, [Reduce(R::Sum)], of_broadcast, "a product in place of a sum of equal values",
        ["s:": "(sum (fill5 s))" => "(mul 5 s)"], []),
    rule!("reduce/nested", Real, Reduce, [Reduce(R::Sum)], nested, "one pass over the data",
        ["x:4,3": "(sum (sum1 x))" => "(sum x)", "x:4,3": "(sum (t x))" => "(sum x)"], []),
    rule!("reduce/matrix-vector", Real, Reduce, [Reduce(R::Sum)], matrix_vector, "a sum of products is a matrix product",
        ["x:4,3 y:3": "(sum1 (mul x y))" => "(matmul x y)", "x:4,3 y:4": "(sum0 (mul x (col y)))" => "(matmul y x)",
         "x:5 y:5": "(sum (mul x y))" => "(matmul x y)"],
        ["x:4,4 y:4": "(sum0 (mul x y))" => "(matmul x y)"]),
    rule!("reduce/of-product", Real, Reduce, [Reduce(R::Sum)], of_product, "sums of rows and columns in place of a product of matrices",
        ["a:4,3 x:3": "(sum (matmul a x))" => "(matmul (sum0 a) x)",
         "a:4,3 b:3,5": "(sum (matmul a b))" => "(matmul (sum0 a) (sum1 b))",
         "a:4,3 b:3,5": "(sum1 (matmul a b))" => "(matmul a (sum1 b))"], []),
];
