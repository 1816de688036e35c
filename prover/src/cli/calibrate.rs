//! `inferproof calibrate`

use super::error::CliError;
use super::out::say;
use super::progress::Progress;
use inferproof_prover::calibrate;
use inferproof_prover::files::Cache;
use serde_json::json;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<(), CliError> {
    let cache = Cache::open_default()?;
    let rates = {
        let _progress = Progress::start("timing the prover's primitives");
        calibrate::measure()?
    };
    calibrate::store(&cache, &rates)?;
    if args.json {
        say!("{}", json!({ "rates": rates }));
        return Ok(());
    }
    say!("processor time on this machine, used by the estimates of `inspect` and `tradeoff` from now on:");
    say!("  point added to a bucket  {:>7.1} ns", rates.addition_ns);
    say!("  butterfly                {:>7.1} ns", rates.butterfly_ns);
    say!("  product of constraints   {:>7.1} ns", rates.product_ns);
    say!("  cell                     {:>7.1} ns", rates.cell_ns);
    say!("  byte of a key            {:>7.1} ns", rates.load_ns);
    say!("  start                    {:>7.1} ms", rates.fixed_ms);
    say!("Layouts are chosen by the built-in rates, so that a model has one model id on every machine.");
    Ok(())
}
