//! What a finished solve says about itself.

use super::number::real;
use super::values::{lines, one_line};
use gradus_eval::Output;
use gradus_eval::host::Event;
use std::sync::Arc;

/// Fields of a solve's record that certify the point.
const CERTIFICATES: [&str; 3] = ["gap", "kkt", "feasible"];

/// The lines of the report: status and steps, the value, the certificate, the method and why.
pub fn report(name: Option<&str>, record: &Output, width: usize) -> Vec<String> {
    let Output::Record(fields) = record else { return lines(record, width) };
    let get = |name: &str| fields.iter().find(|(n, _)| &**n == name).map(|(_, v)| v);
    let text = |name: &str| get(name).and_then(brief);
    let status = text("status").unwrap_or_else(|| "done".into());
    let title = name.map_or_else(|| "solve".to_string(), one_line);
    let steps = text("steps").map(|s| format!(" after {s} step{}", if s == "1" { "" } else { "s" })).unwrap_or_default();
    let mut rows: Vec<(String, String)> = vec![("status".into(), format!("{status}{steps}"))];
    if let Some(value) = text("value") {
        rows.push(("value".into(), value));
    }
    for c in CERTIFICATES {
        if let Some(v) = get(c).and_then(number) {
            rows.push((c.into(), real(v, 3)));
        }
    }
    // A method's own certificate is often one of those above: it is said once.
    if let Some(v) = get("certificate").and_then(number)
        && !CERTIFICATES.iter().any(|c| get(c).and_then(number) == Some(v))
    {
        rows.push(("certificate".into(), real(v, 3)));
    }
    if let Some(precision) = text("precision") {
        rows.push(("precision".into(), precision));
    }
    if let Some(method) = text("method") {
        rows.push(("method".into(), method));
    }
    if let Some(why) = text("why") {
        rows.push(("why".into(), why));
    }
    if let Some(Output::List(levels)) = get("levels") {
        rows.extend(levels.iter().filter_map(level).map(|l| ("inner".into(), l)));
    }
    let pad = rows.iter().map(|(n, _)| n.len()).max().unwrap_or(0);
    let mut out = vec![title];
    for (name, value) in rows {
        let room = width.saturating_sub(pad + 4).max(40);
        for (k, line) in wrapped(&value, room).into_iter().enumerate() {
            let label = if k == 0 { name.as_str() } else { "" };
            out.push(format!("  {label:pad$}  {line}"));
        }
    }
    out
}

/// `argmin: 14 solves, 14 to 666 steps (mean 84.9), residual at most 9.3e-11`, of the record of an inner level.
fn level(record: &Output) -> Option<String> {
    let Output::Record(fields) = record else { return None };
    let get = |fields: &[(Arc<str>, Output)], name: &str| fields.iter().find(|(n, _)| &**n == name).map(|(_, v)| v.clone());
    let Some(Output::Text(what)) = get(fields, "what") else { return None };
    let count = |v: f64, word: &str| format!("{v} {word}{}", if v == 1.0 { "" } else { "s" });
    let range = |name: &str| match get(fields, name) {
        Some(Output::Record(r)) => Some(["least", "mean", "most"].map(|n| get(&r, n).as_ref().and_then(number).unwrap_or(f64::NAN))),
        _ => None,
    };
    let mut text = format!("{what}: {}", count(get(fields, "solves").as_ref().and_then(number)?, "solve"));
    if let Some([least, mean, most]) = range("steps") {
        text.push_str(&if least == most { format!(", {}", count(most, "step")) } else { format!(", {least} to {most} steps (mean {mean:.1})") });
    }
    if let Some([_, _, most]) = range("residual") {
        text.push_str(&format!(", residual at most {}", real(most, 2)));
    }
    match get(fields, "unfinished").as_ref().and_then(number) {
        Some(n) if n > 0.0 => text.push_str(&format!(", {n} not converged")),
        _ => {}
    }
    Some(text)
}

/// A one-line value.
fn brief(value: &Output) -> Option<String> {
    match value {
        Output::Text(t) => Some(t.to_string()),
        Output::Array(a) if a.shape.is_empty() => lines(value, 80).into_iter().next(),
        _ => None,
    }
}

fn number(value: &Output) -> Option<f64> {
    match value {
        Output::Array(a) => a.as_scalar(),
        _ => None,
    }
}

/// Broken at blanks; the text's own line ends stay.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut out = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                out.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        out.push(line);
    }
    out
}

/// The record of a `Solved` event.
pub fn record_of(event: &Event) -> Option<(Option<&str>, &Vec<(Arc<str>, Output)>)> {
    match event {
        Event::Solved { name, record: Output::Record(fields), .. } => Some((name.as_deref(), fields)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_ir::Array;

    #[test]
    fn says_status_value_certificate_and_reason() {
        let record = Output::Record(vec![
            ("w".into(), Output::Array(Array::vector(vec![0.0, 1.0]))),
            ("value".into(), Output::Array(Array::scalar(2125.720394138))),
            ("status".into(), Output::Text("converged".into())),
            ("steps".into(), Output::Array(Array::scalar(12.0))),
            ("gap".into(), Output::Array(Array::scalar(1.23456e-9))),
            ("method".into(), Output::Text("fista".into())),
            ("why".into(), Output::Text("the smooth part has L = 4, and the rest has a prox".into())),
        ]);
        assert_eq!(
            report(Some("fit"), &record, 60),
            [
                "fit",
                "  status  converged after 12 steps",
                "  value   2125.72039",
                "  gap     1.23e-9",
                "  method  fista",
                "  why     the smooth part has L = 4, and the rest has a prox",
            ]
        );
    }

    #[test]
    fn breaks_long_reasons_at_blanks() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
    }
}
