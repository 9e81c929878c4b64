//! `save e to "file"`: the format follows from the file's ending.

use super::json;
use super::number::element;
use gradus_eval::Output;
use gradus_ir::{Array, DType};
use gradus_syntax::{Diagnostic, Span};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Write a value; the diagnostic says why it cannot be (E7102) or could not be (E7103) written.
pub fn save(value: &Output, path: &Path, shown: &str, span: Span) -> Result<(), Box<Diagnostic>> {
    let refuse = |message: String| Diagnostic::error("E7102", span, message);
    let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let bytes = match ending.as_str() {
        "json" => serde_json::to_vec_pretty(&json::value(value)).map_err(|e| Box::new(refuse(e.to_string())))?,
        "csv" => csv(value).map_err(|why| Box::new(refuse(format!("this value cannot be a CSV table: {why}")).help("save it to a `.json` file")))?,
        "npy" => npy(value).map_err(|why| Box::new(refuse(format!("this value cannot be an NPY file: {why}")).help("save it to a `.json` file")))?,
        _ => {
            let d = refuse(format!("`{shown}` has no ending that says how to save it"));
            return Err(Box::new(d.help("use a name that ends in `.csv`, `.npy` or `.json`")));
        }
    };
    let write = || -> std::io::Result<()> {
        let mut file = BufWriter::new(std::fs::File::create(path)?);
        file.write_all(&bytes)?;
        file.flush()
    };
    write().map_err(|e| Box::new(Diagnostic::error("E7103", span, format!("`{shown}` could not be written: {e}"))))
}

/// A vector as one column, a matrix as a table, a record of vectors of one length as columns with a header.
fn csv(value: &Output) -> Result<Vec<u8>, String> {
    let columns: Vec<(Option<String>, Vec<String>)> = match value {
        Output::Array(a) => table(a)?.into_iter().map(|c| (None, c)).collect(),
        Output::Record(fields) => {
            let mut columns = Vec::new();
            for (name, v) in fields {
                let Output::Array(a) = v else { return Err(format!("`{name}` is no array")) };
                let each = table(a)?;
                let many = each.len() > 1;
                for (k, c) in each.into_iter().enumerate() {
                    columns.push((Some(if many { format!("{name}_{k}") } else { name.to_string() }), c));
                }
            }
            columns
        }
        Output::List(_) => return Err("it is a list".into()),
        Output::Text(_) => return Err("it is a text".into()),
        Output::Opaque(what) => return Err(format!("it is {what}")),
    };
    let rows = columns.first().map_or(0, |(_, c)| c.len());
    if let Some((name, c)) = columns.iter().find(|(_, c)| c.len() != rows) {
        return Err(format!("`{}` has {} rows, not {rows}", name.as_deref().unwrap_or(""), c.len()));
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |e: csv::Error| e.to_string();
    if columns.iter().all(|(name, _)| name.is_some()) && !columns.is_empty() {
        writer.write_record(columns.iter().map(|(n, _)| n.as_deref().unwrap_or(""))).map_err(failed)?;
    }
    for r in 0..rows {
        writer.write_record(columns.iter().map(|(_, c)| c[r].as_str())).map_err(failed)?;
    }
    writer.into_inner().map_err(|e| e.to_string())
}

/// The columns of a scalar, vector or matrix; every digit is kept.
fn table(a: &Array) -> Result<Vec<Vec<String>>, String> {
    let cell = |x: f64| if a.dtype == DType::Real { format!("{x}") } else { element(x, a.dtype, 17) };
    match a.shape.as_slice() {
        [] | [_] => Ok(vec![a.data.iter().map(|x| cell(*x)).collect()]),
        [n, d] => Ok((0..*d).map(|j| (0..*n).map(|i| cell(a.data[i * d + j])).collect()).collect()),
        shape => Err(format!("an array with {} axes is no table", shape.len())),
    }
}

fn npy(value: &Output) -> Result<Vec<u8>, String> {
    use npyz::WriterBuilder;
    let Output::Array(a) = value else { return Err("only arrays have that form".into()) };
    let shape: Vec<u64> = a.shape.iter().map(|n| *n as u64).collect();
    let mut out = Vec::new();
    let failed = |e: std::io::Error| e.to_string();
    macro_rules! write {
        ($t:ty, $f:expr) => {{
            let mut w = npyz::WriteOptions::<$t>::new().default_dtype().shape(&shape).writer(&mut out).begin_nd().map_err(failed)?;
            w.extend(a.data.iter().map($f)).map_err(failed)?;
            w.finish().map_err(failed)?;
        }};
    }
    match a.dtype {
        DType::Real => write!(f64, |x: &f64| *x),
        DType::Int => write!(i64, |x: &f64| *x as i64),
        DType::Bool => write!(bool, |x: &f64| *x != 0.0),
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_record_of_vectors_is_a_table_with_a_header() {
        let v = |x: &[f64]| Output::Array(Array::vector(x.to_vec()));
        let r = Output::Record(vec![("a".into(), v(&[1.0, 0.1])), ("b".into(), v(&[3.0, 1e-300]))]);
        assert_eq!(String::from_utf8(csv(&r).unwrap()).unwrap().lines().collect::<Vec<_>>()[..2], ["a,b", "1,3"]);
        let ragged = Output::Record(vec![("a".into(), v(&[1.0])), ("b".into(), v(&[3.0, 1.0]))]);
        assert!(csv(&ragged).unwrap_err().contains("2 rows, not 1"));
    }

    #[test]
    fn an_npy_file_reads_back() {
        let a = Array::new(DType::Real, vec![2, 3], (0..6).map(|k| k as f64 / 7.0).collect()).unwrap();
        let bytes = npy(&Output::Array(a.clone())).unwrap();
        let back = npyz::NpyFile::new(&bytes[..]).unwrap();
        assert_eq!(back.shape(), [2, 3]);
        assert_eq!(back.into_vec::<f64>().unwrap(), *a.data);
    }
}
