//! Sweeps: the steps for one block of rows after the other, chunks of rows side by side where that pays, and the sums of
//! chunks joined in their order.

use crate::columns;
use crate::control::Fault;
use crate::executor::Machine;
use crate::matmul::{self, Operand};
use crate::order::{self, Lines};
use crate::real::Real;
use crate::worker::Worker;
use crate::{index, knapsack, threads};
use gradus_ir::{Origin, ReduceOp};
use gradus_plan::{Call, Func, MatMul, Matrix, Out, Place, Step, Sweep, Task};
use std::sync::Mutex;

/// `n` rows of the matrix from row `k` on.
fn rows_of<T: Real>(m: &Matrix, p: *const T, k: usize, n: usize) -> Operand<T> {
    let p = p.wrapping_offset(k as isize * m.row_stride);
    Operand { p, rows: n, cols: m.cols, rs: m.row_stride, cs: m.col_stride }
}

/// The same for columns.
fn columns_of<T: Real>(m: &Matrix, p: *const T, k: usize, n: usize) -> Operand<T> {
    let p = p.wrapping_offset(k as isize * m.col_stride);
    Operand { p, rows: m.rows, cols: n, rs: m.row_stride, cs: m.col_stride }
}

/// What chunks share while they run side by side.
struct Shared<'a, 'm, T: Real, F> {
    machine: *const Machine<'m, T>,
    workers: *mut Worker<T>,
    run: &'a F,
    /// The fault of the first chunk that had one.
    fault: Mutex<Option<(usize, Fault)>>,
}

// SAFETY: the machine is only read while chunks run; each thread has a worker of its own; chunks write to different memory.
unsafe impl<T: Real, F: Sync> Sync for Shared<'_, '_, T, F> {}

impl<T: Real, F: Fn(&mut Machine<'_, T>, usize) -> Result<(), Fault> + Sync> Shared<'_, '_, T, F> {
    fn chunk(&self, c: usize) {
        let k = rayon::current_thread_index().unwrap_or(0);
        // SAFETY: there is a worker for each thread of the pool, and a thread runs one chunk at a time: chunks do not wait
        // for other chunks.
        let result = unsafe { (*self.machine).as_worker(&mut *self.workers.add(k), |m| (self.run)(m, c)) };
        if let Err(f) = result
            && let Ok(mut first) = self.fault.lock()
            && first.as_ref().is_none_or(|(k, _)| c < *k)
        {
            *first = Some((c, f));
        }
    }
}

impl<T: Real> Machine<'_, T> {
    /// Runs all chunks, on the threads of the pool where this machine has one. The fault is that of the first chunk with one.
    ///
    /// SAFETY: chunks write to different memory, but for what each worker has of its own.
    pub(crate) unsafe fn side_by_side(
        &mut self,
        chunks: usize,
        run: &(impl Fn(&mut Machine<'_, T>, usize) -> Result<(), Fault> + Sync),
    ) -> Result<(), Fault> {
        let Some(workers) = self.crew() else {
            return (0..chunks).try_for_each(|c| run(self, c));
        };
        let shared = Shared { machine: &raw const *self, workers, run, fault: Mutex::new(None) };
        threads::each(0, chunks, &|c| shared.chunk(c));
        match shared.fault.into_inner() {
            Ok(Some((_, f))) => Err(f),
            _ => Ok(()),
        }
    }

    /// SAFETY: `s` is an instruction of the plan whose memory this machine has.
    pub(crate) unsafe fn sweep(&mut self, s: &Sweep) -> Result<(), Fault> {
        let chunks = s.chunks();
        // SAFETY: the caller's; a chunk writes its own rows and its own sums.
        unsafe {
            if s.parallel {
                self.side_by_side(chunks, &|m, c| m.chunk(s, c))?;
            } else {
                for c in 0..chunks {
                    self.chunk(s, c)?;
                }
            }
            self.join(s, chunks);
        }
        Ok(())
    }

    unsafe fn chunk(&mut self, s: &Sweep, c: usize) -> Result<(), Fault> {
        let (from, to) = (c * s.chunk, s.rows.min((c + 1) * s.chunk));
        // Running values of full reductions, in the order of steps and their results.
        let mut k = 0;
        for step in &s.steps {
            if let Task::Fused { fused, .. } = &step.task
                && fused.rows == 1
            {
                for o in &fused.outs {
                    if let Out::Reduce { op, .. } = o {
                        self.start_sum(k, *op);
                        k += 1;
                    }
                }
            }
        }
        let mut at = from;
        while at < to {
            let n = s.block.min(to - at);
            self.counters[s.row as usize] = at;
            let mut sums = 0;
            for step in &s.steps {
                // SAFETY: the caller's.
                unsafe { self.step(step, s.rows, c, (at, n), at == from, &mut sums)? };
            }
            at += n;
        }
        // SAFETY: places of the plan.
        unsafe {
            let mut k = 0;
            for step in &s.steps {
                let Task::Fused { fused, .. } = &step.task else { continue };
                if fused.rows != 1 {
                    continue;
                }
                let mut j = 0;
                for o in &fused.outs {
                    if let Out::Reduce { place, .. } = o {
                        let value = self.sum(k);
                        match step.partials {
                            // The partial results of one reduction lie side by side.
                            Some(p) => *self.at(p).add(j * s.chunks() + c) = value,
                            None => *self.at(*place) = value,
                        }
                        j += 1;
                        k += 1;
                    }
                }
            }
        }
        self.counters[s.row as usize] = 0;
        Ok(())
    }

    /// One step for `n` rows from row `r` on. `first`: nothing of this chunk has been summed yet. `sums` counts the full
    /// reductions of the steps so far.
    unsafe fn step(
        &mut self,
        step: &Step,
        rows: usize,
        c: usize,
        (r, n): (usize, usize),
        first: bool,
        sums: &mut usize,
    ) -> Result<(), Fault> {
        // SAFETY: places of the plan, with rows below its number of rows; the target of a chunk's sums is the chunk's own.
        unsafe {
            match &step.task {
                Task::Fused { fused: f, inner } => {
                    let full = f.rows == 1 && f.segment > 0;
                    self.fused_part(f, r * inner, (r + n) * inner, full.then_some(*sums));
                    if full {
                        *sums += f.outs.iter().filter(|o| matches!(o, Out::Reduce { .. })).count();
                    }
                }
                Task::Rows(m) => {
                    let (a, b) = (self.at(m.a.place).cast_const(), self.at(m.b.place).cast_const());
                    let out = self.at(m.out).wrapping_add(r * m.b.cols);
                    matmul::product(rows_of(&m.a, a, r, n), Operand::new(&m.b, b), out, false, &self.kernels);
                }
                Task::Batch(m) => self.products(m, r, n),
                Task::Sum(m) => {
                    let (a, b) = (self.at(m.a.place).cast_const(), self.at(m.b.place).cast_const());
                    let out = self.at(step.partials.unwrap_or(m.out)).add(c * step.sums());
                    matmul::product(columns_of(&m.a, a, r, n), rows_of(&m.b, b, r, n), out, !first, &self.kernels);
                }
                Task::Columns { op, inner, from, out } => {
                    let x = std::slice::from_raw_parts(self.at(*from).wrapping_add(r * inner), n * inner);
                    let target = self.at(step.partials.unwrap_or(*out)).add(c * step.sums());
                    let target = std::slice::from_raw_parts_mut(target, step.sums());
                    self.kernels.columns_of_block(*op, *inner, x, target, first);
                }
                Task::Lines(call) => self.lines(call, rows, (r, n), step.origin)?,
            }
        }
        Ok(())
    }

    /// Products `from..from + n` of a batch.
    pub(crate) unsafe fn products(&mut self, m: &MatMul, from: usize, n: usize) {
        // SAFETY: the caller's: the batch has so many products.
        unsafe {
            let (a, b, out) = (self.at(m.a.place).cast_const(), self.at(m.b.place).cast_const(), self.at(m.out));
            let size = m.a.rows * m.b.cols;
            for k in from..from + n {
                let (a, b) = (a.wrapping_offset(k as isize * m.a.batch_stride), b.wrapping_offset(k as isize * m.b.batch_stride));
                matmul::product(Operand::new(&m.a, a), Operand::new(&m.b, b), out.wrapping_add(k * size), false, &self.kernels);
            }
        }
    }

    /// A kernel on the lines of `n` rows.
    unsafe fn lines(&mut self, c: &Call, rows: usize, (r, n): (usize, usize), origin: Origin) -> Result<(), Fault> {
        // SAFETY: places of the plan; equally many elements of each operand belong to each row.
        unsafe {
            let input = |k: usize| {
                let (count, p) = (c.inputs[k].count(), self.at(c.inputs[k].place).cast_const());
                // A single number is the same for all rows, of which there are at least two.
                let each = count / rows;
                let (p, len) = if count == 1 { (p, 1) } else { (p.wrapping_add(r * each), n * each) };
                std::slice::from_raw_parts(p, len)
            };
            let output = |k: usize| {
                let each = c.outputs[k].count() / rows;
                std::slice::from_raw_parts_mut(self.at(c.outputs[k].place).wrapping_add(r * each), n * each)
            };
            let out = output(0);
            let work = match c.work {
                Some((place, len)) => self.slice_mut(place, len),
                None => &mut [],
            };
            match c.func {
                Func::ReduceAxis { op, n: len, inner, .. } => self.kernels.middle(op, [n, len, inner], input(0), out),
                Func::ArgReduce { max, n: len, .. } => {
                    if !order::arg_reduce(Lines { outer: n, n: len, inner: 1 }, max, input(0), out) {
                        return Err(Fault::Index { origin, index: 0.0, len: 0 });
                    }
                }
                Func::TakeAlong { n: len, picks, .. } => {
                    let axis = index::Axis { outer: n, n: len, inner: 1, picks };
                    index::take_along(axis, input(0), input(1), out)
                        .map_err(|e| Fault::Index { origin, index: e.index, len: e.len })?;
                }
                Func::Cumulative { op, reverse, n: len, .. } => {
                    order::cumulative(Lines { outer: n, n: len, inner: 1 }, op, reverse, input(0), out);
                }
                Func::Sort { descending, n: len, .. } => {
                    order::sort(Lines { outer: n, n: len, inner: 1 }, descending, input(0), out, work);
                }
                Func::ArgSort { descending, n: len, .. } => {
                    order::arg_sort(Lines { outer: n, n: len, inner: 1 }, descending, input(0), out, work);
                }
                Func::TopK { n: len, k, .. } => order::top_k(len, k, input(0), out, output(1), work),
                Func::Knapsack { n: len, .. } => {
                    let operands = [input(0), input(1), input(2), input(3), input(4)];
                    knapsack::solve(len, operands, out, output(1), &self.kernels);
                }
                Func::Isotonic { n: len, .. } => order::isotonic(len, input(0), input(1), out, work),
                _ => return Err(Fault::Internal(format!("{:?} is no kernel on lines", c.func))),
            }
        }
        Ok(())
    }

    /// The results of sums over rows from those of the chunks.
    unsafe fn join(&mut self, s: &Sweep, chunks: usize) {
        // SAFETY: places of the plan.
        unsafe {
            for step in &s.steps {
                let Some(partials) = step.partials else { continue };
                let part = |at: usize, len: usize| std::slice::from_raw_parts(self.at(partials).add(at).cast_const(), len);
                let target = |place: Place, len: usize| std::slice::from_raw_parts_mut(self.at(place), len);
                match &step.task {
                    Task::Fused { fused, .. } => {
                        let mut j = 0;
                        for o in &fused.outs {
                            if let Out::Reduce { op, place, .. } = o {
                                *self.at(*place) = self.kernels.reduce(*op, part(j * chunks, chunks));
                                j += 1;
                            }
                        }
                    }
                    Task::Sum(m) => {
                        let n = step.sums();
                        columns::join(ReduceOp::Sum, part(0, n * chunks), target(m.out, n));
                    }
                    Task::Columns { op, inner, out, .. } => {
                        columns::join(*op, part(0, step.sums() * chunks), target(*out, *inner));
                    }
                    Task::Rows(_) | Task::Batch(_) | Task::Lines(_) => {}
                }
            }
        }
    }
}
