//! `gradus check-grad`.

use crate::USAGE;
use crate::args::CheckGradArgs;
use crate::output;
use gradus::report::{self, Style, json};
use gradus::{Outcome, Session, Silent, Slope, Verdict};

pub fn check(args: CheckGradArgs, out: Style, err: Style) -> u8 {
    let Some(mut session) = output::session(&args.session) else { return USAGE };
    let mut code = 0;
    for path in &args.files {
        let Some(script) = output::open(&mut session, path) else {
            code = output::worse(code, 1);
            continue;
        };
        let outcome = session.check_slopes(script, &mut Silent);
        if args.json {
            let all: Vec<json::Value> = outcome.slopes.iter().map(|s| record(s, &session)).collect();
            let line = json::json!({ "script": path.display().to_string(), "status": outcome.status.name(), "derivatives": all });
            output::say(json::text(&line).trim_end());
        } else {
            output::say(path.display());
            table(&outcome, &session, out);
        }
        output::complain(&outcome.diagnostics, session.sources(), err);
        code = output::worse(code, outcome.status.exit_code());
    }
    code
}

fn word(v: Verdict) -> &'static str {
    match v {
        Verdict::Agrees => "ok",
        Verdict::Inside => "inside",
        Verdict::Kink => "kink",
        Verdict::Differs => "DIFFERS",
        Verdict::Failed => "FAILED",
    }
}

fn table(outcome: &Outcome, session: &Session, style: Style) {
    let coloured = |v: Verdict, text: String| {
        let color = match v {
            Verdict::Agrees => 32,
            Verdict::Inside | Verdict::Kink => 33,
            Verdict::Differs | Verdict::Failed => 31,
        };
        if style.color { format!("\x1b[{color}m{text}\x1b[0m") } else { text }
    };
    let count = |v: &[Verdict]| outcome.slopes.iter().filter(|s| v.contains(&s.verdict)).count();
    for s in &outcome.slopes {
        let (at, text) = (session.sources().place(s.span), session.sources().snippet(s.span));
        let said = match s.verdict {
            Verdict::Inside => "its point is only known inside a loop or another derivative, which are checked as a whole".to_string(),
            Verdict::Kink => format!("{} lies between the slopes of the two sides", report::number::real(s.ours, 6)),
            Verdict::Failed => "no finite number".to_string(),
            _ => format!("{} by differences {}, apart {:.1e}", report::number::real(s.ours, 6), report::number::real(s.differences, 6), s.error),
        };
        output::say(format_args!("  {}  {at} {}: {said}", coloured(s.verdict, format!("{:7}", word(s.verdict))), s.what));
        output::say(format_args!("           {}", text.lines().next().unwrap_or_default()));
    }
    if outcome.slopes.is_empty() {
        output::say("  no derivatives");
        return;
    }
    let (ok, kinks, wrong) = (count(&[Verdict::Agrees]), count(&[Verdict::Kink]), count(&[Verdict::Differs, Verdict::Failed]));
    output::say(format_args!("  {ok} agree, {kinks} at kinks, {wrong} wrong"));
}

fn record(s: &Slope, session: &Session) -> json::Value {
    let number = |v: f64| if v.is_finite() { json::json!(v) } else { json::Value::Null };
    json::json!({
        "what": s.what,
        "place": session.sources().place(s.span),
        "text": session.sources().snippet(s.span),
        "verdict": word(s.verdict).to_lowercase(),
        "derivative": number(s.ours),
        "differences": number(s.differences),
        "error": number(s.error),
    })
}
