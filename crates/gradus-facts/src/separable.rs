//! Is a function a sum of functions of single elements?

use crate::context::Cx;
use crate::kinds::Tri;
use gradus_ir::{BinaryOp, NodeId, Op, ReduceOp, UnaryOp};

/// How a node hangs on the elements of the variables.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Constant,
    /// Each element on the element of that variable at the same place.
    Pointwise(NodeId),
    /// A sum of such (each element of it, for arrays, a sum of functions of single elements).
    Sum,
    Mixed,
}

pub(crate) fn separable(cx: &Cx<'_>, id: NodeId) -> Tri {
    let mut kinds: Vec<Kind> = Vec::with_capacity(id.index() + 1);
    for (n, _) in cx.g.nodes().take(id.index() + 1) {
        let k = kind(cx, &kinds, n);
        kinds.push(k);
    }
    match kinds.last() {
        Some(Kind::Mixed) | None => Tri::Unknown,
        Some(Kind::Pointwise(v)) if cx.rank(*v) != 0 => Tri::Unknown,
        _ => Tri::Yes,
    }
}

fn kind(cx: &Cx<'_>, kinds: &[Kind], id: NodeId) -> Kind {
    if !cx.depends(id) {
        return Kind::Constant;
    }
    if cx.vars.contains(&id) {
        return Kind::Pointwise(id);
    }
    let node = cx.node(id);
    let of = |k: usize| node.inputs.get(k).map_or(Kind::Constant, |i| kinds[i.index()]);
    let shape = cx.g.shape(id);
    let merged = node.inputs.iter().map(|i| kinds[i.index()]).try_fold(Kind::Constant, |m, k| match (m, k) {
        (Kind::Constant, k) | (k, Kind::Constant) => Some(k),
        (Kind::Pointwise(v), Kind::Pointwise(w)) if v == w => Some(m),
        _ => None,
    });
    let elementwise = match merged {
        Some(Kind::Pointwise(v)) if cx.g.shape(v) == shape => Kind::Pointwise(v),
        _ => Kind::Mixed,
    };
    // The terms of a sum may be separable in different ways; a stretched one would be repeated, which is still a sum.
    let additive = || {
        let fine = node.inputs.iter().all(|i| match kinds[i.index()] {
            Kind::Mixed => false,
            Kind::Pointwise(v) => cx.rank(v) == 0 || cx.g.shape(*i) == shape,
            _ => true,
        });
        if fine { Kind::Sum } else { Kind::Mixed }
    };
    match cx.op(id) {
        Op::Unary(UnaryOp::Neg | UnaryOp::ToReal | UnaryOp::StopGrad) | Op::NoGrad(_) if of(0) == Kind::Sum => Kind::Sum,
        Op::Broadcast(_) if of(0) == Kind::Sum || matches!(of(0), Kind::Pointwise(v) if cx.rank(v) == 0) => Kind::Sum,
        Op::Binary(BinaryOp::Add | BinaryOp::Sub) if elementwise == Kind::Mixed => additive(),
        Op::Binary(BinaryOp::Mul) if elementwise == Kind::Mixed && (of(0) == Kind::Constant || of(1) == Kind::Constant) => additive(),
        Op::Binary(BinaryOp::Div) if elementwise == Kind::Mixed && of(1) == Kind::Constant => additive(),
        op if op.is_elementwise() => elementwise,
        Op::Reduce(ReduceOp::Sum, _) if of(0) != Kind::Mixed => Kind::Sum,
        Op::MatMul if of(0) == Kind::Constant || of(1) == Kind::Constant => {
            if of(0) == Kind::Mixed || of(1) == Kind::Mixed { Kind::Mixed } else { Kind::Sum }
        }
        // A vector's product with a function of the same vector, place by place.
        Op::MatMul => match (of(0), of(1)) {
            (Kind::Pointwise(v), Kind::Pointwise(w)) if v == w && cx.rank(v) == 1 && shape.is_scalar() => Kind::Sum,
            _ => Kind::Mixed,
        },
        Op::Reshape(_) | Op::Transpose(_) | Op::Reverse { .. } | Op::Slice { .. } if of(0) != Kind::Mixed => Kind::Sum,
        _ => Kind::Mixed,
    }
}
