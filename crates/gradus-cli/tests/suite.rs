//! Everything that is tested through the command or the facade, in one binary: linking is the slow part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_testkit::{docs, files, golden, root, settle, tidy, transcript, ui};
use std::path::Path;

const GRADUS: &str = env!("CARGO_BIN_EXE_gradus");

#[test]
fn golden_files_show_every_stage() {
    settle(&golden::check());
}

#[test]
fn there_are_at_least_forty_golden_programs() {
    assert!(files(&root().join("tests/golden"), ".md").len() >= 40);
}

#[test]
fn ui_cases_give_their_codes_and_snapshots() {
    let all: Vec<String> = files(&root().join("tests/ui"), ".md").iter().flat_map(|p| ui::check(p)).collect();
    settle(&all);
}

#[test]
fn transcripts_are_what_a_person_sees() {
    let all: Vec<String> =
        files(&root().join("tests/cli"), ".md").iter().flat_map(|p| transcript::check(p, Path::new(GRADUS))).collect();
    settle(&all);
}

#[test]
fn explain_pages_have_examples_that_give_their_code() {
    settle(&docs::explain_pages());
}

#[test]
fn documentation_examples_run() {
    settle(&docs::documents());
}

#[test]
fn library_examples_give_what_they_say() {
    settle(&docs::library());
}

#[test]
fn formatting_is_idempotent_and_applied() {
    settle(&docs::formatting());
}

#[test]
fn the_tests_of_every_example_pass() {
    let mut complaints = Vec::new();
    for path in files(&root().join("examples"), ".opt") {
        let mut session = gradus::Session::builder().build();
        let script = session.open(&path).unwrap();
        let outcome = session.test(script, None, &mut gradus::Silent);
        if outcome.tests.is_empty() {
            complaints.push(format!("{} has no tests", gradus_testkit::shown(&path)));
        }
        if outcome.status != gradus::Status::Done {
            let text: String = outcome
                .diagnostics
                .iter()
                .chain(outcome.tests.iter().flat_map(|t| &t.diagnostics))
                .map(|d| gradus::report::render(d, session.sources(), Default::default()))
                .collect();
            complaints.push(format!("{}: {}\n{text}", gradus_testkit::shown(&path), outcome.status.name()));
        }
    }
    settle(&complaints);
}

#[test]
fn crates_keep_their_layers() {
    settle(&tidy::layers());
}

#[test]
fn files_are_small_and_crates_have_headers() {
    settle(&tidy::sizes_and_headers());
}

#[test]
fn sources_do_not_panic() {
    settle(&tidy::no_panics());
}

#[test]
fn every_code_has_a_page_and_a_test() {
    settle(&tidy::codes_are_explained());
}

#[test]
fn the_library_is_embedded_and_documented() {
    settle(&tidy::library());
}
