//! Which values depend differentiably on which: decides what gets a tangent, so that nothing else pays.

use gradus_ir::{BinaryOp, DType, Graph, Loop, NodeId, Op, Ty, UnaryOp};

/// For each node and each of its outputs: does it depend, with a derivative, on a chosen parameter?
pub(crate) struct Activity(Vec<Vec<bool>>);

impl Activity {
    pub fn of(&self, id: NodeId, output: usize) -> bool {
        self.0[id.index()].get(output).copied().unwrap_or(false)
    }
    /// Of a node used as an operand (a tuple counts as its first output).
    pub fn operand(&self, id: NodeId) -> bool {
        self.of(id, 0)
    }
}

/// Is the derivative zero everywhere (where it exists)?
pub(crate) fn is_flat(op: &Op) -> bool {
    match op {
        Op::Unary(u) => matches!(
            u,
            UnaryOp::Sign
                | UnaryOp::Floor
                | UnaryOp::Ceil
                | UnaryOp::Round
                | UnaryOp::Not
                | UnaryOp::IsNan
                | UnaryOp::IsFinite
                | UnaryOp::ToInt
                | UnaryOp::StopGrad
        ),
        Op::Binary(b) => b.is_comparison() || matches!(b, BinaryOp::And | BinaryOp::Or),
        Op::Param(_)
        | Op::Const(..)
        | Op::Literal(_)
        | Op::DimValue(_)
        | Op::Iota(_)
        | Op::Recall(_)
        | Op::ArgReduce { .. }
        | Op::ArgSort { .. }
        | Op::Key
        | Op::KeyFold
        | Op::Uniform(_)
        | Op::Normal(_)
        | Op::Permutation(_)
        | Op::Clock => true,
        _ => false,
    }
}

/// Can a product with a derivative of this op's operands be zero because a value is not taken?
fn is_masking(op: &Op) -> bool {
    matches!(
        op,
        Op::Select
            | Op::Binary(BinaryOp::Max | BinaryOp::Min)
            | Op::Reduce(gradus_ir::ReduceOp::Max | gradus_ir::ReduceOp::Min, _)
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::Take { .. }
            | Op::TakeAlong { .. }
            | Op::ScatterAdd { .. }
            | Op::ScatterAddAlong { .. }
            | Op::ScatterSet { .. }
            | Op::Cumulative { op: gradus_ir::Cumulative::Max, .. }
            | Op::TopK(_)
            | Op::Knapsack
            | Op::Diagonal
            | Op::DiagMatrix
            | Op::Cond { .. }
    )
}

/// Does any op in the region, at any depth, mask?
pub(crate) fn masks(g: &Graph) -> bool {
    g.nodes().any(|(_, n)| is_masking(&n.op) || n.op.regions().iter().any(|r| masks(r)))
}

fn real(t: &Ty) -> bool {
    t.dtype == DType::Real
}

/// From parameters to everything.
pub(crate) fn activity(g: &Graph, params: &[bool]) -> Activity {
    let mut act = Activity(Vec::with_capacity(g.len()));
    for (_, node) in g.nodes() {
        let inputs: Vec<bool> = node.inputs.iter().map(|i| act.operand(*i)).collect();
        let some = inputs.contains(&true);
        let mut of: Vec<bool> = match &node.op {
            Op::Param(k) => vec![params.get(*k as usize).copied().unwrap_or(false)],
            // The equation decides, not how it was solved.
            Op::Implicit(i) => {
                let some = inputs.get(i.values..).is_some_and(|c| c.contains(&true));
                vec![some; node.tys.len()]
            }
            Op::Stationary => vec![false],
            Op::Check(_) | Op::Tally(_) => vec![inputs.first().copied().unwrap_or(false)],
            Op::Get(k) => vec![node.inputs.first().is_some_and(|i| act.of(*i, *k as usize))],
            _ if !some || is_flat(&node.op) => vec![false; node.tys.len()],
            Op::Loop(l) => {
                let (carries, collected) = loop_activity(l, &inputs, &node.tys);
                std::iter::once(false).chain(carries).chain(collected).collect()
            }
            Op::Cond { then, other } => {
                let caps = inputs.get(1..).unwrap_or_default();
                let (a, b) = (output_activity(then, caps), output_activity(other, caps));
                a.iter().zip(&b).map(|(x, y)| *x || *y).collect()
            }
            _ => vec![true; node.tys.len()],
        };
        for (a, t) in of.iter_mut().zip(&node.tys) {
            *a &= real(t);
        }
        act.0.push(of);
    }
    act
}

pub(crate) fn output_activity(g: &Graph, params: &[bool]) -> Vec<bool> {
    let act = activity(g, params);
    g.outputs.iter().map(|o| act.operand(*o)).collect()
}

/// Of a loop: active carries (at any step) and collected values. `tys` are the types of the loop's outputs.
pub(crate) fn loop_activity(l: &Loop, inputs: &[bool], tys: &[Ty]) -> (Vec<bool>, Vec<bool>) {
    let mut carries: Vec<bool> =
        inputs[..l.carries].iter().enumerate().map(|(k, a)| *a && tys.get(k + 1).is_some_and(real)).collect();
    loop {
        let outs = output_activity(&l.body, &body_params(&carries, &inputs[l.carries..]));
        let mut changed = false;
        for (k, c) in carries.iter_mut().enumerate() {
            if outs[k] && !*c && tys.get(k + 1).is_some_and(real) {
                *c = true;
                changed = true;
            }
        }
        if !changed {
            return (carries, outs[l.carries..].to_vec());
        }
    }
}

/// Flags for the body's parameters: the step index has none.
pub(crate) fn body_params(carries: &[bool], rest: &[bool]) -> Vec<bool> {
    std::iter::once(false).chain(carries.iter().copied()).chain(rest.iter().copied()).collect()
}

/// From outputs back: which parameters can get a cotangent when these outputs have one.
pub(crate) fn reached(g: &Graph, outputs: &[bool]) -> Vec<bool> {
    let mut need: Vec<Vec<bool>> = g.nodes().map(|(_, n)| vec![false; n.tys.len()]).collect();
    for (o, wanted) in g.outputs.iter().zip(outputs) {
        need[o.index()][0] |= *wanted;
    }
    for (id, node) in g.nodes().rev() {
        let of = std::mem::take(&mut need[id.index()]);
        if !of.contains(&true) {
            continue;
        }
        let mut mark = |k: usize, output: usize| {
            let i = node.inputs[k];
            if g.node(i).tys.get(output).is_some_and(real) {
                need[i.index()][output] = true;
            }
        };
        match &node.op {
            Op::Param(_) => need[id.index()] = of,
            Op::Get(k) => mark(0, *k as usize),
            Op::Implicit(i) => (i.values..node.inputs.len()).for_each(|k| mark(k, 0)),
            Op::Stationary => {}
            Op::Check(_) | Op::Tally(_) => mark(0, 0),
            op if is_flat(op) => {}
            Op::Loop(l) => {
                let carries = carried_back(l, &of[1..=l.carries], &of[l.carries + 1..]);
                let outs: Vec<bool> = carries.iter().copied().chain(of[l.carries + 1..].iter().copied()).collect();
                let params = reached(&l.body, &outs);
                for (k, c) in carries.iter().enumerate() {
                    if *c {
                        mark(k, 0);
                    }
                }
                for k in l.carries..node.inputs.len() {
                    if params[k + 1] {
                        mark(k, 0);
                    }
                }
            }
            Op::Cond { then, other } => {
                let (a, b) = (reached(then, &of), reached(other, &of));
                for k in 0..a.len() {
                    if a[k] || b[k] {
                        mark(k + 1, 0);
                    }
                }
            }
            _ => (0..node.inputs.len()).for_each(|k| mark(k, 0)),
        }
    }
    g.params().iter().map(|p| need[p.index()].first().copied().unwrap_or(false)).collect()
}

/// Which carries can have a cotangent at some step, given those at the end and those of collected values.
pub(crate) fn carried_back(l: &Loop, end: &[bool], collected: &[bool]) -> Vec<bool> {
    let mut carries = end.to_vec();
    loop {
        let outs: Vec<bool> = carries.iter().copied().chain(collected.iter().copied()).collect();
        let params = reached(&l.body, &outs);
        let mut changed = false;
        for (k, c) in carries.iter_mut().enumerate() {
            if params[k + 1] && !*c {
                *c = true;
                changed = true;
            }
        }
        if !changed {
            return carries;
        }
    }
}
