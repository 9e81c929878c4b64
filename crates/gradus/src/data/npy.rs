//! NPY and NPZ: arrays as NumPy saves them.

use super::blame::{Blame, counted, quoted};
use gradus_eval::host::{ColumnRef, Columns, DataRequest};
use gradus_ir::{Array, DType};
use gradus_syntax::Diagnostic;
use gradus_syntax::nearest;
use npyz::{NpyFile, Order, TypeChar};
use std::io::{Cursor, Read};

type Outcome<T> = Result<T, Box<Diagnostic>>;

const EXACT: f64 = 9_007_199_254_740_992.0;

/// The one array of an `npy` file.
pub fn read(bytes: &[u8], request: &DataRequest, blame: &Blame) -> Outcome<Array> {
    decode(bytes, blame.file(), request, blame)
}

/// The named array of an `npz` file; the only one where no name is given.
pub fn read_member(bytes: &[u8], request: &DataRequest, blame: &Blame) -> Outcome<Array> {
    let broken = |e: String| Box::new(blame.error("E6112", format!("`{}` is no `npz` file: {e}", blame.file())));
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| broken(e.to_string()))?;
    let names: Vec<String> =
        archive.file_names().map(|n| n.strip_suffix(".npy").unwrap_or(n).to_string()).collect();
    let mut sorted = names.clone();
    sorted.sort();
    let name = match (&request.member, sorted.as_slice()) {
        (Some(name), _) if sorted.iter().any(|n| **n == **name) => name.to_string(),
        (None, [only]) => only.clone(),
        (Some(name), _) => {
            let d = blame.error("E6115", format!("`{}` has no array `{name}`", blame.file())).at("not in this file");
            return Err(Box::new(match nearest(name, sorted.iter().map(String::as_str)) {
                Some(near) => d.help(format!("did you mean `{near}`?")),
                None => d.note(format!("it holds {}", quoted(&sorted))),
            }));
        }
        (None, _) => {
            let message = format!("`{}` holds {}; which one?", blame.file(), counted(sorted.len(), "array"));
            let d = blame.error("E6115", message).note(format!("it holds {}", quoted(&sorted)));
            let d = d.help(format!("write `npz(\"{}\", \"{}\")`", blame.file(), sorted.first().map_or("NAME", |s| s)));
            return Err(Box::new(d));
        }
    };
    let mut data = Vec::new();
    let entry = if archive.by_name(&format!("{name}.npy")).is_ok() { format!("{name}.npy") } else { name.clone() };
    archive
        .by_name(&entry)
        .map_err(|e| broken(e.to_string()))?
        .read_to_end(&mut data)
        .map_err(|e| broken(e.to_string()))?;
    decode(&data, &format!("{}[{name}]", blame.file()), request, blame)
}

fn decode(bytes: &[u8], label: &str, request: &DataRequest, blame: &Blame) -> Outcome<Array> {
    // Checked before anything of the claimed size is computed or allocated.
    if promised(bytes).is_some_and(|n| n > bytes.len()) {
        return Err(Box::new(blame.error("E6112", format!("`{label}` is cut off: its header promises more elements than it holds"))));
    }
    let npy = NpyFile::new(bytes)
        .map_err(|e| Box::new(blame.error("E6112", format!("`{label}` is no `npy` file: {e}")).at("not NumPy's format")))?;
    let shape: Vec<usize> = npy.shape().iter().map(|&n| n as usize).collect();
    let fortran = npy.order() == Order::Fortran;
    let (values, integral) = numbers(npy, label, blame)?;
    let values = if fortran { row_major(&values, &shape) } else { values };
    let (shape, values) = select(shape, values, label, request, blame)?;
    check_values(&values, &shape, integral, label, request, blame)?;
    let dtype = if request.integers { DType::Int } else { DType::Real };
    let count = values.len();
    Array::new(dtype, shape, values).ok_or_else(|| {
        Box::new(blame.error("E6112", format!("`{label}` is damaged: its header does not fit its {}", counted(count, "number"))))
    })
}

/// The largest number of elements that the header may claim (the largest number where it is too large for one), without
/// trusting it: every group in parentheses counts.
fn promised(bytes: &[u8]) -> Option<usize> {
    let (start, length) = match *bytes.get(6)? {
        1 => (10, usize::from(u16::from_le_bytes(bytes.get(8..10)?.try_into().ok()?))),
        _ => (12, u32::from_le_bytes(bytes.get(8..12)?.try_into().ok()?) as usize),
    };
    let header = String::from_utf8_lossy(bytes.get(start..usize::min(bytes.len(), start + length))?);
    let groups = header.split('(').skip(1).filter_map(|rest| rest.split_once(')'));
    groups.map(|(dims, _)| product(dims)).max()
}

fn product(dims: &str) -> usize {
    let mut total: usize = 1;
    for d in dims.split(',').map(str::trim).filter(|d| !d.is_empty()) {
        let n = d.trim_end_matches(['L', 'l']).parse::<usize>().unwrap_or(usize::MAX);
        // A zero does not make up for another length that no array has.
        total = total.checked_mul(n.max(1)).unwrap_or(usize::MAX);
    }
    total
}

/// All elements as floats, and whether the file stores integers.
fn numbers<R: Read>(npy: NpyFile<R>, label: &str, blame: &Blame) -> Outcome<(Vec<f64>, bool)> {
    let dtype = npy.dtype();
    let refused = |why: &str| {
        let message = format!("`{label}` holds elements of type `{}`{why}", dtype.descr().trim_matches('\''));
        let d = blame.error("E6116", message).at("real, integer or boolean elements are needed here");
        Box::new(d.help("convert them with `array.astype(numpy.float64)`"))
    };
    let npyz::DType::Plain(ty) = &dtype else { return Err(refused(" (records)")) };
    let (kind, size) = (ty.type_char(), ty.size_field());
    macro_rules! all {
        ($t:ty, $integral:expr) => {
            npy.into_vec::<$t>().map(|v| (v.into_iter().map(|x| x as f64).collect(), $integral))
        };
    }
    let values = match (kind, size) {
        (TypeChar::Float, 8) => all!(f64, false),
        (TypeChar::Float, 4) => all!(f32, false),
        (TypeChar::Int, 8) => all!(i64, true),
        (TypeChar::Int, 4) => all!(i32, true),
        (TypeChar::Int, 2) => all!(i16, true),
        (TypeChar::Int, 1) => all!(i8, true),
        (TypeChar::Uint, 8) => all!(u64, true),
        (TypeChar::Uint, 4) => all!(u32, true),
        (TypeChar::Uint, 2) => all!(u16, true),
        (TypeChar::Uint, 1) => all!(u8, true),
        (TypeChar::Bool, _) => npy.into_vec::<bool>().map(|v| (v.into_iter().map(|b| f64::from(u8::from(b))).collect(), true)),
        (TypeChar::Float, 2) => return Err(refused(" (half precision)")),
        (TypeChar::Complex, _) => return Err(refused(" (complex numbers)")),
        _ => return Err(refused("")),
    };
    values.map_err(|e| Box::new(blame.error("E6112", format!("`{label}` could not be read to its end: {e}"))))
}

/// Column-major data, reordered.
fn row_major(values: &[f64], shape: &[usize]) -> Vec<f64> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &n in shape {
        strides.push(stride);
        stride *= n;
    }
    let mut out = Vec::with_capacity(values.len());
    let mut index = vec![0; shape.len()];
    for _ in 0..values.len() {
        let at: usize = index.iter().zip(&strides).map(|(i, s)| i * s).sum();
        out.push(values.get(at).copied().unwrap_or(f64::NAN));
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

/// `rows` of the first axis, `columns` of the second.
fn select(
    mut shape: Vec<usize>,
    mut values: Vec<f64>,
    label: &str,
    request: &DataRequest,
    blame: &Blame,
) -> Outcome<(Vec<usize>, Vec<f64>)> {
    if let Some((from, to)) = request.rows {
        let n = shape.first().copied().unwrap_or(0);
        let to = to.unwrap_or(n);
        if from > to || to > n {
            let message = format!("rows {from}..{to} of `{label}`, whose first axis has length {n}");
            return Err(Box::new(blame.error("E6111", message).at(format!("0..{n} are there"))));
        }
        let row: usize = shape.iter().skip(1).product();
        values = values[from * row..to * row].to_vec();
        if let Some(first) = shape.first_mut() {
            *first = to - from;
        }
    }
    if request.columns != Columns::All {
        let &[n, d] = shape.as_slice() else {
            let message = format!("columns of `{label}`, which has {}", counted(shape.len(), "axis").replace("axiss", "axes"));
            return Err(Box::new(blame.error("E6109", message).help("only a matrix has columns")));
        };
        let columns = positions(&request.columns, d, label, blame)?;
        values = (0..n).flat_map(|i| columns.iter().map(move |c| i * d + c)).map(|k| values[k]).collect();
        shape = if matches!(request.columns, Columns::One(_)) { vec![n] } else { vec![n, columns.len()] };
    }
    if shape.len() != request.rank {
        let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
        let message = format!(
            "`{}` is declared with {}, but `{label}` has shape [{}]",
            request.name,
            if request.rank == 1 { "1 axis".into() } else { format!("{} axes", request.rank) },
            dims.join(", ")
        );
        return Err(Box::new(blame.error("E6107", message).at(format!("shape [{}]", dims.join(", ")))));
    }
    Ok((shape, values))
}

fn positions(columns: &Columns, d: usize, label: &str, blame: &Blame) -> Outcome<Vec<usize>> {
    let one = |c: &ColumnRef| match c {
        ColumnRef::Position(k) if *k < d => Ok(*k),
        ColumnRef::Position(k) => {
            let message = format!("column {k} of `{label}`, which has {}", counted(d, "column"));
            Err(Box::new(blame.error("E6109", message).at(format!("0..{d} are there"))))
        }
        ColumnRef::Name(name) => {
            let message = format!("column `{name}` is asked for, but an `npy` array has no column names");
            Err(Box::new(blame.error("E6110", message).help("give the column's position, counted from 0")))
        }
    };
    match columns {
        Columns::All => Ok((0..d).collect()),
        Columns::Range(from, to) if from <= to && *to <= d => Ok((*from..*to).collect()),
        Columns::Range(from, to) => {
            let message = format!("columns {from}..{to} of `{label}`, which has {}", counted(d, "column"));
            Err(Box::new(blame.error("E6109", message).at(format!("0..{d} are there"))))
        }
        Columns::One(c) => Ok(vec![one(c)?]),
        Columns::Many(cs) => cs.iter().map(one).collect(),
    }
}

/// Finite, and integers where they are declared.
fn check_values(
    values: &[f64],
    shape: &[usize],
    integral: bool,
    label: &str,
    request: &DataRequest,
    blame: &Blame,
) -> Outcome<()> {
    if values.is_empty() {
        return Err(Box::new(blame.error("E6106", format!("`{label}` is empty")).at("no element in this array")));
    }
    let bad = |x: f64| !x.is_finite() || (request.integers && x.fract() != 0.0) || ((integral || request.integers) && x.abs() > EXACT);
    let Some(k) = values.iter().position(|x| bad(*x)) else { return Ok(()) };
    let x = values[k];
    let mut rest = k;
    let mut index: Vec<String> = shape
        .iter()
        .rev()
        .map(|&n| {
            let i = rest % n;
            rest /= n;
            i.to_string()
        })
        .collect();
    index.reverse();
    let place = format!("`{label}` at [{}]", index.join(", "));
    let d = if !x.is_finite() {
        let what = if x.is_nan() { "NaN" } else { "infinite" };
        blame.error("E6105", format!("{place}: the element is {what}")).at("finite numbers are needed here")
    } else if x.fract() != 0.0 {
        let d = blame.error("E6113", format!("{place}: {x} is not an integer"));
        d.at(format!("`{}` has integers only", request.name)).help(format!("declare `{}` with `real` elements", request.name))
    } else {
        let d = blame.error("E6113", format!("{place}: {x} is too large for an exact integer"));
        d.note("integers are exact up to 2^53 = 9007199254740992")
    };
    Err(Box::new(d))
}
