//! The verifying key: one network, one backend, one SRS.
//!
//! Bytes, integers in little endian:
//!
//! ```text
//! magic "INFPKEY\n" | version u32 | backend u8
//! descriptor length u32 | descriptor            (bincode 2, fixed-size integers)
//! SRS length u32        | verifier's SRS part   (bincode 2, fixed-size integers)
//! degree u32 | fixed columns u32 | permutation columns u32
//! fixed commitments, 32 each | permutation commitments, 32 each   (compressed, canonical)
//! SHA-256 of everything before it
//! ```
//!
//! The constraint system is not in the bytes: it is built from the descriptor's parameters, and the three
//! numbers must be the ones it has before a commitment is read.

mod header;
mod wire;

use crate::backend::Backend;
use crate::error::KeyError;
use crate::model_id::ModelId;
use crate::plonk::System;
use crate::scheme::Scheme;
use crate::srs::SrsVerifier;
use halo2_proofs::{halo2curves::bn256::G1Affine, plonk};
use header::{Header, usable_rows};
use inferproof_circuits::statement::Descriptor;
use wire::{read_header, read_points};

/// Longest verifying key that is read.
pub const MAX_KEY_BYTES: usize = 4 << 20;

/// The environment variable by which halo2 clamps the constraint degree.
const MAX_DEGREE: &str = "MAX_DEGREE";

/// A verifying key, complete and checked.
#[derive(Clone)]
pub struct VerifyingKey {
    descriptor: Descriptor,
    backend: Backend,
    srs: SrsVerifier,
    halo2: plonk::VerifyingKey<G1Affine>,
    scheme: Scheme,
    system: System,
    proof_len: usize,
    bytes: Vec<u8>,
    id: ModelId,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            descriptor,
            backend,
            id,
            ..
        } = self;
        let mut out = f.debug_struct("VerifyingKey");
        out.field("id", id)
            .field("backend", backend)
            .field("k", &descriptor.k)
            .finish_non_exhaustive()
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl VerifyingKey {
    /// Assembles the key of a network from what key generation made.
    ///
    /// # Errors
    /// [`KeyError`]; [`KeyError::Foreign`] when `halo2` was made from other parameters or another `k`, or with
    /// compressed selectors.
    pub fn from_parts(
        descriptor: Descriptor,
        backend: Backend,
        srs: SrsVerifier,
        halo2: &plonk::VerifyingKey<G1Affine>,
    ) -> Result<Self, KeyError> {
        let header = Header::check(descriptor, backend, srs)?;
        let fixed = halo2.fixed_commitments().clone();
        let permutation = halo2.permutation().commitments().clone();
        header.check_counts(header.degree(), fixed.len(), permutation.len())?;
        let key = header.assemble(fixed, permutation)?;
        if key.halo2.transcript_repr() != halo2.transcript_repr() || halo2.compress_selectors() {
            return Err(KeyError::Foreign);
        }
        Ok(key)
    }

    /// Reads a key. Never panics; time and memory are bounded by the length and [`Descriptor::validate`].
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let (header, mut points) = read_header(bytes)?;
        let fixed = read_points(&mut points, header.cs.num_fixed_columns(), "fixed")?;
        let permutation = read_points(&mut points, header.num_permuted(), "permutation")?;
        let key = header.assemble(fixed, permutation)?;
        if key.bytes != bytes {
            return Err(KeyError::Field { field: "encoding" });
        }
        Ok(key)
    }

    /// The one encoding of the key.
    #[must_use]
    pub fn to_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The digest that names the model.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// The network's public description.
    #[must_use]
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// The commitment backend.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The verifier's part of the SRS.
    #[must_use]
    pub fn srs(&self) -> &SrsVerifier {
        &self.srs
    }

    /// True when whoever made the SRS can forge proofs.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.srs.is_insecure()
    }

    /// Length in bytes of every proof under this key.
    #[must_use]
    pub fn proof_len(&self) -> usize {
        self.proof_len
    }

    /// Number of rows that hold values; the rest blind the columns.
    #[must_use]
    pub fn usable_rows(&self) -> usize {
        usable_rows(self.descriptor.k, self.halo2.cs())
    }

    /// halo2's key. Its domain has no tables for Fourier transforms.
    #[must_use]
    pub fn halo2(&self) -> &plonk::VerifyingKey<G1Affine> {
        &self.halo2
    }

    /// What a check needs of the setup.
    pub(crate) fn scheme(&self) -> &Scheme {
        &self.scheme
    }

    /// The constraint system, compiled.
    pub(crate) fn system(&self) -> &System {
        &self.system
    }
}

#[cfg(test)]
impl VerifyingKey {
    /// The key with other generators.
    pub(crate) fn with_generators(mut self, generators: crate::Generators) -> Self {
        self.scheme = Scheme::Ipa(generators.into());
        self
    }
}

/// Refuses to go on when the environment changes constraint degrees.
///
/// # Errors
/// [`KeyError::MaxDegreeSet`].
pub(crate) fn check_environment() -> Result<(), KeyError> {
    match std::env::var_os(MAX_DEGREE) {
        None => Ok(()),
        Some(_) => Err(KeyError::MaxDegreeSet),
    }
}
