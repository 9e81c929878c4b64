//! Sweeps: the same results as one instruction after the other, and the same bits on any number of threads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_cpu::{Control, Executor, Fault, Threads};
use gradus_ir::build::Build;
use gradus_ir::{Array, Cumulative, DType, Dim, Graph, Loop, NodeId, Op, Origin, Precision, ReduceOp, Shape, Trip, Ty, UnaryOp};
use gradus_plan::{Block, Kind, Options, Plan, plan_with};
use std::num::NonZeroUsize;
use std::sync::Arc;

fn real(g: &mut Graph, dims: &[usize]) -> NodeId {
    g.param(Ty::real(Shape::of(dims)), Origin::default())
}

fn data(dims: &[usize], seed: u64) -> Array {
    let n: usize = dims.iter().product();
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
    };
    Array::new(DType::Real, dims.to_vec(), (0..n).map(|_| next()).collect()).unwrap()
}

/// Sweeps and parallel loops.
fn sweeps(b: &Block) -> usize {
    let special = |k: &Kind| match k {
        Kind::Sweep(_) => true,
        Kind::Loop(l) => l.chunk.is_some(),
        _ => false,
    };
    b.code.iter().filter(|i| special(&i.kind)).count()
}

fn control(threads: usize) -> Control {
    let n = NonZeroUsize::new(threads).unwrap();
    Control { threads: Some(Arc::new(Threads::new(n))), ..Control::default() }
}

fn bits(out: &[Array]) -> Vec<u64> {
    out.iter().flat_map(|a| a.data.iter().map(|x| x.to_bits())).collect()
}

/// Runs the graph with and without sweeps, on 1, 2 and 5 threads and in both precisions. `exact`: no order of a sum changes.
fn check(g: &Graph, inputs: &[Array], exact: bool, parallel: bool) -> Plan {
    let mut swept = None;
    for precision in [Precision::F64, Precision::F32] {
        let of = |sweep: bool| plan_with(g, Options { sweep, precision, ..Options::default() }).unwrap();
        let (with, without) = (of(true), of(false));
        assert!(sweeps(with.body()) > 0, "{with}");
        assert_eq!(with.is_parallel(), parallel, "{with}");
        assert_eq!(sweeps(without.body()), 0);
        assert!(with.arena_len() <= without.arena_len() + 64, "{with}\n{without}");
        let want = Executor::new(Arc::new(without)).run(inputs, &Control::default()).unwrap();
        let mut exec = Executor::new(Arc::new(with.clone()));
        let found = exec.run(inputs, &Control::default()).unwrap();
        for n in [1, 2, 5, 2] {
            assert!(bits(&exec.run(inputs, &control(n)).unwrap()) == bits(&found), "{n} threads\n{with}");
        }
        if exact {
            assert!(bits(&want) == bits(&found), "{with}");
        }
        let tolerance = if precision == Precision::F64 { 1e-12 } else { 1e-4 };
        for (f, w) in found.iter().zip(&want) {
            assert_eq!(f.shape, w.shape);
            for (k, (x, y)) in f.data.iter().zip(w.data.iter()).enumerate() {
                let near = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= tolerance * y.abs().max(1.0);
                assert!(near, "element {k}: {x} against {y}\n{with}");
            }
        }
        swept = Some(with);
    }
    swept.unwrap()
}

/// The gradient of a linear model: the matrix is read once, nothing as long as its columns is stored.
#[test]
fn gradients_of_linear_models_read_the_matrix_once() {
    for (n, d, parallel) in [(1000, 50, false), (999, 7, false), (9000, 30, true), (20_001, 9, true)] {
        let mut g = Graph::new();
        let (x, y, w) = (real(&mut g, &[n, d]), real(&mut g, &[n]), real(&mut g, &[d]));
        let mut b = Build::new(&mut g, Origin::default());
        let z = b.matmul(x, w).unwrap();
        let m = b.mul(z, y).unwrap();
        let loss = b.un(UnaryOp::Softplus, m).unwrap();
        let value = b.sum_all(loss).unwrap();
        let most = b.reduce(ReduceOp::Max, m, &[0]).unwrap();
        let s = b.un(UnaryOp::Sigmoid, m).unwrap();
        let r = b.mul(s, y).unwrap();
        let xt = b.swap(x).unwrap();
        let grad = b.matmul(xt, r).unwrap();
        g.outputs = vec![value, most, grad];
        let p = check(&g, &[data(&[n, d], 1), data(&[n], 2), data(&[d], 3)], false, parallel);
        assert_eq!(p.body().code.len(), 1, "{p}");
        assert!(p.arena_len() < 16 * (d + 20), "{p}");
    }
}

/// Several right-hand columns, and what is made of their rows.
#[test]
fn softmax_regression() {
    for (n, d, k) in [(1437, 64, 10), (3000, 20, 3), (600, 33, 16), (500, 40, 1)] {
        let mut g = Graph::new();
        let (x, y, w) = (real(&mut g, &[n, d]), real(&mut g, &[n, k]), real(&mut g, &[d, k]));
        let mut b = Build::new(&mut g, Origin::default());
        let full = Shape::of(&[n, k]);
        let z = b.matmul(x, w).unwrap();
        let l = b.reduce(ReduceOp::LogSumExp, z, &[1]).unwrap();
        let wide = b.expand(l, 1).unwrap();
        let wide = b.broadcast(wide, &full).unwrap();
        let q = b.sub(z, wide).unwrap();
        let q = b.exp(q).unwrap();
        let r = b.sub(q, y).unwrap();
        let xt = b.swap(x).unwrap();
        let grad = b.matmul(xt, r).unwrap();
        let value = b.sum_all(l).unwrap();
        let columns = b.reduce(ReduceOp::Sum, r, &[0]).unwrap();
        g.outputs = vec![grad, value, columns];
        let p = plan_with(&g, Options::default()).unwrap();
        check(&g, &[data(&[n, d], 4), data(&[n, k], 5), data(&[d, k], 6)], false, p.is_parallel());
        assert_eq!(p.body().code.len(), 1, "{p}");
    }
}

/// Rows stay in cache from the reduction to what uses it.
#[test]
fn softmax_of_rows() {
    for (n, m, parallel) in [(100, 100, false), (300, 1000, true), (3000, 7, false), (2, 9000, false)] {
        let mut g = Graph::new();
        let x = real(&mut g, &[n, m]);
        let mut b = Build::new(&mut g, Origin::default());
        let full = Shape::of(&[n, m]);
        let l = b.reduce(ReduceOp::LogSumExp, x, &[1]).unwrap();
        let l = b.expand(l, 1).unwrap();
        let l = b.broadcast(l, &full).unwrap();
        let d = b.sub(x, l).unwrap();
        g.outputs = vec![b.exp(d).unwrap()];
        check(&g, &[data(&[n, m], 7)], true, parallel);
    }
}

/// Columns: sums, extremes and log-sum-exps of a matrix that is never stored, infinities and NaNs included.
#[test]
fn reductions_of_columns() {
    for (n, m) in [(700, 90), (2000, 33), (41, 1000), (5000, 3)] {
        for op in ReduceOp::ALL {
            let mut g = Graph::new();
            let (x, u) = (real(&mut g, &[n, m]), real(&mut g, &[n]));
            let mut b = Build::new(&mut g, Origin::default());
            let u = b.expand(u, 1).unwrap();
            let u = b.broadcast(u, &Shape::of(&[n, m])).unwrap();
            let s = b.add(x, u).unwrap();
            g.outputs = vec![b.reduce(*op, s, &[0]).unwrap()];
            let p = plan_with(&g, Options::default()).unwrap();
            let mut a = data(&[n, m], 8);
            if *op == ReduceOp::Prod {
                // Close to one, so that products stay numbers.
                Arc::get_mut(&mut a.data).unwrap().iter_mut().for_each(|x| *x = 1.0 + *x / 1000.0);
            }
            let shift = if *op == ReduceOp::Prod { vec![0.0; n] } else { data(&[n], 9).data.to_vec() };
            let shift = Array::vector(shift);
            check(&g, &[a.clone(), shift.clone()], false, p.is_parallel());
            if *op != ReduceOp::Sum {
                let v = Arc::get_mut(&mut a.data).unwrap();
                for r in 0..n {
                    v[r * m] = f64::NEG_INFINITY;
                    v[r * m + 1] = if r < n / 2 { f64::NEG_INFINITY } else { v[r * m + 1] };
                }
                v[m + 2] = if *op == ReduceOp::Prod { 1.0 } else { f64::NAN };
                check(&g, &[a.clone(), shift.clone()], false, p.is_parallel());
                let v = Arc::get_mut(&mut a.data).unwrap();
                v[m + 2] = if *op == ReduceOp::Prod { 1.0 } else { f64::INFINITY };
                check(&g, &[a, shift], false, p.is_parallel());
            }
        }
    }
}

/// A step of Sinkhorn's iteration in the log domain, with costs so large that nothing but the largest terms count.
#[test]
fn sinkhorn() {
    let (n, m) = (500, 310);
    let mut g = Graph::new();
    let (c, u) = (real(&mut g, &[n, m]), real(&mut g, &[n]));
    let mut b = Build::new(&mut g, Origin::default());
    let full = Shape::of(&[n, m]);
    let scale = b.real(400.0).unwrap();
    let mut of = |p: NodeId, axis: usize, sum: usize| {
        let p = b.expand(p, axis).unwrap();
        let p = b.broadcast(p, &full).unwrap();
        let d = b.sub(p, c).unwrap();
        let d = b.mul(d, scale).unwrap();
        let l = b.reduce(ReduceOp::LogSumExp, d, &[sum]).unwrap();
        let s = b.real(-1.0 / 400.0).unwrap();
        b.mul(l, s).unwrap()
    };
    let v = of(u, 1, 0);
    let u = of(v, 0, 1);
    g.outputs = vec![u, v];
    let p = check(&g, &[data(&[n, m], 10), data(&[500], 11)], false, true);
    assert!(p.arena_len() < n * m / 4, "{p}");
}

/// Sorting, cumulating and picking along rows.
#[test]
fn lines() {
    let (n, m) = (200, 150);
    let mut g = Graph::new();
    let x = real(&mut g, &[n, m]);
    let mut b = Build::new(&mut g, Origin::default());
    let s = b.op(Op::Sort { axis: 1, descending: true }, &[x]).unwrap();
    let c = b.op(Op::Cumulative { op: Cumulative::Sum, axis: 1, reverse: false }, &[s]).unwrap();
    let d = b.sub(s, c).unwrap();
    let o = b.op(Op::ArgSort { axis: 1, descending: false }, &[d]).unwrap();
    let t = b.op(Op::TakeAlong { axis: 1 }, &[x, o]).unwrap();
    let k = b.op(Op::ArgReduce { max: true, axis: 1 }, &[t]).unwrap();
    g.outputs = vec![t, k, s];
    check(&g, &[data(&[n, m], 12)], true, true);
}

/// An index outside is reported as that of the first row that has one, on any number of threads.
#[test]
fn faults() {
    let (n, m) = (300, 400);
    let mut g = Graph::new();
    let (x, k) = (real(&mut g, &[n, m]), real(&mut g, &[n, m]));
    let mut b = Build::new(&mut g, Origin::default());
    let s = b.op(Op::Sort { axis: 1, descending: true }, &[x]).unwrap();
    let i = b.un(UnaryOp::ToInt, k).unwrap();
    g.outputs = vec![b.op(Op::TakeAlong { axis: 1 }, &[s, i]).unwrap()];
    let p = plan_with(&g, Options::default()).unwrap();
    assert!(p.is_parallel() && sweeps(p.body()) > 0, "{p}");
    let mut at = vec![0.0; n * m];
    (at[40 * m + 3], at[290 * m + 1]) = (500.0, 700.0);
    let inputs = [data(&[n, m], 13), Array::new(DType::Real, vec![n, m], at).unwrap()];
    for threads in [1, 2, 5] {
        let f = Executor::new(Arc::new(p.clone())).run(&inputs, &control(threads)).unwrap_err();
        assert!(matches!(f, Fault::Index { index: 500.0, len: 400, .. }), "{f:?}");
    }
}

/// Large instructions by themselves: elementwise chains, products of matrices, batches.
#[test]
fn large_instructions() {
    let n = 200_001;
    let mut g = Graph::new();
    let x = real(&mut g, &[n]);
    let mut b = Build::new(&mut g, Origin::default());
    let t = b.tanh(x).unwrap();
    let e = b.exp(t).unwrap();
    g.outputs = vec![b.mul(t, e).unwrap()];
    check(&g, &[data(&[n], 14)], true, true);

    let mut g = Graph::new();
    let (x, y) = (real(&mut g, &[600, 90]), real(&mut g, &[90, 70]));
    let mut b = Build::new(&mut g, Origin::default());
    g.outputs = vec![b.matmul(x, y).unwrap()];
    check(&g, &[data(&[600, 90], 15), data(&[90, 70], 16)], false, true);

    let mut g = Graph::new();
    let (x, y) = (real(&mut g, &[40, 30, 50]), real(&mut g, &[40, 50, 45]));
    let mut b = Build::new(&mut g, Origin::default());
    let p = b.matmul(x, y).unwrap();
    g.outputs = vec![b.tanh(p).unwrap()];
    check(&g, &[data(&[40, 30, 50], 17), data(&[40, 50, 45], 18)], true, true);
}

/// A loop without carries: each step sorts a row, runs a loop of its own with carries, and draws random numbers. The steps
/// run side by side, each with its own temporaries.
fn rows_in_a_loop(n: usize, m: usize) -> Graph {
    let mut inner = Graph::new();
    inner.param(Ty::scalar(DType::Int), Origin::default());
    let a = inner.param(Ty::real(Shape::of(&[m])), Origin::default());
    let z = inner.param(Ty::real(Shape::of(&[m])), Origin::default());
    let s = inner.param(Ty::real(Shape::of(&[m])), Origin::default());
    let mut b = Build::new(&mut inner, Origin::default());
    let half = b.real(0.5).unwrap();
    let t = b.mul(a, half).unwrap();
    let t = b.add(t, s).unwrap();
    let t = b.sub(t, z).unwrap();
    inner.outputs = vec![t, a];
    let inner = Loop {
        trip: Trip::Count(Dim::from(3)),
        carries: 2,
        scanned: 0,
        collected: 0,
        cond: None,
        body: Arc::new(inner),
        label: "inner".into(),
    };
    let mut body = Graph::new();
    let i = body.param(Ty::scalar(DType::Int), Origin::default());
    let row = body.param(Ty::real(Shape::of(&[m])), Origin::default());
    let shift = body.param(Ty::real(Shape::of(&[m])), Origin::default());
    let mut b = Build::new(&mut body, Origin::default());
    let s = b.op(Op::Sort { axis: 0, descending: true }, &[row]).unwrap();
    let c = b.op(Op::Cumulative { op: Cumulative::Sum, axis: 0, reverse: false }, &[s]).unwrap();
    let l = b.op(Op::Loop(Box::new(inner)), &[c, shift, s]).unwrap();
    let t = b.get(l, 1).unwrap();
    let t = b.tanh(t).unwrap();
    let key = b.op(Op::Key, &[i]).unwrap();
    let u = b.op(Op::Uniform(Shape::of(&[m])), &[key]).unwrap();
    let y = b.mul(t, u).unwrap();
    let norm = b.dot(y, y).unwrap();
    body.outputs = vec![y, norm];
    let outer = Loop {
        trip: Trip::Count(Dim::from(n)),
        carries: 0,
        scanned: 1,
        collected: 2,
        cond: None,
        body: Arc::new(body),
        label: "rows".into(),
    };
    let mut g = Graph::new();
    let (x, shift) = (real(&mut g, &[n, m]), real(&mut g, &[m]));
    let mut b = Build::new(&mut g, Origin::default());
    let t = b.tanh(x).unwrap();
    let l = b.op(Op::Loop(Box::new(outer)), &[t, shift]).unwrap();
    g.outputs = vec![b.get(l, 1).unwrap(), b.get(l, 2).unwrap()];
    g
}

#[test]
fn parallel_loops() {
    let (n, m) = (150, 130);
    let g = rows_in_a_loop(n, m);
    let inputs = [data(&[n, m], 19), data(&[m], 20)];
    let p = check(&g, &inputs, true, true);
    // Steps of inner loops are counted whoever runs them.
    let mut e = Executor::new(Arc::new(p));
    let mut counts = Vec::new();
    for threads in [1, 2, 5] {
        e.run(&inputs, &control(threads)).unwrap();
        counts.push(e.steps().to_vec());
    }
    assert!(counts.iter().all(|c| c == &counts[0] && c.iter().sum::<u64>() == (n + 3 * n) as u64), "{counts:?}");
}
