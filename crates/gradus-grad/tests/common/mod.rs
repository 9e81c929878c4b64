//! Checks of derivatives against central differences and against each other, by the reference interpreter.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_grad::{grad, jvp, vjp};
use gradus_ir::build::Build;
use gradus_ir::testing::{Rng, random_array};
use gradus_ir::{Array, DType, Graph, IrResult, NodeId, Op, Origin, Shape, Ty, reference, verify};
use std::sync::Arc;

/// A region over real parameters of these shapes.
pub fn region(shapes: &[&[usize]], f: impl FnOnce(&mut Build, &[NodeId]) -> IrResult<Vec<NodeId>>) -> Graph {
    let mut g = Graph::new();
    let params: Vec<NodeId> = shapes.iter().map(|s| g.param(Ty::real(Shape::of(s)), Origin::default())).collect();
    let outs = f(&mut Build::new(&mut g, Origin::default()), &params).expect("the test's graph");
    g.outputs = outs;
    verify(&g).expect("the test's graph");
    g
}

pub fn literal(b: &mut Build, dtype: DType, shape: &[usize], data: &[f64]) -> IrResult<NodeId> {
    b.op(Op::Literal(Arc::new(Array::new(dtype, shape.to_vec(), data.to_vec()).unwrap())), &[])
}

pub fn run(g: &Graph, inputs: &[Array]) -> Vec<Array> {
    verify(g).unwrap_or_else(|e| panic!("{e}\n{g}"));
    reference::run(g, inputs).unwrap_or_else(|e| panic!("{e}\n{g}"))
}

pub fn array(shape: &[usize], data: &[f64]) -> Array {
    Array::new(DType::Real, shape.to_vec(), data.to_vec()).unwrap()
}

pub fn reals(g: &Graph) -> Vec<bool> {
    g.params().iter().map(|p| g.dtype(*p) == DType::Real).collect()
}

/// Gradients by all parameters.
pub fn gradient(g: &Graph, inputs: &[Array]) -> Vec<Array> {
    run(&grad(g, &reals(g)).unwrap(), inputs).split_off(1)
}

fn dot(a: &[Array], b: &[Array]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x.data.iter().zip(y.data.iter()).map(|(p, q)| p * q).sum::<f64>()).sum()
}

fn norm(a: &[Array]) -> f64 {
    dot(a, a).sqrt()
}

fn moved(inputs: &[Array], wrt: &[bool], v: &[Array], h: f64) -> Vec<Array> {
    let mut v = v.iter();
    inputs
        .iter()
        .zip(wrt)
        .map(|(x, w)| {
            if !w {
                return x.clone();
            }
            let d = v.next().unwrap();
            Array { data: Arc::new(x.data.iter().zip(d.data.iter()).map(|(p, q)| p + h * q).collect()), ..x.clone() }
        })
        .collect()
}

/// The fourth-order central difference of `g` along `v`.
pub fn difference(g: &Graph, inputs: &[Array], wrt: &[bool], v: &[Array], h: f64) -> Vec<Array> {
    let at = |s: f64| run(g, &moved(inputs, wrt, v, s * h));
    let (a, b, c, d) = (at(-2.0), at(-1.0), at(1.0), at(2.0));
    (0..a.len())
        .map(|k| {
            let data = (0..a[k].len())
                .map(|i| (a[k].data[i] - 8.0 * b[k].data[i] + 8.0 * c[k].data[i] - d[k].data[i]) / (12.0 * h))
                .collect();
            Array { dtype: DType::Real, data: Arc::new(data), ..a[k].clone() }
        })
        .collect()
}

pub fn close(a: &[Array], b: &[Array], tolerance: f64, what: &str) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (k, (x, y)) in a.iter().zip(b).enumerate() {
        assert_eq!(x.shape, y.shape, "{what}, {k}");
        for (i, (p, q)) in x.data.iter().zip(y.data.iter()).enumerate() {
            let scale = 1.0 + p.abs().max(q.abs());
            let same = (p - q).abs() <= tolerance * scale || p.is_nan() && q.is_nan();
            assert!(same, "{what}: result {k}, element {i}: {p} against {q}\n{:?}\n{:?}", x.data, y.data);
        }
    }
}

fn directions(rng: &mut Rng, like: &[Array], wrt: &[bool]) -> Vec<Array> {
    like.iter().zip(wrt).filter(|(_, w)| **w).map(|(a, _)| random_array(rng, DType::Real, &a.shape)).collect()
}

fn one_sided(g: &Graph, inputs: &[Array], wrt: &[bool], what: &str, tolerance: f64, rng: &mut Rng) {
    let forward = jvp(g, wrt).unwrap_or_else(|e| panic!("{what}: {e}"));
    let backward = vjp(g, wrt).unwrap_or_else(|e| panic!("{what}: {e}"));
    let v = directions(rng, inputs, wrt);
    let n = g.outputs.len();
    let mut out = run(&forward, &[inputs, &v].concat());
    let tangents = out.split_off(n);
    let value = run(g, inputs);
    for (a, b) in out.iter().zip(&value) {
        assert_eq!(a.data, b.data, "{what}: the value changed");
    }
    let expected = difference(g, inputs, wrt, &v, 1e-3);
    for k in 0..n {
        if g.dtype(g.outputs[k]) == DType::Real {
            close(&tangents[k..=k], &expected[k..=k], tolerance, &format!("{what}: jvp of output {k}"));
        }
    }
    let u: Vec<Array> = value
        .iter()
        .zip(&g.outputs)
        .map(|(a, o)| {
            // Nobody reads the cotangent of an int; zero keeps the scalar products equal.
            let mut u = random_array(rng, DType::Real, &a.shape);
            if g.dtype(*o) != DType::Real {
                u.data = Arc::new(vec![0.0; a.len()]);
            }
            u
        })
        .collect();
    let mut back = run(&backward, &[inputs, &u].concat());
    let cotangents = back.split_off(n);
    for (a, b) in back.iter().zip(&value) {
        assert_eq!(a.data, b.data, "{what}: the value changed");
    }
    let (left, right) = (dot(&u, &tangents), dot(&cotangents, &v));
    let scale = 1.0 + norm(&u) * norm(&tangents) + norm(&cotangents) * norm(&v);
    assert!((left - right).abs() <= 1e-9 * scale, "{what}: <u, J v> = {left}, <J' u, v> = {right}");
}

/// A scalar with curvature from any outputs: a weighted sum and half the sum of squares of the real ones.
pub fn scalar(g: &Graph, seed: u64) -> Graph {
    let mut rng = Rng(seed);
    let mut s = Graph::new();
    let args: Vec<NodeId> = g.params().iter().map(|p| s.param(g.ty(*p).clone(), Origin::default())).collect();
    let outs = s.inline(g, &args).unwrap();
    let b = &mut Build::new(&mut s, Origin::default());
    let mut total = b.real(0.0).unwrap();
    for o in outs {
        if b.graph.dtype(o) != DType::Real {
            continue;
        }
        let term = match b.shape(o).sizes() {
            Some(sizes) => {
                let w = random_array(&mut rng, DType::Real, &sizes);
                let w = literal(b, DType::Real, &sizes, &w.data).unwrap();
                b.mul(w, o).unwrap()
            }
            None => b.sin(o).unwrap(),
        };
        let square = b.square(o).unwrap();
        let half = b.real(0.5).unwrap();
        let square = b.mul(half, square).unwrap();
        let term = b.add(term, square).unwrap();
        let term = b.sum_all(term).unwrap();
        total = b.add(total, term).unwrap();
    }
    s.outputs = vec![total];
    s
}

/// First derivatives both ways, and second ones: forward over reverse, reverse over reverse, reverse over forward.
pub fn check(g: &Graph, inputs: &[Array], what: &str) {
    check_to(g, inputs, what, 2e-7);
}

pub fn check_to(g: &Graph, inputs: &[Array], what: &str, tolerance: f64) {
    let wrt = reals(g);
    let mut rng = Rng(77);
    one_sided(g, inputs, &wrt, what, tolerance, &mut rng);
    let s = scalar(g, 5);
    let first = grad(&s, &wrt).unwrap();
    one_sided(&first, inputs, &wrt, &format!("{what}, second derivative"), tolerance, &mut rng);
    let v = directions(&mut rng, inputs, &wrt);
    let slope = jvp(&s, &wrt).unwrap();
    let given = [inputs, &v].concat();
    let all = reals(&slope);
    one_sided(&slope, &given, &all, &format!("{what}, derivative of jvp"), tolerance, &mut rng);
    let mut only = wrt.clone();
    only.resize(all.len(), false);
    // Differentiating the slope by x gives H v, whichever way.
    let mut slope1 = slope.clone();
    slope1.outputs.remove(0);
    let by_slope = run(&grad(&slope1, &only).unwrap(), &given).split_off(1);
    let hv = run(&jvp(&first, &wrt).unwrap(), &given).split_off(first.outputs.len() + 1);
    close(&by_slope, &hv, 1e-7, &format!("{what}: H v two ways"));
}

/// Third derivatives: `jvp` of `jvp` of `grad` against differences.
pub fn check_third(g: &Graph, inputs: &[Array], what: &str, tolerance: f64) {
    let wrt = reals(g);
    let mut rng = Rng(78);
    let s = scalar(g, 6);
    let second = jvp(&grad(&s, &wrt).unwrap(), &wrt).unwrap();
    let given = [inputs, &directions(&mut rng, inputs, &wrt)].concat();
    let all = reals(&second);
    one_sided(&second, &given, &all, &format!("{what}, third derivative"), tolerance, &mut rng);
}
