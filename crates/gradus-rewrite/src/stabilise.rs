//! The small pass before differentiation: a few rules that must fire first, because derivatives of the naive forms overflow or
//! are undefined where those of the stable ones are not. Works region by region, bottom up, one form per value.

use crate::cost::Machine;
use crate::report::{Fired, Report};
use crate::rules::{self, Family, Head, Rule};
use crate::sea::Sop;
use crate::space::{Fact, Term, View, fact_of, Table};
use crate::{Options, Rewritten, count, emit};
use egg::Id;
use gradus_ir::{DType, Graph, IrError, IrResult, NodeId, Op, Origin, Ty};
use std::sync::Arc;

/// A region under construction, readable by rules.
struct Plain {
    graph: Graph,
    ops: Vec<Sop>,
    kids: Vec<Vec<Id>>,
    facts: Vec<Fact>,
    table: Table,
}

impl View for Plain {
    fn forms(&self, id: Id, f: &mut dyn FnMut(&Sop, &[Id])) {
        let k = usize::from(id);
        f(&self.ops[k], &self.kids[k]);
    }
    fn fact(&self, id: Id) -> &Fact {
        &self.facts[usize::from(id)]
    }
    fn find(&self, id: Id) -> Id {
        id
    }
}

fn id(n: NodeId) -> Id {
    Id::from(n.index())
}

impl Plain {
    /// Reads the nodes that were added to the graph since.
    fn catch_up(&mut self) {
        for k in self.ops.len()..self.graph.len() {
            let node = self.graph.node(NodeId(k as u32));
            let kids: Vec<Id> = node.inputs.iter().map(|i| id(*i)).collect();
            let op = Sop::Ir(node.op.clone());
            let facts: Vec<&Fact> = kids.iter().map(|i| &self.facts[usize::from(*i)]).collect();
            let mut fact = match node.op {
                // Not typed by operands.
                Op::Param(_) => Fact {
                    tys: node.tys.clone(),
                    values: crate::value::Values::of_type(node.ty().dtype),
                    constant: None,
                    deps: Default::default(),
                },
                _ => fact_of(&self.table, &op, &facts),
            };
            fact.tys = node.tys.clone();
            self.ops.push(op);
            self.kids.push(kids);
            self.facts.push(fact);
        }
    }

    fn write(&mut self, t: &Term, origin: Origin) -> IrResult<NodeId> {
        match t {
            Term::At(i) => Ok(NodeId(usize::from(*i) as u32)),
            Term::Real(v) => self.graph.add(Op::Const(gradus_ir::F64::new(*v), DType::Real), &[], origin),
            Term::Node(op, kids) => {
                let kids = kids.iter().map(|k| self.write(k, origin)).collect::<IrResult<Vec<_>>>()?;
                let mut shape = gradus_ir::Shape::scalar();
                for k in &kids {
                    shape = gradus_ir::Shape::broadcast(&shape, self.graph.shape(*k))
                        .unwrap_or_else(|_| self.graph.shape(*k).clone());
                }
                match op {
                    Sop::Lin { coeffs, constant } => {
                        let terms: Vec<(f64, NodeId)> = coeffs.iter().map(|c| c.get()).zip(kids).collect();
                        emit::lin(&mut self.graph, &terms, constant.get(), &Ty::real(shape), origin)
                    }
                    Sop::Prod(exps) => {
                        let factors: Vec<(NodeId, i32)> = kids.into_iter().zip(exps.iter().copied()).collect();
                        emit::prod(&mut self.graph, &factors, &Ty::real(shape), origin)
                    }
                    Sop::Ir(op) => self.graph.add(op.clone(), &kids, origin),
                    _ => Err(IrError::Internal("a form of the search in a plain region".into())),
                }
            }
        }
    }
}

fn region(g: &Graph, rules: &[&'static Rule], report: &mut Report) -> IrResult<Graph> {
    let mut p =
        Plain { graph: Graph::new(), ops: Vec::new(), kids: Vec::new(), facts: Vec::new(), table: Table::default() };
    let args: Vec<NodeId> = g.params().iter().map(|q| p.graph.param(g.ty(*q).clone(), g.node(*q).origin)).collect();
    let live = g.live();
    let mut map: Vec<Option<NodeId>> = vec![None; g.len()];
    for (q, a) in g.params().iter().zip(&args) {
        map[q.index()] = Some(*a);
    }
    for (at, node) in g.nodes() {
        if !live[at.index()] || map[at.index()].is_some() {
            continue;
        }
        let mut inputs = Vec::with_capacity(node.inputs.len());
        for i in &node.inputs {
            inputs.push(map[i.index()].ok_or_else(|| IrError::Internal("a node is used before it exists".into()))?);
        }
        let op = inside(&node.op, rules, report)?;
        let mut new = p.graph.add(op, &inputs, node.origin)?;
        p.catch_up();
        for rule in rules {
            let k = usize::from(id(new));
            if !rule.heads.contains(&Head::of(&p.ops[k])) {
                continue;
            }
            let (op, kids) = (p.ops[k].clone(), p.kids[k].clone());
            let Some(t) = (rule.apply)(&p, id(new), &op, &kids).into_iter().next() else { continue };
            let other = p.write(&t, node.origin)?;
            if p.graph.node(other).tys == p.graph.node(new).tys && other != new {
                report.note(Fired {
                    rule: rule.name,
                    class: rule.class,
                    count: 1,
                    origin: node.origin,
                    what: rule.cases.first().map(|c| format!("{}  =>  {}", c.start, c.goal)).unwrap_or_default(),
                    reason: rule.reason,
                });
                new = other;
            }
            p.catch_up();
        }
        map[at.index()] = Some(new);
    }
    p.graph.outputs = g
        .outputs
        .iter()
        .map(|o| map[o.index()].ok_or_else(|| IrError::Internal("an output was lost".into())))
        .collect::<IrResult<_>>()?;
    p.graph.compact()
}

/// The op with its regions stabilised; regions in which nothing fired stay the same objects.
fn inside(op: &Op, rules: &[&'static Rule], report: &mut Report) -> IrResult<Op> {
    let mut one = |g: &Arc<Graph>| -> IrResult<Arc<Graph>> {
        let mut own = Report::default();
        let new = region(g, rules, &mut own)?;
        if own.fired.is_empty() {
            return Ok(g.clone());
        }
        report.absorb(own);
        Ok(Arc::new(new))
    };
    Ok(match op {
        Op::Loop(l) => {
            let mut l = l.clone();
            l.body = one(&l.body)?;
            l.cond = l.cond.as_ref().map(&mut one).transpose()?;
            Op::Loop(l)
        }
        Op::Cond { then, other } => Op::Cond { then: one(then)?, other: one(other)? },
        op => op.clone(),
    })
}

/// Replaces `log(sum(exp x))`, `log(1 + exp x)`, `log(sigmoid x)`, `log(softmax x)`, `norm2(x)^2` and their like by forms whose
/// values and derivatives are defined wherever the mathematics is. A graph in which none occurs is returned as it is; also where
/// the pass itself fails, since it is never needed for a correct result.
pub fn stabilise(graph: &Graph) -> Rewritten {
    let machine = Machine::default();
    let cost = machine.graph_cost(graph);
    let mut report = Report { cost_before: cost, cost_after: cost, nodes_before: count(graph), ..Report::default() };
    let new = of(graph, &Options::default(), &mut report);
    if let Some(g) = &new {
        report.cost_after = machine.graph_cost(g);
    }
    let graph = new.unwrap_or_else(|| graph.clone());
    report.nodes_after = count(&graph);
    Rewritten { graph, report }
}

/// The stabilised graph and, in the report, the rules that fired; `None` where none did.
pub fn of(graph: &Graph, options: &Options, report: &mut Report) -> Option<Graph> {
    let rules: Vec<&'static Rule> =
        rules::all().into_iter().filter(|r| r.family == Family::Stable && !options.without.iter().any(|w| w == r.name)).collect();
    let mut own = Report::default();
    let new = region(graph, &rules, &mut own);
    match new {
        Ok(g) if !own.fired.is_empty() && gradus_ir::verify(&g).is_ok() => {
            report.absorb(own);
            Some(g)
        }
        _ => None,
    }
}
