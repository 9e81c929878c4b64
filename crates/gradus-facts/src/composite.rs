//! A function as a sum of known convex functions of affine maps: what duality gaps and proximal splittings are built from.

use crate::context::Cx;
use crate::interval::Interval;
use gradus_ir::{BinaryOp, NodeId, Op, ReduceOp, UnaryOp};

/// `sum over parts of scale * g(inner * affine)`, plus constants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Composite {
    pub parts: Vec<Part>,
    /// Scalar constants (summed over all elements) with their scales.
    pub constants: Vec<(Scale, NodeId)>,
    /// The number that is left.
    pub constant: f64,
}

/// A number times constant scalars of the graph and their reciprocals.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    pub number: f64,
    pub times: Vec<NodeId>,
    pub over: Vec<NodeId>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub scale: Scale,
    pub function: Function,
    /// The affine node (any shape) whose elements `function` takes, each multiplied by `inner`.
    pub affine: NodeId,
    /// A number: 1, or -1 where the function is of the negated node.
    pub inner: f64,
    /// The part's own node in the region.
    pub node: NodeId,
}

/// Known functions of the elements u of an affine value.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    /// `sum(u)`
    Linear,
    /// `sum(u^2)`
    SumSquares,
    /// `sum(log(1 + exp(u)))`
    Logistic,
    /// `sum(max(0, u))`
    Hinge,
    /// `sum(|u|)`
    Absolute,
    /// `sqrt(sum(u^2))` over all elements
    Norm,
    /// `log(sum(exp(u)))` over these axes, summed over the others
    LogSumExp(Vec<usize>),
    /// Huber: `u^2 / 2` up to `delta`, then `delta (|u| - delta / 2)`, summed
    Huber { delta: f64 },
    /// A convex quadratic that is not written as a sum of squares: the node itself is the value, `affine` is what it is quadratic in.
    Quadratic,
}

impl Scale {
    fn one() -> Scale {
        Scale { number: 1.0, times: Vec::new(), over: Vec::new() }
    }
    fn by(&self, c: f64) -> Scale {
        Scale { number: self.number * c, ..self.clone() }
    }
}

struct Walk<'c, 'a> {
    cx: &'c Cx<'a>,
    out: Composite,
    /// Repeated sub-expressions are walked again; a budget keeps that small.
    budget: usize,
}

pub(crate) fn decompose(cx: &Cx<'_>, id: NodeId) -> Option<Composite> {
    if cx.rank(id) != 0 {
        return None;
    }
    let mut w = Walk { cx, out: Composite::default(), budget: 500 };
    w.walk(id, &Scale::one(), false)?;
    Some(w.out)
}

impl Walk<'_, '_> {
    /// `summed`: the elements of the node are summed (else it is a scalar).
    fn walk(&mut self, id: NodeId, scale: &Scale, summed: bool) -> Option<()> {
        self.budget = self.budget.checked_sub(1)?;
        let cx = self.cx;
        if !cx.depends(id) {
            return self.constant(id, scale, summed);
        }
        if cx.f(id).degree.is_some_and(|d| d <= 1) {
            self.part(scale, Function::Linear, id, 1.0, id);
            return Some(());
        }
        if self.atom(id, scale, summed).is_some() {
            return Some(());
        }
        let combo = cx.combos[id.index()].clone();
        if combo.terms.iter().all(|(l, _)| *l != id) {
            // A leaf that stretches would be summed more often than it has elements.
            if summed && (combo.constant != 0.0 || combo.terms.iter().any(|(l, _)| cx.g.shape(*l) != cx.g.shape(id))) {
                return None;
            }
            self.out.constant += scale_number(scale, combo.constant)?;
            return combo.terms.iter().try_for_each(|(l, c)| self.walk(*l, &scale.by(*c), summed));
        }
        let input = |k: usize| cx.input(id, k);
        let scalar = |n: NodeId| cx.rank(n) == 0 && !cx.depends(n);
        match cx.op(id) {
            Op::Reduce(ReduceOp::Sum, axes) if axes.len() == input(0).map_or(0, |i| cx.rank(i)) && !summed => self.walk(input(0)?, scale, true),
            Op::Reduce(ReduceOp::Sum, _) if summed => self.walk(input(0)?, scale, true),
            Op::Reshape(_) | Op::Transpose(_) | Op::Reverse { .. } if summed => self.walk(input(0)?, scale, true),
            Op::Reshape(_) | Op::NoGrad(_) => self.walk(input(0)?, scale, summed),
            Op::Binary(BinaryOp::Mul) => {
                let (a, b) = (input(0)?, input(1)?);
                let (c, x) = if scalar(a) { (a, b) } else if scalar(b) { (b, a) } else { return self.quadratic(id, scale, summed) };
                let mut s = scale.clone();
                s.times.push(c);
                self.walk(x, &s, summed)
            }
            Op::Binary(BinaryOp::Div) => {
                let (a, b) = (input(0)?, input(1)?);
                if !scalar(b) {
                    return None;
                }
                let mut s = scale.clone();
                s.over.push(b);
                self.walk(a, &s, summed)
            }
            _ => self.quadratic(id, scale, summed),
        }
    }

    fn part(&mut self, scale: &Scale, function: Function, affine: NodeId, inner: f64, node: NodeId) {
        self.out.parts.push(Part { scale: scale.clone(), function, affine, inner, node });
    }

    fn constant(&mut self, id: NodeId, scale: &Scale, summed: bool) -> Option<()> {
        match self.cx.number(id) {
            Some(v) if !summed && scale.times.is_empty() && scale.over.is_empty() => self.out.constant += scale.number * v,
            _ => self.out.constants.push((scale.clone(), id)),
        }
        Some(())
    }

    fn affine(&self, id: NodeId) -> bool {
        self.cx.f(id).degree == Some(1)
    }

    /// A known function of an affine value, in any of its spellings.
    fn atom(&mut self, id: NodeId, scale: &Scale, summed: bool) -> Option<()> {
        let cx = self.cx;
        let input = |k: usize| cx.input(id, k);
        let (function, u, inner) = match cx.op(id) {
            Op::Unary(UnaryOp::Square) => (Function::SumSquares, input(0)?, 1.0),
            Op::Binary(BinaryOp::Mul) if input(0) == input(1) => (Function::SumSquares, input(0)?, 1.0),
            Op::MatMul if input(0) == input(1) && cx.rank(input(0)?) == 1 => (Function::SumSquares, input(0)?, 1.0),
            Op::Unary(UnaryOp::Softplus) => (Function::Logistic, input(0)?, 1.0),
            Op::Unary(UnaryOp::Log1p) => (Function::Logistic, cx.unary(input(0)?, UnaryOp::Exp)?, 1.0),
            Op::Unary(UnaryOp::Abs) => (Function::Absolute, input(0)?, 1.0),
            Op::Binary(BinaryOp::Max) => {
                let (a, b) = (input(0)?, input(1)?);
                let u = if cx.number(a) == Some(0.0) { b } else if cx.number(b) == Some(0.0) { a } else { return None };
                (Function::Hinge, u, 1.0)
            }
            Op::Unary(UnaryOp::Neg) => {
                let s = cx.unary(cx.unary(id, UnaryOp::Neg)?, UnaryOp::Log)?;
                (Function::Logistic, cx.unary(s, UnaryOp::Sigmoid)?, -1.0)
            }
            Op::Unary(UnaryOp::Log) => return self.log(id, scale, summed),
            Op::Unary(UnaryOp::Sqrt) => return self.norm(id, scale, summed),
            Op::Reduce(ReduceOp::LogSumExp, axes) => (Function::LogSumExp(axes.clone()), input(0)?, 1.0),
            Op::Select | Op::Binary(_) => return self.huber(id, scale),
            _ => return None,
        };
        if !self.affine(u) || !summed && cx.rank(id) != 0 {
            return None;
        }
        let elementwise = matches!(cx.op(id), Op::Unary(_) | Op::Binary(_));
        if elementwise && cx.g.shape(u) != cx.g.shape(id) {
            return None;
        }
        self.part(scale, function, u, inner, id);
        Some(())
    }

    fn log(&mut self, id: NodeId, scale: &Scale, _summed: bool) -> Option<()> {
        let cx = self.cx;
        let a = cx.bare(cx.input(id, 0)?);
        if let Some(z) = cx.unary(a, UnaryOp::Sigmoid)
            && self.affine(z)
        {
            self.part(&scale.by(-1.0), Function::Logistic, z, -1.0, id);
            return Some(());
        }
        if let Op::Reduce(ReduceOp::Sum, axes) = cx.op(a) {
            let u = cx.unary(cx.input(a, 0)?, UnaryOp::Exp)?;
            return self.affine(u).then(|| self.part(scale, Function::LogSumExp(axes.clone()), u, 1.0, id));
        }
        let combo = &cx.combos[a.index()];
        let (e, c) = combo.single()?;
        let u = cx.unary(e, UnaryOp::Exp)?;
        (c == 1.0 && combo.constant == 1.0 && self.affine(u)).then(|| self.part(scale, Function::Logistic, u, 1.0, id))
    }

    fn norm(&mut self, id: NodeId, scale: &Scale, _summed: bool) -> Option<()> {
        let cx = self.cx;
        let a = cx.input(id, 0)?;
        let all = |n: NodeId, axes: &[usize]| axes.len() == cx.rank(n);
        let u = match cx.op(a) {
            Op::Reduce(ReduceOp::Sum, axes) => {
                let s = cx.input(a, 0)?;
                let u = match cx.op(s) {
                    Op::Unary(UnaryOp::Square) => cx.input(s, 0)?,
                    Op::Binary(BinaryOp::Mul) if cx.input(s, 0) == cx.input(s, 1) => cx.input(s, 0)?,
                    _ => return None,
                };
                if !all(s, axes) {
                    return None;
                }
                u
            }
            Op::MatMul if cx.input(a, 0) == cx.input(a, 1) && cx.rank(a) == 0 => cx.input(a, 0)?,
            _ => return None,
        };
        self.affine(u).then(|| self.part(scale, Function::Norm, u, 1.0, id))
    }

    /// A piecewise quadratic that is Huber's function of one affine node.
    fn huber(&mut self, id: NodeId, scale: &Scale) -> Option<()> {
        let cx = self.cx;
        let p = cx.pieces[id.index()].clone()?;
        let [left, middle, right] = p.pieces.as_slice() else { return None };
        let [lo, hi] = p.breaks.as_slice() else { return None };
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * (1.0 + b.abs());
        let (centre, d) = (0.5 * (lo + hi), 0.5 * (hi - lo));
        let k = 2.0 * middle[2];
        let fits = k > 0.0
            && near(centre, 0.0)
            && near(middle[0], 0.0)
            && near(middle[1], 0.0)
            && left[2] == 0.0
            && right[2] == 0.0
            && near(right[1], k * d)
            && near(left[1], -k * d)
            && near(right[0], -0.5 * k * d * d)
            && near(left[0], right[0]);
        if !fits {
            return None;
        }
        // The base must be a node of the graph, or its negative; the function is even.
        let signed = |c: &crate::combo::Combo| {
            [1.0, -1.0].iter().any(|s| c.terms.len() == p.base.len() && c.terms.iter().zip(&p.base).all(|((m, x), (n, y))| m == n && *x == s * y))
        };
        let u = cx.g.nodes().map(|(n, _)| n).take(id.index()).find(|n| {
            let c = &cx.combos[n.index()];
            cx.depends(*n) && c.constant == 0.0 && signed(c) && cx.g.shape(*n) == cx.g.shape(id)
        })?;
        self.part(&scale.by(k), Function::Huber { delta: d }, u, 1.0, id);
        Some(())
    }

    fn quadratic(&mut self, id: NodeId, scale: &Scale, summed: bool) -> Option<()> {
        let cx = self.cx;
        if cx.f(id).degree != Some(2) || !cx.curvature(id).is_convex() || summed {
            return None;
        }
        let u = crate::curvature::affine_parts(cx, id, 12).into_iter().next()?;
        self.part(scale, Function::Quadratic, u, 1.0, id);
        Some(())
    }
}

fn scale_number(s: &Scale, c: f64) -> Option<f64> {
    if c == 0.0 {
        return Some(0.0);
    }
    (s.times.is_empty() && s.over.is_empty()).then_some(s.number * c)
}

impl Part {
    /// Is the part convex, given the sign of its scale?
    pub fn is_convex(&self, range: impl Fn(NodeId) -> Interval) -> bool {
        if self.function == Function::Linear {
            return true;
        }
        let times = self.scale.times.iter().fold(Interval::point(self.scale.number), |s, n| s.mul(range(*n)));
        self.scale.over.iter().fold(times, |s, n| s.mul(range(*n).recip())).is_nonneg()
    }
}
