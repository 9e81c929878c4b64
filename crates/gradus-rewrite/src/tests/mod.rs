#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod expr;
mod laws;
mod linear;
mod probe;
mod proofs;
mod random;
mod rules;
mod sample;
mod whole;

use gradus_ir::{Array, reference};

/// Where the old value is finite, the new one is, and they agree to `tol` relative to the size of the result.
pub fn agree(old: &[Array], new: &[Array], tol: f64, what: &str) {
    assert_eq!(old.len(), new.len(), "{what}");
    for (k, (a, b)) in old.iter().zip(new).enumerate() {
        assert_eq!(a.shape, b.shape, "{what}: output {k}");
        let size = a.data.iter().filter(|x| x.is_finite()).fold(1.0f64, |m, x| m.max(x.abs()));
        for (x, y) in a.data.iter().zip(b.data.iter()) {
            if x.is_finite() {
                assert!((x - y).abs() <= tol * size, "{what}: output {k}: {x} became {y}");
            }
        }
    }
}

pub fn run(g: &gradus_ir::Graph, inputs: &[Array]) -> Vec<Array> {
    reference::run(g, inputs).unwrap_or_else(|e| panic!("{e}\n{g}"))
}
