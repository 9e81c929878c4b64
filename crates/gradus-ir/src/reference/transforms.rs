//! Sparse products and Fourier transforms. Slow and plain on purpose.

use super::{Context, ReferenceError};
use crate::array::Array;

/// Row `r` of a matrix by rows holds the entries `starts[r]..starts[r + 1]`; each adds its part of the product.
pub(super) fn sparse(c: &Context<'_>, transposed: bool, [starts, columns, values, x]: [&Array; 4]) -> Result<Vec<Array>, ReferenceError> {
    let (nnz, n) = (values.len(), x.shape.first().copied().unwrap_or(0));
    let width: usize = x.shape.iter().skip(1).product();
    let shape = c.shape(0)?;
    let (rows, mut out) = (shape.first().copied().unwrap_or(0), vec![0.0; shape.iter().product()]);
    let place = |k: f64, n: usize| -> Result<usize, ReferenceError> {
        if k >= 0.0 && k < n as f64 && k.fract() == 0.0 { Ok(k as usize) } else { c.fault(format!("index {k} is outside an axis of length {n}")) }
    };
    for r in 0..starts.len().saturating_sub(1) {
        let (from, to) = (place(starts.data[r], nnz + 1)?, place(starts.data[r + 1], nnz + 1)?);
        for k in from..to {
            let col = columns.data[k];
            let (row, col) = if transposed { (place(col, rows)?, r) } else { (r, place(col, n)?) };
            for j in 0..width {
                out[row * width + j] += values.data[k] * x.data[col * width + j];
            }
        }
    }
    c.one(out)
}

/// By the definition.
pub(super) fn fft(c: &Context<'_>, inverse: bool, re: &Array, im: &Array) -> Result<Vec<Array>, ReferenceError> {
    let n = re.shape.last().copied().unwrap_or(1);
    let (mut a, mut b) = (vec![0.0; re.len()], vec![0.0; re.len()]);
    for base in (0..re.len()).step_by(n.max(1)) {
        for k in 0..n {
            for j in 0..n {
                let angle = 2.0 * std::f64::consts::PI * ((j * k) % n) as f64 / n as f64;
                let (cos, sin) = (angle.cos(), if inverse { angle.sin() } else { -angle.sin() });
                let (x, y) = (re.data[base + j], im.data[base + j]);
                a[base + k] += x * cos - y * sin;
                b[base + k] += x * sin + y * cos;
            }
        }
    }
    Ok(vec![c.output(0, a)?, c.output(1, b)?])
}
