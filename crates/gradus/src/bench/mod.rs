//! Running a script's computations again and again, and saying what that took.

pub mod calibrate;
pub mod profile;
mod record;

pub use gradus_eval::host::Purpose;
pub use record::{Recorded, Recorder};

use crate::outcome::Outcome;
use gradus_cpu::{Control, Fault};
use gradus_plan::Work;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How to measure.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Timed runs of each computation; 0: at least `LEAST`, and until half a second has been measured.
    pub repeat: usize,
    /// Only computations whose source text contains this.
    pub filter: Option<String>,
    /// Also what is measured at the answers of solves.
    pub measures: bool,
}

/// Timed runs where the caller says nothing: at least so many, at most so many.
const LEAST: usize = 5;
const MOST: usize = 50;
const BUDGET: Duration = Duration::from_millis(500);

/// Shorter runs are timed several at a time, so that the clock's own grain does not show.
const GRAIN: Duration = Duration::from_millis(1);

/// A first run that takes longer is the measurement.
const LONG: Duration = Duration::from_secs(20);

/// A script, run once as always and then measured.
#[derive(Clone, Debug)]
pub struct Report {
    pub outcome: Outcome,
    /// In the order in which the script ran them.
    pub items: Vec<Item>,
}

/// One computation, measured.
#[derive(Clone, Debug)]
pub struct Item {
    pub purpose: Purpose,
    /// The source text that asks for it.
    pub title: String,
    /// How often the script ran it.
    pub runs: usize,
    /// The loop outside all others with the most work, if there is one: its label.
    pub loop_label: Option<Arc<str>>,
    /// Steps of that loop in one run; 1 without a loop.
    pub steps: u64,
    /// Seconds of each timed run, ascending; and of the processor (all threads) where the system tells.
    pub seconds: Vec<f64>,
    pub cpu_seconds: Vec<f64>,
    /// Of a whole run, work before and after the loop included.
    pub work: Work,
    /// Instructions that one step runs, those of inner loops as often as they ran.
    pub kernels: f64,
    /// Bytes of one element.
    pub width: usize,
    /// What the plan says it holds, and its inputs.
    pub plan_bytes: usize,
    pub input_bytes: usize,
    pub rewrite: Duration,
    pub planning: Duration,
    /// The value that a solve reported.
    pub objective: Option<f64>,
}

impl Item {
    /// Seconds of one step: the median of the runs.
    pub fn median(&self) -> f64 {
        middle(&self.seconds) / self.steps.max(1) as f64
    }

    pub fn best(&self) -> f64 {
        self.seconds.first().copied().unwrap_or(f64::NAN) / self.steps.max(1) as f64
    }

    /// The distance between the quartiles, relative to the median.
    pub fn spread(&self) -> f64 {
        let n = self.seconds.len();
        let at = |k: usize| self.seconds.get(k.min(n.saturating_sub(1))).copied().unwrap_or(f64::NAN);
        (at(3 * n / 4) - at(n / 4)) / middle(&self.seconds)
    }

    /// Seconds of the processor for one step, in the best run.
    pub fn best_cpu(&self) -> Option<f64> {
        self.cpu_seconds.iter().copied().min_by(f64::total_cmp).map(|s| s / self.steps.max(1) as f64)
    }

    /// Operations of one step.
    pub fn flops(&self) -> f64 {
        self.work.flops / self.steps.max(1) as f64
    }

    /// Bytes read and written in one step.
    pub fn bytes(&self) -> (f64, f64) {
        let each = self.width as f64 / self.steps.max(1) as f64;
        (self.work.read * each, self.work.written * each)
    }
}

fn middle(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    match (sorted.get(n / 2), n % 2) {
        (Some(b), 0) => 0.5 * (sorted[n / 2 - 1] + b),
        (Some(b), _) => *b,
        (None, _) => f64::NAN,
    }
}

/// Seconds of the processor that this process has used, all threads together.
pub fn cpu_seconds() -> Option<f64> {
    #[cfg(unix)]
    {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9)
    }
    #[cfg(not(unix))]
    None
}

/// Measures one computation.
pub(crate) fn measure(r: &Recorded, settings: &Settings, control: &Control) -> Result<Item, Fault> {
    let mut executor = r.executor();
    let width = r.plan.precision().bytes();
    let clock = |times: u32, executor: &mut gradus_cpu::Executor| -> Result<(f64, Option<f64>), Fault> {
        let (cpu, start) = (cpu_seconds(), Instant::now());
        for _ in 0..times {
            executor.run(&r.inputs, control)?;
        }
        let spent = start.elapsed().as_secs_f64() / f64::from(times);
        Ok((spent, cpu.zip(cpu_seconds()).map(|(a, b)| (b - a) / f64::from(times))))
    };
    let first = clock(1, &mut executor)?;
    let steps = executor.steps().to_vec();
    let (mut seconds, mut cpu) = (Vec::new(), Vec::new());
    let mut note = |(s, c): (f64, Option<f64>)| {
        seconds.push(s);
        cpu.extend(c);
    };
    if first.0 > LONG.as_secs_f64() && settings.repeat == 0 {
        note(first);
    } else {
        let (warm, _) = clock(1, &mut executor)?;
        let times = (GRAIN.as_secs_f64() / warm.max(1e-9)).ceil().clamp(1.0, 1e6) as u32;
        let mut total = 0.0;
        let mut done = 0;
        let enough = |done: usize, total: f64| match settings.repeat {
            0 => done >= MOST || (done >= LEAST && total >= BUDGET.as_secs_f64()),
            n => done >= n,
        };
        while !enough(done, total) {
            let one = clock(times, &mut executor)?;
            total += one.0 * f64::from(times);
            done += 1;
            note(one);
        }
    }
    seconds.sort_by(f64::total_cmp);
    let work = r.plan.work(&steps);
    let (loop_label, count, kernels) = match r.plan.main_loop(&steps) {
        Some((l, n, inside)) if n > 0 => (Some(l.label.clone()), n, inside.kernels / n as f64),
        _ => (None, 1, work.kernels),
    };
    Ok(Item {
        purpose: r.purpose,
        title: r.title.clone(),
        runs: r.runs,
        loop_label,
        steps: count,
        seconds,
        cpu_seconds: cpu,
        work,
        kernels,
        width,
        plan_bytes: executor.bytes_with(control.threads.as_ref().map_or(1, |t| t.count())),
        input_bytes: r.inputs.iter().map(|a| size_of_val(a.data.as_slice())).sum(),
        rewrite: r.rewrite,
        planning: r.planning,
        objective: r.objective,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(seconds: &[f64], steps: u64) -> Item {
        Item {
            purpose: Purpose::Value,
            title: String::new(),
            runs: 1,
            loop_label: None,
            steps,
            seconds: seconds.to_vec(),
            cpu_seconds: vec![3.0, 2.0],
            work: Work { flops: 100.0, read: 40.0, written: 10.0, kernels: 1.0 },
            kernels: 1.0,
            width: 8,
            plan_bytes: 0,
            input_bytes: 0,
            rewrite: Duration::ZERO,
            planning: Duration::ZERO,
            objective: None,
        }
    }

    #[test]
    fn figures_are_of_one_step() {
        let i = item(&[1.0, 2.0, 3.0, 6.0], 10);
        assert_eq!((i.median(), i.best()), (0.25, 0.1));
        assert_eq!(i.spread(), (6.0 - 2.0) / 2.5);
        assert_eq!((i.flops(), i.bytes(), i.best_cpu()), (10.0, (32.0, 8.0), Some(0.2)));
        assert_eq!(item(&[1.0, 2.0, 9.0], 1).median(), 2.0);
        assert!(item(&[], 1).median().is_nan());
    }
}
