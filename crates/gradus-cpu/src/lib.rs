//! Executes plans on this machine's CPU.
//!
//! Owns:    the executor with its arena, kernels for every op, the counter-based random generator, limits of a run.
//! Never:   changes a plan, allocates inside a loop of one, reads the clock or the environment to decide a result.
//! Reads:   an `Arc<Plan>` and the input arrays.
//! Returns: the output arrays, or a `Fault` that says where and why the run ended.

mod arena;
mod columns;
mod control;
mod elementwise;
mod executor;
mod fft;
mod fused;
mod gemv;
mod index;
mod kernels;
mod knapsack;
mod linalg;
mod matmul;
mod native;
mod order;
pub mod probe;
pub mod philox;
mod real;
mod reduce;
mod simd;
mod sweep;
mod threads;
mod worker;
pub mod sparse;
mod special;
pub mod transcendental;
mod trap;
mod vectors;

pub use control::{Control, Fault, NativeCode};
pub use executor::Executor;
pub use native::tiers;
pub use threads::Threads;
