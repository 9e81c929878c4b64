//! Long loops backward: the way forward keeps its carries every so many steps only. The way back takes one such part after the
//! other, last part first, computes its steps once more with their history, and goes back over them.
//!
//! Of n steps the carries of `n / k` parts and of `k = sqrt n` steps are kept, so that memory is `2 sqrt n` carries instead of `n`, for
//! one more computation of each step. The additions are those of the plain way back in the same order: the same bits.

use super::backward::{Kept, Order, Walk, more};
use crate::error::GradResult;
use gradus_ir::build::Build;
use gradus_ir::{DType, Dim, Graph, Loop, NodeId, Op, Trip, Ty};
use std::sync::Arc;

/// The carried states after the way back over a loop of at most `n` steps without scanned or collected values, and the loop in parts.
pub(super) fn walk(b: &mut Build, w: &Walk<'_>, xs: &[NodeId], init: &[NodeId], n: i64) -> GradResult<(Vec<NodeId>, Kept)> {
    let l = w.l;
    let c = l.carries;
    let k = (n as f64).sqrt().ceil() as i64;
    let parts = Dim::Known((n + k - 1) / k);
    let part = part(b, l, k, n)?;
    let Op::Loop(with_history) = w.keeping(&part)? else { return Ok((Vec::new(), Kept { op: Op::Loop(Box::new(part)), counts: None })) };

    // The way forward: each step is a part, and collects where it starts and how many steps it took.
    let mut body = Graph::new();
    let j = body.param(Ty::scalar(DType::Int), b.origin);
    let given: Vec<NodeId> = xs.iter().map(|x| body.param(b.graph.ty(*x).clone(), b.origin)).collect();
    let inner = &mut Build::new(&mut body, b.origin);
    let node = inner.op(Op::Loop(Box::new(part)), &[given.as_slice(), &[j]].concat())?;
    let mut outs = (1..=c).map(|k| Ok(inner.get(node, k)?)).collect::<GradResult<Vec<_>>>()?;
    outs.extend(&given[..c]);
    outs.push(inner.get(node, 0)?);
    body.outputs = outs;
    let (trip, cond) = match &l.cond {
        None => (Trip::Count(parts), None),
        Some(cond) => {
            let mut g = Graph::new();
            let j = g.param(Ty::scalar(DType::Int), b.origin);
            let mut args: Vec<NodeId> = xs.iter().map(|x| g.param(b.graph.ty(*x).clone(), b.origin)).collect();
            args.insert(0, first(&mut Build::new(&mut g, b.origin), j, k)?);
            g.outputs = g.inline(cond, &args)?;
            (Trip::While { limit: parts }, Some(Arc::new(g)))
        }
    };
    let op = Op::Loop(Box::new(Loop {
        trip: trip.clone(),
        carries: c,
        scanned: 0,
        collected: c + 1,
        cond,
        body: Arc::new(body),
        label: l.label.clone(),
    }));
    let ahead = b.op(op.clone(), xs)?;

    let order = Order::new(b, &trip, ahead)?;
    let mut starts = Vec::new();
    for k in 0..c {
        let rows = b.get(ahead, 1 + c + k)?;
        starts.push(order.backwards(b, rows)?);
    }
    let mut captured = vec![order.last];
    captured.extend(&xs[c..]);

    let mut body = Graph::new();
    let jj = body.param(Ty::scalar(DType::Int), b.origin);
    let mut states: Vec<NodeId> = init.iter().map(|i| body.param(b.graph.ty(*i).clone(), b.origin)).collect();
    let mut given: Vec<NodeId> = xs[..c].iter().map(|x| body.param(b.graph.ty(*x).clone(), b.origin)).collect();
    let held: Vec<NodeId> = captured.iter().map(|x| body.param(b.graph.ty(*x).clone(), b.origin)).collect();
    given.extend(&held[1..]);
    let inner = &mut Build::new(&mut body, b.origin);
    let j = inner.sub(held[0], jj)?;
    let trip_of_part = with_history.trip.clone();
    let node = inner.op(Op::Loop(with_history), &[given.as_slice(), &[j]].concat())?;
    let at = first(inner, j, k)?;
    states = w.back(inner, &trip_of_part, node, &given, &states, &[], Some(at))?.states;
    body.outputs = states;
    let cond = match &trip {
        Trip::Count(_) => None,
        Trip::While { .. } => Some(Arc::new(more(b, init, &captured)?)),
    };
    let back = Loop {
        trip,
        carries: init.len(),
        scanned: c,
        collected: 0,
        cond,
        body: Arc::new(body),
        label: format!("{} backwards in parts", l.label).into(),
    };
    let node = b.op(Op::Loop(Box::new(back)), &[init, &starts, &captured].concat())?;
    let states = (0..init.len()).map(|n| Ok(b.get(node, 1 + n)?)).collect::<GradResult<_>>()?;
    Ok((states, Kept { op, counts: Some(1 + c + c) }))
}

/// The index of the first step of part `j`.
fn first(b: &mut Build, j: NodeId, k: i64) -> GradResult<NodeId> {
    let k = b.int(k)?;
    Ok(b.mul(j, k)?)
}

/// At most `k` of the steps: `[carries.., captures.., part]`, from the part's first step.
fn part(b: &Build, l: &Loop, k: i64, n: i64) -> GradResult<Loop> {
    let params = l.body.params();
    let own = |g: &mut Graph| -> GradResult<(Vec<NodeId>, NodeId)> {
        let ids: Vec<NodeId> = params.iter().map(|p| g.param(l.body.ty(*p).clone(), b.origin)).collect();
        let j = g.param(Ty::scalar(DType::Int), b.origin);
        let b = &mut Build::new(g, b.origin);
        let at = first(b, j, k)?;
        let i = b.add(at, ids[0])?;
        Ok((ids, i))
    };
    let mut body = Graph::new();
    let (mut args, i) = own(&mut body)?;
    args[0] = i;
    body.outputs = body.inline(&l.body, &args)?;
    let mut cond = Graph::new();
    let (mut args, i) = own(&mut cond)?;
    args[0] = i;
    let bound = Build::new(&mut cond, b.origin).int(n)?;
    let mut more = Build::new(&mut cond, b.origin).lt(i, bound)?;
    if let Some(old) = &l.cond
        && let Some(goes) = cond.inline(old, &args)?.first().copied()
    {
        more = Build::new(&mut cond, b.origin).and(more, goes)?;
    }
    cond.outputs = vec![more];
    Ok(Loop { trip: Trip::While { limit: Dim::Known(k) }, cond: Some(Arc::new(cond)), body: Arc::new(body), ..l.clone() })
}
