//! Expressions of rule cases: `(op operand ..)` over typed variables.

use gradus_ir::build::Build;
use gradus_ir::{BinaryOp, Graph, NodeId, Op, Origin, ReduceOp, Shape, Ty, UnaryOp};

pub struct Var {
    pub name: String,
    pub shape: Vec<usize>,
    pub varies: bool,
}

pub fn vars(text: &str) -> Vec<Var> {
    text.split_whitespace()
        .map(|w| {
            let (name, shape) = w.split_once(':').unwrap();
            Var {
                name: name.trim_start_matches('~').into(),
                shape: shape.split(',').filter(|s| !s.is_empty()).map(|s| s.parse().unwrap()).collect(),
                varies: name.starts_with('~'),
            }
        })
        .collect()
}

/// A graph with the variables as parameters and the expressions as outputs; nothing is folded that would hide a rule's work.
pub fn graph(vars: &[Var], exprs: &[&str]) -> Graph {
    let mut g = Graph::new();
    let ids: Vec<NodeId> = vars.iter().map(|v| g.param(Ty::real(Shape::of(&v.shape)), Origin::default())).collect();
    for e in exprs {
        let out = expr_at(&mut g, vars, &ids, e);
        g.outputs.push(out);
    }
    g
}

/// An expression over values that stand for the variables.
pub fn expr_at(g: &mut Graph, vars: &[Var], ids: &[NodeId], e: &str) -> NodeId {
    let spaced = e.replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let out = expr(g, vars, ids, &words, &mut at);
    assert_eq!(at, words.len(), "{e}");
    out
}

fn expr(g: &mut Graph, vars: &[Var], ids: &[NodeId], words: &[&str], at: &mut usize) -> NodeId {
    let w = words[*at];
    *at += 1;
    if w != "(" {
        if let Some(k) = vars.iter().position(|v| v.name == w) {
            return ids[k];
        }
        return Build::new(g, Origin::default()).real(w.parse().unwrap()).unwrap();
    }
    let head = words[*at];
    *at += 1;
    let mut k = Vec::new();
    while words[*at] != ")" {
        k.push(expr(g, vars, ids, words, at));
    }
    *at += 1;
    let mut plain = |op: Op, k: &[NodeId]| g.add_plain(op, k, Origin::default()).unwrap();
    if let Some(u) = UnaryOp::from_name(head) {
        return plain(Op::Unary(u), &k);
    }
    if let Some(b) = BinaryOp::from_name(head) {
        return plain(Op::Binary(b), &k);
    }
    let rank = g.shape(k[0]).rank();
    let all: Vec<usize> = (0..rank).collect();
    let mut b = Build::new(g, Origin::default());
    match head {
        "matmul" => b.matmul(k[0], k[1]),
        "t" => b.graph.add_plain(Op::Transpose(vec![1, 0]), &k, Origin::default()),
        "sum" => b.reduce(ReduceOp::Sum, k[0], &all),
        "sum0" => b.reduce(ReduceOp::Sum, k[0], &[0]),
        "sum1" => b.reduce(ReduceOp::Sum, k[0], &[1]),
        "lse" => b.reduce(ReduceOp::LogSumExp, k[0], &all),
        "max" => b.reduce(ReduceOp::Max, k[0], &all),
        "max0" => b.reduce(ReduceOp::Max, k[0], &[0]),
        "max1" => b.reduce(ReduceOp::Max, k[0], &[1]),
        "min0" => b.reduce(ReduceOp::Min, k[0], &[0]),
        "min1" => b.reduce(ReduceOp::Min, k[0], &[1]),
        "prod" => b.reduce(ReduceOp::Prod, k[0], &all),
        "prod1" => b.reduce(ReduceOp::Prod, k[0], &[1]),
        "lse0" => b.reduce(ReduceOp::LogSumExp, k[0], &[0]),
        "stack" => {
            let rows: Vec<NodeId> = k.iter().map(|x| b.expand(*x, 0).unwrap()).collect();
            b.op(Op::Concat { axis: 0 }, &rows)
        }
        "select" => b.select(k[0], k[1], k[2]),
        "lse1" => b.reduce(ReduceOp::LogSumExp, k[0], &[1]),
        "col" => b.expand(k[0], 1),
        "fill3" => b.broadcast(k[0], &Shape::of(&[3])),
        "fill5" => b.broadcast(k[0], &Shape::of(&[5])),
        "diag" => b.op(Op::DiagMatrix, &k),
        "solve" => b.op(Op::Solve { transposed: false }, &k),
        "q" => {
            let qr = b.op(Op::Qr, &k).unwrap();
            b.get(qr, 0)
        }
        // With the triangular factor of the first operand.
        "rsolve" => {
            let qr = b.op(Op::Qr, &k[..1]).unwrap();
            let r = b.get(qr, 1).unwrap();
            b.op(Op::TriangularSolve { lower: false, transposed: false }, &[r, k[1]])
        }
        "diagonal" => b.op(Op::Diagonal, &k),
        other => panic!("no op {other}"),
    }
    .unwrap()
}
