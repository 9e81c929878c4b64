//! From the sea into the space of forms: sums and products are flattened through operands that nothing else uses.

use crate::sea::{Kids, Sea, Sop};
use crate::space::{Space, Term};
use crate::normal::LONGEST;
use crate::{normal, sea};
use egg::Id;
use gradus_ir::{BinaryOp, DType, Op, UnaryOp};

/// The space of a sea, and the classes of its outputs. `normal` allows reassociation. `None` where the sea is not well typed.
#[cfg(test)]
pub fn load(sea: &Sea, normal: bool) -> Option<(Space, Vec<Id>)> {
    load_with(sea, normal, false)
}

/// `load`; `record` keeps what a proof needs.
pub fn load_with(sea: &Sea, normal: bool, record: bool) -> Option<(Space, Vec<Id>)> {
    let params = sea.params.iter().map(|(t, _)| t.clone()).collect();
    let mut s = Space::new(sea.loops.clone(), params, normal);
    s.record = record.then(Default::default);
    let outputs = load_into(&mut s, sea)?;
    Some((s, outputs))
}

/// The classes of a sea's outputs in a space of the same loops and parameters.
pub fn load_into(s: &mut Space, sea: &Sea) -> Option<Vec<Id>> {
    let (normal, record) = (s.normal, s.record.is_some());
    let uses = sea.uses();
    let homes = crate::export::homes(sea);
    // An operand is part of the sum or product around it when that is all it is for and it changes as often: taking an
    // invariant sum apart would only make the loop do more.
    let inner = |at: usize, kid: Id| {
        let k = usize::from(kid);
        uses[k] == 1
            && homes.home[k] == homes.home[at]
            && sea.nodes[k].tys.first().zip(sea.nodes[at].tys.first()).is_some_and(|(a, b)| a == b)
    };
    // Uses first, so that what is taken apart for the one sum it is in does not become a sum of its own.
    let mut needed = vec![false; sea.nodes.len()];
    for o in &sea.outputs {
        needed[usize::from(*o)] = true;
    }
    let mut flat: Vec<Flat> = vec![Flat::Not; sea.nodes.len()];
    for (at, n) in sea.nodes.iter().enumerate().rev() {
        if !needed[at] {
            continue;
        }
        let real = n.tys.first().is_some_and(|t| t.dtype == DType::Real);
        let mut need = |k: Id| needed[usize::from(k)] = true;
        if normal && real && is_sum(&n.op) {
            let (terms, inside) = sum(sea, &inner, at);
            terms.iter().for_each(|t| need(t.1));
            flat[at] = Flat::Sum(terms, inside);
        } else if normal && real && is_product(&n.op) {
            let (factors, inside) = product(sea, &inner, at);
            factors.iter().for_each(|f| need(f.0));
            flat[at] = Flat::Product(factors, inside);
        } else {
            n.kids.iter().for_each(|k| need(*k));
        }
    }
    let mut map: Vec<Id> = vec![Id::default(); sea.nodes.len()];
    for (at, n) in sea.nodes.iter().enumerate().filter(|(at, _)| needed[*at]) {
        let want = n.tys.first().map(|t| t.shape.clone());
        let to = |k: Id| map[usize::from(k)];
        map[at] = match std::mem::replace(&mut flat[at], Flat::Not) {
            Flat::Sum(terms, inside) => {
                let terms = terms.into_iter().map(|(c, k)| (c, to(k))).collect();
                let raw = if record { written(sea, &map, at, &inside) } else { Term::Real(0.0) };
                s.recorded(raw, |s| normal::lin(s, terms, 0.0, want, 0, n.origin))?
            }
            Flat::Product(factors, inside) => {
                let factors = factors.into_iter().map(|(k, e)| (to(k), e)).collect();
                let raw = if record { written(sea, &map, at, &inside) } else { Term::Real(0.0) };
                s.recorded(raw, |s| normal::prod(s, factors, want, 0, n.origin))?
            }
            Flat::Not => {
                let kids: Kids = n.kids.iter().map(|k| to(*k)).collect();
                s.normalised(n.op.clone(), &kids, 0, n.origin)?
            }
        };
    }
    s.graph.rebuild();
    Some(sea.outputs.iter().map(|o| s.graph.find(map[usize::from(*o)])).collect())
}

/// A sum or product as it was written, down to the operands that stay.
fn written(sea: &Sea, map: &[Id], at: usize, inside: &[usize]) -> Term {
    let n = &sea.nodes[at];
    let kid = |k: &Id| {
        let j = usize::from(*k);
        if inside.contains(&j) { written(sea, map, j, inside) } else { Term::At(map[j]) }
    };
    Term::Node(n.op.clone(), n.kids.iter().map(kid).collect())
}

fn is_sum(op: &Sop) -> bool {
    matches!(
        op,
        Sop::Ir(Op::Binary(BinaryOp::Add | BinaryOp::Sub) | Op::Unary(UnaryOp::Neg))
    )
}

fn is_product(op: &Sop) -> bool {
    matches!(op, Sop::Ir(Op::Binary(BinaryOp::Mul | BinaryOp::Div) | Op::Unary(UnaryOp::Recip)))
}

/// A sum or product with what only it uses taken apart: operands are nodes of the sea.
#[derive(Clone)]
enum Flat {
    Not,
    /// Beside the operands the nodes that were taken apart.
    Sum(Vec<(f64, Id)>, Vec<usize>),
    Product(Vec<(Id, i32)>, Vec<usize>),
}

fn sum(sea: &Sea, inner: &dyn Fn(usize, Id) -> bool, at: usize) -> (Vec<(f64, Id)>, Vec<usize>) {
    let (mut out, mut inside) = (Vec::new(), Vec::new());
    // Iterative: a sum written over thousands of lines is a chain that deep.
    let mut work: Vec<(usize, f64)> = vec![(at, 1.0)];
    // How long the sum is if nothing more is taken apart.
    let mut length = sea.nodes[at].kids.len();
    while let Some((at, c)) = work.pop() {
        let n = &sea.nodes[at];
        for (k, kid) in n.kids.iter().enumerate() {
            let minus = matches!(n.op, Sop::Ir(Op::Unary(UnaryOp::Neg)))
                || k == 1 && matches!(n.op, Sop::Ir(Op::Binary(BinaryOp::Sub)));
            let c = if minus { -c } else { c };
            let longer = length + sea.node(*kid).kids.len().saturating_sub(1);
            if is_sum(&sea.node(*kid).op) && longer <= LONGEST && inner(at, *kid) {
                length = longer;
                inside.push(usize::from(*kid));
                work.push((usize::from(*kid), c));
            } else {
                out.push((c, *kid));
            }
        }
    }
    (out, inside)
}

fn product(sea: &Sea, inner: &dyn Fn(usize, Id) -> bool, at: usize) -> (Vec<(Id, i32)>, Vec<usize>) {
    let (mut out, mut inside) = (Vec::new(), Vec::new());
    let mut work: Vec<(usize, i32)> = vec![(at, 1)];
    let mut length = sea.nodes[at].kids.len();
    while let Some((at, e)) = work.pop() {
        let n = &sea.nodes[at];
        for (k, kid) in n.kids.iter().enumerate() {
            let under = matches!(n.op, Sop::Ir(Op::Unary(UnaryOp::Recip)))
                || k == 1 && matches!(n.op, Sop::Ir(Op::Binary(BinaryOp::Div)));
            let e = if under { -e } else { e };
            let longer = length + sea.node(*kid).kids.len().saturating_sub(1);
            if is_product(&sea.node(*kid).op) && longer <= LONGEST && inner(at, *kid) {
                length = longer;
                inside.push(usize::from(*kid));
                work.push((usize::from(*kid), e));
            } else {
                out.push((*kid, e));
            }
        }
    }
    (out, inside)
}

/// How often the body of a loop runs, with the loops around it.
pub fn times(loops: &[sea::LoopInfo], home: Option<u32>) -> f64 {
    let mut at = home;
    let mut n = 1.0;
    while let Some(l) = at.and_then(|l| loops.get(l as usize)) {
        n *= l.trips();
        at = l.parent;
    }
    n
}
