//! Conv, Gemm and MatMul with constant weights, and the bias that is added to a product.
//!
//! An int32 bias is taken as it is, as onnxruntime's fused kernels do, after a check that its scale is the
//! accumulator's. A float bias becomes `rne(b / f32(x_scale * w_scale))`, as onnxruntime quantizes it
//! (`WeightBiasQuantization`).

use super::ImportError;
use super::consts::Data;
use super::importer::Importer;
use super::node::NodeView;
use super::planes::Planes;
use super::value::{Base, Linear, LinearKind, Pending, QuantConst, Real, Value};
use super::view::Move;
use std::rc::Rc;

/// Largest relative difference between the scale of an int32 bias and that of the accumulator.
const BIAS_SCALE_TOLERANCE: f32 = 1e-4;

impl<'m> Importer<'m> {
    /// Conv between DequantizeLinear and QuantizeLinear.
    pub fn conv(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let x = self.activation(node, 0)?;
        let weights = self.weights(node, 1)?;
        let bias = self.optional(node, 2)?;
        self.conv_of(node, x, weights, bias, 2)
    }

    /// Convolution of an activation; `bias` is input `index` of the node.
    pub fn conv_of(
        &mut self,
        node: &NodeView<'m>,
        x: Real,
        weights: Rc<QuantConst>,
        bias: Option<Value>,
        index: usize,
    ) -> Result<Value, ImportError> {
        let planes = Planes::of(node, x.shape.dims())?;
        let w = weights.ints.dims.as_slice();
        if w.len() != x.shape.dims().len() {
            return Err(node.shapes("the weights must have the rank of the input", w));
        }
        let [c_out, c_per_group, ref taps @ ..] = *w else {
            return Err(node.shapes("the weights must have three or four dimensions", w));
        };
        let groups = usize::try_from(node.int("group", 1)).unwrap_or(0);
        if c_per_group.checked_mul(groups) != Some(planes.channels) || groups == 0 || c_out % groups != 0 {
            return Err(node.shapes("the channels of input and weights must agree with the groups", w));
        }
        if weights.scales.len() > 1 && weights.axis != 0 {
            return Err(node.operand(1, "must be quantized along its output channels (axis 0)"));
        }
        if node.ints("kernel_shape").is_some_and(|k| {
            !k.iter()
                .map(|v| usize::try_from(*v).ok())
                .eq(taps.iter().map(|t| Some(*t)))
        }) {
            return Err(node.bad_attribute("kernel_shape", "must be the shape of the weights"));
        }
        let window = planes.window(node, taps, false)?;
        let mut dims = vec![1, c_out];
        dims.extend(planes.output_dims(&window));
        let shape = node.shape(dims)?;
        let kind = LinearKind::Conv {
            window,
            c_in: planes.channels,
            c_out,
            groups,
        };
        let mut linear = Linear {
            kind,
            x,
            weights,
            bias: Vec::new(),
            alpha: 1.0,
        };
        if let Some(bias) = bias {
            self.count_folded(linear.kind.channels())?;
            linear.bias = bias_of(node, index, &linear, &bias)?;
        }
        pending(node, Base::Linear(linear), shape)
    }

    /// Gemm between DequantizeLinear and QuantizeLinear: `alpha A B + beta C`.
    pub fn gemm(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let mut x = self.value(node, 0)?;
        if node.int("transA", 0) != 0 {
            x = self.apply_move(node, x, &Move::Transpose(vec![1, 0]))?;
        }
        let x = real(node, 0, x)?;
        let mut weights = self.weights(node, 1)?;
        if node.int("transB", 0) != 0 {
            weights = self.transpose_weights(node, weights)?;
        }
        let bias = self.optional(node, 2)?;
        if bias.is_some() && node.float("beta", 1.0).to_bits() != 1.0f32.to_bits() {
            return Err(node.bad_attribute("beta", "must be 1: fold it into the bias when exporting"));
        }
        self.dense_of(node, x, weights, bias, 2)
    }

    /// The weights of a Gemm with transB, as `[k][n]`.
    pub fn transpose_weights(
        &mut self,
        node: &NodeView<'m>,
        weights: Rc<QuantConst>,
    ) -> Result<Rc<QuantConst>, ImportError> {
        if weights.ints.dims.len() != 2 {
            return Err(node.shapes("the weights must be a matrix", &weights.ints.dims));
        }
        match self.apply_move(node, Value::QuantConst(weights), &Move::Transpose(vec![1, 0]))? {
            Value::QuantConst(weights) => Ok(weights),
            _ => Err(node.operand(1, "must be a constant")),
        }
    }

    /// MatMul between DequantizeLinear and QuantizeLinear.
    pub fn matmul(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        let x = self.activation(node, 0)?;
        let weights = self.weights(node, 1)?;
        self.dense_of(node, x, weights, None, 2)
    }

    /// Product of an activation along its last dimension with a constant `[k][n]`.
    pub fn dense_of(
        &mut self,
        node: &NodeView<'m>,
        x: Real,
        weights: Rc<QuantConst>,
        bias: Option<Value>,
        index: usize,
    ) -> Result<Value, ImportError> {
        let w = weights.ints.dims.as_slice();
        let [k, n] = *w else {
            return Err(node.shapes("the weights must be a matrix", w));
        };
        let dims = x.shape.dims();
        let Some((last, leading)) = dims.split_last().filter(|(last, _)| **last == k) else {
            return Err(node.shapes(
                "the last dimension of the input must be the first of the weights",
                dims,
            ));
        };
        if weights.scales.len() > 1 && weights.axis != 1 {
            return Err(node.operand(1, "must be quantized along its output columns"));
        }
        let alpha = node.float("alpha", 1.0);
        if !(alpha.is_finite() && alpha > 0.0) {
            return Err(node.bad_attribute("alpha", "must be finite and positive"));
        }
        let rows = leading.iter().product();
        let shape = node.shape(leading.iter().copied().chain([n]).collect())?;
        let kind = LinearKind::Dense { rows, k: *last, n };
        let mut linear = Linear {
            kind,
            x,
            weights,
            bias: Vec::new(),
            alpha,
        };
        if let Some(bias) = bias {
            self.count_folded(linear.kind.channels())?;
            linear.bias = bias_of(node, index, &linear, &bias)?;
        }
        pending(node, Base::Linear(linear), shape)
    }

    /// A dequantized activation at input `index`.
    pub fn activation(&mut self, node: &NodeView<'m>, index: usize) -> Result<Real, ImportError> {
        let value = self.value(node, index)?;
        real(node, index, value)
    }

    /// Dequantized constant weights at input `index`.
    fn weights(&mut self, node: &NodeView<'m>, index: usize) -> Result<Rc<QuantConst>, ImportError> {
        match self.value(node, index)? {
            Value::QuantConst(q) if q.wide => Err(node.operand(index, "must be int8 or uint8 weights")),
            Value::QuantConst(q) => Ok(q),
            Value::Const(_) => Err(node.float_operand("its weights are float")),
            _ => Err(node.operand(
                index,
                "must be a constant: products of two activations are not supported",
            )),
        }
    }
}

/// A dequantized activation, or the error that says what it is instead.
pub fn real(node: &NodeView<'_>, index: usize, value: Value) -> Result<Real, ImportError> {
    match value {
        Value::Real(x) => Ok(x),
        Value::Input(_) => Err(node.float_operand("its operand is the float input of the graph")),
        Value::Pending(_) => {
            Err(node
                .float_operand("its operand is a float result without QuantizeLinear and DequantizeLinear"))
        }
        Value::Tail(_) => Err(node
            .unsupported("it follows Softmax or ArgMax; these are supported only at the end of the graph")),
        Value::Const(_) | Value::QuantConst(_) => Err(node.operand(
            index,
            "is a constant; compute the node when exporting (constant folding)",
        )),
        Value::Int(_) => Err(node.operand(index, "must be dequantized first (DequantizeLinear)")),
    }
}

/// A result that waits for its QuantizeLinear.
pub fn pending(node: &NodeView<'_>, base: Base, shape: crate::tensor::Shape) -> Result<Value, ImportError> {
    Ok(Value::Pending(Rc::new(Pending {
        base: Rc::new(base),
        at: node.at(),
        name: node.output()?.into(),
        shape,
        lo: f32::NEG_INFINITY,
        hi: f32::INFINITY,
        steps: Vec::new(),
    })))
}

/// The bias at input `index` in units of the accumulator, one for each output channel.
pub fn bias_of(
    node: &NodeView<'_>,
    index: usize,
    linear: &Linear,
    bias: &Value,
) -> Result<Vec<i64>, ImportError> {
    let channels = linear.kind.channels();
    let dims = bias.dims();
    let most = match linear.kind {
        LinearKind::Conv { .. } => 1,
        LinearKind::Dense { .. } => linear.x.shape.dims().len(),
    };
    let along_last = dims.len() <= most && dims.iter().rev().skip(1).all(|d| *d == 1);
    let count: usize = dims.iter().product();
    if !along_last || !(count == channels || count == 1) {
        return Err(node.shapes("the bias must have one value for each output channel", dims));
    }
    let spread = |values: Vec<i64>| {
        if count == 1 {
            vec![values.first().copied().unwrap_or(0); channels]
        } else {
            values
        }
    };
    match bias {
        Value::QuantConst(q) if q.wide => {
            let ints = q.ints.ints().unwrap_or_default();
            if ints.iter().any(|b| *b != 0) {
                check_bias_scale(node, linear, q)?;
            }
            Ok(spread(ints))
        }
        Value::QuantConst(_) => Err(node.operand(index, "is an 8-bit bias; quantize the bias to int32 with scale x_scale * w_scale")),
        Value::Const(c) => match &c.data {
            Data::F32(values) => (0..channels)
                .map(|channel| {
                    let value = values.get(if count == 1 { 0 } else { channel }).copied().unwrap_or(f32::NAN);
                    float_bias(value, linear.accumulator_scale(channel))
                        .ok_or_else(|| node.operand(index, "holds a bias that is no number or does not fit int32 in units of x_scale * w_scale"))
                })
                .collect(),
            Data::I32(values) if c.dims.len() <= 2 => Ok(spread(values.iter().map(|b| i64::from(*b)).collect())),
            _ => Err(node.operand(index, "must be an int32 or float32 bias")),
        },
        _ => Err(node.operand(index, "must be a constant bias")),
    }
}

/// `rne(b / scale)` when it fits int32.
fn float_bias(bias: f32, scale: f32) -> Option<i64> {
    let units = f64::from((bias / scale).round_ties_even());
    let fits = units >= f64::from(i32::MIN) && units <= f64::from(i32::MAX);
    fits.then(|| whole(units))
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a whole number that the caller has found to fit int32"
)]
fn whole(x: f64) -> i64 {
    x as i64
}

fn check_bias_scale(node: &NodeView<'_>, linear: &Linear, bias: &QuantConst) -> Result<(), ImportError> {
    for channel in 0..linear.kind.channels() {
        let (scale, expected) = (bias.scale(channel), linear.accumulator_scale(channel));
        if (scale - expected).abs() > BIAS_SCALE_TOLERANCE * expected {
            return Err(ImportError::BiasScale {
                at: node.at(),
                channel,
                scale,
                expected,
            });
        }
    }
    Ok(())
}
