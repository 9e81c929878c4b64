//! Solves and factorizations. Tangents are built from products and solves; cotangents transpose those (see `vjp`).

use crate::delta::{Delta, Factor, guard_whole, nonzero, plus, product};
use crate::error::{GradResult, internal};
use crate::reduce::triangle;
use gradus_ir::build::Build;
use gradus_ir::{BinaryOp, Dim, NodeId, Op};

/// Tangent of `op(xs)` whose outputs are `ys`, for each output.
pub(crate) fn push(
    b: &mut Build,
    op: &Op,
    xs: &[NodeId],
    ys: &[NodeId],
    ts: &[Option<Delta>],
) -> GradResult<Vec<Option<Delta>>> {
    if let Op::Solve { .. } | Op::TriangularSolve { .. } = op {
        return Ok(vec![push_solve(b, op, xs, ys[0], ts)?]);
    }
    let Some(t) = ts[0] else { return Ok(vec![None; ys.len()]) };
    let outs = match op {
        Op::Cholesky => vec![cholesky(b, ys[0], t.id)?],
        Op::Det => {
            let w = cofactors(b, xs[0], ys[0])?;
            let Some(d) = product(b, t, Factor::Times(w))? else { return Ok(vec![None]) };
            vec![b.sum_all(d.id)?]
        }
        Op::SlogDet => {
            let n = length(b, xs[0], 0)?;
            let i = eye(b, &n)?;
            let inverse = b.op(Op::Solve { transposed: true }, &[xs[0], i])?;
            let d = product(b, t, Factor::Times(inverse))?;
            let d = d.map(|d| Ok::<_, crate::GradError>(d.with(b.sum_all(d.id)?))).transpose()?;
            return Ok(vec![None, d]);
        }
        Op::Eigh => eigh(b, ys[0], ys[1], t.id)?,
        Op::Svd => svd(b, xs[0], ys, t.id)?,
        Op::Qr => qr(b, ys[0], ys[1], t.id)?,
        _ => return Err(internal(format!("no tangent rule for {}", op.name()))),
    };
    Ok(outs.into_iter().map(|id| Some(t.with(id))).collect())
}

fn symmetric(b: &mut Build, a: NodeId) -> GradResult<NodeId> {
    let t = b.swap(a)?;
    let s = b.add(a, t)?;
    let half = b.real(0.5)?;
    Ok(b.mul(half, s)?)
}

fn eye(b: &mut Build, n: &Dim) -> GradResult<NodeId> {
    Ok(triangle(b, n, BinaryOp::Eq)?)
}

fn length(b: &Build, a: NodeId, axis: usize) -> GradResult<Dim> {
    b.shape(a).dims().get(axis).cloned().ok_or_else(|| internal("a matrix was expected"))
}

// ---- solves ------------------------------------------------------------------------------------------------------

/// The part of the matrix that a triangular solve reads.
fn read_part(b: &mut Build, op: &Op, a: NodeId) -> GradResult<NodeId> {
    let Op::TriangularSolve { lower, .. } = op else { return Ok(a) };
    let n = length(b, a, 0)?;
    let mask = triangle(b, &n, if *lower { BinaryOp::Ge } else { BinaryOp::Le })?;
    Ok(b.mul(mask, a)?)
}

fn is_transposed(op: &Op) -> bool {
    matches!(op, Op::Solve { transposed: true } | Op::TriangularSolve { transposed: true, .. })
}

fn adjoint(op: &Op) -> Op {
    match op {
        Op::TriangularSolve { lower, transposed } => Op::TriangularSolve { lower: *lower, transposed: !transposed },
        Op::Solve { transposed } => Op::Solve { transposed: !transposed },
        other => other.clone(),
    }
}

/// `A dx = db - dA x`.
fn push_solve(b: &mut Build, op: &Op, xs: &[NodeId], x: NodeId, ts: &[Option<Delta>]) -> GradResult<Option<Delta>> {
    let mut right = ts[1];
    if let Some(ta) = ts[0] {
        let mut da = read_part(b, op, ta.id)?;
        if is_transposed(op) {
            da = b.swap(da)?;
        }
        let moved = b.matmul(da, x)?;
        let moved = b.neg(moved)?;
        right = plus(b, right, Some(ta.with(moved)))?;
    }
    match right {
        Some(r) => Ok(Some(r.with(b.op(op.clone(), &[xs[0], r.id])?))),
        None => Ok(None),
    }
}

/// Cotangents of `(A, b)` in `x = A^-1 b`.
pub(crate) fn pull_solve(
    b: &mut Build,
    op: &Op,
    xs: &[NodeId],
    x: NodeId,
    ct: Delta,
    want: &[bool],
) -> GradResult<Vec<Option<Delta>>> {
    let w = b.op(adjoint(op), &[xs[0], ct.id])?;
    let mut cts = vec![None, None];
    if want[0] {
        let (p, q) = if is_transposed(op) { (x, w) } else { (w, x) };
        let outer = if b.shape(x).rank() == 1 {
            let column = b.expand(p, 1)?;
            b.mul(column, q)?
        } else {
            let t = b.swap(q)?;
            b.matmul(p, t)?
        };
        let outer = b.neg(outer)?;
        let d = ct.with(read_part(b, op, outer)?);
        cts[0] = Some(guard_whole(b, &[Some(ct)], d)?);
    }
    if want[1] {
        cts[1] = Some(guard_whole(b, &[Some(ct)], ct.with(w))?);
    }
    Ok(cts)
}

// ---- factorizations ----------------------------------------------------------------------------------------------

/// `det(A) A^-T`: the derivative of the determinant by each entry. Not finite where A is singular.
fn cofactors(b: &mut Build, a: NodeId, det: NodeId) -> GradResult<NodeId> {
    let n = length(b, a, 0)?;
    let i = eye(b, &n)?;
    let inv = b.op(Op::Solve { transposed: true }, &[a, i])?;
    Ok(b.mul(det, inv)?)
}

/// `dL = L phi(L^-1 dA L^-T)`, phi = the lower triangle with half the diagonal (Murray 2016).
fn cholesky(b: &mut Build, l: NodeId, da: NodeId) -> GradResult<NodeId> {
    let n = length(b, l, 0)?;
    let da = symmetric(b, da)?;
    let solve = Op::TriangularSolve { lower: true, transposed: false };
    let left = b.op(solve.clone(), &[l, da])?;
    let left = b.swap(left)?;
    // Symmetric, so its transpose (which this is) is itself.
    let both = b.op(solve, &[l, left])?;
    let (ge, gt) = (triangle(b, &n, BinaryOp::Ge)?, triangle(b, &n, BinaryOp::Gt)?);
    let phi = b.add(ge, gt)?;
    let half = b.real(0.5)?;
    let phi = b.mul(half, phi)?;
    let inner = b.mul(phi, both)?;
    Ok(b.matmul(l, inner)?)
}

/// `1 / (v_j - v_i)`, 0 where the gap is 0.
fn gaps(b: &mut Build, v: NodeId) -> GradResult<NodeId> {
    let column = b.expand(v, 1)?;
    let gap = b.sub(v, column)?;
    let gap = nonzero(b, gap)?;
    Ok(b.recip(gap)?)
}

fn eigh(b: &mut Build, w: NodeId, v: NodeId, da: NodeId) -> GradResult<Vec<NodeId>> {
    let da = symmetric(b, da)?;
    let vt = b.swap(v)?;
    let av = b.matmul(da, v)?;
    let p = b.matmul(vt, av)?;
    let dw = b.op(Op::Diagonal, &[p])?;
    let f = gaps(b, w)?;
    let turn = b.mul(f, p)?;
    Ok(vec![dw, b.matmul(v, turn)?])
}

fn svd(b: &mut Build, a: NodeId, ys: &[NodeId], da: NodeId) -> GradResult<Vec<NodeId>> {
    let [u, s, v] = ys else { return Err(internal("svd has three outputs")) };
    let (u, s, v) = (*u, *s, *v);
    let k = length(b, s, 0)?;
    let (m, n) = (length(b, a, 0)?, length(b, a, 1)?);
    let ut = b.swap(u)?;
    let av = b.matmul(da, v)?;
    let p = b.matmul(ut, av)?;
    let ds = b.op(Op::Diagonal, &[p])?;
    // 1 / (s_j^2 - s_i^2) as a product of differences and sums, which loses less.
    let column = b.expand(s, 1)?;
    let (less, more) = (b.sub(s, column)?, b.add(s, column)?);
    let gap = b.mul(less, more)?;
    let gap = nonzero(b, gap)?;
    let f = b.recip(gap)?;
    let ps = b.mul(p, s)?;
    let sp = b.mul(column, p)?;
    let turn = |b: &mut Build, x: NodeId, q: NodeId| -> GradResult<NodeId> {
        let t = b.swap(q)?;
        let sum = b.add(q, t)?;
        let inner = b.mul(f, sum)?;
        Ok(b.matmul(x, inner)?)
    };
    let (mut du, mut dv) = (turn(b, u, ps)?, turn(b, v, sp)?);
    let safe = nonzero(b, s)?;
    // What leaves the space of the columns; none where they span everything (a symbolic length may hide that).
    let outside = |b: &mut Build, x: NodeId, ax: NodeId| -> GradResult<NodeId> {
        let t = b.swap(x)?;
        let inside = b.matmul(t, ax)?;
        let inside = b.matmul(x, inside)?;
        let rest = b.sub(ax, inside)?;
        Ok(b.div(rest, safe)?)
    };
    if m != k {
        let rest = outside(b, u, av)?;
        du = b.add(du, rest)?;
    }
    if n != k {
        let dat = b.swap(da)?;
        let au = b.matmul(dat, u)?;
        let rest = outside(b, v, au)?;
        dv = b.add(dv, rest)?;
    }
    Ok(vec![du, ds, dv])
}

fn qr(b: &mut Build, q: NodeId, r: NodeId, da: NodeId) -> GradResult<Vec<NodeId>> {
    let n = length(b, r, 0)?;
    let dat = b.swap(da)?;
    // dA R^-1, from R' X' = dA'.
    let x = b.op(Op::TriangularSolve { lower: false, transposed: true }, &[r, dat])?;
    let x = b.swap(x)?;
    let qt = b.swap(q)?;
    let p = b.matmul(qt, x)?;
    let strict = triangle(b, &n, BinaryOp::Gt)?;
    let low = b.mul(strict, p)?;
    let high = b.swap(low)?;
    let turn = b.sub(low, high)?;
    let stay = b.sub(p, turn)?;
    let inside = b.matmul(q, stay)?;
    let dq = b.sub(x, inside)?;
    let dr = b.matmul(stay, r)?;
    Ok(vec![dq, dr])
}
