//! The array tier against hand-written loops and against itself without sweeps and threads, all in one run.
//!
//! `cargo bench -p gradus-cpu [-- PART OF A NAME] [--plan]`. Figures are minima of alternating runs; only those of one run
//! may be compared with each other. What runs on one thread is timed by that thread's clock, which stands still while
//! others have the core; the column of threads and the hand-written loops that use several are timed by the wall clock.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_cpu::{Control, Executor, Threads};
use gradus_ir::build::Build;
use gradus_ir::{Array, DType, Dim, Graph, Loop, NodeId, Op, Origin, ReduceOp, Shape, Trip, Ty, UnaryOp};
use gradus_plan::{Options, plan_with};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

#[cfg(target_os = "linux")]
fn own_seconds() -> f64 {
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
    }
    const THREAD: i32 = 3;
    let mut t = [0i64; 2];
    // SAFETY: the system writes seconds and nanoseconds.
    unsafe { clock_gettime(THREAD, &raw mut t) };
    t[0] as f64 + t[1] as f64 * 1e-9
}

#[cfg(not(target_os = "linux"))]
fn own_seconds() -> f64 {
    wall_seconds()
}

fn wall_seconds() -> f64 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}

/// A counted loop over `carries` with captured values; the results are its carries.
fn repeat(
    g: &mut Graph,
    steps: usize,
    carries: &[NodeId],
    captures: &[NodeId],
    f: impl FnOnce(&mut Build<'_>, &[NodeId], &[NodeId]) -> Vec<NodeId>,
) {
    let mut body = Graph::new();
    body.param(Ty::scalar(DType::Int), Origin::default());
    let mut params =
        |n: &[NodeId]| -> Vec<NodeId> { n.iter().map(|n| body.param(g.ty(*n).clone(), Origin::default())).collect() };
    let (c, k) = (params(carries), params(captures));
    let out = f(&mut Build::new(&mut body, Origin::default()), &c, &k);
    body.outputs = out;
    let l = Loop {
        trip: Trip::Count(Dim::from(steps)),
        carries: carries.len(),
        scanned: 0,
        collected: 0,
        cond: None,
        body: Arc::new(body),
        label: "steps".into(),
    };
    let inputs: Vec<NodeId> = carries.iter().chain(captures).copied().collect();
    let mut b = Build::new(g, Origin::default());
    let l = b.op(Op::Loop(Box::new(l)), &inputs).unwrap();
    g.outputs = (0..carries.len()).map(|k| b.get(l, 1 + k).unwrap()).collect();
}

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

struct Case {
    name: &'static str,
    graph: Graph,
    inputs: Vec<Array>,
    steps: usize,
    /// One step by hand, if there is such a loop here.
    hand: Option<Box<dyn FnMut()>>,
    /// Does it use all cores?
    wide: bool,
}

fn logistic(name: &'static str, n: usize, d: usize, steps: usize) -> Case {
    let mut g = Graph::new();
    let (x, y, w) = (real(&mut g, &[n, d]), real(&mut g, &[n]), real(&mut g, &[d]));
    repeat(&mut g, steps, &[w], &[x, y], |b, c, k| {
        let z = b.matmul(k[0], c[0]).unwrap();
        let m = b.mul(z, k[1]).unwrap();
        let m = b.neg(m).unwrap();
        let s = b.un(UnaryOp::Sigmoid, m).unwrap();
        let r = b.mul(s, k[1]).unwrap();
        let scale = b.real(-1.0 / n as f64).unwrap();
        let r = b.mul(r, scale).unwrap();
        let xt = b.swap(k[0]).unwrap();
        let gr = b.matmul(xt, r).unwrap();
        vec![b.sub(c[0], gr).unwrap()]
    });
    let inputs = vec![data(&[n, d], 1), data(&[n], 2), data(&[d], 3)];
    // What reading X once costs, on as many threads as there are: the limit.
    let x = inputs[0].data.clone();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let hand: Box<dyn FnMut()> = Box::new(move || {
        if x.len() < 1 << 20 {
            black_box(read_all(&x));
            return;
        }
        std::thread::scope(|s| {
            for part in x.chunks(x.len().div_ceil(threads)) {
                s.spawn(move || black_box(read_all(part)));
            }
        });
    });
    Case { name, graph: g, inputs, steps, hand: Some(hand), wide: n * d >= 1 << 20 }
}

macro_rules! wide {
    ($(fn $name:ident($($arg:ident: $t:ty),*) $(-> $r:ty)? $body:block)*) => {
        $(
            fn $name($($arg: $t),*) $(-> $r)? {
                #[target_feature(enable = "avx2,avx512f,avx512dq,avx512vl")]
                unsafe fn wide($($arg: $t),*) $(-> $r)? $body
                fn narrow($($arg: $t),*) $(-> $r)? $body
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
                    // SAFETY: the machine has it.
                    unsafe { wide($($arg),*) }
                } else {
                    narrow($($arg),*)
                }
            }
        )*
    };
}

wide! {
    fn read_all(x: &[f64]) -> f64 {
        let mut acc = [0.0f64; 64];
        for c in x.chunks_exact(64) {
            for t in 0..64 {
                acc[t] += c[t];
            }
        }
        acc.iter().sum()
    }

    fn adam_by_hand(x: &mut [f64], m: &mut [f64], v: &mut [f64], c: &[f64]) -> () {
        for (((x, m), v), c) in x.iter_mut().zip(m).zip(v).zip(c) {
            let g = *x - c;
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            *x -= 0.01 * *m / (v.sqrt() + 1e-8);
        }
    }
}

fn adam(name: &'static str, n: usize, steps: usize) -> Case {
    let mut g = Graph::new();
    let (c, x, m, v) = (real(&mut g, &[n]), real(&mut g, &[n]), real(&mut g, &[n]), real(&mut g, &[n]));
    repeat(&mut g, steps, &[x, m, v], &[c], |b, c, k| {
        let gr = b.sub(c[0], k[0]).unwrap();
        let mut scaled = |v: NodeId, s: f64| {
            let s = b.real(s).unwrap();
            b.mul(v, s).unwrap()
        };
        let (m0, m1, v0, v1) = (scaled(c[1], 0.9), scaled(gr, 0.1), scaled(c[2], 0.999), scaled(gr, 0.001));
        let m = b.add(m0, m1).unwrap();
        let v1 = b.mul(v1, gr).unwrap();
        let v = b.add(v0, v1).unwrap();
        let root = b.sqrt(v).unwrap();
        let eps = b.real(1e-8).unwrap();
        let d = b.add(root, eps).unwrap();
        let lr = b.real(0.01).unwrap();
        let s = b.mul(m, lr).unwrap();
        let u = b.div(s, d).unwrap();
        vec![b.sub(c[0], u).unwrap(), m, v]
    });
    let zero = Array::new(DType::Real, vec![n], vec![0.0; n]).unwrap();
    let c = data(&[n], 8);
    let (mut hx, mut hm, mut hv, hc) = (vec![0.0; n], vec![0.0; n], vec![0.0; n], c.data.clone());
    let hand: Box<dyn FnMut()> = Box::new(move || adam_by_hand(&mut hx, &mut hm, &mut hv, &hc));
    Case { name, graph: g, inputs: vec![c, zero.clone(), zero.clone(), zero], steps, hand: Some(hand), wide: false }
}

/// `u` and `v` of Sinkhorn's iteration in the log domain.
fn sinkhorn(name: &'static str, n: usize, steps: usize) -> Case {
    let mut g = Graph::new();
    let (c, u, v) = (real(&mut g, &[n, n]), real(&mut g, &[n]), real(&mut g, &[n]));
    repeat(&mut g, steps, &[u, v], &[c], |b, c, k| {
        let full = Shape::of(&[n, n]);
        let eps = b.real(100.0).unwrap();
        let of = |b: &mut Build<'_>, p: NodeId, axis: usize, sum: usize| {
            let p = b.expand(p, axis).unwrap();
            let p = b.broadcast(p, &full).unwrap();
            let d = b.sub(p, k[0]).unwrap();
            let d = b.mul(d, eps).unwrap();
            let l = b.reduce(ReduceOp::LogSumExp, d, &[sum]).unwrap();
            let s = b.real(-0.01).unwrap();
            b.mul(l, s).unwrap()
        };
        let v = of(b, c[0], 1, 0);
        let u = of(b, v, 0, 1);
        vec![u, v]
    });
    let zero = Array::new(DType::Real, vec![n], vec![0.0; n]).unwrap();
    let mut cost = data(&[n, n], 5);
    Arc::get_mut(&mut cost.data).unwrap().iter_mut().for_each(|x| *x = *x * *x);
    Case { name, graph: g, inputs: vec![cost, zero.clone(), zero], steps, hand: None, wide: false }
}

/// Softmax of rows, minus what came before, again and again.
fn softmax(name: &'static str, n: usize, m: usize, steps: usize) -> Case {
    let mut g = Graph::new();
    let x = real(&mut g, &[n, m]);
    repeat(&mut g, steps, &[x], &[], |b, c, _| {
        let full = Shape::of(&[n, m]);
        let l = b.reduce(ReduceOp::LogSumExp, c[0], &[1]).unwrap();
        let l = b.expand(l, 1).unwrap();
        let l = b.broadcast(l, &full).unwrap();
        let d = b.sub(c[0], l).unwrap();
        vec![b.un(UnaryOp::Exp, d).unwrap()]
    });
    Case { name, graph: g, inputs: vec![data(&[n, m], 6)], steps, hand: None, wide: false }
}

/// Columns made to have mean zero and length one.
fn standardize(name: &'static str, n: usize, m: usize, steps: usize) -> Case {
    let mut g = Graph::new();
    let x = real(&mut g, &[n, m]);
    repeat(&mut g, steps, &[x], &[], |b, c, _| {
        let full = Shape::of(&[n, m]);
        let t = b.un(UnaryOp::Tanh, c[0]).unwrap();
        let s = b.reduce(ReduceOp::Sum, t, &[0]).unwrap();
        let k = b.real(1.0 / n as f64).unwrap();
        let s = b.mul(s, k).unwrap();
        let s = b.broadcast(s, &full).unwrap();
        vec![b.sub(c[0], s).unwrap()]
    });
    Case { name, graph: g, inputs: vec![data(&[n, m], 7)], steps, hand: None, wide: false }
}

/// Softmax regression with few classes.
fn classes(name: &'static str, n: usize, d: usize, k: usize, steps: usize) -> Case {
    let mut g = Graph::new();
    let (x, y, w) = (real(&mut g, &[n, d]), real(&mut g, &[n, k]), real(&mut g, &[d, k]));
    repeat(&mut g, steps, &[w], &[x, y], |b, c, p| {
        let full = Shape::of(&[n, k]);
        let z = b.matmul(p[0], c[0]).unwrap();
        let l = b.reduce(ReduceOp::LogSumExp, z, &[1]).unwrap();
        let l = b.expand(l, 1).unwrap();
        let l = b.broadcast(l, &full).unwrap();
        let q = b.sub(z, l).unwrap();
        let q = b.un(UnaryOp::Exp, q).unwrap();
        let r = b.sub(q, p[1]).unwrap();
        let xt = b.swap(p[0]).unwrap();
        let gr = b.matmul(xt, r).unwrap();
        let lr = b.real(0.1 / n as f64).unwrap();
        let gr = b.mul(gr, lr).unwrap();
        vec![b.sub(c[0], gr).unwrap()]
    });
    Case { name, graph: g, inputs: vec![data(&[n, d], 1), data(&[n, k], 2), data(&[d, k], 3)], steps, hand: None, wide: false }
}

/// Gradient steps of a network with one hidden layer on a batch, derived by hand.
fn network(name: &'static str, [n, d, h, k]: [usize; 4], steps: usize) -> Case {
    let mut g = Graph::new();
    let (x, y) = (real(&mut g, &[n, d]), real(&mut g, &[n, k]));
    let weights = [real(&mut g, &[d, h]), real(&mut g, &[h]), real(&mut g, &[h, k]), real(&mut g, &[k])];
    repeat(&mut g, steps, &weights, &[x, y], |b, c, p| {
        let (hidden, out) = (Shape::of(&[n, h]), Shape::of(&[n, k]));
        let row = |b: &mut Build<'_>, v: NodeId, s: &Shape| b.broadcast(v, s).unwrap();
        let z = b.matmul(p[0], c[0]).unwrap();
        let b1 = row(b, c[1], &hidden);
        let z = b.add(z, b1).unwrap();
        let zero = b.real(0.0).unwrap();
        let a = b.maximum(z, zero).unwrap();
        let o = b.matmul(a, c[2]).unwrap();
        let b2 = row(b, c[3], &out);
        let o = b.add(o, b2).unwrap();
        let l = b.reduce(ReduceOp::LogSumExp, o, &[1]).unwrap();
        let l = b.expand(l, 1).unwrap();
        let l = row(b, l, &out);
        let q = b.sub(o, l).unwrap();
        let q = b.exp(q).unwrap();
        let d2 = b.sub(q, p[1]).unwrap();
        let at = b.swap(a).unwrap();
        let g2 = b.matmul(at, d2).unwrap();
        let gb2 = b.reduce(ReduceOp::Sum, d2, &[0]).unwrap();
        let wt = b.swap(c[2]).unwrap();
        let da = b.matmul(d2, wt).unwrap();
        let on = b.bin(gradus_ir::BinaryOp::Gt, z, zero).unwrap();
        let none = b.full(0.0, &hidden).unwrap();
        let dz = b.select(on, da, none).unwrap();
        let xt = b.swap(p[0]).unwrap();
        let g1 = b.matmul(xt, dz).unwrap();
        let gb1 = b.reduce(ReduceOp::Sum, dz, &[0]).unwrap();
        let lr = b.real(1e-4).unwrap();
        [g1, gb1, g2, gb2]
            .iter()
            .zip(c)
            .map(|(g, w)| {
                let s = b.mul(*g, lr).unwrap();
                b.sub(*w, s).unwrap()
            })
            .collect()
    });
    let shapes: [&[usize]; 6] = [&[n, d], &[n, k], &[d, h], &[h], &[h, k], &[k]];
    let inputs = shapes.iter().zip(20..).map(|(s, k)| data(s, k)).collect();
    Case { name, graph: g, inputs, steps, hand: None, wide: false }
}

fn sorted_rows(name: &'static str, n: usize, m: usize, steps: usize) -> Case {
    let mut g = Graph::new();
    let (x, z) = (real(&mut g, &[n, m]), real(&mut g, &[n, m]));
    repeat(&mut g, steps, &[z], &[x], |b, c, k| {
        let s = b.op(Op::Sort { axis: 1, descending: true }, &[k[0]]).unwrap();
        let t = b.sub(s, c[0]).unwrap();
        vec![t]
    });
    Case { name, graph: g, inputs: vec![data(&[n, m], 9), data(&[n, m], 10)], steps, hand: None, wide: false }
}

fn gemm(name: &'static str, n: usize, steps: usize) -> Case {
    let mut g = Graph::new();
    let (x, y) = (real(&mut g, &[n, n]), real(&mut g, &[n, n]));
    repeat(&mut g, steps, &[y], &[x], |b, c, k| {
        let p = b.matmul(k[0], c[0]).unwrap();
        vec![b.un(UnaryOp::Tanh, p).unwrap()]
    });
    Case { name, graph: g, inputs: vec![data(&[n, n], 9), data(&[n, n], 10)], steps, hand: None, wide: false }
}

fn main() {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    let cases: Vec<Box<dyn Fn() -> Case>> = vec![
        Box::new(|| logistic("logistic 1000x50", 1000, 50, 50)),
        Box::new(|| logistic("logistic 100000x200", 100_000, 200, 4)),
        Box::new(|| classes("softmax regression 1437x64x10", 1437, 64, 10, 20)),
        Box::new(|| classes("softmax regression 100000x64x10", 100_000, 64, 10, 2)),
        Box::new(|| network("network 128x64x128x10", [128, 64, 128, 10], 20)),
        Box::new(|| sinkhorn("sinkhorn 1000x1000", 1000, 2)),
        Box::new(|| softmax("softmax of rows 1000x1000", 1000, 1000, 3)),
        Box::new(|| standardize("standardize 100000x20", 100_000, 20, 3)),
        Box::new(|| adam("adam 1000", 1000, 200)),
        Box::new(|| adam("adam 10000000", 10_000_000, 10)),
        Box::new(|| sorted_rows("sorted rows 1000x1000", 1000, 1000, 2)),
        Box::new(|| gemm("matmul 64", 64, 20)),
        Box::new(|| gemm("matmul 256", 256, 4)),
        Box::new(|| gemm("matmul 1024", 1024, 1)),
    ];
    println!(
        "{:<34} {:>12} {:>12} {:>12} {:>12} {:>12}   microseconds a step",
        "", "no sweeps", "sweeps", "(wall)", "threads", "by hand"
    );
    for make in cases {
        let mut case = make();
        if !case.name.contains(filter.as_str()) {
            continue;
        }
        let base = Options::default();
        let one = Control::default();
        let all = Control { threads: Some(Arc::new(Threads::all())), ..Control::default() };
        let mut runs = [
            (Executor::new(Arc::new(plan_with(&case.graph, Options { sweep: false, ..base }).unwrap())), &one),
            (Executor::new(Arc::new(plan_with(&case.graph, base).unwrap())), &one),
            (Executor::new(Arc::new(plan_with(&case.graph, base).unwrap())), &all),
        ];
        if std::env::args().any(|a| a == "--plan") {
            println!("{}", runs[1].0.plan());
        }
        let wide = case.wide;
        let mut best = [f64::INFINITY; 5];
        let started = Instant::now();
        let mut rounds = 0;
        while rounds < 5 || (started.elapsed().as_secs_f64() < 1.5 && rounds < 1000) {
            for (k, (e, control)) in runs.iter_mut().enumerate() {
                let clock: fn() -> f64 = if k == 2 { wall_seconds } else { own_seconds };
                let (t, w) = (clock(), wall_seconds());
                black_box(e.run(&case.inputs, control).unwrap());
                best[k] = best[k].min((clock() - t) / case.steps as f64);
                if k == 1 {
                    best[4] = best[4].min((wall_seconds() - w) / case.steps as f64);
                }
            }
            if let Some(hand) = &mut case.hand {
                let clock: fn() -> f64 = if wide { wall_seconds } else { own_seconds };
                let n = (case.steps / 10).max(1);
                let t = clock();
                for _ in 0..n {
                    hand();
                }
                best[3] = best[3].min((clock() - t) / n as f64);
            }
            rounds += 1;
        }
        let show = |x: f64| if x.is_finite() { format!("{:.2}", x * 1e6) } else { "-".into() };
        let [before, swept, threads, hand, wall] = best.map(show);
        println!("{:<34} {before:>12} {swept:>12} {wall:>12} {threads:>12} {hand:>12}", case.name);
    }
}
