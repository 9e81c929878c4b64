//! `min x … of max y … of phi` as one problem: a saddle point of phi, the equilibrium of the gradient by x and minus the gradient by y.

use super::driver::Runner;
use super::facts::SolveFacts;
use super::problem::Problem;
use super::region_fn::RegionFn;
use crate::env::Env;
use crate::interp::{Interp, Mode};
use crate::tree::TypeTree;
use crate::value::{Eval, Num, SetKind, SetValue, Stop, Value};
use gradus_ir::{BinaryOp, UnaryOp};
use gradus_syntax::ast::{Clauses, Expr, ExprKind, Pattern, Sense};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

impl Interp<'_> {
    /// The problem to solve in place of `p`: its saddle point, where a method for equilibria was named, or none was and phi is known to be
    /// convex where it is minimized and concave where it is maximized. A nested solve serves every other `min` of a `max`.
    pub(super) fn as_saddle(&mut self, p: Arc<Problem>, stages: &[(Value, Span)]) -> Eval<Arc<Problem>> {
        if p.equilibrium {
            return Ok(p);
        }
        let asked = match stages.first() {
            Some((v, at)) => matches!(self.runner(v, *at)?, Runner::Method(m) if m.decl.form.find),
            None => false,
        };
        if !asked && !stages.is_empty() {
            return Ok(p);
        }
        let Some(q) = self.saddle_of(&p)? else { return Ok(p) };
        let q = Arc::new(q);
        if asked {
            return Ok(q);
        }
        let phi = self.saddle_function(&q)?;
        let known = self.saddle_facts(&q, &phi).iter().all(|f| f.holds && f.facts.is_smooth());
        Ok(if known { q } else { p })
    }

    /// The saddle problem that `p` states, if its objective is an optimum of the other sense whose set does not depend on p's unknowns.
    fn saddle_of(&mut self, p: &Problem) -> Eval<Option<Problem>> {
        if !p.constraints.is_empty() {
            return Ok(None);
        }
        // What must not occur in the inner set and shapes is bound to nothing.
        let mut outer = p.unknowns.iter().fold(p.env.clone(), |env, n| env.bind(n.clone(), Value::Poison));
        let mut wrap: Vec<(&Pattern, &Option<gradus_syntax::ast::TypeExpr>, &Expr, Span)> = Vec::new();
        let mut e = &p.objective;
        let o = loop {
            match &*e.kind {
                ExprKind::LetIn(pattern @ Pattern::Name(id), ty, v, body) => {
                    outer = outer.bind(id.name.clone(), Value::Poison);
                    wrap.push((pattern, ty, v, e.span));
                    e = body;
                }
                ExprKind::Optimize(o) => break o.clone(),
                _ => return Ok(None),
            }
        };
        if o.arg || o.sense == p.sense || !o.constraints.is_empty() || o.clauses != Clauses::default() {
            return Ok(None);
        }
        let (names, tree, set) = match self.unknowns(&o.unknowns, &outer) {
            Ok(u) => u,
            Err(Stop::Poisoned) => return Ok(None),
            Err(e) => return Err(e),
        };
        if names.iter().any(|n| p.unknowns.contains(n)) {
            return Ok(None);
        }
        let mut trees: Vec<(Arc<str>, TypeTree)> = Vec::new();
        let mut sets: Vec<(Arc<str>, Arc<SetValue>)> = Vec::new();
        for (names, tree, set) in [(&p.unknowns, &p.tree, p.set.clone()), (&names, &tree, set)] {
            match (names.as_slice(), tree) {
                ([only], tree) => {
                    trees.push((only.clone(), tree.clone()));
                    sets.extend(set.map(|s| (only.clone(), s)));
                }
                (_, TypeTree::Record(fields)) => {
                    trees.extend(fields.iter().cloned());
                    if let Some(s) = set
                        && let SetKind::Product(parts) = &s.kind
                    {
                        sets.extend(parts.iter().cloned());
                    }
                }
                _ => return Ok(None),
            }
        }
        let mut objective = o.objective.clone();
        for (pattern, ty, v, span) in wrap.into_iter().rev() {
            objective = Expr { kind: Box::new(ExprKind::LetIn(pattern.clone(), ty.clone(), v.clone(), objective)), span };
        }
        Ok(Some(Problem {
            name: p.name.clone(),
            sense: p.sense,
            equilibrium: true,
            ascending: if p.sense == Sense::Min { names.clone() } else { p.unknowns.clone() },
            unknowns: p.unknowns.iter().chain(&names).cloned().collect(),
            tree: TypeTree::Record(trees),
            set: (!sets.is_empty()).then(|| Arc::new(SetValue { kind: SetKind::Product(sets) })),
            objective,
            constraints: Vec::new(),
            by: p.by.clone(),
            env: p.env.clone(),
            span: p.span,
        }))
    }

    /// phi as a traced function of all unknowns.
    pub(super) fn saddle_function(&mut self, p: &Arc<Problem>) -> Eval<RegionFn> {
        let leaves = p.tree.leaves();
        let region = self.region(&leaves, p.objective.span, |s, args| {
            let x = p.tree.build(&mut args.iter().copied()).ok_or(Stop::Poisoned)?;
            let v = s.eval(&p.objective, &p.scope(&x))?;
            let n = s.num(&v, p.objective.span)?;
            if !s.ty(n).shape.is_scalar() {
                return Err(Diagnostic::error("E2003", p.objective.span, format!("an objective is one number, found `{}`", s.ty(n)))
                    .at("this gives an array")
                    .into());
            }
            Ok(vec![s.un(UnaryOp::ToReal, n, p.objective.span)?])
        })?;
        let (_, graph) = self.stabilised(&region.graph);
        Ok(RegionFn { graph, tree: p.tree.clone(), leaves: leaves.len(), stochastic: false, captures: region.captures })
    }

    /// The gradient of phi, its sign turned for the unknowns that maximize.
    pub(super) fn saddle_operator(&mut self, p: &Problem, phi: &RegionFn, x: &Value, span: Span) -> Eval<Value> {
        let f = phi.clone().value();
        let (_, g) = self.value_and_gradient(&f, std::slice::from_ref(x), 0, span)?;
        let Value::Record(fields) = &g else { return Err(Stop::Poisoned) };
        let mut out = Vec::with_capacity(fields.len());
        for (n, v) in fields.iter() {
            let v = if p.ascending.contains(n) { self.unary_value(UnaryOp::Neg, v, span, span)? } else { v.clone() };
            out.push((n.clone(), v));
        }
        Ok(Value::record(out))
    }

    /// For every unknown that phi is minimized (maximized) by: is it convex (concave) in all of those together?
    pub(super) fn saddle_facts(&mut self, p: &Problem, phi: &RegionFn) -> Vec<Side> {
        let TypeTree::Record(fields) = &p.tree else { return Vec::new() };
        let mut spans: Vec<(bool, std::ops::Range<usize>)> = Vec::new();
        let mut at = 0;
        for (n, t) in fields {
            let (up, end) = (p.ascending.contains(n), at + t.leaves().len());
            match spans.last_mut() {
                Some((same, r)) if *same == up => r.end = end,
                _ => spans.push((up, at..end)),
            }
            at = end;
        }
        let waits = self.mode == Mode::Check;
        spans
            .into_iter()
            .map(|(up, leaves)| {
                let facts = self.facts_in(phi, leaves);
                let holds = if up { facts.is_concave() } else { facts.is_convex() };
                Side { holds: holds || waits && facts.waits_for_data, facts }
            })
            .collect()
    }

    /// `max over y' of phi(x, y') - min over x' of phi(x', y)` is at most `max over z' in C of <F(z), z - z'>` where phi is convex by the one
    /// and concave by the other, and the same where it is bilinear. None where the set has no linear minimizer.
    pub(super) fn saddle_gap(&mut self, p: &Problem, phi: &RegionFn, x: &Value, span: Span) -> Eval<Option<Num>> {
        let Some(set) = &p.set else { return Ok(None) };
        if !self.saddle_facts(p, phi).iter().all(|s| s.holds) {
            return Ok(None);
        }
        let g = self.saddle_operator(p, phi, x, span)?;
        let Some(z) = self.linear_minimizer(set, &g, span)? else { return Ok(None) };
        let d = self.arith(BinaryOp::Sub, x, &z, span, span, span)?;
        let prod = self.arith(BinaryOp::Mul, &g, &d, span, span, span)?;
        self.sum_tree(&prod, span).map(Some)
    }

    /// The scope that a starting point of `p` gets as a saddle problem: one of the outer unknown alone becomes that field.
    pub(super) fn saddle_start(&self, p: &Problem, start: Option<(Value, Span)>) -> Option<(Value, Span)> {
        match (start, p.unknowns.first()) {
            (Some((v, at)), Some(first)) if !p.ascending.is_empty() && !matches!(v, Value::Record(_)) => {
                Some((Value::record(vec![(first.clone(), v)]), at))
            }
            (start, _) => start,
        }
    }
}

/// What is known of phi as a function of the unknowns of one side.
pub(super) struct Side {
    pub holds: bool,
    pub facts: SolveFacts,
}

/// The library's name for the method of an equilibrium, with the reason.
pub(super) fn equilibrium_method(p: &Problem) -> (&'static str, String) {
    let what = if p.ascending.is_empty() { "an equilibrium" } else { "a saddle point, convex in what is minimized and concave in what is maximized," };
    match &p.set {
        Some(s) => (
            "golden_ratio",
            format!("{what} over {}: one projection and one value of the operator a step, no step size needed", s.describe()),
        ),
        None if p.ascending.is_empty() => {
            ("newton_equation", "the root of an operator over the whole space: Newton steps by matrix-free linear solves".to_string())
        }
        None => ("newton_equation", format!("{what} over the whole space: Newton steps on the gradients by matrix-free linear solves")),
    }
}

impl Interp<'_> {
    /// A method of the library by name.
    pub(super) fn library_method(&mut self, name: &str, span: Span) -> Eval<Runner> {
        match self.lookup(name, &Env::module(0), span)? {
            Value::Method(m) => Ok(Runner::Method(m)),
            Value::Rule(r) => Ok(Runner::Rule(r)),
            other => Err(Diagnostic::error("E9006", span, format!("the library's `{name}` is {}", other.kind())).into()),
        }
    }
}
