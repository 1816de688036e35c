//! `inferproof setup`

use super::out::say;
use super::{error::CliError, json, options};
use serde_json::Value as Json;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The ONNX model.
    model: PathBuf,
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

pub fn run(args: &Args) -> Result<(), CliError> {
    let model = options::load_model(&args.model, &args.plan.options(), &args.import)?;
    let mut figures = json::plan(&model);
    let keys = args.keys.keys(model, args.plan.backend(), true)?;
    let id = keys.verifying().id().to_string();
    if args.json {
        figures.insert("model_id".to_owned(), id.into());
        figures.insert("vk_bytes".to_owned(), keys.verifying().to_bytes().len().into());
        figures.insert("pk_bytes".to_owned(), keys.proving_bytes().into());
        say!("{}", Json::Object(figures));
    } else {
        say!("{id}");
    }
    Ok(())
}
