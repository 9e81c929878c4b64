//! Every rule: fires where it should, not where its guard says no, and start and goal agree in numbers, edges included.

use super::expr::{Var, graph, vars};
use super::run;
use crate::report::Class;
use crate::rules::{Case, Family, Rule, all};
use crate::saturate::{only, saturate};
use crate::sea::{LoopInfo, Sop};
use crate::{import, load};
use gradus_ir::testing::Rng;
use gradus_ir::{Array, DType, Dim, Graph, Op, Trip, Ty};
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
        kept: (0..params.len() - 1).collect(),
        kept_collected: Vec::new(),
        source_carries: params.len() - 1,
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
    saturate(&mut space, &only(&[rule]), 5000);
    assert!(!space.graph.analysis.conflict, "{}: {}", rule.name, case.start);
    (before, space.graph.find(outs[0]) == space.graph.find(outs[1]))
}

fn input(v: &Var, mut f: impl FnMut() -> f64) -> Array {
    let n = v.shape.iter().product::<usize>();
    Array { dtype: DType::Real, shape: v.shape.clone(), data: Arc::new((0..n).map(|_| f()).collect()) }
}

/// Ordinary numbers, then each edge by itself among them, then all huge, all tiny, and all mixed.
fn number(rng: &mut Rng, round: usize) -> f64 {
    let edge = match round {
        0..20 => return 3.0 * rng.real(),
        20..30 => 0.0,
        30..35 => -0.0,
        35..40 => [1.0, -1.0][round % 2],
        40..50 => [30.0, -30.0][round % 2],
        50..60 => return 1e100 * rng.real(),
        60..70 => return 1e-100 * rng.real(),
        70..80 => [1e100, -1e100][round % 2],
        _ => [1e100, -1e100, 1e-100, -1e-100, 0.0][rng.below(5)],
    };
    if rng.chance(40) { edge } else { 3.0 * rng.real() }
}

/// Both outputs agree to the rounding of the largest number on the way, and the second is finite where the first is.
/// A stable form is there because the naive one is wrong far out, so there only the second is asked for.
fn close(g: &Graph, ins: &[Array], rule: &Rule, round: usize) {
    let (name, stable) = (rule.name, rule.family == Family::Stable);
    let tol = match round {
        // Huge data is what such a rule does not promise.
        _ if rule.class == Class::Conditioning && round >= 40 => return,
        _ if stable && round >= 40 => f64::INFINITY,
        _ if stable || rule.class == Class::Conditioning => 1e-13,
        // Matrices of the cases have condition numbers up to thousands.
        _ if rule.family == Family::Factor => 1e-12,
        0..20 => 4e-15,
        _ => 1e-12,
    };
    let all = gradus_ir::reference::run_all(g, ins).unwrap();
    let size = all.iter().flatten().flat_map(|a| a.data.iter()).filter(|x| x.is_finite());
    let size = size.fold(0.0f64, |m, x| m.max(x.abs()));
    let out = run(g, ins);
    for (x, y) in out[0].data.iter().zip(out[1].data.iter()) {
        if x.is_finite() {
            assert!(y.is_finite() && (x - y).abs() <= tol * size, "{name}: {x} became {y} on {ins:?}");
        }
    }
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
        let wild = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e308, -1e308, 5e-324];
        for round in 0..90 {
            let ins: Vec<Array> = vs.iter().map(|v| input(v, || number(&mut rng, round))).collect();
            close(&g, &ins, rule, round);
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
    crate::rules::stable::RULES.iter().chain(crate::rules::overflow::RULES).for_each(check_rewrite);
}

#[test]
fn algebra() {
    crate::rules::algebra::RULES.iter().for_each(check_rewrite);
}

#[test]
fn piecewise() {
    crate::rules::piecewise::RULES.iter().for_each(check_rewrite);
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
fn spread() {
    crate::rules::spread::RULES.iter().for_each(check_rewrite);
}

#[test]
fn factor() {
    crate::rules::factor::RULES.iter().for_each(check_rewrite);
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
        assert!(!r.cases.is_empty() || ["matrix/transpose-twice", "algebra/collect"].contains(&r.name), "{} has no case", r.name);
    }
}

/// Rules that only act after others: together they are tested here.
#[test]
fn rules_that_need_others() {
    let case = |vars, start, goal| {
        let vs = super::expr::vars(vars);
        let g = graph(&vs, &[start, goal]);
        let sea = import::import(&g, &mut |op, _| Ok(op.clone())).unwrap();
        let (mut space, outs) = load::load(&sea, true).unwrap();
        assert_ne!(space.graph.find(outs[0]), space.graph.find(outs[1]), "{start}");
        saturate(&mut space, &only(&all()), 5000);
        assert_eq!(space.graph.find(outs[0]), space.graph.find(outs[1]), "{start}");
    };
    case("x:5", "(mul x (exp 2))", "(mul x 7.38905609893065)");
    case("x:5", "(add (add x 1) (log (exp x)))", "(add (mul 2 x) 1)");
    case("a:3,3 b:3,3 x:3", "(matmul (t (t (matmul a b))) x)", "(matmul a (matmul b x))");
    case("x:5 s:", "(sum (sub x s))", "(sub (sum x) (mul 5 s))");
}

/// What is found equal after a form was made makes its operands equal: each still counts.
#[test]
fn operands_found_equal_later_are_all_counted() {
    for (vars, start, wrong) in [
        ("x:5 y:5", "(add x (mul x (select (lt x y) x x)))", "(mul 2 x)"),
        ("x:5", "(max (neg x) (neg (add x (max x x))))", "(neg x)"),
    ] {
        let vs = super::expr::vars(vars);
        let g = graph(&vs, &[start, wrong]);
        let sea = import::import(&g, &mut |op, _| Ok(op.clone())).unwrap();
        let (mut space, outs) = load::load(&sea, true).unwrap();
        saturate(&mut space, &only(&all()), 5000);
        assert_ne!(space.graph.find(outs[0]), space.graph.find(outs[1]), "{start}");
    }
}
