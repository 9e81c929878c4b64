//! Which sets and terms there are, and the instances that their doc comments name.

use crate::stdlib;
use gradus_syntax::ast::{ExprKind, Fact, ItemKind, Param, TypeKind};
use gradus_syntax::{FileId, Span};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Set,
    Term,
}

/// A set or term with what is declared of it.
#[derive(Clone, Debug)]
pub struct Item {
    pub name: String,
    pub kind: Kind,
    pub instances: Vec<Instance>,
    pub(super) facts: Vec<(String, Vec<String>)>,
    pub(super) oracles: Vec<String>,
    /// Parameters without a type, which may be sets and terms; a fact that names one, as in `is convex(C)`, is that one's.
    pub(super) parts: Vec<String>,
    /// Names of parameters and the text of their defaults.
    pub(super) defaults: Vec<(String, String)>,
    /// Names that the lengths of the element's axes have.
    pub(super) dimensions: Vec<String>,
    /// Laws that it does not keep, with the reason.
    pub(super) exceptions: Vec<(String, String)>,
    /// Of its oracles, relative to the size of the point.
    pub(super) accuracy: f64,
    /// What goes before its name in a script.
    pub(super) before: String,
}

#[derive(Clone, Debug)]
pub struct Instance {
    pub(super) expr: String,
    pub(super) shape: Vec<usize>,
}

impl Instance {
    pub fn shown(&self) -> String {
        let shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        format!("{} at {}", self.expr, if shape.is_empty() { "scalar".into() } else { shape.join(", ") })
    }
}

impl Item {
    pub(super) fn is(&self, fact: &str) -> bool {
        self.facts.iter().any(|(f, _)| f == fact)
    }

    /// The first argument of a fact.
    pub(super) fn argument(&self, fact: &str) -> Option<&str> {
        self.facts.iter().find(|(f, _)| f == fact).and_then(|(_, a)| a.first()).map(String::as_str)
    }

    /// The item with the facts that one of its instances has, given all items that the instance may name.
    pub(super) fn at(&self, instance: &Instance, all: &[Item]) -> Item {
        let words: Vec<&str> = instance.expr.split(|c: char| !(c.is_alphanumeric() || c == '_')).skip(1).collect();
        let named: Vec<&Item> = all.iter().filter(|i| words.contains(&i.name.as_str())).collect();
        let theirs = |args: &[String]| args.iter().any(|a| self.parts.contains(a));
        let holds = |(fact, args): &&(String, Vec<String>)| !theirs(args) || named.iter().all(|i| i.is(fact));
        Item { facts: self.facts.iter().filter(holds).cloned().collect(), ..self.clone() }
    }

    pub(super) fn has(&self, oracle: &str) -> bool {
        self.oracles.iter().any(|o| o == oracle)
    }
}

/// The sets and terms of the library.
pub fn library() -> Result<Vec<Item>, String> {
    let mut out = Vec::new();
    for (module, text) in stdlib::MODULES {
        let own = items(text, "")?;
        for mut item in own {
            if !stdlib::PRELUDE.contains(module) {
                item.before = format!("use {}.{{{}}}\n", module.replace('/', "."), item.name);
            }
            out.push(item);
        }
    }
    Ok(out)
}

/// The sets and terms that a script declares; the script goes before each test.
pub fn script(text: &str) -> Result<Vec<Item>, String> {
    items(text, text)
}

fn items(text: &str, before: &str) -> Result<Vec<Item>, String> {
    let (module, diagnostics) = gradus_syntax::parse(FileId(0), text);
    if let Some(d) = diagnostics.iter().find(|d| d.is_error()) {
        return Err(d.message.clone());
    }
    let said = |span: Span| text.get(span.start as usize..span.end as usize).unwrap_or("").to_string();
    let facts = |facts: &[Fact]| facts.iter().map(|f| (f.name.name.to_string(), f.args.iter().map(|a| said(a.span)).collect())).collect();
    let defaults = |params: &[Param]| {
        params.iter().filter_map(|p| Some((p.name.name.to_string(), said(p.default.as_ref()?.span)))).collect()
    };
    let mut out = Vec::new();
    for i in &module.items {
        let (name, kind, facts, oracles, params, element) = match &i.kind {
            ItemKind::Set(d) => (&d.name, Kind::Set, facts(&d.facts), &d.oracles, d.params.as_slice(), Some(&d.element)),
            ItemKind::Term(d) => {
                let (first, rest) = d.params.split_first().map_or((None, [].as_slice()), |(f, r)| (Some(f), r));
                (&d.name, Kind::Term, facts(&d.facts), &d.oracles, rest, first)
            }
            _ => continue,
        };
        let doc = i.doc.as_deref().unwrap_or("");
        let mut item = Item {
            name: name.name.to_string(),
            kind,
            instances: Vec::new(),
            facts,
            oracles: oracles.iter().map(|o| o.name.name.to_string()).collect(),
            parts: params.iter().filter(|p| p.ty.is_none()).map(|p| p.name.name.to_string()).collect(),
            defaults: defaults(params),
            dimensions: element.map(dimensions).unwrap_or_default(),
            exceptions: Vec::new(),
            accuracy: 1e-9,
            before: before.to_string(),
        };
        for (heading, body) in sections(doc) {
            match heading.as_str() {
                "laws" => item.instances.extend(body.split(';').map(|i| instance(i, &item.name)).collect::<Result<Vec<_>, _>>()?),
                "except" => item.exceptions.extend(body.split(';').filter_map(|e| {
                    let (law, why) = e.split_once(':')?;
                    Some((law.trim().to_string(), why.trim().to_string()))
                })),
                "accuracy" => {
                    let number = body.split_whitespace().next().and_then(|n| n.trim_end_matches([',', ':', ';']).parse().ok());
                    item.accuracy = number.ok_or_else(|| format!("`{}`: `## accuracy` begins with a number", item.name))?;
                }
                _ => {}
            }
        }
        out.push(item);
    }
    Ok(out)
}

/// The headings of a doc comment with their texts; lines further in go on with the one above.
pub(crate) fn sections(doc: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    let mut open = false;
    for line in doc.lines() {
        if let Some(rest) = line.trim_start().strip_prefix("## ") {
            let (heading, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            out.push((heading.to_string(), text.trim().to_string()));
            open = true;
        } else if line.trim().is_empty() {
            open = false;
        } else if open && let Some((_, text)) = out.last_mut() {
            text.push(' ');
            text.push_str(line.trim());
        }
    }
    out
}

/// `EXPR at 3, 2`
fn instance(text: &str, item: &str) -> Result<Instance, String> {
    let wrong = || format!("`{item}`: an instance is written `EXPR at LENGTHS`, found `{}`", text.trim());
    let (expr, shape) = text.rsplit_once(" at ").ok_or_else(wrong)?;
    let shape = match shape.trim() {
        "scalar" => Vec::new(),
        lengths => lengths.split(',').map(|n| n.trim().parse().map_err(|_| wrong())).collect::<Result<_, _>>()?,
    };
    Ok(Instance { expr: expr.trim().to_string(), shape })
}

/// The names in `real[n, d]`; other lengths are blank.
fn dimensions(element: &Param) -> Vec<String> {
    let Some(ty) = &element.ty else { return Vec::new() };
    let TypeKind::Array(_, dims) = &*ty.kind else { return Vec::new() };
    let name = |e: &gradus_syntax::ast::Expr| match &*e.kind {
        ExprKind::Name(n) => n.name.to_string(),
        _ => String::new(),
    };
    dims.iter().map(name).collect()
}
