//! `gradus check`.

use crate::args::CheckArgs;
use crate::output;
use gradus::Session;
use gradus::report::Style;

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
        let outcome = session.check(script);
        if !to_json {
            output::complain(&outcome.diagnostics, session.sources(), err);
            if !args.quiet && !outcome.diagnostics.iter().any(gradus::Diagnostic::is_error) {
                println!("{}: in order", path.display());
            }
        }
        code = output::worse(code, outcome.status.exit_code());
        outcomes.push((path.display().to_string(), outcome));
    }
    if let Some(path) = &args.json
        && !output::write(path, &output::json(&outcomes, &session, 0))
    {
        code = output::worse(code, 1);
    }
    code
}
