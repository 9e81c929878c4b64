//! Forms as people write them, cut at a depth: for reports.

use crate::extract::{Choice, Extractor};
use crate::sea::Sop;
use crate::space::Graph;
use egg::Id;
use gradus_ir::{BinaryOp, Op, UnaryOp};

/// The form that was there when the id was made.
pub fn node(g: &Graph, id: Id, depth: usize) -> String {
    let Some(n) = g.nodes().get(usize::from(id)) else { return "…".into() };
    let kids = n.kids.iter().map(|k| if depth == 0 { "…".into() } else { node(g, *k, depth - 1) }).collect();
    text(g.analysis.op(n.op), kids)
}

/// The form that a choice gives a class.
pub fn chosen(x: &Extractor<'_>, choice: &Choice, class: u32, depth: usize) -> String {
    let (op, kids) = x.form(choice, class);
    let kids = kids.iter().map(|k| if depth == 0 { "…".into() } else { chosen(x, choice, *k, depth - 1) }).collect();
    text(op, kids)
}

/// Parenthesised unless it is a name, a call or a number.
fn tight(s: &str) -> String {
    let mut depth = 0i32;
    let open = s.chars().any(|c| {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        c == ' ' && depth == 0
    });
    if open { format!("({s})") } else { s.to_string() }
}

fn text(op: &Sop, kids: Vec<String>) -> String {
    let k = |j: usize| kids.get(j).map_or("…", |s| s.as_str());
    match op {
        Sop::LoopParam { of, index: 0 } => format!("step{of}"),
        Sop::LoopParam { of, index } => format!("s{of}.{index}"),
        Sop::Loop(_) => "loop".into(),
        Sop::Lin { coeffs, constant } => {
            let mut out = String::new();
            for (c, x) in coeffs.iter().zip(&kids) {
                let c = c.get();
                let sign = if c < 0.0 { "-" } else { "+" };
                if !out.is_empty() {
                    out += &format!(" {sign} ");
                } else if c < 0.0 {
                    out += "-";
                }
                if c.abs() != 1.0 {
                    out += &format!("{} * ", short(c.abs()));
                }
                out += &tight(x);
            }
            let c = constant.get();
            if c != 0.0 || out.is_empty() {
                let sign = if out.is_empty() { "" } else if c < 0.0 { " - " } else { " + " };
                out += &format!("{sign}{}", short(if out.is_empty() { c } else { c.abs() }));
            }
            out
        }
        Sop::Prod(exps) => {
            let side = |up: bool| -> Vec<String> {
                exps.iter()
                    .zip(&kids)
                    .filter(|(e, _)| (**e > 0) == up)
                    .map(|(e, x)| if e.abs() == 1 { tight(x) } else { format!("{}^{}", tight(x), e.abs()) })
                    .collect()
            };
            let (up, down) = (side(true), side(false));
            let top = if up.is_empty() { "1".into() } else { up.join(" * ") };
            match down.as_slice() {
                [] => top,
                [one] => format!("{top} / {one}"),
                _ => format!("{top} / ({})", down.join(" * ")),
            }
        }
        other => match other.ir() {
            Some(Op::Param(p)) => format!("%{p}"),
            Some(Op::Const(v, _)) => short(v.get()),
            Some(Op::MatMul) => format!("{} @ {}", tight(k(0)), tight(k(1))),
            Some(Op::Transpose(p)) if p.as_slice() == [1, 0] => format!("{}'", tight(k(0))),
            Some(Op::Broadcast(_) | Op::Reshape(_)) => k(0).to_string(),
            Some(Op::Binary(b)) => {
                let sign = match b {
                    BinaryOp::Add => "+",
                    BinaryOp::Sub => "-",
                    BinaryOp::Mul => "*",
                    BinaryOp::Div => "/",
                    BinaryOp::Pow => "^",
                    _ => return format!("{}({})", b.name(), kids.join(", ")),
                };
                format!("{} {sign} {}", tight(k(0)), tight(k(1)))
            }
            Some(Op::Unary(UnaryOp::Neg)) => format!("-{}", tight(k(0))),
            Some(Op::Reduce(r, _)) => format!("{}({})", gradus_ir::ReduceOp::name(*r), k(0)),
            Some(op) => format!("{}({})", op.name(), kids.join(", ")),
            None => "…".into(),
        },
    }
}

/// At most a line of it.
pub fn cut(s: String) -> String {
    const LONGEST: usize = 100;
    if s.chars().count() <= LONGEST { s } else { s.chars().take(LONGEST - 1).chain(['…']).collect() }
}

fn short(v: f64) -> String {
    let s = format!("{v}");
    if s.len() > 9 { format!("{v:.4e}") } else { s }
}
