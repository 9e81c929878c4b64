//! Rewritten graphs in a folder, so that another process need not search for them again.
//!
//! One file for each graph: a first line with the format, a line with the key, a line with a checksum of the rest, the graph in its text form, and
//! the origins of its nodes. The key covers the graph as it was traced, the level and the machine of the rewriter, and the rewriter's own
//! code. A file is used only if all of it is as this module writes it and the graph in it fits the one it stands for.

use crate::rewriting::Level;
use gradus_ir::{DType, Graph, Origin, Ty};
use gradus_rewrite::Machine;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

const FORMAT: &str = "gradus plan 1";

/// Graphs with fewer nodes are rewritten faster than a file is read.
const FEWEST: usize = 24;

/// Longer texts (of graphs with large literals) are not kept.
const LONGEST: usize = 4 << 20;

pub struct PlanCache {
    folder: PathBuf,
}

impl PlanCache {
    pub fn new(folder: PathBuf) -> PlanCache {
        PlanCache { folder }
    }

    /// Is this graph worth a file?
    pub fn wants(graph: &Graph) -> bool {
        nodes(graph) >= FEWEST
    }

    /// What a rewritten graph depends on.
    pub fn key(structure: u128, level: Level, machine: &Machine, laws: u64) -> u128 {
        let mut h = Twin::new();
        (FORMAT, env!("CARGO_PKG_VERSION"), env!("GRADUS_REWRITER")).hash(&mut h);
        (structure, format!("{level:?}"), laws).hash(&mut h);
        for (name, value) in machine.fields() {
            (name, value.to_bits()).hash(&mut h);
        }
        h.value()
    }

    fn path(&self, key: u128) -> PathBuf {
        self.folder.join(format!("{key:032x}.plan"))
    }

    /// The rewritten form of `graph`; `None` where the folder has none, an error where its file is not to be trusted.
    pub fn load(&self, key: u128, graph: &Graph) -> Result<Option<Graph>, String> {
        let path = self.path(key);
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| complaint(&path, "it is no text"))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(complaint(&path, &e.to_string())),
        };
        read(&text, key, graph).map(Some).map_err(|e| complaint(&path, &e))
    }

    /// Keep a rewritten graph. The file appears whole or not at all.
    pub fn store(&self, key: u128, graph: &Graph) -> Result<(), String> {
        let text = written(key, graph);
        if text.len() > LONGEST {
            return Ok(());
        }
        let path = self.path(key);
        let fail = |e: std::io::Error| format!("`{}` could not be written: {e}", path.display());
        std::fs::create_dir_all(&self.folder).map_err(fail)?;
        let (mut file, own) = self.part(key).map_err(fail)?;
        let done = file.write_all(text.as_bytes()).and_then(|()| std::fs::rename(&own, &path));
        if done.is_err() {
            let _ = std::fs::remove_file(&own);
        }
        done.map_err(fail)
    }

    /// A file of this process alone: another may write the same graph at the same moment, and each renames its own.
    fn part(&self, key: u128) -> std::io::Result<(std::fs::File, PathBuf)> {
        let mut k = 0;
        loop {
            let own = self.folder.join(format!("{key:032x}.{k}.part"));
            match std::fs::OpenOptions::new().write(true).create_new(true).open(&own) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists && k < 100 => k += 1,
                other => return other.map(|f| (f, own)),
            }
        }
    }
}

/// Two hashes side by side, the second of a salted text.
struct Twin(DefaultHasher, DefaultHasher);

impl Twin {
    fn new() -> Twin {
        let mut second = DefaultHasher::new();
        second.write(FORMAT.as_bytes());
        Twin(DefaultHasher::new(), second)
    }

    fn value(&self) -> u128 {
        u128::from(self.0.finish()) << 64 | u128::from(self.1.finish())
    }
}

impl Hasher for Twin {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
        self.1.write(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

fn complaint(path: &Path, what: &str) -> String {
    format!("`{}` could not be used: {what}", path.display())
}

fn nodes(graph: &Graph) -> usize {
    graph.nodes().map(|(_, n)| 1 + n.op.regions().iter().map(|r| nodes(r)).sum::<usize>()).sum()
}

fn checksum(text: &str) -> u128 {
    let mut h = Twin::new();
    h.write(text.as_bytes());
    h.value()
}

fn written(key: u128, graph: &Graph) -> String {
    let mut body = format!("{graph}\norigins\n");
    for o in graph.origins() {
        body.push_str(&format!("{} {} {}\n", o.file, o.start, o.end));
    }
    format!("{FORMAT}\n{key:032x}\n{:032x}\n{body}", checksum(&body))
}

fn read(text: &str, key: u128, graph: &Graph) -> Result<Graph, String> {
    let mut parts = text.splitn(4, '\n');
    let mut next = || parts.next().unwrap_or_default();
    let (format, named, sum, body) = (next(), next(), next(), next());
    if format != FORMAT {
        return Err("it is no plan of this release".into());
    }
    if named != format!("{key:032x}") {
        return Err("it is the plan of another graph".into());
    }
    if sum != format!("{:032x}", checksum(body)) {
        return Err("it was changed or cut short".into());
    }
    let (text, origins) = body.split_once("\norigins\n").ok_or("it has no origins")?;
    let found = gradus_ir::parse(text).map_err(|e| e.to_string())?;
    let origins = origins.lines().map(origin).collect::<Option<Vec<_>>>().ok_or("an origin is none")?;
    let found = found.located(&origins).map_err(|e| e.to_string())?;
    gradus_ir::verify(&found).map_err(|e| e.to_string())?;
    let params = |g: &Graph| g.params().iter().map(|p| g.ty(*p).clone()).collect::<Vec<Ty>>();
    let outputs = |g: &Graph| g.outputs.iter().map(|p| g.ty(*p).clone()).collect::<Vec<Ty>>();
    // A probe is one output more.
    let mut given = outputs(&found);
    if given.len() == graph.outputs.len() + 1 && given.last() == Some(&Ty::scalar(DType::Real)) {
        given.pop();
    }
    if params(&found) != params(graph) || given != outputs(graph) {
        return Err("its inputs or results are not those of the graph".into());
    }
    Ok(found)
}

fn origin(line: &str) -> Option<Origin> {
    let mut numbers = line.split(' ').map(|n| n.parse::<u32>().ok());
    let mut next = || numbers.next().flatten();
    Some(Origin { file: next()?, start: next()?, end: next()? })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use gradus_ir::testing::{Options, random_case};

    #[test]
    fn graphs_come_back_as_they_were() {
        for seed in 0..60 {
            let mut g = random_case(seed, &Options::default()).unwrap().graph;
            g = g.compact().unwrap();
            let back = read(&written(7, &g), 7, &g).unwrap();
            assert_eq!((back.to_string(), back.origins()), (g.to_string(), g.origins()), "seed {seed}");
        }
    }

    #[test]
    fn origins_come_back() {
        let at = |k: u32| Origin { file: 1, start: k, end: k + 1 };
        let mut g = Graph::new();
        let x = g.param(Ty::real(gradus_ir::Shape::of(&[2])), at(3));
        let y = g.add(gradus_ir::Op::Unary(gradus_ir::UnaryOp::Exp), &[x], at(9)).unwrap();
        g.outputs = vec![y];
        let back = read(&written(1, &g), 1, &g).unwrap();
        assert_eq!(back.origins(), vec![at(3), at(9)]);
    }

    #[test]
    fn what_was_changed_is_refused() {
        let g = random_case(3, &Options::default()).unwrap().graph.compact().unwrap();
        let other = random_case(4, &Options { random: false, ..Options::default() }).unwrap().graph.compact().unwrap();
        let good = written(7, &g);
        assert!(read(&good, 7, &g).is_ok());
        assert!(read(&good, 8, &g).is_err());
        for cut in [0, 10, 40, good.len() / 2, good.len() - 1] {
            assert!(read(good.get(..cut).unwrap(), 7, &g).is_err(), "cut at {cut}");
        }
        // A well-formed file with another graph in it.
        let mut short = other.clone();
        short.outputs.clear();
        assert!(read(&written(7, &short), 7, &g).is_err());
        for k in (0..good.len()).step_by(7).filter(|k| good.is_char_boundary(*k) && good.is_char_boundary(k + 1)) {
            let mut bytes = good.clone().into_bytes();
            bytes[k] = if bytes[k] == b'1' { b'2' } else { b'1' };
            let bad = String::from_utf8_lossy(&bytes).into_owned();
            assert!(bad == good || read(&bad, 7, &g).is_err(), "changed at {k}");
        }
    }
}
