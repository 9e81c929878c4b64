//! W9: a bilinear saddle, the matrix read once for both products; W10: Sinkhorn in the log domain, a row at a time.

use crate::data::array;
use crate::math::{axpy, dot, exp};
use crate::{Hand, vectorized};

const N: usize = 1000;

struct Saddle {
    a: Vec<f64>,
    b: Vec<f64>,
    c: Vec<f64>,
    x: Vec<f64>,
    y: Vec<f64>,
}

pub fn saddle() -> Result<Box<dyn Hand>, String> {
    let mut a = array("s30_1000x1000")?;
    a.iter_mut().for_each(|v| *v /= (N as f64).sqrt());
    Ok(Box::new(Saddle { a, b: array("s31_1000")?, c: array("s32_1000")?, x: vec![0.0; N], y: vec![0.0; N] }))
}

vectorized! {
    /// `gx = a y + b`, `gy = a' x + c`
    pub fn field(a: &[f64], b: &[f64], c: &[f64], x: &[f64], y: &[f64], gx: &mut [f64], gy: &mut [f64]) {
        gy.copy_from_slice(c);
        for (i, row) in a.chunks_exact(y.len()).enumerate() {
            gx[i] = dot(row, y) + b[i];
            axpy(x[i], row, gy);
        }
    }
}

impl Hand for Saddle {
    fn run(&mut self) {
        let Saddle { a, b, c, x, y } = self;
        x.fill(0.0);
        y.fill(0.0);
        let room = || vec![0.0; N];
        let (mut gx, mut gy, mut xm, mut ym) = (room(), room(), room(), room());
        for _ in 0..2000 {
            field(a, b, c, x, y, &mut gx, &mut gy);
            for i in 0..N {
                xm[i] = x[i] - 0.3 * gx[i];
                ym[i] = y[i] + 0.3 * gy[i];
            }
            field(a, b, c, &xm, &ym, &mut gx, &mut gy);
            axpy(-0.3, &gx, x);
            axpy(0.3, &gy, y);
        }
    }
    fn objective(&self) -> f64 {
        let (mut gx, mut gy) = (vec![0.0; N], vec![0.0; N]);
        field(&self.a, &self.b, &self.c, &self.x, &self.y, &mut gx, &mut gy);
        dot(&gx, &gx) + dot(&gy, &gy)
    }
}

struct Sinkhorn {
    cost: Vec<f64>,
    k: Vec<f64>,
    /// Its transpose.
    kt: Vec<f64>,
    f: Vec<f64>,
    h: Vec<f64>,
}

pub fn sinkhorn() -> Result<Box<dyn Hand>, String> {
    let (x, u) = (array("u40_1000x2")?, array("u41_1000x2")?);
    let mut cost = vec![0.0; N * N];
    for i in 0..N {
        for j in 0..N {
            let d = |k: usize| x[2 * i + k] - (0.5 * u[2 * j + k] + 0.4);
            cost[i * N + j] = d(0) * d(0) + d(1) * d(1);
        }
    }
    let k: Vec<f64> = cost.iter().map(|c| -c / 0.01).collect();
    let mut kt = vec![0.0; N * N];
    for i in 0..N {
        for j in 0..N {
            kt[j * N + i] = k[i * N + j];
        }
    }
    Ok(Box::new(Sinkhorn { cost, k, kt, f: vec![0.0; N], h: vec![0.0; N] }))
}

vectorized! {
    /// `out_i = la - log sum_j exp(k_ij + f_j)`
    pub fn scale(k: &[f64], f: &[f64], la: f64, row: &mut [f64], out: &mut [f64]) {
        for (k, out) in k.chunks_exact(f.len()).zip(out) {
            let mut most = [f64::NEG_INFINITY; 8];
            for ((r, k), f) in row.chunks_exact_mut(8).zip(k.chunks_exact(8)).zip(f.chunks_exact(8)) {
                for i in 0..8 {
                    r[i] = k[i] + f[i];
                    most[i] = most[i].max(r[i]);
                }
            }
            let most = most.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut sums = [0.0; 32];
            let (blocks, rest) = row.as_chunks::<32>();
            for b in blocks {
                for i in 0..32 {
                    sums[i] += exp(b[i] - most);
                }
            }
            let total = sums.iter().sum::<f64>() + rest.iter().map(|r| exp(r - most)).sum::<f64>();
            *out = la - most - total.ln();
        }
    }
}

impl Hand for Sinkhorn {
    fn run(&mut self) {
        let la = 1e-3f64.ln();
        let mut row = vec![0.0; N];
        self.f.fill(0.0);
        self.h.fill(0.0);
        for _ in 0..500 {
            scale(&self.kt, &self.f, la, &mut row, &mut self.h);
            scale(&self.k, &self.h, la, &mut row, &mut self.f);
        }
    }
    fn objective(&self) -> f64 {
        let mut total = 0.0;
        for i in 0..N {
            for j in 0..N {
                let at = i * N + j;
                total += (self.k[at] + self.f[i] + self.h[j]).exp() * self.cost[at];
            }
        }
        total
    }
}
