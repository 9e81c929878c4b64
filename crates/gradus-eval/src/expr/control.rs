//! Branches and loops with state.

use super::lists::Over;
use crate::env::Env;
use crate::interp::{Interp, Mode};
use crate::tracer::Region;
use crate::tree::TypeTree;
use crate::value::{Eval, Num, Stop, Value};
use gradus_ir::{DType, Dim, Graph, Loop, Op, Trip, Ty, UnaryOp};
use gradus_syntax::ast::{Expr, Pattern};
use gradus_syntax::{Diagnostic, Span};
use indexmap::IndexSet;
use std::sync::Arc;

/// Steps of a `while` without `upto`; a loop that is not done by then gives NaN rather than a wrong number.
const WHILE_LIMIT: i64 = 10_000_000;

impl Interp<'_> {
    pub(super) fn eval_if(&mut self, c: &Expr, a: &Expr, b: &Expr, env: &Env, span: Span) -> Eval<Value> {
        let cond = self.eval(c, env)?;
        let Value::Num(n) = cond else { return Err(self.not_numeric(&cond, c.span)) };
        let ty = self.ty(n);
        if ty.dtype != DType::Bool || !ty.shape.is_scalar() {
            let d = Diagnostic::error("E1201", c.span, format!("`if` needs one truth value, found `{ty}`")).at(format!("this is `{ty}`"));
            return Err(if ty.shape.is_scalar() { d.into() } else { d.help("choose element by element with `where(c, a, b)`").into() });
        }
        if let Some(v) = self.static_value(n)? {
            return self.eval(if v != 0.0 { a } else { b }, env);
        }
        // At the top of a script the run will know which branch it is, so it need not be made of numbers.
        if self.mode == Mode::Check && self.tracer.depth() == 1 {
            let (x, y) = (self.eval(a, env)?, self.eval(b, env)?);
            if self.type_tree(&x, a.span).is_err() || self.type_tree(&y, b.span).is_err() {
                return Ok(x);
            }
        }
        let mut tree: Option<TypeTree> = None;
        let then = self.branch(a, env, &mut tree)?;
        let mut other_tree: Option<TypeTree> = None;
        let other = self.branch(b, env, &mut other_tree)?;
        let (Some(tree), Some(other_tree)) = (tree, other_tree) else { return Err(Stop::Poisoned) };
        if tree.leaves().len() != other_tree.leaves().len() {
            return Err(Diagnostic::error("E2014", span, "the two branches have different structures")
                .label(a.span, format!("this is `{}`", tree.describe()))
                .label(b.span, format!("this is `{}`", other_tree.describe()))
                .into());
        }
        let leaves = self.branches_blaming(n, &then, &other, span, &[a.span, b.span])?;
        tree.build(&mut leaves.into_iter()).ok_or(Stop::Poisoned)
    }

    /// The outputs of one of two regions without parameters of their own.
    pub(crate) fn branches(&mut self, c: Num, then: &Region, other: &Region, span: Span) -> Eval<Vec<Num>> {
        self.branches_blaming(c, then, other, span, &[])
    }

    fn branches_blaming(&mut self, c: Num, then: &Region, other: &Region, span: Span, operands: &[Span]) -> Eval<Vec<Num>> {
        let captures = union(&[then, other]);
        let fit = |s: &Self, r: &Region| s.with_captures(r, 0, &captures, span);
        let op = Op::Cond { then: Arc::new(fit(self, then)?), other: Arc::new(fit(self, other)?) };
        let mut inputs = vec![c];
        inputs.extend(captures.iter().copied());
        let node = self.emit_blaming(op, &inputs, span, operands)?;
        (0..then.graph.outputs.len()).map(|k| self.emit(Op::Get(k as u32), &[node], span)).collect()
    }

    fn branch(&mut self, e: &Expr, env: &Env, tree: &mut Option<TypeTree>) -> Eval<Region> {
        self.region(&[], e.span, |s, _| {
            let v = s.eval(e, env)?;
            *tree = Some(s.type_tree(&v, e.span)?);
            s.leaves(&v, e.span)
        })
    }

    /// The region with exactly these captures, in this order, after its own `own` parameters.
    pub fn with_captures(&self, r: &Region, own: usize, captures: &IndexSet<Num>, span: Span) -> Eval<Graph> {
        let fail = |e: &gradus_ir::IrError| Stop::from(crate::errors::from_ir(e, span, &[]));
        let mut g = Graph::new();
        let mut args = Vec::new();
        for p in r.graph.params().iter().take(own) {
            args.push(g.param(r.graph.ty(*p).clone(), r.graph.node(*p).origin));
        }
        let mut all = Vec::new();
        for c in captures {
            all.push(g.param(self.ty(*c), Default::default()));
        }
        for c in &r.captures {
            match captures.get_index_of(c).and_then(|k| all.get(k)) {
                Some(p) => args.push(*p),
                None => return Err(Stop::Poisoned),
            }
        }
        g.outputs = g.inline(&r.graph, &args).map_err(|e| fail(&e))?;
        Ok(g)
    }

    /// The leaves of a loop's initial state, as they are carried.
    fn state_leaves(&mut self, v: &Value, span: Span, promote: &[bool]) -> Eval<Vec<Num>> {
        let leaves = self.leaves(v, span)?;
        leaves
            .into_iter()
            .enumerate()
            .map(|(k, n)| {
                if promote.get(k) == Some(&true) { self.un(UnaryOp::ToReal, n, span) } else { Ok(n) }
            })
            .collect()
    }

    /// Which carried leaves turned from int (or bool) into real in the body.
    fn promotions(&self, old: &[Num], new: &[Ty]) -> Vec<bool> {
        old.iter().zip(new).map(|(o, n)| self.ty(*o).dtype < n.dtype).collect()
    }

    fn state_changes(&self, tree: &TypeTree, new: &TypeTree, at: Span, init: Span) -> Stop {
        Diagnostic::error("E2012", at, "the state of a loop must keep its shape")
            .at(format!("the step gives `{}`", new.describe()))
            .label(init, format!("the state starts as `{}`", tree.describe()))
            .into()
    }

    /// The new state must have the structure and shapes of the old.
    fn same_state(&self, tree: &TypeTree, v: &Value, at: Span, init: Span) -> Eval<()> {
        let new = self.type_tree(v, at)?;
        let (a, b) = (tree.leaves(), new.leaves());
        if a.len() != b.len() || a.iter().zip(&b).any(|(x, y)| x.shape != y.shape) {
            return Err(self.state_changes(tree, &new, at, init));
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn eval_for(
        &mut self,
        var: &Pattern,
        over: &Expr,
        state: &Pattern,
        init: &Expr,
        body: &Expr,
        env: &Env,
        span: Span,
    ) -> Eval<Value> {
        let start = self.eval(init, env)?;
        let what = self.eval_over(over, env)?;
        let items = match what {
            Over::Items(items) => items,
            what => {
                let looped = self.state_loop(&what, &start, over.span, init.span, span, "for", &mut |s, item, st| {
                    let e = s.bind_pattern(var, item, env, over.span)?;
                    let e = s.bind_pattern(state, st, &e, init.span)?;
                    Ok((s.eval(body, &e)?, None, body.span))
                });
                match looped {
                    Ok((last, _)) => return Ok(last),
                    Err(e) => self.known_items_for(&what, e, over.span)?,
                }
            }
        };
        let mut v = start;
        for item in items {
            let e = self.bind_pattern(var, item, env, over.span)?;
            let e = self.bind_pattern(state, v, &e, init.span)?;
            v = self.eval(body, &e)?;
        }
        Ok(v)
    }

    /// A loop over a range or the rows of an array with a tree as state. `step` gives the new state and what to collect.
    /// A whole number in the state that becomes a fraction starts as a real: the loop is then traced a second time.
    #[allow(clippy::too_many_arguments, clippy::type_complexity)]
    fn state_loop(
        &mut self,
        what: &Over,
        start: &Value,
        at: Span,
        init: Span,
        span: Span,
        label: &str,
        step: &mut dyn FnMut(&mut Self, Value, Value) -> Eval<(Value, Option<Value>, Span)>,
    ) -> Eval<(Value, Option<Value>)> {
        let tree = self.type_tree(start, init)?;
        let mut promote = vec![false; tree.leaves().len()];
        for round in 0..2 {
            let carries = self.state_leaves(start, init, &promote)?;
            let mut found: Vec<Ty> = Vec::new();
            let result = self.traced_loop(what, &carries, at, span, label, &mut |s, item, leaves| {
                let st = tree.build(&mut leaves.iter().copied()).ok_or(Stop::Poisoned)?;
                let (next, out, body) = step(s, item, st)?;
                s.same_state(&tree, &next, body, init)?;
                let new = s.leaves(&next, body)?;
                found = new.iter().map(|n| s.ty(*n)).collect();
                let changed = leaves.iter().zip(&found).any(|(o, n)| s.ty(*o).dtype < n.dtype);
                if changed && round == 0 { Err(Stop::Poisoned) } else { Ok((new, out)) }
            });
            match result {
                Ok((last, collected, outs)) => {
                    let last = tree.build(&mut last.into_iter()).ok_or(Stop::Poisoned)?;
                    let outs = match collected {
                        Some(shape) => Some(shape.build(&mut outs.into_iter()).ok_or(Stop::Poisoned)?),
                        None => None,
                    };
                    return Ok((last, outs));
                }
                Err(Stop::Poisoned) if round == 0 && !found.is_empty() => promote = self.promotions(&carries, &found),
                Err(e) => return Err(e),
            }
        }
        Err(Stop::Poisoned)
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn eval_scan(
        &mut self,
        var: &Pattern,
        over: &Expr,
        state: &Pattern,
        init: &Expr,
        body: &Expr,
        env: &Env,
        span: Span,
    ) -> Eval<Value> {
        let start = self.eval(init, env)?;
        let what = self.eval_over(over, env)?;
        let pair = |v: &Value| match v {
            Value::List(l) => match l.as_slice() {
                [a, b] => Ok((a.clone(), b.clone())),
                _ => Err(scan_shape(body.span)),
            },
            _ => Err(scan_shape(body.span)),
        };
        let items = match what {
            Over::Items(items) => items,
            what => {
                let looped = self.state_loop(&what, &start, over.span, init.span, span, "scan", &mut |s, item, st| {
                    let e = s.bind_pattern(var, item, env, over.span)?;
                    let e = s.bind_pattern(state, st, &e, init.span)?;
                    let v = s.eval(body, &e)?;
                    let (next, out) = pair(&v)?;
                    Ok((next, Some(out), body.span))
                });
                match looped {
                    Ok((last, outs)) => return Ok(Value::list(vec![last, outs.ok_or(Stop::Poisoned)?])),
                    Err(e) => self.known_items_for(&what, e, over.span)?,
                }
            }
        };
        let mut st = start;
        let mut outs = Vec::with_capacity(items.len());
        for item in items {
            let e = self.bind_pattern(var, item, env, over.span)?;
            let e = self.bind_pattern(state, st, &e, init.span)?;
            let v = self.eval(body, &e)?;
            let (next, out) = pair(&v)?;
            st = next;
            outs.push(out);
        }
        let outs = self.list_or_array(outs, span)?;
        Ok(Value::list(vec![st, outs]))
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn eval_while(
        &mut self,
        cond: &Expr,
        state: &Pattern,
        init: &Expr,
        limit: Option<&Expr>,
        body: &Expr,
        env: &Env,
        span: Span,
    ) -> Eval<Value> {
        let start = self.eval(init, env)?;
        let tree = self.type_tree(&start, init.span)?;
        let bound = match limit {
            Some(l) => {
                let v = self.eval(l, env)?;
                let Value::Num(n) = v else { return Err(self.not_numeric(&v, l.span)) };
                match self.static_dim(n)? {
                    Some(d) if d.known().is_none_or(|k| k >= 0) => d,
                    Some(d) => return Err(Diagnostic::error("E2011", l.span, format!("a loop cannot be bounded by {d} steps"))
                        .at("this is negative")
                        .into()),
                    None => return Err(Diagnostic::error("E1214", l.span, "the bound of a loop must be known before the run").into()),
                }
            }
            None => Dim::Known(WHILE_LIMIT),
        };
        let mut promote = vec![false; tree.leaves().len()];
        for round in 0..2 {
            let carries = self.state_leaves(&start, init.span, &promote)?;
            let tys: Vec<Ty> = carries.iter().map(|c| self.ty(*c)).collect();
            let mut params = vec![Ty::scalar(DType::Int)];
            params.extend(tys.iter().cloned());
            let bind = |s: &mut Self, args: &[Num]| -> Eval<Env> {
                let st = tree.build(&mut args.iter().skip(1).copied()).ok_or(Stop::Poisoned)?;
                s.bind_pattern(state, st, env, init.span)
            };
            let mut found: Vec<Ty> = Vec::new();
            let step = self.region(&params, span, |s, args| {
                let e = bind(s, args)?;
                s.draws.loops.extend(args.first());
                let v = s.eval(body, &e);
                s.draws.loops.pop();
                let v = v?;
                s.same_state(&tree, &v, body.span, init.span)?;
                let out = s.leaves(&v, body.span)?;
                found = out.iter().map(|n| s.ty(*n)).collect();
                Ok(out)
            })?;
            let changed = self.promotions(&carries, &found);
            if round == 0 && changed.iter().any(|c| *c) {
                promote = changed;
                continue;
            }
            let test = self.region(&params, span, |s, args| {
                let e = bind(s, args)?;
                let v = s.eval(cond, &e)?;
                let Value::Num(n) = v else { return Err(s.not_numeric(&v, cond.span)) };
                s.truth(n, cond.span)?;
                Ok(vec![n])
            })?;
            let last = self.while_loop(bound.clone(), &carries, &step, &test, "while", span)?;
            let out = match limit {
                Some(_) => last,
                None => self.spoil_unfinished(&last, &test, span)?,
            };
            return tree.build(&mut out.into_iter()).ok_or(Stop::Poisoned);
        }
        Err(Stop::Poisoned)
    }

    /// A `while` loop from its two regions; returns the last carried values.
    pub fn while_loop(
        &mut self,
        limit: Dim,
        carries: &[Num],
        step: &Region,
        test: &Region,
        label: &str,
        span: Span,
    ) -> Eval<Vec<Num>> {
        let own = 1 + carries.len();
        let captures = union(&[step, test]);
        let body = self.with_captures(step, own, &captures, span)?;
        let cond = self.with_captures(test, own, &captures, span)?;
        let collected = body.outputs.len().saturating_sub(carries.len());
        let l = Loop {
            trip: Trip::While { limit },
            carries: carries.len(),
            scanned: 0,
            collected,
            cond: Some(Arc::new(cond)),
            body: Arc::new(body),
            label: Arc::from(label),
        };
        let mut inputs = carries.to_vec();
        inputs.extend(captures.iter().copied());
        let node = self.emit(Op::Loop(Box::new(l)), &inputs, span)?;
        (0..carries.len() + collected).map(|k| self.emit(Op::Get(k as u32 + 1), &[node], span)).collect()
    }

    /// Real leaves become NaN where the condition still holds at the end.
    fn spoil_unfinished(&mut self, last: &[Num], test: &Region, span: Span) -> Eval<Vec<Num>> {
        let zero = self.int(0)?;
        let mut args = vec![zero];
        args.extend(last.iter().copied());
        args.extend(test.captures.iter().copied());
        let more = self.inline(&test.graph, &args, span)?;
        let Some(more) = more.first().copied() else { return Err(Stop::Poisoned) };
        let nan = self.real(f64::NAN)?;
        last.iter()
            .map(|n| {
                if self.ty(*n).dtype == DType::Real { self.emit(Op::Select, &[more, nan, *n], span) } else { Ok(*n) }
            })
            .collect()
    }

    /// One truth value is needed here.
    pub fn truth(&self, n: Num, span: Span) -> Eval<()> {
        let ty = self.ty(n);
        if ty.dtype == DType::Bool && ty.shape.is_scalar() {
            return Ok(());
        }
        let d = Diagnostic::error("E1201", span, format!("a condition must be one truth value, found `{ty}`")).at(format!("this is `{ty}`"));
        Err(if ty.dtype == DType::Bool { d.help("combine the elements with `all(…)` or `any(…)`").into() } else { d.into() })
    }

    /// Is this evaluation at the level of the script, where values can be computed at once?
    pub fn at_session(&self) -> bool {
        self.tracer.depth() == 1 && self.mode == Mode::Run
    }
}

fn union(regions: &[&Region]) -> IndexSet<Num> {
    regions.iter().flat_map(|r| r.captures.iter().copied()).collect()
}

fn scan_shape(span: Span) -> Stop {
    Diagnostic::error("E1217", span, "a scan's step gives a pair: the new state and what to collect")
        .at("not a pair")
        .help("write `(state, out)`")
        .into()
}
