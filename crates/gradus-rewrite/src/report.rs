//! What rewriting did, for people and for tests.

use gradus_ir::Origin;
use std::fmt;
use std::sync::Arc;

/// What a rule may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The same floats, also for infinities and NaN (but for the sign of a zero).
    Exact,
    /// Equal over the reals; may differ in the last digits. Where the old form is finite for operands of magnitude 1e-100 to
    /// 1e100 (or zero), so is the new one.
    Real,
    /// Equal over the reals, but may lose more digits than the old form on ill-conditioned data.
    Conditioning,
}

/// A rule that shaped the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Fired {
    pub rule: Arc<str>,
    pub class: Class,
    /// At how many places.
    pub count: usize,
    /// The source text behind the first of them.
    pub origin: Origin,
    /// The first of them: `old form  =>  new form`.
    pub what: String,
    /// Why the rule is worth having.
    pub reason: Arc<str>,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// No rule found anything new.
    Saturated,
    /// The iteration limit of the phase.
    Iterations,
    /// The node limit of the phase.
    Nodes,
    /// The graph is too small for a search to pay.
    Small,
    /// Sums of so many operands that a search over their forms would take longer than they do.
    Wide,
    /// Rewriting is off, or the result was not better.
    Kept,
    /// A mistake of the rewriter; the graph is as it was, and `Report::failure` says what happened.
    Failed,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Estimated nanoseconds of one run before.
    pub cost_before: f64,
    /// The same after; never larger.
    pub cost_after: f64,
    pub fired: Vec<Fired>,
    /// Ops moved out of loops.
    pub hoisted: usize,
    /// Live nodes with those of all regions.
    pub nodes_before: usize,
    pub nodes_after: usize,
    /// For each phase its name and why it ended.
    pub stop: Vec<(&'static str, Stop)>,
    /// What went wrong, where something did.
    pub failure: Option<String>,
}

impl Report {
    /// Adds what happened in a branch.
    pub(crate) fn absorb(&mut self, other: Report) {
        self.hoisted += other.hoisted;
        self.failure = self.failure.take().or(other.failure);
        for f in other.fired {
            self.note(f);
        }
    }

    pub(crate) fn note(&mut self, f: Fired) {
        match self.fired.iter_mut().find(|g| g.rule == f.rule) {
            Some(g) => g.count += f.count,
            None => self.fired.push(f),
        }
    }

    pub fn fired(&self, rule: &str) -> bool {
        self.fired.iter().any(|f| *f.rule == *rule)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Class::Exact => "exact",
            Class::Real => "real",
            Class::Conditioning => "conditioning",
        })
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stop::Saturated => "saturated",
            Stop::Iterations => "iteration limit",
            Stop::Nodes => "node limit",
            Stop::Small => "too small to search",
            Stop::Wide => "sums too long to search",
            Stop::Kept => "kept as it was",
            Stop::Failed => "failed, kept as it was",
        })
    }
}

/// A time in a readable unit, three digits.
fn time(ns: f64) -> String {
    let (v, unit) = match ns {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "us"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    let digits = if v >= 100.0 { 0 } else if v >= 10.0 { 1 } else { 2 };
    format!("{v:.digits$} {unit}")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "estimated {} -> {}, nodes {} -> {}",
            time(self.cost_before),
            time(self.cost_after),
            self.nodes_before,
            self.nodes_after
        )?;
        if self.hoisted > 0 {
            writeln!(f, "  {:<28} {:<12} x{}", "hoist/invariant", Class::Exact, self.hoisted)?;
        }
        for r in &self.fired {
            writeln!(f, "  {:<28} {:<12} x{}  {}", r.rule, r.class, r.count, r.what)?;
            writeln!(f, "  {:<28} because {}", "", r.reason)?;
        }
        if !self.stop.is_empty() {
            let stops: Vec<String> = self.stop.iter().map(|(p, s)| format!("{p}: {s}")).collect();
            writeln!(f, "  search: {}", stops.join(", "))?;
        }
        if let Some(e) = &self.failure {
            writeln!(f, "  please report: {e}")?;
        }
        Ok(())
    }
}
