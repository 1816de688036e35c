//! The same values in another order or shape: reshape, flatten, squeeze, unsqueeze, transpose, identity.
//! `y.flat[i] = x.flat[source[i]]`.

use super::{OpError, check_length, checked_len};
use crate::graph::TensorInfo;
use crate::tensor::MAX_RANK;
use serde::{Deserialize, Serialize};

/// `y.flat[i] = x.flat[source[i]]`; `source` is a permutation, `None` for the identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// Flat index in the input of each flat position of the output.
    pub source: Option<Vec<u32>>,
}

impl View {
    /// The values in their own order: reshape, flatten, squeeze, unsqueeze.
    #[must_use]
    pub fn identity() -> Self {
        Self { source: None }
    }

    /// Transpose of a tensor of shape `dims`: output axis `i` is input axis `perm[i]`.
    /// A transpose that moves no value is the identity.
    ///
    /// # Errors
    /// [`OpError::Permutation`], [`OpError::Size`].
    pub fn transpose(dims: &[usize], perm: &[usize]) -> Result<Self, OpError> {
        let rank = dims.len();
        let mut sorted = perm.to_vec();
        sorted.sort_unstable();
        if rank > MAX_RANK || !sorted.into_iter().eq(0..rank) {
            return Err(OpError::Permutation {
                what: "perm",
                len: rank,
            });
        }
        let len = checked_len("transpose", dims)?;
        let mut strides = vec![1usize; rank];
        for axis in (1..rank).rev() {
            strides[axis - 1] = strides[axis] * dims[axis];
        }
        let mut source = vec![0usize];
        for &axis in perm {
            let steps = || (0..dims[axis]).map(|i| i * strides[axis]);
            source = source
                .iter()
                .flat_map(|&base| steps().map(move |step| base + step))
                .collect();
        }
        if source.iter().copied().eq(0..len) {
            return Ok(Self::identity());
        }
        let flat = source.into_iter().map(u32::try_from).collect::<Result<_, _>>();
        let flat = flat.map_err(|_| OpError::Size {
            what: "transpose",
            sizes: dims.to_vec(),
        })?;
        Ok(Self { source: Some(flat) })
    }

    /// Checks that `source` is a permutation and that the tensors agree.
    ///
    /// # Errors
    /// [`OpError::Permutation`], [`OpError::Shape`], [`OpError::Mismatch`].
    pub fn validate(&self, x: &TensorInfo, y: &TensorInfo) -> Result<(), OpError> {
        let len = x.shape.len();
        if y.shape.len() != len {
            let (tensor, actual) = (y.name.clone(), y.shape.dims().to_vec());
            return Err(OpError::Shape {
                what: "view output",
                tensor,
                actual,
                expected: format!("{len} values"),
            });
        }
        if let Some(source) = &self.source {
            check_length("view source", len, source.len())?;
            let mut seen = vec![false; len];
            for &from in source {
                match usize::try_from(from).ok().and_then(|from| seen.get_mut(from)) {
                    Some(seen) if !*seen => *seen = true,
                    _ => return Err(OpError::Permutation { what: "source", len }),
                }
            }
        }
        check_same_quant("view output", x, y)
    }

    /// The operator's meaning on integers.
    ///
    /// # Errors
    /// [`OpError::Length`], [`OpError::Permutation`].
    pub fn reference(&self, x: &[i32]) -> Result<Vec<i32>, OpError> {
        let Some(source) = &self.source else {
            return Ok(x.to_vec());
        };
        check_length("view input", source.len(), x.len())?;
        let value = |&from: &u32| usize::try_from(from).ok().and_then(|from| x.get(from)).copied();
        let values: Option<Vec<i32>> = source.iter().map(value).collect();
        values.ok_or(OpError::Permutation {
            what: "source",
            len: x.len(),
        })
    }
}

/// Checks that two tensors have the same type, scale and zero point.
pub(super) fn check_same_quant(what: &'static str, x: &TensorInfo, y: &TensorInfo) -> Result<(), OpError> {
    if x.dtype == y.dtype && x.scale.to_bits() == y.scale.to_bits() && x.zero_point == y.zero_point {
        return Ok(());
    }
    Err(OpError::Mismatch {
        what,
        tensor: y.name.clone(),
    })
}
