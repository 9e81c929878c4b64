//! Each op against the reference interpreter: sizes around the block and the switch to library kernels, all axes, edge
//! values, views as operands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::result_large_err)]

use gradus_cpu::{Control, Executor};
use gradus_ir::build::Build;
use gradus_ir::testing::{Rng, random_array};
use gradus_ir::{
    Array, BinaryOp, Cumulative, DType, Graph, IrResult, NodeId, Op, Origin, ReduceOp, Shape, Ty, UnaryOp, reference,
};
use gradus_plan::{Options, plan_with};
use std::sync::Arc;

fn same(x: f64, y: f64, tolerance: f64) -> bool {
    x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= tolerance * y.abs().max(1.0)
}

/// Builds a graph over the inputs and compares every output, planned in every way.
fn check(what: &str, inputs: &[Array], tolerance: f64, build: impl FnOnce(&mut Build<'_>, &[NodeId]) -> IrResult<Vec<NodeId>>) {
    let mut g = Graph::new();
    let params: Vec<NodeId> = inputs.iter().map(|a| g.param(a.ty(), Origin::default())).collect();
    g.outputs = build(&mut Build::new(&mut g, Origin::default()), &params).unwrap();
    let want = reference::run(&g, inputs).unwrap();
    for options in [Options::default(), Options::TRACE] {
        let plan = Arc::new(plan_with(&g, options).unwrap());
        let found = Executor::new(plan.clone()).run(inputs, &Control::default()).unwrap();
        for (f, w) in found.iter().zip(&want) {
            assert_eq!((&f.shape, f.dtype), (&w.shape, w.dtype), "{what}");
            for (k, (x, y)) in f.data.iter().zip(w.data.iter()).enumerate() {
                assert!(same(*x, *y, tolerance), "{what}: element {k}: {x} against {y}\n{g}\n{plan}");
            }
        }
    }
}

fn real(seed: u64, shape: &[usize]) -> Array {
    random_array(&mut Rng(seed), DType::Real, shape)
}

fn ints(values: &[usize], shape: &[usize]) -> Array {
    Array::new(DType::Int, shape.to_vec(), values.iter().map(|v| *v as f64).collect()).unwrap()
}

const EDGES: [f64; 22] = [
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, 1e-300, -1e-300, 1e-8, 36.7, -36.7, 300.0, -300.0, 710.0, -745.2, 1e300,
    f64::INFINITY, f64::NEG_INFINITY, f64::NAN,
];

#[test]
fn unary_edges() {
    let mut x = EDGES.to_vec();
    x.extend(real(1, &[300]).data.iter());
    x.extend([-3.5, -7.25, 11.9, 12.1, 170.5, 2.5, -2.5]);
    let x = Array::vector(x);
    for op in UnaryOp::ALL {
        if *op == UnaryOp::Not {
            continue;
        }
        check(op.name(), std::slice::from_ref(&x), 2e-13, |b, p| Ok(vec![b.un(*op, p[0])?]));
    }
    let c = random_array(&mut Rng(2), DType::Bool, &[300]);
    check("not", &[c], 0.0, |b, p| Ok(vec![b.not(p[0])?]));
}

#[test]
fn binary_edges() {
    // Every edge value with every other.
    let n = EDGES.len();
    let left = Array::new(DType::Real, vec![n, 1], EDGES.to_vec()).unwrap();
    let right = Array::vector(EDGES.to_vec());
    for op in BinaryOp::ALL {
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            continue;
        }
        check(op.name(), &[left.clone(), right.clone()], 1e-14, |b, p| Ok(vec![b.bin(*op, p[0], p[1])?]));
        // With a constant on either side.
        check(op.name(), std::slice::from_ref(&right), 1e-14, |b, p| {
            let c = b.real(3.0)?;
            Ok(vec![b.bin(*op, p[0], c)?, b.bin(*op, c, p[0])?])
        });
    }
    let c = random_array(&mut Rng(2), DType::Bool, &[40]);
    let d = random_array(&mut Rng(3), DType::Bool, &[40]);
    for op in [BinaryOp::And, BinaryOp::Or] {
        check(op.name(), &[c.clone(), d.clone()], 0.0, |b, p| Ok(vec![b.bin(op, p[0], p[1])?]));
    }
}

#[test]
fn select_broadcasts() {
    let c = random_array(&mut Rng(2), DType::Bool, &[20, 1]);
    check("select", &[c, real(1, &[33]), real(2, &[20, 33])], 0.0, |b, p| {
        let one = b.real(1.0)?;
        Ok(vec![b.select(p[0], p[1], p[2])?, b.select(p[0], one, p[2])?, b.select(p[0], p[2], one)?])
    });
}

#[test]
fn reductions_over_all_axes() {
    for (k, shape) in [vec![300], vec![5, 300], vec![300, 5], vec![7, 3, 70], vec![70, 1, 9], vec![0, 4], vec![4, 0], vec![257, 2], vec![2, 600]]
        .into_iter()
        .enumerate()
    {
        let x = real(k as u64, &shape);
        for op in ReduceOp::ALL {
            for mask in 1..1usize << shape.len() {
                let axes: Vec<usize> = (0..shape.len()).filter(|a| mask >> a & 1 == 1).collect();
                let what = format!("{op:?} {shape:?} {axes:?}");
                check(&what, std::slice::from_ref(&x), 1e-12, |b, p| {
                    let t = b.un(UnaryOp::Exp, p[0])?;
                    Ok(vec![b.reduce(*op, p[0], &axes)?, b.reduce(*op, t, &axes)?])
                });
            }
        }
    }
}

#[test]
fn reductions_of_edge_values() {
    let inf = f64::INFINITY;
    let rows = [[0.0, 1.0, 2.0], [-inf, -inf, -inf], [inf, 1.0, -inf], [f64::NAN, 1.0, inf], [-inf, 700.0, 710.0], [-1e5, -1e5, -inf]];
    for repeat in [1, 100] {
        let data: Vec<f64> = rows.iter().flat_map(|r| r.repeat(repeat)).collect();
        let x = Array::new(DType::Real, vec![6, 3 * repeat], data).unwrap();
        for op in ReduceOp::ALL {
            check(op.name(), std::slice::from_ref(&x), 1e-12, |b, p| {
                let t = b.swap(p[0])?;
                Ok(vec![b.reduce(*op, p[0], &[1])?, b.reduce(*op, t, &[0])?, b.reduce(*op, t, &[1])?])
            });
        }
        for max in [true, false] {
            check("arg_reduce", std::slice::from_ref(&x), 0.0, |b, p| {
                Ok(vec![b.op(Op::ArgReduce { max, axis: 1 }, &[p[0]])?, b.op(Op::ArgReduce { max, axis: 0 }, &[p[0]])?])
            });
        }
    }
}

/// Sums are added by pairs: a million numbers lose a few digits, not six.
#[test]
fn sums_are_accurate() {
    let n = 1_000_000;
    let mut g = Graph::new();
    let v = g.param(Ty::real(Shape::of(&[n])), Origin::default());
    let m = g.param(Ty::real(Shape::of(&[n, 1])), Origin::default());
    let mut b = Build::new(&mut g, Origin::default());
    let (s, t) = (b.sum_all(v).unwrap(), b.reduce(ReduceOp::Sum, m, &[0]).unwrap());
    g.outputs = vec![s, t];
    let x = vec![0.1; n];
    let inputs = [Array::vector(x.clone()), Array::new(DType::Real, vec![n, 1], x).unwrap()];
    let plan = Arc::new(plan_with(&g, Options::default()).unwrap());
    let out = Executor::new(plan).run(&inputs, &Control::default()).unwrap();
    // 1e6 times the float nearest to 0.1, rounded.
    let exact = 100_000.000_000_000_006;
    for o in out {
        assert!((o.data[0] - exact).abs() < 1e-9, "{}", o.data[0]);
    }
}

#[test]
fn products_of_all_shapes() {
    let sizes = [1, 2, 3, 7, 16, 65];
    for m in sizes {
        for k in [1, 2, 5, 8, 33, 130] {
            for n in sizes {
                let seed = (m * 1000 + k * 100 + n) as u64;
                let inputs =
                    [real(seed, &[m, k]), real(seed + 1, &[k, n]), real(seed + 2, &[k, m]), real(seed + 3, &[n, k]), real(seed + 4, &[k])];
                check(&format!("matmul {m} {k} {n}"), &inputs, 1e-12, |b, p| {
                    let (at, bt) = (b.swap(p[2])?, b.swap(p[3])?);
                    Ok(vec![
                        b.matmul(p[0], p[1])?,
                        b.matmul(at, p[1])?,
                        b.matmul(p[0], bt)?,
                        b.matmul(at, bt)?,
                        b.matmul(p[0], p[4])?,
                        b.matmul(at, p[4])?,
                        b.matmul(p[4], p[1])?,
                        b.matmul(p[4], bt)?,
                        b.matmul(p[4], p[4])?,
                    ])
                });
            }
        }
    }
}

#[test]
fn products_with_batches_and_views() {
    let inputs = [real(1, &[3, 4, 5]), real(2, &[3, 5, 6]), real(3, &[5, 6]), real(4, &[7, 4]), real(5, &[5]), real(6, &[2, 3, 4, 5])];
    check("batches", &inputs, 1e-12, |b, p| {
        let t = b.transpose(p[0], &[0, 2, 1])?;
        let u = b.transpose(p[0], &[1, 0, 2])?;
        let s = b.slice(p[2], 1, 1.into(), 3.into())?;
        let r = b.op(Op::Reverse { axis: 0 }, &[p[4]])?;
        let w = b.broadcast(p[4], &Shape::of(&[9, 5]))?;
        let tall = b.reshape(p[0], &Shape::of(&[12, 5]))?;
        let wide = b.reshape(p[5], &Shape::of(&[6, 4, 5]))?;
        Ok(vec![
            b.matmul(p[0], p[1])?,
            b.matmul(p[0], p[2])?,
            b.matmul(p[3], p[0])?,
            b.matmul(p[0], p[4])?,
            b.matmul(t, p[0])?,
            b.matmul(u, p[2])?,
            b.matmul(p[0], s)?,
            b.matmul(p[0], r)?,
            b.matmul(w, p[2])?,
            b.matmul(tall, p[2])?,
            b.matmul(wide, p[2])?,
            b.matmul(p[5], p[2])?,
        ])
    });
    let empty = [real(1, &[3, 0]), real(2, &[0, 2]), real(3, &[0])];
    check("empty", &empty, 0.0, |b, p| Ok(vec![b.matmul(p[0], p[1])?, b.matmul(p[0], p[2])?, b.matmul(p[2], p[2])?]));
}

#[test]
fn movement() {
    let inputs = [real(1, &[6, 5, 4]), real(2, &[300, 7]), real(3, &[9, 9]), real(4, &[50])];
    check("movement", &inputs, 0.0, |b, p| {
        let t = b.transpose(p[0], &[2, 0, 1])?;
        let s = b.slice(t, 1, 1.into(), 4.into())?;
        let r = b.op(Op::Reverse { axis: 2 }, &[s])?;
        let flat = b.reshape(r, &Shape::of(&[4 * 4 * 5]))?;
        let halves = b.reshape(t, &Shape::of(&[4, 3, 2, 5]))?;
        let merged = b.reshape(s, &Shape::of(&[4, 20]))?;
        let c = b.swap(p[1])?;
        let d = b.op(Op::Diagonal, &[p[2]])?;
        let wide = b.broadcast(p[3], &Shape::of(&[3, 4, 50]))?;
        let wide = b.reshape(wide, &Shape::of(&[12, 50]))?;
        Ok(vec![
            t,
            s,
            r,
            flat,
            halves,
            merged,
            b.op(Op::Concat { axis: 1 }, &[c, c, c])?,
            b.op(Op::Concat { axis: 0 }, &[c, c])?,
            b.op(Op::Pad { axis: 0, before: 2.into(), after: 3.into() }, &[c])?,
            b.op(Op::Pad { axis: 1, before: 0.into(), after: 1.into() }, &[c])?,
            d,
            b.op(Op::DiagMatrix, &[d])?,
            wide,
            b.mul(wide, p[3])?,
        ])
    });
}

#[test]
fn indexing() {
    let inputs = [
        real(1, &[6, 5, 4]),
        ints(&[5, 0, 0, 3], &[2, 2]),
        ints(&[2], &[]),
        real(2, &[6, 2, 2, 4]),
        ints(&[1, 2, 0, 4, 4, 3, 2, 1, 0, 0, 1, 2], &[1, 3, 4]),
        real(3, &[1, 5, 4]),
        real(5, &[1, 3, 4]),
        real(6, &[5, 4]),
    ];
    check("indexing", &inputs, 1e-14, |b, p| {
        let four = b.int(4)?;
        let index = b.bin(BinaryOp::Min, p[1], four)?;
        Ok(vec![
            b.take(p[0], p[1], 0)?,
            b.take(p[0], index, 1)?,
            b.take(p[0], p[2], 2)?,
            b.op(Op::ScatterAdd { axis: 1 }, &[p[0], index, p[3]])?,
            b.op(Op::ScatterSet { axis: 1 }, &[p[0], index, p[3]])?,
            b.op(Op::ScatterSet { axis: 0 }, &[p[0], p[2], p[7]])?,
            b.op(Op::TakeAlong { axis: 1 }, &[p[5], p[4]])?,
            b.op(Op::ScatterAddAlong { axis: 1 }, &[p[5], p[4], p[6]])?,
        ])
    });
}

#[test]
fn order() {
    let mut x = real(1, &[9, 40, 3]);
    let data = Arc::make_mut(&mut x.data);
    for k in (0..data.len()).step_by(7) {
        data[k] = [f64::NAN, 0.0, f64::INFINITY, 1.0][k / 7 % 4];
    }
    let small = ints(&[3, 1, 2, 1, 3, 0], &[6]);
    for axis in 0..3 {
        for flag in [true, false] {
            check("order", std::slice::from_ref(&x), 1e-12, |b, p| {
                let mut out = vec![
                    b.op(Op::Sort { axis, descending: flag }, &[p[0]])?,
                    b.op(Op::ArgSort { axis, descending: flag }, &[p[0]])?,
                ];
                for op in [Cumulative::Sum, Cumulative::Prod, Cumulative::Max] {
                    out.push(b.op(Op::Cumulative { op, axis, reverse: flag }, &[p[0]])?);
                }
                Ok(out)
            });
        }
    }
    check("ties", &[small], 0.0, |b, p| {
        Ok(vec![b.op(Op::ArgSort { axis: 0, descending: true }, &[p[0]])?, b.op(Op::ArgSort { axis: 0, descending: false }, &[p[0]])?])
    });
}

#[test]
fn the_largest() {
    let mut x = real(3, &[7, 50]);
    let data = Arc::make_mut(&mut x.data);
    for k in (0..data.len()).step_by(3) {
        data[k] = [f64::NAN, 0.0, f64::INFINITY, -0.0, f64::NEG_INFINITY, 1.0][k / 3 % 6];
    }
    for k in [0, 1, 5, 30, 49, 50] {
        check("top_k", std::slice::from_ref(&x), 0.0, |b, p| {
            let t = b.op(Op::TopK(gradus_ir::Dim::from(k)), &[p[0]])?;
            Ok(vec![b.get(t, 0)?, b.get(t, 1)?])
        });
    }
    for shape in [&[0][..], &[3, 0], &[0, 4]] {
        check("top_k of nothing", &[real(4, shape)], 0.0, |b, p| {
            let t = b.op(Op::TopK(gradus_ir::Dim::from(0)), &[p[0]])?;
            Ok(vec![b.get(t, 0)?, b.get(t, 1)?])
        });
    }
}

#[test]
fn isotonic() {
    for shape in [&[1][..], &[40], &[9, 33], &[2, 0], &[0, 3]] {
        let (y, w) = (real(5, shape), real(6, shape));
        let w = Array { data: Arc::new(w.data.iter().map(|w| w.abs() + 0.01).collect()), ..w };
        check("isotonic", &[y, w], 1e-13, |b, p| Ok(vec![b.op(Op::Isotonic, &[p[0], p[1]])?]));
    }
    let y = Array::new(DType::Real, vec![3, 3], vec![3.0, 1.0, f64::NAN, 3.0, 1.0, 2.0, f64::INFINITY, 1.0, 2.0]).unwrap();
    let w = Array::new(DType::Real, vec![3, 3], vec![1.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0]).unwrap();
    check("isotonic with NaN, a weight of zero and infinity", &[y, w], 0.0, |b, p| Ok(vec![b.op(Op::Isotonic, &[p[0], p[1]])?]));
}

/// Lines of the knapsack problem by the shapes of their operands.
fn knapsack(what: &str, operands: [Array; 5], tolerance: f64) {
    check(what, &operands, tolerance, |b, p| {
        let k = b.op(Op::Knapsack, p)?;
        Ok(vec![b.get(k, 0)?, b.get(k, 1)?])
    });
}

#[test]
fn knapsacks() {
    let scalar = Array::scalar;
    for n in [1, 3, 16, 37, 200] {
        for rows in [1, 5, 40] {
            let (v, w) = (real(7, &[rows, n]), real(8, &[rows, n]));
            knapsack("simplex", [v.clone(), scalar(1.0), scalar(0.0), scalar(f64::INFINITY), scalar(1.0)], 1e-12);
            knapsack("capped", [v.clone(), scalar(1.0), scalar(0.0), scalar(1.0), scalar(0.3 * n as f64)], 1e-12);
            knapsack("free", [v.clone(), scalar(2.0), scalar(f64::NEG_INFINITY), scalar(f64::INFINITY), scalar(1.0)], 1e-12);
            let low = Array { data: Arc::new(w.data.iter().map(|w| -w.abs() - 0.1).collect()), ..w.clone() };
            let high = Array { data: Arc::new(v.data.iter().map(|v| v.abs() + 0.2).collect()), ..v.clone() };
            knapsack("weighted", [v.clone(), w.clone(), low, high.clone(), Array::vector(vec![0.01; rows])], 1e-10);
            knapsack("weights only", [v.clone(), w.clone(), scalar(-1.0), scalar(1.0), scalar(0.02)], 1e-10);
            knapsack("upper bounds only", [v.clone(), scalar(1.0), scalar(0.0), high, scalar(0.1)], 1e-12);
        }
    }
    knapsack("no entries", [real(1, &[2, 0]), scalar(1.0), scalar(0.0), scalar(1.0), Array::vector(vec![0.0, 1.0])], 0.0);
    knapsack("no lines", [real(1, &[0, 3]), scalar(1.0), scalar(0.0), scalar(1.0), scalar(1.0)], 0.0);
    let v = Array::new(DType::Real, vec![5, 3], vec![
        0.0, f64::NAN, 1.0, // NaN
        1e9, -1e9, 3.0, 0.1, 0.2, 0.3, // large beside small
        f64::INFINITY, 0.0, 1.0, 0.0, f64::NEG_INFINITY, 1.0,
    ]).unwrap();
    knapsack("edges", [v.clone(), scalar(1.0), scalar(0.0), scalar(1.0), scalar(1.5)], 1e-9);
    knapsack("a total that cannot be", [real(2, &[2, 3]), scalar(1.0), scalar(0.0), scalar(1.0), scalar(3.5)], 0.0);
    knapsack("weights of zero", [real(2, &[2, 3]), scalar(0.0), scalar(0.0), scalar(1.0), Array::vector(vec![0.0, 1.0])], 0.0);
}

/// All entries at their upper bounds, a total that is met only there, and an entry of a size that hides the others.
#[test]
fn knapsacks_at_the_ends() {
    let of = |v: &[f64], upper: f64, total: f64| {
        let mut g = Graph::new();
        let p = g.param(Ty::real(Shape::of(&[v.len()])), Origin::default());
        let mut b = Build::new(&mut g, Origin::default());
        let (one, zero, upper, total) = (b.real(1.0).unwrap(), b.real(0.0).unwrap(), b.real(upper).unwrap(), b.real(total).unwrap());
        let k = b.op(Op::Knapsack, &[p, one, zero, upper, total]).unwrap();
        let x = b.get(k, 0).unwrap();
        g.outputs = vec![x];
        let plan = Arc::new(plan_with(&g, Options::default()).unwrap());
        Executor::new(plan).run(&[Array::vector(v.to_vec())], &Control::default()).unwrap()[0].data.to_vec()
    };
    assert_eq!(of(&[0.1, 0.2, 0.3], 1.0, 3.0), [1.0, 1.0, 1.0]);
    assert_eq!(of(&[0.1, 0.2, 0.3], 1.0, 0.0), [0.0, 0.0, 0.0]);
    assert_eq!(of(&[1e16, 1.0], f64::INFINITY, 1.0), [1.0, 0.0]);
    assert_eq!(of(&[1e300, -1e300, 7.0], 1.0, 2.0), [1.0, 0.0, 1.0]);
}

#[test]
fn fourier_transforms() {
    for n in [0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 17, 30, 64, 77, 128, 210] {
        for rows in [1, 3] {
            let (re, im) = (real(11, &[rows, n]), real(12, &[rows, n]));
            for inverse in [false, true] {
                check("fft", &[re.clone(), im.clone()], 1e-11, |b, p| {
                    let f = b.op(Op::Fft { inverse }, &[p[0], p[1]])?;
                    Ok(vec![b.get(f, 0)?, b.get(f, 1)?])
                });
            }
        }
    }
}

#[test]
fn sparse_products() {
    let (starts, columns) = (ints(&[0, 3, 3, 5, 5], &[5]), ints(&[1, 3, 1, 0, 2], &[5]));
    for shape in [&[4][..], &[4, 1], &[4, 3], &[4, 0]] {
        for transposed in [false, true] {
            check("sparse", &[starts.clone(), columns.clone(), real(13, &[5]), real(14, shape)], 1e-14, |b, p| {
                Ok(vec![b.op(Op::SparseMatMul { transposed, rows: gradus_ir::Dim::Known(4) }, p)?])
            });
        }
    }
    // No entries, no rows.
    check("sparse", &[ints(&[0], &[1]), ints(&[], &[0]), real(1, &[0]), real(2, &[4])], 0.0, |b, p| {
        Ok(vec![b.op(Op::SparseMatMul { transposed: false, rows: gradus_ir::Dim::Known(0) }, p)?])
    });
}

#[test]
fn places_outside_a_sparse_matrix() {
    let run = |starts: &[f64], columns: &[f64]| {
        let of = |v: &[f64]| Array::new(DType::Int, vec![v.len()], v.to_vec()).unwrap();
        let inputs = [of(starts), of(columns), Array::vector(vec![1.0, 2.0]), Array::vector(vec![1.0, 1.0, 1.0])];
        let mut g = Graph::new();
        let params: Vec<NodeId> = inputs.iter().map(|a| g.param(a.ty(), Origin::default())).collect();
        let op = Op::SparseMatMul { transposed: false, rows: gradus_ir::Dim::Known(2) };
        let y = g.add(op, &params, Origin::default()).unwrap();
        g.outputs = vec![y];
        let plan = Arc::new(plan_with(&g, Options::default()).unwrap());
        let found = Executor::new(plan).run(&inputs, &Control::default());
        (found.is_err(), reference::run(&g, &inputs).is_err())
    };
    assert_eq!(run(&[0.0, 1.0, 2.0], &[0.0, 2.0]), (false, false));
    for (starts, columns) in [([0.0, 1.0, 2.0], [0.0, 3.0]), ([0.0, 1.0, 3.0], [0.0, 1.0]), ([-1.0, 1.0, 2.0], [0.0, 1.0])] {
        assert_eq!(run(&starts, &columns), (true, true));
    }
}

/// `a' a + n I` of a random matrix.
fn spd(b: &mut Build<'_>, a: NodeId, n: usize) -> IrResult<NodeId> {
    let t = b.swap(a)?;
    let g = b.matmul(t, a)?;
    let c = b.full(n as f64, &Shape::of(&[n]))?;
    let d = b.op(Op::DiagMatrix, &[c])?;
    b.add(g, d)
}

#[test]
fn factorizations() {
    for n in [1, 2, 3, 8, 12, 13, 20, 33] {
        let inputs = [real(n as u64, &[n, n]), real(7, &[n]), real(8, &[n, 5]), real(9, &[n + 4, n])];
        check(&format!("factorizations {n}"), &inputs, 1e-9, |b, p| {
            let a = spd(b, p[0], n)?;
            let l = b.op(Op::Cholesky, &[a])?;
            let shift = b.full(3.0, &Shape::of(&[n]))?;
            let shift = b.op(Op::DiagMatrix, &[shift])?;
            let general = b.add(p[0], shift)?;
            let mut out = vec![l];
            let upper = b.swap(l)?;
            for rhs in [p[1], p[2]] {
                for transposed in [false, true] {
                    out.push(b.op(Op::TriangularSolve { lower: true, transposed }, &[l, rhs])?);
                    out.push(b.op(Op::TriangularSolve { lower: false, transposed }, &[upper, rhs])?);
                    out.push(b.op(Op::Solve { transposed }, &[general, rhs])?);
                }
            }
            let scale = b.real(0.2)?;
            let moderate = b.mul(general, scale)?;
            out.push(b.op(Op::Det, &[moderate])?);
            let f = b.op(Op::SlogDet, &[moderate])?;
            out.extend([b.get(f, 0)?, b.get(f, 1)?]);
            let e = b.op(Op::Eigh, &[a])?;
            out.push(b.get(e, 0)?);
            let v = b.get(e, 1)?;
            // The vectors rebuild the matrix: v diag(w) v'.
            let w = b.get(e, 0)?;
            let vw = b.mul(v, w)?;
            let vt = b.swap(v)?;
            out.push(b.matmul(vw, vt)?);
            for m in [p[3], p[0]] {
                let s = b.op(Op::Svd, &[m])?;
                let (u, s, v) = (b.get(s, 0)?, b.get(s, 1)?, b.get(s, 2)?);
                let us = b.mul(u, s)?;
                let vt = b.swap(v)?;
                out.push(s);
                out.push(b.matmul(us, vt)?);
                let q = b.op(Op::Qr, &[m])?;
                out.push(b.get(q, 0)?);
                out.push(b.get(q, 1)?);
            }
            let wide = b.swap(p[3])?;
            let s = b.op(Op::Svd, &[wide])?;
            out.push(b.get(s, 1)?);
            let (u, s, v) = (b.get(s, 0)?, b.get(s, 1)?, b.get(s, 2)?);
            let us = b.mul(u, s)?;
            let vt = b.swap(v)?;
            out.push(b.matmul(us, vt)?);
            Ok(out)
        });
    }
}

/// Well separated values: the vectors themselves agree, signs included.
#[test]
fn vectors_are_oriented() {
    for n in [3, 14] {
        let a = real(3, &[n, n]);
        check("orientation", &[a], 1e-7, |b, p| {
            let iota = b.op(Op::Iota(n.into()), &[])?;
            let ten = b.real(10.0)?;
            let d = b.mul(iota, ten)?;
            let d = b.op(Op::DiagMatrix, &[d])?;
            let m = b.add(p[0], d)?;
            let e = b.op(Op::Eigh, &[m])?;
            let s = b.op(Op::Svd, &[m])?;
            Ok(vec![b.get(e, 1)?, b.get(s, 0)?, b.get(s, 2)?])
        });
    }
}

#[test]
fn factorizations_without_an_answer() {
    for n in [2, 20] {
        let ones = Array::new(DType::Real, vec![n, n], vec![1.0; n * n]).unwrap();
        let minus = Array::new(DType::Real, vec![n, n], vec![-1.0; n * n]).unwrap();
        let b = Array::vector(vec![1.0; n]);
        check("no answer", &[ones, minus, b], 0.0, |b, p| {
            Ok(vec![
                b.op(Op::Cholesky, &[p[1]])?,
                b.op(Op::Solve { transposed: false }, &[p[0], p[2]])?,
                b.op(Op::Solve { transposed: true }, &[p[0], p[2]])?,
                b.op(Op::Det, &[p[0]])?,
            ])
        });
    }
}

#[test]
fn random_draws() {
    for seed in [0.0, 1.0, 123_456_789_012.0, -1.0] {
        let seed = Array { dtype: DType::Int, ..Array::scalar(seed) };
        check("draws", &[seed], 1e-14, |b, p| {
            let k = b.op(Op::Key, &[p[0]])?;
            let three = b.int(3)?;
            let f = b.op(Op::KeyFold, &[k, three])?;
            Ok(vec![
                k,
                f,
                b.op(Op::Uniform(Shape::of(&[7, 3])), &[f])?,
                b.op(Op::Normal(Shape::of(&[5, 101])), &[k])?,
                b.op(Op::Normal(Shape::scalar()), &[k])?,
                b.op(Op::Permutation(1000.into()), &[k])?,
                b.op(Op::Permutation(1.into()), &[k])?,
            ])
        });
    }
}

#[test]
fn nothing_at_all() {
    let inputs = [real(1, &[0, 3]), real(2, &[0]), real(3, &[0, 0]), ints(&[], &[0]), real(4, &[3, 0]), real(5, &[4]), real(6, &[2, 0, 3])];
    check("empty", &inputs, 0.0, |b, p| {
        let t = b.swap(p[0])?;
        let e = b.op(Op::Eigh, &[p[2]])?;
        let s = b.op(Op::Svd, &[p[0]])?;
        let q = b.op(Op::Qr, &[p[4]])?;
        let five = b.int(5)?;
        let key = b.op(Op::Key, &[five])?;
        Ok(vec![
            b.add(p[0], p[0])?,
            t,
            b.matmul(p[4], p[0])?,
            b.matmul(p[0], t)?,
            b.op(Op::Concat { axis: 0 }, &[p[0], p[0]])?,
            b.op(Op::Pad { axis: 0, before: 1.into(), after: 2.into() }, &[p[0]])?,
            b.op(Op::Reverse { axis: 0 }, &[p[0]])?,
            b.op(Op::Sort { axis: 0, descending: false }, &[p[0]])?,
            b.op(Op::ArgSort { axis: 1, descending: true }, &[p[0]])?,
            b.op(Op::Cumulative { op: Cumulative::Sum, axis: 0, reverse: true }, &[p[0]])?,
            b.op(Op::Diagonal, &[p[2]])?,
            b.op(Op::DiagMatrix, &[p[1]])?,
            b.op(Op::Cholesky, &[p[2]])?,
            b.op(Op::Solve { transposed: false }, &[p[2], p[1]])?,
            b.op(Op::TriangularSolve { lower: true, transposed: true }, &[p[2], p[0]])?,
            b.op(Op::Det, &[p[2]])?,
            b.get(e, 0)?,
            b.get(e, 1)?,
            b.get(s, 0)?,
            b.get(s, 1)?,
            b.get(s, 2)?,
            b.get(q, 0)?,
            b.get(q, 1)?,
            b.take(p[5], p[3], 0)?,
            b.op(Op::ScatterAdd { axis: 0 }, &[p[5], p[3], p[1]])?,
            b.op(Op::Uniform(Shape::of(&[0])), &[key])?,
            b.op(Op::Permutation(0.into()), &[key])?,
            b.op(Op::Iota(0.into()), &[])?,
            b.reduce(ReduceOp::Sum, p[6], &[0])?,
            b.reduce(ReduceOp::Max, p[6], &[0, 2])?,
            b.reduce(ReduceOp::LogSumExp, p[6], &[1])?,
            b.reshape(p[6], &Shape::of(&[3, 0]))?,
        ])
    });
}
