//! Plots in the terminal: one series in braille dots, several with a sign each.

use super::number::real;
use super::series::{Plot, widened};

const ROWS: usize = 14;
const SIGNS: [char; 12] = ['●', '+', '×', '○', '◆', '▲', '■', '◇', '△', '□', '*', '#'];

/// Bits of a braille sign by row and column of its dots.
const DOTS: [[u32; 2]; 4] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// The plot's lines, at most `width` columns wide.
pub fn render(plot: &Plot, width: usize) -> Vec<String> {
    let Some((x0, x1, y0, y1)) = plot.bounds() else {
        return vec![format!("{}: no point to plot", plot.title.as_deref().unwrap_or("plot"))];
    };
    let ((x0, x1), (y0, y1)) = (widened(x0, x1), widened(y0, y1));
    let show = |y: f64| real(if plot.log { 10f64.powf(y) } else { y }, 4);
    let margins: Vec<String> = (0..ROWS)
        .map(|r| match r {
            0 => show(y1),
            r if r == ROWS - 1 => show(y0),
            r if r == ROWS / 2 => show(y1 - (y1 - y0) * r as f64 / (ROWS - 1) as f64),
            _ => String::new(),
        })
        .collect();
    let margin = margins.iter().map(|m| m.chars().count()).max().unwrap_or(0);
    let columns = width.saturating_sub(margin + 3).clamp(20, 72);
    let unit = |x: f64, low: f64, high: f64| ((x - low) / (high - low)).clamp(0.0, 1.0);
    let cells = if plot.series.len() == 1 {
        braille(plot, columns, |x| unit(x, x0, x1), |y| unit(y, y0, y1))
    } else {
        signs(plot, columns, |x| unit(x, x0, x1), |y| unit(y, y0, y1))
    };
    let mut out = Vec::new();
    if let Some(title) = &plot.title {
        out.push(format!("{}{title}", " ".repeat(margin + 2)));
    }
    if plot.series.len() > 1 {
        let keys: Vec<String> = plot.series.iter().zip(SIGNS).map(|(s, sign)| format!("{sign} {}", s.label)).collect();
        out.push(format!("{}{}", " ".repeat(margin + 2), keys.join("   ")));
    } else if let (Some(s), None) = (plot.series.first(), &plot.title) {
        out.push(format!("{}{}", " ".repeat(margin + 2), s.label));
    }
    if let Some(y) = &plot.y_label {
        out.push(format!("{}{y}{}", " ".repeat(margin + 2), if plot.log { " (log scale)" } else { "" }));
    }
    for (m, row) in margins.iter().zip(cells) {
        out.push(format!("{m:>margin$} ┤{}", row.trim_end()));
    }
    out.push(format!("{} └{}", " ".repeat(margin), "─".repeat(columns)));
    let (left, right) = (real(x0, 4), real(x1, 4));
    let middle = plot.x_label.clone().unwrap_or_default();
    let gap = columns.saturating_sub(left.chars().count() + right.chars().count());
    out.push(format!("{}  {left}{middle:^gap$}{right}", " ".repeat(margin)));
    out
}

/// Straight lines between the points, four by two dots a cell.
fn braille(plot: &Plot, columns: usize, fx: impl Fn(f64) -> f64, fy: impl Fn(f64) -> f64) -> Vec<String> {
    let (w, h) = (columns * 2, ROWS * 4);
    let mut dots = vec![0u32; columns * ROWS];
    let mut mark = |x: usize, y: usize| dots[(y / 4) * columns + x / 2] |= DOTS[y % 4][x % 2];
    let place = |(x, y): &(f64, f64)| {
        (fx(*x) * (w - 1) as f64, (1.0 - fy(plot.ordinate(*y))) * (h - 1) as f64)
    };
    for s in &plot.series {
        let points: Vec<(f64, f64)> = s.points.iter().map(place).collect();
        for p in &points {
            mark(p.0.round() as usize, p.1.round() as usize);
        }
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let n = (b.0 - a.0).abs().max((b.1 - a.1).abs()).ceil() as usize;
            for k in 0..n {
                let t = k as f64 / n as f64;
                mark((a.0 + t * (b.0 - a.0)).round() as usize, (a.1 + t * (b.1 - a.1)).round() as usize);
            }
        }
    }
    dots.chunks(columns)
        .map(|row| row.iter().map(|d| if *d == 0 { ' ' } else { char::from_u32(0x2800 + d).unwrap_or(' ') }).collect())
        .collect()
}

/// One sign per series, at each column where it has a point or a line passes.
fn signs(plot: &Plot, columns: usize, fx: impl Fn(f64) -> f64, fy: impl Fn(f64) -> f64) -> Vec<String> {
    let mut grid = vec![' '; columns * ROWS];
    for (s, sign) in plot.series.iter().zip(SIGNS) {
        let points: Vec<(f64, f64)> = s
            .points
            .iter()
            .map(|(x, y)| (fx(*x) * (columns - 1) as f64, (1.0 - fy(plot.ordinate(*y))) * (ROWS - 1) as f64))
            .collect();
        let mut mark = |x: f64, y: f64| grid[y.round() as usize * columns + x.round() as usize] = sign;
        for p in &points {
            mark(p.0, p.1);
        }
        for pair in points.windows(2) {
            let (a, b) = (pair[0], pair[1]);
            let n = (b.0 - a.0).abs().ceil() as usize;
            for k in 1..n {
                let t = k as f64 / n as f64;
                mark(a.0 + t * (b.0 - a.0), a.1 + t * (b.1 - a.1));
            }
        }
    }
    grid.chunks(columns).map(|row| row.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::series::Series;
    use super::*;

    fn plot(series: Vec<Vec<(f64, f64)>>) -> Plot {
        let series = series.into_iter().enumerate().map(|(k, points)| Series { label: format!("s{k}"), points }).collect();
        Plot { title: None, x_label: None, y_label: None, log: false, series }
    }

    #[test]
    fn a_falling_line_starts_at_the_top_left() {
        let lines = render(&plot(vec![vec![(0.0, 10.0), (4.0, 0.0)]]), 60);
        assert!(lines[1].trim_start().starts_with("10 ┤⠑"), "{}", lines[1]);
        assert_eq!(lines.len(), 1 + ROWS + 2);
        assert!(lines[ROWS].trim_start().starts_with("0 ┤"));
        assert!(lines.iter().all(|l| l.chars().count() <= 60));
    }

    #[test]
    fn several_series_have_their_own_signs() {
        let text = render(&plot(vec![vec![(0.0, 0.0), (1.0, 1.0)], vec![(0.0, 1.0), (1.0, 0.0)]]), 60).join("\n");
        assert!(text.contains("● s0   + s1"));
    }

    #[test]
    fn constant_and_empty_series_are_shown() {
        assert!(render(&plot(vec![vec![(0.0, 3.0)]]), 60).len() > ROWS);
        assert_eq!(render(&plot(vec![vec![]]), 60), ["plot: no point to plot"]);
    }
}
