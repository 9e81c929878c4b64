//! Gathers, scatters, diagonals over lanes.

use super::{Lanes, Val};
use crate::error::GradResult;
use gradus_ir::{BinaryOp, Dim, NodeId, Op, ReduceOp, Shape};

impl Lanes<'_> {
    /// Operands of an op that has one form for all lanes. Where lanes are masked an index is only read if some lane counts.
    pub(super) fn guarded(&mut self, op: &Op, xs: &[Val]) -> GradResult<Vec<NodeId>> {
        let mut ids: Vec<NodeId> = xs.iter().map(|x| x.id).collect();
        let indexed = matches!(
            op,
            Op::Take { .. } | Op::TakeAlong { .. } | Op::ScatterAdd { .. } | Op::ScatterAddAlong { .. } | Op::ScatterSet { .. }
        );
        if let (true, Some(_), Some(i)) = (indexed, self.mask, xs.get(1)) {
            ids[1] = self.safe_index(*i)?.id;
        }
        Ok(ids)
    }

    /// Indices of lanes that do not count are zero: they must not leave the axis.
    pub(super) fn safe_index(&mut self, i: Val) -> GradResult<Val> {
        let Some(mask) = self.mask else { return Ok(i) };
        let zero = self.b.int(0)?;
        if !i.batched {
            let some = self.b.reduce(ReduceOp::Max, mask, &[0])?;
            return Ok(Val { id: self.b.select(some, i.id, zero)?, batched: false });
        }
        let rank = self.shape(i).rank();
        let mask = self.aligned(Val { id: mask, batched: true }, rank)?;
        Ok(Val { id: self.b.select(mask, i.id, zero)?, batched: true })
    }

    /// The lanes first, then one axis, then the others in order: what a gather along that axis wants.
    fn axis_first(&mut self, x: NodeId, axis: usize) -> GradResult<NodeId> {
        let rank = self.b.shape(x).rank();
        let perm: Vec<usize> = [0, axis + 1].into_iter().chain((1..rank).filter(|k| *k != axis + 1)).collect();
        Ok(self.b.transpose(x, &perm)?)
    }

    /// Indices of any shape as one axis, stretched over the other axes of what they pick from.
    fn flat_index(&mut self, i: NodeId, rest: &[Dim]) -> GradResult<(NodeId, Shape)> {
        let shape = self.b.shape(i);
        let count = Dim::product(shape.dims().iter().skip(1));
        let ones = std::iter::repeat_n(Dim::Known(1), rest.len());
        let column = Shape::new([self.lanes.clone(), count.clone()].into_iter().chain(ones));
        let full = Shape::new([self.lanes.clone(), count].into_iter().chain(rest.iter().cloned()));
        let flat = self.b.reshape(i, &column)?;
        Ok((self.b.broadcast(flat, &full)?, full))
    }

    pub(super) fn take(&mut self, x: Val, i: Val, axis: usize) -> GradResult<NodeId> {
        let i = self.safe_index(i)?;
        let inner = self.shape(i).rank();
        if !i.batched {
            return Ok(self.b.take(x.id, i.id, axis + 1)?);
        }
        if !x.batched {
            // The lanes stand where the axis was.
            let out = self.b.take(x.id, i.id, axis)?;
            let rank = self.b.shape(out).rank();
            let perm: Vec<usize> = std::iter::once(axis).chain((0..rank).filter(|k| *k != axis)).collect();
            return Ok(self.b.transpose(out, &perm)?);
        }
        let first = self.axis_first(x.id, axis)?;
        let rest: Vec<Dim> = self.b.shape(first).dims().iter().skip(2).cloned().collect();
        let (flat, _) = self.flat_index(i.id, &rest)?;
        let out = self.b.op(Op::TakeAlong { axis: 1 }, &[first, flat])?;
        let dims = self.b.shape(i.id);
        let full = Shape::new(dims.dims().iter().cloned().chain(rest.iter().cloned()));
        let out = self.b.reshape(out, &full)?;
        // [lanes, index.., before.., after..] -> [lanes, before.., index.., after..]
        let total = 1 + inner + rest.len();
        let before = 1 + inner..1 + inner + axis;
        let perm: Vec<usize> =
            std::iter::once(0).chain(before.clone()).chain(1..1 + inner).chain(before.end..total).collect();
        Ok(self.b.transpose(out, &perm)?)
    }

    pub(super) fn scatter_add(&mut self, x: Val, i: Val, u: Val, axis: usize) -> GradResult<NodeId> {
        let i = self.safe_index(i)?;
        let (x, u) = (self.spread(x)?, self.spread(u)?);
        if !i.batched {
            return Ok(self.b.op(Op::ScatterAdd { axis: axis + 1 }, &[x.id, i.id, u.id])?);
        }
        let inner = self.shape(i).rank();
        let first = self.axis_first(x.id, axis)?;
        let rest: Vec<Dim> = self.b.shape(first).dims().iter().skip(2).cloned().collect();
        let (flat, full) = self.flat_index(i.id, &rest)?;
        // [lanes, before.., index.., after..] -> [lanes, index.., before.., after..]
        let total = 1 + inner + rest.len();
        let middle = 1 + axis..1 + axis + inner;
        let perm: Vec<usize> =
            std::iter::once(0).chain(middle.clone()).chain(1..1 + axis).chain(middle.end..total).collect();
        let u = self.b.transpose(u.id, &perm)?;
        let u = self.b.reshape(u, &full)?;
        let out = self.b.op(Op::ScatterAddAlong { axis: 1 }, &[first, flat, u])?;
        // The axis goes back to its place.
        let rank = self.b.shape(out).rank();
        let perm: Vec<usize> = std::iter::once(0).chain(2..2 + axis).chain(std::iter::once(1)).chain(2 + axis..rank).collect();
        Ok(self.b.transpose(out, &perm)?)
    }

    /// `[lanes, n, n]` to `[lanes, n]`
    pub(super) fn diagonal(&mut self, x: NodeId) -> GradResult<NodeId> {
        let shape = self.b.shape(x);
        let n = shape.dims().last().cloned().unwrap_or(Dim::Known(0));
        let flat = self.b.reshape(x, &Shape::new([self.lanes.clone(), n.mul(&n)]))?;
        let k = self.b.op(Op::Iota(n.clone()), &[])?;
        let step = self.b.dim(&n.add(&Dim::Known(1)))?;
        let at = self.b.mul(k, step)?;
        Ok(self.b.take(flat, at, 1)?)
    }

    /// `[lanes, n]` to `[lanes, n, n]`
    pub(super) fn diag_matrix(&mut self, x: NodeId) -> GradResult<NodeId> {
        let dtype = self.b.graph.dtype(x);
        let n = self.b.shape(x).dims().last().cloned().unwrap_or(Dim::Known(0));
        let row = self.b.op(Op::Iota(n.clone()), &[])?;
        let column = self.b.expand(row, 1)?;
        let on = self.b.op(Op::Binary(BinaryOp::Eq), &[column, row])?;
        let rows = self.b.expand(x, 2)?;
        let zero = self.b.op(Op::Const(gradus_ir::F64::new(0.0), dtype), &[])?;
        Ok(self.b.select(on, rows, zero)?)
    }
}
