//! The one hook through which a run speaks.

use crate::report::diagnostics::Style;
use crate::report::series::Plot;
use crate::report::{plot_terminal, solve, values};
use crate::sources::Sources;
use gradus_eval::host::Event;
use std::io::Write;

/// Receives what a run says, in order: values, plots, solves, tests, and stage texts where they were asked for.
pub trait Emit {
    fn event(&mut self, event: &Event, sources: &Sources);
}

/// Says nothing; the outcome has everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Emit for Silent {
    fn event(&mut self, _: &Event, _: &Sources) {}
}

/// Writes for a person.
pub struct Printer<W> {
    pub out: W,
    pub style: Style,
    /// Only what the script prints: no solve reports.
    pub quiet: bool,
    /// Plots are drawn here; off where they go to files.
    pub plots: bool,
}

impl<W: Write> Printer<W> {
    pub fn new(out: W, style: Style) -> Printer<W> {
        Printer { out, style, quiet: false, plots: true }
    }

    fn lines(&mut self, lines: &[String]) {
        for line in lines {
            // A closed pipe is no reason to stop a run that also saves files.
            let _ = writeln!(self.out, "{}", line.trim_end());
        }
    }

    fn heading(&mut self, text: &str) {
        let _ = match self.style.color {
            true => writeln!(self.out, "\x1b[1m{text}\x1b[0m"),
            false => writeln!(self.out, "{text}"),
        };
    }
}

impl<W: Write> Emit for Printer<W> {
    fn event(&mut self, event: &Event, _: &Sources) {
        match event {
            Event::Print { items, .. } => self.lines(&values::printed(items, self.style.width)),
            Event::Plot { items, settings, span } if self.plots => {
                if let Ok(plot) = Plot::new(items, settings, *span) {
                    self.lines(&plot_terminal::render(&plot, self.style.width));
                }
            }
            Event::Solved { name, record, .. } if !self.quiet => {
                let report = solve::report(name.as_deref(), record, self.style.width);
                if let Some((title, rest)) = report.split_first() {
                    self.heading(title);
                    self.lines(rest);
                }
            }
            Event::Plot { .. }
            | Event::Solved { .. }
            | Event::Save { .. }
            | Event::Test { .. }
            | Event::Slope(_)
            | Event::Warning(_)
            | Event::Stage { .. } => {}
        }
    }
}
