//! The check of a proof: every step is an instance of its law, and the outputs of both graphs are equal by them.

use crate::bank::{Bank, Id, Reasons};
use crate::facts::Facts;
use crate::import::{Importer, LoopMap, Opened, obligations, settle};
use crate::laws::{Case, law};
use crate::pattern::Names;
use crate::stated::Stated;
use crate::{Proof, Refused, Step, Summary};
use gradus_ir::{Graph, Op};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The step number of what follows from loops that run alike.
const LOOPS: u32 = u32::MAX;

/// Everything that a checked proof knows.
pub struct Checked {
    pub bank: Bank,
    pub facts: Facts,
    old: Vec<Opened>,
    new: Vec<Opened>,
    maps: HashMap<String, LoopMap>,
    outputs: Vec<(Id, Id)>,
    /// The laws of the script.
    pub given: Vec<Stated>,
    /// How many terms the two graphs have.
    pub graphs: usize,
    /// How many the graph before has.
    before: usize,
    /// The terms behind the numbers of the proof's own graph.
    pub numbered: Vec<Option<Id>>,
}

fn parse(text: &str, what: &str) -> Result<Graph, Refused> {
    let bad = |e: String| Refused::whole(format!("{what}: {e}"));
    let g = gradus_ir::parse(text).map_err(|e| bad(e.to_string()))?;
    gradus_ir::verify(&g).map_err(|e| bad(e.to_string()))?;
    Ok(g)
}

/// The term that a name such as `%12: real[3]` stands for.
fn named(numbered: &[Option<Id>], bank: &Bank, text: &str) -> Result<Id, String> {
    let missing = || format!("`{text}` is no term of the proof");
    let (n, ty) = text.split_once(": ").ok_or_else(missing)?;
    let n: usize = n.strip_prefix('%').and_then(|n| n.parse().ok()).ok_or_else(missing)?;
    let id = numbered.get(n).copied().flatten().ok_or_else(missing)?;
    if bank.ty(id).to_string() != ty {
        return Err(format!("`{text}` has the type {}", bank.ty(id)));
    }
    Ok(id)
}

/// A term as it is named in a proof.
pub fn name(number: usize, bank: &Bank, id: Id) -> String {
    format!("%{number}: {}", bank.ty(id))
}

/// The axioms of a proof: both graphs and the terms, without its steps.
pub fn open(p: &Proof) -> Result<Checked, Refused> {
    let whole = |e: String| Refused::whole(e);
    let mut regions = HashMap::new();
    for b in &p.branches {
        check(b)?;
        regions.insert(b.last().to_string(), b.before.clone());
    }
    let (before, after) = (parse(&p.before, "the graph before")?, parse(&p.after, "the graph after")?);
    let types = |g: &Graph| -> Vec<String> { g.params().iter().chain(&g.outputs).map(|o| g.ty(*o).to_string()).collect() };
    if types(&before) != types(&after) || before.params().len() != after.params().len() {
        return Err(whole("the two graphs have different parameters or outputs".into()));
    }
    let mut bank = Bank::default();
    let args: Vec<Id> =
        before.params().iter().enumerate().map(|(k, q)| bank.atom(format!("input {k}"), before.ty(*q).clone())).collect();
    let mut maps = HashMap::new();
    for l in &p.loops {
        if maps.insert(l.label.clone(), l.clone()).is_some() {
            return Err(whole(format!("two loops are called `{}`", l.label)));
        }
    }
    let outputs = |g: &Graph, map: &[Option<Id>]| -> Result<Vec<Id>, Refused> {
        g.outputs.iter().map(|o| map[o.index()].ok_or_else(|| whole("an output is no value".into()))).collect()
    };
    let mut old = Importer::old(&regions);
    let map = old.graph(&mut bank, &before, &args).map_err(|e| whole(format!("the graph before: {e}")))?;
    let olds = outputs(&before, &map)?;
    let first = bank.len();
    let mut new = Importer::new(&maps, &regions);
    let map = new.graph(&mut bank, &after, &args).map_err(|e| whole(format!("the graph after: {e}")))?;
    let news = outputs(&after, &map)?;
    let graphs = bank.len();
    // The terms: a graph whose parameters are the inputs and atoms of the graph before.
    let terms = parse(&p.terms, "the terms")?;
    let mut given = Vec::new();
    for (k, q) in terms.params().iter().enumerate() {
        let name = p.atoms.get(k).ok_or_else(|| whole("a parameter of the terms is not named".into()))?;
        if !["input ", "in ", "slice ", "out ", "clock "].iter().any(|s| name.starts_with(s)) {
            return Err(whole(format!("`{name}` is no atom")));
        }
        let (ty, before) = (terms.ty(*q).clone(), bank.len());
        let id = bank.atom(name.clone(), ty.clone());
        // A made-up atom could be anything; only those of the graph before mean something.
        if bank.len() != before || *bank.ty(id) != ty {
            return Err(whole(format!("the graph before has no `{name}` of type {ty}")));
        }
        given.push(id);
    }
    let numbered = Importer::terms(&regions).graph(&mut bank, &terms, &given).map_err(|e| whole(format!("the terms: {e}")))?;
    let given = p.given.iter().map(Stated::read).collect::<Result<Vec<_>, String>>().map_err(whole)?;
    Ok(Checked {
        bank,
        given,
        facts: Facts::default(),
        old: old.loops,
        new: new.loops,
        maps,
        outputs: olds.into_iter().zip(news).collect(),
        graphs,
        before: first,
        numbered,
    })
}

impl Checked {
    /// Checks a step and takes over its equality.
    pub fn step(&mut self, k: usize, s: &Step) -> Result<(), Refused> {
        let at = |e: String| Refused { step: Some(k), law: s.law.clone(), what: e };
        let given = self.given.iter().position(|g| g.name == s.law);
        let law = law(&s.law);
        if law.is_none() && given.is_none() {
            return Err(at(format!("there is no law `{}`", s.law)));
        }
        let (lhs, rhs) = (named(&self.numbered, &self.bank, &s.left).map_err(at)?, named(&self.numbered, &self.bank, &s.right).map_err(at)?);
        let mut names = Names { axes: s.axes.clone(), ..Names::default() };
        let mut cut = HashSet::new();
        for (n, t) in &s.with {
            let id = named(&self.numbered, &self.bank, t).map_err(at)?;
            cut.insert(id);
            names.terms.insert(n.clone(), id);
        }
        names.numbers = s.numbers.iter().cloned().collect::<BTreeMap<_, _>>();
        if !within(&self.bank, lhs, rhs, &cut) {
            return Err(at("the substitution is not where both sides end".into()));
        }
        let mut case = Case { bank: &mut self.bank, facts: &self.facts, lhs, rhs, cut: &cut, names: &names, licence: Vec::new() };
        match (law, given) {
            (Some(law), _) => law.holds(&mut case).map_err(at)?,
            (None, Some(g)) => self.given[g].holds(&mut case).map_err(at)?,
            (None, None) => {}
        }
        if case.licence != s.facts {
            return Err(at(format!("the law rests on [{}], not on [{}]", case.licence.join("; "), s.facts.join("; "))));
        }
        self.bank.join(lhs, rhs, k as u32);
        Ok(())
    }

    /// Joins what loops give, and says what is missing for the outputs to be equal.
    pub fn conclude(&mut self) -> Result<(), Refused> {
        let left = settle(&mut self.bank, &self.old, &self.new, &self.maps, LOOPS);
        for (k, (a, b)) in self.outputs.iter().enumerate() {
            if !self.bank.equal(*a, *b) {
                let why = left.first().map(|l| format!(": {l}")).unwrap_or_default();
                return Err(Refused::whole(format!("output {k} is not shown to be the same{why}")));
            }
        }
        Ok(())
    }

    /// The steps that the conclusion rests on, and the terms on the way.
    pub fn needed(&self) -> Reasons {
        let mut out = Reasons::default();
        for (a, b) in &self.outputs {
            self.bank.explain(*a, *b, &mut out);
        }
        if out.steps.remove(&LOOPS) {
            for n in &self.new {
                let pair = self.old.iter().find(|o| o.label == n.label).zip(self.maps.get(&n.label));
                for (a, b, _) in pair.and_then(|(o, m)| obligations(o, n, m).ok()).into_iter().flatten() {
                    self.bank.explain(a, b, &mut out);
                }
            }
            out.steps.remove(&LOOPS);
        }
        out
    }

    /// Is the term the same whatever the loop carries?
    fn invariant(&self, text: &str) -> Result<(), String> {
        let (term, label) = text.split_once(" out of ").ok_or_else(|| format!("`{text}` does not say what leaves which loop"))?;
        let id = named(&self.numbered, &self.bank, term)?;
        if !self.old.iter().any(|o| o.label == label) {
            return Err(format!("there is no loop `{label}`"));
        }
        if id as usize >= self.before {
            return Err(format!("the graph before has no {term}"));
        }
        if self.facts.loops(&self.bank, id).contains(label) {
            return Err(format!("{term} varies in the loop `{label}`"));
        }
        Ok(())
    }
}

/// Do the sides end at the named terms: is each reached, and nothing unknown beside them?
fn within(bank: &Bank, lhs: Id, rhs: Id, cut: &HashSet<Id>) -> bool {
    let mut seen = HashSet::new();
    let mut todo = vec![lhs, rhs];
    while let Some(id) = todo.pop() {
        if !seen.insert(id) || cut.contains(&id) {
            continue;
        }
        let t = bank.term(id);
        if t.kids.is_empty() && bank.op(id).is_none() {
            return false;
        }
        todo.extend(t.kids.iter().copied());
    }
    cut.iter().all(|id| seen.contains(id))
}

/// Verifies a proof on its own: nothing in it is taken on trust.
///
/// # Errors
/// The first thing that does not follow.
pub fn check(p: &Proof) -> Result<Summary, Refused> {
    let mut c = open(p)?;
    let mut laws: BTreeMap<String, usize> = BTreeMap::new();
    for (k, s) in p.steps.iter().enumerate() {
        c.step(k, s)?;
        *laws.entry(s.law.clone()).or_default() += 1;
    }
    c.conclude()?;
    for h in &p.hoisted {
        c.invariant(h).map_err(Refused::whole)?;
    }
    let rests = p.given.iter().filter(|g| laws.contains_key(&g.law)).map(|g| (g.law.clone(), g.tested)).collect();
    let mut summary = Summary { steps: p.steps.len(), hoisted: p.hoisted.len(), laws, given: rests };
    if p.then.len() > 1 || p.then.iter().any(|n| n.before != p.after) {
        return Err(Refused::whole("the proofs do not follow each other".into()));
    }
    for b in p.branches.iter().chain(&p.then) {
        let inner = check(b)?;
        summary.steps += inner.steps;
        summary.hoisted += inner.hoisted;
        for (n, k) in inner.given {
            let tested = summary.given.entry(n).or_insert(k);
            *tested = k.min(*tested);
        }
        for (n, k) in inner.laws {
            *summary.laws.entry(n).or_default() += k;
        }
    }
    Ok(summary)
}

/// The numbers that a graph's nodes have in its text form.
pub fn numbers(g: &Graph) -> Vec<Option<usize>> {
    let live = g.live();
    let mut out = vec![None; g.len()];
    for (k, p) in g.params().iter().enumerate() {
        out[p.index()] = Some(k);
    }
    let mut next = g.params().len();
    for (id, n) in g.nodes() {
        if live[id.index()] && !matches!(n.op, Op::Param(_)) {
            out[id.index()] = Some(next);
            next += 1;
        }
    }
    out
}
