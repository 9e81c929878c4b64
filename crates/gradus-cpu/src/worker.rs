//! What one thread needs to follow instructions: registers, counters, addresses, the memory of blocks.

use crate::arena::Arena;
use crate::fused::Source;
use crate::linalg::Workspace;
use crate::real::Real;
use crate::reduce::Acc;
use gradus_plan::{BLOCK, Block, Func, Fused, Kind, Out, Plan, Task};
use std::ffi::c_void;

/// The address of a base; those of inputs and literals are only read.
pub(crate) struct Base<T>(pub *mut T);

impl<T> Clone for Base<T> {
    fn clone(&self) -> Base<T> {
        *self
    }
}

impl<T> Copy for Base<T> {}

/// An address for vector code.
pub(crate) type Address = *mut c_void;

/// Elements of the longest vector.
pub(crate) const WIDEST: usize = 16;

pub(crate) struct Worker<T: Real> {
    pub scratch: Arena<T>,
    /// Addresses for vector code: those of whole vectors, then those of the elements that fill none.
    pub table: Vec<Address>,
    /// Memory for these: a vector for each input and result.
    pub rest: Arena<T>,
    /// Memory of the blocks of sweeps and of the steps of loops that run side by side.
    pub local: Arena<T>,
    pub counters: Vec<usize>,
    pub bases: Vec<Base<T>>,
    pub sources: Vec<Source<T>>,
    pub accs: Vec<Acc<T>>,
    /// Full reductions of the sweep at hand.
    pub sums: Vec<Acc<T>>,
    pub loops: Vec<u32>,
    pub steps: Vec<u64>,
    pub workspace: Workspace<T>,
}

// Addresses are only used during a run, which has its inputs and the executor borrowed.
unsafe impl<T: Real> Send for Worker<T> {}
unsafe impl<T: Real> Sync for Worker<T> {}

/// Counts of things that a worker must hold.
#[derive(Default)]
pub(crate) struct Sizes<'a> {
    inputs: usize,
    outs: usize,
    sums: usize,
    depth: usize,
    /// Addresses of vector code; inputs and results of one instruction.
    addresses: usize,
    streams: usize,
    calls: Vec<&'a Func>,
}

impl<'a> Sizes<'a> {
    pub fn of(plan: &'a Plan) -> Sizes<'a> {
        let mut s = Sizes::default();
        s.block(plan.body(), 0);
        s
    }

    fn fused(&mut self, f: &Fused) {
        self.inputs = self.inputs.max(f.inputs.len());
        self.outs = self.outs.max(f.outs.len());
        let streams = f.inputs.len() + f.outs.len();
        self.streams = self.streams.max(streams);
        self.addresses = self.addresses.max(streams + f.registers as usize);
    }

    fn block(&mut self, b: &'a Block, depth: usize) {
        self.depth = self.depth.max(depth);
        for i in &b.code {
            match &i.kind {
                Kind::Fused(f) => self.fused(f),
                Kind::Call(c) => self.calls.push(&c.func),
                Kind::Sweep(s) => {
                    let mut sums = 0;
                    for step in &s.steps {
                        match &step.task {
                            Task::Fused { fused, .. } => {
                                self.fused(fused);
                                sums += fused.outs.iter().filter(|o| matches!(o, Out::Reduce { .. })).count();
                            }
                            Task::Lines(c) => self.calls.push(&c.func),
                            Task::Rows(_) | Task::Batch(_) | Task::Sum(_) | Task::Columns { .. } => {}
                        }
                    }
                    self.sums = self.sums.max(sums);
                }
                Kind::Loop(l) => {
                    if let Some((c, _)) = &l.cond {
                        self.block(c, depth + 1);
                    }
                    self.block(&l.body, depth + 1);
                }
                Kind::Cond(c) => {
                    self.block(&c.then, depth);
                    self.block(&c.other, depth);
                }
                Kind::MatMul(_) => {}
            }
        }
    }

    /// Bytes of a worker but for its memory of blocks.
    pub fn bytes<T: Real>(&self, plan: &Plan) -> usize {
        let memory = ((plan.registers() + 1) * BLOCK + self.streams * WIDEST) * size_of::<T>();
        let accs = (self.outs + self.sums) * size_of::<Acc<T>>();
        let lists = self.inputs * size_of::<Source<T>>() + accs + self.depth * size_of::<u32>() + 2 * self.addresses * size_of::<Address>();
        let counters = plan.counters() * (size_of::<usize>() + size_of::<u64>());
        let bases = bases(plan) * size_of::<Base<T>>();
        memory.saturating_add(lists + counters + bases + Workspace::<T>::needs(self.calls.iter().copied()))
    }
}

/// The arena, inputs, literals, and the worker's own memory.
fn bases(plan: &Plan) -> usize {
    2 + plan.params().len() + plan.literals().len()
}

impl<T: Real> Worker<T> {
    /// `None` where there is not so much memory.
    pub fn new(plan: &Plan, sizes: &Sizes<'_>) -> Option<Worker<T>> {
        Some(Worker {
            scratch: Arena::new((plan.registers() + 1) * BLOCK)?,
            table: vec![std::ptr::null_mut(); 2 * sizes.addresses],
            rest: Arena::new(sizes.streams * WIDEST)?,
            local: Arena::new(plan.local_len())?,
            counters: vec![0; plan.counters()],
            bases: Vec::with_capacity(bases(plan)),
            sources: Vec::with_capacity(sizes.inputs),
            accs: Vec::with_capacity(sizes.outs),
            sums: Vec::with_capacity(sizes.sums),
            loops: Vec::with_capacity(sizes.depth),
            steps: vec![0; plan.counters()],
            workspace: Workspace::new(sizes.calls.iter().copied())?,
        })
    }
}
