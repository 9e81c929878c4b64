//! The values of literals.

/// Length of the escape at the start of `text`; 0 where it is none.
pub(super) fn escape_len(text: &str) -> usize {
    match text.as_bytes().get(1) {
        Some(b'n' | b't' | b'\\' | b'"') => 2,
        Some(b'u') => unicode_escape(text).map_or(0, |(_, len)| len),
        _ => 0,
    }
}

fn unicode_escape(text: &str) -> Option<(char, usize)> {
    let rest = text.strip_prefix("\\u{")?;
    let close = rest.find('}').filter(|&n| n <= 6)?;
    let c = char::from_u32(u32::from_str_radix(&rest[..close], 16).ok()?)?;
    Some((c, 3 + close + 1))
}

/// The value of a text token: quotes removed, escapes replaced.
pub(crate) fn unquote(token: &str) -> String {
    let body = token.get(1..).unwrap_or("");
    let body = if token.len() > 1 { body.strip_suffix(['"', '\'']).unwrap_or(body) } else { body };
    if !body.contains('\\') {
        return body.to_string();
    }
    let mut out = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (c, len) = match rest.as_bytes().get(1) {
            Some(b'n') => ('\n', 2),
            Some(b't') => ('\t', 2),
            Some(b'"') => ('"', 2),
            Some(b'\\') => ('\\', 2),
            _ => unicode_escape(rest).unwrap_or(('\\', 1)),
        };
        out.push(c);
        rest = &rest[len..];
    }
    out.push_str(rest);
    out
}

/// The value of a real literal, `30%` included.
pub(crate) fn parse_real(text: &str) -> Option<f64> {
    let (body, percent) = text.strip_suffix('%').map_or((text, false), |b| (b, true));
    let value: f64 = if body.contains('_') { body.replace('_', "").parse().ok()? } else { body.parse().ok()? };
    Some(if percent { value / 100.0 } else { value })
}

/// The value of an integer literal that is exact in f64.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    let value: i64 = if text.contains('_') { text.replace('_', "").parse().ok()? } else { text.parse().ok()? };
    (value <= 1 << 53).then_some(value)
}
