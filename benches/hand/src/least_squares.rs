//! W3 and W4: least squares by its Gram matrix, with soft thresholds or projections.

use crate::data::array;
use crate::math::{axpy, dot, product};
use crate::{Hand, vectorized};

const N: usize = 2000;
const D: usize = 1000;
const STEP: f64 = 0.33;
const PRICE: f64 = 0.05;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Lasso,
    Simplex,
    L1(f64),
    L2(f64),
}

struct LeastSquares {
    kind: Kind,
    a: Vec<f64>,
    b: Vec<f64>,
    x: Vec<f64>,
}

pub fn lasso() -> Result<Box<dyn Hand>, String> {
    problem(|_| Kind::Lasso)
}

pub fn simplex() -> Result<Box<dyn Hand>, String> {
    problem(|_| Kind::Simplex)
}

pub fn l1() -> Result<Box<dyn Hand>, String> {
    problem(|t| Kind::L1(0.5 * t.iter().map(|v| v.abs()).sum::<f64>()))
}

pub fn l2() -> Result<Box<dyn Hand>, String> {
    problem(|t| Kind::L2(0.5 * dot(t, t).sqrt()))
}

fn problem(kind: impl Fn(&[f64]) -> Kind) -> Result<Box<dyn Hand>, String> {
    let mut a = array("s5_2000x1000")?;
    a.iter_mut().for_each(|v| *v /= (N as f64).sqrt());
    let mut truth = array("s6_1000")?;
    truth.iter_mut().enumerate().filter(|(j, _)| j % 20 != 0).for_each(|(_, v)| *v = 0.0);
    let kind = kind(&truth);
    if kind == Kind::Simplex {
        let total: f64 = truth.iter().map(|v| v.abs()).sum();
        truth.iter_mut().for_each(|v| *v = v.abs() / total);
    }
    let noise = array("s7_2000")?;
    let b = a.chunks_exact(D).zip(&noise).map(|(row, e)| dot(row, &truth) + 0.01 * e).collect();
    Ok(Box::new(LeastSquares { kind, a, b, x: vec![0.0; D] }))
}

vectorized! {
    /// `v = z - STEP (G z - c)`
    pub fn descend(gram: &[f64], c: &[f64], z: &[f64], v: &mut [f64]) {
        for (i, row) in gram.chunks_exact(z.len()).enumerate() {
            v[i] = z[i] - STEP * (dot(row, z) - c[i]);
        }
    }
}

vectorized! {
    pub fn soften(v: &[f64], t: f64, x: &mut [f64]) {
        for (x, v) in x.iter_mut().zip(v) {
            *x = (v.abs() - t).max(0.0).copysign(*v);
        }
    }
}

/// The threshold that makes `sum(max(v - t, 0))` the total; `sorted` is room for a copy.
pub fn threshold(v: impl Iterator<Item = f64>, total: f64, sorted: &mut Vec<f64>) -> f64 {
    sorted.clear();
    sorted.extend(v);
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut t) = (0.0, 0.0);
    for (k, v) in sorted.iter().enumerate() {
        sum += v;
        let next = (sum - total) / (k + 1) as f64;
        if *v <= next {
            break;
        }
        t = next;
    }
    t
}

impl Hand for LeastSquares {
    fn run(&mut self) {
        let mut gram = vec![0.0; D * D];
        product(&mut gram, &self.a, &self.a, [D, N, D], [true, false]);
        let mut c = vec![0.0; D];
        for (row, b) in self.a.chunks_exact(D).zip(&self.b) {
            axpy(*b, row, &mut c);
        }
        let mut v = vec![0.0; D];
        let mut sorted = Vec::with_capacity(D);
        let x = &mut self.x;
        x.fill(if self.kind == Kind::Simplex { 1.0 / D as f64 } else { 0.0 });
        let (mut z, mut t) = (x.clone(), 1.0f64);
        for _ in 0..500 {
            match self.kind {
                Kind::Lasso => {
                    descend(&gram, &c, &z, &mut v);
                    let t1 = (1.0 + (1.0 + 4.0 * t * t).sqrt()) / 2.0;
                    let m = (t - 1.0) / t1;
                    // What was the extrapolated point becomes the next one.
                    soften(&v, STEP * PRICE, &mut z);
                    for (z, x) in z.iter_mut().zip(x.iter_mut()) {
                        let new = *z;
                        *z = new + m * (new - *x);
                        *x = new;
                    }
                    t = t1;
                }
                Kind::Simplex => {
                    descend(&gram, &c, x, &mut v);
                    let t = threshold(v.iter().copied(), 1.0, &mut sorted);
                    for (x, v) in x.iter_mut().zip(&v) {
                        *x = (v - t).max(0.0);
                    }
                }
                Kind::L1(radius) => {
                    descend(&gram, &c, x, &mut v);
                    let inside = v.iter().map(|v| v.abs()).sum::<f64>() <= radius;
                    let t = if inside { 0.0 } else { threshold(v.iter().map(|v| v.abs()), radius, &mut sorted) };
                    soften(&v, t, x);
                }
                Kind::L2(radius) => {
                    descend(&gram, &c, x, &mut v);
                    let s = (radius / dot(&v, &v).sqrt()).min(1.0);
                    for (x, v) in x.iter_mut().zip(&v) {
                        *x = v * s;
                    }
                }
            }
        }
    }
    fn objective(&self) -> f64 {
        let loss: f64 = self.a.chunks_exact(D).zip(&self.b).map(|(row, b)| (dot(row, &self.x) - b).powi(2)).sum();
        let price = if self.kind == Kind::Lasso { PRICE } else { 0.0 };
        loss / 2.0 + price * self.x.iter().map(|v| v.abs()).sum::<f64>()
    }
}

struct Rows {
    v: Vec<f64>,
    p: Vec<f64>,
    l1: bool,
}

/// W4P: a thousand rows projected onto the unit simplex.
pub fn rows_simplex() -> Result<Box<dyn Hand>, String> {
    Ok(Box::new(Rows { v: array("s9_1000x1000")?, p: vec![0.0; 1_000_000], l1: false }))
}

/// And onto the l1 ball of radius 5.
pub fn rows_l1() -> Result<Box<dyn Hand>, String> {
    Ok(Box::new(Rows { v: array("s9_1000x1000")?, p: vec![0.0; 1_000_000], l1: true }))
}

impl Hand for Rows {
    fn run(&mut self) {
        let mut sorted = Vec::with_capacity(1000);
        for (v, p) in self.v.chunks_exact(1000).zip(self.p.chunks_exact_mut(1000)) {
            if self.l1 {
                let inside = v.iter().map(|v| v.abs()).sum::<f64>() <= 5.0;
                let t = if inside { 0.0 } else { threshold(v.iter().map(|v| v.abs()), 5.0, &mut sorted) };
                soften(v, t, p);
            } else {
                let t = threshold(v.iter().copied(), 1.0, &mut sorted);
                for (p, v) in p.iter_mut().zip(v) {
                    *p = (v - t).max(0.0);
                }
            }
        }
    }
    fn objective(&self) -> f64 {
        self.v.iter().zip(&self.p).map(|(v, p)| (p - v).powi(2)).sum::<f64>() / 2.0
    }
}
