//! Derivatives of functions given as values: the function is traced once, transformed, and copied in.

use super::{arguments, given, integer};
use crate::errors::from_ir;
use crate::interp::{Interp, span_of};
use crate::memo::Made;
use crate::slopes::Way;
use crate::tree::TypeTree;
use crate::value::{CallArg, Eval, Num, Stop, Value};
use gradus_grad::GradError;
use gradus_ir::{BinaryOp, DType, Dim, Graph, Op, UnaryOp};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// A function traced at an argument: its region over the argument's leaves, and what it returns.
pub struct Traced {
    pub graph: Arc<Graph>,
    pub captures: Vec<Num>,
    /// The number of its structure before it was stabilised.
    of: u128,
    /// The argument's leaves, real.
    pub point: Vec<Num>,
    pub input: Value,
    pub output: TypeTree,
}

impl Interp<'_> {
    /// A derivative that could not be built, in words.
    pub fn grad_error(&self, e: GradError, span: Span) -> Stop {
        match e {
            GradError::NotDifferentiable { what, origin } => {
                let at = span_of(origin);
                let at = if at.file.0 == 0 { span } else { at };
                Diagnostic::error("E5001", at, format!("{what} has no derivative in this release"))
                    .at("the derivative runs through this")
                    .label(span, "the derivative is taken here")
                    .help("stop it with `stop_grad(…)` where the value is meant to be a constant")
                    .into()
            }
            GradError::NotScalar { ty, .. } => {
                Diagnostic::error("E2016", span, format!("a gradient needs a scalar function, this one gives `{ty}`"))
                    .at("the derivative is taken here")
                    .help("sum or average the result, or take `jacobian(f)(x)`")
                    .into()
            }
            GradError::NotReal { ty, .. } => {
                // Arguments are made real before a derivative is taken, so a script cannot come here.
                Diagnostic::error("E9001", span, format!("internal error while building: a derivative by a value of type `{ty}`"))
                    .note("this is a mistake of Gradus, not of the script; please report it with the script")
                    .into()
            }
            GradError::Ir(e) => from_ir(&e, span, &[]).into(),
        }
    }

    /// Trace `f` at `args`, with argument number `arg` free and the others fixed.
    pub fn trace_function(&mut self, f: &Value, args: &[Value], arg: usize, span: Span) -> Eval<Traced> {
        let Some(x) = args.get(arg) else {
            return Err(Diagnostic::error("E1106", span, format!("there is no argument {arg} to differentiate by")).into());
        };
        let input = self.map_tree(x, span, &mut |s, n| match s.ty(n).dtype {
            DType::Real => Ok(n),
            _ => s.un(UnaryOp::ToReal, n, span),
        })?;
        let point = self.leaves(&input, span)?;
        let tys: Vec<_> = point.iter().map(|n| self.ty(*n)).collect();
        let tree = self.type_tree(&input, span)?;
        let mut output = None;
        let region = self.region(&tys, span, |s, params| {
            let v = tree.build(&mut params.iter().copied()).ok_or(Stop::Poisoned)?;
            let mut all = args.to_vec();
            if let Some(slot) = all.get_mut(arg) {
                *slot = v;
            }
            let out = s.call_values(f, &all, span)?;
            output = Some(s.type_tree(&out, span)?);
            let leaves = s.leaves(&out, span)?;
            leaves.into_iter().map(|n| if s.ty(n).dtype == DType::Real { Ok(n) } else { s.un(UnaryOp::ToReal, n, span) }).collect()
        })?;
        let Some(output) = output else { return Err(Stop::Poisoned) };
        let (of, graph) = self.stabilised(&region.graph);
        Ok(Traced { graph, captures: region.captures, of, point, input, output })
    }

    /// The derivative of a traced function by its argument, made once for each function.
    fn derived(
        &mut self,
        t: &Traced,
        what: Made,
        transform: fn(&Graph, &[bool]) -> Result<Graph, GradError>,
        span: Span,
    ) -> Eval<Arc<Graph>> {
        if let Some(g) = self.memo.get(t.of, what) {
            return Ok(g);
        }
        let wrt = Self::wrt(&t.graph, t.point.len());
        let g = transform(&t.graph, &wrt).map_err(|e| self.grad_error(e, span))?;
        self.verified(&g, span)?;
        Ok(self.memo.keep(t.of, what, g))
    }

    /// Every pass is checked: an ill-formed graph is a mistake of the compiler and is told as such.
    fn verified(&self, g: &Graph, span: Span) -> Eval<()> {
        gradus_ir::verify(g).map_err(|e| from_ir(&e, span, &[]).into())
    }

    /// Which parameters of a traced function are its argument.
    pub fn wrt(region: &Graph, own: usize) -> Vec<bool> {
        (0..region.params().len()).map(|k| k < own).collect()
    }

    /// Value and gradient of a scalar function.
    pub fn value_and_gradient(&mut self, f: &Value, args: &[Value], arg: usize, span: Span) -> Eval<(Num, Value)> {
        let asked = std::mem::take(&mut self.asked);
        let t = self.trace_function(f, args, arg, span)?;
        let g = self.derived(&t, Made::Grad(t.point.len()), gradus_grad::grad, span)?;
        if asked {
            self.check_slope(Way::Grad, &t.graph, &g, &t.point, &t.captures, span)?;
        }
        self.stage("grad", "gradient", &g);
        let mut inputs = t.point.clone();
        inputs.extend(t.captures.iter().copied());
        let outs = self.inline(&g, &inputs, span)?;
        let Some((value, grads)) = outs.split_first() else { return Err(Stop::Poisoned) };
        Ok((*value, self.rebuild(&t.input, grads, span)?))
    }

    /// Output and directional derivative, leaf by leaf.
    pub fn push_forward(&mut self, f: &Value, x: &Value, v: &Value, span: Span) -> Eval<(Value, Value)> {
        let asked = std::mem::take(&mut self.asked);
        let t = self.trace_function(f, std::slice::from_ref(x), 0, span)?;
        let g = self.derived(&t, Made::Jvp(t.point.len()), gradus_grad::jvp, span)?;
        if asked {
            self.check_slope(Way::Jvp, &t.graph, &g, &t.point, &t.captures, span)?;
        }
        let mut inputs = t.point.clone();
        inputs.extend(t.captures.iter().copied());
        inputs.extend(self.tangents(&t, v, span)?);
        let outs = self.inline(&g, &inputs, span)?;
        let n = t.graph.outputs.len();
        let (vals, tans) = outs.split_at(n.min(outs.len()));
        let a = t.output.build(&mut vals.iter().copied()).ok_or(Stop::Poisoned)?;
        let b = t.output.build(&mut tans.iter().copied()).ok_or(Stop::Poisoned)?;
        Ok((a, b))
    }

    /// Output, and the transposed Jacobian times a covector; `span` is the covector's.
    pub fn pull_back(&mut self, f: &Value, x: &Value, u: &Value, span: Span) -> Eval<(Value, Value)> {
        let asked = std::mem::take(&mut self.asked);
        let t = self.trace_function(f, std::slice::from_ref(x), 0, span)?;
        let g = self.derived(&t, Made::Vjp(t.point.len()), gradus_grad::vjp, span)?;
        if asked {
            self.check_slope(Way::Vjp, &t.graph, &g, &t.point, &t.captures, span)?;
        }
        let mut inputs = t.point.clone();
        inputs.extend(t.captures.iter().copied());
        let cot = self.leaves(u, span)?;
        let want = t.output.leaves();
        if cot.len() != want.len() || cot.iter().zip(&want).any(|(c, w)| self.ty(*c).shape != w.shape) {
            let found = self.type_tree(u, span)?.describe();
            return Err(Diagnostic::error("E2017", span, format!("the covector is `{found}`, the function's value `{}`", t.output.describe())).into());
        }
        for c in cot {
            inputs.push(if self.ty(c).dtype == DType::Real { c } else { self.un(UnaryOp::ToReal, c, span)? });
        }
        let outs = self.inline(&g, &inputs, span)?;
        let (values, grads) = outs.split_at(want.len().min(outs.len()));
        let value = t.output.build(&mut values.iter().copied()).ok_or(Stop::Poisoned)?;
        Ok((value, self.rebuild(&t.input, grads, span)?))
    }

    /// The leaves of a direction, which must have the structure of the point.
    fn tangents(&mut self, t: &Traced, v: &Value, span: Span) -> Eval<Vec<Num>> {
        let leaves = self.leaves(v, span)?;
        let fits = leaves.len() == t.point.len()
            && leaves.iter().zip(&t.point).all(|(a, b)| self.ty(*a).shape == self.ty(*b).shape);
        if !fits {
            let found = self.type_tree(v, span)?.describe();
            let want = self.type_tree(&t.input, span)?.describe();
            return Err(Diagnostic::error("E2017", span, format!("the direction is `{found}`, the point `{want}`"))
                .at(format!("this should be `{want}`")).into());
        }
        leaves.into_iter().map(|n| if self.ty(n).dtype == DType::Real { Ok(n) } else { self.un(UnaryOp::ToReal, n, span) }).collect()
    }

    pub fn hessian_vector(&mut self, f: &Value, x: &Value, v: &Value, span: Span) -> Eval<Value> {
        let g = gradient_of(f.clone(), 0);
        Ok(self.push_forward(&g, x, v, span)?.1)
    }

    /// A matrix of columns `column(e_k)`, k over the elements of a vector (or one column for a scalar).
    pub fn by_columns(
        &mut self,
        x: Num,
        span: Span,
        column: &mut dyn FnMut(&mut Self, Num) -> Eval<Num>,
    ) -> Eval<Num> {
        let shape = self.ty(x).shape;
        match shape.dims() {
            [] => {
                let one = self.real(1.0)?;
                column(self, one)
            }
            [n] => {
                let n = n.clone();
                let iota = self.emit(Op::Iota(n.clone()), &[], span)?;
                let rows = self.map_range(n, span, &mut |s, k| {
                    let hot = s.bin(BinaryOp::Eq, iota, k, span)?;
                    let e = s.un(UnaryOp::ToReal, hot, span)?;
                    column(s, e)
                })?;
                // One row per element so far; columns are wanted.
                let rank = self.ty(rows).shape.rank();
                let mut perm: Vec<usize> = (1..rank).collect();
                perm.push(0);
                self.emit(Op::Transpose(perm), &[rows], span)
            }
            _ => Err(Diagnostic::error("E2003", span, format!("a matrix of derivatives needs a vector argument, found `{}`", self.ty(x)))
                .help("write the function over `flatten(x)`")
                .into()),
        }
    }

    /// `f(k)` for k in 0..n, stacked.
    pub fn map_range(&mut self, n: Dim, span: Span, f: &mut dyn FnMut(&mut Self, Num) -> Eval<Num>) -> Eval<Num> {
        let region = self.region(&[gradus_ir::Ty::scalar(DType::Int)], span, |s, p| {
            let Some(k) = p.first().copied() else { return Err(Stop::Poisoned) };
            Ok(vec![f(s, k)?])
        })?;
        let l = gradus_ir::Loop {
            trip: gradus_ir::Trip::Count(n),
            carries: 0,
            scanned: 0,
            collected: 1,
            cond: None,
            body: std::sync::Arc::new(region.graph),
            label: std::sync::Arc::from("columns"),
        };
        let node = self.emit(Op::Loop(Box::new(l)), &region.captures, span)?;
        self.emit(Op::Get(1), &[node], span)
    }

    pub fn hessian_matrix(&mut self, f: &Value, x: &Value, span: Span) -> Eval<Num> {
        let Value::Num(n) = *x else {
            return Err(Diagnostic::error("E2003", span, format!("a matrix of second derivatives needs a vector argument, found {}", x.kind()))
                .at("the derivative is taken here")
                .help("write the function over one vector; a method that uses this takes one array as its unknown")
                .into());
        };
        let f = f.clone();
        let x = x.clone();
        self.by_columns(n, span, &mut |s, e| {
            let v = s.hessian_vector(&f, &x, &Value::Num(e), span)?;
            s.num(&v, span)
        })
    }
}

/// The gradient of a function, as a function.
pub fn gradient_of(f: Value, arg: usize) -> Value {
    Value::native("gradient", move |s: &mut Interp<'_>, args: &[CallArg], span| {
        let values: Vec<Value> = args.iter().map(|a| a.value.clone()).collect();
        Ok(s.value_and_gradient(&f, &values, arg, span)?.1)
    })
}

/// The function and the number of its argument: `grad(f, arg = 1)`.
fn callee(s: &mut Interp<'_>, args: &[CallArg], who: &str, span: Span) -> Eval<(Value, usize)> {
    let [f, arg] = arguments(args, ["f", "arg"], 1, who, span)?;
    let f = given(f, span)?;
    if !matches!(f.value, Value::Fn(_) | Value::Term(_) | Value::Prox(_) | Value::Typed(_)) {
        return Err(Diagnostic::error("E1202", f.span, format!("`{who}` takes a function, found {}", f.value.kind()))
            .at(format!("this is {}", f.value.kind()))
            .help("write it as a function of its unknown: `grad(x -> sum(x^2))(x0)`")
            .into());
    }
    let k = match arg {
        Some(a) => usize::try_from(integer(s, a)?)
            .map_err(|_| Stop::from(Diagnostic::error("E1214", a.span, "arguments are counted from 0")))?,
        None => 0,
    };
    Ok((f.value.clone(), k))
}

pub(super) fn grad(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let (f, k) = callee(s, args, "grad", span)?;
    let gradient = gradient_of(f, k);
    Ok(Value::native("gradient", move |s: &mut Interp<'_>, args: &[CallArg], span| {
        s.asked = true;
        s.apply(&gradient, args, span)
    }))
}

pub(super) fn value_and_grad(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let (f, k) = callee(s, args, "value_and_grad", span)?;
    Ok(Value::native("value_and_grad", move |s: &mut Interp<'_>, args: &[CallArg], span| {
        let values: Vec<Value> = args.iter().map(|a| a.value.clone()).collect();
        s.asked = true;
        let (v, g) = s.value_and_gradient(&f, &values, k, span)?;
        Ok(Value::list(vec![Value::Num(v), g]))
    }))
}

pub(super) fn jvp(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [f, x, v] = arguments(args, ["f", "x", "v"], 3, "jvp", span)?;
    let (f, x, v) = (given(f, span)?, given(x, span)?, given(v, span)?);
    s.asked = true;
    let (value, slope) = s.push_forward(&f.value, &x.value, &v.value, span)?;
    Ok(Value::list(vec![value, slope]))
}

pub(super) fn vjp(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [f, x, u] = arguments(args, ["f", "x", "u"], 3, "vjp", span)?;
    let (f, x, u) = (given(f, span)?, given(x, span)?, given(u, span)?);
    s.asked = true;
    let (value, pulled) = s.pull_back(&f.value, &x.value, &u.value, u.span)?;
    Ok(Value::list(vec![value, pulled]))
}

pub(super) fn hvp(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [f, x, v] = arguments(args, ["f", "x", "v"], 3, "hvp", span)?;
    let (f, x, v) = (given(f, span)?, given(x, span)?, given(v, span)?);
    s.asked = true;
    s.hessian_vector(&f.value, &x.value, &v.value, span)
}

/// Where the rest of an expression is stationary in this value, or its derivative is written out beside: the first derivative takes it for
/// a constant, later ones are those of the value itself.
pub(super) fn held_once(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "held_once", span)?;
    s.map_tree(&v, span, &mut |s, n| s.emit(Op::Stationary, &[n], span))
}

pub(super) fn jacobian(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let (f, _) = callee(s, args, "jacobian", span)?;
    Ok(Value::native("jacobian", move |s: &mut Interp<'_>, args: &[CallArg], span| {
        let x = s.one_arg(args, "the jacobian", span)?;
        let n = s.num(&x, span)?;
        let f = f.clone();
        let out = s.by_columns(n, span, &mut |s, e| {
            s.asked = true;
            let v = s.push_forward(&f, &x, &Value::Num(e), span)?.1;
            s.num(&v, span)
        })?;
        Ok(Value::Num(out))
    }))
}

pub(super) fn hessian(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let (f, _) = callee(s, args, "hessian", span)?;
    Ok(Value::native("hessian", move |s: &mut Interp<'_>, args: &[CallArg], span| {
        let x = s.one_arg(args, "the hessian", span)?;
        s.asked = true;
        Ok(Value::Num(s.hessian_matrix(&f, &x, span)?))
    }))
}

