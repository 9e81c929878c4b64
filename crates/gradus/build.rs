//! A number for the code that a cached plan depends on: that of the graph and of the rewriter.

use std::path::Path;

fn main() {
    let mut files = Vec::new();
    for folder in ["../gradus-ir/src", "../gradus-rewrite/src"] {
        println!("cargo::rerun-if-changed={folder}");
        collect(Path::new(folder), &mut files);
    }
    files.sort();
    // FNV-1a: the same number on every machine.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for f in files {
        for byte in std::fs::read(&f).unwrap_or_default() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    println!("cargo::rustc-env=GRADUS_REWRITER={hash:016x}");
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
