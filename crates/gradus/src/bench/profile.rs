//! What was measured of a machine, and the file that keeps it.

use gradus_rewrite::Machine;
use serde_json::{Map, Value, json};

/// A measured machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The processor's name, where the system tells.
    pub processor: String,
    /// What the rewriter prices with.
    pub machine: Machine,
    /// Operations in a second, in products of matrices.
    pub flops: f64,
    /// Memory of growing size.
    pub streams: Vec<Stream>,
}

/// How fast memory of a size is read and written, in bytes in a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stream {
    pub bytes: f64,
    pub read: f64,
    pub write: f64,
}

impl Profile {
    /// Seconds that memory of the given size needs for this traffic (bytes), and whether it is the smallest or which other size that
    /// was measured.
    pub fn stream_seconds(&self, size: f64, read: f64, written: f64) -> Option<(f64, Stream)> {
        let s = self.streams.iter().find(|s| s.bytes >= size).or(self.streams.last())?;
        Some((read / s.read + written / s.write, *s))
    }

    /// The text of the file.
    pub fn to_json(&self) -> String {
        let cost: Map<String, Value> = self.machine.fields().iter().map(|(k, v)| (k.to_string(), json!(v))).collect();
        let streams: Vec<Value> =
            self.streams.iter().map(|s| json!({ "bytes": s.bytes, "read": s.read, "write": s.write })).collect();
        let all = json!({
            "gradus": env!("CARGO_PKG_VERSION"),
            "processor": self.processor,
            "flops": self.flops,
            "streams": streams,
            "cost": cost,
        });
        format!("{all:#}\n")
    }

    /// From the text of such a file. What a file leaves out of `cost` keeps its usual value.
    ///
    /// # Errors
    /// Says in words what is wrong with the text.
    pub fn from_json(text: &str) -> Result<Profile, String> {
        let all: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        let positive = |v: Option<&Value>, name: &str| match v.and_then(Value::as_f64) {
            Some(x) if x.is_finite() && x > 0.0 => Ok(x),
            _ => Err(format!("`{name}` is not a positive number")),
        };
        let mut machine = Machine::default();
        let cost = all.get("cost").and_then(Value::as_object).ok_or("there is no table `cost`")?;
        let mut known = machine.fields_mut();
        for (name, v) in cost {
            let slot = known.iter_mut().find(|(n, _)| n == name).ok_or_else(|| format!("`cost` has no number `{name}`"))?;
            *slot.1 = positive(Some(v), name)?;
        }
        let streams = all.get("streams").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let streams = streams.iter().map(|s| {
            Ok(Stream {
                bytes: positive(s.get("bytes"), "bytes")?,
                read: positive(s.get("read"), "read")?,
                write: positive(s.get("write"), "write")?,
            })
        });
        let streams = streams.collect::<Result<Vec<Stream>, String>>()?;
        let processor = all.get("processor").and_then(Value::as_str).unwrap_or_default().to_string();
        Ok(Profile { processor, machine, flops: positive(all.get("flops"), "flops")?, streams })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn profile() -> Profile {
        let machine = Machine { exp: 1.25, cache: 4e5, ..Machine::default() };
        let stream = |bytes, read| Stream { bytes, read, write: read / 2.0 };
        Profile { processor: "test".into(), machine, flops: 5e10, streams: vec![stream(1e4, 1e11), stream(1e8, 1e10)] }
    }

    #[test]
    fn a_file_gives_the_profile_that_wrote_it() {
        let p = profile();
        assert_eq!(Profile::from_json(&p.to_json()).unwrap(), p);
    }

    #[test]
    fn bad_files_are_refused() {
        let good = profile().to_json();
        for (from, to, word) in [
            ("1.25", "-1.25", "exp"),
            ("1.25", "\"quick\"", "exp"),
            ("\"exp\"", "\"expo\"", "expo"),
            ("50000000000.0", "0", "flops"),
            ("\"cost\"", "\"price\"", "cost"),
            ("{", "[", "line"),
        ] {
            assert!(good.contains(from), "{good}");
            let e = Profile::from_json(&good.replacen(from, to, 1)).unwrap_err();
            assert!(e.contains(word), "{e}");
        }
    }

    #[test]
    fn traffic_is_timed_by_the_smallest_memory_that_holds_it() {
        let p = profile();
        let (t, s) = p.stream_seconds(9e3, 1e6, 1e6).unwrap();
        assert_eq!((s.bytes, t), (1e4, 1e-5 + 2e-5));
        assert_eq!(p.stream_seconds(2e4, 1e6, 0.0).unwrap().0, 1e-4);
        assert_eq!(p.stream_seconds(1e12, 1e6, 0.0).unwrap().1.bytes, 1e8);
    }
}
