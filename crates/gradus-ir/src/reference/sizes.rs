//! Numbers for symbolic sizes: bound by the shapes of the inputs, then evaluated.

use super::ReferenceError;
use crate::array::Array;
use crate::dim::Dim;
use crate::graph::Graph;
use crate::parse::parse_dim;
use crate::ty::{Shape, Ty};
use indexmap::IndexMap;

/// What each named size is.
pub(super) struct Sizes(IndexMap<String, i64>);

impl Sizes {
    /// From a lone name its length; then, repeatedly, from `a * name + b` with all else known the name.
    pub fn bind(g: &Graph, inputs: &[Array]) -> Result<Sizes, ReferenceError> {
        if inputs.len() != g.params().len() {
            return Err(ReferenceError::Inputs(format!("{} inputs for {} parameters", inputs.len(), g.params().len())));
        }
        let mut sizes = Sizes(IndexMap::new());
        let mut pairs: Vec<(Dim, i64)> = Vec::new();
        for (p, a) in g.params().iter().zip(inputs) {
            for (d, n) in g.shape(*p).dims().iter().zip(&a.shape) {
                pairs.push((d.clone(), *n as i64));
            }
        }
        loop {
            let before = sizes.0.len();
            for (d, n) in &pairs {
                let rest = sizes.partial(d).sub(&Dim::Known(*n));
                if let Some((name, value)) = solve_linear(&rest) {
                    sizes.0.insert(name, value);
                }
            }
            if sizes.0.len() == before {
                return Ok(sizes);
            }
        }
    }

    /// The dimension with all that is known put in.
    fn partial(&self, d: &Dim) -> Dim {
        d.substitute(&|name| self.symbol(name).map(Dim::Known))
    }

    fn symbol(&self, name: &str) -> Option<i64> {
        if let Some(n) = self.0.get(name) {
            return Some(*n);
        }
        let of = |d: &str| parse_dim(d).and_then(|d| self.partial(&d).known());
        if let Some(inner) = name.strip_prefix("floor(").and_then(|r| r.strip_suffix(')')) {
            let (a, b) = inner.rsplit_once(" / ")?;
            let (a, b) = (of(a)?, of(b)?);
            return (b != 0).then(|| a.div_euclid(b));
        }
        if let Some(inner) = name.strip_prefix("min(").and_then(|r| r.strip_suffix(')')) {
            let (a, b) = split_comma(inner)?;
            return Some(of(a)?.min(of(b.trim())?));
        }
        None
    }

    pub fn dim(&self, d: &Dim) -> Result<i64, ReferenceError> {
        self.partial(d).known().ok_or_else(|| ReferenceError::Inputs(format!("the inputs do not tell the size `{d}`")))
    }

    pub fn length(&self, d: &Dim) -> Result<usize, ReferenceError> {
        let n = self.dim(d)?;
        usize::try_from(n).map_err(|_| ReferenceError::Inputs(format!("the size `{d}` is {n}")))
    }

    pub fn shape(&self, s: &Shape) -> Result<Vec<usize>, ReferenceError> {
        s.dims().iter().map(|d| self.length(d)).collect()
    }

    pub fn check(&self, k: usize, want: &Ty, found: &Array) -> Result<(), ReferenceError> {
        let shape = self.shape(&want.shape)?;
        if shape == found.shape && found.dtype <= want.dtype {
            return Ok(());
        }
        Err(ReferenceError::Inputs(format!("parameter {k} is `{want}`, given `{}`", found.ty())))
    }
}

fn split_comma(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0i32;
    for (k, b) in text.bytes().enumerate() {
        match b {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b',' if depth == 0 => return text.get(..k).zip(text.get(k + 1..)),
            _ => {}
        }
    }
    None
}

/// The root of `a * name + b = 0` where it is a whole number.
fn solve_linear(d: &Dim) -> Option<(String, i64)> {
    let (mut name, mut constant) = (None, 0);
    for (symbols, c) in d.terms() {
        match symbols.as_slice() {
            [] => constant = c,
            [s] if name.is_none() && !s.contains('(') => name = Some((s.to_string(), c)),
            _ => return None,
        }
    }
    let (name, c) = name?;
    (constant % c == 0).then(|| (name, -constant / c))
}
