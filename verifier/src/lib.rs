//! Verifies proofs of inference: needs neither the model nor the prover.
//!
//! A [`ProofFile`] states public tensors and carries a proof; a [`VerifyingKey`] stands for one network,
//! one backend and one SRS, and [`ModelId`] is its digest. The caller says which key or digest it trusts,
//! and [`verify`] (or [`verify_batch`]) answers with a [`Verified`] statement or with a typed error.
//! No bytes from outside make this crate panic, and what it allocates is bounded by the size of its input.

mod backend;
mod batch;
mod bytes;
mod domain;
pub mod early;
mod error;
mod key;
mod model_id;
pub mod msm;
mod plonk;
mod points;
mod proof;
mod scheme;
pub mod srs;
mod statement;
#[cfg(test)]
mod tests;
mod transcript;
mod verify;

pub use backend::Backend;
pub use batch::verify_batch;
pub use error::{KeyError, PointError, ProofFileError, StatementMismatch, TranscriptFault, VerifyError};
pub use key::{MAX_KEY_BYTES, VerifyingKey};
pub use model_id::{ModelId, ModelIdError};
pub use proof::{MAX_PROOF_FILE_BYTES, NamedTensor, Nonce, ProofFile};
pub use scheme::Generators;
pub use statement::statement_scalar;
pub use verify::{Trusted, Verified, VerifyOptions, verify};
