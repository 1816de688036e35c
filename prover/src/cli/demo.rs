//! `inferproof demo`

use super::out::say;
use super::progress::Progress;
use super::{error::CliError, json, options};
use inferproof_circuits::plan::PlanOptions;
use inferproof_circuits::tail::Value;
use inferproof_circuits::tensor::Tensor;
use inferproof_prover::input::{
    InputError, InputFile, NamedArray, parse_arrays, resolve_inputs, take_samples,
};
use inferproof_prover::keys::{Model, ModelKeys};
use inferproof_prover::prove::{self, Proved};
use inferproof_verifier::{Backend, ModelId, Trusted, VerifyError, VerifyOptions, verify};
use serde_json::{Value as Json, json};
use std::path::PathBuf;

const MODEL: &[u8] = include_bytes!("../../../models/digits_cnn.onnx");
const SAMPLES: &[u8] = include_bytes!("../../../models/digits_cnn_inputs.npz");
/// Width of an image.
const WIDTH: usize = 28;
/// From no ink to all of it.
const SHADES: &[u8] = b" .:-=+*#%@";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which digit.
    #[arg(long, default_value_t = 7)]
    digit: usize,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), CliError> {
    if args.digit > 9 {
        return Err(CliError::Digit { digit: args.digit });
    }
    let model = Model::load(MODEL, &PlanOptions::default())?;
    let path = PathBuf::from("the demo's samples");
    let arrays = parse_arrays(SAMPLES).map_err(|fault| InputError::Format {
        path: path.clone(),
        fault,
    })?;
    let label = arrays.iter().find(|a| a.name.as_deref() == Some("labels"));
    let label = label.and_then(|a| a.data.to_f32().get(args.digit).copied());
    let file = take_samples(&InputFile { path, arrays }, model.graph(), args.digit, 1)?;
    if !args.json {
        file.arrays.iter().take(1).for_each(draw);
    }
    let inputs = resolve_inputs(&file, model.graph())?;
    let keys = options::make_keys(model, Backend::Shplonk, None, None, false)?;
    let proved = {
        let _progress = Progress::start("proving");
        prove::prove(&keys, &inputs, None)?
    };
    report(args, &keys, &proved, label)
}

/// What the network says, what that took, and that a changed output is refused.
fn report(args: &Args, keys: &ModelKeys, proved: &Proved, label: Option<f32>) -> Result<(), CliError> {
    let outputs = proved.verified.final_outputs()?;
    let answer = outputs.first().and_then(largest);
    let file_bytes = proved.file.to_bytes()?.len();
    let id = keys.verifying().id();
    let refused = refuse_changed(proved, id)?;
    if args.json {
        let mut map = json::ran(keys.graph(), &proved.ran);
        let more = json!({
            "digit": args.digit,
            "answer": answer,
            "label": label,
            "model_id": id.to_string(),
            "proof_bytes": proved.file.proof.len(),
            "file_bytes": file_bytes,
            "prove_ms": proved.prove_ms,
            "verify_ms": proved.verify_ms,
            "valid": true,
            "changed_output_valid": false,
            "insecure_srs": proved.verified.insecure_srs,
        });
        if let Json::Object(mut more) = more {
            map.append(&mut more);
        }
        say!("{}", Json::Object(map));
        return Ok(());
    }
    say!("{}", json::show_outputs(keys.graph(), &outputs, 1));
    say!("{}", json::exactness(keys.graph(), &proved.ran.differing));
    say!(
        "the network says {}, the label is {}",
        answer.map_or("?".to_owned(), |a| a.to_string()),
        label.map_or("?".to_owned(), |l| l.to_string())
    );
    say!(
        "proved in {:.0} ms, verified in {:.1} ms; proof {} bytes, file with statement and key {file_bytes} bytes",
        proved.prove_ms,
        proved.verify_ms,
        proved.file.proof.len()
    );
    say!("model id {id}");
    say!("{refused}");
    Ok(())
}

/// Changes the first value of the claimed output; verification must refuse it. Says how it did.
fn refuse_changed(proved: &Proved, id: ModelId) -> Result<String, CliError> {
    let wrong = || CliError::Demo {
        what: "a changed output was not refused; please report this",
    };
    let mut file = proved.file.clone();
    let output = file.outputs.first_mut().ok_or_else(wrong)?;
    let (dtype, mut data) = (output.tensor.dtype(), output.tensor.data().to_vec());
    let first = data.first_mut().ok_or_else(wrong)?;
    let (before, after) = (
        *first,
        if *first == dtype.max() {
            *first - 1
        } else {
            *first + 1
        },
    );
    *first = after;
    output.tensor = Tensor::new(output.tensor.shape().clone(), dtype, data).map_err(|_| wrong())?;
    let options = VerifyOptions {
        allow_insecure_srs: true,
        ..VerifyOptions::default()
    };
    match verify(Trusted::ModelId(id), &file, &options) {
        Err(error @ VerifyError::Rejected) => Ok(format!(
            "with the first output changed from {before} to {after}: {error}"
        )),
        _ => Err(wrong()),
    }
}

/// Position of the first largest value.
fn largest(value: &Value) -> Option<usize> {
    let values: Vec<f32> = match value {
        Value::Float { data, .. } => data.clone(),
        Value::Quantized(tensor) => tensor.data().iter().map(|v| *v as f32).collect(),
        Value::Index { data, .. } => return data.first().and_then(|i| usize::try_from(*i).ok()),
    };
    let best = values.iter().copied().reduce(f32::max)?;
    values.iter().position(|v| *v == best)
}

/// Draws an image whose values are 0 to 1.
fn draw(image: &NamedArray) {
    for line in image.data.to_f32().chunks(WIDTH) {
        let text: String = line
            .iter()
            .map(|ink| [shade(*ink); 2].iter().collect::<String>())
            .collect();
        say!("{}", text.trim_end());
    }
}

fn shade(ink: f32) -> char {
    let levels = SHADES.iter().enumerate();
    let darkest = levels.take_while(|(i, _)| *i as f32 <= ink * (SHADES.len() - 1) as f32);
    darkest.last().map_or(' ', |(_, shade)| char::from(*shade))
}
