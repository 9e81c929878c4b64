//! Kernels on a few elements: picking and placing by index, running and axis reductions.

use crate::emit::{Emit, MEMORY};
use crate::lanes::Val;
use cranelift_codegen::ir::condcodes::{FloatCC, IntCC};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use gradus_ir::{Cumulative, ReduceOp};
use gradus_plan::{Call, Func, Instr};

impl Emit<'_, '_> {
    /// The number as a position below `n`; leaves the function where it is none.
    fn position(&mut self, i: &Instr, x: Value, n: usize) -> Value {
        let k = self.b.ins().fcvt_to_sint_sat(types::I64, x);
        let back = self.b.ins().fcvt_from_sint(self.ty, k);
        let inside = self.b.ins().icmp_imm_s(IntCC::UnsignedLessThan, k, n as i64);
        let whole = self.b.ins().fcmp(FloatCC::Equal, back, x);
        let good = self.b.ins().band(inside, whole);
        let (go, bad) = (self.b.create_block(), self.b.create_block());
        self.b.set_cold_block(bad);
        self.b.ins().brif(good, go, &[], bad, &[]);
        self.b.seal_block(go);
        self.b.seal_block(bad);
        self.switch(bad);
        self.outside(i, x, n);
        self.switch(go);
        k
    }

    pub fn kernel(&mut self, i: &Instr, c: &Call) -> Option<()> {
        match c.func {
            Func::Take { outer, n, inner, picks } => {
                let index = self.read_all(&c.inputs[1].place, picks);
                let mut out = Vec::new();
                for o in 0..outer {
                    for k in &index {
                        let k = self.position(i, *k, n);
                        for j in 0..inner {
                            let v = self.picked(c, k, inner, o * n * inner + j);
                            out.push(v);
                        }
                    }
                }
                self.put(c, out);
            }
            Func::TakeAlong { outer, n, inner, picks } => {
                let index = self.read_all(&c.inputs[1].place, outer * picks * inner);
                let mut out = Vec::new();
                for (at, k) in index.iter().enumerate() {
                    let (o, j) = (at / (picks * inner), at % inner);
                    let k = self.position(i, *k, n);
                    let v = self.picked(c, k, inner, o * n * inner + j);
                    out.push(v);
                }
                self.put(c, out);
            }
            Func::ScatterAdd { outer, n, inner, picks } | Func::ScatterSet { outer, n, inner, picks } => {
                self.base_to_output(c);
                let index = self.read_all(&c.inputs[1].place, picks);
                let updates = self.read_all(&c.inputs[2].place, outer * picks * inner);
                let add = matches!(c.func, Func::ScatterAdd { .. });
                for o in 0..outer {
                    for (p, k) in index.iter().enumerate() {
                        let k = self.position(i, *k, n);
                        for j in 0..inner {
                            self.place_one(c, k, inner, o * n * inner + j, updates[(o * picks + p) * inner + j], add);
                        }
                    }
                }
            }
            Func::ScatterAddAlong { outer, n, inner, picks } => {
                self.base_to_output(c);
                let index = self.read_all(&c.inputs[1].place, outer * picks * inner);
                let updates = self.read_all(&c.inputs[2].place, outer * picks * inner);
                for (at, k) in index.iter().enumerate() {
                    let (o, j) = (at / (picks * inner), at % inner);
                    let k = self.position(i, *k, n);
                    self.place_one(c, k, inner, o * n * inner + j, updates[at], true);
                }
            }
            Func::Cumulative { op, reverse, outer, n, inner } => {
                let op = match op {
                    Cumulative::Sum => ReduceOp::Sum,
                    Cumulative::Prod => ReduceOp::Prod,
                    Cumulative::Max => ReduceOp::Max,
                };
                let x = self.read_all(&c.inputs[0].place, outer * n * inner);
                let mut out = x.clone();
                for o in 0..outer {
                    for k in 1..n {
                        let row = |k: usize| if reverse { n - 1 - k } else { k };
                        for j in 0..inner {
                            let at = |k: usize| (o * n + row(k)) * inner + j;
                            out[at(k)] = self.combine(op, out[at(k - 1)], x[at(k)])?;
                        }
                    }
                }
                self.put(c, out);
            }
            Func::ReduceAxis { op, outer, n, inner } => {
                let x = self.read_all(&c.inputs[0].place, outer * n * inner);
                let mut out = Vec::new();
                for o in 0..outer {
                    for j in 0..inner {
                        let mut t = x[o * n * inner + j];
                        if op == ReduceOp::Sum {
                            t = self.plus_zero(t);
                        }
                        for k in 1..n {
                            t = self.combine(op, t, x[(o * n + k) * inner + j])?;
                        }
                        out.push(t);
                    }
                }
                self.put(c, out);
            }
            Func::DiagMatrix { n } => {
                let x = self.read_all(&c.inputs[0].place, n);
                let zero = self.number(0.0);
                let out = (0..n * n).map(|k| if k % (n + 1) == 0 { x[k / (n + 1)] } else { zero }).collect();
                self.put(c, out);
            }
            _ => return None,
        }
        Some(())
    }

    fn put(&mut self, c: &Call, out: Vec<Value>) {
        for (k, v) in out.into_iter().enumerate() {
            self.write(&c.outputs[0].place, k as isize, Val::F(v));
        }
    }

    /// Element `k * inner + more` of the first operand.
    fn picked(&mut self, c: &Call, k: Value, inner: usize, more: usize) -> Value {
        let at = self.b.ins().imul_imm_s(k, inner as i64);
        let at = self.b.ins().iadd_imm_s(at, more as i64);
        let address = self.element(&c.inputs[0].place, at);
        self.b.ins().load(self.ty, MEMORY, address, 0)
    }

    fn place_one(&mut self, c: &Call, k: Value, inner: usize, more: usize, update: Value, add: bool) {
        let at = self.b.ins().imul_imm_s(k, inner as i64);
        let at = self.b.ins().iadd_imm_s(at, more as i64);
        let address = self.element(&c.outputs[0].place, at);
        let mut v = update;
        if add {
            let old = self.b.ins().load(self.ty, MEMORY, address, 0);
            v = self.b.ins().fadd(old, update);
        }
        self.b.ins().store(MEMORY, v, address, 0);
    }

    fn base_to_output(&mut self, c: &Call) {
        if c.inputs[0].place != c.outputs[0].place {
            let x = self.read_all(&c.inputs[0].place, c.outputs[0].count());
            self.put(c, x);
        }
    }
}
