//! From graphs to terms: bodies of loops are taken apart, what they carry becomes atoms that both graphs share.
//!
//! A value that does not depend on what a loop carries is the same term inside and outside of it: that is what moving work out
//! of a loop means here. Two loops with equal trip counts give equal values if, for equal carried values, their starts, conditions
//! and steps are equal; `settle` checks that and nothing else makes outputs of different loops equal.

use crate::bank::{Bank, Head, Id};
use gradus_ir::{DType, Graph, NodeId, Op, Trip, Ty, UnaryOp};
use std::collections::HashMap;

/// Which carried and collected values of the old loop those of the new one are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoopMap {
    pub label: String,
    pub carries: Vec<usize>,
    pub collected: Vec<usize>,
}

/// A loop taken apart.
#[derive(Clone, Debug)]
pub struct Opened {
    pub label: String,
    trip: Trip,
    carries: usize,
    scanned: Vec<Id>,
    collected: usize,
    inits: Vec<Id>,
    cond: Option<Id>,
    outs: Vec<Id>,
    /// The atoms that stand for its outputs: steps, carries, collected.
    gives: Vec<Id>,
}

pub struct Importer<'m> {
    pub loops: Vec<Opened>,
    /// For the new graph: which loop of the old one each of its loops is.
    maps: Option<&'m HashMap<String, LoopMap>>,
    /// Texts of regions that are proved equal to others.
    regions: &'m HashMap<String, String>,
    clocks: HashMap<String, usize>,
    /// Loops are not allowed where only terms are written.
    flat: bool,
}

/// Where the nodes of a region went: a value, or the outputs of a loop.
enum Place {
    One(Id),
    Loop(Vec<Id>),
}

type Done<T> = Result<T, String>;

fn step_atom(label: &str, index: usize) -> String {
    format!("in {label} {index}")
}

impl<'m> Importer<'m> {
    pub fn old(regions: &'m HashMap<String, String>) -> Importer<'m> {
        Importer { loops: Vec::new(), maps: None, regions, clocks: HashMap::new(), flat: false }
    }

    pub fn new(maps: &'m HashMap<String, LoopMap>, regions: &'m HashMap<String, String>) -> Importer<'m> {
        Importer { maps: Some(maps), ..Importer::old(regions) }
    }

    /// For the graph of the proof's terms, which has no loops.
    pub fn terms(regions: &'m HashMap<String, String>) -> Importer<'m> {
        Importer { flat: true, ..Importer::old(regions) }
    }

    /// The terms of a graph's nodes (of those that its outputs need), given those of its parameters.
    ///
    /// # Errors
    /// A loop has no partner, or a label occurs twice.
    pub fn graph(&mut self, bank: &mut Bank, g: &Graph, args: &[Id]) -> Done<Vec<Option<Id>>> {
        let places = self.region(bank, g, args, "")?;
        Ok(places
            .into_iter()
            .map(|p| match p {
                Some(Place::One(id)) => Some(id),
                _ => None,
            })
            .collect())
    }

    /// The value with the element type that a parameter declares.
    fn declared(&self, bank: &mut Bank, id: Id, want: &Ty) -> Done<Id> {
        let found = bank.ty(id).clone();
        if found.shape != want.shape {
            return Err(format!("a value of type {found} is taken as {want}"));
        }
        match (found.dtype, want.dtype) {
            (a, b) if a == b => Ok(id),
            (_, DType::Real) => bank.op_term(Op::Unary(UnaryOp::ToReal), &[id]),
            (_, DType::Int) => bank.op_term(Op::Unary(UnaryOp::ToInt), &[id]),
            _ => Err(format!("a value of type {found} is taken as {want}")),
        }
    }

    fn region(&mut self, bank: &mut Bank, g: &Graph, args: &[Id], within: &str) -> Done<Vec<Option<Place>>> {
        if args.len() != g.params().len() {
            return Err(format!("{} values for {} parameters", args.len(), g.params().len()));
        }
        let live = g.live();
        let mut map: Vec<Option<Place>> = (0..g.len()).map(|_| None).collect();
        for (p, a) in g.params().iter().zip(args) {
            let id = self.declared(bank, *a, g.ty(*p))?;
            map[p.index()] = Some(Place::One(id));
        }
        for (id, node) in g.nodes() {
            if map[id.index()].is_some() || !live[id.index()] {
                continue;
            }
            if let (Op::Get(k), Some(of)) = (&node.op, node.inputs.first())
                && let Some(Place::Loop(outs)) = &map[of.index()]
            {
                let out = *outs.get(*k as usize).ok_or("an output of a loop that it does not have")?;
                let out = self.declared(bank, out, node.ty())?;
                map[id.index()] = Some(Place::One(out));
                continue;
            }
            let mut kids = Vec::with_capacity(node.inputs.len());
            for i in &node.inputs {
                match &map[i.index()] {
                    Some(Place::One(v)) => kids.push(*v),
                    _ => return Err(format!("node %{} is used before it exists", i.0)),
                }
            }
            let place = match &node.op {
                Op::Loop(l) => Place::Loop(self.open(bank, l, &kids)?),
                Op::Unary(UnaryOp::StopGrad) | Op::NoGrad(_) => {
                    Place::One(*kids.first().ok_or("an identity without operand")?)
                }
                Op::Clock => {
                    let n = self.clocks.entry(within.to_string()).or_default();
                    *n += 1;
                    let name = format!("clock {within} {n}");
                    Place::One(bank.atom(name, node.ty().clone()))
                }
                Op::Cond { then, other } => {
                    let text = |g: &Graph| {
                        let text = g.to_string();
                        self.regions.get(&text).cloned().unwrap_or(text)
                    };
                    let head = Head::Regions(node.op.clone(), format!("cond {} else {}", text(then), text(other)));
                    Place::One(bank.insert(head, kids, node.tys.to_vec()))
                }
                op => Place::One(bank.insert(Head::Op(op.clone()), kids, node.tys.to_vec())),
            };
            map[id.index()] = Some(place);
        }
        Ok(map)
    }

    fn open(&mut self, bank: &mut Bank, l: &gradus_ir::Loop, kids: &[Id]) -> Done<Vec<Id>> {
        let label = l.label.to_string();
        if self.flat {
            return Err("a loop among the terms".into());
        }
        if self.loops.iter().any(|o| o.label == label) {
            return Err(format!("two loops are called `{label}`"));
        }
        let (map, side) = match self.maps {
            None => (
                LoopMap { label: label.clone(), carries: (0..l.carries).collect(), collected: (0..l.collected).collect() },
                "out",
            ),
            Some(maps) => (maps.get(&label).cloned().ok_or_else(|| format!("the loop `{label}` has no partner"))?, "new"),
        };
        if map.carries.len() != l.carries || map.collected.len() != l.collected {
            return Err(format!("the partner of the loop `{label}` carries another number of values"));
        }
        // The slices come after all carries of the old loop; their numbers do not depend on how many are kept.
        let ty = |k: usize| l.body.params().get(k).map(|p| l.body.ty(*p).clone()).ok_or("a loop lacks a parameter");
        let step = bank.atom(step_atom(&label, 0), ty(0)?);
        let mut own = Vec::new();
        for k in 0..l.carries {
            let same = l.body.outputs.get(k) == l.body.params().get(1 + k);
            let want = ty(1 + k)?;
            let init = self.declared(bank, *kids.get(k).ok_or("a loop lacks a start")?, &want)?;
            // What a step hands on as it is never changes.
            own.push((init, if same { init } else { bank.atom(step_atom(&label, 1 + map.carries[k]), want) }));
        }
        let mut slices = Vec::new();
        for k in 0..l.scanned {
            slices.push(bank.atom(format!("slice {label} {k}"), ty(1 + l.carries + k)?));
        }
        let captures = kids.get(l.carries + l.scanned..).unwrap_or_default();
        let carried = || own.iter().map(|(_, p)| *p);
        let pick = |places: &[Option<Place>], id: NodeId| match places.get(id.index()) {
            Some(Some(Place::One(v))) => Ok(*v),
            _ => Err("an output of a region is no value".to_string()),
        };
        let cond = match &l.cond {
            Some(c) => {
                let args: Vec<Id> = std::iter::once(step).chain(carried()).chain(captures.iter().copied()).collect();
                let places = self.region(bank, c, &args, &label)?;
                Some(pick(&places, *c.outputs.first().ok_or("a condition without value")?)?)
            }
            None => None,
        };
        let args: Vec<Id> =
            std::iter::once(step).chain(carried()).chain(slices).chain(captures.iter().copied()).collect();
        let places = self.region(bank, &l.body, &args, &label)?;
        let mut outs = Vec::new();
        for (k, o) in l.body.outputs.iter().enumerate() {
            let v = pick(&places, *o)?;
            outs.push(if k < l.carries { self.declared(bank, v, &ty(1 + k)?)? } else { v });
        }
        let bound = l.trip.bound().clone();
        let mut gives = vec![bank.atom(format!("{side} {label} 0"), ty(0)?)];
        for (k, (init, p)) in own.iter().enumerate() {
            let fixed = init == p;
            gives.push(if fixed { *init } else { bank.atom(format!("{side} {label} {}", 1 + k), ty(1 + k)?) });
        }
        for k in l.carries..l.body.outputs.len() {
            let t = bank.ty(outs[k]).clone();
            gives.push(bank.atom(format!("{side} {label} {}", 1 + k), Ty::new(t.dtype, t.shape.stacked(bound.clone()))));
        }
        self.loops.push(Opened {
            label,
            trip: l.trip.clone(),
            carries: l.carries,
            scanned: kids.get(l.carries..l.carries + l.scanned).unwrap_or_default().to_vec(),
            collected: l.collected,
            inits: own.iter().map(|(i, _)| *i).collect(),
            cond,
            outs,
            gives: gives.clone(),
        });
        Ok(gives)
    }
}

/// Joins the outputs of loops that are shown to run alike, until no more are; says which new loops are not.
pub fn settle(bank: &mut Bank, old: &[Opened], new: &[Opened], maps: &HashMap<String, LoopMap>, step: u32) -> Vec<String> {
    let mut left: Vec<&Opened> = new.iter().collect();
    loop {
        let mut rest = Vec::new();
        let before = left.len();
        for n in left {
            let pair = old.iter().find(|o| o.label == n.label).zip(maps.get(&n.label));
            let Some((o, m)) = pair.filter(|(o, m)| alike(bank, o, n, m).is_ok()) else {
                rest.push(n);
                continue;
            };
            bank.join(n.gives[0], o.gives[0], step);
            for (j, k) in m.carries.iter().enumerate() {
                bank.join(n.gives[1 + j], o.gives[1 + k], step);
            }
            for (j, k) in m.collected.iter().enumerate() {
                bank.join(n.gives[1 + n.carries + j], o.gives[1 + o.carries + k], step);
            }
        }
        left = rest;
        if left.is_empty() || left.len() == before {
            break;
        }
    }
    left.iter()
        .map(|n| match old.iter().find(|o| o.label == n.label).zip(maps.get(&n.label)) {
            Some((o, m)) => alike(bank, o, n, m).err().unwrap_or_default(),
            None => format!("the loop `{}` has no partner", n.label),
        })
        .collect()
}

/// The pairs of terms whose equality makes two loops alike.
pub fn obligations(o: &Opened, n: &Opened, m: &LoopMap) -> Done<Vec<(Id, Id, String)>> {
    let label = &n.label;
    if o.trip != n.trip || o.scanned.len() != n.scanned.len() || o.cond.is_some() != n.cond.is_some() {
        return Err(format!("the loop `{label}` runs differently"));
    }
    let mut out = Vec::new();
    for (j, k) in m.carries.iter().enumerate() {
        let (Some(a), Some(b)) = (o.inits.get(*k), n.inits.get(j)) else { return Err(format!("the loop `{label}` has no carry {k}")) };
        out.push((*a, *b, format!("the start of value {j} of the loop `{label}`")));
        let (Some(a), Some(b)) = (o.outs.get(*k).filter(|_| *k < o.carries), n.outs.get(j)) else { return Err(format!("the loop `{label}` has no carry {k}")) };
        out.push((*a, *b, format!("the step of value {j} of the loop `{label}`")));
    }
    for (j, k) in m.collected.iter().enumerate() {
        let (Some(a), Some(b)) = (o.outs.get(o.carries + k).filter(|_| *k < o.collected), n.outs.get(n.carries + j)) else { return Err(format!("the loop `{label}` collects no value {k}")) };
        out.push((*a, *b, format!("the collected value {j} of the loop `{label}`")));
    }
    for (a, b) in o.scanned.iter().zip(&n.scanned) {
        out.push((*a, *b, format!("an array that the loop `{label}` scans")));
    }
    if let (Some(a), Some(b)) = (o.cond, n.cond) {
        out.push((a, b, format!("the condition of the loop `{label}`")));
    }
    Ok(out)
}

fn alike(bank: &Bank, o: &Opened, n: &Opened, m: &LoopMap) -> Done<()> {
    for (a, b, what) in obligations(o, n, m)? {
        if !bank.equal(a, b) {
            let text = |id: Id| crate::form::describe(bank, id, 7);
            return Err(format!("{what} is not shown to be the same: {} and {}", text(a), text(b)));
        }
    }
    Ok(())
}
