//! The second tier: loops that have shown that they run long go on as native code, and large elementwise instructions are
//! vector code.

use crate::control::{Control, Fault, NativeCode};
use crate::elementwise::lane1;
use crate::executor::Machine;
use crate::real::Real;
use crate::vectors::{self, Compiled};
use gradus_ir::{BinaryOp, Precision, UnaryOp};
use gradus_native::vector::Level;
use gradus_native::{Ended, Float, Host, Memory, Native, Verdict};
use gradus_plan::{Block, Fused, Instr, Kind, LaneOp, LoopPlan, Plan, Task};
use std::ffi::c_void;
use std::fmt::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which loops of a plan become native code, and why others do not: a line for each.
pub fn tiers(plan: &Plan) -> String {
    let mut out = String::new();
    for s in gradus_native::survey(plan) {
        let handed = if s.handed == 0 { String::new() } else { format!(", {} handed back", s.handed) };
        let _ = match s.verdict {
            Verdict::After(0) => writeln!(out, "loop {}: native code, {} instructions{handed}", s.label, s.native),
            Verdict::After(n) => {
                writeln!(out, "loop {}: native code after {n} steps, {} instructions{handed}", s.label, s.native)
            }
            Verdict::Interpreted(why) => writeln!(out, "loop {}: interpreted, {why}", s.label),
        };
    }
    out
}

/// What is known of a loop.
struct State {
    /// Steps that the interpreter is still to run; `u64::MAX` where it keeps the loop.
    left: AtomicU64,
    /// The code, once made; `None` where none could be.
    code: OnceLock<Option<Box<Native>>>,
}

/// The loops of a plan and the code made for them, kept from run to run; shared by the threads of a run. Which steps run
/// where may depend on who comes first, and changes no bit.
#[derive(Default)]
pub(crate) struct Tier {
    mode: NativeCode,
    /// By the loop's step counter; empty before the first run.
    loops: Vec<State>,
    /// By the number of the fused instruction.
    vectors: Vec<Option<Box<Compiled>>>,
}

/// Elements times lanes from which on vector code for a fused instruction is worth the time to make it.
const WORTH: f64 = 300_000.0;
/// Instructions on fewer elements are left to the interpreter.
const SHORT: usize = 32;
/// Steps that a loop with a condition is taken to run where nothing is known.
const GUESS: usize = 100;

/// Calls `f(instruction, how often it runs)` for the fused instructions of a block that runs so many times.
fn each_fused(b: &Block, times: f64, f: &mut dyn FnMut(&Fused, f64)) {
    for i in &b.code {
        match &i.kind {
            Kind::Fused(x) => f(x, times),
            Kind::Sweep(s) => {
                for step in &s.steps {
                    if let Task::Fused { fused, .. } = &step.task {
                        f(fused, times);
                    }
                }
            }
            Kind::Loop(l) => {
                let steps = if l.cond.is_some() { l.bound.min(GUESS) } else { l.bound };
                let times = times * steps as f64;
                if let Some((c, _)) = &l.cond {
                    each_fused(c, times, f);
                }
                each_fused(&l.body, times, f);
            }
            Kind::Cond(c) => {
                each_fused(&c.then, times, f);
                each_fused(&c.other, times, f);
            }
            Kind::MatMul(_) | Kind::Call(_) => {}
        }
    }
}

impl Tier {
    /// Bytes of the list of loops.
    pub fn bytes(plan: &Plan) -> usize {
        plan.counters() * size_of::<State>()
    }

    /// Decides about the plan's loops and makes the vector code, once.
    pub fn prepare<T: Real>(&mut self, plan: &Plan, control: &Control) {
        let mode = if control.trap_nonfinite { NativeCode::Off } else { control.native };
        if mode == self.mode && self.loops.len() == plan.counters() {
            return;
        }
        self.mode = mode;
        let start = if mode == NativeCode::On { 0 } else { u64::MAX };
        self.loops = (0..plan.counters()).map(|_| State { left: AtomicU64::new(start), code: OnceLock::new() }).collect();
        if mode == NativeCode::Auto {
            for s in gradus_native::survey(plan) {
                if let (Verdict::After(steps), Some(state)) = (s.verdict, self.loops.get_mut(s.step as usize)) {
                    *state.left.get_mut() = steps;
                }
            }
        }
        self.vectors.clear();
        if mode != NativeCode::Off
            && let Some(level) = Level::detect()
        {
            each_fused(plan.body(), 1.0, &mut |f, times| {
                let enough = mode == NativeCode::On || f.count >= SHORT && times * (f.count * f.program.len()) as f64 >= WORTH;
                let made = if enough && f.count > 1 { vectors::compile::<T>(f, level) } else { None };
                let k = f.number as usize;
                if self.vectors.len() <= k {
                    self.vectors.resize_with(k + 1, || None);
                }
                self.vectors[k] = made.map(Box::new);
            });
        }
    }

    /// The vector code of a fused instruction, if it has some.
    #[inline]
    pub fn vector(&self, f: &Fused) -> Option<&Compiled> {
        self.vectors.get(f.number as usize)?.as_deref()
    }

    /// Steps that the interpreter runs before native code takes over.
    pub fn switch(&self, step: u32) -> usize {
        let Some(s) = self.loops.get(step as usize) else { return usize::MAX };
        match s.code.get() {
            Some(Some(_)) => 0,
            Some(None) => usize::MAX,
            None => usize::try_from(s.left.load(Ordering::Relaxed)).unwrap_or(usize::MAX),
        }
    }

    /// Notes that the loop has run so many steps.
    pub fn ran(&self, step: u32, steps: usize) {
        if let Some(s) = self.loops.get(step as usize) {
            let left = s.left.load(Ordering::Relaxed);
            if left != u64::MAX {
                s.left.store(left.saturating_sub(steps as u64), Ordering::Relaxed);
            }
        }
    }

    /// The loop's code, made now if need be.
    fn code<T: Real>(&self, plan: &Plan, step: u32) -> Option<&Native> {
        // What cannot be compiled stays with the interpreter.
        let made = self.loops.get(step as usize)?.code.get_or_init(|| {
            gradus_native::compile(plan, step, &host::<T>()).ok().map(Box::new)
        });
        made.as_deref()
    }
}

/// What the functions of the host are given.
struct Context<'a, 'm, T: Real> {
    machine: &'a mut Machine<'m, T>,
    fault: Option<Fault>,
}

impl<T: Real> Machine<'_, T> {
    /// Runs the loop from step `from` to its end; `None` where there is no code for it. The number of steps done.
    ///
    /// SAFETY: the machine's memory is as before step `from` of the loop.
    pub(crate) unsafe fn native_steps(&mut self, l: &LoopPlan, from: usize) -> Result<Option<usize>, Fault> {
        let Some(native) = self.native.code::<T>(self.plan, l.step) else { return Ok(None) };
        let memory =
            Memory { bases: self.bases.as_ptr().cast(), counters: self.counters.as_mut_ptr(), steps: self.steps.as_mut_ptr() };
        // SAFETY: the caller's.
        unsafe {
            let mut context = Context { machine: self, fault: None };
            let mut done = from;
            let ended = loop {
                context.machine.control.check(true)?;
                let to = l.bound.min(done + native.every());
                match native.run(std::ptr::from_mut(&mut context).cast(), memory, done, to) {
                    Ended::More(n) if n < l.bound => done = n,
                    Ended::More(n) | Ended::Stopped(n) => break Some(n),
                    Ended::Failed => break None,
                }
            };
            let fault = context.fault.take();
            for c in native.counters() {
                self.counters[*c as usize] = 0;
            }
            match ended {
                Some(done) => Ok(Some(done)),
                None => Err(fault.unwrap_or_else(|| Fault::Internal("native code failed without saying why".into()))),
            }
        }
    }
}

extern "C" fn instr<T: Real>(context: *mut c_void, i: *const Instr) -> i64 {
    // SAFETY: native code hands on the context of `native_steps` and an instruction of the plan being run.
    unsafe {
        let context = &mut *context.cast::<Context<T>>();
        match context.machine.instr(&*i) {
            Ok(()) => 0,
            Err(f) => {
                context.fault = Some(f);
                1
            }
        }
    }
}

extern "C" fn outside<T: Real>(context: *mut c_void, i: *const Instr, index: f64, len: u64) -> i64 {
    // SAFETY: as in `instr`.
    unsafe {
        let context = &mut *context.cast::<Context<T>>();
        context.fault = Some(Fault::Index { origin: (*i).origin, index, len: len as usize });
    }
    1
}

extern "C" fn poll<T: Real>(context: *mut c_void) -> i64 {
    // SAFETY: as in `instr`.
    let context = unsafe { &mut *context.cast::<Context<T>>() };
    match context.machine.control.check(true) {
        Ok(()) => 0,
        Err(f) => {
            context.fault = Some(f);
            1
        }
    }
}

extern "C" fn copy<T: Real>(from: *const T, to: *mut T, len: u64) {
    // SAFETY: carries of the plan, inside the arena.
    unsafe { std::ptr::copy(from, to, len as usize) }
}

extern "C" fn zero<T: Real>(at: *mut T, len: u64) {
    // SAFETY: rows of a collected array of the plan.
    unsafe { std::slice::from_raw_parts_mut(at, len as usize).fill(T::ZERO) }
}

/// The address of the function that the interpreter uses for an op.
fn unary<T: Real>(op: UnaryOp) -> usize {
    macro_rules! table {
        ($($op:ident)*) => {
            match op {
                $(UnaryOp::$op => {
                    extern "C" fn f<T: Real>(a: T) -> T {
                        lane1(LaneOp::Unary(UnaryOp::$op), [a, T::ZERO, T::ZERO, T::ZERO])
                    }
                    f::<T> as *const () as usize
                })*
            }
        };
    }
    table!(Neg Abs Sign Square Recip Sqrt Exp Expm1 Log Log1p Sin Cos Tan Asin Acos Atan Sinh Cosh Tanh Sigmoid Softplus
        Erf Lgamma Digamma Trigamma Floor Ceil Round Not IsNan IsFinite ToReal StopGrad ToInt)
}

fn binary<T: Real>(op: BinaryOp) -> usize {
    macro_rules! table {
        ($($op:ident)*) => {
            match op {
                $(BinaryOp::$op => {
                    extern "C" fn f<T: Real>(a: T, b: T) -> T {
                        lane1(LaneOp::Binary(BinaryOp::$op), [a, b, T::ZERO, T::ZERO])
                    }
                    f::<T> as *const () as usize
                })*
            }
        };
    }
    table!(Add Sub Mul Div Pow Mod Max Min Atan2 Hypot Lt Le Gt Ge Eq Ne And Or)
}

/// The functions of this executor.
fn host<T: Real>() -> Host {
    Host {
        float: match T::PRECISION {
            Precision::F64 => Float::F64,
            Precision::F32 => Float::F32,
        },
        unary: unary::<T>,
        binary: binary::<T>,
        instr: instr::<T> as *const () as usize,
        outside: outside::<T> as *const () as usize,
        poll: poll::<T> as *const () as usize,
        copy: copy::<T> as *const () as usize,
        zero: zero::<T> as *const () as usize,
    }
}
