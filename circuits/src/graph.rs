//! The integer graph: typed tensors and validated operators, in topological order.
//!
//! From here on an operator's meaning is its integer `reference`; floats appear only in [`TensorInfo`]
//! (to quantize and dequantize at the edges) and in [`crate::tail`].

use crate::ops::Op;
use crate::tail::TailOp;
use crate::tensor::{DType, Shape};
use serde::{Deserialize, Serialize};

/// Index of a tensor in [`Graph::tensors`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TensorId(pub usize);

/// What is known of a tensor before any input is seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TensorInfo {
    /// The graph's own name for it.
    pub name: String,
    /// Logical shape as the graph states it, batch dimension (1) included.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Scale S: real value = S (q - z). Finite and positive.
    pub scale: f32,
    /// Zero point z, in the range of `dtype`.
    pub zero_point: i32,
}

/// One operator with its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Name of the graph node that it came from.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Tensors that it reads, in the operator's order.
    pub inputs: Vec<TensorId>,
    /// The tensor that it makes.
    pub output: TensorId,
}

/// How the caller's tensor becomes the graph's integer input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputPort {
    /// Name of the graph input.
    pub name: String,
    /// The integer tensor.
    pub tensor: TensorId,
    /// True when the graph's own input is float and is quantized with the tensor's scale and zero point.
    pub float: bool,
}

/// How an integer tensor becomes one of the graph's outputs: `tail` is computed in the clear.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputPort {
    /// Name of the graph output.
    pub name: String,
    /// The proved integer tensor.
    pub tensor: TensorId,
    /// Operators applied in the clear, in order; empty when the graph returns integers.
    pub tail: Vec<TailOp>,
}

/// A network of integer operators. Nodes are in topological order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// Every tensor.
    pub tensors: Vec<TensorInfo>,
    /// Every operator, in an order in which each reads only graph inputs and earlier outputs.
    pub nodes: Vec<Node>,
    /// The graph's inputs, in its own order.
    pub inputs: Vec<InputPort>,
    /// The graph's outputs, in its own order.
    pub outputs: Vec<OutputPort>,
}

impl Graph {
    /// The tensor with this index.
    #[must_use]
    pub fn tensor(&self, id: TensorId) -> &TensorInfo {
        &self.tensors[id.0]
    }
}
