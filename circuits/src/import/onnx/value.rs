//! What the importer knows of each value of the file while it walks the nodes.

use super::consts::Const;
use crate::import::NodeRef;
use crate::ops::Window;
use crate::quant::{TensorQuant, round_clamp_f32};
use crate::tail::TailOp;
use crate::tensor::{DType, Shape};
use std::rc::Rc;

/// Scale, zero point and type of an activation, one for the whole tensor.
#[derive(Debug, Clone, Copy)]
pub struct Quant {
    /// S, finite and positive.
    pub scale: f32,
    /// z, in the range of `dtype`.
    pub zero_point: i32,
    /// int8 or uint8.
    pub dtype: DType,
}

impl PartialEq for Quant {
    /// Bit for bit.
    fn eq(&self, other: &Self) -> bool {
        self.scale.to_bits() == other.scale.to_bits()
            && self.zero_point == other.zero_point
            && self.dtype == other.dtype
    }
}

impl Quant {
    /// `clamp(rne(x / s) + z)`; infinities go to the ends of the range.
    pub fn quantize(&self, x: f32) -> i32 {
        round_clamp_f32(
            x / self.scale,
            self.zero_point,
            self.dtype.min(),
            self.dtype.max(),
        )
    }

    /// The form that the operators take.
    pub fn to_tensor_quant(self) -> TensorQuant {
        TensorQuant {
            scale: self.scale,
            zero_point: self.zero_point,
            dtype: self.dtype,
        }
    }
}

/// A constant after DequantizeLinear.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantConst {
    /// The integers, 8-bit or int32, with their shape.
    pub ints: Const,
    /// True for int32.
    pub wide: bool,
    /// One scale, or one for each position along `axis`. Finite and positive.
    pub scales: Vec<f32>,
    /// As many as scales.
    pub zero_points: Vec<i32>,
    /// Axis of the scales; without meaning when there is one.
    pub axis: usize,
}

impl QuantConst {
    /// The scale at position `channel` of the axis.
    pub fn scale(&self, channel: usize) -> f32 {
        let index = if self.scales.len() == 1 { 0 } else { channel };
        self.scales.get(index).copied().unwrap_or(f32::NAN)
    }

    /// The zero point at position `channel` of the axis.
    pub fn zero_point(&self, channel: usize) -> i32 {
        let index = if self.zero_points.len() == 1 { 0 } else { channel };
        self.zero_points.get(index).copied().unwrap_or(0)
    }
}

/// An 8-bit activation: a tensor of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Int {
    /// Index in the plan.
    pub tensor: usize,
    /// Its shape.
    pub shape: Shape,
    /// Its type.
    pub dtype: DType,
}

/// A dequantized activation: real value = S (q - z) over a tensor of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Real {
    /// Index in the plan.
    pub tensor: usize,
    /// Its shape.
    pub shape: Shape,
    /// S, z and type.
    pub quant: Quant,
}

/// A step that commutes with the rounding and clamping of a QuantizeLinear after it.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// The same values in the same order.
    Reshape {
        /// New shape.
        shape: Shape,
    },
    /// Axes permuted.
    Transpose {
        /// Axis of the source for each axis of the result.
        perm: Vec<usize>,
        /// New shape.
        shape: Shape,
    },
    /// Maximum over windows.
    MaxPool {
        /// Geometry.
        window: Window,
        /// Channels.
        channels: usize,
        /// New shape.
        shape: Shape,
    },
}

impl Step {
    /// Shape after the step.
    pub fn shape(&self) -> &Shape {
        match self {
            Self::Reshape { shape } | Self::Transpose { shape, .. } | Self::MaxPool { shape, .. } => shape,
        }
    }
}

/// A float input of the graph, not yet quantized.
#[derive(Debug, Clone, PartialEq)]
pub struct FloatInput {
    /// Index among the graph's inputs.
    pub input: usize,
    /// Shape of the input itself.
    pub base: Shape,
    /// What was done to it.
    pub steps: Vec<Step>,
}

/// Geometry of a product with constant weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LinearKind {
    /// Weights `[c_out][c_in / groups][kh][kw]`.
    Conv {
        /// Geometry of the planes.
        window: Window,
        /// Input channels.
        c_in: usize,
        /// Output channels.
        c_out: usize,
        /// Groups.
        groups: usize,
    },
    /// Weights `[k][n]`.
    Dense {
        /// Number of vectors.
        rows: usize,
        /// Input length.
        k: usize,
        /// Output length.
        n: usize,
    },
}

impl LinearKind {
    /// Number of output channels.
    pub fn channels(&self) -> usize {
        match self {
            Self::Conv { c_out, .. } => *c_out,
            Self::Dense { n, .. } => *n,
        }
    }
}

/// Convolution or matrix product, before requantization.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Geometry.
    pub kind: LinearKind,
    /// The activation.
    pub x: Real,
    /// The weights, in the order of the kind; scales along the output channels or one.
    pub weights: Rc<QuantConst>,
    /// Empty or one for each output channel, in units of the accumulator.
    pub bias: Vec<i64>,
    /// Factor of the product (Gemm), 1 otherwise.
    pub alpha: f32,
}

impl Linear {
    /// `f32(alpha * x_scale) * w_scale` of an output channel, in onnxruntime's order of operations.
    pub fn accumulator_scale(&self, channel: usize) -> f32 {
        self.alpha * self.x.quant.scale * self.weights.scale(channel)
    }
}

/// Which of onnxruntime's average formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// `QLinearGlobalAveragePool`.
    Global,
    /// `QLinearAveragePool`, over the taps inside the input.
    Window,
    /// `QLinearAveragePool` with `count_include_pad`.
    Padded,
}

/// An operator whose float result waits for its QuantizeLinear.
#[derive(Debug, Clone, PartialEq)]
pub enum Base {
    /// Convolution or matrix product.
    Linear(Linear),
    /// Sum of two activations of one shape.
    Add(Real, Real),
    /// Sum of an activation of shape `[1, channels, n]` and an 8-bit constant for each channel.
    AddConst {
        /// The activation.
        x: Real,
        /// One value at a time.
        window: Window,
        /// The constant's integers.
        values: Rc<Vec<i32>>,
        /// The constant's quantization.
        constant: Quant,
        /// Whether the constant is the first operand.
        first: bool,
    },
    /// Average over windows.
    AvgPool {
        /// The activation.
        x: Real,
        /// Geometry.
        window: Window,
        /// Channels.
        channels: usize,
        /// The formula.
        kind: Average,
    },
    /// An activation itself (a Relu or Clip follows).
    Real(Real),
}

/// A float value that a QuantizeLinear will turn into integers.
#[derive(Debug, Clone, PartialEq)]
pub struct Pending {
    /// The operator.
    pub base: Rc<Base>,
    /// The node it came from.
    pub at: NodeRef,
    /// Name of its result in the file.
    pub name: Rc<str>,
    /// Shape of its result.
    pub shape: Shape,
    /// Lower bound of all Relu and Clip after it, minus infinity when there is none.
    pub lo: f32,
    /// Upper bound likewise.
    pub hi: f32,
    /// Views and max pools after it.
    pub steps: Vec<Step>,
}

/// What a tail value holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailKind {
    /// Floats.
    Float,
    /// 8-bit integers of a QuantizeLinear.
    Int(DType),
    /// Indices of an ArgMax.
    Index,
}

/// A value computed in the clear from a proved tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Tail {
    /// Index of the proved tensor in the plan.
    pub tensor: usize,
    /// The operators.
    pub ops: Vec<TailOp>,
    /// Shape of the result.
    pub shape: Shape,
    /// What it holds.
    pub kind: TailKind,
}

/// A value of the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Constant.
    Const(Const),
    /// Dequantized constant.
    QuantConst(Rc<QuantConst>),
    /// 8-bit activation.
    Int(Int),
    /// Dequantized activation.
    Real(Real),
    /// Float input.
    Input(FloatInput),
    /// Float result before its QuantizeLinear.
    Pending(Rc<Pending>),
    /// Computed in the clear.
    Tail(Tail),
}

impl Value {
    /// The dimensions.
    pub fn dims(&self) -> &[usize] {
        match self {
            Self::Const(c) => &c.dims,
            Self::QuantConst(q) => &q.ints.dims,
            Self::Int(v) => v.shape.dims(),
            Self::Real(v) => v.shape.dims(),
            Self::Input(v) => v.steps.last().map_or(&v.base, Step::shape).dims(),
            Self::Pending(v) => v.steps.last().map_or(&v.shape, Step::shape).dims(),
            Self::Tail(v) => v.shape.dims(),
        }
    }
}
