//! From a fused instruction to vector code: stretches of lanes become loops over the block at hand in which values stay in
//! registers; what a later stretch needs goes through the block registers of the interpreter. Lanes that have no vector
//! code are run by the interpreter in between.

use crate::real::Real;
use crate::transcendental::{double, single};
use gradus_ir::{BinaryOp, Precision, ReduceOp, UnaryOp};
use gradus_native::vector::{Assembler, Join, Level, Program, Value, Vectors};
use gradus_native::Float;
use gradus_plan::{BLOCK, Fused, Lane, LaneOp, Out, Pattern, Src};

/// Operations of one loop: the processor looks a few hundred ahead, and several elements should be among them, since those
/// of one wait for each other.
const LONGEST: usize = 90;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Piece {
    /// A function of the code.
    Code(usize),
    /// A lane of the program.
    Lane(usize),
}

/// A fused instruction as vector code. Its table of addresses has the inputs, then the block registers, then the results.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub code: Vectors,
    pub pieces: Vec<Piece>,
    /// The code stores the results; else they are in registers.
    pub stores: bool,
    /// No block register is used: any number of elements can be done at once.
    pub whole: bool,
    /// A function that also reduces, any number of blocks at once; the results of reduction `k` of a block go to the
    /// memory of register `k`.
    pub sums: Option<usize>,
}

/// About how many operations a lane becomes; nothing where it has no vector code.
fn cost(l: &Lane) -> Option<usize> {
    Some(match l.op {
        LaneOp::Unary(u) => match u {
            UnaryOp::Exp => 40,
            UnaryOp::Expm1 => 45,
            UnaryOp::Log => 40,
            UnaryOp::Log1p | UnaryOp::Sigmoid | UnaryOp::Tanh => 60,
            UnaryOp::Softplus => 90,
            UnaryOp::Sin
            | UnaryOp::Cos
            | UnaryOp::Tan
            | UnaryOp::Asin
            | UnaryOp::Acos
            | UnaryOp::Atan
            | UnaryOp::Sinh
            | UnaryOp::Cosh
            | UnaryOp::Erf
            | UnaryOp::Lgamma
            | UnaryOp::Digamma
            | UnaryOp::Trigamma => return None,
            UnaryOp::Sign => 3,
            _ => 1,
        },
        LaneOp::Binary(BinaryOp::Pow) => match l.b {
            Src::Imm(e) if e == 2.0 || e == 3.0 => 2,
            _ => return None,
        },
        LaneOp::Binary(BinaryOp::Atan2 | BinaryOp::Hypot) => return None,
        LaneOp::Binary(_) | LaneOp::Select => 2,
        _ => 3,
    })
}

/// What the lane computes, as the block kernels do it; `e` is the exponent where that is known.
fn lane<'a>(l: &Lane, precision: Precision, [a, b, c, d]: [Value<'a>; 4]) -> Option<Value<'a>> {
    let truth = |m: gradus_native::vector::Mask<'a>| m.select(1.0, 0.0);
    macro_rules! function {
        ($f:ident) => {
            match precision {
                Precision::F64 => double::code::$f(a),
                Precision::F32 => single::code::$f(a),
            }
        };
    }
    Some(match l.op {
        LaneOp::Unary(u) => match u {
            UnaryOp::Neg => -a,
            UnaryOp::Abs => a.abs(),
            UnaryOp::Sign => a.above(0.0).select(1.0, a.below(0.0).select(-1.0, a.abs())),
            UnaryOp::Square => a * a,
            UnaryOp::Recip => 1.0 / a,
            UnaryOp::Sqrt => a.sqrt(),
            UnaryOp::Exp => function!(exp),
            UnaryOp::Expm1 => function!(expm1),
            UnaryOp::Log => function!(log),
            UnaryOp::Log1p => function!(log1p),
            UnaryOp::Tanh => function!(tanh),
            UnaryOp::Sigmoid => function!(sigmoid),
            UnaryOp::Softplus => function!(softplus),
            UnaryOp::Floor => a.floor(),
            UnaryOp::Ceil => a.ceil(),
            UnaryOp::Round => a.round_ties_even(),
            UnaryOp::ToInt => a.trunc(),
            UnaryOp::Not => truth(a.equals(0.0)),
            UnaryOp::IsNan => truth(a.is_nan()),
            UnaryOp::IsFinite => truth(a.abs().below(f64::INFINITY)),
            UnaryOp::ToReal | UnaryOp::StopGrad => a,
            UnaryOp::Sin
            | UnaryOp::Cos
            | UnaryOp::Tan
            | UnaryOp::Asin
            | UnaryOp::Acos
            | UnaryOp::Atan
            | UnaryOp::Sinh
            | UnaryOp::Cosh
            | UnaryOp::Erf
            | UnaryOp::Lgamma
            | UnaryOp::Digamma
            | UnaryOp::Trigamma => return None,
        },
        LaneOp::Binary(o) => match o {
            BinaryOp::Add => a + b,
            BinaryOp::Sub => a - b,
            BinaryOp::Mul => a * b,
            BinaryOp::Div => a / b,
            BinaryOp::Pow => match l.b {
                Src::Imm(e) if e == 2.0 => a * a,
                Src::Imm(e) if e == 3.0 => a * a * a,
                _ => return None,
            },
            BinaryOp::Mod => a - b * (a / b).floor(),
            BinaryOp::Max => a.is_nan().select(a, a.greater_of(b)),
            BinaryOp::Min => a.is_nan().select(a, a.lesser_of(b)),
            BinaryOp::Lt => truth(a.below(b)),
            BinaryOp::Le => truth(a.at_most(b)),
            BinaryOp::Gt => truth(a.above(b)),
            BinaryOp::Ge => truth(a.at_least(b)),
            BinaryOp::Eq => truth(a.equals(b)),
            BinaryOp::Ne => truth(a.differs(b)),
            BinaryOp::And => truth(a.differs(0.0) & b.differs(0.0)),
            BinaryOp::Or => truth(a.differs(0.0) | b.differs(0.0)),
            BinaryOp::Atan2 | BinaryOp::Hypot => return None,
        },
        LaneOp::Select => a.differs(0.0).select(b, c),
        LaneOp::MulAdd => a * b + c,
        LaneOp::MulSub => a * b - c,
        LaneOp::SubMul => c - a * b,
        LaneOp::MulMul => a * b * c,
        LaneOp::MulAddMul => a * b + c * d,
        LaneOp::MulSubMul => a * b - c * d,
        LaneOp::AddThenMul => (a + b) * c,
        LaneOp::SubThenMul => (a - b) * c,
        LaneOp::DivRoot => a / (b.sqrt() + c),
    })
}

/// Stretches of lanes: from, to, and whether they become code.
fn stretches(f: &Fused) -> Vec<(usize, usize, bool)> {
    let mut out: Vec<(usize, usize, bool)> = Vec::new();
    let mut long = 0;
    for (k, l) in f.program.iter().enumerate() {
        match (cost(l), out.last_mut()) {
            (None, _) => out.push((k, k + 1, false)),
            (Some(c), Some(last)) if last.2 && long + c <= LONGEST => {
                last.1 = k + 1;
                long += c;
            }
            (Some(c), _) => {
                out.push((k, k + 1, true));
                long = c;
            }
        }
    }
    out
}

/// Is what is in register `r` after the lanes before `end` read afterwards: by a lane (of those the code reads `at_hand`
/// elsewhere), by a reduction or, where they are not stored yet, by `results`?
fn lives(f: &Fused, r: u16, end: usize, at_hand: bool, results: bool) -> bool {
    for l in &f.program[end..] {
        if [l.a, l.b, l.c, l.d].contains(&Src::Reg(r)) && !(at_hand && cost(l).is_some()) {
            return true;
        }
        if l.dst == r {
            return false;
        }
    }
    f.outs.iter().any(|o| match o {
        Out::Store { src, .. } => results && *src == Src::Reg(r),
        Out::Reduce { src, .. } => *src == Src::Reg(r),
    })
}

/// Where a block register's address stands in the table.
fn table(f: &Fused, r: u16) -> u16 {
    f.inputs.len() as u16 + r
}

/// The result that has what code put into register `r` before lane `end`, and whose memory no input shares: it is stored at
/// once and read there.
fn result(f: &Fused, r: u16, end: usize) -> Option<u16> {
    let makes = |l: &&Lane| l.dst == r;
    if f.program[end..].iter().any(|l| makes(&l)) || f.program[..end].iter().rfind(makes).is_none_or(|l| cost(l).is_none()) {
        return None;
    }
    let is = |o: &Out| matches!(o, Out::Store { src: Src::Reg(s), direct: true, .. } if *s == r);
    f.outs.iter().position(is).map(|k| k as u16 + f.inputs.len() as u16 + f.registers)
}

/// An operand of a stretch from lane `from` on that has made these registers; `outside` where it comes from an earlier one.
fn read<'a, T: Real>(
    f: &Fused,
    program: &'a Program,
    made: &[Option<Value<'a>>],
    s: Src,
    (from, stores): (usize, bool),
    outside: &mut bool,
) -> Value<'a> {
    match s {
        Src::Imm(v) => program.number(T::constant(v).wide()),
        Src::In(k) if f.inputs[k as usize].pattern == Pattern::Splat => program.splat(k),
        Src::In(k) => program.load(k),
        Src::Reg(r) => made[r as usize].unwrap_or_else(|| {
            *outside = true;
            program.load(result(f, r, from).filter(|_| stores).unwrap_or(table(f, r)))
        }),
    }
}

/// `None` where nothing would be gained, or the machine has no vectors for it.
pub(crate) fn compile<T: Real>(f: &Fused, level: Level) -> Option<Compiled> {
    let stretches = stretches(f);
    let ends_in_code = stretches.last().is_some_and(|s| s.2);
    // What reductions read must be there after the results were stored, perhaps over inputs.
    let stores = ends_in_code
        && f.outs.iter().all(|o| match o {
            Out::Store { access, .. } => access.pattern == Pattern::Dense,
            Out::Reduce { src, .. } => matches!(src, Src::Reg(_)),
        });
    if !stretches.iter().any(|s| s.2) {
        return None;
    }
    let float = match T::PRECISION {
        Precision::F64 => Float::F64,
        Precision::F32 => Float::F32,
    };
    let (inputs, registers) = (f.inputs.len(), f.registers as usize);
    let mut assembler = Assembler::new(level);
    let mut pieces = Vec::new();
    let mut sums = None;
    let dense = f.inputs.iter().all(|a| !matches!(a.pattern, Pattern::Strided(_)));
    let mut whole = stores && dense;
    for (n, &(from, to, code)) in stretches.iter().enumerate() {
        if !code {
            pieces.push(Piece::Lane(from));
            whole = false;
            continue;
        }
        let last = n + 1 == stretches.len();
        let program = Program::new(float, level);
        let mut made: Vec<Option<Value<'_>>> = vec![None; registers];
        let mut outside = false;
        for l in &f.program[from..to] {
            let args = [l.a, l.b, l.c, l.d].map(|s| read::<T>(f, &program, &made, s, (from, stores), &mut outside));
            let v = lane(l, T::PRECISION, args)?;
            made[l.dst as usize] = Some(v);
        }
        let mut results = Vec::new();
        for (k, o) in f.outs.iter().enumerate() {
            let Out::Store { src, direct, .. } = o else { continue };
            let at = (inputs + registers + k) as u16;
            match *src {
                Src::Reg(r) if *direct && stores && made[r as usize].is_none() && result(f, r, from) == Some(at) => {}
                Src::Reg(r) if stores && made[r as usize].is_some() && result(f, r, to) == Some(at) => {
                    results.push((at, read::<T>(f, &program, &made, *src, (from, stores), &mut outside)));
                }
                _ if last && stores => results.push((at, read::<T>(f, &program, &made, *src, (from, stores), &mut outside))),
                _ => {}
            }
        }
        for r in 0..f.registers {
            if let Some(v) = made[r as usize] {
                let stored = stores && result(f, r, to).is_some();
                if lives(f, r, to, stored, !stored && !(last && stores)) {
                    outside = true;
                    results.push((table(f, r), v));
                }
            }
        }
        whole &= !outside;
        pieces.push(Piece::Code(assembler.function(&program, &results)?));
        if stores && dense && stretches.len() == 1 && f.segment > BLOCK {
            let folds = folds(f, |s| read::<T>(f, &program, &made, s, (from, stores), &mut outside), &program);
            results.retain(|(t, _)| *t as usize >= inputs + registers);
            sums = folds.and_then(|folds| assembler.reducing(&program, &results, &folds));
        }
    }
    Some(Compiled { code: assembler.finish()?, pieces, stores, whole, sums })
}

/// The reductions that the code can do itself, if these are all: where their results go, how, of what, from what on.
fn folds<'a>(
    f: &Fused,
    mut read: impl FnMut(Src) -> Value<'a>,
    program: &'a Program,
) -> Option<Vec<(u16, Join, Value<'a>, Value<'a>)>> {
    let mut out = Vec::new();
    for o in &f.outs {
        let Out::Reduce { op, src, .. } = o else { continue };
        let (join, start) = match op {
            ReduceOp::Sum => (Join::Add, 0.0),
            ReduceOp::Prod => (Join::Mul, 1.0),
            ReduceOp::Max => (Join::Max, f64::NEG_INFINITY),
            ReduceOp::Min => (Join::Min, f64::INFINITY),
            ReduceOp::LogSumExp => return None,
        };
        out.push((table(f, out.len() as u16), join, read(*src), program.number(start)));
    }
    // Each has the memory of a register.
    (out.len() <= f.registers as usize).then_some(out)
}

#[cfg(test)]
mod tests;
