//! Markdown as far as tests need it: headings and fenced blocks, and replacing a block's text.

/// A fenced block.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The nearest heading above, without `#`.
    pub heading: String,
    /// The first word of the info string.
    pub language: String,
    /// `key=value` and plain words after it.
    pub attributes: Vec<(String, String)>,
    pub text: String,
    /// The line of the opening fence, from 0.
    pub line: usize,
    /// The lines of the text, from 0, half open.
    lines: (usize, usize),
}

impl Block {
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    pub fn all<'b>(&'b self, key: &'b str) -> impl Iterator<Item = &'b str> {
        self.attributes.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

/// All fenced blocks in order. A fence may be longer than three ticks.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut out = Vec::new();
    let mut heading = String::new();
    let mut open: Option<(String, Block)> = None;
    let mut inner = String::new();
    for (k, line) in text.lines().enumerate() {
        match &mut open {
            Some((fence, block)) if line.trim_end() == *fence => {
                block.text = std::mem::take(&mut inner);
                block.lines.1 = k;
                if let Some((_, block)) = open.take() {
                    out.push(block);
                }
            }
            Some(_) => {
                inner.push_str(line);
                inner.push('\n');
            }
            None if line.starts_with("```") => {
                let info = line.trim_start_matches('`');
                let fence = line[..line.len() - info.len()].to_string();
                let mut words = info.split_whitespace();
                let language = words.next().unwrap_or("").to_string();
                let attributes = words
                    .map(|w| w.split_once('=').map_or((w.to_string(), String::new()), |(a, b)| (a.to_string(), b.to_string())))
                    .collect();
                let block =
                    Block { heading: heading.clone(), language, attributes, text: String::new(), line: k, lines: (k + 1, k + 1) };
                open = Some((fence, block));
            }
            None if line.starts_with('#') => heading = line.trim_start_matches('#').trim().to_string(),
            None => {}
        }
    }
    out
}

/// The document with the text of one block replaced.
pub fn replaced(document: &str, block: &Block, text: &str) -> String {
    let lines: Vec<&str> = document.lines().collect();
    let mut out = String::new();
    let mut push = |l: &str| {
        out.push_str(l);
        out.push('\n');
    };
    lines[..block.lines.0].iter().for_each(|l| push(l));
    text.lines().for_each(&mut push);
    lines[block.lines.1..].iter().for_each(|l| push(l));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOC: &str = "# A\n\n```opt set=x=1 fast\nlet a = 1\n```\nprose\n## B\n````md\n```\ninner\n```\n````\n";

    #[test]
    fn finds_blocks_with_headings_and_attributes() {
        let b = blocks(DOC);
        assert_eq!(b.len(), 2);
        assert_eq!((b[0].heading.as_str(), b[0].language.as_str(), b[0].text.as_str()), ("A", "opt", "let a = 1\n"));
        assert_eq!((b[0].attribute("set"), b[0].attribute("fast"), b[0].attribute("slow")), (Some("x=1"), Some(""), None));
        assert_eq!((b[1].heading.as_str(), b[1].text.as_str()), ("B", "```\ninner\n```\n"));
    }

    #[test]
    fn replaces_the_text_of_a_block_only() {
        let b = blocks(DOC);
        let new = replaced(DOC, &b[0], "let b = 2\nlet c = 3");
        assert_eq!(new, DOC.replace("let a = 1\n", "let b = 2\nlet c = 3\n"));
        assert_eq!(replaced(DOC, &b[1], &b[1].text), DOC);
    }
}
