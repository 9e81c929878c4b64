//! The elements that an instruction touches, and whether it has a native form.

use gradus_ir::ReduceOp;
use gradus_plan::{Call, Fused, Func, Instr, Kind, MatMul, Matrix, Out, Pattern, Place, Sweep, Task};
use smallvec::SmallVec;

/// Elements of an instruction that is written out element by element.
const UNROLLED: usize = 16;
/// Operations that one written-out instruction may become.
const OPERATIONS: usize = 256;
/// Products of a written-out matrix product.
const PRODUCTS: usize = 64;

/// Which elements from a place on.
#[derive(Clone, Debug)]
pub(crate) enum Elements {
    /// These, known now.
    Each(SmallVec<[isize; 8]>),
    /// Some or all of `lo..hi`; `whole` where every one is written.
    Within { lo: isize, hi: isize, whole: bool },
}

pub(crate) struct Touch {
    pub place: Place,
    pub elements: Elements,
    pub write: bool,
    /// By the host, through memory.
    pub host: bool,
}

fn hull(pattern: &Pattern, count: usize) -> (isize, isize) {
    match pattern {
        Pattern::Dense => (0, count as isize),
        Pattern::Splat => (0, 1),
        Pattern::Strided(axes) => {
            let (mut lo, mut hi) = (0, 1);
            for &(d, s) in axes {
                let far = (d as isize - 1) * s;
                if far < 0 { lo += far } else { hi += far }
            }
            (lo, hi)
        }
    }
}

fn each(n: usize) -> Elements {
    Elements::Each((0..n as isize).collect())
}

/// Does code generation know this instruction? Loops and branches are looked into.
pub(crate) fn is_native(i: &Instr) -> bool {
    match &i.kind {
        Kind::Fused(f) => fused_is_native(f),
        Kind::MatMul(m) => matmul_is_native(m),
        Kind::Call(c) => call_is_native(c),
        Kind::Sweep(_) => false,
        Kind::Loop(_) | Kind::Cond(_) => true,
    }
}

fn fused_is_native(f: &Fused) -> bool {
    let operations = f.program.len() + f.inputs.len() + f.outs.len();
    let plain = f.outs.iter().all(|o| match o {
        Out::Store { .. } => true,
        // More than one element of it goes through the host's exponential.
        Out::Reduce { op, .. } => f.count == 1 || *op != ReduceOp::LogSumExp,
    });
    f.count >= 1 && f.count <= UNROLLED && f.count * operations <= OPERATIONS && plain
}

fn matmul_is_native(m: &MatMul) -> bool {
    let (r, k, c) = (m.a.rows, m.a.cols, m.b.cols);
    let vectors = if c == 1 && (m.b.row_stride == 1 || k == 1) {
        m.a.col_stride == 1 || m.a.row_stride == 1 || r == 1 && k == 1
    } else if r == 1 && (m.a.col_stride == 1 || k == 1) {
        m.b.row_stride == 1 || m.b.col_stride == 1
    } else {
        true
    };
    // Columns of eight and more have an order of their own in the executor.
    m.batch * r * c >= 1 && k >= 1 && m.batch * r * k * c <= PRODUCTS && r < 8 && c < 8 && k <= 16 && vectors
}

fn call_is_native(c: &Call) -> bool {
    match c.func {
        Func::Take { outer, inner, picks, .. } | Func::TakeAlong { outer, inner, picks, .. } => {
            (1..=UNROLLED).contains(&(outer * inner * picks))
        }
        Func::ScatterAdd { outer, inner, picks, .. }
        | Func::ScatterSet { outer, inner, picks, .. }
        | Func::ScatterAddAlong { outer, inner, picks, .. } => {
            // Elsewhere the whole base would be copied by native code.
            let in_place = c.inputs[0].place == c.outputs[0].place;
            (1..=UNROLLED).contains(&(outer * inner * picks)) && (in_place || c.outputs[0].count() <= UNROLLED)
        }
        Func::Cumulative { outer, n, inner, .. } => (1..=UNROLLED).contains(&(outer * n * inner)),
        Func::ReduceAxis { op, outer, n, inner } => {
            op != ReduceOp::LogSumExp && (1..=2 * UNROLLED).contains(&(outer * n * inner))
        }
        Func::DiagMatrix { n } => (1..=4).contains(&n),
        _ => false,
    }
}

/// Calls `f` for everything that the instruction itself touches; blocks inside it are not looked into.
pub(crate) fn touches(i: &Instr, f: &mut dyn FnMut(Touch)) {
    let host = !is_native(i);
    let mut put = |place: Place, elements: Elements, write: bool| f(Touch { place, elements, write, host });
    match &i.kind {
        Kind::Fused(x) => {
            let elements = |p: &Pattern| {
                if host {
                    let (lo, hi) = hull(p, x.count);
                    Elements::Within { lo, hi, whole: *p == Pattern::Dense }
                } else if *p == Pattern::Splat {
                    each(1)
                } else {
                    Elements::Each((0..x.count).map(|k| p.offset(k)).collect())
                }
            };
            for a in &x.inputs {
                put(a.place, elements(&a.pattern), false);
            }
            for o in &x.outs {
                match o {
                    Out::Store { access, .. } => put(access.place, elements(&access.pattern), true),
                    Out::Reduce { place, .. } if host => {
                        put(*place, Elements::Within { lo: 0, hi: x.rows as isize, whole: true }, true);
                    }
                    Out::Reduce { place, .. } => put(*place, each(if x.count == 1 { 1 } else { x.rows }), true),
                }
            }
        }
        Kind::MatMul(m) => {
            for x in [&m.a, &m.b] {
                put(x.place, if host { matrix_hull(x, m.batch) } else { matrix_elements(x, m.batch) }, false);
            }
            let n = m.batch * m.a.rows * m.b.cols;
            put(m.out, if host { Elements::Within { lo: 0, hi: n as isize, whole: true } } else { each(n) }, true);
        }
        Kind::Call(c) => call_touches(c, host, &mut put),
        Kind::Loop(l) => {
            if let Some(p) = l.index {
                put(p, each(1), true);
            }
            for (from, to, n) in &l.copies {
                let n = *n as isize;
                let e = |whole| if n > COPIED { Elements::Within { lo: 0, hi: n, whole } } else { each(n as usize) };
                put(*from, e(false), false);
                put(*to, e(true), true);
            }
            for (p, n) in &l.collected {
                put(*p, Elements::Within { lo: 0, hi: (n * l.bound) as isize, whole: false }, true);
            }
            if let Some(p) = l.done {
                put(p, each(1), true);
            }
        }
        Kind::Sweep(s) => sweep_touches(s, &mut put),
        Kind::Cond(_) => {}
    }
}

/// What a sweep touches: every place moves with the row that its counter holds.
fn sweep_touches(s: &Sweep, put: &mut dyn FnMut(Place, Elements, bool)) {
    for step in &s.steps {
        let mut put = |p: &Place, n: usize, write: bool| {
            let far = if p.counter == s.row { s.rows as isize * p.stride } else { 0 };
            let place = if p.counter == s.row { Place { counter: 0, stride: 0, ..*p } } else { *p };
            put(place, Elements::Within { lo: far.min(0), hi: far.max(0) + n as isize, whole: false }, write);
        };
        let spread = |m: &Matrix, batch: usize| match matrix_hull(m, batch) {
            Elements::Within { lo, hi, .. } => (lo, hi),
            Elements::Each(_) => (0, 1),
        };
        let mut product = |m: &MatMul| {
            for x in [&m.a, &m.b] {
                let (lo, hi) = spread(x, m.batch.max(s.rows));
                put(&Place { offset: (x.place.offset as isize).wrapping_add(lo) as usize, ..x.place }, (hi - lo) as usize, false);
            }
            put(&m.out, m.batch.max(s.rows) * m.a.rows.max(s.rows) * m.b.cols, true);
        };
        match &step.task {
            Task::Fused { fused, .. } => {
                for a in &fused.inputs {
                    let (lo, hi) = hull(&a.pattern, fused.count);
                    put(&Place { offset: (a.place.offset as isize).wrapping_add(lo) as usize, ..a.place }, (hi - lo) as usize, false);
                }
                for o in &fused.outs {
                    match o {
                        Out::Store { access, .. } => {
                            let (lo, hi) = hull(&access.pattern, fused.count);
                            let place = Place { offset: (access.place.offset as isize).wrapping_add(lo) as usize, ..access.place };
                            put(&place, (hi - lo) as usize, true);
                        }
                        Out::Reduce { place, .. } => put(place, fused.rows.max(1), true),
                    }
                }
            }
            Task::Rows(m) | Task::Batch(m) | Task::Sum(m) => product(m),
            Task::Columns { inner, from, out, .. } => {
                put(from, s.rows * inner, false);
                put(out, 2 * inner, true);
            }
            Task::Lines(c) => {
                for t in &c.inputs {
                    put(&t.place, t.count(), false);
                }
                for t in &c.outputs {
                    put(&t.place, t.count(), true);
                }
                if let Some((p, n)) = c.work {
                    put(&p, n, true);
                }
            }
        }
        if let Some(p) = &step.partials {
            put(p, s.chunks() * step.sums(), true);
        }
    }
}

/// Carries up to this length are copied value by value.
pub(crate) const COPIED: isize = 16;

fn matrix_hull(m: &Matrix, batch: usize) -> Elements {
    let (mut lo, mut hi) = (0, 1);
    for (n, s) in [(batch, m.batch_stride), (m.rows, m.row_stride), (m.cols, m.col_stride)] {
        let far = (n as isize - 1).max(0) * s;
        if far < 0 { lo += far } else { hi += far }
    }
    Elements::Within { lo, hi, whole: false }
}

fn matrix_elements(m: &Matrix, batch: usize) -> Elements {
    let mut all = SmallVec::new();
    for b in 0..if m.batch_stride == 0 { 1 } else { batch } {
        for r in 0..m.rows {
            for c in 0..m.cols {
                all.push(b as isize * m.batch_stride + r as isize * m.row_stride + c as isize * m.col_stride);
            }
        }
    }
    Elements::Each(all)
}

fn call_touches(c: &Call, host: bool, put: &mut dyn FnMut(Place, Elements, bool)) {
    let range = |n: usize, whole: bool| Elements::Within { lo: 0, hi: n as isize, whole };
    if host {
        for t in &c.inputs {
            put(t.place, range(t.count(), false), false);
        }
        for t in &c.outputs {
            put(t.place, range(t.count(), true), true);
        }
        if let Some((p, n)) = c.work {
            put(p, range(n, true), true);
        }
        return;
    }
    match c.func {
        // What is read depends on data.
        Func::Take { .. } | Func::TakeAlong { .. } => {
            put(c.inputs[0].place, range(c.inputs[0].count(), false), false);
            put(c.inputs[1].place, each(c.inputs[1].count()), false);
            put(c.outputs[0].place, each(c.outputs[0].count()), true);
        }
        Func::ScatterAdd { .. } | Func::ScatterSet { .. } | Func::ScatterAddAlong { .. } => {
            if c.inputs[0].place != c.outputs[0].place {
                put(c.inputs[0].place, each(c.inputs[0].count()), false);
            }
            put(c.inputs[1].place, each(c.inputs[1].count()), false);
            put(c.inputs[2].place, each(c.inputs[2].count()), false);
            put(c.outputs[0].place, range(c.outputs[0].count(), false), true);
        }
        _ => {
            put(c.inputs[0].place, each(c.inputs[0].count()), false);
            put(c.outputs[0].place, each(c.outputs[0].count()), true);
        }
    }
}
