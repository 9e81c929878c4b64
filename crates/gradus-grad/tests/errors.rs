//! What has no derivative says so; what does not depend gets zeros.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{array, region, run};
use gradus_grad::{GradError, grad, jvp, vjp};
use gradus_ir::build::Build;
use gradus_ir::{Array, DType, Graph, Op, Origin, Ty};

#[test]
fn no_grad_names_itself() {
    let origin = Origin { file: 3, start: 10, end: 20 };
    let mut g = Graph::new();
    let x = g.param(Ty::scalar(DType::Real), Origin::default());
    let n = g.add(Op::NoGrad("argmin".into()), &[x], origin).unwrap();
    let y = Build::new(&mut g, Origin::default()).square(n).unwrap();
    g.outputs = vec![y];
    let want = GradError::NotDifferentiable { what: "argmin".into(), origin };
    assert_eq!(grad(&g, &[true]).unwrap_err(), want);
    assert_eq!(jvp(&g, &[true]).unwrap_err(), want);
    assert_eq!(vjp(&g, &[true]).unwrap_err(), want);
    // By something else, or with the value stopped, there is nothing to refuse.
    let z = g.param(Ty::scalar(DType::Real), Origin::default());
    let b = &mut Build::new(&mut g, Origin::default());
    let (w, s) = (b.mul(y, z).unwrap(), b.stop_grad(n).unwrap());
    g.outputs = vec![w];
    assert_eq!(run(&grad(&g, &[false, true]).unwrap(), &[Array::scalar(3.0), Array::scalar(2.0)])[1].data[0], 9.0);
    let t = Build::new(&mut g, Origin::default()).mul(s, x).unwrap();
    g.outputs = vec![t];
    assert_eq!(run(&grad(&g, &[true, false]).unwrap(), &[Array::scalar(3.0), Array::scalar(2.0)])[1].data[0], 3.0);
}

#[test]
fn only_real_scalars_have_gradients() {
    let g = region(&[&[2]], |b, p| Ok(vec![b.square(p[0])?]));
    assert!(matches!(grad(&g, &[true]).unwrap_err(), GradError::NotScalar { .. }));
    let mut g = Graph::new();
    let k = g.param(Ty::scalar(DType::Int), Origin::default());
    g.outputs = vec![k];
    assert!(matches!(grad(&g, &[false]).unwrap_err(), GradError::NotScalar { .. }));
    assert!(matches!(jvp(&g, &[true]).unwrap_err(), GradError::NotReal { .. }));
    assert!(matches!(vjp(&g, &[true]).unwrap_err(), GradError::NotReal { .. }));
    assert!(matches!(vjp(&g, &[]).unwrap_err(), GradError::Ir(_)));
}

#[test]
fn what_does_not_depend_gets_zeros() {
    let g = region(&[&[2], &[3]], |b, p| {
        let s = b.square(p[0])?;
        let f = b.un(gradus_ir::UnaryOp::Floor, p[1])?;
        let t = b.sum_all(s)?;
        let i = b.op(Op::ArgReduce { max: true, axis: 0 }, &[p[1]])?;
        Ok(vec![t, f, i])
    });
    let inputs = [array(&[2], &[1.0, 2.0]), array(&[3], &[0.5, 1.5, 2.5])];
    let d = run(&grad(&g, &[true, true]).unwrap(), &inputs);
    assert_eq!((d.len(), d[1].data.to_vec(), d[2].data.to_vec()), (3, vec![2.0, 4.0], vec![0.0; 3]));
    let tangents = [array(&[2], &[1.0, 1.0]), array(&[3], &[1.0, 1.0, 1.0])];
    let t = run(&jvp(&g, &[true, true]).unwrap(), &[inputs.clone(), tangents].concat());
    assert_eq!((t[3].data[0], t[4].data.to_vec(), t[5].data.to_vec()), (6.0, vec![0.0; 3], vec![0.0]));
    assert_eq!(t[5].dtype, DType::Real);
    // By nothing at all.
    assert_eq!(run(&grad(&g, &[false, false]).unwrap(), &inputs).len(), 1);
    assert_eq!(run(&jvp(&g, &[false, false]).unwrap(), &inputs).len(), 6);
}

/// A parameter that is an output, twice, and an output used further.
#[test]
fn outputs_that_are_parameters() {
    let g = region(&[&[2]], |b, p| {
        let s = b.square(p[0])?;
        Ok(vec![p[0], s, p[0], s])
    });
    let u = array(&[2], &[1.0, 10.0]);
    let x = array(&[2], &[3.0, 4.0]);
    let out = run(&vjp(&g, &[true]).unwrap(), &[x, u.clone(), u.clone(), u.clone(), u]);
    assert_eq!(out[4].data.to_vec(), [14.0, 180.0]);
}

#[test]
fn derivatives_remember_the_source() {
    let origin = Origin { file: 1, start: 5, end: 9 };
    let mut g = Graph::new();
    let x = g.param(Ty::scalar(DType::Real), Origin::default());
    let y = g.add(Op::Unary(gradus_ir::UnaryOp::Exp), &[x], origin).unwrap();
    let z = Build::new(&mut g, Origin { file: 1, start: 20, end: 30 }).sin(y).unwrap();
    g.outputs = vec![z];
    let d = grad(&g, &[true]).unwrap();
    assert_eq!(d.node(d.outputs[1]).origin, origin);
}
