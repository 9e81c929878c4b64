//! Each op on its own: first and second derivatives both ways.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{array, check, check_third, check_to, literal, region};
use gradus_ir::testing::{Rng, random_array};
use gradus_ir::{Array, BinaryOp, Cumulative, DType, Dim, Op, ReduceOp, Shape, UnaryOp};

fn randoms(seed: u64, shapes: &[&[usize]]) -> Vec<Array> {
    let mut rng = Rng(seed);
    shapes.iter().map(|s| random_array(&mut rng, DType::Real, s)).collect()
}

#[test]
fn unary() {
    use UnaryOp::*;
    for u in UnaryOp::ALL {
        let x: &[f64] = match u {
            // The one is for bools, the other is tested with `select`.
            Not | StopGrad => continue,
            Log | Sqrt | Lgamma | Digamma => &[0.3, 1.0, 2.7],
            Log1p => &[-0.4, 0.5, 2.0],
            Asin | Acos => &[-0.7, 0.1, 0.8],
            Recip => &[-1.3, 0.4, 2.0],
            Trigamma => &[0.7, 2.2, 5.5],
            _ => &[-1.3, 0.4, 1.2],
        };
        let g = region(&[&[3]], |b, p| Ok(vec![b.un(*u, p[0])?]));
        check_to(&g, &[array(&[3], x)], u.name(), 1e-6);
        check_third(&g, &[array(&[3], x)], u.name(), 1e-5);
    }
}

#[test]
fn trigamma_left_of_zero() {
    let g = region(&[&[2]], |b, p| Ok(vec![b.un(UnaryOp::Trigamma, p[0])?]));
    check_to(&g, &[array(&[2], &[-0.6, -2.4])], "trigamma", 1e-5);
}

/// -2 zeta(3), -14 zeta(3) and what the recurrence makes of them.
#[test]
fn values_of_the_derivative_of_trigamma() {
    const ZETA3: f64 = 1.202_056_903_159_594_2;
    let g = region(&[&[5]], |b, p| {
        let t = b.un(UnaryOp::Trigamma, p[0])?;
        Ok(vec![b.sum_all(t)?])
    });
    let d = common::gradient(&g, &[array(&[5], &[1.0, 0.5, 2.0, -0.5, 3.0])]);
    let want = [-2.0 * ZETA3, -14.0 * ZETA3, 2.0 - 2.0 * ZETA3, 16.0 - 14.0 * ZETA3, 2.25 - 2.0 * ZETA3];
    for (x, y) in d[0].data.iter().zip(want) {
        assert!((x - y).abs() < 2e-14 * (1.0 + y.abs()), "{x} {y}");
    }
}

/// A matrix taken as symmetric gets a symmetric gradient.
#[test]
fn symmetric_gradients() {
    for op in [Op::Cholesky, Op::Eigh] {
        let g = region(&[&[3, 3]], |b, p| {
            let f = b.op(op.clone(), &[p[0]])?;
            let v = if op == Op::Eigh { b.get(f, 1)? } else { f };
            let w = literal(b, DType::Real, &[3, 3], &[1.0, -2.0, 0.3, 0.7, 2.0, -1.0, 0.4, 0.9, 3.0])?;
            Ok(vec![b.dot(v, w)?])
        });
        let d = common::gradient(&g, &[array(&[3, 3], &[4.0, 1.0, 0.5, 1.0, 3.0, -0.4, 0.5, -0.4, 2.0])]);
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            assert!((d[0].data[3 * i + j] - d[0].data[3 * j + i]).abs() < 1e-13, "{:?}", d[0].data);
        }
    }
}

#[test]
fn binary() {
    use BinaryOp::*;
    for o in BinaryOp::ALL {
        if matches!(o, And | Or) {
            continue;
        }
        for shapes in [[&[2, 3][..], &[3][..]], [&[][..], &[3][..]], [&[2, 3][..], &[2, 1][..]], [&[3][..], &[3][..]]] {
            let mut inputs = randoms(9, &shapes);
            if matches!(o, Pow) {
                inputs[0].data = inputs[0].data.iter().map(|x| x.abs() + 0.3).collect::<Vec<_>>().into();
            }
            if matches!(o, Mod) {
                // Quotients well between whole numbers: near 2.5.
                inputs[0].data = inputs[0].data.iter().map(|x| 5.0 + 0.1 * x).collect::<Vec<_>>().into();
                inputs[1].data = inputs[1].data.iter().map(|x| 2.0 + 0.1 * x).collect::<Vec<_>>().into();
            }
            if matches!(o, Div) {
                inputs[1].data = inputs[1].data.iter().map(|x| x + 3.0).collect::<Vec<_>>().into();
            }
            let g = region(&shapes, |b, p| Ok(vec![b.bin(*o, p[0], p[1])?]));
            check_to(&g, &inputs, o.name(), 1e-6);
            check_third(&g, &inputs, o.name(), 1e-5);
        }
    }
}

#[test]
fn powers_with_constant_exponents() {
    for e in [-2.0, -0.5, 0.0, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0] {
        let g = region(&[&[2]], |b, p| {
            let e = b.real(e)?;
            Ok(vec![b.pow(p[0], e)?])
        });
        check_to(&g, &[array(&[2], &[0.6, 1.7])], &format!("x^{e}"), 1e-6);
        if e == f64::round(e) {
            check_to(&g, &[array(&[2], &[-0.9, -1.7])], &format!("x^{e}, negative x"), 1e-6);
        }
    }
    // An int array as exponent has no derivative of its own.
    let g = region(&[&[3]], |b, p| {
        let e = literal(b, DType::Int, &[3], &[0.0, 1.0, 3.0])?;
        Ok(vec![b.pow(p[0], e)?])
    });
    check(&g, &[array(&[3], &[-0.8, -1.2, -0.5])], "x^int");
}

#[test]
fn operands_used_twice() {
    let g = region(&[&[3]], |b, p| {
        let s = b.mul(p[0], p[0])?;
        let t = b.div(s, p[0])?;
        Ok(vec![b.add(t, p[0])?, p[0]])
    });
    check(&g, &[array(&[3], &[0.5, -1.0, 2.0])], "x used twice");
}

#[test]
fn reductions() {
    for r in ReduceOp::ALL {
        for axes in [vec![0], vec![1], vec![2], vec![0, 2], vec![1, 2], vec![0, 1], vec![0, 1, 2]] {
            let g = region(&[&[2, 3, 2]], |b, p| Ok(vec![b.reduce(*r, p[0], &axes)?]));
            check(&g, &randoms(4, &[&[2, 3, 2]]), &format!("{} over {axes:?}", r.name()));
        }
    }
}

#[test]
fn products_with_zeros() {
    for x in [[0.0, 2.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]] {
        let g = region(&[&[3]], |b, p| Ok(vec![b.reduce(ReduceOp::Prod, p[0], &[0])?]));
        check(&g, &[array(&[3], &x)], &format!("prod {x:?}"));
        check_third(&g, &[array(&[3], &x)], &format!("prod {x:?}"), 1e-6);
        let g = region(&[&[3]], |b, p| {
            Ok(vec![b.op(Op::Cumulative { op: Cumulative::Prod, axis: 0, reverse: false }, &[p[0]])?])
        });
        check(&g, &[array(&[3], &x)], &format!("cumprod {x:?}"));
        check_third(&g, &[array(&[3], &x)], &format!("cumprod {x:?}"), 1e-6);
    }
}

#[test]
fn running_reductions() {
    for op in [Cumulative::Sum, Cumulative::Prod, Cumulative::Max] {
        for axis in 0..2 {
            for reverse in [false, true] {
                let g = region(&[&[3, 4]], |b, p| Ok(vec![b.op(Op::Cumulative { op, axis, reverse }, &[p[0]])?]));
                check(&g, &randoms(12, &[&[3, 4]]), &format!("{op:?} axis {axis} reverse {reverse}"));
            }
        }
    }
}

#[test]
fn sorting() {
    for axis in 0..2 {
        for descending in [false, true] {
            let g = region(&[&[3, 4]], |b, p| Ok(vec![b.op(Op::Sort { axis, descending }, &[p[0]])?]));
            check(&g, &randoms(13, &[&[3, 4]]), "sort");
        }
    }
}

#[test]
fn the_largest_and_isotonic_lines() {
    let g = region(&[&[3, 5]], |b, p| {
        let t = b.op(Op::TopK(Dim::Known(2)), &[p[0]])?;
        Ok(vec![b.get(t, 0)?])
    });
    check(&g, &randoms(31, &[&[3, 5]]), "top_k");
    let g = region(&[&[3, 6], &[3, 6]], |b, p| {
        let (s, one) = (b.square(p[1])?, b.real(0.5)?);
        let w = b.add(s, one)?;
        Ok(vec![b.op(Op::Isotonic, &[p[0], w])?])
    });
    let inputs = randoms(32, &[&[3, 6], &[3, 6]]);
    check(&g, &inputs, "isotonic");
    check_third(&g, &inputs, "isotonic", 1e-5);
    let g = region(&[&[2, 0], &[2, 0]], |b, p| Ok(vec![b.op(Op::Isotonic, &[p[0], p[1]])?]));
    check(&g, &randoms(33, &[&[2, 0], &[2, 0]]), "isotonic of nothing");
}

#[test]
fn the_knapsack_problem() {
    // Lines with entries at both bounds and between, and weights of both signs.
    let whole = array(&[2, 5], &[0.3, 2.0, -1.5, 0.9, 0.1, 0.4, -2.0, 1.7, 0.6, 0.2]);
    let w = array(&[2, 5], &[1.0, 0.7, 1.3, -0.6, 0.8, -1.0, 1.1, 0.9, 0.5, 1.2]);
    let l = array(&[2, 5], &[-0.2, -0.1, -0.3, 0.0, -0.4, -0.2, -0.5, -0.3, -0.1, 0.0]);
    let u = array(&[2, 5], &[0.8, 0.9, 1.1, 0.7, 1.2, 0.9, 1.3, 0.8, 1.0, 0.6]);
    let total = array(&[2], &[0.4, 0.35]);
    let all = [whole, w, l, u, total];
    let both = |b: &mut gradus_ir::build::Build, xs: &[gradus_ir::NodeId]| {
        let k = b.op(Op::Knapsack, xs)?;
        Ok(vec![b.get(k, 0)?, b.get(k, 1)?])
    };
    let shapes: Vec<Vec<usize>> = all.iter().map(|a| a.shape.clone()).collect();
    let shapes: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
    let g = region(&shapes, |b, p| both(b, p));
    check_to(&g, &all, "knapsack", 1e-6);
    check_third(&g, &all, "knapsack", 1e-5);
    // Scalars for all but the values.
    let g = region(&[&[2, 5], &[], &[], &[], &[]], |b, p| both(b, p));
    let scalars: Vec<Array> = [1.2, -0.3, 0.9, 0.5].iter().map(|x| array(&[], &[*x])).collect();
    let inputs: Vec<Array> = std::iter::once(all[0].clone()).chain(scalars).collect();
    check_to(&g, &inputs, "knapsack with scalars", 1e-6);
    check_third(&g, &inputs, "knapsack with scalars", 1e-5);
    // Nothing between its bounds: what x is does not change with v.
    let g = region(&[&[3]], |b, p| {
        let (one, zero, two) = (b.real(1.0)?, b.real(0.0)?, b.real(2.0)?);
        let k = b.op(Op::Knapsack, &[p[0], one, zero, one, two])?;
        let x = b.get(k, 0)?;
        Ok(vec![b.dot(x, p[0])?])
    });
    let d = common::gradient(&g, &[array(&[3], &[5.0, -4.0, 7.0])]);
    assert_eq!(d[0].data.as_slice(), [1.0, 0.0, 1.0]);
}

/// A 3 by 4 matrix with a row without entries and a place with two.
fn sparse(b: &mut gradus_ir::build::Build) -> gradus_ir::IrResult<[gradus_ir::NodeId; 2]> {
    Ok([literal(b, DType::Int, &[4], &[0.0, 3.0, 3.0, 5.0])?, literal(b, DType::Int, &[5], &[1.0, 3.0, 1.0, 0.0, 2.0])?])
}

#[test]
fn sparse_products_and_fourier_transforms() {
    for (transposed, shape) in [(false, &[4][..]), (false, &[4, 2]), (true, &[3]), (true, &[3, 2])] {
        let g = region(&[&[5], shape], |b, p| {
            let [starts, columns] = sparse(b)?;
            let rows = Dim::Known(if transposed { 4 } else { 3 });
            Ok(vec![b.op(Op::SparseMatMul { transposed, rows }, &[starts, columns, p[0], p[1]])?])
        });
        let inputs = randoms(41, &[&[5], shape]);
        check(&g, &inputs, "sparse product");
        check_third(&g, &inputs, "sparse product", 1e-6);
    }
    for inverse in [false, true] {
        let g = region(&[&[2, 6], &[2, 6]], |b, p| {
            let f = b.op(Op::Fft { inverse }, &[p[0], p[1]])?;
            let (re, im) = (b.get(f, 0)?, b.get(f, 1)?);
            Ok(vec![b.mul(re, re)?, im])
        });
        check(&g, &randoms(42, &[&[2, 6], &[2, 6]]), "fft");
    }
    let g = region(&[&[3, 3]], |b, p| {
        let f = b.op(Op::SlogDet, &[p[0]])?;
        Ok(vec![b.get(f, 1)?])
    });
    check_to(&g, &[array(&[3, 3], &[1.0, 2.0, -0.3, 0.7, -1.0, 0.9, 0.4, 0.9, 2.0])], "slogdet", 1e-6);
}

#[test]
fn movement() {
    let x = randoms(14, &[&[2, 3, 4]]);
    let ops = [
        Op::Broadcast(Shape::of(&[5, 2, 3, 4])),
        Op::Reshape(Shape::of(&[6, 4])),
        Op::Transpose(vec![2, 0, 1]),
        Op::Slice { axis: 1, start: Dim::Known(1), len: Dim::Known(2) },
        Op::Slice { axis: 2, start: Dim::Known(0), len: Dim::Known(0) },
        Op::Pad { axis: 2, before: Dim::Known(2), after: Dim::Known(1) },
        Op::Reverse { axis: 0 },
    ];
    for op in ops {
        let g = region(&[&[2, 3, 4]], |b, p| Ok(vec![b.op(op.clone(), &[p[0]])?]));
        check(&g, &x, &format!("{op:?}"));
    }
    let g = region(&[&[2, 1]], |b, p| Ok(vec![b.broadcast(p[0], &Shape::of(&[4, 2, 3]))?]));
    check(&g, &randoms(15, &[&[2, 1]]), "broadcast of an axis of one");
    let g = region(&[&[2, 3], &[2, 1]], |b, p| {
        let i = literal(b, DType::Int, &[2, 2], &[1.0, 2.0, 3.0, 4.0])?;
        Ok(vec![b.op(Op::Concat { axis: 1 }, &[p[0], i, p[1], p[0]])?])
    });
    check(&g, &randoms(16, &[&[2, 3], &[2, 1]]), "concat");
    let g = region(&[&[3, 3], &[3]], |b, p| Ok(vec![b.op(Op::Diagonal, &[p[0]])?, b.op(Op::DiagMatrix, &[p[1]])?]));
    check(&g, &randoms(17, &[&[3, 3], &[3]]), "diagonals");
}

#[test]
fn gathers() {
    let places = |b: &mut gradus_ir::build::Build| literal(b, DType::Int, &[2, 2], &[2.0, 0.0, 2.0, 1.0]);
    for axis in 0..3 {
        let g = region(&[&[3, 4, 3]], |b, p| {
            let i = places(b)?;
            Ok(vec![b.take(p[0], i, axis)?])
        });
        check(&g, &randoms(18, &[&[3, 4, 3]]), &format!("take on {axis}"));
        let updates: Vec<usize> = {
            let mut s = vec![3, 4, 3];
            s.splice(axis..=axis, [2, 2]);
            s
        };
        for op in [Op::ScatterAdd { axis }, Op::ScatterSet { axis }] {
            let shapes: [&[usize]; 2] = [&[3, 4, 3], &updates];
            let g = region(&shapes, |b, p| {
                let i = places(b)?;
                Ok(vec![b.op(op.clone(), &[p[0], i, p[1]])?])
            });
            check(&g, &randoms(19, &shapes), &format!("{op:?} with repeated places"));
        }
    }
    for op in [Op::ScatterAdd { axis: 0 }, Op::ScatterSet { axis: 0 }] {
        let g = region(&[&[3, 2], &[2]], |b, p| {
            let i = b.int(1)?;
            Ok(vec![b.op(op.clone(), &[p[0], i, p[1]])?])
        });
        check(&g, &randoms(20, &[&[3, 2], &[2]]), "one row");
    }
    let along =
        |b: &mut gradus_ir::build::Build| literal(b, DType::Int, &[2, 4], &[2.0, 0.0, 2.0, 1.0, 0.0, 0.0, 1.0, 2.0]);
    let g = region(&[&[2, 3]], |b, p| {
        let i = along(b)?;
        Ok(vec![b.op(Op::TakeAlong { axis: 1 }, &[p[0], i])?])
    });
    check(&g, &randoms(21, &[&[2, 3]]), "take along");
    let g = region(&[&[2, 3], &[2, 4]], |b, p| {
        let i = along(b)?;
        Ok(vec![b.op(Op::ScatterAddAlong { axis: 1 }, &[p[0], i, p[1]])?])
    });
    check(&g, &randoms(22, &[&[2, 3], &[2, 4]]), "scatter along");
}

#[test]
fn products_of_all_ranks() {
    let cases: [[&[usize]; 2]; 13] = [
        [&[3], &[3]],
        [&[2, 3], &[3]],
        [&[3], &[3, 4]],
        [&[2, 3], &[3, 4]],
        [&[5, 2, 3], &[3]],
        [&[3], &[5, 3, 4]],
        [&[5, 2, 3], &[5, 3, 4]],
        [&[5, 2, 3], &[3, 4]],
        [&[2, 3], &[5, 3, 4]],
        [&[2, 2, 2, 3], &[3]],
        [&[3], &[2, 2, 3, 4]],
        [&[2, 3], &[2, 2, 3, 4]],
        [&[2, 2, 2, 3], &[3, 4]],
    ];
    for shapes in cases {
        let g = region(&shapes, |b, p| Ok(vec![b.matmul(p[0], p[1])?]));
        check(&g, &randoms(23, &shapes), &format!("{shapes:?}"));
    }
}

fn spd(b: &mut gradus_ir::build::Build, a: gradus_ir::NodeId) -> gradus_ir::IrResult<gradus_ir::NodeId> {
    let t = b.swap(a)?;
    let g = b.matmul(t, a)?;
    let d = literal(b, DType::Real, &[3, 3], &[1.0, 0.0, 0.0, 0.0, 2.5, 0.0, 0.0, 0.0, 4.0])?;
    b.add(g, d)
}

#[test]
fn solves() {
    for right in [&[3][..], &[3, 2][..]] {
        let shapes = [&[3, 3][..], right];
        for transposed in [false, true] {
            let g = region(&shapes, |b, p| {
                let d = literal(b, DType::Real, &[3, 3], &[3.0, 0.0, 0.0, 0.0, -3.0, 0.0, 0.0, 0.0, 4.0])?;
                let a = b.add(p[0], d)?;
                Ok(vec![b.op(Op::Solve { transposed }, &[a, p[1]])?])
            });
            check(&g, &randoms(24, &shapes), "solve");
            for lower in [false, true] {
                // The part off the triangle is there and is not read.
                let g = region(&shapes, |b, p| {
                    let d = literal(b, DType::Real, &[3, 3], &[3.0, 0.0, 0.0, 0.0, -3.0, 0.0, 0.0, 0.0, 4.0])?;
                    let a = b.add(p[0], d)?;
                    Ok(vec![b.op(Op::TriangularSolve { lower, transposed }, &[a, p[1]])?])
                });
                check(&g, &randoms(25, &shapes), &format!("triangular solve, lower {lower}, transposed {transposed}"));
            }
        }
    }
}

#[test]
fn factorizations() {
    let a = randoms(26, &[&[3, 3]]);
    for (op, outs) in [(Op::Cholesky, 1), (Op::Det, 1), (Op::Eigh, 2), (Op::Svd, 3), (Op::Qr, 2)] {
        let g = region(&[&[3, 3]], |b, p| {
            let s = spd(b, p[0])?;
            let f = b.op(op.clone(), &[s])?;
            if outs == 1 { Ok(vec![f]) } else { (0..outs).map(|k| b.get(f, k)).collect() }
        });
        check_to(&g, &a, op.name(), 1e-5);
        check_third(&g, &a, op.name(), 1e-4);
    }
    // Not symmetric, and each output on its own.
    for (op, k) in [(Op::Svd, 0), (Op::Svd, 1), (Op::Svd, 2), (Op::Qr, 0), (Op::Qr, 1)] {
        for shape in [[4, 2], [2, 4], [3, 3], [5, 3]] {
            if op == Op::Qr && shape[0] < shape[1] {
                continue;
            }
            let g = region(&[&shape], |b, p| {
                let f = b.op(op.clone(), &[p[0]])?;
                Ok(vec![b.get(f, k)?])
            });
            check_to(&g, &randoms(27, &[&shape]), &format!("{} output {k} of {shape:?}", op.name()), 1e-5);
        }
    }
    let g = region(&[&[3, 3]], |b, p| Ok(vec![b.op(Op::Det, &[p[0]])?]));
    check(&g, &randoms(28, &[&[3, 3]]), "det");
}

/// Shapes that only the data will tell.
#[test]
fn symbolic_factorizations() {
    let (m, n) = (Dim::sym("m"), Dim::sym("n"));
    for (rows, columns) in [(4, 2), (2, 4), (3, 3)] {
        let mut g = gradus_ir::Graph::new();
        let a = g.param(gradus_ir::Ty::real(Shape::new([m.clone(), n.clone()])), gradus_ir::Origin::default());
        let b = &mut gradus_ir::build::Build::new(&mut g, gradus_ir::Origin::default());
        let f = b.op(Op::Svd, &[a]).unwrap();
        let outs = (0..3).map(|k| b.get(f, k).unwrap()).collect();
        g.outputs = outs;
        check_to(&g, &randoms(29, &[&[rows, columns]]), "svd", 1e-5);
    }
    let mut g = gradus_ir::Graph::new();
    let a = g.param(gradus_ir::Ty::real(Shape::new([m, n])), gradus_ir::Origin::default());
    let b = &mut gradus_ir::build::Build::new(&mut g, gradus_ir::Origin::default());
    let p = b.reduce(ReduceOp::Prod, a, &[0, 1]).unwrap();
    let q = b.reduce(ReduceOp::Prod, a, &[0]).unwrap();
    g.outputs = vec![p, q];
    check(&g, &randoms(30, &[&[2, 3]]), "symbolic products");
}

#[test]
fn select_and_stop() {
    let g = region(&[&[3], &[2, 3]], |b, p| {
        let zero = b.real(0.0)?;
        let c = b.gt(p[0], zero)?;
        let s = b.select(c, p[1], p[0])?;
        let one = b.real(1.0)?;
        let t = b.select(c, one, p[0])?;
        let square = b.square(p[0])?;
        let stopped = b.stop_grad(square)?;
        let zero = b.mul(zero, stopped)?;
        Ok(vec![s, t, zero])
    });
    check(&g, &randoms(31, &[&[3], &[2, 3]]), "select");
}
