//! Every rule: fires where it should, not where its guard says no, and start and goal agree in numbers, edges included.

use super::expr::{Var, graph, vars};
use super::{agree, run};
use crate::report::Class;
use crate::rules::{Case, Rule, all};
use crate::saturate::saturate;
use crate::sea::{LoopInfo, Sop};
use crate::{import, load};
use gradus_ir::testing::Rng;
use gradus_ir::{Array, DType, Dim, Op, Trip, Ty};
use std::sync::Arc;

/// Does the rule alone find the goal equal to the start?
fn proves(rule: &Rule, case: &Case) -> (bool, bool) {
    let vs = vars(case.vars);
    let g = graph(&vs, &[case.start, case.goal]);
    let mut sea = import::import(&g, &mut |op, _| Ok(op.clone())).unwrap();
    let mut params = vec![Ty::scalar(DType::Int)];
    for (k, v) in vs.iter().enumerate() {
        if !v.varies {
            continue;
        }
        for n in &mut sea.nodes {
            if n.op == Sop::Ir(Op::Param(k as u32)) {
                n.op = Sop::LoopParam { of: 0, index: params.len() as u32 };
                params.push(n.tys[0].clone());
            }
        }
    }
    sea.loops.push(LoopInfo {
        trip: Trip::Count(Dim::Known(1000)),
        carries: params.len() - 1,
        scanned: 0,
        collected: 0,
        has_cond: false,
        label: "test".into(),
        parent: None,
        outputs: params.iter().cloned().collect(),
        params,
    });
    let (mut space, outs) = load::load(&sea, true).unwrap();
    let before = space.graph.find(outs[0]) == space.graph.find(outs[1]);
    saturate(&mut space, &[rule], 5000);
    assert!(!space.graph.analysis.conflict, "{}: {}", rule.name, case.start);
    (before, space.graph.find(outs[0]) == space.graph.find(outs[1]))
}

fn input(v: &Var, mut f: impl FnMut() -> f64) -> Array {
    let n = v.shape.iter().product::<usize>();
    Array { dtype: DType::Real, shape: v.shape.clone(), data: Arc::new((0..n).map(|_| f()).collect()) }
}

/// The theorem test and the numeric test of a rule.
fn check_rewrite(rule: &Rule) {
    for case in rule.cases {
        let (before, after) = proves(rule, case);
        assert!(!before, "{}: the case needs no rule: {}", rule.name, case.start);
        assert!(after, "{}: {} does not become {}", rule.name, case.start, case.goal);
        let vs = vars(case.vars);
        let g = graph(&vs, &[case.start, case.goal]);
        let mut rng = Rng(7);
        // Ordinary numbers, then each edge mixed in.
        let edges = [0.0, -0.0, 1.0, -1.0, 30.0, -30.0, 1e100, -1e100, 1e-100, -1e-100];
        let wild = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e308, -1e308, 5e-324];
        for round in 0..60 {
            let ins: Vec<Array> = vs
                .iter()
                .map(|v| {
                    input(v, || match round {
                        0..20 => 3.0 * rng.real(),
                        _ if rng.chance(40) => edges[rng.below(edges.len())],
                        _ => 50.0 * rng.real(),
                    })
                })
                .collect();
            let out = run(&g, &ins);
            agree(&out[..1], &out[1..], 1e-12, &format!("{} on {ins:?}", rule.name));
            if rule.class != Class::Exact {
                continue;
            }
            let ins: Vec<Array> = vs
                .iter()
                .map(|v| input(v, || if rng.chance(50) { wild[rng.below(wild.len())] } else { rng.real() }))
                .collect();
            let out = run(&g, &ins);
            for (x, y) in out[0].data.iter().zip(out[1].data.iter()) {
                assert!(x == y || x.is_nan() && y.is_nan(), "{}: {x} became {y} on {ins:?}", rule.name);
            }
        }
    }
    for case in rule.refused {
        let (before, after) = proves(rule, case);
        assert!(!before && !after, "{} fires where it must not: {}", rule.name, case.start);
    }
}

#[test]
fn stable() {
    crate::rules::stable::RULES.iter().for_each(check_rewrite);
}

#[test]
fn algebra() {
    crate::rules::algebra::RULES.iter().for_each(check_rewrite);
}

#[test]
fn reduce() {
    crate::rules::reduce::RULES.iter().for_each(check_rewrite);
}

#[test]
fn matrix() {
    crate::rules::matrix::RULES.iter().for_each(check_rewrite);
}

#[test]
fn gram() {
    crate::rules::gram::RULES.iter().for_each(check_rewrite);
}

#[test]
fn names_are_different_and_have_their_family() {
    let rules = all();
    for (k, r) in rules.iter().enumerate() {
        assert!(!rules[..k].iter().any(|q| q.name == r.name), "{}", r.name);
        assert!(r.name.contains('/') && !r.reason.is_empty());
        assert!(!r.cases.is_empty() || r.name == "matrix/transpose-twice", "{} has no case", r.name);
    }
}
