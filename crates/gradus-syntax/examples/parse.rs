//! Prints the tree and the diagnostics of one file: `cargo run -p gradus-syntax --example parse FILE`.
use gradus_syntax::{FileId, line_column, parse, print_ast};

fn main() {
    let Some(path) = std::env::args().nth(1) else { return };
    let Ok(text) = std::fs::read_to_string(&path) else { return };
    let start = std::time::Instant::now();
    let (module, diagnostics) = parse(FileId(1), &text);
    let time = start.elapsed();
    print!("{}", print_ast(&module));
    for d in &diagnostics {
        let (line, column) = line_column(&text, d.primary.span.start as usize);
        println!("{path}:{line}:{column}: {} {} [{}]", d.code, d.message, d.primary.text);
        for l in &d.labels {
            let (line, column) = line_column(&text, l.span.start as usize);
            println!("    at {line}:{column}: {}", l.text);
        }
        for h in &d.helps {
            println!("    help: {} {:?}", h.text, h.edit.as_ref().map(|(_, t)| t));
        }
    }
    eprintln!("{} bytes in {time:?}", text.len());
}
