//! Examples in the documentation and in the library's doc comments are run.

use crate::markdown::blocks;
use crate::{files, root, shown};
use crate::ui;
use gradus::{Output, Session, Silent, Status};
use std::path::Path;

/// Every `opt` block of the documentation runs without complaint, unless it says `codes=…` or is marked `fragment`.
pub fn documents() -> Vec<String> {
    let mut complaints = Vec::new();
    let mut count = 0;
    let mut all = vec![root().join("README.md"), root().join("CHANGELOG.md"), root().join("crates/README.md")];
    all.extend(files(&root().join("docs"), ".md"));
    for path in all {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for b in blocks(&text).iter().filter(|b| b.language == "opt" && b.attribute("fragment").is_none()) {
            count += 1;
            complaints.extend(document(&path, b).err());
        }
    }
    if count == 0 {
        complaints.push("the documentation has no example".into());
    }
    complaints
}

/// Scripts of the documentation stand in `examples/`, so that they find its data.
fn document(path: &Path, block: &crate::markdown::Block) -> Result<(), String> {
    let mut session = Session::builder().build();
    let script = session.text_in("example.opt", &block.text, root().join("examples"));
    let outcome = session.test(script, None, &mut Silent);
    let codes: Vec<&str> = outcome.diagnostics.iter().filter(|d| d.is_error()).map(|d| d.code).collect();
    let expected: Vec<&str> = block.attribute("codes").map(|c| c.split(',').collect()).unwrap_or_default();
    if codes == expected && (outcome.status == Status::Done || !expected.is_empty()) {
        return Ok(());
    }
    let text: String = outcome
        .diagnostics
        .iter()
        .chain(outcome.tests.iter().flat_map(|t| &t.diagnostics))
        .map(|d| gradus::report::render(d, session.sources(), Default::default()))
        .collect();
    Err(format!("{}:{}: expected {expected:?}\n{text}", shown(path), block.line + 1))
}

/// One example of a library item.
pub struct Example {
    pub place: String,
    pub item: String,
    pub code: String,
    /// What follows `#>`.
    pub result: Option<String>,
}

/// `/// ## example EXPR #> VALUE` lines of the library.
pub fn library_examples() -> Vec<Example> {
    let mut out = Vec::new();
    for path in files(&root().join("stdlib"), ".opt") {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let lines: Vec<&str> = text.lines().collect();
        for (k, line) in lines.iter().enumerate() {
            let Some(rest) = line.strip_prefix("/// ## example") else { continue };
            let item = lines[k..].iter().find(|l| !l.starts_with("///")).copied().unwrap_or("");
            let item = item.split([' ', '(', '=']).nth(1).unwrap_or("").to_string();
            let (code, result) = match rest.split_once("#>") {
                Some((code, result)) => (code.trim(), Some(result.trim().to_string())),
                None => (rest.trim(), None),
            };
            out.push(Example { place: format!("{}:{}", shown(&path), k + 1), item, code: code.to_string(), result });
        }
    }
    out
}

/// Problems that an example may call `p`: one of them fits its method.
const PROBLEMS: [&str; 8] = [
    "problem p = min x: real[3] of sum((x - [1.0, 0.1, -2.0])^2) / 2\n",
    "problem p = min x: real[3] of sum((x - [1.0, 0.1, -2.0])^2) / 2 + 0.5 * norm1(x)\n",
    "problem p = min x: real[3] in simplex of sum((x - [1.0, 0.1, -2.0])^2) / 2\n",
    "problem p = min x: real[3] of sum((x - [1.0, 0.1, -2.0])^2) / 2 subject to total: sum(x) == 1\n",
    "problem p = find x: real[3] in simplex of [[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.5]] @ x\n",
    "problem p = min x: real[3] in simplex of norm1(x - [1.0, 0.1, -2.0])\n",
    "problem p = find x: real[3] of x^3 + x - [1.0, 2.0, 3.0]\n",
    "problem p = min x: real[3] of let y = argmin y: real[3] of sum((y - x)^2) in sum((y - 1)^2) + sum(x^2)\n",
];

/// Data that an example may mention.
const GIVEN: [(&str, &str); 4] = [
    ("X", "let X = normal(key(3), 400, 3)\n"),
    ("y", "let y = normal(key(4), 400)\n"),
    ("x", "let x = normal(key(5), 8, 64)\n"),
    ("t", "let t = [i mod 10 for i in 0..8]\n"),
];

/// Names that a library module declares.
fn items(module: &str) -> Vec<String> {
    let text = gradus::stdlib::MODULES.iter().find(|(n, _)| *n == module).map(|(_, t)| *t).unwrap_or("");
    let declared = |l: &str| {
        let (word, rest) = l.split_once(' ')?;
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        // The names of distributions are known in their place, and elsewhere those of functions are meant.
        (ITEMS.contains(&word) && word != "dist" && !name.is_empty()).then_some(name)
    };
    text.lines().filter_map(declared).collect()
}

/// Words that begin a declaration of the library.
pub const ITEMS: [&str; 10] = ["fn", "set", "dist", "term", "rule", "schedule", "stop", "method", "type", "problem"];

/// Every example of the library runs, and gives what it says.
pub fn library() -> Vec<String> {
    let examples = library_examples();
    if examples.is_empty() {
        return vec!["the library has no examples".into()];
    }
    examples.iter().filter_map(|e| example(e).err().map(|why| format!("{} ({}): {why}", e.place, e.item))).collect()
}

fn example(e: &Example) -> Result<(), String> {
    let module = e.place.trim_start_matches("stdlib/").split(".opt").next().unwrap_or("").to_string();
    let needs_use = !gradus::stdlib::PRELUDE.contains(&module.as_str());
    let import = if needs_use && !items(&module).is_empty() { format!("use {}.{{{}}}\n", module.replace('/', "."), items(&module).join(", ")) } else { String::new() };
    let words: Vec<&str> = e.code.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let given: String = GIVEN.iter().filter(|(name, _)| words.contains(name)).map(|(_, line)| *line).collect();
    let mut last = String::new();
    let contexts: &[&str] = if e.code.contains("solve p") { &PROBLEMS } else { &[""] };
    for context in contexts {
        let code = match e.code.starts_with("let ") {
            true => format!("{}\n", e.code),
            false => format!("let example_result = {}\nprint example_result\n{}", e.code, wanted(e)),
        };
        let script = format!("{import}{given}{context}{code}");
        let mut session = Session::builder().build();
        let file = session.text("example.opt", &script);
        let outcome = session.run(file, &mut Silent);
        let printed = outcome.value("example_result").is_some_and(|v| !matches!(v, Output::Opaque(_))) || e.result.is_none();
        if outcome.status == Status::Done && printed {
            return Ok(());
        }
        last = outcome.diagnostics.iter().map(|d| gradus::report::render(d, session.sources(), Default::default())).collect();
    }
    Err(last)
}

/// The promised result as an assertion, to the digits that it shows.
fn wanted(e: &Example) -> String {
    match &e.result {
        None => String::new(),
        Some(r) if r == "true" => "assert example_result\n".into(),
        Some(r) if r == "false" => "assert not example_result\n".into(),
        Some(r) => {
            let digits = r.split(|c: char| !(c.is_ascii_digit() || c == '.')).filter_map(|n| n.split_once('.')).map(|(_, d)| d.len()).max();
            let tolerance = digits.map_or(1e-9, |d| 10f64.powi(-(d as i32)).max(1e-9));
            format!("assert max(abs(example_result - {r})) <= {tolerance:e}\n")
        }
    }
}

/// Complaints about formatting: the layout of a formatted text is itself.
pub fn formatting() -> Vec<String> {
    let mut complaints = Vec::new();
    let mut count = 0;
    for folder in ["stdlib", "examples", "benches", "tests/laws", "grammar/ok"] {
        for path in files(&root().join(folder), ".opt") {
            count += 1;
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            complaints.extend(formatted(&text, folder != "grammar/ok").err().map(|e| format!("{}: {e}", shown(&path))));
        }
    }
    if count == 0 {
        complaints.push("there are no scripts to format".into());
    }
    complaints
}

fn formatted(text: &str, must_be_so: bool) -> Result<(), String> {
    let mut session = Session::builder().build();
    let a = session.text("a.opt", text);
    let once = session.format(a).map_err(|d| format!("does not parse: {}", d.first().map_or("", |d| d.message.as_str())))?;
    let b = session.text("b.opt", &once);
    let twice = session.format(b).map_err(|_| "its layout does not parse".to_string())?;
    crate::compare::exact(&once, &twice).map_err(|e| format!("formatting twice differs from once, {e}"))?;
    if session.syntax_tree(a).0 != session.syntax_tree(b).0 {
        return Err("formatting changes its meaning".into());
    }
    if must_be_so && once != text {
        return Err("is not in the standard layout (`gradus fmt` makes it so)".into());
    }
    Ok(())
}

/// The pages of codes: the five headings, an example that gives exactly that code, and a cure that works.
pub fn explain_pages() -> Vec<String> {
    let mut complaints = Vec::new();
    for (code, page) in gradus::explain::PAGES {
        for heading in ["# ", "## What", "## Why", "## Example", "## Fix", "## Related"] {
            if !page.lines().any(|l| l.starts_with(heading)) {
                complaints.push(format!("{code}: the page has no `{heading}`"));
            }
        }
        if !page.starts_with(&format!("# {code}: ")) {
            complaints.push(format!("{code}: the page does not begin with `# {code}: what it is`"));
        }
        let related = page.split("## Related").nth(1).unwrap_or("");
        for other in related.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| crate::tidy::is_code(w)) {
            if other == *code || !gradus::explain::codes().any(|c| c == other) {
                complaints.push(format!("{code}: {other} is no other page"));
            }
        }
        complaints.extend(page_scripts(code, page).err().map(|e| format!("{code}: {e}")));
    }
    complaints
}

/// What no script can provoke: mistakes of the compiler, a text of 4 GB (E0006), damaged proof files (which transcripts show).
/// The example of their pages begins with `None:` and says why.
pub fn internal(code: &str) -> bool {
    code.starts_with("E9") || ["E0006", "E7104", "E7105"].contains(&code)
}

fn page_scripts(code: &str, page: &str) -> Result<(), String> {
    let all = blocks(page);
    let script = |heading: &str| all.iter().find(|b| b.heading == heading && b.language == "opt" && b.attribute("file").is_none());
    let files = |heading: &str| -> Vec<_> { all.iter().filter(|b| b.heading == heading && b.attribute("file").is_some()).collect() };
    let none = page.contains("## Example\n\nNone: ");
    let example = match (script("Example"), internal(code)) {
        (None, true) if none => return Ok(()),
        (_, true) => return Err("the example of what no script can provoke begins with `None: `".into()),
        (None, false) => return Err("no example".into()),
        (Some(e), false) => e,
    };
    let ran = ui::run(example, &files("Example"))?;
    let codes: Vec<&str> = ran.places.iter().map(|(_, c)| c.as_str()).collect();
    if codes.is_empty() || codes.iter().any(|c| *c != code) {
        return Err(format!("the example gives {codes:?}\n{}", ran.rendered));
    }
    // The cure may bring files of its own; else it has those of the example.
    let cure = script("Fix").ok_or("no script under `Fix`")?;
    let own = files("Fix");
    let ran = ui::run(cure, if own.is_empty() { files("Example") } else { own }.as_slice())?;
    match ran.diagnostics.is_empty() {
        true => Ok(()),
        false => Err(format!("the script under `Fix` gives\n{}", ran.rendered)),
    }
}
