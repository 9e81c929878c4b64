//! What all regions of a plan share: buffers before they have addresses, constants, literals, counters.

use crate::Options;
use crate::plan::Place;
use crate::view::View;
use gradus_ir::{Array, DType};
use indexmap::IndexMap;
use std::collections::HashSet;
use std::sync::Arc;

/// Bases from here on are buffers that have no offset yet.
pub(crate) const VIRTUAL: u32 = 1 << 31;
/// A worker's own memory, until the number of literals is known.
pub(crate) const LOCAL: u32 = 1 << 30;

/// A piece of the arena before it has an address.
#[derive(Clone, Debug)]
pub(crate) struct Buf {
    pub len: usize,
    /// Holds a constant: lives from the start to the end.
    pub fixed: bool,
    /// The two buffers of a carry and the parity counter of its loop.
    pub pair: Option<(u32, u32, u32)>,
    /// Some view of this buffer uses its counter already, so the buffer itself must not move.
    pub pinned: bool,
    /// In the memory of a worker: it belongs to the body of a loop whose steps run side by side.
    pub private: bool,
    /// The buffer that this one was merged into.
    pub merged: Option<u32>,
}

/// What all regions of a plan share.
pub(crate) struct Planner {
    pub options: Options,
    pub bufs: Vec<Buf>,
    pub literals: Vec<Arc<Array>>,
    pub inputs: u32,
    pub counters: u32,
    pub constants: IndexMap<u64, u32>,
    iotas: IndexMap<usize, u32>,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Every element is this number.
    Imm(f64),
    View(View),
    Tuple(Vec<Value>),
}

impl Value {
    /// The bases of all places in it.
    pub fn bases(&self, out: &mut HashSet<u32>) {
        match self {
            Value::Imm(_) => {}
            Value::View(v) => {
                out.insert(v.place.base);
            }
            Value::Tuple(parts) => parts.iter().for_each(|v| v.bases(out)),
        }
    }
}

impl Planner {
    pub fn new(options: Options, inputs: usize) -> Planner {
        Planner {
            options,
            bufs: Vec::new(),
            literals: Vec::new(),
            inputs: inputs as u32,
            counters: 1,
            constants: IndexMap::new(),
            iotas: IndexMap::new(),
        }
    }

    pub fn buffer(&mut self, len: usize) -> Place {
        let id = self.bufs.len() as u32;
        self.bufs.push(Buf { len, fixed: false, pair: None, pinned: false, private: false, merged: None });
        Place { base: VIRTUAL | id, counter: 0, offset: 0, stride: 0 }
    }

    pub fn constant(&mut self, v: f64) -> Place {
        if let Some(id) = self.constants.get(&v.to_bits()) {
            return Place { base: VIRTUAL | *id, counter: 0, offset: 0, stride: 0 };
        }
        let p = self.buffer(1);
        let id = p.base & !VIRTUAL;
        self.bufs[id as usize].fixed = true;
        self.constants.insert(v.to_bits(), id);
        p
    }

    pub fn literal(&mut self, a: &Arc<Array>) -> Place {
        let k = match self.literals.iter().position(|l| Arc::ptr_eq(l, a)) {
            Some(k) => k,
            None => {
                self.literals.push(a.clone());
                self.literals.len() - 1
            }
        };
        Place { base: 1 + self.inputs + k as u32, counter: 0, offset: 0, stride: 0 }
    }

    pub fn iota(&mut self, n: usize) -> Place {
        if let Some(k) = self.iotas.get(&n) {
            return Place { base: *k, counter: 0, offset: 0, stride: 0 };
        }
        let data: Vec<f64> = (0..n).map(|k| k as f64).collect();
        let p = self.literal(&Arc::new(Array { dtype: DType::Int, shape: vec![n], data: Arc::new(data) }));
        self.iotas.insert(n, p.base);
        p
    }

    pub fn counter(&mut self) -> u32 {
        self.counters += 1;
        self.counters - 1
    }
}

