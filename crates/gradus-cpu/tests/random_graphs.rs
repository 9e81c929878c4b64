//! Random well-shaped graphs: plan and run give what the reference interpreter gives, fused or not, again and again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus_cpu::{Control, Executor, NativeCode};
use gradus_ir::testing::{Options, random_case};
use gradus_ir::{Array, reference};
use gradus_plan::{Options as PlanOptions, plan_with};
use std::sync::Arc;

fn close(a: &Array, b: &Array, tolerance: f64) -> Result<(), String> {
    if a.shape != b.shape || a.dtype != b.dtype {
        return Err(format!("{} against {}", a.ty(), b.ty()));
    }
    for (k, (x, y)) in a.data.iter().zip(b.data.iter()).enumerate() {
        let same = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= tolerance * y.abs().max(1.0);
        if !same {
            return Err(format!("element {k}: {x} against {y}"));
        }
    }
    Ok(())
}

fn check(seed: u64, options: &Options) {
    let case = random_case(seed, options).unwrap();
    let want = reference::run(&case.graph, &case.inputs).unwrap();
    // Arrays this small are not cut into blocks of rows, so no sum has another order: all plans give the same bits.
    let mut bits: Option<Vec<u64>> = None;
    for plan_options in [PlanOptions::default(), PlanOptions { in_place: false, ..PlanOptions::default() }, PlanOptions::TRACE] {
        let plan = Arc::new(plan_with(&case.graph, plan_options).unwrap());
        let mut exec = Executor::new(plan.clone());
        let first = exec.run(&case.inputs, &Control::default()).unwrap();
        let second = exec.run(&case.inputs, &Control::default()).unwrap();
        assert_eq!(format!("{first:?}"), format!("{second:?}"), "seed {seed}: a second run differs");
        let found: Vec<u64> = first.iter().flat_map(|a| a.data.iter().map(|x| x.to_bits())).collect();
        assert!(bits.get_or_insert_with(|| found.clone()) == &found, "seed {seed}, {plan_options:?}: other bits\n{}\n{plan}", case.graph);
        let native = Control { native: NativeCode::On, ..Control::default() };
        let mut exec_native = Executor::new(plan.clone());
        for again in 0..2 {
            let found = exec_native.run(&case.inputs, &native).unwrap();
            assert_eq!(format!("{first:?}"), format!("{found:?}"), "seed {seed}: native code differs, run {again}");
        }
        if plan_options == PlanOptions::TRACE {
            // Nothing here is infinite or NaN, so the search finds nothing and changes nothing.
            let control = Control { trap_nonfinite: true, ..Control::default() };
            assert_eq!(exec.run(&case.inputs, &control).as_ref(), Ok(&first), "seed {seed}");
        }
        for (k, (found, want)) in first.iter().zip(&want).enumerate() {
            if let Err(e) = close(found, want, 1e-9) {
                panic!("seed {seed}, {plan_options:?}, output {k}: {e}\n{}\n{plan}", case.graph);
            }
        }
    }
}

#[test]
fn plain() {
    for seed in 0..400 {
        check(seed, &Options { regions: false, linalg: false, random: false, ..Options::default() });
    }
}

#[test]
fn everything() {
    for seed in 0..600 {
        check(seed, &Options::default());
    }
}

#[test]
fn long() {
    for seed in 0..60 {
        check(seed, &Options { steps: 120, ..Options::default() });
    }
}

#[test]
fn smooth() {
    for seed in 0..300 {
        check(seed, &Options { smooth: true, steps: 40, ..Options::default() });
    }
}
