//! What can be wrong with a model file.

use crate::graph::GraphError;
use crate::ops::OpError;
use crate::tensor::TensorError;

/// Longest name that an error repeats; a longer one is cut.
const MAX_NAME: usize = 96;

/// A name short enough for a message.
pub(crate) fn short(name: &str) -> String {
    let mut chars = name.chars();
    let head: String = chars.by_ref().take(MAX_NAME).collect();
    if chars.next().is_some() {
        format!("{head}...")
    } else {
        head
    }
}

/// A node of the file: operator type and name (its first output where it has no name).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRef {
    /// Operator type, with the domain in front unless it is the default one.
    pub op: String,
    /// Name.
    pub name: String,
}

impl std::fmt::Display for NodeRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} `{}`", self.op, self.name)
    }
}

/// Why a model file is refused. Each message says what, where, and how to mend it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The file is larger than the importer reads.
    #[error("the file has {bytes} bytes, the limit is {limit}; keep large weights out of the model")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The bytes are not protocol buffers.
    #[error("not an ONNX file: {what} at byte {offset}")]
    Wire {
        /// Where.
        offset: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// Messages inside messages, deeper than the limit.
    #[error("messages are nested deeper than {limit} at byte {offset}; no network needs that")]
    TooDeep {
        /// Where.
        offset: usize,
        /// The limit.
        limit: usize,
    },
    /// More of something than the limit.
    #[error("the file holds more than {limit} {what}; split the network or export it without unrolled loops")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The wire format is sound, a field in it is not.
    #[error("not an ONNX file: {source}")]
    Decode {
        /// The decoder's reason.
        #[from]
        source: prost::DecodeError,
    },
    /// A part that every model has is missing.
    #[error("the model has no {what}; check it with onnx.checker.check_model")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// The operator set is outside what is supported.
    #[error("the model uses opset {version}, supported are 10 to 21; convert it with onnx.version_converter")]
    Opset {
        /// Its version.
        version: i64,
    },
    /// A tensor keeps its data in another file.
    #[error(
        "tensor `{tensor}` keeps its data in another file; save the model with its data inside (onnx.save with save_as_external_data=False)"
    )]
    ExternalData {
        /// Name of the tensor.
        tensor: String,
    },
    /// A constant's data does not fit its description.
    #[error("tensor `{tensor}`: {what}; re-export the model")]
    TensorData {
        /// Name of the tensor.
        tensor: String,
        /// What does not fit.
        what: &'static str,
    },
    /// A constant or an input has an element type that is not taken.
    #[error(
        "tensor `{tensor}` has the ONNX element type {code}; supported are float32, int8 and uint8 (and int32 for a bias, int64 for shapes)"
    )]
    ElementType {
        /// Name of the tensor.
        tensor: String,
        /// `TensorProto.DataType`.
        code: i32,
    },
    /// An input dimension is not known, or a batch is fixed.
    #[error("input `{input}`: dimension {axis} is {found}; {advice}")]
    Dimension {
        /// Name of the input.
        input: String,
        /// Position.
        axis: usize,
        /// What the file says.
        found: String,
        /// How to mend.
        advice: &'static str,
    },
    /// A shape given by the caller does not fit the model's input.
    #[error("the shape {given:?} given for input `{input}` does not fit the model; see its declared shape")]
    GivenShape {
        /// Name of the input.
        input: String,
        /// The caller's shape.
        given: Vec<usize>,
    },
    /// An input is quantized twice with different parameters.
    #[error(
        "input `{input}` is quantized with two different scales or zero points; use one QuantizeLinear for it"
    )]
    InputQuantizedTwice {
        /// Name of the input.
        input: String,
    },
    /// A graph output that no supported chain makes.
    #[error(
        "output `{output}` {what}; end the graph in QuantizeLinear or DequantizeLinear, with Softmax, ArgMax or Reshape after it if wanted"
    )]
    Output {
        /// Name of the output.
        output: String,
        /// What it is.
        what: &'static str,
    },
    /// Two values of one name.
    #[error("the name `{name}` is given to two values; check the model with onnx.checker.check_model")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A node reads a value that nothing before it makes.
    #[error(
        "{at} reads `{input}`, which nothing before it makes; check the model with onnx.checker.check_model"
    )]
    Undefined {
        /// The node.
        at: NodeRef,
        /// The value.
        input: String,
    },
    /// A node lacks an input that the operator needs, or has too few outputs.
    #[error("{at} lacks {what}; check the model with onnx.checker.check_model")]
    Lacks {
        /// The node.
        at: NodeRef,
        /// What it lacks.
        what: &'static str,
    },
    /// If, Loop, Scan and whatever else holds a graph.
    #[error(
        "{at} holds a subgraph; control flow has no fixed circuit: export the model with it unrolled or removed (onnxsim can fold constant conditions)"
    )]
    Subgraph {
        /// The node.
        at: NodeRef,
    },
    /// Scales that depend on the data.
    #[error(
        "{at} quantizes dynamically: its scale depends on the data, which the circuit cannot fix; quantize statically with onnxruntime.quantization.quantize_static(quant_format=QuantFormat.QDQ) and a calibration set"
    )]
    Dynamic {
        /// The node.
        at: NodeRef,
    },
    /// An operator that computes on floats.
    #[error(
        "{at} computes on floats ({what}); quantize the whole model statically with onnxruntime.quantization.quantize_static(quant_format=QuantFormat.QDQ), and exclude no node"
    )]
    Float {
        /// The node.
        at: NodeRef,
        /// Which of its operands or results is not quantized.
        what: &'static str,
    },
    /// An operator, or a use of it, that is not supported.
    #[error("{at} is not supported: {advice}")]
    Unsupported {
        /// The node.
        at: NodeRef,
        /// Why, and what to do.
        advice: &'static str,
    },
    /// An attribute whose value is not supported.
    #[error("{at}: attribute {attribute} {advice}")]
    Attribute {
        /// The node.
        at: NodeRef,
        /// Name of the attribute.
        attribute: &'static str,
        /// Why, and what to do.
        advice: &'static str,
    },
    /// An operand that is not what the operator needs.
    #[error("{at}: input {index} {advice}")]
    Operand {
        /// The node.
        at: NodeRef,
        /// Position of the input, from 0.
        index: usize,
        /// Why, and what to do.
        advice: &'static str,
    },
    /// A scale that is zero, negative, infinite or not a number.
    #[error("{at}: the scale {value} of input {index} is not a positive finite number; calibrate again")]
    Scale {
        /// The node.
        at: NodeRef,
        /// Position of the input, from 0.
        index: usize,
        /// The scale.
        value: f32,
    },
    /// A bias in other units than the accumulator's.
    #[error(
        "{at}: the bias of channel {channel} has scale {scale}, the accumulator {expected}; quantize the bias with x_scale * w_scale"
    )]
    BiasScale {
        /// The node.
        at: NodeRef,
        /// Output channel.
        channel: usize,
        /// Scale in the file.
        scale: f32,
        /// Scale of the accumulator.
        expected: f32,
    },
    /// Shapes that do not go together.
    #[error("{at}: {what}, found {dims:?}; check the model with onnx.shape_inference")]
    Shapes {
        /// The node.
        at: NodeRef,
        /// What is needed.
        what: &'static str,
        /// The shape found.
        dims: Vec<usize>,
    },
    /// A shape that is empty or too large.
    #[error("{at}: {source}")]
    Tensor {
        /// The node.
        at: NodeRef,
        /// The reason.
        source: TensorError,
    },
    /// The operator itself refuses its parameters.
    #[error("{at}: {source}")]
    Op {
        /// The node.
        at: NodeRef,
        /// The reason.
        source: Box<OpError>,
    },
    /// The finished graph is not sound.
    #[error("the imported graph is not sound: {source}")]
    Graph {
        /// The reason.
        source: Box<GraphError>,
    },
}
