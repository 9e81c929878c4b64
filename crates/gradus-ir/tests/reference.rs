//! Facts about the reference interpreter that do not come from itself: factorizations multiply back, loops count, faults fault.
#![allow(clippy::unwrap_used, clippy::panic)]

use gradus_ir::reference::{ReferenceError, run};
use gradus_ir::testing::{Rng, random_array};
use gradus_ir::{Array, DType, parse, verify};

fn eval(text: &str, inputs: &[Array]) -> Vec<Array> {
    let g = parse(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    verify(&g).unwrap();
    run(&g, inputs).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

fn real(shape: &[usize], data: &[f64]) -> Array {
    Array::new(DType::Real, shape.to_vec(), data.to_vec()).unwrap()
}

fn close(a: &Array, b: &Array) {
    assert_eq!(a.shape, b.shape);
    for (x, y) in a.data.iter().zip(b.data.iter()) {
        assert!((x - y).abs() < 1e-12, "{:?} against {:?}", a.data, b.data);
    }
}

fn rank_one() -> Array {
    real(&[3, 3], &[1.0, 2.0, 3.0, 2.0, 4.0, 6.0, 3.0, 6.0, 9.0])
}

#[test]
fn svd_multiplies_back_with_orthonormal_factors() {
    let text = |m: usize, n: usize, k: usize| {
        format!(
            "graph(%0: real[{m}, {n}]) {{
  %1: (real[{m}, {k}], real[{k}], real[{n}, {k}]) = svd %0
  %2: real[{m}, {k}] = get{{index=0}} %1
  %3: real[{k}] = get{{index=1}} %1
  %4: real[{n}, {k}] = get{{index=2}} %1
  %5: real[{m}, {k}] = mul %2, %3
  %6: real[{k}, {n}] = transpose{{perm=[1, 0]}} %4
  %7: real[{m}, {n}] = matmul %5, %6
  %8: real[{k}, {m}] = transpose{{perm=[1, 0]}} %2
  %9: real[{k}, {k}] = matmul %8, %2
  %10: real[{k}, {k}] = matmul %6, %4
  return %7, %9, %10, %3, %4
}}"
        )
    };
    let mut rng = Rng(5);
    let mut cases = vec![(3, 3, rank_one()), (3, 3, real(&[3, 3], &[0.0; 9]))];
    for (m, n) in [(4, 4), (6, 3), (2, 5), (1, 1)] {
        cases.push((m, n, random_array(&mut rng, DType::Real, &[m, n])));
    }
    for (m, n, a) in cases {
        let k = m.min(n);
        let out = eval(&text(m, n, k), std::slice::from_ref(&a));
        close(&out[0], &a);
        let mut eye = vec![0.0; k * k];
        (0..k).for_each(|i| eye[i * k + i] = 1.0);
        close(&out[1], &real(&[k, k], &eye));
        close(&out[2], &real(&[k, k], &eye));
        assert!(out[3].data.windows(2).all(|w| w[0] >= w[1] && w[1] >= 0.0), "{:?}", out[3].data);
        for j in 0..k {
            let column: Vec<f64> = (0..n).map(|i| out[4].data[i * k + j]).collect();
            let top = column.iter().fold(0.0, |a: f64, b| if b.abs() > a.abs() { *b } else { a });
            assert!(top > 0.0);
        }
    }
}

#[test]
fn eigh_diagonalizes() {
    let text = "graph(%0: real[4, 4]) {
  %1: real[4, 4] = transpose{perm=[1, 0]} %0
  %2: real[4, 4] = add %0, %1
  %3: (real[4], real[4, 4]) = eigh %2
  %4: real[4] = get{index=0} %3
  %5: real[4, 4] = get{index=1} %3
  %6: real[4, 4] = matmul %2, %5
  %7: real[4, 4] = mul %5, %4
  return %6, %7, %4
}";
    let out = eval(text, &[random_array(&mut Rng(9), DType::Real, &[4, 4])]);
    close(&out[0], &out[1]);
    assert!(out[2].data.windows(2).all(|w| w[0] <= w[1]));
}

#[test]
fn solves_and_factors_multiply_back() {
    let text = "graph(%0: real[4, 4], %1: real[4]) {
  %2: real[4, 4] = transpose{perm=[1, 0]} %0
  %3: real[4, 4] = matmul %2, %0
  %4: real[4, 4] = cholesky %3
  %5: real[4, 4] = transpose{perm=[1, 0]} %4
  %6: real[4, 4] = matmul %4, %5
  %7: real[4] = solve{transposed=false} %0, %1
  %8: real[4] = matmul %0, %7
  %9: real[4] = solve{transposed=true} %0, %1
  %10: real[4] = matmul %2, %9
  %11: real[4] = triangular_solve{lower=true, transposed=false} %4, %1
  %12: real[4] = matmul %4, %11
  %13: real[4] = triangular_solve{lower=true, transposed=true} %4, %1
  %14: real[4] = matmul %5, %13
  %15: (real[4, 4], real[4, 4]) = qr %0
  %16: real[4, 4] = get{index=0} %15
  %17: real[4, 4] = get{index=1} %15
  %18: real[4, 4] = matmul %16, %17
  %19: real = det %3
  %20: real = det %0
  %21: real = square %20
  return %3, %6, %1, %8, %1, %10, %1, %12, %1, %14, %0, %18, %19, %21
}";
    let mut rng = Rng(21);
    let (a, b) = (random_array(&mut rng, DType::Real, &[4, 4]), random_array(&mut rng, DType::Real, &[4]));
    let out = eval(text, &[a, b]);
    for pair in out.chunks(2) {
        close(&pair[0], &pair[1]);
    }
}

#[test]
fn singular_matrices() {
    let text = "graph(%0: real[3, 3], %1: real[3]) {
  %2: real[3] = solve{transposed=false} %0, %1
  %3: real[3, 3] = cholesky %0
  %4: real = det %0
  return %2, %3, %4
}";
    let out = eval(text, &[rank_one(), Array::vector(vec![1.0, 2.0, 3.0])]);
    assert_eq!(*out[0].data, vec![f64::INFINITY; 3]);
    assert!(out[1].data[0].is_nan() && out[1].data[8].is_nan() && out[1].data[1] == 0.0);
    assert_eq!(out[2].data[0], 0.0);
}

/// Stops by its condition; collected rows past the last step are zero; the scan sees its slice.
#[test]
fn loops_carry_collect_and_stop() {
    let text = "graph(%0: real, %1: real[5]) {
  %2: (int, real, real[5]) = loop{limit=5, carries=1, scanned=1, collected=1, label=\"sum\"} %0, %1
    condition(%0: int, %1: real) {
      %2: real = const 6.0
      %3: bool = lt %1, %2
      return %3
    }
    body(%0: int, %1: real, %2: real) {
      %3: real = add %1, %2
      %4: real = mul %3, %0
      return %3, %4
    }
  %3: int = get{index=0} %2
  %4: real = get{index=1} %2
  %5: real[5] = get{index=2} %2
  return %3, %4, %5
}";
    let out = eval(text, &[Array::scalar(0.0), Array::vector(vec![1.0, 2.0, 3.0, 4.0, 5.0])]);
    assert_eq!(out[0].as_scalar(), Some(3.0));
    assert_eq!(out[1].as_scalar(), Some(6.0));
    assert_eq!(*out[2].data, vec![0.0, 3.0, 12.0, 0.0, 0.0]);
}

#[test]
fn faults_name_the_node() {
    let text = "graph(%0: real[2], %1: int[1]) {
  %2: real[1] = take{axis=0} %0, %1
  return %2
}";
    let g = parse(text).unwrap();
    let index = |k: f64| Array::new(DType::Int, vec![1], vec![k]).unwrap();
    for k in [2.0, -1.0] {
        let e = run(&g, &[Array::vector(vec![1.0, 2.0]), index(k)]).unwrap_err();
        assert!(matches!(e, ReferenceError::Fault { op: "take", .. }), "{e}");
    }
    let wrong = run(&g, &[Array::vector(vec![1.0]), index(0.0)]).unwrap_err();
    assert!(matches!(wrong, ReferenceError::Inputs(_)), "{wrong}");
}

/// Uniform and normal draws have the moments they should; a permutation has every element.
#[test]
fn draws_are_distributed() {
    let text = "graph(%0: int) {
  %1: int[2] = key %0
  %2: real[10001] = uniform %1
  %3: real[10001] = normal %1
  %4: int[50] = permutation %1
  return %2, %3, %4
}";
    let seed = Array { dtype: DType::Int, ..Array::scalar(7.0) };
    let out = eval(text, &[seed]);
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    let square: Vec<f64> = out[1].data.iter().map(|x| x * x).collect();
    assert!((mean(&out[0].data) - 0.5).abs() < 0.02);
    assert!(out[0].data.iter().all(|x| (0.0..1.0).contains(x)));
    assert!(mean(&out[1].data).abs() < 0.05 && (mean(&square) - 1.0).abs() < 0.08);
    let mut p = out[2].data.to_vec();
    assert!(p.windows(2).any(|w| w[0] > w[1]));
    p.sort_by(f64::total_cmp);
    assert_eq!(p, (0..50).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn nan_rules() {
    let text = "graph(%0: real[3], %1: real) {
  %2: real = reduce_max{axes=[0]} %0
  %3: real[3] = max %0, %1
  %4: int = argmin{axis=0} %0
  %5: real[3] = sort{axis=0, descending=true} %0
  return %2, %3, %4, %5
}";
    let out = eval(text, &[Array::vector(vec![1.0, f64::NAN, 2.0]), Array::scalar(0.0)]);
    assert!(out[0].data[0].is_nan());
    assert!(out[1].data[1].is_nan());
    assert_eq!(out[2].data[0], 1.0);
    assert_eq!(out[3].data[..2], [2.0, 1.0]);
    assert!(out[3].data[2].is_nan());
}
