//! A problem as `f + g + h(K)`: f smooth, g the terms and sets with one proximal operator together, h all others and the constraints, each
//! of them at its own linear map of the unknown.

use super::decompose::Split;
use super::method::Task;
use super::problem::Problem;
use super::prox::{ProxFn, ProxPart};
use super::region_fn::RegionFn;
use crate::interp::Interp;
use crate::tree::TypeTree;
use crate::value::{Eval, Num, SetKind, SetValue, Stop, TermKind, TermValue, Value};
use gradus_facts::{Assume, Curvature, analyze_assuming};
use gradus_ir::{BinaryOp, NodeId, Op, Ty};
use gradus_syntax::ast::{MethodForm, Sense};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// What a method of the form `f + g + h(K)` is given beside the smooth part.
pub struct Splitting {
    pub smooth: RegionFn,
    pub prox: Arc<ProxFn>,
    pub rest: Arc<Rest>,
}

/// The part `h(K)`.
pub struct Rest {
    /// h: over the list of what K gives, or over the unknown itself where the form names no map.
    pub prox: Arc<ProxFn>,
    pub map: Option<Value>,
    /// For every entry of that list that is a constraint: is it an equality, and its name.
    constraints: Vec<Option<(bool, Arc<str>)>>,
}

/// One entry of the list that K gives.
#[derive(Clone)]
enum Entry {
    /// Leaves of the unknown in the structure of a term's argument.
    Leaves(TypeTree, Vec<usize>),
    /// The linear part of an affine map.
    Linear(RegionFn),
}

/// What becomes a part of h.
struct Piece {
    entry: Entry,
    tree: TypeTree,
    term: Arc<TermValue>,
    scale: Option<Num>,
    affine: Option<(Num, Option<Num>)>,
    span: Span,
    constraint: Option<(bool, Arc<str>)>,
}

impl Interp<'_> {
    /// Take a problem apart for a method of this form; `at` is where the method was chosen.
    pub(super) fn splitting(&mut self, p: &Arc<Problem>, split: &Split, form: &MethodForm, name: &str, at: Span) -> Eval<Splitting> {
        let refuse = |code: &'static str, span: Span, text: String, help: &str| -> Stop {
            Diagnostic::error(code, span, text).at("this part").label(at, format!("`{name}` is asked for here")).help(help.to_string()).into()
        };
        if let Some(part) = split.prox.parts.iter().find(|q| !q.term.has_prox()) {
            let text = format!("`{}` has no proximal operator", part.term.describe());
            return Err(refuse("E3009", part.span, text, "give it a `prox(v, t) = …` or a `project v = …`"));
        }
        let tree = p.tree.clone();
        let together = |parts: &[ProxPart]| ProxFn { tree: tree.clone(), parts: parts.to_vec() };
        let (mut own, mut others): (Vec<ProxPart>, Vec<ProxPart>) = Default::default();
        // Sets first, so that the iterates are in them.
        let is_set = |q: &&ProxPart| matches!(q.term.kind, TermKind::Indicator(_));
        let (sets, terms): (Vec<&ProxPart>, Vec<&ProxPart>) = split.prox.parts.iter().partition(is_set);
        for part in sets.into_iter().chain(terms) {
            own.push(part.clone());
            if form.prox.is_none() || together(&own).obstacle().is_some() {
                others.extend(own.pop());
            }
        }
        if form.map.is_none() {
            let text = |what: &str| format!("`{name}` takes no {what}");
            let help = "use a method that takes any number of them: `pdhg`, `condat_vu`, `admm`";
            if let Some(m) = split.mapped.first() {
                return Err(refuse("E5030", m.span, text("term of a linear map of the unknown"), help));
            }
            if let Some(c) = p.constraints.first() {
                return Err(refuse("E5030", c.expr.span, text("constraints"), help));
            }
            let rest = together(&others);
            if let Some((span, why)) = rest.obstacle() {
                return Err(refuse("E5030", span, format!("`{name}` splits two proxable parts, this is a third: {why}"), help));
            }
            let rest = Rest { prox: Arc::new(rest), map: None, constraints: Vec::new() };
            return Ok(Splitting { smooth: split.plain.clone(), prox: Arc::new(together(&own)), rest: Arc::new(rest) });
        }
        if p.sense == Sense::Max
            && let Some(m) = split.mapped.first()
        {
            return Err(refuse("E5030", m.span, "a convex term is maximized here".to_string(), "minimize the negative of the objective"));
        }
        let mut pieces = Vec::new();
        for q in others {
            let entry = Entry::Leaves(q.tree.clone(), q.leaves.clone());
            let (tree, term, scale, affine, span) = (q.tree, q.term, q.scale, q.affine, q.span);
            pieces.push(Piece { entry, tree, term, scale, affine, span, constraint: None });
        }
        for m in &split.mapped {
            if self.mode == crate::interp::Mode::Run {
                self.check_scale(m.scale, &m.term, m.span, at)?;
            }
            pieces.push(self.mapped_piece(&m.map, m.term.clone(), m.scale, None, m.span)?);
        }
        self.constraint_pieces(p, &mut pieces, name, at)?;
        Ok(Splitting { smooth: split.plain.clone(), prox: Arc::new(together(&own)), rest: Arc::new(self.rest_of(pieces)) })
    }

    /// h over the list of what K gives, and K.
    fn rest_of(&self, pieces: Vec<Piece>) -> Rest {
        let mut parts = Vec::new();
        let (mut trees, mut entries, mut constraints) = (Vec::new(), Vec::new(), Vec::new());
        let mut first = 0;
        for p in pieces {
            let count = p.tree.leaves().len();
            parts.push(ProxPart {
                leaves: (first..first + count).collect(),
                tree: p.tree.clone(),
                term: p.term,
                scale: p.scale,
                affine: p.affine,
                span: p.span,
            });
            first += count;
            trees.push(p.tree);
            entries.push(p.entry);
            constraints.push(p.constraint);
        }
        let map = Value::native("the linear map", move |s, args, span| {
            let x = s.one_arg(args, "the linear map", span)?;
            let leaves = s.leaves(&x, span)?;
            let mut out = Vec::with_capacity(entries.len());
            for e in &entries {
                out.push(match e {
                    Entry::Leaves(tree, at) => {
                        let picked: Vec<Num> = at.iter().filter_map(|k| leaves.get(*k).copied()).collect();
                        tree.build(&mut picked.into_iter()).ok_or(Stop::Poisoned)?
                    }
                    Entry::Linear(f) => {
                        let zeros = s.zeros_of(&f.tree, span)?;
                        s.push_forward(&f.clone().value(), &zeros, &x, span)?.1
                    }
                });
            }
            Ok(Value::list(out))
        });
        Rest { prox: Arc::new(ProxFn { tree: TypeTree::List(trees), parts }), map: Some(map), constraints }
    }

    /// `scale * term(map(x))` with an affine map, as a term of its linear part.
    fn mapped_piece(
        &mut self,
        map: &RegionFn,
        term: Arc<TermValue>,
        scale: Option<Num>,
        constraint: Option<(bool, Arc<str>)>,
        span: Span,
    ) -> Eval<Piece> {
        let zeros = self.zeros_of(&map.tree, span)?;
        let shift = self.apply_region(map, &zeros, span)?;
        let shift = self.num(&shift, span)?;
        let one = self.real(1.0)?;
        let tree = TypeTree::Leaf(Ty::real(self.ty(shift).shape));
        Ok(Piece { entry: Entry::Linear(map.clone()), tree, term, scale, affine: Some((one, Some(shift))), span, constraint })
    }

    /// Constraints as indicators of affine residuals.
    fn constraint_pieces(&mut self, p: &Arc<Problem>, out: &mut Vec<Piece>, name: &str, at: Span) -> Eval<()> {
        for (map, equality, label, linear) in self.residual_maps(p)? {
            let span = p.constraints.iter().find(|c| c.name.as_ref().is_some_and(|n| n.name == label)).map_or(p.span, |c| c.expr.span);
            if !linear {
                return Err(Diagnostic::error("E5031", span, format!("the constraint `{label}` is not linear in the unknown"))
                    .at(format!("`{name}` handles linear constraints"))
                    .label(at, "asked for here")
                    .help("use `augmented_lagrangian`, or a set with a projection")
                    .into());
            }
            let (low, high) = (if equality { 0.0 } else { f64::NEG_INFINITY }, 0.0);
            let (low, high) = (Value::Num(self.real(low)?), Value::Num(self.real(high)?));
            let set = Arc::new(SetValue { kind: SetKind::Interval(low, high) });
            let term = Arc::new(TermValue { kind: TermKind::Indicator(set) });
            out.push(self.mapped_piece(&map, term, None, Some((equality, label)), span)?);
        }
        Ok(())
    }

    /// Every residual of the constraints as a function of the unknown: is it an equality, its name, and is it affine?
    pub(super) fn residual_maps(&mut self, p: &Arc<Problem>) -> Eval<Vec<(RegionFn, bool, Arc<str>, bool)>> {
        if p.constraints.is_empty() {
            return Ok(Vec::new());
        }
        let leaves = p.tree.leaves();
        let mut about: Vec<(bool, Arc<str>)> = Vec::new();
        let region = self.region(&leaves, p.span, |s, args| {
            let x = p.tree.build(&mut args.iter().copied()).ok_or(Stop::Poisoned)?;
            let r = s.residuals(p, &x)?;
            let mut outs = Vec::new();
            about.clear();
            for (equality, fields) in [(true, r.eq), (false, r.ineq)] {
                for (n, v) in fields {
                    for leaf in s.leaves(&v, p.span)? {
                        outs.push(leaf);
                        about.push((equality, n.clone()));
                    }
                }
            }
            Ok(outs)
        })?;
        let variables: Vec<NodeId> = region.graph.params().iter().take(leaves.len()).copied().collect();
        let facts = analyze_assuming(&region.graph, &variables, Assume::default());
        let fail = |e: gradus_ir::IrError| Stop::from(crate::errors::from_ir(&e, p.span, &[]));
        let mut out = Vec::new();
        for (k, (equality, name)) in about.into_iter().enumerate() {
            let Some(node) = region.graph.outputs.get(k).copied() else { return Err(Stop::Poisoned) };
            let linear = matches!(facts.node(node).curvature, Curvature::Affine | Curvature::Constant);
            let mut g = region.graph.clone();
            g.outputs = vec![node];
            let graph = Arc::new(g.compact().map_err(fail)?);
            let map = RegionFn { graph, tree: p.tree.clone(), leaves: leaves.len(), stochastic: false, captures: region.captures.clone() };
            out.push((map, equality, name, linear));
        }
        Ok(out)
    }

    fn zeros_of(&mut self, tree: &TypeTree, span: Span) -> Eval<Value> {
        let mut zeros = Vec::new();
        for t in tree.leaves() {
            let z = self.real(0.0)?;
            zeros.push(self.emit(Op::Broadcast(t.shape), &[z], span)?);
        }
        tree.build(&mut zeros.into_iter()).ok_or(Stop::Poisoned)
    }

    /// The residual of the conditions of optimality of `f + g + h(K)` with the dual point y, which has the structure of K's value:
    /// `|x - prox_g(x - grad f(x) - K' y)|` and `|K x - prox_h(K x + y)|`, the larger of them.
    pub(super) fn splitting_residual(&mut self, task: &Task, rest: &Rest, x: &Value, y: &Value, span: Span) -> Eval<Num> {
        let smooth = task.smooth.clone().value();
        let (_, g) = self.value_and_gradient(&smooth, std::slice::from_ref(x), 0, span)?;
        let (kx, pulled) = match &rest.map {
            Some(k) => self.pull_back(k, x, y, span)?,
            None => (x.clone(), y.clone()),
        };
        let slope = self.arith(BinaryOp::Add, &g, &pulled, span, span, span)?;
        let one = self.real(1.0)?;
        let v = self.arith(BinaryOp::Sub, x, &slope, span, span, span)?;
        let v = self.prox_apply(&task.prox, &v, one, span)?;
        let d = self.arith(BinaryOp::Sub, x, &v, span, span, span)?;
        let primal = self.norm_tree(&d, span)?;
        let v = self.arith(BinaryOp::Add, &kx, y, span, span, span)?;
        let v = self.prox_apply(&rest.prox, &v, one, span)?;
        let d = self.arith(BinaryOp::Sub, &kx, &v, span, span, span)?;
        let dual = self.norm_tree(&d, span)?;
        self.bin(BinaryOp::Max, primal, dual, span)
    }

    /// The multipliers of the constraints by name, from the dual point.
    pub(super) fn named_multipliers(&self, rest: &Rest, y: &Value) -> Value {
        let (mut eq, mut ineq) = (Vec::new(), Vec::new());
        if let Value::List(items) = y {
            for (v, c) in items.iter().zip(&rest.constraints) {
                if let Some((equality, name)) = c {
                    if *equality { &mut eq } else { &mut ineq }.push((name.clone(), v.clone()));
                }
            }
        }
        Value::record(vec![(Arc::from("eq"), Value::record(eq)), (Arc::from("ineq"), Value::record(ineq))])
    }

    /// The method for a sum that no single proximal operator handles, if all of it is convex and splits; with the reason.
    pub(super) fn splitting_choice(&mut self, p: &Arc<Problem>, split: &Split) -> Eval<Option<(&'static str, String)>> {
        let parts = &split.prox.parts;
        if split.stochastic
            || parts.iter().any(|q| !q.term.has_prox() || !q.term.has_fact("convex"))
            || p.sense == Sense::Max && !split.mapped.is_empty()
            || !self.residual_maps(p)?.iter().all(|(_, _, _, linear)| *linear)
        {
            return Ok(None);
        }
        let plain = self.function_facts(&split.plain);
        if !plain.is_smooth() || !(plain.is_convex() || plain.waits_for_data) {
            return Ok(None);
        }
        let zero = plain.is_zero();
        if !zero && !self.has_bound(&split.plain, &plain) {
            return Ok(None);
        }
        let names: Vec<String> =
            parts.iter().map(|q| q.term.describe()).chain(split.mapped.iter().map(|m| format!("{} of a linear map", m.term.describe()))).collect();
        let mut what = names.join(" + ");
        if !p.constraints.is_empty() {
            what.push_str(" + linear constraints");
        }
        Ok(Some(if zero {
            ("pdhg", format!("{what}: primal-dual steps, one proximal operator each"))
        } else {
            ("condat_vu", format!("{plain} objective plus {what}: primal-dual steps with gradients of the smooth part"))
        }))
    }
}
