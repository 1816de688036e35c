//! Constants of the file: decoding of `TensorProto`, and the views of constants.

use super::ImportError;
use super::proto;
use crate::import::error::short;
use crate::tensor::{DType, MAX_ELEMENTS, MAX_RANK};
use std::rc::Rc;

/// A constant tensor. Clones share the values.
#[derive(Debug, Clone, PartialEq)]
pub struct Const {
    /// Dimensions; a scalar has none, and a dimension may be zero.
    pub dims: Vec<usize>,
    /// Values, row-major.
    pub data: Data,
}

/// The values of a constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// float32.
    F32(Rc<Vec<f32>>),
    /// int64; bool and the results of shape arithmetic too.
    I64(Rc<Vec<i64>>),
    /// int32.
    I32(Rc<Vec<i32>>),
    /// int8 or uint8.
    Q8(DType, Rc<Vec<i32>>),
}

impl Const {
    /// A list of int64.
    pub fn list(values: Vec<i64>) -> Self {
        Self {
            dims: vec![values.len()],
            data: Data::I64(Rc::new(values)),
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        match &self.data {
            Data::F32(v) => v.len(),
            Data::I64(v) => v.len(),
            Data::I32(v) | Data::Q8(_, v) => v.len(),
        }
    }

    /// The values as int64, when they are integers.
    pub fn ints(&self) -> Option<Vec<i64>> {
        match &self.data {
            Data::F32(_) => None,
            Data::I64(v) => Some(v.to_vec()),
            Data::I32(v) | Data::Q8(_, v) => Some(v.iter().map(|x| i64::from(*x)).collect()),
        }
    }

    /// The values as float32, when they are.
    pub fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(v) => Some(v),
            _ => None,
        }
    }

    /// The same values in another shape of as many elements.
    pub fn with_dims(&self, dims: Vec<usize>) -> Self {
        Self {
            dims,
            data: self.data.clone(),
        }
    }

    /// The values at `index`, with shape `dims`; `None` when an index is outside.
    pub fn pick(&self, dims: Vec<usize>, index: &[usize]) -> Option<Self> {
        let data = match &self.data {
            Data::F32(v) => Data::F32(Rc::new(gather(v, index)?)),
            Data::I64(v) => Data::I64(Rc::new(gather(v, index)?)),
            Data::I32(v) => Data::I32(Rc::new(gather(v, index)?)),
            Data::Q8(t, v) => Data::Q8(*t, Rc::new(gather(v, index)?)),
        };
        Some(Self { dims, data })
    }

    /// The constant with its axes permuted; `perm` is a permutation of the axes.
    pub fn transpose(&self, perm: &[usize]) -> Option<Self> {
        let (dims, index) = transposed(&self.dims, perm)?;
        self.pick(dims, &index)
    }
}

fn gather<T: Copy>(values: &[T], index: &[usize]) -> Option<Vec<T>> {
    index.iter().map(|i| values.get(*i).copied()).collect()
}

/// Shape after a transposition, and for each flat position of the result its flat position in the source.
pub fn transposed(dims: &[usize], perm: &[usize]) -> Option<(Vec<usize>, Vec<usize>)> {
    let mut strides = vec![1usize; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis].checked_mul(dims[axis])?;
    }
    let out_dims: Vec<usize> = perm
        .iter()
        .map(|p| dims.get(*p).copied())
        .collect::<Option<_>>()?;
    let out_strides: Vec<usize> = perm
        .iter()
        .map(|p| strides.get(*p).copied())
        .collect::<Option<_>>()?;
    let count = out_dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d))?;
    let mut index = Vec::with_capacity(count.min(MAX_ELEMENTS));
    let mut position = vec![0usize; out_dims.len()];
    for _ in 0..count {
        index.push(position.iter().zip(&out_strides).map(|(p, s)| p * s).sum());
        for axis in (0..position.len()).rev() {
            position[axis] += 1;
            if position[axis] < out_dims[axis] {
                break;
            }
            position[axis] = 0;
        }
    }
    Some((out_dims, index))
}

/// Whether products over any of these dimensions stay within [`MAX_ELEMENTS`]; zeros count as ones.
pub fn is_bounded(dims: &[usize]) -> bool {
    let product = dims.iter().try_fold(1usize, |n, d| n.checked_mul((*d).max(1)));
    product.is_some_and(|n| n <= MAX_ELEMENTS)
}

/// Decodes a `TensorProto`; `fallback` names it in errors when it has no name of its own.
///
/// # Errors
/// [`ImportError::ExternalData`], [`ImportError::ElementType`], [`ImportError::TensorData`].
pub fn decode(tensor: &proto::Tensor, fallback: &str) -> Result<Const, ImportError> {
    let name = if tensor.name.is_empty() {
        fallback
    } else {
        &tensor.name
    };
    let bad = |what| ImportError::TensorData {
        tensor: short(name),
        what,
    };
    if tensor.data_location != 0 || !tensor.external_data.is_empty() {
        return Err(ImportError::ExternalData { tensor: short(name) });
    }
    if tensor.dims.len() > MAX_RANK {
        return Err(bad("has more than 6 dimensions"));
    }
    let dims: Vec<usize> = tensor
        .dims
        .iter()
        .map(|d| usize::try_from(*d).map_err(|_| bad("has a negative dimension")))
        .collect::<Result<_, _>>()?;
    if !is_bounded(&dims) {
        return Err(bad("has too many elements"));
    }
    let count = dims.iter().product();
    let data = match tensor.data_type {
        1 => Data::F32(Rc::new(
            read(tensor, &tensor.float_data, count, f32::from_le_bytes).map_err(bad)?,
        )),
        6 => Data::I32(Rc::new(
            read(tensor, &tensor.int32_data, count, i32::from_le_bytes).map_err(bad)?,
        )),
        7 => Data::I64(Rc::new(
            read(tensor, &tensor.int64_data, count, i64::from_le_bytes).map_err(bad)?,
        )),
        2 => Data::Q8(
            DType::U8,
            Rc::new(read_bytes(tensor, count, |[b]| i32::from(b)).map_err(bad)?),
        ),
        3 => Data::Q8(
            DType::I8,
            Rc::new(read_bytes(tensor, count, |b| i32::from(i8::from_le_bytes(b))).map_err(bad)?),
        ),
        9 => {
            let flags = read_bytes(tensor, count, |[b]| i32::from(b != 0)).map_err(bad)?;
            Data::I64(Rc::new(flags.into_iter().map(|b| i64::from(b != 0)).collect()))
        }
        code => {
            return Err(ImportError::ElementType {
                tensor: short(name),
                code,
            });
        }
    };
    if let Data::Q8(dtype, values) = &data
        && values.iter().any(|v| *v < dtype.min() || *v > dtype.max())
    {
        return Err(bad("holds a value that its element type cannot"));
    }
    Ok(Const { dims, data })
}

/// The values of the list `typed`, or of the raw bytes when the list is empty.
fn read<T: Copy, const N: usize>(
    tensor: &proto::Tensor,
    typed: &[T],
    count: usize,
    convert: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, &'static str> {
    if tensor.raw_data.is_empty() {
        if typed.len() != count {
            return Err("holds another number of values than its dimensions say");
        }
        return Ok(typed.to_vec());
    }
    if !typed.is_empty() {
        return Err("holds its values twice");
    }
    if Some(tensor.raw_data.len()) != count.checked_mul(N) {
        return Err("holds another number of bytes than its dimensions say");
    }
    let (chunks, _) = tensor.raw_data.as_chunks::<N>();
    Ok(chunks.iter().map(|c| convert(*c)).collect())
}

/// As [`read`], for one-byte types, whose list is `int32_data`.
fn read_bytes(
    tensor: &proto::Tensor,
    count: usize,
    convert: impl Fn([u8; 1]) -> i32,
) -> Result<Vec<i32>, &'static str> {
    read(tensor, &tensor.int32_data, count, convert)
}
