//! `gradus explain`.

use crate::USAGE;
use crate::args::{ExplainArgs, StageName};
use crate::output;
use gradus::report::Style;
use gradus::{Emit, Event, Sources};
use std::io::Write;
use std::path::Path;

const STAGES: [StageName; 6] =
    [StageName::Ast, StageName::Types, StageName::Ir, StageName::Grad, StageName::Rewrite, StageName::Plan];

pub fn explain(args: ExplainArgs, err: Style) -> u8 {
    let path = Path::new(&args.subject);
    if !path.exists() && looks_like_code(&args.subject) {
        return page(&args.subject);
    }
    let Some(mut session) = output::session(&args.session) else { return USAGE };
    let Some(script) = output::open(&mut session, path) else { return 1 };
    if let Some(target) = &args.proof {
        let outcome = session.explain(script, &["proof"], &mut gradus::Silent);
        output::complain(&outcome.diagnostics, session.sources(), err);
        let code = outcome.status.exit_code();
        let written = output::write(target, &gradus::proofs::file(&args.subject, &outcome));
        if target.as_os_str() != "-" && written {
            let steps: usize = outcome.proofs.iter().map(|(_, p)| p.steps.len()).sum();
            output::say(format_args!("{}: {} graphs, {steps} steps", target.display(), outcome.proofs.len()));
        }
        return if written { code } else { output::worse(code, 1) };
    }
    let wanted: Vec<&str> = match args.stage {
        Some(s) => vec![s.name()],
        None => STAGES.iter().map(|s| s.name()).collect(),
    };
    let mut emit = Stages { wanted: wanted.clone(), out: std::io::stdout(), facts: Vec::new() };
    if wanted.contains(&"ast") {
        let (tree, _) = session.syntax_tree(script);
        emit.section("ast", "", &tree);
    }
    if wanted == ["ast"] {
        return 0;
    }
    let outcome = session.explain(script, &wanted, &mut emit);
    output::complain(&outcome.diagnostics, session.sources(), err);
    outcome.status.exit_code()
}

fn looks_like_code(text: &str) -> bool {
    let mut chars = text.chars();
    matches!(chars.next(), Some('E' | 'e' | 'W' | 'w')) && chars.clone().count() == 4 && chars.all(|c| c.is_ascii_digit())
}

fn page(code: &str) -> u8 {
    match gradus::explain::page(code) {
        Some(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            0
        }
        None => {
            let known = gradus::explain::codes().collect::<Vec<_>>().join(" ");
            eprintln!("gradus: there is no code `{}`; the codes are {known}", code.to_uppercase());
            USAGE
        }
    }
}

/// Prints the stage texts that are wanted.
struct Stages {
    wanted: Vec<&'static str>,
    out: std::io::Stdout,
    /// What was said of problems already.
    facts: Vec<String>,
}

impl Stages {
    fn section(&mut self, stage: &str, title: &str, text: &str) {
        let heading = if title.is_empty() { format!("== {stage}") } else { format!("== {stage}: {title}") };
        let _ = writeln!(self.out, "{heading}\n{}\n", text.trim_end());
    }
}

impl Emit for Stages {
    fn event(&mut self, event: &Event, _: &Sources) {
        let Event::Stage { stage, title, text } = event else { return };
        // Facts of problems go with the types.
        if *stage == "facts" && self.wanted.contains(&"types") {
            let line = format!("{title}: {text}");
            if !self.facts.contains(&line) {
                self.section("facts", title, text);
                self.facts.push(line);
            }
        } else if self.wanted.contains(stage) {
            self.section(stage, title, text);
        }
    }
}
