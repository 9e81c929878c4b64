//! Quadratic normal form: sums of products of two affine leaves, whatever the spelling, and their definiteness.
//!
//! A node of degree two is `sum coefficient * functional(a * b)` where a and b are leaves (or the number one) and the
//! functional is a chain of linear maps of known sign: sums over axes, constant weights, gathers. Terms with the same functional share one
//! matrix of coefficients over the leaves; where that matrix is positive semidefinite, the terms are a sum of squares.

use crate::combo::Combo;
use crate::context::Cx;
use crate::interval::Interval;
use crate::matrix::psd;
use crate::words::{Chain, pair};
use gradus_ir::{BinaryOp, NodeId, Op, ReduceOp, Shape, UnaryOp};
use indexmap::{IndexMap, IndexSet};
use std::rc::Rc;

/// Forms with more terms than this are left undecided.
const LARGEST: usize = 400;

/// One step of what is done to the elementwise product.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Summed over axes, after stretching to the shape.
    Sum(Shape, Vec<usize>),
    /// Times (or over) a constant.
    Scale(NodeId, bool),
    /// Another linear op, with its constant operands: gathers, slices, products with constant matrices.
    Apply(Op, Vec<NodeId>),
}

/// A factor of a product.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Symbol {
    One,
    Leaf(NodeId),
    Chain(Chain),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Product {
    pub stages: Vec<Stage>,
    pub a: Symbol,
    pub b: Symbol,
}

/// The sum of its products.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pub terms: IndexMap<Product, f64>,
}

impl Form {
    fn add(&mut self, product: Product, c: f64) {
        *self.terms.entry(product).or_insert(0.0) += c;
    }

    fn map_stages(&self, stage: &Stage) -> Form {
        let mut out = Form::default();
        for (p, c) in &self.terms {
            let mut p = p.clone();
            p.stages.push(stage.clone());
            out.add(p, *c);
        }
        out
    }
}

fn symbols(c: &Combo) -> Vec<(Symbol, f64)> {
    let mut all: Vec<(Symbol, f64)> = c.terms.iter().map(|(l, c)| (Symbol::Leaf(*l), *c)).collect();
    if c.constant != 0.0 {
        all.push((Symbol::One, c.constant));
    }
    all
}

fn product(form: &mut Form, stages: &[Stage], a: &Combo, b: &Combo) {
    for (x, p) in symbols(a) {
        for (y, q) in symbols(b) {
            insert(form, stages.to_vec(), x.clone(), y.clone(), p * q);
        }
    }
}

fn insert(form: &mut Form, stages: Vec<Stage>, a: Symbol, b: Symbol, c: f64) {
    let (a, b) = if rank(&a) <= rank(&b) { (a, b) } else { (b, a) };
    form.add(Product { stages, a, b }, c);
}

fn rank(s: &Symbol) -> (u8, u32) {
    match s {
        Symbol::One => (0, 0),
        Symbol::Leaf(n) => (1, n.0),
        Symbol::Chain(c) => (2, c.root.0),
    }
}

/// The form of a node of degree at most two, from those of its inputs; `None` where the spelling is not understood.
pub(crate) fn form(cx: &Cx<'_>, id: NodeId, degree: Option<u32>) -> Option<Rc<Form>> {
    if !cx.is_numeric(id) || degree.is_none_or(|d| d > 2) {
        return None;
    }
    let combo = |i: NodeId| cx.combos[i.index()].clone();
    if degree.is_some_and(|d| d <= 1) {
        let mut f = Form::default();
        product(&mut f, &[], &combo(id), &Combo::number(1.0));
        return Some(Rc::new(f));
    }
    let of = |k: usize| cx.input(id, k).and_then(|i| cx.forms[i.index()].clone());
    let own = combo(id);
    if own.terms.iter().all(|(l, _)| *l != id) {
        return linear(cx, &own).map(Rc::new);
    }
    let made = match cx.op(id) {
        Op::Unary(UnaryOp::ToReal | UnaryOp::StopGrad) | Op::NoGrad(_) | Op::Broadcast(_) => return of(0),
        Op::Unary(UnaryOp::Square) => square(cx, cx.input(id, 0)?)?,
        Op::Binary(BinaryOp::Pow) if cx.number(cx.input(id, 1)?) == Some(2.0) => square(cx, cx.input(id, 0)?)?,
        Op::Binary(BinaryOp::Mul | BinaryOp::Div) => {
            let (op, x, y) = cx.binary(id)?;
            if op == BinaryOp::Div {
                if cx.depends(y) {
                    return None;
                }
                of(0)?.map_stages(&Stage::Scale(y, true))
            } else if !cx.depends(x) {
                of(1)?.map_stages(&Stage::Scale(x, false))
            } else if !cx.depends(y) {
                of(0)?.map_stages(&Stage::Scale(y, false))
            } else if cx.f(x).degree == Some(1) && cx.f(y).degree == Some(1) {
                let mut f = Form::default();
                product(&mut f, &[], &combo(x), &combo(y));
                f
            } else {
                let (a, b) = (cx.unary(cx.bare(x), UnaryOp::Abs)?, cx.unary(cx.bare(y), UnaryOp::Abs)?);
                if a == b { square(cx, a)? } else { return None }
            }
        }
        Op::Reduce(ReduceOp::Sum, axes) => {
            let a = cx.input(id, 0)?;
            match trace(cx, a, axes) {
                Some(f) => f,
                None => of(0)?.map_stages(&Stage::Sum(cx.g.shape(a).clone(), axes.clone())),
            }
        }
        Op::MatMul => matmul(cx, id)?,
        Op::Slice { .. } | Op::Reshape(_) | Op::Transpose(_) | Op::Reverse { .. } | Op::Diagonal | Op::Pad { .. } => {
            of(0)?.map_stages(&Stage::Apply(cx.op(id).clone(), Vec::new()))
        }
        Op::Take { .. } if !cx.depends(cx.input(id, 1)?) => {
            of(0)?.map_stages(&Stage::Apply(cx.op(id).clone(), vec![cx.input(id, 1)?]))
        }
        _ => return None,
    };
    (made.terms.len() <= LARGEST).then(|| Rc::new(made))
}

/// Of a linear combination of nodes that have forms.
fn linear(cx: &Cx<'_>, c: &Combo) -> Option<Form> {
    let mut f = Form::default();
    for (leaf, c) in &c.terms {
        for (p, d) in &cx.forms[leaf.index()].as_ref()?.terms {
            f.add(p.clone(), c * d);
        }
    }
    if c.constant != 0.0 {
        insert(&mut f, Vec::new(), Symbol::One, Symbol::One, c.constant);
    }
    (f.terms.len() <= LARGEST).then_some(f)
}

/// Of an affine operand, or of one whose square is its operand's.
fn square(cx: &Cx<'_>, a: NodeId) -> Option<Form> {
    if let Some(inner) = cx.unary(cx.bare(a), UnaryOp::Abs) {
        return square(cx, inner);
    }
    if let Some(inner) = cx.unary(cx.bare(a), UnaryOp::Sqrt) {
        return cx.forms[inner.index()].as_deref().cloned();
    }
    if cx.f(a).degree.is_none_or(|d| d > 1) {
        return None;
    }
    let mut f = Form::default();
    let c = &cx.combos[a.index()];
    product(&mut f, &[], c, c);
    Some(f)
}

fn matmul(cx: &Cx<'_>, id: NodeId) -> Option<Form> {
    let (x, y) = (cx.input(id, 0)?, cx.input(id, 1)?);
    let combo = |i: NodeId| cx.combos[i.index()].clone();
    match (cx.depends(x), cx.depends(y)) {
        (true, true) if cx.rank(x) == 1 && cx.rank(y) == 1 => {
            let mut f = Form::default();
            product(&mut f, &[Stage::Sum(cx.g.shape(x).clone(), vec![0])], &combo(x), &combo(y));
            Some(f)
        }
        (true, false) => Some(cx.forms[x.index()].as_ref()?.map_stages(&Stage::Apply(Op::MatMul, vec![y]))),
        (false, true) => Some(cx.forms[y.index()].as_ref()?.map_stages(&Stage::Apply(Op::MatMul, vec![x]))),
        _ => None,
    }
}

/// `sum(diagonal(A' B))` is the sum of the elementwise product of A and B.
fn trace(cx: &Cx<'_>, a: NodeId, axes: &[usize]) -> Option<Form> {
    let Op::Diagonal = cx.op(a) else { return None };
    let m = cx.input(a, 0)?;
    let Op::MatMul = cx.op(m) else { return None };
    let (x, y) = (cx.input(m, 0)?, cx.input(m, 1)?);
    if axes != [0] || cx.f(x).degree? > 1 || cx.f(y).degree? > 1 {
        return None;
    }
    let untransposed = |t: NodeId| match cx.op(t) {
        Op::Transpose(p) if p == &[1, 0] => cx.input(t, 0),
        _ => None,
    };
    // <A, B> needs the transpose of one of the factors as a node: the one that is written as a transpose.
    let (a, b) = match (untransposed(x), untransposed(y)) {
        (Some(a), _) => (a, y),
        (None, Some(b)) => (x, b),
        _ => return None,
    };
    let mut f = Form::default();
    let sum = Stage::Sum(cx.g.shape(a).clone(), vec![0, 1]);
    product(&mut f, &[sum], &cx.combos[a.index()], &cx.combos[b.index()]);
    Some(f)
}

/// What a form is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verdict {
    pub convex: bool,
    pub concave: bool,
    /// A sum of squares of affine functions (constants included): also nonnegative, and its root is a norm.
    pub sum_of_squares: bool,
    /// Both signs certainly occur.
    pub indefinite: bool,
}

/// The sign of the functional, elementwise.
fn sign(cx: &Cx<'_>, stages: &[Stage]) -> Interval {
    let mut s = Interval::point(1.0);
    for stage in stages {
        let r = match stage {
            Stage::Sum(..) => Interval::point(1.0),
            Stage::Scale(c, false) => cx.range(*c),
            Stage::Scale(c, true) => cx.range(*c).recip(),
            Stage::Apply(_, with) => match with.first() {
                Some(c) if matches!(stage, Stage::Apply(Op::MatMul, _)) => cx.range(*c),
                _ => Interval::point(1.0),
            },
        };
        s = s.mul(r);
    }
    s
}

/// Terms whose functional is a plain sum over everything are put in the form of `words::pair`.
fn normalized(cx: &Cx<'_>, form: &Form) -> Form {
    let mut out = Form::default();
    for (p, c) in &form.terms {
        if let ([Stage::Sum(shape, axes), ..], Symbol::Leaf(a), Symbol::Leaf(b)) = (p.stages.as_slice(), &p.a, &p.b)
            && axes.len() == shape.rank()
            && cx.g.shape(*a) == shape
            && cx.g.shape(*b) == shape
            && cx.depends(*a)
            && cx.depends(*b)
        {
            let (k, l, r) = pair(cx, *a, *b);
            // The summed shape is a property of the chains; chains of different roots must be able to meet.
            let mut stages = p.stages.clone();
            stages[0] = Stage::Sum(Shape::scalar(), Vec::new());
            insert(&mut out, stages, Symbol::Chain(l), Symbol::Chain(r), c * k);
        } else {
            out.add(p.clone(), *c);
        }
    }
    out
}

fn dependent(cx: &Cx<'_>, s: &Symbol) -> bool {
    match s {
        Symbol::One => false,
        Symbol::Leaf(n) => cx.depends(*n),
        Symbol::Chain(_) => true,
    }
}

/// The matrix of coefficients of each functional, over its symbols.
pub(crate) struct Group {
    pub stages: Vec<Stage>,
    pub symbols: Vec<Symbol>,
    /// Symmetric, row-major.
    pub matrix: Vec<f64>,
}

/// By functional, as written or with inner products put in the form of `words::pair`.
pub(crate) fn groups(cx: &Cx<'_>, form: &Form, rebracket: bool) -> Vec<Group> {
    let form = if rebracket { normalized(cx, form) } else { form.clone() };
    type Entries = Vec<(usize, usize, f64)>;
    let mut by: IndexMap<Vec<Stage>, (IndexSet<Symbol>, Entries)> = IndexMap::new();
    for (p, c) in &form.terms {
        let (symbols, entries) = by.entry(p.stages.clone()).or_default();
        let i = symbols.insert_full(p.a.clone()).0;
        let j = symbols.insert_full(p.b.clone()).0;
        entries.push((i, j, *c));
    }
    by.into_iter()
        .map(|(stages, (symbols, entries))| {
            let n = symbols.len();
            let mut matrix = vec![0.0; n * n];
            let mut size = 0.0f64;
            for (i, j, c) in entries {
                matrix[i * n + j] += 0.5 * c;
                matrix[j * n + i] += 0.5 * c;
                size = size.max(c.abs());
            }
            // What cancels to rounding is gone.
            matrix.iter_mut().filter(|x| x.abs() <= 1e-14 * size).for_each(|x| *x = 0.0);
            Group { stages, symbols: symbols.into_iter().collect(), matrix }
        })
        .collect()
}

impl Group {
    fn block(&self, keep: &[usize]) -> Vec<f64> {
        let n = self.symbols.len();
        keep.iter().flat_map(|i| keep.iter().map(move |j| self.matrix[i * n + j])).collect()
    }
}

/// +1, -1, 0 (zero), or None where the matrix has neither sign.
fn matrix_sign(m: &[f64], n: usize) -> Option<i8> {
    let scale = m.iter().fold(0.0, |s: f64, x| s.max(x.abs()));
    if scale == 0.0 {
        return Some(0);
    }
    let minus: Vec<f64> = m.iter().map(|x| -x).collect();
    let jitter = 1e-12 * scale;
    if psd(m, n, jitter) {
        Some(1)
    } else if psd(&minus, n, jitter) {
        Some(-1)
    } else {
        None
    }
}

pub(crate) fn verdict(cx: &Cx<'_>, form: &Form) -> Verdict {
    // Either grouping alone proves what it shows: re-bracketing loses cross terms of odd length and the constants.
    let (a, b) = (one_verdict(cx, form, false), one_verdict(cx, form, true));
    Verdict {
        convex: a.convex || b.convex,
        concave: a.concave || b.concave,
        sum_of_squares: a.sum_of_squares || b.sum_of_squares,
        indefinite: a.indefinite || b.indefinite,
    }
}

/// With one of the two groupings.
pub(crate) fn one_verdict(cx: &Cx<'_>, form: &Form, rebracket: bool) -> Verdict {
    let mut v = Verdict { convex: true, concave: true, sum_of_squares: true, indefinite: false };
    for g in groups(cx, form, rebracket) {
        let s = sign(cx, &g.stages);
        let free: Vec<usize> = (0..g.symbols.len()).filter(|k| dependent(cx, &g.symbols[*k])).collect();
        match matrix_sign(&g.block(&free), free.len()) {
            Some(0) => {}
            Some(k) => {
                v.convex &= if k > 0 { s.is_nonneg() } else { s.is_nonpos() };
                v.concave &= if k > 0 { s.is_nonpos() } else { s.is_nonneg() };
            }
            None => {
                v.convex = false;
                v.concave = false;
                // Distinct symbols need not be independent, so only a pair of variables proves indefiniteness.
                v.indefinite |= s.nonzero && g.stages.len() <= 1 && free.len() == 2 && free.iter().all(|k| is_variable(cx, &g.symbols[*k]));
            }
        }
        if v.sum_of_squares {
            v.sum_of_squares = nonneg_group(cx, &g, s);
        }
    }
    v
}

fn is_variable(cx: &Cx<'_>, s: &Symbol) -> bool {
    match s {
        Symbol::Leaf(n) => cx.vars.contains(n),
        Symbol::Chain(c) => c.ops.is_empty() && cx.vars.contains(&c.root),
        Symbol::One => false,
    }
}

/// Is the whole group (with its affine and constant parts) a nonnegative combination of squares and nonnegative constants?
fn nonneg_group(cx: &Cx<'_>, g: &Group, s: Interval) -> bool {
    let n = g.symbols.len();
    let one = g.symbols.iter().position(|x| *x == Symbol::One);
    let mut m = g.matrix.clone();
    let mut keep: Vec<usize> = (0..n).collect();
    // A nonnegative constant leaf times one is a nonnegative constant by itself.
    if let Some(o) = one {
        for k in 0..n {
            if let Symbol::Leaf(c) = g.symbols[k]
                && !cx.depends(c)
                && (0..n).all(|j| j == o || m[k * n + j] == 0.0)
            {
                let r = cx.range(c);
                let c = m[k * n + o];
                if c >= 0.0 && r.is_nonneg() || c <= 0.0 && r.is_nonpos() {
                    m[k * n + o] = 0.0;
                    m[o * n + k] = 0.0;
                    keep.retain(|j| *j != k);
                }
            }
        }
    }
    let block = Group { stages: Vec::new(), symbols: g.symbols.clone(), matrix: m }.block(&keep);
    match matrix_sign(&block, keep.len()) {
        Some(0) => true,
        Some(k) => if k > 0 { s.is_nonneg() } else { s.is_nonpos() },
        None => false,
    }
}
