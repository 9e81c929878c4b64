//! How an instruction goes along with rows: which operands follow them, and what comes out row by row.

use crate::plan::{Access, Call, Func, Fused, Instr, Kind, MatMul, Matrix, Out, Pattern, Place};
use crate::planner::VIRTUAL;
use crate::sweep::Task;
use smallvec::SmallVec;

/// An operand of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub place: Place,
    /// Elements per row where it follows the rows, each row's behind those of the row before.
    pub follows: Option<usize>,
}

/// A result of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    pub place: Place,
    /// Elements per row where rows follow each other without gaps and the place is the whole buffer.
    pub rows: Option<usize>,
}

pub(crate) struct Fit {
    pub task: Task,
    pub reads: SmallVec<[Read; 4]>,
    pub writes: SmallVec<[Write; 2]>,
    /// A product with many columns: the library does it best in large pieces.
    pub wide: bool,
}

/// Products with more columns than this are limited by arithmetic, not by memory.
const NARROW: usize = 16;
/// The largest sum over rows that every chunk may hold.
const MAX_SUM: usize = 1 << 15;

pub(crate) fn is_virtual(p: &Place) -> bool {
    p.base & VIRTUAL != 0
}

/// The lengths of leading axes, multiplied up: the numbers of rows that the iteration space can be cut into.
pub(crate) fn prefixes(dims: &[usize]) -> SmallVec<[usize; 4]> {
    let mut out: SmallVec<[usize; 4]> = SmallVec::new();
    let mut n = 1usize;
    for d in dims {
        if *d != 1 {
            n *= d;
            out.push(n);
        }
    }
    out
}

/// Numbers of rows that the instruction can go along with.
pub(crate) fn candidates(i: &Instr) -> SmallVec<[usize; 4]> {
    match &i.kind {
        Kind::Fused(f) => prefixes(&f.dims),
        Kind::MatMul(m) if m.batch > 1 => SmallVec::from_slice(&[m.batch]),
        Kind::MatMul(m) => SmallVec::from_slice(&[m.a.rows, m.a.cols]),
        Kind::Call(c) => match lines(c) {
            Some((outer, n)) => match c.func {
                Func::ReduceAxis { .. } if outer == 1 => SmallVec::from_slice(&[n]),
                _ => SmallVec::from_slice(&[outer]),
            },
            None => SmallVec::new(),
        },
        Kind::Loop(_) | Kind::Cond(_) | Kind::Sweep(_) => SmallVec::new(),
    }
}

/// Number of independent lines of a kernel and the length of one.
fn lines(c: &Call) -> Option<(usize, usize)> {
    match c.func {
        Func::ReduceAxis { outer, n, .. } => Some((outer, n)),
        Func::Sort { outer, n, inner: 1, .. }
        | Func::ArgSort { outer, n, inner: 1, .. }
        | Func::ArgReduce { outer, n, inner: 1, .. }
        | Func::Cumulative { outer, n, inner: 1, .. }
        | Func::TakeAlong { outer, n, inner: 1, .. }
        | Func::TopK { outer, n, .. }
        | Func::Knapsack { outer, n }
        | Func::Isotonic { outer, n } => Some((outer, n)),
        _ => None,
    }
}

/// How a strided operand follows `rows` rows: the stride from row to row, and the reach within a row.
fn along(axes: &[(usize, isize)], rows: usize) -> Option<(isize, usize)> {
    let mut left = rows;
    let mut stride: Option<isize> = None;
    let mut reach = 0usize;
    for &(n, s) in axes {
        if left > 1 {
            let lead = if n <= left { n } else { left };
            if left % lead != 0 || n % lead != 0 {
                return None;
            }
            let rest = n / lead;
            let step = s * rest as isize;
            // Leading axes must nest: together they are one axis of rows.
            if stride.is_some_and(|t| t != step * lead as isize) {
                return None;
            }
            stride = Some(step);
            left /= lead;
            if rest > 1 {
                reach += usize::try_from(s).ok()? * (rest - 1);
            }
        } else {
            reach += usize::try_from(s).ok()? * (n - 1);
        }
    }
    if left == 1 { Some((stride?, reach)) } else { None }
}

fn read(a: &Access, rows: usize, inner: usize) -> Read {
    let follows = match &a.pattern {
        Pattern::Dense => Some(inner),
        Pattern::Splat => None,
        Pattern::Strided(axes) => match along(axes, rows) {
            Some((s, reach)) if s > 0 && a.place.offset + reach < s as usize => Some(s as usize),
            _ => None,
        },
    };
    let dense = a.pattern == Pattern::Dense;
    let follows = follows.filter(|_| a.place.counter == 0 && (!dense || a.place.offset == 0));
    Read { place: a.place, follows }
}

fn whole(p: &Place) -> bool {
    p.offset == 0 && p.counter == 0
}

/// A matrix whose rows (`by` elements apart) go along, each of `len` elements one behind the other.
fn read_matrix(m: &Matrix, by: isize, within: isize, len: usize) -> Read {
    let fits = m.place.counter == 0 && (len == 1 || within == 1) && by > 0 && m.place.offset + len <= by as usize;
    Read { place: m.place, follows: fits.then_some(by as usize) }
}

fn fit_fused(f: &Fused, rows: usize) -> Option<Fit> {
    if f.count == 0 || !prefixes(&f.dims).contains(&rows) {
        return None;
    }
    let inner = f.count / rows;
    let reducing = f.segment > 0;
    let by_row = reducing && inner % f.segment == 0;
    let full = reducing && f.rows == 1 && f.segment == f.count;
    if reducing && !by_row && !full {
        return None;
    }
    let mut writes: SmallVec<[Write; 2]> = SmallVec::new();
    for o in &f.outs {
        writes.push(match o {
            Out::Store { access, .. } => Write {
                place: access.place,
                rows: (access.pattern == Pattern::Dense && whole(&access.place)).then_some(inner),
            },
            Out::Reduce { place, .. } => {
                Write { place: *place, rows: (by_row && !full && whole(place)).then(|| inner / f.segment) }
            }
        });
    }
    Some(Fit {
        task: Task::Fused { fused: f.clone(), inner },
        reads: f.inputs.iter().map(|a| read(a, rows, inner)).collect(),
        writes,
        wide: false,
    })
}

/// Both ways where a square matrix allows both.
fn fit_matmul(m: &MatMul, rows: usize) -> SmallVec<[Fit; 2]> {
    let (p, k, n) = (m.a.rows, m.a.cols, m.b.cols);
    let mut fits = SmallVec::new();
    if p * k * n == 0 {
        return fits;
    }
    let out = |inner: Option<usize>| {
        SmallVec::from_slice(&[Write { place: m.out, rows: inner.filter(|_| whole(&m.out)) }])
    };
    if m.batch > 1 {
        if m.batch != rows {
            return fits;
        }
        let follows = |x: &Matrix| {
            let used = (x.rows - 1) as isize * x.row_stride + (x.cols - 1) as isize * x.col_stride;
            let fits = x.place.counter == 0 && x.batch_stride > 0 && x.place.offset as isize + used < x.batch_stride;
            Read { place: x.place, follows: fits.then_some(x.batch_stride as usize) }
        };
        fits.push(Fit {
            task: Task::Batch(*m),
            reads: SmallVec::from_slice(&[follows(&m.a), follows(&m.b)]),
            writes: out(Some(p * n)),
            wide: p.min(k).min(n) > NARROW,
        });
        return fits;
    }
    let fixed = |x: &Matrix| Read { place: x.place, follows: None };
    // A narrow product reads its matrix once: in the order of memory, or not at all.
    if p == rows && (n > NARROW || k == 1 || m.a.col_stride == 1) {
        fits.push(Fit {
            task: Task::Rows(*m),
            reads: SmallVec::from_slice(&[read_matrix(&m.a, m.a.row_stride, m.a.col_stride, k), fixed(&m.b)]),
            writes: out(Some(n)),
            wide: n > NARROW,
        });
    }
    if k == rows && p * n <= MAX_SUM && p.min(n) <= NARROW && (p == 1 || m.a.row_stride == 1) && (n == 1 || m.b.col_stride == 1) {
        // A vector on the left is a row: its elements are one apart.
        let a = if p == 1 { read_matrix(&m.a, 1, 1, 1) } else { read_matrix(&m.a, m.a.col_stride, m.a.row_stride, p) };
        let b = if n == 1 { read_matrix(&m.b, 1, 1, 1) } else { read_matrix(&m.b, m.b.row_stride, m.b.col_stride, n) };
        fits.push(Fit {
            task: Task::Sum(*m),
            reads: SmallVec::from_slice(&[a, b]),
            writes: out(None),
            wide: false,
        });
    }
    fits
}

fn fit_call(c: &Call, rows: usize) -> Option<Fit> {
    let (outer, n) = lines(c)?;
    let follow = |place: Place, count: usize| {
        (count % rows == 0 && whole(&place)).then(|| count / rows)
    };
    if let Func::ReduceAxis { op, outer: 1, inner, .. } = c.func
        && n == rows
    {
        let (from, out) = (c.inputs[0].place, c.outputs[0].place);
        return Some(Fit {
            task: Task::Columns { op, inner, from, out },
            reads: SmallVec::from_slice(&[Read { place: from, follows: whole(&from).then_some(inner) }]),
            writes: SmallVec::from_slice(&[Write { place: out, rows: None }]),
            wide: false,
        });
    }
    if outer != rows || n == 0 {
        return None;
    }
    let reads = c.inputs.iter().map(|t| Read { place: t.place, follows: follow(t.place, t.count()) }).collect();
    let writes = c.outputs.iter().map(|t| Write { place: t.place, rows: follow(t.place, t.count()) }).collect();
    Some(Fit { task: Task::Lines(c.clone()), reads, writes, wide: false })
}

/// The instruction as a step of a sweep over so many rows, the better way first.
pub(crate) fn fits(i: &Instr, rows: usize) -> SmallVec<[Fit; 2]> {
    if rows < 2 {
        return SmallVec::new();
    }
    match &i.kind {
        Kind::Fused(f) => fit_fused(f, rows).into_iter().collect(),
        Kind::MatMul(m) => fit_matmul(m, rows),
        Kind::Call(c) => fit_call(c, rows).into_iter().collect(),
        Kind::Loop(_) | Kind::Cond(_) | Kind::Sweep(_) => SmallVec::new(),
    }
}
