//! Integer graphs of quantized networks, their import from ONNX, and the circuit that proves them.

pub mod assign;
pub mod batch;
mod chips;
pub mod circuit;
pub mod graph;
#[cfg(feature = "import")]
pub mod import;
pub mod ops;
pub mod params;
pub mod plan;
pub mod quant;
pub mod statement;
pub mod tail;
pub mod tensor;
#[cfg(any(test, feature = "test-dependencies"))]
pub mod testing;
