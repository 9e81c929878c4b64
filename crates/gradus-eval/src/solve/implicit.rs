//! Solutions that carry the equation they solve: derivatives come from the equation, by a linear system.

use super::trust::bends;
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

/// How the linear system of a derivative is solved.
#[derive(Clone)]
pub enum Linear {
    /// By a matrix where it is small, else by an iteration that suits the equation.
    Auto,
    Direct,
    /// Each unknown has an equation of its own.
    Diagonal,
    /// A function of the operator and the right-hand side, with the arguments that follow them.
    By(Value, Vec<CallArg>),
}

/// What a `diff` clause says.
#[derive(Clone)]
pub enum Diff {
    Implicit { linear: Linear, tolerance: Option<Num> },
    /// Through the iterations, or through the last ones only.
    Unroll { last: Option<Dim> },
    /// The solution counts as a constant.
    None,
}

/// What is done where the inner iterations or the linear system of a derivative did not converge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsolved {
    /// No clause: a warning for iterations, an error for a linear system.
    Default,
    Error,
    Warn,
    /// A warning, and the solution of least squares with damping in place of the linear system's.
    Damp,
}

impl Unsolved {
    /// Is the result used all the same?
    pub fn goes_on(self) -> bool {
        matches!(self, Unsolved::Warn | Unsolved::Damp)
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
    pub unsolved: Unsolved,
    /// The name under which the iterations of the linear system are remembered.
    pub warm: Option<Arc<str>>,
    /// The text that the equation is about, which is where its solves are counted.
    pub at: Span,
    pub span: Span,
}

type Residual<'a> = &'a mut dyn FnMut(&mut Interp<'_>, &Value) -> Eval<Value>;

/// What of the equation may have a kink, at the solution, with a small tree added to its argument.
pub type Kink<'a> = dyn FnMut(&mut Interp<'_>, &Value, &Value) -> Eval<Value> + 'a;

impl Interp<'_> {
    /// `diff implicit`, `diff implicit(cg(steps = 20), tol = 1e-4)`, `diff unroll`, `diff none`.
    pub(crate) fn diff_clause(&mut self, e: Option<&Expr>, env: &Env) -> Eval<(Diff, Unsolved)> {
        let mut unsolved = Unsolved::Default;
        let Some(e) = e else { return Ok((Diff::Implicit { linear: Linear::Auto, tolerance: None }, unsolved)) };
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
        let mut last = None;
        let implicit = &*name.name == "implicit";
        if !matches!(&*name.name, "implicit" | "unroll" | "none") {
            return Err(self.bad_diff(e.span));
        }
        for a in args {
            match a.name.as_ref().map(|n| &*n.name) {
                None if implicit => linear = self.linear_solver(&a.value, env)?,
                Some("unsolved") => unsolved = self.policy(&a.value)?,
                Some("last") if &*name.name == "unroll" => {
                    let v = self.eval(&a.value, env)?;
                    let n = self.num(&v, a.value.span)?;
                    last = Some(match self.static_dim(n)? {
                        Some(d) if d.known().is_none_or(|k| k >= 1) => d,
                        _ => return Err(self.bad_last(a.value.span)),
                    });
                }
                Some("tol") if implicit => {
                    let v = self.eval(&a.value, env)?;
                    tolerance = Some(self.num(&v, a.value.span)?);
                }
                _ => return Err(self.bad_diff(a.value.span)),
            }
        }
        let diff = match &*name.name {
            "implicit" => Diff::Implicit { linear, tolerance },
            "unroll" => Diff::Unroll { last },
            _ => Diff::None,
        };
        Ok((diff, unsolved))
    }

    /// `unsolved = error`, `warn` or `damp`.
    fn policy(&self, e: &Expr) -> Eval<Unsolved> {
        match &*e.kind {
            ExprKind::Name(id) if &*id.name == "error" => Ok(Unsolved::Error),
            ExprKind::Name(id) if &*id.name == "warn" => Ok(Unsolved::Warn),
            ExprKind::Name(id) if &*id.name == "damp" => Ok(Unsolved::Damp),
            _ => Err(Diagnostic::error("E5007", e.span, "`unsolved` is `error`, `warn` or `damp`")
                .at("this is none of them")
                .help("`error`: no number where a solve did not converge; `warn`: the number and a warning; `damp`: a damped linear system")
                .into()),
        }
    }

    fn bad_last(&self, at: Span) -> Stop {
        Diagnostic::error("E5007", at, "`last` is a positive whole number known before the run")
            .at("so many of the last iterations are differentiated through")
            .help("write `diff unroll(last = 20)`")
            .into()
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
        let (f, rest) = match &*e.kind {
            ExprKind::Call(f, args) => (self.eval(f, env)?, self.eval_args(args, env)?),
            _ => (self.eval(e, env)?, Vec::new()),
        };
        if !matches!(f, Value::Fn(_)) {
            return Err(self.bad_solver(e.span));
        }
        Ok(Linear::By(f, rest))
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
    pub(crate) fn attach(&mut self, x: &Value, eq: &Equation<'_>, residual: Residual<'_>, kink: Option<&mut Kink<'_>>) -> Eval<Value> {
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
        let mut kink = kink.filter(|_| bends(&graph));
        let (along, back) = (Arc::new(along), Arc::new(back));
        let forward = self.linear_region([&along, &back], "forward", eq, &tree, &tys, &held, &mut kink)?;
        let adjoint = self.linear_region([&back, &along], "adjoint", eq, &tree, &tys, &held, &mut kink)?;
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

    /// `[right-hand sides.., values.., held..] -> u` for the linear operator `[values.., held.., v..] -> [.., A v..]`; the second
    /// graph is its transpose.
    #[allow(clippy::too_many_arguments)]
    fn linear_region(
        &mut self,
        operators: [&Arc<Graph>; 2],
        side: &str,
        eq: &Equation<'_>,
        tree: &TypeTree,
        tys: &[Ty],
        held: &[Ty],
        kink: &mut Option<&mut Kink<'_>>,
    ) -> Eval<crate::tracer::Region> {
        let span = eq.span;
        let n = tys.len();
        let params = [tys, tys, held].concat();
        self.region(&params, span, |s, p| {
            let (right, point) = p.split_at(n);
            let b = tree.build(&mut right.iter().copied()).ok_or(Stop::Poisoned)?;
            let [apply, transposed] = operators.map(|g| {
                let (point, shape, graph) = (point.to_vec(), tree.clone(), g.clone());
                Value::native("operator", move |s, args, span| {
                    let v = s.one_arg(args, "the operator", span)?;
                    let mut all = point.clone();
                    all.extend(s.leaves(&v, span)?);
                    let outs = s.inline(&graph, &all, span)?;
                    shape.build(&mut outs.iter().skip(n).copied()).ok_or(Stop::Poisoned)
                })
            });
            let u = s.solve_linear(&apply, &b, tree, side, eq)?;
            let x = tree.build(&mut point.iter().copied()).ok_or(Stop::Poisoned)?;
            let u = s.trusted(&apply, &transposed, &b, u, eq)?;
            let u = match kink {
                Some(f) => s.two_sided(&x, u, &mut **f, eq)?,
                None => u,
            };
            let out = s.leaves(&u, span)?;
            if out.len() != n || out.iter().zip(tys).any(|(a, t)| s.ty(*a).shape != t.shape) {
                let found = s.type_tree(&u, span)?.describe();
                return Err(Diagnostic::error("E5008", span, format!("the linear solver gives `{found}` for an unknown `{}`", tree.describe())).into());
            }
            Ok(out)
        })
    }

    fn solve_linear(&mut self, apply: &Value, b: &Value, tree: &TypeTree, side: &str, eq: &Equation<'_>) -> Eval<Value> {
        let span = eq.span;
        let total = tree.leaves().iter().fold(Dim::Known(0), |n, t| n.add(&t.shape.count()));
        let (by, rest) = match &eq.linear {
            Linear::By(f, rest) => (f.clone(), rest.clone()),
            Linear::Diagonal => {
                let ones = self.filled_like(b, 1.0, span)?;
                let slope = self.call_values(apply, &[ones], span)?;
                return self.arith(BinaryOp::Div, b, &slope, span, span, span);
            }
            Linear::Direct => return self.solve_by_matrix(apply, b, &total, span),
            Linear::Auto if total.known().is_none_or(|n| n <= DIRECT) => return self.solve_by_matrix(apply, b, &total, span),
            Linear::Auto => {
                let name = if eq.symmetric { "minres" } else { "gmres" };
                (self.library_function("krylov", name, span)?, Vec::new())
            }
        };
        // Only a solver that says so can be told where to start.
        let name = eq.warm.as_ref().filter(|_| by.has_parameter("start")).map(|w| format!("{w} {side}"));
        self.on_vectors(apply, b, span, |s, apply, b| {
            let call = |value: Value, name: Option<&str>| CallArg { name: name.map(Arc::from), value, span };
            let mut args = vec![call(apply, None), call(b.clone(), None)];
            args.extend(rest.iter().cloned());
            let Some(name) = &name else { return s.apply(&by, &args, span) };
            let zero = s.filled_like(&b, 0.0, span)?;
            let start = s.recalled(&zero, Some(name), span)?;
            args.push(call(start.clone(), Some("start")));
            let u = s.apply(&by, &args, span)?;
            let size = s.norm_tree(&u, span)?;
            let sane = s.un(UnaryOp::IsFinite, size, span)?;
            s.stored(&u, &start, sane, Some(name), span)
        })
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
        let help = if label.contains("linear system") {
            "the equation may have no unique solution there; otherwise solve it more exactly (`by …`, `diff implicit(cg(steps = 500))`), or ask for less (`tol = 1e-3`)"
        } else if label.contains("constraints") {
            "they may contradict each other for some values of what the inner problem depends on"
        } else if label.contains("converge") {
            "give it more steps (`by method(steps = …)`), or go on with a warning: `diff implicit(unsolved = warn)`"
        } else {
            "bound the unknown (`in box(lo, hi)`), or take shorter steps"
        };
        let mut d = Diagnostic::error("E5002", at, label.to_string()).at("here").help(help);
        if at != span {
            d = d.label(span, "computed for this");
        }
        Some(d.into())
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
