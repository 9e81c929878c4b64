//! Operators: arithmetic and comparison leaf by leaf, logic, matrix products, sets and functions combined.

use crate::env::Env;
use crate::interp::Interp;
use crate::value::{CallArg, Eval, Num, RuleValue, SetKind, SetValue, TermKind, TermValue, Value};
use gradus_ir::{BinaryOp as Bin, DType, Op, UnaryOp as Un};
use gradus_syntax::ast::{BinaryOp, CompareOp, Expr, ExprKind, UnaryOp};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

impl Interp<'_> {
    pub(super) fn eval_unary(&mut self, op: UnaryOp, a: &Expr, env: &Env, span: Span) -> Eval<Value> {
        let v = self.eval(a, env)?;
        let u = match op {
            UnaryOp::Neg => Un::Neg,
            UnaryOp::Not => Un::Not,
        };
        self.unary_value(u, &v, span, a.span)
    }

    pub fn unary_value(&mut self, u: Un, v: &Value, span: Span, at: Span) -> Eval<Value> {
        self.map_tree(v, at, &mut |s, n| s.emit_blaming(Op::Unary(u), &[n], span, &[at]))
    }

    pub(super) fn eval_binary(&mut self, op: BinaryOp, a: &Expr, b: &Expr, env: &Env, span: Span) -> Eval<Value> {
        let arith = match op {
            BinaryOp::Add => Bin::Add,
            BinaryOp::Sub => Bin::Sub,
            BinaryOp::Mul => Bin::Mul,
            BinaryOp::Div => Bin::Div,
            BinaryOp::Pow => Bin::Pow,
            BinaryOp::Mod => Bin::Mod,
            BinaryOp::And | BinaryOp::Or => return self.eval_logic(op, a, b, env, span),
            BinaryOp::MatMul => return self.eval_matmul(a, b, env, span),
            BinaryOp::Meet => return self.eval_meet(a, b, env, span),
            BinaryOp::Pipe => return self.eval_pipe(a, b, env, span),
            BinaryOp::After => return self.eval_pipe(b, a, env, span),
            BinaryOp::Compose => return self.eval_compose(a, b, env, span),
            BinaryOp::In => {
                let (x, s) = (self.eval(a, env)?, self.eval(b, env)?);
                let s = self.as_set(&s, b.span)?;
                return self.contains(&s, &x, self.tolerance(1e-9), span);
            }
        };
        let (x, y) = (self.eval(a, env)?, self.eval(b, env)?);
        if op == BinaryOp::Mul {
            // `a * term`
            match (&x, &y) {
                (Value::Num(n), Value::Term(t)) | (Value::Term(t), Value::Num(n)) => {
                    return Ok(Value::Term(Arc::new(TermValue { kind: TermKind::Scaled(*n, t.clone()) })));
                }
                _ => {}
            }
        }
        self.arith(arith, &x, &y, span, a.span, b.span)
    }

    pub fn arith(&mut self, op: Bin, x: &Value, y: &Value, span: Span, sx: Span, sy: Span) -> Eval<Value> {
        let bad = |v: &Value| !matches!(v, Value::Num(_) | Value::Record(_) | Value::List(_) | Value::Typed(_));
        if bad(x) {
            return Err(self.not_numeric(x, sx));
        }
        if bad(y) {
            return Err(self.not_numeric(y, sy));
        }
        self.zip_tree(x, y, span, &mut |s, p, q| {
            let whole = |n| s.ty(n).dtype != DType::Real;
            let fraction = op == Bin::Pow && whole(p) && whole(q) && !s.surely_nonnegative(q);
            let q = if op == Bin::Pow { s.known_exponent(q)? } else { q };
            let p = if fraction { s.un(Un::ToReal, p, span)? } else { p };
            s.emit_blaming(Op::Binary(op), &[p, q], span, &[sx, sy])
        })
    }

    /// An integer that is written, a size or a position: one of these to a power stays an integer. Whatever else may be
    /// negative, and then the power is a fraction.
    fn surely_nonnegative(&self, n: Num) -> bool {
        let Some(g) = self.tracer.graph_of(n) else { return false };
        match &g.node(n.id).op {
            Op::DimValue(_) | Op::Iota(_) => true,
            Op::Literal(a) => a.data.iter().all(|v| *v >= 0.0),
            _ => g.constant(n.id).is_some_and(|v| v >= 0.0),
        }
    }

    fn eval_logic(&mut self, op: BinaryOp, a: &Expr, b: &Expr, env: &Env, span: Span) -> Eval<Value> {
        let x = self.eval(a, env)?;
        // A static left side decides by itself, so that `auto` tests can guard what follows.
        if let Value::Num(n) = &x
            && let Some(v) = self.tracer.graph_of(*n).and_then(|g| g.constant(n.id))
            && self.ty(*n).dtype == DType::Bool
        {
            match (op, v != 0.0) {
                (BinaryOp::And, false) | (BinaryOp::Or, true) => return Ok(x),
                _ => return self.eval(b, env),
            }
        }
        let y = self.eval(b, env)?;
        let op = if op == BinaryOp::And { Bin::And } else { Bin::Or };
        self.arith(op, &x, &y, span, a.span, b.span)
    }

    fn eval_matmul(&mut self, a: &Expr, b: &Expr, env: &Env, span: Span) -> Eval<Value> {
        let (x, y) = (self.eval(a, env)?, self.eval(b, env)?);
        let Value::Num(p) = x else { return Err(self.not_numeric(&x, a.span)) };
        let Value::Num(q) = y else { return Err(self.not_numeric(&y, b.span)) };
        if let ExprKind::Transpose(_) = &*b.kind
            && self.ty(p).shape.rank() == 1
            && self.ty(q).shape.rank() == 1
        {
            let l = self.text_of(a).unwrap_or_else(|| "a".into());
            let r = self.text_of(b).unwrap_or_else(|| "b".into());
            let r = r.trim_end_matches('\'').to_string();
            return Err(Diagnostic::error("E2013", span, "a vector has no column form, so this is a dot product, not an outer one")
                .at("both sides are vectors")
                .fix("for the matrix of all products", span, format!("outer({l}, {r})"))
                .fix("for the dot product", span, format!("{l} @ {r}"))
                .into());
        }
        Ok(Value::Num(self.emit_blaming(Op::MatMul, &[p, q], span, &[a.span, b.span])?))
    }

    pub fn transpose_value(&mut self, v: &Value, span: Span) -> Eval<Value> {
        let Value::Num(n) = v else { return Err(self.not_numeric(v, span)) };
        let rank = self.ty(*n).shape.rank();
        if rank < 2 {
            return Ok(v.clone());
        }
        let mut perm: Vec<usize> = (0..rank).collect();
        perm.swap(rank - 1, rank - 2);
        Ok(Value::Num(self.emit(Op::Transpose(perm), &[*n], span)?))
    }

    pub(super) fn eval_compare(&mut self, operands: &[Expr], ops: &[CompareOp], env: &Env, span: Span) -> Eval<Value> {
        let values = operands.iter().map(|o| self.eval(o, env)).collect::<Eval<Vec<_>>>()?;
        let mut out: Option<Value> = None;
        for (k, op) in ops.iter().enumerate() {
            let (Some(x), Some(y), Some(ex), Some(ey)) =
                (values.get(k), values.get(k + 1), operands.get(k), operands.get(k + 1))
            else {
                break;
            };
            let here = if ops.len() == 1 { span } else { ex.span.to(ey.span) };
            let c = self.compare(*op, x, y, here, ex.span, ey.span)?;
            out = Some(match out {
                None => c,
                Some(prev) => self.arith(Bin::And, &prev, &c, span, span, span)?,
            });
        }
        out.ok_or(crate::value::Stop::Poisoned)
    }

    fn compare(&mut self, op: CompareOp, x: &Value, y: &Value, span: Span, sx: Span, sy: Span) -> Eval<Value> {
        // Words and strings compare when the script is read.
        let word = |v: &Value| match v {
            Value::Symbol(s) => Some(s.to_string()),
            Value::Str(s) => Some(s.to_string()),
            _ => None,
        };
        if word(x).is_some() || word(y).is_some() {
            let same = word(x) == word(y);
            return match op {
                CompareOp::Eq => Ok(Value::Num(self.bool(same)?)),
                CompareOp::Ne => Ok(Value::Num(self.bool(!same)?)),
                _ => Err(Diagnostic::error("E1207", span, "words and strings have no order").at("only `==` and `!=`").into()),
            };
        }
        let b = match op {
            CompareOp::Lt => Bin::Lt,
            CompareOp::Le => Bin::Le,
            CompareOp::Gt => Bin::Gt,
            CompareOp::Ge => Bin::Ge,
            CompareOp::Eq => Bin::Eq,
            CompareOp::Ne => Bin::Ne,
        };
        self.arith(b, x, y, span, sx, sy)
    }

    /// `A & B`: intersection of sets, update of records, `and` of truth values.
    fn eval_meet(&mut self, a: &Expr, b: &Expr, env: &Env, span: Span) -> Eval<Value> {
        let (x, y) = (self.eval(a, env)?, self.eval(b, env)?);
        match (&x, &y) {
            (Value::Set(p), Value::Set(q)) => {
                Ok(Value::Set(Arc::new(SetValue { kind: SetKind::Meet(p.clone(), q.clone()) })))
            }
            (Value::Record(p), Value::Record(q)) => {
                let mut out = p.to_vec();
                for (n, v) in q.iter() {
                    match out.iter_mut().find(|(m, _)| m == n) {
                        Some(slot) => slot.1 = v.clone(),
                        None => out.push((n.clone(), v.clone())),
                    }
                }
                Ok(Value::record(out))
            }
            _ => Err(Diagnostic::error("E1208", span, format!("`&` joins two sets or two records, found {} and {}", x.kind(), y.kind()))
                .label(a.span, format!("this is {}", x.kind()))
                .label(b.span, format!("this is {}", y.kind()))
                .into()),
        }
    }

    /// `x |> f`, `rule |> rule`, `rule |> project`.
    fn eval_pipe(&mut self, a: &Expr, b: &Expr, env: &Env, span: Span) -> Eval<Value> {
        let x = self.eval(a, env)?;
        let y = self.eval(b, env)?;
        if let Value::Rule(r) = &x {
            let next = match &y {
                Value::Rule(q) => q.clone(),
                Value::Fn(f) if f.name() == "project" => Arc::new(RuleValue::Project),
                other => {
                    return Err(Diagnostic::error("E1209", b.span, format!("a rule can be followed by a rule or `project`, found {}", other.kind()))
                .at(format!("this is {}", other.kind())).into());
                }
            };
            let mut parts = Vec::new();
            for p in [r, &next] {
                match &**p {
                    RuleValue::Chain(inner) => parts.extend(inner.iter().cloned()),
                    _ => parts.push(p.clone()),
                }
            }
            return Ok(Value::Rule(Arc::new(RuleValue::Chain(parts))));
        }
        self.apply(&y, &[CallArg { name: None, value: x, span: a.span }], span)
    }

    /// `f . g`
    fn eval_compose(&mut self, a: &Expr, b: &Expr, env: &Env, _span: Span) -> Eval<Value> {
        let (f, g) = (self.eval(a, env)?, self.eval(b, env)?);
        Ok(Value::native("composition", move |s, args, span| {
            let inner = s.apply(&g, args, span)?;
            s.apply(&f, &[CallArg { name: None, value: inner, span }], span)
        }))
    }
}
