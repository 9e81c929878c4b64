//! Proof files: written by `explain`, read and verified by `check-proof`.

use crate::outcome::Outcome;
use gradus_proof::File;
use gradus_syntax::{Diagnostic, Span};

/// The proofs of a script as the text of a file.
pub fn file(script: &str, outcome: &Outcome) -> String {
    File { script: script.to_string(), proofs: outcome.proofs.clone() }.write()
}

/// What a verified proof is made of, in one line for each graph.
pub struct Verified {
    pub title: String,
    pub steps: usize,
    pub hoisted: usize,
    /// Each law with how often it was used; most used first.
    pub laws: Vec<(String, usize)>,
    /// Laws of the script that it takes as given, with the number of random instances on which each was tested.
    pub given: Vec<(String, usize)>,
}

/// Verifies every proof of a file. Nothing in the file is taken on trust, and nothing of the rewriter takes part.
///
/// # Errors
/// E7104: the text is no proof file. E7105: the first proof that does not hold, and why.
pub fn check(text: &str) -> Result<Vec<Verified>, Box<Diagnostic>> {
    let file = File::read(text).map_err(|e| {
        Box::new(
            Diagnostic::error("E7104", Span::default(), format!("this is no proof file: {e}"))
                .help("`gradus explain FILE --proof out.json` writes one"),
        )
    })?;
    let mut out = Vec::new();
    for (title, proof) in &file.proofs {
        let s = gradus_proof::check(proof).map_err(|e| {
            Box::new(
                Diagnostic::error("E7105", Span::default(), format!("the proof of `{title}` does not hold: {e}"))
                    .help("write it again with `gradus explain FILE --proof out.json`"),
            )
        })?;
        let mut laws: Vec<(String, usize)> = s.laws.into_iter().collect();
        laws.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        out.push(Verified { title: title.clone(), steps: s.steps, hoisted: s.hoisted, laws, given: s.given.into_iter().collect() });
    }
    Ok(out)
}
