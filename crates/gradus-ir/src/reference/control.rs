//! Loops and branches: regions run again and again by the same interpreter.

use super::{Context, ReferenceError, pick, region};
use crate::array::Array;
use crate::graph::Graph;
use crate::op::Loop;
use crate::ty::DType;

fn int(k: usize) -> Array {
    Array { dtype: DType::Int, ..Array::scalar(k as f64) }
}

fn call(c: &Context<'_>, g: &Graph, args: &[Array]) -> Result<Vec<Array>, ReferenceError> {
    pick(g, &region(g, args, c.sizes, c.start)?)
}

/// The k-th slice of the first axis.
fn row(a: &Array, k: usize) -> Array {
    let shape: Vec<usize> = a.shape[1..].to_vec();
    let size: usize = shape.iter().product();
    Array { dtype: a.dtype, shape, data: a.data[k * size..(k + 1) * size].to_vec().into() }
}

pub(super) fn run_loop(c: &Context<'_>, l: &Loop, args: &[&Array]) -> Result<Vec<Array>, ReferenceError> {
    let owned: Vec<Array> = args.iter().map(|a| (*a).clone()).collect();
    let (carried, rest) = owned.split_at(l.carries);
    let (scanned, captures) = rest.split_at(l.scanned);
    let bound = c.sizes.length(l.trip.bound())?;
    let mut state: Vec<Array> = carried.to_vec();
    let mut collected: Vec<Vec<f64>> = vec![Vec::new(); l.collected];
    let mut steps = 0;
    while steps < bound {
        if let Some(cond) = &l.cond {
            let mut given = vec![int(steps)];
            given.extend(state.iter().cloned());
            given.extend(captures.iter().cloned());
            let go = call(c, cond, &given)?.first().and_then(Array::as_scalar);
            match go {
                Some(0.0) => break,
                Some(_) => {}
                None => return c.fault("its condition is not a scalar"),
            }
        }
        let mut given = vec![int(steps)];
        given.extend(state.iter().cloned());
        given.extend(scanned.iter().map(|a| row(a, steps)));
        given.extend(captures.iter().cloned());
        let mut out = call(c, &l.body, &given)?;
        for (rows, a) in collected.iter_mut().zip(out.split_off(l.carries)) {
            rows.extend(a.data.iter());
        }
        state = out;
        steps += 1;
    }
    let mut all = vec![int(steps)];
    for (k, a) in state.into_iter().enumerate() {
        all.push(Array { dtype: c.dtype(1 + k), ..a });
    }
    for (k, mut rows) in collected.into_iter().enumerate() {
        let out = 1 + l.carries + k;
        rows.resize(c.shape(out)?.iter().product(), 0.0);
        all.push(c.output(out, rows)?);
    }
    Ok(all)
}

pub(super) fn cond(c: &Context<'_>, then: &Graph, other: &Graph, k: &Array, captures: &[&Array]) -> Result<Vec<Array>, ReferenceError> {
    let given: Vec<Array> = captures.iter().map(|a| (*a).clone()).collect();
    let chosen = if k.as_scalar() == Some(0.0) { other } else { then };
    let out = call(c, chosen, &given)?;
    Ok(out.into_iter().enumerate().map(|(k, a)| Array { dtype: c.dtype(k), ..a }).collect())
}
