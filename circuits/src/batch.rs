//! Several inferences of one network as one: their tensors stacked along the first axis.

use crate::tail::Value;
use crate::tensor::{Shape, Tensor, TensorError};

/// Most inferences in one proof.
pub const MAX_BATCH: usize = 1 << 12;

/// Shape of `batch` tensors of this shape: a leading 1 becomes the number of tensors, any other shape gets that as a
/// first axis. One tensor keeps its shape.
///
/// # Errors
/// [`TensorError`] when the stack has too many elements or axes.
pub fn stacked_shape(shape: &Shape, batch: usize) -> Result<Shape, TensorError> {
    let dims = shape.dims();
    match dims.split_first() {
        _ if batch == 1 => Ok(shape.clone()),
        Some((1, rest)) => Shape::new([&[batch], rest].concat()),
        _ => Shape::new([&[batch], dims].concat()),
    }
}

/// The number of tensors of this shape that the tensor stacks.
#[must_use]
pub fn depth(tensor: &Tensor, shape: &Shape) -> usize {
    tensor.data().len() / shape.len()
}

/// The tensors of this shape that the tensor stacks, in order. Values after the last whole one are left out.
///
/// # Errors
/// [`TensorError`], which a stack of such tensors does not give.
pub fn split(tensor: &Tensor, shape: &Shape) -> Result<Vec<Tensor>, TensorError> {
    let parts = tensor.data().chunks_exact(shape.len());
    parts
        .map(|data| Tensor::new(shape.clone(), tensor.dtype(), data.to_vec()))
        .collect()
}

/// One tensor of tensors that have the shape and type of the first.
///
/// # Errors
/// [`TensorError`] when there is none, one has another size, or the stack is too large.
pub fn stack(parts: &[Tensor]) -> Result<Tensor, TensorError> {
    let first = parts.first().ok_or(TensorError::Elements { dims: vec![0] })?;
    let shape = stacked_shape(first.shape(), parts.len())?;
    let data = parts.iter().flat_map(|part| part.data().iter().copied());
    Tensor::new(shape, first.dtype(), data.collect())
}

/// As [`stack`], of values that are of the kind of the first.
///
/// # Errors
/// As [`stack`].
pub fn stack_values(parts: Vec<Value>) -> Result<Value, TensorError> {
    let first = parts.first().ok_or(TensorError::Elements { dims: vec![0] })?;
    let shape = stacked_shape(first.shape(), parts.len())?;
    let expected = shape.len();
    let value = match first {
        Value::Quantized(first) => {
            let dtype = first.dtype();
            let data = parts.iter().flat_map(|part| match part {
                Value::Quantized(tensor) => tensor.data(),
                _ => &[],
            });
            return Tensor::new(shape, dtype, data.copied().collect()).map(Value::Quantized);
        }
        Value::Float { .. } => {
            let data = parts.iter().flat_map(|part| match part {
                Value::Float { data, .. } => data.as_slice(),
                _ => &[],
            });
            let data: Vec<f32> = data.copied().collect();
            (data.len(), Value::Float { shape, data })
        }
        Value::Index { .. } => {
            let data = parts.iter().flat_map(|part| match part {
                Value::Index { data, .. } => data.as_slice(),
                _ => &[],
            });
            let data: Vec<i64> = data.copied().collect();
            (data.len(), Value::Index { shape, data })
        }
    };
    match value {
        (actual, value) if actual == expected => Ok(value),
        (actual, value) => Err(TensorError::Length {
            dims: value.shape().dims().to_vec(),
            expected,
            actual,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::DType;

    fn tensor(dims: &[usize], first: i32) -> Tensor {
        let shape = Shape::new(dims.to_vec()).unwrap();
        let data = (first..).take(shape.len()).collect();
        Tensor::new(shape, DType::U8, data).unwrap()
    }

    #[test]
    fn stacks_come_apart_again() {
        for (dims, of_three) in [
            (vec![1, 2, 2], vec![3, 2, 2]),
            (vec![2, 3], vec![3, 2, 3]),
            (vec![], vec![3]),
            (vec![1], vec![3]),
        ] {
            let parts = [tensor(&dims, 0), tensor(&dims, 9), tensor(&dims, 5)];
            let whole = stack(&parts).unwrap();
            assert_eq!(whole.shape().dims(), of_three);
            assert_eq!(depth(&whole, parts[0].shape()), 3);
            assert_eq!(split(&whole, parts[0].shape()).unwrap(), parts);
            assert_eq!(stack(&parts[..1]).unwrap(), parts[0]);
            let values = parts.iter().cloned().map(Value::Quantized).collect();
            assert_eq!(stack_values(values).unwrap(), Value::Quantized(whole));
        }
        let float = |data: Vec<f32>| Value::Float {
            shape: Shape::new(vec![1, data.len()]).unwrap(),
            data,
        };
        let both = stack_values(vec![float(vec![1.0, 2.0]), float(vec![3.0, 4.0])]).unwrap();
        assert_eq!(both.shape().dims(), [2, 2]);
    }

    #[test]
    fn what_does_not_stack_is_refused() {
        assert!(stack(&[]).is_err());
        assert!(stack(&[tensor(&[1, 2], 0), tensor(&[1, 3], 0)]).is_err());
        assert!(stacked_shape(&Shape::new(vec![2; 6]).unwrap(), 2).is_err());
        assert!(stacked_shape(&Shape::new(vec![1, 1 << 20]).unwrap(), 1 << 10).is_err());
        let index = Value::Index {
            shape: Shape::new(vec![1, 1]).unwrap(),
            data: vec![3],
        };
        assert!(stack_values(vec![Value::Quantized(tensor(&[1, 1], 0)), index.clone()]).is_err());
        assert!(stack_values(vec![index, Value::Quantized(tensor(&[1, 1], 0))]).is_err());
    }
}
