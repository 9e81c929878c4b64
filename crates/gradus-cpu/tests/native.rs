//! Native code against the interpreter: the same bits, the same faults, the same limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_cpu::{Control, Executor, Fault, NativeCode, tiers};
use gradus_ir::build::Build;
use gradus_ir::{
    Array, BinaryOp, Cumulative, DType, Dim, Graph, Loop, NodeId, Op, Origin, Precision, ReduceOp, Shape, Trip, Ty, UnaryOp,
};
use gradus_plan::{Options, plan_with};
use std::sync::Arc;
use std::time::{Duration, Instant};

type Step<'a> = &'a dyn Fn(&mut Build<'_>, NodeId, &[NodeId]) -> Vec<NodeId>;
type Test<'a> = &'a dyn Fn(&mut Build<'_>, NodeId, &[NodeId]) -> NodeId;

/// A loop over the values; the results of a step beyond the carries are collected. `upto` says when a while loop goes on.
fn looped(b: &mut Build<'_>, values: &[NodeId], tys: &[Ty], steps: usize, upto: Option<Test<'_>>, step: Step<'_>) -> NodeId {
    let region = |outputs: &mut dyn FnMut(&mut Build<'_>, NodeId, &[NodeId]) -> Vec<NodeId>| {
        let mut g = Graph::new();
        let i = g.param(Ty::scalar(DType::Int), Origin::default());
        let params: Vec<NodeId> = tys.iter().map(|t| g.param(t.clone(), Origin::default())).collect();
        let out = outputs(&mut Build::new(&mut g, Origin::default()), i, &params);
        g.outputs = out;
        Arc::new(g)
    };
    let body = region(&mut |b, i, p| step(b, i, p));
    let cond = upto.map(|t| region(&mut |b, i, p| vec![t(b, i, p)]));
    let bound = Dim::from(steps);
    let l = Loop {
        trip: if cond.is_some() { Trip::While { limit: bound } } else { Trip::Count(bound) },
        carries: values.len(),
        scanned: 0,
        collected: body.outputs.len() - values.len(),
        cond,
        body,
        label: "loop".into(),
    };
    b.op(Op::Loop(Box::new(l)), values).unwrap()
}

/// Every tier gives the same bits at both precisions, twice; the outputs at double precision come back.
fn same(g: &Graph, inputs: &[Array]) -> Vec<Array> {
    let mut doubles = Vec::new();
    for precision in [Precision::F32, Precision::F64] {
        let plan = Arc::new(plan_with(g, Options { precision, ..Options::default() }).unwrap());
        assert!(tiers(&plan).contains("loop "), "{plan}");
        let run = |native| {
            let mut e = Executor::new(plan.clone());
            let control = Control { native, ..Control::default() };
            let first = e.run(inputs, &control).unwrap();
            let steps = e.steps().to_vec();
            assert_eq!(format!("{first:?}"), format!("{:?}", e.run(inputs, &control).unwrap()));
            (first, steps)
        };
        let off = run(NativeCode::Off);
        for native in [NativeCode::On, NativeCode::Auto] {
            assert_eq!(format!("{off:?}"), format!("{:?}", run(native)), "{native:?} {precision}\n{plan}");
        }
        doubles = off.0;
    }
    doubles
}

fn vector(n: usize) -> Array {
    Array::vector((0..n).map(|k| (k as f64 * 0.7 + 0.3).sin()).collect())
}

/// Carries of every length: copied, exchanged as values, exchanged in memory, with work that native code has and has not.
#[test]
fn carries_of_many_lengths() {
    for n in [1, 2, 4, 5, 8, 16, 17, 40, 300] {
        for steps in [1, 2, 7, 9000] {
            let ty = Ty::real(Shape::of(&[n]));
            let mut g = Graph::new();
            let x = g.param(ty.clone(), Origin::default());
            let mut b = Build::new(&mut g, Origin::default());
            let l = looped(&mut b, &[x, x], &[ty.clone(), ty], steps, None, &|b, i, p| {
                let turned = b.op(Op::Reverse { axis: 0 }, &[p[0]]).unwrap();
                let sum = b.sum_all(p[1]).unwrap();
                let next = b.add(turned, sum).unwrap();
                let k = b.un(UnaryOp::ToReal, i).unwrap();
                let next = b.add(next, k).unwrap();
                let next = b.un(UnaryOp::Sin, next).unwrap();
                vec![next, turned]
            });
            let (p, q) = (b.get(l, 1).unwrap(), b.get(l, 2).unwrap());
            g.outputs = vec![p, q];
            same(&g, &[vector(n)]);
        }
    }
}

/// Collected rows, of which a loop that ends early leaves some at zero; the steps done are counted.
#[test]
fn collected_rows_and_early_ends() {
    for end in [0.0, 1.0, 5.0, 5000.0, 1e9] {
        let mut g = Graph::new();
        let x = g.param(Ty::scalar(DType::Real), Origin::default());
        let mut b = Build::new(&mut g, Origin::default());
        let go: Test<'_> = &|b, _, p| {
            let end = b.real(end).unwrap();
            b.bin(BinaryOp::Lt, p[0], end).unwrap()
        };
        let l = looped(&mut b, &[x], &[Ty::scalar(DType::Real)], 6000, Some(go), &|b, _, p| {
            let one = b.real(1.0).unwrap();
            let next = b.add(p[0], one).unwrap();
            let s = b.un(UnaryOp::Square, next).unwrap();
            vec![next, s]
        });
        g.outputs = (0..3).map(|k| Build::new(&mut g, Origin::default()).get(l, k).unwrap()).collect();
        let out = same(&g, &[Array::scalar(0.5)]);
        assert_eq!(out[0].as_scalar(), Some((end - 0.5).ceil().clamp(0.0, 6000.0)));
    }
}

/// Loops and branches inside loops, values that only one branch changes, a loop that collects inside a loop.
#[test]
fn nested_loops_and_branches() {
    let real = Ty::scalar(DType::Real);
    let mut g = Graph::new();
    let x = g.param(real.clone(), Origin::default());
    let mut b = Build::new(&mut g, Origin::default());
    let l = looped(&mut b, &[x, x], &[real.clone(), real.clone()], 3000, None, &|b, i, p| {
        let small: Test<'_> = &|b, _, p| {
            let two = b.real(2.0).unwrap();
            b.bin(BinaryOp::Lt, p[0], two).unwrap()
        };
        let inner = looped(b, &[p[0]], std::slice::from_ref(&real), 20, Some(small), &|b, _, p| {
            let f = b.real(1.25).unwrap();
            let next = b.mul(p[0], f).unwrap();
            vec![next, next]
        });
        let (steps, value, rows) = (b.get(inner, 0).unwrap(), b.get(inner, 1).unwrap(), b.get(inner, 2).unwrap());
        let branch = |f: f64| {
            let mut g = Graph::new();
            let (u, v) = (g.param(real.clone(), Origin::default()), g.param(real.clone(), Origin::default()));
            let mut b = Build::new(&mut g, Origin::default());
            let f = b.real(f).unwrap();
            let y = b.mul(u, f).unwrap();
            g.outputs = vec![y, v];
            Arc::new(g)
        };
        let odd = b.int(2).unwrap();
        let odd = b.bin(BinaryOp::Mod, i, odd).unwrap();
        let zero = b.int(0).unwrap();
        let odd = b.bin(BinaryOp::Gt, odd, zero).unwrap();
        let c = b.op(Op::Cond { then: branch(0.3), other: branch(-0.4) }, &[odd, value, p[1]]).unwrap();
        let (y, z) = (b.get(c, 0).unwrap(), b.get(c, 1).unwrap());
        let top = b.reduce(ReduceOp::Max, rows, &[0]).unwrap();
        let steps = b.un(UnaryOp::ToReal, steps).unwrap();
        let z = b.add(z, steps).unwrap();
        let z = b.add(z, top).unwrap();
        vec![y, z]
    });
    g.outputs = (1..3).map(|k| Build::new(&mut g, Origin::default()).get(l, k).unwrap()).collect();
    same(&g, &[Array::scalar(0.7)]);
}

/// Every elementwise function and comparison, on values that reach zeros, infinities and NaN.
#[test]
fn every_function() {
    for base in [0.9, -1.3, 0.0, -0.0, f64::INFINITY, f64::NAN, 2.5] {
        let real = Ty::scalar(DType::Real);
        let mut g = Graph::new();
        let x = g.param(real.clone(), Origin::default());
        let mut b = Build::new(&mut g, Origin::default());
        let l = looped(&mut b, &[x], &[real], 5, None, &|b, i, p| {
            let mut all = vec![b.un(UnaryOp::Neg, p[0]).unwrap()];
            for op in UnaryOp::ALL {
                if let Ok(y) = b.un(*op, p[0]) {
                    // Whole numbers that single precision does not have would be refused at the end.
                    let y = if *op == UnaryOp::ToInt { b.un(UnaryOp::ToReal, y).unwrap() } else { y };
                    all.push(y);
                }
            }
            let k = b.un(UnaryOp::ToReal, i).unwrap();
            for op in BinaryOp::ALL {
                if let Ok(y) = b.bin(*op, p[0], k) {
                    all.push(y);
                }
            }
            for e in [0.5, 1.0, 2.0, 3.0, -1.0, 1e-300, 2.000000001] {
                let e = b.real(e).unwrap();
                let y = b.bin(BinaryOp::Pow, p[0], e).unwrap();
                all.push(b.bin(BinaryOp::Sub, e, y).unwrap());
            }
            all
        });
        let n = g.node(l).tys.len();
        g.outputs = (1..n).map(|k| Build::new(&mut g, Origin::default()).get(l, k).unwrap()).collect();
        let inputs = [Array::scalar(base)];
        same(&g, &inputs);
    }
}

/// Reductions, products and kernels of a few numbers, at the sizes where their order changes.
#[test]
fn small_arrays() {
    for n in [1, 2, 3, 4, 5, 7, 8, 9, 11, 16, 20] {
        for m in [1, 2, 3, 5] {
            let (v, a) = (Ty::real(Shape::of(&[n])), Ty::real(Shape::of(&[m, n])));
            let mut g = Graph::new();
            let (x, w) = (g.param(v.clone(), Origin::default()), g.param(a.clone(), Origin::default()));
            let mut b = Build::new(&mut g, Origin::default());
            let l = looped(&mut b, &[x, w], &[v, a], 50, None, &|b, _, p| {
                let y = b.matmul(p[1], p[0]).unwrap();
                let t = b.swap(p[1]).unwrap();
                let z = b.matmul(t, y).unwrap();
                let gram = b.matmul(p[1], t).unwrap();
                let outer = b.matmul(t, p[1]).unwrap();
                let mut total = b.dot(p[0], p[0]).unwrap();
                for op in [ReduceOp::Sum, ReduceOp::Prod, ReduceOp::Max, ReduceOp::Min, ReduceOp::LogSumExp] {
                    for (x, axes) in [(p[0], vec![0]), (gram, vec![0]), (gram, vec![1]), (outer, vec![0, 1])] {
                        let r = b.reduce(op, x, &axes).unwrap();
                        let r = if b.shape(r).is_scalar() { r } else { b.sum_all(r).unwrap() };
                        let r = b.un(UnaryOp::Tanh, r).unwrap();
                        total = b.add(total, r).unwrap();
                    }
                }
                for op in [Cumulative::Sum, Cumulative::Prod, Cumulative::Max] {
                    for reverse in [false, true] {
                        let c = b.op(Op::Cumulative { op, axis: 0, reverse }, &[p[1]]).unwrap();
                        let s = b.sum_all(c).unwrap();
                        total = b.add(total, s).unwrap();
                    }
                }
                let d = b.op(Op::DiagMatrix, &[y]).unwrap();
                let s = b.sum_all(d).unwrap();
                total = b.add(total, s).unwrap();
                let next = b.add(z, total).unwrap();
                let next = b.un(UnaryOp::Sin, next).unwrap();
                let w = b.add(p[1], next).unwrap();
                let w = b.un(UnaryOp::Cos, w).unwrap();
                vec![next, w]
            });
            g.outputs = (1..3).map(|k| Build::new(&mut g, Origin::default()).get(l, k).unwrap()).collect();
            let w = Array::new(DType::Real, vec![m, n], vector(m * n).data.to_vec()).unwrap();
            same(&g, &[vector(n), w]);
        }
    }
}

/// Reads and writes at computed positions; one outside its axis ends the run as in the interpreter.
#[test]
fn positions() {
    for last in [4.0, 5.0, -1.0, 0.5, f64::NAN] {
        let (v, i) = (Ty::real(Shape::of(&[5])), Ty::scalar(DType::Int));
        let mut g = Graph::new();
        let x = g.param(v.clone(), Origin::default());
        let bad = g.param(i.clone(), Origin::default());
        let mut b = Build::new(&mut g, Origin::default());
        let l = looped(&mut b, &[x, bad], &[v, i], 400, None, &|b, i, p| {
            let five = b.int(5).unwrap();
            let k = b.bin(BinaryOp::Mod, i, five).unwrap();
            let end = b.int(399).unwrap();
            let at_end = b.bin(BinaryOp::Eq, i, end).unwrap();
            let k = b.select(at_end, p[1], k).unwrap();
            let picked = b.take(p[0], k, 0).unwrap();
            let one = b.real(0.9).unwrap();
            let put = b.mul(picked, one).unwrap();
            let k = b.reshape(k, &Shape::of(&[1])).unwrap();
            let put = b.reshape(put, &Shape::of(&[1])).unwrap();
            let x = b.op(Op::ScatterSet { axis: 0 }, &[p[0], k, put]).unwrap();
            let x = b.op(Op::ScatterAdd { axis: 0 }, &[x, k, put]).unwrap();
            vec![x, p[1]]
        });
        let out = b.get(l, 1).unwrap();
        g.outputs = vec![out];
        let inputs = [vector(5), Array::new(DType::Int, vec![], vec![last]).unwrap()];
        let plan = Arc::new(plan_with(&g, Options::default()).unwrap());
        let run = |native| {
            let mut e = Executor::new(plan.clone());
            format!("{:?}", e.run(&inputs, &Control { native, ..Control::default() }))
        };
        let off = run(NativeCode::Off);
        assert_eq!(off.starts_with("Err(Index"), last != 4.0, "{off}");
        assert_eq!(off, run(NativeCode::On));
    }
}

/// A long loop inside a step asks for itself whether the run may go on.
#[test]
fn limits_inside_a_nested_loop() {
    let real = Ty::scalar(DType::Real);
    let mut g = Graph::new();
    let x = g.param(real.clone(), Origin::default());
    let mut b = Build::new(&mut g, Origin::default());
    let l = looped(&mut b, &[x], std::slice::from_ref(&real), 2, None, &|b, _, p| {
        let l = looped(b, &[p[0]], std::slice::from_ref(&real), 1 << 40, None, &|b, _, p| {
            let f = b.real(0.999).unwrap();
            vec![b.mul(p[0], f).unwrap()]
        });
        vec![b.get(l, 1).unwrap()]
    });
    let out = b.get(l, 1).unwrap();
    g.outputs = vec![out];
    let mut e = Executor::new(Arc::new(plan_with(&g, Options::default()).unwrap()));
    let control = Control {
        deadline: Some(Instant::now() + Duration::from_millis(30)),
        native: NativeCode::On,
        ..Control::default()
    };
    assert_eq!(e.run(&[Array::scalar(1.0)], &control), Err(Fault::TimeLimit));
}

/// The text of the tiers says which loops become native code, and why others do not.
#[test]
fn what_is_said_of_loops() {
    let said = |n: usize, steps: usize| {
        let ty = Ty::real(Shape::of(&[n]));
        let mut g = Graph::new();
        let x = g.param(ty.clone(), Origin::default());
        let mut b = Build::new(&mut g, Origin::default());
        let l = looped(&mut b, &[x], &[ty], steps, None, &|b, _, p| vec![b.un(UnaryOp::Square, p[0]).unwrap()]);
        let out = b.get(l, 1).unwrap();
        g.outputs = vec![out];
        tiers(&plan_with(&g, Options::default()).unwrap())
    };
    assert_eq!(said(2, 1_000_000), "loop loop: native code, 1 instructions\n");
    assert_eq!(said(2, 10), "loop loop: interpreted, too few steps to pay for compiling\n");
    assert_eq!(said(100_000, 1_000_000), "loop loop: interpreted, its time goes into arrays\n");
}
