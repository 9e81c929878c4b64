//! Walking a region: values, buffers, and the order of instructions.

use crate::group::Group;
use crate::plan::{Access, Block, Fused, Instr, Kind, Out, Output, Pattern, Place, Plan, Scalar, Src};
use crate::view::View;
use crate::{Options, PlanError, alloc};
use gradus_ir::{Array, DType, Graph, NodeId, Op, Origin, UnaryOp};
use indexmap::IndexMap;
use smallvec::SmallVec;
use std::sync::Arc;

/// Bases from here on are buffers that have no offset yet.
pub(crate) const VIRTUAL: u32 = 1 << 31;

/// A piece of the arena before it has an address.
#[derive(Clone, Debug)]
pub(crate) struct Buf {
    pub len: usize,
    /// Holds a constant: lives from the start to the end.
    pub fixed: bool,
    /// The two buffers of a carry and the parity counter of its loop.
    pub pair: Option<(u32, u32, u32)>,
    /// Some view of this buffer uses its counter already, so the buffer itself must not move.
    pub pinned: bool,
    /// The buffer that this one was merged into.
    pub merged: Option<u32>,
}

/// What all regions of a plan share.
pub(crate) struct Planner {
    pub options: Options,
    pub bufs: Vec<Buf>,
    pub literals: Vec<Arc<Array>>,
    pub inputs: u32,
    pub counters: u32,
    constants: IndexMap<u64, u32>,
    iotas: IndexMap<usize, u32>,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Every element is this number.
    Imm(f64),
    View(View),
    Tuple(Vec<Value>),
}

impl Planner {
    pub fn buffer(&mut self, len: usize) -> Place {
        let id = self.bufs.len() as u32;
        self.bufs.push(Buf { len, fixed: false, pair: None, pinned: false, merged: None });
        Place { base: VIRTUAL | id, counter: 0, offset: 0, stride: 0 }
    }

    pub fn constant(&mut self, v: f64) -> Place {
        if let Some(id) = self.constants.get(&v.to_bits()) {
            return Place { base: VIRTUAL | *id, counter: 0, offset: 0, stride: 0 };
        }
        let p = self.buffer(1);
        let id = p.base & !VIRTUAL;
        self.bufs[id as usize].fixed = true;
        self.constants.insert(v.to_bits(), id);
        p
    }

    pub fn literal(&mut self, a: &Arc<Array>) -> Place {
        let k = match self.literals.iter().position(|l| Arc::ptr_eq(l, a)) {
            Some(k) => k,
            None => {
                self.literals.push(a.clone());
                self.literals.len() - 1
            }
        };
        Place { base: 1 + self.inputs + k as u32, counter: 0, offset: 0, stride: 0 }
    }

    fn iota(&mut self, n: usize) -> Place {
        if let Some(k) = self.iotas.get(&n) {
            return Place { base: *k, counter: 0, offset: 0, stride: 0 };
        }
        let data: Vec<f64> = (0..n).map(|k| k as f64).collect();
        let p = self.literal(&Arc::new(Array { dtype: DType::Int, shape: vec![n], data: Arc::new(data) }));
        self.iotas.insert(n, p.base);
        p
    }

    pub fn counter(&mut self) -> u32 {
        self.counters += 1;
        self.counters - 1
    }
}

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
        Ok(Lower {
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
        Ok((Block { code: self.code }, out))
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
            Fused { dims: Vec::new(), count: 1, inputs, program: Vec::new(), registers: 0, outs, segment: 0, rows: 0 };
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

/// The plan of a whole graph.
pub(crate) fn top(graph: &Graph, options: Options) -> Result<Plan, PlanError> {
    let mut planner = Planner {
        options,
        bufs: Vec::new(),
        literals: Vec::new(),
        inputs: graph.params().len() as u32,
        counters: 1,
        constants: IndexMap::new(),
        iotas: IndexMap::new(),
    };
    let mut params = Vec::new();
    for (k, id) in graph.params().iter().enumerate() {
        let dims = dims_of(graph.ty(*id), graph.node(*id).origin)?;
        let place = Place { base: 1 + k as u32, counter: 0, offset: 0, stride: 0 };
        params.push(Value::View(View::dense(place, &dims)));
    }
    let lower = Lower::new(&mut planner, graph, params)?;
    let targets = vec![None; graph.outputs.len()];
    let (mut body, values) = lower.run(&targets)?;
    let mut outputs = Vec::new();
    for (o, v) in graph.outputs.iter().zip(values) {
        let ty = graph.ty(*o).clone();
        let dims = dims_of(&ty, graph.node(*o).origin)?.to_vec();
        let value = match v {
            Value::Imm(c) => Scalar::Imm(c),
            Value::View(v) => {
                let mut place = v.place;
                if !v.is_dense() {
                    let out = View::dense(planner.buffer(v.count()), &v.dims);
                    let access = Access { place: v.place, pattern: v.pattern() };
                    let fused = Fused {
                        dims: dims.clone(),
                        count: v.count(),
                        inputs: vec![access],
                        program: Vec::new(),
                        registers: 0,
                        outs: vec![Out::Store {
                            src: Src::In(0),
                            access: Access { place: out.place, pattern: store_pattern(&out) },
                            direct: false,
                        }],
                        segment: 0,
                        rows: 0,
                    };
                    body.code.push(Instr { kind: Kind::Fused(fused), origin: graph.node(*o).origin, name: "copy" });
                    place = out.place;
                }
                Scalar::At(place)
            }
            Value::Tuple(_) => return Err(PlanError::Internal("an output is a tuple".into())),
        };
        outputs.push(Output { value, dims, ty });
    }
    let constants: Vec<(u32, f64)> = planner.constants.iter().map(|(b, id)| (*id, f64::from_bits(*b))).collect();
    let layout = alloc::layout(&mut planner, &mut body, &mut outputs)?;
    let registers = max_registers(&body);
    Ok(Plan {
        params: graph.params().iter().map(|p| graph.ty(*p).clone()).collect(),
        arena: layout.arena,
        constants: constants.iter().map(|(id, v)| (layout.offsets[*id as usize], *v)).collect(),
        literals: planner.literals,
        counters: planner.counters as usize,
        body,
        outputs,
        buffers: layout.buffers,
        registers,
    })
}

fn max_registers(b: &Block) -> usize {
    b.code
        .iter()
        .map(|i| match &i.kind {
            Kind::Fused(f) => f.registers as usize + f.inputs.len(),
            Kind::Loop(l) => max_registers(&l.body).max(l.cond.as_ref().map_or(0, |(b, _)| max_registers(b))),
            Kind::Cond(c) => max_registers(&c.then).max(max_registers(&c.other)),
            _ => 0,
        })
        .max()
        .unwrap_or(0)
}
