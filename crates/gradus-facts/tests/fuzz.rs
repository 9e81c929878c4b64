//! Random expressions of two scalars and two vectors: no claimed fact of any sub-expression may be refuted by points.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{E, Function, T};
use gradus_facts::{Curvature, Interval, Tri};
use gradus_ir::testing::Rng;
use gradus_ir::{Array, BinaryOp, DType, ReduceOp, UnaryOp, reference};

/// A random expression over the pool; scalars and vectors of length 3 broadcast.
fn grow<'t>(t: &'t T, rng: &mut Rng, pool: &mut Vec<E<'t>>, steps: usize) -> E<'t> {
    use UnaryOp::*;
    for _ in 0..steps {
        let pick = |rng: &mut Rng, pool: &[E<'t>]| pool[rng.below(pool.len()).max(rng.below(pool.len()))];
        let (a, b) = (pick(rng, pool), pick(rng, pool));
        let scalar = |e: E<'t>| t.g.borrow().shape(e.id).is_scalar();
        let made = match rng.below(22) {
            0 | 1 => a + b,
            2 => a - b,
            3 | 4 => a * b,
            5 => a / b,
            6 => a.max(b),
            7 => a.min(b),
            8 => a.bin(BinaryOp::Hypot, b),
            9 => [1.0, -2.0, 0.5, 3.0][rng.below(4)] * a,
            10 => a + [1.0, -1.0, 2.0][rng.below(3)],
            11 => a.pow([2.0, 3.0, 0.5, -1.0, 1.5, 4.0, -2.0][rng.below(7)]),
            12 => {
                let zero = t.num([0.0, 1.0][rng.below(2)]);
                let c = a.bin([BinaryOp::Le, BinaryOp::Gt, BinaryOp::Eq][rng.below(3)], zero);
                c.select(b, pick(rng, pool))
            }
            13 if !scalar(a) => a.reduce([ReduceOp::Sum, ReduceOp::Max, ReduceOp::Min, ReduceOp::LogSumExp, ReduceOp::Prod][rng.below(5)]),
            14 if !scalar(a) && !scalar(b) => a.mm(b),
            15 => a * a,
            16 => a.square().sum().sqrt(),
            _ => a.un([Square, Exp, Log, Sqrt, Abs, Recip, Softplus, Sigmoid, Neg, Sign, Tanh, Cosh, Log1p, Expm1, Atan, Erf, Sinh, Lgamma, Floor][rng.below(19)]),
        };
        pool.push(made);
    }
    pool[pool.len() - 1]
}

fn random_function(seed: u64) -> Function {
    let mut rng = Rng(seed * 7919 + 13);
    let t = T::new();
    let signed = seed % 3;
    let scalar = |n: &str, pos: bool| if pos { t.pos(n, &[]) } else { t.var(n, &[]) };
    let mut pool = vec![scalar("x", signed == 1), scalar("y", signed > 0), t.var("u", &[3])];
    pool.push(if signed == 2 { t.var_in("v", &[3], 0.0, 1.0) } else { t.var("v", &[3]) });
    pool.push(if seed.is_multiple_of(2) { t.pos_data("c", &[3]) } else { t.data("c", &[3]) });
    let steps = 2 + rng.below(7);
    let out = grow(&t, &mut rng, &mut pool, steps);
    t.build(out)
}

#[test]
fn no_random_claim_is_refuted() {
    let (mut bent, mut unknown) = (0, 0);
    for seed in 0..15000 {
        let f = random_function(seed);
        let facts = f.facts();
        match facts.curvature(f.out()) {
            Curvature::Convex | Curvature::Concave => bent += 1,
            Curvature::Unknown => unknown += 1,
            _ => {}
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f.refute(&facts, seed, 12)));
        if let Err(e) = result {
            let text = e.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("seed {seed}: {text}\n{}", f.graph);
        }
    }
    assert!(bent > 800 && unknown > 800, "{bent} bent, {unknown} unknown");
}

/// `f - modulus/2 |x|^2` is convex wherever a modulus is claimed.
#[test]
fn claimed_moduli_hold() {
    let mut claimed = 0;
    for seed in 0..3000u64 {
        let mut rng = Rng(seed + 5);
        let t = T::new();
        let (x, u) = (t.var("x", &[]), t.var("u", &[3]));
        let a = t.data("A", &[3, 3]);
        let mut f = t.num(0.0);
        for _ in 0..2 + rng.below(4) {
            let c = [0.5, 1.0, 2.0, -0.4, 3.0][rng.below(5)];
            let term = match rng.below(9) {
                0 => u.mm(u),
                1 => x * x,
                2 => x * u.sum(),
                3 => (x + u.sum()).square(),
                4 => (a.mm(u) - x).square().sum(),
                5 => u.abs().sum(),
                6 => (u - 1.0).square().sum() / 2.0,
                7 => (x + 1.0).square() + u.softplus().sum(),
                _ => u.mm(a.tr().mm(a).mm(u)) + x,
            };
            f = f + c * term;
        }
        let f = t.build(f);
        let s = f.facts().function(f.out()).strongly_convex;
        if s.is != Tri::Yes {
            continue;
        }
        claimed += 1;
        let m = s.modulus.unwrap_or(0.0);
        let draw = |rng: &mut Rng, shape: &[usize]| gradus_ir::testing::random_array(rng, DType::Real, shape);
        for _ in 0..20 {
            let a = draw(&mut rng, &[3, 3]);
            let point = |x: &Array, u: &Array| vec![x.clone(), u.clone(), a.clone()];
            let (x0, x1, u0, u1) = (draw(&mut rng, &[]), draw(&mut rng, &[]), draw(&mut rng, &[3]), draw(&mut rng, &[3]));
            let mid = |p: &Array, q: &Array| Array { data: p.data.iter().zip(q.data.iter()).map(|(a, b)| 0.5 * (a + b)).collect::<Vec<_>>().into(), ..p.clone() };
            let value = |p: Vec<Array>| reference::run(&f.graph, &p).unwrap()[0].data[0];
            let squares = |x: &Array, u: &Array| x.data.iter().chain(u.data.iter()).map(|v| v * v).sum::<f64>() * 0.5 * m;
            let (xm, um) = (mid(&x0, &x1), mid(&u0, &u1));
            let g = |x: &Array, u: &Array| value(point(x, u)) - squares(x, u);
            assert!(g(&xm, &um) <= 0.5 * (g(&x0, &u0) + g(&x1, &u1)) + 1e-9, "seed {seed}: modulus {m}\n{}", f.graph);
        }
    }
    assert!(claimed > 100, "{claimed}");
}

/// Quadratic forms in random bracketings: inner products of chains of constant matrices, traces, weights, inverses, broadcasts.
#[test]
fn no_random_quadratic_is_refuted() {
    let (mut convex, mut unknown) = (0, 0);
    for seed in 0..4000u64 {
        let mut rng = Rng(seed * 31 + 7);
        let t = T::new();
        let (w, v, x) = (t.var("w", &[3]), t.var("v", &[3]), t.var("X", &[3, 3]));
        let (a, s, c) = (t.data("A", &[3, 3]), t.data("S", &[3, 3]), t.pos_data("c", &[3]));
        let d = t.op(gradus_ir::Op::DiagMatrix, &[c.id]);
        let gram = a.tr().mm(a) + 0.2 * t.eye(3);
        let matrices = [a, a.tr(), s, d, gram, s + s.tr(), a.mm(a.tr()), (a.tr() * c).mm(a), -gram, t.eye(3)];
        let chain = |rng: &mut Rng| {
            let mut e = [w, w, v, w - v, w + 1.0][rng.below(5)];
            for _ in 0..rng.below(4) {
                let m = matrices[rng.below(matrices.len())];
                e = match rng.below(5) {
                    0 => e.mm(m),
                    1 => c * e,
                    2 => t.op(gradus_ir::Op::Solve { transposed: rng.chance(50) }, &[gram.id, e.id]),
                    _ => m.mm(e),
                };
            }
            e
        };
        let mut sum = t.num(0.0);
        for _ in 0..1 + rng.below(3) {
            let (p, q) = (chain(&mut rng), chain(&mut rng));
            let term = match rng.below(8) {
                0 => p.mm(p),
                1 => (p * q).sum(),
                2 => (c * p.square()).sum(),
                3 => {
                    let m = matrices[rng.below(matrices.len())];
                    m.mm(x).tr().mm(x).trace()
                }
                4 => (x.mm(matrices[rng.below(matrices.len())]) - s).square().sum(),
                5 => (p.sum() * q).sum(),
                6 => (x * p).square().sum_axis(rng.below(2)).mm(c),
                _ => p.mm(q),
            };
            sum = sum + [1.0, 1.0, 2.0, -1.0, -0.5][rng.below(5)] * term;
        }
        let f = t.build(sum);
        let facts = f.facts();
        match facts.curvature(f.out()) {
            Curvature::Convex => convex += 1,
            Curvature::Unknown => unknown += 1,
            _ => {}
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f.refute(&facts, seed, 10)));
        if let Err(e) = result {
            let text = e.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("seed {seed}: {text}\n{}", f.graph);
        }
    }
    assert!(convex > 400 && unknown > 400, "{convex} convex, {unknown} unknown");
}

/// The work grows with the length of a function, not with the paths through it (2^1500 here): this comes to an end.
#[test]
fn long_functions_come_to_an_end() {
    let t = T::new();
    let (w, x) = (t.var("w", &[3]), t.var("x", &[]));
    let (mut sum, mut shared, mut product) = (t.num(0.0), x.softplus() + 1.0, x.exp());
    for k in 0..1500 {
        sum = sum + (w - f64::from(k)).square().sum() + 0.01 * (x * w).sum() + w.abs().sum();
        shared = shared + shared.softplus() * 0.5 + shared.max(x) * 0.1;
        product = product * product.sqrt() * x.softplus();
    }
    let f = t.build(sum + shared + product);
    let facts = f.facts();
    let out = f.out();
    assert_eq!(facts.curvature(out), Curvature::Unknown);
    assert!(facts.culprit(out, Curvature::Convex).is_some() && facts.decompose(out).is_none());
    assert!(!facts.function(out).to_string().is_empty() && facts.why(out).len() <= 50);
}

/// Ranges of products and powers at the edges.
#[test]
fn intervals() {
    let all = Interval::ALL;
    assert_eq!(all.mul(Interval::point(0.0)), Interval::new(0.0, 0.0));
    assert_eq!(Interval::new(-2.0, 3.0).square(), Interval::new(0.0, 9.0));
    assert_eq!(Interval::NONNEGATIVE.recip().lo, 0.0);
    assert_eq!(Interval::new(-1.0, 1.0).recip(), all);
    assert!(Interval::POSITIVE.add(Interval::NONNEGATIVE).is_pos());
    assert!(!Interval::NONNEGATIVE.add(Interval::NONNEGATIVE).is_pos());
    assert!(Interval::POSITIVE.mul(Interval::POSITIVE).is_pos());
    assert_eq!(Interval::POSITIVE.to_string(), "(0, inf)");
}
