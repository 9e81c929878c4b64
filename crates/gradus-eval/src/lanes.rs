//! Small work done many times, as one piece of work with lanes: comprehensions, and lists of solves.
//!
//! Starting an operation costs as much as a few hundred numbers. Where the values of one item are no larger than that, all items are
//! computed at once, each a lane; where they are larger, one item after the other keeps them in cache (and a loop without state may
//! be shared among threads). Sizes alone decide, so that the same script always runs in the same way.

use crate::interp::{Interp, Mode};
use crate::solve::decompose::Split;
use crate::solve::report::Finished;
use crate::value::{Eval, Num, Stop, Value};
use gradus_ir::{Array, Dim, Graph, NodeId, Op, Shape};
use gradus_syntax::Span;
use std::sync::Arc;

/// Elements of a value up to which starting an operation costs about as much as the operation.
const SMALL: usize = 1024;

/// Elements of a value over all lanes that still stay in a cache near the core.
const NEAR: usize = 1 << 17;

/// Do lanes pay for this region?
pub fn pay(region: &Graph, lanes: usize) -> bool {
    match largest(region) {
        Some(n) => lanes >= 2 && n <= SMALL && n.saturating_mul(lanes) <= NEAR,
        None => false,
    }
}

/// The number of elements of the largest value that is computed in it; `None` where a size is not known, or where an operation has no form
/// for many lanes and would be repeated for each.
fn largest(region: &Graph) -> Option<usize> {
    let mut most = 1;
    for (_, node) in region.nodes() {
        match &node.op {
            Op::Param(_) | Op::Literal(_) => continue,
            Op::Cholesky | Op::Det | Op::Eigh | Op::Svd | Op::Qr | Op::TriangularSolve { .. } | Op::Solve { .. } => return None,
            Op::Key | Op::KeyFold | Op::Uniform(_) | Op::Normal(_) | Op::Permutation(_) | Op::Clock => return None,
            _ => {}
        }
        for r in node.op.regions() {
            most = most.max(largest(r)?);
        }
        for t in &node.tys {
            most = most.max(t.shape.count().size()?);
        }
    }
    Some(most)
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

impl Interp<'_> {
    /// All items of a comprehension without state at once, where that pays. `region` has the parameters of a loop body: the step, the
    /// item of an array (`rows`), captured values.
    pub(crate) fn as_lanes(&mut self, region: &crate::tracer::Region, rows: Option<Num>, bound: &Dim, span: Span) -> Eval<Option<Vec<Num>>> {
        let Some(lanes) = bound.size().filter(|n| self.mode == Mode::Run && pay(&region.graph, *n)) else { return Ok(None) };
        let own = 1 + usize::from(rows.is_some());
        let flags: Vec<bool> = (0..region.graph.params().len()).map(|k| k < own).collect();
        let batched = gradus_grad::batch(&region.graph, &flags, &Dim::from(lanes))
            .map_err(|e| crate::errors::from_grad(&e, span))?;
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
                    false => format!("; {count} solves of one form share one plan, one after the other"),
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
        let solve = self.part(solve)?;
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
    pub(crate) fn run_part(&mut self, part: &Part) -> Eval<()> {
        self.stage("ir", "solve", &part.graph);
        match self.host.engine().run(&part.graph, &part.inputs) {
            Ok(outs) => {
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
        if !alike || !pay(&first.solve.graph, all.len()) {
            return Ok(false);
        }
        let parts: Vec<&Part> = all.iter().map(|p| &p.solve).collect();
        if !self.run_lanes(&parts, false)? {
            return Ok(false);
        }
        let measured = all.iter().map(|p| self.part(&p.measured)).collect::<Eval<Vec<_>>>()?;
        let form = measured.first().map(|p| gradus_ir::structure(&p.graph));
        if measured.iter().all(|p| Some(gradus_ir::structure(&p.graph)) == form) {
            self.run_lanes(&measured.iter().collect::<Vec<_>>(), true)?;
        }
        Ok(true)
    }

    /// Equal graphs with different inputs as one run. A fault of any lane is one of all: nothing is kept then.
    fn run_lanes(&mut self, parts: &[&Part], as_written: bool) -> Eval<bool> {
        let Some(first) = parts.first() else { return Ok(false) };
        let lanes = parts.len();
        let (mut flags, mut inputs) = (Vec::new(), Vec::new());
        for (k, a) in first.inputs.iter().enumerate() {
            let own: Vec<&Array> = parts.iter().filter_map(|p| p.inputs.get(k)).collect();
            // Values that all lanes capture are one value.
            let same = own.iter().all(|b| Arc::ptr_eq(&a.data, &b.data));
            flags.push(!same);
            inputs.push(if same { a.clone() } else { stacked(&own) });
        }
        let batched = match gradus_grad::batch(&first.graph, &flags, &Dim::from(lanes)) {
            Ok(b) => b,
            Err(e) => return Err(crate::errors::from_grad(&e, self.origin_span()).into()),
        };
        if !as_written {
            self.stage("ir", "solve in lanes", &batched.graph);
        }
        let engine = self.host.engine();
        let ran = if as_written { engine.run_as_written(&batched.graph, &inputs) } else { engine.run(&batched.graph, &inputs) };
        let outs = match ran {
            Ok(outs) => outs,
            Err(crate::host::Fault::Cancelled) => return Err(Stop::Cancelled),
            Err(_) => return Ok(false),
        };
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

    #[test]
    fn small_work_pays() {
        let mut g = Graph::new();
        let x = g.param(gradus_ir::Ty::real(Shape::of(&[8])), Default::default());
        let Ok(y) = g.add(Op::Unary(gradus_ir::UnaryOp::Exp), &[x], Default::default()) else { return assert!(g.is_empty()) };
        g.outputs = vec![y];
        assert!(pay(&g, 100) && !pay(&g, 1) && !pay(&g, 1 << 20));
        let Ok(z) = g.add(Op::Broadcast(Shape::of(&[500, 8])), &[y], Default::default()) else { return assert!(g.is_empty()) };
        g.outputs = vec![z];
        assert!(!pay(&g, 100));
    }
}
