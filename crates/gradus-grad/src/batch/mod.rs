//! Batching: a region for all lanes at once from the region for one.
//!
//! Each value of the region either has one form for all lanes (and then it is computed once), or a leading axis of lanes. Most ops only
//! shift their axes; those that know no batches run in a loop over the lanes. Branches whose condition differs from lane to lane compute both sides and
//! select; loops whose condition does run until all lanes are done, a lane that is done keeping its state.

mod control;
mod index;
mod product;

use crate::error::{GradResult, internal};
use crate::GradError;
use gradus_ir::build::Build;
use gradus_ir::{Dim, Graph, Loop, NodeId, Op, ReduceOp, Shape, Trip, Ty};
use std::sync::Arc;

/// A region over lanes.
#[derive(Clone, Debug)]
pub struct Batched {
    /// The chosen parameters and the outputs flagged below have a leading axis of lanes.
    pub graph: Graph,
    /// Which outputs differ from lane to lane.
    pub outputs: Vec<bool>,
}

/// The region that computes all lanes: where `batched` says so, a parameter has a new first axis of length `lanes`.
/// What does not depend on such a parameter is computed once and has no such axis.
///
/// Every lane has the values that the region alone would give it, up to the order of sums in products of matrices.
pub fn batch(region: &Graph, batched: &[bool], lanes: &Dim) -> Result<Batched, GradError> {
    if batched.len() != region.params().len() {
        return Err(internal(format!("batch: {} flags for {} parameters", batched.len(), region.params().len())));
    }
    let done = region_of(region, batched, lanes, false, &[])?;
    Ok(Batched { graph: done.graph, outputs: done.outputs })
}

/// A node of the new graph, and whether its first axis is that of the lanes.
#[derive(Clone, Copy, Debug)]
struct Val {
    id: NodeId,
    batched: bool,
}

/// The region over lanes as a region. With `masked`, a last parameter says which lanes count: what the others compute is read by nobody, and
/// must not fail. Outputs for which `force` holds get the axis of lanes whether or not they differ.
fn region_of(region: &Graph, batched: &[bool], lanes: &Dim, masked: bool, force: &[bool]) -> GradResult<Batched> {
    let mut g = Graph::new();
    let mut args = Vec::new();
    for (p, b) in region.params().iter().zip(batched) {
        let ty = region.ty(*p);
        let ty = if *b { Ty::new(ty.dtype, ty.shape.stacked(lanes.clone())) } else { ty.clone() };
        args.push(Val { id: g.param(ty, region.node(*p).origin), batched: *b });
    }
    let mask = if masked {
        let ty = Ty::new(gradus_ir::DType::Bool, Shape::new([lanes.clone()]));
        Some(g.param(ty, Default::default()))
    } else {
        None
    };
    let mut lane = Lanes { b: Build::new(&mut g, Default::default()), lanes: lanes.clone(), mask };
    let outs = lane.inline(region, &args)?;
    let mut ids = Vec::new();
    let mut flags = Vec::new();
    for (k, v) in outs.into_iter().enumerate() {
        let v = if force.get(k).copied().unwrap_or(false) { lane.spread(v)? } else { v };
        ids.push(v.id);
        flags.push(v.batched);
    }
    g.outputs = ids;
    Ok(Batched { graph: g, outputs: flags })
}

/// Which outputs of a region differ from lane to lane, its parameters doing so as given.
fn differing(region: &Graph, batched: &[bool], lanes: &Dim) -> GradResult<Vec<bool>> {
    Ok(region_of(region, batched, lanes, false, &[])?.outputs)
}

/// The graph over lanes in the making.
struct Lanes<'g> {
    b: Build<'g>,
    lanes: Dim,
    /// Which lanes count (a bool for each), where not all do.
    mask: Option<NodeId>,
}

impl Lanes<'_> {
    fn inline(&mut self, region: &Graph, args: &[Val]) -> GradResult<Vec<Val>> {
        let live = region.live();
        let mut map: Vec<Vec<Val>> = vec![Vec::new(); region.len()];
        for (p, a) in region.params().iter().zip(args) {
            map[p.index()] = vec![*a];
        }
        for (id, node) in region.nodes() {
            if !live[id.index()] || !map[id.index()].is_empty() {
                continue;
            }
            self.b.origin = node.origin;
            if let Op::Get(k) = &node.op {
                let from = node.inputs.first().map(|i| map[i.index()].as_slice()).unwrap_or_default();
                let v = from.get(*k as usize).copied().ok_or_else(|| internal("batch: get of a node that has no such output"))?;
                map[id.index()] = vec![v];
                continue;
            }
            let mut xs = Vec::with_capacity(node.inputs.len());
            for i in &node.inputs {
                xs.push(map[i.index()].first().copied().ok_or_else(|| internal("batch: an input was not built"))?);
            }
            map[id.index()] = self.node(&node.op, &node.tys, &xs)?;
        }
        region
            .outputs
            .iter()
            .map(|o| map[o.index()].first().copied().ok_or_else(|| internal("batch: an output was not built")))
            .collect()
    }

    /// The outputs of one op over lanes. `tys` are its types for one lane.
    fn node(&mut self, op: &Op, tys: &[Ty], xs: &[Val]) -> GradResult<Vec<Val>> {
        let any = xs.iter().any(|x| x.batched);
        match op {
            Op::Loop(l) => return self.looping(l, xs),
            Op::Cond { then, other } => return self.branch(then, other, xs),
            Op::Implicit(i) if any => return self.implicit(i, xs),
            _ => {}
        }
        if !any {
            let ids = self.guarded(op, xs)?;
            let id = self.b.op(op.clone(), &ids)?;
            return self.outputs(id, tys.len(), false);
        }
        let first = |k: usize| xs.get(k).copied().ok_or_else(|| internal(format!("batch: {} lacks an operand", op.name())));
        let one = match op {
            Op::Tally(_) => {
                let value = self.spread(first(0)?)?;
                let ids: Vec<NodeId> = std::iter::once(value.id).chain(xs.iter().skip(1).map(|x| x.id)).collect();
                self.b.op(op.clone(), &ids)?
            }
            Op::Unary(_) | Op::NoGrad(_) | Op::Stationary | Op::Recall(_) | Op::Store(_) | Op::Clock => {
                let x = first(0)?;
                let id = self.b.op(op.clone(), &[x.id])?;
                if matches!(op, Op::Clock) {
                    return Ok(vec![Val { id, batched: false }]);
                }
                id
            }
            Op::Binary(_) | Op::Select => {
                let rank = tys.first().map_or(0, |t| t.shape.rank());
                let ids = xs.iter().map(|x| self.aligned(*x, rank)).collect::<GradResult<Vec<_>>>()?;
                self.b.op(op.clone(), &ids)?
            }
            Op::Check(_) => self.checked(op, first(0)?, first(1)?)?,
            Op::Reduce(r, axes) => self.reduced(*r, axes, first(0)?)?,
            Op::ArgReduce { max, axis } => self.shifted(Op::ArgReduce { max: *max, axis: axis + 1 }, xs)?,
            Op::Broadcast(shape) => {
                let x = self.aligned(first(0)?, shape.rank())?;
                self.b.broadcast(x, &shape.stacked(self.lanes.clone()))?
            }
            Op::Reshape(shape) => self.b.reshape(first(0)?.id, &shape.stacked(self.lanes.clone()))?,
            Op::Transpose(perm) => {
                let perm: Vec<usize> = std::iter::once(0).chain(perm.iter().map(|p| p + 1)).collect();
                self.b.transpose(first(0)?.id, &perm)?
            }
            Op::Slice { axis, start, len } => {
                self.shifted(Op::Slice { axis: axis + 1, start: start.clone(), len: len.clone() }, xs)?
            }
            Op::Pad { axis, before, after } => {
                self.shifted(Op::Pad { axis: axis + 1, before: before.clone(), after: after.clone() }, xs)?
            }
            Op::Concat { axis } => self.shifted(Op::Concat { axis: axis + 1 }, xs)?,
            Op::Reverse { axis } => self.shifted(Op::Reverse { axis: axis + 1 }, xs)?,
            Op::Cumulative { op, axis, reverse } => {
                self.shifted(Op::Cumulative { op: *op, axis: axis + 1, reverse: *reverse }, xs)?
            }
            Op::Sort { axis, descending } => self.shifted(Op::Sort { axis: axis + 1, descending: *descending }, xs)?,
            Op::ArgSort { axis, descending } => self.shifted(Op::ArgSort { axis: axis + 1, descending: *descending }, xs)?,
            Op::Take { axis } => self.take(first(0)?, first(1)?, *axis)?,
            Op::TakeAlong { axis } => {
                let (x, i) = (self.spread(first(0)?)?, first(1)?);
                let i = self.safe_index(i)?;
                let i = self.spread(i)?;
                self.b.op(Op::TakeAlong { axis: axis + 1 }, &[x.id, i.id])?
            }
            Op::ScatterAdd { axis } => self.scatter_add(first(0)?, first(1)?, first(2)?, *axis)?,
            Op::ScatterSet { axis } if !first(1)?.batched => {
                let i = self.safe_index(first(1)?)?;
                let (x, u) = (self.spread(first(0)?)?, self.spread(first(2)?)?);
                self.b.op(Op::ScatterSet { axis: axis + 1 }, &[x.id, i.id, u.id])?
            }
            Op::ScatterAddAlong { axis } => {
                let i = self.safe_index(first(1)?)?;
                let ids = [first(0)?, i, first(2)?].iter().map(|v| Ok(self.spread(*v)?.id)).collect::<GradResult<Vec<_>>>()?;
                self.b.op(Op::ScatterAddAlong { axis: axis + 1 }, &ids)?
            }
            Op::TopK(_) => {
                let id = self.b.op(op.clone(), &[first(0)?.id])?;
                return self.outputs(id, tys.len(), true);
            }
            // A matrix that is the same for all lanes takes them as columns.
            Op::SparseMatMul { transposed, rows } if xs.iter().take(3).all(|x| !x.batched) => {
                let (x, ids) = (first(3)?, xs.iter().take(3).map(|x| x.id).collect::<Vec<_>>());
                self.sparse(*transposed, rows, &ids, x)?
            }
            Op::SparseMatMul { .. } => return self.each_lane(op, tys, xs),
            Op::Fft { .. } => {
                let id = self.shifted(op.clone(), xs)?;
                return self.outputs(id, tys.len(), true);
            }
            Op::Isotonic => self.shifted(Op::Isotonic, xs)?,
            Op::Knapsack => {
                let id = self.knapsack(xs)?;
                return self.outputs(id, tys.len(), true);
            }
            Op::MatMul => self.matmul(first(0)?, first(1)?)?,
            Op::Diagonal => self.diagonal(first(0)?.id)?,
            Op::DiagMatrix => self.diag_matrix(first(0)?.id)?,
            Op::TriangularSolve { .. } | Op::Solve { .. } if !first(0)?.batched => {
                self.solved(op, first(0)?.id, first(1)?.id)?
            }
            Op::ScatterSet { .. } => {
                let i = self.safe_index(first(1)?)?;
                return self.each_lane(op, tys, &[first(0)?, i, first(2)?]);
            }
            // Factorizations and random numbers know no batches.
            Op::Cholesky
            | Op::TriangularSolve { .. }
            | Op::Solve { .. }
            | Op::Det
            | Op::SlogDet
            | Op::Eigh
            | Op::Svd
            | Op::Qr
            | Op::Key
            | Op::KeyFold
            | Op::Uniform(_)
            | Op::Normal(_)
            | Op::Permutation(_) => return self.each_lane(op, tys, xs),
            Op::Param(_) | Op::Const(..) | Op::Literal(_) | Op::DimValue(_) | Op::Iota(_) | Op::Get(_) | Op::Loop(_)
            | Op::Cond { .. } | Op::Implicit(_) => return Err(internal(format!("batch: {} with operands over lanes", op.name()))),
        };
        Ok(vec![Val { id: one, batched: true }])
    }

    /// The outputs of a node.
    fn outputs(&mut self, id: NodeId, count: usize, batched: bool) -> GradResult<Vec<Val>> {
        if self.b.graph.node(id).tys.len() == 1 {
            return Ok(vec![Val { id, batched }]);
        }
        (0..count).map(|k| Ok(Val { id: self.b.get(id, k)?, batched })).collect()
    }

    fn shape(&self, v: Val) -> Shape {
        let s = self.b.shape(v.id);
        if v.batched { s.without(0) } else { s }
    }

    /// With the axis of lanes.
    fn spread(&mut self, v: Val) -> GradResult<Val> {
        if v.batched {
            return Ok(v);
        }
        let shape = self.b.shape(v.id).stacked(self.lanes.clone());
        Ok(Val { id: self.b.broadcast(v.id, &shape)?, batched: true })
    }

    /// Ready to broadcast against values of that rank (in one lane): axes of length one go between the lanes and the rest.
    fn aligned(&mut self, v: Val, rank: usize) -> GradResult<NodeId> {
        let own = self.shape(v);
        if !v.batched || own.rank() >= rank {
            return Ok(v.id);
        }
        let ones = std::iter::repeat_n(Dim::Known(1), rank - own.rank());
        let shape = Shape::new(std::iter::once(self.lanes.clone()).chain(ones).chain(own.dims().iter().cloned()));
        Ok(self.b.reshape(v.id, &shape)?)
    }

    /// An op whose axes have been shifted by one, on operands that all have the axis of lanes.
    fn shifted(&mut self, op: Op, xs: &[Val]) -> GradResult<NodeId> {
        let ids = xs.iter().map(|x| Ok(self.spread(*x)?.id)).collect::<GradResult<Vec<_>>>()?;
        Ok(self.b.op(op, &ids)?)
    }

    fn sparse(&mut self, transposed: bool, rows: &Dim, matrix: &[NodeId], x: Val) -> GradResult<NodeId> {
        let shape = self.b.shape(x.id);
        let width = Dim::product(shape.dims().iter().skip(2));
        let length = shape.dims().get(1).cloned().unwrap_or(Dim::Known(0));
        let perm: Vec<usize> = std::iter::once(1).chain(std::iter::once(0)).chain(2..shape.rank()).collect();
        let columns = self.b.transpose(x.id, &perm)?;
        let columns = self.b.reshape(columns, &Shape::new([length, self.lanes.mul(&width)]))?;
        let ids: Vec<NodeId> = matrix.iter().copied().chain(std::iter::once(columns)).collect();
        let out = self.b.op(Op::SparseMatMul { transposed, rows: rows.clone() }, &ids)?;
        let split = Shape::new([rows.clone(), self.lanes.clone()].into_iter().chain(shape.dims().iter().skip(2).cloned()));
        let out = self.b.reshape(out, &split)?;
        Ok(self.b.transpose(out, &perm)?)
    }

    /// Scalars that are the same for all lanes stay scalars.
    fn knapsack(&mut self, xs: &[Val]) -> GradResult<NodeId> {
        let full = xs.first().map(|v| self.shape(*v)).unwrap_or_else(Shape::scalar);
        let rows = full.without(full.rank().saturating_sub(1));
        let mut ids = Vec::with_capacity(xs.len());
        for (k, x) in xs.iter().enumerate() {
            let want = if k + 1 == xs.len() { &rows } else { &full };
            if k > 0 && !x.batched && self.shape(*x).is_scalar() {
                ids.push(x.id);
                continue;
            }
            let x = self.aligned(*x, want.rank())?;
            ids.push(self.b.broadcast(x, &want.stacked(self.lanes.clone()))?);
        }
        Ok(self.b.op(Op::Knapsack, &ids)?)
    }

    fn reduced(&mut self, r: ReduceOp, axes: &[usize], x: Val) -> GradResult<NodeId> {
        if axes.is_empty() {
            // A scalar is reduced to itself (but for its element type).
            let column = self.b.expand(x.id, 1)?;
            return Ok(self.b.reduce(r, column, &[1])?);
        }
        let axes: Vec<usize> = axes.iter().map(|a| a + 1).collect();
        Ok(self.b.reduce(r, x.id, &axes)?)
    }

    /// One lane after the other.
    fn each_lane(&mut self, op: &Op, tys: &[Ty], xs: &[Val]) -> GradResult<Vec<Val>> {
        let mut body = Graph::new();
        let origin = self.b.origin;
        body.param(Ty::scalar(gradus_ir::DType::Int), origin);
        let scanned: Vec<Val> = xs.iter().copied().filter(|x| x.batched).collect();
        let fixed: Vec<Val> = xs.iter().copied().filter(|x| !x.batched).collect();
        let mut param = |v: &Val, s: &Self| body.param(Ty::new(s.b.graph.dtype(v.id), s.shape(*v)), origin);
        let slices: Vec<NodeId> = scanned.iter().map(|v| param(v, self)).collect();
        let captures: Vec<NodeId> = fixed.iter().map(|v| param(v, self)).collect();
        let (mut a, mut b) = (slices.into_iter(), captures.into_iter());
        let args: Vec<NodeId> = xs.iter().filter_map(|x| if x.batched { a.next() } else { b.next() }).collect();
        let made = body.add(op.clone(), &args, origin)?;
        body.outputs = match body.node(made).tys.len() {
            1 => vec![made],
            n => (0..n).map(|k| body.add(Op::Get(k as u32), &[made], origin)).collect::<Result<_, _>>()?,
        };
        let l = Loop {
            trip: Trip::Count(self.lanes.clone()),
            carries: 0,
            scanned: scanned.len(),
            collected: tys.len(),
            cond: None,
            body: Arc::new(body),
            label: Arc::from("lanes"),
        };
        let ids: Vec<NodeId> = scanned.iter().chain(&fixed).map(|v| v.id).collect();
        let node = self.b.op(Op::Loop(Box::new(l)), &ids)?;
        (0..tys.len()).map(|k| Ok(Val { id: self.b.get(node, 1 + k)?, batched: true })).collect()
    }
}
