//! Reading and writing by index. An index outside its axis is a fault; there are no negative indices here.

use super::{Context, ReferenceError, flatten, indices};
use crate::array::Array;

fn checked(c: &Context<'_>, x: f64, n: usize) -> Result<usize, ReferenceError> {
    if x >= 0.0 && x < n as f64 && x.fract() == 0.0 {
        return Ok(x as usize);
    }
    c.fault(format!("index {x} is outside an axis of length {n}"))
}

/// Where `Take` reads: for an index of its result, the flat place in the operand.
fn source(c: &Context<'_>, axis: usize, shape: &[usize], index: &Array, i: &[usize]) -> Result<usize, ReferenceError> {
    let width = index.shape.len();
    let chosen = index.data[flatten(&i[axis..axis + width], &index.shape)];
    let mut full = i[..axis].to_vec();
    full.push(checked(c, chosen, shape[axis])?);
    full.extend_from_slice(&i[axis + width..]);
    Ok(flatten(&full, shape))
}

pub(super) fn take(c: &Context<'_>, axis: usize, a: &Array, index: &Array) -> Result<Vec<Array>, ReferenceError> {
    let shape = c.shape(0)?;
    let out = indices(&shape).map(|i| Ok(a.data[source(c, axis, &a.shape, index, &i)?]));
    c.one(out.collect::<Result<_, ReferenceError>>()?)
}

/// Adds (or puts) each update where `Take` would have read it.
pub(super) fn scatter(c: &Context<'_>, axis: usize, a: &Array, index: &Array, u: &Array, add: bool) -> Result<Vec<Array>, ReferenceError> {
    let mut out = a.data.to_vec();
    for i in indices(&u.shape) {
        let at = source(c, axis, &a.shape, index, &i)?;
        let v = u.data[flatten(&i, &u.shape)];
        out[at] = if add { out[at] + v } else { v };
    }
    c.one(out)
}

fn along(c: &Context<'_>, axis: usize, a: &Array, index: &Array, mut i: Vec<usize>) -> Result<usize, ReferenceError> {
    i[axis] = checked(c, index.data[flatten(&i, &index.shape)], a.shape[axis])?;
    Ok(flatten(&i, &a.shape))
}

pub(super) fn take_along(c: &Context<'_>, axis: usize, a: &Array, index: &Array) -> Result<Vec<Array>, ReferenceError> {
    let out = indices(&index.shape).map(|i| Ok(a.data[along(c, axis, a, index, i)?]));
    c.one(out.collect::<Result<_, ReferenceError>>()?)
}

pub(super) fn scatter_add_along(c: &Context<'_>, axis: usize, a: &Array, index: &Array, u: &Array) -> Result<Vec<Array>, ReferenceError> {
    let mut out = a.data.to_vec();
    for i in indices(&index.shape) {
        let v = u.data[flatten(&i, &u.shape)];
        out[along(c, axis, a, index, i)?] += v;
    }
    c.one(out)
}
