//! Proofs of what the rewriter did to every golden program: they hold, and whatever is changed in them is noticed.

use crate::fuzz::Dice;
use crate::markdown::{Block, blocks};
use crate::{files, root, scratch, shown};
use gradus::proofs;
use gradus::report::json::Value;
use gradus::{Session, Silent};
use std::path::Path;

/// Changes of each kind for each graph.
const EACH: usize = 2;

/// Steps up to which a proof has none that the others imply.
const SPARE: usize = 40;

/// A way to damage a proof: changes it in some place; false where there is nothing of the kind to change.
type Damage = fn(&mut Value, &mut Dice) -> bool;

const DAMAGES: &[(&str, Damage)] = &[
    ("a law's name", law),
    ("a substitution", substitution),
    ("a dropped fact", fact),
    ("an invented fact", invented),
    ("a constant of a side", |p, d| constant(p, "terms", d)),
    ("an operand of a side", |p, d| swapped(p, "terms", d)),
    ("a dropped step", dropped),
    ("a changed side", side),
    ("the final graph's constants", |p, d| constant(p, "after", d)),
    ("the final graph's operands", |p, d| swapped(p, "after", d)),
    ("the final graph's operations", operation),
    ("the first graph's constants", |p, d| constant(p, "before", d)),
    ("the values of a loop", carries),
    ("what left a loop", hoisted),
];

/// Complaints about all golden programs.
pub fn check() -> Vec<String> {
    let mut complaints = Vec::new();
    let mut done = vec![0; DAMAGES.len()];
    let mut steps = 0;
    for path in files(&root().join("tests/golden"), ".md") {
        if let Err(e) = one(&path, &mut done, &mut steps) {
            complaints.push(format!("{}: {e}", shown(&path)));
        }
    }
    for (n, (what, _)) in done.iter().zip(DAMAGES) {
        if *n == 0 {
            complaints.push(format!("no proof has {what} to change"));
        }
    }
    if steps == 0 {
        complaints.push("no proof has a step".into());
    }
    complaints
}

fn one(path: &Path, done: &mut [usize], steps: &mut usize) -> Result<(), String> {
    let document = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let all = blocks(&document);
    let source = all.iter().find(|b| b.heading == "SOURCE" && b.language == "opt" && b.attribute("file").is_none());
    let source = source.ok_or("no SOURCE")?;
    let attached: Vec<&Block> = all.iter().filter(|b| b.attribute("file").is_some() || b.attribute("copy").is_some()).collect();
    let dir = scratch::folder(&attached).map_err(|e| e.to_string())?;
    let mut session = Session::builder().build();
    let script = session.text_in("golden.opt", &source.text, dir.path());
    let outcome = session.explain(script, &["proof"], &mut Silent);
    if let Some(d) = outcome.diagnostics.iter().find(|d| d.code == "E9010") {
        return Err(d.message.clone());
    }
    let text = proofs::file("golden.opt", &outcome);
    for v in proofs::check(&text).map_err(|d| d.message)? {
        *steps += v.steps;
    }
    let file: Value = serde_json_value(&text)?;
    let graphs = file["proofs"].as_array().map_or(0, Vec::len);
    for g in 0..graphs {
        // Each graph by itself, so that a change in it is the only reason to refuse the file.
        let mut alone = file.clone();
        alone["proofs"] = Value::Array(vec![file["proofs"][g].clone()]);
        for (k, (what, damage)) in DAMAGES.iter().enumerate() {
            let mut dice = Dice::new((g * 100 + k) as u64);
            for _ in 0..EACH {
                let mut changed = alone.clone();
                if !damage(&mut changed["proofs"][0], &mut dice) || changed == alone {
                    continue;
                }
                done[k] += 1;
                if proofs::check(&changed.to_string()).is_ok() {
                    return Err(format!("{what} is changed in graph {g}, and the proof is accepted\n{}", difference(&alone, &changed)));
                }
            }
        }
    }
    Ok(())
}

fn serde_json_value(text: &str) -> Result<Value, String> {
    text.parse().map_err(|e| format!("{e}"))
}

/// The lines that differ.
fn difference(a: &Value, b: &Value) -> String {
    let (a, b) = (format!("{a:#}"), format!("{b:#}"));
    let lines: Vec<String> = a.lines().zip(b.lines()).filter(|(x, y)| x != y).take(3).map(|(x, y)| format!("{x}\n{y}")).collect();
    lines.join("\n")
}

fn steps<'p>(p: &'p mut Value, dice: &mut Dice) -> Option<&'p mut Value> {
    let all = p["steps"].as_array_mut()?;
    if all.is_empty() {
        return None;
    }
    let at = dice.below(all.len());
    all.get_mut(at)
}

fn law(p: &mut Value, dice: &mut Dice) -> bool {
    let names = ["stable/softplus", "algebra/log-exp", "matrix/right", "reduce/of-product", "matrix/factor-once", "algebra/no-such-law"];
    let Some(s) = steps(p, dice) else { return false };
    let new = *dice.pick::<&str>(&names);
    if s["law"] == *new {
        return false;
    }
    s["law"] = Value::from(new);
    true
}

/// A term that another step speaks of.
fn other(p: &Value, not: &str, dice: &mut Dice) -> Option<String> {
    let mut all: Vec<String> = Vec::new();
    for s in p["steps"].as_array()? {
        all.extend([&s["left"], &s["right"]].into_iter().filter_map(|t| t.as_str().map(str::to_string)));
    }
    all.retain(|t| t != not);
    if all.is_empty() { None } else { Some(dice.pick::<String>(&all).clone()) }
}

fn substitution(p: &mut Value, dice: &mut Dice) -> bool {
    let from = p.clone();
    let Some(s) = steps(p, dice) else { return false };
    let Some(with) = s["with"].as_object_mut() else { return false };
    let Some((name, old)) = with.iter().next().map(|(n, t)| (n.clone(), t.as_str().unwrap_or("").to_string())) else { return false };
    let Some(new) = other(&from, &old, dice) else { return false };
    with.insert(name, Value::from(new));
    true
}

fn fact(p: &mut Value, dice: &mut Dice) -> bool {
    let with_facts = |s: &&mut Value| s["facts"].as_array().is_some_and(|f| !f.is_empty());
    let Some(all) = p["steps"].as_array_mut() else { return false };
    let mut some: Vec<&mut Value> = all.iter_mut().filter(with_facts).collect();
    if some.is_empty() {
        return false;
    }
    let at = dice.below(some.len());
    some[at]["facts"].as_array_mut().is_some_and(|f| f.pop().is_some())
}

fn invented(p: &mut Value, dice: &mut Dice) -> bool {
    let Some(s) = steps(p, dice) else { return false };
    s["facts"] = Value::Array(vec![Value::from("x is never negative: it looks so")]);
    true
}

fn dropped(p: &mut Value, dice: &mut Dice) -> bool {
    let Some(all) = p["steps"].as_array_mut() else { return false };
    if all.is_empty() || all.len() > SPARE {
        return false;
    }
    all.remove(dice.below(all.len()));
    true
}

fn side(p: &mut Value, dice: &mut Dice) -> bool {
    let from = p.clone();
    let Some(s) = steps(p, dice) else { return false };
    let old = s["right"].as_str().unwrap_or("").to_string();
    let left = s["left"].as_str().unwrap_or("").to_string();
    match other(&from, &old, dice).filter(|t| *t != left) {
        // What the steps together say is equal may stand for the old side: that is no damage.
        Some(new) if equal(&from, &old).contains(&new) => false,
        Some(new) => {
            s["right"] = Value::from(new);
            true
        }
        None => false,
    }
}

/// Everything that steps say is equal to a side, one after the other.
fn equal(p: &Value, side: &str) -> Vec<String> {
    let pairs: Vec<(&str, &str)> =
        p["steps"].as_array().into_iter().flatten().filter_map(|s| s["left"].as_str().zip(s["right"].as_str())).collect();
    let mut out = vec![side.to_string()];
    let mut k = 0;
    while k < out.len() {
        for (a, b) in &pairs {
            for (from, to) in [(a, b), (b, a)] {
                if out[k] == **from && !out.iter().any(|o| o == to) {
                    out.push(to.to_string());
                }
            }
        }
        k += 1;
    }
    out
}

/// The sides of steps and their operands, as the beginnings of their lines.
fn spoken(p: &Value) -> Vec<String> {
    let Some(all) = p["steps"].as_array() else { return Vec::new() };
    let sides = all.iter().flat_map(|s| [&s["left"], &s["right"]]).filter_map(|t| t.as_str());
    let mut out: Vec<String> = sides.filter_map(|t| t.split_once(": ").map(|(n, _)| format!("{n}: "))).collect();
    let lines = p["terms"].as_array().into_iter().flatten().filter_map(|l| l.as_str());
    let mut under = Vec::new();
    for l in lines.filter(|l| out.iter().any(|s| l.trim_start().starts_with(s))) {
        let args = l.split(" = ").nth(1).unwrap_or("");
        under.extend(args.split([' ', ',']).filter(|w| w.starts_with('%')).map(|w| format!("{w}: ")));
    }
    out.extend(under);
    out
}

/// The lines of a text with one of those that `change` changes replaced.
fn line(p: &mut Value, field: &str, dice: &mut Dice, change: impl Fn(&str) -> Option<String>) -> bool {
    // Of the terms only those count that a step speaks of.
    let spoken = if field == "terms" { spoken(p) } else { Vec::new() };
    if field == "terms" && p["steps"].as_array().is_none_or(|s| s.len() > SPARE) {
        return false;
    }
    let Some(all) = p[field].as_array_mut() else { return false };
    let places: Vec<(usize, String)> =
        all.iter().enumerate().filter(|(_, l)| field != "terms" || l.as_str().is_some_and(|l| spoken.iter().any(|s| l.trim_start().starts_with(s)))).filter_map(|(k, l)| change(l.as_str()?).map(|new| (k, new))).collect();
    if places.is_empty() {
        return false;
    }
    let (k, new) = &places[dice.below(places.len())];
    all[*k] = Value::from(new.as_str());
    true
}

fn constant(p: &mut Value, field: &str, dice: &mut Dice) -> bool {
    line(p, field, dice, |l| {
        let (head, v) = l.split_once(": real = const ")?;
        let v: f64 = v.trim().parse().ok()?;
        v.is_finite().then(|| format!("{head}: real = const {:?}", 2.0 * v + 1.25))
    })
}

fn swapped(p: &mut Value, field: &str, dice: &mut Dice) -> bool {
    line(p, field, dice, |l| {
        let (head, args) = ["sub", "div", "matmul", "pow"].iter().find_map(|op| {
            let at = l.find(&format!(" = {op} "))? + op.len() + 4;
            Some(l.split_at(at))
        })?;
        let (a, b) = args.split_once(", ")?;
        (a != b).then(|| format!("{head}{b}, {a}"))
    })
}

fn operation(p: &mut Value, dice: &mut Dice) -> bool {
    line(p, "after", dice, |l| {
        let pairs = [("add", "sub"), ("mul", "add"), ("exp", "tanh"), ("max", "min"), ("abs", "exp"), ("sqrt", "exp"), ("sub", "add"), ("square", "exp")];
        pairs.iter().find_map(|(a, b)| {
            let from = format!(" = {a} ");
            l.contains(&from).then(|| l.replace(&from, &format!(" = {b} ")))
        })
    })
}

fn carries(p: &mut Value, dice: &mut Dice) -> bool {
    let Some(all) = p["loops"].as_array_mut() else { return false };
    if all.is_empty() {
        return false;
    }
    let at = dice.below(all.len());
    let Some(c) = all[at]["carries"].as_array_mut().filter(|c| !c.is_empty()) else { return false };
    let k = dice.below(c.len());
    c[k] = Value::from(c[k].as_u64().unwrap_or(0) + 1 + dice.below(2) as u64);
    true
}

fn hoisted(p: &mut Value, dice: &mut Dice) -> bool {
    let Some(all) = p["hoisted"].as_array_mut().filter(|h| !h.is_empty()) else { return false };
    let at = dice.below(all.len());
    let Some((term, _)) = all[at].as_str().and_then(|t| t.split_once(" out of ")) else { return false };
    all[at] = Value::from(format!("{term} out of nowhere"));
    true
}
