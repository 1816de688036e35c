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
    /// Values that differ from the stored ones even with every listed difference applied.
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

/// Every tensor as onnxruntime computes it: each operator's proved values, with the listed differences applied.
/// Also the number of differences met.
fn run_as_runtime(graph: &Graph, inputs: &[Tensor]) -> (Vec<Tensor>, usize) {
    let mut values = graph.run(inputs).unwrap();
    let mut met = 0;
    for node in &graph.nodes {
        let data: Vec<&[i32]> = node.inputs.iter().map(|id| values[id.0].data()).collect();
        let infos: Vec<_> = node.inputs.iter().map(|id| graph.tensor(*id)).collect();
        let info = graph.tensor(node.output);
        let mut y = node.op.reference(&data).unwrap();
        for difference in node.op.differing(&data, &infos, info).unwrap() {
            y[difference.index] = difference.runtime.unwrap();
            met += 1;
        }
        values[node.output.0] = Tensor::new(info.shape.clone(), info.dtype, y).unwrap();
    }
    (values, met)
}

/// Number of values, number of equal ones, largest difference.
fn compare(
    graph: &Graph,
    values: &[Tensor],
    samples: &BTreeMap<String, Array>,
    index: usize,
) -> (usize, usize, f64) {
    let mut total = (0, 0, 0f64);
    for (port, got) in graph.outputs.iter().zip(graph.outputs(values).unwrap()) {
        let stored = stored_output(samples, &port.name).sample(index);
        let pairs = pairs(&got, &stored, unit(&port.tail));
        assert_eq!(got.shape().len(), pairs.len());
        total.0 += pairs.len();
        total.1 += pairs.iter().filter(|(a, b)| a == b).count();
        total.2 = pairs.iter().map(|(a, b)| (a - b).abs()).fold(total.2, f64::max);
    }
    total
}

fn check(graph: &Graph, samples: &BTreeMap<String, Array>) -> Tally {
    let mut tally = Tally {
        samples: samples[&format!("in__{}", graph.inputs[0].name)].dims[0],
        ..Tally::default()
    };
    for index in 0..tally.samples {
        let inputs: Vec<Tensor> = graph
            .inputs
            .iter()
            .map(|port| input_tensor(graph, port, &samples[&format!("in__{}", port.name)].sample(index)))
            .collect();
        let values = graph.run(&inputs).unwrap();
        let (outputs, equal, max_difference) = compare(graph, &values, samples, index);
        tally.outputs += outputs;
        tally.equal += equal;
        tally.max_difference = tally.max_difference.max(max_difference);
        let flagged = !graph.differing(&values).unwrap().is_empty();
        assert!(
            flagged || equal == outputs,
            "sample {index} differs, and no listed accumulator was met"
        );
        tally.flagged += usize::from(flagged);
        let (values, met) = run_as_runtime(graph, &inputs);
        assert_eq!(met > 0, flagged);
        let (outputs, equal, _) = compare(graph, &values, samples, index);
        tally.unexplained += outputs - equal;
    }
    tally
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
