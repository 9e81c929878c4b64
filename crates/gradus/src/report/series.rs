//! What a `plot` statement shows, in one form for the terminal and for files.

use super::values::one_line;
use gradus_eval::Output;
use gradus_syntax::{Diagnostic, Span, nearest};

/// One line of a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub label: String,
    pub points: Vec<(f64, f64)>,
}

/// Series over common axes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    pub title: Option<String>,
    pub x_label: Option<String>,
    pub y_label: Option<String>,
    /// The ordinate is logarithmic; points that are not positive are left out.
    pub log: bool,
    pub series: Vec<Series>,
}

const SETTINGS: [&str; 5] = ["title", "x", "xlabel", "ylabel", "log"];
const MOST_SERIES: usize = 12;

impl Plot {
    /// Vectors become lines over 0, 1, …, or over the vector `x`; the columns of a matrix become a line each.
    pub fn new(items: &[(String, Output)], settings: &[(String, Output)], span: Span) -> Result<Plot, Box<Diagnostic>> {
        let refuse = |message: String| Err(Box::new(Diagnostic::error("E7101", span, message)));
        let mut plot = Plot { title: None, x_label: None, y_label: None, log: false, series: Vec::new() };
        let mut abscissa: Option<Vec<f64>> = None;
        for (name, value) in settings {
            match (name.as_str(), value) {
                ("title", Output::Text(t)) => plot.title = Some(t.to_string()),
                ("xlabel", Output::Text(t)) => plot.x_label = Some(t.to_string()),
                ("ylabel", Output::Text(t)) => plot.y_label = Some(t.to_string()),
                ("log", Output::Array(a)) if a.shape.is_empty() => plot.log = a.as_scalar() == Some(1.0),
                ("x", Output::Array(a)) if a.shape.len() == 1 => abscissa = Some(a.data.to_vec()),
                (known, _) if SETTINGS.contains(&known) => {
                    let wants = match known {
                        "x" => "a vector",
                        "log" => "true or false",
                        _ => "a text",
                    };
                    return refuse(format!("`{known}` of a plot takes {wants}"));
                }
                (unknown, _) => {
                    let d = Diagnostic::error("E7101", span, format!("a plot has no setting `{unknown}`"));
                    return Err(Box::new(match nearest(unknown, SETTINGS) {
                        Some(near) => d.help(format!("did you mean `{near}`?")),
                        None => d.note(format!("it has `{}`", SETTINGS.join("`, `"))),
                    }));
                }
            }
        }
        for (label, value) in items {
            let label = one_line(label);
            let Output::Array(a) = value else { return refuse(format!("`{label}` is no array, and only numbers can be plotted")) };
            match a.shape.as_slice() {
                [n] => plot.push(label, *n, |i| a.data[i], abscissa.as_deref(), span)?,
                [n, d] if *d <= MOST_SERIES => {
                    for j in 0..*d {
                        plot.push(format!("{label}[:, {j}]"), *n, |i| a.data[i * d + j], abscissa.as_deref(), span)?;
                    }
                }
                [_, d] => return refuse(format!("`{label}` has {d} columns; a plot shows up to {MOST_SERIES} lines")),
                [] => return refuse(format!("`{label}` is one number; a plot needs a vector")),
                _ => return refuse(format!("`{label}` has {} axes; a plot needs vectors or a matrix", a.shape.len())),
            }
        }
        if plot.series.len() > MOST_SERIES {
            return refuse(format!("{} lines in one plot; up to {MOST_SERIES} can be told apart", plot.series.len()));
        }
        Ok(plot)
    }

    fn push(
        &mut self,
        label: String,
        n: usize,
        y: impl Fn(usize) -> f64,
        abscissa: Option<&[f64]>,
        span: Span,
    ) -> Result<(), Box<Diagnostic>> {
        if let Some(x) = abscissa
            && x.len() != n
        {
            let message = format!("`{label}` has {n} points, but `x` has {}", x.len());
            return Err(Box::new(Diagnostic::error("E7101", span, message)));
        }
        let points = (0..n)
            .map(|i| (abscissa.and_then(|x| x.get(i).copied()).unwrap_or(i as f64), y(i)))
            .filter(|(x, y)| x.is_finite() && y.is_finite() && (!self.log || *y > 0.0))
            .collect();
        self.series.push(Series { label, points });
        Ok(())
    }

    /// The same with the ordinate's logarithm taken where it is logarithmic.
    pub fn ordinate(&self, y: f64) -> f64 {
        if self.log { y.log10() } else { y }
    }

    /// The least and largest abscissa and (transformed) ordinate; `None` without points.
    pub fn bounds(&self) -> Option<(f64, f64, f64, f64)> {
        let mut b: Option<(f64, f64, f64, f64)> = None;
        for (x, y) in self.series.iter().flat_map(|s| &s.points) {
            let y = self.ordinate(*y);
            let (x0, x1, y0, y1) = b.unwrap_or((*x, *x, y, y));
            b = Some((x0.min(*x), x1.max(*x), y0.min(y), y1.max(y)));
        }
        b
    }
}

/// An interval of positive length around one that may be a point.
pub fn widened(low: f64, high: f64) -> (f64, f64) {
    if high > low {
        return (low, high);
    }
    let by = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
    (low - by, high + by)
}

/// About `count` round numbers inside an interval.
pub fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count.max(1) as f64;
    if raw.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) || !raw.is_finite() {
        return vec![low];
    }
    let unit = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * unit).find(|s| *s >= raw).unwrap_or(unit * 10.0);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last).take(50).map(|k| k as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gradus_ir::{Array, DType};

    #[test]
    fn columns_of_a_matrix_are_lines() {
        let a = Array::new(DType::Real, vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
        let p = Plot::new(&[("A".into(), Output::Array(a))], &[], Span::default()).unwrap();
        assert_eq!(p.series[1].points, [(0.0, 2.0), (1.0, 4.0)]);
        assert_eq!(p.bounds(), Some((0.0, 1.0, 1.0, 4.0)));
    }

    #[test]
    fn refuses_scalars_and_unknown_settings() {
        let one = [("v".to_string(), Output::Array(Array::scalar(1.0)))];
        assert!(Plot::new(&one, &[], Span::default()).unwrap_err().message.contains("one number"));
        let titel = [("titel".to_string(), Output::Text("t".into()))];
        assert!(Plot::new(&[], &titel, Span::default()).unwrap_err().helps[0].text.contains("title"));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 10.0, 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(0.13, 0.49, 4), [0.2, 0.30000000000000004, 0.4]);
    }
}
