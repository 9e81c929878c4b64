//! Pseudo-random well-shaped graphs with inputs, for the tests of other crates. The same seed gives the same case.

mod regions;

use crate::array::Array;
use crate::build::Build;
use crate::dim::Dim;
use crate::error::IrResult;
use crate::graph::{Graph, NodeId, Origin};
use crate::op::{BinaryOp, Cumulative, Op, ReduceOp, UnaryOp};
use crate::ty::{DType, Shape, Ty};
use std::sync::Arc;

/// A graph whose first output is a real scalar, and inputs for it.
#[derive(Clone, Debug)]
pub struct Case {
    pub graph: Graph,
    pub inputs: Vec<Array>,
}

/// What a random graph may contain.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many random steps are made (each adds one to a few nodes).
    pub steps: usize,
    /// Only ops that are differentiable at the inputs, so that finite differences make sense.
    pub smooth: bool,
    /// Loops (counted and while) and branches.
    pub regions: bool,
    /// Factorizations and solves of well-conditioned matrices.
    pub linalg: bool,
    /// Keys and draws.
    pub random: bool,
    /// Sizes are the names `n` (3) and `m` (4) instead of numbers.
    pub symbolic: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { steps: 20, smooth: false, regions: true, linalg: true, random: true, symbolic: false }
    }
}

/// SplitMix64: a small generator whose numbers never change.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
    /// Below `n` (0 where n is 0).
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.word() % n as u64) as usize }
    }
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
    /// Uniform on [-1, 1).
    pub fn real(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

/// A random array of this type: reals in [-1.5, 1.5), ints in -4..=4, bools.
pub fn random_array(rng: &mut Rng, dtype: DType, shape: &[usize]) -> Array {
    let n: usize = shape.iter().product();
    let data = (0..n)
        .map(|_| match dtype {
            DType::Real => 1.5 * rng.real(),
            DType::Int => rng.below(9) as f64 - 4.0,
            DType::Bool => rng.below(2) as f64,
        })
        .collect();
    Array { dtype, shape: shape.to_vec(), data: Arc::new(data) }
}

/// The case of this seed. The graph passes `verify`, and the reference interpreter runs it on the inputs with finite results.
pub fn random_case(seed: u64, options: &Options) -> IrResult<Case> {
    let mut rng = Rng(seed.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1));
    let named = |name: &str, size: i64| if options.symbolic { Dim::sym(name) } else { Dim::Known(size) };
    let (n, m) = (named("n", 3), named("m", 4));
    let real = |dims: &[&Dim]| Ty::real(Shape::new(dims.iter().map(|d| (*d).clone())));
    let tys = [real(&[]), real(&[&n]), real(&[&m]), real(&[&m, &n]), real(&[&n, &n]), real(&[&n])];
    let sizes: [&[usize]; 6] = [&[], &[3], &[4], &[4, 3], &[3, 3], &[3]];
    let mut graph = Graph::new();
    let pool: Vec<NodeId> = tys.iter().map(|t| graph.param(t.clone(), Origin::default())).collect();
    let inputs = sizes.iter().map(|s| random_array(&mut rng, DType::Real, s)).collect();
    let mut make = Maker { graph, pool, rng, options: *options, n, m, depth: 0 };
    for _ in 0..options.steps {
        make.step()?;
    }
    make.finish()?;
    Ok(Case { graph: make.graph, inputs })
}

/// A graph under construction: nodes of any type that steps may use, values of moderate size.
struct Maker {
    graph: Graph,
    pool: Vec<NodeId>,
    rng: Rng,
    options: Options,
    n: Dim,
    m: Dim,
    depth: usize,
}

impl Maker {
    fn b(&mut self) -> Build<'_> {
        Build::new(&mut self.graph, Origin::default())
    }

    /// A random pool node for which `fits` holds; recent ones more often.
    fn pick(&mut self, fits: impl Fn(&Ty) -> bool) -> Option<NodeId> {
        let found: Vec<NodeId> = self.pool.iter().copied().filter(|p| fits(self.graph.ty(*p))).collect();
        let k = self.rng.below(found.len()).max(self.rng.below(found.len()));
        found.get(k).copied()
    }

    fn real(&mut self) -> Option<NodeId> {
        self.pick(|t| t.dtype == DType::Real)
    }

    /// Brings growing values back to (-1, 1), so that graphs of any length stay finite.
    fn squash(&mut self, a: NodeId) -> IrResult<NodeId> {
        self.b().tanh(a)
    }

    /// Another real node of the same shape: from the pool, or a constant.
    fn partner(&mut self, a: NodeId) -> IrResult<NodeId> {
        let shape = self.graph.shape(a).clone();
        let constant = 0.5 + self.rng.real().abs();
        match self.pick(|t| t.dtype == DType::Real && (t.shape == shape || t.shape.is_scalar())) {
            Some(other) if self.rng.chance(80) => Ok(other),
            _ => self.b().real(constant),
        }
    }

    /// One random step; does nothing where no node fits.
    fn step(&mut self) -> IrResult<()> {
        let kind = self.rng.below(16);
        let made = match kind {
            0..=2 => self.unary()?,
            3..=5 => self.binary()?,
            6 => self.reduction()?,
            7 => self.product()?,
            8 | 9 => self.movement()?,
            10 => self.indexing()?,
            11 => self.running()?,
            12 => self.choice()?,
            13 if self.options.linalg => self.factor()?,
            14 if self.options.random => self.draw()?,
            15 if self.options.regions && self.depth < 2 => self.region()?,
            _ => None,
        };
        self.pool.extend(made);
        Ok(())
    }

    fn unary(&mut self) -> IrResult<Option<NodeId>> {
        use UnaryOp::*;
        let Some(a) = self.real() else { return Ok(None) };
        let smooth = [Neg, Square, Sin, Cos, Atan, Tanh, Sigmoid, Softplus, Erf, Exp, Expm1, Sinh, Cosh];
        let kinks = [Abs, Sign, Floor, Ceil, Round];
        let k = self.rng.below(smooth.len() + 4 + if self.options.smooth { 0 } else { kinks.len() });
        if let Some(u) = smooth.get(k) {
            let x = self.squash(a)?;
            return self.b().un(*u, x).map(Some);
        }
        // Functions with a domain get 0.5 + x^2 of a bounded x, which is in all of them.
        let domain = [Log, Sqrt, Recip, Lgamma];
        if let Some(u) = domain.get(k - smooth.len()) {
            let t = self.squash(a)?;
            let mut b = self.b();
            let (s, half) = (b.square(t)?, b.real(0.5)?);
            let x = b.add(s, half)?;
            return b.un(*u, x).map(Some);
        }
        self.b().un(kinks[k - smooth.len() - domain.len()], a).map(Some)
    }

    fn binary(&mut self) -> IrResult<Option<NodeId>> {
        use BinaryOp::*;
        let Some(x) = self.real() else { return Ok(None) };
        let y = self.partner(x)?;
        let (x, y) = if self.rng.chance(50) { (x, y) } else { (y, x) };
        let kind = self.rng.below(if self.options.smooth { 5 } else { 12 });
        let made = match kind {
            0..=2 => {
                let z = self.b().bin([Add, Sub, Mul][kind], x, y)?;
                if kind == 2 { self.squash(z)? } else { z }
            }
            3 | 4 => {
                let t = self.squash(y)?;
                let mut b = self.b();
                let (s, one) = (b.square(t)?, b.real(1.0)?);
                let safe = b.add(s, one)?;
                if kind == 3 { b.div(x, safe)? } else { b.pow(safe, t)? }
            }
            5 => self.b().maximum(x, y)?,
            6 => self.b().minimum(x, y)?,
            7 => self.b().bin(Hypot, x, y)?,
            8 => self.b().bin(Atan2, x, y)?,
            9 => {
                let two = self.b().real(2.0)?;
                self.b().bin(Mod, x, two)?
            }
            _ => {
                let op = [Lt, Le, Gt, Ge, Eq, Ne][self.rng.below(6)];
                self.b().bin(op, x, y)?
            }
        };
        Ok(Some(made))
    }

    fn reduction(&mut self) -> IrResult<Option<NodeId>> {
        let Some(a) = self.pick(|t| t.shape.rank() > 0) else { return Ok(None) };
        let rank = self.graph.shape(a).rank();
        let axes: Vec<usize> = match self.rng.below(2) {
            0 => (0..rank).collect(),
            _ => vec![self.rng.below(rank)],
        };
        use ReduceOp::*;
        let real = self.graph.dtype(a) == DType::Real;
        let kinds: &[ReduceOp] = match (real, self.options.smooth) {
            (true, true) => &[Sum, Sum, LogSumExp],
            (true, false) => &[Sum, LogSumExp, Prod, Max, Min],
            (false, _) => &[Sum, Max, Min],
        };
        let op = kinds[self.rng.below(kinds.len())];
        let z = if op == Prod { self.squash(a)? } else { a };
        self.b().reduce(op, z, &axes).map(Some)
    }

    fn product(&mut self) -> IrResult<Option<NodeId>> {
        let Some(a) = self.pick(|t| t.dtype == DType::Real && (1..=2).contains(&t.shape.rank())) else { return Ok(None) };
        let inner = self.graph.shape(a).dims().last().cloned();
        let fits = |t: &Ty| t.dtype == DType::Real && (1..=2).contains(&t.shape.rank()) && t.shape.dims().first() == inner.as_ref();
        let Some(x) = self.pick(fits) else { return Ok(None) };
        let z = self.b().matmul(a, x)?;
        self.squash(z).map(Some)
    }

    fn movement(&mut self) -> IrResult<Option<NodeId>> {
        let Some(a) = self.pick(|t| (1..=2).contains(&t.shape.rank())) else { return Ok(None) };
        let shape = self.graph.shape(a).clone();
        let rank = shape.rank();
        let axis = self.rng.below(rank);
        let length = shape.dims()[axis].clone();
        let square = rank == 2 && shape.dims()[0] == shape.dims()[1];
        let one = Dim::Known(1);
        let mut made = Vec::new();
        match self.rng.below(8) {
            0 => made.push(self.b().swap(a)?),
            1 => made.push(self.b().reshape(a, &Shape::new([shape.count()]))?),
            2 if length != one && length.known() != Some(0) => made.push(self.b().slice(a, axis, one.clone(), length.sub(&one))?),
            3 => made.push(self.b().op(Op::Pad { axis, before: one.clone(), after: Dim::Known(2) }, &[a])?),
            4 => made.push(self.b().op(Op::Concat { axis }, &[a, a])?),
            5 => made.push(self.b().op(Op::Reverse { axis }, &[a])?),
            6 if rank == 1 => {
                let column = self.b().expand(a, 1)?;
                let wide = Shape::new([length, self.n.clone()]);
                made.push(self.b().broadcast(column, &wide)?);
                made.push(self.b().op(Op::DiagMatrix, &[a])?);
            }
            6 | 7 if square => made.push(self.b().op(Op::Diagonal, &[a])?),
            _ => {}
        }
        let last = made.pop();
        self.pool.extend(made);
        Ok(last)
    }

    /// Indices that are inside any axis of the graph: 0..n reversed or shifted, or small numbers.
    fn indexing(&mut self) -> IrResult<Option<NodeId>> {
        let n = self.n.clone();
        let Some(a) = self.pick(|t| t.dtype == DType::Real && t.shape.rank() > 0 && t.shape.dims()[0] == n) else { return Ok(None) };
        let iota = self.b().op(Op::Iota(n.clone()), &[])?;
        let (reverse, literal) = (self.rng.chance(50), self.rng.chance(40));
        let index = if literal {
            let data = vec![2.0, 0.0, 2.0, 1.0];
            self.b().op(Op::Literal(Arc::new(Array { dtype: DType::Int, shape: vec![4], data: Arc::new(data) })), &[])?
        } else if reverse {
            self.b().op(Op::Reverse { axis: 0 }, &[iota])?
        } else {
            iota
        };
        let taken = self.b().op(Op::Take { axis: 0 }, &[a, index])?;
        match self.rng.below(4) {
            0 => self.b().op(Op::ScatterAdd { axis: 0 }, &[a, index, taken]).map(Some),
            1 => self.b().op(Op::ScatterSet { axis: 0 }, &[a, index, taken]).map(Some),
            2 if !literal && self.graph.shape(a).rank() == 1 => {
                let along = self.b().op(Op::TakeAlong { axis: 0 }, &[a, index])?;
                self.b().op(Op::ScatterAddAlong { axis: 0 }, &[a, index, along]).map(Some)
            }
            _ => Ok(Some(taken)),
        }
    }

    fn running(&mut self) -> IrResult<Option<NodeId>> {
        let Some(a) = self.pick(|t| t.dtype == DType::Real && t.shape.rank() > 0) else { return Ok(None) };
        let axis = self.rng.below(self.graph.shape(a).rank());
        let (reverse, descending) = (self.rng.chance(50), self.rng.chance(50));
        let x = self.squash(a)?;
        let op = match self.rng.below(if self.options.smooth { 2 } else { 6 }) {
            0 => Op::Cumulative { op: Cumulative::Sum, axis, reverse },
            1 => Op::Cumulative { op: Cumulative::Prod, axis, reverse },
            2 => Op::Cumulative { op: Cumulative::Max, axis, reverse },
            3 => Op::Sort { axis, descending },
            4 => Op::ArgSort { axis, descending },
            _ => Op::ArgReduce { max: descending, axis },
        };
        self.b().op(op, &[x]).map(Some)
    }

    fn choice(&mut self) -> IrResult<Option<NodeId>> {
        let Some(a) = self.real() else { return Ok(None) };
        let y = self.partner(a)?;
        let shape = self.graph.shape(a).clone();
        // In smooth graphs the choice hangs on positions, not on values.
        let condition = if self.options.smooth {
            let Some(last) = shape.dims().last().cloned() else { return Ok(None) };
            let mut b = self.b();
            let (i, one) = (b.op(Op::Iota(last), &[])?, b.int(1)?);
            b.lt(i, one)?
        } else {
            match self.pick(|t| t.dtype == DType::Bool && t.shape == shape) {
                Some(c) => c,
                None => self.b().lt(a, y)?,
            }
        };
        self.b().select(condition, a, y).map(Some)
    }

    fn factor(&mut self) -> IrResult<Option<NodeId>> {
        let n = self.n.clone();
        let Some(a) = self.pick(|t| t.dtype == DType::Real && t.shape.dims() == [n.clone(), n.clone()]) else { return Ok(None) };
        let Some(v) = self.pick(|t| t.dtype == DType::Real && t.shape.dims() == [n.clone()]) else { return Ok(None) };
        let a = self.squash(a)?;
        let kind = self.rng.below(8);
        let transposed = self.rng.chance(50);
        let mut b = self.b();
        // a'a + diag(1, 2, 3): positive definite with a gap between its eigenvalues in the typical case.
        let (t, i, one) = (b.swap(a)?, b.op(Op::Iota(n), &[])?, b.real(1.0)?);
        let gram = b.matmul(t, a)?;
        let diagonal = b.add(i, one)?;
        let d = b.op(Op::DiagMatrix, &[diagonal])?;
        let spd = b.add(gram, d)?;
        match kind {
            0 | 1 => {
                let l = b.op(Op::Cholesky, &[spd])?;
                if kind == 0 { Ok(Some(l)) } else { b.op(Op::TriangularSolve { lower: true, transposed }, &[l, v]).map(Some) }
            }
            2 | 3 => b.op(Op::Solve { transposed }, &[spd, if kind == 2 { v } else { a }]).map(Some),
            4 => {
                let det = b.op(Op::Det, &[spd])?;
                b.log(det).map(Some)
            }
            5 => {
                let e = b.op(Op::Eigh, &[spd])?;
                b.get(e, 0).map(Some)
            }
            6 => {
                let e = b.op(Op::Svd, &[spd])?;
                b.get(e, 1).map(Some)
            }
            _ => {
                let e = b.op(Op::Qr, &[spd])?;
                let (q, r) = (b.get(e, 0)?, b.get(e, 1)?);
                self.pool.push(q);
                self.squash(r).map(Some)
            }
        }
    }

    fn draw(&mut self) -> IrResult<Option<NodeId>> {
        let (seed, kind, n, m) = (self.rng.below(1000) as i64, self.rng.below(3), self.n.clone(), self.m.clone());
        let mut b = self.b();
        let (seed, i) = (b.int(seed)?, b.int(7)?);
        let key = b.op(Op::Key, &[seed])?;
        let key = b.op(Op::KeyFold, &[key, i])?;
        let op = match kind {
            0 => Op::Uniform(Shape::new([m, n])),
            1 => Op::Normal(Shape::new([n])),
            _ => Op::Permutation(n),
        };
        b.op(op, &[key]).map(Some)
    }

    /// The first output: the sum of recent reals; in a graph with kinks, some nodes of any type follow.
    fn finish(&mut self) -> IrResult<()> {
        let reals: Vec<NodeId> = self.pool.iter().copied().filter(|p| self.graph.dtype(*p) == DType::Real).collect();
        let mut total = self.b().real(0.0)?;
        for (k, r) in reals.iter().rev().take(6).enumerate() {
            let mut b = self.b();
            let (s, w) = (b.sum_all(*r)?, b.real(1.0 / (1.0 + k as f64))?);
            let weighted = b.mul(s, w)?;
            total = b.add(total, weighted)?;
        }
        self.graph.outputs = vec![total];
        if !self.options.smooth {
            let last: Vec<NodeId> = self.pool.iter().copied().rev().take(4).collect();
            self.graph.outputs.extend(last);
        }
        Ok(())
    }
}
