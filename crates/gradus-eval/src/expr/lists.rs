//! Lists, array literals and comprehensions.

use crate::env::Env;
use crate::interp::{Interp, Mode};
use crate::tracer::Region;
use crate::tree::TypeTree;
use crate::value::{Eval, Num, Stop, Value};
use gradus_ir::{Array, BinaryOp, DType, Dim, Loop, Op, Trip, Ty};
use gradus_syntax::ast::{Expr, ExprKind, Pattern};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// What a loop runs over.
pub(super) enum Over {
    /// Known items, one after the other.
    Items(Vec<Value>),
    /// The rows of an array.
    Rows(Num, Dim),
    /// `start..start + len`
    Range(Dim, Dim),
}

impl Interp<'_> {
    pub(super) fn eval_list(&mut self, items: &[Expr], env: &Env, span: Span) -> Eval<Value> {
        // A literal of plain numbers becomes one array at once.
        let matrix = items.first().is_some_and(|e| matches!(&*e.kind, ExprKind::List(_)));
        if (matrix || items.len() > 4)
            && let Some(a) = literal(items)
        {
            return Ok(Value::Num(self.emit(Op::Literal(Arc::new(a)), &[], span)?));
        }
        let values = items.iter().map(|i| self.eval(i, env)).collect::<Eval<Vec<_>>>()?;
        self.list_or_array(values, span)
    }

    /// An array where all elements are numeric with one shape, else a list.
    pub fn list_or_array(&mut self, values: Vec<Value>, span: Span) -> Eval<Value> {
        let mut nums = Vec::with_capacity(values.len());
        for v in &values {
            match v {
                Value::Num(n) => nums.push(*n),
                _ => return Ok(Value::list(values)),
            }
        }
        let Some(first) = nums.first().map(|n| self.ty(*n).shape) else { return Ok(Value::list(values)) };
        if nums.iter().any(|n| self.ty(*n).shape != first) {
            return Ok(Value::list(values));
        }
        Ok(Value::Num(self.stack(&nums, span)?))
    }

    /// Arrays of one shape along a new first axis.
    pub fn stack(&mut self, nums: &[Num], span: Span) -> Eval<Num> {
        // Constants become one literal.
        let consts: Option<Vec<f64>> =
            nums.iter().map(|n| self.tracer.graph_of(*n).and_then(|g| g.constant(n.id))).collect();
        if let Some(c) = consts {
            let dtype = nums.iter().map(|n| self.ty(*n).dtype).max().unwrap_or(DType::Real);
            if let Some(a) = Array::new(dtype, vec![c.len()], c) {
                return self.emit(Op::Literal(Arc::new(a)), &[], span);
            }
        }
        let mut rows = Vec::with_capacity(nums.len());
        for n in nums {
            let shape = self.ty(*n).shape.stacked(Dim::Known(1));
            rows.push(self.emit(Op::Reshape(shape), &[*n], span)?);
        }
        self.emit(Op::Concat { axis: 0 }, &rows, span)
    }

    pub(super) fn eval_over(&mut self, e: &Expr, env: &Env) -> Eval<Over> {
        if let ExprKind::Range { from, to, inclusive } = &*e.kind {
            let (start, len) = self.range_bounds(from, to, *inclusive, env, e.span)?;
            return Ok(Over::Range(start, len));
        }
        match self.eval(e, env)? {
            Value::List(l) => Ok(Over::Items(l.to_vec())),
            Value::Num(n) => match self.ty(n).shape.dims().first() {
                Some(d) => Ok(Over::Rows(n, d.clone())),
                None => Err(Diagnostic::error("E2003", e.span, "cannot loop over a scalar")
                    .at(format!("this is `{}`", self.ty(n)))
                    .help("loop over a range: `0..n`")
                    .into()),
            },
            other => Err(Diagnostic::error("E1215", e.span, format!("cannot loop over {}", other.kind()))
                .at(format!("this is {}", other.kind()))
                .help("loop over an array, a list or a range `0..n`").into()),
        }
    }

    pub(super) fn eval_comprehension(
        &mut self,
        body: &Expr,
        clauses: &[(Pattern, Expr)],
        filter: Option<&Expr>,
        env: &Env,
        span: Span,
    ) -> Eval<Value> {
        let Some(((pattern, over), rest)) = clauses.split_first() else { return self.eval(body, env) };
        let what = self.eval_over(over, env)?;
        let unrolled = match what {
            Over::Items(ref items) => Some(items.clone()),
            // A solve is reported by itself, so a list of solves runs one after the other.
            Over::Rows(..) | Over::Range(..) if env_is_session(self) && (mentions_solve(body) || filter.is_some()) => {
                match self.unroll(&what, over.span)? {
                    Some(items) => Some(items),
                    None => return Err(Stop::Poisoned),
                }
            }
            _ => None,
        };
        if let Some(items) = unrolled {
            let solves = self.mode == Mode::Run && env_is_session(self) && rest.is_empty() && filter.is_none() && mentions_solve(body);
            if solves && matches!(self.lanes, crate::lanes::Lanes::Off) {
                let out = self.solve_items(items, &mut |s, item| {
                    let env = s.bind_pattern(pattern, item, env, over.span)?;
                    s.eval(body, &env)
                })?;
                return self.list_or_array(out, span);
            }
            // A check knows no more of one real row than of another: the first speaks for all.
            let alike = self.mode == Mode::Check && rest.is_empty() && filter.is_none() && self.alike(&what);
            return self.each_item(items, pattern, over.span, body, rest, filter, alike, env, span);
        }
        if let Some(f) = filter {
            return Err(Diagnostic::error("E1216", f.span, "a filter needs items that are known before the run")
                .at("how many pass depends on the run")
                .help("keep all and use `where(condition, value, 0)`")
                .into());
        }
        let what = match what {
            Over::Items(_) => return Err(Stop::Poisoned),
            w => w,
        };
        let looped = self.traced_loop(&what, &[], over.span, span, "comprehension", &mut |s, item, _| {
            let env = s.bind_pattern(pattern, item, env, over.span)?;
            let v = s.eval_comprehension(body, rest, filter, &env, span)?;
            Ok((Vec::new(), Some(v)))
        });
        let (_, tree, outs) = match looped {
            Ok(l) => l,
            Err(e) => {
                let items = self.known_items_for(&what, e, over.span)?;
                return self.each_item(items, pattern, over.span, body, rest, filter, false, env, span);
            }
        };
        let Some(tree) = tree else { return Err(Stop::Poisoned) };
        // Several clauses make one axis, the last clause running fastest.
        let outs = if rest.is_empty() { outs } else { self.merge_axes(&outs, span)? };
        tree.build(&mut outs.into_iter()).ok_or(Stop::Poisoned)
    }

    /// The items of a comprehension one after the other. `alike`: the first speaks for all.
    #[allow(clippy::too_many_arguments)]
    fn each_item(
        &mut self,
        items: Vec<Value>,
        pattern: &Pattern,
        at: Span,
        body: &Expr,
        rest: &[(Pattern, Expr)],
        filter: Option<&Expr>,
        alike: bool,
        env: &Env,
        span: Span,
    ) -> Eval<Value> {
        let mut out: Vec<Value> = Vec::with_capacity(items.len());
        for item in items {
            if let (true, Some(first)) = (alike, out.first()) {
                out.push(first.clone());
                continue;
            }
            let env = self.bind_pattern(pattern, item, env, at)?;
            if rest.is_empty()
                && let Some(f) = filter
                && !self.known_truth(f, &env)?
            {
                continue;
            }
            let v = self.eval_comprehension(body, rest, filter, &env, span)?;
            match v {
                // Several clauses make one list, the last clause running fastest.
                Value::List(inner) if !rest.is_empty() => out.extend(inner.iter().cloned()),
                Value::Num(n) if !rest.is_empty() => {
                    let len = self.ty(n).shape.dims().first().and_then(Dim::size);
                    let Some(len) = len else { return Err(Stop::Poisoned) };
                    for k in 0..len {
                        let i = self.int(k as i64)?;
                        out.push(Value::Num(self.index_scalar(n, 0, i, span)?));
                    }
                }
                v => out.push(v),
            }
        }
        self.list_or_array(out, span)
    }

    /// The items of a range for a loop whose body must know them (the ends of a slice, a dimension): `e` is how the body
    /// complained when it was traced for all items at once. Longer loops, and other complaints, stay errors.
    pub(super) fn known_items_for(&mut self, over: &Over, e: Stop, span: Span) -> Eval<Vec<Value>> {
        const MOST: usize = 256;
        let unknown = matches!(&e, Stop::Diagnostic(d) if d.code == "E1214" || d.code == "E2011");
        match over {
            Over::Range(_, len) if unknown && len.size().is_some_and(|n| n <= MOST) => self.unroll(over, span)?.ok_or(e),
            _ => Err(e),
        }
    }

    /// Are the items rows of a real array, which a check cannot tell apart?
    fn alike(&self, over: &Over) -> bool {
        matches!(over, Over::Rows(n, _) if self.ty(*n).dtype == DType::Real)
    }

    /// The first two axes of each array as one.
    fn merge_axes(&mut self, nums: &[Num], span: Span) -> Eval<Vec<Num>> {
        nums.iter()
            .map(|n| {
                let shape = self.ty(*n).shape;
                let [a, b, rest @ ..] = shape.dims() else { return Err(Stop::Poisoned) };
                let merged = gradus_ir::Shape::new(std::iter::once(a.mul(b)).chain(rest.iter().cloned()));
                self.emit(Op::Reshape(merged), &[*n], span)
            })
            .collect()
    }

    /// The items of a range or an array, where their number is known.
    fn unroll(&mut self, over: &Over, span: Span) -> Eval<Option<Vec<Value>>> {
        match over {
            Over::Items(i) => Ok(Some(i.clone())),
            Over::Range(start, len) => {
                let Some(n) = len.size() else { return Ok(None) };
                (0..n).map(|k| Ok(Value::Num(self.dim_num(&start.add(&Dim::from(k)))?))).collect::<Eval<_>>().map(Some)
            }
            Over::Rows(n, len) => {
                if self.mode == Mode::Run && self.tracer.is_session(*n) {
                    return self.known_rows(*n).map(Some);
                }
                let Some(count) = len.size() else { return Ok(None) };
                let mut out = Vec::with_capacity(count);
                for k in 0..count {
                    let i = self.int(k as i64)?;
                    out.push(Value::Num(self.index_scalar(*n, 0, i, span)?));
                }
                Ok(Some(out))
            }
        }
    }

    /// A truth value that is known while tracing (in a check, what cannot be known passes).
    fn known_truth(&mut self, e: &Expr, env: &Env) -> Eval<bool> {
        let v = self.eval(e, env)?;
        let Value::Num(n) = v else { return Err(self.not_numeric(&v, e.span)) };
        match self.static_value(n)? {
            Some(v) => Ok(v != 0.0),
            None if self.mode == Mode::Check => Ok(true),
            None => Err(Diagnostic::error("E1214", e.span, "this condition must be known before the run").into()),
        }
    }

    /// A loop over `over` with carried leaves. `step` gets the item and the carried values and returns the new ones and
    /// what to collect. Returns the last carried values, the structure of what was collected, and its stacked leaves.
    #[allow(clippy::type_complexity)]
    pub(super) fn traced_loop(
        &mut self,
        over: &Over,
        carries: &[Num],
        at: Span,
        span: Span,
        label: &str,
        step: &mut dyn FnMut(&mut Self, Value, &[Num]) -> Eval<(Vec<Num>, Option<Value>)>,
    ) -> Eval<(Vec<Num>, Option<TypeTree>, Vec<Num>)> {
        let (bound, scanned): (Dim, Option<Num>) = match over {
            Over::Rows(n, d) => (d.clone(), Some(*n)),
            Over::Range(_, len) => (len.clone(), None),
            Over::Items(_) => return Err(Stop::Poisoned),
        };
        let mut params = vec![Ty::scalar(DType::Int)];
        params.extend(carries.iter().map(|c| self.ty(*c)));
        if let Some(n) = scanned {
            let t = self.ty(n);
            params.push(Ty::new(t.dtype, t.shape.without(0)));
        }
        let mut collected: Option<TypeTree> = None;
        let mut count = 0;
        let region = self.region(&params, span, |s, args| {
            let mut args = args.iter().copied();
            let Some(i) = args.next() else { return Err(Stop::Poisoned) };
            let state: Vec<Num> = args.by_ref().take(carries.len()).collect();
            let item = match over {
                Over::Range(start, _) => {
                    let a = s.dim_num(start)?;
                    s.bin(BinaryOp::Add, i, a, at)?
                }
                _ => args.next().ok_or(Stop::Poisoned)?,
            };
            s.draws.loops.push(i);
            let stepped = step(s, Value::Num(item), &state);
            s.draws.loops.pop();
            let (mut outs, extra) = stepped?;
            if let Some(v) = extra {
                collected = Some(s.type_tree(&v, span)?);
                let leaves = s.leaves(&v, span)?;
                count = leaves.len();
                outs.extend(leaves);
            }
            Ok(outs)
        })?;
        if label == "comprehension"
            && let Some(outs) = self.as_lanes(&region, scanned, &bound, span)?
        {
            return Ok((Vec::new(), collected, outs));
        }
        if count == 0
            && scanned.is_none()
            && let Some(last) = self.written_out(&region, carries, &bound, span)?
        {
            return Ok((last, collected, Vec::new()));
        }
        let mut inputs: Vec<Num> = carries.to_vec();
        inputs.extend(scanned);
        inputs.extend(region.captures);
        let l = Loop {
            trip: Trip::Count(bound),
            carries: carries.len(),
            scanned: usize::from(scanned.is_some()),
            collected: count,
            cond: None,
            body: Arc::new(region.graph),
            label: Arc::from(label),
        };
        let node = self.emit(Op::Loop(Box::new(l)), &inputs, span)?;
        let mut get = |k: usize| self.emit(Op::Get(k as u32), &[node], span);
        let last = (0..carries.len()).map(|k| get(k + 1)).collect::<Eval<Vec<_>>>()?;
        let outs = (0..count).map(|k| get(1 + carries.len() + k)).collect::<Eval<Vec<_>>>()?;
        // Only the structure of the tree is used from here on; its leaf types are those of one step.
        Ok((last, collected, outs))
    }
}

/// Most steps, and most operations of all steps together, of a loop that is written out.
const FEW_STEPS: i64 = 16;
const FEW_OPS: usize = 600;
/// Elements of a state from which steps written out pay: they become one pass over memory, and so does their derivative, which
/// then keeps nothing.
const LARGE: i64 = 4096;

impl Interp<'_> {
    /// The last state of a short loop over large arrays, its steps one after the other; `None` where it stays a loop.
    fn written_out(&mut self, region: &Region, carries: &[Num], bound: &Dim, span: Span) -> Eval<Option<Vec<Num>>> {
        let Some(steps) = bound.known().filter(|n| (1..=FEW_STEPS).contains(n)) else { return Ok(None) };
        let plain = region.graph.nodes().all(|(_, n)| n.op.regions().is_empty());
        let large = carries.iter().any(|c| self.ty(*c).shape.count().known().is_some_and(|n| n >= LARGE));
        if !plain || !large || region.graph.len() * steps as usize > FEW_OPS {
            return Ok(None);
        }
        let mut state = carries.to_vec();
        for k in 0..steps {
            let mut args = vec![self.int(k)?];
            args.extend(state.iter().copied());
            args.extend(region.captures.iter().copied());
            let next = self.inline(&region.graph, &args, span)?;
            state = next
                .into_iter()
                .zip(carries)
                .map(|(n, c)| if self.ty(n).dtype < self.ty(*c).dtype { self.un(gradus_ir::UnaryOp::ToReal, n, span) } else { Ok(n) })
                .collect::<Eval<_>>()?;
        }
        Ok(Some(state))
    }
}

fn env_is_session(i: &Interp<'_>) -> bool {
    i.tracer.depth() == 1
}

/// Plain numbers, possibly nested once or more, as one array.
fn literal(items: &[Expr]) -> Option<Array> {
    let mut data = Vec::new();
    let mut dtype = DType::Int;
    let shape = literal_shape(items, &mut data, &mut dtype)?;
    Array::new(dtype, shape, data)
}

fn literal_shape(items: &[Expr], data: &mut Vec<f64>, dtype: &mut DType) -> Option<Vec<usize>> {
    let mut inner: Option<Vec<usize>> = None;
    for e in items {
        let shape = match &*e.kind {
            ExprKind::Int(v) => {
                data.push(*v as f64);
                Vec::new()
            }
            ExprKind::Real(v) => {
                *dtype = DType::Real;
                data.push(*v);
                Vec::new()
            }
            ExprKind::Unary(gradus_syntax::ast::UnaryOp::Neg, a) => {
                match &*a.kind {
                    ExprKind::Int(v) => data.push(-(*v as f64)),
                    ExprKind::Real(v) => {
                        *dtype = DType::Real;
                        data.push(-*v);
                    }
                    _ => return None,
                }
                Vec::new()
            }
            ExprKind::List(l) => literal_shape(l, data, dtype)?,
            _ => return None,
        };
        match &inner {
            Some(s) if *s != shape => return None,
            _ => inner = Some(shape),
        }
    }
    let mut out = vec![items.len()];
    out.extend(inner?);
    Some(out)
}

/// Does a solve stand in this expression?
fn mentions_solve(e: &Expr) -> bool {
    match &*e.kind {
        ExprKind::Solve(_) => true,
        ExprKind::Call(f, args) => mentions_solve(f) || args.iter().any(|a| mentions_solve(&a.value)),
        ExprKind::Field(a, _) | ExprKind::Unary(_, a) | ExprKind::Transpose(a) | ExprKind::Index(a, _) => mentions_solve(a),
        ExprKind::Binary(_, a, b) => mentions_solve(a) || mentions_solve(b),
        ExprKind::Tuple(v) | ExprKind::List(v) => v.iter().any(mentions_solve),
        ExprKind::Record(f) => f.iter().any(|(_, v)| v.as_ref().is_some_and(mentions_solve)),
        ExprKind::Block(stmts, last) => {
            mentions_solve(last)
                || stmts.iter().any(|s| match &s.kind {
                    gradus_syntax::ast::StmtKind::Let(_, _, v) => mentions_solve(v),
                    _ => false,
                })
        }
        ExprKind::LetIn(_, _, a, b) => mentions_solve(a) || mentions_solve(b),
        ExprKind::If(a, b, c) => [a, b, c].into_iter().any(mentions_solve),
        ExprKind::Comprehension { body, clauses, .. } => {
            mentions_solve(body) || clauses.iter().any(|(_, e)| mentions_solve(e))
        }
        _ => false,
    }
}

