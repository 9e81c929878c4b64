//! What a command leaves behind.

use crate::timings::Timings;
use gradus_eval::Output;
use gradus_eval::host::Slope;
use gradus_syntax::Diagnostic;
use std::sync::Arc;

/// How a command ended; the exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    Done,
    /// A `test`, `assert` or `certify` failed, and nothing worse happened.
    TestFailed,
    /// The program is wrong, or failed.
    Failed,
    Interrupted,
}

impl Status {
    pub fn exit_code(self) -> u8 {
        match self {
            Status::Done => 0,
            Status::Failed => 1,
            Status::TestFailed => 3,
            Status::Interrupted => 130,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Status::Done => "done",
            Status::Failed => "failed",
            Status::TestFailed => "test failed",
            Status::Interrupted => "interrupted",
        }
    }
}

/// One `test` block that ran.
#[derive(Clone, Debug)]
pub struct TestResult {
    pub name: Arc<str>,
    pub passed: bool,
    pub diagnostics: Vec<Diagnostic>,
}

/// A solve that ended, with the name its record was bound to.
#[derive(Clone, Debug)]
pub struct Solved {
    pub name: Option<String>,
    pub record: Output,
}

/// Everything a command found out.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub status: Status,
    /// Errors and warnings; those of failed tests are with the tests.
    pub diagnostics: Vec<Diagnostic>,
    /// What was printed under a name, in order.
    pub values: Vec<(String, Output)>,
    pub solves: Vec<Solved>,
    pub tests: Vec<TestResult>,
    /// Where asked for (`check_slopes`): each derivative beside differences.
    pub slopes: Vec<Slope>,
    /// Where asked for (`explain` with the stage `proof`): the proof of each rewritten graph, under the graph's title.
    pub proofs: Vec<(String, gradus_proof::Proof)>,
    pub timings: Timings,
}

impl Outcome {
    pub(crate) fn new(status: Status, diagnostics: Vec<Diagnostic>) -> Outcome {
        Outcome {
            status,
            diagnostics,
            values: Vec::new(),
            solves: Vec::new(),
            tests: Vec::new(),
            slopes: Vec::new(),
            proofs: Vec::new(),
            timings: Timings::default(),
        }
    }

    /// The value last printed under a name (the text of the printed expression).
    pub fn value(&self, name: &str) -> Option<&Output> {
        self.values.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v)
    }
}
