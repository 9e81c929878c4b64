//! A folder of its own for a case, with the files that the case attaches.

use crate::markdown::Block;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A new folder of the system's temporary folder, removed when this is dropped.
///
/// (The crate `tempfile` would do it, too, but its dependencies turn on features below faer that the command does not
/// need, so that testing would build faer a second time.)
pub struct TempDir(PathBuf);

impl TempDir {
    fn new() -> io::Result<TempDir> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let name = format!("gradus-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(TempDir(path)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Write the blocks that have a `file=NAME` attribute; `as=npy` (a CSV block) converts it, `copy=PATH` takes a file of the project.
pub fn folder(blocks: &[&Block]) -> io::Result<TempDir> {
    let dir = TempDir::new()?;
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
