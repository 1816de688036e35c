//! The proof file: a statement with its proof, ready to be sent.
//!
//! ```text
//! magic "INFPRF1\n" | version u32 LE | body (bincode 2, fixed-size little-endian integers):
//! backend u8 | model id 32 | verifying key bytes | inputs | outputs | nonce? | proof bytes
//! tensor: name | dimensions u64 | type u8 | one byte for each value
//! ```
//!
//! The verifying key in the file saves its transport; nobody has to trust it (see [`crate::Trusted`]).

use crate::backend::Backend;
use crate::bytes::{DIGEST_BYTES, Reader, decode, encode};
use crate::error::ProofFileError;
use crate::model_id::ModelId;
use crate::statement::dtype_code;
use inferproof_circuits::tensor::{DType, Shape, Tensor};
use serde::{Deserialize, Serialize};

/// Longest proof file that is read.
pub const MAX_PROOF_FILE_BYTES: usize = 16 << 20;
/// Binds a proof to a request: whoever asks for the proof draws it at random.
pub type Nonce = [u8; 32];

const MAGIC: &[u8; 8] = b"INFPRF1\n";
const FORMAT_VERSION: u32 = 1;

/// A public tensor under the name that the graph gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTensor {
    /// Name of the graph's input or output.
    pub name: String,
    /// The proved integers.
    pub tensor: Tensor,
}

/// A statement with its proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofFile {
    /// Commitment backend.
    pub backend: Backend,
    /// The model that the statement is about.
    pub model: ModelId,
    /// The model's verifying key, in its own encoding.
    pub key: Vec<u8>,
    /// Public inputs, in the model's order.
    pub inputs: Vec<NamedTensor>,
    /// Public outputs, in the model's order.
    pub outputs: Vec<NamedTensor>,
    /// What binds the proof to a request.
    pub nonce: Option<Nonce>,
    /// The proof's transcript.
    pub proof: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct WireFile {
    backend: u8,
    model: [u8; DIGEST_BYTES],
    key: Vec<u8>,
    inputs: Vec<WireTensor>,
    outputs: Vec<WireTensor>,
    nonce: Option<Nonce>,
    proof: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct WireTensor {
    name: String,
    dims: Vec<u64>,
    dtype: u8,
    data: Vec<u8>,
}

impl ProofFile {
    /// The one encoding of the file.
    ///
    /// # Errors
    /// [`ProofFileError::TooLong`] and [`ProofFileError::Tensor`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, ProofFileError> {
        let mut tensors = Vec::new();
        for (i, named) in self.inputs.iter().chain(&self.outputs).enumerate() {
            tensors.push(pack(i, named)?);
        }
        let outputs = tensors.split_off(self.inputs.len());
        let wire = WireFile {
            backend: self.backend.code(),
            model: *self.model.as_bytes(),
            key: self.key.clone(),
            inputs: tensors,
            outputs,
            nonce: self.nonce,
            proof: self.proof.clone(),
        };
        let body = encode::<MAX_PROOF_FILE_BYTES, _>(&wire).ok_or(ProofFileError::Body)?;
        let bytes = [MAGIC.as_slice(), &FORMAT_VERSION.to_le_bytes(), &body].concat();
        if bytes.len() > MAX_PROOF_FILE_BYTES {
            return Err(ProofFileError::TooLong { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads a file. Never panics, and allocates in proportion to [`MAX_PROOF_FILE_BYTES`] at most.
    ///
    /// # Errors
    /// [`ProofFileError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProofFileError> {
        if bytes.len() > MAX_PROOF_FILE_BYTES {
            return Err(ProofFileError::TooLong { bytes: bytes.len() });
        }
        let mut reader = Reader::new(bytes);
        if reader.slice(MAGIC.len()) != Some(MAGIC.as_slice()) {
            return Err(ProofFileError::Magic);
        }
        let version = reader.u32().ok_or(ProofFileError::Body)?;
        if version != FORMAT_VERSION {
            return Err(ProofFileError::Version {
                version,
                supported: FORMAT_VERSION,
            });
        }
        let body = reader.slice(reader.len()).ok_or(ProofFileError::Body)?;
        let wire = decode::<MAX_PROOF_FILE_BYTES, WireFile>(body).ok_or(ProofFileError::Body)?;
        Self::from_wire(wire)
    }

    fn from_wire(wire: WireFile) -> Result<Self, ProofFileError> {
        let code = wire.backend;
        let backend = Backend::from_code(code).ok_or(ProofFileError::Backend { code })?;
        let num_inputs = wire.inputs.len();
        let wires = wire.inputs.into_iter().chain(wire.outputs).enumerate();
        let mut inputs = wires
            .map(|(i, tensor)| unpack(i, tensor))
            .collect::<Result<Vec<_>, _>>()?;
        let outputs = inputs.split_off(num_inputs);
        let model = ModelId::from_bytes(wire.model);
        Ok(Self {
            backend,
            model,
            key: wire.key,
            inputs,
            outputs,
            nonce: wire.nonce,
            proof: wire.proof,
        })
    }

    /// The input tensors without their names.
    #[must_use]
    pub fn input_tensors(&self) -> Vec<Tensor> {
        self.inputs.iter().map(|named| named.tensor.clone()).collect()
    }

    /// The output tensors without their names.
    #[must_use]
    pub fn output_tensors(&self) -> Vec<Tensor> {
        self.outputs.iter().map(|named| named.tensor.clone()).collect()
    }
}

fn pack(index: usize, named: &NamedTensor) -> Result<WireTensor, ProofFileError> {
    let tensor = &named.tensor;
    let fault = |what| ProofFileError::Tensor { tensor: index, what };
    let byte = |value: &i32| match tensor.dtype() {
        DType::U8 => u8::try_from(*value).ok(),
        DType::I8 => i8::try_from(*value).ok().map(|value| value.to_le_bytes()[0]),
    };
    let data = tensor
        .data()
        .iter()
        .map(byte)
        .collect::<Option<Vec<_>>>()
        .ok_or(fault("value"))?;
    let dims = tensor.shape().dims().iter().map(|dim| u64::try_from(*dim).ok());
    let dims = dims.collect::<Option<Vec<_>>>().ok_or(fault("shape"))?;
    Ok(WireTensor {
        name: named.name.clone(),
        dims,
        dtype: dtype_code(tensor.dtype()),
        data,
    })
}

fn unpack(index: usize, wire: WireTensor) -> Result<NamedTensor, ProofFileError> {
    let fault = |what| ProofFileError::Tensor { tensor: index, what };
    let dtype = [DType::U8, DType::I8]
        .into_iter()
        .find(|dtype| dtype_code(*dtype) == wire.dtype);
    let dtype = dtype.ok_or(fault("element type"))?;
    let value = |byte: &u8| match dtype {
        DType::U8 => i32::from(*byte),
        DType::I8 => i32::from(i8::from_le_bytes([*byte])),
    };
    let dims = wire
        .dims
        .iter()
        .map(|dim| usize::try_from(*dim).ok())
        .collect::<Option<Vec<_>>>();
    let shape = dims
        .and_then(|dims| Shape::new(dims).ok())
        .ok_or(fault("shape"))?;
    let data = wire.data.iter().map(value).collect();
    let tensor = Tensor::new(shape, dtype, data).map_err(|_| fault("number of values"))?;
    Ok(NamedTensor {
        name: wire.name,
        tensor,
    })
}
