//! Rough nanoseconds of one core, from sizes alone: what decides whether threads pay.

use crate::plan::{Block, Call, Func, Fused, Instr, Kind, LaneOp, MatMul};
use crate::sweep::{Sweep, Task};
use gradus_ir::{BinaryOp, ReduceOp, UnaryOp};

/// Work that pays for threads, and work that a piece of it should have.
pub(crate) const PARALLEL: usize = 100_000;
pub(crate) const CHUNK: usize = 40_000;

/// Tenths of a nanosecond for an element.
fn lane(op: LaneOp) -> usize {
    match op {
        LaneOp::Unary(u) => match u {
            UnaryOp::Sqrt | UnaryOp::Recip => 5,
            UnaryOp::Exp | UnaryOp::Log => 8,
            UnaryOp::Expm1 | UnaryOp::Log1p | UnaryOp::Tanh | UnaryOp::Sigmoid => 12,
            UnaryOp::Softplus => 18,
            UnaryOp::Sin | UnaryOp::Cos | UnaryOp::Tan | UnaryOp::Asin | UnaryOp::Acos | UnaryOp::Atan => 80,
            UnaryOp::Sinh | UnaryOp::Cosh | UnaryOp::Erf => 80,
            UnaryOp::Lgamma | UnaryOp::Digamma | UnaryOp::Trigamma => 300,
            _ => 1,
        },
        LaneOp::Binary(BinaryOp::Div) => 5,
        LaneOp::DivRoot => 10,
        LaneOp::Binary(BinaryOp::Pow | BinaryOp::Atan2 | BinaryOp::Hypot | BinaryOp::Mod) => 150,
        _ => 1,
    }
}

fn fused(f: &Fused) -> usize {
    let lanes: usize = f.program.iter().map(|l| lane(l.op)).sum();
    let streams = 2 * (f.inputs.len() + f.outs.len());
    f.count.saturating_mul(lanes + streams) / 10
}

fn matmul(m: &MatMul) -> usize {
    let work = m.batch.saturating_mul(m.a.rows).saturating_mul(m.a.cols).saturating_mul(m.b.cols);
    // A matrix that is used once comes from memory.
    if m.a.rows == 1 || m.b.cols == 1 { work.saturating_mul(3) / 10 } else { work / 20 }
}

fn columns(op: ReduceOp, count: usize) -> usize {
    count * if op == ReduceOp::LogSumExp { 12 } else { 3 } / 10
}

fn call(c: &Call) -> usize {
    let count = |k: usize| c.inputs.get(k).map_or(0, |t| t.count());
    match c.func {
        Func::Sort { n, .. } => count(0).saturating_mul(2 * (n.max(2).ilog2() as usize)),
        Func::ArgSort { n, .. } => count(0).saturating_mul(4 * (n.max(2).ilog2() as usize)),
        Func::TopK { .. } => count(0).saturating_mul(4),
        Func::Knapsack { .. } => count(0).saturating_mul(2),
        Func::Isotonic { .. } => count(0).saturating_mul(10),
        Func::ReduceAxis { op, .. } => columns(op, count(0)),
        Func::Cholesky { n } | Func::Solve { n, .. } | Func::Det { n } => n.saturating_pow(3) / 20,
        Func::SlogDet { n } => n.saturating_pow(3) / 20,
        Func::SparseMatMul { width, .. } => count(2).saturating_mul(2 * width),
        Func::Fft { n, .. } => count(0).saturating_mul(2 * (n.max(2).ilog2() as usize)),
        Func::Eigh { n } => n.saturating_pow(3),
        Func::Svd { m, n } | Func::Qr { m, n } => m.saturating_mul(n).saturating_mul(m.min(n)),
        Func::Uniform { count } => count * 3,
        Func::Normal { count } => count * 20,
        _ => 2 * c.inputs.iter().chain(&c.outputs).map(|t| t.count()).sum::<usize>(),
    }
}

fn sweep(s: &Sweep) -> usize {
    s.steps
        .iter()
        .map(|step| match &step.task {
            Task::Fused { fused: f, .. } => fused(f),
            Task::Rows(m) | Task::Batch(m) | Task::Sum(m) => matmul(m),
            Task::Columns { op, inner, .. } => columns(*op, s.rows * inner),
            Task::Lines(c) => call(c),
        })
        .fold(0, usize::saturating_add)
}

pub(crate) fn instr(i: &Instr) -> usize {
    match &i.kind {
        Kind::Fused(f) => fused(f),
        Kind::MatMul(m) => matmul(m),
        Kind::Call(c) => call(c),
        Kind::Sweep(s) => sweep(s),
        Kind::Loop(l) => {
            let once = block(&l.body).saturating_add(l.cond.as_ref().map_or(0, |(b, _)| block(b)));
            once.saturating_mul(l.bound)
        }
        Kind::Cond(c) => block(&c.then).max(block(&c.other)),
    }
}

/// With what it costs to get from one instruction to the next.
pub(crate) fn block(b: &Block) -> usize {
    b.code.iter().map(|i| instr(i).saturating_add(20)).fold(0, usize::saturating_add)
}
