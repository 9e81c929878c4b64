//! Loops that carry what inner solves remember.

use gradus_ir::{Array, COUNTS, Dim, Graph, Loop, NodeId, Op, Shape, Trip, Ty, build::Build, reference};
use std::sync::Arc;

fn run(g: &Graph, inputs: &[Array]) -> Vec<Array> {
    gradus_ir::verify(g).unwrap();
    reference::run(g, inputs).unwrap()
}

/// `start = recall(0); y = store(start + c)`, counted with its value as the residual.
fn solve(b: &mut Build, c: NodeId) -> NodeId {
    let zero = b.real(0.0).unwrap();
    let start = b.op(Op::Recall("s".into()), &[zero]).unwrap();
    let y = b.add(start, c).unwrap();
    let y = b.op(Op::Store("s".into()), &[y]).unwrap();
    let (one, two) = (b.real(1.0).unwrap(), b.int(2).unwrap());
    b.op(Op::Tally("solve".into()), &[y, one, two, y]).unwrap()
}

fn counted(trip: i64, carries: usize, collected: usize, body: Graph) -> Op {
    let trip = Trip::Count(Dim::Known(trip));
    Op::Loop(Box::new(Loop { trip, carries, scanned: 0, collected, cond: None, body: Arc::new(body), label: "for".into() }))
}

/// `for 0..3 from acc = 0 { acc + solve(i + c) }` with the solve inside `inside`.
fn sum_of_solves(inside: impl Fn(&mut Build, NodeId) -> NodeId) -> Graph {
    let real = Ty::real(Shape::new([]));
    let mut body = Graph::new();
    let i = body.param(Ty::scalar(gradus_ir::DType::Int), Default::default());
    let acc = body.param(real.clone(), Default::default());
    let c = body.param(real.clone(), Default::default());
    let b = &mut Build::new(&mut body, Default::default());
    let k = b.to_real(i).unwrap();
    let c = b.add(k, c).unwrap();
    let y = inside(b, c);
    let out = b.add(acc, y).unwrap();
    body.outputs = vec![out];
    let mut g = Graph::new();
    let c = g.param(real, Default::default());
    let b = &mut Build::new(&mut g, Default::default());
    let zero = b.real(0.0).unwrap();
    let node = b.op(counted(3, 1, 0, body), &[zero, c]).unwrap();
    let out = b.get(node, 1).unwrap();
    g.outputs = vec![out];
    g
}

#[test]
fn a_solve_in_a_loop_starts_where_it_ended() {
    let g = sum_of_solves(solve);
    let c = [Array::scalar(1.0)];
    // Without memory 1 + 2 + 3; with it 1 + 3 + 6.
    assert_eq!(run(&g, &c)[0].as_scalar(), Some(6.0));
    let (carrying, places) = g.carrying().unwrap();
    assert!(!carrying.has_notes());
    let outs = run(&carrying, &c);
    assert_eq!(outs[0].as_scalar(), Some(10.0));
    assert_eq!((places.len(), outs.len()), (1, 1 + COUNTS));
    assert_eq!(*outs[1].data, [3.0, 6.0, 10.0, 0.0, 0.0]);
    assert_eq!(*outs[2].data, [2.0, 1.0]);
    assert_eq!(*outs[3].data, [2.0, 6.0]);
}

#[test]
fn independent_solves_remember_each_their_own() {
    // The sum over 0..2 of a solve with `c (1 + j)`: a loop without carries.
    let g = sum_of_solves(|b, c| {
        let mut inner = Graph::new();
        let j = inner.param(Ty::scalar(gradus_ir::DType::Int), Default::default());
        let d = inner.param(Ty::real(Shape::new([])), Default::default());
        let i = &mut Build::new(&mut inner, Default::default());
        let (k, one) = (i.to_real(j).unwrap(), i.real(1.0).unwrap());
        let k = i.add(k, one).unwrap();
        let d = i.mul(k, d).unwrap();
        let y = solve(i, d);
        inner.outputs = vec![y];
        let node = b.op(counted(2, 0, 1, inner), &[c]).unwrap();
        let rows = b.get(node, 1).unwrap();
        b.sum_all(rows).unwrap()
    });
    let c = [Array::scalar(1.0)];
    assert_eq!(run(&g, &c)[0].as_scalar(), Some(18.0));
    let outs = run(&g.carrying().unwrap().0, &c);
    assert_eq!(outs[0].as_scalar(), Some(30.0));
    assert_eq!(outs[1].data[0], 6.0);
}

#[test]
fn a_solve_in_a_branch_is_counted_where_it_ran() {
    let g = sum_of_solves(|b, c| {
        let mut then = Graph::new();
        let d = then.param(Ty::real(Shape::new([])), Default::default());
        let y = solve(&mut Build::new(&mut then, Default::default()), d);
        then.outputs = vec![y];
        let mut other = Graph::new();
        let d = other.param(Ty::real(Shape::new([])), Default::default());
        other.outputs = vec![d];
        let bound = b.real(2.0).unwrap();
        let small = b.ge(c, bound).unwrap();
        let node = b.op(Op::Cond { then: Arc::new(then), other: Arc::new(other) }, &[small, c]).unwrap();
        b.get(node, 0).unwrap()
    });
    let outs = run(&g.carrying().unwrap().0, &[Array::scalar(1.0)]);
    // 1 (not solved) + 2 + (2 + 3)
    assert_eq!(outs[0].as_scalar(), Some(8.0));
    assert_eq!(outs[1].data[0], 2.0);
}
