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
use gradus_ir::{Array, BinaryOp, DType, Dim, Graph, Loop, NodeId, Op, Origin, Shape, Trip, Ty, UnaryOp, reference};
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

/// The same program with every real number on the way moved by a rounding or two: how far that moves the results tells what they
/// are worth. The tiny shift takes zeros off the poles and kinks they stand on.
fn noisy(g: &Graph, rng: &mut Rng) -> Graph {
    let mut out = Graph::new();
    let mut map: Vec<NodeId> = Vec::with_capacity(g.len());
    for (_, n) in g.nodes() {
        let ins: Vec<NodeId> = n.inputs.iter().map(|i| map[i.index()]).collect();
        let op = match &n.op {
            Op::Param(_) => {
                map.push(out.param(n.ty().clone(), n.origin));
                continue;
            }
            Op::Loop(l) => Op::Loop(Box::new(Loop { body: Arc::new(noisy(&l.body, rng)), ..(**l).clone() })),
            op => op.clone(),
        };
        let keep = n.tys.len() != 1 || n.ty().dtype != DType::Real || matches!(op, Op::Const(..) | Op::Broadcast(_) | Op::Reshape(_) | Op::Get(_));
        let mut id = out.add_plain(op, &ins, n.origin).unwrap();
        if !keep {
            let mut b = Build::new(&mut out, n.origin);
            let (e, t) = (b.real(1.0 + 4e-16 * rng.real()).unwrap(), b.real(1e-290 * rng.real()).unwrap());
            let x = b.mul(id, e).unwrap();
            id = b.add(x, t).unwrap();
        }
        map.push(id);
    }
    out.outputs = g.outputs.iter().map(|o| map[o.index()]).collect();
    out
}

/// The complaint about a program, and the rules that shaped it. Where roundings on the way move the result as much (a kink, a
/// pole, cancellation), it says nothing.
fn check(seed: u64, cases: &[Case], counts: &mut BTreeMap<String, u64>, skipped: &mut u64) -> Result<(), String> {
    let (g, inputs) = case(seed, cases);
    let mut rng = Rng(seed ^ 0xABCD);
    let mut machine = Machine::default();
    for (_, v) in machine.fields_mut() {
        *v *= [0.02, 0.3, 1.0, 5.0][rng.below(4)];
    }
    let options = Options { machine, gram_value: rng.chance(10), unprobed: true, ..Options::default() };
    let old = reference::run(&g, &inputs).map_err(|e| format!("{e}"))?;
    for level in [Level::Strict, Level::Default] {
        let mut report = Report::default();
        let new = crate::improved_with(&g, level, &options, &mut report, None).map_err(|e| format!("{level:?}: {e}"))?;
        gradus_ir::verify(&new).map_err(|e| format!("{level:?}: {e}\n{new}"))?;
        let got = reference::run(&new, &inputs).map_err(|e| format!("{level:?}: {e}\n{new}"))?;
        for f in &report.fired {
            *counts.entry(f.rule.to_string()).or_default() += 1;
        }
        let fail = |what: String| Err(format!("{level:?}: {what}\n{g}\n{new}\n{report}"));
        let tol = if report.fired.iter().any(|f| f.class == Class::Conditioning) { 1e-6 } else { 1e-9 };
        let pairs = || old.iter().zip(&got).flat_map(|(a, b)| a.data.iter().copied().zip(b.data.iter().copied()));
        let strict = level == Level::Strict;
        let apart = |x: f64, y: f64, more: f64| {
            if strict { !(x == y || x.is_nan() && y.is_nan()) } else { x.is_finite() && !((x - y).abs() <= tol * x.abs().max(1.0) + more) }
        };
        if !pairs().any(|(x, y)| apart(x, y, 0.0)) {
            continue;
        }
        let mut spread: Vec<f64> = vec![0.0; pairs().count()];
        for _ in 0..5 {
            let other = reference::run(&noisy(&g, &mut rng), &inputs).map_err(|e| format!("{e}"))?;
            let moved = old.iter().zip(&other).flat_map(|(a, b)| a.data.iter().zip(b.data.iter()));
            for (s, (x, y)) in spread.iter_mut().zip(moved) {
                // Not a number is any number.
                *s = s.max(if y.is_finite() { (x - y).abs() } else { f64::INFINITY });
            }
        }
        // A pole, where even the sign of a zero (which no class promises) decides everything.
        let pole = |x: f64, s: f64| s > 1e100 || strict && (s > 1e-3 || !x.is_finite());
        match pairs().zip(&spread).find(|((x, y), s)| !pole(*x, **s) && apart(*x, *y, 100.0 * **s)) {
            Some(((x, y), s)) => return fail(format!("{x} became {y}, which roundings move by {s:e}")),
            None => *skipped += 1,
        }
    }
    Ok(())
}

#[test]
fn rules_together_agree() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let (programs, first) = (number("GRADUS_SAMPLE").unwrap_or(PROGRAMS), number("GRADUS_SAMPLE_SEED").unwrap_or(0));
    // What must not become a goal may fault as the goal.
    let start_only = |c: &Case| Case { goal: c.start, ..*c };
    let cases: Vec<Case> =
        all().iter().flat_map(|r| r.cases.iter().copied().chain(r.refused.iter().map(start_only))).collect();
    let (mut counts, mut skipped, mut complaints) = (BTreeMap::new(), 0, Vec::new());
    for seed in first..first + programs {
        if let Err(e) = check(seed, &cases, &mut counts, &mut skipped) {
            complaints.push(format!("program {seed}: {e}"));
            if complaints.len() >= 10 {
                break;
            }
        }
    }
    let never: Vec<&str> = all().iter().map(|r| r.name).filter(|n| !counts.contains_key(*n)).collect();
    println!("{programs} programs, {skipped} at kinks; fired: {counts:?}\nnever: {never:?}");
    assert!(complaints.is_empty(), "{} complaints\n{}", complaints.len(), complaints.join("\n"));
    assert!(skipped * 50 < programs, "{skipped} of {programs} say nothing");
    // The generator must reach what it is there for.
    assert!(programs < PROGRAMS || never.len() * 4 < all().len(), "never fired: {never:?}");
}
