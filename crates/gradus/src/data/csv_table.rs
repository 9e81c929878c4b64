//! Text tables row by row: a fast splitter for plain files, the `csv` crate where there are quotes.

/// What a row visitor wants next.
pub enum Next {
    More,
    Stop,
}

/// How reading went wrong before any cell was looked at.
pub struct Broken {
    pub line: usize,
    pub message: String,
}

/// Call `visit` with the line number (from 1) and the cells of each row that is not blank.
pub fn rows<E>(
    bytes: &[u8],
    separator: u8,
    mut visit: impl FnMut(usize, &[&[u8]]) -> Result<Next, E>,
) -> Result<Result<(), Broken>, E> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.contains(&b'"') {
        return quoted_rows(bytes, separator, visit);
    }
    let mut cells: Vec<&[u8]> = Vec::new();
    for (k, line) in lines(bytes).enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        cells.clear();
        let mut start = 0;
        for (at, &byte) in line.iter().enumerate() {
            if byte == separator {
                cells.push(&line[start..at]);
                start = at + 1;
            }
        }
        cells.push(&line[start..]);
        if let Next::Stop = visit(k + 1, &cells)? {
            break;
        }
    }
    Ok(Ok(()))
}

/// The lines of a text; `\n` and `\r\n` end them, and so does a lone `\r` in a file that has no `\n`.
fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = if bytes.contains(&b'\n') { b'\n' } else { b'\r' };
    bytes.split(move |&b| b == end).map(|l| l.strip_suffix(b"\r").unwrap_or(l))
}

fn quoted_rows<E>(
    bytes: &[u8],
    separator: u8,
    mut visit: impl FnMut(usize, &[&[u8]]) -> Result<Next, E>,
) -> Result<Result<(), Broken>, E> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(separator).from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let mut line = 1;
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(Ok(())),
            Err(e) => return Ok(Err(Broken { line, message: e.to_string() })),
        }
        line = record.position().map_or(line, |p| p.line() as usize);
        let cells: Vec<&[u8]> = record.iter().collect();
        if cells.iter().all(|c| c.trim_ascii().is_empty()) && cells.len() == 1 {
            continue;
        }
        if let Next::Stop = visit(line, &cells)? {
            return Ok(Ok(()));
        }
    }
}

/// The separator of a file that does not say: the comma, semicolon or tab that its first line has.
pub fn guess_separator(bytes: &[u8], path: &str) -> u8 {
    if path.to_ascii_lowercase().ends_with(".tsv") {
        return b'\t';
    }
    let first = lines(bytes).find(|l| !l.trim_ascii().is_empty()).unwrap_or(b"");
    [b',', b';', b'\t'].into_iter().find(|s| first.contains(s)).unwrap_or(b',')
}

/// The text of a line, for showing it.
pub fn line_text(bytes: &[u8], line: usize) -> Option<String> {
    lines(bytes).nth(line.checked_sub(1)?).map(|l| String::from_utf8_lossy(l).into_owned())
}
