//! Functions that must be proved convex (concave), in many spellings, and functions that must not; every claim is tested on points.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{E, Function, T};
use gradus_facts::Curvature::{self, *};
use gradus_ir::{BinaryOp, Dim, Op, ReduceOp, UnaryOp};

type Write = for<'t> fn(&'t T) -> E<'t>;

fn function(write: Write) -> Function {
    let t = T::new();
    let out = write(&t);
    t.build(out)
}

/// `(name, curvature to be proved, function)`.
const PROVED: &[(&str, Curvature, Write)] = &[
    // The seventeen refused spellings.
    ("x'x", Convex, |t| { let w = t.var("w", &[3]); w.mm(w) }),
    ("sum(u*u)", Convex, |t| { let w = t.var("w", &[3]); (w * w).sum() }),
    ("s*s", Convex, |t| { let s = t.var("s", &[]); s * s }),
    ("log(sum(exp(x)))", Convex, |t| t.var("x", &[4]).exp().sum().log()),
    ("log(1 + exp(s))", Convex, |t| (1.0 + t.var("s", &[]).exp()).log()),
    ("exp(s)*exp(t)", Convex, |t| { let (s, u) = (t.var("s", &[]), t.var("t", &[])); s.exp() * u.exp() }),
    ("sqrt(sum(x^2))", Convex, |t| t.var("x", &[4]).square().sum().sqrt()),
    ("trace(X'X)", Convex, |t| { let x = t.var("X", &[3, 3]); x.tr().mm(x).trace() }),
    ("s log s", Convex, |t| { let s = t.var("s", &[]); s * s.log() }),
    ("x'Px, P = A'A", Convex, |t| { let (w, a) = (t.var("w", &[3]), t.data("A", &[5, 3])); w.mm(a.tr().mm(a)).mm(w) }),
    ("x'A'Ax from the right", Convex, |t| { let (w, a) = (t.var("w", &[3]), t.data("A", &[5, 3])); w.mm(a.tr().mm(a.mm(w))) }),
    ("(x'A')(Ax)", Convex, |t| { let (w, a) = (t.var("w", &[3]), t.data("A", &[5, 3])); w.mm(a.tr()).mm(a.mm(w)) }),
    ("x*x/y", Convex, |t| { let (x, y) = (t.var("x", &[]), t.pos("y", &[])); x * x / y }),
    ("sqrt(1 + x^2)", Convex, |t| (1.0 + t.var("x", &[]).square()).sqrt()),
    ("1/x", Convex, |t| 1.0 / t.pos("x", &[])),
    ("x^2 + 2xy + y^2", Convex, |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); x * x + 2.0 * x * y + y * y }),
    ("norm(x)^2", Convex, |t| t.var("x", &[4]).square().sum().sqrt().square()),
    // Least squares and its relatives.
    ("least squares", Convex, |t| { let (w, x, y) = (t.var("w", &[3]), t.data("X", &[5, 3]), t.data("y", &[5])); (x.mm(w) - y).square().sum() }),
    ("least squares, expanded", Convex, |t| { let (w, x, y) = (t.var("w", &[3]), t.data("X", &[5, 3]), t.data("y", &[5])); w.mm(x.tr().mm(x.mm(w))) - 2.0 * y.mm(x).mm(w) + y.mm(y) }),
    ("mean square with intercept", Convex, |t| { let (w, b, x, y) = (t.var("w", &[3]), t.var("b", &[]), t.data("X", &[5, 3]), t.data("y", &[5])); (x.mm(w) + b - y).square().sum() / 10.0 }),
    ("two blocks, expanded by hand", Convex, |t| { let (w, v, x, z) = (t.var("w", &[3]), t.var("v", &[2]), t.data("X", &[5, 3]), t.data("Z", &[5, 2])); let (p, q) = (x.mm(w), z.mm(v)); p.mm(p) - 2.0 * p.mm(q) + q.mm(q) }),
    ("two blocks, words", Convex, |t| { let (w, v, x, z) = (t.var("w", &[3]), t.var("v", &[2]), t.data("X", &[5, 3]), t.data("Z", &[5, 2])); w.mm(x.tr().mm(x.mm(w))) - 2.0 * w.mm(x.tr().mm(z.mm(v))) + v.mm(z.tr().mm(z.mm(v))) }),
    ("lasso", Convex, |t| { let (w, x, y, l) = (t.var("w", &[3]), t.data("X", &[5, 3]), t.data("y", &[5]), t.pos_data("lambda", &[])); (x.mm(w) - y).square().sum() / 2.0 + l * w.abs().sum() }),
    ("ridge", Convex, |t| { let (w, x, y) = (t.var("w", &[3]), t.data("X", &[5, 3]), t.data("y", &[5])); let r = x.mm(w) - y; r.mm(r) + 0.1 * w.mm(w) }),
    ("weighted squares", Convex, |t| { let (w, x, c) = (t.var("w", &[3]), t.data("X", &[5, 3]), t.pos_data("c", &[5])); (c * x.mm(w).square()).sum() }),
    ("covariance form", Convex, |t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); let s = x.tr().mm(x) / 5.0 + 0.1 * t.eye(3); w.mm(s).mm(w) }),
    ("diag form", Convex, |t| { let (w, c) = (t.var("w", &[3]), t.pos_data("c", &[3])); let d = t.op(Op::DiagMatrix, &[c.id]); w.mm(d.mm(w)) }),
    ("weighted gram form", Convex, |t| { let (w, x, c) = (t.var("w", &[3]), t.data("X", &[5, 3]), t.pos_data("c", &[5])); let m = (x.tr() * c).mm(x); w.mm(m.mm(w)) }),
    ("literal form", Convex, |t| { let w = t.var("w", &[2]); let m = t.literal(&[2, 2], &[2.0, 1.0, 1.0, 2.0]); w.mm(m.mm(w)) }),
    ("negative literal form", Concave, |t| { let w = t.var("w", &[2]); let m = t.literal(&[2, 2], &[-2.0, 1.0, 1.0, -2.0]); w.mm(m.mm(w)) }),
    ("scaled negative", Convex, |t| -3.0 * (-(t.var("x", &[3]).square().sum()))),
    ("frobenius fit", Convex, |t| { let (x, a, b) = (t.var("X", &[3, 3]), t.data("A", &[5, 3]), t.data("B", &[5, 3])); (a.mm(x) - b).square().sum() }),
    ("differences", Convex, |t| { let x = t.var("x", &[5]); let a = t.op(Op::Slice { axis: 0, start: Dim::Known(1), len: Dim::Known(4) }, &[x.id]); let b = t.op(Op::Slice { axis: 0, start: Dim::Known(0), len: Dim::Known(4) }, &[x.id]); (a - b).square().sum() }),
    ("variance", Convex, |t| { let x = t.var("x", &[5]); let m = x.sum() / 5.0; (x - m).square().sum() / 5.0 }),
    ("square completed by cancellation", Affine, |t| { let x = t.var("x", &[]); (x + 1.0).square() - x.square() }),
    ("f - f + square", Convex, |t| { let x = t.var("x", &[]); let e = x.un(UnaryOp::Sin); e + x.square() - e }),
    // Logistic and softmax.
    ("logistic", Convex, |t| { let (w, x, y) = (t.var("w", &[3]), t.data("X", &[5, 3]), t.data("t", &[5])); (1.0 + (-(y * x.mm(w))).exp()).log().sum() / 5.0 }),
    ("softplus", Convex, |t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); (-x.mm(w)).softplus().sum() }),
    ("-log sigmoid", Convex, |t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); -(x.mm(w).sigmoid().log().sum()) }),
    ("log1p exp", Convex, |t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); x.mm(w).exp().un(UnaryOp::Log1p).sum() }),
    ("cross entropy", Convex, |t| { let (w, x, y) = (t.var("W", &[3, 4]), t.data("X", &[5, 3]), t.data("Y", &[5, 4])); let z = x.mm(w); (z.lse_axis(1) - (z * y).sum_axis(1)).sum() }),
    ("-log softmax", Convex, |t| { let z = t.var("z", &[4]); let e = z.exp(); -((e.at(1) / e.sum()).log()) }),
    ("log-sum-exp by hand with the largest taken out", Convex, |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); (x.exp() + 2.0 * y.exp() + 3.0).log() }),
    ("log cosh", Convex, |t| t.var("x", &[3]).un(UnaryOp::Cosh).log().sum()),
    ("exp(x)^2", Convex, |t| t.var("x", &[]).exp().square()),
    ("exp(|x|)", Convex, |t| t.var("x", &[3]).abs().exp().sum()),
    ("exp(x^2)", Convex, |t| t.var("x", &[]).square().exp()),
    ("1/sigmoid", Convex, |t| t.var("x", &[]).sigmoid().recip()),
    ("exp(x)/exp(y)", Convex, |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); x.exp() / y.exp() }),
    ("geometric program", Convex, |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); (x.exp() * y.exp() + 2.0 * (x.exp() / y.exp().square())).log() }),
    // Norms, powers, quotients.
    ("norm of residual", Convex, |t| { let (w, x, y) = (t.var("w", &[3]), t.data("X", &[5, 3]), t.data("y", &[5])); let r = x.mm(w) - y; r.mm(r).sqrt() }),
    ("group norm", Convex, |t| t.var("W", &[4, 3]).square().sum_axis(1).sqrt().sum()),
    ("hypot", Convex, |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); x.bin(BinaryOp::Hypot, y + 1.0) }),
    ("sqrt(x^2 + 2x + 5)", Convex, |t| { let x = t.var("x", &[]); (x * x + 2.0 * x + 5.0).sqrt() }),
    ("p-norm", Convex, |t| t.var("x", &[4]).abs().pow(3.0).sum().pow(1.0 / 3.0)),
    ("largest", Convex, |t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); x.mm(w).reduce(ReduceOp::Max) }),
    ("max - min", Convex, |t| { let x = t.var("x", &[4]); x.reduce(ReduceOp::Max) - x.reduce(ReduceOp::Min) }),
    ("max(x, -x)", Convex, |t| { let x = t.var("x", &[]); x.max(-x) }),
    ("sum of two largest", Convex, |t| { let x = t.var("x", &[4]); let s = t.op(Op::Sort { axis: 0, descending: true }, &[x.id]); t.op(Op::Slice { axis: 0, start: Dim::Known(0), len: Dim::Known(2) }, &[s.id]).sum() }),
    ("|x|^3", Convex, |t| t.var("x", &[]).abs().pow(3.0)),
    ("x^4", Convex, |t| t.var("x", &[]).pow(4.0)),
    ("x*x*x on x > 0", Convex, |t| { let x = t.pos("x", &[]); x * x * x }),
    ("1/(xy)", Convex, |t| { let (x, y) = (t.pos("x", &[]), t.pos("y", &[])); 1.0 / (x * y) }),
    ("sum of squares over y", Convex, |t| { let (x, y) = (t.var("x", &[3]), t.pos("y", &[])); x.mm(x) / (y + 1.0) }),
    ("x^3/y^2", Convex, |t| { let (x, y) = (t.pos("x", &[]), t.pos("y", &[])); x.pow(3.0) / y.square() }),
    ("square of positive part", Convex, |t| (t.var("x", &[3]) - 1.0).max0().square().sum()),
    ("hinge", Convex, |t| { let (w, x, y) = (t.var("w", &[3]), t.data("X", &[5, 3]), t.data("t", &[5])); (1.0 - y * x.mm(w)).max0().sum() }),
    ("relative entropy", Convex, |t| { let (p, q) = (t.pos("p", &[3]), t.pos("q", &[3])); (p * (p / q).log()).sum() }),
    ("relative entropy by difference", Convex, |t| { let (p, q) = (t.var("p", &[3]), t.var("q", &[3])); (p * (p.log() - q.log())).sum() }),
    ("entropy to a constant", Convex, |t| { let (p, q) = (t.pos("p", &[3]), t.pos_data("q", &[3])); (p * (p / q).log()).sum() }),
    ("-log barrier", Convex, |t| { let (w, a, b) = (t.var("w", &[3]), t.data("A", &[5, 3]), t.data("b", &[5])); -((b - a.mm(w)).log().sum()) }),
    ("x^1.5", Convex, |t| t.pos("x", &[]).pow(1.5)),
    ("x^-0.5", Convex, |t| t.pos("x", &[]).sqrt().recip()),
    ("2^x", Convex, |t| { let x = t.var("x", &[]); t.num(2.0).bin(BinaryOp::Pow, x) }),
    // Pieces.
    ("huber by where", Convex, |t| { let x = t.var("x", &[3]); let a = x.abs(); a.le(1.5).select(0.5 * x.square(), 1.5 * (a - 0.75)).sum() }),
    ("huber by min", Convex, |t| { let a = t.var("x", &[]).abs(); let m = a.min(t.num(2.0)); m * a - 0.5 * m.square() }),
    ("where(x > 0, x, 0)", Convex, |t| { let x = t.var("x", &[]); let z = t.num(0.0); x.bin(BinaryOp::Gt, z).select(x, z) }),
    ("x*sign(x)", Convex, |t| { let x = t.var("x", &[]) - 0.3; x * x.un(UnaryOp::Sign) }),
    ("epsilon-insensitive", Convex, |t| (t.var("x", &[]).abs() - 0.5).max0()),
    ("quantile", Convex, |t| { let x = t.var("x", &[]); (0.3 * x).max(-0.7 * x) }),
    ("2|x| - max(x, 0)", Convex, |t| { let x = t.var("x", &[]); 2.0 * x.abs() - x.max0() }),
    ("relative entropy, written out", Convex, |t| { let (p, q) = (t.var("p", &[3]), t.var("q", &[3])); (p * p.log() - p * q.log() - p + q).sum() }),
    // Spectral.
    ("inverse form", Convex, |t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); let s = x.tr().mm(x) + 0.1 * t.eye(3); w.mm(t.op(Op::Solve { transposed: false }, &[s.id, w.id])) }),
    ("nuclear norm", Convex, |t| { let (x, b) = (t.var("X", &[3, 2]), t.data("B", &[3, 2])); let d = t.op(Op::Svd, &[(x - b).id]); t.op(Op::Get(1), &[d.id]).sum() }),
    ("spectral norm", Convex, |t| { let x = t.var("X", &[3, 2]); let d = t.op(Op::Svd, &[x.id]); t.op(Op::Get(1), &[d.id]).reduce(ReduceOp::Max) }),
    ("largest eigenvalue", Convex, |t| { let x = t.var("X", &[3, 3]); let d = t.op(Op::Eigh, &[(x + x.tr()).id]); t.op(Op::Get(0), &[d.id]).reduce(ReduceOp::Max) }),
    ("log det", Concave, |t| { let x = t.var_in("X", &[2, 2], -0.5, 0.5); let c = t.op(Op::Cholesky, &[(x + x.tr() + 2.0 * t.eye(2)).id]); 2.0 * t.op(Op::Diagonal, &[c.id]).log().sum() }),
    // Concave.
    ("log x", Concave, |t| t.var("x", &[]).log()),
    ("sqrt(xy)", Concave, |t| { let (x, y) = (t.pos("x", &[]), t.pos("y", &[])); (x * y).sqrt() }),
    ("entropy", Concave, |t| { let p = t.pos("p", &[3]); -((p * p.log()).sum()) }),
    ("min of affine", Concave, |t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); x.mm(w).reduce(ReduceOp::Min) }),
    ("log of sqrt of affine times affine", Concave, |t| { let (x, y) = (t.pos("x", &[]), t.pos("y", &[])); (x.sqrt() * (y + x)).log() }),
    ("1 - exp", Concave, |t| 1.0 - t.var("x", &[]).exp()),
    ("affine gathers", Affine, |t| { let x = t.var("x", &[4]); let i = t.ints(&[3, 1, 1]); (2.0 * x.take(i) - 1.0).sum() }),
];

/// Functions that are not convex (or concave): a proof of either would be false.
const REFUSED: &[(&str, Write)] = &[
    ("xy", |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); x * y }),
    ("x'y", |t| { let (x, y) = (t.var("x", &[3]), t.var("y", &[3])); x.mm(y) }),
    ("x^2 - y^2", |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); x * x - y * y }),
    ("x^2 + 4xy + y^2", |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); x * x + 4.0 * x * y + y * y }),
    ("x^3", |t| t.var("x", &[]).pow(3.0)),
    ("x*x*x", |t| { let x = t.var("x", &[]); x * x * x }),
    ("sin", |t| t.var("x", &[]).un(UnaryOp::Sin)),
    ("sigmoid", |t| t.var("x", &[]).sigmoid()),
    ("tanh of affine", |t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); x.mm(w).un(UnaryOp::Tanh).sum() }),
    ("x log x - 2 x^2 ...", |t| { let x = t.pos("x", &[]); x * x.log() - 2.0 * x.square() }),
    ("1/x without a sign", |t| 1.0 / t.var("x", &[])),
    ("x/y", |t| { let (x, y) = (t.pos("x", &[]), t.pos("y", &[])); x / y }),
    ("x^2/y without a sign", |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); x * x / y }),
    ("(x^2 - 1)/y", |t| { let (x, y) = (t.var("x", &[]), t.pos("y", &[])); (x * x - 1.0) / y }),
    ("exp(-x^2)", |t| (-(t.var("x", &[]).square())).exp()),
    ("sqrt(|x|)", |t| t.var("x", &[]).abs().sqrt()),
    ("sqrt(x^2 - 2xy + 4y)", |t| { let (x, y) = (t.var("x", &[]), t.pos("y", &[])); (x * x - 2.0 * x * y + 4.0 * y).sqrt() }),
    ("square of x^2 - 1", |t| (t.var("x", &[]).square() - 1.0).square()),
    ("||x| - 1|", |t| (t.var("x", &[]).abs() - 1.0).abs()),
    ("x|x|", |t| { let x = t.var("x", &[]); x * x.abs() }),
    ("sign(x)^2", |t| t.var("x", &[]).un(UnaryOp::Sign).square()),
    ("sign(x - 0.3)^2", |t| (t.var("x", &[]) - 0.3).un(UnaryOp::Sign).square()),
    ("step", |t| { let x = t.var("x", &[]); x.le(0.0).select(t.num(1.0), t.num(0.0)) }),
    ("point", |t| { let x = t.var("x", &[]); let z = t.num(0.0); let c = x.bin(BinaryOp::Le, z).bin(BinaryOp::And, x.bin(BinaryOp::Ge, z)); c.select(t.num(5.0), z) }),
    ("spike by equality", |t| { let x = t.var("x", &[]); let z = t.num(0.0); x.bin(BinaryOp::Eq, z).select(t.num(5.0), z) }),
    ("min(x, x^2)", |t| { let x = t.var("x", &[]); x.min(x.square()) }),
    ("min(|x|, 1)", |t| t.var("x", &[]).abs().min(t.num(1.0))),
    ("log(1 + x^2)", |t| (1.0 + t.var("x", &[]).square()).log()),
    ("log sum exp of -x^2", |t| (-(t.var("x", &[3]).square())).lse()),
    ("w'Sw without a sign", |t| { let (w, s) = (t.var("w", &[3]), t.data("S", &[3, 3])); w.mm(s.mm(w)) }),
    ("indefinite literal", |t| { let w = t.var("w", &[2]); let m = t.literal(&[2, 2], &[1.0, 2.0, 2.0, 1.0]); w.mm(m.mm(w)) }),
    ("A'B form", |t| { let (w, a, b) = (t.var("w", &[3]), t.data("A", &[5, 3]), t.data("B", &[5, 3])); w.mm(a.tr().mm(b.mm(w))) }),
    ("gram minus multiple of eye", |t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); w.mm((x.tr().mm(x) - 100.0 * t.eye(3)).mm(w)) }),
    ("matrix factorization", |t| { let (u, v, a) = (t.var("U", &[4, 2]), t.var("V", &[3, 2]), t.data("A", &[4, 3])); (u.mm(v.tr()) - a).square().sum() }),
    ("two layers", |t| { let (w, v, x) = (t.var("W", &[3, 2]), t.var("v", &[2]), t.data("X", &[5, 3])); x.mm(w).max0().mm(v).square().sum() }),
    ("c x^2 with c of unknown sign", |t| { let (x, c) = (t.var("x", &[]), t.data("c", &[])); c * x.square() }),
    ("weights of unknown sign", |t| { let (w, c) = (t.var("w", &[3]), t.data("c", &[3])); (c * w.square()).sum() }),
    ("norm - norm", |t| { let (x, y) = (t.var("x", &[3]), t.var("y", &[3])); x.mm(x).sqrt() - y.mm(y).sqrt() }),
    ("trace(XX)", |t| { let x = t.var("X", &[3, 3]); x.mm(x).trace() }),
    ("0.5-quasinorm", |t| t.var("x", &[4]).abs().pow(0.5).sum().pow(2.0)),
    ("prod", |t| t.var_in("x", &[3], 0.0, f64::INFINITY).reduce(ReduceOp::Prod)),
    ("sum of smallest squared", |t| t.var("x", &[4]).reduce(ReduceOp::Min).square()),
    ("xlogy with x first", |t| { let (x, y) = (t.pos("x", &[]), t.pos("y", &[])); x * y.log() }),
    ("exp x minus exp y", |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); x.exp() - y.exp() }),
    ("log(exp x - exp y)", |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); (x.exp() - y.exp()).log() }),
    ("sqrt(xy) without signs", |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); (x * y).sqrt() }),
    ("sqrt(-x)^2 * x^3", |t| { let x = t.var("x", &[]); (-x).sqrt().square() * x }),
    ("sqrt((-x)^2) * x", |t| { let x = t.var("x", &[]); (-x).square().sqrt() * x }),
    ("gather by the variable", |t| { let x = t.var("x", &[4]); let i = t.op(Op::ArgSort { axis: 0, descending: false }, &[x.id]); let y = t.data("y", &[4]); y.take(i).at(0) + x.square().sum() }),
    ("entropy less a larger cross term", |t| { let (p, q) = (t.var("p", &[3]), t.var("q", &[3])); (p * p.log() - 2.0 * p * q.log()).sum() }),
    ("sum of eigenvalue magnitudes, smallest singular value", |t| { let x = t.var("X", &[3, 2]); let d = t.op(Op::Svd, &[x.id]); t.op(Op::Get(1), &[d.id]).reduce(ReduceOp::Min) }),
    ("inverse form without a sign", |t| { let (w, s) = (t.var("w", &[3]), t.data("S", &[3, 3])); w.mm(t.op(Op::Solve { transposed: false }, &[s.id, w.id])) }),
    ("rosenbrock", |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); (1.0 - x).square() + 100.0 * (y - x.square()).square() }),
];

#[test]
fn proves_what_is_true() {
    let mut missing = Vec::new();
    for (name, want, write) in PROVED {
        let f = function(*write);
        let facts = f.facts();
        let found = facts.curvature(f.out());
        if found != *want {
            let culprit = facts.culprit(f.out(), *want);
            missing.push(format!("{name}: wanted {want:?}, found {found:?}; {culprit:?}"));
        }
    }
    assert!(missing.is_empty(), "{} of {} not proved:\n{}", missing.len(), PROVED.len(), missing.join("\n"));
    assert!(PROVED.len() >= 57);
}

#[test]
fn refuses_what_is_not() {
    let mut wrong = Vec::new();
    for (name, write) in REFUSED {
        let f = function(*write);
        let facts = f.facts();
        if facts.curvature(f.out()) != Unknown {
            wrong.push(format!("{name}: {}", facts.why(f.out()).join("\n  ")));
        }
        let culprit = facts.culprit(f.out(), Convex);
        assert!(culprit.is_some_and(|c| !c.rule.is_empty()), "{name} has no culprit");
    }
    assert!(wrong.is_empty(), "false proofs:\n{}", wrong.join("\n"));
    assert!(REFUSED.len() >= 40);
}

#[test]
fn no_claim_is_refuted_by_points() {
    for (k, (_, _, write)) in PROVED.iter().enumerate() {
        let f = function(*write);
        f.refute(&f.facts(), k as u64, 60);
    }
    for (k, (_, write)) in REFUSED.iter().enumerate() {
        let f = function(*write);
        f.refute(&f.facts(), 1000 + k as u64, 60);
    }
}

/// Where a Lipschitz gradient is claimed, second differences neither grow as the step shrinks (a kink) nor far out (an unbounded bend).
#[test]
fn smooth_claims_hold_on_points() {
    let mut claimed = 0;
    let all = PROVED.iter().map(|(n, _, w)| (*n, *w)).chain(REFUSED.iter().copied());
    for (name, write) in all {
        let f = function(write);
        let facts = f.facts();
        let smooth = facts.function(f.out()).smooth;
        let bends = f.bends();
        if smooth.is_yes() {
            claimed += 1;
            assert!(bends.near < 30.0 && bends.far < 30.0, "{name} is claimed to be smooth: {bends:?}");
        }
    }
    assert!(claimed > 25, "{claimed}");
}

/// The tester itself must be able to fail: a claim that is wrong is refuted.
#[test]
#[should_panic(expected = "claimed convex, refuted")]
fn the_tester_finds_false_claims() {
    // The facts of exp, claimed of the sigmoid: positive and increasing like it, but not convex.
    let read = |op: &str| {
        let graph = gradus_ir::parse(&format!("graph(%0: real) {{\n  %1: real = {op} %0\n  return %1\n}}")).unwrap();
        Function { vars: graph.params().to_vec(), graph, ranges: Vec::new(), names: Vec::new() }
    };
    read("sigmoid").refute(&read("exp").facts(), 3, 200);
}

#[test]
fn random_graphs_are_never_refuted() {
    use gradus_ir::testing::{Options, random_case};
    let options = Options { random: false, linalg: false, steps: 14, ..Options::default() };
    let mut proved = 0;
    for seed in 0..400 {
        let case = random_case(seed, &Options { smooth: seed % 2 == 0, ..options }).unwrap();
        let vars: Vec<_> = case.graph.params()[..3].to_vec();
        let f = Function { graph: case.graph, vars, ranges: Vec::new(), names: Vec::new() };
        let facts = f.facts();
        proved += f.graph.nodes().filter(|(id, _)| matches!(facts.curvature(*id), Convex | Concave)).count();
        f.refute(&facts, seed, 12);
    }
    assert!(proved > 100, "only {proved} nodes of random graphs have a proved curvature");
}
