//! Single precision: the same plans, within its rounding of the reference interpreter, and what is exact stays exact.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_cpu::{Control, Executor};
use gradus_ir::build::Build;
use gradus_ir::testing::{Options, Rng, random_array, random_case};
use gradus_ir::{Array, DType, Graph, IrResult, NodeId, Op, Origin, Precision, ReduceOp, Shape, UnaryOp, reference};
use gradus_plan::{Options as PlanOptions, plan_with};
use std::sync::Arc;

const SINGLE: PlanOptions = PlanOptions { fuse: true, in_place: true, sweep: true, precision: Precision::F32 };

fn rounded(a: &Array) -> Array {
    Array { data: Arc::new(a.data.iter().map(|x| f64::from(*x as f32)).collect()), ..a.clone() }
}

fn run(g: &Graph, inputs: &[Array], options: PlanOptions) -> Vec<Array> {
    Executor::new(Arc::new(plan_with(g, options).unwrap())).run(inputs, &Control::default()).unwrap()
}

/// Every output, fused and not, against the reference on the rounded inputs.
fn check(what: &str, inputs: &[Array], tolerance: f64, build: impl FnOnce(&mut Build<'_>, &[NodeId]) -> IrResult<Vec<NodeId>>) {
    let mut g = Graph::new();
    let inputs: Vec<Array> = inputs.iter().map(rounded).collect();
    let params: Vec<NodeId> = inputs.iter().map(|a| g.param(a.ty(), Origin::default())).collect();
    g.outputs = build(&mut Build::new(&mut g, Origin::default()), &params).unwrap();
    let want = reference::run(&g, &inputs).unwrap();
    for options in [SINGLE, PlanOptions { precision: Precision::F32, ..PlanOptions::TRACE }] {
        for (f, w) in run(&g, &inputs, options).iter().zip(&want) {
            assert_eq!((&f.shape, f.dtype), (&w.shape, w.dtype), "{what}");
            for (k, (x, y)) in f.data.iter().zip(w.data.iter()).enumerate() {
                assert!(x.is_nan() || *x == f64::from(*x as f32), "{what}: element {k} is no single");
                let same = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= tolerance * y.abs().max(1.0);
                assert!(same, "{what}: element {k}: {x} against {y}");
            }
        }
    }
}

fn real(seed: u64, shape: &[usize]) -> Array {
    random_array(&mut Rng(seed), DType::Real, shape)
}

#[test]
fn lanes_and_reductions() {
    let x = real(1, &[7, 301]);
    for op in UnaryOp::ALL {
        if *op != UnaryOp::Not {
            check(op.name(), std::slice::from_ref(&x), 4e-6, |b, p| Ok(vec![b.un(*op, p[0])?]));
        }
    }
    for op in ReduceOp::ALL {
        check("reduction", std::slice::from_ref(&x), 4e-6, |b, p| {
            Ok(vec![b.reduce(*op, p[0], &[0])?, b.reduce(*op, p[0], &[1])?, b.reduce(*op, p[0], &[0, 1])?])
        });
    }
}

#[test]
fn products_and_factorizations() {
    for n in [1, 3, 8, 40] {
        let inputs = [real(2, &[n, n]), real(3, &[n, 5]), real(4, &[n])];
        check("products", &inputs, 2e-5, |b, p| {
            let t = b.swap(p[0])?;
            Ok(vec![b.matmul(p[0], p[1])?, b.matmul(t, p[1])?, b.matmul(p[0], p[2])?, b.matmul(p[2], p[1])?])
        });
        check("factorizations", &inputs, 2e-3, |b, p| {
            let t = b.swap(p[0])?;
            let gram = b.matmul(t, p[0])?;
            // Far from singular.
            let one = b.real(n as f64)?;
            let ones = b.broadcast(one, &Shape::of(&[n]))?;
            let shift = b.op(Op::DiagMatrix, &[ones])?;
            let a = b.add(gram, shift)?;
            let (l, e) = (b.op(Op::Cholesky, &[a])?, b.op(Op::Eigh, &[a])?);
            let x = b.op(Op::Solve { transposed: false }, &[a, p[1]])?;
            Ok(vec![l, x, b.op(Op::Get(0), &[e])?])
        });
    }
}

/// Rounding only: no comparison decides anything in smooth graphs.
#[test]
fn random_graphs() {
    for seed in 0..300 {
        let case = random_case(seed, &Options { smooth: true, steps: 30, ..Options::default() }).unwrap();
        let inputs: Vec<Array> = case.inputs.iter().map(rounded).collect();
        let want = reference::run(&case.graph, &inputs).unwrap();
        let found = run(&case.graph, &inputs, SINGLE);
        for (k, (f, w)) in found.iter().zip(&want).enumerate() {
            for (x, y) in f.data.iter().zip(w.data.iter()) {
                let same = (x.is_nan() && y.is_nan()) || (x - y).abs() <= 2e-3 * y.abs().max(1.0);
                assert!(same, "seed {seed}, output {k}: {x} against {y}\n{}", case.graph);
            }
        }
    }
}

/// Keys and draws are those of double precision, rounded: also where keys come from outside, are moved, or go on to another plan,
/// and where seeds are larger than the whole numbers that single precision has.
#[test]
fn random_draws() {
    let int = |shape: &[usize]| gradus_ir::Ty::new(DType::Int, Shape::of(shape));
    let ints = |v: Vec<f64>, shape: &[usize]| Array::new(DType::Int, shape.to_vec(), v).unwrap();
    let mut g = Graph::new();
    let seed = g.param(int(&[]), Origin::default());
    let given = g.param(int(&[3, 2]), Origin::default());
    let at = g.param(int(&[]), Origin::default());
    let mut b = Build::new(&mut g, Origin::default());
    let key = b.op(Op::Key, &[seed]).unwrap();
    let big = b.int(987_654_321_987).unwrap();
    let other = b.op(Op::KeyFold, &[key, big]).unwrap();
    let picked = b.op(Op::Take { axis: 0 }, &[given, at]).unwrap();
    let zero = b.int(0).unwrap();
    let first = b.bin(gradus_ir::BinaryOp::Eq, at, zero).unwrap();
    let chosen = b.op(Op::Select, &[first, other, picked]).unwrap();
    let u = b.op(Op::Uniform(Shape::of(&[1001])), &[chosen]).unwrap();
    let z = b.op(Op::Normal(Shape::of(&[1001])), &[other]).unwrap();
    let p = b.op(Op::Permutation(1001.into()), &[chosen]).unwrap();
    g.outputs = vec![key, other, picked, chosen, u, z, p];
    let words = vec![4_294_967_295.0, 0.0, 16_777_217.0, 2_143_289_345.0, 4_286_578_689.0, 5.0];
    for seed in [1.0, 20_261_124.0, 9_007_199_254_740_991.0] {
        for at in 0..3 {
            let inputs = [ints(vec![seed], &[]), ints(words.clone(), &[3, 2]), ints(vec![f64::from(at)], &[])];
            let want = reference::run(&g, &inputs).unwrap();
            for options in [SINGLE, PlanOptions { precision: Precision::F32, ..PlanOptions::TRACE }] {
                for (k, (f, w)) in run(&g, &inputs, options).iter().zip(&want).enumerate() {
                    for (x, y) in f.data.iter().zip(w.data.iter()) {
                        let same = if (4..6).contains(&k) { (x - y).abs() <= 6e-8 * y.abs().max(1.0) } else { x == y };
                        assert!(same, "output {k} with seed {seed}: {x} against {y}");
                    }
                }
            }
        }
    }
}

fn refused(build: impl FnOnce(&mut Build<'_>) -> IrResult<NodeId>) -> bool {
    let mut g = Graph::new();
    g.outputs = vec![build(&mut Build::new(&mut g, Origin::default())).unwrap()];
    assert!(plan_with(&g, PlanOptions::default()).is_ok());
    matches!(plan_with(&g, SINGLE), Err(gradus_plan::PlanError::Whole { .. }))
}

/// What would count past the last exact whole number is refused before the run, or by it.
#[test]
fn whole_numbers() {
    let last = 1i64 << 24;
    assert!(refused(|b| b.int(last + 1)));
    assert!(!refused(|b| b.int(last - 1)));
    assert!(refused(|b| b.op(Op::Iota(((1usize << 24) + 1).into()), &[])));
    assert!(refused(|b| {
        let s = b.int(1)?;
        let k = b.op(Op::Key, &[s])?;
        b.add(k, s)
    }));
    let mut g = Graph::new();
    let x = g.param(gradus_ir::Ty::new(DType::Int, Shape::scalar()), Origin::default());
    g.outputs = vec![Build::new(&mut g, Origin::default()).add(x, x).unwrap()];
    let mut e = Executor::new(Arc::new(plan_with(&g, SINGLE).unwrap()));
    let mut double = |v: f64| e.run(&[Array { dtype: DType::Int, ..Array::scalar(v) }], &Control::default());
    assert_eq!(double(8_388_607.0).unwrap()[0].data[0], 16_777_214.0);
    assert_eq!(double(-7.0).unwrap()[0].data[0], -14.0);
    for v in [16_777_217.0, 16_777_215.0, -8_388_608.0] {
        assert!(matches!(double(v), Err(gradus_cpu::Fault::Whole { .. })), "{v}");
    }
}

/// Converted inputs are kept only as long as they are the same array.
#[test]
fn inputs_may_change_between_runs() {
    let mut g = Graph::new();
    let x = g.param(gradus_ir::Ty::real(Shape::of(&[1000])), Origin::default());
    g.outputs = vec![Build::new(&mut g, Origin::default()).sum_all(x).unwrap()];
    let mut e = Executor::new(Arc::new(plan_with(&g, SINGLE).unwrap()));
    let mut sum = |a: &Array| e.run(std::slice::from_ref(a), &Control::default()).unwrap()[0].data[0];
    for k in 0..20 {
        // Freed and allocated again, most likely at the same address.
        let a = Array::vector(vec![f64::from(k); 1000]);
        assert_eq!(sum(&a), 1000.0 * f64::from(k));
        assert_eq!(sum(&a), 1000.0 * f64::from(k));
        let mut a = a;
        Arc::make_mut(&mut a.data)[0] += 1.0;
        assert_eq!(sum(&a), 1000.0 * f64::from(k) + 1.0);
    }
}

/// Memory is counted in bytes of the precision.
#[test]
fn half_the_memory() {
    let case = random_case(3, &Options::default()).unwrap();
    let double = plan_with(&case.graph, PlanOptions::default()).unwrap();
    let single = plan_with(&case.graph, SINGLE).unwrap();
    assert_eq!(double.arena_len(), single.arena_len());
    let literals: usize = double.literals().iter().map(|l| 8 * l.len()).sum();
    assert_eq!(double.peak_bytes() - literals, 2 * (single.peak_bytes() - literals));
}
