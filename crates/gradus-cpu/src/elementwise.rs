//! One lane over a block of elements: the inner loops of fused instructions, and the same functions for single numbers.

use crate::real::Real;
use crate::special;
use gradus_ir::{BinaryOp, UnaryOp};
use gradus_plan::LaneOp;

#[inline(always)]
fn truth<T: Real>(c: bool) -> T {
    if c { T::ONE } else { T::ZERO }
}

/// An operand of a block: as many elements as the block has, or one for all.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a, T> {
    Slice(&'a [T]),
    Splat(T),
}

/// Calls `$go!` with the scalar function of each unary op, so that blocks and single numbers share one table.
macro_rules! unary_table {
    ($op:expr, $go:ident) => {
        match $op {
            UnaryOp::Neg => $go!(|x: T| -x),
            UnaryOp::Abs => $go!(T::abs),
            UnaryOp::Sign => $go!(special::sign),
            UnaryOp::Square => $go!(|x: T| x * x),
            UnaryOp::Recip => $go!(|x: T| T::ONE / x),
            UnaryOp::Sqrt => $go!(T::sqrt),
            UnaryOp::Exp => $go!(T::exp),
            UnaryOp::Expm1 => $go!(T::expm1),
            UnaryOp::Log => $go!(T::log),
            UnaryOp::Log1p => $go!(T::log1p),
            UnaryOp::Sin => $go!(T::sin),
            UnaryOp::Cos => $go!(T::cos),
            UnaryOp::Tan => $go!(T::tan),
            UnaryOp::Asin => $go!(T::asin),
            UnaryOp::Acos => $go!(T::acos),
            UnaryOp::Atan => $go!(T::atan),
            UnaryOp::Sinh => $go!(T::sinh),
            UnaryOp::Cosh => $go!(T::cosh),
            UnaryOp::Tanh => $go!(T::tanh),
            UnaryOp::Sigmoid => $go!(T::sigmoid),
            UnaryOp::Softplus => $go!(T::softplus),
            UnaryOp::Erf => $go!(T::erf),
            UnaryOp::Lgamma => $go!(T::lgamma),
            UnaryOp::Digamma => $go!(T::digamma),
            UnaryOp::Trigamma => $go!(T::trigamma),
            UnaryOp::Floor => $go!(T::floor),
            UnaryOp::Ceil => $go!(T::ceil),
            UnaryOp::Round => $go!(T::round_ties_even),
            UnaryOp::Not => $go!(|x: T| truth(x == T::ZERO)),
            UnaryOp::IsNan => $go!(|x: T| truth(x.is_nan())),
            UnaryOp::IsFinite => $go!(|x: T| truth(x.is_finite())),
            UnaryOp::ToReal | UnaryOp::StopGrad => $go!(|x: T| x),
            UnaryOp::ToInt => $go!(T::trunc),
        }
    };
}

macro_rules! binary_table {
    ($op:expr, $go:ident) => {
        match $op {
            BinaryOp::Add => $go!(|x: T, y: T| x + y),
            BinaryOp::Sub => $go!(|x: T, y: T| x - y),
            BinaryOp::Mul => $go!(|x: T, y: T| x * y),
            BinaryOp::Div => $go!(|x: T, y: T| x / y),
            BinaryOp::Pow => $go!(special::pow),
            BinaryOp::Mod => $go!(special::modulo),
            BinaryOp::Max => $go!(special::max),
            BinaryOp::Min => $go!(special::min),
            BinaryOp::Atan2 => $go!(|x: T, y: T| x.atan2(y)),
            BinaryOp::Hypot => $go!(T::hypot),
            BinaryOp::Lt => $go!(|x: T, y: T| truth(x < y)),
            BinaryOp::Le => $go!(|x: T, y: T| truth(x <= y)),
            BinaryOp::Gt => $go!(|x: T, y: T| truth(x > y)),
            BinaryOp::Ge => $go!(|x: T, y: T| truth(x >= y)),
            BinaryOp::Eq => $go!(|x: T, y: T| truth(x == y)),
            BinaryOp::Ne => $go!(|x: T, y: T| truth(x != y)),
            BinaryOp::And => $go!(|x: T, y: T| truth(x != T::ZERO && y != T::ZERO)),
            BinaryOp::Or => $go!(|x: T, y: T| truth(x != T::ZERO || y != T::ZERO)),
        }
    };
}

// Macros, not functions that take a function: what is handed over by name is called through a shim, which for long bodies is
// compiled apart, for the baseline machine.

/// `out = f(a)` over a block.
macro_rules! map1 {
    ($out:ident, $a:ident, $f:expr) => {
        match $a {
            Arg::Slice(a) => {
                for (o, x) in $out.iter_mut().zip(a) {
                    *o = $f(*x);
                }
            }
            Arg::Splat(x) => $out.fill($f(x)),
        }
    };
}

/// `out = f(a, b)` over a block.
macro_rules! map2 {
    ($out:ident, $a:ident, $b:ident, $f:expr) => {
        match ($a, $b) {
            (Arg::Slice(a), Arg::Slice(b)) => {
                for ((o, x), y) in $out.iter_mut().zip(a).zip(b) {
                    *o = $f(*x, *y);
                }
            }
            (Arg::Slice(a), Arg::Splat(y)) => {
                for (o, x) in $out.iter_mut().zip(a) {
                    *o = $f(*x, y);
                }
            }
            (Arg::Splat(x), Arg::Slice(b)) => {
                for (o, y) in $out.iter_mut().zip(b) {
                    *o = $f(x, *y);
                }
            }
            (Arg::Splat(x), Arg::Splat(y)) => $out.fill($f(x, y)),
        }
    };
}

#[inline(always)]
fn map3<T: Real>(out: &mut [T], a: Arg<'_, T>, b: Arg<'_, T>, c: Arg<'_, T>, f: impl Fn(T, T, T) -> T) {
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
            let at = |s: Arg<'_, T>, k: usize| match s {
                Arg::Slice(s) => s[k],
                Arg::Splat(v) => v,
            };
            for (k, o) in out.iter_mut().enumerate().take(n) {
                *o = f(at(a, k), at(b, k), at(c, k));
            }
        }
    }
}

/// Every combination of arrays and single numbers has a loop of its own.
#[inline(always)]
fn map4<T: Real>(out: &mut [T], [a, b, c, d]: [Arg<'_, T>; 4], f: impl Fn(T, T, T, T) -> T) {
    macro_rules! at {
        (slice $x:ident $k:ident) => {
            $x[$k]
        };
        (one $x:ident $k:ident) => {
            $x
        };
    }
    macro_rules! whole {
        (slice $x:ident) => {
            let $x = &$x[..out.len()];
        };
        (one $x:ident) => {};
    }
    macro_rules! go {
        ($ka:ident $kb:ident $kc:ident $kd:ident, $a:ident $b:ident $c:ident $d:ident) => {{
            whole!($ka $a);
            whole!($kb $b);
            whole!($kc $c);
            whole!($kd $d);
            for k in 0..out.len() {
                out[k] = f(at!($ka $a k), at!($kb $b k), at!($kc $c k), at!($kd $d k));
            }
        }};
    }
    use Arg::{Slice, Splat};
    match (a, b, c, d) {
        (Slice(a), Slice(b), Slice(c), Slice(d)) => go!(slice slice slice slice, a b c d),
        (Slice(a), Slice(b), Slice(c), Splat(d)) => go!(slice slice slice one, a b c d),
        (Slice(a), Slice(b), Splat(c), Slice(d)) => go!(slice slice one slice, a b c d),
        (Slice(a), Slice(b), Splat(c), Splat(d)) => go!(slice slice one one, a b c d),
        (Slice(a), Splat(b), Slice(c), Slice(d)) => go!(slice one slice slice, a b c d),
        (Slice(a), Splat(b), Slice(c), Splat(d)) => go!(slice one slice one, a b c d),
        (Slice(a), Splat(b), Splat(c), Slice(d)) => go!(slice one one slice, a b c d),
        (Slice(a), Splat(b), Splat(c), Splat(d)) => go!(slice one one one, a b c d),
        (Splat(a), Slice(b), Slice(c), Slice(d)) => go!(one slice slice slice, a b c d),
        (Splat(a), Slice(b), Slice(c), Splat(d)) => go!(one slice slice one, a b c d),
        (Splat(a), Slice(b), Splat(c), Slice(d)) => go!(one slice one slice, a b c d),
        (Splat(a), Slice(b), Splat(c), Splat(d)) => go!(one slice one one, a b c d),
        (Splat(a), Splat(b), Slice(c), Slice(d)) => go!(one one slice slice, a b c d),
        (Splat(a), Splat(b), Slice(c), Splat(d)) => go!(one one slice one, a b c d),
        (Splat(a), Splat(b), Splat(c), Slice(d)) => go!(one one one slice, a b c d),
        (Splat(a), Splat(b), Splat(c), Splat(d)) => out.fill(f(a, b, c, d)),
    }
}

#[inline(always)]
fn select<T: Real>(c: T, x: T, y: T) -> T {
    if c != T::ZERO { x } else { y }
}

/// Lane code for all elements, then the far ones again by the full function: the same as that for each.
macro_rules! periodic {
    ($out:ident, $a:ident, $near:expr, $full:expr) => {{
        map1!($out, $a, $near);
        let far = match $a {
            Arg::Slice(x) => x.iter().fold(false, |far, x| far | x.is_far()),
            Arg::Splat(x) => x.is_far(),
        };
        if far {
            map1!($out, $a, $full);
        }
    }};
}

#[inline(always)]
fn unary<T: Real>(op: UnaryOp, out: &mut [T], a: Arg<'_, T>) {
    macro_rules! go {
        ($f:expr) => {
            map1!(out, a, $f)
        };
    }
    match op {
        UnaryOp::Sin => periodic!(out, a, T::sin_near, T::sin),
        UnaryOp::Cos => periodic!(out, a, T::cos_near, T::cos),
        op => unary_table!(op, go),
    }
}

#[inline(always)]
fn binary<T: Real>(op: BinaryOp, out: &mut [T], a: Arg<'_, T>, b: Arg<'_, T>) {
    macro_rules! go {
        ($f:expr) => {
            map2!(out, a, b, $f)
        };
    }
    // A whole small exponent is decided once for the block.
    if op == BinaryOp::Pow
        && let Arg::Splat(e) = b
    {
        if e == T::of(3.0) {
            return map1!(out, a, |x: T| x * x * x);
        } else if e == T::of(2.0) {
            return map1!(out, a, |x: T| x * x);
        }
    }
    binary_table!(op, go)
}

/// One lane over `out.len()` elements. `out` is none of the operands. Always inlined: `simd` compiles it for several widths.
#[inline(always)]
pub(crate) fn lane<T: Real>(op: LaneOp, out: &mut [T], args: [Arg<'_, T>; 4]) {
    let [a, b, c, _] = args;
    match op {
        LaneOp::Unary(u) => unary(u, out, a),
        LaneOp::Binary(o) => binary(o, out, a, b),
        LaneOp::Select => map3(out, a, b, c, select),
        LaneOp::MulAdd => map3(out, a, b, c, |x, y, z| x * y + z),
        LaneOp::MulSub => map3(out, a, b, c, |x, y, z| x * y - z),
        LaneOp::SubMul => map3(out, a, b, c, |x, y, z| z - x * y),
        LaneOp::MulMul => map3(out, a, b, c, |x, y, z| x * y * z),
        LaneOp::MulAddMul => map4(out, args, |x, y, z, w| x * y + z * w),
        LaneOp::MulSubMul => map4(out, args, |x, y, z, w| x * y - z * w),
        LaneOp::AddThenMul => map3(out, a, b, c, |x, y, z| (x + y) * z),
        LaneOp::SubThenMul => map3(out, a, b, c, |x, y, z| (x - y) * z),
        LaneOp::DivRoot => map3(out, a, b, c, |x, y, z| x / (y.sqrt() + z)),
    }
}

/// The same lane on single numbers.
#[inline]
pub(crate) fn lane1<T: Real>(op: LaneOp, [a, b, c, d]: [T; 4]) -> T {
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
        LaneOp::MulMul => a * b * c,
        LaneOp::MulAddMul => a * b + c * d,
        LaneOp::MulSubMul => a * b - c * d,
        LaneOp::AddThenMul => (a + b) * c,
        LaneOp::SubThenMul => (a - b) * c,
        LaneOp::DivRoot => a / (b.sqrt() + c),
    }
}
