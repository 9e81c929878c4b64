//! The space of forms: an egg e-graph over the ops of the sea, with what is known of each class.

use crate::record::{Form, Record};
use crate::sea::{Deps, Kids, LoopInfo, Sop, Types, deps_of};
use crate::value::Values;
use egg::{Analysis, DidMerge, EGraph, Id, Language};
use gradus_ir::infer::infer;
use gradus_ir::{Cumulative, DType, F64, Op, Origin, ReduceOp, Shape, Ty, UnaryOp};
use indexmap::IndexSet;
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::HashSet;

/// A node: an op by number, and classes. What follows does not take part in equality.
#[derive(Clone, Debug)]
pub struct Enode {
    pub op: u32,
    pub kids: Kids,
    /// Which rule made it; 0: it was there.
    pub by: u16,
    /// How many nodes were there before it.
    pub born: u32,
}

impl Enode {
    fn key(&self) -> (u32, &Kids) {
        (self.op, &self.kids)
    }
}

impl PartialEq for Enode {
    fn eq(&self, o: &Enode) -> bool {
        self.key() == o.key()
    }
}
impl Eq for Enode {}
impl PartialOrd for Enode {
    fn partial_cmp(&self, o: &Enode) -> Option<std::cmp::Ordering> {
        Some(self.cmp(o))
    }
}
impl Ord for Enode {
    fn cmp(&self, o: &Enode) -> std::cmp::Ordering {
        self.key().cmp(&o.key())
    }
}
impl std::hash::Hash for Enode {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        self.key().hash(h);
    }
}

impl Language for Enode {
    type Discriminant = u32;
    fn discriminant(&self) -> u32 {
        self.op
    }
    fn matches(&self, o: &Enode) -> bool {
        self.op == o.op && self.kids.len() == o.kids.len()
    }
    fn children(&self) -> &[Id] {
        &self.kids
    }
    fn children_mut(&mut self) -> &mut [Id] {
        &mut self.kids
    }
}

/// What is known of a class.
#[derive(Clone, Debug)]
pub struct Fact {
    pub tys: Types,
    /// Union over the spellings: what no spelling can be is excluded.
    pub values: Values,
    /// The number that every element is.
    pub constant: Option<F64>,
    /// Loops that every spelling depends on: a value may be computed outside all others.
    pub deps: Deps,
}

impl Fact {
    pub fn shape(&self) -> &Shape {
        &self.tys[0].shape
    }
    pub fn dtype(&self) -> DType {
        self.tys[0].dtype
    }
}

/// The op table and loops behind the numbers in nodes.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub ops: IndexSet<Sop>,
    pub loops: Vec<LoopInfo>,
    pub params: Vec<Ty>,
    /// Two different constants met: some rule was wrong, and the graph is kept as it was.
    pub conflict: bool,
}

impl Table {
    pub fn op(&self, n: u32) -> &Sop {
        &self.ops[n as usize]
    }
}

pub type Graph = EGraph<Enode, Table>;

/// The types of a node's outputs; empty where the operands do not fit.
pub fn types_of(table: &Table, op: &Sop, kids: &[&Fact]) -> Types {
    match op {
        Sop::Ir(Op::Param(k)) => table.params.get(*k as usize).cloned().into_iter().collect(),
        Sop::Ir(op) | Sop::Pinned { op, .. } | Sop::Unique { op, .. } => {
            let tys: SmallVec<[&[Ty]; 4]> = kids.iter().map(|f| f.tys.as_slice()).collect();
            infer(op, &tys).unwrap_or_default()
        }
        Sop::LoopParam { of, index } => {
            table.loops.get(*of as usize).and_then(|l| l.params.get(*index as usize)).cloned().into_iter().collect()
        }
        Sop::Loop(l) => table.loops.get(*l as usize).map(|l| l.outputs.clone()).unwrap_or_default(),
        Sop::Lin { .. } | Sop::Prod(_) => {
            let mut shape = Shape::scalar();
            for k in kids {
                match Shape::broadcast(&shape, k.shape()) {
                    Ok(s) => shape = s,
                    Err(_) => return Types::new(),
                }
            }
            std::iter::once(Ty::real(shape)).collect()
        }
    }
}

pub fn fact_of(table: &Table, op: &Sop, kids: &[&Fact]) -> Fact {
    fact_with(types_of(table, op, kids), op, kids)
}

/// Like `fact_of`, of a node whose types are known.
pub fn fact_with(tys: Types, op: &Sop, kids: &[&Fact]) -> Fact {
    let dtype = tys.first().map_or(DType::Real, |t| t.dtype);
    let constant = match op {
        Sop::Ir(Op::Const(v, _)) => Some(*v),
        Sop::Ir(Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_)) => kids.first().and_then(|k| k.constant),
        _ => None,
    };
    let values = match constant {
        Some(v) => Values::of(v.get()),
        None => values_of(op, kids).within(Values::of_type(dtype)),
    };
    Fact { tys, values, constant, deps: deps_of(op, kids.iter().map(|k| &k.deps)) }
}

fn values_of(op: &Sop, kids: &[&Fact]) -> Values {
    let v = |k: usize| kids.get(k).map_or(Values::ANY, |f| f.values);
    match op {
        Sop::Lin { coeffs, constant } => {
            let mut sum: Option<Values> = (constant.get() != 0.0).then(|| Values::of(constant.get()));
            for (c, k) in coeffs.iter().zip(kids) {
                let t = k.values.mul(Values::of(c.get()));
                sum = Some(sum.map_or(t, |s| s.add(t)));
            }
            sum.unwrap_or(Values::of(0.0))
        }
        Sop::Prod(exps) => {
            let mut p = Values::of(1.0);
            for (e, k) in exps.iter().zip(kids) {
                let even = if e % 2 == 0 { k.values.unary(UnaryOp::Square) } else { k.values };
                // A power moves away from one within its sign, and may round to zero, one or infinity.
                let power = if e.abs() > 2 { even.union(even.mul(even.unary(UnaryOp::Square))) } else { even };
                p = p.mul(if *e < 0 { power.unary(UnaryOp::Recip) } else { power });
            }
            p
        }
        _ => match op.ir() {
            Some(Op::Unary(u)) => v(0).unary(*u),
            Some(Op::Binary(b)) => v(0).binary(*b, v(1)),
            Some(Op::Select) => v(1).union(v(2)),
            Some(Op::DimValue(_) | Op::Iota(_) | Op::Permutation(_)) => Values::count(),
            Some(Op::ArgReduce { .. } | Op::ArgSort { .. }) => Values::count(),
            Some(Op::Literal(a)) if a.len() <= 4096 => {
                a.data.iter().fold(Values::NONE, |s, x| s.union(Values::of(*x)))
            }
            Some(Op::Reduce(ReduceOp::Sum, _)) => v(0).sum(),
            Some(Op::Reduce(ReduceOp::Max, _)) => v(0).union(Values::of(f64::NEG_INFINITY)),
            Some(Op::Reduce(ReduceOp::Min, _)) => v(0).union(Values::of(f64::INFINITY)),
            Some(Op::Cumulative { op: Cumulative::Sum, .. }) => v(0).sum(),
            Some(
                Op::Broadcast(_)
                | Op::Reshape(_)
                | Op::Transpose(_)
                | Op::Slice { .. }
                | Op::Reverse { .. }
                | Op::Take { .. }
                | Op::TakeAlong { .. }
                | Op::Sort { .. }
                | Op::Diagonal,
            ) => v(0),
            Some(Op::Pad { .. } | Op::DiagMatrix) => v(0).union(Values::of(0.0)),
            Some(Op::Concat { .. }) => kids.iter().fold(Values::NONE, |s, k| s.union(k.values)),
            Some(Op::MatMul) => v(0).mul(v(1)).sum(),
            Some(Op::Uniform(_)) => Values::of(0.0).union(Values::of(0.5)),
            _ => Values::ANY,
        },
    }
}

impl Analysis<Enode> for Table {
    type Data = Fact;

    fn make(g: &mut Graph, n: &Enode, _: Id) -> Fact {
        let kids: SmallVec<[&Fact; 4]> = n.kids.iter().map(|k| &g[*k].data).collect();
        fact_of(&g.analysis, g.analysis.op(n.op), &kids)
    }

    fn merge(&mut self, a: &mut Fact, b: Fact) -> DidMerge {
        let values = a.values.union(b.values);
        let constant = match (a.constant, b.constant) {
            (Some(x), Some(y)) => {
                if x.get() != y.get() && !(x.get().is_nan() && y.get().is_nan()) {
                    self.conflict = true;
                }
                Some(x)
            }
            (x, y) => x.or(y),
        };
        let mut deps = a.deps.clone();
        deps.retain(|d| b.deps.contains(d));
        let did = DidMerge(
            values != a.values || constant != a.constant || deps != a.deps,
            values != b.values || constant != b.constant || deps != b.deps,
        );
        a.values = values;
        a.constant = constant;
        a.deps = deps;
        did
    }
}

/// A form proposed by a rule.
#[derive(Clone, Debug)]
pub enum Term {
    At(Id),
    Node(Sop, Vec<Term>),
    Real(f64),
}

/// What rules read: the forms of a class and what is known of it. Both the e-graph and a plain region can be read so.
pub trait View {
    /// Calls `f` with each form of the class.
    fn forms(&self, id: Id, f: &mut dyn FnMut(&Sop, &[Id]));
    fn fact(&self, id: Id) -> &Fact;
    fn find(&self, id: Id) -> Id;
    /// How often the body of a loop is taken to run.
    fn trips(&self, _of: u32) -> f64 {
        f64::INFINITY
    }
    /// A rule looked at this form and went by it (for proofs).
    fn used(&self, _id: Id, _op: &Sop, _kids: &[Id]) {}
}

pub struct Space {
    pub graph: Graph,
    pub normal: bool,
    /// Source text of each id, in the order ids were made.
    pub origins: Vec<Origin>,
    /// Forms that directed rules replaced, with operands as they were then.
    pub poor: HashSet<(u32, Kids)>,
    /// What a proof needs to know, where one is asked for.
    pub record: Option<RefCell<Record>>,
}

impl View for Space {
    fn forms(&self, id: Id, f: &mut dyn FnMut(&Sop, &[Id])) {
        for n in &self.graph[id].nodes {
            f(self.graph.analysis.op(n.op), &n.kids);
        }
    }
    fn fact(&self, id: Id) -> &Fact {
        &self.graph[id].data
    }
    fn find(&self, id: Id) -> Id {
        self.graph.find(id)
    }
    fn trips(&self, of: u32) -> f64 {
        self.graph.analysis.loops.get(of as usize).map_or(1.0, LoopInfo::trips)
    }
    fn used(&self, id: Id, op: &Sop, kids: &[Id]) {
        if let Some(r) = &self.record {
            r.borrow_mut().used.push(self.form_of(id, op, kids));
        }
    }
}

impl Space {
    pub fn new(loops: Vec<LoopInfo>, params: Vec<Ty>, normal: bool) -> Space {
        let table = Table { loops, params, ..Table::default() };
        Space { graph: EGraph::new(table), normal, origins: Vec::new(), poor: HashSet::new(), record: None }
    }

    /// The class of a node; `None` where its operands do not fit.
    pub fn node(&mut self, op: Sop, kids: &[Id], by: u16, origin: Origin) -> Option<Id> {
        {
            let facts: SmallVec<[&Fact; 4]> = kids.iter().map(|k| &self.graph[*k].data).collect();
            if types_of(&self.graph.analysis, &op, &facts).is_empty() {
                return None;
            }
        }
        let n = self.graph.analysis.ops.insert_full(op).0 as u32;
        let born = self.graph.nodes().len() as u32;
        let id = self.graph.add(Enode { op: n, kids: Kids::from_slice(kids), by, born });
        let ids = self.graph.nodes().len();
        self.origins.resize(ids.max(self.origins.len()), origin);
        if let Some(r) = &self.record {
            let form = Form { id, op: self.graph.analysis.op(n).clone(), kids: Kids::from_slice(kids) };
            r.borrow_mut().made.push(form);
        }
        Some(id)
    }

    /// A form of a class, with what it is made of as of now.
    pub fn form_of(&self, id: Id, op: &Sop, kids: &[Id]) -> Form {
        Form { id: self.graph.find(id), op: op.clone(), kids: kids.iter().map(|k| self.graph.find(*k)).collect() }
    }

    pub fn real(&mut self, v: f64, by: u16, origin: Origin) -> Option<Id> {
        self.node(Sop::Ir(Op::Const(F64::new(v), DType::Real)), &[], by, origin)
    }

    /// The class of a proposed form, with sums and products in normal form.
    pub fn term(&mut self, t: &Term, by: u16, origin: Origin) -> Option<Id> {
        match t {
            Term::At(id) => Some(self.graph.find(*id)),
            Term::Real(v) => self.real(*v, by, origin),
            Term::Node(op, kids) => {
                let mut ids = Kids::new();
                for k in kids {
                    ids.push(self.term(k, by, origin)?);
                }
                self.normalised(op.clone(), &ids, by, origin)
            }
        }
    }

    /// Like `node`, but arithmetic is brought to normal form first (where that is allowed).
    pub fn normalised(&mut self, op: Sop, kids: &[Id], by: u16, origin: Origin) -> Option<Id> {
        if self.record.is_none() {
            return self.normal_form(op, kids, by, origin);
        }
        let raw = Term::Node(op.clone(), kids.iter().map(|k| Term::At(self.graph.find(*k))).collect());
        self.recorded(raw, |s| s.normal_form(op, kids, by, origin))
    }

    /// Runs what turns `raw` into the class it returns, and records what it went by.
    pub fn recorded(&mut self, raw: Term, f: impl FnOnce(&mut Space) -> Option<Id>) -> Option<Id> {
        let mark = self.record.as_ref().map(|r| r.borrow().mark());
        let to = f(self);
        if let (Some(r), Some(mark), Some(to)) = (&self.record, mark, to) {
            r.borrow_mut().normal(mark, raw, to);
        }
        to
    }

    fn normal_form(&mut self, op: Sop, kids: &[Id], by: u16, origin: Origin) -> Option<Id> {
        match &op {
            Sop::Lin { coeffs, constant } => {
                let terms: Vec<(f64, Id)> = coeffs.iter().map(|c| c.get()).zip(kids.iter().copied()).collect();
                return crate::normal::lin(self, terms, constant.get(), None, by, origin);
            }
            Sop::Prod(exps) => {
                let factors = kids.iter().copied().zip(exps.iter().copied()).collect();
                return crate::normal::prod(self, factors, None, by, origin);
            }
            _ => {}
        }
        if let (Some(ir), [x]) = (op.ir(), kids)
            && let Some(id) = self.view_of_view(ir, *x, by, origin)
        {
            return Some(id);
        }
        if self.normal
            && let Some(op) = op.ir()
            && let Some(id) = crate::normal::arithmetic(self, op, kids, by, origin)
        {
            return Some(id);
        }
        self.node(op, kids, by, origin)
    }

    /// Reshaping, stretching and transposing twice is doing it once or not at all.
    fn view_of_view(&mut self, op: &Op, x: Id, by: u16, origin: Origin) -> Option<Id> {
        let x = self.graph.find(x);
        let shape = match op {
            Op::Reshape(s) | Op::Broadcast(s) => Some(s),
            Op::Transpose(p) if p.as_slice() == [1, 0] => None,
            _ => return None,
        };
        if shape == Some(self.graph[x].data.shape()) {
            return Some(x);
        }
        let inner = self.graph[x].nodes.iter().find_map(|n| {
            let same = match (op, self.graph.analysis.op(n.op)) {
                (Op::Reshape(_), Sop::Ir(Op::Reshape(_))) | (Op::Broadcast(_), Sop::Ir(Op::Broadcast(_))) => true,
                (Op::Transpose(_), Sop::Ir(Op::Transpose(p))) => p.as_slice() == [1, 0],
                _ => false,
            };
            if same { n.kids.first().copied() } else { None }
        })?;
        if let (Some(_), Some(n)) = (&self.record, self.graph[x].nodes.iter().find(|n| n.kids.first() == Some(&inner) && self.graph.analysis.op(n.op).ir().is_some_and(|o| std::mem::discriminant(o) == std::mem::discriminant(op)))) {
            self.used(x, self.graph.analysis.op(n.op), &n.kids);
        }
        match shape {
            None => Some(self.graph.find(inner)),
            Some(s) if s == self.graph[inner].data.shape() => Some(self.graph.find(inner)),
            Some(_) => self.node(Sop::Ir(op.clone()), &[inner], by, origin),
        }
    }

    pub fn is_real(&self, id: Id) -> bool {
        self.graph[id].data.dtype() == DType::Real
    }
}

