//! Every case of every rule, whole programs and random graphs: what the rewriter did is proved to a checker that shares nothing
//! with it.

use super::expr::{Var, graph, vars};
use crate::rules::{Case, Rule, all};
use crate::saturate::{only, saturate};
use crate::{Level, Options, import, load, prove};
use gradus_ir::testing::{self, random_case};
use gradus_ir::{DType, Dim, Graph, Loop, NodeId, Op, Origin, Trip, Ty};
use gradus_proof::{LoopMap, NORMAL, Refused, laws};
use std::sync::Arc;

const NOWHERE: Origin = Origin { file: 0, start: 0, end: 0 };

/// A loop of 1000 steps that collects the expressions; what varies is scanned.
fn looped(vs: &[Var], exprs: &[&str]) -> Graph {
    let inside = graph(vs, exprs);
    let mut body = Graph::new();
    body.param(Ty::scalar(DType::Int), NOWHERE);
    let mut g = Graph::new();
    let (mut scanned, mut captured) = (Vec::new(), Vec::new());
    let mut args: Vec<Option<NodeId>> = vec![None; vs.len()];
    for varies in [true, false] {
        for (k, v) in vs.iter().enumerate().filter(|(_, v)| v.varies == varies) {
            let ty = inside.ty(inside.params()[k]).clone();
            args[k] = Some(body.param(ty.clone(), NOWHERE));
            if v.varies {
                scanned.push(g.param(Ty::new(ty.dtype, ty.shape.stacked(Dim::Known(1000))), NOWHERE));
            } else {
                captured.push(g.param(ty, NOWHERE));
            }
        }
    }
    let mut map: Vec<Option<NodeId>> = vec![None; inside.len()];
    for (p, a) in inside.params().iter().zip(&args) {
        map[p.index()] = *a;
    }
    for (id, n) in inside.nodes() {
        if map[id.index()].is_none() {
            let kids: Vec<NodeId> = n.inputs.iter().map(|i| map[i.index()].unwrap()).collect();
            map[id.index()] = Some(body.add_plain(n.op.clone(), &kids, NOWHERE).unwrap());
        }
    }
    body.outputs = inside.outputs.iter().map(|o| map[o.index()].unwrap()).collect();
    let l = Loop {
        trip: Trip::Count(Dim::Known(1000)),
        carries: 0,
        scanned: scanned.len(),
        collected: exprs.len(),
        cond: None,
        body: Arc::new(body),
        label: "test".into(),
    };
    let inputs: Vec<NodeId> = scanned.into_iter().chain(captured).collect();
    let node = g.add_plain(Op::Loop(Box::new(l)), &inputs, NOWHERE).unwrap();
    g.outputs = (0..exprs.len()).map(|k| g.add_plain(Op::Get(1 + k as u32), &[node], NOWHERE).unwrap()).collect();
    g
}

/// The proof that a rule alone makes of a case.
fn proof(rule: &Rule, case: &Case) -> (gradus_proof::Proof, Option<Refused>) {
    let vs = vars(case.vars);
    let sea = import::import(&looped(&vs, &[case.start, case.goal]), &mut |op, _| Ok(op.clone())).unwrap();
    let (mut space, _) = load::load_with(&sea, true, true).unwrap();
    saturate(&mut space, &only(&[rule]), 5000);
    let mut draft = prove::found(&sea, &space);
    draft.before = looped(&vs, &[case.start, case.start]);
    draft.after = looped(&vs, &[case.start, case.goal]);
    draft.loops = vec![LoopMap { label: "test".into(), carries: Vec::new(), collected: vec![0, 1] }];
    draft.hoisted.clear();
    gradus_proof::finish(&draft)
}

#[test]
fn every_case_of_every_rule_is_proved_by_its_law() {
    let mut wrong = Vec::new();
    for rule in all() {
        for case in rule.cases {
            let (p, refused) = proof(rule, case);
            match refused {
                Some(r) => wrong.push(format!("{}: {} => {}: {r}", rule.name, case.start, case.goal)),
                None if !p.steps.iter().any(|s| s.law == rule.name) => {
                    wrong.push(format!("{}: {} => {} needs no law", rule.name, case.start, case.goal));
                }
                None => {}
            }
        }
        for case in rule.refused {
            if proof(rule, case).1.is_none() {
                wrong.push(format!("{}: {} => {} is proved without the guard", rule.name, case.start, case.goal));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_checker_states_a_law_for_every_rule() {
    let rules: Vec<&str> = all().iter().map(|r| r.name).collect();
    let missing: Vec<&str> = rules.iter().copied().filter(|n| gradus_proof::law(n).is_none()).collect();
    assert!(missing.is_empty(), "state these laws in gradus-proof/src/laws.rs: {missing:?}");
    let odd: Vec<&str> = laws().map(|l| l.name).filter(|n| ![NORMAL, "constant"].contains(n) && !rules.contains(n)).collect();
    assert!(odd.is_empty(), "laws of no rule: {odd:?}");
}

#[test]
fn random_graphs_are_proved() {
    let mut wrong = Vec::new();
    for seed in 0..50 {
        let case = random_case(seed, &testing::Options { steps: 25, symbolic: seed % 4 == 3, ..testing::Options::default() }).unwrap();
        for level in [Level::Strict, Level::Default] {
            let mut log = crate::Log::default();
            let graph = prove::labelled(&case.graph, &mut 0).unwrap();
            let new = crate::improved_with(&graph, level, &Options::default(), &mut crate::Report::default(), Some(&mut log)).unwrap();
            let (p, refused) = log.finish(&graph, &new);
            if let Some(r) = refused {
                let text = r.to_string();
                wrong.push(format!("seed {seed} {level:?}: {}", text.chars().take(2000).collect::<String>()));
            }
            drop(p);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
