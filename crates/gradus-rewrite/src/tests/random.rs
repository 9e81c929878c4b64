//! Random graphs: rewritten and original agree, for every level.

use super::{agree, run};
use crate::{Level, Options, rewrite, stabilise};
use gradus_ir::testing::{self, random_case};

fn check(level: Level, seeds: std::ops::Range<u64>, steps: usize) {
    for seed in seeds {
        let symbolic = seed % 4 == 3;
        let case = random_case(seed, &testing::Options { steps, symbolic, ..testing::Options::default() }).unwrap();
        let old = run(&case.graph, &case.inputs);
        // The small-graph shortcut is not what is tested here.
        let mut report = crate::Report::default();
        let new = crate::improved_with(&case.graph, level, &Options::default(), &mut report, None)
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

/// Infinities, NaN, huge and tiny numbers among the inputs: strict gives the same numbers, default loses no finite one.
fn edges(seeds: std::ops::Range<u64>) {
    let wild = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1e100, -1e100, 1e-100];
    for seed in seeds {
        let options = testing::Options { steps: 12, linalg: false, ..testing::Options::default() };
        let mut case = random_case(seed, &options).unwrap();
        let mut rng = testing::Rng(seed);
        for a in &mut case.inputs {
            let data = a.data.iter().map(|x| if rng.chance(15) { wild[rng.below(wild.len())] } else { *x }).collect();
            a.data = std::sync::Arc::new(data);
        }
        let old = run(&case.graph, &case.inputs);
        for level in [Level::Strict, Level::Default] {
            let new = crate::improved_with(&case.graph, level, &Options::default(), &mut crate::Report::default(), None).unwrap();
            let got = run(&new, &case.inputs);
            for (a, b) in old.iter().zip(&got) {
                for (x, y) in a.data.iter().zip(b.data.iter()) {
                    let same = x == y || x.is_nan() && y.is_nan();
                    let fine = if level == Level::Strict { same } else { !x.is_finite() || y.is_finite() };
                    assert!(fine, "seed {seed} {level:?}: {x} became {y}\n{}\n{new}", case.graph);
                }
            }
        }
    }
}

#[test]
fn edges_stay_defined() {
    edges(0..150);
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

/// A few more cases than the others have; `GRADUS_FUZZ=20` makes it twenty times as many (minutes).
#[test]
fn many() {
    let times: u64 = std::env::var("GRADUS_FUZZ").ok().and_then(|v| v.parse().ok()).unwrap_or(1);
    edges(1000..1000 + 40 * times);
    check(Level::Strict, 10_000..10_000 + 40 * times, 25);
    check(Level::Default, 20_000..20_000 + 40 * times, 25);
    check(Level::Default, 30_000..30_000 + 2 * times, 150);
}

/// What the search knows of a graph, grown with or without looking at what changed.
fn grown(graph: &gradus_ir::Graph, blind: bool) -> (crate::space::Space, Vec<egg::Id>, String) {
    let sea = crate::import::import(graph, &mut |op, _| Ok(op.clone())).unwrap();
    let (mut space, outputs) = crate::load::load(&sea, true).unwrap();
    let watch = crate::saturate::Watch { blind, ..Default::default() };
    let (log, stops) = crate::saturate::saturate_watching(&mut space, &crate::saturate::only(&crate::rules::all()), 4000, watch);
    (space, outputs, format!("{log:?} {stops:?}"))
}

fn graphs() -> impl Iterator<Item = (u64, gradus_ir::Graph)> {
    (0..120).map(|seed| {
        let steps = if seed % 10 == 0 { 150 } else { 25 };
        (seed, random_case(seed, &testing::Options { steps, ..testing::Options::default() }).unwrap().graph)
    })
}

#[test]
fn looking_only_at_what_changed_finds_the_same_forms() {
    for (seed, g) in graphs() {
        let ((a, _, one), (b, _, all)) = (grown(&g, false), grown(&g, true));
        assert_eq!(one, all, "seed {seed}\n{g}");
        assert_eq!(a.graph.total_size(), b.graph.total_size(), "seed {seed}\n{g}");
    }
}

#[test]
fn prices_kept_up_to_date_are_those_of_the_graph() {
    for (seed, g) in graphs() {
        let (space, outputs, _) = grown(&g, false);
        let machine = crate::Machine::default();
        let mut x = crate::extract::Extractor::new(&space, &outputs, &machine, true);
        for start in x.starts() {
            let before = x.chosen(start.clone()).cost;
            let found = x.improve(start);
            let again = x.chosen(found.choice.clone()).cost;
            let close = (again - found.cost).abs() <= 1e-9 * again || again == found.cost;
            assert!(close && found.cost <= before, "seed {seed}: {before} {} {again}\n{g}", found.cost);
        }
    }
}
