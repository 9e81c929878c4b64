//! Command transcripts: what a person types and sees.
//!
//! A `console` block has lines `$ gradus …` (also `cat FILE`; `< FILE` gives the standard input), each followed by what it
//! writes: standard output, then standard error, then `[exit N]` where N is not 0. Blocks with `file=NAME` before it are
//! in the folder where the commands run; later blocks of one document find what earlier ones left.

use crate::markdown::{Block, blocks, replaced};
use crate::{compare, mask, scratch, shown, updating};
use std::path::Path;
use std::process::{Command, Stdio};

/// Complaints about one file of transcripts, run with the given `gradus`.
pub fn check(path: &Path, gradus: &Path) -> Vec<String> {
    let Ok(mut document) = std::fs::read_to_string(path) else { return vec![format!("{} cannot be read", shown(path))] };
    let all = blocks(&document);
    let attached: Vec<&Block> = all.iter().filter(|b| b.attribute("file").is_some() || b.attribute("copy").is_some()).collect();
    let dir = match scratch::folder(&attached) {
        Ok(dir) => dir,
        Err(e) => return vec![format!("{}: no scratch folder: {e}", shown(path))],
    };
    let mut complaints = Vec::new();
    let consoles: Vec<&Block> = all.iter().filter(|b| b.language == "console").collect();
    if consoles.is_empty() {
        complaints.push(format!("{} has no transcript", shown(path)));
    }
    for (k, block) in consoles.iter().enumerate() {
        let found = match play(block, gradus, dir.path()) {
            Ok(found) => found,
            Err(e) => {
                complaints.push(format!("{}:{}: {e}", shown(path), block.line + 1));
                continue;
            }
        };
        if let Err(e) = compare::with_tolerance(&block.text, &found) {
            if updating() {
                if let Some(now) = blocks(&document).iter().filter(|b| b.language == "console").nth(k) {
                    document = replaced(&document, now, &found);
                }
            } else {
                complaints.push(format!("{}:{}: differs (UPDATE=1 rewrites it), {e}", shown(path), block.line + 1));
            }
        }
    }
    if updating() && std::fs::write(path, document).is_err() {
        complaints.push(format!("{} cannot be written", shown(path)));
    }
    complaints
}

/// The block with the outputs as they are now.
fn play(block: &Block, gradus: &Path, folder: &Path) -> Result<String, String> {
    let mut out = String::new();
    for line in block.text.lines() {
        let Some(command) = line.strip_prefix("$ ") else { continue };
        out.push_str(line);
        out.push('\n');
        let found = one(command, gradus, folder)?.replace(&*folder.to_string_lossy(), ".");
        let masked = block.attribute("masked").is_some();
        for line in found.lines() {
            let keep = !masked || line.starts_with("[exit ");
            out.push_str(&if keep { line.to_string() } else { mask::numbers(line) });
            out.push('\n');
        }
    }
    Ok(out)
}

fn one(command: &str, gradus: &Path, folder: &Path) -> Result<String, String> {
    let (command, input) = match command.split_once(" < ") {
        Some((c, file)) => (c, Some(std::fs::read(folder.join(file.trim())).map_err(|e| format!("{file}: {e}"))?)),
        None => (command, None),
    };
    let words = words(command);
    let Some((program, args)) = words.split_first() else { return Err("an empty command".into()) };
    if program == "cat" {
        let text: Vec<String> = args.iter().map(|f| std::fs::read_to_string(folder.join(f)).unwrap_or_else(|e| format!("{f}: {e}\n"))).collect();
        return Ok(ended(text.concat()));
    }
    if program != "gradus" {
        return Err(format!("a transcript runs `gradus` and `cat`, not `{program}`"));
    }
    let mut child = Command::new(gradus)
        .args(args)
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .env_remove("COLUMNS")
        // What was measured of this machine decides nothing in a test.
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("`gradus` does not start: {e}"))?;
    if let (Some(bytes), Some(mut stdin)) = (input, child.stdin.take()) {
        use std::io::Write;
        let _ = stdin.write_all(&bytes);
    }
    let done = child.wait_with_output().map_err(|e| e.to_string())?;
    let mut text = ended(String::from_utf8_lossy(&done.stdout).into_owned());
    text.push_str(&ended(String::from_utf8_lossy(&done.stderr).into_owned()));
    match done.status.code() {
        Some(0) => {}
        Some(code) => text.push_str(&format!("[exit {code}]\n")),
        None => text.push_str("[killed]\n"),
    }
    Ok(text)
}

fn ended(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Words of a command line; quotes keep blanks.
fn words(command: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(q), c) if c == q => quote = None,
            (None, c) if c.is_whitespace() => out.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    out.extend(word);
    out
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn quotes_keep_blanks() {
        assert_eq!(words("gradus run a.opt --set 'x=1 + 2' \"\""), ["gradus", "run", "a.opt", "--set", "x=1 + 2", ""]);
    }
}
