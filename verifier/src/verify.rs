//! Checks one proof file against what the caller trusts.

use crate::error::{StatementMismatch, VerifyError};
use crate::key::{VerifyingKey, check_environment};
use crate::model_id::ModelId;
use crate::plonk::{self, Batch, Sums};
use crate::proof::{NamedTensor, Nonce, ProofFile};
use crate::statement::{INPUTS, OUTPUTS, check_count, check_rows, instance_column, statement_scalar};
use ff::Field;
use halo2_proofs::halo2curves::bn256::Fr;
use inferproof_circuits::{
    statement::PublicPort,
    tail::{TailError, Value},
    tensor::Tensor,
};
use std::borrow::Cow;

/// What the caller trusts. It never comes out of a proof file.
#[derive(Debug, Clone, Copy)]
pub enum Trusted<'a> {
    /// The digest of a verifying key: the key inside the proof file is used if it has this digest.
    ModelId(ModelId),
    /// A verifying key.
    Key(&'a VerifyingKey),
}

impl Trusted<'_> {
    /// The trusted model.
    #[must_use]
    pub fn id(&self) -> ModelId {
        match self {
            Self::ModelId(id) => *id,
            Self::Key(key) => key.id(),
        }
    }
}

/// What the caller requires beyond a valid proof. The default requires nothing more, and refuses insecure
/// setups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Accepts proofs on an SRS whose secret someone may know. For tests.
    pub allow_insecure_srs: bool,
    /// The inputs that the proof must be about, in the model's order.
    pub expected_inputs: Option<Vec<Tensor>>,
    /// The outputs that the proof must be about, in the model's order.
    pub expected_outputs: Option<Vec<Tensor>>,
    /// The nonce that the proof must be bound to.
    pub nonce: Option<Nonce>,
}

/// A statement that holds: the model with this digest maps these inputs to these outputs.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Verified {
    /// The model.
    pub model: ModelId,
    /// True when whoever made the SRS could have forged the proof.
    pub insecure_srs: bool,
    /// The model's input ports with the values on them, those of a batch stacked.
    pub inputs: Vec<(PublicPort, Tensor)>,
    /// The model's output ports with the values on them, those of a batch stacked. A port's `tail` is computed in the clear.
    pub outputs: Vec<(PublicPort, Tensor)>,
    /// What the proof is bound to.
    pub nonce: Option<Nonce>,
}

impl Verified {
    /// The model's final outputs: its trailing operators in the clear on the proved integers, in the model's order.
    ///
    /// # Errors
    /// [`TailError`], for operators that do not fit; keys with such operators are refused when they are read.
    pub fn final_outputs(&self) -> Result<Vec<Value>, TailError> {
        self.outputs
            .iter()
            .map(|(port, tensor)| port.answer(tensor))
            .collect()
    }
}

/// Checks that the trusted model maps the proof file's inputs to its outputs.
///
/// # Errors
/// [`VerifyError`]: malformed, about another model or statement, on an insecure SRS, or rejected.
pub fn verify(
    trusted: Trusted<'_>,
    file: &ProofFile,
    options: &VerifyOptions,
) -> Result<Verified, VerifyError> {
    // Sums hand small jobs to the thread pool; from inside of the pool each costs no switch of threads.
    rayon::scope(|_| verify_here(trusted, file, options))
}

fn verify_here(
    trusted: Trusted<'_>,
    file: &ProofFile,
    options: &VerifyOptions,
) -> Result<Verified, VerifyError> {
    check_environment()?;
    check_model(trusted, file)?;
    let key = match trusted {
        Trusted::Key(key) => Cow::Borrowed(key),
        Trusted::ModelId(_) => Cow::Owned(VerifyingKey::from_bytes(&file.key)?),
    };
    let claim = Claim::new(&key, file, options)?;
    claim.check_alone()?;
    Ok(claim.verified())
}

/// Checks that the file names the trusted model and carries that model's key.
pub(crate) fn check_model(trusted: Trusted<'_>, file: &ProofFile) -> Result<(), VerifyError> {
    let expected = trusted.id();
    for actual in [file.model, ModelId::of_key_bytes(&file.key)] {
        if actual != expected {
            return Err(VerifyError::WrongModel { expected, actual });
        }
    }
    Ok(())
}

/// A proof file whose statement is about the key's model; only the proof itself is unchecked.
pub(crate) struct Claim<'a> {
    pub(crate) key: &'a VerifyingKey,
    file: &'a ProofFile,
    instance: Vec<Fr>,
    statement: Fr,
}

impl<'a> Claim<'a> {
    /// Checks everything but the proof. The key must have the digest that the caller trusts.
    pub(crate) fn new(
        key: &'a VerifyingKey,
        file: &'a ProofFile,
        options: &VerifyOptions,
    ) -> Result<Self, VerifyError> {
        if key.is_insecure() && !options.allow_insecure_srs {
            return Err(VerifyError::InsecureSrs);
        }
        if file.backend != key.backend() {
            return Err(VerifyError::WrongBackend {
                expected: key.backend(),
                actual: file.backend,
            });
        }
        let descriptor = key.descriptor();
        check_names(INPUTS, &descriptor.inputs, &file.inputs)?;
        check_names(OUTPUTS, &descriptor.outputs, &file.outputs)?;
        check_expected(INPUTS, options.expected_inputs.as_deref(), &file.inputs)?;
        check_expected(OUTPUTS, options.expected_outputs.as_deref(), &file.outputs)?;
        if options.nonce.is_some() && options.nonce != file.nonce {
            return Err(StatementMismatch::Nonce.into());
        }
        let (inputs, outputs) = (file.input_tensors(), file.output_tensors());
        let statement = statement_scalar(key, &inputs, &outputs, file.nonce.as_ref())?;
        let instance = instance_column(key, &inputs, &outputs)?;
        let (expected, actual) = (key.proof_len(), file.proof.len());
        if expected != actual {
            return Err(VerifyError::MalformedLength { expected, actual });
        }
        Ok(Self {
            key,
            file,
            instance,
            statement,
        })
    }

    /// Checks the proof alone.
    pub(crate) fn check_alone(&self) -> Result<(), VerifyError> {
        run(self.key, &self.instance, self.statement, &self.file.proof)
    }

    /// Reads the proof.
    pub(crate) fn sums(&self) -> Result<Sums, VerifyError> {
        read(self.key, &self.instance, self.statement, &self.file.proof)
    }

    /// The statement, for a caller that has checked the proof.
    pub(crate) fn verified(&self) -> Verified {
        let descriptor = self.key.descriptor();
        let with_ports = |ports: &[PublicPort], tensors: &[NamedTensor]| {
            let tensors = tensors.iter().map(|named| named.tensor.clone());
            ports.iter().cloned().zip(tensors).collect()
        };
        Verified {
            model: self.key.id(),
            insecure_srs: self.key.is_insecure(),
            inputs: with_ports(&descriptor.inputs, &self.file.inputs),
            outputs: with_ports(&descriptor.outputs, &self.file.outputs),
            nonce: self.file.nonce,
        }
    }
}

/// Reads a whole proof about an instance column.
///
/// # Errors
/// [`VerifyError::MalformedLength`], [`VerifyError::MalformedProof`], [`VerifyError::Rejected`], and
/// [`VerifyError::Statement`] when the column has more values than the circuit has rows, where it would alias others.
pub(crate) fn read(
    key: &VerifyingKey,
    instance: &[Fr],
    statement: Fr,
    proof: &[u8],
) -> Result<Sums, VerifyError> {
    let (expected, actual) = (key.proof_len(), proof.len());
    if expected != actual {
        return Err(VerifyError::MalformedLength { expected, actual });
    }
    check_rows(key, instance)?;
    plonk::read(key, instance, statement, proof)
}

/// Checks a proof about an instance column.
///
/// # Errors
/// As [`read`], and [`VerifyError::Rejected`] when the sums do not hold.
pub(crate) fn run(
    key: &VerifyingKey,
    instance: &[Fr],
    statement: Fr,
    proof: &[u8],
) -> Result<(), VerifyError> {
    let sums = read(key, instance, statement, proof)?;
    let mut batch = Batch::new(key);
    batch.add(key, sums, Fr::ONE);
    if batch.check() {
        Ok(())
    } else {
        Err(VerifyError::Rejected)
    }
}

fn check_names(
    side: &'static str,
    ports: &[PublicPort],
    tensors: &[NamedTensor],
) -> Result<(), StatementMismatch> {
    check_count(side, ports.len(), tensors.len())?;
    let named = ports.iter().zip(tensors).enumerate();
    match named
        .into_iter()
        .find(|(_, (port, tensor))| port.name != tensor.name)
    {
        None => Ok(()),
        Some((index, (port, tensor))) => Err(StatementMismatch::Name {
            side,
            index,
            expected: port.name.clone(),
            actual: tensor.name.clone(),
        }),
    }
}

fn check_expected(
    side: &'static str,
    expected: Option<&[Tensor]>,
    actual: &[NamedTensor],
) -> Result<(), StatementMismatch> {
    let Some(expected) = expected else { return Ok(()) };
    check_count(side, expected.len(), actual.len())?;
    match expected
        .iter()
        .zip(actual)
        .position(|(expected, actual)| *expected != actual.tensor)
    {
        None => Ok(()),
        Some(index) => Err(StatementMismatch::Value { side, index }),
    }
}
