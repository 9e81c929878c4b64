//! Reductions of what was moved, stretched, joined or mapped; sums of outer products; draws of one key.

use super::reduce::{constant_along, squeezed, summed};
use super::{Rule, as_product, as_sum, at, first, flip, lin, matmul, node, nothing, prod, rank, scaled, stretch, sum, un};
use crate::sea::Sop;
use crate::space::{Term, View};
use egg::Id;
use gradus_ir::{BinaryOp, DType, Dim, Op, ReduceOp, Shape, UnaryOp};

/// Reduction, axes and operand, where the form reduces a real.
fn reduced<'k>(op: &'k Sop, kids: &[Id], v: &dyn View) -> Option<(ReduceOp, &'k [usize], Id)> {
    match (op.ir(), kids) {
        (Some(Op::Reduce(r, axes)), [x]) if v.fact(*x).dtype() == DType::Real => Some((*r, axes, v.find(*x))),
        _ => None,
    }
}

/// Like `reduced`, of a largest (true) or smallest element of something that is not empty.
fn extreme<'k>(op: &'k Sop, kids: &[Id], v: &dyn View) -> Option<(bool, &'k [usize], Id)> {
    let (r, axes, x) = reduced(op, kids, v)?;
    let full = v.fact(x).shape();
    let some = axes.iter().all(|a| full.dims().get(*a).and_then(|d| d.known()).is_some_and(|n| n > 0));
    match r {
        ReduceOp::Max if some => Some((true, axes, x)),
        ReduceOp::Min if some => Some((false, axes, x)),
        _ => None,
    }
}

fn reduce(r: ReduceOp, axes: &[usize], x: Term) -> Term {
    node(Op::Reduce(r, axes.to_vec()), vec![x])
}

fn most(larger: bool) -> ReduceOp {
    if larger { ReduceOp::Max } else { ReduceOp::Min }
}

/// The order of elements does not matter, nor zeros to a sum.
fn of_moved(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((r, axes, x)) = reduced(op, kids, v) else { return nothing() };
    if r == ReduceOp::Prod {
        return nothing();
    }
    let found = first(v, x, |op, kids| match (op.ir(), kids) {
        (Some(Op::Transpose(p)), [y]) => {
            let inner: Vec<usize> = axes.iter().filter_map(|a| p.get(*a).copied()).collect();
            let mut sorted = inner.clone();
            sorted.sort_unstable();
            // What is left must be in order.
            let kept: Vec<usize> = p.iter().copied().filter(|k| !inner.contains(k)).collect();
            kept.windows(2).all(|w| w[0] < w[1]).then_some((sorted, *y))
        }
        (Some(Op::Reverse { axis } | Op::Sort { axis, .. }), [y]) if axes.contains(axis) => Some((axes.to_vec(), *y)),
        (Some(Op::Pad { axis, .. }), [y]) if axes.contains(axis) && r == ReduceOp::Sum => Some((axes.to_vec(), *y)),
        _ => None,
    });
    found.filter(|(_, y)| v.fact(*y).dtype() == DType::Real).map(|(axes, y)| reduce(r, &axes, at(y))).into_iter().collect()
}

fn of_concat(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((r, axes, x)) = reduced(op, kids, v) else { return nothing() };
    let found = first(v, x, |op, kids| match op.ir() {
        Some(Op::Concat { axis }) if axes.contains(axis) && kids.len() <= 8 => Some(kids.to_vec()),
        _ => None,
    });
    let Some(parts) = found.filter(|p| p.iter().all(|k| v.fact(*k).dtype() == DType::Real)) else { return nothing() };
    let mut each = parts.iter().map(|k| reduce(r, axes, at(*k)));
    match r {
        ReduceOp::Sum => vec![lin(each.map(|t| (1.0, t)).collect(), 0.0)],
        ReduceOp::Max | ReduceOp::Min => {
            let b = if r == ReduceOp::Max { BinaryOp::Max } else { BinaryOp::Min };
            let Some(start) = each.next() else { return nothing() };
            vec![each.fold(start, |a, t| node(Op::Binary(b), vec![a, t]))]
        }
        _ => nothing(),
    }
}

fn of_diagonal(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((axes, x)) = summed(op, kids, v) else { return nothing() };
    super::matrix::is_diagonal(v, x)
        .filter(|d| v.fact(*d).dtype() == DType::Real)
        .map(|d| if axes.len() == 2 { sum(&[0], at(d)) } else { at(d) })
        .into_iter()
        .collect()
}

/// `sum(u v')` as `sum(u) sum(v)`.
fn of_outer(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((&[0, 1], x)) = summed(op, kids, v) else { return nothing() };
    let full = v.fact(x).shape().clone();
    let found = first(v, x, |op, kids| {
        let f = as_product(op, kids, v)?;
        let along = |axis: usize, k: Id| constant_along(v.fact(k).shape(), 2, &[axis]);
        let (us, vs): (Vec<_>, Vec<_>) = f.iter().partition(|(k, _)| along(1, *k));
        let whole = |side: &[(Id, i32)], axis: usize| {
            side.iter().any(|(k, _)| !along(axis, *k)) && side.iter().all(|(k, _)| along(1 - axis, *k))
        };
        (full.rank() == 2 && whole(&us, 0) && whole(&vs, 1)).then_some((us, vs))
    });
    let Some((us, vs)) = found else { return nothing() };
    let side = |f: Vec<(Id, i32)>, axis: usize| {
        sum(&[0], prod(f.into_iter().map(|(k, e)| (squeezed(v, k, 2, &[1 - axis]), e)).collect()))
    };
    vec![prod(vec![(side(us, 0), 1), (side(vs, 1), 1)])]
}

/// A sum over one axis of a product of a factor without the one and a factor without the other of the axes that are left.
fn outer_products(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((&[axis], x)) = summed(op, kids, v).filter(|(_, x)| rank(v, *x) == 3) else { return nothing() };
    let full = v.fact(x).shape().clone();
    let left: Vec<usize> = (0..3).filter(|k| *k != axis).collect();
    let found = first(v, x, |op, kids| match as_product(op, kids, v)?.as_slice() {
        [(a, 1), (b, 1)] => {
            let lacks = |k: Id, axis: usize| constant_along(v.fact(k).shape(), 3, &[axis]);
            [(*a, *b), (*b, *a)].into_iter().find(|(a, b)| lacks(*a, left[1]) && lacks(*b, left[0]))
        }
        _ => None,
    });
    let Some((a, b)) = found else { return nothing() };
    // Of full size along the axes it has.
    let matrix = |k: Id, without: usize| {
        let dims = full.dims().iter().enumerate().filter(|(j, _)| *j != without).map(|(_, d)| d.clone());
        let target = Shape::new(dims);
        let flat = squeezed(v, k, 3, &[without]);
        let own = v.fact(k).shape();
        let lead = 3 - own.rank();
        let complete = (0..3).filter(|j| *j != without).all(|j| j >= lead && own.dims()[j - lead] == full.dims()[j]);
        complete.then_some((flat, target))
    };
    let (Some((a, _)), Some((b, _))) = (matrix(a, left[1]), matrix(b, left[0])) else { return nothing() };
    let swap = |t: Term| node(Op::Transpose(vec![1, 0]), vec![t]);
    // The left matrix has the axes (left[0], axis) in order, the right one (axis, left[1]).
    let a = if left[0] < axis { a } else { swap(a) };
    let b = if axis < left[1] { b } else { swap(b) };
    vec![matmul(a, b)]
}

fn extreme_of_broadcast(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((_, axes, x)) = extreme(op, kids, v) else { return nothing() };
    let full = v.fact(x).shape().clone();
    let found = first(v, x, |op, kids| match (op.ir(), kids) {
        (Some(Op::Broadcast(_)), [y]) if constant_along(v.fact(*y).shape(), full.rank(), axes) => Some(*y),
        _ => None,
    });
    found.map(|y| squeezed(v, y, full.rank(), axes)).into_iter().collect()
}

fn extreme_again(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((larger, axes, x)) = extreme(op, kids, v) else { return nothing() };
    if axes.len() != rank(v, x) {
        return nothing();
    }
    let inner = first(v, x, |op, kids| match (op.ir(), kids) {
        (Some(Op::Reduce(r, _)), [y]) if *r == most(larger) => Some(*y),
        (Some(Op::Reshape(_)), [y]) => Some(*y),
        _ => None,
    });
    inner
        .filter(|y| v.fact(*y).dtype() == DType::Real && rank(v, *y) > 0)
        .map(|y| reduce(most(larger), &(0..rank(v, y)).collect::<Vec<_>>(), at(y)))
        .into_iter()
        .collect()
}

/// The largest of what an increasing function makes is what it makes of the largest.
fn extreme_of_map(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    use UnaryOp::*;
    let Some((larger, axes, x)) = extreme(op, kids, v) else { return nothing() };
    let map = first(v, x, |op, kids| match (op.ir(), kids) {
        (Some(Op::Unary(u @ (Exp | Expm1 | Tanh | Sigmoid | Softplus | Erf | Atan | Sinh))), [y]) => Some((*u, *y)),
        (Some(Op::Unary(u @ (Log | Log1p | Sqrt))), [y]) if v.fact(*y).values.nonneg() => Some((*u, *y)),
        _ => None,
    });
    map.filter(|(_, y)| v.fact(*y).dtype() == DType::Real)
        .map(|(u, y)| un(u, reduce(most(larger), axes, at(y))))
        .into_iter()
        .collect()
}

fn extreme_of_scaled(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((larger, axes, x)) = extreme(op, kids, v) else { return nothing() };
    match scaled(v, x) {
        Some((c, y)) if c != 0.0 && c.is_finite() && v.fact(y).shape() == v.fact(x).shape() => {
            vec![lin(vec![(c, reduce(most(larger == (c > 0.0)), axes, at(y)))], 0.0)]
        }
        _ => nothing(),
    }
}

/// What does not vary along the axes comes out of a largest element and of a log of a sum of exponentials.
fn shift_out(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((r, axes, x)) = reduced(op, kids, v) else { return nothing() };
    let lse = r == ReduceOp::LogSumExp;
    if !lse && extreme(op, kids, v).is_none() {
        return nothing();
    }
    let full = v.fact(x).shape().clone();
    let found = first(v, x, |op, kids| {
        let (terms, constant) = as_sum(op, kids, v)?;
        let (out, inside): (Vec<_>, Vec<_>) =
            terms.into_iter().partition(|(_, k)| constant_along(v.fact(*k).shape(), full.rank(), axes));
        let mut shape = Shape::scalar();
        for (_, k) in &inside {
            shape = Shape::broadcast(&shape, v.fact(*k).shape()).ok()?;
        }
        (!(out.is_empty() && constant == 0.0) && !inside.is_empty() && shape == full).then_some((out, inside, constant))
    });
    let Some((out, inside, constant)) = found else { return nothing() };
    // An empty largest element is infinite whatever is added, an empty log-sum-exp too.
    let inner = lin(inside.into_iter().map(|(c, k)| (c, at(k))).collect(), 0.0);
    let mut all: Vec<(f64, Term)> = out.into_iter().map(|(c, k)| (c, squeezed(v, k, full.rank(), axes))).collect();
    all.push((1.0, reduce(r, axes, inner)));
    vec![lin(all, constant)]
}

/// The same numbers in another shape.
fn draw_reshaped(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let (Some(Op::Reshape(s)), [x]) = (op.ir(), kids) else { return nothing() };
    first(v, *x, |op, kids| match (op.ir(), kids) {
        (Some(Op::Normal(_)), [k]) => Some(node(Op::Normal(s.clone()), vec![at(*k)])),
        (Some(Op::Uniform(_)), [k]) => Some(node(Op::Uniform(s.clone()), vec![at(*k)])),
        _ => None,
    })
    .into_iter()
    .collect()
}

/// The first of the numbers of a key do not depend on how many are drawn.
fn draw_fewer(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let (Some(Op::Slice { axis: 0, start, len }), [x]) = (op.ir(), kids) else { return nothing() };
    if start.known() != Some(0) {
        return nothing();
    }
    let shorter = |s: &Shape| Shape::new(std::iter::once(len.clone()).chain(s.dims().iter().skip(1).cloned()));
    first(v, *x, |op, kids| match (op.ir(), kids) {
        (Some(Op::Normal(s)), [k]) => Some(node(Op::Normal(shorter(s)), vec![at(*k)])),
        (Some(Op::Uniform(s)), [k]) => Some(node(Op::Uniform(shorter(s)), vec![at(*k)])),
        _ => None,
    })
    .into_iter()
    .collect()
}

/// Are all elements of an int array indices of an axis of that length, by the form?
fn indexes(v: &dyn View, id: Id, length: &Dim, depth: usize) -> bool {
    let fits = |n: &Dim| n == length || n.known().zip(length.known()).is_some_and(|(n, k)| n <= k);
    depth > 0
        && first(v, id, |op, kids| match (op.ir(), kids) {
            (Some(Op::Iota(n) | Op::Permutation(n)), _) => fits(n).then_some(()),
            (Some(Op::ArgReduce { axis, .. } | Op::ArgSort { axis, .. }), [x]) => {
                v.fact(*x).shape().dims().get(*axis).is_some_and(fits).then_some(())
            }
            (Some(Op::Literal(a)), _) if a.len() <= 4096 => {
                let n = length.known()? as f64;
                a.data.iter().all(|x| *x >= 0.0 && *x < n).then_some(())
            }
            (
                Some(Op::Reshape(_) | Op::Broadcast(_) | Op::Slice { .. } | Op::Reverse { .. } | Op::Transpose(_)),
                [x],
            ) => indexes(v, *x, length, depth - 1).then_some(()),
            _ => None,
        })
        .is_some()
}

/// Rows picked by zeros and ones are rows taken.
fn one_hot(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((h, w)) = super::matrix::product(v, op, kids) else { return nothing() };
    let Some(length) = v.fact(w).shape().dims().first().cloned() else { return nothing() };
    let Some(c) = super::of_unary(v, h, UnaryOp::ToReal) else { return nothing() };
    let iota = |k: Id| first(v, k, |op, _| matches!(op.ir(), Some(Op::Iota(n)) if *n == length).then_some(())).is_some();
    let index = first(v, c, |op, kids| match (op.ir(), kids) {
        (Some(Op::Binary(BinaryOp::Eq)), [a, b]) => [(*a, *b), (*b, *a)].into_iter().find(|(_, b)| iota(*b)).map(|(a, _)| a),
        _ => None,
    });
    let Some(i) = index.filter(|i| v.fact(*i).dtype() == DType::Int && indexes(v, *i, &length, 5)) else { return nothing() };
    match (v.fact(i).shape().dims(), v.fact(h).shape().dims()) {
        ([n, one], [m, _]) if one.is_one() && n == m => {
            vec![node(Op::Take { axis: 0 }, vec![at(w), node(Op::Reshape(Shape::new([n.clone()])), vec![at(i)])])]
        }
        _ => nothing(),
    }
}

/// What a transposed product of elements is made of, where a factor is itself transposed.
fn transpose_elements(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let (Some(Op::Transpose(p)), [x]) = (op.ir(), kids) else { return nothing() };
    if p.as_slice() != [1, 0] {
        return nothing();
    }
    let shape = v.fact(*x).shape().clone();
    let found = first(v, *x, |op, kids| {
        let f = as_product(op, kids, v)?;
        let whole = f.iter().all(|(k, _)| v.fact(*k).shape() == &shape || v.fact(*k).shape().is_scalar());
        (whole && f.iter().any(|(k, _)| super::transposed(v, *k).is_some())).then_some(f)
    });
    found.map(|f| prod(f.into_iter().map(|(k, e)| (flip(v, k), e)).collect())).into_iter().collect()
}

/// The diagonal of an outer product or of a product of matrices element by element.
fn diagonal_of_elements(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let (Some(Op::Diagonal), [x]) = (op.ir(), kids) else { return nothing() };
    let full = v.fact(*x).shape().clone();
    let Some(n) = full.dims().first().cloned() else { return nothing() };
    let of = |k: Id| -> Term {
        let s = v.fact(k).shape();
        if s.is_scalar() {
            at(k)
        } else if constant_along(s, 2, &[0]) || constant_along(s, 2, &[1]) {
            node(Op::Reshape(Shape::new([s.count()])), vec![at(k)])
        } else {
            node(Op::Diagonal, vec![stretch(v, k, &full)])
        }
    };
    let found = first(v, *x, |op, kids| as_product(op, kids, v).filter(|f| f.len() > 1));
    let Some(f) = found.filter(|f| f.iter().any(|(k, _)| v.fact(*k).shape().rank() < 2 || v.fact(*k).shape().dims().iter().any(|d| d.is_one()))) else {
        return nothing();
    };
    vec![node(Op::Broadcast(Shape::new([n])), vec![prod(f.into_iter().map(|(k, e)| (of(k), e)).collect())])]
}

fn diagonal_of_diagonal(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match (op.ir(), kids) {
        (Some(Op::Diagonal), [x]) => super::matrix::is_diagonal(v, *x).map(at).into_iter().collect(),
        (Some(Op::Transpose(p)), [x]) if p.as_slice() == [1, 0] => {
            super::matrix::is_diagonal(v, *x).map(|_| at(*x)).into_iter().collect()
        }
        _ => nothing(),
    }
}

fn transpose_symmetric(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    match (op.ir(), kids) {
        (Some(Op::Transpose(p)), [x]) if p.as_slice() == [1, 0] && super::factor::symmetric(v, *x, 3) => vec![at(*x)],
        _ => nothing(),
    }
}

fn diagonals(v: &dyn View, _: Id, op: &Sop, kids: &[Id]) -> Vec<Term> {
    let Some((a, b)) = super::matrix::product(v, op, kids) else { return nothing() };
    match (super::matrix::is_diagonal(v, a), super::matrix::is_diagonal(v, b)) {
        (Some(d), Some(e)) => vec![node(Op::DiagMatrix, vec![prod(vec![(at(d), 1), (at(e), 1)])])],
        _ => nothing(),
    }
}

pub const RULES: &[Rule] = &[
    rule!("reduce/of-moved", Real, Reduce, [Reduce(R::Sum), Reduce(R::Max), Reduce(R::Min), Reduce(R::LogSumExp)], of_moved, "the order of the elements does not matter",
        ["x:4,3": "(sum0 (t x))" => "(sum1 x)", "x:4,3": "(max1 (t x))" => "(max0 x)", "x:4,3": "(lse0 (t x))" => "(lse1 x)",
         "x:5": "(sum (reverse x))" => "(sum x)", "x:5": "(max (sort x))" => "(max x)", "x:5": "(sum (pad x))" => "(sum x)"],
        ["x:5": "(max (pad x))" => "(max x)"]),
    rule!("reduce/of-concat", Real, Reduce, [Reduce(R::Sum), Reduce(R::Max), Reduce(R::Min)], of_concat, "nothing needs to be joined",
        ["x:5 y:3": "(sum (join x y))" => "(add (sum x) (sum y))", "x:5 y:3": "(max (join x y))" => "(max (max0 x) (max0 y))"],
        ["x:4,3 y:4,3": "(sum1 (join x y))" => "(add (sum1 x) (sum1 y))"]),
    rule!("reduce/of-diagonal", Real, Reduce, [Reduce(R::Sum)], of_diagonal, "the rest is zero",
        ["d:4": "(sum (diag d))" => "(sum d)", "d:4": "(sum1 (diag d))" => "d"], []),
    rule!("reduce/of-outer", Real, Reduce, [Reduce(R::Sum)], of_outer, "two sums in place of a sum of all products",
        ["x:4 y:3": "(sum (mul (col x) y))" => "(mul (sum x) (sum y))"], ["x:3,3 y:3": "(sum (mul x y))" => "(mul (sum x) (sum y))"]),
    rule!("reduce/outer-products", Real, Reduce, [Reduce(R::Sum)], outer_products, "a sum of outer products is a product of matrices",
        ["x:5,4 y:5,3": "(sum0 (mul (as5,4,1 x) (as5,1,3 y)))" => "(matmul (t x) y)",
         "x:4,5 y:5,3": "(sum1 (mul (as4,5,1 x) y))" => "(matmul x y)",
         "x:4,5 y:3,5": "(sum2 (mul (as4,1,5 x) y))" => "(matmul x (t y))"],
        ["x:5,4,3 y:5,1,3": "(sum0 (mul x y))" => "(sum0 x)"]),
    rule!("reduce/extreme-of-broadcast", Exact, Reduce, [Reduce(R::Max), Reduce(R::Min)], extreme_of_broadcast, "the largest of equal values is each of them",
        ["s:": "(max (fill5 s))" => "s"], []),
    rule!("reduce/extreme-again", Exact, Reduce, [Reduce(R::Max), Reduce(R::Min)], extreme_again, "one pass over the data",
        ["x:4,3": "(max (max1 x))" => "(max x)"], ["x:4,3": "(max (min1 x))" => "(max x)"]),
    rule!("reduce/extreme-of-map", Real, Reduce, [Reduce(R::Max), Reduce(R::Min)], extreme_of_map, "one function in place of many",
        ["x:5": "(max (exp x))" => "(exp (max x))", "x:4,3": "(min1 (sqrt (square x)))" => "(sqrt (min1 (square x)))"],
        ["x:5": "(max (sin x))" => "(sin (max x))", "x:5": "(max (log x))" => "(log (max x))"]),
    rule!("reduce/extreme-of-scaled", Real, Reduce, [Reduce(R::Max), Reduce(R::Min)], extreme_of_scaled, "one product in place of many",
        ["x:5": "(max (mul 3 x))" => "(mul 3 (max x))", "x:4,3": "(max1 (neg x))" => "(neg (min1 x))"], []),
    rule!("reduce/shift-out", Real, Reduce, [Reduce(R::Max), Reduce(R::Min), Reduce(R::LogSumExp)], shift_out, "one sum in place of many",
        ["x:5 s:": "(max (add x s))" => "(add (max x) s)", "x:4,3 y:4": "(lse1 (sub x (col y)))" => "(sub (lse1 x) y)", "x:5": "(lse (add x 2))" => "(add (lse x) 2)"],
        ["x:5 y:5": "(lse (add x y))" => "(add (lse x) y)"]),
    rule!("random/reshape", Exact, Reduce, [Reshape], draw_reshaped, "draws of one key are the same numbers in any shape",
        ["": "(as2,3 (normal6))" => "(normal2,3)", "": "(as6 (uniform2,3))" => "(uniform6)"], []),
    rule!("random/fewer", Exact, Reduce, [Slice], draw_fewer, "the first numbers of a key do not depend on how many are drawn",
        ["": "(head3 (normal6))" => "(normal3)", "": "(head1 (uniform2,3))" => "(uniform1,3)"], []),
    rule!("matrix/one-hot", Real, Matrix, [MatMul], one_hot, "rows picked by zeros and ones are rows taken",
        ["x:4,3 w:3,2": "(matmul (to_real (eq (col (argmax1 x)) (iota3))) w)" => "(take w (as4 (col (argmax1 x))))"],
        ["x:4 w:3,2": "(matmul (to_real (eq (col (to_int x)) (iota3))) w)" => "(take w (as4 (col (to_int x))))"]),
    rule!("matrix/transpose-elements", Real, Matrix, [Transpose], transpose_elements, "shows what a transposed product of elements is made of",
        ["a:4,3 b:3,4 s:": "(t (mul (mul (t a) b) s))" => "(mul (mul a (t b)) s)"], ["a:4,3 b:4,3": "(t (mul a b))" => "(mul (t a) (t b))"]),
    rule!("matrix/diagonal-of-elements", Real, Matrix, [Diagonal], diagonal_of_elements, "only the diagonal is needed",
        ["x:4 y:4": "(diagonal (mul (col x) y))" => "(mul x y)", "a:4,4 y:4": "(diagonal (mul a y))" => "(mul (diagonal a) y)"],
        ["a:4,4 b:4,4": "(diagonal (mul a b))" => "(mul (diagonal a) (diagonal b))"]),
    rule!("matrix/diagonal-of-diagonal", Exact, Matrix, [Diagonal, Transpose], diagonal_of_diagonal, "a diagonal matrix is its diagonal, and its transpose",
        ["d:4": "(diagonal (diag d))" => "d", "d:4": "(t (diag d))" => "(diag d)"], []),
    rule!("matrix/transpose-symmetric", Real, Matrix, [Transpose], transpose_symmetric, "a symmetric matrix is its transpose",
        ["a:4,3 d:3": "(t (add (matmul (t a) a) (diag d)))" => "(add (matmul (t a) a) (diag d))"], ["a:3,3": "(t a)" => "a"]),
    rule!("matrix/diagonals", Real, Matrix, [MatMul], diagonals, "a product of diagonal matrices is one",
        ["d:4 e:4": "(matmul (diag d) (diag e))" => "(diag (mul d e))"], []),
];
