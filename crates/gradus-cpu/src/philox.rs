//! Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) and the draws made from it.
//!
//! A block is a pure function of a 64-bit key and a 128-bit counter. Word 2 of the counter separates the streams:
//! `SEED` makes a key of a seed (with key 0), `FOLD` a key of a key and a number, 1 uniforms, 2 normals, 3 permutations;
//! words 0 and 1 hold the number or the index of the block, word 3 is 0.

pub const SEED: u32 = 0x5345_4544;
pub const FOLD: u32 = 0x464F_4C44;
pub const UNIFORM: u32 = 1;
pub const NORMAL: u32 = 2;
pub const PERMUTATION: u32 = 3;

use crate::real::Real;

pub type Key = [u32; 2];

/// Ten rounds.
#[inline]
pub fn philox(counter: [u32; 4], key: Key) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let a = u64::from(c0) * 0xD251_1F53;
        let b = u64::from(c2) * 0xCD9E_8D57;
        (c0, c1, c2, c3) = ((b >> 32) as u32 ^ c1 ^ k0, b as u32, (a >> 32) as u32 ^ c3 ^ k1, a as u32);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [c0, c1, c2, c3]
}

/// Block `index` of a stream as two 64-bit words.
#[inline]
pub fn words(key: Key, stream: u32, index: u64) -> [u64; 2] {
    let w = philox([index as u32, (index >> 32) as u32, stream, 0], key);
    [u64::from(w[0]) << 32 | u64::from(w[1]), u64::from(w[2]) << 32 | u64::from(w[3])]
}

/// The key of a seed.
pub fn key_of_seed(seed: u64) -> Key {
    let w = philox([seed as u32, (seed >> 32) as u32, SEED, 0], [0, 0]);
    [w[0], w[1]]
}

/// Another key, from a key and a number.
pub fn fold(key: Key, i: u64) -> Key {
    let w = philox([i as u32, (i >> 32) as u32, FOLD, 0], key);
    [w[0], w[1]]
}

/// Uniforms on [0, 1); element `2j` and `2j + 1` come from block `j`.
pub fn uniform<T: Real>(key: Key, out: &mut [T]) {
    for (j, pair) in out.chunks_mut(2).enumerate() {
        let w = words(key, UNIFORM, j as u64);
        for (x, w) in pair.iter_mut().zip(w) {
            *x = T::unit(w);
        }
    }
}

/// Standard normals by Box and Muller: both results of block `j` are used. Computed in double precision.
pub fn normal<T: Real>(key: Key, out: &mut [T]) {
    for (j, pair) in out.chunks_mut(2).enumerate() {
        let [a, b] = words(key, NORMAL, j as u64);
        // 1 - u is in (0, 1], so the logarithm is finite.
        let r = (-2.0 * (1.0 - f64::unit(a)).ln()).sqrt();
        let (sin, cos) = (2.0 * std::f64::consts::PI * f64::unit(b)).sin_cos();
        for (x, v) in pair.iter_mut().zip([r * cos, r * sin]) {
            *x = T::of(v);
        }
    }
}

/// A random order of `0..out.len()`: Fisher and Yates from the end, with draws below `m` by rejection of 64-bit words that
/// lie past the largest multiple of `m`.
pub fn permutation<T: Real>(key: Key, out: &mut [T]) {
    for (k, x) in out.iter_mut().enumerate() {
        *x = T::of(k as f64);
    }
    let mut drawn = 0u64;
    let mut block = [0; 2];
    for i in (1..out.len()).rev() {
        let m = i as u64 + 1;
        // 2^64 mod m words at the top are too many.
        let excess = (u64::MAX % m + 1) % m;
        let word = loop {
            if drawn.is_multiple_of(2) {
                block = words(key, PERMUTATION, drawn / 2);
            }
            let w = block[(drawn % 2) as usize];
            drawn += 1;
            if w <= u64::MAX - excess {
                break w;
            }
        };
        out.swap(i, (word % m) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kat_vectors` of Random123 1.14, philox4x32 with 10 rounds.
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn permutations_hold_every_number_once() {
        let mut p = vec![0.0f64; 1001];
        permutation(key_of_seed(5), &mut p);
        assert!(p.iter().enumerate().any(|(k, x)| *x != k as f64));
        p.sort_by(f64::total_cmp);
        assert!(p.iter().enumerate().all(|(k, x)| *x == k as f64));
    }

    #[test]
    fn moments() {
        let (mut u, mut z) = (vec![0.0f64; 100_000], vec![0.0f64; 100_001]);
        uniform(key_of_seed(1), &mut u);
        normal(key_of_seed(1), &mut z);
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let second = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>() / v.len() as f64;
        assert!((mean(&u) - 0.5).abs() < 5e-3 && (second(&u) - 1.0 / 3.0).abs() < 5e-3);
        assert!(mean(&z).abs() < 0.02 && (second(&z) - 1.0).abs() < 0.02);
        assert!(u.iter().all(|x| (0.0..1.0).contains(x)));
    }
}
