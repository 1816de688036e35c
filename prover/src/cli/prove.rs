//! `inferproof prove`

use super::out::say;
use super::progress::Progress;
use super::{error::CliError, json, options};
use inferproof_prover::profile::{cpu_ms, peak_bytes};
use inferproof_prover::{files, prove};
use inferproof_verifier::Nonce;
use serde_json::{Value as Json, json};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ONNX model.
    model: PathBuf,
    #[command(flatten)]
    input: options::InputArgs,
    /// Where the proof goes.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Binds the proof to a request: 64 hexadecimal digits, drawn at random by whoever asks for it.
    #[arg(long, value_name = "HEX", value_parser = options::parse_nonce)]
    nonce: Option<Nonce>,
    #[command(flatten)]
    keys: options::KeyArgs,
    #[command(flatten)]
    plan: options::PlanArgs,
    #[command(flatten)]
    import: options::ImportArgs,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Refuses an output that cannot be written, or that is one of the inputs.
fn check_output(args: &Args) -> Result<(), CliError> {
    let keys = args.keys.files();
    let mut inputs = vec![args.model.as_path(), args.input.file()];
    inputs.extend(keys.iter().map(PathBuf::as_path));
    Ok(files::check_output(&args.output, &inputs)?)
}

pub fn run(args: &Args) -> Result<(), CliError> {
    check_output(args)?;
    let model = options::load_model(&args.model, &args.plan.options(), &args.import)?;
    let inputs = args.input.load(model.graph(), model.plan().batch)?;
    let mut figures = json::plan(&model);
    let keys = args.keys.keys(model, args.plan.backend(), false)?;
    let before = cpu_ms();
    let proved = {
        let _progress = Progress::start("proving");
        prove::prove(&keys, &inputs.tensors, args.nonce)?
    };
    let cpu = cpu_ms().zip(before).map(|(after, before)| after - before);
    let bytes = proved.file.to_bytes()?;
    files::write_bytes(&args.output, &bytes)?;
    let id = keys.verifying().id().to_string();
    if args.json {
        figures.append(&mut json::ran(keys.graph(), &proved.ran));
        let more = json!({
            "input_kinds": json::kinds(&inputs.kinds),
            "model_id": id,
            "proof_bytes": proved.file.proof.len(),
            "file_bytes": bytes.len(),
            "vk_bytes": keys.verifying().to_bytes().len(),
            "pk_bytes": keys.proving_bytes(),
            "prove_ms": proved.prove_ms,
            "prove_cpu_ms": cpu,
            "process_cpu_ms": cpu_ms(),
            "peak_bytes": peak_bytes(),
            "verify_ms": proved.verify_ms,
            "profile": proved.profile,
            "valid": true,
            "nonce": args.nonce.map(|nonce| options::hex(&nonce)),
            "insecure_srs": keys.verifying().is_insecure(),
        });
        if let Json::Object(mut more) = more {
            figures.append(&mut more);
        }
        say!("{}", Json::Object(figures));
        return Ok(());
    }
    say!("{}", json::show_kinds(&inputs.kinds));
    say!(
        "{}",
        json::show_outputs(keys.graph(), &proved.ran.outputs, keys.plan().batch)
    );
    say!("{}", json::exactness(keys.graph(), &proved.ran.differing));
    say!("model id {id}");
    say!(
        "proved in {:.0} ms, verified in {:.1} ms; proof {} bytes, file {} bytes: {}",
        proved.prove_ms,
        proved.verify_ms,
        proved.file.proof.len(),
        bytes.len(),
        args.output.display()
    );
    Ok(())
}
