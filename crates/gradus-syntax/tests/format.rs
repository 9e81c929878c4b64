//! The formatter: what it prints, and that it changes nothing but white space.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_syntax::{FileId, format, parse, print_ast};
use std::path::{Path, PathBuf};

/// Formats, and sees to it that the tree stays the same and that formatting again changes nothing.
fn sound(text: &str, name: &str) -> String {
    let once = format(FileId(1), text).unwrap_or_else(|d| panic!("{name}: {:?}", d[0]));
    let (before, _) = parse(FileId(1), text);
    let (after, diagnostics) = parse(FileId(1), &once);
    assert!(diagnostics.is_empty(), "{name}: no longer parses: {:?}\n{once}", diagnostics[0]);
    assert_eq!(print_ast(&before), print_ast(&after), "{name}: another tree\n--- before\n{text}\n--- after\n{once}");
    let twice = format(FileId(1), &once).unwrap();
    assert_eq!(once, twice, "{name}: not idempotent\n--- source\n{text}");
    let comments = |t: &str| t.matches("//").count();
    assert_eq!(comments(text), comments(&once), "{name}: a comment was lost");
    once
}

fn check(text: &str, expected: &str) {
    assert_eq!(sound(text, text), expected, "for {text:?}");
}

#[test]
fn spaces() {
    check("let a=1+2 * 3-4/ 5+2*k", "let a = 1 + 2 * 3 - 4 / 5 + 2*k\n");
    check("let a = - x ^ 2 ^ - 1", "let a = -x^2^-1\n");
    check("let a = f ( x,y , k=1 )+ g( )", "let a = f(x, y, k = 1) + g()\n");
}

#[test]
fn spaces_in_brackets() {
    check("let a = x[ 0 , : ,a .. b, None]", "let a = x[0, :, a..b, None]\n");
    check("let a = { x=1 , y = {z=2} }\nlet b = {  }", "let a = {x = 1, y = {z = 2}}\nlet b = {}\n");
    check("let a = {let b = 1;b}", "let a = { let b = 1; b }\n");
    check("let a = [ 1,2 , ]", "let a = [1, 2,]\n");
    check("let a = 8/255 + 2*h + (a)/b + 2*x[0]", "let a = 8/255 + 2*h + (a) / b + 2 * x[0]\n");
    check("print(a+b)*2", "print (a + b) * 2\n");
    check("let f = (x:real[n],y=2)->x+y", "let f = (x: real[n], y = 2) -> x + y\n");
    check("let f = f . g(x)", "let f = f . g(x)\n");
    check("let a = p.by[0] + not(q) + x''", "let a = p.by[0] + not (q) + x''\n");
}

#[test]
fn blank_lines_and_semicolons() {
    check("\n\n\nlet a = 1;\n\n\n\nlet b = 2;;let c = 3\n;\n\n", "let a = 1\n\nlet b = 2; let c = 3\n");
    check("let a = {\n\n  1\n\n}\n", "let a = {\n  1\n}\n");
    check("", "");
    check("// only\n\n\n// comments", "// only\n\n// comments\n");
}

#[test]
fn clauses_stand_under_their_binder() {
    check(
        "problem p =\nmin w: real[d] in S\nof sum(w)\n+ norm1(w)\nsubject to cap: w <= 1",
        "problem p =\n  min w: real[d] in S\n  of  sum(w)\n      + norm1(w)\n  subject to cap: w <= 1\n",
    );
    check(
        "problem c =\nmin s: real of let w = argmin w: real\nof w^2\nby lbfgs\ndiff none\nin w",
        "problem c =\n  min s: real of let w = argmin w: real\n                         of  w^2\n                         by lbfgs\n                         diff none\n                 in  w\n",
    );
    check(
        "problem r =\nmin a: real\nof expect z ~ d\nof max b: real\nof a + b",
        "problem r =\n  min a: real\n  of  expect z ~ d\n  of  max b: real\n  of  a + b\n",
    );
    check("let m = solve p(1)\nby adam\nthen newton\nuntil time 10s", "let m = solve p(1)\n  by adam\n  then newton\n  until time 10 s\n");
}

#[test]
fn bodies_are_indented() {
    check(
        "rule r on g {\nstate m = 0,\nv = 0\nm <- m + g // new\nstep -lr*m\n}",
        "rule r on g {\n  state m = 0,\n    v = 0\n  m <- m + g  // new\n  step -lr*m\n}\n",
    );
    check(
        "method m for min x of f\nwhere f is smooth\n{\nstep {\nx <- x\n}\nstop when change<1\n}",
        "method m for min x of f\n  where f is smooth\n{\n  step {\n    x <- x\n  }\n  stop when change < 1\n}\n",
    );
    check("let a = if p {\n1\n}\nelse {\n2\n}", "let a = if p {\n  1\n} else {\n  2\n}\n");
    check("let a = f([\n1,\n2\n], {\nb = 1\n})", "let a = f([\n  1,\n  2\n], {\n  b = 1\n})\n");
}

#[test]
fn comments_and_columns_line_up() {
    check("let a = 1 // one\nlet bcd = 2 // two\n\nprint a // three", "let a = 1    // one\nlet bcd = 2  // two\n\nprint a  // three\n");
    check("data X: real[n, d] = csv(\"a\")\ndata y: real[n]    = csv(\"b\")", "data X: real[n, d] = csv(\"a\")\ndata y: real[n]    = csv(\"b\")\n");
    check("data X: real[n, d] = csv(\"a\")\ndata y: real[n] = csv(\"b\")", "data X: real[n, d] = csv(\"a\")\ndata y: real[n] = csv(\"b\")\n");
    check("model m {\nmu  ~ normal(0, 1)  by reparam\nsigma ~ gamma(1) by score\n}", "model m {\n  mu    ~ normal(0, 1) by reparam\n  sigma ~ gamma(1)     by score\n}\n");
}

#[test]
fn long_lines_are_broken() {
    let call = format!("let value = function({})", ["argument_of_some_length"; 6].join(", "));
    check(&call, &format!("let value = function(\n  {}\n)\n", ["argument_of_some_length"; 6].join(",\n  ")));
    let sum = format!("let value = {}", ["term_of_some_length(x)"; 6].join(" + "));
    check(&sum, &format!("let value = {}\n", ["term_of_some_length(x)"; 6].join("\n  + ")));
    let problem = format!("problem p = min w: real[d] in simplex of {} subject to cap: w <= 0.1", ["w"; 20].join(" + "));
    check(&problem, &format!("problem p =\n  min w: real[d] in simplex\n  of  {}\n  subject to cap: w <= 0.1\n", ["w"; 20].join(" + ")));
    let text = format!("let a = \"{}\"", "x".repeat(120));
    check(&text, &format!("let a =\n  \"{}\"\n", "x".repeat(120)));
}

#[test]
fn errors_are_returned() {
    assert_eq!(format(FileId(1), "let a = (1").unwrap_err()[0].code, "E0010");
}

/// Every script of the repository, wherever it is.
fn scripts() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders: Vec<PathBuf> = ["grammar/ok", "examples", "stdlib", "tests", "crates/gradus/stdlib"].iter().map(|f| root.join(f)).collect();
    let mut out = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "opt") {
                out.push(path);
            }
        }
    }
    out.sort();
    out
}

#[test]
fn formatting_every_script_is_idempotent() {
    let scripts = scripts();
    assert!(scripts.len() >= 40);
    for path in scripts {
        let text = std::fs::read_to_string(&path).unwrap();
        // Scripts that show errors are not formatted.
        if format(FileId(1), &text).is_ok() {
            sound(&text, &path.display().to_string());
        }
    }
}

/// The samples with their white space shaken: whatever still parses must survive formatting.
#[test]
fn shaken_samples_are_formatted_soundly() {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let mut formatted = 0;
    for path in scripts().iter().filter(|p| p.to_string_lossy().contains("grammar")) {
        let text = std::fs::read_to_string(path).unwrap();
        for _ in 0..150 {
            let rate = 3 + next(40);
            let mut shaken = String::new();
            let (mut quoted, mut comment) = (false, false);
            for c in text.chars() {
                quoted ^= c == '"' && !comment;
                comment = (comment || shaken.ends_with("//")) && c != '\n';
                let white = c.is_whitespace() && !quoted && !comment;
                match next(rate) {
                    0 if white => shaken.push_str("\n  "),
                    1 if white => shaken.push('\n'),
                    2 if white => shaken.push_str("   "),
                    0 if !quoted && !comment && "()[]{},=+*@".contains(c) => {
                        shaken.push(c);
                        shaken.push_str(["\n", " ", "\n\n    ", " // note\n"][next(4) as usize]);
                    }
                    _ => shaken.push(c),
                }
            }
            if format(FileId(1), &shaken).is_ok() {
                sound(&shaken, &path.display().to_string());
                formatted += 1;
            }
        }
    }
    assert!(formatted > 1_000, "only {formatted} of the shaken samples parse");
}
