//! What is known of the numbers a value can hold: a set of the regions of the float line, finite so that joining ends.
//!
//! The regions tell sign, zero, magnitude against one, infinities and NaN. They describe *one spelling* of a value, so the set of
//! an e-class is the union over its spellings, never the intersection.

use gradus_ir::{BinaryOp, DType, UnaryOp};

/// A set of regions of the float line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Values(pub u16);

const NAN: u16 = 1;
const NEG_INF: u16 = 2;
/// Below -1.
const NEG_BIG: u16 = 4;
const NEG_ONE: u16 = 8;
/// Between -1 and 0.
const NEG_SMALL: u16 = 16;
const ZERO: u16 = 32;
const POS_SMALL: u16 = 64;
const ONE: u16 = 128;
const POS_BIG: u16 = 256;
const POS_INF: u16 = 512;
const ALL: u16 = 1023;
const INFINITE: u16 = NEG_INF | POS_INF;
const NEGATIVE: u16 = NEG_INF | NEG_BIG | NEG_ONE | NEG_SMALL;
const POSITIVE: u16 = POS_SMALL | ONE | POS_BIG | POS_INF;
const UNIT: u16 = POS_SMALL | ONE | ZERO;

impl Values {
    pub const ANY: Values = Values(ALL);
    pub const NONE: Values = Values(0);

    pub fn of(x: f64) -> Values {
        Values(if x.is_nan() {
            NAN
        } else if x == f64::INFINITY {
            POS_INF
        } else if x == f64::NEG_INFINITY {
            NEG_INF
        } else if x == 0.0 {
            ZERO
        } else if x.abs() == 1.0 {
            if x > 0.0 { ONE } else { NEG_ONE }
        } else if x.abs() < 1.0 {
            if x > 0.0 { POS_SMALL } else { NEG_SMALL }
        } else if x > 0.0 {
            POS_BIG
        } else {
            NEG_BIG
        })
    }

    /// What any value of that type can be.
    pub fn of_type(d: DType) -> Values {
        Values(match d {
            DType::Bool => ZERO | ONE,
            DType::Int => NEG_BIG | NEG_ONE | ZERO | ONE | POS_BIG,
            DType::Real => ALL,
        })
    }

    pub fn count() -> Values {
        Values(ZERO | ONE | POS_BIG)
    }

    pub fn union(self, o: Values) -> Values {
        Values(self.0 | o.0)
    }

    pub fn within(self, o: Values) -> Values {
        Values(self.0 & o.0)
    }

    fn only(self, mask: u16) -> bool {
        self.0 & !mask == 0
    }

    pub fn finite(self) -> bool {
        self.only(ALL & !(NAN | INFINITE))
    }

    /// Without NaN.
    pub fn numbers(self) -> Values {
        Values(self.0 & !NAN)
    }

    pub fn never_nan(self) -> bool {
        self.only(ALL & !NAN)
    }

    /// Neither zero nor NaN.
    pub fn nonzero(self) -> bool {
        self.only(ALL & !(ZERO | NAN))
    }

    /// Never negative (NaN allowed).
    pub fn nonneg(self) -> bool {
        self.only(NAN | ZERO | POSITIVE)
    }

    /// Above zero, never NaN.
    pub fn positive(self) -> bool {
        self.only(POSITIVE)
    }

    /// No number of the set is below it (NaN is no number).
    pub fn least(self) -> f64 {
        const LEAST: [f64; 9] = [f64::NEG_INFINITY, f64::NEG_INFINITY, -1.0, -1.0, 0.0, 0.0, 1.0, 1.0, f64::INFINITY];
        let numbers = self.0 >> 1;
        LEAST.get(numbers.trailing_zeros() as usize).copied().unwrap_or(f64::INFINITY)
    }

    /// No number of the set is above it.
    pub fn greatest(self) -> f64 {
        -self.neg().least()
    }

    /// Is every number of this set smaller than every number of the other?
    pub fn below(self, o: Values) -> bool {
        let (a, b) = (self.0 & !NAN, o.0 & !NAN);
        let top = if a == 0 { 0 } else { 1 << (15 - a.leading_zeros()) };
        let low = b & b.wrapping_neg();
        // Regions are in order and do not overlap.
        a == 0 || b == 0 || top < low
    }

    fn each(self, f: impl Fn(u16) -> u16) -> Values {
        let mut out = 0;
        for k in 0..10 {
            if self.0 & (1 << k) != 0 {
                out |= f(1 << k);
            }
        }
        Values(out)
    }

    pub fn neg(self) -> Values {
        self.each(|b| match b {
            NAN | ZERO => b,
            NEG_INF => POS_INF,
            NEG_BIG => POS_BIG,
            NEG_ONE => ONE,
            NEG_SMALL => POS_SMALL,
            POS_SMALL => NEG_SMALL,
            ONE => NEG_ONE,
            POS_BIG => NEG_BIG,
            _ => NEG_INF,
        })
    }

    fn abs(self) -> Values {
        self.each(|b| if b & NEGATIVE != 0 { Values(b).neg().0 } else { b })
    }

    fn square(self) -> Values {
        self.abs().each(|b| match b {
            POS_SMALL => POS_SMALL | ZERO | ONE,
            POS_BIG => ONE | POS_BIG | POS_INF,
            _ => b,
        })
    }

    fn recip(self) -> Values {
        self.each(|b| match b {
            NAN => NAN,
            ZERO => INFINITE,
            NEG_INF | POS_INF => ZERO,
            POS_SMALL => ONE | POS_BIG | POS_INF,
            NEG_SMALL => NEG_ONE | NEG_BIG | NEG_INF,
            POS_BIG => ONE | POS_SMALL | ZERO,
            NEG_BIG => NEG_ONE | NEG_SMALL | ZERO,
            _ => b,
        })
    }

    pub fn unary(self, u: UnaryOp) -> Values {
        use UnaryOp::*;
        match u {
            Neg => self.neg(),
            Abs => self.abs(),
            Square => self.square(),
            Recip => self.recip(),
            StopGrad | ToReal => self,
            Sqrt => self.each(|b| match b {
                NAN | ZERO | ONE | POS_INF => b,
                POS_SMALL => POS_SMALL | ONE,
                POS_BIG => POS_BIG | ONE,
                _ => NAN,
            }),
            Exp => self.each(|b| match b {
                NAN => NAN,
                NEG_INF => ZERO,
                NEG_BIG => POS_SMALL | ZERO,
                NEG_ONE => POS_SMALL,
                NEG_SMALL => POS_SMALL | ONE,
                ZERO => ONE,
                POS_SMALL => POS_BIG | ONE,
                ONE => POS_BIG,
                POS_BIG => POS_BIG | POS_INF,
                _ => POS_INF,
            }),
            Log => self.each(|b| match b {
                ZERO => NEG_INF,
                POS_SMALL => NEG_BIG | NEG_ONE | NEG_SMALL | ZERO,
                ONE => ZERO,
                POS_BIG => ZERO | POS_SMALL | ONE | POS_BIG,
                POS_INF => POS_INF,
                _ => NAN,
            }),
            Softplus => self.each(|b| match b {
                NAN => NAN,
                NEG_INF | NEG_BIG | NEG_ONE => POS_SMALL | ZERO,
                NEG_SMALL | ZERO => POS_SMALL,
                POS_INF => POS_INF,
                POS_BIG => POS_BIG | ONE | POS_INF,
                _ => POS_SMALL | ONE | POS_BIG,
            }),
            Sigmoid => self.each(|b| if b == NAN { NAN } else { UNIT }),
            Tanh | Sign | Erf => self.each(|b| match b {
                NAN => NAN,
                ZERO => ZERO,
                _ if b & NEGATIVE != 0 => NEG_ONE | NEG_SMALL | ZERO,
                _ => ONE | POS_SMALL | ZERO,
            }),
            Sin | Cos => self.each(|b| {
                if b & (NAN | INFINITE) != 0 { NAN } else { NEG_ONE | NEG_SMALL | ZERO | POS_SMALL | ONE }
            }),
            Cosh => self.each(|b| match b {
                NAN => NAN,
                _ if b & INFINITE != 0 => POS_INF,
                _ => ONE | POS_BIG | POS_INF,
            }),
            Floor | Ceil | Round | ToInt => self.each(|b| match b {
                POS_SMALL => ZERO | ONE,
                NEG_SMALL => ZERO | NEG_ONE,
                POS_BIG => POS_BIG | ONE,
                NEG_BIG => NEG_BIG | NEG_ONE,
                _ => b,
            }),
            Not | IsNan | IsFinite => Values(ZERO | ONE),
            _ => Values::ANY,
        }
    }

    fn pairs(self, o: Values, f: impl Fn(u16, u16) -> u16) -> Values {
        let mut out = 0;
        for i in 0..10 {
            if self.0 & (1 << i) == 0 {
                continue;
            }
            for j in 0..10 {
                if o.0 & (1 << j) != 0 {
                    out |= f(1 << i, 1 << j);
                }
            }
            if out == ALL {
                break;
            }
        }
        Values(out)
    }

    pub fn add(self, o: Values) -> Values {
        self.pairs(o, |a, b| {
            if (a | b) & NAN != 0 {
                return NAN;
            }
            if a == ZERO || b == ZERO {
                return if a == ZERO { b } else { a };
            }
            if a & INFINITE != 0 || b & INFINITE != 0 {
                return match (a & INFINITE, b & INFINITE) {
                    (x, y) if x != 0 && y != 0 => if x == y { x } else { NAN },
                    (x, y) => x | y,
                };
            }
            match (a & POSITIVE != 0, b & POSITIVE != 0) {
                (true, true) => same_sign_sum(a, b),
                (false, false) => Values(same_sign_sum(Values(a).neg().0, Values(b).neg().0)).neg().0,
                _ => ALL & !(NAN | INFINITE),
            }
        })
    }

    pub fn mul(self, o: Values) -> Values {
        self.pairs(o, |a, b| {
            if (a | b) & NAN != 0 {
                return NAN;
            }
            if a == ZERO || b == ZERO {
                return if (a | b) & INFINITE != 0 { NAN } else { ZERO };
            }
            let negative = (a & NEGATIVE != 0) != (b & NEGATIVE != 0);
            let (x, y) = (Values(a).abs().0, Values(b).abs().0);
            let size = match (x, y) {
                (POS_INF, _) | (_, POS_INF) => POS_INF,
                (ONE, z) | (z, ONE) => z,
                (POS_SMALL, POS_SMALL) => POS_SMALL | ZERO | ONE,
                (POS_BIG, POS_BIG) => ONE | POS_BIG | POS_INF,
                _ => POS_SMALL | ONE | POS_BIG,
            };
            if negative { Values(size).neg().0 } else { size }
        })
    }

    pub fn binary(self, b: BinaryOp, o: Values) -> Values {
        use BinaryOp::*;
        match b {
            Add => self.add(o),
            Sub => self.add(o.neg()),
            Mul => self.mul(o),
            Div => {
                // A quotient is rounded once; the region sets of product and quotient agree but for rounding at zero and one,
                // which `mul` and `recip` already allow.
                let q = self.mul(o.recip());
                let nan = (self.0 & ZERO != 0 && o.0 & ZERO != 0) || (self.0 & INFINITE != 0 && o.0 & INFINITE != 0);
                Values(q.0 | if nan { NAN } else { 0 })
            }
            Max => self.pairs(o, |x, y| extreme(x, y, true)),
            Min => self.pairs(o, |x, y| extreme(x, y, false)),
            Lt | Le | Gt | Ge | Eq | Ne | And | Or => Values(ZERO | ONE),
            Hypot => Values(if self.union(o).never_nan() { ALL & !NAN & !NEGATIVE } else { ALL & !NEGATIVE }),
            _ => Values::ANY,
        }
    }

    /// A sum of any number of such values, also none.
    pub fn sum(self) -> Values {
        let mut out = self.0 | ZERO;
        if self.0 & POSITIVE != 0 {
            out |= POS_SMALL | ONE | POS_BIG | POS_INF;
        }
        if self.0 & NEGATIVE != 0 {
            out |= NEG_SMALL | NEG_ONE | NEG_BIG | NEG_INF;
        }
        if self.0 & POSITIVE != 0 && self.0 & NEGATIVE != 0 {
            out = ALL;
        }
        Values(out)
    }
}

/// What a comparison of such values always comes out as.
pub fn compared(b: BinaryOp, p: Values, q: Values) -> Option<bool> {
    use BinaryOp::*;
    let surely = p.never_nan() && q.never_nan();
    let (p, q) = if matches!(b, Gt | Ge) { (q, p) } else { (p, q) };
    match b {
        Lt | Gt if surely && p.below(q) => Some(true),
        Lt | Gt if q.greatest() <= p.least() => Some(false),
        Le | Ge if surely && p.greatest() <= q.least() => Some(true),
        Le | Ge if q.below(p) => Some(false),
        Eq | Ne if p.below(q) || q.below(p) => Some(b == Ne),
        _ => None,
    }
}

fn same_sign_sum(a: u16, b: u16) -> u16 {
    if (a | b) & POS_BIG != 0 {
        POS_BIG | POS_INF
    } else if (a | b) & ONE != 0 {
        ONE | POS_BIG
    } else {
        POS_SMALL | ONE | POS_BIG
    }
}

/// The larger (or smaller) region; NaN may be ignored or returned.
fn extreme(x: u16, y: u16, larger: bool) -> u16 {
    if (x | y) & NAN != 0 {
        return x | y;
    }
    if larger { x.max(y) } else { x.min(y) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gradus_ir::build::Build;
    use gradus_ir::{Array, Graph, Origin, Ty, reference};

    const POINTS: [f64; 21] = [
        f64::NAN, f64::NEG_INFINITY, -1e308, -1e20, -30.0, -2.0, -1.0, -0.7, -1e-20, -5e-324, 0.0, -0.0, 5e-324, 1e-20, 0.3,
        1.0, 1.5, 40.0, 1e20, 1e308, f64::INFINITY,
    ];

    #[test]
    fn bounds_hold() {
        for p in POINTS {
            let one = Values::of(p);
            assert!(p.is_nan() || one.least() <= p && p <= one.greatest(), "{p}");
            for q in POINTS {
                let (both, other) = (one.union(Values::of(q)), Values::of(q));
                assert!(p.is_nan() || both.least() <= p && p <= both.greatest(), "{p} {q}");
                assert!(!one.below(other) || p.is_nan() || q.is_nan() || p < q, "{p} {q}");
            }
        }
        assert!(Values::of(-0.5).below(Values::of(0.0)) && !Values::of(0.5).below(Values::of(0.7)));
        assert_eq!((Values::of(0.5).union(Values::of(1.0)).least(), Values::of(0.5).greatest()), (0.0, 1.0));
        assert!(!Values::of(1.0).below(Values::of(1.0)));
    }

    /// What an op makes of numbers is in the set it makes of their sets.
    #[test]
    fn the_sets_hold_what_the_ops_make() {
        for u in UnaryOp::ALL.iter().filter(|u| **u != UnaryOp::Not) {
            let mut g = Graph::new();
            let x = g.param(Ty::real(gradus_ir::Shape::scalar()), Origin::default());
            let y = g.add_plain(gradus_ir::Op::Unary(*u), &[x], Origin::default()).unwrap();
            g.outputs = vec![y];
            for p in POINTS {
                let y = reference::run(&g, &[Array::scalar(p)]).unwrap()[0].data[0];
                let set = Values::of(p).unary(*u);
                assert!(set.0 & Values::of(y).0 != 0, "{u:?} {p} = {y}: {set:?}");
            }
        }
        for b in BinaryOp::ALL.iter().filter(|b| !matches!(b, BinaryOp::And | BinaryOp::Or)) {
            let mut g = Graph::new();
            let x = g.param(Ty::real(gradus_ir::Shape::scalar()), Origin::default());
            let y = g.param(Ty::real(gradus_ir::Shape::scalar()), Origin::default());
            let z = Build::new(&mut g, Origin::default()).bin(*b, x, y).unwrap();
            g.outputs = vec![z];
            for p in POINTS {
                for q in POINTS {
                    let z = reference::run(&g, &[Array::scalar(p), Array::scalar(q)]).unwrap()[0].data[0];
                    let set = Values::of(p).binary(*b, Values::of(q));
                    assert!(set.0 & Values::of(z).0 != 0, "{b:?} {p} {q} = {z}: {set:?}");
                }
            }
        }
    }
}
