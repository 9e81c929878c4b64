//! The name that was probably meant.

/// The candidate nearest to `name` by Damerau-Levenshtein distance (optimal string alignment), or `None` when even that
/// one is too far: one slip in names of up to four letters, two up to eight, three beyond. Case alone never counts as
/// a slip. Of equally near candidates the first wins.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name_chars: Vec<char> = name.chars().collect();
    let limit = match name_chars.len() {
        0 => return None,
        1..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        if candidate == name {
            continue;
        }
        if name_chars.len() == 1 && !candidate.eq_ignore_ascii_case(name) {
            continue; // every other single letter would be "near"
        }
        let bound = best.map_or(limit, |(d, _)| d.saturating_sub(1).min(limit));
        if let Some(d) = distance(&name_chars, candidate, bound) {
            best = Some((d, candidate));
            if d == 0 {
                break;
            }
        }
    }
    best.map(|(_, c)| c)
}

fn same(a: char, b: char) -> bool {
    a == b || a.to_lowercase().eq(b.to_lowercase())
}

/// The distance when it is at most `bound`.
fn distance(a: &[char], b: &str, bound: usize) -> Option<usize> {
    let b: Vec<char> = b.chars().collect();
    if a.len().abs_diff(b.len()) > bound {
        return None;
    }
    let width = b.len() + 1;
    let mut before_last: Vec<usize> = vec![0; width];
    let mut last: Vec<usize> = (0..width).collect();
    let mut row: Vec<usize> = vec![0; width];
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let change = usize::from(!same(a[i - 1], b[j - 1]));
            let mut d = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + change);
            if i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]) {
                d = d.min(before_last[j - 2] + 1);
            }
            row[j] = d;
        }
        std::mem::swap(&mut before_last, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    (last[b.len()] <= bound).then_some(last[b.len()])
}

#[cfg(test)]
mod tests {
    use super::nearest;

    fn check(name: &str, candidates: &[&str], expected: Option<&str>) {
        assert_eq!(nearest(name, candidates.iter().copied()), expected, "{name}");
    }

    #[test]
    fn finds_the_name_that_was_meant() {
        check("lambad", &["mu", "lambda", "gamma"], Some("lambda"));
        check("fsta", &["adam", "fista"], Some("fista"));
        check("simplx", &["complex", "simplex"], Some("simplex"));
        check("Norm1", &["norm2", "norm1"], Some("norm1"));
        check("cross_entropi", &["cross_entropy"], Some("cross_entropy"));
        check("x", &["y", "z"], None);
        check("x", &["y", "X"], Some("X"));
        check("foo", &["quadratic", "w"], None);
        check("", &["a"], None);
        check("fit", &["fit"], None);
    }
}
