//! Checks that a graph is one that its builder could have made: run after every pass.

use crate::error::{IrError, IrResult};
use crate::graph::Graph;
use crate::infer::infer;
use crate::op::{Op, Trip};
use crate::ty::{DType, Ty};
use smallvec::SmallVec;

/// Every node's types are those of its rule, inputs come earlier, parameters are numbered in order, outputs exist, and all that
/// holds of every region. The error names the first offending node.
pub fn verify(g: &Graph) -> IrResult<()> {
    let mut param = 0usize;
    for (id, node) in g.nodes() {
        let fail = |what: String| IrError::Internal(format!("%{} ({}): {what}", id.0, node.op.name()));
        if let Some(bad) = node.inputs.iter().find(|i| i.index() >= id.index()) {
            return Err(fail(format!("input %{} does not come before it", bad.0)));
        }
        if let Op::Param(k) = node.op {
            if k as usize != param || g.params().get(param) != Some(&id) {
                return Err(fail(format!("parameter {k} stands where parameter {param} belongs")));
            }
            if !node.inputs.is_empty() || node.tys.len() != 1 {
                return Err(fail("a parameter has no inputs and one type".into()));
            }
            param += 1;
            continue;
        }
        if !matches!(node.op, Op::Get(_))
            && let Some(i) = node.inputs.iter().find(|i| g.node(**i).tys.len() != 1)
        {
            return Err(fail(format!("input %{} has several outputs; one must be picked by get", i.0)));
        }
        let types: SmallVec<[&[Ty]; 4]> = node.inputs.iter().map(|i| g.node(*i).tys.as_slice()).collect();
        let tys = infer(&node.op, &types)?;
        if tys != node.tys {
            return Err(fail(format!("has type {}, its rule says {}", show(&node.tys), show(&tys))));
        }
        attributes(&node.op).map_err(fail)?;
        for region in node.op.regions() {
            verify(region).map_err(|e| fail(format!("in its region: {e}")))?;
        }
    }
    if param != g.params().len() {
        return Err(IrError::Internal(format!("{} parameters are listed, {param} exist", g.params().len())));
    }
    for o in &g.outputs {
        if o.index() >= g.len() {
            return Err(IrError::Internal(format!("output %{} is not in the graph", o.0)));
        }
        if g.node(*o).tys.len() != 1 {
            return Err(IrError::Internal(format!("output %{} has several outputs; one must be picked by get", o.0)));
        }
    }
    Ok(())
}

/// What the type rules do not look at.
fn attributes(op: &Op) -> Result<(), String> {
    match op {
        Op::Const(v, DType::Int) if v.get().is_finite() && v.get().fract() != 0.0 => Err("an int that is not whole".into()),
        Op::Const(v, DType::Bool) if v.get() != 0.0 && v.get() != 1.0 => Err("a bool that is neither 0 nor 1".into()),
        Op::Literal(a) if a.shape.iter().product::<usize>() != a.data.len() => {
            Err(format!("{} numbers for shape {:?}", a.data.len(), a.shape))
        }
        Op::Reduce(_, axes) if axes.windows(2).any(|w| w[0] >= w[1]) => Err(format!("axes {axes:?} are not sorted")),
        Op::Loop(l) => match (&l.trip, &l.cond) {
            (Trip::While { .. }, Some(c)) => {
                let outs: Vec<String> = c.outputs.iter().filter(|o| o.index() < c.len()).map(|o| c.ty(*o).to_string()).collect();
                if outs == ["bool"] { Ok(()) } else { Err(format!("its condition yields ({}), expected bool", outs.join(", "))) }
            }
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

fn show(tys: &[Ty]) -> String {
    let all: Vec<String> = tys.iter().map(|t| t.to_string()).collect();
    all.join(", ")
}
