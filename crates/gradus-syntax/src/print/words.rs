//! Names, patterns, types and operators as text.

use super::flat::flat;
use crate::ast::*;
use std::fmt::Write;

pub(super) fn names(list: &[Ident], separator: &str) -> String {
    list.iter().map(|n| &*n.name).collect::<Vec<_>>().join(separator)
}

pub(super) fn param_head(p: &Param) -> String {
    let mut text = p.name.name.to_string();
    if let Some(t) = &p.ty {
        let _ = write!(text, ": {}", ty(t));
    }
    if p.variadic {
        text.push_str("...");
    }
    text
}

pub(super) fn let_head(pat: &Pattern, t: &Option<TypeExpr>) -> String {
    match t {
        Some(t) => format!("let {}: {}", pattern(pat), ty(t)),
        None => format!("let {}", pattern(pat)),
    }
}

pub(super) fn pattern(p: &Pattern) -> String {
    match p {
        Pattern::Name(n) => n.name.to_string(),
        Pattern::Wild(_) => "_".into(),
        Pattern::Tuple(list, _) => {
            let comma = if list.len() == 1 { "," } else { "" };
            stacker::maybe_grow(64 * 1024, 1024 * 1024, || {
                format!("({}{comma})", list.iter().map(pattern).collect::<Vec<_>>().join(", "))
            })
        }
        Pattern::Record(list, _) => format!("{{{}}}", names(list, ", ")),
    }
}

pub(super) fn ty(t: &TypeExpr) -> String {
    stacker::maybe_grow(64 * 1024, 1024 * 1024, || match &*t.kind {
        TypeKind::Name(n) => n.name.to_string(),
        TypeKind::Array(base, dims) => {
            let dims: Vec<String> = dims.iter().map(|e| flat(e, usize::MAX).unwrap_or_else(|| "…".into())).collect();
            let base_text = ty(base);
            let base_text = if matches!(*base.kind, TypeKind::Fn(..) | TypeKind::SetOf(_) | TypeKind::DistOf(_)) { format!("({base_text})") } else { base_text };
            format!("{base_text}[{}]", dims.join(", "))
        }
        TypeKind::Record(fields) => {
            let fields: Vec<String> = fields.iter().map(|(n, t)| format!("{}: {}", n.name, ty(t))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        TypeKind::Tuple(list) => {
            let comma = if list.len() == 1 { "," } else { "" };
            format!("({}{comma})", list.iter().map(ty).collect::<Vec<_>>().join(", "))
        }
        TypeKind::List { body, pattern: pat, over } => {
            let over = flat(over, usize::MAX).unwrap_or_else(|| "…".into());
            format!("[{} for {} in {over}]", ty(body), pattern(pat))
        }
        TypeKind::Fn(a, b) => match *a.kind {
            TypeKind::Fn(..) => format!("({}) -> {}", ty(a), ty(b)),
            _ => format!("{} -> {}", ty(a), ty(b)),
        },
        TypeKind::SetOf(t) => format!("set of {}", ty(t)),
        TypeKind::DistOf(t) => format!("dist of {}", ty(t)),
        TypeKind::Error => "error".into(),
    })
}

pub(super) fn unary_word(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Neg => "neg",
        UnaryOp::Not => "not",
    }
}

pub(super) fn binary_word(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::MatMul => "@",
        BinaryOp::Pow => "^",
        BinaryOp::Mod => "mod",
        BinaryOp::And => "and",
        BinaryOp::Or => "or",
        BinaryOp::Meet => "&",
        BinaryOp::Pipe => "|>",
        BinaryOp::Compose => ".",
        BinaryOp::After => "after",
        BinaryOp::In => "in",
    }
}

pub(super) fn compare_word(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Lt => "<",
        CompareOp::Le => "<=",
        CompareOp::Gt => ">",
        CompareOp::Ge => ">=",
        CompareOp::Eq => "==",
        CompareOp::Ne => "!=",
    }
}
