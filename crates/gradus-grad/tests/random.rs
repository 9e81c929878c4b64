//! Derivatives of random graphs: every op in every neighbourhood, with loops and branches.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{check_third, check_to, reals, run};
use gradus_grad::{grad, jvp, vjp};
use gradus_ir::testing::{Options, Rng, random_array, random_case};
use gradus_ir::{Array, DType};

#[test]
fn smooth_graphs_agree_with_differences() {
    for seed in 0..150 {
        let case = random_case(seed, &Options { smooth: true, steps: 12, ..Options::default() }).unwrap();
        check_to(&case.graph, &case.inputs, &format!("seed {seed}"), 1e-5);
    }
}

#[test]
fn symbolic_graphs_agree_with_differences() {
    for seed in 0..60 {
        let case =
            random_case(seed, &Options { smooth: true, symbolic: true, steps: 12, ..Options::default() }).unwrap();
        check_to(&case.graph, &case.inputs, &format!("symbolic, seed {seed}"), 1e-5);
    }
}

#[test]
fn third_derivatives() {
    for seed in 1000..1020 {
        let case = random_case(seed, &Options { smooth: true, steps: 8, ..Options::default() }).unwrap();
        check_third(&case.graph, &case.inputs, &format!("seed {seed}"), 1e-4);
    }
}

/// Graphs with kinks: at random points forward and reverse agree, whatever side of a kink a point is on.
#[test]
fn kinked_graphs_are_transposes() {
    let mut rng = Rng(3);
    for seed in 0..150 {
        let case = random_case(seed, &Options { steps: 25, ..Options::default() }).unwrap();
        let (g, wrt) = (&case.graph, reals(&case.graph));
        let v: Vec<Array> = case.inputs.iter().map(|a| random_array(&mut rng, DType::Real, &a.shape)).collect();
        let given = [case.inputs.clone(), v.clone()].concat();
        let tangents = run(&jvp(g, &wrt).unwrap(), &given).split_off(g.outputs.len());
        let u: Vec<Array> = g
            .outputs
            .iter()
            .zip(&tangents)
            .map(|(o, t)| {
                let u = random_array(&mut rng, DType::Real, &t.shape);
                if g.dtype(*o) == DType::Real { u } else { Array { data: vec![0.0; t.len()].into(), ..u } }
            })
            .collect();
        let back = run(&vjp(g, &wrt).unwrap(), &[case.inputs.clone(), u.clone()].concat()).split_off(g.outputs.len());
        let dot = |a: &[Array], b: &[Array]| -> f64 {
            a.iter().zip(b).flat_map(|(x, y)| x.data.iter().zip(y.data.iter())).map(|(p, q)| p * q).sum()
        };
        let (left, right) = (dot(&u, &tangents), dot(&back, &v));
        assert!(
            left.is_finite() && (left - right).abs() < 1e-9 * (1.0 + left.abs()),
            "seed {seed}: {left} {right}\n{g}"
        );
        // Its gradient is a graph like any other.
        let first = grad(g, &wrt).unwrap();
        run(&jvp(&first, &wrt).unwrap(), &given);
        run(&grad(&first, &wrt).unwrap(), &case.inputs);
    }
}
