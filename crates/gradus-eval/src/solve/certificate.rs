//! Certificates: how far a point can be from optimal, computed from the functions alone.

use super::problem::Problem;
use super::prox::ProxFn;
use super::region_fn::RegionFn;
use crate::builtins::{arguments, given};
use crate::env::Env;
use crate::interp::Interp;
use crate::value::{CallArg, Eval, Function, Num, Stop, TermKind, TermValue, Value};
use gradus_ir::{BinaryOp, DType, UnaryOp};
use gradus_syntax::ast::Expr;
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// A traced gap, and what it is the gap of.
pub struct LastGap {
    smooth: Arc<gradus_ir::Graph>,
    captures: Vec<Num>,
    prox: Arc<ProxFn>,
    at: Vec<Num>,
    gap: Option<Num>,
}

impl Interp<'_> {
    /// `certificate e` of a method, in the scope of its last states: one number, traced apart from the loop.
    pub fn certificate_clause(&mut self, e: &Expr, scope: &Env) -> Eval<Num> {
        let v = self.eval(e, scope)?;
        let n = match v {
            Value::Num(n) if self.ty(n).shape.is_scalar() && self.ty(n).dtype != DType::Bool => n,
            other => {
                let found = match &other {
                    Value::Num(n) => format!("`{}`", self.ty(*n)),
                    other => other.kind().to_string(),
                };
                return Err(Diagnostic::error("E3038", e.span, format!("a certificate must be one number, found {found}"))
                    .at(format!("this is {found}"))
                    .help("a certificate is a bound on the error or the size of a residual: `norm2(…)`, `duality_gap(f, h, x)`")
                    .into());
            }
        };
        if self.ty(n).dtype == DType::Real { Ok(n) } else { self.un(UnaryOp::ToReal, n, e.span) }
    }

    fn gradient_at(&mut self, f: &RegionFn, x: &Value, span: Span) -> Eval<(Num, Value)> {
        let f = f.clone().value();
        self.value_and_gradient(&f, std::slice::from_ref(x), 0, span)
    }

    /// |x - prox_h(x - grad f(x))|: zero exactly where x is stationary for f + h.
    pub fn natural_residual(&mut self, f: &RegionFn, h: &Arc<ProxFn>, x: &Value, span: Span) -> Eval<Num> {
        let (_, g) = self.gradient_at(f, x, span)?;
        if h.is_zero() {
            return self.norm_tree(&g, span);
        }
        let v = self.arith(BinaryOp::Sub, x, &g, span, span, span)?;
        let one = self.real(1.0)?;
        let p = self.prox_apply(h, &v, one, span)?;
        let d = self.arith(BinaryOp::Sub, x, &p, span, span, span)?;
        self.norm_tree(&d, span)
    }

    /// The sum of multipliers times constraints at `x`.
    pub fn weighted_constraints(&mut self, p: &Problem, x: &Value, dual: &Value, span: Span) -> Eval<Num> {
        let r = self.residuals(p, x)?;
        let mut total = self.real(0.0)?;
        for (side, fields) in [("eq", r.eq), ("ineq", r.ineq)] {
            let Some(d) = dual.field(side) else { continue };
            let prod = self.arith(BinaryOp::Mul, &Value::record(fields), d, span, span, span)?;
            let sum = self.sum_tree(&prod, span)?;
            total = self.bin(BinaryOp::Add, total, sum, span)?;
        }
        Ok(total)
    }

    /// The Lagrangian of a problem without its proximal part, as a function of the unknown.
    pub fn lagrangian(&self, smooth: &RegionFn, p: &Arc<Problem>, dual: &Value) -> Value {
        let (smooth, p, dual) = (smooth.clone(), p.clone(), dual.clone());
        Value::native("lagrangian", move |s, args, span| {
            let x = s.one_arg(args, "the lagrangian", span)?;
            let f = s.apply_region(&smooth, &x, span)?;
            let f = s.num(&f, span)?;
            let share = s.weighted_constraints(&p, &x, &dual, span)?;
            Ok(Value::Num(s.bin(BinaryOp::Add, f, share, span)?))
        })
    }

    /// The residual of the conditions of Karush, Kuhn and Tucker with the multipliers `dual`: the natural residual of the
    /// Lagrangian over the set, the violations, and the products of multipliers and slacks; the largest of them.
    pub fn kkt_at(
        &mut self,
        task: &super::method::Task,
        p: &Arc<Problem>,
        x: &Value,
        dual: &Value,
        span: Span,
    ) -> Eval<Num> {
        let lagrangian = self.lagrangian(&task.smooth, p, dual);
        let (_, g) = self.value_and_gradient(&lagrangian, std::slice::from_ref(x), 0, span)?;
        let step = if task.prox.is_zero() {
            self.norm_tree(&g, span)?
        } else {
            let v = self.arith(BinaryOp::Sub, x, &g, span, span, span)?;
            let one = self.real(1.0)?;
            let moved = self.prox_apply(&task.prox, &v, one, span)?;
            let d = self.arith(BinaryOp::Sub, x, &moved, span, span, span)?;
            self.norm_tree(&d, span)?
        };
        let mut worst = step;
        for (_, v) in self.all_violations(p, x, span)? {
            worst = self.bin(BinaryOp::Max, worst, v, span)?;
        }
        let r = self.residuals(p, x)?;
        if let Some(m) = dual.field("ineq") {
            let slack = Value::record(r.ineq);
            let prod = self.arith(BinaryOp::Mul, &slack, m, span, span, span)?;
            let size = self.unary_value(UnaryOp::Abs, &prod, span, span)?;
            let comp = self.positive_max(&size, span)?;
            worst = self.bin(BinaryOp::Max, worst, comp, span)?;
            // A multiplier of the wrong sign certifies nothing.
            let neg = self.unary_value(UnaryOp::Neg, m, span, span)?;
            let sign = self.positive_max(&neg, span)?;
            worst = self.bin(BinaryOp::Max, worst, sign, span)?;
        }
        Ok(worst)
    }

    /// `gap_at`, traced once for the same functions and point (loops inside it would not be shared).
    pub fn gap_at(&mut self, f: &RegionFn, h: &Arc<ProxFn>, x: &Value, span: Span) -> Eval<Option<Num>> {
        let at = self.leaves(x, span)?;
        if let Some(l) = &self.last_gap
            && Arc::ptr_eq(&l.smooth, &f.graph)
            && l.captures == f.captures
            && Arc::ptr_eq(&l.prox, h)
            && l.at == at
        {
            return Ok(l.gap);
        }
        let gap = self.trace_gap(f, h, x, span)?;
        self.last_gap =
            Some(LastGap { smooth: f.graph.clone(), captures: f.captures.clone(), prox: h.clone(), at, gap });
        Ok(gap)
    }

    /// An upper bound on f(x) + h(x) minus the optimal value, where one can be had from declared conjugates.
    ///
    /// With g = grad f(x) and convex f: f(z) >= f(x) + <g, z - x>, so the optimum is at least f(x) - <g, x> - h*(-g).
    /// Where h* is the indicator of a set (h a norm) and -g lies outside, f's own structure is used: for
    /// f = sum_i a_i q_i(A_i x + b_i) with known conjugates the dual point is scaled by c in [0, 1] until it is feasible.
    fn trace_gap(&mut self, f: &RegionFn, h: &Arc<ProxFn>, x: &Value, span: Span) -> Eval<Option<Num>> {
        if h.parts.is_empty() || f.stochastic {
            return Ok(None);
        }
        // Every leaf must be held by exactly one part without an inner map, or the bound is minus infinity.
        let mut seen = vec![false; f.leaves];
        for p in &h.parts {
            for l in &p.leaves {
                match seen.get_mut(*l) {
                    Some(s) if !*s => *s = true,
                    _ => return Ok(None),
                }
            }
            if p.affine.is_some() {
                return Ok(None);
            }
        }
        if seen.iter().any(|s| !s) {
            return Ok(None);
        }
        let (fx, g) = self.gradient_at(f, x, span)?;
        let hx = self.prox_value_inside(h, x, span)?;
        let leaves_g = self.leaves(&g, span)?;
        // Finite conjugates, and the gauges that limit c.
        let mut finite: Vec<(Value, Value, Option<Num>)> = Vec::new();
        let mut balls: Vec<(Arc<crate::value::SetValue>, Value)> = Vec::new();
        for p in &h.parts {
            let gp = self.part_argument(p, &leaves_g, span)?;
            let s = self.unary_value(UnaryOp::Neg, &gp, span, span)?;
            let s = match p.scale {
                Some(a) => self.arith(BinaryOp::Div, &s, &Value::Num(a), span, span, span)?,
                None => s,
            };
            match self.term_conjugate(&p.term, &s, span)? {
                None => return Ok(None),
                Some(Value::Term(t)) => match &t.kind {
                    TermKind::Indicator(set) => balls.push((set.clone(), s)),
                    _ => finite.push((Value::Term(t.clone()), s, p.scale)),
                },
                Some(other) => finite.push((other, s, p.scale)),
            }
        }
        if balls.is_empty() {
            // gap = h(x) + h*(-g) + <g, x>
            let gx = self.arith(BinaryOp::Mul, &g, x, span, span, span)?;
            let mut gap = self.sum_tree(&gx, span)?;
            gap = self.bin(BinaryOp::Add, gap, hx, span)?;
            for (c, s, scale) in finite {
                gap = self.add_conjugate(gap, &c, &s, scale, span)?;
            }
            let zero = self.real(0.0)?;
            return self.bin(BinaryOp::Max, gap, zero, span).map(Some);
        }
        let Some(dual) = self.structured_dual(f, x, span)? else { return Ok(None) };
        // The largest c in [0, 1] with c * s in every ball (which contain zero and are convex).
        let c = self.largest_scale(&balls, span)?;
        let lower = dual.bound(self, c, &g, x, span)?;
        let mut gap = self.bin(BinaryOp::Add, fx, hx, span)?;
        gap = self.bin(BinaryOp::Sub, gap, lower, span)?;
        for (conj, s, scale) in finite {
            let s = self.arith(BinaryOp::Mul, &Value::Num(c), &s, span, span, span)?;
            gap = self.add_conjugate(gap, &conj, &s, scale, span)?;
        }
        let zero = self.real(0.0)?;
        self.bin(BinaryOp::Max, gap, zero, span).map(Some)
    }

    fn add_conjugate(&mut self, total: Num, conj: &Value, s: &Value, scale: Option<Num>, span: Span) -> Eval<Num> {
        let v = self.call_values(conj, std::slice::from_ref(s), span)?;
        let mut n = self.num(&v, span)?;
        // (a h)*(s) = a h*(s / a)
        if let Some(a) = scale {
            n = self.bin(BinaryOp::Mul, a, n, span)?;
        }
        self.bin(BinaryOp::Add, total, n, span)
    }

    /// h(x) with indicators counted as zero: feasibility is reported by itself.
    fn prox_value_inside(&mut self, h: &ProxFn, x: &Value, span: Span) -> Eval<Num> {
        let parts = h.parts.iter().filter(|p| !matches!(p.term.kind, TermKind::Indicator(_))).cloned().collect();
        self.prox_value(&ProxFn { tree: h.tree.clone(), parts }, x, span)
    }

    /// The largest c in [0, 1] such that c s is in its set, for all of them, by bisection from the inside.
    fn largest_scale(&mut self, balls: &[(Arc<crate::value::SetValue>, Value)], span: Span) -> Eval<Num> {
        let inside = |s: &mut Self, c: Num| -> Eval<Num> {
            let mut ok = s.bool(true)?;
            for (set, v) in balls {
                let at = s.arith(BinaryOp::Mul, &Value::Num(c), v, span, span, span)?;
                let Value::Num(k) = s.contains(set, &at, 0.0, span)? else { return Err(Stop::Poisoned) };
                ok = s.bin(BinaryOp::And, ok, k, span)?;
            }
            Ok(ok)
        };
        let (zero, one) = (self.real(0.0)?, self.real(1.0)?);
        let whole = inside(self, one)?;
        let tys = vec![gradus_ir::Ty::scalar(gradus_ir::DType::Int), self.ty(zero), self.ty(one)];
        let region = self.region(&tys, span, |s, p| {
            let [_, lo, hi] = p else { return Err(Stop::Poisoned) };
            let sum = s.bin(BinaryOp::Add, *lo, *hi, span)?;
            let half = s.real(0.5)?;
            let mid = s.bin(BinaryOp::Mul, half, sum, span)?;
            let ok = inside(s, mid)?;
            let new_lo = s.emit(gradus_ir::Op::Select, &[ok, mid, *lo], span)?;
            let new_hi = s.emit(gradus_ir::Op::Select, &[ok, *hi, mid], span)?;
            Ok(vec![new_lo, new_hi])
        })?;
        let mut inputs = vec![zero, one];
        inputs.extend(region.captures.iter().copied());
        let l = gradus_ir::Loop {
            trip: gradus_ir::Trip::Count(gradus_ir::Dim::Known(60)),
            carries: 2,
            scanned: 0,
            collected: 0,
            cond: None,
            body: Arc::new(region.graph),
            label: Arc::from("dual scaling"),
        };
        let node = self.emit(gradus_ir::Op::Loop(Box::new(l)), &inputs, span)?;
        let lo = self.emit(gradus_ir::Op::Get(1), &[node], span)?;
        self.emit(gradus_ir::Op::Select, &[whole, one, lo], span)
    }
}

/// The functions that a certificate is asked for: a traced smooth part and a proxable part.
fn parts(s: &mut Interp<'_>, f: &CallArg, h: Option<&CallArg>) -> Eval<(RegionFn, Arc<ProxFn>)> {
    let Value::Fn(func) = &f.value else {
        return Err(Diagnostic::error("E3032", f.span, format!("a certificate needs an objective, found {}", f.value.kind()))
                .at(format!("this is {}", f.value.kind())).into());
    };
    let Function::Region(r) = &**func else {
        return Err(Diagnostic::error("E3032", f.span, "a certificate needs the objective that a method was given").into());
    };
    let none = || Arc::new(ProxFn { tree: r.tree.clone(), parts: Vec::new() });
    let h = match h.map(|a| (&a.value, a.span)) {
        None => none(),
        Some((Value::Prox(p), _)) => p.clone(),
        Some((Value::Set(set), at)) => {
            let mut parts = Vec::new();
            s.set_parts(set, &r.tree, 0, at, &mut parts);
            Arc::new(ProxFn { tree: r.tree.clone(), parts })
        }
        Some((Value::Term(t), at)) => {
            let p = super::prox::ProxPart {
                leaves: (0..r.leaves).collect(),
                tree: r.tree.clone(),
                term: Arc::new(TermValue { kind: TermKind::Scaled(s.real(1.0)?, t.clone()) }),
                scale: None,
                affine: None,
                span: at,
            };
            Arc::new(ProxFn { tree: r.tree.clone(), parts: vec![p] })
        }
        Some((other, at)) => {
            return Err(Diagnostic::error("E3032", at, format!("expected a term or a set, found {}", other.kind()))
                .at(format!("this is {}", other.kind())).into());
        }
    };
    Ok((r.clone(), h))
}

pub(crate) fn duality_gap(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [f, h, x] = arguments(args, ["f", "h", "x"], 3, "duality_gap", span)?;
    let x = given(x, span)?.value.clone();
    let (f, h) = parts(s, given(f, span)?, h)?;
    let n = match s.gap_at(&f, &h, &x, span)? {
        Some(g) => g,
        // Without conjugates there is no gap; the residual is the certificate.
        None => s.natural_residual(&f, &h, &x, span)?,
    };
    Ok(Value::Num(n))
}

pub(crate) fn prox_residual(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [f, h, x] = arguments(args, ["f", "h", "x"], 3, "prox_residual", span)?;
    let x = given(x, span)?.value.clone();
    let (f, h) = parts(s, given(f, span)?, h)?;
    Ok(Value::Num(s.natural_residual(&f, &h, &x, span)?))
}

pub(crate) fn gradient_norm(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [f, x] = arguments(args, ["f", "x"], 2, "gradient_norm", span)?;
    let (f, x) = (given(f, span)?.value.clone(), given(x, span)?.value.clone());
    let (_, g) = s.value_and_gradient(&f, &[x], 0, span)?;
    Ok(Value::Num(s.norm_tree(&g, span)?))
}

pub(crate) fn projected_gradient_norm(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [f, c, x] = arguments(args, ["f", "set", "x"], 3, "projected_gradient_norm", span)?;
    let x = given(x, span)?.value.clone();
    let (f, h) = parts(s, given(f, span)?, c)?;
    Ok(Value::Num(s.natural_residual(&f, &h, &x, span)?))
}
