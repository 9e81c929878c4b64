//! Numbers for people.

/// Up to `digits` significant digits, without trailing zeros: `2125.72039`, `1.2e-9`, `3`.
pub fn real(x: f64, digits: usize) -> String {
    if x.is_nan() {
        return "nan".into();
    }
    if x.is_infinite() {
        return if x > 0.0 { "inf".into() } else { "-inf".into() };
    }
    if x == 0.0 {
        return "0".into();
    }
    if x.fract() == 0.0 && x.abs() < 1e15 {
        return format!("{x:.0}");
    }
    let digits = digits.max(1);
    // The exponent after rounding to `digits`, so that 9.9999999999 becomes 10.
    let scientific = format!("{x:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..15).contains(&exponent) && exponent < digits as i32 {
        let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
        return trimmed(&format!("{x:.decimals$}"));
    }
    format!("{}e{exponent}", trimmed(mantissa))
}

fn trimmed(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_string(),
        false => text.to_string(),
    }
}

/// An element of an array by its type.
pub fn element(x: f64, dtype: gradus_ir::DType, digits: usize) -> String {
    match dtype {
        gradus_ir::DType::Bool => if x != 0.0 { "true" } else { "false" }.into(),
        gradus_ir::DType::Int if x.is_finite() => format!("{x:.0}"),
        _ => real(x, digits),
    }
}

/// Numbers of one column with a common number of decimals, so that their points line up.
pub fn column(values: &[f64], dtype: gradus_ir::DType, digits: usize) -> Vec<String> {
    if dtype != gradus_ir::DType::Real {
        return values.iter().map(|x| element(*x, dtype, digits)).collect();
    }
    let finite = || values.iter().copied().filter(|x| x.is_finite() && *x != 0.0).map(f64::abs);
    let largest = finite().fold(0.0, f64::max);
    let smallest = finite().fold(f64::INFINITY, f64::min);
    if largest == 0.0 || largest >= 1e9 || smallest < largest * 1e-7 || largest < 1e-4 {
        return values.iter().map(|x| real(*x, digits)).collect();
    }
    let before = largest.log10().floor() as i32 + 1;
    let most = (digits as i32 - before.max(1)).max(0) as usize;
    let needed = |x: f64| {
        let text = trimmed(&format!("{x:.most$}"));
        text.split_once('.').map_or(0, |(_, d)| d.len())
    };
    let decimals = values.iter().filter(|x| x.is_finite()).map(|x| needed(*x)).max().unwrap_or(0);
    values.iter().map(|x| if x.is_finite() { format!("{x:.decimals$}") } else { real(*x, digits) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gradus_ir::DType;

    #[test]
    fn shows_significant_digits_only() {
        for (x, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (3.0, "3"),
            (-2.5, "-2.5"),
            (2125.720394138, "2125.72039"),
            (1.0 / 3.0, "0.333333333"),
            (1e-4, "0.0001"),
            (1e-5, "1e-5"),
            (1.5e-6, "1.5e-6"),
            (1.23456789012e-9, "1.23456789e-9"),
            (9.9999999999, "10"),
            (123456789.125, "123456789"),
            (1234567890.5, "1.23456789e9"),
            (1e12, "1000000000000"),
            (1e300, "1e300"),
            (f64::NAN, "nan"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(real(x, 9), expected);
        }
    }

    #[test]
    fn lines_up_the_points_of_a_column() {
        assert_eq!(column(&[1.5, -22.25, 0.0], DType::Real, 6), ["1.50", "-22.25", "0.00"]);
        assert_eq!(column(&[1.0, 2.0], DType::Real, 6), ["1", "2"]);
        assert_eq!(column(&[1.0, 1e-12], DType::Real, 6), ["1", "1e-12"]);
        assert_eq!(column(&[1.0, 0.0], DType::Bool, 6), ["true", "false"]);
        assert_eq!(column(&[1.25, f64::NAN], DType::Real, 6), ["1.25", "nan"]);
    }
}
