//! Every place that an instruction reads or writes, for the passes over finished code.

use crate::plan::{Block, Call, Fused, Instr, Kind, LoopPlan, MatMul, Out, Place, Scalar};
use crate::sweep::{Step, Task};

/// Calls `f(place, written)` for the places of one instruction, nested blocks included.
pub(crate) fn places(instr: &mut Instr, f: &mut dyn FnMut(&mut Place, bool)) {
    own_places(instr, f);
    match &mut instr.kind {
        Kind::Loop(l) => {
            if let Some((b, _)) = &mut l.cond {
                block(b, f);
            }
            block(&mut l.body, f);
        }
        Kind::Cond(c) => {
            block(&mut c.then, f);
            block(&mut c.other, f);
        }
        _ => {}
    }
}

pub(crate) fn block(b: &mut Block, f: &mut dyn FnMut(&mut Place, bool)) {
    for i in &mut b.code {
        places(i, f);
    }
}

/// Calls `f` for the instruction, if it is a loop, and all loops in it.
pub(crate) fn loops(instr: &Instr, f: &mut dyn FnMut(&LoopPlan)) {
    let mut inside = |b: &Block| b.code.iter().for_each(|i| loops(i, f));
    match &instr.kind {
        Kind::Loop(l) => {
            if let Some((b, _)) = &l.cond {
                inside(b);
            }
            inside(&l.body);
            f(l);
        }
        Kind::Cond(c) => {
            inside(&c.then);
            inside(&c.other);
        }
        _ => {}
    }
}

fn scalar(s: &mut Scalar, f: &mut dyn FnMut(&mut Place, bool)) {
    if let Scalar::At(p) = s {
        f(p, false);
    }
}

fn fused(x: &mut Fused, f: &mut dyn FnMut(&mut Place, bool)) {
    for a in &mut x.inputs {
        f(&mut a.place, false);
    }
    for o in &mut x.outs {
        match o {
            Out::Store { access, .. } => f(&mut access.place, true),
            Out::Reduce { place, .. } => f(place, true),
        }
    }
}

fn matmul(m: &mut MatMul, f: &mut dyn FnMut(&mut Place, bool)) {
    f(&mut m.a.place, false);
    f(&mut m.b.place, false);
    f(&mut m.out, true);
}

fn call(c: &mut Call, f: &mut dyn FnMut(&mut Place, bool)) {
    for t in &mut c.inputs {
        f(&mut t.place, false);
    }
    for t in &mut c.outputs {
        f(&mut t.place, true);
    }
    if let Some((p, _)) = &mut c.work {
        f(p, true);
    }
}

/// The places of one step of a sweep.
pub(crate) fn step(s: &mut Step, f: &mut dyn FnMut(&mut Place, bool)) {
    match &mut s.task {
        Task::Fused { fused: x, .. } => fused(x, f),
        Task::Rows(m) | Task::Batch(m) | Task::Sum(m) => matmul(m, f),
        Task::Columns { from, out, .. } => {
            f(from, false);
            f(out, true);
        }
        Task::Lines(c) => call(c, f),
    }
    if let Some(p) = &mut s.partials {
        f(p, true);
    }
}

/// The places of the instruction itself, without its nested blocks.
pub(crate) fn own_places(instr: &mut Instr, f: &mut dyn FnMut(&mut Place, bool)) {
    match &mut instr.kind {
        Kind::Fused(x) => fused(x, f),
        Kind::MatMul(m) => matmul(m, f),
        Kind::Call(c) => call(c, f),
        Kind::Sweep(s) => {
            for s in &mut s.steps {
                step(s, f);
            }
        }
        Kind::Loop(l) => {
            if let Some(p) = &mut l.index {
                f(p, true);
            }
            if let Some((_, s)) = &mut l.cond {
                scalar(s, f);
            }
            for (a, b, _) in &mut l.copies {
                f(a, false);
                f(b, true);
            }
            for (p, _) in &mut l.collected {
                f(p, true);
            }
            if let Some(p) = &mut l.done {
                f(p, true);
            }
        }
        Kind::Cond(c) => scalar(&mut c.test, f),
    }
}
