//! Measuring the machine once: the numbers of the cost model as this executor meets them, and what memory and products can do at best.

use super::profile::{Profile, Stream};
use gradus_cpu::{Control, Executor, probe};
use gradus_ir::build::Build;
use gradus_ir::{Array, BinaryOp, DType, Dim, Graph, IrResult, Loop, NodeId, Op, Origin, Trip, Ty, UnaryOp};
use gradus_rewrite::Machine;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

/// Bytes of the memories that streams are measured in: two levels of cache, what may be a third, and surely none.
const SIZES: [usize; 4] = [16 << 10, 256 << 10, 4 << 20, 128 << 20];

/// Elements of a vector that stays in the first cache.
const NEAR: usize = 2048;

/// A cost is believed within this factor of its usual value: on a busy machine differences of times can be anything.
const BELIEF: f64 = 20.0;

/// Measures this machine, in about two seconds. Others that use it meanwhile are in the figures; the best of several runs is taken.
///
/// # Errors
/// A graph of its own does not run, which is a mistake of Gradus; or there is not enough memory.
pub fn calibrate() -> Result<Profile, String> {
    let mut streams = Vec::new();
    for bytes in SIZES {
        streams.push(stream(bytes)?);
    }
    let (machine, flops) = costs()?;
    Ok(Profile { processor: processor(), machine, flops, streams })
}

/// The processor's name.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find(|l| l.starts_with("model name")).and_then(|l| l.split_once(':'));
    name.map_or_else(|| "unknown".to_string(), |(_, n)| n.trim().to_string())
}

/// Seconds of one call at best: samples of at least a millisecond.
fn best(mut f: impl FnMut()) -> f64 {
    f();
    let start = Instant::now();
    f();
    let once = start.elapsed().as_secs_f64().max(1e-9);
    let times = (1e-3 / once).ceil().clamp(1.0, 1e6) as u32;
    let mut least = once;
    for _ in 0..if once > 0.1 { 2 } else { 7 } {
        let start = Instant::now();
        for _ in 0..times {
            f();
        }
        least = least.min(start.elapsed().as_secs_f64() / f64::from(times));
    }
    least
}

fn vector(n: usize) -> Result<Vec<f64>, String> {
    let mut v = Vec::new();
    v.try_reserve_exact(n).map_err(|e| e.to_string())?;
    v.extend((0..n).map(|k| 1.0 + (k % 7) as f64 * 0.1));
    Ok(v)
}

fn stream(bytes: usize) -> Result<Stream, String> {
    let n = bytes / 8;
    let x = vector(n)?;
    let read = best(|| {
        black_box(probe::read(black_box(&x)));
    }) / bytes as f64;
    drop(x);
    // Three vectors share the memory.
    let m = n / 3;
    let (mut a, b, c) = (vector(m)?, vector(m)?, vector(m)?);
    let triad = best(|| probe::triad(black_box(&mut a), black_box(&b), black_box(&c), 0.5)) / (8 * m) as f64;
    // Two reads and one write. In a small cache writes may be free beside reads, which is not what a mix is priced by.
    let write = (triad - 2.0 * read).max(read / 2.0);
    Ok(Stream { bytes: bytes as f64, read: 1.0 / read, write: 1.0 / write })
}

/// Seconds of one step of `for _ in 0..steps from x { body(x, rest) }`.
fn step(steps: usize, inputs: &[Array], body: impl FnOnce(&mut Build<'_>, &[NodeId]) -> IrResult<NodeId>) -> Result<f64, String> {
    let o = Origin::default();
    let graph = || -> IrResult<Graph> {
        let mut inner = Graph::new();
        inner.param(Ty::scalar(DType::Int), o);
        let params: Vec<NodeId> = inputs.iter().map(|a| inner.param(a.ty(), o)).collect();
        let out = body(&mut Build::new(&mut inner, o), &params)?;
        inner.outputs = vec![out];
        let l = Loop {
            trip: Trip::Count(Dim::from(steps)),
            carries: 1,
            scanned: 0,
            collected: 0,
            cond: None,
            body: Arc::new(inner),
            label: "probe".into(),
        };
        let mut g = Graph::new();
        let params: Vec<NodeId> = inputs.iter().map(|a| g.param(a.ty(), o)).collect();
        let l = g.add(Op::Loop(Box::new(l)), &params, o)?;
        let out = g.add(Op::Get(1), &[l], o)?;
        g.outputs = vec![out];
        Ok(g)
    };
    let graph = graph().map_err(|e| e.to_string())?;
    let plan = gradus_plan::plan(&graph).map_err(|e| e.to_string())?;
    let mut executor = Executor::new(Arc::new(plan));
    let mut fault = None;
    let seconds = best(|| {
        if let Err(f) = executor.run(inputs, &Control::default()) {
            fault = Some(format!("{f:?}"));
        }
    });
    match fault {
        Some(f) => Err(f),
        None => Ok(seconds / steps as f64),
    }
}

fn array(shape: &[usize]) -> Result<Array, String> {
    Array::new(DType::Real, shape.to_vec(), vector(shape.iter().product())?).ok_or_else(|| "a vector of the wrong length".to_string())
}

/// `0.3 x + 0.5`
fn damped(b: &mut Build<'_>, x: NodeId) -> IrResult<NodeId> {
    let (scale, shift) = (b.real(0.3)?, b.real(0.5)?);
    let y = b.mul(x, scale)?;
    b.add(y, shift)
}

/// Seconds of a matrix times a vector, of one element of the matrix.
fn matvec(rows: usize, cols: usize) -> Result<f64, String> {
    let inputs = [array(&[cols])?, array(&[rows, cols])?];
    let steps = ((1 << 18) / (rows * cols)).max(1);
    let t = step(steps, &inputs, |b, p| {
        let y = b.matmul(p[1], p[0])?;
        let first = b.slice(y, 0, 0.into(), 1.into())?;
        let tiny = b.real(1e-9)?;
        let first = b.mul(first, tiny)?;
        b.add(p[0], first)
    })?;
    Ok(t / (rows * cols) as f64)
}

/// Seconds of a product of square matrices.
fn product(n: usize) -> Result<f64, String> {
    let inputs = [array(&[n, n])?, array(&[n, n])?];
    step(if n < 100 { 64 } else { 1 }, &inputs, |b, p| {
        let y = b.matmul(p[0], p[1])?;
        let scale = b.real(0.5 / n as f64)?;
        b.mul(y, scale)
    })
}

/// The cost model's numbers, and operations in a second of a product of matrices.
fn costs() -> Result<(Machine, f64), String> {
    let usual = Machine::default();
    let believed = |seconds: f64, usual: f64| (seconds * 1e9).clamp(usual / BELIEF, usual * BELIEF);
    let long = [array(&[NEAR])?, array(&[NEAR])?];
    let n = NEAR as f64;

    // A chain of cheap operations is one instruction of two lengths; a tiny one is all start.
    let chain = |length: usize, inputs: &[Array]| {
        step(50, inputs, |b, p| {
            let mut x = p[0];
            for k in 0..length {
                x = match k % 3 {
                    0 => b.sub(x, p[1])?,
                    1 => b.bin(BinaryOp::Max, x, p[1])?,
                    _ => damped(b, x)?,
                };
            }
            Ok(x)
        })
    };
    let cheap = (chain(12, &long)? - chain(3, &long)?) / (12.0 * n);
    let tiny = [array(&[8])?, array(&[8])?];
    let start = step(1000, &tiny, |b, p| damped(b, p[0]))? / 2.0;

    let base = step(50, &long, |b, p| damped(b, p[0]))?;
    let unary = |u: UnaryOp| -> Result<f64, String> {
        let t = step(50, &long, |b, p| {
            let y = b.un(u, p[0])?;
            damped(b, y)
        })?;
        Ok((t - base) / n)
    };
    let binary = |op: BinaryOp| -> Result<f64, String> {
        let t = step(50, &long, |b, p| {
            let y = b.bin(op, p[0], p[1])?;
            damped(b, y)
        })?;
        Ok((t - base) / n)
    };
    let half = NEAR / 2;
    let moved = step(50, &long, |b, p| {
        let first = b.slice(p[0], 0, 0.into(), half.into())?;
        let second = b.slice(p[0], 0, half.into(), half.into())?;
        b.op(Op::Concat { axis: 0 }, &[second, first])
    })? / n;

    let flop = product(384)? / (384.0 * 384.0 * 384.0);
    let call = product(16)? - 4096.0 * flop;
    let near = matvec(256, 256)?;
    let far = matvec(4096, 2048)?;
    let mut cache = (256 * 256) as f64;
    for rows in [512, 1024, 2048, 4096] {
        if matvec(rows, 512)? > 0.5 * (near + far) {
            break;
        }
        cache = (rows * 512) as f64;
    }
    let machine = Machine {
        start: believed(start, usual.start),
        call: believed(call, usual.call),
        cheap: believed(cheap, usual.cheap),
        moved: believed(moved, usual.moved),
        divide: believed(binary(BinaryOp::Div)?, usual.divide),
        exp: believed(unary(UnaryOp::Exp)?, usual.exp),
        log: believed(0.5 * (unary(UnaryOp::Log)? + unary(UnaryOp::Tanh)?), usual.log),
        sin: believed(unary(UnaryOp::Sin)?, usual.sin),
        erf: believed(unary(UnaryOp::Erf)?, usual.erf),
        pow: believed(binary(BinaryOp::Pow)?, usual.pow),
        product: believed(flop, usual.product),
        near: believed(near, usual.near),
        far: believed(far, usual.far),
        cache,
    };
    Ok((machine, 2.0 / flop))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    /// Every graph of the calibration runs, and what comes out is a profile that a file can keep.
    #[test]
    fn the_machine_can_be_measured() {
        let p = super::calibrate().unwrap();
        assert_eq!(super::Profile::from_json(&p.to_json()).unwrap(), p);
        assert_eq!(p.streams.len(), super::SIZES.len());
    }
}
