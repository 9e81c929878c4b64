//! Which values are still wanted: at the start of a step of the loop, and after the loop.

use crate::access::{Elements, Touch, touches};
use crate::cells::{Cell, Cells};
use gradus_plan::{Block, Instr, Kind, LoopPlan, Place, Plan, Scalar};
use std::collections::{BTreeMap, BTreeSet};

type Live = BTreeSet<Cell>;

pub(crate) struct Wanted {
    /// Before each step, its condition included.
    pub at_step: Live,
    pub after: Live,
}

struct Walk<'a> {
    cells: &'a Cells,
    /// The elements that are asked about.
    interest: BTreeMap<u32, BTreeSet<isize>>,
    root: *const LoopPlan,
    found: Option<Wanted>,
}

/// What code outside and inside the loop still reads of the elements that the loop writes.
pub(crate) fn wanted(plan: &Plan, cells: &Cells, root: &LoopPlan) -> Wanted {
    let mut interest: BTreeMap<u32, BTreeSet<isize>> = BTreeMap::new();
    for (base, at) in &cells.written {
        interest.entry(*base).or_default().insert(*at);
    }
    let mut w = Walk { cells, interest, root, found: None };
    let mut live = Live::new();
    for o in plan.outputs() {
        if let Scalar::At(p) = o.value {
            w.use_range(&p, 0, o.dims.iter().product::<usize>() as isize, &mut live);
        }
    }
    w.block(plan.body(), &mut live);
    w.found.unwrap_or_else(|| Wanted { at_step: cells.written.clone(), after: cells.written.clone() })
}

impl Walk<'_> {
    fn use_range(&self, p: &Place, lo: isize, hi: isize, live: &mut Live) {
        let Some(own) = self.interest.get(&p.base) else { return };
        let (lo, hi) = self.cells.reach(p, lo, hi);
        live.extend(own.range(lo..hi).map(|at| (p.base, *at)));
    }

    fn kill_range(&self, p: &Place, lo: isize, hi: isize, live: &mut Live) {
        for at in lo..hi {
            if let Some(c) = self.cells.cell(p, at) {
                live.remove(&c);
            } else if hi - lo > 64 {
                // Long ranges hold no values but by accident.
                return;
            }
        }
    }

    fn touch(&self, t: &Touch, write: bool, live: &mut Live) {
        if t.write != write {
            return;
        }
        match (&t.elements, write) {
            (Elements::Each(v), false) => v.iter().for_each(|d| self.use_range(&t.place, *d, d + 1, live)),
            (Elements::Each(v), true) => v.iter().for_each(|d| self.kill_range(&t.place, *d, d + 1, live)),
            (Elements::Within { lo, hi, .. }, false) => self.use_range(&t.place, *lo, *hi, live),
            (Elements::Within { lo, hi, whole: true }, true) => self.kill_range(&t.place, *lo, *hi, live),
            (Elements::Within { .. }, true) => {}
        }
    }

    fn scalar(&self, s: &Scalar, live: &mut Live) {
        if let Scalar::At(p) = s {
            self.use_range(p, 0, 1, live);
        }
    }

    fn block(&mut self, b: &Block, live: &mut Live) {
        for i in b.code.iter().rev() {
            self.instr(i, live);
        }
    }

    fn instr(&mut self, i: &Instr, live: &mut Live) {
        match &i.kind {
            Kind::Loop(l) => self.run_loop(l, live),
            Kind::Cond(c) => {
                let mut other = live.clone();
                self.block(&c.other, &mut other);
                self.block(&c.then, live);
                live.append(&mut other);
                self.scalar(&c.test, live);
            }
            _ => {
                touches(i, &mut |t| self.touch(&t, true, live));
                touches(i, &mut |t| self.touch(&t, false, live));
            }
        }
    }

    fn run_loop(&mut self, l: &LoopPlan, live: &mut Live) {
        if let Some(p) = &l.done {
            self.kill_range(p, 0, 1, live);
        }
        let out = live.clone();
        let mut head = out.clone();
        loop {
            let mut x = head.clone();
            for s in self.cells.swapped.get(&l.parity).into_iter().flatten() {
                for k in 0..s.len as isize {
                    let (a, b) = ((s.base, s.a as isize + k), (s.base, s.b as isize + k));
                    let (had_a, had_b) = (x.remove(&a), x.remove(&b));
                    if had_a {
                        x.insert(b);
                    }
                    if had_b {
                        x.insert(a);
                    }
                }
            }
            for (from, to, n) in l.copies.iter().rev() {
                self.kill_range(to, 0, *n as isize, &mut x);
                self.use_range(from, 0, *n as isize, &mut x);
            }
            self.block(&l.body, &mut x);
            x.extend(out.iter().copied());
            if let Some((b, s)) = &l.cond {
                self.scalar(s, &mut x);
                self.block(b, &mut x);
            }
            if let Some(p) = &l.index {
                self.kill_range(p, 0, 1, &mut x);
            }
            x.extend(out.iter().copied());
            if x.is_subset(&head) {
                break;
            }
            head.append(&mut x);
        }
        if std::ptr::eq(l, self.root) {
            self.found = Some(Wanted { at_step: head.clone(), after: out.clone() });
        }
        *live = head;
    }
}
