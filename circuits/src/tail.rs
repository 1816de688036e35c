//! The edges in the clear: quantize a caller's floats, and turn proved integers into the graph's outputs.
//!
//! Everything here is a plain function of public values that prover and verifier compute alike: single IEEE
//! operations, round half to even, and an exponential of our own, so that every machine gets the same bits.

use crate::quant::{QuantError, TensorQuant, check_scale, f32_of, round_clamp_f32};
use crate::tensor::{DType, Shape, Tensor, TensorError};
use serde::{Deserialize, Serialize};

mod exp;
mod softmax;

pub use exp::exp;
pub use softmax::{qlinear_softmax, softmax};

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
    /// Softmax in f32 along `axis`. Directly between a `Dequantize` and a `Quantize` of one type, the three are
    /// [`qlinear_softmax`], as in the runtime.
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

impl TailOp {
    /// Name of the operator.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dequantize { .. } => "dequantize",
            Self::Quantize { .. } => "quantize",
            Self::Softmax { .. } => "softmax",
            Self::ArgMax { .. } => "argmax",
            Self::Reshape { .. } => "reshape",
        }
    }
}

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
    fn name(self) -> &'static str {
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

/// Quantizes floats: `clamp(rne(x / scale) + zero_point)` with a true division; infinities saturate.
///
/// # Errors
/// [`TailError::NotANumber`], [`TailError::Quant`], [`TailError::Tensor`] for data of another length.
pub fn quantize(x: &[f32], shape: &Shape, quant: &TensorQuant) -> Result<Tensor, TailError> {
    quant.validate("the quantized tensor")?;
    if let Some(index) = x.iter().position(|v| v.is_nan()) {
        return Err(TailError::NotANumber { index });
    }
    let (lo, hi) = (quant.dtype.min(), quant.dtype.max());
    let data = x
        .iter()
        .map(|x| round_clamp_f32(x / quant.scale, quant.zero_point, lo, hi))
        .collect();
    Ok(Tensor::new(shape.clone(), quant.dtype, data)?)
}

/// Dequantizes: `f32(q - zero_point) * scale`.
///
/// # Errors
/// [`TailError::Quant`].
pub fn dequantize(q: &Tensor, scale: f32, zero_point: i32) -> Result<Vec<f32>, TailError> {
    TensorQuant {
        scale,
        zero_point,
        dtype: q.dtype(),
    }
    .validate("the dequantized tensor")?;
    Ok(q.data()
        .iter()
        .map(|q| f32_of(i64::from(q - zero_point)) * scale)
        .collect())
}

/// Applies `ops` to the proved integers `q`.
///
/// # Errors
/// [`TailError`], where an operator does not fit its values.
pub fn apply(q: &Tensor, ops: &[TailOp]) -> Result<Value, TailError> {
    let mut value = Value::Quantized(q.clone());
    let mut rest = ops;
    while let Some((op, after)) = rest.split_first() {
        rest = after;
        if let Some((fused, after)) = fuse_softmax(&value, op, after)? {
            value = fused;
            rest = after;
        } else {
            value = apply_one(value, op)?;
        }
    }
    Ok(value)
}

/// Shape and kind after `ops` on quantized values, without computing anything.
///
/// # Errors
/// What [`apply`] would return for the same shapes, NaN aside.
pub fn validate(shape: &Shape, dtype: DType, ops: &[TailOp]) -> Result<(Shape, ValueKind), TailError> {
    ops.iter().try_fold(
        (shape.clone(), ValueKind::Quantized(dtype)),
        |(shape, kind), op| after(&shape, kind, op),
    )
}

/// Shape and kind after one operator.
fn after(shape: &Shape, kind: ValueKind, op: &TailOp) -> Result<(Shape, ValueKind), TailError> {
    let rank = shape.dims().len();
    match (op, kind) {
        (TailOp::Dequantize { scale, zero_point }, ValueKind::Quantized(dtype)) => {
            TensorQuant {
                scale: *scale,
                zero_point: *zero_point,
                dtype,
            }
            .validate("the dequantized tensor")?;
            Ok((shape.clone(), ValueKind::Float))
        }
        (
            TailOp::Quantize {
                scale,
                zero_point,
                dtype,
            },
            ValueKind::Float,
        ) => {
            let quant = TensorQuant {
                scale: *scale,
                zero_point: *zero_point,
                dtype: *dtype,
            };
            quant.validate("the quantized tensor")?;
            Ok((shape.clone(), ValueKind::Quantized(*dtype)))
        }
        (TailOp::Softmax { axis }, ValueKind::Float) => {
            check_axis(op, *axis, rank)?;
            Ok((shape.clone(), kind))
        }
        (TailOp::ArgMax { axis, keep_dims, .. }, ValueKind::Float | ValueKind::Quantized(_)) => {
            check_axis(op, *axis, rank)?;
            let mut dims = shape.dims().to_vec();
            dims[*axis] = 1;
            if !keep_dims {
                dims.remove(*axis);
            }
            Ok((Shape::new(dims)?, ValueKind::Index))
        }
        (TailOp::Reshape { shape: to }, _) if to.len() == shape.len() => Ok((to.clone(), kind)),
        (TailOp::Reshape { shape: to }, _) => Err(TailError::Reshape {
            from: shape.clone(),
            to: to.clone(),
        }),
        _ => Err(TailError::Kind {
            op: op.kind(),
            found: kind.name(),
        }),
    }
}

fn check_axis(op: &TailOp, axis: usize, rank: usize) -> Result<(), TailError> {
    if axis < rank {
        return Ok(());
    }
    Err(TailError::Axis {
        op: op.kind(),
        axis,
        rank,
    })
}

fn apply_one(value: Value, op: &TailOp) -> Result<Value, TailError> {
    let (shape, _) = after(value.shape(), value.kind(), op)?;
    match (op, value) {
        (TailOp::Dequantize { scale, zero_point }, Value::Quantized(q)) => Ok(Value::Float {
            data: dequantize(&q, *scale, *zero_point)?,
            shape,
        }),
        (
            TailOp::Quantize {
                scale,
                zero_point,
                dtype,
            },
            Value::Float { data, .. },
        ) => {
            let quant = TensorQuant {
                scale: *scale,
                zero_point: *zero_point,
                dtype: *dtype,
            };
            Ok(Value::Quantized(quantize(&data, &shape, &quant)?))
        }
        (TailOp::Softmax { axis }, Value::Float { data, .. }) => {
            let mut out = vec![0f32; data.len()];
            for line in lines(&shape, *axis) {
                let x: Vec<f32> = line.clone().map(|at| data[at]).collect();
                line.zip(softmax(&x)).for_each(|(at, y)| out[at] = y);
            }
            Ok(Value::Float { shape, data: out })
        }
        (
            TailOp::ArgMax {
                axis, select_last, ..
            },
            Value::Quantized(q),
        ) => {
            let indices = arg_max(q.data(), q.shape(), *axis, *select_last);
            Ok(Value::Index { shape, data: indices })
        }
        (
            TailOp::ArgMax {
                axis, select_last, ..
            },
            Value::Float { shape: from, data },
        ) => Ok(Value::Index {
            shape,
            data: arg_max(&data, &from, *axis, *select_last),
        }),
        (TailOp::Reshape { .. }, Value::Quantized(q)) => Ok(Value::Quantized(Tensor::new(
            shape,
            q.dtype(),
            q.data().to_vec(),
        )?)),
        (TailOp::Reshape { .. }, Value::Float { data, .. }) => Ok(Value::Float { shape, data }),
        (TailOp::Reshape { .. }, Value::Index { data, .. }) => Ok(Value::Index { shape, data }),
        (op, value) => Err(TailError::Kind {
            op: op.kind(),
            found: value.kind().name(),
        }),
    }
}

/// A value, and the operators that are still to be applied to it.
type Fused<'a> = (Value, &'a [TailOp]);

/// `Dequantize, Softmax, Quantize` of one type is the runtime's integer softmax.
fn fuse_softmax<'a>(value: &Value, op: &TailOp, rest: &'a [TailOp]) -> Result<Option<Fused<'a>>, TailError> {
    let (Value::Quantized(q), TailOp::Dequantize { scale: s_x, .. }) = (value, op) else {
        return Ok(None);
    };
    let [
        TailOp::Softmax { axis },
        TailOp::Quantize {
            scale,
            zero_point,
            dtype,
        },
        after_softmax @ ..,
    ] = rest
    else {
        return Ok(None);
    };
    if *dtype != q.dtype() {
        return Ok(None);
    }
    let (float, kind) = after(q.shape(), value.kind(), op)?;
    let (float, kind) = after(&float, kind, &rest[0])?;
    let (shape, _) = after(&float, kind, &rest[1])?;
    check_scale("the softmax's input", *s_x)?;
    let quant = TensorQuant {
        scale: *scale,
        zero_point: *zero_point,
        dtype: *dtype,
    };
    let mut out = vec![0i32; q.data().len()];
    for line in lines(&shape, *axis) {
        let x: Vec<i32> = line.clone().map(|at| q.data()[at]).collect();
        line.zip(qlinear_softmax(&x, *s_x, &quant))
            .for_each(|(at, y)| out[at] = y);
    }
    Ok(Some((
        Value::Quantized(Tensor::new(shape, *dtype, out)?),
        after_softmax,
    )))
}

/// The flat indices of each line along `axis` (which exists), line by line.
fn lines(
    shape: &Shape,
    axis: usize,
) -> impl Iterator<Item = std::iter::StepBy<std::ops::Range<usize>>> + use<> {
    let dims = shape.dims();
    let inner: usize = dims[axis + 1..].iter().product();
    let block = dims[axis] * inner;
    let outer = shape.len() / block;
    (0..outer).flat_map(move |o| (0..inner).map(move |i| (o * block + i..(o + 1) * block).step_by(inner)))
}

/// Index of the first (or last) maximum of each line along `axis`; NaN never is the maximum.
fn arg_max<T: Copy + PartialOrd>(data: &[T], shape: &Shape, axis: usize, select_last: bool) -> Vec<i64> {
    let best = |line: std::iter::StepBy<std::ops::Range<usize>>| {
        let mut best: Option<(i64, T)> = None;
        for (index, at) in (0i64..).zip(line) {
            let x = data[at];
            if best.is_none_or(|(_, max)| x > max || (select_last && x >= max)) {
                best = Some((index, x));
            }
        }
        best.map_or(0, |(index, _)| index)
    };
    lines(shape, axis).map(best).collect()
}
