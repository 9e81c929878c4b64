//! Bytes of the few instructions that vector code is made of, in the VEX form (AVX2) or the EVEX form (AVX-512).

/// Which vectors the code uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Avx2,
    Avx512,
}

impl Level {
    /// Bytes of a vector.
    pub fn bytes(self) -> usize {
        match self {
            Level::Avx2 => 32,
            Level::Avx512 => 64,
        }
    }

    pub(super) fn registers(self) -> usize {
        match self {
            Level::Avx2 => 16,
            Level::Avx512 => 32,
        }
    }
}

/// General registers by their numbers.
pub(super) mod general {
    pub const RAX: u8 = 0;
    pub const RCX: u8 = 1;
    pub const RDX: u8 = 2;
    pub const RBX: u8 = 3;
    pub const RSP: u8 = 4;
    pub const RBP: u8 = 5;
    pub const RDI: u8 = 7;
}

/// The last operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rm {
    Vector(u8),
    /// `[base + rax]`
    Element(u8),
    /// `[base + offset]`
    At(u8, i32),
    /// One element at `[base + offset]` for all; EVEX only.
    Broadcast(u8, i32),
}

/// An operation as the tables of the manual have it.
#[derive(Clone, Copy)]
pub(super) struct Op {
    /// 0 none, 1 `66`, 2 `F3`, 3 `F2`.
    pub prefix: u8,
    /// 1 `0F`, 2 `0F38`, 3 `0F3A`.
    pub map: u8,
    pub code: u8,
    /// The W bit of the EVEX form, and that of the VEX form.
    pub wide: bool,
    pub vex_wide: bool,
}

#[derive(Default)]
pub(super) struct Bytes {
    pub code: Vec<u8>,
    /// Instructions of the EVEX form are for the lower half of the registers.
    pub half: bool,
}

impl Bytes {
    pub fn byte(&mut self, b: u8) {
        self.code.push(b);
    }

    pub fn bytes(&mut self, b: &[u8]) {
        self.code.extend_from_slice(b);
    }

    /// The ModRM byte and what follows it.
    fn modrm(&mut self, reg: u8, rm: Rm) {
        let reg = (reg & 7) << 3;
        match rm {
            Rm::Vector(v) => self.byte(0xc0 | reg | (v & 7)),
            Rm::Element(base) => {
                // Base and index; without an offset these bases would mean something else.
                let offset = base & 7 == 5;
                self.byte(if offset { 0x44 } else { 0x04 } | reg);
                self.byte(general::RAX << 3 | (base & 7));
                if offset {
                    self.byte(0);
                }
            }
            Rm::At(base, offset) | Rm::Broadcast(base, offset) => {
                self.byte(0x80 | reg | (base & 7));
                if base & 7 == general::RSP {
                    self.byte(0x24);
                }
                self.bytes(&offset.to_le_bytes());
            }
        }
    }

    /// `op reg, second, rm`; `mask` is the number of a mask register, 0 for none.
    pub fn vector(&mut self, level: Level, op: Op, reg: u8, second: u8, rm: Rm, mask: u8) {
        // Bits of the base or of a register as the last operand.
        let (b, x) = match rm {
            Rm::Vector(v) => (v >> 3 & 1, v >> 4 & 1),
            Rm::Element(base) | Rm::At(base, _) | Rm::Broadcast(base, _) => (base >> 3 & 1, 0),
        };
        match level {
            Level::Avx2 => {
                self.byte(0xc4);
                self.byte((!reg >> 3 & 1) << 7 | 1 << 6 | (b ^ 1) << 5 | op.map);
                self.byte(u8::from(op.vex_wide) << 7 | (!second & 15) << 3 | 1 << 2 | op.prefix);
            }
            Level::Avx512 => {
                let one = matches!(rm, Rm::Broadcast(..));
                self.byte(0x62);
                self.byte((!reg >> 3 & 1) << 7 | (x ^ 1) << 6 | (b ^ 1) << 5 | (!reg >> 4 & 1) << 4 | op.map);
                self.byte(u8::from(op.wide) << 7 | (!second & 15) << 3 | 1 << 2 | op.prefix);
                self.byte(if self.half { 1 } else { 2 } << 5 | u8::from(one) << 4 | (!second >> 4 & 1) << 3 | mask);
            }
        }
        self.byte(op.code);
        self.modrm(reg, rm);
    }

    /// `mov to, [from + offset]`
    pub fn load_address(&mut self, to: u8, from: u8, offset: i32) {
        self.byte(0x48 | (to >> 3 & 1) << 2 | (from >> 3 & 1));
        self.byte(0x8b);
        self.modrm(to, Rm::At(from, offset));
    }

    pub fn push(&mut self, r: u8) {
        if r > 7 {
            self.byte(0x41);
        }
        self.byte(0x50 | (r & 7));
    }

    pub fn pop(&mut self, r: u8) {
        if r > 7 {
            self.byte(0x41);
        }
        self.byte(0x58 | (r & 7));
    }
}
