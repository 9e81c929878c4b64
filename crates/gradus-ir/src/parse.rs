//! Reads the text form of `text.rs` back into a graph, node by node, without folding.

use crate::array::Array;
use crate::dim::Dim;
use crate::graph::{Graph, NodeId, Origin};
use crate::op::{BinaryOp, Cumulative, F64, Implicit, Loop, Op, ReduceOp, Trip, UnaryOp};
use crate::ty::{DType, Shape, Ty};
use std::sync::Arc;

/// Regions nested deeper than this are refused rather than recursed into.
const DEEPEST: usize = 100;

/// Where the text stopped making sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line number from 1.
    pub line: usize,
    pub message: String,
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ParseError {}

type Parsed<T> = Result<T, ParseError>;

/// A graph from its text form. The declared type of every node must be the one its rule gives.
pub fn parse(text: &str) -> Result<Graph, ParseError> {
    let mut p = Parser { text, at: 0 };
    p.keyword("graph")?;
    let g = p.graph(0)?;
    p.space();
    if p.at < text.len() {
        return p.fail("something follows the end of the graph");
    }
    Ok(g)
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

/// The attributes in braces, as text by name.
struct Attributes<'t>(Vec<(&'t str, &'t str)>);

impl<'t> Parser<'t> {
    fn fail<T>(&self, message: impl Into<String>) -> Parsed<T> {
        let line = 1 + self.text.as_bytes().iter().take(self.at).filter(|b| **b == b'\n').count();
        Err(ParseError { line, message: message.into() })
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        let r = self.rest();
        self.at += r.len() - r.trim_start().len();
    }

    fn eat(&mut self, what: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(what);
        if found {
            self.at += what.len();
        }
        found
    }

    fn expect(&mut self, what: &str) -> Parsed<()> {
        if self.eat(what) {
            return Ok(());
        }
        let found: String = self.rest().chars().take(12).collect();
        self.fail(format!("expected `{what}`, found `{found}`"))
    }

    fn word(&mut self) -> &'t str {
        self.space();
        let r = self.rest();
        let end = r.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(r.len());
        self.at += end;
        r.get(..end).unwrap_or_default()
    }

    fn keyword(&mut self, want: &str) -> Parsed<()> {
        let found = self.word();
        if found == want { Ok(()) } else { self.fail(format!("expected `{want}`, found `{found}`")) }
    }

    /// The text up to one of `ends` outside brackets and quotes.
    fn until(&mut self, ends: &[u8]) -> Parsed<&'t str> {
        let r = self.rest();
        let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
        for (k, b) in r.bytes().enumerate() {
            if quoted {
                (quoted, escaped) = (escaped || b != b'"', !escaped && b == b'\\');
                continue;
            }
            if depth == 0 && ends.contains(&b) {
                self.at += k;
                return Ok(r.get(..k).unwrap_or_default().trim());
            }
            match b {
                b'"' => quoted = true,
                b'(' | b'[' => depth += 1,
                b')' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        self.fail("the text ends too early")
    }

    fn number(&mut self) -> Parsed<usize> {
        let w = self.word();
        w.parse().or_else(|_| self.fail(format!("expected a number, found `{w}`")))
    }

    fn dim(&mut self, ends: &[u8]) -> Parsed<Dim> {
        let text = self.until(ends)?;
        parse_dim(text).map_or_else(|| self.fail(format!("`{text}` is not a dimension")), Ok)
    }

    fn ty(&mut self) -> Parsed<Ty> {
        let dtype = match self.word() {
            "bool" => DType::Bool,
            "int" => DType::Int,
            "real" => DType::Real,
            w => return self.fail(format!("expected a type, found `{w}`")),
        };
        let mut shape = Shape::scalar();
        if self.rest().starts_with('[') {
            self.expect("[")?;
            while !self.eat("]") {
                shape.0.push(self.dim(b",]")?);
                self.eat(",");
            }
        }
        Ok(Ty::new(dtype, shape))
    }

    fn reference(&mut self, ids: &[NodeId]) -> Parsed<NodeId> {
        self.expect("%")?;
        let k = self.number()?;
        ids.get(k).copied().map_or_else(|| self.fail(format!("%{k} is not defined yet")), Ok)
    }

    fn references(&mut self, ids: &[NodeId]) -> Parsed<Vec<NodeId>> {
        let mut out = Vec::new();
        // References stay on their line: the next line also begins with `%`.
        let on_line = |p: &Self| p.rest().trim_start_matches([' ', ',']).starts_with('%');
        while on_line(self) {
            self.eat(",");
            out.push(self.reference(ids)?);
        }
        Ok(out)
    }

    fn graph(&mut self, depth: usize) -> Parsed<Graph> {
        if depth > DEEPEST {
            return self.fail("regions are nested too deeply");
        }
        let mut g = Graph::new();
        let mut ids: Vec<NodeId> = Vec::new();
        self.expect("(")?;
        while !self.eat(")") {
            self.expect("%")?;
            if self.number()? != ids.len() {
                return self.fail("parameters are numbered from 0");
            }
            self.expect(":")?;
            let t = self.ty()?;
            ids.push(g.param(t, Origin::default()));
            self.eat(",");
        }
        self.expect("{")?;
        while self.eat("%") {
            if self.number()? != ids.len() {
                return self.fail(format!("expected node %{}", ids.len()));
            }
            self.expect(":")?;
            let mut tys = Vec::new();
            if self.eat("(") {
                while !self.eat(")") {
                    tys.push(self.ty()?);
                    self.eat(",");
                }
            } else {
                tys.push(self.ty()?);
            }
            self.expect("=")?;
            let name = self.word();
            let Some(first) = tys.first().cloned() else { return self.fail("a node without a type") };
            let (op, inputs) = self.node(name, &first, &ids, depth)?;
            let id = match g.add_plain(op, &inputs, Origin::default()) {
                Ok(id) => id,
                Err(e) => return self.fail(e.to_string()),
            };
            if g.node(id).tys.as_slice() != tys.as_slice() {
                return self.fail(format!("%{} ({name}) does not have the type its rule gives", ids.len()));
            }
            ids.push(id);
        }
        self.keyword("return")?;
        g.outputs = self.references(&ids)?;
        self.expect("}")?;
        Ok(g)
    }

    fn region(&mut self, name: &str, depth: usize) -> Parsed<Arc<Graph>> {
        self.keyword(name)?;
        Ok(Arc::new(self.graph(depth + 1)?))
    }

    fn node(&mut self, name: &str, ty: &Ty, ids: &[NodeId], depth: usize) -> Parsed<(Op, Vec<NodeId>)> {
        if name == "const" {
            let v = self.float()?;
            return Ok((Op::Const(F64::new(v), ty.dtype), Vec::new()));
        }
        if name == "literal" {
            return Ok((Op::Literal(Arc::new(self.literal(ty)?)), Vec::new()));
        }
        let a = self.attributes()?;
        let inputs = self.references(ids)?;
        let op = match self.op(name, ty, &a)? {
            Some(op) => op,
            None if name == "loop" => self.loop_op(&a, depth)?,
            None if name == "cond" => {
                let then = self.region("then", depth)?;
                Op::Cond { then, other: self.region("else", depth)? }
            }
            None if name == "implicit" => {
                let values = self.attribute(&a, "values", |v| v.parse::<usize>().ok())?;
                let label = self.attribute(&a, "label", unquote)?.into();
                let residual = self.region("residual", depth)?;
                let forward = self.region("forward", depth)?;
                let adjoint = self.region("adjoint", depth)?;
                Op::Implicit(Box::new(Implicit { values, residual, forward, adjoint, label }))
            }
            None => return self.fail(format!("there is no op `{name}`")),
        };
        Ok((op, inputs))
    }

    fn attributes(&mut self) -> Parsed<Attributes<'t>> {
        let mut all = Vec::new();
        if self.rest().starts_with('{') {
            self.expect("{")?;
            while !self.eat("}") {
                let key = self.word();
                self.expect("=")?;
                all.push((key, self.until(b",}")?));
                self.eat(",");
            }
        }
        Ok(Attributes(all))
    }

    fn attribute<T>(&self, a: &Attributes<'_>, key: &str, read: impl Fn(&str) -> Option<T>) -> Parsed<T> {
        let found = a.0.iter().find(|(k, _)| *k == key).and_then(|(_, v)| read(v));
        found.map_or_else(|| self.fail(format!("attribute `{key}` is missing or malformed")), Ok)
    }

    fn op(&self, name: &str, ty: &Ty, a: &Attributes<'_>) -> Parsed<Option<Op>> {
        let size = |k: &str| self.attribute(a, k, |v| v.parse::<usize>().ok());
        let flag = |k: &str| self.attribute(a, k, |v| v.parse::<bool>().ok());
        let dim = |k: &str| self.attribute(a, k, parse_dim);
        let sizes = |k: &str| {
            self.attribute(a, k, |v| {
                let inner = v.strip_prefix('[')?.strip_suffix(']')?;
                inner.split(',').filter(|s| !s.trim().is_empty()).map(|s| s.trim().parse::<usize>().ok()).collect()
            })
        };
        let axis = || size("axis");
        if let Some(u) = UnaryOp::from_name(name) {
            return Ok(Some(Op::Unary(u)));
        }
        if let Some(b) = BinaryOp::from_name(name) {
            return Ok(Some(Op::Binary(b)));
        }
        if let Some(op) = Cumulative::from_name(name) {
            return Ok(Some(Op::Cumulative { op, axis: axis()?, reverse: flag("reverse")? }));
        }
        if let Some(r) = name.strip_prefix("reduce_").and_then(ReduceOp::from_name) {
            return Ok(Some(Op::Reduce(r, sizes("axes")?)));
        }
        let first = || ty.shape.dims().first().cloned().unwrap_or(Dim::Known(0));
        Ok(Some(match name {
            "dim" => Op::DimValue(dim("value")?),
            "iota" => Op::Iota(first()),
            "select" => Op::Select,
            "argmax" | "argmin" => Op::ArgReduce { max: name == "argmax", axis: axis()? },
            "broadcast" => Op::Broadcast(ty.shape.clone()),
            "reshape" => Op::Reshape(ty.shape.clone()),
            "transpose" => Op::Transpose(sizes("perm")?),
            "slice" => Op::Slice { axis: axis()?, start: dim("start")?, len: dim("len")? },
            "pad" => Op::Pad { axis: axis()?, before: dim("before")?, after: dim("after")? },
            "concat" => Op::Concat { axis: axis()? },
            "reverse" => Op::Reverse { axis: axis()? },
            "take" => Op::Take { axis: axis()? },
            "take_along" => Op::TakeAlong { axis: axis()? },
            "scatter_add" => Op::ScatterAdd { axis: axis()? },
            "scatter_add_along" => Op::ScatterAddAlong { axis: axis()? },
            "scatter_set" => Op::ScatterSet { axis: axis()? },
            "sort" => Op::Sort { axis: axis()?, descending: flag("descending")? },
            "argsort" => Op::ArgSort { axis: axis()?, descending: flag("descending")? },
            "top_k" => Op::TopK(dim("k")?),
            "knapsack" => Op::Knapsack,
            "isotonic" => Op::Isotonic,
            "matmul" => Op::MatMul,
            "diagonal" => Op::Diagonal,
            "diag_matrix" => Op::DiagMatrix,
            "cholesky" => Op::Cholesky,
            "triangular_solve" => Op::TriangularSolve { lower: flag("lower")?, transposed: flag("transposed")? },
            "solve" => Op::Solve { transposed: flag("transposed")? },
            "det" => Op::Det,
            "slogdet" => Op::SlogDet,
            "sparse_matmul" => Op::SparseMatMul { transposed: flag("transposed")?, rows: dim("rows")? },
            "fft" => Op::Fft { inverse: flag("inverse")? },
            "eigh" => Op::Eigh,
            "svd" => Op::Svd,
            "qr" => Op::Qr,
            "key" => Op::Key,
            "key_fold" => Op::KeyFold,
            "uniform" => Op::Uniform(ty.shape.clone()),
            "normal" => Op::Normal(ty.shape.clone()),
            "permutation" => Op::Permutation(first()),
            "get" => Op::Get(self.attribute(a, "index", |v| v.parse().ok())?),
            "stationary" => Op::Stationary,
            "check" => Op::Check(self.attribute(a, "label", unquote)?.into()),
            "recall" => Op::Recall(self.attribute(a, "label", unquote)?.into()),
            "store" => Op::Store(self.attribute(a, "label", unquote)?.into()),
            "tally" => Op::Tally(self.attribute(a, "label", unquote)?.into()),
            "no_grad" => Op::NoGrad(self.attribute(a, "label", unquote)?.into()),
            "clock" => Op::Clock,
            _ => return Ok(None),
        }))
    }

    fn loop_op(&mut self, a: &Attributes<'_>, depth: usize) -> Parsed<Op> {
        let size = |k: &str| self.attribute(a, k, |v| v.parse::<usize>().ok());
        let counted = a.0.iter().any(|(k, _)| *k == "count");
        let trip = if counted {
            Trip::Count(self.attribute(a, "count", parse_dim)?)
        } else {
            Trip::While { limit: self.attribute(a, "limit", parse_dim)? }
        };
        let (carries, scanned, collected) = (size("carries")?, size("scanned")?, size("collected")?);
        let label = self.attribute(a, "label", unquote)?.into();
        let cond = if counted { None } else { Some(self.region("condition", depth)?) };
        let body = self.region("body", depth)?;
        Ok(Op::Loop(Box::new(Loop { trip, carries, scanned, collected, cond, body, label })))
    }

    fn float(&mut self) -> Parsed<f64> {
        self.space();
        let r = self.rest();
        let end = r.find(|c: char| c == ',' || c == ']' || c.is_whitespace()).unwrap_or(r.len());
        let text = r.get(..end).unwrap_or_default();
        self.at += end;
        text.parse().or_else(|_| self.fail(format!("`{text}` is not a number")))
    }

    fn literal(&mut self, ty: &Ty) -> Parsed<Array> {
        let Some(shape) = ty.shape.sizes() else { return self.fail("a literal has a shape of numbers") };
        let mut data = Vec::new();
        if self.eat("<") {
            let text = self.until(b">")?;
            if !text.is_ascii() || text.len() % 16 != 0 {
                return self.fail("a literal in <> is 16 hexadecimal digits per number");
            }
            for k in (0..text.len()).step_by(16) {
                match text.get(k..k + 16).and_then(|h| u64::from_str_radix(h, 16).ok()) {
                    Some(bits) => data.push(f64::from_bits(bits)),
                    None => return self.fail("a literal in <> is 16 hexadecimal digits per number"),
                }
            }
            self.expect(">")?;
        } else {
            self.expect("[")?;
            while !self.eat("]") {
                data.push(self.float()?);
                self.eat(",");
            }
        }
        let found = data.len();
        Array::new(ty.dtype, shape, data).map_or_else(|| self.fail(format!("{found} numbers do not fill `{ty}`")), Ok)
    }
}

fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                other => other,
            },
            _ => c,
        });
    }
    Some(out)
}

/// A dimension as `Dim` displays it: products joined by `*`, sums by ` + ` and ` - `; `floor(…)` and other calls are opaque symbols.
pub fn parse_dim(text: &str) -> Option<Dim> {
    let mut total = Dim::Known(0);
    let mut rest = text.trim();
    let mut sign = 1;
    if let Some(r) = rest.strip_prefix('-') {
        (sign, rest) = (-1, r.trim_start());
    }
    loop {
        let (factor, after) = factor(rest)?;
        let mut term = factor.mul(&Dim::Known(sign));
        rest = after;
        while let Some(r) = rest.strip_prefix('*') {
            let (f, after) = self::factor(r)?;
            term = term.mul(&f);
            rest = after;
        }
        total = total.add(&term);
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(total);
        }
        sign = match rest.split_at_checked(1)? {
            ("+", r) => {
                rest = r.trim_start();
                1
            }
            ("-", r) => {
                rest = r.trim_start();
                -1
            }
            _ => return None,
        };
    }
}

/// A number, a name, or a name with parenthesized text.
fn factor(text: &str) -> Option<(Dim, &str)> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '\'' && c != '.').unwrap_or(text.len());
    let (word, mut rest) = text.split_at_checked(end)?;
    if word.is_empty() {
        return None;
    }
    if let Ok(n) = word.parse::<i64>() {
        return Some((Dim::Known(n), rest));
    }
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut stop = end;
    if rest.starts_with('(') {
        let mut depth = 0usize;
        for (k, b) in rest.bytes().enumerate() {
            match b {
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                stop = end + k + 1;
                break;
            }
        }
        if depth != 0 {
            return None;
        }
        rest = text.get(stop..)?;
    }
    Some((Dim::sym(text.get(..stop)?), rest))
}
