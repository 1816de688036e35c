//! What can be wrong with a graph.

use crate::ops::OpError;
use crate::quant::QuantError;
use crate::tail::TailError;
use crate::tensor::{DType, Shape, TensorError};

/// What can be wrong with a graph or with the tensors given to it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// A tensor index that does not exist.
    #[error("{place} refers to tensor {tensor}, the graph has {len}")]
    NoTensor {
        /// Where it is used.
        place: String,
        /// The index.
        tensor: usize,
        /// Number of tensors.
        len: usize,
    },
    /// A tensor read before anything makes it.
    #[error("node `{node}` reads tensor `{tensor}` before it is made; put the nodes in topological order")]
    Order {
        /// The node.
        node: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor that two nodes or inputs make.
    #[error("tensor `{tensor}` is made twice")]
    MadeTwice {
        /// The tensor.
        tensor: String,
    },
    /// A tensor that nothing makes.
    #[error("tensor `{tensor}` is neither an input nor any node's output")]
    NeverMade {
        /// The tensor.
        tensor: String,
    },
    /// No input or no output.
    #[error("the graph has no {what}")]
    Empty {
        /// Inputs or outputs.
        what: &'static str,
    },
    /// The tensors together are too large.
    #[error("the graph's tensors have {elements} elements together, the limit is {limit}")]
    TooLarge {
        /// Elements of all tensors.
        elements: usize,
        /// The limit.
        limit: usize,
    },
    /// Scale or zero point of a tensor.
    #[error("tensor `{tensor}`: {source}")]
    Quant {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        source: QuantError,
    },
    /// The shape of a tensor.
    #[error("tensor `{tensor}`: {source}")]
    Shape {
        /// The tensor.
        tensor: String,
        /// What is wrong.
        source: TensorError,
    },
    /// A given tensor whose values do not fit its own shape or type.
    #[error(
        "the values given for tensor `{tensor}` do not fit its shape or type; build it with `Tensor::new`"
    )]
    Values {
        /// The tensor.
        tensor: String,
    },
    /// An operator.
    #[error("node `{node}`: {source}")]
    Op {
        /// The node.
        node: String,
        /// What is wrong.
        source: OpError,
    },
    /// An output port's operators in the clear.
    #[error("output `{output}`: {source}")]
    Tail {
        /// The output.
        output: String,
        /// What is wrong.
        source: TailError,
    },
    /// A node's output that is not a tensor of its declared shape and type.
    #[error("node `{node}`: {source}")]
    Tensor {
        /// The node.
        node: String,
        /// What is wrong.
        source: TensorError,
    },
    /// Another number of tensors than needed.
    #[error("{actual} tensors were given, the graph needs {expected}")]
    Count {
        /// Needed.
        expected: usize,
        /// Given.
        actual: usize,
    },
    /// A given tensor of another shape or type.
    #[error("tensor `{tensor}` is {expected_type} {expected}, {actual_type} {actual} was given")]
    Given {
        /// The tensor.
        tensor: String,
        /// Its shape.
        expected: Shape,
        /// Its type.
        expected_type: DType,
        /// The given shape.
        actual: Shape,
        /// The given type.
        actual_type: DType,
    },
}
