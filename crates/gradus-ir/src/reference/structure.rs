//! Ops that move elements without computing.

use super::{Context, ReferenceError, flatten, indices, stretched};
use crate::array::Array;
use crate::dim::Dim;

pub(super) fn broadcast(c: &Context<'_>, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let shape = c.shape(0)?;
    c.one(indices(&shape).map(|i| stretched(a, &i)).collect())
}

pub(super) fn transpose(c: &Context<'_>, perm: &[usize], a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let shape = c.shape(0)?;
    let from = |i: Vec<usize>| {
        let mut source = vec![0; i.len()];
        for (k, p) in perm.iter().enumerate() {
            source[*p] = i[k];
        }
        a.data[flatten(&source, &a.shape)]
    };
    c.one(indices(&shape).map(from).collect())
}

pub(super) fn slice(c: &Context<'_>, axis: usize, start: &Dim, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let (shape, start) = (c.shape(0)?, c.sizes.length(start)?);
    if start + shape[axis] > a.shape[axis] {
        return c.fault(format!("{start}..{} leaves an axis of length {}", start + shape[axis], a.shape[axis]));
    }
    let from = |mut i: Vec<usize>| {
        i[axis] += start;
        a.data[flatten(&i, &a.shape)]
    };
    c.one(indices(&shape).map(from).collect())
}

pub(super) fn pad(c: &Context<'_>, axis: usize, before: &Dim, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let (shape, before) = (c.shape(0)?, c.sizes.length(before)?);
    let from = |mut i: Vec<usize>| {
        if i[axis] < before || i[axis] >= before + a.shape[axis] {
            return 0.0;
        }
        i[axis] -= before;
        a.data[flatten(&i, &a.shape)]
    };
    c.one(indices(&shape).map(from).collect())
}

pub(super) fn concat(c: &Context<'_>, axis: usize, parts: &[&Array]) -> Result<Vec<Array>, ReferenceError> {
    let shape = c.shape(0)?;
    let mut out = Vec::new();
    for mut i in indices(&shape) {
        for part in parts {
            if i[axis] < part.shape[axis] {
                out.push(part.data[flatten(&i, &part.shape)]);
                break;
            }
            i[axis] -= part.shape[axis];
        }
    }
    c.one(out)
}

pub(super) fn reverse(c: &Context<'_>, axis: usize, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let from = |mut i: Vec<usize>| {
        i[axis] = a.shape[axis] - 1 - i[axis];
        a.data[flatten(&i, &a.shape)]
    };
    c.one(indices(&a.shape).map(from).collect())
}

pub(super) fn diagonal(c: &Context<'_>, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let n = a.shape[0];
    c.one((0..n).map(|k| a.data[k * n + k]).collect())
}

pub(super) fn diag_matrix(c: &Context<'_>, a: &Array) -> Result<Vec<Array>, ReferenceError> {
    let n = a.shape[0];
    let mut out = vec![0.0; n * n];
    for k in 0..n {
        out[k * n + k] = a.data[k];
    }
    c.one(out)
}
