//! Discrete Fourier transforms of lines of any length, by the factors of the length (Stockham's order: no bit reversal).

use crate::real::Real;

/// `cos` and `sin` of `2 pi k / n` for each k, one after the other.
pub(crate) struct Circle<'a, T> {
    pub table: &'a [T],
    pub inverse: bool,
}

impl<T: Real> Circle<'_, T> {
    #[inline(always)]
    fn at(&self, k: usize) -> (T, T) {
        let (c, s) = (self.table[2 * k], self.table[2 * k + 1]);
        (c, if self.inverse { s } else { -s })
    }
}

/// Fours first, then the prime factors in order.
fn next_factor(n: usize) -> usize {
    if n % 4 == 0 {
        return 4;
    }
    (2..).take_while(|p| p * p <= n).find(|p| n % p == 0).unwrap_or(n)
}

fn passes(mut n: usize) -> usize {
    let mut count = 0;
    while n > 1 {
        n /= next_factor(n);
        count += 1;
    }
    count
}

/// One pass: transforms of length `p` over what is `n / p` apart, in lines of which `s` lie side by side.
fn pass<T: Real>(circle: &Circle<'_, T>, p: usize, n: usize, s: usize, [xr, xi]: [&[T]; 2], [yr, yi]: [&mut [T]; 2]) {
    let (m, total) = (n / p, n * s);
    for q in 0..m {
        for j in 0..p {
            let (to, twist) = (s * (p * q + j), circle.at(s * q * j % total));
            let (yr, yi) = (&mut yr[to..to + s], &mut yi[to..to + s]);
            yr.fill(T::ZERO);
            yi.fill(T::ZERO);
            for k in 0..p {
                // The root of this element of the short transform, turned by where its result goes.
                let (a, b) = circle.at(total / p * (j * k % p));
                let (c, d) = (a * twist.0 - b * twist.1, a * twist.1 + b * twist.0);
                let from = s * (q + m * k);
                let (xr, xi) = (&xr[from..from + s], &xi[from..from + s]);
                for (((yr, yi), xr), xi) in yr.iter_mut().zip(yi.iter_mut()).zip(xr).zip(xi) {
                    *yr += *xr * c - *xi * d;
                    *yi += *xr * d + *xi * c;
                }
            }
        }
    }
}

/// Lines of length `n`, unscaled. `work` holds two lines.
pub(crate) fn transform<T: Real>(n: usize, circle: &Circle<'_, T>, [re, im]: [&[T]; 2], [outr, outi]: [&mut [T]; 2], work: &mut [T]) {
    if n <= 1 {
        outr.copy_from_slice(re);
        outi.copy_from_slice(im);
        return;
    }
    let (wr, wi) = work.split_at_mut(n);
    let count = passes(n);
    for at in (0..re.len()).step_by(n) {
        let (re, im) = (&re[at..at + n], &im[at..at + n]);
        let (outr, outi) = (&mut outr[at..at + n], &mut outi[at..at + n]);
        let (mut left, mut s) = (n, 1);
        for k in 0..count {
            let p = next_factor(left);
            // The last pass writes the result.
            match (k, (count - k) % 2 == 1) {
                (0, true) => pass(circle, p, left, s, [re, im], [&mut *outr, &mut *outi]),
                (0, false) => pass(circle, p, left, s, [re, im], [&mut *wr, &mut *wi]),
                (_, true) => pass(circle, p, left, s, [&*wr, &*wi], [&mut *outr, &mut *outi]),
                (_, false) => pass(circle, p, left, s, [&*outr, &*outi], [&mut *wr, &mut *wi]),
            }
            left /= p;
            s *= p;
        }
    }
}
