//! Numbers with a prefix, for a person.

/// A number with three digits and a prefix, followed by a blank where there is none.
pub fn si(x: f64) -> String {
    const PREFIXES: [(f64, &str); 8] =
        [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n")];
    if x == 0.0 || !x.is_finite() {
        return format!("{x} ");
    }
    let (scale, prefix) = PREFIXES.iter().copied().find(|(s, _)| x.abs() >= 0.9995 * s).unwrap_or((1e-9, "n"));
    format!("{} {prefix}", short(x / scale))
}

/// Three digits.
pub fn short(x: f64) -> String {
    let digits = match x.abs() {
        a if a >= 99.95 => 0,
        a if a >= 9.995 => 1,
        _ => 2,
    };
    let text = format!("{x:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

#[cfg(test)]
mod tests {
    use super::{short, si};

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([short(0.0), short(1.0), short(12.34), short(123.4), short(9.996)], ["0", "1", "12.3", "123", "10"]);
        assert_eq!([si(0.0), si(1.5), si(999.7), si(1.234e-5), si(2e9), si(3e-12)], ["0 ", "1.5 ", "1 k", "12.3 µ", "2 G", "0 n"]);
    }
}
