//! Elementwise functions.

use super::{Context, ReferenceError, indices, special, stretched};
use crate::array::Array;
use crate::op::{BinaryOp, UnaryOp};

fn truth(c: bool) -> f64 {
    if c { 1.0 } else { 0.0 }
}

pub(super) fn unary(u: UnaryOp, x: f64) -> f64 {
    match u {
        UnaryOp::Neg => -x,
        UnaryOp::Abs => x.abs(),
        UnaryOp::Sign if x.is_nan() => x,
        UnaryOp::Sign => truth(x > 0.0) - truth(x < 0.0),
        UnaryOp::Square => x * x,
        UnaryOp::Recip => 1.0 / x,
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Exp => x.exp(),
        UnaryOp::Expm1 => x.exp_m1(),
        UnaryOp::Log => x.ln(),
        UnaryOp::Log1p => x.ln_1p(),
        UnaryOp::Sin => x.sin(),
        UnaryOp::Cos => x.cos(),
        UnaryOp::Tan => x.tan(),
        UnaryOp::Asin => x.asin(),
        UnaryOp::Acos => x.acos(),
        UnaryOp::Atan => x.atan(),
        UnaryOp::Sinh => x.sinh(),
        UnaryOp::Cosh => x.cosh(),
        UnaryOp::Tanh => x.tanh(),
        // Each side keeps its relative precision: the exponential is never of a large positive number.
        UnaryOp::Sigmoid if x >= 0.0 => 1.0 / (1.0 + (-x).exp()),
        UnaryOp::Sigmoid => x.exp() / (1.0 + x.exp()),
        UnaryOp::Softplus if x > 0.0 => x + (-x).exp().ln_1p(),
        UnaryOp::Softplus => x.exp().ln_1p(),
        UnaryOp::Erf => special::erf(x),
        UnaryOp::Lgamma => special::lgamma(x),
        UnaryOp::Digamma => special::digamma(x),
        UnaryOp::Trigamma => special::trigamma(x),
        UnaryOp::Floor => x.floor(),
        UnaryOp::Ceil => x.ceil(),
        UnaryOp::Round => x.round_ties_even(),
        UnaryOp::Not => truth(x == 0.0),
        UnaryOp::IsNan => truth(x.is_nan()),
        UnaryOp::IsFinite => truth(x.is_finite()),
        UnaryOp::ToReal | UnaryOp::StopGrad => x,
        UnaryOp::ToInt => x.trunc(),
    }
}

fn two(b: BinaryOp, x: f64, y: f64) -> f64 {
    match b {
        BinaryOp::Add => x + y,
        BinaryOp::Sub => x - y,
        BinaryOp::Mul => x * y,
        BinaryOp::Div => x / y,
        BinaryOp::Pow => x.powf(y),
        BinaryOp::Mod => x - y * (x / y).floor(),
        BinaryOp::Max | BinaryOp::Min if x.is_nan() || y.is_nan() => f64::NAN,
        BinaryOp::Max => x.max(y),
        BinaryOp::Min => x.min(y),
        BinaryOp::Atan2 => x.atan2(y),
        BinaryOp::Hypot => x.hypot(y),
        BinaryOp::Lt => truth(x < y),
        BinaryOp::Le => truth(x <= y),
        BinaryOp::Gt => truth(x > y),
        BinaryOp::Ge => truth(x >= y),
        BinaryOp::Eq => truth(x == y),
        BinaryOp::Ne => truth(x != y),
        BinaryOp::And => truth(x != 0.0 && y != 0.0),
        BinaryOp::Or => truth(x != 0.0 || y != 0.0),
    }
}

pub(super) fn binary(c: &Context<'_>, b: BinaryOp, x: &Array, y: &Array) -> Result<Vec<Array>, ReferenceError> {
    let shape = c.shape(0)?;
    c.one(indices(&shape).map(|i| two(b, stretched(x, &i), stretched(y, &i))).collect())
}

pub(super) fn select(c: &Context<'_>, k: &Array, x: &Array, y: &Array) -> Result<Vec<Array>, ReferenceError> {
    let shape = c.shape(0)?;
    let pick = |i: Vec<usize>| if stretched(k, &i) != 0.0 { stretched(x, &i) } else { stretched(y, &i) };
    c.one(indices(&shape).map(pick).collect())
}
