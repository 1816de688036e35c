//! Imported networks against the outputs that onnxruntime 1.31.1 stored for them, and typed refusals of every
//! other ONNX file in the folder. Runs when INFERPROOF_SHARED names the folder with `models/`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use common::runtime::check;
use common::{Array, onnx_models, read_npz, shared};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::import::ImportError;
use inferproof_circuits::import::onnx::{LoadOptions, load, load_with};
use inferproof_circuits::tensor::Shape;
use std::collections::BTreeMap;
use std::path::Path;

/// Networks that import, by prefix of the folder's name.
const SUPPORTED: [&str; 14] = [
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
    "tract_qtdnn",
    "tract_qrelu",
    "nnst_mobilenet_v2_quant",
];

fn is_supported(name: &str) -> bool {
    SUPPORTED.iter().any(|p| name.starts_with(p))
}

fn options(name: &str, samples: &BTreeMap<String, Array>) -> LoadOptions {
    let mut options = LoadOptions::default();
    if name.starts_with("tract_") {
        let dims = samples["in__input"].dims[1..].to_vec();
        options
            .input_shapes
            .insert("input".to_owned(), Shape::new(dims).unwrap());
    }
    options
}

fn load_folder(name: &str, path: &Path) -> (Result<Graph, ImportError>, BTreeMap<String, Array>) {
    let bytes = std::fs::read(path.join("model.onnx")).unwrap();
    let samples = read_npz(&path.join("samples.npz"));
    (load_with(&bytes, &options(name, &samples)), samples)
}

/// Every stored sample of every supported network. A run that meets no listed accumulator gives exactly
/// onnxruntime's fused output; any run does once the listed differences are applied.
#[test]
fn fixture_networks_equal_onnxruntime() {
    let Some(shared) = shared() else { return };
    println!("model | samples | outputs | equal | max difference | samples with listed differences");
    let mut failures = Vec::new();
    let mut met = 0;
    for (name, path) in onnx_models(&shared).into_iter().filter(|m| is_supported(&m.0)) {
        let (graph, samples) = load_folder(&name, &path);
        let graph = match graph {
            Ok(graph) => graph,
            Err(error) => {
                failures.push(format!("{name}: {error}"));
                continue;
            }
        };
        let t = check(&graph, &samples);
        met += 1;
        println!(
            "{name} | {} | {} | {} | {} | {}",
            t.samples, t.outputs, t.equal, t.max_difference, t.flagged
        );
        if t.unexplained > 0 {
            failures.push(format!(
                "{name}: {} samples differ without a listed accumulator",
                t.unexplained
            ));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(met >= 29, "only {met} networks were found");
}

/// Every other file is refused with a typed error.
#[test]
fn other_files_are_refused() {
    let Some(shared) = shared() else { return };
    let mut refused = 0;
    for (name, path) in onnx_models(&shared).into_iter().filter(|m| !is_supported(&m.0)) {
        let bytes = std::fs::read(path.join("model.onnx")).unwrap();
        let error = load(&bytes).map(|g| g.nodes.len()).unwrap_err();
        println!("{name}: {error}");
        refused += 1;
    }
    assert!(refused >= 20, "only {refused} files were found");
}
