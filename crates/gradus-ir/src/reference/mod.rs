//! A slow interpreter that is right by inspection: what every executor and pass is tested against.
//!
//! Nothing here is shared with an executor: each op is written from its definition, one element at a time.

mod control;
mod elementwise;
mod gather;
mod linalg;
mod random;
mod reduce;
mod rows;
mod sizes;
mod special;
mod structure;
mod transforms;

pub use special::{digamma, erf, lgamma, trigamma};

use crate::array::Array;
use crate::graph::{Graph, Node, NodeId};
use crate::op::Op;
use crate::ty::DType;
use sizes::Sizes;
use std::time::Instant;

/// Why a graph has no value on these inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum ReferenceError {
    /// The inputs do not fit the parameters, or a symbolic size has no number.
    Inputs(String),
    /// A run-time fault at a node: an index outside, an empty axis to pick from.
    Fault { node: NodeId, op: &'static str, what: String },
    /// The graph is not well formed.
    Malformed(String),
}

impl std::fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReferenceError::Inputs(m) | ReferenceError::Malformed(m) => f.write_str(m),
            ReferenceError::Fault { node, op, what } => write!(f, "%{} ({op}): {what}", node.0),
        }
    }
}

impl std::error::Error for ReferenceError {}

/// The values of the outputs. Symbolic sizes are bound by the shapes of the inputs.
pub fn run(g: &Graph, inputs: &[Array]) -> Result<Vec<Array>, ReferenceError> {
    let sizes = Sizes::bind(g, inputs)?;
    let values = region(g, inputs, &sizes, Instant::now())?;
    pick(g, &values)
}

/// The values of all nodes some output needs (each a list: one array per output of the node); parameters always have one.
pub fn run_all(g: &Graph, inputs: &[Array]) -> Result<Vec<Vec<Array>>, ReferenceError> {
    let sizes = Sizes::bind(g, inputs)?;
    region(g, inputs, &sizes, Instant::now())
}

fn pick(g: &Graph, values: &[Vec<Array>]) -> Result<Vec<Array>, ReferenceError> {
    g.outputs
        .iter()
        .map(|o| {
            let v = values.get(o.index()).and_then(|v| v.first()).cloned();
            v.ok_or_else(|| ReferenceError::Malformed(format!("output %{} has no value", o.0)))
        })
        .collect()
}

/// What an op needs to know beside its operands.
struct Context<'a> {
    node: &'a Node,
    id: NodeId,
    sizes: &'a Sizes,
    start: Instant,
}

impl Context<'_> {
    fn fault<T>(&self, what: impl Into<String>) -> Result<T, ReferenceError> {
        Err(ReferenceError::Fault { node: self.id, op: self.node.op.name(), what: what.into() })
    }

    /// The shape of the k-th output, in numbers.
    fn shape(&self, k: usize) -> Result<Vec<usize>, ReferenceError> {
        match self.node.tys.get(k) {
            Some(t) => self.sizes.shape(&t.shape),
            None => self.fault(format!("has no output {k}")),
        }
    }

    fn dtype(&self, k: usize) -> DType {
        self.node.tys.get(k).map_or(DType::Real, |t| t.dtype)
    }

    /// The k-th output with this data, in the type the node declares.
    fn output(&self, k: usize, data: Vec<f64>) -> Result<Array, ReferenceError> {
        let shape = self.shape(k)?;
        let found = data.len();
        match Array::new(self.dtype(k), shape.clone(), data) {
            Some(a) => Ok(a),
            None => self.fault(format!("made {found} elements for shape {shape:?}")),
        }
    }

    fn one(&self, data: Vec<f64>) -> Result<Vec<Array>, ReferenceError> {
        Ok(vec![self.output(0, data)?])
    }
}

fn region(g: &Graph, inputs: &[Array], sizes: &Sizes, start: Instant) -> Result<Vec<Vec<Array>>, ReferenceError> {
    let live = g.live();
    let mut values: Vec<Vec<Array>> = vec![Vec::new(); g.len()];
    for (id, node) in g.nodes() {
        if let Op::Param(k) = node.op {
            let Some(v) = inputs.get(k as usize) else {
                return Err(ReferenceError::Inputs(format!("parameter {k} is not given")));
            };
            sizes.check(k as usize, node.ty(), v)?;
            values[id.index()] = vec![Array { dtype: node.ty().dtype, ..v.clone() }];
            continue;
        }
        if !live[id.index()] {
            continue;
        }
        if let Op::Get(k) = node.op {
            let picked = node.inputs.first().and_then(|i| values[i.index()].get(k as usize)).cloned();
            let Some(a) = picked else {
                return Err(ReferenceError::Malformed(format!("%{}: there is no output {k} to get", id.0)));
            };
            values[id.index()] = vec![a];
            continue;
        }
        let mut args: Vec<&Array> = Vec::new();
        for i in &node.inputs {
            match values[i.index()].first() {
                Some(a) => args.push(a),
                None => return Err(ReferenceError::Malformed(format!("%{} has no value when %{} needs it", i.0, id.0))),
            }
        }
        let context = Context { node, id, sizes, start };
        let out = apply(&context, &args)?;
        if out.len() != node.tys.len() {
            return Err(ReferenceError::Malformed(format!("%{}: {} outputs, expected {}", id.0, out.len(), node.tys.len())));
        }
        values[id.index()] = out;
    }
    Ok(values)
}

fn apply(c: &Context<'_>, args: &[&Array]) -> Result<Vec<Array>, ReferenceError> {
    match (&c.node.op, args) {
        (Op::Const(v, _), _) => c.one(vec![v.get()]),
        (Op::Literal(a), _) => Ok(vec![(**a).clone()]),
        (Op::DimValue(d), _) => c.one(vec![c.sizes.dim(d)? as f64]),
        (Op::Iota(n), _) => c.one((0..c.sizes.length(n)?).map(|k| k as f64).collect()),
        (Op::Unary(u), [a]) => c.one(a.data.iter().map(|x| elementwise::unary(*u, *x)).collect()),
        (Op::Binary(b), [x, y]) => elementwise::binary(c, *b, x, y),
        (Op::Select, [k, x, y]) => elementwise::select(c, k, x, y),
        (Op::NoGrad(_) | Op::Stationary | Op::Recall(_) | Op::Store(_), [a]) => c.one(a.data.to_vec()),
        (Op::Tally(_), [a, ..]) => c.one(a.data.to_vec()),
        (Op::Check(_), [a, ok]) => match ok.as_scalar() {
            Some(0.0) => c.one(vec![f64::NAN; a.data.len()]),
            _ => c.one(a.data.to_vec()),
        },
        (Op::Implicit(i), args) => Ok(args.iter().take(i.values).map(|a| (*a).clone()).collect()),
        (Op::Reduce(r, axes), [a]) => reduce::reduce(c, *r, axes, a),
        (Op::ArgReduce { max, axis }, [a]) => reduce::arg_reduce(c, *max, *axis, a),
        (Op::Cumulative { op, axis, reverse }, [a]) => reduce::cumulative(c, *op, *axis, *reverse, a),
        (Op::Sort { axis, descending }, [a]) => reduce::sort(c, *axis, *descending, false, a),
        (Op::ArgSort { axis, descending }, [a]) => reduce::sort(c, *axis, *descending, true, a),
        (Op::Broadcast(_), [a]) => structure::broadcast(c, a),
        (Op::Reshape(_), [a]) => c.one(a.data.to_vec()),
        (Op::Transpose(perm), [a]) => structure::transpose(c, perm, a),
        (Op::Slice { axis, start, .. }, [a]) => structure::slice(c, *axis, start, a),
        (Op::Pad { axis, before, .. }, [a]) => structure::pad(c, *axis, before, a),
        (Op::Concat { axis }, parts) => structure::concat(c, *axis, parts),
        (Op::Reverse { axis }, [a]) => structure::reverse(c, *axis, a),
        (Op::Diagonal, [a]) => structure::diagonal(c, a),
        (Op::DiagMatrix, [a]) => structure::diag_matrix(c, a),
        (Op::Take { axis }, [a, i]) => gather::take(c, *axis, a, i),
        (Op::TakeAlong { axis }, [a, i]) => gather::take_along(c, *axis, a, i),
        (Op::ScatterAdd { axis }, [a, i, u]) => gather::scatter(c, *axis, a, i, u, true),
        (Op::ScatterSet { axis }, [a, i, u]) => gather::scatter(c, *axis, a, i, u, false),
        (Op::ScatterAddAlong { axis }, [a, i, u]) => gather::scatter_add_along(c, *axis, a, i, u),
        (Op::TopK(_), [a]) => rows::top_k(c, a),
        (Op::Knapsack, [v, w, l, u, t]) => rows::knapsack(c, [v, w, l, u, t]),
        (Op::Isotonic, [y, w]) => rows::isotonic(c, y, w),
        (Op::MatMul, [a, b]) => linalg::matmul(c, a, b),
        (Op::Cholesky, [a]) => linalg::cholesky(c, a),
        (Op::TriangularSolve { lower, transposed }, [a, b]) => linalg::triangular_solve(c, *lower, *transposed, a, b),
        (Op::Solve { transposed }, [a, b]) => linalg::solve(c, *transposed, a, b),
        (Op::Det, [a]) => linalg::det(c, a),
        (Op::SlogDet, [a]) => linalg::slogdet(c, a),
        (Op::SparseMatMul { transposed, .. }, [s, k, v, x]) => transforms::sparse(c, *transposed, [s, k, v, x]),
        (Op::Fft { inverse }, [re, im]) => transforms::fft(c, *inverse, re, im),
        (Op::Eigh, [a]) => linalg::eigh(c, a),
        (Op::Svd, [a]) => linalg::svd(c, a),
        (Op::Qr, [a]) => linalg::qr(c, a),
        (Op::Key, [s]) => random::key(c, s),
        (Op::KeyFold, [k, i]) => random::fold(c, k, i),
        (Op::Uniform(_), [k]) => random::uniform(c, k),
        (Op::Normal(_), [k]) => random::normal(c, k),
        (Op::Permutation(_), [k]) => random::permutation(c, k),
        (Op::Loop(l), _) => control::run_loop(c, l, args),
        (Op::Cond { then, other }, [k, captures @ ..]) => control::cond(c, then, other, k, captures),
        (Op::Clock, _) => c.one(vec![c.start.elapsed().as_secs_f64()]),
        (op, _) => Err(ReferenceError::Malformed(format!("%{}: {} with {} operands", c.id.0, op.name(), args.len()))),
    }
}

/// Walks all indices of a shape in row-major order.
fn indices(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let count: usize = shape.iter().product();
    (0..count).map(move |flat| unflatten(flat, shape))
}

fn unflatten(mut flat: usize, shape: &[usize]) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for k in (0..shape.len()).rev() {
        if shape[k] > 0 {
            index[k] = flat % shape[k];
            flat /= shape[k];
        }
    }
    index
}

fn flatten(index: &[usize], shape: &[usize]) -> usize {
    index.iter().zip(shape).fold(0, |f, (i, n)| f * n + i)
}

/// The element of a broadcast operand at an index of the result.
fn stretched(a: &Array, index: &[usize]) -> f64 {
    let skip = index.len() - a.shape.len();
    let own: Vec<usize> = index[skip..].iter().zip(&a.shape).map(|(i, n)| if *n == 1 { 0 } else { *i }).collect();
    a.data[flatten(&own, &a.shape)]
}
