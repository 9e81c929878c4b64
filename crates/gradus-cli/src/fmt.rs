//! `gradus fmt`.

use crate::args::FmtArgs;
use crate::output;
use gradus::Session;
use gradus::report::Style;
use std::io::{Read, Write};
use std::path::Path;

pub fn fmt(args: FmtArgs, err: Style) -> u8 {
    let mut session = Session::builder().build();
    if args.files.is_empty() {
        return input(&mut session, args.check, err);
    }
    let mut code = 0;
    for path in &args.files {
        let one = match path.as_os_str() == "-" {
            true => input(&mut session, args.check, err),
            false => file(&mut session, path, args.check, err),
        };
        code = output::worse(code, one);
    }
    code
}

fn input(session: &mut Session, check: bool, err: Style) -> u8 {
    let mut text = String::new();
    if let Err(e) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("gradus: the standard input could not be read: {e}");
        return 1;
    }
    let script = session.text("<stdin>", &text);
    match session.format(script) {
        Ok(new) if check => u8::from(new != text),
        Ok(new) => u8::from(std::io::stdout().write_all(new.as_bytes()).is_err()),
        Err(diagnostics) => {
            output::complain(&diagnostics, session.sources(), err);
            1
        }
    }
}

fn file(session: &mut Session, path: &Path, check: bool, err: Style) -> u8 {
    let Some(script) = output::open(session, path) else { return 1 };
    let new = match session.format(script) {
        Ok(new) => new,
        Err(diagnostics) => {
            output::complain(&diagnostics, session.sources(), err);
            return 1;
        }
    };
    if new == session.sources().text(script) {
        return 0;
    }
    if check {
        output::say(format_args!("{} is not in the standard layout", path.display()));
        return 1;
    }
    match std::fs::write(path, new) {
        Ok(()) => 0,
        Err(e) => {
            eprintln!("gradus: `{}` could not be written: {e}", path.display());
            1
        }
    }
}
