//! Every complaint of this stage: its code, and how it is phrased.

use crate::known::{Kind, KnownName, KnownParam};
use gradus_syntax::ast::Ident;
use gradus_syntax::{Diagnostic, Span};

/// Code and slug of every diagnostic this crate can give.
pub const CODES: &[(&str, &str)] = &[
    ("E1001", "unknown-name"),
    ("E1002", "name-needs-use"),
    ("E1003", "defined-twice"),
    ("E1004", "used-before-defined"),
    ("E1005", "not-a-state"),
    ("E1006", "state-twice"),
    ("E1007", "unknown-type"),
    ("E1008", "parameter-twice"),
    ("E1009", "constraint-twice"),
    ("E1010", "test-twice"),
    ("E1011", "bare-expression"),
    ("E1101", "unknown-module"),
    ("E1102", "not-in-module"),
    ("E1104", "field-twice"),
    ("E1105", "unknown-argument"),
    ("E1106", "missing-argument"),
    ("E1107", "too-many-arguments"),
    ("E1108", "argument-twice"),
    ("E1303", "misplaced-statement"),
    ("W1001", "unused-let"),
    ("W1002", "unknown-hides-field"),
];

/// What an unknown name could have been.
pub(crate) enum Meant<'a> {
    Nothing,
    /// A name in sight.
    Near(&'a str),
    /// A name in a library module, spelt exactly so.
    InModules { modules: Vec<&'a str>, used_whole: Option<&'a str>, insert: Span },
    /// A library module.
    Module { path: &'a str, insert: Span },
    /// A near miss in a library module.
    NearInModule { name: &'a str, module: &'a str },
}

pub(crate) fn unknown_name(id: &Ident, meant: Meant<'_>) -> Diagnostic {
    let name = &id.name;
    let unknown = || Diagnostic::error("E1001", id.span, format!("unknown name `{name}`")).at("not known here");
    match meant {
        Meant::Nothing => unknown(),
        Meant::Near(near) => unknown().fix(format!("did you mean `{near}`?"), id.span, near),
        Meant::NearInModule { name: near, module } => {
            let module = module.replace('/', ".");
            unknown().help(format!("did you mean `{near}` of the module `{module}`? It needs `use {module}.{near}`"))
        }
        Meant::Module { path, insert } => {
            let path = path.replace('/', ".");
            Diagnostic::error("E1002", id.span, format!("the module `{name}` is not known without `use`"))
                .at("the name of a module")
                .fix(format!("add `use {path}`"), insert, use_line(&path, insert))
        }
        Meant::InModules { modules, used_whole, insert } => {
            let module = modules.first().copied().unwrap_or_default().replace('/', ".");
            let d = Diagnostic::error("E1002", id.span, format!("`{name}` is not known without `use`"))
                .at(format!("it is in the module `{module}`"));
            let mut d = match used_whole {
                Some(whole) => d.fix(format!("write `{whole}.{name}`"), id.span, format!("{whole}.{name}")),
                None => d.fix(format!("add `use {module}.{name}`"), insert, use_line(&format!("{module}.{name}"), insert)),
            };
            for other in &modules[1.min(modules.len())..] {
                d = d.note(format!("the module `{other}` has a `{name}`, too"));
            }
            d
        }
    }
}

/// The text to insert: on its own line, whether it goes at the very start or after another `use`.
fn use_line(path: &str, insert: Span) -> String {
    if insert.start == 0 { format!("use {path}\n") } else { format!("\nuse {path}") }
}

pub(crate) fn unknown_reader(id: &Ident, near: Option<&str>, all: &[&str]) -> Diagnostic {
    let d = Diagnostic::error("E1001", id.span, format!("unknown data format `{}`", id.name)).at("not a format");
    match near {
        Some(near) => d.fix(format!("did you mean `{near}`?"), id.span, near),
        None => d.help(format!("the formats are {}", listed(all.iter().copied()))),
    }
}

pub(crate) fn unknown_type(id: &Ident, near: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E1007", id.span, format!("unknown type `{}`", id.name)).at("no type has this name");
    match near {
        Some(near) => d.fix(format!("did you mean `{near}`?"), id.span, near),
        None => d.help("types are `real`, `int`, `bool`, `string`, arrays of them like `real[n, d]`, and those declared by `type`"),
    }
}

pub(crate) fn not_a_type(id: &Ident, kind: Kind) -> Diagnostic {
    Diagnostic::error("E1007", id.span, format!("`{}` is a {kind}, not a type", id.name)).at("a type is expected here")
}

pub(crate) fn unknown_module(id: &Ident, near: Option<&str>, all: &[&str]) -> Diagnostic {
    let d = Diagnostic::error("E1101", id.span, format!("there is no module `{}`", id.name)).at("unknown module");
    match near {
        Some(near) => d.fix(format!("did you mean `{near}`?"), id.span, near),
        None if all.is_empty() => d,
        None => d.help(format!("the modules are {}", listed(all.iter().copied()))),
    }
}

pub(crate) fn not_in_module(id: &Ident, module: &str, near: Option<&str>, elsewhere: Option<&str>) -> Diagnostic {
    let d = Diagnostic::error("E1102", id.span, format!("the module `{module}` has no `{}`", id.name)).at("not in that module");
    match (elsewhere, near) {
        (Some(other), _) => d.help(format!("the module `{other}` has it: `use {other}.{}`", id.name)),
        (None, Some(near)) => d.fix(format!("did you mean `{near}`?"), id.span, near),
        (None, None) => d,
    }
}

pub(crate) fn defined_twice(name: &str, first: Option<Span>, second: Span) -> Diagnostic {
    let d = Diagnostic::error("E1003", second, format!("`{name}` is defined twice")).at("defined again here");
    let d = match first {
        Some(first) => d.label(first, "first defined here"),
        None => d,
    };
    d.help("values do not change: give the second one a name of its own")
}

pub(crate) fn state_hidden(name: &str, state: Option<Span>, second: Span) -> Diagnostic {
    let d = Diagnostic::error("E1003", second, format!("`let {name}` would hide the state `{name}`")).at("defined again here");
    let d = match state {
        Some(span) => d.label(span, "the state"),
        None => d,
    };
    d.help(format!("to give the state its new value write `{name} <- …`, otherwise choose another name"))
}

pub(crate) fn used_before(id: &Ident, definition: Span) -> Diagnostic {
    let name = &id.name;
    if definition.start <= id.span.start {
        return Diagnostic::error("E1004", id.span, format!("`{name}` is used in its own definition"))
            .at("not known yet")
            .label(definition, "being defined here");
    }
    Diagnostic::error("E1004", id.span, format!("`{name}` is used before it is defined"))
        .at("not known yet")
        .label(definition, "defined here")
        .help("a script is evaluated from top to bottom: move the definition above")
}

/// A value that a function reads, when a statement calls the function before it.
pub(crate) fn read_before(id: &Ident, definition: Span, callee: &str, call: Span) -> Diagnostic {
    let name = &id.name;
    Diagnostic::error("E1004", id.span, format!("`{name}` is used before it is defined"))
        .at("read here")
        .label(call, format!("`{callee}` is called before `{name}` is there"))
        .label(definition, "defined here")
        .help("a script is evaluated from top to bottom: move the definition above the call")
}

/// Why something is not assignable.
pub(crate) fn not_a_state(id: &Ident, is: &str, near: Option<&str>, definition: Option<Span>) -> Diagnostic {
    let name = &id.name;
    let d = Diagnostic::error("E1005", id.span, format!("`<-` gives a state its new value, and `{name}` is {is}")).at("not a state");
    let d = match definition {
        Some(span) => d.label(span, "defined here"),
        None => d,
    };
    match near {
        Some(near) => d.fix(format!("did you mean the state `{near}`?"), id.span, near),
        None => d.help(format!("declare it by `state {name} = …`, or name a new value by `let`")),
    }
}

pub(crate) fn unknown_moved(id: &Ident) -> Diagnostic {
    Diagnostic::error("E1005", id.span, format!("a rule does not set the unknown `{}` itself", id.name))
        .at("not a state")
        .help("say how far it moves by `step …`")
}

pub(crate) fn state_twice(name: &str, first: Option<Span>, second: Span) -> Diagnostic {
    let d = Diagnostic::error("E1006", second, format!("the state `{name}` is declared twice")).at("declared again here");
    match first {
        Some(first) => d.label(first, "first declared here"),
        None => d,
    }
}

// ---- arguments

pub(crate) fn unknown_argument(id: &Ident, callee: &KnownName, params: &[KnownParam], near: Option<&str>, decl: Option<Span>) -> Diagnostic {
    let d = Diagnostic::error("E1105", id.span, format!("the {} `{}` has no parameter `{}`", callee.kind, callee.name, id.name))
        .at("unknown argument");
    let d = declared_at(d, decl);
    match near {
        Some(near) => d.fix(format!("did you mean `{near}`?"), id.span, near),
        None if params.is_empty() => d.help("it takes no arguments"),
        None => d.help(format!("its parameters are {}", listed(params.iter().map(|p| &*p.name)))),
    }
}

pub(crate) fn too_many_arguments(at: Span, callee: &KnownName, most: usize, given: usize, decl: Option<Span>) -> Diagnostic {
    let takes = match most {
        0 => "no arguments".to_string(),
        1 => "one argument".to_string(),
        n => format!("{n} arguments"),
    };
    let were = if given == 1 { "one is" } else { "more are" };
    let d = Diagnostic::error("E1107", at, format!("the {} `{}` takes {takes}, and {were} given", callee.kind, callee.name)).at("one too many");
    declared_at(d, decl)
}

pub(crate) fn missing_arguments(at: Span, callee: &KnownName, missing: &[&str], decl: Option<Span>) -> Diagnostic {
    let d = Diagnostic::error("E1106", at, format!("the {} `{}` needs {}", callee.kind, callee.name, listed(missing.iter().copied())))
        .at(if missing.len() == 1 { "this argument is missing" } else { "these arguments are missing" });
    declared_at(d, decl)
}

pub(crate) fn argument_twice(at: Span, name: &str, first: Span) -> Diagnostic {
    Diagnostic::error("E1108", at, format!("the argument `{name}` is given twice")).at("given again here").label(first, "first given here")
}

fn declared_at(d: Diagnostic, decl: Option<Span>) -> Diagnostic {
    match decl {
        Some(span) => d.label(span, "declared here"),
        None => d,
    }
}

// ---- duplicates inside one declaration

pub(crate) fn parameter_twice(name: &str, first: Span, second: Span) -> Diagnostic {
    Diagnostic::error("E1008", second, format!("the parameter `{name}` is declared twice")).at("declared again here").label(first, "first declared here")
}

pub(crate) fn field_twice(name: &str, first: Span, second: Span) -> Diagnostic {
    Diagnostic::error("E1104", second, format!("the field `{name}` is given twice")).at("given again here").label(first, "first given here")
}

pub(crate) fn constraint_twice(name: &str, first: Span, second: Span) -> Diagnostic {
    Diagnostic::error("E1009", second, format!("two constraints are named `{name}`"))
        .at("named again here")
        .label(first, "first named here")
        .help("a solution has one multiplier for each name, as in `s.dual.cap`: choose another")
}

pub(crate) fn test_twice(name: &str, first: Span, second: Span) -> Diagnostic {
    Diagnostic::error("E1010", second, format!("two tests are named \"{name}\"")).at("named again here").label(first, "first named here")
}

// ---- misplaced

/// A value that nobody sees, in a script or test.
pub(crate) fn bare_expression(span: Span) -> Diagnostic {
    Diagnostic::error("E1011", span, "this expression does nothing")
        .at("its value is not used")
        .fix("show it with `print`, or name it by `let`", Span { end: span.start, ..span }, "print ")
}

/// A value that nobody sees, in a block.
pub(crate) fn bare_in_block(span: Span) -> Diagnostic {
    Diagnostic::error("E1011", span, "this expression does nothing")
        .at("its value is not used")
        .help("the value of a block is its last line: name this one by `let`, or remove it")
}

pub(crate) fn statement_in_block(word: &str, span: Span) -> Diagnostic {
    Diagnostic::error("E1303", span, format!("`{word}` stands only at the top level and in tests"))
        .at("inside an expression")
        .help("a block only names values by `let` and ends with its own value")
}

// ---- lints

pub(crate) fn unused_let(name: &str, span: Span) -> Diagnostic {
    Diagnostic::warning("W1001", span, format!("`{name}` is never used"))
        .at("named here")
        .fix("remove it, or let its name begin with `_`", span, format!("_{name}"))
}

pub(crate) fn unknown_hides_field(id: &Ident) -> Diagnostic {
    let name = &id.name;
    Diagnostic::warning("W1002", id.span, format!("the unknown `{name}` hides the `{name}` that every solution has"))
        .at("an unknown of a problem")
        .help("rename the unknown, or the solution's own field cannot be read")
}

/// "`a`, `b` and `c`".
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = names.map(|n| format!("`{n}`")).collect();
    match names.pop() {
        None => String::new(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} and {last}", names.join(", ")),
    }
}
