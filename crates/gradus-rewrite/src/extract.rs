//! Choosing one form per class: cheapest on the shared graph with loops counted, never a cycle.
//!
//! A form is priced in the graph it would be part of: shared work once, work at the depth of the loop it varies in. The choice
//! starts from the forms that were there, and from a bottom-up guess, and takes single changes while they pay; what a change
//! brings with it is the bottom-up choice. The number of looks is fixed beforehand, so that the result depends on nothing else.

use crate::cost::Machine;
use crate::load::times;
use crate::sea::{Kids, Sea, SeaNode, Sop};
use crate::shared::Chosen;
use crate::describe;
use crate::saturate::Applied;
use crate::space::{Enode, Space};
use egg::{Id, Language};
use gradus_ir::Ty;
use std::collections::HashSet;

pub struct Form {
    op: u32,
    pub kids: Vec<u32>,
    pub cost: f64,
    by: u16,
    born: u32,
}

pub struct Extractor<'s> {
    pub(crate) space: &'s Space,
    /// Classes in a fixed order; `forms[c]` their forms.
    pub(crate) ids: Vec<Id>,
    pub(crate) forms: Vec<Vec<Form>>,
    pub(crate) roots: Vec<u32>,
    /// Estimate of the cheapest form of each class, shared work counted every time.
    tree: Vec<f64>,
    pub(crate) mark: Vec<u32>,
    pub(crate) generation: u32,
    pub(crate) visits: usize,
}

/// Which form stands for each class.
pub type Choice = Vec<u32>;

/// Node visits a search may spend.
const VISITS: usize = 1_500_000;

impl<'s> Extractor<'s> {
    /// `poor` also allows forms that a directed rule replaced, where the class has others.
    pub fn new(space: &'s Space, roots: &[Id], machine: &Machine, poor: bool) -> Extractor<'s> {
        let g = &space.graph;
        let replaced: HashSet<(u32, Kids)> = space
            .poor
            .iter()
            .map(|(op, kids)| (*op, kids.iter().map(|k| g.find(*k)).collect()))
            .collect();
        let mut number = vec![u32::MAX; space.origins.len().max(g.nodes().len())];
        let mut ids: Vec<Id> = Vec::new();
        let mut work: Vec<Id> = roots.iter().map(|r| g.find(*r)).collect();
        while let Some(id) = work.pop() {
            let slot = &mut number[usize::from(id)];
            if *slot != u32::MAX {
                continue;
            }
            *slot = ids.len() as u32;
            ids.push(id);
            for n in &g[id].nodes {
                work.extend(n.kids.iter().map(|k| g.find(*k)));
            }
        }
        let of = |id: Id| number[usize::from(g.find(id))];
        let forms: Vec<Vec<Form>> = ids
            .iter()
            .map(|id| {
                let class = &g[*id];
                let mut forms: Vec<Form> = class
                    .nodes
                    .iter()
                    .map(|n| {
                        let ins: Vec<&Ty> = n.kids.iter().filter_map(|k| g[*k].data.tys.first()).collect();
                        let cost = machine.sop_cost(g.analysis.op(n.op), &ins, &class.data.tys);
                        Form { op: n.op, kids: n.children().iter().map(|k| of(*k)).collect(), cost, by: n.by, born: n.born }
                    })
                    .collect();
                if !poor && !replaced.is_empty() && class.nodes.len() > 1 {
                    let good = |n: &Enode| !replaced.contains(&(n.op, n.kids.iter().map(|k| g.find(*k)).collect()));
                    if class.nodes.iter().any(good) {
                        forms = class.nodes.iter().zip(forms).filter(|(n, _)| good(n)).map(|(_, f)| f).collect();
                    }
                }
                // What was there comes first, oldest first: then first forms make no cycle.
                forms.sort_by(|a, b| (a.by != 0, a.born, a.op, &a.kids).cmp(&(b.by != 0, b.born, b.op, &b.kids)));
                forms
            })
            .collect();
        let roots = roots.iter().map(|r| of(*r)).collect();
        let n = ids.len();
        Extractor { space, ids, forms, roots, tree: vec![f64::INFINITY; n], mark: vec![0; n], generation: 0, visits: 0 }
    }

    pub(crate) fn op(&self, f: &Form) -> &'s Sop {
        self.space.graph.analysis.op(f.op)
    }

    /// How often a value of the class is computed, as far as its spellings agree on what it depends on.
    fn times(&self, c: usize) -> f64 {
        let loops = &self.space.graph.analysis.loops;
        let deps = &self.space.graph[self.ids[c]].data.deps;
        deps.iter().map(|l| times(loops, Some(*l))).fold(1.0, f64::max)
    }

    /// Bottom-up: the cheapest form where every use pays for itself.
    fn bottom_up(&mut self) -> Choice {
        let n = self.ids.len();
        let mut best: Choice = vec![u32::MAX; n];
        let scale: Vec<f64> = (0..n).map(|c| self.times(c)).collect();
        for _ in 0..40 {
            let mut changed = false;
            for c in (0..n).rev() {
                for (k, f) in self.forms[c].iter().enumerate() {
                    let mut total = f.cost * scale[c];
                    for kid in &f.kids {
                        // A hair above the operands, so that no class is chosen for itself.
                        total += self.tree[*kid as usize] * (1.0 + 1e-12) + 1e-9;
                    }
                    if total < self.tree[c] {
                        self.tree[c] = total;
                        best[c] = k as u32;
                        changed = true;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        best
    }

    /// The chosen classes, operands first.
    pub(crate) fn order(&mut self, choice: &Choice) -> Option<Vec<u32>> {
        self.generation += 2;
        let (open, done) = (self.generation, self.generation + 1);
        let mut order = Vec::new();
        let mut stack: Vec<(u32, usize)> = Vec::new();
        for r in self.roots.iter().rev() {
            stack.push((*r, 0));
        }
        while let Some((c, at)) = stack.pop() {
            let ci = c as usize;
            if at == 0 {
                if self.mark[ci] == done {
                    continue;
                }
                if self.mark[ci] == open {
                    return None;
                }
                self.mark[ci] = open;
            }
            let form = self.forms[ci].get(choice[ci] as usize)?;
            match form.kids.get(at) {
                Some(kid) => {
                    stack.push((c, at + 1));
                    let k = *kid as usize;
                    if self.mark[k] == open {
                        return None;
                    }
                    if self.mark[k] != done {
                        stack.push((*kid, 0));
                    }
                }
                None => {
                    self.mark[ci] = done;
                    order.push(c);
                }
            }
        }
        self.visits += order.len();
        Some(order)
    }

    /// Take single changes while they pay, the most promising first.
    pub(crate) fn improve(&mut self, choice: Choice) -> Chosen {
        let scale: Vec<f64> = (0..self.ids.len()).map(|c| self.times(c)).collect();
        let mut x = self.chosen(choice);
        for _ in 0..4 {
            let Some(order) = self.order(&x.choice) else { return x };
            let mut tries: Vec<(f64, u32, u32)> = Vec::new();
            for c in &order {
                let ci = *c as usize;
                if self.forms[ci].len() < 2 {
                    continue;
                }
                let guess = |f: &Form| {
                    f.cost * scale[ci] + f.kids.iter().map(|k| self.tree[*k as usize]).sum::<f64>()
                };
                let now = guess(&self.forms[ci][x.choice[ci] as usize]);
                for (k, f) in self.forms[ci].iter().enumerate() {
                    if k as u32 != x.choice[ci] {
                        tries.push((guess(f) - now, *c, k as u32));
                    }
                }
            }
            tries.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
            let mut better = false;
            for (_, c, k) in tries {
                if self.visits > VISITS {
                    return x;
                }
                better |= self.attempt(&mut x, c, k);
            }
            if !better {
                break;
            }
        }
        x
    }

    /// Where the search starts: what was there, with the guess for classes that rules made; and the guess alone.
    pub(crate) fn starts(&mut self) -> [Choice; 2] {
        let guess = self.bottom_up();
        let plain = self
            .forms
            .iter()
            .zip(&guess)
            .map(|(f, g)| if f.first().is_some_and(|f| f.by == 0) { 0 } else { *g })
            .collect();
        [plain, guess]
    }

    /// The choice, and which classes it uses, operands first.
    pub fn best(&mut self) -> Option<(Choice, Vec<u32>)> {
        let [plain, guess] = self.starts();
        let plain = self.improve(plain);
        self.visits /= 2;
        let other = self.improve(guess);
        let choice = if other.cost < plain.cost * (1.0 - 1e-9) { other.choice } else { plain.choice };
        let order = self.order(&choice)?;
        Some((choice, order))
    }

    /// The chosen graph, for `export`.
    pub fn sea(&self, choice: &Choice, order: &[u32]) -> Sea {
        let table = &self.space.graph.analysis;
        let mut sea = Sea { loops: table.loops.clone(), ..Sea::default() };
        let mut at = vec![Id::default(); self.ids.len()];
        for c in order {
            let ci = *c as usize;
            let f = &self.forms[ci][choice[ci] as usize];
            let id = self.ids[ci];
            let kids: Kids = f.kids.iter().map(|k| at[*k as usize]).collect();
            at[ci] = Id::from(sea.nodes.len());
            sea.nodes.push(SeaNode {
                op: self.op(f).clone(),
                kids,
                origin: self.space.origins.get(usize::from(id)).copied().unwrap_or_default(),
                tys: self.space.graph[id].data.tys.clone(),
                written: None,
            });
        }
        sea.outputs = self.roots.iter().map(|r| at[*r as usize]).collect();
        sea
    }

    /// The applications of rules whose result was chosen; the first of each rule with a description.
    pub fn made(&self, choice: &Choice, order: &[u32], log: &[Applied]) -> Vec<(Applied, String)> {
        let g = &self.space.graph;
        let mut class = vec![u32::MAX; g.nodes().len()];
        for c in order {
            class[usize::from(self.ids[*c as usize])] = *c;
        }
        let key = |id: Id| {
            let n = &g.nodes()[usize::from(id)];
            let kids: Kids = n.kids.iter().map(|k| g.find(*k)).collect();
            (n.op, kids)
        };
        let mut seen: HashSet<(u16, u32)> = HashSet::new();
        // A report shows the first use of each rule.
        let mut told: HashSet<u16> = HashSet::new();
        let mut out = Vec::new();
        for a in log {
            let c = class[usize::from(g.find(a.from))];
            if c == u32::MAX || seen.contains(&(a.rule, c)) {
                continue;
            }
            let f = &self.forms[c as usize][choice[c as usize] as usize];
            let kids: Kids = f.kids.iter().map(|k| self.ids[*k as usize]).collect();
            let chosen = (f.op, kids);
            // A form the rule made, or one that was there elsewhere and that the rule found equal.
            let there = f.by == 0 && key(a.from) != chosen && key(a.to) == chosen;
            if f.by == a.rule + 1 || there {
                seen.insert((a.rule, c));
                let text = match told.insert(a.rule) {
                    true => format!("{}  =>  {}", describe::cut(describe::node(g, a.from, 4)), describe::cut(describe::chosen(self, choice, c, 4))),
                    false => String::new(),
                };
                out.push((a.clone(), text));
            }
        }
        // Forms that a rule made on the way to what was chosen.
        for c in order {
            let f = &self.forms[*c as usize][choice[*c as usize] as usize];
            if f.by != 0 && told.insert(f.by - 1) {
                let id = self.ids[*c as usize];
                let origin = self.space.origins.get(usize::from(id)).copied().unwrap_or_default();
                let text = describe::cut(describe::chosen(self, choice, *c, 4));
                out.push((Applied { rule: f.by - 1, from: id, to: id, origin }, text));
            }
        }
        out
    }

    /// The type of a class's first output.
    pub fn ty(&self, c: u32) -> Ty {
        self.space.graph[self.ids[c as usize]].data.tys.first().cloned().unwrap_or(Ty::scalar(gradus_ir::DType::Real))
    }

    /// The op and operands chosen for a class.
    pub fn form(&self, choice: &Choice, c: u32) -> (&'s Sop, &[u32]) {
        let f = &self.forms[c as usize][choice[c as usize] as usize];
        (self.op(f), &f.kids)
    }
}
