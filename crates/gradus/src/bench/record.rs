//! What ran, kept for whoever wants to run it again and measure.

use gradus_cpu::{Control, Executor, Fault};
use gradus_eval::host::Purpose;
use gradus_ir::Array;
use gradus_plan::Plan;
use std::sync::Arc;
use std::time::Duration;

/// One computation of a script: a plan and the inputs of its first run.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub purpose: Purpose,
    /// The source text that asked for it, its first line.
    pub title: String,
    pub plan: Arc<Plan>,
    pub inputs: Vec<Array>,
    /// How often the script ran this plan for the same text.
    pub runs: usize,
    pub rewrite: Duration,
    pub planning: Duration,
    /// The value that a solve reported.
    pub objective: Option<f64>,
}

impl Recorded {
    /// An executor of its own for the plan. It allocates at its first run.
    pub fn executor(&self) -> Executor {
        Executor::new(self.plan.clone())
    }

    /// One run of it. Errors as the script would have met them.
    pub fn run(&self, executor: &mut Executor) -> Result<Vec<Array>, Fault> {
        executor.run(&self.inputs, &Control::default())
    }
}

/// Collects computations while a script runs.
#[derive(Debug, Default)]
pub struct Recorder {
    pub items: Vec<Recorded>,
    about: Option<(Purpose, String)>,
}

impl Recorder {
    pub fn about(&mut self, purpose: Purpose, text: &str) {
        self.about = Some((purpose, text.lines().next().unwrap_or_default().trim().to_string()));
    }

    /// A plan ran. `compiled`: what rewriting and planning took, where it was not there already.
    pub fn ran(&mut self, plan: &Arc<Plan>, inputs: &[Array], compiled: Option<(Duration, Duration)>) {
        let (purpose, title) = self.about.clone().unwrap_or((Purpose::Value, String::new()));
        let alike = |r: &&mut Recorded| Arc::ptr_eq(&r.plan, plan) && r.purpose == purpose && r.title == title;
        if let Some(r) = self.items.iter_mut().find(alike) {
            r.runs += 1;
            return;
        }
        let (rewrite, planning) = compiled.unwrap_or_default();
        self.items.push(Recorded { purpose, title, plan: plan.clone(), inputs: inputs.to_vec(), runs: 1, rewrite, planning, objective: None });
    }

    /// The solve that ran last has ended with this value.
    pub fn solved(&mut self, value: Option<f64>) {
        if let Some(r) = self.items.iter_mut().rev().find(|r| r.purpose == Purpose::Solve && r.objective.is_none()) {
            r.objective = value;
        }
    }
}
