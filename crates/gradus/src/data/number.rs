//! Numbers in text files.

const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// The number a cell holds, correctly rounded; surrounding blanks are ignored. `nan` and `inf` are numbers here.
pub fn parse(cell: &[u8]) -> Option<f64> {
    let cell = cell.trim_ascii();
    match short(cell) {
        Some(x) => Some(x),
        None => std::str::from_utf8(cell).ok()?.parse().ok(),
    }
}

/// Digits that fit a float's mantissa with a power of ten that is exact: one rounding, so the result is the nearest
/// float (Clinger's fast path). Anything else is left to the standard parser.
fn short(cell: &[u8]) -> Option<f64> {
    let (negative, mut rest) = match cell.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, cell),
    };
    let mut mantissa: u64 = 0;
    let mut digits = 0;
    let mut exponent: i32 = 0;
    let mut point = false;
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                digits += 1;
                exponent -= i32::from(point);
            }
            b'.' if !point => point = true,
            _ => break,
        }
        if digits > 18 {
            return None;
        }
        rest = tail;
    }
    if digits == 0 {
        return None;
    }
    if let Some((b'e' | b'E', tail)) = rest.split_first() {
        let text = std::str::from_utf8(tail).ok()?;
        exponent = exponent.checked_add(text.parse::<i32>().ok()?)?;
        rest = &[];
    }
    if !rest.is_empty() || mantissa > 1 << 53 {
        return None;
    }
    let power = *POWERS.get(exponent.unsigned_abs() as usize)?;
    let value = if exponent < 0 { mantissa as f64 / power } else { mantissa as f64 * power };
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::parse;

    #[test]
    fn agrees_with_the_standard_parser() {
        for text in [
            "0", "-0", "1", "+2", "0.1", "-32.1", "4.8598", "1e3", "1E-3", "1e+22", "1e23", "9007199254740993", "123456789012345678901",
            "0.000000000000000000000000123", "1e400", "1e-400", ".5", "5.", "nan", "inf", "-inf", "2.2250738585072014e-308",
        ] {
            let expected: f64 = text.parse().unwrap();
            let found = parse(text.as_bytes()).unwrap();
            assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()), "{text}: {found}");
        }
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in ["", " ", "-", ".", "e3", "1e", "1.2.3", "1,5", "abc", "1 2", "0x10", "--1", "1_000"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn ignores_blanks_around() {
        assert_eq!(parse(b"  1.5\r"), Some(1.5));
    }
}
