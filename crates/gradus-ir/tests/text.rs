//! The text form: what it looks like, and what the parser refuses.
#![allow(clippy::unwrap_used, clippy::panic)]

use gradus_ir::build::Build;
use gradus_ir::{Array, DType, Dim, Graph, Op, Origin, Shape, Ty, parse, parse::parse_dim, verify};
use std::sync::Arc;

#[test]
fn only_live_nodes_show() {
    let mut g = Graph::new();
    let (n, d) = (Dim::sym("n"), Dim::sym("d"));
    let a = g.param(Ty::real(Shape::new([n, d.clone()])), Origin::default());
    let w = g.param(Ty::real(Shape::new([d])), Origin::default());
    let mut b = Build::new(&mut g, Origin::default());
    b.exp(w).unwrap();
    let r = b.matmul(a, w).unwrap();
    let s = b.square(r).unwrap();
    let f = b.sum_all(s).unwrap();
    g.outputs = vec![f];
    let want = "graph(%0: real[n, d], %1: real[d]) {
  %2: real[n] = matmul %0, %1
  %3: real[n] = square %2
  %4: real = reduce_sum{axes=[0]} %3
  return %4
}";
    assert_eq!(g.to_string(), want);
    assert_eq!(parse(want).unwrap().to_string(), want);
}

#[test]
fn literals_keep_every_bit() {
    let mut g = Graph::new();
    let small = vec![0.1, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e-310, 1e300];
    let large: Vec<f64> = (0..100).map(|k| f64::from(k) / 7.0).collect();
    for data in [small.clone(), large.clone()] {
        let a = g.add(Op::Literal(Arc::new(Array::vector(data))), &[], Origin::default()).unwrap();
        g.outputs.push(a);
    }
    let text = g.to_string();
    let again = parse(&text).unwrap();
    assert_eq!(again.to_string(), text);
    for (o, want) in again.outputs.iter().zip([small, large]) {
        let Op::Literal(a) = &again.node(*o).op else { panic!("not a literal") };
        for (x, y) in a.data.iter().zip(&want) {
            assert!(x.to_bits() == y.to_bits() || x.is_nan() && y.is_nan());
        }
    }
    assert!(g.brief().to_string().contains("literal <100 numbers>"));
}

#[test]
fn dimensions_read_back() {
    let (n, d) = (Dim::sym("n"), Dim::sym("d"));
    let two = Dim::Known(2);
    let half = n.add(&Dim::Known(1)).div(&two).unwrap();
    for dim in [
        Dim::Known(-3),
        n.clone(),
        n.mul(&d).mul(&two).sub(&Dim::Known(1)),
        half.mul(&two).add(&d),
        Dim::Known(1).sub(&n),
        n.mul(&n).sub(&d).add(&Dim::Known(4)),
        Dim::sym("min(n, d + 1)"),
    ] {
        assert_eq!(parse_dim(&dim.to_string()), Some(dim.clone()), "{dim}");
    }
    for bad in ["", "n +", "2n", "n d", "(n", "floor(n", "* 2"] {
        assert_eq!(parse_dim(bad), None, "{bad}");
    }
}

#[test]
fn refusals_name_the_line() {
    let cases = [
        ("graph() {\n  return %0\n}", 2, "not defined"),
        ("graph(%0: real) {\n  %1: real = frobnicate %0\n  return %1\n}", 2, "no op"),
        ("graph(%0: real[2]) {\n  %1: real = exp %0\n  return %1\n}", 2, "type"),
        ("graph(%0: real[2], %1: real[3]) {\n  %2: real[2] = add %0, %1\n  return %2\n}", 2, "broadcast"),
        ("graph(%0: real[2]) {\n  %1: real = reduce_sum %0\n  return %1\n}", 2, "axes"),
        ("graph() {\n  %0: real[2] = literal [1.0]\n  return %0\n}", 2, "fill"),
        ("graph() {\n  return\n", 3, "expected"),
        ("graph() {\n  return\n}\nmore", 4, "follows"),
    ];
    for (text, line, message) in cases {
        let e = parse(text).unwrap_err();
        assert!(e.line == line && e.message.contains(message), "{e} for\n{text}");
    }
    let deep = "graph(%0: bool) {\n".to_string() + &"%1: () = cond %0\nthen() {\n".repeat(100_000);
    assert!(parse(&deep).is_err());
}

#[test]
fn verify_refuses() {
    let text = "graph(%0: real[2, 2]) {
  %1: (real[2], real[2, 2]) = eigh %0
  return %1
}";
    let message = |text: &str| verify(&parse(text).unwrap()).unwrap_err().to_string();
    assert!(message(text).contains("picked by get"));
    let text = "graph(%0: real[2, 2]) {
  %1: (real[2], real[2, 2]) = eigh %0
  %2: real[2] = exp %1
  return %2
}";
    assert!(message(text).contains("picked by get"));
    let text = "graph(%0: real) {
  %1: (int, real) = loop{limit=3, carries=1, scanned=0, collected=0, label=\"w\"} %0
    condition(%0: int, %1: real) {
      return %1
    }
    body(%0: int, %1: real) {
      return %1
    }
  %2: real = get{index=1} %1
  return %2
}";
    assert!(message(text).contains("expected bool"));
    let text = "graph(%0: real[2, 2]) {
  %1: real = reduce_sum{axes=[1, 0]} %0
  return %1
}";
    assert!(message(text).contains("not sorted"));
    let text = "graph() {
  %0: int = const 1.5
  return %0
}";
    assert!(message(text).contains("not whole"));
    let mut g = Graph::new();
    let other = {
        let mut h = Graph::new();
        h.param(Ty::scalar(DType::Real), Origin::default())
    };
    g.outputs = vec![other];
    assert!(verify(&g).unwrap_err().to_string().contains("not in the graph"));
}
