//! The graph that a choice of forms makes, and what a single change of the choice costs: only what the change adds and frees is
//! looked at, as long as it moves nothing between loops.

use crate::extract::{Choice, Extractor, Form};
use crate::sea::{Deps, Sop, deps_of};

/// A choice with the graph it makes.
pub struct Chosen {
    pub choice: Choice,
    /// Of the whole graph; infinite where it has a cycle or a value leaves its loop.
    pub cost: f64,
    /// How often each class is used; classes that are not used are not in the graph.
    uses: Vec<u32>,
    /// Operands have smaller labels than what uses them.
    label: Vec<i64>,
    deps: Vec<Deps>,
    /// How often the body of each loop runs.
    runs: Vec<f64>,
}

/// Between the labels of neighbours when all are given anew.
const GAP: i64 = 1 << 20;

/// What a change did to the graph.
enum Step {
    /// Not told by looking nearby.
    Unknown,
    Worse,
    Better,
}

impl Chosen {
    fn most(&self, d: &Deps) -> f64 {
        d.iter().map(|l| self.runs[*l as usize]).fold(1.0, f64::max)
    }
}

impl Extractor<'_> {
    /// The graph of a choice.
    pub(crate) fn chosen(&mut self, choice: Choice) -> Chosen {
        let n = self.ids.len();
        let loops = self.space.graph.analysis.loops.len();
        let mut x = Chosen {
            choice,
            cost: f64::INFINITY,
            uses: vec![0; n],
            label: vec![0; n],
            deps: vec![Deps::new(); n],
            runs: vec![1.0; loops],
        };
        let Some(order) = self.order(&x.choice) else { return x };
        for r in &self.roots {
            x.uses[*r as usize] += 1;
        }
        for (k, c) in order.iter().enumerate() {
            let ci = *c as usize;
            let f = self.form_of(&x.choice, ci);
            x.deps[ci] = deps_of(self.op(f), f.kids.iter().map(|k| &x.deps[*k as usize]));
            x.label[ci] = (k as i64 + 1) * GAP;
            for kid in &f.kids {
                x.uses[*kid as usize] += 1;
            }
        }
        // A value of a loop can only be used inside it.
        if self.roots.iter().any(|r| !x.deps[*r as usize].is_empty()) {
            return x;
        }
        // Outer loops stand after inner ones.
        for c in order.iter().rev() {
            let ci = *c as usize;
            let f = self.form_of(&x.choice, ci);
            if let Sop::Loop(l) = self.op(f) {
                let info = &self.space.graph.analysis.loops[*l as usize];
                if f.kids.iter().take(info.carries + info.scanned).any(|k| x.deps[*k as usize].contains(l)) {
                    return x;
                }
                // A loop that never runs would make deeper work look free.
                x.runs[*l as usize] = x.most(&x.deps[ci]) * info.trips().max(1.0);
            }
        }
        x.cost = order.iter().map(|c| self.form_of(&x.choice, *c as usize).cost * x.most(&x.deps[*c as usize])).sum();
        x
    }

    /// Give a class of the graph another form if that makes the graph cheaper.
    pub(crate) fn attempt(&mut self, x: &mut Chosen, c: u32, k: u32) -> bool {
        let ci = c as usize;
        if x.choice[ci] == k || x.uses[ci] == 0 {
            return false;
        }
        match self.nearby(x, c, k) {
            Step::Better => true,
            Step::Worse => false,
            Step::Unknown => {
                let mut choice = x.choice.clone();
                choice[ci] = k;
                let new = self.chosen(choice);
                let better = new.cost < x.cost * (1.0 - 1e-9);
                if better {
                    *x = new;
                }
                better
            }
        }
    }

    fn nearby(&mut self, x: &mut Chosen, c: u32, k: u32) -> Step {
        let ci = c as usize;
        if !x.cost.is_finite() {
            return Step::Unknown;
        }
        let Some(added) = self.added(x, c, k) else { return Step::Unknown };
        let Some(added) = added else { return Step::Worse };
        for d in &added {
            let f = self.form_of(&x.choice, *d as usize);
            x.deps[*d as usize] = deps_of(self.op(f), f.kids.iter().map(|k| &x.deps[*k as usize]));
        }
        let (new, old) = (&self.forms[ci][k as usize], &self.forms[ci][x.choice[ci] as usize]);
        if deps_of(self.op(new), new.kids.iter().map(|k| &x.deps[*k as usize])) != x.deps[ci] {
            return Step::Unknown;
        }
        let mut delta = (new.cost - old.cost) * x.most(&x.deps[ci]);
        for d in &added {
            let f = self.form_of(&x.choice, *d as usize);
            delta += f.cost * x.most(&x.deps[*d as usize]);
            f.kids.iter().for_each(|k| x.uses[*k as usize] += 1);
        }
        new.kids.iter().for_each(|k| x.uses[*k as usize] += 1);
        // What the old form alone was using goes.
        let mut freed: Vec<u32> = Vec::new();
        let mut work: Vec<u32> = old.kids.clone();
        while let Some(d) = work.pop() {
            let di = d as usize;
            x.uses[di] -= 1;
            if x.uses[di] == 0 {
                let f = self.form_of(&x.choice, di);
                delta -= f.cost * x.most(&x.deps[di]);
                freed.push(d);
                work.extend(&f.kids);
            }
        }
        let (looked, better) = (added.len() + freed.len() + 1, delta < -1e-9 * x.cost);
        if better {
            x.cost += delta;
            x.choice[ci] = k;
        } else {
            // Back, in the opposite order.
            for d in freed.iter().rev() {
                let f = self.form_of(&x.choice, *d as usize);
                f.kids.iter().for_each(|k| x.uses[*k as usize] += 1);
            }
            old.kids.iter().for_each(|k| x.uses[*k as usize] += 1);
            new.kids.iter().for_each(|k| x.uses[*k as usize] -= 1);
            for d in &added {
                let f = self.form_of(&x.choice, *d as usize);
                f.kids.iter().for_each(|k| x.uses[*k as usize] -= 1);
            }
        }
        self.visits += looked;
        if !better {
            return Step::Worse;
        }
        self.place(x, c, &added);
        Step::Better
    }

    /// The classes that the new form brings into the graph, operands first. The outer `None`: they use something that stands after
    /// `c`, or a loop is among them; the inner one: a cycle, or a class that has no form.
    fn added(&mut self, x: &Chosen, c: u32, k: u32) -> Option<Option<Vec<u32>>> {
        self.generation += 2;
        let (open, done) = (self.generation, self.generation + 1);
        let top = x.label[c as usize];
        let mut out: Vec<u32> = Vec::new();
        let mut stack: Vec<(u32, usize)> = vec![(c, 0)];
        while let Some((d, at)) = stack.pop() {
            let form = if d == c { k } else { x.choice[d as usize] };
            let Some(f) = self.forms[d as usize].get(form as usize) else { return Some(None) };
            if at == 0 && matches!(self.op(f), Sop::Loop(_)) {
                return None;
            }
            let Some(kid) = f.kids.get(at).copied() else {
                if d != c {
                    self.mark[d as usize] = done;
                    out.push(d);
                }
                continue;
            };
            stack.push((d, at + 1));
            let ki = kid as usize;
            if kid == c || self.mark[ki] == open {
                return Some(None);
            }
            if x.uses[ki] > 0 {
                if x.label[ki] >= top {
                    return None;
                }
            } else if self.mark[ki] != done {
                self.mark[ki] = open;
                stack.push((kid, 0));
            }
        }
        Some(Some(out))
    }

    /// Labels for classes that have come in below `c`.
    fn place(&mut self, x: &mut Chosen, c: u32, added: &[u32]) {
        if added.is_empty() {
            return;
        }
        let mut own = added.to_vec();
        own.sort_unstable();
        let mut low = 0;
        for d in added {
            for kid in &self.form_of(&x.choice, *d as usize).kids {
                if own.binary_search(kid).is_err() {
                    low = low.max(x.label[*kid as usize]);
                }
            }
        }
        let step = (x.label[c as usize] - low) / (added.len() as i64 + 1);
        if step > 0 {
            for (k, d) in added.iter().enumerate() {
                x.label[*d as usize] = low + (k as i64 + 1) * step;
            }
        } else if let Some(order) = self.order(&x.choice) {
            for (k, c) in order.iter().enumerate() {
                x.label[*c as usize] = (k as i64 + 1) * GAP;
            }
        }
    }

    fn form_of(&self, choice: &Choice, c: usize) -> &Form {
        &self.forms[c][choice[c] as usize]
    }
}
