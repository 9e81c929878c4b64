//! Loops and branches: nested blocks, carries, rows of scanned and collected arrays.

use crate::PlanError;
use crate::cost;
use crate::alloc::may_overwrite;
use crate::plan::{Block, CondPlan, Kind, LoopPlan, Place, Scalar, Swap};
use crate::planner::{Planner, VIRTUAL, Value};
use crate::region::{Lower, dims_of, representatives};
use crate::view::View;
use crate::visit;
use gradus_ir::{Graph, Loop, NodeId, Op, Trip};
use std::sync::Arc;

/// A carry that changes: the buffer that a step reads, the one that it writes, their length.
struct Carry {
    a: u32,
    b: u32,
    len: usize,
}

/// Elements of temporaries that each thread may have for itself.
const MOST_PRIVATE: usize = 1 << 22;
const MOST_CHUNKS: usize = 64;

/// Steps between two looks at the clock, from the work of one.
fn check_every(body: &Block) -> u32 {
    (50_000 / cost::block(body).max(1)).clamp(1, 1024) as u32
}

/// Does a kernel that takes only dense operands use the parameter, directly or through views and nested regions?
fn wants_dense(graph: &Graph, param: NodeId) -> bool {
    let live = graph.live();
    let mut same = vec![false; graph.len()];
    same[param.index()] = true;
    for (id, node) in graph.nodes() {
        if !live[id.index()] || !node.inputs.iter().any(|i| same[i.index()]) {
            continue;
        }
        match &node.op {
            Op::Unary(_) | Op::Binary(_) | Op::Select | Op::MatMul | Op::Concat { .. } | Op::Pad { .. } => {}
            Op::NoGrad(_) | Op::Transpose(_) | Op::Broadcast(_) | Op::Slice { .. } | Op::Reverse { .. } | Op::Diagonal => {
                same[id.index()] = true;
            }
            Op::Reduce(_, axes) => {
                let rank = graph.shape(node.inputs[0]).rank();
                if axes.iter().rev().enumerate().any(|(k, a)| a + k + 1 != rank) {
                    return true;
                }
            }
            Op::Loop(l) => {
                for (k, i) in node.inputs.iter().enumerate() {
                    if same[i.index()]
                        && let Some(p) = l.body.params().get(k + 1)
                        && wants_dense(&l.body, *p)
                    {
                        return true;
                    }
                }
            }
            Op::Cond { then, other } => {
                for (k, i) in node.inputs.iter().enumerate().skip(1) {
                    let inner = |g: &Graph| g.params().get(k - 1).is_some_and(|p| wants_dense(g, *p));
                    if same[i.index()] && (inner(then) || inner(other)) {
                        return true;
                    }
                }
            }
            _ => return true,
        }
    }
    false
}

fn is_used(graph: &Graph, param: NodeId) -> bool {
    graph.live()[param.index()]
}

impl Planner {
    pub fn find(&self, mut id: u32) -> u32 {
        while let Some(m) = self.bufs[id as usize].merged {
            id = m;
        }
        id
    }

    fn is_paired(&self, p: Place) -> bool {
        p.base & VIRTUAL != 0 && self.bufs[self.find(p.base & !VIRTUAL) as usize].pair.is_some()
    }

    fn pin(&mut self, p: Place) {
        if p.base & VIRTUAL != 0 {
            let id = self.find(p.base & !VIRTUAL);
            self.bufs[id as usize].pinned = true;
        }
    }
}

fn plain(id: u32) -> Place {
    Place { base: VIRTUAL | id, counter: 0, offset: 0, stride: 0 }
}

impl Lower<'_> {
    /// A captured value; made dense here, once, where the region would do it again and again.
    fn capture(&mut self, n: NodeId, wants: bool) -> Result<Value, PlanError> {
        let v = self.value(n)?;
        match &v {
            Value::View(w) if wants && !w.is_dense() => Ok(Value::View(self.dense(n)?)),
            Value::Imm(_) if wants => {
                let w = self.dense(n)?;
                Ok(if w.count() == 1 { v } else { Value::View(w) })
            }
            _ => Ok(v),
        }
    }

    /// The row of this step of a scanned array.
    fn scanned_row(&mut self, n: NodeId, step: u32) -> Result<Value, PlanError> {
        let mut v = match self.value(n)? {
            Value::View(v) => v,
            other => return Ok(other),
        };
        if v.place.counter != 0 || self.p.is_paired(v.place) {
            // Itself the row of another loop's array or a carry with two places: a place has one moving part, so this one is copied.
            let out = View::dense(self.p.buffer(v.count()), &v.dims);
            let origin = self.origin(n);
            self.copy(&Value::View(v), &out, origin, "copy")?;
            v = out;
        }
        self.p.pin(v.place);
        let place = Place { counter: step, stride: v.strides[0], ..v.place };
        Ok(Value::View(View {
            place,
            dims: v.dims.iter().skip(1).copied().collect(),
            strides: v.strides.iter().skip(1).copied().collect(),
        }))
    }

    pub(crate) fn lower_loop(&mut self, id: NodeId, l: &Loop) -> Result<(), PlanError> {
        let graph = self.graph;
        let node = graph.node(id);
        let origin = node.origin;
        let Some(bound) = l.trip.bound().size() else {
            return Err(PlanError::Unknown { origin, ty: l.trip.bound().to_string() });
        };
        let body: &Arc<Graph> = &l.body;
        let reps = representatives(body);
        let (step, parity) = (self.p.counter(), self.p.counter());

        let index_used = is_used(body, body.params()[0])
            || l.cond.as_ref().is_some_and(|c| c.params().first().is_some_and(|p| is_used(c, *p)));
        let index = index_used.then(|| self.p.buffer(1));
        let index_value = match index {
            Some(p) => Value::View(View::dense(p, &[])),
            None => Value::Imm(0.0),
        };

        // Carries.
        let mut params = vec![index_value.clone()];
        let mut cond_params = vec![index_value];
        let mut changing: Vec<Carry> = Vec::new();
        let mut targets: Vec<Option<View>> = Vec::new();
        let mut starts = Vec::new();
        for k in 0..l.carries {
            let param = body.params()[1 + k];
            let value = if reps[body.outputs[k].index()] == param {
                targets.push(None);
                self.capture(node.inputs[k], wants_dense(body, param))?
            } else {
                let dims = dims_of(body.ty(param), origin)?;
                let len = dims.iter().product();
                let init = self.value(node.inputs[k])?;
                let (a, b) = (self.p.buffer(len), self.p.buffer(len));
                let now = View::dense(a, &dims);
                starts.push((init, now.clone()));
                targets.push(Some(View::dense(b, &dims)));
                changing.push(Carry { a: a.base & !VIRTUAL, b: b.base & !VIRTUAL, len });
                Value::View(now)
            };
            params.push(value.clone());
            cond_params.push(value);
        }
        for k in l.carries..l.carries + l.scanned {
            let row = self.scanned_row(node.inputs[k], step)?;
            params.push(row);
        }
        for (k, n) in node.inputs.iter().enumerate().skip(l.carries + l.scanned) {
            let in_body = body.params().get(k + 1).is_some_and(|p| wants_dense(body, *p));
            let in_cond = l.cond.as_ref().is_some_and(|c| {
                c.params().get(k + 1 - l.scanned).is_some_and(|p| wants_dense(c, *p))
            });
            let v = self.capture(*n, in_body || in_cond)?;
            params.push(v.clone());
            cond_params.push(v);
        }
        let results: Vec<Value> = params[1..=l.carries].to_vec();
        self.copy_all(starts, origin, "carry")?;

        // Collected arrays.
        let mut collected = Vec::new();
        let mut stacked = Vec::new();
        for k in 0..l.collected {
            let dims = dims_of(&node.tys[1 + l.carries + k], origin)?;
            let len: usize = dims[1..].iter().product();
            let all = View::dense(self.p.buffer(dims.iter().product()), &dims);
            let row = Place { counter: step, stride: len as isize, ..all.place };
            targets.push(Some(View::dense(row, &dims[1..])));
            collected.push((all.place, len));
            stacked.push(Value::View(all));
        }

        let inside = self.p.bufs.len();
        let (mut code, _) = Lower::new(&mut *self.p, body, params)?.run(&targets)?;
        let cond = match &l.cond {
            Some(c) => {
                let (block, out) = Lower::new(&mut *self.p, c, cond_params)?.run(&[None])?;
                Some((block, scalar(out.into_iter().next())?))
            }
            None => None,
        };

        let mut swaps = Vec::new();
        let mut copies = Vec::new();
        for c in &changing {
            let pinned = self.p.bufs[c.a as usize].pinned || self.p.bufs[c.b as usize].pinned;
            if self.p.options.in_place && self.can_share(&mut code, c) {
                self.p.bufs[c.b as usize].merged = Some(c.a);
            } else if pinned || c.len <= 4 {
                // A few numbers are copied faster than addressed in two ways.
                copies.push((plain(c.b), plain(c.a), c.len));
            } else {
                self.p.bufs[c.a as usize].pair = Some((c.a, c.b, parity));
                self.p.bufs[c.b as usize].pair = Some((c.a, c.b, parity));
                swaps.push(Swap { base: Place::ARENA, a: c.a as usize, b: c.b as usize, len: c.len });
            }
        }

        let done = matches!(l.trip, Trip::While { .. }).then(|| self.p.buffer(1));
        let steps = match done {
            Some(p) => Value::View(View::dense(p, &[])),
            None => Value::Imm(bound as f64),
        };
        let check_every = check_every(&code);
        let chunk = match l.trip {
            Trip::Count(_) if changing.is_empty() => self.side_by_side(&code, bound, inside, index),
            _ => None,
        };
        let plan = LoopPlan {
            label: l.label.clone(),
            bound,
            step,
            parity,
            index,
            cond,
            body: code,
            swaps,
            copies,
            collected,
            done,
            check_every,
            chunk,
        };
        self.emit(Kind::Loop(Box::new(plan)), origin, node.op.name());
        let all = std::iter::once(steps).chain(results).chain(stacked).collect();
        self.values[id.index()] = Some(whole(all));
        Ok(())
    }

    /// Steps of a chunk, if the independent steps of a loop are worth threads. The buffers of the body, those from `inside`
    /// on, then belong to whoever runs a chunk.
    fn side_by_side(&mut self, body: &Block, bound: usize, inside: usize, index: Option<Place>) -> Option<usize> {
        let work = cost::block(body).saturating_mul(bound);
        let own: usize = self.p.bufs[inside..].iter().filter(|b| !b.fixed).map(|b| b.len).sum();
        if !self.p.options.sweep || bound < 2 || work < cost::PARALLEL || own > MOST_PRIVATE {
            return None;
        }
        for b in self.p.bufs[inside..].iter_mut().filter(|b| !b.fixed) {
            b.private = true;
        }
        if let Some(p) = index {
            self.p.bufs[(p.base & !VIRTUAL) as usize].private = true;
        }
        let chunks = (work / cost::CHUNK).clamp(1, MOST_CHUNKS);
        Some(bound.div_ceil(chunks))
    }

    /// May the step's result overwrite the value it read? Yes where nothing reads the old value after the first write.
    fn can_share(&self, body: &mut Block, c: &Carry) -> bool {
        let (mut last_read, mut first_write) = (None, None);
        for (k, i) in body.code.iter_mut().enumerate() {
            visit::places(i, &mut |p, write| {
                if p.base & VIRTUAL == 0 {
                    return;
                }
                let buf = self.p.find(p.base & !VIRTUAL);
                if buf == c.a {
                    last_read = Some(k);
                } else if buf == c.b && write && first_write.is_none() {
                    first_write = Some(k);
                }
            });
        }
        match (last_read, first_write) {
            (_, None) => c.len == 0,
            (None, Some(_)) => true,
            (Some(r), Some(w)) if r < w => true,
            (Some(r), Some(w)) if r == w => may_overwrite(&body.code[w], VIRTUAL | c.b, VIRTUAL | c.a, c.len),
            _ => false,
        }
    }

    pub(crate) fn lower_cond(
        &mut self,
        id: NodeId,
        then: &Arc<Graph>,
        other: &Arc<Graph>,
    ) -> Result<(), PlanError> {
        let graph = self.graph;
        let node = graph.node(id);
        let test = scalar(Some(self.value(node.inputs[0])?))?;
        let mut captures = Vec::new();
        for n in node.inputs.iter().skip(1) {
            captures.push(self.value(*n)?);
        }
        // A captured value that both branches hand on needs no copy.
        let passed = |g: &Graph, k: usize| {
            let r = representatives(g)[g.outputs[k].index()];
            g.params().iter().position(|p| *p == r)
        };
        let mut targets = Vec::new();
        let mut results = Vec::new();
        for (k, ty) in node.tys.iter().enumerate() {
            match (passed(then, k), passed(other, k)) {
                (Some(a), Some(b)) if a == b => {
                    targets.push(None);
                    results.push(captures[a].clone());
                }
                _ => {
                    let dims = dims_of(ty, node.origin)?;
                    let out = View::dense(self.p.buffer(dims.iter().product()), &dims);
                    targets.push(Some(out.clone()));
                    results.push(Value::View(out));
                }
            }
        }
        let (a, _) = Lower::new(&mut *self.p, then, captures.clone())?.run(&targets)?;
        let (b, _) = Lower::new(&mut *self.p, other, captures)?.run(&targets)?;
        let plan = CondPlan { test, then: a, other: b };
        self.emit(Kind::Cond(Box::new(plan)), node.origin, node.op.name());
        self.values[id.index()] = Some(whole(results));
        Ok(())
    }
}

/// What a node with these results stands for: one result is used as it is, without `get`.
fn whole(mut results: Vec<Value>) -> Value {
    match (results.pop(), results.is_empty()) {
        (Some(one), true) => one,
        (last, _) => {
            results.extend(last);
            Value::Tuple(results)
        }
    }
}

fn scalar(v: Option<Value>) -> Result<Scalar, PlanError> {
    match v {
        Some(Value::Imm(c)) => Ok(Scalar::Imm(c)),
        Some(Value::View(v)) => Ok(Scalar::At(v.place)),
        _ => Err(PlanError::Internal("a condition is not a scalar".into())),
    }
}
