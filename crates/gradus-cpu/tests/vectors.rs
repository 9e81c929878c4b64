//! Vector code for large elementwise instructions against the interpreter: the same bits for every length, with reductions,
//! with broadcasts, in place, in sweeps and on several threads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_cpu::{Control, Executor, NativeCode, Threads};
use gradus_ir::build::Build;
use gradus_ir::{Array, BinaryOp, DType, Graph, NodeId, Origin, Precision, ReduceOp, Shape, Ty, UnaryOp};
use gradus_plan::{Options, plan_with};
use std::num::NonZeroUsize;
use std::sync::Arc;

fn real(g: &mut Graph, dims: &[usize]) -> NodeId {
    g.param(Ty::real(Shape::of(dims)), Origin::default())
}

/// Ordinary numbers with an infinity, a NaN, zeros of both signs and a subnormal number here and there.
fn data(dims: &[usize], seed: u64, special: bool) -> Array {
    let n: usize = dims.iter().product();
    let mut s = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |k: usize| {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        let x = (s >> 11) as f64 / (1u64 << 53) as f64 * 4.0 - 2.0;
        match (special, (k + seed as usize) % 97) {
            (true, 13) => f64::INFINITY,
            (true, 29) => f64::NAN,
            (_, 31) => 0.0,
            (_, 41) => -0.0,
            (_, 53) => 5e-324,
            _ => x,
        }
    };
    Array::new(DType::Real, dims.to_vec(), (0..n).map(&mut next).collect()).unwrap()
}

/// Every tier gives the same bits at both precisions, on one thread and on two, again and again.
fn same(g: &Graph, inputs: &[Array]) {
    for precision in [Precision::F64, Precision::F32] {
        for options in [Options::default(), Options { in_place: false, ..Options::default() }, Options { sweep: false, ..Options::default() }] {
            let plan = Arc::new(plan_with(g, Options { precision, ..options }).unwrap());
            let run = |native, threads: usize| {
                let mut e = Executor::new(plan.clone());
                let threads = Some(Arc::new(Threads::new(NonZeroUsize::new(threads).unwrap())));
                let control = Control { native, threads, ..Control::default() };
                let first = e.run(inputs, &control).unwrap();
                assert_eq!(format!("{first:?}"), format!("{:?}", e.run(inputs, &control).unwrap()));
                // A NaN is a NaN; a zero has its sign.
                let bits = |x: &f64| if x.is_nan() { f64::NAN.to_bits() } else { x.to_bits() };
                first.iter().map(|a| a.data.iter().map(bits).collect::<Vec<_>>()).collect::<Vec<_>>()
            };
            let off = run(NativeCode::Off, 1);
            for (native, threads) in [(NativeCode::On, 1), (NativeCode::On, 2), (NativeCode::Auto, 1)] {
                let found = run(native, threads);
                for (o, (a, b)) in off.iter().zip(&found).enumerate() {
                    let k = a.iter().zip(b).position(|(x, y)| x != y);
                    let of = |v: &Vec<u64>| k.map(|k| f64::from_bits(v[k]));
                    assert!(k.is_none(), "{native:?} {precision} output {o} at {k:?}: {:?}, not {:?}\n{plan}", of(b), of(a));
                }
            }
        }
    }
}

const LENGTHS: [usize; 19] = [0, 1, 2, 7, 8, 9, 15, 16, 17, 33, 255, 256, 257, 264, 511, 1000, 7680, 7685, 20_003];

/// Stores, and reductions of what is stored, of other things and of several things, for every length.
#[test]
fn lengths() {
    for n in LENGTHS {
        for special in [false, true] {
            let mut g = Graph::new();
            let (x, y, s) = (real(&mut g, &[n]), real(&mut g, &[n]), real(&mut g, &[]));
            let mut b = Build::new(&mut g, Origin::default());
            let p = b.mul(x, y).unwrap();
            let p = b.add(p, s).unwrap();
            let e = b.un(UnaryOp::Abs, p).unwrap();
            let q = b.sub(e, y).unwrap();
            let mut outs = vec![p, q];
            for op in ReduceOp::ALL {
                for v in [p, q, x] {
                    outs.push(b.reduce(*op, v, &[0]).unwrap());
                }
            }
            let t = b.tanh(q).unwrap();
            let t = b.un(UnaryOp::Sin, t).unwrap();
            let t = b.exp(t).unwrap();
            outs.push(b.mul(t, x).unwrap());
            g.outputs = outs;
            same(&g, &[data(&[n], 1, special), data(&[n], 2, special), Array::scalar(0.25)]);
        }
    }
}

/// An update like Adam's: results over inputs, and the largest change.
#[test]
fn updates() {
    for n in LENGTHS {
        let mut g = Graph::new();
        let (p, m, v, c) = (real(&mut g, &[n]), real(&mut g, &[n]), real(&mut g, &[n]), real(&mut g, &[n]));
        let mut b = Build::new(&mut g, Origin::default());
        let (keep, new, tiny) = (b.real(0.9).unwrap(), b.real(0.1).unwrap(), b.real(1e-8).unwrap());
        let one = b.real(1.5).unwrap();
        let step = |b: &mut Build<'_>, [p, m, v]: [NodeId; 3]| {
            let d = b.sub(p, c).unwrap();
            let (m1, m2) = (b.mul(keep, m).unwrap(), b.mul(new, d).unwrap());
            let m = b.add(m1, m2).unwrap();
            let d = b.un(UnaryOp::Square, d).unwrap();
            let (v1, v2) = (b.mul(keep, v).unwrap(), b.mul(new, d).unwrap());
            let v = b.add(v1, v2).unwrap();
            let root = b.un(UnaryOp::Sqrt, v).unwrap();
            let root = b.add(root, tiny).unwrap();
            let d = b.div(m, root).unwrap();
            let p = b.sub(p, d).unwrap();
            [p, m, v]
        };
        // What is updated is made here, so that it may be overwritten.
        let (p, m, v) = (b.mul(p, one).unwrap(), b.mul(m, one).unwrap(), b.mul(v, v).unwrap());
        let s = b.sum_all(p).unwrap();
        let m = b.add(m, s).unwrap();
        let [p, m, v] = step(&mut b, [p, m, v]);
        let size = b.un(UnaryOp::Abs, p).unwrap();
        let most = b.reduce(ReduceOp::Max, size, &[0]).unwrap();
        let m = b.add(m, most).unwrap();
        let [p, m, v] = step(&mut b, [p, m, v]);
        g.outputs = vec![p, m, v, most];
        same(&g, &[data(&[n], 3, false), data(&[n], 4, false), data(&[n], 5, false), data(&[n], 6, n == 264)]);
    }
}

/// Rows and columns stretched over a matrix, and reductions of rows, columns and everything.
#[test]
fn broadcasts() {
    for (n, m) in [(1, 1), (3, 5), (40, 7), (7, 300), (300, 31), (90, 256), (20, 1000)] {
        let mut g = Graph::new();
        let (a, u, v) = (real(&mut g, &[n, m]), real(&mut g, &[n]), real(&mut g, &[m]));
        let mut b = Build::new(&mut g, Origin::default());
        let full = Shape::of(&[n, m]);
        let (u, v) = (b.expand(u, 1).unwrap(), b.expand(v, 0).unwrap());
        let (u, v) = (b.broadcast(u, &full).unwrap(), b.broadcast(v, &full).unwrap());
        let s = b.sub(a, u).unwrap();
        let s = b.mul(s, v).unwrap();
        let t = b.bin(BinaryOp::Max, s, u).unwrap();
        let e = b.tanh(t).unwrap();
        let mut outs = vec![s, e];
        for op in ReduceOp::ALL {
            for axes in [&[0][..], &[1], &[0, 1]] {
                outs.push(b.reduce(*op, t, axes).unwrap());
            }
        }
        let turned = b.swap(e).unwrap();
        let back = b.exp(turned).unwrap();
        outs.push(b.swap(back).unwrap());
        g.outputs = outs;
        same(&g, &[data(&[n, m], 7, false), data(&[n], 8, false), data(&[m], 9, false)]);
    }
}
