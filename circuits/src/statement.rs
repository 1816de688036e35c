//! What a verifier must know of a network, and the instance column that states its public tensors.

use crate::circuit::CircuitParams;
use crate::tail::TailOp;
use crate::tensor::{DType, Shape, Tensor};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use serde::{Deserialize, Serialize};

/// A public tensor and how it relates to the graph's own port.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublicPort {
    /// Name.
    pub name: String,
    /// Shape.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
    /// Scale.
    pub scale: f32,
    /// Zero point.
    pub zero_point: i32,
    /// True when the graph's own port is float.
    pub float: bool,
    /// Operators in the clear after the proved tensor.
    pub tail: Vec<TailOp>,
}

/// What can be wrong with public tensors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Wrong number of values.
    #[error("{expected} public values are needed, {actual} were given")]
    Length {
        /// Needed.
        expected: usize,
        /// Given.
        actual: usize,
    },
}

/// The public description of a network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Version of the specification.
    pub version: u32,
    /// Log2 of the number of rows.
    pub k: u32,
    /// Parameters of the circuit.
    pub params: CircuitParams,
    /// Inputs.
    pub inputs: Vec<PublicPort>,
    /// Outputs.
    pub outputs: Vec<PublicPort>,
}

impl Descriptor {
    /// The instance column.
    ///
    /// # Errors
    /// [`StatementError::Length`].
    pub fn instance(&self, inputs: &[Tensor], outputs: &[Tensor]) -> Result<Vec<Fr>, StatementError> {
        let ports = self.inputs.iter().chain(&self.outputs);
        let expected = ports.map(|p| p.shape.len()).sum();
        let mut column = Vec::new();
        for value in inputs.iter().chain(outputs).flat_map(Tensor::data) {
            let magnitude = Fr::from(u64::from(value.unsigned_abs()));
            column.push(if *value < 0 {
                Fr::ZERO - magnitude
            } else {
                magnitude
            });
        }
        if column.len() != expected {
            return Err(StatementError::Length {
                expected,
                actual: column.len(),
            });
        }
        Ok(column)
    }
}
