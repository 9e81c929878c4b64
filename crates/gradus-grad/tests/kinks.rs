//! Values at kinks and poles, and what a choice that is not taken contributes: exactly nothing.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{array, gradient, literal, reals, region, run};
use gradus_grad::{grad, jvp};
use gradus_ir::build::Build;
use gradus_ir::{Array, BinaryOp, Cumulative, DType, Graph, IrResult, NodeId, Op, ReduceOp, UnaryOp};

const INF: f64 = f64::INFINITY;

/// Gradient of the sum of `f` over a vector.
fn slopes(x: &[f64], f: impl FnOnce(&mut Build, NodeId) -> IrResult<NodeId>) -> Vec<f64> {
    let g = summed(x.len(), f);
    let by_grad = gradient(&g, &[array(&[x.len()], x)])[0].data.to_vec();
    // Forward along each axis says the same.
    let forward = jvp(&g, &[true]).unwrap();
    for (k, want) in by_grad.iter().enumerate() {
        let mut e = vec![0.0; x.len()];
        e[k] = 1.0;
        let t = run(&forward, &[array(&[x.len()], x), array(&[x.len()], &e)])[1].as_scalar().unwrap();
        if x.len() == 1 || want.is_finite() && by_grad.iter().all(|v| v.is_finite()) {
            assert!(
                t == *want || t.is_nan() && want.is_nan() || (t - want).abs() < 1e-12,
                "element {k}: {t} forward, {want} back"
            );
        }
    }
    by_grad
}

fn summed(n: usize, f: impl FnOnce(&mut Build, NodeId) -> IrResult<NodeId>) -> Graph {
    region(&[&[n]], |b, p| {
        let y = f(b, p[0])?;
        Ok(vec![b.sum_all(y)?])
    })
}

/// Second derivatives of the sum of `f`: the diagonal of the Hessian, forward over reverse and reverse over reverse.
fn bends(x: &[f64], f: impl FnOnce(&mut Build, NodeId) -> IrResult<NodeId>) -> Vec<f64> {
    let g = summed(x.len(), f);
    let mut first = grad(&g, &[true]).unwrap();
    let forward = jvp(&first, &[true]).unwrap();
    first.outputs.remove(0);
    (0..x.len())
        .map(|k| {
            let mut e = vec![0.0; x.len()];
            e[k] = 1.0;
            let point = array(&[x.len()], x);
            let h = run(&forward, &[point.clone(), array(&[x.len()], &e)]).pop().unwrap().data[k];
            let mut picked = first.clone();
            let out = picked.outputs[0];
            let b = &mut Build::new(&mut picked, gradus_ir::Origin::default());
            let row = b.slice(out, 0, gradus_ir::Dim::from(k), gradus_ir::Dim::Known(1)).unwrap();
            let row = b.sum_all(row).unwrap();
            picked.outputs = vec![row];
            let back = gradient(&picked, &[point])[0].data[k];
            assert!(h == back || (h - back).abs() < 1e-12 || h.is_nan() && back.is_nan(), "{h} forward, {back} back");
            h
        })
        .collect()
}

#[test]
fn kinks_of_one_operand() {
    let table: &[(UnaryOp, &[f64], &[f64])] = &[
        (UnaryOp::Abs, &[-2.0, 0.0, 3.0], &[-1.0, 0.0, 1.0]),
        (UnaryOp::Sqrt, &[0.0, 4.0], &[0.0, 0.25]),
        (UnaryOp::Log, &[0.0], &[INF]),
        (UnaryOp::Recip, &[0.0], &[-INF]),
        (UnaryOp::Log1p, &[-1.0], &[INF]),
        (UnaryOp::Asin, &[1.0], &[INF]),
        (UnaryOp::Acos, &[-1.0], &[-INF]),
        (UnaryOp::Floor, &[0.5, 1.0], &[0.0, 0.0]),
        (UnaryOp::Sign, &[0.0, 1.0], &[0.0, 0.0]),
        (UnaryOp::Softplus, &[-800.0, 0.0, 800.0], &[0.0, 0.5, 1.0]),
        (UnaryOp::Sigmoid, &[-800.0, 0.0, 800.0], &[0.0, 0.25, 0.0]),
        (UnaryOp::Tanh, &[-800.0, 800.0], &[0.0, 0.0]),
        (UnaryOp::StopGrad, &[1.0], &[0.0]),
    ];
    for (u, x, want) in table {
        assert_eq!(slopes(x, |b, p| b.un(*u, p)), *want, "{}", u.name());
    }
    assert!(slopes(&[-1.0], |b, p| b.sqrt(p))[0].is_nan());
}

#[test]
fn stopped_values_are_constants() {
    let d = slopes(&[2.0, -3.0], |b, p| {
        let s = b.stop_grad(p)?;
        b.mul(p, s)
    });
    assert_eq!(d, [2.0, -3.0]);
}

#[test]
fn ties_are_shared() {
    let both = |o: BinaryOp, x: f64, y: f64| {
        let g = region(&[&[], &[]], |b, p| Ok(vec![b.bin(o, p[0], p[1])?]));
        let d = gradient(&g, &[Array::scalar(x), Array::scalar(y)]);
        (d[0].data[0], d[1].data[0])
    };
    assert_eq!(both(BinaryOp::Max, 1.0, 1.0), (0.5, 0.5));
    assert_eq!(both(BinaryOp::Min, 1.0, 1.0), (0.5, 0.5));
    assert_eq!(both(BinaryOp::Max, 2.0, 1.0), (1.0, 0.0));
    assert_eq!(both(BinaryOp::Min, 2.0, 1.0), (0.0, 1.0));
    assert_eq!(both(BinaryOp::Hypot, 0.0, 0.0), (0.0, 0.0));
    assert_eq!(both(BinaryOp::Atan2, 0.0, 0.0), (0.0, 0.0));
    let relu = slopes(&[-1.0, 0.0, 2.0], |b, p| {
        let zero = b.real(0.0)?;
        b.maximum(p, zero)
    });
    assert_eq!(relu, [0.0, 0.5, 1.0]);
    assert_eq!(
        slopes(&[3.0, 1.0, 3.0, 3.0], |b, p| b.reduce(ReduceOp::Max, p, &[0])),
        [1.0 / 3.0, 0.0, 1.0 / 3.0, 1.0 / 3.0]
    );
    assert_eq!(slopes(&[1.0, 1.0, 3.0], |b, p| b.reduce(ReduceOp::Min, p, &[0])), [0.5, 0.5, 0.0]);
    let cummax = |reverse: bool| {
        slopes(&[2.0, 1.0, 2.0, 5.0], |b, p| b.op(Op::Cumulative { op: Cumulative::Max, axis: 0, reverse }, &[p]))
    };
    assert_eq!(cummax(false), [3.0, 0.0, 0.0, 1.0]);
    assert_eq!(cummax(true), [0.0, 0.0, 0.0, 4.0]);
}

#[test]
fn powers_at_zero() {
    let at_zero = |e: f64| {
        slopes(&[0.0], |b, p| {
            let e = b.real(e)?;
            b.pow(p, e)
        })[0]
    };
    assert_eq!(at_zero(0.0), 0.0);
    assert_eq!(at_zero(0.5), 0.0);
    assert_eq!(at_zero(1.0), 1.0);
    assert_eq!(at_zero(1.5), 0.0);
    assert_eq!(at_zero(2.0), 0.0);
    assert_eq!(at_zero(-1.0), -INF);
    // The same with an exponent that is a value, and by the exponent.
    for (e, by_base) in [(0.0, 0.0), (0.5, 0.0), (1.0, 1.0), (1.5, 0.0), (2.0, 0.0), (-1.0, -INF)] {
        let g = region(&[&[], &[]], |b, p| Ok(vec![b.pow(p[0], p[1])?]));
        let d = gradient(&g, &[Array::scalar(0.0), Array::scalar(e)]);
        assert_eq!(d[0].data[0], by_base, "exponent {e}");
        if e > 0.0 {
            assert_eq!(d[1].data[0], 0.0, "exponent {e}");
        }
    }
    // d/dx d/dy x^y = x^(y-1) (1 + y log x), at y = 0 too.
    let g = region(&[&[], &[]], |b, p| Ok(vec![b.pow(p[0], p[1])?]));
    let second = jvp(&grad(&g, &[true, true]).unwrap(), &[false, true]).unwrap();
    let mixed = run(&second, &[Array::scalar(2.0), Array::scalar(0.0), Array::scalar(1.0)])[4].data[0];
    assert!((mixed - 0.5).abs() < 1e-15, "{mixed}");
}

#[test]
fn norms_at_zero() {
    let g = region(&[&[2]], |b, p| {
        let s = b.dot(p[0], p[0])?;
        Ok(vec![b.sqrt(s)?])
    });
    assert_eq!(gradient(&g, &[array(&[2], &[0.0, 0.0])])[0].data.to_vec(), [0.0, 0.0]);
    let hvp = jvp(&grad(&g, &[true]).unwrap(), &[true]).unwrap();
    let out = run(&hvp, &[array(&[2], &[0.0, 0.0]), array(&[2], &[1.0, 2.0])]);
    assert!(out.iter().all(|a| a.data.iter().all(|v| v.is_finite())), "{out:?}");
}

#[test]
fn logsumexp_with_infinities() {
    let lse = |x: &[f64]| slopes(x, |b, p| b.reduce(ReduceOp::LogSumExp, p, &[0]));
    assert_eq!(lse(&[-INF, 0.0, 0.0]), [0.0, 0.5, 0.5]);
    assert_eq!(lse(&[-INF, -INF]), [0.0, 0.0]);
    for far in [1000.0, -1000.0] {
        assert!(lse(&[far, far]).iter().all(|w| (w - 0.5).abs() < 1e-12));
    }
    let h = bends(&[-INF, 0.0, 0.0], |b, p| b.reduce(ReduceOp::LogSumExp, p, &[0]));
    assert_eq!(h, [0.0, 0.25, 0.25]);
}

/// `where(x > 0, f(x), 0)`.
fn guarded(
    f: impl FnOnce(&mut Build, NodeId) -> IrResult<NodeId>,
) -> impl FnOnce(&mut Build, NodeId) -> IrResult<NodeId> {
    |b: &mut Build, p: NodeId| {
        let zero = b.real(0.0)?;
        let c = b.gt(p, zero)?;
        let y = f(b, p)?;
        b.select(c, y, zero)
    }
}

#[test]
fn the_branch_not_taken_contributes_nothing() {
    type F = fn(&mut Build, NodeId) -> IrResult<NodeId>;
    let x = [-1.0, 0.0, 4.0];
    let table: &[(&str, F, f64, f64)] = &[
        ("sqrt", |b, p| b.sqrt(p), 0.25, -1.0 / 32.0),
        ("log", |b, p| b.log(p), 0.25, -1.0 / 16.0),
        ("recip", |b, p| b.recip(p), -1.0 / 16.0, 1.0 / 32.0),
        (
            "1/x by div",
            |b, p| {
                let one = b.real(1.0)?;
                b.div(one, p)
            },
            -1.0 / 16.0,
            1.0 / 32.0,
        ),
        (
            "x log x",
            |b, p| {
                let l = b.log(p)?;
                b.mul(p, l)
            },
            1.0 + 4f64.ln(),
            0.25,
        ),
        (
            "sqrt of log of x + 1 - 1 + x^2",
            |b, p| {
                let l = b.log(p)?;
                let s = b.square(l)?;
                let r = b.sqrt(s)?;
                b.tanh(r)
            },
            f64::NAN,
            f64::NAN,
        ),
        (
            "x^-1.5",
            |b, p| {
                let e = b.real(-1.5)?;
                b.pow(p, e)
            },
            -1.5 * 4f64.powf(-2.5),
            3.75 * 4f64.powf(-3.5),
        ),
        (
            "log of a sum with itself over sqrt",
            |b, p| {
                let r = b.sqrt(p)?;
                let q = b.div(p, r)?;
                b.log(q)
            },
            0.125,
            -1.0 / 32.0,
        ),
        (
            "exp of 1/x",
            |b, p| {
                let r = b.recip(p)?;
                b.exp(r)
            },
            f64::NAN,
            f64::NAN,
        ),
        (
            "softmax-like",
            |b, p| {
                let l = b.log(p)?;
                let e = b.exp(l)?;
                b.sigmoid(e)
            },
            f64::NAN,
            f64::NAN,
        ),
    ];
    for (name, f, first, second) in table {
        let d = slopes(&x, guarded(f));
        assert_eq!(d[..2], [0.0, 0.0], "{name}");
        assert!(d[2].is_finite() && (first.is_nan() || (d[2] - first).abs() < 1e-12), "{name}: {d:?}");
        let h = bends(&x, guarded(f));
        assert_eq!(h[..2], [0.0, 0.0], "{name}, second derivative");
        assert!(h[2].is_finite() && (second.is_nan() || (h[2] - second).abs() < 1e-12), "{name}: {h:?}");
    }
}

/// The mask is on the values, so a cotangent that merely happens to be zero keeps its own derivative.
#[test]
fn a_zero_cotangent_is_not_a_mask() {
    // log(x)^2 at 1: slope 0, curvature 2; also inside a `where` that is taken.
    let f = |b: &mut Build, p: NodeId| {
        let l = b.log(p)?;
        b.square(l)
    };
    assert_eq!(bends(&[1.0], f), [2.0]);
    assert_eq!(bends(&[1.0], guarded(f)), [2.0]);
}

#[test]
fn losers_and_unread_elements_contribute_nothing() {
    // max(0, log x) and min(1, 1/x) at the pole, and the pole cut off by a slice or a gather.
    let d = slopes(&[0.0, 2.0], |b, p| {
        let (zero, l) = (b.real(0.0)?, b.log(p)?);
        b.maximum(zero, l)
    });
    assert_eq!(d, [0.0, 0.5]);
    let d = slopes(&[0.0, 2.0], |b, p| {
        let (one, r) = (b.real(1.0)?, b.recip(p)?);
        b.minimum(one, r)
    });
    assert_eq!(d, [0.0, -0.25]);
    let d = slopes(&[0.0, 2.0], |b, p| {
        let l = b.log(p)?;
        b.slice(l, 0, gradus_ir::Dim::Known(1), gradus_ir::Dim::Known(1))
    });
    assert_eq!(d, [0.0, 0.5]);
    let d = slopes(&[0.0, 2.0], |b, p| {
        let l = b.log(p)?;
        let i = literal(b, DType::Int, &[2], &[1.0, 1.0])?;
        b.take(l, i, 0)
    });
    assert_eq!(d, [0.0, 1.0]);
    let d = slopes(&[0.0, 2.0], |b, p| {
        let l = b.log(p)?;
        b.reduce(ReduceOp::Max, l, &[0])
    });
    assert_eq!(d, [0.0, 0.5]);
    // Missing data: what is NaN is masked, whatever was computed from it.
    let d = slopes(&[f64::NAN, 3.0], |b, p| {
        let missing = b.un(UnaryOp::IsNan, p)?;
        let (s, zero) = (b.square(p)?, b.real(0.0)?);
        b.select(missing, zero, s)
    });
    assert_eq!(d, [0.0, 6.0]);
}

/// A choice around a factorization that fails.
#[test]
fn guarded_factorizations() {
    type F = fn(&mut Build, NodeId) -> IrResult<NodeId>;
    let table: &[(&str, F)] = &[
        ("cholesky", |b, a| {
            let l = b.op(Op::Cholesky, &[a])?;
            b.sum_all(l)
        }),
        ("solve", |b, a| {
            let one = b.full(1.0, &gradus_ir::Shape::of(&[2]))?;
            let x = b.op(Op::Solve { transposed: false }, &[a, one])?;
            b.sum_all(x)
        }),
        ("log det", |b, a| {
            let d = b.op(Op::Det, &[a])?;
            b.log(d)
        }),
    ];
    for (name, f) in table {
        let g = region(&[&[2, 2]], |b, p| {
            let y = f(b, p[0])?;
            let ok = b.un(UnaryOp::IsFinite, y)?;
            let zero = b.real(0.0)?;
            Ok(vec![b.select(ok, y, zero)?])
        });
        let bad = gradient(&g, &[array(&[2, 2], &[0.0, 0.0, 0.0, 0.0])]);
        assert_eq!(bad[0].data.to_vec(), [0.0; 4], "{name}");
        let good = gradient(&g, &[array(&[2, 2], &[2.0, 0.5, 0.5, 1.0])]);
        assert!(good[0].data.iter().all(|v| v.is_finite() && *v != 0.0), "{name}");
        let second = jvp(&grad(&g, &reals(&g)).unwrap(), &[true]).unwrap();
        let out = run(&second, &[array(&[2, 2], &[0.0; 4]), array(&[2, 2], &[1.0, 2.0, 2.0, 1.0])]);
        assert_eq!(out[3].data.to_vec(), [0.0; 4], "{name}, second derivative");
    }
}

/// Guards hide what is not taken, never a failure of what is.
#[test]
fn failures_that_are_taken_show() {
    let d = slopes(&[-1.0], |b, p| {
        let (zero, low) = (b.real(0.0)?, b.real(-5.0)?);
        let c = b.gt(p, low)?;
        let r = b.sqrt(p)?;
        b.select(c, r, zero)
    });
    assert!(d[0].is_nan());
    let g = region(&[&[2, 2]], |b, p| {
        let l = b.op(Op::Cholesky, &[p[0]])?;
        let y = b.sum_all(l)?;
        let (zero, low) = (b.real(0.0)?, b.real(-5.0)?);
        let first = b.sum_all(p[0])?;
        let c = b.gt(first, low)?;
        Ok(vec![b.select(c, y, zero)?])
    });
    let d = gradient(&g, &[array(&[2, 2], &[-1.0, 0.0, 0.0, 1.0])]);
    assert!(d[0].data.iter().any(|v| v.is_nan()), "{:?}", d[0].data);
}

/// A constant put in where a value was: what follows may have a pole there.
#[test]
fn replaced_values_do_not_matter() {
    let d = slopes(&[-1.0, 2.0], |b, p| {
        let zero = b.real(0.0)?;
        let c = b.gt(p, zero)?;
        let z = b.select(c, p, zero)?;
        b.log(z)
    });
    assert_eq!(d, [0.0, 0.5]);
}

#[test]
fn rank_deficient_matrices() {
    let g = region(&[&[3, 2]], |b, p| {
        let f = b.op(Op::Svd, &[p[0]])?;
        let (u, v) = (b.get(f, 0)?, b.get(f, 2)?);
        let (u, v) = (b.sum_all(u)?, b.sum_all(v)?);
        Ok(vec![b.add(u, v)?])
    });
    let d = gradient(&g, &[array(&[3, 2], &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0])]);
    assert!(d[0].data.iter().all(|v| v.is_finite()), "{:?}", d[0].data);
}

#[test]
fn equal_eigenvalues_stay_finite() {
    for op in [Op::Eigh, Op::Svd] {
        let outs = if op == Op::Eigh { 2 } else { 3 };
        for k in 0..outs {
            let g = region(&[&[3, 3]], |b, p| {
                let f = b.op(op.clone(), &[p[0]])?;
                let v = b.get(f, k)?;
                let s = b.square(v)?;
                Ok(vec![b.sum_all(s)?])
            });
            let d = gradient(&g, &[array(&[3, 3], &[2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0])]);
            assert!(d[0].data.iter().all(|v| v.is_finite()), "{} {k}: {:?}", op.name(), d[0].data);
        }
    }
}

/// Nothing is guarded where nothing can be masked.
#[test]
fn plain_graphs_stay_plain() {
    let g = region(&[&[4, 3], &[3], &[4]], |b, p| {
        let r = b.matmul(p[0], p[1])?;
        let r = b.sub(r, p[2])?;
        let l = b.softplus(r)?;
        let s = b.square(l)?;
        Ok(vec![b.sum_all(s)?])
    });
    let text = grad(&g, &[false, true, false]).unwrap().to_string();
    assert!(!text.contains("select") && !text.contains("is_nan"), "{text}");
}
