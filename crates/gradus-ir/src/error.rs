//! Why an op could not be added: facts for the caller to phrase, not prose.

use crate::dim::Dim;
use crate::ty::{DType, Ty};

pub type IrResult<T> = Result<T, IrError>;

#[derive(Clone, Debug, PartialEq)]
pub enum IrError {
    /// Elementwise operands whose axis `axis` (of the result) disagrees.
    Broadcast { op: &'static str, left: Ty, right: Ty, axis: usize, left_dim: Dim, right_dim: Dim },
    /// `left @ right`: the contracted lengths differ.
    Contract { left: Ty, right: Ty, left_dim: Dim, right_dim: Dim },
    /// An operand has a rank or shape that the op cannot take.
    Operand { op: &'static str, index: usize, found: Ty, expected: String },
    /// An operand has the wrong element type.
    Element { op: &'static str, index: usize, found: DType, expected: &'static str },
    /// An axis the operand does not have.
    Axis { op: &'static str, axis: i64, found: Ty },
    /// The element counts of a reshape differ.
    Reshape { from: Ty, to: Vec<Dim> },
    /// A static slice or index that leaves the axis.
    Range { op: &'static str, found: Ty, axis: usize, from: Dim, to: Dim },
    /// Two shapes that must be equal are not.
    Mismatch { op: &'static str, what: String, left: Ty, right: Ty },
    /// A mistake of the compiler itself.
    Internal(String),
}

impl std::fmt::Display for IrError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            IrError::Broadcast { op, left, right, axis, left_dim, right_dim } => {
                write!(f, "{op}: `{left}` and `{right}` do not broadcast (axis {axis}: `{left_dim}` against `{right_dim}`)")
            }
            IrError::Contract { left, right, left_dim, right_dim } => {
                write!(f, "matrix product of `{left}` and `{right}`: inner lengths `{left_dim}` and `{right_dim}` differ")
            }
            IrError::Operand { op, index, found, expected } => {
                write!(f, "{op}: operand {index} is `{found}`, expected {expected}")
            }
            IrError::Element { op, index, found, expected } => {
                write!(f, "{op}: operand {index} is {found}, expected {expected}")
            }
            IrError::Axis { op, axis, found } => write!(f, "{op}: `{found}` has no axis {axis}"),
            IrError::Reshape { from, to } => {
                let dims: Vec<String> = to.iter().map(|d| d.to_string()).collect();
                write!(f, "reshape: `{from}` does not have the elements of [{}]", dims.join(", "))
            }
            IrError::Range { op, found, axis, from, to } => {
                write!(f, "{op}: {from}..{to} leaves axis {axis} of `{found}`")
            }
            IrError::Mismatch { op, what, left, right } => write!(f, "{op}: {what}: `{left}` against `{right}`"),
            IrError::Internal(m) => write!(f, "internal: {m}"),
        }
    }
}

impl std::error::Error for IrError {}
