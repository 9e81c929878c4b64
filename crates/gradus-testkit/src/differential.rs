//! Small random programs whose results must agree with themselves: without rewrites, after formatting, and derivatives
//! with difference quotients.
//!
//! `GRADUS_FUZZ=ROUNDS` and `GRADUS_FUZZ_SEED=N` are those of the mutations.

use crate::fuzz::Dice;
use gradus::{Array, Level, Output, Session, Silent, Status};
use std::fmt::Write;

/// Programs when nothing else is said.
const ROUNDS: u64 = 60;
/// Agreement of values that are computed in another order.
const CLOSE: f64 = 1e-9;
/// Agreement of a derivative with a central difference quotient of step `1e-5`.
const QUOTIENT: f64 = 1e-5;

/// Complaints about random programs.
pub fn check() -> Vec<String> {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let first = number("GRADUS_FUZZ_SEED").unwrap_or(0);
    let mut complaints = Vec::new();
    for k in first..first + number("GRADUS_FUZZ").unwrap_or(ROUNDS) {
        let text = program(&mut Dice::new(k));
        if let Err(e) = agrees(&text) {
            complaints.push(format!("program {k}: {e}\n{text}"));
        }
        if complaints.len() >= 10 {
            break;
        }
    }
    complaints
}

/// A smooth function of a vector of three numbers and of constants; all its values are moderate.
fn vector(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return (*dice.pick::<&str>(&["x", "x", "b", "(A @ x)", "A[1]", "(x @ A)", "[x[2], x[0], 0.5]"])).to_string();
    }
    let a = vector(dice, depth - 1);
    match dice.below(13) {
        0 => format!("({a} + {})", vector(dice, depth - 1)),
        1 => format!("({a} - {})", vector(dice, depth - 1)),
        2 => format!("({a} * sin({}))", vector(dice, depth - 1)),
        3 => format!("tanh({a})"),
        4 => format!("sigmoid({a})"),
        5 => format!("(A' @ tanh({a}))"),
        6 => format!("({a} / (2 + cos({})))", vector(dice, depth - 1)),
        7 => format!("({} * {a})", scalar(dice, depth - 1)),
        8 => format!("[tanh(v) * v for v in {a}]"),
        9 => format!("(for i in 0..3 from s = {a} {{ 0.5 * s + b[i] * sin(s) }})"),
        10 => format!("where(b > 0, {a}, {})", vector(dice, depth - 1)),
        11 => format!("cumsum(tanh({a}))"),
        _ => format!("{{ let r = {{p = {a}, q = b}}; r.p * r.q + concat(r.q[1..3], r.p[0..1]) }}"),
    }
}

fn scalar(dice: &mut Dice, depth: usize) -> String {
    let a = vector(dice, depth);
    match dice.below(8) {
        0 => format!("sum(sin({a}))"),
        1 => format!("mean({a})"),
        2 => format!("dot(tanh({a}), {})", vector(dice, depth)),
        3 => format!("logsumexp({a})"),
        4 => format!("sqrt(1 + sum_squares({a}))"),
        5 => format!("tanh({a}[1])"),
        6 => format!("log(1 + sum(exp(tanh({a}))))"),
        _ => format!("sum(softplus({a}))"),
    }
}

fn program(dice: &mut Dice) -> String {
    let mut out = String::from("let A = [[1.0, 0.2, -0.3], [0.1, 0.8, 0.4], [-0.2, 0.3, 1.1]]\nlet b = [0.3, -0.7, 0.5]\n");
    let depth = 1 + dice.below(3);
    let (f, g) = (scalar(dice, depth), vector(dice, depth));
    let _ = write!(
        out,
        "let f = x -> {f}\nlet g = x -> {g}\nlet at = [0.4, -0.2, 0.9]\nlet v = [0.5, 1.0, -0.25]\nlet h = 0.00001\n\
         let (value, vector) = (f(at), g(at))\n\
         let (d1, q1) = (dot(grad(f)(at), v), (f(at + h * v) - f(at - h * v)) / (2 * h))\n\
         let (d2, q2) = (jvp(f, at, v)[1], q1)\n\
         let (d3, q3) = (hvp(f, at, v), (grad(f)(at + h * v) - grad(f)(at - h * v)) / (2 * h))\n\
         let (d4, q4) = (jacobian(g)(at) @ v, (g(at + h * v) - g(at - h * v)) / (2 * h))\n\
         let (d5, q5) = (vjp(g, at, v)[1], grad(x -> dot(v, g(x)))(at))\n\
         let (d6, q6) = (hessian(f)(at) @ v, d3)\n\
         print value, vector, d1, q1, d2, q2, d3, q3, d4, q4, d5, q5, d6, q6\n"
    );
    let set = dice.pick::<&str>(&["simplex", "l1_ball(1.0)", "l2_ball(1.0)"]);
    let _ = write!(
        out,
        "problem p = min x: real[3] in {set} of sum((A @ x - g(at))^2)\nlet s = solve p\n\
         let (solution, inside) = (s.x, contains({set}, s.x, tol = 0.000001))\nprint solution, inside\n"
    );
    out
}

fn agrees(text: &str) -> Result<(), String> {
    let plain = results(text, Level::Off)?;
    for (what, text, level) in [("with rewrites", text, Level::Default), ("formatted", &formatted(text)?, Level::Off)] {
        let other = results(text, level)?;
        if other.len() != plain.len() {
            return Err(format!("{what} it prints {} values, not {}", other.len(), plain.len()));
        }
        for ((name, a), (_, b)) in plain.iter().zip(&other) {
            // A difference quotient magnifies the last bits of its function, and a solve may stop a step sooner.
            let tolerance = if name.starts_with('q') || name == "solution" { QUOTIENT } else { CLOSE };
            close(a, b, tolerance).map_err(|e| format!("`{name}` {what}: {e}"))?;
        }
    }
    let value = |name: String| plain.iter().find(|(n, _)| *n == name).map(|(_, a)| a).ok_or(format!("no `{name}`"));
    for k in 1..=6 {
        close(value(format!("d{k}"))?, value(format!("q{k}"))?, QUOTIENT).map_err(|e| format!("derivative {k}: {e}"))?;
    }
    match value("inside".into())?.as_scalar() {
        Some(1.0) => Ok(()),
        _ => Err("the solution is not in the set".into()),
    }
}

fn formatted(text: &str) -> Result<String, String> {
    let mut session = Session::builder().build();
    let script = session.text("case.opt", text);
    session.format(script).map_err(|d| format!("{d:?}"))
}

fn results(text: &str, level: Level) -> Result<Vec<(String, Array)>, String> {
    let mut session = Session::builder().rewrites(level).build();
    let script = session.text("case.opt", text);
    let outcome = session.run(script, &mut Silent);
    if outcome.status != Status::Done {
        return Err(format!("{} {:?}", outcome.status.name(), outcome.diagnostics));
    }
    let arrays = outcome.values.into_iter().filter_map(|(n, v)| match v {
        Output::Array(a) => Some((n, a)),
        _ => None,
    });
    Ok(arrays.collect())
}

fn close(a: &Array, b: &Array, tolerance: f64) -> Result<(), String> {
    let same = a.shape == b.shape && a.data.iter().zip(b.data.iter()).all(|(x, y)| (x - y).abs() <= tolerance * (1.0 + x.abs()));
    if same { Ok(()) } else { Err(format!("{:?} against {:?}", a.data, b.data)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disagreement_is_noticed() {
        let a = Array::vector(vec![1.0, 2.0]);
        assert!(close(&a, &a, CLOSE).is_ok());
        assert!(close(&a, &Array::vector(vec![1.0, 2.1]), CLOSE).is_err());
        assert!(close(&a, &Array::vector(vec![1.0, f64::NAN]), CLOSE).is_err());
        assert!(close(&a, &Array::vector(vec![1.0]), CLOSE).is_err());
        assert!(results("print nothing\n", Level::Off).is_err());
    }
}
