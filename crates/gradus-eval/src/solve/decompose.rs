//! Taking an objective apart: a smooth part traced as a region, and the terms that have a proximal operator.

use super::problem::Problem;
use super::prox::{ProxFn, ProxPart};
use super::region_fn::RegionFn;
use crate::env::Env;
use crate::interp::Interp;
use crate::tracer::Region;
use crate::tree::TypeTree;
use crate::value::{Bound, CallArg, Eval, Function, Num, SetKind, SetValue, Stop, TermKind, TermValue, Value};
use gradus_facts::{Assume, Curvature, analyze_assuming};
use gradus_ir::{BinaryOp, DType, Graph, NodeId, Op, Ty, UnaryOp};
use gradus_syntax::ast::{BinaryOp as AstOp, Expr, ExprKind, Sense, UnaryOp as AstUnary};
use gradus_syntax::{Diagnostic, Span};
use std::collections::HashMap;
use std::sync::Arc;

/// An objective to be minimized, in parts, and the whole as the user wrote it.
pub struct Split {
    /// Without the terms, with the sign turned for `max`.
    pub smooth: RegionFn,
    pub prox: ProxFn,
    /// All of it (still without the set), in the user's own sense.
    pub objective: RegionFn,
    /// Does it draw minibatches?
    pub stochastic: bool,
    /// Terms of affine functions of the unknown that have a proximal operator, but not in this place. They are in the smooth part too.
    pub mapped: Vec<MappedTerm>,
    /// The smooth part without them.
    pub plain: RegionFn,
}

/// `scale * term(map(x))` with an affine map to one array.
#[derive(Clone)]
pub struct MappedTerm {
    pub map: RegionFn,
    pub term: Arc<TermValue>,
    pub scale: Option<Num>,
    pub span: Span,
}

impl Split {
    /// The proxable part, to be shared.
    pub fn prox_fn(&self) -> Arc<ProxFn> {
        Arc::new(ProxFn { tree: self.prox.tree.clone(), parts: self.prox.parts.clone() })
    }
}

struct Parts {
    smooth: Vec<Num>,
    terms: Vec<RawTerm>,
    mapped: Vec<RawMapped>,
}

/// A term of an affine function of the unknown, while the region is still open.
struct RawMapped {
    argument: Num,
    term: Arc<TermValue>,
    scale: Option<Num>,
    /// Its share of the objective.
    value: Num,
    span: Span,
}

/// A term while the region is still open.
struct RawTerm {
    leaves: Vec<usize>,
    tree: TypeTree,
    term: Arc<TermValue>,
    scale: Option<Num>,
    affine: Option<(Num, Option<Num>)>,
    /// Its value, for the case that it turns out not to be usable.
    value: Num,
    span: Span,
}

impl Interp<'_> {
    /// Trace the objective of a problem.
    pub fn split(&mut self, p: &Problem) -> Eval<Split> {
        let leaves = p.tree.leaves();
        let mut params: Vec<Ty> = leaves.clone();
        params.push(gradus_ir::infer::key_type());
        let mut raw: Vec<RawTerm> = Vec::new();
        let mut mapped: Vec<RawMapped> = Vec::new();
        let mut drew = false;
        let saved = (self.step_key, self.batch_sites, std::mem::take(&mut self.draws.loops));
        let region = self.region(&params, p.span, |s, args| {
            let (xs, key) = args.split_at(leaves.len().min(args.len()));
            s.step_key = key.first().copied();
            s.batch_sites = 0;
            s.draws.estimates.clear();
            let x = p.tree.build(&mut xs.iter().copied()).ok_or(Stop::Poisoned)?;
            let env = p.scope(&x);
            let mut parts = Parts { smooth: Vec::new(), terms: Vec::new(), mapped: Vec::new() };
            s.addends(&p.objective, &env, None, xs, &mut parts)?;
            drew = s.batch_sites > 0;
            s.check_estimates(&parts.smooth, p.objective.span)?;
            let mut outs = Vec::new();
            // Output 0: the smooth part; output 1: everything; output 2: the smooth part without terms of affine functions.
            let mut plain = s.real(0.0)?;
            for n in &parts.smooth {
                plain = s.bin(BinaryOp::Add, plain, *n, p.objective.span)?;
            }
            let mut f = plain;
            for t in &parts.mapped {
                f = s.bin(BinaryOp::Add, f, t.value, t.span)?;
            }
            let mut all = f;
            for t in &parts.terms {
                let v = match t.scale {
                    Some(c) => s.bin(BinaryOp::Mul, c, t.value, t.span)?,
                    None => t.value,
                };
                all = s.bin(BinaryOp::Add, all, v, t.span)?;
            }
            if p.sense == Sense::Max {
                f = s.un(UnaryOp::Neg, f, p.objective.span)?;
                plain = s.un(UnaryOp::Neg, plain, p.objective.span)?;
            }
            outs.push(s.as_real(f, p.objective.span)?);
            outs.push(s.as_real(all, p.objective.span)?);
            outs.push(s.as_real(plain, p.objective.span)?);
            // What must be known outside: scales, affine parts, parameters of terms.
            let mut lift = Vec::new();
            for t in &parts.terms {
                lift.extend(t.scale);
                if let Some((a, b)) = &t.affine {
                    lift.push(*a);
                    lift.extend(b);
                }
                term_nums(&t.term, &mut lift);
            }
            for t in &parts.mapped {
                lift.extend(t.scale);
                term_nums(&t.term, &mut lift);
            }
            outs.extend(lift);
            // Last, what the maps give.
            outs.extend(parts.mapped.iter().map(|t| t.argument));
            raw = parts.terms;
            mapped = parts.mapped;
            Ok(outs)
        });
        (self.step_key, self.batch_sites, self.draws.loops) = saved;
        let region = region?;
        self.finish_split(p, region, raw, mapped, leaves.len(), drew)
    }

    fn finish_split(
        &mut self,
        p: &Problem,
        region: Region,
        raw: Vec<RawTerm>,
        mapped: Vec<RawMapped>,
        own: usize,
        drew: bool,
    ) -> Eval<Split> {
        let span = p.span;
        let fail = |e: gradus_ir::IrError| Stop::from(crate::errors::from_ir(&e, span, &[]));
        // Parameters and scales are computed from captured values alone: copy them out.
        let mut outside: HashMap<NodeId, Num> = HashMap::new();
        let maps = region.graph.outputs.len().saturating_sub(mapped.len());
        let lifted: Vec<NodeId> = region.graph.outputs.iter().take(maps).skip(3).copied().collect();
        if !lifted.is_empty() {
            let (g, feeds) = region.graph.extract(&lifted, |_| false).map_err(fail)?;
            let mut args = Vec::new();
            for f in feeds {
                let k = region.graph.params().iter().position(|q| *q == f).unwrap_or(usize::MAX);
                match k.checked_sub(own + 1).and_then(|k| region.captures.get(k)) {
                    Some(n) => args.push(*n),
                    None => {
                        return Err(Diagnostic::error("E3014", p.objective.span, "a term's parameter depends on the unknown")
                            .at("a term in here is given the unknown twice")
                            .help("a term depends on the unknown through its first argument only; its parameters are constants or data")
                            .into());
                    }
                }
            }
            let nums = self.inline(&g, &args, span)?;
            outside.extend(lifted.iter().copied().zip(nums));
        }
        let mut order = lifted.iter().copied();
        let mut next = || order.next().and_then(|id| outside.get(&id).copied());
        let mut parts = Vec::new();
        for t in raw {
            let scale = if t.scale.is_some() { next() } else { None };
            let affine = match &t.affine {
                Some((_, b)) => {
                    let a = next().ok_or(Stop::Poisoned)?;
                    let b = if b.is_some() { next() } else { None };
                    Some((a, b))
                }
                None => None,
            };
            let term = lift_term(&t.term, &mut next).ok_or(Stop::Poisoned)?;
            parts.push(ProxPart { leaves: t.leaves, tree: t.tree, term, scale, affine, span: t.span });
        }
        let mut scales_and_terms = Vec::new();
        for t in &mapped {
            let scale = if t.scale.is_some() { next() } else { None };
            scales_and_terms.push((scale, lift_term(&t.term, &mut next).ok_or(Stop::Poisoned)?));
        }
        let smooth = self.region_function(&region, 0, &p.tree, own, drew).map_err(fail)?;
        let objective = self.region_function(&region, 1, &p.tree, own, drew).map_err(fail)?;
        let plain = match mapped.is_empty() {
            true => smooth.clone(),
            false => self.region_function(&region, 2, &p.tree, own, drew).map_err(fail)?,
        };
        let mut maps_of = Vec::new();
        for ((k, t), (scale, term)) in mapped.into_iter().enumerate().zip(scales_and_terms) {
            let map = self.region_function(&region, maps + k, &p.tree, own, drew).map_err(fail)?;
            maps_of.push(MappedTerm { map, term, scale, span: t.span });
        }
        if let Some(set) = &p.set {
            self.set_parts(set, &p.tree, 0, span, &mut parts);
        }
        Ok(Split { smooth, prox: ProxFn { tree: p.tree.clone(), parts }, objective, stochastic: drew, mapped: maps_of, plain })
    }

    /// Output `k` of a region over `own` leaves of `tree` and a key, as a function.
    pub(super) fn region_function(
        &mut self,
        region: &Region,
        k: usize,
        tree: &TypeTree,
        own: usize,
        drew: bool,
    ) -> Result<RegionFn, gradus_ir::IrError> {
        let mut g = region.graph.clone();
        g.outputs = region.graph.outputs.iter().skip(k).take(1).copied().collect();
        let mut g = g.compact()?;
        if !drew {
            // Without random draws nothing reads the key.
            let mut clean = Graph::new();
            let mut args = Vec::new();
            for (i, q) in g.params().iter().enumerate() {
                if i == own {
                    let zero = clean.add(Op::Const(gradus_ir::F64::new(0.0), DType::Int), &[], Default::default())?;
                    args.push(clean.add(Op::Key, &[zero], Default::default())?);
                } else {
                    args.push(clean.param(g.ty(*q).clone(), g.node(*q).origin));
                }
            }
            clean.outputs = clean.inline(&g, &args)?;
            g = clean.compact()?;
        }
        let (_, graph) = self.stabilised(&g);
        Ok(RegionFn { graph, tree: tree.clone(), leaves: own, stochastic: drew, captures: region.captures.clone() })
    }

    fn as_real(&mut self, n: Num, span: Span) -> Eval<Num> {
        if self.ty(n).dtype == DType::Real { Ok(n) } else { self.un(UnaryOp::ToReal, n, span) }
    }

    /// Does a value of the open region depend on the unknown's leaves?
    fn depends(&self, n: Num, xs: &[Num]) -> bool {
        self.tracer.depends(n, xs)
    }

    fn free_scalar(&self, v: &Value, xs: &[Num]) -> Option<Num> {
        match v {
            Value::Num(n) if self.ty(*n).shape.is_scalar() && !self.depends(*n, xs) => Some(*n),
            _ => None,
        }
    }

    fn scaled(&mut self, old: Option<Num>, by: Num, op: BinaryOp, span: Span) -> Eval<Option<Num>> {
        let one = match old {
            Some(o) => o,
            None => self.real(1.0)?,
        };
        self.bin(op, one, by, span).map(Some)
    }

    /// The summands of an objective. What is no usable term goes to the smooth part as it is.
    fn addends(&mut self, e: &Expr, env: &Env, scale: Option<Num>, xs: &[Num], out: &mut Parts) -> Eval<()> {
        let old = self.at(e.span);
        let result = stacker::maybe_grow(192 * 1024, 4 * 1024 * 1024, || self.addends_inner(e, env, scale, xs, out));
        self.tracer.origin = old;
        result
    }

    fn addends_inner(&mut self, e: &Expr, env: &Env, scale: Option<Num>, xs: &[Num], out: &mut Parts) -> Eval<()> {
        match &*e.kind {
            ExprKind::Binary(AstOp::Add, a, b) => {
                self.addends(a, env, scale, xs, out)?;
                self.addends(b, env, scale, xs, out)
            }
            ExprKind::Binary(AstOp::Sub, a, b) => {
                self.addends(a, env, scale, xs, out)?;
                let minus = self.real(-1.0)?;
                let scale = self.scaled(scale, minus, BinaryOp::Mul, e.span)?;
                self.addends(b, env, scale, xs, out)
            }
            ExprKind::Unary(AstUnary::Neg, a) => {
                let minus = self.real(-1.0)?;
                let scale = self.scaled(scale, minus, BinaryOp::Mul, e.span)?;
                self.addends(a, env, scale, xs, out)
            }
            ExprKind::Binary(AstOp::Mul, a, b) => {
                let v = self.eval(a, env)?;
                if let Some(c) = self.free_scalar(&v, xs) {
                    let scale = self.scaled(scale, c, BinaryOp::Mul, e.span)?;
                    return self.addends(b, env, scale, xs, out);
                }
                let w = self.eval(b, env)?;
                if let Some(c) = self.free_scalar(&w, xs) {
                    let scale = self.scaled(scale, c, BinaryOp::Mul, e.span)?;
                    return self.addends(a, env, scale, xs, out);
                }
                let v = self.arith(BinaryOp::Mul, &v, &w, e.span, a.span, b.span)?;
                self.smooth_addend(&v, scale, e.span, out)
            }
            ExprKind::Binary(AstOp::Div, a, b) => {
                let w = self.eval(b, env)?;
                if let Some(c) = self.free_scalar(&w, xs) {
                    let scale = self.scaled(scale, c, BinaryOp::Div, e.span)?;
                    return self.addends(a, env, scale, xs, out);
                }
                let v = self.eval(e, env)?;
                self.smooth_addend(&v, scale, e.span, out)
            }
            ExprKind::LetIn(p, ty, v, body) => {
                let env = self.eval_let(p, ty.as_ref(), v, env)?;
                self.addends(body, &env, scale, xs, out)
            }
            ExprKind::Block(stmts, last) => {
                let mut env = env.clone();
                for s in stmts {
                    if let gradus_syntax::ast::StmtKind::Let(p, ty, v) = &s.kind {
                        env = self.eval_let(p, ty.as_ref(), v, &env)?;
                    }
                }
                self.addends(last, &env, scale, xs, out)
            }
            // A batch may have terms beside it, any other expectation is smooth as a whole.
            ExprKind::Expect(x) => match self.batch_scope(x, env, e.span)? {
                Some(env) => self.addends(&x.body, &env, scale, xs, out),
                None => {
                    let v = self.eval(e, env)?;
                    self.smooth_addend(&v, scale, e.span, out)
                }
            },
            ExprKind::Call(callee, args) => {
                let f = self.eval(callee, env)?;
                match &f {
                    Value::Term(t) => {
                        let args = self.eval_args(args, env)?;
                        self.term_addend(t, &args, scale, e.span, xs, out)
                    }
                    // A function of the script may hold terms of its own.
                    Value::Fn(g) => match &**g {
                        Function::Closure { params, body, env: scope, name, ret: None } if !has_block_only(body) => {
                            let args = self.eval_args(args, env)?;
                            self.call_guard(e.span)?;
                            let scope = self.bind_params(params, &args, scope, name, e.span)?.0;
                            let r = self.addends(body, &scope, scale, xs, out);
                            self.calls -= 1;
                            if r.is_ok() {
                                self.note_checked(body.span, &args);
                            }
                            r
                        }
                        _ => {
                            let args = self.eval_args(args, env)?;
                            let v = self.apply(&f, &args, e.span)?;
                            self.smooth_addend(&v, scale, e.span, out)
                        }
                    },
                    _ => {
                        let v = self.eval(e, env)?;
                        self.smooth_addend(&v, scale, e.span, out)
                    }
                }
            }
            _ => {
                let v = self.eval(e, env)?;
                self.smooth_addend(&v, scale, e.span, out)
            }
        }
    }

    fn smooth_addend(&mut self, v: &Value, scale: Option<Num>, span: Span, out: &mut Parts) -> Eval<()> {
        let Value::Num(mut n) = *v else { return Err(self.not_numeric(v, span)) };
        let ty = self.ty(n);
        if !ty.shape.is_scalar() {
            return Err(Diagnostic::error("E3015", span, format!("an objective is a scalar, this part is `{ty}`"))
                .at(format!("this is `{ty}`"))
                .help("sum it or average it: `sum(…)`, `mean(…)`")
                .into());
        }
        if let Some(s) = scale {
            n = self.bin(BinaryOp::Mul, s, n, span)?;
        }
        out.smooth.push(n);
        Ok(())
    }

    fn term_addend(
        &mut self,
        t: &Arc<TermValue>,
        args: &[CallArg],
        scale: Option<Num>,
        span: Span,
        xs: &[Num],
        out: &mut Parts,
    ) -> Eval<()> {
        let (arg, term) = self.term_call(t, args, span)?;
        let value = self.term_value(&term, &arg, span)?;
        // A known negative factor makes it concave, which no proximal operator is for.
        let negative = match scale {
            Some(s) => self.static_sign(s)?.is_some_and(|v| v < 0.0),
            None => false,
        };
        let place = if term.has_prox() && !term.has_fact("smooth") && !negative {
            self.place_of(&arg, span, xs)?
        } else {
            None
        };
        match place {
            Some((leaves, tree, affine)) => {
                out.terms.push(RawTerm { leaves, tree, term, scale, affine, value, span });
                Ok(())
            }
            None => {
                let usable = term.has_prox() && term.has_fact("convex") && !term.has_fact("smooth") && !negative;
                let argument = match arg {
                    Value::Num(n) if usable && self.is_affine(n, xs) => n,
                    _ => return self.smooth_addend(&Value::Num(value), scale, span, out),
                };
                let share = match scale {
                    Some(s) => self.bin(BinaryOp::Mul, s, value, span)?,
                    None => value,
                };
                out.mapped.push(RawMapped { argument, term, scale, value: share, span });
                Ok(())
            }
        }
    }

    /// Is a value of the open region affine in the unknown, and not constant?
    fn is_affine(&self, n: Num, xs: &[Num]) -> bool {
        let Some(g) = self.tracer.graph_of(n) else { return false };
        if !self.depends(n, xs) {
            return false;
        }
        let variables: Vec<NodeId> = xs.iter().map(|x| x.id).collect();
        analyze_assuming(g, &variables, Assume::default()).node(n.id).curvature == Curvature::Affine
    }

    /// The value of a scalar, also where it is a captured session value that the run knows.
    fn static_sign(&mut self, n: Num) -> Eval<Option<f64>> {
        let Some(g) = self.tracer.graph_of(n) else { return Ok(None) };
        if let Some(v) = g.constant(n.id) {
            return Ok(Some(v));
        }
        // A product of constants and captured values is looked at outside, after the region is closed.
        self.static_value(n)
    }

    /// Is the argument made of leaves of the unknown, or `a * leaf + b`?
    #[allow(clippy::type_complexity)]
    fn place_of(&mut self, arg: &Value, span: Span, xs: &[Num]) -> Eval<Option<(Vec<usize>, TypeTree, Option<(Num, Option<Num>)>)>> {
        let nums = self.leaves(arg, span)?;
        let tree = self.type_tree(arg, span)?;
        let direct: Option<Vec<usize>> = nums.iter().map(|n| xs.iter().position(|x| x == n)).collect();
        if let Some(l) = direct {
            return Ok((!l.is_empty()).then_some((l, tree, None)));
        }
        let [n] = nums.as_slice() else { return Ok(None) };
        let Some((leaf, a, b)) = self.affine_leaf(*n, xs, span)? else { return Ok(None) };
        Ok(Some((vec![leaf], tree, Some((a, b)))))
    }

    /// `a * leaf + b` with a scalar a and b that do not depend on the unknown.
    fn affine_leaf(&mut self, n: Num, xs: &[Num], span: Span) -> Eval<Option<(usize, Num, Option<Num>)>> {
        if let Some(k) = xs.iter().position(|x| *x == n) {
            return Ok(Some((k, self.real(1.0)?, None)));
        }
        let Some(g) = self.tracer.graph_of(n) else { return Ok(None) };
        if xs.first().is_none_or(|x| x.level != n.level) {
            return Ok(None);
        }
        let node = g.node(n.id).clone();
        let input = |k: usize| node.inputs.get(k).map(|id| Num { level: n.level, id: *id });
        let shape = self.ty(n).shape;
        match (&node.op, input(0), input(1)) {
            (Op::Unary(UnaryOp::Neg), Some(x), _) => {
                let Some((k, a, b)) = self.affine_leaf(x, xs, span)? else { return Ok(None) };
                let a = self.un(UnaryOp::Neg, a, span)?;
                let b = b.map(|b| self.un(UnaryOp::Neg, b, span)).transpose()?;
                Ok(Some((k, a, b)))
            }
            (Op::Binary(op @ (BinaryOp::Add | BinaryOp::Sub)), Some(x), Some(y)) => {
                let (dx, dy) = (self.depends(x, xs), self.depends(y, xs));
                let (inner, other, flipped) = match (dx, dy) {
                    (true, false) => (x, y, false),
                    (false, true) => (y, x, true),
                    _ => return Ok(None),
                };
                if self.ty(inner).shape != shape {
                    return Ok(None);
                }
                let Some((k, mut a, b)) = self.affine_leaf(inner, xs, span)? else { return Ok(None) };
                let b = match (op, flipped) {
                    (BinaryOp::Add, _) => Some(match b {
                        Some(b) => self.bin(BinaryOp::Add, b, other, span)?,
                        None => other,
                    }),
                    (_, false) => Some(match b {
                        Some(b) => self.bin(BinaryOp::Sub, b, other, span)?,
                        None => self.un(UnaryOp::Neg, other, span)?,
                    }),
                    (_, true) => {
                        a = self.un(UnaryOp::Neg, a, span)?;
                        Some(match b {
                            Some(b) => self.bin(BinaryOp::Sub, other, b, span)?,
                            None => other,
                        })
                    }
                };
                Ok(Some((k, a, b)))
            }
            (Op::Binary(op @ (BinaryOp::Mul | BinaryOp::Div)), Some(x), Some(y)) => {
                let (inner, factor) = match (self.depends(x, xs), self.depends(y, xs)) {
                    (true, false) => (x, y),
                    (false, true) if *op == BinaryOp::Mul => (y, x),
                    _ => return Ok(None),
                };
                if !self.ty(factor).shape.is_scalar() {
                    return Ok(None);
                }
                let Some((k, a, b)) = self.affine_leaf(inner, xs, span)? else { return Ok(None) };
                let a = self.bin(*op, a, factor, span)?;
                let b = b.map(|b| self.bin(*op, b, factor, span)).transpose()?;
                Ok(Some((k, a, b)))
            }
            _ => Ok(None),
        }
    }
}

/// A body that is a block is evaluated as a whole: its lets may be shared by several summands.
fn has_block_only(e: &Expr) -> bool {
    matches!(&*e.kind, ExprKind::If(..) | ExprKind::For { .. } | ExprKind::While { .. } | ExprKind::Scan { .. })
}

fn value_nums(v: &Value, out: &mut Vec<Num>) {
    match v {
        Value::Num(n) => out.push(*n),
        Value::Record(f) => f.iter().for_each(|(_, v)| value_nums(v, out)),
        Value::List(l) => l.iter().for_each(|v| value_nums(v, out)),
        Value::Set(s) => set_nums(s, out),
        Value::Term(t) => term_nums(t, out),
        _ => {}
    }
}

pub(crate) fn set_nums(s: &SetValue, out: &mut Vec<Num>) {
    match &s.kind {
        SetKind::Declared { args, .. } => args.iter().for_each(|(_, v)| value_nums(v, out)),
        SetKind::Interval(a, b) => {
            value_nums(a, out);
            value_nums(b, out);
        }
        SetKind::Meet(a, b) => {
            set_nums(a, out);
            set_nums(b, out);
        }
        SetKind::Product(p) => p.iter().for_each(|(_, s)| set_nums(s, out)),
    }
}

fn term_nums(t: &TermValue, out: &mut Vec<Num>) {
    match &t.kind {
        TermKind::Declared { args, .. } => args.iter().for_each(|(_, v)| value_nums(v, out)),
        TermKind::Indicator(s) => set_nums(s, out),
        TermKind::Scaled(a, t) => {
            out.push(*a);
            term_nums(t, out);
        }
    }
}

fn lift_value(v: &Value, next: &mut dyn FnMut() -> Option<Num>) -> Option<Value> {
    Some(match v {
        Value::Num(_) => Value::Num(next()?),
        Value::Record(f) => {
            Value::record(f.iter().map(|(n, v)| Some((n.clone(), lift_value(v, next)?))).collect::<Option<_>>()?)
        }
        Value::List(l) => Value::list(l.iter().map(|v| lift_value(v, next)).collect::<Option<_>>()?),
        Value::Set(s) => Value::Set(lift_set(s, next)?),
        Value::Term(t) => Value::Term(lift_term(t, next)?),
        other => other.clone(),
    })
}

fn lift_args(args: &Bound, next: &mut dyn FnMut() -> Option<Num>) -> Option<Bound> {
    args.iter().map(|(n, v)| Some((n.clone(), lift_value(v, next)?))).collect()
}

fn lift_set(s: &SetValue, next: &mut dyn FnMut() -> Option<Num>) -> Option<Arc<SetValue>> {
    let kind = match &s.kind {
        SetKind::Declared { decl, env, args } => {
            SetKind::Declared { decl: decl.clone(), env: env.clone(), args: lift_args(args, next)? }
        }
        SetKind::Interval(a, b) => SetKind::Interval(lift_value(a, next)?, lift_value(b, next)?),
        SetKind::Meet(a, b) => SetKind::Meet(lift_set(a, next)?, lift_set(b, next)?),
        SetKind::Product(p) => {
            SetKind::Product(p.iter().map(|(n, s)| Some((n.clone(), lift_set(s, next)?))).collect::<Option<_>>()?)
        }
    };
    Some(Arc::new(SetValue { kind }))
}

fn lift_term(t: &TermValue, next: &mut dyn FnMut() -> Option<Num>) -> Option<Arc<TermValue>> {
    let kind = match &t.kind {
        TermKind::Declared { decl, env, args } => {
            TermKind::Declared { decl: decl.clone(), env: env.clone(), args: lift_args(args, next)? }
        }
        TermKind::Indicator(s) => TermKind::Indicator(lift_set(s, next)?),
        TermKind::Scaled(_, t) => {
            let a = next()?;
            TermKind::Scaled(a, lift_term(t, next)?)
        }
    };
    Some(Arc::new(TermValue { kind }))
}
