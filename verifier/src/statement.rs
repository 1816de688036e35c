//! The statement: public tensors against the model's ports, and the scalar that both sides absorb first.

use crate::error::{StatementMismatch, VerifyError};
use crate::key::VerifyingKey;
use crate::proof::Nonce;
use blake2b_simd::{Params, State};
use ff::FromUniformBytes;
use halo2_proofs::halo2curves::bn256::Fr;
use inferproof_circuits::{
    statement::{Descriptor, PublicPort},
    tensor::{DType, Tensor},
};

/// Separates this hash from every other use of Blake2b.
const PERSONAL: &[u8; 16] = b"inferproof-stmt\0";
/// Version of what is hashed.
const STATEMENT_VERSION: u32 = 1;
/// Values that are given to the hash in one piece.
const HASHED_AT_ONCE: usize = 256;
/// Name of the side of a statement, for messages.
pub(crate) const INPUTS: &str = "input";
/// As [`INPUTS`].
pub(crate) const OUTPUTS: &str = "output";

/// The scalar that prover and verifier absorb before anything else: a 512-bit Blake2b hash, reduced, over
/// domain, versions, model id, SRS digest, backend, and name, shape, type, quantization and values of every
/// public tensor (of a batch: of the stack of all its inferences), then the nonce. Every variable-length part follows its length.
///
/// # Errors
/// [`VerifyError::Statement`] when the tensors do not have the model's number, shapes or types.
pub fn statement_scalar(
    key: &VerifyingKey,
    inputs: &[Tensor],
    outputs: &[Tensor],
    nonce: Option<&Nonce>,
) -> Result<Fr, VerifyError> {
    let descriptor = key.descriptor();
    check_tensors(INPUTS, descriptor, &descriptor.inputs, inputs)?;
    check_tensors(OUTPUTS, descriptor, &descriptor.outputs, outputs)?;
    let mut hash = Params::new().hash_length(64).personal(PERSONAL).to_state();
    hash.update(&STATEMENT_VERSION.to_le_bytes());
    hash.update(&descriptor.version.to_le_bytes());
    hash.update(key.id().as_bytes());
    hash.update(&key.srs().digest());
    hash.update(&[u8::from(key.srs().is_insecure()), key.backend().code()]);
    for (ports, tensors) in [(&descriptor.inputs, inputs), (&descriptor.outputs, outputs)] {
        hash.update(&len_bytes(tensors.len()));
        ports
            .iter()
            .zip(tensors)
            .for_each(|(port, tensor)| absorb_tensor(&mut hash, port, tensor));
    }
    match nonce {
        None => hash.update(&[0]),
        Some(nonce) => hash.update(&[1]).update(nonce),
    };
    Ok(Fr::from_uniform_bytes(hash.finalize().as_array()))
}

/// A length as eight bytes.
pub(crate) fn len_bytes(len: usize) -> [u8; 8] {
    let mut bytes = [0; 8];
    let len = len.to_le_bytes();
    bytes[..len.len()].copy_from_slice(&len);
    bytes
}

/// Byte that stands for an element type in proof files and hashes.
pub(crate) const fn dtype_code(dtype: DType) -> u8 {
    match dtype {
        DType::U8 => 0,
        DType::I8 => 1,
    }
}

fn absorb_tensor(hash: &mut State, port: &PublicPort, tensor: &Tensor) {
    hash.update(&len_bytes(port.name.len()))
        .update(port.name.as_bytes());
    let dims = tensor.shape().dims();
    hash.update(&len_bytes(dims.len()));
    for dim in dims {
        hash.update(&len_bytes(*dim));
    }
    hash.update(&[dtype_code(port.dtype), u8::from(port.float)]);
    hash.update(&port.scale.to_bits().to_le_bytes());
    hash.update(&port.zero_point.to_le_bytes());
    hash.update(&len_bytes(tensor.data().len()));
    let mut bytes = [0; 4 * HASHED_AT_ONCE];
    for values in tensor.data().chunks(HASHED_AT_ONCE) {
        for (bytes, value) in bytes.chunks_exact_mut(4).zip(values) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        hash.update(&bytes[..4 * values.len()]);
    }
}

/// Checks the number of tensors of one side of the statement.
pub(crate) fn check_count(
    side: &'static str,
    expected: usize,
    actual: usize,
) -> Result<(), StatementMismatch> {
    if expected == actual {
        Ok(())
    } else {
        Err(StatementMismatch::Count {
            side,
            expected,
            actual,
        })
    }
}

/// Checks number, shapes, types and ranges of tensors against the model's ports.
fn check_tensors(
    side: &'static str,
    descriptor: &Descriptor,
    ports: &[PublicPort],
    tensors: &[Tensor],
) -> Result<(), StatementMismatch> {
    check_count(side, ports.len(), tensors.len())?;
    for (index, (port, tensor)) in ports.iter().zip(tensors).enumerate() {
        // A descriptor whose ports have no stacked shape is refused when the key is read.
        let expected = descriptor
            .stated_shape(port)
            .unwrap_or_else(|_| port.shape.clone());
        if expected != *tensor.shape() {
            let actual = tensor.shape().clone();
            return Err(StatementMismatch::Shape {
                side,
                index,
                expected,
                actual,
            });
        }
        if port.dtype != tensor.dtype() {
            return Err(StatementMismatch::DType { side, index });
        }
        let range = port.dtype.min()..=port.dtype.max();
        let in_range = tensor.data().iter().all(|value| range.contains(value));
        if tensor.data().len() != expected.len() || !in_range {
            return Err(StatementMismatch::Data { side, index });
        }
    }
    Ok(())
}

/// The instance column of the statement, exactly as long as the descriptor makes it.
pub(crate) fn instance_column(
    key: &VerifyingKey,
    inputs: &[Tensor],
    outputs: &[Tensor],
) -> Result<Vec<Fr>, StatementMismatch> {
    let column = key.descriptor().instance(inputs, outputs);
    let column = column.map_err(|source| StatementMismatch::Instance { source })?;
    let rows = key.descriptor().instance_rows();
    if column.len() != rows {
        return Err(StatementMismatch::Rows {
            rows,
            actual: column.len(),
        });
    }
    Ok(column)
}

/// Rows beyond the usable ones would alias others, or blinding rows.
pub(crate) fn check_rows(key: &VerifyingKey, column: &[Fr]) -> Result<(), StatementMismatch> {
    let rows = key.usable_rows();
    if column.len() > rows {
        return Err(StatementMismatch::Rows {
            rows,
            actual: column.len(),
        });
    }
    Ok(())
}
