//! What a person reads: values, solve reports, plots and diagnostics as text; the same as JSON and files.

pub mod diagnostics;
pub mod json;
pub mod number;
pub mod plot_svg;
pub mod plot_terminal;
pub mod save;
pub mod series;
pub mod solve;
pub mod values;

pub use diagnostics::{Style, render, summary};
