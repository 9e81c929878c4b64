//! `gradus test --laws`: what sets and terms declare, against brute force, as a table.

use crate::output;
use gradus::laws::{self, Item, Kind, LAWS, Row, Verdict};
use gradus::report::Style;
use std::num::NonZeroUsize;
use std::path::Path;

/// The laws of the library (`std`) or of the sets and terms that a script declares.
pub fn check(what: &str, filter: Option<&str>, quiet: bool, threads: Option<NonZeroUsize>, style: Style) -> u8 {
    let items = match what {
        "std" => laws::library(),
        path => std::fs::read_to_string(Path::new(path)).map_err(|e| format!("cannot read it: {e}")).and_then(|t| laws::script(&t)),
    };
    let items = match items {
        Ok(items) => items,
        Err(e) => {
            eprintln!("gradus: {what}: {e}");
            return 1;
        }
    };
    let wanted = |i: &Item| filter.is_none_or(|f| i.name.contains(f));
    let picked = items.iter().filter(|i| wanted(i)).count();
    if picked == 0 {
        output::say(match filter {
            Some(f) => format!("no set or term has `{f}` in its name"),
            None => "no sets and terms".into(),
        });
        return 0;
    }
    let bare: Vec<&Item> = items.iter().filter(|i| wanted(i) && i.instances.is_empty()).collect();
    for i in &bare {
        eprintln!("gradus: `{}` names no instances: add a line such as `## laws  {} at 5` to its doc comment", i.name, i.name);
    }
    let threads = threads.or_else(|| std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let rows = laws::check(&items, &wanted, threads);
    if !quiet {
        for (kind, title) in [(Kind::Set, "sets"), (Kind::Term, "terms")] {
            let own: Vec<&Row> = rows.iter().filter(|r| r.kind == kind).collect();
            if !own.is_empty() {
                table(title, &own, style);
            }
        }
    }
    let mut failed = 0;
    for r in &rows {
        for (law, why) in r.failures() {
            failed += 1;
            output::say(format_args!("FAILED  {}: {law}: {why}", r.instance));
        }
    }
    let count = |f: fn(&Verdict) -> bool| rows.iter().flat_map(|r| &r.verdicts).filter(|v| f(v)).count();
    output::say(format_args!(
        "{} instances of {} sets and terms: {} laws hold, {failed} fail, {} do not apply",
        rows.len(),
        picked - bare.len(),
        count(|v| *v == Verdict::Holds),
        count(|v| matches!(v, Verdict::Idle(_))),
    ));
    match failed + bare.len() {
        0 => 0,
        _ => 3,
    }
}

/// One row an instance, one column a law that says something about this kind; reasons are numbered below.
fn table(title: &str, rows: &[&Row], style: Style) {
    let other = match title {
        "sets" => "is a law of terms",
        _ => "is a law of sets",
    };
    let foreign = |v: &Verdict| matches!(v, Verdict::Idle(why) if why.ends_with(other));
    let columns: Vec<usize> = (0..LAWS.len()).filter(|k| !rows.iter().all(|r| r.verdicts.get(*k).is_none_or(foreign))).collect();
    let mut reasons: Vec<&str> = Vec::new();
    let mut cells: Vec<Vec<String>> = Vec::new();
    for r in rows {
        let mut line = Vec::new();
        for v in columns.iter().filter_map(|k| r.verdicts.get(*k)) {
            line.push(match v {
                Verdict::Holds => "ok".into(),
                Verdict::Fails(_) => "FAIL".into(),
                Verdict::Idle(why) => {
                    let at = reasons.iter().position(|w| w == why).unwrap_or_else(|| {
                        reasons.push(why);
                        reasons.len() - 1
                    });
                    format!("({})", at + 1)
                }
            });
        }
        cells.push(line);
    }
    let head: Vec<&str> = columns.iter().filter_map(|k| LAWS.get(*k)).map(|(law, _)| *law).collect();
    let widths: Vec<usize> =
        head.iter().enumerate().map(|(k, h)| cells.iter().filter_map(|l| l.get(k)).map(String::len).max().unwrap_or(0).max(h.len())).collect();
    let names: Vec<String> = rows.iter().map(|r| short(&r.instance)).collect();
    let first = names.iter().map(String::len).max().unwrap_or(0).max(title.len());
    let heads: Vec<String> = head.iter().zip(&widths).map(|(h, w)| format!("{h:<w$}")).collect();
    output::say(format_args!("{title:<first$}  {}", heads.join("  ").trim_end()));
    for (name, line) in names.iter().zip(&cells) {
        let line: Vec<String> = line.iter().zip(&widths).map(|(c, w)| painted(c, *w, style)).collect();
        output::say(format_args!("{name:<first$}  {}", line.join("  ").trim_end()));
    }
    for (k, why) in reasons.iter().enumerate() {
        output::say(format_args!("  ({}) {why}", k + 1));
    }
    output::say("");
}

fn painted(cell: &str, width: usize, style: Style) -> String {
    let padded = format!("{cell:<width$}");
    match (style.color, cell) {
        (true, "FAIL") => format!("\x1b[31m{padded}\x1b[0m"),
        (true, "ok") => format!("\x1b[32m{padded}\x1b[0m"),
        _ => padded,
    }
}

/// Long parameters do not fit a table.
fn short(instance: &str) -> String {
    const MOST: usize = 44;
    match instance.char_indices().nth(MOST) {
        Some((k, _)) => format!("{}…", instance.get(..k).unwrap_or(instance)),
        None => instance.to_string(),
    }
}
