//! The texts of a session: scripts by file, library modules by name, and what diagnostics need of them.

use crate::stdlib;
use gradus_eval::Library;
use gradus_syntax::{FileId, Span};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Library modules have the ids from here on, in the order of the embedded table.
const LIBRARY: u32 = 1 << 20;

#[derive(Debug)]
struct File {
    /// As messages call it.
    name: String,
    /// Where its relative paths start.
    folder: PathBuf,
    /// The same file under another spelling is found by this.
    canonical: Option<PathBuf>,
    text: Arc<str>,
}

/// Every text that spans may point into.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<File>,
    /// Library modules that were asked for, parsed.
    library: RefCell<HashMap<usize, Library>>,
}

impl Sources {
    pub fn new() -> Sources {
        Sources::default()
    }

    /// Read a script; the same file gives the same id.
    pub fn open(&mut self, path: &Path) -> io::Result<FileId> {
        let canonical = path.canonicalize()?;
        if let Some(k) = self.files.iter().position(|f| f.canonical.as_ref() == Some(&canonical)) {
            return Ok(id(k));
        }
        let bytes = std::fs::read(path)?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            io::Error::new(io::ErrorKind::InvalidData, format!("not UTF-8 text (byte {at})"))
        })?;
        let text = text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text);
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        self.files.push(File { name: path.display().to_string(), folder, canonical: Some(canonical), text: text.into() });
        Ok(id(self.files.len() - 1))
    }

    /// A text that is in no file; its relative paths start at `folder`.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>, folder: impl Into<PathBuf>) -> FileId {
        self.files.push(File { name: name.into(), folder: folder.into(), canonical: None, text: text.into() });
        id(self.files.len() - 1)
    }

    /// A module of the standard library.
    pub fn library(&self, module: &str) -> Option<Library> {
        let k = stdlib::MODULES.iter().position(|(name, _)| *name == module)?;
        let parse = || Library::parse(FileId(LIBRARY + k as u32), Arc::from(stdlib::MODULES[k].1));
        Some(self.library.borrow_mut().entry(k).or_insert_with(parse).clone())
    }

    /// The text of a file; empty for a file that is not known.
    pub fn text(&self, file: FileId) -> &str {
        match (self.get(file), library_entry(file)) {
            (Some(f), _) => &f.text,
            (None, Some((_, text))) => text,
            (None, None) => "",
        }
    }

    /// The text of a script, shared.
    pub fn shared_text(&self, file: FileId) -> Arc<str> {
        self.get(file).map_or_else(|| Arc::from(self.text(file)), |f| f.text.clone())
    }

    /// How messages call the file.
    pub fn name(&self, file: FileId) -> String {
        match (self.get(file), library_entry(file)) {
            (Some(f), _) => f.name.clone(),
            (None, Some((module, _))) => format!("stdlib/{module}.opt"),
            (None, None) => "<command line>".into(),
        }
    }

    /// The folder that the file's relative paths start from.
    pub fn folder(&self, file: FileId) -> &Path {
        self.get(file).map_or(Path::new(""), |f| &f.folder)
    }

    pub fn is_library(&self, file: FileId) -> bool {
        library_entry(file).is_some()
    }

    /// `file.opt:3:14`.
    pub fn place(&self, span: Span) -> String {
        let text = self.text(span.file);
        let (line, column) = gradus_syntax::line_column(text, span.start as usize);
        format!("{}:{line}:{column}", self.name(span.file))
    }

    /// The text that a span covers.
    pub fn snippet(&self, span: Span) -> &str {
        self.text(span.file).get(span.start as usize..span.end as usize).unwrap_or("")
    }

    fn get(&self, file: FileId) -> Option<&File> {
        self.files.get((file.0 as usize).checked_sub(1)?)
    }
}

fn id(k: usize) -> FileId {
    FileId(k as u32 + 1)
}

fn library_entry(file: FileId) -> Option<&'static (&'static str, &'static str)> {
    stdlib::MODULES.get(file.0.checked_sub(LIBRARY)? as usize)
}
