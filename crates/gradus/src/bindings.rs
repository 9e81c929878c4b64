//! Settings and data given from outside, checked against what the script declares.

use crate::data::{self, Reader};
use crate::options::{Binding, Options};
use crate::sources::Sources;
use gradus_eval::host::{Columns, DataRequest, Header};
use gradus_ir::Array;
use gradus_syntax::ast::{DataDecl, ItemKind, Module, Pattern, StmtKind, TypeKind};
use gradus_syntax::{Diagnostic, Span, nearest};
use std::collections::HashMap;
use std::path::PathBuf;

/// What the script's declarations get from outside.
#[derive(Debug, Default)]
pub struct Bound {
    /// Arrays for declarations, read already.
    pub arrays: HashMap<String, Array>,
    /// Files that replace those the script names.
    pub files: HashMap<String, PathBuf>,
}

/// Names in `--set` and `--data` that the script does not declare.
pub fn unknown_names(module: &Module, options: &Options) -> Vec<Diagnostic> {
    let (mut lets, mut data) = (Vec::new(), Vec::new());
    for item in &module.items {
        match &item.kind {
            ItemKind::Data(d) => data.push(&*d.name.name),
            ItemKind::Stmt(s) => {
                if let StmtKind::Let(Pattern::Name(n), _, _) = &s.kind {
                    lets.push(&*n.name);
                }
            }
            _ => {}
        }
    }
    let nowhere = Span { file: module.file, start: 0, end: 0 };
    let complain = |name: &str, known: &[&str], what: &str, code: &'static str| {
        let d = Diagnostic::error(code, nowhere, format!("the script has no `{what} {name}`"));
        match nearest(name, known.iter().copied()) {
            Some(near) => d.help(format!("did you mean `{near}`?")),
            None if known.is_empty() => d.note(format!("it has no `{what}` at the top level")),
            None => d.note(format!("it has `{}`", known.join("`, `"))),
        }
    };
    let mut out = Vec::new();
    for (name, _) in &options.settings {
        if !lets.contains(&name.as_str()) {
            out.push(complain(name, &lets, "let", "E6118"));
        }
    }
    for (name, _) in &options.bindings {
        if !data.contains(&name.as_str()) {
            out.push(complain(name, &data, "data", "E6119"));
        }
    }
    out
}

/// Read what is bound to declarations without a file of their own.
pub fn bind(module: &Module, options: &Options, reader: &mut Reader, sources: &Sources) -> Result<Bound, Vec<Diagnostic>> {
    let mut bound = Bound::default();
    let mut errors = Vec::new();
    for (name, binding) in &options.bindings {
        let Some((decl, span)) = declaration(module, name) else { continue };
        match binding {
            Binding::Array(a) => {
                bound.arrays.insert(name.clone(), a.clone());
            }
            Binding::File(path) if decl.source.is_some() => {
                bound.files.insert(name.clone(), path.clone());
            }
            Binding::File(path) => match whole_file(decl, span, path, reader, sources) {
                Ok(a) => {
                    bound.arrays.insert(name.clone(), a);
                }
                Err(d) => errors.push(*d),
            },
        }
    }
    if errors.is_empty() { Ok(bound) } else { Err(errors) }
}

fn declaration<'m>(module: &'m Module, name: &str) -> Option<(&'m DataDecl, Span)> {
    module.items.iter().find_map(|item| match &item.kind {
        ItemKind::Data(d) if &*d.name.name == name => Some((d, item.span)),
        _ => None,
    })
}

fn whole_file(
    decl: &DataDecl,
    span: Span,
    path: &PathBuf,
    reader: &mut Reader,
    sources: &Sources,
) -> Result<Array, Box<Diagnostic>> {
    let shown = path.display().to_string();
    let Some(format) = data::format_of(&shown) else {
        return Err(Box::new(unknown_format(&shown, span)));
    };
    let (element, rank) = match &*decl.ty.kind {
        TypeKind::Array(element, dims) => (&element.kind, dims.len()),
        _ => (&decl.ty.kind, 0),
    };
    let integers = matches!(&**element, TypeKind::Name(n) if &*n.name == "int");
    let request = DataRequest {
        name: decl.name.name.clone(),
        format,
        path: shown.into(),
        columns: Columns::All,
        rows: None,
        header: Header::Auto,
        separator: None,
        member: None,
        rank,
        integers,
        span,
        source: span,
    };
    reader.load_from(&request, path, sources)
}

/// A file name whose ending stands for no format.
pub fn unknown_format(path: &str, span: Span) -> Diagnostic {
    Diagnostic::error("E6117", span, format!("`{path}` has no ending that says what it holds"))
        .help("data files end in `.csv`, `.tsv`, `.txt`, `.dat`, `.npy` or `.npz`")
}
