//! Sweeps: instructions that go through the same rows together, a block of rows at a time, so that what one makes is
//! still in cache when the next reads it, and a large matrix comes from memory once however often it is used.

use crate::plan::{Call, Fused, MatMul, Out, Place};
use gradus_ir::{Origin, ReduceOp};

/// Steps that run, one after the other, for each block of rows.
///
/// Chunks of rows may run side by side. What is summed over rows is summed for each chunk and the chunks are joined in
/// their order, and sizes alone decide where chunks and blocks begin: the number of threads changes no bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    pub rows: usize,
    /// Rows of a block.
    pub block: usize,
    /// Rows of a chunk, whole blocks but for the last.
    pub chunk: usize,
    /// The counter that holds the first row of the block at hand.
    pub row: u32,
    pub steps: Vec<Step>,
    /// Elements of a worker's own memory that a block uses.
    pub local: usize,
    /// Is the work worth more than one thread?
    pub parallel: bool,
}

impl Sweep {
    pub fn chunks(&self) -> usize {
        self.rows.div_ceil(self.chunk.max(1))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub task: Task,
    /// Memory for what is summed over the rows of each chunk; the result itself serves where there is one chunk.
    pub partials: Option<Place>,
    pub origin: Origin,
    pub name: &'static str,
}

/// What a step does for a block of rows. Operands that do not go along with the rows are read whole.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// `inner` elements of the iteration space belong to each row. A reduction is of parts of a row, or of everything.
    Fused { fused: Fused, inner: usize },
    /// Rows of the result from the same rows of `a`.
    Rows(MatMul),
    /// The products of a batch.
    Batch(MatMul),
    /// The columns of `a` and the rows of `b` go along with the rows: the result is a sum over them.
    Sum(MatMul),
    /// Each of `inner` columns is reduced over the rows.
    Columns { op: ReduceOp, inner: usize, from: Place, out: Place },
    /// A kernel on lines; equally many of them belong to each row.
    Lines(Call),
}

impl Step {
    /// Elements that one chunk sums over its rows.
    pub fn sums(&self) -> usize {
        match &self.task {
            Task::Fused { fused, .. } if fused.rows == 1 => {
                fused.outs.iter().filter(|o| matches!(o, Out::Reduce { .. })).count()
            }
            Task::Sum(m) => m.a.rows * m.b.cols,
            // The largest element and the sum of scaled exponentials.
            Task::Columns { op: ReduceOp::LogSumExp, inner, .. } => 2 * inner,
            Task::Columns { inner, .. } => *inner,
            Task::Fused { .. } | Task::Rows(_) | Task::Batch(_) | Task::Lines(_) => 0,
        }
    }
}
