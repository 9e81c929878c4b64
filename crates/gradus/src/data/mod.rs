//! Data files: `DataRequest -> Array`, or a diagnostic that names the file, the row and the column.

mod blame;
mod csv;
mod csv_table;
mod npy;
mod number;
#[cfg(test)]
mod tests;

use crate::sources::Sources;
use blame::Blame;
use gradus_eval::host::{DataFormat, DataRequest};
use gradus_ir::Array;
use gradus_syntax::Diagnostic;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads data files, each file once per session.
#[derive(Debug, Default)]
pub struct Reader {
    files: HashMap<PathBuf, Arc<Vec<u8>>>,
}

impl Reader {
    pub fn new() -> Reader {
        Reader::default()
    }

    /// The array that the request describes. Its path is relative to the folder of the script that declares it.
    pub fn load(&mut self, request: &DataRequest, sources: &Sources) -> Result<Array, Box<Diagnostic>> {
        let path = sources.folder(request.source.file).join(&*request.path);
        self.load_from(request, &path, sources)
    }

    /// The same from a path that is relative to the current folder.
    pub fn load_from(&mut self, request: &DataRequest, path: &Path, sources: &Sources) -> Result<Array, Box<Diagnostic>> {
        let blame = Blame::new(request, sources, path);
        let bytes = self.bytes(path, &blame)?;
        match request.format {
            DataFormat::Csv => csv::read(&bytes, request, &blame),
            DataFormat::Npy => npy::read(&bytes, request, &blame),
            DataFormat::Npz => npy::read_member(&bytes, request, &blame),
        }
    }

    fn bytes(&mut self, path: &Path, blame: &Blame) -> Result<Arc<Vec<u8>>, Box<Diagnostic>> {
        if let Some(bytes) = self.files.get(path) {
            return Ok(bytes.clone());
        }
        let bytes = Arc::new(std::fs::read(path).map_err(|e| blame.unreadable(&e))?);
        self.files.insert(path.to_path_buf(), bytes.clone());
        Ok(bytes)
    }
}

/// The format a file name's ending stands for.
pub fn format_of(path: &str) -> Option<DataFormat> {
    let (_, ending) = path.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "csv" | "tsv" | "txt" | "dat" => Some(DataFormat::Csv),
        "npy" => Some(DataFormat::Npy),
        "npz" => Some(DataFormat::Npz),
        _ => None,
    }
}
