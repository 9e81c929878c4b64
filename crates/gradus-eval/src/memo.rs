//! Graphs made from graphs, kept: a script is traced when it is checked and again when it is run, and what it traces is mostly the
//! same.

use crate::interp::Interp;
use gradus_check::TraceWanted;
use gradus_ir::Graph;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// What was made of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Made {
    Stabilised,
    /// By so many of its first parameters.
    Grad(usize),
    Jvp(usize),
    Vjp(usize),
}

/// Results of transforms by the structure of what they were made of. It belongs to one script and one setting of the engine.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    /// Solutions whose trace the script asks for.
    pub(crate) traced: Option<TraceWanted>,
    made: FxHashMap<(u128, Made), Arc<Graph>>,
}

impl Memo {
    pub(crate) fn get(&self, of: u128, what: Made) -> Option<Arc<Graph>> {
        self.made.get(&(of, what)).cloned()
    }

    pub(crate) fn keep(&mut self, of: u128, what: Made, graph: Graph) -> Arc<Graph> {
        let graph = Arc::new(graph);
        self.made.insert((of, what), graph.clone());
        graph
    }
}

impl Interp<'_> {
    /// The region in safer forms, and the number of its structure.
    pub(crate) fn stabilised(&mut self, graph: &Graph) -> (u128, Arc<Graph>) {
        let of = gradus_ir::structure(graph);
        if let Some(g) = self.memo.get(of, Made::Stabilised) {
            return (of, g);
        }
        let stable = self.host.engine().stabilise(graph);
        (of, self.memo.keep(of, Made::Stabilised, stable))
    }
}
