//! From a program to instructions: what is needed at all, which vector register holds what, and what has to wait in memory.
//!
//! Programs are straight lines, so that the register to give up is the one whose value is needed last (or never).

use super::encode::{Bytes, Level, Op, Rm, general};
use super::value::{Id, Node, One, Program, Test, Two};
use crate::host::Float;
use std::collections::HashMap;

/// More vectors than this on the stack and the program is refused: it should have been cut.
const MOST_SPILLED: usize = 60;

/// Registers for addresses of the table; further ones are loaded where they are used.
const ADDRESSES: [u8; 9] = [general::RCX, 8, 9, 10, general::RBX, 12, 13, 14, 15];
const SPARE_ADDRESS: u8 = 11;
/// The address of the table, and that of the constants.
const TABLE: u8 = general::RDI;
const POOL: u8 = general::RDX;
/// Where a comparison goes that a choice follows.
const MASK: u8 = 1;

const fn op(prefix: u8, map: u8, code: u8, wide: bool, vex_wide: bool) -> Op {
    Op { prefix, map, code, wide, vex_wide }
}

/// Constants of all functions of a piece of code.
#[derive(Default)]
pub(super) struct Pool {
    at: HashMap<u64, usize>,
    pub values: Vec<u64>,
}

impl Pool {
    fn index(&mut self, bits: u64) -> usize {
        *self.at.entry(bits).or_insert_with(|| {
            self.values.push(bits);
            self.values.len() - 1
        })
    }
}

/// Elements that a reduction treats side by side, and those of a block, whose results go to memory.
pub(super) const SIDE_BY_SIDE: usize = 8;
pub(super) const BLOCK: usize = 256;

/// A reduction of a value: the address of the results, the operation, what it begins with.
#[derive(Clone, Copy)]
pub(super) struct Fold {
    pub table: u16,
    pub op: Join,
    pub id: Id,
    pub start: u64,
}

/// How a reduction joins two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    Add,
    Mul,
    /// The larger one, or a NaN.
    Max,
    Min,
}

/// Instructions in terms of values: a comparison and the choice that it is for are one.
#[derive(Clone, Copy)]
enum Step {
    Node(Id),
    /// `test(x, y) ? yes : no`
    Pick(Id, Test, [Id; 4]),
}

struct Emit<'a> {
    b: &'a mut Bytes,
    pool: &'a mut Pool,
    level: Level,
    float: Float,
    nodes: Vec<Node>,
    /// Where each value is still needed, the last place first.
    uses: Vec<Vec<u32>>,
    /// The register and the stack slot of each value.
    register: Vec<Option<u8>>,
    slot: Vec<Option<u16>>,
    holds: Vec<Option<Id>>,
    /// Registers that the instruction at hand needs.
    busy: u32,
    /// Constants and single numbers that have a register from the first iteration on.
    kept: HashMap<Id, u8>,
    addresses: HashMap<u16, Option<u8>>,
    slots: u16,
    free_slots: Vec<u16>,
    /// From here on arrays may have been overwritten.
    storing: bool,
    most: usize,
    touched: u32,
}

/// The values that must be computed, in order, and how.
fn steps(nodes: &[Node], results: &[Id]) -> Vec<Step> {
    let mut needed = vec![false; nodes.len()];
    let mut alone = vec![true; nodes.len()];
    for id in results {
        needed[*id as usize] = true;
        alone[*id as usize] = false;
    }
    for k in (0..nodes.len()).rev() {
        if !needed[k] {
            continue;
        }
        let (ops, n) = nodes[k].operands();
        for (place, o) in ops[..n].iter().enumerate() {
            needed[*o as usize] = true;
            // A test that only choices use is done again by each.
            if !(place == 0 && matches!(nodes[k], Node::Select(..))) {
                alone[*o as usize] = false;
            }
        }
    }
    let mut out = Vec::new();
    for (k, n) in nodes.iter().enumerate() {
        match *n {
            _ if !needed[k] => {}
            Node::Load(_) | Node::Splat(_) | Node::Const(_) => {}
            Node::Test(..) if alone[k] => {}
            Node::Select(t, yes, no) => match nodes[t as usize] {
                Node::Test(test, x, y) if alone[t as usize] => out.push(Step::Pick(k as Id, test, [x, y, no, yes])),
                _ => out.push(Step::Node(k as Id)),
            },
            _ => out.push(Step::Node(k as Id)),
        }
    }
    out
}

fn uses_of(nodes: &[Node], steps: &[Step], results: &[Id]) -> Vec<Vec<u32>> {
    let mut uses = vec![Vec::new(); nodes.len()];
    for (at, id) in results.iter().enumerate().rev() {
        uses[*id as usize].push((steps.len() + at) as u32);
    }
    for (at, s) in steps.iter().enumerate().rev() {
        let mut note = |o: &Id| {
            if uses[*o as usize].last() != Some(&(at as u32)) {
                uses[*o as usize].push(at as u32);
            }
        };
        match s {
            Step::Pick(_, _, o) => o.iter().for_each(&mut note),
            Step::Node(k) => {
                let (ops, n) = nodes[*k as usize].operands();
                ops[..n].iter().for_each(&mut note);
            }
        }
    }
    uses
}

/// Appends a function `fn(table, bytes, constants)` that runs the program for `bytes` of each array and stores values at
/// addresses of the table. `None` where there are not enough registers.
///
/// With reductions the elements are done in blocks: eight results side by side of each block go to the address of the
/// reduction, which is moved on in the table.
pub(super) fn function(
    b: &mut Bytes,
    pool: &mut Pool,
    level: Level,
    p: &Program,
    stores: &[(u16, Id)],
    folds: &[Fold],
) -> Option<usize> {
    let nodes = p.nodes.borrow().clone();
    let results: Vec<Id> = folds.iter().map(|f| f.id).chain(stores.iter().map(|(_, id)| *id)).collect();
    let steps = steps(&nodes, &results);
    let uses = uses_of(&nodes, &steps, &results);
    // Each reduction has a register, and another two while it joins.
    let room = level.registers().checked_sub(folds.len()).filter(|n| *n >= 8)?;
    // Constants by how often they are used: what registers are left over keeps the first of them.
    let mut constants: Vec<(usize, Id)> = (0..nodes.len())
        .filter(|k| matches!(nodes[*k], Node::Const(_) | Node::Splat(_)) && !uses[*k].is_empty())
        .map(|k| (uses[k].len(), k as Id))
        .collect();
    constants.sort_by_key(|(n, id)| (std::cmp::Reverse(*n), *id));
    let mut kept: Vec<Id> = Vec::new();
    let start = b.code.len();
    for round in 0..2 {
        b.code.truncate(start);
        while !b.code.len().is_multiple_of(64) {
            b.byte(0x90);
        }
        let at = b.code.len();
        let mut e = Emit {
            b: &mut *b,
            pool: &mut *pool,
            level,
            float: p.float,
            register: vec![None; nodes.len()],
            slot: vec![None; nodes.len()],
            holds: vec![None; level.registers()],
            busy: 0,
            kept: HashMap::new(),
            addresses: HashMap::new(),
            slots: 0,
            free_slots: Vec::new(),
            storing: false,
            most: room - kept.len(),
            touched: 0,
            nodes: nodes.clone(),
            uses: uses.clone(),
        };
        e.whole(&steps, stores, folds, &kept);
        if e.slots as usize > MOST_SPILLED {
            return None;
        }
        let left = room - e.touched.count_ones() as usize;
        if round == 0 && e.slots as usize == constants_on_stack(&nodes, &uses) && left > 1 && !constants.is_empty() {
            kept = constants.iter().take(left - 1).map(|(_, id)| *id).collect();
            continue;
        }
        return Some(at);
    }
    None
}

/// Single numbers have a slot each.
fn constants_on_stack(nodes: &[Node], uses: &[Vec<u32>]) -> usize {
    (0..nodes.len()).filter(|k| matches!(nodes[*k], Node::Splat(_)) && !uses[*k].is_empty()).count()
}

impl Emit<'_> {
    /// The whole function: saves, addresses, the loop, its end.
    fn whole(&mut self, steps: &[Step], stores: &[(u16, Id)], folds: &[Fold], kept: &[Id]) {
        let saved = [general::RBX, 12, 13, 14, 15];
        self.b.push(general::RBP);
        self.b.bytes(&[0x48, 0x89, 0xe5]); // mov rbp, rsp
        for r in saved {
            self.b.push(r);
        }
        self.b.bytes(&[0x48, 0x83, 0xe4, 0xc0]); // and rsp, -64
        self.b.bytes(&[0x48, 0x81, 0xec]); // sub rsp, …
        let frame = self.b.code.len();
        self.b.bytes(&[0; 4]);
        // With reductions the last one holds the end of the block.
        let mut free = ADDRESSES[..ADDRESSES.len() - usize::from(!folds.is_empty())].iter();
        let used = |e: &Emit<'_>, id: usize| !e.uses[id].is_empty();
        let loads: Vec<u16> = (0..self.nodes.len())
            .filter_map(|k| match self.nodes[k] {
                Node::Load(t) if used(self, k) => Some(t),
                _ => None,
            })
            .chain(stores.iter().map(|(t, _)| *t))
            .collect();
        for t in loads {
            if !self.addresses.contains_key(&t) {
                let r = free.next().copied();
                if let Some(r) = r {
                    self.b.load_address(r, TABLE, i32::from(t) * 8);
                }
                self.addresses.insert(t, r);
            }
        }
        // Single numbers are read once: the arrays that are written may lie over them.
        for k in 0..self.nodes.len() {
            if let Node::Splat(t) = self.nodes[k]
                && used(self, k)
            {
                self.b.load_address(SPARE_ADDRESS, TABLE, i32::from(t) * 8);
                self.broadcast(0, Rm::At(SPARE_ADDRESS, 0));
                let slot = self.new_slot();
                self.slot[k] = Some(slot);
                self.store(0, Rm::At(general::RSP, self.offset(slot)));
            }
        }
        for (k, id) in kept.iter().enumerate() {
            let r = (self.most + k) as u8;
            self.constant_into(r, *id);
            self.kept.insert(*id, r);
        }
        self.b.bytes(&[0x31, 0xc0]); // xor eax, eax
        let block = self.b.code.len();
        if !folds.is_empty() {
            let size = BLOCK * if self.double() { 8 } else { 4 };
            self.b.bytes(&[0x4c, 0x8d, 0xb8]); // lea r15, [rax + size]
            self.b.bytes(&(size as u32).to_le_bytes());
            self.b.bytes(&[0x49, 0x39, 0xf7]); // cmp r15, rsi
            self.b.bytes(&[0x4c, 0x0f, 0x47, 0xfe]); // cmova r15, rsi
            for (k, f) in folds.iter().enumerate() {
                match self.in_pool(f.start) {
                    Rm::Broadcast(base, offset) => self.broadcast(self.running(k), Rm::At(base, offset)),
                    rm => self.load(self.running(k), rm),
                }
            }
        }
        while !self.b.code.len().is_multiple_of(32) {
            self.b.byte(0x90);
        }
        let top = self.b.code.len();
        for (at, s) in steps.iter().enumerate() {
            self.busy = 0;
            match *s {
                Step::Pick(id, test, o) => self.pick(at as u32, id, test, o),
                Step::Node(id) => self.node(at as u32, id),
            }
        }
        for (k, f) in folds.iter().enumerate() {
            self.busy = 0;
            self.fold(k, f);
            self.used((steps.len() + k) as u32, &[f.id]);
        }
        // What is only copied is read before anything is written.
        self.busy = 0;
        for (_, id) in stores {
            if matches!(self.nodes[*id as usize], Node::Load(_)) && self.register[*id as usize].is_none() {
                self.busy = 0;
                self.operand(*id);
            }
        }
        self.storing = true;
        for (k, (t, id)) in stores.iter().enumerate() {
            self.busy = 0;
            let r = self.operand(*id);
            let to = self.element(*t);
            self.store(r, to);
            self.used((steps.len() + folds.len() + k) as u32, &[*id]);
        }
        let step = self.level.bytes() as u8;
        self.b.bytes(&[0x48, 0x83, 0xc0, step]); // add rax, step
        if folds.is_empty() {
            self.b.bytes(&[0x48, 0x39, 0xf0]); // cmp rax, rsi
            self.jump_if_below(top);
        } else {
            self.b.bytes(&[0x4c, 0x39, 0xf8]); // cmp rax, r15
            self.jump_if_below(top);
            let bytes = (SIDE_BY_SIDE * if self.double() { 8 } else { 4 }) as u8;
            for (k, f) in folds.iter().enumerate() {
                self.b.load_address(SPARE_ADDRESS, TABLE, i32::from(f.table) * 8);
                self.b.half = self.halves();
                self.store(self.running(k), Rm::At(SPARE_ADDRESS, 0));
                self.b.half = false;
                self.b.bytes(&[0x48, 0x83, 0x87]); // add [rdi + …], bytes
                self.b.bytes(&(u32::from(f.table) * 8).to_le_bytes());
                self.b.byte(bytes);
            }
            self.b.bytes(&[0x48, 0x39, 0xf0]); // cmp rax, rsi
            self.jump_if_below(block);
        }
        let size = (self.slots as usize * self.level.bytes()).next_multiple_of(64) as u32;
        self.b.code[frame..frame + 4].copy_from_slice(&size.to_le_bytes());
        self.b.bytes(&[0x48, 0x8d, 0x65, 0xd8]); // lea rsp, [rbp - 40]
        for r in saved.iter().rev() {
            self.b.pop(*r);
        }
        self.b.pop(general::RBP);
        self.b.bytes(&[0xc5, 0xf8, 0x77, 0xc3]); // vzeroupper; ret
    }

    fn jump_if_below(&mut self, to: usize) {
        self.b.bytes(&[0x0f, 0x82]);
        let back = (to as i64 - (self.b.code.len() as i64 + 4)) as i32;
        self.b.bytes(&back.to_le_bytes());
    }

    /// The register of a reduction.
    fn running(&self, k: usize) -> u8 {
        (self.level.registers() - 1 - k) as u8
    }

    /// Has a vector twice as many elements as a reduction treats side by side?
    fn halves(&self) -> bool {
        self.level == Level::Avx512 && !self.double()
    }

    fn fold(&mut self, k: usize, f: &Fold) {
        let x = self.operand(f.id);
        let acc = self.running(k);
        if !self.halves() {
            return self.join(acc, f.op, x);
        }
        let upper = self.allocate();
        self.put(op(1, 3, 0x1b, false, false), x, 0, Rm::Vector(upper), 0); // vextractf32x8
        self.b.byte(1);
        self.b.half = true;
        self.join(acc, f.op, x);
        self.join(acc, f.op, upper);
        self.b.half = false;
    }

    /// `acc = join(acc, x)`
    fn join(&mut self, acc: u8, j: Join, x: u8) {
        let code = match j {
            Join::Add => 0x58,
            Join::Mul => 0x59,
            Join::Min => 0x5d,
            Join::Max => 0x5f,
        };
        if matches!(j, Join::Add | Join::Mul) {
            return self.put(self.plain(code), acc, acc, Rm::Vector(x), 0);
        }
        let chosen = self.allocate();
        self.put(self.plain(code), chosen, acc, Rm::Vector(x), 0);
        let mask = if self.level == Level::Avx2 { self.allocate() } else { MASK };
        self.compare(mask, Test::Unordered, acc, Rm::Vector(acc));
        self.blend(acc, chosen, Rm::Vector(acc), mask);
    }

    /// The operation of both precisions whose only differences are the usual ones.
    fn plain(&self, code: u8) -> Op {
        match self.float {
            Float::F64 => op(1, 1, code, true, false),
            Float::F32 => op(0, 1, code, false, false),
        }
    }

    fn double(&self) -> bool {
        self.float == Float::F64
    }

    fn put(&mut self, op: Op, reg: u8, second: u8, rm: Rm, mask: u8) {
        self.b.vector(self.level, op, reg, second, rm, mask);
    }

    fn load(&mut self, r: u8, from: Rm) {
        self.put(self.plain(0x10), r, 0, from, 0);
    }

    fn store(&mut self, r: u8, to: Rm) {
        self.put(self.plain(0x11), r, 0, to, 0);
    }

    fn broadcast(&mut self, r: u8, from: Rm) {
        let o = if self.double() { op(1, 2, 0x19, true, false) } else { op(1, 2, 0x18, false, false) };
        self.put(o, r, 0, from, 0);
    }

    fn offset(&self, slot: u16) -> i32 {
        i32::from(slot) * self.level.bytes() as i32
    }

    fn new_slot(&mut self) -> u16 {
        self.free_slots.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    /// The memory of the element at hand of an array.
    fn element(&mut self, t: u16) -> Rm {
        match self.addresses.get(&t).copied().flatten() {
            Some(r) => Rm::Element(r),
            None => {
                self.b.load_address(SPARE_ADDRESS, TABLE, i32::from(t) * 8);
                Rm::Element(SPARE_ADDRESS)
            }
        }
    }

    /// A constant as an operand in memory.
    fn in_pool(&mut self, bits: u64) -> Rm {
        let k = self.pool.index(bits) as i32;
        match self.level {
            Level::Avx2 => Rm::At(POOL, k * 32),
            Level::Avx512 => Rm::Broadcast(POOL, k * 8),
        }
    }

    fn constant_into(&mut self, r: u8, id: Id) {
        match self.nodes[id as usize] {
            Node::Const(bits) => match self.in_pool(bits) {
                Rm::Broadcast(base, offset) => self.broadcast(r, Rm::At(base, offset)),
                rm => self.load(r, rm),
            },
            _ => {
                let slot = self.slot[id as usize].unwrap_or(0);
                self.load(r, Rm::At(general::RSP, self.offset(slot)));
            }
        }
    }

    /// A register that the instruction at hand may write.
    fn allocate(&mut self) -> u8 {
        let mut victim: Option<(u32, u8)> = None;
        for r in 0..self.most as u8 {
            if self.busy >> r & 1 == 1 {
                continue;
            }
            match self.holds[r as usize] {
                None => {
                    self.take(r);
                    return r;
                }
                Some(id) => {
                    let next = self.uses[id as usize].last().copied().unwrap_or(u32::MAX);
                    if victim.is_none_or(|(n, _)| next > n) {
                        victim = Some((next, r));
                    }
                }
            }
        }
        // An instruction needs five registers at most.
        let (_, r) = victim.unwrap_or((0, 0));
        if let Some(id) = self.holds[r as usize].take() {
            let k = id as usize;
            self.register[k] = None;
            let again = match self.nodes[k] {
                Node::Const(_) | Node::Splat(_) => true,
                Node::Load(_) => !self.storing,
                _ => false,
            };
            if !again && self.slot[k].is_none() && !self.uses[k].is_empty() {
                let slot = self.new_slot();
                self.slot[k] = Some(slot);
                self.store(r, Rm::At(general::RSP, self.offset(slot)));
            }
        }
        self.take(r);
        r
    }

    fn take(&mut self, r: u8) {
        self.busy |= 1 << r;
        self.touched |= 1 << r;
    }

    fn bind(&mut self, r: u8, id: Id) {
        self.holds[r as usize] = Some(id);
        self.register[id as usize] = Some(r);
    }

    /// The value in a register, loaded where it is in memory.
    fn operand(&mut self, id: Id) -> u8 {
        if let Some(r) = self.kept.get(&id) {
            return *r;
        }
        let k = id as usize;
        if let Some(r) = self.register[k] {
            self.busy |= 1 << r;
            return r;
        }
        let r = self.allocate();
        match (self.nodes[k], self.slot[k]) {
            (Node::Const(_) | Node::Splat(_), _) => self.constant_into(r, id),
            (_, Some(slot)) => self.load(r, Rm::At(general::RSP, self.offset(slot))),
            (Node::Load(t), None) => {
                let from = self.element(t);
                self.load(r, from);
            }
            // Every other value has a register or a slot from its instruction on.
            _ => {}
        }
        self.bind(r, id);
        r
    }

    /// The value as the last operand, which may be in memory.
    fn last(&mut self, id: Id) -> Rm {
        let k = id as usize;
        if let Some(r) = self.kept.get(&id) {
            return Rm::Vector(*r);
        }
        if self.register[k].is_none() {
            match (self.nodes[k], self.slot[k]) {
                (Node::Const(bits), _) => return self.in_pool(bits),
                (Node::Splat(_), Some(slot)) => return Rm::At(general::RSP, self.offset(slot)),
                (_, Some(slot)) if self.uses[k].len() <= 1 => return Rm::At(general::RSP, self.offset(slot)),
                (Node::Load(t), None) if self.uses[k].len() <= 1 => return self.element(t),
                _ => {}
            }
        }
        Rm::Vector(self.operand(id))
    }

    /// Is the value cheaper as the last operand?
    fn in_memory(&self, id: Id) -> bool {
        let k = id as usize;
        !self.kept.contains_key(&id)
            && self.register[k].is_none()
            && match self.nodes[k] {
                Node::Const(_) | Node::Splat(_) => true,
                _ => self.uses[k].len() <= 1,
            }
    }

    /// The operands have been used here: registers of those that are not needed again become free.
    fn used(&mut self, at: u32, ids: &[Id]) {
        for id in ids {
            let k = *id as usize;
            if self.uses[k].last() == Some(&at) {
                self.uses[k].pop();
            }
            if self.uses[k].is_empty() {
                if let Some(r) = self.register[k].take() {
                    self.holds[r as usize] = None;
                    self.busy &= !(1 << r);
                }
                if !matches!(self.nodes[k], Node::Splat(_))
                    && let Some(s) = self.slot[k].take()
                {
                    self.free_slots.push(s);
                }
            }
        }
    }

    fn compare(&mut self, to: u8, test: Test, x: u8, y: Rm) {
        let predicate = match test {
            Test::Equal => 0x00,
            Test::Different => 0x04,
            Test::Less => 0x11,
            Test::LessOrEqual => 0x12,
            Test::Greater => 0x1e,
            Test::GreaterOrEqual => 0x1d,
            Test::Unordered => 0x03,
        };
        self.put(self.plain(0xc2), to, x, y, 0);
        self.b.byte(predicate);
    }

    /// `to = mask ? yes : no`
    fn blend(&mut self, to: u8, no: u8, yes: Rm, mask: u8) {
        match (self.level, self.double()) {
            (Level::Avx512, d) => self.put(op(1, 2, 0x65, d, false), to, no, yes, MASK),
            (Level::Avx2, d) => {
                self.put(op(1, 3, if d { 0x4b } else { 0x4a }, false, false), to, no, yes, 0);
                self.b.byte(mask << 4);
            }
        }
    }

    fn pick(&mut self, at: u32, id: Id, test: Test, o: [Id; 4]) {
        let [x, y, no, yes] = o;
        let a = self.operand(x);
        let b = self.last(y);
        let mut mask = MASK;
        if self.level == Level::Avx2 {
            mask = self.allocate();
        }
        self.compare(mask, test, a, b);
        let n = self.operand(no);
        let v = self.last(yes);
        self.used(at, &o);
        let to = self.allocate();
        self.blend(to, n, v, mask);
        self.bind(to, id);
    }

    fn node(&mut self, at: u32, id: Id) {
        match self.nodes[id as usize] {
            Node::Two(two, a, b) => {
                let commutes = matches!(two, Two::Add | Two::Mul | Two::And | Two::Or | Two::Xor | Two::AddBits);
                let (a, b) = if commutes && self.in_memory(a) && !self.in_memory(b) { (b, a) } else { (a, b) };
                let x = self.operand(a);
                let y = self.last(b);
                self.used(at, &[a, b]);
                let to = self.allocate();
                let o = match two {
                    Two::Add => self.plain(0x58),
                    Two::Mul => self.plain(0x59),
                    Two::Sub => self.plain(0x5c),
                    Two::Div => self.plain(0x5e),
                    Two::Lesser => self.plain(0x5d),
                    Two::Greater => self.plain(0x5f),
                    Two::And => self.plain(0x54),
                    Two::Or => self.plain(0x56),
                    Two::Xor => self.plain(0x57),
                    Two::AddBits if self.double() => op(1, 1, 0xd4, true, false),
                    Two::AddBits => op(1, 1, 0xfe, false, false),
                    Two::Scale => op(1, 2, 0x2c, self.double(), false),
                };
                self.put(o, to, x, y, 0);
                self.bind(to, id);
            }
            Node::One(one, a) => {
                let x = self.last(a);
                self.used(at, &[a]);
                let to = self.allocate();
                let rounding = match one {
                    One::Sqrt => None,
                    One::Even => Some(8),
                    One::Floor => Some(9),
                    One::Ceil => Some(10),
                    One::Truncate => Some(11),
                };
                match rounding {
                    None => self.put(self.plain(0x51), to, 0, x, 0),
                    Some(how) => {
                        let d = self.double();
                        self.put(op(1, 3, if d { 0x09 } else { 0x08 }, d, false), to, 0, x, 0);
                        self.b.byte(how);
                    }
                }
                self.bind(to, id);
            }
            Node::ShiftLeft(a, by) => self.shift(at, id, a, 6, by),
            Node::ShiftRight(a, by) => self.shift(at, id, a, 2, by),
            Node::Test(test, a, b) => {
                let x = self.operand(a);
                let y = self.last(b);
                self.used(at, &[a, b]);
                let to = self.allocate();
                match self.level {
                    Level::Avx2 => self.compare(to, test, x, y),
                    Level::Avx512 => {
                        self.compare(MASK, test, x, y);
                        self.put(op(2, 2, 0x38, self.double(), false), to, 0, Rm::Vector(MASK), 0);
                    }
                }
                self.bind(to, id);
            }
            Node::Select(m, yes, no) => {
                let mask = self.operand(m);
                if self.level == Level::Avx512 {
                    self.put(op(2, 2, 0x39, self.double(), false), MASK, 0, Rm::Vector(mask), 0);
                }
                let n = self.operand(no);
                let v = self.last(yes);
                self.used(at, &[m, yes, no]);
                let to = self.allocate();
                self.blend(to, n, v, mask);
                self.bind(to, id);
            }
            Node::Load(_) | Node::Splat(_) | Node::Const(_) => {}
        }
    }

    fn shift(&mut self, at: u32, id: Id, a: Id, kind: u8, by: u8) {
        let x = self.operand(a);
        self.used(at, &[a]);
        let to = self.allocate();
        let o = if self.double() { op(1, 1, 0x73, true, false) } else { op(1, 1, 0x72, false, false) };
        self.put(o, kind, to, Rm::Vector(x), 0);
        self.b.byte(by);
        self.bind(to, id);
    }
}
