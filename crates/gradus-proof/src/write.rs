//! Writing proofs: claims in, a proof out that holds only what its conclusion rests on. Used by the rewriter, not by the checker.

use crate::bank::{Bank, Id};
use crate::check::{self, Checked, name, numbers, open};
use crate::import::LoopMap;
use crate::laws::{Case, law};
use crate::pattern::Names;
use crate::{Given, Proof, Refused, Step};
use gradus_ir::{Graph, NodeId};
use std::collections::{BTreeSet, HashMap, HashSet};

/// `left = right` by a law, between nodes of the draft's terms.
#[derive(Clone, Debug)]
pub struct Claim {
    pub law: String,
    pub left: NodeId,
    pub right: NodeId,
    /// Where the sides end.
    pub leaves: Vec<NodeId>,
    /// The substitution, where the law is the script's.
    pub with: Vec<(String, NodeId)>,
}

/// What a rewriting says it did.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    pub before: Graph,
    pub after: Graph,
    pub loops: Vec<LoopMap>,
    /// Terms that left a loop.
    pub hoisted: Vec<(NodeId, String)>,
    /// One for each parameter of `terms`.
    pub atoms: Vec<String>,
    pub terms: Graph,
    pub claims: Vec<Claim>,
    pub branches: Vec<Proof>,
    /// Laws of the script.
    pub given: Vec<Given>,
}

/// The proof of a draft, and what keeps it from being accepted, where something does.
pub fn finish(draft: &Draft) -> (Proof, Option<Refused>) {
    let mut proof = Proof {
        before: draft.before.to_string(),
        after: draft.after.to_string(),
        loops: draft.loops.clone(),
        atoms: draft.atoms.clone(),
        branches: draft.branches.clone(),
        given: draft.given.clone(),
        ..Proof::default()
    };
    match fill(draft, &mut proof) {
        Ok(()) => {
            // Only what the steps rest on.
            let steps = &proof.steps;
            proof.given.retain(|g| steps.iter().any(|s| s.law == g.law));
            let verdict = check::check(&proof).err();
            (proof, verdict)
        }
        Err(e) => (proof, Some(e)),
    }
}

/// The part of the draft's terms that some of them need: the graph, its atoms, and where each node went.
fn part(draft: &Draft, outputs: &[NodeId]) -> Result<(Graph, Vec<String>, Vec<Option<NodeId>>), Refused> {
    let from = &draft.terms;
    let lost = |e: String| Refused::whole(format!("the terms: {e}"));
    let live = from.reaching(outputs, |_| false);
    let (mut g, mut atoms) = (Graph::new(), Vec::new());
    let mut map: Vec<Option<NodeId>> = vec![None; from.len()];
    for (p, name) in from.params().iter().zip(&draft.atoms) {
        if live[p.index()] {
            map[p.index()] = Some(g.param(from.ty(*p).clone(), from.node(*p).origin));
            atoms.push(name.clone());
        }
    }
    for (id, n) in from.nodes() {
        if live[id.index()] && map[id.index()].is_none() {
            let kids: Vec<NodeId> = n.inputs.iter().filter_map(|i| map[i.index()]).collect();
            map[id.index()] = Some(g.add_plain(n.op.clone(), &kids, n.origin).map_err(|e| lost(e.to_string()))?);
        }
    }
    g.outputs = outputs.iter().filter(|o| single(from)(o)).filter_map(|o| map[o.index()]).collect();
    Ok((g, atoms, map))
}

/// A term with one value: outputs of a graph cannot be tuples.
fn single(g: &Graph) -> impl Fn(&NodeId) -> bool + '_ {
    |id| g.node(*id).tys.len() == 1
}

/// Numbers of the nodes, terms of the nodes, and what the numbers stand for.
struct Table {
    number: Vec<Option<usize>>,
    of: HashMap<Id, NodeId>,
}

impl Table {
    fn new(g: &Graph, map: &[Option<NodeId>], c: &Checked) -> Table {
        let text = numbers(g);
        let number: Vec<Option<usize>> = map.iter().map(|n| n.and_then(|n| text[n.index()])).collect();
        let mut of = HashMap::new();
        for (k, n) in number.iter().enumerate() {
            if let Some(id) = n.and_then(|n| c.numbered.get(n).copied().flatten()) {
                of.entry(id).or_insert(NodeId(k as u32));
            }
        }
        Table { number, of }
    }

    fn term(&self, c: &Checked, n: NodeId) -> Result<(usize, Id), Refused> {
        let lost = || Refused { step: None, law: String::new(), what: format!("term %{} was lost", n.0) };
        let number = self.number[n.index()].ok_or_else(lost)?;
        Ok((number, c.numbered.get(number).copied().flatten().ok_or_else(lost)?))
    }

    fn text(&self, c: &Checked, n: NodeId) -> Result<String, Refused> {
        let (number, id) = self.term(c, n)?;
        Ok(name(number, &c.bank, id))
    }
}

/// A claim whose law and names are found.
struct Found {
    claim: usize,
    names: Vec<(String, NodeId)>,
    numbers: Vec<(String, f64)>,
    axes: Option<Vec<usize>>,
    facts: Vec<String>,
}

fn step(f: &Found, draft: &Draft, table: &Table, c: &Checked) -> Result<Step, Refused> {
    let claim = &draft.claims[f.claim];
    let with = f.names.iter().map(|(n, t)| Ok((n.clone(), table.text(c, *t)?))).collect::<Result<_, Refused>>()?;
    Ok(Step {
        law: claim.law.clone(),
        left: table.text(c, claim.left)?,
        right: table.text(c, claim.right)?,
        with,
        numbers: f.numbers.clone(),
        axes: f.axes.clone(),
        facts: f.facts.clone(),
    })
}

fn fill(draft: &Draft, proof: &mut Proof) -> Result<(), Refused> {
    let all: Vec<NodeId> = draft.terms.nodes().map(|(id, _)| id).collect();
    let (g, atoms, map) = part(draft, &all)?;
    (proof.terms, proof.atoms) = (g.to_string(), atoms);
    let mut c = open(proof)?;
    let table = Table::new(&g, &map, &c);
    let mut found: Vec<Found> = Vec::new();
    let mut gaps: Vec<String> = Vec::new();
    let mut number = HashMap::new();
    for (k, claim) in draft.claims.iter().enumerate() {
        let (lhs, rhs) = (table.term(&c, claim.left)?.1, table.term(&c, claim.right)?.1);
        if c.bank.equal(lhs, rhs) {
            continue;
        }
        match prepare(&mut c, &table, k, claim) {
            Ok(f) => {
                number.insert(k as u32, found.len());
                c.bank.join(lhs, rhs, k as u32);
                found.push(f);
            }
            Err(e) => {
                let text = |id: Id| crate::form::describe(&c.bank, id, 5);
                gaps.push(format!("{}: {e}: {} = {}", claim.law, text(lhs), text(rhs)));
            }
        }
    }
    if let Err(mut e) = c.conclude() {
        if !gaps.is_empty() {
            e.what = format!("{}; not verified: {}", e.what, gaps.join("; "));
        }
        return Err(e);
    }
    let needed = c.needed();
    let mut keep: BTreeSet<u32> = needed.steps.clone();
    let mut terms: BTreeSet<Id> = needed.terms.clone();
    // A step may itself look at what earlier ones showed.
    for _ in 0..20 {
        let steps: Vec<&Found> = keep.iter().map(|k| &found[number[k]]).collect();
        let extra: Vec<NodeId> = terms.iter().filter(|t| **t as usize >= c.graphs).filter_map(|t| table.of.get(t).copied()).collect();
        let (written, failed) = assemble(draft, proof, &steps, &extra)?;
        let Some(at) = failed else { return spare(draft, proof, steps, &written) };
        let k = keep.iter().nth(at).copied().unwrap_or_default();
        let (before, before_terms) = (keep.len(), terms.len());
        let claim = &draft.claims[k as usize];
        let mut more = crate::bank::Reasons::default();
        let seen = below(&c.bank, &[table.term(&c, claim.left)?.1, table.term(&c, claim.right)?.1]);
        let mut first: HashMap<Id, Id> = HashMap::new();
        for t in seen {
            let root = c.bank.find(t);
            match first.get(&root) {
                Some(o) => c.bank.explain(t, *o, &mut more),
                None => {
                    first.insert(root, t);
                    c.bank.explain(t, c.bank.constant_term(root).unwrap_or(t), &mut more);
                }
            }
        }
        keep.extend(more.steps.iter().filter(|s| **s < k && number.contains_key(s)));
        terms.extend(more.terms);
        if (keep.len(), terms.len()) == (before, before_terms) {
            // Then with everything there is.
            keep.extend(number.keys().copied().filter(|s| *s < k));
            terms.extend(table.of.keys().copied());
        }
    }
    Err(Refused::whole("the proof could not be made small".into()))
}

/// The terms as they are written, and where each node of the draft went.
type Written = (Graph, Vec<Option<NodeId>>);

/// Writes the steps and the terms that they (and `extra`) need into the proof; says at which step that fails.
fn assemble(draft: &Draft, proof: &mut Proof, steps: &[&Found], extra: &[NodeId]) -> Result<(Written, Option<usize>), Refused> {
    let mut outputs: Vec<NodeId> = extra.to_vec();
    for f in steps {
        outputs.extend([draft.claims[f.claim].left, draft.claims[f.claim].right]);
        outputs.extend(f.names.iter().map(|(_, t)| *t));
    }
    outputs.extend(draft.hoisted.iter().map(|(t, _)| *t));
    outputs.sort_unstable();
    outputs.dedup();
    let (g, atoms, map) = part(draft, &outputs)?;
    (proof.terms, proof.atoms) = (g.to_string(), atoms);
    proof.steps.clear();
    let mut c = open(proof)?;
    let table = Table::new(&g, &map, &c);
    for (n, f) in steps.iter().enumerate() {
        let s = step(f, draft, &table, &c)?;
        proof.steps.push(s.clone());
        if c.step(n, &s).is_err() {
            return Ok(((g, map), Some(n)));
        }
    }
    let hoisted = draft.hoisted.iter().map(|(t, l)| Ok(format!("{} out of {l}", table.text(&c, *t)?)));
    proof.hoisted = hoisted.collect::<Result<_, Refused>>()?;
    Ok(((g, map), None))
}

/// Steps up to which a proof is tried without each of them.
const SPARE: usize = 40;

/// Leaves out the steps that the rest does without, and the terms that only they needed.
fn spare(draft: &Draft, proof: &mut Proof, mut steps: Vec<&Found>, written: &Written) -> Result<(), Refused> {
    let whole = proof.clone();
    if proof.steps.len() > SPARE || check::check(proof).is_err() {
        return Ok(());
    }
    for k in (0..proof.steps.len()).rev() {
        let step = proof.steps.remove(k);
        if check::check(proof).is_err() {
            proof.steps.insert(k, step);
        } else {
            steps.remove(k);
        }
    }
    // What the steps that are left go through.
    let mut c = open(proof)?;
    for (n, s) in proof.steps.iter().enumerate() {
        c.step(n, s)?;
    }
    c.conclude()?;
    let needed = c.needed();
    let table = Table::new(&written.0, &written.1, &c);
    let extra: Vec<NodeId> = needed.terms.iter().filter(|t| **t as usize >= c.graphs).filter_map(|t| table.of.get(t).copied()).collect();
    let small = assemble(draft, proof, &steps, &extra);
    if !matches!(small, Ok((_, None))) || check::check(proof).is_err() {
        *proof = whole;
    }
    Ok(())
}

/// Terms in and under the given ones, in a fixed order, to a number.
fn below(bank: &Bank, ids: &[Id]) -> Vec<Id> {
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    let mut todo = ids.to_vec();
    while let Some(id) = todo.pop() {
        if out.len() < 2000 && seen.insert(id) {
            out.push(id);
            todo.extend(bank.term(id).kids.iter().copied());
        }
    }
    out
}

/// Finds the names under which a claim is an instance of its law.
fn prepare(c: &mut Checked, table: &Table, k: usize, claim: &Claim) -> Result<Found, String> {
    let lost = |e: Refused| e.to_string();
    let lhs = table.term(c, claim.left).map_err(lost)?.1;
    let rhs = table.term(c, claim.right).map_err(lost)?.1;
    let mut leaves: Vec<(NodeId, Id)> = Vec::new();
    let reach: HashSet<Id> = below(&c.bank, &[lhs, rhs]).into_iter().collect();
    for l in &claim.leaves {
        let id = table.term(c, *l).map_err(lost)?.1;
        if reach.contains(&id) && !leaves.iter().any(|(_, x)| *x == id) {
            leaves.push((*l, id));
        }
    }
    let cut: HashSet<Id> = leaves.iter().map(|(_, id)| *id).collect();
    // Named terms, and the leaves that both sides still end at then.
    let ends = |bank: &Bank, names: &Names| -> Vec<(String, NodeId)> {
        let mut out: Vec<(String, NodeId)> = Vec::new();
        for (n, id) in &names.terms {
            out.extend(table.of.get(id).map(|t| (n.clone(), *t)));
        }
        let mut seen: HashSet<Id> = HashSet::new();
        let mut todo = vec![lhs, rhs];
        while let Some(id) = todo.pop() {
            if seen.insert(id) && !cut.contains(&id) && !names.terms.values().any(|x| *x == id) {
                todo.extend(bank.term(id).kids.iter().copied());
            }
        }
        let others = leaves.iter().filter(|(_, id)| seen.contains(id) && !names.terms.values().any(|x| x == id));
        out.extend(others.enumerate().map(|(j, (t, _))| (format!("{}", j + 1), *t)));
        out
    };
    let Some(law) = law(&claim.law) else {
        let at = c.given.iter().position(|g| g.name == claim.law).ok_or_else(|| format!("there is no law `{}`", claim.law))?;
        let mut names = Names::default();
        for (n, t) in &claim.with {
            names.terms.insert(n.clone(), table.term(c, *t).map_err(lost)?.1);
        }
        let given = std::mem::take(&mut c.given);
        let mut case = Case { bank: &mut c.bank, facts: &c.facts, lhs, rhs, cut: &cut, names: &names, licence: Vec::new() };
        let verdict = given[at].holds(&mut case);
        let facts = std::mem::take(&mut case.licence);
        c.given = given;
        verdict?;
        return Ok(Found { claim: k, names: ends(&c.bank, &names), numbers: Vec::new(), axes: None, facts });
    };
    // The terms that a law's names may stand for: the parts of the left side, outermost last.
    let mut parts: Vec<Id> = leaves.iter().map(|(_, id)| *id).collect();
    let mut todo = vec![lhs];
    while let Some(id) = todo.pop() {
        if parts.contains(&id) && cut.contains(&id) || parts.len() > 40 {
            continue;
        }
        if !parts.contains(&id) {
            parts.push(id);
        }
        todo.extend(c.bank.term(id).kids.iter().copied());
    }
    let parts: Vec<Id> = parts.into_iter().filter(|id| c.bank.constant(*id).is_none() && table.of.contains_key(id) || cut.contains(id)).collect();
    let mut inside = parts.clone();
    inside.push(lhs);
    let none = Names::default();
    let mut case = Case { bank: &mut c.bank, facts: &c.facts, lhs, rhs, cut: &cut, names: &none, licence: Vec::new() };
    let names = match law.names(&mut case, &inside) {
        Some(n) => n,
        None => return Err(law.holds(&mut case).err().unwrap_or_else(|| "no names were found".into())),
    };
    let facts = std::mem::take(&mut case.licence);
    Ok(Found { claim: k, names: ends(&c.bank, &names), numbers: names.numbers.into_iter().collect(), axes: names.axes, facts })
}
