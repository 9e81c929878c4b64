//! Products with a sparse matrix that is stored by rows.

use crate::index::{OutOfRange, checked};
use crate::real::Real;

/// Entries of row `r` are `starts[r]..starts[r + 1]`.
pub(crate) struct Rows<'a, T> {
    pub starts: &'a [T],
    pub columns: &'a [T],
    pub values: &'a [T],
}

impl<T: Real> Rows<'_, T> {
    /// Row `r`, its columns and values.
    fn row(&self, r: usize) -> Result<(&[T], &[T]), OutOfRange> {
        let n = self.values.len();
        let (from, to) = (checked(self.starts[r], n + 1)?, checked(self.starts[r + 1], n + 1)?);
        let to = to.max(from);
        Ok((&self.columns[from..to], &self.values[from..to]))
    }

    /// `out = A x`, or `A' x`; `x` and `out` are matrices of `width` columns.
    pub fn product(&self, transposed: bool, width: usize, x: &[T], out: &mut [T]) -> Result<(), OutOfRange> {
        if transposed {
            out.fill(T::ZERO);
        }
        let elements = if transposed { out.len() } else { x.len() };
        let Some(n) = elements.checked_div(width) else { return Ok(()) };
        for r in 0..self.starts.len().saturating_sub(1) {
            let (columns, values) = self.row(r)?;
            match (transposed, width) {
                (false, 1) => {
                    let mut sum = T::ZERO;
                    for (c, v) in columns.iter().zip(values) {
                        sum += *v * x[checked(*c, n)?];
                    }
                    out[r] = sum;
                }
                (false, _) => {
                    let out = &mut out[r * width..(r + 1) * width];
                    out.fill(T::ZERO);
                    for (c, v) in columns.iter().zip(values) {
                        let c = checked(*c, n)?;
                        add(out, *v, &x[c * width..(c + 1) * width]);
                    }
                }
                (true, _) => {
                    let x = &x[r * width..(r + 1) * width];
                    for (c, v) in columns.iter().zip(values) {
                        let c = checked(*c, n)?;
                        add(&mut out[c * width..(c + 1) * width], *v, x);
                    }
                }
            }
        }
        Ok(())
    }
}

#[inline(always)]
fn add<T: Real>(out: &mut [T], v: T, x: &[T]) {
    for (o, x) in out.iter_mut().zip(x) {
        *o += v * *x;
    }
}
