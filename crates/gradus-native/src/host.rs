//! What the executor lends to native code.

use gradus_ir::{BinaryOp, UnaryOp};

/// The type of the plan's elements in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    F32,
    F64,
}

impl Float {
    pub(crate) fn bytes(self) -> i64 {
        match self {
            Float::F32 => 4,
            Float::F64 => 8,
        }
    }
}

/// Addresses of `extern "C"` functions of the executor, so that both tiers compute with the same ones. `T` is the element
/// type; `context` is what the caller of [`crate::Native::run`] gave; functions that can fail return nonzero for it.
#[derive(Clone, Copy)]
pub struct Host {
    pub float: Float,
    /// `fn(T) -> T` of an op.
    pub unary: fn(UnaryOp) -> usize,
    /// `fn(T, T) -> T` of an op.
    pub binary: fn(BinaryOp) -> usize,
    /// `fn(context, *const Instr) -> i64`: runs an instruction of the plan on the memory.
    pub instr: usize,
    /// `fn(context, *const Instr, index: f64, len: u64) -> i64`: notes an index outside its axis; nonzero.
    pub outside: usize,
    /// `fn(context) -> i64`: nonzero where the run must end.
    pub poll: usize,
    /// `fn(*const T, *mut T, u64)`: copies between places that may overlap.
    pub copy: usize,
    /// `fn(*mut T, u64)`: sets to zero.
    pub zero: usize,
}
