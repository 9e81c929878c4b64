//! From a loop to a function that can be called.

use crate::cells::{self, Cells};
use crate::cost;
use crate::emit::{self, Emit, Numbers};
use crate::host::Host;
use crate::live;
use cranelift_codegen::settings::{self, Configurable};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::{JITBuilder, JITModule};
use cranelift_module::{Module, default_libcall_names};
use gradus_plan::{Kind, Plan};
use std::ffi::c_void;

/// Why a loop has no native code.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The plan has no such loop, or the loop has too many values.
    Unsuitable,
    /// No code can be made for this machine, or the code generator failed: what it said.
    Generator(String),
}

/// How a call of native code ended, and how many steps are done then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// At the step it was to run to.
    More(usize),
    /// The loop's condition did not hold at this step.
    Stopped(usize),
    /// A function of the host failed.
    Failed,
}

type Function = unsafe extern "C" fn(*mut c_void, *const *mut c_void, *mut usize, *mut u64, u64, u64) -> i64;

/// The executor's memory, as the interpreter has it.
#[derive(Clone, Copy)]
pub struct Memory {
    /// Addresses of the plan's bases.
    pub bases: *const *mut c_void,
    /// The plan's counters.
    pub counters: *mut usize,
    /// Steps done by loops that have ended, at the index of their step counter; native code adds those inside its own.
    pub steps: *mut u64,
}

/// Steps of a loop as machine code.
pub struct Native {
    /// Holds the code; gone only while this is dropped.
    module: Option<JITModule>,
    /// Read by the code.
    _numbers: Numbers,
    function: Function,
    /// Counters of the loops inside, to be zero again after a run.
    counters: Vec<u32>,
    every: usize,
    bytes: usize,
}

// The code is not changed after it was made.
unsafe impl Send for Native {}
unsafe impl Sync for Native {}

impl Drop for Native {
    fn drop(&mut self) {
        if let Some(m) = self.module.take() {
            // SAFETY: the function is only called through `self`.
            unsafe { m.free_memory() }
        }
    }
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Native({} bytes)", self.bytes)
    }
}

impl Native {
    /// Counters that the code may leave at other values than it found.
    pub fn counters(&self) -> &[u32] {
        &self.counters
    }

    /// Steps to run in one call, so that limits of time are noticed.
    pub fn every(&self) -> usize {
        self.every
    }

    /// Bytes of machine code.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Runs the steps `from..to`.
    ///
    /// # Safety
    /// The memory is that of the plan that was compiled, which still lives, with the loop's state as before step `from`;
    /// `context` is what the host expects.
    pub unsafe fn run(&self, context: *mut c_void, m: Memory, from: usize, to: usize) -> Ended {
        // SAFETY: the caller's.
        let result = unsafe { (self.function)(context, m.bases, m.counters, m.steps, from as u64, to as u64) };
        let done = (result >> 2) as usize;
        match result & 3 {
            emit::MORE => Ended::More(done),
            emit::STOPPED => Ended::Stopped(done),
            _ => Ended::Failed,
        }
    }
}

fn generator(e: impl std::fmt::Display) -> Refusal {
    Refusal::Generator(e.to_string())
}

/// Compiles the loop of the plan whose step counter is `step`. Addresses of the plan's instructions become part of the
/// code: it must not be run after the plan is gone.
pub fn compile(plan: &Plan, step: u32, host: &Host) -> Result<Native, Refusal> {
    let mut root = None;
    cells::each_instr(plan.body(), &mut |i| {
        if matches!(&i.kind, Kind::Loop(l) if l.step == step) {
            root = Some(i);
        }
    });
    let Some(root) = root else { return Err(Refusal::Unsuitable) };
    let Kind::Loop(l) = &root.kind else { return Err(Refusal::Unsuitable) };
    if cost::has_side_by_side(l) {
        return Err(Refusal::Unsuitable);
    }
    let cells = Cells::new(plan, root).ok_or(Refusal::Unsuitable)?;
    let wanted = live::wanted(plan, &cells, l);

    let mut flags = settings::builder();
    for (name, value) in [
        ("opt_level", "speed"),
        ("is_pic", "false"),
        ("use_colocated_libcalls", "false"),
        ("enable_verifier", if cfg!(debug_assertions) { "true" } else { "false" }),
        ("unwind_info", "false"),
        ("enable_probestack", "false"),
    ] {
        flags.set(name, value).map_err(generator)?;
    }
    let isa = cranelift_native::builder().map_err(generator)?.finish(settings::Flags::new(flags)).map_err(generator)?;
    let (pointer, conv) = (isa.pointer_type(), isa.default_call_conv());
    if pointer.bytes() != 8 {
        return Err(Refusal::Generator("addresses are not 64 bits long".into()));
    }
    let mut module = JITModule::new(JITBuilder::with_isa(isa, default_libcall_names()));
    let mut scratch = FunctionBuilderContext::new();
    let mut context = module.make_context();
    let mut asks = false;
    cells::inside_loop(l, &mut |i| asks |= matches!(&i.kind, Kind::Loop(l) if cost::poll_every(l).is_some()));
    let asker = if asks {
        context.func.signature = emit::asking(pointer);
        let mut b = FunctionBuilder::new(&mut context.func, &mut scratch);
        emit::ask(&mut b, host, pointer, conv);
        b.finalize(module.target_config());
        let id = module.declare_anonymous_function(&context.func.signature);
        match id.and_then(|id| module.define_function(id, &mut context).map(|()| id)) {
            Ok(id) => Some(id),
            Err(e) => {
                // SAFETY: nothing of it was ever called.
                unsafe { module.free_memory() };
                return Err(generator(e));
            }
        }
    } else {
        None
    };
    module.clear_context(&mut context);
    context.func.signature = emit::signature(pointer, conv);
    let asker = asker.map(|id| module.declare_func_in_func(id, &mut context.func));
    let mut b = FunctionBuilder::new(&mut context.func, &mut scratch);
    let mut numbers = Numbers::new();
    let written = Emit::function(&mut b, plan, &cells, &wanted, host, pointer, conv, root, &mut numbers, asker);
    let made = match written {
        Some(()) => {
            b.finalize(module.target_config());
            let id = module.declare_anonymous_function(&context.func.signature).map_err(generator);
            id.and_then(|id| module.define_function(id, &mut context).map_err(generator).map(|()| id))
        }
        None => Err(Refusal::Unsuitable),
    };
    let bytes = context.compiled_code().map_or(0, |c| c.code_buffer().len());
    let made = made.and_then(|id| module.finalize_definitions().map_err(generator).map(|()| id));
    match made {
        Ok(id) => {
            let code = module.get_finalized_function(id);
            // SAFETY: the function was made with this signature, in the machine's calling convention.
            let function = unsafe { std::mem::transmute::<*const u8, Function>(code) };
            Ok(Native {
                module: Some(module),
                _numbers: numbers,
                function,
                counters: cells.counters.iter().copied().collect(),
                every: cost::return_every(l),
                bytes,
            })
        }
        Err(e) => {
            // SAFETY: nothing of it was ever called.
            unsafe { module.free_memory() };
            Err(e)
        }
    }
}
