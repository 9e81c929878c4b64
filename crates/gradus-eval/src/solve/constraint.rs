//! Constraints as residuals: equalities that must be zero, inequalities that must not be positive.

use super::problem::Problem;
use crate::env::Env;
use crate::interp::Interp;
use crate::value::{Eval, Fields, SetKind, SetValue, Value};
use gradus_ir::BinaryOp;
use gradus_syntax::ast::{BinaryOp as AstOp, CompareOp, Expr, ExprKind};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

/// Residuals by constraint name.
pub struct Residuals {
    pub eq: Fields,
    pub ineq: Fields,
}

impl Interp<'_> {
    /// The residuals of a problem's constraints at `x`.
    pub fn residuals(&mut self, p: &Problem, x: &Value) -> Eval<Residuals> {
        let env = p.scope(x);
        let mut out = Residuals { eq: Vec::new(), ineq: Vec::new() };
        for (k, c) in p.constraints.iter().enumerate() {
            let name = match &c.name {
                Some(n) => n.name.clone(),
                None => Arc::from(format!("c{}", k + 1)),
            };
            let mut found = Vec::new();
            self.residual_of(&c.expr, &env, &mut found)?;
            let many = found.len() > 1;
            for (j, (equality, r)) in found.into_iter().enumerate() {
                let name = if many { Arc::from(format!("{name}_{}", j + 1)) } else { name.clone() };
                let side = if equality { &mut out.eq } else { &mut out.ineq };
                side.push((name, r));
            }
        }
        Ok(out)
    }

    fn residual_of(&mut self, e: &Expr, env: &Env, out: &mut Vec<(bool, Value)>) -> Eval<()> {
        match &*e.kind {
            ExprKind::Compare(operands, ops) => {
                let values = operands.iter().map(|o| self.eval(o, env)).collect::<Eval<Vec<_>>>()?;
                for (k, op) in ops.iter().enumerate() {
                    let (Some(a), Some(b)) = (values.get(k), values.get(k + 1)) else { continue };
                    let (Some(ea), Some(eb)) = (operands.get(k), operands.get(k + 1)) else { continue };
                    let r = match op {
                        CompareOp::Le | CompareOp::Lt | CompareOp::Eq => {
                            self.arith(BinaryOp::Sub, a, b, e.span, ea.span, eb.span)?
                        }
                        CompareOp::Ge | CompareOp::Gt => self.arith(BinaryOp::Sub, b, a, e.span, eb.span, ea.span)?,
                        CompareOp::Ne => {
                            return Err(Diagnostic::error("E3006", e.span, "`!=` describes no closed set")
                                .at("a constraint is `<=`, `>=`, `==` or `in`")
                                .into());
                        }
                    };
                    out.push((*op == CompareOp::Eq, r));
                }
                Ok(())
            }
            ExprKind::Binary(AstOp::And, a, b) => {
                self.residual_of(a, env, out)?;
                self.residual_of(b, env, out)
            }
            ExprKind::Binary(AstOp::In, a, s) => {
                let (x, v) = (self.eval(a, env)?, self.eval(s, env)?);
                let set = self.as_set(&v, s.span)?;
                self.set_residuals(&set, &x, e.span, out)
            }
            _ => Err(Diagnostic::error("E3007", e.span, "a constraint is a comparison or `x in S`").at("this is neither").into()),
        }
    }

    /// The member conditions of a set as residuals.
    fn set_residuals(&mut self, s: &Arc<SetValue>, x: &Value, span: Span, out: &mut Vec<(bool, Value)>) -> Eval<()> {
        match &s.kind {
            SetKind::Declared { decl, env, args } => {
                let mut scope = env.clone();
                for (n, v) in args {
                    scope = scope.bind(n.clone(), v.clone());
                }
                for p in &decl.params {
                    if scope.local(&p.name.name).is_none()
                        && let Some(d) = &p.default
                    {
                        let v = self.eval(d, &scope)?;
                        scope = scope.bind(p.name.name.clone(), v);
                    }
                }
                if let Some(t) = &decl.element.ty {
                    scope = self.check_type(t, x.clone(), &scope, span, "the element")?.1;
                }
                scope = scope.bind(decl.element.name.name.clone(), x.clone());
                for m in &decl.members {
                    self.residual_of(m, &scope, out)?;
                }
                Ok(())
            }
            SetKind::Interval(lo, hi) => {
                out.push((false, self.arith(BinaryOp::Sub, lo, x, span, span, span)?));
                out.push((false, self.arith(BinaryOp::Sub, x, hi, span, span, span)?));
                Ok(())
            }
            SetKind::Meet(a, b) => {
                self.set_residuals(a, x, span, out)?;
                self.set_residuals(b, x, span, out)
            }
            SetKind::Product(parts) => {
                for (n, part) in parts {
                    if let Some(v) = x.field(n).cloned() {
                        self.set_residuals(part, &v, span, out)?;
                    }
                }
                Ok(())
            }
        }
    }

    /// The constraints as the function that a method is given: `c(x) = {eq, ineq}`.
    pub fn constraint_function(&self, p: &Arc<Problem>) -> Value {
        let p = p.clone();
        Value::native("constraints", move |s, args, span| {
            let x = s.one_arg(args, "the constraints", span)?;
            let r = s.residuals(&p, &x)?;
            Ok(Value::record(vec![(Arc::from("eq"), Value::record(r.eq)), (Arc::from("ineq"), Value::record(r.ineq))]))
        })
    }

    /// The largest violation of the constraints and of the set at `x`, by name.
    pub fn all_violations(&mut self, p: &Arc<Problem>, x: &Value, span: Span) -> Eval<Vec<(Arc<str>, crate::value::Num)>> {
        let mut out = Vec::new();
        let r = self.residuals(p, x)?;
        for (n, v) in r.eq {
            let a = self.unary_value(gradus_ir::UnaryOp::Abs, &v, span, span)?;
            out.push((n, self.positive_max(&a, span)?));
        }
        for (n, v) in r.ineq {
            out.push((n, self.positive_max(&v, span)?));
        }
        if let Some(s) = &p.set {
            for v in self.violations(s, x, span)? {
                out.push((Arc::from("set"), v));
            }
        }
        Ok(out)
    }
}

