//! Factorizations and solves. Small matrices by own loops, larger ones through faer; no call allocates.
//!
//! Arrays are row-major; faer prefers columns. A row-major matrix is its transpose by columns, so factorizations are made
//! of the transpose where that is as good, and of a copy by columns elsewhere.

use dyn_stack::{MemBuffer, MemStack, StackReq};
use crate::real::Real;
use crate::simd::Kernels;
use faer::dyn_stack;
use faer::linalg::cholesky::llt::factor as llt;
use faer::linalg::evd;
use faer::linalg::householder;
use faer::linalg::lu::partial_pivoting as lu;
use faer::linalg::qr::no_pivoting::factor as qr_factor;
use faer::linalg::svd as svd_mod;
use faer::{Conj, MatMut, MatRef, Par};
use gradus_plan::Func;

/// Up to here own loops are faster than a library call.
const SMALL: usize = 12;

/// Memory for factorizations, large enough for every call of a plan.
pub(crate) struct Workspace<T> {
    stack: MemBuffer,
    pivots: Vec<usize>,
    inverse: Vec<usize>,
    factors: Vec<T>,
}

/// What one call needs: scratch memory, pivots, reflector factors.
struct Need {
    stack: StackReq,
    pivots: usize,
    factors: usize,
}

fn need<T: Real>(f: &Func) -> Need {
    let none = Need { stack: StackReq::EMPTY, pivots: 0, factors: 0 };
    match *f {
        Func::Cholesky { n } if n > SMALL => {
            Need { stack: llt::cholesky_in_place_scratch::<T>(n, Par::Seq, Default::default()), ..none }
        }
        Func::Solve { n, cols, .. } if n > SMALL => {
            let a = lu::factor::lu_in_place_scratch::<usize, T>(n, n, Par::Seq, Default::default());
            let b = lu::solve::solve_in_place_scratch::<usize, T>(n, cols, Par::Seq);
            let c = lu::solve::solve_transpose_in_place_scratch::<usize, T>(n, cols, Par::Seq);
            Need { stack: a.or(b).or(c), pivots: n, ..none }
        }
        Func::Det { n } if n > SMALL => {
            Need { stack: lu::factor::lu_in_place_scratch::<usize, T>(n, n, Par::Seq, Default::default()), pivots: n, ..none }
        }
        Func::Eigh { n } if n > 0 => Need {
            stack: evd::self_adjoint_evd_scratch::<T>(n, evd::ComputeEigenvectors::Yes, Par::Seq, Default::default()),
            ..none
        },
        Func::Svd { m, n } if m.min(n) > 0 => {
            let thin = svd_mod::ComputeSvdVectors::Thin;
            Need { stack: svd_mod::svd_scratch::<T>(n, m, thin, thin, Par::Seq, Default::default()), ..none }
        }
        Func::Qr { m, n } if n > 0 => {
            let block = qr_factor::recommended_block_size::<T>(m, n);
            let a = qr_factor::qr_in_place_scratch::<T>(m, n, block, Par::Seq, Default::default());
            let b = householder::apply_block_householder_sequence_on_the_left_in_place_scratch::<T>(m, block, n);
            Need { stack: a.or(b), pivots: 0, factors: block * m.min(n) }
        }
        _ => none,
    }
}

/// What the dearest of some calls need.
fn need_of_all<'a, T: Real>(calls: impl Iterator<Item = &'a Func>) -> Need {
    let mut all = Need { stack: StackReq::EMPTY, pivots: 0, factors: 0 };
    for f in calls {
        let n = need::<T>(f);
        all.stack = all.stack.or(n.stack);
        all.pivots = all.pivots.max(n.pivots);
        all.factors = all.factors.max(n.factors);
    }
    all
}

impl Need {
    fn bytes<T>(&self) -> usize {
        self.stack.unaligned_bytes_required() + 16 * self.pivots + size_of::<T>() * self.factors
    }
}

impl<T: Real> Workspace<T> {
    /// Bytes of the workspace for these calls.
    pub fn needs<'a>(calls: impl Iterator<Item = &'a Func>) -> usize {
        need_of_all::<T>(calls).bytes::<T>()
    }

    /// `None` where there is not so much memory.
    pub fn new<'a>(calls: impl Iterator<Item = &'a Func>) -> Option<Workspace<T>> {
        let all = need_of_all::<T>(calls);
        Some(Workspace {
            stack: MemBuffer::try_new(all.stack).ok()?,
            pivots: vec![0; all.pivots],
            inverse: vec![0; all.pivots],
            factors: vec![T::ZERO; all.factors],
        })
    }
}

fn by_rows<T: Real>(x: &[T], m: usize, n: usize) -> MatRef<'_, T> {
    MatRef::from_row_major_slice(x, m, n)
}

fn by_rows_mut<T: Real>(x: &mut [T], m: usize, n: usize) -> MatMut<'_, T> {
    MatMut::from_row_major_slice_mut(x, m, n)
}

fn by_columns<T: Real>(x: &[T], m: usize, n: usize) -> MatRef<'_, T> {
    MatRef::from_column_major_slice(x, m, n)
}

fn by_columns_mut<T: Real>(x: &mut [T], m: usize, n: usize) -> MatMut<'_, T> {
    MatMut::from_column_major_slice_mut(x, m, n)
}

/// `out[j, i] = x[i, j]` for a square matrix, in tiles that stay in the cache.
fn transpose<T: Real>(n: usize, x: &[T], out: &mut [T]) {
    const TILE: usize = 8;
    for i in (0..n).step_by(TILE) {
        for j in (0..n).step_by(TILE) {
            for p in i..(i + TILE).min(n) {
                for q in j..(j + TILE).min(n) {
                    out[q * n + p] = x[p * n + q];
                }
            }
        }
    }
}

/// The lower factor; NaN in the lower triangle where the matrix is not positive definite. Reads the lower triangle.
/// `work` is `[n, n]`.
pub(crate) fn cholesky<T: Real>(n: usize, a: &[T], out: &mut [T], work: &mut [T], w: &mut Workspace<T>) {
    let done = if n <= SMALL {
        out.copy_from_slice(a);
        cholesky_small(n, out)
    } else {
        transpose(n, a, work);
        let stack = MemStack::new(&mut w.stack);
        let l = by_columns_mut(work, n, n);
        let ok = llt::cholesky_in_place(l, Default::default(), Par::Seq, stack, Default::default()).is_ok();
        transpose(n, work, out);
        ok && (0..n).all(|i| out[i * n + i].is_finite())
    };
    for i in 0..n {
        if !done {
            out[i * n..i * n + i + 1].fill(T::NAN);
        }
        out[i * n + i + 1..(i + 1) * n].fill(T::ZERO);
    }
}

fn cholesky_small<T: Real>(n: usize, l: &mut [T]) -> bool {
    for i in 0..n {
        for j in 0..=i {
            let mut s = l[i * n + j];
            for k in 0..j {
                s -= l[i * n + k] * l[j * n + k];
            }
            if i == j {
                if s.is_nan() || s <= T::ZERO {
                    return false;
                }
                l[i * n + i] = s.sqrt();
            } else {
                l[i * n + j] = s / l[j * n + j];
            }
        }
    }
    true
}

/// `out` holds the right-hand side, `[n, cols]`, and becomes the solution.
pub(crate) fn triangular_solve<T: Real>(n: usize, cols: usize, lower: bool, transposed: bool, t: &[T], out: &mut [T], k: &Kernels<T>) {
    if n * cols == 0 {
        return;
    }
    if cols == 1 || n <= SMALL {
        return triangular_rows(n, cols, lower, transposed, t, out, k);
    }
    let t = by_rows(t, n, n);
    let x = by_rows_mut(out, n, cols);
    use faer::linalg::triangular_solve as tri;
    match (lower, transposed) {
        (true, false) => tri::solve_lower_triangular_in_place(t, x, Par::Seq),
        (false, false) => tri::solve_upper_triangular_in_place(t, x, Par::Seq),
        (true, true) => tri::solve_upper_triangular_in_place(t.transpose(), x, Par::Seq),
        (false, true) => tri::solve_lower_triangular_in_place(t.transpose(), x, Par::Seq),
    }
}

/// Substitution that walks rows of `t` and of `x`.
fn triangular_rows<T: Real>(n: usize, cols: usize, lower: bool, transposed: bool, t: &[T], x: &mut [T], kernels: &Kernels<T>) {
    let forward = lower != transposed;
    let order = |k: usize| if forward { k } else { n - 1 - k };
    if transposed {
        // Row i of `t` is column i of its transpose: take each solved row out of those that are left.
        for k in 0..n {
            let i = order(k);
            let d = t[i * n + i];
            x[i * cols..(i + 1) * cols].iter_mut().for_each(|v| *v /= d);
            for j in if forward { i + 1..n } else { 0..i } {
                let f = t[i * n + j];
                for c in 0..cols {
                    x[j * cols + c] -= f * x[i * cols + c];
                }
            }
        }
        return;
    }
    for k in 0..n {
        let i = order(k);
        let row = &t[i * n..(i + 1) * n];
        let known = if forward { 0..i } else { i + 1..n };
        if cols == 1 {
            let s = kernels.dot(&row[known.clone()], &x[known]);
            x[i] = (x[i] - s) / row[i];
            continue;
        }
        for j in known {
            for c in 0..cols {
                x[i * cols + c] -= row[j] * x[j * cols + c];
            }
        }
        x[i * cols..(i + 1) * cols].iter_mut().for_each(|v| *v /= row[i]);
    }
}

/// `out` holds the right-hand side and becomes the solution; all infinite where a pivot is zero. `work` is `[n, n]`.
#[expect(clippy::too_many_arguments, reason = "sizes, operands, workspaces")]
pub(crate) fn solve<T: Real>(
    n: usize,
    cols: usize,
    transposed: bool,
    a: &[T],
    out: &mut [T],
    work: &mut [T],
    w: &mut Workspace<T>,
    k: &Kernels<T>,
) {
    if n * cols == 0 {
        return;
    }
    work.copy_from_slice(a);
    if n <= SMALL {
        if transposed {
            for i in 0..n {
                for j in 0..i {
                    work.swap(i * n + j, j * n + i);
                }
            }
        }
        if eliminate(n, work, out, cols).is_none() {
            out.fill(T::INFINITY);
            return;
        }
        return triangular_rows(n, cols, false, false, work, out, k);
    }
    // Seen by columns, the copy is the transpose of `a`.
    let stack = MemStack::new(&mut w.stack);
    let mut f = by_columns_mut(work, n, n);
    let (p, q) = (&mut w.pivots[..n], &mut w.inverse[..n]);
    let (_, perm) = lu::factor::lu_in_place(f.as_mut(), p, q, Par::Seq, stack, Default::default());
    let f = f.as_ref();
    if (0..n).any(|k| f[(k, k)] == T::ZERO) {
        out.fill(T::INFINITY);
        return;
    }
    let x = by_rows_mut(out, n, cols);
    if transposed {
        lu::solve::solve_in_place_with_conj(f, f, perm, Conj::No, x, Par::Seq, stack);
    } else {
        lu::solve::solve_transpose_in_place_with_conj(f, f, perm, Conj::No, x, Par::Seq, stack);
    }
}

/// Gauss with partial pivoting on rows of `m` and, alongside, of `b`. The sign of the exchanges; `None` at a zero pivot.
fn eliminate<T: Real>(n: usize, m: &mut [T], b: &mut [T], cols: usize) -> Option<T> {
    let mut sign = T::ONE;
    for k in 0..n {
        let mut p = k;
        for i in k + 1..n {
            if m[i * n + k].abs() > m[p * n + k].abs() {
                p = i;
            }
        }
        let pivot = m[p * n + k];
        if pivot == T::ZERO {
            return None;
        }
        if p != k {
            for j in 0..n {
                m.swap(p * n + j, k * n + j);
            }
            for j in 0..cols {
                b.swap(p * cols + j, k * cols + j);
            }
            sign = -sign;
        }
        for i in k + 1..n {
            let f = m[i * n + k] / pivot;
            for j in k..n {
                m[i * n + j] -= f * m[k * n + j];
            }
            for j in 0..cols {
                b[i * cols + j] -= f * b[k * cols + j];
            }
        }
    }
    Some(sign)
}

/// The pivots of the factorization lie on the diagonal of `work` afterwards; the sign of the permutation, none where one of the pivots is zero.
fn pivots<T: Real>(n: usize, a: &[T], work: &mut [T], w: &mut Workspace<T>) -> Option<T> {
    work.copy_from_slice(a);
    let sign = if n <= SMALL {
        eliminate(n, work, &mut [], 0)?
    } else {
        let stack = MemStack::new(&mut w.stack);
        let (p, q) = (&mut w.pivots[..n], &mut w.inverse[..n]);
        let f = by_columns_mut(work, n, n);
        let (info, _) = lu::factor::lu_in_place(f, p, q, Par::Seq, stack, Default::default());
        if info.transposition_count % 2 == 0 { T::ONE } else { -T::ONE }
    };
    // After a zero pivot the factors mean nothing any more.
    (0..n).all(|k| work[k * n + k] != T::ZERO).then_some(sign)
}

pub(crate) fn det<T: Real>(n: usize, a: &[T], work: &mut [T], w: &mut Workspace<T>) -> T {
    match pivots(n, a, work, w) {
        Some(sign) => (0..n).fold(sign, |d, k| d * work[k * n + k]),
        None => T::ZERO,
    }
}

/// The sign of the determinant and the logarithm of its size.
pub(crate) fn slogdet<T: Real>(n: usize, a: &[T], work: &mut [T], w: &mut Workspace<T>) -> (T, T) {
    let Some(sign) = pivots(n, a, work, w) else { return (T::ZERO, T::NEG_INFINITY) };
    (0..n).fold((sign, T::ZERO), |(sign, log), k| {
        let p = work[k * n + k];
        let turned = if p.is_nan() { T::NAN } else if p < T::ZERO { -sign } else { sign };
        (turned, log + p.abs().log())
    })
}

/// The sign that makes the first component of largest magnitude positive: vectors are unique up to sign, results should be.
fn orientation<T: Real>(v: impl Iterator<Item = T>) -> T {
    let mut best = T::ZERO;
    for x in v {
        if x.abs() > best.abs() {
            best = x;
        }
    }
    if best < T::ZERO { -T::ONE } else { T::ONE }
}

fn all_finite<T: Real>(x: &[T]) -> bool {
    // A product with zero is zero for finite numbers only.
    x.iter().fold(T::ZERO, |s, v| s + *v * T::ZERO) == T::ZERO
}

/// Ascending eigenvalues and vectors (columns) of the symmetric matrix given by its lower triangle; NaN where there are none.
/// `work` is `[n, n]`.
pub(crate) fn eigh<T: Real>(n: usize, a: &[T], values: &mut [T], vectors: &mut [T], work: &mut [T], w: &mut Workspace<T>) {
    if n == 0 {
        return;
    }
    let lower_finite = (0..n).all(|i| all_finite(&a[i * n..i * n + i + 1]));
    let done = lower_finite && {
        let stack = MemStack::new(&mut w.stack);
        let s = faer::ColMut::from_slice_mut(values).as_diagonal_mut();
        let u = by_columns_mut(work, n, n);
        evd::self_adjoint_evd(by_rows(a, n, n), s, Some(u), Par::Seq, stack, Default::default()).is_ok()
    };
    if !done {
        values.fill(T::NAN);
        vectors.fill(T::NAN);
        return;
    }
    for (j, v) in work.chunks_exact(n).enumerate() {
        let sign = orientation(v.iter().copied());
        for (i, x) in v.iter().enumerate() {
            vectors[i * n + j] = sign * x;
        }
    }
}

/// `a = u diag(s) v'` with `u [m, k]`, `s [k]` descending, `v [n, k]`; NaN where there is none. `work` is `(m + n) k` long.
#[expect(clippy::too_many_arguments, reason = "one operand, three results, two workspaces")]
pub(crate) fn svd<T: Real>(m: usize, n: usize, a: &[T], u: &mut [T], s: &mut [T], v: &mut [T], work: &mut [T], w: &mut Workspace<T>) {
    let k = m.min(n);
    if k == 0 {
        return;
    }
    let (us, vs) = work.split_at_mut(m * k);
    let done = all_finite(a) && {
        let stack = MemStack::new(&mut w.stack);
        // Seen by columns, `a` is its transpose, whose left vectors are the right ones of `a`.
        let diagonal = faer::ColMut::from_slice_mut(s).as_diagonal_mut();
        let (left, right) = (by_columns_mut(vs, n, k), by_columns_mut(us, m, k));
        svd_mod::svd(by_columns(a, n, m), diagonal, Some(left), Some(right), Par::Seq, stack, Default::default()).is_ok()
    };
    if !done {
        u.fill(T::NAN);
        s.fill(T::NAN);
        v.fill(T::NAN);
        return;
    }
    for j in 0..k {
        let (x, y) = (&us[j * m..(j + 1) * m], &vs[j * n..(j + 1) * n]);
        let sign = orientation(y.iter().copied());
        for (i, x) in x.iter().enumerate() {
            u[i * k + j] = sign * x;
        }
        for (i, y) in y.iter().enumerate() {
            v[i * k + j] = sign * y;
        }
    }
}

/// Thin `q [m, n]`, `r [n, n]` with a diagonal that is not negative; `m >= n`. `work` is `[m, n]`.
pub(crate) fn qr<T: Real>(m: usize, n: usize, a: &[T], q: &mut [T], r: &mut [T], work: &mut [T], w: &mut Workspace<T>) {
    if n == 0 {
        return;
    }
    for i in 0..m {
        for j in 0..n {
            work[j * m + i] = a[i * n + j];
        }
    }
    let block = qr_factor::recommended_block_size::<T>(m, n);
    let stack = MemStack::new(&mut w.stack);
    let mut basis = by_columns_mut(work, m, n);
    let mut factors = by_columns_mut(&mut w.factors[..block * n], block, n);
    qr_factor::qr_in_place(basis.as_mut(), factors.as_mut(), Par::Seq, stack, Default::default());
    q.fill(T::ZERO);
    for k in 0..n {
        q[k * n + k] = T::ONE;
    }
    householder::apply_block_householder_sequence_on_the_left_in_place_with_conj(
        basis.as_ref(),
        factors.as_ref(),
        Conj::No,
        by_rows_mut(q, m, n),
        Par::Seq,
        stack,
    );
    r.fill(T::ZERO);
    for i in 0..n {
        let sign = if work[i * m + i] < T::ZERO { -T::ONE } else { T::ONE };
        for j in i..n {
            r[i * n + j] = sign * work[j * m + i];
        }
        for row in q.chunks_exact_mut(n) {
            row[i] *= sign;
        }
    }
}
