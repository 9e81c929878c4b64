//! The type of a value in the graph: element type and shape.

use crate::dim::Dim;
use smallvec::SmallVec;
use std::fmt;

/// What an element means. Every executor stores all three in the run's float type; integers are exact up to 2^53.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DType {
    Bool,
    Int,
    Real,
}

/// Axis lengths, outermost first; empty for a scalar.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Shape(pub SmallVec<[Dim; 2]>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ty {
    pub dtype: DType,
    pub shape: Shape,
}

impl Shape {
    pub fn scalar() -> Shape {
        Shape::default()
    }

    pub fn new(dims: impl IntoIterator<Item = Dim>) -> Shape {
        Shape(dims.into_iter().collect())
    }

    pub fn of(dims: &[usize]) -> Shape {
        Shape(dims.iter().map(|&d| Dim::from(d)).collect())
    }

    pub fn rank(&self) -> usize {
        self.0.len()
    }

    pub fn dims(&self) -> &[Dim] {
        &self.0
    }

    pub fn is_scalar(&self) -> bool {
        self.0.is_empty()
    }

    /// Number of elements.
    pub fn count(&self) -> Dim {
        Dim::product(self.0.iter())
    }

    /// The lengths, where all are known.
    pub fn sizes(&self) -> Option<Vec<usize>> {
        self.0.iter().map(Dim::size).collect()
    }

    /// `axis` counted from the end where negative.
    pub fn axis(&self, axis: i64) -> Option<usize> {
        let rank = self.rank() as i64;
        let a = if axis < 0 { axis + rank } else { axis };
        (0..rank).contains(&a).then_some(a as usize)
    }

    /// With other lengths in place of named ones.
    pub fn substitute(&self, f: &dyn Fn(&str) -> Option<Dim>) -> Shape {
        Shape(self.0.iter().map(|d| d.substitute(f)).collect())
    }

    pub fn without(&self, axis: usize) -> Shape {
        Shape(self.0.iter().enumerate().filter(|(k, _)| *k != axis).map(|(_, d)| d.clone()).collect())
    }

    pub fn with(&self, axis: usize, dim: Dim) -> Shape {
        let mut s = self.clone();
        if let Some(d) = s.0.get_mut(axis) {
            *d = dim;
        }
        s
    }

    /// A new first axis.
    pub fn stacked(&self, dim: Dim) -> Shape {
        let mut v: SmallVec<[Dim; 2]> = SmallVec::new();
        v.push(dim);
        v.extend(self.0.iter().cloned());
        Shape(v)
    }

    /// The shape that two elementwise operands share: trailing axes agree, literal ones stretch, missing axes are added.
    pub fn broadcast(a: &Shape, b: &Shape) -> Result<Shape, BroadcastError> {
        let rank = a.rank().max(b.rank());
        let mut out: SmallVec<[Dim; 2]> = SmallVec::new();
        for k in 0..rank {
            let da = (k + a.rank()).checked_sub(rank).and_then(|i| a.0.get(i));
            let db = (k + b.rank()).checked_sub(rank).and_then(|i| b.0.get(i));
            out.push(match (da, db) {
                (Some(x), Some(y)) if x == y => x.clone(),
                (Some(x), Some(y)) if x.is_one() => y.clone(),
                (Some(x), Some(y)) if y.is_one() => x.clone(),
                (Some(x), Some(y)) => return Err(BroadcastError { axis: k, left: x.clone(), right: y.clone() }),
                (Some(x), None) | (None, Some(x)) => x.clone(),
                (None, None) => continue,
            });
        }
        Ok(Shape(out))
    }
}

/// The axis of the result at which two shapes disagree.
#[derive(Clone, Debug, PartialEq)]
pub struct BroadcastError {
    pub axis: usize,
    pub left: Dim,
    pub right: Dim,
}

impl Ty {
    pub fn new(dtype: DType, shape: Shape) -> Ty {
        Ty { dtype, shape }
    }

    pub fn scalar(dtype: DType) -> Ty {
        Ty { dtype, shape: Shape::scalar() }
    }

    pub fn real(shape: Shape) -> Ty {
        Ty { dtype: DType::Real, shape }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DType::Bool => "bool",
            DType::Int => "int",
            DType::Real => "real",
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[")?;
        for (k, d) in self.0.iter().enumerate() {
            if k > 0 {
                write!(f, ", ")?;
            }
            write!(f, "{d}")?;
        }
        write!(f, "]")
    }
}

impl fmt::Display for Ty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.shape.is_scalar() { write!(f, "{}", self.dtype) } else { write!(f, "{}{}", self.dtype, self.shape) }
    }
}
