//! A folder of its own for a case, with the files that the case attaches.

use crate::markdown::Block;
use std::io;
use std::path::Path;
use tempfile::TempDir;

/// Write the blocks that have a `file=NAME` attribute; `as=npy` (a CSV block) converts it, `copy=PATH` takes a file of the project.
pub fn folder(blocks: &[&Block]) -> io::Result<TempDir> {
    let dir = tempfile::Builder::new().prefix("gradus-").tempdir()?;
    for b in blocks {
        if let Some(name) = b.attribute("file") {
            write(&dir.path().join(name), b.text.as_bytes())?;
        }
        for path in b.all("copy") {
            let from = crate::root().join(path);
            let name = from.file_name().map(Path::new).unwrap_or(Path::new(path));
            std::fs::copy(&from, dir.path().join(name))?;
        }
    }
    Ok(dir)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, bytes)
}
