//! W5: Adam on ten million unknowns, and ten layers of tanh and exp, each in one pass over memory.

use crate::data::array;
use crate::math::{exp, tanh};
use crate::{Hand, vectorized};

struct Adam {
    c: Vec<f64>,
    p: Vec<f64>,
    m: Vec<f64>,
    v: Vec<f64>,
}

pub fn adam() -> Result<Box<dyn Hand>, String> {
    let c = array("s8_10000000")?;
    let zero = vec![0.0; c.len()];
    Ok(Box::new(Adam { p: zero.clone(), m: zero.clone(), v: zero, c }))
}

vectorized! {
    pub fn adam_step(p: &mut [f64], m: &mut [f64], v: &mut [f64], c: &[f64], s1: f64, s2: f64) {
        for (((p, m), v), c) in p.iter_mut().zip(m).zip(v).zip(c) {
            let g = *p - c;
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            *p -= 1e-2 * (*m * s1) / ((*v * s2).sqrt() + 1e-8);
        }
    }
}

impl Hand for Adam {
    fn run(&mut self) {
        self.p.fill(0.0);
        self.m.fill(0.0);
        self.v.fill(0.0);
        for t in 1..=20 {
            let (s1, s2) = (1.0 / (1.0 - 0.9f64.powi(t)), 1.0 / (1.0 - 0.999f64.powi(t)));
            adam_step(&mut self.p, &mut self.m, &mut self.v, &self.c, s1, s2);
        }
    }
    fn objective(&self) -> f64 {
        self.p.iter().zip(&self.c).map(|(p, c)| (p - c).powi(2)).sum::<f64>() / 2.0 / self.c.len() as f64
    }
}

struct Chain {
    x0: Vec<f64>,
    x: Vec<f64>,
}

pub fn chain() -> Result<Box<dyn Hand>, String> {
    let x0 = array("s8_1000000")?;
    Ok(Box::new(Chain { x: x0.clone(), x0 }))
}

const BLOCK: usize = 256;
const LAYERS: usize = 10;

vectorized! {
    /// `x -= 0.01 d(sum of the last layer) / dx`, a block at a time.
    pub fn chain_step(x: &mut [f64]) {
        let mut y = [[0.0; BLOCK]; LAYERS + 1];
        let mut slope = [[0.0; BLOCK]; LAYERS];
        for x in x.chunks_mut(BLOCK) {
            y[0][..x.len()].copy_from_slice(x);
            for k in 0..LAYERS {
                let a = 1.0 + 0.05 * k as f64;
                for i in 0..BLOCK {
                    let v = y[k][i];
                    let e = 0.1 * exp(-v * v);
                    let t = tanh(a * v + e);
                    y[k + 1][i] = t;
                    slope[k][i] = (1.0 - t * t) * (a - 2.0 * v * e);
                }
            }
            for (i, x) in x.iter_mut().enumerate() {
                let mut g = 1.0;
                for s in &slope {
                    g *= s[i];
                }
                *x -= 0.01 * g;
            }
        }
    }
}

impl Hand for Chain {
    fn run(&mut self) {
        self.x.copy_from_slice(&self.x0);
        for _ in 0..50 {
            chain_step(&mut self.x);
        }
    }
    fn objective(&self) -> f64 {
        let last = |x: f64| (0..LAYERS).fold(x, |y, k| ((1.0 + 0.05 * k as f64) * y + 0.1 * (-y * y).exp()).tanh());
        self.x.iter().map(|x| last(*x)).sum::<f64>() / self.x.len() as f64
    }
}
