//! How much the rewriter may do, and the calls to it.

use gradus_eval::StatedLaw;
use gradus_ir::Graph;
use gradus_proof::Proof;
use gradus_rewrite::{Class, Law, Machine, Options, RewriteError, Rewritten, Statement, Unfit};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// `--rewrites`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Graphs run as they were traced.
    Off,
    /// Only rules that give the same floats.
    Strict,
    #[default]
    Default,
}

impl From<Level> for gradus_rewrite::Level {
    fn from(l: Level) -> Self {
        match l {
            Level::Off => gradus_rewrite::Level::Off,
            Level::Strict => gradus_rewrite::Level::Strict,
            Level::Default => gradus_rewrite::Level::Default,
        }
    }
}

/// The laws of a script, and a number that differs where they do.
#[derive(Clone, Default)]
pub struct Laws {
    all: Vec<Arc<Law>>,
    pub key: u64,
}

impl Laws {
    /// Takes a law up, where it was tested.
    ///
    /// # Errors
    /// It cannot be a rewrite rule.
    pub fn learn(&mut self, law: StatedLaw) -> Result<(), gradus_eval::Unfit> {
        let class = if law.exact { Class::Exact } else { Class::Real };
        let tested = law.tested;
        let statement = Statement { name: law.name, variables: law.variables, graph: law.graph, class, tested: tested.unwrap_or(0) };
        let law = Law::new(statement).map_err(|e| match e {
            Unfit::Form(why) => gradus_eval::Unfit::Form(why),
            Unfit::Loops => gradus_eval::Unfit::Loops,
        })?;
        if tested.is_some() {
            let mut h = DefaultHasher::new();
            (self.key, &law.statement.name, law.statement.graph.to_string(), class).hash(&mut h);
            self.key = h.finish();
            self.all.push(Arc::new(law));
        }
        Ok(())
    }
}

/// `plain`: without rules that may lose digits.
pub fn rewrite(graph: &Graph, level: Level, machine: &Machine, plain: bool, laws: &Laws) -> Result<Rewritten, RewriteError> {
    gradus_rewrite::rewrite(graph, level.into(), &Options { machine: *machine, plain, laws: laws.all.clone(), ..Options::default() })
}

/// Safer forms before differentiation; they are equal over the reals, so only the default level has them.
pub fn stabilise(graph: &Graph, level: Level) -> Graph {
    match level {
        Level::Default => gradus_rewrite::stabilise(graph).graph,
        Level::Off | Level::Strict => graph.clone(),
    }
}

/// The proof of what `rewrite` made of the graph (`text`), and why the checker does not accept it, where it does not.
pub fn prove(
    graph: &Graph,
    level: Level,
    machine: &Machine,
    plain: bool,
    laws: &Laws,
    text: &str,
) -> Result<(Proof, Option<String>), RewriteError> {
    let options = Options { machine: *machine, plain, laws: laws.all.clone(), ..Options::default() };
    let (_, proof, refused) = gradus_rewrite::prove(graph, level.into(), &options)?;
    // In a proof every loop has a label of its own, `fista#0`; else it is about the same graph.
    let gap = match refused {
        Some(r) => Some(r.to_string()),
        None if unnumbered(proof.last()) != text => Some("it is about another form of the graph".to_string()),
        None => None,
    };
    Ok((proof, gap))
}

/// The text without the numbers in the labels of loops.
fn unnumbered(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split("label=\"");
    out.push_str(parts.next().unwrap_or_default());
    for p in parts {
        out.push_str("label=\"");
        let (label, rest) = p.split_at(p.find('"').unwrap_or(p.len()));
        out.push_str(label.rsplit_once('#').map_or(label, |(l, _)| l));
        out.push_str(rest);
    }
    out
}
