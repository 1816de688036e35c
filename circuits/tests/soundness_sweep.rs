//! No advice cell of a small network can be changed alone.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test fails by panicking and prints tables"
)]

mod common;

use common::circuit::Honest;
use inferproof_circuits::graph::Graph;
use inferproof_circuits::import::onnx::load;
use inferproof_circuits::ops::Window;
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::tensor::DType;
use inferproof_circuits::testing::Checker;
use inferproof_circuits::testing::models::{Builder, ConvSpec, everything, random_inputs};

fn sweep(name: &str, graph: &Graph) {
    let options = PlanOptions {
        limb_split: Some(2),
        ..PlanOptions::default()
    };
    let checker = Checker::new(graph, Plan::new(graph, &options).unwrap(), 1, &[]);
    let inputs = random_inputs(graph, 1).unwrap();
    let (_, assignment) = checker.state(graph, &inputs, &mut Honest).unwrap();
    assert_eq!(checker.failures(&assignment, None), []);
    let found = checker.sweep(&assignment);
    println!(
        "figure: {name}: {} advice cells changed by +-1, {} accepted; free: {:?}",
        found.cells,
        found.accepted.len(),
        found.free
    );
    assert!(found.cells > 0);
    assert_eq!(found.accepted, [], "columns and rows that nothing pins");
    assert_eq!(found.not_free, [], "the list of free cells is too long");
}

fn model(name: &str) -> Graph {
    let path = format!("{}/../models/{name}.onnx", env!("CARGO_MANIFEST_DIR"));
    load(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn sweep_soundness_tiny_cnn() {
    sweep("tiny_cnn", &model("tiny_cnn"));
}

#[test]
fn sweep_soundness_tiny_mlp() {
    sweep("tiny_mlp", &model("tiny_mlp"));
}

#[test]
fn sweep_soundness_averages_over_the_edge() {
    let mut b = Builder::new(41, DType::I8);
    let x = b.input(&[1, 2, 6, 5]).unwrap();
    let y = b.conv(x, ConvSpec::square(3, 1, 1, 1, 2)).unwrap();
    let window = Window::new((6, 5), (3, 3), (1, 1), (1, 1), (1, 1), (1, 1)).unwrap();
    let y = b.average(y, window).unwrap();
    let y = b.conv(y, ConvSpec::square(3, 2, 1, 1, 3)).unwrap();
    sweep("averages over the edge", &b.finish(&[y]));
}

#[test]
fn sweep_soundness_every_operator() {
    sweep("everything", &everything(1, DType::I8).unwrap());
}
