//! Everything that is tested through the command or the facade, in one binary: linking is the slow part.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_testkit::{docs, files, golden, proofs, root, settle, tidy, transcript, ui};
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
fn proofs_of_golden_programs_hold_and_changed_ones_do_not() {
    settle(&proofs::check());
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
fn the_tests_of_every_example_and_law_script_pass() {
    settle(&script_tests(&["examples", "tests/laws"], gradus::Level::Default));
}

/// Their data are made when they are measured; shapes and names are checked without.
#[test]
fn the_programs_of_benches_are_in_order() {
    let scripts = files(&root().join("benches"), ".opt");
    assert!(scripts.len() >= 15);
    for path in scripts {
        let mut session = gradus::Session::builder().build();
        let script = session.open(&path).unwrap();
        let outcome = session.check(script);
        assert_eq!(outcome.status, gradus::Status::Done, "{}: {:?}", gradus_testkit::shown(&path), outcome.diagnostics);
    }
}

fn script_tests(folders: &[&str], level: gradus::Level) -> Vec<String> {
    let mut complaints = Vec::new();
    for path in folders.iter().flat_map(|folder| files(&root().join(folder), ".opt")) {
        let mut session = gradus::Session::builder().rewrites(level).build();
        let script = session.open(&path).unwrap();
        let outcome = session.test(script, None, &mut gradus::Silent);
        let name = gradus_testkit::shown(&path);
        if outcome.tests.is_empty() {
            complaints.push(format!("{name} has no tests"));
        }
        if outcome.status != gradus::Status::Done {
            let text: String = outcome
                .diagnostics
                .iter()
                .chain(outcome.tests.iter().flat_map(|t| &t.diagnostics))
                .map(|d| gradus::report::render(d, session.sources(), Default::default()))
                .collect();
            complaints.push(format!("{name}: {}\n{text}", outcome.status.name()));
        }
    }
    complaints
}

#[test]
fn native_code_changes_no_bit() {
    settle(&golden::same_in_every_tier());
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

#[test]
fn a_long_script_runs() {
    let mut text = String::from("let x0 = 1.0\n");
    for k in 1..10_000 {
        text.push_str(&format!("let x{k} = x{} + 1\n", k - 1));
    }
    text.push_str("print x9999\n");
    let outcome = run_text(&text);
    assert_eq!(outcome.status, gradus::Status::Done, "{:?}", outcome.diagnostics.first());
    let Some(gradus::Output::Array(a)) = outcome.value("x9999") else { panic!("not printed") };
    assert_eq!(a.as_scalar(), Some(10_000.0));
}

#[test]
fn a_deep_script_runs() {
    let depth = 1000;
    let sum = format!("print {}1{}\n", "(1 + ".repeat(depth), ")".repeat(depth));
    let outcome = run_text(&sum);
    assert_eq!(outcome.status, gradus::Status::Done, "{:?}", outcome.diagnostics.first());
    let Some((_, gradus::Output::Array(a))) = outcome.values.first() else { panic!("not printed") };
    assert_eq!(a.as_scalar(), Some(1.0 + depth as f64));
    let calls = format!("let f = x -> x + 1\nprint {}1.0{}\n", "f(".repeat(depth), ")".repeat(depth));
    assert_eq!(run_text(&calls).status, gradus::Status::Done);
    let lists = format!("print {}1.0{}\n", "[".repeat(depth), "]".repeat(depth));
    let trees = "fn f(t, k) = if k == 0 then t else f([[[[[[t, 1], 1], 1], 1], 1], 1], k - 1)\nlet a = f([1.0, 2.0], 1900) + 1\n";
    assert_eq!(run_text(trees).status, gradus::Status::Done);
    // What such a thing means matters less than that it ends in order.
    run_text(&lists);
}

/// Scripts made of pieces of the language in random order, and of random bytes: no panic, and no silence about nonsense.
#[test]
fn random_scripts_end_in_order() {
    const PIECES: [&str; 36] = [
        "let", "x", "=", "1.5", "(", ")", "[", "]", "{", "}", "\n", "print", "problem", "min", "of", "in", "solve", "by", "fista", "+",
        "*", "@", "'", "^", ",", ":", "real", "->", "|>", "sum", "grad", "for", "from", "if", "\"t\"", "..",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..400 {
        let text = if round % 4 == 0 {
            let bytes: Vec<u8> = (0..next() % 80).map(|_| (next() % 256) as u8).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        } else {
            (0..next() % 40).map(|_| PIECES[(next() % 36) as usize]).collect::<Vec<_>>().join(" ")
        };
        let outcome = run_text(&text);
        let failed = outcome.status != gradus::Status::Done;
        assert_eq!(failed, outcome.diagnostics.iter().any(gradus::Diagnostic::is_error), "{text:?}");
        let internal = outcome.diagnostics.iter().find(|d| d.code.starts_with("E9"));
        assert!(internal.is_none(), "{text:?}: {internal:?}");
    }
}

#[test]
fn a_session_reuses_plans_and_repeats_its_results() {
    let mut session = gradus::Session::builder().seed(3).build();
    let script = session.text("again.opt", "let x = normal(key(seed), 50)\nprint sum(x * x), sort(x)\n");
    let first = session.run(script, &mut gradus::Silent);
    let second = session.run(script, &mut gradus::Silent);
    assert!(first.timings.planned > 0 && second.timings.planned == 0, "{:?} {:?}", first.timings, second.timings);
    assert_eq!(first.values, second.values);
}

/// A path of thirty prices makes as many plans as one of three, and each price has its own answer.
#[test]
fn parameters_of_a_problem_reuse_its_plan() {
    let path = |prices: &str| {
        run_text(&format!(
            "let y = [1.0, 2.0, 6.0, 7.0]\n\
             problem p(c: real) = min x: real[4] of sum((x - y)^2) / 2 + c * norm1(x) + c^2 * sum(x^2)\n\
             let prices = {prices}\n\
             print [(solve p(c)).x for c in prices], [(solve p(k)).value for k in 1..4]\n"
        ))
    };
    let (few, many) = (path("[0.5, 1, 2.5]"), path("0.1 * range(30)"));
    assert_eq!((few.status, many.status), (gradus::Status::Done, gradus::Status::Done), "{:?}", many.diagnostics.first());
    assert!(few.timings.planned <= 12, "{:?}", few.timings);
    assert!(many.timings.planned <= few.timings.planned + 1, "{:?} {:?}", few.timings, many.timings);
    let Some((_, gradus::Output::Array(x))) = few.values.first() else { panic!("not printed") };
    for (row, c) in x.data.chunks(4).zip([0.5, 1.0, 2.5]) {
        for (v, y) in row.iter().zip([1.0, 2.0, 6.0, 7.0f64]) {
            assert!((v - (y - c).max(0.0) / (1.0 + 2.0 * c * c)).abs() < 1e-8, "{row:?} {c}");
        }
    }
}

/// A list of small solves runs as lanes of one plan: each with the answer, the steps and the status it has alone.
#[test]
fn a_list_of_solves_is_as_each_alone() {
    let head = "let A = [[3.0, 1.0], [1.0, 2.0], [0.0, 1.0]]\nlet y = [1.0, 2.0, 6.0]\n\
        problem p(c: real, m: real) = min x: real[2] in box(-m, m) of sum((A @ x - y)^2) / 2 + c * norm1(x)\n\
        problem q(c: real) = min x: real[2] of (1 - x[0])^2 + c * (x[1] - x[0]^2)^2\n";
    let run = |last: &str| {
        let outcome = run_text(&format!("{head}{last}"));
        assert_eq!(outcome.status, gradus::Status::Done, "{:?}", outcome.diagnostics.first());
        outcome
    };
    let show = "(s.x, s.value, s.steps, s.status)";
    for (item, list) in [
        ("p(c, 4)", "0.5 * range(7)"),
        ("p(1, c) by proximal_gradient", "[0.5, 1.5, 9.0]"),
        ("q(c) by lbfgs from [-1.2, 1.0]", "[1.0, 10.0, 100.0]"),
    ] {
        let together = run(&format!("print [{{ let s = solve {item}; {show} }} for c in {list}]\nprint [(solve {item}).why for c in {list}]\n"));
        let alone = run(&format!(
            "let list = {list}\nfn at(c: real) = {{ let s = solve {item}; {show} }}\n{}",
            (0..3).map(|k| format!("print at(list[{k}])\n")).collect::<String>()
        ));
        let gradus::Output::List(rows) = &together.values[0].1 else { panic!("{:?}", together.values) };
        for (row, (_, own)) in rows.iter().zip(&alone.values) {
            let (gradus::Output::List(a), gradus::Output::List(b)) = (row, own) else { panic!("{row:?} {own:?}") };
            assert_eq!(a[2..], b[2..], "{item}");
            for (x, y) in a[..2].iter().zip(&b[..2]) {
                let (gradus::Output::Array(x), gradus::Output::Array(y)) = (x, y) else { panic!("{x:?}") };
                assert!(x.data.iter().zip(y.data.iter()).all(|(x, y)| (x - y).abs() <= 1e-9 * y.abs().max(1.0)), "{item}: {x:?} {y:?}");
            }
        }
        let why = format!("{:?}", together.values[1]);
        assert!(why.contains("lanes of one plan"), "{why}");
    }
    // What goes wrong in one of them is told as if it had run alone.
    let bad = run_text(&format!("{head}print [(solve q(c) by sgd(lr = 0.1, steps = 200) from [c, 1.0]).value for c in [0.001, 500.0]]\n"));
    assert!(bad.diagnostics.iter().any(|d| d.code.starts_with("E7")), "{:?}", bad.diagnostics);
}

/// A second process starts with the plans of the first, whatever its seed and its `let`s; damaged files are passed over with a warning.
#[test]
fn plans_are_kept_on_disk() {
    const TEXT: &str = "let X = normal(key(seed), 30, 5)\nlet y = X @ ones(5)\nlet rate = 3.5\n\
        problem p = min w: real[5] of sum((X @ w - y)^2) / 2 + rate * norm1(w)\nlet s = solve p\nprint s.w, s.value\n";
    let folder = std::env::temp_dir().join(format!("gradus-plans-{}", std::process::id()));
    let run = |seed: u64, rate: &str, cached: bool| {
        let mut builder = gradus::Session::builder().seed(seed).set("rate", rate);
        if cached {
            builder = builder.plan_cache(&folder);
        }
        let mut session = builder.build();
        let script = session.text("rate.opt", TEXT);
        session.run(script, &mut gradus::Silent)
    };
    let first = run(1, "0.5", true);
    assert!(first.timings.loaded == 0 && first.diagnostics.is_empty(), "{:?}", first.diagnostics);
    let files = || -> Vec<std::path::PathBuf> { std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect() };
    let made = files().len();
    assert!(made > 0 && made <= first.timings.planned);
    let second = run(2, "0.75", true);
    assert_eq!((second.timings.loaded, files().len()), (made, made));
    assert_eq!(second.values, run(2, "0.75", false).values);
    assert_ne!(first.values, second.values);
    for (k, file) in files().iter().enumerate() {
        let good = std::fs::read(file).unwrap();
        std::fs::write(file, [&good[..good.len() / (2 + k)], b"gradus"].concat()).unwrap();
    }
    let third = run(2, "0.75", true);
    assert_eq!((third.timings.loaded, &third.values), (0, &second.values));
    let warnings: Vec<&str> = third.diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(warnings, vec!["E9009"; made], "{:?}", third.diagnostics);
    assert_eq!(third.status, gradus::Status::Done);
    // The damaged files were written again.
    assert_eq!(run(2, "0.75", true).timings.loaded, made);
    // A folder that cannot be made is no reason to stop.
    let file = files().remove(0);
    let mut session = gradus::Session::builder().plan_cache(file.join("below")).build();
    let script = session.text("rate.opt", TEXT);
    let outcome = session.run(script, &mut gradus::Silent);
    assert!(outcome.status == gradus::Status::Done && outcome.diagnostics.iter().any(|d| d.code == "E9009"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_cancelled_run_says_so() {
    let token = gradus::CancelToken::new();
    let mut session = gradus::Session::builder().cancel(token.clone()).build();
    let script = session.text("loop.opt", "print while x > 0 from x = 1.0 upto 1000000000 { 0.5 * x + 0.5 }\n");
    let other = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(50));
        token.cancel();
    });
    let outcome = session.run(script, &mut gradus::Silent);
    other.join().unwrap();
    assert_eq!(outcome.status, gradus::Status::Interrupted);
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_the_command_with_130() {
    use std::process::{Command, Stdio};
    let dir = std::env::temp_dir().join(format!("gradus-interrupt-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let script = dir.join("loop.opt");
    std::fs::write(&script, "print 1\nprint while x > 0 from x = 1.0 upto 100000000000 { 0.5 * x + 0.5 }\n").unwrap();
    let mut child = Command::new(GRADUS).arg("run").arg(&script).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // The first print shows that the handler is in place and the loop is next.
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let _ = std::fs::remove_dir_all(dir);
}

fn run_text(text: &str) -> gradus::Outcome {
    let mut session = gradus::Session::builder().build();
    let script = session.text("case.opt", text);
    session.run(script, &mut gradus::Silent)
}

#[test]
fn sets_and_terms_keep_their_laws() {
    let items = gradus::laws::library().unwrap();
    let mut complaints: Vec<String> =
        items.iter().filter(|i| i.instances.is_empty()).map(|i| format!("`{}` has no line `## laws` in its doc comment", i.name)).collect();
    let rows = gradus::laws::check(&items, &|_| true, std::num::NonZeroUsize::new(2).unwrap());
    complaints.extend(rows.iter().flat_map(|r| r.failures().map(move |(law, why)| format!("{}: {law}: {why}", r.instance))));
    let tested = rows.iter().filter(|r| r.verdicts.iter().filter(|v| **v == gradus::laws::Verdict::Holds).count() >= 8);
    let operators: std::collections::BTreeSet<&str> = tested.map(|r| r.item.as_str()).collect();
    if operators.len() < 110 {
        complaints.push(format!("only {} sets and terms keep eight laws or more", operators.len()));
    }
    settle(&complaints);
}

/// Wrong oracles and wrong facts do not pass.
#[test]
fn laws_catch_what_is_wrong() {
    let cases = [
        ("member", "set bad of x: real[d] {\n  where norm2(x) <= 1\n  is convex\n  project v = v / max(norm2(v) - 0.1, 1)\n}"),
        ("nearest", "set bad of x: real[d] {\n  where norm2(x) <= 1\n  is convex\n  project v = v / max(norm1(v), 1)\n}"),
        ("nearest", "set bad of x: real[d] {\n  where count(x != 0) <= 1\n  project v = where(range(d) == 0, v, 0)\n}"),
        ("facts", "set bad of x: real[d] {\n  where norm2(x) <= 1\n  is cone\n  project v = v / max(norm2(v), 1)\n}"),
        ("nan", "set bad of x: real[d] {\n  where x >= 0\n  is convex\n  project v = where(v >= 0, v, 0)\n}"),
        ("derivative", "set bad of x: real[d] {\n  where x >= 0\n  is convex\n  project v = stop_grad(max(v, 0))\n}"),
        ("linear", "set bad of x: real[d] {\n  where norm2(x) <= 1\n  is convex\n  project v = v / max(norm2(v), 1)\n  minimize_linear g = -g\n}"),
        // The threshold of the prox of the l0 norm is the root of 2 t, not t.
        ("grid", "term bad(x) = sum(where(x == 0, 0.0, 1.0)) {\n  is separable\n  prox(v, t) = where(abs(v) <= t, 0, v)\n}"),
        ("nearest", "term bad(x) = norm2(x) {\n  is convex\n  prox(v, t) = v * max(1 - t, 0)\n}"),
        ("facts", "term bad(x) = sum(x^2) {\n  is convex, smooth(1)\n  prox(v, t) = v / (1 + 2 * t)\n}"),
        ("conjugate", "term bad(x) = sum(x^2) {\n  is convex\n  prox(v, t) = v / (1 + 2 * t)\n  conjugate = s -> sum(s^2) / 2\n}"),
    ];
    let mut complaints = Vec::new();
    for (law, declared) in cases {
        let items = gradus::laws::script(&format!("/// ## laws  bad at 4\n{declared}\n")).unwrap();
        let rows = gradus::laws::check(&items, &|_| true, std::num::NonZeroUsize::MIN);
        let found: Vec<&str> = rows.iter().flat_map(|r| r.failures().map(|(l, _)| l)).collect();
        if !found.contains(&law) {
            complaints.push(format!("`{law}` does not catch\n{declared}\nonly {found:?}"));
        }
    }
    settle(&complaints);
}

/// Every set and term is documented by the template, and stands in the pages.
#[test]
fn sets_and_terms_have_pages() {
    let mut complaints = Vec::new();
    for e in gradus::docs::entries().iter().filter(|e| ["set", "term"].contains(&e.word)) {
        for heading in ["shape", "math", "cost", "use", "laws", "example"] {
            if e.section(heading).is_none_or(str::is_empty) {
                complaints.push(format!("the {} `{}` says nothing under `## {heading}`", e.word, e.name));
            }
        }
    }
    for format in [gradus::docs::Format::Markdown, gradus::docs::Format::Html] {
        let pages = gradus::docs::pages(format);
        assert!(pages.iter().any(|p| p.path == "by-paper" && p.text.contains("Condat")));
        assert!(pages.iter().any(|p| p.path == "sets-balls" && p.text.contains("l1_ball")));
    }
    settle(&complaints);
}

#[test]
fn rewrites_do_not_change_results() {
    settle(&golden::same_at_every_level());
}

#[test]
fn the_tests_of_every_example_pass_without_rewrites() {
    settle(&script_tests(&["examples"], gradus::Level::Off));
}

#[test]
fn a_reader_that_goes_away_is_no_mistake() {
    use std::process::{Command, Stdio};
    let script = root().join("examples/loops.opt");
    for command in ["test", "check", "run"] {
        let mut child =
            Command::new(GRADUS).arg(command).arg(&script).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{command}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn mutated_scripts_end_in_order() {
    settle(&gradus_testkit::fuzz::check());
}

#[test]
fn random_programs_agree_with_themselves() {
    settle(&gradus_testkit::differential::check());
}
