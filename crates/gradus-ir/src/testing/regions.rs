//! Random loops and branches.

use super::{Maker, Options};
use crate::build::Build;
use crate::dim::Dim;
use crate::error::IrResult;
use crate::graph::{Graph, NodeId, Origin};
use crate::op::{Loop, Op, Trip};
use crate::ty::{DType, Ty};
use std::sync::Arc;

impl Maker {
    pub(super) fn region(&mut self) -> IrResult<Option<NodeId>> {
        if self.rng.chance(30) { self.branch() } else { self.looping() }
    }

    /// A maker for a region with these parameters, its random choices drawn from this one.
    fn inner(&mut self, params: &[Ty]) -> Maker {
        let mut graph = Graph::new();
        let pool = params.iter().map(|t| graph.param(t.clone(), Origin::default())).collect();
        let rng = super::Rng(self.rng.word());
        let options = Options { steps: 4, ..self.options };
        Maker { graph, pool, rng, options, n: self.n.clone(), m: self.m.clone(), depth: self.depth + 1 }
    }

    fn grow(&mut self) -> IrResult<()> {
        (0..self.options.steps).try_for_each(|_| self.step())
    }

    /// A bounded real of this shape that hangs on the region's random nodes and on its first parameters.
    fn result(&mut self, base: NodeId) -> IrResult<NodeId> {
        let shape = self.graph.shape(base).clone();
        let recent: Vec<NodeId> = self.pool.iter().copied().rev().take(3).collect();
        let mut total = base;
        for r in recent {
            let same = *self.graph.shape(r) == shape;
            let mut b = self.b();
            let x = if same { b.to_real(r)? } else { b.sum_all(r)? };
            let tenth = b.real(0.1)?;
            let small = b.mul(x, tenth)?;
            total = b.add(total, small)?;
        }
        self.squash(total)
    }

    fn branch(&mut self) -> IrResult<Option<NodeId>> {
        let Some(a) = self.real() else { return Ok(None) };
        let y = self.partner(a)?;
        let (a, y) = if self.graph.shape(a).rank() >= self.graph.shape(y).rank() { (a, y) } else { (y, a) };
        // On values only where kinks are allowed.
        let condition = if self.options.smooth {
            let c = self.rng.chance(50);
            let one = self.b().op(Op::Iota(Dim::Known(2)), &[])?;
            let s = self.b().sum_all(one)?;
            let k = self.b().int(if c { 0 } else { 5 })?;
            self.b().lt(s, k)?
        } else {
            let mut b = self.b();
            let (s, zero) = (b.sum_all(a)?, b.real(0.0)?);
            b.lt(s, zero)?
        };
        let tys = [self.graph.ty(a).clone(), self.graph.ty(y).clone()];
        let mut arms = Vec::new();
        for _ in 0..2 {
            let mut arm = self.inner(&tys);
            arm.grow()?;
            let base = arm.graph.params()[0];
            let out = arm.result(base)?;
            arm.graph.outputs = vec![out];
            arms.push(Arc::new(arm.graph));
        }
        let (Some(other), Some(then)) = (arms.pop(), arms.pop()) else { return Ok(None) };
        let c = self.b().op(Op::Cond { then, other }, &[condition, a, y])?;
        self.b().get(c, 0).map(Some)
    }

    fn looping(&mut self) -> IrResult<Option<NodeId>> {
        let n = self.n.clone();
        let Some(carry) = self.pick(|t| t.dtype == DType::Real && t.shape.rank() <= 1) else { return Ok(None) };
        let Some(capture) = self.real() else { return Ok(None) };
        let scan = self.pick(|t| t.dtype == DType::Real && t.shape.rank() > 0 && t.shape.dims()[0] == n);
        let scan = if self.rng.chance(50) { scan } else { None };
        let collected = self.rng.below(2);
        let counter = self.rng.chance(40);
        let limit = if scan.is_some() { n } else { Dim::Known(2 + self.rng.below(3) as i64) };
        let conditional = self.rng.chance(40);

        let int = Ty::scalar(DType::Int);
        let mut carried = vec![self.graph.ty(carry).clone()];
        let mut inputs = vec![carry];
        if counter {
            carried.push(int.clone());
            let zero = self.b().int(0)?;
            inputs.push(zero);
        }
        let mut params = vec![int.clone()];
        params.extend(carried.iter().cloned());
        if let Some(s) = scan {
            params.push(Ty::real(self.graph.shape(s).without(0)));
            inputs.push(s);
        }
        params.push(self.graph.ty(capture).clone());
        inputs.push(capture);

        let mut body = self.inner(&params);
        body.grow()?;
        let base = body.graph.params()[1];
        let mut outs = vec![body.result(base)?];
        if counter {
            let (c, i) = (body.graph.params()[2], body.graph.params()[0]);
            outs.push(body.b().add(c, i)?);
        }
        if collected > 0 {
            let mut b = body.b();
            let s = b.sum_all(base)?;
            let half = b.real(0.5)?;
            outs.push(b.mul(s, half)?);
        }
        body.graph.outputs = outs;

        let cond = if conditional { Some(Arc::new(condition(&carried, self.graph.ty(capture), self.options.smooth)?)) } else { None };
        let trip = if conditional { Trip::While { limit } } else { Trip::Count(limit) };
        let op = Op::Loop(Box::new(Loop {
            trip,
            carries: carried.len(),
            scanned: usize::from(scan.is_some()),
            collected,
            cond,
            body: Arc::new(body.graph),
            label: "random".into(),
        }));
        let l = self.b().op(op, &inputs)?;
        let steps = self.b().get(l, 0)?;
        self.pool.push(steps);
        if collected > 0 {
            let c = self.b().get(l, 1 + carried.len())?;
            self.pool.push(c);
        }
        if counter {
            let c = self.b().get(l, 2)?;
            self.pool.push(c);
        }
        self.b().get(l, 1).map(Some)
    }
}

/// `step < 2`, and in graphs with kinks also a test of the first carried value.
fn condition(carried: &[Ty], capture: &Ty, smooth: bool) -> IrResult<Graph> {
    let mut g = Graph::new();
    let step = g.param(Ty::scalar(DType::Int), Origin::default());
    let carries: Vec<NodeId> = carried.iter().map(|t| g.param(t.clone(), Origin::default())).collect();
    g.param(capture.clone(), Origin::default());
    let mut b = Build::new(&mut g, Origin::default());
    let two = b.int(2)?;
    let mut go = b.lt(step, two)?;
    if !smooth && let Some(first) = carries.first() {
        let s = b.square(*first)?;
        let (total, bound) = (b.sum_all(s)?, b.real(0.8)?);
        let large = b.gt(total, bound)?;
        go = b.and(go, large)?;
    }
    g.outputs = vec![go];
    Ok(g)
}
