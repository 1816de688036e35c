//! Imported networks against the outputs that onnxruntime 1.31.1 stored for them, and typed refusals of every
//! other ONNX file in the folder. Runs when INFERPROOF_SHARED names the folder with `models/`.

mod common;

use common::{Array, Data, onnx_models, read_npz, shared};
use inferproof_circuits::graph::{Graph, InputPort};
use inferproof_circuits::import::ImportError;
use inferproof_circuits::import::onnx::{LoadOptions, load, load_with};
use inferproof_circuits::quant::TensorQuant;
use inferproof_circuits::tail::{self, TailOp, Value};
use inferproof_circuits::tensor::{Shape, Tensor};
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

/// What one network's samples gave.
#[derive(Default)]
struct Tally {
    samples: usize,
    outputs: usize,
    equal: usize,
    max_difference: f64,
    /// Samples on which an operator met an accumulator that it lists as differing.
    flagged: usize,
    /// Samples that differ although none was met.
    unexplained: usize,
}

fn input_tensor(graph: &Graph, port: &InputPort, sample: &Data) -> Tensor {
    let info = graph.tensor(port.tensor);
    match sample {
        Data::Float(x) => {
            assert!(port.float);
            let quant = TensorQuant {
                scale: info.scale,
                zero_point: info.zero_point,
                dtype: info.dtype,
            };
            tail::quantize(x, &info.shape, &quant).unwrap()
        }
        Data::Int(q) => {
            assert!(!port.float);
            let q = q.iter().map(|v| i32::try_from(*v).unwrap()).collect();
            Tensor::new(info.shape.clone(), info.dtype, q).unwrap()
        }
        Data::Other => panic!("the sample's element type is not read"),
    }
}

/// Values of an output and of its stored counterpart, in units of one step of the output.
fn pairs(got: &Value, stored: &Data, unit: f64) -> Vec<(f64, f64)> {
    match (got, stored) {
        (Value::Quantized(q), Data::Int(w)) => q
            .data()
            .iter()
            .zip(w)
            .map(|(a, b)| (f64::from(*a), *b as f64))
            .collect(),
        (Value::Float { data, .. }, Data::Float(w)) => data
            .iter()
            .zip(w)
            .map(|(a, b)| (f64::from(*a) / unit, f64::from(*b) / unit))
            .collect(),
        (Value::Index { data, .. }, Data::Int(w)) => {
            data.iter().zip(w).map(|(a, b)| (*a as f64, *b as f64)).collect()
        }
        _ => panic!("the output has another kind than the stored one"),
    }
}

/// One step of the output, in its own units.
fn unit(tail: &[TailOp]) -> f64 {
    match tail {
        [TailOp::Dequantize { scale, .. }] => f64::from(*scale),
        _ => 1.0,
    }
}

fn stored_output<'a>(samples: &'a BTreeMap<String, Array>, name: &str) -> &'a Array {
    let fused = samples.get(&format!("out__{name}__int8allowed"));
    fused.or_else(|| samples.get(&format!("out__{name}"))).unwrap()
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

fn check(graph: &Graph, samples: &BTreeMap<String, Array>) -> Tally {
    let mut tally = Tally::default();
    tally.samples = samples[&format!("in__{}", graph.inputs[0].name)].dims[0];
    for index in 0..tally.samples {
        let inputs: Vec<Tensor> = graph
            .inputs
            .iter()
            .map(|port| input_tensor(graph, port, &samples[&format!("in__{}", port.name)].sample(index)))
            .collect();
        let values = graph.run(&inputs).unwrap();
        let flagged = !graph.differing(&values).unwrap().is_empty();
        let mut wrong = false;
        for (port, got) in graph.outputs.iter().zip(graph.outputs(&values).unwrap()) {
            let stored = stored_output(samples, &port.name).sample(index);
            let pairs = pairs(&got, &stored, unit(&port.tail));
            assert_eq!(got.shape().len(), pairs.len());
            tally.outputs += pairs.len();
            for (a, b) in pairs {
                tally.equal += usize::from(a == b);
                wrong |= a != b;
                tally.max_difference = tally.max_difference.max((a - b).abs());
            }
        }
        tally.flagged += usize::from(flagged);
        tally.unexplained += usize::from(wrong && !flagged);
    }
    tally
}

fn load_folder(name: &str, path: &Path) -> (Result<Graph, ImportError>, BTreeMap<String, Array>) {
    let bytes = std::fs::read(path.join("model.onnx")).unwrap();
    let samples = read_npz(&path.join("samples.npz"));
    (load_with(&bytes, &options(name, &samples)), samples)
}

/// Every stored sample of every supported network: exactly onnxruntime's fused output, except on samples whose
/// run met accumulators that the graph itself lists as differing.
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
    assert!(met >= 30, "only {met} networks were found");
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
