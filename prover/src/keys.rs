//! Models, their plans and their keys, and where keys are kept.

mod file;

use crate::files::{self, Cache, FileError};
use crate::srs::Srs;
use halo2_proofs::{
    halo2curves::bn256::G1Affine,
    plonk::{ProvingKey, keygen_pk, keygen_vk},
};
use inferproof_circuits::{
    circuit::Fixture,
    graph::{Graph, GraphError},
    import::{
        ImportError,
        onnx::{self, LoadOptions},
    },
    plan::{Plan, PlanError, PlanOptions},
    statement::{Descriptor, FOLDED_VERSION},
};
use inferproof_verifier::{Backend, KeyError, VerifyingKey};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// File in a folder of keys that [`Store::Folder`] reads and writes.
pub const PROVING_KEY_FILE: &str = "model.pk";
/// As [`PROVING_KEY_FILE`], for whoever verifies.
pub const VERIFYING_KEY_FILE: &str = "model.vk";

const DIGEST_BYTES: usize = 32;
/// The environment variable by which halo2 clamps the constraint degree.
const MAX_DEGREE: &str = "MAX_DEGREE";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The bytes are no model, or one that cannot be proved.
    #[error("the model cannot be imported")]
    Import {
        /// Why.
        #[from]
        source: ImportError,
    },
    /// The imported network is not valid.
    #[error("the imported network is not valid")]
    Graph {
        /// Why.
        #[from]
        source: GraphError,
    },
    /// The network cannot be laid out.
    #[error("the model cannot be laid out in a circuit")]
    Plan {
        /// Why.
        #[from]
        source: PlanError,
    },
    /// The SRS has another size than the plan.
    #[error("the SRS is for 2^{srs_k} rows, the circuit has 2^{k}; downsize the SRS or choose -k {srs_k}")]
    Rows {
        /// Log2 of the circuit's rows.
        k: u32,
        /// Log2 of the size of the SRS.
        srs_k: u32,
    },
    /// A backend with a secret on a setup without one, or the other way round.
    #[error(
        "backend {backend} does not work on this setup; leave --srs away for backend ipa, and choose another backend for an SRS"
    )]
    Setup {
        /// The backend.
        backend: Backend,
    },
    /// halo2 made no key.
    #[error("halo2 made no key: {reason}")]
    Halo2 {
        /// halo2's reason.
        reason: String,
    },
    /// The key is refused.
    #[error("the verifying key is refused")]
    Key {
        /// Why.
        #[from]
        source: KeyError,
    },
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key file is damaged, or belongs to another model, plan, backend or SRS.
    #[error(
        "{path} does not hold the keys of this model, plan, backend and SRS; run `inferproof setup` again"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The environment changes constraint degrees.
    #[error("the environment variable {MAX_DEGREE} is set, which changes what proofs mean; unset it")]
    MaxDegreeSet,
}

/// Refuses to go on when the environment changes constraint degrees.
///
/// # Errors
/// [`KeysError::MaxDegreeSet`].
pub(crate) fn check_environment() -> Result<(), KeysError> {
    match std::env::var_os(MAX_DEGREE) {
        None => Ok(()),
        Some(_) => Err(KeysError::MaxDegreeSet),
    }
}

/// A network with its layout.
#[derive(Debug, Clone)]
pub struct Model {
    digest: [u8; DIGEST_BYTES],
    graph: Arc<Graph>,
    plan: Arc<Plan>,
}

impl Model {
    /// Imports an ONNX file and plans its circuit.
    ///
    /// # Errors
    /// [`KeysError::Import`], [`KeysError::Graph`], [`KeysError::Plan`], [`KeysError::MaxDegreeSet`].
    pub fn load(onnx: &[u8], options: &PlanOptions) -> Result<Self, KeysError> {
        Self::load_with(onnx, options, &LoadOptions::default())
    }

    /// As [`Model::load`], with options of the import.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(onnx: &[u8], options: &PlanOptions, import: &LoadOptions) -> Result<Self, KeysError> {
        check_environment()?;
        let graph = onnx::load_with(onnx, import)?;
        let mut hash = Sha256::new();
        hash.update(b"inferproof model 1\0");
        hash.update(Sha256::digest(onnx));
        hash.update(format!("{options:?}{import:?}"));
        Self::planned(graph, options, hash)
    }

    /// Plans the circuit of a network that was built and not imported. Its keys are found again in a cache as long as
    /// the graph's `Debug` text stays.
    ///
    /// # Errors
    /// [`KeysError::Graph`], [`KeysError::Plan`], [`KeysError::MaxDegreeSet`].
    pub fn from_graph(graph: Graph, options: &PlanOptions) -> Result<Self, KeysError> {
        check_environment()?;
        let mut hash = Sha256::new();
        hash.update(b"inferproof graph 1\0");
        hash.update(format!("{graph:?}{options:?}"));
        Self::planned(graph, options, hash)
    }

    fn planned(graph: Graph, options: &PlanOptions, hash: Sha256) -> Result<Self, KeysError> {
        graph.validate()?;
        let plan = Plan::new(&graph, options)?;
        Ok(Self {
            digest: hash.finalize().into(),
            graph: Arc::new(graph),
            plan: Arc::new(plan),
        })
    }

    /// The integer network.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The layout.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// Where keys are kept.
#[derive(Debug, Clone, Copy)]
pub enum Store<'a> {
    /// Nowhere.
    Nowhere,
    /// In the user's cache: made again when damaged.
    Cache(&'a Cache),
    /// In a folder: [`PROVING_KEY_FILE`] and [`VERIFYING_KEY_FILE`]. Files of another model are an error, unless
    /// `replace`.
    Folder {
        /// The folder, which is made.
        path: &'a Path,
        /// Whether keys that are there are made again.
        replace: bool,
    },
}

/// Everything that proofs of one model on one SRS need.
#[derive(Clone)]
pub struct ModelKeys {
    model: Model,
    fixture: Fixture,
    srs: Srs,
    proving: Arc<ProvingKey<G1Affine>>,
    verifying: VerifyingKey,
}

impl std::fmt::Debug for ModelKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelKeys")
            .field("verifying", &self.verifying)
            .finish_non_exhaustive()
    }
}

impl ModelKeys {
    /// The network.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        self.model.graph()
    }

    /// The layout.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.model.plan()
    }

    /// The SRS.
    #[must_use]
    pub fn srs(&self) -> &Srs {
        &self.srs
    }

    /// The verifying key.
    #[must_use]
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// Bytes that a key file holds for the prover beside the verifying key.
    #[must_use]
    pub fn proving_bytes(&self) -> u64 {
        file::proving_bytes(&self.proving)
    }

    pub(crate) fn fixture(&self) -> &Fixture {
        &self.fixture
    }

    pub(crate) fn proving(&self) -> &ProvingKey<G1Affine> {
        &self.proving
    }
}

/// Takes the model's keys from `store`, or makes them and puts them there. Two runs at once make them once.
///
/// # Errors
/// [`KeysError`].
pub fn setup(model: Model, backend: Backend, srs: Srs, store: Store<'_>) -> Result<ModelKeys, KeysError> {
    check_environment()?;
    let (k, srs_k) = (model.plan().k, srs.k());
    if k != srs_k {
        return Err(KeysError::Rows { k, srs_k });
    }
    if backend.is_transparent() != srs.verifier().is_transparent() {
        return Err(KeysError::Setup { backend });
    }
    let descriptor = Descriptor::new(model.graph(), model.plan())?;
    let maker = Maker {
        fixture: Fixture::new(model.graph(), Arc::clone(&model.plan)),
        tag: tag(&model, backend, &srs),
        model,
        descriptor,
        backend,
        srs,
    };
    match store {
        Store::Nowhere => {
            let made = maker.make(None)?;
            Ok(maker.keys(made))
        }
        Store::Cache(cache) => maker.cached(cache),
        Store::Folder { path, replace } => maker.in_folder(path, replace),
    }
}

/// Names everything that the keys depend on.
fn tag(model: &Model, backend: Backend, srs: &Srs) -> [u8; DIGEST_BYTES] {
    let mut hash = Sha256::new();
    hash.update(b"inferproof keys 1\0");
    hash.update(FOLDED_VERSION.to_le_bytes());
    hash.update(env!("CARGO_PKG_VERSION"));
    hash.update(model.digest);
    hash.update([backend.code(), u8::from(srs.is_insecure())]);
    hash.update(srs.digest());
    hash.finalize().into()
}

/// Makes a folder for keys, and tests that the keys which [`setup`] will put there can be written.
///
/// # Errors
/// [`FileError::Folder`], and those of [`files::check_output`].
pub fn check_folder(folder: &Path, replace: bool) -> Result<(), FileError> {
    std::fs::create_dir_all(folder).map_err(|source| FileError::Folder {
        path: folder.to_owned(),
        source,
    })?;
    let proving = folder.join(PROVING_KEY_FILE);
    if replace || !proving.exists() {
        files::check_output(&proving, &[])?;
        files::check_output(&folder.join(VERIFYING_KEY_FILE), &[])?;
    }
    Ok(())
}

/// The prover's and the verifier's key.
type KeyPair = (ProvingKey<G1Affine>, VerifyingKey);

struct Maker {
    model: Model,
    fixture: Fixture,
    descriptor: Descriptor,
    backend: Backend,
    srs: Srs,
    tag: [u8; DIGEST_BYTES],
}

impl Maker {
    fn cached(self, cache: &Cache) -> Result<ModelKeys, KeysError> {
        let hex: String = self.tag.iter().map(|b| format!("{b:02x}")).collect();
        let name = format!("keys-{hex}.pk");
        let loaded = cache.take_or_make(&name, |path| self.load(path), |path| self.make(Some(path)))?;
        Ok(self.keys(loaded))
    }

    fn in_folder(self, folder: &Path, replace: bool) -> Result<ModelKeys, KeysError> {
        check_folder(folder, replace)?;
        let path = folder.join(PROVING_KEY_FILE);
        if replace || !path.exists() {
            let made = self.make(Some(&path))?;
            files::write_bytes(&folder.join(VERIFYING_KEY_FILE), made.1.to_bytes())?;
            return Ok(self.keys(made));
        }
        match self.load(&path) {
            Some(loaded) => Ok(self.keys(loaded)),
            None => Err(KeysError::Foreign { path }),
        }
    }

    fn keys(self, (proving, verifying): KeyPair) -> ModelKeys {
        ModelKeys {
            model: self.model,
            fixture: self.fixture,
            srs: self.srs,
            proving: Arc::new(proving),
            verifying,
        }
    }

    fn make(&self, save_at: Option<&Path>) -> Result<KeyPair, KeysError> {
        let failed = |e: halo2_proofs::plonk::Error| KeysError::Halo2 {
            reason: e.to_string(),
        };
        let params = self.srs.params();
        let halo2 = keygen_vk(params, &self.fixture.keygen()).map_err(failed)?;
        let proving = keygen_pk(params, halo2, &self.fixture.keygen()).map_err(failed)?;
        let part = self.srs.verifier().clone();
        let verifying =
            VerifyingKey::from_parts(self.descriptor.clone(), self.backend, part, proving.get_vk())?;
        if let Some(path) = save_at {
            file::save(path, &self.tag, &verifying, &proving)?;
        }
        Ok((proving, verifying))
    }

    fn load(&self, path: &Path) -> Option<KeyPair> {
        file::load(path, &self.tag, &self.descriptor, &self.fixture)
    }
}
