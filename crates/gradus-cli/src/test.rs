//! `gradus test`.

use crate::USAGE;
use crate::args::TestArgs;
use crate::output;
use gradus::report::{self, Style};
use gradus::{Outcome, Session, Silent, Status};

pub fn test(args: TestArgs, out: Style, err: Style) -> u8 {
    if let Some(what) = &args.laws {
        return crate::laws::check(what, args.filter.as_deref(), args.quiet, args.session.threads, out);
    }
    let Some(mut session) = output::session(&args.session) else { return USAGE };
    let (mut code, mut passed, mut failed, mut wrong) = (0, 0, 0, 0);
    for path in &args.files {
        let Some(script) = output::open(&mut session, path) else {
            code = output::worse(code, 1);
            wrong += 1;
            continue;
        };
        let outcome = session.test(script, args.filter.as_deref(), &mut Silent);
        output::say(path.display());
        show(&outcome, &session, args.quiet, out);
        output::complain(&outcome.diagnostics, session.sources(), err);
        if args.timings {
            output::timings(&outcome.timings);
        }
        passed += outcome.tests.iter().filter(|t| t.passed).count();
        failed += outcome.tests.iter().filter(|t| !t.passed).count();
        code = output::worse(code, outcome.status.exit_code());
        wrong += usize::from(outcome.status == Status::Failed);
        if outcome.status == Status::Interrupted {
            break;
        }
    }
    if passed + failed == 0 && code == 0 {
        match &args.filter {
            Some(f) => output::say(format_args!("no test has `{f}` in its name")),
            None => output::say("no tests"),
        }
        return code;
    }
    let scripts = match wrong {
        0 => String::new(),
        1 => ", 1 script is wrong".into(),
        n => format!(", {n} scripts are wrong"),
    };
    output::say(format_args!("{passed} passed, {failed} failed{scripts}"));
    code
}

fn show(outcome: &Outcome, session: &Session, quiet: bool, style: Style) {
    let word = |text: &str, color: u8| match style.color {
        true => format!("\x1b[{color}m{text}\x1b[0m"),
        false => text.to_string(),
    };
    for t in &outcome.tests {
        if t.passed {
            if !quiet {
                output::say(format_args!("  {}  {}", word("ok", 32), t.name));
            }
            continue;
        }
        output::say(format_args!("  {}  {}", word("FAILED", 31), t.name));
        for d in &t.diagnostics {
            output::say(report::render(d, session.sources(), style).trim_end());
        }
    }
}
