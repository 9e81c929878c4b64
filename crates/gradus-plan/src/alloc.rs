//! Addresses: each buffer lives from its first to its last use, and the arena's space is used again afterwards.

use crate::PlanError;
use crate::plan::{Block, Buffer, Func, Fused, Instr, Kind, Out, Output, Pattern, Place, Scalar, Src};
use crate::planner::{LOCAL, Planner, VIRTUAL};
use crate::sweep::{Sweep, Task};
use crate::visit;

/// Elements that addresses of larger buffers are multiples of (one cache line).
const ALIGN: usize = 8;

pub(crate) struct Layout {
    pub arena: usize,
    /// Elements of a worker's memory before that of the blocks of sweeps.
    pub private: usize,
    pub offsets: Vec<usize>,
    pub buffers: Vec<Buffer>,
}

/// May the instruction write the whole of buffer `out` over buffer `input`? Only where each element of the input is read
/// before the element of the output at the same index is written, and nothing else of the input is.
pub(crate) fn may_overwrite(i: &Instr, out: u32, input: u32, len: usize) -> bool {
    let whole = |p: &Place| p.offset == 0 && p.counter == 0;
    match &i.kind {
        Kind::Fused(f) => fused_may_overwrite(f, out, input, len),
        Kind::Sweep(s) => sweep_may_overwrite(s, out, input, len),
        Kind::Call(c) => match c.func {
            Func::ScatterAdd { .. } | Func::ScatterAddAlong { .. } | Func::ScatterSet { .. } => {
                c.inputs[0].place.base == input
                    && whole(&c.inputs[0].place)
                    && c.outputs[0].place.base == out
                    && whole(&c.outputs[0].place)
                    && c.outputs[0].count() == len
                    && c.inputs.iter().skip(1).all(|t| t.place.base != input)
            }
            _ => false,
        },
        _ => false,
    }
}

fn fused_may_overwrite(f: &Fused, out: u32, input: u32, len: usize) -> bool {
    let whole = |p: &Place| p.offset == 0 && p.counter == 0;
    let dense = |pattern: &Pattern| *pattern == Pattern::Dense || f.count == 1;
    let reads = f.inputs.iter().filter(|a| a.place.base == input);
    let mut stores = f.outs.iter().filter(|o| match o {
        Out::Store { access, .. } => access.place.base == out,
        Out::Reduce { place, .. } => place.base == out,
    });
    let stored = matches!(stores.next(), Some(Out::Store { access, .. })
        if whole(&access.place) && dense(&access.pattern));
    // Another store of the input itself could come after it was overwritten.
    let handed_on = f.outs.iter().any(|o| {
        matches!(o, Out::Store { src: Src::In(k), access, .. }
            if access.place.base != out && f.inputs[*k as usize].place.base == input)
    });
    f.count == len
        && !handed_on
        && stored
        && stores.next().is_none()
        && reads.clone().count() > 0
        && reads.clone().all(|a| whole(&a.place) && dense(&a.pattern))
}

/// The step that writes the output writes each row after all reads of the same row of the input; nothing reads other rows.
fn sweep_may_overwrite(s: &Sweep, out: u32, input: u32, len: usize) -> bool {
    let mut written = false;
    for step in &s.steps {
        let (mut reads, mut writes) = (0, 0);
        visit::step(&mut step.clone(), &mut |p, w| {
            reads += usize::from(p.base == input);
            writes += usize::from(w && p.base == out);
        });
        if reads == 0 && writes == 0 {
            continue;
        }
        if written {
            // Later steps may read what was written.
            if reads > 0 || writes > 0 {
                return false;
            }
            continue;
        }
        let Task::Fused { fused: f, .. } = &step.task else { return false };
        if writes > 0 {
            written = true;
            if reads > 0 && !fused_may_overwrite(f, out, input, len) {
                return false;
            }
            let stores_whole = f.count == len
                && writes == 1
                && f.outs.iter().any(|o| {
                    matches!(o, Out::Store { access, .. }
                        if access.place.base == out && access.pattern == Pattern::Dense && access.place.offset == 0 && access.place.counter == 0)
                });
            if !stores_whole {
                return false;
            }
        } else {
            let along = f.inputs.iter().filter(|a| a.place.base == input).all(|a| {
                f.count == len && a.pattern == Pattern::Dense && a.place.offset == 0 && a.place.counter == 0
            });
            let written_here = f.outs.iter().any(|o| match o {
                Out::Store { access, .. } => access.place.base == input,
                Out::Reduce { place, .. } => place.base == input,
            });
            if !along || written_here {
                return false;
            }
        }
    }
    written
}

struct Life {
    first: usize,
    last: usize,
    loops: Vec<usize>,
    seen: bool,
}

struct Walk<'a> {
    p: &'a Planner,
    lives: Vec<Life>,
    position: usize,
    /// The loops around the current position, by number.
    stack: Vec<usize>,
    loop_ends: Vec<usize>,
    /// Buffers that must live to the end of a loop.
    extend: Vec<(usize, usize)>,
    /// Position, result and operand of instructions that can work in place.
    candidates: Vec<(usize, usize, usize)>,
}

impl Walk<'_> {
    fn touch(&mut self, id: u32) {
        let id = self.p.find(id) as usize;
        let life = &mut self.lives[id];
        if !life.seen {
            life.seen = true;
            life.first = self.position;
            life.loops = self.stack.clone();
        }
        life.last = life.last.max(self.position);
        // A loop around this use but not around the definition runs again: the buffer must outlive it.
        let common = life.loops.iter().zip(&self.stack).take_while(|(a, b)| a == b).count();
        if let Some(outer) = self.stack.get(common) {
            self.extend.push((id, *outer));
        }
    }

    fn block(&mut self, b: &mut Block) {
        for i in &mut b.code {
            self.instr(i);
        }
    }

    fn touch_own(&mut self, i: &mut Instr) {
        let mut touched = Vec::new();
        visit::own_places(i, &mut |p, _| {
            if p.base & VIRTUAL != 0 {
                touched.push(p.base & !VIRTUAL);
            }
        });
        if let Kind::Loop(l) = &i.kind {
            for s in &l.swaps {
                touched.push(s.a as u32);
                touched.push(s.b as u32);
            }
        }
        for id in touched {
            self.touch(id);
        }
    }

    fn instr(&mut self, i: &mut Instr) {
        self.position += 1;
        match &mut i.kind {
            Kind::Loop(_) => {
                self.touch_own(i);
                let Kind::Loop(l) = &mut i.kind else { return };
                let number = self.loop_ends.len();
                self.loop_ends.push(0);
                self.stack.push(number);
                let mut tested = None;
                if let Some((c, s)) = &mut l.cond {
                    self.block(c);
                    if let Scalar::At(p) = s {
                        tested = Some(p.base);
                    }
                }
                if let Some(base) = tested
                    && base & VIRTUAL != 0
                {
                    self.touch(base & !VIRTUAL);
                }
                self.block(&mut l.body);
                self.position += 1;
                self.stack.pop();
                self.loop_ends[number] = self.position;
                self.touch_own(i);
            }
            Kind::Cond(_) => {
                self.touch_own(i);
                let Kind::Cond(c) = &mut i.kind else { return };
                self.block(&mut c.then);
                self.block(&mut c.other);
                self.position += 1;
            }
            _ => {
                self.touch_own(i);
                self.candidate(i);
            }
        }
    }

    fn candidate(&mut self, i: &mut Instr) {
        if !self.p.options.in_place {
            return;
        }
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        visit::own_places(i, &mut |p, w| {
            if p.base & VIRTUAL != 0 {
                if w { &mut writes } else { &mut reads }.push(p.base);
            }
        });
        for &w in &writes {
            for &r in &reads {
                let (o, a) = (self.p.find(w & !VIRTUAL), self.p.find(r & !VIRTUAL));
                let len = self.p.bufs[o as usize].len;
                if o != a
                    && self.p.bufs[a as usize].len == len
                    && !self.p.bufs[a as usize].fixed
                    && may_overwrite(i, w, r, len)
                {
                    self.candidates.push((self.position, o as usize, a as usize));
                }
            }
        }
    }
}

/// Free pieces of a growing range, sorted by offset.
#[derive(Default)]
pub(crate) struct Space {
    free: Vec<(usize, usize)>,
    end: usize,
}

impl Space {
    pub fn end(&self) -> usize {
        self.end
    }

    pub fn take(&mut self, len: usize) -> usize {
        let best = self.free.iter().enumerate().filter(|(_, f)| f.1 >= len).min_by_key(|(_, f)| f.1).map(|(k, _)| k);
        if let Some(k) = best {
            let (at, room) = self.free[k];
            if room == len {
                self.free.remove(k);
            } else {
                self.free[k] = (at + len, room - len);
            }
            return at;
        }
        // A free piece at the end grows.
        let at = match self.free.last() {
            Some(&(at, room)) if at + room == self.end => {
                self.free.pop();
                at
            }
            _ => self.end,
        };
        self.end = at + len;
        at
    }

    pub fn give(&mut self, at: usize, len: usize) {
        let k = self.free.partition_point(|f| f.0 < at);
        self.free.insert(k, (at, len));
        if k + 1 < self.free.len() && self.free[k].0 + self.free[k].1 == self.free[k + 1].0 {
            self.free[k].1 += self.free[k + 1].1;
            self.free.remove(k + 1);
        }
        if k > 0 && self.free[k - 1].0 + self.free[k - 1].1 == self.free[k].0 {
            self.free[k - 1].1 += self.free[k].1;
            self.free.remove(k);
        }
    }
}

/// Room that a buffer takes: small ones are packed, larger ones start at cache lines, and lengths that are multiples of
/// a page are padded so that equal indices of neighbours do not fall on the same cache set.
pub(crate) fn room(len: usize) -> usize {
    let r = len.next_multiple_of(ALIGN);
    if r.is_multiple_of(512) { r + ALIGN } else { r }
}

fn is_small(len: usize) -> bool {
    len < ALIGN
}

pub(crate) fn layout(p: &mut Planner, body: &mut Block, outputs: &mut [Output]) -> Result<Layout, PlanError> {
    let n = p.bufs.len();
    // One name for each buffer.
    visit::block(body, &mut |place, _| {
        if place.base & VIRTUAL != 0 {
            place.base = VIRTUAL | p.find(place.base & !VIRTUAL);
        }
    });
    let mut w = Walk {
        p,
        lives: (0..n).map(|_| Life { first: 0, last: 0, loops: Vec::new(), seen: false }).collect(),
        position: 0,
        stack: Vec::new(),
        loop_ends: Vec::new(),
        extend: Vec::new(),
        candidates: Vec::new(),
    };
    w.block(body);
    w.position += 1;
    for o in outputs.iter() {
        if let Scalar::At(place) = o.value
            && place.base & VIRTUAL != 0
        {
            w.touch(place.base & !VIRTUAL);
        }
    }
    let end = w.position;
    let (mut lives, candidates) = (w.lives, w.candidates);
    for (id, l) in w.extend {
        lives[id].last = lives[id].last.max(w.loop_ends[l]);
    }

    // Constants first, then the small, then the large buffers.
    let mut offsets = vec![usize::MAX; n];
    let mut constants = 0;
    for (id, b) in p.bufs.iter().enumerate() {
        if b.fixed {
            offsets[id] = constants;
            constants += b.len;
        }
    }
    let mut order: Vec<usize> =
        (0..n).filter(|&id| lives[id].seen && !p.bufs[id].fixed && p.bufs[id].merged.is_none()).collect();
    order.sort_by_key(|&id| lives[id].first);
    let mut dying: Vec<Vec<usize>> = vec![Vec::new(); end + 2];
    // Of the arena, then of a worker's memory: small buffers and large ones.
    let mut spaces = [Space::default(), Space::default(), Space::default(), Space::default()];
    let space = |id: usize| 2 * usize::from(p.bufs[id].private) + usize::from(!is_small(p.bufs[id].len));
    let mut taken_over = vec![false; n];
    let (mut next, mut cand) = (0, 0);
    for t in 0..=end {
        while next < order.len() && lives[order[next]].first == t {
            let id = order[next];
            next += 1;
            let len = p.bufs[id].len;
            while cand < candidates.len() && candidates[cand].0 < t {
                cand += 1;
            }
            let heir = candidates[cand..]
                .iter()
                .take_while(|c| c.0 == t)
                .find(|c| c.1 == id && lives[c.2].last == t && lives[c.2].first < t && !taken_over[c.2] && space(c.1) == space(c.2));
            match heir {
                Some(&(_, _, operand)) => {
                    taken_over[operand] = true;
                    offsets[id] = offsets[operand];
                }
                None if len == 0 => offsets[id] = 0,
                None => offsets[id] = spaces[space(id)].take(if is_small(len) { len } else { room(len) }),
            }
            dying[lives[id].last].push(id);
        }
        for &id in &dying[t] {
            let len = p.bufs[id].len;
            if taken_over[id] || len == 0 {
                continue;
            }
            spaces[space(id)].give(offsets[id], if is_small(len) { len } else { room(len) });
        }
    }
    let large = (constants + spaces[0].end).next_multiple_of(ALIGN);
    let private_large = spaces[2].end.next_multiple_of(ALIGN);
    let private = (private_large + spaces[3].end).next_multiple_of(ALIGN);
    for &id in &order {
        offsets[id] += [constants, large, 0, private_large][space(id)];
    }
    for id in 0..n {
        let root = p.find(id as u32) as usize;
        offsets[id] = offsets[root];
    }
    let arena = large + spaces[1].end;

    mark(body, p, &offsets, &mut 0);
    let resolve = |place: &mut Place| resolve(p, &offsets, private, place);
    visit::block(body, &mut |place, _| resolve(place));
    resolve_swaps(body, p, &offsets);
    for o in outputs.iter_mut() {
        if let Scalar::At(place) = &mut o.value {
            resolve(place);
        }
    }
    let buffers = order
        .iter()
        .filter(|&&id| !p.bufs[id].private)
        .map(|&id| Buffer { offset: offsets[id], len: p.bufs[id].len, from: lives[id].first, to: lives[id].last })
        .collect();
    Ok(Layout { arena, private, offsets, buffers })
}

/// The base of a worker's memory.
fn local_base(p: &Planner) -> u32 {
    1 + p.inputs + p.literals.len() as u32
}

fn resolve(p: &Planner, offsets: &[usize], private: usize, place: &mut Place) {
    if place.base == LOCAL {
        place.base = local_base(p);
        place.offset += private;
        return;
    }
    if place.base & VIRTUAL == 0 {
        return;
    }
    let id = p.find(place.base & !VIRTUAL) as usize;
    place.base = if p.bufs[id].private { local_base(p) } else { Place::ARENA };
    place.offset = place.offset.wrapping_add(offsets[id]);
    if let Some((a, b, parity)) = p.bufs[id].pair {
        // The two buffers change roles with the parity of the step.
        let (a, b) = (offsets[a as usize] as isize, offsets[b as usize] as isize);
        place.counter = parity;
        place.stride = if id == p.bufs[id].pair.map_or(0, |x| x.0 as usize) { b - a } else { a - b };
    }
}

fn resolve_swaps(b: &mut Block, p: &Planner, offsets: &[usize]) {
    for i in &mut b.code {
        match &mut i.kind {
            Kind::Loop(l) => {
                for s in &mut l.swaps {
                    if p.bufs[p.find(s.a as u32) as usize].private {
                        s.base = local_base(p);
                    }
                    s.a = offsets[s.a];
                    s.b = offsets[s.b];
                }
                if let Some((c, _)) = &mut l.cond {
                    resolve_swaps(c, p, offsets);
                }
                resolve_swaps(&mut l.body, p, offsets);
            }
            Kind::Cond(c) => {
                resolve_swaps(&mut c.then, p, offsets);
                resolve_swaps(&mut c.other, p, offsets);
            }
            _ => {}
        }
    }
}

/// A store is direct where no input lies in the memory that it writes. Fused instructions are numbered.
fn mark(b: &mut Block, p: &Planner, offsets: &[usize], number: &mut u32) {
    let address = |place: &Place| match place.base {
        LOCAL => Some((LOCAL, place.offset)),
        b if b & VIRTUAL != 0 => {
            let id = p.find(b & !VIRTUAL) as usize;
            Some((u32::from(p.bufs[id].private), offsets[id]))
        }
        _ => None,
    };
    let each = |f: &mut Fused, number: &mut u32| {
        f.number = *number;
        *number += 1;
        for o in &mut f.outs {
            if let Out::Store { access, direct, .. } = o {
                let to = address(&access.place);
                *direct = access.pattern == Pattern::Dense
                    && f.inputs.iter().all(|a| address(&a.place).is_none_or(|x| Some(x) != to));
            }
        }
    };
    for i in &mut b.code {
        match &mut i.kind {
            Kind::Fused(f) => each(f, number),
            Kind::Sweep(s) => {
                for s in &mut s.steps {
                    if let Task::Fused { fused, .. } = &mut s.task {
                        each(fused, number);
                    }
                }
            }
            Kind::Loop(l) => {
                if let Some((c, _)) = &mut l.cond {
                    mark(c, p, offsets, number);
                }
                mark(&mut l.body, p, offsets, number);
            }
            Kind::Cond(c) => {
                mark(&mut c.then, p, offsets, number);
                mark(&mut c.other, p, offsets, number);
            }
            _ => {}
        }
    }
}
