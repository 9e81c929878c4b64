//! Which elements of memory become values of the native code, and which stay in memory.
//!
//! An element becomes a value where every instruction of the loop that touches it knows so at compile time. The two
//! buffers of a carry that change roles every step count as fixed ones whose contents are exchanged after a step.

use crate::access::{Elements, Touch, touches};
use gradus_plan::{Block, Instr, Kind, LoopPlan, Place, Plan, Scalar, Swap};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An element of memory: base and offset. Of a carry with two buffers: as in even steps.
pub(crate) type Cell = (u32, isize);

/// Ranges that the host touches up to this length may still be values, written and read around it.
const SPILLED: isize = 16;
/// Values that a loop may have.
const MOST: usize = 4096;

pub(crate) struct Cells {
    pub all: BTreeSet<Cell>,
    /// Those that the loop writes.
    pub written: BTreeSet<Cell>,
    /// Counters of this loop and of those inside it.
    pub counters: BTreeSet<u32>,
    /// The pairs of carries whose elements are values, by parity counter.
    pub swapped: HashMap<u32, Vec<Swap>>,
    /// Elements of the arena that never change.
    pub constants: BTreeMap<isize, f64>,
    limits: HashMap<u32, isize>,
}

/// Sets of disjoint ranges of memory.
#[derive(Default)]
struct Ranges(BTreeMap<u32, Vec<(isize, isize)>>);

impl Ranges {
    fn add(&mut self, base: u32, lo: isize, hi: isize) {
        if lo < hi {
            self.0.entry(base).or_default().push((lo, hi));
        }
    }

    fn finish(&mut self) {
        for v in self.0.values_mut() {
            v.sort_unstable();
            let mut out: Vec<(isize, isize)> = Vec::with_capacity(v.len());
            for &(lo, hi) in v.iter() {
                match out.last_mut() {
                    Some(last) if lo <= last.1 => last.1 = last.1.max(hi),
                    _ => out.push((lo, hi)),
                }
            }
            *v = out;
        }
    }

    fn overlaps(&self, base: u32, lo: isize, hi: isize) -> bool {
        let Some(v) = self.0.get(&base) else { return false };
        let k = v.partition_point(|r| r.1 <= lo);
        v.get(k).is_some_and(|r| r.0 < hi)
    }
}

/// Calls `f` for each instruction of the block, outer ones first.
pub(crate) fn each_instr<'p>(b: &'p Block, f: &mut dyn FnMut(&'p Instr)) {
    for i in &b.code {
        f(i);
        match &i.kind {
            Kind::Loop(l) => inside_loop(l, f),
            Kind::Cond(c) => {
                each_instr(&c.then, f);
                each_instr(&c.other, f);
            }
            _ => {}
        }
    }
}

/// The same for all that is inside a loop.
pub(crate) fn inside_loop<'p>(l: &'p LoopPlan, f: &mut dyn FnMut(&'p Instr)) {
    if let Some((c, _)) = &l.cond {
        each_instr(c, f);
    }
    each_instr(&l.body, f);
}

fn tested(s: &Scalar, put: &mut dyn FnMut(Touch)) {
    if let Scalar::At(place) = s {
        put(Touch { place: *place, elements: Elements::Each([0].into_iter().collect()), write: false, host: false });
    }
}

fn touched_inside(b: &Block, put: &mut dyn FnMut(Touch)) {
    each_instr(b, &mut |i| {
        touches(i, put);
        match &i.kind {
            Kind::Loop(l) => {
                if let Some((_, s)) = &l.cond {
                    tested(s, put);
                }
            }
            Kind::Cond(c) => tested(&c.test, put),
            _ => {}
        }
    });
}

/// Calls `put` for all that a loop touches, itself and inside.
fn everything(root: &Instr, put: &mut dyn FnMut(Touch)) {
    touches(root, put);
    if let Kind::Loop(l) = &root.kind {
        if let Some((b, s)) = &l.cond {
            tested(s, put);
            touched_inside(b, put);
        }
        touched_inside(&l.body, put);
    }
}

impl Cells {
    /// `root` is the instruction of the loop to be compiled. `None` where it has too many values.
    pub fn new(plan: &Plan, root: &Instr) -> Option<Cells> {
        let mut c = Cells {
            all: BTreeSet::new(),
            written: BTreeSet::new(),
            counters: BTreeSet::new(),
            swapped: HashMap::new(),
            constants: plan.constants().iter().map(|(at, v)| (*at as isize, *v)).collect(),
            limits: HashMap::new(),
        };
        each_instr(plan.body(), &mut |i| {
            if let Kind::Loop(l) = &i.kind {
                c.limits.insert(l.step, l.bound as isize);
                c.limits.insert(l.parity, 2);
            }
        });
        let mut pairs: Vec<(u32, Swap)> = Vec::new();
        let mut note = |l: &LoopPlan| {
            c.counters.extend([l.step, l.parity]);
            pairs.extend(l.swaps.iter().map(|s| (l.parity, *s)));
        };
        let Kind::Loop(root_loop) = &root.kind else { return None };
        note(root_loop);
        let mut look = |i: &Instr| {
            if let Kind::Loop(l) = &i.kind {
                note(l);
            }
        };
        inside_loop(root_loop, &mut look);
        let parities: BTreeSet<u32> = pairs.iter().map(|p| p.0).collect();

        let mut memory = Ranges::default();
        let mut known = Vec::new();
        let mut see = |t: Touch| {
            let p = t.place;
            let fixed = p.counter == 0 || parities.contains(&p.counter);
            match &t.elements {
                Elements::Each(v) if fixed => {
                    for d in v {
                        known.push(((p.base, p.offset as isize + d), t.write));
                    }
                    if known.len() > 64 * MOST {
                        known.truncate(MOST);
                    }
                }
                Elements::Within { lo, hi, .. } if fixed && t.host && hi - lo <= SPILLED => {
                    for d in *lo..*hi {
                        known.push(((p.base, p.offset as isize + d), t.write));
                    }
                }
                Elements::Each(v) => {
                    let (lo, hi) = (v.iter().min().copied().unwrap_or(0), v.iter().max().copied().unwrap_or(-1) + 1);
                    c.moving(&mut memory, &p, lo, hi);
                }
                Elements::Within { lo, hi, .. } => {
                    if p.counter != 0 && fixed {
                        memory.add(p.base, p.offset as isize + lo, p.offset as isize + hi);
                    }
                    c.moving(&mut memory, &p, *lo, *hi);
                }
            }
        };
        everything(root, &mut see);
        memory.finish();
        // Both buffers of a pair are values, or neither is.
        loop {
            let before = pairs.len();
            let mut lost = Vec::new();
            pairs.retain(|(_, s)| {
                let in_memory = |at: usize| memory.overlaps(s.base, at as isize, (at + s.len) as isize);
                let stays = !in_memory(s.a) && !in_memory(s.b) && s.len <= SPILLED as usize;
                if !stays {
                    lost.push(*s);
                }
                stays
            });
            for s in lost {
                memory.add(s.base, s.a as isize, (s.a + s.len) as isize);
                memory.add(s.base, s.b as isize, (s.b + s.len) as isize);
            }
            memory.finish();
            if pairs.len() == before {
                break;
            }
        }
        for (cell, write) in known {
            if !memory.overlaps(cell.0, cell.1, cell.1 + 1) {
                c.all.insert(cell);
                if write {
                    c.written.insert(cell);
                }
            }
        }
        // An exchange moves every element.
        for (parity, s) in pairs {
            for k in 0..s.len as isize {
                for at in [s.a as isize + k, s.b as isize + k] {
                    c.all.insert((s.base, at));
                    c.written.insert((s.base, at));
                }
            }
            c.swapped.entry(parity).or_default().push(s);
        }
        (c.all.len() <= MOST).then_some(c)
    }

    /// Calls `f` for every place that the loop touches.
    pub fn each_place(&self, root: &Instr, f: &mut dyn FnMut(Place)) {
        let mut see = |t: Touch| f(t.place);
        everything(root, &mut see);
    }

    /// Marks everything that the place may reach over all steps.
    fn moving(&self, memory: &mut Ranges, p: &Place, lo: isize, hi: isize) {
        let (lo, hi) = (p.offset as isize + lo, p.offset as isize + hi);
        let limit = if p.counter == 0 { 1 } else { self.limits.get(&p.counter).copied().unwrap_or(1) };
        let far = (limit - 1).max(0) * p.stride;
        memory.add(p.base, lo + far.min(0), hi + far.max(0));
    }

    /// The value that stands for element `d` of a place, if one does.
    pub fn cell(&self, p: &Place, d: isize) -> Option<Cell> {
        let fixed = p.counter == 0 || self.is_swapped(p);
        let cell = (p.base, p.offset as isize + d);
        (fixed && self.all.contains(&cell)).then_some(cell)
    }

    /// Is the place in a pair of buffers that are values?
    fn is_swapped(&self, p: &Place) -> bool {
        self.swapped.get(&p.counter).is_some_and(|v| v.iter().any(|s| inside(s, (p.base, p.offset as isize))))
    }

    /// Everything that a place may reach, where it moves with a counter.
    pub fn reach(&self, p: &Place, lo: isize, hi: isize) -> (isize, isize) {
        let (lo, hi) = (p.offset as isize + lo, p.offset as isize + hi);
        if p.counter == 0 || self.is_swapped(p) {
            return (lo, hi);
        }
        let limit = self.limits.get(&p.counter).copied().unwrap_or(1);
        let far = (limit - 1).max(0) * p.stride;
        (lo + far.min(0), hi + far.max(0))
    }
}

pub(crate) fn inside(s: &Swap, (base, at): Cell) -> bool {
    let within = |from: usize| (from as isize..(from + s.len) as isize).contains(&at);
    base == s.base && (within(s.a) || within(s.b))
}
