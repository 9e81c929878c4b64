//! Following a plan.

use crate::arena::Arena;
use crate::control::{Control, Fault};
use crate::fused::Source;
use crate::linalg::Workspace;
use crate::matmul::{self, Operand};
use crate::real::Real;
use crate::reduce::Acc;
use crate::simd::Kernels;
use gradus_ir::{Array, Precision};
use gradus_plan::{BLOCK, Block, Func, Instr, Kind, LoopPlan, MatMul, Place, Plan, Scalar, Whole};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// A plan with its memory. Runs may follow each other; each gives the same outputs for the same inputs.
pub struct Executor {
    plan: Arc<Plan>,
    memory: Memory,
}

/// Everything a run writes to, allocated at the first run.
enum Memory {
    Double(Option<Box<Typed<f64>>>),
    Single(Option<Box<Typed<f32>>>),
}

struct Typed<T: Real> {
    arena: Arena<T>,
    scratch: Arena<T>,
    counters: Vec<usize>,
    bases: Vec<Base<T>>,
    /// The numbers of inputs and literals as they were given.
    given: Vec<*const f64>,
    inputs: Vec<Converted<T>>,
    literals: Vec<Converted<T>>,
    sources: Vec<Source<T>>,
    accs: Vec<Acc<T>>,
    loops: Vec<u32>,
    steps: Vec<u64>,
    workspace: Workspace<T>,
    kernels: Kernels<T>,
}

/// The address of a base; those of inputs and literals are only read.
#[derive(Clone, Copy)]
pub(crate) struct Base<T>(*mut T);

// Addresses are only used during a run, which has its inputs and the executor borrowed.
unsafe impl<T: Real> Send for Typed<T> {}
unsafe impl<T: Real> Sync for Typed<T> {}

/// The numbers of an array that this run reads, in the run's type: where that is another one, they are converted when
/// another array comes than last time. The weak pointer keeps the address from meaning another array.
struct Converted<T> {
    of: Weak<Vec<f64>>,
    data: Vec<T>,
}

impl<T: Real> Converted<T> {
    fn new() -> Converted<T> {
        Converted { of: Weak::new(), data: Vec::new() }
    }

    fn base(&mut self, a: &Array, whole: Whole) -> Base<T> {
        if let Some(data) = T::share(&a.data) {
            return Base(data.as_ptr().cast_mut());
        }
        if self.of.as_ptr() != Arc::as_ptr(&a.data) {
            self.data.clear();
            match whole {
                Whole::Key => self.data.extend(a.data.iter().map(|x| T::of_word(*x as u32))),
                Whole::Free | Whole::Exact => self.data.extend(a.data.iter().map(|x| T::of(*x))),
            }
            self.of = Arc::downgrade(&a.data);
        }
        Base(self.data.as_mut_ptr())
    }
}

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

impl Executor {
    /// Allocates nothing yet.
    pub fn new(plan: Arc<Plan>) -> Executor {
        let memory = match plan.precision() {
            Precision::F64 => Memory::Double(None),
            Precision::F32 => Memory::Single(None),
        };
        Executor { plan, memory }
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Bytes that runs of the plan hold besides their inputs and outputs: arena, literals, registers, the workspace of
    /// factorizations and the executor's own lists; at single precision also the converted inputs and literals. Known before
    /// any run, and the same for each. The library of matrix products has buffers besides, as large as the caches, made once
    /// in every thread that uses it.
    pub fn bytes(&self) -> usize {
        match self.plan.precision() {
            Precision::F64 => bytes::<f64>(&self.plan),
            Precision::F32 => bytes::<f32>(&self.plan),
        }
    }

    /// The steps that each loop did in the last run altogether, at the index of its step counter: what `Plan::work` takes.
    /// Empty before the first run.
    pub fn steps(&self) -> &[u64] {
        match &self.memory {
            Memory::Double(m) => m.as_ref().map_or(&[], |m| &m.steps),
            Memory::Single(m) => m.as_ref().map_or(&[], |m| &m.steps),
        }
    }

    /// The outputs of the plan for these inputs. Inputs must have the shapes of the plan's parameters.
    pub fn run(&mut self, inputs: &[Array], control: &Control) -> Result<Vec<Array>, Fault> {
        let started = control.started.unwrap_or_else(Instant::now);
        control.check(true)?;
        let plan = &*self.plan;
        if inputs.len() != plan.params().len() {
            return Err(Fault::Internal(format!("{} inputs for {} parameters", inputs.len(), plan.params().len())));
        }
        for (k, (a, ty)) in inputs.iter().zip(plan.params()).enumerate() {
            if ty.shape.sizes().as_deref() != Some(a.shape.as_slice()) || a.data.len() != a.shape.iter().product::<usize>() {
                return Err(Fault::Internal(format!("input {k} is {}, the plan was made for {ty}", a.ty())));
            }
        }
        for (a, whole) in inputs.iter().zip(plan.whole()) {
            let fits = |x: &f64| match whole {
                Whole::Free => true,
                Whole::Exact => !x.is_finite() || f64::from(*x as f32) == *x,
                Whole::Key => f64::from(*x as u32) == *x,
            };
            if let Some(x) = a.data.iter().find(|x| !fits(x)) {
                return Err(Fault::Whole { value: *x });
            }
        }
        match &mut self.memory {
            Memory::Double(m) => ready(m, plan, control.memory_limit)?.run(plan, inputs, control, started),
            Memory::Single(m) => ready(m, plan, control.memory_limit)?.run(plan, inputs, control, started),
        }
    }
}

/// Bytes of the arena, the literals, the registers, and of what is converted to the run's type.
fn data_bytes<T: Real>(plan: &Plan) -> usize {
    let registers = (plan.registers() + 1) * BLOCK * size_of::<T>();
    let known = plan.peak_bytes().saturating_add(registers);
    if T::PRECISION == Precision::F64 {
        return known;
    }
    let inputs = plan.params().iter().map(|t| t.shape.sizes().unwrap_or_default().iter().fold(1usize, |n, d| n.saturating_mul(*d)));
    let literals = plan.literals().iter().map(|l| l.len());
    inputs.chain(literals).fold(known, |sum, n| sum.saturating_add(n.saturating_mul(size_of::<T>())))
}

fn bytes<T: Real>(plan: &Plan) -> usize {
    let mut sizes = Sizes::default();
    measure(plan.body(), 0, &mut sizes);
    let lists = sizes.inputs * size_of::<Source<T>>() + sizes.outs * size_of::<Acc<T>>() + sizes.depth * size_of::<u32>();
    let counters = plan.counters() * (size_of::<usize>() + size_of::<u64>());
    let arrays = plan.params().len() + plan.literals().len();
    let bases = (1 + arrays) * size_of::<Base<T>>() + arrays * (size_of::<Converted<T>>() + size_of::<*const f64>());
    let own = lists + counters + bases + size_of::<Typed<T>>() + Workspace::<T>::needs(sizes.calls.into_iter());
    data_bytes::<T>(plan).saturating_add(own)
}

/// The memory of the plan, allocated where it is not there yet.
fn ready<'a, T: Real>(m: &'a mut Option<Box<Typed<T>>>, plan: &Plan, limit: Option<usize>) -> Result<&'a mut Typed<T>, Fault> {
    let mut needed = data_bytes::<T>(plan);
    let check = |needed: usize| match limit {
        Some(limit) if needed > limit => Err(Fault::Memory { needed, limit }),
        _ => Ok(()),
    };
    check(needed)?;
    match m {
        Some(m) => check(needed + m.workspace.bytes())?,
        None => {
            let mut sizes = Sizes::default();
            measure(plan.body(), 0, &mut sizes);
            let none = |needed: usize| Fault::Memory { needed, limit: limit.unwrap_or(0) };
            let workspace = Workspace::new(sizes.calls.into_iter()).ok_or_else(|| none(needed))?;
            needed += workspace.bytes();
            check(needed)?;
            let arena = Arena::<T>::new(plan.arena_len()).ok_or_else(|| none(needed))?;
            let scratch = Arena::new((plan.registers() + 1) * BLOCK).ok_or_else(|| none(needed))?;
            for (at, v) in plan.constants() {
                debug_assert!(*at < arena.len());
                // SAFETY: constants lie in the arena.
                unsafe { *arena.as_ptr().add(*at) = T::constant(*v) };
            }
            let (params, literals) = (plan.params().len(), plan.literals().len());
            *m = Some(Box::new(Typed {
                arena,
                scratch,
                counters: vec![0; plan.counters()],
                bases: Vec::with_capacity(1 + params + literals),
                given: Vec::with_capacity(params + literals),
                inputs: (0..params).map(|_| Converted::new()).collect(),
                literals: (0..literals).map(|_| Converted::new()).collect(),
                sources: Vec::with_capacity(sizes.inputs),
                accs: Vec::with_capacity(sizes.outs),
                loops: Vec::with_capacity(sizes.depth),
                steps: vec![0; plan.counters()],
                workspace,
                kernels: Kernels::detect(),
            }));
        }
    }
    m.as_deref_mut().ok_or_else(|| Fault::Internal("no memory was allocated".into()))
}

impl<T: Real> Typed<T> {
    fn run(&mut self, plan: &Plan, inputs: &[Array], control: &Control, started: Instant) -> Result<Vec<Array>, Fault> {
        self.counters.fill(0);
        self.loops.clear();
        self.steps.fill(0);
        self.bases.clear();
        self.bases.push(Base(self.arena.as_ptr()));
        self.bases.extend(self.inputs.iter_mut().zip(inputs).zip(plan.whole()).map(|((c, a), w)| c.base(a, *w)));
        self.bases.extend(self.literals.iter_mut().zip(plan.literals()).map(|(c, a)| c.base(a, Whole::Free)));
        self.given.clear();
        self.given.extend(inputs.iter().chain(plan.literals().iter().map(|l| &**l)).map(|a| a.data.as_ptr()));
        let mut machine = Machine {
            bases: &self.bases,
            given: &self.given,
            counters: &mut self.counters,
            scratch: self.scratch.as_ptr(),
            sources: &mut self.sources,
            accs: &mut self.accs,
            loops: &mut self.loops,
            steps: &mut self.steps,
            workspace: &mut self.workspace,
            kernels: self.kernels,
            control,
            started,
            infinity: None,
        };
        // SAFETY: the plan comes from the planner: its places lie in the arena (allocated for its length), in inputs (whose
        // shapes were checked) or in literals.
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
                    out.resize(count, T::constant(v).wide());
                    Arc::new(out)
                }
                Scalar::At(p) => match inputs.get((p.base as usize).wrapping_sub(1)) {
                    // An input handed on is shared.
                    Some(a) if p.offset == 0 && a.data.len() == count => a.data.clone(),
                    // SAFETY: as above.
                    _ => {
                        let mut out = room()?;
                        let found = unsafe { machine.slice(p, count) };
                        match o.whole {
                            Whole::Key => out.extend(found.iter().map(|x| f64::from(x.word()))),
                            Whole::Free => out.extend(found.iter().map(|x| x.wide())),
                            Whole::Exact => {
                                // From the last exact whole number on, counting stands still.
                                if let Some(x) = found.iter().find(|x| x.abs().wide() >= T::PRECISION.whole()) {
                                    return Err(Fault::Whole { value: x.wide() });
                                }
                                out.extend(found.iter().map(|x| x.wide()));
                            }
                        }
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
pub(crate) struct Machine<'a, T: Real> {
    bases: &'a [Base<T>],
    given: &'a [*const f64],
    pub counters: &'a mut Vec<usize>,
    /// Registers of `BLOCK` elements.
    pub scratch: *mut T,
    pub sources: &'a mut Vec<Source<T>>,
    pub accs: &'a mut Vec<Acc<T>>,
    /// Step counters of the loops under way, outermost first.
    pub loops: &'a mut Vec<u32>,
    /// Steps done in this run by the loops that have ended, at the index of their step counter.
    pub steps: &'a mut [u64],
    pub workspace: &'a mut Workspace<T>,
    pub kernels: Kernels<T>,
    control: &'a Control,
    pub started: Instant,
    /// The first infinity of a search for numbers that are not finite.
    pub infinity: Option<Fault>,
}

impl<T: Real> Machine<'_, T> {
    /// The address of a place. SAFETY: `p` is a place of the plan being run.
    #[inline]
    pub unsafe fn at(&self, p: Place) -> *mut T {
        // SAFETY: bases and counters are as many as the plan says; the sum is inside the base's memory.
        unsafe {
            let base = self.bases.get_unchecked(p.base as usize).0;
            let step = *self.counters.get_unchecked(p.counter as usize) as isize;
            base.offset(p.offset as isize + step * p.stride)
        }
    }

    /// SAFETY: `len` elements lie at `p`, and nothing writes to them while the slice is used.
    pub unsafe fn slice(&self, p: Place, len: usize) -> &'static [T] {
        // SAFETY: the caller's. The lifetime is that of one instruction.
        unsafe { std::slice::from_raw_parts(self.at(p), len) }
    }

    /// SAFETY: `len` elements lie at `p` in the arena, and nothing else uses them while the slice is used.
    pub unsafe fn slice_mut(&self, p: Place, len: usize) -> &'static mut [T] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.at(p), len) }
    }

    /// A whole number as it was given, where it is an input or a literal. SAFETY: as for `at`.
    pub unsafe fn given(&self, p: Place) -> f64 {
        // SAFETY: the caller's; there is a given array for every base but the arena.
        unsafe {
            match (p.base as usize).checked_sub(1) {
                Some(k) => {
                    let step = *self.counters.get_unchecked(p.counter as usize) as isize;
                    *self.given[k].offset(p.offset as isize + step * p.stride)
                }
                None => (*self.at(p)).wide(),
            }
        }
    }

    unsafe fn scalar(&self, s: Scalar) -> T {
        match s {
            Scalar::Imm(v) => T::constant(v),
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
                    let branch = if self.scalar(c.test) != T::ZERO { &c.then } else { &c.other };
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
                    *self.at(p) = T::of(done as f64);
                }
                if let Some((test, s)) = &l.cond {
                    self.block_of(test)?;
                    if self.scalar(*s) == T::ZERO {
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
                    std::slice::from_raw_parts_mut(self.at(*p).add(done * len), (l.bound - done) * len).fill(T::ZERO);
                }
            }
            if let Some(p) = l.done {
                *self.at(p) = T::of(done as f64);
            }
        }
        Ok(())
    }
}
