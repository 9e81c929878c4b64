//! Graph transforms: `jvp`, `vjp` and `grad` of a region are regions again, and so is a region for many lanes at once (`batch`).
//!
//! Owns:    the derivative rule of every op, forward and reverse, through loops and branches; the conventions at kinks; its batching rule.
//! Never:   simplifies (the rewriter does), runs anything, knows syntax.
//! Reads:   a region and which of its parameters to differentiate by.
//! Returns: a region over the same ops, so that derivatives of derivatives are the same call again.
//!
//! # Conventions
//!
//! * Int and bool values are constants. So are results of `floor`, `sign`, comparisons, `argmax`, random numbers.
//! * `|x|' = 0` at 0; ties of `max` and `min` share the derivative evenly, also in reductions.
//! * Where a root has no derivative it counts as 0: `sqrt'(0)`, `(x^p)'(0)` for `0 < p < 1`, `hypot` and `atan2` at the
//!   origin. Poles stay poles: `log'(0)` is infinite.
//! * A value that a `where`, a `max`, a slice or a gather does not take contributes exactly zero, even where its own
//!   derivative is infinite or NaN. Zeros inside a matrix product are not protected like that.
//! * `isotonic` averages over its blocks, neighbours with equal values being one block. `knapsack` has the derivative of the entries that are
//!   at no bound, and none where there are no such entries.
//! * `running max` takes the derivative at the first largest element so far.
//! * Matrices that `cholesky` and `eigh` read are taken as symmetric: the cotangent is symmetric.
//! * Factorizations with equal eigenvalues (or equal or zero singular values) have no derivative for their vectors;
//!   the undetermined part counts as 0.
//! * `det` has no finite gradient at a singular matrix.
//! * Zeros in the tangents or cotangents that the caller gives are ordinary numbers: times an infinite derivative, NaN.
//!
//! # Solutions
//!
//! The derivative of a solution of an equation comes from the equation (`implicit`), not from how it was found. A value at a
//! point where its expression is stationary (an optimal value) has the derivative of the expression at that fixed point.
//!
//! # Loops
//!
//! The reverse of a loop keeps the carries that it reads, at the start of each step: memory is the bound n on the number
//! of steps times their size, and the body is computed once more on the way back. Where that would be more than four million
//! numbers (and the loop neither scans nor collects), the carries of every sqrt(n)-th step are kept and the steps between computed
//! twice more: memory is 2 sqrt(n) carries, and the result has the same bits. Tangents keep nothing.

mod activity;
mod batch;
mod control;
mod delta;
mod elementwise;
mod error;
mod implicit;
mod jvp;
mod linalg;
mod linear;
mod reduce;
mod rows;
mod special;
mod transforms;
mod vjp;

pub use batch::{Batched, batch};
pub use error::GradError;

use error::{GradResult, check_wrt};
use gradus_ir::build::Build;
use gradus_ir::{DType, Graph, Ty};

/// The region with parameters `[parameters.., tangents of the chosen ones..]` and outputs
/// `[outputs.., tangent of each output..]`. Tangents have the shape of their value and are real;
/// the tangent of an output that does not depend on the chosen parameters is zero.
pub fn jvp(region: &Graph, wrt: &[bool]) -> Result<Graph, GradError> {
    check_wrt(region, wrt)?;
    let seeds: Vec<Option<bool>> = wrt.iter().map(|w| w.then_some(false)).collect();
    let pushed = jvp::push_region(region, &seeds)?;
    let mut g = pushed.graph;
    let n = region.outputs.len();
    let tail = g.outputs.split_off(n);
    let mut present = tail.into_iter();
    for (k, t) in pushed.tangents.iter().enumerate() {
        let id = match t.and_then(|_| present.next()) {
            Some(id) => id,
            None => {
                let out = region.outputs[k];
                Build::new(&mut g, region.node(out).origin).full(0.0, region.shape(out))?
            }
        };
        g.outputs.push(id);
    }
    Ok(g)
}

/// The region with parameters `[parameters.., one cotangent per output..]` and outputs
/// `[outputs.., cotangent of each chosen parameter..]`. The cotangent of an int or bool output is read by nobody.
pub fn vjp(region: &Graph, wrt: &[bool]) -> Result<Graph, GradError> {
    check_wrt(region, wrt)?;
    let seeds = vec![Some(false); region.outputs.len()];
    let pulled = vjp::pull_region(region, wrt, &seeds)?;
    let mut g = pulled.graph;
    let n = region.outputs.len();
    let tail = g.outputs.split_off(n);
    fill_cotangents(&mut g, region, wrt, &pulled.cotangents, tail)?;
    Ok(g)
}

/// The region with the same parameters and outputs `[value, gradient by each chosen parameter..]`.
/// The first output must be a real scalar; other outputs are dropped.
pub fn grad(region: &Graph, wrt: &[bool]) -> Result<Graph, GradError> {
    check_wrt(region, wrt)?;
    let Some(&value) = region.outputs.first() else {
        return Err(GradError::Ir(gradus_ir::IrError::Internal("gradient of a region without outputs".into())));
    };
    if *region.ty(value) != Ty::scalar(DType::Real) {
        return Err(GradError::NotScalar { ty: region.ty(value).clone(), origin: region.node(value).origin });
    }
    let mut one = region.clone();
    one.outputs.truncate(1);
    let pulled = vjp::pull_scalar(&one, wrt)?;
    let mut g = pulled.graph;
    let tail = g.outputs.split_off(1);
    fill_cotangents(&mut g, region, wrt, &pulled.cotangents, tail)?;
    Ok(g)
}

fn fill_cotangents(
    g: &mut Graph,
    region: &Graph,
    wrt: &[bool],
    found: &[Option<bool>],
    tail: Vec<gradus_ir::NodeId>,
) -> GradResult<()> {
    let mut present = tail.into_iter();
    for (k, p) in region.params().iter().enumerate() {
        let id = found[k].and_then(|_| present.next());
        if !wrt[k] {
            continue;
        }
        let id = match id {
            Some(id) => id,
            None => Build::new(g, region.node(*p).origin).full(0.0, region.shape(*p))?,
        };
        g.outputs.push(id);
    }
    Ok(())
}
