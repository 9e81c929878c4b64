//! Forms that may lose digits are compared with the plain form on the data at hand.

use super::run;
use crate::{Level, Options, probed, rewrite};
use gradus_ir::{Array, DType, Graph};
use std::sync::Arc;

fn descent() -> Graph {
    gradus_ir::parse(
        "graph(%0: real[40, 3], %1: real[40], %2: real[3]) {
  %3: real[3, 40] = transpose{perm=[1, 0]} %0
  %4: (int, real[3]) = loop{count=500, carries=1, scanned=0, collected=0, label=\"for\"} %2, %0, %1, %3
    body(%0: int, %1: real[3], %2: real[40, 3], %3: real[40], %4: real[3, 40]) {
      %5: real[40] = matmul %2, %1
      %6: real[40] = sub %5, %3
      %7: real[3] = matmul %4, %6
      %8: real = const 0.01
      %9: real[3] = mul %8, %7
      %10: real[3] = sub %1, %9
      return %10
    }
  %5: real[3] = get{index=1} %4
  return %5
}",
    )
    .unwrap()
}

fn matrix(rows: usize, f: impl Fn(f64, usize) -> f64) -> Array {
    let data = (0..rows * 3).map(|k| f((k / 3) as f64, k % 3)).collect();
    Array { dtype: DType::Real, shape: vec![rows, 3], data: Arc::new(data) }
}

/// What the probe says of a matrix.
fn apart(a: Array) -> f64 {
    let g = descent();
    let done = rewrite(&g, Level::Default, &Options::default()).unwrap();
    assert!(done.report.fired("matrix/gram"), "{}", done.report);
    let with = probed(&g, &done).unwrap();
    let out = run(&with, &[a, Array::vector(vec![1.0; 40]), Array::vector(vec![0.0; 3])]);
    assert_eq!(out.len(), 2);
    out[1].as_scalar().unwrap()
}

#[test]
fn the_probe_sees_nearly_dependent_columns() {
    let wave = |i: f64, k: usize| (0.1 + 0.7 * i + 1.3 * k as f64 * i).sin();
    assert!(apart(matrix(40, wave)) < 1e-13);
    // Condition 1e9: the third column is the first but for a billionth.
    let near = apart(matrix(40, |i, k| if k == 2 { wave(i, 0) + 1e-9 * wave(i, 2) } else { wave(i, k) }));
    assert!(!(near <= 1e-8), "{near}");
    // An offset of 1e8.
    let far = apart(matrix(40, |i, k| 1e8 + wave(i, k)));
    assert!(!(far <= 1e-8), "{far}");
    // Nothing at all is the same in both forms.
    assert_eq!(apart(matrix(40, |_, _| 0.0)), 0.0);
    // NaN is never close.
    assert!(!(apart(matrix(40, |i, k| if i == 3.0 { f64::NAN } else { wave(i, k) })) <= 1e-8));
}

#[test]
fn the_probe_leaves_outputs_as_they_are() {
    let g = descent();
    let done = rewrite(&g, Level::Default, &Options::default()).unwrap();
    let with = probed(&g, &done).unwrap();
    let a = matrix(40, |i, k| (0.3 * i + k as f64).cos());
    let ins = [a, Array::vector(vec![1.0; 40]), Array::vector(vec![0.5; 3])];
    assert_eq!(run(&with, &ins)[0].data, run(&done.graph, &ins)[0].data);
    // Without such a rule there is nothing to compare.
    let plain = rewrite(&g, Level::Default, &Options { plain: true, ..Options::default() }).unwrap();
    assert!(!plain.report.fired("matrix/gram") && probed(&g, &plain).is_none());
}

#[test]
fn a_short_loop_has_no_gram_matrix() {
    let g = gradus_ir::parse(&descent().to_string().replace("count=500", "count=12")).unwrap();
    let done = rewrite(&g, Level::Default, &Options::default()).unwrap();
    assert!(!done.report.fired("matrix/gram"), "{}", done.report);
}
