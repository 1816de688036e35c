//! Random networks of one operator, from ONNX to the circuit, on a thousand inputs an operator: onnxruntime's outputs
//! (`vectors/make_networks.py`), the reference, the witness and the constraints agree.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and prints tables"
)]

mod common;

use common::circuit::Honest;
use inferproof_circuits::graph::Graph;
use inferproof_circuits::import::onnx::load;
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::tensor::Tensor;
use inferproof_circuits::testing::Checker;
use rayon::prelude::*;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::io::Read;

/// One sample in so many is checked against every constraint; all are against the witness.
const CHECKED: usize = 10;
const INPUTS: usize = 1_000;

fn cases() -> BTreeMap<String, Vec<Json>> {
    let packed = include_bytes!("vectors/networks.json.gz").as_slice();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut text)
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |i: usize| u8::from_str_radix(&text[i..i + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

/// The generator of `make_networks.py`.
fn stream(seed: u64) -> impl Iterator<Item = u8> {
    let next = |state: &u64| {
        let step = state.wrapping_mul(6_364_136_223_846_793_005);
        Some(step.wrapping_add(1_442_695_040_888_963_407))
    };
    let states = std::iter::successors(Some(seed), next).skip(1);
    states.map(|state| state.to_be_bytes()[0])
}

fn fnv(values: &[i32]) -> String {
    let step = |h: u64, v: &i32| {
        let byte = u64::from(v.to_le_bytes()[0]);
        (h ^ byte).wrapping_mul(0x0000_0100_0000_01b3)
    };
    format!("{:016x}", values.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

fn inputs(graph: &Graph, seed: u64) -> Vec<Tensor> {
    let mut bytes = stream(seed);
    let tensor = |port: &inferproof_circuits::graph::InputPort| {
        let info = graph.tensor(port.tensor);
        // Bytes in two's complement where the type is signed.
        let signed = info.dtype.min() < 0;
        let value = |byte: u8| match signed {
            true => i32::from(byte.cast_signed()),
            false => i32::from(byte),
        };
        let data = bytes.by_ref().take(info.shape.len()).map(value).collect();
        Tensor::new(info.shape.clone(), info.dtype, data).unwrap()
    };
    graph.inputs.iter().map(tensor).collect()
}

/// Outputs, and those at accumulators that the network lists as differing.
#[derive(Default, Clone, Copy)]
struct Tally {
    inputs: usize,
    outputs: usize,
    listed: usize,
}

fn check(name: &str, case: &Json) -> Tally {
    let graph = load(&unhex(case["model"].as_str().unwrap())).unwrap_or_else(|e| panic!("{name}: {e}"));
    let seed = case["seed"].as_u64().unwrap();
    let options = PlanOptions {
        limb_split: Some(2 + u32::from(seed & 0x2_0000 != 0)),
        ..PlanOptions::default()
    };
    let checker = Checker::new(&graph, Plan::new(&graph, &options).unwrap(), seed, &[]);
    let output = graph.outputs[0].tensor;
    let mut tally = Tally::default();
    for (sample, digest) in (0u64..).zip(case["digests"].as_array().unwrap()) {
        let inputs = inputs(&graph, seed + sample);
        let values = graph.run(&inputs).unwrap();
        let mut y = values[output.0].data().to_vec();
        for difference in graph.differing(&values).unwrap() {
            assert_eq!(
                graph.nodes[difference.node].output, output,
                "{name}: one operator a network"
            );
            y[difference.index] = difference.runtime.unwrap();
            tally.listed += 1;
        }
        assert_eq!(
            fnv(&y),
            digest.as_str().unwrap(),
            "{name}, sample {sample}: onnxruntime differs"
        );
        let (witness, assignment) = checker.state(&graph, &inputs, &mut Honest).unwrap();
        let made = witness.tensor(&graph, checker.plan(), output).unwrap();
        assert_eq!(
            made, values[output.0],
            "{name}, sample {sample}: the witness differs"
        );
        if tally.inputs.is_multiple_of(CHECKED) {
            assert_eq!(checker.failures(&assignment, None), [], "{name}, sample {sample}");
        }
        tally.inputs += 1;
        tally.outputs += y.len();
    }
    tally
}

#[test]
fn fixture_soundness_a_thousand_inputs_of_each_operator_equal_onnxruntime() {
    println!(
        "{:16} | inputs | outputs | equal to onnxruntime | of them listed",
        "operator"
    );
    for (name, networks) in cases() {
        let tallies: Vec<Tally> = networks.par_iter().map(|case| check(&name, case)).collect();
        let sum = |f: fn(&Tally) -> usize| tallies.iter().map(f).sum::<usize>();
        let (inputs, outputs) = (sum(|t| t.inputs), sum(|t| t.outputs));
        println!(
            "{name:16} | {inputs:6} | {outputs:7} | {outputs:20} | {}",
            sum(|t| t.listed)
        );
        assert!(inputs >= INPUTS, "{name}");
    }
}
