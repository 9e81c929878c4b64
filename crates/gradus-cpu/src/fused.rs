//! Fused elementwise instructions: a register program over blocks of elements, with strided loads and stores and running
//! reductions.

use crate::elementwise::{Arg, lane1};
use crate::executor::Machine;
use crate::real::Real;
use crate::reduce;
use crate::vectors::{Compiled, Piece};
use crate::worker::WIDEST;
use gradus_plan::{BLOCK, Fused, Out, Pattern, Src};

/// Blocks that vector code reduces at once: their results and a vector fit into the memory of a register.
const RESULTS: usize = 30;

/// An input of the instruction at hand, its address known.
#[derive(Clone, Copy)]
pub(crate) enum Source<T> {
    Dense(*const T),
    Splat(T),
    /// In a register, loaded for each block.
    Loaded { register: usize },
    /// The block at hand lies in one run of a strided input: its elements are here, or are all the same.
    Run(*const T),
    Same(T),
}

/// Calls `f(index in the block, offset in memory, length, stride)` for each run along the last axis of the elements
/// `start..start + len` of the iteration space.
fn runs(axes: &[(usize, isize)], start: usize, len: usize, mut f: impl FnMut(usize, isize, usize, isize)) {
    let Some((&(n, stride), outer)) = axes.split_last() else { return };
    let (mut row, mut i) = (start / n, start % n);
    let mut done = 0;
    while done < len {
        let mut offset = 0;
        match outer {
            [(_, s)] => offset = row as isize * s,
            _ => {
                let mut rest = row;
                for &(d, s) in outer.iter().rev() {
                    offset += (rest % d) as isize * s;
                    rest /= d;
                }
            }
        }
        let run = (n - i).min(len - done);
        f(done, offset + i as isize * stride, run, stride);
        done += run;
        row += 1;
        i = 0;
    }
}

/// Where the elements `start..start + len` lie in one run along the last axis: the offset of the first, and the stride.
fn one_run(axes: &[(usize, isize)], start: usize, len: usize) -> Option<(isize, isize)> {
    let (&(n, stride), outer) = axes.split_last()?;
    let (mut row, i) = (start / n, start % n);
    if i + len > n {
        return None;
    }
    let mut offset = i as isize * stride;
    for &(d, s) in outer.iter().rev() {
        offset += (row % d) as isize * s;
        row /= d;
    }
    Some((offset, stride))
}

/// Elements of the next block: it ends with a run of the strided inputs where these are long.
fn block_len(f: &Fused, at: usize, to: usize) -> usize {
    let mut len = BLOCK.min(to - at);
    for a in &f.inputs {
        if let Pattern::Strided(axes) = &a.pattern
            && let Some((n, _)) = axes.last()
            && *n >= BLOCK
        {
            len = len.min(n - at % n);
        }
    }
    len
}

/// SAFETY: the elements of the iteration space that the pattern reaches lie in memory that may be read.
unsafe fn load<T: Real>(out: &mut [T], from: *const T, axes: &[(usize, isize)], start: usize) {
    runs(axes, start, out.len(), |at, offset, n, stride| {
        let target = &mut out[at..at + n];
        // SAFETY: as for the whole function.
        unsafe {
            let p = from.wrapping_offset(offset);
            match stride {
                0 => target.fill(*p),
                1 => target.copy_from_slice(std::slice::from_raw_parts(p, n)),
                _ => {
                    for (k, t) in target.iter_mut().enumerate() {
                        *t = *p.offset(k as isize * stride);
                    }
                }
            }
        }
    });
}

/// SAFETY: as for `load`, for writing; no two elements of the space share an address.
unsafe fn store<T: Real>(x: &[T], to: *mut T, pattern: &Pattern, start: usize) {
    match pattern {
        // SAFETY: the caller's.
        Pattern::Dense | Pattern::Splat => unsafe { std::ptr::copy(x.as_ptr(), to.wrapping_add(start), x.len()) },
        Pattern::Strided(axes) => runs(axes, start, x.len(), |at, offset, n, stride| {
            // SAFETY: the caller's.
            unsafe {
                let p = to.wrapping_offset(offset);
                for (k, v) in x[at..at + n].iter().enumerate() {
                    *p.offset(k as isize * stride) = *v;
                }
            }
        }),
    }
}

impl<T: Real> Machine<'_, T> {
    /// SAFETY: the plan's places lie in their memory, which `Plan` guarantees.
    pub(crate) unsafe fn fused(&mut self, f: &Fused) {
        // SAFETY: every address below is a place of the plan with an index inside its iteration space.
        unsafe {
            if f.count == 0 {
                for o in &f.outs {
                    if let Out::Reduce { op, place, .. } = o {
                        self.slice_mut(*place, f.rows).fill(reduce::identity(*op));
                    }
                }
            } else if f.count == 1 {
                self.fused_scalar(f);
            } else if f.program.is_empty() && self.fused_copy(f) {
            } else {
                self.fused_part(f, 0, f.count, None);
            }
        }
    }

    unsafe fn fused_scalar(&mut self, f: &Fused) {
        // SAFETY: one element of each place; registers are in the scratch memory.
        unsafe {
            let regs = self.scratch;
            let read = |s: Src| match s {
                Src::Reg(r) => *regs.add(r as usize),
                Src::In(k) => *self.at(f.inputs[k as usize].place),
                Src::Imm(v) => T::constant(v),
            };
            for l in &f.program {
                *regs.add(l.dst as usize) = lane1(l.op, [read(l.a), read(l.b), read(l.c), read(l.d)]);
            }
            // Every reduction of one element is the element. Stores come last: they may overwrite inputs.
            for o in &f.outs {
                if let Out::Reduce { src, place, .. } = o {
                    *self.at(*place) = read(*src);
                }
            }
            for o in &f.outs {
                if let Out::Store { src, access, .. } = o {
                    *self.at(access.place) = read(*src);
                }
            }
        }
    }

    /// Copies and fills of dense memory. False where the instruction is something else.
    unsafe fn fused_copy(&mut self, f: &Fused) -> bool {
        let [Out::Store { src, access, .. }] = f.outs.as_slice() else { return false };
        if access.pattern != Pattern::Dense {
            return false;
        }
        // SAFETY: `count` elements at both places.
        unsafe {
            let to = self.at(access.place);
            match src {
                Src::Imm(v) => std::slice::from_raw_parts_mut(to, f.count).fill(T::constant(*v)),
                Src::In(k) => {
                    let a = &f.inputs[*k as usize];
                    let from = self.at(a.place).cast_const();
                    match a.pattern {
                        Pattern::Dense if from == to.cast_const() => {}
                        Pattern::Dense => std::ptr::copy(from, to, f.count),
                        Pattern::Splat => std::slice::from_raw_parts_mut(to, f.count).fill(*from),
                        Pattern::Strided(_) => return false,
                    }
                }
                Src::Reg(_) => return false,
            }
        }
        true
    }

    /// The elements `from..to` of the iteration space: whole runs of reductions, or a part of the only one, which goes to
    /// the sums of the sweep at hand from `sum` on.
    ///
    /// SAFETY: as for `fused`; the places of inputs and results hold these elements.
    pub(crate) unsafe fn fused_part(&mut self, f: &Fused, from: usize, to: usize, sum: Option<usize>) {
        // SAFETY: see `fused`.
        unsafe {
            self.sources.clear();
            for (k, a) in f.inputs.iter().enumerate() {
                let from = self.at(a.place).cast_const();
                self.sources.push(match a.pattern {
                    Pattern::Dense => Source::Dense(from),
                    Pattern::Splat => Source::Splat(*from),
                    Pattern::Strided(_) => Source::Loaded { register: f.registers as usize + k },
                });
            }
            if f.segment == 0 {
                self.fused_stores(f, from, to);
            } else if let Some(sum) = sum {
                self.fused_sums(f, from, to, sum);
            } else if f.segment <= BLOCK {
                self.fused_rows(f, from / f.segment, to / f.segment);
            } else {
                self.fused_long_rows(f, from / f.segment, to / f.segment);
            }
        }
    }

    unsafe fn fused_stores(&mut self, f: &Fused, from: usize, to: usize) {
        if let Some(c) = self.native.vector(f)
            && c.whole
        {
            // SAFETY: see `fused`.
            return unsafe { self.vectors(f, c, from, to - from) };
        }
        let mut at = from;
        while at < to {
            let len = block_len(f, at, to);
            // SAFETY: see `fused`.
            unsafe {
                if !self.block(f, at, len) {
                    self.stores(f, at, len);
                }
            }
            at += len;
        }
    }

    unsafe fn fused_sums(&mut self, f: &Fused, from: usize, to: usize, sum: usize) {
        if let Some(c) = self.native.vector(f)
            && let Some(function) = c.sums
        {
            // SAFETY: see `fused`.
            return unsafe { self.vector_sums(f, c, function, (from, to), Some(sum)) };
        }
        let mut at = from;
        while at < to {
            let len = block_len(f, at, to);
            // SAFETY: see `fused`.
            unsafe {
                let stored = self.block(f, at, len);
                let mut k = sum;
                for o in &f.outs {
                    if let Out::Reduce { src, .. } = o {
                        let x = self.reduced(f, *src, at, len);
                        self.add_to_sum(k, x);
                        k += 1;
                    }
                }
                if !stored {
                    self.stores(f, at, len);
                }
            }
            at += len;
        }
    }

    /// Runs that are no longer than a block: whole ones in each block.
    unsafe fn fused_rows(&mut self, f: &Fused, mut row: usize, to: usize) {
        let rows = BLOCK / f.segment;
        while row < to {
            let n = rows.min(to - row);
            let (start, len) = (row * f.segment, n * f.segment);
            // SAFETY: see `fused`.
            unsafe {
                let stored = self.block(f, start, len);
                for o in &f.outs {
                    if let Out::Reduce { op, src, place } = o {
                        let x = self.reduced(f, *src, start, len);
                        let out = std::slice::from_raw_parts_mut(self.at(*place).wrapping_add(row), n);
                        self.kernels.runs(*op, f.segment, x, out);
                    }
                }
                if !stored {
                    self.stores(f, start, len);
                }
            }
            row += n;
        }
    }

    unsafe fn fused_long_rows(&mut self, f: &Fused, from: usize, to: usize) {
        // SAFETY: see `fused`.
        unsafe {
            for row in from..to {
                let mut k = 0;
                for o in &f.outs {
                    if let Out::Reduce { op, .. } = o {
                        match self.accs.get_mut(k) {
                            Some(a) => a.reset(*op),
                            None => self.accs.push(reduce::Acc::new(*op)),
                        }
                        k += 1;
                    }
                }
                let mut at = 0;
                if let Some(c) = self.native.vector(f)
                    && let Some(function) = c.sums
                {
                    let (start, end) = (row * f.segment, (row + 1) * f.segment);
                    self.vector_sums(f, c, function, (start, end), None);
                    at = f.segment;
                }
                while at < f.segment {
                    let (start, len) = (row * f.segment + at, BLOCK.min(f.segment - at));
                    let stored = self.block(f, start, len);
                    let mut k = 0;
                    for o in &f.outs {
                        if let Out::Reduce { src, .. } = o {
                            let x = self.reduced(f, *src, start, len);
                            self.accs[k].add(x, &self.kernels);
                            k += 1;
                        }
                    }
                    if !stored {
                        self.stores(f, start, len);
                    }
                    at += len;
                }
                let mut k = 0;
                for o in &f.outs {
                    if let Out::Reduce { place, .. } = o {
                        *self.at(*place).wrapping_add(row) = self.accs[k].result();
                        k += 1;
                    }
                }
            }
        }
    }

    /// The elements that a reduction of this block sees.
    unsafe fn reduced(&self, f: &Fused, src: Src, start: usize, len: usize) -> &'static [T] {
        // SAFETY: registers and inputs hold `len` elements; the slice is used before the next block.
        unsafe {
            match self.arg(src, start, len) {
                Arg::Slice(x) => x,
                Arg::Splat(v) => {
                    // The register after all others is free for this.
                    let spare = self.register(f.registers as usize + f.inputs.len(), len);
                    spare.fill(v);
                    spare
                }
            }
        }
    }

    /// SAFETY: `r` is below the plan's number of registers (one more is there for `reduced`), `len <= BLOCK`.
    unsafe fn register(&self, r: usize, len: usize) -> &'static mut [T] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.scratch.add(r * BLOCK), len) }
    }

    /// SAFETY: as for `register`; dense inputs hold `start + len` elements.
    #[inline]
    unsafe fn arg(&self, s: Src, start: usize, len: usize) -> Arg<'static, T> {
        // SAFETY: the caller's.
        unsafe {
            match s {
                Src::Reg(r) => Arg::Slice(self.register(r as usize, len)),
                Src::Imm(v) => Arg::Splat(T::constant(v)),
                Src::In(k) => match self.sources[k as usize] {
                    Source::Dense(p) => Arg::Slice(std::slice::from_raw_parts(p.wrapping_add(start), len)),
                    Source::Splat(v) => Arg::Splat(v),
                    Source::Loaded { register } => Arg::Slice(self.register(register, len)),
                    Source::Run(p) => Arg::Slice(std::slice::from_raw_parts(p, len)),
                    Source::Same(v) => Arg::Splat(v),
                },
            }
        }
    }

    /// Runs the program on the elements `start..start + len`; true where the result is in its place already.
    unsafe fn block(&mut self, f: &Fused, start: usize, len: usize) -> bool {
        // SAFETY: see `fused`. A lane's register is none of its operands; a direct store overlaps no input.
        unsafe {
            for (k, a) in f.inputs.iter().enumerate() {
                let Pattern::Strided(axes) = &a.pattern else { continue };
                let (from, register) = (self.at(a.place).cast_const(), f.registers as usize + k);
                self.sources[k] = match one_run(axes, start, len) {
                    Some((offset, 1)) => Source::Run(from.wrapping_offset(offset)),
                    Some((offset, 0)) => Source::Same(*from.wrapping_offset(offset)),
                    _ => {
                        load(self.register(register, len), from, axes, start);
                        Source::Loaded { register }
                    }
                };
            }
            if let Some(c) = self.native.vector(f) {
                self.vectors(f, c, start, len);
                return c.stores;
            }
            // The last lane may write to memory where its result is only stored.
            let mut direct: Option<(usize, *mut T)> = None;
            if let Some(last) = f.program.last()
                && let [Out::Store { src: Src::Reg(r), access, direct: true }] = f.outs.as_slice()
                && *r == last.dst
            {
                direct = Some((f.program.len() - 1, self.at(access.place).wrapping_add(start)));
            }
            for (k, l) in f.program.iter().enumerate() {
                let out = match direct {
                    Some((last, p)) if last == k => std::slice::from_raw_parts_mut(p, len),
                    _ => self.register(l.dst as usize, len),
                };
                let args = [l.a, l.b, l.c, l.d].map(|s| self.arg(s, start, len));
                self.kernels.lane(l.op, out, args);
            }
            direct.is_some()
        }
    }

    /// The addresses of the inputs and results from element `start` on, and those of copies for the elements after the first
    /// `main`, which fill no vector.
    ///
    /// SAFETY: as for `fused`. The table has room for twice so many addresses, `rest` for a vector of each input and result.
    unsafe fn addresses(&mut self, f: &Fused, c: &Compiled, start: usize, main: usize, len: usize) {
        let (inputs, registers) = (f.inputs.len(), f.registers as usize);
        // SAFETY: the caller's.
        unsafe {
            let (table, rest) = (self.table, self.rest);
            let other = table.add(inputs + registers + f.outs.len());
            for k in 0..inputs {
                let p = match self.sources[k] {
                    Source::Dense(p) => p.wrapping_add(start).cast_mut(),
                    Source::Splat(_) => {
                        let p = self.at(f.inputs[k].place);
                        (*table.add(k), *other.add(k)) = (p.cast(), p.cast());
                        continue;
                    }
                    Source::Loaded { register } => self.register(register, len).as_mut_ptr(),
                    Source::Run(p) => p.cast_mut(),
                    Source::Same(v) => {
                        let r = self.register(registers + k, len);
                        r.fill(v);
                        r.as_mut_ptr()
                    }
                };
                *table.add(k) = p.cast();
                if main < len {
                    let copy = rest.add(k * WIDEST);
                    std::ptr::copy_nonoverlapping(p.wrapping_add(main), copy, len - main);
                    *other.add(k) = copy.cast();
                }
            }
            if c.stores {
                for (k, o) in f.outs.iter().enumerate() {
                    if let Out::Store { access, .. } = o {
                        *table.add(inputs + registers + k) = self.at(access.place).wrapping_add(start).cast();
                        *other.add(inputs + registers + k) = rest.add((inputs + k) * WIDEST).cast();
                    }
                }
            }
        }
    }

    /// The addresses of the block registers: `offset` elements into them for the elements that fill no vector.
    ///
    /// SAFETY: as for `addresses`.
    unsafe fn register_addresses(&mut self, f: &Fused, offset: usize) {
        let (inputs, registers) = (f.inputs.len(), f.registers as usize);
        // SAFETY: the caller's.
        unsafe {
            let other = self.table.add(inputs + registers + f.outs.len());
            for k in 0..registers {
                let p = self.scratch.add(k * BLOCK);
                *self.table.add(inputs + k) = p.cast();
                *other.add(inputs + k) = p.wrapping_add(offset).cast();
            }
        }
    }

    /// Results of elements that filled no vector, from the copies to their places.
    ///
    /// SAFETY: as for `addresses`, which comes before.
    unsafe fn store_rest(&self, f: &Fused, c: &Compiled, main: usize, len: usize) {
        let (inputs, registers) = (f.inputs.len(), f.registers as usize);
        if main == len || !c.stores {
            return;
        }
        for (k, o) in f.outs.iter().enumerate() {
            if let Out::Store { .. } = o {
                // SAFETY: the caller's.
                unsafe {
                    let to = (*self.table.add(inputs + registers + k)).cast::<T>();
                    std::ptr::copy_nonoverlapping(self.rest.add((inputs + k) * WIDEST), to.wrapping_add(main), len - main);
                }
            }
        }
    }

    /// Runs the vector code on the elements `start..start + len`: whole vectors where they lie, and a copy of the elements
    /// after them, filled up to a vector.
    ///
    /// SAFETY: as for `block`; `len` may exceed a block only where the code is `whole`.
    unsafe fn vectors(&mut self, f: &Fused, c: &Compiled, start: usize, len: usize) {
        let width = c.code.width() / size_of::<T>();
        let main = len / width * width;
        // SAFETY: register memory reaches to the end of a block, which is a multiple of every vector.
        unsafe {
            self.addresses(f, c, start, main, len);
            self.register_addresses(f, if c.whole { 0 } else { main });
            let other = self.table.add(f.inputs.len() + f.registers as usize + f.outs.len());
            for piece in &c.pieces {
                match *piece {
                    Piece::Code(k) => {
                        if main > 0 {
                            c.code.run(k, self.table, main * size_of::<T>());
                        }
                        if main < len {
                            c.code.run(k, other, c.code.width());
                        }
                    }
                    Piece::Lane(k) => {
                        let l = &f.program[k];
                        let args = [l.a, l.b, l.c, l.d].map(|s| self.arg(s, start, len));
                        self.kernels.lane(l.op, self.register(l.dst as usize, len), args);
                    }
                }
            }
            self.store_rest(f, c, main, len);
        }
    }

    /// The same for code that reduces: many blocks at once, whose eight results side by side are joined afterwards, in the sums
    /// of the sweep at hand from `sum` on or in those of this instruction.
    ///
    /// SAFETY: as for `fused_part`.
    unsafe fn vector_sums(&mut self, f: &Fused, c: &Compiled, function: usize, (from, to): (usize, usize), sum: Option<usize>) {
        let width = c.code.width() / size_of::<T>();
        let mut at = from;
        // SAFETY: the memory of a register holds the results of so many blocks, and a vector behind them.
        unsafe {
            while at < to {
                let len = (RESULTS * BLOCK).min(to - at);
                let main = len / width * width;
                self.addresses(f, c, at, main, len);
                self.register_addresses(f, RESULTS * 8);
                let other = self.table.add(f.inputs.len() + f.registers as usize + f.outs.len());
                if main > 0 {
                    c.code.run(function, self.table, main * size_of::<T>());
                }
                if main < len
                    && let Some(Piece::Code(k)) = c.pieces.first()
                {
                    c.code.run(*k, other, c.code.width());
                    self.store_rest(f, c, main, len);
                }
                let blocks = len.div_ceil(BLOCK);
                let mut k = 0;
                for o in &f.outs {
                    let Out::Reduce { op, src: Src::Reg(r), .. } = o else { continue };
                    let lanes = self.scratch.add(k * BLOCK).cast::<[T; 8]>();
                    let rest = std::slice::from_raw_parts(self.scratch.add(*r as usize * BLOCK + RESULTS * 8), len - main);
                    let acc = match sum {
                        Some(sum) => self.sum_at(sum + k),
                        None => &mut self.accs[k],
                    };
                    for b in 0..blocks {
                        // The last block may have nothing but elements that fill no vector.
                        let done = if b * BLOCK < main { *lanes.add(b) } else { [reduce::identity(*op); 8] };
                        acc.add_lanes(&done, if b + 1 == blocks { rest } else { &[] });
                    }
                    k += 1;
                }
                at += len;
            }
        }
    }

    /// Stores the results of the block at hand. Reductions come before: a store may overwrite an input that they read.
    unsafe fn stores(&mut self, f: &Fused, start: usize, len: usize) {
        // SAFETY: see `fused`.
        unsafe {
            for o in &f.outs {
                if let Out::Store { src, access, .. } = o {
                    let to = self.at(access.place);
                    match self.arg(*src, start, len) {
                        Arg::Slice(x) => store(x, to, &access.pattern, start),
                        Arg::Splat(v) => {
                            let spare = self.register(f.registers as usize + f.inputs.len(), len);
                            spare.fill(v);
                            store(spare, to, &access.pattern, start);
                        }
                    }
                }
            }
        }
    }
}
