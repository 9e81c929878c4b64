//! Values as text: scalars in full, small arrays as tables, large ones in outline.

use super::number::{column, element, real};
use gradus_eval::Output;
use gradus_ir::{Array, DType};

/// Significant digits of a lone number, and of a number among many.
const ALONE: usize = 9;
const AMONG: usize = 7;
/// A vector up to this length is shown whole, a longer one by its ends.
const WHOLE_VECTOR: usize = 60;
/// The same for the rows and columns of a matrix.
const WHOLE_ROWS: usize = 12;
const WHOLE_COLUMNS: usize = 10;
/// A record inside another value is put on one line up to this length.
const SHORT: usize = 60;

/// The lines of a value, at most `width` columns wide where its parts allow it.
pub fn lines(value: &Output, width: usize) -> Vec<String> {
    match value {
        Output::Array(a) => array(a, width, true),
        Output::Text(t) => t.lines().map(str::to_string).collect(),
        Output::Record(fields) if fields.is_empty() => vec!["{}".into()],
        Output::Record(fields) => {
            let named: Vec<(&str, Vec<String>)> =
                fields.iter().map(|(n, v)| (&**n, nested(v, width.saturating_sub(4)))).collect();
            block(&named, "")
        }
        Output::List(items) => list(items, width),
        Output::Opaque(text) => vec![text.clone()],
    }
}

/// A value inside a record or a list: arrays in brief, short records on one line.
fn nested(value: &Output, width: usize) -> Vec<String> {
    match value {
        Output::Array(a) => array(a, width, a.len() <= 24),
        Output::Record(fields) if !fields.is_empty() => {
            let parts: Vec<(&str, Vec<String>)> = fields.iter().map(|(n, v)| (&**n, nested(v, width))).collect();
            if parts.iter().all(|(_, l)| l.len() == 1) {
                let each: Vec<String> = parts.iter().map(|(n, l)| format!("{n} = {}", l.concat())).collect();
                let line = format!("{{{}}}", each.join(", "));
                if line.chars().count() <= width.min(SHORT) {
                    return vec![line];
                }
            }
            lines(value, width)
        }
        other => lines(other, width),
    }
}

/// `name = value` lines whose equal signs line up; values of several lines hang below or beside their names.
pub fn block(named: &[(&str, Vec<String>)], indent: &str) -> Vec<String> {
    let pad = named.iter().map(|(n, _)| n.chars().count()).max().unwrap_or(0);
    let mut out = Vec::new();
    for (name, value) in named {
        let gap = " ".repeat(pad - name.chars().count());
        match value.as_slice() {
            [one] => out.push(format!("{indent}{name}{gap} = {one}")),
            [first, rest @ ..] if first.starts_with('[') => {
                out.push(format!("{indent}{name}{gap} = {first}"));
                let hang = " ".repeat(pad + 3);
                out.extend(rest.iter().map(|l| format!("{indent}{hang}{l}")));
            }
            many => {
                out.push(format!("{indent}{name}{gap} ="));
                out.extend(many.iter().map(|l| format!("{indent}  {l}")));
            }
        }
    }
    out
}

fn list(items: &[Output], width: usize) -> Vec<String> {
    let each: Vec<Vec<String>> = items.iter().map(|i| nested(i, width.saturating_sub(4))).collect();
    if each.iter().all(|l| l.len() == 1) {
        let line = format!("[{}]", each.iter().flatten().cloned().collect::<Vec<_>>().join(", "));
        if line.chars().count() <= width {
            return vec![line];
        }
    }
    let names: Vec<String> = (0..each.len()).map(|k| format!("[{k}]")).collect();
    let named: Vec<(&str, Vec<String>)> = names.iter().map(String::as_str).zip(each).collect();
    block(&named, "")
}

fn array(a: &Array, width: usize, whole: bool) -> Vec<String> {
    match a.shape.as_slice() {
        [] => vec![a.as_scalar().map_or("[]".into(), |x| element(x, a.dtype, ALONE))],
        [_] => vector(a, width, whole),
        [n, d] if whole && *n > 0 && *d > 0 => matrix(a, *n, *d, width),
        _ => vec![outline(a)],
    }
}

fn vector(a: &Array, width: usize, whole: bool) -> Vec<String> {
    if !whole || a.len() > WHOLE_VECTOR {
        return vec![outline(a)];
    }
    let texts: Vec<String> = a.data.iter().map(|x| element(*x, a.dtype, AMONG)).collect();
    let line = format!("[{}]", texts.join(", "));
    if line.chars().count() <= width {
        return vec![line];
    }
    let cell = texts.iter().map(|t| t.len()).max().unwrap_or(1);
    let per_line = (width.saturating_sub(2) / (cell + 2)).max(1);
    let rows: Vec<String> = texts
        .chunks(per_line)
        .map(|row| row.iter().map(|t| format!("{t:>cell$}")).collect::<Vec<_>>().join(", "))
        .collect();
    let last = rows.len() - 1;
    rows.iter()
        .enumerate()
        .map(|(k, r)| format!("{}{r}{}", if k == 0 { "[" } else { " " }, if k == last { "]" } else { "," }))
        .collect()
}

/// Rows under each other, columns lined up; the middle of a large matrix is left out.
fn matrix(a: &Array, n: usize, d: usize, width: usize) -> Vec<String> {
    let shown_rows = ends(n, WHOLE_ROWS);
    let mut most = WHOLE_COLUMNS;
    loop {
        let shown_columns = ends(d, most);
        let columns: Vec<Vec<String>> = shown_columns.iter().map(|c| matrix_column(a, d, *c, &shown_rows)).collect();
        let rows: Vec<String> = (0..shown_rows.len())
            .map(|r| columns.iter().map(|c| c[r].as_str()).collect::<Vec<_>>().join("  ").trim_end().to_string())
            .collect();
        let widest = rows.iter().map(|r| r.chars().count()).max().unwrap_or(0);
        if widest + 2 <= width || most <= 3 {
            let mut out = vec![format!("{}[{n}, {d}]", a.dtype)];
            out.extend(rows.into_iter().map(|r| format!("  {r}")));
            return out;
        }
        most -= 1;
    }
}

fn matrix_column(a: &Array, d: usize, at: Option<usize>, rows: &[Option<usize>]) -> Vec<String> {
    let Some(c) = at else { return rows.iter().map(|r| if r.is_some() { "…".into() } else { "⋱".into() }).collect() };
    let values: Vec<f64> = rows.iter().flatten().map(|r| a.data[r * d + c]).collect();
    let mut texts = column(&values, a.dtype, AMONG).into_iter();
    let cells: Vec<String> =
        rows.iter().map(|r| if r.is_some() { texts.next().unwrap_or_default() } else { "⋮".into() }).collect();
    let wide = cells.iter().map(|t| t.chars().count()).max().unwrap_or(0);
    cells.into_iter().map(|t| format!("{}{t}", " ".repeat(wide - t.chars().count()))).collect()
}

/// The indices to show; `None` stands for those left out.
fn ends(n: usize, most: usize) -> Vec<Option<usize>> {
    if n <= most {
        return (0..n).map(Some).collect();
    }
    let tail = (most - 1) / 2;
    let head = most - 1 - tail;
    (0..head).map(Some).chain([None]).chain((n - tail..n).map(Some)).collect()
}

/// Type, first and last elements, and the range.
pub fn outline(a: &Array) -> String {
    let dims: Vec<String> = a.shape.iter().map(usize::to_string).collect();
    let ty = format!("{}[{}]", a.dtype, dims.join(", "));
    if a.is_empty() {
        return format!("{ty} (empty)");
    }
    let ends: Vec<String> = ends(a.len(), 7)
        .into_iter()
        .map(|k| k.map_or("…".into(), |k| element(a.data[k], a.dtype, 4)))
        .collect();
    if a.dtype == DType::Bool {
        let count = a.data.iter().filter(|x| **x != 0.0).count();
        return format!("{ty} [{}]  {count} true of {}", ends.join(", "), a.len());
    }
    let (mut least, mut most, mut sum) = (f64::INFINITY, f64::NEG_INFINITY, 0.0);
    for &x in a.data.iter() {
        least = least.min(x);
        most = most.max(x);
        sum += x;
    }
    let mean = sum / a.len() as f64;
    let bad = a.data.iter().filter(|x| !x.is_finite()).count();
    let note = if bad > 0 { format!(", {bad} not finite") } else { String::new() };
    format!("{ty} [{}]  (min {}, mean {}, max {}{note})", ends.join(", "), real(least, 4), real(mean, 4), real(most, 4))
}

/// The lines of a `print` statement. Text mixed with one-line values makes one line; named values line up in a block.
pub fn printed(items: &[(Option<String>, Output)], width: usize) -> Vec<String> {
    let has_text = items.iter().any(|(name, _)| name.is_none());
    let each: Vec<Vec<String>> = items.iter().map(|(_, v)| lines(v, width)).collect();
    if has_text && each.iter().all(|l| l.len() <= 1) {
        return vec![each.iter().flatten().cloned().collect::<Vec<_>>().join(" ")];
    }
    if has_text {
        return items
            .iter()
            .zip(each)
            .flat_map(|((name, v), lines)| match name {
                Some(n) if !matches!(v, Output::Text(_)) => block(&[(n.as_str(), lines)], ""),
                _ => lines,
            })
            .collect();
    }
    let names: Vec<String> = items.iter().map(|(n, _)| one_line(n.as_deref().unwrap_or(""))).collect();
    let hang = names.iter().map(|n| n.chars().count()).max().unwrap_or(0) + 3;
    let named: Vec<(&str, Vec<String>)> = names
        .iter()
        .map(String::as_str)
        .zip(items.iter().map(|(_, v)| lines(v, width.saturating_sub(hang).max(40))))
        .collect();
    block(&named, "")
}

/// The text of an expression on one line.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn vector(n: usize) -> Output {
        Output::Array(Array::vector((0..n).map(|k| k as f64 * 0.5).collect()))
    }

    #[test]
    fn shows_small_vectors_whole_and_large_ones_in_outline() {
        assert_eq!(lines(&vector(3), 80), ["[0, 0.5, 1]"]);
        assert_eq!(lines(&vector(500), 80), ["real[500] [0, 0.5, 1, …, 248.5, 249, 249.5]  (min 0, mean 124.8, max 249.5)"]);
        assert!(lines(&vector(40), 40).len() > 2);
        assert!(lines(&vector(40), 40).iter().all(|l| l.len() <= 40));
    }

    #[test]
    fn lines_up_the_columns_of_a_matrix() {
        let a = Array::new(DType::Real, vec![2, 2], vec![1.0, -20.5, 10.25, 3.0]).unwrap();
        assert_eq!(lines(&Output::Array(a), 80), ["real[2, 2]", "   1.00  -20.5", "  10.25    3.0"]);
    }

    #[test]
    fn leaves_out_the_middle_of_a_large_matrix() {
        let a = Array::new(DType::Int, vec![40, 30], (0..1200).map(f64::from).collect()).unwrap();
        let shown = lines(&Output::Array(a), 80);
        assert_eq!(shown.len(), 13);
        assert!(shown.iter().all(|l| l.chars().count() <= 80));
        assert!(shown[1].contains('…') && shown[7].contains('⋱') && shown[12].ends_with("1199"));
    }

    #[test]
    fn puts_short_inner_records_on_one_line() {
        let inner = |n: usize| Output::Record(vec![("c".into(), vector(n))]);
        let r = Output::Record(vec![("a".into(), inner(2)), ("list".into(), Output::List(vec![inner(1), inner(1)]))]);
        assert_eq!(lines(&r, 80), ["a    = {c = [0, 0.5]}", "list = [{c = [0]}, {c = [0]}]"]);
        let long = Output::Record(vec![("a".into(), inner(20))]);
        assert_eq!(lines(&long, 80)[0], "a =");
    }

    #[test]
    fn lines_up_the_names_of_records_and_prints() {
        let r = Output::Record(vec![("w".into(), vector(2)), ("value".into(), Output::Array(Array::scalar(0.25)))]);
        assert_eq!(lines(&r, 80), ["w     = [0, 0.5]", "value = 0.25"]);
        let items = vec![(None, Output::Text("the value is".into())), (Some("v".into()), Output::Array(Array::scalar(2.0)))];
        assert_eq!(printed(&items, 80), ["the value is 2"]);
        let items = vec![(Some("fit.w".into()), vector(2)), (Some("fit.value".into()), Output::Array(Array::scalar(2.0)))];
        assert_eq!(printed(&items, 80), ["fit.w     = [0, 0.5]", "fit.value = 2"]);
    }
}
