//! Product with a constant matrix along the last dimension:
//! `acc[r,o] = sum_i w[i,o] (x[r,i] - z_x)`, `y = requantize_o(acc)`.
//!
//! Units and bounds as in the convolution: acc in steps of S_x S_w, the range per column from the real weights.

use super::{OpError, centered, check_bounds, check_input, check_length, check_weights, checked_len};
use crate::graph::TensorInfo;
use crate::quant::{OutputQuant, Requantize, TensorQuant, requantize};
use crate::tensor::DType;
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

impl Dense {
    /// Checks everything and fits the integers. `weights` is `[k][n]`; `bias` is in steps of S_x S_w, empty for none.
    ///
    /// # Errors
    /// [`OpError::Size`], [`OpError::Length`], [`OpError::Weight`], [`OpError::Quant`].
    pub fn new(
        rows: usize,
        k: usize,
        n: usize,
        weights: Vec<i32>,
        x: &TensorQuant,
        bias: &[i64],
        y: &OutputQuant,
    ) -> Result<Self, OpError> {
        x.validate("the dense layer's input")?;
        let unfitted = Requantize {
            channels: Vec::new(),
            lo: y.lo,
            hi: y.hi,
        };
        let mut dense = Self {
            rows,
            k,
            n,
            weights,
            z_x: x.zero_point,
            requantize: unfitted,
        };
        dense.check_sizes()?;
        dense.requantize = requantize(y, &dense.bounds(x.dtype), bias)?;
        Ok(dense)
    }

    fn check_sizes(&self) -> Result<(), OpError> {
        checked_len("dense input", &[self.rows, self.k])?;
        checked_len("dense output", &[self.rows, self.n])?;
        let expected = checked_len("dense weights", &[self.k, self.n])?;
        check_length("dense weights", expected, self.weights.len())?;
        check_weights("dense", &self.weights)
    }

    /// Smallest and largest accumulator (bias not included) per column, from the real weights.
    #[must_use]
    pub fn bounds(&self, input: DType) -> Vec<(i64, i64)> {
        let x = centered(input, self.z_x);
        (0..self.n)
            .map(|o| super::reachable(self.weights.iter().skip(o).step_by(self.n), x))
            .collect()
    }

    /// Checks fields and tensors.
    ///
    /// # Errors
    /// What [`Dense::new`] returns, [`OpError::Shape`], [`OpError::Mismatch`], [`OpError::Bounds`].
    pub fn validate(&self, x: &TensorInfo, y: &TensorInfo) -> Result<(), OpError> {
        self.check_sizes()?;
        check_vectors("dense input", x, self.rows, self.k)?;
        check_vectors("dense output", y, self.rows, self.n)?;
        check_input("dense input", x, self.z_x)?;
        self.requantize.validate(self.n, y.dtype)?;
        check_bounds("dense", &self.requantize, &self.bounds(x.dtype))
    }

    /// Multiplications by a weight.
    #[must_use]
    pub fn macs(&self) -> u64 {
        u64::try_from(self.weights.len().saturating_mul(self.rows)).unwrap_or(u64::MAX)
    }

    /// The accumulators, bias not included, `[rows][n]`.
    ///
    /// # Errors
    /// [`OpError::Length`].
    pub fn accumulators(&self, x: &[i32]) -> Result<Vec<i64>, OpError> {
        check_length("dense input", self.rows * self.k, x.len())?;
        let mut acc = vec![0i64; self.rows * self.n];
        for (acc, x) in acc.chunks_exact_mut(self.n).zip(x.chunks_exact(self.k)) {
            for (x, weights) in x.iter().zip(self.weights.chunks_exact(self.n)) {
                let x = x - self.z_x;
                for (acc, w) in acc.iter_mut().zip(weights) {
                    *acc += i64::from(w * x);
                }
            }
        }
        Ok(acc)
    }

    /// The operator's meaning on integers.
    ///
    /// # Errors
    /// [`OpError::Length`].
    pub fn reference(&self, x: &[i32]) -> Result<Vec<i32>, OpError> {
        let acc = self.accumulators(x)?;
        Ok(acc
            .iter()
            .enumerate()
            .map(|(i, &a)| self.requantize.apply(i % self.n, a))
            .collect())
    }
}

/// Checks that a tensor is `[.., last]` with `rows` vectors.
fn check_vectors(what: &'static str, tensor: &TensorInfo, rows: usize, last: usize) -> Result<(), OpError> {
    let dims = tensor.shape.dims();
    if dims.last() == Some(&last) && tensor.shape.len() == rows * last {
        return Ok(());
    }
    let expected = format!("{rows} vectors of length {last} along the last dimension");
    Err(OpError::Shape {
        what,
        tensor: tensor.name.clone(),
        actual: dims.to_vec(),
        expected,
    })
}
