//! Branches: each arm with its own derivative; an arm that is not taken is not run.

use super::flags;
use crate::activity::output_activity;
use crate::delta::Delta;
use crate::error::GradResult;
use crate::jvp::{Place, outputs, push_region};
use crate::vjp::{Pulled, pull_region};
use gradus_ir::build::Build;
use gradus_ir::{Graph, NodeId, Op};
use std::sync::Arc;

/// One branch with tangents for the outputs of `wanted`.
fn push_branch(region: &Graph, seeds: &[Option<bool>], wanted: &[bool]) -> GradResult<Graph> {
    let pushed = push_region(region, seeds)?;
    let mut g = pushed.graph;
    let mut found = g.outputs.split_off(region.outputs.len()).into_iter();
    for (k, o) in region.outputs.iter().enumerate() {
        let t = pushed.tangents[k].and_then(|_| found.next());
        if wanted[k] {
            let id = match t {
                Some(id) => id,
                None => Build::new(&mut g, region.node(*o).origin).full(0.0, region.shape(*o))?,
            };
            g.outputs.push(id);
        }
    }
    Ok(g)
}

pub(crate) fn push_cond(
    b: &mut Build,
    then: &Graph,
    other: &Graph,
    xs: &[NodeId],
    ts: &[Option<Delta>],
) -> GradResult<Place> {
    let captured = &ts[1..];
    let active = flags(captured);
    let (p, q) = (output_activity(then, &active), output_activity(other, &active));
    let wanted: Vec<bool> = p.iter().zip(&q).map(|(x, y)| *x || *y).collect();
    let seeds: Vec<Option<bool>> = captured.iter().map(|t| t.map(|d| d.masked)).collect();
    let op = Op::Cond {
        then: Arc::new(push_branch(then, &seeds, &wanted)?),
        other: Arc::new(push_branch(other, &seeds, &wanted)?),
    };
    let inputs: Vec<NodeId> = xs.iter().copied().chain(captured.iter().flatten().map(|d| d.id)).collect();
    let node = b.op(op, &inputs)?;
    let outs = outputs(b, node)?;
    let n = wanted.len();
    let mut found = outs[n..].iter();
    let tangents =
        wanted.iter().map(|w| if *w { found.next().map(|id| Delta::new(*id, true)) } else { None }).collect();
    Ok(Place { values: outs[..n].to_vec(), tangents })
}

pub(crate) fn pull_cond(
    b: &mut Build,
    then: &Graph,
    other: &Graph,
    xs: &[NodeId],
    want: &[bool],
    cts: &[Option<Delta>],
) -> GradResult<Vec<Option<Delta>>> {
    let n = then.outputs.len();
    let cts: Vec<Option<Delta>> = (0..n).map(|k| cts.get(k).copied().flatten()).collect();
    let seeds: Vec<Option<bool>> = cts.iter().map(|c| c.map(|d| d.masked)).collect();
    let active = &want[1..];
    let (p, q) = (pull_region(then, active, &seeds)?, pull_region(other, active, &seeds)?);
    let wanted: Vec<bool> = (0..active.len()).map(|k| p.cotangents[k].is_some() || q.cotangents[k].is_some()).collect();
    let mut result = vec![None; xs.len()];
    if !wanted.contains(&true) {
        return Ok(result);
    }
    let branch = |region: &Graph, pulled: &Pulled| -> GradResult<Graph> {
        let mut g = pulled.cotangents_only(n)?;
        let mut found = std::mem::take(&mut g.outputs).into_iter();
        for (k, param) in region.params().iter().enumerate() {
            let ct = pulled.cotangents[k].and_then(|_| found.next());
            if wanted[k] {
                let id = match ct {
                    Some(id) => id,
                    None => Build::new(&mut g, region.node(*param).origin).full(0.0, region.shape(*param))?,
                };
                g.outputs.push(id);
            }
        }
        Ok(g)
    };
    let op = Op::Cond { then: Arc::new(branch(then, &p)?), other: Arc::new(branch(other, &q)?) };
    let inputs: Vec<NodeId> = xs.iter().copied().chain(cts.iter().flatten().map(|d| d.id)).collect();
    let node = b.op(op, &inputs)?;
    let mut outs = outputs(b, node)?.into_iter();
    for (k, w) in wanted.iter().enumerate() {
        if *w {
            result[k + 1] = outs.next().map(|id| Delta::new(id, true));
        }
    }
    Ok(result)
}
