//! Integer graphs of quantized networks, their import from ONNX, and the circuit that proves them.

pub mod circuit;
pub mod graph;
#[cfg(feature = "import")]
pub mod import;
pub mod ops;
pub mod quant;
pub mod statement;
pub mod tail;
pub mod tensor;
