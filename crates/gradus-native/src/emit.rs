//! The code of a loop: blocks, steps, branches; values in cells and in memory.

use crate::access::{self, COPIED, Elements, is_native, touches};
use crate::cells::{Cell, Cells, inside};
use crate::cost;
use crate::host::{Float, Host};
use crate::lanes::Val;
use crate::live::Wanted;
use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, Block as Label, FuncRef, InstBuilder, MemFlagsData, SigRef, Signature, StackSlotData, StackSlotKind, Type, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, Variable};
use gradus_plan::{Block, Instr, Kind, LoopPlan, Place, Plan, Scalar};
use std::collections::{BTreeMap, HashMap};

/// How the function says why it returned; the steps done are in the bits above.
pub(crate) const MORE: i64 = 0;
pub(crate) const STOPPED: i64 = 1;
pub(crate) const FAILED: i64 = 2;

/// Addresses are those of the plan: valid and aligned.
pub(crate) const MEMORY: MemFlagsData = MemFlagsData::trusted();

/// Numbers that native code reads; they stay where they are.
pub(crate) struct Numbers {
    all: Box<[u64]>,
    used: usize,
}

impl Numbers {
    pub fn new() -> Numbers {
        Numbers { all: vec![0; 256].into(), used: 0 }
    }

    /// The address of the number from now on; `None` where there is no room.
    fn add(&mut self, bits: u64) -> Option<usize> {
        let slot = self.all.get_mut(self.used)?;
        *slot = bits;
        self.used += 1;
        Some(std::ptr::from_ref(slot) as usize)
    }
}

/// A loop around the code being written.
struct Around {
    step: u32,
    parity: u32,
    variable: Variable,
}

pub(crate) struct Emit<'a, 'b> {
    pub b: &'a mut FunctionBuilder<'b>,
    pub plan: &'a Plan,
    pub cells: &'a Cells,
    pub host: &'a Host,
    pub ty: Type,
    signatures: Vec<(Signature, SigRef)>,
    pointer: Type,
    conv: CallConv,
    context: Value,
    counters: Value,
    done: Value,
    bases: HashMap<u32, Value>,
    /// Counters of loops around this one: they stand still.
    outer: HashMap<u32, Value>,
    around: Vec<Around>,
    variables: BTreeMap<Cell, Variable>,
    /// Cells whose value is a truth computed in this block.
    truths: HashMap<Cell, Value>,
    failed: Label,
    entry: Label,
    /// Numbers that stay in registers, and where they are loaded from.
    table: &'a mut Numbers,
    /// Asks the host whether the run may go on.
    asker: Option<FuncRef>,
    loaded: HashMap<u64, Value>,
}

impl<'a, 'b> Emit<'a, 'b> {
    /// Writes the whole function: `fn(context, bases, counters, done, from, to) -> i64`.
    pub fn function(
        b: &'a mut FunctionBuilder<'b>,
        plan: &'a Plan,
        cells: &'a Cells,
        wanted: &Wanted,
        host: &'a Host,
        pointer: Type,
        conv: CallConv,
        root: &Instr,
        numbers: &'a mut Numbers,
        asker: Option<FuncRef>,
    ) -> Option<()> {
        let Kind::Loop(l) = &root.kind else { return None };
        let entry = b.create_block();
        b.append_block_params_for_function_params(entry);
        b.switch_to_block(entry);
        b.seal_block(entry);
        let p: Vec<Value> = b.block_params(entry).to_vec();
        let [context, table, counters, done, from, to] = p.as_slice() else { return None };
        let (context, table, counters, done, from, to) = (*context, *table, *counters, *done, *from, *to);
        let failed = b.create_block();
        let ty = match host.float {
            Float::F32 => types::F32,
            Float::F64 => types::F64,
        };
        let mut e = Emit {
            b,
            plan,
            cells,
            host,
            ty,
            signatures: Vec::new(),
            pointer,
            conv,
            context,
            counters,
            done,
            bases: HashMap::new(),
            outer: HashMap::new(),
            around: Vec::new(),
            variables: BTreeMap::new(),
            truths: HashMap::new(),
            failed,
            entry,
            table: numbers,
            asker,
            loaded: HashMap::new(),
        };
        e.load_surroundings(root, table);
        let variable = e.b.declare_var(types::I64);
        e.b.def_var(variable, from);
        e.around.push(Around { step: l.step, parity: l.parity, variable });
        e.load_cells(wanted);

        let (head, more, stopped) = (e.b.create_block(), e.b.create_block(), e.b.create_block());
        e.b.ins().jump(head, &[]);
        e.switch(head);
        let step = e.b.use_var(variable);
        let go = e.b.create_block();
        let left = e.b.ins().icmp(IntCC::UnsignedLessThan, step, to);
        e.b.ins().brif(left, go, &[], more, &[]);
        e.b.seal_block(go);
        e.b.seal_block(more);
        e.switch(go);
        e.step(l, stopped)?;
        e.advance(variable);
        e.b.ins().jump(head, &[]);
        e.b.seal_block(head);
        e.b.seal_block(stopped);
        e.b.seal_block(failed);
        for (label, code, live) in [(more, MORE, &wanted.at_step), (stopped, STOPPED, &wanted.after)] {
            e.switch(label);
            for c in live {
                e.spill(*c);
            }
            let step = e.b.use_var(variable);
            let shifted = e.b.ins().ishl_imm_s(step, 2);
            let result = e.b.ins().bor_imm_s(shifted, code);
            e.b.ins().return_(&[result]);
        }
        e.switch(failed);
        let result = e.b.ins().iconst(types::I64, FAILED);
        e.b.ins().return_(&[result]);
        Some(())
    }

    /// Addresses of bases and the standing counters.
    fn load_surroundings(&mut self, root: &Instr, table: Value) {
        let flags = MEMORY;
        let (mut bases, mut outer) = (std::collections::BTreeSet::from([Place::ARENA]), std::collections::BTreeSet::new());
        let mut see = |p: Place| {
            bases.insert(p.base);
            if p.counter != 0 && !self.cells.counters.contains(&p.counter) {
                outer.insert(p.counter);
            }
        };
        self.cells.each_place(root, &mut see);
        for k in bases {
            let v = self.b.ins().load(self.pointer, flags, table, (k as i32) * self.pointer.bytes() as i32);
            self.bases.insert(k, v);
        }
        for k in outer {
            let v = self.b.ins().load(types::I64, flags, self.counters, (k as i32) * 8);
            self.outer.insert(k, v);
        }
    }

    fn load_cells(&mut self, wanted: &Wanted) {
        for c in &self.cells.all {
            if self.constant(*c).is_some() {
                continue;
            }
            let variable = self.b.declare_var(self.ty);
            self.variables.insert(*c, variable);
            if !self.cells.written.contains(c) || wanted.at_step.contains(c) {
                let (address, offset) = self.true_address(*c);
                let v = self.b.ins().load(self.ty, MEMORY, address, offset);
                self.b.def_var(variable, v);
            }
        }
    }

    /// The value of a cell that never changes.
    fn constant(&self, c: Cell) -> Option<Val> {
        if c.0 == Place::ARENA {
            return self.cells.constants.get(&c.1).map(|v| self.known(*v));
        }
        let k = (c.0 as usize).checked_sub(1 + self.plan.params().len())?;
        let v = *self.plan.literals().get(k)?.data.get(usize::try_from(c.1).ok()?)?;
        Some(Val::K(match self.host.float {
            Float::F32 => f64::from(v as f32),
            Float::F64 => v,
        }))
    }

    pub fn switch(&mut self, l: Label) {
        self.b.switch_to_block(l);
        self.truths.clear();
    }

    /// A constant of the program, in the run's type. As in the executor, one that is neither zero nor infinite does not
    /// become so by rounding.
    pub fn known(&self, v: f64) -> Val {
        Val::K(match self.host.float {
            Float::F32 if v == 0.0 || !v.is_finite() => f64::from(v as f32),
            Float::F32 => f64::from((v.abs() as f32).clamp(f32::MIN_POSITIVE, f32::MAX).copysign(v as f32)),
            Float::F64 => v,
        })
    }

    /// A number as the second operand of an instruction, which reads it from memory.
    pub fn operand(&mut self, v: f64) -> Value {
        match self.host.float {
            Float::F32 => self.b.ins().f32const(v as f32),
            Float::F64 => self.b.ins().f64const(v),
        }
    }

    /// A number in a register, loaded once: a constant would be made anew in every step.
    pub fn number(&mut self, v: f64) -> Value {
        if v.to_bits() == 0 {
            return self.operand(v);
        }
        if let Some(x) = self.loaded.get(&v.to_bits()) {
            return *x;
        }
        let bits = match self.host.float {
            Float::F32 => u64::from((v as f32).to_bits()),
            Float::F64 => v.to_bits(),
        };
        let Some(address) = self.table.add(bits) else { return self.operand(v) };
        let mut at = FuncCursor::new(self.b.func).at_first_insertion_point(self.entry);
        let address = at.ins().iconst(self.pointer, address as i64);
        let x = at.ins().load(self.ty, MEMORY, address, 0);
        self.loaded.insert(v.to_bits(), x);
        x
    }

    fn address(&mut self, n: usize) -> Value {
        self.b.ins().iconst(self.pointer, n as i64)
    }

    fn base(&mut self, k: u32) -> Value {
        match self.bases.get(&k) {
            Some(v) => *v,
            // Every base was found at the start.
            None => self.b.ins().iconst(self.pointer, 0),
        }
    }

    fn counter(&mut self, c: u32) -> Option<Value> {
        if let Some(v) = self.outer.get(&c) {
            return Some(*v);
        }
        let at = self.around.iter().find(|a| a.step == c || a.parity == c)?;
        let (variable, is_step) = (at.variable, at.step == c);
        let step = self.b.use_var(variable);
        Some(if is_step { step } else { self.b.ins().band_imm_s(step, 1) })
    }

    /// The address of a place's first element, and a constant offset in bytes.
    fn place(&mut self, p: &Place, d: isize) -> (Value, i32) {
        let size = self.host.float.bytes();
        let mut at = self.base(p.base);
        if p.counter != 0
            && let Some(c) = self.counter(p.counter)
        {
            let moved = self.b.ins().imul_imm_s(c, p.stride as i64 * size);
            at = self.b.ins().iadd(at, moved);
        }
        self.offset(at, (p.offset as isize + d) as i64 * size)
    }

    fn offset(&mut self, at: Value, bytes: i64) -> (Value, i32) {
        match i32::try_from(bytes) {
            Ok(k) => (at, k),
            Err(_) => (self.b.ins().iadd_imm_s(at, bytes), 0),
        }
    }

    /// Where a cell lies in memory at this step.
    fn true_address(&mut self, c: Cell) -> (Value, i32) {
        let mut place = Place { base: c.0, counter: 0, offset: 0, stride: 0 };
        for a in &self.around {
            for s in self.cells.swapped.get(&a.parity).into_iter().flatten() {
                if inside(s, c) {
                    let far = s.b as isize - s.a as isize;
                    let in_a = (s.a as isize..(s.a + s.len) as isize).contains(&c.1);
                    place.counter = a.parity;
                    place.stride = if in_a { far } else { -far };
                }
            }
        }
        self.place(&place, c.1)
    }

    fn spill(&mut self, c: Cell) {
        if let Some(v) = self.variables.get(&c) {
            let v = self.b.use_var(*v);
            let (address, offset) = self.true_address(c);
            self.b.ins().store(MEMORY, v, address, offset);
        }
    }

    /// Element `d` from a place on.
    pub fn read(&mut self, p: &Place, d: isize) -> Val {
        if p.counter == 0
            && let Some(v) = self.constant((p.base, p.offset as isize + d))
        {
            return v;
        }
        if let Some(c) = self.cells.cell(p, d)
            && let Some(v) = self.variables.get(&c)
        {
            if let Some(t) = self.truths.get(&c) {
                return Val::B(*t);
            }
            return Val::F(self.b.use_var(*v));
        }
        let (address, offset) = self.place(p, d);
        Val::F(self.b.ins().load(self.ty, MEMORY, address, offset))
    }

    pub fn write(&mut self, p: &Place, d: isize, v: Val) {
        let number = self.float(v);
        if let Some(c) = self.cells.cell(p, d)
            && let Some(variable) = self.variables.get(&c)
        {
            self.b.def_var(*variable, number);
            match v {
                Val::B(t) => self.truths.insert(c, t),
                Val::F(_) | Val::K(_) => self.truths.remove(&c),
            };
            return;
        }
        let (address, offset) = self.place(p, d);
        self.b.ins().store(MEMORY, number, address, offset);
    }

    /// The address of element `index` (a whole number) from a place on.
    pub fn element(&mut self, p: &Place, index: Value) -> Value {
        let (at, offset) = self.place(p, 0);
        let bytes = self.b.ins().imul_imm_s(index, self.host.float.bytes());
        let at = self.b.ins().iadd(at, bytes);
        self.b.ins().iadd_imm_s(at, offset as i64)
    }

    fn scalar(&mut self, s: &Scalar) -> Value {
        let v = match s {
            Scalar::Imm(v) => self.known(*v),
            Scalar::At(p) => self.read(p, 0),
        };
        self.truth(v)
    }

    pub fn signature(&self, params: &[Type], returns: Option<Type>) -> Signature {
        let mut s = Signature::new(self.conv);
        s.params.extend(params.iter().map(|t| AbiParam::new(*t)));
        s.returns.extend(returns.map(AbiParam::new));
        s
    }

    /// Calls a function of the host.
    pub fn call(&mut self, function: usize, params: &[Type], returns: Option<Type>, args: &[Value]) -> Option<Value> {
        let signature = self.signature(params, returns);
        let sig = match self.signatures.iter().find(|s| s.0 == signature) {
            Some(s) => s.1,
            None => {
                let s = self.b.import_signature(signature.clone());
                self.signatures.push((signature, s));
                s
            }
        };
        let callee = self.address(function);
        let call = self.b.ins().call_indirect(sig, callee, args);
        self.b.inst_results(call).first().copied()
    }

    /// Leaves the function where a host's function returned nonzero.
    fn leave_if(&mut self, status: Option<Value>) {
        let Some(status) = status else { return };
        let go = self.b.create_block();
        self.b.ins().brif(status, self.failed, &[], go, &[]);
        self.b.seal_block(go);
        self.switch(go);
    }

    /// Notes that an index is outside its axis, and leaves.
    pub fn outside(&mut self, i: &Instr, index: Value, len: usize) {
        let wide = match self.host.float {
            Float::F32 => self.b.ins().fpromote(types::F64, index),
            Float::F64 => index,
        };
        let (i, len) = (self.address(std::ptr::from_ref(i) as usize), self.b.ins().iconst(types::I64, len as i64));
        let (p, context) = (self.pointer, self.context);
        let params = [p, p, types::F64, types::I64];
        self.call(self.host.outside, &params, Some(types::I64), &[context, i, wide, len]);
        let failed = self.failed;
        self.b.ins().jump(failed, &[]);
    }

    fn advance(&mut self, variable: Variable) {
        let step = self.b.use_var(variable);
        let next = self.b.ins().iadd_imm_s(step, 1);
        self.b.def_var(variable, next);
    }

    fn count(&mut self, step: Value) -> Val {
        Val::F(self.b.ins().fcvt_from_uint(self.ty, step))
    }

    /// One step: condition, body, carries. Jumps to `stopped` where the condition does not hold.
    fn step(&mut self, l: &LoopPlan, stopped: Label) -> Option<()> {
        let variable = self.around.last()?.variable;
        if let Some(p) = &l.index {
            let step = self.b.use_var(variable);
            let v = self.count(step);
            self.write(p, 0, v);
        }
        if let Some((test, s)) = &l.cond {
            self.block(test)?;
            let t = self.scalar(s);
            let go = self.b.create_block();
            self.b.ins().brif(t, go, &[], stopped, &[]);
            self.b.seal_block(go);
            self.switch(go);
        }
        self.block(&l.body)?;
        for (from, to, n) in &l.copies {
            if *n as isize <= COPIED {
                let v: Vec<Val> = (0..*n as isize).map(|k| self.read(from, k)).collect();
                for (k, v) in v.into_iter().enumerate() {
                    self.write(to, k as isize, v);
                }
            } else {
                let (from, to) = (self.place_address(from), self.place_address(to));
                let n = self.b.ins().iconst(types::I64, *n as i64);
                let p = self.pointer;
                self.call(self.host.copy, &[p, p, types::I64], None, &[from, to, n]);
            }
        }
        for s in self.cells.swapped.get(&l.parity).into_iter().flatten() {
            for k in 0..s.len as isize {
                let a = self.variables.get(&(s.base, s.a as isize + k)).copied();
                let b = self.variables.get(&(s.base, s.b as isize + k)).copied();
                if let (Some(a), Some(b)) = (a, b) {
                    let (x, y) = (self.b.use_var(a), self.b.use_var(b));
                    self.b.def_var(a, y);
                    self.b.def_var(b, x);
                    self.truths.clear();
                }
            }
        }
        Some(())
    }

    fn place_address(&mut self, p: &Place) -> Value {
        let (at, offset) = self.place(p, 0);
        self.b.ins().iadd_imm_s(at, offset as i64)
    }

    /// A loop inside the loop.
    fn inner_loop(&mut self, l: &LoopPlan) -> Option<()> {
        let variable = self.b.declare_var(types::I64);
        let zero = self.b.ins().iconst(types::I64, 0);
        self.b.def_var(variable, zero);
        self.around.push(Around { step: l.step, parity: l.parity, variable });
        let (head, go, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
        self.b.ins().jump(head, &[]);
        self.switch(head);
        let step = self.b.use_var(variable);
        let left = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, step, l.bound as i64);
        self.b.ins().brif(left, go, &[], after, &[]);
        self.b.seal_block(go);
        self.switch(go);
        self.step(l, after)?;
        self.advance(variable);
        if let (Some(every), Some(asker)) = (cost::poll_every(l), self.asker) {
            let (ask, on) = (self.b.create_block(), self.b.create_block());
            self.b.set_cold_block(ask);
            let step = self.b.use_var(variable);
            let low = self.b.ins().band_imm_s(step, every as i64 - 1);
            self.b.ins().brif(low, on, &[], ask, &[]);
            self.b.seal_block(ask);
            self.switch(ask);
            let slot = self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, 8, 3));
            let at = self.b.ins().stack_addr(self.pointer, slot, 0);
            let context = self.context;
            self.b.ins().call(asker, &[context, at]);
            let status = self.b.ins().load(types::I64, MEMORY, at, 0);
            self.leave_if(Some(status));
            self.b.ins().jump(on, &[]);
            self.b.seal_block(on);
            self.switch(on);
        }
        self.b.ins().jump(head, &[]);
        self.b.seal_block(head);
        self.b.seal_block(after);
        self.switch(after);
        let done = self.b.use_var(variable);
        let at = l.step as i32 * 8;
        let before = self.b.ins().load(types::I64, MEMORY, self.done, at);
        let total = self.b.ins().iadd(before, done);
        self.b.ins().store(MEMORY, total, self.done, at);
        // Carries with two buffers in memory: as in the executor, the last one written is copied to the first.
        let kept = self.cells.swapped.get(&l.parity);
        let in_memory: Vec<_> = l.swaps.iter().filter(|s| !kept.is_some_and(|k| k.contains(s))).collect();
        if !in_memory.is_empty() {
            let (odd, on) = (self.b.create_block(), self.b.create_block());
            let low = self.b.ins().band_imm_s(done, 1);
            self.b.ins().brif(low, odd, &[], on, &[]);
            self.b.seal_block(odd);
            self.switch(odd);
            for s in in_memory {
                let at = |offset| Place { base: s.base, counter: 0, offset, stride: 0 };
                let (from, to) = (self.place_address(&at(s.b)), self.place_address(&at(s.a)));
                let n = self.b.ins().iconst(types::I64, s.len as i64);
                let p = self.pointer;
                self.call(self.host.copy, &[p, p, types::I64], None, &[from, to, n]);
            }
            self.b.ins().jump(on, &[]);
            self.b.seal_block(on);
            self.switch(on);
        }
        self.around.pop();
        for (p, len) in &l.collected {
            let bound = self.b.ins().iconst(types::I64, l.bound as i64);
            let left = self.b.ins().isub(bound, done);
            let n = self.b.ins().imul_imm_s(left, *len as i64);
            let from = self.place_address(p);
            let skip = self.b.ins().imul_imm_s(done, *len as i64 * self.host.float.bytes());
            let from = self.b.ins().iadd(from, skip);
            let pointer = self.pointer;
            self.call(self.host.zero, &[pointer, types::I64], None, &[from, n]);
        }
        if let Some(p) = &l.done {
            let v = self.count(done);
            self.write(p, 0, v);
        }
        Some(())
    }

    fn block(&mut self, b: &Block) -> Option<()> {
        for i in &b.code {
            self.instr(i)?;
        }
        Some(())
    }

    fn instr(&mut self, i: &Instr) -> Option<()> {
        if !is_native(i) {
            self.hand_back(i);
            return Some(());
        }
        match &i.kind {
            Kind::Fused(f) => self.fused(f),
            Kind::MatMul(m) => self.matmul(m),
            Kind::Call(c) => self.kernel(i, c),
            Kind::Sweep(_) => None,
            Kind::Loop(l) => self.inner_loop(l),
            Kind::Cond(c) => {
                let t = self.scalar(&c.test);
                let (then, other, after) = (self.b.create_block(), self.b.create_block(), self.b.create_block());
                self.b.ins().brif(t, then, &[], other, &[]);
                self.b.seal_block(then);
                self.b.seal_block(other);
                for (label, block) in [(then, &c.then), (other, &c.other)] {
                    self.switch(label);
                    self.block(block)?;
                    self.b.ins().jump(after, &[]);
                }
                self.b.seal_block(after);
                self.switch(after);
                Some(())
            }
        }
    }

    /// The host runs the instruction; what it reads and writes goes through memory.
    fn hand_back(&mut self, i: &Instr) {
        let (mut to_memory, mut from_memory) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
        let mut counters = std::collections::BTreeSet::new();
        touches(i, &mut |t| {
            if self.cells.counters.contains(&t.place.counter) {
                counters.insert(t.place.counter);
            }
            let (lo, hi, whole) = match t.elements {
                Elements::Within { lo, hi, whole } => (lo, hi, whole),
                Elements::Each(v) => (0, v.len() as isize, true),
            };
            for d in lo..hi {
                let Some(c) = self.cells.cell(&t.place, d) else {
                    // Long ranges hold no values.
                    if hi - lo > access::COPIED { break } else { continue }
                };
                if t.write {
                    from_memory.insert(c);
                }
                if !t.write || !whole {
                    to_memory.insert(c);
                }
            }
        });
        for c in to_memory {
            self.spill(c);
        }
        for c in counters {
            let v = match self.counter(c) {
                Some(v) => v,
                // Outside their loop counters are zero.
                None => self.b.ins().iconst(types::I64, 0),
            };
            self.b.ins().store(MEMORY, v, self.counters, (c as i32) * 8);
        }
        let (p, context) = (self.pointer, self.context);
        let at = self.address(std::ptr::from_ref(i) as usize);
        let status = self.call(self.host.instr, &[p, p], Some(types::I64), &[context, at]);
        self.leave_if(status);
        for c in from_memory {
            if let Some(variable) = self.variables.get(&c).copied() {
                let (address, offset) = self.true_address(c);
                let v = self.b.ins().load(self.ty, MEMORY, address, offset);
                self.b.def_var(variable, v);
                self.truths.remove(&c);
            }
        }
    }
}

/// The signature of the function that asks: `fn(context, *mut i64)`. It keeps all registers, so that a question that is
/// rarely asked does not drive the loop's values out of theirs; such a function returns nothing, so the answer is stored.
pub(crate) fn asking(pointer: Type) -> Signature {
    let mut s = Signature::new(CallConv::PreserveAll);
    s.params.extend([AbiParam::new(pointer), AbiParam::new(pointer)]);
    s
}

/// Writes that function.
pub(crate) fn ask(b: &mut FunctionBuilder, host: &Host, pointer: Type, conv: CallConv) {
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let (context, at) = (b.block_params(entry)[0], b.block_params(entry)[1]);
    let mut s = Signature::new(conv);
    s.params.push(AbiParam::new(pointer));
    s.returns.push(AbiParam::new(types::I64));
    let sig = b.import_signature(s);
    let callee = b.ins().iconst(pointer, host.poll as i64);
    let call = b.ins().call_indirect(sig, callee, &[context]);
    if let Some(status) = b.inst_results(call).first().copied() {
        b.ins().store(MEMORY, status, at, 0);
    }
    b.ins().return_(&[]);
}

/// The signature of the function that [`Emit::function`] writes.
pub(crate) fn signature(pointer: Type, conv: CallConv) -> Signature {
    let mut s = Signature::new(conv);
    for t in [pointer, pointer, pointer, pointer, types::I64, types::I64] {
        s.params.push(AbiParam::new(t));
    }
    s.returns.push(AbiParam::new(types::I64));
    s
}
