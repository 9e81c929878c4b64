//! Sparse products and Fourier transforms: linear in what they transform, by their adjoints.

use crate::delta::{Delta, plus, zeros};
use crate::error::{GradResult, internal};
use gradus_ir::build::Build;
use gradus_ir::{Cumulative, Dim, NodeId, Op, ReduceOp, Shape};

/// Tangent of `op(starts, columns, values, x)`: linear in the values and in x.
pub(crate) fn push_sparse(b: &mut Build, op: &Op, xs: &[NodeId], ts: &[Option<Delta>]) -> GradResult<Option<Delta>> {
    let [starts, columns, values, x] = xs else { return Err(internal("a sparse product has four operands")) };
    let mut sum = None;
    if let Some(d) = ts[2] {
        let p = b.op(op.clone(), &[*starts, *columns, d.id, *x])?;
        sum = plus(b, sum, Some(d.with(p)))?;
    }
    if let Some(d) = ts[3] {
        let p = b.op(op.clone(), &[*starts, *columns, *values, d.id])?;
        sum = plus(b, sum, Some(d.with(p)))?;
    }
    Ok(sum)
}

/// Cotangents of values and x. That of an entry is the product of what meets in it.
pub(crate) fn pull_sparse(b: &mut Build, transposed: bool, xs: &[NodeId], ct: Delta, want: &[bool]) -> GradResult<Vec<Option<Delta>>> {
    let [starts, columns, values, x] = xs else { return Err(internal("a sparse product has four operands")) };
    let mut found = vec![None; 4];
    if want[2] {
        let rows = row_of_each(b, *starts, *values)?;
        let (of_ct, of_x) = if transposed { (*columns, rows) } else { (rows, *columns) };
        let (c, v) = (b.take(ct.id, of_ct, 0)?, b.take(*x, of_x, 0)?);
        let p = b.mul(c, v)?;
        let p = if b.shape(p).rank() == 1 { p } else { b.reduce(ReduceOp::Sum, p, &[1])? };
        found[2] = Some(Delta::new(p, true));
    }
    if want[3] {
        let rows = b.shape(*x).dims().first().cloned().ok_or_else(|| internal("a sparse product with a scalar"))?;
        let back = Op::SparseMatMul { transposed: !transposed, rows };
        found[3] = Some(ct.with(b.op(back, &[*starts, *columns, *values, ct.id])?));
    }
    Ok(found)
}

/// The row of every entry: how many rows after the first begin at or before it.
fn row_of_each(b: &mut Build, starts: NodeId, values: NodeId) -> GradResult<NodeId> {
    let nnz = b.shape(values).count();
    let rows = b.shape(starts).count().sub(&Dim::Known(1));
    let (zero, one) = (b.int(0)?, b.int(1)?);
    let base = b.broadcast(zero, &Shape::new([nnz.add(&Dim::Known(1))]))?;
    let later = b.slice(starts, 0, Dim::Known(1), rows.clone())?;
    let ones = b.broadcast(one, &Shape::new([rows]))?;
    let begun = b.op(Op::ScatterAdd { axis: 0 }, &[base, later, ones])?;
    let begun = b.op(Op::Cumulative { op: Cumulative::Sum, axis: 0, reverse: false }, &[begun])?;
    Ok(b.slice(begun, 0, Dim::Known(0), nnz)?)
}

fn transformed(b: &mut Build, inverse: bool, ds: &[Option<Delta>], like: &Shape) -> GradResult<Vec<Option<Delta>>> {
    let Some(some) = ds.iter().flatten().next().copied() else { return Ok(vec![None; 2]) };
    let mut parts = Vec::with_capacity(2);
    for k in 0..2 {
        parts.push(match ds.get(k).copied().flatten() {
            Some(d) => d.id,
            None => zeros(b, like)?,
        });
    }
    let node = b.op(Op::Fft { inverse }, &parts)?;
    Ok(vec![Some(Delta::new(b.get(node, 0)?, some.masked)), Some(Delta::new(b.get(node, 1)?, some.masked))])
}

pub(crate) fn push_fft(b: &mut Build, inverse: bool, xs: &[NodeId], ts: &[Option<Delta>]) -> GradResult<Vec<Option<Delta>>> {
    let shape = b.shape(xs[0]);
    transformed(b, inverse, ts, &shape)
}

/// The adjoint of the transform is the one with the other sign.
pub(crate) fn pull_fft(b: &mut Build, inverse: bool, xs: &[NodeId], cts: &[Option<Delta>]) -> GradResult<Vec<Option<Delta>>> {
    let shape = b.shape(xs[0]);
    transformed(b, !inverse, cts, &shape)
}
