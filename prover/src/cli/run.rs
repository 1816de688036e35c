//! `inferproof run`

use super::out::say;
use super::{error::CliError, json, options};
use inferproof_circuits::import::onnx;
use inferproof_prover::{keys::KeysError, prove};
use serde_json::Value as Json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ONNX model.
    model: PathBuf,
    #[command(flatten)]
    input: options::InputArgs,
    #[command(flatten)]
    import: options::ImportArgs,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), CliError> {
    let bytes = options::read_model(&args.model)?;
    let graph = onnx::load_with(&bytes, &args.import.options())
        .map_err(|source| CliError::model(&args.model, KeysError::from(source)))?;
    let inputs = args.input.load(&graph, 1)?;
    let ran = prove::run(&graph, &inputs.tensors)?;
    if args.json {
        let mut map = json::ran(&graph, &ran);
        map.insert("input_kinds".to_owned(), json::kinds(&inputs.kinds));
        say!("{}", Json::Object(map));
        return Ok(());
    }
    say!("{}", json::show_kinds(&inputs.kinds));
    say!("{}", json::show_outputs(&graph, &ran.outputs, 1));
    say!("{}", json::exactness(&graph, &ran.differing));
    Ok(())
}
