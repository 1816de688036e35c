//! Errors of the program, their texts and exit codes.

use inferproof_circuits::{graph::GraphError, tail::TailError, tensor::TensorError};
use inferproof_prover::{
    calibrate::CalibrateError, files::FileError, input::InputError, keys::KeysError, prove::ProveError,
    srs::SrsError,
};
use inferproof_verifier::{KeyError, ModelIdError, ProofFileError, VerifyError};
use std::error::Error;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Input(#[from] InputError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Prove(#[from] ProveError),
    #[error(transparent)]
    Srs(#[from] SrsError),
    #[error("{path}: {source}")]
    Model { path: PathBuf, source: Box<KeysError> },
    #[error("{path} is empty; is it the right file?")]
    Empty { path: PathBuf },
    #[error(
        "a proof with k {k} and {lanes} lanes needs about {needed:.0} MB of memory, {available:.0} MB are available; choose \
         a smaller -k, fewer --lanes, a smaller --batch or --optimize memory, or free some memory"
    )]
    Memory {
        k: u32,
        lanes: u32,
        needed: f64,
        available: f64,
    },
    #[error("the network cannot be run on these inputs")]
    Graph(#[from] GraphError),
    #[error("the batch makes too large a tensor")]
    Batch(#[from] TensorError),
    #[error("the outputs cannot be computed in the clear")]
    Tail(#[from] TailError),
    #[error(transparent)]
    ProofFile(#[from] ProofFileError),
    #[error("the verifying key is refused")]
    Key(#[from] KeyError),
    #[error(transparent)]
    ModelId(#[from] ModelIdError),
    #[error(transparent)]
    Verify(VerifyError),
    #[error("{source} (--allow-insecure-srs)")]
    InsecureSrs { source: VerifyError },
    #[error("the plan with k {k} and {lanes} lanes was not proved: {reason}")]
    Child { k: u32, lanes: u32, reason: String },
    #[error("a plot cannot be drawn: {reason}; the table is in the CSV file")]
    Plot { reason: String },
    #[error("the proof is valid, but {what}")]
    Demo { what: &'static str },
    #[error("{digit} is not one of the digits 0 to 9")]
    Digit { digit: usize },
    #[error("the proof is valid, but not about the expected {side} {name}")]
    Claim { side: &'static str, name: String },
    /// Says which model the proof is for.
    #[error(
        "nothing says which model to trust; the proof is for model {model}: if that is the one you expect, pass \
         --model-id {model}, else pass --model-id or --vk of yours"
    )]
    NoTrust { model: String },
    #[error("the proof is about model {model}, which is none of the {trusted} trusted ones")]
    Untrusted { model: String, trusted: usize },
    #[error("{path}, line {line}: {source}")]
    TrustedId {
        path: PathBuf,
        line: usize,
        source: ModelIdError,
    },
    #[error(
        "{path} names no model to trust; it takes a list of model ids, or a folder of lists (*.ids) and verifying keys (*.vk)"
    )]
    TrustsNothing { path: PathBuf },
    #[error("cannot read the folder {path}: {source}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("the check gave no answer; please report this")]
    NoAnswer,
}

impl From<VerifyError> for CliError {
    fn from(source: VerifyError) -> Self {
        match source {
            VerifyError::InsecureSrs => Self::InsecureSrs { source },
            source => Self::Verify(source),
        }
    }
}

impl CliError {
    /// What is wrong with a model's file, or with the environment.
    pub fn model(path: &Path, source: KeysError) -> Self {
        match source {
            KeysError::MaxDegreeSet => Self::Keys(source),
            source => Self::Model {
                path: path.to_owned(),
                source: Box::new(source),
            },
        }
    }

    pub fn claim(side: &'static str, name: &str) -> Self {
        let name = name.to_owned();
        Self::Claim { side, name }
    }

    /// Exit code of `verify`: 1 when the proof does not hold, or not for what the caller asks about; 2 when nothing can
    /// be said about it.
    pub fn verdict(&self) -> u8 {
        match self {
            Self::Claim { .. } | Self::Untrusted { .. } => 1,
            Self::Verify(
                VerifyError::WrongModel { .. }
                | VerifyError::WrongBackend { .. }
                | VerifyError::Statement { .. }
                | VerifyError::Rejected,
            ) => 1,
            _ => 2,
        }
    }

    /// The message, then what caused it, each once.
    pub fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let message = error.to_string();
            if !text.contains(&message) {
                text.push_str(": ");
                text.push_str(&message);
            }
            cause = error.source();
        }
        text
    }
}
