#![allow(clippy::unwrap_used, clippy::panic)]
//! What the name stage says of small scripts: each case is a text and the codes it gives, in source order.

mod messages;

use crate::{Kind, Known, KnownModule, KnownName, check, trace_wanted};
use gradus_syntax::{FileId, parse};

fn known() -> Known {
    let functions = ["sum", "sin", "sqrt", "grad", "mean", "csv"].map(|n| KnownName::new(n, Kind::Function));
    let values = ["pi", "inf", "seed", "auto"].map(|n| KnownName::new(n, Kind::Value));
    let mut names: Vec<KnownName> = functions.into_iter().chain(values).collect();
    names.push(KnownName::with_params("standardize", Kind::Function, &["X"]));
    names.push(KnownName::with_params("box", Kind::Set, &["lower?", "upper?"]));
    names.push(KnownName::with_params("adam", Kind::Rule, &["lr?", "eps?"]));
    names.push(KnownName::with_params("fista", Kind::Method, &["steps?", "tol?"]));
    names.push(KnownName::with_params("norm1", Kind::Term, &["x"]));
    names.push(KnownName::with_params("many", Kind::Function, &["first", "rest..."]));
    let nn = vec![KnownName::new("mlp", Kind::Type), KnownName::new("accuracy", Kind::Function)];
    Known {
        names,
        modules: vec![KnownModule { name: "nn".into(), names: nn }],
        settings: vec!["steps".into(), "tol".into()],
        of_dist: Vec::new(),
        interactive: false,
    }
}

fn codes(text: &str) -> Vec<&'static str> {
    let (module, syntax) = parse(FileId(1), text);
    assert!(syntax.iter().all(|d| !d.is_error()), "{text}\n{syntax:#?}");
    check(&module, &known()).iter().map(|d| d.code).collect()
}

fn expect(cases: &[(&str, &[&str])]) {
    for (text, want) in cases {
        assert_eq!(codes(text), *want, "{text}");
    }
}

#[test]
fn names_are_known_where_they_are_bound() {
    expect(&[
        ("let a = 1\nprint a", &[]),
        ("print sum([1, 2]), pi", &[]),
        ("fn f(x) = x + y\nlet y = 1\nprint f(2)", &[]),
        ("fn f(x) = g(x)\nfn g(x) = x\nprint f(1)", &[]),
        ("let f = x -> x + 1\nprint f(2)", &[]),
        ("let (a, b) = (1, 2)\nprint a + b", &[]),
        ("let {a, b} = {a = 1, b = 2}\nprint a, b", &[]),
        ("print [i * j for i in 0..3, j in 0..i]", &[]),
        ("print for i in 0..3 from s = 0 { s + i }", &[]),
        ("print while s < 3 from s = 0 upto 9 { s + 1 }", &[]),
        ("let (l, o) = scan x in [1, 2] from s = 0 { (s + x, s) }\nprint l, o", &[]),
        ("print { let t = 2; t * t }", &[]),
        ("print let t = 2 in t * t", &[]),
        ("print find t in (0, 2) of t^2 - 2", &[]),
        ("let r = {a = 1}\nprint r.a", &[]),
    ]);
}

#[test]
fn unknown_names_are_told_once_with_a_near_miss() {
    expect(&[
        ("print missing", &["E1001"]),
        ("fn f(x) = zz + zz * x\nprint f(1)", &["E1001"]),
        ("print aa, bb", &["E1001", "E1001"]),
        ("print [q for i in 0..3]", &["E1001"]),
        ("print { let t = 2; u }", &["E1001"]),
        ("fn f(x) = x\nprint x", &["E1001"]),
        ("print for i in 0..3 from s = 0 { s + k }", &["E1001"]),
        ("print accuracy(1, 2)", &["E1002"]),
        ("print nn.accuracy(1, 2)", &["E1002"]),
        ("let w: reall = 1\nprint w", &["E1007"]),
    ]);
    let (module, _) = parse(FileId(1), "let data_matrix = 1\nprint data_matrx\n");
    let d = check(&module, &known());
    let edit = d.first().and_then(|d| d.helps.first()).and_then(|h| h.edit.clone()).unwrap();
    assert_eq!(edit.1, "data_matrix");
}

#[test]
fn definitions_stand_once_and_before_their_use() {
    expect(&[
        ("let a = 1\nlet a = 2", &["E1003"]),
        ("let a = 1\nprint a\nlet a = 2", &["E1003"]),
        ("fn f(x) = x\nfn f(y) = y", &["E1003"]),
        ("print a\nlet a = 1", &["E1004"]),
        ("let a = a + 1", &["E1004"]),
        ("fn f(x, x) = x", &["E1008"]),
        ("print {a = 1, a = 2}", &["E1104"]),
        ("test \"t\" { assert 1 == 1 }\ntest \"t\" { assert 2 == 2 }", &["E1010"]),
        ("problem p = min x: real of x^2 subject to c: x >= 1, c: x <= 2", &["E1009"]),
        ("let s = 1\nfn f(s) = s\nprint f(s)", &[]),
    ]);
}

#[test]
fn dimensions_are_bound_by_types() {
    expect(&[
        ("data X: real[n, d]\nprint n * d", &[]),
        ("fn f(x: real[n]) = sum(x) / n\nprint f([1.0])", &[]),
        ("fn f(x: real[n], y: real[n + 1]) = sum(x) + sum(y)\nprint f([1], [1, 2])", &[]),
        ("data X: real[n, d]\nproblem p = min w: real[d] of sum((X @ w)^2)", &[]),
        ("fn f(x) = n * x\nprint f(1)", &["E1001"]),
    ]);
}

#[test]
fn problems_and_solves() {
    expect(&[
        ("problem p(l: real) = min x: real[2] of sum(x^2) + l * norm1(x)\nlet s = solve p(1.0)\nprint s.x", &[]),
        ("problem p = min x: real[2] in box(0, 1) of sum(x)\nlet s = solve p by fista(steps = 3)", &[]),
        ("problem p = min x: real[2] of sum(x)\nlet s = solve p until value < 1 or time 1 s", &[]),
        ("problem p = min x: real[2] of sum(x)\nlet s = solve p by adam(lr = 1, steps = 5)", &[]),
        ("problem p = min x: real[2] of sum(y)", &["E1001"]),
        ("problem p = min x: real[2] of sum(x)\nprint x", &["E1001"]),
        ("problem p(l: real) = min x: real[2] of l * sum(x^2)\nlet s = solve p", &["E1106"]),
        ("problem p(l: real) = min x: real[2] of l * sum(x^2)\nlet s = solve p(1, 2)", &["E1107"]),
    ]);
}

#[test]
fn arguments_fit_what_is_declared() {
    expect(&[
        ("fn f(x, k = 2) = x * k\nprint f(1), f(1, 3), f(1, k = 4)", &[]),
        ("fn f(x, k = 2) = x * k\nprint f()", &["E1106"]),
        ("fn f(x, k = 2) = x * k\nprint f(1, 2, 3)", &["E1107"]),
        ("fn f(x, k = 2) = x * k\nprint f(1, kk = 3)", &["E1105"]),
        ("fn f(x, k = 2) = x * k\nprint f(1, k = 3, k = 4)", &["E1108"]),
        ("print standardize([1.0], 2)", &["E1107"]),
        ("print standardize()", &["E1106"]),
        ("print many(1, 2, 3, 4)", &[]),
        ("print box(lowr = 1)", &["E1105"]),
        ("let f = 3\nprint f", &[]),
    ]);
}

#[test]
fn rules_methods_and_sets_have_their_own_names() {
    expect(&[
        ("rule r(lr = 0.1) on g { state m = 0\n m <- m + g + 0 * t\n step -lr * m * x }", &[]),
        ("rule r on g { state m = 0\n q <- m\n step g }", &["E1005"]),
        ("rule r on g { state m = 0, m = 1\n m <- g\n step m }", &["E1006"]),
        ("method d(steps = 9) for min x of f { state x = start\n step { x <- x - grad(f)(x) }\n stop when sum(x) < 1 }", &[]),
        ("method d for min x of f { state x = start\n step { x <- x - grad(h)(x) } }", &["E1001"]),
        ("set ball(r: real) of x: real[d] { where sum(x^2) <= r\n project v = v * r / d }", &[]),
        ("set ball(r: real) of x: real[d] { where sum(y) <= r }", &["E1001"]),
        ("term t(x, k = 1) = k * sum(x) { prox(v, s) = v - s * k }", &[]),
        ("schedule s(a: real) at t = a / t\nprint s(1.0)(2)", &[]),
        ("stop near = value < 1e-3 and steps > 2", &[]),
        ("law l(v: real[n]): sum(v) == sum(v) when n > 1", &[]),
    ]);
}

#[test]
fn modules_and_uses() {
    expect(&[
        ("use nn.{mlp, accuracy}\nprint accuracy(1, 2)", &[]),
        ("use nn\nprint nn.accuracy(1, 2)", &[]),
        ("use nope", &["E1101"]),
        ("use nn.{mlpp}", &["E1102"]),
    ]);
}

#[test]
fn statements_that_do_nothing_are_told() {
    expect(&[("1 + 2", &["E1011"]), ("let a = 1\na", &["E1011"]), ("print { let unused = 1; 2 }", &["W1001"])]);
    let (module, _) = parse(FileId(1), "1 + 2\n");
    assert!(check(&module, &Known { interactive: true, ..known() }).is_empty());
}

#[test]
fn traces_are_wanted_where_they_are_mentioned() {
    let wanted = |text: &str| trace_wanted(&parse(FileId(1), text).0);
    let solve = "problem p = min x: real of x^2\nlet s = solve p\n";
    assert!(wanted(&format!("{solve}print s.trace.value")).wants(Some("s")));
    assert!(wanted(&format!("{solve}plot s.trace.value")).wants(Some("s")));
    assert!(!wanted(&format!("{solve}print s.x")).wants(Some("s")));
}
