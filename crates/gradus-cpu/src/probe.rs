//! Plain passes over memory, to find out what this machine can do at best. Nothing that a plan runs is here.

macro_rules! passes {
    ($name:ident $(, $features:literal)?) => {
        mod $name {
            /// Sixteen running sums of whole vectors, so that no addition waits for another.
            $(#[target_feature(enable = $features)])?
            pub(super) unsafe fn read(x: &[f64]) -> f64 {
                let mut sums = [0.0; 64];
                let (blocks, rest) = x.as_chunks::<64>();
                for b in blocks {
                    for (s, v) in sums.iter_mut().zip(b) {
                        *s += v;
                    }
                }
                sums.iter().sum::<f64>() + rest.iter().sum::<f64>()
            }
            $(#[target_feature(enable = $features)])?
            pub(super) unsafe fn triad(a: &mut [f64], b: &[f64], c: &[f64], s: f64) {
                for ((a, b), c) in a.iter_mut().zip(b).zip(c) {
                    *a = b + s * c;
                }
            }
        }
    };
}

passes!(baseline);
#[cfg(target_arch = "x86_64")]
passes!(avx2, "avx2");
#[cfg(target_arch = "x86_64")]
passes!(avx512, "avx512f");

/// The sum of all elements: a pass that only reads.
pub fn read(x: &[f64]) -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has it.
            return unsafe { avx512::read(x) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has it.
            return unsafe { avx2::read(x) };
        }
    }
    // SAFETY: needs nothing.
    unsafe { baseline::read(x) }
}

/// `a = b + s c`: two elements read, one written.
pub fn triad(a: &mut [f64], b: &[f64], c: &[f64], s: f64) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has it.
            return unsafe { avx512::triad(a, b, c, s) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the machine has it.
            return unsafe { avx2::triad(a, b, c, s) };
        }
    }
    // SAFETY: needs nothing.
    unsafe { baseline::triad(a, b, c, s) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn passes_do_what_they_say() {
        let x: Vec<f64> = (0..1003).map(f64::from).collect();
        assert_eq!(super::read(&x), 1002.0 * 1003.0 / 2.0);
        let mut a = vec![0.0; 1003];
        super::triad(&mut a, &x, &x, 2.0);
        assert!(a.iter().zip(&x).all(|(a, x)| *a == 3.0 * x));
    }
}
