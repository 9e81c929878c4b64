//! Points to try, made without the language's own random numbers.

/// SplitMix64 with normal numbers by Box and Muller.
pub struct Draws(u64);

impl Draws {
    pub fn new(seed: u64) -> Draws {
        Draws(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    /// A point that single precision holds exactly, so that both precisions see the same.
    pub fn point(&mut self, n: usize, scale: f64) -> Vec<f64> {
        (0..n).map(|_| single(scale * self.normal())).collect()
    }
}

fn single(x: f64) -> f64 {
    f64::from(x as f32)
}

/// Points of one shape, by what they are for.
pub struct Points {
    pub random: Vec<Vec<f64>>,
    pub ties: Vec<Vec<f64>>,
    pub scales: Vec<Vec<f64>>,
}

impl Points {
    pub fn new(n: usize) -> Points {
        let mut d = Draws::new(n as u64 + 1);
        let random = [1.0, 1.0, 3.0, 3.0, 0.3, 0.1].iter().map(|s| d.point(n, *s)).collect();
        let mut large = d.point(n, 1.0);
        if let Some(x) = large.first_mut() {
            *x = 50.0;
        }
        let coarse = |d: &mut Draws| d.point(n, 1.0).into_iter().map(f64::round).collect();
        let ties = vec![vec![single(0.7); n], vec![0.0; n], vec![-2.0; n], coarse(&mut d), coarse(&mut d), large];
        let scales = [1e-6, 1e-3, 1e3, 1e6, 1e9].iter().map(|s| d.point(n, *s)).collect();
        Points { random, ties, scales }
    }

    pub fn all(&self) -> Vec<Vec<f64>> {
        self.random.iter().chain(&self.ties).chain(&self.scales).cloned().collect()
    }
}

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

pub fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| x - y).collect()
}

pub fn plus(a: &[f64], t: f64, b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(x, y)| x + t * y).collect()
}

/// The largest absolute value; NaN where there is one.
pub fn size(a: &[f64]) -> f64 {
    a.iter().fold(0.0, |m: f64, x| if x.is_nan() || m.is_nan() { f64::NAN } else { m.max(x.abs()) })
}

pub fn distance(a: &[f64], b: &[f64]) -> f64 {
    let d = minus(a, b);
    dot(&d, &d).sqrt()
}

/// A point in words, short.
pub fn shown(v: &[f64]) -> String {
    let numbers: Vec<String> = v.iter().take(6).map(|x| format!("{x:.6e}")).map(|s| s.replace(".000000e", "e")).collect();
    format!("[{}{}]", numbers.join(", "), if v.len() > 6 { ", …" } else { "" })
}
