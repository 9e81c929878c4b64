//! What is known of each elementwise function on a range: its curvature, its direction, the bounds of its derivatives, its values.

use crate::interval::Interval;
use gradus_ir::UnaryOp;
use std::f64::consts::{FRAC_PI_2, PI};

/// A function of one number on an interval.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    pub convex: bool,
    pub concave: bool,
    pub increasing: bool,
    pub decreasing: bool,
    /// The first derivative is bounded.
    pub slope: bool,
    /// The second derivative exists and is bounded.
    pub bend: bool,
    /// Differentiable everywhere on the interval.
    pub differentiable: bool,
}

/// Not a rule of curvature for all of `interval` where it crosses an inflection; then only what holds everywhere is set.
pub(crate) fn shape(u: UnaryOp, x: Interval) -> Shape {
    use UnaryOp::*;
    let smooth = Shape { slope: true, bend: true, differentiable: true, ..Shape::default() };
    let s = Shape { differentiable: true, ..Shape::default() };
    let bounded = x.is_bounded();
    let (nonneg, nonpos) = (x.is_nonneg(), x.is_nonpos());
    match u {
        Neg => Shape { convex: true, concave: true, decreasing: true, ..smooth },
        ToReal | StopGrad => Shape { convex: true, concave: true, increasing: true, ..smooth },
        Abs if nonneg => Shape { convex: true, concave: true, increasing: true, ..smooth },
        Abs if nonpos => Shape { convex: true, concave: true, decreasing: true, ..smooth },
        Abs => Shape { convex: true, slope: true, ..Shape::default() },
        Square => Shape { convex: true, increasing: nonneg, decreasing: nonpos, slope: bounded, bend: true, ..s },
        // Without a known sign the domain of 1/x is in two parts.
        Recip if x.is_pos() => Shape { convex: true, decreasing: true, slope: x.lo > 0.0, bend: x.lo > 0.0, ..s },
        Recip if x.is_neg() => Shape { concave: true, decreasing: true, slope: x.hi < 0.0, bend: x.hi < 0.0, ..s },
        Recip => Shape::default(),
        Sqrt => Shape { concave: true, increasing: true, slope: x.lo > 0.0, bend: x.lo > 0.0, differentiable: x.is_pos(), ..s },
        Exp | Expm1 => Shape { convex: true, increasing: true, slope: x.hi.is_finite(), bend: x.hi.is_finite(), ..s },
        Log => Shape { concave: true, increasing: true, slope: x.lo > 0.0, bend: x.lo > 0.0, ..s },
        Log1p => Shape { concave: true, increasing: true, slope: x.lo > -1.0, bend: x.lo > -1.0, ..s },
        Softplus => Shape { convex: true, increasing: true, ..smooth },
        Sigmoid | Tanh | Erf => Shape { convex: nonpos, concave: nonneg, increasing: true, ..smooth },
        Atan => Shape { convex: nonpos, concave: nonneg, increasing: true, ..smooth },
        Sinh => Shape { convex: nonneg, concave: nonpos, increasing: true, slope: bounded, bend: bounded, ..s },
        Cosh => Shape { convex: true, increasing: nonneg, decreasing: nonpos, slope: bounded, bend: bounded, ..s },
        Tan if x.lo > -FRAC_PI_2 && x.hi < FRAC_PI_2 => {
            Shape { convex: nonneg, concave: nonpos, increasing: true, slope: true, bend: true, ..s }
        }
        Sin if x.lo >= -FRAC_PI_2 && x.hi <= FRAC_PI_2 => Shape { convex: nonpos, concave: nonneg, increasing: true, ..smooth },
        Sin if x.lo >= 0.0 && x.hi <= PI => Shape { concave: true, ..smooth },
        Cos if x.lo >= -FRAC_PI_2 && x.hi <= FRAC_PI_2 => Shape { concave: true, increasing: nonpos, decreasing: nonneg, ..smooth },
        Sin | Cos => smooth,
        Asin => Shape { convex: nonneg, concave: nonpos, increasing: true, slope: x.lo > -1.0 && x.hi < 1.0, bend: x.lo > -1.0 && x.hi < 1.0, ..s },
        Acos => Shape { convex: nonpos, concave: nonneg, decreasing: true, slope: x.lo > -1.0 && x.hi < 1.0, bend: x.lo > -1.0 && x.hi < 1.0, ..s },
        Lgamma if x.is_pos() => Shape { convex: true, increasing: x.lo >= 2.0, ..s },
        Digamma if x.is_pos() => Shape { concave: true, increasing: true, ..s },
        Trigamma if x.is_pos() => Shape { convex: true, decreasing: true, ..s },
        Sign | Floor | Ceil | Round | ToInt => Shape { increasing: true, ..Shape::default() },
        Lgamma | Digamma | Trigamma | Tan => Shape::default(),
        Not => Shape { convex: true, concave: true, decreasing: true, ..Shape::default() },
        IsNan | IsFinite => Shape::default(),
    }
}

/// The values on an interval.
pub(crate) fn range(u: UnaryOp, x: Interval) -> Interval {
    use UnaryOp::*;
    let unit = Interval::new(-1.0, 1.0);
    let at = |lo: f64, hi: f64| Interval::new(lo, hi);
    match u {
        Neg => x.neg(),
        Abs => x.abs(),
        Sign if x.is_pos() => Interval::point(1.0),
        Sign if x.is_neg() => Interval::point(-1.0),
        Sign if x.is_nonneg() => at(0.0, 1.0),
        Sign if x.is_nonpos() => at(-1.0, 0.0),
        Sign | Sin | Cos => unit,
        Square => x.square(),
        Recip => x.recip(),
        Sqrt => Interval { nonzero: x.is_pos(), ..x.meet(Interval::NONNEGATIVE).map(|v| v.max(0.0).sqrt()) },
        Exp => Interval { nonzero: true, ..x.map(f64::exp) },
        Expm1 => Interval { nonzero: x.nonzero, ..x.map(f64::exp_m1) },
        Log => x.meet(Interval::NONNEGATIVE).map(|v| v.max(0.0).ln()),
        Log1p => x.meet(at(-1.0, f64::INFINITY)).map(|v| v.max(-1.0).ln_1p()),
        Softplus => Interval { nonzero: true, ..x.map(|v| if v > 0.0 { v + (-v).exp().ln_1p() } else { v.exp().ln_1p() }) },
        Sigmoid => Interval { nonzero: true, ..x.map(|v| 1.0 / (1.0 + (-v).exp())) },
        Tanh => x.map(f64::tanh),
        Erf => x.map(gradus_ir::reference::erf),
        Atan => x.map(f64::atan),
        Sinh => x.map(f64::sinh),
        Cosh => x.abs().map(f64::cosh),
        Asin => at(-FRAC_PI_2, FRAC_PI_2),
        Acos => at(0.0, PI),
        Trigamma if x.is_pos() => Interval::POSITIVE,
        Floor => x.map(f64::floor),
        Ceil => x.map(f64::ceil),
        Round => x.map(f64::round),
        ToInt => x.map(f64::trunc),
        ToReal | StopGrad => x,
        Not | IsNan | IsFinite => at(0.0, 1.0),
        Tan | Lgamma | Digamma | Trigamma => Interval::ALL,
    }
}
