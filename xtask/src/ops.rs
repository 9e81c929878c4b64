//! Long programs: N operations on one running value, each of which also reads one of eight inputs.

use std::fmt::Write;

/// The value and gradient of `n` operations at a point; `solve`: of a problem over them, for a thousand steps.
pub fn program(n: usize, solve: bool) -> String {
    let mut out = String::from("fn ops(x: real[8]) = {\n");
    for k in 0..8 {
        let _ = writeln!(out, "  let x{k} = x[{k}]");
    }
    out += "  let v0 = x0\n";
    for k in 0..n {
        let (v, z) = (format!("v{k}"), format!("x{}", k % 8));
        let e = match k % 5 {
            0 => format!("sin({v}) + {z}"),
            1 => format!("{v} * {z}"),
            2 => format!("tanh({v})"),
            3 => format!("{v} + 0.1 * {z}"),
            _ => format!("exp(-({v} * {v}))"),
        };
        let _ = writeln!(out, "  let v{} = {e}", k + 1);
    }
    let _ = writeln!(out, "  v{n}\n}}");
    out += "let at = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]\n";
    out += match solve {
        true => "problem p = min x: real[8] of ops(x)\nlet s = solve p by sgd(lr = 1e-3, steps = 1000) from at\nprint s.value\n",
        false => "let (objective, g) = value_and_grad(ops)(at)\nprint objective, norm2(g)\n",
    };
    out
}
