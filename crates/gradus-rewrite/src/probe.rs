//! The probe of rules that may lose digits: the rewritten graph with one more output, how much both forms differ on these data.
//!
//! What such a rule replaces (`A' (A x)` by `G x`, a solve by its factors) has a matrix that does not vary in the loop. So the forms
//! are compared once, where the matrix is first known: for a Gram matrix on the direction of least curvature that a few steps of
//! conjugate gradients find, for factors on a right-hand side whose solution is known. Rounding in G is amplified by the square of
//! the condition number of A in the solution of whatever is solved with it, and on that direction in the comparison too.

use crate::Rewritten;
use crate::report::Class;
use gradus_ir::build::Build;
use gradus_ir::{BinaryOp, DType, Dim, Graph, IrResult, Loop, NodeId, Op, Origin, ReduceOp, Trip, Ty, UnaryOp};
use std::sync::Arc;

/// Steps of conjugate gradients at most.
const STEPS: i64 = 24;

/// A Gram matrix, as the product of two nodes of which one is the transpose of the other.
struct Pair {
    left: NodeId,
    right: NodeId,
    product: NodeId,
}

fn transposed(g: &Graph, a: NodeId, b: NodeId) -> bool {
    matches!(&g.node(a).op, Op::Transpose(p) if p.as_slice() == [1, 0]) && g.node(a).inputs.first() == Some(&b)
}

/// Gram matrices of tall matrices among the nodes of one region, and the matrices that are factored there.
fn places(g: &Graph) -> (Vec<Pair>, Vec<NodeId>) {
    let live = g.live();
    let (mut pairs, mut factored) = (Vec::new(), Vec::new());
    for (id, n) in g.nodes().filter(|(id, _)| live[id.index()]) {
        match (&n.op, n.inputs.as_slice()) {
            (Op::MatMul, [a, b]) if transposed(g, *a, *b) || transposed(g, *b, *a) => {
                if let [rows, cols] = g.shape(*b).dims()
                    && rows.known().zip(cols.known()).is_some_and(|(n, d)| n >= 2 * d && d > 0)
                {
                    pairs.push(Pair { left: *a, right: *b, product: id });
                }
            }
            (Op::Qr, [_]) => factored.push(id),
            _ => {}
        }
    }
    (pairs, factored)
}

/// How many of them there are in the regions of a graph.
fn inside(g: &Graph) -> usize {
    let count = |r: &Graph| {
        let (pairs, factored) = places(r);
        pairs.len() + factored.len() + inside(r)
    };
    g.nodes().flat_map(|(_, n)| n.op.regions()).map(|r| count(r)).sum()
}

/// The rules of class `conditioning` whose forms can be compared. The others stay out unless `Options::unprobed` asks for them.
pub(crate) const PROBED: [&str; 3] = ["matrix/gram", "matrix/gram-value", "matrix/factor-once"];

/// Does a graph hold forms that are to be compared before they are trusted?
pub fn wants(done: &Rewritten) -> bool {
    done.report.fired.iter().any(|f| f.class == Class::Conditioning && PROBED.contains(&f.rule.as_ref()))
}

/// The rewritten graph with one more output, a real: the largest difference of both forms relative to the plain one. `None` where
/// some form cannot be compared before the loops (its matrix is made inside of one); then the plain form is to be used.
pub fn probed(before: &Graph, done: &Rewritten) -> Option<Graph> {
    if !wants(done) {
        return None;
    }
    let (pairs, factored) = places(&done.graph);
    if (pairs.is_empty() && factored.is_empty()) || inside(&done.graph) > inside(before) {
        return None;
    }
    let mut g = done.graph.clone();
    let worst = add(&mut g, &pairs, &factored).ok()??;
    g.outputs.push(worst);
    gradus_ir::verify(&g).ok()?;
    Some(g)
}

/// The rules whose forms a probed graph compares, and the source text behind the first.
pub fn compared(g: &Graph) -> (Vec<&'static str>, Origin) {
    let (pairs, factored) = places(g);
    let first = pairs.first().map(|p| p.product).or(factored.first().copied());
    let mut rules = Vec::new();
    if !pairs.is_empty() {
        rules.push("matrix/gram");
    }
    if !factored.is_empty() {
        rules.push("matrix/factor-once");
    }
    (rules, first.map(|n| g.node(n).origin).unwrap_or_default())
}

fn add(g: &mut Graph, pairs: &[Pair], factored: &[NodeId]) -> IrResult<Option<NodeId>> {
    let mut worst: Option<NodeId> = None;
    let mut all = Vec::new();
    for p in pairs {
        all.push(gram(g, p)?);
    }
    for q in factored {
        all.push(factors(g, *q)?);
    }
    for d in all {
        worst = Some(match worst {
            None => d,
            Some(w) => Build::new(g, Origin::default()).bin(BinaryOp::Max, w, d)?,
        });
    }
    Ok(worst)
}

/// max |a - b| / max |a|, zero where both are zero.
fn difference(b: &mut Build<'_>, plain: NodeId, other: NodeId) -> IrResult<NodeId> {
    let d = b.sub(plain, other)?;
    let mut largest = |x: NodeId| -> IrResult<NodeId> {
        let a = b.un(UnaryOp::Abs, x)?;
        let axes: Vec<usize> = (0..b.shape(a).rank()).collect();
        b.reduce(ReduceOp::Max, a, &axes)
    };
    let (d, size) = (largest(d)?, largest(plain)?);
    let zero = b.real(0.0)?;
    let same = b.bin(BinaryOp::Eq, d, zero)?;
    let quotient = b.div(d, size)?;
    b.select(same, zero, quotient)
}

/// Both forms on the direction of least curvature that conjugate gradients meet.
fn gram(g: &mut Graph, p: &Pair) -> IrResult<NodeId> {
    let at = g.node(p.product).origin;
    let dim = g.shape(p.product).dims().first().cloned().unwrap_or(Dim::Known(1));
    let trips = dim.known().unwrap_or(1).clamp(1, STEPS);
    let vector = Ty::real(gradus_ir::Shape::new([dim.clone()]));
    let scalar = Ty::scalar(DType::Real);
    let mut body = Graph::new();
    body.param(Ty::scalar(DType::Int), at);
    let r = body.param(vector.clone(), at);
    let v = body.param(vector.clone(), at);
    let rr = body.param(scalar.clone(), at);
    let least = body.param(scalar, at);
    let best = body.param(vector, at);
    let m = body.param(g.ty(p.product).clone(), at);
    let outputs = {
        let mut b = Build::new(&mut body, at);
        let mv = b.matmul(m, v)?;
        let (c, vv) = (b.dot(v, mv)?, b.dot(v, v)?);
        let curvature = b.div(c, vv)?;
        let less = b.bin(BinaryOp::Lt, curvature, least)?;
        let (least, best) = (b.select(less, curvature, least)?, b.select(less, v, best)?);
        let alpha = b.div(rr, c)?;
        let step = b.mul(alpha, mv)?;
        let r1 = b.sub(r, step)?;
        let rr1 = b.dot(r1, r1)?;
        let beta = b.div(rr1, rr)?;
        let again = b.mul(beta, v)?;
        let v1 = b.add(r1, again)?;
        vec![r1, v1, rr1, least, best]
    };
    body.outputs = outputs;
    let mut b = Build::new(g, at);
    // A start that no matrix of practice is orthogonal to.
    let index = b.op(Op::Iota(dim), &[])?;
    let angle = b.real(1.7)?;
    let index = b.mul(angle, index)?;
    let wave = b.un(UnaryOp::Cos, index)?;
    let two = b.real(2.0)?;
    let start = b.add(two, wave)?;
    let size = b.dot(start, start)?;
    let infinite = b.real(f64::INFINITY)?;
    let l = Loop {
        trip: Trip::Count(Dim::Known(trips)),
        carries: 5,
        scanned: 0,
        collected: 0,
        cond: None,
        body: Arc::new(body),
        label: "probe".into(),
    };
    let node = b.op(Op::Loop(Box::new(l)), &[start, start, size, infinite, start, p.product])?;
    let best = b.get(node, 5)?;
    let image = b.matmul(p.right, best)?;
    let plain = b.matmul(p.left, image)?;
    let other = b.matmul(p.product, best)?;
    difference(&mut b, plain, other)
}

/// The factors on the right-hand side whose solution is all ones.
fn factors(g: &mut Graph, qr: NodeId) -> IrResult<NodeId> {
    let at = g.node(qr).origin;
    let a = g.node(qr).inputs[0];
    let dim = g.shape(a).dims().get(1).cloned().unwrap_or(Dim::Known(1));
    let mut b = Build::new(g, at);
    let one = b.real(1.0)?;
    let ones = b.broadcast(one, &gradus_ir::Shape::new([dim]))?;
    let rhs = b.matmul(a, ones)?;
    let (q, r) = (b.get(qr, 0)?, b.get(qr, 1)?);
    let turned = b.matmul(rhs, q)?;
    let found = b.op(Op::TriangularSolve { lower: false, transposed: false }, &[r, turned])?;
    difference(&mut b, ones, found)
}
