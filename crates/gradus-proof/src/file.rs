//! The file form of proofs: JSON, with graphs and terms in the text form of the graph language.

use crate::import::LoopMap;
use crate::{Given, Proof, Step};
use serde_json::{Map, Value, json};

/// What the file says it is.
const FORMAT: &str = "gradus proof 1";

/// The proofs of a script, one for each of its graphs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    pub script: String,
    pub proofs: Vec<(String, Proof)>,
}

impl File {
    pub fn to_json(&self) -> Value {
        let proofs: Vec<Value> = self
            .proofs
            .iter()
            .map(|(title, p)| {
                let mut m = Map::new();
                m.insert("title".into(), json!(title));
                m.extend(proof_json(p));
                Value::Object(m)
            })
            .collect();
        json!({ "format": FORMAT, "script": self.script, "proofs": proofs })
    }

    /// # Errors
    /// Where the value is not a proof file: a field that is missing, of the wrong kind or unknown.
    pub fn from_json(v: &Value) -> Result<File, String> {
        let o = object(v, "file", &["format", "script", "proofs"])?;
        if text(o, "format")? != FORMAT {
            return Err(format!("the format is not `{FORMAT}`"));
        }
        let mut proofs = Vec::new();
        for (k, p) in list(o, "proofs")?.iter().enumerate() {
            let title = p.get("title").and_then(Value::as_str).ok_or_else(|| format!("proof {k} has no title"))?;
            proofs.push((title.to_string(), read_proof(p, true).map_err(|e| format!("proof {k}: {e}"))?));
        }
        Ok(File { script: text(o, "script")?.to_string(), proofs })
    }

    /// # Errors
    /// The text is no JSON, or no proof file.
    pub fn read(text: &str) -> Result<File, String> {
        let v: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        File::from_json(&v)
    }

    pub fn write(&self) -> String {
        serde_json::to_string_pretty(&self.to_json()).map(|t| t + "\n").unwrap_or_default()
    }
}

fn lines(text: &str) -> Value {
    text.lines().map(Value::from).collect()
}

fn proof_json(p: &Proof) -> Map<String, Value> {
    let mut m = Map::new();
    m.insert("before".into(), lines(&p.before));
    m.insert("after".into(), lines(&p.after));
    let loops: Vec<Value> =
        p.loops.iter().map(|l| json!({ "loop": l.label, "carries": l.carries, "collected": l.collected })).collect();
    m.insert("loops".into(), Value::Array(loops));
    if !p.given.is_empty() {
        let given = |g: &Given| json!({ "law": g.law, "variables": g.variables, "graph": lines(&g.graph), "tested": g.tested });
        m.insert("given".into(), p.given.iter().map(given).collect());
    }
    m.insert("hoisted".into(), json!(p.hoisted));
    m.insert("atoms".into(), json!(p.atoms));
    m.insert("terms".into(), lines(&p.terms));
    let steps: Vec<Value> = p.steps.iter().map(step_json).collect();
    m.insert("steps".into(), Value::Array(steps));
    let inner: Vec<Value> = p.branches.iter().map(|b| Value::Object(proof_json(b))).collect();
    m.insert("branches".into(), Value::Array(inner));
    if !p.then.is_empty() {
        m.insert("then".into(), p.then.iter().map(|b| Value::Object(proof_json(b))).collect());
    }
    m
}

fn step_json(s: &Step) -> Value {
    let with: Map<String, Value> = s.with.iter().map(|(n, t)| (n.clone(), json!(t))).collect();
    let mut m = Map::new();
    m.insert("law".into(), json!(s.law));
    m.insert("left".into(), json!(s.left));
    m.insert("right".into(), json!(s.right));
    m.insert("with".into(), Value::Object(with));
    if !s.numbers.is_empty() {
        m.insert("numbers".into(), s.numbers.iter().map(|(n, v)| (n.clone(), json!(v))).collect());
    }
    if let Some(a) = &s.axes {
        m.insert("axes".into(), json!(a));
    }
    if !s.facts.is_empty() {
        m.insert("facts".into(), json!(s.facts));
    }
    Value::Object(m)
}

fn object<'v>(v: &'v Value, what: &str, fields: &[&str]) -> Result<&'v Map<String, Value>, String> {
    let o = v.as_object().ok_or_else(|| format!("a {what} is an object"))?;
    match o.keys().find(|k| !fields.contains(&k.as_str())) {
        Some(k) => Err(format!("a {what} has no field `{k}`")),
        None => Ok(o),
    }
}

fn text<'v>(o: &'v Map<String, Value>, name: &str) -> Result<&'v str, String> {
    o.get(name).and_then(Value::as_str).ok_or_else(|| format!("`{name}` is a text"))
}

fn list<'v>(o: &'v Map<String, Value>, name: &str) -> Result<&'v Vec<Value>, String> {
    o.get(name).and_then(Value::as_array).ok_or_else(|| format!("`{name}` is a list"))
}

fn texts(o: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    let all: Option<Vec<String>> = list(o, name)?.iter().map(|v| v.as_str().map(str::to_string)).collect();
    all.ok_or_else(|| format!("`{name}` is a list of texts"))
}

fn sizes(o: &Map<String, Value>, name: &str) -> Result<Vec<usize>, String> {
    let all: Option<Vec<usize>> = list(o, name)?.iter().map(|v| v.as_u64().map(|n| n as usize)).collect();
    all.ok_or_else(|| format!("`{name}` is a list of numbers"))
}

fn read_proof(v: &Value, titled: bool) -> Result<Proof, String> {
    let mut fields = vec!["before", "after", "loops", "given", "hoisted", "atoms", "terms", "steps", "branches", "then"];
    if titled {
        fields.push("title");
    }
    let o = object(v, "proof", &fields)?;
    let mut p = Proof {
        before: texts(o, "before")?.join("\n"),
        after: texts(o, "after")?.join("\n"),
        hoisted: texts(o, "hoisted")?,
        atoms: texts(o, "atoms")?,
        terms: texts(o, "terms")?.join("\n"),
        ..Proof::default()
    };
    for l in list(o, "loops")? {
        let l = object(l, "loop", &["loop", "carries", "collected"])?;
        p.loops.push(LoopMap { label: text(l, "loop")?.into(), carries: sizes(l, "carries")?, collected: sizes(l, "collected")? });
    }
    if o.contains_key("given") {
        for g in list(o, "given")? {
            let g = object(g, "given law", &["law", "variables", "graph", "tested"])?;
            let tested = g.get("tested").and_then(Value::as_u64).ok_or("`tested` is a number")? as usize;
            p.given.push(Given { law: text(g, "law")?.into(), variables: texts(g, "variables")?, graph: texts(g, "graph")?.join("\n"), tested });
        }
    }
    for (k, s) in list(o, "steps")?.iter().enumerate() {
        p.steps.push(read_step(s).map_err(|e| format!("step {k}: {e}"))?);
    }
    for b in list(o, "branches")? {
        p.branches.push(read_proof(b, false)?);
    }
    if o.contains_key("then") {
        for b in list(o, "then")? {
            p.then.push(read_proof(b, false)?);
        }
    }
    Ok(p)
}

fn read_step(v: &Value) -> Result<Step, String> {
    let o = object(v, "step", &["law", "left", "right", "with", "numbers", "axes", "facts"])?;
    let mut s = Step {
        law: text(o, "law")?.into(),
        left: text(o, "left")?.into(),
        right: text(o, "right")?.into(),
        ..Step::default()
    };
    for (n, t) in o.get("with").and_then(Value::as_object).ok_or("`with` is an object")? {
        s.with.push((n.clone(), t.as_str().ok_or("a term is a text")?.to_string()));
    }
    if let Some(numbers) = o.get("numbers") {
        for (n, x) in numbers.as_object().ok_or("`numbers` is an object")? {
            s.numbers.push((n.clone(), x.as_f64().ok_or("a number is a number")?));
        }
    }
    if o.contains_key("axes") {
        s.axes = Some(sizes(o, "axes")?);
    }
    if o.contains_key("facts") {
        s.facts = texts(o, "facts")?;
    }
    Ok(s)
}
