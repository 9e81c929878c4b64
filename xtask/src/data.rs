//! The data of the benchmarks, made by a counter-based generator that other programs measured beside this one have too.

use std::io::{BufWriter, Write};
use std::path::Path;

/// Files of `target/bench-data`: `u`, `s` or `g`, seed, shape.
const ARRAYS: &[(char, u64, &[usize])] = &[
    ('s', 2, &[1000, 50]),
    ('s', 3, &[50]),
    ('s', 4, &[1000]),
    ('s', 2, &[100_000, 200]),
    ('s', 3, &[200]),
    ('s', 4, &[100_000]),
    ('s', 5, &[2000, 1000]),
    ('s', 6, &[1000]),
    ('s', 7, &[2000]),
    ('s', 8, &[10_000_000]),
    ('s', 8, &[1_000_000]),
    ('s', 9, &[1000, 1000]),
    ('s', 12, &[64, 128]),
    ('s', 13, &[128, 10]),
    ('u', 20, &[1408]),
    ('u', 21, &[1408]),
    ('s', 30, &[1000, 1000]),
    ('s', 31, &[1000]),
    ('s', 32, &[1000]),
    ('u', 40, &[1000, 2]),
    ('u', 41, &[1000, 2]),
    ('s', 2, &[100, 10]),
    ('s', 3, &[10]),
];

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Uniform in `[0, 1)`.
pub fn u(seed: u64, i: u64) -> f64 {
    let z = seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    (mix(z) >> 11) as f64 / (1u64 << 53) as f64
}

const ROOT3: f64 = 1.732_050_807_568_877_2;

/// Mean 0, variance 1.
pub fn s(seed: u64, i: u64) -> f64 {
    (2.0 * u(seed, i) - 1.0) * ROOT3
}

/// Nearly normal.
pub fn g(seed: u64, i: u64) -> f64 {
    let q = |k| u(seed, 4 * i + k);
    (q(0) + q(1) + q(2) + q(3) - 2.0) * ROOT3
}

fn name(kind: char, seed: u64, shape: &[usize]) -> String {
    let dims: Vec<String> = shape.iter().map(|d| d.to_string()).collect();
    format!("{kind}{seed}_{}.npy", dims.join("x"))
}

/// Writes what is missing.
pub fn write(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (kind, seed, shape) in ARRAYS {
        let path = folder.join(name(*kind, *seed, shape));
        let count: usize = shape.iter().product();
        // A file of another length was not finished.
        if std::fs::metadata(&path).is_ok_and(|m| m.len() == (HEADER + 8 * count) as u64) {
            continue;
        }
        let f = match kind {
            'u' => u,
            's' => s,
            _ => g,
        };
        npy(&path, shape, |i| f(*seed, i as u64))?;
    }
    Ok(())
}

const HEADER: usize = 128;

/// An array file, version 1: magic, length of the header, a Python dictionary padded to a multiple of 64 bytes, little-endian doubles.
fn npy(path: &Path, shape: &[usize], f: impl Fn(usize) -> f64) -> std::io::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    let dims: String = shape.iter().map(|d| format!("{d},")).collect();
    let text = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': ({dims}), }}");
    let room = HEADER - 10;
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(room as u16).to_le_bytes())?;
    out.write_all(format!("{text:<width$}\n", width = room - 1).as_bytes())?;
    for i in 0..shape.iter().product() {
        out.write_all(&f(i).to_le_bytes())?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of the generator's description.
    #[test]
    fn the_generator_gives_its_check_values() {
        let three: Vec<f64> = (0..3).map(|i| u(1, i)).collect();
        assert_eq!(three, [0.9557038184179468, 0.7486828894513605, 0.8286887643182063]);
        assert_eq!([s(5, 0), s(5, 1)], [-0.9257615042777873, -1.3144852249779146]);
        assert_eq!([g(60, 0), g(60, 1)], [0.08720608749253891, -1.6854207994131902]);
        let total: f64 = (0..50_000).map(|i| s(2, i)).sum();
        assert!((total + 430.13677812923726).abs() < 1e-9);
    }
}
