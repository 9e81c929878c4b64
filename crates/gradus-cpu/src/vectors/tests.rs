//! Vector code against the block kernels, bit for bit, for every vector width that this machine has.

#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::elementwise::{Arg, lane1};
use crate::simd::Kernels;
use gradus_plan::{Access, BLOCK, Place};
use std::ffi::c_void;

/// A fixed sequence of random numbers.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

fn levels() -> Vec<Level> {
    match Level::detect() {
        Some(Level::Avx512) => vec![Level::Avx512, Level::Avx2],
        Some(Level::Avx2) => vec![Level::Avx2],
        None => Vec::new(),
    }
}

/// Numbers of all kinds: ordinary ones, huge and tiny ones, zeros, infinities, NaN, whole numbers.
fn numbers<T: Real>(n: usize, seed: u64) -> Vec<T> {
    let edges = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        2.5,
        -3.5,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        5e-324,
        -1e-310,
        1e-45,
        -1e-40,
        1e300,
        -1e300,
        3e38,
        709.5,
        -745.2,
        -708.5,
        88.5,
        -103.9,
        1e-9,
        -1e-17,
        1e16,
    ];
    let mut d = Dice(seed);
    let number = |d: &mut Dice| {
        let x = d.roll(2_000_001) as f64 / 1e6 - 1.0;
        match d.roll(5) {
            0 => edges[d.roll(edges.len())],
            1 => x * 800.0,
            2 => x * 1e-8,
            _ => x * 4.0,
        }
    };
    (0..n).map(|_| T::of(number(&mut d))).collect()
}

fn place() -> Place {
    Place { base: 0, counter: 0, offset: 0, stride: 0 }
}

fn program(lanes: Vec<Lane>, inputs: &[Pattern], registers: u16, outs: &[Src]) -> Fused {
    Fused {
        dims: vec![BLOCK],
        count: BLOCK,
        inputs: inputs.iter().map(|p| Access { place: place(), pattern: p.clone() }).collect(),
        program: lanes,
        registers,
        outs: outs
            .iter()
            .enumerate()
            .map(|(k, s)| Out::Store { src: *s, access: Access { place: place(), pattern: Pattern::Dense }, direct: k % 3 != 2 })
            .collect(),
        segment: 0,
        rows: 0,
        number: 0,
    }
}

/// The results of the block kernels, and those of vector code; of `BLOCK` elements each.
fn both<T: Real>(f: &Fused, level: Level, data: &[Vec<T>]) -> Option<(Vec<Vec<T>>, Vec<Vec<T>>)> {
    let compiled = compile::<T>(f, level)?;
    let kernels = Kernels::<T>::detect();
    let mut registers = vec![vec![T::ZERO; BLOCK]; f.registers as usize];
    let run_lane = |registers: &mut Vec<Vec<T>>, l: &Lane| {
        let mut out = vec![T::ZERO; BLOCK];
        let arg = |s: Src| match s {
            Src::Reg(r) => Arg::Slice(&registers[r as usize]),
            Src::Imm(v) => Arg::Splat(T::constant(v)),
            Src::In(k) if f.inputs[k as usize].pattern == Pattern::Splat => Arg::Splat(data[k as usize][0]),
            Src::In(k) => Arg::Slice(&data[k as usize]),
        };
        kernels.lane(l.op, &mut out, [arg(l.a), arg(l.b), arg(l.c), arg(l.d)]);
        registers[l.dst as usize] = out;
    };
    for l in &f.program {
        run_lane(&mut registers, l);
    }
    let results = |registers: &[Vec<T>]| -> Vec<Vec<T>> {
        let of = |o: &Out| match o {
            Out::Store { src: Src::Reg(r), .. } => registers[*r as usize].clone(),
            Out::Store { src: Src::In(k), .. } => data[*k as usize].clone(),
            _ => panic!("no such result"),
        };
        f.outs.iter().map(of).collect()
    };
    let want = results(&registers);

    let mut registers = vec![vec![T::NAN; BLOCK]; f.registers as usize];
    let mut outs = vec![vec![T::NAN; BLOCK]; f.outs.len()];
    for p in &compiled.pieces {
        match *p {
            Piece::Lane(k) => run_lane(&mut registers, &f.program[k]),
            Piece::Code(k) => {
                let addresses = data.iter().map(|x| x.as_ptr().cast_mut());
                let addresses = addresses.chain(registers.iter_mut().map(|r| r.as_mut_ptr()));
                let mut table: Vec<*mut c_void> = addresses.chain(outs.iter_mut().map(|o| o.as_mut_ptr())).map(|p| p.cast()).collect();
                // SAFETY: every address is that of a block.
                unsafe { compiled.code.run(k, table.as_mut_ptr(), BLOCK * size_of::<T>()) };
            }
        }
    }
    Some((want, if compiled.stores { outs } else { results(&registers) }))
}

fn check<T: Real>(f: &Fused, data: &[Vec<T>]) {
    for level in levels() {
        let Some((want, found)) = both(f, level, data) else { continue };
        for (o, (want, found)) in want.iter().zip(&found).enumerate() {
            for (k, (w, x)) in want.iter().zip(found).enumerate() {
                let (a, b) = (w.wide(), x.wide());
                let inputs: Vec<f64> = data.iter().map(|d| d[k].wide()).collect();
                assert!(
                    a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
                    "{level:?} {}: result {o} of {inputs:?} is {b:e}, not {a:e}\n{:?}",
                    T::PRECISION,
                    (&f.program, &f.outs)
                );
            }
        }
    }
}

fn operations() -> Vec<LaneOp> {
    let fixed = [
        LaneOp::Select,
        LaneOp::MulAdd,
        LaneOp::MulSub,
        LaneOp::SubMul,
        LaneOp::MulMul,
        LaneOp::MulAddMul,
        LaneOp::MulSubMul,
        LaneOp::AddThenMul,
        LaneOp::SubThenMul,
        LaneOp::DivRoot,
    ];
    let unary = UnaryOp::ALL.iter().map(|u| LaneOp::Unary(*u));
    unary.chain(BinaryOp::ALL.iter().map(|b| LaneOp::Binary(*b))).chain(fixed).collect()
}

/// Each operation alone, on arrays and on single numbers.
fn each_operation<T: Real>() {
    let mut data: Vec<Vec<T>> = (0..4).map(|k| numbers(BLOCK, k)).collect();
    data.push(vec![T::of(-0.75); BLOCK]);
    let patterns = [Pattern::Dense, Pattern::Dense, Pattern::Dense, Pattern::Dense, Pattern::Splat];
    let mut compiled = 0;
    for op in operations() {
        for args in [[0, 1, 2, 3], [4, 0, 4, 1], [0, 4, 4, 4], [1, 1, 1, 1], [2, 1, 0, 2]] {
            let [a, b, c, d] = args.map(Src::In);
            let l = Lane { op, dst: 0, a, b, c, d };
            let f = program(vec![l], &patterns, 1, &[Src::Reg(0)]);
            compiled += usize::from(levels().iter().any(|v| compile::<T>(&f, *v).is_some()));
            check(&f, &data);
        }
        for e in [2.0, 3.0] {
            let l = Lane { op, dst: 0, a: Src::In(0), b: Src::Imm(e), c: Src::Imm(-0.0), d: Src::Imm(7.0) };
            check(&program(vec![l], &patterns, 1, &[Src::Reg(0)]), &data);
        }
    }
    assert!(levels().is_empty() || compiled >= 200, "{compiled}");
}

#[test]
fn each_operation_has_the_same_bits() {
    each_operation::<f64>();
    each_operation::<f32>();
}

/// Programs of many lanes with a register each, so that values must wait in memory, and with few.
fn random_programs<T: Real>(programs: u64) {
    let operations = operations();
    for seed in 0..programs {
        let mut d = Dice(seed);
        let inputs = 1 + d.roll(if seed % 7 == 0 { 14 } else { 4 });
        let data: Vec<Vec<T>> = (0..inputs).map(|k| numbers(BLOCK, seed * 100 + k as u64)).collect();
        let patterns: Vec<Pattern> =
            (0..inputs).map(|_| if d.roll(4) == 0 { Pattern::Splat } else { Pattern::Dense }).collect();
        let registers = [4, 9, 47][d.roll(3)];
        let lanes = 1 + d.roll(48);
        let cheap = d.roll(2) == 0;
        let mut program_lanes = Vec::new();
        let mut made: Vec<u16> = Vec::new();
        for k in 0..lanes {
            let op = loop {
                let op = operations[d.roll(operations.len())];
                let l = Lane { op, dst: 0, a: Src::In(0), b: Src::In(0), c: Src::In(0), d: Src::In(0) };
                if !cheap || cost(&l).is_some_and(|c| c < 4) {
                    break op;
                }
            };
            let source = |d: &mut Dice| match d.roll(6) {
                0 => Src::Imm([0.5, -2.0, 3.0, 1e-3, 0.0][d.roll(5)]),
                1 => Src::In(d.roll(inputs) as u16),
                _ if !made.is_empty() => Src::Reg(made[d.roll(made.len())]),
                _ => Src::In(d.roll(inputs) as u16),
            };
            let [a, b, c, e] = [source(&mut d), source(&mut d), source(&mut d), source(&mut d)];
            // A lane writes no register that it reads.
            let dst = (0..registers).map(|r| (r + k as u16) % registers).find(|r| ![a, b, c, e].contains(&Src::Reg(*r)));
            let Some(dst) = dst else { continue };
            program_lanes.push(Lane { op, dst, a, b, c, d: e });
            if !made.contains(&dst) {
                made.push(dst);
            }
        }
        if made.is_empty() {
            continue;
        }
        let outs: Vec<Src> = (0..1 + d.roll(4)).map(|_| Src::Reg(made[d.roll(made.len())])).collect();
        check(&program(program_lanes, &patterns, registers, &outs), &data);
    }
}

#[test]
fn random_programs_have_the_same_bits() {
    random_programs::<f64>(400);
    random_programs::<f32>(400);
}

/// Results may lie over inputs: each element is read before it is written.
#[test]
fn in_place() {
    let l = |op, dst, a, b| Lane { op: LaneOp::Binary(op), dst, a, b, c: Src::Imm(0.0), d: Src::Imm(0.0) };
    let lanes = vec![
        l(BinaryOp::Add, 0, Src::In(0), Src::In(1)),
        l(BinaryOp::Mul, 1, Src::Reg(0), Src::In(1)),
        l(BinaryOp::Sub, 2, Src::Reg(1), Src::In(0)),
    ];
    let f = program(lanes, &[Pattern::Dense, Pattern::Dense], 3, &[Src::Reg(2), Src::In(0), Src::Reg(0)]);
    for level in levels() {
        let compiled = compile::<f64>(&f, level).unwrap();
        assert!(compiled.whole && compiled.stores);
        let mut x: Vec<f64> = (0..BLOCK).map(|k| k as f64).collect();
        let mut y: Vec<f64> = (0..BLOCK).map(|k| 3.0 * k as f64 + 1.0).collect();
        let (before, other) = (x.clone(), y.clone());
        let mut sum = vec![0.0; BLOCK];
        let (px, py, ps) = (x.as_mut_ptr().cast(), y.as_mut_ptr().cast(), sum.as_mut_ptr().cast());
        let none = std::ptr::null_mut();
        let mut table: [*mut c_void; 8] = [px, py, none, none, none, px, py, ps];
        // SAFETY: every address that is used is that of a block.
        unsafe { compiled.code.run(0, table.as_mut_ptr(), BLOCK * 8) };
        for k in 0..BLOCK {
            let (a, b) = (before[k], other[k]);
            assert_eq!((x[k], y[k], sum[k]), ((a + b) * b - a, a, a + b));
            assert_eq!(sum[k], lane1(LaneOp::Binary(BinaryOp::Add), [a, b, 0.0, 0.0]));
        }
    }
}
