//! Short names for adding ops, for passes that know their shapes fit.

use crate::dim::Dim;
use crate::error::{IrError, IrResult};
use crate::graph::{Graph, NodeId, Origin};
use crate::op::{BinaryOp, F64, Op, ReduceOp, UnaryOp};
use crate::ty::{DType, Shape};

/// A graph with the origin that new nodes get.
pub struct Build<'g> {
    pub graph: &'g mut Graph,
    pub origin: Origin,
}

macro_rules! binary {
    ($($name:ident = $op:ident),* $(,)?) => {
        $(pub fn $name(&mut self, a: NodeId, b: NodeId) -> IrResult<NodeId> { self.bin(BinaryOp::$op, a, b) })*
    };
}

macro_rules! unary {
    ($($name:ident = $op:ident),* $(,)?) => {
        $(pub fn $name(&mut self, a: NodeId) -> IrResult<NodeId> { self.un(UnaryOp::$op, a) })*
    };
}

impl<'g> Build<'g> {
    pub fn new(graph: &'g mut Graph, origin: Origin) -> Self {
        Build { graph, origin }
    }

    pub fn op(&mut self, op: Op, inputs: &[NodeId]) -> IrResult<NodeId> {
        self.graph.add(op, inputs, self.origin)
    }

    pub fn shape(&self, a: NodeId) -> Shape {
        self.graph.shape(a).clone()
    }

    pub fn real(&mut self, v: f64) -> IrResult<NodeId> {
        self.op(Op::Const(F64::new(v), DType::Real), &[])
    }

    pub fn int(&mut self, v: i64) -> IrResult<NodeId> {
        self.op(Op::Const(F64::new(v as f64), DType::Int), &[])
    }

    pub fn bool(&mut self, v: bool) -> IrResult<NodeId> {
        self.op(Op::Const(F64::new(if v { 1.0 } else { 0.0 }), DType::Bool), &[])
    }

    pub fn dim(&mut self, d: &Dim) -> IrResult<NodeId> {
        self.op(Op::DimValue(d.clone()), &[])
    }

    /// A constant of that shape.
    pub fn full(&mut self, v: f64, shape: &Shape) -> IrResult<NodeId> {
        let c = self.real(v)?;
        self.broadcast(c, shape)
    }

    pub fn un(&mut self, u: UnaryOp, a: NodeId) -> IrResult<NodeId> {
        self.op(Op::Unary(u), &[a])
    }

    pub fn bin(&mut self, b: BinaryOp, x: NodeId, y: NodeId) -> IrResult<NodeId> {
        self.op(Op::Binary(b), &[x, y])
    }

    binary! { add = Add, sub = Sub, mul = Mul, div = Div, pow = Pow, maximum = Max, minimum = Min,
    lt = Lt, le = Le, gt = Gt, ge = Ge, eq = Eq, ne = Ne, and = And, or = Or }
    unary! { neg = Neg, abs = Abs, sign = Sign, square = Square, recip = Recip, sqrt = Sqrt, exp = Exp, log = Log,
    sin = Sin, cos = Cos, tanh = Tanh, sigmoid = Sigmoid, softplus = Softplus, not = Not, to_real = ToReal,
    stop_grad = StopGrad }

    pub fn select(&mut self, c: NodeId, a: NodeId, b: NodeId) -> IrResult<NodeId> {
        self.op(Op::Select, &[c, a, b])
    }

    pub fn reduce(&mut self, r: ReduceOp, a: NodeId, axes: &[usize]) -> IrResult<NodeId> {
        self.op(Op::Reduce(r, axes.to_vec()), &[a])
    }

    pub fn sum_all(&mut self, a: NodeId) -> IrResult<NodeId> {
        let axes: Vec<usize> = (0..self.shape(a).rank()).collect();
        self.reduce(ReduceOp::Sum, a, &axes)
    }

    pub fn dot(&mut self, a: NodeId, b: NodeId) -> IrResult<NodeId> {
        let m = self.mul(a, b)?;
        self.sum_all(m)
    }

    pub fn matmul(&mut self, a: NodeId, b: NodeId) -> IrResult<NodeId> {
        self.op(Op::MatMul, &[a, b])
    }

    /// Swap the last two axes.
    pub fn swap(&mut self, a: NodeId) -> IrResult<NodeId> {
        let rank = self.shape(a).rank();
        let mut perm: Vec<usize> = (0..rank).collect();
        if rank >= 2 {
            perm.swap(rank - 1, rank - 2);
        }
        self.op(Op::Transpose(perm), &[a])
    }

    pub fn transpose(&mut self, a: NodeId, perm: &[usize]) -> IrResult<NodeId> {
        self.op(Op::Transpose(perm.to_vec()), &[a])
    }

    pub fn broadcast(&mut self, a: NodeId, shape: &Shape) -> IrResult<NodeId> {
        self.op(Op::Broadcast(shape.clone()), &[a])
    }

    pub fn reshape(&mut self, a: NodeId, shape: &Shape) -> IrResult<NodeId> {
        self.op(Op::Reshape(shape.clone()), &[a])
    }

    /// Insert an axis of length one.
    pub fn expand(&mut self, a: NodeId, axis: usize) -> IrResult<NodeId> {
        let mut s = self.shape(a);
        if axis > s.rank() {
            return Err(IrError::Internal(format!("expand: no place {axis} in {s}")));
        }
        s.0.insert(axis, Dim::Known(1));
        self.reshape(a, &s)
    }

    pub fn slice(&mut self, a: NodeId, axis: usize, start: Dim, len: Dim) -> IrResult<NodeId> {
        self.op(Op::Slice { axis, start, len }, &[a])
    }

    pub fn take(&mut self, a: NodeId, index: NodeId, axis: usize) -> IrResult<NodeId> {
        self.op(Op::Take { axis }, &[a, index])
    }

    pub fn get(&mut self, a: NodeId, k: usize) -> IrResult<NodeId> {
        self.op(Op::Get(k as u32), &[a])
    }

    /// Sum a value of a broadcast shape back to the shape it was stretched from.
    pub fn unbroadcast(&mut self, a: NodeId, target: &Shape) -> IrResult<NodeId> {
        let from = self.shape(a);
        if from == *target {
            return Ok(a);
        }
        let extra = from.rank().saturating_sub(target.rank());
        let axes: Vec<usize> = (0..from.rank())
            .filter(|&k| {
                k < extra || (target.dims()[k - extra].is_one() && !from.dims()[k].is_one())
            })
            .collect();
        let summed = if axes.is_empty() { a } else { self.reduce(ReduceOp::Sum, a, &axes)? };
        self.reshape(summed, target)
    }
}
