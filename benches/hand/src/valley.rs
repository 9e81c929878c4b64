//! W1: Rosenbrock's valley in two dimensions.

use crate::Hand;

fn value(x: f64, y: f64) -> f64 {
    (1.0 - x) * (1.0 - x) + 100.0 * (y - x * x) * (y - x * x)
}

fn gradient(x: f64, y: f64) -> (f64, f64) {
    let u = y - x * x;
    (-2.0 * (1.0 - x) - 400.0 * x * u, 200.0 * u)
}

pub struct Fixed(f64, f64);

pub fn fixed() -> Result<Box<dyn Hand>, String> {
    Ok(Box::new(Fixed(0.0, 0.0)))
}

impl Hand for Fixed {
    fn run(&mut self) {
        let (mut x, mut y) = (-1.2, 1.0);
        for _ in 0..20_000 {
            let (gx, gy) = gradient(x, y);
            x -= 1e-3 * gx;
            y -= 1e-3 * gy;
        }
        *self = Fixed(x, y);
    }
    fn objective(&self) -> f64 {
        value(self.0, self.1)
    }
}

pub struct Armijo(f64, f64);

pub fn armijo() -> Result<Box<dyn Hand>, String> {
    Ok(Box::new(Armijo(0.0, 0.0)))
}

impl Hand for Armijo {
    fn run(&mut self) {
        let (mut x, mut y) = (-1.2, 1.0);
        for _ in 0..2000 {
            let v = value(x, y);
            let (gx, gy) = gradient(x, y);
            let slope = gx * gx + gy * gy;
            let mut t = 1.0;
            for _ in 0..30 {
                if !(value(x - t * gx, y - t * gy) > v - 1e-4 * t * slope) {
                    break;
                }
                t *= 0.5;
            }
            x -= t * gx;
            y -= t * gy;
        }
        *self = Armijo(x, y);
    }
    fn objective(&self) -> f64 {
        value(self.0, self.1)
    }
}
