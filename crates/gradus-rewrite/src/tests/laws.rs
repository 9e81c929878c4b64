//! Laws of scripts as rules.

use crate::{Class, Law, Level, Options, Statement, Unfit, rewrite};
use gradus_ir::{Graph, parse};
use std::sync::Arc;

fn law(variables: &[&str], graph: &str) -> Result<Law, Unfit> {
    let graph = parse(graph).unwrap();
    Law::new(Statement { name: "l".into(), variables: variables.iter().map(|v| (*v).into()).collect(), graph, class: Class::Real, tested: 16 })
}

const SINE: &str = "graph(%0: real, %1: real) {
  %2: real = sin %0
  %3: real = cos %1
  %4: real = mul %2, %3
  %5: real = cos %0
  %6: real = sin %1
  %7: real = mul %5, %6
  %8: real = add %4, %7
  %9: real = add %0, %1
  %10: real = sin %9
  return %8, %10
}";

/// With and without the law: the rules that fired.
fn fires(law: Law, subject: &Graph) -> bool {
    let options = Options { laws: vec![Arc::new(law)], ..Options::default() };
    let (done, _, refused) = crate::prove(subject, Level::Default, &options).unwrap();
    assert_eq!(refused, None);
    let _ = rewrite(subject, Level::Default, &options).unwrap();
    done.report.fired("law l")
}

#[test]
fn a_law_about_numbers_holds_element_by_element_and_within_a_sum() {
    let subject = parse(
        "graph(%0: real[90000], %1: real, %2: real[90000]) {
  %3: real[90000] = sin %0
  %4: real = cos %1
  %5: real[90000] = mul %3, %4
  %6: real[90000] = cos %0
  %7: real = sin %1
  %8: real[90000] = mul %6, %7
  %9: real[90000] = add %5, %8
  %10: real[90000] = sub %9, %2
  return %10
}",
    )
    .unwrap();
    assert!(fires(law(&["a", "b"], SINE).unwrap(), &subject));
}

#[test]
fn a_condition_must_be_known() {
    let root = "graph(%0: real) {
  %1: real = mul %0, %0
  %2: real = sqrt %1
  %3: real = const 0.0
  %4: bool = ge %0, %3
  return %2, %0, %4
}";
    let subject = |of: &str| {
        parse(&format!(
            "graph(%0: real[90000]) {{\n  %1: real[90000] = {of} %0\n  %2: real[90000] = mul %1, %1\n  %3: real[90000] = sqrt %2\n  return %3\n}}"
        ))
        .unwrap()
    };
    let without = |g: &Graph| {
        let options = Options {
            laws: vec![Arc::new(law(&["x"], root).unwrap())],
            without: vec!["algebra/root-of-square".into()],
            ..Options::default()
        };
        let (done, _, refused) = crate::prove(g, Level::Default, &options).unwrap();
        assert_eq!(refused, None);
        done.report.fired("law l")
    };
    assert!(without(&subject("exp")));
    assert!(!without(&subject("tanh")));
}

#[test]
fn lengths_are_bound_by_the_variables_and_compared() {
    let sized = |least: usize| {
        law(
            &["x"],
            &format!(
                "graph(%0: real[n]) {{\n  %1: real[n] = sinh %0\n  %2: real = reduce_sum{{axes=[0]}} %1\n  %3: real = reduce_sum{{axes=[0]}} %0\n  %4: int = dim{{value=n}}\n  %5: int = const {least}\n  %6: bool = ge %4, %5\n  return %2, %3, %6\n}}"
            ),
        )
        .unwrap()
    };
    let subject = parse("graph(%0: real[90000]) {\n  %1: real[90000] = sinh %0\n  %2: real = reduce_sum{axes=[0]} %1\n  return %2\n}").unwrap();
    // (No such law holds; that is for its test to find.)
    assert!(fires(sized(90_000), &subject));
    assert!(!fires(sized(90_001), &subject));
}

#[test]
fn what_is_no_rule_is_said() {
    let unfit = |variables: &[&str], g: &str| law(variables, g).err();
    let form = |text: &str| Some(Unfit::Form(text.into()));
    assert_eq!(unfit(&["x"], "graph(%0: real[n]) {\n  %1: real = reduce_sum{axes=[0]} %0\n  return %1, %0\n}"), form("its left side is `real`, its right side `real[n]`"));
    assert_eq!(unfit(&["x"], "graph(%0: real) {\n  %1: real = exp %0\n  return %0, %1\n}"), form("its left side is a variable alone"));
    assert_eq!(unfit(&["x", "y"], "graph(%0: real, %1: real) {\n  %2: real = exp %0\n  %3: real = exp %1\n  return %2, %3\n}"), form("`y` is not on the left side"));
    // What it gives holds what it takes.
    let grows = "graph(%0: real) {\n  %1: real = tanh %0\n  %2: real = tanh %1\n  %3: real = exp %2\n  return %1, %3\n}";
    assert_eq!(unfit(&["x"], grows), Some(Unfit::Loops));
    // Turning round is no growth.
    let turns = "graph(%0: real, %1: real) {\n  %2: real = hypot %0, %1\n  %3: real = hypot %1, %0\n  return %2, %3\n}";
    assert_eq!(unfit(&["x", "y"], turns), None);
}
