//! Walking a region: values, and the order of instructions.

use crate::group::Group;
use crate::PlanError;
use crate::plan::{Access, Block, Fused, Instr, Kind, Out, Pattern, Src};
use crate::find_sweeps;
use crate::planner::{Planner, Value};
use crate::view::View;
use gradus_ir::{DType, Graph, NodeId, Op, Origin, UnaryOp};
use smallvec::SmallVec;
use std::collections::HashSet;

/// Lowers one region to a block.
pub(crate) struct Lower<'a> {
    pub p: &'a mut Planner,
    pub graph: &'a Graph,
    /// The node that stands for this one: identities in storage are the same value.
    rep: Vec<NodeId>,
    live: Vec<bool>,
    /// Uses of each representative by live nodes and by the region's outputs.
    pub uses: Vec<u32>,
    /// Those of them inside the open group that computes the node.
    pub inner_uses: Vec<u32>,
    pub values: Vec<Option<Value>>,
    /// The open group that will compute the node.
    pub member: Vec<Option<usize>>,
    pub groups: Vec<Option<Group>>,
    /// Where the node's value is wanted.
    dest: Vec<Option<View>>,
    pub code: Vec<Instr>,
    /// The first buffer that belongs to this region.
    fresh: usize,
}

/// An op that changes nothing in storage.
fn is_alias(graph: &Graph, op: &Op, input: NodeId) -> bool {
    match op {
        Op::NoGrad(_) | Op::Unary(UnaryOp::ToReal | UnaryOp::StopGrad) => true,
        Op::Unary(UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round | UnaryOp::ToInt) => graph.dtype(input) != DType::Real,
        _ => false,
    }
}

/// Each node's representative.
pub(crate) fn representatives(graph: &Graph) -> Vec<NodeId> {
    let mut rep: Vec<NodeId> = Vec::with_capacity(graph.len());
    for (id, node) in graph.nodes() {
        let r = match node.inputs.first() {
            Some(a) if is_alias(graph, &node.op, *a) => rep[a.index()],
            _ => id,
        };
        rep.push(r);
    }
    rep
}

impl<'a> Lower<'a> {
    pub fn new(p: &'a mut Planner, graph: &'a Graph, params: Vec<Value>) -> Result<Lower<'a>, PlanError> {
        if params.len() != graph.params().len() {
            return Err(PlanError::Internal("a region is given the wrong number of values".into()));
        }
        let (rep, live) = (representatives(graph), graph.live());
        let mut uses = vec![0; graph.len()];
        for (id, node) in graph.nodes() {
            if live[id.index()] && rep[id.index()] == id {
                for i in &node.inputs {
                    uses[rep[i.index()].index()] += 1;
                }
            }
        }
        for o in &graph.outputs {
            uses[rep[o.index()].index()] += 1;
        }
        let mut values: Vec<Option<Value>> = vec![None; graph.len()];
        for (id, v) in graph.params().iter().zip(params) {
            values[id.index()] = Some(v);
        }
        let n = graph.len();
        let fresh = p.bufs.len();
        Ok(Lower {
            fresh,
            p,
            graph,
            rep,
            live,
            uses,
            inner_uses: vec![0; n],
            values,
            member: vec![None; n],
            groups: Vec::new(),
            dest: vec![None; n],
            code: Vec::new(),
        })
    }

    pub fn rep(&self, n: NodeId) -> NodeId {
        self.rep[n.index()]
    }

    pub fn dims(&self, n: NodeId) -> Result<SmallVec<[usize; 4]>, PlanError> {
        dims_of(self.graph.ty(n), self.graph.node(n).origin)
    }

    pub fn origin(&self, n: NodeId) -> Origin {
        self.graph.node(n).origin
    }

    /// Lowers the region. `targets` say where outputs are wanted; the values of the outputs come back (those with a
    /// target are in it).
    pub fn run(mut self, targets: &[Option<View>]) -> Result<(Block, Vec<Value>), PlanError> {
        for (o, t) in self.graph.outputs.iter().zip(targets) {
            let r = self.rep(*o);
            if let Some(t) = t
                && self.dest[r.index()].is_none()
                && self.values[r.index()].is_none()
            {
                self.dest[r.index()] = Some(t.clone());
            }
        }
        for (id, _) in self.graph.nodes() {
            if self.live[id.index()] && self.rep[id.index()] == id {
                self.node(id)?;
            }
        }
        // First all values, so that results of one group are asked for together, then what must be copied.
        for o in &self.graph.outputs {
            let r = self.rep(*o);
            self.evaluate(r)?;
        }
        let mut out = Vec::new();
        for o in &self.graph.outputs {
            out.push(self.value(*o)?);
        }
        let mut copies = Vec::new();
        for (k, v) in out.iter_mut().enumerate() {
            if let Some(t) = targets.get(k).cloned().flatten() {
                let there = matches!(v, Value::View(w) if w.place == t.place && w.is_dense());
                let from = std::mem::replace(v, Value::View(t.clone()));
                if !there {
                    copies.push((from, t));
                }
            }
        }
        let origin = self.graph.outputs.first().map_or_else(Origin::default, |o| self.origin(*o));
        self.copy_all(copies, origin, "copy")?;
        // Groups nobody asked for do not exist: every live node is used. Those left have no results to store.
        let mut handed = HashSet::new();
        for v in &out {
            v.bases(&mut handed);
        }
        let code = find_sweeps::find(self.p, self.code, self.fresh, &handed);
        Ok((Block { code }, out))
    }

    fn node(&mut self, id: NodeId) -> Result<(), PlanError> {
        let node = self.graph.node(id);
        match &node.op {
            Op::Param(_) | Op::Const(..) | Op::DimValue(_) | Op::Literal(_) | Op::Iota(_) | Op::Get(_) => Ok(()),
            Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice { .. } | Op::Reverse { .. } | Op::Diagonal => {
                Ok(())
            }
            Op::Unary(_) | Op::Binary(_) | Op::Select if self.is_lazy(id) => Ok(()),
            Op::Unary(_) | Op::Binary(_) | Op::Select => self.elementwise(id),
            Op::Reduce(op, axes) => self.reduce(id, *op, axes),
            op => {
                // All waiting operands at once: they become one instruction.
                for i in &node.inputs {
                    let r = self.rep(*i);
                    self.evaluate(r)?;
                }
                match op {
                    Op::Loop(l) => self.lower_loop(id, l),
                    Op::Cond { then, other } => self.lower_cond(id, then, other),
                    _ => self.kernel(id),
                }
            }
        }
    }

    /// The node's value; computes views, and closes the group that has it.
    pub fn value(&mut self, n: NodeId) -> Result<Value, PlanError> {
        let n = self.rep(n);
        self.evaluate(n)?;
        if let Some(g) = self.member[n.index()] {
            self.close(g)?;
        }
        if let Some(v) = &self.values[n.index()] {
            return Ok(v.clone());
        }
        let node = self.graph.node(n);
        let v = match &node.op {
            Op::Const(c, _) => Value::Imm(c.get()),
            Op::DimValue(d) => match d.known() {
                Some(k) => Value::Imm(k as f64),
                None => return Err(PlanError::Unknown { origin: node.origin, ty: d.to_string() }),
            },
            Op::Literal(a) => match a.data.as_slice() {
                [x] => Value::Imm(*x),
                _ => Value::View(View::dense(self.p.literal(a), &a.shape)),
            },
            Op::Iota(_) => {
                let dims = self.dims(n)?;
                Value::View(View::dense(self.p.iota(dims.iter().product()), &dims))
            }
            Op::Get(k) => match self.value(node.inputs[0])? {
                Value::Tuple(parts) => match parts.into_iter().nth(*k as usize) {
                    Some(v) => v,
                    None => return Err(PlanError::Internal(format!("%{} picks a result that is not there", n.0))),
                },
                v if *k == 0 => v,
                _ => return Err(PlanError::Internal(format!("%{} picks from one value", n.0))),
            },
            _ => match self.value(node.inputs[0])? {
                Value::View(v) => Value::View(self.view_op(n, v)?),
                v @ Value::Imm(_) => v,
                Value::Tuple(_) => return Err(PlanError::Internal(format!("%{} views a tuple", n.0))),
            },
        };
        self.values[n.index()] = Some(v.clone());
        Ok(v)
    }

    fn view_op(&mut self, n: NodeId, v: View) -> Result<View, PlanError> {
        let dims = self.dims(n)?;
        let node = self.graph.node(n);
        Ok(match &node.op {
            Op::Broadcast(_) => v.broadcast(&dims),
            Op::Transpose(perm) => v.permute(perm),
            Op::Slice { axis, start, len } => match (start.size(), len.size()) {
                (Some(s), Some(l)) => v.slice(*axis, s, l),
                _ => return Err(PlanError::Unknown { origin: node.origin, ty: format!("{start}..+{len}") }),
            },
            Op::Reverse { axis } => v.reverse(*axis),
            Op::Diagonal => v.diagonal(),
            Op::Reshape(_) => match v.reshape(&dims) {
                Some(w) => w,
                None => self.dense(node.inputs[0])?.reshape(&dims).ok_or_else(|| {
                    PlanError::Internal(format!("%{}: a dense array has no such shape", n.0))
                })?,
            },
            _ => return Err(PlanError::Internal(format!("%{} ({}) was not computed before its use", n.0, node.op.name()))),
        })
    }

    /// The value as a view; a constant gets a place.
    pub fn view(&mut self, n: NodeId) -> Result<View, PlanError> {
        match self.value(n)? {
            Value::View(v) => Ok(v),
            Value::Imm(c) => {
                let dims = self.dims(n)?;
                let place = self.p.constant(c);
                Ok(View { place, strides: SmallVec::from_elem(0, dims.len()), dims })
            }
            Value::Tuple(_) => Err(PlanError::Internal(format!("%{} is a tuple", n.0))),
        }
    }

    /// The value as a dense array; a copy is made, once, where it is not.
    pub fn dense(&mut self, n: NodeId) -> Result<View, PlanError> {
        let v = self.view(n)?;
        if v.is_dense() {
            return Ok(v);
        }
        if let Value::Imm(c) = self.value(n)? {
            // Stays a number for fused instructions, which need no memory for it.
            let out = View::dense(self.p.buffer(v.count()), &v.dims);
            let origin = self.origin(n);
            self.copy(&Value::Imm(c), &out, origin, "fill")?;
            return Ok(out);
        }
        let out = View::dense(self.p.buffer(v.count()), &v.dims);
        let origin = self.origin(n);
        self.copy(&Value::View(v), &out, origin, "copy")?;
        let r = self.rep(n);
        self.values[r.index()] = Some(Value::View(out.clone()));
        Ok(out)
    }

    /// A dense place for the node's value: where it is wanted, or a new buffer.
    pub fn output(&mut self, n: NodeId) -> Result<View, PlanError> {
        if let Some(v) = self.dest[n.index()].take() {
            return Ok(v);
        }
        let dims = self.dims(n)?;
        Ok(View::dense(self.p.buffer(dims.iter().product()), &dims))
    }

    pub fn emit(&mut self, kind: Kind, origin: Origin, name: &'static str) {
        self.code.push(Instr { kind, origin, name });
    }

    /// Copies that do not depend on each other's order; those of single numbers are one instruction.
    pub fn copy_all(&mut self, copies: Vec<(Value, View)>, origin: Origin, name: &'static str) -> Result<(), PlanError> {
        let (single, other): (Vec<_>, Vec<_>) = copies.into_iter().partition(|(_, to)| to.count() == 1);
        for (from, to) in &other {
            self.copy(from, to, origin, name)?;
        }
        if !self.p.options.fuse || single.len() < 2 {
            for (from, to) in &single {
                self.copy(from, to, origin, name)?;
            }
            return Ok(());
        }
        let (mut inputs, mut outs) = (Vec::new(), Vec::new());
        for (from, to) in single {
            let src = match from {
                Value::Imm(c) => Src::Imm(c),
                Value::View(v) => {
                    inputs.push(Access { place: v.place, pattern: Pattern::Splat });
                    Src::In((inputs.len() - 1) as u16)
                }
                Value::Tuple(_) => return Err(PlanError::Internal("a tuple cannot be copied".into())),
            };
            outs.push(Out::Store { src, access: Access { place: to.place, pattern: Pattern::Dense }, direct: false });
        }
        let fused =
            Fused { dims: Vec::new(), count: 1, inputs, program: Vec::new(), registers: 0, outs, segment: 0, rows: 0, number: 0 };
        self.emit(Kind::Fused(fused), origin, name);
        Ok(())
    }

    /// Copy a value (or fill with a constant) to a view of the same lengths.
    pub fn copy(&mut self, from: &Value, to: &View, origin: Origin, name: &'static str) -> Result<(), PlanError> {
        let count = to.count();
        if count == 0 {
            return Ok(());
        }
        let (inputs, src) = match from {
            Value::Imm(c) => (Vec::new(), Src::Imm(*c)),
            Value::View(v) => (vec![Access { place: v.place, pattern: v.broadcast(&to.dims).pattern() }], Src::In(0)),
            Value::Tuple(_) => return Err(PlanError::Internal("a tuple cannot be copied".into())),
        };
        let access = Access { place: to.place, pattern: store_pattern(to) };
        let fused = Fused {
            dims: to.dims.to_vec(),
            count,
            inputs,
            program: Vec::new(),
            registers: 0,
            outs: vec![Out::Store { src, access, direct: false }],
            segment: 0,
            rows: 0,
            number: 0,
        };
        self.emit(Kind::Fused(fused), origin, name);
        Ok(())
    }
}

/// One element is dense as a target.
pub(crate) fn store_pattern(v: &View) -> Pattern {
    match v.pattern() {
        Pattern::Splat => Pattern::Dense,
        p => p,
    }
}

pub(crate) fn dims_of(ty: &gradus_ir::Ty, origin: Origin) -> Result<SmallVec<[usize; 4]>, PlanError> {
    let Some(sizes) = ty.shape.sizes() else {
        return Err(PlanError::Unknown { origin, ty: ty.to_string() });
    };
    // Strides and byte counts must fit a signed word.
    let total = sizes.iter().try_fold(8usize, |a, &d| a.checked_mul(d.max(1)));
    match total {
        Some(t) if t <= isize::MAX as usize / 4 => Ok(SmallVec::from_vec(sizes)),
        _ => Err(PlanError::TooLarge { origin, ty: ty.to_string() }),
    }
}
