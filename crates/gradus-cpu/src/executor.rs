//! Following a plan.

use crate::arena::Arena;
use crate::control::{Control, Fault};
use crate::fused::Source;
use crate::linalg::Workspace;
use crate::native::Tier;
use crate::real::Real;
use crate::reduce::Acc;
use crate::simd::Kernels;
use crate::worker::{Address, Base, Sizes, Worker};
use gradus_ir::{Array, Precision, ReduceOp};
use gradus_plan::{Block, Instr, Kind, LoopPlan, Place, Plan, Scalar, Whole};
use rayon::ThreadPool;
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
    /// The numbers of inputs and literals as they were given.
    given: Vec<*const f64>,
    inputs: Vec<Converted<T>>,
    literals: Vec<Converted<T>>,
    worker: Worker<T>,
    /// One for each thread of the pool, once a run has had one.
    crew: Vec<Worker<T>>,
    kernels: Kernels<T>,
    native: Tier,
    /// The crew for which the bytes were last counted, and their number.
    said: (usize, usize),
}

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
    /// any run, and the same for each on one thread. Native code comes besides. The library of matrix products has buffers, too, as large as the caches, made once
    /// in every thread that uses it.
    pub fn bytes(&self) -> usize {
        self.bytes_with(1)
    }

    /// The same where runs may use so many threads; each has registers and a workspace.
    pub fn bytes_with(&self, threads: usize) -> usize {
        match self.plan.precision() {
            Precision::F64 => bytes::<f64>(&self.plan, threads),
            Precision::F32 => bytes::<f32>(&self.plan, threads),
        }
    }

    /// The steps that each loop did in the last run altogether, at the index of its step counter: what `Plan::work` takes.
    /// Empty before the first run.
    pub fn steps(&self) -> &[u64] {
        match &self.memory {
            Memory::Double(m) => m.as_ref().map_or(&[], |m| &m.worker.steps),
            Memory::Single(m) => m.as_ref().map_or(&[], |m| &m.worker.steps),
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
        // No thread is started for a plan without large instructions.
        let pool = control.threads.as_deref().filter(|_| plan.is_parallel()).and_then(|t| t.pool());
        let (crew, limit) = (pool.map_or(0, |p| p.current_num_threads()), control.memory_limit);
        match &mut self.memory {
            Memory::Double(m) => ready(m, plan, crew, limit)?.run(plan, inputs, control, started, pool),
            Memory::Single(m) => ready(m, plan, crew, limit)?.run(plan, inputs, control, started, pool),
        }
    }
}

/// Bytes of the arena, the literals, and of what is converted to the run's type.
fn data_bytes<T: Real>(plan: &Plan) -> usize {
    let known = plan.peak_bytes();
    if T::PRECISION == Precision::F64 {
        return known;
    }
    let inputs = plan.params().iter().map(|t| t.shape.sizes().unwrap_or_default().iter().fold(1usize, |n, d| n.saturating_mul(*d)));
    let literals = plan.literals().iter().map(|l| l.len());
    inputs.chain(literals).fold(known, |sum, n| sum.saturating_add(n.saturating_mul(size_of::<T>())))
}

fn bytes<T: Real>(plan: &Plan, threads: usize) -> usize {
    let converted = (plan.params().len() + plan.literals().len()) * (size_of::<Converted<T>>() + size_of::<*const f64>());
    let crew = if plan.is_parallel() && threads > 1 { threads } else { 0 };
    // The memory of one worker is in the plan's own statement.
    let local = crew.saturating_mul(plan.local_len()).saturating_mul(size_of::<T>());
    let workers = Sizes::of(plan).bytes::<T>(plan).saturating_mul(1 + crew).saturating_add(local);
    data_bytes::<T>(plan).saturating_add(workers + Tier::bytes(plan)).saturating_add(converted + size_of::<Typed<T>>() + crew * size_of::<Worker<T>>())
}

/// The memory of the plan, allocated where it is not there yet; with a crew of so many workers.
fn ready<'a, T: Real>(
    m: &'a mut Option<Box<Typed<T>>>,
    plan: &Plan,
    crew: usize,
    limit: Option<usize>,
) -> Result<&'a mut Typed<T>, Fault> {
    // Counted once: a run that follows another allocates nothing but its results.
    let needed = match m {
        Some(m) if m.said.0 == crew => m.said.1,
        _ => bytes::<T>(plan, crew),
    };
    if let Some(limit) = limit
        && needed > limit
    {
        return Err(Fault::Memory { needed, limit });
    }
    let none = || Fault::Memory { needed, limit: limit.unwrap_or(0) };
    if m.is_none() {
        let arena = Arena::<T>::new(plan.arena_len()).ok_or_else(none)?;
        for (at, v) in plan.constants() {
            debug_assert!(*at < arena.len());
            // SAFETY: constants lie in the arena.
            unsafe { *arena.as_ptr().add(*at) = T::constant(*v) };
        }
        *m = Some(Box::new(Typed {
            arena,
            inputs: plan.params().iter().map(|_| Converted::new()).collect(),
            literals: plan.literals().iter().map(|_| Converted::new()).collect(),
            given: Vec::with_capacity(plan.params().len() + plan.literals().len()),
            worker: Worker::new(plan, &Sizes::of(plan)).ok_or_else(none)?,
            crew: Vec::new(),
            kernels: Kernels::detect(),
            native: Tier::default(),
            said: (crew, needed),
        }));
    }
    let Some(m) = m.as_deref_mut() else { return Err(Fault::Internal("no memory was allocated".into())) };
    m.said = (crew, needed);
    if m.crew.len() < crew {
        let sizes = Sizes::of(plan);
        m.crew.reserve_exact(crew - m.crew.len());
        while m.crew.len() < crew {
            m.crew.push(Worker::new(plan, &sizes).ok_or_else(none)?);
        }
    }
    Ok(m)
}

impl<T: Real> Typed<T> {
    fn run(
        &mut self,
        plan: &Plan,
        inputs: &[Array],
        control: &Control,
        started: Instant,
        pool: Option<&ThreadPool>,
    ) -> Result<Vec<Array>, Fault> {
        self.native.prepare::<T>(plan, control);
        let w = &mut self.worker;
        w.counters.fill(0);
        w.loops.clear();
        w.steps.fill(0);
        w.bases.clear();
        w.bases.push(Base(self.arena.as_ptr()));
        w.bases.extend(self.inputs.iter_mut().zip(inputs).zip(plan.whole()).map(|((c, a), w)| c.base(a, *w)));
        w.bases.extend(self.literals.iter_mut().zip(plan.literals()).map(|(c, a)| c.base(a, Whole::Free)));
        self.given.clear();
        self.given.extend(inputs.iter().chain(plan.literals().iter().map(|l| &**l)).map(|a| a.data.as_ptr()));
        w.bases.push(Base(w.local.as_ptr()));
        for w in &mut self.crew {
            w.steps.fill(0);
        }
        let crew = pool.is_some().then_some(self.crew.as_mut_ptr());
        let mut machine = Machine::new(w, &self.given, self.kernels, crew, (plan, &self.native), control, started);
        // SAFETY: the plan comes from the planner: its places lie in the arena (allocated for its length), in inputs (whose
        // shapes were checked), in literals or in the memory of a worker.
        match pool {
            Some(p) => {
                // Inside the pool from here on: handing parts to other threads allocates nothing.
                let machine = Alone(&mut machine);
                p.install(move || unsafe { machine.follow(plan.body()) })?;
            }
            // SAFETY: as above.
            None => unsafe { machine.block_of(plan.body())? },
        }
        if let Some(f) = machine.infinity.take() {
            return Err(f);
        }
        let machine = Machine::new(&mut self.worker, &self.given, self.kernels, None, (plan, &self.native), control, started);
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
        for w in &self.crew {
            for (total, n) in self.worker.steps.iter_mut().zip(&w.steps) {
                *total += n;
            }
        }
        Ok(out)
    }
}

/// A run under way.
pub(crate) struct Machine<'a, T: Real> {
    pub bases: &'a [Base<T>],
    given: &'a [*const f64],
    pub counters: &'a mut Vec<usize>,
    /// Registers of `BLOCK` elements.
    pub scratch: *mut T,
    /// Addresses for vector code, and memory for the elements that fill no vector.
    pub table: *mut Address,
    pub rest: *mut T,
    pub sources: &'a mut Vec<Source<T>>,
    pub accs: &'a mut Vec<Acc<T>>,
    /// Step counters of the loops under way, outermost first.
    pub loops: &'a mut Vec<u32>,
    /// Steps done in this run by the loops that have ended, at the index of their step counter.
    pub steps: &'a mut [u64],
    sums: &'a mut Vec<Acc<T>>,
    pub workspace: &'a mut Workspace<T>,
    pub kernels: Kernels<T>,
    /// A worker for each thread of the pool that this run is in; none where everything runs here.
    crew: Option<*mut Worker<T>>,
    pub plan: &'a Plan,
    pub native: &'a Tier,
    pub control: &'a Control,
    pub started: Instant,
    /// The first infinity of a search for numbers that are not finite.
    pub infinity: Option<Fault>,
}

/// A machine that another thread uses while this one waits.
struct Alone<'m, 'a, T: Real>(&'m mut Machine<'a, T>);

// SAFETY: all that the machine points to belongs to the run, which one thread at a time follows.
unsafe impl<T: Real> Send for Alone<'_, '_, T> {}

impl<T: Real> Alone<'_, '_, T> {
    /// SAFETY: as for `block_of`.
    unsafe fn follow(self, b: &Block) -> Result<(), Fault> {
        // SAFETY: the caller's.
        unsafe { self.0.block_of(b) }
    }
}

impl<'a, T: Real> Machine<'a, T> {
    fn new(
        w: &'a mut Worker<T>,
        given: &'a [*const f64],
        kernels: Kernels<T>,
        crew: Option<*mut Worker<T>>,
        (plan, native): (&'a Plan, &'a Tier),
        control: &'a Control,
        started: Instant,
    ) -> Machine<'a, T> {
        Machine {
            bases: &w.bases,
            given,
            counters: &mut w.counters,
            scratch: w.scratch.as_ptr(),
            table: w.table.as_mut_ptr(),
            rest: w.rest.as_ptr(),
            sources: &mut w.sources,
            accs: &mut w.accs,
            loops: &mut w.loops,
            steps: &mut w.steps,
            sums: &mut w.sums,
            workspace: &mut w.workspace,
            kernels,
            crew,
            plan,
            native,
            control,
            started,
            infinity: None,
        }
    }

    /// The workers of the pool's threads, if this machine may use them.
    pub fn crew(&self) -> Option<*mut Worker<T>> {
        self.crew
    }

    /// Lets `f` follow the same run with another worker's registers, counters and memory of blocks. What it runs uses no
    /// further threads.
    pub fn as_worker<R>(&self, w: &mut Worker<T>, f: impl FnOnce(&mut Machine<'_, T>) -> R) -> R {
        w.counters.copy_from_slice(self.counters);
        w.loops.clone_from(self.loops);
        w.bases.clear();
        w.bases.extend_from_slice(&self.bases[..self.bases.len() - 1]);
        w.bases.push(Base(w.local.as_ptr()));
        f(&mut Machine::new(w, self.given, self.kernels, None, (self.plan, self.native), self.control, self.started))
    }

    /// A full reduction of the sweep at hand begins.
    pub fn start_sum(&mut self, k: usize, op: ReduceOp) {
        match self.sums.get_mut(k) {
            Some(a) => a.reset(op),
            None => self.sums.push(Acc::new(op)),
        }
    }

    pub fn add_to_sum(&mut self, k: usize, x: &[T]) {
        self.sums[k].add(x, &self.kernels);
    }

    pub fn sum_at(&mut self, k: usize) -> &mut Acc<T> {
        &mut self.sums[k]
    }

    pub fn sum(&self, k: usize) -> T {
        self.sums[k].result()
    }

    /// The address of a place. SAFETY: `p` is a place of the plan being run.
    #[inline]
    pub unsafe fn at(&self, p: Place) -> *mut T {
        // SAFETY: bases and counters are as many as the plan says; the sum is inside the base's memory.
        unsafe {
            let base = self.bases.get_unchecked(p.base as usize).0;
            let step = *self.counters.get_unchecked(p.counter as usize) as isize;
            // A block lies at the beginning of its memory: until its row is added the address is outside.
            base.wrapping_offset((p.offset as isize).wrapping_add(step * p.stride))
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
        // SAFETY: the caller's; there is a given array for every base but the arena and the memory of a worker.
        unsafe {
            match (p.base as usize).checked_sub(1).and_then(|k| self.given.get(k)) {
                Some(given) => {
                    let step = *self.counters.get_unchecked(p.counter as usize) as isize;
                    *given.offset(p.offset as isize + step * p.stride)
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

    pub unsafe fn instr(&mut self, i: &Instr) -> Result<(), Fault> {
        // SAFETY: the caller's.
        unsafe {
            match &i.kind {
                Kind::Fused(f) => self.fused(f),
                Kind::MatMul(m) => self.products(m, 0, m.batch),
                Kind::Call(c) => self.call(c, i.origin)?,
                Kind::Sweep(s) => self.sweep(s)?,
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

    /// The steps `from..to` of a loop whose steps do not need each other.
    ///
    /// SAFETY: as for `block_of`; no other machine runs one of these steps.
    pub(crate) unsafe fn steps_of(&mut self, l: &LoopPlan, from: usize, to: usize) -> Result<(), Fault> {
        self.loops.push(l.step);
        for k in from..to {
            self.control.check((k - from) % l.check_every as usize == 0)?;
            self.counters[l.step as usize] = k;
            self.counters[l.parity as usize] = k & 1;
            // SAFETY: the caller's.
            unsafe {
                if let Some(p) = l.index {
                    *self.at(p) = T::of(k as f64);
                }
                self.block_of(&l.body)?;
            }
        }
        self.loops.pop();
        Ok(())
    }

    unsafe fn run_loop(&mut self, l: &LoopPlan) -> Result<(), Fault> {
        if let Some(chunk) = l.chunk
            && self.crew.is_some()
        {
            // SAFETY: the caller's.
            unsafe { self.side_by_side(l.bound.div_ceil(chunk), &|m, c| m.steps_of(l, c * chunk, l.bound.min((c + 1) * chunk)))? };
            self.steps[l.step as usize] += l.bound as u64;
            return Ok(());
        }
        // SAFETY: the caller's.
        unsafe {
            self.loops.push(l.step);
            let mut done = 0;
            let mut switch = self.native.switch(l.step);
            while done < l.bound {
                if done >= switch {
                    if let Some(end) = self.native_steps(l, done)? {
                        done = end;
                        break;
                    }
                    switch = usize::MAX;
                }
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
            self.native.ran(l.step, done);
            self.loops.pop();
            self.steps[l.step as usize] += done as u64;
            self.counters[l.step as usize] = 0;
            self.counters[l.parity as usize] = 0;
            if done & 1 == 1 {
                for s in &l.swaps {
                    let base = self.bases[s.base as usize].0;
                    std::ptr::copy_nonoverlapping(base.add(s.b), base.add(s.a), s.len);
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
