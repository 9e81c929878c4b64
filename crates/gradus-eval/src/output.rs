//! Values as plain data, for printing, plotting, saving and JSON.

use crate::host::{Event, Output};
use crate::interp::{Interp, Mode};
use crate::value::{Eval, Value};
use gradus_ir::Graph;
use gradus_syntax::Span;
use std::sync::Arc;

impl Interp<'_> {
    /// The value as data; its numbers are computed in one run.
    pub fn output(&mut self, v: &Value, span: Span) -> Eval<Output> {
        if self.mode == Mode::Run {
            let mut nums = Vec::new();
            collect(v, &mut nums);
            nums.retain(|n| self.tracer.is_session(*n));
            self.force_all(&nums)?;
        }
        self.as_output(v, span)
    }

    fn as_output(&mut self, v: &Value, span: Span) -> Eval<Output> {
        Ok(match v {
            Value::Num(n) if self.mode == Mode::Run => Output::Array(self.force(*n)?),
            Value::Num(n) => Output::Opaque(self.ty(*n).to_string()),
            Value::Str(s) => Output::Text(s.clone()),
            Value::Record(f) => {
                let mut out = Vec::with_capacity(f.len());
                for (n, x) in f.iter() {
                    out.push((n.clone(), self.as_output(x, span)?));
                }
                Output::Record(out)
            }
            Value::Typed(t) => self.as_output(&t.value, span)?,
            Value::List(l) => {
                let mut out = Vec::with_capacity(l.len());
                for x in l.iter() {
                    out.push(self.as_output(x, span)?);
                }
                Output::List(out)
            }
            Value::Symbol(s) => Output::Text(Arc::from(*s)),
            Value::Fn(f) => Output::Opaque(format!("function {}", f.name())),
            Value::Set(s) => Output::Opaque(format!("set {}", s.describe())),
            Value::Term(t) => Output::Opaque(format!("term {}", t.describe())),
            Value::Poison => return Err(crate::value::Stop::Poisoned),
            other => Output::Opaque(other.kind().to_string()),
        })
    }

    /// Show a graph to whoever asked for the stages.
    pub fn stage(&mut self, stage: &'static str, title: &str, g: &Graph) {
        // A check traces the same graphs with symbolic sizes; they are shown once, as they are run.
        if self.options.stages && self.mode == Mode::Run {
            self.host.emit(Event::Stage { stage, title: title.to_string(), text: g.brief().to_string() });
        }
    }

    /// The stage `types`: what each name of the script is, with symbolic shapes, and what is known of each problem.
    pub fn types_stage(&mut self, module: usize) {
        if !self.options.stages {
            return;
        }
        let names: Vec<(Arc<str>, Value)> =
            self.modules.get(module).map(|m| m.names.iter().map(|(n, v)| (n.clone(), v.clone())).collect()).unwrap_or_default();
        let mut text = String::new();
        for (n, v) in names {
            if &*n == "seed" {
                continue;
            }
            text.push_str(&format!("{n}: {}\n", self.describe(&v)));
        }
        self.host.emit(Event::Stage { stage: "types", title: "script".into(), text });
    }

    /// The type of a value in words.
    pub fn describe(&self, v: &Value) -> String {
        match v {
            Value::Num(_) | Value::List(_) | Value::Typed(_) => match self.type_tree(v, Span::default()) {
                Ok(t) => t.describe(),
                Err(_) => v.kind().into(),
            },
            Value::Record(f) => {
                let fields: Vec<String> = f.iter().map(|(n, v)| format!("{n}: {}", self.describe(v))).collect();
                format!("{{{}}}", fields.join(", "))
            }
            Value::Str(_) => "string".into(),
            Value::ProblemDecl(d) => format!("problem({})", params_of(&d.decl.params)),
            Value::Fn(f) => match &**f {
                crate::value::Function::Closure { params, .. } => format!("function({})", params_of(params)),
                _ => "function".into(),
            },
            Value::Set(s) => format!("set {}", s.describe()),
            Value::Term(t) => format!("term {}", t.describe()),
            other => other.kind().trim_start_matches("a ").trim_start_matches("an ").into(),
        }
    }
}

/// The numbers inside a value.
pub(crate) fn collect(v: &Value, out: &mut Vec<crate::value::Num>) {
    match v {
        Value::Num(n) => out.push(*n),
        Value::Record(f) => f.iter().for_each(|(_, x)| collect(x, out)),
        Value::List(l) => l.iter().for_each(|x| collect(x, out)),
        Value::Typed(t) => collect(&t.value, out),
        _ => {}
    }
}

fn params_of(params: &[gradus_syntax::ast::Param]) -> String {
    let names: Vec<&str> = params.iter().map(|p| &*p.name.name).collect();
    names.join(", ")
}
