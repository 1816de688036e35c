//! What can be wrong with keys, proof files, statements and proofs.

use crate::Backend;
use crate::key::MAX_KEY_BYTES;
use crate::model_id::ModelId;
use crate::proof::MAX_PROOF_FILE_BYTES;
use crate::srs::SrsVerifierError;
use inferproof_circuits::{statement::StatementError, tensor::Shape};

/// What is wrong with the encoding of a point of G1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PointError {
    /// The bytes stand for no point of the curve.
    #[error("the bytes are no point of the curve")]
    Encoding,
    /// The bytes stand for a point, but its encoding is another one.
    #[error("the bytes are not the point's canonical encoding")]
    NotCanonical,
    /// The point at infinity where it cannot be.
    #[error("it is the point at infinity")]
    Identity,
}

/// Why bytes or parts are no verifying key.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// More than [`MAX_KEY_BYTES`].
    #[error("a verifying key of {bytes} bytes is too long; the limit is {MAX_KEY_BYTES}")]
    TooLong {
        /// Length of the input.
        bytes: usize,
    },
    /// The input does not start as a verifying key does.
    #[error("this is no verifying key: its first bytes are not those of the format")]
    Magic,
    /// Another version of the format.
    #[error(
        "the verifying key has format version {version}, this program reads {supported}; make the key again"
    )]
    Version {
        /// Version in the input.
        version: u32,
        /// Version that is read.
        supported: u32,
    },
    /// The checksum does not fit the bytes.
    #[error("the verifying key is damaged: its SHA-256 checksum does not fit; take it from its maker again")]
    Checksum,
    /// The input ends inside a field.
    #[error("the verifying key ends inside its {field}")]
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// A part is not what its length says, or not in its one encoding.
    #[error("the verifying key's {field} cannot be decoded, or is not in canonical form")]
    Field {
        /// The field.
        field: &'static str,
    },
    /// A backend that this version does not know.
    #[error("the verifying key is for backend {code}, which this program does not know")]
    Backend {
        /// Code of the backend.
        code: u8,
    },
    /// A descriptor that describes no model, or follows another circuit version.
    #[error("the verifying key's descriptor is refused: {source}")]
    Descriptor {
        /// Why.
        source: StatementError,
    },
    /// A text or list of the descriptor is longer than anyone needs.
    #[error(
        "the verifying key's public tensor {port} has a name or a list of trailing operators that is too long"
    )]
    Port {
        /// Number of the tensor, inputs first.
        port: usize,
    },
    /// The number of rows is not supported, or not that of the SRS.
    #[error(
        "the verifying key is for 2^{k} rows and its SRS for 2^{srs_k}; both must be equal and in 2^4 to 2^24"
    )]
    Rows {
        /// Log2 of the rows.
        k: u32,
        /// Log2 of the size of the SRS.
        srs_k: u32,
    },
    /// The SRS part is refused.
    #[error("the verifying key's SRS is refused: {source}")]
    Srs {
        /// Why.
        source: SrsVerifierError,
    },
    /// The key states another number than its constraint system has.
    #[error("the verifying key states {actual} for its {what}, its constraint system has {expected}")]
    Count {
        /// What is counted.
        what: &'static str,
        /// The constraint system's number.
        expected: usize,
        /// The key's number.
        actual: usize,
    },
    /// A commitment is refused.
    #[error("the verifying key's {what} commitment {index} is refused: {source}")]
    Commitment {
        /// Fixed or permutation.
        what: &'static str,
        /// Number of the commitment.
        index: usize,
        /// Why.
        source: PointError,
    },
    /// The constraint system has lookups or degrees beyond what the field's domain holds.
    #[error("constraints of degree {degree} over 2^{k} rows do not fit the field's largest domain")]
    Degree {
        /// Constraint degree.
        degree: usize,
        /// Log2 of the rows.
        k: u32,
    },
    /// A backend with a secret on a setup without one, or the other way round.
    #[error("the verifying key's setup is not one for backend {backend}; take the key from its maker again")]
    Setup {
        /// The backend.
        backend: Backend,
    },
    /// A constraint system of another kind than this verifier reads.
    #[error("the verifying key's constraint system has lookups or selectors that this program does not read")]
    System,
    /// The parts of a key belong to different circuits.
    #[error("the halo2 key was not made from this descriptor and SRS size")]
    Foreign,
    /// The environment changes constraint degrees.
    #[error("the environment variable MAX_DEGREE is set, which changes what proofs mean; unset it")]
    MaxDegreeSet,
}

/// Why bytes are no proof file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofFileError {
    /// More than [`MAX_PROOF_FILE_BYTES`].
    #[error("a proof file of {bytes} bytes is too long; the limit is {MAX_PROOF_FILE_BYTES}")]
    TooLong {
        /// Length of the input.
        bytes: usize,
    },
    /// The input does not start as a proof file does.
    #[error("this is no proof file: its first bytes are not those of the format")]
    Magic,
    /// Another version of the format.
    #[error("the proof file has format version {version}, this program reads {supported}; prove again")]
    Version {
        /// Version in the input.
        version: u32,
        /// Version that is read.
        supported: u32,
    },
    /// The body is cut short, too long, or not in its one encoding.
    #[error("the proof file's body is truncated, has trailing bytes, or is not in canonical form")]
    Body,
    /// A backend that this version does not know.
    #[error("the proof file is for backend {code}, which this program does not know")]
    Backend {
        /// Code of the backend.
        code: u8,
    },
    /// A tensor is impossible.
    #[error("tensor {tensor} of the proof file has an impossible {what}")]
    Tensor {
        /// Number of the tensor, inputs first.
        tensor: usize,
        /// What is impossible.
        what: &'static str,
    },
}

/// How public tensors differ from what they should be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementMismatch {
    /// Another number of tensors.
    #[error("{expected} {side} tensors are needed, {actual} are given")]
    Count {
        /// Inputs or outputs.
        side: &'static str,
        /// Needed.
        expected: usize,
        /// Given.
        actual: usize,
    },
    /// Another name.
    #[error("{side} {index} should be named `{expected}`, not `{actual}`")]
    Name {
        /// Inputs or outputs.
        side: &'static str,
        /// Number of the tensor.
        index: usize,
        /// The model's name.
        expected: String,
        /// The given name.
        actual: String,
    },
    /// Another shape.
    #[error("{side} {index} should have shape {expected}, not {actual}")]
    Shape {
        /// Inputs or outputs.
        side: &'static str,
        /// Number of the tensor.
        index: usize,
        /// The model's shape.
        expected: Shape,
        /// The given shape.
        actual: Shape,
    },
    /// Another element type.
    #[error("{side} {index} does not have the model's element type")]
    DType {
        /// Inputs or outputs.
        side: &'static str,
        /// Number of the tensor.
        index: usize,
    },
    /// A tensor that holds other values than its shape and type allow.
    #[error("{side} {index} has values that its shape or type do not allow")]
    Data {
        /// Inputs or outputs.
        side: &'static str,
        /// Number of the tensor.
        index: usize,
    },
    /// Not the values that the caller expects.
    #[error("{side} {index} differs from the expected tensor")]
    Value {
        /// Inputs or outputs.
        side: &'static str,
        /// Number of the tensor.
        index: usize,
    },
    /// Not the nonce that the caller expects.
    #[error("the proof is not bound to the expected nonce")]
    Nonce,
    /// The descriptor gives no instance column for these tensors.
    #[error("the tensors do not fit the model: {source}")]
    Instance {
        /// Why.
        source: StatementError,
    },
    /// The instance column is longer than the circuit has rows, or has not the model's length.
    #[error("{actual} instance values, where the model has {rows} rows for them")]
    Rows {
        /// Rows of the model.
        rows: usize,
        /// Number of values.
        actual: usize,
    },
}

/// Why a byte string is no transcript of a proof.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TranscriptFault {
    /// No bytes are left.
    #[error("the proof ends at byte {offset}, where another element should be")]
    Ended {
        /// Position in the proof.
        offset: usize,
    },
    /// A point is refused.
    #[error("the point at byte {offset} of the proof is refused: {source}")]
    Point {
        /// Position in the proof.
        offset: usize,
        /// Why.
        source: PointError,
    },
    /// A scalar is not smaller than the field's modulus.
    #[error("the scalar at byte {offset} of the proof is not canonical")]
    Scalar {
        /// Position in the proof.
        offset: usize,
    },
    /// Bytes were left over.
    #[error("{bytes} bytes of the proof were never read")]
    Unread {
        /// How many.
        bytes: usize,
    },
    /// The transcript's hash refused an element.
    #[error("the element at byte {offset} of the proof cannot be hashed")]
    Hash {
        /// Position in the proof.
        offset: usize,
    },
}

/// Why a proof is not accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The verifying key inside the proof file is malformed.
    #[error("the proof file's verifying key is malformed: {source}")]
    MalformedKey {
        /// Why.
        source: KeyError,
    },
    /// The proof has another length than the key implies.
    #[error("the proof has {actual} bytes, the verifying key implies {expected}")]
    MalformedLength {
        /// What the key implies.
        expected: usize,
        /// Length of the proof.
        actual: usize,
    },
    /// The proof is no sequence of canonical elements.
    #[error("the proof is malformed: {source}")]
    MalformedProof {
        /// Why.
        source: TranscriptFault,
    },
    /// The proof is about another model than the trusted one.
    #[error("the proof is about model {actual}, not about the trusted {expected}")]
    WrongModel {
        /// The trusted model.
        expected: ModelId,
        /// What the proof file names, or what the key in it hashes to.
        actual: ModelId,
    },
    /// The proof is for another backend than its key.
    #[error("the proof is for backend {actual}, the verifying key for {expected}")]
    WrongBackend {
        /// The key's backend.
        expected: Backend,
        /// The proof's backend.
        actual: Backend,
    },
    /// The statement is not one about this model, or not the expected one.
    #[error("the statement does not match: {source}")]
    Statement {
        /// How.
        source: StatementMismatch,
    },
    /// The key stands on an SRS whose secret someone may know.
    #[error(
        "the model's SRS is INSECURE (made locally): anyone who made it can forge proofs; allow it explicitly for tests"
    )]
    InsecureSrs,
    /// The proof does not prove the statement.
    #[error("the proof is rejected: it does not prove this statement")]
    Rejected,
    /// The environment changes constraint degrees.
    #[error("the environment variable MAX_DEGREE is set, which changes what proofs mean; unset it")]
    MaxDegreeSet,
}

impl VerifyError {
    /// True when the input is not even a proof of anything: bytes that no honest prover writes.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        matches!(
            self,
            Self::MalformedKey { .. } | Self::MalformedLength { .. } | Self::MalformedProof { .. }
        )
    }
}

impl From<StatementMismatch> for VerifyError {
    fn from(source: StatementMismatch) -> Self {
        Self::Statement { source }
    }
}

impl From<TranscriptFault> for VerifyError {
    fn from(source: TranscriptFault) -> Self {
        Self::MalformedProof { source }
    }
}

impl From<KeyError> for VerifyError {
    fn from(source: KeyError) -> Self {
        match source {
            KeyError::MaxDegreeSet => Self::MaxDegreeSet,
            source => Self::MalformedKey { source },
        }
    }
}
