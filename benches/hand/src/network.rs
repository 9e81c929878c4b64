//! W6: a 64-128-10 network, backpropagation written out, products of matrices by the library.

use crate::data::{array, digits};
use crate::math::{exp, product};
use crate::{Hand, vectorized};

const B: usize = 128;
const D: usize = 64;
const H: usize = 128;
const O: usize = 10;
const SIZES: [usize; 4] = [D * H, H, H * O, O];

struct Network {
    x: Vec<f64>,
    y: Vec<usize>,
    start: [Vec<f64>; 4],
    p: [Vec<f64>; 4],
}

pub fn digits_network() -> Result<Box<dyn Hand>, String> {
    let (x, y) = digits()?;
    let (mut w1, mut w2) = (array("s12_64x128")?, array("s13_128x10")?);
    w1.iter_mut().for_each(|v| *v /= 8.0);
    w2.iter_mut().for_each(|v| *v /= (H as f64).sqrt());
    let start = [w1, vec![0.0; H], w2, vec![0.0; O]];
    Ok(Box::new(Network { x, y, p: start.clone(), start }))
}

vectorized! {
    pub fn relu(h: &mut [f64], bias: &[f64]) {
        for row in h.chunks_exact_mut(bias.len()) {
            for (h, b) in row.iter_mut().zip(bias) {
                *h = (*h + b).max(0.0);
            }
        }
    }
}

vectorized! {
    /// Logits become the gradient of the mean loss.
    pub fn blame(z: &mut [f64], bias: &[f64], y: &[usize]) {
        let n = y.len() as f64;
        for (z, y) in z.chunks_exact_mut(O).zip(y) {
            let mut most = f64::NEG_INFINITY;
            for (z, b) in z.iter_mut().zip(bias) {
                *z += b;
                most = most.max(*z);
            }
            let mut total = 0.0;
            for z in z.iter_mut() {
                *z = exp(*z - most);
                total += *z;
            }
            for z in z.iter_mut() {
                *z /= total * n;
            }
            z[*y] -= 1.0 / n;
        }
    }
}

vectorized! {
    pub fn mask(dh: &mut [f64], h: &[f64]) {
        for (d, h) in dh.iter_mut().zip(h) {
            *d = if *h > 0.0 { *d } else { 0.0 };
        }
    }
}

vectorized! {
    pub fn columns(x: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for row in x.chunks_exact(out.len()) {
            for (o, v) in out.iter_mut().zip(row) {
                *o += v;
            }
        }
    }
}

vectorized! {
    pub fn adam(p: &mut [f64], m: &mut [f64], v: &mut [f64], g: &[f64], s1: f64, s2: f64) {
        for (((p, m), v), g) in p.iter_mut().zip(m).zip(v).zip(g) {
            *m = 0.9 * *m + 0.1 * g;
            *v = 0.999 * *v + 0.001 * g * g;
            *p -= 1e-3 * (*m * s1) / ((*v * s2).sqrt() + 1e-8);
        }
    }
}

impl Hand for Network {
    fn run(&mut self) {
        let mut p = self.start.clone();
        let zeros = || SIZES.map(|n| vec![0.0; n]);
        let (mut m, mut v, mut g) = (zeros(), zeros(), zeros());
        let (mut h, mut dh, mut z) = (vec![0.0; B * H], vec![0.0; B * H], vec![0.0; B * O]);
        let batches = self.y.len() / B;
        for t in 0..2000 {
            let k = t % batches;
            let (x, y) = (&self.x[k * B * D..(k + 1) * B * D], &self.y[k * B..(k + 1) * B]);
            product(&mut h, x, &p[0], [B, D, H], [false, false]);
            relu(&mut h, &p[1]);
            product(&mut z, &h, &p[2], [B, H, O], [false, false]);
            blame(&mut z, &p[3], y);
            product(&mut g[2], &h, &z, [H, B, O], [true, false]);
            columns(&z, &mut g[3]);
            product(&mut dh, &z, &p[2], [B, O, H], [false, true]);
            mask(&mut dh, &h);
            product(&mut g[0], x, &dh, [D, B, H], [true, false]);
            columns(&dh, &mut g[1]);
            let (s1, s2) = (1.0 / (1.0 - 0.9f64.powi(t as i32 + 1)), 1.0 / (1.0 - 0.999f64.powi(t as i32 + 1)));
            for k in 0..4 {
                adam(&mut p[k], &mut m[k], &mut v[k], &g[k], s1, s2);
            }
        }
        self.p = p;
    }
    fn objective(&self) -> f64 {
        let n = self.y.len();
        let (mut h, mut z) = (vec![0.0; n * H], vec![0.0; n * O]);
        product(&mut h, &self.x, &self.p[0], [n, D, H], [false, false]);
        relu(&mut h, &self.p[1]);
        product(&mut z, &h, &self.p[2], [n, H, O], [false, false]);
        let losses = z.chunks_exact(O).zip(&self.y).map(|(z, y)| {
            let z: Vec<f64> = z.iter().zip(&self.p[3]).map(|(z, b)| z + b).collect();
            let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            most + z.iter().map(|z| (z - most).exp()).sum::<f64>().ln() - z[*y]
        });
        losses.sum::<f64>() / n as f64
    }
}
