//! No advice cell of a small network can be changed alone.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::too_many_lines,
    reason = "a test fails by panicking and prints tables"
)]

use inferproof_circuits::assign::{Cells, Fault};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::import::onnx::load;
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::tensor::DType;
use inferproof_circuits::testing::Checker;
use inferproof_circuits::testing::models::{everything, random_inputs};

struct Honest;

impl Fault for Honest {
    fn touch(&mut self, _: usize, _: usize, _: i64, _: &mut Cells) {}
}

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
fn sweep_soundness_every_operator() {
    sweep("everything", &everything(1, DType::I8).unwrap());
}
