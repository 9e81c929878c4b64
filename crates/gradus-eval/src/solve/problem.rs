//! What a problem is before it is solved: its unknown, set, objective and constraints, with the scope they stand in.

use crate::env::Env;
use crate::interp::Interp;
use crate::tree::TypeTree;
use crate::value::{Eval, SetKind, SetValue, Stop, Value};
use gradus_syntax::ast::{Constraint, Expr, ExprKind, Find, Optimize, Pattern, Sense, StmtKind, Unknown};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

pub struct Problem {
    pub name: Arc<str>,
    pub sense: Sense,
    /// A `find`: the objective is an operator, and the answer is where it is zero or points out of the set.
    pub equilibrium: bool,
    /// Of a saddle problem, whose objective is a function: the unknowns that maximize it, the others minimize. Empty elsewhere.
    pub ascending: Vec<Arc<str>>,
    /// The names of the unknowns; with several, the tree is a record with these fields.
    pub unknowns: Vec<Arc<str>>,
    pub tree: TypeTree,
    /// The set of the whole tree: absent where the unknown is free.
    pub set: Option<Arc<SetValue>>,
    pub objective: Expr,
    pub constraints: Vec<Constraint>,
    /// `by` written inside the problem.
    pub by: Option<Expr>,
    pub env: Env,
    pub span: Span,
}

impl Problem {
    /// The scope of the objective, with the unknowns bound to (parts of) `x`.
    pub fn scope(&self, x: &Value) -> Env {
        match self.unknowns.as_slice() {
            [only] => self.env.bind(only.clone(), x.clone()),
            names => names.iter().fold(self.env.clone(), |env, n| match x.field(n) {
                Some(v) => env.bind(n.clone(), v.clone()),
                None => env,
            }),
        }
    }
}

impl Interp<'_> {
    /// A problem from its expression: a `min`/`max`, possibly behind `let … in`.
    pub fn problem_from(&mut self, e: &Expr, env: &Env, name: Arc<str>, span: Span) -> Eval<Value> {
        match &*e.kind {
            ExprKind::Optimize(o) => Ok(Value::Problem(Arc::new(self.make_problem(o, env, name, e.span)?))),
            ExprKind::LetIn(p, ty, v, body) => {
                let env = self.eval_let(p, ty.as_ref(), v, env)?;
                self.problem_from(body, &env, name, span)
            }
            ExprKind::Block(stmts, last) => {
                let mut env = env.clone();
                for s in stmts {
                    if let StmtKind::Let(p, ty, v) = &s.kind {
                        env = self.eval_let(p, ty.as_ref(), v, &env)?;
                    }
                }
                self.problem_from(last, &env, name, span)
            }
            ExprKind::Find(f) => Ok(Value::Problem(Arc::new(self.make_equilibrium(f, env, name, e.span)?))),
            ExprKind::Error => Err(Stop::Poisoned),
            _ => Err(Diagnostic::error("E3001", e.span, "a problem is a `min`, a `max` or a `find`")
                .at("this is none of them")
                .help("write `min x: real[n] of …`")
                .into()),
        }
    }

    pub fn make_problem(&mut self, o: &Optimize, env: &Env, name: Arc<str>, span: Span) -> Eval<Problem> {
        let (unknowns, tree, set) = self.unknowns(&o.unknowns, env)?;
        Ok(Problem {
            name,
            sense: o.sense,
            equilibrium: false,
            ascending: Vec::new(),
            unknowns,
            tree,
            set,
            objective: o.objective.clone(),
            constraints: o.constraints.clone(),
            by: o.clauses.by.clone(),
            env: env.clone(),
            span,
        })
    }

    /// `find x: T in S of F` over a set or everywhere.
    pub fn make_equilibrium(&mut self, f: &Find, env: &Env, name: Arc<str>, span: Span) -> Eval<Problem> {
        let (unknowns, tree, set) = self.unknowns(&f.unknowns, env)?;
        Ok(Problem {
            name,
            sense: Sense::Min,
            equilibrium: true,
            ascending: Vec::new(),
            unknowns,
            tree,
            set,
            objective: f.operator.clone(),
            constraints: Vec::new(),
            by: f.clauses.by.clone(),
            env: env.clone(),
            span,
        })
    }

    /// Names, structure and set of the unknowns of a binder.
    #[allow(clippy::type_complexity)]
    pub(super) fn unknowns(&mut self, unknowns: &[Unknown], env: &Env) -> Eval<(Vec<Arc<str>>, TypeTree, Option<Arc<SetValue>>)> {
        let mut trees: Vec<(Arc<str>, TypeTree)> = Vec::new();
        let mut sets: Vec<(Arc<str>, Arc<SetValue>)> = Vec::new();
        for u in unknowns {
            let Some(ty) = &u.ty else {
                return Err(Diagnostic::error("E3002", u.name.span, format!("the unknown `{}` needs a type", u.name.name))
                    .at("its shape is not known")
                    .help(format!("write `{}: real[n]`", u.name.name))
                    .into());
            };
            let tree = self.type_of(ty, env)?;
            if let Some(bad) = tree.leaves().iter().find(|t| t.dtype != gradus_ir::DType::Real) {
                return Err(Diagnostic::error("E3003", ty.span, format!("an unknown must be real, found {}", bad.dtype))
                    .at("integer and boolean unknowns are not in this release")
                    .into());
            }
            if let Some(s) = &u.set {
                let v = self.eval(s, env)?;
                sets.push((u.name.name.clone(), self.as_set(&v, s.span)?));
            }
            trees.push((u.name.name.clone(), tree));
        }
        let unknowns: Vec<Arc<str>> = trees.iter().map(|(n, _)| n.clone()).collect();
        let (tree, set) = if let ([_], Some((_, tree))) = (unknowns.as_slice(), trees.first().cloned()) {
            (tree, sets.pop().map(|(_, s)| s))
        } else {
            let set = if sets.is_empty() { None } else { Some(Arc::new(SetValue { kind: SetKind::Product(sets) })) };
            (TypeTree::Record(trees), set)
        };
        Ok((unknowns, tree, set))
    }

    /// A set from a value: a set, a set declaration without parameters, or an interval `(lo, hi)`.
    pub fn as_set(&mut self, v: &Value, span: Span) -> Eval<Arc<SetValue>> {
        match v {
            Value::Set(s) => Ok(s.clone()),
            Value::List(l) if l.len() == 2 => match l.as_slice() {
                [a @ Value::Num(_), b @ Value::Num(_)] => {
                    Ok(Arc::new(SetValue { kind: SetKind::Interval(a.clone(), b.clone()) }))
                }
                _ => Err(not_a_set(v, span)),
            },
            // A set for each field: their product.
            Value::Record(fields) if !fields.is_empty() => {
                let parts = fields.iter().map(|(n, v)| Ok((n.clone(), self.as_set(v, span)?))).collect::<Eval<_>>()?;
                Ok(Arc::new(SetValue { kind: SetKind::Product(parts) }))
            }
            Value::Poison => Err(Stop::Poisoned),
            other => Err(not_a_set(other, span)),
        }
    }

    /// The pattern's only name, where it has one.
    pub fn pattern_name(p: &Pattern) -> Option<Arc<str>> {
        match p {
            Pattern::Name(id) => Some(id.name.clone()),
            _ => None,
        }
    }
}

fn not_a_set(v: &Value, span: Span) -> Stop {
    Diagnostic::error("E3004", span, format!("expected a set, found {}", v.kind()))
        .at(format!("this is {}", v.kind()))
        .help("sets are `nonnegative`, `box(lo, hi)`, `simplex`, `l1_ball(r)`, … or an interval `(lo, hi)`")
        .into()
}
