//! How the readers phrase their complaints: always the file, then row and column, then the declaration.

use crate::sources::Sources;
use gradus_eval::host::DataRequest;
use gradus_syntax::{Diagnostic, Span};
use gradus_syntax::nearest;
use std::io;
use std::path::{Path, PathBuf};

/// What every complaint about one request has in common.
pub struct Blame<'a> {
    request: &'a DataRequest,
    declaration: Span,
    path: PathBuf,
}

impl<'a> Blame<'a> {
    pub fn new(request: &'a DataRequest, sources: &Sources, path: &Path) -> Self {
        Blame { request, declaration: declared(request, sources), path: path.to_path_buf() }
    }

    /// The file as the script calls it.
    pub fn file(&self) -> &str {
        &self.request.path
    }

    /// A complaint that points at the expression that names the file, and at the declaration.
    pub fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        let d = Diagnostic::error(code, self.request.source, message);
        if self.declaration == self.request.source {
            return d;
        }
        d.label(self.declaration, format!("`{}` is declared here", self.request.name))
    }

    /// The file could not be opened or read.
    pub fn unreadable(&self, error: &io::Error) -> Box<Diagnostic> {
        let d = match error.kind() {
            io::ErrorKind::NotFound => return self.missing(),
            _ if self.path.is_dir() => {
                self.error("E6102", format!("`{}` is a folder, not a file", self.file())).at("a file is needed here")
            }
            io::ErrorKind::PermissionDenied => {
                self.error("E6102", format!("`{}` may not be read: permission denied", self.file())).at("named here")
            }
            _ => self.error("E6102", format!("`{}` could not be read: {error}", self.file())).at("named here"),
        };
        Box::new(d)
    }

    fn missing(&self) -> Box<Diagnostic> {
        let mut d = self.error("E6101", format!("there is no file `{}`", self.file())).at("no such file");
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let name = self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let shown = if folder.as_os_str().is_empty() { ".".into() } else { folder.display().to_string() };
        if !folder.is_dir() && !folder.as_os_str().is_empty() {
            d = d.note(format!("the folder `{shown}` does not exist either"));
        }
        let mut names = file_names(folder);
        names.sort();
        if let Some(near) = nearest(&name, names.iter().map(String::as_str)) {
            d = d.help(format!("did you mean `{}`?", with_name(self.file(), near)));
        } else if let Some(inside) = below(folder, &name) {
            d = d.help(format!("there is one in `{inside}`: write `\"{inside}/{name}\"`"));
        } else if Path::new(self.file()).is_file() {
            d = d.help("a file of that name is in the current folder, but paths are relative to the script's folder");
        } else if !names.is_empty() && names.len() <= 8 {
            d = d.note(format!("`{shown}` holds {}", quoted(&names)));
        }
        Box::new(d.note("paths in a script are relative to the script's folder"))
    }
}

/// The part of the declaration before the expression that names the file: `data X: real[n, d]`.
fn declared(request: &DataRequest, sources: &Sources) -> Span {
    let (whole, source) = (request.span, request.source);
    if whole.file != source.file || source.start <= whole.start || source.start > whole.end {
        return whole;
    }
    let before = sources.text(whole.file).get(whole.start as usize..source.start as usize).unwrap_or("");
    let end = whole.start as usize + before.trim_end().trim_end_matches('=').trim_end().len();
    Span { end: end as u32, ..whole }
}

fn file_names(folder: &Path) -> Vec<String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries
        .flatten()
        .filter(|e| e.path().is_file())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|n| !n.starts_with('.'))
        .take(1000)
        .collect()
}

/// The folder directly below `folder` that has a file of that name.
fn below(folder: &Path, name: &str) -> Option<String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|e| e.path().join(name).is_file())
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found.into_iter().next()
}

fn with_name(path: &str, name: &str) -> String {
    match path.rfind(['/', '\\']) {
        Some(k) => format!("{}{name}", &path[..=k]),
        None => name.to_string(),
    }
}

/// `a`, `b` and `c`.
pub fn quoted<S: AsRef<str>>(names: &[S]) -> String {
    let each: Vec<String> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    match each.as_slice() {
        [] => "nothing".into(),
        [one] => one.clone(),
        [init @ .., last] => format!("{} and {last}", init.join(", ")),
    }
}

/// `1 column`, `2 columns`.
pub fn counted(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}
