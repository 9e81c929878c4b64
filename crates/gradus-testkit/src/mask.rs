//! Figures that no two runs share, put out of sight.

const UNITS: [&str; 5] = ["flop/s", "flop", "B/s", "B", "s"];
const PREFIXES: [char; 7] = ['T', 'G', 'M', 'k', 'm', 'µ', 'n'];

/// The text with `#` for each number, and units after numbers without their prefix.
pub fn numbers(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        if !c.is_ascii_digit() || before.is_alphanumeric() || before == '_' {
            out.push(c);
            before = c;
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let end = number(rest);
        // Columns are as wide as their numbers.
        while out.ends_with("  ") {
            out.pop();
        }
        out.push('#');
        rest = &rest[end..];
        if let Some(after) = rest.strip_prefix(' ') {
            let bare = after.strip_prefix(PREFIXES).unwrap_or(after);
            let whole = |t: &str| UNITS.iter().find(|u| t.strip_prefix(**u).is_some_and(|r| !r.starts_with(char::is_alphanumeric))).copied();
            if let Some(unit) = whole(after).or_else(|| whole(bare)) {
                let kept = if whole(after).is_some() { after } else { bare };
                out.push(' ');
                out.push_str(unit);
                rest = &kept[unit.len()..];
            }
        }
        before = '#';
    }
    out
}

/// Bytes of the number that a text begins with.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut k = 0;
    while let Some(b) = bytes.get(k) {
        let digit = |k: usize| bytes.get(k).is_some_and(u8::is_ascii_digit);
        let sign = matches!(bytes.get(k + 1), Some(b'+' | b'-'));
        match b {
            b'0'..=b'9' => k += 1,
            b'.' if digit(k + 1) => k += 1,
            b'e' if digit(k + 1) => k += 1,
            b'e' if sign && digit(k + 2) => k += 2,
            _ => break,
        }
    }
    k
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn numbers_and_prefixes_go() {
        assert_eq!(numbers("time 12.3 µs a step, 5 s, 0 B, 1e-9"), "time # s a step, # s, # B, #");
        assert_eq!(numbers("w1_x.opt {\"a\":-1.5e+3,\"b\":2}"), "w1_x.opt {\"a\":-#,\"b\":#}");
        assert_eq!(numbers("7   12 kernels, 3 samples, f64"), "# # kernels, # samples, f64");
    }
}
