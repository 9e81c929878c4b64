//! `gradus check`.

use crate::args::CheckArgs;
use crate::output;
use gradus::report::Style;
use gradus::{Emit, Event, Session, Sources};

pub fn check(args: CheckArgs, err: Style) -> u8 {
    let mut session = Session::builder().build();
    let mut code = 0;
    let mut outcomes = Vec::new();
    let to_json = args.json.as_ref().is_some_and(|p| p.as_os_str() == "-");
    for path in &args.files {
        let Some(script) = output::open(&mut session, path) else {
            code = output::worse(code, 1);
            continue;
        };
        let mut facts = Facts::default();
        let outcome = session.check_with(script, &mut facts);
        if !to_json {
            output::complain(&outcome.diagnostics, session.sources(), err);
            if !args.quiet && !outcome.diagnostics.iter().any(gradus::Diagnostic::is_error) {
                output::say(format_args!("{}: in order", path.display()));
                for line in &facts.lines {
                    output::say(format_args!("  {line}"));
                }
            }
        }
        code = output::worse(code, outcome.status.exit_code());
        outcomes.push((path.display().to_string(), outcome));
    }
    if let Some(path) = &args.json
        && !output::write(path, &output::json(&outcomes, &session, 0, gradus::Precision::F64))
    {
        code = output::worse(code, 1);
    }
    code
}

/// One line for each problem that the script solves.
#[derive(Default)]
struct Facts {
    lines: Vec<String>,
}

impl Emit for Facts {
    fn event(&mut self, event: &Event, _: &Sources) {
        if let Event::Stage { stage: "facts", title, text } = event {
            let line = format!("{title}: {text}");
            if !self.lines.contains(&line) {
                self.lines.push(line);
            }
        }
    }
}
