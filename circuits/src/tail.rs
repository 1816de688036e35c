//! The edges in the clear: quantize a caller's floats, and turn proved integers into the graph's outputs.

use crate::tensor::Shape;
use serde::{Deserialize, Serialize};

/// One operator that the verifier recomputes on public values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum TailOp {
    /// `(q - zero_point) * scale` in f32.
    Dequantize {
        /// Scale.
        scale: f32,
        /// Zero point.
        zero_point: i32,
    },
    /// `clamp(rne(x / scale) + zero_point)`.
    Quantize {
        /// Scale.
        scale: f32,
        /// Zero point.
        zero_point: i32,
        /// Result type.
        dtype: crate::tensor::DType,
    },
    /// Softmax in f32 along `axis`.
    Softmax {
        /// Axis, not negative.
        axis: usize,
    },
    /// Index of the first maximum along `axis`.
    ArgMax {
        /// Axis, not negative.
        axis: usize,
        /// Keeps the axis with length 1.
        keep_dims: bool,
        /// The last of equal maxima wins instead of the first.
        select_last: bool,
    },
    /// The same values in another shape.
    Reshape {
        /// The new shape.
        shape: Shape,
    },
}
