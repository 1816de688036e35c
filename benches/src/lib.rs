//! What the benches share: the shipped models, random inputs with a fixed seed, networks that grow, and the
//! fit of a growth exponent. The benches themselves are in `benches/`.

mod growth;

pub use growth::{Axis, SIZES, exponent, network};

use inferproof_circuits::assign::{Cells, Fault};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::import::ImportError;
use inferproof_circuits::import::onnx;
use inferproof_circuits::plan::{Plan, PlanError};
use inferproof_circuits::tensor::TensorError;
use inferproof_circuits::testing::models::BuildError;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long criterion runs a measurement before it counts, and while it counts: all benches together stay below a quarter of an
/// hour.
pub const WARM_UP: Duration = Duration::from_millis(500);
/// As [`WARM_UP`].
pub const MEASUREMENT: Duration = Duration::from_secs(2);

/// False where each bench runs once and nothing is timed (`cargo bench -- --test`): then the smallest of everything will do.
#[must_use]
pub fn timed() -> bool {
    !std::env::args().any(|argument| argument == "--test")
}

/// All of a list, or its first entry where nothing is timed.
#[must_use]
pub fn measured<T>(all: &[T]) -> &[T] {
    if timed() { all } else { all.get(..1).unwrap_or(all) }
}

/// Seed of every random choice of the benches.
pub const SEED: u64 = 1;
/// Shipped models that are measured, without `.onnx`, the smallest first.
pub const MODELS: [&str; 2] = ["tiny_cnn", "digits_cnn"];

/// Folder with the stored networks, whose proofs are measured when it is set.
pub const ENVIRONMENT: &str = "INFERPROOF_SHARED";
/// Stored networks that are measured, by folder, the smallest first.
pub const STORED: [&str; 6] = [
    "digits_mlp_qdq_u8s8_pc",
    "mnist_lenet5_qdq_s8s8_pc",
    "mlperf_ad01_tf2onnx_qdq",
    "mlperf_kws_tf2onnx_qdq",
    "mlperf_resnet8_tf2onnx_qdq",
    "mlperf_vww96_tf2onnx_qdq",
];

/// Bytes of the stored networks with their names; none where [`ENVIRONMENT`] is not set.
///
/// # Errors
/// [`BenchError::Read`].
pub fn stored_models() -> Result<Vec<(&'static str, Vec<u8>)>, BenchError> {
    let Some(folder) = std::env::var_os(ENVIRONMENT) else {
        return Ok(Vec::new());
    };
    let read = |name: &'static str| {
        let path = Path::new(&folder).join("models").join(name).join("model.onnx");
        let bytes = std::fs::read(&path).map_err(|source| BenchError::Read { path, source })?;
        Ok((name, bytes))
    };
    measured(&STORED).iter().copied().map(read).collect()
}

/// Why a bench cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// A model file that cannot be read.
    #[error("cannot read {path}: {source}; run the benches inside the repository")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A model that is not taken.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A network without a plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A network that cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Inputs that cannot be built.
    #[error(transparent)]
    Tensor(#[from] TensorError),
}

/// No fault: the honest witness.
#[derive(Debug, Clone, Copy)]
pub struct Honest;

impl Fault for Honest {
    fn touch(&mut self, _: usize, _: usize, _: i64, _: &mut Cells) {}
}

/// Bytes of a shipped model.
///
/// # Errors
/// [`BenchError::Read`].
pub fn model_bytes(name: &str) -> Result<Vec<u8>, BenchError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../models")
        .join(format!("{name}.onnx"));
    std::fs::read(&path).map_err(|source| BenchError::Read { path, source })
}

/// Graph and default plan of a shipped model.
///
/// # Errors
/// [`BenchError`].
pub fn planned(name: &str) -> Result<(Graph, Plan), BenchError> {
    let graph = onnx::load(&model_bytes(name)?)?;
    let plan = Plan::new(&graph, &Default::default())?;
    Ok((graph, plan))
}
