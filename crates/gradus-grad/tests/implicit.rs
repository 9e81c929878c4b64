//! Solutions with their equations, against differences, closed forms, and the ops that they could be.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{array, check, check_third, close, gradient, region, run, scalar};
use gradus_ir::build::Build;
use gradus_ir::testing::{Rng, random_array};
use gradus_ir::{Array, DType, Dim, Graph, Implicit, IrResult, Loop, NodeId, Op, Origin, Shape, Trip, Ty, parse};
use std::sync::Arc;

fn inner(tys: &[Ty], f: impl Fn(&mut Build, &[NodeId]) -> IrResult<Vec<NodeId>>) -> Arc<Graph> {
    let mut g = Graph::new();
    let params: Vec<NodeId> = tys.iter().map(|t| g.param(t.clone(), Origin::default())).collect();
    g.outputs = f(&mut Build::new(&mut g, Origin::default()), &params).unwrap();
    Arc::new(g)
}

fn real(shape: &[usize]) -> Ty {
    Ty::real(Shape::of(shape))
}

/// `y` with `A y = c`, as an equation.
fn linear_system() -> Graph {
    region(&[&[3, 3], &[3]], |b, p| {
        let fixed = [b.stop_grad(p[0])?, b.stop_grad(p[1])?];
        let y = b.op(Op::Solve { transposed: false }, &fixed)?;
        let (m, v) = (real(&[3, 3]), real(&[3]));
        let op = Implicit {
            values: 1,
            residual: inner(&[v.clone(), m.clone(), v.clone()], |b, p| {
                let ay = b.matmul(p[1], p[0])?;
                Ok(vec![b.sub(ay, p[2])?])
            }),
            forward: inner(&[v.clone(), v.clone(), m.clone(), v.clone()], |b, p| {
                Ok(vec![b.op(Op::Solve { transposed: false }, &[p[2], p[0]])?])
            }),
            adjoint: inner(&[v.clone(), v.clone(), m, v], |b, p| Ok(vec![b.op(Op::Solve { transposed: true }, &[p[2], p[0]])?])),
            label: "test".into(),
        };
        Ok(vec![b.op(Op::Implicit(Box::new(op)), &[y, p[0], p[1]])?])
    })
}

#[test]
fn an_equation_is_like_the_op_that_solves_it() {
    let by_op = region(&[&[3, 3], &[3]], |b, p| Ok(vec![b.op(Op::Solve { transposed: false }, p)?]));
    let by_equation = linear_system();
    let inputs = [array(&[3, 3], &[3.0, 1.0, 0.5, -1.0, 2.0, 0.3, 0.2, 0.4, 4.0]), array(&[3], &[1.0, -2.0, 0.5])];
    close(&run(&by_op, &inputs), &run(&by_equation, &inputs), 1e-14, "value");
    close(
        &gradient(&scalar(&by_op, 3), &inputs),
        &gradient(&scalar(&by_equation, 3), &inputs),
        1e-12,
        "gradient",
    );
    check(&by_equation, &inputs, "linear system");
    check_third(&by_equation, &inputs, "linear system", 1e-5);
}

/// `a^3 + a = c` for each entry and `2 b = sum(a) + d`, found by Newton's method.
fn coupled() -> Graph {
    region(&[&[2], &[]], |b, p| {
        let (two, one) = (real(&[2]), real(&[]));
        let slope = |b: &mut Build, a: NodeId| {
            let (s, three, unit) = (b.square(a)?, b.real(3.0)?, b.real(1.0)?);
            let s = b.mul(three, s)?;
            b.add(s, unit)
        };
        let cubic = |b: &mut Build, a: NodeId, c: NodeId| {
            let (s, left) = (b.square(a)?, b.sub(a, c)?);
            let s = b.mul(s, a)?;
            b.add(s, left)
        };
        let body = inner(&[Ty::scalar(DType::Int), two.clone(), two.clone()], |b, p| {
            let (r, s) = (cubic(b, p[1], p[2])?, slope(b, p[1])?);
            let step = b.div(r, s)?;
            Ok(vec![b.sub(p[1], step)?])
        });
        let newton = Loop {
            trip: Trip::Count(Dim::Known(60)),
            carries: 1,
            scanned: 0,
            collected: 0,
            cond: None,
            body,
            label: "newton".into(),
        };
        let c = b.stop_grad(p[0])?;
        let d = b.stop_grad(p[1])?;
        let l = b.op(Op::Loop(Box::new(newton)), &[c, c])?;
        let a = b.get(l, 1)?;
        let (sum, half) = (b.sum_all(a)?, b.real(0.5)?);
        let sum = b.add(sum, d)?;
        let second = b.mul(half, sum)?;
        let tys = [two.clone(), one.clone(), two.clone(), one.clone()];
        let all = [two.clone(), one.clone(), two.clone(), one.clone(), two.clone(), one.clone()];
        let op = Implicit {
            values: 2,
            residual: inner(&tys, |b, p| {
                let first = cubic(b, p[0], p[2])?;
                let (two, s) = (b.real(2.0)?, b.sum_all(p[0])?);
                let (l, r) = (b.mul(two, p[1])?, b.add(s, p[3])?);
                Ok(vec![first, b.sub(l, r)?])
            }),
            forward: inner(&all, |b, p| {
                let s = slope(b, p[2])?;
                let u = b.div(p[0], s)?;
                let (half, total) = (b.real(0.5)?, b.sum_all(u)?);
                let v = b.add(p[1], total)?;
                Ok(vec![u, b.mul(half, v)?])
            }),
            adjoint: inner(&all, |b, p| {
                let half = b.real(0.5)?;
                let v = b.mul(half, p[1])?;
                let (s, r) = (slope(b, p[2])?, b.add(p[0], v)?);
                Ok(vec![b.div(r, s)?, v])
            }),
            label: "test".into(),
        };
        let node = b.op(Op::Implicit(Box::new(op)), &[a, second, p[0], p[1]])?;
        Ok(vec![b.get(node, 0)?, b.get(node, 1)?])
    })
}

#[test]
fn several_unknowns_at_any_order() {
    let g = coupled();
    let inputs = [array(&[2], &[0.7, -1.9]), Array::scalar(0.4)];
    let y = run(&g, &inputs);
    for (a, c) in y[0].data.iter().zip([0.7, -1.9]) {
        assert!((a * a * a + a - c).abs() < 1e-14);
    }
    check(&g, &inputs, "coupled");
    check_third(&g, &inputs, "coupled", 1e-5);
}

#[test]
fn inside_a_loop() {
    // x <- y(x) three times, where A y = x.
    let one = Arc::new(linear_system());
    let g = region(&[&[3, 3], &[3]], |b, p| {
        let body = inner(&[Ty::scalar(DType::Int), real(&[3]), real(&[3, 3])], |b, p| b.graph.inline(&one, &[p[2], p[1]]));
        let l = Loop {
            trip: Trip::Count(Dim::Known(3)),
            carries: 1,
            scanned: 0,
            collected: 0,
            cond: None,
            body,
            label: "test".into(),
        };
        let node = b.op(Op::Loop(Box::new(l)), &[p[1], p[0]])?;
        Ok(vec![b.get(node, 1)?])
    });
    let inputs = [array(&[3, 3], &[3.0, 1.0, 0.5, -1.0, 2.0, 0.3, 0.2, 0.4, 4.0]), array(&[3], &[1.0, -2.0, 0.5])];
    check(&g, &inputs, "in a loop");
}

#[test]
fn an_optimal_value_has_the_envelopes_derivative_and_a_right_second_one() {
    // min over y of |A y - c|^2 / 2 + y'y / 2 by its normal equations: the value's derivatives, through the mark, are those of
    // the closed form.
    let value = |marked: bool| {
        region(&[&[4, 2], &[4]], |b, p| {
            let (m, c, y) = (real(&[4, 2]), real(&[4]), real(&[2]));
            let normal = |b: &mut Build, a: NodeId| {
                let at = b.swap(a)?;
                let g = b.matmul(at, a)?;
                let eye = common::literal(b, DType::Real, &[2, 2], &[1.0, 0.0, 0.0, 1.0])?;
                b.add(g, eye)
            };
            let stop = [b.stop_grad(p[0])?, b.stop_grad(p[1])?];
            let h = normal(b, stop[0])?;
            let at = b.swap(stop[0])?;
            let r = b.matmul(at, stop[1])?;
            let found = b.op(Op::Solve { transposed: false }, &[h, r])?;
            let solver = || {
                inner(&[y.clone(), y.clone(), m.clone(), c.clone()], |b, p| {
                    let h = normal(b, p[2])?;
                    Ok(vec![b.op(Op::Solve { transposed: false }, &[h, p[0]])?])
                })
            };
            let op = Implicit {
                values: 1,
                residual: inner(&[y.clone(), m.clone(), c.clone()], |b, p| {
                    let ay = b.matmul(p[1], p[0])?;
                    let r = b.sub(ay, p[2])?;
                    let at = b.swap(p[1])?;
                    let g = b.matmul(at, r)?;
                    Ok(vec![b.add(g, p[0])?])
                }),
                forward: solver(),
                adjoint: solver(),
                label: "argmin".into(),
            };
            let mut x = b.op(Op::Implicit(Box::new(op)), &[found, p[0], p[1]])?;
            if marked {
                x = b.op(Op::Stationary, &[x])?;
            }
            let ax = b.matmul(p[0], x)?;
            let r = b.sub(ax, p[1])?;
            let (f, q) = (b.dot(r, r)?, b.dot(x, x)?);
            let (sum, half) = (b.add(f, q)?, b.real(0.5)?);
            Ok(vec![b.mul(half, sum)?])
        })
    };
    let mut rng = Rng(9);
    let inputs = [random_array(&mut rng, DType::Real, &[4, 2]), random_array(&mut rng, DType::Real, &[4])];
    check(&value(false), &inputs, "through the equation");
    check(&value(true), &inputs, "by the envelope");
    check_third(&value(true), &inputs, "by the envelope", 1e-5);
    // The first derivative by the envelope solves no linear system.
    let first = gradus_grad::grad(&value(true), &[true, true]).unwrap();
    let plain = first.settled().unwrap();
    let solves = plain.to_string().matches("= solve{").count();
    assert_eq!(solves, 1, "{plain}");
}

#[test]
fn a_check_that_fails_gives_nan_and_one_that_holds_nothing() {
    let g = region(&[&[2], &[]], |b, p| {
        let zero = b.real(0.0)?;
        let ok = b.gt(p[1], zero)?;
        Ok(vec![b.op(Op::Check("the second number is positive".into()), &[p[0], ok])?])
    });
    let x = array(&[2], &[1.0, 2.0]);
    check(&g, &[x.clone(), Array::scalar(1.0)], "check");
    assert!(run(&g, &[x.clone(), Array::scalar(-1.0)])[0].data.iter().all(|v| v.is_nan()));
    assert!(gradient(&scalar(&g, 1), &[x, Array::scalar(-1.0)])[0].data.iter().all(|v| v.is_nan()));
}

#[test]
fn the_text_form_reads_back_and_settling_leaves_only_values() {
    for g in [linear_system(), coupled()] {
        let text = g.to_string();
        assert_eq!(parse(&text).unwrap().to_string(), text);
        assert!(g.has_marks());
        let plain = g.settled().unwrap();
        assert!(!plain.has_marks() && !plain.to_string().contains("implicit"), "{plain}");
    }
    let g = coupled();
    let inputs = [array(&[2], &[0.7, -1.9]), Array::scalar(0.4)];
    close(&run(&g, &inputs), &run(&g.settled().unwrap(), &inputs), 0.0, "settled");
}
