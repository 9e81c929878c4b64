#![allow(clippy::unwrap_used)]

use super::Reader;
use crate::Sources;
use gradus_eval::host::{ColumnRef, Columns, DataFormat, DataRequest, Header};
use gradus_ir::{Array, DType};
use gradus_syntax::{Diagnostic, Span};
use std::path::PathBuf;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("gradus-data-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn load(&self, file: &str, bytes: &[u8], change: impl FnOnce(&mut DataRequest)) -> Result<Array, Box<Diagnostic>> {
        std::fs::write(self.0.join(file), bytes).unwrap();
        self.request(file, change)
    }

    fn request(&self, file: &str, change: impl FnOnce(&mut DataRequest)) -> Result<Array, Box<Diagnostic>> {
        let mut sources = Sources::new();
        let text = format!("data X: real[n, d] = csv(\"{file}\")");
        let id = sources.add("case.opt", text.as_str(), &self.0);
        let mut request = DataRequest {
            name: "X".into(),
            format: super::format_of(file).unwrap(),
            path: file.into(),
            columns: Columns::All,
            rows: None,
            header: Header::Auto,
            separator: None,
            member: None,
            rank: 2,
            integers: false,
            span: Span::new(id, 0, text.len()),
            source: Span::new(id, 21, text.len()),
        };
        change(&mut request);
        Reader::new().load(&request, &sources)
    }

    fn fails(&self, file: &str, text: &str, change: impl FnOnce(&mut DataRequest)) -> (String, String) {
        let d = self.load(file, text.as_bytes(), change).unwrap_err();
        (d.code.to_string(), d.message)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn name(n: &str) -> ColumnRef {
    ColumnRef::Name(n.into())
}

#[test]
fn reads_a_table_with_or_without_header() {
    let f = Folder::new("table");
    let with = f.load("a.csv", b"a,b\n1,2\n3,4.5\n", |_| {}).unwrap();
    assert_eq!((with.shape.as_slice(), with.data.as_slice()), (&[2, 2][..], &[1.0, 2.0, 3.0, 4.5][..]));
    let without = f.load("b.csv", b"1;2\r\n\r\n3;4\r\n", |_| {}).unwrap();
    assert_eq!((without.shape.as_slice(), without.data.as_slice()), (&[2, 2][..], &[1.0, 2.0, 3.0, 4.0][..]));
    let tabs = f.load("c.tsv", b"\xef\xbb\xbfx\ty\n1\t2", |r| r.columns = Columns::Many(vec![name("y"), name("x")])).unwrap();
    assert_eq!(tabs.data.as_slice(), [2.0, 1.0]);
}

#[test]
fn picks_columns_and_rows() {
    let f = Folder::new("pick");
    let text = b"a,b,c\n1,2,3\n4,5,6\n7,8,9\n";
    let one = f.load("a.csv", text, |r| (r.columns, r.rank) = (Columns::One(name("b")), 1)).unwrap();
    assert_eq!((one.shape.as_slice(), one.data.as_slice()), (&[3][..], &[2.0, 5.0, 8.0][..]));
    let block = f.load("a.csv", text, |r| (r.columns, r.rows) = (Columns::Range(1, 3), Some((1, Some(3))))).unwrap();
    assert_eq!(block.data.as_slice(), [5.0, 6.0, 8.0, 9.0]);
    let ints = f.load("a.csv", text, |r| (r.rows, r.integers) = (Some((2, None)), true)).unwrap();
    assert_eq!((ints.dtype, ints.data.as_slice()), (DType::Int, &[7.0, 8.0, 9.0][..]));
}

#[test]
fn understands_quotes() {
    let f = Folder::new("quotes");
    let a = f.load("a.csv", b"\"first, name\",y\n\"1\",2\n3,\"4\"\n", |r| (r.columns, r.rank) = (Columns::One(name("first, name")), 1));
    assert_eq!(a.unwrap().data.as_slice(), [1.0, 3.0]);
    let (code, message) = f.fails("b.csv", "\"a\",b\n1,2\n1,2,3\n", |_| {});
    assert_eq!((code.as_str(), message.as_str()), ("E6103", "`b.csv` line 3 has 3 cells, not 2"));
}

#[test]
fn names_line_and_column_of_bad_cells() {
    let f = Folder::new("bad");
    let check = |text: &str, change: fn(&mut DataRequest), code: &str, message: &str| {
        assert_eq!(f.fails("bad.csv", text, change), (code.to_string(), message.to_string()));
    };
    check("a,b\n1,2\n3,x\n", |_| {}, "E6104", "`bad.csv` line 3, column 1 (`b`): `x` is not a number");
    check("1,2\n3,\n", |_| {}, "E6104", "`bad.csv` line 2, column 1: the cell is empty");
    check("a,b\n1,2\nnan,4\n", |_| {}, "E6105", "`bad.csv` line 3, column 0 (`a`): `nan` is not a number (NaN)");
    check("a,b\n1,2\n\n1,-inf\n", |_| {}, "E6105", "`bad.csv` line 4, column 1 (`b`): `-inf` is infinite");
    check("a,b\n1,2\n3\n", |_| {}, "E6103", "`bad.csv` line 3 has 1 cell, not 2");
    check("", |_| {}, "E6106", "`bad.csv` is empty");
    check("a,b\n", |_| {}, "E6106", "`bad.csv` has a header but no rows");
    check("a,b\n1,2.5\n", |r| r.integers = true, "E6113", "`bad.csv` line 2, column 1 (`b`): `2.5` is not an integer");
    check("a,b\n1,1e17\n", |r| r.integers = true, "E6113", "`bad.csv` line 2, column 1 (`b`): `1e17` is too large for an exact integer");
    check("a,b\n1,2\n", |r| r.rank = 1, "E6107", "`X` is declared as a vector, but 2 columns of `bad.csv` are meant");
    check("a,b\n1,2\n", |r| r.rank = 3, "E6107", "`X` is declared with 3 axes, but a CSV file is a table with two");
    check("a,b\n1,2\n", |r| r.columns = Columns::Range(0, 5), "E6109", "columns 0..5 of `bad.csv`, which has 2 columns");
    check("a,b\n1,2\n", |r| r.columns = Columns::Many(vec![name("bb")]), "E6108", "`bad.csv` has no column `bb`");
    check("a,a\n1,2\n", |r| r.columns = Columns::Many(vec![name("a")]), "E6108", "`bad.csv` has several columns `a` (0 and 1)");
    check("1,2\n", |r| r.columns = Columns::Many(vec![name("a")]), "E6110", "column `a` is asked for, but `bad.csv` has no header row");
    check("a,b\n1,2\n", |r| r.rows = Some((0, Some(9))), "E6111", "rows 0..9 of `bad.csv`, which has 1 row");
}

#[test]
fn suggests_files_and_columns_that_were_meant() {
    let f = Folder::new("near");
    std::fs::write(f.0.join("diabetes.csv"), "bmi,age\n1,2\n").unwrap();
    let d = f.request("diabetis.csv", |_| {}).unwrap_err();
    assert_eq!((d.code, d.helps[0].text.as_str()), ("E6101", "did you mean `diabetes.csv`?"));
    assert_eq!(d.labels[0].span.end, 18);
    let d = f.request("diabetes.csv", |r| r.columns = Columns::Many(vec![name("bmj")])).unwrap_err();
    assert_eq!(d.helps.first().map(|h| h.text.as_str()), Some("did you mean `bmi`?"));
    std::fs::create_dir_all(f.0.join("data")).unwrap();
    std::fs::write(f.0.join("data/other.csv"), "1\n").unwrap();
    let d = f.request("other.csv", |_| {}).unwrap_err();
    assert_eq!(d.helps[0].text, "there is one in `data`: write `\"data/other.csv\"`");
}

fn npy(order: npyz::Order) -> Vec<u8> {
    use npyz::WriterBuilder;
    let mut out = Vec::new();
    let mut w = npyz::WriteOptions::<i32>::new().default_dtype().shape(&[2, 3]).order(order).writer(&mut out).begin_nd().unwrap();
    w.extend([1, 2, 3, 4, 5, 6]).unwrap();
    w.finish().unwrap();
    out
}

#[test]
fn reads_npy_in_both_orders() {
    let f = Folder::new("npy");
    let c = f.load("c.npy", &npy(npyz::Order::C), |_| {}).unwrap();
    assert_eq!((c.shape.as_slice(), c.data.as_slice()), (&[2, 3][..], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]));
    let fortran = f.load("f.npy", &npy(npyz::Order::Fortran), |_| {}).unwrap();
    assert_eq!(fortran.data.as_slice(), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    let part = f.load("c.npy", &npy(npyz::Order::C), |r| (r.columns, r.rank) = (Columns::One(ColumnRef::Position(1)), 1)).unwrap();
    assert_eq!(part.data.as_slice(), [2.0, 5.0]);
    let d = f.load("c.npy", &npy(npyz::Order::C), |r| r.rank = 1).unwrap_err();
    assert_eq!(d.message, "`X` is declared with 1 axis, but `c.npy` has shape [2, 3]");
    let cut = &npy(npyz::Order::C)[..140];
    assert_eq!(f.load("cut.npy", cut, |_| {}).unwrap_err().code, "E6112");
    assert_eq!(f.load("no.npy", b"hello", |_| {}).unwrap_err().code, "E6112");
}

#[test]
fn reads_members_of_npz() {
    use std::io::Write;
    let f = Folder::new("npz");
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut z = zip::ZipWriter::new(&mut bytes);
    for n in ["train.npy", "test.npy"] {
        z.start_file(n, zip::write::FileOptions::default()).unwrap();
        z.write_all(&npy(npyz::Order::C)).unwrap();
    }
    z.finish().unwrap();
    drop(z);
    let bytes = bytes.into_inner();
    let load = |member: Option<&str>| f.load("d.npz", &bytes, |r| (r.format, r.member) = (DataFormat::Npz, member.map(Into::into)));
    assert_eq!(load(Some("train")).unwrap().data.as_slice(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(load(Some("trian")).unwrap_err().helps[0].text, "did you mean `train`?");
    assert_eq!(load(None).unwrap_err().message, "`d.npz` holds 2 arrays; which one?");
}

/// Damaged and random files end in a diagnostic or in finite numbers.
#[test]
fn damaged_files_never_panic() {
    let f = Folder::new("damaged");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % n
    };
    let csv = b"a,b\n1,2.5\n\"3\",4e2\n-5,nan\n";
    let originals: [(&str, Vec<u8>); 3] = [("d.csv", csv.to_vec()), ("d.npy", npy(npyz::Order::C)), ("e.npy", npy(npyz::Order::Fortran))];
    for round in 0..1500 {
        let (name, bytes) = &originals[round % 3];
        let mut bytes = bytes.clone();
        for _ in 0..=next(4) {
            let at = next(bytes.len() as u64) as usize;
            match next(4) {
                0 => bytes[at] = next(256) as u8,
                1 => bytes[at] = b"0123456789,\n\"'(){}<>|f"[next(22) as usize],
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, b"9,\n\"-e.("[next(8) as usize]),
            }
        }
        if let Ok(a) = f.load(name, &bytes, |_| {}) {
            assert!(a.data.iter().all(|x| x.is_finite()) && a.len() == a.shape.iter().product::<usize>());
        }
    }
}

#[test]
fn a_header_that_promises_too_much_is_refused() {
    let f = Folder::new("huge");
    for shape in ["(18446744073709551615, 3)", "(4294967296, 4294967296)", "(1000000, 1000000)", "(0, 18446744073709551615)", "(-1, 3)"] {
        let header = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend([0; 48]);
        let code = f.load("h.npy", &bytes, |_| {}).unwrap_err().code;
        assert!(matches!(code, "E6106" | "E6112"), "{shape}: {code}");
    }
}
