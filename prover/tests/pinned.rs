//! Pinned key digests, and frozen proofs that must still verify. `INFERPROOF_PIN=1 cargo test --workspace --test pinned`
//! writes them anew; a change of a digest or of a format is then seen in the diff.
//!
//! `pinned/ids.txt` has the model id of every shipped network on a setup from a seed (anyone can forge on it), and
//! `pinned/batch_ids.txt` those of batches. A frozen proof is named after its network, whether its public rows are
//! folded, batch, backend and the versions of proof file and key; the `.key` beside it is its key.
//! Files of versions that are no longer written stay, as long as the verifier reads them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints tables"
)]

use halo2_proofs::SerdeFormat;
use halo2_proofs::halo2curves::bn256::Bn256;
use halo2_proofs::poly::kzg::commitment::ParamsKZG;
use inferproof_circuits::batch::stacked_shape;
use inferproof_circuits::plan::PlanOptions;
use inferproof_circuits::tensor::Tensor;
use inferproof_prover::keys::{Model, ModelKeys, Store, setup};
use inferproof_prover::prove::prove;
use inferproof_prover::srs::{ImportOptions, Srs};
use inferproof_verifier::{Backend, ModelId, ProofFile, Trusted, VerifyOptions, verify};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const MODELS: [&str; 3] = ["digits_cnn", "tiny_cnn", "tiny_mlp"];
const BACKENDS: [Backend; 3] = [Backend::Shplonk, Backend::Gwc, Backend::Ipa];
/// Inferences of the frozen batch.
const BATCH: usize = 3;
/// Seed of all setups here.
const TAU: u64 = 2024;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn folder() -> PathBuf {
    root().join("prover/tests/pinned")
}

fn pinning() -> bool {
    std::env::var_os("INFERPROOF_PIN").is_some()
}

/// A setup from a seed, in halo2's layout.
fn raw_srs(k: u32) -> Vec<u8> {
    let params = ParamsKZG::<Bn256>::setup(k, ChaCha20Rng::seed_from_u64(TAU));
    let mut bytes = Vec::new();
    params.write_custom(&mut bytes, SerdeFormat::RawBytes).unwrap();
    bytes
}

fn seeded_srs(k: u32) -> Srs {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), raw_srs(k)).unwrap();
    Srs::import_halo2(file.path(), &ImportOptions::default()).unwrap()
}

fn keys(name: &str, backend: Backend, batch: usize) -> ModelKeys {
    let bytes = std::fs::read(root().join(format!("models/{name}.onnx"))).unwrap();
    let options = PlanOptions {
        batch,
        ..PlanOptions::default()
    };
    keys_of(Model::load(&bytes, &options).unwrap(), backend)
}

/// With folded public rows, and twice the rows for the glue program that begins after them.
fn folded_keys(name: &str, batch: usize) -> ModelKeys {
    let bytes = std::fs::read(root().join(format!("models/{name}.onnx"))).unwrap();
    let mut options = PlanOptions {
        batch,
        fold_from: Some(1),
        ..PlanOptions::default()
    };
    options.k = Some(Model::load(&bytes, &options).unwrap().plan().k + 1);
    let model = Model::load(&bytes, &options).unwrap();
    assert!(model.plan().params.folded.is_some());
    keys_of(model, Backend::Shplonk)
}

fn keys_of(model: Model, backend: Backend) -> ModelKeys {
    let k = model.plan().k;
    let srs = match backend {
        Backend::Ipa => Srs::transparent(k).unwrap(),
        _ => seeded_srs(k),
    };
    setup(model, backend, srs, Store::Nowhere).unwrap()
}

/// Writes where pins are made, and compares.
fn pin(path: &Path, text: &str) {
    if pinning() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let pinned = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        pinned == text,
        "{} is\n{text}and not\n{pinned}INFERPROOF_PIN=1 writes it anew",
        path.display()
    );
}

#[test]
fn pinned_soundness_key_digests_on_one_thread_and_on_two() {
    let ids = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let mut text = String::new();
            for (name, backend) in MODELS.iter().flat_map(|m| BACKENDS.map(|b| (m, b))) {
                writeln!(
                    text,
                    "{name} {backend} {}",
                    keys(name, backend, 1).verifying().id()
                )
                .unwrap();
            }
            text
        })
    };
    let (one, two) = (ids(1), ids(2));
    assert_eq!(one, two);
    pin(&folder().join("ids.txt"), &two);
    println!(
        "figure: key digests of {} keys equal on 1 and 2 threads and to the pinned ones",
        MODELS.len() * 2
    );
}

#[test]
fn pinned_key_digests_of_batches() {
    let mut text = String::new();
    for (name, batch) in MODELS.iter().flat_map(|m| [2, BATCH].map(|n| (m, n))) {
        let id = keys(name, Backend::Shplonk, batch).verifying().id();
        writeln!(text, "{name} batch {batch} {id}").unwrap();
    }
    pin(&folder().join("batch_ids.txt"), &text);
}

/// Format version of a proof file or of a key: both have it after eight bytes.
fn version(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(bytes[8..12].try_into().unwrap())
}

/// A proof by each backend, its key, and the setups from which the fuzz targets start.
fn freeze() {
    std::fs::create_dir_all(folder()).unwrap();
    let alone = BACKENDS.into_iter().zip([None, Some([7; 32]), None]);
    let alone = alone.map(|(backend, nonce)| (keys("tiny_mlp", backend, 1), nonce, ""));
    let others = [
        (keys("tiny_mlp", Backend::Shplonk, BATCH), None, ""),
        (folded_keys("tiny_mlp", 1), None, "-folded"),
        (folded_keys("tiny_mlp", BATCH), None, "-folded"),
    ];
    for (keys, nonce, folded) in alone.chain(others) {
        let (backend, batch) = (keys.verifying().backend(), keys.plan().batch);
        let info = keys.graph().tensor(keys.graph().inputs[0].tensor);
        let shape = stacked_shape(&info.shape, batch).unwrap();
        let values = (0i32..)
            .map(|i| info.dtype.min() + 40 * i % 256)
            .take(shape.len())
            .collect();
        let input = Tensor::new(shape, info.dtype, values).unwrap();
        let file = prove(&keys, &[input], nonce).unwrap().file;
        let bytes = file.to_bytes().unwrap();
        let (proof, key) = (version(&bytes), version(&file.key));
        let name = match batch {
            1 => format!("tiny_mlp{folded}"),
            _ => format!("tiny_mlp{folded}-batch{batch}"),
        };
        let path = folder().join(format!("{name}-{backend}-proof{proof}-key{key}.proof"));
        std::fs::write(&path, bytes).unwrap();
        std::fs::write(path.with_extension("key"), &file.key).unwrap();
    }
    let seeds = root().join("fuzz/seeds");
    for name in ["srs_own", "srs_raw"] {
        std::fs::create_dir_all(seeds.join(name)).unwrap();
    }
    std::fs::write(seeds.join("srs_raw/tiny.bin"), raw_srs(2)).unwrap();
    seeded_srs(2).save(&seeds.join("srs_own/tiny.srs")).unwrap();
}

#[test]
fn pinned_proofs_still_verify() {
    if pinning() {
        freeze();
    }
    let mut files: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "proof") {
            files.insert(path.clone(), std::fs::read(path).unwrap());
        }
    }
    assert!(files.len() >= BACKENDS.len());
    for (path, bytes) in files {
        let key = std::fs::read(path.with_extension("key")).unwrap();
        let file = ProofFile::from_bytes(&bytes).unwrap();
        let trusted = Trusted::ModelId(ModelId::of_key_bytes(&key));
        let verified = verify(trusted, &file, &VerifyOptions::default()).unwrap();
        assert_eq!(file.to_bytes().unwrap(), bytes);
        println!(
            "{} verifies, of model {}",
            path.file_name().unwrap().display(),
            verified.model
        );
        let mut other = file.clone();
        other.outputs[0].tensor = other_tensor(&file.outputs[0].tensor);
        verify(trusted, &other, &VerifyOptions::default()).unwrap_err();
    }
}

/// The tensor with its first value off by one.
fn other_tensor(tensor: &Tensor) -> Tensor {
    let mut data = tensor.data().to_vec();
    data[0] += if data[0] == tensor.dtype().max() { -1 } else { 1 };
    Tensor::new(tensor.shape().clone(), tensor.dtype(), data).unwrap()
}
