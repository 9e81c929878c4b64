//! Comparing texts: exactly, or with numbers within a tolerance; and showing where they differ.

/// Numbers may differ by this much relative to their size, or absolutely where they are tiny.
const RELATIVE: f64 = 1e-6;
const TINY: f64 = 1e-7;

/// Equal up to blanks at line ends.
pub fn exact(expected: &str, found: &str) -> Result<(), String> {
    difference(expected, found, |a, b| a == b)
}

/// Equal up to rounding of the numbers. Counts of steps may differ by a few, as other processors round otherwise.
pub fn with_tolerance(expected: &str, found: &str) -> Result<(), String> {
    difference(expected, found, |a, b| a == b || lines_close(a, b))
}

fn difference(expected: &str, found: &str, same: impl Fn(&str, &str) -> bool) -> Result<(), String> {
    let (e, f): (Vec<&str>, Vec<&str>) =
        (expected.trim_end().lines().map(str::trim_end).collect(), found.trim_end().lines().map(str::trim_end).collect());
    for k in 0..e.len().max(f.len()) {
        match (e.get(k), f.get(k)) {
            (Some(a), Some(b)) if same(a, b) => {}
            (a, b) => {
                let show = |t: Option<&&str>| t.map_or("(nothing)".to_string(), |t| t.to_string());
                let context = |v: &[&str]| v[k.saturating_sub(2).min(v.len())..k.min(v.len())].join("\n    ");
                return Err(format!(
                    "line {}:\n    {}\n  - {}\n  + {}",
                    k + 1,
                    context(&f),
                    show(a),
                    show(b)
                ));
            }
        }
    }
    Ok(())
}

fn lines_close(a: &str, b: &str) -> bool {
    let (ta, tb) = (tokens(a), tokens(b));
    ta.len() == tb.len()
        && ta.iter().zip(&tb).enumerate().all(|(k, (x, y))| match (x, y) {
            (Token::Text(x), Token::Text(y)) => x == y,
            (Token::Number(x), Token::Number(y)) => {
                let steps = matches!(ta.get(k + 1), Some(Token::Text(t)) if t.starts_with("step"));
                close(*x, *y) || (steps && (x - y).abs() <= 3.0 + 0.2 * x.abs().max(y.abs()))
            }
            _ => false,
        })
}

fn close(x: f64, y: f64) -> bool {
    x == y || (x - y).abs() <= RELATIVE * x.abs().max(y.abs()) || (x.abs() < TINY && y.abs() < TINY)
}

enum Token {
    Text(String),
    Number(f64),
}

/// Numbers that stand alone, and the words between them; runs of blanks count as one separator.
fn tokens(line: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let split = |c: char| c.is_whitespace() || "[](){},;:=".contains(c);
    for piece in line.split_inclusive(split) {
        let word = piece.trim_end_matches(split);
        if !word.is_empty() {
            out.push(word.parse().map_or_else(|_| Token::Text(word.to_string()), Token::Number));
        }
        let mark = piece[word.len()..].trim();
        if !mark.is_empty() {
            out.push(Token::Text(mark.to_string()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_may_differ_by_rounding_only() {
        assert!(with_tolerance("w = [1.0000001, 2e-9]", "w = [1, 3e-12]").is_ok());
        assert!(with_tolerance("w = [1.001]", "w = [1]").is_err());
        assert!(with_tolerance("converged after 100 steps", "converged after 104 steps").is_ok());
        assert!(with_tolerance("converged after 100 steps", "converged after 200 steps").is_err());
        assert!(with_tolerance("a 1", "b 1").is_err());
        assert!(with_tolerance("x = [1, 2]", "x = [1]").is_err());
    }

    #[test]
    fn says_which_line_differs() {
        let d = exact("a\nb\nc\n", "a\nx\nc").unwrap_err();
        assert!(d.contains("line 2") && d.contains("- b") && d.contains("+ x"), "{d}");
        assert!(exact("a  \n\n", "a\n").is_ok());
    }
}
