//! What inner solves did in a run: warnings, and the part of a solve's report that tells of each level.

use super::trust::{KINK, LINEAR};
use crate::host::{Level, Output};
use crate::interp::{Interp, span_of};
use gradus_ir::{Array, Origin};
use gradus_syntax::Diagnostic;
use std::sync::Arc;

/// `new` among `all`: those of one place are one.
pub(crate) fn merge(all: &mut Vec<Level>, new: Vec<Level>) {
    for l in new {
        match all.iter_mut().find(|o| o.what == l.what && o.origin == l.origin) {
            Some(old) => *old = old.with(&l),
            None => all.push(l),
        }
    }
}

impl Interp<'_> {
    pub(crate) fn warn_levels(&mut self, levels: &[Level]) {
        for l in levels.iter().filter(|l| l.unfinished > 0.0) {
            let place = span_of(l.origin);
            let at = if place.file.0 == 0 { self.origin_span() } else { place };
            let times = format!("{} of {}", l.unfinished, l.solves);
            let d = if let Some(what) = l.what.strip_suffix(LINEAR) {
                Diagnostic::warning("W5002", at, format!("the linear system behind the derivative of `{what}` was not solved ({times})"))
                    .at("its result was used all the same")
                    .note(format!("the largest relative residual is {:.1e}", l.residual[2]))
                    .help("the equation may have no unique solution there; or solve it more exactly: `diff implicit(cg(steps = 500))`")
            } else if let Some(what) = l.what.strip_suffix(KINK) {
                Diagnostic::warning("W5003", at, format!("the derivative of this `{what}` is that of one side ({times})"))
                    .at("the solution sits at a kink of its equation")
                    .help("a bound or constraint holds exactly without being pressed against, or the objective has a kink there: move the data a little, or use the value only as a subgradient")
            } else {
                let worst = l.residual[2];
                let d = Diagnostic::warning("W5001", at, format!("the iterations of this `{}` ended before they converged ({times})", l.what))
                    .at("the inner problem");
                let d = if worst.is_nan() { d } else { d.note(format!("the largest residual is {worst:.1e}")) };
                d.help("give it more steps: `by method(steps = …)`; `diff implicit(unsolved = error)` makes this an error")
            };
            self.warn(d);
        }
    }

    /// The field `levels` of a solve's record.
    pub(crate) fn level_records(&self, levels: &[Level]) -> Output {
        let number = |v: f64| Output::Array(Array::scalar(v));
        let range = |v: &[f64; 3]| {
            let names = ["least", "mean", "most"];
            Output::Record(names.iter().zip(v).map(|(n, v)| (Arc::from(*n), number(*v))).collect())
        };
        let one = |l: &Level| {
            let mut fields = vec![(Arc::from("what"), Output::Text(l.what.clone())), (Arc::from("text"), Output::Text(self.first_line(l.origin)))];
            fields.push((Arc::from("solves"), number(l.solves)));
            if !l.steps[1].is_nan() {
                fields.push((Arc::from("steps"), range(&l.steps)));
            }
            if !l.residual[1].is_nan() {
                fields.push((Arc::from("residual"), range(&l.residual)));
            }
            fields.push((Arc::from("unfinished"), number(l.unfinished)));
            Output::Record(fields)
        };
        Output::List(levels.iter().filter(|l| !l.what.ends_with(KINK)).map(one).collect())
    }

    fn first_line(&self, origin: Origin) -> Arc<str> {
        Arc::from(self.text_at(span_of(origin)).and_then(|t| t.lines().next()).unwrap_or_default())
    }
}
