//! What a plan does: operations and memory traffic, counted from its instructions.

use crate::plan::{Access, Block, Call, Fused, Func, Instr, Kind, LaneOp, LoopPlan, MatMul, Matrix, Out, Pattern, Place, Plan};
use crate::sweep::{Sweep, Task};
use std::ops::{Add, AddAssign, Mul};

/// Counted, not measured: what the instructions say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Operations on numbers. A function such as `exp` is one, a multiplication with an addition two; factorizations count
    /// the leading term of their usual algorithm.
    pub flops: f64,
    /// Elements that instructions read from memory and write to it. What stays in the registers of a fused instruction is
    /// not counted, what several instructions read is counted for each, and an element read by many rows of one once.
    pub read: f64,
    pub written: f64,
    /// Instructions run.
    pub kernels: f64,
}

impl Add for Work {
    type Output = Work;
    fn add(self, o: Work) -> Work {
        Work {
            flops: self.flops + o.flops,
            read: self.read + o.read,
            written: self.written + o.written,
            kernels: self.kernels + o.kernels,
        }
    }
}

impl AddAssign for Work {
    fn add_assign(&mut self, o: Work) {
        *self = *self + o;
    }
}

impl Mul<f64> for Work {
    type Output = Work;
    fn mul(self, n: f64) -> Work {
        Work { flops: self.flops * n, read: self.read * n, written: self.written * n, kernels: self.kernels * n }
    }
}

/// Distinct elements that an access touches.
fn touched(a: &Access, count: usize) -> f64 {
    match &a.pattern {
        Pattern::Dense => count as f64,
        Pattern::Splat => 1.0,
        Pattern::Strided(axes) => axes.iter().filter(|(_, s)| *s != 0).map(|(n, _)| *n as f64).product(),
    }
}

fn fused(f: &Fused) -> Work {
    let n = f.count as f64;
    let per_element: f64 = f
        .program
        .iter()
        .map(|l| match l.op {
            LaneOp::Unary(_) | LaneOp::Binary(_) | LaneOp::Select => 1.0,
            LaneOp::MulAdd | LaneOp::MulSub | LaneOp::SubMul => 2.0,
            LaneOp::MulMul | LaneOp::AddThenMul | LaneOp::SubThenMul => 2.0,
            LaneOp::MulAddMul | LaneOp::MulSubMul | LaneOp::DivRoot => 3.0,
        })
        .sum();
    let reductions = f.outs.iter().filter(|o| matches!(o, Out::Reduce { .. })).count() as f64;
    let written: f64 = f
        .outs
        .iter()
        .map(|o| match o {
            Out::Store { .. } => n,
            Out::Reduce { .. } => f.rows as f64,
        })
        .sum();
    Work {
        flops: n * (per_element + reductions),
        read: f.inputs.iter().map(|a| touched(a, f.count)).sum(),
        written,
        kernels: 1.0,
    }
}

fn matmul(m: &MatMul) -> Work {
    let batch = m.batch as f64;
    let (rows, inner, cols) = (m.a.rows as f64, m.a.cols as f64, m.b.cols as f64);
    let operand = |x: &Matrix| {
        let axis = |n: usize, stride: isize| if stride == 0 { 1.0 } else { n as f64 };
        let each = axis(x.rows, x.row_stride) * axis(x.cols, x.col_stride);
        if x.batch_stride == 0 { each } else { each * batch }
    };
    Work {
        flops: 2.0 * batch * rows * inner * cols,
        read: operand(&m.a) + operand(&m.b),
        written: batch * rows * cols,
        kernels: 1.0,
    }
}

fn call(c: &Call) -> Work {
    let size = |k: usize| c.inputs.get(k).map_or(0.0, |t| t.count() as f64);
    let inputs: f64 = c.inputs.iter().map(|t| t.count() as f64).sum();
    let outputs: f64 = c.outputs.iter().map(|t| t.count() as f64).sum();
    let cube = |n: usize| (n as f64).powi(3);
    let sorted = |n: usize| outputs * (n.max(2) as f64).log2();
    let flops = match c.func {
        Func::ReduceAxis { .. } | Func::ArgReduce { .. } | Func::Cumulative { .. } => size(0),
        Func::Take { .. } | Func::TakeAlong { .. } | Func::ScatterSet { .. } | Func::DiagMatrix { .. } | Func::Clock => 0.0,
        Func::ScatterAdd { .. } | Func::ScatterAddAlong { .. } => size(2),
        Func::Sort { n, .. } | Func::ArgSort { n, .. } => sorted(n),
        Func::TopK { k, .. } => 2.0 * size(0) + outputs * (k.max(2) as f64).log2(),
        // Six passes of a difference, two comparisons and two sums; every element is merged at most once.
        Func::Knapsack { .. } => 36.0 * size(0),
        Func::Isotonic { .. } => 5.0 * size(0),
        Func::Cholesky { n } => cube(n) / 3.0,
        Func::TriangularSolve { n, cols, .. } => (n * n) as f64 * cols as f64,
        Func::Solve { n, cols, .. } => 2.0 / 3.0 * cube(n) + 2.0 * (n * n) as f64 * cols as f64,
        Func::Det { n } => 2.0 / 3.0 * cube(n),
        Func::SlogDet { n } => 2.0 / 3.0 * cube(n),
        Func::SparseMatMul { width, .. } => 2.0 * size(2) * width as f64,
        Func::Fft { n, .. } => 5.0 * size(0) * (n.max(2) as f64).log2(),
        Func::Eigh { n } => 9.0 * cube(n),
        Func::Svd { m, n } => 14.0 * (m.max(n) as f64) * (m.min(n) as f64).powi(2) + 8.0 * cube(m.min(n)),
        Func::Qr { m, n } => 4.0 * (m as f64) * (n as f64).powi(2),
        // Ten rounds of two multiplications for every four numbers, and what makes them normal.
        Func::Key | Func::KeyFold => 40.0,
        Func::Uniform { count } => 10.0 * count as f64,
        Func::Normal { count } => 20.0 * count as f64,
        Func::Permutation { n } => 10.0 * n as f64,
    };
    // Rows that are not picked are not read, and a scatter in place leaves the rest of its base where it is.
    let (read, written) = match c.func {
        Func::Take { .. } | Func::TakeAlong { .. } => (size(1) + outputs, outputs),
        Func::ScatterAdd { .. } | Func::ScatterAddAlong { .. } | Func::ScatterSet { .. } => (size(1) + 2.0 * size(2), size(2)),
        _ => (inputs, outputs),
    };
    Work { flops, read, written, kernels: 1.0 }
}

/// Blocks of a sweep stay in cache: what several steps read comes from memory once, what only they use never.
fn sweep(s: &Sweep) -> Work {
    let mut total = Work { kernels: 1.0, ..Work::default() };
    let mut seen: Vec<(Place, f64)> = Vec::new();
    let mut read = |place: &Place, n: f64| {
        if place.counter == s.row {
            return;
        }
        match seen.iter_mut().find(|(p, _)| p == place) {
            Some((_, most)) => *most = most.max(n),
            None => seen.push((*place, n)),
        }
    };
    let written = |place: &Place, n: f64| if place.counter == s.row { 0.0 } else { n };
    for step in &s.steps {
        match &step.task {
            Task::Fused { fused: f, .. } => {
                total.flops += fused(f).flops;
                f.inputs.iter().for_each(|a| read(&a.place, touched(a, f.count)));
                for o in &f.outs {
                    total.written += match o {
                        Out::Store { access, .. } => written(&access.place, f.count as f64),
                        Out::Reduce { place, .. } => written(place, f.rows as f64),
                    };
                }
            }
            Task::Rows(m) | Task::Batch(m) | Task::Sum(m) => {
                let w = matmul(m);
                total.flops += w.flops;
                let each = |x: &Matrix| (x.rows * x.cols) as f64 * if x.batch_stride == 0 { 1.0 } else { m.batch as f64 };
                read(&m.a.place, each(&m.a));
                read(&m.b.place, each(&m.b));
                total.written += written(&m.out, w.written);
            }
            Task::Columns { inner, from, out, .. } => {
                let n = (s.rows * inner) as f64;
                total.flops += n;
                read(from, n);
                total.written += written(out, *inner as f64);
            }
            Task::Lines(c) => {
                total.flops += call(c).flops;
                c.inputs.iter().for_each(|t| read(&t.place, t.count() as f64));
                total.written += c.outputs.iter().map(|t| written(&t.place, t.count() as f64)).sum::<f64>();
            }
        }
    }
    total.read = seen.iter().map(|(_, n)| n).sum();
    total
}

impl Instr {
    /// The work of one run of this instruction; of a loop or a branch, without what is inside.
    pub fn work(&self) -> Work {
        match &self.kind {
            Kind::Fused(f) => fused(f),
            Kind::MatMul(m) => matmul(m),
            Kind::Call(c) => call(c),
            Kind::Sweep(s) => sweep(s),
            Kind::Loop(_) | Kind::Cond(_) => Work::default(),
        }
    }
}

impl LoopPlan {
    /// The work of the loop where its steps are counted as `Plan::work` wants them, and it is begun `times` times.
    fn work(&self, steps: &[u64], times: f64) -> Work {
        let done = steps.get(self.step as usize).map_or(0.0, |n| *n as f64);
        let copied: f64 = self.copies.iter().map(|(_, _, n)| *n as f64).sum();
        let mut total = self.body.work(steps, done);
        total += Work { read: copied, written: copied, ..Work::default() } * done;
        if let Some((test, _)) = &self.cond {
            // Where a test ended the loop it ran once more than the body.
            let most = self.bound as f64 * times;
            total += test.work(steps, (done + times).min(most));
        }
        total
    }
}

impl Block {
    /// The work of `times` runs of this block. Of two branches the one with more operations counts.
    fn work(&self, steps: &[u64], times: f64) -> Work {
        let mut total = Work::default();
        for i in &self.code {
            total += match &i.kind {
                Kind::Loop(l) => l.work(steps, times),
                Kind::Cond(c) => {
                    let (then, other) = (c.then.work(steps, times), c.other.work(steps, times));
                    if then.flops >= other.flops { then } else { other }
                }
                _ => i.work() * times,
            };
        }
        total
    }
}

impl Plan {
    /// The work of one run, given how many steps each loop did in it altogether: `steps[k]` for the loop whose step counter
    /// is `k`, as `Executor::steps` of the executor gives them.
    pub fn work(&self, steps: &[u64]) -> Work {
        self.body.work(steps, 1.0)
    }

    /// The loop outside all others with the most work in such a run, its steps, and its work.
    pub fn main_loop(&self, steps: &[u64]) -> Option<(&LoopPlan, u64, Work)> {
        let mut best: Option<(&LoopPlan, u64, Work)> = None;
        for i in &self.body.code {
            let Kind::Loop(l) = &i.kind else { continue };
            let work = l.work(steps, 1.0);
            let weight = |w: &Work| w.flops + w.read + w.written + w.kernels;
            if best.as_ref().is_none_or(|(_, _, b)| weight(&work) > weight(b)) {
                best = Some((l, steps.get(l.step as usize).copied().unwrap_or(0), work));
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::{Work, plan};

    fn work(text: &str, steps: &[u64]) -> Work {
        plan(&gradus_ir::parse(text).unwrap()).unwrap().work(steps)
    }

    #[test]
    fn products_and_chains_are_counted() {
        let w = work(
            "graph(%0: real[20, 30], %1: real[30], %2: real[20]) {
  %3: real[20] = matmul %0, %1
  %4: real[20] = mul %3, %2
  %5: real[20] = exp %4
  %6: real = reduce_sum{axes=[0]} %5
  return %6
}",
            &[],
        );
        assert_eq!(w.flops, 2.0 * 600.0 + 3.0 * 20.0);
        assert_eq!(w.read, 600.0 + 30.0 + 40.0);
        assert_eq!(w.written, 20.0 + 1.0);
        assert_eq!(w.kernels, 2.0);
    }

    #[test]
    fn a_factorization_counts_its_leading_term() {
        let w = work("graph(%0: real[30, 30]) {\n  %1: real[30, 30] = cholesky %0\n  return %1\n}", &[]);
        assert_eq!((w.flops, w.read, w.written), (9000.0, 900.0, 900.0));
    }
}
