//! Loops against the same steps written out; branches; nesting.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{array, check, check_third, close, gradient, literal, reals, region, run, scalar};
use gradus_grad::{GradError, grad, jvp, vjp};
use gradus_ir::build::Build;
use gradus_ir::testing::{Rng, random_array};
use gradus_ir::{Array, DType, Dim, Graph, IrResult, Loop, NodeId, Op, Origin, Shape, Trip, Ty};
use std::sync::Arc;

type Step<'a> = &'a dyn Fn(&mut Build, &[NodeId]) -> IrResult<Vec<NodeId>>;

/// A region with parameters of these types.
fn inner(tys: &[Ty], f: Step) -> Arc<Graph> {
    let mut g = Graph::new();
    let params: Vec<NodeId> = tys.iter().map(|t| g.param(t.clone(), Origin::default())).collect();
    g.outputs = f(&mut Build::new(&mut g, Origin::default()), &params).unwrap();
    Arc::new(g)
}

struct Spec<'a> {
    trip: Trip,
    carries: &'a [NodeId],
    scanned: &'a [NodeId],
    captured: &'a [NodeId],
    cond: Option<Step<'a>>,
    body: Step<'a>,
}

/// All outputs of the loop.
fn looped(b: &mut Build, s: Spec) -> IrResult<Vec<NodeId>> {
    let ty = |id: &NodeId| b.graph.ty(*id).clone();
    let int = Ty::scalar(DType::Int);
    let slices = s.scanned.iter().map(|i| Ty::new(ty(i).dtype, ty(i).shape.without(0)));
    let head: Vec<Ty> = std::iter::once(int).chain(s.carries.iter().map(ty)).collect();
    let body_tys: Vec<Ty> = head.iter().cloned().chain(slices).chain(s.captured.iter().map(ty)).collect();
    let cond_tys: Vec<Ty> = head.iter().cloned().chain(s.captured.iter().map(ty)).collect();
    let body = inner(&body_tys, s.body);
    let op = Loop {
        trip: s.trip,
        carries: s.carries.len(),
        scanned: s.scanned.len(),
        collected: body.outputs.len() - s.carries.len(),
        cond: s.cond.map(|c| inner(&cond_tys, c)),
        body,
        label: "test".into(),
    };
    let n = 1 + op.carries + op.collected;
    let l = b.op(Op::Loop(Box::new(op)), &[s.carries, s.scanned, s.captured].concat())?;
    (0..n).map(|k| b.get(l, k)).collect()
}

/// Value, gradient, Hessian-vector products both ways of two graphs that should be the same function.
fn same_function(a: &Graph, b: &Graph, inputs: &[Array], what: &str) {
    close(&run(a, inputs), &run(b, inputs), 1e-13, what);
    let (sa, sb) = (scalar(a, 3), scalar(b, 3));
    let wrt = reals(a);
    let (ga, gb) = (grad(&sa, &wrt).unwrap(), grad(&sb, &wrt).unwrap());
    close(&run(&ga, inputs), &run(&gb, inputs), 1e-11, &format!("{what}: gradient"));
    let mut rng = Rng(8);
    let v: Vec<Array> = inputs.iter().map(|i| random_array(&mut rng, DType::Real, &i.shape)).collect();
    let given = [inputs, &v].concat();
    let (ha, hb) = (jvp(&ga, &wrt).unwrap(), jvp(&gb, &wrt).unwrap());
    close(&run(&ha, &given), &run(&hb, &given), 1e-10, &format!("{what}: forward over reverse"));
    let u: Vec<Array> = std::iter::once(Array::scalar(0.7)).chain(v.iter().cloned()).collect();
    let given = [inputs, &u].concat();
    let (ha, hb) = (vjp(&ga, &wrt).unwrap(), vjp(&gb, &wrt).unwrap());
    close(&run(&ha, &given), &run(&hb, &given), 1e-10, &format!("{what}: reverse over reverse"));
}

/// `x <- sin(x w) + i x + s`, collecting `x^2 s`: everything a body can use, with the step index.
fn busy(b: &mut Build, i: NodeId, x: NodeId, s: NodeId, w: NodeId) -> IrResult<(NodeId, NodeId)> {
    let m = b.mul(x, w)?;
    let sin = b.sin(m)?;
    let (tenth, ri) = (b.real(0.1)?, b.to_real(i)?);
    let scaled = b.mul(ri, tenth)?;
    let t = b.mul(scaled, x)?;
    let next = b.add(sin, t)?;
    let next = b.add(next, s)?;
    let q = b.square(x)?;
    Ok((next, b.mul(q, s)?))
}

const SHAPES: [&[usize]; 3] = [&[2], &[4], &[2]];

fn inputs() -> Vec<Array> {
    let mut rng = Rng(21);
    SHAPES.iter().map(|s| random_array(&mut rng, DType::Real, s)).collect()
}

/// The loop of `busy`, stopped after `stop` of at most 4 steps.
fn busy_loop(stop: Option<i64>) -> Graph {
    region(&SHAPES, |b, p| {
        let body: Step = &|b, a| {
            let (x, out) = busy(b, a[0], a[1], a[2], a[3])?;
            Ok(vec![x, out])
        };
        let cond: Step = &|b, a| {
            let n = b.int(stop.unwrap_or(0))?;
            Ok(vec![b.lt(a[0], n)?])
        };
        let (trip, cond) = match stop {
            Some(_) => (Trip::While { limit: Dim::Known(4) }, Some(cond)),
            None => (Trip::Count(Dim::Known(4)), None),
        };
        let outs = looped(b, Spec { trip, carries: &[p[0]], scanned: &[p[1]], captured: &[p[2]], cond, body })?;
        Ok(outs[1..].to_vec())
    })
}

fn busy_unrolled(steps: usize) -> Graph {
    region(&SHAPES, |b, p| {
        let mut x = p[0];
        let mut rows = Vec::new();
        for k in 0..4 {
            let row = if k < steps {
                let s = b.slice(p[1], 0, Dim::from(k), Dim::Known(1))?;
                let s = b.reshape(s, &Shape::scalar())?;
                let i = b.int(k as i64)?;
                let (next, out) = busy(b, i, x, s, p[2])?;
                x = next;
                out
            } else {
                b.full(0.0, &Shape::of(&[2]))?
            };
            rows.push(b.expand(row, 0)?);
        }
        Ok(vec![x, b.op(Op::Concat { axis: 0 }, &rows)?])
    })
}

#[test]
fn counted_loops() {
    same_function(&busy_loop(None), &busy_unrolled(4), &inputs(), "counted");
    check(&busy_loop(None), &inputs(), "counted");
    check_third(&busy_loop(None), &inputs(), "counted", 1e-5);
}

#[test]
fn loops_that_stop_early() {
    for stop in 0..=5 {
        let (l, u) = (busy_loop(Some(stop)), busy_unrolled((stop as usize).min(4)));
        same_function(&l, &u, &inputs(), &format!("stopped after {stop}"));
    }
    check(&busy_loop(Some(3)), &inputs(), "while");
    check_third(&busy_loop(Some(3)), &inputs(), "while", 1e-5);
}

/// The number of steps hangs on the values: Newton's iteration for a root, to convergence.
#[test]
fn loops_to_convergence() {
    let g = region(&[&[]], |b, p| {
        let start = b.real(1.0)?;
        let body: Step = &|b, a| {
            let q = b.div(a[2], a[1])?;
            let s = b.add(a[1], q)?;
            let half = b.real(0.5)?;
            Ok(vec![b.mul(half, s)?])
        };
        let cond: Step = &|b, a| {
            let s = b.square(a[1])?;
            let d = b.sub(s, a[2])?;
            let d = b.abs(d)?;
            let tol = b.real(1e-12)?;
            Ok(vec![b.gt(d, tol)?])
        };
        let trip = Trip::While { limit: Dim::Known(50) };
        Ok(vec![
            looped(b, Spec { trip, carries: &[start], scanned: &[], captured: &[p[0]], cond: Some(cond), body })?[1],
        ])
    });
    for x in [2.0f64, 9.0] {
        let d = gradient(&g, &[Array::scalar(x)])[0].data[0];
        assert!((d - 0.5 / x.sqrt()).abs() < 1e-9, "{d}");
        let second = jvp(&grad(&g, &[true]).unwrap(), &[true]).unwrap();
        let h = run(&second, &[Array::scalar(x), Array::scalar(1.0)])[3].data[0];
        assert!((h + 0.25 * x.powf(-1.5)).abs() < 1e-6, "{h}");
    }
}

#[test]
fn nested_loops() {
    let shapes: [&[usize]; 2] = [&[], &[3]];
    let nested = region(&shapes, |b, p| {
        let outer: Step = &|b, a| {
            let row: Step = &|b, a| {
                let m = b.mul(a[1], a[2])?;
                let t = b.tanh(m)?;
                let n = b.add(t, a[3])?;
                Ok(vec![n, t])
            };
            let trip = Trip::Count(Dim::Known(3));
            let outs =
                looped(b, Spec { trip, carries: &[a[1]], scanned: &[a[2]], captured: &[a[1]], cond: None, body: row })?;
            let s = b.sum_all(outs[2])?;
            Ok(vec![b.add(outs[1], s)?])
        };
        let trip = Trip::Count(Dim::Known(2));
        Ok(vec![
            looped(b, Spec { trip, carries: &[p[0]], scanned: &[], captured: &[p[1]], cond: None, body: outer })?[1],
        ])
    });
    let flat = region(&shapes, |b, p| {
        let mut x = p[0];
        for _ in 0..2 {
            let (start, mut y, mut sum) = (x, x, b.real(0.0)?);
            for k in 0..3 {
                let s = b.slice(p[1], 0, Dim::from(k as usize), Dim::Known(1))?;
                let s = b.reshape(s, &Shape::scalar())?;
                let m = b.mul(y, s)?;
                let t = b.tanh(m)?;
                y = b.add(t, start)?;
                sum = b.add(sum, t)?;
            }
            x = b.add(y, sum)?;
        }
        Ok(vec![x])
    });
    let inputs = [Array::scalar(0.4), array(&[3], &[0.5, -0.7, 1.1])];
    same_function(&nested, &flat, &inputs, "nested");
    check_third(&nested, &inputs, "nested", 1e-5);
}

/// Carries of other kinds: an int counter, one that gets its dependence late, one that nothing reads, one overwritten.
#[test]
fn carries_of_all_kinds() {
    let shapes: [&[usize]; 1] = [&[]];
    let l = region(&shapes, |b, p| {
        let (zero, one, none) = (b.int(0)?, b.real(1.0)?, b.real(0.0)?);
        let body: Step = &|b, a| {
            // [i, count, late, later, unread, overwritten, x]
            let two = b.int(2)?;
            let count = b.add(a[1], two)?;
            let late = b.mul(a[2], a[6])?;
            let later = b.add(a[3], a[2])?;
            let unread = b.exp(a[4])?;
            let c = b.to_real(a[1])?;
            let over = b.sin(a[6])?;
            let used = b.mul(a[5], c)?;
            let later = b.add(later, used)?;
            Ok(vec![count, late, later, unread, over])
        };
        let carries = [zero, one, none, one, p[0]];
        let trip = Trip::Count(Dim::Known(3));
        let outs = looped(b, Spec { trip, carries: &carries, scanned: &[], captured: &[p[0]], cond: None, body })?;
        Ok(vec![outs[1], outs[3], outs[5]])
    });
    let flat = region(&shapes, |b, p| {
        let (mut late, mut later, mut over) = (b.real(1.0)?, b.real(0.0)?, p[0]);
        for k in 0..3 {
            let c = b.real(2.0 * f64::from(k))?;
            let used = b.mul(over, c)?;
            later = b.add(later, late)?;
            later = b.add(later, used)?;
            late = b.mul(late, p[0])?;
            over = b.sin(p[0])?;
        }
        let count = b.int(6)?;
        Ok(vec![count, later, over])
    });
    same_function(&l, &flat, &[Array::scalar(0.7)], "kinds of carries");
    check(&l, &[Array::scalar(0.7)], "kinds of carries");
}

/// A number of steps that only the data will tell, over rows of a scanned matrix.
#[test]
fn symbolic_loops() {
    let (n, d) = (Dim::sym("n"), Dim::sym("d"));
    for stop_early in [false, true] {
        let mut g = Graph::new();
        let x = g.param(Ty::real(Shape::new([n.clone(), d.clone()])), Origin::default());
        let w = g.param(Ty::real(Shape::new([d.clone()])), Origin::default());
        let b = &mut Build::new(&mut g, Origin::default());
        let body: Step = &|b, a| {
            let p = b.dot(a[1], a[2])?;
            let t = b.tanh(p)?;
            let m = b.mul(t, a[2])?;
            let next = b.sub(a[1], m)?;
            Ok(vec![next, p, next])
        };
        let cond: Step = &|b, a| {
            let two = b.int(2)?;
            Ok(vec![b.lt(a[0], two)?])
        };
        let (trip, cond) =
            if stop_early { (Trip::While { limit: n.clone() }, Some(cond)) } else { (Trip::Count(n.clone()), None) };
        let outs = looped(b, Spec { trip, carries: &[w], scanned: &[x], captured: &[], cond, body }).unwrap();
        g.outputs = outs[1..].to_vec();
        let mut rng = Rng(5);
        for rows in [1, 3, 4] {
            let inputs = [random_array(&mut rng, DType::Real, &[rows, 2]), random_array(&mut rng, DType::Real, &[2])];
            check(&g, &inputs, "symbolic loop");
        }
    }
}

/// Cotangents that need no history keep none: a linear recurrence has no carries to store.
#[test]
fn only_what_is_read_is_kept() {
    let g = region(&[&[3], &[3]], |b, p| {
        let body: Step = &|b, a| {
            let m = b.mul(a[1], a[2])?;
            Ok(vec![b.sin(m)?])
        };
        let linear: Step = &|b, a| {
            let half = b.real(0.5)?;
            let m = b.mul(a[1], half)?;
            Ok(vec![b.add(m, a[2])?])
        };
        let trip = || Trip::Count(Dim::Known(5));
        let first = looped(
            b,
            Spec { trip: trip(), carries: &[p[0]], scanned: &[], captured: &[p[1]], cond: None, body: linear },
        )?[1];
        let second =
            looped(b, Spec { trip: trip(), carries: &[first], scanned: &[], captured: &[p[1]], cond: None, body })?[1];
        Ok(vec![b.sum_all(second)?])
    });
    let d = grad(&g, &[true, true]).unwrap();
    let kept: Vec<usize> =
        d.nodes().filter_map(|(_, n)| if let Op::Loop(l) = &n.op { Some(l.collected) } else { None }).collect();
    // Forward linear (keeps nothing), forward sine (keeps x), and their ways back.
    assert_eq!(kept, [0, 1, 0, 0], "{d}");
    // And nothing is guarded where nothing is masked.
    let second = jvp(&d, &[true, true]).unwrap().to_string();
    assert!(!second.contains("is_nan"), "{second}");
    check(&g, &[array(&[3], &[0.1, 0.2, 0.3]), array(&[3], &[1.0, 0.5, -1.0])], "two loops");
}

/// A choice inside a loop whose branch not taken has no derivative.
#[test]
fn masks_inside_loops() {
    let g = region(&[&[2]], |b, p| {
        let body: Step = &|b, a| {
            let zero = b.real(0.0)?;
            let c = b.gt(a[1], zero)?;
            let r = b.sqrt(a[1])?;
            let l = b.log(a[1])?;
            let s = b.add(r, l)?;
            let taken = b.select(c, s, zero)?;
            let tenth = b.real(0.1)?;
            let step = b.mul(tenth, taken)?;
            Ok(vec![b.add(a[1], step)?, taken])
        };
        let trip = Trip::Count(Dim::Known(3));
        let outs = looped(b, Spec { trip, carries: &[p[0]], scanned: &[], captured: &[], cond: None, body })?;
        let (x, y) = (b.sum_all(outs[1])?, b.sum_all(outs[2])?);
        Ok(vec![b.add(x, y)?])
    });
    for x in [[0.0, 1.0], [-1.0, 2.0]] {
        let d = gradient(&g, &[array(&[2], &x)]);
        assert!(d[0].data[0] == 1.0 && d[0].data[1].is_finite(), "{:?}", d[0].data);
        let second = jvp(&grad(&g, &[true]).unwrap(), &[true]).unwrap();
        let h = run(&second, &[array(&[2], &x), array(&[2], &[1.0, 1.0])]);
        assert!(h[3].data[0] == 0.0 && h[3].data[1].is_finite(), "{:?}", h[3].data);
    }
}

/// What one step does not take reaches the poles of another.
#[test]
fn masks_reach_from_step_to_step() {
    let count = |n: i64| Trip::Count(Dim::Known(n));
    // Backward: the last step drops its input, the first has a pole.
    let g = region(&[&[]], |b, p| {
        let body: Step = &|b, a| {
            let (none, one) = (b.int(0)?, b.real(1.0)?);
            let first = b.eq(a[0], none)?;
            let z = b.select(first, a[1], one)?;
            Ok(vec![b.log(z)?])
        };
        Ok(vec![
            looped(b, Spec { trip: count(2), carries: &[p[0]], scanned: &[], captured: &[], cond: None, body })?[1],
        ])
    });
    assert_eq!(gradient(&g, &[Array::scalar(0.0)])[0].data[0], 0.0);
    // Forward: the first step cuts the dependence, the second has a pole.
    let g = region(&[&[]], |b, p| {
        let body: Step = &|b, a| {
            let (none, zero) = (b.int(0)?, b.real(0.0)?);
            let first = b.eq(a[0], none)?;
            let l = b.log(a[1])?;
            Ok(vec![b.select(first, zero, l)?])
        };
        Ok(vec![
            looped(b, Spec { trip: count(2), carries: &[p[0]], scanned: &[], captured: &[], cond: None, body })?[1],
        ])
    });
    let t = run(&jvp(&g, &[true]).unwrap(), &[Array::scalar(2.0), Array::scalar(1.0)]);
    assert_eq!(t[1].data[0], 0.0);
    assert_eq!(gradient(&g, &[Array::scalar(2.0)])[0].data[0], 0.0);
}

/// Rows of steps that were not done are zero, and so is what they contribute, even at poles.
#[test]
fn rows_past_the_end() {
    let stops: Step = &|b, a| {
        let two = b.int(2)?;
        Ok(vec![b.lt(a[0], two)?])
    };
    let trip = || Trip::While { limit: Dim::Known(4) };
    // Collected zeros through a pole, and back.
    let g = region(&[&[]], |b, p| {
        let body: Step = &|b, a| Ok(vec![b.exp(a[1])?, a[1]]);
        let spec = Spec { trip: trip(), carries: &[p[0]], scanned: &[], captured: &[], cond: Some(stops), body };
        let rows = looped(b, spec)?[2];
        let l = b.log(rows)?;
        let e = b.exp(l)?;
        Ok(vec![b.sum_all(e)?])
    });
    let want = 1.0 + f64::exp(0.5);
    let t = run(&jvp(&g, &[true]).unwrap(), &[Array::scalar(0.5), Array::scalar(1.0)])[1].data[0];
    assert!((t - want).abs() < 1e-14, "{t}");
    // Scanned rows that were not read, with a pole before them.
    let g = region(&[&[4]], |b, p| {
        let body: Step = &|b, a| Ok(vec![b.add(a[1], a[2])?]);
        let (l, zero) = (b.log(p[0])?, b.real(0.0)?);
        let spec = Spec { trip: trip(), carries: &[zero], scanned: &[l], captured: &[], cond: Some(stops), body };
        Ok(vec![looped(b, spec)?[1]])
    });
    let d = gradient(&g, &[array(&[4], &[1.0, 2.0, 0.0, -1.0])]);
    assert_eq!(d[0].data.to_vec(), [1.0, 0.5, 0.0, 0.0]);
}

fn branching() -> Graph {
    region(&[&[], &[2], &[2]], |b, p| {
        let zero = b.real(0.0)?;
        let c = b.gt(p[0], zero)?;
        let tys: Vec<Ty> = p.iter().map(|i| b.graph.ty(*i).clone()).collect();
        // One uses what the other does not; one result is an int in one arm; one does not depend at all.
        let then = inner(&tys, &|b, a| {
            let m = b.mul(a[0], a[1])?;
            let s = b.sin(m)?;
            let t = b.sum_all(s)?;
            let one = b.real(1.0)?;
            Ok(vec![s, t, one])
        });
        let other = inner(&tys, &|b, a| {
            let q = b.square(a[2])?;
            let two = b.int(2)?;
            let r = b.log(a[0])?;
            Ok(vec![q, two, r])
        });
        let k = b.op(Op::Cond { then, other }, &[c, p[0], p[1], p[2]])?;
        let one = b.get(k, 0)?;
        let two = b.get(k, 1)?;
        let out = b.mul(one, two)?;
        Ok(vec![out, two])
    })
}

#[test]
fn branches() {
    for x in [0.7, -0.7] {
        let inputs = [Array::scalar(x), array(&[2], &[0.3, -1.2]), array(&[2], &[0.8, 0.4])];
        check(&branching(), &inputs, &format!("branch at {x}"));
        check_third(&branching(), &inputs, &format!("branch at {x}"), 1e-5);
    }
    // The arm not taken is not even run: its pole is nowhere.
    let d =
        gradient(&scalar(&branching(), 1), &[Array::scalar(-1.0), array(&[2], &[0.3, -1.2]), array(&[2], &[0.8, 0.4])]);
    assert!(d[0].data[0] == 0.0 && d[1].data.iter().all(|v| *v == 0.0) && d[2].data.iter().all(|v| *v != 0.0));
}

/// A branch that decides by the step, in a loop that stops by its value, in a loop.
#[test]
fn branches_in_loops_in_loops() {
    let g = region(&[&[2], &[2]], |b, p| {
        let outer: Step = &|b, a| {
            let body: Step = &|b, a| {
                let one = b.int(1)?;
                let c = b.eq(a[0], one)?;
                let tys = [b.graph.ty(a[1]).clone(), b.graph.ty(a[2]).clone()];
                let then = inner(&tys, &|b, a| {
                    let m = b.mul(a[0], a[1])?;
                    Ok(vec![b.cos(m)?])
                });
                let other = inner(&tys, &|b, a| {
                    let half = b.real(0.6)?;
                    let s = b.square(a[0])?;
                    Ok(vec![b.mul(half, s)?])
                });
                let k = b.op(Op::Cond { then, other }, &[c, a[1], a[2]])?;
                Ok(vec![k])
            };
            let cond: Step = &|b, a| {
                let (s, tol) = (b.sum_all(a[1])?, b.real(0.2)?);
                let large = b.gt(s, tol)?;
                Ok(vec![large])
            };
            let trip = Trip::While { limit: Dim::Known(4) };
            let outs =
                looped(b, Spec { trip, carries: &[a[1]], scanned: &[], captured: &[a[2]], cond: Some(cond), body })?;
            let next = b.add(outs[1], a[2])?;
            Ok(vec![next, outs[1]])
        };
        let trip = Trip::Count(Dim::Known(3));
        let outs =
            looped(b, Spec { trip, carries: &[p[0]], scanned: &[], captured: &[p[1]], cond: None, body: outer })?;
        Ok(outs[1..].to_vec())
    });
    let inputs = [array(&[2], &[0.9, 0.7]), array(&[2], &[0.4, 0.8])];
    check(&g, &inputs, "branch in loops");
    check_third(&g, &inputs, "branch in loops", 1e-5);
}

/// Two loops over the same state, one loop's output used by both of its readers, and by the caller.
#[test]
fn shared_loops() {
    let g = region(&[&[2]], |b, p| {
        let body: Step = &|b, a| Ok(vec![b.sin(a[1])?]);
        let run = |b: &mut Build, x: NodeId| -> IrResult<NodeId> {
            let trip = Trip::Count(Dim::Known(2));
            Ok(looped(b, Spec { trip, carries: &[x], scanned: &[], captured: &[], cond: None, body })?[1])
        };
        let y = run(b, p[0])?;
        let (u, v) = (run(b, y)?, b.exp(y)?);
        let w = b.mul(u, v)?;
        Ok(vec![w, y])
    });
    check(&g, &[array(&[2], &[0.5, -1.0])], "shared loops");
    check_third(&g, &[array(&[2], &[0.5, -1.0])], "shared loops", 1e-5);
}

#[test]
fn refusals_come_out_of_loops_and_branches() {
    let g = region(&[&[]], |b, p| {
        let body: Step = &|b, a| Ok(vec![b.op(Op::NoGrad("find".into()), &[a[1]])?]);
        let trip = Trip::Count(Dim::Known(2));
        Ok(vec![looped(b, Spec { trip, carries: &[p[0]], scanned: &[], captured: &[], cond: None, body })?[1]])
    });
    for e in [grad(&g, &[true]).unwrap_err(), jvp(&g, &[true]).unwrap_err()] {
        assert!(matches!(e, GradError::NotDifferentiable { ref what, .. } if what == "find"), "{e}");
    }
}

/// Random numbers inside a loop are constants.
#[test]
fn noise_in_loops() {
    let g = region(&[&[2]], |b, p| {
        let seed = b.int(4)?;
        let key = b.op(Op::Key, &[seed])?;
        let body: Step = &|b, a| {
            let k = b.op(Op::KeyFold, &[a[2], a[0]])?;
            let e = b.op(Op::Normal(Shape::of(&[2])), &[k])?;
            let m = b.mul(e, a[1])?;
            Ok(vec![b.sin(m)?])
        };
        let trip = Trip::Count(Dim::Known(3));
        Ok(vec![looped(b, Spec { trip, carries: &[p[0]], scanned: &[], captured: &[key], cond: None, body })?[1]])
    });
    check(&g, &[array(&[2], &[0.5, -1.0])], "noise");
}

#[test]
fn ints_given_for_reals() {
    // A real carry that starts as an int array given to a scanned real, next to a real one.
    let g = region(&[&[]], |b, p| {
        let rows = literal(b, DType::Int, &[3], &[1.0, 2.0, 3.0])?;
        let body: Step = &|b, a| {
            let m = b.mul(a[1], a[2])?;
            Ok(vec![b.sin(m)?])
        };
        let trip = Trip::Count(Dim::Known(3));
        Ok(vec![looped(b, Spec { trip, carries: &[p[0]], scanned: &[rows], captured: &[], cond: None, body })?[1]])
    });
    check(&g, &[Array::scalar(0.3)], "int rows");
}

/// `n` steps over a vector of `m`, with `stop` as the bound of an early end; `plain`: the loop also collects something, so that its
/// whole history is kept.
fn long(n: i64, m: usize, stop: Option<f64>, plain: bool) -> Graph {
    region(&[&[m], &[m], &[]], |b, p| {
        let (zero, k) = (b.real(0.0)?, b.int(0)?);
        let more: Step = &|b, c| {
            let bound = b.real(stop.unwrap_or(0.0))?;
            Ok(vec![b.lt(c[2], bound)?])
        };
        let body: Step = &|b, c| {
            let (i, x, t, count, held, s) = (c[0], c[1], c[2], c[3], c[4], c[5]);
            let i = b.to_real(i)?;
            let small = b.real(1e-3)?;
            let i = b.mul(i, small)?;
            let y = b.mul(held, s)?;
            let y = b.add(y, i)?;
            let y = b.sin(y)?;
            let y = b.mul(y, held)?;
            let x1 = b.mul(x, s)?;
            let x1 = b.add(x1, y)?;
            let one = b.real(1.0)?;
            let t1 = b.add(t, one)?;
            let more = b.int(1)?;
            let count1 = b.add(count, more)?;
            Ok(if plain { vec![x1, t1, count1, t] } else { vec![x1, t1, count1] })
        };
        let trip = match stop {
            Some(_) => Trip::While { limit: Dim::Known(n) },
            None => Trip::Count(Dim::Known(n)),
        };
        let cond = stop.map(|_| more);
        let outs = looped(b, Spec { trip, carries: &[p[0], zero, k], scanned: &[], captured: &[p[1], p[2]], cond, body })?;
        let total = b.sum_all(outs[1])?;
        let steps = b.to_real(outs[0])?;
        let counted = b.to_real(outs[3])?;
        Ok(vec![b.mul(total, steps)?, counted])
    })
}

#[test]
fn a_long_loop_is_kept_in_part_with_the_same_bits() {
    let m = 2100;
    let inputs = [random_array(&mut Rng(1), DType::Real, &[m]), random_array(&mut Rng(2), DType::Real, &[m]), array(&[], &[0.9])];
    for stop in [None, Some(1500.0), Some(-1.0)] {
        let [parts, plain] = [false, true].map(|p| grad(&long(2100, m, stop, p), &[true, true, true]).unwrap());
        assert!(parts.to_string().contains("backwards in parts") && !plain.to_string().contains("in parts"));
        let (a, b) = (run(&parts, &inputs), run(&plain, &inputs));
        for (x, y) in a.iter().zip(&b) {
            let bits = |a: &Array| a.data.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert!(bits(x) == bits(y), "{stop:?}");
        }
    }
}
