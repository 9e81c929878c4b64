//! `law NAME(A: real[m, n], v: real[n]): lhs == rhs when cond`: each law is a test on random instances.

use crate::env::Env;
use crate::host::Event;
use crate::interp::{Interp, Mode};
use crate::types::element;
use crate::value::{Eval, Value};
use gradus_ir::{BinaryOp, DType, Dim, Op, Shape, UnaryOp};
use gradus_syntax::ast::{ExprKind, LawDecl, TypeKind};
use gradus_syntax::{Diagnostic, Span};

/// Instances of each law.
const DRAWS: u64 = 16;
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
        let draws = if self.mode == Mode::Check { 1 } else { DRAWS };
        let mut tried = 0;
        let mut failure = None;
        for draw in 0..draws {
            let env = self.instance(law, module, draw, span)?;
            if !self.law_applies(law, &env)? {
                continue;
            }
            tried += 1;
            let (a, b) = (self.eval(&law.lhs, &env)?, self.eval(&law.rhs, &env)?);
            let d = self.arith(BinaryOp::Sub, &a, &b, span, law.lhs.span, law.rhs.span)?;
            if self.mode == Mode::Check {
                return Ok(());
            }
            let off = self.law_distance(&d, &a, span)?;
            if !(off <= self.tolerance(TOLERANCE)) {
                failure = Some(off);
                break;
            }
        }
        let passed = failure.is_none() && tried > 0;
        let mut diagnostics = Vec::new();
        if let Some(off) = failure {
            diagnostics.push(
                Diagnostic::error("E8003", span, format!("the law `{}` does not hold", law.name.name))
                    .at(format!("the sides differ by {off:.3e} relative to their size"))
                    .help("restrict it with `when`, or correct one side"),
            );
        } else if tried == 0 && self.mode == Mode::Run {
            diagnostics.push(
                Diagnostic::error("E8004", span, format!("no random instance satisfies the conditions of `{}`", law.name.name))
                    .at("the law was not tested"),
            );
        }
        if self.mode == Mode::Run {
            self.diagnostics.extend(diagnostics.iter().cloned());
            let name = format!("law {}", law.name.name).into();
            self.host.emit(Event::Test { name, passed, diagnostics });
            self.tests.push(passed);
        }
        Ok(())
    }

    /// Random values for the law's variables; dimensions are bound as they appear.
    fn instance(&mut self, law: &LawDecl, module: usize, draw: u64, span: Span) -> Eval<Env> {
        let mut env = Env::module(module);
        let mut sizes = SIZES.iter().cycle();
        for (k, p) in law.params.iter().enumerate() {
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
                    let n = Dim::Known(sizes.next().copied().unwrap_or(3));
                    let v = self.dim_num(&n)?;
                    env = env.bind(id.name.clone(), Value::Num(v));
                }
                shape.0.push(self.dim_of(d, &env)?);
            }
            let seed = self.int((draw * 1000 + k as u64) as i64)?;
            let key = self.emit(Op::Key, &[seed], span)?;
            let normal = self.emit(Op::Normal(shape), &[key], span)?;
            let v = match dtype {
                Some(DType::Int) => {
                    let three = self.real(3.0)?;
                    let wide = self.bin(BinaryOp::Mul, normal, three, span)?;
                    self.un(UnaryOp::ToInt, wide, span)?
                }
                Some(DType::Bool) => {
                    let zero = self.real(0.0)?;
                    self.bin(BinaryOp::Gt, normal, zero, span)?
                }
                _ => normal,
            };
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

fn is_numeric(p: &gradus_syntax::ast::Param) -> bool {
    match p.ty.as_ref().map(|t| &*t.kind) {
        Some(TypeKind::Name(id)) => element(&id.name).is_some(),
        Some(TypeKind::Array(base, _)) => matches!(&*base.kind, TypeKind::Name(id) if element(&id.name).is_some()),
        _ => false,
    }
}
