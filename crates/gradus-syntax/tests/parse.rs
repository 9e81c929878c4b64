//! What a text means: precedence, binders and their clauses, keywords that are names, hints that cure.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_syntax::{Diagnostic, FileId, parse, print_ast};
use std::path::Path;

fn tree(text: &str) -> String {
    let (module, diagnostics) = parse(FileId(1), text);
    assert!(diagnostics.is_empty(), "{text}: {:?}", diagnostics[0]);
    print_ast(&module)
}

/// The tree of one expression, on one line where it fits, else its lines without indentation joined by ` | `.
fn check(expr: &str, expected: &str) {
    let text = tree(&format!("let y = {expr}"));
    let text = text.strip_prefix("let y =").unwrap().trim();
    let flat: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(flat.join(" | "), expected, "for {expr}");
}

#[test]
fn precedence() {
    check("a + b * c", "(+ a (* b c))");
    check("a - b - c", "(- (- a b) c)");
    check("-x^2", "(neg (^ x 2))");
    check("2^-x", "(^ 2 (neg x))");
    check("2^3^2", "(^ 2 (^ 3 2))");
    check("-x * y", "(* (neg x) y)");
    check("a @ b * c / d mod e", "(mod (/ (* (@ a b) c) d) e)");
    check("not a and b or c", "(or (and (not a) b) c)");
    check("not a == b", "(not (compare == a b))");
    check("0 <= x < 1 == p", "(compare <= < == 0 x 1 p)");
    check("(a < b) < c", "(compare < (compare < a b) c)");
    check("(x in A & B * C)", "(in x (& A (* B C)))");
    check("a & b == c", "(compare == (& a b) c)");
    check("0..n + 1", "(.. 0 (+ n 1))");
    check("1..=d * 2", "(..= 1 (* d 2))");
    check("u * (1..=d) > c", "(compare > (* u (..= 1 d)) c)");
    check("x |> f |> g", "(|> (|> x f) g)");
    check("f . g |> h", "(|> (. f g) h)");
    check("2 * f . g(x)", "(* 2 (. f (call g x)))");
    check("a after b |> c", "(|> (after a b) c)");
    check("a or b |> f", "(|> (or a b) f)");
    check("x -> y -> x + y", "(x -> (y -> (+ x y)))");
    check("x |> y -> y + 1", "(|> x (y -> (+ y 1)))");
    check("w' @ S @ w", "(@ (@ (transpose w) S) w)");
    check("x'^2", "(^ (transpose x) 2)");
    check("-x'", "(neg (transpose x))");
    check("f(x)(y).z[0]'", "(transpose (index (field (call (call f x) y) z) 0))");
    check("a - -b", "(- a (neg b))");
    check("if a then b else c + 1", "(if a b (+ c 1))");
    check("30% + 12.5%", "(+ 0.3 0.125)");
}

#[test]
fn calls_indices_and_records() {
    check("f (x)", "(call f x)");
    check("f(a, k = 1, 2)", "(call f a k = 1 2)");
    check("x[a.., ..=b, :, None, -1]", "(index x (slice a _) (slice= _ b) (slice _ _) None (neg 1))");
    check("x[a..b][(i < j)]", "(index (index x (slice a b)) (compare < i j))");
    check("{a = 1, b}", "(record a = 1 b)");
    check("{}", "(record)");
    check("(a,)", "(tuple a)");
    check("()", "(tuple)");
    check("{x}", "block | value x");
    check("p.step.of.type", "(field (field (field p step) of) type)");
    check("[x for x in xs if x > 0]", "comprehension | x | for x in xs | if (compare > x 0)");
}

#[test]
fn binders_extend_to_the_right_and_own_the_nearest_clause() {
    check("1 + min x: real of x^2 + 1", "+ | 1 | min | unknown x: real | of (+ (^ x 2) 1)");
    check("min(a, b) + max([c])", "(+ (call min a b) (call max (list c)))");
    check("min", "min");
    check(
        "min x of max y in S of x - y by m diff none",
        "min | unknown x | of | max | unknown y in S | of (- x y) | by m | diff none",
    );
    check(
        "(min x of x^2 by m) + 1",
        "+ | min | unknown x | of (^ x 2) | by m | 1",
    );
    check("solve min x of x^2 by m", "solve | min | unknown x | of (^ x 2) | by m");
    check("solve p(1).q by a then b", "solve | (field (call p 1) q) | by a | by b");
    check("solve(A, b)", "(call solve A b)");
    check("fix (a, b) from (0, 1) of (b, a)", "fix (a, b) | from (tuple 0 1) | of (tuple b a)");
    check("fix(a, b)", "(call fix a b)");
    check("expect z ~ d by s of z", "expect z | ~ d | by s | of z");
    check("let a = x in let b = y in a + b", "let a = x | in | let b = y | in (+ a b)");
    check(
        "solve p until kkt < 1e-9 and time 1.5 min or steps n",
        "solve | p | until (or (and (compare < kkt 1e-9) (reached time 1.5 min)) (reached steps n))",
    );
    check("solve p with a = 1, b by m with c = 2", "solve | p | with a = 1 | with b by m | with c = 2");
}

#[test]
fn lines_end_statements_unless_they_go_on() {
    for (text, lines) in [
        ("let a = 1\n+ 2", 1),
        ("let a = 1 +\n2", 1),
        ("let a = f\n(1)", 2),
        ("let a = x\n[1]", 2),
        ("let a = 1\n- 2", 1),
        ("let a = 1\n-b", 2),
        ("let a = (1\n-b)", 1),
        ("let a = b\nmod(1, 2)", 2),
        ("let a = b\nand c", 1),
        ("let a = solve p\nby m\nwith k = 1", 1),
        ("let a = solve p\nwith_k(1)", 2),
        ("let a = 1; b", 2),
        ("print a,\nb", 1),
        ("law l: a == b\nwhen c", 1),
    ] {
        let (module, diagnostics) = parse(FileId(1), text);
        assert!(diagnostics.is_empty(), "{text}: {diagnostics:?}");
        assert_eq!(module.items.len(), lines, "{text}");
    }
}

#[test]
fn words_are_keywords_only_where_they_are_needed() {
    for word in [
        "step", "rule", "stop", "set", "type", "term", "data", "state", "project", "law", "test", "method", "key", "value", "start", "is",
        "min", "max", "argmin", "argmax", "find", "fix", "expect", "solve", "scan", "mod", "after", "subject", "diff", "upto", "to", "use",
        "fn", "schedule", "dist", "model", "guide", "problem", "extern", "workers", "print", "plot", "save", "assert", "certify", "where",
        "when", "on", "at", "return", "certificate", "seed", "x", "t", "time", "steps", "samples", "real", "None", "lambda", "def", "log",
    ] {
        for text in [
            format!("let {word} = 1\nlet y = {word} + 2 * {word}"),
            format!("fn f({word}: real, b = {word}) = {word}^2 + {word}(1) + {word}.a + {word}[0]"),
            format!("let y = f({word} = {word}, b) + {{{word} = 1}}.{word}"),
            format!("let y = {word} -> {word}\nlet z = [{word} for {word} in {word}]"),
            format!("rule r on g {{\n  state {word} = 0\n  {word} <- {word} + g\n  step {word}\n}}"),
            format!("let y = {{ let {word} = 1; {word} }}"),
            format!("fn {word}({word}) = {word}"),
            format!("let y = for {word} in xs from {word} = {word} {{ {word} }}"),
            format!("let y = min {word}: real in {word} of {word}"),
        ] {
            let (_, diagnostics) = parse(FileId(1), &text);
            assert!(diagnostics.is_empty(), "{text}: {:?}", diagnostics[0]);
        }
    }
}

#[test]
fn documentation_goes_to_the_item_below() {
    assert_eq!(tree("/// One.\n///\n///   Two.\n\nfn f = 1\n// no\n//// no\nfn g = 2"), "/// One.\n///\n///   Two.\nfn f\n  = 1\nfn g\n  = 2\n");
}

#[test]
fn texts_are_unquoted() {
    assert_eq!(tree(r#"print "a\n\"b\"\\\u{e9}\t""#), "print\n  \"a\\n\\\"b\\\"\\\\é\\t\"\n");
}

fn errors(text: &str) -> Vec<Diagnostic> {
    parse(FileId(1), text).1
}

/// The first complaint says `message`, and the cure it offers turns the text into `cured`.
fn check_cure(text: &str, message: &str, cured: &str) {
    let diagnostics = errors(text);
    let d = diagnostics.first().unwrap_or_else(|| panic!("{text}: no complaint"));
    assert!(d.message.contains(message), "{text}: {}", d.message);
    let (span, replacement) = d.helps.iter().find_map(|h| h.edit.clone()).unwrap_or_else(|| panic!("{text}: no cure in {d:?}"));
    let mut fixed = text.to_string();
    fixed.replace_range(span.start as usize..span.end as usize, &replacement);
    assert_eq!(fixed, cured);
    assert_eq!(diagnostics.len(), 1, "{text}: {diagnostics:?}");
    assert!(errors(&fixed).is_empty(), "{fixed}: {:?}", errors(&fixed));
}

#[test]
fn usual_slips_are_cured() {
    check_cure("assert a = 1", "`=` does not compare", "assert a == 1");
    check_cure("let y = x ** 2", "`**` is not an operator", "let y = x ^ 2");
    check_cure("let y = x**2", "`**` is not an operator", "let y = x^2");
    check_cure("let y := 2", "`:=` is not an operator", "let y = 2");
    check_cure("let y = a && b", "`&&`", "let y = a and b");
    check_cure("let y = a||b", "`||`", "let y = a or b");
    check_cure("let y = !a", "`!`", "let y = not a");
    check_cure("let y = a % b", "`%`", "let y = a mod b");
    check_cure("let y = x => x", "`=>`", "let y = x -> x");
    check_cure("let y = if a then 1 elif b then 2 else 3", "`elif`", "let y = if a then 1 else if b then 2 else 3");
    check_cure("let f = lambda a, b: a + b", "written with `->`", "let f = (a, b) -> a + b");
    check_cure("let y = min x: real sum(x)", "expected `of`, found `sum`", "let y = min x: real of sum(x)");
    check_cure("let y = argmin x = x^2", "expected `of`, found `=`", "let y = argmin x of x^2");
    check_cure("let y = x[1:2]", "slice", "let y = x[1..2]");
    check_cure("let y = 2(x)", "cannot be called", "let y = 2 * (x)");
    check_cure("let y = 2x", "`2x` is not a number", "let y = 2 * x");
    check_cure("let y = .5", "`.5` is not a number", "let y = 0.5");
    check_cure("let y = 5.", "`5.` is not a number", "let y = 5.0");
    check_cure("let y = {a: 1}", "expected `=` after the name of a field", "let y = {a = 1}");
    check_cure("fn f(x: {a = real}) = x", "expected `:`", "fn f(x: {a : real}) = x");
    check_cure("fn f(x) { x }", "expected `=`", "fn f(x) = { x }");
    check_cure("y = 3", "without `let`", "let y = 3");
    check_cure("print 'a'", "double quotes", "print \"a\"");
    check_cure("let y = a ≤ b", "not used", "let y = a <= b");
    check_cure("let y = [1, 2)", "does not close", "let y = [1, 2]");
    check_cure("let y = if a: 1 else 2", "expected `then`", "let y = if a then 1 else 2");
    check_cure("# comment", "`#`", "// comment");
    check_cure("test t { assert true }", "in quotes", "test \"t\" { assert true }");
    check_cure("print \"a", "never closed", "print \"a\"");
    check_cure("let y = if x<-1 then 2 else 3", "`<-`", "let y = if x< -1 then 2 else 3");
    check_cure("rule r on g {\n  state m = 0\n  m = g\n  step m\n}", "does not change `m`", "rule r on g {\n  state m = 0\n  m <- g\n  step m\n}");
}

#[test]
fn an_unclosed_bracket_is_shown_where_it_opens() {
    let text = "let a = f(1, [2, 3\nlet b = 2\nprint b\n";
    let found: Vec<(u32, &str)> = errors(text).iter().map(|d| (d.primary.span.start, d.code)).collect();
    assert_eq!(found, [(9, "E0010"), (13, "E0010")]);
    let (module, _) = parse(FileId(1), text);
    assert_eq!(module.items.len(), 3, "what follows is still parsed");
}

#[test]
fn several_errors_are_reported_at_once() {
    let text = "let a = (1 + )\nfn f(x = = 2\nlet b = 2\nproblem p =\n  min w: real[n]\n  if\nprint b +\n";
    let lines: Vec<usize> = errors(text).iter().map(|d| gradus_syntax::line_column(text, d.primary.span.start as usize).0).collect();
    assert_eq!(lines, [1, 2, 2, 5, 6, 7]);
}

/// Applying every offered edit of a broken sample leaves fewer complaints, never more.
#[test]
fn cures_of_the_samples_help() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../grammar/err");
    let mut cured = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mut text = std::fs::read_to_string(&path).unwrap();
        let before = errors(&text);
        let mut edits: Vec<_> = before.iter().filter_map(|d| d.helps.iter().find_map(|h| h.edit.clone())).collect();
        edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        for (span, replacement) in &edits {
            text.replace_range(span.start as usize..span.end as usize, replacement);
        }
        let after = errors(&text);
        assert!(after.len() + edits.len() <= before.len(), "{}: {after:#?}\n{text}", path.display());
        cured += edits.len();
    }
    assert!(cured > 20, "{cured}");
}
