//! Which models the caller trusts.

use crate::cli::error::CliError;
use inferproof_prover::files;
use inferproof_verifier::{MAX_KEY_BYTES, ModelId, ProofFile, Trusted, VerifyingKey};
use std::path::{Path, PathBuf};

/// Longest list of model ids that is read.
const MAX_LIST_BYTES: u64 = 1 << 20;
/// Most files that a folder of trusted models may have.
const MAX_FILES: usize = 10_000;

#[derive(Debug, clap::Args)]
pub struct TrustArgs {
    /// A model that the proofs may be about, as `inferproof setup` prints it; may be repeated.
    #[arg(long = "model-id", value_name = "ID")]
    model_ids: Vec<String>,
    /// A verifying key that is trusted; may be repeated.
    #[arg(long = "vk", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// Trusted models: a file with one model id a line, or a folder of such lists (*.ids) and keys (*.vk).
    #[arg(long, value_name = "PATH")]
    trusted: Option<PathBuf>,
}

/// The models that the caller trusts.
#[derive(Default)]
pub struct Trust {
    ids: Vec<ModelId>,
    keys: Vec<VerifyingKey>,
}

impl TrustArgs {
    /// Reads everything that is named.
    pub fn read(&self) -> Result<Trust, CliError> {
        let mut trust = Trust::default();
        for text in &self.model_ids {
            trust.ids.push(text.parse()?);
        }
        for path in &self.keys {
            trust.keys.push(read_key(path)?);
        }
        match &self.trusted {
            Some(path) if path.is_dir() => trust.read_folder(path)?,
            Some(path) => trust.read_list(path)?,
            None => {}
        }
        match &self.trusted {
            Some(path) if trust.ids.is_empty() && trust.keys.is_empty() => {
                Err(CliError::TrustsNothing { path: path.clone() })
            }
            _ => Ok(trust),
        }
    }
}

fn read_key(path: &Path) -> Result<VerifyingKey, CliError> {
    let bytes = files::read_limited(path, MAX_KEY_BYTES as u64)?;
    Ok(VerifyingKey::from_bytes(&bytes)?)
}

impl Trust {
    fn read_folder(&mut self, folder: &Path) -> Result<(), CliError> {
        let unreadable = |source| CliError::Folder {
            path: folder.to_owned(),
            source,
        };
        let entries = std::fs::read_dir(folder).map_err(unreadable)?;
        let mut paths = Vec::new();
        for entry in entries.take(MAX_FILES) {
            paths.push(entry.map_err(unreadable)?.path());
        }
        paths.sort();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("vk") => self.keys.push(read_key(&path)?),
                Some("ids") => self.read_list(&path)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// One id a line; empty lines and what follows a `#` are skipped.
    fn read_list(&mut self, path: &Path) -> Result<(), CliError> {
        let bytes = files::read_limited(path, MAX_LIST_BYTES)?;
        let text = String::from_utf8_lossy(&bytes);
        for (line, text) in (1..).zip(text.lines()) {
            let id = text.split('#').next().unwrap_or_default().trim();
            if !id.is_empty() {
                self.ids.push(id.parse().map_err(|source| CliError::TrustedId {
                    path: path.to_owned(),
                    line,
                    source,
                })?);
            }
        }
        Ok(())
    }

    /// What is trusted for this proof: the model that it names, if that is a trusted one.
    pub fn of(&self, file: &ProofFile) -> Result<Trusted<'_>, CliError> {
        if let Some(key) = self.keys.iter().find(|key| key.id() == file.model) {
            return Ok(Trusted::Key(key));
        }
        if self.ids.contains(&file.model) {
            return Ok(Trusted::ModelId(file.model));
        }
        match (self.keys.as_slice(), self.ids.as_slice()) {
            ([], []) => Err(CliError::NoTrust {
                model: file.model.to_string(),
            }),
            ([key], []) => Ok(Trusted::Key(key)),
            ([], [id]) => Ok(Trusted::ModelId(*id)),
            (keys, ids) => Err(CliError::Untrusted {
                model: file.model.to_string(),
                trusted: keys.len() + ids.len(),
            }),
        }
    }
}
