//! Linear combinations: a node as `constant + sum of coefficient * leaf`, whatever the spelling.

use crate::context::Cx;
use gradus_ir::{BinaryOp, NodeId, Op, UnaryOp};

/// Combinations longer than this are left as they stand, which bounds the work on long sums.
const LONGEST: usize = 48;

/// `constant + sum c * leaf`, each leaf stretched to the shape of the node. A leaf is a node that is no sum, difference or numeric
/// multiple. Leaves are distinct, in order of their number, and no coefficient is zero.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Combo {
    pub terms: Vec<(NodeId, f64)>,
    pub constant: f64,
}

impl Combo {
    pub fn leaf(id: NodeId) -> Combo {
        Combo { terms: vec![(id, 1.0)], constant: 0.0 }
    }
    pub fn number(x: f64) -> Combo {
        Combo { terms: Vec::new(), constant: x }
    }
    fn scaled(&self, c: f64) -> Combo {
        if c == 0.0 {
            return Combo::number(0.0);
        }
        Combo { terms: self.terms.iter().map(|(l, a)| (*l, a * c)).collect(), constant: self.constant * c }
    }
    fn plus(&self, o: &Combo) -> Combo {
        let mut terms: Vec<(NodeId, f64)> = self.terms.iter().chain(&o.terms).copied().collect();
        terms.sort_by_key(|(l, _)| *l);
        let mut merged: Vec<(NodeId, f64)> = Vec::with_capacity(terms.len());
        for (l, c) in terms {
            match merged.last_mut() {
                Some((last, total)) if *last == l => *total += c,
                _ => merged.push((l, c)),
            }
        }
        merged.retain(|(_, c)| *c != 0.0);
        Combo { terms: merged, constant: self.constant + o.constant }
    }
    /// The single leaf and its coefficient.
    pub fn single(&self) -> Option<(NodeId, f64)> {
        match self.terms.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }
}

/// The combination of a node, from those of its inputs.
pub(crate) fn combo(cx: &Cx<'_>, id: NodeId) -> Combo {
    let leaf = || Combo::leaf(id);
    let of = |k: usize| cx.input(id, k).map(|i| cx.combos[i.index()].clone());
    if !cx.is_numeric(id) {
        return leaf();
    }
    let made = match cx.op(id) {
        Op::Const(v, _) if v.get().is_finite() => Some(Combo::number(v.get())),
        Op::Unary(UnaryOp::ToReal | UnaryOp::StopGrad) | Op::NoGrad(_) | Op::Broadcast(_) => match cx.input(id, 0) {
            Some(a) if cx.is_numeric(a) => of(0).map(|c| (*c).clone()),
            _ => None,
        },
        Op::Unary(UnaryOp::Neg) => of(0).map(|c| c.scaled(-1.0)),
        Op::Binary(b) => match (b, of(0), of(1)) {
            (BinaryOp::Add, Some(x), Some(y)) => Some(x.plus(&y)),
            (BinaryOp::Sub, Some(x), Some(y)) => Some(x.plus(&y.scaled(-1.0))),
            (BinaryOp::Mul, Some(x), Some(y)) if x.terms.is_empty() => Some(y.scaled(x.constant)),
            (BinaryOp::Mul, Some(x), Some(y)) if y.terms.is_empty() => Some(x.scaled(y.constant)),
            (BinaryOp::Div, Some(x), Some(y)) if y.terms.is_empty() && y.constant != 0.0 => Some(x.scaled(1.0 / y.constant)),
            _ => None,
        },
        _ => None,
    };
    match made {
        Some(c) if c.terms.len() <= LONGEST && c.constant.is_finite() && c.terms.iter().all(|(_, a)| a.is_finite()) => c,
        _ => leaf(),
    }
}
