#![allow(clippy::unwrap_used, clippy::panic)]
//! What the name stage says word for word, what it must not say, and trees of any depth.

use super::known;
use crate::{CODES, Kind, Known, KnownModule, KnownName, TraceWanted, check as check_module, public_names, trace_wanted};
use gradus_syntax::{Diagnostic, FileId, Span, parse};

/// Checks a script, whose syntax may be broken. Every diagnostic is one line: code, the text it points at, the message,
/// then `| other place: remark`, `-> replacement` (or `-> insert …`) and `? help`.
fn check(input: &str, expected: &[&str]) {
    check_with(input, &known(), expected);
}

fn check_with(input: &str, known: &Known, expected: &[&str]) {
    let (module, _) = parse(FileId(1), input);
    let found: Vec<String> = check_module(&module, known).iter().map(|d| line(d, input)).collect();
    assert_eq!(found, expected, "\n{input}\n");
}

fn line(d: &Diagnostic, input: &str) -> String {
    assert!(CODES.iter().any(|(code, _)| *code == d.code), "{} is not in the table", d.code);
    let text = |s: Span| input.get(s.start as usize..s.end as usize).unwrap();
    let mut out = format!("{} `{}` {}", d.code, text(d.primary.span), d.message);
    for l in &d.labels {
        out += &format!(" | `{}` {}", text(l.span), l.text);
    }
    for h in &d.helps {
        match &h.edit {
            Some((at, with)) if at.start == at.end => out += &format!(" -> insert {with:?} at {}", at.start),
            Some((_, with)) => out += &format!(" -> {with}"),
            None => out += &format!(" ? {}", h.text),
        }
    }
    out
}

#[test]
fn unknown_names_come_with_a_cure() {
    check("let lambda = 1\nprint lambad", &["E1001 `lambad` unknown name `lambad` -> lambda"]);
    check("print sqr(2)", &["E1001 `sqr` unknown name `sqr` -> sqrt"]);
    check("fn f(alpha) = alhpa + alhpa\nfn g(alpha) = alhpa", &[
        "E1001 `alhpa` unknown name `alhpa` -> alpha",
        "E1001 `alhpa` unknown name `alhpa` -> alpha",
    ]);
    check("print qqq", &["E1001 `qqq` unknown name `qqq`"]);
    check("print accuracy", &["E1002 `accuracy` `accuracy` is not known without `use` -> insert \"use nn.accuracy\\n\" at 0"]);
    check("use nn.mlp\nprint accuracy, mlp", &[
        "E1002 `accuracy` `accuracy` is not known without `use` -> insert \"\\nuse nn.accuracy\" at 10",
    ]);
    check("use nn\nprint accuracy", &["E1002 `accuracy` `accuracy` is not known without `use` -> nn.accuracy"]);
    check("print acuracy", &["E1001 `acuracy` unknown name `acuracy` ? did you mean `accuracy` of the module `nn`? It needs `use nn.accuracy`"]);
    check("print nn.mlp", &["E1002 `nn` the module `nn` is not known without `use` -> insert \"use nn\\n\" at 0"]);
    check("fn f(net: mlp[3, 2]) = net", &["E1002 `mlp` `mlp` is not known without `use` -> insert \"use nn.mlp\\n\" at 0"]);
    check("fn f(x: rela[3]) = x", &["E1007 `rela` unknown type `rela` -> real"]);
    check("fn f(x: norm1) = x", &["E1007 `norm1` `norm1` is a term, not a type"]);
}

#[test]
fn a_name_below_is_not_the_value_yet() {
    check("let a = b\nlet b = 1", &[
        "E1004 `b` `b` is used before it is defined | `b` defined here ? a script is evaluated from top to bottom: move the definition above",
    ]);
    check("let a = a", &["E1004 `a` `a` is used in its own definition | `a` being defined here"]);
    check("fn f(x) = {\n let u = w\n let w = x\n u + w\n}", &[
        "E1004 `w` `w` is used before it is defined | `w` defined here ? a script is evaluated from top to bottom: move the definition above",
    ]);
    // The builtin is meant until the value is there.
    check("print sum([1])\nlet sum = 3\nprint sum", &[]);
    // Bodies run when they are called.
    check("let f = x -> x + later\nlet later = 2\nprint f(1)", &[]);
    check("problem p = min x: real of (x - target)^2\nlet target = 2\nlet s = solve p\nprint s.x", &[]);
    check("print f(1)\nfn f(x) = x", &[]);
    check("test \"below\" { assert late == 1 }\nlet late = 1", &[]);
    check("data X: real[n, n + 1]\nprint X, n", &[]);
    check("print m\ndata X: real[m]", &[
        "E1004 `m` `m` is used before it is defined | `m` defined here ? a script is evaluated from top to bottom: move the definition above",
    ]);
}

#[test]
fn a_call_needs_the_values_that_its_body_reads() {
    let help = "? a script is evaluated from top to bottom: move the definition above the call";
    check("fn f(x) = x + y\nlet a = f(1)\nlet y = 2", &[
        &format!("E1004 `y` `y` is used before it is defined | `f(1)` `f` is called before `y` is there | `y` defined here {help}"),
    ]);
    check("fn f(x) = g(x)\nfn g(x) = x + y + y\nprint f(1), f(2)\nlet y = 2", &[
        &format!("E1004 `y` `y` is used before it is defined | `f(1)` `f` is called before `y` is there | `y` defined here {help}"),
    ]);
    check("problem p(l) = min x: real of l * (x - y)^2\nlet s = solve p(1)\nlet y = 2", &[
        &format!("E1004 `y` `y` is used before it is defined | `p(1)` `p` is called before `y` is there | `y` defined here {help}"),
    ]);
    check("problem p = min x: real of (x - y)^2\nlet s = solve p\ndata y: real", &[
        &format!("E1004 `y` `y` is used before it is defined | `p` `p` is called before `y` is there | `y` defined here {help}"),
    ]);
    // Where it may not be read, nobody is blamed.
    check("fn f(x) = if x > 2 then y else x\nlet a = f(1)\nlet y = 2", &[]);
    check("fn f(x) = z -> z + y\nlet a = f(1)\nlet y = 2\nprint a(1)", &[]);
    check("fn f(x) = x + y\nlet g = grad(f)\nlet h = z -> f(z)\nlet y = 2\nprint g(1), h(1)", &[]);
    check("fn f(x) = x + y\nlet y = 2\nprint f(1)", &[]);
    check("fn f(x, y) = x + y\nprint f(1, 2)\nlet y = 2", &[]);
    check("fn f(x) = f(x - 1) + y\nlet y = 2\nprint f(1)\ntest \"t\" { assert f(1) == late }\nlet late = 2", &[]);
}

#[test]
fn what_stands_twice_is_shown_in_both_places() {
    let values = "? values do not change: give the second one a name of its own";
    check("fn f(x) = {\n let a = x\n let a = a + 1\n a\n}", &[&format!("E1003 `a` `a` is defined twice | `a` first defined here {values}")]);
    check("let (a, a) = (1, 2)", &[&format!("E1003 `a` `a` is defined twice | `a` first defined here {values}")]);
    check("use nn.mlp\nfn mlp(x) = x", &[&format!("E1003 `mlp` `mlp` is defined twice | `mlp` first defined here {values}")]);
    check("print argmin x: real, x: real of x^2", &[&format!("E1003 `x` `x` is defined twice | `x` first defined here {values}")]);
    check("rule r(g = 1) on g { step -g }", &[&format!("E1003 `g` `g` is defined twice | `g` first defined here {values}")]);
    check("let f = (a, a) -> a", &["E1008 `a` the parameter `a` is declared twice | `a` first declared here"]);
    check("type t = {a: real, a: int}", &["E1104 `a` the field `a` is given twice | `a` first given here"]);
    check("law l(v: real): v == v\nlaw l(w: real): w == w", &[&format!("E1003 `l` `l` is defined twice | `l` first defined here {values}")]);
    check("problem p = min x: real of x^2 subject to c: x >= 1, x <= 3, c: x <= 2", &[
        "E1009 `c` two constraints are named `c` | `c` first named here ? a solution has one multiplier for each name, as in `s.dual.cap`: choose another",
    ]);
    check("test \"t\" { assert true }\ntest \"t\" { assert true }", &["E1010 `\"t\"` two tests are named \"t\" | `\"t\"` first named here"]);
    // Another scope, another meaning; laws and tests have names of their own.
    check("let x = 1\nfn f(x) = { let y = x\n (x -> x + y)(y) }\nprint f(x)", &[]);
    check("fn mean_law(v) = v\nlaw mean_law(v: real): v == v", &[]);
    check("fn sqrt(x) = x\nprint sqrt(4)", &[]);
}

#[test]
fn only_states_change() {
    let head = "<-` gives a state its new value, and";
    check("rule r on g { state velocity = 0\n velocty <- g\n step velocity }", &[
        &format!("E1005 `velocty` `{head} `velocty` is not declared -> velocity"),
    ]);
    check("rule r(b = 1) on g { b <- 2\n step g * b }", &[
        &format!("E1005 `b` `{head} `b` is a parameter | `b` defined here ? declare it by `state b = …`, or name a new value by `let`"),
    ]);
    check("rule r on g { x <- 2\n step g }", &[
        "E1005 `x` a rule does not set the unknown `x` itself ? say how far it moves by `step …`",
    ]);
    check("rule r on g { state m = 0\n let m = g\n step m }", &[
        "E1003 `m` `let m` would hide the state `m` | `m` the state ? to give the state its new value write `m <- …`, otherwise choose another name",
    ]);
    check("method d for min x of f { state x = start, x = 1\n step { x <- x - grad(f)(x) } }", &[
        "E1006 `x` the state `x` is declared twice | `x` first declared here",
    ]);
    check("method d(tol = 1) for min x in C of f + h where q is smooth {\n state x = start\n step { let x1 = x\n x <- x1 + grad(f)(x) + sum(C) + h(x) }\n stop when sum(x1) <= tol or steps > 3\n certificate x1\n return x\n}", &[
        "E1001 `q` unknown name `q`",
    ]);
    check("rule r on g { let half = g / 2\n step g }", &["W1001 `half` `half` is never used -> _half"]);
}

#[test]
fn calls_are_held_against_the_declaration() {
    check("fn f(first, second, third = 1) = first + second + third\nprint f()\nprint f(1, secnd = 2)\nprint f(1, 2, 3, 4, 5)\nprint f(1, 2, first = 3)", &[
        "E1106 `f()` the function `f` needs `first` and `second` | `f` declared here",
        "E1105 `secnd` the function `f` has no parameter `secnd` | `f` declared here -> second",
        "E1107 `4` the function `f` takes 3 arguments, and more are given | `f` declared here",
        "E1108 `first` the argument `first` is given twice | `1` first given here",
    ]);
    check("problem p = min x: real of x^2\nlet s = solve p(2)", &[
        "E1107 `2` the problem `p` takes no arguments, and one is given | `p` declared here",
    ]);
    check("problem p(a) = min x: real of a * x^2\nlet s = solve p", &["E1106 `p` the problem `p` needs `a` | `p` declared here"]);
    check("let s = adam(lrr = 1)", &["E1105 `lrr` the rule `adam` has no parameter `lrr` -> lr"]);
    check("let s = adam(learning = 1)", &["E1105 `learning` the rule `adam` has no parameter `learning` ? its parameters are `lr` and `eps`"]);
    check("let s = adam(stepz = 3)", &["E1105 `stepz` the rule `adam` has no parameter `stepz` -> steps"]);
    check("type pair(n: int, m: int) = {a: real[n], b: real[m]}\nproblem p = min w: pair[3] of sum(w.a)\nproblem q = min w: pair[3, 4, 5] of sum(w.a)", &[
        "E1106 `pair[3]` the type `pair` needs `m`",
        "E1107 `5` the type `pair` takes 2 arguments, and more are given",
    ]);
    // Named first, then by position; the rest of a variadic; a set whose dimension its element tells; a term without its argument.
    check("fn f(a, b) = a - b\nprint f(a = 1, 2), many(1), many(1, 2, 3)", &[]);
    check("set s(d: int, k = 1) of x: real[d] { where sum(x) <= k * d\n project v = v }\nproblem p = min x: real[3] in s of sum(x)\nproblem q = min x: real[3] in s(k = 2) of sum(x)\nproblem r = min x: real[3] in s(3) of sum(x)", &[]);
    check("term h(x, k = 1) = k * sum(x)\nprint h(k = 2), h([1.0], 2)", &[]);
    check("fn shift(x, by_) = x + by_\nprint 1 |> shift(2), (shift(1) . sqrt)(2)", &[]);
    // A parameter hides the function: nothing is known about its arguments.
    check("fn box(x) = x\nfn f(box) = box(1, 2, 3)\nprint f(1)", &[]);
}

#[test]
fn modules_have_the_names_they_have() {
    check("use nm.mlp", &["E1101 `nm` there is no module `nm` -> nn"]);
    check("use nn.mpl", &["E1102 `mpl` the module `nn` has no `mpl` -> mlp"]);
    check("use nn.{mlp, acuracy}\nprint acuracy(1), mlp", &["E1102 `acuracy` the module `nn` has no `acuracy` -> accuracy"]);
    check("use nn\nprint nn.acuracy(1)", &["E1102 `acuracy` the module `nn` has no `acuracy` -> accuracy"]);
    check("use zzz.{a}\nprint a(1)", &["E1101 `zzz` there is no module `zzz` ? the modules are `nn`"]);
    // A file that is not known may bring in anything.
    check("use \"helpers.opt\"\nprint whatever(1)", &[]);
    check("use \"helpers.opt\".{f}\nprint f(1), g(1)", &["E1001 `g` unknown name `g`"]);
    let file = KnownModule { name: "helpers.opt".into(), names: vec![KnownName::with_params("f", Kind::Function, &["x"])] };
    let folder = KnownModule { name: "methods/newton".into(), names: vec![KnownName::new("newton_cg", Kind::Method)] };
    let mut more = known();
    more.modules.extend([file, folder]);
    check_with("use \"helpers.opt\"\nprint f(1), g(1)", &more, &["E1001 `g` unknown name `g`"]);
    check_with("use \"helpers.opt\"\nprint f(1, 2)", &more, &["E1107 `2` the function `f` takes one argument, and more are given"]);
    check_with("use methods.newton\nprint newton.newton_cg", &more, &[]);
    check_with("use methods.newton.newton_cg\nprint newton_cg", &more, &[]);
    check_with("use methods.newtn", &more, &["E1101 `newtn` there is no module `newtn` -> newton"]);
    check_with("print newton_cg", &more, &[
        "E1002 `newton_cg` `newton_cg` is not known without `use` -> insert \"use methods.newton.newton_cg\\n\" at 0",
    ]);
}

#[test]
fn data_formats_are_words_of_data() {
    let mut readers = known();
    readers.names.retain(|n| &*n.name != "csv");
    readers.names.extend(["csv", "npy"].map(|n| KnownName::new(n, Kind::Reader)));
    check_with("data X: real[n] = csv(\"a.csv\", header = auto)", &readers, &[]);
    check_with("data X: real[n] = cvs(\"a.csv\", column = kk)", &readers, &[
        "E1001 `cvs` unknown data format `cvs` -> csv",
        "E1001 `kk` unknown name `kk`",
    ]);
    check_with("data X: real[n] = parquet(\"a\")", &readers, &["E1001 `parquet` unknown data format `parquet` ? the formats are `csv` and `npy`"]);
    check_with("print csv(\"a.csv\")", &readers, &["E1001 `csv` unknown name `csv`"]);
}

#[test]
fn statements_have_their_places() {
    check("1 + 1", &["E1011 `1 + 1` this expression does nothing -> insert \"print \" at 0"]);
    check("test \"t\" { 1 == 1 }", &["E1011 `1 == 1` this expression does nothing -> insert \"print \" at 11"]);
    check("fn f(x) = {\n x + 1\n x\n}", &[
        "E1011 `x + 1` this expression does nothing ? the value of a block is its last line: name this one by `let`, or remove it",
    ]);
    check("fn f(x) = {\n print x, y\n x\n}", &[
        "E1303 `print x, y` `print` stands only at the top level and in tests ? a block only names values by `let` and ends with its own value",
        "E1001 `y` unknown name `y`",
    ]);
    check("problem p = min x: real of x^2\nsolve p", &[]);
}

#[test]
fn lints_do_not_nag() {
    check("fn f(x) = { let half = x / 2\n x }", &["W1001 `half` `half` is never used -> _half"]);
    check("fn f(x) = let (a, b) = x in a", &["W1001 `b` `b` is never used -> _b"]);
    check("fn f(x) = { let _half = x / 2\n x }", &[]);
    check("fn f(x) = { let (a, _) = x\n {a} }", &[]);
    check("let unused = 1\ntest \"t\" { let also = 2\n assert true }", &[]);
    check("problem p = min value: real of value^2", &[
        "W1002 `value` the unknown `value` hides the `value` that every solution has ? rename the unknown, or the solution's own field cannot be read",
    ]);
    check("let s = solve min steps: real of steps^2", &[
        "W1002 `steps` the unknown `steps` hides the `steps` that every solution has ? rename the unknown, or the solution's own field cannot be read",
    ]);
    check("print argmin value: real of value^2", &[]);
}

#[test]
fn running_solves_have_names_of_their_own() {
    let p = "problem p = min x: real of x^2\n";
    check(&format!("{p}let s = solve p until kkt < 1e-8 or gap < 1 and residual + change < 2 or velocity < 3"), &[]);
    check(&format!("{p}let s = solve p until sqr(value) < 1"), &["E1001 `sqr` unknown name `sqr` -> sqrt"]);
    check(&format!("{p}let s = solve p\ncertify s: kkt <= 1, feasible <= 1"), &[]);
    check(&format!("{p}let s = solve p\nprint kkt"), &["E1001 `kkt` unknown name `kkt`"]);
    check("stop calm(level = 1) = value < level and speed < 2", &[]);
    check("schedule s(a) at t = a * t + tt", &["E1001 `tt` unknown name `tt` -> t"]);
    check("print argmin x: real of x^2 by fista(tol = 1) diff implicit(cg(steps = 20))", &[]);
    check("print expect z ~ gaussian(0, 1) by reparam of z + zz", &["E1001 `zz` unknown name `zz` -> z"]);
}

#[test]
fn laws_name_their_variables_or_show_them() {
    check("law l: sqrt(f(A @ v)) == m * v when convex(f), A @ A' == m", &[]);
    check("law l: sqrt(v) == v + w", &["E1001 `w` unknown name `w`"]);
    check("law l(v: real[n]): sqrt(v) == v * n when positive(v)", &[]);
    check("law l(v: real[n]): sqrt(w) == v", &["E1001 `w` unknown name `w`"]);
}

#[test]
fn declarations_see_their_own_names() {
    check("set s(k: real) of x: real[d] { where sum(x) == k\n is bounded(k)\n project v = v * d + k + x }", &["E1001 `x` unknown name `x`"]);
    check("term t(x: real[d], a = 1) = a * sum(x) { is lipschitz(sqrt(d))\n prox(v, r) = v - r * a * d\n conjugate = s -> sum(s) }", &[]);
    check("type t(n: int) = {a: real[n], b: [real[k] for k in [n, n]]} { init key = {a = key, b = n}\n apply x = sum(x) + sum(a) + sum(self.b) }", &[]);
    check("type t = {a: real[n]}", &["E1001 `n` unknown name `n`"]);
    check("fn f(x, y = x + 1, z = w) = x + y + z", &["E1001 `w` unknown name `w`"]);
    check("fn f(b: real[2 * h], a: real[h]) = sum(a) + sum(b)", &["E1001 `h` unknown name `h`"]);
    check("fn f(x: real[_, d]): real[k] = sum(x) * d", &[]);
    // The names of distributions are the evaluator's; those of values in them are judged.
    check("model m(s: real) { mu ~ gaussian(0, s)\n y ~ gaussian(mu, s) [2]\n let d = mu - y }", &["W1001 `d` `d` is never used -> _d"]);
    check("model m(s: real) { let a = s + c\n y ~ gaussian(sum([a, b])) [k] }", &["E1001 `c` unknown name `c`", "E1001 `b` unknown name `b`", "E1001 `k` unknown name `k`"]);
    check("dist d(m: real) of x { log_density = -(x - m)^2 + r\n standard z = m + z }", &["E1001 `r` unknown name `r`"]);
    check("print seed", &[]);
}

#[test]
fn broken_pieces_are_not_blamed_on_names() {
    check("? ?\nprint whatever", &[]);
    check("print )", &["E1001 `print` unknown name `print`"]);
    check("rule r on { step -g }", &[]);
    check("fn f(x = {\n let a = 1\n a + x\n}\nprint f(3)", &[]);
    check("let = 3\nlet b = sqrt()", &[]);
    check("fn f(alpha) = alhpa + (", &["E1001 `alhpa` unknown name `alhpa` -> alpha"]);
    check("fn f(x) = { let a = (\n x }", &[]);
}

#[test]
fn errors_come_in_the_order_of_the_text() {
    check("fn f(x) = aaa + x\nprint f(1, 2), bbb\ntest \"t\" { assert ccc }\nlet f = 2", &[
        "E1001 `aaa` unknown name `aaa`",
        "E1107 `2` the function `f` takes one argument, and more are given | `f` declared here",
        "E1001 `bbb` unknown name `bbb`",
        "E1001 `ccc` unknown name `ccc`",
        "E1003 `f` `f` is defined twice | `f` first defined here ? values do not change: give the second one a name of its own",
    ]);
}

#[test]
fn depth_does_no_harm() {
    let deep = |open: &str, middle: &str, close: &str| format!("let y = {}{middle}{}", open.repeat(1000), close.repeat(1000));
    for text in [
        deep("[", "zzz", "]"),
        deep("sqrt(", "zzz", ")"),
        deep("-", "zzz", ""),
        deep("{ let a = 1; a + ", "zzz", " }"),
        deep("let b = 1 in b + ", "zzz", ""),
        deep("x -> x + ", "zzz", ""),
        deep("if true then 1 else ", "zzz", ""),
        deep("{a = ", "zzz", "}"),
    ] {
        check(&text, &["E1001 `zzz` unknown name `zzz`"]);
        let (module, _) = parse(FileId(1), &text);
        assert_eq!(trace_wanted(&module), TraceWanted::default());
    }
    let types = format!("fn f(x: {}rela{}) = x", "{a: ".repeat(500), "}".repeat(500));
    check(&types, &["E1007 `rela` unknown type `rela` -> real"]);
}

#[test]
fn many_names_take_no_more_than_their_time() {
    let mut text = String::from("let a0 = 1\n");
    for i in 1..10_000 {
        text += &format!("let a{i} = a{} + 1\n", i - 1);
    }
    check(&text, &[]);
}

#[test]
fn public_names_leave_out_what_is_private() {
    let text = "data X: real[n]\nlet (a, _b) = (1, 2)\nfn f(x, k = 1, r: int...) = x\nfn _g(x) = x\nlaw l(v: real): v == v\nterm t(x, c) = c\ntest \"t\" { assert true }";
    let names = public_names(&parse(FileId(1), text).0);
    let expected = [
        KnownName::new("a", Kind::Value),
        KnownName::with_params("f", Kind::Function, &["x", "k?", "r..."]),
        KnownName::with_params("t", Kind::Term, &["x?", "c"]),
    ];
    assert_eq!(names, expected);
}

#[test]
fn codes_are_named_once() {
    for (k, (code, slug)) in CODES.iter().enumerate() {
        assert!(CODES[..k].iter().all(|(c, s)| c != code && s != slug), "{code} {slug}");
    }
}

#[test]
fn traces_are_kept_where_they_can_be_read() {
    let wanted = |text: &str| {
        let text = format!("problem p(l) = min x: real of (x - l)^2\nlet s = solve p(1)\nlet many = [solve p(l) for l in [1.0, 2.0]]\n{text}");
        let w = trace_wanted(&parse(FileId(1), &text).0);
        (w.names.iter().map(|n| n.to_string()).collect::<Vec<_>>(), w.unnamed)
    };
    let no: Vec<String> = vec![];
    let s = vec!["s".to_string()];
    assert_eq!(wanted("print s.x, s.value, many[0].x"), (no.clone(), false));
    assert_eq!(wanted("print s.trace.value"), (s.clone(), false));
    assert_eq!(wanted("test \"t\" { assert len(s.trace.value) > 1 }"), (s.clone(), false));
    assert_eq!(wanted("print s"), (s.clone(), false));
    assert_eq!(wanted("save {a = s} to \"f.json\""), (s.clone(), false));
    assert_eq!(wanted("let {x, trace} = s\nlet y = 1\nprint y"), (s.clone(), false));
    assert_eq!(wanted("let r = {fit = s, k = 2}\nprint r.k, r.fit.x"), (no.clone(), false));
    assert_eq!(wanted("let r = {fit = s, k = 2}\nprint r.fit"), (s.clone(), true));
    assert_eq!(wanted("let r = {fit = s, k = 2}\nprint r"), (s.clone(), true));
    assert_eq!(wanted("fn run(l) = solve p(l)\nprint run(2).x"), (no.clone(), false));
    assert_eq!(wanted("fn run(l) = solve p(l)\nlet r = run(2)\nprint r"), (no.clone(), true));
    assert_eq!(wanted("print many"), (no.clone(), true));
    assert_eq!(wanted("print many[0]"), (no.clone(), true));
    assert_eq!(wanted("print many[0].trace.value"), (no.clone(), true));
    assert_eq!(wanted("print solve p(3)"), (no.clone(), true));
    assert_eq!(wanted("print (solve p(3)).x"), (no.clone(), false));
    assert_eq!(wanted("print (solve p(3)).trace.value"), (no.clone(), true));
    // Read through a parameter: whatever is passed on may be meant.
    assert_eq!(wanted("fn steps(r) = len(r.trace.value)\nprint steps(s)"), (s.clone(), true));
    assert_eq!(wanted("let again = s\nprint again.trace.value"), (s, true));
    assert_eq!(wanted("let q = solve p(2) from s\nprint q.x"), (no, false));
}
