//! Nonsense of three kinds: bytes, soups of tokens, and good scripts with pieces cut, doubled and swapped. Nothing may
//! panic, every span must be sound, and what is refused must say why.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_syntax::{FileId, format, line_column, parse, print_ast};
use std::path::Path;

/// xorshift: the same sequence on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

fn survives(text: &str) {
    let (module, diagnostics) = parse(FileId(1), text);
    let tree = print_ast(&module);
    let broken = tree.lines().any(|l| l.split(' ').any(|w| w.trim_matches(['(', ')']) == "error")) && !text.contains("error");
    assert!(!broken || !diagnostics.is_empty(), "an error in the tree and no diagnostic for {text:?}\n{tree}");
    for d in &diagnostics {
        assert!(d.code.starts_with("E0") && !d.message.is_empty(), "{d:?}");
        for span in std::iter::once(d.primary.span).chain(d.labels.iter().map(|l| l.span)).chain(d.helps.iter().filter_map(|h| h.edit.as_ref().map(|e| e.0))) {
            assert!(text.get(span.start as usize..span.end as usize).is_some(), "a span outside the text or inside a character: {d:?} in {text:?}");
            line_column(text, span.start as usize);
        }
    }
    assert!(diagnostics.windows(2).all(|w| w[0].primary.span.start <= w[1].primary.span.start), "out of order in {text:?}");
    match format(FileId(1), text) {
        Ok(once) => {
            let (again, more) = parse(FileId(1), &once);
            assert!(more.is_empty(), "formatted, it no longer parses: {text:?}\n{once}\n{more:?}");
            assert_eq!(print_ast(&again), tree, "formatted, it means something else: {text:?}\n{once}");
            assert_eq!(format(FileId(1), &once).as_ref(), Ok(&once), "not idempotent: {text:?}");
        }
        Err(d) => assert!(!d.is_empty()),
    }
}

#[test]
fn random_bytes() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..4_000 {
        const COMMON: &[u8] = b" \n\t()[]{}=+-*/.,:;<>~'\"@^&|!#%ax1_e\\$?/";
        let len = random.below(120);
        let bytes: Vec<u8> = (0..len)
            .map(|_| match random.below(4) {
                0 => random.below(256) as u8,
                _ => COMMON[random.below(COMMON.len())],
            })
            .collect();
        survives(&String::from_utf8_lossy(&bytes));
    }
}

const TOKENS: &[&str] = &[
    "let", "in", "if", "then", "else", "for", "while", "of", "by", "from", "until", "with", "and", "or", "not", "true", "min", "argmax",
    "find", "fix", "expect", "solve", "scan", "mod", "after", "subject to", "diff", "upto", "to", "use", "data", "fn", "type", "set", "term",
    "law", "rule", "schedule", "stop", "method", "dist", "model", "guide", "problem", "test", "print", "plot", "save", "assert", "certify",
    "where", "when", "is", "on", "at", "state", "step", "return", "certificate", "(", ")", "[", "]", "{", "}", "(", ")", "[", "]", "{", "}",
    ",", ",", ";", ":", ".", " . ", "..", "..=", "...", "=", "=", "==", "!=", "<", "<=", "->", "<-", "~", "+", "-", " - ", "*", "/", "@", "^",
    "&", "|>", "'", "x", "y", "f", "real", "1", "2.5", "30%", "\"s\"", "\n", "\n", "\n", "\n  ", "// c\n", "/// d\n", "None", "_", "time", "10 s",
];

#[test]
fn token_soup() {
    let mut random = Random(0xfeed_beef_1234_0001);
    for _ in 0..12_000 {
        let len = 1 + random.below(25);
        let mut text = String::new();
        for _ in 0..len {
            text.push_str(TOKENS[random.below(TOKENS.len())]);
            if random.below(5) > 0 {
                text.push(' ');
            }
        }
        survives(&text);
    }
}

#[test]
fn damaged_scripts() {
    let mut random = Random(0x0bad_cafe_0000_0007);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../grammar/ok");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let text: Vec<char> = std::fs::read_to_string(&path).unwrap().chars().collect();
        for _ in 0..60 {
            let mut damaged = text.clone();
            for _ in 0..1 + random.below(4) {
                if damaged.is_empty() {
                    break;
                }
                let at = random.below(damaged.len());
                let to = (at + random.below(12)).min(damaged.len());
                match random.below(3) {
                    0 => drop(damaged.drain(at..to)),
                    1 => {
                        let piece: Vec<char> = damaged[at..to].to_vec();
                        let place = random.below(damaged.len());
                        damaged.splice(place..place, piece);
                    }
                    _ => {
                        let token = TOKENS[random.below(TOKENS.len())];
                        damaged.splice(at..at, token.chars());
                    }
                }
            }
            survives(&damaged.into_iter().collect::<String>());
        }
    }
}

/// One mistake, few complaints: a character or a bracket too much or too few never drowns the reader.
#[test]
fn one_mistake_stays_one() {
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../grammar/ok");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    let (mut mistakes, mut complaints) = (0, 0);
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let places: Vec<usize> = text.char_indices().filter(|(_, c)| "()[]{}=,".contains(*c)).map(|(i, _)| i).collect();
        for _ in 0..40 {
            if places.is_empty() {
                continue;
            }
            let mut damaged = text.clone();
            damaged.remove(places[random.below(places.len())]);
            let (_, diagnostics) = parse(FileId(1), &damaged);
            assert!(diagnostics.len() <= 6, "{} complaints about one mistake:\n{damaged}\n{diagnostics:#?}", diagnostics.len());
            if !diagnostics.is_empty() {
                mistakes += 1;
                complaints += diagnostics.len();
            }
        }
    }
    assert!(mistakes > 500);
    assert!(complaints as f64 / (mistakes as f64) < 1.5, "{complaints} complaints about {mistakes} mistakes");
}
