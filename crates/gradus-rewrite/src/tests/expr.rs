//! Expressions of rule cases: `(op operand ..)` over typed variables.

use gradus_ir::build::Build;
use gradus_ir::{BinaryOp, Dim, Graph, NodeId, Op, Origin, ReduceOp, Shape, Ty, UnaryOp};

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
    if let Some(b) = BinaryOp::from_name(head).filter(|_| k.len() == 2) {
        return plain(Op::Binary(b), &k);
    }
    // A shape written behind the name: `fill5`, `as2,3`.
    let cut = head.find(|c: char| c.is_ascii_digit()).unwrap_or(head.len());
    let sizes: Vec<usize> = head[cut..].split(',').filter_map(|n| n.parse().ok()).collect();
    let shape = Shape::of(&sizes);
    let mut b = Build::new(g, Origin::default());
    let made = match &head[..cut] {
        "fill" => Some(b.broadcast(k[0], &shape)),
        "as" => Some(b.graph.add_plain(Op::Reshape(shape), &k, Origin::default())),
        "head" => Some(b.slice(k[0], 0, Dim::Known(0), Dim::Known(sizes[0] as i64))),
        "iota" => Some(b.op(Op::Iota(Dim::Known(sizes[0] as i64)), &[])),
        draw @ ("normal" | "uniform") => {
            let seed = b.int(7).unwrap();
            let key = b.op(Op::Key, &[seed]).unwrap();
            Some(b.op(if draw == "normal" { Op::Normal(shape) } else { Op::Uniform(shape) }, &[key]))
        }
        _ => None,
    };
    if let Some(made) = made {
        return made.unwrap();
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
        "sum2" => b.reduce(ReduceOp::Sum, k[0], &[2]),
        "join" => b.op(Op::Concat { axis: 0 }, &k),
        "reverse" => b.op(Op::Reverse { axis: 0 }, &k),
        "sort" => b.op(Op::Sort { axis: 0, descending: false }, &k),
        "pad" => b.op(Op::Pad { axis: 0, before: Dim::Known(1), after: Dim::Known(2) }, &k),
        "argmax1" => b.op(Op::ArgReduce { max: true, axis: 1 }, &k),
        "take" => b.take(k[0], k[1], 0),
        "solve'" => b.op(Op::Solve { transposed: true }, &k),
        "lsolve" => b.op(Op::TriangularSolve { lower: true, transposed: false }, &k),
        "usolve" => b.op(Op::TriangularSolve { lower: false, transposed: false }, &k),
        "cholesky" => b.op(Op::Cholesky, &k),
        "det" => b.op(Op::Det, &k),
        "diag" => b.op(Op::DiagMatrix, &k),
        "solve" => b.op(Op::Solve { transposed: false }, &k),
        "q" => {
            let qr = b.op(Op::Qr, &k).unwrap();
            b.get(qr, 0)
        }
        "r" => {
            let qr = b.op(Op::Qr, &k).unwrap();
            b.get(qr, 1)
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
