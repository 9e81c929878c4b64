//! Growing the space: every rule on every form, phase by phase, to a fixed number of nodes and rounds.

use crate::record::Seen;
use crate::report::Stop;
use crate::normal::LONGEST;
use crate::rules::head::HEADS;
use crate::rules::{Active, Family, Head, Proposal};
#[cfg(test)]
use crate::rules::Rule;
use crate::sea::Kids;
use crate::space::{Space, Term, View};
use egg::Id;
use gradus_ir::Origin;
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// One use of a rule: the class it was found in, and the class of the new form.
#[derive(Clone, Debug)]
pub struct Applied {
    pub rule: u16,
    pub from: Id,
    pub to: Id,
    pub origin: Origin,
}

pub struct Phase {
    pub name: &'static str,
    pub families: &'static [Family],
    pub rounds: usize,
}

pub const PHASES: &[Phase] = &[
    Phase { name: "stable", families: &[Family::Stable], rounds: 3 },
    Phase { name: "algebra", families: &[Family::Algebra, Family::Piecewise, Family::Reduce, Family::Stated], rounds: 4 },
    Phase { name: "matrix", families: &[Family::Matrix, Family::Factor, Family::Algebra, Family::Piecewise, Family::Reduce, Family::Stated], rounds: 8 },
];

/// Applies the allowed rules; `by` of a new node is the rule's number plus one.
pub(crate) fn saturate(s: &mut Space, rules: &[Active<'_>], node_limit: usize) -> (Vec<Applied>, Vec<(&'static str, Stop)>) {
    saturate_watching(s, rules, node_limit, Watch::default())
}

/// Rules as they are, for tests.
#[cfg(test)]
pub(crate) fn only<'a>(rules: &[&'a Rule]) -> Vec<Active<'a>> {
    rules.iter().map(|r| Active::Rule(r)).collect()
}

pub(crate) fn saturate_watching(
    s: &mut Space,
    rules: &[Active<'_>],
    node_limit: usize,
    mut watch: Watch,
) -> (Vec<Applied>, Vec<(&'static str, Stop)>) {
    let mut log = Vec::new();
    let mut stops = Vec::new();
    let mut previous: &[Family] = &[];
    for phase in PHASES {
        let active: Vec<(u16, Active<'_>)> = rules
            .iter()
            .enumerate()
            .filter(|(_, r)| phase.families.contains(&r.family()))
            .map(|(k, r)| (k as u16, *r))
            .collect();
        if active.is_empty() {
            continue;
        }
        let by_head = by_head(&active);
        let mut stop = Stop::Iterations;
        for k in 0..phase.rounds {
            let before = (s.graph.number_of_classes(), s.graph.total_size());
            // Rules that went through everything in the phase before need only look at what has changed, too.
            let known: &[Family] = if k == 0 { previous } else { phase.families };
            let changed = watch.changed(s);
            round(s, &by_head, &|class, rule| changed.contains(class) || !known.contains(&rule.family()), &mut log, node_limit);
            s.graph.rebuild();
            if s.graph.total_size() >= node_limit {
                stop = Stop::Nodes;
                break;
            }
            if (s.graph.number_of_classes(), s.graph.total_size()) == before {
                stop = Stop::Saturated;
                break;
            }
        }
        stops.push((phase.name, stop));
        previous = phase.families;
    }
    (log, stops)
}

/// How far below a class a rule and the normal form of what it proposes may look.
const REACH: usize = 5;

/// What each class was like when the rules last looked at it.
#[derive(Default)]
pub(crate) struct Watch {
    pub seen: Vec<u64>,
    /// Take everything to have changed: the slow way to the same forms, for tests.
    pub blind: bool,
}

/// Classes by number.
struct Changed(Vec<bool>);

impl Changed {
    fn contains(&self, class: Id) -> bool {
        self.0.get(usize::from(class)).copied().unwrap_or(true)
    }
}

impl Watch {
    /// The classes that a rule might see differently than it did at the last call: those that have changed, and what is above them.
    /// A rule is a function of what it sees, so that it has nothing new to say about the others.
    fn changed(&mut self, s: &Space) -> Changed {
        let size = s.graph.nodes().len();
        if self.blind {
            return Changed(vec![true; size]);
        }
        self.seen.resize(size, 0);
        let mut changed = vec![false; size];
        let mut edge: Vec<Id> = Vec::new();
        for c in s.graph.classes() {
            let k = usize::from(c.id);
            let mut h = FxHasher::default();
            (c.nodes.len(), c.parents().len(), c.data.values.0, c.data.constant, &c.data.deps).hash(&mut h);
            // Zero is what no class was like.
            let now = h.finish() | 1;
            if std::mem::replace(&mut self.seen[k], now) != now {
                changed[k] = true;
                edge.push(c.id);
            }
        }
        for _ in 0..REACH {
            let mut next = Vec::new();
            for class in edge {
                for p in s.graph[class].parents() {
                    let p = s.graph.find(p);
                    if !std::mem::replace(&mut changed[usize::from(p)], true) {
                        next.push(p);
                    }
                }
            }
            edge = next;
        }
        Changed(changed)
    }
}

/// Rules with their numbers.
type Numbered<'r> = Vec<(u16, Active<'r>)>;

/// The rules that look at forms with each head.
fn by_head<'r>(active: &[(u16, Active<'r>)]) -> Vec<Numbered<'r>> {
    let mut table = vec![Vec::new(); HEADS];
    for (k, rule) in active {
        for h in rule.heads() {
            table[h.index()].push((*k, *rule));
        }
    }
    table
}

/// What a rule proposes for a class.
struct Found {
    rule: u16,
    directed: bool,
    class: Id,
    /// The form the rule looked at.
    form: (u32, Kids),
    term: Term,
    name: Arc<str>,
    seen: Option<Box<Seen>>,
}

fn round(
    s: &mut Space,
    by_head: &[Numbered<'_>],
    wanted: &dyn Fn(Id, &Active<'_>) -> bool,
    log: &mut Vec<Applied>,
    node_limit: usize,
) {
    let mut ids: Vec<Id> = s.graph.classes().map(|c| c.id).collect();
    ids.sort_unstable();
    let mut found: Vec<Found> = Vec::new();
    for id in ids {
        for n in &s.graph[id].nodes {
            let op = s.graph.analysis.op(n.op);
            let rules = &by_head[Head::of(op).index()];
            // A rule may offer one form per operand (or pair), each as long as the sum: too much for a long one.
            if rules.is_empty() || n.kids.len() > LONGEST {
                continue;
            }
            for (k, rule) in rules.iter().filter(|(_, r)| wanted(id, r)) {
                let proposals = rule.apply(s, id, op, &n.kids);
                // For a proof: the form the rule matched, and the forms it went by.
                let own = s.record.as_ref().map(|r| std::mem::take(&mut r.borrow_mut().used)).unwrap_or_default();
                for Proposal { term, variables, used } in proposals {
                    let form = (n.op, if rule.directed() { n.kids.clone() } else { Kids::new() });
                    let seen = s.record.is_some().then(|| {
                        let more = used.iter().map(|(id, op, kids)| s.form_of(*id, op, kids));
                        let used = own.iter().cloned().chain(more).collect();
                        Box::new(Seen { top: s.form_of(id, op, &n.kids), used, variables })
                    });
                    found.push(Found { rule: *k, name: rule.name(), directed: rule.directed(), class: id, form, term, seen });
                }
            }
        }
    }
    for Found { rule: k, name, directed, class: id, form, term: t, seen } in found {
        if s.graph.total_size() >= node_limit {
            break;
        }
        let origin = s.origins.get(usize::from(id)).copied().unwrap_or_default();
        let Some(new) = s.term(&t, k + 1, origin) else { continue };
        let id = s.graph.find(id);
        let Some(new) = fit(s, id, new, k + 1, origin) else { continue };
        if directed {
            s.poor.insert(form);
        }
        if new != id {
            log.push(Applied { rule: k, from: id, to: new, origin });
            if let (Some(r), Some(seen)) = (&s.record, seen) {
                r.borrow_mut().applied(name, *seen, t);
            }
            s.graph.union(id, new);
        }
    }
}

/// The new form with the type of the class it is to join, stretched where it lost an operand; `None` where it does not fit.
fn fit(s: &mut Space, id: Id, new: Id, by: u16, origin: Origin) -> Option<Id> {
    use crate::sea::Sop;
    use gradus_ir::{Op, Shape};
    let (want, found) = (s.fact(id).tys.clone(), s.fact(new).tys.clone());
    if want == found {
        return Some(s.graph.find(new));
    }
    let (w, f) = (want.first()?, found.first()?);
    if want.len() == 1 && found.len() == 1 && w.dtype == f.dtype {
        let fits = Shape::broadcast(&f.shape, &w.shape).is_ok_and(|b| b == w.shape);
        return fits.then(|| s.node(Sop::Ir(Op::Broadcast(w.shape.clone())), &[new], by, origin))?;
    }
    None
}
