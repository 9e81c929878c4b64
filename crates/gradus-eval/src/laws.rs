//! `law NAME(A: real[m, n], v: real[n]): lhs == rhs is rewrite when cond`: each law is a test on random instances, and one that
//! says `is rewrite` is a rule of the rewriter from there on.

use crate::env::Env;
use crate::host::{Event, StatedLaw, Unfit};
use crate::interp::{Interp, Mode};
use crate::types::element;
use crate::value::{Eval, Stop, Value};
use gradus_ir::build::Build;
use gradus_ir::{BinaryOp, DType, Dim, F64, Graph, IrResult, NodeId, Op, Origin, Shape, Ty, UnaryOp};
use gradus_syntax::ast::{ExprKind, LawDecl, TypeKind};
use gradus_syntax::{Diagnostic, Span};
use std::cell::RefCell;

/// Instances of each law; of one that is a rule the last ones have small values, ties and zeros.
const DRAWS: u64 = 16;
const SMALL: u64 = 12;
const ZEROS: u64 = 15;
/// Both sides agree to this, relative to their size.
const TOLERANCE: f64 = 1e-9;
/// Lengths that unnamed dimensions get, in order of appearance.
const SIZES: [i64; 5] = [3, 5, 4, 2, 6];

impl Interp<'_> {
    /// Test a law. Laws over functions or untyped variables have no random instances and are refused.
    pub(crate) fn law(&mut self, module: usize, law: &LawDecl) -> Eval<()> {
        if let Some(f) = &self.options.filter
            && !law.name.name.contains(f.as_str())
        {
            return Ok(());
        }
        if law.params.is_empty() {
            // A law in pattern variables says something to the reader; there is nothing to draw.
            if self.mode == Mode::Check {
                self.warn(
                    Diagnostic::warning("W3037", law.name.span, format!("the law `{}` is not tested", law.name.name))
                        .at("its variables have no types")
                        .help("declare them: `law name(A: real[m, n], v: real[n]): …`"),
                );
            }
            return Ok(());
        }
        if let Some(p) = law.params.iter().find(|p| !is_numeric(p)) {
            return Err(Diagnostic::error("E3036", p.name.span, format!("the law cannot be tested: `{}` has no numeric type", p.name.name))
                .at("random instances need a type such as `real[n]`")
                .into());
        }
        let span = law.lhs.span.to(law.rhs.span);
        if self.mode == Mode::Check {
            let env = self.instance(law, module, 0, span)?;
            self.law_applies(law, &env)?;
            return self.law_sides(law, &env, span).map(|_| ());
        }
        let (tried, failure) = self.tested(module, law, span)?;
        let passed = failure.is_none() && tried > 0;
        let mut diagnostics = Vec::new();
        if let Some(off) = failure {
            diagnostics.push(broken(law, span, off));
        } else if tried == 0 {
            diagnostics.push(
                Diagnostic::error("E8004", span, format!("no random instance satisfies the conditions of `{}`", law.name.name))
                    .at("the law was not tested"),
            );
        }
        self.diagnostics.extend(diagnostics.iter().cloned());
        let name = format!("law {}", law.name.name).into();
        self.host.emit(Event::Test { name, passed, diagnostics });
        self.tests.push(passed);
        Ok(())
    }

    /// On how many instances the law was tested, and how far apart the sides were where it failed; found out once.
    fn tested(&mut self, module: usize, law: &LawDecl, span: Span) -> Eval<(u64, Option<f64>)> {
        if let Some(known) = self.laws.get(&law.name.span) {
            return Ok(*known);
        }
        let (mut tried, mut failure) = (0, None);
        for draw in 0..DRAWS {
            let env = self.instance(law, module, draw, span)?;
            if !self.law_applies(law, &env)? {
                continue;
            }
            tried += 1;
            let (a, d) = self.law_sides(law, &env, span)?;
            let off = self.law_distance(&d, &a, span)?;
            if !(off <= self.tolerance(TOLERANCE)) {
                failure = Some(off);
                break;
            }
        }
        self.laws.insert(law.name.span, (tried, failure));
        Ok((tried, failure))
    }

    /// The left side, and what the right one differs from it.
    fn law_sides(&mut self, law: &LawDecl, env: &Env, span: Span) -> Eval<(Value, Value)> {
        let (a, b) = (self.eval(&law.lhs, env)?, self.eval(&law.rhs, env)?);
        let d = self.arith(BinaryOp::Sub, &a, &b, span, law.lhs.span, law.rhs.span)?;
        Ok((a, d))
    }

    /// A law that says `is rewrite` becomes a rule of the rewriter, once it was tested.
    pub(crate) fn state_law(&mut self, module: usize, law: &LawDecl) -> Eval<()> {
        let Some(first) = law.facts.first() else { return Ok(()) };
        let unfit = |d: &str| Diagnostic::warning("W7010", first.name.span, format!("the law `{}` is no rewrite rule", law.name.name)).at(d);
        if let Some(f) = law.facts.iter().find(|f| !matches!(&*f.name.name, "rewrite" | "exact") || !f.args.is_empty()) {
            let d = Diagnostic::error("E3080", f.name.span, format!("a law cannot be `{}`", f.name.name))
                .at("no property of a law")
                .help("`is rewrite` lets the right side replace the left one, `is rewrite, exact` also where floats must stay the same");
            return Err(d.into());
        }
        if law.params.is_empty() || law.params.iter().any(|p| !is_numeric(p)) {
            if self.mode == Mode::Check {
                self.warn(unfit("its variables need types such as `real[n]`").help("declare them: `law name(A: real[m, n], v: real[n]): …`"));
            }
            return Ok(());
        }
        let span = law.lhs.span.to(law.rhs.span);
        // The sides are traced for any lengths, whatever the run knows of its own.
        let mode = std::mem::replace(&mut self.mode, Mode::Check);
        let traced = self.stated(module, law, span);
        self.mode = mode;
        let mut stated = match traced? {
            Ok(stated) => stated,
            Err(why) => {
                if self.mode == Mode::Check {
                    self.warn(unfit(why));
                }
                return Ok(());
            }
        };
        match self.host.engine().learn(stated.clone()) {
            Ok(()) => {}
            Err(Unfit::Form(why)) if self.mode == Mode::Check => self.warn(unfit(&why)),
            Err(Unfit::Loops) if self.mode == Mode::Check => self.warn(
                Diagnostic::warning("W7011", span, format!("the law `{}` would be applied to what it gives, without end", law.name.name))
                    .at("the right side holds an instance of the left one")
                    .help("state it the other way round, or without `is rewrite`"),
            ),
            Err(_) => return Ok(()),
        }
        if self.mode == Mode::Check {
            return Ok(());
        }
        // By the reference interpreter, which no law has any part in.
        let (n, off) = tried(&stated).map_err(|e| Diagnostic::error("E8003", span, format!("the law `{}` cannot be tested: {e}", law.name.name)).at("stated here"))?;
        self.laws.insert(law.name.span, (n, off));
        match off {
            // A run of the tests says so itself.
            Some(_) if self.options.tests => Ok(()),
            Some(off) => Err(broken(law, span, off).into()),
            None if n == 0 => Ok(()),
            None => {
                stated.tested = Some(n as usize);
                // It was found fit above.
                self.host.engine().learn(stated).map_err(|_| Stop::Poisoned)
            }
        }
    }

    /// Both sides and the conditions over variables of any lengths; or why they are no graph of them.
    fn stated(&mut self, module: usize, law: &LawDecl, span: Span) -> Eval<Result<StatedLaw, &'static str>> {
        let (env, types) = self.law_types(law, module, &mut |name| Dim::sym(name))?;
        let mut single = true;
        let region = self.region(&types, span, |s, args| {
            let mut env = env.clone();
            for (p, n) in law.params.iter().zip(args) {
                env = env.bind(p.name.name.clone(), Value::Num(*n));
            }
            let mut outs = Vec::new();
            for e in [&law.lhs, &law.rhs].into_iter().chain(&law.conditions) {
                let v = s.eval(e, &env)?;
                let leaves = s.leaves(&v, e.span)?;
                single &= leaves.len() == 1;
                outs.extend(leaves);
            }
            // Whole numbers on one side are reals where the other side is real.
            if let [l, r, ..] = outs.as_mut_slice() {
                let types = (s.ty(*l).dtype, s.ty(*r).dtype);
                match types {
                    (DType::Real, DType::Int) => *r = s.un(UnaryOp::ToReal, *r, span)?,
                    (DType::Int, DType::Real) => *l = s.un(UnaryOp::ToReal, *l, span)?,
                    _ => {}
                }
            }
            Ok(outs)
        })?;
        if !single {
            return Ok(Err("its sides are no arrays"));
        }
        if !region.captures.is_empty() {
            return Ok(Err("it uses values of the script besides its variables"));
        }
        let settled = region.graph.settled().and_then(|g| g.compact()).map_err(|e| crate::errors::from_ir(&e, span, &[]))?;
        Ok(Ok(StatedLaw {
            name: law.name.name.clone(),
            variables: law.params.iter().map(|p| p.name.name.clone()).collect(),
            graph: settled,
            exact: law.facts.iter().any(|f| &*f.name.name == "exact"),
            tested: None,
        }))
    }

    /// The types of a law's variables, and a scope with their lengths; lengths that are met first are what `length` says.
    fn law_types(&mut self, law: &LawDecl, module: usize, length: &mut dyn FnMut(&str) -> Dim) -> Eval<(Env, Vec<Ty>)> {
        let mut env = Env::module(module);
        let mut types = Vec::with_capacity(law.params.len());
        for p in &law.params {
            let (dtype, dims) = match p.ty.as_ref().map(|t| &*t.kind) {
                Some(TypeKind::Array(base, dims)) => match &*base.kind {
                    TypeKind::Name(id) => (element(&id.name), dims.as_slice()),
                    _ => (None, dims.as_slice()),
                },
                Some(TypeKind::Name(id)) => (element(&id.name), [].as_slice()),
                _ => (None, [].as_slice()),
            };
            let mut shape = Shape::scalar();
            for d in dims {
                if let ExprKind::Name(id) = &*d.kind
                    && env.local(&id.name).is_none()
                {
                    let v = self.dim_num(&length(&id.name))?;
                    env = env.bind(id.name.clone(), Value::Num(v));
                }
                shape.0.push(self.dim_of(d, &env)?);
            }
            types.push(Ty::new(dtype.unwrap_or(DType::Real), shape));
        }
        Ok((env, types))
    }

    /// Random values for the law's variables; dimensions are bound as they appear.
    fn instance(&mut self, law: &LawDecl, module: usize, draw: u64, span: Span) -> Eval<Env> {
        let mut sizes = SIZES.iter().cycle();
        let (mut env, types) = self.law_types(law, module, &mut |_| Dim::Known(sizes.next().copied().unwrap_or(3)))?;
        for (k, (p, ty)) in law.params.iter().zip(types).enumerate() {
            // The same numbers as those of the laws that are rules.
            let region = {
                let mut g = Graph::new();
                let v = drawn(&mut Build::new(&mut g, self.tracer.origin), &ty, draw, k, false);
                g.outputs = vec![v.map_err(|e| crate::errors::from_ir(&e, span, &[]))?];
                g
            };
            let v = self.inline(&region, &[], span)?.first().copied().ok_or(Stop::Poisoned)?;
            env = env.bind(p.name.name.clone(), Value::Num(v));
        }
        Ok(env)
    }

    fn law_applies(&mut self, law: &LawDecl, env: &Env) -> Eval<bool> {
        for c in &law.conditions {
            let v = self.eval(c, env)?;
            for n in self.leaves(&v, c.span)? {
                if self.mode == Mode::Run && self.force(n)?.data.iter().any(|x| *x == 0.0) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn law_distance(&mut self, d: &Value, a: &Value, span: Span) -> Eval<f64> {
        let mut off: f64 = 0.0;
        let mut size: f64 = 1.0;
        for n in self.leaves(d, span)? {
            for x in self.force(n)?.data.iter() {
                off = if x.is_nan() { f64::NAN } else { off.max(x.abs()) };
                if off.is_nan() {
                    return Ok(off);
                }
            }
        }
        for n in self.leaves(a, span)? {
            size = self.force(n)?.data.iter().fold(size, |s, x| s.max(x.abs()));
        }
        Ok(off / size)
    }
}

/// On how many random instances a law was tried, and how far apart its sides were where it failed.
fn tried(law: &StatedLaw) -> Result<(u64, Option<f64>), String> {
    let lengths: RefCell<Vec<(String, i64)>> = RefCell::default();
    let length = |n: &str| -> Option<Dim> {
        let mut known = lengths.borrow_mut();
        let next = SIZES[known.len() % SIZES.len()];
        let at = known.iter().position(|(m, _)| m == n).unwrap_or_else(|| {
            known.push((n.to_string(), next));
            known.len() - 1
        });
        Some(Dim::Known(known[at].1))
    };
    let ir = |e: gradus_ir::IrError| e.to_string();
    let sides = law.graph.with_dims(&length).map_err(ir)?;
    let mut count = 0;
    for draw in 0..DRAWS {
        let mut g = Graph::new();
        let mut b = Build::new(&mut g, Origin::default());
        let mut args = Vec::new();
        for (k, p) in sides.params().iter().enumerate() {
            args.push(drawn(&mut b, sides.ty(*p), draw, k, true).map_err(ir)?);
        }
        g.outputs = g.inline(&sides, &args).map_err(ir)?;
        let outs = gradus_ir::reference::run(&g, &[]).map_err(|e| e.to_string())?;
        let [left, right, conditions @ ..] = outs.as_slice() else { return Err("it has no two sides".into()) };
        if conditions.iter().any(|c| c.data.contains(&0.0)) {
            continue;
        }
        count += 1;
        let size = left.data.iter().fold(1.0_f64, |s, x| s.max(x.abs()));
        let off = left.data.iter().zip(right.data.iter()).map(|(x, y)| (x - y).abs()).fold(0.0, |s: f64, d| if d.is_nan() { d } else { s.max(d) });
        if !(off / size <= TOLERANCE) {
            return Ok((count, Some(off / size)));
        }
    }
    Ok((count, None))
}

/// The k-th variable of an instance: normal numbers; among the last instances small ones, ties and zeros.
fn drawn(b: &mut Build<'_>, ty: &Ty, draw: u64, k: usize, edges: bool) -> IrResult<NodeId> {
    let seed = b.op(Op::Const(F64::new((draw * 1000 + k as u64) as f64), DType::Int), &[])?;
    let key = b.op(Op::Key, &[seed])?;
    let normal = b.op(Op::Normal(ty.shape.clone()), &[key])?;
    let scaled = |b: &mut Build<'_>, by: f64| -> IrResult<NodeId> {
        let by = b.real(by)?;
        b.mul(by, normal)
    };
    match ty.dtype {
        DType::Int => {
            let wide = scaled(b, 3.0)?;
            b.un(UnaryOp::ToInt, wide)
        }
        DType::Bool => {
            let zero = b.real(0.0)?;
            b.bin(BinaryOp::Gt, normal, zero)
        }
        DType::Real if edges && draw == SMALL => scaled(b, 0.01),
        DType::Real if edges && draw == ZEROS => scaled(b, 0.0),
        DType::Real if edges && draw > SMALL => b.un(UnaryOp::Round, normal),
        DType::Real => Ok(normal),
    }
}

fn broken(law: &LawDecl, span: Span, off: f64) -> Diagnostic {
    Diagnostic::error("E8003", span, format!("the law `{}` does not hold", law.name.name))
        .at(format!("the sides differ by {off:.3e} relative to their size"))
        .help("restrict it with `when`, or correct one side")
}

fn is_numeric(p: &gradus_syntax::ast::Param) -> bool {
    match p.ty.as_ref().map(|t| &*t.kind) {
        Some(TypeKind::Name(id)) => element(&id.name).is_some(),
        Some(TypeKind::Array(base, _)) => matches!(&*base.kind, TypeKind::Name(id) if element(&id.name).is_some()),
        _ => false,
    }
}
