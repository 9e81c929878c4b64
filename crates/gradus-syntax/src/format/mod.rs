//! The formatter: spacing, indentation and line width; it moves white space and never touches anything else.
//!
//! Where lines break is the author's choice, as with gofmt, except that lines beyond the width are broken further. The
//! layout is a function of the tokens and the line breaks alone; breaking is repeated until no line is too long, so
//! that formatting what was formatted finds nothing to do.

mod layout;
mod pieces;
mod space;
mod wrap;

use crate::diagnostic::Diagnostic;
use crate::parser::parse_marked;
use crate::span::FileId;

/// Lines are broken beyond this many characters where they can be.
const WIDTH: usize = 100;
const INDENT: usize = 2;

/// The text in the standard layout, ending in one line break (an empty text stays empty). Comments and single blank
/// lines stay where they are. A text with syntax errors is not touched: the errors are returned.
pub fn format(file: FileId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let (_, diagnostics, parsed) = parse_marked(file, text, true);
    if diagnostics.iter().any(Diagnostic::is_error) {
        return Err(diagnostics);
    }
    let mut pieces = pieces::collect(text, &parsed);
    loop {
        let lines = layout::lines(&pieces);
        if !wrap::break_long_lines(&mut pieces, &lines) {
            return Ok(layout::print(&pieces, lines));
        }
    }
}
