//! Functions that the language knows by name: the ground on which the library stands.

mod chance;
mod derivative;
mod linalg;
mod random;
mod reduce;
mod rows;
mod shape;

use crate::interp::Interp;
use crate::value::{CallArg, Eval, Function, Num, Value};
use gradus_ir::{BinaryOp, Cumulative, DType, Op, Precision, ReduceOp, UnaryOp};
use gradus_syntax::{Diagnostic, Span};
use std::sync::Arc;

pub struct Builtin {
    pub name: &'static str,
    kind: Kind,
    /// One line for documentation and completion.
    pub about: &'static str,
}

type Call = fn(&mut Interp<'_>, &[CallArg], Span) -> Eval<Value>;

enum Kind {
    Unary(UnaryOp),
    Binary(BinaryOp),
    Reduce(ReduceOp),
    Cumulative(Cumulative),
    Call(Call),
    /// The same, a distribution first.
    Dist(Call),
}

macro_rules! table {
    ($($name:literal $kind:expr, $about:literal;)*) => {
        static TABLE: &[Builtin] = &[$(Builtin { name: $name, kind: $kind, about: $about }),*];
    };
}

use Kind::{Binary as B, Call as C, Dist as D, Reduce as R, Unary as U};

table! {
    "abs" U(UnaryOp::Abs), "absolute value";
    "sign" U(UnaryOp::Sign), "-1, 0 or 1";
    "exp" U(UnaryOp::Exp), "e^x";
    "expm1" U(UnaryOp::Expm1), "e^x - 1, exact near 0";
    "log" U(UnaryOp::Log), "natural logarithm";
    "log1p" U(UnaryOp::Log1p), "log(1 + x), exact near 0";
    "sqrt" U(UnaryOp::Sqrt), "square root";
    "square" U(UnaryOp::Square), "x^2";
    "sin" U(UnaryOp::Sin), "sine";
    "cos" U(UnaryOp::Cos), "cosine";
    "tan" U(UnaryOp::Tan), "tangent";
    "asin" U(UnaryOp::Asin), "inverse sine";
    "acos" U(UnaryOp::Acos), "inverse cosine";
    "atan" U(UnaryOp::Atan), "inverse tangent";
    "sinh" U(UnaryOp::Sinh), "hyperbolic sine";
    "cosh" U(UnaryOp::Cosh), "hyperbolic cosine";
    "tanh" U(UnaryOp::Tanh), "hyperbolic tangent";
    "sigmoid" U(UnaryOp::Sigmoid), "1 / (1 + e^-x)";
    "softplus" U(UnaryOp::Softplus), "log(1 + e^x) without overflow";
    "erf" U(UnaryOp::Erf), "error function";
    "lgamma" U(UnaryOp::Lgamma), "log of the gamma function";
    "digamma" U(UnaryOp::Digamma), "derivative of lgamma";
    "floor" U(UnaryOp::Floor), "largest integer below";
    "ceil" U(UnaryOp::Ceil), "smallest integer above";
    "round" U(UnaryOp::Round), "nearest integer";
    "is_nan" U(UnaryOp::IsNan), "is it no number";
    "is_finite" U(UnaryOp::IsFinite), "is it neither infinite nor NaN";
    "to_real" U(UnaryOp::ToReal), "the same number as a real";
    "to_int" U(UnaryOp::ToInt), "truncated to an int";
    "stop_grad" U(UnaryOp::StopGrad), "the value, with derivative zero";
    "held_once" C(derivative::held_once), "the value, which the first derivative takes for a constant and later ones do not";
    "log_sigmoid" C(log_sigmoid), "log of the sigmoid without overflow";
    "relu" C(relu), "max(x, 0)";
    "atan2" B(BinaryOp::Atan2), "angle of the point (x, y), called as atan2(y, x)";
    "hypot" B(BinaryOp::Hypot), "sqrt(a^2 + b^2)";
    "sum" R(ReduceOp::Sum), "sum over all elements or an axis";
    "prod" R(ReduceOp::Prod), "product";
    "max" C(reduce::max), "largest element, or elementwise maximum of two";
    "min" C(reduce::min), "smallest element, or elementwise minimum of two";
    "logsumexp" R(ReduceOp::LogSumExp), "log(sum(exp x)) without overflow";
    "mean" C(reduce::mean), "average over all elements or an axis";
    "any" C(reduce::any), "is some element true";
    "all" C(reduce::all), "are all elements true";
    "count" C(reduce::count), "how many elements are true";
    "argmax_index" C(reduce::argmax), "index of the first largest element";
    "argmin_index" C(reduce::argmin), "index of the first smallest element";
    "dot" C(reduce::dot), "sum of products over all leaves";
    "cumsum" Kind::Cumulative(Cumulative::Sum), "running sum";
    "cumprod" Kind::Cumulative(Cumulative::Prod), "running product";
    "cummax" Kind::Cumulative(Cumulative::Max), "running maximum";
    "clip" C(clip), "x limited to lo..hi";
    "tolerance" C(tolerance), "a tolerance meant for f64, at the precision of the run";
    "where" C(where_), "a where the condition holds, else b";
    "size" C(shape::size), "number of elements";
    "shape" C(shape::shape), "axis lengths as an int vector";
    "len" C(shape::len), "length of the first axis, or of a list";
    "zeros" C(shape::zeros), "zeros of a shape";
    "ones" C(shape::ones), "ones of a shape";
    "full" C(shape::full), "a value repeated to a shape";
    "eye" C(shape::eye), "identity matrix";
    "range" C(shape::range), "0, 1, …, n - 1";
    "linspace" C(shape::linspace), "n equally spaced numbers from a to b";
    "zeros_like" C(shape::zeros_like), "zeros with the structure of a tree";
    "ones_like" C(shape::ones_like), "ones with the structure of a tree";
    "tree_map" C(shape::tree_map), "a function applied to every leaf";
    "sweep" C(shape::sweep), "a map applied field by field, each field to the record as the ones before it left it";
    "reshape" C(shape::reshape), "the same elements in another shape";
    "flatten" C(shape::flatten), "all elements as a vector";
    "unflatten" C(shape::unflatten), "a vector as the leaves of a tree like another";
    "concat" C(shape::concat), "arrays joined along an axis";
    "stack" C(shape::stack), "arrays of equal shape along a new axis";
    "transpose" C(shape::transpose), "axes swapped";
    "diag" C(shape::diag), "diagonal matrix of a vector, or diagonal of a matrix";
    "tril" C(shape::tril), "lower triangle";
    "triu" C(shape::triu), "upper triangle";
    "outer" C(shape::outer), "matrix of products of two vectors";
    "reverse" C(shape::reverse), "order reversed along an axis";
    "sort" C(shape::sort), "sorted along the last axis";
    "argsort" C(shape::argsort), "indices that sort";
    "top_k" C(rows::top_k), "the k largest along the last axis, and their indices";
    "among_largest" C(rows::among_largest), "which entries are the k largest along the last axis";
    "isotonic_regression" C(rows::isotonic), "nearest nondecreasing vector, with weights";
    "knapsack" C(rows::knapsack), "the x in lower..upper with sum(w * x) = total nearest to v, and its multiplier";
    "take" C(shape::take), "elements at indices along an axis";
    "set_at" C(shape::set_at), "a copy with one element or row replaced";
    "add_at" C(shape::add_at), "a copy with updates added at indices";
    "one_hot" C(shape::one_hot), "vector with a one at an index";
    "windows" C(shape::windows), "neighbouring pairs of a list";
    "cholesky" C(linalg::cholesky), "lower factor of a positive definite matrix";
    "solve" C(linalg::solve), "solution of A x = b";
    "solve_triangular" C(linalg::solve_triangular), "solution of a triangular system";
    "inv" C(linalg::inv), "inverse";
    "det" C(linalg::det), "determinant";
    "logdet" C(linalg::logdet), "log of the determinant of a positive definite matrix";
    "slogdet" C(linalg::slogdet), "sign and log of the size of a determinant";
    "sparse_matmul" C(linalg::sparse_matmul), "product with a sparse matrix by rows";
    "sparse_matmul_transposed" C(linalg::sparse_matmul_transposed), "product with the transpose of a sparse matrix by rows";
    "fft" C(linalg::fft), "discrete Fourier transform of real and imaginary part";
    "ifft" C(linalg::ifft), "its inverse";
    "eigh" C(linalg::eigh), "eigenvalues and eigenvectors of a symmetric matrix";
    "svd" C(linalg::svd), "singular values and vectors";
    "qr" C(linalg::qr), "thin QR factorization";
    "trace" C(linalg::trace), "sum of the diagonal";
    "key" C(random::key), "a random key from a seed";
    "fold" C(random::fold), "another key from a key and a number";
    "uniform" C(random::uniform), "uniform numbers on [0, 1)";
    "normal" C(random::normal), "standard normal numbers";
    "bernoulli" C(random::bernoulli), "true with probability p";
    "permutation" C(random::permutation), "a random order of 0..n";
    "minibatch" C(random::minibatch), "k rows drawn afresh at every step";
    "sample" D(chance::sample), "a draw from a distribution, or of all sites of a model";
    "sample_path" D(chance::sample_path), "a draw as a smooth function of the parameters";
    "log_density" D(chance::log_density), "log density of a draw, or of a record of a model's sites";
    "log_densities" D(chance::log_densities), "log density of every independent entry of a draw";
    "all_values" D(chance::all_values), "every value that a draw can have, along a new first axis";
    "weak_derivative" D(chance::weak_derivative), "the derivative of a distribution as differences of two others";
    "weighted" D(chance::weighted), "draws with the logarithm of their density";
    "copies" D(chance::copies), "a list of independent draws";
    "marginal" D(chance::marginal), "some sites of a model, the others averaged out";
    "runs" C(chance::runs), "a function without arguments, run with fresh random numbers so many times";
    "grad" C(derivative::grad), "the gradient of a scalar function";
    "value_and_grad" C(derivative::value_and_grad), "value and gradient together";
    "jvp" C(derivative::jvp), "value and directional derivative";
    "vjp" C(derivative::vjp), "value and transposed Jacobian times a vector";
    "hvp" C(derivative::hvp), "Hessian times a vector";
    "jacobian" C(derivative::jacobian), "matrix of first derivatives";
    "hessian" C(derivative::hessian), "matrix of second derivatives";
    "project" C(crate::solve::oracle::project), "nearest point of a set";
    "contains" C(crate::solve::oracle::contains), "is the point in the set";
    "violation" C(crate::solve::oracle::violation), "how far a point is from satisfying the conditions of a set";
    "biject" C(crate::solve::oracle::biject), "the member of a set that stands for a free vector";
    "tangent" C(crate::solve::oracle::tangent), "a direction projected on the tangent space of a manifold";
    "retract" C(crate::solve::oracle::retract), "the member of a manifold that a step along a tangent leads to";
    "prox" C(crate::solve::oracle::prox), "proximal operator of a term";
    "conjugate" C(crate::solve::oracle::conjugate), "convex conjugate of a term";
    "mirror_step" C(crate::solve::oracle::mirror_step), "step of mirror descent in the geometry of a set";
    "minimize_linear" C(crate::solve::oracle::minimize_linear), "point of a set that minimizes a linear function";
    "indicator" C(crate::solve::oracle::indicator), "the term that is 0 on a set and infinite off it";
    "lipschitz" C(crate::solve::lipschitz::lipschitz), "bound on how fast a gradient changes";
    "duality_gap" C(crate::solve::certificate::duality_gap), "upper bound on the distance to the optimal value";
    "prox_residual" C(crate::solve::certificate::prox_residual), "norm of the proximal gradient step";
    "gradient_norm" C(crate::solve::certificate::gradient_norm), "norm of the gradient";
    "projected_gradient_norm" C(crate::solve::certificate::projected_gradient_norm), "norm of the projected gradient step";
    "clock" C(random::clock), "seconds since the run began";
    "refuse" C(refuse), "an error with this text, where a library function is used against its assumptions";
}

impl Builtin {
    /// Is its first argument a distribution, called by the names of distributions?
    pub fn takes_dist(&self) -> bool {
        matches!(self.kind, Kind::Dist(_))
    }
}

/// Words with a meaning to some callee.
pub const SYMBOLS: &[&str] = &["auto", "ascending", "descending"];

/// Numbers with a name.
pub const CONSTANTS: &[(&str, f64)] = &[("pi", std::f64::consts::PI), ("inf", f64::INFINITY), ("nan", f64::NAN)];

/// The value of a builtin name that is no constant.
pub fn find(name: &str) -> Option<Value> {
    if let Some(b) = TABLE.iter().find(|b| b.name == name) {
        return Some(Value::Fn(Arc::new(Function::Builtin(b))));
    }
    SYMBOLS.iter().find(|s| **s == name).map(|s| Value::Symbol(s))
}

/// The names of the builtin functions.
pub fn functions() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|b| b.name)
}

/// Those that take a distribution first.
pub fn of_dist() -> impl Iterator<Item = &'static str> {
    TABLE.iter().filter(|b| b.takes_dist()).map(|b| b.name)
}

/// All builtin names, words included.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|b| b.name).chain(SYMBOLS.iter().copied())
}

/// `refuse("why")`: an error wherever it is evaluated, so that a branch which the arguments decide is refused before the run.
fn refuse(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "refuse", span)?;
    let Value::Str(text) = &v else {
        return Err(Diagnostic::error("E1102", span, format!("`refuse` takes a text, found {}", v.kind())).at("called here").into());
    };
    Err(Diagnostic::error("E5032", span, text.to_string()).at("refused here").into())
}

impl Interp<'_> {
    pub fn call_builtin(&mut self, b: &'static Builtin, args: &[CallArg], span: Span) -> Eval<Value> {
        match &b.kind {
            Kind::Unary(u) => {
                let v = self.one_arg(args, b.name, span)?;
                let at = args.first().map(|a| a.span).unwrap_or(span);
                self.unary_value(*u, &v, span, at)
            }
            Kind::Binary(op) => {
                let (x, y) = two(args, b.name, span)?;
                self.arith(*op, &x.value, &y.value, span, x.span, y.span)
            }
            Kind::Reduce(r) => reduce::reduce(self, *r, b.name, args, span),
            Kind::Cumulative(c) => shape::cumulative(self, *c, b.name, args, span),
            Kind::Call(f) | Kind::Dist(f) => f(self, args, span),
        }
    }

    pub fn num(&self, v: &Value, span: Span) -> Eval<Num> {
        match v {
            Value::Num(n) => Ok(*n),
            other => Err(self.not_numeric(other, span)),
        }
    }
}

fn two<'a>(args: &'a [CallArg], who: &str, span: Span) -> Eval<(&'a CallArg, &'a CallArg)> {
    match args {
        [x, y] => Ok((x, y)),
        _ => Err(Diagnostic::error("E1107", span, format!("`{who}` takes two arguments, found {}", args.len())).into()),
    }
}

/// Arguments sorted by parameter name; missing ones are `None`.
pub(crate) fn arguments<'a, const N: usize>(
    args: &'a [CallArg],
    names: [&str; N],
    required: usize,
    who: &str,
    span: Span,
) -> Eval<[Option<&'a CallArg>; N]> {
    let mut out: [Option<&CallArg>; N] = [None; N];
    let mut next = 0;
    for a in args {
        let k = match &a.name {
            Some(n) => names.iter().position(|p| *p == &**n).ok_or_else(|| {
                let d = Diagnostic::error("E1105", a.span, format!("`{who}` has no parameter `{n}`")).at(format!("given as `{n}`"));
                match gradus_syntax::nearest(n, names.iter().copied()) {
                    Some(near) => d.help(format!("did you mean `{near}`?")),
                    None => d,
                }
                    .note(format!("it is called as `{who}({})`", names.join(", ")))
            })?,
            None => {
                while out.get(next).is_some_and(Option::is_some) {
                    next += 1;
                }
                next
            }
        };
        match out.get_mut(k) {
            Some(slot @ None) => *slot = Some(a),
            Some(_) => return Err(Diagnostic::error("E1108", a.span, "this argument is given twice").into()),
            None => {
                return Err(Diagnostic::error("E1107", a.span, format!("`{who}` takes at most {N} arguments"))
                    .note(format!("it is called as `{who}({})`", names.join(", ")))
                    .into());
            }
        }
    }
    for (k, slot) in out.iter().enumerate().take(required) {
        if slot.is_none() {
            let name = names.get(k).copied().unwrap_or_default();
            return Err(Diagnostic::error("E1106", span, format!("`{who}` needs `{name}`"))
                .note(format!("it is called as `{who}({})`", names.join(", ")))
                .into());
        }
    }
    Ok(out)
}

/// A required argument (which `arguments` has checked to be there).
pub(crate) fn given<'a>(slot: Option<&'a CallArg>, span: Span) -> Eval<&'a CallArg> {
    slot.ok_or_else(|| Diagnostic::error("E1106", span, "an argument is missing").into())
}

fn log_sigmoid(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "log_sigmoid", span)?;
    s.map_tree(&v, span, &mut |s, n| {
        let neg = s.un(UnaryOp::Neg, n, span)?;
        let sp = s.un(UnaryOp::Softplus, neg, span)?;
        s.un(UnaryOp::Neg, sp, span)
    })
}

fn relu(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "relu", span)?;
    let zero = s.real(0.0)?;
    s.map_tree(&v, span, &mut |s, n| s.bin(BinaryOp::Max, n, zero, span))
}

fn clip(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    // `clip(1.0)` alone is the rule of the library that limits a step.
    if args.len() == 1 {
        let p = s.find_prelude("clip_norm")?;
        return match p {
            Some(rule) => s.apply(&rule, args, span),
            None => Err(Diagnostic::error("E1106", span, "`clip` is called as `clip(x, lo, hi)`").into()),
        };
    }
    let [x, lo, hi] = arguments(args, ["x", "lo", "hi"], 3, "clip", span)?;
    let (x, lo, hi) = (given(x, span)?, given(lo, span)?, given(hi, span)?);
    let m = s.arith(BinaryOp::Max, &x.value, &lo.value, span, x.span, lo.span)?;
    s.arith(BinaryOp::Min, &m, &hi.value, span, x.span, hi.span)
}

fn tolerance(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let v = s.one_arg(args, "tolerance", span)?;
    let n = s.num(&v, span)?;
    if s.options.precision == Precision::F64 {
        return Ok(Value::Num(n));
    }
    // A known one becomes a constant; for others the same formula.
    if let Some(t) = s.static_value(n)? {
        let t = s.tolerance(t);
        return Ok(Value::Num(s.real(t)?));
    }
    let e = s.tolerance(std::f64::consts::E).ln();
    let e = s.real(e)?;
    Ok(Value::Num(s.bin(BinaryOp::Pow, n, e, span)?))
}

fn where_(s: &mut Interp<'_>, args: &[CallArg], span: Span) -> Eval<Value> {
    let [c, a, b] = arguments(args, ["condition", "a", "b"], 3, "where", span)?;
    let (c, a, b) = (given(c, span)?, given(a, span)?, given(b, span)?);
    let spans = [c.span, a.span, b.span];
    if let (Value::Num(c), Value::Num(x), Value::Num(y)) = (&c.value, &a.value, &b.value) {
        return Ok(Value::Num(s.emit_blaming(Op::Select, &[*c, *x, *y], span, &spans)?));
    }
    // A condition for all leaves, or a tree of conditions.
    let tree = s.zip_tree(&a.value, &b.value, span, &mut |_, x, _| Ok(x))?;
    let n = s.leaves(&tree, span)?.len();
    let spread = |s: &mut Interp<'_>, v: &Value| -> Eval<Vec<Num>> {
        match v {
            Value::Num(k) => Ok(vec![*k; n]),
            other => s.leaves(other, span),
        }
    };
    let (cs, xs, ys) = (spread(s, &c.value)?, spread(s, &a.value)?, spread(s, &b.value)?);
    if cs.len() != n || xs.len() != n || ys.len() != n {
        return Err(Diagnostic::error("E2008", span, "the trees do not have the same fields").into());
    }
    let mut out = Vec::with_capacity(n);
    for ((c, x), y) in cs.into_iter().zip(xs).zip(ys) {
        out.push(s.emit_blaming(Op::Select, &[c, x, y], span, &spans)?);
    }
    s.rebuild(&tree, &out, span)
}

/// A static setting such as `keep = true`.
pub(crate) fn flag(s: &mut Interp<'_>, a: Option<&CallArg>, default: bool) -> Eval<bool> {
    let Some(a) = a else { return Ok(default) };
    let n = s.num(&a.value, a.span)?;
    match s.static_value(n)? {
        Some(v) if s.ty(n).dtype == DType::Bool => Ok(v != 0.0),
        _ => Err(Diagnostic::error("E1214", a.span, "expected `true` or `false`").into()),
    }
}

/// A static integer.
pub(crate) fn integer(s: &mut Interp<'_>, a: &CallArg) -> Eval<i64> {
    let n = s.num(&a.value, a.span)?;
    match s.static_dim(n)?.and_then(|d| d.known()) {
        Some(k) => Ok(k),
        None => Err(Diagnostic::error("E1214", a.span, "expected an integer known before the run").into()),
    }
}
