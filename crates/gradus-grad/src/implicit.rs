//! Derivatives of solutions, by the implicit function theorem: of `residual(y, c) = 0`, `dy` solves
//! `(d residual / dy) dy = -(d residual / dc) dc`, and the way back solves the transposed equation.
//!
//! What is found by such a linear equation is itself a solution with an equation, so that derivatives of derivatives need
//! nothing more. Signs of `not converged` are the solvers' business: they give NaN.

use crate::control::{flags, some_masked};
use crate::delta::{Delta, or_zeros};
use crate::error::{GradResult, internal};
use crate::jvp::{Place, outputs, push_region};
use crate::vjp::pull_region;
use gradus_ir::build::Build;
use gradus_ir::{Graph, Implicit, NodeId, Op, Ty, UnaryOp};
use std::sync::Arc;

/// Solution and tangents. Those of the values themselves are not asked for: they come from the equation.
pub(crate) fn push(b: &mut Build, i: &Implicit, xs: &[NodeId], ts: &[Option<Delta>]) -> GradResult<Place> {
    let n = i.values;
    let node = b.op(Op::Implicit(Box::new(i.clone())), xs)?;
    let ys = outputs(b, node)?;
    let (cs, ts) = (&xs[n..], &ts[n..]);
    let masked = some_masked(ts);
    let seeds: Vec<Option<bool>> = vec![None; n].into_iter().chain(flags(ts).iter().map(|f| f.then_some(masked))).collect();
    let pushed = push_region(&i.residual, &seeds)?;
    if pushed.tangents.iter().all(Option::is_none) {
        return Ok(Place { tangents: vec![None; ys.len()], values: ys });
    }
    let given: Vec<NodeId> = ys.iter().chain(cs).copied().chain(ts.iter().flatten().map(|d| d.id)).collect();
    let mut found = b.graph.inline(&pushed.graph, &given)?.split_off(n).into_iter();
    let mut right = Vec::with_capacity(n);
    for (y, t) in ys.iter().zip(&pushed.tangents) {
        let t = t.and_then(|m| found.next().map(|id| Delta::new(id, m)));
        let shape = b.shape(*y);
        let t = or_zeros(b, t, &shape)?;
        right.push(b.neg(t)?);
    }
    let us = linear(b, i, &right, &ys, cs, false)?;
    let us = us.into_iter().map(|u| of_solution(b, i, &ys, u)).collect::<GradResult<Vec<_>>>()?;
    Ok(Place { values: ys, tangents: us.into_iter().map(|u| Some(Delta::new(u, masked))).collect() })
}

/// Cotangents of the inputs; none for the values.
pub(crate) fn pull(
    b: &mut Build,
    i: &Implicit,
    xs: &[NodeId],
    node: NodeId,
    cts: &[Option<Delta>],
    want: &[bool],
) -> GradResult<Vec<Option<Delta>>> {
    let n = i.values;
    let ys = outputs(b, node)?;
    let cs = &xs[n..];
    let masked = some_masked(cts);
    let active: Vec<bool> = vec![false; n].into_iter().chain(want[n..].iter().copied()).collect();
    let pulled = pull_region(&i.residual, &active, &vec![Some(masked); n])?;
    let mut result = vec![None; xs.len()];
    if pulled.cotangents.iter().all(Option::is_none) {
        return Ok(result);
    }
    let mut right = Vec::with_capacity(n);
    for (k, y) in ys.iter().enumerate() {
        let shape = b.shape(*y);
        right.push(or_zeros(b, cts.get(k).copied().flatten(), &shape)?);
    }
    let ws = linear(b, i, &right, &ys, cs, true)?;
    let mut given: Vec<NodeId> = ys.iter().chain(cs).copied().collect();
    for w in ws {
        given.push(b.neg(w)?);
    }
    let back = pulled.cotangents_only(n)?;
    let mut found = b.graph.inline(&back, &given)?.into_iter();
    for (r, c) in result.iter_mut().zip(&pulled.cotangents) {
        if let Some((m, id)) = c.and_then(|m| found.next().map(|id| (m, id))) {
            *r = Some(Delta::new(of_solution(b, i, &ys, id)?, m || masked));
        }
    }
    Ok(result)
}

/// A derivative where there is a solution: of NaN there is none, even where the equation's derivative does not ask for the point.
fn of_solution(b: &mut Build, i: &Implicit, ys: &[NodeId], d: NodeId) -> GradResult<NodeId> {
    let mut there = b.bool(true)?;
    for y in ys {
        let sum = b.sum_all(*y)?;
        let finite = b.un(UnaryOp::IsFinite, sum)?;
        there = b.and(there, finite)?;
    }
    let text = format!("this `{}` has no solution", i.label);
    Ok(b.op(Op::Check(text.into()), &[d, there])?)
}

/// The solution of the linear equation with the residual's derivative by its values (or the transpose), as a solution with an
/// equation of its own.
fn linear(
    b: &mut Build,
    i: &Implicit,
    right: &[NodeId],
    ys: &[NodeId],
    cs: &[NodeId],
    transposed: bool,
) -> GradResult<Vec<NodeId>> {
    let n = i.values;
    let solver = if transposed { &i.adjoint } else { &i.forward };
    // How it is solved is not differentiated.
    let mut fixed = Vec::new();
    for x in right.iter().chain(ys).chain(cs) {
        fixed.push(b.stop_grad(*x)?);
    }
    let us = b.graph.inline(solver, &fixed)?;
    if us.len() != n {
        return Err(internal("a linear solver with the wrong number of results"));
    }
    let captures: Vec<NodeId> = right.iter().chain(ys).chain(cs).copied().collect();
    let op = Implicit {
        values: n,
        residual: Arc::new(equation(b, i, right, ys, cs, transposed)?),
        forward: Arc::new(reuse(b, solver, right, ys, cs)?),
        adjoint: Arc::new(reuse(b, if transposed { &i.forward } else { &i.adjoint }, right, ys, cs)?),
        label: i.label.clone(),
    };
    let given: Vec<NodeId> = us.into_iter().chain(captures).collect();
    let node = b.op(Op::Implicit(Box::new(op)), &given)?;
    outputs(b, node)
}

fn params(g: &mut Graph, b: &Build, like: &[NodeId]) -> Vec<NodeId> {
    like.iter().map(|x| g.param(b.graph.ty(*x).clone(), b.origin)).collect()
}

/// `[u.., right.., ys.., cs..] -> J u - right` (or with `J'`).
fn equation(b: &Build, i: &Implicit, right: &[NodeId], ys: &[NodeId], cs: &[NodeId], transposed: bool) -> GradResult<Graph> {
    let n = i.values;
    let mut g = Graph::new();
    let us: Vec<NodeId> = ys.iter().map(|y| g.param(Ty::real(b.shape(*y)), b.origin)).collect();
    let rs = params(&mut g, b, right);
    let mut given = params(&mut g, b, ys);
    given.extend(params(&mut g, b, cs));
    let (region, present) = if transposed {
        let active: Vec<bool> = (0..given.len()).map(|k| k < n).collect();
        let pulled = pull_region(&i.residual, &active, &vec![Some(false); n])?;
        (pulled.cotangents_only(n)?, pulled.cotangents[..n].to_vec())
    } else {
        let seeds: Vec<Option<bool>> = (0..given.len()).map(|k| (k < n).then_some(false)).collect();
        let pushed = push_region(&i.residual, &seeds)?;
        let mut only = pushed.graph;
        only.outputs.drain(..n);
        (only.compact()?, pushed.tangents)
    };
    given.extend(&us);
    let mut products = g.inline(&region, &given)?.into_iter();
    let mut outs = Vec::with_capacity(n);
    for (k, r) in rs.iter().enumerate() {
        let p = present.get(k).copied().flatten().and_then(|_| products.next());
        let b = &mut Build::new(&mut g, b.origin);
        outs.push(match p {
            Some(p) => b.sub(p, *r)?,
            None => b.neg(*r)?,
        });
    }
    g.outputs = outs;
    Ok(g)
}

/// A solver `[b.., ys.., cs..]` with the parameters `[b.., u.., right.., ys.., cs..]`: the derivative of a linear equation is the
/// same matrix at every u.
fn reuse(b: &Build, solver: &Graph, right: &[NodeId], ys: &[NodeId], cs: &[NodeId]) -> GradResult<Graph> {
    let mut g = Graph::new();
    let mut given = params(&mut g, b, right);
    params(&mut g, b, right);
    params(&mut g, b, right);
    given.extend(params(&mut g, b, ys));
    given.extend(params(&mut g, b, cs));
    g.outputs = g.inline(solver, &given)?;
    Ok(g)
}
