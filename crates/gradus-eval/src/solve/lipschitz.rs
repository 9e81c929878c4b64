//! How fast a gradient can change: exact for quadratics, a bound for sums of known functions of affine maps.

use crate::interp::Interp;
use crate::value::{CallArg, Eval, Function, Num, Stop, Value};
use gradus_ir::{DType, Dim, Op, ReduceOp, Shape};
use gradus_syntax::{Diagnostic, Span};

/// Unknowns up to this size have their Hessian factorized; larger ones get a power iteration.
const EXACT: i64 = 600;
/// Steps of the power iteration, and what is added to its result, which comes from below.
const POWER_STEPS: i64 = 60;
const POWER_MARGIN: f64 = 1.05;

impl Interp<'_> {
    /// The largest eigenvalue of the Hessian of `f` at `x` (for a quadratic: everywhere).
    pub fn largest_curvature(&mut self, f: &Value, x: &Value, span: Span) -> Eval<Num> {
        let leaves = self.leaves(x, span)?;
        let total = leaves.iter().fold(Dim::Known(0), |a, n| a.add(&self.ty(*n).shape.count()));
        if total.known().is_some_and(|n| n > EXACT) {
            return self.power_iteration(f, x, &total, span);
        }
        let zero = self.real(0.0)?;
        let flat = self.emit(Op::Broadcast(Shape::new([total])), &[zero], span)?;
        let x = x.clone();
        let f = f.clone();
        let h = self.by_columns(flat, span, &mut |s, e| s.flat_curvature(&f, &x, e, span))?;
        let node = self.emit(Op::Eigh, &[h], span)?;
        let values = self.emit(Op::Get(0), &[node], span)?;
        self.emit(Op::Reduce(ReduceOp::Max, vec![0]), &[values], span)
    }

    /// The Hessian at `x` times a direction given as one vector, as one vector.
    fn flat_curvature(&mut self, f: &Value, x: &Value, e: Num, span: Span) -> Eval<Num> {
        let mut at = Dim::Known(0);
        let v = self.map_tree(x, span, &mut |s, n| {
            let shape = s.ty(n).shape;
            let len = shape.count();
            let part = s.emit(Op::Slice { axis: 0, start: at.clone(), len: len.clone() }, &[e], span)?;
            at = at.add(&len);
            s.emit(Op::Reshape(shape), &[part], span)
        })?;
        let out = self.hessian_vector(f, x, &v, span)?;
        let mut parts = Vec::new();
        for n in self.leaves(&out, span)? {
            let flat = Shape::new([self.ty(n).shape.count()]);
            parts.push(self.emit(Op::Reshape(flat), &[n], span)?);
        }
        self.emit(Op::Concat { axis: 0 }, &parts, span)
    }

    /// The largest eigenvalue by repeated multiplication from a fixed start without symmetry.
    fn power_iteration(&mut self, f: &Value, x: &Value, total: &Dim, span: Span) -> Eval<Num> {
        let key = self.int(0x9e37)?;
        let key = self.emit(Op::Key, &[key], span)?;
        let v0 = self.emit(Op::Normal(Shape::new([total.clone()])), &[key], span)?;
        let vt = self.ty(v0);
        let region = self.region(&[gradus_ir::Ty::scalar(DType::Int), vt], span, |s, p| {
            let [_, v] = p else { return Err(Stop::Poisoned) };
            let n = s.norm_tree(&Value::Num(*v), span)?;
            let tiny = s.real(f64::MIN_POSITIVE)?;
            let n = s.bin(gradus_ir::BinaryOp::Max, n, tiny, span)?;
            let u = s.bin(gradus_ir::BinaryOp::Div, *v, n, span)?;
            Ok(vec![s.flat_curvature(f, x, u, span)?])
        })?;
        let mut inputs = vec![v0];
        inputs.extend(region.captures.iter().copied());
        let l = gradus_ir::Loop {
            trip: gradus_ir::Trip::Count(Dim::Known(POWER_STEPS)),
            carries: 1,
            scanned: 0,
            collected: 0,
            cond: None,
            body: std::sync::Arc::new(region.graph),
            label: std::sync::Arc::from("power iteration"),
        };
        let node = self.emit(Op::Loop(Box::new(l)), &inputs, span)?;
        let last = self.emit(Op::Get(1), &[node], span)?;
        let norm = self.norm_tree(&Value::Num(last), span)?;
        let margin = self.real(POWER_MARGIN)?;
        self.bin(gradus_ir::BinaryOp::Mul, margin, norm, span)
    }
}

/// `lipschitz(f)` for an objective that a method was given.
pub(crate) fn lipschitz(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "lipschitz", span)?;
    let at = args.first().map(|a| a.span).unwrap_or(span);
    let Value::Fn(f) = &v else {
        return Err(Diagnostic::error("E3032", at, format!("`lipschitz` needs an objective, found {}", v.kind()))
            .at(format!("this is {}", v.kind())).into());
    };
    let Function::Region(r) = &**f else {
        return Err(Diagnostic::error("E3032", at, "`lipschitz` needs the objective that a method was given").into());
    };
    let r = r.clone();
    let mut zeros = Vec::new();
    for t in r.tree.leaves() {
        let z = s.real(0.0)?;
        zeros.push(s.emit(Op::Broadcast(t.shape), &[z], span)?);
    }
    let x = r.tree.build(&mut zeros.into_iter()).ok_or(Stop::Poisoned)?;
    let facts = s.function_facts(&r);
    if facts.is_quadratic() {
        return Ok(Value::Num(s.largest_curvature(&v, &x, span)?));
    }
    match s.curvature_bound(&r, &x, span)? {
        Some(n) => Ok(Value::Num(n)),
        // The objective is the culprit, not the line of the library that asks.
        None => Err(Diagnostic::error("E3035", objective_span(&r).unwrap_or(at), "no Lipschitz constant of this gradient is known")
            .at("neither quadratic nor a sum of known functions of affine maps")
            .help("give it (`L = …`), or use a method with a line search: `proximal_gradient`, `lbfgs`")
            .into()),
    }
}

/// Where the script writes the value of a region.
fn objective_span(r: &crate::solve::region_fn::RegionFn) -> Option<Span> {
    let out = *r.graph.outputs.first()?;
    let origin = r.graph.node(out).origin;
    (origin.file != 0).then(|| crate::interp::span_of(origin))
}
