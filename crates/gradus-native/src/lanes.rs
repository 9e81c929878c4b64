//! Elementwise operations as instructions of the machine, in the order of the executor's own.

use crate::emit::Emit;
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use gradus_ir::{BinaryOp, UnaryOp};
use gradus_plan::{Fused, Lane, LaneOp, Out, Src};

/// A number, a truth that stands for 1 or 0, or a number known now.
#[derive(Clone, Copy)]
pub(crate) enum Val {
    F(Value),
    B(Value),
    K(f64),
}

impl Emit<'_, '_> {
    pub fn float(&mut self, v: Val) -> Value {
        match v {
            Val::F(v) => v,
            Val::K(v) => self.number(v),
            Val::B(t) => {
                let (one, zero) = (self.number(1.0), self.number(0.0));
                self.b.ins().select(t, one, zero)
            }
        }
    }

    /// As the second operand of an instruction.
    fn second(&mut self, v: Val) -> Value {
        match v {
            Val::K(v) => self.operand(v),
            v => self.float(v),
        }
    }

    /// The operands of an operation whose order does not matter, a known number second.
    fn either(&mut self, a: Val, b: Val) -> (Value, Value) {
        let (a, b) = if matches!(a, Val::K(_)) { (b, a) } else { (a, b) };
        (self.float(a), self.second(b))
    }

    /// Not zero; a NaN is not.
    pub fn truth(&mut self, v: Val) -> Value {
        match v {
            Val::B(t) => t,
            Val::K(v) => self.b.ins().iconst(types::I8, i64::from(v != 0.0)),
            Val::F(v) => {
                let zero = self.number(0.0);
                self.b.ins().fcmp(FloatCC::NotEqual, v, zero)
            }
        }
    }

    fn is_nan(&mut self, x: Value) -> Value {
        self.b.ins().fcmp(FloatCC::Unordered, x, x)
    }

    /// `if x > y (less: <) || x is NaN { x } else { y }`
    pub fn extreme(&mut self, cc: FloatCC, x: Value, y: Value) -> Value {
        let better = self.b.ins().fcmp(cc, x, y);
        let nan = self.is_nan(x);
        let first = self.b.ins().bor(better, nan);
        self.b.ins().select(first, x, y)
    }

    fn unary(&mut self, op: UnaryOp, a: Val) -> Option<Val> {
        if let (UnaryOp::Not, Val::B(t)) = (op, a) {
            return Some(Val::B(self.not(t)));
        }
        let x = self.float(a);
        let y = match op {
            UnaryOp::Neg => self.b.ins().fneg(x),
            UnaryOp::Abs => self.b.ins().fabs(x),
            UnaryOp::Square => self.b.ins().fmul(x, x),
            UnaryOp::Recip => {
                let one = self.number(1.0);
                self.b.ins().fdiv(one, x)
            }
            UnaryOp::Sqrt => self.b.ins().sqrt(x),
            UnaryOp::Sign => {
                let (zero, one, minus) = (self.number(0.0), self.number(1.0), self.number(-1.0));
                let (up, down) = (self.b.ins().fcmp(FloatCC::GreaterThan, x, zero), self.b.ins().fcmp(FloatCC::LessThan, x, zero));
                let rest = self.b.ins().fabs(x);
                let low = self.b.ins().select(down, minus, rest);
                self.b.ins().select(up, one, low)
            }
            UnaryOp::Floor => self.b.ins().floor(x),
            UnaryOp::Ceil => self.b.ins().ceil(x),
            UnaryOp::Round => self.b.ins().nearest(x),
            UnaryOp::ToInt => self.b.ins().trunc(x),
            UnaryOp::ToReal | UnaryOp::StopGrad => x,
            UnaryOp::Not => {
                let zero = self.number(0.0);
                return Some(Val::B(self.b.ins().fcmp(FloatCC::Equal, x, zero)));
            }
            UnaryOp::IsNan => return Some(Val::B(self.is_nan(x))),
            UnaryOp::IsFinite => {
                let (size, top) = (self.b.ins().fabs(x), self.number(f64::INFINITY));
                return Some(Val::B(self.b.ins().fcmp(FloatCC::LessThan, size, top)));
            }
            op => {
                let (function, t) = ((self.host.unary)(op), self.ty);
                self.call(function, &[t], Some(t), &[x])?
            }
        };
        Some(Val::F(y))
    }

    fn not(&mut self, t: Value) -> Value {
        let one = self.b.ins().iconst(types::I8, 1);
        self.b.ins().bxor(t, one)
    }

    fn compare(&mut self, cc: FloatCC, a: Val, b: Val) -> Val {
        let (x, y) = (self.float(a), self.second(b));
        Val::B(self.b.ins().fcmp(cc, x, y))
    }

    fn binary(&mut self, op: BinaryOp, a: Val, b: Val) -> Option<Val> {
        let exponent = if let Val::K(v) = b { Some(v) } else { None };
        match op {
            BinaryOp::Add | BinaryOp::Mul => {
                let (x, y) = self.either(a, b);
                return Some(Val::F(if op == BinaryOp::Add { self.b.ins().fadd(x, y) } else { self.b.ins().fmul(x, y) }));
            }
            BinaryOp::Lt => return Some(self.compare(FloatCC::LessThan, a, b)),
            BinaryOp::Le => return Some(self.compare(FloatCC::LessThanOrEqual, a, b)),
            BinaryOp::Gt => return Some(self.compare(FloatCC::GreaterThan, a, b)),
            BinaryOp::Ge => return Some(self.compare(FloatCC::GreaterThanOrEqual, a, b)),
            BinaryOp::Eq => return Some(self.compare(FloatCC::Equal, a, b)),
            BinaryOp::Ne => return Some(self.compare(FloatCC::NotEqual, a, b)),
            BinaryOp::And | BinaryOp::Or => {
                let (x, y) = (self.truth(a), self.truth(b));
                return Some(Val::B(if op == BinaryOp::And { self.b.ins().band(x, y) } else { self.b.ins().bor(x, y) }));
            }
            _ => {}
        }
        let (x, y) = (self.float(a), self.second(b));
        Some(Val::F(match op {
            BinaryOp::Sub => self.b.ins().fsub(x, y),
            BinaryOp::Div => self.b.ins().fdiv(x, y),
            BinaryOp::Max => self.extreme(FloatCC::GreaterThan, x, y),
            BinaryOp::Min => self.extreme(FloatCC::LessThan, x, y),
            BinaryOp::Mod => {
                let q = self.b.ins().fdiv(x, y);
                let q = self.b.ins().floor(q);
                let q = self.b.ins().fmul(y, q);
                self.b.ins().fsub(x, q)
            }
            // Small whole exponents are products there, too.
            BinaryOp::Pow if exponent == Some(2.0) => self.b.ins().fmul(x, x),
            BinaryOp::Pow if exponent == Some(3.0) => {
                let s = self.b.ins().fmul(x, x);
                self.b.ins().fmul(s, x)
            }
            BinaryOp::Pow if exponent == Some(1.0) => x,
            op => {
                let (function, t) = ((self.host.binary)(op), self.ty);
                self.call(function, &[t, t], Some(t), &[x, y])?
            }
        }))
    }

    fn lane(&mut self, l: &Lane, [a, b, c, d]: [Val; 4]) -> Option<Val> {
        use BinaryOp::{Add, Div, Mul, Sub};
        Some(match l.op {
            LaneOp::MulMul => {
                let p = self.binary(Mul, a, b)?;
                self.binary(Mul, p, c)?
            }
            LaneOp::MulAddMul | LaneOp::MulSubMul => {
                let (p, q) = (self.binary(Mul, a, b)?, self.binary(Mul, c, d)?);
                self.binary(if l.op == LaneOp::MulAddMul { Add } else { Sub }, p, q)?
            }
            LaneOp::AddThenMul | LaneOp::SubThenMul => {
                let s = self.binary(if l.op == LaneOp::AddThenMul { Add } else { Sub }, a, b)?;
                self.binary(Mul, s, c)?
            }
            LaneOp::DivRoot => {
                let r = self.unary(UnaryOp::Sqrt, b)?;
                let r = self.binary(Add, r, c)?;
                self.binary(Div, a, r)?
            }
            LaneOp::Unary(op) => self.unary(op, a)?,
            LaneOp::Binary(op) => self.binary(op, a, b)?,
            LaneOp::Select => {
                let t = self.truth(a);
                if let (Val::B(x), Val::B(y)) = (b, c) {
                    return Some(Val::B(self.b.ins().select(t, x, y)));
                }
                let (x, y) = (self.float(b), self.float(c));
                Val::F(self.b.ins().select(t, x, y))
            }
            LaneOp::MulAdd | LaneOp::MulSub | LaneOp::SubMul => {
                let (x, y) = self.either(a, b);
                let p = Val::F(self.b.ins().fmul(x, y));
                match l.op {
                    LaneOp::MulAdd => self.binary(BinaryOp::Add, p, c)?,
                    LaneOp::MulSub => self.binary(BinaryOp::Sub, p, c)?,
                    _ => self.binary(BinaryOp::Sub, c, p)?,
                }
            }
        })
    }

    /// An elementwise program, element by element. Everything is read before anything is written.
    pub fn fused(&mut self, f: &Fused) -> Option<()> {
        let mut results: Vec<Vec<Val>> = vec![Vec::with_capacity(f.count); f.outs.len()];
        for e in 0..f.count {
            let mut inputs = Vec::with_capacity(f.inputs.len());
            for a in &f.inputs {
                inputs.push(self.read(&a.place, a.pattern.offset(e)));
            }
            let mut registers: Vec<Option<Val>> = vec![None; f.registers as usize];
            for l in &f.program {
                let a = self.source(l.a, &inputs, &registers)?;
                let b = self.source(l.b, &inputs, &registers)?;
                let c = self.source(l.c, &inputs, &registers)?;
                let d = self.source(l.d, &inputs, &registers)?;
                let v = self.lane(l, [a, b, c, d])?;
                *registers.get_mut(l.dst as usize)? = Some(v);
            }
            for (k, o) in f.outs.iter().enumerate() {
                let (Out::Store { src, .. } | Out::Reduce { src, .. }) = o;
                let v = self.source(*src, &inputs, &registers)?;
                results[k].push(v);
            }
        }
        for (o, values) in f.outs.iter().zip(&results) {
            if let Out::Reduce { op, place, .. } = o {
                if f.count == 1 {
                    self.write(place, 0, values[0]);
                    continue;
                }
                for (row, v) in values.chunks_exact(f.segment.max(1)).enumerate() {
                    let v: Vec<_> = v.iter().map(|v| self.float(*v)).collect();
                    let r = self.reduction(*op, &v)?;
                    self.write(place, row as isize, Val::F(r));
                }
            }
        }
        for (o, values) in f.outs.iter().zip(&results) {
            if let Out::Store { access, .. } = o {
                for (e, v) in values.iter().enumerate() {
                    self.write(&access.place, access.pattern.offset(e), *v);
                }
            }
        }
        Some(())
    }

    fn source(&mut self, s: Src, inputs: &[Val], registers: &[Option<Val>]) -> Option<Val> {
        match s {
            Src::Imm(v) => Some(self.known(v)),
            Src::In(k) => inputs.get(k as usize).copied(),
            Src::Reg(r) => registers.get(r as usize).copied().flatten(),
        }
    }
}
