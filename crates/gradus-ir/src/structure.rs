//! A graph's structure as a number: the key of whatever is kept for a graph (its plan, its derivatives).

use crate::array::Array;
use crate::graph::Graph;
use crate::op::{Loop, Op};
use foldhash::quality::{FixedState, FoldHasher};
use rustc_hash::FxHashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

/// Two graphs with equal numbers have the same nodes, regions, literals, types and origins (up to a collision of 128 bits).
/// Origins count because faults of a cached plan point at them.
pub fn structure(graph: &Graph) -> u128 {
    Walk::default().graph(graph)
}

/// Two differently seeded hashes side by side.
struct Twin(FoldHasher<'static>, FoldHasher<'static>);

impl Twin {
    fn new() -> Twin {
        let seeded = |s| FixedState::with_seed(s).build_hasher();
        Twin(seeded(0), seeded(0x9e37_79b9_7f4a_7c15))
    }

    fn value(&self) -> u128 {
        u128::from(self.0.finish()) << 64 | u128::from(self.1.finish())
    }
}

impl Hasher for Twin {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    fn write_u8(&mut self, x: u8) {
        self.write_u64(u64::from(x));
    }

    fn write_u32(&mut self, x: u32) {
        self.write_u64(u64::from(x));
    }

    fn write_u64(&mut self, x: u64) {
        self.0.write_u64(x);
        self.1.write_u64(x);
    }

    fn write_usize(&mut self, x: usize) {
        self.write_u64(x as u64);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

/// Regions and literals are shared; each is hashed once.
#[derive(Default)]
struct Walk {
    regions: FxHashMap<*const Graph, u128>,
    literals: FxHashMap<*const Array, u128>,
}

impl Walk {
    fn graph(&mut self, g: &Graph) -> u128 {
        let mut h = Twin::new();
        g.len().hash(&mut h);
        g.params().hash(&mut h);
        for (_, node) in g.nodes() {
            self.op(&node.op, &mut h);
            node.inputs.as_slice().hash(&mut h);
            node.tys.as_slice().hash(&mut h);
            node.origin.hash(&mut h);
        }
        g.outputs.hash(&mut h);
        h.value()
    }

    fn region(&mut self, g: &Arc<Graph>) -> u128 {
        let key = Arc::as_ptr(g);
        if let Some(known) = self.regions.get(&key) {
            return *known;
        }
        let value = self.graph(g);
        self.regions.insert(key, value);
        value
    }

    fn literal(&mut self, a: &Arc<Array>) -> u128 {
        let key = Arc::as_ptr(a);
        if let Some(known) = self.literals.get(&key) {
            return *known;
        }
        let mut h = Twin::new();
        a.dtype.hash(&mut h);
        a.shape.hash(&mut h);
        for x in a.data.iter() {
            h.write_u64(x.to_bits());
        }
        let value = h.value();
        self.literals.insert(key, value);
        value
    }

    /// Every attribute of an op; a new op does not compile until it is here.
    fn op(&mut self, op: &Op, h: &mut Twin) {
        std::mem::discriminant(op).hash(h);
        match op {
            Op::Param(k) | Op::Get(k) => k.hash(h),
            Op::Const(v, t) => (v, t).hash(h),
            Op::Literal(a) => self.literal(a).hash(h),
            Op::DimValue(d) | Op::Iota(d) | Op::Permutation(d) | Op::TopK(d) => d.hash(h),
            Op::Unary(u) => u.hash(h),
            Op::Binary(b) => b.hash(h),
            Op::Reduce(r, axes) => (r, axes).hash(h),
            Op::ArgReduce { max, axis } => (max, axis).hash(h),
            Op::Broadcast(s) | Op::Reshape(s) | Op::Uniform(s) | Op::Normal(s) => s.hash(h),
            Op::Transpose(perm) => perm.hash(h),
            Op::Slice { axis, start, len } => (axis, start, len).hash(h),
            Op::Pad { axis, before, after } => (axis, before, after).hash(h),
            Op::Concat { axis }
            | Op::Reverse { axis }
            | Op::Take { axis }
            | Op::TakeAlong { axis }
            | Op::ScatterAdd { axis }
            | Op::ScatterAddAlong { axis }
            | Op::ScatterSet { axis } => axis.hash(h),
            Op::Cumulative { op, axis, reverse } => (op, axis, reverse).hash(h),
            Op::Sort { axis, descending } | Op::ArgSort { axis, descending } => (axis, descending).hash(h),
            Op::TriangularSolve { lower, transposed } => (lower, transposed).hash(h),
            Op::Solve { transposed } => transposed.hash(h),
            Op::NoGrad(what) | Op::Check(what) | Op::Recall(what) | Op::Store(what) | Op::Tally(what) => what.hash(h),
            Op::SparseMatMul { transposed, rows } => (transposed, rows).hash(h),
            Op::Fft { inverse } => inverse.hash(h),
            Op::Implicit(i) => {
                (i.values, &i.label).hash(h);
                (self.region(&i.residual), self.region(&i.forward), self.region(&i.adjoint)).hash(h);
            }
            Op::Loop(l) => self.looped(l, h),
            Op::Cond { then, other } => (self.region(then), self.region(other)).hash(h),
            Op::Select
            | Op::Stationary
            | Op::Knapsack
            | Op::Isotonic
            | Op::MatMul
            | Op::Diagonal
            | Op::DiagMatrix
            | Op::Cholesky
            | Op::Det
            | Op::SlogDet
            | Op::Eigh
            | Op::Svd
            | Op::Qr
            | Op::Key
            | Op::KeyFold
            | Op::Clock => {}
        }
    }

    fn looped(&mut self, l: &Loop, h: &mut Twin) {
        let Loop { trip, carries, scanned, collected, cond, body, label } = l;
        (trip, carries, scanned, collected, label).hash(h);
        cond.as_ref().map(|c| self.region(c)).hash(h);
        self.region(body).hash(h);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::graph::Origin;
    use crate::op::{ReduceOp, Trip, UnaryOp};
    use crate::{DType, Dim, Shape, Ty};

    fn sum(axis: usize, n: usize) -> Graph {
        let mut g = Graph::new();
        let x = g.param(Ty::real(Shape::of(&[n, 3])), Origin::default());
        let s = g.add(Op::Reduce(ReduceOp::Sum, vec![axis]), &[x], Origin::default()).unwrap();
        g.outputs = vec![s];
        g
    }

    fn repeated(body_op: UnaryOp, trips: i64, literal: &[f64]) -> Graph {
        let mut body = Graph::new();
        body.param(Ty::scalar(DType::Int), Origin::default());
        let x = body.param(Ty::real(Shape::of(&[2])), Origin::default());
        let y = body.add(Op::Unary(body_op), &[x], Origin::default()).unwrap();
        body.outputs = vec![y];
        let mut g = Graph::new();
        let x = g.add(Op::Literal(Arc::new(Array::vector(literal.to_vec()))), &[], Origin::default()).unwrap();
        let l = Loop {
            trip: Trip::Count(Dim::Known(trips)),
            carries: 1,
            scanned: 0,
            collected: 0,
            cond: None,
            body: Arc::new(body),
            label: "for".into(),
        };
        let out = g.add(Op::Loop(Box::new(l)), &[x], Origin::default()).unwrap();
        let out = g.add(Op::Get(1), &[out], Origin::default()).unwrap();
        g.outputs = vec![out];
        g
    }

    #[test]
    fn equal_structures_have_equal_numbers() {
        assert_eq!(structure(&sum(0, 4)), structure(&sum(0, 4)));
        assert_eq!(structure(&repeated(UnaryOp::Sin, 5, &[1.0, 2.0])), structure(&repeated(UnaryOp::Sin, 5, &[1.0, 2.0])));
    }

    #[test]
    fn attributes_shapes_regions_and_literals_count() {
        let base = structure(&repeated(UnaryOp::Sin, 5, &[1.0, 2.0]));
        for other in [
            repeated(UnaryOp::Cos, 5, &[1.0, 2.0]),
            repeated(UnaryOp::Sin, 6, &[1.0, 2.0]),
            repeated(UnaryOp::Sin, 5, &[1.0, 2.5]),
        ] {
            assert_ne!(base, structure(&other));
        }
        assert_ne!(structure(&sum(0, 4)), structure(&sum(1, 4)));
        assert_ne!(structure(&sum(0, 4)), structure(&sum(0, 5)));
    }
}
