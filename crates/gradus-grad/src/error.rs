//! Why a derivative could not be built.

use gradus_ir::{DType, Graph, IrError, Origin, Ty};

pub(crate) type GradResult<T> = Result<T, GradError>;

#[derive(Clone, Debug, PartialEq)]
pub enum GradError {
    /// The derivative runs through something that has none in this release.
    NotDifferentiable { what: String, origin: Origin },
    /// A gradient was asked of something that is not a real scalar.
    NotScalar { ty: Ty, origin: Origin },
    /// A derivative by an int or bool parameter was asked for.
    NotReal { ty: Ty, origin: Origin },
    /// A rule built an ill-shaped graph: a mistake of the compiler.
    Ir(IrError),
}

impl From<IrError> for GradError {
    fn from(e: IrError) -> GradError {
        GradError::Ir(e)
    }
}

impl std::fmt::Display for GradError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GradError::NotDifferentiable { what, .. } => write!(f, "{what} has no derivative"),
            GradError::NotScalar { ty, .. } => write!(f, "a gradient needs a real scalar, found `{ty}`"),
            GradError::NotReal { ty, .. } => write!(f, "no derivative by a value of type `{ty}`"),
            GradError::Ir(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for GradError {}

pub(crate) fn internal(what: impl Into<String>) -> GradError {
    GradError::Ir(IrError::Internal(what.into()))
}

pub(crate) fn check_wrt(region: &Graph, wrt: &[bool]) -> GradResult<()> {
    if wrt.len() != region.params().len() {
        return Err(internal(format!("derivative: {} flags for {} parameters", wrt.len(), region.params().len())));
    }
    for (p, w) in region.params().iter().zip(wrt) {
        if *w && region.dtype(*p) != DType::Real {
            return Err(GradError::NotReal { ty: region.ty(*p).clone(), origin: region.node(*p).origin });
        }
    }
    Ok(())
}
