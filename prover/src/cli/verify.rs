//! `inferproof verify`
//!
//! Exit code of a proof: 0 when it is valid; 1 when it is a proof that does not hold, or holds for something else than the
//! caller asks about; 2 when nothing can be said, because a file cannot be read, is malformed or of another version, nothing
//! is trusted, the arguments are wrong, or the answer cannot be written. Of many proofs the worst counts: 1 before 2 before 0.

mod claims;
mod trust;

use super::out::{self, note, say};
use super::{error::CliError, json, options};
use inferproof_circuits::batch::depth;
use inferproof_circuits::statement::PublicPort;
use inferproof_prover::files;
use inferproof_prover::input::{InputFile, read_arrays};
use inferproof_verifier::{
    MAX_PROOF_FILE_BYTES, Nonce, ProofFile, Trusted, Verified, VerifyError, VerifyOptions, verify,
    verify_batch,
};
use serde_json::{Map, Value as Json, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Proof files, of any mix of models; several are checked together.
    #[arg(required = true)]
    proofs: Vec<PathBuf>,
    #[command(flatten)]
    trust: trust::TrustArgs,
    /// The inputs that the proofs must be about: .npy, .npz or .json, read as `prove` does. All inputs and nothing else, but
    /// for --sample.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Takes this row of a file of inputs that holds several samples; of a proof of several inferences, the first of as many
    /// rows. Such a file may hold other arrays too.
    #[arg(long, value_name = "N", requires = "input")]
    sample: Option<usize>,
    /// The outputs that the proofs must be about: all of them, and nothing else.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The nonce that the proofs must be bound to: 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", value_parser = options::parse_nonce)]
    nonce: Option<Nonce>,
    /// Accepts proofs on a setup whose maker can forge. For tests.
    #[arg(long)]
    allow_insecure_srs: bool,
    /// Prints one JSON object per proof.
    #[arg(long)]
    json: bool,
}

/// A proof file as it was read.
struct Item {
    file: ProofFile,
    file_bytes: usize,
}

/// A verified statement, and the milliseconds that it took.
type Answer = Result<(Verified, f64), CliError>;

/// What the statements must be about, beside the model.
struct Claims {
    inputs: Option<InputFile>,
    sample: Option<usize>,
    outputs: Option<InputFile>,
}

pub fn run(args: &Args) -> ExitCode {
    let arrays = |path: &Option<PathBuf>| path.as_deref().map(read_arrays).transpose();
    let asked = || -> Result<_, CliError> {
        let claims = Claims {
            inputs: arrays(&args.input)?,
            sample: args.sample,
            outputs: arrays(&args.output)?,
        };
        Ok((args.trust.read()?, claims))
    };
    let (trust, claims) = match asked() {
        Ok(asked) => asked,
        Err(error) => {
            args.proofs
                .iter()
                .for_each(|path| refuse(args, path, None, &error));
            return out::exit_code(2, 2);
        }
    };
    let items: Vec<Result<Item, CliError>> = args.proofs.iter().map(|path| read(path)).collect();
    let answers = check_all(args, &trust, &items);
    let mut code = 0;
    for ((path, item), answer) in args.proofs.iter().zip(items).zip(answers) {
        let model = item.as_ref().ok().map(|item| item.file.model.to_string());
        let result = item.and_then(|item| report(args, path, &item, answer, &claims));
        let worse = match result {
            Ok(()) => 0,
            Err(error) => {
                refuse(args, path, model, &error);
                error.verdict()
            }
        };
        code = match (code, worse) {
            (1, _) | (_, 1) => 1,
            (a, b) => a.max(b),
        };
    }
    out::exit_code(code, 2)
}

fn read(path: &Path) -> Result<Item, CliError> {
    let bytes = files::read_limited(path, MAX_PROOF_FILE_BYTES as u64)?;
    Ok(Item {
        file: ProofFile::from_bytes(&bytes)?,
        file_bytes: bytes.len(),
    })
}

/// Checks what could be read; none for a file that could not. Several proofs share their pairing.
fn check_all(args: &Args, trust: &trust::Trust, items: &[Result<Item, CliError>]) -> Vec<Option<Answer>> {
    let options = VerifyOptions {
        allow_insecure_srs: args.allow_insecure_srs,
        nonce: args.nonce,
        ..VerifyOptions::default()
    };
    let trusted: Vec<Option<Result<Trusted<'_>, CliError>>> = items
        .iter()
        .map(|item| item.as_ref().ok().map(|item| trust.of(&item.file)))
        .collect();
    let batch: Vec<(Trusted<'_>, &ProofFile)> = items
        .iter()
        .zip(&trusted)
        .filter_map(|(item, trusted)| match (item, trusted) {
            (Ok(item), Some(Ok(trusted))) => Some((*trusted, &item.file)),
            _ => None,
        })
        .collect();
    let started = Instant::now();
    let results: Vec<Result<Verified, VerifyError>> = match batch.as_slice() {
        [(trusted, file)] => vec![verify(*trusted, file, &options)],
        batch => verify_batch(batch, &options),
    };
    let count = u32::try_from(results.len().max(1)).unwrap_or(u32::MAX);
    let verify_ms = started.elapsed().as_secs_f64() * 1e3 / f64::from(count);
    let mut results = results.into_iter();
    let answer = |trusted: Option<Result<Trusted<'_>, CliError>>| match trusted? {
        Err(error) => Some(Err(error)),
        Ok(_) => {
            let result = results.next()?;
            Some(
                result
                    .map(|verified| (verified, verify_ms))
                    .map_err(CliError::from),
            )
        }
    };
    trusted.into_iter().map(answer).collect()
}

/// Says why a proof is not accepted: on stderr, and as an object where one is asked for.
fn refuse(args: &Args, path: &Path, model: Option<String>, error: &CliError) {
    let reason = error.with_causes();
    note!("error: {}: {reason}", path.display());
    if args.json {
        let valid = if error.verdict() == 1 {
            Json::Bool(false)
        } else {
            Json::Null
        };
        say!(
            "{}",
            json!({
                "file": path.display().to_string(),
                "model_id": model,
                "valid": valid,
                "reason": reason,
            })
        );
    }
}

fn report(
    args: &Args,
    path: &Path,
    item: &Item,
    answer: Option<Answer>,
    claims: &Claims,
) -> Result<(), CliError> {
    let (verified, verify_ms) = answer.ok_or(CliError::NoAnswer)??;
    claims::check(claims, &verified)?;
    let outputs = verified.final_outputs()?;
    if verified.insecure_srs {
        note!("INSECURE: the proof's setup was made on one machine; whoever made it can forge proofs.");
    }
    if args.json {
        let names =
            |ports: &'_ [(PublicPort, _)]| ports.iter().map(|(p, _)| p.name.clone()).collect::<Vec<_>>();
        let (ins, outs) = (names(&verified.inputs), names(&verified.outputs));
        let inputs = verified.inputs.iter().map(|(_, t)| json::tensor(t));
        let mut object = figures(path, item, &verified, verify_ms);
        object.insert(
            "inputs".to_owned(),
            json::named(ins.iter().map(String::as_str), inputs),
        );
        object.insert(
            "outputs".to_owned(),
            json::named(outs.iter().map(String::as_str), outputs.iter().map(json::value)),
        );
        say!("{}", Json::Object(object));
        return Ok(());
    }
    say!(
        "{}: valid, {verify_ms:.1} ms, model {}",
        path.display(),
        verified.model
    );
    for ((port, tensor), value) in verified.outputs.iter().zip(&outputs) {
        let batch = depth(tensor, &port.shape);
        say!("{}", json::show_value(&port.name, value, batch));
    }
    Ok(())
}

fn figures(path: &Path, item: &Item, verified: &Verified, verify_ms: f64) -> Map<String, Json> {
    let figures = json!({
        "file": path.display().to_string(),
        "model_id": verified.model.to_string(),
        "valid": true,
        "verify_ms": verify_ms,
        "proof_bytes": item.file.proof.len(),
        "file_bytes": item.file_bytes,
        "vk_bytes": item.file.key.len(),
        "insecure_srs": verified.insecure_srs,
        "nonce": verified.nonce.map(|nonce| options::hex(&nonce)),
    });
    match figures {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}
