//! W2: a regularized logistic loss; every row of the data is read once in a step.

use crate::data::array;
use crate::math::{axpy, dot, exp};
use crate::{Hand, vectorized};

const ROWS: usize = 64;
const RIDGE: f64 = 1e-3;

struct Logistic {
    n: usize,
    steps: usize,
    /// Rows multiplied with their labels.
    a: Vec<f64>,
    w: Vec<f64>,
    g: Vec<f64>,
}

pub fn small() -> Result<Box<dyn Hand>, String> {
    logistic("s2_1000x50", "s3_50", "s4_1000", 2000)
}

pub fn large() -> Result<Box<dyn Hand>, String> {
    logistic("s2_100000x200", "s3_200", "s4_100000", 200)
}

fn logistic(x: &str, truth: &str, noise: &str, steps: usize) -> Result<Box<dyn Hand>, String> {
    let (mut a, truth, noise) = (array(x)?, array(truth)?, array(noise)?);
    let d = truth.len();
    for (row, e) in a.chunks_exact_mut(d).zip(&noise) {
        let margin: f64 = row.iter().zip(&truth).map(|(x, t)| x * t).sum::<f64>() / (d as f64).sqrt() + 0.5 * e;
        if margin < 0.0 {
            row.iter_mut().for_each(|v| *v = -*v);
        }
    }
    Ok(Box::new(Logistic { n: noise.len(), steps, a, w: vec![0.0; d], g: vec![0.0; d] }))
}

vectorized! {
    /// `g = sum sigmoid(-a_i w) a_i`
    pub fn pull(a: &[f64], w: &[f64], g: &mut [f64]) {
        let d = w.len();
        g.fill(0.0);
        for block in a.chunks(ROWS * d) {
            let mut c = [0.0; ROWS];
            for (c, row) in c.iter_mut().zip(block.chunks_exact(d)) {
                *c = dot(row, w);
            }
            for c in &mut c {
                *c = 1.0 / (1.0 + exp(*c));
            }
            for (c, row) in c.iter().zip(block.chunks_exact(d)) {
                axpy(*c, row, g);
            }
        }
    }
}

impl Hand for Logistic {
    fn run(&mut self) {
        self.w.fill(0.0);
        for _ in 0..self.steps {
            pull(&self.a, &self.w, &mut self.g);
            for (w, g) in self.w.iter_mut().zip(&self.g) {
                *w += g / self.n as f64 - RIDGE * *w;
            }
        }
    }
    fn objective(&self) -> f64 {
        let losses = self.a.chunks_exact(self.w.len()).map(|row| (-dot(row, &self.w)).exp().ln_1p());
        losses.sum::<f64>() / self.n as f64 + 0.5 * RIDGE * dot(&self.w, &self.w)
    }
}
