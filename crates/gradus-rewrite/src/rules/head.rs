//! What a form begins with: rules are looked up by it.

use crate::sea::Sop;
use gradus_ir::{BinaryOp, Op, ReduceOp, UnaryOp};

/// The head of a form. Sums and products are one head each, however they are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// `Lin`, `add`, `sub`, `neg`.
    Sum,
    /// `Prod`, `mul`, `div`, `square`, `recip`.
    Product,
    Select,
    MatMul,
    Transpose,
    Reshape,
    Broadcast,
    Slice,
    Solve,
    TriangularSolve,
    Cholesky,
    Det,
    Diagonal,
    DiagMatrix,
    Unary(UnaryOp),
    Binary(BinaryOp),
    Reduce(ReduceOp),
    /// What no rule begins with.
    Other,
}

/// How many different numbers `Head::index` gives.
pub const HEADS: usize = 128;

impl Head {
    pub fn of(op: &Sop) -> Head {
        let ir = match op {
            Sop::Lin { .. } => return Head::Sum,
            Sop::Prod(_) => return Head::Product,
            other => match other.ir() {
                Some(op) => op,
                None => return Head::Other,
            },
        };
        match ir {
            Op::Unary(UnaryOp::Neg) | Op::Binary(BinaryOp::Add | BinaryOp::Sub) => Head::Sum,
            Op::Unary(UnaryOp::Square | UnaryOp::Recip) | Op::Binary(BinaryOp::Mul | BinaryOp::Div) => Head::Product,
            Op::Unary(u) => Head::Unary(*u),
            Op::Binary(b) => Head::Binary(*b),
            Op::Reduce(r, _) => Head::Reduce(*r),
            Op::Select => Head::Select,
            Op::MatMul => Head::MatMul,
            Op::Transpose(_) => Head::Transpose,
            Op::Reshape(_) => Head::Reshape,
            Op::Broadcast(_) => Head::Broadcast,
            Op::Slice { .. } => Head::Slice,
            Op::Solve { .. } => Head::Solve,
            Op::TriangularSolve { .. } => Head::TriangularSolve,
            Op::Cholesky => Head::Cholesky,
            Op::Det => Head::Det,
            Op::Diagonal => Head::Diagonal,
            Op::DiagMatrix => Head::DiagMatrix,
            _ => Head::Other,
        }
    }

    /// A small number, different for different heads.
    pub fn index(self) -> usize {
        match self {
            Head::Other => 0,
            Head::Sum => 1,
            Head::Product => 2,
            Head::Select => 3,
            Head::MatMul => 4,
            Head::Transpose => 5,
            Head::Reshape => 6,
            Head::Broadcast => 7,
            Head::Slice => 8,
            Head::Solve => 9,
            Head::TriangularSolve => 10,
            Head::Cholesky => 11,
            Head::Det => 12,
            Head::Diagonal => 13,
            Head::DiagMatrix => 14,
            Head::Reduce(r) => 16 + r as usize,
            Head::Unary(u) => 32 + u as usize,
            Head::Binary(b) => 96 + b as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_different() {
        let mut all = vec![
            Head::Other, Head::Sum, Head::Product, Head::Select, Head::MatMul, Head::Transpose, Head::Reshape, Head::Broadcast,
            Head::Slice, Head::Solve, Head::TriangularSolve, Head::Cholesky, Head::Det, Head::Diagonal, Head::DiagMatrix,
        ];
        all.extend(UnaryOp::ALL.iter().map(|u| Head::Unary(*u)));
        all.extend(BinaryOp::ALL.iter().map(|b| Head::Binary(*b)));
        all.extend(ReduceOp::ALL.iter().map(|r| Head::Reduce(*r)));
        let mut numbers: Vec<usize> = all.iter().map(|h| h.index()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), all.len());
        assert!(numbers.iter().all(|n| *n < HEADS));
    }
}
