//! Loops allocate nothing: a run of a thousand steps allocates exactly as often as a run of one. And a run takes no more memory
//! than the executor said before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_cpu::{Control, Executor, Threads};
use gradus_ir::build::Build;
use gradus_ir::{Array, DType, Dim, Graph, Loop, Op, Origin, Precision, ReduceOp, Shape, Trip, Ty, UnaryOp};
use gradus_plan::{Options, plan_with};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Bytes in use, and the most that were since the mark was last put down.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Whether peaks are compared with what was said.
static MEASURE: AtomicBool = AtomicBool::new(false);

fn grown(bytes: usize) {
    let now = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: hands everything to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        grown(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(p, layout) }
    }
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // Both may be there while it is copied.
        grown(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's.
        unsafe { System.realloc(p, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A loop whose body has one of everything: products, reductions, views, factorizations, sorting, indexing, draws.
fn graph(n: usize, steps: usize) -> Graph {
    let mut body = Graph::new();
    let i = body.param(Ty::scalar(DType::Int), Origin::default());
    let x = body.param(Ty::real(Shape::of(&[n])), Origin::default());
    let y = body.param(Ty::real(Shape::of(&[n])), Origin::default());
    let a = body.param(Ty::real(Shape::of(&[n, n])), Origin::default());
    let mut b = Build::new(&mut body, Origin::default());
    let at = b.swap(a).unwrap();
    let g = b.matmul(at, x).unwrap();
    let gram = b.matmul(at, a).unwrap();
    let big = b.full(5.0, &Shape::of(&[n])).unwrap();
    let d = b.op(Op::DiagMatrix, &[big]).unwrap();
    let spd = b.add(gram, d).unwrap();
    let l = b.op(Op::Cholesky, &[spd]).unwrap();
    let s1 = b.op(Op::TriangularSolve { lower: true, transposed: false }, &[l, g]).unwrap();
    let s2 = b.op(Op::Solve { transposed: false }, &[spd, g]).unwrap();
    let det = b.op(Op::Det, &[l]).unwrap();
    let e = b.op(Op::Eigh, &[spd]).unwrap();
    let w = b.get(e, 0).unwrap();
    let svd = b.op(Op::Svd, &[a]).unwrap();
    let sv = b.get(svd, 1).unwrap();
    let qr = b.op(Op::Qr, &[a]).unwrap();
    let r = b.get(qr, 1).unwrap();
    let rd = b.op(Op::Diagonal, &[r]).unwrap();
    let key = b.op(Op::Key, &[i]).unwrap();
    let z = b.op(Op::Normal(Shape::of(&[n])), &[key]).unwrap();
    let p = b.op(Op::Permutation(n.into()), &[key]).unwrap();
    let picked = b.take(z, p, 0).unwrap();
    let sorted = b.op(Op::Sort { axis: 0, descending: false }, &[picked]).unwrap();
    let order = b.op(Op::ArgSort { axis: 0, descending: true }, &[z]).unwrap();
    let lse = b.reduce(ReduceOp::LogSumExp, spd, &[1]).unwrap();
    let columns = b.reduce(ReduceOp::Sum, spd, &[0]).unwrap();
    let set = b.op(Op::ScatterSet { axis: 0 }, &[y, p, z]).unwrap();
    let mut total = set;
    for v in [s1, s2, w, sv, rd, sorted, order, lse, columns, x] {
        let t = b.un(UnaryOp::Tanh, v).unwrap();
        total = b.add(total, t).unwrap();
    }
    let log = b.un(UnaryOp::Atan, det).unwrap();
    total = b.add(total, log).unwrap();
    let next = b.un(UnaryOp::Tanh, total).unwrap();
    let row = b.sum_all(next).unwrap();
    body.outputs = vec![next, x, row];
    let l = Loop {
        trip: Trip::Count(Dim::from(steps)),
        carries: 2,
        scanned: 0,
        collected: 1,
        cond: None,
        body: Arc::new(body),
        label: "all".into(),
    };
    let mut g = Graph::new();
    let x = g.param(Ty::real(Shape::of(&[n])), Origin::default());
    let a = g.param(Ty::real(Shape::of(&[n, n])), Origin::default());
    let mut b = Build::new(&mut g, Origin::default());
    let l = b.op(Op::Loop(Box::new(l)), &[x, x, a]).unwrap();
    let (x, c) = (b.get(l, 1).unwrap(), b.get(l, 3).unwrap());
    g.outputs = vec![x, c];
    g
}

fn allocations(n: usize, steps: usize, precision: Precision) -> usize {
    let inputs = [
        Array::vector((0..n).map(|k| (k as f64).sin()).collect()),
        Array::new(DType::Real, vec![n, n], (0..n * n).map(|k| (k as f64 * 0.7).cos()).collect()).unwrap(),
    ];
    let mut e = Executor::new(Arc::new(plan_with(&graph(n, steps), Options { precision, ..Options::default() }).unwrap()));
    // The first run allocates the memory; the second only its results.
    let said = e.bytes();
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let out = e.run(&inputs, &Control::default()).unwrap();
    let peak = PEAK.load(Ordering::Relaxed) - before;
    let results: usize = out.iter().map(|a| 8 * a.data.len() + 200).sum();
    let measured = MEASURE.load(Ordering::Relaxed);
    assert!(!measured || peak <= said + results + 1000, "{n} x {steps}: {peak} bytes taken, {said} and {results} for the results said");
    assert!(!measured || peak >= said / 2, "{n} x {steps}: {peak} bytes taken, {said} said");
    let before = COUNT.load(Ordering::Relaxed);
    let out = e.run(&inputs, &Control::default()).unwrap();
    let count = COUNT.load(Ordering::Relaxed) - before;
    assert!(out[0].data.iter().all(|x| x.is_finite()));
    count
}

/// Gradient steps of a linear model large enough for threads.
fn descent(steps: usize) -> Graph {
    let (n, d) = (9000, 30);
    let mut body = Graph::new();
    body.param(Ty::scalar(DType::Int), Origin::default());
    let mut param = |dims: &[usize]| body.param(Ty::real(Shape::of(dims)), Origin::default());
    let (w, x, y) = (param(&[d]), param(&[n, d]), param(&[n]));
    let mut b = Build::new(&mut body, Origin::default());
    let z = b.matmul(x, w).unwrap();
    let m = b.mul(z, y).unwrap();
    let s = b.un(UnaryOp::Sigmoid, m).unwrap();
    let xt = b.swap(x).unwrap();
    let g = b.matmul(xt, s).unwrap();
    let lr = b.real(1e-5).unwrap();
    let g = b.mul(g, lr).unwrap();
    body.outputs = vec![b.sub(w, g).unwrap()];
    let l = Loop {
        trip: Trip::Count(Dim::from(steps)),
        carries: 1,
        scanned: 0,
        collected: 0,
        cond: None,
        body: Arc::new(body),
        label: "descent".into(),
    };
    let mut g = Graph::new();
    let mut param = |dims: &[usize]| g.param(Ty::real(Shape::of(dims)), Origin::default());
    let inputs = [param(&[d]), param(&[n, d]), param(&[n])];
    let mut b = Build::new(&mut g, Origin::default());
    let l = b.op(Op::Loop(Box::new(l)), &inputs).unwrap();
    g.outputs = vec![b.get(l, 1).unwrap()];
    g
}

fn allocations_on_threads(steps: usize) -> usize {
    let wave = |n: usize| (0..n).map(|k| (k as f64 * 0.7).cos()).collect::<Vec<f64>>();
    let inputs = [
        Array::vector(wave(30)),
        Array::new(DType::Real, vec![9000, 30], wave(270_000)).unwrap(),
        Array::vector(wave(9000)),
    ];
    let plan = plan_with(&descent(steps), Options::default()).unwrap();
    assert!(plan.is_parallel(), "{plan}");
    let mut e = Executor::new(Arc::new(plan));
    let two = std::num::NonZeroUsize::new(2).unwrap();
    let control = Control { threads: Some(Arc::new(Threads::new(two))), ..Control::default() };
    // The first runs start the threads and allocate their memory.
    for _ in 0..3 {
        e.run(&inputs, &control).unwrap();
    }
    let before = COUNT.load(Ordering::Relaxed);
    e.run(&inputs, &control).unwrap();
    COUNT.load(Ordering::Relaxed) - before
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn loops_allocate_nothing() {
    for precision in [Precision::F64, Precision::F32] {
        // The library of matrix products keeps buffers of its own, made once in a thread.
        MEASURE.store(false, Ordering::Relaxed);
        allocations(260, 1, precision);
        MEASURE.store(true, Ordering::Relaxed);
        for (n, steps) in [(5, 500), (30, 200), (260, 4)] {
            let (one, many) = (allocations(n, 1, precision), allocations(n, steps, precision));
            assert_eq!(one, many, "size {n}, {precision}");
            assert!(one < 20, "{one} allocations for a run");
        }
    }
    // Nor do threads.
    let (one, many) = (allocations_on_threads(1), allocations_on_threads(50));
    assert_eq!(one, many);
    assert!(one < 20, "{one} allocations for a run");
}
