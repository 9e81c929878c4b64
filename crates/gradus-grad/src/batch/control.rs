//! Branches and loops over lanes.

use super::{Lanes, Val, differing, region_of};
use crate::error::{GradResult, internal};
use gradus_ir::{BinaryOp, DType, Graph, Implicit, Loop, NodeId, Op, ReduceOp, Trip, Ty, UnaryOp};
use std::sync::Arc;

impl Lanes<'_> {
    fn masked(&self) -> bool {
        self.mask.is_some()
    }

    /// The lanes that count and for which `c` holds.
    fn and_mask(&mut self, c: NodeId) -> GradResult<NodeId> {
        Ok(match self.mask {
            Some(m) => self.b.and(m, c)?,
            None => c,
        })
    }

    pub(super) fn branch(&mut self, then: &Arc<Graph>, other: &Arc<Graph>, xs: &[Val]) -> GradResult<Vec<Val>> {
        let Some((c, captures)) = xs.split_first() else { return Err(internal("batch: a branch without a condition")) };
        if c.batched {
            let outer = self.mask;
            self.mask = Some(self.and_mask(c.id)?);
            let a = self.inline(then, captures)?;
            self.mask = outer;
            let not = self.b.op(Op::Unary(UnaryOp::Not), &[c.id])?;
            self.mask = Some(self.and_mask(not)?);
            let b = self.inline(other, captures)?;
            self.mask = outer;
            return a.into_iter().zip(b).map(|(x, y)| self.choose(c.id, x, y)).collect();
        }
        let flags: Vec<bool> = captures.iter().map(|v| v.batched).collect();
        let (fa, fb) = (differing(then, &flags, &self.lanes)?, differing(other, &flags, &self.lanes)?);
        let either: Vec<bool> = fa.iter().zip(&fb).map(|(a, b)| *a || *b).collect();
        let a = region_of(then, &flags, &self.lanes, self.masked(), &either)?;
        let b = region_of(other, &flags, &self.lanes, self.masked(), &either)?;
        let mut ids: Vec<NodeId> = xs.iter().map(|v| v.id).collect();
        ids.extend(self.mask);
        let node = self.b.op(Op::Cond { then: Arc::new(a.graph), other: Arc::new(b.graph) }, &ids)?;
        either.iter().enumerate().map(|(k, batched)| Ok(Val { id: self.b.get(node, k)?, batched: *batched })).collect()
    }

    /// Lane by lane one of two values.
    fn choose(&mut self, c: NodeId, x: Val, y: Val) -> GradResult<Val> {
        let rank = self.shape(x).rank();
        let c = self.aligned(Val { id: c, batched: true }, rank)?;
        Ok(Val { id: self.b.select(c, x.id, y.id)?, batched: true })
    }

    /// A value with a condition of its own in each lane.
    pub(super) fn checked(&mut self, op: &Op, x: Val, ok: Val) -> GradResult<NodeId> {
        if !ok.batched {
            return Ok(self.b.op(op.clone(), &[x.id, ok.id])?);
        }
        let nan = self.b.real(f64::NAN)?;
        Ok(self.choose(ok.id, x, Val { id: nan, batched: false })?.id)
    }

    /// The equations of the lanes are one equation, whose derivative solves for each lane by itself.
    pub(super) fn implicit(&mut self, i: &Implicit, xs: &[Val]) -> GradResult<Vec<Val>> {
        let (values, captures) = xs.split_at(i.values);
        let tail: Vec<bool> = captures.iter().map(|v| v.batched).collect();
        let all = vec![true; i.values];
        let (own, twice) = ([all.as_slice(), &tail].concat(), [all.as_slice(), &all, &tail].concat());
        let region = |s: &Self, g: &Graph, flags: &[bool]| -> GradResult<Arc<Graph>> {
            Ok(Arc::new(region_of(g, flags, &s.lanes, s.masked(), &all)?.graph))
        };
        let op = Implicit {
            values: i.values,
            residual: region(self, &i.residual, &own)?,
            forward: region(self, &i.forward, &twice)?,
            adjoint: region(self, &i.adjoint, &twice)?,
            label: i.label.clone(),
        };
        let mut ids = Vec::new();
        for v in values {
            ids.push(self.spread(*v)?.id);
        }
        ids.extend(captures.iter().map(|v| v.id));
        ids.extend(self.mask);
        let node = self.b.op(Op::Implicit(Box::new(op)), &ids)?;
        self.outputs(node, i.values, true)
    }

    pub(super) fn looping(&mut self, l: &Loop, xs: &[Val]) -> GradResult<Vec<Val>> {
        let (carries, rest) = xs.split_at(l.carries);
        let (scanned, captures) = rest.split_at(l.scanned);
        // A carry differs from lane to lane if it starts so or becomes so.
        let mut flags: Vec<bool> = carries.iter().map(|v| v.batched).collect();
        let tail: Vec<bool> = scanned.iter().chain(captures).map(|v| v.batched).collect();
        let body_flags = |flags: &[bool]| [&[false], flags, tail.as_slice()].concat();
        let mut outs = differing(&l.body, &body_flags(&flags), &self.lanes)?;
        while (0..l.carries).any(|k| outs[k] && !flags[k]) {
            (0..l.carries).for_each(|k| flags[k] |= outs[k]);
            outs = differing(&l.body, &body_flags(&flags), &self.lanes)?;
        }
        let cond_flags = |flags: &[bool]| -> Vec<bool> {
            std::iter::once(false).chain(flags.iter().copied()).chain(captures.iter().map(|v| v.batched)).collect()
        };
        if let Some(cond) = &l.cond
            && differing(cond, &cond_flags(&flags), &self.lanes)?.first().copied().unwrap_or(false)
        {
            return self.until_all_done(l, cond, xs);
        }
        let masked = self.masked();
        let force: Vec<bool> = (0..outs.len()).map(|k| if k < l.carries { flags[k] } else { outs[k] }).collect();
        let body = region_of(&l.body, &body_flags(&flags), &self.lanes, masked, &force)?;
        let cond = match &l.cond {
            Some(c) => Some(Arc::new(region_of(c, &cond_flags(&flags), &self.lanes, masked, &[])?.graph)),
            None => None,
        };
        let mut ids = Vec::new();
        for (v, f) in carries.iter().zip(&flags) {
            ids.push(if *f { self.spread(*v)?.id } else { v.id });
        }
        for v in scanned {
            ids.push(self.steps_first(*v)?);
        }
        ids.extend(captures.iter().map(|v| v.id));
        ids.extend(self.mask);
        let node = self.b.op(Op::Loop(Box::new(Loop { cond, body: Arc::new(body.graph), ..l.clone() })), &ids)?;
        let mut all = vec![Val { id: self.b.get(node, 0)?, batched: false }];
        for (k, f) in force.iter().enumerate() {
            let id = self.b.get(node, 1 + k)?;
            let id = if k >= l.carries && *f { self.lanes_first(id)? } else { id };
            all.push(Val { id, batched: *f });
        }
        Ok(all)
    }

    /// A scanned array, its steps before its lanes.
    fn steps_first(&mut self, v: Val) -> GradResult<NodeId> {
        if v.batched { self.lanes_first(v.id) } else { Ok(v.id) }
    }

    /// The first two axes swapped.
    fn lanes_first(&mut self, id: NodeId) -> GradResult<NodeId> {
        let rank = self.b.shape(id).rank();
        let perm: Vec<usize> = [1, 0].into_iter().chain(2..rank).collect();
        Ok(self.b.transpose(id, &perm)?)
    }

    /// A `while` whose condition differs from lane to lane. It carries, before the loop's own state, which lanes still run and how many steps
    /// each has made; a lane that does not run keeps its state.
    fn until_all_done(&mut self, l: &Loop, cond: &Graph, xs: &[Val]) -> GradResult<Vec<Val>> {
        let (carries, rest) = xs.split_at(l.carries);
        let (scanned, captures) = rest.split_at(l.scanned);
        let lanes = self.lanes.clone();
        let zero = self.b.int(0)?;
        let mut start = Vec::new();
        for v in carries {
            start.push(self.spread(*v)?);
        }
        // Does a lane run at all?
        let index = Val { id: zero, batched: false };
        let first = self.inline(cond, &[&[index], start.as_slice(), captures].concat())?;
        let runs = first.first().copied().ok_or_else(|| internal("batch: a condition without a result"))?;
        let runs = self.spread(runs)?;
        let runs = self.and_mask(runs.id)?;
        let none = self.spread(index)?;

        let mut g = Graph::new();
        let origin = self.b.origin;
        let step = g.param(Ty::scalar(DType::Int), origin);
        let running = g.param(self.b.graph.ty(runs).clone(), origin);
        let made = g.param(self.b.graph.ty(none.id).clone(), origin);
        let state: Vec<Val> =
            start.iter().map(|v| Val { id: g.param(self.b.graph.ty(v.id).clone(), origin), batched: true }).collect();
        let mut slices = Vec::new();
        let mut rows = Vec::new();
        for v in scanned {
            let id = self.steps_first(*v)?;
            let ty = self.b.graph.ty(id);
            slices.push(Val { id: g.param(Ty::new(ty.dtype, ty.shape.without(0)), origin), batched: v.batched });
            rows.push(id);
        }
        let mut fixed = Vec::new();
        for v in captures {
            fixed.push(Val { id: g.param(self.b.graph.ty(v.id).clone(), origin), batched: v.batched });
        }
        let mut inner = Lanes { b: gradus_ir::build::Build::new(&mut g, origin), lanes: lanes.clone(), mask: Some(running) };
        let here = Val { id: step, batched: false };
        let outs = inner.inline(&l.body, &[&[here], state.as_slice(), &slices, &fixed].concat())?;
        inner.b.origin = origin;
        let (new, collected) = outs.split_at(l.carries);
        let mut next = Vec::new();
        for (n, old) in new.iter().zip(&state) {
            next.push(inner.choose(running, *n, *old)?);
        }
        let mut kept = Vec::new();
        for (k, v) in collected.iter().enumerate() {
            let dtype = l.body.dtype(l.body.outputs[l.carries + k]);
            let nothing = inner.b.op(Op::Const(gradus_ir::F64::new(0.0), dtype), &[])?;
            let v = inner.spread(*v)?;
            kept.push(inner.choose(running, v, Val { id: nothing, batched: false })?.id);
        }
        let one = inner.b.int(1)?;
        let more = inner.b.add(made, one)?;
        let made_next = inner.b.select(running, more, made)?;
        let after = inner.b.add(step, one)?;
        let again = inner.inline(cond, &[&[Val { id: after, batched: false }], next.as_slice(), &fixed].concat())?;
        let again = again.first().copied().ok_or_else(|| internal("batch: a condition without a result"))?;
        let again = inner.spread(again)?;
        let running_next = inner.b.op(Op::Binary(BinaryOp::And), &[running, again.id])?;
        let outputs: Vec<NodeId> =
            [running_next, made_next].into_iter().chain(next.iter().map(|v| v.id)).chain(kept).collect();
        g.outputs = outputs;

        let mut test = Graph::new();
        test.param(Ty::scalar(DType::Int), origin);
        let r = test.param(self.b.graph.ty(runs).clone(), origin);
        for id in [none.id].into_iter().chain(start.iter().map(|v| v.id)).chain(captures.iter().map(|v| v.id)) {
            test.param(self.b.graph.ty(id).clone(), origin);
        }
        test.outputs = vec![test.add(Op::Reduce(ReduceOp::Max, vec![0]), &[r], origin)?];

        let Trip::While { limit } = &l.trip else { return Err(internal("batch: a condition without while")) };
        let looped = Loop {
            trip: Trip::While { limit: limit.clone() },
            carries: 2 + l.carries,
            scanned: l.scanned,
            collected: l.collected,
            cond: Some(Arc::new(test)),
            body: Arc::new(g),
            label: l.label.clone(),
        };
        let ids: Vec<NodeId> = [runs, none.id]
            .into_iter()
            .chain(start.iter().map(|v| v.id))
            .chain(rows)
            .chain(captures.iter().map(|v| v.id))
            .collect();
        let node = self.b.op(Op::Loop(Box::new(looped)), &ids)?;
        let mut all = vec![Val { id: self.b.get(node, 2)?, batched: true }];
        for k in 0..l.carries {
            all.push(Val { id: self.b.get(node, 3 + k)?, batched: true });
        }
        for k in 0..l.collected {
            let id = self.b.get(node, 3 + l.carries + k)?;
            all.push(Val { id: self.lanes_first(id)?, batched: true });
        }
        Ok(all)
    }
}
