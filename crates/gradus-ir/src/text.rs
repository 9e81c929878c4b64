//! The text form of a graph: one line per live node, regions indented; `parse.rs` reads it back.
//!
//! ```text
//! graph(%0: real[n, d], %1: real[d]) {
//!   %2: real[n] = matmul %0, %1
//!   %3: real = reduce_sum{axes=[0]} %2
//!   return %3
//! }
//! ```
//! Nodes are numbered afresh (parameters first, then live nodes in order), so that dead nodes do not show in golden files.

use crate::array::Array;
use crate::graph::{Graph, Node, NodeId};
use crate::op::{Op, Trip};
use crate::ty::{DType, Ty};
use std::fmt::{self, Display, Formatter, Write};

/// Literals up to this many elements are printed as numbers; longer ones as the hexadecimal bits.
const READABLE: usize = 64;

/// The text form with long literals cut: for people, not for `parse`.
pub struct Brief<'g>(&'g Graph);

impl Graph {
    /// Displays like the graph itself but shows only the size of long literals; such text cannot be parsed.
    pub fn brief(&self) -> Brief<'_> {
        Brief(self)
    }
}

impl Display for Graph {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Printer { brief: false }.graph(f, "graph", self, 0)
    }
}

impl Display for Brief<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Printer { brief: true }.graph(f, "graph", self.0, 0)
    }
}

struct Printer {
    brief: bool,
}

impl Printer {
    fn graph(&self, f: &mut Formatter<'_>, head: &str, g: &Graph, depth: usize) -> fmt::Result {
        let live = g.live();
        let mut number: Vec<usize> = vec![0; g.len()];
        for (k, p) in g.params().iter().enumerate() {
            number[p.index()] = k;
        }
        let mut next = g.params().len();
        let mut shown: Vec<NodeId> = Vec::new();
        for (id, node) in g.nodes() {
            if live[id.index()] && !matches!(node.op, Op::Param(_)) {
                number[id.index()] = next;
                next += 1;
                shown.push(id);
            }
        }
        write!(f, "{head}(")?;
        for (k, p) in g.params().iter().enumerate() {
            let comma = if k > 0 { ", " } else { "" };
            write!(f, "{comma}%{k}: {}", g.ty(*p))?;
        }
        writeln!(f, ") {{")?;
        for id in shown {
            let node = g.node(id);
            indent(f, depth + 1)?;
            write!(f, "%{}: ", number[id.index()])?;
            types(f, node)?;
            write!(f, " = {}", node.op.name())?;
            self.attributes(f, node)?;
            list(f, &node.inputs, &number)?;
            writeln!(f)?;
            self.regions(f, &node.op, depth + 2)?;
        }
        indent(f, depth + 1)?;
        write!(f, "return")?;
        list(f, &g.outputs, &number)?;
        writeln!(f)?;
        indent(f, depth)?;
        write!(f, "}}")?;
        if depth > 0 { writeln!(f) } else { Ok(()) }
    }

    fn regions(&self, f: &mut Formatter<'_>, op: &Op, depth: usize) -> fmt::Result {
        let mut region = |name: &str, g: &Graph| -> fmt::Result {
            indent(f, depth)?;
            self.graph(f, name, g, depth)
        };
        match op {
            Op::Loop(l) => {
                if let Some(c) = &l.cond {
                    region("condition", c)?;
                }
                region("body", &l.body)
            }
            Op::Cond { then, other } => {
                region("then", then)?;
                region("else", other)
            }
            Op::Implicit(i) => {
                region("residual", &i.residual)?;
                // How the linear systems are solved is long, and never read by people.
                if self.brief {
                    return Ok(());
                }
                region("forward", &i.forward)?;
                region("adjoint", &i.adjoint)
            }
            _ => Ok(()),
        }
    }

    fn attributes(&self, f: &mut Formatter<'_>, node: &Node) -> fmt::Result {
        match &node.op {
            Op::Const(v, d) => write!(f, " {}", Number(v.get(), *d)),
            Op::Literal(a) => self.literal(f, a),
            Op::DimValue(d) => write!(f, "{{value={d}}}"),
            Op::Reduce(_, axes) => write!(f, "{{axes={axes:?}}}"),
            Op::Transpose(perm) => write!(f, "{{perm={perm:?}}}"),
            Op::Slice { axis, start, len } => write!(f, "{{axis={axis}, start={start}, len={len}}}"),
            Op::Pad { axis, before, after } => write!(f, "{{axis={axis}, before={before}, after={after}}}"),
            Op::ArgReduce { axis, .. }
            | Op::Concat { axis }
            | Op::Reverse { axis }
            | Op::Take { axis }
            | Op::TakeAlong { axis }
            | Op::ScatterAdd { axis }
            | Op::ScatterAddAlong { axis }
            | Op::ScatterSet { axis } => write!(f, "{{axis={axis}}}"),
            Op::Cumulative { axis, reverse, .. } => write!(f, "{{axis={axis}, reverse={reverse}}}"),
            Op::Sort { axis, descending } | Op::ArgSort { axis, descending } => {
                write!(f, "{{axis={axis}, descending={descending}}}")
            }
            Op::SparseMatMul { transposed, rows } => write!(f, "{{transposed={transposed}, rows={rows}}}"),
            Op::Fft { inverse } => write!(f, "{{inverse={inverse}}}"),
            Op::TopK(k) => write!(f, "{{k={k}}}"),
            Op::TriangularSolve { lower, transposed } => write!(f, "{{lower={lower}, transposed={transposed}}}"),
            Op::Solve { transposed } => write!(f, "{{transposed={transposed}}}"),
            Op::Loop(l) => {
                match &l.trip {
                    Trip::Count(d) => write!(f, "{{count={d}")?,
                    Trip::While { limit } => write!(f, "{{limit={limit}")?,
                }
                write!(f, ", carries={}, scanned={}, collected={}, label=", l.carries, l.scanned, l.collected)?;
                quote(f, &l.label)?;
                f.write_char('}')
            }
            Op::Get(k) => write!(f, "{{index={k}}}"),
            Op::Implicit(i) => {
                write!(f, "{{values={}, label=", i.values)?;
                quote(f, &i.label)?;
                f.write_char('}')
            }
            Op::NoGrad(label) | Op::Check(label) | Op::Recall(label) | Op::Store(label) | Op::Tally(label) => {
                write!(f, "{{label=")?;
                quote(f, label)?;
                f.write_char('}')
            }
            // The rest has no attributes, or only a shape, which the type shows.
            _ => Ok(()),
        }
    }

    fn literal(&self, f: &mut Formatter<'_>, a: &Array) -> fmt::Result {
        if a.len() <= READABLE {
            write!(f, " [")?;
            for (k, v) in a.data.iter().enumerate() {
                let comma = if k > 0 { ", " } else { "" };
                write!(f, "{comma}{}", Number(*v, a.dtype))?;
            }
            return f.write_char(']');
        }
        if self.brief {
            return write!(f, " <{} numbers>", a.len());
        }
        write!(f, " <")?;
        for v in a.data.iter() {
            write!(f, "{:016x}", v.to_bits())?;
        }
        f.write_char('>')
    }
}

/// A number as its dtype is read: whole where it is an int or bool, with all digits where it is real.
struct Number(f64, DType);

impl Display for Number {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.1 == DType::Real { write!(f, "{:?}", self.0) } else { write!(f, "{}", self.0) }
    }
}

fn indent(f: &mut Formatter<'_>, depth: usize) -> fmt::Result {
    (0..depth).try_for_each(|_| f.write_str("  "))
}

fn types(f: &mut Formatter<'_>, node: &Node) -> fmt::Result {
    let one = |f: &mut Formatter<'_>, t: &Ty| write!(f, "{t}");
    if node.tys.len() == 1 {
        return one(f, node.ty());
    }
    f.write_char('(')?;
    for (k, t) in node.tys.iter().enumerate() {
        if k > 0 {
            f.write_str(", ")?;
        }
        one(f, t)?;
    }
    f.write_char(')')
}

fn list(f: &mut Formatter<'_>, ids: &[NodeId], number: &[usize]) -> fmt::Result {
    for (k, id) in ids.iter().enumerate() {
        let sep = if k > 0 { "," } else { "" };
        write!(f, "{sep} %{}", number[id.index()])?;
    }
    Ok(())
}

fn quote(f: &mut Formatter<'_>, s: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in s.chars() {
        match c {
            '"' | '\\' => {
                f.write_char('\\')?;
                f.write_char(c)?;
            }
            '\n' => f.write_str("\\n")?,
            _ => f.write_char(c)?,
        }
    }
    f.write_char('"')
}
