//! The laws of sets and terms: what is declared of them, tested against brute force.
//!
//! The doc comment of a set or term names instances and the shape of their points, `## laws  box(-1, 2) at 5; box at 3, 2`. Points are
//! made here, the oracles are run on them as any script would, and what they give is judged here, without the compiler. A law that an
//! item does not keep on purpose is named with its reason, `## except  nan: …`; an inexact item says so, `## accuracy  1e-6`.

mod declared;
mod edges;
mod points;
mod runs;
mod set;
mod slopes;
mod term;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

pub(crate) use declared::sections;
pub use declared::{Item, Kind, library, script};

/// The laws in the order of the table, with what each says.
pub const LAWS: [(&str, &str); 18] = [
    ("member", "a projection is in the set, and projecting it again leaves it"),
    ("nearest", "no member found elsewhere is nearer (sets); no competitor has a smaller objective (terms)"),
    ("grid", "the prox of a number beats a fine grid"),
    ("firm", "firmly nonexpansive, where convex"),
    ("conjugate", "Moreau: the residual is a normal of the set; Fenchel's equality with the declared conjugate holds at every prox"),
    ("linear", "the linear minimizer is a member, and no member does better"),
    ("facts", "what is declared (cone, symmetric, homogeneous, smooth, …) holds on samples"),
    ("biject", "every free vector maps to a member"),
    ("manifold", "tangents are projected, and a retraction begins along them"),
    ("derivative", "forward and reverse derivatives agree with differences away from kinks"),
    ("batch", "a batch gives what each point gives alone"),
    ("f32", "single precision gives the same to its digits"),
    ("ties", "equal entries, zeros, one large entry"),
    ("scales", "points from 1e-6 to 1e9"),
    ("infinite", "an infinite entry gives its limit or NaN, never another number"),
    ("nan", "NaN is not turned into numbers"),
    ("one", "one element"),
    ("empty", "no elements"),
];

/// What came of a law for one instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Holds,
    /// With the point and by how much.
    Fails(String),
    /// It says nothing about this item, for this reason.
    Idle(String),
}

/// All laws of one instance, in the order of `LAWS`.
#[derive(Clone, Debug)]
pub struct Row {
    pub item: String,
    pub instance: String,
    pub kind: Kind,
    pub verdicts: Vec<Verdict>,
}

impl Row {
    pub fn failures(&self) -> impl Iterator<Item = (&'static str, &str)> {
        LAWS.iter().zip(&self.verdicts).filter_map(|((law, _), v)| match v {
            Verdict::Fails(why) => Some((*law, why.as_str())),
            _ => None,
        })
    }
}

/// The rows of all instances of those that `wanted` picks, in their order; items without instances have no rows.
pub fn check(items: &[Item], wanted: &(dyn Fn(&Item) -> bool + Sync), threads: NonZeroUsize) -> Vec<Row> {
    let picked = items.iter().filter(|i| wanted(i));
    let jobs: Vec<(&Item, usize)> = picked.flat_map(|i| (0..i.instances.len()).map(move |k| (i, k))).collect();
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    std::thread::scope(|s| {
        for _ in 0..threads.get().min(jobs.len()) {
            let (send, jobs, next) = (send.clone(), &jobs, &next);
            s.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((item, k)) = jobs.get(at) else { break };
                    if send.send((at, row(&item.at(&item.instances[*k], items), *k))).is_err() {
                        break;
                    }
                }
            });
        }
    });
    drop(send);
    let mut rows: Vec<(usize, Row)> = receive.into_iter().collect();
    rows.sort_by_key(|(at, _)| *at);
    rows.into_iter().map(|(_, r)| r).collect()
}

fn row(item: &Item, k: usize) -> Row {
    let instance = &item.instances[k];
    let found = match item.kind {
        Kind::Set => set::check(item, instance),
        Kind::Term => term::check(item, instance),
    };
    let idle = |law: &str| match item.kind {
        Kind::Set => format!("`{law}` is a law of terms"),
        Kind::Term => format!("`{law}` is a law of sets"),
    };
    let verdict = |law: &str| match item.exceptions.iter().find(|(l, _)| l == law) {
        Some((_, why)) => Verdict::Idle(why.clone()),
        None => found.iter().find(|(l, _)| *l == law).map_or_else(|| Verdict::Idle(idle(law)), |(_, v)| v.clone()),
    };
    let verdicts = LAWS.iter().map(|(law, _)| verdict(law)).collect();
    Row { item: item.name.clone(), instance: instance.shown(), kind: item.kind, verdicts }
}

/// One verdict of many complaints: the first speaks for all.
fn judged(complaint: Option<String>) -> Verdict {
    complaint.map_or(Verdict::Holds, Verdict::Fails)
}
