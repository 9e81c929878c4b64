//! Prints one file formatted: `cargo run -p gradus-syntax --example format FILE`.
use gradus_syntax::{FileId, format};

fn main() {
    let Some(path) = std::env::args().nth(1) else { return };
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    match format(FileId(1), &text) {
        Ok(out) => print!("{out}"),
        Err(diagnostics) => println!("{} errors", diagnostics.len()),
    }
}
