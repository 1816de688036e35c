//! ONNX files: QOperator form (QLinearConv, ...) and QDQ form (DequantizeLinear, float operator,
//! QuantizeLinear), opsets 10 to 21.
//!
//! The nodes are walked once, in the file's order. Each value of the file becomes a `value::Value`: a
//! constant, an 8-bit activation, a dequantized one, a float result that waits for its QuantizeLinear, or a
//! value of the tail that is computed in the clear. A QuantizeLinear turns a waiting result into an operator
//! of the `plan::Plan`; from the plan the integer graph is built.
//!
//! The arithmetic is that of onnxruntime's fused kernels, `S = f32(f32(x_scale * w_scale) / y_scale)`. Every
//! QuantizeLinear of the file is kept: where onnxruntime's optimizer drops one of two that follow each other
//! (`DoubleQDQPairsRemover`), the result here is that of the file, as onnxruntime gives it unoptimized.

use super::{ImportError, NodeRef};
use crate::graph::Graph;
use crate::quant::Rounding;
use crate::tensor::Shape;
use importer::Importer;
use prost::Message;
use std::collections::BTreeMap;

mod build;
mod clamp;
mod constant_sum;
mod consts;
mod emit;
mod fold;
mod importer;
mod linear;
mod node;
mod plan;
mod planes;
mod pool;
mod proto;
mod qdq;
mod qoperator;
mod sum;
mod tail;
mod value;
mod view;
mod wire;

pub use plan::{MAX_ACTIVATIONS, MAX_WEIGHTS};
pub use wire::{MAX_BYTES, MAX_DECODED, MAX_DEPTH, MAX_NODES};

/// Oldest and newest operator set that is taken.
pub const OPSETS: std::ops::RangeInclusive<i64> = 10..=21;

/// What the caller adds to the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Shapes for inputs whose dimensions the file leaves open, by input name; all dimensions, and every one
    /// that the file does fix must agree. An input not named here has its first dimension, if open, set to 1.
    pub input_shapes: BTreeMap<String, Shape>,
    /// What happens at accumulators that no integers round as the runtime does.
    pub rounding: Rounding,
}

/// Reads an ONNX model into the integer graph. An open batch dimension becomes 1.
///
/// # Errors
/// [`ImportError`]: the bytes are no model, pass a bound, or the network computes something that the integer
/// graph cannot do exactly. Nothing is approximated, and no bytes make it panic.
pub fn load(bytes: &[u8]) -> Result<Graph, ImportError> {
    load_with(bytes, &LoadOptions::default())
}

/// As [`load`], with shapes for open dimensions and the choice of the rounding.
///
/// # Errors
/// As [`load`]; also [`ImportError::GivenShape`], and [`ImportError::Op`] for strict rounding that an operator cannot
/// have.
pub fn load_with(bytes: &[u8], options: &LoadOptions) -> Result<Graph, ImportError> {
    wire::check(bytes)?;
    let model = proto::Model::decode(bytes)?;
    let version = opset(&model)?;
    let graph = model
        .graph
        .as_ref()
        .ok_or(ImportError::Missing { what: "graph" })?;
    Importer::new(graph, version, options)?.run(options.rounding)
}

/// Version of the default operator set.
fn opset(model: &proto::Model) -> Result<i64, ImportError> {
    let set = model
        .opset_import
        .iter()
        .find(|o| o.domain.is_empty() || o.domain == "ai.onnx");
    let version = set
        .ok_or(ImportError::Missing {
            what: "opset_import of the default domain",
        })?
        .version;
    if OPSETS.contains(&version) {
        Ok(version)
    } else {
        Err(ImportError::Opset { version })
    }
}
