//! What the checker itself knows of a term's values: bounds, NaN, and the loops in which it varies.

use crate::bank::{Bank, Head, Id};
use gradus_ir::{BinaryOp, Cumulative, DType, Op, ReduceOp, UnaryOp};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

/// Terms opened one in another beyond which nothing is known.
const DEEPEST: usize = 64;

/// An interval that holds the values (but for NaN).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub lo: f64,
    pub hi: f64,
    pub nan: bool,
}

impl Range {
    const ANY: Range = Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY, nan: true };

    fn of(v: f64) -> Range {
        if v.is_nan() { Range { lo: f64::INFINITY, hi: f64::NEG_INFINITY, nan: true } } else { Range { lo: v, hi: v, nan: false } }
    }

    fn within(lo: f64, hi: f64, nan: bool) -> Range {
        Range { lo, hi, nan }
    }

    fn hull(self, o: Range) -> Range {
        Range { lo: self.lo.min(o.lo), hi: self.hi.max(o.hi), nan: self.nan || o.nan }
    }

    fn finite(self) -> bool {
        !self.nan && self.lo.is_finite() && self.hi.is_finite()
    }

    fn add(self, o: Range) -> Range {
        let opposite = (self.lo == f64::NEG_INFINITY && o.hi == f64::INFINITY) || (self.hi == f64::INFINITY && o.lo == f64::NEG_INFINITY);
        let nan = self.nan || o.nan || opposite;
        let (lo, hi) = (self.lo + o.lo, self.hi + o.hi);
        Range { lo: if lo.is_nan() { f64::NEG_INFINITY } else { lo }, hi: if hi.is_nan() { f64::INFINITY } else { hi }, nan }
    }

    fn neg(self) -> Range {
        Range { lo: -self.hi, hi: -self.lo, nan: self.nan }
    }

    fn mul(self, o: Range) -> Range {
        let zero = |r: Range| r.lo <= 0.0 && r.hi >= 0.0;
        let infinite = |r: Range| r.lo == f64::NEG_INFINITY || r.hi == f64::INFINITY;
        let nan = self.nan || o.nan || (zero(self) && infinite(o)) || (zero(o) && infinite(self));
        let mut out: Option<(f64, f64)> = None;
        for a in [self.lo, self.hi] {
            for b in [o.lo, o.hi] {
                let v = if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
                out = Some(out.map_or((v, v), |(l, h)| (l.min(v), h.max(v))));
            }
        }
        let (lo, hi) = out.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        Range { lo, hi, nan }
    }

    fn square(self) -> Range {
        let (a, b) = (self.lo.abs(), self.hi.abs());
        let lo = if self.lo <= 0.0 && self.hi >= 0.0 { 0.0 } else { a.min(b) };
        Range { lo: lo * lo, hi: a.max(b) * a.max(b), nan: self.nan }
    }

    fn recip(self) -> Range {
        if self.lo > 0.0 || self.hi < 0.0 {
            let (x, y) = (1.0 / self.hi, 1.0 / self.lo);
            return Range { lo: x.min(y), hi: x.max(y), nan: self.nan };
        }
        let (lo, hi) = if self.lo >= 0.0 { (f64::NEG_INFINITY, f64::INFINITY) } else { (f64::NEG_INFINITY, f64::INFINITY) };
        Range { lo, hi, nan: self.nan }
    }
}

/// Remembers what was found out.
#[derive(Default)]
pub struct Facts {
    ranges: RefCell<HashMap<Id, Range>>,
    loops: RefCell<HashMap<Id, BTreeSet<String>>>,
}

impl Facts {
    pub fn finite(&self, bank: &Bank, id: Id) -> bool {
        self.range(bank, id).finite()
    }

    pub fn nonzero(&self, bank: &Bank, id: Id) -> bool {
        let r = self.range(bank, id);
        !r.nan && (r.lo > 0.0 || r.hi < 0.0)
    }

    /// Never below zero (NaN allowed).
    pub fn nonneg(&self, bank: &Bank, id: Id) -> bool {
        self.range(bank, id).lo >= 0.0
    }

    pub fn positive(&self, bank: &Bank, id: Id) -> bool {
        let r = self.range(bank, id);
        !r.nan && r.lo > 0.0
    }

    pub fn range(&self, bank: &Bank, id: Id) -> Range {
        self.range_at(bank, id, 0)
    }

    fn range_at(&self, bank: &Bank, id: Id, depth: usize) -> Range {
        if let Some(r) = self.ranges.borrow().get(&id) {
            return *r;
        }
        let ty = bank.ty(id).dtype;
        let typed = match ty {
            DType::Bool => Range::within(0.0, 1.0, false),
            DType::Int => Range::within(-f64::MAX, f64::MAX, false),
            DType::Real => Range::ANY,
        };
        if depth > DEEPEST {
            return typed;
        }
        let r = self.from_operands(bank, id, depth);
        let r = Range { lo: r.lo.max(typed.lo), hi: r.hi.min(typed.hi), nan: r.nan && typed.nan };
        self.ranges.borrow_mut().insert(id, r);
        r
    }

    fn from_operands(&self, bank: &Bank, id: Id, depth: usize) -> Range {
        let Head::Op(op) = &bank.term(id).head else { return Range::ANY };
        let kids = &bank.term(id).kids;
        let k = |j: usize| kids.get(j).map_or(Range::ANY, |x| self.range_at(bank, *x, depth + 1));
        let inf = f64::INFINITY;
        match op {
            Op::Const(v, _) => Range::of(v.get()),
            Op::Literal(a) => a.data.iter().fold(Range::within(inf, -inf, false), |r, v| r.hull(Range::of(*v))),
            Op::DimValue(_) | Op::Iota(_) | Op::Permutation(_) | Op::ArgReduce { .. } | Op::ArgSort { .. } => Range::within(0.0, f64::MAX, false),
            Op::Uniform(_) => Range::within(0.0, 1.0, false),
            Op::Unary(u) => unary(*u, k(0)),
            Op::Binary(b) => binary(*b, k(0), k(1), kids.first() == kids.get(1), bank.constant(*kids.get(1).unwrap_or(&id))),
            Op::Select => k(1).hull(k(2)),
            Op::Reduce(ReduceOp::Sum, _) | Op::Cumulative { op: Cumulative::Sum, .. } => {
                let r = k(0);
                Range::within(if r.lo >= 0.0 { 0.0 } else { -inf }, if r.hi <= 0.0 { 0.0 } else { inf }, r.nan || (r.lo == -inf && r.hi == inf) || (r.lo < 0.0 && r.hi > 0.0))
            }
            Op::Reduce(ReduceOp::Max, _) => Range { lo: -inf, ..k(0) },
            Op::Reduce(ReduceOp::Min, _) => Range { hi: inf, ..k(0) },
            Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Slice { .. } | Op::Reverse { .. } | Op::Take { .. } | Op::TakeAlong { .. } | Op::Sort { .. } | Op::Diagonal => k(0),
            Op::Pad { .. } | Op::DiagMatrix => k(0).hull(Range::of(0.0)),
            Op::Concat { .. } => (1..kids.len()).fold(k(0), |r, j| r.hull(k(j))),
            Op::MatMul => {
                let r = if kids.first() == kids.get(1) { k(0).square() } else { k(0).mul(k(1)) };
                Range::within(if r.lo >= 0.0 { 0.0 } else { -inf }, if r.hi <= 0.0 { 0.0 } else { inf }, r.nan || r.lo < 0.0)
            }
            _ => Range::ANY,
        }
    }

    /// The loops in which a term varies: those whose carried or scanned values, steps or clocks it is made of.
    pub fn loops(&self, bank: &Bank, id: Id) -> BTreeSet<String> {
        let mut order = vec![(id, false)];
        while let Some((x, ready)) = order.pop() {
            if self.loops.borrow().contains_key(&x) {
                continue;
            }
            let kids = &bank.term(x).kids;
            if !ready {
                order.push((x, true));
                order.extend(kids.iter().map(|k| (*k, false)));
                continue;
            }
            let mut own = BTreeSet::new();
            for k in kids {
                own.extend(self.loops.borrow().get(k).into_iter().flatten().cloned());
            }
            if let Head::Atom(name) = &bank.term(x).head {
                let mut parts = name.splitn(2, ' ');
                let inside = matches!(parts.next(), Some("in" | "slice" | "clock"));
                if let (true, Some((label, _))) = (inside, parts.next().and_then(|rest| rest.rsplit_once(' '))) {
                    own.insert(label.to_string());
                }
            }
            self.loops.borrow_mut().insert(x, own);
        }
        self.loops.borrow().get(&id).cloned().unwrap_or_default()
    }
}

fn unary(u: UnaryOp, r: Range) -> Range {
    let inf = f64::INFINITY;
    let known = |lo: f64, hi: f64| Range::within(lo, hi, r.nan);
    match u {
        UnaryOp::Neg => r.neg(),
        UnaryOp::Abs => {
            let lo = if r.lo <= 0.0 && r.hi >= 0.0 { 0.0 } else { r.lo.abs().min(r.hi.abs()) };
            known(lo, r.lo.abs().max(r.hi.abs()))
        }
        UnaryOp::Square => r.square(),
        UnaryOp::Recip => r.recip(),
        UnaryOp::ToReal | UnaryOp::StopGrad => r,
        UnaryOp::Sqrt => Range::within(r.lo.max(0.0).sqrt(), r.hi.max(0.0).sqrt(), r.nan || r.lo < 0.0),
        // Rounding may leave the interval by a unit in the last place.
        UnaryOp::Exp => known((r.lo.exp() * (1.0 - 1e-14)).max(0.0), r.hi.exp() * (1.0 + 1e-14)),
        UnaryOp::Log => Range::within(-inf, if r.hi <= 1.0 { 0.0 } else { inf }, r.nan || r.lo < 0.0),
        UnaryOp::Softplus => known(0.0, inf),
        UnaryOp::Sigmoid => known(0.0, 1.0),
        UnaryOp::Tanh | UnaryOp::Sign | UnaryOp::Erf => known(if r.lo >= 0.0 { 0.0 } else { -1.0 }, if r.hi <= 0.0 { 0.0 } else { 1.0 }),
        UnaryOp::Sin | UnaryOp::Cos => Range::within(-1.0, 1.0, r.nan || !r.finite()),
        UnaryOp::Cosh => known(1.0, inf),
        UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round | UnaryOp::ToInt => known(r.lo.floor(), r.hi.ceil()),
        UnaryOp::Not | UnaryOp::IsNan | UnaryOp::IsFinite => Range::within(0.0, 1.0, false),
        _ => Range::ANY,
    }
}

fn binary(b: BinaryOp, x: Range, y: Range, same: bool, constant: Option<f64>) -> Range {
    match b {
        BinaryOp::Add => x.add(y),
        BinaryOp::Sub => x.add(y.neg()),
        BinaryOp::Mul if same => x.square(),
        BinaryOp::Mul => x.mul(y),
        BinaryOp::Div => {
            let r = x.mul(y.recip());
            Range { nan: r.nan || (x.lo <= 0.0 && x.hi >= 0.0 && y.lo <= 0.0 && y.hi >= 0.0), ..r }
        }
        BinaryOp::Pow => match constant {
            Some(e) if e.fract() == 0.0 && e % 2.0 == 0.0 && e != 0.0 => Range::within(0.0, f64::INFINITY, x.nan),
            Some(e) if e == 1.0 => x,
            _ if x.lo >= 0.0 => Range::within(0.0, f64::INFINITY, true),
            _ => Range::ANY,
        },
        BinaryOp::Max => Range::within(x.lo.max(y.lo), x.hi.max(y.hi), x.nan || y.nan),
        BinaryOp::Min => Range::within(x.lo.min(y.lo), x.hi.min(y.hi), x.nan || y.nan),
        BinaryOp::Hypot => Range::within(0.0, f64::INFINITY, true),
        _ if b.is_comparison() || matches!(b, BinaryOp::And | BinaryOp::Or) => Range::within(0.0, 1.0, false),
        _ => Range::ANY,
    }
}
