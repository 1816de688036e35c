//! `inferproof verify`

use super::{error::CliError, json};
use inferproof_circuits::graph::{Graph, InputPort, OutputPort, TensorId, TensorInfo};
use inferproof_circuits::statement::{Descriptor, PublicPort};
use inferproof_circuits::tail::Value;
use inferproof_prover::files;
use inferproof_prover::input::{ArrayData, Claim, NamedArray, read_arrays, resolve_inputs, resolve_outputs};
use inferproof_verifier::{
    MAX_KEY_BYTES, MAX_PROOF_FILE_BYTES, ModelId, ProofFile, Trusted, Verified, VerifyError, VerifyOptions,
    VerifyingKey, verify,
};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Proof files.
    #[arg(required = true)]
    proofs: Vec<PathBuf>,
    /// The model that the proofs must be about, as `inferproof setup` prints it.
    #[arg(long, value_name = "ID", conflicts_with = "vk")]
    model_id: Option<String>,
    /// The verifying key that is trusted.
    #[arg(long, value_name = "FILE")]
    vk: Option<PathBuf>,
    /// The inputs that the proofs must be about.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The outputs that the proofs must be about.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Accepts proofs on a setup whose maker can forge. For tests.
    #[arg(long)]
    allow_insecure_srs: bool,
    /// Prints one JSON object per proof.
    #[arg(long)]
    json: bool,
}

/// What is known of one proof.
enum Answer {
    Valid,
    Invalid,
    Undecided,
}

pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let key = match &args.vk {
        Some(path) => match read_key(path) {
            Ok(key) => Some(key),
            Err(error) => return Ok(undecided(&error)),
        },
        None => None,
    };
    let id = match args.model_id.as_deref().map(str::parse::<ModelId>).transpose() {
        Ok(id) => id,
        Err(error) => return Ok(undecided(&error.into())),
    };
    let mut code = 0;
    for path in &args.proofs {
        let answer = match check(args, key.as_ref(), id, path) {
            Ok(()) => Answer::Valid,
            Err(error) => {
                eprintln!("error: {}: {}", path.display(), error.with_causes());
                judge(&error)
            }
        };
        code = match (code, answer) {
            (1, _) | (_, Answer::Invalid) => 1,
            (2, _) | (_, Answer::Undecided) => 2,
            (code, Answer::Valid) => code,
        };
    }
    Ok(ExitCode::from(code))
}

fn undecided(error: &CliError) -> ExitCode {
    eprintln!("error: {}", error.with_causes());
    ExitCode::from(2)
}

/// A proof that is not about what the caller asked for, malformed or rejected is invalid; a question that cannot be
/// answered is undecided.
fn judge(error: &CliError) -> Answer {
    match error {
        CliError::Verify(VerifyError::InsecureSrs | VerifyError::MaxDegreeSet) => Answer::Undecided,
        CliError::Verify(_) | CliError::ProofFile(_) | CliError::Claim { .. } => Answer::Invalid,
        _ => Answer::Undecided,
    }
}

fn read_key(path: &Path) -> Result<VerifyingKey, CliError> {
    let bytes = files::read_limited(path, MAX_KEY_BYTES as u64)?;
    Ok(VerifyingKey::from_bytes(&bytes)?)
}

fn check(args: &Args, key: Option<&VerifyingKey>, id: Option<ModelId>, path: &Path) -> Result<(), CliError> {
    let bytes = files::read_limited(path, MAX_PROOF_FILE_BYTES as u64)?;
    let file = ProofFile::from_bytes(&bytes)?;
    let trusted = match (key, id) {
        (Some(key), _) => Trusted::Key(key),
        (None, Some(id)) => Trusted::ModelId(id),
        (None, None) => {
            return Err(CliError::NoTrust {
                model: file.model.to_string(),
            });
        }
    };
    let options = VerifyOptions {
        allow_insecure_srs: args.allow_insecure_srs,
        ..VerifyOptions::default()
    };
    let started = Instant::now();
    let result = verify(trusted, &file, &options);
    let verify_ms = started.elapsed().as_secs_f64() * 1e3;
    if let Err(error) = &result
        && args.json
    {
        let decided = !matches!(error, VerifyError::InsecureSrs | VerifyError::MaxDegreeSet);
        let valid = if decided { Json::Bool(false) } else { Json::Null };
        println!(
            "{}",
            json!({"model_id": file.model.to_string(), "valid": valid, "reason": error.to_string()})
        );
    }
    let verified = result?;
    let claim = check_claims(args, &file, &verified);
    if let (Err(error), true) = (&claim, args.json) {
        println!(
            "{}",
            json!({"model_id": file.model.to_string(), "valid": false, "reason": error.to_string()})
        );
    }
    claim?;
    report(args, path, (&file, bytes.len()), &verified, verify_ms)
}

fn report(
    args: &Args,
    path: &Path,
    (file, file_bytes): (&ProofFile, usize),
    verified: &Verified,
    verify_ms: f64,
) -> Result<(), CliError> {
    if verified.insecure_srs {
        eprintln!("INSECURE: the proof's setup was made on one machine; whoever made it can forge proofs.");
    }
    let outputs = verified.final_outputs()?;
    if args.json {
        let names =
            |ports: &'_ [(PublicPort, _)]| ports.iter().map(|(p, _)| p.name.clone()).collect::<Vec<_>>();
        let (ins, outs) = (names(&verified.inputs), names(&verified.outputs));
        let inputs = verified.inputs.iter().map(|(_, t)| json::tensor(t));
        println!(
            "{}",
            json!({
                "model_id": verified.model.to_string(),
                "valid": true,
                "verify_ms": verify_ms,
                "proof_bytes": file.proof.len(),
                "file_bytes": file_bytes,
                "vk_bytes": file.key.len(),
                "insecure_srs": verified.insecure_srs,
                "inputs": json::named(ins.iter().map(String::as_str), inputs),
                "outputs": json::named(outs.iter().map(String::as_str), outputs.iter().map(json::value)),
            })
        );
        return Ok(());
    }
    println!(
        "{}: valid, {verify_ms:.1} ms, model {}",
        path.display(),
        verified.model
    );
    for ((port, _), value) in verified.outputs.iter().zip(&outputs) {
        println!("{}", json::show_value(&port.name, value));
    }
    Ok(())
}

/// Compares the statement with what the caller says it must be.
fn check_claims(args: &Args, file: &ProofFile, verified: &Verified) -> Result<(), CliError> {
    let key;
    let descriptor = {
        key = VerifyingKey::from_bytes(&file.key)?;
        key.descriptor()
    };
    let graph = edges(descriptor);
    if let Some(path) = &args.input {
        let inputs = resolve_inputs(&read_arrays(path)?, &graph)?;
        for ((port, tensor), expected) in verified.inputs.iter().zip(&inputs) {
            if tensor != expected {
                return Err(CliError::claim("input", &port.name));
            }
        }
    }
    let Some(path) = &args.output else { return Ok(()) };
    let arrays = read_arrays(path)?;
    let claims = resolve_outputs(&arrays, &graph)?;
    let finals = verified.final_outputs()?;
    for (((port, tensor), claim), value) in verified.outputs.iter().zip(&claims).zip(&finals) {
        let holds = match claim {
            Claim::Quantized(expected) => tensor == expected,
            Claim::AfterTail(array) => is_value(array, value),
        };
        if !holds {
            return Err(CliError::claim("output", &port.name));
        }
    }
    Ok(())
}

/// Whether the array has the value's shape and numbers, compared in the value's own type.
fn is_value(array: &NamedArray, value: &Value) -> bool {
    if array.shape != value.shape().dims() {
        return false;
    }
    match (value, &array.data) {
        (Value::Float { data, .. }, _) => array.data.to_f32() == *data,
        (Value::Index { data, .. }, ArrayData::I64(found)) => found == data,
        (Value::Quantized(tensor), ArrayData::I64(found)) => found
            .iter()
            .copied()
            .eq(tensor.data().iter().map(|v| i64::from(*v))),
        _ => false,
    }
}

/// The public edges of a network, as a graph without operators.
fn edges(descriptor: &Descriptor) -> Graph {
    let info = |port: &PublicPort| TensorInfo {
        name: port.name.clone(),
        shape: port.shape.clone(),
        dtype: port.dtype,
        scale: port.scale,
        zero_point: port.zero_point,
    };
    let (ins, outs) = (&descriptor.inputs, &descriptor.outputs);
    Graph {
        tensors: ins.iter().chain(outs).map(info).collect(),
        nodes: Vec::new(),
        inputs: (ins.iter().enumerate())
            .map(|(i, port)| InputPort {
                name: port.name.clone(),
                tensor: TensorId(i),
                float: port.float,
            })
            .collect(),
        outputs: (outs.iter().enumerate())
            .map(|(i, port)| OutputPort {
                name: port.name.clone(),
                tensor: TensorId(ins.len() + i),
                tail: port.tail.clone(),
            })
            .collect(),
    }
}
