//! The integer graph: typed tensors and validated operators, in topological order.
//!
//! From here on an operator's meaning is its integer `reference`; floats appear only in [`TensorInfo`]
//! (to quantize and dequantize at the edges) and in [`crate::tail`].

use crate::ops::{Op, OpError};
use crate::quant::{QuantError, TensorQuant};
use crate::tail::{self, TailError, TailOp, Value};
use crate::tensor::{DType, MAX_ELEMENTS, Shape, Tensor, TensorError};
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

/// One output value at which the runtime is known to return something else than the proved integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDifference {
    /// Index of the node.
    pub node: usize,
    /// Flat index in its output.
    pub index: usize,
    /// The proved value.
    pub proved: i32,
    /// What the runtime returns for the same inputs of this node; `None` where its int32 accumulator overflows.
    pub runtime: Option<i32>,
}

impl TensorInfo {
    /// Scale, zero point and type.
    #[must_use]
    pub fn quant(&self) -> TensorQuant {
        TensorQuant {
            scale: self.scale,
            zero_point: self.zero_point,
            dtype: self.dtype,
        }
    }

    fn check(&self, tensor: &Tensor) -> Result<(), GraphError> {
        if *tensor.shape() == self.shape && tensor.dtype() == self.dtype {
            return Ok(());
        }
        Err(GraphError::Given {
            tensor: self.name.clone(),
            expected: self.shape.clone(),
            expected_type: self.dtype,
            actual: tensor.shape().clone(),
            actual_type: tensor.dtype(),
        })
    }
}

impl Graph {
    /// The tensor with this index, which must exist (a validated graph's own indices do).
    #[must_use]
    pub fn tensor(&self, id: TensorId) -> &TensorInfo {
        &self.tensors[id.0]
    }

    /// Multiplications by a weight in one run.
    #[must_use]
    pub fn macs(&self) -> u64 {
        self.nodes
            .iter()
            .map(|node| node.op.macs())
            .fold(0, u64::saturating_add)
    }

    /// Checks indices, topological order, that each tensor is made once, shapes, types, zero points, every bound that
    /// the proved equations rely on, and the output ports.
    ///
    /// # Errors
    /// Any [`GraphError`].
    pub fn validate(&self) -> Result<(), GraphError> {
        self.check_tensors()?;
        let mut made = vec![false; self.tensors.len()];
        for input in &self.inputs {
            self.make(&mut made, input.tensor, || format!("input `{}`", input.name))?;
        }
        for node in &self.nodes {
            let place = || format!("node `{}`", node.name);
            let inputs = node
                .inputs
                .iter()
                .map(|&id| self.find(id, place))
                .collect::<Result<Vec<_>, _>>()?;
            if let Some(at) = node.inputs.iter().position(|id| !made[id.0]) {
                return Err(GraphError::Order {
                    node: node.name.clone(),
                    tensor: inputs[at].name.clone(),
                });
            }
            let output = self.make(&mut made, node.output, place)?;
            let named = |source| GraphError::Op {
                node: node.name.clone(),
                source,
            };
            node.op.validate(&inputs, output).map_err(named)?;
        }
        if let Some((_, info)) = made.iter().zip(&self.tensors).find(|(made, _)| !**made) {
            return Err(GraphError::NeverMade {
                tensor: info.name.clone(),
            });
        }
        for port in &self.outputs {
            let info = self.find(port.tensor, || format!("output `{}`", port.name))?;
            let named = |source| GraphError::Tail {
                output: port.name.clone(),
                source,
            };
            tail::validate(&info.shape, info.dtype, &port.tail).map_err(named)?;
        }
        Ok(())
    }

    fn check_tensors(&self) -> Result<(), GraphError> {
        if self.inputs.is_empty() {
            return Err(GraphError::Empty { what: "inputs" });
        }
        if self.outputs.is_empty() {
            return Err(GraphError::Empty { what: "outputs" });
        }
        let mut elements = 0usize;
        for info in &self.tensors {
            let named = |source| GraphError::Quant {
                tensor: info.name.clone(),
                source,
            };
            info.quant().validate("the tensor").map_err(named)?;
            elements = elements.saturating_add(info.shape.len());
        }
        if elements > MAX_ELEMENTS {
            return Err(GraphError::TooLarge {
                elements,
                limit: MAX_ELEMENTS,
            });
        }
        Ok(())
    }

    fn find(&self, id: TensorId, place: impl Fn() -> String) -> Result<&TensorInfo, GraphError> {
        let missing = || GraphError::NoTensor {
            place: place(),
            tensor: id.0,
            len: self.tensors.len(),
        };
        self.tensors.get(id.0).ok_or_else(missing)
    }

    fn make(
        &self,
        made: &mut [bool],
        id: TensorId,
        place: impl Fn() -> String,
    ) -> Result<&TensorInfo, GraphError> {
        let info = self.find(id, place)?;
        if std::mem::replace(&mut made[id.0], true) {
            return Err(GraphError::MadeTwice {
                tensor: info.name.clone(),
            });
        }
        Ok(info)
    }

    /// Computes every tensor from the graph's inputs, in [`Graph::tensors`] order.
    ///
    /// # Errors
    /// [`GraphError::Count`] and [`GraphError::Given`] for inputs that do not fit, and what [`Graph::validate`] finds.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, GraphError> {
        self.validate()?;
        if inputs.len() != self.inputs.len() {
            return Err(GraphError::Count {
                expected: self.inputs.len(),
                actual: inputs.len(),
            });
        }
        let mut values: Vec<Option<Tensor>> = vec![None; self.tensors.len()];
        for (port, tensor) in self.inputs.iter().zip(inputs) {
            self.tensor(port.tensor).check(tensor)?;
            values[port.tensor.0] = Some(tensor.clone());
        }
        for node in &self.nodes {
            let data = node
                .inputs
                .iter()
                .filter_map(|id| values[id.0].as_ref())
                .map(Tensor::data);
            let named = |source| GraphError::Op {
                node: node.name.clone(),
                source,
            };
            let y = node.op.reference(&data.collect::<Vec<_>>()).map_err(named)?;
            let info = self.tensor(node.output);
            let named = |source| GraphError::Tensor {
                node: node.name.clone(),
                source,
            };
            values[node.output.0] = Some(Tensor::new(info.shape.clone(), info.dtype, y).map_err(named)?);
        }
        let missing = |info: &TensorInfo| GraphError::NeverMade {
            tensor: info.name.clone(),
        };
        values
            .into_iter()
            .zip(&self.tensors)
            .map(|(value, info)| value.ok_or_else(|| missing(info)))
            .collect()
    }

    /// The output ports' values, from the tensors that [`Graph::run`] returned.
    ///
    /// # Errors
    /// [`GraphError::Count`], [`GraphError::Given`], [`GraphError::Tail`].
    pub fn outputs(&self, values: &[Tensor]) -> Result<Vec<Value>, GraphError> {
        self.check_values(values)?;
        let apply = |port: &OutputPort| {
            self.find(port.tensor, || format!("output `{}`", port.name))?;
            let named = |source| GraphError::Tail {
                output: port.name.clone(),
                source,
            };
            tail::apply(&values[port.tensor.0], &port.tail).map_err(named)
        };
        self.outputs.iter().map(apply).collect()
    }

    /// Where the runtime is known to differ on this run, node by node, each node judged on the given values of its own
    /// inputs. Empty: every operator of this run is bit-exact to the runtime.
    ///
    /// # Errors
    /// [`GraphError::Count`] and [`GraphError::Given`] for values that are not this graph's,
    /// and what [`Graph::validate`] finds.
    pub fn differing(&self, values: &[Tensor]) -> Result<Vec<NodeDifference>, GraphError> {
        self.validate()?;
        self.check_values(values)?;
        let mut found = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let inputs: Vec<&[i32]> = node.inputs.iter().map(|id| values[id.0].data()).collect();
            let infos: Vec<&TensorInfo> = node.inputs.iter().map(|&id| self.tensor(id)).collect();
            let named = |source| GraphError::Op {
                node: node.name.clone(),
                source,
            };
            let differences = node
                .op
                .differing(&inputs, &infos, self.tensor(node.output))
                .map_err(named)?;
            found.extend(differences.into_iter().map(|d| NodeDifference {
                node: index,
                index: d.index,
                proved: d.proved,
                runtime: d.runtime,
            }));
        }
        Ok(found)
    }

    fn check_values(&self, values: &[Tensor]) -> Result<(), GraphError> {
        if values.len() != self.tensors.len() {
            return Err(GraphError::Count {
                expected: self.tensors.len(),
                actual: values.len(),
            });
        }
        self.tensors
            .iter()
            .zip(values)
            .try_for_each(|(info, value)| info.check(value))
    }
}
