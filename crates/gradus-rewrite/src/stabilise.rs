//! The small pass before differentiation: a few rules that must fire first, because derivatives of the naive forms overflow or
//! are undefined where those of the stable ones are not. Works region by region, bottom up, one form per value.

use crate::cost::Machine;
use crate::report::{Fired, Report};
use crate::rules::head::HEADS;
use crate::rules::{self, Family, Head, Rule};
use crate::sea::{Kids, Sop};
use crate::space::{Fact, Term, View, fact_with};
use crate::{Options, Rewritten, count, emit};
use egg::Id;
use gradus_ir::{DType, Graph, IrError, IrResult, NodeId, Op, Origin, Ty};
use smallvec::SmallVec;
use std::sync::Arc;

/// A region, readable by rules.
#[derive(Default)]
struct Seen {
    ops: Vec<Sop>,
    kids: Vec<Kids>,
    facts: Vec<Fact>,
}

impl View for Seen {
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

impl Seen {
    /// Reads the nodes that were added to the graph since.
    fn catch_up(&mut self, g: &Graph) {
        for k in self.ops.len()..g.len() {
            let node = g.node(NodeId(k as u32));
            let kids: Kids = node.inputs.iter().map(|i| id(*i)).collect();
            let op = Sop::Ir(node.op.clone());
            let fact = match node.op {
                // Not typed by operands.
                Op::Param(_) => Fact {
                    tys: node.tys.clone(),
                    values: crate::value::Values::of_type(node.ty().dtype),
                    constant: None,
                    deps: Default::default(),
                },
                _ => {
                    let facts: SmallVec<[&Fact; 4]> = kids.iter().map(|i| &self.facts[usize::from(*i)]).collect();
                    fact_with(node.tys.clone(), &op, &facts)
                }
            };
            self.ops.push(op);
            self.kids.push(kids);
            self.facts.push(fact);
        }
    }

    /// The first form that a rule has for the node.
    fn proposed(&self, rule: &Rule, at: NodeId) -> Option<Term> {
        let k = at.index();
        (rule.apply)(self, id(at), &self.ops[k], &self.kids[k]).into_iter().next()
    }
}

struct Rules {
    all: Vec<&'static Rule>,
    /// Those that look at nodes with each head.
    by_head: Vec<Vec<&'static Rule>>,
}

/// Has any rule something to say about any node of the region or of those inside it? Most have not, and need not be copied.
fn any(g: &Graph, rules: &Rules) -> bool {
    let mut seen = Seen::default();
    seen.catch_up(g);
    let live = g.live();
    g.nodes().filter(|(at, _)| live[at.index()]).any(|(at, node)| {
        node.op.regions().iter().any(|r| any(r, rules))
            || rules.by_head[Head::of(&seen.ops[at.index()]).index()].iter().any(|rule| seen.proposed(rule, at).is_some())
    })
}

/// A region under construction.
#[derive(Default)]
struct Plain {
    graph: Graph,
    seen: Seen,
}

impl Plain {
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

fn region(g: &Graph, rules: &Rules, report: &mut Report) -> IrResult<Graph> {
    let mut p = Plain::default();
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
        p.seen.catch_up(&p.graph);
        for rule in &rules.all {
            if !rule.heads.contains(&Head::of(&p.seen.ops[new.index()])) {
                continue;
            }
            let Some(t) = p.seen.proposed(rule, new) else { continue };
            let other = p.write(&t, node.origin)?;
            if p.graph.node(other).tys == p.graph.node(new).tys && other != new {
                report.note(Fired {
                    rule: rule.name.into(),
                    class: rule.class,
                    count: 1,
                    origin: node.origin,
                    what: rule.cases.first().map(|c| format!("{}  =>  {}", c.start, c.goal)).unwrap_or_default(),
                    reason: rule.reason.into(),
                });
                new = other;
            }
            p.seen.catch_up(&p.graph);
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
fn inside(op: &Op, rules: &Rules, report: &mut Report) -> IrResult<Op> {
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
    let all: Vec<&'static Rule> =
        rules::all().into_iter().filter(|r| r.family == Family::Stable && !options.without.iter().any(|w| w == r.name)).collect();
    let mut by_head = vec![Vec::new(); HEADS];
    for rule in &all {
        for h in rule.heads {
            by_head[h.index()].push(*rule);
        }
    }
    let rules = Rules { by_head, all };
    if !any(graph, &rules) {
        return None;
    }
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
