//! Patterns of laws: `(log (add 1 (exp x)))`, made into terms once their names stand for something.

use crate::bank::{Bank, Id};
use gradus_ir::{BinaryOp, DType, F64, Op, ReduceOp, UnaryOp};
use std::collections::BTreeMap;

/// What the names of a pattern stand for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names {
    pub terms: BTreeMap<String, Id>,
    pub numbers: BTreeMap<String, f64>,
    /// The axes of `sum@` and `lse@`.
    pub axes: Option<Vec<usize>>,
}

#[derive(Clone, Debug)]
pub enum Pattern {
    Name(String),
    Number(f64),
    Of(String, Vec<Pattern>),
}

impl Pattern {
    /// # Errors
    /// The text is no pattern.
    pub fn read(text: &str) -> Result<Pattern, String> {
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let words: Vec<&str> = spaced.split_whitespace().collect();
        match one(&words, 0)? {
            (p, []) => Ok(p),
            (_, [w, ..]) => Err(format!("`{w}` after the pattern `{text}`")),
        }
    }

    /// The names that occur, without operations.
    pub fn names(&self, out: &mut Vec<String>) {
        match self {
            Pattern::Name(n) if !out.contains(n) => out.push(n.clone()),
            Pattern::Of(_, kids) => kids.iter().for_each(|k| k.names(out)),
            _ => {}
        }
    }

    pub fn has_axes(&self) -> bool {
        match self {
            Pattern::Of(op, kids) => op.ends_with('@') || kids.iter().any(Pattern::has_axes),
            _ => false,
        }
    }

    fn number(&self, names: &Names) -> Option<f64> {
        match self {
            Pattern::Number(v) => Some(*v),
            Pattern::Name(n) => names.numbers.get(n).copied(),
            Pattern::Of(op, kids) => {
                let x = kids.first()?.number(names)?;
                match op.as_str() {
                    "ln" => Some(x.ln()),
                    "half" => Some(x / 2.0),
                    _ => None,
                }
            }
        }
    }

    /// The term that the pattern is with these names.
    ///
    /// # Errors
    /// A name stands for nothing, or an operation does not fit its operands.
    pub fn term(&self, bank: &mut Bank, names: &Names) -> Result<Id, String> {
        if let Some(v) = self.number(names) {
            return bank.op_term(Op::Const(F64::new(v), DType::Real), &[]);
        }
        match self {
            Pattern::Number(_) => Err("a number".into()),
            Pattern::Name(n) => names.terms.get(n).copied().ok_or_else(|| format!("`{n}` stands for nothing")),
            Pattern::Of(op, kids) => {
                let ids = kids.iter().map(|k| k.term(bank, names)).collect::<Result<Vec<_>, _>>()?;
                let axes = || names.axes.clone().ok_or("the axes are not given");
                let op = match op.as_str() {
                    "sum@" => Op::Reduce(ReduceOp::Sum, axes()?),
                    "lse@" => Op::Reduce(ReduceOp::LogSumExp, axes()?),
                    "max@" => Op::Reduce(ReduceOp::Max, axes()?),
                    "min@" => Op::Reduce(ReduceOp::Min, axes()?),
                    "matmul" => Op::MatMul,
                    "select" => Op::Select,
                    "t" => Op::Transpose(vec![1, 0]),
                    "diag" => Op::DiagMatrix,
                    "diagonal" => Op::Diagonal,
                    "qr" => Op::Qr,
                    "first" => Op::Get(0),
                    "second" => Op::Get(1),
                    "solve" => Op::Solve { transposed: false },
                    "rsolve" => Op::TriangularSolve { lower: false, transposed: false },
                    // The first operand, with the shape of the second.
                    "like" => {
                        let [a, b] = ids.as_slice() else { return Err("`like` takes two".into()) };
                        let shape = bank.ty(*b).shape.clone();
                        return bank.op_term(Op::Broadcast(shape), &[*a]);
                    }
                    other => match (UnaryOp::from_name(other), BinaryOp::from_name(other)) {
                        (Some(u), _) => Op::Unary(u),
                        (_, Some(b)) => Op::Binary(b),
                        _ => return Err(format!("no operation is called `{other}`")),
                    },
                };
                bank.op_term(op, &ids)
            }
        }
    }
}

/// The pattern that starts at the first word, and the words after it.
fn one<'t, 'w>(words: &'w [&'t str], depth: usize) -> Result<(Pattern, &'w [&'t str]), String> {
    let short = || "the pattern ends too early".to_string();
    let (w, mut rest) = words.split_first().ok_or_else(short)?;
    if *w != "(" {
        return Ok((w.parse().map_or_else(|_| Pattern::Name((*w).to_string()), Pattern::Number), rest));
    }
    if depth > 50 {
        return Err("the pattern is too deep".into());
    }
    let (op, after) = rest.split_first().ok_or_else(short)?;
    rest = after;
    let mut kids = Vec::new();
    while *rest.first().ok_or_else(short)? != ")" {
        let (kid, after) = one(rest, depth + 1)?;
        kids.push(kid);
        rest = after;
    }
    Ok((Pattern::Of((*op).to_string(), kids), &rest[1..]))
}
