//! What the planner makes of typical graphs: how many instructions, how much memory, and the text that says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_ir::build::Build;
use gradus_ir::{DType, Dim, Graph, Loop, NodeId, Op, Origin, ReduceOp, Shape, Trip, Ty, UnaryOp};
use gradus_plan::{Kind, Options, Out, Plan, PlanError, plan, plan_with};
use std::sync::Arc;

fn real(g: &mut Graph, dims: &[usize]) -> NodeId {
    g.param(Ty::real(Shape::of(dims)), Origin::default())
}

fn build(g: &mut Graph) -> Build<'_> {
    Build::new(g, Origin { file: 1, start: 10, end: 20 })
}

/// A counted loop over `carries` with captured values.
fn repeat(
    g: &mut Graph,
    carries: &[NodeId],
    captures: &[NodeId],
    f: impl FnOnce(&mut Build<'_>, &[NodeId], &[NodeId]) -> Vec<NodeId>,
) -> Vec<NodeId> {
    let mut body = Graph::new();
    body.param(Ty::scalar(DType::Int), Origin::default());
    let mut params = |n: &[NodeId]| -> Vec<NodeId> {
        n.iter().map(|n| body.param(g.ty(*n).clone(), Origin::default())).collect()
    };
    let (c, k) = (params(carries), params(captures));
    let out = f(&mut build(&mut body), &c, &k);
    body.outputs = out;
    let l = Loop {
        trip: Trip::Count(Dim::from(100)),
        carries: carries.len(),
        scanned: 0,
        collected: 0,
        cond: None,
        body: Arc::new(body),
        label: "steps".into(),
    };
    let inputs: Vec<NodeId> = carries.iter().chain(captures).copied().collect();
    let mut b = build(g);
    let l = b.op(Op::Loop(Box::new(l)), &inputs).unwrap();
    (0..carries.len()).map(|k| b.get(l, 1 + k).unwrap()).collect()
}

fn soft_threshold(b: &mut Build<'_>, v: NodeId, t: f64) -> NodeId {
    let (t, zero) = (b.real(t).unwrap(), b.real(0.0).unwrap());
    let (a, s) = (b.abs(v).unwrap(), b.sign(v).unwrap());
    let d = b.sub(a, t).unwrap();
    let m = b.maximum(d, zero).unwrap();
    b.mul(s, m).unwrap()
}

/// Proximal gradient steps for the lasso.
fn lasso() -> Graph {
    let mut g = Graph::new();
    let (x, y, w) = (real(&mut g, &[442, 10]), real(&mut g, &[442]), real(&mut g, &[10]));
    let out = repeat(&mut g, &[w], &[x, y], |b, c, k| {
        let fit = b.matmul(k[0], c[0]).unwrap();
        let r = b.sub(fit, k[1]).unwrap();
        let xt = b.swap(k[0]).unwrap();
        let grad = b.matmul(xt, r).unwrap();
        let h = b.real(0.5).unwrap();
        let s = b.mul(grad, h).unwrap();
        let v = b.sub(c[0], s).unwrap();
        vec![soft_threshold(b, v, 0.25)]
    });
    g.outputs = out;
    g
}

#[test]
fn the_text_of_a_plan() {
    let text = plan(&lasso()).unwrap().to_string();
    assert_eq!(text, include_str!("lasso.txt"));
    assert_eq!(text, plan(&lasso()).unwrap().to_string());
}

/// One pass over memory updates all three arrays of Adam, in place.
#[test]
fn an_optimizer_step_is_one_instruction() {
    let n = 10_000;
    let mut g = Graph::new();
    let (x, grad) = (real(&mut g, &[n]), real(&mut g, &[n]));
    let out = repeat(&mut g, &[x, x, x], &[grad], |b, c, k| {
        let mut scaled = |v: NodeId, s: f64| {
            let s = b.real(s).unwrap();
            b.mul(v, s).unwrap()
        };
        let (m0, m1) = (scaled(c[1], 0.9), scaled(k[0], 0.1));
        let v0 = scaled(c[2], 0.999);
        let m = b.add(m0, m1).unwrap();
        let sq = b.square(k[0]).unwrap();
        let c1 = b.real(0.001).unwrap();
        let v1 = b.mul(sq, c1).unwrap();
        let v = b.add(v0, v1).unwrap();
        let root = b.sqrt(v).unwrap();
        let eps = b.real(1e-8).unwrap();
        let d = b.add(root, eps).unwrap();
        let u = b.div(m, d).unwrap();
        vec![b.sub(c[0], u).unwrap(), m, v]
    });
    g.outputs = out;
    let p = plan(&g).unwrap();
    assert_eq!(p.kernels_per_step(), vec![("steps".into(), 1)]);
    // Three arrays and nothing else: no second buffers, no temporaries.
    assert!(p.arena_len() < 3 * n + 100, "{}", p.arena_len());
}

/// A value and its derivative share one pass with their sums; nothing but the derivative is stored.
#[test]
fn reductions_join_the_chain_that_they_end() {
    let mut g = Graph::new();
    let x = real(&mut g, &[20, 300]);
    let mut b = build(&mut g);
    let t = b.un(UnaryOp::Tanh, x).unwrap();
    let s = b.square(t).unwrap();
    let value = b.reduce(ReduceOp::Sum, s, &[1]).unwrap();
    let d = b.mul(s, t).unwrap();
    g.outputs = vec![value, d];
    let p = plan(&g).unwrap();
    assert_eq!(p.instructions(), 1, "{p}");
    let Kind::Fused(f) = &p.body().code[0].kind else { panic!("{p}") };
    assert_eq!((f.program.len(), f.segment, f.rows), (3, 300, 20));
    assert_eq!(f.outs.iter().filter(|o| matches!(o, Out::Store { .. })).count(), 1);
}

/// Views and broadcasts move nothing.
#[test]
fn views_cost_no_instructions() {
    let mut g = Graph::new();
    let (a, v) = (real(&mut g, &[6, 4]), real(&mut g, &[6]));
    let mut b = build(&mut g);
    let t = b.swap(a).unwrap();
    let s = b.slice(t, 0, 1.into(), 2.into()).unwrap();
    let r = b.op(Op::Reverse { axis: 1 }, &[s]).unwrap();
    let w = b.broadcast(v, &Shape::of(&[2, 6])).unwrap();
    let y = b.mul(r, w).unwrap();
    g.outputs = vec![y];
    assert_eq!(plan(&g).unwrap().instructions(), 1);
    // A transposed operand of a product is a flag.
    let mut g = Graph::new();
    let a = real(&mut g, &[50, 40]);
    let mut b = build(&mut g);
    let t = b.swap(a).unwrap();
    let y = b.matmul(t, a).unwrap();
    g.outputs = vec![y];
    assert_eq!(plan(&g).unwrap().instructions(), 1);
}

/// A carry that later instructions still read gets a second buffer instead of a copy per step.
#[test]
fn carries_that_cannot_be_overwritten_alternate() {
    let mut g = Graph::new();
    let (x, y) = (real(&mut g, &[100]), real(&mut g, &[100]));
    let out = repeat(&mut g, &[x, y], &[], |b, c, _| {
        let sum = b.add(c[0], c[1]).unwrap();
        vec![c[1], sum]
    });
    g.outputs = out;
    let p = plan(&g).unwrap();
    let l = p.body().code.iter().find_map(|i| match &i.kind {
        Kind::Loop(l) => Some(l),
        _ => None,
    });
    let l = l.unwrap();
    assert_eq!(l.copies.len(), 0);
    assert!(l.swaps.len() <= 1, "{p}");
}

/// Constants of any shape need no memory in elementwise code.
#[test]
fn constants_stay_numbers() {
    let mut g = Graph::new();
    let x = real(&mut g, &[1000]);
    let mut b = build(&mut g);
    let ones = b.full(2.5, &Shape::of(&[1000])).unwrap();
    let y = b.mul(x, ones).unwrap();
    g.outputs = vec![y];
    let p = plan(&g).unwrap();
    assert!(p.constants().is_empty() && p.instructions() == 1, "{p}");
}

#[test]
fn tracing_keeps_every_op_apart() {
    let count = |options| plan_with(&lasso(), options).unwrap().instructions();
    assert!(count(Options::TRACE) > count(Options::default()) + 4);
}

#[test]
fn unknown_and_impossible_shapes_are_refused() {
    let mut g = Graph::new();
    let x = g.param(Ty::real(Shape::new([Dim::sym("n")])), Origin::default());
    let y = build(&mut g).square(x).unwrap();
    g.outputs = vec![y];
    assert!(matches!(plan(&g), Err(PlanError::Unknown { .. })));
    let mut g = Graph::new();
    let x = real(&mut g, &[2]);
    let huge = 1usize << 40;
    let y = build(&mut g).broadcast(x, &Shape::of(&[huge, huge, 2])).unwrap();
    g.outputs = vec![y];
    assert!(matches!(plan(&g), Err(PlanError::TooLarge { .. })));
}

/// A long chain is planned in a time that grows with its length, and its space is used again.
#[test]
fn long_chains() {
    let mut g = Graph::new();
    let mut v = real(&mut g, &[64, 64]);
    let mut b = build(&mut g);
    for _ in 0..2000 {
        let m = b.matmul(v, v).unwrap();
        v = b.un(UnaryOp::Tanh, m).unwrap();
    }
    g.outputs = vec![v];
    let p: Plan = plan(&g).unwrap();
    assert_eq!(p.instructions(), 4000);
    assert!(p.arena_len() < 4 * 64 * 64);
}
