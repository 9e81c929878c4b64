//! The pass that finds sweeps in the finished code of a region: instructions that go through the same rows join, those
//! between them that do not fit move behind, and what only the joined ones touch becomes memory of a block.

use crate::alloc::{Space, room};
use crate::cost::{self, CHUNK, PARALLEL};
use crate::plan::{Func, Instr, Kind, Place};
use crate::planner::{LOCAL, Planner, VIRTUAL};
use crate::rows::{self, Fit, is_virtual};
use crate::sweep::{Step, Sweep, Task};
use crate::visit;
use std::collections::{HashMap, HashSet};

/// An instruction that touches fewer elements begins no sweep.
const LARGE: usize = 4096;
/// Elements of memory traffic that a sweep must save.
const SAVES: usize = 2048;
/// Instructions that are looked at from the first one on.
const REACH: usize = 48;
/// Bytes that a block may touch so that it stays in the first-level cache, and in the second.
const NEAR: usize = 24 << 10;
const FAR: usize = 160 << 10;
/// Rows that make a block worth its overhead.
const ROWS: usize = 64;
/// The most chunks.
const MAX_CHUNKS: usize = 16;

struct Member {
    at: usize,
    fit: Fit,
}

/// A sweep that grows.
#[derive(Default)]
struct Growth {
    rows: usize,
    members: Vec<Member>,
    /// Buffers that members make row by row, and the elements of a row.
    made: HashMap<u32, usize>,
    /// Buffers that are whole only after the last block.
    whole: HashSet<u32>,
    /// Everything that members touch.
    touched: HashSet<u32>,
    /// Operands from elsewhere that go along, and the elements of a row.
    along: HashMap<(u32, usize), usize>,
    /// What the instructions that stay behind read and write.
    behind_reads: HashSet<u32>,
    behind_writes: HashSet<u32>,
    /// Elements that need not come from memory again.
    saved: usize,
}

impl Growth {
    fn new(rows: usize) -> Growth {
        Growth { rows, ..Growth::default() }
    }

    /// Elements saved if the fit joins; nothing where it may not.
    fn allows(&self, fit: &Fit) -> Option<usize> {
        if fit.wide && !self.members.is_empty() {
            return None;
        }
        let mut saved = 0;
        for r in &fit.reads {
            let id = r.place.base;
            if self.whole.contains(&id) || self.behind_writes.contains(&id) {
                return None;
            }
            if let Some(inner) = self.made.get(&id) {
                if r.follows != Some(*inner) {
                    return None;
                }
                saved += self.rows * inner;
            } else if let Some(inner) = r.follows
                && self.along.contains_key(&(id, r.place.offset))
            {
                saved += self.rows * inner;
            }
        }
        for w in &fit.writes {
            let id = w.place.base;
            if self.touched.contains(&id) || self.behind_reads.contains(&id) || self.behind_writes.contains(&id) {
                return None;
            }
        }
        (self.members.is_empty() || saved > 0).then_some(saved)
    }

    fn join(&mut self, at: usize, fit: Fit, saved: usize) {
        self.saved += saved;
        for r in &fit.reads {
            self.touched.insert(r.place.base);
            if let Some(inner) = r.follows
                && !self.made.contains_key(&r.place.base)
            {
                self.along.insert((r.place.base, r.place.offset), inner);
            }
        }
        for w in &fit.writes {
            self.touched.insert(w.place.base);
            match w.rows {
                Some(inner) => {
                    self.made.insert(w.place.base, inner);
                }
                None => {
                    self.whole.insert(w.place.base);
                }
            }
        }
        if let Task::Lines(c) = &fit.task
            && let Some((p, _)) = c.work
        {
            self.touched.insert(p.base);
        }
        self.members.push(Member { at, fit });
    }

    fn stay_behind(&mut self, i: &mut Instr) {
        touched(i, &mut |base, written| {
            if written { &mut self.behind_writes } else { &mut self.behind_reads }.insert(base);
        });
    }

    /// Elements of all that goes along with one row.
    fn row_len(&self) -> usize {
        self.made.values().chain(self.along.values()).sum()
    }
}

/// Calls `f(base, written)` for all buffers that the instruction touches, those that its loops let change roles included.
fn touched(i: &mut Instr, f: &mut dyn FnMut(u32, bool)) {
    visit::places(i, &mut |p, written| {
        if is_virtual(p) {
            f(p.base, written);
        }
    });
    visit::loops(i, &mut |l| {
        for s in &l.swaps {
            f(VIRTUAL | s.a as u32, true);
            f(VIRTUAL | s.b as u32, true);
        }
    });
}

/// Elements that an instruction touches.
fn size(i: &Instr) -> usize {
    match &i.kind {
        Kind::Fused(f) => f.count,
        Kind::MatMul(m) => m.batch * (m.a.rows * m.a.cols).max(m.b.rows * m.b.cols),
        Kind::Call(c) => c.inputs.iter().map(|t| t.count()).max().unwrap_or(0),
        _ => 0,
    }
}

/// Joins what can be joined in the code of a region whose own buffers are those from `fresh` on; `handed` are the
/// buffers that its results lie in.
pub(crate) fn find(p: &mut Planner, mut code: Vec<Instr>, fresh: usize, handed: &HashSet<u32>) -> Vec<Instr> {
    if !p.options.sweep || code.iter().all(|i| size(i) < LARGE) {
        return code;
    }
    let handed: HashSet<u32> = handed.iter().map(|b| root(p, *b)).collect();
    // How many instructions touch each buffer, under its one name.
    let mut touches: HashMap<u32, usize> = HashMap::new();
    for i in &mut code {
        visit::places(i, &mut |q, _| q.base = root(p, q.base));
        let mut own = HashSet::new();
        touched(i, &mut |base, _| {
            own.insert(root(p, base));
        });
        for b in own {
            *touches.entry(b).or_default() += 1;
        }
    }
    let mut slots: Vec<Option<Instr>> = code.into_iter().map(Some).collect();
    let mut out = Vec::with_capacity(slots.len());
    for k in 0..slots.len() {
        let seed = match &slots[k] {
            Some(i) if size(i) >= LARGE => i,
            _ => {
                out.extend(slots[k].take());
                continue;
            }
        };
        let mut options = rows::candidates(seed);
        options.dedup();
        let mut best: Option<Growth> = None;
        for n in options {
            let grown = grow(&mut slots, k, n);
            let better = |a: &Growth, b: &Growth| (a.saved, a.rows) > (b.saved, b.rows);
            if !grown.members.is_empty() && best.as_ref().is_none_or(|b| better(&grown, b)) {
                best = Some(grown);
            }
        }
        match best {
            Some(g) if g.members.len() > 1 && g.saved >= SAVES => {
                let (origin, name) = last_of(&slots, &g);
                let sweep = build(p, g, &mut slots, &touches, fresh, &handed);
                out.push(Instr { kind: Kind::Sweep(Box::new(sweep)), origin, name });
            }
            Some(g) if slots[k].as_ref().is_some_and(|i| cost::instr(i) >= PARALLEL) && splits(&g) => {
                // Alone, for its size.
                let mut alone = Growth::new(g.rows);
                if let Some(first) = g.members.into_iter().next() {
                    alone.join(first.at, first.fit, 0);
                }
                let (origin, name) = last_of(&slots, &alone);
                let sweep = build(p, alone, &mut slots, &touches, fresh, &handed);
                out.push(Instr { kind: Kind::Sweep(Box::new(sweep)), origin, name });
            }
            _ => out.extend(slots[k].take()),
        }
    }
    out
}

/// Can the work of the first member be cut at all?
fn splits(g: &Growth) -> bool {
    let wide = g.members.first().is_some_and(|m| m.fit.wide && !matches!(m.fit.task, Task::Batch(_)));
    g.rows >= if wide { 512 } else { 4 }
}

/// The base under which a buffer is known: it may have been merged into another.
fn root(p: &Planner, base: u32) -> u32 {
    if base & VIRTUAL == 0 { base } else { VIRTUAL | p.find(base & !VIRTUAL) }
}

fn last_of(slots: &[Option<Instr>], g: &Growth) -> (gradus_ir::Origin, &'static str) {
    let last = g.members.last().and_then(|m| slots[m.at].as_ref());
    last.map_or((gradus_ir::Origin::default(), "sweep"), |i| (i.origin, i.name))
}

fn grow(slots: &mut [Option<Instr>], from: usize, rows: usize) -> Growth {
    let mut g = Growth::new(rows);
    let end = slots.len().min(from + REACH);
    for (at, slot) in slots.iter_mut().enumerate().take(end).skip(from) {
        let Some(i) = slot else { continue };
        if matches!(&i.kind, Kind::Call(c) if c.func == Func::Clock) {
            // What comes after a look at the clock is not done before it.
            break;
        }
        let chosen = rows::fits(i, rows).into_iter().find_map(|f| g.allows(&f).map(|saved| (f, saved)));
        match chosen {
            Some((fit, saved)) => g.join(at, fit, saved),
            None if g.members.is_empty() => return g,
            None => g.stay_behind(i),
        }
        if g.members.last().is_some_and(|m| m.fit.wide) {
            break;
        }
    }
    g
}

/// Rows of a block, from the elements of a row.
fn block_rows(rows: usize, row_len: usize, narrow: bool, bytes: usize) -> usize {
    let row = (row_len * bytes).max(1);
    let near = NEAR / row;
    let b = if near >= ROWS { near } else { ROWS.min(FAR / row).max(1) };
    // Whole blocks of fused programs where a row is one element, whole cache lines elsewhere.
    let step = if narrow && b >= crate::BLOCK { crate::BLOCK } else { 8 };
    let b = if b >= step { b / step * step } else { b };
    b.min(rows)
}

fn build(
    p: &mut Planner,
    g: Growth,
    slots: &mut [Option<Instr>],
    touches: &HashMap<u32, usize>,
    fresh: usize,
    handed: &HashSet<u32>,
) -> Sweep {
    let rows = g.rows;
    let row_len = g.row_len();
    let narrow = g.made.values().chain(g.along.values()).all(|n| *n == 1);
    let steps_cost: usize = g.members.iter().filter_map(|m| slots[m.at].as_ref()).map(cost::instr).sum();
    let alone = g.members.len() == 1;
    let wide = g.members.iter().any(|m| m.fit.wide && !matches!(m.fit.task, Task::Batch(_)));
    let mut steps: Vec<Step> = Vec::new();
    let mut taken: Vec<Instr> = Vec::new();
    for m in g.members {
        if let Some(i) = slots[m.at].take() {
            steps.push(Step { task: m.fit.task, partials: None, origin: i.origin, name: i.name });
            taken.push(i);
        }
    }
    // What only these steps touch is memory of a block.
    let mut inside: HashMap<u32, (usize, usize, usize)> = HashMap::new();
    for (s, i) in taken.iter_mut().enumerate() {
        let mut own = HashSet::new();
        touched(i, &mut |base, _| {
            own.insert(base);
        });
        for b in own {
            let e = inside.entry(b).or_insert((s, s, 0));
            e.1 = s;
            e.2 += 1;
        }
    }
    let mut local: Vec<(u32, usize, usize, Option<usize>)> = Vec::new();
    for (b, (first, last, n)) in inside {
        let id = (b & !VIRTUAL) as usize;
        let own = id >= fresh && touches.get(&b) == Some(&n) && !handed.contains(&b) && !p.bufs[id].fixed;
        if !own {
            continue;
        }
        if let Some(inner) = g.made.get(&b) {
            local.push((b, first, last, Some(*inner)));
        } else if !g.whole.contains(&b) {
            // Scratch memory of a kernel on lines.
            local.push((b, first, last, None));
        }
    }
    local.sort_unstable();
    let sums: usize = steps.iter().map(Step::sums).sum();
    let block = block_rows(rows, row_len, narrow, p.options.precision.bytes());
    let kept: usize = local.iter().filter_map(|l| l.3).sum::<usize>() * rows;
    // Sums of chunks take no more memory than what blocks save.
    let most = if sums == 0 { MAX_CHUNKS } else { (kept.max(1 << 14) / sums).clamp(1, MAX_CHUNKS) };
    // The library prepares its operands anew for each chunk.
    let most = if wide { most.min(rows / 256).max(1) } else { most };
    let chunks = (steps_cost / CHUNK).clamp(1, most);
    let chunk = rows.div_ceil(chunks).next_multiple_of(block.min(rows).max(1));
    let columns = steps.iter().any(|s| matches!(s.task, Task::Columns { .. }));
    let block = if alone && !columns { chunk } else { block };
    let row = p.counter();
    let mut sweep = Sweep {
        rows,
        block: block.min(rows),
        chunk: chunk.min(rows),
        row,
        steps,
        local: 0,
        parallel: steps_cost >= PARALLEL && chunk < rows,
    };
    place_local(p, &mut sweep, &local);
    let chunks = sweep.chunks();
    for s in &mut sweep.steps {
        let n = s.sums();
        let running = matches!(s.task, Task::Columns { op: gradus_ir::ReduceOp::LogSumExp, .. });
        if n > 0 && (chunks > 1 || running) {
            s.partials = Some(p.buffer(n * chunks));
        }
    }
    sweep
}

/// Addresses in a worker's memory for the buffers of a block, used again from step to step.
fn place_local(p: &mut Planner, sweep: &mut Sweep, local: &[(u32, usize, usize, Option<usize>)]) {
    let mut space = Space::default();
    let mut at: HashMap<u32, (usize, isize)> = HashMap::new();
    let len = |p: &Planner, b: u32, inner: Option<usize>| match inner {
        Some(n) => n * sweep.block,
        None => p.bufs[(b & !VIRTUAL) as usize].len,
    };
    for s in 0..sweep.steps.len() {
        for (b, _, _, inner) in local.iter().filter(|l| l.1 == s) {
            let n = len(p, *b, *inner);
            at.insert(*b, (space.take(room(n)), inner.map_or(0, |n| -(n as isize))));
        }
        for (b, _, _, inner) in local.iter().filter(|l| l.2 == s) {
            space.give(at[b].0, room(len(p, *b, *inner)));
        }
    }
    sweep.local = space.end();
    let row = sweep.row;
    for s in &mut sweep.steps {
        visit::step(s, &mut |q: &mut Place, _| {
            if let Some((offset, stride)) = at.get(&q.base) {
                *q = Place {
                    base: LOCAL,
                    counter: if *stride == 0 { 0 } else { row },
                    offset: q.offset + offset,
                    stride: *stride,
                };
            }
        });
    }
}
