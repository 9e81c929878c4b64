//! Following a plan.

use crate::arena::Arena;
use crate::control::{Control, Fault};
use crate::fused::Source;
use crate::linalg::Workspace;
use crate::matmul::{self, Operand};
use crate::reduce::Acc;
use crate::simd::Kernels;
use gradus_ir::Array;
use gradus_plan::{BLOCK, Block, Func, Instr, Kind, LoopPlan, MatMul, Place, Plan, Scalar};
use std::sync::Arc;
use std::time::Instant;

/// A plan with its memory. Runs may follow each other; each gives the same outputs for the same inputs.
pub struct Executor {
    plan: Arc<Plan>,
    memory: Option<Memory>,
}

/// Everything a run writes to, allocated at the first run.
struct Memory {
    arena: Arena,
    scratch: Arena,
    counters: Vec<usize>,
    bases: Vec<Base>,
    sources: Vec<Source>,
    accs: Vec<Acc>,
    loops: Vec<u32>,
    steps: Vec<u64>,
    workspace: Workspace,
    kernels: Kernels,
}

/// The address of a base; those of inputs and literals are only read.
#[derive(Clone, Copy)]
pub(crate) struct Base(*mut f64);

// Addresses are only used during a run, which has its inputs and the executor borrowed.
unsafe impl Send for Memory {}
unsafe impl Sync for Memory {}

/// Counts of things that buffers of the executor must hold.
#[derive(Default)]
struct Sizes<'a> {
    inputs: usize,
    outs: usize,
    depth: usize,
    calls: Vec<&'a Func>,
}

fn measure<'a>(b: &'a Block, depth: usize, s: &mut Sizes<'a>) {
    s.depth = s.depth.max(depth);
    for i in &b.code {
        match &i.kind {
            Kind::Fused(f) => {
                s.inputs = s.inputs.max(f.inputs.len());
                s.outs = s.outs.max(f.outs.len());
            }
            Kind::Call(c) => s.calls.push(&c.func),
            Kind::Loop(l) => {
                if let Some((c, _)) = &l.cond {
                    measure(c, depth + 1, s);
                }
                measure(&l.body, depth + 1, s);
            }
            Kind::Cond(c) => {
                measure(&c.then, depth, s);
                measure(&c.other, depth, s);
            }
            Kind::MatMul(_) => {}
        }
    }
}

/// Bytes of the block registers.
fn registers(plan: &Plan) -> usize {
    (plan.registers() + 1) * BLOCK * 8
}

impl Executor {
    /// Allocates nothing yet.
    pub fn new(plan: Arc<Plan>) -> Executor {
        Executor { plan, memory: None }
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Bytes that runs of the plan hold besides their inputs and outputs: arena, literals, registers, the workspace of
    /// factorizations and the executor's own lists. Known before any run, and the same for each. The library of matrix
    /// products has buffers besides, as large as the caches, made once in every thread that uses it.
    pub fn bytes(&self) -> usize {
        let mut sizes = Sizes::default();
        measure(self.plan.body(), 0, &mut sizes);
        let lists = sizes.inputs * size_of::<Source>() + sizes.outs * size_of::<Acc>() + sizes.depth * size_of::<u32>();
        let counters = self.plan.counters() * (size_of::<usize>() + size_of::<u64>());
        let bases = (1 + self.plan.params().len() + self.plan.literals().len()) * size_of::<Base>();
        let own = lists + counters + bases + Workspace::needs(sizes.calls.into_iter());
        self.plan.peak_bytes().saturating_add(registers(&self.plan) + own)
    }

    /// The steps that each loop did in the last run altogether, at the index of its step counter: what `Plan::work` takes.
    /// Empty before the first run.
    pub fn steps(&self) -> &[u64] {
        self.memory.as_ref().map_or(&[], |m| &m.steps)
    }

    fn allocate(&mut self, limit: Option<usize>) -> Result<(), Fault> {
        let plan = &self.plan;
        let mut needed = plan.peak_bytes().saturating_add(registers(plan));
        let check = |needed: usize| match limit {
            Some(limit) if needed > limit => Err(Fault::Memory { needed, limit }),
            _ => Ok(()),
        };
        check(needed)?;
        if let Some(m) = &self.memory {
            return check(needed + m.workspace.bytes());
        }
        let mut sizes = Sizes::default();
        measure(plan.body(), 0, &mut sizes);
        let none = |needed: usize| Fault::Memory { needed, limit: limit.unwrap_or(0) };
        let workspace = Workspace::new(sizes.calls.into_iter()).ok_or_else(|| none(needed))?;
        needed += workspace.bytes();
        check(needed)?;
        let arena = Arena::new(plan.arena_len()).ok_or_else(|| none(needed))?;
        let scratch = Arena::new((plan.registers() + 1) * BLOCK).ok_or_else(|| none(needed))?;
        for (at, v) in plan.constants() {
            debug_assert!(*at < arena.len());
            // SAFETY: constants lie in the arena.
            unsafe { *arena.as_ptr().add(*at) = *v };
        }
        self.memory = Some(Memory {
            arena,
            scratch,
            counters: vec![0; plan.counters()],
            bases: Vec::with_capacity(1 + plan.params().len() + plan.literals().len()),
            sources: Vec::with_capacity(sizes.inputs),
            accs: Vec::with_capacity(sizes.outs),
            loops: Vec::with_capacity(sizes.depth),
            steps: vec![0; plan.counters()],
            workspace,
            kernels: Kernels::detect(),
        });
        Ok(())
    }

    /// The outputs of the plan for these inputs. Inputs must have the shapes of the plan's parameters.
    pub fn run(&mut self, inputs: &[Array], control: &Control) -> Result<Vec<Array>, Fault> {
        let started = control.started.unwrap_or_else(Instant::now);
        control.check(true)?;
        let plan = self.plan.clone();
        if inputs.len() != plan.params().len() {
            return Err(Fault::Internal(format!("{} inputs for {} parameters", inputs.len(), plan.params().len())));
        }
        for (k, (a, ty)) in inputs.iter().zip(plan.params()).enumerate() {
            if ty.shape.sizes().as_deref() != Some(a.shape.as_slice()) || a.data.len() != a.shape.iter().product::<usize>() {
                return Err(Fault::Internal(format!("input {k} is {}, the plan was made for {ty}", a.ty())));
            }
        }
        self.allocate(control.memory_limit)?;
        let Some(m) = &mut self.memory else { return Err(Fault::Internal("no memory was allocated".into())) };
        m.counters.fill(0);
        m.loops.clear();
        m.steps.fill(0);
        m.bases.clear();
        m.bases.push(Base(m.arena.as_ptr()));
        m.bases.extend(inputs.iter().map(|a| Base(a.data.as_ptr().cast_mut())));
        m.bases.extend(plan.literals().iter().map(|a| Base(a.data.as_ptr().cast_mut())));
        let mut machine = Machine {
            bases: &m.bases,
            counters: &mut m.counters,
            scratch: m.scratch.as_ptr(),
            sources: &mut m.sources,
            accs: &mut m.accs,
            loops: &mut m.loops,
            steps: &mut m.steps,
            workspace: &mut m.workspace,
            kernels: m.kernels,
            control,
            started,
            infinity: None,
        };
        // SAFETY: the plan comes from the planner: its places lie in the arena (allocated for its length), in inputs (whose
        // shapes were just checked) or in literals.
        unsafe { machine.block_of(plan.body())? };
        if let Some(f) = machine.infinity.take() {
            return Err(f);
        }
        let mut out = Vec::with_capacity(plan.outputs().len());
        for o in plan.outputs() {
            let count: usize = o.dims.iter().product();
            // Room is asked for first: an output too large for the machine is a fault, not an abort.
            let room = || -> Result<Vec<f64>, Fault> {
                let mut v = Vec::new();
                let bytes = count.saturating_mul(8);
                v.try_reserve_exact(count).map_err(|_| Fault::Memory { needed: bytes, limit: control.memory_limit.unwrap_or(0) })?;
                Ok(v)
            };
            let data = match o.value {
                Scalar::Imm(v) => {
                    let mut out = room()?;
                    out.resize(count, v);
                    Arc::new(out)
                }
                Scalar::At(p) => match inputs.get((p.base as usize).wrapping_sub(1)) {
                    // An input handed on is shared.
                    Some(a) if p.offset == 0 && a.data.len() == count => a.data.clone(),
                    // SAFETY: as above.
                    _ => {
                        let mut out = room()?;
                        out.extend_from_slice(unsafe { machine.slice(p, count) });
                        Arc::new(out)
                    }
                },
            };
            out.push(Array { dtype: o.ty.dtype, shape: o.dims.clone(), data });
        }
        Ok(out)
    }
}

/// A run under way.
pub(crate) struct Machine<'a> {
    bases: &'a [Base],
    pub counters: &'a mut Vec<usize>,
    /// Registers of `BLOCK` elements.
    pub scratch: *mut f64,
    pub sources: &'a mut Vec<Source>,
    pub accs: &'a mut Vec<Acc>,
    /// Step counters of the loops under way, outermost first.
    pub loops: &'a mut Vec<u32>,
    /// Steps done in this run by the loops that have ended, at the index of their step counter.
    pub steps: &'a mut [u64],
    pub workspace: &'a mut Workspace,
    pub kernels: Kernels,
    control: &'a Control,
    pub started: Instant,
    /// The first infinity of a search for numbers that are not finite.
    pub infinity: Option<Fault>,
}

impl Machine<'_> {
    /// The address of a place. SAFETY: `p` is a place of the plan being run.
    #[inline]
    pub unsafe fn at(&self, p: Place) -> *mut f64 {
        // SAFETY: bases and counters are as many as the plan says; the sum is inside the base's memory.
        unsafe {
            let base = self.bases.get_unchecked(p.base as usize).0;
            let step = *self.counters.get_unchecked(p.counter as usize) as isize;
            base.offset(p.offset as isize + step * p.stride)
        }
    }

    /// SAFETY: `len` elements lie at `p`, and nothing writes to them while the slice is used.
    pub unsafe fn slice(&self, p: Place, len: usize) -> &'static [f64] {
        // SAFETY: the caller's. The lifetime is that of one instruction.
        unsafe { std::slice::from_raw_parts(self.at(p), len) }
    }

    /// SAFETY: `len` elements lie at `p` in the arena, and nothing else uses them while the slice is used.
    pub unsafe fn slice_mut(&self, p: Place, len: usize) -> &'static mut [f64] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.at(p), len) }
    }

    unsafe fn scalar(&self, s: Scalar) -> f64 {
        match s {
            Scalar::Imm(v) => v,
            // SAFETY: a place of the plan.
            Scalar::At(p) => unsafe { *self.at(p) },
        }
    }

    /// SAFETY: `b` is a block of the plan whose memory this machine has.
    unsafe fn block_of(&mut self, b: &Block) -> Result<(), Fault> {
        for i in &b.code {
            // SAFETY: the caller's.
            unsafe { self.instr(i)? };
        }
        Ok(())
    }

    unsafe fn instr(&mut self, i: &Instr) -> Result<(), Fault> {
        // SAFETY: the caller's.
        unsafe {
            match &i.kind {
                Kind::Fused(f) => self.fused(f),
                Kind::MatMul(m) => self.matmul(m),
                Kind::Call(c) => self.call(c, i.origin)?,
                Kind::Loop(l) => return self.run_loop(l),
                Kind::Cond(c) => {
                    let branch = if self.scalar(c.test) != 0.0 { &c.then } else { &c.other };
                    return self.block_of(branch);
                }
            }
            if self.control.trap_nonfinite {
                self.inspect(i)?;
            }
        }
        Ok(())
    }

    unsafe fn matmul(&mut self, m: &MatMul) {
        // SAFETY: the caller's.
        unsafe {
            let (a, b, out) = (self.at(m.a.place).cast_const(), self.at(m.b.place).cast_const(), self.at(m.out));
            let size = m.a.rows * m.b.cols;
            for k in 0..m.batch {
                let (a, b) = (a.offset(k as isize * m.a.batch_stride), b.offset(k as isize * m.b.batch_stride));
                matmul::product(Operand::new(&m.a, a), Operand::new(&m.b, b), out.add(k * size), &self.kernels);
            }
        }
    }

    unsafe fn run_loop(&mut self, l: &LoopPlan) -> Result<(), Fault> {
        // SAFETY: the caller's.
        unsafe {
            self.loops.push(l.step);
            let mut done = 0;
            while done < l.bound {
                self.control.check(done % l.check_every as usize == 0)?;
                self.counters[l.step as usize] = done;
                self.counters[l.parity as usize] = done & 1;
                if let Some(p) = l.index {
                    *self.at(p) = done as f64;
                }
                if let Some((test, s)) = &l.cond {
                    self.block_of(test)?;
                    if self.scalar(*s) == 0.0 {
                        break;
                    }
                }
                self.block_of(&l.body)?;
                for (from, to, len) in &l.copies {
                    let (from, to) = (self.at(*from), self.at(*to));
                    if *len == 1 {
                        *to = *from;
                    } else {
                        std::ptr::copy(from, to, *len);
                    }
                }
                done += 1;
            }
            self.loops.pop();
            self.steps[l.step as usize] += done as u64;
            self.counters[l.step as usize] = 0;
            self.counters[l.parity as usize] = 0;
            if done & 1 == 1 {
                let arena = self.bases[Place::ARENA as usize].0;
                for s in &l.swaps {
                    std::ptr::copy_nonoverlapping(arena.add(s.b), arena.add(s.a), s.len);
                }
            }
            for (p, len) in &l.collected {
                if done < l.bound {
                    std::slice::from_raw_parts_mut(self.at(*p).add(done * len), (l.bound - done) * len).fill(0.0);
                }
            }
            if let Some(p) = l.done {
                *self.at(p) = done as f64;
            }
        }
        Ok(())
    }
}
