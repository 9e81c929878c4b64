//! Forward mode: values and tangents side by side, node by node.

use crate::activity::is_flat;
use crate::control;
use crate::delta::Delta;
use crate::error::{GradError, GradResult, internal};
use crate::{elementwise, implicit, linalg, linear, reduce, rows, transforms};
use gradus_ir::build::Build;
use gradus_ir::{Cumulative, Graph, Node, NodeId, Op, ReduceOp, Ty};

/// A region with tangents.
pub(crate) struct Pushed {
    /// Parameters `[parameters.., tangents of the seeded ones..]`, outputs `[outputs.., tangents that are there..]`.
    pub graph: Graph,
    /// For each output: has it a tangent, and is that masked.
    pub tangents: Vec<Option<bool>>,
}

/// What a node became: for each output its value and its tangent.
pub(crate) struct Place {
    pub values: Vec<NodeId>,
    pub tangents: Vec<Option<Delta>>,
}

/// `seeds`: for each parameter, whether it has a tangent and whether that is masked.
pub(crate) fn push_region(region: &Graph, seeds: &[Option<bool>]) -> GradResult<Pushed> {
    let mut g = Graph::new();
    let live = region.live();
    let mut places: Vec<Option<Place>> = (0..region.len()).map(|_| None).collect();
    for p in region.params() {
        let id = g.param(region.ty(*p).clone(), region.node(*p).origin);
        places[p.index()] = Some(Place { values: vec![id], tangents: vec![None] });
    }
    for (p, seed) in region.params().iter().zip(seeds) {
        if let (Some(masked), Some(place)) = (seed, &mut places[p.index()]) {
            let id = g.param(Ty::real(region.shape(*p).clone()), region.node(*p).origin);
            place.tangents = vec![Some(Delta::new(id, *masked))];
        }
    }
    for (id, node) in region.nodes() {
        if !live[id.index()] || places[id.index()].is_some() {
            continue;
        }
        let place = push_node(&mut g, node, &places)?;
        places[id.index()] = Some(place);
    }
    let mut outputs = Vec::new();
    let mut deltas = Vec::new();
    let mut tangents = Vec::new();
    for o in &region.outputs {
        let place = find(&places, *o)?;
        outputs.push(first(&place.values)?);
        let t = place.tangents.first().copied().flatten();
        deltas.extend(t.map(|d| d.id));
        tangents.push(t.map(|d| d.masked));
    }
    outputs.extend(deltas);
    g.outputs = outputs;
    Ok(Pushed { graph: g, tangents })
}

fn find(places: &[Option<Place>], id: NodeId) -> GradResult<&Place> {
    places
        .get(id.index())
        .and_then(Option::as_ref)
        .ok_or_else(|| internal(format!("node %{} is used before it is there", id.0)))
}

fn first(values: &[NodeId]) -> GradResult<NodeId> {
    values.first().copied().ok_or_else(|| internal("a node without outputs"))
}

fn push_node(g: &mut Graph, node: &Node, places: &[Option<Place>]) -> GradResult<Place> {
    if let Op::Get(k) = node.op {
        let place = find(places, node.inputs[0])?;
        let k = k as usize;
        let value = *place.values.get(k).ok_or_else(|| internal(format!("get {k} of too few outputs")))?;
        return Ok(Place { values: vec![value], tangents: vec![place.tangents.get(k).copied().flatten()] });
    }
    let mut xs = Vec::with_capacity(node.inputs.len());
    let mut ts = Vec::with_capacity(node.inputs.len());
    for i in &node.inputs {
        let place = find(places, *i)?;
        xs.push(first(&place.values)?);
        ts.push(place.tangents.first().copied().flatten());
    }
    let b = &mut Build::new(g, node.origin);
    let active = ts.iter().any(Option::is_some) && !is_flat(&node.op);
    if active {
        match &node.op {
            Op::Loop(l) => return control::push_loop(b, l, &xs, &ts),
            Op::Cond { then, other } => return control::push_cond(b, then, other, &xs, &ts),
            Op::Implicit(i) => return implicit::push(b, i, &xs, &ts),
            // From now on the operand itself is read.
            Op::Stationary => return Ok(Place { values: xs, tangents: vec![None] }),
            _ => {}
        }
    }
    let y = b.op(node.op.clone(), &xs)?;
    let values = outputs(b, y)?;
    let tangents = if active { tangents(b, node, &xs, &values, &ts)? } else { vec![None; values.len()] };
    Ok(Place { values, tangents })
}

/// The outputs of a node, each as a node.
pub(crate) fn outputs(b: &mut Build, y: NodeId) -> GradResult<Vec<NodeId>> {
    match b.graph.node(y).tys.len() {
        1 => Ok(vec![y]),
        n => (0..n).map(|k| Ok(b.get(y, k)?)).collect(),
    }
}

/// Tangents of the outputs `ys` of one op (no region).
pub(crate) fn tangents(
    b: &mut Build,
    node: &Node,
    xs: &[NodeId],
    ys: &[NodeId],
    ts: &[Option<Delta>],
) -> GradResult<Vec<Option<Delta>>> {
    let y = first(ys)?;
    let op = &node.op;
    let one = |d: Option<Delta>| vec![d];
    Ok(match op {
        Op::NoGrad(what) => {
            return Err(GradError::NotDifferentiable { what: what.to_string(), origin: node.origin });
        }
        Op::Check(_) => match ts.first().copied().flatten() {
            Some(t) => one(Some(t.with(b.op(op.clone(), &[t.id, xs[1]])?))),
            None => one(None),
        },
        Op::Store(_) | Op::Tally(_) => one(ts.first().copied().flatten()),
        Op::Unary(_) | Op::Binary(_) | Op::Select => one(elementwise::push(b, op, xs, y, ts)?),
        _ if linear::is_linear(op) => one(linear::push(b, op, xs, ts)?),
        Op::Solve { .. } | Op::TriangularSolve { .. } => linalg::push(b, op, xs, ys, ts)?,
        Op::SparseMatMul { .. } => one(transforms::push_sparse(b, op, xs, ts)?),
        Op::Fft { inverse } => transforms::push_fft(b, *inverse, xs, ts)?,
        Op::TopK(_) => rows::push_top_k(b, ys, ts)?,
        Op::Knapsack => rows::push_knapsack(b, xs, ys, ts)?,
        Op::Isotonic => one(rows::push_isotonic(b, xs, y, ts)?),
        _ => {
            let Some(t) = ts.first().copied().flatten() else { return Ok(vec![None; ys.len()]) };
            match op {
                Op::Reduce(r, axes) if *r != ReduceOp::Sum => one(reduce::push(b, *r, axes, xs[0], y, t)?),
                Op::Cumulative { op: c, axis, reverse } if *c != Cumulative::Sum => {
                    one(Some(reduce::push_cumulative(b, *c, *axis, *reverse, xs[0], t)?))
                }
                Op::Sort { axis, descending } => one(Some(reduce::push_sort(b, *axis, *descending, xs[0], t)?)),
                _ => linalg::push(b, op, xs, ys, ts)?,
            }
        }
    })
}
