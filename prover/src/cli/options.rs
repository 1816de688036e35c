//! Options that several commands share, and what they stand for.

use super::error::CliError;
use super::out::note;
use super::progress::Progress;
use clap::ValueEnum;
use inferproof_circuits::batch::MAX_BATCH;
use inferproof_circuits::graph::Graph;
use inferproof_circuits::import::onnx::LoadOptions;
use inferproof_circuits::plan::{Opening, Optimize, Plan, PlanOptions};
use inferproof_circuits::quant::Rounding;
use inferproof_circuits::tensor::Tensor;
use inferproof_prover::backend;
use inferproof_prover::files::{self, Cache};
use inferproof_prover::input::{InputKind, Reading, read_arrays, resolve_batch, take_samples};
use inferproof_prover::keys::{
    Model, ModelKeys, PROVING_KEY_FILE, Store, VERIFYING_KEY_FILE, check_folder, setup,
};
use inferproof_prover::memory::too_few_for;
use inferproof_prover::srs::Srs;
use inferproof_verifier::{Backend, Nonce};
use std::path::{Path, PathBuf};

/// Longest model that is read; the importer's own bound.
const MAX_MODEL_BYTES: u64 = inferproof_circuits::import::onnx::MAX_BYTES as u64;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Goal {
    /// Prover time.
    Time,
    /// Proof size.
    Size,
    /// Prover memory.
    Memory,
    /// Prover time, with a price on proof size.
    Balanced,
}

#[derive(Debug, clap::Args)]
pub struct PlanArgs {
    /// Log2 of the number of rows; chosen by the planner when absent.
    #[arg(short, value_parser = clap::value_parser!(u32).range(4..=24))]
    k: Option<u32>,
    /// Values in a row; chosen by the planner when absent.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=24))]
    lanes: Option<u32>,
    /// What the planner minimizes.
    #[arg(long, value_enum, default_value = "balanced")]
    optimize: Goal,
    #[command(flatten)]
    batch: BatchArgs,
    #[command(flatten)]
    backend: BackendArgs,
}

#[derive(Debug, clap::Args)]
pub struct BatchArgs {
    /// Inferences in one proof, along the first axis of inputs and outputs. Part of the model id.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = parse_batch)]
    pub batch: usize,
}

#[derive(Debug, clap::Args)]
pub struct BackendArgs {
    /// The commitment scheme. Part of the model id.
    #[arg(long, value_enum, default_value = "shplonk")]
    backend: BackendArg,
}

impl BackendArgs {
    pub fn backend(&self) -> Backend {
        match self.backend {
            BackendArg::Shplonk => Backend::Shplonk,
            BackendArg::Gwc => Backend::Gwc,
            BackendArg::Ipa => Backend::Ipa,
        }
    }

    pub fn opening(&self) -> Opening {
        backend::opening(self.backend()).unwrap_or_default()
    }

    /// As `--backend` takes it.
    pub fn name(&self) -> String {
        let value = self.backend.to_possible_value();
        value.map_or_else(String::new, |v| v.get_name().to_owned())
    }
}

impl PlanArgs {
    pub fn backend(&self) -> Backend {
        self.backend.backend()
    }

    pub fn options(&self) -> PlanOptions {
        PlanOptions {
            k: self.k,
            lanes: self.lanes,
            optimize: match self.optimize {
                Goal::Time => Optimize::Time,
                Goal::Size => Optimize::Size,
                Goal::Memory => Optimize::Memory,
                Goal::Balanced => Optimize::Balanced,
            },
            batch: self.batch.batch,
            opening: self.backend.opening(),
            ..PlanOptions::default()
        }
    }
}

/// A number of inferences.
fn parse_batch(text: &str) -> Result<usize, String> {
    let batch = text.parse().ok().filter(|batch| (1..=MAX_BATCH).contains(batch));
    batch.ok_or_else(|| format!("a batch has 1 to {MAX_BATCH} inferences"))
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RoundingArg {
    /// As onnxruntime, except at accumulators that are listed.
    Exact,
    /// As onnxruntime at every accumulator, with corrections; a network that cannot have them is refused.
    Strict,
}

#[derive(Debug, clap::Args)]
pub struct ImportArgs {
    /// How accumulators are rounded that no multiplier rounds as onnxruntime does. Part of the model id.
    #[arg(long, value_enum, default_value = "exact")]
    pub rounding: RoundingArg,
}

impl ImportArgs {
    pub fn options(&self) -> LoadOptions {
        LoadOptions {
            rounding: match self.rounding {
                RoundingArg::Exact => Rounding::Exact,
                RoundingArg::Strict => Rounding::Strict,
            },
            ..LoadOptions::default()
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum BackendArg {
    /// The shorter proofs.
    Shplonk,
    /// One opening per rotation.
    Gwc,
    /// No trusted setup; longer proofs, and a verifier whose work grows with the rows.
    Ipa,
}

#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    /// Folder of the keys (`model.vk`, `model.pk`); the user's cache when absent.
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// The SRS, as `inferproof srs import` writes it; a local, INSECURE one when absent. Backend ipa needs none.
    #[arg(long, value_name = "FILE")]
    srs: Option<PathBuf>,
}

impl KeyArgs {
    /// The files that are read for the keys.
    pub fn files(&self) -> Vec<PathBuf> {
        let keys = self.keys.iter();
        let keys =
            keys.flat_map(|folder| [PROVING_KEY_FILE, VERIFYING_KEY_FILE].map(|name| folder.join(name)));
        keys.chain(self.srs.clone()).collect()
    }

    /// The keys of the model; what is missing is made.
    pub fn keys(&self, model: Model, backend: Backend, replace: bool) -> Result<ModelKeys, CliError> {
        make_keys(model, backend, self.srs.as_deref(), self.keys.as_deref(), replace)
    }
}

/// The keys of the model; what is missing is made.
pub fn make_keys(
    model: Model,
    backend: Backend,
    srs: Option<&Path>,
    folder: Option<&Path>,
    replace: bool,
) -> Result<ModelKeys, CliError> {
    check_memory(model.plan())?;
    if let Some(folder) = folder {
        check_folder(folder, replace)?;
    }
    let _progress = Progress::start("preparing setup and keys");
    let k = model.plan().k;
    let srs = match srs {
        Some(path) => Srs::open(path)?.downsize(k)?,
        None if backend.is_transparent() => Srs::cached_transparent(&open_cache()?, k)?,
        None => Srs::cached_insecure(&open_cache()?, k)?,
    };
    if srs.is_insecure() {
        note!(
            "INSECURE: the setup was made on this machine; whoever made it can forge proofs. For tests only."
        );
    }
    let cache;
    let store = match folder {
        Some(path) => Store::Folder { path, replace },
        None => {
            cache = open_cache()?;
            Store::Cache(&cache)
        }
    };
    Ok(setup(model, backend, srs, store)?)
}

/// The user's cache, which tells when an entry cannot be used.
fn open_cache() -> Result<Cache, CliError> {
    let cache = Cache::open_default()?;
    Ok(cache.on_damage(|path| {
        note!(
            "{} is damaged or of another version and is made again; with a new INSECURE setup models get new ids",
            path.display()
        );
    }))
}

/// Refuses a plan that this machine has no memory for.
fn check_memory(plan: &Plan) -> Result<(), CliError> {
    let needed = plan.work().peak_bytes;
    match too_few_for(needed) {
        Some(available) => Err(CliError::Memory {
            k: plan.k,
            lanes: plan.params.lanes,
            needed: megabytes(needed),
            available: megabytes(available),
        }),
        None => Ok(()),
    }
}

/// A nonce from 64 hexadecimal digits.
pub fn parse_nonce(text: &str) -> Result<Nonce, String> {
    let digits: Option<Vec<u8>> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let mut nonce = Nonce::default();
    match digits.filter(|digits| digits.len() == 2 * nonce.len()) {
        None => Err(format!("a nonce has {} hexadecimal digits", 2 * nonce.len())),
        Some(digits) => {
            for (byte, pair) in nonce.iter_mut().zip(digits.chunks_exact(2)) {
                *byte = pair[0] << 4 | pair[1];
            }
            Ok(nonce)
        }
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a model's file.
pub fn read_model(path: &Path) -> Result<Vec<u8>, CliError> {
    let bytes = files::read_limited(path, MAX_MODEL_BYTES)?;
    match bytes.is_empty() {
        true => Err(CliError::Empty {
            path: path.to_owned(),
        }),
        false => Ok(bytes),
    }
}

/// Reads and plans a model.
pub fn load_model(path: &Path, plan: &PlanOptions, import: &ImportArgs) -> Result<Model, CliError> {
    let _progress = Progress::start("reading the model");
    let bytes = read_model(path)?;
    Model::load_with(&bytes, plan, &import.options()).map_err(|source| CliError::model(path, source))
}

#[derive(Debug, clap::Args)]
pub struct InputArgs {
    /// Inputs: .npy, .npz or .json. Float arrays are quantized with the model's scale, integer arrays are taken as quantized
    /// already. JSON numbers are floats where the model takes floats; where it takes integers, numbers without a fraction are
    /// integers, and floats if any has one.
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Takes this row of files that hold several samples; of a batch, the first of as many rows.
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
}

impl InputArgs {
    /// The file.
    pub fn file(&self) -> &Path {
        &self.input
    }

    /// The model's inputs, those of a batch stacked.
    pub fn load(&self, graph: &Graph, batch: usize) -> Result<Inputs, CliError> {
        load_inputs(&self.input, graph, self.sample, batch)
    }
}

/// A model's inputs, and what each was taken as.
pub struct Inputs {
    pub tensors: Vec<Tensor>,
    pub kinds: Vec<InputKind>,
}

/// The model's inputs from a file, or from as many samples of it as the batch has. Warns of floats that are likely none.
pub fn load_inputs(
    path: &Path,
    graph: &Graph,
    sample: Option<usize>,
    batch: usize,
) -> Result<Inputs, CliError> {
    let mut file = read_arrays(path)?;
    if let Some(sample) = sample {
        file = take_samples(&file, graph, sample, batch)?;
    }
    let taken = resolve_batch(&file, graph, batch)?;
    let (tensors, kinds) = taken.into_iter().map(|t| (t.tensor, t.kind)).unzip();
    let inputs = Inputs { tensors, kinds };
    for kind in inputs.kinds.iter().filter(|kind| kind.is_suspicious()) {
        warn(kind);
    }
    Ok(inputs)
}

/// Says on stderr that an input's floats lie far outside what the model covers.
fn warn(kind: &InputKind) {
    let (low, high) = kind.range();
    let Reading::Floats { clamped, .. } = kind.reading else {
        return;
    };
    note!(
        "warning: input {}: {clamped} of {} values lie outside of {low} to {high}, which is what the model covers, and were \
         clamped; floats must be in the model's unit (pixels of 0 to 255 are often divided by 255); integers that are quantized \
         already go in a NumPy array of {}",
        kind.name,
        kind.values,
        kind.dtype
    );
}

/// Megabytes, as every command shows sizes.
pub fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) * 1.024e-3
}
