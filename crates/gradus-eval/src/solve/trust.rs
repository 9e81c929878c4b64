//! Is a derivative to be trusted? The linear system behind it is checked, and so is whether the solution sits at a kink.

use super::implicit::{Equation, Kink, Unsolved};
use super::method::code;
use crate::interp::Interp;
use crate::value::{Eval, Num, Value};
use gradus_ir::{BinaryOp, Graph, Op, ReduceOp, UnaryOp};
use gradus_syntax::Span;
use std::sync::Arc;

/// The residual of a linear system relative to its right-hand side, beyond which there is no derivative.
const TOLERANCE: f64 = 1e-6;

/// Damping of a linear system that was not solved, relative to the size of its operator.
const DAMPING: f64 = 1e-6;

/// How far from the solution (relative to it) the two sides of a kink are compared.
const NEAR: f64 = 1e-5;

/// A change of slope, relative to the slope, beyond which there is a kink.
const BEND: f64 = 1e-2;

/// What linear systems, and kinks, are called after the label of their equation where they are counted.
pub const LINEAR: &str = " (linear system)";
pub const KINK: &str = " (kink)";

impl Interp<'_> {
    /// A result that does not solve the system is none, unless the clause says otherwise: a derivative is right, or told to be wrong.
    pub(super) fn trusted(&mut self, apply: &Value, transposed: &Value, b: &Value, u: Value, eq: &Equation<'_>) -> Eval<Value> {
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
        let zero = self.real(0.0)?;
        let some = self.bin(BinaryOp::Gt, size, zero, span)?;
        let relative = self.bin(BinaryOp::Div, off, size, span)?;
        let relative = self.emit(Op::Select, &[some, relative, zero], span)?;
        // Where it is an error there is nothing to warn of.
        let ends = if eq.unsolved.goes_on() { self.un(UnaryOp::ToReal, ok, span)? } else { self.real(code::CONVERGED)? };
        let unknown = self.real(f64::NAN)?;
        let name: Arc<str> = Arc::from(format!("{}{LINEAR}", eq.label));
        let u = if eq.unsolved == Unsolved::Damp { self.damped(apply, transposed, b, &u, ok, span)? } else { u };
        let old = self.at(eq.at);
        let u = self.tallied(&u, name, ends, unknown, relative, span);
        self.tracer.origin = old;
        let u = u?;
        if eq.unsolved.goes_on() {
            return Ok(u);
        }
        let label: Arc<str> = Arc::from(format!("the linear system behind the derivative of `{}` was not solved", eq.label));
        self.map_tree(&u, span, &mut |s, n| s.emit(Op::Check(label.clone()), &[n, ok], span))
    }

    /// `u` where it is a solution, else the damped solution of least squares: `(A' A + damping^2 |A|^2) u = A' b`.
    fn damped(&mut self, apply: &Value, transposed: &Value, b: &Value, u: &Value, ok: Num, span: Span) -> Eval<Value> {
        let leaves = self.leaves(u, span)?;
        let then = self.region(&[], span, |_, _| Ok(leaves.clone()))?;
        let other = self.region(&[], span, |s, _| {
            let back = s.call_values(transposed, std::slice::from_ref(b), span)?;
            let (size, b_size) = (s.norm_tree(&back, span)?, s.norm_tree(b, span)?);
            let gain = s.bin(BinaryOp::Div, size, b_size, span)?;
            let small = s.real(DAMPING)?;
            let damping = s.bin(BinaryOp::Mul, gain, small, span)?;
            let damping = Value::Num(s.un(UnaryOp::Square, damping, span)?);
            let (a, t) = (apply.clone(), transposed.clone());
            let normal = Value::native("operator", move |s, args, span| {
                let v = s.one_arg(args, "the operator", span)?;
                let av = s.call_values(&a, std::slice::from_ref(&v), span)?;
                let tav = s.call_values(&t, &[av], span)?;
                let dv = s.arith(BinaryOp::Mul, &damping, &v, span, span, span)?;
                s.arith(BinaryOp::Add, &tav, &dv, span, span, span)
            });
            let cg = s.library_function("krylov", "cg", span)?;
            let found = s.call_values(&cg, &[normal, back], span)?;
            s.leaves(&found, span)
        })?;
        let outs = self.branches(ok, &then, &other, span)?;
        self.rebuild(u, &outs, span)
    }

    /// Counts where the solution sits at a kink of its equation, so that the derivative is that of one side: slopes a small
    /// step up and down are compared.
    pub(super) fn two_sided(
        &mut self,
        x: &Value,
        u: Value,
        kink: &mut Kink<'_>,
        eq: &Equation<'_>,
    ) -> Eval<Value> {
        let span = eq.span;
        let size = self.norm_tree(x, span)?;
        let one = self.real(1.0)?;
        let scale = self.bin(BinaryOp::Max, size, one, span)?;
        let small = self.real(self.tolerance(NEAR))?;
        let h = self.bin(BinaryOp::Mul, scale, small, span)?;
        let ends = [1.0, 0.0, -1.0].map(|side| -> Eval<Value> {
            let e = self.map_tree(x, span, &mut |s, n| s.pattern(n, side, h, span))?;
            kink(self, x, &e)
        });
        let [up, here, down] = ends;
        let (up, here, down) = (up?, here?, down?);
        let rise = self.arith(BinaryOp::Sub, &up, &here, span, span, span)?;
        let fall = self.arith(BinaryOp::Sub, &here, &down, span, span, span)?;
        let bend = self.arith(BinaryOp::Sub, &rise, &fall, span, span, span)?;
        let both = self.arith(BinaryOp::Sub, &up, &down, span, span, span)?;
        let (bend, both) = (self.largest(&bend, span)?, self.largest(&both, span)?);
        let zero = self.real(0.0)?;
        let some = self.bin(BinaryOp::Gt, both, zero, span)?;
        let ratio = self.bin(BinaryOp::Div, bend, both, span)?;
        let ratio = self.emit(Op::Select, &[some, ratio, zero], span)?;
        let most = self.real(BEND)?;
        let smooth = self.bin(BinaryOp::Le, ratio, most, span)?;
        let ends = self.un(UnaryOp::ToReal, smooth, span)?;
        let unknown = self.real(f64::NAN)?;
        let old = self.at(eq.at);
        let u = self.tallied(&u, Arc::from(format!("{}{KINK}", eq.label)), ends, unknown, ratio, span);
        self.tracer.origin = old;
        u
    }

    /// `side h` times numbers of mixed sizes and signs, of the shape of `n`.
    fn pattern(&mut self, n: Num, side: f64, h: Num, span: Span) -> Eval<Num> {
        let shape = self.ty(n).shape;
        let iota = self.emit(Op::Iota(shape.count()), &[], span)?;
        let k = self.un(UnaryOp::ToReal, iota, span)?;
        let (a, c) = (self.real(2.4)?, self.real(0.6)?);
        let k = self.bin(BinaryOp::Mul, k, a, span)?;
        let k = self.bin(BinaryOp::Add, k, c, span)?;
        let v = self.un(UnaryOp::Sin, k, span)?;
        let side = self.real(side)?;
        let h = self.bin(BinaryOp::Mul, side, h, span)?;
        let v = self.bin(BinaryOp::Mul, v, h, span)?;
        self.emit(Op::Reshape(shape), &[v], span)
    }

    /// The largest absolute value in a tree.
    fn largest(&mut self, v: &Value, span: Span) -> Eval<Num> {
        let size = self.unary_value(UnaryOp::Abs, v, span, span)?;
        self.positive_max(&size, span)
    }
}

/// Has a region anything at which a derivative can jump?
pub(super) fn bends(g: &Graph) -> bool {
    g.nodes().any(|(_, n)| {
        let jumps = match &n.op {
            Op::Unary(u) => matches!(u, UnaryOp::Abs | UnaryOp::Sign | UnaryOp::Floor | UnaryOp::Ceil | UnaryOp::Round),
            Op::Binary(b) => matches!(b, BinaryOp::Max | BinaryOp::Min),
            Op::Reduce(r, _) => matches!(r, ReduceOp::Max | ReduceOp::Min),
            Op::Select | Op::Sort { .. } | Op::ArgReduce { .. } | Op::Cond { .. } => true,
            _ => false,
        };
        jumps || n.op.regions().iter().any(|r| bends(r))
    })
}
