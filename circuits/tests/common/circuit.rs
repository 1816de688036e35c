//! Honest runs through the circuit.

use inferproof_circuits::assign::{Cells, Fault, Witness};
use inferproof_circuits::batch::stack;
use inferproof_circuits::graph::Graph;
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::statement::Descriptor;
use inferproof_circuits::tensor::Tensor;
use inferproof_circuits::testing::Checker;
use inferproof_circuits::testing::models::{random_batch, random_inputs};

/// No fault.
pub struct Honest;

impl Fault for Honest {
    fn touch(&mut self, _: usize, _: usize, _: i64, _: &mut Cells) {}
}

/// Different inputs for each inference, and what the network makes of them one by one, stacked.
pub fn run(graph: &Graph, batch: usize, seed: u64) -> (Vec<Tensor>, Vec<Tensor>) {
    let outputs = (seed..).take(batch).map(|seed| {
        let values = graph.run(&random_inputs(graph, seed).unwrap()).unwrap();
        let outputs = graph.outputs.iter().map(|o| values[o.tensor.0].clone());
        outputs.collect::<Vec<_>>()
    });
    let outputs: Vec<Vec<Tensor>> = outputs.collect();
    let port = |at: usize| {
        let parts: Vec<Tensor> = outputs.iter().map(|one| one[at].clone()).collect();
        stack(&parts).unwrap()
    };
    let stacked = (0..graph.outputs.len()).map(port).collect();
    (random_batch(graph, seed, batch).unwrap(), stacked)
}

/// The witness has the reference's outputs, and every constraint holds.
pub fn check(graph: &Graph, options: &PlanOptions, seed: u64) {
    graph.validate().unwrap();
    let plan = Plan::new(graph, options).unwrap();
    assert_eq!(plan.batch, options.batch);
    let descriptor = Descriptor::new(graph, &plan).unwrap();
    descriptor.validate().unwrap();
    let checker = Checker::new(graph, plan, seed, &[]);
    let (inputs, outputs) = run(graph, options.batch, seed);
    let witness = Witness::new(graph, checker.plan(), &inputs).unwrap();
    for (port, expected) in graph.outputs.iter().zip(&outputs) {
        assert_eq!(
            &witness.tensor(graph, checker.plan(), port.tensor).unwrap(),
            expected
        );
    }
    let instance = descriptor.instance(&inputs, &outputs).unwrap();
    let assignment = checker.assign(graph, &inputs, &mut Honest, instance).unwrap();
    let failures = checker.failures(&assignment, None);
    assert!(failures.is_empty(), "{options:?}: {failures:?}");
}

/// One inference, and several in one circuit.
pub fn check_batches(graph: &Graph, options: &PlanOptions, seed: u64) {
    for batch in [1, 3] {
        check(graph, &PlanOptions { batch, ..*options }, seed);
    }
}

/// As [`check_batches`], with each of these numbers of lanes.
pub fn check_lanes(graph: &Graph, lanes: &[u32], seed: u64) {
    for lanes in lanes {
        let options = PlanOptions {
            lanes: Some(*lanes),
            ..PlanOptions::default()
        };
        check_batches(graph, &options, seed);
    }
}
