//! Loops backward: the loop keeps its carries at the start of each step; a second loop walks back over them, last step
//! first, carrying cotangents and summing those of captured values.

use super::{checkpoints, flags, some_masked};
use crate::activity::{activity, body_params, carried_back, loop_activity, masks};
use crate::delta::{Delta, or_zeros, zeros};
use crate::error::{GradResult, internal};
use crate::vjp::pull_region;
use gradus_ir::build::Build;
use gradus_ir::{DType, Dim, Graph, Loop, NodeId, Op, Shape, Trip, Ty};
use std::sync::Arc;

/// Elements that the history of a loop may take; a longer one is kept in part, and computed again on the way back.
const MOST: i64 = 1 << 22;

/// Cotangents of a loop's inputs, and the loop itself keeping the history that the way back reads.
pub(crate) fn pull_loop(
    b: &mut Build,
    l: &Loop,
    xs: &[NodeId],
    want: &[bool],
    cts: &[Option<Delta>],
    tys: &[Ty],
) -> GradResult<(Vec<Option<Delta>>, Kept)> {
    let (c, s) = (l.carries, l.carries + l.scanned);
    let ct = |k: usize| cts.get(k).copied().flatten();
    let (end, collected): (Vec<_>, Vec<_>) =
        ((1..=c).map(ct).collect::<Vec<_>>(), (c + 1..=c + l.collected).map(ct).collect::<Vec<_>>());
    let masked = some_masked(cts) || masks(&l.body);

    // Carries that depend on something wanted and influence something that has a cotangent.
    let (depends, _) = loop_activity(l, want, tys);
    let active = body_params(&depends, &want[c..]);
    let back = carried_back(l, &flags(&end), &flags(&collected));
    let carried: Vec<bool> = (0..c).map(|k| back[k] && depends[k]).collect();

    let seeds: Vec<Option<bool>> =
        carried.iter().copied().chain(flags(&collected)).map(|f| f.then_some(masked)).collect();
    let outs_active = {
        let act = activity(&l.body, &active);
        l.body.outputs.iter().map(|o| act.operand(*o)).collect::<Vec<_>>()
    };
    // A cotangent that the body cannot use is not asked for as a parameter.
    let seeds: Vec<Option<bool>> = seeds.iter().zip(&outs_active).map(|(s, a)| s.filter(|_| *a)).collect();
    let pulled = pull_region(&l.body, &active, &seeds)?;
    let step_back = pulled.cotangents_only(l.body.outputs.len())?;
    let live = step_back.live();
    let read: Vec<bool> = step_back.params().iter().map(|p| live[p.index()]).collect();

    // The carries at the start of each step that the way back reads.
    let kept: Vec<usize> = (0..c).filter(|k| read[1 + k]).collect();
    let found: Vec<bool> = pulled.cotangents.iter().map(Option::is_some).collect();

    // Carried on the way back: cotangents of carries, and sums for captured values.
    let mut init = Vec::new();
    let mut plan = Plan::default();
    for k in (0..c).filter(|k| carried[*k]) {
        let shape = b.shape(xs[k]);
        init.push(or_zeros(b, end[k], &shape)?);
        plan.carried.push(k);
    }
    for k in (s..xs.len()).filter(|k| found[1 + k]) {
        let shape = b.shape(xs[k]);
        init.push(zeros(b, &shape)?);
        plan.summed.push(k);
    }
    let walk = Walk { l, step_back, read, found, seeds, kept, plan };
    let mut result: Vec<Option<Delta>> = vec![None; xs.len()];
    let (states, forward) = match walk.segment() {
        Some(n) => checkpoints::walk(b, &walk, xs, &init, n)?,
        None => {
            let forward = walk.keeping(l)?;
            let ahead = b.op(forward.clone(), xs)?;
            let back = walk.back(b, &l.trip, ahead, xs, &init, &collected, None)?;
            for (k, rows) in back.emitted {
                result[k] = Some(Delta::new(rows, masked || l.cond.is_some()));
            }
            (back.states, Kept { op: forward, counts: None })
        }
    };
    let inputs = walk.plan.carried.iter().chain(&walk.plan.summed);
    for (id, k) in states.into_iter().zip(inputs) {
        result[*k] = Some(Delta::new(id, masked));
    }
    Ok((result, forward))
}

/// A loop that also keeps what the way back reads, in place of the loop itself.
pub(crate) struct Kept {
    pub op: Op,
    /// Where the steps of each part are collected, of a loop whose own steps are parts of the old one's.
    pub counts: Option<usize>,
}

/// One step of the way back, and what it needs.
pub(super) struct Walk<'a> {
    pub l: &'a Loop,
    step_back: Graph,
    /// Which parameters of the step's reverse are read, and which of the body's have a cotangent.
    read: Vec<bool>,
    found: Vec<bool>,
    seeds: Vec<Option<bool>>,
    /// Carries of which the way back reads the history.
    pub kept: Vec<usize>,
    plan: Plan,
}

pub(super) struct Back {
    pub states: Vec<NodeId>,
    /// Cotangents of scanned inputs, in the order of the steps.
    emitted: Vec<(usize, NodeId)>,
}

impl Walk<'_> {
    /// The bound on the steps, where their history is so large that it is kept in part and computed again.
    fn segment(&self) -> Option<i64> {
        let l = self.l;
        let n = l.trip.bound().known().filter(|n| *n > 3 && l.scanned == 0 && l.collected == 0)?;
        let mut size = 0i64;
        for k in &self.kept {
            let count = l.body.shape(*l.body.params().get(1 + k)?).count().known()?;
            size = size.checked_add(count)?;
        }
        (n.saturating_mul(size) > MOST).then_some(n)
    }

    /// A loop like `l` that collects the history as well.
    pub fn keeping(&self, l: &Loop) -> GradResult<Op> {
        let mut body = (*l.body).clone();
        let params = l.body.params();
        body.outputs.extend(self.kept.iter().map(|k| params[1 + k]));
        Ok(Op::Loop(Box::new(Loop { collected: l.collected + self.kept.len(), body: Arc::new(body), ..l.clone() })))
    }

    /// Back over the steps of `ahead`, which collects the history last. `xs`: the inputs of the loop; `first`: the index of its
    /// first step, where it is not 0.
    #[allow(clippy::too_many_arguments)]
    pub fn back(
        &self,
        b: &mut Build,
        trip: &Trip,
        ahead: NodeId,
        xs: &[NodeId],
        init: &[NodeId],
        collected: &[Option<Delta>],
        first: Option<NodeId>,
    ) -> GradResult<Back> {
        let l = self.l;
        let (c, s) = (l.carries, l.carries + l.scanned);
        let order = Order::new(b, trip, ahead)?;
        let mut plan = Plan { carried: self.plan.carried.clone(), summed: self.plan.summed.clone(), ..Plan::default() };
        // Scanned: history, the original slices, cotangents of collected values; all last step first.
        let mut scanned = Vec::new();
        for (n, k) in self.kept.iter().enumerate() {
            let history = b.get(ahead, 1 + c + l.collected + n)?;
            scanned.push(order.backwards(b, history)?);
            plan.scanned.push(1 + k);
        }
        for k in (c..s).filter(|k| self.read[1 + k]) {
            scanned.push(order.backwards(b, xs[k])?);
            plan.scanned.push(1 + k);
        }
        let mut slot = l.body.params().len();
        for (k, seed) in self.seeds.iter().enumerate() {
            if seed.is_none() {
                continue;
            }
            if k < c {
                plan.seeds.push((k, slot));
            } else if self.read[slot]
                && let Some(d) = collected.get(k - c).copied().flatten()
            {
                scanned.push(order.backwards(b, d.id)?);
                plan.scanned.push(slot);
            }
            slot += 1;
        }
        // A count is known inside as well; how far an early stop came is captured.
        let mut captured = Vec::new();
        match trip {
            Trip::Count(n) => plan.last = Some(n.sub(&Dim::Known(1))),
            Trip::While { .. } => captured.push(order.last),
        }
        plan.first = first.is_some();
        captured.extend(first);
        for k in (s..xs.len()).filter(|k| self.read[1 + k]) {
            captured.push(xs[k]);
            plan.captured.push(1 + k);
        }
        let emitted: Vec<usize> = (c..s).filter(|k| self.found[1 + k]).collect();
        let body = plan.body(b, &self.step_back, &self.found, init, &scanned, &captured, &emitted)?;
        let cond = match trip {
            Trip::Count(_) => None,
            Trip::While { .. } => Some(Arc::new(more(b, init, &captured)?)),
        };
        let op = Loop {
            trip: trip.clone(),
            carries: init.len(),
            scanned: scanned.len(),
            collected: emitted.len(),
            cond,
            body: Arc::new(body),
            label: format!("{} backwards", l.label).into(),
        };
        let given = [init, &scanned, &captured].concat();
        let node = b.op(Op::Loop(Box::new(op)), &given)?;
        let states = (0..init.len()).map(|n| Ok(b.get(node, 1 + n)?)).collect::<GradResult<_>>()?;
        let mut rows = Vec::new();
        for (n, k) in emitted.iter().enumerate() {
            let r = b.get(node, 1 + init.len() + n)?;
            rows.push((*k, order.forwards(b, r)?));
        }
        Ok(Back { states, emitted: rows })
    }
}

/// How rows by step are turned round.
pub(super) struct Order {
    bound: Dim,
    /// The index of the last step done.
    pub last: NodeId,
    /// For a loop that may stop early: for each row, the step it changes places with (0 past the last).
    places: Option<(NodeId, NodeId)>,
}

impl Order {
    pub fn new(b: &mut Build, trip: &Trip, ahead: NodeId) -> GradResult<Order> {
        let bound = trip.bound().clone();
        let one = b.int(1)?;
        if let Trip::Count(n) = trip {
            let last = b.dim(&n.sub(&Dim::Known(1)))?;
            return Ok(Order { bound, last, places: None });
        }
        let steps = b.get(ahead, 0)?;
        let last = b.sub(steps, one)?;
        let rows = b.op(Op::Iota(bound.clone()), &[])?;
        let mirrored = b.sub(last, rows)?;
        let zero = b.int(0)?;
        let places = b.maximum(mirrored, zero)?;
        let done = b.lt(rows, steps)?;
        Ok(Order { bound, last, places: Some((places, done)) })
    }

    pub fn backwards(&self, b: &mut Build, rows: NodeId) -> GradResult<NodeId> {
        Ok(match self.places {
            None => b.op(Op::Reverse { axis: 0 }, &[rows])?,
            Some((places, _)) => b.take(rows, places, 0)?,
        })
    }

    /// Rows of steps that were not done are zero.
    fn forwards(&self, b: &mut Build, rows: NodeId) -> GradResult<NodeId> {
        let turned = self.backwards(b, rows)?;
        let Some((_, done)) = self.places else { return Ok(turned) };
        let rank = b.shape(rows).rank();
        let mut shape = Shape::new([self.bound.clone()]);
        shape.0.extend((1..rank).map(|_| Dim::Known(1)));
        let done = b.reshape(done, &shape)?;
        let zero = b.real(0.0)?;
        Ok(b.select(done, turned, zero)?)
    }
}

/// Which parameter of the step's reverse each input of the reverse loop feeds.
#[derive(Default)]
struct Plan {
    /// Inputs of the loop whose cotangent is carried, then summed.
    carried: Vec<usize>,
    summed: Vec<usize>,
    /// Body output `k` has its cotangent at this parameter.
    seeds: Vec<(usize, usize)>,
    scanned: Vec<usize>,
    captured: Vec<usize>,
    /// The index of the last step, where it is no captured value.
    last: Option<Dim>,
    /// Is the index of the first step captured, next?
    first: bool,
}

impl Plan {
    #[allow(clippy::too_many_arguments)]
    fn body(
        &self,
        outer: &Build,
        step: &Graph,
        found: &[bool],
        init: &[NodeId],
        scanned: &[NodeId],
        captured: &[NodeId],
        emitted: &[usize],
    ) -> GradResult<Graph> {
        let mut g = Graph::new();
        let origin = outer.origin;
        let ty = |id: &NodeId| outer.graph.ty(*id).clone();
        let j = g.param(Ty::scalar(DType::Int), origin);
        let state: Vec<NodeId> = init.iter().map(|i| g.param(ty(i), origin)).collect();
        let slices: Vec<NodeId> = scanned
            .iter()
            .map(|i| {
                let t = ty(i);
                g.param(Ty::new(t.dtype, t.shape.without(0)), origin)
            })
            .collect();
        let caps: Vec<NodeId> = captured.iter().map(|i| g.param(ty(i), origin)).collect();
        let mut b = Build::new(&mut g, origin);
        let (last, caps) = match (&self.last, caps.split_first()) {
            (Some(n), _) => (b.dim(n)?, caps.as_slice()),
            (None, Some((last, rest))) => (*last, rest),
            (None, None) => return Err(internal("the last step is not captured")),
        };
        let i = b.sub(last, j)?;
        let (i, caps) = match caps.split_first() {
            Some((first, rest)) if self.first => (b.add(*first, i)?, rest),
            _ => (i, caps),
        };

        let mut args: Vec<Option<NodeId>> = vec![None; step.params().len()];
        args[0] = Some(i);
        for (k, slot) in &self.seeds {
            let at = self.carried.iter().position(|x| x == k).ok_or_else(|| internal("a cotangent is not carried"))?;
            args[*slot] = Some(state[at]);
        }
        for (slot, id) in self.scanned.iter().zip(&slices) {
            args[*slot] = Some(*id);
        }
        for (slot, id) in self.captured.iter().zip(caps) {
            args[*slot] = Some(*id);
        }
        // Parameters that nothing reads still want an argument.
        let args: Vec<NodeId> = args.into_iter().map(|a| a.unwrap_or(i)).collect();
        let outs = b.graph.inline(step, &args)?;
        let mut next = outs.into_iter();
        let by_param: Vec<Option<NodeId>> = found.iter().map(|f| if *f { next.next() } else { None }).collect();

        let mut results = Vec::new();
        for (n, k) in self.carried.iter().enumerate() {
            results.push(match by_param[1 + k] {
                Some(id) => id,
                None => {
                    let shape = b.shape(state[n]);
                    zeros(&mut b, &shape)?
                }
            });
        }
        for (n, k) in self.summed.iter().enumerate() {
            let id = by_param[1 + k].ok_or_else(|| internal("a captured value lost its cotangent"))?;
            results.push(b.add(state[self.carried.len() + n], id)?);
        }
        for k in emitted {
            results.push(by_param[1 + k].ok_or_else(|| internal("a scanned value lost its cotangent"))?);
        }
        g.outputs = results;
        Ok(g)
    }
}

/// Still a step to go back: `j <= last`, the first captured value.
pub(super) fn more(outer: &Build, init: &[NodeId], captured: &[NodeId]) -> GradResult<Graph> {
    let mut g = Graph::new();
    let j = g.param(Ty::scalar(DType::Int), outer.origin);
    for i in init {
        g.param(outer.graph.ty(*i).clone(), outer.origin);
    }
    let caps: Vec<NodeId> = captured.iter().map(|i| g.param(outer.graph.ty(*i).clone(), outer.origin)).collect();
    let last = *caps.first().ok_or_else(|| internal("the last step is not captured"))?;
    let more = Build::new(&mut g, outer.origin).le(j, last)?;
    g.outputs = vec![more];
    Ok(g)
}
