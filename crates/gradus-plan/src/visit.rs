//! Every place that an instruction reads or writes, for the passes over finished code.

use crate::plan::{Block, Instr, Kind, Out, Place, Scalar};

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

fn scalar(s: &mut Scalar, f: &mut dyn FnMut(&mut Place, bool)) {
    if let Scalar::At(p) = s {
        f(p, false);
    }
}

/// The places of the instruction itself, without its nested blocks.
pub(crate) fn own_places(instr: &mut Instr, f: &mut dyn FnMut(&mut Place, bool)) {
    match &mut instr.kind {
        Kind::Fused(x) => {
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
        Kind::MatMul(m) => {
            f(&mut m.a.place, false);
            f(&mut m.b.place, false);
            f(&mut m.out, true);
        }
        Kind::Call(c) => {
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
