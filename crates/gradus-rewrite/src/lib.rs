//! Rewriting: normal forms, moving work out of loops, and a search over equal forms for the cheapest.
//!
//! Owns:    the rules with their classes and guards, the cost model, the e-graph and the choice from it, the report of what fired.
//! Never:   is bypassed silently: the report says what was done, and why nothing was where nothing was.
//! Reads:   a graph after differentiation (or, for `stabilise`, before it).
//! Returns: a graph with the same parameters and outputs that never costs more by the model than the one it read, stabilised.
//!
//! ```
//! use gradus_rewrite::{Level, Options, rewrite};
//!
//! // (u v') x forms a 900 x 900 matrix; u (v' x) does not.
//! let graph = gradus_ir::parse(
//!     "graph(%0: real[900, 2], %1: real[900, 2], %2: real[900]) {
//!   %3: real[2, 900] = transpose{perm=[1, 0]} %1
//!   %4: real[900, 900] = matmul %0, %3
//!   %5: real[900] = matmul %4, %2
//!   return %5
//! }",
//! )?;
//! let done = rewrite(&graph, Level::Default, &Options::default())?;
//! assert!(done.report.fired("matrix/right"));
//! assert!(done.report.cost_after < 0.01 * done.report.cost_before);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cost;
mod describe;
mod emit;
mod export;
mod extract;
mod import;
mod law;
mod load;
mod normal;
mod probe;
mod prove;
mod record;
mod report;
mod rules;
mod saturate;
mod sea;
mod shared;
mod space;
mod stabilise;
#[cfg(test)]
mod tests;
mod value;

pub use cost::Machine;
pub use law::{Law, Statement, Unfit};
pub use probe::{compared, probed, wants};
pub use report::{Class, Fired, Report, Stop};
pub use rules::{Listed, listed as rules};
pub use stabilise::stabilise;

use extract::Extractor;
use gradus_proof::{Draft, Given, Proof, Refused};
use gradus_ir::{Graph, IrError, IrResult, Op, verify};
use rules::Active;
use saturate::{Applied, saturate};
use std::sync::Arc;

/// Operands of all forms together, beside twenty for each node, beyond which there is no search.
const MOST_OPERANDS: usize = 50_000;

/// How much may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Level {
    /// Nothing.
    Off,
    /// Only what gives the same floats: sharing, moving work out of loops, exact rules.
    Strict,
    /// Also what is equal over the reals, and guarded forms that may lose digits on ill-conditioned data.
    #[default]
    Default,
}

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Most nodes of the search per live node of the graph, beside a fixed 2000; 0 stands for 6.
    pub growth: usize,
    /// Also compute `|A x - b|^2` from the Gram matrix, which cancels near an exact fit.
    pub gram_value: bool,
    /// No rule that may lose digits (those of class `conditioning`).
    pub plain: bool,
    /// Also the rules that may lose digits and have no comparison at run time: weighted Gram matrices, Woodbury, push-through.
    pub unprobed: bool,
    /// Rules that must not fire, by name.
    pub without: Vec<String>,
    /// Laws of the script, which were tested.
    pub laws: Vec<Arc<Law>>,
    /// What the cost model knows of the machine that will run the graph.
    pub machine: Machine,
}

/// A rewritten graph.
#[derive(Clone, Debug)]
pub struct Rewritten {
    pub graph: Graph,
    pub report: Report,
}

/// A mistake of this crate (or an ill-formed graph); never the user's.
#[derive(Clone, Debug, PartialEq)]
pub enum RewriteError {
    Ir(IrError),
    /// Two different constants were found equal: a rule is wrong.
    Conflict,
}

impl From<IrError> for RewriteError {
    fn from(e: IrError) -> RewriteError {
        RewriteError::Ir(e)
    }
}

impl std::fmt::Display for RewriteError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RewriteError::Ir(e) => e.fmt(f),
            RewriteError::Conflict => f.write_str("internal: two different constants were found equal while rewriting"),
        }
    }
}

impl std::error::Error for RewriteError {}

/// Live nodes with those of all regions.
fn count(g: &Graph) -> usize {
    let live = g.live();
    g.nodes()
        .filter(|(id, _)| live[id.index()])
        .map(|(_, n)| 1 + n.op.regions().iter().map(|r| count(r)).sum::<usize>())
        .sum()
}

/// The cheapest equal graph that the rules of this level find, of forms that do not overflow; the graph itself where none is cheaper, or where the search fails
/// (which the report then says).
///
/// # Errors
/// The graph is not well formed.
pub fn rewrite(graph: &Graph, level: Level, options: &Options) -> Result<Rewritten, RewriteError> {
    rewrite_run(graph, level, options, 1.0, None)
}

/// `rewrite` with a proof that both graphs are equal, and what keeps the proof from being accepted, where something does.
/// In the proof (and in the graph returned here) every loop has a label of its own.
///
/// # Errors
/// The graph is not well formed.
pub fn prove(graph: &Graph, level: Level, options: &Options) -> Result<(Rewritten, Proof, Option<Refused>), RewriteError> {
    let graph = prove::labelled(graph, &mut 0)?;
    let mut log = Log::default();
    let done = rewrite_run(&graph, level, options, 1.0, Some(&mut log))?;
    log.given = options.laws.iter().map(|l| l.given()).collect();
    let (proof, refused) = log.finish(&graph, &done.graph);
    Ok((done, proof, refused))
}

/// What is kept of a search for its proof.
#[derive(Default)]
struct Log {
    /// The graph in stable forms, which the search began with.
    stable: Option<Graph>,
    draft: Option<Draft>,
    branches: Vec<Proof>,
    /// The laws of the script that its steps may rest on.
    given: Vec<Given>,
}

impl Log {
    fn finish(self, before: &Graph, after: &Graph) -> (Proof, Option<Refused>) {
        let middle = self.stable.as_ref().unwrap_or(before);
        let mut draft = self.draft.unwrap_or_else(|| prove::unchanged(middle));
        draft.before = middle.clone();
        draft.after = after.clone();
        draft.branches = self.branches;
        draft.given = self.given;
        let (second, refused) = gradus_proof::finish(&draft);
        let Some(stable) = &self.stable else { return (second, refused) };
        let (mut first, why) = prove::bridge(before, stable);
        first.then.push(second);
        (first, why.or(refused))
    }
}

/// Like `rewrite`, of a graph that runs `times` times.
fn rewrite_run(
    graph: &Graph,
    level: Level,
    options: &Options,
    times: f64,
    mut log: Option<&mut Log>,
) -> Result<Rewritten, RewriteError> {
    let cost_before = options.machine.graph_cost(graph);
    let nodes_before = count(graph);
    let mut report = Report { cost_before, cost_after: cost_before, nodes_before, nodes_after: nodes_before, ..Report::default() };
    if level == Level::Off {
        report.stop.push(("off", Stop::Kept));
        return Ok(Rewritten { graph: graph.clone(), report });
    }
    // What overflows as it is written must not, whatever the stable form costs and however small the graph is.
    let stable = if level == Level::Default { stabilise::of(graph, options, &mut report) } else { None };
    let graph = stable.as_ref().unwrap_or(graph);
    let stable_cost = if stable.is_some() { options.machine.graph_cost(graph) } else { cost_before };
    report.cost_after = stable_cost;
    if let Some(log) = log.as_deref_mut() {
        log.stable = stable.clone();
    }
    if options.machine.is_small(graph, nodes_before, times) {
        let graph = graph.compact()?;
        report.stop.push(("search", Stop::Small));
        report.nodes_after = count(&graph);
        return Ok(Rewritten { graph, report });
    }
    let mut inner = Report::default();
    // The e-graph library times itself with a clock that it first spends a millisecond to calibrate; nothing here reads a time.
    let (still, _) = quanta::Clock::mock();
    let new = quanta::with_clock(&still, || improved_with(graph, level, options, &mut inner, log.as_deref_mut()))
        .and_then(|new| check(graph, &new).map(|()| new));
    report.stop = std::mem::take(&mut inner.stop);
    let new = match new {
        Ok(new) => new,
        // The graph at hand is right; that it is not improved is no reason to stop a run.
        Err(e) => {
            report.stop.push(("result", Stop::Failed));
            report.failure = Some(e.to_string());
            forget(log);
            return Ok(Rewritten { graph: graph.clone(), report });
        }
    };
    let cost_after = options.machine.graph_cost(&new);
    // The model may say that the search did worse than what was there (rounding of equal costs included).
    if cost_after > stable_cost {
        forget(log);
        report.stop.push(("result", Stop::Kept));
        return Ok(Rewritten { graph: graph.clone(), report });
    }
    report.absorb(inner);
    report.cost_after = cost_after;
    report.nodes_after = count(&new);
    Ok(Rewritten { graph: new, report })
}

/// The graph stays as it was: there is nothing to prove.
fn forget(log: Option<&mut Log>) {
    if let Some(log) = log {
        log.draft = None;
        log.branches.clear();
    }
}

fn improved_with(
    graph: &Graph,
    level: Level,
    options: &Options,
    report: &mut Report,
    wanted: Option<&mut Log>,
) -> Result<Graph, RewriteError> {
    let mut inside = Report::default();
    let asked = wanted.is_some();
    let mut branches: Vec<Proof> = Vec::new();
    let sea = import::import(graph, &mut |op, times| {
        let Op::Cond { then, other } = op else { return Ok(op.clone()) };
        let mut branch = |g: &std::sync::Arc<Graph>| -> IrResult<std::sync::Arc<Graph>> {
            let mut own = asked.then(|| Log { given: options.laws.iter().map(|l| l.given()).collect(), ..Log::default() });
            let done = rewrite_run(g, level, options, times, own.as_mut()).map_err(|e| match e {
                RewriteError::Ir(e) => e,
                RewriteError::Conflict => IrError::Internal(e.to_string()),
            })?;
            if done.report.cost_after >= done.report.cost_before && done.report.fired.is_empty() {
                return Ok(g.clone());
            }
            inside.absorb(done.report);
            branches.extend(own.map(|l| l.finish(g, &done.graph).0));
            Ok(std::sync::Arc::new(done.graph))
        };
        Ok(Op::Cond { then: branch(then)?, other: branch(other)? })
    })?;
    report.absorb(inside);
    let moved = export::moved(&sea);
    let allowed: Vec<Active<'_>> = rules::all()
        .into_iter()
        .filter(|r| level == Level::Default || r.class == Class::Exact)
        .filter(|r| r.class != Class::Conditioning || !options.plain && (options.unprobed || probe::PROBED.contains(&r.name)))
        .filter(|r| r.name != rules::gram::VALUE || options.gram_value)
        .filter(|r| !options.without.iter().any(|w| w == r.name))
        .map(Active::Rule)
        .chain(options.laws.iter().map(|l| Active::Law(l)).filter(|l| level == Level::Default || l.class() == Class::Exact))
        .collect();
    let growth = if options.growth == 0 { 6 } else { options.growth };
    let limit = 2000 + growth * sea.nodes.len();
    let Some((mut space, outputs)) = load::load_with(&sea, level == Level::Default, asked) else {
        return Err(IrError::Internal("the graph did not fit the space of forms".into()).into());
    };
    // Partial sums of a very long sum have a quadratic number of operands together; rules look at each in every round.
    let operands: usize = space.graph.classes().flat_map(|c| &c.nodes).map(|n| n.kids.len()).sum();
    if operands > MOST_OPERANDS + 20 * sea.nodes.len() {
        report.stop.push(("search", Stop::Wide));
        report.hoisted += moved;
        if let Some(log) = wanted {
            log.draft = Some(Draft { loops: prove::loops(&sea), ..Draft::default() });
            log.branches = branches;
        }
        return Ok(export::export(&sea)?);
    }
    let (log, stops) = saturate(&mut space, &allowed, limit);
    report.stop.extend(stops);
    if space.graph.analysis.conflict {
        return Err(RewriteError::Conflict);
    }
    let mut extractor = Extractor::new(&space, &outputs, &options.machine, false);
    let mut best = extractor.best();
    if best.is_none() && !space.poor.is_empty() {
        extractor = Extractor::new(&space, &outputs, &options.machine, true);
        best = extractor.best();
    }
    let Some((choice, order)) = best else {
        return Err(IrError::Internal("no finite form was found".into()).into());
    };
    let mut chosen = extractor.sea(&choice, &order);
    chosen.params = sea.params.clone();
    let new = export::export(&chosen)?;
    if let Some(log) = wanted {
        log.draft = Some(prove::draft(&sea, &space, &extractor, &choice, &order, &chosen));
        log.branches = branches;
    }
    report.hoisted += moved;
    fired(report, &allowed, &extractor, &choice, &order, &log);
    Ok(new)
}

/// Notes the rules whose forms were chosen.
fn fired(
    report: &mut Report,
    allowed: &[Active<'_>],
    extractor: &Extractor<'_>,
    choice: &extract::Choice,
    order: &[u32],
    log: &[Applied],
) {
    for (a, what) in extractor.made(choice, order, log) {
        let Some(rule) = allowed.get(a.rule as usize) else { continue };
        report.note(Fired {
            rule: rule.name(),
            class: rule.class(),
            count: 1,
            origin: a.origin,
            what,
            reason: rule.reason().into(),
        });
    }
}

/// The new graph is well formed and has the types of the old one.
fn check(old: &Graph, new: &Graph) -> Result<(), RewriteError> {
    verify(new)?;
    let types = |g: &Graph| -> Vec<gradus_ir::Ty> {
        g.params().iter().chain(&g.outputs).map(|o| g.ty(*o).clone()).collect()
    };
    if types(old) == types(new) {
        Ok(())
    } else {
        Err(IrError::Internal("rewriting changed the type of a parameter or output".into()).into())
    }
}
