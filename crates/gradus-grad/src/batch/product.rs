//! Products and solutions of systems over lanes.

use super::{Lanes, Val};
use crate::error::GradResult;
use gradus_ir::{Dim, NodeId, Op, ReduceOp, Shape};

impl Lanes<'_> {
    pub(super) fn matmul(&mut self, a: Val, b: Val) -> GradResult<NodeId> {
        let (sa, sb) = (self.shape(a), self.shape(b));
        match (sa.rank(), a.batched, sb.rank(), b.batched) {
            // Dot products.
            (1, true, 1, true) => {
                let m = self.b.mul(a.id, b.id)?;
                Ok(self.b.reduce(ReduceOp::Sum, m, &[1])?)
            }
            (1, true, 1 | 2, false) => Ok(self.b.matmul(a.id, b.id)?),
            (1, false, 1, true) => Ok(self.b.matmul(b.id, a.id)?),
            // One matrix for all lanes: the lanes' vectors are the rows of another.
            (2, false, 1, true) => {
                let t = self.b.swap(a.id)?;
                Ok(self.b.matmul(b.id, t)?)
            }
            // Their matrices, stacked.
            (2, true, 1 | 2, false) => {
                let (m, k) = (sa.dims()[0].clone(), sa.dims()[1].clone());
                let rows = self.b.reshape(a.id, &Shape::new([self.lanes.mul(&m), k]))?;
                let out = self.b.matmul(rows, b.id)?;
                let tail = sb.dims().get(1).cloned();
                Ok(self.b.reshape(out, &Shape::new([self.lanes.clone(), m].into_iter().chain(tail)))?)
            }
            (2, true, 2, true) | (1 | 2, false, 2.., true) | (3.., true, 1 | 2, false) => Ok(self.b.matmul(a.id, b.id)?),
            _ => self.padded(a, b),
        }
    }

    /// Vectors as matrices, and both sides with all axes of batches.
    fn padded(&mut self, a: Val, b: Val) -> GradResult<NodeId> {
        let (sa, sb) = (self.shape(a), self.shape(b));
        let (ra, rb) = (sa.rank(), sb.rank());
        let batch: Vec<Dim> = if ra > 2 { sa.dims()[..ra - 2].to_vec() } else { sb.dims()[..rb.saturating_sub(2)].to_vec() };
        let tail = |s: &Shape, row: bool| -> Vec<Dim> {
            match (s.dims(), row) {
                ([k], true) => vec![Dim::Known(1), k.clone()],
                ([k], false) => vec![k.clone(), Dim::Known(1)],
                (d, _) => d[d.len() - 2..].to_vec(),
            }
        };
        let (ta, tb) = (tail(&sa, true), tail(&sb, false));
        let (x, y) = (self.full_batch(a, &sa, &batch, &ta)?, self.full_batch(b, &sb, &batch, &tb)?);
        let out = self.b.matmul(x, y)?;
        let mut dims: Vec<Dim> = std::iter::once(self.lanes.clone()).chain(batch).collect();
        if ra >= 2 {
            dims.push(ta[0].clone());
        }
        if rb >= 2 {
            dims.push(tb[1].clone());
        }
        Ok(self.b.reshape(out, &Shape::new(dims))?)
    }

    /// `[lanes, batch.., tail..]`
    fn full_batch(&mut self, v: Val, own: &Shape, batch: &[Dim], tail: &[Dim]) -> GradResult<NodeId> {
        let full = Shape::new(std::iter::once(self.lanes.clone()).chain(batch.iter().cloned()).chain(tail.iter().cloned()));
        let lanes = if v.batched { self.lanes.clone() } else { Dim::Known(1) };
        let middle: Vec<Dim> = if own.rank() > 2 { batch.to_vec() } else { vec![Dim::Known(1); batch.len()] };
        let shape = Shape::new(std::iter::once(lanes).chain(middle).chain(tail.iter().cloned()));
        let x = self.b.reshape(v.id, &shape)?;
        Ok(self.b.broadcast(x, &full)?)
    }

    /// One matrix for all lanes: their right-hand sides side by side.
    pub(super) fn solved(&mut self, op: &Op, matrix: NodeId, b: NodeId) -> GradResult<NodeId> {
        let shape = self.b.shape(b);
        if shape.rank() == 2 {
            let columns = self.b.swap(b)?;
            let x = self.b.op(op.clone(), &[matrix, columns])?;
            return Ok(self.b.swap(x)?);
        }
        let (n, m) = (shape.dims()[1].clone(), shape.dims()[2].clone());
        let t = self.b.transpose(b, &[1, 0, 2])?;
        let flat = self.b.reshape(t, &Shape::new([n.clone(), self.lanes.mul(&m)]))?;
        let x = self.b.op(op.clone(), &[matrix, flat])?;
        let x = self.b.reshape(x, &Shape::new([n, self.lanes.clone(), m]))?;
        Ok(self.b.transpose(x, &[1, 0, 2])?)
    }
}
