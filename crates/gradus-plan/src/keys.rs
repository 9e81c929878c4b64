//! Which values are random keys. A key is two 32-bit words, which a narrow float type holds only as bit patterns: they can be
//! moved, and read by the kernels of keys and draws, but not counted with.

use gradus_ir::{Graph, Op, UnaryOp};

/// The nodes of a graph and of the regions in it; each stands for its first result where it has several.
pub(crate) struct Keys {
    /// A forest over all nodes: values that are moved into one another have one root.
    above: Vec<usize>,
    key: Vec<bool>,
    /// Made of constants alone. These are small numbers, the same as words and as numbers, and may be shared by both.
    fixed: Vec<bool>,
    /// Values that are counted with.
    read: Vec<usize>,
}

impl Keys {
    pub fn new(graph: &Graph) -> Keys {
        let mut k = Keys { above: Vec::new(), key: Vec::new(), fixed: Vec::new(), read: Vec::new() };
        k.region(graph);
        let marked: Vec<usize> = (0..k.key.len()).filter(|i| k.key[*i]).collect();
        for i in marked {
            let root = k.root(i);
            k.key[root] = true;
        }
        k
    }

    /// Is this node of the outermost graph a key, or are its parts?
    pub fn is_key(&mut self, node: usize) -> bool {
        let root = self.root(node);
        self.key[root]
    }

    /// A key that is counted with, if there is one: its number among all nodes.
    pub fn misused(&mut self) -> Option<usize> {
        let read = std::mem::take(&mut self.read);
        read.into_iter().find(|i| self.is_key(*i))
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.above[i] != i {
            self.above[i] = self.above[self.above[i]];
            i = self.above[i];
        }
        i
    }

    fn join(&mut self, a: usize, b: usize) {
        if self.fixed[a] || self.fixed[b] {
            return;
        }
        let (a, b) = (self.root(a), self.root(b));
        self.above[a.max(b)] = a.min(b);
    }

    /// Adds the nodes of a region; returns the number of its first.
    fn region(&mut self, graph: &Graph) -> usize {
        let base = self.above.len();
        self.above.extend(base..base + graph.len());
        self.key.resize(base + graph.len(), false);
        self.fixed.resize(base + graph.len(), false);
        for (id, node) in graph.nodes() {
            let me = base + id.index();
            let input = |k: usize| base + node.inputs[k].index();
            let moved = |s: &mut Keys, from: usize| {
                s.fixed[me] = (from..node.inputs.len()).all(|k| s.fixed[input(k)]);
                (from..node.inputs.len()).for_each(|k| s.join(me, input(k)));
            };
            match &node.op {
                Op::Const(..) | Op::DimValue(_) | Op::Literal(_) | Op::Iota(_) => self.fixed[me] = true,
                Op::Key => self.key[me] = true,
                Op::KeyFold => {
                    self.key[me] = true;
                    self.key[input(0)] = true;
                    self.read.push(input(1));
                }
                Op::Uniform(_) | Op::Normal(_) | Op::Permutation(_) => self.key[input(0)] = true,
                Op::Reshape(_)
                | Op::Broadcast(_)
                | Op::Transpose(_)
                | Op::Slice { .. }
                | Op::Pad { .. }
                | Op::Concat { .. }
                | Op::Reverse { .. }
                | Op::NoGrad(_)
                | Op::Unary(UnaryOp::StopGrad) => moved(self, 0),
                Op::Select => moved(self, 1),
                Op::Take { .. } | Op::TakeAlong { .. } => {
                    self.join(me, input(0));
                    self.read.push(input(1));
                }
                Op::ScatterSet { .. } => {
                    self.join(me, input(0));
                    self.join(me, input(2));
                    self.read.push(input(1));
                }
                Op::Loop(l) => {
                    let body = self.region(&l.body);
                    let at = |g: &Graph, base: usize, k: usize| base + g.params()[k].index();
                    for k in 0..node.inputs.len() {
                        self.join(input(k), at(&l.body, body, 1 + k));
                    }
                    for (k, o) in l.body.outputs.iter().enumerate().take(l.carries) {
                        self.join(input(k), body + o.index());
                    }
                    if let Some(c) = &l.cond {
                        let cond = self.region(c);
                        for k in 0..node.inputs.len() {
                            // Slices are not seen by the condition.
                            if k < l.carries {
                                self.join(input(k), at(c, cond, 1 + k));
                            } else if k >= l.carries + l.scanned {
                                self.join(input(k), at(c, cond, 1 + k - l.scanned));
                            }
                        }
                    }
                    self.results(graph, base, id, |s, get, k| {
                        if k > 0 {
                            s.join(get, body + l.body.outputs[k - 1].index());
                        }
                    });
                }
                Op::Cond { then, other } => {
                    for g in [then, other] {
                        let branch = self.region(g);
                        for (k, p) in g.params().iter().enumerate() {
                            self.join(input(1 + k), branch + p.index());
                        }
                        self.results(graph, base, id, |s, get, k| s.join(get, branch + g.outputs[k].index()));
                        if g.outputs.len() == 1 {
                            self.join(me, branch + g.outputs[0].index());
                        }
                    }
                }
                Op::Get(_) => {}
                _ => self.read.extend((0..node.inputs.len()).map(input)),
            }
        }
        base
    }

    /// Calls `f(self, get, k)` for every node that takes result `k` of a node.
    fn results(&mut self, graph: &Graph, base: usize, of: gradus_ir::NodeId, mut f: impl FnMut(&mut Keys, usize, usize)) {
        for (id, node) in graph.nodes() {
            if let Op::Get(k) = &node.op
                && node.inputs[0] == of
            {
                f(self, base + id.index(), *k as usize);
            }
        }
    }
}
