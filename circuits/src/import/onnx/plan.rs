//! The integer graph before its operators are built: what each will be built from, so that clamps can still
//! move into the operator before them and unused nodes can go.

use super::constant_sum::ConstantSum;
use super::value::{Average, Quant, Step};
use super::{ImportError, NodeRef};
use crate::ops::Window;
use crate::tail::TailOp;
use crate::tensor::{DType, Shape};

/// Largest number of activation values in all tensors together.
pub const MAX_ACTIVATIONS: usize = 1 << 26;
/// Largest number of weights in all operators together.
pub const MAX_WEIGHTS: usize = 1 << 26;
/// Largest number of tensors.
const MAX_TENSORS: usize = 1 << 17;

/// A tensor of the plan.
#[derive(Debug, Clone)]
pub struct PlanTensor {
    /// Name in the file.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Scale and zero point, once a node has told.
    pub quant: Option<Quant>,
}

/// What an operator is built from.
#[derive(Debug, Clone)]
pub enum Spec {
    /// [`Conv2d::new`].
    Conv {
        window: Window,
        c_in: usize,
        c_out: usize,
        groups: usize,
        linear: LinearSpec,
    },
    /// [`Dense::new`].
    Dense {
        rows: usize,
        k: usize,
        n: usize,
        linear: LinearSpec,
    },
    /// [`Add::new`].
    Add { a: Quant, b: Quant, y: Quant },
    /// A sum with a constant for each channel.
    AddConst { window: Window, sum: ConstantSum },
    /// [`Add::rescale`].
    Rescale { x: Quant, y: Quant },
    /// [`AvgPool::new`].
    AvgPool {
        window: Window,
        channels: usize,
        x: Quant,
        y: Quant,
        kind: Average,
    },
    /// [`MaxPool::new`].
    MaxPool { window: Window, channels: usize },
    /// [`View::identity`].
    Identity,
    /// [`View::transpose`].
    Transpose { dims: Vec<usize>, perm: Vec<usize> },
}

/// The part of a [`Spec`] that convolution and matrix product share.
#[derive(Debug, Clone)]
pub struct LinearSpec {
    /// Weights minus their zero point.
    pub weights: Vec<i32>,
    /// The activation's quantization.
    pub x: Quant,
    /// Bias, empty or one for each channel.
    pub bias: Vec<i64>,
    /// S for each channel, or one.
    pub scales: Vec<f32>,
    /// Output zero point.
    pub zero_point: i32,
}

/// A node of the plan.
#[derive(Debug, Clone)]
pub struct PlanNode {
    /// The node of the file.
    pub at: NodeRef,
    /// Its name in the file.
    pub name: String,
    /// The operator.
    pub spec: Spec,
    /// Clamp bounds, in quantized units; without meaning for max pool and views.
    pub bounds: (i32, i32),
    /// Tensors that it reads.
    pub inputs: Vec<usize>,
    /// Tensor that it makes.
    pub output: usize,
}

/// The plan.
#[derive(Debug, Default)]
pub struct Plan {
    pub tensors: Vec<PlanTensor>,
    pub nodes: Vec<PlanNode>,
    /// Graph inputs: name, tensor, whether the file's input is float.
    pub inputs: Vec<(String, usize, bool)>,
    /// Graph outputs: name, tensor, tail.
    pub outputs: Vec<(String, usize, Vec<TailOp>)>,
    /// For each tensor the node that makes it.
    maker: Vec<Option<usize>>,
    num_activations: usize,
    num_weights: usize,
}

impl Plan {
    /// A new tensor.
    pub fn tensor(
        &mut self,
        name: &str,
        shape: Shape,
        dtype: DType,
        quant: Option<Quant>,
    ) -> Result<usize, ImportError> {
        self.num_activations = self.num_activations.saturating_add(shape.len());
        if self.num_activations > MAX_ACTIVATIONS {
            return Err(ImportError::TooMany {
                what: "activation values",
                limit: MAX_ACTIVATIONS,
            });
        }
        if self.tensors.len() >= MAX_TENSORS {
            return Err(ImportError::TooMany {
                what: "tensors",
                limit: MAX_TENSORS,
            });
        }
        self.tensors.push(PlanTensor {
            name: name.to_owned(),
            shape,
            dtype,
            quant,
        });
        self.maker.push(None);
        Ok(self.tensors.len() - 1)
    }

    /// Appends a node.
    pub fn push(&mut self, node: PlanNode) {
        if let Some(maker) = self.maker.get_mut(node.output) {
            *maker = Some(self.nodes.len());
        }
        self.nodes.push(node);
    }

    /// Notes scale and zero point of a tensor that has none yet, and of what it is a view or max pool of. False
    /// when the tensor, or one of those, has others.
    pub fn set_quant(&mut self, tensor: usize, quant: Quant) -> bool {
        let mut tensor = Some(tensor);
        while let Some(index) = tensor {
            match self.tensors.get_mut(index) {
                Some(PlanTensor {
                    quant: Some(known), ..
                }) => return *known == quant,
                Some(t) => t.quant = Some(quant),
                None => return false,
            }
            let maker = self
                .maker
                .get(index)
                .copied()
                .flatten()
                .and_then(|n| self.nodes.get(n));
            tensor = maker.and_then(|n| n.inputs.first().copied());
        }
        true
    }

    /// Gives views and max pools the scale and zero point of what they read, where nothing else told.
    pub fn complete_quants(&mut self) {
        for node in &self.nodes {
            let known = node
                .inputs
                .first()
                .and_then(|i| self.tensors.get(*i))
                .and_then(|t| t.quant);
            if let Some(t) = self.tensors.get_mut(node.output) {
                t.quant = t.quant.or(known);
            }
        }
    }

    /// Counts weights before they are copied.
    pub fn count_weights(&mut self, count: usize) -> Result<(), ImportError> {
        self.num_weights = self.num_weights.saturating_add(count);
        if self.num_weights > MAX_WEIGHTS {
            return Err(ImportError::TooMany {
                what: "weights",
                limit: MAX_WEIGHTS,
            });
        }
        Ok(())
    }

    /// Appends the node of a view or max pool; returns its output, which is `input` itself when nothing moves.
    pub fn step(
        &mut self,
        input: usize,
        step: &Step,
        at: &NodeRef,
        name: &str,
    ) -> Result<usize, ImportError> {
        let Some(source) = self.tensors.get(input) else {
            return Err(ImportError::Missing {
                what: "tensor of a view",
            });
        };
        let (dtype, quant, from) = (source.dtype, source.quant, source.shape.clone());
        let spec = match step {
            Step::Reshape { shape } if *shape == from => return Ok(input),
            Step::Reshape { .. } => Spec::Identity,
            Step::Transpose { perm, .. } if keeps_order(from.dims(), perm) => {
                if *step.shape() == from {
                    return Ok(input);
                }
                Spec::Identity
            }
            Step::Transpose { perm, .. } => Spec::Transpose {
                dims: from.dims().to_vec(),
                perm: perm.clone(),
            },
            Step::MaxPool { window, channels, .. } => Spec::MaxPool {
                window: *window,
                channels: *channels,
            },
        };
        let output = self.tensor(name, step.shape().clone(), dtype, quant)?;
        self.push(PlanNode {
            at: at.clone(),
            name: at.name.clone(),
            spec,
            bounds: (dtype.min(), dtype.max()),
            inputs: vec![input],
            output,
        });
        Ok(output)
    }

    /// Removes the nodes that no output needs.
    pub fn drop_unused(&mut self) {
        let mut needed = vec![false; self.tensors.len()];
        for (_, tensor, _) in &self.outputs {
            mark(&mut needed, *tensor);
        }
        for node in self.nodes.iter().rev() {
            if needed.get(node.output) == Some(&true) {
                node.inputs.iter().for_each(|i| mark(&mut needed, *i));
            }
        }
        self.nodes.retain(|n| needed.get(n.output) == Some(&true));
        self.inputs.retain(|i| needed.get(i.1) == Some(&true));
    }

    /// Moves each clamp (a rescale whose parameters agree) into the operator that makes its input, through
    /// views and max pools, where nothing else reads the values between.
    pub fn fold_clamps(&mut self) {
        let mut readers = vec![0usize; self.tensors.len()];
        for tensor in self
            .nodes
            .iter()
            .flat_map(|n| &n.inputs)
            .chain(self.outputs.iter().map(|o| &o.1))
        {
            if let Some(count) = readers.get_mut(*tensor) {
                *count += 1;
            }
        }
        let mut maker: Vec<Option<usize>> = vec![None; self.tensors.len()];
        let mut folded = vec![false; self.nodes.len()];
        for (index, folded) in folded.iter_mut().enumerate() {
            let node = &self.nodes[index];
            let (output, bounds) = (node.output, node.bounds);
            let last = node.inputs.first().and_then(|t| maker.get(*t).copied().flatten());
            let made_by = match (self.clamp_target(node, &maker, &readers), last) {
                (Some(producer), Some(last)) => {
                    self.narrow(producer, bounds);
                    self.nodes[last].output = output;
                    *folded = true;
                    last
                }
                _ => index,
            };
            maker[output] = Some(made_by);
        }
        let mut folded = folded.into_iter();
        self.nodes.retain(|_| folded.next() != Some(true));
    }

    /// The operator that can take over the clamp of `node`, if `node` is a clamp.
    fn clamp_target(&self, node: &PlanNode, maker: &[Option<usize>], readers: &[usize]) -> Option<usize> {
        match &node.spec {
            Spec::Rescale { x, y } if x == y => {}
            _ => return None,
        }
        let mut tensor = *node.inputs.first()?;
        loop {
            if readers.get(tensor) != Some(&1) {
                return None;
            }
            let index = maker.get(tensor).copied().flatten()?;
            let producer = self.nodes.get(index)?;
            match producer.spec {
                Spec::MaxPool { .. } | Spec::Identity | Spec::Transpose { .. } => {
                    tensor = *producer.inputs.first()?;
                }
                _ => {
                    let lo = producer.bounds.0.max(node.bounds.0);
                    let hi = producer.bounds.1.min(node.bounds.1);
                    return (lo < hi).then_some(index);
                }
            }
        }
    }

    fn narrow(&mut self, index: usize, bounds: (i32, i32)) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.bounds = (node.bounds.0.max(bounds.0), node.bounds.1.min(bounds.1));
        }
    }
}

fn mark(needed: &mut [bool], tensor: usize) {
    if let Some(flag) = needed.get_mut(tensor) {
        *flag = true;
    }
}

/// Whether a transposition moves only axes of length 1.
pub fn keeps_order(dims: &[usize], perm: &[usize]) -> bool {
    let moved: Vec<usize> = perm
        .iter()
        .copied()
        .filter(|p| dims.get(*p) != Some(&1))
        .collect();
    moved.is_sorted()
}
