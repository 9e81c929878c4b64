//! What the structure of an objective gives: dual points for gaps, majorizing quadratics for step sizes.
//!
//! An objective that is `sum_i a_i q_i(u_i)`, every u_i affine in the unknown, has the dual point theta_i = a_i q_i'(u_i).

use super::region_fn::RegionFn;
use crate::interp::Interp;
use crate::value::{Eval, Num, Stop, Value};
use gradus_facts::{Composite, Function, Scale};
use gradus_ir::{BinaryOp, NodeId, Op, UnaryOp};
use gradus_syntax::Span;
use std::collections::HashMap;

/// The parts of an objective at a point.
pub struct Dual {
    parts: Vec<(Function, Num, Num)>,
    /// What is left over, constant.
    rest: Num,
}

impl Interp<'_> {
    /// The objective's composite structure, and its affine values and scales at `x`: `(function, scale, u)` for each part.
    fn composite_at(&mut self, f: &RegionFn, x: &Value, span: Span) -> Eval<Option<(Composite, Dual)>> {
        let Some(c) = self.composite(f) else { return Ok(None) };
        let mut wanted: Vec<NodeId> = Vec::new();
        let want = |id: NodeId, wanted: &mut Vec<NodeId>| {
            if !wanted.contains(&id) {
                wanted.push(id);
            }
        };
        let scales = c.parts.iter().map(|p| &p.scale).chain(c.constants.iter().map(|(s, _)| s));
        for s in scales {
            s.times.iter().chain(&s.over).for_each(|n| want(*n, &mut wanted));
        }
        for p in &c.parts {
            want(p.affine, &mut wanted);
            want(p.node, &mut wanted);
        }
        c.constants.iter().for_each(|(_, n)| want(*n, &mut wanted));
        let mut graph = (*f.graph).clone();
        graph.outputs = wanted.clone();
        let g = RegionFn { graph: std::sync::Arc::new(graph), ..f.clone() };
        let values = self.apply_region_all(&g, x, span)?;
        let at: HashMap<NodeId, Num> = wanted.into_iter().zip(values).collect();
        let get = |id: NodeId| at.get(&id).copied().ok_or(Stop::Poisoned);
        let mut parts = Vec::new();
        for p in &c.parts {
            let a = self.scale_value(&p.scale, &get, span)?;
            let node = if p.function == Function::Quadratic { p.node } else { p.affine };
            let mut u = get(node)?;
            if p.inner != 1.0 && p.function != Function::Quadratic {
                let k = self.real(p.inner)?;
                u = self.bin(BinaryOp::Mul, k, u, span)?;
            }
            parts.push((p.function.clone(), a, u));
        }
        let mut rest = self.real(c.constant)?;
        for (s, n) in &c.constants {
            let a = self.scale_value(s, &get, span)?;
            let total = self.sum_tree(&Value::Num(get(*n)?), span)?;
            let term = self.bin(BinaryOp::Mul, a, total, span)?;
            rest = self.bin(BinaryOp::Add, rest, term, span)?;
        }
        Ok(Some((c, Dual { parts, rest })))
    }

    fn scale_value(&mut self, s: &Scale, get: &dyn Fn(NodeId) -> Eval<Num>, span: Span) -> Eval<Num> {
        let mut v = self.real(s.number)?;
        for n in &s.times {
            v = self.bin(BinaryOp::Mul, v, get(*n)?, span)?;
        }
        for n in &s.over {
            v = self.bin(BinaryOp::Div, v, get(*n)?, span)?;
        }
        Ok(v)
    }

    /// The dual point of an objective whose parts all have a known conjugate.
    pub fn structured_dual(&mut self, f: &RegionFn, x: &Value, span: Span) -> Eval<Option<Dual>> {
        let Some((_, d)) = self.composite_at(f, x, span)? else { return Ok(None) };
        let known = d.parts.iter().all(|(q, _, _)| matches!(q, Function::SumSquares | Function::Logistic | Function::Huber { .. }));
        Ok(known.then_some(d))
    }

    /// A bound on the Lipschitz constant of the gradient: the largest curvature of a quadratic that bends at least as much.
    pub fn curvature_bound(&mut self, f: &RegionFn, x: &Value, span: Span) -> Eval<Option<Num>> {
        let Some(c) = self.composite(f) else { return Ok(None) };
        let bend = |q: &Function| match q {
            Function::Linear => Some(0.0),
            Function::SumSquares => Some(2.0),
            Function::Logistic => Some(0.25),
            // The Hessian of a log-sum-exp is diag(p) - p p', whose norm is at most 1/2.
            Function::LogSumExp(_) => Some(0.5),
            Function::Huber { .. } => Some(1.0),
            Function::Quadratic => Some(f64::NAN),
            Function::Hinge | Function::Absolute | Function::Norm => None,
        };
        if c.parts.iter().any(|p| bend(&p.function).is_none()) {
            return Ok(None);
        }
        let f = f.clone();
        let quadratic = Value::native("majorizer", move |s, args, span| {
            let x = s.one_arg(args, "the majorizer", span)?;
            let Some((_, d)) = s.composite_at(&f, &x, span)? else { return Err(Stop::Poisoned) };
            let mut total = s.real(0.0)?;
            for (q, a, u) in d.parts {
                let term = match &q {
                    Function::Linear => continue,
                    Function::Quadratic => u,
                    _ => {
                        let sq = s.un(UnaryOp::Square, u, span)?;
                        let sum = s.sum_tree(&Value::Num(sq), span)?;
                        let half = s.real(bend(&q).unwrap_or(0.0) / 2.0)?;
                        s.bin(BinaryOp::Mul, half, sum, span)?
                    }
                };
                let term = s.bin(BinaryOp::Mul, a, term, span)?;
                total = s.bin(BinaryOp::Add, total, term, span)?;
            }
            Ok(Value::Num(total))
        });
        self.largest_curvature(&quadratic, x, span).map(Some)
    }
}

impl Dual {
    /// A lower bound of f(z) - c <g, z> over all z, with the dual point scaled by c in [0, 1] and g the gradient at x:
    /// c (sum_i <theta_i, u_i> - <g, x>) - sum_i a_i q_i*(c q_i'(u_i)) + constants.
    pub fn bound(&self, s: &mut Interp<'_>, c: Num, g: &Value, x: &Value, span: Span) -> Eval<Num> {
        let gx = s.arith(BinaryOp::Mul, g, x, span, span, span)?;
        let gx = s.sum_tree(&gx, span)?;
        let mut pairing = s.un(UnaryOp::Neg, gx, span)?;
        let mut conjugates = s.real(0.0)?;
        for (q, a, u) in &self.parts {
            // v = q'(u), the pairing <v, u>, and the conjugate q*(c v).
            let (v, conj) = match q {
                Function::SumSquares => {
                    let two = s.real(2.0)?;
                    let v = s.bin(BinaryOp::Mul, two, *u, span)?;
                    let cv = s.bin(BinaryOp::Mul, c, v, span)?;
                    let sq = s.un(UnaryOp::Square, cv, span)?;
                    let quarter = s.real(0.25)?;
                    (v, s.bin(BinaryOp::Mul, quarter, sq, span)?)
                }
                Function::Huber { delta } => {
                    let (lo, hi) = (s.real(-delta)?, s.real(*delta)?);
                    let v = s.bin(BinaryOp::Max, *u, lo, span)?;
                    let v = s.bin(BinaryOp::Min, v, hi, span)?;
                    let cv = s.bin(BinaryOp::Mul, c, v, span)?;
                    let sq = s.un(UnaryOp::Square, cv, span)?;
                    let half = s.real(0.5)?;
                    (v, s.bin(BinaryOp::Mul, half, sq, span)?)
                }
                Function::Logistic => {
                    let v = s.un(UnaryOp::Sigmoid, *u, span)?;
                    let p = s.bin(BinaryOp::Mul, c, v, span)?;
                    (v, s.negative_entropy(p, span)?)
                }
                _ => return Err(Stop::Poisoned),
            };
            let vu = s.bin(BinaryOp::Mul, v, *u, span)?;
            let vu = s.sum_tree(&Value::Num(vu), span)?;
            let avu = s.bin(BinaryOp::Mul, *a, vu, span)?;
            pairing = s.bin(BinaryOp::Add, pairing, avu, span)?;
            let total = s.sum_tree(&Value::Num(conj), span)?;
            let total = s.bin(BinaryOp::Mul, *a, total, span)?;
            conjugates = s.bin(BinaryOp::Add, conjugates, total, span)?;
        }
        let scaled = s.bin(BinaryOp::Mul, c, pairing, span)?;
        let low = s.bin(BinaryOp::Sub, scaled, conjugates, span)?;
        s.bin(BinaryOp::Add, low, self.rest, span)
    }
}

impl Interp<'_> {
    /// p log p + (1 - p) log(1 - p), entry by entry, 0 at the ends.
    fn negative_entropy(&mut self, p: Num, span: Span) -> Eval<Num> {
        let (zero, one) = (self.real(0.0)?, self.real(1.0)?);
        let q = self.bin(BinaryOp::Sub, one, p, span)?;
        let mut total = zero;
        for w in [p, q] {
            let positive = self.bin(BinaryOp::Gt, w, zero, span)?;
            let safe = self.emit(Op::Select, &[positive, w, one], span)?;
            let log = self.un(UnaryOp::Log, safe, span)?;
            let term = self.bin(BinaryOp::Mul, safe, log, span)?;
            let term = self.emit(Op::Select, &[positive, term, zero], span)?;
            total = self.bin(BinaryOp::Add, total, term, span)?;
        }
        Ok(total)
    }
}
