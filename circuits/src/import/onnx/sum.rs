//! Add: of two dequantized activations, of a product and its bias, of an activation and a constant.

use super::ImportError;
use super::consts::Data;
use super::importer::Importer;
use super::linear::{bias_of, pending, real};
use super::node::NodeView;
use super::value::{Base, LinearKind, Pending, Quant, QuantConst, Real, Step, Value};
use crate::ops::Window;
use std::rc::Rc;

impl<'m> Importer<'m> {
    /// Add between DequantizeLinear and QuantizeLinear.
    pub fn add(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let (a, b) = (self.value(node, 0)?, self.value(node, 1)?);
        match (a, b) {
            (Value::Pending(p), b @ (Value::QuantConst(_) | Value::Const(_))) => {
                add_bias(self, node, &p, &b, 1)
            }
            (a @ (Value::QuantConst(_) | Value::Const(_)), Value::Pending(p)) => {
                add_bias(self, node, &p, &a, 0)
            }
            (Value::Real(a), Value::QuantConst(b)) if !b.wide => self.add_constant(node, a, &b, false),
            (Value::QuantConst(a), Value::Real(b)) if !a.wide => self.add_constant(node, b, &a, true),
            (Value::Real(_), Value::Const(_) | Value::QuantConst(_)) => {
                Err(node.operand(1, "is a float constant; quantize it to 8 bits"))
            }
            (Value::Const(_) | Value::QuantConst(_), Value::Real(_)) => {
                Err(node.operand(0, "is a float constant; quantize it to 8 bits"))
            }
            (a, b) => sum_of(node, real(node, 0, a)?, real(node, 1, b)?),
        }
    }

    /// The sum of an activation and a dequantized constant of its shape or of a broadcast one: a staircase for
    /// each channel. `first` tells whether the constant is the first operand.
    pub fn add_constant(
        &mut self,
        node: &NodeView<'m>,
        x: Real,
        constant: &QuantConst,
        first: bool,
    ) -> Result<Value, ImportError> {
        let ([scale], [zero_point], Data::Q8(dtype, values)) = (
            &constant.scales[..],
            &constant.zero_points[..],
            &constant.ints.data,
        ) else {
            return Err(node.operand(
                usize::from(!first),
                "must be quantized per tensor to int8 or uint8",
            ));
        };
        let shape = x.shape.clone();
        let (channels, inner) = channels_of(shape.dims(), &constant.ints.dims).ok_or_else(|| {
            node.shapes(
                "a constant is added to an activation only along one of its axes, as one value for each position on it",
                &constant.ints.dims,
            )
        })?;
        let planes = Step::Reshape {
            shape: node.shape(vec![1, channels, inner])?,
        };
        let x = real(node, 0, self.apply_step(node, Value::Real(x), planes)?)?;
        let window = Window::new((1, inner), (1, 1), (1, 1), (1, 1), (0, 0), (0, 0))
            .map_err(|source| node.op_error(source))?;
        let planes_shape = x.shape.clone();
        let constant = Quant {
            scale: *scale,
            zero_point: *zero_point,
            dtype: *dtype,
        };
        let base = Base::AddConst {
            x,
            window,
            values: Rc::clone(values),
            constant,
            first,
        };
        let value = pending(node, base, planes_shape)?;
        self.apply_step(node, value, Step::Reshape { shape })
    }
}

/// The sum of two activations of one shape.
pub fn sum_of(node: &NodeView<'_>, a: Real, b: Real) -> Result<Value, ImportError> {
    if a.shape != b.shape {
        return Err(node.shapes(
            "two activations are added only in one shape; the second is",
            b.shape.dims(),
        ));
    }
    let shape = a.shape.clone();
    pending(node, Base::Add(a, b), shape)
}

/// A product that has no bias yet takes the constant as its bias.
fn add_bias(
    importer: &mut Importer<'_>,
    node: &NodeView<'_>,
    p: &Pending,
    bias: &Value,
    index: usize,
) -> Result<Value, ImportError> {
    let plain = p.steps.is_empty() && p.lo == f32::NEG_INFINITY && p.hi == f32::INFINITY;
    match &*p.base {
        Base::Linear(linear) if plain && linear.bias.is_empty() && matches!(linear.kind, LinearKind::Dense { .. }) => {
            let mut linear = linear.clone();
            importer.count_folded(linear.kind.channels())?;
            linear.bias = bias_of(node, index, &linear, bias)?;
            pending(node, Base::Linear(linear), p.shape.clone())
        }
        _ => Err(node.float_operand("it adds a constant to a float result; only the bias of a MatMul or Gemm is taken so, put other biases into the operator itself")),
    }
}

/// Channels and values per channel when `constant`, aligned with the last axes of `dims`, varies along one axis
/// before which there are only ones, or along none, or has all values of `dims`.
fn channels_of(dims: &[usize], constant: &[usize]) -> Option<(usize, usize)> {
    let total: usize = dims.iter().product();
    let count: usize = constant.iter().product();
    let aligned = || dims.iter().rev().zip(constant.iter().rev());
    if constant.len() > dims.len() || aligned().any(|(d, c)| *c != 1 && c != d) {
        return None;
    }
    if count == 1 {
        return Some((1, total));
    }
    let inner = aligned()
        .take_while(|(_, c)| **c == 1)
        .map(|(d, _)| *d)
        .product::<usize>();
    (inner.checked_mul(count) == Some(total)).then_some((count, inner))
}
