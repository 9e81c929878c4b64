//! The checker by itself: what its normal form finds equal, and what it must not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crate::bank::{Bank, Id, Reasons};
use crate::facts::Facts;
use crate::import::Importer;
use crate::index::Forms;
use crate::{File, LoopMap, Proof, Step, check, laws};
use std::collections::{HashMap, HashSet};

/// The outputs of a graph as terms.
fn terms(params: &str, body: &str, outputs: &str) -> (Bank, Vec<Id>) {
    let g = gradus_ir::parse(&format!("graph({params}) {{\n{body}\n  return {outputs}\n}}")).unwrap();
    let mut bank = Bank::default();
    let args: Vec<Id> = g.params().iter().enumerate().map(|(k, p)| bank.atom(format!("input {k}"), g.ty(*p).clone())).collect();
    let none = HashMap::new();
    let map = Importer::old(&none).graph(&mut bank, &g, &args).unwrap();
    let outs = g.outputs.iter().map(|o| map[o.index()].unwrap()).collect();
    (bank, outs)
}

fn same(params: &str, body: &str, outputs: &str) -> bool {
    let (bank, outs) = terms(params, body, outputs);
    Forms::new(&bank, &Facts::default(), &HashSet::new()).same(outs[0], outs[1]).unwrap()
}

#[test]
fn matrix_products_associate_and_transpose_but_do_not_commute() {
    let square = "%0: real[3, 3], %1: real[3, 3], %2: real[3]";
    let assoc = "  %3: real[3, 3] = matmul %0, %1\n  %4: real[3] = matmul %3, %2\n  %5: real[3] = matmul %1, %2\n  %6: real[3] = matmul %0, %5";
    assert!(same(square, assoc, "%4, %6"));
    let commute = "  %3: real[3, 3] = matmul %0, %1\n  %4: real[3, 3] = matmul %1, %0";
    assert!(!same(square, commute, "%3, %4"));
    let turned = "  %3: real[3, 3] = matmul %0, %1\n  %4: real[3, 3] = transpose{perm=[1, 0]} %3\n  %5: real[3, 3] = transpose{perm=[1, 0]} %0\n  %6: real[3, 3] = transpose{perm=[1, 0]} %1\n  %7: real[3, 3] = matmul %6, %5\n  %8: real[3, 3] = matmul %5, %6";
    assert!(same(square, turned, "%4, %7"));
    assert!(!same(square, turned, "%4, %8"));
    // The trace of a product is that of the product turned round.
    let trace = "  %3: real[3, 3] = matmul %0, %1\n  %4: real[3] = diagonal %3\n  %5: real = reduce_sum{axes=[0]} %4\n  %6: real[3, 3] = matmul %1, %0\n  %7: real[3] = diagonal %6\n  %8: real = reduce_sum{axes=[0]} %7";
    assert!(same(square, trace, "%5, %8"));
    // A diagonal matrix scales rows from the left and columns from the right.
    let diagonal = "  %3: real[3, 3] = diag_matrix %2\n  %4: real[3, 3] = matmul %0, %3\n  %5: real[3, 3] = mul %0, %2\n  %6: real[3, 3] = matmul %3, %0";
    assert!(same(square, diagonal, "%4, %5"));
    assert!(!same(square, diagonal, "%6, %5"));
}

#[test]
fn sums_are_linear_and_count_what_does_not_vary() {
    let p = "%0: real[4, 3], %1: real, %2: real[4]";
    let out = "  %3: real[4, 3] = mul %1, %0\n  %4: real = reduce_sum{axes=[0, 1]} %3\n  %5: real = reduce_sum{axes=[0, 1]} %0\n  %6: real = mul %5, %1\n  %7: real[4] = reduce_sum{axes=[1]} %0\n  %8: real = reduce_sum{axes=[0]} %7\n  %9: real = mul %8, %1";
    assert!(same(p, out, "%4, %6"));
    assert!(same(p, out, "%4, %9"));
    let count = "  %3: real[4, 3] = broadcast %1\n  %4: real = reduce_sum{axes=[0, 1]} %3\n  %5: real = const 12.0\n  %6: real = mul %5, %1\n  %7: real = const 4.0\n  %8: real = mul %7, %1";
    assert!(same(p, count, "%4, %6"));
    assert!(!same(p, count, "%4, %8"));
    // Rows are not columns.
    let axes = "  %3: real[3] = reduce_sum{axes=[0]} %0\n  %4: real = reduce_sum{axes=[0]} %3\n  %5: real[4, 3] = mul %0, %0\n  %6: real = reduce_sum{axes=[0, 1]} %5\n  %7: real[3] = square %3\n  %8: real = reduce_sum{axes=[0]} %7";
    assert!(!same(p, axes, "%6, %8"));
}

#[test]
fn quotients_cancel_only_where_they_may() {
    let p = "%0: real[3]";
    let unknown = "  %1: real[3] = div %0, %0\n  %2: real = const 1.0\n  %3: real[3] = broadcast %2";
    assert!(!same(p, unknown, "%1, %3"));
    // The exponential of a sigmoid is between one and e, of whatever is a number; of NaN it is NaN.
    let one = |x: &str| {
        format!("  %1: int[3] = iota\n  %2: real[3] = to_real %1\n  %3: real[3] = sigmoid {x}\n  %4: real[3] = exp %3\n  %5: real[3] = div %4, %4\n  %6: real = const 1.0\n  %7: real[3] = broadcast %6")
    };
    assert!(same(p, &one("%2"), "%5, %7"));
    assert!(!same(p, &one("%0"), "%5, %7"));
    let zero = "  %1: real[3] = sub %0, %0\n  %2: real = const 0.0\n  %3: real[3] = broadcast %2";
    assert!(!same(p, zero, "%1, %3"));
    let finite = "  %1: int[3] = iota\n  %2: real[3] = to_real %1\n  %3: real[3] = tanh %2\n  %4: real[3] = sub %3, %3\n  %5: real = const 0.0\n  %6: real[3] = broadcast %5";
    assert!(same(p, finite, "%4, %6"));
}

#[test]
fn congruence_explains_itself() {
    let (mut bank, t) = terms("%0: real, %1: real", "  %2: real = exp %0\n  %3: real = exp %1\n  %4: real = tanh %2\n  %5: real = tanh %3", "%4, %5, %2");
    let [x, y] = [0, 1];
    assert!(!bank.equal(t[0], t[1]));
    bank.join(x, y, 7);
    assert!(bank.equal(t[0], t[1]));
    let mut why = Reasons::default();
    bank.explain(t[0], t[1], &mut why);
    assert_eq!(why.steps.into_iter().collect::<Vec<_>>(), [7]);
    let mut nothing = Reasons::default();
    bank.explain(t[0], t[2], &mut nothing);
    assert!(nothing.steps.is_empty() && nothing.terms.is_empty());
}

fn looped(step: &str, label: &str, count: usize) -> String {
    format!(
        "graph(%0: real, %1: real) {{\n  %2: (int, real) = loop{{count={count}, carries=1, scanned=0, collected=0, label=\"{label}\"}} %0, %1\n    body(%0: int, %1: real, %2: real) {{\n{step}\n    }}\n  %3: real = get{{index=1}} %2\n  return %3\n}}"
    )
}

fn loops(before: String, after: String) -> Proof {
    Proof {
        before,
        after,
        loops: vec![LoopMap { label: "l".into(), carries: vec![0], collected: Vec::new() }],
        terms: "graph() {\n  return\n}".into(),
        ..Proof::default()
    }
}

#[test]
fn loops_are_alike_only_if_their_steps_are() {
    let twice = "      %3: real = mul %1, %2\n      return %3";
    let plus = "      %3: real = add %1, %2\n      return %3";
    check(&loops(looped(twice, "l", 5), looped(twice, "l", 5))).unwrap();
    assert!(check(&loops(looped(twice, "l", 5), looped(plus, "l", 5))).is_err());
    assert!(check(&loops(looped(twice, "l", 5), looped(twice, "l", 6))).is_err());
    assert!(check(&loops(looped(twice, "l", 5), looped(twice, "m", 5))).is_err());
    let mut wrong = loops(looped(twice, "l", 5), looped(twice, "l", 5));
    wrong.loops[0].carries = vec![1];
    assert!(check(&wrong).is_err());
    // What the body hands on as it is never changes.
    let same = "      return %1";
    let gone = "graph(%0: real, %1: real) {\n  return %0\n}";
    check(&loops(looped(same, "l", 5), gone.into())).unwrap();
    assert!(check(&loops(looped(plus, "l", 5), gone.into())).is_err());
}

#[test]
fn a_law_holds_only_with_its_facts() {
    let graph = |out: &str| format!("graph(%0: real[3]) {{\n  %1: real[3] = square %0\n  %2: real[3] = abs %1\n  return %{out}\n}}");
    let mut p = Proof {
        before: graph("2"),
        after: graph("1"),
        atoms: vec!["input 0".into()],
        terms: "graph(%0: real[3]) {\n  %1: real[3] = square %0\n  %2: real[3] = abs %1\n  return %2\n}".into(),
        steps: vec![Step {
            law: "algebra/abs-nonneg".into(),
            left: "%2: real[3]".into(),
            right: "%1: real[3]".into(),
            with: vec![("x".into(), "%1: real[3]".into())],
            facts: vec!["x is never negative: square(input 0)".into()],
            ..Step::default()
        }],
        ..Proof::default()
    };
    check(&p).unwrap();
    let good = p.clone();
    p.steps[0].facts.clear();
    assert!(check(&p).unwrap_err().what.contains("rests on"));
    p = good.clone();
    p.steps[0].with[0].1 = "%0: real[3]".into();
    assert!(check(&p).is_err());
    p = good.clone();
    p.steps[0].with[0].1 = "%1: real[4]".into();
    assert!(check(&p).is_err());
    p = good.clone();
    p.atoms[0] = "input 1".into();
    assert!(check(&p).is_err());
    p = good.clone();
    p.steps[0].law = "algebra/nothing".into();
    assert!(check(&p).unwrap_err().what.starts_with("there is no law"));
    p = good.clone();
    p.steps.clear();
    assert!(check(&p).unwrap_err().what.contains("output 0"));
}

#[test]
fn a_file_is_read_as_it_was_written() {
    let twice = "      %3: real = mul %1, %2\n      return %3";
    let file = File { script: "a.opt".into(), proofs: vec![("solve".into(), loops(looped(twice, "l", 5), looped(twice, "l", 5)))] };
    assert_eq!(File::read(&file.write()).unwrap(), file);
    for bad in ["", "{}", "[1]", "{\"format\": \"gradus proof 1\", \"script\": \"a\", \"proofs\": [{}]}"] {
        assert!(File::read(bad).is_err(), "{bad}");
    }
    let more = file.write().replace("\"hoisted\"", "\"trust\": true, \"hoisted\"");
    assert!(File::read(&more).is_err());
}

#[test]
fn laws_have_different_names() {
    let mut seen = HashSet::new();
    assert!(laws().all(|l| seen.insert(l.name)));
}
