//! Oracles on arrays of points: a script is made, run, and its numbers are read back.

use super::declared::{Instance, Item};
use crate::{Array, DType, Output, Precision, Session, Silent, Status};
use std::fmt::Write;
use std::num::NonZeroUsize;

/// Why a script gave no numbers.
pub struct Failure {
    pub code: String,
    pub message: String,
}

/// An instance, ready to be run.
pub struct Subject<'a> {
    pub item: &'a Item,
    pub expr: &'a str,
    pub shape: Vec<usize>,
    pub precision: Precision,
}

impl<'a> Subject<'a> {
    pub fn new(item: &'a Item, instance: &'a Instance) -> Subject<'a> {
        Subject { item, expr: &instance.expr, shape: instance.shape.clone(), precision: Precision::F64 }
    }

    pub fn with_shape(&self, shape: Vec<usize>) -> Subject<'a> {
        Subject { item: self.item, expr: self.expr, shape, precision: self.precision }
    }

    pub fn in_f32(&self) -> Subject<'a> {
        Subject { item: self.item, expr: self.expr, shape: self.shape.clone(), precision: Precision::F32 }
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Each body once per lane, where `x[0]`, `x[1]`, … are the lane's points and `it` is the instance: for each body, the numbers
    /// that each lane gave.
    pub fn batch(&self, lanes: &[Vec<&[f64]>], bodies: &[&str]) -> Result<Vec<Vec<Vec<f64>>>, Failure> {
        let given = lanes.first().map_or(0, Vec::len);
        let mut shape = vec![lanes.len(), given];
        shape.extend(&self.shape);
        let data: Vec<f64> = lanes.iter().flatten().flat_map(|p| p.iter().copied()).collect();
        let mut script = self.head(&shape);
        for b in bodies {
            let _ = writeln!(script, "print [{b} for x in law_points]");
        }
        let outputs = self.run(&script, shape, data, bodies.len())?;
        Ok(outputs.into_iter().map(|all| lanes_of(all, lanes.len())).collect())
    }

    /// A body for one lane, alone.
    pub fn alone(&self, lane: &[&[f64]], body: &str) -> Result<Vec<f64>, Failure> {
        let mut shape = vec![lane.len()];
        shape.extend(&self.shape);
        let data: Vec<f64> = lane.iter().flat_map(|p| p.iter().copied()).collect();
        let script = format!("{}let x = law_points\nprint {body}\n", self.head(&shape));
        Ok(self.run(&script, shape, data, 1)?.pop().unwrap_or_default())
    }

    fn head(&self, shape: &[usize]) -> String {
        let lengths: Vec<String> = shape.iter().map(usize::to_string).collect();
        let mut script = format!("{}\ndata law_points: real[{}]\nlet it = {}\n", self.item.before, lengths.join(", "), self.expr);
        // Facts mention parameters and lengths by name.
        for (k, (name, length)) in self.item.dimensions.iter().zip(&self.shape).enumerate() {
            if !name.is_empty() && !self.item.dimensions.iter().take(k).any(|n| n == name) {
                let _ = writeln!(script, "let {name} = {length}");
            }
        }
        let given = given(self.expr);
        for (name, text) in self.item.defaults.iter().filter(|(n, _)| !given.iter().any(|(g, _)| g == n)).chain(&given) {
            let _ = writeln!(script, "let {name} = {text}");
        }
        script
    }

    fn run(&self, script: &str, shape: Vec<usize>, data: Vec<f64>, wanted: usize) -> Result<Vec<Vec<f64>>, Failure> {
        let wrong = |message: &str| Failure { code: "E9".into(), message: message.into() };
        let array = Array::new(DType::Real, shape, data).ok_or_else(|| wrong("the points do not fill their shape"))?;
        // One thread: the instances themselves run side by side.
        let mut session = Session::builder().data("law_points", array).precision(self.precision).threads(NonZeroUsize::MIN).build();
        let file = session.text("laws.opt", script);
        let outcome = session.run(file, &mut Silent);
        if outcome.status != Status::Done {
            let first = outcome.diagnostics.iter().find(|d| d.is_error());
            return Err(first.map_or_else(
                || wrong("it did not run to its end"),
                |d| Failure { code: d.code.to_string(), message: format!("[{}] {}", d.code, d.message) },
            ));
        }
        let from = outcome.values.len().saturating_sub(wanted);
        let all: Vec<Vec<f64>> = outcome.values.iter().skip(from).map(|(_, v)| numbers(v)).collect();
        if all.len() == wanted { Ok(all) } else { Err(wrong("it printed too little")) }
    }
}

/// `name = text` among the arguments of `expr`.
fn given(expr: &str) -> Vec<(String, String)> {
    let Some(inner) = expr.find('(').and_then(|k| expr.get(k + 1..expr.len() - 1)) else { return Vec::new() };
    let mut pieces = vec![String::new()];
    let mut depth = 0;
    for c in inner.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                pieces.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(p) = pieces.last_mut() {
            p.push(c);
        }
    }
    let named = |p: &String| {
        let (name, text) = p.split_once(" = ")?;
        let name = name.trim();
        name.chars().all(|c| c.is_alphanumeric() || c == '_').then(|| (name.to_string(), text.trim().to_string()))
    };
    pieces.iter().filter_map(named).collect()
}

fn numbers(v: &Output) -> Vec<f64> {
    match v {
        Output::Array(a) => a.data.to_vec(),
        Output::List(l) => l.iter().flat_map(numbers).collect(),
        Output::Record(f) => f.iter().flat_map(|(_, v)| numbers(v)).collect(),
        Output::Text(_) | Output::Opaque(_) => Vec::new(),
    }
}

fn lanes_of(all: Vec<f64>, lanes: usize) -> Vec<Vec<f64>> {
    if all.is_empty() || lanes == 0 {
        return vec![Vec::new(); lanes];
    }
    all.chunks(all.len() / lanes).map(<[f64]>::to_vec).collect()
}
