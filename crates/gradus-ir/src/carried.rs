//! Inner solves in loops, after the last derivative: what `store` puts down reaches `recall` in the next step as a carried value of
//! the loop around it, and what `tally` counts becomes outputs of the graph.
//!
//! A loop whose steps do not depend on each other stays one: each step has its own memory, one row of an array.

use crate::build::Build;
use crate::dim::Dim;
use crate::error::{IrError, IrResult};
use crate::graph::{Graph, Node, NodeId, Origin};
use crate::op::{Loop, Op, ReduceOp, Trip};
use crate::structure::structure;
use crate::ty::{DType, Shape, Ty};
use std::collections::HashMap;
use std::sync::Arc;

/// What is counted of the solves of one place. Their numbers are three outputs of the graph:
/// `[solves, steps in all, residuals in all, not converged, run away]`, `[fewest steps, smallest residual]`, `[most, largest]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Counted {
    pub name: Arc<str>,
    pub origin: Origin,
}

/// Outputs that the numbers of one place take.
pub const COUNTS: usize = 3;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Key {
    /// A value that is remembered, by name and type; with the axes that independent loops have put in front.
    Memory { name: Arc<str>, ty: Ty, lead: Shape },
    Tally(Counted),
}

impl Key {
    /// The types of what is carried: is there a value, and the value; or the numbers.
    fn types(&self) -> Vec<Ty> {
        match self {
            Key::Memory { ty, lead, .. } => vec![Ty::new(DType::Bool, lead.clone()), ty.clone()],
            Key::Tally(_) => [5, 2, 2].map(|n| Ty::real(Shape::new([Dim::Known(n)]))).to_vec(),
        }
    }

    fn empty(&self, b: &mut Build) -> IrResult<Vec<NodeId>> {
        let tys = self.types();
        let first = |k: usize| tys[k].shape.clone();
        match self {
            Key::Memory { .. } => {
                let none = b.bool(false)?;
                Ok(vec![b.broadcast(none, &first(0))?, b.full(0.0, &first(1))?])
            }
            Key::Tally(_) => {
                Ok(vec![b.full(0.0, &first(0))?, b.full(f64::INFINITY, &first(1))?, b.full(f64::NEG_INFINITY, &first(2))?])
            }
        }
    }

    /// The same seen from outside the loop.
    fn outside(&self, l: &Loop) -> Key {
        match self {
            Key::Memory { name, ty, lead } if independent(l) => Key::Memory {
                name: name.clone(),
                ty: Ty::new(ty.dtype, ty.shape.stacked(l.trip.bound().clone())),
                lead: lead.stacked(l.trip.bound().clone()),
            },
            key => key.clone(),
        }
    }
}

/// Steps that do not depend on each other.
fn independent(l: &Loop) -> bool {
    l.carries == 0 && matches!(l.trip, Trip::Count(_))
}

/// The remembered things of one graph, and where each is now.
#[derive(Clone, Default)]
struct State(Vec<(Key, Vec<NodeId>)>);

impl State {
    fn get(&self, key: &Key) -> Option<&[NodeId]> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_slice())
    }

    /// `open`: may there be new ones?
    fn set(&mut self, key: Key, v: Vec<NodeId>, open: bool) {
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => *old = v,
            None if open => self.0.push((key, v)),
            None => {}
        }
    }

    fn or_empty(&self, key: &Key, b: &mut Build) -> IrResult<Vec<NodeId>> {
        match self.get(key) {
            Some(v) => Ok(v.to_vec()),
            None => key.empty(b),
        }
    }
}

impl Graph {
    /// The graph without `recall`, `store` and `tally`: loops carry what is remembered, and the numbers of each tally are the
    /// last outputs, `COUNTS` for each that is returned.
    pub fn carrying(&self) -> IrResult<(Graph, Vec<Counted>)> {
        // Equal solves are one: then the value and the gradient of an objective share them.
        let from = shared(self, &mut HashMap::new())?;
        let mut g = Graph::new();
        let args: Vec<NodeId> = from.params().iter().map(|p| g.param(from.ty(*p).clone(), from.node(*p).origin)).collect();
        let mut state = State::default();
        g.outputs = walk(&from, &mut g, &args, &mut state, true)?;
        let mut counted = Vec::new();
        for (key, v) in state.0 {
            if let Key::Tally(c) = key {
                g.outputs.extend(v);
                counted.push(c);
            }
        }
        Ok((g, counted))
    }

    /// Is there anything here, at any depth, that `carrying` would change?
    pub fn has_notes(&self) -> bool {
        self.nodes().any(|(_, n)| {
            matches!(n.op, Op::Recall(_) | Op::Store(_) | Op::Tally(_)) || n.op.regions().iter().any(|r| r.has_notes())
        })
    }
}

/// The same graph in which regions of equal structure are one, and with them equal loops.
fn shared(g: &Graph, seen: &mut HashMap<u128, Arc<Graph>>) -> IrResult<Graph> {
    let region = |r: &Arc<Graph>, seen: &mut HashMap<u128, Arc<Graph>>| -> IrResult<Arc<Graph>> {
        let r = Arc::new(shared(r, seen)?);
        Ok(seen.entry(structure(&r)).or_insert(r).clone())
    };
    let mut out = Graph::new();
    let live = g.live();
    let mut map: Vec<Option<NodeId>> = vec![None; g.len()];
    for p in g.params() {
        map[p.index()] = Some(out.param(g.ty(*p).clone(), g.node(*p).origin));
    }
    for (id, node) in g.nodes() {
        if !live[id.index()] || map[id.index()].is_some() {
            continue;
        }
        let op = match &node.op {
            Op::Loop(l) => {
                let body = region(&l.body, seen)?;
                let cond = l.cond.as_ref().map(|c| region(c, seen)).transpose()?;
                Op::Loop(Box::new(Loop { body, cond, ..(**l).clone() }))
            }
            Op::Cond { then, other } => Op::Cond { then: region(then, seen)?, other: region(other, seen)? },
            op => op.clone(),
        };
        let inputs = node.inputs.iter().map(|i| mapped(&map, *i)).collect::<IrResult<Vec<_>>>()?;
        map[id.index()] = Some(out.add(op, &inputs, node.origin)?);
    }
    out.outputs = g.outputs.iter().map(|o| mapped(&map, *o)).collect::<IrResult<_>>()?;
    Ok(out)
}

fn mapped(map: &[Option<NodeId>], id: NodeId) -> IrResult<NodeId> {
    map.get(id.index()).copied().flatten().ok_or_else(|| IrError::Internal(format!("node %{} was not copied before its use", id.0)))
}

/// What a region remembers. A solve that is the same in every step of its loop need not start anew: it is left to be moved out.
fn keys(g: &Graph, varying: &[NodeId]) -> Vec<Key> {
    let (live, varies) = (g.live(), g.depending(varying));
    let mut out: Vec<Key> = Vec::new();
    let mut note = |k: Key| {
        if !out.contains(&k) {
            out.push(k);
        }
    };
    for (id, node) in g.nodes().filter(|(id, _)| live[id.index()]) {
        let all = varies[id.index()];
        let wanted = |k: &Key| all || matches!(k, Key::Tally(_));
        match &node.op {
            Op::Store(name) if all => note(memory(name, node)),
            Op::Tally(name) => note(tally(name, node)),
            Op::Loop(l) => keys(&l.body, changing(l)).iter().map(|k| k.outside(l)).filter(wanted).for_each(&mut note),
            Op::Cond { then, other } => {
                for r in [then, other] {
                    keys(r, r.params()).into_iter().filter(wanted).for_each(&mut note);
                }
            }
            _ => {}
        }
    }
    out
}

/// The body's parameters that are not the same in every step.
fn changing(l: &Loop) -> &[NodeId] {
    let params = l.body.params();
    &params[..params.len().min(1 + l.carries + l.scanned)]
}

fn memory(name: &Arc<str>, node: &Node) -> Key {
    Key::Memory { name: name.clone(), ty: node.ty().clone(), lead: Shape::new([]) }
}

fn tally(name: &Arc<str>, node: &Node) -> Key {
    Key::Tally(Counted { name: name.clone(), origin: node.origin })
}

/// Copies `g` into `out` with `args` for its parameters. `top`: outside of all loops, where solves do not hear of each other.
fn walk(g: &Graph, out: &mut Graph, args: &[NodeId], state: &mut State, top: bool) -> IrResult<Vec<NodeId>> {
    let live = g.live();
    let mut map: Vec<Option<NodeId>> = vec![None; g.len()];
    for (p, a) in g.params().iter().zip(args) {
        map[p.index()] = Some(*a);
    }
    // Nodes that got more outputs: where each old one is.
    let mut grown: HashMap<NodeId, Grown> = HashMap::new();
    for (id, node) in g.nodes() {
        if !live[id.index()] || map[id.index()].is_some() {
            continue;
        }
        if let (Op::Get(k), Some(n)) = (&node.op, node.inputs.first().and_then(|i| grown.get(i))) {
            map[id.index()] = Some(Build::new(out, node.origin).get(n.node, n.place(*k as usize))?);
            continue;
        }
        let xs = node.inputs.iter().map(|i| mapped(&map, *i)).collect::<IrResult<Vec<_>>>()?;
        let b = &mut Build::new(out, node.origin);
        let first = |xs: &[NodeId]| xs.first().copied().ok_or_else(|| IrError::Internal("a mark without an operand".into()));
        let new = match &node.op {
            Op::Recall(name) => match state.get(&memory(name, node)) {
                Some([there, v]) if !top => b.select(*there, *v, first(&xs)?)?,
                _ => first(&xs)?,
            },
            Op::Store(name) => {
                let v = vec![b.bool(true)?, first(&xs)?];
                state.set(memory(name, node), v, top);
                first(&xs)?
            }
            Op::Tally(name) => {
                let key = tally(name, node);
                let old = state.or_empty(&key, b)?;
                state.set(key, counted(b, &xs, &old)?, top);
                first(&xs)?
            }
            Op::Loop(l) => {
                let n = looping(l, b, &xs, state, top)?;
                let id_new = n.node;
                grown.insert(id, n);
                id_new
            }
            Op::Cond { then, other } => {
                let node_new = branching(then, other, b, &xs, state, top)?;
                let only = node.tys.len() == 1 && b.graph.node(node_new).tys.len() > 1;
                grown.insert(id, Grown { node: node_new, carries: usize::MAX, more: 0 });
                if only { b.get(node_new, 0)? } else { node_new }
            }
            op => b.op(op.clone(), &xs)?,
        };
        map[id.index()] = Some(new);
    }
    g.outputs.iter().map(|o| mapped(&map, *o)).collect()
}

/// A node with `more` outputs behind the first `carries + 1`.
struct Grown {
    node: NodeId,
    carries: usize,
    more: usize,
}

impl Grown {
    fn place(&self, k: usize) -> usize {
        if k <= self.carries { k } else { k + self.more }
    }
}

fn looping(l: &Loop, b: &mut Build, xs: &[NodeId], state: &mut State, top: bool) -> IrResult<Grown> {
    let (c, s) = (l.carries, l.scanned);
    let inner = keys(&l.body, changing(l));
    let apart = independent(l);
    // Tallies of independent steps are summed afterwards.
    let brought: Vec<&Key> = inner.iter().filter(|k| !apart || matches!(k, Key::Memory { .. })).collect();
    let mut given = Vec::new();
    for k in &brought {
        given.extend(state.or_empty(&k.outside(l), b)?);
    }
    let origin = b.origin;
    let mut body = Graph::new();
    let old = l.body.params();
    let mut args: Vec<NodeId> = old[..1 + c].iter().map(|p| body.param(l.body.ty(*p).clone(), origin)).collect();
    let mut mine = State::default();
    let memories = |g: &mut Graph, mine: &mut State| {
        for k in &brought {
            let v = k.types().into_iter().map(|t| g.param(t, origin)).collect();
            mine.set((*k).clone(), v, true);
        }
    };
    if !apart {
        memories(&mut body, &mut mine);
    }
    args.extend(old[1 + c..1 + c + s].iter().map(|p| body.param(l.body.ty(*p).clone(), origin)));
    if apart {
        memories(&mut body, &mut mine);
        for k in inner.iter().filter(|k| matches!(k, Key::Tally(_))) {
            let v = k.empty(&mut Build::new(&mut body, origin))?;
            mine.set(k.clone(), v, true);
        }
    }
    args.extend(old[1 + c + s..].iter().map(|p| body.param(l.body.ty(*p).clone(), origin)));
    let mut outs = walk(&l.body, &mut body, &args, &mut mine, false)?;
    let tail = outs.split_off(c);
    let mut kept = Vec::new();
    for k in &inner {
        kept.extend(mine.or_empty(k, &mut Build::new(&mut body, origin))?);
    }
    body.outputs = if apart { [outs, tail, kept.clone()].concat() } else { [outs, kept.clone(), tail].concat() };
    let cond = match &l.cond {
        Some(cond) => {
            let mut g = Graph::new();
            let old = cond.params();
            let mut args: Vec<NodeId> = old[..1 + c].iter().map(|p| g.param(cond.ty(*p).clone(), origin)).collect();
            let mut mine = State::default();
            if !apart {
                memories(&mut g, &mut mine);
            }
            args.extend(old[1 + c..].iter().map(|p| g.param(cond.ty(*p).clone(), origin)));
            g.outputs = walk(cond, &mut g, &args, &mut mine, false)?;
            Some(Arc::new(g))
        }
        None => None,
    };
    let op = Loop {
        trip: l.trip.clone(),
        carries: if apart { c } else { c + kept.len() },
        scanned: if apart { s + given.len() } else { s },
        collected: if apart { l.collected + kept.len() } else { l.collected },
        cond,
        body: Arc::new(body),
        label: l.label.clone(),
    };
    let inputs = match apart {
        true => [&xs[..c + s], &given, &xs[c + s..]].concat(),
        false => [&xs[..c], &given, &xs[c..]].concat(),
    };
    let node = b.op(Op::Loop(Box::new(op)), &inputs)?;
    let mut at = 1 + c + if apart { l.collected } else { 0 };
    for k in inner {
        let mut v = Vec::new();
        for _ in k.types() {
            v.push(b.get(node, at)?);
            at += 1;
        }
        if apart && let Key::Tally(_) = k {
            let old = state.or_empty(&k, b)?;
            let sum = b.reduce(ReduceOp::Sum, v[0], &[0])?;
            let (min, max) = (b.reduce(ReduceOp::Min, v[1], &[0])?, b.reduce(ReduceOp::Max, v[2], &[0])?);
            v = vec![b.add(old[0], sum)?, b.minimum(old[1], min)?, b.maximum(old[2], max)?];
        }
        state.set(k.outside(l), v, top);
    }
    Ok(Grown { node, carries: c, more: if apart { 0 } else { kept.len() } })
}

fn branching(then: &Graph, other: &Graph, b: &mut Build, xs: &[NodeId], state: &mut State, top: bool) -> IrResult<NodeId> {
    let mut both = keys(then, then.params());
    for k in keys(other, other.params()) {
        if !both.contains(&k) {
            both.push(k);
        }
    }
    let mut given = Vec::new();
    for k in &both {
        given.extend(state.or_empty(k, b)?);
    }
    let origin = b.origin;
    let branch = |region: &Graph| -> IrResult<Arc<Graph>> {
        let mut g = Graph::new();
        let args: Vec<NodeId> = region.params().iter().map(|p| g.param(region.ty(*p).clone(), origin)).collect();
        let mut mine = State::default();
        for k in &both {
            let v = k.types().into_iter().map(|t| g.param(t, origin)).collect();
            mine.set(k.clone(), v, true);
        }
        let mut outs = walk(region, &mut g, &args, &mut mine, false)?;
        outs.extend(mine.0.iter().flat_map(|(_, v)| v));
        g.outputs = outs;
        Ok(Arc::new(g))
    };
    let op = Op::Cond { then: branch(then)?, other: branch(other)? };
    let node = b.op(op, &[xs, &given].concat())?;
    let mut at = then.outputs.len();
    for k in both {
        let mut v = Vec::new();
        for _ in k.types() {
            v.push(b.get(node, at)?);
            at += 1;
        }
        state.set(k, v, top);
    }
    Ok(node)
}

/// The numbers after one more solve, or one for each lane: `(value, code, steps, residual)`.
fn counted(b: &mut Build, xs: &[NodeId], old: &[NodeId]) -> IrResult<Vec<NodeId>> {
    let [_, code, steps, residual] = xs else { return Err(IrError::Internal("a tally takes four operands".into())) };
    let shape = b.shape(*code);
    let zero = b.real(0.0)?;
    let mut lanes = Vec::new();
    for x in [*code, *steps, *residual] {
        let x = b.to_real(x)?;
        lanes.push(if b.shape(x).rank() < shape.rank() { b.broadcast(x, &shape)? } else { x });
    }
    let (code, steps, residual) = (lanes[0], lanes[1], lanes[2]);
    let over = |b: &mut Build, r: ReduceOp, x: NodeId| -> IrResult<NodeId> {
        let axes: Vec<usize> = (0..b.shape(x).rank()).collect();
        let v = b.reduce(r, x, &axes)?;
        b.reshape(v, &Shape::new([Dim::Known(1)]))
    };
    let ones = b.full(1.0, &shape)?;
    let unfinished = b.eq(code, zero)?;
    let unfinished = b.to_real(unfinished)?;
    let bound = b.real(3.0)?;
    let away = b.ge(code, bound)?;
    let away = b.to_real(away)?;
    let mut row = Vec::new();
    for x in [ones, steps, residual, unfinished, away] {
        row.push(over(b, ReduceOp::Sum, x)?);
    }
    let sums = b.op(Op::Concat { axis: 0 }, &row)?;
    let mut ends = Vec::new();
    for r in [ReduceOp::Min, ReduceOp::Max] {
        let pair = [over(b, r, steps)?, over(b, r, residual)?];
        ends.push(b.op(Op::Concat { axis: 0 }, &pair)?);
    }
    Ok(vec![b.add(old[0], sums)?, b.minimum(old[1], ends[0])?, b.maximum(old[2], ends[1])?])
}
