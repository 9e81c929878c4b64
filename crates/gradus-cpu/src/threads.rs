//! Threads for large instructions: a pool that starts when the first plan with enough work runs.

use rayon::{ThreadPool, ThreadPoolBuilder};
use std::num::NonZeroUsize;
use std::sync::OnceLock;

/// How many threads runs may use, and their pool once one was needed. Whoever shares the value shares the pool. No result
/// depends on the number.
#[derive(Debug)]
pub struct Threads {
    count: usize,
    /// `None` inside where the system gave no threads: everything runs on the caller's.
    pool: OnceLock<Option<ThreadPool>>,
}

/// Nested blocks recurse; as much room as a main thread has.
const STACK: usize = 8 << 20;

impl Threads {
    pub fn new(count: NonZeroUsize) -> Threads {
        Threads { count: count.get(), pool: OnceLock::new() }
    }

    /// As many as the machine runs at once.
    pub fn all() -> Threads {
        Threads::new(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// The pool; none where one thread is all there is.
    pub(crate) fn pool(&self) -> Option<&ThreadPool> {
        if self.count < 2 {
            return None;
        }
        let start = || ThreadPoolBuilder::new().num_threads(self.count).stack_size(STACK).build().ok();
        self.pool.get_or_init(start).as_ref()
    }
}

/// Calls `f` for `from..to`, on as many threads of the pool that this thread belongs to as are free. Allocates nothing.
pub(crate) fn each(from: usize, to: usize, f: &(impl Fn(usize) + Sync)) {
    match to - from {
        0 => {}
        1 => f(from),
        n => {
            let middle = from + n / 2;
            rayon::join(|| each(from, middle, f), || each(middle, to, f));
        }
    }
}
