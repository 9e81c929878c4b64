//! The plan: static data that an executor follows. Everything here is decided before the run.

use crate::sweep::Sweep;
use crate::whole::Whole;
use gradus_ir::{Array, BinaryOp, Cumulative, Origin, Precision, ReduceOp, Ty, UnaryOp};
use smallvec::SmallVec;
use std::sync::Arc;

/// Elements that one block of a fused instruction covers: its virtual registers stay in the first-level cache.
pub const BLOCK: usize = 256;

/// Where data lies: `base + offset + counters[counter] * stride` in elements.
///
/// Base 0 is the arena; the bases after it are the inputs, then the literals. Counter 0 is always zero; every loop has
/// two more (its step, and the parity of its step), so that rows of scanned and collected arrays and double-buffered
/// carries need no copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub base: u32,
    pub counter: u32,
    pub offset: usize,
    pub stride: isize,
}

impl Place {
    pub const ARENA: u32 = 0;
}

/// A scalar that an instruction needs: known, or in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    Imm(f64),
    At(Place),
}

/// How the elements of an iteration space are found in memory.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// Element `i` is at `i`.
    Dense,
    /// Every element is the same one.
    Splat,
    /// Collapsed axes, outermost first: length and stride.
    Strided(SmallVec<[(usize, isize); 4]>),
}

impl Pattern {
    /// Where element `i` of the iteration space is, from the place.
    pub fn offset(&self, mut i: usize) -> isize {
        match self {
            Pattern::Dense => i as isize,
            Pattern::Splat => 0,
            Pattern::Strided(axes) => {
                let mut at = 0;
                for &(d, s) in axes.iter().rev() {
                    at += (i % d) as isize * s;
                    i /= d;
                }
                at
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    pub place: Place,
    pub pattern: Pattern,
}

/// An operand of a lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Src {
    Reg(u16),
    In(u16),
    Imm(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneOp {
    Unary(UnaryOp),
    Binary(BinaryOp),
    Select,
    /// `a * b + c`, rounded twice like the two operations it replaces.
    MulAdd,
    /// `a * b - c`
    MulSub,
    /// `c - a * b`
    SubMul,
    /// `a * b * c`, from the left; like all that follow it rounds as often as the operations it replaces.
    MulMul,
    /// `a * b + c * d`
    MulAddMul,
    /// `a * b - c * d`
    MulSubMul,
    /// `(a + b) * c`
    AddThenMul,
    /// `(a - b) * c`
    SubThenMul,
    /// `a / (sqrt(b) + c)`
    DivRoot,
}

/// One step of a fused program: `dst = op(a, b, c, d)` over a block; unused operands are `Imm(0)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lane {
    pub op: LaneOp,
    pub dst: u16,
    pub a: Src,
    pub b: Src,
    pub c: Src,
    pub d: Src,
}

/// What a fused program leaves behind.
#[derive(Clone, Debug, PartialEq)]
pub enum Out {
    /// `direct`: no input shares memory with the target, so the last lane may write to it.
    Store { src: Src, access: Access, direct: bool },
    /// The reduction of each run of `segment` elements; the results are dense.
    Reduce { op: ReduceOp, src: Src, place: Place },
}

/// An elementwise program over `count` elements, run in blocks.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    pub dims: Vec<usize>,
    pub count: usize,
    pub inputs: Vec<Access>,
    pub program: Vec<Lane>,
    pub registers: u16,
    pub outs: Vec<Out>,
    /// Length of the runs that reductions cover (`count` for full ones), and how many there are; both 0 where nothing
    /// is reduced.
    pub segment: usize,
    pub rows: usize,
    /// Its number among the fused instructions of the plan.
    pub number: u32,
}

/// One operand of a matrix product: `rows x cols` with element strides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Matrix {
    pub place: Place,
    pub rows: usize,
    pub cols: usize,
    pub row_stride: isize,
    pub col_stride: isize,
    /// Distance between the matrices of a batch; 0 where one serves all.
    pub batch_stride: isize,
}

/// `out = a @ b` for each of `batch`; `out` is dense row-major.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MatMul {
    pub batch: usize,
    pub a: Matrix,
    pub b: Matrix,
    pub out: Place,
}

/// A kernel on dense row-major operands. Where an axis matters the operand is seen as `[outer, n, inner]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Func {
    ReduceAxis { op: ReduceOp, outer: usize, n: usize, inner: usize },
    ArgReduce { max: bool, outer: usize, n: usize, inner: usize },
    /// `(x, indices)`
    Take { outer: usize, n: usize, inner: usize, picks: usize },
    TakeAlong { outer: usize, n: usize, inner: usize, picks: usize },
    /// `(base, indices, updates)`; in place where base and output coincide.
    ScatterAdd { outer: usize, n: usize, inner: usize, picks: usize },
    ScatterAddAlong { outer: usize, n: usize, inner: usize, picks: usize },
    ScatterSet { outer: usize, n: usize, inner: usize, picks: usize },
    Cumulative { op: Cumulative, reverse: bool, outer: usize, n: usize, inner: usize },
    Sort { descending: bool, outer: usize, n: usize, inner: usize },
    ArgSort { descending: bool, outer: usize, n: usize, inner: usize },
    /// Values and indices.
    TopK { outer: usize, n: usize, k: usize },
    /// `(v, w, lower, upper, total)` to x and t: `w` to `upper` as long as `v` or single numbers, `total` a number for each line or for all.
    Knapsack { outer: usize, n: usize },
    /// `(y, w)`
    Isotonic { outer: usize, n: usize },
    DiagMatrix { n: usize },
    Cholesky { n: usize },
    TriangularSolve { lower: bool, transposed: bool, n: usize, cols: usize },
    Solve { transposed: bool, n: usize, cols: usize },
    Det { n: usize },
    /// Sign and logarithm of the size.
    SlogDet { n: usize },
    /// `(starts, columns, values, x)`, x of so many columns.
    SparseMatMul { transposed: bool, width: usize },
    /// `(re, im, table)` to the same: `outer` lines of length n; the table holds cos and sin of `2 pi k / n`.
    Fft { inverse: bool, outer: usize, n: usize },
    Eigh { n: usize },
    Svd { m: usize, n: usize },
    Qr { m: usize, n: usize },
    Key,
    KeyFold,
    Uniform { count: usize },
    Normal { count: usize },
    Permutation { n: usize },
    Clock,
}

/// A dense operand or result of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    pub place: Place,
    pub dims: SmallVec<[usize; 3]>,
}

impl Tensor {
    pub fn count(&self) -> usize {
        self.dims.iter().product()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub func: Func,
    pub inputs: SmallVec<[Tensor; 3]>,
    pub outputs: SmallVec<[Tensor; 1]>,
    /// Scratch memory in the arena: place and length.
    pub work: Option<(Place, usize)>,
}

/// A carry in two buffers that change roles every step. After the loop the value is in `a`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Swap {
    /// The arena, or the memory of a worker.
    pub base: u32,
    pub a: usize,
    pub b: usize,
    pub len: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LoopPlan {
    pub label: Arc<str>,
    pub bound: usize,
    /// Counters of this loop.
    pub step: u32,
    pub parity: u32,
    /// Where the step is stored as a number, if the body reads it.
    pub index: Option<Place>,
    /// Run before each step; the loop ends where the scalar is zero.
    pub cond: Option<(Block, Scalar)>,
    pub body: Block,
    pub swaps: Vec<Swap>,
    /// Copied at the end of each step: from, to, length.
    pub copies: Vec<(Place, Place, usize)>,
    /// Collected arrays: the rows after the last step are set to zero. Place of row 0, row length.
    pub collected: Vec<(Place, usize)>,
    /// Where the number of steps done is stored.
    pub done: Option<Place>,
    /// The clock is read once in so many steps.
    pub check_every: u32,
    /// Where no step needs another one's results and there is enough work: steps of a chunk. Chunks run side by side, each
    /// with temporaries of its own in a worker's memory.
    pub chunk: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CondPlan {
    pub test: Scalar,
    pub then: Block,
    pub other: Block,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Fused(Fused),
    MatMul(MatMul),
    Call(Call),
    Sweep(Box<Sweep>),
    Loop(Box<LoopPlan>),
    Cond(Box<CondPlan>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Instr {
    pub kind: Kind,
    pub origin: Origin,
    /// The op of the graph that this comes from (the last one of a fused group).
    pub name: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub code: Vec<Instr>,
}

/// One result of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    pub value: Scalar,
    pub dims: Vec<usize>,
    pub ty: Ty,
    pub whole: Whole,
}

/// A buffer of the arena, for the text form.
#[derive(Clone, Debug, PartialEq)]
pub struct Buffer {
    pub offset: usize,
    pub len: usize,
    /// First and last instruction (in text order) that touch it.
    pub from: usize,
    pub to: usize,
}

/// Instructions, memory layout and constants for one graph with known shapes. Made only by [`crate::plan`].
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub(crate) params: Vec<Ty>,
    pub(crate) arena: usize,
    pub(crate) constants: Vec<(usize, f64)>,
    pub(crate) literals: Vec<Arc<Array>>,
    pub(crate) counters: usize,
    pub(crate) body: Block,
    pub(crate) outputs: Vec<Output>,
    pub(crate) buffers: Vec<Buffer>,
    pub(crate) registers: usize,
    pub(crate) local: usize,
    pub(crate) parallel: bool,
    pub(crate) precision: Precision,
    pub(crate) whole: Vec<Whole>,
}

impl Plan {
    /// The float type of every buffer.
    pub fn precision(&self) -> Precision {
        self.precision
    }
    pub fn params(&self) -> &[Ty] {
        &self.params
    }
    /// What the whole numbers of each parameter are.
    pub fn whole(&self) -> &[Whole] {
        &self.whole
    }
    /// Elements of the arena.
    pub fn arena_len(&self) -> usize {
        self.arena
    }
    /// Values stored in the arena before the first run: offset and value.
    pub fn constants(&self) -> &[(usize, f64)] {
        &self.constants
    }
    pub fn literals(&self) -> &[Arc<Array>] {
        &self.literals
    }
    pub fn counters(&self) -> usize {
        self.counters
    }
    pub fn body(&self) -> &Block {
        &self.body
    }
    pub fn outputs(&self) -> &[Output] {
        &self.outputs
    }
    pub fn buffers(&self) -> &[Buffer] {
        &self.buffers
    }
    /// The largest number of block registers that an instruction uses.
    pub fn registers(&self) -> usize {
        self.registers
    }
    /// Elements of memory that each worker has for itself.
    pub fn local_len(&self) -> usize {
        self.local
    }
    /// The base of that memory: the one after all literals.
    pub fn local_base(&self) -> u32 {
        (1 + self.params.len() + self.literals.len()) as u32
    }
    /// Does any instruction have enough work for more than one thread?
    pub fn is_parallel(&self) -> bool {
        self.parallel
    }
    /// Bytes of the arena, the literals and one worker's memory: what a run holds besides its inputs, outputs and the workspace of
    /// factorizations.
    pub fn peak_bytes(&self) -> usize {
        let literals: usize = self.literals.iter().map(|l| l.len()).sum();
        (self.arena.saturating_add(self.local)).saturating_mul(self.precision.bytes()).saturating_add(literals.saturating_mul(8))
    }
    /// Instructions, those of nested blocks included.
    pub fn instructions(&self) -> usize {
        self.body.count()
    }
    /// For each loop in text order: its label, and the kernels that one step runs (nested loops counted as one).
    pub fn kernels_per_step(&self) -> Vec<(Arc<str>, usize)> {
        let mut out = Vec::new();
        self.body.each_loop(&mut |l| {
            out.push((l.label.clone(), l.body.code.len() + l.cond.as_ref().map_or(0, |(b, _)| b.code.len())));
        });
        out
    }
}

impl Block {
    pub fn count(&self) -> usize {
        self.code
            .iter()
            .map(|i| match &i.kind {
                Kind::Loop(l) => 1 + l.body.count() + l.cond.as_ref().map_or(0, |(b, _)| b.count()),
                Kind::Cond(c) => 1 + c.then.count() + c.other.count(),
                _ => 1,
            })
            .sum()
    }

    fn each_loop(&self, f: &mut dyn FnMut(&LoopPlan)) {
        for i in &self.code {
            match &i.kind {
                Kind::Loop(l) => {
                    f(l);
                    if let Some((b, _)) = &l.cond {
                        b.each_loop(f);
                    }
                    l.body.each_loop(f);
                }
                Kind::Cond(c) => {
                    c.then.each_loop(f);
                    c.other.each_loop(f);
                }
                _ => {}
            }
        }
    }
}
