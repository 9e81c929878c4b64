//! What the summary of a function says: smoothness, strong convexity, separability, bilinearity, and its line of text.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{E, Function, T};
use gradus_facts::{Assume, Curvature, Function as Known, Interval, Oracle, Tri, analyze, analyze_assuming};
use gradus_ir::{Array, BinaryOp, NodeId, Op, UnaryOp};

fn function(write: for<'t> fn(&'t T) -> E<'t>) -> Function {
    let t = T::new();
    let out = write(&t);
    t.build(out)
}

fn line(f: &Function) -> String {
    f.facts().function(f.out()).to_string()
}

fn residual<'t>(t: &'t T) -> (E<'t>, E<'t>) {
    let (w, x, y) = (t.var("w", &[3]), t.data("X", &[5, 3]), t.data("y", &[5]));
    (w, x.mm(w) - y)
}

#[test]
fn lines() {
    let cases: &[(for<'t> fn(&'t T) -> E<'t>, &str)] = &[
        (|t| residual(t).1.square().sum() / 10.0, "convex (sum of squares of an affine map), smooth, quadratic"),
        (|t| { let (w, r) = residual(t); r.square().sum() + 0.5 * w.mm(w) }, "convex (sum of squares of an affine map), smooth, quadratic, strongly convex (modulus 1)"),
        (|t| t.var("w", &[3]).abs().sum(), "convex (abs of an affine value), nonsmooth, separable"),
        (|t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); x.mm(w).softplus().sum() }, "convex (softplus of an affine value), smooth"),
        (|t| t.var("z", &[4]).exp().sum().log(), "convex (logarithm of sums, products and powers of exponentials), smooth"),
        (|t| 3.0 * t.var("z", &[4]).sum() + 1.0, "affine"),
        (|t| { let (x, y) = (t.var("x", &[3]), t.var("y", &[3])); x.mm(y) }, "not known to be convex or concave, smooth, quadratic, bilinear"),
        (|t| t.pos("p", &[3]).log().sum(), "concave (log of an affine value), differentiable, separable"),
        (|t| residual(t).1.square().sum().sqrt(), "convex (euclidean norm of an affine map)"),
        (|t| t.var("w", &[3]).square().sum().sqrt(), "convex (euclidean norm of an affine map), nonsmooth"),
        (|t| (t.var("w", &[3]).square().sum() + 0.01).sqrt(), "convex (euclidean norm of an affine map), smooth"),
        (|t| { let (w, r) = residual(t); (-r).softplus().sum() / 5.0 + 0.01 * w.mm(w) }, "convex (softplus of an affine value + sum of squares of an affine map), smooth, strongly convex (modulus 0.02)"),
        (|t| t.var("w", &[3]).exp().sum(), "convex (exp of an affine value), differentiable, separable"),
    ];
    let mut wrong = Vec::new();
    for (write, want) in cases {
        let found = line(&function(*write));
        if found != *want {
            wrong.push(format!("wanted {want}\n found {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn smoothness_of_pieces_and_losses() {
    let smooth: &[for<'t> fn(&'t T) -> E<'t>] = &[
        |t| { let (_, r) = residual(t); let a = r.abs(); a.le(1.5).select(0.5 * r.square(), 1.5 * (a - 0.75)).sum() },
        |t| (t.var("x", &[3]) - 1.0).max0().square().sum(),
        |t| { let (w, x, y) = (t.var("W", &[3, 4]), t.data("X", &[5, 3]), t.data("Y", &[5, 4])); let z = x.mm(w); (z.lse_axis(1) - (z * y).sum_axis(1)).sum() },
        |t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); -(x.mm(w).sigmoid().log().sum()) },
        |t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); x.mm(w).un(UnaryOp::Tanh).sum() },
        |t| { let x = t.var("x", &[]); x.sigmoid() * x.un(UnaryOp::Sin) },
    ];
    for (k, w) in smooth.iter().enumerate() {
        let f = function(*w);
        let facts = f.facts();
        assert_eq!(facts.function(f.out()).smooth, Tri::Yes, "{k}: {:?}", facts.function(f.out()).rough);
    }
    let kinks: &[for<'t> fn(&'t T) -> E<'t>] = &[
        |t| t.var("x", &[3]).max0().sum(),
        |t| { let x = t.var("x", &[]); x.max(2.0 * x + 1.0) },
        |t| residual(t).1.abs().sum(),
    ];
    for w in kinks {
        let f = function(*w);
        let s = f.facts().function(f.out());
        assert_eq!(s.smooth, Tri::No);
        assert!(s.rough.is_some());
    }
    // Kinks that may vanish are not claimed.
    let open: &[for<'t> fn(&'t T) -> E<'t>] = &[
        |t| t.var("x", &[]).abs().un(UnaryOp::Cosh),
        |t| { let (x, c) = (t.var("x", &[]), t.data("c", &[])); c * x.abs() },
        |t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); y * x.abs() },
    ];
    for w in open {
        let f = function(*w);
        assert_eq!(f.facts().function(f.out()).differentiable, Tri::Unknown);
    }
    let f = function(|t| t.var("x", &[]).exp());
    assert_eq!(f.facts().function(f.out()).smooth, Tri::Unknown);
}

#[test]
fn strong_convexity() {
    let strong = |w: for<'t> fn(&'t T) -> E<'t>| {
        let f = function(w);
        f.facts().function(f.out()).strongly_convex
    };
    let s = strong(|t| residual(t).1.square().sum());
    assert_eq!(s.is, Tri::Unknown);
    let s = strong(|t| { let (w, r) = residual(t); (-r).softplus().sum() + 0.01 * w.square().sum() });
    assert_eq!((s.is, s.modulus), (Tri::Yes, Some(0.02)));
    // The weight is a constant of unknown number: strongly convex, the modulus hangs on it.
    let s = strong(|t| { let (w, r) = residual(t); let l = t.pos_data("l", &[]); r.square().sum() + l * w.square().sum() });
    assert_eq!((s.is, s.modulus), (Tri::Yes, None));
    assert!(s.node.is_some());
    // Only one of two variables has its square.
    let s = strong(|t| { let (w, r) = residual(t); let b = t.var("b", &[]); (r + b).square().sum() + w.square().sum() });
    assert_eq!(s.is, Tri::Unknown);
    // The square that a cross term takes away does not count.
    let s = strong(|t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); x * x - 2.0 * x * y + y * y });
    assert_eq!(s.is, Tri::Unknown);
    let s = strong(|t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); 2.0 * x * x - 2.0 * x * y + 2.0 * y * y });
    assert_eq!(s.is, Tri::Yes);
    // Hessian [[4, -2], [-2, 4]]: the true modulus is 2, and what is claimed must not exceed it.
    assert!(s.modulus.is_some_and(|m| m > 0.5 && m <= 2.0 + 1e-9), "{s:?}");
    let s = strong(|t| { let (w, x) = (t.var("w", &[3]), t.data("X", &[5, 3])); let s = x.tr().mm(x) + 0.1 * t.eye(3); w.mm(s.mm(w)) });
    assert_eq!(s.is, Tri::Yes);
    assert_eq!(strong(|t| t.var("x", &[3]).sum()).is, Tri::No);
    assert_eq!(strong(|t| t.var("x", &[3]).abs().sum()).is, Tri::Unknown);
}

#[test]
fn separability_and_bilinearity() {
    let sep = |w: for<'t> fn(&'t T) -> E<'t>| {
        let f = function(w);
        f.facts().function(f.out()).separable
    };
    assert_eq!(sep(|t| { let w = t.var("w", &[3]); w.mm(w) + 2.0 * w.abs().sum() }), Tri::Yes);
    assert_eq!(sep(|t| { let (w, c) = (t.var("w", &[3]), t.data("c", &[3])); (c * (w - 1.0).square()).sum() + c.mm(w) }), Tri::Yes);
    assert_eq!(sep(|t| { let (x, y) = (t.var("x", &[3]), t.var("y", &[])); x.exp().sum() + y * y }), Tri::Yes);
    assert_eq!(sep(|t| { let w = t.var("w", &[3]); w.sum().square() }), Tri::Unknown);
    assert_eq!(sep(|t| { let (x, y) = (t.var("x", &[3]), t.var("y", &[3])); (x - y).square().sum() }), Tri::Unknown);
    assert_eq!(sep(|t| residual(t).1.square().sum()), Tri::Unknown);
    let f = function(|t| { let (x, y, a) = (t.var("x", &[3]), t.var("y", &[5]), t.data("A", &[5, 3])); y.mm(a.mm(x)) + x.sum() });
    assert_eq!(f.facts().function(f.out()).bilinear, Tri::Yes);
    let f = function(|t| { let (x, y) = (t.var("x", &[3]), t.var("y", &[3])); x.mm(y) + x.mm(x) });
    assert_eq!(f.facts().function(f.out()).bilinear, Tri::Unknown);
}

struct Table(Vec<(NodeId, Array)>);

impl Oracle for Table {
    fn value(&self, node: NodeId) -> Option<&Array> {
        self.0.iter().find(|(n, _)| *n == node).map(|(_, a)| a)
    }
}

#[test]
fn numbers_decide_what_structure_does_not() {
    let t = T::new();
    let (w, s, c) = (t.var("w", &[2]), t.data("S", &[2, 2]), t.data("c", &[]));
    let out = c * w.mm(s.mm(w));
    let f = t.build(out);
    assert_eq!(analyze(&f.graph, &f.vars).curvature(f.out()), Curvature::Unknown);
    let with = |m: [f64; 4], c_value: f64| {
        let table = Table(vec![(s.id, Array::new(gradus_ir::DType::Real, vec![2, 2], m.to_vec()).unwrap()), (c.id, Array::scalar(c_value))]);
        let assume = Assume { oracle: Some(&table), ..Assume::default() };
        analyze_assuming(&f.graph, &f.vars, assume).curvature(f.out())
    };
    assert_eq!(with([2.0, 1.0, 1.0, 2.0], 3.0), Curvature::Convex);
    assert_eq!(with([2.0, 1.0, 1.0, 2.0], -3.0), Curvature::Concave);
    // Only the symmetric part counts; here it is positive semidefinite with a zero eigenvalue.
    assert_eq!(with([1.0, 2.0, 0.0, 1.0], 1.0), Curvature::Convex);
    assert_eq!(with([1.0, 2.1, 0.0, 1.0], 1.0), Curvature::Unknown);
    assert_eq!(with([-1.0, 0.0, 0.0, -2.0], 1.0), Curvature::Concave);
}

#[test]
fn sets_give_signs() {
    let t = T::new();
    let (x, y) = (t.var("x", &[]), t.var("y", &[]));
    let out = x * x / y;
    let f = t.build(out);
    assert_eq!(analyze(&f.graph, &f.vars).curvature(f.out()), Curvature::Unknown);
    let assume = Assume { ranges: [(y.id, Interval::NONNEGATIVE)].into_iter().collect(), ..Assume::default() };
    assert_eq!(analyze_assuming(&f.graph, &f.vars, assume).curvature(f.out()), Curvature::Convex);
    // In one of the two it is convex by itself.
    assert_eq!(analyze(&f.graph, &[y.id]).curvature(f.out()), Curvature::Unknown);
}

#[test]
fn culprits_are_innermost() {
    let culprit = |w: for<'t> fn(&'t T) -> E<'t>| {
        let f = function(w);
        f.facts().culprit(f.out(), Curvature::Convex).map(|c| (c.expression, c.rule))
    };
    let (at, rule) = culprit(|t| { let (w, r) = residual(t); r.square().sum() / 10.0 + 0.1 * w.un(UnaryOp::Sin).sum() }).unwrap();
    assert_eq!(at, "sin(w)");
    assert!(rule.contains("neither convex nor concave"), "{rule}");
    let (at, _) = culprit(|t| { let (u, v) = (t.var("u", &[3]), t.var("v", &[3])); ((u * v).sum() - 1.0).exp() }).unwrap();
    assert_eq!(at, "u * v");
    let (at, rule) = culprit(|t| { let w = t.var("w", &[3]); w.square().sum() + (w.square().sum() + 1.0).log() }).unwrap();
    assert!(at.starts_with("log(") && rule.contains("concave"), "{at}: {rule}");
    let (at, rule) = culprit(|t| { let (w, c) = (t.var("w", &[3]), t.data("c", &[])); w.square().sum() + c * w.abs().sum() }).unwrap();
    assert!(at == "c * sum(abs(w))" && rule.contains("sign of the constant factor `c`"), "{at}: {rule}");
    let (at, rule) = culprit(|t| (t.var("w", &[3]).square() - 1.0).square().sum()).unwrap();
    assert!(at == "(w^2 - 1)^2" && rule.contains("argument must be affine; it is convex"), "{at}: {rule}");
    let (at, rule) = culprit(|t| (-(t.var("w", &[3]).square().sum())).exp()).unwrap();
    assert!(at.starts_with("exp(") && rule.contains("argument must be convex; it is concave"), "{at}: {rule}");
    let none = culprit(|t| t.var("w", &[3]).abs().sum());
    assert_eq!(none, None);
}

#[test]
fn derivations_read_from_the_outside_in() {
    let f = function(|t| { let (w, r) = residual(t); r.square().sum() / 10.0 + 0.1 * w.abs().sum() });
    let why = f.facts().why(f.out());
    assert!(why[0].contains("is convex: sum of convex terms"), "{why:#?}");
    let all = why.join("\n");
    assert!(all.contains("sum of squares of an affine map") && all.contains("`abs(w)` is convex: abs of an affine value"), "{all}");
    assert!(all.contains("`X @ w - y` is affine"), "{all}");
}

#[test]
fn composites() {
    let parts = |w: for<'t> fn(&'t T) -> E<'t>| -> Option<Vec<(Known, f64, f64, String)>> {
        let f = function(w);
        let facts = f.facts();
        let c = facts.decompose(f.out())?;
        Some(c.parts.iter().map(|p| (p.function.clone(), p.scale.number, p.inner, facts.expression(p.affine))).collect())
    };
    let found = parts(|t| { let (w, r) = residual(t); r.square().sum() / 10.0 + 0.3 * w.abs().sum() }).unwrap();
    assert_eq!(found, [(Known::SumSquares, 0.1, 1.0, "X @ w - y".into()), (Known::Absolute, 0.3, 1.0, "w".into())]);
    let found = parts(|t| { let (w, r) = residual(t); (-r).softplus().sum() / 5.0 + w.mm(w) * 0.5 }).unwrap();
    assert_eq!(found[0].0, Known::Logistic);
    assert_eq!((&found[1].0, found[1].1), (&Known::SumSquares, 0.5));
    for w in [
        (|t| { let (_, r) = residual(t); (1.0 + r.exp()).log().sum() }) as for<'t> fn(&'t T) -> E<'t>,
        |t| { let (_, r) = residual(t); r.exp().un(UnaryOp::Log1p).sum() },
        |t| { let (_, r) = residual(t); -(r.sigmoid().log().sum()) },
    ] {
        let found = parts(w).unwrap();
        assert_eq!((found.len(), &found[0].0), (1, &Known::Logistic), "{found:?}");
        assert!(found[0].1 * 1.0 == 1.0 && found[0].3 == "X @ w - y");
    }
    let found = parts(|t| { let (_, r) = residual(t); let a = r.abs(); 2.0 * a.le(1.5).select(0.5 * r.square(), 1.5 * (a - 0.75)).sum() }).unwrap();
    assert_eq!(found, [(Known::Huber { delta: 1.5 }, 2.0, 1.0, "X @ w - y".into())]);
    let found = parts(|t| { let (w, x, y) = (t.var("W", &[3, 4]), t.data("X", &[5, 3]), t.data("Y", &[5, 4])); let z = x.mm(w); (z.lse_axis(1) - (z * y).sum_axis(1)).sum() }).unwrap();
    assert_eq!((&found[0].0, &found[1].0), (&Known::LogSumExp(vec![1]), &Known::Linear));
    assert_eq!(found[1].1, -1.0);
    // A constant of the graph as the scale.
    let t = T::new();
    let (w, l) = (t.var("w", &[3]), t.data("l", &[]));
    let n = t.op(Op::DimValue(gradus_ir::Dim::sym("n")), &[]);
    let out = l * (w - 1.0).square().sum() / n;
    let f = t.build(out);
    let c = analyze(&f.graph, &f.vars).decompose(f.out()).unwrap();
    assert_eq!((c.parts[0].scale.times.as_slice(), c.parts[0].scale.over.len()), ([l.id].as_slice(), 1));
    assert_eq!(parts(|t| t.var("x", &[3]).un(UnaryOp::Sin).sum()), None);
    assert_eq!(parts(|t| { let (x, y) = (t.var("x", &[]), t.var("y", &[])); x.bin(BinaryOp::Mul, y) }), None);
}

/// The value is the sum of the parts, by the reference interpreter.
#[test]
fn composites_add_up() {
    use gradus_ir::reference;
    use gradus_ir::testing::{Rng, random_array};
    let f = function(|t| {
        let (w, r) = residual(t);
        let l = t.pos_data("l", &[]);
        r.square().sum() / 10.0 + l * w.abs().sum() + (2.0 - r).softplus().sum() - 0.5 * w.sum() + w.mm(w).sqrt() + 3.0
    });
    let facts = f.facts();
    let c = facts.decompose(f.out()).unwrap();
    let mut rng = Rng(4);
    let inputs: Vec<Array> = f.graph.params().iter().map(|p| random_array(&mut rng, gradus_ir::DType::Real, &f.graph.shape(*p).sizes().unwrap())).collect();
    let values = reference::run_all(&f.graph, &inputs).unwrap();
    let of = |n: NodeId| &values[n.index()][0].data;
    let mut total = c.constant;
    let scale = |s: &gradus_facts::Scale| s.times.iter().map(|n| of(*n)[0]).product::<f64>() * s.number / s.over.iter().map(|n| of(*n)[0]).product::<f64>();
    for (s, n) in &c.constants {
        total += scale(s) * of(*n).iter().sum::<f64>();
    }
    for p in &c.parts {
        let u: Vec<f64> = of(p.affine).iter().map(|x| x * p.inner).collect();
        let g: f64 = match p.function {
            Known::Linear => u.iter().sum(),
            Known::SumSquares => u.iter().map(|x| x * x).sum(),
            Known::Logistic => u.iter().map(|x| x.exp().ln_1p()).sum(),
            Known::Absolute => u.iter().map(|x| x.abs()).sum(),
            Known::Norm => u.iter().map(|x| x * x).sum::<f64>().sqrt(),
            ref other => panic!("{other:?}"),
        };
        total += scale(&p.scale) * g;
    }
    let want = of(f.out())[0];
    assert!((total - want).abs() < 1e-12 * want.abs().max(1.0), "{total} against {want}");
    assert_eq!(c.parts.len(), 5);
}
