//! The walk over the nodes: inputs, the choice of a reader for each operator, outputs.

use super::consts::{self, Const};
use super::node::NodeView;
use super::plan::Plan;
use super::proto;
use super::value::{FloatInput, Int, Value};
use super::{ImportError, LoadOptions};
use crate::graph::Graph;
use crate::import::error::short;
use crate::quant::Rounding;
use crate::statement::MAX_PORTS;
use crate::tail::TailOp;
use crate::tensor::{DType, Shape};
use std::collections::{HashMap, HashSet};

/// Largest number of values that constant folding may make in all.
const MAX_FOLDED: usize = 1 << 25;
/// Most views in a row that wait for a QuantizeLinear, and most operators in a row behind the last one.
const MAX_WAITING: usize = 64;

/// The state of the walk.
pub struct Importer<'m> {
    graph: &'m proto::Graph,
    opset: i64,
    initializers: HashMap<&'m str, &'m proto::Tensor>,
    values: HashMap<&'m str, Value>,
    folded: usize,
    /// The integer graph so far.
    pub plan: Plan,
    /// Tensor of each float input once it is quantized: input, tensor.
    pub quantized_inputs: HashMap<usize, usize>,
    /// Operators already made from a waiting result.
    pub made: HashMap<super::emit::MadeKey, usize>,
}

impl<'m> Importer<'m> {
    /// Reads the inputs and initializers.
    pub fn new(graph: &'m proto::Graph, opset: i64, options: &LoadOptions) -> Result<Self, ImportError> {
        let mut importer = Self {
            graph,
            opset,
            initializers: HashMap::new(),
            values: HashMap::new(),
            folded: 0,
            plan: Plan::default(),
            quantized_inputs: HashMap::new(),
            made: HashMap::new(),
        };
        for tensor in &graph.initializer {
            if importer.initializers.insert(&tensor.name, tensor).is_some() {
                return Err(ImportError::Duplicate {
                    name: short(&tensor.name),
                });
            }
        }
        for (index, input) in graph.input.iter().enumerate() {
            if !importer.initializers.contains_key(input.name.as_str()) {
                importer.input(index, input, options)?;
            }
        }
        Ok(importer)
    }

    fn input(
        &mut self,
        index: usize,
        info: &'m proto::ValueInfo,
        options: &LoadOptions,
    ) -> Result<(), ImportError> {
        let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
        let unknown = |axis, found: &str, advice| ImportError::Dimension {
            input: short(&info.name),
            axis,
            found: found.to_owned(),
            advice,
        };
        let tensor = tensor.ok_or_else(|| unknown(0, "not a tensor", "only tensors are supported"))?;
        let shape = tensor
            .shape
            .as_ref()
            .ok_or_else(|| unknown(0, "not declared", ADVICE_DYNAMIC))?;
        let shape = input_shape(&info.name, shape, options)?;
        let value = match tensor.elem_type {
            1 => Value::Input(FloatInput {
                input: index,
                base: shape,
                steps: Vec::new(),
            }),
            2 => self.int_input(&info.name, shape, DType::U8)?,
            3 => self.int_input(&info.name, shape, DType::I8)?,
            code => {
                return Err(ImportError::ElementType {
                    tensor: short(&info.name),
                    code,
                });
            }
        };
        self.define(&info.name, value)
    }

    fn int_input(&mut self, name: &str, shape: Shape, dtype: DType) -> Result<Value, ImportError> {
        let tensor = self.plan.tensor(name, shape.clone(), dtype, None)?;
        self.plan.inputs.push((name.to_owned(), tensor, false));
        Ok(Value::Int(Int { tensor, shape, dtype }))
    }

    /// Name of graph input `index`.
    pub fn input_name(&self, index: usize) -> &'m str {
        self.graph.input.get(index).map_or("", |i| i.name.as_str())
    }

    /// Walks the nodes that the outputs need, and builds the graph.
    pub fn run(mut self, rounding: Rounding) -> Result<Graph, ImportError> {
        let needed = needed_nodes(self.graph);
        for (proto, needed) in self.graph.node.iter().zip(needed) {
            let node = NodeView {
                proto,
                opset: self.opset,
            };
            if !needed {
                continue;
            }
            if proto
                .attribute
                .iter()
                .any(|a| a.g.is_some() || !a.graphs.is_empty())
            {
                return Err(ImportError::Subgraph { at: node.at() });
            }
            let value = self.node(&node)?;
            self.define(node.output()?, value)?;
        }
        if self.graph.output.is_empty() {
            return Err(ImportError::Missing { what: "output" });
        }
        if self.graph.output.len() > MAX_PORTS {
            return Err(ImportError::TooMany {
                what: "outputs of the graph",
                limit: MAX_PORTS,
            });
        }
        for output in &self.graph.output {
            self.output(&output.name)?;
        }
        self.plan.drop_unused();
        self.plan.fold_clamps();
        self.plan.build(rounding)
    }

    fn define(&mut self, name: &'m str, value: Value) -> Result<(), ImportError> {
        // What waits for its QuantizeLinear, or is computed behind it, is kept with every value.
        let waiting = match &value {
            Value::Input(input) => input.steps.len(),
            Value::Pending(pending) => pending.steps.len(),
            Value::Tail(tail) => tail.ops.len(),
            _ => 0,
        };
        if waiting > MAX_WAITING {
            return Err(ImportError::TooMany {
                what: "views in a row without a QuantizeLinear, or operators in a row behind the last one",
                limit: MAX_WAITING,
            });
        }
        if self.initializers.contains_key(name) || self.values.insert(name, value).is_some() {
            return Err(ImportError::Duplicate { name: short(name) });
        }
        Ok(())
    }

    fn output(&mut self, name: &'m str) -> Result<(), ImportError> {
        let refuse = |what| ImportError::Output {
            output: short(name),
            what,
        };
        let (tensor, tail) = match self.values.get(name) {
            Some(Value::Int(v)) => (v.tensor, Vec::new()),
            Some(Value::Real(v)) => (v.tensor, vec![dequantize(v.quant.scale, v.quant.zero_point)]),
            Some(Value::Tail(v)) => (v.tensor, v.ops.clone()),
            Some(Value::Pending(p)) => {
                return Err(ImportError::Float {
                    at: p.at.clone(),
                    what: "its result is an output of the graph and is not quantized",
                });
            }
            Some(Value::Input(_)) => return Err(refuse("is an input of the graph")),
            Some(Value::Const(_) | Value::QuantConst(_)) => return Err(refuse("is a constant")),
            None => return Err(refuse("is made by no node")),
        };
        self.plan.outputs.push((name.to_owned(), tensor, tail));
        Ok(())
    }

    /// The value of input `index` of a node; `None` when the input is left out.
    pub fn optional(&mut self, node: &NodeView<'m>, index: usize) -> Result<Option<Value>, ImportError> {
        let Some(name) = node.input(index) else {
            return Ok(None);
        };
        if let Some(value) = self.values.get(name) {
            return Ok(Some(value.clone()));
        }
        let Some(tensor) = self.initializers.get(name) else {
            return Err(ImportError::Undefined {
                at: node.at(),
                input: short(name),
            });
        };
        let value = Value::Const(consts::decode(tensor, name)?);
        self.values.insert(name, value.clone());
        Ok(Some(value))
    }

    /// The value of input `index` of a node.
    pub fn value(&mut self, node: &NodeView<'m>, index: usize) -> Result<Value, ImportError> {
        self.optional(node, index)?.ok_or_else(|| ImportError::Lacks {
            at: node.at(),
            what: "an input",
        })
    }

    /// Input `index` of a node when it is a constant.
    pub fn constant(
        &mut self,
        node: &NodeView<'m>,
        index: usize,
        advice: &'static str,
    ) -> Result<Option<Const>, ImportError> {
        match self.optional(node, index)? {
            None => Ok(None),
            Some(Value::Const(c)) => Ok(Some(c)),
            Some(_) => Err(node.operand(index, advice)),
        }
    }

    /// Counts values that constant folding makes, scales, zero points and biases.
    pub fn count_folded(&mut self, count: usize) -> Result<(), ImportError> {
        self.folded = self.folded.saturating_add(count);
        if self.folded > MAX_FOLDED {
            return Err(ImportError::TooMany {
                what: "values in folded constants",
                limit: MAX_FOLDED,
            });
        }
        Ok(())
    }

    fn node(&mut self, node: &NodeView<'m>) -> Result<Value, ImportError> {
        if let Some(value) = self.fold(node)? {
            return Ok(value);
        }
        match (node.proto.domain.as_str(), node.op()) {
            ("" | "ai.onnx" | "com.microsoft", "QuantizeLinear") => self.quantize_linear(node),
            ("" | "ai.onnx" | "com.microsoft", "DequantizeLinear") => self.dequantize_linear(node),
            ("" | "ai.onnx", op) => self.default_domain(node, op),
            ("com.microsoft", op) => self.microsoft_domain(node, op),
            ("ai.onnx.ml", _) => Err(node.unsupported(
                "trees, linear classifiers and their scalers have no quantized form; only neural networks with int8 or uint8 activations are proved",
            )),
            _ => Err(node.unsupported("its domain is unknown; export the model with standard ONNX operators")),
        }
    }

    fn default_domain(&mut self, node: &NodeView<'m>, op: &str) -> Result<Value, ImportError> {
        match op {
            "Identity" | "Dropout" => self.identity(node),
            "Cast" => self.cast(node),
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Transpose" => self.view(node),
            "Relu" | "Clip" => self.clamp(node),
            "Conv" => self.conv(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matmul(node),
            "Add" => self.add(node),
            "MaxPool" | "GlobalMaxPool" => self.max_pool(node),
            "AveragePool" | "GlobalAveragePool" | "ReduceMean" => self.average_pool(node),
            "QLinearConv" => self.qlinear_conv(node),
            "QLinearMatMul" => self.qlinear_matmul(node),
            "Softmax" => self.softmax(node),
            "ArgMax" => self.arg_max(node),
            "DynamicQuantizeLinear" | "MatMulInteger" | "ConvInteger" => {
                Err(ImportError::Dynamic { at: node.at() })
            }
            "If" | "Loop" | "Scan" | "SequenceMap" => Err(ImportError::Subgraph { at: node.at() }),
            _ => Err(self.refuse(node)),
        }
    }

    fn microsoft_domain(&mut self, node: &NodeView<'m>, op: &str) -> Result<Value, ImportError> {
        match op {
            "QGemm" => self.qgemm(node),
            "QLinearAdd" => self.qlinear_add(node),
            "QLinearGlobalAveragePool" | "QLinearAveragePool" => self.qlinear_average_pool(node),
            "DynamicQuantizeMatMul" | "MatMulIntegerToFloat" | "DynamicQuantizeLSTM" | "MatMulNBits" => {
                Err(ImportError::Dynamic { at: node.at() })
            }
            "QLinearSoftmax" => Err(node.unsupported(
                "onnxruntime's integer softmax is not proved; leave Softmax out of the quantized operators so that it stays after the last DequantizeLinear",
            )),
            _ => Err(node.unsupported(
                "this integer operator is not supported yet; leave it out of the model, or replace it by convolutions, matrix products, additions, poolings, Relu and Clip",
            )),
        }
    }

    /// The refusal of an operator that no reader knows.
    fn refuse(&mut self, node: &NodeView<'m>) -> ImportError {
        if node.op() == "BatchNormalization" {
            return node.unsupported(
                "fold it into the convolution before it and quantize again (torch.nn.utils.fusion, or onnxruntime.quantization.shape_inference.quant_pre_process)",
            );
        }
        for index in 0..node.proto.input.len() {
            match self.optional(node, index) {
                Err(error) => return error,
                Ok(Some(Value::Input(_) | Value::Pending(_))) => {
                    return node.float_operand("its operands are not quantized");
                }
                Ok(_) => {}
            }
        }
        node.unsupported(
            "supported between DequantizeLinear and QuantizeLinear are Conv, Gemm, MatMul, Add, poolings, Relu, Clip and views; replace it or end the graph before it",
        )
    }
}

/// Advice for open dimensions.
const ADVICE_DYNAMIC: &str = "only the first dimension (the batch) may be open; fix the others with onnxruntime.tools.make_dynamic_shape_fixed, or give the input's shape when loading";

/// A [`TailOp::Dequantize`].
pub fn dequantize(scale: f32, zero_point: i32) -> TailOp {
    TailOp::Dequantize { scale, zero_point }
}

/// The shape of an input, its open batch dimension set to 1 or all dimensions as the caller says.
fn input_shape(name: &str, shape: &proto::TensorShape, options: &LoadOptions) -> Result<Shape, ImportError> {
    let fixed = |d: &proto::Dimension| {
        d.dim_value
            .filter(|v| *v > 0)
            .and_then(|v| usize::try_from(v).ok())
    };
    if let Some(given) = options.input_shapes.get(name) {
        let fits = given.dims().len() == shape.dim.len()
            && given
                .dims()
                .iter()
                .zip(&shape.dim)
                .all(|(g, d)| fixed(d).is_none_or(|f| f == *g));
        if fits {
            return Ok(given.clone());
        }
        return Err(ImportError::GivenShape {
            input: short(name),
            given: given.dims().to_vec(),
        });
    }
    let refuse = |axis, found, advice| ImportError::Dimension {
        input: short(name),
        axis,
        found,
        advice,
    };
    let mut dims = Vec::with_capacity(shape.dim.len().min(crate::tensor::MAX_RANK));
    for (axis, dim) in shape.dim.iter().enumerate() {
        match (fixed(dim), axis) {
            (Some(value), 0) if value != 1 && shape.dim.len() > 1 => {
                return Err(refuse(
                    0,
                    value.to_string(),
                    "one inference is proved at a time: export the model with batch 1 or an open batch",
                ));
            }
            (Some(value), _) => dims.push(value),
            (None, 0) => dims.push(1),
            (None, _) => {
                let found = dim
                    .dim_param
                    .as_deref()
                    .map_or_else(|| "open".to_owned(), |p| format!("open (`{}`)", short(p)));
                return Err(refuse(axis, found, ADVICE_DYNAMIC));
            }
        }
    }
    Shape::new(dims).map_err(|_| refuse(0, "empty or too large".to_owned(), "use a smaller input"))
}

/// For each node whether an output of the graph depends on it.
fn needed_nodes(graph: &proto::Graph) -> Vec<bool> {
    let mut names: HashSet<&str> = graph.output.iter().map(|o| o.name.as_str()).collect();
    let mut needed = vec![false; graph.node.len()];
    for (node, flag) in graph.node.iter().zip(&mut needed).rev() {
        if node
            .output
            .iter()
            .any(|o| !o.is_empty() && names.contains(o.as_str()))
        {
            *flag = true;
            names.extend(node.input.iter().map(String::as_str));
        }
    }
    needed
}
