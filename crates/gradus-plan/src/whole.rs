//! Whole numbers at a precision that has fewer of them: refuse what could count or point past the last exact one.

use crate::PlanError;
use crate::keys::Keys;
use gradus_ir::{Cumulative, DType, Graph, NodeId, Op, Origin, Precision, ReduceOp, UnaryOp};

/// Is the number the same at this precision?
pub(crate) fn exact(x: f64, precision: Precision) -> bool {
    precision == Precision::F64 || !x.is_finite() || f64::from(x as f32) == x
}

/// What the precision makes of the whole numbers at the border of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    /// Not a whole number, or one that is rounded where the precision has it not.
    Free,
    /// Must be a number of the precision.
    Exact,
    /// The words of random keys.
    Key,
}

/// The border of a graph: its parameters and its outputs. Refused: constants, lengths that are counted, and loops whose step
/// is read, where they pass the last exact number, and keys that are counted with.
pub(crate) fn check(graph: &Graph, precision: Precision) -> Result<(Vec<Whole>, Vec<Whole>), PlanError> {
    if precision == Precision::F64 {
        return Ok((vec![Whole::Free; graph.params().len()], vec![Whole::Free; graph.outputs.len()]));
    }
    let read = region(graph, precision)?;
    let mut keys = Keys::new(graph);
    if let Some(id) = keys.misused() {
        let origin = graph.nodes().nth(id).map_or_else(Origin::default, |(_, n)| n.origin);
        return Err(PlanError::Whole { origin, value: f64::from(u32::MAX), precision });
    }
    let mut at = |id: &NodeId, needed: bool| match () {
        _ if graph.ty(*id).dtype != DType::Int => Whole::Free,
        _ if keys.is_key(id.index()) => Whole::Key,
        _ if needed => Whole::Exact,
        _ => Whole::Free,
    };
    let params = graph.params().iter().map(|p| at(p, read[p.index()])).collect();
    let outputs = graph.outputs.iter().map(|o| at(o, true)).collect();
    Ok((params, outputs))
}

/// The nodes that are read as whole numbers of the precision: not only as seeds, and not only to become real.
fn region(graph: &Graph, precision: Precision) -> Result<Vec<bool>, PlanError> {
    let mut read = vec![false; graph.len()];
    for o in &graph.outputs {
        read[o.index()] = true;
    }
    for (_, node) in graph.nodes() {
        for (k, i) in node.inputs.iter().enumerate() {
            let rounds = matches!((&node.op, k), (Op::Key, 0) | (Op::KeyFold, 1) | (Op::Unary(UnaryOp::ToReal), 0));
            read[i.index()] |= !rounds;
        }
    }
    let most = precision.whole();
    let refuse = |value: f64, origin: Origin| -> Result<(), PlanError> { Err(PlanError::Whole { origin, value, precision }) };
    for (id, node) in graph.nodes() {
        let ty = graph.ty(id);
        let (whole, read) = (ty.dtype == DType::Int, read[id.index()]);
        let fits = |n: f64| if n > most { refuse(n, node.origin) } else { Ok(()) };
        let length = |of: NodeId, axis: usize| graph.ty(of).shape.dims().get(axis).and_then(|d| d.size()).unwrap_or(0) as f64;
        match &node.op {
            Op::Const(c, DType::Int) if read && !exact(c.get(), precision) => refuse(c.get(), node.origin)?,
            Op::DimValue(d) if read => {
                let n = d.size().unwrap_or(0) as f64;
                if !exact(n, precision) {
                    refuse(n, node.origin)?;
                }
            }
            Op::Literal(a) if a.dtype == DType::Int && read => {
                if let Some(x) = a.data.iter().find(|x| !exact(**x, precision)) {
                    refuse(*x, node.origin)?;
                }
            }
            Op::Iota(_) | Op::Permutation(_) => fits(length(id, 0))?,
            Op::ArgReduce { axis, .. } | Op::ArgSort { axis, .. } => fits(length(node.inputs[0], *axis))?,
            Op::Reduce(ReduceOp::Sum, axes) if whole => fits(axes.iter().map(|a| length(node.inputs[0], *a)).product())?,
            Op::Cumulative { op: Cumulative::Sum, axis, .. } if whole => fits(length(id, *axis))?,
            Op::Loop(l) => {
                let bound = l.trip.bound().size().unwrap_or(0) as f64;
                let steps = |g: &Graph| -> Result<bool, PlanError> {
                    let read = region(g, precision)?;
                    Ok(g.params().first().is_some_and(|p| read[p.index()]))
                };
                let mut counted = steps(&l.body)?;
                if let Some(c) = &l.cond {
                    counted |= steps(c)?;
                }
                if counted {
                    fits(bound)?;
                }
            }
            Op::Cond { then, other } => {
                region(then, precision)?;
                region(other, precision)?;
            }
            Op::Get(0) if matches!(graph.node(node.inputs[0]).op, Op::Loop(_)) && read => {
                if let Op::Loop(l) = &graph.node(node.inputs[0]).op {
                    fits(l.trip.bound().size().unwrap_or(0) as f64)?;
                }
            }
            _ => {}
        }
    }
    Ok(read)
}
