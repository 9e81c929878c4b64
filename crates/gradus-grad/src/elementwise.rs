//! Local derivatives of elementwise ops: one table serves both directions.

use crate::delta::{Delta, Factor, nonzero, plus, product};
use crate::special;
use gradus_ir::build::Build;
use gradus_ir::{BinaryOp, IrResult, NodeId, Op, Shape, UnaryOp};

/// Derivative of `y = op(xs)` by operand `k`.
fn factor(b: &mut Build, op: &Op, xs: &[NodeId], y: NodeId, k: usize) -> IrResult<Factor> {
    match op {
        Op::Unary(u) => unary(b, *u, xs[0], y),
        Op::Binary(o) => binary(b, *o, xs[0], xs[1], y, k),
        _ => Ok(Factor::Zero),
    }
}

fn unary(b: &mut Build, u: UnaryOp, x: NodeId, y: NodeId) -> IrResult<Factor> {
    use Factor::{Minus, One, Over, Times, Zero};
    use UnaryOp::*;
    Ok(match u {
        Neg => Minus,
        Abs => Times(b.sign(x)?),
        Square => {
            let two = b.real(2.0)?;
            Times(b.mul(two, x)?)
        }
        Recip => {
            let s = b.square(y)?;
            Times(b.neg(s)?)
        }
        Sqrt => {
            let two = b.real(2.0)?;
            let root = nonzero(b, y)?;
            Over(b.mul(two, root)?)
        }
        Exp => Times(y),
        Expm1 => Times(b.exp(x)?),
        Log => Over(x),
        Log1p => {
            let one = b.real(1.0)?;
            Over(b.add(one, x)?)
        }
        Sin => Times(b.cos(x)?),
        Cos => {
            let s = b.sin(x)?;
            Times(b.neg(s)?)
        }
        Tan => {
            let (one, s) = (b.real(1.0)?, b.square(y)?);
            Times(b.add(one, s)?)
        }
        Asin => Over(off_circle(b, x)?),
        Acos => {
            let r = off_circle(b, x)?;
            Over(b.neg(r)?)
        }
        Atan => {
            let (one, s) = (b.real(1.0)?, b.square(x)?);
            Over(b.add(one, s)?)
        }
        Sinh => Times(b.un(Cosh, x)?),
        Cosh => Times(b.un(Sinh, x)?),
        Tanh => {
            let (one, s) = (b.real(1.0)?, b.square(y)?);
            Times(b.sub(one, s)?)
        }
        Sigmoid => {
            let one = b.real(1.0)?;
            let rest = b.sub(one, y)?;
            Times(b.mul(y, rest)?)
        }
        Softplus => Times(b.sigmoid(x)?),
        Erf => {
            let s = b.square(x)?;
            let n = b.neg(s)?;
            let e = b.exp(n)?;
            let c = b.real(std::f64::consts::FRAC_2_SQRT_PI)?;
            Times(b.mul(c, e)?)
        }
        Lgamma => Times(b.un(Digamma, x)?),
        Digamma => Times(b.un(Trigamma, x)?),
        Trigamma => Times(special::tetragamma(b, x)?),
        ToReal => One,
        Sign | Floor | Ceil | Round | Not | IsNan | IsFinite | ToInt | StopGrad => Zero,
    })
}

/// `sqrt(1 - x^2)`, exact near the ends.
fn off_circle(b: &mut Build, x: NodeId) -> IrResult<NodeId> {
    let one = b.real(1.0)?;
    let (lo, hi) = (b.sub(one, x)?, b.add(one, x)?);
    let p = b.mul(lo, hi)?;
    b.sqrt(p)
}

fn binary(b: &mut Build, o: BinaryOp, x: NodeId, y: NodeId, out: NodeId, k: usize) -> IrResult<Factor> {
    use BinaryOp::*;
    use Factor::{Minus, One, Over, Times, Zero};
    Ok(match (o, k) {
        (Add, _) | (Sub | Mod, 0) => One,
        (Sub, _) => Minus,
        (Mul, 0) => Times(y),
        (Mul, _) => Times(x),
        (Div, 0) => Over(y),
        (Div, _) => {
            let q = b.div(out, y)?;
            Times(b.neg(q)?)
        }
        (Mod, _) => {
            let q = b.div(x, y)?;
            let f = b.un(UnaryOp::Floor, q)?;
            Times(b.neg(f)?)
        }
        (Pow, 0) => pow_base(b, x, y)?,
        (Pow, _) => {
            // At base 0 the power itself decides (0 for a positive exponent), so its logarithm must not.
            let (zero, one) = (b.real(0.0)?, b.real(1.0)?);
            let at = b.eq(x, zero)?;
            let base = b.select(at, one, x)?;
            let l = b.log(base)?;
            Times(b.mul(out, l)?)
        }
        (Max | Min, k) => {
            let (me, it) = if k == 0 { (x, y) } else { (y, x) };
            let mask = if o == Max { b.ge(me, it)? } else { b.le(me, it)? };
            let tie = b.eq(me, it)?;
            let (half, one) = (b.real(0.5)?, b.real(1.0)?);
            Factor::Chosen { mask, share: b.select(tie, half, one)? }
        }
        (Atan2, k) => {
            let h = b.bin(Hypot, x, y)?;
            let h = nonzero(b, h)?;
            let other = b.div(if k == 0 { y } else { x }, h)?;
            let p = b.div(other, h)?;
            Times(if k == 0 { p } else { b.neg(p)? })
        }
        (Hypot, k) => {
            let h = nonzero(b, out)?;
            Times(b.div(if k == 0 { x } else { y }, h)?)
        }
        (Lt | Le | Gt | Ge | Eq | Ne | And | Or, _) => Zero,
    })
}

fn pow_base(b: &mut Build, x: NodeId, y: NodeId) -> IrResult<Factor> {
    if let Some(c) = b.graph.constant(y) {
        if c == 0.0 {
            return Ok(Factor::Zero);
        }
        if c == 1.0 {
            return Ok(Factor::One);
        }
        let base = if c > 0.0 && c < 1.0 { nonzero(b, x)? } else { x };
        let e = b.real(c - 1.0)?;
        let p = b.pow(base, e)?;
        let c = b.real(c)?;
        return Ok(Factor::Times(b.mul(c, p)?));
    }
    // y x^(y - 1), where a root at 0 counts as flat (base infinity) and x^0 as constant (exponent 1 - 1).
    let (zero, one, inf) = (b.real(0.0)?, b.real(1.0)?, b.real(f64::INFINITY)?);
    let at = b.eq(x, zero)?;
    let (above, below) = (b.gt(y, zero)?, b.lt(y, one)?);
    let root = b.and(above, below)?;
    let root = b.and(at, root)?;
    let base = b.select(root, inf, x)?;
    let none = b.eq(y, zero)?;
    let none = b.and(at, none)?;
    let y1 = b.select(none, one, y)?;
    let e = b.sub(y1, one)?;
    let p = b.pow(base, e)?;
    Ok(Factor::Times(b.mul(y, p)?))
}

/// Tangent of `y = op(xs)`.
pub(crate) fn push(b: &mut Build, op: &Op, xs: &[NodeId], y: NodeId, ts: &[Option<Delta>]) -> IrResult<Option<Delta>> {
    let shape = b.shape(y);
    if let Op::Select = op {
        if ts[1].is_none() && ts[2].is_none() {
            return Ok(None);
        }
        // A scalar zero stretches against the other branch.
        let zero = b.real(0.0)?;
        let (p, q) = (ts[1].map_or(zero, |t| t.id), ts[2].map_or(zero, |t| t.id));
        let id = b.select(xs[0], p, q)?;
        return Ok(Some(Delta::new(b.broadcast(id, &shape)?, true)));
    }
    let mut sum = None;
    for (k, t) in ts.iter().enumerate() {
        if let Some(t) = t {
            let f = factor(b, op, xs, y, k)?;
            let term = product(b, *t, f)?;
            sum = plus(b, sum, term)?;
        }
    }
    match sum {
        Some(d) => Ok(Some(d.with(b.broadcast(d.id, &shape)?))),
        None => Ok(None),
    }
}

/// Cotangents of the wanted operands of `y = op(xs)`.
pub(crate) fn pull(
    b: &mut Build,
    op: &Op,
    xs: &[NodeId],
    y: NodeId,
    ct: Delta,
    want: &[bool],
) -> IrResult<Vec<Option<Delta>>> {
    let out: Shape = b.shape(y);
    let mut cts = vec![None; xs.len()];
    for k in 0..xs.len() {
        if !want[k] {
            continue;
        }
        let shape = b.shape(xs[k]);
        let d = if let Op::Select = op {
            let zero = b.real(0.0)?;
            let id = if k == 1 { b.select(xs[0], ct.id, zero)? } else { b.select(xs[0], zero, ct.id)? };
            Some(Delta::new(id, true))
        } else {
            let f = factor(b, op, xs, y, k)?;
            product(b, ct, f)?
        };
        cts[k] = match d {
            Some(d) => {
                let full = b.broadcast(d.id, &out)?;
                Some(d.with(b.unbroadcast(full, &shape)?))
            }
            None => None,
        };
    }
    Ok(cts)
}

/// Tangent of a sum that is weighted elementwise, see `reduce`.
pub(crate) fn weigh(b: &mut Build, d: Delta, f: Factor, shape: &Shape) -> IrResult<Option<Delta>> {
    match product(b, d, f)? {
        Some(p) => Ok(Some(p.with(b.broadcast(p.id, shape)?))),
        None => Ok(None),
    }
}
