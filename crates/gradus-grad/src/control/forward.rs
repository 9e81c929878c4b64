//! Loops forward: carries take their tangents along.

use super::{flags, some_masked};
use crate::activity::{body_params, loop_activity, masks};
use crate::delta::{Delta, or_zeros};
use crate::error::GradResult;
use crate::jvp::{Place, outputs, push_region};
use gradus_ir::build::Build;
use gradus_ir::{DType, Graph, Loop, NodeId, Op, Ty};
use std::sync::Arc;

/// Parameters of the same types as these of `region`.
fn params_like(g: &mut Graph, region: &Graph, ids: &[NodeId]) -> Vec<NodeId> {
    ids.iter().map(|p| g.param(region.ty(*p).clone(), region.node(*p).origin)).collect()
}

/// Parameters for the tangents of the active ones.
fn tangents_like(g: &mut Graph, region: &Graph, ids: &[NodeId], active: &[bool]) -> Vec<NodeId> {
    ids.iter()
        .zip(active)
        .filter(|(_, a)| **a)
        .map(|(p, _)| g.param(Ty::real(region.shape(*p).clone()), region.node(*p).origin))
        .collect()
}

/// The types of a loop's outputs without their stacking: what its carries are.
fn carry_types(b: &Build, l: &Loop, xs: &[NodeId]) -> Vec<Ty> {
    std::iter::once(Ty::scalar(DType::Int)).chain(xs[..l.carries].iter().map(|x| b.graph.ty(*x).clone())).collect()
}

/// The carries take their tangents along; scanned and captured values bring theirs.
pub(crate) fn push_loop(b: &mut Build, l: &Loop, xs: &[NodeId], ts: &[Option<Delta>]) -> GradResult<Place> {
    let (c, s) = (l.carries, l.carries + l.scanned);
    let inputs = flags(ts);
    let (carries, _) = loop_activity(l, &inputs, &carry_types(b, l, xs));
    let masked = some_masked(ts) || masks(&l.body);
    let params = l.body.params();
    let active = body_params(&carries, &inputs[c..]);
    let seeds: Vec<Option<bool>> = active.iter().map(|a| a.then_some(masked)).collect();
    let pushed = push_region(&l.body, &seeds)?;

    // The pushed body has all tangents last; a loop wants each next to its kind.
    let mut body = Graph::new();
    let (index, rest) = params.split_at(1);
    let (cp, rest) = rest.split_at(c);
    let (sp, kp) = rest.split_at(l.scanned);
    let step = params_like(&mut body, &l.body, index);
    let cv = params_like(&mut body, &l.body, cp);
    let ct = tangents_like(&mut body, &l.body, cp, &carries);
    let sv = params_like(&mut body, &l.body, sp);
    let st = tangents_like(&mut body, &l.body, sp, &inputs[c..s]);
    let kv = params_like(&mut body, &l.body, kp);
    let kt = tangents_like(&mut body, &l.body, kp, &inputs[s..]);
    let args: Vec<NodeId> = [step, cv, sv, kv, ct, st, kt].concat();
    let outs = body.inline(&pushed.graph, &args)?;
    let (values, found) = outs.split_at(l.body.outputs.len());
    let mut found = found.iter().copied();
    let mut carried = Vec::new();
    let mut collected = Vec::new();
    for (k, o) in l.body.outputs.iter().enumerate() {
        let t = pushed.tangents[k].and_then(|_| found.next());
        if k >= c {
            collected.extend(t);
        } else if carries[k] {
            carried.push(match t {
                Some(id) => id,
                None => Build::new(&mut body, l.body.node(*o).origin).full(0.0, l.body.shape(*o))?,
            });
        }
    }
    body.outputs = [&values[..c], &carried, &values[c..], &collected].concat();

    let cond = match &l.cond {
        Some(cond) => {
            let mut g = Graph::new();
            let (own, captured) = cond.params().split_at(1 + c);
            let mut args = params_like(&mut g, cond, own);
            tangents_like(&mut g, cond, &own[1..], &carries);
            args.extend(params_like(&mut g, cond, captured));
            tangents_like(&mut g, cond, captured, &inputs[s..]);
            g.outputs = g.inline(cond, &args)?;
            Some(Arc::new(g))
        }
        None => None,
    };
    let mut given = xs[..c].to_vec();
    for k in 0..c {
        if carries[k] {
            let shape = b.shape(xs[k]);
            given.push(or_zeros(b, ts[k], &shape)?);
        }
    }
    for (from, to) in [(c, s), (s, xs.len())] {
        given.extend_from_slice(&xs[from..to]);
        given.extend(ts[from..to].iter().flatten().map(|d| d.id));
    }
    let op = Loop {
        trip: l.trip.clone(),
        carries: c + carried.len(),
        scanned: l.scanned + ts[c..s].iter().flatten().count(),
        collected: l.collected + collected.len(),
        cond,
        body: Arc::new(body),
        label: l.label.clone(),
    };
    let node = b.op(Op::Loop(Box::new(op)), &given)?;
    let outs = outputs(b, node)?;
    let mut values = outs[..=c].to_vec();
    let mut tangents = vec![None];
    let mut next = outs[1 + c..].iter();
    for a in &carries {
        tangents.push(if *a { next.next().map(|id| Delta::new(*id, masked)) } else { None });
    }
    values.extend(next.by_ref().take(l.collected));
    for t in &pushed.tangents[c..] {
        tangents.push(match t {
            // Rows of steps that are not done are zero.
            Some(_) => next.next().map(|id| Delta::new(*id, masked || l.cond.is_some())),
            None => None,
        });
    }
    Ok(Place { values, tangents })
}
