//! Random graphs whose arrays are larger than a block, with views of every kind, loops with several carries that swap,
//! rows of rows, branches: buffers are reused, overwritten and double-buffered, and nothing changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_cpu::{Control, Executor};
use gradus_ir::build::Build;
use gradus_ir::testing::{Rng, random_array};
use gradus_ir::{
    Array, BinaryOp, Cumulative, DType, Dim, Graph, Loop, NodeId, Op, Origin, ReduceOp, Shape, Trip, Ty, UnaryOp, reference,
};
use gradus_plan::{Options as PlanOptions, plan_with};
use std::sync::Arc;

struct Gen {
    g: Graph,
    pool: Vec<NodeId>,
    rng: Rng,
    depth: usize,
    lengths: Vec<usize>,
}

impl Gen {
    fn b(&mut self) -> Build<'_> {
        Build::new(&mut self.g, Origin::default())
    }

    fn dims(&self, n: NodeId) -> Vec<usize> {
        self.g.shape(n).sizes().unwrap()
    }

    fn any(&mut self) -> NodeId {
        let k = self.rng.below(self.pool.len()).max(self.rng.below(self.pool.len()));
        self.pool[k]
    }

    fn find(&mut self, f: impl Fn(&[usize]) -> bool) -> Option<NodeId> {
        let fit: Vec<NodeId> = self.pool.iter().copied().filter(|n| f(&self.dims(*n))).collect();
        let k = self.rng.below(fit.len()).max(self.rng.below(fit.len()));
        fit.get(k).copied()
    }

    fn squash(&mut self, n: NodeId) -> NodeId {
        let op = [UnaryOp::Tanh, UnaryOp::Sin, UnaryOp::Atan][self.rng.below(3)];
        self.b().un(op, n).unwrap()
    }

    fn push(&mut self, n: NodeId) {
        let count: usize = self.dims(n).iter().product();
        if count <= 6000 && !self.g.shape(n).dims().contains(&Dim::Known(0)) {
            self.pool.push(n);
        }
    }

    fn step(&mut self) {
        let a = self.any();
        let d = self.dims(a);
        match self.rng.below(if self.depth < 2 { 16 } else { 13 }) {
            0 => {
                let op = [UnaryOp::Neg, UnaryOp::Abs, UnaryOp::Sigmoid, UnaryOp::Softplus, UnaryOp::Cos][self.rng.below(5)];
                let n = self.b().un(op, a).unwrap();
                self.push(n);
            }
            1..=3 => {
                // Broadcasting: equal shapes, a suffix, a scalar, a column.
                let other = match self.rng.below(4) {
                    0 => self.find(|e| e == d),
                    1 => self.find(|e| e.is_empty()),
                    2 => self.find(|e| d.ends_with(e)),
                    _ => self.find(|e| e.len() == 1 && d.len() == 2 && e[0] == d[0]).map(|v| self.b().expand(v, 1).unwrap()),
                };
                let Some(o) = other else { return };
                let op = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Max, BinaryOp::Min][self.rng.below(5)];
                let (x, y) = if self.rng.chance(50) { (a, o) } else { (o, a) };
                let mut n = self.b().bin(op, x, y).unwrap();
                if self.rng.chance(50) {
                    let z = self.any();
                    if self.dims(z) == self.dims(n) {
                        n = self.b().add(n, z).unwrap();
                    }
                }
                let n = if self.rng.chance(40) { n } else { self.squash(n) };
                let n = self.squash(n);
                self.push(n);
            }
            4 => {
                if d.is_empty() {
                    return;
                }
                let axes: Vec<usize> = (0..d.len()).filter(|_| self.rng.chance(60)).collect();
                if axes.is_empty() {
                    return;
                }
                let count: usize = axes.iter().map(|k| d[*k]).product();
                let op = [ReduceOp::Sum, ReduceOp::Sum, ReduceOp::Max, ReduceOp::LogSumExp, ReduceOp::Min][self.rng.below(5)];
                let n = self.b().reduce(op, a, &axes).unwrap();
                let c = self.b().real(1.0 / count as f64).unwrap();
                let n = if op == ReduceOp::Sum { self.b().mul(n, c).unwrap() } else { n };
                let n = self.squash(n);
                self.push(n);
            }
            5 => {
                if d.len() >= 2 {
                    let mut perm: Vec<usize> = (0..d.len()).collect();
                    let k = self.rng.below(d.len());
                    perm.rotate_left(k);
                    let n = self.b().transpose(a, &perm).unwrap();
                    self.push(n);
                }
            }
            6 => {
                if let Some(axis) = (!d.is_empty()).then(|| self.rng.below(d.len())) {
                    let start = self.rng.below(d[axis]);
                    let len = 1 + self.rng.below(d[axis] - start);
                    let mut n = self.b().slice(a, axis, start.into(), len.into()).unwrap();
                    if self.rng.chance(50) {
                        n = self.b().op(Op::Reverse { axis }, &[n]).unwrap();
                    }
                    self.push(n);
                }
            }
            7 => {
                let count: usize = d.iter().product();
                let shape = match self.rng.below(3) {
                    0 => Shape::of(&[count]),
                    1 if d.len() >= 2 => Shape::of(&[d[0], count / d[0]]),
                    _ => Shape::of(&[1, count]),
                };
                let n = self.b().reshape(a, &shape).unwrap();
                self.push(n);
            }
            8 => {
                if let Some(x) = self.find(|e| !e.is_empty() && !d.is_empty() && e.len() <= 2 && d.len() <= 2 && e[0] == *d.last().unwrap()) {
                    let n = self.b().matmul(a, x).unwrap();
                    let c = self.b().real(1.0 / *d.last().unwrap() as f64).unwrap();
                    let n = self.b().mul(n, c).unwrap();
                    let n = if self.rng.chance(50) { self.squash(n) } else { n };
                    self.push(n);
                }
            }
            9 => {
                if let Some(axis) = (!d.is_empty()).then(|| self.rng.below(d.len())) {
                    let n = match self.rng.below(3) {
                        0 => self.b().op(Op::Concat { axis }, &[a, a]).unwrap(),
                        1 => self.b().op(Op::Pad { axis, before: 2.into(), after: 1.into() }, &[a]).unwrap(),
                        _ => {
                            let n = self.b().op(Op::Cumulative { op: Cumulative::Max, axis, reverse: true }, &[a]).unwrap();
                            self.squash(n)
                        }
                    };
                    self.push(n);
                }
            }
            10 => {
                if !d.is_empty() {
                    let at: Vec<f64> = (0..3).map(|_| self.rng.below(d[0]) as f64).collect();
                    let index = Arc::new(Array { dtype: DType::Int, shape: vec![3], data: Arc::new(at) });
                    let i = self.b().op(Op::Literal(index), &[]).unwrap();
                    let t = self.b().take(a, i, 0).unwrap();
                    let t = self.squash(t);
                    let op = if self.rng.chance(50) { Op::ScatterSet { axis: 0 } } else { Op::ScatterAdd { axis: 0 } };
                    let n = self.b().op(op, &[a, i, t]).unwrap();
                    let n = self.squash(n);
                    self.push(t);
                    self.push(n);
                }
            }
            11 => {
                let Some(o) = self.find(|e| e == d) else { return };
                let c = self.b().lt(a, o).unwrap();
                let x = self.squash(a);
                let n = self.b().select(c, x, o).unwrap();
                self.push(n);
            }
            12 => {
                if d.len() == 1 {
                    let k = self.lengths[self.rng.below(self.lengths.len())];
                    let n = self.b().broadcast(a, &Shape::of(&[k, d[0]])).unwrap();
                    self.push(n);
                }
            }
            13 => self.cond(),
            _ => self.looping(),
        }
    }

    fn inner(&mut self, params: &[Ty]) -> Gen {
        let mut g = Graph::new();
        let all: Vec<NodeId> = params.iter().map(|t| g.param(t.clone(), Origin::default())).collect();
        let pool = all.into_iter().filter(|n| g.dtype(*n) == DType::Real).collect();
        Gen { g, pool, rng: Rng(self.rng.word()), depth: self.depth + 1, lengths: self.lengths.clone() }
    }

    /// A bounded value of this shape made of recent nodes.
    fn result(&mut self, dims: &[usize]) -> NodeId {
        let mut total = self.find(|e| e == dims);
        for _ in 0..2 {
            let r = self.any();
            // Means, not sums: rounding must not grow from step to step.
            let s = if self.dims(r) == dims {
                r
            } else {
                let c = 1.0 / self.dims(r).iter().product::<usize>() as f64;
                let (s, c) = (self.b().sum_all(r).unwrap(), self.b().real(c).unwrap());
                self.b().mul(s, c).unwrap()
            };
            let s = self.squash(s);
            total = Some(match total {
                None => self.b().broadcast(s, &Shape::of(dims)).unwrap(),
                Some(t) if self.rng.chance(60) => {
                    let c = self.b().real(0.3).unwrap();
                    let s = self.b().mul(s, c).unwrap();
                    self.b().add(t, s).unwrap()
                }
                Some(t) => t,
            });
        }
        let t = total.unwrap();
        if self.rng.chance(70) { self.squash(t) } else { t }
    }

    fn cond(&mut self) {
        let captures: Vec<NodeId> = (0..3).map(|_| self.any()).collect();
        let tys: Vec<Ty> = captures.iter().map(|c| self.g.ty(*c).clone()).collect();
        let outs: Vec<Vec<usize>> = (0..2).map(|_| { let a = self.any(); self.dims(a) }).collect();
        let mut arms = Vec::new();
        for _ in 0..2 {
            let mut arm = self.inner(&tys);
            (0..4).for_each(|_| arm.step());
            arm.g.outputs = outs.iter().map(|d| arm.result(d)).collect();
            arms.push(Arc::new(arm.g));
        }
        let s = self.b().sum_all(captures[0]).unwrap();
        let zero = self.b().real(0.0).unwrap();
        let c = self.b().lt(s, zero).unwrap();
        let mut inputs = vec![c];
        inputs.extend(captures);
        let other = arms.pop().unwrap();
        let then = arms.pop().unwrap();
        let n = self.b().op(Op::Cond { then, other }, &inputs).unwrap();
        for k in 0..2 {
            let n = self.b().get(n, k).unwrap();
            self.push(n);
        }
    }

    fn looping(&mut self) {
        let carries: Vec<NodeId> = (0..1 + self.rng.below(3)).map(|_| self.any()).collect();
        // Two carries of one shape, so that they can swap.
        let mut carries = carries;
        carries.push(carries[0]);
        let scan = self.find(|e| !e.is_empty() && e[0] <= 6);
        let scan = if self.rng.chance(60) { scan } else { None };
        let captures: Vec<NodeId> = (0..2).map(|_| self.any()).collect();
        let steps = match scan {
            Some(s) => self.dims(s)[0],
            None => self.rng.below(5),
        };
        let mut tys = vec![Ty::scalar(DType::Int)];
        tys.extend(carries.iter().map(|c| self.g.ty(*c).clone()));
        if let Some(s) = scan {
            tys.push(Ty::real(self.g.shape(s).without(0)));
        }
        tys.extend(captures.iter().map(|c| self.g.ty(*c).clone()));
        let mut body = self.inner(&tys);
        (0..5).for_each(|_| body.step());
        let mut outs = Vec::new();
        for (k, c) in carries.iter().enumerate() {
            let d = self.dims(*c);
            let same = body.g.params()[1];
            let out = if k + 1 == carries.len() && body.rng.chance(50) {
                same
            } else if body.rng.chance(15) {
                body.g.params()[1 + k]
            } else {
                body.result(&d)
            };
            outs.push(out);
        }
        let collected = body.rng.below(3);
        for k in 0..collected {
            let n = if k == 0 { body.any() } else { outs[0] };
            outs.push(n);
        }
        body.g.outputs = outs;
        let is_while = self.rng.chance(40);
        let cond = is_while.then(|| {
            let mut tys = vec![Ty::scalar(DType::Int)];
            tys.extend(carries.iter().chain(&captures).map(|c| self.g.ty(*c).clone()));
            let mut c = self.inner(&tys);
            let first = c.pool[0];
            let s = c.b().sum_all(first).unwrap();
            let i = c.g.params()[0];
            let three = c.b().int(3).unwrap();
            let few = c.b().lt(i, three).unwrap();
            let bound = c.b().real(2.0).unwrap();
            let small = c.b().lt(s, bound).unwrap();
            let go = c.b().op(Op::Binary(BinaryOp::And), &[few, small]).unwrap();
            c.g.outputs = vec![go];
            Arc::new(c.g)
        });
        let bound = Dim::from(steps);
        let trip = if is_while { Trip::While { limit: bound } } else { Trip::Count(bound) };
        let mut inputs = carries.clone();
        inputs.extend(scan);
        inputs.extend(&captures);
        let op = Op::Loop(Box::new(Loop {
            trip,
            carries: carries.len(),
            scanned: usize::from(scan.is_some()),
            collected,
            cond,
            body: Arc::new(body.g),
            label: "test".into(),
        }));
        let l = self.b().op(op, &inputs).unwrap();
        for k in 0..carries.len() + collected {
            let n = self.b().get(l, 1 + k).unwrap();
            self.push(n);
        }
    }
}

fn check(seed: u64, steps: usize) -> (usize, usize) {
    let mut rng = Rng(seed ^ 0xABCD);
    let lengths = [[1, 3, 300], [2, 5, 17], [4, 256, 6], [3, 520, 2], [6, 31, 33]][rng.below(5)].to_vec();
    let mut g = Graph::new();
    let shapes: Vec<Vec<usize>> = vec![
        vec![],
        vec![lengths[1]],
        vec![lengths[2]],
        vec![lengths[1], lengths[2]],
        vec![lengths[0], lengths[1]],
        vec![lengths[0], lengths[1], 2],
        vec![lengths[2]],
    ];
    let pool: Vec<NodeId> = shapes.iter().map(|s| g.param(Ty::real(Shape::of(s)), Origin::default())).collect();
    let inputs: Vec<Array> = shapes.iter().map(|s| random_array(&mut rng, DType::Real, s)).collect();
    let mut gen_ = Gen { g, pool, rng, depth: 0, lengths };
    for _ in 0..steps {
        gen_.step();
    }
    let last: Vec<NodeId> = gen_.pool.iter().rev().copied().step_by(2).take(5).collect();
    gen_.g.outputs = last;
    let graph = gen_.g;
    let want = reference::run(&graph, &inputs).unwrap();
    let mut sizes = (0, 0);
    let whole = PlanOptions { sweep: false, ..PlanOptions::default() };
    let mut bits: Option<Vec<u64>> = None;
    for options in [PlanOptions::default(), whole, PlanOptions { fuse: false, ..whole }, PlanOptions::TRACE] {
        let plan = Arc::new(plan_with(&graph, options).unwrap());
        if options == PlanOptions::default() {
            sizes = (plan.arena_len(), plan.buffers().iter().map(|b| b.len).sum());
        }
        let mut exec = Executor::new(plan.clone());
        for round in 0..2 {
            let found = exec.run(&inputs, &Control::default()).unwrap();
            // Without sweeps no sum has another order, fused or not.
            if !options.sweep {
                let found: Vec<u64> = found.iter().flat_map(|a| a.data.iter().map(|x| x.to_bits())).collect();
                assert!(bits.get_or_insert_with(|| found.clone()) == &found, "seed {seed}, {options:?}: other bits\n{graph}\n{plan}");
            }
            for (k, (f, w)) in found.iter().zip(&want).enumerate() {
                assert_eq!(f.shape, w.shape);
                for (j, (x, y)) in f.data.iter().zip(w.data.iter()).enumerate() {
                    let near = x == y || (x - y).abs() <= 1e-9 * y.abs().max(1.0);
                    assert!(near, "seed {seed}, {options:?}, round {round}, output {k}, element {j}: {x} against {y}\n{graph}\n{plan}");
                }
            }
        }
    }
    sizes
}

#[test]
fn short() {
    for seed in 0..300 {
        check(seed, 10);
    }
}

#[test]
fn long() {
    let (mut arena, mut buffers) = (0, 0);
    for seed in 1000..1080 {
        let (a, b) = check(seed, 40);
        arena += a;
        buffers += b;
    }
    // Space must be used again: the arena holds less than half of what all buffers together would need.
    assert!(arena * 2 < buffers, "{arena} elements for buffers of {buffers}");
}
