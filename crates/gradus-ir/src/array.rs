//! Concrete values: a dense row-major array.

use crate::ty::{DType, Shape, Ty};
use std::sync::Arc;

/// Row-major data with its shape; integers and booleans are stored as floats. Cloning shares the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub data: Arc<Vec<f64>>,
}

impl Array {
    /// `None` where the number of elements does not fit the shape.
    pub fn new(dtype: DType, shape: Vec<usize>, data: Vec<f64>) -> Option<Array> {
        (shape.iter().product::<usize>() == data.len()).then(|| Array { dtype, shape, data: Arc::new(data) })
    }

    pub fn scalar(value: f64) -> Array {
        Array { dtype: DType::Real, shape: Vec::new(), data: Arc::new(vec![value]) }
    }

    pub fn vector(data: Vec<f64>) -> Array {
        Array { dtype: DType::Real, shape: vec![data.len()], data: Arc::new(data) }
    }

    pub fn ty(&self) -> Ty {
        Ty::new(self.dtype, Shape::of(&self.shape))
    }

    pub fn len(&self) -> usize {
        self.data.len()
    }

    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The value of a one-element array.
    pub fn as_scalar(&self) -> Option<f64> {
        match self.data.as_slice() {
            [x] => Some(*x),
            _ => None,
        }
    }
}
