//! Deep and long texts, on a thread with the stack of a worker: nothing overflows, what is too deep is said to be.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use gradus_syntax::{FileId, parse, print_ast};

/// Runs on a 2 MB stack.
fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().expect("the thread overflowed or panicked");
}

/// Every way of nesting: what opens a level, what closes it.
const WAYS: &[(&str, &str)] = &[
    ("(", ")"),
    ("[", "]"),
    ("{ ", " }"),
    ("{ let a = 1; ", " }"),
    ("{a = ", "}"),
    ("f(", ")"),
    ("f(1, k = ", ")"),
    ("x[", "]"),
    ("-", ""),
    ("not ", ""),
    ("1 + (", ")"),
    ("1 + f(2 * ", ")"),
    ("2 ^ ", ""),
    ("x -> ", ""),
    ("(a, b) -> ", ""),
    ("let a = 1 in ", ""),
    ("let a = ", " in a"),
    ("if c then a else ", ""),
    ("if c { a } else ", ""),
    ("if c { ", " } else { 1 }"),
    ("min x of ", ""),
    ("argmin x of (", ") by m"),
    ("find x: real in (0, 1) of ", ""),
    ("fix x from 0 of ", ""),
    ("expect z ~ d of ", ""),
    ("solve p by m(", ")"),
    ("for i in a from s = 0 { ", " }"),
    ("while c from s = 0 upto 3 { ", " }"),
    ("scan i in a from s = 0 { (s, ", ") }"),
    ("[", " for i in a]"),
    ("(", ", 1)"),
];

fn nested((open, close): (&str, &str), levels: usize, core: &str) -> String {
    format!("{}{core}{}", open.repeat(levels), close.repeat(levels))
}

#[test]
fn a_thousand_levels_parse() {
    on_small_stack(|| {
        for way in WAYS {
            let text = format!("let y = {}", nested(*way, 1_000, "1"));
            let (module, diagnostics) = parse(FileId(1), &text);
            assert!(diagnostics.is_empty(), "{way:?}: {:?}", diagnostics[0]);
            let copy = module.clone();
            assert!(copy == module, "{way:?}");
            assert!(!print_ast(&module).is_empty());
            assert!(!format!("{module:?}").is_empty());
        }
    });
}

#[test]
fn nested_types_and_patterns_parse() {
    on_small_stack(|| {
        for (open, close) in [("(", ", real)"), ("{a: ", "}"), ("real -> ", ""), ("[", " for i in a]"), ("set of ", "")] {
            let text = format!("fn f(a: {}) = 1", nested((open, close), 1_000, "real"));
            let (module, diagnostics) = parse(FileId(1), &text);
            assert!(diagnostics.is_empty(), "{open}: {diagnostics:?}");
            assert!(module.clone() == module);
        }
        let (module, diagnostics) = parse(FileId(1), &format!("let {} = 1", nested(("(", ", b)"), 1_000, "a")));
        assert!(diagnostics.is_empty());
        assert!(module.clone() == module);
        let (module, diagnostics) = parse(FileId(1), &format!("model m {{ {} }}", nested(("for i in xs { ", " }"), 1_000, "a ~ d")));
        assert!(diagnostics.is_empty());
        assert!(module.clone() == module);
    });
}

#[test]
fn what_is_too_deep_is_one_complaint() {
    on_small_stack(|| {
        for way in WAYS {
            for levels in [4_000, 100_000] {
                let text = format!("let y = {}\nlet z = 2", nested(*way, levels, "1"));
                let (module, diagnostics) = parse(FileId(1), &text);
                assert!(levels < 100_000 || diagnostics.len() == 1, "{way:?}: {} complaints", diagnostics.len());
                assert!(diagnostics.iter().all(|d| d.code == "E0040"), "{way:?}: {:?}", diagnostics[0]);
                drop(module);
            }
        }
        for chain in [" + 1", "(1)", "[0]", ".a", "'", " |> f", " . f", " and a"] {
            let text = format!("let y = a{}", chain.repeat(100_000));
            let (module, diagnostics) = parse(FileId(1), &text);
            assert_eq!(diagnostics.len(), 1, "{chain}");
            assert_eq!(diagnostics[0].code, "E0040", "{chain}");
            drop(module);
        }
    });
}

#[test]
fn wide_is_not_deep() {
    let text = format!("let y = [{}]\nlet z = 0{}", "1, ".repeat(50_000), " < 1".repeat(20_000));
    let (_, diagnostics) = parse(FileId(1), &text);
    assert!(diagnostics.is_empty(), "{:?}", diagnostics[0]);
}

#[test]
fn ten_thousand_lines_parse() {
    let mut text = String::new();
    for i in 0..2_500 {
        text.push_str(&format!("/// Number {i}.\nfn f{i}(x: real[n], k: int = {i}) = sum(abs(x - k)^2) / 2\nlet a{i} = f{i}([1, 2, 3], k = {i}) // done\nprint a{i}\n"));
    }
    let (module, diagnostics) = parse(FileId(1), &text);
    assert!(diagnostics.is_empty());
    assert_eq!(module.items.len(), 7_500);
}

/// A megabyte of nonsense comes to an end (some of these once took minutes), and is not answered by a megabyte of complaints.
#[test]
fn nonsense_is_quick_to_refuse() {
    on_small_stack(|| {
        for piece in ["(", ")", "}\n", "{\n", "a\n  b\n}\n", "$ a ", "\"\n", "f(1\n", "let x = \n", "fn f(x = \n", "x = ", "a b\n", "if ", "min ", "'", "..", "0x1 "] {
            let text = piece.repeat(1_000_000 / piece.len());
            let (_, diagnostics) = parse(FileId(1), &text);
            assert!(!diagnostics.is_empty() && diagnostics.len() <= 250, "{piece:?}: {}", diagnostics.len());
        }
    });
}
