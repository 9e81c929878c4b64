//! One lane over a block of elements: the inner loops of fused instructions, and the same functions for single numbers.

use crate::{special, transcendental};
use gradus_ir::{BinaryOp, UnaryOp};
use gradus_plan::LaneOp;

#[inline(always)]
fn truth(c: bool) -> f64 {
    f64::from(u8::from(c))
}

/// An operand of a block: as many elements as the block has, or one for all.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a> {
    Slice(&'a [f64]),
    Splat(f64),
}

/// Calls `$go!` with the scalar function of each unary op, so that blocks and single numbers share one table.
macro_rules! unary_table {
    ($op:expr, $go:ident) => {
        match $op {
            UnaryOp::Neg => $go!(|x: f64| -x),
            UnaryOp::Abs => $go!(|x: f64| x.abs()),
            UnaryOp::Sign => $go!(special::sign),
            UnaryOp::Square => $go!(|x: f64| x * x),
            UnaryOp::Recip => $go!(|x: f64| 1.0 / x),
            UnaryOp::Sqrt => $go!(|x: f64| x.sqrt()),
            UnaryOp::Exp => $go!(transcendental::exp),
            UnaryOp::Expm1 => $go!(transcendental::expm1),
            UnaryOp::Log => $go!(transcendental::log),
            UnaryOp::Log1p => $go!(transcendental::log1p),
            UnaryOp::Sin => $go!(|x: f64| x.sin()),
            UnaryOp::Cos => $go!(|x: f64| x.cos()),
            UnaryOp::Tan => $go!(|x: f64| x.tan()),
            UnaryOp::Asin => $go!(|x: f64| x.asin()),
            UnaryOp::Acos => $go!(|x: f64| x.acos()),
            UnaryOp::Atan => $go!(|x: f64| x.atan()),
            UnaryOp::Sinh => $go!(|x: f64| x.sinh()),
            UnaryOp::Cosh => $go!(|x: f64| x.cosh()),
            UnaryOp::Tanh => $go!(transcendental::tanh),
            UnaryOp::Sigmoid => $go!(transcendental::sigmoid),
            UnaryOp::Softplus => $go!(transcendental::softplus),
            UnaryOp::Erf => $go!(special::erf),
            UnaryOp::Lgamma => $go!(special::lgamma),
            UnaryOp::Digamma => $go!(special::digamma),
            UnaryOp::Trigamma => $go!(special::trigamma),
            UnaryOp::Floor => $go!(|x: f64| x.floor()),
            UnaryOp::Ceil => $go!(|x: f64| x.ceil()),
            UnaryOp::Round => $go!(|x: f64| x.round_ties_even()),
            UnaryOp::Not => $go!(|x: f64| truth(x == 0.0)),
            UnaryOp::IsNan => $go!(|x: f64| truth(x.is_nan())),
            UnaryOp::IsFinite => $go!(|x: f64| truth(x.is_finite())),
            UnaryOp::ToReal | UnaryOp::StopGrad => $go!(|x: f64| x),
            UnaryOp::ToInt => $go!(|x: f64| x.trunc()),
        }
    };
}

macro_rules! binary_table {
    ($op:expr, $go:ident) => {
        match $op {
            BinaryOp::Add => $go!(|x: f64, y: f64| x + y),
            BinaryOp::Sub => $go!(|x: f64, y: f64| x - y),
            BinaryOp::Mul => $go!(|x: f64, y: f64| x * y),
            BinaryOp::Div => $go!(|x: f64, y: f64| x / y),
            BinaryOp::Pow => $go!(special::pow),
            BinaryOp::Mod => $go!(special::modulo),
            BinaryOp::Max => $go!(special::max),
            BinaryOp::Min => $go!(special::min),
            BinaryOp::Atan2 => $go!(|x: f64, y: f64| x.atan2(y)),
            BinaryOp::Hypot => $go!(|x: f64, y: f64| x.hypot(y)),
            BinaryOp::Lt => $go!(|x: f64, y: f64| truth(x < y)),
            BinaryOp::Le => $go!(|x: f64, y: f64| truth(x <= y)),
            BinaryOp::Gt => $go!(|x: f64, y: f64| truth(x > y)),
            BinaryOp::Ge => $go!(|x: f64, y: f64| truth(x >= y)),
            BinaryOp::Eq => $go!(|x: f64, y: f64| truth(x == y)),
            BinaryOp::Ne => $go!(|x: f64, y: f64| truth(x != y)),
            BinaryOp::And => $go!(|x: f64, y: f64| truth(x != 0.0 && y != 0.0)),
            BinaryOp::Or => $go!(|x: f64, y: f64| truth(x != 0.0 || y != 0.0)),
        }
    };
}

#[inline(always)]
fn map1(out: &mut [f64], a: Arg<'_>, f: impl Fn(f64) -> f64) {
    match a {
        Arg::Slice(a) => {
            for (o, x) in out.iter_mut().zip(a) {
                *o = f(*x);
            }
        }
        Arg::Splat(x) => out.fill(f(x)),
    }
}

#[inline(always)]
fn map2(out: &mut [f64], a: Arg<'_>, b: Arg<'_>, f: impl Fn(f64, f64) -> f64) {
    match (a, b) {
        (Arg::Slice(a), Arg::Slice(b)) => {
            for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
                *o = f(*x, *y);
            }
        }
        (Arg::Slice(a), Arg::Splat(y)) => {
            for (o, x) in out.iter_mut().zip(a) {
                *o = f(*x, y);
            }
        }
        (Arg::Splat(x), Arg::Slice(b)) => {
            for (o, y) in out.iter_mut().zip(b) {
                *o = f(x, *y);
            }
        }
        (Arg::Splat(x), Arg::Splat(y)) => out.fill(f(x, y)),
    }
}

#[inline(always)]
fn map3(out: &mut [f64], a: Arg<'_>, b: Arg<'_>, c: Arg<'_>, f: impl Fn(f64, f64, f64) -> f64) {
    let n = out.len();
    // The common forms have loops of their own; the others read through a choice that does not change in the loop.
    match (a, b, c) {
        (Arg::Slice(a), Arg::Slice(b), Arg::Slice(c)) => {
            for (((o, x), y), z) in out.iter_mut().zip(a).zip(b).zip(c) {
                *o = f(*x, *y, *z);
            }
        }
        (Arg::Slice(a), Arg::Splat(y), Arg::Slice(c)) => {
            for ((o, x), z) in out.iter_mut().zip(a).zip(c) {
                *o = f(*x, y, *z);
            }
        }
        (Arg::Splat(x), Arg::Slice(b), Arg::Slice(c)) => {
            for ((o, y), z) in out.iter_mut().zip(b).zip(c) {
                *o = f(x, *y, *z);
            }
        }
        (Arg::Slice(a), Arg::Slice(b), Arg::Splat(z)) => {
            for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
                *o = f(*x, *y, z);
            }
        }
        (Arg::Slice(a), Arg::Splat(y), Arg::Splat(z)) => {
            for (o, x) in out.iter_mut().zip(a) {
                *o = f(*x, y, z);
            }
        }
        _ => {
            let at = |s: Arg<'_>, k: usize| match s {
                Arg::Slice(s) => s[k],
                Arg::Splat(v) => v,
            };
            for (k, o) in out.iter_mut().enumerate().take(n) {
                *o = f(at(a, k), at(b, k), at(c, k));
            }
        }
    }
}

#[inline(always)]
fn select(c: f64, x: f64, y: f64) -> f64 {
    if c != 0.0 { x } else { y }
}

#[inline(always)]
fn unary(op: UnaryOp, out: &mut [f64], a: Arg<'_>) {
    macro_rules! go {
        ($f:expr) => {
            map1(out, a, $f)
        };
    }
    unary_table!(op, go)
}

#[inline(always)]
fn binary(op: BinaryOp, out: &mut [f64], a: Arg<'_>, b: Arg<'_>) {
    macro_rules! go {
        ($f:expr) => {
            map2(out, a, b, $f)
        };
    }
    // A whole small exponent is decided once for the block.
    if op == BinaryOp::Pow
        && let Arg::Splat(e) = b
    {
        if e == 3.0 {
            return map1(out, a, |x| x * x * x);
        } else if e == 2.0 {
            return map1(out, a, |x| x * x);
        }
    }
    binary_table!(op, go)
}

/// One lane over `out.len()` elements. `out` is none of the operands. Always inlined: `simd` compiles it for several widths.
#[inline(always)]
pub(crate) fn lane(op: LaneOp, out: &mut [f64], a: Arg<'_>, b: Arg<'_>, c: Arg<'_>) {
    match op {
        LaneOp::Unary(u) => unary(u, out, a),
        LaneOp::Binary(o) => binary(o, out, a, b),
        LaneOp::Select => map3(out, a, b, c, select),
        LaneOp::MulAdd => map3(out, a, b, c, |x, y, z| x * y + z),
        LaneOp::MulSub => map3(out, a, b, c, |x, y, z| x * y - z),
        LaneOp::SubMul => map3(out, a, b, c, |x, y, z| z - x * y),
    }
}

/// The same lane on single numbers.
#[inline]
pub(crate) fn lane1(op: LaneOp, a: f64, b: f64, c: f64) -> f64 {
    macro_rules! go1 {
        ($f:expr) => {
            $f(a)
        };
    }
    macro_rules! go2 {
        ($f:expr) => {
            $f(a, b)
        };
    }
    match op {
        LaneOp::Unary(u) => unary_table!(u, go1),
        LaneOp::Binary(o) => binary_table!(o, go2),
        LaneOp::Select => select(a, b, c),
        LaneOp::MulAdd => a * b + c,
        LaneOp::MulSub => a * b - c,
        LaneOp::SubMul => c - a * b,
    }
}
