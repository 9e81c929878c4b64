//! Values and diagnostics as JSON.

use crate::outcome::Outcome;
use crate::sources::Sources;
use gradus_eval::Output;
use gradus_ir::{Array, DType, Precision};
use gradus_syntax::{Diagnostic, Severity, Span};
use serde_json::Map;

pub use serde_json::{Value, json};

/// Everything a command found out about one script. Of values printed under one name the last is kept.
pub fn outcome(script: &str, o: &Outcome, sources: &Sources, seed: u64, precision: Precision) -> Value {
    let values: Map<String, Value> = o.values.iter().map(|(n, v)| (n.clone(), value(v))).collect();
    let solves: Vec<Value> =
        o.solves.iter().map(|s| json!({ "name": s.name, "record": value(&s.record) })).collect();
    let tests: Vec<Value> = o
        .tests
        .iter()
        .map(|t| {
            let diagnostics: Vec<Value> = t.diagnostics.iter().map(|d| diagnostic(d, sources)).collect();
            json!({ "name": &*t.name, "passed": t.passed, "diagnostics": diagnostics })
        })
        .collect();
    let diagnostics: Vec<Value> = o.diagnostics.iter().map(|d| diagnostic(d, sources)).collect();
    json!({
        "gradus": env!("CARGO_PKG_VERSION"),
        "script": script,
        "seed": seed,
        "precision": precision.name(),
        "status": o.status.name(),
        "values": values,
        "solves": solves,
        "tests": tests,
        "diagnostics": diagnostics,
    })
}

/// The text of a JSON value, ending with a newline.
pub fn text(v: &Value) -> String {
    // Maps with text keys and finite numbers always have a text.
    serde_json::to_string(v).map(|t| t + "\n").unwrap_or_default()
}

/// Arrays become nested lists; NaN and the infinities become the strings `"NaN"`, `"Infinity"`, `"-Infinity"`.
pub fn value(v: &Output) -> Value {
    match v {
        Output::Array(a) => array(a),
        Output::Text(t) => Value::String(t.to_string()),
        Output::Record(fields) => Value::Object(fields.iter().map(|(n, v)| (n.to_string(), value(v))).collect()),
        Output::List(items) => Value::Array(items.iter().map(value).collect()),
        Output::Opaque(text) => json!({ "opaque": text }),
    }
}

fn array(a: &Array) -> Value {
    fn nest(shape: &[usize], data: &[f64], dtype: DType) -> Value {
        match shape.split_first() {
            None => data.first().map_or(Value::Null, |x| element(*x, dtype)),
            Some((0, _)) => Value::Array(Vec::new()),
            Some((n, rest)) => {
                let size = data.len() / n;
                Value::Array((0..*n).map(|k| nest(rest, data.get(k * size..(k + 1) * size).unwrap_or(&[]), dtype)).collect())
            }
        }
    }
    nest(&a.shape, &a.data, a.dtype)
}

fn element(x: f64, dtype: DType) -> Value {
    match dtype {
        DType::Bool => Value::Bool(x != 0.0),
        DType::Int if x.is_finite() => json!(x as i64),
        _ => match serde_json::Number::from_f64(x) {
            Some(n) => Value::Number(n),
            None if x.is_nan() => json!("NaN"),
            None if x > 0.0 => json!("Infinity"),
            None => json!("-Infinity"),
        },
    }
}

/// Code, message, place, labels, notes and suggestions.
pub fn diagnostic(d: &Diagnostic, sources: &Sources) -> Value {
    let mut o = Map::new();
    o.insert("code".into(), json!(d.code));
    let severity = match d.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    o.insert("severity".into(), json!(severity));
    o.insert("message".into(), json!(d.message));
    o.insert("at".into(), place(d.primary.span, &d.primary.text, sources));
    if !d.labels.is_empty() {
        o.insert("labels".into(), d.labels.iter().map(|l| place(l.span, &l.text, sources)).collect());
    }
    if !d.notes.is_empty() {
        o.insert("notes".into(), json!(d.notes));
    }
    if !d.helps.is_empty() {
        let helps = d.helps.iter().map(|h| match &h.edit {
            Some((span, new)) => json!({ "text": h.text, "replace": place(*span, new, sources) }),
            None => json!({ "text": h.text }),
        });
        o.insert("helps".into(), helps.collect());
    }
    if !d.trace.is_empty() {
        o.insert("trace".into(), d.trace.iter().map(|l| place(l.span, &l.text, sources)).collect());
    }
    Value::Object(o)
}

fn place(span: Span, text: &str, sources: &Sources) -> Value {
    let source = sources.text(span.file);
    let (line, column) = gradus_syntax::line_column(source, span.start as usize);
    let (end_line, end_column) = gradus_syntax::line_column(source, span.end as usize);
    json!({
        "file": sources.name(span.file), "line": line, "column": column, "end_line": end_line, "end_column": end_column, "text": text
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_keep_their_type_and_every_digit() {
        let a = |dtype, shape: &[usize], data: &[f64]| value(&Output::Array(Array::new(dtype, shape.to_vec(), data.to_vec()).unwrap()));
        assert_eq!(a(DType::Int, &[2], &[1.0, 2.0]).to_string(), "[1,2]");
        assert_eq!(a(DType::Bool, &[], &[1.0]).to_string(), "true");
        assert_eq!(a(DType::Real, &[1, 2], &[0.1, f64::NAN]).to_string(), "[[0.1,\"NaN\"]]");
        assert_eq!(a(DType::Real, &[0], &[]).to_string(), "[]");
        assert_eq!(a(DType::Real, &[2], &[f64::INFINITY, f64::NEG_INFINITY]).to_string(), "[\"Infinity\",\"-Infinity\"]");
    }
}
