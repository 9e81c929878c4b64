//! Reading and writing by index.

use crate::real::Real;

/// An index that is not a position of the axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct OutOfRange {
    pub index: f64,
    pub len: usize,
}

#[inline]
pub(crate) fn checked<T: Real>(x: T, n: usize) -> Result<usize, OutOfRange> {
    let (k, x) = (x.index(), x.wide());
    if x >= 0.0 && k < n && k as f64 == x { Ok(k) } else { Err(OutOfRange { index: x, len: n }) }
}

/// The axis in the middle of `[outer, n, inner]`, and how many indices there are.
#[derive(Clone, Copy)]
pub(crate) struct Axis {
    pub outer: usize,
    pub n: usize,
    pub inner: usize,
    pub picks: usize,
}

pub(crate) fn take<T: Real>(a: Axis, x: &[T], index: &[T], out: &mut [T]) -> Result<(), OutOfRange> {
    if a.inner == 1 {
        // Single elements: a copy of one is cheaper than a copy of a slice.
        for o in 0..a.outer {
            let (x, out) = (&x[o * a.n..(o + 1) * a.n], &mut out[o * a.picks..(o + 1) * a.picks]);
            for (t, i) in out.iter_mut().zip(index) {
                *t = x[checked(*i, a.n)?];
            }
        }
        return Ok(());
    }
    for o in 0..a.outer {
        for (p, i) in index.iter().enumerate() {
            let i = checked(*i, a.n)?;
            let (from, to) = ((o * a.n + i) * a.inner, (o * a.picks + p) * a.inner);
            out[to..to + a.inner].copy_from_slice(&x[from..from + a.inner]);
        }
    }
    Ok(())
}

pub(crate) fn take_along<T: Real>(a: Axis, x: &[T], index: &[T], out: &mut [T]) -> Result<(), OutOfRange> {
    for o in 0..a.outer {
        for p in 0..a.picks {
            for j in 0..a.inner {
                let at = (o * a.picks + p) * a.inner + j;
                out[at] = x[(o * a.n + checked(index[at], a.n)?) * a.inner + j];
            }
        }
    }
    Ok(())
}

/// `out` holds the base already.
pub(crate) fn scatter<T: Real>(a: Axis, index: &[T], updates: &[T], out: &mut [T], add: bool) -> Result<(), OutOfRange> {
    for o in 0..a.outer {
        for (p, i) in index.iter().enumerate() {
            let i = checked(*i, a.n)?;
            let (to, from) = ((o * a.n + i) * a.inner, (o * a.picks + p) * a.inner);
            let (t, u) = (&mut out[to..to + a.inner], &updates[from..from + a.inner]);
            if add {
                for (t, u) in t.iter_mut().zip(u) {
                    *t += *u;
                }
            } else {
                t.copy_from_slice(u);
            }
        }
    }
    Ok(())
}

/// `out` holds the base already.
pub(crate) fn scatter_add_along<T: Real>(a: Axis, index: &[T], updates: &[T], out: &mut [T]) -> Result<(), OutOfRange> {
    for o in 0..a.outer {
        for p in 0..a.picks {
            for j in 0..a.inner {
                let at = (o * a.picks + p) * a.inner + j;
                out[(o * a.n + checked(index[at], a.n)?) * a.inner + j] += updates[at];
            }
        }
    }
    Ok(())
}
