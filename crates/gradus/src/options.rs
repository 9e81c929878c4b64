//! What a session is told before it runs anything.

use crate::rewriting::Level;
use gradus_cpu::NativeCode;
use gradus_ir::{Array, Precision};
use gradus_rewrite::Machine;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A value for a `data` declaration from outside the script.
#[derive(Clone, Debug)]
pub enum Binding {
    /// A file instead of the one that the script names; relative to the current folder.
    File(PathBuf),
    Array(Array),
}

/// A flag that ends a run; clones share it.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(pub(crate) Arc<AtomicBool>);

impl CancelToken {
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// A token over a flag that someone else sets, such as a signal handler.
    pub fn from_flag(flag: Arc<AtomicBool>) -> CancelToken {
        CancelToken(flag)
    }

    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bounds on what one run may use; none by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    pub time: Option<Duration>,
    /// Bytes of memory of one plan.
    pub memory: Option<usize>,
}

/// Settings of a session.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub seed: u64,
    /// `--set NAME=VALUE`: the value is text in the language.
    pub settings: Vec<(String, String)>,
    pub bindings: Vec<(String, Binding)>,
    pub rewrites: Level,
    /// The float type of a run.
    pub precision: Precision,
    /// The machine that the rewriter prices work for.
    pub machine: Machine,
    pub limits: Limits,
    /// Where rewritten graphs are kept for other processes.
    pub plan_cache: Option<PathBuf>,
    /// Threads that large operations may use: all cores, unless said otherwise. No result depends on it.
    pub threads: Option<NonZeroUsize>,
    /// What runs as native code.
    pub native: NativeCode,
    pub cancel: CancelToken,
}
