//! Solutions that carry the equation they solve: derivatives come from the equation, by a linear system.

use crate::env::Env;
use crate::interp::{Interp, span_of};
use crate::tree::TypeTree;
use crate::value::{CallArg, Eval, Num, Stop, Value};
use gradus_ir::{Array, BinaryOp, Dim, Graph, Implicit, Op, Origin, Shape, Ty, UnaryOp};
use gradus_syntax::ast::{Expr, ExprKind};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// Unknowns up to which the linear system is solved by a matrix.
const DIRECT: i64 = 256;

/// The residual of a linear system relative to its right-hand side, beyond which there is no derivative.
const TOLERANCE: f64 = 1e-6;

/// How the linear system of a derivative is solved.
#[derive(Clone)]
pub enum Linear {
    /// By a matrix where it is small, else by an iteration that suits the equation.
    Auto,
    Direct,
    /// Each unknown has an equation of its own.
    Diagonal,
    /// A function of the operator and the right-hand side.
    By(Value),
}

/// What a `diff` clause says.
#[derive(Clone)]
pub enum Diff {
    Implicit { linear: Linear, tolerance: Option<Num> },
    /// Through the iterations.
    Unroll,
    /// The solution counts as a constant.
    None,
}

impl Diff {
    pub fn auto() -> Diff {
        Diff::Implicit { linear: Linear::Auto, tolerance: None }
    }
}

/// An equation in the making.
pub struct Equation<'a> {
    /// What it is the equation of: `argmin`, `find`, `fix`.
    pub label: &'a str,
    /// Is its derivative symmetric (a gradient's)?
    pub symmetric: bool,
    pub linear: Linear,
    pub tolerance: Option<Num>,
    pub span: Span,
}

type Residual<'a> = &'a mut dyn FnMut(&mut Interp<'_>, &Value) -> Eval<Value>;

impl Interp<'_> {
    /// `diff implicit`, `diff implicit(cg(steps = 20), tol = 1e-4)`, `diff unroll`, `diff none`.
    pub(crate) fn diff_clause(&mut self, e: Option<&Expr>, env: &Env) -> Eval<Diff> {
        let Some(e) = e else { return Ok(Diff::auto()) };
        let (name, args) = match &*e.kind {
            ExprKind::Name(id) => (id.clone(), &[][..]),
            ExprKind::Call(f, args) => match &*f.kind {
                ExprKind::Name(id) => (id.clone(), args.as_slice()),
                _ => return Err(self.bad_diff(e.span)),
            },
            _ => return Err(self.bad_diff(e.span)),
        };
        let mut linear = Linear::Auto;
        let mut tolerance = None;
        match &*name.name {
            "implicit" => {}
            "none" if args.is_empty() => return Ok(Diff::None),
            "unroll" if args.is_empty() => return Ok(Diff::Unroll),
            _ => return Err(self.bad_diff(e.span)),
        }
        for a in args {
            match a.name.as_ref().map(|n| &*n.name) {
                None => linear = self.linear_solver(&a.value, env)?,
                Some("tol") => {
                    let v = self.eval(&a.value, env)?;
                    tolerance = Some(self.num(&v, a.value.span)?);
                }
                Some(_) => return Err(self.bad_diff(a.value.span)),
            }
        }
        Ok(Diff::Implicit { linear, tolerance })
    }

    fn bad_diff(&self, at: Span) -> Stop {
        Diagnostic::error("E5007", at, "a `diff` clause says `implicit`, `unroll` or `none`")
            .at("this is none of them")
            .help("for example `diff implicit`, `diff implicit(cg(steps = 50), tol = 1e-6)`, `diff unroll`")
            .into()
    }

    /// A linear solver: `direct`, a function of `(A, b)`, or a call that leaves these two out.
    fn linear_solver(&mut self, e: &Expr, env: &Env) -> Eval<Linear> {
        if let ExprKind::Name(id) = &*e.kind
            && &*id.name == "direct"
        {
            return Ok(Linear::Direct);
        }
        match self.partial_call(e, env)? {
            Some(f) => Ok(Linear::By(f)),
            None => Err(self.bad_solver(e.span)),
        }
    }

    /// A function, or a call of one whose first arguments are still to come, as a function of those.
    pub(crate) fn partial_call(&mut self, e: &Expr, env: &Env) -> Eval<Option<Value>> {
        let ExprKind::Call(f, args) = &*e.kind else {
            let v = self.eval(e, env)?;
            return Ok(matches!(v, Value::Fn(_)).then_some(v));
        };
        let f = self.eval(f, env)?;
        let rest = self.eval_args(args, env)?;
        Ok(matches!(f, Value::Fn(_)).then(|| {
            Value::native("function", move |s, args, span| {
                let all: Vec<CallArg> = args.iter().cloned().chain(rest.iter().cloned()).collect();
                s.apply(&f, &all, span)
            })
        }))
    }

    fn bad_solver(&self, at: Span) -> Stop {
        Diagnostic::error("E5008", at, "a linear solver is a function of the operator and the right-hand side")
            .at("this is none")
            .help("write `direct`, `cg(steps = 50)`, `minres()`, `gmres()`, `bicgstab()`, `neumann(steps = 20)`, or a function `(A, b) -> …`")
            .into()
    }

    /// The tree `x`, which solves `residual(x) = 0`, with the derivative that this equation gives it.
    pub(crate) fn attach(&mut self, x: &Value, eq: &Equation<'_>, residual: Residual<'_>) -> Eval<Value> {
        let span = eq.span;
        let x = self.held_still(x, span)?;
        let values = self.leaves(&x, span)?;
        let tys: Vec<Ty> = values.iter().map(|n| self.ty(*n)).collect();
        let tree = self.type_tree(&x, span)?;
        let region = self.region(&tys, span, |s, p| {
            let v = tree.build(&mut p.iter().copied()).ok_or(Stop::Poisoned)?;
            let r = residual(s, &v)?;
            let out = s.leaves(&r, span)?;
            if out.len() != tys.len() || out.iter().zip(&tys).any(|(a, t)| s.ty(*a).shape != t.shape) {
                let found = s.type_tree(&r, span)?.describe();
                return Err(Diagnostic::error("E5005", span, format!("the equation gives `{found}` for an unknown `{}`", tree.describe()))
                    .at("as many equations as unknowns are needed")
                    .into());
            }
            out.into_iter().map(|n| s.un(UnaryOp::ToReal, n, span)).collect()
        })?;
        let graph = self.host.engine().stabilise(&region.graph);
        let n = values.len();
        let wrt = Self::wrt(&graph, n);
        let along = gradus_grad::jvp(&graph, &wrt).map_err(|e| self.grad_error(e, span))?;
        let back = gradus_grad::vjp(&graph, &wrt).map_err(|e| self.grad_error(e, span))?;
        let held: Vec<Ty> = region.captures.iter().map(|c| self.ty(*c)).collect();
        let forward = self.linear_region(along, eq, &tree, &tys, &held)?;
        let adjoint = self.linear_region(back, eq, &tree, &tys, &held)?;
        // What the solvers use beside (their settings) is captured by all three.
        let mut captures = region.captures.clone();
        for c in forward.captures.iter().chain(&adjoint.captures) {
            if !captures.contains(c) {
                captures.push(*c);
            }
        }
        let params: Vec<Ty> = captures.iter().map(|c| self.ty(*c)).collect();
        let rights = [tys.clone(), tys.clone(), held.clone()].concat();
        let place = |r: &[Num]| -> Vec<usize> { r.iter().filter_map(|c| captures.iter().position(|d| d == c)).collect() };
        let fit = |g: &Graph, own: &[Ty], extra: &[Num]| widened(g, own, &place(extra), &params, held.len());
        let ir = |e| Stop::from(crate::errors::from_ir(&e, span, &[]));
        let op = Implicit {
            values: n,
            residual: Arc::new(fit(&graph, &[tys.clone(), held.clone()].concat(), &[]).map_err(ir)?),
            forward: Arc::new(fit(&forward.graph, &rights, &forward.captures).map_err(ir)?),
            adjoint: Arc::new(fit(&adjoint.graph, &rights, &adjoint.captures).map_err(ir)?),
            label: Arc::from(eq.label),
        };
        let inputs: Vec<Num> = values.into_iter().chain(captures).collect();
        let node = self.emit(Op::Implicit(Box::new(op)), &inputs, span)?;
        let outs: Vec<Num> = match n {
            1 => vec![node],
            _ => (0..n).map(|k| self.emit(Op::Get(k as u32), &[node], span)).collect::<Eval<_>>()?,
        };
        self.rebuild(&x, &outs, span)
    }

    /// `[right-hand sides.., values.., held..] -> u` for the linear operator `[values.., held.., v..] -> [.., A v..]`.
    fn linear_region(
        &mut self,
        operator: Graph,
        eq: &Equation<'_>,
        tree: &TypeTree,
        tys: &[Ty],
        held: &[Ty],
    ) -> Eval<crate::tracer::Region> {
        let span = eq.span;
        let n = tys.len();
        let params = [tys, tys, held].concat();
        let operator = Arc::new(operator);
        self.region(&params, span, |s, p| {
            let (right, point) = p.split_at(n);
            let b = tree.build(&mut right.iter().copied()).ok_or(Stop::Poisoned)?;
            let (point, shape, graph) = (point.to_vec(), tree.clone(), operator.clone());
            let apply = Value::native("operator", move |s, args, span| {
                let v = s.one_arg(args, "the operator", span)?;
                let mut all = point.clone();
                all.extend(s.leaves(&v, span)?);
                let outs = s.inline(&graph, &all, span)?;
                shape.build(&mut outs.iter().skip(n).copied()).ok_or(Stop::Poisoned)
            });
            let u = s.solve_linear(&apply, &b, tree, eq)?;
            let u = s.trusted(&apply, &b, u, eq)?;
            let out = s.leaves(&u, span)?;
            if out.len() != n || out.iter().zip(tys).any(|(a, t)| s.ty(*a).shape != t.shape) {
                let found = s.type_tree(&u, span)?.describe();
                return Err(Diagnostic::error("E5008", span, format!("the linear solver gives `{found}` for an unknown `{}`", tree.describe())).into());
            }
            Ok(out)
        })
    }

    fn solve_linear(&mut self, apply: &Value, b: &Value, tree: &TypeTree, eq: &Equation<'_>) -> Eval<Value> {
        let span = eq.span;
        let total = tree.leaves().iter().fold(Dim::Known(0), |n, t| n.add(&t.shape.count()));
        let by = match &eq.linear {
            Linear::By(f) => f.clone(),
            Linear::Diagonal => {
                let ones = self.filled_like(b, 1.0, span)?;
                let slope = self.call_values(apply, &[ones], span)?;
                return self.arith(BinaryOp::Div, b, &slope, span, span, span);
            }
            Linear::Direct => return self.solve_by_matrix(apply, b, &total, span),
            Linear::Auto if total.known().is_none_or(|n| n <= DIRECT) => return self.solve_by_matrix(apply, b, &total, span),
            Linear::Auto => {
                let name = if eq.symmetric { "minres" } else { "gmres" };
                self.library_function("krylov", name, span)?
            }
        };
        self.on_vectors(apply, b, span, |s, apply, b| s.call_values(&by, &[apply, b], span))
    }

    /// Run `solver` on a map of vectors where `map` is one of trees like `at`.
    pub(crate) fn on_vectors(
        &mut self,
        map: &Value,
        at: &Value,
        span: Span,
        solver: impl FnOnce(&mut Interp<'_>, Value, Value) -> Eval<Value>,
    ) -> Eval<Value> {
        if let Value::Num(n) = at
            && self.ty(*n).shape.rank() == 1
        {
            return solver(self, map.clone(), at.clone());
        }
        let start = Value::Num(self.flattened(at, span)?);
        let (map, like) = (map.clone(), self.type_tree(at, span)?);
        let flat = Value::native("map", move |s, args, span| {
            let v = s.one_arg(args, "the map", span)?;
            let v = s.num(&v, span)?;
            let x = s.unflatten(v, &like, span)?;
            let y = s.call_values(&map, &[x], span)?;
            Ok(Value::Num(s.flattened(&y, span)?))
        });
        let found = solver(self, flat, start)?;
        let found = self.num(&found, span)?;
        let like = self.type_tree(at, span)?;
        self.unflatten(found, &like, span)
    }

    /// The matrix of the operator, one application a row, and its factorization.
    fn solve_by_matrix(&mut self, apply: &Value, b: &Value, total: &Dim, span: Span) -> Eval<Value> {
        let like = self.type_tree(b, span)?;
        let iota = self.emit(Op::Iota(total.clone()), &[], span)?;
        let rows = self.map_range(total.clone(), span, &mut |s, k| {
            let hot = s.bin(BinaryOp::Eq, iota, k, span)?;
            let e = s.un(UnaryOp::ToReal, hot, span)?;
            let v = s.unflatten(e, &like, span)?;
            let v = s.call_values(apply, &[v], span)?;
            s.flattened(&v, span)
        })?;
        let right = self.flattened(b, span)?;
        // Row k is A e_k, so that this is the transposed matrix.
        let u = self.emit(Op::Solve { transposed: true }, &[rows, right], span)?;
        let like = self.type_tree(b, span)?;
        self.unflatten(u, &like, span)
    }

    /// All leaves as one vector.
    pub(crate) fn flattened(&mut self, v: &Value, span: Span) -> Eval<Num> {
        let mut parts = Vec::new();
        for n in self.leaves(v, span)? {
            let count = self.ty(n).shape.count();
            parts.push(self.emit(Op::Reshape(Shape::new([count])), &[n], span)?);
        }
        if parts.is_empty() {
            let zero = self.real(0.0)?;
            return self.emit(Op::Broadcast(Shape::new([Dim::Known(0)])), &[zero], span);
        }
        self.emit(Op::Concat { axis: 0 }, &parts, span)
    }

    /// The tree whose leaves, one after the other, are this vector.
    pub(crate) fn unflatten(&mut self, v: Num, like: &TypeTree, span: Span) -> Eval<Value> {
        let mut at = Dim::Known(0);
        let mut parts = Vec::new();
        for t in like.leaves() {
            let len = t.shape.count();
            let part = self.emit(Op::Slice { axis: 0, start: at.clone(), len: len.clone() }, &[v], span)?;
            parts.push(self.emit(Op::Reshape(t.shape), &[part], span)?);
            at = at.add(&len);
        }
        like.build(&mut parts.into_iter()).ok_or(Stop::Poisoned)
    }

    /// What the check that failed first was about, where NaN began with one.
    pub(crate) fn failed_check(&mut self, graph: &Graph, inputs: &[Array]) -> Option<Stop> {
        checks(graph, None)?;
        let found = self.host.engine().first_nonfinite(graph, inputs)?;
        let span = self.origin_span();
        self.check_that_failed(graph, found.origin, span)
    }

    /// The same, given where NaN began.
    pub(crate) fn check_that_failed(&mut self, graph: &Graph, origin: Origin, span: Span) -> Option<Stop> {
        let label = checks(graph, Some(origin))?;
        let at = span_of(origin);
        let at = if at.file.0 == 0 { span } else { at };
        let mut d = Diagnostic::error("E5002", at, label.to_string())
            .at("here")
            .help("the equation may have no unique solution there; otherwise solve it more exactly (`by …`, `diff implicit(cg(steps = 500))`), or ask for less (`tol = 1e-3`)");
        if at != span {
            d = d.label(span, "computed for this");
        }
        Some(d.into())
    }

    /// NaN in place of a result that does not solve the system: a derivative is right or none.
    fn trusted(&mut self, apply: &Value, b: &Value, u: Value, eq: &Equation<'_>) -> Eval<Value> {
        let span = eq.span;
        let au = self.call_values(apply, std::slice::from_ref(&u), span)?;
        let off = self.arith(BinaryOp::Sub, &au, b, span, span, span)?;
        let (off, size) = (self.norm_tree(&off, span)?, self.norm_tree(b, span)?);
        let tolerance = match eq.tolerance {
            Some(t) => t,
            None => self.real(TOLERANCE)?,
        };
        let bound = self.bin(BinaryOp::Mul, tolerance, size, span)?;
        let ok = self.bin(BinaryOp::Le, off, bound, span)?;
        let label: Arc<str> = Arc::from(format!("the linear system behind the derivative of `{}` was not solved", eq.label));
        self.map_tree(&u, span, &mut |s, n| s.emit(Op::Check(label.clone()), &[n, ok], span))
    }
}

/// A region `[own.., extra..]` with the parameters `[own without held.., params..]`, of which the first are the held ones.
fn widened(g: &Graph, own: &[Ty], extra: &[usize], params: &[Ty], held: usize) -> gradus_ir::IrResult<Graph> {
    let mut out = Graph::new();
    let lead = own.len() - held;
    let mut given: Vec<_> = own[..lead].iter().map(|t| out.param(t.clone(), Default::default())).collect();
    let all: Vec<_> = params.iter().map(|t| out.param(t.clone(), Default::default())).collect();
    given.extend(all.iter().take(held));
    given.extend(extra.iter().filter_map(|k| all.get(*k)));
    out.outputs = out.inline(g, &given)?;
    Ok(out)
}

/// The text of a check in the graph or its regions: of one at that place, or of any.
fn checks(g: &Graph, at: Option<Origin>) -> Option<Arc<str>> {
    g.nodes().find_map(|(_, n)| match &n.op {
        Op::Check(text) if at.is_none_or(|o| o == n.origin) => Some(text.clone()),
        op => op.regions().iter().find_map(|r| checks(r, at)),
    })
}
