//! `inferproof srs`

use super::error::CliError;
use super::options::hex;
use super::out::{note, say};
use super::progress::Progress;
use inferproof_prover::files;
use inferproof_prover::srs::{ImportOptions, Pin, Srs};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Makes an INSECURE setup on this machine.
    New {
        /// Log2 of the number of rows.
        #[arg(short, value_parser = clap::value_parser!(u32).range(1..=24))]
        k: u32,
        /// Where it goes.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Tests every point of a setup file, and the whole.
    Check {
        /// The setup file.
        file: PathBuf,
        /// SHA-256 that the file must have, 64 hexadecimal digits.
        #[arg(long, value_name = "H")]
        sha256: Option<String>,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Shows what a setup file is. Tests it as `check` does.
    Info {
        /// The setup file.
        file: PathBuf,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Takes a setup from a ceremony.
    Import {
        /// A `.ptau` file of snarkjs.
        #[arg(
            long,
            value_name = "FILE",
            required_unless_present = "raw",
            conflicts_with = "raw"
        )]
        ptau: Option<PathBuf>,
        /// A file in halo2's layout.
        #[arg(long, value_name = "FILE")]
        raw: Option<PathBuf>,
        /// Log2 of the number of rows to keep.
        #[arg(short, value_parser = clap::value_parser!(u32).range(1..=24))]
        k: Option<u32>,
        /// Hash that the file must have: sha256: and 64 digits, or blake2b: and 128.
        #[arg(long)]
        pin: Option<String>,
        /// Where it goes.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Prints one JSON object.
        #[arg(long)]
        json: bool,
    },
}

pub fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::New { k, output, json } => {
            files::check_output(output, &[])?;
            let srs = {
                let _progress = Progress::start("making the setup");
                Srs::generate_insecure(*k)?
            };
            srs.save(output)?;
            note!("INSECURE: whoever made this setup can forge proofs. For tests only.");
            show(&srs, output, *json);
        }
        Command::Check { file, sha256, json } => {
            if let Some(hash) = sha256 {
                check_hash(file, hash)?;
            }
            show(&open(file)?, file, *json);
            if !json {
                say!("all points are in order");
            }
        }
        Command::Info { file, json } => show(&open(file)?, file, *json),
        Command::Import {
            ptau,
            raw,
            k,
            pin,
            output,
            json,
        } => {
            let inputs: Vec<&Path> = ptau.iter().chain(raw).map(PathBuf::as_path).collect();
            files::check_output(output, &inputs)?;
            let pin = pin.as_deref().map(str::parse).transpose()?;
            let options = ImportOptions { k: *k, pin };
            let srs = {
                let _progress = Progress::start("reading and testing the setup");
                match (ptau, raw) {
                    (Some(path), _) => Srs::import_ptau(path, &options)?,
                    (None, Some(path)) => Srs::import_halo2(path, &options)?,
                    (None, None) => return Ok(()),
                }
            };
            srs.save(output)?;
            show(&srs, output, *json);
        }
    }
    Ok(())
}

fn open(file: &Path) -> Result<Srs, CliError> {
    let _progress = Progress::start("testing the setup");
    Ok(Srs::open(file)?)
}

fn check_hash(file: &Path, hash: &str) -> Result<(), CliError> {
    let pin: Pin = format!("sha256:{}", hash.to_ascii_lowercase()).parse()?;
    Ok(pin.check_file(file)?)
}

/// What a setup is. One that gets here was made here or has been tested.
fn show(srs: &Srs, file: &Path, json: bool) {
    let digest = hex(srs.digest().as_ref());
    if json {
        say!(
            "{}",
            json!({
                "file": file.display().to_string(),
                "k": srs.k(),
                "rows": 1u64 << srs.k(),
                "digest": digest,
                "source": srs.source().to_string(),
                "insecure_srs": srs.is_insecure(),
                "valid": true,
            })
        );
        return;
    }
    say!("rows    2^{}", srs.k());
    say!("digest  {digest}");
    say!("source  {}", srs.source());
    if srs.is_insecure() {
        say!("INSECURE: whoever made it can forge proofs");
    }
}
