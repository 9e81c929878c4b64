//! The long story behind every code: `explain/EXXXX.md`, embedded.

macro_rules! pages {
    ($($code:literal),* $(,)?) => {
        &[$(($code, include_str!(concat!("../explain/", $code, ".md")))),*]
    };
}

/// Codes and their pages (*What / Why / Example / Fix*), in order.
pub const PAGES: &[(&str, &str)] = include!("../explain/pages.in");

/// The page of a code; upper and lower case are the same.
pub fn page(code: &str) -> Option<&'static str> {
    PAGES.iter().find(|(c, _)| c.eq_ignore_ascii_case(code)).map(|(_, text)| *text)
}

/// The codes whose pages are there.
pub fn codes() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(c, _)| *c)
}
