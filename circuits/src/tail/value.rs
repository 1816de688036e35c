//! Values at the edge of the graph, and what can be wrong with them.

use crate::quant::QuantError;
use crate::tensor::{DType, Shape, Tensor, TensorError};
use serde::{Deserialize, Serialize};

/// What can be wrong with an operator in the clear or with its values.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TailError {
    /// Scale or zero point.
    #[error(transparent)]
    Quant(#[from] QuantError),
    /// Shape or data.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A value that cannot be quantized.
    #[error("the value at flat index {index} is not a number; it cannot be quantized")]
    NotANumber {
        /// Position in the flat data.
        index: usize,
    },
    /// An axis past the rank.
    #[error("{op}: axis {axis} of a tensor of rank {rank}")]
    Axis {
        /// The operator.
        op: &'static str,
        /// The axis.
        axis: usize,
        /// The rank.
        rank: usize,
    },
    /// An operator on values of the wrong kind.
    #[error("{op} does not apply to {found} values")]
    Kind {
        /// The operator.
        op: &'static str,
        /// Kind of the values.
        found: &'static str,
    },
    /// A reshape that changes the number of values.
    #[error("reshape from {from} to {to} changes the number of values")]
    Reshape {
        /// Shape before.
        from: Shape,
        /// Shape after.
        to: Shape,
    },
}

/// Kind of the values at one place of a tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValueKind {
    /// Quantized integers of this type.
    Quantized(DType),
    /// f32.
    Float,
    /// i64 indices.
    Index,
}

impl ValueKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Quantized(_) => "quantized",
            Self::Float => "float",
            Self::Index => "index",
        }
    }
}

/// A value at the edge of the graph, row-major.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Quantized integers.
    Quantized(Tensor),
    /// f32 values.
    Float {
        /// Dimensions.
        shape: Shape,
        /// Values, as many as the shape says.
        data: Vec<f32>,
    },
    /// i64 indices.
    Index {
        /// Dimensions.
        shape: Shape,
        /// Values, as many as the shape says.
        data: Vec<i64>,
    },
}

impl Value {
    /// Dimensions.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        match self {
            Self::Quantized(tensor) => tensor.shape(),
            Self::Float { shape, .. } | Self::Index { shape, .. } => shape,
        }
    }

    /// Kind of the values.
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::Quantized(tensor) => ValueKind::Quantized(tensor.dtype()),
            Self::Float { .. } => ValueKind::Float,
            Self::Index { .. } => ValueKind::Index,
        }
    }
}
