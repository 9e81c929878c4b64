//! Nodes as short expressions, for derivations and diagnostics.

use crate::context::Cx;
use gradus_ir::{BinaryOp, NodeId, Op, ReduceOp, UnaryOp};

/// Binding strength of what is printed, weakest first.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Level {
    Sum,
    Product,
    Power,
    Atom,
}

/// The expression of a node, cut at a small depth.
pub(crate) fn expression(cx: &Cx<'_>, id: NodeId) -> String {
    show(cx, id, 6).0
}

fn show(cx: &Cx<'_>, id: NodeId, depth: usize) -> (String, Level) {
    if let Some(name) = cx.assume.names.get(&id) {
        return (name.clone(), Level::Atom);
    }
    let node = cx.node(id);
    let leaf = |s: String| (s, Level::Atom);
    match &node.op {
        Op::Param(k) => return leaf(format!("p{k}")),
        Op::Const(v, _) => return leaf(format!("{}", v.get())),
        Op::DimValue(d) => return leaf(d.to_string()),
        Op::Literal(_) => return leaf("literal".into()),
        _ => {}
    }
    if depth == 0 {
        return leaf("…".into());
    }
    let arg = |k: usize, at: Level| -> String {
        let Some(i) = node.inputs.get(k) else { return "…".into() };
        let (s, level) = show(cx, *i, depth - 1);
        if level < at { format!("({s})") } else { s }
    };
    let free = |k: usize| arg(k, Level::Sum);
    let call = |name: &str| {
        let all: Vec<String> = (0..node.inputs.len().min(4)).map(free).collect();
        leaf(format!("{name}({})", all.join(", ")))
    };
    match &node.op {
        Op::Broadcast(_) | Op::Reshape(_) | Op::NoGrad(_) | Op::Unary(UnaryOp::ToReal) => match node.inputs.first() {
            Some(i) => show(cx, *i, depth),
            None => leaf("…".into()),
        },
        Op::Unary(UnaryOp::Neg) => (format!("-{}", arg(0, Level::Power)), Level::Sum),
        Op::Unary(UnaryOp::Square) => (format!("{}^2", arg(0, Level::Atom)), Level::Power),
        Op::Unary(UnaryOp::Recip) => (format!("1/{}", arg(0, Level::Power)), Level::Product),
        Op::Binary(b) => {
            let infix = |op: &str, l: Level, r: Level, at: Level| (format!("{}{op}{}", arg(0, l), arg(1, r)), at);
            match b {
                BinaryOp::Add => infix(" + ", Level::Sum, Level::Sum, Level::Sum),
                BinaryOp::Sub => infix(" - ", Level::Sum, Level::Product, Level::Sum),
                BinaryOp::Mul => infix(" * ", Level::Product, Level::Product, Level::Product),
                BinaryOp::Div => infix(" / ", Level::Product, Level::Power, Level::Product),
                BinaryOp::Pow => infix("^", Level::Atom, Level::Atom, Level::Power),
                BinaryOp::Lt => infix(" < ", Level::Sum, Level::Sum, Level::Sum),
                BinaryOp::Le => infix(" <= ", Level::Sum, Level::Sum, Level::Sum),
                BinaryOp::Gt => infix(" > ", Level::Sum, Level::Sum, Level::Sum),
                BinaryOp::Ge => infix(" >= ", Level::Sum, Level::Sum, Level::Sum),
                _ => call(b.name()),
            }
        }
        Op::MatMul => (format!("{} @ {}", arg(0, Level::Product), arg(1, Level::Power)), Level::Product),
        Op::Transpose(_) => (format!("{}'", arg(0, Level::Atom)), Level::Atom),
        Op::Reduce(ReduceOp::Sum, _) => call("sum"),
        Op::Reduce(ReduceOp::Prod, _) => call("prod"),
        Op::Reduce(ReduceOp::Max, _) => call("max"),
        Op::Reduce(ReduceOp::Min, _) => call("min"),
        Op::Reduce(ReduceOp::LogSumExp, _) => call("logsumexp"),
        Op::Select => call("where"),
        op => call(op.name()),
    }
}
