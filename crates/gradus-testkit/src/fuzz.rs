//! Mutations of every script of the project: whatever is done to a script, it ends in order.
//!
//! `GRADUS_FUZZ=ROUNDS` runs longer, `GRADUS_FUZZ_SEED=N` other mutations. The script under way is in the file
//! `gradus-fuzz-last.opt` of the folder for temporary files then, for faults that end the whole process.

use crate::{docs, files, markdown, root, shown};
use gradus::{Diagnostic, Limits, Outcome, Session, Silent, Status};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Mutations when nothing else is said.
const ROUNDS: u64 = 400;
const NUMBERS: [&str; 8] = ["0", "-1", "1e308", "(0.0 / 0.0)", "1e-320", "(1 / 0)", "7", "9007199254740993"];

/// A small generator of pseudo-random numbers (xorshift), so that a seed names a case.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        // The multiplier spreads small seeds over all bits; zero is the one state that never moves.
        let mut dice = Dice((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..4 {
            dice.next();
        }
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `n`, which is positive.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n.max(1)
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

/// A script to start from, with the folder of its data.
struct Seed {
    name: String,
    text: String,
    folder: PathBuf,
}

/// Complaints about mutations of every script.
pub fn check() -> Vec<String> {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse::<u64>().ok());
    let long = number("GRADUS_FUZZ");
    let first = number("GRADUS_FUZZ_SEED").unwrap_or(0);
    let seeds = seeds();
    let mut complaints = Vec::new();
    for k in first..first + long.unwrap_or(ROUNDS) {
        let mut dice = Dice::new(k);
        let seed = dice.pick(&seeds);
        let text = mutated(&seed.text, &mut dice);
        // A mutated file name must not be written to.
        if text.contains("save") {
            continue;
        }
        if long.is_some() {
            let _ = std::fs::write(std::env::temp_dir().join("gradus-fuzz-last.opt"), &text);
        }
        let began = Instant::now();
        if let Err(e) = in_order(&text, seed.folder.clone()) {
            complaints.push(format!("mutation {k} of {}: {e}\n{text}", seed.name));
        }
        // Clocks are for a person who looks; the test itself would fail on a busy machine.
        if long.is_some() && began.elapsed() > Duration::from_secs(4) {
            complaints.push(format!("mutation {k} of {} took {:?}\n{text}", seed.name, began.elapsed()));
        }
        if complaints.len() >= 10 {
            break;
        }
    }
    complaints
}

/// Check and run a script under tight limits: no panic, no internal error, and a status that agrees with the diagnostics.
pub fn in_order(text: &str, folder: PathBuf) -> Result<(), String> {
    let run = || {
        let limits = Limits { time: Some(Duration::from_millis(500)), memory: Some(64 << 20) };
        let mut session = Session::builder().limits(limits).build();
        let script = session.text_in("case.opt", text, folder);
        let checked = session.check(script);
        let ran = (checked.status == Status::Done).then(|| session.run(script, &mut Silent));
        [Some(checked), ran].into_iter().flatten().try_for_each(|outcome| sound(&outcome))
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("panics".into()))
}

fn sound(outcome: &Outcome) -> Result<(), String> {
    if let Some(d) = outcome.diagnostics.iter().find(|d| docs::internal(&d.code.to_string())) {
        return Err(format!("internal error: {d:?}"));
    }
    let errors = outcome.diagnostics.iter().any(Diagnostic::is_error);
    if (outcome.status == Status::Done) == errors {
        return Err(format!("the status is {}, but the diagnostics are {:?}", outcome.status.name(), outcome.diagnostics));
    }
    Ok(())
}

fn seeds() -> Vec<Seed> {
    let mut out = Vec::new();
    for folder in ["examples", "tests/laws", "grammar/ok"] {
        for path in files(&root().join(folder), ".opt") {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let folder = path.parent().map(PathBuf::from).unwrap_or_default();
            out.push(Seed { name: shown(&path), text, folder });
        }
    }
    for folder in ["tests/golden", "tests/ui", "docs"] {
        for path in files(&root().join(folder), ".md") {
            let Ok(document) = std::fs::read_to_string(&path) else { continue };
            for block in markdown::blocks(&document).into_iter().filter(|b| b.language == "opt") {
                let name = format!("{}:{}", shown(&path), block.line + 1);
                out.push(Seed { name, text: block.text, folder: root().join("examples") });
            }
        }
    }
    for (module, text) in gradus::stdlib::MODULES {
        out.push(Seed { name: (*module).to_string(), text: (*text).to_string(), folder: root() });
    }
    out
}

/// Pieces of a script that hold all of its text: words, numbers, strings, comments, blanks and single signs.
fn pieces(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let while_true = |ok: &dyn Fn(char) -> bool| rest.find(|c: char| !ok(c)).unwrap_or(rest.len());
        let end = if rest.starts_with("//") {
            while_true(&|c| c != '\n')
        } else if c.is_alphanumeric() || c == '_' {
            while_true(&|c| c.is_alphanumeric() || c == '_' || (c == '.' && rest.starts_with(|d: char| d.is_ascii_digit())))
        } else if c == '"' {
            rest[1..].find(['"', '\n']).map_or(rest.len(), |k| k + 2)
        } else if c == ' ' {
            while_true(&|c| c == ' ')
        } else {
            c.len_utf8()
        };
        let (piece, after) = rest.split_at(end);
        out.push(piece);
        rest = after;
    }
    out
}

fn mutated(text: &str, dice: &mut Dice) -> String {
    let mut all: Vec<&str> = pieces(text);
    let first = |p: &str, ok: fn(char) -> bool| p.chars().next().is_some_and(ok);
    for _ in 0..1 + dice.below(4) {
        let of = |all: &[&str], ok: fn(char) -> bool| -> Vec<usize> { (0..all.len()).filter(|&k| first(all[k], ok)).collect() };
        let solid = of(&all, |c| c != ' ' && c != '\n' && c != '/');
        let words = of(&all, |c| c.is_alphabetic());
        let numbers = of(&all, |c| c.is_ascii_digit());
        if solid.is_empty() || words.is_empty() {
            break;
        }
        match dice.below(10) {
            0 => drop(all.remove(*dice.pick(&solid))),
            1 => {
                let (a, b) = (*dice.pick(&solid), *dice.pick(&solid));
                all.swap(a, b);
            }
            2 => {
                let k = *dice.pick(&solid);
                all.insert(k, all[k]);
            }
            3..=5 if !numbers.is_empty() => all[*dice.pick(&numbers)] = dice.pick::<&str>(NUMBERS.as_slice()),
            6 => {
                // A whole line.
                let ends: Vec<usize> = (0..all.len()).filter(|&k| all[k] == "\n").collect();
                if ends.len() > 1 {
                    let k = dice.below(ends.len() - 1);
                    all.drain(ends[k]..ends[k + 1]);
                }
            }
            _ => {
                let (a, b) = (*dice.pick(&words), *dice.pick(&words));
                all[a] = all[b];
            }
        }
    }
    all.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_lose_nothing_and_mutations_change_something() {
        let text = "let é = 1.5e3 // a\nprint \"x y\", é[0..2]\n\"open";
        assert_eq!(pieces(text).concat(), text);
        assert!((0..20).any(|k| mutated(text, &mut Dice::new(k)) != text));
        assert_eq!(mutated(text, &mut Dice::new(3)), mutated(text, &mut Dice::new(3)));
    }

    #[test]
    fn what_is_out_of_order_is_noticed() {
        assert!(in_order("print 1\n", PathBuf::new()).is_ok());
        assert!(in_order("print (\n", PathBuf::new()).is_ok());
        let mut session = Session::builder().build();
        let script = session.text("a.opt", "print 1\n");
        let mut outcome = session.run(script, &mut Silent);
        outcome.status = Status::Failed;
        assert!(sound(&outcome).is_err());
    }
}
