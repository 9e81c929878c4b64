//! Diagnostics as plain data; only the facade renders them.

use crate::span::Span;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    Error,
    Warning,
}

/// A span with a remark. It may point into another file than the primary one.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// A suggestion; with an `edit` where replacing that span by that text is the cure.
#[derive(Clone, Debug, PartialEq)]
pub struct Help {
    pub text: String,
    pub edit: Option<(Span, String)>,
}

/// One complaint: what was found, what was expected, where, and what to do.
///
/// Codes: `E0xxx` syntax, `E1xxx` names and types, `E2xxx` shapes, `E3xxx` sets, curvature and methods,
/// `E4xxx` randomness, `E5xxx` problems inside problems, `E6xxx` data, `E7xxx` numeric outcomes, `E9xxx` internal, `W…` lints.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    pub code: &'static str,
    pub severity: Severity,
    pub message: String,
    pub primary: Label,
    pub labels: Vec<Label>,
    pub notes: Vec<String>,
    pub helps: Vec<Help>,
    /// Call sites that led here, innermost first.
    pub trace: Vec<Label>,
}

impl Diagnostic {
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity: Severity::Error,
            message: message.into(),
            primary: Label { span, text: String::new() },
            labels: Vec::new(),
            notes: Vec::new(),
            helps: Vec::new(),
            trace: Vec::new(),
        }
    }

    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// The remark shown under the primary span.
    pub fn at(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.helps.push(Help { text: text.into(), edit: None });
        self
    }

    pub fn fix(mut self, text: impl Into<String>, span: Span, replacement: impl Into<String>) -> Self {
        self.helps.push(Help { text: text.into(), edit: Some((span, replacement.into())) });
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
