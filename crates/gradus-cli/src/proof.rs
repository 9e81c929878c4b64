//! `gradus check-proof`.

use crate::args::CheckProofArgs;
use crate::output;
use gradus::Sources;
use gradus::report::Style;

pub fn check(args: CheckProofArgs, err: Style) -> u8 {
    let text = match std::fs::read_to_string(&args.file) {
        Ok(text) => text,
        Err(e) => {
            eprintln!("gradus: `{}` could not be read: {e}", args.file.display());
            return 1;
        }
    };
    match gradus::proofs::check(&text) {
        Ok(all) => {
            for v in &all {
                let laws: Vec<String> = v.laws.iter().map(|(n, k)| format!("{n} x{k}")).collect();
                let title = v.title.lines().next().unwrap_or_default();
                output::say(format_args!("{title}: {} steps, {} hoisted; {}", v.steps, v.hoisted, if laws.is_empty() { "no law was needed".into() } else { laws.join(", ") }));
            }
            let mut given: Vec<String> = all.iter().flat_map(|v| &v.given).map(|(law, n)| format!("{law} (tested on {n} instances)")).collect();
            given.sort();
            given.dedup();
            let resting = if given.is_empty() { String::new() } else { format!(", resting on {}", given.join(", ")) };
            output::say(format_args!("{}: the proof holds{resting}", args.file.display()));
            0
        }
        Err(d) => {
            output::complain(&[*d], &Sources::default(), err);
            1
        }
    }
}
