//! From regions to the sea: captured values become operands, carried values that never change become their initial values, and
//! what no output needs is left out.

use crate::sea::{Deps, Kids, LoopInfo, Sea, SeaNode, Sop, Types};
use egg::Id;
use gradus_ir::infer::infer;
use gradus_ir::{DType, Dim, Graph, IrError, IrResult, Loop, NodeId, Op, Origin, Trip, Ty, UnaryOp};
use indexmap::IndexMap;

/// What a node of a region became.
#[derive(Clone)]
enum Place {
    One(Id),
    /// A loop: where each of its outputs went.
    Loop(Vec<Option<Output>>),
}

#[derive(Clone, Copy)]
enum Output {
    /// The k-th output of the new loop.
    Get(Id, u32),
    /// A value that exists outside: the initial value of a carry that never changes.
    Same(Id),
}

/// Around a region: the loop it is the body of.
#[derive(Clone)]
struct Context {
    inside: Option<u32>,
    /// The loops around that may run zero times, which an op that can fault must not leave.
    pin: Deps,
}

/// Replaces the op of a `cond` node before it enters the sea; used to rewrite its branches.
pub type Branches<'b> = &'b mut dyn FnMut(&Op, f64) -> IrResult<Op>;

/// The sea of a graph. `branches` is called with each `cond` and with how often it is taken to run.
pub fn import(graph: &Graph, branches: Branches<'_>) -> IrResult<Sea> {
    let mut sea = Sea::default();
    let mut args = Vec::new();
    for (k, p) in graph.params().iter().enumerate() {
        let node = graph.node(*p);
        sea.params.push((node.ty().clone(), node.origin));
        args.push(sea.add(Sop::Ir(Op::Param(k as u32)), Kids::new(), node.origin, Some(node.tys.clone()))?);
    }
    let cx = Context { inside: None, pin: Deps::new() };
    let want: Vec<usize> = (0..graph.outputs.len()).collect();
    sea.outputs = region(&mut sea, graph, &args, &want, &cx, branches)?;
    Ok(sea)
}

impl Sea {
    pub(crate) fn add(&mut self, op: Sop, kids: Kids, origin: Origin, tys: Option<Types>) -> IrResult<Id> {
        let tys = match tys {
            Some(t) => t,
            None => self.infer(&op, &kids)?,
        };
        if let Some(id) = self.shared.get(&(op.clone(), kids.clone())) {
            return Ok(*id);
        }
        let id = Id::from(self.nodes.len());
        self.nodes.push(SeaNode { op: op.clone(), kids: kids.clone(), origin, tys, written: self.open });
        self.shared.insert((op, kids), id);
        Ok(id)
    }

    fn infer(&self, op: &Sop, kids: &Kids) -> IrResult<Types> {
        let types: Vec<&[Ty]> = kids.iter().map(|k| self.node(*k).tys.as_slice()).collect();
        match (op, op.ir()) {
            (_, Some(ir)) => infer(ir, &types),
            (Sop::LoopParam { of, index }, _) => Ok(self
                .loops
                .get(*of as usize)
                .and_then(|l| l.params.get(*index as usize))
                .into_iter()
                .cloned()
                .collect()),
            (Sop::Loop(l), _) => Ok(self.loops.get(*l as usize).map(|l| l.outputs.clone()).unwrap_or_default()),
            _ => Err(IrError::Internal("a normal form cannot be imported".into())),
        }
    }

    /// The value with the element type that a parameter declares.
    fn declared(&mut self, value: Id, want: &Ty, origin: Origin) -> IrResult<Id> {
        let found = self.node(value).tys.first().map(|t| t.dtype);
        let op = match (found, want.dtype) {
            (Some(f), w) if f == w => return Ok(value),
            (_, DType::Real) => UnaryOp::ToReal,
            (_, DType::Int) => UnaryOp::ToInt,
            _ => return Err(IrError::Internal("a captured value has the wrong element type".into())),
        };
        self.add(Sop::Ir(Op::Unary(op)), Kids::from_slice(&[value]), origin, None)
    }
}

/// Ops that stop the run for some operands.
fn may_fault(op: &Op) -> bool {
    match op {
        Op::Take { .. }
        | Op::TakeAlong { .. }
        | Op::ScatterAdd { .. }
        | Op::ScatterAddAlong { .. }
        | Op::ScatterSet { .. }
        | Op::SparseMatMul { .. } => true,
        _ => op.regions().iter().any(|g| g.nodes().any(|(_, n)| may_fault(&n.op))),
    }
}

fn region(
    sea: &mut Sea,
    g: &Graph,
    args: &[Id],
    want: &[usize],
    cx: &Context,
    branches: Branches<'_>,
) -> IrResult<Vec<Id>> {
    let targets: Vec<NodeId> = want.iter().filter_map(|k| g.outputs.get(*k).copied()).collect();
    let live = g.reaching(&targets, |_| false);
    // Which outputs of each loop something asks for.
    let mut asked: IndexMap<NodeId, Vec<u32>> = IndexMap::new();
    for (id, node) in g.nodes() {
        if live[id.index()]
            && let Op::Get(k) = node.op
            && let Some(of) = node.inputs.first()
        {
            asked.entry(*of).or_default().push(k);
        }
    }
    let mut map: Vec<Option<Place>> = vec![None; g.len()];
    for (k, p) in g.params().iter().enumerate() {
        if let Some(a) = args.get(k) {
            let want = g.ty(*p).clone();
            map[p.index()] = Some(Place::One(sea.declared(*a, &want, g.node(*p).origin)?));
        }
    }
    for (id, node) in g.nodes() {
        if map[id.index()].is_some() || !live[id.index()] {
            continue;
        }
        if let (Op::Get(k), Some(of)) = (&node.op, node.inputs.first())
            && let Some(Place::Loop(outs)) = &map[of.index()]
        {
            let place = match outs.get(*k as usize).copied().flatten() {
                Some(Output::Same(v)) => v,
                Some(Output::Get(l, j)) => {
                    let got = sea.add(Sop::Ir(Op::Get(j)), Kids::from_slice(&[l]), node.origin, None)?;
                    sea.declared(got, node.ty(), node.origin)?
                }
                None => return Err(IrError::Internal("an output of a loop was dropped although it is used".into())),
            };
            map[id.index()] = Some(Place::One(place));
            continue;
        }
        let mut kids = Kids::new();
        for i in &node.inputs {
            match &map[i.index()] {
                Some(Place::One(v)) => kids.push(*v),
                _ => return Err(IrError::Internal(format!("node %{} is used before it exists", i.0))),
            }
        }
        let place = match &node.op {
            Op::Loop(l) => {
                let wanted = asked.get(&id).cloned().unwrap_or_default();
                Place::Loop(import_loop(sea, l, &kids, &wanted, cx, node.origin, branches)?)
            }
            // Marks for differentiation, which has been done.
            Op::Unary(UnaryOp::StopGrad) | Op::NoGrad(_) => {
                Place::One(*kids.first().ok_or_else(|| IrError::Internal("an identity without operand".into()))?)
            }
            Op::Clock => {
                sea.serial += 1;
                let op = Sop::Unique { op: Op::Clock, within: cx.inside, serial: sea.serial };
                Place::One(sea.add(op, kids, node.origin, None)?)
            }
            op => {
                let op = match op {
                    Op::Cond { .. } => branches(op, times(sea, cx.inside))?,
                    _ => op.clone(),
                };
                let op = if !cx.pin.is_empty() && may_fault(&op) {
                    Sop::Pinned { op, within: cx.pin.clone() }
                } else {
                    Sop::Ir(op)
                };
                Place::One(sea.add(op, kids, node.origin, None)?)
            }
        };
        map[id.index()] = Some(place);
    }
    targets
        .iter()
        .map(|t| match &map[t.index()] {
            Some(Place::One(v)) => Ok(*v),
            _ => Err(IrError::Internal("an output is a tuple".into())),
        })
        .collect()
}

/// How often the body of a loop runs, with all loops around it.
pub fn times(sea: &Sea, inside: Option<u32>) -> f64 {
    let mut at = inside;
    let mut n = 1.0;
    while let Some(l) = at.and_then(|l| sea.loops.get(l as usize)) {
        n *= l.trips();
        at = l.parent;
    }
    n
}

/// Which carries, and which outputs of the body, the asked outputs need; and which carries never change.
struct Use {
    carries: Vec<bool>,
    fixed: Vec<bool>,
    collected: Vec<bool>,
}

fn usage(l: &Loop, asked: &[u32]) -> Use {
    let body = &l.body;
    let param = |k: usize| body.params().get(1 + k).copied();
    let fixed: Vec<bool> = (0..l.carries)
        .map(|k| body.outputs.get(k).copied() == param(k) && param(k).is_some())
        .collect();
    let mut carries = vec![false; l.carries];
    let mut collected = vec![false; l.collected];
    let mut work: Vec<NodeId> = Vec::new();
    for k in asked {
        let k = *k as usize;
        if (1..=l.carries).contains(&k) {
            carries[k - 1] = true;
        } else if let Some(c) = k.checked_sub(1 + l.carries).and_then(|c| collected.get_mut(c)) {
            *c = true;
        }
    }
    if let Some(cond) = &l.cond {
        let live = cond.live();
        for k in 0..l.carries {
            carries[k] |= cond.params().get(1 + k).is_some_and(|p| live[p.index()]);
        }
    }
    for (k, c) in collected.iter().enumerate() {
        if *c {
            work.extend(body.outputs.get(l.carries + k));
        }
    }
    for (k, _) in carries.iter().enumerate().filter(|(_, c)| **c) {
        work.extend(body.outputs.get(k));
    }
    let mut seen = vec![false; body.len()];
    let mut carried: Vec<Option<usize>> = vec![None; body.len()];
    for k in 0..l.carries {
        if let Some(p) = param(k) {
            carried[p.index()] = Some(k);
        }
    }
    while let Some(id) = work.pop() {
        if std::mem::replace(&mut seen[id.index()], true) {
            continue;
        }
        if let Some(k) = carried[id.index()]
            && !carries[k]
        {
            carries[k] = true;
            work.extend(body.outputs.get(k));
        }
        work.extend(body.node(id).inputs.iter().copied());
    }
    Use { carries, fixed, collected }
}

fn import_loop(
    sea: &mut Sea,
    l: &Loop,
    kids: &Kids,
    asked: &[u32],
    cx: &Context,
    origin: Origin,
    branches: Branches<'_>,
) -> IrResult<Vec<Option<Output>>> {
    let missing = || IrError::Internal("loop: an operand is missing".into());
    let u = usage(l, asked);
    let this = sea.loops.len() as u32;
    let step = Ty::scalar(DType::Int);
    let kept: Vec<usize> = (0..l.carries).filter(|k| u.carries[*k] && !u.fixed[*k]).collect();
    let param_ty = |k: usize| l.body.params().get(k).map(|p| l.body.ty(*p).clone()).ok_or_else(missing);
    // A carry has the type of its initial value where the parameter's is wider only by declaration.
    let mut params = vec![step.clone()];
    for k in &kept {
        params.push(param_ty(1 + k)?);
    }
    for k in 0..l.scanned {
        params.push(param_ty(1 + l.carries + k)?);
    }
    let wanted: Vec<usize> =
        kept.iter().copied().chain((0..l.collected).filter(|k| u.collected[*k]).map(|k| l.carries + k)).collect();
    let mut inits = Kids::new();
    for k in &kept {
        let ty = param_ty(1 + k)?;
        inits.push(sea.declared(*kids.get(*k).ok_or_else(missing)?, &ty, origin)?);
    }
    for k in 0..l.scanned {
        inits.push(*kids.get(l.carries + k).ok_or_else(missing)?);
    }
    let bound = l.trip.bound().clone();
    let mut outputs: Types = Types::new();
    outputs.push(step);
    outputs.extend(params.iter().skip(1).take(kept.len()).cloned());
    for k in wanted.iter().skip(kept.len()) {
        let ty = l.body.outputs.get(*k).map(|o| l.body.ty(*o).clone()).ok_or_else(missing)?;
        outputs.push(Ty::new(ty.dtype, ty.shape.stacked(bound.clone())));
    }
    sea.loops.push(LoopInfo {
        trip: l.trip.clone(),
        carries: kept.len(),
        kept: kept.clone(),
        kept_collected: wanted.iter().skip(kept.len()).map(|k| k - l.carries).collect(),
        source_carries: l.carries,
        scanned: l.scanned,
        collected: wanted.len() - kept.len(),
        has_cond: l.cond.is_some(),
        label: l.label.clone(),
        parent: cx.inside,
        params,
        outputs,
    });
    let of_loop = |sea: &mut Sea, index: usize| {
        sea.add(Sop::LoopParam { of: this, index: index as u32 }, Kids::new(), origin, None)
    };
    let step_id = of_loop(sea, 0)?;
    let mut carried = Vec::new();
    for k in 0..l.carries {
        carried.push(match kept.iter().position(|j| *j == k) {
            Some(j) => of_loop(sea, 1 + j)?,
            None => *kids.get(k).ok_or_else(missing)?,
        });
    }
    let mut slices = Vec::new();
    for k in 0..l.scanned {
        slices.push(of_loop(sea, 1 + kept.len() + k)?);
    }
    let captures: Vec<Id> = kids.iter().skip(l.carries + l.scanned).copied().collect();
    let surely = matches!(&l.trip, Trip::Count(Dim::Known(n)) if *n >= 1);
    let mut inner = Context { inside: Some(this), pin: cx.pin.clone() };
    if !surely {
        // Ids grow inwards, so the list stays sorted.
        inner.pin.push(this);
    }
    let mut all = inits;
    let outer = sea.open.replace(this);
    if let Some(cond) = &l.cond {
        let args: Vec<Id> =
            std::iter::once(step_id).chain(carried.iter().copied()).chain(captures.iter().copied()).collect();
        all.extend(region(sea, cond, &args, &[0], &inner, branches)?);
    }
    let args: Vec<Id> = std::iter::once(step_id).chain(carried).chain(slices).chain(captures).collect();
    all.extend(region(sea, &l.body, &args, &wanted, &inner, branches)?);
    sea.open = outer;
    let id = sea.add(Sop::Loop(this), all, origin, None)?;
    let mut outs = vec![Some(Output::Get(id, 0))];
    for k in 0..l.carries {
        outs.push(match kept.iter().position(|j| *j == k) {
            Some(j) => Some(Output::Get(id, 1 + j as u32)),
            None if u.fixed[k] => kids.get(k).copied().map(Output::Same),
            None => None,
        });
    }
    for k in 0..l.collected {
        let at = wanted.iter().position(|j| *j == l.carries + k);
        outs.push(at.map(|j| Output::Get(id, 1 + j as u32)));
    }
    Ok(outs)
}
