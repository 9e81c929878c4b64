//! From the record of a search to the draft of a proof: every form that was made and every use of a rule as an equation between
//! terms that anyone can read. `gradus-proof` turns a draft into a proof and checks it; nothing here is trusted.

use crate::emit;
use crate::export::homes;
use crate::extract::{Choice, Extractor};
use crate::record::{Event, Form};
use crate::sea::{Sea, Sop, is_free};
use crate::space::{Space, Term};
use egg::Id;
use gradus_ir::{BinaryOp, DType, F64, Graph, IrResult, Loop, NodeId, Op, Origin, Ty};
use gradus_proof::{Claim, Draft, LoopMap, NORMAL, Proof, Refused};
use std::collections::HashMap;
use std::sync::Arc;

/// Forms opened one in another.
const DEEPEST: usize = 12;
/// Readings of one use of a rule where a class was looked at in several forms.
const READINGS: usize = 12;

const NOWHERE: Origin = Origin { file: 0, start: 0, end: 0 };

/// The graph with a label of its own for every loop, so that a loop can be named.
pub fn labelled(g: &Graph, next: &mut usize) -> IrResult<Graph> {
    let mut out = Graph::new();
    let mut map: Vec<Option<NodeId>> = vec![None; g.len()];
    for p in g.params() {
        map[p.index()] = Some(out.param(g.ty(*p).clone(), g.node(*p).origin));
    }
    let live = g.live();
    for (id, node) in g.nodes() {
        if map[id.index()].is_some() || !live[id.index()] {
            continue;
        }
        let op = match &node.op {
            Op::Loop(l) => {
                let label = format!("{}#{next}", l.label);
                *next += 1;
                let cond = l.cond.as_ref().map(|c| labelled(c, next).map(Arc::new)).transpose()?;
                Op::Loop(Box::new(Loop { cond, body: Arc::new(labelled(&l.body, next)?), label: label.into(), ..(**l).clone() }))
            }
            Op::Cond { then, other } => {
                Op::Cond { then: Arc::new(labelled(then, next)?), other: Arc::new(labelled(other, next)?) }
            }
            op => op.clone(),
        };
        let kids: Vec<NodeId> = node.inputs.iter().filter_map(|i| map[i.index()]).collect();
        map[id.index()] = Some(out.add_plain(op, &kids, node.origin)?);
    }
    out.outputs = g.outputs.iter().filter_map(|o| map[o.index()]).collect();
    Ok(out)
}

/// A proof that nothing happened.
pub fn unchanged(before: &Graph) -> Draft {
    fn loops(g: &Graph, out: &mut Vec<LoopMap>) {
        for (_, n) in g.nodes() {
            if let Op::Loop(l) = &n.op {
                let label = l.label.to_string();
                out.push(LoopMap { label, carries: (0..l.carries).collect(), collected: (0..l.collected).collect() });
            }
            if !matches!(n.op, Op::Cond { .. }) {
                n.op.regions().iter().for_each(|r| loops(r, out));
            }
        }
    }
    let mut d = Draft { before: before.clone(), after: before.clone(), ..Draft::default() };
    loops(before, &mut d.loops);
    d
}

/// What is kept of each loop.
pub fn loops(sea: &Sea) -> Vec<LoopMap> {
    let one = |l: &crate::sea::LoopInfo| LoopMap {
        label: l.label.to_string(),
        carries: l.kept.clone(),
        collected: l.kept_collected.clone(),
    };
    sea.loops.iter().map(one).collect()
}

/// The proof that a graph and its stable form are equal: both in one space, in which the stable rules find them so.
pub fn bridge(before: &Graph, after: &Graph) -> (Proof, Option<Refused>) {
    let mut draft = unchanged(before);
    draft.after = after.clone();
    let mut conds: [Vec<Op>; 2] = Default::default();
    let mut seas = Vec::new();
    for (g, conds) in [before, after].into_iter().zip(&mut conds) {
        let sea = crate::import::import(g, &mut |op, _| {
            conds.push(op.clone());
            Ok(op.clone())
        });
        seas.extend(sea);
    }
    for (a, b) in conds[0].iter().zip(&conds[1]) {
        for (x, y) in a.regions().into_iter().zip(b.regions()) {
            if x.to_string() != y.to_string() {
                draft.branches.push(bridge(x, y).0);
            }
        }
    }
    let [one, two] = seas.as_slice() else { return gradus_proof::finish(&draft) };
    let Some((mut space, _)) = crate::load::load_with(one, true, true) else { return gradus_proof::finish(&draft) };
    let loaded = crate::load::load_into(&mut space, two);
    let stable = crate::rules::all().into_iter().filter(|r| r.family == crate::rules::Family::Stable);
    let rules: Vec<crate::rules::Active<'_>> = stable.map(crate::rules::Active::Rule).collect();
    let limit = 2000 + 6 * (one.nodes.len() + two.nodes.len());
    if loaded.is_some() {
        crate::saturate::saturate(&mut space, &rules, limit);
    }
    let found = written(one, &space, |w| {
        w.sea(two);
    });
    (draft.atoms, draft.terms, draft.claims) = (found.atoms, found.terms, found.claims);
    gradus_proof::finish(&draft)
}

struct Writer<'s> {
    space: &'s Space,
    terms: Graph,
    atoms: Vec<String>,
    atom: HashMap<String, NodeId>,
    /// The term of each id of the search.
    ids: Vec<Option<NodeId>>,
    claims: Vec<Claim>,
}

/// The draft for a finished search and the choice from it, without its graphs.
pub fn draft(sea: &Sea, space: &Space, extractor: &Extractor<'_>, choice: &Choice, order: &[u32], chosen: &Sea) -> Draft {
    written(sea, space, |w| w.chosen(extractor, choice, order, chosen))
}

/// What was found equal, without a choice.
#[cfg(test)]
pub fn found(sea: &Sea, space: &Space) -> Draft {
    written(sea, space, |_| ())
}

fn written(sea: &Sea, space: &Space, more: impl FnOnce(&mut Writer<'_>)) -> Draft {
    let mut w = Writer {
        space,
        terms: Graph::new(),
        atoms: Vec::new(),
        atom: HashMap::new(),
        ids: Vec::new(),
        claims: Vec::new(),
    };
    let written = w.sea(sea);
    w.search();
    w.events();
    more(&mut w);
    let homes = homes(sea);
    let mut hoisted = Vec::new();
    for (k, n) in sea.nodes.iter().enumerate() {
        let stays = n.written == homes.home[k] || is_free(&n.op) || matches!(n.op, Sop::LoopParam { .. } | Sop::Ir(Op::Param(_) | Op::Get(_)));
        if let (false, Some(l), Some(t)) = (stays, n.written, written[k]) {
            hoisted.push((t, sea.loops[l as usize].label.to_string()));
        }
    }
    Draft { loops: loops(sea), hoisted, atoms: w.atoms, terms: w.terms, claims: w.claims, ..Draft::default() }
}

impl Writer<'_> {
    fn atom(&mut self, name: String, ty: &Ty) -> NodeId {
        if let Some(id) = self.atom.get(&name) {
            return *id;
        }
        let id = self.terms.param(ty.clone(), NOWHERE);
        self.atoms.push(name.clone());
        self.atom.insert(name, id);
        id
    }

    fn plain(&mut self, op: Op, kids: &[NodeId]) -> Option<NodeId> {
        self.terms.add_plain(op, kids, NOWHERE).ok()
    }

    fn number(&mut self, v: f64) -> Option<NodeId> {
        self.plain(Op::Const(F64::new(v), DType::Real), &[])
    }

    /// An operation on terms; sums and products as proofs write them.
    fn term(&mut self, op: &Sop, kids: &[NodeId]) -> Option<NodeId> {
        let loops = &self.space.graph.analysis.loops;
        match op {
            Sop::Ir(Op::Param(k)) => {
                let ty = self.space.graph.analysis.params.get(*k as usize)?.clone();
                Some(self.atom(format!("input {k}"), &ty))
            }
            Sop::LoopParam { of, index } => {
                let l = loops.get(*of as usize)?;
                let k = *index as usize;
                let ty = l.params.get(k)?.clone();
                let name = match k {
                    0 => format!("in {} 0", l.label),
                    k if k <= l.carries => format!("in {} {}", l.label, 1 + l.kept.get(k - 1)?),
                    k => format!("slice {} {}", l.label, k - 1 - l.carries),
                };
                Some(self.atom(name, &ty))
            }
            Sop::Unique { op: Op::Clock, within, serial } => {
                let label = within.and_then(|l| loops.get(l as usize)).map_or(String::new(), |l| l.label.to_string());
                // Readings are counted loop by loop.
                let n = self.space.graph.analysis.ops.iter().filter(|o| matches!(o, Sop::Unique { within: w, serial: s, .. } if w == within && s <= serial)).count();
                Some(self.atom(format!("clock {label} {n}"), &Ty::scalar(DType::Real)))
            }
            Sop::Loop(_) => None,
            Sop::Ir(op) | Sop::Pinned { op, .. } | Sop::Unique { op, .. } => self.plain(op.clone(), kids),
            Sop::Lin { coeffs, constant } => {
                let mut sum: Option<NodeId> = None;
                for (c, k) in coeffs.iter().zip(kids) {
                    let c = self.number(c.get())?;
                    let t = self.plain(Op::Binary(BinaryOp::Mul), &[c, *k])?;
                    sum = Some(match sum {
                        None => t,
                        Some(s) => self.plain(Op::Binary(BinaryOp::Add), &[s, t])?,
                    });
                }
                match (sum, constant.get()) {
                    (None, c) => self.number(c),
                    (Some(s), 0.0) => Some(s),
                    (Some(s), c) => {
                        let c = self.number(c)?;
                        self.plain(Op::Binary(BinaryOp::Add), &[s, c])
                    }
                }
            }
            Sop::Prod(exps) => {
                let mut product: Option<NodeId> = None;
                for (e, k) in exps.iter().zip(kids) {
                    let e = self.number(f64::from(*e))?;
                    let t = self.plain(Op::Binary(BinaryOp::Pow), &[*k, e])?;
                    product = Some(match product {
                        None => t,
                        Some(p) => self.plain(Op::Binary(BinaryOp::Mul), &[p, t])?,
                    });
                }
                product
            }
        }
    }

    /// The output of a loop, where the op takes one out of it.
    fn output(&mut self, op: &Sop, of: Option<&Sop>) -> Option<NodeId> {
        let (Some(Op::Get(j)), Some(Sop::Loop(l))) = (op.ir(), of) else { return None };
        let l = self.space.graph.analysis.loops.get(*l as usize)?;
        let j = *j as usize;
        let ty = l.outputs.get(j)?.clone();
        let at = match j {
            0 => 0,
            j if j <= l.carries => 1 + l.kept.get(j - 1)?,
            j => 1 + l.source_carries + l.kept_collected.get(j - 1 - l.carries)?,
        };
        Some(self.atom(format!("out {} {at}", l.label), &ty))
    }

    /// The terms of the graph as it was.
    fn sea(&mut self, sea: &Sea) -> Vec<Option<NodeId>> {
        let mut at: Vec<Option<NodeId>> = Vec::with_capacity(sea.nodes.len());
        for n in &sea.nodes {
            let of = n.kids.first().map(|k| &sea.node(*k).op);
            let t = self.output(&n.op, of).or_else(|| {
                let kids: Option<Vec<NodeId>> = n.kids.iter().map(|k| at[usize::from(*k)]).collect();
                self.term(&n.op, &kids?)
            });
            at.push(t);
        }
        at
    }

    fn id(&self, id: Id) -> Option<NodeId> {
        self.ids.get(usize::from(id)).copied().flatten()
    }

    /// The term of each id as it was made.
    fn search(&mut self) {
        let space = self.space;
        for n in space.graph.nodes() {
            let op = space.graph.analysis.op(n.op);
            let of = n.kids.first().and_then(|k| space.graph.nodes().get(usize::from(*k))).map(|k| space.graph.analysis.op(k.op));
            let t = self.output(op, of).or_else(|| {
                let kids: Option<Vec<NodeId>> = n.kids.iter().map(|k| self.id(*k)).collect();
                self.term(op, &kids?)
            });
            self.ids.push(t);
        }
    }

    /// A class in the forms that were used of it; where it ends is noted.
    fn open(&mut self, id: Id, forms: &HashMap<Id, &Form>, leaves: &mut Vec<NodeId>, depth: usize) -> Option<NodeId> {
        match forms.get(&id).filter(|_| depth < DEEPEST) {
            Some(f) => {
                let mut kids = Vec::with_capacity(f.kids.len());
                for k in &f.kids {
                    kids.push(self.open(*k, forms, leaves, depth + 1)?);
                }
                self.term(&f.op, &kids)
            }
            None => {
                let t = self.id(id)?;
                leaves.push(t);
                Some(t)
            }
        }
    }

    fn raw(&mut self, t: &Term, forms: &HashMap<Id, &Form>, leaves: &mut Vec<NodeId>) -> Option<NodeId> {
        match t {
            Term::At(id) => self.open(*id, forms, leaves, 0),
            Term::Real(v) => self.number(*v),
            Term::Node(op, kids) => {
                let mut ids = Vec::with_capacity(kids.len());
                for k in kids {
                    ids.push(self.raw(k, forms, leaves)?);
                }
                self.term(op, &ids)
            }
        }
    }

    fn events(&mut self) {
        let Some(record) = &self.space.record else { return };
        let events = record.borrow().events.clone();
        for e in &events {
            match e {
                Event::Normal { raw, used, made, to } => {
                    let mut forms: HashMap<Id, &Form> = HashMap::new();
                    used.iter().for_each(|f| {
                        forms.entry(f.id).or_insert(f);
                    });
                    let mut leaves = Vec::new();
                    let left = self.raw(raw, &forms, &mut leaves);
                    // What was made is opened too, unless it is what the left side ends at.
                    let mut both = forms.clone();
                    made.iter().for_each(|f| {
                        both.entry(f.id).or_insert(f);
                    });
                    let right = self.open(*to, &both, &mut leaves, 0);
                    self.claim(NORMAL, left, right, leaves);
                }
                Event::Rule { name, seen, new } => {
                    for mut forms in readings(&seen.used) {
                        // What a law's variable stands for is not looked into.
                        forms.retain(|id, _| !seen.variables.iter().any(|(_, v)| v == id));
                        let mut leaves = Vec::new();
                        let mut kids = Vec::new();
                        for k in &seen.top.kids {
                            kids.extend(self.open(*k, &forms, &mut leaves, 0));
                        }
                        if kids.len() != seen.top.kids.len() {
                            continue;
                        }
                        let left = self.term(&seen.top.op, &kids);
                        let mut right = self.raw(new, &forms, &mut leaves);
                        if let (Some(l), Some(r)) = (left, right)
                            && self.terms.shape(l) != self.terms.shape(r)
                        {
                            right = self.plain(Op::Broadcast(self.terms.shape(l).clone()), &[r]);
                        }
                        let with: Option<Vec<(String, NodeId)>> =
                            seen.variables.iter().map(|(n, id)| self.id(*id).map(|t| (n.to_string(), t))).collect();
                        self.claim_with(name, left, right, leaves, with.unwrap_or_default());
                    }
                }
            }
        }
    }

    fn claim(&mut self, law: &str, left: Option<NodeId>, right: Option<NodeId>, leaves: Vec<NodeId>) {
        self.claim_with(law, left, right, leaves, Vec::new());
    }

    fn claim_with(&mut self, law: &str, left: Option<NodeId>, right: Option<NodeId>, mut leaves: Vec<NodeId>, with: Vec<(String, NodeId)>) {
        let (Some(left), Some(right)) = (left, right) else { return };
        if left == right {
            return;
        }
        leaves.sort_unstable();
        leaves.dedup();
        self.claims.push(Claim { law: law.into(), left, right, leaves, with });
    }

    /// The chosen forms as they are written into the new graph.
    fn chosen(&mut self, x: &Extractor<'_>, choice: &Choice, order: &[u32], sea: &Sea) {
        let homes = homes(sea);
        // Where each class stands in the order, its term as it is written, and as it is before folding.
        let mut at: HashMap<u32, (usize, NodeId, NodeId)> = HashMap::new();
        for (k, c) in order.iter().enumerate() {
            let (op, kids) = x.form(choice, *c);
            let of = kids.first().map(|k| x.form(choice, *k).0);
            if let Some(t) = self.output(op, of) {
                at.insert(*c, (k, t, t));
                continue;
            }
            let Some(kids) = kids.iter().map(|k| at.get(k).copied()).collect::<Option<Vec<_>>>() else { continue };
            // What comes from outside a loop is a parameter there: what it is made of does not show. Free work is done where it
            // is needed, on such a parameter too.
            let outside = |j: usize| homes.home[j] != homes.home[k] && !is_free(&sea.nodes[j].op);
            let bare = |j: usize| is_free(&sea.nodes[j].op) && sea.nodes[j].kids.iter().any(|i| outside(usize::from(*i)));
            let hide: Vec<bool> = kids.iter().map(|(j, ..)| outside(*j) || bare(*j)).collect();
            let kids: Vec<NodeId> = kids.iter().map(|(j, t, form)| if bare(*j) { *form } else { *t }).collect();
            let Some(form) = self.term(op, &kids) else { continue };
            let ty = x.ty(*c);
            let written = if hide.contains(&true) {
                self.hiding(op, &kids, &hide, &ty)
            } else {
                write(&mut self.terms, op, &kids, &ty)
            };
            let Ok(written) = written.map(|w| w.unwrap_or(form)) else { continue };
            at.insert(*c, (k, written, form));
            self.claim(NORMAL, Some(form), Some(written), kids.clone());
            self.claim("constant", Some(form), Some(written), kids);
        }
    }

    /// `write` where some operands show nothing of what they are.
    fn hiding(&mut self, op: &Sop, kids: &[NodeId], hide: &[bool], ty: &Ty) -> IrResult<Option<NodeId>> {
        let mut g = Graph::new();
        let mut back: HashMap<NodeId, NodeId> = HashMap::new();
        let mut own = Vec::new();
        for (k, hidden) in kids.iter().zip(hide) {
            own.push(shown(&self.terms, *k, if *hidden { 0 } else { 3 }, &mut g, &mut back)?);
        }
        let Some(out) = write(&mut g, op, &own, ty)? else { return Ok(None) };
        let mut map: Vec<Option<NodeId>> = vec![None; g.len()];
        for (id, n) in g.nodes() {
            map[id.index()] = Some(match back.get(&id) {
                Some(k) => *k,
                None => {
                    let kids: Vec<NodeId> = n.inputs.iter().filter_map(|i| map[i.index()]).collect();
                    self.terms.add_plain(n.op.clone(), &kids, NOWHERE)?
                }
            });
        }
        Ok(map[out.index()])
    }
}

/// A term in another graph, made of parameters below a depth; `back` says what each node stands for.
fn shown(from: &Graph, id: NodeId, depth: usize, g: &mut Graph, back: &mut HashMap<NodeId, NodeId>) -> IrResult<NodeId> {
    if let Some((own, _)) = back.iter().find(|(_, k)| **k == id) {
        return Ok(*own);
    }
    let n = from.node(id);
    let own = if depth == 0 || matches!(n.op, Op::Param(_)) {
        g.param(from.ty(id).clone(), NOWHERE)
    } else {
        let kids = n.inputs.iter().map(|k| shown(from, *k, depth - 1, g, back)).collect::<IrResult<Vec<_>>>()?;
        g.add_plain(n.op.clone(), &kids, NOWHERE)?
    };
    back.insert(own, id);
    Ok(own)
}

/// A chosen form as `export` writes it; `None` for what is no work.
fn write(g: &mut Graph, op: &Sop, kids: &[NodeId], ty: &Ty) -> IrResult<Option<NodeId>> {
    match op {
        Sop::Lin { coeffs, constant } => {
            let terms: Vec<(f64, NodeId)> = coeffs.iter().map(|c| c.get()).zip(kids.iter().copied()).collect();
            emit::lin(g, &terms, constant.get(), ty, NOWHERE).map(Some)
        }
        Sop::Prod(exps) => {
            let factors: Vec<(NodeId, i32)> = kids.iter().copied().zip(exps.iter().copied()).collect();
            emit::prod(g, &factors, ty, NOWHERE).map(Some)
        }
        Sop::Ir(Op::Param(_)) => Ok(None),
        Sop::Ir(op) | Sop::Pinned { op, .. } => g.add(op.clone(), kids, NOWHERE).map(Some),
        _ => Ok(None),
    }
}

/// The ways to take one form for each class of those that were looked at.
fn readings(used: &[Form]) -> Vec<HashMap<Id, &Form>> {
    let mut all: Vec<(Id, Vec<&Form>)> = Vec::new();
    for f in used {
        match all.iter_mut().find(|(id, _)| *id == f.id) {
            Some((_, forms)) => {
                if !forms.iter().any(|g| g.op == f.op && g.kids == f.kids) {
                    forms.push(f);
                }
            }
            None => all.push((f.id, vec![f])),
        }
    }
    let mut out: Vec<HashMap<Id, &Form>> = vec![HashMap::new()];
    for (id, forms) in &all {
        let mut more = Vec::new();
        for base in &out {
            for f in forms {
                if more.len() < READINGS {
                    let mut m = base.clone();
                    m.insert(*id, *f);
                    more.push(m);
                }
            }
        }
        out = more;
    }
    out
}
