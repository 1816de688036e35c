//! What the caller says that a statement must be.

use super::Claims;
use crate::cli::error::CliError;
use inferproof_circuits::batch::depth;
use inferproof_circuits::graph::{Graph, InputPort, OutputPort, TensorId, TensorInfo};
use inferproof_circuits::statement::PublicPort;
use inferproof_circuits::tail::Value;
use inferproof_circuits::tensor::Tensor;
use inferproof_prover::input::{
    ArrayData, Claim, NamedArray, resolve_claimed_inputs, resolve_inputs, resolve_outputs, take_samples,
};
use inferproof_verifier::Verified;

/// Compares the statement with what the caller says it must be.
pub fn check(claims: &Claims, verified: &Verified) -> Result<(), CliError> {
    let graph = edges(verified);
    if let Some(arrays) = &claims.inputs {
        let inputs = match claims.sample {
            Some(sample) => {
                let batch = (verified.inputs.first()).map_or(1, |(port, tensor)| depth(tensor, &port.shape));
                resolve_inputs(&take_samples(arrays, &graph, sample, batch)?, &graph)?
            }
            None => resolve_claimed_inputs(arrays, &graph)?,
        };
        for ((port, tensor), expected) in verified.inputs.iter().zip(&inputs) {
            if tensor != expected {
                return Err(CliError::claim("input", &port.name));
            }
        }
    }
    let Some(arrays) = &claims.outputs else {
        return Ok(());
    };
    let claims = resolve_outputs(arrays, &graph)?;
    let finals = verified.final_outputs()?;
    for (((port, tensor), claim), value) in verified.outputs.iter().zip(&claims).zip(&finals) {
        let holds = match claim {
            Claim::Quantized(expected) => tensor == expected,
            Claim::AfterTail(array) => is_value(array, value),
        };
        if !holds {
            return Err(CliError::claim("output", &port.name));
        }
    }
    Ok(())
}

/// Whether the array has the value's shape and numbers, compared in the value's own type.
fn is_value(array: &NamedArray, value: &Value) -> bool {
    if array.shape != value.shape().dims() {
        return false;
    }
    match (value, &array.data) {
        (Value::Float { data, .. }, _) => array.data.to_f32() == *data,
        (Value::Index { data, .. }, ArrayData::I64(found)) => found == data,
        (Value::Quantized(tensor), ArrayData::I64(found)) => found
            .iter()
            .copied()
            .eq(tensor.data().iter().map(|v| i64::from(*v))),
        _ => false,
    }
}

/// The public edges of a network, as a graph without operators; those of a batch are stacked.
fn edges(verified: &Verified) -> Graph {
    let info = |(port, tensor): &(PublicPort, Tensor)| TensorInfo {
        name: port.name.clone(),
        shape: tensor.shape().clone(),
        dtype: port.dtype,
        scale: port.scale,
        zero_point: port.zero_point,
    };
    let ports = |list: &[(PublicPort, Tensor)]| list.iter().map(|(port, _)| port.clone()).collect::<Vec<_>>();
    let (ins, outs) = (ports(&verified.inputs), ports(&verified.outputs));
    Graph {
        tensors: (verified.inputs.iter().chain(&verified.outputs))
            .map(info)
            .collect(),
        nodes: Vec::new(),
        inputs: (ins.iter().enumerate())
            .map(|(i, port)| InputPort {
                name: port.name.clone(),
                tensor: TensorId(i),
                float: port.float,
            })
            .collect(),
        outputs: (outs.iter().enumerate())
            .map(|(i, port)| OutputPort {
                name: port.name.clone(),
                tensor: TensorId(ins.len() + i),
                tail: port.tail.clone(),
            })
            .collect(),
    }
}
