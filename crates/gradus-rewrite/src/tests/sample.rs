//! The rules together on random programs made of what they look for: rewritten and original agree.
//!
//! A program is made of instances of the rules' own cases, with random expressions and earlier results in place of their
//! variables, straight or in a loop. The forms are chosen by random prices, so that rules that would not pay at these sizes shape
//! the result too. `GRADUS_SAMPLE=100000` takes so many programs; `GRADUS_SAMPLE_SEED=N` starts at another.

use super::expr::{Var, expr_at, vars};
use crate::rules::{Case, all};
use crate::{Class, Level, Machine, Options, Report};
use gradus_ir::build::Build;
use gradus_ir::testing::{Rng, random_array};
use gradus_ir::{Array, BinaryOp, DType, Dim, Graph, Loop, NodeId, Op, Origin, ReduceOp, Shape, Trip, Ty, UnaryOp, reference};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Programs when nothing else is said.
const PROGRAMS: u64 = 2000;

/// Values by shape, and where new ones come from.
struct Maker<'r> {
    graph: Graph,
    pool: Vec<NodeId>,
    rng: Rng,
    /// Parameters that do not vary in the loop.
    fixed: Vec<Vec<usize>>,
    cases: &'r [Case],
}

fn real(s: &[usize]) -> Ty {
    Ty::real(Shape::of(s))
}

const UNARY: [UnaryOp; 12] = {
    use UnaryOp::*;
    [Neg, Abs, Square, Exp, Tanh, Sigmoid, Softplus, Sign, Sin, Expm1, Recip, Sqrt]
};

impl Maker<'_> {
    fn here(&self, shape: &[usize]) -> Vec<NodeId> {
        let want = Shape::of(shape);
        let fits = |p: &NodeId| *self.graph.shape(*p) == want && self.graph.dtype(*p) == DType::Real;
        self.pool.iter().copied().filter(fits).collect()
    }

    /// A value of that shape: one that is there, or made of two of them.
    fn value(&mut self, shape: &[usize], depth: usize) -> NodeId {
        let here = self.here(shape);
        if here.is_empty() {
            return self.fresh(shape);
        }
        let a = here[self.rng.below(here.len())];
        if depth == 0 || self.rng.chance(55) {
            return a;
        }
        let (b, k) = (self.value(shape, depth - 1), self.rng.below(10));
        let u = UNARY[self.rng.below(UNARY.len())];
        let c = [2.0, -1.0, 0.5, 0.0, 3.0][self.rng.below(5)];
        let mut m = Build::new(&mut self.graph, Origin::default());
        match k {
            0..=3 => m.un(u, b),
            4 => m.add(a, b),
            5 => m.sub(a, b),
            6 => m.mul(a, b),
            7 => m.bin(BinaryOp::Max, a, b),
            8 => m.real(c).and_then(|c| m.mul(c, b)),
            _ => m.real(c).and_then(|c| m.add(b, c)),
        }
        .unwrap()
    }

    fn fresh(&mut self, shape: &[usize]) -> NodeId {
        let p = self.graph.param(real(shape), Origin::default());
        self.fixed.push(shape.to_vec());
        self.pool.push(p);
        p
    }

    /// An instance of the start or the goal of a case.
    fn plant(&mut self, case: &Case, goal: bool) -> NodeId {
        let vs: Vec<Var> = vars(case.vars);
        let ids: Vec<NodeId> = vs.iter().map(|v| self.value(&v.shape, 2)).collect();
        let out = expr_at(&mut self.graph, &vs, &ids, if goal { case.goal } else { case.start });
        if self.graph.dtype(out) == DType::Real {
            self.pool.push(out);
        }
        out
    }

    fn grow(&mut self, steps: usize) -> Vec<NodeId> {
        let mut made = Vec::new();
        for _ in 0..steps {
            let case = self.cases[self.rng.below(self.cases.len())];
            // Both spellings in one program make rules choose between forms that were there.
            let goal = self.rng.chance(15);
            made.push(self.plant(&case, goal));
        }
        made
    }
}

/// The case of a seed: graph and inputs.
fn case(seed: u64, cases: &[Case]) -> (Graph, Vec<Array>) {
    let mut rng = Rng(seed.wrapping_mul(0x9E37_79B9).wrapping_add(17));
    let o = Origin::default();
    let in_loop = rng.chance(60);
    let positive = rng.chance(40);
    let steps = 1 + rng.below(3);
    let shapes: Vec<&[usize]> = vec![&[], &[3], &[4], &[5]];
    let mut graph = Graph::new();
    let (mut g, outer) = if in_loop {
        graph.param(Ty::scalar(DType::Int), o);
        let pool: Vec<NodeId> = shapes.iter().map(|s| graph.param(real(s), o)).collect();
        let mut m = Maker { graph, pool: pool.clone(), rng, fixed: Vec::new(), cases };
        let made = m.grow(steps);
        // Carries move a little with everything that was made, and stay moderate.
        let mut b = Build::new(&mut m.graph, o);
        let mut total = b.real(0.0).unwrap();
        for x in made {
            let s = if b.shape(x).is_scalar() { x } else { b.sum_all(x).unwrap() };
            let t = b.tanh(s).unwrap();
            total = b.add(total, t).unwrap();
        }
        let small = b.real(0.05).unwrap();
        let step = b.mul(small, total).unwrap();
        let outs: Vec<NodeId> = pool.iter().map(|p| b.add(*p, step).unwrap()).collect();
        m.graph.outputs = outs;
        let mut g = Graph::new();
        let mut ins: Vec<NodeId> = shapes.iter().map(|s| g.param(real(s), o)).collect();
        ins.extend(m.fixed.iter().map(|s| g.param(real(s), o)));
        let l = Loop {
            trip: Trip::Count(Dim::Known(3 + m.rng.below(40) as i64)),
            carries: shapes.len(),
            scanned: 0,
            collected: 0,
            cond: None,
            body: Arc::new(m.graph),
            label: "for".into(),
        };
        let l = g.add(Op::Loop(Box::new(l)), &ins, o).unwrap();
        g.outputs = (0..shapes.len()).map(|k| g.add(Op::Get(1 + k as u32), &[l], o).unwrap()).collect();
        (g, m.rng)
    } else {
        let pool: Vec<NodeId> = shapes.iter().map(|s| graph.param(real(s), o)).collect();
        let mut m = Maker { graph, pool, rng, fixed: Vec::new(), cases };
        let made = m.grow(steps + 1);
        m.graph.outputs = made;
        (m.graph, m.rng)
    };
    let mut rng = outer;
    g = g.compact().unwrap();
    let inputs = g
        .params()
        .iter()
        .map(|p| {
            let mut a = random_array(&mut rng, DType::Real, &g.shape(*p).sizes().unwrap());
            if positive {
                a.data = Arc::new(a.data.iter().map(|x| x.abs() + 0.1).collect());
            }
            a
        })
        .collect();
    (g, inputs)
}

/// Largest finite number on the way, where that can be seen (bodies of loops cannot).
fn size(g: &Graph, inputs: &[Array]) -> f64 {
    let all = reference::run_all(g, inputs).unwrap();
    all.iter().flatten().flat_map(|a| a.data.iter()).filter(|x| x.is_finite()).fold(1.0, |m, x| m.max(x.abs()))
}

fn differences(old: &[Array], new: &[Array]) -> Vec<f64> {
    old.iter().zip(new).flat_map(|(a, b)| a.data.iter().zip(b.data.iter())).map(|(x, y)| (x - y).abs()).collect()
}

/// The complaint about a program, and the rules that shaped it. A point at which rounding of the inputs moves the result as much
/// (a kink, a pole, cancellation) says nothing.
fn check(seed: u64, cases: &[Case], counts: &mut BTreeMap<&'static str, u64>, skipped: &mut u64) -> Result<(), String> {
    let (g, inputs) = case(seed, cases);
    let mut rng = Rng(seed ^ 0xABCD);
    let mut machine = Machine::default();
    for (_, v) in machine.fields_mut() {
        *v *= [0.02, 0.3, 1.0, 5.0][rng.below(4)];
    }
    let options = Options { machine, gram_value: rng.chance(10), ..Options::default() };
    let old = reference::run(&g, &inputs).map_err(|e| format!("{e}"))?;
    for level in [Level::Strict, Level::Default] {
        let mut report = Report::default();
        let new = crate::improved(&g, level, &options, &mut report).map_err(|e| format!("{level:?}: {e}"))?;
        gradus_ir::verify(&new).map_err(|e| format!("{level:?}: {e}\n{new}"))?;
        let got = reference::run(&new, &inputs).map_err(|e| format!("{level:?}: {e}\n{new}"))?;
        for f in &report.fired {
            *counts.entry(f.rule).or_default() += 1;
        }
        let fail = |what: String| Err(format!("{level:?}: {what}\n{g}\n{new}\n{report}"));
        if level == Level::Strict {
            for (x, y) in old.iter().zip(&got).flat_map(|(a, b)| a.data.iter().zip(b.data.iter())) {
                if !(x == y || x.is_nan() && y.is_nan()) {
                    return fail(format!("{x} became {y}"));
                }
            }
            continue;
        }
        let tol = if report.fired.iter().any(|f| f.class == Class::Conditioning) { 1e-6 } else { 1e-9 };
        let bad = |tol: f64, size: f64| {
            old.iter().zip(&got).flat_map(|(a, b)| a.data.iter().zip(b.data.iter())).find(|(x, y)| {
                x.is_finite() && !((**x - **y).abs() <= tol * size.max(x.abs()))
            })
        };
        if bad(tol, 1.0).is_none() {
            continue;
        }
        let size = size(&g, &inputs);
        let Some((x, y)) = bad(tol, size) else { continue };
        // How far do roundings of the inputs move it?
        let mut moved = false;
        for k in 0..6u64 {
            let mut r = Rng(seed.wrapping_add(k));
            let near: Vec<Array> = inputs
                .iter()
                .map(|a| Array {
                    data: Arc::new(a.data.iter().map(|x| x * (1.0 + 1e-14 * r.real())).collect()),
                    ..a.clone()
                })
                .collect();
            let other = reference::run(&g, &near).map_err(|e| format!("{e}"))?;
            moved |= differences(&old, &other).iter().any(|d| !(*d <= 0.01 * tol * size));
        }
        // Or roundings on the way: numbers that cancel to nothing before a sign or a pole.
        if moved || size > 1e9 {
            *skipped += 1;
            continue;
        }
        return fail(format!("{x} became {y}, largest {size}"));
    }
    Ok(())
}

#[test]
fn rules_together_agree() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let (programs, first) = (number("GRADUS_SAMPLE").unwrap_or(PROGRAMS), number("GRADUS_SAMPLE_SEED").unwrap_or(0));
    let cases: Vec<Case> = all().iter().flat_map(|r| r.cases.iter().chain(r.refused)).copied().collect();
    let (mut counts, mut skipped, mut complaints) = (BTreeMap::new(), 0, Vec::new());
    for seed in first..first + programs {
        if let Err(e) = check(seed, &cases, &mut counts, &mut skipped) {
            complaints.push(format!("program {seed}: {e}"));
            if complaints.len() >= 10 {
                break;
            }
        }
    }
    let never: Vec<&str> = all().iter().map(|r| r.name).filter(|n| !counts.contains_key(n)).collect();
    println!("{programs} programs, {skipped} at kinks; fired: {counts:?}\nnever: {never:?}");
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
    assert!(skipped * 50 < programs, "{skipped} of {programs} say nothing");
    // The generator must reach what it is there for.
    assert!(programs < PROGRAMS || never.len() * 4 < all().len(), "never fired: {never:?}");
}
