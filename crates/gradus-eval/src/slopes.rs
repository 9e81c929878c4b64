//! `check-grad`: every derivative that a script takes is compared with differences, at the script's own data.
//!
//! Along a few directions the value is taken on both sides of the point at steps from large to small. The best agreement counts:
//! large steps see the curvature, small ones the rounding. Random numbers are those of the run, since a key is an input like others.
//! Where the slopes on the two sides differ the value has a kink, and any slope between them is as good as another.

use crate::host::{Event, Slope, Verdict};
use crate::interp::{Interp, Mode};
use crate::solve::driver::Request;
use crate::solve::region_fn::RegionFn;
use crate::value::{Eval, Num, Value};
use gradus_ir::{Array, Graph};
use gradus_syntax::Span;
use std::sync::Arc;

/// How a derivative is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Outputs `[value, gradient..]`.
    Grad,
    /// Takes tangents, gives them after the values.
    Jvp,
    /// Takes cotangents, gives them after the values.
    Vjp,
}

/// Steps, relative to the point.
const STEPS: [f64; 7] = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7];

/// The difference, relative to the slope, that is allowed.
pub const ALLOWED: f64 = 1e-5;

/// Slopes on the two sides that differ by more than this, relative to them, may be those of a kink.
const BENT: f64 = 1e-3;

/// Directions for each point, and points for each place of the script.
const DIRECTIONS: usize = 2;
const POINTS: usize = 4;

impl Interp<'_> {
    fn checks_slopes(&self) -> bool {
        self.options.check_slopes && self.mode == Mode::Run
    }

    /// A derivative that the script takes of a traced function, where its point is known.
    pub(crate) fn check_slope(&mut self, way: Way, value: &Graph, derived: &Graph, point: &[Num], held: &[Num], span: Span) -> Eval<()> {
        if !self.checks_slopes() || self.library_files.contains(&span.file.0) {
            return Ok(());
        }
        let outside = |s: &Self, nums: &[Num]| nums.iter().map(|n| s.tracer.source(*n)).collect::<Vec<_>>();
        let (point, held) = (outside(self, point), outside(self, held));
        if !point.iter().chain(&held).all(|n| self.tracer.is_session(*n)) {
            // Its point is that of a loop, or of a function that is differentiated again.
            self.slopes_skipped.insert(span);
            return Ok(());
        }
        let what = match way {
            Way::Grad => "gradient",
            Way::Jvp => "directional derivative",
            Way::Vjp => "pulled back",
        };
        let arrays = self.force_all(&point)?;
        let rest = self.force_all(&held)?;
        self.slope_at(what, way, value, derived, &arrays, &rest, span)
    }

    /// The gradient of a solve's smooth part, where it starts and where it ends.
    pub(crate) fn check_solve(&mut self, r: &Request, f: &RegionFn, x: &Value) -> Eval<()> {
        // The derivatives of an operator are its method's.
        if !self.checks_slopes() || r.problem.equilibrium {
            return Ok(());
        }
        let start = self.starting_point(r)?;
        let wrt: Vec<bool> = (0..f.graph.params().len()).map(|k| k < f.leaves).collect();
        let graph = self.host.engine().stabilise(&f.graph);
        let derived = gradus_grad::grad(&graph, &wrt).map_err(|e| self.grad_error(e, r.span))?;
        let mut held = Vec::new();
        if f.stochastic {
            held.push(self.current_key(r.span)?);
        }
        held.extend(f.captures.iter().copied());
        let rest = self.force_all(&held)?;
        for (what, at) in [("gradient where the solve starts", &start), ("gradient where the solve ends", x)] {
            let leaves = self.leaves(at, r.span)?;
            let point = self.force_all(&leaves)?;
            self.slope_at(what, Way::Grad, &graph, &derived, &point, &rest, r.span)?;
        }
        Ok(())
    }

    /// Places whose derivatives were never at a point that is known are told apart.
    pub(crate) fn tell_skipped(&mut self) {
        for span in std::mem::take(&mut self.slopes_skipped) {
            if !self.slopes_at.keys().any(|(s, _)| *s == span) {
                self.host.emit(Event::Slope(Slope { what: "derivative", span, ours: f64::NAN, differences: f64::NAN, error: f64::NAN, verdict: Verdict::Inside }));
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn slope_at(&mut self, what: &'static str, way: Way, value: &Graph, derived: &Graph, point: &[Array], rest: &[Array], span: Span) -> Eval<()> {
        let seen = self.slopes_at.entry((span, what)).or_insert(0);
        *seen += 1;
        if *seen > POINTS {
            return Ok(());
        }
        let mut worst: Option<Slope> = None;
        for k in 0..DIRECTIONS {
            let slope = self.along(what, way, value, derived, point, rest, k as u64, span);
            let rank = |s: &Slope| (s.verdict as u8, s.error);
            if worst.as_ref().is_none_or(|w| rank(&slope) > rank(w)) {
                worst = Some(slope);
            }
        }
        // What inner solves did here is not the script's.
        self.host.engine().counted();
        if let Some(s) = worst {
            self.host.emit(Event::Slope(s));
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn along(&mut self, what: &'static str, way: Way, value: &Graph, derived: &Graph, point: &[Array], rest: &[Array], k: u64, span: Span) -> Slope {
        let mut slope = Slope { what, span, ours: f64::NAN, differences: f64::NAN, error: f64::NAN, verdict: Verdict::Failed };
        let direction: Vec<Array> = point.iter().enumerate().map(|(n, a)| pattern(a, 2 * k + 1, n)).collect();
        let inputs = |shifted: &[Array], more: &[Array]| -> Vec<Array> { shifted.iter().chain(rest).chain(more).cloned().collect() };
        let values = value.outputs.len();
        let Ok(here) = self.host.engine().run(value, &inputs(point, &[])) else { return slope };
        // A gradient is of the first output alone.
        let weights: Vec<Array> = match way {
            Way::Grad => here.iter().take(1).map(|a| filled(a, 1.0)).collect(),
            _ => here.iter().enumerate().map(|(n, a)| pattern(a, 2 * k + 2, n)).collect(),
        };
        let more: &[Array] = match way {
            Way::Grad => &[],
            Way::Jvp => &direction,
            Way::Vjp => &weights,
        };
        let Ok(outs) = self.host.engine().run(derived, &inputs(point, more)) else { return slope };
        slope.ours = match way {
            Way::Grad => dot(outs.get(1..).unwrap_or_default(), &direction),
            Way::Jvp => dot(outs.get(values..).unwrap_or_default(), &weights),
            Way::Vjp => dot(outs.get(values..).unwrap_or_default(), &direction),
        };
        let base = dot(&here, &weights);
        let size = here.iter().flat_map(|a| a.data.iter()).fold(0.0_f64, |m, v| m.max(v.abs()));
        let scale = point.iter().flat_map(|a| a.data.iter()).fold(1.0_f64, |m, v| m.max(v.abs()));
        let mut sides = Vec::new();
        for h in STEPS.map(|h| h * scale) {
            let mut at = |h: f64| {
                let shifted: Vec<Array> = point.iter().zip(&direction).map(|(a, d)| moved(a, d, h)).collect();
                self.host.engine().run(value, &inputs(&shifted, &[])).map_or(f64::NAN, |o| dot(&o, &weights))
            };
            let (up, down) = (at(h), at(-h));
            sides.push((h, (up - base) / h, (base - down) / h));
        }
        if !slope.ours.is_finite() || !base.is_finite() {
            return slope;
        }
        let central: Vec<f64> = sides.iter().map(|(_, r, l)| (r + l) / 2.0).collect();
        // Each alone, and two steps together without the error of the second order.
        let mut tried = central.clone();
        tried.extend(central.windows(2).map(|w| w[1] + (w[1] - w[0]) / 99.0));
        for d in tried {
            // A slope that is small beside the value is only seen as well as the value is.
            let error = (d - slope.ours).abs() / slope.ours.abs().max(d.abs()).max(1e-3 * size).max(1e-300);
            if error < slope.error || slope.error.is_nan() {
                (slope.differences, slope.error) = (d, error);
            }
        }
        // At a kink the slopes stay apart however short the step; by curvature they come together.
        let apart = |k: usize| sides.get(k).map_or(0.0, |(_, r, l)| (r - l).abs());
        let steep = sides.get(4).map_or(0.0, |(_, r, l)| r.abs().max(l.abs()));
        let kink = apart(4) > BENT * steep && apart(4) > 0.3 * apart(2) && apart(3) > 0.3 * apart(2);
        let between = sides.get(4).is_some_and(|(_, r, l)| {
            let room = 1e-3 * r.abs().max(l.abs());
            r.min(*l) - room <= slope.ours && slope.ours <= r.max(*l) + room
        });
        slope.verdict = if kink && between {
            Verdict::Kink
        } else if slope.error <= ALLOWED {
            Verdict::Agrees
        } else {
            Verdict::Differs
        };
        slope
    }
}

fn dot(a: &[Array], b: &[Array]) -> f64 {
    a.iter().zip(b).flat_map(|(a, b)| a.data.iter().zip(b.data.iter())).map(|(x, y)| x * y).sum()
}

fn filled(like: &Array, v: f64) -> Array {
    Array { data: Arc::new(vec![v; like.data.len()]), ..like.clone() }
}

fn moved(a: &Array, d: &Array, h: f64) -> Array {
    Array { data: Arc::new(a.data.iter().zip(d.data.iter()).map(|(x, d)| x + h * d).collect()), ..a.clone() }
}

/// Numbers between a half and one in size, of mixed signs, the same in every run.
fn pattern(like: &Array, seed: u64, leaf: usize) -> Array {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (leaf as u64).wrapping_mul(0xD1B5_4A32_D192_ED03);
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    let data = like.data.iter().map(|_| {
        let bits = next();
        let size = 0.5 + 0.5 * (bits >> 12) as f64 / (1u64 << 52) as f64;
        if bits & 1 == 0 { size } else { -size }
    });
    Array { data: Arc::new(data.collect()), ..like.clone() }
}
