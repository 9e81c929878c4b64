//! How much the rewriter may do, and the calls to it.

use gradus_ir::Graph;
use gradus_rewrite::{Machine, Options, RewriteError, Rewritten};

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

pub fn rewrite(graph: &Graph, level: Level, machine: &Machine) -> Result<Rewritten, RewriteError> {
    gradus_rewrite::rewrite(graph, level.into(), &Options { machine: *machine, ..Options::default() })
}

/// Safer forms before differentiation; they are equal over the reals, so only the default level has them.
pub fn stabilise(graph: &Graph, level: Level) -> Graph {
    match level {
        Level::Default => gradus_rewrite::stabilise(graph).graph,
        Level::Off | Level::Strict => graph.clone(),
    }
}
