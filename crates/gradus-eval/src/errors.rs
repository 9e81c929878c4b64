//! The one place that phrases shape errors: facts from the graph become words about the user's expressions.

use gradus_ir::{BinaryOp, Dim, IrError, Ty};
use gradus_syntax::{Diagnostic, Span};

/// The word a user writes for an op.
fn verb(op: &str) -> String {
    let sign = match op {
        "add" => "+",
        "sub" => "-",
        "mul" => "*",
        "div" => "/",
        "pow" => "^",
        "lt" => "<",
        "le" => "<=",
        "gt" => ">",
        "ge" => ">=",
        "eq" => "==",
        "ne" => "!=",
        "matmul" => "@",
        "take" => return "an index".to_string(),
        other => return format!("`{other}`"),
    };
    format!("`{sign}`")
}

/// A diagnostic for an op that could not be built. `operands` are the spans of the op's inputs, as far as they are known.
pub fn from_ir(e: &IrError, span: Span, operands: &[Span]) -> Diagnostic {
    from_ir_named(e, span, operands, &[])
}

/// Like `from_ir`; `names` are the texts of the operands, for advice that can be copied.
pub fn from_ir_named(e: &IrError, span: Span, operands: &[Span], names: &[String]) -> Diagnostic {
    // Long operands are better left as letters.
    let name = |k: usize, letter: &str| match names.get(k) {
        Some(n) if n.len() <= 24 && n.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '\'' | '[' | ']')) => n.clone(),
        _ => letter.to_string(),
    };
    let blame = |mut d: Diagnostic, tys: &[&Ty]| -> Diagnostic {
        for (s, t) in operands.iter().zip(tys) {
            d = d.label(*s, format!("this is `{t}`"));
        }
        d
    };
    match e {
        IrError::Broadcast { op, left, right, axis, left_dim, right_dim } => {
            let what = match BinaryOp::from_name(op) {
                Some(BinaryOp::Add) => "cannot add",
                Some(BinaryOp::Sub) => "cannot subtract",
                Some(BinaryOp::Mul) => "cannot multiply",
                Some(BinaryOp::Div) => "cannot divide",
                Some(b) if b.is_comparison() => "cannot compare",
                _ => "cannot combine",
            };
            let d = Diagnostic::error("E2001", span, format!("{what} `{left}` and `{right}`"))
                .at(format!("{}: axis {axis} is `{left_dim}` on the left and `{right_dim}` on the right", verb(op)));
            stretch_help(blame(d, &[left, right]), left, right, [name(0, "v"), name(1, "v")])
        }
        IrError::Contract { left, right, left_dim, right_dim } => {
            let d = Diagnostic::error("E2002", span, format!("cannot form `{left} @ {right}`"))
                .at(format!("the inner lengths `{left_dim}` and `{right_dim}` differ"));
            contract_help(blame(d, &[left, right]), left, right, [name(0, "a"), name(1, "b")])
        }
        IrError::Operand { op, index, found, expected } => {
            let at = operands.get(*index).copied().unwrap_or(span);
            Diagnostic::error("E2003", at, format!("{} needs {expected}, found `{found}`", verb(op)))
                .at(format!("this is `{found}`"))
        }
        IrError::Element { op, index, found, expected } => {
            let at = operands.get(*index).copied().unwrap_or(span);
            let d = Diagnostic::error("E1201", at, format!("{} needs {expected} elements, found {found}", verb(op)))
                .at(format!("this is {found}"));
            match (*expected, *found) {
                ("int", gradus_ir::DType::Real) => d.help("round it to an integer with `to_int(…)`"),
                ("bool", _) => d.help("compare it with something, for example `!= 0`"),
                _ => d,
            }
        }
        IrError::Axis { op, axis, found } => {
            let rank = found.shape.rank();
            let d = Diagnostic::error("E2004", span, format!("{}: `{found}` has no axis {axis}", verb(op)));
            if rank == 0 {
                d.at("a scalar has no axes")
            } else {
                d.at(format!("its axes are 0..{rank} (or -{rank}..0 from the end)"))
            }
        }
        IrError::Reshape { from, to } => {
            let dims: Vec<String> = to.iter().map(Dim::to_string).collect();
            let count = Dim::product(to.iter());
            Diagnostic::error("E2005", span, format!("cannot reshape `{from}` to [{}]", dims.join(", ")))
                .at(format!("{} elements cannot become {count}", from.shape.count()))
        }
        IrError::Range { found, axis, from, to, .. } => {
            let len = found.shape.dims().get(*axis).map(Dim::to_string).unwrap_or_default();
            // One position is asked for as a slice of one; a negative one was counted from the end and is still before the start.
            let what = match (from.known(), to.known()) {
                (Some(a), Some(b)) if a.checked_add(1) == Some(b) => format!("index {a} is outside axis {axis} of `{found}`"),
                _ => format!("{from}..{to} leaves axis {axis} of `{found}`"),
            };
            Diagnostic::error("E2006", span, what).at(format!("the axis has length {len}; indices count from 0"))
        }
        IrError::Mismatch { op, what, left, right } => blame(
            Diagnostic::error("E2007", span, format!("{}: {what}", verb(op)))
                .at(format!("`{left}` against `{right}`")),
            &[left, right],
        ),
        IrError::Internal(m) => Diagnostic::error("E9001", span, format!("internal error while building: {m}"))
            .note("this is a mistake of Gradus, not of the script; please report it with the script"),
    }
}

fn stretch_help(d: Diagnostic, left: &Ty, right: &Ty, [l, r]: [String; 2]) -> Diagnostic {
    // A vector against a matrix whose rows it fits: the usual slip.
    let fits = |m: &Ty, v: &Ty| m.shape.rank() == 2 && v.shape.rank() == 1 && m.shape.dims().first() == v.shape.dims().first();
    let vector = if fits(left, right) {
        Some(r)
    } else if fits(right, left) {
        Some(l)
    } else {
        None
    };
    if let Some(v) = vector {
        return d.help(format!("to use the vector on every column, give it a column shape: `{v}[:, None]`"));
    }
    let flipped = left.shape.rank() == 2
        && right.shape.rank() == 2
        && left.shape.dims().iter().rev().eq(right.shape.dims().iter());
    if flipped {
        return d.help("one of them is the transpose of the other: write `A'`");
    }
    d.note("shapes combine when they are equal, when one is a scalar, or when one is the trailing part of the other")
}

fn contract_help(d: Diagnostic, left: &Ty, right: &Ty, [a, b]: [String; 2]) -> Diagnostic {
    let (l, r) = (left.shape.dims(), right.shape.dims());
    match (l, r) {
        ([rows, _], [n, ..]) if rows == n => d.help(format!("transpose the left factor: `{a}' @ {b}`")),
        ([.., k], [_, n]) if k == n => d.help(format!("transpose the right factor: `{a} @ {b}'`")),
        _ => d,
    }
}
