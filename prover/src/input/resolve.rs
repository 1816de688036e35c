//! Arrays of a file to the integer tensors of a graph's ports.
//!
//! The type of the elements decides. Floats are real values, quantized as the runtimes do:
//! `clamp(round_half_even(x / S) + z)`, the division in single precision. Integers are taken as quantized already. Booleans
//! are refused. JSON numbers have no type: for an input that the graph takes as floats all are floats; for one that it takes
//! as integers they are integers, unless one of them has a fraction or an exponent: then all are floats.

use super::port::{Port, Target, find, refuse_others};
use super::{ElementType, InputError, InputFile, InputKind, NamedArray};
use inferproof_circuits::batch::stacked_shape;
use inferproof_circuits::graph::{Graph, OutputPort};
use inferproof_circuits::tensor::{DType, Tensor};

/// What a caller says that one of the graph's outputs is.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim<'a> {
    /// The proved integer tensor.
    Quantized(Tensor),
    /// The graph's output after the operators that are computed in the clear; to be compared with their result.
    /// Its shape is not checked here.
    AfterTail(&'a NamedArray),
}

/// An input, and what it was taken as.
#[derive(Debug, Clone, PartialEq)]
pub struct TakenInput {
    /// The integers.
    pub tensor: Tensor,
    /// Where they come from.
    pub kind: InputKind,
}

pub(super) fn input_ports(graph: &Graph) -> Vec<Port<'_>> {
    let ports = graph.inputs.iter();
    ports
        .map(|p| Port {
            name: &p.name,
            tensor: p.tensor,
            float: p.float,
        })
        .collect()
}

fn take_inputs(file: &InputFile, graph: &Graph) -> Result<Vec<TakenInput>, InputError> {
    let ports = input_ports(graph);
    let resolve = |port: &Port| {
        let array = find(file, &ports, port)?;
        let (tensor, kind) = Target::new(file, array, port, graph)?.input(port.float)?;
        Ok(TakenInput { tensor, kind })
    };
    ports.iter().map(resolve).collect()
}

/// One tensor per input of the graph, in the graph's order: from the array with its name or, for the only input, the one
/// without a name (also NumPy's `arr_0`). Other arrays are ignored.
///
/// # Errors
/// [`InputError::Missing`], [`InputError::Shape`], [`InputError::Bool`], [`InputError::Range`],
/// [`InputError::NotANumber`] and [`InputError::Port`].
pub fn resolve_inputs(file: &InputFile, graph: &Graph) -> Result<Vec<Tensor>, InputError> {
    let taken = take_inputs(file, graph)?;
    Ok(taken.into_iter().map(|taken| taken.tensor).collect())
}

/// As [`resolve_inputs`], for a statement's inputs: no array may be left over.
///
/// # Errors
/// As [`resolve_inputs`], and [`InputError::Unknown`].
pub fn resolve_claimed_inputs(file: &InputFile, graph: &Graph) -> Result<Vec<Tensor>, InputError> {
    refuse_others(file, &input_ports(graph), "input")?;
    resolve_inputs(file, graph)
}

/// As [`resolve_inputs`], for a batch: each array holds the inferences' along its first axis. Also says what each was taken
/// as.
///
/// # Errors
/// As [`resolve_inputs`], and [`InputError::Batch`].
pub fn resolve_batch(file: &InputFile, graph: &Graph, batch: usize) -> Result<Vec<TakenInput>, InputError> {
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
    take_inputs(file, &edges)
}

/// What the arrays of the file say of each output of the graph, in the graph's order; found as for inputs. No array may be
/// left over.
///
/// An array of the proved tensor's own type is that tensor. For an output that has operators in the clear behind
/// it, any other array is their result. Floats are never quantized to a claim: a wrong one could become right.
///
/// # Errors
/// As [`resolve_inputs`], [`InputError::Type`] and [`InputError::Unknown`].
pub fn resolve_outputs<'a>(file: &'a InputFile, graph: &Graph) -> Result<Vec<Claim<'a>>, InputError> {
    let ports = graph.outputs.iter();
    let ports: Vec<Port> = ports
        .map(|p| Port {
            name: &p.name,
            tensor: p.tensor,
            float: false,
        })
        .collect();
    refuse_others(file, &ports, "output")?;
    let resolve = |(port, output): (&Port, &OutputPort)| {
        let array = find(file, &ports, port)?;
        let target = Target::new(file, array, port, graph)?;
        let own_type = match target.info.dtype {
            DType::U8 => ElementType::U8,
            DType::I8 => ElementType::I8,
        };
        if !output.tail.is_empty() && array.element != own_type {
            return Ok(Claim::AfterTail(array));
        }
        let tensor = target.integers("no output of the model has it")?;
        Ok(Claim::Quantized(tensor))
    };
    ports.iter().zip(&graph.outputs).map(resolve).collect()
}
