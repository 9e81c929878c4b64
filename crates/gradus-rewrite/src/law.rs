//! Laws of scripts and libraries as rules: the left side is a pattern, the right side what it may become.
//!
//! A law about numbers holds for arrays element by element; one about arrays has lengths as names. A law is a graph over its variables, whose lengths may be names; its outputs are both sides, then the conditions. The left side
//! is read in normal form, so that it meets a sum or product however that is written; terms of a sum and factors of a product
//! around it stay where they are. A condition must follow from what is known of the values, or the law does not apply.

use crate::report::Class;
use crate::rules::{Head, Proposal, as_product, as_sum, at, lin, node, prod};
use crate::sea::{Kids, Sop};
use crate::space::{Term, View};
use crate::value::Values;
use egg::Id;
use gradus_ir::{BinaryOp, DType, Dim, F64, Graph, NodeId, Op, Ty, UnaryOp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nodes that the right side has at most, written as a tree.
const LARGEST: usize = 200;
/// Attempts at one form, and ways in which it may be an instance.
const ATTEMPTS: usize = 500;
const WAYS: usize = 4;

/// A law as it was stated and traced.
#[derive(Clone, Debug)]
pub struct Statement {
    pub name: Arc<str>,
    /// Names of the graph's parameters.
    pub variables: Vec<Arc<str>>,
    /// Outputs: left side, right side, conditions.
    pub graph: Graph,
    pub class: Class,
    /// On how many random instances it held.
    pub tested: usize,
}

/// A law that can be applied.
#[derive(Clone, Debug)]
pub struct Law {
    pub statement: Statement,
    /// `law NAME`.
    pub(crate) name: Arc<str>,
    pub(crate) reason: String,
    pattern: Pattern,
    /// About single numbers, so that it holds element by element.
    lifted: bool,
}

/// Why a law is no rewrite rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// What keeps it from being one, in words.
    Form(String),
    /// The right side holds an instance of the left.
    Loops,
}

#[derive(Clone, Debug)]
enum Pattern {
    Variable(usize, Ty),
    Form(Sop, Vec<Pattern>),
}

/// What a pattern's variables and lengths stand for, and the forms it went by.
#[derive(Clone, Default)]
struct Found {
    variables: BTreeMap<usize, Id>,
    dims: BTreeMap<Arc<str>, Dim>,
    used: Vec<(Id, Sop, Kids)>,
    /// Ops that must be equal once the lengths are known.
    later: Vec<(Op, Op)>,
    /// Of a sum or product at the top: what the pattern does not take up.
    rest: Option<Term>,
}

impl Law {
    /// # Errors
    /// The statement cannot be a rewrite rule.
    pub fn new(statement: Statement) -> Result<Law, Unfit> {
        let form = |text: &str| Unfit::Form(text.to_string());
        let g = &statement.graph;
        let [left, right, conditions @ ..] = g.outputs.as_slice() else { return Err(form("it has no two sides")) };
        let (l, r) = (g.ty(*left), g.ty(*right));
        if l != r {
            return Err(Unfit::Form(format!("its left side is `{l}`, its right side `{r}`")));
        }
        if g.nodes().any(|(_, n)| !n.op.regions().is_empty() || matches!(n.op, Op::Clock | Op::Loop(_))) {
            return Err(form("a side has a loop or a branch"));
        }
        for c in conditions {
            if !decidable(g, *c) {
                return Err(form("a condition is no comparison of variables, lengths and numbers"));
            }
        }
        let pattern = read(g, *left).ok_or_else(|| form("its left side has no normal form"))?;
        let mut taken = Vec::new();
        pattern.variables(&mut taken);
        if let Some(k) = (0..g.params().len()).find(|k| !taken.contains(k)) {
            let name = statement.variables.get(k).map_or("?", |n| n.as_ref());
            return Err(Unfit::Form(format!("`{name}` is not on the left side")));
        }
        if matches!(pattern, Pattern::Variable(..)) {
            return Err(form("its left side is a variable alone"));
        }
        if size(g, *right, LARGEST).is_none() {
            return Err(form("its right side is too large"));
        }
        let lifted = statement.graph.nodes().all(|(_, n)| match n.op {
            Op::Param(_) => n.ty().shape.is_scalar(),
            Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Const(..) => true,
            _ => false,
        });
        let law = Law {
            name: format!("law {}", statement.name).into(),
            reason: format!("a law of the script, which held on {} random instances", statement.tested),
            lifted,
            pattern,
            statement,
        };
        if law.loops() { Err(Unfit::Loops) } else { Ok(law) }
    }

    /// What a proof says of it.
    pub(crate) fn given(&self) -> gradus_proof::Given {
        gradus_proof::Given {
            law: self.name.to_string(),
            variables: self.statement.variables.iter().map(|v| v.to_string()).collect(),
            graph: self.statement.graph.to_string(),
            tested: self.statement.tested,
        }
    }

    pub(crate) fn head(&self) -> Head {
        match &self.pattern {
            Pattern::Form(op, _) => Head::of(op),
            Pattern::Variable(..) => Head::Other,
        }
    }

    /// Does the right side hold an instance of the left one that is not the whole of it?
    fn loops(&self) -> bool {
        let g = &self.statement.graph;
        let Some((space, root)) = space_of(g, g.outputs[1]) else { return true };
        let whole = (size(g, g.outputs[0], LARGEST), size(g, g.outputs[1], LARGEST));
        space.graph.classes().any(|c| {
            let found = c.nodes.iter().any(|n| {
                let op = space.graph.analysis.op(n.op);
                Head::of(op) == self.head() && !self.instances(&space, c.id, op, &n.kids, true).is_empty()
            });
            // Turning an operand round and back ends by itself: both forms are in one class.
            found && (c.id != root || whole.1 > whole.0)
        })
    }

    /// The forms that the law gives a form of a class.
    pub(crate) fn apply(&self, v: &dyn View, id: Id, op: &Sop, kids: &[Id]) -> Vec<Proposal> {
        let g = &self.statement.graph;
        self.instances(v, id, op, kids, false)
            .into_iter()
            .filter_map(|f| {
                let known = |n: &str| f.dims.get(n).cloned();
                let conditions = g.outputs.get(2..).unwrap_or_default();
                if !conditions.iter().all(|c| self.holds(v, *c, &f, &known)) {
                    return None;
                }
                let right = written(g, g.outputs[1], &f, &known)?;
                let term = match (&f.rest, &self.pattern) {
                    (None, _) => right,
                    (Some(rest), Pattern::Form(Sop::Prod(_), _)) => prod(vec![(right, 1), (rest.clone(), 1)]),
                    (Some(rest), _) => lin(vec![(1.0, right), (1.0, rest.clone())], 0.0),
                };
                let name = |k: &usize| self.statement.variables.get(*k).cloned().unwrap_or_else(|| k.to_string().into());
                let variables = f.variables.iter().map(|(k, id)| (name(k), *id)).collect();
                Some(Proposal { term, variables, used: f.used })
            })
            .collect()
    }

    /// Does a condition follow from what is known? What is not a number is no instance of a law about numbers; both sides of one that
    /// gives the same floats must be the same for it, too.
    fn holds(&self, v: &dyn View, id: NodeId, f: &Found, known: &dyn Fn(&str) -> Option<Dim>) -> bool {
        let g = &self.statement.graph;
        let n = g.node(id);
        let strict = self.statement.class == Class::Exact;
        match (&n.op, n.inputs.as_slice()) {
            (Op::Binary(BinaryOp::And), [a, b]) => self.holds(v, *a, f, known) && self.holds(v, *b, f, known),
            (Op::Binary(b), [x, y]) => match (values(v, g, *x, f, known), values(v, g, *y, f, known)) {
                (Some((_, Some(x))), Some((_, Some(y)))) => match b {
                    BinaryOp::Lt => x < y,
                    BinaryOp::Le => x <= y,
                    BinaryOp::Gt => x > y,
                    BinaryOp::Ge => x >= y,
                    BinaryOp::Eq => x == y,
                    BinaryOp::Ne => x != y,
                    _ => false,
                },
                (Some((p, _)), Some((q, _))) => {
                    let of = |s: Values| if strict { s } else { s.numbers() };
                    crate::value::compared(*b, of(p), of(q)) == Some(true)
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// `named`: lengths may stand for named lengths, as in the law's own right side.
    fn instances(&self, v: &dyn View, id: Id, op: &Sop, kids: &[Id], named: bool) -> Vec<Found> {
        let Pattern::Form(top, inner) = &self.pattern else { return Vec::new() };
        let mut search = Search { v, named, lifted: self.lifted, budget: ATTEMPTS, out: Vec::new() };
        search.form(top, inner, id, op, kids, true, Found::default(), Vec::new());
        search.out
    }
}

impl Pattern {
    fn variables(&self, out: &mut Vec<usize>) {
        match self {
            Pattern::Variable(k, _) => out.push(*k),
            Pattern::Form(_, kids) => kids.iter().for_each(|k| k.variables(out)),
        }
    }
}

/// A space with one value of a graph in normal form, and its class.
fn space_of(g: &Graph, output: NodeId) -> Option<(crate::space::Space, Id)> {
    let mut one = g.clone();
    one.outputs = vec![output];
    let sea = crate::import::import(&one, &mut |op, _| Ok(op.clone())).ok()?;
    let (space, outputs) = crate::load::load_with(&sea, true, false)?;
    let root = outputs.first().copied()?;
    Some((space, root))
}

fn read(g: &Graph, output: NodeId) -> Option<Pattern> {
    fn open(s: &crate::space::Space, id: Id, left: &mut usize) -> Option<Pattern> {
        *left = left.checked_sub(1)?;
        let class = &s.graph[s.graph.find(id)];
        let n = class.nodes.first()?;
        let op = s.graph.analysis.op(n.op);
        if let Sop::Ir(Op::Param(k)) = op {
            return Some(Pattern::Variable(*k as usize, class.data.tys.first()?.clone()));
        }
        let kids = n.kids.iter().map(|k| open(s, *k, left)).collect::<Option<Vec<_>>>()?;
        Some(Pattern::Form(op.clone(), kids))
    }
    let (space, root) = space_of(g, output)?;
    open(&space, root, &mut LARGEST.clone())
}

/// Nodes of a value written as a tree, up to a number.
fn size(g: &Graph, id: NodeId, most: usize) -> Option<usize> {
    let (mut n, mut todo) = (0, vec![id]);
    while let Some(id) = todo.pop() {
        n += 1;
        if n > most {
            return None;
        }
        todo.extend(g.node(id).inputs.iter().copied());
    }
    Some(n)
}

/// A value of the law's graph as a form.
fn written(g: &Graph, id: NodeId, f: &Found, known: &dyn Fn(&str) -> Option<Dim>) -> Option<Term> {
    let n = g.node(id);
    if let Op::Param(k) = n.op {
        return f.variables.get(&(k as usize)).map(|id| at(*id));
    }
    let kids = n.inputs.iter().map(|k| written(g, *k, f, known)).collect::<Option<Vec<_>>>()?;
    Some(node(settled(&n.op, known), kids))
}

/// With its lengths known; a length as a number is one.
fn settled(op: &Op, known: &dyn Fn(&str) -> Option<Dim>) -> Op {
    match op.with_dims(known) {
        Op::DimValue(Dim::Known(n)) => Op::Const(F64::new(n as f64), DType::Int),
        op => op,
    }
}

/// An obligation: the class is an instance of the pattern.
type Todo<'p> = Vec<(&'p Pattern, Id)>;

struct Search<'v> {
    v: &'v dyn View,
    named: bool,
    lifted: bool,
    budget: usize,
    out: Vec<Found>,
}

impl Search<'_> {
    fn step<'p>(&mut self, mut found: Found, mut todo: Todo<'p>) {
        if self.out.len() >= WAYS || self.budget == 0 {
            return;
        }
        self.budget -= 1;
        let Some((p, id)) = todo.pop() else {
            let known = |n: &str| found.dims.get(n).cloned();
            if found.later.iter().all(|(a, b)| settled(a, &known) == *b) {
                self.out.push(found);
            }
            return;
        };
        let id = self.v.find(id);
        match p {
            Pattern::Variable(k, ty) => {
                if found.variables.get(k).is_some_and(|old| *old != id) || !self.fits(ty, id, &mut found) {
                    return;
                }
                found.variables.insert(*k, id);
                self.step(found, todo);
            }
            Pattern::Form(op, kids) => {
                if let Sop::Ir(c @ (Op::Const(..) | Op::DimValue(_))) = op {
                    let Some(value) = self.v.fact(id).constant else { return };
                    found.later.push((c.clone(), Op::Const(value, if matches!(c, Op::DimValue(_)) { DType::Int } else { self.v.fact(id).dtype() })));
                    return self.step(found, todo);
                }
                let mut forms: Vec<(Sop, Kids)> = Vec::new();
                self.v.forms(id, &mut |op, kids| forms.push((op.clone(), Kids::from_slice(kids))));
                for (form, own) in forms {
                    if Head::of(&form) == Head::of(op) {
                        self.form(op, kids, id, &form, &own, false, found.clone(), todo.clone());
                    }
                }
            }
        }
    }

    /// Has the class the type of the variable?
    fn fits(&self, ty: &Ty, id: Id, found: &mut Found) -> bool {
        let fact = self.v.fact(id);
        if fact.tys.len() != 1 || fact.dtype() != ty.dtype || !self.lifted && fact.shape().rank() != ty.shape.rank() {
            return false;
        }
        if self.lifted {
            return true;
        }
        ty.shape.dims().iter().zip(fact.shape().dims()).all(|(want, have)| {
            if have.known().is_none() && !self.named {
                return false;
            }
            let known = want.substitute(&|n| found.dims.get(n).cloned());
            if known == *have && (known.known().is_some() || self.named) {
                return true;
            }
            // A name alone that is not known yet.
            let name = want.to_string();
            if found.dims.contains_key(name.as_str()) || *want != Dim::sym(name.as_str()) {
                return false;
            }
            found.dims.insert(name.into(), have.clone());
            true
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn form<'p>(&mut self, want: &Sop, inner: &'p [Pattern], id: Id, op: &Sop, kids: &[Id], top: bool, mut found: Found, mut todo: Todo<'p>) {
        if !top {
            found.used.push((id, op.clone(), Kids::from_slice(kids)));
        }
        match (want, want.ir()) {
            (Sop::Lin { coeffs, constant }, _) => {
                let Some((terms, c)) = as_sum(op, kids, self.v) else { return };
                let c0 = constant.get();
                if c0 != c && (!top || c0 != 0.0) {
                    return;
                }
                let wanted: Vec<f64> = coeffs.iter().map(|c| c.get()).collect();
                self.pairs(&wanted, &terms, inner, top, &mut Vec::new(), found, todo, &|rest: Vec<(f64, Id)>| {
                    let c = if c0 == c { 0.0 } else { c };
                    (!rest.is_empty() || c != 0.0).then(|| lin(rest.into_iter().map(|(c, k)| (c, at(k))).collect(), c))
                });
            }
            (Sop::Prod(exps), _) => {
                let Some(factors) = as_product(op, kids, self.v) else { return };
                let factors: Vec<(f64, Id)> = factors.into_iter().map(|(k, e)| (f64::from(e), self.v.find(k))).collect();
                let wanted: Vec<f64> = exps.iter().map(|e| f64::from(*e)).collect();
                self.pairs(&wanted, &factors, inner, top, &mut Vec::new(), found, todo, &|rest: Vec<(f64, Id)>| {
                    (!rest.is_empty()).then(|| prod(rest.into_iter().map(|(e, k)| (at(k), e as i32)).collect()))
                });
            }
            (_, Some(w)) => {
                let Some(have) = op.ir() else { return };
                if kids.len() != inner.len() || std::mem::discriminant(w) != std::mem::discriminant(have) {
                    return;
                }
                found.later.push((w.clone(), have.clone()));
                let operands: Vec<Id> = kids.to_vec();
                todo.extend(inner.iter().zip(operands.iter().copied()));
                self.step(found.clone(), todo.clone());
                // Of the largest and smallest the order does not matter.
                if let (Op::Binary(BinaryOp::Max | BinaryOp::Min | BinaryOp::Hypot), [a, b], [x, y]) = (w, inner, operands.as_slice()) {
                    todo.truncate(todo.len() - 2);
                    todo.extend([(a, *y), (b, *x)]);
                    self.step(found, todo);
                }
            }
            _ => {}
        }
    }

    /// Each wanted part gets one of the same coefficient (or exponent); at the top others may be left.
    #[allow(clippy::too_many_arguments)]
    fn pairs<'p>(
        &mut self,
        wanted: &[f64],
        parts: &[(f64, Id)],
        inner: &'p [Pattern],
        top: bool,
        taken: &mut Vec<usize>,
        found: Found,
        todo: Todo<'p>,
        rest: &dyn Fn(Vec<(f64, Id)>) -> Option<Term>,
    ) {
        if self.budget == 0 || (!top && wanted.len() != parts.len()) || wanted.len() != inner.len() {
            return;
        }
        let k = taken.len();
        if k == wanted.len() {
            let left = parts.iter().enumerate().filter(|(j, _)| !taken.contains(j)).map(|(_, p)| *p).collect();
            let mut found = found;
            if top {
                found.rest = rest(left);
            }
            let mut todo = todo;
            todo.extend(taken.iter().zip(inner).map(|(j, p)| (p, parts[*j].1)));
            return self.step(found, todo);
        }
        for (j, (c, _)) in parts.iter().enumerate() {
            if !taken.contains(&j) && *c == wanted[k] {
                taken.push(j);
                self.pairs(wanted, parts, inner, top, taken, found.clone(), todo.clone(), rest);
                taken.pop();
            }
        }
    }
}

/// Is the condition a comparison (or several) whose truth may follow from signs, bounds and lengths?
fn decidable(g: &Graph, id: NodeId) -> bool {
    let n = g.node(id);
    match &n.op {
        Op::Binary(BinaryOp::And) => n.inputs.iter().all(|k| decidable(g, *k)),
        Op::Binary(b) if b.is_comparison() => n.inputs.iter().all(|k| simple(g, *k)),
        _ => false,
    }
}

fn simple(g: &Graph, id: NodeId) -> bool {
    let n = g.node(id);
    matches!(n.op, Op::Param(_) | Op::Const(..) | Op::DimValue(_))
        || matches!(n.op, Op::Unary(_) | Op::Binary(_) | Op::Broadcast(_)) && n.inputs.iter().all(|k| simple(g, *k))
}

/// What is known of the values of an expression of a condition; the number, where it is one.
fn values(v: &dyn View, g: &Graph, id: NodeId, f: &Found, known: &dyn Fn(&str) -> Option<Dim>) -> Option<(Values, Option<f64>)> {
    let n = g.node(id);
    let number = |x: f64| Some((Values::of(x), Some(x)));
    match (&n.op, n.inputs.as_slice()) {
        (Op::Param(k), _) => {
            let fact = v.fact(*f.variables.get(&(*k as usize))?);
            Some((fact.values, fact.constant.map(|c| c.get())))
        }
        (Op::Const(c, _), _) => number(c.get()),
        (Op::DimValue(d), _) => number(d.substitute(known).known()? as f64),
        (Op::Unary(UnaryOp::ToReal) | Op::Broadcast(_), [x]) => values(v, g, *x, f, known),
        (Op::Unary(UnaryOp::Neg), [x]) => values(v, g, *x, f, known).map(|(s, x)| (s.neg(), x.map(|x| -x))),
        (Op::Unary(u), [x]) => values(v, g, *x, f, known).map(|(s, _)| (s.unary(*u), None)),
        (Op::Binary(b), [x, y]) => {
            let ((p, x), (q, y)) = (values(v, g, *x, f, known)?, values(v, g, *y, f, known)?);
            let exact = x.zip(y).and_then(|(x, y)| match b {
                BinaryOp::Add => Some(x + y),
                BinaryOp::Sub => Some(x - y),
                BinaryOp::Mul => Some(x * y),
                _ => None,
            });
            Some(exact.map_or((p.binary(*b, q), None), |e| (Values::of(e), Some(e))))
        }
        _ => None,
    }
}
