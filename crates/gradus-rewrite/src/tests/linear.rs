//! Random linear algebra in a loop: products, transposes, sums, scales and reductions of tall data and a varying unknown.

use super::{agree, run};
use crate::{Level, Options, rewrite};
use gradus_ir::build::Build;
use gradus_ir::testing::{Rng, random_array};
use gradus_ir::{Array, DType, Dim, Graph, Loop, NodeId, Op, Origin, ReduceOp, Shape, Trip, Ty};
use std::sync::Arc;

const TALL: usize = 9;
const WIDE: usize = 3;

/// A random value of that shape from pool and constants, at most `depth` ops deep.
fn value(b: &mut Build<'_>, rng: &mut Rng, pool: &[NodeId], shape: &[usize], depth: usize) -> NodeId {
    let want = Shape::of(shape);
    let here: Vec<NodeId> = pool.iter().copied().filter(|p| *b.graph.shape(*p) == want).collect();
    let dims = [TALL, WIDE];
    let sub = |b: &mut Build<'_>, rng: &mut Rng, s: &[usize]| value(b, rng, pool, s, depth.saturating_sub(1));
    if depth == 0 {
        return match here.get(rng.below(here.len().max(1))) {
            Some(p) => *p,
            None => b.full(0.5, &want).unwrap(),
        };
    }
    match (rng.below(13), shape) {
        (0 | 1, s) => {
            let (x, y) = (sub(b, rng, s), sub(b, rng, s));
            if rng.chance(50) { b.add(x, y) } else { b.sub(x, y) }
        }
        (2, s) => {
            let (c, x) = (sub(b, rng, &[]), sub(b, rng, s));
            b.mul(c, x)
        }
        (3, s) => {
            let x = sub(b, rng, s);
            let c = b.real([2.0, -0.5, 0.25, -1.0][rng.below(4)]).unwrap();
            b.mul(c, x)
        }
        (4, s) => {
            let (x, y) = (sub(b, rng, s), sub(b, rng, s));
            b.mul(x, y)
        }
        (5, [m, n]) => {
            let x = sub(b, rng, &[*n, *m]);
            b.swap(x)
        }
        (6, [n, m]) if n == m => {
            let d = sub(b, rng, &[*n]);
            b.op(Op::DiagMatrix, &[d])
        }
        (7, [n]) => {
            let m = dims[rng.below(2)];
            let axis = rng.below(2);
            let x = sub(b, rng, &if axis == 1 { [*n, m] } else { [m, *n] });
            b.reduce(ReduceOp::Sum, x, &[axis])
        }
        // The gradient of least squares, with whatever around it.
        (8 | 9, [WIDE]) => {
            let tall = Shape::of(&[TALL, WIDE]);
            let a = pool.iter().copied().find(|p| *b.graph.shape(*p) == tall).unwrap();
            let x = sub(b, rng, &[WIDE]);
            let y = sub(b, rng, &[TALL]);
            let ax = b.matmul(a, x).unwrap();
            let r = b.sub(ax, y).unwrap();
            let t = b.swap(a).unwrap();
            b.matmul(t, r)
        }
        (_, [m, n]) => {
            let k = dims[rng.below(2)];
            let (x, y) = (sub(b, rng, &[*m, k]), sub(b, rng, &[k, *n]));
            b.matmul(x, y)
        }
        (_, [n]) => {
            let k = dims[rng.below(2)];
            let x = sub(b, rng, &[k]);
            if rng.chance(50) {
                let a = sub(b, rng, &[*n, k]);
                b.matmul(a, x)
            } else {
                let a = sub(b, rng, &[k, *n]);
                b.matmul(x, a)
            }
        }
        (k, _) => {
            let n = dims[rng.below(2)];
            if k % 2 == 0 {
                let (x, y) = (sub(b, rng, &[n]), sub(b, rng, &[n]));
                b.dot(x, y)
            } else {
                let m = dims[rng.below(2)];
                let x = sub(b, rng, &[n, m]);
                b.sum_all(x)
            }
        }
    }
    .unwrap()
}

fn case(seed: u64) -> Graph {
    let o = Origin::default();
    let mut rng = Rng(seed);
    let real = |s: &[usize]| Ty::real(Shape::of(s));
    let tys = [real(&[WIDE]), real(&[TALL, WIDE]), real(&[WIDE, WIDE]), real(&[TALL]), real(&[]), real(&[WIDE, 3])];
    let mut body = Graph::new();
    body.param(Ty::scalar(DType::Int), o);
    let pool: Vec<NodeId> = tys.iter().map(|t| body.param(t.clone(), o)).collect();
    let mut b = Build::new(&mut body, o);
    let v = value(&mut b, &mut rng, &pool, &[WIDE], 5);
    // Stays moderate; thirty steps still magnify rounding, but a wrong rule is wrong in the first digits.
    let t = b.tanh(v).unwrap();
    let c = b.real(0.01).unwrap();
    let s = b.mul(c, t).unwrap();
    let out = b.add(pool[0], s).unwrap();
    body.outputs = vec![out];
    let mut g = Graph::new();
    let ins: Vec<NodeId> = tys.iter().map(|t| g.param(t.clone(), o)).collect();
    let l = Loop {
        trip: Trip::Count(Dim::Known(30)),
        carries: 1,
        scanned: 0,
        collected: 0,
        cond: None,
        body: Arc::new(body),
        label: "for".into(),
    };
    let mut b = Build::new(&mut g, o);
    let l = b.op(Op::Loop(Box::new(l)), &ins).unwrap();
    let x = b.get(l, 1).unwrap();
    g.outputs = vec![x];
    g
}

fn check(seeds: std::ops::Range<u64>) -> (usize, usize) {
    let (mut gram, mut better) = (0, 0);
    for seed in seeds {
        let g = case(seed);
        let mut rng = Rng(seed);
        let ins: Vec<Array> = g
            .params()
            .iter()
            .map(|p| random_array(&mut rng, DType::Real, &g.shape(*p).sizes().unwrap()))
            .collect();
        let r = rewrite(&g, Level::Default, &Options::default()).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{g}"));
        agree(&run(&g, &ins), &run(&r.graph, &ins), 1e-7, &format!("seed {seed}\n{g}\n{}\n{}", r.graph, r.report));
        gram += usize::from(r.report.fired("matrix/gram"));
        better += usize::from(r.report.cost_after < 0.9 * r.report.cost_before);
    }
    (gram, better)
}

#[test]
fn linear_algebra_in_a_loop_agrees() {
    let times: u64 = std::env::var("GRADUS_FUZZ").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    let (gram, better) = check(0..100 * times);
    // The generator must reach what it is there for.
    assert!(gram >= 20 && better >= 60, "{gram} {better}");
}
