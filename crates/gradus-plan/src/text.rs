//! A plan as text, for `explain --stage plan` and golden files. Equal plans give equal text.

use crate::plan::{Access, Block, Call, Fused, Instr, Kind, LaneOp, MatMul, Matrix, Out, Pattern, Place, Plan, Scalar, Src};
use crate::sweep::{Sweep, Task};
use gradus_ir::Origin;
use std::fmt::{self, Display, Formatter, Write};

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "plan: {} instructions, {} bytes", self.instructions(), self.peak_bytes())?;
        for (k, ty) in self.params.iter().enumerate() {
            writeln!(f, "input in{k}: {ty}")?;
        }
        for (k, l) in self.literals.iter().enumerate() {
            writeln!(f, "literal lit{k}: {}", l.ty())?;
        }
        for (at, v) in &self.constants {
            writeln!(f, "constant @{at}: {v}")?;
        }
        for b in &self.buffers {
            writeln!(f, "buffer @{}: {} elements, steps {}..{}", b.offset, b.len, b.from, b.to)?;
        }
        block(f, self, &self.body, 0)?;
        for (k, o) in self.outputs.iter().enumerate() {
            writeln!(f, "output out{k}: {} = {}", o.ty, scalar(self, &o.value))?;
        }
        for (label, n) in self.kernels_per_step() {
            writeln!(f, "loop {label}: {n} kernels a step")?;
        }
        Ok(())
    }
}

fn place(p: &Plan, x: &Place) -> String {
    let base = x.base as usize;
    let mut s = match base.checked_sub(1) {
        None => format!("@{}", x.offset),
        Some(k) => {
            let name = match k.checked_sub(p.params.len()) {
                None => format!("in{k}"),
                Some(l) if l == p.literals.len() => format!("own@{}", x.offset),
                Some(l) => format!("lit{l}"),
            };
            if x.offset == 0 || x.base == p.local_base() { name } else { format!("{name}+{}", x.offset) }
        }
    };
    if x.counter != 0 {
        let _ = write!(s, "{:+}*c{}", x.stride, x.counter);
    }
    s
}

fn scalar(p: &Plan, s: &Scalar) -> String {
    match s {
        Scalar::Imm(v) => v.to_string(),
        Scalar::At(x) => place(p, x),
    }
}

fn shape(dims: &[usize]) -> String {
    let d: Vec<String> = dims.iter().map(|d| d.to_string()).collect();
    format!("[{}]", d.join(", "))
}

fn access(p: &Plan, a: &Access) -> String {
    let at = place(p, &a.place);
    match &a.pattern {
        Pattern::Dense => at,
        Pattern::Splat => format!("{at} splat"),
        Pattern::Strided(axes) => {
            let s: Vec<String> = axes.iter().map(|(n, s)| format!("{n}:{s}")).collect();
            format!("{at} strides({})", s.join(", "))
        }
    }
}

fn origin(o: &Origin) -> String {
    if *o == Origin::default() { String::new() } else { format!("  # {}:{}..{}", o.file, o.start, o.end) }
}

fn block(f: &mut Formatter<'_>, p: &Plan, b: &Block, depth: usize) -> fmt::Result {
    for i in &b.code {
        instr(f, p, i, depth)?;
    }
    Ok(())
}

fn instr(f: &mut Formatter<'_>, p: &Plan, i: &Instr, depth: usize) -> fmt::Result {
    let pad = "  ".repeat(depth);
    let from = origin(&i.origin);
    match &i.kind {
        Kind::Fused(x) => fused(f, p, x, i.name, &i.origin, &pad),
        Kind::MatMul(m) => writeln!(f, "{pad}{}{from}", matmul(p, m)),
        Kind::Call(c) => writeln!(f, "{pad}{}{from}", call(p, c, i.name)),
        Kind::Sweep(s) => sweep(f, p, s, &pad, &from),
        Kind::Loop(l) => {
            let kind = if l.cond.is_some() { "while" } else { "for" };
            let chunk = l.chunk.map_or(String::new(), |n| format!(", in parallel by {n}"));
            writeln!(
                f,
                "{pad}loop {} ({kind}, at most {} steps{chunk}, counters c{} c{}) {{{from}",
                l.label, l.bound, l.step, l.parity
            )?;
            if let Some(x) = &l.index {
                writeln!(f, "{pad}  step -> {}", place(p, x))?;
            }
            if let Some((c, s)) = &l.cond {
                block(f, p, c, depth + 1)?;
                writeln!(f, "{pad}  while {}", scalar(p, s))?;
            }
            block(f, p, &l.body, depth + 1)?;
            for s in &l.swaps {
                let own = if s.base == Place::ARENA { "" } else { "own" };
                writeln!(f, "{pad}  swap {own}@{} {own}@{} [{}]", s.a, s.b, s.len)?;
            }
            for (a, b, n) in &l.copies {
                writeln!(f, "{pad}  carry {} -> {} [{n}]", place(p, a), place(p, b))?;
            }
            for (x, n) in &l.collected {
                writeln!(f, "{pad}  collect {} rows of {n}", place(p, x))?;
            }
            if let Some(x) = &l.done {
                writeln!(f, "{pad}  steps done -> {}", place(p, x))?;
            }
            writeln!(f, "{pad}}}")
        }
        Kind::Cond(c) => {
            writeln!(f, "{pad}if {} {{{from}", scalar(p, &c.test))?;
            block(f, p, &c.then, depth + 1)?;
            writeln!(f, "{pad}}} else {{")?;
            block(f, p, &c.other, depth + 1)?;
            writeln!(f, "{pad}}}")
        }
    }
}

fn src(s: &Src) -> String {
    match s {
        Src::Reg(r) => format!("r{r}"),
        Src::In(k) => format!("i{k}"),
        Src::Imm(v) => v.to_string(),
    }
}

fn fused(f: &mut Formatter<'_>, p: &Plan, x: &Fused, name: &str, from: &Origin, pad: &str) -> fmt::Result {
    let inputs: Vec<String> = x.inputs.iter().enumerate().map(|(k, a)| format!("i{k} = {}", access(p, a))).collect();
    let mut head = format!("{pad}{} {}", if x.program.is_empty() { name } else { "elementwise" }, shape(&x.dims));
    if !inputs.is_empty() {
        let _ = write!(head, " ({})", inputs.join(", "));
    }
    writeln!(f, "{head}{}", origin(from))?;
    for l in &x.program {
        let (name, n) = match l.op {
            LaneOp::Unary(u) => (u.name(), 1),
            LaneOp::Binary(b) => (b.name(), 2),
            LaneOp::Select => ("select", 3),
            LaneOp::MulAdd => ("mul_add", 3),
            LaneOp::MulSub => ("mul_sub", 3),
            LaneOp::SubMul => ("sub_mul", 3),
            LaneOp::MulMul => ("mul_mul", 3),
            LaneOp::MulAddMul => ("mul_add_mul", 4),
            LaneOp::MulSubMul => ("mul_sub_mul", 4),
            LaneOp::AddThenMul => ("add_then_mul", 3),
            LaneOp::SubThenMul => ("sub_then_mul", 3),
            LaneOp::DivRoot => ("div_root", 3),
        };
        let args: Vec<String> = [l.a, l.b, l.c, l.d].iter().take(n).map(src).collect();
        writeln!(f, "{pad}  r{} = {name} {}", l.dst, args.join(" "))?;
    }
    for o in &x.outs {
        match o {
            Out::Store { src: s, access: a, .. } => writeln!(f, "{pad}  {} -> {}", src(s), access(p, a))?,
            Out::Reduce { op, src: s, place: a } => {
                writeln!(f, "{pad}  reduce_{} {} by {} -> {} [{}]", op.name(), src(s), x.segment, place(p, a), x.rows)?;
            }
        }
    }
    Ok(())
}

fn sweep(f: &mut Formatter<'_>, p: &Plan, s: &Sweep, pad: &str, from: &str) -> fmt::Result {
    let mut head = format!("{pad}sweep {} rows by {}", s.rows, s.block);
    if s.chunks() > 1 {
        let _ = write!(head, ", {} chunks of {}", s.chunks(), s.chunk);
    }
    let _ = write!(head, ", counter c{}", s.row);
    if s.local > 0 {
        let _ = write!(head, ", {} elements of its own", s.local);
    }
    writeln!(f, "{head}{} {{{from}", if s.parallel { ", in parallel" } else { "" })?;
    let inner = format!("{pad}  ");
    for step in &s.steps {
        let from = origin(&step.origin);
        match &step.task {
            Task::Fused { fused: x, .. } => {
                fused(f, p, x, step.name, &step.origin, &inner)?;
            }
            Task::Rows(m) => writeln!(f, "{inner}rows of {}{from}", matmul(p, m))?,
            Task::Batch(m) => writeln!(f, "{inner}{}{from}", matmul(p, m))?,
            Task::Sum(m) => writeln!(f, "{inner}sum {}{from}", matmul(p, m))?,
            Task::Columns { op, inner: n, from: a, out } => {
                writeln!(f, "{inner}columns_{} {} [{}, {n}] -> {}{from}", op.name(), place(p, a), s.rows, place(p, out))?;
            }
            Task::Lines(c) => writeln!(f, "{inner}{}{from}", call(p, c, step.name))?,
        }
        if let Some(x) = &step.partials {
            writeln!(f, "{inner}  sums of chunks in {}", place(p, x))?;
        }
    }
    writeln!(f, "{pad}}}")
}

fn matrix(p: &Plan, m: &Matrix) -> String {
    let flag = if m.col_stride == 1 { "" } else { " transposed" };
    format!("{} [{}, {}]{flag}", place(p, &m.place), m.rows, m.cols)
}

fn matmul(p: &Plan, m: &MatMul) -> String {
    let batch = if m.batch == 1 { String::new() } else { format!(" batch {}", m.batch) };
    format!("matmul{batch} {} @ {} -> {}", matrix(p, &m.a), matrix(p, &m.b), place(p, &m.out))
}

fn call(p: &Plan, c: &Call, name: &str) -> String {
    let list = |t: &[crate::plan::Tensor]| {
        let v: Vec<String> = t.iter().map(|t| format!("{} {}", place(p, &t.place), shape(&t.dims))).collect();
        v.join(", ")
    };
    let mut s = format!("{name} {} -> {}", list(&c.inputs), list(&c.outputs));
    if let Some((w, n)) = &c.work {
        let _ = write!(s, " work {} [{n}]", place(p, w));
    }
    s
}
