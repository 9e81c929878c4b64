//! How long each stage took.

use std::time::{Duration, Instant};

/// The stages of the pipeline, in order; these are the names everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    Syntax,
    Check,
    Data,
    /// Evaluation, derivatives included.
    Eval,
    Rewrite,
    Plan,
    Exec,
    Report,
}

impl Stage {
    pub const ALL: [Stage; 8] = [
        Stage::Syntax,
        Stage::Check,
        Stage::Data,
        Stage::Eval,
        Stage::Rewrite,
        Stage::Plan,
        Stage::Exec,
        Stage::Report,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Stage::Syntax => "syntax",
            Stage::Check => "check",
            Stage::Data => "data",
            Stage::Eval => "eval",
            Stage::Rewrite => "rewrite",
            Stage::Plan => "plan",
            Stage::Exec => "exec",
            Stage::Report => "report",
        }
    }
}

/// Time by stage, each without the stages it calls.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    spent: [Duration; Stage::ALL.len()],
    /// Graphs that got a new plan, and graphs whose plan was there already.
    pub planned: usize,
    pub reused: usize,
    /// Bytes that the largest plan that ran holds besides its inputs and outputs, by its own statement.
    pub largest_plan: usize,
    /// New plans whose rewritten graph came from the plan cache on disk.
    pub loaded: usize,
}

impl Timings {
    pub fn add(&mut self, stage: Stage, time: Duration) {
        if let Some(s) = self.spent.get_mut(stage as usize) {
            *s += time;
        }
    }

    pub fn of(&self, stage: Stage) -> Duration {
        self.spent.get(stage as usize).copied().unwrap_or_default()
    }

    pub fn total(&self) -> Duration {
        self.spent.iter().sum()
    }

    /// Run `work`, and charge `stage` with its time less what `work` charged to others.
    pub fn time<T>(&mut self, stage: Stage, work: impl FnOnce(&mut Timings) -> T) -> T {
        let before = self.total();
        let start = Instant::now();
        let value = work(self);
        let inner = self.total().saturating_sub(before);
        self.add(stage, start.elapsed().saturating_sub(inner));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_stages_are_not_counted_twice() {
        let mut t = Timings::default();
        t.time(Stage::Eval, |t| t.time(Stage::Exec, |_| std::thread::sleep(Duration::from_millis(20))));
        assert!(t.of(Stage::Exec) >= Duration::from_millis(20));
        assert!(t.of(Stage::Eval) < Duration::from_millis(10));
    }
}
