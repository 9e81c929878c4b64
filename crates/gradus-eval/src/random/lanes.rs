//! Many independent runs of one expression, all at once where that pays.

use crate::interp::{Interp, Mode};
use crate::tree::TypeTree;
use crate::value::{Eval, Num, Stop, Value};
use gradus_ir::{DType, Dim, Loop, NodeId, Op, Shape, Trip, Ty};
use gradus_syntax::Span;
use std::collections::HashMap;
use std::sync::Arc;

/// What is known of random draws while an expression is traced.
#[derive(Default)]
pub struct Draws {
    /// The indices of the loops around, since the key was set: each pass draws its own numbers.
    pub loops: Vec<Num>,
    /// Runs of each outermost expectation of an objective, where more than one.
    pub samples: Option<Dim>,
    /// Where the choices stand whose strategies are running, innermost last.
    pub sites: Vec<gradus_syntax::Span>,
    /// Values of expectations in the objective being traced.
    pub estimates: Vec<super::linear::Estimate>,
    /// How many densities are being evaluated.
    pub densities: usize,
    /// Jumps that do no harm to a derivative.
    pub harmless: std::collections::HashSet<Num>,
    lane: Option<Lane>,
}

/// A run among many.
struct Lane {
    /// The key of all of them.
    base: Num,
    index: Num,
    runs: Dim,
    /// How many graphs are under construction outside.
    depth: usize,
    /// For the key of a site in this run, the key of that site for all of them.
    sites: HashMap<Num, Num>,
    /// Noise of all runs, made outside.
    noise: Vec<Num>,
}

/// Noise that a sampler transforms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    Normal,
    Uniform,
}

impl Noise {
    fn op(self, shape: Shape) -> Op {
        match self {
            Noise::Normal => Op::Normal(shape),
            Noise::Uniform => Op::Uniform(shape),
        }
    }
}

impl Interp<'_> {
    /// The key of a site in the run being traced, where it is one of many with this key.
    pub(super) fn lane_key(&mut self, base: Num, site: u64, span: Span) -> Eval<Option<Num>> {
        let Some((index, depth)) = self.draws.lane.as_ref().filter(|l| l.base == base).map(|l| (l.index, l.depth)) else {
            return Ok(None);
        };
        let number = Op::Const(gradus_ir::F64::new(site as f64), DType::Int);
        let site = self.emit_outside(depth, number, &[], span)?;
        let all = self.emit_outside(depth, Op::KeyFold, &[base, site], span)?;
        let key = self.emit(Op::KeyFold, &[all, index], span)?;
        if let Some(l) = &mut self.draws.lane {
            l.sites.insert(key, all);
        }
        Ok(Some(key))
    }

    /// Noise of a shape. Where the key is that of a site in one of many runs, the noise of all runs is drawn at once.
    pub(crate) fn noise(&mut self, kind: Noise, shape: Shape, key: Num, span: Span) -> Eval<Num> {
        let lane = self.draws.lane.as_ref().and_then(|l| Some((*l.sites.get(&key)?, l.index, l.runs.clone(), l.depth)));
        let Some((all, index, runs, depth)) = lane else { return self.emit(kind.op(shape), &[key], span) };
        let noise = self.emit_outside(depth, kind.op(shape.stacked(runs)), &[all], span)?;
        if let Some(l) = &mut self.draws.lane
            && !l.noise.contains(&noise)
        {
            l.noise.push(noise);
        }
        self.emit(Op::Take { axis: 0 }, &[noise, index], span)
    }

    fn emit_outside(&mut self, depth: usize, op: Op, inputs: &[Num], span: Span) -> Eval<Num> {
        self.tracer.emit_at(depth, op, inputs).map_err(|e| Stop::from(crate::errors::from_ir(&e, span, &[])))
    }

    /// `body` in `runs` independent runs, whose draws have keys made from `base`: its results along a new first axis.
    pub(crate) fn many_runs(&mut self, runs: &Dim, base: Num, span: Span, body: &mut dyn FnMut(&mut Self) -> Eval<Value>) -> Eval<Value> {
        let saved = (self.step_key.replace(base), std::mem::take(&mut self.draws.loops), self.draws.lane.take());
        let depth = self.tracer.depth();
        let mut tree: Option<TypeTree> = None;
        let mut noise = Vec::new();
        let region = self.region(&[Ty::scalar(DType::Int)], span, |s, args| {
            let index = args.first().copied().ok_or(Stop::Poisoned)?;
            let lane = Lane { base, index, runs: runs.clone(), depth, sites: HashMap::new(), noise: Vec::new() };
            s.draws.lane = Some(lane);
            let v = body(s)?;
            noise = s.draws.lane.take().map(|l| l.noise).unwrap_or_default();
            tree = Some(s.type_tree(&v, span)?);
            s.leaves(&v, span)
        });
        (self.step_key, self.draws.loops, self.draws.lane) = saved;
        let (region, tree) = (region?, tree.ok_or(Stop::Poisoned)?);
        let fail = |e: gradus_ir::IrError| Stop::from(crate::errors::from_ir(&e, span, &[]));

        // A run reads its row of the noise of all runs: the row becomes what differs from run to run.
        let g = &region.graph;
        let params = g.params();
        let capture = |id: NodeId| params.iter().position(|p| *p == id).and_then(|k| k.checked_sub(1)).and_then(|k| region.captures.get(k));
        let row = |id: NodeId| match (&g.node(id).op, g.node(id).inputs.as_slice()) {
            (Op::Take { axis: 0 }, [from, at]) if params.first() == Some(at) => capture(*from).copied().filter(|n| noise.contains(n)),
            _ => None,
        };
        let (one, feeds) = g.extract(&g.outputs, |id| row(id).is_some()).map_err(fail)?;
        let flags: Vec<bool> = feeds.iter().map(|f| row(*f).is_some() || params.first() == Some(f)).collect();
        let known = runs.size().filter(|n| self.mode == Mode::Run && crate::lanes::pay(&one, &flags, *n, true));
        if known.is_some() {
            let batched = gradus_grad::batch(&one, &flags, runs).map_err(|e| self.grad_error(e, span))?;
            let mut args = Vec::with_capacity(feeds.len());
            for f in &feeds {
                args.push(match row(*f).or_else(|| capture(*f).copied()) {
                    Some(n) => n,
                    None => self.emit(Op::Iota(runs.clone()), &[], span)?,
                });
            }
            let outs = self.inline(&batched.graph, &args, span)?;
            let mut leaves = Vec::with_capacity(outs.len());
            for (n, b) in outs.into_iter().zip(&batched.outputs) {
                let shape = self.ty(n).shape;
                leaves.push(if *b { n } else { self.emit(Op::Broadcast(shape.stacked(runs.clone())), &[n], span)? });
            }
            return tree.build(&mut leaves.into_iter()).ok_or(Stop::Poisoned);
        }
        let count = g.outputs.len();
        let inputs = region.captures.clone();
        let l = Loop {
            trip: Trip::Count(runs.clone()),
            carries: 0,
            scanned: 0,
            collected: count,
            cond: None,
            body: Arc::new(region.graph),
            label: Arc::from("draws"),
        };
        let node = self.emit(Op::Loop(Box::new(l)), &inputs, span)?;
        let leaves = (0..count).map(|k| self.emit(Op::Get(k as u32 + 1), &[node], span)).collect::<Eval<Vec<_>>>()?;
        tree.build(&mut leaves.into_iter()).ok_or(Stop::Poisoned)
    }
}
