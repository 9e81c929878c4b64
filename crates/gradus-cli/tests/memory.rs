//! Static memory, proved by an allocator that counts: while a plan runs, however many steps that takes, nothing is allocated but its
//! results; and it never holds more than the executor said before. Every computation of every example is run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_testkit::{files, root, shown};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static COUNT: AtomicUsize = AtomicUsize::new(0);
/// Bytes in use, and the most that were since the mark was last put down.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn grown(bytes: usize) {
    COUNT.fetch_add(1, Relaxed);
    let now = LIVE.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

// SAFETY: hands everything to the system allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.dealloc(p, layout) }
    }
    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Both may be there while one is copied to the other.
        grown(size);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's.
        unsafe { System.realloc(p, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What is not data: reference counts and shapes of results, what the allocator rounds up.
const SLACK: usize = 4096;

/// What the computations of one script did.
#[derive(Default)]
struct Seen {
    computations: usize,
    steps: u64,
    complaints: Vec<String>,
}

fn look(name: &str, session: &mut gradus::Session, script: gradus::FileId, seen: &mut Seen) {
    let (outcome, recorded) = session.record(script, &mut gradus::Silent);
    assert_eq!(outcome.status, gradus::Status::Done, "{name}: {:?}", outcome.diagnostics);
    for r in &recorded {
        let mut executor = r.executor();
        let said = executor.bytes();
        // A loop that proves long becomes machine code, in one of the first runs, and the compiler needs memory of its own. What is left is
        // what every run takes.
        let (mut peak, mut count, mut most) = (usize::MAX, usize::MAX, 0);
        let mut results = Vec::new();
        for _ in 0..8 {
            let (live, before) = (LIVE.load(Relaxed), COUNT.load(Relaxed));
            PEAK.store(live, Relaxed);
            results = r.run(&mut executor).unwrap();
            peak = peak.min(PEAK.load(Relaxed) - live);
            count = count.min(COUNT.load(Relaxed) - before);
            // The list of results; of each its numbers, their reference count and its shape; of each input the shape it must have.
            most = 1 + 3 * results.len() + r.inputs.len();
            if count <= most {
                break;
            }
        }
        let of_results: usize = results.iter().map(|a| size_of_val(a.data.as_slice())).sum();
        if peak > said + of_results + SLACK {
            let text = format!("{name}: `{}` took {peak} bytes; {said}, and {of_results} for its results, were said", r.title);
            seen.complaints.push(text);
        }
        let steps: u64 = executor.steps().iter().sum();
        if count > most {
            seen.complaints.push(format!("{name}: `{}` allocated {count} times in {steps} steps, {most} are for its results", r.title));
        }
        seen.computations += 1;
        seen.steps += steps;
    }
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn the_computations_of_examples_allocate_only_their_results() {
    let mut seen = Seen::default();
    // The library of matrix products keeps buffers of its own, made once in a thread.
    let mut session = gradus::Session::builder().build();
    let script = session.text("warm.opt", "let a = normal(key(1), 300, 300)\nprint sum(a @ a)\n");
    session.record(script, &mut gradus::Silent);
    for path in files(&root().join("examples"), ".opt") {
        let mut session = gradus::Session::builder().build();
        let script = session.open(&path).unwrap();
        look(&shown(&path), &mut session, script, &mut seen);
    }
    assert!(seen.complaints.is_empty(), "{}", seen.complaints.join("\n"));
    // Where a loop makes thousands of steps, one allocation in each would have shown.
    assert!(seen.computations > 50 && seen.steps > 10_000, "{} computations, {} steps", seen.computations, seen.steps);
}
