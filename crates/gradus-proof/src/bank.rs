//! Terms shared by structure, and which of them are known to be equal: congruence closure that can say why.

use gradus_ir::infer::infer;
use gradus_ir::{Op, Ty};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A term by number.
pub type Id = u32;

/// What a term is, besides its operands.
#[derive(Clone, Debug)]
pub enum Head {
    Op(Op),
    /// A value that the proof says nothing about: a parameter, what a loop carries or gives, a reading of the clock.
    Atom(String),
    /// An operation whose regions are compared by their text.
    Regions(Op, String),
}

impl Head {
    fn key(&self) -> String {
        match self {
            Head::Op(op) => format!("{op:?}"),
            Head::Atom(name) => format!("atom {name}"),
            Head::Regions(_, text) => format!("regions {text}"),
        }
    }

    pub fn op(&self) -> Option<&Op> {
        match self {
            Head::Op(op) | Head::Regions(op, _) => Some(op),
            Head::Atom(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Term {
    pub head: Head,
    pub kids: Vec<Id>,
    pub tys: Vec<Ty>,
    key: u32,
}

/// Why two terms are equal.
#[derive(Clone, Copy, Debug)]
enum Why {
    Step(u32),
    /// The same operation on equal operands.
    Congruent,
}

/// What an equality rests on.
#[derive(Clone, Debug, Default)]
pub struct Reasons {
    pub steps: BTreeSet<u32>,
    /// Terms on the way.
    pub terms: BTreeSet<Id>,
}

#[derive(Default)]
pub struct Bank {
    terms: Vec<Term>,
    keys: HashMap<String, u32>,
    shared: HashMap<(u32, Vec<Id>), Id>,
    /// By operation and classes of the operands.
    table: HashMap<(u32, Vec<Id>), Id>,
    parent: Vec<Id>,
    /// Terms with an operand in the class, by its root.
    uses: Vec<Vec<Id>>,
    size: Vec<u32>,
    /// The number that a class is, and the term that says so.
    constant: Vec<Option<(f64, Id)>>,
    /// The forest of reasons: each term's edge towards the root of its tree.
    edge: Vec<Option<(Id, Why)>>,
}

impl Bank {
    pub fn term(&self, id: Id) -> &Term {
        &self.terms[id as usize]
    }

    pub fn ty(&self, id: Id) -> &Ty {
        &self.terms[id as usize].tys[0]
    }

    pub fn op(&self, id: Id) -> Option<&Op> {
        self.terms[id as usize].head.op()
    }

    pub fn len(&self) -> usize {
        self.terms.len()
    }

    pub fn find(&self, mut id: Id) -> Id {
        while self.parent[id as usize] != id {
            id = self.parent[id as usize];
        }
        id
    }

    pub fn equal(&self, a: Id, b: Id) -> bool {
        self.find(a) == self.find(b)
    }

    /// The number that every element of the term is, where one of its class is a constant.
    pub fn constant(&self, id: Id) -> Option<f64> {
        self.constant[self.find(id) as usize].map(|c| c.0)
    }

    /// The term by which a class is known to be a constant.
    pub fn constant_term(&self, id: Id) -> Option<Id> {
        self.constant[self.find(id) as usize].map(|c| c.1)
    }

    /// The term of an operation; its type is that of the op's rule.
    ///
    /// # Errors
    /// The operands do not fit the operation.
    pub fn op_term(&mut self, op: Op, kids: &[Id]) -> Result<Id, String> {
        let tys = {
            let types: Vec<&[Ty]> = kids.iter().map(|k| self.terms[*k as usize].tys.as_slice()).collect();
            infer(&op, &types).map_err(|e| e.to_string())?
        };
        Ok(self.insert(Head::Op(op), kids.to_vec(), tys.to_vec()))
    }

    pub fn atom(&mut self, name: String, ty: Ty) -> Id {
        self.insert(Head::Atom(name), Vec::new(), vec![ty])
    }

    pub fn insert(&mut self, head: Head, kids: Vec<Id>, tys: Vec<Ty>) -> Id {
        let next = self.keys.len() as u32;
        let key = *self.keys.entry(head.key()).or_insert(next);
        if let Some(id) = self.shared.get(&(key, kids.clone())) {
            return *id;
        }
        let id = self.terms.len() as Id;
        let constant = match (&head, kids.as_slice()) {
            (Head::Op(Op::Const(v, _)), _) => Some(v.get()),
            (Head::Op(Op::DimValue(n)), _) => n.known().map(|n| n as f64),
            (Head::Op(Op::Broadcast(_) | Op::Reshape(_) | Op::Transpose(_)), [k]) => self.constant(*k),
            _ => None,
        }
        .map(|v| (v, id));
        self.shared.insert((key, kids.clone()), id);
        for k in &kids {
            let root = self.find(*k) as usize;
            self.uses[root].push(id);
        }
        self.terms.push(Term { head, kids, tys, key });
        self.parent.push(id);
        self.uses.push(Vec::new());
        self.size.push(1);
        self.constant.push(constant);
        self.edge.push(None);
        let at = self.canonical(id);
        match self.table.get(&at) {
            Some(other) => {
                let other = *other;
                self.union(id, other, Why::Congruent);
            }
            None => {
                self.table.insert(at, id);
            }
        }
        id
    }

    fn canonical(&self, id: Id) -> (u32, Vec<Id>) {
        let t = &self.terms[id as usize];
        (t.key, t.kids.iter().map(|k| self.find(*k)).collect())
    }

    /// Two terms are equal, says a step of the proof.
    pub fn join(&mut self, a: Id, b: Id, step: u32) {
        self.union(a, b, Why::Step(step));
    }

    fn union(&mut self, a: Id, b: Id, why: Why) {
        let mut todo = vec![(a, b, why)];
        while let Some((a, b, why)) = todo.pop() {
            let (mut big, mut small) = (self.find(a), self.find(b));
            if big == small {
                continue;
            }
            self.reroot(a);
            self.edge[a as usize] = Some((b, why));
            if self.size[big as usize] < self.size[small as usize] {
                std::mem::swap(&mut big, &mut small);
            }
            self.parent[small as usize] = big;
            self.size[big as usize] += self.size[small as usize];
            self.constant[big as usize] = self.constant[big as usize].or(self.constant[small as usize]);
            let moved = std::mem::take(&mut self.uses[small as usize]);
            for u in &moved {
                let at = self.canonical(*u);
                match self.table.get(&at) {
                    Some(v) if self.find(*v) != self.find(*u) => todo.push((*u, *v, Why::Congruent)),
                    Some(_) => {}
                    None => {
                        self.table.insert(at, *u);
                    }
                }
            }
            self.uses[big as usize].extend(moved);
        }
    }

    /// Make a term the root of its tree of reasons.
    fn reroot(&mut self, id: Id) {
        let mut at = id;
        let mut before: Option<(Id, Why)> = None;
        loop {
            let next = std::mem::replace(&mut self.edge[at as usize], before);
            let Some((to, why)) = next else { return };
            before = Some((at, why));
            at = to;
        }
    }

    fn path(&self, id: Id) -> Vec<Id> {
        let mut out = vec![id];
        let mut at = id;
        while let Some((next, _)) = self.edge[at as usize] {
            out.push(next);
            at = next;
        }
        out
    }

    /// Adds what the equality of two terms rests on; nothing where they are not known to be equal.
    pub fn explain(&self, a: Id, b: Id, out: &mut Reasons) {
        let mut todo = vec![(a, b)];
        let mut seen: HashSet<(Id, Id)> = HashSet::new();
        while let Some((a, b)) = todo.pop() {
            if a == b || !self.equal(a, b) || !seen.insert((a.min(b), a.max(b))) {
                continue;
            }
            let (pa, pb) = (self.path(a), self.path(b));
            let on: HashSet<Id> = pa.iter().copied().collect();
            let Some(meet) = pb.iter().copied().find(|x| on.contains(x)) else { continue };
            for p in [&pa, &pb] {
                for x in p.iter().take_while(|x| **x != meet) {
                    let Some((to, why)) = self.edge[*x as usize] else { break };
                    out.terms.insert(*x);
                    out.terms.insert(to);
                    match why {
                        Why::Step(s) => {
                            out.steps.insert(s);
                        }
                        Why::Congruent => {
                            let (s, t) = (&self.terms[*x as usize], &self.terms[to as usize]);
                            todo.extend(s.kids.iter().copied().zip(t.kids.iter().copied()));
                        }
                    }
                }
            }
        }
    }
}
