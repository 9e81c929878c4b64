//! What a person writes once and uses everywhere: functions that vectorize, and versions for this machine's vectors.

use faer::{Accum, MatMut, MatRef, Par};

/// `e^x` to about an ulp for |x| < 700, without branches.
#[inline(always)]
pub fn exp(x: f64) -> f64 {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    let x = x.clamp(-708.0, 709.0);
    let t = x.mul_add(std::f64::consts::LOG2_E, SHIFT);
    let k = t - SHIFT;
    let r = k.mul_add(-0.693_147_180_369_123_8, x);
    let r = k.mul_add(-1.908_214_929_270_587_7e-10, r);
    let mut p = 1.0 / 479_001_600.0;
    for c in [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        p = r.mul_add(p, c);
    }
    f64::from_bits(p.to_bits().wrapping_add(t.to_bits() << 52))
}

#[inline(always)]
pub fn tanh(x: f64) -> f64 {
    let e = exp(2.0 * x.clamp(-20.0, 20.0));
    1.0 - 2.0 / (e + 1.0)
}

/// With several running sums, so that additions do not wait for each other.
#[inline(always)]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut wide = [0.0; 32];
    let (ca, ra) = a.as_chunks::<32>();
    let (cb, rb) = b.as_chunks::<32>();
    for (x, y) in ca.iter().zip(cb) {
        for k in 0..32 {
            wide[k] = x[k].mul_add(y[k], wide[k]);
        }
    }
    let mut sums = [0.0; 8];
    for k in 0..8 {
        sums[k] = (wide[k] + wide[8 + k]) + (wide[16 + k] + wide[24 + k]);
    }
    let (ca, ra) = ra.as_chunks::<8>();
    let (cb, rb) = rb.as_chunks::<8>();
    for (x, y) in ca.iter().zip(cb) {
        for k in 0..8 {
            sums[k] = x[k].mul_add(y[k], sums[k]);
        }
    }
    let rest = ra.iter().zip(rb).map(|(x, y)| x * y).sum::<f64>();
    ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest
}

/// `y += s x`
#[inline(always)]
pub fn axpy(s: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = s.mul_add(*x, *y);
    }
}

/// `c = a b` of row-major matrices, `a` read as its transpose where said.
pub fn product(c: &mut [f64], a: &[f64], b: &[f64], [m, k, n]: [usize; 3], [ta, tb]: [bool; 2]) {
    let a = if ta { MatRef::from_column_major_slice(a, m, k) } else { MatRef::from_row_major_slice(a, m, k) };
    let b = if tb { MatRef::from_column_major_slice(b, k, n) } else { MatRef::from_row_major_slice(b, k, n) };
    faer::linalg::matmul::matmul(MatMut::from_row_major_slice_mut(c, m, n), Accum::Replace, a, b, 1.0, Par::Seq);
}

/// `fn name(args)` whose body is compiled for the vectors that this machine has.
#[macro_export]
macro_rules! vectorized {
    ($(#[$doc:meta])* pub fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        pub fn $name($($arg: $ty),*) $(-> $out)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn plain($($arg: $ty),*) $(-> $out)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn wide($($arg: $ty),*) $(-> $out)? { plain($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn usual($($arg: $ty),*) $(-> $out)? { plain($($arg),*) }
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
                    // SAFETY: the machine has them.
                    return unsafe { wide($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the machine has them.
                    return unsafe { usual($($arg),*) };
                }
            }
            plain($($arg),*)
        }
    };
}
