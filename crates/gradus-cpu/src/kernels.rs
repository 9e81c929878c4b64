//! From a `Call` to its kernel.

use crate::control::Fault;
use crate::executor::Machine;
use crate::fft::Circle;
use crate::index::{self, Axis, OutOfRange};
use crate::order::{self, Lines};
use crate::real::Real;
use crate::sparse::Rows;
use crate::{fft, knapsack, linalg, philox};
use gradus_ir::Origin;
use gradus_plan::{Call, Func};

/// A stored integer as the 64 bits of its two's complement.
fn bits(x: f64) -> u64 {
    x as i64 as u64
}

fn key_of<T: Real>(words: &[T]) -> philox::Key {
    [words[0].word(), words[1].word()]
}

impl<T: Real> Machine<'_, T> {
    /// SAFETY: the plan's places lie in their memory; outputs and work overlap no input but as `may_overwrite` allows.
    pub(crate) unsafe fn call(&mut self, c: &Call, origin: Origin) -> Result<(), Fault> {
        // SAFETY: the caller's; lengths are those of the plan's tensors.
        unsafe {
            let input = |k: usize| self.slice(c.inputs[k].place, c.inputs[k].count());
            let output = |k: usize| self.slice_mut(c.outputs[k].place, c.outputs[k].count());
            let work = || match c.work {
                Some((place, len)) => self.slice_mut(place, len),
                None => &mut [],
            };
            // The operand that a kernel updates: copied to the output unless it is there already.
            let updated = |k: usize| {
                let (from, to) = (self.at(c.inputs[k].place).cast_const(), self.at(c.outputs[0].place));
                if from != to.cast_const() {
                    std::ptr::copy_nonoverlapping(from, to, c.outputs[0].count());
                }
                self.slice_mut(c.outputs[0].place, c.outputs[0].count())
            };
            let fault = |e: OutOfRange| Fault::Index { origin, index: e.index, len: e.len };
            match c.func {
                Func::ReduceAxis { op, outer, n, inner } => self.kernels.middle(op, [outer, n, inner], input(0), output(0)),
                Func::ArgReduce { max, outer, n, inner } => {
                    if !order::arg_reduce(Lines { outer, n, inner }, max, input(0), output(0)) {
                        return Err(Fault::Index { origin, index: 0.0, len: 0 });
                    }
                }
                Func::Take { outer, n, inner, picks } => {
                    index::take(Axis { outer, n, inner, picks }, input(0), input(1), output(0)).map_err(fault)?;
                }
                Func::TakeAlong { outer, n, inner, picks } => {
                    index::take_along(Axis { outer, n, inner, picks }, input(0), input(1), output(0)).map_err(fault)?;
                }
                Func::ScatterAdd { outer, n, inner, picks } => {
                    index::scatter(Axis { outer, n, inner, picks }, input(1), input(2), updated(0), true).map_err(fault)?;
                }
                Func::ScatterSet { outer, n, inner, picks } => {
                    index::scatter(Axis { outer, n, inner, picks }, input(1), input(2), updated(0), false).map_err(fault)?;
                }
                Func::ScatterAddAlong { outer, n, inner, picks } => {
                    index::scatter_add_along(Axis { outer, n, inner, picks }, input(1), input(2), updated(0)).map_err(fault)?;
                }
                Func::Cumulative { op, reverse, outer, n, inner } => {
                    order::cumulative(Lines { outer, n, inner }, op, reverse, input(0), output(0));
                }
                Func::Sort { descending, outer, n, inner } => {
                    order::sort(Lines { outer, n, inner }, descending, input(0), output(0), work());
                }
                Func::ArgSort { descending, outer, n, inner } => {
                    order::arg_sort(Lines { outer, n, inner }, descending, input(0), output(0), work());
                }
                Func::TopK { n, k, .. } => order::top_k(n, k, input(0), output(0), output(1), work()),
                Func::Knapsack { n, .. } => {
                    let operands = [input(0), input(1), input(2), input(3), input(4)];
                    knapsack::solve(n, operands, output(0), output(1), &self.kernels);
                }
                Func::Isotonic { n, .. } => order::isotonic(n, input(0), input(1), output(0), work()),
                Func::DiagMatrix { n } => {
                    let (x, y) = (input(0), output(0));
                    y.fill(T::ZERO);
                    for k in 0..n {
                        y[k * n + k] = x[k];
                    }
                }
                Func::Cholesky { n } => {
                    let (a, l, t) = (input(0), output(0), work());
                    linalg::cholesky(n, a, l, t, self.workspace);
                }
                Func::TriangularSolve { lower, transposed, n, cols } => {
                    linalg::triangular_solve(n, cols, lower, transposed, input(0), updated(1), &self.kernels);
                }
                Func::Solve { transposed, n, cols } => {
                    let (a, x, t) = (input(0), updated(1), work());
                    linalg::solve(n, cols, transposed, a, x, t, self.workspace, &self.kernels);
                }
                Func::Det { n } => {
                    let (a, d, t) = (input(0), output(0), work());
                    d[0] = linalg::det(n, a, t, self.workspace);
                }
                Func::SlogDet { n } => {
                    let (a, sign, log, t) = (input(0), output(0), output(1), work());
                    (sign[0], log[0]) = linalg::slogdet(n, a, t, self.workspace);
                }
                Func::SparseMatMul { transposed, width } => {
                    let rows = Rows { starts: input(0), columns: input(1), values: input(2) };
                    rows.product(transposed, width, input(3), output(0)).map_err(fault)?;
                }
                Func::Fft { inverse, n, .. } => {
                    let circle = Circle { table: input(2), inverse };
                    fft::transform(n, &circle, [input(0), input(1)], [output(0), output(1)], work());
                }
                Func::Eigh { n } => {
                    let (a, values, vectors, t) = (input(0), output(0), output(1), work());
                    linalg::eigh(n, a, values, vectors, t, self.workspace);
                }
                Func::Svd { m, n } => {
                    let (a, u, s, v, t) = (input(0), output(0), output(1), output(2), work());
                    linalg::svd(m, n, a, u, s, v, t, self.workspace);
                }
                Func::Qr { m, n } => {
                    let (a, q, r, t) = (input(0), output(0), output(1), work());
                    linalg::qr(m, n, a, q, r, t, self.workspace);
                }
                Func::Key => {
                    let k = philox::key_of_seed(bits(self.given(c.inputs[0].place)));
                    output(0).copy_from_slice(&k.map(T::of_word));
                }
                Func::KeyFold => {
                    let k = philox::fold(key_of(input(0)), bits(self.given(c.inputs[1].place)));
                    output(0).copy_from_slice(&k.map(T::of_word));
                }
                Func::Uniform { .. } => philox::uniform(key_of(input(0)), output(0)),
                Func::Normal { .. } => philox::normal(key_of(input(0)), output(0)),
                Func::Permutation { .. } => philox::permutation(key_of(input(0)), output(0)),
                Func::Clock => output(0)[0] = T::of(self.started.elapsed().as_secs_f64()),
            }
        }
        Ok(())
    }
}
