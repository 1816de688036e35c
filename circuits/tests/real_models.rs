//! Imported networks against the outputs that onnxruntime 1.31.1 stored for them, and typed refusals of every
//! other ONNX file in the folder. Runs when INFERPROOF_SHARED names the folder with `models/`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking"
)]

mod common;

use common::runtime::{check, inputs};
use common::{Array, onnx_models, read_npz, shared};
use inferproof_circuits::assign::{Cells, Fault};
use inferproof_circuits::graph::{Graph, Node};
use inferproof_circuits::import::ImportError;
use inferproof_circuits::import::onnx::{LoadOptions, load, load_with};
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::quant::Rounding;
use inferproof_circuits::statement::Descriptor;
use inferproof_circuits::tensor::Shape;
use inferproof_circuits::testing::Checker;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

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

/// Networks that strict rounding refuses: an average at which onnxruntime sums floats.
const STRICT_REFUSED: [&str; 1] = ["mlperf_resnet8_tf2onnx_qdq"];
/// Largest circuit whose constraints are checked cell by cell.
const MAX_CHECKED_K: u32 = 17;

fn is_supported(name: &str) -> bool {
    SUPPORTED.iter().any(|p| name.starts_with(p))
}

fn options(name: &str, samples: &BTreeMap<String, Array>, rounding: Rounding) -> LoadOptions {
    let mut options = LoadOptions {
        rounding,
        ..LoadOptions::default()
    };
    if name.starts_with("tract_") {
        let dims = samples["in__input"].dims[1..].to_vec();
        options
            .input_shapes
            .insert("input".to_owned(), Shape::new(dims).unwrap());
    }
    options
}

fn load_folder(
    name: &str,
    path: &Path,
    rounding: Rounding,
) -> (Result<Graph, ImportError>, BTreeMap<String, Array>) {
    let bytes = std::fs::read(path.join("model.onnx")).unwrap();
    let samples = read_npz(&path.join("samples.npz"));
    (load_with(&bytes, &options(name, &samples, rounding)), samples)
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
        let (graph, samples) = load_folder(&name, &path, Rounding::Exact);
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

/// With strict rounding no accumulator differs, and every stored sample comes out bit for bit. A network is refused only
/// for an average whose float sum depends on the order of its terms.
#[test]
fn fixture_strict_networks_equal_onnxruntime() {
    let Some(shared) = shared() else { return };
    println!("model | samples | outputs | equal | corrections | differing with exact rounding");
    let (mut failures, mut refused) = (Vec::new(), Vec::new());
    for (name, path) in onnx_models(&shared).into_iter().filter(|m| is_supported(&m.0)) {
        let exact = load_folder(&name, &path, Rounding::Exact).0.unwrap();
        let differing: usize = num_differing(&exact);
        let (graph, samples) = load_folder(&name, &path, Rounding::Strict);
        let graph = match graph {
            Ok(graph) => graph,
            Err(ImportError::Op { at, source }) => {
                println!("{name}: {at}: {source}");
                refused.push(name);
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        assert_eq!(num_differing(&graph), 0, "{name}");
        let t = check(&graph, &samples);
        let corrections: usize = corrections(&graph);
        println!(
            "{name} | {} | {} | {} | {corrections} | {differing}",
            t.samples, t.outputs, t.equal
        );
        assert_eq!(corrections > 0, differing > 0, "{name}");
        if t.equal < t.outputs || t.flagged > 0 {
            failures.push(format!("{name}: {} of {} outputs", t.equal, t.outputs));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    println!("refused: {refused:?}");
    assert!(
        refused.iter().all(|n| STRICT_REFUSED.contains(&n.as_str())),
        "{refused:?}"
    );
}

fn num_differing(graph: &Graph) -> usize {
    let of = |node: &Node| {
        let inputs: Vec<_> = node.inputs.iter().map(|id| graph.tensor(*id)).collect();
        node.op
            .num_differing(&inputs, graph.tensor(node.output))
            .accumulators
    };
    graph.nodes.iter().map(of).sum()
}

fn corrections(graph: &Graph) -> usize {
    let of = |node: &Node| node.op.requantize().map_or(0, |r| r.corrections().count());
    graph.nodes.iter().map(of).sum()
}

struct Honest;

impl Fault for Honest {
    fn touch(&mut self, _: usize, _: usize, _: i64, _: &mut Cells) {}
}

/// The witness of one stored sample satisfies every gate and copy of every network's circuit, with either rounding.
#[test]
fn fixture_networks_satisfy_their_circuits() {
    let Some(shared) = shared() else { return };
    println!("model | rounding | k | lanes | tape rows | glue rows | activations | corrections | s");
    for (name, path) in onnx_models(&shared).into_iter().filter(|m| is_supported(&m.0)) {
        for rounding in [Rounding::Exact, Rounding::Strict] {
            let started = Instant::now();
            let (Ok(graph), samples) = load_folder(&name, &path, rounding) else {
                println!("{name} | {rounding:?} | refused");
                continue;
            };
            if rounding == Rounding::Strict && corrections(&graph) == 0 {
                continue;
            }
            let plan = Plan::new(&graph, &PlanOptions::default()).unwrap();
            let (k, lanes, cost) = (plan.k, plan.params.lanes, plan.cost);
            let counts = format!(
                "{name} | {rounding:?} | {k} | {lanes} | {} | {} | {} | {}",
                cost.tape_rows,
                cost.glue_rows,
                cost.activations,
                corrections(&graph)
            );
            if k > MAX_CHECKED_K {
                println!(
                    "{counts} | not checked: more than 2^{MAX_CHECKED_K} rows, only import and reference are"
                );
                continue;
            }
            let inputs = inputs(&graph, &samples, 0);
            let values = graph.run(&inputs).unwrap();
            let outputs: Vec<_> = graph.outputs.iter().map(|o| values[o.tensor.0].clone()).collect();
            let instance = Descriptor::new(&graph, &plan)
                .unwrap()
                .instance(&inputs, &outputs)
                .unwrap();
            let checker = Checker::new(&graph, plan, 1, &[]);
            let assignment = checker.assign(&graph, &inputs, &mut Honest, instance).unwrap();
            let failures = checker.failures(&assignment, None);
            assert!(failures.is_empty(), "{name} {rounding:?}: {failures:?}");
            println!("{counts} | {:.1}", started.elapsed().as_secs_f32());
        }
    }
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
