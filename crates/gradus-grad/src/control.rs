//! Loops and branches: their derivative is a loop or a branch over the derivative of the body.

mod backward;
mod branch;
mod checkpoints;
mod forward;

pub(crate) use backward::{Kept, pull_loop};
pub(crate) use branch::{pull_cond, push_cond};
pub(crate) use forward::push_loop;

use crate::delta::Delta;

pub(crate) fn flags(ts: &[Option<Delta>]) -> Vec<bool> {
    ts.iter().map(Option::is_some).collect()
}

pub(crate) fn some_masked(ts: &[Option<Delta>]) -> bool {
    ts.iter().flatten().any(|d| d.masked)
}
