//! What is written about the syntax agrees with the parser: the grammar, the TextMate grammar, the explain pages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_syntax::{FileId, parse};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The words of the lexer, read from its source.
fn words() -> BTreeSet<String> {
    let source = read("crates/gradus-syntax/src/token.rs");
    let table = &source[source.find("pub(crate) fn classify").unwrap()..];
    table.lines().filter_map(|l| l.trim().strip_prefix('"')?.split_once("\" =>")).map(|(word, _)| word.to_string()).collect()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase())
}

#[test]
fn the_grammar_has_the_words_of_the_lexer() {
    let grammar = read("grammar/gradus.ebnf");
    let rules: String = grammar.lines().map(|l| l.split(" // ").next().unwrap_or("").trim_start_matches("//")).collect::<Vec<_>>().join("\n");
    let quoted: BTreeSet<String> = rules.split('"').skip(1).step_by(2).filter(|w| is_word(w)).map(String::from).collect();
    let words = words();
    assert!(words.len() > 60);
    // Words that mean something at one place only, and are names elsewhere.
    let known = ["e", "log", "density", "s", "ms", "min", "off"];
    let unknown: Vec<_> = quoted.iter().filter(|w| !words.contains(*w) && !known.contains(&w.as_str())).collect();
    assert!(unknown.is_empty(), "in the grammar, not in the lexer: {unknown:?}");
    let later = ["extern", "workers"];
    let missing: Vec<_> = words.iter().filter(|w| !quoted.contains(*w) && !later.contains(&w.as_str())).collect();
    assert!(missing.is_empty(), "in the lexer, not in the grammar: {missing:?}");
}

/// Every name that a production uses is defined, and every production is used.
#[test]
fn the_grammar_is_closed() {
    let grammar = read("grammar/gradus.ebnf");
    let mut defined = BTreeSet::new();
    let mut used = BTreeSet::from(["script".to_string(), "COMMENT".to_string()]);
    let mut text = String::new();
    for line in grammar.lines() {
        let code = if line.trim_start().starts_with("//") { "" } else { line.split(" // ").next().unwrap_or("") };
        // Quoted text and what is said in words is no name.
        let mut bare = String::new();
        let mut quote = None;
        for c in code.chars() {
            match (quote, c) {
                (None, '"' | '\'' | '?') => quote = Some(c),
                (Some(q), c) if q == c => quote = None,
                (None, c) => bare.push(c),
                _ => {}
            }
        }
        text.push_str(&bare);
        text.push(' ');
    }
    for production in text.split(';') {
        let Some((name, body)) = production.split_once('=') else { continue };
        defined.insert(name.trim().to_string());
        used.extend(body.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|w| w.len() > 1).map(String::from));
    }
    let said = ["LETTER", "DIGIT", "HEX", "NEWLINE"];
    let undefined: Vec<_> = used.iter().filter(|w| !defined.contains(*w) && !said.contains(&w.as_str())).collect();
    assert!(undefined.is_empty(), "used, not defined: {undefined:?}");
    let unused: Vec<_> = defined.iter().filter(|w| !used.contains(*w)).collect();
    assert!(unused.is_empty(), "defined, not used: {unused:?}");
}

#[test]
fn the_textmate_grammar_has_the_words_of_the_lexer() {
    let json: serde_json::Value = serde_json::from_str(&read("grammar/gradus.tmLanguage.json")).unwrap();
    let mut patterns = Vec::new();
    let mut includes = BTreeSet::new();
    let mut queue = vec![&json];
    while let Some(value) = queue.pop() {
        match value {
            serde_json::Value::Object(map) => {
                for (key, value) in map {
                    match (key.as_str(), value.as_str()) {
                        ("match" | "begin" | "end", Some(pattern)) => patterns.push(pattern.to_string()),
                        ("include", Some(name)) => drop(includes.insert(name.trim_start_matches('#').to_string())),
                        _ => queue.push(value),
                    }
                }
            }
            serde_json::Value::Array(list) => queue.extend(list),
            _ => {}
        }
    }
    let rules: BTreeSet<String> = json["repository"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(includes, rules, "every rule of the repository is included");
    let mut found = BTreeSet::new();
    for pattern in &patterns {
        // An escape such as `\b` is no letter of a word.
        let mut plain = String::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            if c == '\\' {
                chars.next();
                plain.push(' ');
            } else {
                plain.push(c);
            }
        }
        found.extend(plain.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| is_word(w) && w.len() > 1).map(String::from));
    }
    let words = words();
    let missing: Vec<_> = words.iter().filter(|w| !found.contains(*w)).collect();
    assert!(missing.is_empty(), "not highlighted: {missing:?}");
    let types = ["real", "int", "bool", "string"];
    let unknown: Vec<_> = found.iter().filter(|w| !words.contains(*w) && !types.contains(&w.as_str())).collect();
    assert!(unknown.is_empty(), "highlighted, and no word of the language: {unknown:?}");
}

/// Every page about syntax has its four parts, and an example that gives exactly its code.
#[test]
fn the_pages_about_syntax_show_what_they_explain() {
    let mut pages = 0;
    for entry in std::fs::read_dir(root().join("crates/gradus/explain")).unwrap() {
        let path = entry.unwrap().path();
        let code = path.file_stem().unwrap().to_string_lossy().to_string();
        if !code.starts_with("E0") {
            continue;
        }
        pages += 1;
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(&format!("# {code}: ")), "{code}");
        for part in ["## What", "## Why", "## Example", "## Fix"] {
            assert!(text.contains(&format!("\n{part}\n\n")), "{code} lacks {part}");
        }
        // A text of 4 GB cannot be shown.
        if code == "E0006" {
            continue;
        }
        let example = text.split("```opt\n").nth(1).and_then(|t| t.split("```").next()).unwrap_or_else(|| panic!("{code} has no example"));
        let (_, diagnostics) = parse(FileId(1), example);
        let codes: Vec<&str> = diagnostics.iter().map(|d| d.code).collect();
        assert_eq!(codes, [code.as_str()], "the example of {code}");
    }
    assert!(pages >= 28, "{pages}");
}
