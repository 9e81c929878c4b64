//! Expressions on one line.

use super::words::{binary_word, compare_word, param_head, unary_word};
use crate::ast::*;

/// The expression on one line of at most `room` characters, or `None` when it is longer or holds a binder, a block or
/// a loop.
pub(super) fn flat(e: &Expr, room: usize) -> Option<String> {
    let mut out = Flat { text: String::new(), room };
    out.expr(e).then_some(out.text)
}

struct Flat {
    text: String,
    room: usize,
}

impl Flat {
    fn put(&mut self, text: &str) -> bool {
        self.text.push_str(text);
        self.text.len() <= self.room
    }

    fn node<'e>(&mut self, head: &str, parts: impl IntoIterator<Item = &'e Expr>) -> bool {
        if !(self.put("(") && self.put(head)) {
            return false;
        }
        for part in parts {
            if !(self.put(" ") && self.expr(part)) {
                return false;
            }
        }
        self.put(")")
    }

    fn expr(&mut self, e: &Expr) -> bool {
        match &*e.kind {
            ExprKind::Real(v) => self.put(&format!("{v:?}")),
            ExprKind::Int(v) => self.put(&v.to_string()),
            ExprKind::Bool(v) => self.put(&v.to_string()),
            ExprKind::Str(v) => self.put(&format!("{v:?}")),
            ExprKind::Name(n) => self.put(&n.name),
            ExprKind::Error => self.put("error"),
            ExprKind::Field(x, name) => self.put("(field ") && self.expr(x) && self.put(" ") && self.put(&name.name) && self.put(")"),
            ExprKind::Unary(op, x) => self.node(unary_word(*op), [x]),
            ExprKind::Binary(op, a, b) => self.node(binary_word(*op), [a, b]),
            ExprKind::Compare(list, ops) => {
                let ops: Vec<&str> = ops.iter().map(|&o| compare_word(o)).collect();
                self.node(&format!("compare {}", ops.join(" ")), list)
            }
            ExprKind::Transpose(x) => self.node("transpose", [x]),
            ExprKind::Tuple(list) => self.node("tuple", list),
            ExprKind::List(list) => self.node("list", list),
            ExprKind::Range { from, to, inclusive } => self.node(if *inclusive { "..=" } else { ".." }, [from, to]),
            ExprKind::Call(f, args) => {
                if !(self.put("(call ") && self.expr(f)) {
                    return false;
                }
                for a in args {
                    let name = a.name.as_ref().map_or(String::new(), |n| format!("{} = ", n.name));
                    if !(self.put(" ") && self.put(&name) && self.expr(&a.value)) {
                        return false;
                    }
                }
                self.put(")")
            }
            ExprKind::Index(x, indices) => {
                if !(self.put("(index ") && self.expr(x)) {
                    return false;
                }
                for i in indices {
                    let fits = self.put(" ")
                        && match i {
                            Index::At(e) => self.expr(e),
                            Index::NewAxis(_) => self.put("None"),
                            Index::Slice { from, to, inclusive, .. } => {
                                let end = |p: &mut Self, e: &Option<Expr>| match e {
                                    Some(e) => p.put(" ") && p.expr(e),
                                    None => p.put(" _"),
                                };
                                self.put(if *inclusive { "(slice=" } else { "(slice" }) && end(self, from) && end(self, to) && self.put(")")
                            }
                        };
                    if !fits {
                        return false;
                    }
                }
                self.put(")")
            }
            ExprKind::Record(fields) => {
                if !self.put("(record") {
                    return false;
                }
                for (name, value) in fields {
                    let fits = self.put(" ")
                        && self.put(&name.name)
                        && match value {
                            Some(e) => self.put(" = ") && self.expr(e),
                            None => true,
                        };
                    if !fits {
                        return false;
                    }
                }
                self.put(")")
            }
            ExprKind::If(c, a, b) => self.node("if", [c, a, b]),
            ExprKind::Lambda(l) if l.params.iter().all(|p| p.default.is_none()) => {
                let params: Vec<String> = l.params.iter().map(param_head).collect();
                self.put("(") && self.put(&params.join(", ")) && self.put(" -> ") && self.expr(&l.body) && self.put(")")
            }
            ExprKind::Budget(name, amount, unit) => {
                let unit = unit.as_ref().map_or(String::new(), |u| format!(" {}", u.name));
                self.put("(reached ") && self.put(&name.name) && self.put(" ") && self.expr(amount) && self.put(&unit) && self.put(")")
            }
            _ => false,
        }
    }
}
