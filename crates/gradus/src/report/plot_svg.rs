//! Plots as SVG files: lines, axes with round ticks, a legend.

use super::number::real;
use super::series::{Plot, ticks, widened};
use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 52.0;
/// Okabe and Ito's colours, which the colour-blind can tell apart.
const COLORS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// The whole file.
pub fn render(plot: &Plot) -> String {
    let (x0, x1, y0, y1) = plot.bounds().unwrap_or((0.0, 1.0, 0.0, 1.0));
    let ((x0, x1), (y0, y1)) = (widened(x0, x1), widened(y0, y1));
    let pad = if plot.log { 0.0 } else { (y1 - y0) * 0.04 };
    let (y0, y1) = (y0 - pad, y1 + pad);
    let px = |x: f64| LEFT + (x - x0) / (x1 - x0) * (WIDTH - LEFT - RIGHT);
    let py = |y: f64| HEIGHT - BOTTOM - (y - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM);
    let mut s = String::new();
    let _ = writeln!(
        s,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif" font-size="12">"##
    );
    let _ = writeln!(s, r##"<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>"##);
    for x in ticks(x0, x1, 7) {
        let at = px(x);
        let _ = writeln!(s, r##"<line x1="{at:.1}" y1="{TOP}" x2="{at:.1}" y2="{:.1}" stroke="#e5e5e5"/>"##, HEIGHT - BOTTOM);
        let _ = writeln!(s, r##"<text x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"##, HEIGHT - BOTTOM + 18.0, real(x, 4));
    }
    let marks = if plot.log { ticks(y0, y1, 6).into_iter().filter(|y| y.fract() == 0.0 || y1 - y0 < 2.0).collect() } else { ticks(y0, y1, 6) };
    for y in marks {
        let at = py(y);
        let label = real(if plot.log { 10f64.powf(y) } else { y }, 4);
        let _ = writeln!(s, r##"<line x1="{LEFT}" y1="{at:.1}" x2="{:.1}" y2="{at:.1}" stroke="#e5e5e5"/>"##, WIDTH - RIGHT);
        let _ = writeln!(s, r##"<text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"##, LEFT - 8.0, at + 4.0);
    }
    let _ = writeln!(
        s,
        r##"<path d="M{LEFT} {TOP}V{:.1}H{:.1}" fill="none" stroke="#333333"/>"##,
        HEIGHT - BOTTOM,
        WIDTH - RIGHT
    );
    for (series, color) in plot.series.iter().zip(COLORS.iter().cycle()) {
        let path: Vec<String> =
            series.points.iter().map(|(x, y)| format!("{:.2},{:.2}", px(*x), py(plot.ordinate(*y)))).collect();
        if let [one] = path.as_slice() {
            let (x, y) = one.split_once(',').unwrap_or(("0", "0"));
            let _ = writeln!(s, r##"<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>"##);
        } else {
            let _ = writeln!(
                s,
                r##"<polyline points="{}" fill="none" stroke="{color}" stroke-width="1.8" stroke-linejoin="round"/>"##,
                path.join(" ")
            );
        }
    }
    labels(&mut s, plot);
    s.push_str("</svg>\n");
    s
}

fn labels(s: &mut String, plot: &Plot) {
    let only = (plot.series.len() == 1).then(|| plot.series.first().map(|s| s.label.clone())).flatten();
    if let Some(title) = plot.title.clone().or(only) {
        let _ = writeln!(s, r##"<text x="{:.1}" y="24" text-anchor="middle" font-size="15">{}</text>"##, WIDTH / 2.0, escaped(&title));
    }
    if let Some(x) = &plot.x_label {
        let _ = writeln!(s, r##"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"##, WIDTH / 2.0, HEIGHT - 12.0, escaped(x));
    }
    if let Some(y) = &plot.y_label {
        let (x, mid) = (18.0, HEIGHT / 2.0);
        let _ = writeln!(s, r##"<text x="{x}" y="{mid}" text-anchor="middle" transform="rotate(-90 {x} {mid})">{}</text>"##, escaped(y));
    }
    if plot.series.len() < 2 {
        return;
    }
    for (k, (series, color)) in plot.series.iter().zip(COLORS.iter().cycle()).enumerate() {
        let y = TOP + 16.0 + 18.0 * k as f64;
        let x = WIDTH - RIGHT - 170.0;
        let _ = writeln!(s, r##"<line x1="{x:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}" stroke="{color}" stroke-width="2.5"/>"##, y - 4.0, x + 22.0, y - 4.0);
        let _ = writeln!(s, r##"<text x="{:.1}" y="{y:.1}">{}</text>"##, x + 28.0, escaped(&series.label));
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::series::Series;
    use super::*;

    #[test]
    fn every_series_is_a_line_with_all_its_points() {
        let series = |label: &str| Series { label: label.into(), points: vec![(0.0, 1.0), (1.0, 4.0), (2.0, 9.0)] };
        let plot = Plot { title: Some("a < b".into()), x_label: None, y_label: None, log: true, series: vec![series("f"), series("g")] };
        let svg = render(&plot);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(svg.contains("a &lt; b") && svg.contains(">g</text>"));
        assert_eq!(svg.matches("<polyline points=\"").next().map(|_| svg.split("points=\"").nth(1).map(|p| p.split('"').next().map(|p| p.split(' ').count()))), Some(Some(Some(3))));
    }
}
