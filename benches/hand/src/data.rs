//! The arrays of `target/bench-data`, read as the scripts read them.

use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The numbers of an array file of `cargo x bench-data`, whose header has 128 bytes.
pub fn array(name: &str) -> Result<Vec<f64>, String> {
    let path = root().join("target/bench-data").join(format!("{name}.npy"));
    let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e} (`cargo x bench-data` writes it)", path.display()))?;
    let (numbers, _) = bytes.get(128..).unwrap_or_default().as_chunks::<8>();
    Ok(numbers.iter().map(|b| f64::from_le_bytes(*b)).collect())
}

/// Pixels and digits of the 1408 training rows in their order, pixels between 0 and 1.
pub fn digits() -> Result<(Vec<f64>, Vec<usize>), String> {
    let path = root().join("examples/data/digits.csv");
    let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let rows: Vec<Vec<f64>> = text
        .lines()
        .map(|l| l.split(',').filter_map(|c| c.trim().parse().ok()).collect::<Vec<f64>>())
        .filter(|r| r.len() == 65)
        .collect();
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for j in 0..1408 {
        let k = 7919 * j % 1437;
        let row = rows.get(5 * (k / 4) + 1 + k % 4).ok_or("the file of digits is too short")?;
        x.extend(row.iter().take(64).map(|v| v / 16.0));
        y.push(row.get(64).map_or(0, |v| *v as usize));
    }
    Ok((x, y))
}
