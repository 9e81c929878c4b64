//! Whole solve loops: what an expert would do by hand is what comes out.

use super::{agree, run};
use crate::{Class, Level, Machine, Options, Rewritten, rewrite, stabilise};
use gradus_ir::build::Build;
use gradus_ir::testing::{Rng, random_array};
use gradus_ir::{Array, DType, Dim, Graph, Loop, NodeId, Op, Origin, ReduceOp, Shape, Trip, Ty};
use std::sync::Arc;

/// `for steps { x = body(x, captures..) }`, the parameters being the initial x and the captures.
fn looped(
    n: usize,
    d: &[usize],
    captures: &[&[usize]],
    body: impl FnOnce(&mut Build<'_>, NodeId, &[NodeId]) -> NodeId,
) -> Graph {
    let o = Origin::default();
    let real = |s: &[usize]| Ty::real(Shape::of(s));
    let mut inner = Graph::new();
    inner.param(Ty::scalar(DType::Int), o);
    let x = inner.param(real(d), o);
    let caps: Vec<NodeId> = captures.iter().map(|s| inner.param(real(s), o)).collect();
    let out = body(&mut Build::new(&mut inner, o), x, &caps);
    inner.outputs = vec![out];
    let mut g = Graph::new();
    let mut ins = vec![g.param(real(d), o)];
    ins.extend(captures.iter().map(|s| g.param(real(s), o)));
    let l = Loop {
        trip: Trip::Count(Dim::from(n)),
        carries: 1,
        scanned: 0,
        collected: 0,
        cond: None,
        body: Arc::new(inner),
        label: "gd".into(),
    };
    let node = g.add(Op::Loop(Box::new(l)), &ins, o).unwrap();
    let out = g.add(Op::Get(1), &[node], o).unwrap();
    g.outputs = vec![out];
    g
}

fn check(g: &Graph, tol: f64) -> Rewritten {
    let r = rewrite(g, Level::Default, &Options::default()).unwrap();
    let mut rng = Rng(3);
    let ins: Vec<Array> =
        g.params().iter().map(|p| random_array(&mut rng, DType::Real, &g.shape(*p).sizes().unwrap())).collect();
    agree(&run(g, &ins), &run(&r.graph, &ins), tol, &format!("{g}\n{}\n{}", r.graph, r.report));
    println!("{}\n{}", r.graph, r.report);
    r
}

fn body_of(g: &Graph) -> Graph {
    g.nodes().find_map(|(_, n)| if let Op::Loop(l) = &n.op { Some((*l.body).clone()) } else { None }).unwrap()
}

fn matmuls(g: &Graph) -> usize {
    let live = g.live();
    g.nodes().filter(|(id, n)| live[id.index()] && matches!(n.op, Op::MatMul)).count()
}

/// x - t/n * A'(A x - b)
fn descent(rows: usize, steps: usize) -> Graph {
    looped(steps, &[5], &[&[rows, 5], &[rows]], |b, x, c| {
        let ax = b.matmul(c[0], x).unwrap();
        let r = b.sub(ax, c[1]).unwrap();
        let two = b.real(2.0 / rows as f64).unwrap();
        let r = b.mul(two, r).unwrap();
        let at = b.swap(c[0]).unwrap();
        let g = b.matmul(at, r).unwrap();
        let t = b.real(0.05).unwrap();
        let s = b.mul(t, g).unwrap();
        b.sub(x, s).unwrap()
    })
}

#[test]
fn least_squares_runs_over_the_gram_matrix() {
    let r = check(&descent(200, 50), 1e-12);
    assert!(r.report.fired("matrix/gram"), "{}", r.report);
    assert!(r.report.fired.iter().any(|f| f.class == Class::Conditioning));
    let body = body_of(&r.graph);
    assert_eq!(matmuls(&body), 1, "{body}");
    assert!(body.params().iter().all(|p| body.shape(*p).dims().first() != Some(&Dim::Known(200))), "{body}");
    assert!(r.report.cost_after < 0.5 * r.report.cost_before);
}

#[test]
fn the_row_vector_spelling_is_found_too() {
    let g = looped(50, &[5], &[&[200, 5], &[200]], |b, x, c| {
        let ax = b.matmul(c[0], x).unwrap();
        let r = b.sub(ax, c[1]).unwrap();
        let g = b.matmul(r, c[0]).unwrap();
        let t = b.real(1e-3).unwrap();
        let s = b.mul(t, g).unwrap();
        b.sub(x, s).unwrap()
    });
    assert!(check(&g, 1e-12).report.fired("matrix/gram"));
}

#[test]
fn a_short_loop_or_a_wide_matrix_keeps_the_data() {
    assert!(!check(&descent(200, 1), 1e-12).report.fired("matrix/gram"));
    assert!(!check(&descent(8, 500), 1e-12).report.fired("matrix/gram"));
}

#[test]
fn strict_keeps_the_floats_and_moves_the_transpose() {
    let g = descent(200, 50);
    let r = rewrite(&g, Level::Strict, &Options::default()).unwrap();
    assert!(!r.report.fired("matrix/gram"));
    assert!(r.report.hoisted >= 1, "{}", r.report);
    assert!(!body_of(&r.graph).nodes().any(|(_, n)| matches!(n.op, Op::Transpose(_))));
    let mut rng = Rng(3);
    let ins: Vec<Array> =
        g.params().iter().map(|p| random_array(&mut rng, DType::Real, &g.shape(*p).sizes().unwrap())).collect();
    agree(&run(&g, &ins), &run(&r.graph, &ins), 0.0, "strict");
}

/// The same loop on a machine whose products of matrices cost a thousand times as much.
#[test]
fn the_machine_decides() {
    let slow = Options { machine: Machine { product: 50.0, ..Machine::default() }, ..Options::default() };
    assert!(!rewrite(&descent(200, 50), Level::Default, &slow).unwrap().report.fired("matrix/gram"));
}

#[test]
fn a_matrix_unknown_has_its_gram_form() {
    let g = looped(60, &[5, 3], &[&[100, 5], &[100, 3]], |b, x, c| {
        let ax = b.matmul(c[0], x).unwrap();
        let r = b.sub(ax, c[1]).unwrap();
        let at = b.swap(c[0]).unwrap();
        let g = b.matmul(at, r).unwrap();
        let t = b.real(1e-3).unwrap();
        let s = b.mul(g, t).unwrap();
        b.sub(x, s).unwrap()
    });
    assert!(check(&g, 1e-12).report.fired("matrix/gram"));
}

#[test]
fn a_scalar_inside_the_product_does_not_hide_it() {
    let g = looped(60, &[5], &[&[100, 5], &[100], &[]], |b, x, c| {
        let ax = b.matmul(c[0], x).unwrap();
        let r = b.sub(ax, c[1]).unwrap();
        let r = b.mul(r, c[2]).unwrap();
        let at = b.swap(c[0]).unwrap();
        let g = b.matmul(at, r).unwrap();
        let t = b.real(1e-3).unwrap();
        let s = b.mul(g, t).unwrap();
        b.sub(x, s).unwrap()
    });
    assert!(check(&g, 1e-12).report.fired("matrix/gram"));
}

#[test]
fn a_low_rank_product_is_never_formed() {
    let g = looped(20, &[80], &[&[80, 2], &[80, 2]], |b, x, c| {
        let vt = b.swap(c[1]).unwrap();
        let m = b.matmul(c[0], vt).unwrap();
        let y = b.matmul(m, x).unwrap();
        b.tanh(y).unwrap()
    });
    let r = check(&g, 1e-12);
    let full = Shape::of(&[80, 80]);
    assert!(r.graph.nodes().all(|(_, n)| n.ty().shape != full), "{}", r.graph);
    assert!(body_of(&r.graph).nodes().all(|(_, n)| n.ty().shape != full));
}

#[test]
fn invariant_work_leaves_nested_loops() {
    let o = Origin::default();
    let v = Ty::real(Shape::of(&[50]));
    let s = Ty::scalar(DType::Real);
    let int = Ty::scalar(DType::Int);
    let mut inner = Graph::new();
    inner.param(int.clone(), o);
    let y = inner.param(s.clone(), o);
    let x = inner.param(v.clone(), o);
    let a = inner.param(v.clone(), o);
    let mut b = Build::new(&mut inner, o);
    let (e, f) = (b.exp(a).unwrap(), b.sin(x).unwrap());
    let p = b.dot(e, f).unwrap();
    let q = b.mul(p, y).unwrap();
    let out = b.tanh(q).unwrap();
    inner.outputs = vec![out];
    let wrap = |body: Graph, carries: usize| Loop {
        trip: Trip::Count(Dim::Known(10)),
        carries,
        scanned: 0,
        collected: 0,
        cond: None,
        body: Arc::new(body),
        label: "for".into(),
    };
    let mut outer = Graph::new();
    outer.param(int, o);
    let x = outer.param(v.clone(), o);
    let a = outer.param(v.clone(), o);
    let mut b = Build::new(&mut outer, o);
    let one = b.real(1.0).unwrap();
    let l = b.op(Op::Loop(Box::new(wrap(inner, 1))), &[one, x, a]).unwrap();
    let y = b.get(l, 1).unwrap();
    let nx = b.mul(x, y).unwrap();
    outer.outputs = vec![nx];
    let mut g = Graph::new();
    let x = g.param(v.clone(), o);
    let a = g.param(v, o);
    let mut b = Build::new(&mut g, o);
    let l = b.op(Op::Loop(Box::new(wrap(outer, 1))), &[x, a]).unwrap();
    let out = b.get(l, 1).unwrap();
    g.outputs = vec![out];
    let r = check(&g, 1e-12);
    let outer = body_of(&r.graph);
    let inner = body_of(&outer);
    let has = |g: &Graph, u| g.nodes().any(|(_, n)| n.op == Op::Unary(u));
    use gradus_ir::UnaryOp::{Exp, Sin};
    assert!(has(&r.graph, Exp) && !has(&outer, Exp) && !has(&inner, Exp));
    assert!(has(&outer, Sin) && !has(&inner, Sin));
    assert!(!inner.nodes().any(|(_, n)| n.op.name() == "reduce_sum" || n.op.name() == "matmul"), "{inner}");
}

#[test]
fn a_carry_that_never_changes_is_no_carry() {
    let o = Origin::default();
    let s = Ty::scalar(DType::Real);
    let mut body = Graph::new();
    body.param(Ty::scalar(DType::Int), o);
    let x = body.param(s.clone(), o);
    let k = body.param(s.clone(), o);
    let dead = body.param(s.clone(), o);
    let mut b = Build::new(&mut body, o);
    let e = b.exp(k).unwrap();
    let nx = b.add(x, e).unwrap();
    let nd = b.exp(dead).unwrap();
    body.outputs = vec![nx, k, nd];
    let mut g = Graph::new();
    let ins: Vec<NodeId> = (0..3).map(|_| g.param(s.clone(), o)).collect();
    let l = Loop {
        trip: Trip::Count(Dim::Known(7)),
        carries: 3,
        scanned: 0,
        collected: 0,
        cond: None,
        body: Arc::new(body),
        label: "for".into(),
    };
    let mut b = Build::new(&mut g, o);
    let l = b.op(Op::Loop(Box::new(l)), &ins).unwrap();
    let (p, q) = (b.get(l, 1).unwrap(), b.get(l, 2).unwrap());
    g.outputs = vec![p, q];
    let r = check(&g, 1e-12);
    assert!(!body_of(&r.graph).nodes().any(|(_, n)| n.op.name() == "exp"), "{}", r.graph);
    assert_eq!(body_of(&r.graph).outputs.len(), 1);
}

#[test]
fn an_index_that_may_fault_stays_in_a_loop_that_may_not_run() {
    let o = Origin::default();
    let mut body = Graph::new();
    body.param(Ty::scalar(DType::Int), o);
    let x = body.param(Ty::scalar(DType::Real), o);
    let v = body.param(Ty::real(Shape::of(&[4])), o);
    let i = body.param(Ty::scalar(DType::Int), o);
    let mut b = Build::new(&mut body, o);
    let t = b.take(v, i, 0).unwrap();
    let nx = b.add(x, t).unwrap();
    body.outputs = vec![nx];
    let mut cond = Graph::new();
    cond.param(Ty::scalar(DType::Int), o);
    let x = cond.param(Ty::scalar(DType::Real), o);
    cond.param(Ty::real(Shape::of(&[4])), o);
    cond.param(Ty::scalar(DType::Int), o);
    let mut b = Build::new(&mut cond, o);
    let zero = b.real(0.0).unwrap();
    let c = b.gt(x, zero).unwrap();
    cond.outputs = vec![c];
    let mut g = Graph::new();
    let ins = vec![
        g.param(Ty::scalar(DType::Real), o),
        g.param(Ty::real(Shape::of(&[4])), o),
        g.param(Ty::scalar(DType::Int), o),
    ];
    let l = Loop {
        trip: Trip::While { limit: Dim::Known(50) },
        carries: 1,
        scanned: 0,
        collected: 0,
        cond: Some(Arc::new(cond)),
        body: Arc::new(body),
        label: "while".into(),
    };
    let mut b = Build::new(&mut g, o);
    let l = b.op(Op::Loop(Box::new(l)), &ins).unwrap();
    let out = b.get(l, 1).unwrap();
    g.outputs = vec![out];
    let r = rewrite(&g, Level::Default, &Options::default()).unwrap();
    let index = Array { dtype: DType::Int, shape: vec![], data: Arc::new(vec![9.0]) };
    let out = run(&r.graph, &[Array::scalar(-1.0), Array::vector(vec![0.0; 4]), index]);
    assert_eq!(out[0].data[0], -1.0);
}

#[test]
fn sums_do_not_explode() {
    // Sixty values added in every grouping would be more forms than atoms; here they are one.
    let g = looped(10, &[4], &[&[4], &[4], &[4]], |b, x, c| {
        let mut acc = x;
        for k in 0..60 {
            let s = b.sin(acc).unwrap();
            let t = b.mul(s, c[k % 3]).unwrap();
            acc = if k % 7 == 0 { b.sub(acc, t).unwrap() } else { b.add(acc, t).unwrap() };
        }
        acc
    });
    let sea = crate::import::import(&g, &mut |op, _| Ok(op.clone())).unwrap();
    let (mut space, _) = crate::load::load(&sea, true).unwrap();
    let before = space.graph.total_size();
    crate::saturate::saturate(&mut space, &crate::saturate::only(&crate::rules::all()), 1_000_000);
    assert!(space.graph.total_size() < 3 * before, "{} of {before}", space.graph.total_size());
    check(&g, 1e-10);
}

#[test]
fn stabilise_makes_the_loss_of_logistic_regression_finite() {
    let o = Origin::default();
    let mut g = Graph::new();
    let x = g.param(Ty::real(Shape::of(&[3])), o);
    let mut b = Build::new(&mut g, o);
    let nx = b.neg(x).unwrap();
    let e = b.exp(nx).unwrap();
    let one = b.real(1.0).unwrap();
    let s = b.add(one, e).unwrap();
    let l = b.log(s).unwrap();
    let total = b.sum_all(l).unwrap();
    g.outputs = vec![total];
    let r = stabilise(&g);
    assert!(r.report.fired("stable/log-add-exp"));
    let out = run(&r.graph, &[Array::vector(vec![-1000.0, 0.0, 1000.0])]);
    assert!((out[0].data[0] - (1000.0 + std::f64::consts::LN_2)).abs() < 1e-12);
}

#[test]
fn off_changes_nothing_and_small_graphs_are_left_alone() {
    let g = descent(200, 50);
    let r = rewrite(&g, Level::Off, &Options::default()).unwrap();
    assert_eq!(r.graph.to_string(), g.to_string());
    assert_eq!(r.report.cost_before, r.report.cost_after);
    let without = Options { without: vec!["matrix/gram".into()], ..Options::default() };
    assert!(!rewrite(&g, Level::Default, &without).unwrap().report.fired("matrix/gram"));
}

#[test]
fn the_value_uses_the_gram_matrix_only_when_asked() {
    let g = looped(80, &[5], &[&[300, 5], &[300]], |b, x, c| {
        let ax = b.matmul(c[0], x).unwrap();
        let r = b.sub(ax, c[1]).unwrap();
        let q = b.square(r).unwrap();
        let f = b.sum_all(q).unwrap();
        let k = b.real(1e-3).unwrap();
        let f = b.mul(k, f).unwrap();
        let f = b.tanh(f).unwrap();
        b.mul(x, f).unwrap()
    });
    assert!(!check(&g, 1e-12).report.fired("matrix/gram-value"));
    let asked = Options { gram_value: true, ..Options::default() };
    let r = rewrite(&g, Level::Default, &asked).unwrap();
    assert!(r.report.fired("matrix/gram-value"), "{}", r.report);
    let mut rng = Rng(3);
    let ins: Vec<Array> =
        g.params().iter().map(|p| random_array(&mut rng, DType::Real, &g.shape(*p).sizes().unwrap())).collect();
    agree(&run(&g, &ins), &run(&r.graph, &ins), 1e-9, "gram value");
}

#[test]
fn branches_in_a_loop_are_rewritten_too() {
    let o = Origin::default();
    let m = Ty::real(Shape::of(&[40, 40]));
    let v = Ty::real(Shape::of(&[40]));
    let branch = |product: bool| {
        let mut g = Graph::new();
        let (a, x) = (g.param(m.clone(), o), g.param(v.clone(), o));
        let mut b = Build::new(&mut g, o);
        let out = if product {
            let aa = b.matmul(a, a).unwrap();
            b.matmul(aa, x).unwrap()
        } else {
            b.tanh(x).unwrap()
        };
        g.outputs = vec![out];
        Arc::new(g)
    };
    let g = looped(100, &[40], &[&[40, 40]], |b, x, c| {
        let s = b.sum_all(x).unwrap();
        let zero = b.real(0.0).unwrap();
        let p = b.gt(s, zero).unwrap();
        let y = b.op(Op::Cond { then: branch(true), other: branch(false) }, &[p, c[0], x]).unwrap();
        let y = if b.graph.node(y).tys.len() == 1 { b.get(y, 0).unwrap() } else { y };
        b.tanh(y).unwrap()
    });
    let r = check(&g, 1e-10);
    assert!(r.report.fired("matrix/right"), "{}", r.report);
}

#[test]
fn a_definite_matrix_is_factored_once() {
    // x = (A'A + 2 I)^-1 (A'b + x), as in the method of multipliers.
    let g = looped(40, &[20], &[&[60, 20], &[60]], |b, x, c| {
        let at = b.swap(c[0]).unwrap();
        let gram = b.matmul(at, c[0]).unwrap();
        let two = b.full(2.0, &Shape::of(&[20])).unwrap();
        let shift = b.op(Op::DiagMatrix, &[two]).unwrap();
        let m = b.add(gram, shift).unwrap();
        let ab = b.matmul(at, c[1]).unwrap();
        let r = b.add(ab, x).unwrap();
        b.op(Op::Solve { transposed: false }, &[m, r]).unwrap()
    });
    let r = check(&g, 1e-11);
    assert!(r.report.fired("matrix/factor-once"), "{}", r.report);
    let body = body_of(&r.graph);
    assert!(body.nodes().all(|(_, n)| !matches!(n.op, Op::Solve { .. } | Op::Qr)), "{body}");
}

/// The parameter is a vector of three.
fn of_three(f: impl FnOnce(&mut Build<'_>, NodeId) -> NodeId) -> Graph {
    let mut g = Graph::new();
    let x = g.param(Ty::real(Shape::of(&[3])), Origin::default());
    let out = f(&mut Build::new(&mut g, Origin::default()), x);
    g.outputs = vec![out];
    g
}

#[test]
fn a_softmax_written_out_does_not_overflow() {
    let g = of_three(|b, x| {
        let e = b.exp(x).unwrap();
        let s = b.sum_all(e).unwrap();
        b.bin(gradus_ir::BinaryOp::Div, e, s).unwrap()
    });
    let r = rewrite(&g, Level::Default, &Options::default()).unwrap();
    assert!(r.report.fired("stable/softmax"), "{}", r.report);
    let out = run(&r.graph, &[Array::vector(vec![800.0, 801.0, -900.0])]);
    let q = 1.0 / (1.0 + std::f64::consts::E);
    assert!((out[0].data[0] - q).abs() < 1e-12 && (out[0].data[1] - (1.0 - q)).abs() < 1e-12 && out[0].data[2] == 0.0, "{out:?}");
    assert!(run(&g, &[Array::vector(vec![800.0, 801.0, -900.0])])[0].data[0].is_nan());
    // Its derivative too.
    let stable = stabilise(&g).graph;
    assert!(stable.to_string().contains("logsumexp"), "{stable}");
    let strict = rewrite(&g, Level::Strict, &Options::default()).unwrap();
    assert!(!strict.report.fired("stable/softmax"));
}

#[test]
fn a_softmax_that_is_shifted_stays_as_it_is() {
    let g = of_three(|b, x| {
        let top = b.reduce(ReduceOp::Max, x, &[0]).unwrap();
        let d = b.sub(x, top).unwrap();
        let e = b.exp(d).unwrap();
        let s = b.sum_all(e).unwrap();
        b.bin(gradus_ir::BinaryOp::Div, e, s).unwrap()
    });
    assert!(!rewrite(&g, Level::Default, &Options::default()).unwrap().report.fired("stable/softmax"));
}

/// The products of sums that flattening makes are not too long for the rules.
#[test]
fn long_sums_are_searched() {
    let o = Origin::default();
    for n in [60, 64, 66, 100, 127, 128] {
        let mut g = Graph::new();
        let s = g.param(Ty::scalar(DType::Real), o);
        let xs: Vec<NodeId> = (0..n).map(|_| g.param(Ty::real(Shape::of(&[2000])), o)).collect();
        let mut b = Build::new(&mut g, o);
        let mut total = None;
        for x in &xs {
            let t = b.mul(s, *x).unwrap();
            total = Some(match total {
                None => t,
                Some(a) => b.add(a, t).unwrap(),
            });
        }
        g.outputs = vec![total.unwrap()];
        let r = rewrite(&g, Level::Default, &Options::default()).unwrap();
        assert!(r.report.fired("algebra/factor-common"), "{n}: {}", r.report);
        assert!(r.report.cost_after < 0.9 * r.report.cost_before, "{n}: {}", r.report);
    }
}

#[test]
fn flattening_stops_at_its_bound() {
    let o = Origin::default();
    for (n, product) in [(300, false), (300, true)] {
        let mut g = Graph::new();
        let xs: Vec<NodeId> = (0..n).map(|_| g.param(Ty::scalar(DType::Real), o)).collect();
        let mut b = Build::new(&mut g, o);
        // A balanced tree: the longest list of what is left to look at.
        let mut row = xs;
        while row.len() > 1 {
            row = row
                .chunks(2)
                .map(|p| match p {
                    [x, y] => if product { b.mul(*x, *y) } else { b.add(*x, *y) }.unwrap(),
                    p => p[0],
                })
                .collect();
        }
        g.outputs = row;
        let sea = crate::import::import(&g, &mut |op, _| Ok(op.clone())).unwrap();
        let (space, _) = crate::load::load(&sea, true).unwrap();
        let longest = space.graph.classes().flat_map(|c| &c.nodes).map(|n| n.kids.len()).max().unwrap();
        assert!(longest > 32 && longest <= crate::normal::LONGEST, "{longest}");
    }
}
