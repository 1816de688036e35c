//! Product with a constant matrix along the last dimension:
//! `acc[r,o] = sum_i w[i,o] (x[r,i] - z_x)`, `y = requantize_o(acc)`.

use crate::quant::Requantize;
use serde::{Deserialize, Serialize};

/// Fully connected layer over each of `rows` vectors of length `k`: input `[.., k]`, output `[.., n]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dense {
    /// Number of vectors (product of the leading dimensions).
    pub rows: usize,
    /// Input length.
    pub k: usize,
    /// Output length.
    pub n: usize,
    /// Weights minus their zero point, `[k][n]`.
    pub weights: Vec<i32>,
    /// Zero point of the input.
    pub z_x: i32,
    /// Requantization per output column; the bias is inside `Affine::b`.
    pub requantize: Requantize,
}
