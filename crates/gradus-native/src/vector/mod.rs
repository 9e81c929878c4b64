//! Vector code for elementwise programs: one loop in which values stay in registers from operation to operation.
//!
//! A small assembler of our own, since Cranelift has vectors of 128 bits only. The operations round as those of the block
//! kernels do, so that both give the same bits.

mod assign;
mod encode;
mod memory;
mod value;

use crate::host::Float;
use memory::Code;
use std::ffi::c_void;

pub use assign::Join;
pub use encode::Level;
pub use value::{Bits, Mask, Operand, Program, Value};

type Function = unsafe extern "sysv64" fn(*mut *mut c_void, usize, *const u64);

impl Level {
    /// The widest vectors of this machine; `None` where no code can be made for it.
    pub fn detect() -> Option<Level> {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") {
                return Some(Level::Avx512);
            }
            if is_x86_feature_detected!("avx2") {
                return Some(Level::Avx2);
            }
        }
        None
    }
}

/// Functions that become one piece of code.
pub struct Assembler {
    level: Level,
    bytes: encode::Bytes,
    pool: assign::Pool,
    functions: Vec<usize>,
}

impl Assembler {
    pub fn new(level: Level) -> Assembler {
        Assembler { level, bytes: encode::Bytes::default(), pool: assign::Pool::default(), functions: Vec::new() }
    }

    /// A function that stores values at addresses of the table; the number by which it is run. All stores come after all
    /// loads of the same elements. `None` where the program has too many values at once.
    pub fn function(&mut self, p: &Program, stores: &[(u16, Value<'_>)]) -> Option<usize> {
        let stores: Vec<_> = stores.iter().map(|(t, v)| (*t, v.id)).collect();
        let at = assign::function(&mut self.bytes, &mut self.pool, self.level, p, &stores, &[])?;
        self.functions.push(at);
        Some(self.functions.len() - 1)
    }

    /// The same with reductions of values in blocks of 256 elements: of each block eight results side by side, of every eighth
    /// element, go to an address of the table, one block's behind the other's; the table is left changed. Each begins with
    /// a number. `None` also where vectors have fewer than eight elements.
    pub fn reducing(
        &mut self,
        p: &Program,
        stores: &[(u16, Value<'_>)],
        folds: &[(u16, Join, Value<'_>, Value<'_>)],
    ) -> Option<usize> {
        let size = match p.float {
            Float::F32 => 4,
            Float::F64 => 8,
        };
        if self.level.bytes() / size < assign::SIDE_BY_SIDE {
            return None;
        }
        let stores: Vec<_> = stores.iter().map(|(t, v)| (*t, v.id)).collect();
        let fold = |(table, op, value, start): &(u16, Join, Value<'_>, Value<'_>)| {
            Some(assign::Fold { table: *table, op: *op, id: value.id, start: start.bits()? })
        };
        let folds = folds.iter().map(fold).collect::<Option<Vec<_>>>()?;
        let at = assign::function(&mut self.bytes, &mut self.pool, self.level, p, &stores, &folds)?;
        self.functions.push(at);
        Some(self.functions.len() - 1)
    }

    /// `None` where the system gives no memory for code.
    pub fn finish(self) -> Option<Vectors> {
        let lanes = |bits: u64| match self.level {
            // Whole vectors; the halves of a number of single precision are alike.
            Level::Avx2 => vec![bits; 4],
            Level::Avx512 => vec![bits],
        };
        let constants = self.pool.values.iter().flat_map(|b| lanes(*b)).collect();
        Some(Vectors { level: self.level, code: Code::new(&self.bytes.code)?, constants, functions: self.functions })
    }
}

/// Finished vector code.
pub struct Vectors {
    level: Level,
    code: Code,
    constants: Vec<u64>,
    functions: Vec<usize>,
}

impl std::fmt::Debug for Vectors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vectors({:?}, {} bytes)", self.level, self.code.len())
    }
}

impl Vectors {
    /// Bytes of a vector.
    pub fn width(&self) -> usize {
        self.level.bytes()
    }

    /// Runs a function for `bytes` of each array.
    ///
    /// # Safety
    /// `bytes` is a multiple of the width and not zero. The addresses of the table that the function uses are those of so
    /// many bytes, or of single numbers where it takes these. An array that is stored to may be one that is loaded from;
    /// otherwise it overlaps none.
    pub unsafe fn run(&self, function: usize, table: *mut *mut c_void, bytes: usize) {
        let Some(at) = self.functions.get(function) else { return };
        // SAFETY: the code was made with this signature; the rest is the caller's.
        unsafe {
            let f = std::mem::transmute::<*const u8, Function>(self.code.at(*at));
            f(table, bytes, self.constants.as_ptr());
        }
    }
}
