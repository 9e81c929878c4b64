//! Random graphs: rewritten and original agree, for every level.

use super::{agree, run};
use crate::{Level, Options, rewrite, stabilise};
use gradus_ir::testing::{self, random_case};

fn check(level: Level, seeds: std::ops::Range<u64>, steps: usize) {
    for seed in seeds {
        let case = random_case(seed, &testing::Options { steps, ..testing::Options::default() }).unwrap();
        let old = run(&case.graph, &case.inputs);
        // The small-graph shortcut is not what is tested here.
        let mut report = crate::Report::default();
        let new = crate::improved(&case.graph, level, &Options::default(), &mut report)
            .unwrap_or_else(|e| panic!("seed {seed}: {e}\n{}", case.graph));
        gradus_ir::verify(&new).unwrap_or_else(|e| panic!("seed {seed}: {e}\n{}\n{new}", case.graph));
        let got = run(&new, &case.inputs);
        let tol = if level == Level::Strict { 0.0 } else { 1e-9 };
        agree(&old, &got, tol, &format!("seed {seed}\n{}\n{new}\n{report}", case.graph));
        let whole = rewrite(&case.graph, level, &Options::default()).unwrap();
        assert!(whole.report.cost_after <= whole.report.cost_before);
    }
}

#[test]
fn strict_gives_the_same_floats() {
    check(Level::Strict, 0..150, 25);
}

#[test]
fn default_agrees() {
    check(Level::Default, 0..150, 25);
}

#[test]
fn long_graphs_agree() {
    check(Level::Default, 1000..1010, 200);
}

#[test]
fn stabilised_agrees() {
    for seed in 0..200 {
        let case = random_case(seed, &testing::Options::default()).unwrap();
        let new = stabilise(&case.graph).graph;
        agree(&run(&case.graph, &case.inputs), &run(&new, &case.inputs), 1e-9, &format!("seed {seed}"));
    }
}

#[test]
fn the_same_graph_gives_the_same_text() {
    for seed in 0..20 {
        let make = || random_case(seed, &testing::Options::default()).unwrap().graph;
        let (a, b) = (make(), make());
        let one = rewrite(&a, Level::Default, &Options::default()).unwrap();
        let two = rewrite(&b, Level::Default, &Options::default()).unwrap();
        assert_eq!(one.graph.to_string(), two.graph.to_string());
        assert_eq!(one.report.to_string(), two.report.to_string());
    }
}
