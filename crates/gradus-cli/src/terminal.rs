//! What the terminal can show.

use crate::args::When;
use gradus::report::Style;
use std::io::IsTerminal;

const NARROW: usize = 40;
const WIDE: usize = 120;
const USUAL: usize = 100;

/// The style for the standard output, and for the standard error.
pub fn styles(when: When) -> (Style, Style) {
    let style = |terminal: bool| Style { color: colored(when, terminal), width: width() };
    (style(std::io::stdout().is_terminal()), style(std::io::stderr().is_terminal()))
}

/// `NO_COLOR` (no-color.org) counts unless the option says `always`.
fn colored(when: When, terminal: bool) -> bool {
    let wanted = || std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => terminal && wanted(),
    }
}

fn width() -> usize {
    match std::env::var("COLUMNS").ok().and_then(|c| c.parse::<usize>().ok()) {
        Some(c) => c.clamp(NARROW, WIDE),
        None => USUAL,
    }
}
