//! Arrays of a file to the integer tensors of a graph's ports.
//!
//! Floats are quantized as the runtimes do: `clamp(round_half_even(x / S) + z)`, the division in single precision.
//! Typed integers are taken as quantized already. JSON numbers have no type: for a graph input that is float they
//! are real values, also when all are whole; for one that is integer they must be integers.

use super::{ArrayData, ElementType, InputError, InputFile, NamedArray};
use inferproof_circuits::batch::stacked_shape;
use inferproof_circuits::graph::{Graph, TensorId, TensorInfo};
use inferproof_circuits::tensor::{DType, Tensor};

/// Name that NumPy gives to the first array of `numpy.savez(file, array)`.
const NUMPY_FIRST_NAME: &str = "arr_0";

/// What a caller says that one of the graph's outputs is.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim<'a> {
    /// The proved integer tensor.
    Quantized(Tensor),
    /// The graph's output after the operators that are computed in the clear; to be compared with their result.
    /// Its shape is not checked here.
    AfterTail(&'a NamedArray),
}

/// A place in the graph for which an array is looked up.
struct Port<'a> {
    name: &'a str,
    tensor: TensorId,
    float: bool,
}

/// One tensor per input of the graph, in the graph's order. Arrays that no input has the name of are ignored; an
/// array without a name (or the only one, when NumPy named it) fits a graph with one input, and so does the only one of
/// that input's shape.
///
/// # Errors
/// [`InputError::Missing`], [`InputError::Shape`], [`InputError::Type`], [`InputError::Range`],
/// [`InputError::NotANumber`] and [`InputError::Port`].
pub fn resolve_inputs(file: &InputFile, graph: &Graph) -> Result<Vec<Tensor>, InputError> {
    let ports: Vec<Port> = graph
        .inputs
        .iter()
        .map(|p| Port {
            name: &p.name,
            tensor: p.tensor,
            float: p.float,
        })
        .collect();
    let resolve = |port| {
        let array = find(file, &ports, port, graph)?;
        Target::new(file, array, port, graph)?.tensor(array, port.float)
    };
    ports.iter().map(resolve).collect()
}

/// As [`resolve_inputs`], for a batch: each array holds the inferences' along its first axis.
///
/// # Errors
/// As [`resolve_inputs`], and [`InputError::Batch`].
pub fn resolve_batch(file: &InputFile, graph: &Graph, batch: usize) -> Result<Vec<Tensor>, InputError> {
    let mut edges = Graph {
        tensors: graph.tensors.clone(),
        nodes: Vec::new(),
        inputs: graph.inputs.clone(),
        outputs: Vec::new(),
    };
    for port in &graph.inputs {
        if let Some(info) = edges.tensors.get_mut(port.tensor.0) {
            info.shape = stacked_shape(&info.shape, batch).map_err(|_| InputError::Batch {
                port: port.name.clone(),
                batch,
            })?;
        }
    }
    resolve_inputs(file, &edges)
}

/// What the arrays of the file say of each output of the graph, in the graph's order; found as for inputs.
///
/// An array of the proved tensor's own type is that tensor. For an output that has operators in the clear behind
/// it, any other array is their result. Floats are never quantized to a claim: a wrong one could become right.
///
/// # Errors
/// As [`resolve_inputs`].
pub fn resolve_outputs<'a>(file: &'a InputFile, graph: &Graph) -> Result<Vec<Claim<'a>>, InputError> {
    let ports: Vec<Port> = graph
        .outputs
        .iter()
        .map(|p| Port {
            name: &p.name,
            tensor: p.tensor,
            float: false,
        })
        .collect();
    let resolve = |(port, output): (&Port, &inferproof_circuits::graph::OutputPort)| {
        let array = find(file, &ports, port, graph)?;
        let target = Target::new(file, array, port, graph)?;
        let own_type = match target.info.dtype {
            DType::U8 => ElementType::U8,
            DType::I8 => ElementType::I8,
        };
        if !output.tail.is_empty() && array.element != own_type {
            return Ok(Claim::AfterTail(array));
        }
        target.integers(array).map(Claim::Quantized)
    };
    ports.iter().zip(&graph.outputs).map(resolve).collect()
}

/// The array for a port: by its name, or the only one that can be meant.
fn find<'a>(
    file: &'a InputFile,
    ports: &[Port],
    port: &Port,
    graph: &Graph,
) -> Result<&'a NamedArray, InputError> {
    let wanted = graph.tensors.get(port.tensor.0).map(|info| info.shape.dims());
    if let Some(array) = file.arrays.iter().find(|a| a.name.as_deref() == Some(port.name)) {
        return Ok(array);
    }
    if let ([array], [_]) = (file.arrays.as_slice(), ports)
        && array.name.as_deref().is_none_or(|name| name == NUMPY_FIRST_NAME)
    {
        return Ok(array);
    }
    if let Some(array) = only_of_shape(file, ports, wanted) {
        return Ok(array);
    }
    let name = |a: &NamedArray| {
        let name = a.name.clone();
        let name = name.unwrap_or_else(|| "an array without a name".to_owned());
        format!("{name} {:?}", a.shape)
    };
    Err(InputError::Missing {
        path: file.path.clone(),
        port: port.name.to_owned(),
        found: file.arrays.iter().map(name).collect(),
        wanted: ports.iter().map(|p| p.name.to_owned()).collect(),
    })
}

/// The one array of the shape that the graph's one port has.
fn only_of_shape<'a>(
    file: &'a InputFile,
    ports: &[Port],
    wanted: Option<&[usize]>,
) -> Option<&'a NamedArray> {
    let wanted = wanted.filter(|_| ports.len() == 1)?;
    let mut fitting = file.arrays.iter().filter(|a| is_same_shape(&a.shape, wanted));
    fitting.next().filter(|_| fitting.next().is_none())
}

/// The tensor that an array is to become, with what messages need.
struct Target<'a> {
    file: &'a InputFile,
    array: String,
    info: &'a TensorInfo,
}

impl<'a> Target<'a> {
    fn new(
        file: &'a InputFile,
        array: &NamedArray,
        port: &Port,
        graph: &'a Graph,
    ) -> Result<Self, InputError> {
        let name = array.name.clone().unwrap_or_else(|| port.name.to_owned());
        let info = graph.tensors.get(port.tensor.0).filter(|info| is_usable(info));
        let info = info.ok_or_else(|| InputError::Port {
            port: port.name.to_owned(),
        })?;
        Ok(Self {
            file,
            array: name,
            info,
        })
    }

    fn tensor(&self, array: &NamedArray, float_port: bool) -> Result<Tensor, InputError> {
        let json_fraction = array.element == ElementType::Json && matches!(array.data, ArrayData::F64(_));
        if json_fraction && !float_port {
            return Err(self.wrong_type(array));
        }
        match &array.data {
            ArrayData::I64(_) if array.element == ElementType::Json && float_port => self.quantize(array),
            ArrayData::I64(_) => self.integers(array),
            ArrayData::F32(_) | ArrayData::F64(_) => self.quantize(array),
        }
    }

    fn wrong_type(&self, array: &NamedArray) -> InputError {
        InputError::Type {
            path: self.file.path.clone(),
            array: self.array.clone(),
            found: array.element,
            wanted: format!("integers of {}", self.info.dtype),
        }
    }

    fn integers(&self, array: &NamedArray) -> Result<Tensor, InputError> {
        let ArrayData::I64(values) = &array.data else {
            return Err(self.wrong_type(array));
        };
        let (lo, hi) = (self.info.dtype.min(), self.info.dtype.max());
        let fit = |(index, value): (usize, &i64)| {
            let fitting = i32::try_from(*value).ok().filter(|v| (lo..=hi).contains(v));
            fitting.ok_or_else(|| InputError::Range {
                path: self.file.path.clone(),
                array: self.array.clone(),
                index,
                value: *value,
                wanted: self.info.dtype.to_string(),
            })
        };
        let data: Result<Vec<i32>, InputError> = values.iter().enumerate().map(fit).collect();
        self.finish(array, data?)
    }

    fn quantize(&self, array: &NamedArray) -> Result<Tensor, InputError> {
        let nan = |index| InputError::NotANumber {
            path: self.file.path.clone(),
            array: self.array.clone(),
            index,
        };
        let one = |(index, x)| quantize(x, self.info).ok_or_else(|| nan(index));
        let data: Result<Vec<i32>, InputError> =
            array.data.to_f32().into_iter().enumerate().map(one).collect();
        self.finish(array, data?)
    }

    fn finish(&self, array: &NamedArray, data: Vec<i32>) -> Result<Tensor, InputError> {
        let shape = InputError::Shape {
            path: self.file.path.clone(),
            array: self.array.clone(),
            found: array.shape.clone(),
            wanted: self.info.shape.dims().to_vec(),
        };
        if !is_same_shape(&array.shape, self.info.shape.dims()) {
            return Err(shape);
        }
        Tensor::new(self.info.shape.clone(), self.info.dtype, data).map_err(|_| shape)
    }
}

/// Whether the tensor's scale and zero point are ones that values can be quantized with.
fn is_usable(info: &TensorInfo) -> bool {
    let range = info.dtype.min()..=info.dtype.max();
    info.scale.is_finite() && info.scale > 0.0 && range.contains(&info.zero_point)
}

/// Equal, or equal after a leading 1 of one of them, or after a 1 behind the first axis of `found`: samples of a batch
/// that have a batch axis of their own.
fn is_same_shape(found: &[usize], wanted: &[usize]) -> bool {
    let of_samples = match (found, wanted) {
        ([samples, 1, found @ ..], [batch, wanted @ ..]) => samples == batch && found == wanted,
        _ => false,
    };
    found == wanted
        || found.split_first() == Some((&1, wanted))
        || wanted.split_first() == Some((&1, found))
        || of_samples
}

/// `clamp(round_half_even(x / S) + z)`; none for NaN. Infinities clamp.
#[allow(
    clippy::cast_possible_truncation,
    reason = "clamped to at most 256 integers around zero, which both types hold exactly"
)]
fn quantize(x: f32, info: &TensorInfo) -> Option<i32> {
    let steps = (x / info.scale).round_ties_even();
    if steps.is_nan() {
        return None;
    }
    let lo = info.dtype.min() - info.zero_point;
    let hi = info.dtype.max() - info.zero_point;
    Some(steps.clamp(lo as f32, hi as f32) as i32 + info.zero_point)
}
