//! Shapes and integer tensors.

use serde::{Deserialize, Serialize};

/// Largest rank that a tensor may have.
pub const MAX_RANK: usize = 6;
/// Largest number of elements that a tensor may have.
pub const MAX_ELEMENTS: usize = 1 << 26;

/// What can be wrong with a shape or with the data for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// More dimensions than [`MAX_RANK`].
    #[error("a tensor of rank {rank} is not supported; the largest rank is {MAX_RANK}")]
    Rank {
        /// Number of dimensions.
        rank: usize,
    },
    /// A dimension is zero, or the element count passes [`MAX_ELEMENTS`].
    #[error("shape {dims:?} is empty or has more than {MAX_ELEMENTS} elements")]
    Elements {
        /// The dimensions.
        dims: Vec<usize>,
    },
    /// Data of another length than the shape says.
    #[error("shape {dims:?} needs {expected} values, {actual} were given")]
    Length {
        /// The dimensions.
        dims: Vec<usize>,
        /// Product of the dimensions.
        expected: usize,
        /// Length of the data.
        actual: usize,
    },
    /// A value does not fit the data type.
    #[error("value {value} at flat index {index} does not fit {dtype}")]
    Range {
        /// Position in the flat data.
        index: usize,
        /// The value.
        value: i32,
        /// The type.
        dtype: DType,
    },
}

/// Element type of a quantized tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DType {
    /// Unsigned, 0..=255.
    U8,
    /// Signed, -128..=127.
    I8,
}

impl DType {
    /// Smallest value.
    #[must_use]
    pub const fn min(self) -> i32 {
        match self {
            Self::U8 => 0,
            Self::I8 => -128,
        }
    }

    /// Largest value.
    #[must_use]
    pub const fn max(self) -> i32 {
        self.min() + 255
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::U8 => "uint8",
            Self::I8 => "int8",
        })
    }
}

/// Dimensions of a tensor, row-major, outermost first; the batch dimension is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<usize>")]
pub struct Shape(Vec<usize>);

impl Shape {
    /// Checks rank and element count.
    ///
    /// # Errors
    /// [`TensorError::Rank`] and [`TensorError::Elements`].
    pub fn new(dims: Vec<usize>) -> Result<Self, TensorError> {
        if dims.len() > MAX_RANK {
            return Err(TensorError::Rank { rank: dims.len() });
        }
        let count = dims.iter().try_fold(1usize, |n, &d| n.checked_mul(d));
        match count {
            Some(n) if n > 0 && n <= MAX_ELEMENTS => Ok(Self(dims)),
            _ => Err(TensorError::Elements { dims }),
        }
    }

    /// The dimensions.
    #[must_use]
    pub fn dims(&self) -> &[usize] {
        &self.0
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().product()
    }

    /// Never true: a shape has at least one element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl TryFrom<Vec<usize>> for Shape {
    type Error = TensorError;

    fn try_from(dims: Vec<usize>) -> Result<Self, TensorError> {
        Self::new(dims)
    }
}

/// A tensor as it is decoded, before its length and range are checked.
#[derive(Deserialize)]
struct Decoded {
    shape: Shape,
    dtype: DType,
    data: Vec<i32>,
}

impl TryFrom<Decoded> for Tensor {
    type Error = TensorError;

    fn try_from(tensor: Decoded) -> Result<Self, TensorError> {
        Self::new(tensor.shape, tensor.dtype, tensor.data)
    }
}

/// A quantized tensor: integers in the range of `dtype`, row-major.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Decoded")]
pub struct Tensor {
    shape: Shape,
    dtype: DType,
    data: Vec<i32>,
}

impl Tensor {
    /// Checks length and range.
    ///
    /// # Errors
    /// [`TensorError::Length`] and [`TensorError::Range`].
    pub fn new(shape: Shape, dtype: DType, data: Vec<i32>) -> Result<Self, TensorError> {
        if data.len() != shape.len() {
            return Err(TensorError::Length {
                expected: shape.len(),
                actual: data.len(),
                dims: shape.0,
            });
        }
        let bad = data.iter().position(|v| *v < dtype.min() || *v > dtype.max());
        if let Some(index) = bad {
            return Err(TensorError::Range {
                index,
                value: data[index],
                dtype,
            });
        }
        Ok(Self { shape, dtype, data })
    }

    /// The shape.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The values, row-major.
    #[must_use]
    pub fn data(&self) -> &[i32] {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_checks_what_constructors_check() {
        let shape = |text: &str| serde_json::from_str::<Shape>(text);
        assert_eq!(shape("[2,3]").unwrap().dims(), [2, 3]);
        for text in ["[0]", "[1,1,1,1,1,1,1]", "[67108865]", "[4294967296,4294967296]"] {
            assert!(shape(text).is_err(), "{text}");
        }
        let tensor = Tensor::new(Shape::new(vec![2]).unwrap(), DType::I8, vec![-128, 127]).unwrap();
        let text = serde_json::to_string(&tensor).unwrap();
        assert_eq!(serde_json::from_str::<Tensor>(&text).unwrap(), tensor);
        for wrong in [
            text.replace("127", "128"),
            text.replace("[2]", "[3]"),
            text.replace("I8", "U8"),
        ] {
            assert!(serde_json::from_str::<Tensor>(&wrong).is_err(), "{wrong}");
        }
    }
}
