//! Scopes: immutable local bindings that end in a module.

use crate::value::Value;
use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use std::sync::Arc;

/// Local names, innermost first, and the module whose names come after them.
///
/// A scope is shared by every closure written in it, so binding never changes one: it puts a block in front. Where `RUN` blocks of
/// one size have gathered they are merged into one, so that a name among thousands is found by looking at a few blocks.
#[derive(Clone)]
pub struct Env {
    pub module: usize,
    /// In the place of a distribution or a strategy their names come before those of functions: `normal`, `uniform`, `score`.
    pub chances: bool,
    head: Option<Arc<Block>>,
}

struct Block {
    names: Names,
    /// How often its bindings were merged, and how many blocks of this level stand in a row here.
    level: u32,
    run: u32,
    next: Option<Arc<Block>>,
}

enum Names {
    One(Arc<str>, Value),
    Many(IndexMap<Arc<str>, Value, FxBuildHasher>),
}

/// Blocks of one level before they are merged.
const RUN: u32 = 16;

impl Env {
    pub fn module(module: usize) -> Env {
        Env { module, chances: false, head: None }
    }

    #[must_use]
    pub fn bind(&self, name: impl Into<Arc<str>>, value: Value) -> Env {
        let mut names = Names::One(name.into(), value);
        let mut level = 0;
        let mut next = self.head.clone();
        loop {
            let run = match &next {
                Some(b) if b.level == level => b.run + 1,
                _ => 1,
            };
            if run < RUN {
                return Env { module: self.module, chances: self.chances, head: Some(Arc::new(Block { names, level, run, next })) };
            }
            let (merged, rest) = merge(&next, level, &names);
            (names, next) = (Names::Many(merged), rest);
            level += 1;
        }
    }

    /// The scope for the text of a distribution or a strategy.
    #[must_use]
    pub fn for_chances(&self) -> Env {
        Env { chances: true, ..self.clone() }
    }

    /// All local bindings, outermost first.
    pub fn locals(&self) -> Vec<(Arc<str>, Value)> {
        let mut out = Vec::new();
        for b in self.blocks() {
            match &b.names {
                Names::One(n, v) => out.push((n.clone(), v.clone())),
                Names::Many(m) => out.extend(m.iter().rev().map(|(n, v)| (n.clone(), v.clone()))),
            }
        }
        out.reverse();
        out
    }

    pub fn local(&self, name: &str) -> Option<&Value> {
        self.blocks().find_map(|b| match &b.names {
            Names::One(n, v) => (**n == *name).then_some(v),
            Names::Many(m) => m.get(name),
        })
    }

    /// Innermost first.
    fn blocks(&self) -> impl Iterator<Item = &Block> {
        std::iter::successors(self.head.as_deref(), |b| b.next.as_deref())
    }
}

type Merged = IndexMap<Arc<str>, Value, FxBuildHasher>;

/// The bindings of the blocks of one level in front of the rest, with a new one, and the rest.
fn merge(head: &Option<Arc<Block>>, level: u32, new: &Names) -> (Merged, Option<Arc<Block>>) {
    let mut row: Vec<&Names> = vec![new];
    let mut at = head;
    while let Some(b) = at
        && b.level == level
    {
        row.push(&b.names);
        at = &b.next;
    }
    let mut all = Merged::default();
    // The outermost first, so that an inner binding takes the place of an outer one of the same name.
    for names in row.into_iter().rev() {
        match names {
            Names::One(n, v) => drop(all.insert(n.clone(), v.clone())),
            Names::Many(m) => all.extend(m.iter().map(|(n, v)| (n.clone(), v.clone()))),
        }
    }
    (all, at.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn text(env: &Env, name: &str) -> String {
        match env.local(name) {
            Some(Value::Str(s)) => s.to_string(),
            _ => panic!("{name} is not bound"),
        }
    }

    #[test]
    fn the_innermost_of_many_bindings_is_found_and_older_scopes_keep_theirs() {
        let mut scopes = vec![Env::module(3)];
        for k in 0..5000usize {
            let next = scopes[k].bind(format!("v{}", k % 1700), Value::Str(k.to_string().into()));
            scopes.push(next);
        }
        for at in [1, 15, 16, 17, 255, 256, 1699, 1700, 1701, 4097, 5000] {
            for name in [0, 1, 14, 15, 16, 200, 1699] {
                let newest = (0..at).rev().find(|k| k % 1700 == name);
                assert_eq!(scopes[at].local(&format!("v{name}")).is_some(), newest.is_some(), "v{name} of {at}");
                if let Some(k) = newest {
                    assert_eq!(text(&scopes[at], &format!("v{name}")), k.to_string());
                }
            }
            assert!(scopes[at].local("w").is_none());
        }
        let names: Vec<String> = scopes[1000].locals().iter().map(|(n, _)| n.to_string()).collect();
        assert_eq!(names, (0..1000).map(|k| format!("v{k}")).collect::<Vec<_>>());
    }
}
