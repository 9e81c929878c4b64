//! The op table: every operation the graph knows, its name and its arity.

use crate::array::Array;
use crate::dim::Dim;
use crate::graph::Graph;
use crate::ty::{DType, Shape};
use std::sync::Arc;

/// A float compared by its bits, so that ops can be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct F64(u64);

impl F64 {
    pub fn new(x: f64) -> F64 {
        F64(x.to_bits())
    }
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// Defines an enum of operations with the name each has in the text form.
macro_rules! named_ops {
    ($(#[$doc:meta])* $ty:ident { $($(#[$vdoc:meta])* $variant:ident = $name:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $ty { $($(#[$vdoc])* $variant),* }
        impl $ty {
            pub const ALL: &'static [$ty] = &[$($ty::$variant),*];
            pub fn name(self) -> &'static str {
                match self { $($ty::$variant => $name),* }
            }
            pub fn from_name(name: &str) -> Option<$ty> {
                match name { $($name => Some($ty::$variant),)* _ => None }
            }
        }
    };
}

named_ops! {
    /// Elementwise functions of one operand.
    UnaryOp {
        Neg = "neg", Abs = "abs",
        /// -1, 0 or 1; zero at zero, NaN at NaN.
        Sign = "sign", Square = "square", Recip = "recip", Sqrt = "sqrt",
        Exp = "exp", Expm1 = "expm1", Log = "log", Log1p = "log1p",
        Sin = "sin", Cos = "cos", Tan = "tan", Asin = "asin", Acos = "acos", Atan = "atan",
        Sinh = "sinh", Cosh = "cosh", Tanh = "tanh",
        Sigmoid = "sigmoid",
        /// `log(1 + exp(x))`, without overflow.
        Softplus = "softplus",
        Erf = "erf",
        /// `log |Gamma(x)|`; +inf at 0, -1, -2, …
        Lgamma = "lgamma",
        /// NaN at 0, -1, -2, …
        Digamma = "digamma",
        /// +inf at 0, -1, -2, …
        Trigamma = "trigamma",
        Floor = "floor", Ceil = "ceil",
        /// To the nearest integer, ties to the even one.
        Round = "round",
        Not = "not", IsNan = "is_nan", IsFinite = "is_finite",
        /// The number itself, as a real (of an int or bool).
        ToReal = "to_real",
        /// Truncated towards zero, as an int.
        ToInt = "to_int",
        /// The identity, with derivative zero.
        StopGrad = "stop_grad",
    }
}

named_ops! {
    /// Elementwise functions of two operands that broadcast.
    BinaryOp {
        Add = "add", Sub = "sub", Mul = "mul", Div = "div", Pow = "pow",
        /// `x - y * floor(x / y)`: the sign of the divisor.
        Mod = "mod",
        /// NaN where either operand is NaN (so is `Min`).
        Max = "max", Min = "min", Atan2 = "atan2", Hypot = "hypot",
        Lt = "lt", Le = "le", Gt = "gt", Ge = "ge", Eq = "eq", Ne = "ne",
        And = "and", Or = "or",
    }
}

named_ops! {
    /// Reductions over axes. The empty sum is 0, the empty product 1, the empty max (and logsumexp) -inf, the empty min +inf.
    /// A NaN among the elements makes the result NaN.
    ReduceOp {
        Sum = "sum", Prod = "prod", Max = "max", Min = "min",
        /// `log(sum(exp x))`, without overflow.
        LogSumExp = "logsumexp",
    }
}

named_ops! {
    /// Running reductions along an axis.
    Cumulative { Sum = "cumsum", Prod = "cumprod", Max = "cummax" }
}

impl BinaryOp {
    pub fn is_comparison(self) -> bool {
        matches!(self, BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Eq | BinaryOp::Ne)
    }
    pub fn is_commutative(self) -> bool {
        use BinaryOp::*;
        matches!(self, Add | Mul | Max | Min | Hypot | Eq | Ne | And | Or)
    }
}

/// How often a loop runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trip {
    /// Exactly so often.
    Count(Dim),
    /// While the condition region says true, and at most so often.
    While { limit: Dim },
}

impl Trip {
    pub fn bound(&self) -> &Dim {
        match self {
            Trip::Count(d) | Trip::While { limit: d } => d,
        }
    }
}

/// A loop with carried state.
///
/// Inputs:  `carries` initial values, then `scanned` arrays (one slice of their first axis per step), then captured values.
/// Body:    parameters `[step index (int), carries.., slices.., captures..]`, outputs `[carries.., collected..]`.
/// Cond:    parameters `[step index, carries.., captures..]`, one boolean scalar output; present exactly for `Trip::While`.
/// Outputs: `[steps done (int), carries.., collected stacked along a new first axis of length bound..]`;
///          rows of collected values past the last step are zero.
#[derive(Clone, Debug)]
pub struct Loop {
    pub trip: Trip,
    pub carries: usize,
    pub scanned: usize,
    pub collected: usize,
    pub cond: Option<Arc<Graph>>,
    pub body: Arc<Graph>,
    /// What the loop is, for reports: `fista`, `for`, `find`.
    pub label: Arc<str>,
}

/// A solution together with the equation that defines it, so that its derivative is that of the implicit function.
///
/// Inputs:   `values` arrays that solve the equation, then captured values. Outputs: the solution, unchanged.
/// Residual: parameters `[values.., captures..]`, one output for each value, of its shape; zero at the solution.
/// Forward:  parameters `[right-hand sides.., values.., captures..]`; outputs the u with `(d residual / d values) u = right-hand side`.
/// Adjoint:  the same with the transposed derivative.
///
/// Nothing is differentiated through how the solution was found. Derivatives of derivatives are right as well: a tangent is
/// itself the solution of an equation that is linear.
#[derive(Clone, Debug)]
pub struct Implicit {
    pub values: usize,
    pub residual: Arc<Graph>,
    pub forward: Arc<Graph>,
    pub adjoint: Arc<Graph>,
    /// What was solved, for reports: `argmin`, `find`, `fix`.
    pub label: Arc<str>,
}

/// One operation. Scalars, vectors and matrices use the same ops.
#[derive(Clone, Debug)]
pub enum Op {
    /// The k-th parameter of the region.
    Param(u32),
    /// A scalar constant.
    Const(F64, DType),
    /// A literal array, compared by identity.
    Literal(Arc<Array>),
    /// A dimension as an int scalar.
    DimValue(Dim),
    /// `0, 1, …, n - 1` as an int vector.
    Iota(Dim),
    Unary(UnaryOp),
    Binary(BinaryOp),
    /// `(condition, a, b)`: strict in value, masked in derivative.
    Select,
    /// Over the given axes (sorted, not empty unless the operand is a scalar), which vanish.
    Reduce(ReduceOp, Vec<usize>),
    /// Index of the first largest (or smallest) element along an axis, which vanishes; the first NaN counts as both.
    /// An axis of length zero is a run-time fault.
    ArgReduce { max: bool, axis: usize },
    /// Trailing axes aligned; missing axes are added, axes of length one stretch.
    Broadcast(Shape),
    Reshape(Shape),
    /// Axis `k` of the result is axis `perm[k]` of the operand.
    Transpose(Vec<usize>),
    Slice { axis: usize, start: Dim, len: Dim },
    /// Zeros before and after along an axis.
    Pad { axis: usize, before: Dim, after: Dim },
    Concat { axis: usize },
    Reverse { axis: usize },
    /// `(x, indices)`: the axis is replaced by the axes of the int array. An index outside is a run-time fault.
    Take { axis: usize },
    /// `(x, indices)`, of equal rank, equal lengths off the axis: gathers along the axis.
    TakeAlong { axis: usize },
    /// `(base, indices, updates)`: adds updates where `Take` with the same indices would have read.
    ScatterAdd { axis: usize },
    /// `(base, indices, updates)`: adds updates where `TakeAlong` would have read.
    ScatterAddAlong { axis: usize },
    /// `(base, indices, updates)`: replaces instead of adding; of equal indices the last wins.
    ScatterSet { axis: usize },
    Cumulative { op: Cumulative, axis: usize, reverse: bool },
    /// Along an axis; NaN sorts last.
    Sort { axis: usize, descending: bool },
    /// Stable.
    ArgSort { axis: usize, descending: bool },
    /// The k largest elements along the last axis, in descending order, and their indices; of equal ones the first, NaN last.
    TopK(Dim),
    /// `(v [.., n], w, lower, upper, total [..])`, the continuous quadratic knapsack problem along the last axis: `x [.., n]`, nearest to `v`
    /// with `lower <= x <= upper` and `sum(w x) = total`, and its multiplier `t [..]`, with `x = clip(v - t w, lower, upper)`. `w`, `lower`
    /// and `upper` have the shape of `v` or are scalars, `total` may be a scalar. Where t may be anything in an interval (no x is
    /// between its bounds), it is a point of that. NaN where there is no x, or an operand is NaN.
    Knapsack,
    /// `(y, w)` of equal shape, w > 0: along the last axis the nondecreasing x with the least `sum(w (x - y)^2)`.
    /// All NaN where a y or a w is NaN or a w is not positive.
    Isotonic,
    /// Contracts the last axis of the left with the second-to-last (or only) axis of the right; equal leading axes are batches.
    MatMul,
    /// `(starts [m + 1], columns [k], values [k], x)`: the product of an m-row sparse matrix with a vector or matrix. The entries of row r
    /// are those from `starts[r]` to `starts[r + 1]`; of equal places they add. With `transposed`, the product of its transpose. `rows` is
    /// the length of the result. An index outside is a run-time fault.
    SparseMatMul { transposed: bool, rows: Dim },
    /// `(re, im)` along the last axis: `sum_j x[j] exp(-2 pi i j k / n)`, unscaled; with `inverse` the other sign.
    Fft { inverse: bool },
    /// The diagonal of a square matrix.
    Diagonal,
    /// The diagonal matrix of a vector.
    DiagMatrix,
    /// The lower factor L of a symmetric positive definite matrix, of which only the lower triangle is read.
    /// Where it is not positive definite (a pivot <= 0 or NaN), all of the lower triangle is NaN. Above the diagonal: zero.
    Cholesky,
    /// `(T, b)`: the solution of T x = b or T' x = b; b a vector or matrix.
    TriangularSolve { lower: bool, transposed: bool },
    /// `(A, b)`: the solution of A x = b or A' x = b by LU with partial pivoting.
    /// Where a pivot is exactly zero, every element of the result is +inf.
    Solve { transposed: bool },
    /// By LU with partial pivoting; zero where a pivot is exactly zero.
    Det,
    /// The sign (-1, 0 or 1) of the determinant and the log of its size, by LU; 0 and -inf where a pivot is exactly zero.
    SlogDet,
    /// Ascending eigenvalues and eigenvectors (columns) of a symmetric matrix (its lower triangle).
    /// In each eigenvector the component of largest magnitude (the first of equals) is positive.
    Eigh,
    /// `u [m, k], s [k] descending, v [n, k]` with k = min(m, n) and A = u diag(s) v'.
    /// In each column of v the component of largest magnitude (the first of equals) is positive; where s is zero, the columns of u
    /// complete an orthonormal set.
    Svd,
    /// Thin `q [m, n], r [n, n]`; m >= n; the diagonal of r is >= 0.
    Qr,
    /// A key (two 32-bit words, the low one of the Philox key first) from a seed.
    ///
    /// All randomness is Philox 4x32-10: `philox(counter = (c0, c1, c2, c3), key = (k0, k1)) -> (w0, w1, w2, w3)`, with the
    /// multipliers D2511F53 and CD9E8D57 and the Weyl constants 9E3779B9 and BB67AE85. A 64-bit number `x` is split
    /// into `x_lo = x mod 2^32` and `x_hi = x >> 32`; a number of the graph becomes one by truncation to i64, reread as u64.
    ///
    /// `Key(seed)` = the first two words of `philox((seed_lo, seed_hi, 0x53454544, 0), (0, 0))`.
    Key,
    /// `(key, i)`, i an int: the first two words of `philox((i_lo, i_hi, 0x464F4C44, 0), key)`.
    KeyFold,
    /// Uniform on [0, 1). Block j is `philox((j_lo, j_hi, 1, 0), key)`; its words give the elements `2j` and `2j + 1` (row-major):
    /// `(((w0 << 32) | w1) >> 11) * 2^-53` and the same of `w2, w3`. An odd last element uses the first of its block.
    Uniform(Shape),
    /// Standard normal. Block j is `philox((j_lo, j_hi, 2, 0), key)`; its words give u1, u2 as for `Uniform`, and with
    /// `r = sqrt(-2 log(1 - u1))` the elements `2j` and `2j + 1` are `r cos(2 pi u2)` and `r sin(2 pi u2)`.
    Normal(Shape),
    /// A random permutation of 0..n: start from `a[i] = i`; for i = n - 1 down to 1 draw j uniformly from 0..=i and swap
    /// `a[i]`, `a[j]`. The draws read one stream of 64-bit words: block b, `philox((b_lo, b_hi, 3, 0), key)`, gives
    /// `(w0 << 32) | w1`, then `(w2 << 32) | w3`. With m = i + 1, words `>= floor(2^64 / m) * m` are skipped; else `j = word mod m`.
    Permutation(Dim),
    Loop(Box<Loop>),
    /// `(condition, captures..)`: runs one of two regions over the captures.
    Cond { then: Arc<Graph>, other: Arc<Graph> },
    /// The k-th output of an op with several.
    Get(u32),
    Implicit(Box<Implicit>),
    /// The identity at a point where the rest of the expression is stationary: the first derivative passes it by as zero, and
    /// reads the operand itself, so that later derivatives are complete.
    Stationary,
    /// `(value, ok)`, `ok` one bool: the value where it holds, NaN where not. The text says what did not hold.
    Check(Arc<str>),
    /// Where iterations start: what the `Store` of that name put down in the step before of the loop around it, else the operand.
    /// Its derivative is zero: how a solution is found does not count.
    Recall(Arc<str>),
    /// The identity; puts its operand down for the `Recall` of that name and type.
    Store(Arc<str>),
    /// `(value, code, steps, residual)`: the value; how its solve ended is counted under that name.
    Tally(Arc<str>),
    /// The identity; asking for its derivative is an error that names the construct.
    NoGrad(Arc<str>),
    /// `(anything)`: seconds since the run began; depends on its operand so that it is read again each step.
    Clock,
}

impl Op {
    /// The name in the text form.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Param(_) => "param",
            Op::Const(..) => "const",
            Op::Literal(_) => "literal",
            Op::DimValue(_) => "dim",
            Op::Iota(_) => "iota",
            Op::Unary(u) => u.name(),
            Op::Binary(b) => b.name(),
            Op::Select => "select",
            Op::Reduce(r, _) => match r {
                ReduceOp::Sum => "reduce_sum",
                ReduceOp::Prod => "reduce_prod",
                ReduceOp::Max => "reduce_max",
                ReduceOp::Min => "reduce_min",
                ReduceOp::LogSumExp => "reduce_logsumexp",
            },
            Op::ArgReduce { max: true, .. } => "argmax",
            Op::ArgReduce { max: false, .. } => "argmin",
            Op::Broadcast(_) => "broadcast",
            Op::Reshape(_) => "reshape",
            Op::Transpose(_) => "transpose",
            Op::Slice { .. } => "slice",
            Op::Pad { .. } => "pad",
            Op::Concat { .. } => "concat",
            Op::Reverse { .. } => "reverse",
            Op::Take { .. } => "take",
            Op::TakeAlong { .. } => "take_along",
            Op::ScatterAdd { .. } => "scatter_add",
            Op::ScatterAddAlong { .. } => "scatter_add_along",
            Op::ScatterSet { .. } => "scatter_set",
            Op::Cumulative { op, .. } => op.name(),
            Op::Sort { .. } => "sort",
            Op::ArgSort { .. } => "argsort",
            Op::TopK(_) => "top_k",
            Op::Knapsack => "knapsack",
            Op::Isotonic => "isotonic",
            Op::MatMul => "matmul",
            Op::SparseMatMul { .. } => "sparse_matmul",
            Op::Fft { .. } => "fft",
            Op::SlogDet => "slogdet",
            Op::Diagonal => "diagonal",
            Op::DiagMatrix => "diag_matrix",
            Op::Cholesky => "cholesky",
            Op::TriangularSolve { .. } => "triangular_solve",
            Op::Solve { .. } => "solve",
            Op::Det => "det",
            Op::Eigh => "eigh",
            Op::Svd => "svd",
            Op::Qr => "qr",
            Op::Key => "key",
            Op::KeyFold => "key_fold",
            Op::Uniform(_) => "uniform",
            Op::Normal(_) => "normal",
            Op::Permutation(_) => "permutation",
            Op::Loop(_) => "loop",
            Op::Cond { .. } => "cond",
            Op::Implicit(_) => "implicit",
            Op::Stationary => "stationary",
            Op::Check(_) => "check",
            Op::Get(_) => "get",
            Op::Recall(_) => "recall",
            Op::Store(_) => "store",
            Op::Tally(_) => "tally",
            Op::NoGrad(_) => "no_grad",
            Op::Clock => "clock",
        }
    }

    /// The op with other lengths in place of named ones; regions stay as they are.
    pub fn with_dims(&self, f: &dyn Fn(&str) -> Option<Dim>) -> Op {
        let d = |d: &Dim| d.substitute(f);
        match self {
            Op::DimValue(n) => Op::DimValue(d(n)),
            Op::Iota(n) => Op::Iota(d(n)),
            Op::Permutation(n) => Op::Permutation(d(n)),
            Op::Broadcast(s) => Op::Broadcast(s.substitute(f)),
            Op::Reshape(s) => Op::Reshape(s.substitute(f)),
            Op::Uniform(s) => Op::Uniform(s.substitute(f)),
            Op::Normal(s) => Op::Normal(s.substitute(f)),
            Op::Slice { axis, start, len } => Op::Slice { axis: *axis, start: d(start), len: d(len) },
            Op::Pad { axis, before, after } => Op::Pad { axis: *axis, before: d(before), after: d(after) },
            other => other.clone(),
        }
    }

    /// Regions, in the order cond, body / then, other / residual, forward, adjoint.
    pub fn regions(&self) -> Vec<&Arc<Graph>> {
        match self {
            Op::Loop(l) => l.cond.iter().chain(std::iter::once(&l.body)).collect(),
            Op::Cond { then, other } => vec![then, other],
            Op::Implicit(i) => vec![&i.residual, &i.forward, &i.adjoint],
            _ => Vec::new(),
        }
    }

    /// May two nodes with this op and equal inputs be one? Regions are compared by identity.
    pub fn is_pure(&self) -> bool {
        !matches!(self, Op::Clock)
    }

    /// Elementwise over broadcast operands.
    pub fn is_elementwise(&self) -> bool {
        matches!(self, Op::Unary(_) | Op::Binary(_) | Op::Select | Op::NoGrad(_))
    }
}

fn same(a: &Arc<Graph>, b: &Arc<Graph>) -> bool {
    Arc::ptr_eq(a, b)
}

/// Equality decides sharing: attributes by value, regions and literals by identity.
impl PartialEq for Op {
    fn eq(&self, other: &Op) -> bool {
        use Op::*;
        match (self, other) {
            (Param(a), Param(b)) | (Get(a), Get(b)) => a == b,
            (Const(a, t), Const(b, u)) => a == b && t == u,
            (Literal(a), Literal(b)) => Arc::ptr_eq(a, b),
            (DimValue(a), DimValue(b)) | (Iota(a), Iota(b)) | (Permutation(a), Permutation(b)) | (TopK(a), TopK(b)) => a == b,
            (Unary(a), Unary(b)) => a == b,
            (Binary(a), Binary(b)) => a == b,
            (Reduce(a, x), Reduce(b, y)) => a == b && x == y,
            (ArgReduce { max: a, axis: x }, ArgReduce { max: b, axis: y }) => a == b && x == y,
            (Broadcast(a), Broadcast(b)) | (Reshape(a), Reshape(b)) => a == b,
            (Uniform(a), Uniform(b)) | (Normal(a), Normal(b)) => a == b,
            (Transpose(a), Transpose(b)) => a == b,
            (Slice { axis: a, start: s, len: l }, Slice { axis: b, start: t, len: m }) => a == b && s == t && l == m,
            (Pad { axis: a, before: s, after: l }, Pad { axis: b, before: t, after: m }) => a == b && s == t && l == m,
            (Concat { axis: a }, Concat { axis: b })
            | (Reverse { axis: a }, Reverse { axis: b })
            | (Take { axis: a }, Take { axis: b })
            | (TakeAlong { axis: a }, TakeAlong { axis: b })
            | (ScatterAdd { axis: a }, ScatterAdd { axis: b })
            | (ScatterAddAlong { axis: a }, ScatterAddAlong { axis: b })
            | (ScatterSet { axis: a }, ScatterSet { axis: b }) => a == b,
            (Cumulative { op: a, axis: x, reverse: r }, Cumulative { op: b, axis: y, reverse: s }) => {
                a == b && x == y && r == s
            }
            (Sort { axis: a, descending: x }, Sort { axis: b, descending: y })
            | (ArgSort { axis: a, descending: x }, ArgSort { axis: b, descending: y }) => a == b && x == y,
            (TriangularSolve { lower: a, transposed: x }, TriangularSolve { lower: b, transposed: y }) => {
                a == b && x == y
            }
            (Solve { transposed: a }, Solve { transposed: b }) => a == b,
            (NoGrad(a), NoGrad(b)) | (Recall(a), Recall(b)) | (Store(a), Store(b)) | (Tally(a), Tally(b)) => a == b,
            (SparseMatMul { transposed: a, rows: m }, SparseMatMul { transposed: b, rows: n }) => a == b && m == n,
            (Fft { inverse: a }, Fft { inverse: b }) => a == b,
            (Loop(a), Loop(b)) => {
                same(&a.body, &b.body)
                    && a.trip == b.trip
                    && a.carries == b.carries
                    && a.scanned == b.scanned
                    && match (&a.cond, &b.cond) {
                        (Some(x), Some(y)) => same(x, y),
                        (None, None) => true,
                        _ => false,
                    }
            }
            (Cond { then: a, other: b }, Cond { then: c, other: d }) => same(a, c) && same(b, d),
            (Implicit(a), Implicit(b)) => a.values == b.values && same(&a.residual, &b.residual) && same(&a.forward, &b.forward),
            (Check(a), Check(b)) => a == b,
            (Clock, Clock) => false,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for Op {}

impl std::hash::Hash for Op {
    fn hash<H: std::hash::Hasher>(&self, h: &mut H) {
        use Op::*;
        std::mem::discriminant(self).hash(h);
        match self {
            Param(a) | Get(a) => a.hash(h),
            Const(a, t) => (a, t).hash(h),
            Literal(a) => (Arc::as_ptr(a) as usize).hash(h),
            DimValue(a) | Iota(a) | Permutation(a) | TopK(a) => a.hash(h),
            Unary(a) => a.hash(h),
            Binary(a) => a.hash(h),
            Reduce(a, x) => (a, x).hash(h),
            ArgReduce { max, axis } => (max, axis).hash(h),
            Broadcast(a) | Reshape(a) | Uniform(a) | Normal(a) => a.hash(h),
            Transpose(a) => a.hash(h),
            Slice { axis, start, len } => (axis, start, len).hash(h),
            Pad { axis, before, after } => (axis, before, after).hash(h),
            Cumulative { op, axis, reverse } => (op, axis, reverse).hash(h),
            Sort { axis, descending } | ArgSort { axis, descending } => (axis, descending).hash(h),
            TriangularSolve { lower, transposed } => (lower, transposed).hash(h),
            SparseMatMul { transposed, rows } => (transposed, rows).hash(h),
            Fft { inverse } => inverse.hash(h),
            Loop(l) => (Arc::as_ptr(&l.body) as usize).hash(h),
            Cond { then, .. } => (Arc::as_ptr(then) as usize).hash(h),
            Implicit(i) => (Arc::as_ptr(&i.residual) as usize).hash(h),
            _ => {}
        }
    }
}
