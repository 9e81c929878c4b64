//! A batched region against the region run once for each lane.
#![allow(clippy::unwrap_used, clippy::panic)]

use gradus_grad::batch;
use gradus_ir::build::Build;
use gradus_ir::op::{BinaryOp, Cumulative, ReduceOp, UnaryOp};
use gradus_ir::reference::run;
use gradus_ir::testing::{Options, Rng, random_array, random_case};
use gradus_ir::{Array, DType, Dim, Graph, Loop, NodeId, Op, Origin, Shape, Trip, Ty};
use std::sync::Arc;

const LANES: usize = 3;

fn stack(lanes: &[Array]) -> Array {
    let shape = std::iter::once(lanes.len()).chain(lanes[0].shape.iter().copied()).collect();
    let data = lanes.iter().flat_map(|a| a.data.iter().copied()).collect();
    Array::new(lanes[0].dtype, shape, data).unwrap()
}

fn lane(a: &Array, k: usize) -> Array {
    let shape = a.shape[1..].to_vec();
    let size: usize = shape.iter().product();
    Array::new(a.dtype, shape, a.data[k * size..(k + 1) * size].to_vec()).unwrap()
}

/// Batched against looped. `inputs` are those of each lane; what is not batched comes from lane 0. Products may sum in another order.
fn check(g: &Graph, inputs: &[Vec<Array>], flags: &[bool], exact: bool, what: &str) {
    let lanes = inputs.len();
    let b = batch(g, flags, &Dim::from(lanes)).unwrap_or_else(|e| panic!("{what}: {e}\n{g}"));
    gradus_ir::verify(&b.graph).unwrap_or_else(|e| panic!("{what}: {e}\n{g}\n{}", b.graph));
    let given: Vec<Array> = (0..flags.len())
        .map(|k| match flags[k] {
            true => stack(&inputs.iter().map(|i| i[k].clone()).collect::<Vec<_>>()),
            false => inputs[0][k].clone(),
        })
        .collect();
    let found = run(&b.graph, &given).unwrap_or_else(|e| panic!("{what}: {e}\n{g}\n{}", b.graph));
    for (l, own) in inputs.iter().enumerate() {
        let alone: Vec<Array> = (0..flags.len()).map(|k| if flags[k] { own[k].clone() } else { inputs[0][k].clone() }).collect();
        let want = run(g, &alone).unwrap_or_else(|e| panic!("{what}: alone: {e}"));
        for (k, w) in want.iter().enumerate() {
            let f = if b.outputs[k] { lane(&found[k], l) } else { found[k].clone() };
            assert_eq!((&f.shape, f.dtype), (&w.shape, w.dtype), "{what}: output {k}\n{g}\n{}", b.graph);
            for (x, y) in f.data.iter().zip(w.data.iter()) {
                let same = x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()) || (x == y);
                let near = !exact && (x - y).abs() <= 1e-12 * y.abs().max(1.0);
                assert!(same || near, "{what}: lane {l}, output {k}: {x} for {y}\n{g}\n{}", b.graph);
            }
        }
    }
}

/// Every choice of batched inputs.
fn check_all(g: &Graph, inputs: &[Vec<Array>], exact: bool, what: &str) {
    let n = g.params().len();
    for bits in 0..1usize << n {
        let flags: Vec<bool> = (0..n).map(|k| bits >> k & 1 == 1).collect();
        check(g, inputs, &flags, exact, &format!("{what}, batched {flags:?}"));
    }
}

/// One op on parameters of these types, with random inputs for each lane.
fn op(op: Op, tys: &[Ty], exact: bool) {
    op_on(op, tys, exact, &|rng, t| {
        let shape: Vec<usize> = t.shape.sizes().unwrap();
        random_array(rng, t.dtype, &shape)
    });
}

fn op_on(op: Op, tys: &[Ty], exact: bool, make: &dyn Fn(&mut Rng, &Ty) -> Array) {
    let what = format!("{} of {tys:?}", op.name());
    let mut g = Graph::new();
    let ids: Vec<NodeId> = tys.iter().map(|t| g.param(t.clone(), Origin::default())).collect();
    let made = g.add(op, &ids, Origin::default()).unwrap();
    g.outputs = match g.node(made).tys.len() {
        1 => vec![made],
        n => (0..n).map(|k| g.add(Op::Get(k as u32), &[made], Origin::default()).unwrap()).collect(),
    };
    let mut rng = Rng(11);
    let inputs: Vec<Vec<Array>> = (0..LANES).map(|_| tys.iter().map(|t| make(&mut rng, t)).collect()).collect();
    check_all(&g, &inputs, exact, &what);
}

fn real(dims: &[usize]) -> Ty {
    Ty::real(Shape::of(dims))
}

fn int(dims: &[usize]) -> Ty {
    Ty::new(DType::Int, Shape::of(dims))
}

fn truth(dims: &[usize]) -> Ty {
    Ty::new(DType::Bool, Shape::of(dims))
}

#[test]
fn elementwise() {
    for u in UnaryOp::ALL {
        let dtype = if *u == UnaryOp::Not { DType::Bool } else { DType::Real };
        op(Op::Unary(*u), &[Ty::new(dtype, Shape::of(&[4]))], true);
    }
    for b in BinaryOp::ALL {
        let logic = matches!(b, BinaryOp::And | BinaryOp::Or);
        let ty = |d: &[usize]| if logic { truth(d) } else { real(d) };
        for (x, y) in [(&[][..], &[][..]), (&[4], &[]), (&[], &[4]), (&[2, 4], &[4]), (&[4], &[2, 4]), (&[2, 1], &[4])] {
            op(Op::Binary(*b), &[ty(x), ty(y)], true);
        }
    }
    op(Op::Select, &[truth(&[]), real(&[3]), real(&[2, 3])], true);
    op(Op::Select, &[truth(&[2, 3]), int(&[]), real(&[3])], true);
    op(Op::NoGrad("x".into()), &[real(&[3])], true);
}

#[test]
fn reductions() {
    for r in ReduceOp::ALL {
        for axes in [vec![0], vec![1], vec![0, 1]] {
            op(Op::Reduce(*r, axes), &[real(&[3, 4])], true);
        }
        op(Op::Reduce(*r, vec![]), &[real(&[])], true);
    }
    op(Op::Reduce(ReduceOp::Sum, vec![0]), &[truth(&[5])], true);
    for max in [false, true] {
        op(Op::ArgReduce { max, axis: 1 }, &[real(&[3, 4])], true);
    }
    for c in [Cumulative::Sum, Cumulative::Prod, Cumulative::Max] {
        op(Op::Cumulative { op: c, axis: 0, reverse: true }, &[real(&[3, 4])], true);
        op(Op::Cumulative { op: c, axis: 1, reverse: false }, &[real(&[3, 4])], true);
    }
}

#[test]
fn shapes() {
    let one = Dim::Known(1);
    op(Op::Broadcast(Shape::of(&[2, 3, 4])), &[real(&[3, 1])], true);
    op(Op::Broadcast(Shape::of(&[2, 3])), &[real(&[])], true);
    op(Op::Reshape(Shape::of(&[6, 2])), &[real(&[3, 4])], true);
    op(Op::Transpose(vec![2, 0, 1]), &[real(&[2, 3, 4])], true);
    op(Op::Slice { axis: 1, start: one.clone(), len: Dim::Known(2) }, &[real(&[3, 4])], true);
    op(Op::Pad { axis: 0, before: one, after: Dim::Known(2) }, &[real(&[3, 4])], true);
    op(Op::Concat { axis: 1 }, &[real(&[2, 3]), real(&[2, 1]), real(&[2, 4])], true);
    op(Op::Reverse { axis: 0 }, &[real(&[3, 2])], true);
    for descending in [false, true] {
        op(Op::Sort { axis: 0, descending }, &[real(&[4, 3])], true);
        op(Op::ArgSort { axis: 1, descending }, &[real(&[4, 3])], true);
    }
    op(Op::Diagonal, &[real(&[4, 4])], true);
    op(Op::DiagMatrix, &[real(&[4])], true);
    op(Op::DiagMatrix, &[int(&[4])], true);
}

#[test]
fn lines() {
    op(Op::TopK(Dim::Known(2)), &[real(&[4])], true);
    op(Op::TopK(Dim::Known(2)), &[real(&[3, 4])], true);
    let make = |rng: &mut Rng, t: &Ty| {
        let shape: Vec<usize> = t.shape.sizes().unwrap();
        let a = random_array(rng, t.dtype, &shape);
        Array { data: Arc::new(a.data.iter().map(|v| v.abs() + 0.1).collect()), ..a }
    };
    op_on(Op::Isotonic, &[real(&[5]), real(&[5])], true, &make);
    op_on(Op::Isotonic, &[real(&[2, 5]), real(&[2, 5])], true, &make);
    for (v, w, total) in [(&[4][..], &[][..], &[][..]), (&[4], &[4], &[]), (&[2, 4], &[], &[2]), (&[2, 4], &[2, 4], &[])] {
        op_on(Op::Knapsack, &[real(v), real(w), real(&[]), real(&[]), real(total)], true, &make);
    }
}

#[test]
fn transforms() {
    op(Op::Fft { inverse: false }, &[real(&[6]), real(&[6])], true);
    op(Op::Fft { inverse: true }, &[real(&[2, 5]), real(&[2, 5])], true);
    let fixed = [vec![0.0, 2.0, 2.0, 5.0], vec![1.0, 3.0, 1.0, 0.0, 2.0]];
    let make = |rng: &mut Rng, t: &Ty| {
        let shape: Vec<usize> = t.shape.sizes().unwrap();
        match t.dtype {
            DType::Int => Array::new(DType::Int, shape.clone(), fixed[usize::from(shape[0] == 5)].clone()).unwrap(),
            _ => random_array(rng, t.dtype, &shape),
        }
    };
    for (transposed, rows, x) in [(false, 3, &[4][..]), (false, 3, &[4, 2]), (true, 4, &[3]), (true, 4, &[3, 2])] {
        op_on(Op::SparseMatMul { transposed, rows: Dim::Known(rows) }, &[int(&[4]), int(&[5]), real(&[5]), real(x)], true, &make);
    }
}

#[test]
fn gathers_and_scatters() {
    let make = |rng: &mut Rng, t: &Ty| {
        let shape: Vec<usize> = t.shape.sizes().unwrap();
        let a = random_array(rng, t.dtype, &shape);
        match t.dtype {
            DType::Int => Array { data: Arc::new(a.data.iter().map(|v| v.abs() % 3.0).collect()), ..a },
            _ => a,
        }
    };
    for index in [&[][..], &[4], &[2, 2]] {
        op_on(Op::Take { axis: 0 }, &[real(&[3]), int(index)], true, &make);
        op_on(Op::Take { axis: 1 }, &[real(&[2, 3, 2]), int(index)], true, &make);
        op_on(Op::Take { axis: 2 }, &[real(&[2, 2, 3]), int(index)], true, &make);
        let update = |pre: &[usize], post: &[usize]| real(&[pre, index, post].concat());
        op_on(Op::ScatterAdd { axis: 0 }, &[real(&[3]), int(index), update(&[], &[])], true, &make);
        op_on(Op::ScatterAdd { axis: 1 }, &[real(&[2, 3, 2]), int(index), update(&[2], &[2])], true, &make);
        op_on(Op::ScatterAdd { axis: 2 }, &[real(&[2, 2, 3]), int(index), update(&[2, 2], &[])], true, &make);
        op_on(Op::ScatterSet { axis: 1 }, &[real(&[2, 3]), int(index), update(&[2], &[])], true, &make);
    }
    op_on(Op::TakeAlong { axis: 0 }, &[real(&[3, 2]), int(&[5, 2])], true, &make);
    op_on(Op::ScatterAddAlong { axis: 1 }, &[real(&[2, 3]), int(&[2, 5]), real(&[2, 5])], true, &make);
}

#[test]
fn products() {
    let shapes: [&[usize]; 4] = [&[4], &[3, 4], &[2, 3, 4], &[5, 2, 3, 4]];
    for a in shapes {
        for b in [&[4][..], &[4, 2], &[2, 4, 2], &[5, 2, 4, 2]] {
            let (ba, bb) = (&a[..a.len().saturating_sub(2)], &b[..b.len().saturating_sub(2)]);
            if ba == bb || ba.is_empty() || bb.is_empty() {
                op(Op::MatMul, &[real(a), real(b)], false);
            }
        }
    }
}

#[test]
fn linear_algebra() {
    // Diagonally dominant, and symmetric where it matters.
    let make = |rng: &mut Rng, t: &Ty| {
        let shape: Vec<usize> = t.shape.sizes().unwrap();
        let a = random_array(rng, t.dtype, &shape);
        match shape.as_slice() {
            [n, m] if n == m => {
                let at = |i: usize, j: usize| (a.data[i * n + j] + a.data[j * n + i]) / 2.0 + if i == j { 4.0 } else { 0.0 };
                Array { data: Arc::new((0..n * n).map(|k| at(k / n, k % n)).collect()), ..a }
            }
            _ => a,
        }
    };
    for o in [Op::Cholesky, Op::Det, Op::Eigh, Op::Svd, Op::Qr] {
        op_on(o, &[real(&[3, 3])], true, &make);
    }
    op_on(Op::Svd, &[real(&[4, 2])], true, &make);
    for b in [&[3][..], &[3, 2]] {
        for transposed in [false, true] {
            op_on(Op::Solve { transposed }, &[real(&[3, 3]), real(b)], false, &make);
            op_on(Op::TriangularSolve { lower: true, transposed }, &[real(&[3, 3]), real(b)], false, &make);
        }
    }
}

#[test]
fn random_numbers() {
    let mut g = Graph::new();
    let seed = g.param(int(&[]), Origin::default());
    let step = g.param(int(&[]), Origin::default());
    let mut b = Build::new(&mut g, Origin::default());
    let key = b.op(Op::Key, &[seed]).unwrap();
    let key = b.op(Op::KeyFold, &[key, step]).unwrap();
    let u = b.op(Op::Uniform(Shape::of(&[3])), &[key]).unwrap();
    let n = b.op(Op::Normal(Shape::of(&[2, 2])), &[key]).unwrap();
    let p = b.op(Op::Permutation(Dim::Known(5)), &[key]).unwrap();
    g.outputs = vec![key, u, n, p];
    let inputs: Vec<Vec<Array>> = (0..LANES)
        .map(|k| [k as f64, 7.0 * k as f64].map(|v| Array { dtype: DType::Int, ..Array::scalar(v) }).to_vec())
        .collect();
    check_all(&g, &inputs, true, "keys");
}

/// `while x > 1 { x <- x / 2, t <- t + a[i mod 3], keep x }`, at most 9 times; the lanes start differently.
fn halving() -> Graph {
    let o = Origin::default();
    let mut cond = Graph::new();
    cond.param(int(&[]), o);
    let x = cond.param(real(&[]), o);
    cond.param(real(&[]), o);
    cond.param(real(&[3]), o);
    let mut b = Build::new(&mut cond, o);
    let one = b.real(1.0).unwrap();
    let go = b.bin(BinaryOp::Gt, x, one).unwrap();
    cond.outputs = vec![go];
    let mut body = Graph::new();
    let i = body.param(int(&[]), o);
    let x = body.param(real(&[]), o);
    let t = body.param(real(&[]), o);
    let a = body.param(real(&[3]), o);
    let mut b = Build::new(&mut body, o);
    let half = b.real(0.5).unwrap();
    let x1 = b.mul(x, half).unwrap();
    // The index leaves the axis in a lane that has been done for long: it must not be read there.
    let size = b.un(UnaryOp::ToInt, x).unwrap();
    let three = b.int(3).unwrap();
    let wrapped = b.bin(BinaryOp::Mod, i, three).unwrap();
    let far = b.int(99).unwrap();
    let zero = b.int(0).unwrap();
    let some = b.bin(BinaryOp::Gt, size, zero).unwrap();
    let k = b.select(some, wrapped, far).unwrap();
    let e = b.take(a, k, 0).unwrap();
    let t1 = b.add(t, e).unwrap();
    body.outputs = vec![x1, t1, x];
    let mut g = Graph::new();
    let x = g.param(real(&[]), o);
    let t = g.param(real(&[]), o);
    let a = g.param(real(&[3]), o);
    let l = Loop {
        trip: Trip::While { limit: Dim::Known(9) },
        carries: 2,
        scanned: 0,
        collected: 1,
        cond: Some(Arc::new(cond)),
        body: Arc::new(body),
        label: "halving".into(),
    };
    let node = g.add(Op::Loop(Box::new(l)), &[x, t, a], o).unwrap();
    g.outputs = (0..4).map(|k| g.add(Op::Get(k), &[node], o).unwrap()).collect();
    g
}

#[test]
fn loops_run_until_all_lanes_are_done() {
    let g = halving();
    let inputs: Vec<Vec<Array>> = [0.5, 1.5, 40.0, 1e9]
        .iter()
        .map(|x| vec![Array::scalar(*x), Array::scalar(x / 3.0), Array::vector(vec![*x, 2.0, -1.0])])
        .collect();
    check_all(&g, &inputs, true, "halving");
    // A loop inside a loop, and inside a branch that some lanes do not take.
    let o = Origin::default();
    let branch = |inside: bool| {
        let mut r = Graph::new();
        let x = r.param(real(&[]), o);
        let a = r.param(real(&[3]), o);
        r.outputs = if inside {
            let outs = r.inline(&g, &[x, x, a]).unwrap();
            vec![outs[2], outs[0]]
        } else {
            let zero = r.add(Op::Const(gradus_ir::F64::new(0.0), DType::Int), &[], o).unwrap();
            vec![x, zero]
        };
        Arc::new(r)
    };
    let mut body = Graph::new();
    body.param(int(&[]), o);
    let x = body.param(real(&[]), o);
    let slice = body.param(real(&[]), o);
    let a = body.param(real(&[3]), o);
    let mut b = Build::new(&mut body, o);
    let c = b.lt(slice, x).unwrap();
    let node = b.op(Op::Cond { then: branch(true), other: branch(false) }, &[c, x, a]).unwrap();
    let (y, n) = (b.get(node, 0).unwrap(), b.get(node, 1).unwrap());
    let y = b.add(y, slice).unwrap();
    body.outputs = vec![y, n];
    let mut outer = Graph::new();
    let x = outer.param(real(&[]), o);
    let xs = outer.param(real(&[4]), o);
    let a = outer.param(real(&[3]), o);
    let l = Loop {
        trip: Trip::Count(Dim::Known(4)),
        carries: 1,
        scanned: 1,
        collected: 1,
        cond: None,
        body: Arc::new(body),
        label: "outer".into(),
    };
    let node = outer.add(Op::Loop(Box::new(l)), &[x, xs, a], o).unwrap();
    outer.outputs = (0..3).map(|k| outer.add(Op::Get(k), &[node], o).unwrap()).collect();
    let inputs: Vec<Vec<Array>> = [3.0, 20.0, 0.1]
        .iter()
        .map(|x| vec![Array::scalar(*x), Array::vector(vec![1.0, *x, 5.0, 0.5 * x]), Array::vector(vec![*x, 2.0, 9.0])])
        .collect();
    check_all(&outer, &inputs, true, "nested");
}

/// `y` with `y^2 = x`, checked to be positive, and nothing else known of how it was found.
fn root() -> Graph {
    let o = Origin::default();
    let mut residual = Graph::new();
    let (y, x) = (residual.param(real(&[2]), o), residual.param(real(&[2]), o));
    let mut b = Build::new(&mut residual, o);
    let square = b.mul(y, y).unwrap();
    let r = b.sub(square, x).unwrap();
    residual.outputs = vec![r];
    let mut forward = Graph::new();
    let (v, y) = (forward.param(real(&[2]), o), forward.param(real(&[2]), o));
    forward.param(real(&[2]), o);
    let mut b = Build::new(&mut forward, o);
    let two = b.add(y, y).unwrap();
    let u = b.div(v, two).unwrap();
    forward.outputs = vec![u];
    let (residual, forward) = (Arc::new(residual), Arc::new(forward));
    let mut g = Graph::new();
    let (x, w) = (g.param(real(&[2]), o), g.param(real(&[2]), o));
    let mut b = Build::new(&mut g, o);
    let a = b.abs(x).unwrap();
    let found = b.sqrt(a).unwrap();
    let op = gradus_ir::op::Implicit { values: 1, residual, forward: forward.clone(), adjoint: forward, label: "root".into() };
    let y = b.op(Op::Implicit(Box::new(op)), &[found, a]).unwrap();
    let (zero, least) = (b.real(0.0).unwrap(), b.reduce(ReduceOp::Min, y, &[0]).unwrap());
    let ok = b.bin(BinaryOp::Gt, least, zero).unwrap();
    let y = b.op(Op::Check("positive".into()), &[y, ok]).unwrap();
    let s = b.op(Op::Stationary, &[w]).unwrap();
    let ws = b.mul(y, s).unwrap();
    let total = b.sum_all(ws).unwrap();
    g.outputs = vec![total];
    g
}

#[test]
fn solutions_of_equations_and_their_derivatives() {
    let inputs: Vec<Vec<Array>> =
        [[4.0, 9.0], [1.0, 0.25], [0.0, 2.0]].iter().map(|x| vec![Array::vector(x.to_vec()), Array::vector(vec![x[1], 3.0])]).collect();
    check_all(&root(), &inputs, true, "root");
    // The derivative of the lanes is the lanes of the derivative.
    let g = root();
    let own = gradus_grad::grad(&g, &[true, true]).unwrap();
    let inputs = &inputs[..2];
    let lanes = batch(&g, &[true, true], &Dim::from(inputs.len())).unwrap();
    assert_eq!(lanes.outputs, vec![true]);
    let stacked: Vec<Array> = (0..2).map(|k| stack(&inputs.iter().map(|i| i[k].clone()).collect::<Vec<_>>())).collect();
    let mut two = lanes.graph;
    let out = two.outputs[0];
    let total = Build::new(&mut two, Origin::default()).sum_all(out).unwrap();
    two.outputs = vec![total];
    let found = run(&gradus_grad::grad(&two, &[true, true]).unwrap(), &stacked).unwrap();
    for (l, i) in inputs.iter().enumerate() {
        let want = run(&own, i).unwrap();
        for k in 1..3 {
            assert_eq!(lane(&found[k], l).data, want[k].data, "lane {l}, input {k}");
        }
    }
}

/// An index that leaves its axis is a fault in the lanes that read it.
#[test]
fn indices_are_checked_where_they_are_read() {
    let mut g = Graph::new();
    let x = g.param(real(&[3]), Origin::default());
    let k = g.param(int(&[]), Origin::default());
    let t = g.add(Op::Take { axis: 0 }, &[x, k], Origin::default()).unwrap();
    g.outputs = vec![t];
    let b = batch(&g, &[true, true], &Dim::Known(2)).unwrap();
    let x = Array::new(DType::Real, vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let index = |k: f64| Array::new(DType::Int, vec![2], vec![0.0, k]).unwrap();
    assert_eq!(run(&b.graph, &[x.clone(), index(2.0)]).unwrap()[0].data.as_slice(), &[1.0, 6.0]);
    assert!(run(&b.graph, &[x.clone(), index(3.0)]).is_err());
    assert!(run(&b.graph, &[x, index(-1.0)]).is_err());
}

#[test]
fn what_does_not_differ_is_computed_once() {
    let mut g = Graph::new();
    let x = g.param(real(&[50]), Origin::default());
    let s = g.param(real(&[]), Origin::default());
    let mut b = Build::new(&mut g, Origin::default());
    let e = b.exp(x).unwrap();
    let total = b.sum_all(e).unwrap();
    let scaled = b.mul(total, s).unwrap();
    g.outputs = vec![total, scaled];
    let b = batch(&g, &[false, true], &Dim::sym("lanes")).unwrap();
    assert_eq!(b.outputs, vec![false, true]);
    assert!(b.graph.nodes().all(|(_, n)| n.ty().shape.rank() <= 1 && n.ty().shape != Shape::new([Dim::sym("lanes"), Dim::from(50usize)])));
}

#[test]
fn random_graphs() {
    for seed in 0..300 {
        let options = Options { steps: 18, ..Options::default() };
        let case = random_case(seed, &options).unwrap();
        let mut rng = Rng(seed + 1);
        let flags: Vec<bool> = case.inputs.iter().map(|_| rng.chance(60)).collect();
        let inputs: Vec<Vec<Array>> = (0..LANES)
            .map(|l| match l {
                0 => case.inputs.clone(),
                _ => case.inputs.iter().map(|a| random_array(&mut rng, a.dtype, &a.shape)).collect(),
            })
            .collect();
        check(&case.graph, &inputs, &flags, false, &format!("seed {seed}"));
    }
}
