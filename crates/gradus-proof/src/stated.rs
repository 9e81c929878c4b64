//! Laws that a script states: equations between two graphs over variables, which a proof takes as given.

use crate::Given;
use crate::bank::Id;
use crate::facts::Range;
use crate::form::describe;
use crate::laws::Case;
use crate::piecewise::always;
use gradus_ir::{BinaryOp, Dim, Graph, Op};
use std::collections::BTreeMap;

/// A law as a graph.
pub struct Stated {
    pub name: String,
    variables: Vec<String>,
    graph: Graph,
    /// About single numbers, so that it holds element by element.
    lifted: bool,
}

impl Stated {
    /// # Errors
    /// Its graph is none, has no two sides of one type, or shadows a law of the checker.
    pub fn read(g: &Given) -> Result<Stated, String> {
        let graph = gradus_ir::parse(&g.graph).map_err(|e| format!("`{}`: {e}", g.law))?;
        gradus_ir::verify(&graph).map_err(|e| format!("`{}`: {e}", g.law))?;
        let sides = matches!(graph.outputs.as_slice(), [l, r, ..] if graph.ty(*l) == graph.ty(*r));
        if !g.law.starts_with("law ") || !sides || g.variables.len() != graph.params().len() {
            return Err(format!("`{}` is no law of two sides", g.law));
        }
        let lifted = graph.nodes().all(|(_, n)| match n.op {
            Op::Param(_) => n.ty().shape.is_scalar(),
            Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Const(..) => true,
            _ => false,
        });
        Ok(Stated { name: g.law.clone(), variables: g.variables.clone(), graph, lifted })
    }

    /// Is the step an instance, alone or in a sum or product with others?
    ///
    /// # Errors
    /// Why it is not.
    pub fn holds(&self, c: &mut Case<'_>) -> Result<(), String> {
        let mut args = Vec::with_capacity(self.variables.len());
        let mut dims: BTreeMap<String, Dim> = BTreeMap::new();
        for (n, p) in self.variables.iter().zip(self.graph.params()) {
            let id = *c.names.terms.get(n).ok_or_else(|| format!("`{n}` stands for nothing"))?;
            // A name alone is what it stands for first; everything else is compared once all are known.
            for (want, have) in self.graph.shape(*p).dims().iter().zip(c.bank.ty(id).shape.dims()) {
                let name = want.to_string();
                if *want == Dim::sym(name.as_str()) {
                    dims.entry(name).or_insert_with(|| have.clone());
                }
            }
            args.push(id);
        }
        let known = |n: &str| dims.get(n).cloned();
        let mut map: Vec<Option<Id>> = vec![None; self.graph.len()];
        for ((n, p), id) in self.variables.iter().zip(self.graph.params()).zip(&args) {
            let (want, have) = (self.graph.ty(*p), c.bank.ty(*id));
            let fits = want.dtype == have.dtype && (self.lifted || want.shape.substitute(&known) == have.shape);
            if !fits {
                return Err(format!("`{n}` is `{have}`, not `{want}`"));
            }
            map[p.index()] = Some(*id);
        }
        for (id, node) in self.graph.nodes() {
            if map[id.index()].is_none() {
                let kids: Option<Vec<Id>> = node.inputs.iter().map(|i| map[i.index()]).collect();
                map[id.index()] = Some(c.bank.op_term(node.op.with_dims(&known), &kids.ok_or("a side is no value")?)?);
            }
        }
        let outs: Option<Vec<Id>> = self.graph.outputs.iter().map(|o| map[o.index()]).collect();
        let outs = outs.ok_or("a side is no value")?;
        let [left, right, conditions @ ..] = outs.as_slice() else { return Err("a law has two sides".into()) };
        for k in conditions {
            self.condition(c, *k)?;
        }
        if self.instance(c, *left, *right)? { Ok(()) } else { Err(format!("the two sides are no instance of `{}`", self.name)) }
    }

    fn instance(&self, c: &mut Case<'_>, left: Id, right: Id) -> Result<bool, String> {
        let shape = c.bank.ty(left).shape.clone();
        // A side of numbers alone stands for all elements.
        let right = if c.bank.ty(right).shape == shape { right } else { c.bank.op_term(Op::Broadcast(shape), &[right])? };
        if c.bank.ty(c.lhs) == c.bank.ty(left) && c.same(c.lhs, left)? && c.same(c.rhs, right)? {
            return Ok(true);
        }
        if c.same_but_for(left, right)? {
            return Ok(true);
        }
        let add = Op::Binary(BinaryOp::Add);
        let (Ok(a), Ok(b)) = (c.bank.op_term(add.clone(), &[c.lhs, right]), c.bank.op_term(add, &[c.rhs, left])) else { return Ok(false) };
        c.same(a, b)
    }

    fn condition(&self, c: &mut Case<'_>, id: Id) -> Result<(), String> {
        if let (Some(Op::Binary(BinaryOp::And)), Some(a), Some(b)) = (c.op(id).cloned(), c.kid(id, 0), c.kid(id, 1)) {
            self.condition(c, a)?;
            return self.condition(c, b);
        }
        let (Some(Op::Binary(op)), Some(x), Some(y)) = (c.op(id).cloned(), c.kid(id, 0), c.kid(id, 1)) else {
            return Err(format!("a condition of `{}` is no comparison", self.name));
        };
        let holds = match (c.bank.constant(x), c.bank.constant(y)) {
            (Some(x), Some(y)) => match op {
                BinaryOp::Lt => x < y,
                BinaryOp::Le => x <= y,
                BinaryOp::Gt => x > y,
                BinaryOp::Ge => x >= y,
                BinaryOp::Eq => x == y,
                BinaryOp::Ne => x != y,
                _ => false,
            },
            // Of what is not a number the law says nothing.
            _ => {
                let range = |id: Id| Range { nan: false, ..c.facts.range(c.bank, id) };
                always(op, range(x), range(y)) == Some(true)
            }
        };
        if !holds {
            return Err(format!("a condition of `{}` is not known to hold: {}", self.name, describe(c.bank, id, 3)));
        }
        c.licence.push(describe(c.bank, id, 3));
        Ok(())
    }
}
