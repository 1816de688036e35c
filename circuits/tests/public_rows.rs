//! Public rows that share instance values: every stated byte is pinned, alone and by the constraint that says so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::circuit::Honest;
use inferproof_circuits::assign::{Cells, Fault};
use inferproof_circuits::graph::Graph;
use inferproof_circuits::plan::{Plan, PlanOptions};
use inferproof_circuits::statement::Descriptor;
use inferproof_circuits::tensor::{DType, Tensor};
use inferproof_circuits::testing::forge::Adversary;
use inferproof_circuits::testing::models::{Builder, ConvSpec, everything, random_inputs};
use inferproof_circuits::testing::{Checker, Mutant};

/// Changes one value of the tape and leaves the statement as it was.
struct Change {
    home: usize,
    position: usize,
}

impl Fault for Change {
    fn touch(&mut self, home: usize, position: usize, _: i64, cells: &mut Cells) {
        if (home, position) == (self.home, self.position) {
            cells.y = if cells.y > 0 { cells.y - 1 } else { 1 };
        }
    }
}

fn network(seed: u64) -> Graph {
    let mut b = Builder::new(seed, DType::U8);
    let x = b.input(&[1, 2, 7, 5]).unwrap();
    let y = b.conv(x, ConvSpec::square(3, 2, 1, 1, 3)).unwrap();
    b.finish(&[y])
}

/// A plan that folds from `fold_from` rows on, with twice the rows where the glue program would leave no room.
fn plan(graph: &Graph, lanes: u32, fold_from: usize) -> Plan {
    let plan = plan_with(graph, lanes, fold_from, None);
    if plan.params.folded.is_some() == (fold_from == 1) {
        return plan;
    }
    let wide = plan_with(graph, lanes, fold_from, Some(plan.k + 1));
    assert!(wide.params.folded.is_some());
    wide
}

fn plan_with(graph: &Graph, lanes: u32, fold_from: usize, k: Option<u32>) -> Plan {
    let options = PlanOptions {
        k,
        lanes: Some(lanes),
        limb_split: Some(2),
        fold_from: Some(fold_from),
        ..PlanOptions::default()
    };
    Plan::new(graph, &options).unwrap()
}

/// Inputs, outputs and the instance column of the honest statement.
fn stated(graph: &Graph, descriptor: &Descriptor, seed: u64) -> (Vec<Tensor>, Vec<Tensor>) {
    let inputs = random_inputs(graph, seed).unwrap();
    let values = graph.run(&inputs).unwrap();
    let outputs: Vec<Tensor> = graph.outputs.iter().map(|p| values[p.tensor.0].clone()).collect();
    descriptor.instance(&inputs, &outputs).unwrap();
    (inputs, outputs)
}

#[test]
fn folded_statements_are_satisfied_by_honest_witnesses_alone() {
    for seed in 0..3 {
        let graph = everything(seed, DType::I8).unwrap();
        for lanes in [1, 2, 5, 7, 10] {
            let plan = plan(&graph, lanes, 1);
            let descriptor = Descriptor::new(&graph, &plan).unwrap();
            descriptor.validate().unwrap();
            assert!(plan.params.folded.is_some(), "{lanes} lanes");
            assert!(descriptor.instance_rows() < descriptor.public_rows as usize);
            let (inputs, outputs) = stated(&graph, &descriptor, seed);
            let instance = descriptor.instance(&inputs, &outputs).unwrap();
            assert_eq!(instance.len(), descriptor.instance_rows());
            let checker = Checker::new(&graph, plan, seed, &[]);
            assert_eq!(checker.cs().degree(), 5);
            let honest = checker
                .assign(&graph, &inputs, &mut Honest, instance.clone())
                .unwrap();
            assert_eq!(checker.failures(&honest, None), [], "{lanes} lanes");
        }
    }
}

#[test]
fn public_rows_are_folded_where_the_glue_program_leaves_room() {
    let graph = everything(0, DType::I8).unwrap();
    let narrow = plan_with(&graph, 5, 1, None);
    assert_eq!(
        (narrow.k, narrow.params.folded),
        (plan(&graph, 5, usize::MAX).k, None)
    );
    let wide = plan_with(&graph, 5, 1, Some(narrow.k + 1));
    assert!(wide.params.folded.is_some());
    assert_eq!(wide.params.num_full_columns(), narrow.params.num_full_columns());
}

#[test]
fn a_changed_value_of_a_public_tensor_breaks_its_row() {
    let graph = network(1);
    for (lanes, fold_from) in [(1, 1), (2, 1), (3, 1), (2, usize::MAX)] {
        let plan = plan(&graph, lanes, fold_from);
        let descriptor = Descriptor::new(&graph, &plan).unwrap();
        let (inputs, outputs) = stated(&graph, &descriptor, 1);
        let instance = descriptor.instance(&inputs, &outputs).unwrap();
        let checker = Checker::new(&graph, plan, 1, &[]);
        for (home, tensor) in inputs.iter().chain(&outputs).enumerate() {
            for position in 0..tensor.data().len() {
                let fault = &mut Change { home, position };
                let forged = checker.assign(&graph, &inputs, fault, instance.clone()).unwrap();
                let failures = checker.failures(&forged, None);
                assert!(
                    failures.iter().any(|f| f.constraint == "tape/public row"),
                    "{lanes} lanes, tensor {home}, value {position}: {failures:?}"
                );
            }
        }
    }
}

#[test]
fn statements_of_different_tensors_have_different_instances() {
    let graph = network(2);
    for (lanes, fold_from) in [(1, 1), (3, 1), (3, usize::MAX)] {
        let descriptor = Descriptor::new(&graph, &plan(&graph, lanes, fold_from)).unwrap();
        let (inputs, outputs) = stated(&graph, &descriptor, 1);
        let honest = descriptor.instance(&inputs, &outputs).unwrap();
        let mut seen = vec![honest];
        for at in 0..inputs[0].data().len() {
            let mut data = inputs[0].data().to_vec();
            data[at] ^= 1;
            let changed = Tensor::new(inputs[0].shape().clone(), inputs[0].dtype(), data).unwrap();
            let instance = descriptor.instance(&[changed], &outputs).unwrap();
            assert!(!seen.contains(&instance), "{lanes} lanes, value {at}");
            seen.push(instance);
        }
    }
}

#[test]
fn no_cell_of_a_folded_circuit_can_be_changed_alone() {
    let graph = network(3);
    for lanes in [1, 2, 5] {
        let checker = Checker::new(&graph, plan(&graph, lanes, 1), 1, &[]);
        let inputs = random_inputs(&graph, 1).unwrap();
        let (_, assignment) = checker.state(&graph, &inputs, &mut Honest).unwrap();
        assert_eq!(checker.failures(&assignment, None), []);
        let found = checker.sweep(&assignment);
        assert_eq!(found.accepted, [], "columns and rows that nothing pins");
        assert_eq!(found.not_free, [], "the list of free cells is too long");
    }
}

#[test]
fn only_the_public_rows_stop_another_output() {
    let graph = network(4);
    let inputs = random_inputs(&graph, 4).unwrap();
    let cheat = Adversary::new(&graph, plan(&graph, 2, 1), inputs, 4).unwrap();
    assert_eq!(cheat.checker().failures(cheat.honest(), None), []);
    for rows in [
        None,
        Some("public state"),
        Some("public carry"),
        Some("public last"),
    ] {
        let name = "tape/public row".to_owned();
        assert!(
            cheat.forge(&Mutant::Constraint { name, rows }).is_some(),
            "{rows:?}"
        );
    }
}

#[test]
fn folds_that_wrap_or_overlap_are_refused() {
    let graph = network(5);
    let descriptor = Descriptor::new(&graph, &plan(&graph, 5, 1)).unwrap();
    let rows = descriptor.public_rows;
    let with = |folded| {
        let mut changed = descriptor.clone();
        changed.params.folded = Some(folded);
        changed.validate()
    };
    assert_eq!(with(rows.div_ceil(6)), Ok(()));
    assert!(with(0).is_err());
    // 7 rows of 5 bytes do not fit a value.
    assert!(with(rows.div_ceil(7)).is_err());
    // A value with one row has no carry.
    assert!(with(rows / 2 + 1).is_err());
    assert!(with(u32::MAX).is_err());
}

#[test]
fn blocks_of_large_images_are_short() {
    let mut b = Builder::new(6, DType::U8);
    let x = b.input(&[1, 3, 24, 24]).unwrap();
    let y = b.conv(x, ConvSpec::square(3, 2, 1, 1, 4)).unwrap();
    let graph = b.finish(&[y]);
    for lanes in [1, 5, 12] {
        let descriptor = Descriptor::new(&graph, &plan(&graph, lanes, 1)).unwrap();
        descriptor.validate().unwrap();
        let blocks = descriptor.inputs[0].blocks.len() + descriptor.outputs[0].blocks.len();
        assert!(blocks <= 13, "{blocks} blocks for {lanes} lanes");
    }
}
