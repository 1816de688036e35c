//! Import of model files into the integer [`crate::graph::Graph`].
//!
//! A file comes from outside: every reader here is bounded in bytes, nesting and memory, returns a typed
//! error on anything that it does not take, and never panics. What is taken is taken exactly.

mod error;
pub mod onnx;

pub use error::{ImportError, NodeRef};
