//! Ops that are kernels of their own: products, reductions over other than the last axes, indexing, factorizations.

use crate::PlanError;
use crate::plan::{Access, Call, Func, Fused, Kind, MatMul, Matrix, Out, Src, Tensor};
use crate::planner::Value;
use crate::region::Lower;
use crate::view::View;
use crate::whole;
use gradus_ir::{Array, DType, NodeId, Op, ReduceOp};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// `[outer, n, inner]` around an axis.
fn around(dims: &[usize], axis: usize) -> (usize, usize, usize) {
    (dims[..axis].iter().product(), dims[axis], dims[axis + 1..].iter().product())
}

fn tensor(v: &View) -> Tensor {
    Tensor { place: v.place, dims: SmallVec::from_slice(&v.dims) }
}

impl Lower<'_> {
    fn call(&mut self, id: NodeId, func: Func, inputs: &[NodeId], outputs: &[View], work: usize) -> Result<(), PlanError> {
        let mut ins: SmallVec<[Tensor; 3]> = SmallVec::new();
        for i in inputs {
            ins.push(tensor(&self.dense(*i)?));
        }
        let work = (work > 0).then(|| (self.p.buffer(work), work));
        let outputs = outputs.iter().map(tensor).collect();
        let (origin, name) = (self.origin(id), self.graph.node(id).op.name());
        self.emit(Kind::Call(Call { func, inputs: ins, outputs, work }), origin, name);
        Ok(())
    }

    /// A kernel with one result.
    fn call1(&mut self, id: NodeId, func: Func, work: usize) -> Result<(), PlanError> {
        let inputs = self.graph.node(id).inputs.clone();
        let out = self.output(id)?;
        self.call(id, func, &inputs, std::slice::from_ref(&out), work)?;
        self.values[id.index()] = Some(Value::View(out));
        Ok(())
    }

    pub(crate) fn kernel(&mut self, id: NodeId) -> Result<(), PlanError> {
        let graph = self.graph;
        let node = graph.node(id);
        let first = node.inputs.first().copied();
        let dims = match first {
            Some(i) if !matches!(node.op, Op::Uniform(_) | Op::Normal(_) | Op::Permutation(_) | Op::Clock) => self.dims(i)?,
            _ => SmallVec::new(),
        };
        match &node.op {
            Op::MatMul => self.matmul(id),
            Op::Concat { axis } => self.concat(id, *axis),
            Op::Pad { axis, before, after } => match (before.size(), after.size()) {
                (Some(b), Some(a)) => self.pad(id, *axis, b, a),
                _ => Err(PlanError::Unknown { origin: node.origin, ty: format!("pad {before}, {after}") }),
            },
            Op::ArgReduce { max, axis } => {
                let (outer, n, inner) = around(&dims, *axis);
                self.call1(id, Func::ArgReduce { max: *max, outer, n, inner }, 0)
            }
            Op::Take { axis } => {
                let (outer, n, inner) = around(&dims, *axis);
                let picks = self.dims(node.inputs[1])?.iter().product();
                self.call1(id, Func::Take { outer, n, inner, picks }, 0)
            }
            Op::TakeAlong { axis } => {
                let (outer, n, inner) = around(&dims, *axis);
                let picks = self.dims(node.inputs[1])?[*axis];
                self.call1(id, Func::TakeAlong { outer, n, inner, picks }, 0)
            }
            Op::ScatterAdd { axis } => {
                let (outer, n, inner) = around(&dims, *axis);
                let picks = self.dims(node.inputs[1])?.iter().product();
                self.call1(id, Func::ScatterAdd { outer, n, inner, picks }, 0)
            }
            Op::ScatterSet { axis } => {
                let (outer, n, inner) = around(&dims, *axis);
                let picks = self.dims(node.inputs[1])?.iter().product();
                self.call1(id, Func::ScatterSet { outer, n, inner, picks }, 0)
            }
            Op::ScatterAddAlong { axis } => {
                let (outer, n, inner) = around(&dims, *axis);
                let picks = self.dims(node.inputs[1])?[*axis];
                self.call1(id, Func::ScatterAddAlong { outer, n, inner, picks }, 0)
            }
            Op::Cumulative { op, axis, reverse } => {
                let (outer, n, inner) = around(&dims, *axis);
                self.call1(id, Func::Cumulative { op: *op, reverse: *reverse, outer, n, inner }, 0)
            }
            // Sorting needs a line of values; the order of equal elements needs their indices besides.
            Op::Sort { axis, descending } => {
                let (outer, n, inner) = around(&dims, *axis);
                self.call1(id, Func::Sort { descending: *descending, outer, n, inner }, n)
            }
            Op::ArgSort { axis, descending } => {
                let (outer, n, inner) = around(&dims, *axis);
                self.call1(id, Func::ArgSort { descending: *descending, outer, n, inner }, 2 * n)
            }
            Op::TopK(k) => {
                let Some((&n, rows)) = dims.split_last() else { return Err(PlanError::Internal("top_k of a scalar".into())) };
                let Some(k) = k.size().filter(|k| *k <= n) else {
                    return Err(PlanError::Unknown { origin: node.origin, ty: format!("the {k} largest of {n}") });
                };
                self.tuple(id, Func::TopK { outer: rows.iter().product(), n, k }, n)
            }
            Op::Knapsack => match dims.split_last() {
                Some((&n, rows)) => self.tuple(id, Func::Knapsack { outer: rows.iter().product(), n }, 0),
                None => Err(PlanError::Internal("knapsack of a scalar".into())),
            },
            // Means, weights and ends of the blocks of one line.
            Op::Isotonic => match dims.split_last() {
                Some((&n, rows)) => self.call1(id, Func::Isotonic { outer: rows.iter().product(), n }, 3 * n),
                None => Err(PlanError::Internal("isotonic of a scalar".into())),
            },
            Op::DiagMatrix => self.call1(id, Func::DiagMatrix { n: dims[0] }, 0),
            Op::Cholesky => self.call1(id, Func::Cholesky { n: dims[0] }, dims[0] * dims[0]),
            Op::TriangularSolve { lower, transposed } => {
                let cols = self.dims(node.inputs[1])?.get(1).copied().unwrap_or(1);
                let func = Func::TriangularSolve { lower: *lower, transposed: *transposed, n: dims[0], cols };
                self.call1(id, func, 0)
            }
            Op::Solve { transposed } => {
                let (n, cols) = (dims[0], self.dims(node.inputs[1])?.get(1).copied().unwrap_or(1));
                self.call1(id, Func::Solve { transposed: *transposed, n, cols }, n * n)
            }
            Op::Det => self.call1(id, Func::Det { n: dims[0] }, dims[0] * dims[0]),
            Op::SlogDet => self.tuple(id, Func::SlogDet { n: dims[0] }, dims[0] * dims[0]),
            Op::SparseMatMul { transposed, .. } => {
                let width = self.dims(node.inputs[3])?.get(1).copied().unwrap_or(1);
                self.call1(id, Func::SparseMatMul { transposed: *transposed, width }, 0)
            }
            Op::Fft { inverse } => self.fft(id, *inverse),
            Op::Eigh => self.tuple(id, Func::Eigh { n: dims[0] }, dims[0] * dims[0]),
            Op::Svd => {
                let (m, n) = (dims[0], dims[1]);
                self.tuple(id, Func::Svd { m, n }, (m + n) * m.min(n))
            }
            Op::Qr => {
                let (m, n) = (dims[0], dims[1]);
                self.tuple(id, Func::Qr { m, n }, m * n)
            }
            Op::Key => {
                self.keep_exact(node.inputs[0])?;
                self.call1(id, Func::Key, 0)
            }
            Op::KeyFold => {
                self.keep_exact(node.inputs[1])?;
                self.call1(id, Func::KeyFold, 0)
            }
            Op::Uniform(_) => {
                let count = self.dims(id)?.iter().product();
                self.call1(id, Func::Uniform { count }, 0)
            }
            Op::Normal(_) => {
                let count = self.dims(id)?.iter().product();
                self.call1(id, Func::Normal { count }, 0)
            }
            Op::Permutation(_) => {
                let n = self.dims(id)?.iter().product();
                self.call1(id, Func::Permutation { n }, 0)
            }
            Op::Clock => {
                // The operand only orders the reading.
                for i in &node.inputs {
                    self.value(*i)?;
                }
                let out = self.output(id)?;
                self.call(id, Func::Clock, &[], std::slice::from_ref(&out), 0)?;
                self.values[id.index()] = Some(Value::View(out));
                Ok(())
            }
            op => Err(PlanError::Internal(format!("no kernel for {}", op.name()))),
        }
    }

    /// A seed that the precision does not have becomes a literal, which the kernels of keys read as it is.
    fn keep_exact(&mut self, n: NodeId) -> Result<(), PlanError> {
        if let Value::Imm(c) = self.value(n)?
            && !whole::exact(c, self.p.options.precision)
        {
            let a = Arc::new(Array { dtype: DType::Int, ..Array::scalar(c) });
            self.values[n.index()] = Some(Value::View(View::dense(self.p.literal(&a), &[])));
        }
        Ok(())
    }

    /// A kernel with several results.
    fn tuple(&mut self, id: NodeId, func: Func, work: usize) -> Result<(), PlanError> {
        let node = self.graph.node(id);
        let inputs = node.inputs.clone();
        let mut outs = Vec::new();
        for ty in &node.tys {
            let dims = crate::region::dims_of(ty, node.origin)?;
            outs.push(View::dense(self.p.buffer(dims.iter().product()), &dims));
        }
        self.call(id, func, &inputs, &outs, work)?;
        self.values[id.index()] = Some(Value::Tuple(outs.into_iter().map(Value::View).collect()));
        Ok(())
    }

    /// The circle that a transform turns on is a constant of the plan.
    fn fft(&mut self, id: NodeId, inverse: bool) -> Result<(), PlanError> {
        let node = self.graph.node(id);
        let dims = self.dims(node.inputs[0])?;
        let Some((&n, rows)) = dims.split_last() else { return Err(PlanError::Internal("fft of a scalar".into())) };
        let table: Vec<f64> = (0..n)
            .flat_map(|k| {
                let (sin, cos) = (std::f64::consts::TAU * k as f64 / n as f64).sin_cos();
                [cos, sin]
            })
            .collect();
        let place = self.p.literal(&Arc::new(Array::vector(table)));
        let mut inputs: SmallVec<[Tensor; 3]> = SmallVec::new();
        for i in &node.inputs {
            inputs.push(tensor(&self.dense(*i)?));
        }
        inputs.push(Tensor { place, dims: SmallVec::from_slice(&[2 * n]) });
        let outs = [0, 1].map(|_| View::dense(self.p.buffer(dims.iter().product()), &dims));
        let func = Func::Fft { inverse, outer: rows.iter().product(), n };
        let work = (n > 0).then(|| (self.p.buffer(2 * n), 2 * n));
        let outputs = outs.iter().map(tensor).collect();
        self.emit(Kind::Call(Call { func, inputs, outputs, work }), node.origin, node.op.name());
        self.values[id.index()] = Some(Value::Tuple(outs.into_iter().map(Value::View).collect()));
        Ok(())
    }

    fn concat(&mut self, id: NodeId, axis: usize) -> Result<(), PlanError> {
        let node = self.graph.node(id);
        let mut parts = Vec::new();
        for i in &node.inputs {
            parts.push((self.value(*i)?, self.dims(*i)?[axis]));
        }
        let out = self.output(id)?;
        let mut at = 0;
        for (v, len) in parts {
            self.copy(&v, &out.slice(axis, at, len), node.origin, "concat")?;
            at += len;
        }
        self.values[id.index()] = Some(Value::View(out));
        Ok(())
    }

    fn pad(&mut self, id: NodeId, axis: usize, before: usize, after: usize) -> Result<(), PlanError> {
        let node = self.graph.node(id);
        let v = self.value(node.inputs[0])?;
        let n = self.dims(node.inputs[0])?[axis];
        let out = self.output(id)?;
        let zero = Value::Imm(0.0);
        self.copy(&zero, &out.slice(axis, 0, before), node.origin, "pad")?;
        self.copy(&v, &out.slice(axis, before, n), node.origin, "pad")?;
        self.copy(&zero, &out.slice(axis, before + n, after), node.origin, "pad")?;
        self.values[id.index()] = Some(Value::View(out));
        Ok(())
    }

    /// A reduction of a permuted view of dense memory: made in the order of memory, where the result's axes come out in
    /// another order if need be. False where the operand is something else.
    pub(crate) fn reduce_in_memory_order(
        &mut self,
        id: NodeId,
        u: NodeId,
        op: ReduceOp,
        axes: &[usize],
    ) -> Result<bool, PlanError> {
        let Value::View(v) = self.value(u)? else { return Ok(false) };
        if v.is_dense() {
            return Ok(false);
        }
        let mut perm: Vec<usize> = (0..v.dims.len()).collect();
        perm.sort_by_key(|&k| std::cmp::Reverse(v.strides[k]));
        let w = v.permute(&perm);
        if !w.is_dense() {
            return Ok(false);
        }
        let mapped: Vec<usize> = (0..perm.len()).filter(|k| axes.contains(&perm[*k])).collect();
        let kept: Vec<usize> = perm.iter().copied().filter(|k| !axes.contains(k)).collect();
        let in_order = kept.is_sorted();
        let out = self.reduce_axes(id, op, w, &mapped, in_order)?;
        // Axis k of the result is the k-th smallest of the kept axes.
        let mut back: Vec<usize> = (0..kept.len()).collect();
        back.sort_by_key(|&k| kept[k]);
        self.values[id.index()] = Some(Value::View(out.permute(&back)));
        Ok(true)
    }

    /// Reduces a dense view: one run of neighbouring axes after the other, from the last. The result goes where the node's
    /// value is wanted if `final_place`.
    pub(crate) fn reduce_axes(
        &mut self,
        id: NodeId,
        op: ReduceOp,
        mut v: View,
        axes: &[usize],
        final_place: bool,
    ) -> Result<View, PlanError> {
        let node = self.graph.node(id);
        let mut left: Vec<usize> = axes.to_vec();
        while let Some(&end) = left.last() {
            let mut start = end;
            left.pop();
            while left.last().is_some_and(|a| a + 1 == start) {
                start -= 1;
                left.pop();
            }
            let outer: usize = v.dims[..start].iter().product();
            let n: usize = v.dims[start..=end].iter().product();
            let inner: usize = v.dims[end + 1..].iter().product();
            let mut dims = v.dims.clone();
            dims.drain(start..=end);
            let out = if left.is_empty() && final_place {
                self.output(id)?
            } else {
                View::dense(self.p.buffer(outer * inner), &dims)
            };
            let kind = if inner == 1 {
                Kind::Fused(Fused {
                    dims: v.dims.to_vec(),
                    count: v.count(),
                    inputs: vec![Access { place: v.place, pattern: v.pattern() }],
                    program: Vec::new(),
                    registers: 0,
                    outs: vec![Out::Reduce { op, src: Src::In(0), place: out.place }],
                    segment: n,
                    rows: outer,
                    number: 0,
                })
            } else {
                Kind::Call(Call {
                    func: Func::ReduceAxis { op, outer, n, inner },
                    inputs: smallvec![tensor(&v)],
                    outputs: smallvec![tensor(&out)],
                    work: None,
                })
            };
            self.emit(kind, node.origin, node.op.name());
            v = out;
        }
        Ok(v)
    }

    fn matmul(&mut self, id: NodeId) -> Result<(), PlanError> {
        let node = self.graph.node(id);
        let (na, nb) = (node.inputs[0], node.inputs[1]);
        let (ra, rb) = (self.dims(na)?.len(), self.dims(nb)?.len());
        let batch_dims: SmallVec<[usize; 4]> = {
            let (a, b) = (self.dims(na)?, self.dims(nb)?);
            let longer = if ra >= rb { a } else { b };
            longer[..longer.len().saturating_sub(2)].iter().copied().collect()
        };
        let mut batch: usize = batch_dims.iter().product();
        let mut a = self.matrix(na, true)?;
        let b = self.matrix(nb, false)?;
        // One right-hand matrix for dense left ones: their rows are one tall matrix.
        if b.batch_stride == 0
            && batch > 1
            && ra > 2
            && a.col_stride == 1
            && a.row_stride == a.cols as isize
            && a.batch_stride == (a.rows * a.cols) as isize
        {
            a.rows *= batch;
            a.batch_stride = 0;
            batch = 1;
        }
        let out = self.output(id)?;
        self.emit(Kind::MatMul(MatMul { batch, a, b, out: out.place }), node.origin, node.op.name());
        self.values[id.index()] = Some(Value::View(out));
        Ok(())
    }

    /// The operand with strides, one of them 1; copied where its memory does not allow that.
    fn matrix(&mut self, n: NodeId, left: bool) -> Result<Matrix, PlanError> {
        let v = self.view(n)?;
        if let Some(m) = as_matrix(&v, left) {
            return Ok(m);
        }
        let v = self.dense(n)?;
        as_matrix(&v, left).ok_or_else(|| PlanError::Internal(format!("%{}: not a matrix", n.0)))
    }
}

fn as_matrix(v: &View, left: bool) -> Option<Matrix> {
    let r = v.dims.len();
    let (rows, cols, row_stride, col_stride) = match r {
        0 => return None,
        1 if left => (1, v.dims[0], v.dims[0] as isize, v.strides[0]),
        1 => (v.dims[0], 1, v.strides[0], 1),
        _ => (v.dims[r - 2], v.dims[r - 1], v.strides[r - 2], v.strides[r - 1]),
    };
    // Vectors are dense: the stride of an axis of length one is free to choose.
    let (row_stride, col_stride) = match (rows, cols) {
        (1, 1) => (1, 1),
        (1, _) => (cols as isize, col_stride),
        (_, 1) => (row_stride, 1),
        _ => (row_stride, col_stride),
    };
    let fits = match (rows, cols) {
        (1, 1) => true,
        (1, _) => col_stride == 1,
        (_, 1) => row_stride == 1,
        _ => (col_stride == 1 && row_stride >= cols as isize) || (row_stride == 1 && col_stride >= rows as isize),
    };
    if !fits && rows * cols > 0 {
        return None;
    }
    // The leading axes must nest into one stride.
    let mut batch_stride: Option<isize> = None;
    let mut span = 1isize;
    for k in (0..r.saturating_sub(2)).rev() {
        if v.dims[k] == 1 {
            continue;
        }
        match batch_stride {
            None => batch_stride = Some(v.strides[k]),
            Some(s) if v.strides[k] == s * span => {}
            Some(_) => return None,
        }
        span *= v.dims[k] as isize;
    }
    Some(Matrix { place: v.place, rows, cols, row_stride, col_stride, batch_stride: batch_stride.unwrap_or(0) })
}
