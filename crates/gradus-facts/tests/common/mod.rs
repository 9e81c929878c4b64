//! A small way to write functions as graphs, and the check of every claimed fact on random points.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use gradus_facts::{Assume, Curvature, Facts, Interval, Monotone, analyze_assuming};
use gradus_ir::testing::{Rng, random_array};
use gradus_ir::{Array, BinaryOp, DType, Dim, F64, Graph, NodeId, Op, Origin, ReduceOp, Shape, Ty, UnaryOp, reference};
use std::cell::RefCell;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::sync::Arc;

/// A graph being written.
#[derive(Default)]
pub struct T {
    pub g: RefCell<Graph>,
    pub vars: RefCell<Vec<NodeId>>,
    pub ranges: RefCell<Vec<(NodeId, Interval)>>,
    pub names: RefCell<Vec<(NodeId, String)>>,
}

#[derive(Clone, Copy)]
pub struct E<'t> {
    pub t: &'t T,
    pub id: NodeId,
}

fn shape(dims: &[usize]) -> Shape {
    Shape::of(dims)
}

impl T {
    pub fn new() -> T {
        T::default()
    }
    fn param(&self, name: &str, dims: &[usize], range: Interval, variable: bool) -> E<'_> {
        let id = self.g.borrow_mut().param(Ty::real(shape(dims)), Origin::default());
        if variable {
            self.vars.borrow_mut().push(id);
        }
        if range != Interval::ALL {
            self.ranges.borrow_mut().push((id, range));
        }
        self.names.borrow_mut().push((id, name.into()));
        E { t: self, id }
    }
    pub fn var(&self, name: &str, dims: &[usize]) -> E<'_> {
        self.param(name, dims, Interval::ALL, true)
    }
    pub fn var_in(&self, name: &str, dims: &[usize], lo: f64, hi: f64) -> E<'_> {
        self.param(name, dims, Interval::new(lo, hi), true)
    }
    pub fn pos(&self, name: &str, dims: &[usize]) -> E<'_> {
        self.param(name, dims, Interval::POSITIVE, true)
    }
    pub fn data(&self, name: &str, dims: &[usize]) -> E<'_> {
        self.param(name, dims, Interval::ALL, false)
    }
    pub fn pos_data(&self, name: &str, dims: &[usize]) -> E<'_> {
        self.param(name, dims, Interval::POSITIVE, false)
    }
    pub fn num(&self, x: f64) -> E<'_> {
        self.op(Op::Const(F64::new(x), DType::Real), &[])
    }
    pub fn literal(&self, dims: &[usize], data: &[f64]) -> E<'_> {
        self.op(Op::Literal(Arc::new(Array::new(DType::Real, dims.to_vec(), data.to_vec()).unwrap())), &[])
    }
    pub fn ints(&self, data: &[usize]) -> E<'_> {
        let a = Array::new(DType::Int, vec![data.len()], data.iter().map(|x| *x as f64).collect()).unwrap();
        self.op(Op::Literal(Arc::new(a)), &[])
    }
    pub fn eye(&self, n: usize) -> E<'_> {
        let one = self.num(1.0);
        let v = self.op(Op::Broadcast(shape(&[n])), &[one.id]);
        self.op(Op::DiagMatrix, &[v.id])
    }
    pub fn op(&self, op: Op, inputs: &[NodeId]) -> E<'_> {
        let id = self.g.borrow_mut().add(op, inputs, Origin::default()).unwrap();
        E { t: self, id }
    }
    pub fn build(&self, out: E<'_>) -> Function {
        let mut graph = self.g.borrow().clone();
        graph.outputs = vec![out.id];
        Function { graph, vars: self.vars.borrow().clone(), ranges: self.ranges.borrow().clone(), names: self.names.borrow().clone() }
    }
}

impl<'t> E<'t> {
    pub fn un(self, u: UnaryOp) -> E<'t> {
        self.t.op(Op::Unary(u), &[self.id])
    }
    pub fn bin(self, b: BinaryOp, o: E<'t>) -> E<'t> {
        self.t.op(Op::Binary(b), &[self.id, o.id])
    }
    pub fn square(self) -> E<'t> {
        self.un(UnaryOp::Square)
    }
    pub fn abs(self) -> E<'t> {
        self.un(UnaryOp::Abs)
    }
    pub fn exp(self) -> E<'t> {
        self.un(UnaryOp::Exp)
    }
    pub fn log(self) -> E<'t> {
        self.un(UnaryOp::Log)
    }
    pub fn sqrt(self) -> E<'t> {
        self.un(UnaryOp::Sqrt)
    }
    pub fn recip(self) -> E<'t> {
        self.un(UnaryOp::Recip)
    }
    pub fn softplus(self) -> E<'t> {
        self.un(UnaryOp::Softplus)
    }
    pub fn sigmoid(self) -> E<'t> {
        self.un(UnaryOp::Sigmoid)
    }
    pub fn pow(self, e: f64) -> E<'t> {
        let e = self.t.num(e);
        self.bin(BinaryOp::Pow, e)
    }
    pub fn max(self, o: E<'t>) -> E<'t> {
        self.bin(BinaryOp::Max, o)
    }
    pub fn max0(self) -> E<'t> {
        let z = self.t.num(0.0);
        self.max(z)
    }
    pub fn min(self, o: E<'t>) -> E<'t> {
        self.bin(BinaryOp::Min, o)
    }
    pub fn le(self, c: f64) -> E<'t> {
        let c = self.t.num(c);
        self.bin(BinaryOp::Le, c)
    }
    pub fn select(self, a: E<'t>, b: E<'t>) -> E<'t> {
        self.t.op(Op::Select, &[self.id, a.id, b.id])
    }
    fn rank(self) -> usize {
        self.t.g.borrow().shape(self.id).rank()
    }
    pub fn reduce(self, r: ReduceOp) -> E<'t> {
        let axes: Vec<usize> = (0..self.rank()).collect();
        self.t.op(Op::Reduce(r, axes), &[self.id])
    }
    pub fn sum(self) -> E<'t> {
        self.reduce(ReduceOp::Sum)
    }
    pub fn sum_axis(self, axis: usize) -> E<'t> {
        self.t.op(Op::Reduce(ReduceOp::Sum, vec![axis]), &[self.id])
    }
    pub fn lse(self) -> E<'t> {
        self.reduce(ReduceOp::LogSumExp)
    }
    pub fn lse_axis(self, axis: usize) -> E<'t> {
        self.t.op(Op::Reduce(ReduceOp::LogSumExp, vec![axis]), &[self.id])
    }
    pub fn mm(self, o: E<'t>) -> E<'t> {
        self.t.op(Op::MatMul, &[self.id, o.id])
    }
    pub fn tr(self) -> E<'t> {
        let mut perm: Vec<usize> = (0..self.rank()).collect();
        perm.reverse();
        self.t.op(Op::Transpose(perm), &[self.id])
    }
    pub fn trace(self) -> E<'t> {
        self.t.op(Op::Diagonal, &[self.id]).sum()
    }
    pub fn reshape(self, dims: &[usize]) -> E<'t> {
        self.t.op(Op::Reshape(shape(dims)), &[self.id])
    }
    pub fn take(self, index: E<'t>) -> E<'t> {
        self.t.op(Op::Take { axis: 0 }, &[self.id, index.id])
    }
    pub fn at(self, k: usize) -> E<'t> {
        let s = self.t.op(Op::Slice { axis: 0, start: Dim::from(k), len: Dim::Known(1) }, &[self.id]);
        s.reshape(&[])
    }
}

macro_rules! operator {
    ($tr:ident, $f:ident, $op:ident) => {
        impl<'t> $tr<E<'t>> for E<'t> {
            type Output = E<'t>;
            fn $f(self, o: E<'t>) -> E<'t> {
                self.bin(BinaryOp::$op, o)
            }
        }
        impl<'t> $tr<f64> for E<'t> {
            type Output = E<'t>;
            fn $f(self, o: f64) -> E<'t> {
                let c = self.t.num(o);
                self.bin(BinaryOp::$op, c)
            }
        }
        impl<'t> $tr<E<'t>> for f64 {
            type Output = E<'t>;
            fn $f(self, o: E<'t>) -> E<'t> {
                let c = o.t.num(self);
                c.bin(BinaryOp::$op, o)
            }
        }
    };
}
operator!(Add, add, Add);
operator!(Sub, sub, Sub);
operator!(Mul, mul, Mul);
operator!(Div, div, Div);

impl<'t> Neg for E<'t> {
    type Output = E<'t>;
    fn neg(self) -> E<'t> {
        self.un(UnaryOp::Neg)
    }
}

/// See `Function::bends`.
#[derive(Clone, Copy, Debug)]
pub struct Bends {
    pub near: f64,
    pub far: f64,
}

/// A finished function of its variables.
#[derive(Clone)]
pub struct Function {
    pub graph: Graph,
    pub vars: Vec<NodeId>,
    pub ranges: Vec<(NodeId, Interval)>,
    pub names: Vec<(NodeId, String)>,
}

impl Function {
    pub fn out(&self) -> NodeId {
        self.graph.outputs[0]
    }
    pub fn facts(&self) -> Facts<'_> {
        let assume = Assume {
            ranges: self.ranges.iter().copied().collect(),
            names: self.names.iter().cloned().collect(),
            ..Assume::default()
        };
        analyze_assuming(&self.graph, &self.vars, assume)
    }

    /// Values of all parameters: the constants the same for one `seed`, the variables from `rng`.
    fn point(&self, rng: &mut Rng, constants: &[Array]) -> Vec<Array> {
        self.graph
            .params()
            .iter()
            .enumerate()
            .map(|(k, p)| if self.vars.contains(p) { self.draw(rng, *p) } else { constants[k].clone() })
            .collect()
    }

    fn draw(&self, rng: &mut Rng, p: NodeId) -> Array {
        let size = self.graph.shape(p).sizes().unwrap();
        let mut a = random_array(rng, DType::Real, &size);
        let scale = [0.3, 1.0, 4.0][rng.below(3)];
        let range = self.ranges.iter().find(|(n, _)| *n == p).map_or(Interval::ALL, |(_, r)| *r);
        let data = a.data.iter().map(|x| {
            let x = x * scale;
            if range == Interval::ALL {
                x
            } else if range.hi.is_infinite() {
                range.lo + x.abs() + if range.nonzero { 1e-3 } else { 0.0 }
            } else {
                range.lo + (range.hi - range.lo) * (0.5 + 0.5 * (x / (1.0 + x.abs())))
            }
        });
        a.data = Arc::new(data.collect());
        a
    }

    /// How second differences grow towards small steps (at points where elements vanish, too) and far out.
    pub fn bends(&self) -> Bends {
        let mut rng = Rng(77);
        let mut b = Bends { near: 0.0, far: 0.0 };
        let mut base = 1e-2f64;
        let constants: Vec<Array> = self.graph.params().iter().map(|p| self.draw(&mut rng, *p)).collect();
        for round in 0..60 {
            let at = self.point(&mut rng, &constants);
            let direction = self.point(&mut rng, &constants);
            let bend = |scale: f64, h: f64| -> f64 {
                let value = |k: f64| {
                    let move_by = |(i, p): (usize, &NodeId)| {
                        if !self.vars.contains(p) {
                            return at[i].clone();
                        }
                        let range = self.ranges.iter().find(|(n, _)| n == p).map_or(Interval::ALL, |(_, r)| *r);
                        let data = at[i].data.iter().zip(direction[i].data.iter()).map(|(x, d)| {
                            (scale * x + k * h * (d + 0.1)).clamp(range.lo, range.hi)
                        });
                        Array { data: Arc::new(data.collect()), ..at[i].clone() }
                    };
                    let x: Vec<Array> = self.graph.params().iter().enumerate().map(move_by).collect();
                    reference::run(&self.graph, &x).unwrap()[0].data[0]
                };
                let (up, middle, down) = (value(1.0), value(0.0), value(-1.0));
                let noise = 1e-13 * (up.abs() + middle.abs() + down.abs());
                let d = (up - 2.0 * middle + down).abs();
                if d.is_nan() { 0.0 } else { (d - 10.0 * noise).max(0.0) / (h * h) }
            };
            // At the point, and where everything vanishes.
            let scale = if round % 2 == 0 { 0.0 } else { 1.0 };
            base = base.max(bend(scale, 1.0)).max(bend(1.0, 1.0)).max(bend(0.0, 1.0));
            b.near = b.near.max(bend(scale, 1e-3));
            b.far = b.far.max(bend(100.0, 1.0));
        }
        Bends { near: b.near / base, far: b.far / base }
    }

    /// Check every claimed range, curvature and direction of every node at random points. Panics with the refutation.
    pub fn refute(&self, facts: &Facts<'_>, seed: u64, rounds: usize) {
        let mut rng = Rng(seed);
        let live = self.graph.live();
        // Terms that cancel take their domain with them (`f - f` is zero), so there a point between may have no value.
        let text = self.graph.to_string();
        let may_cancel = ["= sub ", "= neg ", "const -"].iter().any(|s| text.contains(s));
        for round in 0..rounds {
            let constants: Vec<Array> = self.graph.params().iter().map(|p| self.draw(&mut rng, *p)).collect();
            let (a, b) = (self.point(&mut rng, &constants), self.point(&mut rng, &constants));
            let lambda = [0.5, 0.5, 0.9, 0.25][rng.below(4)];
            let blend = |t: f64| -> Vec<Array> {
                let mix = |(x, y): (&Array, &Array)| Array { data: Arc::new(x.data.iter().zip(y.data.iter()).map(|(p, q)| if p == q { *p } else { (1.0 - t) * p + t * q }).collect()), ..x.clone() };
                a.iter().zip(&b).map(mix).collect()
            };
            let upper: Vec<Array> = a
                .iter()
                .zip(&b)
                .map(|(x, y)| Array { data: Arc::new(x.data.iter().zip(y.data.iter()).map(|(p, q)| p.max(*q)).collect()), ..x.clone() })
                .collect();
            let values = |x: &[Array]| reference::run_all(&self.graph, x).unwrap();
            let (fa, fb, fm, fu) = (values(&a), values(&b), values(&blend(lambda)), values(&upper));
            // Large intermediate values that cancel leave rounding of their size.
            let size = |all: &[Vec<Array>]| all.iter().flatten().flat_map(|x| x.data.iter()).filter(|x| x.is_finite()).fold(0.0, |m: f64, x| m.max(x.abs()));
            let rounding = 1e-13 * size(&fa).max(size(&fb)).max(size(&fm)).max(size(&fu));
            for (id, node) in self.graph.nodes() {
                if !live[id.index()] || node.tys.len() != 1 {
                    continue;
                }
                let f = facts.node(id);
                let k = id.index();
                let say = |what: &str, at: String| {
                    panic!("round {round}: `{}` claimed {what}, refuted: {at}\n{}", facts.expression(id), facts.why(id).join("\n"))
                };
                let n = fa[k][0].len();
                for e in 0..n {
                    let (p, q, m, u) = (fa[k][0].data[e], fb[k][0].data[e], fm[k][0].data[e], fu[k][0].data[e]);
                    for v in [p, q, m] {
                        let slack = 1e-9 * (1.0 + v.abs()) + rounding;
                        if v.is_finite() && (v < f.range.lo - slack || v > f.range.hi + slack) {
                            say(&format!("range {}", f.range), format!("{v}"));
                        }
                    }
                    if f.monotone == Monotone::Nondecreasing && p.is_finite() && u.is_finite() && u < p - 1e-9 * (1.0 + p.abs()) - rounding {
                        say("nondecreasing", format!("{p} then {u}"));
                    }
                    if f.monotone == Monotone::Nonincreasing && p.is_finite() && u.is_finite() && u > p + 1e-9 * (1.0 + p.abs()) + rounding {
                        say("nonincreasing", format!("{p} then {u}"));
                    }
                    if !p.is_finite() || !q.is_finite() || m.is_nan() && may_cancel {
                        continue;
                    }
                    let chord = (1.0 - lambda) * p + lambda * q;
                    let slack = 1e-8 * (1.0 + p.abs().max(q.abs())) + rounding;
                    // The domain of a convex (or concave) function is convex: the point between must be finite, too.
                    if f.curvature.is_convex() && !(m <= chord + slack) {
                        say(&format!("{}", f.curvature), format!("f(a) = {p}, f(b) = {q}, f(between) = {m}, chord {chord}"));
                    }
                    if f.curvature.is_concave() && !(m >= chord - slack) {
                        say(&format!("{}", f.curvature), format!("f(a) = {p}, f(b) = {q}, f(between) = {m}, chord {chord}"));
                    }
                    if f.curvature == Curvature::Constant && (p - q).abs() > slack {
                        say("constant", format!("{p} and {q}"));
                    }
                    let log = f.log_curvature;
                    if (log.is_convex() || log.is_concave()) && f.depends {
                        if !(p > 0.0) && p > -1e-12 {
                            continue;
                        }
                        let between = (1.0 - lambda) * p.ln() + lambda * q.ln();
                        let slack = 1e-7 * (1.0 + p.ln().abs().max(q.ln().abs()));
                        if !between.is_finite() || m <= 0.0 {
                            continue;
                        }
                        if log.is_convex() && !(m.ln() <= between + slack) || log.is_concave() && !(m.ln() >= between - slack) {
                            say(&format!("log-{log}"), format!("logs {}, {} and {}", p.ln(), q.ln(), m.ln()));
                        }
                    }
                }
            }
        }
    }
}

