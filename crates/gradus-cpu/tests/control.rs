//! Faults, limits, the search for numbers that are not finite.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_cpu::{Control, Executor, Fault};
use gradus_ir::build::Build;
use gradus_ir::{Array, DType, Dim, Graph, Loop, NodeId, Op, Origin, Shape, Trip, Ty, UnaryOp};
use gradus_plan::{Options, plan, plan_with};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

fn at(n: u32) -> Origin {
    Origin { file: 1, start: n, end: n + 1 }
}

/// `for _ in 0..count from x { f(step, x) }`
fn repeat(g: &mut Graph, x: NodeId, count: usize, f: impl FnOnce(&mut Build<'_>, NodeId, NodeId) -> NodeId) -> NodeId {
    let mut body = Graph::new();
    let i = body.param(Ty::scalar(DType::Int), Origin::default());
    let c = body.param(g.ty(x).clone(), Origin::default());
    let out = f(&mut Build::new(&mut body, Origin::default()), i, c);
    body.outputs = vec![out];
    let l = Loop {
        trip: Trip::Count(Dim::from(count)),
        carries: 1,
        scanned: 0,
        collected: 0,
        cond: None,
        body: Arc::new(body),
        label: "repeat".into(),
    };
    let mut b = Build::new(g, Origin::default());
    let l = b.op(Op::Loop(Box::new(l)), &[x]).unwrap();
    b.get(l, 1).unwrap()
}

fn endless() -> (Executor, [Array; 1]) {
    let mut g = Graph::new();
    let x = g.param(Ty::scalar(DType::Real), Origin::default());
    let out = repeat(&mut g, x, 1 << 40, |b, _, c| b.un(UnaryOp::Cos, c).unwrap());
    g.outputs = vec![out];
    (Executor::new(Arc::new(plan(&g).unwrap())), [Array::scalar(1.0)])
}

#[test]
fn deadline() {
    let (mut e, x) = endless();
    let control = Control { deadline: Some(Instant::now() + Duration::from_millis(20)), ..Control::default() };
    assert_eq!(e.run(&x, &control), Err(Fault::TimeLimit));
    // The executor can be used again.
    let control = Control { deadline: Some(Instant::now()), ..Control::default() };
    assert_eq!(e.run(&x, &control), Err(Fault::TimeLimit));
}

#[test]
fn cancel() {
    let (mut e, x) = endless();
    let token = Arc::new(AtomicBool::new(false));
    let setter = token.clone();
    let t = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(10));
        setter.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    let control = Control { cancel: Some(token), ..Control::default() };
    assert_eq!(e.run(&x, &control), Err(Fault::Cancelled));
    t.join().unwrap();
    assert_eq!(e.run(&x, &control), Err(Fault::Cancelled));
}

#[test]
fn memory() {
    let mut g = Graph::new();
    let x = g.param(Ty::real(Shape::of(&[1000, 1000])), Origin::default());
    let mut b = Build::new(&mut g, Origin::default());
    let y = b.matmul(x, x).unwrap();
    g.outputs = vec![y];
    let p = Arc::new(plan(&g).unwrap());
    assert!(p.peak_bytes() >= 8_000_000);
    let input = Array::new(DType::Real, vec![1000, 1000], vec![0.0; 1_000_000]).unwrap();
    let control = Control { memory_limit: Some(1 << 20), ..Control::default() };
    match Executor::new(p).run(&[input], &control) {
        Err(Fault::Memory { needed, limit }) => assert!(needed >= 8_000_000 && limit == 1 << 20),
        other => panic!("{other:?}"),
    }
}

#[test]
fn wrong_inputs_are_refused() {
    let (mut e, _) = endless();
    assert!(matches!(e.run(&[], &Control::default()), Err(Fault::Internal(_))));
    assert!(matches!(e.run(&[Array::vector(vec![1.0])], &Control::default()), Err(Fault::Internal(_))));
}

#[test]
fn index_outside() {
    for bad in [3.0, -1.0, 0.5, f64::NAN, 1e300] {
        for kind in 0..3 {
            let mut g = Graph::new();
            let x = g.param(Ty::real(Shape::of(&[3])), Origin::default());
            let i = g.param(Ty::new(DType::Int, Shape::of(&[2])), Origin::default());
            let op = [Op::Take { axis: 0 }, Op::TakeAlong { axis: 0 }, Op::ScatterAdd { axis: 0 }][kind].clone();
            let u = g.param(Ty::real(Shape::of(&[2])), Origin::default());
            let args: &[NodeId] = if kind == 2 { &[x, i, u] } else { &[x, i] };
            let y = g.add(op, args, at(7)).unwrap();
            g.outputs = vec![y];
            let inputs = [
                Array::vector(vec![1.0, 2.0, 3.0]),
                Array::new(DType::Int, vec![2], vec![0.0, bad]).unwrap(),
                Array::vector(vec![1.0, 1.0]),
            ];
            let found = Executor::new(Arc::new(plan(&g).unwrap())).run(&inputs, &Control::default());
            match found {
                Err(Fault::Index { origin, index, len: 3 }) => {
                    assert_eq!(origin, at(7));
                    assert!(index == bad || (index.is_nan() && bad.is_nan()));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A fault in the middle of a loop leaves nothing behind that a later run could see.
#[test]
fn runs_after_a_fault_are_as_before() {
    let mut g = Graph::new();
    let x = g.param(Ty::real(Shape::of(&[50])), Origin::default());
    let limit = g.param(Ty::scalar(DType::Int), Origin::default());
    let out = {
        let mut body = Graph::new();
        let i = body.param(Ty::scalar(DType::Int), Origin::default());
        let a = body.param(Ty::real(Shape::of(&[50])), Origin::default());
        let b0 = body.param(Ty::real(Shape::of(&[50])), Origin::default());
        let l = body.param(Ty::scalar(DType::Int), Origin::default());
        let mut b = Build::new(&mut body, Origin::default());
        // Index `i + limit` leaves the axis in step 50 - limit.
        let at = b.add(i, l).unwrap();
        let v = b.take(a, at, 0).unwrap();
        let next = b.add(b0, v).unwrap();
        body.outputs = vec![next, a];
        let l = Loop {
            trip: Trip::Count(Dim::from(7)),
            carries: 2,
            scanned: 0,
            collected: 0,
            cond: None,
            body: Arc::new(body),
            label: "shift".into(),
        };
        let mut b = Build::new(&mut g, Origin::default());
        let l = b.op(Op::Loop(Box::new(l)), &[x, x, limit]).unwrap();
        vec![b.get(l, 1).unwrap(), b.get(l, 2).unwrap()]
    };
    g.outputs = out;
    let int = |v: f64| Array { dtype: DType::Int, ..Array::scalar(v) };
    let x = Array::vector((0..50).map(f64::from).collect());
    let good = [x.clone(), int(3.0)];
    let want = gradus_ir::reference::run(&g, &good).unwrap();
    let mut e = Executor::new(Arc::new(plan(&g).unwrap()));
    assert_eq!(e.run(&good, &Control::default()).as_ref(), Ok(&want));
    for _ in 0..3 {
        assert!(matches!(e.run(&[x.clone(), int(47.0)], &Control::default()), Err(Fault::Index { index: 50.0, .. })));
        assert_eq!(e.run(&good, &Control::default()).as_ref(), Ok(&want));
    }
}

#[test]
fn executors_can_move_to_other_threads() {
    fn sendable<T: Send>(_: &T) {}
    sendable(&endless().0);
}

fn trap(g: &Graph, inputs: &[Array]) -> Result<Vec<Array>, Fault> {
    let p = plan_with(g, Options::TRACE).unwrap();
    Executor::new(Arc::new(p)).run(inputs, &Control { trap_nonfinite: true, ..Control::default() })
}

#[test]
fn the_first_nan_is_found() {
    let mut g = Graph::new();
    let x = g.param(Ty::real(Shape::of(&[400])), Origin::default());
    let a = g.add(Op::Unary(UnaryOp::Log), &[x], at(1)).unwrap();
    let c = g.add(Op::Unary(UnaryOp::Exp), &[a], at(2)).unwrap();
    let d = g.add(Op::Binary(gradus_ir::BinaryOp::Add), &[c, a], at(3)).unwrap();
    let s = g.add(Op::Reduce(gradus_ir::ReduceOp::Sum, vec![0]), &[d], at(4)).unwrap();
    g.outputs = vec![s];
    let mut data = vec![1.0; 400];
    assert_eq!(trap(&g, &[Array::vector(data.clone())]).unwrap()[0].data[0], 400.0);
    // A NaN that comes in is nobody's fault here.
    data[3] = f64::NAN;
    assert!(trap(&g, &[Array::vector(data.clone())]).is_ok());
    // An infinity is reported only where no NaN follows.
    data[3] = 0.0;
    match trap(&g, &[Array::vector(data.clone())]) {
        Err(Fault::NonFinite { origin, op: "log", value, steps }) => {
            assert_eq!((origin, value, steps), (at(1), f64::NEG_INFINITY, vec![]));
        }
        other => panic!("{other:?}"),
    }
    data[300] = -1.0;
    match trap(&g, &[Array::vector(data)]) {
        Err(Fault::NonFinite { origin, op: "log", value, .. }) => assert!(origin == at(1) && value.is_nan()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_nan_made_of_an_infinity_is_blamed_on_the_infinity() {
    let mut g = Graph::new();
    let x = g.param(Ty::scalar(DType::Real), Origin::default());
    let l = g.add(Op::Unary(UnaryOp::Log), &[x], at(1)).unwrap();
    let n = g.add(Op::Binary(gradus_ir::BinaryOp::Mul), &[l, x], at(2)).unwrap();
    g.outputs = vec![n];
    match trap(&g, &[Array::scalar(0.0)]) {
        Err(Fault::NonFinite { origin, op: "log", value, .. }) => assert_eq!((origin, value), (at(1), f64::NEG_INFINITY)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_nan_tells_its_step() {
    let mut g = Graph::new();
    let x = g.param(Ty::real(Shape::of(&[3])), Origin::default());
    let out = repeat(&mut g, x, 5, |b, _, c| {
        repeat(b.graph, c, 4, |b, i, c| {
            let one = b.real(0.1).unwrap();
            let step = b.sub(c, one).unwrap();
            let bound = b.int(100).unwrap();
            let go = b.lt(i, bound).unwrap();
            let next = b.select(go, step, c).unwrap();
            let root = b.op(Op::Unary(UnaryOp::Sqrt), &[next]).unwrap();
            let zero = b.real(0.0).unwrap();
            let nothing = b.mul(root, zero).unwrap();
            b.add(next, nothing).unwrap()
        })
    });
    g.outputs = vec![out];
    // 1 - 0.1 k < 0 first at the eleventh subtraction (k = 10 leaves a rounding error above zero): step 2 of outer step 2.
    let value = (0..).scan(1.0, |x, k| {
        *x -= 0.1;
        Some((k, *x))
    });
    let first = value.into_iter().find(|(_, x)| *x < 0.0).unwrap().0 as u64;
    match trap(&g, &[Array::vector(vec![10.0, 1.0, 10.0])]) {
        Err(Fault::NonFinite { op: "sqrt", value, steps, .. }) => {
            assert!(value.is_nan());
            assert_eq!(steps, vec![first / 4, first % 4]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn clock_counts_from_the_beginning() {
    let mut g = Graph::new();
    let x = g.param(Ty::scalar(DType::Real), Origin::default());
    let mut b = Build::new(&mut g, Origin::default());
    let t = b.op(Op::Clock, &[x]).unwrap();
    g.outputs = vec![t];
    let mut e = Executor::new(Arc::new(plan(&g).unwrap()));
    let started = Instant::now().checked_sub(Duration::from_secs(100)).unwrap();
    let later = e.run(&[Array::scalar(0.0)], &Control { started: Some(started), ..Control::default() }).unwrap();
    let now = e.run(&[Array::scalar(0.0)], &Control::default()).unwrap();
    assert!(later[0].data[0] >= 100.0 && now[0].data[0] < 50.0);
}

/// Seven steps of three steps of a product: every loop is counted, twice the same, and the work follows from the counts.
#[test]
fn steps_and_work_of_nested_loops() {
    let mut g = Graph::new();
    let x = g.param(Ty::real(Shape::of(&[20])), Origin::default());
    let out = repeat(&mut g, x, 7, |b, _, c| {
        let inner = repeat(b.graph, c, 3, |b, _, c| b.un(UnaryOp::Tanh, c).unwrap());
        b.add(inner, c).unwrap()
    });
    g.outputs = vec![out];
    let plan = Arc::new(plan(&g).unwrap());
    let mut e = Executor::new(plan.clone());
    assert!(e.steps().is_empty());
    for _ in 0..2 {
        e.run(&[Array::vector(vec![0.1; 20])], &Control::default()).unwrap();
        let mut counts: Vec<u64> = e.steps().iter().copied().filter(|n| *n > 0).collect();
        counts.sort();
        assert_eq!(counts, [7, 21]);
        let (main, steps, _) = plan.main_loop(e.steps()).unwrap();
        assert_eq!((main.bound, steps), (7, 7));
        let w = plan.work(e.steps());
        assert_eq!(w.flops, (21 + 7) as f64 * 20.0, "{plan}");
        assert!(w.kernels >= 28.0);
    }
}
