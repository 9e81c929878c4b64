//! Philox 4x32-10 (Salmon et al. 2011) and the draws that `op.rs` defines from it.

use super::{Context, ReferenceError};
use crate::array::Array;

type Block = [u32; 4];
type Key = [u32; 2];

/// Ten rounds; the key is bumped before every round but the first.
pub(super) fn philox(mut x: Block, mut key: Key) -> Block {
    for round in 0..10 {
        if round > 0 {
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        let p = 0xD251_1F53_u64 * u64::from(x[0]);
        let q = 0xCD9E_8D57_u64 * u64::from(x[2]);
        x = [(q >> 32) as u32 ^ x[1] ^ key[0], q as u32, (p >> 32) as u32 ^ x[3] ^ key[1], p as u32];
    }
    x
}

fn counter(j: u64, stream: u32) -> Block {
    [j as u32, (j >> 32) as u32, stream, 0]
}

fn whole(a: &Array) -> u64 {
    a.data.first().map_or(0, |x| *x as i64 as u64)
}

fn words(a: &Array) -> Key {
    [a.data[0] as u32, a.data[1] as u32]
}

fn pair(w: Block) -> [u64; 2] {
    [(u64::from(w[0]) << 32) | u64::from(w[1]), (u64::from(w[2]) << 32) | u64::from(w[3])]
}

fn unit(word: u64) -> f64 {
    (word >> 11) as f64 / (1u64 << 53) as f64
}

pub(super) fn key(c: &Context<'_>, seed: &Array) -> Result<Vec<Array>, ReferenceError> {
    let w = philox(counter(whole(seed), 0x5345_4544), [0, 0]);
    c.one(vec![f64::from(w[0]), f64::from(w[1])])
}

pub(super) fn fold(c: &Context<'_>, key: &Array, i: &Array) -> Result<Vec<Array>, ReferenceError> {
    let w = philox(counter(whole(i), 0x464F_4C44), words(key));
    c.one(vec![f64::from(w[0]), f64::from(w[1])])
}

/// Two uniforms per block.
fn units(key: &Array, stream: u32, count: usize) -> Vec<[f64; 2]> {
    let blocks = count.div_ceil(2) as u64;
    (0..blocks).map(|j| pair(philox(counter(j, stream), words(key))).map(unit)).collect()
}

pub(super) fn uniform(c: &Context<'_>, key: &Array) -> Result<Vec<Array>, ReferenceError> {
    let count = c.shape(0)?.iter().product();
    let mut all: Vec<f64> = units(key, 1, count).into_iter().flatten().collect();
    all.truncate(count);
    c.one(all)
}

pub(super) fn normal(c: &Context<'_>, key: &Array) -> Result<Vec<Array>, ReferenceError> {
    let count = c.shape(0)?.iter().product();
    let mut all = Vec::new();
    for [u1, u2] in units(key, 2, count) {
        let r = (-2.0 * (1.0 - u1).ln()).sqrt();
        let angle = 2.0 * std::f64::consts::PI * u2;
        all.extend([r * angle.cos(), r * angle.sin()]);
    }
    all.truncate(count);
    c.one(all)
}

pub(super) fn permutation(c: &Context<'_>, key: &Array) -> Result<Vec<Array>, ReferenceError> {
    let n: usize = c.shape(0)?.iter().product();
    let mut stream = (0u64..).flat_map(|b| pair(philox(counter(b, 3), words(key))));
    let mut a: Vec<f64> = (0..n).map(|k| k as f64).collect();
    for i in (1..n).rev() {
        let m = i as u128 + 1;
        let limit = (1u128 << 64) / m * m;
        let word = stream.by_ref().map(u128::from).find(|w| *w < limit).unwrap_or(0);
        a.swap(i, (word % m) as usize);
    }
    c.one(a)
}

#[cfg(test)]
mod tests {
    use super::philox;

    /// The known-answer vectors of Random123 (`kat_vectors`, philox4x32 10).
    #[test]
    fn known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = u32::MAX;
        assert_eq!(philox([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344];
        assert_eq!(philox(pi, [0xa409_3822, 0x299f_31d0]), [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }
}
