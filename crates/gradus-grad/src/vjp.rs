//! Reverse mode: the region as it is, then cotangents from its outputs back to its parameters.

use crate::activity::{Activity, activity};
use crate::control::{self, Kept};
use crate::delta::{Delta, guard_whole, plus, zeros};
use crate::error::{GradError, GradResult, internal};
use crate::jvp::{outputs, tangents};
use crate::{elementwise, implicit, linalg, linear, reduce, transforms};
use gradus_ir::build::Build;
use gradus_ir::{Graph, Node, NodeId, Op, ReduceOp, Ty};

/// A region with cotangents.
pub(crate) struct Pulled {
    /// Parameters `[parameters.., cotangents of the seeded outputs..]`,
    /// outputs `[outputs.., cotangents of parameters that are there..]`.
    pub graph: Graph,
    /// For each parameter: has it a cotangent, and is that masked.
    pub cotangents: Vec<Option<bool>>,
}

impl Pulled {
    /// The region without the original outputs, and with nothing that only they need.
    pub fn cotangents_only(&self, outputs: usize) -> GradResult<Graph> {
        let mut g = self.graph.clone();
        g.outputs.drain(..outputs.min(self.graph.outputs.len()));
        Ok(g.compact()?)
    }
}

/// `active`: parameters whose cotangent is wanted. `seeds`: for each output, whether a cotangent comes in and whether
/// it is masked.
pub(crate) fn pull_region(region: &Graph, active: &[bool], seeds: &[Option<bool>]) -> GradResult<Pulled> {
    pull_seeded(region, active, seeds, false)
}

/// Of a scalar: its cotangent is one, and no parameter.
pub(crate) fn pull_scalar(region: &Graph, active: &[bool]) -> GradResult<Pulled> {
    pull_seeded(region, active, &[Some(false)], true)
}

fn pull_seeded(region: &Graph, active: &[bool], seeds: &[Option<bool>], unit: bool) -> GradResult<Pulled> {
    let act = activity(region, active);
    let mut g = Graph::new();
    let args: Vec<NodeId> =
        region.params().iter().map(|p| g.param(region.ty(*p).clone(), region.node(*p).origin)).collect();
    let mut incoming = Vec::new();
    for (o, seed) in region.outputs.iter().zip(seeds) {
        if let Some(masked) = seed {
            let origin = region.node(*o).origin;
            let id = match unit {
                true => Build::new(&mut g, origin).real(1.0)?,
                false => g.param(Ty::real(region.shape(*o).clone()), origin),
            };
            incoming.push((*o, Delta::new(id, *masked)));
        }
    }
    let map = g.inline_all(region, &args)?;
    // A stationary point that the derivative passes by is read as itself from now on.
    let passed: Vec<NodeId> = region
        .nodes()
        .filter(|(_, n)| matches!(n.op, Op::Stationary) && n.inputs.iter().any(|i| act.operand(*i)))
        .filter_map(|(id, _)| map.get(id.index()).copied().flatten())
        .collect();
    let values: Vec<NodeId> = region.outputs.iter().map(|o| mapped(&map, *o)).collect::<GradResult<_>>()?;
    let mut run = Reverse { cts: vec![Vec::new(); region.len()], replaced: Vec::new(), region, act, map };
    for (o, d) in incoming {
        let b = &mut Build::new(&mut g, region.node(o).origin);
        run.receive(b, o, 0, Some(d))?;
    }
    for (id, node) in region.nodes().rev() {
        if !matches!(node.op, Op::Param(_)) && run.cts[id.index()].iter().any(Option::is_some) {
            let b = &mut Build::new(&mut g, node.origin);
            run.pull_node(b, id, node)?;
        }
    }
    let mut outs = values;
    let mut cotangents = Vec::new();
    for (p, wanted) in region.params().iter().zip(active) {
        let ct = run.cts[p.index()].first().copied().flatten().filter(|_| *wanted);
        outs.extend(ct.map(|d| d.id));
        cotangents.push(ct.map(|d| d.masked));
    }
    g.outputs = outs;
    Ok(Pulled { graph: settle(&g, &run.replaced, &passed)?, cotangents })
}

fn mapped(map: &[Option<NodeId>], id: NodeId) -> GradResult<NodeId> {
    map.get(id.index()).copied().flatten().ok_or_else(|| internal(format!("node %{} was not copied", id.0)))
}

/// A copy of what the outputs need, with some loops replaced by ones that also keep their history, and without the marks that
/// were passed by.
fn settle(g: &Graph, replaced: &[(NodeId, Kept)], passed: &[NodeId]) -> GradResult<Graph> {
    let live = g.live();
    let mut out = Graph::new();
    let mut map: Vec<Option<NodeId>> = vec![None; g.len()];
    for p in g.params() {
        map[p.index()] = Some(out.param(g.ty(*p).clone(), g.node(*p).origin));
    }
    for (id, node) in g.nodes() {
        if !live[id.index()] || map[id.index()].is_some() {
            continue;
        }
        if passed.contains(&id) {
            map[id.index()] = Some(mapped(&map, node.inputs[0])?);
            continue;
        }
        let kept = |id: NodeId| replaced.iter().find(|(k, _)| *k == id).map(|(_, kept)| kept);
        // The steps of a loop in parts are those of its parts together.
        if let (Op::Get(0), Some(from)) = (&node.op, node.inputs.first())
            && let Some(at) = kept(*from).and_then(|k| k.counts)
        {
            let from = mapped(&map, *from)?;
            let b = &mut Build::new(&mut out, node.origin);
            let parts = b.get(from, at)?;
            map[id.index()] = Some(b.reduce(ReduceOp::Sum, parts, &[0])?);
            continue;
        }
        let op = kept(id).map_or(&node.op, |k| &k.op);
        let inputs = node.inputs.iter().map(|i| mapped(&map, *i)).collect::<GradResult<Vec<_>>>()?;
        map[id.index()] = Some(out.add(op.clone(), &inputs, node.origin)?);
    }
    out.outputs = g.outputs.iter().map(|o| mapped(&map, *o)).collect::<GradResult<_>>()?;
    Ok(out)
}

struct Reverse<'r> {
    region: &'r Graph,
    act: Activity,
    /// Where each node of the region is in the new graph.
    map: Vec<Option<NodeId>>,
    /// For each node and each of its outputs, the sum of the cotangents so far.
    cts: Vec<Vec<Option<Delta>>>,
    replaced: Vec<(NodeId, Kept)>,
}

impl Reverse<'_> {
    fn receive(&mut self, b: &mut Build, id: NodeId, output: usize, ct: Option<Delta>) -> GradResult<()> {
        if ct.is_none() || !self.act.of(id, output) {
            return Ok(());
        }
        let of = &mut self.cts[id.index()];
        if of.len() <= output {
            of.resize(output + 1, None);
        }
        of[output] = plus(b, of[output], ct)?;
        Ok(())
    }

    fn pull_node(&mut self, b: &mut Build, id: NodeId, node: &Node) -> GradResult<()> {
        let cts = std::mem::take(&mut self.cts[id.index()]);
        if let Op::Get(k) = node.op {
            return self.receive(b, node.inputs[0], k as usize, cts[0]);
        }
        let want: Vec<bool> = node.inputs.iter().map(|i| self.act.operand(*i)).collect();
        let xs: Vec<NodeId> = node.inputs.iter().map(|i| mapped(&self.map, *i)).collect::<GradResult<_>>()?;
        let y = mapped(&self.map, id)?;
        let op = &node.op;
        let ct = cts[0];
        let single = || ct.ok_or_else(|| internal(format!("{} has no cotangent", op.name())));
        let found = match op {
            Op::NoGrad(what) => {
                return Err(GradError::NotDifferentiable { what: what.to_string(), origin: node.origin });
            }
            Op::Check(_) => {
                let d = single()?;
                vec![Some(d.with(b.op(op.clone(), &[d.id, xs[1]])?)), None]
            }
            Op::Store(_) | Op::Tally(_) => std::iter::once(Some(single()?)).chain(xs.iter().skip(1).map(|_| None)).collect(),
            Op::Implicit(i) => implicit::pull(b, i, &xs, y, &cts, &want)?,
            Op::Unary(_) | Op::Binary(_) | Op::Select => elementwise::pull(b, op, &xs, y, single()?, &want)?,
            _ if linear::is_linear(op) => linear::pull(b, op, &xs, single()?, &want)?,
            Op::Reduce(r, axes) if *r != ReduceOp::Sum => vec![reduce::pull(b, *r, axes, xs[0], y, single()?)?],
            Op::Solve { .. } | Op::TriangularSolve { .. } => linalg::pull_solve(b, op, &xs, y, single()?, &want)?,
            Op::SparseMatMul { transposed, .. } => transforms::pull_sparse(b, *transposed, &xs, single()?, &want)?,
            Op::Fft { inverse } => transforms::pull_fft(b, *inverse, &xs, &cts)?,
            Op::Loop(l) => {
                let (found, kept) = control::pull_loop(b, l, &xs, &want, &cts, &node.tys)?;
                self.replaced.push((y, kept));
                found
            }
            Op::Cond { then, other } => control::pull_cond(b, then, other, &xs, &want, &cts)?,
            _ => transpose(b, node, &xs, y, &want, &cts)?,
        };
        for (i, d) in self.region.node(id).inputs.iter().zip(found) {
            self.receive(b, *i, 0, d)?;
        }
        Ok(())
    }
}

/// Cotangents by transposing the tangent: for ops whose tangent is built from linear ones.
fn transpose(
    b: &mut Build,
    node: &Node,
    xs: &[NodeId],
    y: NodeId,
    want: &[bool],
    cts: &[Option<Delta>],
) -> GradResult<Vec<Option<Delta>>> {
    let ys = outputs(b, y)?;
    let mut scratch = Graph::new();
    let copy = |scratch: &mut Graph, b: &Build, ids: &[NodeId]| -> Vec<NodeId> {
        ids.iter().map(|i| scratch.param(b.graph.ty(*i).clone(), node.origin)).collect()
    };
    let inner_xs = copy(&mut scratch, b, xs);
    let inner_ys = copy(&mut scratch, b, &ys);
    let mut ts = Vec::new();
    for (x, w) in xs.iter().zip(want) {
        ts.push(w.then(|| Delta::new(scratch.param(Ty::real(b.shape(*x)), node.origin), false)));
    }
    let outs = {
        let mut sb = Build::new(&mut scratch, node.origin);
        tangents(&mut sb, node, &inner_xs, &inner_ys, &ts)?
    };
    let mut seeds = Vec::new();
    let mut given = Vec::new();
    for (t, ct) in outs.iter().zip(cts.iter().chain(std::iter::repeat(&None))) {
        if let (Some(t), Some(ct)) = (t, ct) {
            scratch.outputs.push(t.id);
            seeds.push(Some(ct.masked));
            given.push(ct.id);
        }
    }
    let count = seeds.len();
    let flags: Vec<bool> = (0..scratch.params().len()).map(|k| k >= xs.len() + ys.len()).collect();
    let pulled = pull_region(&scratch, &flags, &seeds)?;
    let back = pulled.cotangents_only(count)?;
    // The tangents themselves are not read: what is left is linear in the cotangents.
    let mut args: Vec<NodeId> = xs.iter().chain(&ys).copied().collect();
    for (x, w) in xs.iter().zip(want) {
        if *w {
            let shape = b.shape(*x);
            args.push(zeros(b, &shape)?);
        }
    }
    args.extend(given);
    let mut found = b.graph.inline(&back, &args)?.into_iter();
    let mut flags = pulled.cotangents.iter().skip(xs.len() + ys.len());
    let mut result = Vec::new();
    for w in want {
        let flag = if *w { flags.next().copied().flatten() } else { None };
        result.push(match flag.and_then(|m| found.next().map(|id| Delta::new(id, m))) {
            Some(d) => Some(guard_whole(b, cts, d)?),
            None => None,
        });
    }
    Ok(result)
}
