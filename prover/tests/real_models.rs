//! Proofs of the stored networks: keys, a proof of the first sample, and its check from the file's bytes. Runs when
//! INFERPROOF_SHARED names the folder with `models/`; the largest network runs when INFERPROOF_LARGE is set too.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking"
)]

use inferproof_circuits::plan::PlanOptions;
use inferproof_circuits::tensor::Tensor;
use inferproof_prover::files::Cache;
use inferproof_prover::input::{ArrayData, InputFile, read_arrays, resolve_inputs};
use inferproof_prover::keys::{Model, ModelKeys, Store, setup};
use inferproof_prover::prove::{Proved, prove};
use inferproof_prover::srs::Srs;
use inferproof_verifier::{Backend, ProofFile, Trusted, VerifyOptions, verify};
use std::path::{Path, PathBuf};

/// Networks that are proved, by prefix of the folder's name.
const PROVED: [&str; 12] = [
    "digits_mlp_q",
    "mnist_lenet5_q",
    "mnist_dwcnn_q",
    "onnx_mnist8_q",
    "mlperf_kws_tf2onnx",
    "mlperf_resnet8_tf2onnx",
    "mlperf_vww96_tf2onnx",
    "mlperf_ad01_tf2onnx",
    "tflm_hello_world_tf2onnx",
    "tflm_micro_speech_tf2onnx",
    "tinymaix_",
    "nnst_mobilenet_v2_quant",
];
/// 300 million multiplications: 2^20 rows, 10 GB and some minutes.
const LARGE: &str = "nnst_mobilenet_v2_quant";
const ENVIRONMENT: &str = "INFERPROOF_SHARED";
const ENVIRONMENT_LARGE: &str = "INFERPROOF_LARGE";

fn models() -> Vec<(String, PathBuf)> {
    let Some(shared) = std::env::var_os(ENVIRONMENT) else {
        println!("skipped: {ENVIRONMENT} is not set");
        return Vec::new();
    };
    let folders = std::fs::read_dir(Path::new(&shared).join("models")).unwrap();
    let mut found: Vec<(String, PathBuf)> = folders
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, path)| PROVED.iter().any(|p| name.starts_with(p)) && path.join("model.onnx").exists())
        .collect();
    found.sort();
    found
}

/// The first stored sample.
fn sample(path: &Path, model: &Model) -> Vec<Tensor> {
    let mut file: InputFile = read_arrays(&path.join("samples.npz")).unwrap();
    file.arrays
        .retain(|a| a.name.as_ref().is_some_and(|n| n.starts_with("in__")));
    for array in &mut file.arrays {
        array.name = array.name.take().map(|n| n["in__".len()..].to_owned());
        let len = array.data.len() / array.shape[0];
        array.shape.remove(0);
        array.data = match &array.data {
            ArrayData::F32(values) => ArrayData::F32(values[..len].to_vec()),
            ArrayData::F64(values) => ArrayData::F64(values[..len].to_vec()),
            ArrayData::I64(values) => ArrayData::I64(values[..len].to_vec()),
        };
    }
    resolve_inputs(&file, model.graph()).unwrap()
}

/// The proof is valid for the model id, and for another output it is not.
fn check(keys: &ModelKeys, proved: &Proved) {
    let bytes = proved.file.to_bytes().unwrap();
    let mut file = ProofFile::from_bytes(&bytes).unwrap();
    let options = VerifyOptions {
        allow_insecure_srs: true,
        ..VerifyOptions::default()
    };
    let verified = verify(Trusted::ModelId(keys.verifying().id()), &file, &options).unwrap();
    let outputs: Vec<&Tensor> = verified.outputs.iter().map(|(_, tensor)| tensor).collect();
    assert_eq!(outputs, proved.ran.tensors.iter().collect::<Vec<_>>());
    let tensor = &file.outputs[0].tensor;
    let mut data = tensor.data().to_vec();
    data[0] = if data[0] < tensor.dtype().max() {
        data[0] + 1
    } else {
        data[0] - 1
    };
    file.outputs[0].tensor = Tensor::new(tensor.shape().clone(), tensor.dtype(), data).unwrap();
    assert!(verify(Trusted::Key(keys.verifying()), &file, &options).is_err());
}

#[test]
fn stored_networks_are_proved_and_verified() {
    let models = models();
    if models.is_empty() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open_at(folder.path()).unwrap();
    println!("model | k | lanes | proof B | prove ms | verify ms");
    let mut num_proved = 0;
    for (name, path) in models {
        if name == LARGE && std::env::var_os(ENVIRONMENT_LARGE).is_none() {
            println!("{name} | skipped: {ENVIRONMENT_LARGE} is not set");
            continue;
        }
        let onnx = std::fs::read(path.join("model.onnx")).unwrap();
        let model = Model::load(&onnx, &PlanOptions::default()).unwrap();
        let inputs = sample(&path, &model);
        let srs = Srs::cached_insecure(&cache, model.plan().k).unwrap();
        let keys = setup(model, Backend::Shplonk, srs, Store::Nowhere).unwrap();
        let proved = prove(&keys, &inputs, None).unwrap();
        check(&keys, &proved);
        num_proved += 1;
        println!(
            "{name} | {} | {} | {} | {:.0} | {:.1}",
            keys.plan().k,
            keys.plan().params.lanes,
            proved.file.proof.len(),
            proved.prove_ms,
            proved.verify_ms
        );
    }
    assert!(num_proved >= 26, "only {num_proved} networks were found");
}
