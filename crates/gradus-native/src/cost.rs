//! What native code saves, and what it costs to make: which loops of a plan are worth it.
//!
//! Estimates in nanoseconds on a usual machine. They depend on the plan alone, never on a clock, and decide only about
//! time: results are the same either way.

use crate::access::is_native;
use gradus_plan::{Block, Fused, Instr, Kind, LoopPlan, Plan};
use std::sync::Arc;

/// What making the code costs: once, and for each operation in it.
const COMPILE: f64 = 300_000.0;
const COMPILE_OPERATION: f64 = 4_000.0;
/// Operations that one function may have.
const MOST_OPERATIONS: usize = 6_000;
/// Steps that a loop with a condition is taken to run where nothing is known.
const GUESS: f64 = 8.0;

#[derive(Clone, Copy, Default)]
struct Estimate {
    /// Time that native code saves.
    saved: f64,
    /// Time that handed-back instructions take anyway.
    kept: f64,
    operations: usize,
    native: usize,
    handed: usize,
}

impl Estimate {
    fn plus(self, o: Estimate) -> Estimate {
        Estimate {
            saved: self.saved + o.saved,
            kept: self.kept + o.kept,
            operations: self.operations + o.operations,
            native: self.native + o.native,
            handed: self.handed + o.handed,
        }
    }

    fn times(self, n: f64) -> Estimate {
        Estimate { saved: self.saved * n, kept: self.kept * n, ..self }
    }
}

fn fused_time(f: &Fused) -> f64 {
    let lanes = f.program.len() + f.inputs.len() + f.outs.len();
    if f.count == 1 { 3.0 + 2.0 * lanes as f64 } else { 20.0 + lanes as f64 * (5.0 + 0.3 * f.count as f64) }
}

fn instr(i: &Instr) -> Estimate {
    let one = Estimate { native: 1, ..Estimate::default() };
    match &i.kind {
        Kind::Loop(l) => {
            let steps = if l.cond.is_some() { (l.bound as f64).min(GUESS) } else { l.bound as f64 };
            step(l).times(steps).plus(Estimate { saved: 10.0, operations: 8, ..one })
        }
        Kind::Cond(c) => {
            let (a, b) = (block(&c.then), block(&c.other));
            let sum = a.plus(b);
            Estimate { saved: (a.saved + b.saved) / 2.0 + 3.0, kept: (a.kept + b.kept) / 2.0, operations: sum.operations + 4, ..sum }
        }
        _ if !is_native(i) => {
            let time = match &i.kind {
                Kind::Fused(f) => fused_time(f),
                Kind::MatMul(m) => 20.0 + 0.1 * (m.batch * m.a.rows * m.a.cols * m.b.cols) as f64,
                Kind::Call(c) => 30.0 + c.inputs.iter().chain(&c.outputs).map(|t| t.count() as f64).sum::<f64>(),
                Kind::Sweep(s) => 100.0 + s.rows as f64 * 10.0,
                Kind::Loop(_) | Kind::Cond(_) => 0.0,
            };
            // Going out of native code and back.
            Estimate { saved: -3.0, kept: time, operations: 12, handed: 1, ..Estimate::default() }
        }
        Kind::Fused(f) => {
            let operations = f.count * (f.program.len() + f.outs.len());
            Estimate { saved: fused_time(f) - 0.5 * operations as f64, operations, ..one }
        }
        Kind::MatMul(m) => {
            let operations = 2 * m.batch * m.a.rows * m.a.cols * m.b.cols;
            Estimate { saved: 20.0, operations, ..one }
        }
        Kind::Sweep(_) => Estimate::default(),
        Kind::Call(c) => {
            let n: usize = c.inputs.iter().chain(&c.outputs).map(|t| t.count().min(32)).sum();
            Estimate { saved: 15.0, operations: 4 * n, ..one }
        }
    }
}

fn block(b: &Block) -> Estimate {
    b.code.iter().map(instr).fold(Estimate::default(), Estimate::plus)
}

fn step(l: &LoopPlan) -> Estimate {
    let own = Estimate { saved: 5.0 + 2.0 * l.copies.len() as f64, operations: 6 + 2 * l.copies.len(), ..Estimate::default() };
    let test = l.cond.as_ref().map_or(Estimate::default(), |(b, _)| block(b));
    own.plus(test).plus(block(&l.body))
}

/// What is to become of a loop.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Native code pays after so many steps of the interpreter, which need not follow each other (0: at once).
    After(u64),
    /// The interpreter keeps it: why.
    Interpreted(&'static str),
}

/// An outermost loop that may be compiled, or a loop that may not.
#[derive(Clone, Debug, PartialEq)]
pub struct Survey {
    pub label: Arc<str>,
    /// The loop's step counter, which no other loop has.
    pub step: u32,
    pub verdict: Verdict,
    /// Instructions with a native form, and those that are handed back to the interpreter, nested ones included.
    pub native: usize,
    pub handed: usize,
}

/// Is there a loop inside whose steps may run side by side? Native code runs on one thread.
pub(crate) fn has_side_by_side(l: &LoopPlan) -> bool {
    let mut found = false;
    crate::cells::inside_loop(l, &mut |i| found |= matches!(&i.kind, Kind::Loop(l) if l.chunk.is_some()));
    found
}

fn judge(l: &LoopPlan) -> (Verdict, Estimate) {
    let e = step(l);
    if has_side_by_side(l) {
        return (Verdict::Interpreted("a loop inside may run on all cores"), e);
    }
    if e.operations > MOST_OPERATIONS {
        return (Verdict::Interpreted("too long for one function"), e);
    }
    // Where arrays take nearly all the time, compiling is not worth the trouble.
    if e.saved <= 0.0 || e.saved < 0.02 * e.kept {
        return (Verdict::Interpreted("its time goes into arrays"), e);
    }
    let price = COMPILE + COMPILE_OPERATION * e.operations as f64;
    let steps = (price / e.saved).ceil();
    if l.bound as f64 * e.saved < price {
        return (Verdict::Interpreted("too few steps to pay for compiling"), e);
    }
    // A counted loop is sure to run them all; one with a condition has to show that it runs long.
    let after = if l.cond.is_none() { 0 } else { steps as u64 };
    (Verdict::After(after), e)
}

fn survey_block(b: &Block, around: bool, out: &mut Vec<Survey>) {
    for i in &b.code {
        match &i.kind {
            Kind::Loop(l) => {
                let (mut verdict, e) = judge(l);
                if around && verdict == Verdict::Interpreted("too few steps to pay for compiling") {
                    // It may be entered often.
                    let price = COMPILE + COMPILE_OPERATION * e.operations as f64;
                    verdict = Verdict::After((price / e.saved).ceil() as u64);
                }
                // Where its steps run side by side the loops inside are for themselves.
                let stays = l.chunk.is_some() || matches!(verdict, Verdict::Interpreted(_));
                out.push(Survey { label: l.label.clone(), step: l.step, verdict, native: e.native, handed: e.handed });
                if stays {
                    if let Some((c, _)) = &l.cond {
                        survey_block(c, true, out);
                    }
                    survey_block(&l.body, true, out);
                }
            }
            Kind::Cond(c) => {
                survey_block(&c.then, around, out);
                survey_block(&c.other, around, out);
            }
            _ => {}
        }
    }
}

/// The loops of a plan, outermost first, and what is to become of each. Loops inside one that may be compiled are part of
/// it and not listed.
pub fn survey(plan: &Plan) -> Vec<Survey> {
    let mut out = Vec::new();
    survey_block(plan.body(), false, &mut out);
    out
}

/// Work that may pass between two looks at the clock, in operations.
const UNWATCHED: u64 = 200_000;

/// Operations that a block may do without looking at the clock.
fn unwatched(b: &Block) -> u64 {
    b.code
        .iter()
        .map(|i| match &i.kind {
            Kind::Loop(l) => match poll_every(l) {
                Some(every) => (every as u64).saturating_mul(unwatched_step(l)),
                None => (l.bound as u64).saturating_mul(unwatched_step(l)),
            },
            Kind::Cond(c) => unwatched(&c.then).max(unwatched(&c.other)),
            _ => {
                let e = instr(i);
                (e.kept.max(0.0) as u64).saturating_add(e.operations as u64)
            }
        })
        .fold(1, u64::saturating_add)
}

fn unwatched_step(l: &LoopPlan) -> u64 {
    l.cond.as_ref().map_or(0, |(b, _)| unwatched(b)).saturating_add(unwatched(&l.body)).max(1)
}

/// Steps between two looks at the clock inside a nested loop: a power of two; `None` where the loop is short.
pub(crate) fn poll_every(l: &LoopPlan) -> Option<u32> {
    let step = unwatched_step(l);
    if (l.bound as u64).saturating_mul(step) <= UNWATCHED {
        return None;
    }
    let n = (UNWATCHED / step).clamp(1, 4096) as u32;
    Some(if n.is_power_of_two() { n } else { n.next_power_of_two() / 2 })
}

/// Steps of the outermost loop between two returns from native code, at which its caller looks at the clock.
pub(crate) fn return_every(l: &LoopPlan) -> usize {
    (UNWATCHED / unwatched_step(l)).clamp(1, 4096) as usize
}
