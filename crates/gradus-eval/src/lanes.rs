//! Small work done many times, as one piece of work with lanes: comprehensions, and lists of solves.
//!
//! Starting an operation costs as much as a few hundred numbers. Where the values of one item are no larger than that, all items are
//! computed at once, each a lane; where they are larger, one item after the other keeps them in cache (and a loop without state may
//! be shared among threads). Sizes alone decide, so that the same script always runs in the same way.

use crate::host::Purpose;
use crate::interp::{Interp, Mode};
use crate::solve::decompose::Split;
use crate::solve::report::Finished;
use crate::value::{Eval, Num, Stop, Value};
use gradus_ir::{Array, Dim, Graph, IrResult, Node, NodeId, Op};
use gradus_syntax::Span;
use std::sync::Arc;

/// Elements of a value up to which starting an operation costs about as much as the operation.
const SMALL: usize = 1024;

/// Elements of a value over all lanes that still stay in a cache near the core.
const NEAR: usize = 1 << 17;

/// Elements that a loop collects weigh so much less than those it works on.
const ROWS: usize = 256;

/// Do lanes pay for this region, whose parameters differ from lane to lane where `flags` says so? `looped`: it would be the body of a loop,
/// so that an operation without a form for many lanes gains nothing.
pub fn pay(region: &Graph, flags: &[bool], lanes: usize, looped: bool) -> bool {
    match largest(region, flags, looped) {
        Some(n) => lanes >= 2 && n <= SMALL && n.saturating_mul(lanes) <= NEAR,
        None => false,
    }
}

/// The number of elements of the largest value that differs from lane to lane; `None` where a size is not known, or where an
/// operation inside a loop has no form for many lanes.
fn largest(region: &Graph, flags: &[bool], looped: bool) -> Option<usize> {
    let sources: Vec<NodeId> = region.params().iter().zip(flags).filter(|(_, f)| **f).map(|(p, _)| *p).collect();
    let differs = region.depending(&sources);
    let mut most = 1;
    for (id, node) in region.nodes() {
        if !differs[id.index()] || matches!(node.op, Op::Param(_)) {
            continue;
        }
        let alone = matches!(
            node.op,
            Op::Cholesky | Op::Det | Op::Eigh | Op::Svd | Op::Qr | Op::TriangularSolve { .. } | Op::Solve { .. }
        ) || matches!(node.op, Op::Key | Op::KeyFold | Op::Uniform(_) | Op::Normal(_) | Op::Permutation(_) | Op::Clock);
        if alone && looped {
            return None;
        }
        for (r, flags) in node.op.regions().into_iter().zip(inner_flags(node, &differs)) {
            most = most.max(largest(r, &flags, true)?);
        }
        for (k, t) in node.tys.iter().enumerate() {
            let n = t.shape.count().size()?;
            // What a loop collects is written once, row by row: only its memory counts.
            if collected(region, node, k) {
                most = most.max(n.checked_div(ROWS)?);
            } else {
                most = most.max(n);
            }
        }
    }
    Some(most)
}

/// Which parameters of each region of a node differ from lane to lane. What a loop carries is taken to.
fn inner_flags(node: &Node, differs: &[bool]) -> Vec<Vec<bool>> {
    let inputs: Vec<bool> = node.inputs.iter().map(|i| differs[i.index()]).collect();
    match &node.op {
        Op::Loop(l) => {
            let (carries, rest) = inputs.split_at(l.carries.min(inputs.len()));
            let begin = || std::iter::once(false).chain(carries.iter().map(|_| true));
            let body = begin().chain(rest.iter().copied()).collect();
            let cond = l.cond.as_ref().map(|_| begin().chain(rest.iter().skip(l.scanned).copied()).collect());
            cond.into_iter().chain(std::iter::once(body)).collect()
        }
        Op::Cond { .. } => vec![inputs.get(1..).unwrap_or_default().to_vec(); 2],
        op => op.regions().iter().map(|r| vec![true; r.params().len()]).collect(),
    }
}

/// Is the k-th output of a node (or the node itself, where it picks one) collected by a loop?
fn collected(region: &Graph, node: &Node, k: usize) -> bool {
    match (&node.op, node.inputs.first()) {
        (Op::Loop(l), _) => k > l.carries,
        (Op::Get(k), Some(from)) => matches!(&region.node(*from).op, Op::Loop(l) if *k as usize > l.carries),
        _ => false,
    }
}

/// What a list of solves is doing.
#[derive(Default)]
pub enum Lanes {
    #[default]
    Off,
    /// A solve of an item is only traced: it is left here.
    Collecting(Option<Box<Pending>>),
    /// The solve of this item was traced, and perhaps run.
    Replaying(Option<Box<Pending>>),
}

/// A solve that was traced and not yet reported.
pub struct Pending {
    pub fin: Finished,
    pub split: Split,
    pub span: Span,
    solve: Part,
    measured: Vec<Num>,
}

impl Pending {
    pub fn taken(self) -> (Finished, Split, Part) {
        (self.fin, self.split, self.solve)
    }
}

/// A graph to run, what it reads, and the session's nodes that its outputs are.
pub struct Part {
    pub graph: Graph,
    pub inputs: Vec<Array>,
    ids: Vec<NodeId>,
}

impl Part {
    /// The same with its nodes in the order in which the outputs lead to them. As they stand in the session, what all items share comes before
    /// the rest of every item but the first.
    fn in_order(self) -> IrResult<Part> {
        let from = &self.graph;
        let mut order: Vec<NodeId> = Vec::new();
        let mut seen = vec![false; from.len()];
        let mut work: Vec<(NodeId, usize)> = Vec::new();
        for o in &from.outputs {
            work.push((*o, 0));
            while let Some((id, k)) = work.pop() {
                if k == 0 && std::mem::replace(&mut seen[id.index()], true) {
                    continue;
                }
                match from.node(id).inputs.get(k) {
                    Some(i) => {
                        work.push((id, k + 1));
                        work.push((*i, 0));
                    }
                    None => order.push(id),
                }
            }
        }
        let mut graph = Graph::new();
        let mut inputs = Vec::new();
        let mut map = vec![NodeId(0); from.len()];
        let position = |id: &NodeId| from.params().iter().position(|p| p == id);
        for id in &order {
            if let Some(k) = position(id) {
                map[id.index()] = graph.param(from.ty(*id).clone(), from.node(*id).origin);
                inputs.extend(self.inputs.get(k).cloned());
            }
        }
        for id in &order {
            let node = from.node(*id);
            if !matches!(node.op, Op::Param(_)) {
                let args: Vec<NodeId> = node.inputs.iter().map(|i| map[i.index()]).collect();
                map[id.index()] = graph.add_plain(node.op.clone(), &args, node.origin)?;
            }
        }
        graph.outputs = from.outputs.iter().map(|o| map[o.index()]).collect();
        Ok(Part { graph, inputs, ids: self.ids })
    }
}

impl Interp<'_> {
    /// All items of a comprehension without state at once, where that pays. `region` has the parameters of a loop body: the step, the
    /// item of an array (`rows`), captured values.
    pub(crate) fn as_lanes(&mut self, region: &crate::tracer::Region, rows: Option<Num>, bound: &Dim, span: Span) -> Eval<Option<Vec<Num>>> {
        let own = 1 + usize::from(rows.is_some());
        let flags: Vec<bool> = (0..region.graph.params().len()).map(|k| k < own).collect();
        let pays = |n: &usize| self.mode == Mode::Run && pay(&region.graph, &flags, *n, true);
        let Some(lanes) = bound.size().filter(pays) else { return Ok(None) };
        let batched = gradus_grad::batch(&region.graph, &flags, &Dim::from(lanes))
            .map_err(|e| self.grad_error(e, span))?;
        let step = self.emit(Op::Iota(bound.clone()), &[], span)?;
        let args: Vec<Num> = std::iter::once(step).chain(rows).chain(region.captures.iter().copied()).collect();
        let outs = self.inline(&batched.graph, &args, span)?;
        outs.into_iter()
            .zip(&batched.outputs)
            .map(|(n, b)| {
                let shape = self.ty(n).shape;
                if *b { Ok(n) } else { self.emit(Op::Broadcast(shape.stacked(bound.clone())), &[n], span) }
            })
            .collect::<Eval<Vec<_>>>()
            .map(Some)
    }

    /// The values of `body` at each item, a list of solves: their runs are one with lanes where that pays.
    pub(crate) fn solve_items(&mut self, items: Vec<Value>, body: &mut dyn FnMut(&mut Self, Value) -> Eval<Value>) -> Eval<Vec<Value>> {
        let mut pending = self.collect_solves(&items, body);
        let count = items.len();
        if pending.len() == count && count >= 2 {
            let together = self.run_together(&pending)?;
            for p in &mut pending {
                p.fin.why.push_str(&match together {
                    true => format!("; {count} solves of one form run as {count} lanes of one plan"),
                    false => format!("; {count} solves of one form share one plan"),
                });
            }
        }
        let mut pending = pending.into_iter();
        let mut out = Vec::with_capacity(count);
        for item in items {
            self.lanes = match pending.next() {
                Some(p) => Lanes::Replaying(Some(p)),
                None => Lanes::Off,
            };
            let v = body(self, item);
            self.lanes = Lanes::Off;
            out.push(v?);
        }
        Ok(out)
    }

    /// The solves of the items, traced; as many as have the form of the first.
    #[allow(clippy::vec_box)]
    fn collect_solves(&mut self, items: &[Value], body: &mut dyn FnMut(&mut Self, Value) -> Eval<Value>) -> Vec<Box<Pending>> {
        let mut all: Vec<Box<Pending>> = Vec::new();
        let mut form = None;
        for item in items {
            self.lanes = Lanes::Collecting(None);
            let ended = body(self, item.clone());
            let Lanes::Collecting(Some(p)) = std::mem::take(&mut self.lanes) else { break };
            if ended.is_ok() {
                break;
            }
            let own = gradus_ir::structure(&p.solve.graph);
            // Minibatches are numbered in the order in which solves are traced, which must stay that of the items.
            let stop = p.split.stochastic || *form.get_or_insert(own) != own;
            all.push(p);
            if stop {
                break;
            }
        }
        all
    }

    /// Keep a traced solve for later; the evaluation of its item stops.
    pub(crate) fn postpone(&mut self, fin: Finished, split: Split, solve: &[Num], measured: Vec<Num>, span: Span) -> Eval<Stop> {
        let solve = self.part(solve)?.in_order().map_err(|e| Stop::from(crate::errors::from_ir(&e, span, &[])))?;
        self.lanes = Lanes::Collecting(Some(Box::new(Pending { fin, split, span, solve, measured })));
        Ok(Stop::Poisoned)
    }

    /// The graph that computes what is not known of these values.
    pub(crate) fn part(&mut self, nums: &[Num]) -> Eval<Part> {
        let mut ids: Vec<NodeId> = Vec::new();
        for n in nums {
            if !self.known.contains_key(&n.id) && !ids.contains(&n.id) && self.tracer.is_session(*n) {
                ids.push(n.id);
            }
        }
        let (graph, inputs) = self.closed_graph(&ids)?;
        Ok(Part { graph, inputs, ids })
    }

    /// Are the values of a part known?
    pub(crate) fn has_run(&self, part: &Part) -> bool {
        part.ids.iter().all(|id| self.known.contains_key(id))
    }

    /// Run a part, and keep its values.
    /// Keeps what inner solves did in the run before.
    fn hear(&mut self) {
        let new = self.host.engine().counted();
        crate::solve::levels::merge(&mut self.levels, new);
    }

    pub(crate) fn run_part(&mut self, part: &Part, span: Span) -> Eval<()> {
        self.stage("ir", "solve", &part.graph);
        self.about(Purpose::Solve, span);
        match self.host.engine().run(&part.graph, &part.inputs) {
            Ok(outs) => {
                self.hear();
                self.known.extend(part.ids.iter().copied().zip(outs));
                Ok(())
            }
            Err(f) => Err(self.fault(f)),
        }
    }

    /// The solve that was traced for the item being evaluated.
    pub(crate) fn replayed(&mut self, span: Span) -> Option<Box<Pending>> {
        match &mut self.lanes {
            Lanes::Replaying(p) if p.as_ref().is_some_and(|p| p.span == span) => p.take(),
            _ => None,
        }
    }

    /// Run all of them as lanes of one plan, first the solves, then what is measured at their answers. `false` where that does not pay, or
    /// where it failed: then each runs by itself, and says what is wrong.
    fn run_together(&mut self, all: &[Box<Pending>]) -> Eval<bool> {
        let Some(first) = all.first() else { return Ok(false) };
        let form = gradus_ir::structure(&first.solve.graph);
        let alike = all.iter().all(|p| gradus_ir::structure(&p.solve.graph) == form);
        let parts: Vec<&Part> = all.iter().map(|p| &p.solve).collect();
        let (flags, _) = lane_inputs(&parts);
        if !alike {
            return Ok(false);
        }
        if !pay(&first.solve.graph, &flags, all.len(), false) || !self.run_lanes(&parts, false, first.span)? {
            self.run_apart(&parts, first.span)?;
            return Ok(false);
        }
        let ordered = |s: &mut Self, p: &Pending| {
            s.part(&p.measured)?.in_order().map_err(|e| Stop::from(crate::errors::from_ir(&e, p.span, &[])))
        };
        let measured = all.iter().map(|p| ordered(self, p)).collect::<Eval<Vec<_>>>()?;
        let form = measured.first().map(|p| gradus_ir::structure(&p.graph));
        if measured.iter().all(|p| Some(gradus_ir::structure(&p.graph)) == form) {
            self.run_lanes(&measured.iter().collect::<Vec<_>>(), true, first.span)?;
        }
        Ok(true)
    }

    /// Equal graphs with different inputs, each by itself, on as many threads as there are. One that fails is left to be run, and to say what
    /// is wrong, in its turn.
    fn run_apart(&mut self, parts: &[&Part], span: Span) -> Eval<()> {
        let Some(first) = parts.first() else { return Ok(()) };
        self.stage("ir", "solve", &first.graph);
        self.about(Purpose::Solve, span);
        let inputs: Vec<Vec<Array>> = parts.iter().map(|p| p.inputs.clone()).collect();
        let found = self.host.engine().run_many(&first.graph, &inputs);
        for (p, outs) in parts.iter().zip(found) {
            match outs {
                Ok(outs) => self.known.extend(p.ids.iter().copied().zip(outs)),
                Err(crate::host::Fault::Cancelled) => return Err(Stop::Cancelled),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Equal graphs with different inputs as one run. A fault of any lane is one of all: nothing is kept then.
    fn run_lanes(&mut self, parts: &[&Part], as_written: bool, span: Span) -> Eval<bool> {
        let Some(first) = parts.first() else { return Ok(false) };
        let lanes = parts.len();
        let (flags, inputs) = lane_inputs(parts);
        let batched = match gradus_grad::batch(&first.graph, &flags, &Dim::from(lanes)) {
            Ok(b) => b,
            Err(e) => return Err(self.grad_error(e, span)),
        };
        if !as_written {
            self.stage("ir", "solve in lanes", &batched.graph);
            self.about(Purpose::Solve, span);
        }
        let engine = self.host.engine();
        let ran = if as_written { engine.run_as_written(&batched.graph, &inputs) } else { engine.run(&batched.graph, &inputs) };
        let outs = match ran {
            Ok(outs) => outs,
            Err(crate::host::Fault::Cancelled) => return Err(Stop::Cancelled),
            Err(_) => return Ok(false),
        };
        self.hear();
        for (k, (a, differs)) in outs.iter().zip(&batched.outputs).enumerate() {
            for (l, p) in parts.iter().enumerate() {
                let Some(id) = p.ids.get(k) else { continue };
                let own = if *differs { lane(a, l, lanes) } else { a.clone() };
                self.known.insert(*id, own);
            }
        }
        Ok(true)
    }
}

/// Which inputs differ from lane to lane, and the inputs of all lanes.
fn lane_inputs(parts: &[&Part]) -> (Vec<bool>, Vec<Array>) {
    let (mut flags, mut inputs) = (Vec::new(), Vec::new());
    for (k, a) in parts.first().map(|p| p.inputs.as_slice()).unwrap_or_default().iter().enumerate() {
        let own: Vec<&Array> = parts.iter().filter_map(|p| p.inputs.get(k)).collect();
        // Values that all lanes capture are one value.
        let same = own.iter().all(|b| Arc::ptr_eq(&a.data, &b.data));
        flags.push(!same);
        inputs.push(if same { a.clone() } else { stacked(&own) });
    }
    (flags, inputs)
}

fn stacked(lanes: &[&Array]) -> Array {
    let first = lanes.first().map(|a| (a.dtype, a.shape.clone())).unwrap_or((gradus_ir::DType::Real, Vec::new()));
    let data: Vec<f64> = lanes.iter().flat_map(|a| a.data.iter().copied()).collect();
    Array { dtype: first.0, shape: std::iter::once(lanes.len()).chain(first.1).collect(), data: Arc::new(data) }
}

fn lane(a: &Array, k: usize, lanes: usize) -> Array {
    let size = a.len() / lanes.max(1);
    let data = a.data.get(k * size..(k + 1) * size).unwrap_or_default().to_vec();
    Array { dtype: a.dtype, shape: a.shape.get(1..).unwrap_or_default().to_vec(), data: Arc::new(data) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_ir::Shape;

    #[test]
    fn small_work_pays() {
        let mut g = Graph::new();
        let x = g.param(gradus_ir::Ty::real(Shape::of(&[8])), Default::default());
        let Ok(y) = g.add(Op::Unary(gradus_ir::UnaryOp::Exp), &[x], Default::default()) else { return assert!(g.is_empty()) };
        g.outputs = vec![y];
        let pays = |g: &Graph, lanes| pay(g, &[true], lanes, true);
        assert!(pays(&g, 100) && !pays(&g, 1) && !pays(&g, 1 << 20));
        let Ok(z) = g.add(Op::Broadcast(Shape::of(&[500, 8])), &[y], Default::default()) else { return assert!(g.is_empty()) };
        g.outputs = vec![z];
        assert!(!pays(&g, 100) && pay(&g, &[false], 100, true));
    }
}
