//! CSV: which row is the header, which columns are meant, and every cell a finite number.

use super::blame::{Blame, counted, quoted};
use super::csv_table::{self as table, Next};
use super::number;
use gradus_eval::host::{ColumnRef, Columns, DataRequest, Header};
use gradus_ir::{Array, DType};
use gradus_syntax::Diagnostic;
use gradus_syntax::nearest;

type Outcome<T> = Result<T, Box<Diagnostic>>;

/// Integers beyond this are no longer exact in a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

pub fn read(bytes: &[u8], request: &DataRequest, blame: &Blame) -> Outcome<Array> {
    let separator = separator(bytes, request, blame)?;
    let file = File::open(bytes, separator, request, blame)?;
    let columns = file.resolve(&request.columns)?;
    file.check_rank(&columns)?;
    let (values, rows) = file.values(&columns)?;
    let shape = match request.rank {
        0 => vec![],
        1 => vec![rows],
        _ => vec![rows, columns.len()],
    };
    let dtype = if request.integers { DType::Int } else { DType::Real };
    Array::new(dtype, shape, values).ok_or_else(|| {
        let message = format!("`{}` is declared as one number, but `{}` has {}", request.name, blame.file(), counted(rows, "row"));
        Box::new(blame.error("E6107", message).help("pick one row with `rows = 0..1`, or declare a vector"))
    })
}

fn separator(bytes: &[u8], request: &DataRequest, blame: &Blame) -> Outcome<u8> {
    match request.separator {
        None => Ok(table::guess_separator(bytes, &request.path)),
        Some(c) if c.is_ascii() && !matches!(c, '"' | '\n' | '\r') => Ok(c as u8),
        Some(c) => {
            let message = format!("`{c}` cannot separate columns");
            Err(Box::new(blame.error("E6114", message).help("use `,`, `;`, a tab or another plain ASCII character")))
        }
    }
}

struct File<'a> {
    bytes: &'a [u8],
    separator: u8,
    request: &'a DataRequest,
    blame: &'a Blame<'a>,
    names: Option<Vec<String>>,
    width: usize,
    /// The line that said how wide the table is.
    first_line: usize,
}

impl<'a> File<'a> {
    fn open(bytes: &'a [u8], separator: u8, request: &'a DataRequest, blame: &'a Blame<'a>) -> Outcome<File<'a>> {
        let mut first: Vec<(usize, Vec<String>)> = Vec::new();
        let visit = |line: usize, cells: &[&[u8]]| -> Outcome<Next> {
            let cells = cells.iter().map(|c| String::from_utf8_lossy(c.trim_ascii()).into_owned()).collect();
            first.push((line, cells));
            Ok(if first.len() == 2 { Next::Stop } else { Next::More })
        };
        if let Err(b) = table::rows(bytes, separator, visit)? {
            return Err(Box::new(blame.error("E6112", format!("`{}` line {}: {}", blame.file(), b.line, b.message))));
        }
        let mut first = first.into_iter();
        let Some((first_line, top)) = first.next() else {
            return Err(Box::new(blame.error("E6106", format!("`{}` is empty", blame.file())).at("no row in this file")));
        };
        let below = first.next().map(|(_, cells)| cells);
        let has_header = match request.header {
            Header::Yes => true,
            Header::No => false,
            Header::Auto => looks_like_header(&top, below.as_deref()),
        };
        let width = top.len();
        Ok(File { bytes, separator, request, blame, names: has_header.then_some(top), width, first_line })
    }

    /// The positions of the columns that are asked for.
    fn resolve(&self, columns: &Columns) -> Outcome<Vec<usize>> {
        match columns {
            Columns::All => Ok((0..self.width).collect()),
            Columns::Range(from, to) if from <= to && *to <= self.width => Ok((*from..*to).collect()),
            Columns::Range(from, to) => {
                let message =
                    format!("columns {from}..{to} of `{}`, which has {}", self.blame.file(), counted(self.width, "column"));
                Err(Box::new(self.with_names(self.blame.error("E6109", message).at(format!("0..{} are there", self.width)))))
            }
            Columns::One(c) => Ok(vec![self.position(c)?]),
            Columns::Many(cs) => cs.iter().map(|c| self.position(c)).collect(),
        }
    }

    fn position(&self, column: &ColumnRef) -> Outcome<usize> {
        let file = self.blame.file();
        let name = match column {
            ColumnRef::Position(k) if *k < self.width => return Ok(*k),
            ColumnRef::Position(k) => {
                let message = format!("column {k} of `{file}`, which has {}", counted(self.width, "column"));
                let d = self.blame.error("E6109", message).at(format!("0 to {} are there", self.width - 1));
                return Err(Box::new(self.with_names(d)));
            }
            ColumnRef::Name(name) => name,
        };
        let Some(names) = &self.names else {
            let message = format!("column `{name}` is asked for, but `{file}` has no header row");
            let d = self.blame.error("E6110", message).at("no names in this file");
            return Err(Box::new(d.help("give the column's position, counted from 0, or say `header = true`")));
        };
        let mut found = names.iter().enumerate().filter(|(_, n)| **n == **name).map(|(k, _)| k);
        match (found.next(), found.next()) {
            (Some(k), None) => Ok(k),
            (Some(k), Some(l)) => {
                let message = format!("`{file}` has several columns `{name}` ({k} and {l})");
                Err(Box::new(self.blame.error("E6108", message).help(format!("give its position: `column = {k}`"))))
            }
            (None, _) => {
                let d = self.blame.error("E6108", format!("`{file}` has no column `{name}`")).at("not in the header");
                Err(Box::new(match nearest(name, names.iter().map(String::as_str)) {
                    Some(near) => d.help(format!("did you mean `{near}`?")),
                    None => self.with_names(d),
                }))
            }
        }
    }

    fn with_names(&self, d: Diagnostic) -> Diagnostic {
        match &self.names {
            Some(names) if names.len() <= 16 => d.note(format!("the columns are {}", quoted(names))),
            Some(names) => {
                let shown = quoted(&names[..12]).replace(" and ", ", ");
                d.note(format!("the columns are {shown} and {} more", names.len() - 12))
            }
            None => d,
        }
    }

    /// A table has two axes, one of its columns one.
    fn check_rank(&self, columns: &[usize]) -> Outcome<()> {
        let (name, file, rank) = (&self.request.name, self.blame.file(), self.request.rank);
        let one = matches!(self.request.columns, Columns::One(_));
        match rank {
            0 | 1 if columns.len() == 1 => Ok(()),
            2 if !one => Ok(()),
            0 | 1 => {
                let kind = if rank == 1 { "a vector" } else { "one number" };
                let message = format!("`{name}` is declared as {kind}, but {} of `{file}` are meant", counted(columns.len(), "column"));
                let last = columns.last().copied().unwrap_or(0);
                let pick = self.names.as_ref().and_then(|n| n.get(last)).map_or(format!("{last}"), |n| format!("\"{n}\""));
                let d = self.blame.error("E6107", message).at(format!("{} here", counted(columns.len(), "column")));
                Err(Box::new(d.help(format!("pick one with `column = {pick}`, or declare `{name}: real[n, d]`"))))
            }
            2 => {
                let message = format!("`{name}` is declared as a matrix, but one column is a vector");
                let d = self.blame.error("E6107", message).at("one column here");
                Err(Box::new(d.help(format!("declare `{name}: real[n]`, or write `columns = …`"))))
            }
            _ => {
                let message = format!("`{name}` is declared with {rank} axes, but a CSV file is a table with two");
                let d = self.blame.error("E6107", message).at("rows and columns only");
                Err(Box::new(d.help("read a matrix and `reshape` it, or use an `npy` file")))
            }
        }
    }

    /// The selected cells row by row, and how many rows there are.
    fn values(&self, columns: &[usize]) -> Outcome<(Vec<f64>, usize)> {
        let (from, to) = self.request.rows.unwrap_or((0, None));
        let mut values = Vec::with_capacity(self.bytes.len() / 8);
        let mut header = self.names.is_some();
        let mut seen = 0;
        let visit = |line: usize, cells: &[&[u8]]| -> Outcome<Next> {
            if cells.len() != self.width {
                return Err(self.ragged(line, cells.len()));
            }
            if std::mem::take(&mut header) {
                return Ok(Next::More);
            }
            seen += 1;
            if seen <= from {
                return Ok(Next::More);
            }
            for &c in columns {
                match number::parse(cells[c]) {
                    Some(x) if x.is_finite() && !(self.request.integers && (x.fract() != 0.0 || x.abs() > EXACT)) => values.push(x),
                    _ => return Err(self.bad_cell(line, c, cells[c])),
                }
            }
            Ok(if to == Some(seen) { Next::Stop } else { Next::More })
        };
        if let Err(b) = table::rows(self.bytes, self.separator, visit)? {
            let message = format!("`{}` line {}: {}", self.blame.file(), b.line, b.message);
            return Err(Box::new(self.blame.error("E6112", message)));
        }
        self.check_rows(from, to, seen)?;
        Ok((values, seen - from))
    }

    fn check_rows(&self, from: usize, to: Option<usize>, seen: usize) -> Outcome<()> {
        let file = self.blame.file();
        if seen == 0 {
            let message = format!("`{file}` has a header but no rows");
            return Err(Box::new(self.blame.error("E6106", message).at("no data in this file")));
        }
        if from >= seen || to.is_some_and(|to| to > seen || to < from) {
            let range = to.map_or(format!("{from}.."), |to| format!("{from}..{to}"));
            let message = format!("rows {range} of `{file}`, which has {}", counted(seen, "row"));
            let d = self.blame.error("E6111", message).at(format!("0..{seen} are there"));
            return Err(Box::new(d.note("rows are counted from 0, the header not included")));
        }
        Ok(())
    }

    fn ragged(&self, line: usize, found: usize) -> Box<Diagnostic> {
        let (file, width) = (self.blame.file(), self.width);
        let message = format!("`{file}` line {line} has {}, not {width}", counted(found, "cell"));
        let d = self.blame.error("E6103", message).at("a table needs rows of equal length");
        let d = self.show(d, line);
        let hint = if found > width { "is there a separator inside a cell? then put that cell in quotes" } else { "is a cell missing, or the file cut off?" };
        Box::new(d.note(format!("line {} has {}", self.first_line, counted(width, "cell"))).help(hint))
    }

    /// Why the cell cannot be taken, and how many more like it there are.
    fn bad_cell(&self, line: usize, column: usize, cell: &[u8]) -> Box<Diagnostic> {
        let cell = String::from_utf8_lossy(cell.trim_ascii()).into_owned();
        let place = match self.names.as_ref().and_then(|n| n.get(column)) {
            Some(name) => format!("`{}` line {line}, column {column} (`{name}`)", self.blame.file()),
            None => format!("`{}` line {line}, column {column}", self.blame.file()),
        };
        let name = &self.request.name;
        let d = match number::parse(cell.as_bytes()) {
            None if cell.is_empty() => self
                .blame
                .error("E6104", format!("{place}: the cell is empty"))
                .at("numbers are needed here")
                .help("leave the row out with `rows = a..b`, or fill the gap in the file"),
            None => {
                let d = self.blame.error("E6104", format!("{place}: `{}` is not a number", shortened(&cell)));
                let d = d.at("numbers are needed here");
                if decimal_comma(&cell) {
                    d.help("write the decimal point as `.`")
                } else if line == self.first_line {
                    d.help("is this the header row? then say `header = true`")
                } else {
                    d.help("choose other columns with `columns = …`, or put a number for each category")
                }
            }
            Some(x) if !x.is_finite() => {
                let what = if x.is_nan() { "not a number (NaN)" } else { "infinite" };
                self.blame
                    .error("E6105", format!("{place}: `{cell}` is {what}"))
                    .at("finite numbers are needed here")
                    .help("leave the row out with `rows = a..b`, or fill the gap in the file")
            }
            Some(x) if x.fract() != 0.0 => self
                .blame
                .error("E6113", format!("{place}: `{cell}` is not an integer"))
                .at(format!("`{name}` has integers only"))
                .help(format!("declare `{name}` with `real` elements")),
            Some(_) => self
                .blame
                .error("E6113", format!("{place}: `{cell}` is too large for an exact integer"))
                .at(format!("`{name}` has integers only"))
                .note("integers are exact up to 2^53 = 9007199254740992"),
        };
        let d = self.show(d, line);
        let more = self.more_bad(line, column);
        Box::new(if more == 0 { d } else { d.note(format!("the same column has {} more cells that are no finite number", more)) })
    }

    fn more_bad(&self, line: usize, column: usize) -> usize {
        let mut count = 0;
        let done = table::rows(self.bytes, self.separator, |l, cells| -> Result<Next, ()> {
            let bad = cells.get(column).is_some_and(|c| !number::parse(c).is_some_and(f64::is_finite));
            count += usize::from(l > line && bad);
            Ok(Next::More)
        });
        if done.is_ok() { count } else { 0 }
    }

    fn show(&self, d: Diagnostic, line: usize) -> Diagnostic {
        match table::line_text(self.bytes, line) {
            Some(text) => d.note(format!("line {line} reads `{}`", shortened(&text))),
            None => d,
        }
    }
}

/// Names, not numbers: a first row that is text throughout, or text above a number.
fn looks_like_header(top: &[String], below: Option<&[String]>) -> bool {
    let is_number = |c: &String| number::parse(c.as_bytes()).is_some();
    let text = |c: &String| !c.is_empty() && !is_number(c);
    if top.iter().all(text) {
        return true;
    }
    let Some(below) = below else { return false };
    top.iter().zip(below).any(|(t, b)| text(t) && is_number(b))
}

fn decimal_comma(cell: &str) -> bool {
    cell.matches(',').count() == 1 && number::parse(cell.replace(',', ".").as_bytes()).is_some()
}

fn shortened(text: &str) -> String {
    let text = text.trim_end();
    if text.chars().count() <= 72 {
        return text.to_string();
    }
    format!("{}…", text.chars().take(70).collect::<String>())
}
