//! Fusion: elementwise nodes of one shape gather in open groups until something else needs a result.
//!
//! Invariant: every input of a member is a member of the same group, or has been computed by code already emitted. So
//! closing a group in any order is correct, and two open groups of one shape never depend on each other.

use crate::PlanError;
use crate::plan::{Access, Fused, Kind, Lane, LaneOp, Out, Src};
use crate::program::{assign_registers, contract};
use crate::planner::Value;
use crate::region::{Lower, store_pattern};
use gradus_ir::{BinaryOp, NodeId, Op, ReduceOp};
use smallvec::SmallVec;

/// Longer programs gain nothing: their registers leave the first-level cache.
const MAX_PROGRAM: usize = 48;

pub(crate) struct Group {
    pub dims: SmallVec<[usize; 4]>,
    pub members: Vec<NodeId>,
    /// Nodes that reduce a member or a value in memory.
    reduces: Vec<(NodeId, ReduceOp)>,
    /// Run length and number of runs of the reductions, which they share.
    segment: Option<(usize, usize)>,
}

/// Run length and number of runs, where the axes are the last ones but for axes of length one.
pub(crate) fn suffix(dims: &[usize], axes: &[usize]) -> Option<(usize, usize)> {
    let first = axes.first().copied().unwrap_or(dims.len());
    let tail_kept: bool = (first..dims.len()).all(|k| axes.contains(&k) || dims[k] == 1);
    tail_kept.then(|| (dims[first..].iter().product(), dims[..first].iter().product()))
}

impl Lower<'_> {
    fn input_reps(&self, id: NodeId) -> SmallVec<[NodeId; 3]> {
        self.graph.node(id).inputs.iter().map(|i| self.rep(*i)).collect()
    }

    fn group_dims(&self, g: usize) -> Option<&[usize]> {
        self.groups[g].as_ref().map(|g| g.dims.as_slice())
    }

    /// The open group of the given shape that computes `u` elementwise.
    fn open_member(&self, u: NodeId, dims: &[usize]) -> Option<usize> {
        let g = self.member[u.index()]?;
        let group = self.groups[g].as_ref()?;
        (group.dims.as_slice() == dims && group.members.contains(&u)).then_some(g)
    }

    /// Functions of single numbers wait until they are needed: asking for their operands (sums, mostly) would close groups
    /// that later nodes could still join.
    pub(crate) fn is_lazy(&self, id: NodeId) -> bool {
        self.p.options.fuse
            && self.values[id.index()].is_none()
            && self.member[id.index()].is_none()
            && self.graph.shape(id).is_scalar()
            && matches!(self.graph.node(id).op, Op::Unary(_) | Op::Binary(_) | Op::Select)
    }

    /// Puts a waiting node into a group, those that it waits for first.
    pub(crate) fn evaluate(&mut self, id: NodeId) -> Result<(), PlanError> {
        if !self.is_lazy(id) {
            return Ok(());
        }
        // Chains of scalars can be long: a list instead of recursion.
        let (mut waiting, mut work) = (vec![id], vec![id]);
        let mut seen = std::collections::HashSet::from([id]);
        while let Some(n) = work.pop() {
            for u in self.input_reps(n) {
                if self.is_lazy(u) && seen.insert(u) {
                    waiting.push(u);
                    work.push(u);
                }
            }
        }
        waiting.sort_unstable();
        for n in waiting {
            // A view between two scalars may have brought it in already.
            if self.is_lazy(n) {
                self.elementwise(n)?;
            }
        }
        Ok(())
    }

    /// The number that all elements of a node are, where that is known without computing anything.
    fn known(&mut self, u: NodeId) -> Result<Option<f64>, PlanError> {
        let at_hand = self.values[u.index()].is_some()
            || matches!(self.graph.node(u).op, Op::Const(..) | Op::DimValue(_) | Op::Literal(_));
        let stretched = match &self.graph.node(u).op {
            Op::Broadcast(_) => Some(self.rep(self.graph.node(u).inputs[0])),
            _ => None,
        };
        if let Some(inner) = stretched {
            return self.known(inner);
        }
        if !at_hand || self.member[u.index()].is_some() {
            return Ok(None);
        }
        Ok(match self.value(u)? {
            Value::Imm(c) => Some(c),
            _ => None,
        })
    }

    /// The number that all elements of a function of constants are, for functions that every machine computes alike.
    fn constant_of(&mut self, id: NodeId, ins: &[NodeId]) -> Result<Option<f64>, PlanError> {
        let mut v = [0.0; 3];
        for (k, u) in ins.iter().enumerate() {
            match self.known(*u)? {
                Some(c) => v[k] = c,
                None => return Ok(None),
            }
        }
        use gradus_ir::UnaryOp;
        Ok(match &self.graph.node(id).op {
            Op::Unary(UnaryOp::Neg) => Some(-v[0]),
            Op::Unary(UnaryOp::Square) => Some(v[0] * v[0]),
            Op::Unary(UnaryOp::Recip) => Some(1.0 / v[0]),
            Op::Unary(UnaryOp::Sqrt) => Some(v[0].sqrt()),
            Op::Binary(BinaryOp::Add) => Some(v[0] + v[1]),
            Op::Binary(BinaryOp::Sub) => Some(v[0] - v[1]),
            Op::Binary(BinaryOp::Mul) => Some(v[0] * v[1]),
            Op::Binary(BinaryOp::Div) => Some(v[0] / v[1]),
            _ => None,
        })
    }

    pub(crate) fn elementwise(&mut self, id: NodeId) -> Result<(), PlanError> {
        let dims = self.dims(id)?;
        let ins = self.input_reps(id);
        if self.p.options.fuse
            && let Some(c) = self.constant_of(id, &ins)?
        {
            self.values[id.index()] = Some(Value::Imm(c));
            return Ok(());
        }
        for u in &ins {
            self.evaluate(*u)?;
        }
        if !self.p.options.fuse {
            for u in &ins {
                self.value(*u)?;
            }
            let g = self.open(dims);
            self.join(g, id, &ins);
            return self.close(g);
        }
        for u in &ins {
            if self.open_member(*u, &dims).is_none() {
                self.value(*u)?;
            }
        }
        let mut target: Option<usize> = None;
        for u in &ins {
            let Some(g) = self.open_member(*u, &dims) else { continue };
            target = match target {
                None => Some(g),
                Some(t) if t == g => Some(t),
                Some(t) if self.can_merge(t, g) => {
                    self.merge(t, g);
                    Some(t)
                }
                Some(t) => {
                    self.close(g)?;
                    Some(t)
                }
            };
        }
        if target.is_none() {
            target = self.neighbour(&dims, &ins);
        }
        if let Some(t) = target
            && self.groups[t].as_ref().is_none_or(|g| g.members.len() >= MAX_PROGRAM)
        {
            self.close(t)?;
            target = None;
        }
        let g = match target {
            Some(g) => g,
            None => self.open(dims),
        };
        self.join(g, id, &ins);
        Ok(())
    }

    fn open(&mut self, dims: SmallVec<[usize; 4]>) -> usize {
        self.groups.push(Some(Group { dims, members: Vec::new(), reduces: Vec::new(), segment: None }));
        self.groups.len() - 1
    }

    /// An open group that reads one of the same inputs, so that both read it in one pass; any one for scalars.
    fn neighbour(&self, dims: &[usize], ins: &[NodeId]) -> Option<usize> {
        // Few groups are open at a time; the newest come last.
        (0..self.groups.len()).rev().take(16).find(|&g| {
            self.group_dims(g) == Some(dims)
                && self.groups[g].as_ref().is_some_and(|g| {
                    g.members.len() < MAX_PROGRAM
                        && (dims.is_empty()
                            || g.members.iter().any(|m| {
                                self.graph.node(*m).inputs.iter().any(|i| {
                                    let r = self.rep(*i);
                                    ins.contains(&r) && !matches!(self.graph.node(r).op, Op::Const(..))
                                })
                            }))
                })
        })
    }

    fn can_merge(&self, a: usize, b: usize) -> bool {
        match (&self.groups[a], &self.groups[b]) {
            (Some(x), Some(y)) => {
                x.members.len() + y.members.len() < MAX_PROGRAM
                    && (x.segment.is_none() || y.segment.is_none() || x.segment == y.segment)
            }
            _ => false,
        }
    }

    fn merge(&mut self, into: usize, from: usize) {
        let Some(b) = self.groups[from].take() else { return };
        for m in b.members.iter().chain(b.reduces.iter().map(|(r, _)| r)) {
            self.member[m.index()] = Some(into);
        }
        if let Some(a) = &mut self.groups[into] {
            a.members.extend(b.members);
            a.reduces.extend(b.reduces);
            a.segment = a.segment.or(b.segment);
        }
    }

    fn join(&mut self, g: usize, id: NodeId, ins: &[NodeId]) {
        for u in ins {
            if self.member[u.index()] == Some(g) {
                self.inner_uses[u.index()] += 1;
            }
        }
        self.member[id.index()] = Some(g);
        if let Some(group) = &mut self.groups[g] {
            group.members.push(id);
        }
    }

    pub(crate) fn reduce(&mut self, id: NodeId, op: ReduceOp, axes: &[usize]) -> Result<(), PlanError> {
        let u = self.rep(self.graph.node(id).inputs[0]);
        let dims = self.dims(u)?;
        if self.p.options.fuse
            && dims.iter().all(|d| *d > 0)
            && let Some(c) = self.known(u)?
            && (matches!(op, ReduceOp::Max | ReduceOp::Min) || op == ReduceOp::Sum && c == 0.0)
        {
            self.values[id.index()] = Some(Value::Imm(c));
            return Ok(());
        }
        if self.open_member(u, &dims).is_none() && self.reduce_in_memory_order(id, u, op, axes)? {
            return Ok(());
        }
        let Some(segment) = suffix(&dims, axes) else {
            let v = self.dense(u)?;
            let out = self.reduce_axes(id, op, v, axes, true)?;
            self.values[id.index()] = Some(Value::View(out));
            return Ok(());
        };
        let mut target = None;
        if self.p.options.fuse
            && let Some(g) = self.open_member(u, &dims)
            && self.groups[g].as_ref().is_some_and(|g| g.segment.is_none_or(|s| s == segment))
        {
            target = Some(g);
        }
        if target.is_none() {
            self.value(u)?;
            if self.p.options.fuse {
                target = (0..self.groups.len()).rev().take(16).find(|&g| {
                    self.groups[g].as_ref().is_some_and(|x| {
                        x.dims == dims
                            && x.segment.is_none_or(|s| s == segment)
                            && x.members.iter().chain(x.reduces.iter().map(|(r, _)| r)).any(|m| {
                                self.graph.node(*m).inputs.iter().any(|i| self.rep(*i) == u)
                            })
                    })
                });
            }
        }
        let g = match target {
            Some(g) => g,
            None => self.open(dims),
        };
        if self.member[u.index()] == Some(g) {
            self.inner_uses[u.index()] += 1;
        }
        self.member[id.index()] = Some(g);
        if let Some(group) = &mut self.groups[g] {
            group.reduces.push((id, op));
            group.segment = Some(segment);
        }
        if !self.p.options.fuse {
            self.close(g)?;
        }
        Ok(())
    }

    /// Emit the group's instruction; its results that are used elsewhere get places.
    pub(crate) fn close(&mut self, g: usize) -> Result<(), PlanError> {
        let Some(group) = self.groups[g].take() else { return Ok(()) };
        let count: usize = group.dims.iter().product();
        let mut inputs: Vec<Access> = Vec::new();
        let mut lanes: Vec<Lane> = Vec::new();
        for m in &group.members {
            let ins = self.input_reps(*m);
            let mut src = [Src::Imm(0.0); 3];
            for (k, u) in ins.iter().enumerate() {
                src[k] = self.source(*u, &group, &mut inputs)?;
            }
            let op = match &self.graph.node(*m).op {
                Op::Unary(u) => LaneOp::Unary(*u),
                Op::Binary(b) => LaneOp::Binary(*b),
                Op::Select => LaneOp::Select,
                other => return Err(PlanError::Internal(format!("{} is not elementwise", other.name()))),
            };
            lanes.push(Lane { op, dst: lanes.len() as u16, a: src[0], b: src[1], c: src[2], d: Src::Imm(0.0) });
        }
        let mut outs: Vec<Out> = Vec::new();
        for (k, m) in group.members.iter().enumerate() {
            if self.uses[m.index()] > self.inner_uses[m.index()] {
                let v = self.output(*m)?;
                let access = Access { place: v.place, pattern: store_pattern(&v) };
                outs.push(Out::Store { src: Src::Reg(k as u16), access, direct: false });
                self.values[m.index()] = Some(Value::View(v));
            }
        }
        for (r, op) in &group.reduces {
            let u = self.rep(self.graph.node(*r).inputs[0]);
            let src = self.source(u, &group, &mut inputs)?;
            let v = self.output(*r)?;
            outs.push(Out::Reduce { op: *op, src, place: v.place });
            self.values[r.index()] = Some(Value::View(v));
        }
        for m in group.members.iter().chain(group.reduces.iter().map(|(r, _)| r)) {
            self.member[m.index()] = None;
        }
        if self.p.options.fuse {
            contract(&mut lanes, &mut outs, count);
        }
        let registers = assign_registers(&mut lanes, &mut outs);
        let last = group.reduces.last().map(|(r, _)| *r).or(group.members.last().copied());
        let Some(last) = last else { return Ok(()) };
        let (segment, rows) = group.segment.unwrap_or((0, 0));
        let fused = Fused {
            dims: group.dims.to_vec(),
            count,
            inputs,
            program: lanes,
            registers,
            outs,
            segment,
            rows,
            number: 0,
        };
        let (origin, name) = (self.origin(last), self.graph.node(last).op.name());
        self.emit(Kind::Fused(fused), origin, name);
        Ok(())
    }

    /// How the group's program reads `u`: a register of its own, an input, or a number.
    fn source(&mut self, u: NodeId, group: &Group, inputs: &mut Vec<Access>) -> Result<Src, PlanError> {
        if let Some(k) = group.members.iter().position(|m| *m == u) {
            return Ok(Src::Reg(k as u16));
        }
        match self.value(u)? {
            Value::Imm(c) => Ok(Src::Imm(c)),
            Value::View(v) => {
                let access = Access { place: v.place, pattern: v.broadcast(&group.dims).pattern() };
                let k = inputs.iter().position(|a| *a == access).unwrap_or_else(|| {
                    inputs.push(access);
                    inputs.len() - 1
                });
                Ok(Src::In(k as u16))
            }
            Value::Tuple(_) => Err(PlanError::Internal(format!("%{} is a tuple", u.0))),
        }
    }
}
